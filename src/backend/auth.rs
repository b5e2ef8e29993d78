//! Headers: which names they may have, and those that say who sends.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::env::{Env, Secret, Setting};
use crate::request::Header;

/// Whether a header may have this name: a token of RFC 9110, §5.6.2.
pub(super) fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// `Basic`, of RFC 7617, in UTF-8.
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
    /// Whether any of them is set.
    pub(super) fn given(&self, env: &Env<'_>) -> bool {
        env.given(self.user) || env.given(self.password) || self.tokens.iter().any(|token| env.given(token))
    }

    /// Whether the user and whether the tokens count: under a name that has the one of its own, the other
    /// doesn't where it is shared.
    fn counts(&self, env: &Env<'_>) -> (bool, bool) {
        let user = env.is_own(self.user) || env.is_own(self.password);
        let token = self.tokens.iter().any(|token| env.is_own(token));
        (user || !token, token || !user)
    }

    /// The header; `Ok(None)` when nothing is set, `Err` when what is set is wrong or not fetched yet.
    pub(super) fn read(&self, env: &mut Env<'_>) -> Result<Option<Header>, ()> {
        let (user, password) = (env.read(self.user), env.read(self.password));
        env.one_holds(self.tokens);
        let (own, shared): (Vec<_>, Vec<_>) = self.tokens.iter().partition(|token| env.is_own(token));
        let tokens: Vec<_> =
            own.into_iter().chain(shared).map(|token| (env.given(token), env.name(token), env.read(token))).collect();
        let (basic_counts, token_counts) = self.counts(env);
        let given = tokens.into_iter().find(|(given, ..)| *given && token_counts);
        match (env.given(self.user) && basic_counts, env.given(self.password) && basic_counts, given) {
            (false, false, None) => Ok(None),
            (false, false, Some((.., given))) => given.map(|given| Some(token(self.scheme, &given))).ok_or(()),
            (true, true, None) => {
                let credentials = user.zip(password).ok_or(())?;
                Ok(Some(basic(&credentials.0, &credentials.1)))
            }
            (_, _, Some((_, name, _))) => {
                let (user, password) = (env.name(self.user), env.name(self.password));
                env.mistake(&name, format!("is set beside {user} or {password}: expected one or the other"));
                Err(())
            }
            (user, _, None) => {
                let missing = if user { env.name(self.password) } else { env.name(self.user) };
                env.mistake(&missing, "is not set: user and password belong together".to_owned());
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
        assert_eq!(exposed(basic("u", &Secret::new("é ü".to_owned()))), "Basic dTrDqSDDvA==");
        assert_eq!(exposed(token("Bearer", &secret)), "Bearer open sesame");
    }
}
