//! `logferry redrive`: what it shows of a store, what it says of what it did, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use common::intake::Intake;
use common::lambda::{API_KEY, bootstrap};
use common::pack::{batch, packed};
use common::script::files;
use common::server::Answer;

/// A folder with a stored request for each backend of the list.
fn stored(name: &str, backends: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("redrive-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    let refusing = Intake::answering(|_, _| Answer::status(403));
    let lambda = bootstrap().datadog(&refusing).set("LOGFERRY_BACKENDS", backends);
    let lambda = lambda.set("LOGFERRY_STORE", folder.to_str().unwrap()).start();
    let event = packed(batch(["a"]).replace("179516533", &now().to_string()[..9]));
    assert_eq!(lambda.invoke(&event).result.as_deref(), Ok("null"));
    folder
}

/// Exit status, standard output and standard error.
fn redrive(store: &str, intake: &Intake, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_logferry"))
        .arg("redrive")
        .args(args)
        .env_clear()
        .envs([("LOGFERRY_BACKENDS", "datadog"), ("DD_API_KEY", API_KEY), ("LOGFERRY_STORE", store)])
        .envs([("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "EXAMPLEKEY")])
        .envs([("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), ("DD_URL", &intake.url()), ("DD_API_URL", &intake.url())])
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn says_why_something_stays_and_then_shows_it() {
    let folder = stored("stays", "datadog");
    let store = folder.to_str().unwrap();
    let refusing = Intake::answering(|_, _| Answer::with(401, &[], b"who are you?"));
    let (status, out, err) = redrive(store, &refusing, &[]);
    assert_eq!((status, out.as_str()), (1, "datadog: 1 stored request, 0 logs sent, 1 log still stored\n"));
    assert!(
        err.contains("still stored (unauthorized): status 401: who are you?; check the key, user or token"),
        "{err}"
    );
    let (status, out, err) = redrive(store, &refusing, &["--dry-run"]);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("unauthorized: status 401: who are you?; refused 0 times"), "{out}");
    let (status, out, err) = redrive(store, &Intake::accepting(), &[]);
    assert_eq!((status, out.as_str(), err.as_str()), (0, "datadog: 1 stored request, 1 log sent\n", ""));
    let (status, out, _) = redrive(store, &Intake::accepting(), &[]);
    assert_eq!((status, out), (0, format!("nothing is stored in {store} that could be sent\n")));
    for args in [&[][..], &["--dry-run"]] {
        let (status, out, _) = redrive("/nowhere", &Intake::accepting(), args);
        let said = "nothing is stored in /nowhere that could be sent: there is no such folder\n";
        assert_eq!((status, out.as_str()), (0, said));
    }
}

#[test]
fn a_redrive_is_signed_for_the_region_of_the_environment() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("redrive-signed");
    let _ = std::fs::remove_dir_all(&folder);
    let refusing = Intake::answering(|_, _| Answer::status(403));
    let url = refusing.url();
    let settings = [
        ("LOGFERRY_BACKENDS", "remote_write"),
        ("PROMETHEUS_REMOTE_WRITE_URL", url.as_str()),
        ("LOGFERRY_REMOTE_WRITE_SIGN", "true"),
        ("LOGFERRY_STORE", folder.to_str().unwrap()),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "EXAMPLEKEY"),
    ];
    let run = |command: &[&str], region: Option<&str>| {
        let mut logferry = Command::new(env!("CARGO_BIN_EXE_logferry"));
        logferry.args(command).current_dir(env!("CARGO_MANIFEST_DIR")).env_clear().envs(settings);
        let output = logferry.envs(region.map(|region| ("AWS_REGION", region))).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    run(&["replay", "fixtures/events/node-text.json"], Some("eu-west-1"));
    run(&["redrive"], Some("eu-north-1"));
    let regions: Vec<_> =
        refusing.requests().iter().map(|received| received.headers["authorization"].clone()).collect();
    assert!(regions.first().unwrap().contains("/eu-west-1/aps/"), "{regions:?}");
    assert!(regions.last().unwrap().contains("/eu-north-1/aps/"), "{regions:?}");
    let said = run(&["redrive"], None);
    assert!(said.contains("no region to sign for: expected AWS_REGION"), "{said}");
}

#[test]
fn what_a_link_in_the_store_leads_to_is_not_stored() {
    let folder = stored("link", "datadog");
    std::os::unix::fs::symlink(&folder, folder.join("pending/datadog/loop")).unwrap();
    let (status, out, err) = redrive(folder.to_str().unwrap(), &Intake::accepting(), &["--dry-run"]);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    assert_eq!((out.lines().count(), out.contains("1 stored request with 1 log would be sent")), (2, true), "{out}");
}

#[test]
fn a_wish_that_nothing_can_fulfil_is_a_mistake() {
    let folder = stored("wish", "datadog");
    for (args, expected) in [
        (["--max", "0"], "is not a whole number above 0"),
        (["--max", "ten"], "is not a whole number above 0"),
        (["--prefix", "../.."], "is no beginning of a key: expected a day or an hour, as `2026/11/20`"),
    ] {
        let (status, out, err) = redrive(folder.to_str().unwrap(), &Intake::accepting(), &args);
        assert_eq!((status, out.as_str()), (2, ""), "{args:?}");
        assert!(err.contains(expected), "{args:?}: {err}");
    }
    assert_eq!(files(&folder).len(), 1);
}

#[test]
fn says_what_is_damaged() {
    let folder = stored("damaged", "datadog");
    let store = folder.to_str().unwrap();
    let (key, content) = files(&folder).remove(0);
    std::fs::write(folder.join(&key), &content[..content.len() / 2]).unwrap();
    let intake = Intake::accepting();
    let (status, out, err) = redrive(store, &intake, &["--dry-run"]);
    let expected = format!(
        "{key}  the stored request is damaged\n0 stored requests with 0 logs would be sent\n1 damaged file would be moved to damaged/\n"
    );
    assert_eq!((status, out, err.as_str()), (1, expected, ""));
    let (status, out, err) = redrive(store, &intake, &[]);
    assert_eq!(status, 1);
    assert_eq!(out, "datadog: 0 stored requests, 0 logs sent, 1 damaged file moved to damaged/\n");
    let moved = files(&folder).remove(0).0;
    assert_eq!(err, format!("a stored request is damaged: {key} was moved to {moved}\n"));
    assert!(moved.starts_with("damaged/"), "{moved}");
}

#[test]
fn a_dry_run_says_what_would_be_set_aside_and_that_there_may_be_more() {
    let folder = stored("dry", "datadog");
    let (store, intake) = (folder.to_str().unwrap(), Intake::accepting());
    let (key, content) = files(&folder).remove(0);
    let mut old: serde_json::Value = serde_json::from_slice(&content).unwrap();
    old["oldest"] = (old["oldest"].as_i64().unwrap() - 20 * 3_600_000).into();
    old["route"] = "series".into();
    std::fs::write(folder.join(key.replace('-', "-0")), old.to_string()).unwrap();
    let (status, out, err) = redrive(store, &intake, &["--dry-run"]);
    let would = "1 stored request with 1 log would be sent
1 stored request would be set aside as too old for the backend
";
    assert_eq!((status, out.ends_with(would), err.as_str()), (1, true, ""), "{out}");
    let bound = "no more than 1 at once (--max, LOGFERRY_REDRIVE_MAX): others may be stored, too
";
    for args in [&["--max", "1", "--dry-run"][..], &["--max", "1"]] {
        let (_, out, _) = redrive(store, &intake, args);
        assert!(out.ends_with(bound), "{out}");
    }
    let (_, out, _) = redrive(store, &intake, &["--dry-run", "--max", "2"]);
    assert!(!out.contains("at once"), "{out}");
}

#[test]
fn says_how_many_are_left_where_not_all_were_tried() {
    let folder = stored("untried", "datadog");
    let store = folder.to_str().unwrap();
    let (key, content) = files(&folder).remove(0);
    for copy in 1..7 {
        std::fs::write(folder.join(key.replace('-', &format!("-{copy}"))), &content).unwrap();
    }
    let refusing = Intake::answering(|_, _| Answer::status(401));
    let (status, out, _) = redrive(store, &refusing, &[]);
    let expected = "datadog: 3 stored requests, 0 logs sent, 3 logs still stored; 7 stored requests in all are left\n";
    assert_eq!((status, out.as_str()), (1, expected));
    let (status, out, _) = redrive(store, &Intake::accepting(), &["--max", "5"]);
    assert!(out.starts_with("datadog: 5 stored requests, 5 logs sent; 2 stored requests in all are left\n"), "{out}");
    assert_eq!((status, files(&folder).len()), (0, 2));
    let (_, out, _) = redrive(store, &refusing, &["--max", "1"]);
    assert!(
        out.starts_with("datadog: 1 stored request, 0 logs sent, 1 log still stored; 2 stored requests in all"),
        "{out}"
    );
}

#[test]
fn says_what_is_stored_for_a_backend_that_the_settings_do_not_name() {
    let folder = stored("stranded", "datadog:eu");
    let store = folder.to_str().unwrap();
    let intake = Intake::accepting();
    let (status, out, _) = redrive(store, &intake, &["--dry-run"]);
    let expected = "pending/datadog-eu/  1 stored request of no backend that LOGFERRY_BACKENDS names\n0 stored requests with 0 logs would be sent\n";
    assert_eq!((status, out.as_str()), (1, expected));
    for args in [&["--backend", "datadog:eu"][..], &["--backend", "nosuch", "--dry-run"]] {
        let (status, out, err) = redrive(store, &intake, args);
        let expected = format!("there is no backend `{}`: LOGFERRY_BACKENDS names datadog\n", args[1]);
        assert_eq!((status, out.as_str(), err), (2, "", expected));
    }
    let (status, out, err) = redrive(store, &intake, &[]);
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(err.contains("pending/datadog-eu is of no backend that LOGFERRY_BACKENDS names"), "{err}");
    assert_eq!(files(&folder).len(), 1);
}

#[test]
fn an_age_may_be_hours() {
    let folder = stored("age", "datadog");
    for (age, status, out, err) in [
        ("2h", 0, "0 stored requests with 0 logs would be sent\n", ""),
        ("3d", 2, "", "error: invalid value '3d' for '--older-than <AGE>': is not an age: expected `30m` or `2h`"),
    ] {
        let args = ["--dry-run", "--older-than", age];
        let redriven = redrive(folder.to_str().unwrap(), &Intake::accepting(), &args);
        assert_eq!(
            (redriven.0, redriven.1.as_str(), redriven.2.lines().next().unwrap_or_default()),
            (status, out, err)
        );
    }
}

#[test]
fn does_not_say_that_a_store_is_empty_that_it_could_not_read() {
    let (status, out, err) = redrive("s3://kept", &Intake::accepting(), &[]);
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(err.starts_with("the store cannot be used: s3 cannot be reached: "), "{err}");
}

#[test]
fn leaves_a_queue_alone() {
    let queue = "https://sqs.eu-west-1.amazonaws.com/123456789012/queue";
    let intake = Intake::accepting();
    for args in [&[][..], &["--dry-run"], &["--set-aside"]] {
        let (status, out, err) = redrive(queue, &intake, args);
        let expected = "the store is an SQS queue: it invokes the function with what is stored by itself; what is refused goes to its dead-letter queue, from which SQS moves it back\n";
        assert_eq!((status, out.as_str(), err.as_str()), (0, expected, ""));
    }
    // The template's schedule asks for it whatever the store is.
    let lambda = bootstrap().datadog(&intake).set("LOGFERRY_STORE", queue).start();
    let invocation = lambda.invoke(r#"{"redrive":true}"#);
    let answer = r#"{"redrive":[],"redrive_left_to":"queue"}"#;
    assert_eq!((invocation.result.as_deref(), invocation.notes().len()), (Ok(answer), 0));
    assert_eq!(invocation.summary.get("redrive_left_to").and_then(|left| left.as_str()), Some("queue"));
}

/// Seconds since 1970: what is too old isn't sent again.
#[expect(clippy::disallowed_methods, reason = "the process has the real clock")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
