//! HTTP as values: what encoders make, delivery sends and backends judge.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::env::{Address, Secret};
use crate::model::Timestamp;

/// A finished request: all that is needed to send it, to judge the answer, and to send a part of it.
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
    /// Which of its backend's intakes it is for.
    pub route: &'static str,
    /// Time of the oldest log event that was read for it.
    pub oldest: Timestamp,
    /// What an answer means for its items.
    pub judge: fn(&Request, &Response) -> Verdict,
    /// Makes the request with some of its items only, whose places are given in ascending
    /// order; `None` if the body can't be read back.
    pub select: fn(&Request, &[usize]) -> Option<Request>,
    /// The request in another form, for an intake that doesn't know this one.
    pub fallback: Option<Fallback>,
}

/// Another form of the same items.
#[derive(Clone, Debug)]
pub struct Fallback {
    /// The same items in that form; `None` if the body can't be read back.
    pub encode: fn(&Request) -> Option<Request>,
    /// Set once it was needed for a whole request: everything is encoded in that form from then on.
    pub needed: Arc<AtomicBool>,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// An address that takes `POST`.
    Http(Endpoint),
    /// Standard output.
    Stdout,
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

/// How a body is compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compression {
    /// Zlib (RFC 1950), which HTTP calls deflate, at a level of 0 to 9.
    Deflate(u32),
    /// Gzip at a level of 0 to 9.
    Gzip(u32),
    /// As it is.
    None,
    /// Snappy's block format, which Prometheus' remote write and Loki take.
    Snappy,
    /// Zstandard at a level of 1 to 22.
    Zstd(i32),
}

/// What stands before, between and behind items.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Frame {
    /// Length-delimited fields of protobuf messages around the items, the
    /// outermost first. Items are whole fields, so nothing stands between them.
    Protobuf(Vec<Wrapper>),
    /// Pieces of text.
    Text {
        /// Before the first.
        open: Cow<'static, [u8]>,
        /// Between two.
        separator: Cow<'static, [u8]>,
        /// Behind the last.
        close: Cow<'static, [u8]>,
    },
}

/// A message that holds what is wrapped in it as its last fields.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wrapper {
    /// Number of the field that holds the message; 0 for the body itself, which no field holds.
    pub field: u32,
    /// The fields of the message before what is wrapped.
    pub before: Vec<u8>,
}

/// One item of a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Item {
    /// Where it ends, counted from behind what the frame puts before the first.
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
    /// Whether the body broke off, or took too long to be read to its end.
    pub cut: bool,
    /// Names of the headers that a verdict may depend on, in lower case.
    pub telling: Vec<String>,
    /// Where it says to go instead, without a query.
    pub location: Option<String>,
}

/// What a response means for the items of its request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// All are taken.
    Accepted,
    /// Later: not before the answer's `retry_after`.
    Busy,
    /// Never: sending them again can't help.
    Refused,
    /// None was taken, as some are malformed: the others may be taken without them.
    Malformed,
    /// None was taken, as some are older than what is there: the others may be taken without them, which need
    /// no other attempt.
    Outdated,
    /// Not here: the address leads elsewhere, a proxy is in the way, or what it names isn't there yet.
    NotFound,
    /// Some.
    Partly {
        /// Places of those that may be taken later, in ascending order.
        retry: Vec<usize>,
        /// Those that never will be.
        refused: Refused,
        /// What the intake says of them.
        why: String,
    },
    /// Some, and the others may be in the request's other form.
    Otherwise {
        /// Places of the others, in ascending order.
        others: Vec<usize>,
        /// What the intake says of them.
        why: String,
    },
    /// Not with so many at once.
    TooLarge,
    /// Not with these credentials.
    Unauthorized,
    /// None was taken, as the intake doesn't know this form: it may know the request's fallback.
    Unsupported,
}

/// Items that an intake never takes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refused {
    /// Only so many: the intake doesn't say which.
    Count(Weight),
    /// Those at these places, in ascending order.
    Items(Vec<usize>),
}

impl Request {
    /// What all its items stand for.
    pub fn weight(&self) -> Weight {
        self.items.iter().map(|item| item.weight).sum()
    }

    /// What the items at these places stand for.
    pub fn weight_of(&self, places: &[usize]) -> Weight {
        places.iter().filter_map(|place| self.items.get(*place)).map(|item| item.weight).sum()
    }

    /// The request with the items at these places only, which are given in ascending order;
    /// `None` without any, or if the body can't be read back.
    pub fn part(&self, places: &[usize]) -> Option<Self> {
        match places.len() {
            0 => None,
            all if all == self.items.len() => Some(self.clone()),
            _ => (self.select)(self, places),
        }
    }

    /// How long one attempt may take, where its user says so.
    pub const fn timeout(&self) -> Option<Duration> {
        match &self.destination {
            Destination::Http(endpoint) => endpoint.timeout,
            Destination::Stdout => None,
        }
    }

    /// The items at these places in the other form; `None` if there is none, or the body can't be read back.
    pub fn otherwise(&self, places: &[usize]) -> Option<Self> {
        let fallback = self.fallback.as_ref()?;
        (self.select)(self, places).as_ref().and_then(fallback.encode)
    }

    /// The request in its other form, which later ones are encoded in, too; `None` as for [`otherwise`](Self::otherwise).
    pub fn fall_back(&self) -> Option<Self> {
        let fallback = self.fallback.as_ref()?;
        fallback.needed.store(true, Ordering::Relaxed);
        (fallback.encode)(self)
    }

    /// Where each item is in the uncompressed body, counted from the end of what the frame puts before the first.
    pub fn places(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let separator = self.frame.separator().len();
        let starts = std::iter::once(0).chain(self.items.iter().map(move |item| item.end + separator));
        starts.zip(&self.items).map(|(start, item)| start..item.end)
    }
}

impl Frame {
    /// Text around items.
    pub const fn text(open: &'static [u8], separator: &'static [u8], close: &'static [u8]) -> Self {
        Self::Text { open: Cow::Borrowed(open), separator: Cow::Borrowed(separator), close: Cow::Borrowed(close) }
    }

    /// What stands before the first of items that take `inside` bytes.
    pub fn open(&self, inside: usize) -> Cow<'_, [u8]> {
        match self {
            Self::Text { open, .. } => Cow::Borrowed(open),
            Self::Protobuf(wrappers) => {
                let mut heads = Vec::with_capacity(wrappers.len());
                let mut len = inside;
                for wrapper in wrappers.iter().rev() {
                    let mut head = Vec::with_capacity(wrapper.before.len() + 12);
                    if wrapper.field > 0 {
                        varint(u64::from(wrapper.field) << 3 | 2, &mut head);
                        varint((wrapper.before.len() + len) as u64, &mut head);
                    }
                    head.extend_from_slice(&wrapper.before);
                    len += head.len();
                    heads.push(head);
                }
                heads.reverse();
                Cow::Owned(heads.concat())
            }
        }
    }

    /// What stands between two items.
    pub fn separator(&self) -> &[u8] {
        match self {
            Self::Text { separator, .. } => separator,
            Self::Protobuf(_) => b"",
        }
    }

    /// What stands behind the last.
    pub fn close(&self) -> &[u8] {
        match self {
            Self::Text { close, .. } => close,
            Self::Protobuf(_) => b"",
        }
    }

    /// Bytes of what stands before and behind `inside` bytes of items.
    pub fn overhead(&self, inside: usize) -> usize {
        match self {
            Self::Text { open, close, .. } => open.len() + close.len(),
            Self::Protobuf(wrappers) => wrappers.iter().rev().fold(0, |len, Wrapper { field, before }| {
                let key = u64::from(*field) << 3 | 2;
                let message = (len + inside + before.len()) as u64;
                len + before.len() + if *field > 0 { varint_len(key) + varint_len(message) } else { 0 }
            }),
        }
    }
}

/// Appends a number as protobuf writes it: seven bits a byte, the lowest first.
///
/// Source: <https://protobuf.dev/programming-guides/encoding/#varints>
#[expect(clippy::cast_possible_truncation, reason = "seven bits")]
pub fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Bytes of a number as protobuf writes it.
const fn varint_len(number: u64) -> usize {
    match number.checked_ilog2() {
        Some(bits) => bits as usize / 7 + 1,
        None => 1,
    }
}

impl Verdict {
    /// What a status means wherever a backend doesn't say otherwise.
    ///
    /// Source: RFC 9110 §15, and what intakes do: 408, 429 and 5xx pass; 501 and
    /// other 4xx don't. 3xx, as nobody follows them, 401, 403, 404, a 405 of what takes no
    /// POST, and a proxy's 407 are mistakes in settings, which somebody may mend.
    pub const fn of(_: &Request, response: &Response) -> Self {
        match response.status {
            200..=299 => Self::Accepted,
            401 | 403 => Self::Unauthorized,
            300..=399 | 404 | 405 | 407 => Self::NotFound,
            413 => Self::TooLarge,
            408 | 425 | 429 | 500 | 502..=599 => Self::Busy,
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
            Self::Snappy => Some("snappy"),
            Self::Zstd(_) => Some("zstd"),
        }
    }
}

impl Weight {
    /// One log.
    pub const LOG: Self = Self { logs: 1, metrics: 0 };
    /// One metric.
    pub const METRIC: Self = Self { logs: 0, metrics: 1 };

    /// So many metrics.
    pub const fn metrics(metrics: u64) -> Self {
        Self { logs: 0, metrics }
    }

    /// Logs and metrics.
    pub const fn total(self) -> u64 {
        self.logs + self.metrics
    }

    /// What is left without `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self { logs: self.logs.saturating_sub(other.logs), metrics: self.metrics.saturating_sub(other.metrics) }
    }

    /// No more than `other`.
    #[must_use]
    pub fn at_most(self, other: Self) -> Self {
        Self { logs: self.logs.min(other.logs), metrics: self.metrics.min(other.metrics) }
    }
}

/// As people say it: `1 log`, `2 logs and 1 metric`.
impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some = |f: &mut fmt::Formatter<'_>, count: u64, one: &str| match count {
            1 => write!(f, "1 {one}"),
            _ => write!(f, "{count} {one}s"),
        };
        if self.logs > 0 || self.metrics == 0 {
            some(f, self.logs, "log")?;
        }
        if self.logs > 0 && self.metrics > 0 {
            f.write_str(" and ")?;
        }
        if self.metrics > 0 { some(f, self.metrics, "metric") } else { Ok(()) }
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
