//! What an answer of `_bulk` means.

use std::collections::BTreeMap;

use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

use crate::request::{Refused, Request, Response, Verdict};

/// What became of one item, under the name of its action.
#[derive(Deserialize)]
struct Outcome {
    status: u16,
    /// Mostly an object with a `type` and a `reason`, each of which may be `null`: the status counts whatever it is.
    #[serde(default)]
    error: Value,
}

/// The items of an answer, as far as it goes.
struct Items {
    outcomes: Vec<Outcome>,
    /// Whether the list has an end: long answers are read only so far.
    whole: bool,
}

/// A bulk is 200 whatever became of its items: each has a status of its own.
pub(super) fn judge(request: &Request, response: &Response) -> Verdict {
    match response.status {
        200..=299 => bulk(request, response),
        // Nothing was taken, as a line couldn't be read.
        400 => Verdict::Malformed,
        _ => Verdict::of(request, response),
    }
}

fn bulk(request: &Request, response: &Response) -> Verdict {
    let body = response.body.as_slice();
    let refused_all = |why: &str| {
        let refused = Refused::Items((0..request.items.len()).collect());
        Verdict::Partly { retry: Vec::new(), refused, why: why.to_owned() }
    };
    let Some(items) = items(body) else {
        // Some name only what failed.
        return if values(body, b"\"errors\"").any(|value| value.starts_with(b"false")) {
            Verdict::Accepted
        } else if response.cut {
            Verdict::Busy
        } else if body.trim_ascii().is_empty() {
            // VictoriaLogs says nothing when it can't read a bulk.
            refused_all("an empty answer: nothing says that it was stored")
        } else {
            refused_all("the answer is none of _bulk: is this the address of Elasticsearch?")
        };
    };
    let (mut retry, mut refused, mut why) = (Vec::new(), Vec::new(), String::new());
    let (mut missing, mut denied) = (0, 0);
    for (place, (_, outcome)) in request.items.iter().zip(&items.outcomes).enumerate() {
        match outcome.status {
            // It is there already: ids are made of the event's.
            200..=299 | 409 => {}
            429 | 500..=599 => retry.push(place),
            // Its index isn't there yet; asked for again without the others, the answer is about all that is asked.
            404 => {
                missing += 1;
                retry.push(place);
            }
            // An index of a key's own, or one that is closed for writing: somebody may mend that, too.
            401 | 403 => {
                denied += 1;
                retry.push(place);
            }
            status => {
                refused.push(place);
                if why.is_empty() {
                    why = format!("status {status} {}", fault(&outcome.error));
                }
            }
        }
    }
    let unanswered = items.outcomes.len().min(request.items.len())..request.items.len();
    if !items.whole {
        retry.extend(unanswered);
    } else if !unanswered.is_empty() {
        let found = items.outcomes.len();
        refused.extend(unanswered);
        why = format!("answers for {found} of {} items {why}", request.items.len());
    }
    match (retry.len(), refused.len()) {
        (0, 0) => Verdict::Accepted,
        (all, 0) if all == request.items.len() && missing == all => Verdict::NotFound,
        (all, 0) if all == request.items.len() && missing + denied == all => Verdict::Unauthorized,
        (all, 0) if all == request.items.len() => Verdict::Busy,
        _ => Verdict::Partly { retry, refused: Refused::Items(refused), why },
    }
}

/// What an item's error is, in its words.
fn fault(error: &Value) -> String {
    let part = |name| error.get(name).and_then(Value::as_str).unwrap_or_default();
    match error {
        Value::Null => String::new(),
        Value::Object(_) => format!("{}: {}", part("type"), part("reason")),
        Value::String(said) => said.clone(),
        other => other.to_string(),
    }
}

/// What stands behind each of these keys, from its value on.
fn values<'a>(body: &'a [u8], key: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    memmem::find_iter(body, key).filter_map(move |at| {
        let behind = body.get(at + key.len()..)?.trim_ascii_start();
        Some(behind.strip_prefix(b":")?.trim_ascii_start())
    })
}

/// Reads one item after another: `None` when there is no list of them.
fn items(body: &[u8]) -> Option<Items> {
    let mut rest = values(body, b"\"items\"").find_map(|value| value.strip_prefix(b"["))?;
    let mut outcomes = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        if rest.first() == Some(&b']') {
            return Some(Items { outcomes, whole: true });
        }
        let mut stream = serde_json::Deserializer::from_slice(rest).into_iter::<BTreeMap<String, Outcome>>();
        let Some(outcome) = stream.next().and_then(Result::ok).and_then(|item| item.into_values().next()) else {
            return Some(Items { outcomes, whole: false });
        };
        outcomes.push(outcome);
        rest = rest.get(stream.byte_offset()..).unwrap_or_default().trim_ascii_start();
        rest = rest.strip_prefix(b",").unwrap_or(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Item, Weight};

    fn request(items: usize) -> Request {
        Request::with_items(vec![Item { end: 0, weight: Weight::metrics(2) }; items], judge)
    }

    fn partly(retry: &[usize], refused: &[usize], why: &str) -> Verdict {
        Verdict::Partly { retry: retry.to_vec(), refused: Refused::Items(refused.to_vec()), why: why.to_owned() }
    }

    #[test]
    fn each_item_has_a_fate_of_its_own() {
        let ok = r#"{"create":{"status":201}}"#;
        let conflict = r#"{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[1]: version conflict"}}}"#;
        let busy = r#"{"create":{"status":429,"error":{"type":"es_rejected_execution_exception"}}}"#;
        let down = r#"{"create":{"status":503}}"#;
        let bad = r#"{"create":{"status":400,"error":{"type":"document_parsing_exception","reason":"[1:5] failed to parse"}}}"#;
        let null = r#"{"create":{"status":400,"error":{"type":"null_pointer_exception","reason":null}}}"#;
        let said = r#"{"create":{"status":400,"error":"no"}}"#;
        let missing =
            r#"{"create":{"status":404,"error":{"type":"index_not_found_exception","reason":"no such index"}}}"#;
        let denied = |status: u16| {
            format!(
                r#"{{"create":{{"status":{status},"error":{{"type":"security_exception","reason":"unauthorized"}}}}}}"#
            )
        };
        let (denied, expired) = (denied(403), denied(401));
        let (denied, expired) = (denied.as_str(), expired.as_str());
        let bulk = |items: &[&str]| format!(r#"{{"took":2,"errors":true,"items":[{}]}}"#, items.join(","));
        let first = "status 400 document_parsing_exception: [1:5] failed to parse";
        let cut = |text: String, end: &str| text.split_once(end).unwrap().0.to_owned();
        for (body, items, expected) in [
            (bulk(&[ok, conflict, ok]), 3, Verdict::Accepted),
            (bulk(&[ok, busy, bad, down, bad]), 5, partly(&[1, 3], &[2, 4], first)),
            (bulk(&[ok, busy]), 2, partly(&[1], &[], "")),
            (bulk(&[busy, down]), 2, Verdict::Busy),
            (bulk(&[missing, missing]), 2, Verdict::NotFound),
            (bulk(&[missing, down]), 2, Verdict::Busy),
            (bulk(&[ok, missing, bad]), 3, partly(&[1], &[2], first)),
            (bulk(&[denied, expired]), 2, Verdict::Unauthorized),
            (bulk(&[denied, missing]), 2, Verdict::Unauthorized),
            (bulk(&[denied, busy]), 2, Verdict::Busy),
            (bulk(&[ok, denied, bad, expired]), 4, partly(&[1, 3], &[2], first)),
            (bulk(&[ok, denied]), 2, partly(&[1], &[], "")),
            (bulk(&[bad]), 1, partly(&[], &[0], first)),
            (bulk(&[ok, null, down]), 3, partly(&[2], &[1], "status 400 null_pointer_exception: ")),
            (bulk(&[said, ok]), 2, partly(&[], &[0], "status 400 no")),
            (bulk(&[ok, ok]), 3, partly(&[], &[2], "answers for 2 of 3 items ")),
            (bulk(&[ok, ok, ok]), 2, Verdict::Accepted),
            // Of a long answer only the beginning is read.
            (cut(bulk(&[ok, bad, ok, ok]), ",{\"create\":{\"status\":201}}]"), 4, partly(&[3], &[1], first)),
            (cut(bulk(&[ok, conflict, ok]), "version conflict"), 3, partly(&[1, 2], &[], "")),
            (cut(bulk(&[ok]), "create"), 1, Verdict::Busy),
            (
                r#"{ "took":1,"errors":false,"items":[ {"create" : {"status":200}} , {"create":{"status":200}} ] }"#
                    .into(),
                2,
                Verdict::Accepted,
            ),
            (r#"{"took": 3, "errors": false, "items": [{"create": {"status": 201}}]}"#.into(), 1, Verdict::Accepted),
            (
                "{\n  \"errors\" : true,\n  \"items\" : [\n    {\n      \"create\" : {\n        \"status\" : 503\n      }\n    }\n  ]\n}".into(),
                1,
                Verdict::Busy,
            ),
            (r#"{"took":1,"errors":false}"#.into(), 2, Verdict::Accepted),
            ("{\n\t\"errors\" :\r\n false }".into(), 2, Verdict::Accepted),
            (r#"{"items":"none","x":{"items" : [{"create":{"status":201}}]}}"#.into(), 1, Verdict::Accepted),
            (String::new(), 2, partly(&[], &[0, 1], "an empty answer: nothing says that it was stored")),
            (
                "<html>".into(),
                2,
                partly(&[], &[0, 1], "the answer is none of _bulk: is this the address of Elasticsearch?"),
            ),
        ] {
            let response = Response { status: 200, body: body.clone().into_bytes(), ..Response::default() };
            assert_eq!(judge(&request(items), &response), expected, "{body}");
        }
        // Before its list an answer says nothing.
        for body in ["", "{\"took\":1,", "{\"items\" "] {
            let response = Response { status: 200, body: body.into(), cut: true, ..Response::default() };
            assert_eq!(judge(&request(2), &response), Verdict::Busy, "{body}");
        }
        for (status, expected) in [
            (400, Verdict::Malformed),
            (401, Verdict::Unauthorized),
            (403, Verdict::Unauthorized),
            (404, Verdict::NotFound),
            (413, Verdict::TooLarge),
            (429, Verdict::Busy),
            (503, Verdict::Busy),
        ] {
            let response = Response { status, ..Response::default() };
            assert_eq!(judge(&request(2), &response), expected, "{status}");
        }
    }
}
