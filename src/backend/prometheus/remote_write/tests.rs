use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::backend::Encode;
use crate::backend::compress::decompress;
use crate::backend::prometheus::tests::{made, measure, metric, one_request, origin, push};
use crate::backend::protobuf::{self, Field};
use crate::env::Mistake;
use crate::model::{Forwarder, Measure, Name, Sink, Timestamp, Value};
use crate::request::Weight;

const URL: (&str, &str) = ("PROMETHEUS_REMOTE_WRITE_URL", "https://mimir.example.com/api/v1/push");
const DELTA: (&str, &str) = ("LOGFERRY_REMOTE_WRITE_TEMPORALITY", "delta");
const TWO: (&str, &str) = ("LOGFERRY_REMOTE_WRITE_VERSION", "2");

fn read(pairs: &[(&str, &str)]) -> Result<RemoteWrite, Vec<Mistake>> {
    let lookup = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let mut env = Env::new(&lookup);
    let read = RemoteWrite::from_env(&mut env);
    let mistakes = env.into_mistakes();
    read.filter(|_| mistakes.is_empty()).ok_or(mistakes)
}

fn with_context<T>(use_it: impl FnOnce(&Context<'_>) -> T) -> T {
    let forwarder = Forwarder { instance: "a".into(), region: Some("eu-south-1".into()), ..Forwarder::default() };
    use_it(&Context { forwarder: &forwarder, now: Timestamp::from_millis(1_795_170_600_000) })
}

/// Labels, and samples: time and value.
type OneSeries = (Vec<(String, String)>, Vec<(i64, f64)>);

/// A request of version 1.0, as a strict receiver reads it.
fn series(request: &Request) -> Option<Vec<OneSeries>> {
    let body = decompress(request.compression, &request.body)?;
    let all = protobuf::fields(&body)?.into_iter().map(|(number, field)| match (number, field) {
        (1, Field::Bytes(series)) => one_series(series),
        _ => None,
    });
    all.collect()
}

fn one_series(series: &[u8]) -> Option<OneSeries> {
    let (mut labels, mut samples) = (Vec::new(), Vec::new());
    for (number, field) in protobuf::fields(series)? {
        let Field::Bytes(inside) = field else { return None };
        match (number, protobuf::fields(inside)?.as_slice()) {
            (1, [(1, Field::Bytes(name)), (2, Field::Bytes(value))]) if samples.is_empty() && !value.is_empty() => {
                labels.push((String::from_utf8(name.to_vec()).ok()?, String::from_utf8(value.to_vec()).ok()?));
            }
            (2, [(1, Field::Fixed64(value)), (2, Field::Varint(time))]) => {
                samples.push((time.cast_signed(), f64::from_bits(*value)));
            }
            _ => return None,
        }
    }
    let sorted = labels.is_sorted_by(|a, b| a.0 < b.0) && samples.is_sorted_by(|a, b| a.0 < b.0);
    (sorted && labels.iter().any(|(name, _)| name == "__name__")).then_some((labels, samples))
}

#[test]
fn takes_the_addresses_that_its_users_have() {
    let amazon = "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1";
    for (given, url, region) in [
        ("http://prometheus:9090", "http://prometheus:9090/api/v1/write", None),
        ("http://vm:8428/?extra_label=a=b", "http://vm:8428/api/v1/write", None),
        ("https://mimir/api/v1/push", "https://mimir/api/v1/push", None),
        (
            amazon,
            "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
            Some("eu-west-1"),
        ),
        (
            "https://aps-workspaces.us-gov-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
            "https://aps-workspaces.us-gov-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
            Some("us-gov-west-1"),
        ),
        (
            "https://vpce-1.aps-workspaces.eu-west-3.vpce.amazonaws.com/workspaces/w/api/v1/remote_write",
            "https://vpce-1.aps-workspaces.eu-west-3.vpce.amazonaws.com/workspaces/w/api/v1/remote_write",
            Some("eu-west-3"),
        ),
        ("https://aps-workspaces.eu-west-1.example.com/x", "https://aps-workspaces.eu-west-1.example.com/x", None),
    ] {
        let remote_write = read(&[("PROMETHEUS_REMOTE_WRITE_URL", given)]).unwrap();
        assert_eq!(remote_write.endpoint.url, url);
        assert_eq!((remote_write.signed, remote_write.region.as_deref()), (region.is_some(), region), "{given}");
    }
}

#[test]
fn says_who_sends_in_one_way() {
    let user = [("PROMETHEUS_REMOTE_WRITE_USERNAME", "u"), ("PROMETHEUS_REMOTE_WRITE_PASSWORD", "open sesame")];
    let token = ("PROMETHEUS_REMOTE_WRITE_BEARER_TOKEN", "sesame");
    let more = ("PROMETHEUS_REMOTE_WRITE_HEADERS", "X-Scope-OrgID: shop, THANOS-TENANT:sesame");
    let sign = ("LOGFERRY_REMOTE_WRITE_SIGN", "true");
    let sent = |pairs: &[(&str, &str)]| {
        let mut remote_write = read(pairs).unwrap();
        assert!(!format!("{remote_write:?}").contains("sesame"));
        let request = with_context(|context| one_request(remote_write.encoder(context)));
        let Destination::Http(endpoint) = request.destination else { panic!() };
        let headers = endpoint.headers.iter().skip(3).map(|(name, header)| match header {
            Header::Secret(secret) => format!("{name}: {}", secret.expose()),
            Header::Public(_) => panic!("{name}"),
        });
        (headers.collect::<Vec<_>>().join("; "), endpoint.signing.map(|signing| signing.region))
    };
    assert_eq!(sent(&[URL]), (String::new(), None));
    assert_eq!(sent(&[URL, user[0], user[1]]).0, "Authorization: Basic dTpvcGVuIHNlc2FtZQ==");
    assert_eq!(sent(&[URL, token]).0, "Authorization: Bearer sesame");
    assert_eq!(sent(&[URL, more]).0, "X-Scope-OrgID: shop; THANOS-TENANT: sesame");
    assert_eq!(sent(&[URL, sign]).1.as_deref(), Some("eu-south-1"));
    assert_eq!(sent(&[URL, sign, ("LOGFERRY_REMOTE_WRITE_REGION", "eu-north-1")]).1.as_deref(), Some("eu-north-1"));
    for wrong in [
        &[URL, token, sign][..],
        &[URL, user[0], user[1], token],
        &[("LOGFERRY_REMOTE_WRITE_VERSION", "3")],
        &[URL, ("LOGFERRY_REMOTE_WRITE_SIGN", "maybe")],
        &[URL, ("PROMETHEUS_REMOTE_WRITE_HEADERS", "sesame")],
        &[URL, ("PROMETHEUS_REMOTE_WRITE_HEADERS", ":sesame")],
        &[URL, ("PROMETHEUS_REMOTE_WRITE_HEADERS", "content-type:sesame")],
    ] {
        let mistakes = read(wrong).unwrap_err();
        assert!(!mistakes.is_empty() && !format!("{mistakes:?}").contains("sesame"), "{wrong:?}: {mistakes:?}");
    }
}

#[test]
fn writes_both_versions_as_they_are_specified() {
    let described = |pairs: &[(&str, &str)]| {
        let mut remote_write = read(pairs).unwrap();
        with_context(|context| {
            let mut encoder = remote_write.encoder(context);
            let queue = metric(Name::Custom("queue"), Value::Gauge(2.5), 0, &[], "e");
            encoder.metrics(&origin("s"), &[queue]);
            let request = encoder.finish().requests.pop().unwrap();
            let headers = match &request.destination {
                Destination::Http(endpoint) => {
                    endpoint.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect()
                }
                Destination::Stdout => Vec::new(),
            };
            (headers, protobuf::describe(&decompress(request.compression, &request.body).unwrap()))
        })
    };
    let (headers, body) = described(&[URL]);
    assert_eq!(
        headers,
        [
            "Content-Type: application/x-protobuf",
            "Content-Encoding: snappy",
            "X-Prometheus-Remote-Write-Version: 0.1.0"
        ]
    );
    let texts = [
        "__name__",
        "queue",
        "account_id",
        "123456789012",
        "function_name",
        "checkout",
        "instance",
        "af63dc4c8601",
        "job",
        "checkout",
        "region",
        "eu-west-1",
    ];
    let labels: Vec<_> =
        texts.chunks(2).map(|pair| format!("  1: {{\n    1: {:?}\n    2: {:?}\n  }}\n", pair[0], pair[1])).collect();
    let labels = labels.concat();
    assert_eq!(body, format!("1: {{\n{labels}  2: {{\n    1: 2.5\n    2: 1795170600000\n  }}\n}}\n"));
    let (headers, body) = described(&[URL, TWO]);
    assert_eq!(headers[0], "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request");
    assert_eq!(headers[2], "X-Prometheus-Remote-Write-Version: 2.0.0");
    let mut once = vec![""];
    for text in texts {
        if !once.contains(&text) {
            once.push(text);
        }
    }
    once.push("Custom gauge.");
    let symbols: Vec<_> = once.iter().map(|text| format!("4: {text:?}\n")).collect();
    assert!(body.starts_with(&symbols.concat()), "{body}");
    assert!(
        body.ends_with("  2: {\n    1: 2.5\n    2: 1795170600000\n  }\n  5: {\n    1: 2\n    3: 12\n  }\n}\n"),
        "{body}"
    );
}

#[test]
fn judges_answers() {
    use Verdict::{Accepted, Busy, Malformed, NotFound, Outdated, Refused, TooLarge, Unauthorized, Unsupported};

    let requests = |pairs: &[(&str, &str)]| {
        let mut remote_write = read(pairs).unwrap();
        let many = with_context(|context| one_request(remote_write.encoder(context)));
        let one = (many.select)(&many, &[0]).unwrap();
        let mut delta = read(&[pairs, &[DELTA]].concat()).unwrap();
        let delta = with_context(|context| one_request(delta.encoder(context)));
        [many, one, delta]
    };
    let version_1 = requests(&[URL]);
    let version_2 = requests(&[URL, TWO]);
    assert!(version_1[0].items.len() > 1 && version_2[0].items.len() > 1);
    let disorder = "out of order sample";
    let twice = "duplicate sample for timestamp";
    for (status, body, expected) in [
        (200, "", [Accepted, Accepted, Accepted]),
        (204, "", [Accepted, Accepted, Accepted]),
        (400, disorder, [Outdated, Outdated, Malformed]),
        (400, twice, [Outdated, Outdated, Malformed]),
        (400, "send data to ingesters: … (err-mimir-sample-out-of-order)", [Outdated, Outdated, Malformed]),
        (409, "store locally for endpoint: conflict", [Outdated, Outdated, Malformed]),
        (400, "label name \"x\" is not unique", [Malformed, Malformed, Malformed]),
        (400, "too big data size exceeding 33554432 bytes", [TooLarge, TooLarge, TooLarge]),
        (413, "", [TooLarge, TooLarge, TooLarge]),
        (500, "too old sample", [Malformed, Malformed, Malformed]),
        (500, "", [Busy, Busy, Busy]),
        (429, "", [Busy, Busy, Busy]),
        (401, "no org id", [Unauthorized, Unauthorized, Unauthorized]),
        (404, "", [NotFound, NotFound, NotFound]),
        (415, "", [Refused, Refused, Refused]),
    ] {
        let response = Response { status, body: body.as_bytes().to_vec(), ..Response::default() };
        let found = [0, 1, 2].map(|place: usize| (version_1[place].judge)(&version_1[place], &response));
        assert_eq!(found, expected, "{status} {body}");
        let found = (version_2[0].judge)(&version_2[0], &response);
        let expected = if matches!(status, 200 | 204 | 415) { &Unsupported } else { &expected[0] };
        assert_eq!(&found, expected, "{status} {body}");
    }
    let telling = vec!["x-prometheus-remote-write-samples-written".to_owned()];
    let response = Response { status: 204, telling, ..Response::default() };
    assert_eq!((version_2[0].judge)(&version_2[0], &response), Accepted);
}

#[test]
fn what_a_receiver_does_not_know_is_said_in_version_1_from_then_on() {
    let mut two = read(&[URL, TWO]).unwrap();
    let mut one = read(&[URL]).unwrap();
    let (first, expected) =
        with_context(|context| (one_request(two.encoder(context)), one_request(one.encoder(context))));
    let again = first.fall_back().unwrap();
    assert_eq!((&again.body, &again.items, &again.frame), (&expected.body, &expected.items, &expected.frame));
    assert!(again.destination == expected.destination && again.fallback.is_none());
    let later = with_context(|context| one_request(two.encoder(context)));
    assert!(later.fallback.is_none() && later.destination == expected.destination);
}

#[test]
fn a_stored_request_is_sent_in_the_version_that_the_receiver_is_sent() {
    let (mut two, one) = (read(&[URL, TWO]).unwrap(), read(&[URL]).unwrap());
    let stored = with_context(|context| one_request(two.encoder(context)));
    let bare = Request { fallback: None, ..stored.clone() };
    let revived = two.revived(bare.clone()).unwrap();
    assert!((revived.route, &revived.body) == (stored.route, &stored.body) && revived.fallback.is_some());
    // The receiver turned out, or is said, to know version 1 alone.
    let in_one = one.revived(bare.clone()).unwrap();
    assert_eq!((in_one.route, in_one.fallback.is_none()), (Version::One.route(), true));
    revived.fall_back().unwrap();
    assert_eq!(two.revived(bare).unwrap().body, in_one.body);
    assert_eq!(two.revived(in_one.clone()).unwrap().route, in_one.route);
}

#[test]
fn a_request_has_not_too_many_samples() {
    for pairs in [&[URL][..], &[URL, TWO], &[URL, DELTA], &[URL, DELTA, TWO]] {
        let mut remote_write = read(pairs).unwrap();
        let requests = with_context(|context| {
            let mut encoder = remote_write.encoder(context);
            for time in 0..700 {
                let id = time.to_string();
                encoder.metrics(&origin("s"), &[measure(Measure::Duration, 20.0, time, &id)]);
            }
            let names: Vec<_> = (0..3000).map(|number| format!("n_{number}")).collect();
            for name in &names {
                encoder.metrics(&origin("s"), &[metric(Name::Custom(name), Value::Gauge(1.0), 0, &[], "e")]);
            }
            encoder.finish().requests
        });
        assert!(requests.len() > 1);
        let mut metrics = 0;
        for request in requests {
            let request = request.fall_back().unwrap_or(request);
            let samples: usize = series(&request).unwrap().iter().map(|(_, samples)| samples.len()).sum();
            assert!(samples <= MAX_SAMPLES, "{samples}");
            metrics += request.weight().metrics;
        }
        assert_eq!(metrics, 3700);
    }
}

#[test]
fn as_many_samples_as_are_held_fit_into_one_request() {
    for pairs in [&[URL, DELTA][..], &[URL, DELTA, TWO]] {
        let mut remote_write = read(pairs).unwrap();
        let encoded = with_context(|context| {
            let mut encoder = remote_write.encoder(context);
            for time in 0..49_000 {
                encoder.metrics(&origin("s"), &[metric(Name::Custom("queue"), Value::Gauge(0.1), time, &[], "e")]);
            }
            encoder.finish()
        });
        let sent: Weight = encoded.requests.iter().map(Request::weight).sum();
        assert_eq!((sent.metrics, encoded.oversize.metrics), (49_000, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn both_versions_say_the_same_and_lose_nothing(
        metrics in proptest::collection::vec(made(), 1..60),
        delta in any::<bool>(),
    ) {
        let mut said = Vec::new();
        for version in ["1", "2"] {
            let temporality = ("LOGFERRY_REMOTE_WRITE_TEMPORALITY", if delta { "delta" } else { "cumulative" });
            let mut remote_write = read(&[URL, temporality, ("LOGFERRY_REMOTE_WRITE_VERSION", version)]).unwrap();
            let encoded = with_context(|context| {
                let mut encoder = remote_write.encoder(context);
                push(&mut encoder, &metrics);
                encoder.finish()
            });
            let mut seen = BTreeMap::new();
            let mut weight = encoded.oversize;
            for request in &encoded.requests {
                weight += request.weight();
                let plain = decompress(request.compression, &request.body).unwrap();
                prop_assert!(plain.len() <= LIMITS.bytes && request.items.len() <= MAX_SAMPLES);
                // Half of a request is one, too.
                let half: Vec<_> = (0..request.items.len()).step_by(2).collect();
                let half = (request.select)(request, &half).unwrap();
                let [request, half] = [request, &half].map(|request| request.fall_back().unwrap_or_else(|| request.clone()));
                let all = series(&request).ok_or_else(|| TestCaseError::fail("not legal"))?;
                let some: Vec<_> = all.iter().step_by(2).cloned().collect();
                prop_assert_eq!(some, series(&half).unwrap());
                for (labels, samples) in all {
                    let values: Vec<_> = samples.iter().map(|(time, value)| (*time, value.to_bits())).collect();
                    prop_assert!(seen.insert(labels, values).is_none(), "a series is in one request");
                }
            }
            prop_assert_eq!(weight.metrics, metrics.len() as u64);
            said.push(seen);
        }
        prop_assert_eq!(&said[0], &said[1]);
    }
}
