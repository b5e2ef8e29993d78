use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{DATE, RETRY_AFTER};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Instant, timeout_at};

use super::{Transport, TransportError};
use crate::aws::Signer;
use crate::env::{Env, Row, Setting, read};
use crate::request::{Destination, Endpoint, Header, Request, Response};

/// So much of a response's body is read.
const MAX_RESPONSE: usize = 64 * 1024;

/// So long is it read.
const READING: Duration = Duration::from_secs(5);

/// How long an idle connection is kept: intakes close theirs after a minute or more.
const IDLE: Duration = Duration::from_secs(50);

/// Sends over HTTP/1.1, and to standard output.
///
/// Connections are kept between invocations. TLS is rustls with the roots of
/// Mozilla, compiled in, as reading the system's takes longer than everything
/// else at a cold start.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    signer: Signer,
}

/// How the network is reached.
#[derive(Clone, Debug, Default)]
pub struct HttpSettings {
    ca_file: Option<String>,
    https_proxy: Option<reqwest::Proxy>,
    http_proxy: Option<reqwest::Proxy>,
    no_proxy: Option<String>,
}

impl HttpSettings {
    const CA_FILE: Setting<String> = Setting::new(
        "LOGFERRY_CA_FILE",
        read::text,
        "PEM file of certificate authorities to trust beside the built-in ones.",
    );
    const HTTPS_PROXY: Setting<reqwest::Proxy> = Setting::new(
        "HTTPS_PROXY",
        |value| proxy(value, |url| reqwest::Proxy::https(url)),
        "Proxy for https:// addresses.",
    )
    .secret();
    const HTTP_PROXY: Setting<reqwest::Proxy> = Setting::new(
        "HTTP_PROXY",
        |value| proxy(value, |url| reqwest::Proxy::http(url)),
        "Proxy for http:// addresses.",
    )
    .secret();
    const NO_PROXY: Setting<String> = Setting::new(
        "NO_PROXY",
        read::text,
        "Hosts reached without a proxy, set apart by commas; `*` stands for all names, not for addresses.",
    );

    /// The settings, for documents.
    pub const ROWS: [Row; 4] =
        [Self::CA_FILE.row(), Self::HTTPS_PROXY.row(), Self::HTTP_PROXY.row(), Self::NO_PROXY.row()];

    /// Reads the settings.
    pub fn from_env(env: &mut Env<'_>) -> Self {
        Self {
            ca_file: env.read(&Self::CA_FILE),
            https_proxy: env.read(&Self::HTTPS_PROXY),
            http_proxy: env.read(&Self::HTTP_PROXY),
            no_proxy: env.read(&Self::NO_PROXY),
        }
    }
}

impl Http {
    /// Makes the client: the only thing that is done at cold start is reading the CA file, if there is one.
    pub fn new(settings: &HttpSettings, signer: Signer, env: &mut Env<'_>) -> Option<Self> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = &settings.ca_file
            && let Err(what) = add_roots(path, &mut roots)
        {
            env.mistake(HttpSettings::CA_FILE.row().name, what);
            return None;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.ok().or_else(|| env.broken("TLS"))?.with_root_certificates(roots).with_no_client_auth();
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("logferry/", env!("CARGO_PKG_VERSION")));
        let exempt = settings.no_proxy.as_deref().and_then(reqwest::NoProxy::from_string);
        for proxy in [&settings.https_proxy, &settings.http_proxy].into_iter().flatten() {
            builder = builder.proxy(proxy.clone().no_proxy(exempt.clone()));
        }
        let client = builder.build().ok().or_else(|| env.broken("the HTTP client"))?;
        Some(Self { client, signer })
    }

    /// The connections, for calls that aren't deliveries.
    pub const fn client(&self) -> &reqwest::Client {
        &self.client
    }

    async fn post(&self, endpoint: &Endpoint, body: Vec<u8>) -> Result<Response, TransportError> {
        let url = match &endpoint.query {
            Some(query) => format!("{}?{}", endpoint.url, query.expose()),
            None => endpoint.url.clone(),
        };
        let mut post = self.client.post(&url);
        if let Some(signing) = &endpoint.signing {
            for (name, value) in self.signer.headers("POST", &url, &body, signing)? {
                post = post.header(name, value.expose());
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
        let mut answer = post.send().await.map_err(|error| failure(&error))?;
        let mut response =
            Response { status: answer.status().as_u16(), retry_after: retry_after(&answer), body: Vec::new() };
        // The status says what became of the request, even when the body breaks off or takes too long.
        let end = Instant::now() + READING;
        while response.body.len() < MAX_RESPONSE
            && let Ok(Ok(Some(piece))) = timeout_at(end, answer.chunk()).await
        {
            response.body.extend_from_slice(&piece);
        }
        response.body.truncate(MAX_RESPONSE);
        Ok(response)
    }
}

impl Transport for Http {
    async fn send(&self, request: &Request) -> Result<Response, TransportError> {
        match &request.destination {
            Destination::Http(endpoint) => self.post(endpoint, request.body.clone()).await,
            Destination::Stdout => match std::io::stdout().lock().write_all(&request.body) {
                Ok(()) => Ok(Response { status: 200, ..Response::default() }),
                Err(error) => Err(TransportError::Interrupted(error.to_string())),
            },
        }
    }
}

/// `Retry-After`: seconds, or a date, of which the response's own date is taken.
fn retry_after(answer: &reqwest::Response) -> Option<Duration> {
    let header = |name| answer.headers().get(name)?.to_str().ok();
    let asked = header(RETRY_AFTER)?;
    if let Ok(seconds) = asked.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    date(asked)?.duration_since(date(header(DATE)?)?).ok()
}

fn failure(error: &reqwest::Error) -> TransportError {
    let cause = cause(error);
    if error.is_connect() { TransportError::Connect(cause) } else { TransportError::Interrupted(cause) }
}

/// The innermost cause: it names what failed and holds no address, so no secret in one.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if std::ptr::addr_eq(cause, std::ptr::from_ref(error)) {
        "the response isn't HTTP".to_owned()
    } else {
        cause.to_string()
    }
}

fn proxy(value: &str, make: fn(&str) -> reqwest::Result<reqwest::Proxy>) -> Result<reqwest::Proxy, String> {
    const EXPECTED: &str = "is not the address of a proxy: expected `http://host:port`";
    let known = reqwest::Url::parse(value).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if known { make(value).map_err(|_| EXPECTED.to_owned()) } else { Err(EXPECTED.to_owned()) }
}

fn add_roots(path: &str, roots: &mut RootCertStore) -> Result<(), String> {
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| format!("`{path}` cannot be read: {error}"))?;
    let mut added = 0;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| format!("`{path}` is damaged: {error:?}"))?;
        roots.add(certificate).map_err(|error| format!("`{path}` holds a certificate that cannot be used: {error}"))?;
        added += 1;
    }
    if added == 0 { Err(format!("`{path}` holds no certificate: expected PEM")) } else { Ok(()) }
}
