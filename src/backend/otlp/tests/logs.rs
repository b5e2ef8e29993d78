//! Logs as records.

use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::*;
use crate::model::Level;

#[test]
fn a_log_has_every_field() {
    for pairs in [&[][..], &[JSON]] {
        let (requests, oversize) = batch(&mut otlp(pairs), 0, |encoder| {
            let whole =
                Log { level: Some(Level::Warn), request_id: Some("8edab1f8"), ..log("3719", -5, r#"a \"b\"\n\u20ac"#) };
            encoder.log(&origin(1), &whole);
            encoder.log(&origin(1), &log("", -4, ""));
        });
        assert_eq!((requests.len(), oversize), (1, Weight::default()));
        let found: ExportLogsServiceRequest = body(&requests[0]);
        let [of_resource] = found.resource_logs.as_slice() else { panic!() };
        assert_eq!(of_resource.resource, Some(stream_resource()));
        let [of_scope] = of_resource.scope_logs.as_slice() else { panic!() };
        assert_eq!(of_scope.scope, Some(scope()));
        let text_body = |body: &str| opentelemetry_proto::tonic::common::v1::AnyValue {
            value: Some(AnyValue::StringValue(body.to_owned())),
        };
        let expected = LogRecord {
            time_unix_nano: ns(-5),
            observed_time_unix_nano: ns(-5),
            severity_number: 13,
            severity_text: "WARN".into(),
            body: Some(text_body("a \"b\"\n€")),
            attributes: vec![text("faas.invocation_id", "8edab1f8"), text("log.record.uid", "3719")],
            ..LogRecord::default()
        };
        let bare = LogRecord {
            time_unix_nano: ns(-4),
            observed_time_unix_nano: ns(-4),
            body: Some(text_body("")),
            ..LogRecord::default()
        };
        assert_eq!(of_scope.log_records, [expected, bare], "{pairs:?}");
    }
}

#[test]
fn a_record_has_the_time_that_the_application_says() {
    let logs = [
        // What the line says, and after `NOW` the event's time in ms and the record's in ns.
        (None, 0, 0),
        (Some("2026-11-20T10:29:59.998Z"), 0, -2_000_000),
        // Once more the same, while events without a time of their own keep their order.
        (None, 0, 1),
        (Some("2026-11-20T10:29:59.998Z"), 1, -1_999_999),
        // At the time of its event it is one of those.
        (Some("2026-11-20T10:30:00.000Z"), 0, 2),
        (None, 0, 3),
        (Some("2026-11-20T11:30:00.000000000+01:00"), 0, 4),
        (Some("2026-11-20T10:29:59.999000001Z"), 0, -999_999),
        (Some("2026-11-20T10:29:59.999000001Z"), 0, -999_998),
        (Some("2026-11-20T10:40:00.000Z"), 0, 600_000_000_000),
        (Some("2026-11-20T10:20:00.000Z"), 0, -600_000_000_000),
        // Farther away receivers don't take it, and whole seconds would mix up the lines of each.
        (Some("2026-11-20T10:40:00.001Z"), 0, 5),
        (Some("2026-11-20T10:19:59.999Z"), 0, 6),
        (Some("2026-11-20T10:29:59Z"), 9, 9_000_000),
        (Some("now"), 10, 10_000_000),
    ];
    for pairs in [&[][..], &[JSON]] {
        let (requests, _) = batch(&mut otlp(pairs), 0, |encoder| {
            for (timestamp, at, _) in logs {
                encoder.log(&origin(1), &Log { timestamp, ..log("1", at, "x") });
            }
        });
        let found: ExportLogsServiceRequest = body(&requests[0]);
        let records = &found.resource_logs[0].scope_logs[0].log_records;
        for (record, (timestamp, at, expected)) in records.iter().zip(logs) {
            let after = record.time_unix_nano.cast_signed() - ns(0).cast_signed();
            assert_eq!((after, record.observed_time_unix_nano), (expected, ns(at)), "{timestamp:?}");
        }
        assert_eq!(records.len(), logs.len());
    }
}

#[test]
fn names_and_attributes_of_the_settings_come_first() {
    let settings = [
        ("OTEL_SERVICE_NAME", "shop"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,env=a%2Cb,cloud.region=mars,aws.log.group.names=g"),
    ];
    let (requests, _) = batch(&mut otlp(&settings), 0, |encoder| encoder.log(&origin(1), &log("1", 0, "x")));
    let found: ExportLogsServiceRequest = body(&requests[0]);
    let attributes = found.resource_logs[0].resource.as_ref().unwrap().attributes.clone();
    let expected = [
        text("service.name", "shop"),
        text("env", "a,b"),
        text("cloud.region", "mars"),
        list("aws.log.group.names", "g"),
        text("cloud.provider", "aws"),
    ];
    assert_eq!(attributes[..5], expected);
    let mut keys: Vec<_> = attributes.iter().map(|attribute| &attribute.key).collect();
    keys.sort();
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "{keys:?}");
}

#[test]
fn a_body_is_of_one_origin() {
    let (requests, _) = batch(&mut otlp(&[]), 0, |encoder| {
        let (one, mut two, mut other) = (origin(1), origin(2), origin(3));
        // What no attribute tells doesn't part bodies.
        two.function.as_mut().unwrap().initialization_type = Some("on-demand".into());
        other.function = None;
        for origin in [&one, &two, &other] {
            encoder.log(origin, &log("1", 0, "x"));
        }
    });
    let names = |request: &Request| {
        let found: ExportLogsServiceRequest = body(request);
        let resource = found.resource_logs[0].resource.clone().unwrap();
        (resource.attributes[1].clone(), found.resource_logs[0].scope_logs[0].log_records.len())
    };
    let found: Vec<_> = requests.iter().map(names).collect();
    assert_eq!(found, [(text("service.name", "checkout"), 2), (text("service.name", "/aws/lambda/checkout"), 1)]);
}

#[test]
fn a_message_that_is_too_large_is_cut() {
    for (pairs, piece) in [(&[][..], "é"), (&[JSON], "é"), (&[JSON], r"\u0001"), (&[], r"\u0001")] {
        let message = piece.repeat((4 << 20) / piece.len());
        let (requests, oversize) = batch(&mut otlp(pairs), 0, |encoder| {
            encoder.log(&origin(1), &log("1", 0, &message));
        });
        assert_eq!((requests.len(), oversize), (1, Weight::default()));
        let found: ExportLogsServiceRequest = body(&requests[0]);
        let body = found.resource_logs[0].scope_logs[0].log_records[0].body.clone().unwrap().value;
        let Some(AnyValue::StringValue(body)) = body else { panic!() };
        // Without its escapes the second is small enough for protobuf.
        let whole = pairs.is_empty() && piece != "é";
        assert_eq!(body.ends_with("bytes in all]"), !whole, "{pairs:?} {piece}");
    }
}
