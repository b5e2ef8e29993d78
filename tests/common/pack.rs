//! From log events to what Lambda is invoked with.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

/// The payload of a subscription: `{"awslogs":{"data":"…"}}` of gzipped JSON.
pub(crate) fn packed(batch: impl AsRef<[u8]>) -> String {
    payload(&gzip(batch.as_ref()))
}

/// The same of any bytes.
pub(crate) fn payload(data: &[u8]) -> String {
    json!({ "awslogs": { "data": STANDARD.encode(data) } }).to_string()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A decoded batch of `fixtures/events/`.
pub(crate) fn fixture(name: &str) -> String {
    std::fs::read_to_string(format!("fixtures/events/{name}.json")).unwrap()
}

/// A batch of a function's log events, with the ids `1`, `2` and so on.
pub(crate) fn batch<'a>(messages: impl IntoIterator<Item = &'a str>) -> String {
    let events = messages.into_iter().zip(1_u64..).map(|(message, number)| {
        json!({ "id": number.to_string(), "timestamp": 1_795_165_334_000 + number, "message": message })
    });
    batch_of(&events.map(|event| event.to_string()).collect::<Vec<_>>().join(","))
}

/// A batch of log events that are JSON already.
pub(crate) fn batch_of(events: &str) -> String {
    let (stream, group) = ("2026/11/20/[$LATEST]15909c2fa6421cb147e9d82215066c24", "/aws/lambda/checkout");
    format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"{group}","logStream":"{stream}","subscriptionFilters":["logferry"],"logEvents":[{events}]}}"#
    )
}
