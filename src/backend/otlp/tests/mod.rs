//! Bodies read back with OpenTelemetry's own types.

mod answers;
mod logs;
mod metrics;
mod settings;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::Metric as PbMetric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use prost::Message;
use serde::de::DeserializeOwned;

use super::super::compress::decompress;
use super::*;
use crate::json::JsonStr;
use crate::model::{CheckStatus, Forwarder, Function, LogEvent, Name, Tag, Value};

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
    let Encoded { requests, oversize, filtered, .. } = encoder.finish();
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
    let event = LogEvent::new(id, Timestamp::from_millis(NOW + at), JsonStr::from_escaped(message));
    Log::new(Box::leak(Box::new(event)))
}

fn metric<'a>(name: Name<'a>, at: i64, value: Value, tags: &'a [Tag<'a>], event_id: &'a str) -> Metric<'a> {
    let unit = match name {
        Name::Measure(measure) => measure.unit(),
        Name::Custom(_) => None,
    };
    let time = Timestamp::from_millis(NOW + at);
    Metric { name, time, written: time, value, unit, tags, request_id: None, event_id }
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
                let event = LogEvent { message, ..*log("id", 0, "").event };
                encoder.log(&origins[*place as usize], &Log::new(&event));
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
            let format = if matches!(request.frame, Frame::Protobuf(_)) { writer::Format::Protobuf } else { writer::Format::Json };
            prop_assert!(decompress(request.compression, &request.body).unwrap().len() <= limits(format).bytes);
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
