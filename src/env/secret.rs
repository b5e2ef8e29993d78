//! Secrets, and where they are kept.

use std::fmt;

/// A value that never prints.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

/// A secret that isn't in the environment, but in a place that the environment names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Elsewhere {
    /// Name of the variable that would hold it: `DD_API_KEY_EU`.
    pub name: String,
    /// Name of the setting: `DD_API_KEY`.
    pub setting: String,
    /// Name of the variable that names its place: `DD_API_KEY_EU_SECRET_ARN`.
    pub variable: String,
    /// What keeps it.
    pub vault: Vault,
    /// Its ARN or name, or what it is encrypted as.
    pub place: String,
}

/// What keeps a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Vault {
    /// Nothing: the variable holds it, encrypted by KMS, in base64.
    Kms,
    /// Systems Manager's Parameter Store.
    ParameterStore,
    /// Secrets Manager.
    SecretsManager,
}

impl Secret {
    /// Keeps a value from being shown.
    pub const fn new(value: String) -> Self {
        Self(value)
    }

    /// The value, for where it is used.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Vault {
    /// In the order in which one wins over the other, and all over the plain variable.
    pub const ALL: [Self; 3] = [Self::SecretsManager, Self::ParameterStore, Self::Kms];

    /// The variables that name the place of a secret. The Datadog Forwarder has a name of its own for one.
    pub(super) fn variables(self, name: &str) -> impl Iterator<Item = String> {
        let of_datadog = (self == Self::Kms && name == "DD_API_KEY").then(|| "DD_KMS_API_KEY".to_owned());
        of_datadog.into_iter().chain([format!("{name}{}", self.suffix())])
    }

    /// Whether a secret can be there.
    pub(super) fn check(self, place: &str) -> Result<(), String> {
        if self != Self::SecretsManager || is_secret_name(place) || is_secret_arn(place) {
            return Ok(());
        }
        // What stands there instead may be the secret itself: it isn't shown.
        Err("is neither the ARN of a secret in Secrets Manager nor its name: expected `arn:aws:secretsmanager:region:account:secret:name`, and perhaps a field as `:field::` behind it".to_owned())
    }

    /// What the name of the variable ends in.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Kms => "_KMS",
            Self::ParameterStore => "_SSM_NAME",
            Self::SecretsManager => "_SECRET_ARN",
        }
    }
}

/// Whether Secrets Manager takes a name.
///
/// Source: <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>
fn is_secret_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte))
}

/// `arn:aws:secretsmanager:eu-west-1:123456789012:secret:name-AbCdEf`, with up to three parts behind it, as in ECS.
fn is_secret_arn(text: &str) -> bool {
    let parts: Vec<_> = text.splitn(8, ':').collect();
    let [arn, partition, service, region, account, kind, name, rest @ ..] = parts.as_slice() else { return false };
    (*arn, *service, *kind) == ("arn", "secretsmanager", "secret")
        && [partition, region, account, name].iter().all(|part| is_secret_name(part))
        && rest.iter().all(|rest| rest.split(':').count() <= 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::new("s3cret".into());
        assert_eq!(format!("{secret} {secret:?}"), "*** Secret(***)");
    }
}
