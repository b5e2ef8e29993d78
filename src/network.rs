//! Connections, and how it is said that one couldn't be made.

/// How causes begin that have kept a tunnel through a proxy from being made.
const TUNNEL: &str = "tunnel error: ";

/// What all that is asked over HTTP goes over.
#[derive(Clone, Debug)]
pub struct Connections {
    /// Makes and keeps them.
    pub client: reqwest::Client,
    /// What stands between.
    pub proxies: Proxies,
}

/// What is said of the proxies where they can't be reached.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Of that for `https://`.
    pub https: Option<String>,
    /// Of that for `http://`.
    pub http: Option<String>,
    /// What is added where it isn't sure that one of them was asked.
    pub unless: &'static str,
}

impl Proxies {
    /// Why there is no response from `url`. A proxy that can't be reached is named: it isn't what was asked.
    pub fn cause(&self, error: &reqwest::Error, url: &str) -> String {
        let (cause, tunnel) = innermost(error);
        let is_https = url.starts_with("https:");
        if !error.is_connect() || (is_https && !tunnel) {
            return cause;
        }
        // Of a connection to a proxy for http:// nothing tells that it wasn't one to what was asked.
        cause + &self.named(url, if is_https { "" } else { self.unless })
    }

    /// What is said of the proxy for `url` where nothing tells whether it or what was asked is silent.
    pub fn beside(&self, url: &str) -> String {
        self.named(url, self.unless)
    }

    fn named(&self, url: &str, unless: &str) -> String {
        let proxy = if url.starts_with("https:") { &self.https } else { &self.http };
        proxy.as_ref().map_or_else(String::new, |proxy| format!(" (the proxy {proxy}{unless})"))
    }
}

/// The innermost cause, which names what failed and holds no address, so no secret in one; and whether it kept a proxy
/// from being reached through which a tunnel should lead.
fn innermost(error: &reqwest::Error) -> (String, bool) {
    let mut cause: &dyn std::error::Error = error;
    let mut tunnel = false;
    while let Some(source) = cause.source() {
        cause = source;
        tunnel |= cause.to_string().starts_with(TUNNEL);
    }
    if std::ptr::addr_eq(cause, std::ptr::from_ref(error)) {
        return ("the response isn't HTTP".to_owned(), false);
    }
    let said = cause.to_string();
    match said.strip_prefix(TUNNEL) {
        Some("proxy authorization required") => {
            let said = "HTTPS_PROXY wants a user and a password: expected `http://user:password@host:port`";
            (said.to_owned(), false)
        }
        Some("unsuccessful") => ("HTTPS_PROXY refuses to connect to the host".to_owned(), false),
        // As `openssl req -x509` makes them unless told otherwise.
        None if said.contains("CaUsedAsEndEntity") => {
            let what = "the certificate is that of an authority, and no server's: it needs `basicConstraints=CA:FALSE`";
            (format!("invalid peer certificate: {what}"), tunnel)
        }
        None if said.ends_with("UnknownIssuer") => (format!("{said}, which LOGFERRY_CA_FILE may name"), tunnel),
        _ => (said, tunnel),
    }
}

/// Whether it says that it is a web page.
pub(crate) fn is_html(answer: &reqwest::Response) -> bool {
    let kind =
        answer.headers().get(reqwest::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    ["text/html", "application/xhtml+xml"].iter().any(|html| kind.to_ascii_lowercase().starts_with(html))
}
