use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::super::decompress;
use super::*;
use crate::json::JsonStr;
use crate::model::{CheckStatus, Function, Level, LogEvent, Name, Tag, Timestamp, Value};

const KEY: &str = "eu01xx0123456789abcdef0123456789abcdNRAL";

fn settings(pairs: &[(&str, &str)]) -> (Option<NewRelic>, Vec<String>) {
    let lookup = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let mut env = Env::new(&lookup);
    let newrelic = NewRelic::from_env(&mut env);
    (newrelic, env.into_mistakes().iter().map(ToString::to_string).collect())
}

fn origin(generation: u32, function: &str) -> Origin {
    Origin {
        generation,
        account: Some("123456789012".into()),
        region: Some("eu-west-1".into()),
        log_group: format!("/aws/lambda/{function}"),
        log_stream: "2026/11/20/[7]0123456789abcdef0123456789abcdef".into(),
        function: Some(Function { name: function.into(), version: Some("7".into()), ..Function::default() }),
        tags: vec![("team name".into(), "shop".into()), ("faas.name".into(), "x".into())],
    }
}

/// Bodies, requests and what no request can carry.
fn send(push: impl FnOnce(&mut Encoder<'_>)) -> (Vec<Json>, Vec<Request>, Weight) {
    let newrelic = settings(&[("LICENSE_KEY", KEY), ("NR_TAGS", "env:prod;team:a:b")]).0.unwrap();
    let mut encoder = newrelic.encoder();
    push(&mut encoder);
    let mut requests = encoder.take_ready();
    let end = encoder.finish();
    requests.extend(end.requests);
    let body = |request: &Request| {
        let plain = decompress(request.compression, &request.body).unwrap();
        assert!(plain.len() <= 8_000_000 && request.body.len() <= 1_000_000, "{}", request.body.len());
        serde_json::from_slice(&plain).unwrap()
    };
    (requests.iter().map(body).collect(), requests, end.oversize)
}

fn metric<'a>(name: Name<'a>, value: Value, millis: i64, tags: &'a [Tag<'a>]) -> Metric<'a> {
    let time = Timestamp::from_millis(1_764_000_000_000 + millis);
    Metric { name, time, written: time, value, unit: None, tags, request_id: None, event_id: "1" }
}

#[test]
fn finds_the_region_of_a_key() {
    for (pairs, logs, metrics) in [
        (
            &[("NEW_RELIC_LICENSE_KEY", KEY)][..],
            "https://log-api.eu.newrelic.com/log/v1",
            "https://metric-api.eu.newrelic.com/metric/v1",
        ),
        (
            &[("LICENSE_KEY", "jp01xx")],
            "https://log-api.jp.nr-data.net/log/v1",
            "https://metric-api.jp.nr-data.net/metric/v1",
        ),
        (
            &[("LICENSE_KEY", KEY), ("NEW_RELIC_LICENSE_KEY", "0123")],
            "https://log-api.newrelic.com/log/v1",
            "https://metric-api.newrelic.com/metric/v1",
        ),
        (
            &[("LICENSE_KEY", "0123"), ("NEW_RELIC_REGION", "Gov")],
            "https://gov-log-api.newrelic.com/log/v1",
            "https://gov-metric-api.newrelic.com/metric/v1",
        ),
        (
            &[
                ("LICENSE_KEY", KEY),
                ("NR_LOGGING_ENDPOINT", "http://l/x"),
                ("LOGFERRY_NEWRELIC_METRICS_URL", "http://m/y"),
            ],
            "http://l/x",
            "http://m/y",
        ),
    ] {
        let (newrelic, mistakes) = settings(pairs);
        assert_eq!(mistakes, Vec::<String>::new());
        let newrelic = newrelic.unwrap();
        assert_eq!((newrelic.logs.base.as_str(), newrelic.metrics.base.as_str()), (logs, metrics));
        assert!(!format!("{newrelic:?}").contains(KEY));
    }
}

#[test]
fn says_what_is_wrong() {
    for (pairs, expected) in [
        (&[][..], "NEW_RELIC_LICENSE_KEY is not set"),
        (&[("LICENSE_KEY", "a b")], "LICENSE_KEY holds a blank"),
        (&[("LICENSE_KEY", "NRAK-0123456789ABCDEF")], "LICENSE_KEY is a user key"),
        (&[("NEW_RELIC_LICENSE_KEY", "NRAK-0123456789ABCDEF")], "NEW_RELIC_LICENSE_KEY is a user key"),
        (&[("LICENSE_KEY", "a"), ("NEW_RELIC_REGION", "mars")], "NEW_RELIC_REGION `mars` is none of"),
        (&[("LICENSE_KEY", "a"), ("NR_TAGS", "env=prod")], "NR_TAGS `env=prod` has something that is no pair"),
        (&[("LICENSE_KEY", "a"), ("NR_LOGGING_ENDPOINT", "x")], "NR_LOGGING_ENDPOINT `x` is not an address"),
    ] {
        let (_, mistakes) = settings(pairs);
        assert!(mistakes.iter().any(|mistake| mistake.starts_with(expected)), "{pairs:?}: {mistakes:?}");
    }
}

#[test]
fn knows_what_answers_mean() {
    let (_, requests, _) = send(|encoder| {
        encoder.metrics(&origin(0, "f"), &[metric(Name::Custom("a"), Value::Count(1.0), 0, &[])]);
    });
    for (status, expected) in [
        (202, Verdict::Accepted),
        (400, Verdict::Malformed),
        (401, Verdict::Unauthorized),
        (403, Verdict::Unauthorized),
        (404, Verdict::NotFound),
        (408, Verdict::Busy),
        (411, Verdict::Refused),
        (413, Verdict::TooLarge),
        (415, Verdict::Refused),
        (429, Verdict::Busy),
        (503, Verdict::Busy),
    ] {
        let response = Response { status, ..Response::default() };
        assert_eq!((requests[0].judge)(&requests[0], &response), expected, "{status}");
    }
}

#[test]
fn a_second_comes_to_one_item() {
    let shop =
        [Tag { key: "shop", value: "berlin" }, Tag { key: "shop", value: "rome" }, Tag { key: "a-b", value: "" }];
    let own = [Tag { key: "function_name", value: "mine" }];
    let (bodies, requests, lost) = send(|encoder| {
        let all = [
            metric(Name::Measure(Measure::Duration), Value::Histogram(5.0), 100, &[]),
            metric(Name::Measure(Measure::Duration), Value::Histogram(40.0), 900, &[]),
            metric(Name::Measure(Measure::Duration), Value::Histogram(7.5), 1000, &[]),
            metric(Name::Custom("orders"), Value::Count(2.0), 10, &shop),
            metric(Name::Custom("orders"), Value::Count(1.5), 20, &shop),
            metric(Name::Custom("orders"), Value::Count(-1.0), 20, &own),
            metric(Name::Custom("basket"), Value::Gauge(19.5), 30, &[]),
            metric(Name::Custom("basket"), Value::Gauge(84.9), 25, &[]),
            metric(Name::Custom("fresh"), Value::Check(CheckStatus::Critical), 0, &[]),
            metric(Name::Custom("bad"), Value::Gauge(f64::NAN), 0, &[]),
        ];
        encoder.metrics(&origin(0, "checkout"), &all);
    });
    let at = |millis: i64| 1_764_000_000_000_i64 + millis;
    let named = json!({"function_name": "checkout"});
    let expected = json!([{
        "common": {"attributes": {
            "aws.accountId": "123456789012", "aws.region": "eu-west-1", "faas.name": "checkout", "faas.version": "7",
            "env": "prod", "team": "a:b", "team_name": "shop",
        }},
        "metrics": [
            {"name": "aws.lambda.duration", "type": "summary", "value": {"count": 2, "sum": 45, "min": 5, "max": 40},
             "timestamp": at(0), "interval.ms": 1000},
            {"name": "aws.lambda.duration", "type": "summary", "value": {"count": 1, "sum": 7.5, "min": 7.5, "max": 7.5},
             "timestamp": at(1000), "interval.ms": 1000},
            {"name": "orders", "type": "count", "value": 3.5, "timestamp": at(0), "interval.ms": 1000,
             "attributes": {"function_name": "checkout", "shop": "berlin,rome", "a_b": ""}},
            {"name": "orders", "type": "summary", "value": {"count": 1, "sum": -1, "min": -1, "max": -1},
             "timestamp": at(0), "interval.ms": 1000, "attributes": {"function_name": "mine"}},
            {"name": "basket", "type": "gauge", "value": 19.5, "timestamp": at(30), "attributes": named},
            {"name": "fresh", "type": "gauge", "value": 2, "timestamp": at(0), "attributes": named},
        ],
    }]);
    assert_eq!(bodies, [expected]);
    assert_eq!((requests[0].weight(), lost), (Weight::metrics(9), Weight::METRIC));
}

#[test]
fn functions_do_not_share_a_body() {
    let (bodies, requests, _) = send(|encoder| {
        for (generation, function) in [(0, "a"), (1, "a"), (2, "b")] {
            let origin = origin(generation, function);
            encoder.metrics(&origin, &[metric(Name::Custom("m"), Value::Count(1.0), 0, &[])]);
            let mut buffer = Vec::new();
            encoder.log(&origin, &log("1", JsonStr::escape("x", &mut buffer)));
        }
    });
    let names: Vec<_> = bodies.iter().map(|body| body[0]["common"]["attributes"]["faas.name"].clone()).collect();
    assert_eq!(names, ["a", "a", "b", "b"]);
    let weights: Vec<_> = requests.iter().map(|request| request.weight().total()).collect();
    assert_eq!(weights, [2, 2, 1, 1]);
}

#[test]
fn what_hardly_compresses_keeps_the_limit() {
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from_u32(0x4e00 + (state >> 40) as u32 % 20_000).unwrap()
    };
    let messages: Vec<String> = (0..30).map(|_| (0..40_000).map(|_| noise()).collect()).collect();
    let (bodies, ..) = send(|encoder| {
        let mut buffer = Vec::new();
        for message in &messages {
            encoder.log(&origin(0, "f"), &log("1", JsonStr::escape(message, &mut buffer)));
        }
    });
    assert!(bodies.len() > 2);
    let logs: Vec<_> = bodies.iter().flat_map(|body| body[0]["logs"].as_array().unwrap()).collect();
    assert_eq!(logs.iter().map(|log| log["message"].as_str().unwrap()).collect::<Vec<_>>(), messages);
}

fn log<'a>(id: &'a str, message: JsonStr<'a>) -> Log<'a> {
    let time = Timestamp::from_millis(1_764_000_000_123);
    let event = Box::leak(Box::new(LogEvent::new(id, time, message)));
    Log { level: Some(Level::Warn), request_id: Some("r\"1"), ..Log::new(event) }
}

fn messages() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => any::<String>(),
        1 => Just(String::new()),
        1 => (100_000..200_000_usize, prop_oneof![Just("a"), Just("\\"), Just("é"), Just("\u{1}")])
            .prop_map(|(bytes, piece)| piece.repeat(bytes / piece.len())),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<f64>().prop_map(Value::Count),
        any::<f64>().prop_map(Value::Gauge),
        any::<f64>().prop_map(Value::Histogram),
        Just(Value::Histogram(f64::NAN)),
        Just(Value::Histogram(f64::MAX)),
        Just(Value::Check(CheckStatus::Warning)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn logs_keep_order_and_lose_nothing(logs in proptest::collection::vec((messages(), 0..3_u32), 0..40)) {
        let (bodies, requests, lost) = send(|encoder| {
            let mut buffer = Vec::new();
            for (place, (message, generation)) in logs.iter().enumerate() {
                let id = place.to_string();
                encoder.log(&origin(*generation, "f"), &log(&id, JsonStr::escape(message, &mut buffer)));
            }
        });
        prop_assert_eq!(lost, Weight::default());
        prop_assert_eq!(requests.iter().map(|request| request.weight().logs).sum::<u64>(), logs.len() as u64);
        let found: Vec<_> = bodies.iter().flat_map(|body| body[0]["logs"].as_array().unwrap()).collect();
        prop_assert_eq!(found.len(), logs.len());
        for (place, (found, (message, _))) in found.into_iter().zip(&logs).enumerate() {
            prop_assert_eq!(&found["attributes"]["aws.logEventId"], &json!(place.to_string()));
            let text = found["message"].as_str().unwrap();
            let mark = format!("… [cut by logferry: {} bytes in all]", message.len());
            prop_assert!(text.len() <= 128_000 && (text == message || text.ends_with(&mark)));
        }
    }

    #[test]
    fn metrics_lose_nothing(
        events in proptest::collection::vec(
            proptest::collection::vec((".{0,3}|x{300}", values(), 0..3000_i64, proptest::collection::vec((".{0,2}", ".{0,3}|x{5000}"), 0..70)), 1..8),
            0..6,
        ),
    ) {
        let made = events.iter().map(|event| event.len() as u64).sum::<u64>();
        let (bodies, requests, lost) = send(|encoder| {
            for (place, event) in events.iter().enumerate() {
                let tags: Vec<Vec<_>> =
                    event.iter().map(|(.., tags)| tags.iter().map(|(key, value)| Tag { key, value }).collect()).collect();
                let metrics: Vec<_> = event
                    .iter()
                    .zip(&tags)
                    .map(|((name, value, millis, _), tags)| metric(Name::Custom(name), *value, *millis, tags))
                    .collect();
                encoder.metrics(&origin(u32::try_from(place / 5).unwrap(), "f"), &metrics);
            }
        });
        let wrong = events.iter().flatten().filter(|(_, value, ..)| !value.number().is_finite()).count() as u64;
        prop_assert_eq!(lost.metrics, wrong);
        prop_assert_eq!(requests.iter().map(|request| request.weight().metrics).sum::<u64>() + wrong, made);
        for body in &bodies {
            let shared = body[0]["common"]["attributes"].as_object().unwrap().len();
            for item in body[0]["metrics"].as_array().unwrap() {
                let none = serde_json::Map::new();
                let own = item["attributes"].as_object().unwrap_or(&none);
                prop_assert!(shared + own.len() <= 100);
                let legal = |c: char| c.is_ascii_alphanumeric() || ":._".contains(c);
                prop_assert!(own.keys().all(|key| key.len() <= 255 && key.chars().all(legal)));
                prop_assert!(own.values().all(|value| value.as_str().unwrap().chars().count() <= 4094));
                let name = item["name"].as_str().unwrap();
                prop_assert!(!name.is_empty() && name.chars().count() <= 255);
            }
        }
    }
}
