use super::{Kind, Measure, Timestamp};

/// One value of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric<'a> {
    /// What is measured.
    pub name: Name<'a>,
    /// When.
    pub time: Timestamp,
    /// When the line was written that it was read from.
    pub written: Timestamp,
    /// How much, and of what nature.
    pub value: Value,
    /// What the value counts; none for plain numbers.
    pub unit: Option<Unit<'a>>,
    /// What the author of the metric tagged it with.
    pub tags: &'a [Tag<'a>],
    /// Invocation that it belongs to.
    pub request_id: Option<&'a str>,
    /// Id of the log event it was read from: stable when a batch is delivered again.
    pub event_id: &'a str,
}

impl Metric<'_> {
    /// When, as exactly as is known: what a stamp in whole seconds leaves open, the time of its line mostly tells.
    pub fn moment(&self) -> Timestamp {
        let is_whole = self.time.millis().rem_euclid(1000) == 0;
        if is_whole && self.time.seconds() == self.written.seconds() { self.written } else { self.time }
    }
}

/// What a metric is called.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Name<'a> {
    /// Somebody's own metric, under their name.
    Custom(&'a str),
    /// One of Lambda's.
    Measure(Measure),
}

/// The value of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// State of a service check.
    Check(CheckStatus),
    /// How many since the last one.
    Count(f64),
    /// One sample of many, whose author has asked for all of them to be kept: a histogram where that makes no difference.
    Distribution(f64),
    /// How much now.
    Gauge(f64),
    /// One sample of many.
    Histogram(f64),
}

/// State of a service check, in Datadog's numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CheckStatus {
    /// 0
    Ok,
    /// 1
    Warning,
    /// 2
    Critical,
    /// 3
    Unknown,
}

/// What a value counts.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Unit<'a> {
    /// Bytes.
    Bytes,
    /// 2²⁰ bytes, which Lambda calls MB.
    Megabytes,
    /// Milliseconds.
    Milliseconds,
    /// Another unit, in its author's words.
    Other(&'a str),
    /// Seconds.
    Seconds,
    /// US dollars.
    UsDollars,
}

/// A word that describes a metric: `key:value`, or a bare `key` with an empty value.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Tag<'a> {
    /// What it says something about.
    pub key: &'a str,
    /// What it says; empty for a bare key.
    pub value: &'a str,
}

impl Value {
    /// The number.
    pub fn number(self) -> f64 {
        match self {
            Self::Check(status) => f64::from(status.code()),
            Self::Count(value) | Self::Distribution(value) | Self::Gauge(value) | Self::Histogram(value) => value,
        }
    }

    /// Its nature.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Check(_) => Kind::Check,
            Self::Count(_) => Kind::Count,
            Self::Gauge(_) => Kind::Gauge,
            Self::Distribution(_) | Self::Histogram(_) => Kind::Histogram,
        }
    }
}

impl CheckStatus {
    /// Reads 0 to 3.
    pub fn from_number(value: f64) -> Option<Self> {
        let all = [Self::Ok, Self::Warning, Self::Critical, Self::Unknown];
        all.into_iter().find(|status| (f64::from(status.code()) - value).abs() < f64::EPSILON)
    }

    /// 0 to 3.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }
}

impl<'a> Unit<'a> {
    /// As `stdout` writes it.
    pub const fn as_str(self) -> &'a str {
        match self {
            Self::Bytes => "B",
            Self::Megabytes => "MB",
            Self::Milliseconds => "ms",
            Self::Other(unit) => unit,
            Self::Seconds => "s",
            Self::UsDollars => "USD",
        }
    }
}

impl<'a> Name<'a> {
    /// The neutral name.
    pub const fn as_str(self) -> &'a str {
        match self {
            Self::Custom(name) => name,
            Self::Measure(measure) => measure.name(),
        }
    }
}

impl<'a> Tag<'a> {
    /// Splits `key:value` at its first colon, or `key=value`, which some write, at its first `=`.
    pub fn parse(tag: &'a str) -> Self {
        let place = |wanted: u8| tag.bytes().position(|byte| byte == wanted);
        let split = |at: usize| Some(Self { key: tag.get(..at)?, value: tag.get(at + 1..)? });
        place(b':').or_else(|| place(b'=')).and_then(split).unwrap_or(Self { key: tag, value: "" })
    }
}

/// Where telemetry goes: an encoder, several of them, or a test.
pub trait Sink {
    /// Takes a log.
    fn log(&mut self, origin: &super::Origin, log: &super::Log<'_>);
    /// Whether level, request id and timestamp of JSON lines are of use; finding them takes time.
    fn wants_json_fields(&self) -> bool {
        true
    }
    /// Takes what one log event measures: at least one metric, and all that it holds at once.
    fn metrics(&mut self, origin: &super::Origin, metrics: &[Metric<'_>]);
}

/// Nobody: takes everything and wants nothing.
impl Sink for () {
    fn log(&mut self, _: &super::Origin, _: &super::Log<'_>) {}

    fn wants_json_fields(&self) -> bool {
        false
    }

    fn metrics(&mut self, _: &super::Origin, _: &[Metric<'_>]) {}
}
