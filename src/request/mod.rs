//! HTTP as values: what encoders make, delivery sends and backends judge.

mod endpoint;
mod frame;
mod weight;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use endpoint::{Certificates, Destination, Endpoint, Header, PemFile, Signing};
pub use frame::{Frame, Wrapper, varint};
pub use weight::Weight;

use crate::env::Secret;
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

/// One item of a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Item {
    /// Where it ends, counted from behind what the frame puts before the first.
    pub end: usize,
    /// What it stands for.
    pub weight: Weight,
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
    /// Whether it says that it is a web page.
    pub html: bool,
    /// Names of the headers that a verdict may depend on, in lower case.
    pub telling: Vec<String>,
    /// Where it says to go instead, without a query.
    pub location: Option<String>,
    /// What was sent beside what the request holds, to sign it or to a proxy: nothing that is said of the response may
    /// show it.
    pub secrets: Vec<Secret>,
}

/// What a response means for the items of its request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// All are taken.
    Accepted,
    /// Later: not before the answer's `retry_after`.
    Busy,
    /// None was taken, as some are malformed: the others may be taken without them.
    Malformed,
    /// Not here: the address leads elsewhere, a proxy is in the way, or what it names isn't there yet.
    NotFound,
    /// Some, and the others may be in the request's other form.
    Otherwise {
        /// Places of the others, in ascending order.
        others: Vec<usize>,
        /// What the intake says of them.
        why: String,
    },
    /// None was taken, as some are older than what is there: the others may be taken without them, which need
    /// no other attempt.
    Outdated,
    /// Some.
    Partly {
        /// Places of those that may be taken later, in ascending order.
        retry: Vec<usize>,
        /// Those that never will be.
        refused: Refused,
        /// What the intake says of them.
        why: String,
    },
    /// Never: sending them again can't help.
    Refused,
    /// Not with so many at once.
    TooLarge,
    /// Not with these credentials.
    Unauthorized,
    /// None was taken, as the intake doesn't know this form: it may know the request's fallback.
    Unsupported,
    /// All are taken, and the intake has something to say of them.
    Warned {
        /// What it says.
        why: String,
    },
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

#[cfg(test)]
impl Request {
    /// A request to nowhere with these items: for tests of what its answers mean.
    pub(crate) fn with_items(items: Vec<Item>, judge: fn(&Self, &Response) -> Verdict) -> Self {
        Self {
            destination: Destination::Stdout,
            body: Vec::new(),
            compression: Compression::None,
            frame: Frame::text(b"", b"\n", b"\n"),
            items,
            route: "test",
            oldest: Timestamp::default(),
            judge,
            select: |_, _| None,
            fallback: None,
        }
    }
}
