use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::env::{Address, Secret};

/// Where a request goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// An address that takes `POST`.
    Http(Endpoint),
    /// Standard output.
    Stdout,
}

impl Destination {
    /// What people know it by: an address without secrets, or words.
    pub fn address(&self) -> &str {
        match self {
            Self::Http(endpoint) => &endpoint.url,
            Self::Stdout => "standard output",
        }
    }
}

/// An address that takes `POST`, and how requests to it are sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoint {
    /// Absolute address, without secrets.
    pub url: String,
    /// The part of the address behind its `?` that may be a secret.
    pub query: Option<Secret>,
    /// Headers beside `Content-Length`.
    pub headers: Vec<(Cow<'static, str>, Header)>,
    /// How long one attempt may take, where its user says so.
    pub timeout: Option<Duration>,
    /// Whether requests are signed with AWS credentials.
    pub signing: Option<Signing>,
    /// Certificates of its own, read at cold start.
    pub certificates: Option<Arc<Certificates>>,
}

impl From<Address> for Endpoint {
    fn from(address: Address) -> Self {
        Self { url: address.base, query: address.query, ..Self::default() }
    }
}

/// Certificates for one address, beside those for all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Certificates {
    /// Authorities to trust.
    pub authorities: Option<PemFile>,
    /// Certificates that the client shows itself with, and the private key of the first.
    pub client: Option<(PemFile, PemFile)>,
}

/// A file with certificates or a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PemFile {
    /// Variable that names it.
    pub variable: String,
    /// Where it is.
    pub path: String,
}

/// What an AWS signature (version 4) is made for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signing {
    /// Name of the service, as `aps`.
    pub service: &'static str,
    /// Region, as `eu-west-1`.
    pub region: String,
}

/// The value of a header.
#[derive(Clone, Debug, PartialEq)]
pub enum Header {
    /// Anybody may see it.
    Public(String),
    /// It is sent and never shown.
    Secret(Secret),
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public(value) => f.write_str(value),
            Self::Secret(secret) => secret.fmt(f),
        }
    }
}
