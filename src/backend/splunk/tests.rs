use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::backend::decompress;
use crate::json::JsonStr;
use crate::model::{Function, LogEvent, Tag, Value};

fn splunk(url: &str) -> Splunk {
    let lookup = |name: &str| match name {
        "SPLUNK_HEC_URL" => Some(url.to_owned()),
        "SPLUNK_HEC_TOKEN" => Some("s3cret".to_owned()),
        _ => None,
    };
    Splunk::from_env(&mut Env::new(&lookup)).unwrap()
}

fn origin(generation: u32) -> Origin {
    Origin {
        generation,
        region: Some("eu-west-1".into()),
        log_group: format!("/aws/lambda/f{generation}"),
        log_stream: "2026/11/20/[$LATEST]0f\"".into(),
        function: generation.is_multiple_of(2).then(|| Function { name: "naïve".into(), ..Function::default() }),
        tags: vec![("_time".into(), "x".repeat(3000)), ("host".into(), "y".into())],
        ..Origin::default()
    }
}

fn events(request: &Request) -> Vec<Json> {
    let body = decompress(request.compression, &request.body).unwrap();
    assert!(body.len() <= LIMITS.bytes && body.ends_with(b"\n"));
    body.strip_suffix(b"\n").unwrap().split(|b| *b == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn requests_keep_limits_and_lose_nothing(
        logs in proptest::collection::vec((0..4_u32, ".{0,40}", prop_oneof![20 => Just(1), 1 => 1..30_000_usize]), 0..40),
        names in proptest::collection::vec((".{0,3}", 0..3_usize, -9.0..9e20_f64), 0..40),
    ) {
        let splunk = splunk("http://splunk:8088");
        let mut encoder = splunk.encoder();
        for (generation, piece, times) in &logs {
            let mut buffer = Vec::new();
            let message = JsonStr::escape(&piece.repeat(*times), &mut buffer);
            let time = Timestamp::from_millis(1_795_165_334_007);
            let event = LogEvent::new("4", time, message);
            encoder.log(&origin(*generation), &Log { request_id: Some("r"), ..Log::new(&event) });
        }
        let tags = [Tag { key: "metric_name:shop", value: "berlin" }, Tag { key: "log_group", value: "other" }];
        let metrics: Vec<_> = names.iter().map(|(name, tagged, value)| Metric {
            name: Name::Custom(name),
            time: Timestamp::from_millis(1_795_165_334_007),
            written: Timestamp::from_millis(1_795_165_334_007),
            value: Value::Gauge(*value),
            unit: None,
            tags: &tags[..*tagged.min(&2)],
            request_id: None,
            event_id: "4004",
        }).collect();
        encoder.metrics(&origin(1), &metrics);
        let encoded = encoder.finish();
        let weight: Weight = encoded.requests.iter().map(Request::weight).sum();
        prop_assert_eq!((weight.logs, weight.metrics), (logs.len() as u64, names.len() as u64));
        prop_assert_eq!(encoded.oversize, Weight::default());
        let (mut seen, mut values) = (0, 0);
        for request in &encoded.requests {
            let events = events(request);
            prop_assert_eq!(events.len(), request.items.len());
            for event in events {
                prop_assert!(event["event"].as_str().is_some_and(|event| !event.is_empty()));
                prop_assert!((event["time"].as_f64().unwrap() - 1_795_165_334.007).abs() < 1e-6);
                let fields = event["fields"].as_object().unwrap();
                prop_assert!(fields.values().all(|value| value.is_string() || value.is_number()));
                prop_assert_eq!(fields["log_group"].as_str().unwrap().starts_with("/aws/lambda/f"), true);
                prop_assert!(fields.contains_key("tag_time") && fields.contains_key("tag_host"));
                let measured = fields.iter().filter(|(name, _)| name.starts_with("metric_name:"));
                values += measured.clone().count();
                prop_assert!(measured.clone().all(|(_, value)| value.is_number()));
                seen += usize::from(measured.count() == 0);
            }
        }
        prop_assert_eq!((seen, values), (logs.len(), names.len()));
    }
}

#[test]
fn small_pieces_are_what_splunk_takes() {
    for (millis, expected) in [(1_795_165_334_007, "1795165334.007"), (0, "0.000"), (-1500, "-1.500")] {
        let mut out = Vec::new();
        time(Timestamp::from_millis(millis), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{{\"time\":{expected}"));
    }
    for (name, expected) in [
        ("env", "env"),
        ("a.b", "a.b"),
        ("a:b", "a_b"),
        ("_raw", "tag_raw"),
        ("1", "tag_1"),
        ("", "tag_"),
        ("host", "tag_host"),
    ] {
        assert_eq!(field_name(name), expected);
    }
    for path in ["", "/", "/event", "/event/", "/event/1.0", "/raw", "/raw/1.0"] {
        for query in ["", "?a=b&c=d"] {
            let address = splunk(&format!("https://s:8088/services/collector{path}{query}")).address;
            assert_eq!(address.base, "https://s:8088/services/collector/event", "{path}");
            let found = address.query.map(|query| format!("?{}", query.expose())).unwrap_or_default();
            assert_eq!(found, query);
        }
    }
    for (url, expected) in [
        ("https://s:8088", "https://s:8088/services/collector/event"),
        ("https://s/event", "https://s/event/services/collector/event"),
        ("https://s/services/collectors", "https://s/services/collectors/services/collector/event"),
        ("https://s/hec/?a=b", "https://s/hec/services/collector/event"),
    ] {
        assert_eq!(splunk(url).address.base, expected);
    }
}

#[test]
fn all_mistakes_are_told_and_no_secret() {
    let lookup = |name: &str| match name {
        "SPLUNK_HEC_URL" => Some("splunk:8088".to_owned()),
        "SPLUNK_HEC_TOKEN" => Some("s3cret token".to_owned()),
        _ => None,
    };
    let mut env = Env::new(&lookup);
    assert!(Splunk::from_env(&mut env).is_none());
    let mistakes: Vec<_> = env.into_mistakes().iter().map(ToString::to_string).collect();
    assert!(mistakes.len() == 2 && !mistakes.join("").contains("s3cret"), "{mistakes:?}");
    assert!(!format!("{:?}", splunk("http://splunk:8088")).contains("s3cret"));
}
