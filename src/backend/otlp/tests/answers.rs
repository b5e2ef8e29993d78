//! What collectors answer.

use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};

use super::*;
use crate::request::{Refused, Response, Verdict};

fn request(weights: &[Weight]) -> Request {
    let (mut requests, _) = batch(&mut otlp(&[]), 0, |encoder| encoder.log(&origin(1), &log("1", 0, "x")));
    let mut request = requests.pop().unwrap();
    request.items = weights.iter().map(|weight| crate::request::Item { end: 0, weight: *weight }).collect();
    request
}

#[test]
fn four_statuses_are_worth_another_attempt_and_two_more_if_set() {
    for (status, verdict, patient) in [
        (200, Verdict::Accepted, Verdict::Accepted),
        (201, Verdict::Accepted, Verdict::Accepted),
        (204, Verdict::Accepted, Verdict::Accepted),
        (301, Verdict::NotFound, Verdict::NotFound),
        (405, Verdict::NotFound, Verdict::NotFound),
        (407, Verdict::NotFound, Verdict::NotFound),
        (400, Verdict::Refused, Verdict::Refused),
        (401, Verdict::Unauthorized, Verdict::Unauthorized),
        (403, Verdict::Unauthorized, Verdict::Unauthorized),
        (404, Verdict::NotFound, Verdict::NotFound),
        (408, Verdict::Refused, Verdict::Busy),
        (413, Verdict::TooLarge, Verdict::TooLarge),
        (429, Verdict::Busy, Verdict::Busy),
        (500, Verdict::Refused, Verdict::Busy),
        (501, Verdict::Refused, Verdict::Refused),
        (502, Verdict::Busy, Verdict::Busy),
        (503, Verdict::Busy, Verdict::Busy),
        (504, Verdict::Busy, Verdict::Busy),
        (505, Verdict::Refused, Verdict::Refused),
    ] {
        let response = Response { status, ..Response::default() };
        let request = request(&[Weight::LOG]);
        let found = [&[][..], &[("LOGFERRY_OTLP_RETRY_MORE", "true")]].map(|pairs| {
            let mut judged = batch(&mut otlp(pairs), 0, |encoder| encoder.log(&origin(1), &log("1", 0, "x"))).0;
            (judged.pop().unwrap().judge)(&request, &response)
        });
        assert_eq!(found, [verdict, patient], "{status}");
    }
}

#[test]
fn what_loki_never_takes_at_once_is_cut() {
    for (status, body, items, verdict) in [
        (503, "grpc: received message larger than max (6461910 vs. 4194304)", 2, Verdict::TooLarge),
        (
            429,
            "limit exceeded (limit: 4194304 bytes/sec) while attempting to ingest '2' lines totaling '6820000' bytes",
            2,
            Verdict::TooLarge,
        ),
        (
            429,
            "limit exceeded (limit: 4194304 bytes/sec) while attempting to ingest '2' lines totaling '20000' bytes",
            2,
            Verdict::Busy,
        ),
        (503, "grpc: received message larger than max (6461910 vs. 4194304)", 1, Verdict::Busy),
        (503, "no", 2, Verdict::Busy),
    ] {
        let request = request(&vec![Weight::LOG; items]);
        let response = Response { status, body: body.into(), ..Response::default() };
        assert_eq!((request.judge)(&request, &response), verdict, "{body}");
    }
}

#[test]
fn what_a_success_rejects_is_refused_and_counted() {
    let partly =
        |count| Verdict::Partly { retry: Vec::new(), refused: Refused::Count(count), why: "too old".to_owned() };
    let logs = |rejected_log_records, error_message: &str| {
        let partial_success =
            Some(ExportLogsPartialSuccess { rejected_log_records, error_message: error_message.into() });
        ExportLogsServiceResponse { partial_success }.encode_to_vec()
    };
    let points = |rejected_data_points, error_message: &str| {
        let partial_success =
            Some(ExportMetricsPartialSuccess { rejected_data_points, error_message: error_message.into() });
        ExportMetricsServiceResponse { partial_success }.encode_to_vec()
    };
    let warned = |why: &str| Verdict::Warned { why: why.to_owned() };
    let three_logs = [Weight::LOG; 3];
    let two_points = [Weight::metrics(7), Weight::metrics(2)];
    for (weights, body, verdict) in [
        (&three_logs[..], Vec::new(), Verdict::Accepted),
        (&three_logs, logs(0, "mind the gap"), warned("mind the gap")),
        (&three_logs, br#"{"partialSuccess":{"errorMessage":"mind the gap"}}"#.to_vec(), warned("mind the gap")),
        (&three_logs, logs(2, "too old"), partly(Weight { logs: 2, metrics: 0 })),
        (&three_logs, logs(99, "too old"), partly(Weight { logs: 3, metrics: 0 })),
        (&three_logs, logs(-1, "too old"), warned("too old")),
        (&two_points, points(1, "too old"), partly(Weight::metrics(5))),
        (&two_points, points(2, "too old"), partly(Weight::metrics(9))),
        (&three_logs, b"{}".to_vec(), Verdict::Accepted),
        (&three_logs, br#"{"partialSuccess":{}}"#.to_vec(), Verdict::Accepted),
        (
            &three_logs,
            br#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}"#.to_vec(),
            partly(Weight::LOG),
        ),
        (
            &two_points,
            br#"{"partialSuccess":{"rejectedDataPoints":2,"errorMessage":"too old"}}"#.to_vec(),
            partly(Weight::metrics(9)),
        ),
        (
            &three_logs,
            b" \r\n{\n  \"partialSuccess\" : {\"rejectedLogRecords\" : 1, \"errorMessage\":\"too old\"}}\n".to_vec(),
            partly(Weight::LOG),
        ),
        (&three_logs, b"OK".to_vec(), Verdict::Accepted),
        (&three_logs, b"<html>".to_vec(), Verdict::Accepted),
        (&three_logs, b"{\"partial".to_vec(), Verdict::Accepted),
    ] {
        let response = Response { status: 200, body: body.clone(), ..Response::default() };
        assert_eq!(judge::judge(&request(weights), &response), verdict, "{}", String::from_utf8_lossy(&body));
    }
    // Of this length it begins like JSON.
    let long = logs(1, &"x".repeat(119));
    assert!(long.starts_with(b"\n{"));
    let response = Response { status: 200, body: long, ..Response::default() };
    let Verdict::Partly { refused, .. } = judge::judge(&request(&three_logs), &response) else { panic!() };
    assert_eq!(refused, Refused::Count(Weight::LOG));
}
