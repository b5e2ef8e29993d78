//! The Lambda function from end to end: the real process between a Runtime API and an intake of our own.
//!
//! `LOGFERRY_TEST_BOOTSTRAP` names another binary than the one built for this test, as the one that is deployed.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::SOON;
use common::intake::Intake;
use common::lambda::{API_KEY, Bootstrap, Invocation, OWN_LOG_GROUP, bootstrap};
use common::pack::{batch, batch_of, fixture, gzip, packed, payload};
use common::server::{Answer, Received};
use serde_json::{Value, json};

const LOGS: &str = "/api/v2/logs";
const DISTRIBUTIONS: &str = "/api/v1/distribution_points";
const SERIES: &str = "/api/v2/series";

/// What an invocation that can't succeed is given, and what of it is left when it gives up.
const LEFT: Duration = Duration::from_secs(6);
const RESERVE: &str = "3s";

// === what goes well ===

#[test]
fn a_misspelt_setting_is_said_with_the_first_invocation() {
    let intake = Intake::accepting();
    let lambda =
        bootstrap().datadog(&intake).set("LOGFERRY_REDACT_EMAILS", "true").set("LOGFERRY_REDACT_IP", "true").start();
    for _ in 0..2 {
        lambda.invoke(&packed(fixture("node-text")));
    }
    let said = r#"{"kind":"settings","level":"WARN","message":"LOGFERRY_REDACT_EMAILS is no setting and has no effect: is it misspelt?"}"#;
    let written = lambda.written();
    assert_eq!((written.contains(said), written.matches("misspelt").count()), (true, 1), "{written}");
}

#[test]
fn ships_logs_and_metrics_and_says_so() {
    let intake = Intake::accepting();
    let lambda = bootstrap().datadog(&intake).start();
    let batch = fixture("node-text");
    let invocation = lambda.invoke(&packed(&batch));

    assert_eq!(invocation.result.as_deref(), Ok("null"));
    assert_eq!(invocation.lines, [] as [Value; 0]);
    let events: Value = serde_json::from_str(&batch).unwrap();
    let events = events["logEvents"].as_array().unwrap();
    let (metric_lines, log_lines): (Vec<_>, Vec<_>) =
        events.iter().partition(|event| event["message"].as_str().unwrap().contains("\tMONITORING|"));
    let expected: Vec<_> = log_lines.iter().map(|event| (&event["id"], &event["message"])).collect();
    let logs = logs(&intake);
    assert_eq!(logs.iter().map(|log| (&log["id"], &log["message"])).collect::<Vec<_>>(), expected);

    let names = |target| -> Vec<String> {
        let series = intake.requests_to(target).into_iter().flat_map(|request| items(&request.json()["series"]));
        series.map(|series| series["metric"].as_str().unwrap().to_owned()).collect()
    };
    let distributions = names(DISTRIBUTIONS);
    for name in ["aws.lambda.enhanced.duration", "aws.lambda.enhanced.invocations", "orders.placed"] {
        assert!(distributions.iter().any(|found| found == name), "{name} isn't among {distributions:?}");
    }
    assert!(names(SERIES).iter().all(|name| name == "checkout.basket_eur"));

    let log = &logs[0];
    assert_eq!(log["aws"]["invoked_function_arn"], "arn:aws:lambda:eu-west-1:123456789012:function:logferry");
    assert!(log["ddtags"].as_str().unwrap().starts_with("forwardername:logferry,"), "{log}");

    for request in intake.requests() {
        assert_eq!(request.method, "POST");
        assert_eq!(request.headers["dd-api-key"], API_KEY);
        assert_eq!(request.headers["content-type"], "application/json");
        let encoding = if request.target == LOGS { "gzip" } else { "deflate" };
        assert_eq!(request.headers["content-encoding"], encoding, "{}", request.target);
    }
    assert_eq!(invocation.count("/received"), events.len() as u64);
    assert_eq!(invocation.count("/consumed"), metric_lines.len() as u64);
    assert_eq!(invocation.count("/logs"), log_lines.len() as u64);
    let bytes: usize = intake.requests().iter().map(|request| request.body.len()).sum();
    assert_eq!(invocation.count("/backends/datadog/bytes"), bytes as u64);
    assert_eq!(invocation.count("/backends/datadog/requests"), intake.requests().len() as u64);
    assert_eq!(invocation.count("/backends/datadog/sent"), invocation.count("/logs") + invocation.count("/metrics"));
}

#[test]
fn keeps_its_connections_from_one_invocation_to_the_next() {
    let intake = Intake::accepting();
    let lambda = bootstrap().datadog(&intake).start();
    for _ in 0..5 {
        assert_good(&lambda.invoke(&packed(fixture("node-text"))));
    }
    let (connections, requests) = (intake.connections(), intake.requests().len());
    assert!(connections * 2 <= requests, "{connections} connections for {requests} requests");
}

#[test]
fn is_not_troubled_by_connections_that_the_intake_has_closed_meanwhile() {
    let intake = Intake::answering(|_, _| Answer::status(202).and_close());
    let lambda = bootstrap().datadog(&intake).start();
    for round in 1..=5 {
        assert_good(&lambda.invoke(&packed(batch(["a", "b"]))));
        assert_eq!(logs(&intake).len(), round * 2);
    }
}

#[test]
fn forwards_each_kind_of_batch() {
    let intake = Intake::accepting();
    let lambda = bootstrap().datadog(&intake).start();
    let mut names: Vec<_> = std::fs::read_dir("fixtures/events").unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for path in names {
        let text = std::fs::read_to_string(&path).unwrap();
        let invocation = lambda.invoke(&if text.contains("\"awslogs\"") { text } else { packed(text) });
        assert_good(&invocation);
    }
}

#[test]
fn a_large_batch_arrives_in_several_requests_each_log_once() {
    const COUNT: usize = 3500;
    const AT_ONCE: usize = 1;
    let (flying, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let intake = Intake::answering({
        let most = Arc::clone(&most);
        move |_, _| {
            most.fetch_max(flying.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // Long enough for the next request to be ready.
            thread::sleep(Duration::from_millis(200));
            flying.fetch_sub(1, Ordering::SeqCst);
            Answer::status(202)
        }
    });
    let lambda = bootstrap().datadog(&intake).set("LOGFERRY_CONCURRENCY", &AT_ONCE.to_string()).start();
    let invocation = lambda.invoke(&packed(batch((0..COUNT).map(|_| "basket opened\n"))));
    assert_good(&invocation);
    assert_eq!(sorted_ids(&logs(&intake)), (1..=COUNT).collect::<Vec<_>>());
    assert_eq!(invocation.count("/backends/datadog/requests"), 4);
    assert!(most.load(Ordering::SeqCst) <= AT_ONCE, "{most:?} at once");
}

#[test]
fn a_payload_may_be_as_large_as_lambda_takes() {
    let intake = Intake::accepting();
    let lambda = bootstrap().datadog(&intake).start();
    // Lambda takes 6 MB.
    let line = "x".repeat(88_000);
    let event = payload(batch((0..50).map(|_| line.as_str())).as_bytes());
    assert!(event.len() > 5_800_000 && event.len() < 6 << 20, "{}", event.len());
    assert_good(&lambda.invoke(&event));
    assert_eq!(sorted_ids(&logs(&intake)), (1..=50).collect::<Vec<_>>());
}

#[test]
fn reaches_an_intake_through_a_proxy() {
    let proxy = Intake::accepting();
    let settings = bootstrap().datadog_at("http://intake.invalid", "http://api.invalid");
    let lambda = settings.set("HTTP_PROXY", &proxy.url()).start();
    assert_good(&lambda.invoke(&packed(fixture("node-text"))));
    assert_eq!(proxy.requests_to("http://intake.invalid/api/v2/logs").len(), 1);
    assert_eq!(proxy.requests_to("http://api.invalid/api/v1/distribution_points").len(), 1);
}

#[test]
fn writes_to_standard_output() {
    let lambda = stdout().start();
    for _ in 0..2 {
        let invocation = lambda.invoke(&packed(fixture("node-text")));
        assert_good(&invocation);
        let of_kind = |kind: &str| invocation.lines.iter().filter(|line| line["kind"] == kind).count() as u64;
        assert_eq!(of_kind("log"), invocation.count("/logs"));
        assert_eq!(of_kind("metric"), invocation.count("/metrics"));
        assert_eq!(of_kind("log") + of_kind("metric"), invocation.lines.len() as u64);
        assert_eq!(invocation.lines[0]["log_group"], "/aws/lambda/checkout");
    }
}

#[test]
fn one_backend_does_not_wait_for_another() {
    let intake = Intake::always(LOGS, Answer::hang());
    let settings = bootstrap().datadog(&intake).set("LOGFERRY_BACKENDS", "datadog,stdout");
    let lambda = settings.set("LOGFERRY_RESERVE", RESERVE).start();
    let invocation = lambda.invoke_within(&packed(batch(["a", "b"])), LEFT);
    assert_eq!(invocation.result.as_ref().unwrap_err().error_type, "Undelivered");
    assert_eq!(invocation.count("/backends/stdout/sent"), 2);
    assert_eq!(invocation.count("/backends/datadog/dropped/unreachable"), 2);
    assert_eq!(invocation.lines.iter().filter(|line| line["kind"] == "log").count(), 2);
}

// === cold start ===

#[test]
fn says_all_that_is_wrong_with_the_settings_at_once() {
    let wrong = [
        ("LOGFERRY_BACKENDS", "datadog,nowhere"),
        ("DD_API_KEY", "0123456789abcdef 0123456789abcdef"),
        ("DD_SITE", "datadog"),
        ("DD_PORT", "0"),
        ("LOGFERRY_SEND_TIMEOUT", "soon"),
        ("LOGFERRY_INCLUDE", "("),
        ("LOGFERRY_MAX_EVENT_BYTES", "much"),
        ("HTTPS_PROXY", "user:hunter2@proxy"),
    ];
    let exit = wrong.iter().fold(bootstrap(), |settings, (name, value)| settings.set(name, value)).run();
    assert_eq!(exit.status.code(), Some(78), "{}", exit.all);
    assert_eq!(exit.asked, 0);
    let sentences: Vec<_> = exit.stdout.iter().filter_map(|line| line["message"].as_str()).collect();
    assert_eq!(sentences.len(), wrong.len(), "{sentences:#?}");
    for (name, _) in wrong {
        let about = |sentence: &&&str| sentence.starts_with(&format!("wrong setting: {name} "));
        assert_eq!(sentences.iter().filter(about).count(), 1, "{name}: {sentences:#?}");
    }
    assert!(exit.stdout.iter().all(|line| line["kind"] == "settings" && line["level"] == "ERROR"));
    for secret in ["0123456789abcdef", "hunter2"] {
        assert!(!exit.all.contains(secret), "{}", exit.all);
    }
}

#[test]
fn needs_a_backend_and_what_the_backend_needs() {
    for (backends, sentence) in [
        (None, "LOGFERRY_BACKENDS is not set: name at least one backend, as `datadog`"),
        (Some("datadog"), "DD_API_KEY is not set: the datadog backend needs an API key"),
    ] {
        let settings = backends.map_or_else(bootstrap, |name| bootstrap().set("LOGFERRY_BACKENDS", name));
        let exit = settings.run();
        assert_eq!(exit.status.code(), Some(78));
        assert_eq!(
            exit.stdout,
            [json!({ "kind": "settings", "level": "ERROR", "message": format!("wrong setting: {sentence}") })]
        );
    }
}

#[test]
fn a_list_of_backends_names_each_once() {
    for (list, expected) in [(",", "names no backend"), ("stdout,datadog,stdout", "names `stdout` twice")] {
        let exit = bootstrap().set("LOGFERRY_BACKENDS", list).run();
        assert_eq!(exit.status.code(), Some(78));
        assert!(exit.all.contains(&format!("LOGFERRY_BACKENDS `{list}` {expected}")), "{}", exit.all);
    }
}

#[test]
fn a_bad_ca_file_does_not_hide_behind_other_mistakes() {
    let exit = stdout().set("LOGFERRY_SEND_TIMEOUT", "soon").set("LOGFERRY_CA_FILE", "/nonexistent/ca.pem").run();
    assert_eq!(exit.status.code(), Some(78));
    for name in ["LOGFERRY_SEND_TIMEOUT", "LOGFERRY_CA_FILE"] {
        assert!(exit.all.contains(name), "{name}: {}", exit.all);
    }
}

#[test]
fn ends_when_the_runtime_api_does() {
    let lambda = stdout().start();
    assert_good(&lambda.invoke(&packed(batch(["a"]))));
    lambda.api.close();
    let exit = lambda.wait();
    assert_eq!(exit.status.code(), Some(1));
    assert!(exit.all.contains("the Lambda runtime ended: "), "{}", exit.all);
}

// === an intake that doesn't take it ===

/// Something that an intake does instead of taking logs, for as long as anybody asks.
struct Trouble {
    answer: Answer,
    reason: &'static str,
    said: &'static str,
    /// Whether a repeated invocation may help.
    recoverable: bool,
}

#[test]
fn trouble_has_a_name_and_passes() {
    let trouble = |answer, reason, said, recoverable| Trouble { answer, reason, said, recoverable };
    let errors = Answer::with(400, &[], b"{\"errors\":[\"no\nmessage\"]}");
    let cut_body = b"HTTP/1.1 400 Bad\r\nContent-Length: 1000\r\n\r\nno";
    let echo = Answer::with(400, &[], format!("{{\"bad key\":\"{API_KEY}\"}}").as_bytes());
    let cases = [
        trouble(errors, "refused", r#"status 400: {"errors":["no message"]}"#, false),
        trouble(
            Answer::with(302, &[("Location", "/other?a=b")], b""),
            "not_found",
            "status 302, a redirect to http://127.0.0.1:",
            true,
        ),
        trouble(Answer::with(302, &[], b""), "not_found", "status 302", true),
        trouble(
            Answer::with(407, &[], b""),
            "not_found",
            "status 407, of a proxy that wants a user and a password",
            true,
        ),
        trouble(Answer::with(404, &[], b"no such place"), "not_found", "status 404: no such place", true),
        trouble(Answer::status(403), "unauthorized", "status 403: {}", true),
        trouble(Answer::status(413), "oversize", "too large, even alone", false),
        trouble(Answer::status(429), "busy", "status 429: {}", true),
        trouble(Answer::with(503, &[("Retry-After", "3600")], b"later"), "busy", "status 503: later", true),
        trouble(Answer::hang(), "unreachable", "no response within ", true),
        trouble(Answer::close(), "unreachable", "the connection broke: ", true),
        trouble(Answer::raw(*cut_body), "refused", "status 400: no", false),
        trouble(echo, "refused", r#"status 400: {"bad key":"***"}"#, false),
        trouble(Answer::raw("HTTP/1.1 202 Acc"), "unreachable", "the connection broke: ", true),
        trouble(Answer::raw("\x15\x03\x01 what?\r\n\r\n"), "unreachable", "the connection broke: ", true),
        trouble(Answer::drip("HTTP/1.1 202 Accepted\r\nX-Slow: "), "unreachable", "no response within ", true),
    ];
    // All wait at the same time.
    thread::scope(|scope| {
        for case in &cases {
            scope.spawn(|| check_trouble(case));
        }
    });
}

fn check_trouble(Trouble { answer, reason, said, recoverable }: &Trouble) {
    let healed = Arc::new(AtomicBool::new(false));
    let intake = Intake::answering({
        let (healed, answer) = (Arc::clone(&healed), answer.clone());
        move |received, _| {
            let ill = received.target == LOGS && !healed.load(Ordering::SeqCst);
            if ill { answer.clone() } else { Answer::status(202) }
        }
    });
    let lambda = bootstrap().datadog(&intake).set("LOGFERRY_RESERVE", RESERVE).start();
    let invocation = lambda.invoke_within(&packed(fixture("node-text")), LEFT);
    let note = invocation.note();
    let start = format!(
        "datadog: {} logs not delivered to {}{LOGS} ({reason}): {said}",
        invocation.count("/logs"),
        intake.url()
    );
    assert!(note.starts_with(&start), "{note}\nbut expected: {start}");
    assert_eq!(invocation.count(&format!("/backends/datadog/dropped/{reason}")), invocation.count("/logs"));
    assert_eq!(invocation.count("/backends/datadog/sent"), invocation.count("/metrics"));
    match &invocation.result {
        Ok(answered) => assert!(!recoverable && answered == "null", "{reason}: {answered}"),
        Err(failure) => {
            assert!(recoverable, "{failure:?}");
            assert_eq!((failure.error_type.as_str(), failure.error_message.as_str()), ("Undelivered", note));
        }
    }
    assert!(invocation.took < LEFT, "{reason}: answered after {:?}", invocation.took);

    healed.store(true, Ordering::SeqCst);
    assert_good(&lambda.invoke(&packed(fixture("node-text"))));
}

#[test]
fn a_refused_connection_has_a_name_and_passes() {
    // An address that no outgoing connection is from, so that the port stays free.
    let listener = TcpListener::bind(SocketAddr::from(([127, 77, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let metrics = Intake::accepting();
    let settings = bootstrap().datadog_at(&format!("http://{address}"), &metrics.url());
    let lambda = settings.set("LOGFERRY_RESERVE", RESERVE).start();
    let invocation = lambda.invoke_within(&packed(fixture("node-text")), LEFT);
    let note = invocation.note();
    assert!(note.contains(&format!("to http://{address}{LOGS} (unreachable): cannot connect: ")), "{note}");
    assert!(note.contains("refused"), "{note}");
    assert_eq!(invocation.result.as_ref().unwrap_err().error_type, "Undelivered");
    assert_eq!(invocation.count("/backends/datadog/sent"), invocation.count("/metrics"));

    let intake = Intake::at(address, |_, _| Answer::status(202));
    assert_good(&lambda.invoke(&packed(fixture("node-text"))));
    assert!(!logs(&intake).is_empty());
}

#[test]
fn with_a_store_an_intake_that_hangs_fails_nothing() {
    const COUNT: usize = 2500;
    let folder = format!("{}/lambda-hangs", env!("CARGO_TARGET_TMPDIR"));
    let _ = std::fs::remove_dir_all(&folder);
    let hangs = Intake::answering(|_, _| Answer::hang());
    let lambda = bootstrap().datadog(&hangs).set("LOGFERRY_RESERVE", RESERVE).set("LOGFERRY_STORE", &folder).start();
    let now = now().to_string();
    let invocation =
        lambda.invoke_within(&packed(batch((0..COUNT).map(|_| "opened")).replace("179516533", &now[..9])), LEFT);
    assert_eq!(invocation.result.as_deref(), Ok("null"));
    assert!(invocation.note().contains("2500 logs not delivered to") && invocation.note().contains(" but stored "));
    assert_eq!(invocation.count("/backends/datadog/stored"), COUNT as u64);
    assert!(invocation.took < LEFT, "{:?}", invocation.took);

    let intake = Intake::accepting();
    let lambda = bootstrap().datadog(&intake).set("LOGFERRY_STORE", &folder).start();
    assert_good(&lambda.invoke(r#"{"redrive":true}"#));
    assert_eq!(sorted_ids(&logs(&intake)), (1..=COUNT).collect::<Vec<_>>());
    assert_good(&lambda.invoke(r#"{"redrive":true}"#));
    assert_eq!(logs(&intake).len(), COUNT);
}

#[test]
fn an_address_that_leads_nowhere_has_a_name() {
    let plain = Intake::accepting();
    let no_tls = plain.url().replace("http://", "https://");
    thread::scope(|scope| {
        for address in ["http://name.invalid", &no_tls] {
            scope.spawn(move || {
                let lambda = bootstrap().datadog_at(address, address).set("LOGFERRY_RESERVE", RESERVE).start();
                let invocation = lambda.invoke_within(&packed(batch(["a"])), LEFT);
                let note = invocation.note();
                // Some resolvers say nothing for long.
                let said = [": cannot connect: ", ": no response within "].map(|said| format!("(unreachable){said}"));
                assert!(said.iter().any(|said| note.contains(said)), "{note}");
                assert_eq!(invocation.result.as_ref().unwrap_err().error_type, "Undelivered");
                assert!(invocation.took < LEFT, "{:?}", invocation.took);
            });
        }
    });
    assert_eq!(plain.requests().len(), 0);
}

#[test]
fn is_gone_at_once_when_it_is_told_to_end_and_takes_nothing_with_it() {
    let intake = Intake::accepting();
    let lambda = bootstrap().datadog(&intake).start();
    assert_good(&lambda.invoke(&packed(batch(["a", "b"]))));
    // What was answered was sent: between invocations there is nothing to save.
    let exit = lambda.terminate();
    assert_eq!((exit.status.code(), logs(&intake).len()), (Some(0), 2), "{}", exit.all);
}

#[test]
fn stores_and_answers_before_it_ends_when_it_is_told_to_during_an_invocation() {
    // More requests than are sent at once.
    const COUNT: usize = 6500;
    let folder = format!("{}/lambda-terminated", env!("CARGO_TARGET_TMPDIR"));
    let _ = std::fs::remove_dir_all(&folder);
    let hangs = Intake::answering(|_, _| Answer::hang());
    let lambda = bootstrap().datadog(&hangs).set("LOGFERRY_STORE", &folder).start();
    let event = packed(batch((0..COUNT).map(|_| "opened")).replace("179516533", &now().to_string()[..9]));
    // Without the signal it would wait until long after this test has given up.
    let (answered, exit) = lambda.terminate_during(&event, SOON * 10, || !hangs.requests().is_empty());
    assert_eq!((answered.as_deref(), exit.status.code()), (Ok("null"), Some(0)), "{}", exit.all);
    let summary = exit.stdout.last().unwrap();
    assert_eq!(summary["backends"]["datadog"]["stored"], COUNT, "{}", exit.all);
    assert_eq!(exit.asked, 1);
    let told = "the function was told to end before it was answered; nothing has to be changed";
    assert!(exit.all.contains(told) && !exit.all.contains("timeout"), "{}", exit.all);
    // Nobody is to blame, neither for what was on its way nor for what waited.
    assert!(!exit.all.contains("did not take what came before"), "{}", exit.all);

    let intake = Intake::accepting();
    let lambda = bootstrap().datadog(&intake).set("LOGFERRY_STORE", &folder).start();
    assert_good(&lambda.invoke(r#"{"redrive":true}"#));
    assert_eq!(sorted_ids(&logs(&intake)), (1..=COUNT).collect::<Vec<_>>());
}

#[test]
fn fails_the_invocation_when_it_is_told_to_end_and_the_store_hangs() {
    let busy = Intake::answering(|_, _| Answer::with(503, &[("Retry-After", "50")], b""));
    let hangs = Intake::answering(|_, _| Answer::hang());
    let lambda = bootstrap()
        .datadog(&busy)
        .set("LOGFERRY_STORE", "s3://kept")
        .set("AWS_ENDPOINT_URL", &hangs.url())
        .set("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .set("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
        .start();
    let event = packed(batch(["a", "b"]));
    let (answered, exit) = lambda.terminate_during(&event, SOON * 10, || !busy.requests().is_empty());
    let failure = answered.unwrap_err();
    assert_eq!((failure.error_type.as_str(), exit.status.code()), ("Undelivered", Some(0)), "{}", exit.all);
    assert!(!hangs.requests().is_empty() && failure.error_message.contains("did not answer"), "{}", exit.all);
}

#[test]
fn fails_the_invocation_when_it_is_told_to_end_and_there_is_no_store() {
    let busy = Intake::answering(|_, _| Answer::with(503, &[("Retry-After", "50")], b""));
    let lambda = bootstrap().datadog(&busy).start();
    let event = packed(batch(["a", "b"]));
    let (answered, exit) = lambda.terminate_during(&event, SOON * 10, || !busy.requests().is_empty());
    assert_eq!(
        (answered.unwrap_err().error_type.as_str(), exit.status.code()),
        ("Undelivered", Some(0)),
        "{}",
        exit.all
    );
    let account = &exit.stdout.last().unwrap()["backends"]["datadog"];
    let dropped: u64 = account["dropped"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!((&account["sent"], dropped), (&json!(0), 2), "{}", exit.all);
}

#[test]
fn passing_trouble_is_waited_out_and_nothing_arrives_twice() {
    let passing = [
        Answer::status(500),
        Answer::status(408),
        Answer::status(429),
        Answer::with(503, &[("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT")], b""),
        Answer::close(),
        Answer::raw("\0\x01\x02\x03\r\n\r\n"),
    ];
    thread::scope(|scope| {
        for answer in passing {
            scope.spawn(move || {
                let intake = Intake::script(LOGS, [answer.clone()]);
                let lambda = bootstrap().datadog(&intake).start();
                let invocation = lambda.invoke(&packed(batch(["a", "b", "c"])));
                assert_good(&invocation);
                assert_eq!(invocation.count("/backends/datadog/retries"), 1, "{answer:?}");
                let sent = intake.requests_to(LOGS);
                assert_eq!(sent.len(), 2, "{answer:?}");
                assert_eq!(sent[0].body, sent[1].body, "{answer:?}");
            });
        }
    });
}

#[test]
fn waits_as_long_as_the_intake_asks() {
    let intake = Intake::script(LOGS, [Answer::with(429, &[("Retry-After", "1")], b"")]);
    let lambda = bootstrap().datadog(&intake).start();
    let invocation = lambda.invoke(&packed(batch(["a", "b"])));
    assert_good(&invocation);
    assert!(invocation.took >= Duration::from_secs(1), "only {:?}", invocation.took);
    assert_eq!(invocation.count("/backends/datadog/retries"), 1);
    assert_eq!(intake.requests_to(LOGS).len(), 2);
}

#[test]
fn an_absurd_retry_after_is_no_panic() {
    for asked in ["18446744073709551615", "9223372036854775807"] {
        let intake = Intake::script(LOGS, [Answer::with(503, &[("Retry-After", asked)], b"")]);
        let lambda = bootstrap().datadog(&intake).start();
        let invocation = lambda.invoke(&packed(batch(["a"])));
        assert_eq!(invocation.result.as_ref().unwrap_err().error_type, "Undelivered", "{asked}: {invocation:?}");
        assert_good(&lambda.invoke(&packed(batch(["a"]))));
    }
}

#[test]
fn a_reserve_that_is_longer_than_there_is_time_leaves_some_for_sending() {
    let intake = Intake::accepting();
    let lambda = bootstrap().datadog(&intake).set("LOGFERRY_RESERVE", "5m").start();
    assert_good(&lambda.invoke_within(&packed(batch(["a", "b"])), LEFT));
    assert_eq!(sorted_ids(&logs(&intake)), [1, 2]);
}

#[test]
fn without_time_nothing_is_tried() {
    let intake = Intake::accepting();
    let lambda = bootstrap().datadog(&intake).start();
    let invocation = lambda.invoke_within(&packed(batch(["a", "b"])), Duration::ZERO);
    assert_eq!(invocation.result.as_ref().unwrap_err().error_type, "Undelivered");
    assert!(invocation.note().contains("no time was left to read a delivery of "), "{}", invocation.note());
    assert_eq!(invocation.count("/received"), 0);
    assert_eq!(intake.requests().len(), 0);
}

#[test]
fn one_cause_is_said_once() {
    const COUNT: usize = 2500;
    let intake = Intake::answering(|_, _| Answer::status(403));
    let lambda = bootstrap().datadog(&intake).start();
    let metric = "MONITORING|1795165334|1|count|orders.placed|#shop:berlin\n";
    let messages = std::iter::repeat_n("basket opened\n", COUNT).chain([metric]);
    let invocation = lambda.invoke(&packed(batch(messages)));
    let failure = invocation.result.as_ref().unwrap_err();
    let notes = invocation.notes();
    assert_eq!(failure.error_message, notes.join("; "));
    let start = |items, path| format!("datadog: {items} not delivered to {}{path} (unauthorized)", intake.url());
    let logs = start(format!("{COUNT} logs"), LOGS);
    let metrics = start("1 metric".to_owned(), DISTRIBUTIONS);
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes.iter().any(|note| note.starts_with(&logs)), "{notes:?}");
    assert!(notes.iter().any(|note| note.starts_with(&metrics)), "{notes:?}");
    assert_eq!(invocation.count("/backends/datadog/dropped/unauthorized"), COUNT as u64 + 1);
}

#[test]
fn what_is_too_large_arrives_in_pieces_and_nothing_twice() {
    const MOST: usize = 10;
    for (codec, encoding) in
        [("gzip", Some("gzip")), ("deflate", Some("deflate")), ("zstd", Some("zstd")), ("none", None)]
    {
        let intake = Intake::answering(|received, _| {
            let large = received.target == LOGS && items(&received.json()).len() > MOST;
            Answer::status(if large { 413 } else { 202 })
        });
        let lambda = bootstrap().datadog(&intake).set("LOGFERRY_DATADOG_COMPRESSION", codec).start();
        let invocation = lambda.invoke(&packed(batch((0..100).map(|_| "basket opened\n"))));
        assert_good(&invocation);
        let sent = intake.requests_to(LOGS);
        for request in &sent {
            assert_eq!(request.headers.get("content-encoding").map(String::as_str), encoding);
        }
        let taken: Vec<_> =
            sent.iter().map(|request| items(&request.json())).filter(|logs| logs.len() <= MOST).collect();
        assert_eq!(sorted_ids(&taken.concat()), (1..=100).collect::<Vec<_>>(), "{codec}");
        assert_eq!(invocation.count("/backends/datadog/requests"), taken.len() as u64);
        // Halves, not single items.
        assert_eq!(taken.len(), 16);
    }
}

#[test]
fn only_the_one_log_that_is_too_large_is_given_up() {
    let intake = Intake::answering(|received, _| {
        let body = received.plain();
        let large = memchr::memmem::find(&body, b"elephant").is_some();
        Answer::status(if large { 413 } else { 202 })
    });
    let lambda = bootstrap().datadog(&intake).start();
    let messages = (0..50).map(|number| if number == 29 { "elephant" } else { "mouse" });
    let invocation = lambda.invoke(&packed(batch(messages)));
    assert_eq!(invocation.result.as_deref(), Ok("null"));
    assert_eq!(invocation.count("/backends/datadog/dropped/oversize"), 1);
    assert_eq!(invocation.count("/backends/datadog/sent"), 49);
    assert!(invocation.note().contains("1 log not delivered"), "{}", invocation.note());
}

// === payloads ===

#[test]
fn a_damaged_payload_is_said_and_passes() {
    let intake = Intake::accepting();
    let lambda = bootstrap().datadog(&intake).set("LOGFERRY_MAX_INFLATED_BYTES", "1MiB").start();
    let good = batch(["a", "b"]);
    let bomb = batch([&*"x".repeat(3 << 20)]);
    let of_group = "of /aws/lambda/checkout";
    for (name, event, of, error, read) in [
        ("no base64", json!({ "awslogs": { "data": "&&&&" } }).to_string(), "", "the data isn't base64", 0),
        ("nothing", payload(b""), "", "the data ends too early", 0),
        ("no gzip", payload(b"hello"), "", "the data is neither gzip nor a JSON object", 0),
        ("half a header", payload(&[0x1f, 0x8b, 8]), "", "the data ends too early", 0),
        ("no JSON", packed(r#"{"owner" 7}"#), "", "the JSON is damaged near byte 9", 0),
        ("another object", packed(r#"{"order":1}"#), "", "the JSON object holds no logEvents", 0),
        ("half a log event", packed(&good[..good.len() - 10]), of_group, "the data ends too early", 1),
        ("no log events", packed(batch_of("7")), of_group, "the JSON is damaged near byte ", 0),
        ("a bomb", packed(bomb), of_group, "the data inflates to more than 1048576 bytes", 0),
    ] {
        let before = logs(&intake).len();
        let invocation = lambda.invoke(&event);
        assert_eq!(invocation.result.as_deref(), Ok("null"), "{name}");
        let note = invocation.note();
        let start = if of.is_empty() { "damaged payload: ".to_owned() } else { format!("damaged payload {of}: ") };
        assert!(note.starts_with(&format!("{start}{error}")), "{name}: {note}");
        let rest = if read == 0 { "; nothing of it was forwarded" } else { "; the log event before it was forwarded" };
        assert!(note.ends_with(rest), "{name}: {note}");
        assert_eq!((invocation.count("/damaged"), invocation.count("/received")), (1, read), "{name}");
        assert_eq!((logs(&intake).len() - before) as u64, read, "{name}");
        assert_good(&lambda.invoke(&packed(&good)));
    }
}

#[test]
fn what_came_before_the_damage_is_forwarded() {
    const COUNT: usize = 2000;
    let intake = Intake::accepting();
    let lambda = bootstrap().datadog(&intake).start();
    let messages: Vec<_> = (0..COUNT).map(|number| format!("basket {} opened", number * 7919)).collect();
    let whole = gzip(batch(messages.iter().map(String::as_str)).as_bytes());
    let invocation = lambda.invoke(&payload(&whole[..whole.len() * 3 / 4]));
    assert_eq!(invocation.result.as_deref(), Ok("null"));
    let ids = sorted_ids(&logs(&intake));
    assert!(ids.len() > COUNT / 2 && ids.len() < COUNT, "{}", ids.len());
    assert_eq!(ids, (1..=ids.len()).collect::<Vec<_>>());
    assert_eq!(invocation.count("/received"), ids.len() as u64);
    assert!(invocation.note().contains("the data ends too early"), "{}", invocation.note());
}

#[test]
fn a_wrong_checksum_is_said_and_the_log_events_are_forwarded() {
    let intake = Intake::accepting();
    let lambda = bootstrap().datadog(&intake).start();
    let mut flipped = gzip(batch(["a", "b"]).as_bytes());
    let checksum = flipped.len() - 8;
    flipped[checksum] ^= 0xff;
    let invocation = lambda.invoke(&payload(&flipped));
    assert_eq!(invocation.result.as_deref(), Ok("null"));
    assert!(invocation.note().contains("the gzip data is damaged"), "{}", invocation.note());
    assert_eq!((logs(&intake).len(), invocation.count("/received"), invocation.count("/damaged")), (2, 2, 1));
}

#[test]
fn an_event_of_another_source_fails_and_passes() {
    let lambda = stdout().start();
    for event in [
        "{}",
        r#"{"Records":[]}"#,
        r#"{"Records":[{"kinesis":{"data":"H4sI"}}]}"#,
        r#"{"awslogs":{}}"#,
        r#"{"awslogs":{"data":7}}"#,
        r#"{"awslogs":null}"#,
        r#""text""#,
        "[]",
        "null",
        "7",
    ] {
        let invocation = lambda.invoke(event);
        let failure = invocation.result.as_ref().unwrap_err();
        assert_eq!((failure.error_type.as_str(), failure.error_message.as_str()), ("UnknownEvent", invocation.note()));
        assert!(failure.error_message.contains("expected a CloudWatch Logs subscription"), "{event}: {failure:?}");
        assert_eq!(invocation.count("/received"), 0);
    }
    assert_good(&lambda.invoke(&packed(batch(["a"]))));
}

#[test]
fn a_message_of_another_source_fails_alone() {
    let intake = Intake::accepting();
    let lambda = bootstrap().datadog(&intake).start();
    let envelope = |payload: &str| format!(r#"{{"version":"1.0","requestPayload":{payload}}}"#);
    let message = |id: &str, body: &str| json!({ "messageId": id, "body": body, "eventSource": "aws:sqs" });
    let records =
        [message("1", &envelope(&packed(batch(["a"])))), message("2", &envelope("{}")), message("3", "hello")];
    let invocation = lambda.invoke(&json!({ "Records": records }).to_string());
    let answered: Value = serde_json::from_str(invocation.result.as_ref().unwrap()).unwrap();
    assert_eq!(answered, json!({ "batchItemFailures": [{ "itemIdentifier": "2" }, { "itemIdentifier": "3" }] }));
    assert_eq!(logs(&intake).len(), 1);
    assert_eq!(invocation.notes().len(), 2, "{:?}", invocation.notes());
}

#[test]
fn an_event_that_is_not_json_fails_and_passes() {
    let lambda = stdout().start();
    for event in ["", "{", "\"\x01", "{\"awslogs\":{\"data\":\"H4sI"] {
        // Lambda's own runtime tells it before we see it.
        let failure = lambda.api.invoke(event, LEFT).result.unwrap_err();
        assert!(!failure.error_message.is_empty(), "{event}");
    }
    assert_good(&lambda.invoke(&packed(batch(["a"]))));
}

#[test]
fn what_carries_nothing_to_ship_makes_no_request() {
    let intake = Intake::accepting();
    let lambda = bootstrap().datadog(&intake).start();
    let own = batch(["a", "b"]).replace("/aws/lambda/checkout", OWN_LOG_GROUP);
    for (name, batch, count) in [
        ("no log events", batch([]), None),
        ("a control message", fixture("control-message"), Some("/control_messages")),
        ("our own log group", own, Some("/own_log_group")),
    ] {
        let invocation = lambda.invoke(&packed(batch));
        assert_good(&invocation);
        assert_eq!(invocation.count("/received"), 0, "{name}");
        assert_eq!(count.map_or(1, |pointer| invocation.count(pointer)), 1, "{name}");
    }
    assert_eq!(intake.requests().len(), 0);
}

#[test]
fn odd_payloads_are_good_ones() {
    let intake = Intake::accepting();
    let lambda = bootstrap().datadog(&intake).start();
    let event =
        |id: &str, message: &str| batch_of(&format!(r#"{{"id":{id},"timestamp":1795165334000,"message":{message}}}"#));
    let mut broken = event(r#""1""#, r#""a?b""#).into_bytes();
    let at = memchr::memchr(b'?', &broken).unwrap();
    broken.splice(at..=at, *b"\xff\xc3\x28");
    let whole = event(r#""1""#, r#""a""#);
    let (head, tail) = whole.split_at(100);
    for (name, event, id, message, replaced) in [
        ("no gzip", payload(whole.as_bytes()), "1", "a", 0),
        ("two members of gzip", payload(&[gzip(head.as_bytes()), gzip(tail.as_bytes())].concat()), "1", "a", 0),
        ("an integer as id", packed(event("37", r#""a""#)), "37", "a", 0),
        ("a lone surrogate", packed(event(r#""1""#, r#""a\ud83d b""#)), "1", "a\u{fffd} b", 1),
        ("two wrong surrogates", packed(event(r#""1""#, r#""\ude00\ud83d""#)), "1", "\u{fffd}\u{fffd}", 2),
        ("a pair of surrogates", packed(event(r#""1""#, r#""\ud83d\ude00""#)), "1", "😀", 0),
        ("no UTF-8", packed(&broken), "1", "a\u{fffd}\u{fffd}(b", 2),
        ("controls", packed(event(r#""1""#, r#""\u0000\u001b[0m\"\\\/""#)), "1", "\0\u{1b}[0m\"\\/", 0),
    ] {
        let invocation = lambda.invoke(&event);
        assert_good(&invocation);
        let log = logs(&intake).pop().unwrap();
        assert_eq!((log["id"].as_str(), log["message"].as_str()), (Some(id), Some(message)), "{name}");
        assert_eq!(invocation.count("/replaced"), replaced, "{name}");
    }
}

#[test]
fn a_line_of_a_megabyte_is_shipped() {
    let intake = Intake::accepting();
    let lambda = bootstrap().datadog(&intake).start();
    for piece in ["a", "\"é\n", "\u{1}"] {
        // What CloudWatch Logs takes at most, its own 26 bytes left out.
        let long = piece.repeat(((1 << 20) - 26) / piece.len());
        let before = intake.requests_to(LOGS).len();
        assert_good(&lambda.invoke(&packed(batch(["before", &long, "after"]))));
        let sent = intake.requests_to(LOGS).split_off(before);
        let logs: Vec<_> = sent.iter().flat_map(|request| items(&request.json())).collect();
        let messages: Vec<_> = logs.iter().map(|log| log["message"].as_str().unwrap()).collect();
        assert_eq!((messages[0], messages[2], messages.len()), ("before", "after", 3));
        let (head, note) = messages[1].split_once('…').unwrap();
        assert!(long.starts_with(head) && note == format!(" [cut by logferry: {} bytes in all]", long.len()), "{note}");
        let size = logs[1].to_string().len();
        assert!(size <= 1_000_000, "{size}");
    }
    let lambda = stdout().start();
    let long = "\"é\n".repeat(250_000);
    let invocation = lambda.invoke(&packed(batch([long.as_str()])));
    assert_good(&invocation);
    assert!(invocation.lines[0]["message"] == long, "the line is another");
}

// === helpers ===

fn stdout() -> Bootstrap {
    bootstrap().set("LOGFERRY_BACKENDS", "stdout")
}

/// Everything was delivered, and nothing is said.
fn assert_good(invocation: &Invocation) {
    // Only a redrive is answered more than that.
    let redriven = invocation.summary.get("redrive").cloned().unwrap_or_else(|| json!([]));
    let answers = ["null".to_owned(), json!({ "redrive": redriven }).to_string()];
    let answer = invocation.result.as_ref().unwrap();
    assert!(answers.contains(answer), "{answer} {:?}", invocation.notes());
    assert_eq!(invocation.notes(), [] as [&str; 0]);
    for account in invocation.summary["backends"].as_object().unwrap().values() {
        assert_eq!(account["dropped"], json!({}), "{}", invocation.summary);
    }
}

/// All logs that an intake was sent, in the order of their requests.
fn logs(intake: &Intake) -> Vec<Value> {
    intake.requests_to(LOGS).iter().map(Received::json).flat_map(|body| items(&body)).collect()
}

/// Seconds since 1970: what is too old isn't sent again.
#[expect(clippy::disallowed_methods, reason = "the process has the real clock")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn items(array: &Value) -> Vec<Value> {
    array.as_array().unwrap().clone()
}

fn sorted_ids(logs: &[Value]) -> Vec<usize> {
    let mut ids: Vec<_> = logs.iter().map(|log| log["id"].as_str().unwrap().parse().unwrap()).collect();
    ids.sort_unstable();
    ids
}
