//! What an answer of the HTTP Event Collector means.

use serde::Deserialize;

use crate::request::{Refused, Request, Response, Verdict};

/// `{"text":"Invalid data format","code":6,"invalid-event-number":2}`
#[derive(Default, Deserialize)]
struct Answer {
    #[serde(default)]
    text: String,
    code: Option<u16>,
    /// Counted from 0.
    #[serde(default, rename = "invalid-event-number")]
    invalid_event: Option<usize>,
}

/// What an answer means, by its status and its code: 0 success, 7 incorrect index, 8 internal error, 9 busy,
/// 10 no channel, 18 to 20 unhealthy, 23 shutting down.
///
/// - An event that is invalid: those before it are taken, and those behind it weren't looked at.
/// - An incorrect index: nothing is taken, as all events of a request have the same one, and the number of the invalid
///   event doesn't count from 0. The index may yet be made, or the token be given leave to write to it.
/// - No channel: the token is one with acknowledgements, which can't be used here.
pub(super) fn judge(request: &Request, response: &Response) -> Verdict {
    let answer: Answer = serde_json::from_slice(&response.body).unwrap_or_default();
    match (response.status, answer.code) {
        (200..=299, None | Some(0)) => Verdict::Accepted,
        (200..=299, Some(9 | 18..=20 | 23)) | (_, Some(8 | 9 | 18..=20 | 23)) => Verdict::Busy,
        (200..=299, _) => Verdict::Refused,
        (400, Some(7)) => Verdict::NotFound,
        (400, Some(10)) => Verdict::Unauthorized,
        // Which event is invalid stood in what is missing.
        (400, None) if response.cut => Verdict::Busy,
        (400, _) => match answer.invalid_event {
            Some(number) => invalid(request, number, &answer),
            None => Verdict::Refused,
        },
        _ => Verdict::of(request, response),
    }
}

fn invalid(request: &Request, number: usize, answer: &Answer) -> Verdict {
    let place = number.min(request.items.len().saturating_sub(1));
    Verdict::Partly {
        retry: (place + 1..request.items.len()).collect(),
        refused: Refused::Items(vec![place]),
        why: format!("status 400: {} (code {})", answer.text, answer.code.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Item, Weight};

    #[test]
    fn answers_mean_what_splunk_means() {
        let request = Request::with_items(vec![Item { end: 0, weight: Weight::metrics(2) }; 4], judge);
        let partly = |retry: &[usize], refused: usize, why: &str| Verdict::Partly {
            retry: retry.to_vec(),
            refused: Refused::Items(vec![refused]),
            why: why.to_owned(),
        };
        for (status, body, expected) in [
            (200, r#"{"text":"Success","code":0}"#, Verdict::Accepted),
            (200, r#"{"text":"Success","code":0,"ackId":7}"#, Verdict::Accepted),
            (200, "OK", Verdict::Accepted),
            (200, r#"{"text":"Incorrect index","code":7}"#, Verdict::Refused),
            (401, r#"{"text":"Invalid authorization","code":3}"#, Verdict::Unauthorized),
            (403, r#"{"text":"Invalid token","code":4}"#, Verdict::Unauthorized),
            (400, r#"{"text":"No data","code":5}"#, Verdict::Refused),
            (
                400,
                r#"{"text":"Invalid data format","code":6,"invalid-event-number":0}"#,
                partly(&[1, 2, 3], 0, "status 400: Invalid data format (code 6)"),
            ),
            (
                400,
                r#"{"text":"Event field cannot be blank","code":13,"invalid-event-number":2}"#,
                partly(&[3], 2, "status 400: Event field cannot be blank (code 13)"),
            ),
            (
                400,
                r#"{"text":"Error in handling indexed fields","code":15,"invalid-event-number":4}"#,
                partly(&[], 3, "status 400: Error in handling indexed fields (code 15)"),
            ),
            (400, r#"{"text":"Incorrect index","code":7,"invalid-event-number":1}"#, Verdict::NotFound),
            (400, r#"{"text":"Data channel is missing","code":10}"#, Verdict::Unauthorized),
            (400, "", Verdict::Refused),
            (404, "", Verdict::NotFound),
            (413, "", Verdict::TooLarge),
            (429, "", Verdict::Busy),
            (500, r#"{"text":"Internal server error","code":8}"#, Verdict::Busy),
            (503, r#"{"text":"Server is busy","code":9}"#, Verdict::Busy),
            (503, r#"{"text":"HEC is unhealthy, queues are full","code":18}"#, Verdict::Busy),
            (400, r#"{"text":"Server is shutting down","code":23}"#, Verdict::Busy),
        ] {
            let response = Response { status, body: body.into(), ..Response::default() };
            assert_eq!(judge(&request, &response), expected, "{status} {body}");
        }
        let cut = Response { status: 400, body: br#"{"text":"Invalid da"#.to_vec(), cut: true, ..Response::default() };
        assert_eq!(judge(&request, &cut), Verdict::Busy);
    }
}
