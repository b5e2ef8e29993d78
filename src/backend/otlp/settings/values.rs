//! Readers of values that OpenTelemetry's variables hold.

use std::time::Duration;

use super::super::histogram::Aggregation;
use super::super::metrics::Temporality;
use super::super::writer::Format;
use crate::backend::auth::is_header_name;
use crate::env::{Address, Secret, read};
use crate::request::Compression;

/// Headers that say what the body is.
const OURS: [&str; 5] = ["content-encoding", "content-length", "content-type", "host", "transfer-encoding"];

/// An address that a path can be put behind.
pub(super) fn base(value: &str) -> Result<Address, String> {
    let address = read::url(value)?;
    if value.contains(['?', '#']) {
        return Err("holds a `?` or a `#`, and a path is put behind it: OTEL_EXPORTER_OTLP_LOGS_ENDPOINT and OTEL_EXPORTER_OTLP_METRICS_ENDPOINT are taken as they are".to_owned());
    }
    Ok(address)
}

/// An address as it is: a `/` at the end stays.
pub(super) fn whole(value: &str) -> Result<Address, String> {
    let base = value.split(['?', '#']).next().unwrap_or_default().to_owned();
    read::url(value).map(|address| Address { base, ..address })
}

pub(super) fn headers(value: &str) -> Result<Vec<(String, Secret)>, String> {
    let pairs = pairs(value)?;
    pairs.into_iter().map(|(name, value)| header(name, value)).collect()
}

fn header(name: String, value: String) -> Result<(String, Secret), String> {
    if !is_header_name(&name) {
        return Err("holds a name that is none of a header: expected `name=value,name=value`".to_owned());
    }
    if OURS.iter().any(|ours| ours.eq_ignore_ascii_case(&name)) {
        return Err(format!("holds `{name}`, which is set by what is sent"));
    }
    if value.is_empty() {
        Err(format!("holds `{name}` without a value"))
    } else if value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        Ok((name, Secret::new(value)))
    } else {
        Err(format!("holds a line break or a character outside of ASCII in the value of `{name}`"))
    }
}

/// `key=value,key=value`, values percent-encoded, as W3C Baggage has them.
pub(super) fn pairs(value: &str) -> Result<Vec<(String, String)>, String> {
    let pairs = value.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or_default();
            let value = percent_decoded(value.trim());
            match (key.trim(), value) {
                // The pair isn't shown: it may be a secret.
                ("", _) => {
                    Err("has an entry without a name or without a `=`: expected `key=value,key=value`".to_owned())
                }
                (key, None) => Err(format!("has a value for `{key}` that isn't percent-encoded: `%` is written `%25`")),
                (key, Some(value)) => Ok((key.to_owned(), value)),
            }
        })
        .collect()
}

/// Undoes percent-encoding; `None` of what isn't, or isn't UTF-8.
fn percent_decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (digits, after) = rest.split_first_chunk::<2>()?;
            let digit = |place: usize| char::from(*digits.get(place)?).to_digit(16);
            bytes.push(u8::try_from(digit(0)? << 4 | digit(1)?).ok()?);
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

pub(super) fn millis(value: &str) -> Result<Duration, String> {
    let millis = value.parse().ok().filter(|millis| *millis > 0);
    millis.map(Duration::from_millis).ok_or_else(|| "is not a number of milliseconds above 0".to_owned())
}

pub(super) fn compression(value: &str) -> Result<Compression, String> {
    match value {
        "gzip" => Ok(Compression::Gzip(6)),
        "none" => Ok(Compression::None),
        _ => Err("is neither `gzip` nor `none`".to_owned()),
    }
}

pub(super) fn protocol(value: &str) -> Result<Format, String> {
    match value {
        "http/protobuf" => Ok(Format::Protobuf),
        "http/json" => Ok(Format::Json),
        "grpc" => {
            Err("is not spoken here: expected `http/protobuf` or `http/json`, which collectors take on port 4318"
                .to_owned())
        }
        _ => Err("is neither `http/protobuf` nor `http/json`".to_owned()),
    }
}

pub(super) fn temporality(value: &str) -> Result<Temporality, String> {
    match value.to_ascii_lowercase().as_str() {
        "cumulative" => Ok(Temporality::Cumulative),
        // Counters and histograms are deltas there too.
        "delta" | "lowmemory" => Ok(Temporality::Delta),
        _ => Err("is none of `delta`, `cumulative`, `lowmemory`".to_owned()),
    }
}

pub(super) fn aggregation(value: &str) -> Result<Aggregation, String> {
    match value.to_ascii_lowercase().as_str() {
        "explicit_bucket_histogram" => Ok(Aggregation::Explicit),
        "base2_exponential_bucket_histogram" => Ok(Aggregation::Exponential),
        _ => Err("is neither `explicit_bucket_histogram` nor `base2_exponential_bucket_histogram`".to_owned()),
    }
}
