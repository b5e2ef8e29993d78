//! Headers that say who sends.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::env::{Env, Secret, Setting};
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

/// The settings of a backend that takes a user and a password, or else a token.
pub(super) struct Either<'s> {
    pub(super) user: &'s Setting<String>,
    pub(super) password: &'s Setting<Secret>,
    pub(super) scheme: &'static str,
    /// The token's variables, of which the first that is set holds.
    pub(super) tokens: &'s [&'s Setting<Secret>],
}

impl Either<'_> {
    /// The header; `Ok(None)` when nothing is set, `Err` when the settings contradict each other.
    pub(super) fn read(&self, env: &mut Env<'_>) -> Result<Option<Header>, ()> {
        let (user, password) = (env.read(self.user), env.read(self.password));
        let (user_name, password_name) = (self.user.row().name, self.password.row().name);
        let tokens: Vec<_> = self.tokens.iter().map(|token| (token.row().name, env.read(token))).collect();
        let given = tokens.into_iter().find_map(|(name, token)| Some((name, token?)));
        match (user, password, given) {
            (None, None, None) => Ok(None),
            (None, None, Some((_, given))) => Ok(Some(token(self.scheme, &given))),
            (Some(user), Some(password), None) => Ok(Some(basic(&user, &password))),
            (_, _, Some((name, _))) => {
                let what = format!("is set beside {user_name} or {password_name}: expected one or the other");
                env.mistake(name, what);
                Err(())
            }
            (user, _, None) => {
                let missing = if user.is_some() { password_name } else { user_name };
                env.mistake(missing, "is not set: user and password belong together".to_owned());
                Err(())
            }
        }
    }
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
