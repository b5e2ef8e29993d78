//! The transport of the real programs: HTTP/1.1 with rustls, and standard output.

use std::future::pending;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, DATE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Instant, timeout_at};

use super::{Ending, Transport, TransportError, ended, within};
use crate::aws::Signer;
use crate::env::{Env, Row, Secret, Setting, http_url, read};
use crate::event::percent_decoded;
use crate::network::{Connections, Proxies, is_html};
use crate::request::{Certificates, Destination, Endpoint, Header, PemFile, Request, Response};

/// Bytes of a response's body that are read at most: a verdict for each of 1,000 items fits.
const MAX_RESPONSE: usize = 256 * 1024;

/// Beginning and end of the names of headers that a verdict may depend on: receivers of Prometheus' remote write say in
/// them what was written. Others of this beginning may only repeat headers of the request.
const TELLING: (&str, &str) = ("x-prometheus-remote-write-", "-written");

/// How long a response's body is read, unless the attempt has to end before.
const READING: Duration = Duration::from_secs(5);

/// Where OpenTelemetry's collectors take gRPC: some take HTTP there, so only what breaks off is a sign of it.
const GRPC_PORT: u16 = 4317;

/// What is said then.
const GRPC: &str =
    " (port 4317 is mostly that of gRPC, which is not spoken here: collectors take OTLP over HTTP on port 4318)";

/// How long an idle connection is kept: intakes close theirs after a minute or more.
const IDLE: Duration = Duration::from_secs(50);

/// Sends over HTTP/1.1, and to standard output.
///
/// Connections are kept between invocations. TLS is rustls with the roots of
/// Mozilla, compiled in, as reading the system's takes longer than everything
/// else at a cold start.
#[derive(Clone, Debug)]
pub struct Http {
    connections: Connections,
    signer: Signer,
    /// For addresses with certificates of their own.
    special: Vec<(Certificates, reqwest::Client)>,
    /// What is sent beside what requests hold: to proxies.
    secrets: Vec<Secret>,
    ending: Option<Ending>,
}

/// How the network is reached.
#[derive(Clone, Debug, Default)]
pub struct HttpSettings {
    ca_file: Option<String>,
    https_proxy: Option<Proxy>,
    http_proxy: Option<Proxy>,
    no_proxy: Option<String>,
}

/// A proxy.
#[derive(Clone, Debug)]
struct Proxy {
    inner: reqwest::Proxy,
    /// What people may see of its address.
    shown: String,
    /// `user:password` in base64, and the password.
    credentials: Vec<Secret>,
}

impl HttpSettings {
    const CA_FILE: Setting<String> = Setting::new(
        "LOGFERRY_CA_FILE",
        read::text,
        "PEM file of certificate authorities to trust beside the built-in ones.",
    );
    const HTTPS_PROXY: Setting<Proxy> = Self::https("HTTPS_PROXY");
    const HTTP_PROXY: Setting<Proxy> = Self::http("HTTP_PROXY");
    const NO_PROXY: Setting<String> = Self::exempt("NO_PROXY");

    const fn https(name: &'static str) -> Setting<Proxy> {
        let doc = "Proxy for https:// addresses; also `https_proxy`.";
        Setting::new(name, |value| proxy(value, |url| reqwest::Proxy::https(url)), doc).secret()
    }

    const fn http(name: &'static str) -> Setting<Proxy> {
        let doc = "Proxy for http:// addresses; also `http_proxy`.";
        Setting::new(name, |value| proxy(value, |url| reqwest::Proxy::http(url)), doc).secret()
    }

    const fn exempt(name: &'static str) -> Setting<String> {
        let doc = "Hosts reached without a proxy, set apart by commas; `*` stands for all names, not for addresses; also `no_proxy`.";
        Setting::new(name, read::text, doc)
    }

    /// The settings, for documents.
    pub const ROWS: [Row; 4] =
        [Self::CA_FILE.row(), Self::HTTPS_PROXY.row(), Self::HTTP_PROXY.row(), Self::NO_PROXY.row()];

    /// Reads the settings.
    pub fn from_env(env: &mut Env<'_>) -> Self {
        Self {
            ca_file: env.read(&Self::CA_FILE),
            https_proxy: env.read(&Self::HTTPS_PROXY).or_else(|| env.read(&Self::https("https_proxy"))),
            http_proxy: env.read(&Self::HTTP_PROXY).or_else(|| env.read(&Self::http("http_proxy"))),
            no_proxy: env.read(&Self::NO_PROXY).or_else(|| env.read(&Self::exempt("no_proxy"))),
        }
    }

    /// What is said of the proxies where they can't be reached.
    fn proxies(&self) -> Proxies {
        let said = |proxy: &Option<Proxy>, setting: &Setting<Proxy>| {
            Some(format!("{} of {}", proxy.as_ref()?.shown, setting.row().name))
        };
        Proxies {
            https: said(&self.https_proxy, &Self::HTTPS_PROXY),
            http: said(&self.http_proxy, &Self::HTTP_PROXY),
            unless: if self.no_proxy.is_some() { ", unless NO_PROXY exempts the host" } else { "" },
        }
    }

    /// User and password of the proxies, as they are sent and as they are.
    fn proxy_credentials(&self) -> Vec<Secret> {
        [&self.https_proxy, &self.http_proxy]
            .into_iter()
            .flatten()
            .flat_map(|proxy| proxy.credentials.clone())
            .collect()
    }

    fn client(&self, own: &Certificates, env: &mut Env<'_>) -> Option<reqwest::Client> {
        let tls = self.tls(own, env)?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("logferry/", env!("CARGO_PKG_VERSION")));
        let exempt = self.no_proxy.as_deref().and_then(reqwest::NoProxy::from_string);
        for proxy in [&self.https_proxy, &self.http_proxy].into_iter().flatten() {
            builder = builder.proxy(proxy.inner.clone().no_proxy(exempt.clone()));
        }
        builder.build().ok().or_else(|| env.broken("the HTTP client"))
    }

    fn tls(&self, own: &Certificates, env: &mut Env<'_>) -> Option<ClientConfig> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let general = self
            .ca_file
            .as_ref()
            .map(|path| PemFile { variable: Self::CA_FILE.row().name.to_owned(), path: path.clone() });
        for file in [&general, &own.authorities].into_iter().flatten() {
            if let Err(what) = add_roots(&file.path, &mut roots) {
                env.mistake(&file.variable, what);
                return None;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.ok().or_else(|| env.broken("TLS"))?.with_root_certificates(roots);
        let Some((certificates, key)) = &own.client else { return Some(tls.with_no_client_auth()) };
        let identity = read_certificates(&certificates.path).map_err(|what| (certificates, what));
        let identity = identity.and_then(|chain| Ok((chain, read_key(&key.path).map_err(|what| (key, what))?)));
        let tls = identity.and_then(|(chain, private)| {
            let misfit = |error| format!("`{}` is no key of `{}`: {error}", key.path, certificates.path);
            tls.with_client_auth_cert(chain, private).map_err(|error| (key, misfit(error)))
        });
        tls.map_err(|(file, what)| env.mistake(&file.variable, what)).ok()
    }
}

impl Http {
    /// Makes a client for all addresses, and one for each set of certificates in `own`. Connects to nothing: at cold
    /// start at most certificates are read. `None` after a mistake, which stays with `env`.
    pub fn new(settings: &HttpSettings, own: &[Certificates], signer: Signer, env: &mut Env<'_>) -> Option<Self> {
        let client = settings.client(&Certificates::default(), env)?;
        let mut special: Vec<(Certificates, reqwest::Client)> = Vec::new();
        for certificates in own {
            if !special.iter().any(|(known, _)| known == certificates) {
                special.push((certificates.clone(), settings.client(certificates, env)?));
            }
        }
        let connections = Connections { client, proxies: settings.proxies() };
        let secrets = settings.proxy_credentials();
        Some(Self { connections, signer, special, secrets, ending: None })
    }

    /// From now on sending ends at the moment that `ending` tells.
    pub fn end_with(&mut self, ending: Ending) {
        self.ending = Some(ending);
    }

    /// The connections, for calls that aren't deliveries.
    pub const fn client(&self) -> &Connections {
        &self.connections
    }

    /// The client for an address.
    fn client_of(&self, endpoint: &Endpoint) -> &reqwest::Client {
        let own = endpoint.certificates.as_deref();
        let special = own.and_then(|own| self.special.iter().find(|(certificates, _)| certificates == own));
        special.map_or(&self.connections.client, |(_, client)| client)
    }

    /// Why no response came.
    fn failure(&self, error: &reqwest::Error, url: &str) -> TransportError {
        let cause = self.connections.proxies.cause(error, url);
        if error.is_connect() {
            return TransportError::Connect(cause);
        }
        let port = error.url().and_then(reqwest::Url::port);
        TransportError::Interrupted(cause + if port == Some(GRPC_PORT) { GRPC } else { "" })
    }

    /// A proxy that may be why there was no response in time is named.
    fn beside(&self, error: TransportError, url: &str) -> TransportError {
        match error {
            TransportError::Timeout(waited, _) => TransportError::Timeout(waited, self.connections.proxies.beside(url)),
            other => other,
        }
    }

    async fn post(&self, endpoint: &Endpoint, body: Vec<u8>, until: Instant) -> Result<Response, TransportError> {
        let url = match &endpoint.query {
            Some(query) => format!("{}?{}", endpoint.url, query.expose()),
            None => endpoint.url.clone(),
        };
        let mut post = self.client_of(endpoint).post(&url);
        let mut own = self.secrets.clone();
        if let Some(signing) = &endpoint.signing {
            for (name, value) in self.signer.headers("POST", &url, &body, signing)? {
                post = post.header(name, value.expose());
                own.extend(secrets_of(name, value));
            }
        }
        let mut post = post.body(body);
        for (name, value) in &endpoint.headers {
            post = post.header(
                name.as_ref(),
                match value {
                    Header::Public(value) => value.as_str(),
                    Header::Secret(secret) => secret.expose(),
                },
            );
        }
        let answer = within(until, async { post.send().await.map_err(|error| self.failure(&error, &url)) }).await;
        let mut answer = answer.map_err(|error| self.beside(error, &url))?;
        let (body, cut) = read_body(&mut answer, until.min(Instant::now() + READING)).await;
        let (body, cut) = if is_gzipped(&answer) { inflated(&body, cut) } else { (body, cut) };
        Ok(Response {
            status: answer.status().as_u16(),
            retry_after: retry_after(&answer, self.signer.now()),
            body,
            cut,
            html: is_html(&answer),
            telling: telling(&answer),
            location: location(&answer),
            secrets: own,
        })
    }
}

/// The beginning of a body, and whether it broke off or took longer than `until`: that is no error, as the status says
/// what became of the request.
async fn read_body(answer: &mut reqwest::Response, until: Instant) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    let mut cut = false;
    while body.len() < MAX_RESPONSE {
        match timeout_at(until, answer.chunk()).await {
            Ok(Ok(Some(piece))) => body.extend_from_slice(&piece),
            Ok(Ok(None)) => break,
            Ok(Err(_)) | Err(_) => {
                cut = true;
                break;
            }
        }
    }
    body.truncate(MAX_RESPONSE);
    (body, cut)
}

/// Whether the body is gzipped, although nobody has asked for that.
fn is_gzipped(answer: &reqwest::Response) -> bool {
    let coding = answer.headers().get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    ["gzip", "x-gzip"].iter().any(|gzip| coding.trim().eq_ignore_ascii_case(gzip))
}

/// What a gzipped body holds, or its beginning, and whether it breaks off.
fn inflated(body: &[u8], cut: bool) -> (Vec<u8>, bool) {
    let mut inflated = Vec::new();
    let read = MultiGzDecoder::new(body).take(MAX_RESPONSE as u64).read_to_end(&mut inflated);
    (inflated, cut || read.is_err())
}

impl Transport for Http {
    async fn ended(&self) -> Instant {
        match &self.ending {
            Some(ending) => ended(ending.clone()).await,
            None => pending().await,
        }
    }

    async fn send(&self, request: &Request, until: Instant) -> Result<Response, TransportError> {
        match &request.destination {
            Destination::Http(endpoint) => self.post(endpoint, request.body.clone(), until).await,
            Destination::Stdout => match std::io::stdout().lock().write_all(&request.body) {
                Ok(()) => Ok(Response { status: 200, ..Response::default() }),
                Err(error) => Err(TransportError::Output(error.to_string())),
            },
        }
    }
}

/// Names of the headers that a verdict may depend on.
fn telling(answer: &reqwest::Response) -> Vec<String> {
    let names = answer.headers().keys().map(reqwest::header::HeaderName::as_str);
    let (begin, end) = TELLING;
    names.filter(|name| name.starts_with(begin) && name.ends_with(end)).map(str::to_owned).collect()
}

/// Where a redirect leads, without its query and without a user, which may be secrets.
fn location(answer: &reqwest::Response) -> Option<String> {
    let header = answer.headers().get(LOCATION)?.to_str().ok()?;
    let mut to = answer.url().join(header).ok()?;
    to.set_query(None);
    to.set_fragment(None);
    // Fails only for an address that can't have a user.
    let _ = to.set_username("").and_then(|()| to.set_password(None));
    Some(to.into())
}

/// `Retry-After`: seconds, or a date, from which the response's own date is subtracted; ours where it has none.
fn retry_after(answer: &reqwest::Response, now: SystemTime) -> Option<Duration> {
    let header = |name| answer.headers().get(name)?.to_str().ok();
    let asked = header(RETRY_AFTER)?;
    if let Ok(seconds) = asked.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    date(asked)?.duration_since(header(DATE).and_then(date).unwrap_or(now)).ok()
}

fn proxy(value: &str, make: fn(&str) -> reqwest::Result<reqwest::Proxy>) -> Result<Proxy, String> {
    const EXPECTED: &str = "is not the address of a proxy: expected `http://host:port`";
    let url = http_url(value);
    let shown = url.as_ref().and_then(|url| {
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{}://{}{port}", url.scheme(), url.host_str()?))
    });
    let credentials = url.as_ref().map(credentials).unwrap_or_default();
    let proxy = shown.and_then(|shown| Some(Proxy { inner: make(value).ok()?, shown, credentials }));
    proxy.ok_or_else(|| EXPECTED.to_owned())
}

/// What of an address is secret, as it is sent, as it is, and as it stands there.
fn credentials(url: &reqwest::Url) -> Vec<Secret> {
    let (user, password) = (url.username(), url.password().unwrap_or_default());
    if user.is_empty() && password.is_empty() {
        return Vec::new();
    }
    // A token may be the user.
    let secret = if password.is_empty() { user } else { password };
    let pair = STANDARD.encode(format!("{}:{}", percent_decoded(user), percent_decoded(password)));
    [pair, percent_decoded(secret), secret.to_owned()].into_iter().map(Secret::new).collect()
}

/// What of a header that signs is secret.
fn secrets_of(name: &str, value: Secret) -> Option<Secret> {
    match name {
        "authorization" => {
            value.expose().rsplit_once("Signature=").map(|(_, signature)| Secret::new(signature.to_owned()))
        }
        "x-amz-security-token" => Some(value),
        _ => None,
    }
}

fn add_roots(path: &str, roots: &mut RootCertStore) -> Result<(), String> {
    for certificate in read_certificates(path)? {
        let unusable = |_| format!("`{path}` holds a certificate that cannot be used: it is damaged, or none by X.509");
        roots.add(certificate).map_err(unusable)?;
    }
    Ok(())
}

/// The certificates of a PEM file, at least one.
fn read_certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| format!("`{path}` cannot be read: {error}"))?;
    let certificates: Result<Vec<_>, _> = certificates.collect();
    let certificates = certificates.map_err(|error| match error {
        pem::Error::Io(error) => format!("`{path}` cannot be read: {error}"),
        pem::Error::MissingSectionEnd { .. } => format!("`{path}` is damaged: a certificate has no END line"),
        _ => format!("`{path}` is damaged: expected certificates as PEM"),
    })?;
    if certificates.is_empty() { Err(format!("`{path}` holds no certificate: expected PEM")) } else { Ok(certificates) }
}

fn read_key(path: &str) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        pem::Error::Io(error) => format!("`{path}` cannot be read: {error}"),
        pem::Error::NoItemsFound => format!("`{path}` holds no private key: expected PEM"),
        // Nothing of a key is shown.
        _ => format!("`{path}` is damaged: expected a private key as PEM"),
    })
}
