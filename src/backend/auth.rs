//! Headers that say who sends.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::env::Secret;
use crate::request::Header;

/// `Basic`, of RFC 7617.
pub(super) fn basic(user: &str, password: &Secret) -> Header {
    let token = STANDARD.encode(format!("{user}:{}", password.expose()));
    Header::Secret(Secret::new(format!("Basic {token}")))
}

/// A scheme and a token: `Bearer …`, `ApiKey …`, `Splunk …`.
pub(super) fn token(scheme: &str, token: &Secret) -> Header {
    Header::Secret(Secret::new(format!("{scheme} {}", token.expose())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_who_sends() {
        let secret = Secret::new("open sesame".to_owned());
        let exposed = |header: Header| match header {
            Header::Secret(secret) => secret.expose().to_owned(),
            Header::Public(_) => "public".to_owned(),
        };
        assert_eq!(exposed(basic("Aladdin", &secret)), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(exposed(token("Bearer", &secret)), "Bearer open sesame");
    }
}
