use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::decompress;
use super::super::line_protocol::reader::{Point, Value, read};
use super::*;
use crate::json::JsonStr;
use crate::model::{self, Function, Level, LogEvent, Name, Tag, Timestamp};

const TOKEN: &str = "tkn_0123456789abcdef0123456789abcdef";

fn settings(pairs: &[(&str, &str)]) -> (Option<Guance>, Vec<String>) {
    let lookup = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let mut env = Env::new(&lookup);
    let guance = Guance::from_env(&mut env);
    (guance, env.into_mistakes().iter().map(ToString::to_string).collect())
}

fn guance(vocabulary: &str) -> Guance {
    let dataway = format!("https://openway.guance.com?token={TOKEN}");
    settings(&[("ENV_DATAWAY", &dataway), ("LOGFERRY_GUANCE_MEASUREMENT", vocabulary)]).0.unwrap()
}

fn origin(generation: u32) -> Origin {
    Origin {
        generation,
        account: Some("123456789012".into()),
        region: Some("eu-west-1".into()),
        log_group: "/aws/lambda/checkout".into(),
        log_stream: "2026/11/20/[$LATEST]0123456789abcdef0123456789abcdef".into(),
        function: Some(Function {
            name: "checkout".into(),
            version: Some("$LATEST".into()),
            initialization_type: (generation == 1).then(|| "provisioned-concurrency".into()),
            memory_size_mb: (generation == 1).then_some(256),
            ..Function::default()
        }),
        tags: vec![
            ("env".into(), "prod".into()),
            ("team.name".into(), "shop, berlin".into()),
            ("status".into(), "x".into()),
            ("source".into(), "aws".into()),
            ("errors".into(), "y".into()),
        ],
    }
}

fn bodies(guance: &Guance, push: impl FnOnce(&mut Encoder)) -> (Vec<String>, Encoded) {
    let mut encoder = guance.encoder();
    push(&mut encoder);
    let ready = encoder.take_ready();
    let end = encoder.finish();
    let all = Encoded { requests: ready.into_iter().chain(end.requests).collect(), ..end };
    let plain = |request: &Request| String::from_utf8(decompress(request.compression, &request.body).unwrap()).unwrap();
    (all.requests.iter().map(plain).collect(), all)
}

fn metric<'a>(name: Name<'a>, value: f64, id: &'a str) -> Metric<'a> {
    Metric {
        name,
        time: Timestamp::from_millis(1_764_000_000_123),
        written: Timestamp::from_millis(1_764_000_000_123),
        value: model::Value::Histogram(value),
        unit: None,
        tags: &[],
        request_id: None,
        event_id: id,
    }
}

#[test]
fn reads_addresses_as_users_have_them() {
    for (pairs, url, query) in [
        (
            &[("ENV_DATAWAY", "https://openway.guance.com?token=tkn_0123456789abcdef0123456789abcdef")][..],
            "https://openway.guance.com",
            Some("token=tkn_0123456789abcdef0123456789abcdef"),
        ),
        (
            &[(
                "ENV_DATAWAY",
                "https://us1-openway.truewatch.com/v1/x/?token=tokn_0123456789abcdef01234567&a=b , https://b",
            )],
            "https://us1-openway.truewatch.com",
            Some("token=tokn_0123456789abcdef01234567&a=b"),
        ),
        (&[("ENV_DATAWAY", "http://datakit:9529")], "http://datakit:9529", None),
        (&[("ENV_DATAWAY", "http://datakit:9529?precision=ms")], "http://datakit:9529", None),
        (
            &[("ENV_DATAWAY", "http://datakit:9529?token=tkn_0123456789abcdef0123456789abcdef&precision=ms&strict=1")],
            "http://datakit:9529",
            Some("token=tkn_0123456789abcdef0123456789abcdef&strict=1"),
        ),
        (
            &[("DATAWAY_URL", "https://openway.guance.com/"), ("WORKSPACE_TOKEN", TOKEN)],
            "https://openway.guance.com",
            Some("token=tkn_0123456789abcdef0123456789abcdef"),
        ),
    ] {
        let (guance, mistakes) = settings(pairs);
        assert_eq!(mistakes, Vec::<String>::new());
        let dataway = guance.unwrap().dataway;
        assert_eq!((dataway.base.as_str(), dataway.query.as_ref().map(Secret::expose)), (url, query), "{pairs:?}");
    }
}

#[test]
fn says_what_is_wrong_and_no_token() {
    for (pairs, expected) in [
        (&[][..], "ENV_DATAWAY is not set"),
        (&[("ENV_DATAWAY", "https://openway.guance.com?token=tkn_abc")], "ENV_DATAWAY has a token that is none"),
        (&[("ENV_DATAWAY", "https://openway.guance.com?token=")], "ENV_DATAWAY has a token that is none"),
        (
            &[("ENV_DATAWAY", "https://x?token=tkn__123456789abcdef0123456789abcdef")],
            "ENV_DATAWAY has a token that is none",
        ),
        (&[("ENV_DATAWAY", "https://openway.guance.com")], "ENV_DATAWAY has no token"),
        (&[("ENV_DATAWAY", "openway.guance.com?token=x")], "ENV_DATAWAY is not an address"),
        (&[("DATAWAY_URL", "https://openway.guance.com")], "WORKSPACE_TOKEN is not set"),
        (&[("ENV_DATAWAY", "http://d:9529"), ("WORKSPACE_TOKEN", "tkn_abc")], "WORKSPACE_TOKEN has a token"),
        (&[("ENV_DATAWAY", "http://d:9529"), ("LOGFERRY_GUANCE_MEASUREMENT", "x")], "LOGFERRY_GUANCE_MEASUREMENT `x`"),
    ] {
        let (_, mistakes) = settings(pairs);
        assert!(mistakes.len() == 1 && mistakes[0].starts_with(expected), "{pairs:?}: {mistakes:?}");
        assert!(!mistakes[0].contains("tkn_abc"), "{mistakes:?}");
    }
    assert!(!format!("{:?}", guance("awslambda")).contains(TOKEN));
}

#[test]
fn knows_what_answers_mean() {
    let request = bodies(&guance("awslambda"), |encoder| {
        encoder.metrics(&origin(0), &[metric(Name::Measure(Measure::Errors), 1.0, "1")]);
    });
    let request = &request.1.requests[0];
    for (status, body, expected) in [
        (200, "", Verdict::Accepted),
        (204, "", Verdict::Accepted),
        (400, r#"{"error_code":"kodo.parsePointsFailed"}"#, Verdict::Malformed),
        (401, "", Verdict::Unauthorized),
        (403, r#"{"error_code":"kodo.tokenNotFound"}"#, Verdict::Unauthorized),
        (403, r#"{"error_code":"kodo.beyondDataUsage"}"#, Verdict::Unauthorized),
        (404, "", Verdict::NotFound),
        (413, "", Verdict::TooLarge),
        (429, "", Verdict::Busy),
        (500, "", Verdict::Busy),
        (503, "", Verdict::Busy),
    ] {
        let response = Response { status, body: body.as_bytes().to_vec(), ..Response::default() };
        assert_eq!((request.judge)(request, &response), expected, "{status} {body}");
    }
}

#[test]
fn one_report_is_one_point_in_the_documented_types() {
    let tags = [Tag { key: "memory_size_mb", value: "512" }, Tag { key: "cold_start", value: "true" }];
    let of = |measure, value| Metric { tags: &tags, ..metric(Name::Measure(measure), value, "3719") };
    let report = [
        of(Measure::Invocations, 1.0),
        of(Measure::Duration, 187.62),
        of(Measure::InitDuration, 418.4),
        of(Measure::RestoreDuration, 0.5),
        of(Measure::EstimatedCost, 0.000_005_25),
    ];
    let shared = "aws_account_id=123456789012,aws_lambda_function_name=checkout";
    let own = r"aws_region=eu-west-1,env=prod,errors_tag=y,source=aws,status_tag=x,team.name=shop\,\ berlin";
    let start = "aws_lambda_function_memory_size=512,aws_lambda_initialization_type=snap-start";
    for (vocabulary, expected) in [
        (
            "awslambda-metric",
            format!(
                "awslambda-metric,{shared},aws_lambda_function_version=$LATEST,{own},{start} \
                 invocations=1i,duration_ms=188i,init_duration_ms=418i,restore_duration_ms=0.5,estimated_cost_usd=5.25e-6"
            ),
        ),
        (
            "awslambda",
            format!(
                "awslambda,{shared},{own},{start} \
                 invocations=1i,duration_ms=187.62,init_duration_ms=418.4,restore_duration_ms=0.5,estimated_cost_usd=5.25e-6"
            ),
        ),
    ] {
        let (bodies, _) = bodies(&guance(vocabulary), |encoder| encoder.metrics(&origin(0), &report));
        let (point, time) = bodies[0].rsplit_once(' ').unwrap();
        assert_eq!(point, expected);
        assert!(time.starts_with("1764000000123") && time.trim_end().len() == 19, "{time}");
    }
}

#[test]
fn a_point_has_the_tenant_of_its_invocation() {
    let tags = [Tag { key: "cold_start", value: "true" }, Tag { key: "tenant_id", value: "shop, köln" }];
    let report = [Metric { tags: &tags, ..metric(Name::Measure(Measure::Invocations), 1.0, "1") }];
    let own = vec![("tenant_id".to_owned(), "settings".to_owned())];
    for (origin, expected) in [(origin(0), "shop, köln"), (Origin { tags: own, ..origin(0) }, "settings")] {
        let (bodies, _) = bodies(&guance("awslambda-metric"), |encoder| encoder.metrics(&origin, &report));
        assert_eq!(read(&bodies[0]).unwrap()[0].tag("tenant_id"), Some(expected), "{}", bodies[0]);
        assert_eq!(bodies[0].matches("tenant_id=").count(), 1, "{}", bodies[0]);
    }
}

#[test]
fn points_of_a_millisecond_stay_apart_and_come_back_the_same() {
    let ids: Vec<_> =
        (0..300).map(|number| format!("3719977359558115415481058927954512914844253599764427{number:04}")).collect();
    let send = |ids: &[String]| {
        let (bodies, _) = bodies(&guance("awslambda-metric"), |encoder| {
            for id in ids {
                encoder.metrics(&origin(0), &[metric(Name::Measure(Measure::Errors), 1.0, id)]);
                let custom = metric(Name::Custom("a"), 1.0, id);
                encoder.metrics(&origin(0), &[custom; 20]);
                encoder.metrics(&origin(0), &[metric(Name::Measure(Measure::Timeouts), 1.0, id)]);
            }
        });
        bodies.concat().lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let whole = send(&ids);
    let series =
        |line: &String| (line.split(' ').next().unwrap().to_owned(), line.rsplit(' ').next().unwrap().to_owned());
    // Of 6,000 in a million nanoseconds some would meet.
    assert_eq!(
        whole.iter().filter(|line| line.starts_with("lambda")).map(series).collect::<BTreeSet<_>>().len(),
        6_000
    );
    assert_eq!(whole.iter().filter(|line| line.starts_with("aws")).map(series).collect::<BTreeSet<_>>().len(), 600);
    assert_eq!(send(&ids[..1]).len(), 22);
    assert_eq!(whole, send(&ids));
    // Only those that would have met are elsewhere in parts of the batch.
    let parts: BTreeSet<_> = ids.chunks(7).flat_map(send).collect();
    assert!(whole.difference(&parts).count() < 200, "{}", whole.difference(&parts).count());
}

#[test]
fn custom_metrics_of_a_second_stay_apart() {
    let ids: Vec<_> = (0..5_000).map(|number| number.to_string()).collect();
    let send = |ids: &mut dyn Iterator<Item = &str>, millis: i64| {
        let (bodies, _) = bodies(&guance("awslambda-metric"), |encoder| {
            for (place, id) in ids.enumerate() {
                let tags = ["a:1,b:2", "b:2,a:1"][place % 2].split(',').map(Tag::parse).collect::<Vec<_>>();
                let time = Timestamp::from_millis(1_764_000_000_000 + millis);
                let metric = Metric { time, tags: &tags, ..metric(Name::Custom("orders"), 1.0, id) };
                encoder.metrics(&origin((place / 1000).try_into().unwrap()), &[metric]);
            }
        });
        bodies.concat().lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let spread = |points: &BTreeSet<String>| {
        let times: Vec<i64> =
            points.iter().map(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap()).collect();
        times.iter().max().unwrap() - times.iter().min().unwrap()
    };
    for (millis, most) in [(0, 1_000_000_000), (123, 1_000_100)] {
        let points = send(&mut ids.iter().map(String::as_str), millis);
        assert_eq!(points.len(), 5_000, "{millis}");
        assert_eq!(points, send(&mut ids.iter().map(String::as_str), millis), "a replay");
        assert!((most / 2..most).contains(&spread(&points)), "{millis}: {}", spread(&points));
        // Ids may be missing: then all of them meet.
        let alike = send(&mut std::iter::repeat_n("", 50_000), millis);
        assert_eq!((alike.len(), spread(&alike)), (50_000, 49_999), "{millis}");
    }
}

#[test]
fn tells_who_wrote_a_line() {
    let stage = |by_lambda: bool, is_function: bool| {
        let origin = if is_function { origin(0) } else { Origin { function: None, ..origin(0) } };
        let mut buffer = Vec::new();
        let log = Log { by_lambda, ..log("1", JsonStr::escape("START RequestId: 8edab1f8", &mut buffer), 0) };
        let (bodies, _) = bodies(&guance("awslambda-metric"), |encoder| encoder.log(&origin, &log));
        read(&bodies[0]).unwrap()[0].tag("aws_log_from").unwrap().to_owned()
    };
    assert_eq!([stage(true, true), stage(false, true), stage(false, false)], ["platform", "function", "cloudwatch"]);
}

fn log<'a>(id: &'a str, message: JsonStr<'a>, millis: i64) -> Log<'a> {
    let time = Timestamp::from_millis(1_764_000_000_000 + millis);
    let event = Box::leak(Box::new(LogEvent::new(id, time, message)));
    Log { level: Some(Level::Error), request_id: Some("r\"1"), ..Log::new(event) }
}

fn text(value: Option<&Value>) -> String {
    let Some(Value::Text(text)) = value else { panic!("{value:?}") };
    text.clone()
}

fn messages() -> impl Strategy<Value = String> {
    prop_oneof![
        24 => any::<String>(),
        2 => Just(String::new()),
        1 => (100_000..1_300_000_usize, prop_oneof![Just("a"), Just("\\"), Just("é"), Just("\u{1}")])
            .prop_map(|(bytes, piece)| piece.repeat(bytes / piece.len())),
    ]
}

/// A metric: whether it is custom, its name or place, value, tags.
type Made = (bool, String, usize, f64, Vec<(String, String)>);

fn made() -> impl Strategy<Value = Made> {
    let tag = (r#"[a-c ,="\\\n#é.]{0,4}"#, r#"[a-c ,="\\\né]{0,4}|x{900,2000}"#);
    let value = prop_oneof![9 => any::<f64>(), 1 => Just(f64::NAN)];
    (any::<bool>(), r#"[a-c ,="\\\n.]{0,4}|time|x{200,400}"#, 0..18_usize, value, proptest::collection::vec(tag, 0..70))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn logs_keep_limits_and_order_and_lose_nothing(
        logs in proptest::collection::vec((messages(), 0..3_i64, 0..2_u32), 0..40),
    ) {
        let (bodies, encoded) = bodies(&guance("awslambda-metric"), |encoder| {
            let mut buffer = Vec::new();
            for (place, (message, millis, generation)) in logs.iter().enumerate() {
                let id = place.to_string();
                encoder.log(&origin(*generation), &log(&id, JsonStr::escape(message, &mut buffer), *millis));
            }
        });
        prop_assert_eq!(encoded.oversize, Weight::default());
        let weight: Weight = encoded.requests.iter().map(Request::weight).sum();
        prop_assert_eq!(weight, Weight { logs: logs.len() as u64, metrics: 0 });
        let mut points: Vec<Point> = Vec::new();
        for body in &bodies {
            prop_assert!(body.len() <= LIMITS.bytes);
            points.extend(read(body).expect("line protocol"));
        }
        for (place, (point, (message, millis, _))) in points.iter().zip(&logs).enumerate() {
            prop_assert_eq!(text(point.field("event_id")), place.to_string());
            prop_assert_eq!(point.time / 1_000_000, 1_764_000_000_000 + millis);
            let found = text(point.field("message"));
            let mark = format!("… [cut by logferry: {} bytes in all]", message.len());
            prop_assert!(found == *message || found.ends_with(&mark));
            prop_assert_eq!(point.tag("status"), Some("error"));
            prop_assert_eq!(point.tag("team_name"), Some("shop, berlin"));
        }
        for pair in points.windows(2) {
            prop_assert!(pair[0].time / 1_000_000 != pair[1].time / 1_000_000 || pair[0].time < pair[1].time);
        }
    }

    #[test]
    fn metrics_keep_limits_and_lose_nothing(
        events in proptest::collection::vec((proptest::collection::vec(made(), 1..6), 0..2_u32), 0..8),
    ) {
        let (bodies, encoded) = bodies(&guance("awslambda"), |encoder| {
            for (place, (metrics, generation)) in events.iter().enumerate() {
                let id = place.to_string();
                let tags: Vec<Vec<_>> = metrics
                    .iter()
                    .map(|(.., tags)| tags.iter().map(|(key, value)| Tag { key, value }).collect())
                    .collect();
                let metrics: Vec<_> = metrics
                    .iter()
                    .zip(&tags)
                    .map(|((custom, name, place, value, _), tags)| {
                        let name = if *custom { Name::Custom(name) } else { Name::Measure(Measure::ALL[*place]) };
                        Metric { tags, ..metric(name, *value, &id) }
                    })
                    .collect();
                encoder.metrics(&origin(*generation), &metrics);
            }
        });
        let made = events.iter().map(|(metrics, _)| metrics.len() as u64).sum();
        let finite = |(.., value, _): &&Made| value.is_finite();
        let good = events.iter().map(|(metrics, _)| metrics.iter().filter(finite).count() as u64).sum();
        let weight: Weight = encoded.requests.iter().map(Request::weight).sum();
        prop_assert_eq!((weight.metrics, weight.metrics + encoded.oversize.metrics), (good, made));
        let mut fields = 0;
        for body in &bodies {
            prop_assert!(body.len() <= LIMITS.bytes);
            let points = read(body);
            prop_assert!(points.is_some(), "{body}");
            for point in points.unwrap() {
                fields += point.fields.len() as u64;
                prop_assert!(point.tags.iter().all(|(key, value)| key.len() <= 256 && value.len() <= 1024));
                prop_assert!(point.fields.iter().all(|(key, _)| key.len() <= 256));
                if point.measurement == "lambda_custom" {
                    prop_assert!(point.fields.iter().all(|(_, value)| matches!(value, Value::Float(_))));
                }
            }
        }
        prop_assert_eq!(fields, good);
    }
}
