use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, Gauge, HistogramDataPoint, Metric as PbMetric, NumberDataPoint, Sum,
    exponential_histogram_data_point, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use prost::Message;
use serde::de::DeserializeOwned;

use super::super::body::decompress;
use super::*;
use crate::json::JsonStr;
use crate::model::{CheckStatus, Forwarder, Function, Level, Name, Tag, Unit, Value};
use crate::request::{Refused, Response, Verdict};

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example.com:4318");
const JSON: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json");
const CUMULATIVE: (&str, &str) = ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative");
const EXPONENTIAL: (&str, &str) =
    ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram");
/// 2026-11-20T10:30:00Z
const NOW: i64 = 1_795_170_600_000;

fn try_otlp(pairs: &[(&str, &str)]) -> (Option<Otlp>, Vec<String>) {
    let lookup = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let mut env = Env::new(&lookup);
    let sends = env.read(&Otlp::SEND);
    let otlp = Otlp::from_env(&mut env, sends);
    (otlp, env.into_mistakes().iter().map(ToString::to_string).collect())
}

fn otlp(pairs: &[(&str, &str)]) -> Otlp {
    let (otlp, mistakes) = try_otlp(&[&[ENDPOINT], pairs].concat());
    assert_eq!(mistakes, Vec::<String>::new());
    otlp.unwrap()
}

fn forwarder() -> Forwarder {
    Forwarder { instance: "2026/11/20/[$LATEST]ferry".to_owned(), ..Forwarder::default() }
}

fn origin(generation: u32) -> Origin {
    Origin {
        generation,
        account: Some("123456789012".into()),
        region: Some("eu-west-1".into()),
        log_group: "/aws/lambda/checkout".into(),
        log_stream: "2026/11/20/[7]0f".into(),
        function: Some(Function { name: "checkout".into(), version: Some("7".into()), ..Function::default() }),
        tags: vec![("env".into(), "prod".into())],
    }
}

/// One batch, at so many milliseconds after `NOW`.
fn batch(otlp: &mut Otlp, later: i64, feed: impl FnOnce(&mut Encoder<'_>)) -> (Vec<Request>, Weight) {
    let forwarder = forwarder();
    let now = Timestamp::from_millis(NOW + later);
    let mut encoder = otlp.encoder(&Context { forwarder: &forwarder, now });
    feed(&mut encoder);
    let Encoded { requests, oversize, filtered } = encoder.finish();
    assert_eq!(filtered, Weight::default());
    (requests, oversize)
}

fn body<T: Message + Default + DeserializeOwned>(request: &Request) -> T {
    let plain = decompress(request.compression, &request.body).unwrap();
    match &request.frame {
        Frame::Protobuf(_) => T::decode(plain.as_slice()).unwrap(),
        Frame::Text { .. } => serde_json::from_slice(&plain).unwrap(),
    }
}

fn attribute(key: &str, value: AnyValue) -> KeyValue {
    let value = opentelemetry_proto::tonic::common::v1::AnyValue { value: Some(value) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, AnyValue::StringValue(value.to_owned()))
}

fn list(key: &str, value: &str) -> KeyValue {
    let value =
        opentelemetry_proto::tonic::common::v1::AnyValue { value: Some(AnyValue::StringValue(value.to_owned())) };
    attribute(key, AnyValue::ArrayValue(ArrayValue { values: vec![value] }))
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "logferry".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    }
}

fn stream_resource() -> Resource {
    let attributes = vec![
        text("env", "prod"),
        text("service.name", "checkout"),
        text("cloud.provider", "aws"),
        text("cloud.platform", "aws_lambda"),
        text("cloud.region", "eu-west-1"),
        text("cloud.account.id", "123456789012"),
        text("cloud.resource_id", "arn:aws:lambda:eu-west-1:123456789012:function:checkout"),
        text("faas.name", "checkout"),
        list("aws.log.group.names", "/aws/lambda/checkout"),
        list("aws.log.group.arns", "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/checkout"),
        text("faas.version", "7"),
        text("faas.instance", "2026/11/20/[7]0f"),
        list("aws.log.stream.names", "2026/11/20/[7]0f"),
    ];
    Resource { attributes, ..Resource::default() }
}

fn log<'a>(id: &'a str, at: i64, message: &'a str) -> Log<'a> {
    Log {
        id,
        time: Timestamp::from_millis(NOW + at),
        message: JsonStr::from_escaped(message),
        level: None,
        request_id: None,
        prefix: 0,
        timestamp: None,
        json: "",
    }
}

fn metric<'a>(name: Name<'a>, at: i64, value: Value, tags: &'a [Tag<'a>], event_id: &'a str) -> Metric<'a> {
    let unit = match name {
        Name::Measure(measure) => measure.unit(),
        Name::Custom(_) => None,
    };
    Metric { name, time: Timestamp::from_millis(NOW + at), value, unit, tags, request_id: None, event_id }
}

/// All metrics of these requests, and the resources they are under.
fn metrics_of(requests: &[Request]) -> (Vec<PbMetric>, Vec<Resource>) {
    let (mut metrics, mut resources) = (Vec::new(), Vec::new());
    for request in requests {
        for of_resource in body::<ExportMetricsServiceRequest>(request).resource_metrics {
            resources.push(of_resource.resource.unwrap());
            for of_scope in of_resource.scope_metrics {
                assert_eq!(of_scope.scope, Some(scope()));
                metrics.extend(of_scope.metrics);
            }
        }
    }
    (metrics, resources)
}

const fn ns(at: i64) -> u64 {
    (NOW + at).cast_unsigned() * 1_000_000
}

// === logs ===

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

// === metrics ===

fn number(at: (i64, i64), value: number_data_point::Value, attributes: Vec<KeyValue>) -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: ns(at.0),
        time_unix_nano: ns(at.1),
        value: Some(value),
        attributes,
        ..NumberDataPoint::default()
    }
}

fn sum(metric: &PbMetric) -> Sum {
    match metric.data.clone() {
        Some(Data::Sum(sum)) => sum,
        other => panic!("{other:?}"),
    }
}

fn histogram_point(metric: &PbMetric) -> HistogramDataPoint {
    match metric.data.clone() {
        Some(Data::Histogram(mut histogram)) => histogram.data_points.pop().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn exponential_point(metric: &PbMetric) -> ExponentialHistogramDataPoint {
    match metric.data.clone() {
        Some(Data::ExponentialHistogram(mut histogram)) => histogram.data_points.pop().unwrap(),
        other => panic!("{other:?}"),
    }
}

const TAGS: [Tag<'_>; 2] = [Tag { key: "memory_size_mb", value: "192" }, Tag { key: "cold_start", value: "true" }];

fn report(at: i64, duration: f64, id: &str) -> [Metric<'_>; 3] {
    [
        metric(Name::Measure(Measure::Invocations), at, Value::Count(1.0), &TAGS, id),
        metric(Name::Measure(Measure::Duration), at, Value::Histogram(duration), &TAGS, id),
        metric(Name::Measure(Measure::MemorySize), at, Value::Gauge(192.0), &TAGS, id),
    ]
}

#[test]
fn a_batch_is_added_up() {
    for pairs in [&[][..], &[JSON]] {
        let (requests, oversize) = batch(&mut otlp(pairs), 0, |encoder| {
            for (at, duration, id) in [(-30, 46.84, "1"), (-10, 10.0, "2"), (-20, 1_000_000.0, "3")] {
                encoder.metrics(&origin(1), &report(at, duration, id));
            }
        });
        assert_eq!((requests.len(), oversize), (1, Weight::default()));
        assert_eq!(requests[0].items.iter().map(|item| item.weight.metrics).collect::<Vec<_>>(), [3, 3, 3]);
        let (metrics, resources) = metrics_of(&requests);
        assert_eq!(resources, [stream_resource()]);
        let attributes = vec![
            attribute("faas.max_memory", AnyValue::IntValue(192 << 20)),
            attribute("faas.coldstart", AnyValue::BoolValue(true)),
        ];
        let invocations = PbMetric {
            name: "faas.invocations".into(),
            description: words::description(Measure::Invocations).into(),
            unit: "{invocation}".into(),
            data: Some(Data::Sum(Sum {
                data_points: vec![number((-31, -10), number_data_point::Value::AsInt(3), attributes.clone())],
                aggregation_temporality: 1,
                is_monotonic: true,
            })),
            ..PbMetric::default()
        };
        assert_eq!(metrics[0], invocations, "{pairs:?}");
        let memory = PbMetric {
            name: "aws.lambda.memory_size".into(),
            description: "Memory the function is configured with.".into(),
            unit: "By".into(),
            data: Some(Data::Gauge(Gauge {
                data_points: vec![NumberDataPoint {
                    start_time_unix_nano: 0,
                    ..number((0, -10), number_data_point::Value::AsInt(192 << 20), attributes.clone())
                }],
            })),
            ..PbMetric::default()
        };
        assert_eq!(metrics[2], memory);
        assert_eq!((metrics[1].name.as_str(), metrics[1].unit.as_str()), ("faas.invoke_duration", "s"));
        let point = histogram_point(&metrics[1]);
        let mut counts = vec![0; 19];
        (counts[1], counts[3], counts[18]) = (1, 1, 1);
        let expected = HistogramDataPoint {
            attributes,
            start_time_unix_nano: ns(-31),
            time_unix_nano: ns(-10),
            count: 3,
            sum: Some(0.04684 + 0.01 + 1000.0),
            bucket_counts: counts,
            explicit_bounds: point.explicit_bounds.clone(),
            min: Some(0.01),
            max: Some(1000.0),
            ..HistogramDataPoint::default()
        };
        assert_eq!(point, expected);
        assert_eq!(
            (point.explicit_bounds.len(), point.explicit_bounds[3], point.explicit_bounds[17]),
            (18, 0.05, 900.0)
        );
    }
}

#[test]
fn custom_metrics_keep_their_names() {
    let tags = [
        Tag { key: "shop", value: "berlin" },
        Tag { key: "cold_start", value: "true" },
        Tag { key: "shop", value: "x" },
    ];
    let (requests, _) = batch(&mut otlp(&[]), 0, |encoder| {
        let custom = |name, value| Metric {
            unit: Some(Unit::Other("Percent")),
            ..metric(Name::Custom(name), 0, value, &tags, "1")
        };
        encoder.metrics(
            &origin(1),
            &[
                custom("orders placed", Value::Count(2.0)),
                custom("orders placed", Value::Count(-0.5)),
                custom("load", Value::Gauge(0.25)),
                custom("queue", Value::Check(CheckStatus::Critical)),
                custom("load", Value::Count(1.0)),
            ],
        );
    });
    let (metrics, _) = metrics_of(&requests);
    let attributes = vec![text("shop", "berlin,x"), text("cold_start", "true"), text("function_name", "checkout")];
    let found: Vec<_> = metrics.iter().map(|metric| (metric.name.as_str(), metric.unit.as_str())).collect();
    assert_eq!(found, [("orders placed", "%"), ("load", "%"), ("queue", "%"), ("load", "%")]);
    let expected = Sum {
        data_points: vec![number((-1, 0), number_data_point::Value::AsDouble(1.5), attributes)],
        aggregation_temporality: 1,
        is_monotonic: false,
    };
    assert_eq!(sum(&metrics[0]), expected);
    let Some(Data::Gauge(queue)) = &metrics[2].data else { panic!() };
    assert_eq!(queue.data_points[0].value, Some(number_data_point::Value::AsInt(2)));
}

#[test]
fn nothing_is_without_a_name() {
    for format in [&[][..], &[JSON]] {
        let tags = ["", ":x", "unnamed:y"].map(Tag::parse);
        let (requests, _) = batch(&mut otlp(format), 0, |encoder| {
            encoder.metrics(&origin(1), &[metric(Name::Custom(""), 0, Value::Count(1.0), &tags, "1")]);
        });
        let (metrics, _) = metrics_of(&requests);
        assert_eq!(metrics[0].name, "unnamed");
        let attributes = vec![text("unnamed", ",x,y"), text("function_name", "checkout")];
        assert_eq!(sum(&metrics[0]).data_points[0].attributes, attributes);
    }
}

#[test]
fn a_series_is_one_however_its_tags_come() {
    let orders = ["a:1,b:2", "b:2,a:1", "function_name:checkout,b:2,a:1"];
    for pairs in [&[][..], &[JSON], &[CUMULATIVE]] {
        let mut otlp = otlp(pairs);
        let feed = |encoder: &mut Encoder<'_>| {
            for ((generation, id), tags) in (1..).zip(["1", "2", "3"]).zip(orders) {
                let tags: Vec<_> = tags.split(',').map(Tag::parse).collect();
                for (name, value) in [
                    ("orders", Value::Count(10_f64.powi(generation))),
                    ("sizes", Value::Histogram(1.0)),
                    ("queue", Value::Gauge(f64::from(generation))),
                ] {
                    let metric = metric(Name::Custom(name), 0, value, &tags, id);
                    encoder.metrics(&origin(generation.unsigned_abs()), &[metric]);
                }
            }
        };
        let (requests, _) = batch(&mut otlp, 0, feed);
        assert_eq!(requests.iter().map(Request::weight).sum::<Weight>(), Weight::metrics(9));
        let (metrics, _) = metrics_of(&requests);
        let names: Vec<_> = metrics.iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!(names, ["orders", "sizes", "queue"], "{pairs:?}");
        let point = sum(&metrics[0]).data_points.remove(0);
        assert_eq!(point.value, Some(number_data_point::Value::AsInt(1110)), "{pairs:?}");
        // As they came first.
        assert_eq!(point.attributes[..3], [text("a", "1"), text("b", "2"), text("function_name", "checkout")]);
        assert_eq!(histogram_point(&metrics[1]).count, 3);
        let Some(Data::Gauge(queue)) = &metrics[2].data else { panic!() };
        assert_eq!(queue.data_points[0].value, Some(number_data_point::Value::AsInt(3)));
    }
}

#[test]
fn sums_beyond_all_numbers_are_the_largest() {
    for pairs in [&[][..], &[JSON], &[JSON, CUMULATIVE], &[JSON, EXPONENTIAL]] {
        for sign in [1.0, -1.0] {
            let (requests, _) = batch(&mut otlp(pairs), 0, |encoder| {
                for id in ["1", "2"] {
                    for (name, value) in
                        [("count", Value::Count(sign * 1.7e308)), ("sizes", Value::Histogram(sign * 1.7e308))]
                    {
                        encoder.metrics(&origin(1), &[metric(Name::Custom(name), 0, value, &[], id)]);
                    }
                }
            });
            let (metrics, _) = metrics_of(&requests);
            let value = sum(&metrics[0]).data_points[0].value;
            assert_eq!(value, Some(number_data_point::Value::AsDouble(sign * f64::MAX)), "{pairs:?}");
            let found = match metrics[1].data.clone() {
                Some(Data::Histogram(mut histogram)) => histogram.data_points.remove(0).sum,
                _ => exponential_point(&metrics[1]).sum,
            };
            assert_eq!(found, Some(sign * f64::MAX), "{pairs:?}");
        }
    }
}

#[test]
fn tags_in_many_orders_take_no_memory_for_good() {
    let keys: Vec<String> = (0..8).map(|number| number.to_string()).collect();
    let mut otlp = otlp(&[CUMULATIVE]);
    let (requests, _) = batch(&mut otlp, 0, |encoder| {
        // Each order of eight tags.
        let mut order: Vec<usize> = (0..8).collect();
        let mut turns = [0; 8];
        let mut at = 0;
        let mut push = |order: &[usize]| {
            let tags: Vec<_> = order.iter().map(|place| Tag { key: &keys[*place], value: "x" }).collect();
            encoder.metrics(&origin(1), &[metric(Name::Custom("m"), 0, Value::Count(1.0), &tags, "")]);
        };
        push(&order);
        while at < 8 {
            if turns[at] < at {
                order.swap(if at % 2 == 0 { 0 } else { turns[at] }, at);
                push(&order);
                turns[at] += 1;
                at = 0;
            } else {
                turns[at] = 0;
                at += 1;
            }
        }
    });
    let found = sum(&metrics_of(&requests).0[0]);
    assert_eq!(found.data_points[0].value, Some(number_data_point::Value::AsInt(40_320)));
    assert_eq!(otlp.table.len(), 1);
    assert!(otlp.table.forms() <= 20_000, "{}", otlp.table.forms());
}

#[test]
fn exponential_histograms() {
    for pairs in [&[EXPONENTIAL][..], &[EXPONENTIAL, JSON]] {
        let (requests, _) = batch(&mut otlp(pairs), 0, |encoder| {
            for value in [1.0, 2.0, 4.0, 0.0, -8.0] {
                encoder.metrics(&origin(1), &[metric(Name::Custom("x"), 0, Value::Histogram(value), &[], "")]);
            }
        });
        let point = exponential_point(&metrics_of(&requests).0[0]);
        // From 1 to 4 at scale 6 there are 128 buckets and one: at scale 7 there were 257.
        let positive = point.positive.clone().unwrap();
        let filled: Vec<_> =
            (positive.offset..).zip(&positive.bucket_counts).filter(|(_, count)| **count > 0).collect();
        assert_eq!(filled, [(-1, &1), (63, &1), (127, &1)], "{pairs:?}");
        let expected = ExponentialHistogramDataPoint {
            attributes: vec![text("function_name", "checkout")],
            start_time_unix_nano: ns(-1),
            time_unix_nano: ns(0),
            count: 5,
            sum: Some(-1.0),
            scale: 6,
            zero_count: 1,
            positive: Some(positive),
            negative: Some(exponential_histogram_data_point::Buckets { offset: 191, bucket_counts: vec![1] }),
            min: Some(-8.0),
            max: Some(4.0),
            ..ExponentialHistogramDataPoint::default()
        };
        assert_eq!(point, expected);
    }
}

#[test]
fn cumulative_counts_go_on_and_a_replay_changes_nothing() {
    let mut otlp = otlp(&[CUMULATIVE]);
    let mut told = Vec::new();
    for (later, ids) in [(0, &["1", "2"][..]), (1000, &["1", "2"]), (1000, &["3"]), (900, &["2", "4", "4"])] {
        let (requests, _) = batch(&mut otlp, later, |encoder| {
            for id in ids {
                encoder.metrics(&origin(1), &report(-10, 5.0, id));
            }
        });
        let (metrics, resources) = metrics_of(&requests);
        let keys: Vec<_> = resources[0].attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        assert!(
            resources[0].attributes.contains(&text("service.instance.id", "2026/11/20/[$LATEST]ferry")),
            "{keys:?}"
        );
        assert!(!keys.contains(&"faas.instance") && !keys.contains(&"aws.log.stream.names"), "{keys:?}");
        let found = sum(&metrics[0]);
        assert_eq!((found.aggregation_temporality, found.is_monotonic), (2, true));
        let NumberDataPoint { start_time_unix_nano: start, time_unix_nano: time, value, attributes, .. } =
            found.data_points[0].clone();
        assert_eq!(start, ns(-11));
        for expected in [("faas.name", "checkout"), ("faas.version", "7"), ("cloud.region", "eu-west-1")] {
            assert!(attributes.contains(&text(expected.0, expected.1)), "{attributes:?}");
        }
        assert_eq!(requests[0].weight(), Weight::metrics(3 * ids.len() as u64));
        let point = histogram_point(&metrics[1]);
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (start, time));
        told.push((time, value.unwrap(), point.count));
    }
    let int = number_data_point::Value::AsInt;
    let expected = [(ns(0), int(2), 2), (ns(1000), int(2), 2), (ns(1001), int(3), 3), (ns(1002), int(5), 5)];
    assert_eq!(told, expected);
}

#[test]
fn cumulative_streams_of_a_function_add_up_and_versions_do_not() {
    let mut otlp = otlp(&[CUMULATIVE]);
    let (requests, _) = batch(&mut otlp, 0, |encoder| {
        let mut other = origin(2);
        other.log_stream = "2026/11/20/[7]other".into();
        let mut version = origin(3);
        version.function.as_mut().unwrap().version = Some("8".into());
        for (origin, id) in [(&origin(1), "1"), (&other, "2"), (&version, "3")] {
            encoder.metrics(origin, &report(-10, 5.0, id)[..1]);
        }
    });
    let values: Vec<_> =
        metrics_of(&requests).0.iter().map(|metric| sum(metric).data_points[0].value.unwrap()).collect();
    assert_eq!(values, [2, 1].map(number_data_point::Value::AsInt));
    assert_eq!(requests.len(), 1);
}

#[test]
fn many_series_keep_their_bound_and_lose_nothing() {
    for pairs in [&[][..], &[CUMULATIVE]] {
        let mut otlp = otlp(pairs);
        let mut last = 0;
        for round in 0..3 {
            let (requests, oversize) = batch(&mut otlp, round, |encoder| {
                for number in 0..9_000 {
                    let (name, id) = (format!("m{}", round * 9_000 + number), format!("{round}-{number}"));
                    encoder.metrics(&origin(1), &[metric(Name::Custom(&name), 0, Value::Count(1.0), &[], &id)]);
                }
            });
            assert_eq!(oversize, Weight::default());
            assert_eq!(requests.iter().map(Request::weight).sum::<Weight>(), Weight::metrics(9_000));
            last = otlp.table.len();
            assert!(last <= 10_000, "{last}");
        }
        assert_eq!(last == 0, pairs.is_empty());
    }
}

#[test]
fn what_a_lost_batch_has_left_is_not_told_by_the_next() {
    let mut otlp = otlp(&[]);
    let forwarder = forwarder();
    let mut encoder = otlp.encoder(&Context { forwarder: &forwarder, now: Timestamp::from_millis(NOW) });
    encoder.metrics(&origin(1), &report(0, 5.0, "1"));
    drop(encoder);
    let (requests, _) = batch(&mut otlp, 0, |encoder| encoder.metrics(&origin(1), &report(0, 5.0, "1")));
    let found = sum(&metrics_of(&requests).0[0]);
    assert_eq!(found.data_points[0].value, Some(number_data_point::Value::AsInt(1)));
}

// === answers ===

fn request(weights: &[Weight]) -> Request {
    let (mut requests, _) = batch(&mut otlp(&[]), 0, |encoder| encoder.log(&origin(1), &log("1", 0, "x")));
    let mut request = requests.pop().unwrap();
    request.items = weights.iter().map(|weight| crate::request::Item { end: 0, weight: *weight }).collect();
    request
}

#[test]
fn statuses() {
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
fn partial_success() {
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
    let three_logs = [Weight::LOG; 3];
    let two_points = [Weight::metrics(7), Weight::metrics(2)];
    for (weights, body, verdict) in [
        (&three_logs[..], Vec::new(), Verdict::Accepted),
        (&three_logs, logs(0, "mind the gap"), Verdict::Accepted),
        (&three_logs, logs(2, "too old"), partly(Weight { logs: 2, metrics: 0 })),
        (&three_logs, logs(99, "too old"), partly(Weight { logs: 3, metrics: 0 })),
        (&three_logs, logs(-1, "too old"), Verdict::Accepted),
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

// === settings ===

#[test]
fn addresses_headers_and_the_rest() {
    let target = |pairs: &[(&str, &str)]| {
        let found = otlp(pairs);
        [found.logs, found.metrics].map(|target| {
            let exposed = |(name, value): &(std::borrow::Cow<'static, str>, crate::request::Header)| match value {
                crate::request::Header::Public(value) => format!("{name}: {value}"),
                crate::request::Header::Secret(secret) => format!("{name}: secret {}", secret.expose()),
            };
            let headers: Vec<_> = target.endpoint.headers.iter().map(exposed).collect();
            (target.endpoint.url, headers, target.endpoint.timeout.map(|timeout| timeout.as_millis()))
        })
    };
    let url = "https://collector.example.com:4318/v1/";
    let protobuf = vec!["Content-Type: application/x-protobuf".to_owned(), "Content-Encoding: gzip".to_owned()];
    let expected = [(format!("{url}logs"), protobuf.clone(), None), (format!("{url}metrics"), protobuf.clone(), None)];
    assert_eq!(target(&[]), expected);
    let [logs, metrics] = target(&[
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://10.0.0.1:4318/"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20abc%3D, x-tenant = 7"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "api-key=k=1"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "700"),
    ]);
    let json = vec!["Content-Type: application/json".to_owned(), "api-key: secret k=1".to_owned()];
    assert_eq!(logs, ("http://10.0.0.1:4318/".to_owned(), json, Some(2500)));
    let both = ["Authorization: secret Basic abc=", "x-tenant: secret 7"].map(str::to_owned);
    assert_eq!(metrics, (format!("{url}metrics"), [protobuf, both.to_vec()].concat(), Some(700)));
}

#[test]
fn certificates_of_a_signal_come_before_those_of_all() {
    let found = otlp(&[
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/opt/ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/opt/key.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/opt/client.pem"),
        ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "/opt/other.pem"),
    ]);
    let paths: Vec<_> = found
        .certificates()
        .map(|own| (own.authorities.as_ref().unwrap().path.as_str(), own.client.as_ref().unwrap().1.path.as_str()))
        .collect();
    assert_eq!(paths, [("/opt/ca.pem", "/opt/key.pem"), ("/opt/other.pem", "/opt/key.pem")]);
    assert_eq!(otlp(&[]).certificates().count(), 0);
}

#[test]
fn mistakes_say_what_is_wrong_and_no_secret() {
    for (pairs, expected) in [
        (&[][..], "OTEL_EXPORTER_OTLP_ENDPOINT is not set: the otlp backend needs the address of a collector"),
        (&[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://a/l")], "OTEL_EXPORTER_OTLP_ENDPOINT is not set"),
        (
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a/?k=v")],
            "OTEL_EXPORTER_OTLP_ENDPOINT `https://a/?***` holds a `?`",
        ),
        (
            &[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            "OTEL_EXPORTER_OTLP_PROTOCOL `grpc` is not spoken here: expected `http/protobuf` or `http/json`",
        ),
        (
            &[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret")],
            "OTEL_EXPORTER_OTLP_HEADERS has an entry without a name or without a `=`",
        ),
        (&[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", "a=s3cret%zz")], "OTEL_EXPORTER_OTLP_HEADERS has a value for `a`"),
        (&[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", "a=s3cret%0a")], "OTEL_EXPORTER_OTLP_HEADERS holds a line break"),
        (&[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", "a=")], "OTEL_EXPORTER_OTLP_HEADERS holds `a` without a value"),
        (&[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", "Host=s3cret")], "OTEL_EXPORTER_OTLP_HEADERS holds `Host`"),
        (&[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret key=1")], "OTEL_EXPORTER_OTLP_HEADERS holds a name"),
        (&[ENDPOINT, ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s")], "OTEL_EXPORTER_OTLP_TIMEOUT `10s` is not a number"),
        (
            &[ENDPOINT, ("OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", "/k")],
            "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE is not set, but OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY is",
        ),
    ] {
        let (_, mistakes) = try_otlp(pairs);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes[0].starts_with(expected) && !mistakes[0].contains("s3cret"), "{}", mistakes[0]);
    }
    let only_logs = [("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://a/l"), ("LOGFERRY_OTLP_SEND", "logs")];
    assert_eq!(try_otlp(&only_logs).1, Vec::<String>::new());
}

// === limits ===

/// The text as often as it takes to be of about this length.
fn longer(text: &str, len: usize) -> String {
    text.repeat((len / text.len().max(1)).max(1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn bodies_keep_their_limits_and_order_and_lose_nothing(
        logs in proptest::collection::vec(
            (any::<String>(), 0..3_u32, prop_oneof![8 => Just(0_usize), 1 => 1000..4_500_000_usize]), 0..24,
        ),
        values in proptest::collection::vec((0..4_u8, 0..3_u32, 0..5_u8, -1e9..1e9_f64), 0..200),
        settings in 0..8_u8,
    ) {
        let all = [JSON, CUMULATIVE, EXPONENTIAL];
        let pairs: Vec<_> = (0..).zip(all).filter(|(bit, _)| settings >> bit & 1 == 1).map(|(_, pair)| pair).collect();
        let origins = [1, 2, 3].map(|generation| Origin { log_stream: format!("s{generation}"), ..origin(generation) });
        let (mut logs, mut values) = (logs, values);
        logs.sort_by_key(|(_, origin, _)| *origin);
        values.sort_by_key(|(_, origin, ..)| *origin);
        let names = ["a", "b", "c", "d", "e"];
        let (requests, oversize) = batch(&mut otlp(&pairs), 0, |encoder| {
            let mut buffer = Vec::new();
            for (text, place, len) in &logs {
                let message = JsonStr::escape(&longer(text, *len), &mut buffer);
                encoder.log(&origins[*place as usize], &Log { message, ..log("id", 0, "") });
            }
            for (kind, place, name, value) in &values {
                let value = [Value::Count(*value), Value::Gauge(*value), Value::Histogram(*value), Value::Check(CheckStatus::Ok)][*kind as usize];
                let one = metric(Name::Custom(names[*name as usize]), 0, value, &[], "");
                encoder.metrics(&origins[*place as usize], &[one]);
            }
        });
        let made = Weight { logs: logs.len() as u64, metrics: values.len() as u64 };
        let sent: Weight = requests.iter().map(Request::weight).sum();
        prop_assert_eq!((sent, oversize), (made, Weight::default()));
        let mut found = Vec::new();
        for request in &requests {
            prop_assert!(decompress(request.compression, &request.body).unwrap().len() <= limits(writer::Format::Json).bytes);
            if request.weight().metrics > 0 {
                let count: usize = body::<ExportMetricsServiceRequest>(request).resource_metrics[0].scope_metrics[0].metrics.len();
                prop_assert_eq!(count, request.items.len());
                continue;
            }
            for record in &body::<ExportLogsServiceRequest>(request).resource_logs[0].scope_logs[0].log_records {
                let Some(AnyValue::StringValue(text)) = record.body.clone().unwrap().value else { panic!() };
                found.push(text);
            }
        }
        prop_assert_eq!(found.len(), logs.len());
        for (found, (text, _, len)) in found.iter().zip(&logs) {
            let whole = longer(text, *len);
            let kept = found.rfind("… [cut by logferry: ").map_or(found.as_str(), |at| &found[..at]);
            prop_assert!(*found == whole || (whole.starts_with(kept) && kept.len() > 300_000));
        }
    }
}
