//! What one invocation did with each item.
//!
//! For every backend and signal, made = sent + stored + filtered + dropped:
//! each drop has a reason. Items are counted before a backend aggregates them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::model::Timestamp;
use crate::request::Weight;

/// Why an item was dropped.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Reason {
    /// The intake asked to be left alone for longer than there was time.
    Busy,
    /// There was no time to try, or to wait for an answer.
    Deadline,
    /// It wasn't sent, as the backend hasn't taken what came before it in the same invocation.
    Down,
    /// Nothing takes it at this address, or what the address names isn't there yet.
    NotFound,
    /// Larger than the backend takes, even alone.
    Oversize,
    /// The intake will never take it.
    Refused,
    /// The intake doesn't accept the credentials.
    Unauthorized,
    /// The intake couldn't be reached.
    Unreachable,
}

impl Reason {
    /// Its name as the summary writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Deadline => "deadline",
            Self::Down => "down",
            Self::NotFound => "not_found",
            Self::Oversize => "oversize",
            Self::Refused => "refused",
            Self::Unauthorized => "unauthorized",
            Self::Unreachable => "unreachable",
        }
    }

    /// What to do about it, for people.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Busy => "the intake is overloaded or limits the rate",
            Self::Deadline => "raise the function's timeout, or find out why the intake is slow",
            Self::Down => "find out why",
            Self::NotFound => "check the address, and that the index or whatever it names is there",
            Self::Oversize => {
                "the item is larger than the backend takes: write less in one line, or raise the intake's limit"
            }
            Self::Refused => "the intake will not take it: check the address and the backend's settings",
            Self::Unauthorized => "check the key, user or token, and that it is one for this address",
            Self::Unreachable => "check the address, DNS, the network of the function and the proxy",
        }
    }

    /// Whether the same item may be accepted when the invocation is repeated.
    pub const fn may_pass(self) -> bool {
        match self {
            Self::Busy | Self::Deadline | Self::Down | Self::NotFound | Self::Unauthorized | Self::Unreachable => true,
            Self::Oversize | Self::Refused => false,
        }
    }

    /// Whether the intake has judged this very request: a stored one is set aside after so many of these.
    pub const fn is_refusal(self) -> bool {
        match self {
            Self::Oversize | Self::Refused => true,
            Self::Busy | Self::Deadline | Self::Down | Self::NotFound | Self::Unauthorized | Self::Unreachable => false,
        }
    }
}

/// What one invocation did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Log events read.
    pub received: u64,
    /// Lines that became metrics and nothing else.
    pub consumed: u64,
    /// Telemetry made.
    pub made: Weight,
    /// Control messages, by which CloudWatch Logs only checks that the function can be invoked.
    pub control_messages: u64,
    /// Deliveries of our own log group, which are never forwarded.
    pub own_log_group: u64,
    /// Payloads that couldn't be decoded to their end.
    pub damaged: u64,
    /// Sequences that weren't UTF-8 and the like, replaced by U+FFFD.
    pub replaced: u64,
    /// Custom metrics left as logs, as their batch had too many names.
    pub metric_names_over_bound: u64,
    /// Tags left out, as their metric had too many.
    pub tags_over_bound: u64,
    /// Bytes inflated.
    pub inflated_bytes: u64,
    /// Time of the oldest log event.
    pub oldest: Option<Timestamp>,
    /// For each backend, in the order of the settings.
    pub backends: Vec<Account>,
}

/// What became of the items of one backend.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// Name of the backend.
    pub backend: String,
    /// Acknowledged by the intake.
    pub sent: Weight,
    /// Put into the store.
    pub stored: Weight,
    /// Kept back by the settings.
    pub filtered: Weight,
    /// Given up.
    pub dropped: BTreeMap<Reason, Weight>,
    /// Requests that were acknowledged.
    pub requests: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Bytes of acknowledged bodies.
    pub bytes: u64,
    /// How long the slowest answer took.
    pub slowest: Duration,
}

impl Ledger {
    /// For these backends.
    pub fn new<'a>(backends: impl Iterator<Item = &'a str>) -> Self {
        let backends = backends.map(|name| Account { backend: name.to_owned(), ..Account::default() });
        Self { backends: backends.collect(), ..Self::default() }
    }

    /// What isn't accounted for, by backend: empty, or there is a bug.
    pub fn unaccounted(&self) -> Vec<(&str, Weight, Weight)> {
        let accounts = self.backends.iter().map(|account| (account.backend.as_str(), self.made, account.total()));
        accounts.filter(|(_, made, total)| made != total).collect()
    }

    /// Adds what another one did.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.consumed += other.consumed;
        self.made += other.made;
        self.control_messages += other.control_messages;
        self.own_log_group += other.own_log_group;
        self.damaged += other.damaged;
        self.replaced += other.replaced;
        self.metric_names_over_bound += other.metric_names_over_bound;
        self.tags_over_bound += other.tags_over_bound;
        self.inflated_bytes += other.inflated_bytes;
        self.oldest = [self.oldest, other.oldest].into_iter().flatten().min();
        for (account, other) in self.backends.iter_mut().zip(&other.backends) {
            account.sent += other.sent;
            account.stored += other.stored;
            account.filtered += other.filtered;
            account.requests += other.requests;
            account.retries += other.retries;
            account.bytes += other.bytes;
            account.slowest = account.slowest.max(other.slowest);
            for (reason, weight) in &other.dropped {
                account.drop(*reason, *weight);
            }
        }
    }
}

impl Account {
    /// Counts what was given up.
    pub fn drop(&mut self, reason: Reason, weight: Weight) {
        *self.dropped.entry(reason).or_default() += weight;
    }

    /// What a repeated invocation may still deliver.
    pub fn recoverable(&self) -> u64 {
        self.dropped.iter().filter(|(reason, _)| reason.may_pass()).map(|(_, weight)| weight.total()).sum()
    }

    /// Items that were given up, for whatever reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().map(|weight| weight.total()).sum()
    }

    fn total(&self) -> Weight {
        let dropped: Weight = self.dropped.values().copied().sum();
        [self.sent, self.stored, self.filtered, dropped].into_iter().sum()
    }
}

/// The summary: what went where, in one line. Counters that are seldom other than 0 appear only then.
impl Serialize for Ledger {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", "summary")?;
        map.serialize_entry("received", &self.received)?;
        map.serialize_entry("consumed", &self.consumed)?;
        map.serialize_entry("logs", &self.made.logs)?;
        map.serialize_entry("metrics", &self.made.metrics)?;
        for (name, count) in [
            ("control_messages", self.control_messages),
            ("own_log_group", self.own_log_group),
            ("damaged", self.damaged),
            ("replaced", self.replaced),
            ("metric_names_over_bound", self.metric_names_over_bound),
            ("tags_over_bound", self.tags_over_bound),
        ] {
            if count > 0 {
                map.serialize_entry(name, &count)?;
            }
        }
        let accounts: BTreeMap<_, _> = self.backends.iter().map(|account| (&account.backend, account)).collect();
        map.serialize_entry("backends", &accounts)?;
        map.end()
    }
}

impl Serialize for Account {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let dropped: BTreeMap<_, _> =
            self.dropped.iter().map(|(reason, weight)| (reason.as_str(), weight.total())).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("sent", &self.sent.total())?;
        map.serialize_entry("stored", &self.stored.total())?;
        map.serialize_entry("filtered", &self.filtered.total())?;
        map.serialize_entry("dropped", &dropped)?;
        for (name, count) in [("requests", self.requests), ("retries", self.retries), ("bytes", self.bytes)] {
            if count > 0 {
                map.serialize_entry(name, &count)?;
            }
        }
        map.end()
    }
}
