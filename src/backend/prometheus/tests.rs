use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::backend::Context;
use crate::backend::compress::decompress;
use crate::env::Env;
use crate::model::{CheckStatus, Forwarder, Function, Name, Tag, Timestamp, Value};

/// 2026-11-20T09:00:00Z
const NINE: i64 = 1_795_165_200_000;

/// Any request, to judge answers to it.
pub(super) fn one_request<W: Write>(mut encoder: Encoder<'_, W>) -> Request {
    encoder.metrics(&origin("s"), &[measure(Measure::Errors, 1.0, 0, "e")]);
    encoder.finish().requests.pop().unwrap()
}

fn prometheus(pairs: &[(&str, &str)]) -> Prometheus {
    let url = ("LOGFERRY_PROMETHEUS_URL", "https://vm.example.com");
    let lookup =
        |name: &str| pairs.iter().chain([&url]).find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Prometheus::from_env(&mut Env::new(&lookup)).unwrap()
}

const DELTA: (&str, &str) = ("LOGFERRY_PROMETHEUS_TEMPORALITY", "delta");
const FEW: (&str, &str) = ("LOGFERRY_PROMETHEUS_DURATION_BUCKETS", "0.1,1");

pub(super) fn origin(stream: &str) -> Origin {
    Origin {
        account: Some("123456789012".into()),
        region: Some("eu-west-1".into()),
        log_group: "/aws/lambda/checkout".into(),
        log_stream: stream.into(),
        function: Some(Function { name: "checkout".into(), ..Function::default() }),
        ..Origin::default()
    }
}

pub(super) fn metric<'a>(
    name: Name<'a>,
    value: Value,
    time: i64,
    tags: &'a [Tag<'a>],
    event_id: &'a str,
) -> Metric<'a> {
    let time = Timestamp::from_millis(NINE + time);
    Metric { name, time, written: time, value, unit: None, tags, request_id: None, event_id }
}

pub(super) fn measure(measure: Measure, value: f64, time: i64, event_id: &str) -> Metric<'_> {
    let value = match Nature::of(measure) {
        Nature::Counter => Value::Count(value),
        Nature::Gauge => Value::Gauge(value),
        Nature::Histogram(_) => Value::Histogram(value),
    };
    metric(Name::Measure(measure), value, time, &[], event_id)
}

/// Lines of all requests of one batch, without comments and what all labels have in common; and its weights.
fn send(prometheus: &mut Prometheus, now: i64, stream: &str, metrics: &[Metric<'_>]) -> (Vec<String>, u64) {
    let forwarder = Forwarder { instance: "2026/11/20/[$LATEST]a".into(), ..Forwarder::default() };
    let context = Context { forwarder: &forwarder, now: Timestamp::from_millis(NINE + now) };
    let mut encoder = prometheus.encoder(&context);
    encoder.metrics(&origin(stream), metrics);
    let Encoded { requests, oversize, .. } = encoder.finish();
    let weight: Weight = requests.iter().map(Request::weight).chain([oversize]).sum();
    (requests.iter().flat_map(lines).collect(), weight.metrics)
}

fn lines(request: &Request) -> Vec<String> {
    let body = String::from_utf8(decompress(request.compression, &request.body).unwrap()).unwrap();
    let common = [
        r#"account_id="123456789012","#,
        r#"function_name="checkout","#,
        r#"job="checkout","#,
        r#"namespace="AWS/Lambda","#,
        r#"region="eu-west-1","#,
        "aws_lambda_",
    ];
    let short = |line: &str| common.iter().fold(line.to_owned(), |line, part| line.replace(part, ""));
    body.lines().filter(|line| !line.starts_with('#')).map(short).collect()
}

#[test]
fn counts_on_and_counts_nothing_twice() {
    let mut prometheus = prometheus(&[FEW]);
    let first = [measure(Measure::Invocations, 1.0, 0, "a"), measure(Measure::Duration, 250.0, 0, "a")];
    let (lines, weight) = send(&mut prometheus, 0, "s", &first);
    let i = lines[0].split('"').nth(1).unwrap().to_owned();
    let expected = |stamp: i64, [low, high]: [u8; 2], sum: &str, count: u8, errors: u8| {
        [
            format!("cold_starts_total{{instance=\"{i}\"}} 0 {stamp}"),
            format!("duration_seconds_bucket{{instance=\"{i}\",le=\"0.1\"}} {low} {stamp}"),
            format!("duration_seconds_bucket{{instance=\"{i}\",le=\"1.0\"}} {high} {stamp}"),
            format!("duration_seconds_bucket{{instance=\"{i}\",le=\"+Inf\"}} {count} {stamp}"),
            format!("duration_seconds_sum{{instance=\"{i}\"}} {sum} {stamp}"),
            format!("duration_seconds_count{{instance=\"{i}\"}} {count} {stamp}"),
            format!("errors_total{{instance=\"{i}\"}} {errors} {stamp}"),
            format!("invocations_total{{instance=\"{i}\"}} {count} {stamp}"),
            format!("out_of_memory_total{{instance=\"{i}\"}} 0 {stamp}"),
            format!("timeouts_total{{instance=\"{i}\"}} 0 {stamp}"),
        ]
    };
    // What nobody saw before was 0.
    let zeros = expected(NINE - 1, [0, 0], "0", 0, 0);
    let with_zeros = zeros.into_iter().zip(expected(NINE, [0, 1], "0.25", 1, 0)).flat_map(<[String; 2]>::from);
    assert_eq!((lines, weight), (with_zeros.collect(), 2));
    // Another batch, at the same time: its series have a later one.
    let second = [
        measure(Measure::Invocations, 1.0, 50, "b"),
        measure(Measure::Duration, 2000.0, 50, "b"),
        measure(Measure::Errors, 1.0, 50, "b"),
    ];
    let (lines, weight) = send(&mut prometheus, 0, "s", &second);
    assert_eq!((lines.as_slice(), weight), (expected(NINE + 1, [0, 1], "2.25", 2, 1).as_slice(), 3));
    // The first once more, as Lambda repeats it: nothing is counted, and all of it sent.
    let (lines, weight) = send(&mut prometheus, 60_000, "s", &first);
    assert_eq!((lines.as_slice(), weight), (expected(NINE + 60_000, [0, 1], "2.25", 2, 1).as_slice(), 2));
    // A clock that is set back doesn't turn time round.
    let (lines, _) = send(&mut prometheus, 0, "s", &[measure(Measure::Errors, 1.0, 60, "c")]);
    assert!(
        lines.iter().any(|line| *line == format!("errors_total{{instance=\"{i}\"}} 2 {}", NINE + 60_001)),
        "{lines:?}"
    );
}

#[test]
fn a_family_is_told_once_and_stands_together() {
    let tags = [[Tag { key: "a", value: "1" }], [Tag { key: "a", value: "2" }]];
    for settings in [&[][..], &[DELTA]] {
        let mut prometheus = prometheus(settings);
        let context = Context { forwarder: &Forwarder::default(), now: Timestamp::from_millis(NINE) };
        let mut encoder = prometheus.encoder(&context);
        for tags in &tags {
            for (name, value) in
                [("took", Value::Histogram(0.2)), ("sold", Value::Count(2.0)), ("queue", Value::Gauge(7.0))]
            {
                encoder.metrics(&origin("s"), &[metric(Name::Custom(name), value, 0, tags, "1")]);
            }
        }
        let request = one_request(encoder);
        let body = String::from_utf8(decompress(request.compression, &request.body).unwrap()).unwrap();
        let mut families: Vec<&str> = Vec::new();
        for line in body.lines() {
            let told = line.strip_prefix("# TYPE ").map(|rest| rest.split(' ').next().unwrap());
            if let Some(family) = told {
                assert!(!families.contains(&family), "{family} twice: {body}");
                families.push(family);
            } else if !line.starts_with('#') {
                assert!(line.starts_with(families.last().unwrap()), "{line} of another: {body}");
            }
        }
        let custom = families.iter().filter(|family| !family.starts_with("aws_")).count();
        assert_eq!(custom, if settings.is_empty() { 3 } else { 5 }, "{body}");
    }
}

#[test]
fn copies_have_instances_of_their_own() {
    let instance = |name: &str| {
        let mut prometheus = prometheus(&[]);
        let forwarder = Forwarder { instance: name.into(), ..Forwarder::default() };
        let context = Context { forwarder: &forwarder, now: Timestamp::from_millis(NINE) };
        let request = one_request(prometheus.encoder(&context));
        lines(&request)[0].split('"').nth(1).unwrap().to_owned()
    };
    assert_eq!(instance("2026/11/20/[$LATEST]a"), instance("2026/11/20/[$LATEST]a"));
    let different: std::collections::BTreeSet<_> =
        ["2026/11/20/[$LATEST]a", "2026/11/20/[$LATEST]b", ""].map(instance).into();
    assert_eq!(different.len(), 3);
    assert!(different.iter().all(|name| name.len() == 12));
}

#[test]
fn gauges_keep_the_latest_value() {
    let mut prometheus = prometheus(&[]);
    let queue = |value, time| [metric(Name::Custom("queue"), Value::Gauge(value), time, &[], "g")];
    for (value, time, expected) in [(3.0, 10, " 3 "), (1.0, 5, " 3 "), (2.0, 10, " 2 "), (-4.5, 20, " -4.5 ")] {
        let (lines, weight) = send(&mut prometheus, time, "s", &queue(value, time));
        assert!(lines.len() == 1 && lines[0].contains(expected) && weight == 1, "{lines:?}");
    }
}

#[test]
fn counters_never_fall() {
    let mut prometheus = prometheus(&[]);
    let stock = |value| metric(Name::Custom("stock"), Value::Count(value), 0, &[], "g");
    let (lines, weight) = send(&mut prometheus, 0, "s", &[stock(5.0), stock(-2.0), stock(-1.0)]);
    let names: Vec<_> = lines.iter().map(|line| line.split(['{', ' ']).next().unwrap()).collect();
    let expected = ["stock_negative_total", "stock_negative_total", "stock_total", "stock_total"];
    assert_eq!((names, weight), (expected.to_vec(), 3));
    assert!(lines[1].contains(r#"original_name="stock""#) && lines[1].contains(" 3 ") && lines[3].contains(" 5 "));
}

#[test]
fn sums_stay_finite() {
    let huge = |name, value| metric(Name::Custom(name), value, 0, &[], "g");
    for pairs in [&[][..], &[("LOGFERRY_PROMETHEUS_TEMPORALITY", "delta")]] {
        let mut prometheus = prometheus(pairs);
        for event in ["a", "b"] {
            let all = [huge("orders", Value::Count(1e308)), huge("took", Value::Histogram(1e308))];
            let twice: Vec<_> =
                [all, all].concat().into_iter().map(|metric| Metric { event_id: event, ..metric }).collect();
            let (lines, _) = send(&mut prometheus, 0, "s", &twice);
            let sums: Vec<_> = lines.iter().filter(|line| line.contains("_sum") || line.contains("orders")).collect();
            assert!(sums.len() > 1 && !sums.iter().any(|line| line.contains(" +Inf ")), "{lines:#?}");
        }
    }
}

#[test]
fn asserts_has_what_its_layer_sent() {
    let mut prometheus = prometheus(&[("ASSERTS_TENANT_NAME", "shop"), ("ASSERTS_SITE", "dublin")]);
    let cold = [Tag { key: "cold_start", value: "true" }];
    let metrics = [
        Metric { tags: &cold, ..measure(Measure::Invocations, 1.0, 0, "a") },
        Metric { tags: &cold, ..measure(Measure::MaxMemoryUsed, 2.0, 0, "a") },
    ];
    let (lines, weight) = send(&mut prometheus, 0, "s", &metrics);
    let labels = r#"{asserts_env="123456789012",asserts_site="dublin",asserts_source="prom-client",asserts_tenant="shop",tenant="shop",instance="#;
    let found = |start: &str, value: &str| {
        lines.iter().any(|line| line.starts_with(&format!("{start}{labels}")) && line.contains(value))
    };
    assert!(found("cold_start", " 1 ") && found("process_resident_memory_bytes", " 2097152 "), "{lines:#?}");
    assert!(found("invocations_total", " 1 ") && found("max_memory_used_bytes_sum", " 2097152 ") && weight == 2);
}

#[test]
fn deltas_are_what_the_batch_says_and_nothing_else() {
    let metrics = [
        measure(Measure::Invocations, 1.0, 7, "a"),
        measure(Measure::Duration, 500.0, 7, "a"),
        measure(Measure::Invocations, 1.0, 9, "b"),
        measure(Measure::Duration, 5000.0, 9, "b"),
        measure(Measure::Duration, 2000.0, 9, "b"),
        measure(Measure::MemorySize, 1.0, 9, "b"),
    ];
    let mut prometheus = prometheus(&[DELTA, FEW]);
    let (lines, weight) = send(&mut prometheus, 0, "s", &metrics);
    let again = send(&mut prometheus, 1000, "s", &metrics).0;
    let other = send(&mut prometheus, 1000, "t", &metrics).0;
    assert!(lines == again && lines.iter().all(|line| !other.contains(line)) && weight == 6);
    let instance = lines[0].split('"').nth(1).unwrap().to_owned();
    let lines: Vec<_> = lines
        .iter()
        .map(|line| line.replace(&format!("instance=\"{instance}\""), "").replace(&(NINE / 100).to_string(), ""))
        .collect();
    assert_eq!(
        lines,
        [
            r#"duration_seconds_bucket_delta{,le="0.1"} 0 07"#,
            r#"duration_seconds_bucket_delta{,le="1.0"} 1 07"#,
            r#"duration_seconds_bucket_delta{,le="1.0"} 0 09"#,
            r#"duration_seconds_bucket_delta{,le="+Inf"} 1 07"#,
            r#"duration_seconds_bucket_delta{,le="+Inf"} 2 09"#,
            "duration_seconds_sum_delta{} 0.5 07",
            "duration_seconds_sum_delta{} 7 09",
            "duration_seconds_count_delta{} 1 07",
            "duration_seconds_count_delta{} 2 09",
            "invocations_total_delta{} 1 07",
            "invocations_total_delta{} 1 09",
            "memory_size_bytes{} 1048576 09",
        ]
    );
}

#[test]
fn tenants_have_series_of_their_own() {
    let tags = |value| [Tag { key: "cold_start", value: "true" }, Tag { key: "tenant_id", value }];
    let (one, other) = (tags("a"), tags("b\"\\"));
    let of = |tags, event_id| metric(Name::Measure(Measure::Invocations), Value::Count(1.0), 0, tags, event_id);
    let metrics = [of(&one, "a"), of(&other, "b"), of(&one, "c"), of(&[], "d")];
    let (lines, _) = send(&mut prometheus(&[DELTA]), 0, "s", &metrics);
    let told: Vec<_> = lines.iter().map(|line| line.split(",instance=").next().unwrap()).collect();
    assert_eq!(told[1..], [r#"invocations_total_delta{tenant_id="a""#, r#"invocations_total_delta{tenant_id="b\"\\""#]);
    let values: Vec<_> = lines.iter().map(|line| line.rsplit(' ').nth(1).unwrap()).collect();
    assert_eq!(values, ["1", "2", "1"]);
}

#[test]
fn a_second_split_over_two_deliveries_is_two_samples() {
    let mut prometheus = prometheus(&[DELTA]);
    let mut samples = Vec::new();
    for first in [42, 142] {
        let ids: Vec<_> = (first..first + 100).map(|id| format!("400335365164996891788125076110856{id:05}")).collect();
        let metrics = ids.iter().map(|id| metric(Name::Custom("n"), Value::Count(1.0), 0, &[], id));
        let (lines, weight) = send(&mut prometheus, 0, "s", &metrics.collect::<Vec<_>>());
        assert_eq!((lines.len(), weight), (1, 100), "{lines:?}");
        let sample: Vec<_> = lines[0].rsplit(' ').take(2).map(|number| number.parse::<i64>().unwrap()).collect();
        samples.push((sample[0], sample[1]));
    }
    let times = [samples[0].0, samples[1].0];
    assert!(times[0] != times[1] && times.iter().all(|time| (NINE..NINE + 1000).contains(time)), "{times:?}");
    assert_eq!([samples[0].1, samples[1].1], [100, 100]);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut prometheus = prometheus(&[]);
    let mut total = BTreeMap::new();
    let ids: Vec<_> = (0..12_000).map(|number| format!("name_{number:05}")).collect();
    for round in 0..2_u32 {
        for some in ids.chunks(3000) {
            let id = format!("{round}{}", some[0]);
            let metrics: Vec<_> =
                some.iter().map(|name| metric(Name::Custom(name), Value::Count(1.0), 0, &[], &id)).collect();
            let (lines, weight) = send(&mut prometheus, i64::from(round), "s", &metrics);
            // A series that is new, or was given up, begins with a 0.
            assert!((3000..=6000).contains(&lines.len()) && weight == 3000, "{}", lines.len());
            for line in lines {
                let mut parts = line.split(' ');
                let series = parts.next().unwrap().to_owned();
                // The last value of each series: totals only grow.
                total.insert(series, parts.next().unwrap().parse::<u32>().unwrap());
            }
        }
    }
    assert_eq!(total.values().sum::<u32>(), 24_000);
    assert!(total.len() > 12_000, "some have begun anew, under another instance");
}

/// A custom metric as somebody may make it.
#[derive(Clone, Debug)]
pub(super) struct Made {
    name: String,
    value: Value,
    time: i64,
    tags: Vec<(String, String)>,
}

/// Gives each to an encoder.
pub(super) fn push<W: Write>(encoder: &mut Encoder<'_, W>, metrics: &[Made]) {
    for Made { name, value, time, tags } in metrics {
        let tags: Vec<_> = tags.iter().map(|(key, value)| Tag { key, value }).collect();
        encoder.metrics(&origin("s"), &[metric(Name::Custom(name), *value, *time, &tags, "e")]);
    }
}

pub(super) fn made() -> impl Strategy<Value = Made> {
    let value = prop_oneof![
        (-1e9..1e9).prop_map(Value::Count),
        (-1e9..1e9).prop_map(Value::Gauge),
        (-1e9..1e9).prop_map(Value::Histogram),
        Just(Value::Check(CheckStatus::Critical)),
    ];
    let tag = ("[a-z.:\"=_-]{0,4}|instance|le", "\\PC{0,8}|x{1000,3000}|[\"\\\\\n,]{1,3}");
    let tags =
        prop_oneof![8 => 0..4_usize, 1 => 20..40_usize].prop_flat_map(move |len| proptest::collection::vec(tag, len));
    let name = "[a-c._]{0,3}|\\PC{0,20}|z{100,400}";
    (name, value, 0..5_i64, tags).prop_map(|(name, value, time, tags)| Made { name, value, time, tags })
}

/// A line as a strict reader reads it: series and the label `le`, value, time.
fn read_line(line: &str) -> Option<(String, f64, i64)> {
    let (name, rest) = line.split_once('{')?;
    let legal = |name: &str, more: &str| {
        let first = name.chars().next();
        first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || more.contains(c))
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || more.contains(c))
    };
    let mut rest = rest;
    let mut labels = std::collections::BTreeSet::new();
    loop {
        let (label, after) = rest.split_once("=\"")?;
        let mut end = 0;
        let bytes = after.as_bytes();
        while *bytes.get(end)? != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        if !legal(label, "") || end == 0 || !labels.insert(label) {
            return None;
        }
        rest = &after[end + 1..];
        match rest.as_bytes().first()? {
            b',' => rest = &rest[1..],
            _ => break,
        }
    }
    let (value, time) = rest.strip_prefix("} ")?.split_once(' ')?;
    let known = legal(name, ":") && labels.contains("instance") && labels.len() < 30;
    known.then_some((line[..line.len() - rest.len()].to_owned(), value.parse().ok()?, time.parse().ok()?))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn nothing_is_lost_and_every_line_is_legal(
        metrics in proptest::collection::vec(made(), 1..60),
        delta in any::<bool>(),
    ) {
        let mut prometheus = prometheus(if delta { &[DELTA] } else { &[] });
        let forwarder = Forwarder { instance: "a".into(), ..Forwarder::default() };
        let context = Context { forwarder: &forwarder, now: Timestamp::from_millis(NINE) };
        let mut encoder = prometheus.encoder(&context);
        push(&mut encoder, &metrics);
        let encoded = encoder.finish();
        prop_assert_eq!(encoded.oversize, Weight::default());
        let weight: Weight = encoded.requests.iter().map(Request::weight).sum();
        prop_assert_eq!(weight.metrics, metrics.len() as u64);
        let (mut seen, mut counted) = (BTreeMap::new(), 0.0);
        for request in &encoded.requests {
            let body = decompress(request.compression, &request.body).unwrap();
            prop_assert!(body.len() <= 1 << 20 && request.items.len() <= 2000);
            let body = String::from_utf8(body).unwrap();
            for line in body.lines().filter(|line| !line.starts_with('#')) {
                let (series, value, time) = read_line(line).ok_or_else(|| TestCaseError::fail(line.to_owned()))?;
                prop_assert!(seen.insert((series.clone(), time), value).is_none(), "twice: {}", line);
                let name = series.split('{').next().unwrap_or_default().trim_end_matches("_delta");
                counted += if name.ends_with("_count") { value } else { 0.0 };
            }
        }
        let histograms = metrics.iter().filter(|made| matches!(made.value, Value::Histogram(_))).count();
        prop_assert!((counted - f64::from(u32::try_from(histograms).unwrap())).abs() < 0.5, "{} of {}", counted, histograms);
    }
}
