use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::backend::{decompress, protobuf};
use crate::json::JsonStr;
use crate::model::{Function, Level, LogEvent, Timestamp};
use crate::request::{Item, Refused, Response, Verdict};

fn loki(format: Format) -> Loki {
    let labels = vec![("env".to_owned(), "prod".to_owned())];
    Loki { address: Address::of("http://loki:3100".to_owned()), authorization: None, tenant: None, labels, format }
}

fn origin(generation: u32) -> Origin {
    Origin {
        generation,
        region: Some("eu-west-1".into()),
        log_group: format!("/aws/lambda/f{}", generation % 3),
        log_stream: "2026/11/20/[$LATEST]0f".into(),
        function: generation.is_multiple_of(2).then(|| Function { name: "naïve \"f\"".into(), ..Function::default() }),
        tags: (0..generation).map(|n| (format!("{n}.tag"), "x".repeat(3000))).collect(),
        ..Origin::default()
    }
}

/// Stream, time, line and metadata of each entry.
type Entries = Vec<(BTreeMap<String, String>, i64, String, BTreeMap<String, String>)>;

fn entries(request: &Request) -> Entries {
    let body = decompress(request.compression, &request.body).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let streams = body["streams"].as_array().unwrap();
    assert_eq!(streams.len(), 1);
    let values = streams[0]["values"].as_array().unwrap();
    let of = |value: &serde_json::Value| serde_json::from_value(value.clone()).unwrap();
    let line = |entry: &serde_json::Value| entry[1].as_str().unwrap().to_owned();
    values.iter().map(|entry| (of(&streams[0]["stream"]), nanos(entry), line(entry), of(&entry[2]))).collect()
}

fn nanos(entry: &serde_json::Value) -> i64 {
    entry[0].as_str().unwrap().parse().unwrap()
}

fn log(id: &str) -> Log<'_> {
    Log::new(Box::leak(Box::new(LogEvent::new(id, Timestamp::default(), JsonStr::from_escaped("hello")))))
}

/// A short message, or a piece that is repeated to so many bytes.
fn message() -> impl Strategy<Value = (String, usize)> {
    prop_oneof![
        8 => (".{0,40}", Just(0_usize)),
        1 => (prop_oneof!["a", "\u{1}", "é", "\""], 100_000..400_000_usize),
    ]
}

fn written((piece, bytes): &(String, usize)) -> String {
    if *bytes == 0 { piece.clone() } else { piece.repeat(bytes / piece.len()) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn pushes_keep_limits_and_ascend_and_lose_nothing(
        logs in proptest::collection::vec((0..20_u32, 0..50_i64, message()), 0..60),
    ) {
        for format in [Format::Json, Format::Protobuf] {
            let loki = loki(format);
            let mut encoder = loki.encoder();
            let mut sorted: Vec<_> = logs.iter().collect();
            sorted.sort_by_key(|(generation, ..)| *generation);
            for (generation, millis, message) in &sorted {
                let mut buffer = Vec::new();
                let time = Timestamp::from_millis(1_795_165_334_000 + millis);
                let event = LogEvent::new("4003", time, JsonStr::escape(&written(message), &mut buffer));
                encoder.log(&origin(*generation), &Log { level: Some(Level::Info), ..Log::new(&event) });
            }
            let encoded = encoder.finish();
            let weight: Weight = encoded.requests.iter().map(Request::weight).sum();
            prop_assert_eq!((weight.logs, encoded.oversize), (logs.len() as u64, Weight::default()));
            let mut found = Vec::new();
            for request in &encoded.requests {
                let plain = decompress(request.compression, &request.body).unwrap();
                prop_assert!(plain.len() <= LIMITS.bytes);
                if format == Format::Protobuf {
                    prop_assert!(!protobuf::describe(&plain).contains("damaged"));
                    continue;
                }
                let entries = entries(request);
                prop_assert_eq!(entries.len(), request.items.len());
                prop_assert!(entries.is_sorted_by_key(|entry| entry.1));
                for (labels, _, line, metadata) in entries {
                    prop_assert!(labels.len() < 15 && labels.keys().all(|name| label_name(name) == *name));
                    prop_assert!(labels.values().chain(metadata.values()).all(|value| value.len() <= MAX_VALUE));
                    prop_assert!(metadata.len() <= 128 && line.len() <= MAX_LINE);
                    found.push(head(&line));
                }
            }
            if format == Format::Json {
                let mut expected: Vec<_> = logs.iter().map(|log| head(&written(&log.2))).collect();
                expected.sort();
                found.sort();
                prop_assert_eq!(found, expected);
            }
        }
    }
}

fn head(line: &str) -> String {
    line.chars().take(40).collect()
}

#[test]
fn entries_of_a_millisecond_follow_one_another_and_late_ones_find_their_place() {
    let loki = loki(Format::Json);
    let mut encoder = loki.encoder();
    for (millis, message) in [(5, "a"), (5, "b"), (7, "c"), (5, "d"), (6, "e")] {
        let time = Timestamp::from_millis(millis);
        encoder.log(&origin(1), &Log::new(&LogEvent::new("1", time, JsonStr::from_escaped(message))));
    }
    let request = encoder.finish().requests.pop().unwrap();
    let found: Vec<_> = entries(&request).into_iter().map(|entry| (entry.1, entry.2)).collect();
    let expected = [(5_000_000, "a"), (5_000_001, "b"), (5_000_002, "d"), (6_000_000, "e"), (7_000_000, "c")];
    assert_eq!(found, expected.map(|(nanos, line)| (nanos, line.to_owned())));
}

#[test]
fn labels_beyond_what_a_stream_has_take_no_place_of_its_metadata() {
    for format in [Format::Json, Format::Protobuf] {
        let loki = loki(format);
        let mut encoder = loki.encoder();
        let names = ["event_id", "request_id", "level", "function_version", "log_stream", "team"];
        let mut origin = Origin { region: None, ..origin(14) };
        origin.function.as_mut().unwrap().version = Some("7".into());
        origin.tags.extend(names.map(|name| (name.to_owned(), "tag".to_owned())));
        let mut log = log("4003");
        (log.level, log.request_id) = (Some(Level::Info), Some("1ab9"));
        encoder.log(&origin, &log);
        let body = encoder.finish().requests.pop().unwrap();
        let body = decompress(body.compression, &body.body).unwrap();
        let body = String::from_utf8_lossy(&body);
        for name in names {
            assert_eq!(body.matches(name).count(), 1, "{name} {body}");
        }
    }
}

fn request(items: usize) -> Request {
    let items = vec![Item { end: 0, weight: Weight::LOG }; items];
    Request { frame: Format::Json.frame(&[]), ..Request::with_items(items, judge) }
}

#[test]
fn answers_mean_what_loki_means() {
    let behind = "entry with timestamp 2026-11-21 06:46:52.400393545 +0000 UTC ignored, reason: 'entry too far behind, \
                  entry timestamp is: 2026-11-21T06:46:52Z, oldest acceptable timestamp is: 2026-11-21T07:46:52Z',\nuser \
                  'fake', total ignored: 2 out of 3 for stream: {a=\"c\"}\n";
    let old = "entry for stream '{a=\"b\"}' has timestamp too old: 2026-10-22T08:46:52Z, oldest acceptable timestamp is: \
               2026-11-14T08:46:52Z\n";
    let several =
        format!("2 errors like: max entry size '262144' bytes exceeded for stream '{{a=\"b\"}}'; 3 errors like: {old}");
    let rate = |bytes: u32| {
        format!(
            "ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec) while attempting to ingest '40' lines \
             totaling '{bytes}' bytes, reduce log volume"
        )
    };
    let per_stream =
        "Per stream rate limit exceeded (limit: 3MB/sec) while attempting to ingest for stream '{}' totaling 1MB";
    let sharded = behind.replace("{a", "{__stream_shard__=\"1\", a");
    for (status, body, items, expected) in [
        (204, "", 9, Verdict::Accepted),
        (200, "", 9, Verdict::Accepted),
        (401, "no org id", 9, Verdict::Unauthorized),
        (413, "", 9, Verdict::TooLarge),
        (422, "error at least one valid stream is required for ingestion", 9, Verdict::Refused),
        (500, "", 9, Verdict::Busy),
        (501, "", 9, Verdict::Refused),
        (503, "", 9, Verdict::Busy),
        (429, rate(8_000_000).as_str(), 9, Verdict::TooLarge),
        (429, rate(8_000_000).as_str(), 1, Verdict::Busy),
        (429, rate(400_000).as_str(), 9, Verdict::Busy),
        (429, per_stream, 9, Verdict::Busy),
        (400, "couldn't parse labels: 1:3: parse error: unexpected character inside braces: '-'", 9, Verdict::Refused),
        (400, "entry for stream '{…}' has 16 label names; limit 15", 9, Verdict::Refused),
        (400, "total ignored: many", 9, Verdict::Refused),
        (400, "", 9, Verdict::Refused),
    ] {
        let response = Response { status, body: body.into(), ..Response::default() };
        assert_eq!(judge(&request(items), &response), expected, "{status} {body}");
    }
    for (status, body, items, logs) in [
        (400, behind, 5, 4),
        (400, &behind.replace("entry too far", "another"), 3, 2),
        (400, &sharded, 5, 2),
        (400, old, 3, 1),
        (400, &several, 9, 5),
    ] {
        let response = Response { status, body: body.into(), ..Response::default() };
        let Verdict::Partly { retry, refused, why } = judge(&request(items), &response) else {
            panic!("{status} {body}");
        };
        assert_eq!((retry, refused), (Vec::new(), Refused::Count(Weight { logs, metrics: 0 })), "{status} {body}");
        assert!(why.starts_with(&format!("status {status}")) && why.contains(body));
    }
    let cut =
        Response { status: 400, body: b"entry with timestamp 2026-11-21".to_vec(), cut: true, ..Response::default() };
    assert_eq!(judge(&request(3), &cut), Verdict::Busy);
    for (status, body) in [(260, "ingestion blocked"), (202, "")] {
        let response = Response { status, body: body.into(), ..Response::default() };
        let Verdict::Partly { retry, refused, why } = judge(&request(3), &response) else {
            panic!("{status} {body}");
        };
        assert_eq!((retry, refused), (Vec::new(), Refused::Items(vec![0, 1, 2])), "{status} {body}");
        assert!(why.starts_with(&format!("status {status}")) && why.contains(body));
    }
}

#[test]
fn entries_that_are_too_far_behind_are_sent_again_as_late_ones() {
    let answer = |ignored: u32, of: u32| {
        let reason = "entry with timestamp 1970-01-01 00:00:00.005 +0000 UTC ignored, reason: 'entry too far behind, entry \
                      timestamp is: 1970-01-01T00:00:00Z, oldest acceptable timestamp is: 1970-01-01T01:00:00Z',\n";
        let count = format!("user 'fake', total ignored: {ignored} out of {of} for stream: {{a=\"c\"}}");
        Response { status: 400, body: (reason.to_owned() + &count).into(), ..Response::default() }
    };
    for format in [Format::Json, Format::Protobuf] {
        let of_bodies = |labels: &[(&str, &str)], messages: &[(i64, &str)]| {
            let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let loki = Loki { labels, ..loki(format) };
            let mut encoder = loki.encoder();
            for (millis, message) in messages {
                let event = LogEvent::new("1", Timestamp::from_millis(*millis), JsonStr::from_escaped(message));
                encoder.log(&origin(1), &Log::new(&event));
            }
            encoder.finish().requests.pop().unwrap()
        };
        let request = of_bodies(&[], &[(7, "c"), (5, "a"), (6, "b")]);
        let Verdict::Otherwise { others, why } = (request.judge)(&request, &answer(2, 3)) else { panic!() };
        assert_eq!(others, [0, 1]);
        assert!(why.starts_with("status 400: entry with timestamp 1970"), "{why}");
        let late = request.otherwise(&others).unwrap();
        let text = |request: &Request| {
            let plain = decompress(request.compression, &request.body).unwrap();
            assert_eq!(
                plain.len(),
                request.items.last().unwrap().end + request.frame.overhead(request.items.last().unwrap().end)
            );
            if format == Format::Json { String::from_utf8(plain).unwrap() } else { protobuf::describe(&plain) }
        };
        let expected = text(&of_bodies(&[], &[(5, "a"), (6, "b")]));
        let expected = match format {
            Format::Json => expected.replace("},\"values\"", ",\"late\":\"true\"},\"values\""),
            Format::Protobuf => expected.replacen("}\"\n", ", late=\\\"true\\\"}\"\n", 1),
        };
        assert_eq!((text(&late), late.weight()), (expected, Weight { logs: 2, metrics: 0 }));
        assert!(late.destination == request.destination && late.route == request.route);
        // Once, and not under a label that the user has.
        assert!(late.otherwise(&[0]).is_none() && with_fallback(late).otherwise(&[0]).is_none());
        assert!(of_bodies(&[("late", "no")], &[(5, "a")]).otherwise(&[0]).is_none());
        assert!(of_bodies(&[("choco_late", "yes")], &[(5, "a")]).otherwise(&[0]).is_some());
    }
}

#[test]
fn settings_are_read_as_users_write_them() {
    let read = |pairs: &[(&str, &str)]| {
        let lookup = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let mut env = Env::new(&lookup);
        let loki = Loki::from_env(&mut env);
        let mistakes: Vec<_> = env.into_mistakes().iter().map(ToString::to_string).collect();
        (loki, mistakes.join("\n"))
    };
    for (url, expected) in [
        ("http://loki:3100/", "http://loki:3100/loki/api/v1/push"),
        ("https://logs.example.com/loki/api/v1/push", "https://logs.example.com/loki/api/v1/push"),
        ("http://vl/insert/loki/api/v1/push?a=1", "http://vl/insert/loki/api/v1/push?a=1"),
        ("http://vl/insert/?a=1&b=2", "http://vl/insert/loki/api/v1/push?a=1&b=2"),
    ] {
        for name in ["LOKI_URL", "WRITE_ADDRESS"] {
            let Destination::Http(endpoint) = read(&[(name, url)]).0.unwrap().template().destination else { panic!() };
            let (url, query) = expected.split_once('?').map_or((expected, None), |(url, query)| (url, Some(query)));
            assert_eq!((endpoint.url.as_str(), endpoint.query.as_ref().map(Secret::expose)), (url, query));
        }
    }
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    for (value, expected) in [
        ("env:prod,team:shop", [pair("env", "prod"), pair("team", "shop")]),
        ("env,prod,team,shop", [pair("env", "prod"), pair("team", "shop")]),
        ("env,prod,url,http://x", [pair("env", "prod"), pair("url", "http://x")]),
        ("env:prod,url:http://x", [pair("env", "prod"), pair("url", "http://x")]),
    ] {
        let loki = read(&[("LOKI_URL", "http://loki"), ("LOKI_EXTRA_LABELS", value)]).0.unwrap();
        assert_eq!(loki.labels, expected);
    }
    for (name, value, mistake) in [
        ("LOKI_URL", "", "LOKI_URL is not set"),
        ("LOKI_USERNAME", "7", "LOKI_PASSWORD is not set"),
        ("LOKI_PASSWORD", "s3cret", "LOKI_USERNAME is not set"),
        ("LOKI_TENANT_ID", "a b", "is not a tenant: expected letters, digits and `!-_.*'()`, and `|` between several"),
        ("LOKI_FORMAT", "xml", "is neither"),
        ("LOKI_EXTRA_LABELS", "a,b,c", "without a value"),
        ("LOKI_EXTRA_LABELS", "a:b,c", "no good label `a:b`"),
        ("LOKI_EXTRA_LABELS", "a:b,c,d", "without a value"),
        ("LOKI_EXTRA_LABELS", "a,", "without a value"),
        ("LOKI_EXTRA_LABELS", "a.b:c", "no good label `a.b`"),
        ("LOKI_EXTRA_LABELS", "a:1,b:1,c:1,d:1,e:1,f:1,g:1,h:1,i:1,j:1,k:1", "has 11 labels"),
    ] {
        let mistakes = read(&[(name, value), ("LOKI_URL", "http://loki")]).1;
        assert!(mistakes.contains(mistake) && !mistakes.contains("s3cret"), "{name}={value}: {mistakes}");
    }
    let both = read(&[("LOKI_URL", "http://loki"), ("LOKI_BEARER_TOKEN", "t"), ("LOKI_USERNAME", "7")]).1;
    assert!(both.contains("one or the other"), "{both}");
}
