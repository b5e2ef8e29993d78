//! HTTP as values: what encoders make, delivery sends and backends judge.

use std::fmt;
use std::time::Duration;

use crate::env::Secret;

/// A finished request: nothing has to be known beside it to send it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where it goes.
    pub destination: Destination,
    /// The body as it is sent: framed and compressed.
    pub body: Vec<u8>,
    /// How the body is compressed.
    pub compression: Compression,
    /// How its items are held together.
    pub frame: Frame,
    /// Its items, in order: where each ends in the uncompressed body, and what it stands for.
    pub items: Vec<Item>,
    /// Cuts it in two, each with half of the items, for when an intake says that
    /// it is too large; `None` from a request that can't be cut.
    pub split: fn(&Request) -> Option<[Request; 2]>,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// An address that takes `POST`.
    Http {
        /// Absolute address, without secrets.
        url: String,
        /// Headers beside `Content-Length`.
        headers: Vec<(&'static str, Header)>,
    },
    /// Standard output.
    Stdout,
}

/// The value of a header.
#[derive(Clone, Debug, PartialEq)]
pub enum Header {
    /// Anybody may see it.
    Public(String),
    /// It is sent and never shown.
    Secret(Secret),
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compression {
    /// Zlib (RFC 1950), which HTTP calls deflate, at a level of 0 to 9.
    Deflate(u32),
    /// Gzip at a level of 0 to 9.
    Gzip(u32),
    /// As it is.
    None,
    /// Zstandard at a level of 1 to 22.
    Zstd(i32),
}

/// What stands before, between and behind items.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame {
    /// Before the first.
    pub open: &'static [u8],
    /// Between two.
    pub separator: &'static [u8],
    /// Behind the last.
    pub close: &'static [u8],
}

/// One item of a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Item {
    /// Where it ends in the uncompressed body.
    pub end: usize,
    /// What it stands for.
    pub weight: Weight,
}

/// How much telemetry something stands for: a series may hold many metrics.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Weight {
    /// Logs.
    pub logs: u64,
    /// Metrics, as they were before a backend aggregated them.
    pub metrics: u64,
}

/// What came back.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// How long the intake asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The body, or its beginning.
    pub body: Vec<u8>,
}

/// What a response means for the items of its request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// All are taken.
    Accepted,
    /// Later.
    Busy {
        /// Not before this.
        retry_after: Option<Duration>,
    },
    /// Never: sending them again can't help.
    Refused,
    /// Not with so many at once.
    TooLarge,
    /// Not with these credentials.
    Unauthorized,
}

impl Request {
    /// What all its items stand for.
    pub fn weight(&self) -> Weight {
        self.items.iter().map(|item| item.weight).sum()
    }
}

impl Verdict {
    /// What a status means wherever a backend doesn't say otherwise.
    ///
    /// Source: RFC 9110 §15, and what intakes do: 408, 429 and 5xx pass; 501 and
    /// other 4xx don't.
    pub const fn of(response: &Response) -> Self {
        match response.status {
            200..=299 => Self::Accepted,
            401 | 403 => Self::Unauthorized,
            413 => Self::TooLarge,
            408 | 425 | 429 | 500 | 502..=599 => Self::Busy { retry_after: response.retry_after },
            _ => Self::Refused,
        }
    }
}

impl Compression {
    /// Value of `Content-Encoding`; none for a body as it is.
    pub const fn content_encoding(self) -> Option<&'static str> {
        match self {
            Self::Deflate(_) => Some("deflate"),
            Self::Gzip(_) => Some("gzip"),
            Self::None => None,
            Self::Zstd(_) => Some("zstd"),
        }
    }
}

impl Weight {
    /// One log.
    pub const LOG: Self = Self { logs: 1, metrics: 0 };
    /// One metric.
    pub const METRIC: Self = Self { logs: 0, metrics: 1 };

    /// Logs and metrics.
    pub const fn total(self) -> u64 {
        self.logs + self.metrics
    }
}

impl std::ops::AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        self.logs += other.logs;
        self.metrics += other.metrics;
    }
}

impl std::iter::Sum for Weight {
    fn sum<I: Iterator<Item = Self>>(weights: I) -> Self {
        weights.fold(Self::default(), |mut sum, weight| {
            sum += weight;
            sum
        })
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public(value) => f.write_str(value),
            Self::Secret(secret) => secret.fmt(f),
        }
    }
}
