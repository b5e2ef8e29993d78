use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::backend::decompress;
use crate::json::JsonStr;
use crate::model::{Function, Level, LogEvent, Name, Tag, Timestamp, Value};

fn read(pairs: &[(&str, &str)]) -> (Option<Elasticsearch>, String) {
    let lookup = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let mut env = Env::new(&lookup);
    let elasticsearch = Elasticsearch::from_env(&mut env);
    let mistakes: Vec<_> = env.into_mistakes().iter().map(ToString::to_string).collect();
    (elasticsearch, mistakes.join("\n"))
}

fn origin(generation: u32) -> Origin {
    Origin {
        generation,
        region: Some("eu-west-1".into()),
        log_group: format!("/aws/lambda/f{generation}"),
        log_stream: "2026/11/20/[$LATEST]0f\"".into(),
        function: generation.is_multiple_of(2).then(|| Function { name: "naïve".into(), ..Function::default() }),
        tags: vec![("a.b".into(), "x".repeat(3000)), ("a_b".into(), "y".into())],
        ..Origin::default()
    }
}

/// Action and document of each item.
fn documents(request: &Request) -> Vec<(Json, Json)> {
    let body = decompress(request.compression, &request.body).unwrap();
    assert!(body.len() <= LIMITS.bytes && body.ends_with(b"\n") && request.items.len() <= LIMITS.items);
    let lines: Vec<_> = body.strip_suffix(b"\n").unwrap().split(|b| *b == b'\n').collect();
    let of = |line: &[u8]| serde_json::from_slice(line).unwrap();
    lines.chunks_exact(2).map(|pair| (of(pair[0]), of(pair[1]))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn bulks_keep_limits_and_lose_nothing(
        logs in proptest::collection::vec((0..4_u32, ".{0,40}", prop_oneof![20 => Just(1), 1 => 1..30_000_usize]), 0..40),
        names in proptest::collection::vec(("[a-c.]{0,3}", 0..3_usize, -9.0..9e20_f64), 0..40),
    ) {
        let elasticsearch = read(&[("ELASTICSEARCH_URL", "http://es:9200")]).0.unwrap();
        let mut encoder = elasticsearch.encoder();
        for (generation, piece, times) in &logs {
            let mut buffer = Vec::new();
            let message = JsonStr::escape(&piece.repeat(*times), &mut buffer);
            let time = Timestamp::from_millis(1_795_165_334_000);
            let event = LogEvent::new("4003", time, message);
            encoder.log(&origin(*generation), &Log { level: Some(Level::Info), request_id: Some("r"), ..Log::new(&event) });
        }
        let tags = [Tag { key: "shop.a", value: "berlin" }, Tag { key: "shop.a", value: "" }];
        let metrics: Vec<_> = names.iter().map(|(name, tagged, value)| Metric {
            name: Name::Custom(name),
            time: Timestamp::from_millis(1_795_165_334_000),
            written: Timestamp::from_millis(1_795_165_334_000),
            value: Value::Gauge(*value),
            unit: None,
            tags: &tags[..*tagged.min(&2)],
            request_id: None,
            event_id: "4004",
        }).collect();
        encoder.metrics(&origin(1), &metrics);
        encoder.metrics(&origin(1), &metrics);
        let encoded = encoder.finish();
        let weight: Weight = encoded.requests.iter().map(Request::weight).sum();
        prop_assert_eq!((weight.logs, weight.metrics), (logs.len() as u64, 2 * names.len() as u64));
        prop_assert_eq!(encoded.oversize, Weight::default());
        let documents: Vec<_> = encoded.requests.iter().flat_map(documents).collect();
        prop_assert_eq!(documents.len(), encoded.requests.iter().map(|request| request.items.len()).sum::<usize>());
        let mut values = 0;
        let mut ids = std::collections::HashSet::new();
        for (action, document) in &documents {
            prop_assert!(document["@timestamp"] == "2026-11-20T09:02:14.000Z");
            if action["create"]["_index"] == "metrics-aws.lambda-default" {
                prop_assert!(ids.insert(action["create"]["_id"].as_str().unwrap()), "an id for each document");
                values += document["metrics"].as_object().unwrap().len();
            }
        }
        prop_assert_eq!(values, 2 * names.len());
    }
}

#[test]
fn a_log_has_the_time_that_the_application_says_and_that_of_its_event() {
    let elasticsearch = read(&[("ELASTICSEARCH_URL", "http://es:9200")]).0.unwrap();
    let logs = [
        (None, "2026-11-20T09:02:14.000Z", None),
        (Some("2026-11-20T09:02:13.998Z"), "2026-11-20T09:02:13.998Z", Some("2026-11-20T09:02:14.000Z")),
        (Some("2026-11-20T10:02:13.998765+01:00"), "2026-11-20T09:02:13.998Z", Some("2026-11-20T09:02:14.000Z")),
        (Some("2026-11-20T09:02:14.000Z"), "2026-11-20T09:02:14.000Z", Some("2026-11-20T09:02:14.000Z")),
        (Some("2026-11-19T09:02:14.000Z"), "2026-11-19T09:02:14.000Z", Some("2026-11-20T09:02:14.000Z")),
        (Some("2026-11-19T09:02:13.999Z"), "2026-11-20T09:02:14.000Z", None),
        (Some("2026-11-20T09:02:13Z"), "2026-11-20T09:02:14.000Z", None),
    ];
    let mut encoder = elasticsearch.encoder();
    for (timestamp, ..) in logs {
        let time = Timestamp::from_millis(1_795_165_334_000);
        let event = LogEvent::new("4003", time, JsonStr::from_escaped("x"));
        encoder.log(&origin(0), &Log { timestamp, ..Log::new(&event) });
    }
    let documents = documents(&encoder.finish().requests[0]);
    for ((_, document), (timestamp, time, created)) in documents.iter().zip(logs) {
        let found = (document["@timestamp"].as_str(), document["event"]["created"].as_str());
        assert_eq!(found, (Some(time), created), "{timestamp:?}");
    }
    assert_eq!(documents.len(), logs.len());
}

#[test]
fn settings_are_read_as_users_write_them() {
    let id = format!("shop:{}", STANDARD.encode("eu-west-1.aws.found.io$abc123$def456"));
    let with_port = format!("shop:{}", STANDARD.encode("eu.example.com:9243$abc123$"));
    let signing = |service, region: &str| Some(Signing { service, region: region.to_owned() });
    for (pairs, url, signed) in [
        (vec![("ELASTICSEARCH_URL", "http://es:9200/x/")], "http://es:9200/x", None),
        (vec![("ELASTIC_CLOUD_ID", id.as_str())], "https://abc123.eu-west-1.aws.found.io", None),
        (vec![("ELASTIC_CLOUD_ID", &with_port)], "https://abc123.eu.example.com:9243", None),
        (
            vec![("ELASTICSEARCH_URL", "https://search-x-y.eu-west-1.es.amazonaws.com")],
            "https://search-x-y.eu-west-1.es.amazonaws.com",
            signing("es", "eu-west-1"),
        ),
        (
            vec![("ELASTICSEARCH_URL", "https://x.aos.eu-west-2.on.aws"), ("LOGFERRY_ELASTICSEARCH_SIGNING", "es")],
            "https://x.aos.eu-west-2.on.aws",
            signing("es", "eu-west-2"),
        ),
        (
            vec![("ELASTICSEARCH_URL", "https://x.us-east-1.aoss.amazonaws.com:443")],
            "https://x.us-east-1.aoss.amazonaws.com:443",
            signing("aoss", "us-east-1"),
        ),
        (
            vec![("ELASTICSEARCH_URL", "https://x.us-east-1.aoss-fips.amazonaws.com")],
            "https://x.us-east-1.aoss-fips.amazonaws.com",
            signing("aoss", "us-east-1"),
        ),
        (
            vec![("ELASTICSEARCH_URL", "https://x.cn-north-1.aoss.amazonaws.com.cn")],
            "https://x.cn-north-1.aoss.amazonaws.com.cn",
            signing("aoss", "cn-north-1"),
        ),
        (
            vec![("ELASTICSEARCH_URL", "https://x.aoss.us-east-1.on.aws/")],
            "https://x.aoss.us-east-1.on.aws",
            signing("aoss", "us-east-1"),
        ),
        (
            vec![("ELASTICSEARCH_URL", "https://x.aoss-fips.us-gov-west-1.on.aws")],
            "https://x.aoss-fips.us-gov-west-1.on.aws",
            signing("aoss", "us-gov-west-1"),
        ),
        (
            vec![("ELASTICSEARCH_URL", "https://x.aoss.us-east-1.example.com")],
            "https://x.aoss.us-east-1.example.com",
            None,
        ),
        (
            vec![("ELASTICSEARCH_URL", "https://search-x.eu-west-1.es.amazonaws.com"), ("ES_API_KEY", "k")],
            "https://search-x.eu-west-1.es.amazonaws.com",
            None,
        ),
        (
            vec![
                ("ELASTICSEARCH_URL", "https://logs.example.com"),
                ("LOGFERRY_ELASTICSEARCH_SIGNING", "es"),
                ("LOGFERRY_ELASTICSEARCH_REGION", "eu-west-3"),
            ],
            "https://logs.example.com",
            signing("es", "eu-west-3"),
        ),
    ] {
        let (read, mistakes) = read(&pairs);
        let read = read.unwrap_or_else(|| panic!("{mistakes}"));
        assert_eq!((read.address.base.as_str(), read.signing.clone()), (url, signed.clone()));
        assert_eq!(read.takes_ids(), signed.is_none_or(|signing| signing.service != "aoss"));
    }
    for (url, expected) in [
        ("http://es:9200/x/", (format!("http://es:9200/x/_bulk?{WANTED}"), None)),
        ("http://es:9200/_bulk", (format!("http://es:9200/_bulk?{WANTED}"), None)),
        ("http://vl/es/_bulk/?a=1", ("http://vl/es/_bulk".to_owned(), Some(format!("{WANTED}&a=1")))),
        ("http://vl/es?a=1&b=2", ("http://vl/es/_bulk".to_owned(), Some(format!("{WANTED}&a=1&b=2")))),
        ("http://vl/es/?a=1", ("http://vl/es/_bulk".to_owned(), Some(format!("{WANTED}&a=1")))),
    ] {
        let template = read(&[("ELASTICSEARCH_URL", url)]).0.unwrap().template();
        let Destination::Http(endpoint) = template.destination else { panic!("{url}") };
        assert_eq!((endpoint.url, endpoint.query.map(|query| query.expose().to_owned())), expected);
    }
    for (name, value, mistake) in [
        ("ELASTICSEARCH_URL", "", "ELASTICSEARCH_URL is not set"),
        ("ELASTIC_CLOUD_ID", "shop:abc", "is not a cloud id"),
        ("ELASTIC_CLOUD_ID", &id, "ELASTIC_CLOUD_ID is set beside"),
        ("ELASTICSEARCH_API_KEY", "VuaCfGcBCdbkQm:ui2lp2axTNmsyakw9tvNnw", "ELASTICSEARCH_API_KEY is an id and a key"),
        ("ES_API_KEY", "id:key", "ES_API_KEY is an id and a key"),
        ("ELASTICSEARCH_USERNAME", "elastic", "ELASTICSEARCH_PASSWORD is not set"),
        ("LOGFERRY_ELASTICSEARCH_SIGNING", "es", "LOGFERRY_ELASTICSEARCH_REGION is not set"),
        ("LOGFERRY_ELASTICSEARCH_REGION", "EU", "is not a region"),
        ("LOGFERRY_ELASTICSEARCH_LOGS_DATASET", "a-b", "can't be a part"),
        ("LOGFERRY_ELASTICSEARCH_METRICS_DATASET", "A", "can't be a part"),
        ("LOGFERRY_ELASTICSEARCH_NAMESPACE", "a b", "can't be a part"),
    ] {
        let mistakes = read(&[(name, value), ("ELASTICSEARCH_URL", "http://es:9200")]).1;
        assert!(mistakes.contains(mistake) && !mistakes.contains("ui2lp2"), "{name}={value}: {mistakes}");
    }
}
