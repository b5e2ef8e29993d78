//! What a collector's answer means.
//!
//! Source: <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>

use super::super::loki::is_too_much;
use super::super::protobuf::{Field, fields};
use crate::request::{Refused, Request, Response, Verdict, Weight};

/// What an answer says of items that weren't taken.
#[derive(Debug, Default, PartialEq)]
struct Partial {
    rejected: u64,
    message: String,
}

/// As OTLP has it: no more than four statuses are worth another attempt. Loki, which takes OTLP too, gives two of them to
/// what is larger than it takes.
pub(super) fn judge(request: &Request, response: &Response) -> Verdict {
    match response.status {
        200..=299 => accepted(request, response),
        401 | 403 => Verdict::Unauthorized,
        300..=399 | 404 | 405 | 407 => Verdict::NotFound,
        413 => Verdict::TooLarge,
        429 | 503 if request.items.len() > 1 && is_too_much(&String::from_utf8_lossy(&response.body)) => {
            Verdict::TooLarge
        }
        429 | 502..=504 => Verdict::Busy,
        _ => Verdict::Refused,
    }
}

/// And what gateways answer that are busy.
pub(super) fn judge_patiently(request: &Request, response: &Response) -> Verdict {
    match response.status {
        408 | 500 => Verdict::Busy,
        _ => judge(request, response),
    }
}

/// Some may be rejected all the same: these are never sent again.
fn accepted(request: &Request, response: &Response) -> Verdict {
    // A message may begin like JSON behind a line feed: with its field, and a length of 123.
    let partial = from_json(&response.body).or_else(|| from_protobuf(&response.body));
    match partial {
        Some(Partial { rejected, message }) if rejected > 0 => {
            let refused = Refused::Count(rejected_weight(request, rejected));
            Verdict::Partly { retry: Vec::new(), refused, why: message }
        }
        // A message without a rejection is a warning: OTLP has servers say so that they have taken all.
        Some(Partial { message, .. }) if !message.trim().is_empty() => Verdict::Warned { why: message },
        _ => Verdict::Accepted,
    }
}

/// A record is a log, but a point may stand for many metrics, and nobody says
/// which points were rejected: each counts as their average.
fn rejected_weight(request: &Request, rejected: u64) -> Weight {
    let whole = request.weight();
    let items = (request.items.len() as u64).max(1);
    let share = |all: u64| all.saturating_mul(rejected.min(items)).div_ceil(items);
    Weight { logs: share(whole.logs), metrics: share(whole.metrics) }
}

/// `{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"…"}}`
fn from_json(body: &[u8]) -> Option<Partial> {
    let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
    let partial = answer.get("partialSuccess")?;
    let rejected = partial.get("rejectedLogRecords").or_else(|| partial.get("rejectedDataPoints"));
    let rejected = rejected.and_then(|number| number.as_u64().or_else(|| number.as_str()?.parse().ok()));
    let message = partial.get("errorMessage").and_then(serde_json::Value::as_str);
    Some(Partial { rejected: rejected.unwrap_or_default(), message: message.unwrap_or_default().to_owned() })
}

/// `partial_success` (1), of a count (1) and a message (2): the same for both signals.
fn from_protobuf(body: &[u8]) -> Option<Partial> {
    let mut partial = Partial::default();
    for (number, field) in fields(body)? {
        let (1, Field::Bytes(inside)) = (number, field) else { continue };
        for field in fields(inside)? {
            match field {
                (1, Field::Varint(rejected)) => {
                    partial.rejected = u64::try_from(rejected.cast_signed()).unwrap_or_default();
                }
                (2, Field::Bytes(message)) => partial.message = String::from_utf8_lossy(message).into_owned(),
                _ => {}
            }
        }
    }
    Some(partial)
}
