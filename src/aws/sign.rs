use std::time::SystemTime;

use aws_credential_types::Credentials as Identity;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningParams, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;

use crate::env::{Env, Secret, Setting, read};
use crate::request::Signing;

/// Whose requests these are: what Lambda puts into the environment of a function, from its role.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Credentials {
    access_key_id: String,
    secret_access_key: Secret,
    session_token: Option<Secret>,
}

/// Signs requests to AWS, signature version 4.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>
#[derive(Clone, Debug)]
pub struct Signer {
    credentials: Option<Credentials>,
    clock: fn() -> SystemTime,
}

/// Why a request can't be signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignError {
    /// Nobody to sign for.
    #[error("no AWS credentials: expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which Lambda sets")]
    NoCredentials,
    /// No region to sign for.
    #[error("no region to sign for: expected AWS_REGION, which Lambda sets")]
    NoRegion,
    /// The address or a header isn't legal.
    #[error("the request cannot be signed")]
    Unsignable,
}

impl Credentials {
    const ACCESS_KEY_ID: Setting<String> = Setting::new("AWS_ACCESS_KEY_ID", read::text, "Id of the access key.");
    const SECRET_ACCESS_KEY: Setting<Secret> =
        Setting::new("AWS_SECRET_ACCESS_KEY", read::secret, "The access key.").secret();
    const SESSION_TOKEN: Setting<Secret> =
        Setting::new("AWS_SESSION_TOKEN", read::secret, "What makes temporary credentials whole.").secret();

    /// The variables, which Lambda sets and nobody else can.
    pub const NAMES: [&str; 3] =
        [Self::ACCESS_KEY_ID.row().name, Self::SECRET_ACCESS_KEY.row().name, Self::SESSION_TOKEN.row().name];

    /// Reads the credentials, if there are any.
    pub fn from_env(env: &mut Env<'_>) -> Option<Self> {
        let (id, key, token) =
            (env.read(&Self::ACCESS_KEY_ID), env.read(&Self::SECRET_ACCESS_KEY), env.read(&Self::SESSION_TOKEN));
        Some(Self { access_key_id: id?, secret_access_key: key?, session_token: token })
    }
}

impl Signer {
    /// Signs for `credentials`, with the time that `clock` tells.
    pub const fn new(credentials: Option<Credentials>, clock: fn() -> SystemTime) -> Self {
        Self { credentials, clock }
    }

    /// The time.
    pub fn now(&self) -> SystemTime {
        (self.clock)()
    }

    /// The headers that sign a request to `url`: names and values.
    ///
    /// # Errors
    ///
    /// When there are no credentials or no region, or the address isn't legal.
    pub fn headers(
        &self,
        method: &str,
        url: &str,
        body: &[u8],
        signing: &Signing,
    ) -> Result<Vec<(&'static str, Secret)>, SignError> {
        let credentials = self.credentials.as_ref().ok_or(SignError::NoCredentials)?;
        if signing.region.is_empty() {
            return Err(SignError::NoRegion);
        }
        let token = credentials.session_token.as_ref().map(|token| token.expose().to_owned());
        let key = credentials.secret_access_key.expose();
        let identity = Identity::new(credentials.access_key_id.clone(), key, token, None, "environment").into();
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        if signing.service == "s3" {
            settings.percent_encoding_mode = aws_sigv4::http_request::PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&signing.region)
            .name(signing.service)
            .time(self.now())
            .settings(settings)
            .build()
            .map_err(|_| SignError::Unsignable)?;
        let request = SignableRequest::new(method, url, std::iter::empty(), SignableBody::Bytes(body));
        let request = request.map_err(|_| SignError::Unsignable)?;
        let signed = sign(request, &SigningParams::V4(params)).map_err(|_| SignError::Unsignable)?;
        let (headers, _) = signed.into_parts().0.into_parts();
        Ok(headers.into_iter().map(|header| (header.name(), Secret::new(header.value().to_owned()))).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn signer(token: Option<&str>) -> Signer {
        let secret = |text: &str| Secret::new(text.to_owned());
        let credentials = Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: token.map(secret),
        };
        // 2015-08-30T12:36:00Z
        Signer::new(Some(credentials), || SystemTime::UNIX_EPOCH + Duration::from_mins(24_015_636))
    }

    /// The signature is worked out by hand as the documentation says, with Python's `hmac`.
    #[test]
    fn signs_as_the_documentation_says() {
        let signing = Signing { service: "aps", region: "eu-west-1".to_owned() };
        let url = "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write";
        let headers = signer(Some("session")).headers("POST", url, b"body", &signing).unwrap();
        let header = |name: &str| {
            headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.expose()).unwrap_or_default()
        };
        assert_eq!(header("x-amz-date"), "20150830T123600Z");
        assert_eq!(header("x-amz-security-token"), "session");
        assert_eq!(header("x-amz-content-sha256"), "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5");
        let signed = "host;x-amz-content-sha256;x-amz-date;x-amz-security-token";
        let signature = "e5bce66babb83c3d29a62ebc98b4441bef1cc88d422e60d8b27c3d1cc94f8055";
        let credential = "AKIDEXAMPLE/20150830/eu-west-1/aps/aws4_request";
        let expected =
            format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}");
        assert_eq!(header("authorization"), expected);
    }

    #[test]
    fn says_what_is_missing_to_sign() {
        let signing = Signing { service: "es", region: "eu-west-1".to_owned() };
        let signer = Signer::new(None, || SystemTime::UNIX_EPOCH);
        let error = signer.headers("POST", "https://x", b"", &signing).unwrap_err();
        assert!(error.to_string().starts_with("no AWS credentials"));
        let nowhere = Signing { service: "aps", region: String::new() };
        assert_eq!(self::signer(None).headers("POST", "https://x", b"", &nowhere), Err(SignError::NoRegion));
        assert_eq!(self::signer(None).headers("POST", "not an address", b"", &signing), Err(SignError::Unsignable));
    }
}
