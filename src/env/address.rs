//! Addresses that telemetry is sent to, and how they are shown.

use reqwest::Url;

use super::Secret;

/// `https://host:port/path`, and what stands behind its `?`, which may be a secret.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Address {
    /// Scheme, host, port and path; no `/` at the end unless it was asked for.
    pub base: String,
    /// What stands behind the `?`.
    pub query: Option<Secret>,
}

impl Address {
    /// Reads `https://` or `http://`, a host, perhaps a path and a query; what stands behind a `#` is left out.
    ///
    /// # Errors
    ///
    /// Says what is accepted.
    pub fn parse(value: &str) -> Result<Self, String> {
        match http_url(value) {
            Some(url) if url.username().is_empty() && url.password().is_none() => {
                // Blanks and letters that a request can't hold are written as a browser would.
                let value = if value.bytes().all(|byte| byte.is_ascii_graphic()) { value } else { url.as_str() };
                let value = value.split('#').next().unwrap_or_default();
                let (base, query) = value.split_once('?').unwrap_or((value, ""));
                let query = Some(query).filter(|query| !query.is_empty());
                let query = query.map(|query| Secret::new(query.to_owned()));
                Ok(Self { base: base.trim_end_matches('/').to_owned(), query })
            }
            Some(_) => Err("holds a user name or a password, which don't belong in an address".to_owned()),
            None => Err("is not an address: expected `https://host` or `http://host:port`".to_owned()),
        }
    }

    /// An address without a query.
    pub const fn of(base: String) -> Self {
        Self { base, query: None }
    }

    /// With more behind its path.
    #[must_use]
    pub fn join(&self, path: &str) -> Self {
        Self { base: format!("{}{path}", self.base), query: self.query.clone() }
    }

    /// At a port.
    ///
    /// # Errors
    ///
    /// The port that it has, if that is another one.
    pub fn at(&self, port: u16) -> Result<Self, String> {
        let host = self.base.find("://").map_or(0, |scheme| scheme + 3);
        let path = self.base.get(host..).and_then(|rest| rest.find('/')).map_or(self.base.len(), |path| host + path);
        let (before, path) = self.base.split_at(path);
        // What is behind the last colon of `[::1]` is no port.
        let has = before.get(host..).and_then(|host| host.rsplit_once(':')).filter(|(_, has)| !has.ends_with(']'));
        match has.map(|(_, has)| has) {
            None => Ok(Self { base: format!("{before}:{port}{path}"), query: self.query.clone() }),
            Some(has) if has.parse() == Ok(port) => Ok(self.clone()),
            Some(has) => Err(has.to_owned()),
        }
    }

    /// What people may see of an address, or of what should be one: no user, no password, and
    /// nothing from behind a `?` or a `#`.
    pub fn shown(value: &str) -> String {
        let end = value.find(['?', '#']).map_or(value.len(), |at| at + 1);
        let (base, hidden) = value.split_at(end);
        match Url::parse(value).ok().filter(Url::has_host) {
            Some(url) if !url.username().is_empty() || url.password().is_some() => {
                format!("{}://***@{}", url.scheme(), url.host_str().unwrap_or_default())
            }
            // A password may hold a `/` or a `?`: where it ends isn't clear.
            None if value.contains('@') => "***".to_owned(),
            Some(_) if base.contains('@') => "***".to_owned(),
            _ => format!("{base}{}", if hidden.is_empty() { "" } else { "***" }),
        }
    }
}

/// An address by HTTP with a host that there can be: the standard for addresses takes `,` for one, and of a path without
/// a host, `https:///x`, its first word.
pub fn http_url(value: &str) -> Option<Url> {
    let (_, rest) = value.split_once("://")?;
    let url = Url::parse(value).ok()?;
    let has_host = !rest.starts_with(['/', '\\']) && url.domain().map_or(url.has_host(), is_host_name);
    (matches!(url.scheme(), "http" | "https") && has_host).then_some(url)
}

/// Whether text can be a host's name, which may end in a dot; some hold a `_`.
pub fn is_host_name(name: &str) -> bool {
    let mut parts = name.strip_suffix('.').unwrap_or(name).split('.');
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    parts.all(|part| part.bytes().all(letter) && part.bytes().any(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_public_and_what_may_be_a_secret() {
        for (value, base, query) in [
            ("https://intake.example.com/", "https://intake.example.com", None),
            ("http://vm:8480/insert/7/?a=1&b=2", "http://vm:8480/insert/7", Some("a=1&b=2")),
            ("http://vm?a=1/", "http://vm", Some("a=1/")),
            ("http://vm/x?#y", "http://vm/x", None),
            ("http://vm/a b/ü/?c=ü d", "http://vm/a%20b/%C3%BC", Some("c=%C3%BC%20d")),
        ] {
            let address = Address::parse(value).unwrap();
            assert_eq!((address.base.as_str(), address.query.as_ref().map(Secret::expose)), (base, query), "{value}");
        }
        for bad in [
            "intake.example.com",
            "ftp://x",
            "https://user:pw@x",
            "https://user@x",
            "https://",
            "https://?a",
            "https:///x",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn has_one_port() {
        for (base, expected) in [
            ("http://loki", Ok("http://loki:80")),
            ("http://loki/x:1/y", Ok("http://loki:80/x:1/y")),
            ("http://loki:80/x", Ok("http://loki:80/x")),
            ("http://[::80]", Ok("http://[::80]:80")),
            ("http://[::1]:81", Err("81")),
            ("http://loki:8080/x", Err("8080")),
        ] {
            let found = Address::of(base.to_owned()).at(80).map(|address| address.base);
            assert_eq!(found.as_deref(), expected.map_err(str::to_owned).as_deref(), "{base}");
        }
    }

    #[test]
    fn shows_nothing_that_may_be_a_secret() {
        for (value, shown) in [
            ("http://loki:3100/x", "http://loki:3100/x"),
            ("loki", "loki"),
            ("http://loki?a=s3cret", "http://loki?***"),
            ("http://loki?", "http://loki?"),
            ("loki/#s3cret", "loki/#***"),
            ("https://u:s3cret@loki:3100/x", "https://***@loki"),
            ("u:s3cret@loki", "***"),
            ("https://u:s3/c?ret@loki", "***"),
            ("https://u/s3cret@loki", "***"),
            ("https://loki?mail=a@b", "https://loki?***"),
        ] {
            assert_eq!(Address::shown(value), shown);
        }
    }
}
