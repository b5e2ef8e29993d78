//! Tags as metrics are written with them.

use super::super::key::part;
use super::super::write::text;
use crate::model::{Origin, Tag};

/// The name of the function, if one wrote it.
pub(super) fn function(origin: &Origin) -> Option<&str> {
    origin.function.as_ref().map(|function| function.name.as_str())
}

/// Tags of everything.
fn shared<'a>(origin: &'a Origin, settings: &'a [(String, String)]) -> impl Iterator<Item = Tag<'a>> {
    settings.iter().chain(&origin.tags).map(|(key, value)| Tag { key, value })
}

/// Tags that a measure is written with.
pub(super) fn of_measure<'a>(origin: &'a Origin, tags: &[Tag<'a>], settings: &'a [(String, String)]) -> Vec<Tag<'a>> {
    let place = [("region", &origin.region), ("aws_account", &origin.account)];
    let place = place.into_iter().filter_map(|(key, value)| Some(Tag { key, value: value.as_deref()? }));
    let own = tags.iter().map(|tag| match tag.key {
        // As the Datadog Forwarder calls it.
        "memory_size_mb" => Tag { key: "memorysize", value: tag.value },
        _ => *tag,
    });
    let named = function(origin).map(|value| Tag { key: "functionname", value });
    own.chain(place).chain(named).chain(shared(origin, settings)).collect()
}

/// Tags that a custom metric is written with.
pub(super) fn of_custom<'a>(origin: &'a Origin, tags: &[Tag<'a>], settings: &'a [(String, String)]) -> Vec<Tag<'a>> {
    let named = function(origin).map(|value| Tag { key: "function_name", value });
    let named = named.filter(|named| tags.iter().all(|tag| tag.key != named.key));
    tags.iter().copied().chain(named).chain(shared(origin, settings)).collect()
}

/// What tells custom metrics with these tags from others: not the order of tags, nor how often one is there.
pub(super) fn key(origin: &Origin, tags: &[Tag<'_>]) -> Vec<u8> {
    let mut sorted: Vec<_> = tags.iter().map(|tag| (tag.key, tag.value)).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let mut key = Vec::with_capacity(256);
    part(function(origin).unwrap_or(&origin.log_group), &mut key);
    part(&origin.log_stream, &mut key);
    for (name, value) in sorted {
        part(name, &mut key);
        part(value, &mut key);
    }
    key
}

/// `["a:b","c"]`
pub(super) fn list(tags: &[Tag<'_>]) -> Vec<u8> {
    let mut out = b"[".to_vec();
    for tag in tags {
        if out.len() > 1 {
            out.push(b',');
        }
        if tag.value.is_empty() {
            text(tag.key, &mut out);
        } else {
            text(&format!("{}:{}", tag.key, tag.value), &mut out);
        }
    }
    out.push(b']');
    out
}
