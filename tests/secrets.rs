//! Secrets that are kept elsewhere: when they are fetched, and what is said when they can't be.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::SOON;
use common::intake::Intake;
use common::lambda::{Bootstrap, bootstrap};
use common::pack::{batch, packed};
use common::runtime_api::Ended;
use common::script::files;
use common::server::Answer;
use serde_json::json;
use tokio::time::Instant;

const ARN: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:datadog-AbCdEf";
const OLD: &str = "00000000000000000000000000000001";
const NEW: &str = "00000000000000000000000000000002";

#[test]
fn a_key_that_is_refused_is_fetched_again_for_the_next_invocation() {
    let vault = vault(|before| held(if before == 0 { OLD } else { NEW }));
    let intake = taking(NEW);
    let lambda = function(&intake, &vault).start();
    let failure = lambda.invoke(&packed(batch(["a"]))).result.unwrap_err();
    assert_eq!(failure.error_type, "Undelivered");
    assert!(failure.error_message.contains("unauthorized"), "{failure:?}");
    for _ in 0..2 {
        let invocation = lambda.invoke(&packed(batch(["a"])));
        assert_eq!((invocation.result.as_deref(), invocation.notes().len()), (Ok("null"), 0));
    }
    let keys: Vec<_> = intake.requests().iter().map(|request| request.headers["dd-api-key"].clone()).collect();
    assert_eq!(keys, [OLD, NEW, NEW]);
    let calls = vault.requests();
    assert_eq!(calls.len(), 2);
    for call in calls {
        assert_eq!(call.json(), json!({ "SecretId": ARN }));
        assert_eq!(call.headers["x-amz-target"], "secretsmanager.GetSecretValue");
        // The region is the one of the ARN, not the function's.
        let signed = &call.headers["authorization"];
        assert!(signed.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{signed}");
        assert!(signed.contains("/eu-central-1/secretsmanager/aws4_request"), "{signed}");
    }
    assert_eq!(lambda.written().matches(OLD).count() + lambda.written().matches(NEW).count(), 0);
}

#[test]
fn a_parameter_is_fetched_by_its_arn_from_its_region() {
    const PARAMETER: &str = "arn:aws:ssm:eu-central-1:123456789012:parameter/logferry/datadog";
    let vault = vault(|_| Answer::with(200, &[], json!({ "Parameter": { "Value": NEW } }).to_string().as_bytes()));
    let intake = taking(NEW);
    // As the template sets it.
    let lambda =
        function(&intake, &vault).set("DD_API_KEY_SECRET_ARN", "").set("DD_API_KEY_SSM_NAME", PARAMETER).start();
    assert_eq!(lambda.invoke(&packed(batch(["a"]))).result.as_deref(), Ok("null"));
    let call = vault.requests().remove(0);
    assert_eq!(call.json(), json!({ "Name": PARAMETER, "WithDecryption": true }));
    assert!(call.headers["authorization"].contains("/eu-central-1/ssm/aws4_request"), "{call:?}");
}

#[test]
fn a_key_that_is_refused_by_what_was_stored_is_fetched_again_too() {
    let folder = format!("{}/secrets-redrive", env!("CARGO_TARGET_TMPDIR"));
    let _ = std::fs::remove_dir_all(&folder);
    let refusing = Intake::answering(|_, _| Answer::status(403));
    let before = bootstrap().datadog(&refusing).set("LOGFERRY_STORE", &folder).start();
    let event = packed(batch(["a"]).replace("179516533", &now().to_string()[..9]));
    assert_eq!(before.invoke(&event).count("/backends/datadog/stored"), 1);
    let stored = files(Path::new(&folder)).remove(0).1;
    let message = json!({ "messageId": "1", "eventSource": "aws:sqs", "body": String::from_utf8(stored).unwrap() });
    let queue = "https://sqs.eu-west-1.amazonaws.com/123456789012/queue";
    // In a folder, and in a queue.
    for (store, event) in [(folder.as_str(), json!({ "redrive": true })), (queue, json!({ "Records": [message] }))] {
        let vault = vault(|before| held(if before == 0 { OLD } else { NEW }));
        let intake = taking(NEW);
        let lambda = function(&intake, &vault).set("LOGFERRY_STORE", store).start();
        for sent in [0, 1] {
            let invocation = lambda.invoke(&event.to_string());
            assert_eq!(invocation.count("/redrive/0/sent"), sent, "{store}: {:?}", invocation.lines);
        }
        assert_eq!(vault.requests().len(), 2);
    }
}

#[test]
fn a_key_that_stays_refused_is_fetched_once_a_minute_at_most() {
    let vault = vault(|_| held(OLD));
    let intake = taking(NEW);
    let lambda = function(&intake, &vault).start();
    let start = Instant::now();
    for _ in 0..5 {
        assert_eq!(lambda.invoke(&packed(batch(["a"]))).result.unwrap_err().error_type, "Undelivered");
    }
    let minutes = usize::try_from(start.elapsed().as_secs() / 60).unwrap();
    let calls = vault.requests().len();
    assert!((2..=2 + minutes).contains(&calls), "{calls} in {minutes} minutes");
}

/// Another backend's credentials are no reason to count from zero.
#[test]
fn what_was_counted_stays_when_a_key_is_fetched_again() {
    for again in [NEW, OLD] {
        let vault = vault(move |before| held(if before == 0 { OLD } else { again }));
        let (intake, prometheus) = (taking(NEW), Intake::answering(|_, _| Answer::status(204)));
        let lambda = function(&intake, &vault).set("LOGFERRY_BACKENDS", "datadog,prometheus");
        let lambda = lambda.set("LOGFERRY_PROMETHEUS_URL", &prometheus.url()).start();
        for orders in 1..4 {
            let line = format!("MONITORING|1795165334|{orders}|count|orders");
            let _ = lambda.invoke(&packed(batch([line.as_str(), "a"]))).result;
        }
        let bodies = prometheus.requests().into_iter().map(|request| String::from_utf8(request.plain()).unwrap());
        let value = |body: String| {
            let line = body.lines().rfind(|line| line.starts_with("orders_total{")).unwrap().to_owned();
            line.split("} ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
        };
        assert_eq!(bodies.map(value).collect::<Vec<_>>(), ["1", "3", "6"], "{again}");
        assert_eq!(vault.requests().len(), 2);
    }
}

#[test]
fn a_key_that_came_holds_though_another_did_not() {
    const OTHER: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:loki-AbCdEf";
    let gone = json!({ "__type": "ResourceNotFoundException", "message": "no such secret" });
    for trouble in [Answer::with(400, &[], gone.to_string().as_bytes()), Answer::hang()] {
        let vault = Intake::answering(move |request, before| match (request.json()["SecretId"] == OTHER, before) {
            (true, 0 | 1) => held("password"),
            (true, _) => trouble.clone(),
            (false, 0 | 1) => held(OLD),
            (false, _) => held(NEW),
        });
        let (intake, loki) = (taking(NEW), Intake::answering(|_, _| Answer::status(204)));
        // The one that doesn't come is asked for first.
        let lambda = function(&intake, &vault)
            .set("LOGFERRY_BACKENDS", "loki,datadog")
            .set("LOKI_URL", &loki.url())
            .set("LOKI_USERNAME", "me")
            .set("LOKI_PASSWORD_SECRET_ARN", OTHER)
            .start();
        assert_eq!(lambda.invoke(&packed(batch(["a"]))).result.unwrap_err().error_type, "Undelivered");
        assert_eq!(lambda.invoke(&packed(batch(["b"]))).result.as_deref(), Ok("null"));
        // What it wrote before this summary has been read.
        let written = lambda.written();
        assert!(written.contains("LOKI_PASSWORD_SECRET_ARN cannot be fetched"), "{written}");
        assert!(!written.contains("DD_API_KEY_SECRET_ARN cannot be fetched"), "{written}");
        assert_eq!(loki.requests().len(), 2);
    }
}

#[test]
fn a_secret_that_cannot_be_had_fails_the_invocation_and_the_next_one_tries_again() {
    let vault = vault(|before| match before {
        0 => {
            let said = json!({ "__type": "ResourceNotFoundException", "message": "no such secret" });
            Answer::with(400, &[], said.to_string().as_bytes())
        }
        1 => held("a key with blanks in it"),
        2 => held(r#"{"one":"a-secret","two":"another-secret"}"#),
        _ => held(NEW),
    });
    let intake = taking(NEW);
    let lambda = function(&intake, &vault).start();
    let mut said = Vec::new();
    for expected in [
        "wrong setting: DD_API_KEY_SECRET_ARN cannot be fetched: secretsmanager answers 400: ResourceNotFoundException: no such secret",
        "wrong setting: DD_API_KEY holds a blank",
        "wrong setting: DD_API_KEY_SECRET_ARN cannot be fetched: it is JSON with several fields",
    ] {
        let failure = lambda.invoke_in_vain(&packed(batch(["a"])));
        assert_eq!(failure.error_type, "Settings");
        assert!(failure.error_message.starts_with(expected), "{failure:?}");
        assert!(
            !failure.error_message.contains("blanks") && !failure.error_message.contains("-secret\""),
            "{failure:?}"
        );
        assert_eq!(failure.error_message.lines().count(), 1);
        said.push(json!({ "kind": "settings", "level": "ERROR", "message": failure.error_message }).to_string());
    }
    assert_eq!(intake.requests().len(), 0);
    assert_eq!(lambda.invoke(&packed(batch(["a"]))).result.as_deref(), Ok("null"));
    // Whoever reads only the function's own log sees it, too.
    let written = lambda.written();
    assert!(said.iter().all(|line| written.contains(line)), "{written}");
    assert_eq!(vault.requests().len(), 4);
    assert!(!lambda.written().contains("blanks") && !lambda.written().contains(NEW));
}

#[test]
fn a_secret_that_is_empty_is_a_mistake_of_the_variable_that_names_it() {
    const EMPTY: [&str; 4] = ["", " \n", r#"{"DD_API_KEY":""}"#, r#"{"key":" "}"#];
    let vault = vault(|before| held(EMPTY.get(before).unwrap_or(&NEW)));
    let intake = taking(NEW);
    let lambda = function(&intake, &vault).start();
    for empty in EMPTY {
        let failure = lambda.invoke_in_vain(&packed(batch(["a"])));
        let expected = "wrong setting: DD_API_KEY_SECRET_ARN cannot be used: what it names is empty";
        assert_eq!((failure.error_type.as_str(), failure.error_message.as_str()), ("Settings", expected), "{empty}");
    }
    assert_eq!(intake.requests().len(), 0);
    assert_eq!(lambda.invoke(&packed(batch(["a"]))).result.as_deref(), Ok("null"));
}

#[test]
fn a_vault_that_limits_the_rate_is_asked_again_at_once() {
    let said = json!({ "__type": "com.amazon.coral.service#ThrottlingException", "message": "Rate exceeded" });
    let throttled = Answer::with(400, &[], said.to_string().as_bytes());
    let vault = vault(move |before| if before == 0 { throttled.clone() } else { held(NEW) });
    let intake = taking(NEW);
    let lambda = function(&intake, &vault).start();
    assert_eq!(lambda.invoke(&packed(batch(["a"]))).result.as_deref(), Ok("null"));
    assert_eq!(vault.requests().len(), 2);
}

#[test]
fn a_vault_that_hangs_is_not_waited_for_beyond_the_deadline() {
    let vault = vault(|before| if before == 1 { held(OLD) } else { Answer::hang() });
    let intake = taking(NEW);
    let lambda = function(&intake, &vault).start();
    let left = Duration::from_secs(2);
    let Ended { result, took } = lambda.api.invoke(&packed(batch(["a"])), left);
    let failure = result.unwrap_err();
    assert_eq!(failure.error_type, "Settings");
    assert!(failure.error_message.contains("DD_API_KEY_SECRET_ARN cannot be fetched: no answer before"), "{failure:?}");
    assert!(took < left, "{took:?}");
    // Nor when it is asked again, as what it had is refused.
    let invocation = lambda.invoke_within(&packed(batch(["a"])), left);
    assert_eq!(invocation.result.unwrap_err().error_type, "Undelivered");
    assert!(invocation.took < left, "{:?}", invocation.took);
    assert_eq!(vault.requests().len(), 3);
}

#[test]
fn is_gone_soon_when_it_is_told_to_end_while_a_secret_does_not_come() {
    let (vault, intake) = (vault(|_| Answer::hang()), taking(NEW));
    let lambda = function(&intake, &vault).start();
    let told = || !vault.requests().is_empty();
    // Without the signal it would wait until long after this test has given up.
    let (answered, exit) = lambda.terminate_during(&packed(batch(["a"])), SOON * 10, told);
    let failure = answered.unwrap_err();
    assert_eq!((failure.error_type.as_str(), exit.status.code()), ("Settings", Some(0)), "{}", exit.all);
    let sentence =
        "wrong setting: DD_API_KEY_SECRET_ARN cannot be fetched: the function was told to end before it was answered";
    assert_eq!(failure.error_message, sentence);
    assert_eq!(exit.asked, 1);
}

/// A function whose key is in the vault.
fn function(intake: &Intake, vault: &Intake) -> Bootstrap {
    bootstrap()
        .datadog(intake)
        .set("DD_API_KEY_SECRET_ARN", ARN)
        .set("AWS_ENDPOINT_URL", &vault.url())
        .set("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .set("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
}

/// Stands in for Secrets Manager.
fn vault(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Intake {
    Intake::answering(move |_, before| answer(before))
}

fn held(secret: &str) -> Answer {
    Answer::with(200, &[], json!({ "SecretString": secret }).to_string().as_bytes())
}

/// An intake that knows one key.
fn taking(key: &'static str) -> Intake {
    Intake::answering(move |request, _| Answer::status(if request.headers["dd-api-key"] == key { 202 } else { 403 }))
}

/// Seconds since 1970: what is too old isn't sent again.
#[expect(clippy::disallowed_methods, reason = "the process has the real clock")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
