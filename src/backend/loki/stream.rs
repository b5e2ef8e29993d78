//! The stream of a log group: its labels, and what more its logs share.

use std::collections::HashSet;

use super::super::write::start;
use super::Loki;
use crate::model::Origin;
use crate::request::Frame;

/// Labels of a stream: Loki's `max_label_names_per_series`, but one, as late entries have one more.
pub(super) const MAX_LABELS: usize = 14;

/// Labels that are ours.
pub(super) const OWN_LABELS: usize = 5;

/// Names of structured metadata that are ours: a label that finds no room in its stream has no place among them.
const METADATA: [&str; 5] = ["event_id", "function_version", "level", "log_stream", "request_id"];

/// Bytes of names and values: Loki takes names of 1024 and values of 2048.
const MAX_NAME: usize = 256;
pub(super) const MAX_VALUE: usize = 1024;

/// What logs of an origin share: the labels of their stream, and metadata that each has.
pub(super) struct Stream {
    pub(super) generation: u32,
    pub(super) frame: Frame,
    pub(super) metadata: Vec<(String, String)>,
}

impl Stream {
    pub(super) fn new(origin: &Origin, loki: &Loki) -> Self {
        let function = origin.function.as_ref();
        let name = function.map(|function| function.name.as_str());
        let own = [
            ("service_name", name.or(Some(&origin.log_group))),
            ("function_name", name),
            ("cloud_region", origin.region.as_deref()),
            ("cloud_account_id", origin.account.as_deref()),
            ("log_group", Some(&origin.log_group)),
        ];
        let own = own.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let (extra, tags) = (loki.labels.iter().map(pair), origin.tags.iter().map(pair));
        let mut names = HashSet::new();
        let mut labels: Vec<_> = extra
            .chain(own)
            .chain(tags)
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (label_name(name), start(value, MAX_VALUE).to_owned()))
            .filter(|(name, _)| names.insert(name.clone()))
            .collect();
        let mut beyond = labels.split_off(labels.len().min(MAX_LABELS));
        beyond.retain(|(name, _)| !METADATA.contains(&name.as_str()));
        let version = function.and_then(|function| function.version.as_deref());
        let metadata = [("function_version", version), ("log_stream", Some(&origin.log_stream))];
        let metadata = metadata.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        Self {
            generation: origin.generation,
            frame: loki.format.frame(&labels),
            metadata: metadata.filter(|(_, value)| !value.is_empty()).chain(beyond).take(100).collect(),
        }
    }
}

pub(super) fn pair((name, value): &(String, String)) -> (&str, &str) {
    (name, value)
}

/// A name made of letters, digits and `_` that begins with no digit: one that isn't costs the whole push.
pub(super) fn label_name(name: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let digit = name.starts_with(|c: char| c.is_ascii_digit());
    let first = if digit || name.is_empty() { "_" } else { "" };
    first.chars().chain(name.chars().map(legal)).take(MAX_NAME).collect()
}
