//! What is redacted reaches no backend, in no field of any log.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use common::pack::{batch_of, packed};
use logferry::aws::{Client, Credentials, Places, Signer};
use logferry::backend::{Backend, decompress};
use logferry::delivery::{Http, HttpSettings, Transport, TransportError};
use logferry::env::Env;
use logferry::forwarder::Invocation;
use logferry::model::{self, Timestamp};
use logferry::request::{Request, Response};
use logferry::settings::Settings;
use serde_json::Value;
use tokio::time::Instant;

const PLACES: [(&str, &str); 14] = [
    ("DD_API_KEY", "k"),
    ("ELASTICSEARCH_URL", "http://es:9200"),
    ("ENV_DATAWAY", "http://datakit:9529"),
    ("LOKI_URL", "http://loki:3100"),
    ("NEW_RELIC_LICENSE_KEY", "k"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
    ("LOGFERRY_PROMETHEUS_URL", "http://vm:8428"),
    ("PROMETHEUS_REMOTE_WRITE_URL", "http://prometheus:9090"),
    ("SPLUNK_HEC_URL", "https://splunk:8088"),
    ("SPLUNK_HEC_TOKEN", "t"),
    ("LOGFERRY_METRIC_LINES", "keep"),
    ("LOKI_FORMAT_PB", "protobuf"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL_PB", "http/protobuf"),
];

/// What may not leave.
const SECRETS: [&str; 2] = ["hush", "203.0.113"];

const ID: &str = "8edab1f8-7d34-4a8e-a965-15ccbbb78d4c";

/// Lines that hold secrets, `ID` for a request id, and what is left of them.
const LINES: [(&str, &str); 25] = [
    ("kept from 203.0.113.7", "kept from xxx.xxx.xxx.xxx"),
    ("kept hush-é😀\t\"hush\"\n", "kept <\"\\$0>-é😀\t\"<\"\\$0>\"\n"),
    ("bob.hush+1@example.com kept", "xxxxx@xxxxx.com kept"),
    ("kept bob-hush@203.0.113.7,hush@example.org", "kept xxxxx@xxxxx.com,xxxxx@xxxxx.com"),
    ("{\"kept\":1,\"mail\":\"a\\nhush@example.com\"}", "{\"kept\":1,\"mail\":\"axxxxx@xxxxx.com\"}"),
    (
        "{\"kept\":1,\"level\":\"ERROR\",\"message\":\"hush\"}",
        "{\"kept\":1,\"level\":\"ERROR\",\"message\":\"<\"\\$0>\"}",
    ),
    (
        "{\"kept\":1,\"requestId\":\"hush\",\"level\":\"WARN\"}",
        "{\"kept\":1,\"requestId\":\"<\"\\$0>\",\"level\":\"WARN\"}",
    ),
    ("{\"kept\":1,\"requestId\":\"203.0.113.7\"}", "{\"kept\":1,\"requestId\":\"xxx.xxx.xxx.xxx\"}"),
    (
        "{\"kept\":1,\"level\":\"hush\",\"timestamp\":\"hush\"}",
        "{\"kept\":1,\"level\":\"<\"\\$0>\",\"timestamp\":\"<\"\\$0>\"}",
    ),
    ("{\"kept\":\"hush", "{\"kept\":\"<\"\\$0>"),
    ("{\"hush\":hush,\"kept\":1}", "{\"<\"\\$0>\":<\"\\$0>,\"kept\":1}"),
    ("{\"kept\":1,\"ddtags\":\"service:hush,user:203.0.113.7\"}", ""),
    ("2026-11-20T09:02:14.734Z\tID\tINFO\tkept hush", "2026-11-20T09:02:14.734Z\tID\tINFO\tkept <\"\\$0>"),
    (
        "2026-11-20T09:02:14.734Z\tID\tERROR\t{\"kept\":\"\\nhush@example.com\"}",
        "2026-11-20T09:02:14.734Z\tID\tERROR\t{\"kept\":\"xxxxx@xxxxx.com\"}",
    ),
    ("[WARNING]\t2026-11-20T09:02:14.734Z\tID\tkept hush", "[WARNING]\t2026-11-20T09:02:14.734Z\tID\tkept <\"\\$0>"),
    (
        "{\"_aws\":{\"Timestamp\":1795165334001,\"CloudWatchMetrics\":[{\"Namespace\":\"n\",\"Dimensions\":[[]],\"Metrics\":[{\"Name\":\"m\"}]}]},\"m\":1,\"kept\":\"hush\",\"level\":\"INFO\",\"requestId\":\"hush\"}",
        "",
    ),
    (
        "2026-11-20T09:02:14.734Z\tID\t{\"_aws\":{\"Timestamp\":1795165334001,\"CloudWatchMetrics\":[{\"Namespace\":\"n\",\"Dimensions\":[[]],\"Metrics\":[{\"Name\":\"m\"}]}]},\"m\":1,\"kept\":\"hush\"}",
        "",
    ),
    ("MONITORING|1795165334|x|count|kept|#user:hush", "MONITORING|1795165334|x|count|kept|#user:<\"\\$0>"),
    ("{\"m\":\"orders\",\"v\":\"hush\",\"e\":1795165334,\"t\":[\"kept\"]}", ""),
    (
        "LAMBDA_WARNING: Unhandled exception. kept\r\n{\"log_level\":\"ERROR\",\"errorMessage\":\"hush\",\"requestId\":\"hush\"}",
        "",
    ),
    (
        "IMAGE\tLaunch error: kept hush\tEntrypoint: [hush]",
        "IMAGE\tLaunch error: kept <\"\\$0>\tEntrypoint: [<\"\\$0>]",
    ),
    ("RequestId: ID Error: kept hush\nRuntime.hush\n", "RequestId: ID Error: kept <\"\\$0>\nRuntime.<\"\\$0>\n"),
    ("{\"time\":\"2026-11-20T09:02:14.734Z\",\"type\":\"platform.fault\",\"record\":\"kept hush\"}", ""),
    (
        "{\"time\":\"2026-11-20T09:02:14.734Z\",\"type\":\"platform.report\",\"record\":{\"requestId\":\"ID\",\"metrics\":{\"durationMs\":1.5},\"kept\":\"hush\"}}",
        "",
    ),
    (
        "kept {\"user\":\"hush\"} 203.0.113.7:hush@example.com",
        "kept {\"user\":\"<\"\\$0>\"} xxx.xxx.xxx.xxx:xxxxx@xxxxx.com",
    ),
];

/// Keeps bodies.
#[derive(Default)]
struct Recorder(RefCell<Vec<Vec<u8>>>);

impl Transport for Recorder {
    async fn send(&self, request: &Request, _: Instant) -> Result<Response, TransportError> {
        self.0.borrow_mut().push(decompress(request.compression, &request.body).unwrap());
        let items = vec![r#"{"create":{"status":201}}"#; request.items.len()].join(",");
        let body = format!(r#"{{"errors":false,"items":[{items}]}}"#).into_bytes();
        let telling = vec!["x-prometheus-remote-write-samples-written".to_owned()];
        Ok(Response { status: 200, body, telling, ..Response::default() })
    }
}

/// A log event with its keys as CloudWatch Logs writes them, which encoders may copy as they stand.
fn event((message, number): (&String, i64)) -> String {
    let message = serde_json::to_string(message).unwrap();
    format!(r#"{{"id":"{number}","timestamp":{},"message":{message}}}"#, 1_795_165_334_000 + number)
}

/// What a backend is sent of these messages.
async fn bodies(backend: &str, pairs: &[(&str, &str)], messages: &[String]) -> Vec<Vec<u8>> {
    let own = [("LOGFERRY_BACKENDS", backend)];
    let all: Vec<_> = own.iter().chain(pairs).chain(&PLACES).copied().collect();
    let lookup = |name: &str| all.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let mut env = Env::new(&lookup);
    let settings = Settings::from_env(&mut env, None).unwrap();
    let signer = Signer::new(Credentials::from_env(&mut env), || SystemTime::UNIX_EPOCH);
    let http = Http::new(&HttpSettings::default(), &[], signer.clone(), &mut env).unwrap();
    let client = Client::new(http.client().clone(), signer, Places::from_env(&mut env));
    assert_eq!(env.into_mistakes(), []);
    let mut forwarder = settings.forwarder(Recorder::default(), &client);
    let itself = model::Forwarder::default();
    let now = Timestamp::from_millis(1_795_165_340_000);
    let start = Instant::now();
    let invocation = Invocation { forwarder: &itself, now, start, deadline: start + Duration::from_mins(1), seed: 0 };
    let event = packed(batch_of(&messages.iter().zip(1..).map(event).collect::<Vec<_>>().join(",")));
    let outcome = forwarder.handle(&event, &invocation, &mut ()).await;
    assert_eq!(outcome.ledger.unaccounted(), []);
    forwarder.transport.0.take()
}

/// The logs that standard output is sent.
async fn logs(pairs: &[(&str, &str)], messages: &[String]) -> Vec<Value> {
    let bodies = bodies("stdout", pairs, messages).await.concat();
    let lines = bodies.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).filter(|line: &Value| line["kind"] == "log").collect()
}

const RULES: [(&str, &str); 4] = [
    ("REDACT_IP", "true"),
    ("LOGFERRY_REDACT_EMAIL", "true"),
    ("DD_SCRUBBING_RULE", "hush"),
    ("DD_SCRUBBING_RULE_REPLACEMENT", "<\"\\$0>"),
];

fn lines() -> Vec<String> {
    LINES.iter().map(|(line, _)| line.replace("ID", ID)).collect()
}

fn holds(body: &[u8], text: &str) -> bool {
    memchr::memmem::find(body, text.as_bytes()).is_some()
}

#[tokio::test]
async fn no_backend_is_sent_what_is_redacted() {
    let long = |before: usize| format!("{} hush@example.com hush 203.0.113.7", "kept ".repeat(before));
    let mut lines = lines();
    lines.extend([long(25_000), long(52_430)]);
    let kinds = Backend::KINDS.iter().copied().chain(["loki:pb", "otlp:pb"]);
    for kind in kinds {
        let ships_logs = kind != "prometheus" && kind != "remote_write";
        for replacement in ["<\"\\$0>", "''", "xxxxx"] {
            let rules =
                RULES.map(|(name, value)| if name.ends_with("MENT") { (name, replacement) } else { (name, value) });
            let bodies = bodies(kind, &rules, &lines).await;
            let kept: usize = bodies.iter().map(|body| memchr::memmem::find_iter(body, "kept").count()).sum();
            assert!(!bodies.is_empty() && (!ships_logs || kept > 25_000 + LINES.len()), "{kind}: {kept}");
            for (body, secret) in bodies.iter().flat_map(|body| SECRETS.map(|secret| (body, secret))) {
                let around = memchr::memmem::find(body, secret.as_bytes())
                    .map(|at| String::from_utf8_lossy(&body[at.saturating_sub(200)..(at + 50).min(body.len())]));
                assert_eq!(around, None, "{kind} is sent `{secret}`");
            }
        }
        let unredacted = bodies(kind, &[], &lines).await.concat();
        assert_eq!(holds(&unredacted, "hush"), ships_logs, "{kind}");
    }
}

#[tokio::test]
async fn the_rest_of_a_log_is_as_it_was() {
    let (before, after) = (logs(&[], &lines()).await, logs(&RULES, &lines()).await);
    assert_eq!((before.len(), after.len()), (LINES.len(), LINES.len()));
    for ((line, expected), (before, after)) in LINES.iter().zip(before.iter().zip(&after)) {
        let message = after["message"].as_str().unwrap();
        let expected = if expected.is_empty() { line.replace("hush", "<\"\\$0>") } else { (*expected).to_owned() };
        let expected = expected.replace("203.0.113.7", "xxx.xxx.xxx.xxx").replace("ID", ID);
        assert_eq!(message, expected);
        for (key, value) in before.as_object().unwrap() {
            let own = ["message", "level", "request_id"].contains(&key.as_str());
            assert!(own || after[key] == *value, "{line}: {key}");
            // What stands in a message that isn't JSON any more is told no more.
            let level = before["level"] == after["level"] || (line.contains('{') && after["level"].is_null());
            assert!(level, "{line}: {after}");
        }
    }
    let field = |place: usize, name: &str| after[place][name].as_str().unwrap_or_default().to_owned();
    // `"` in the replacement breaks the documents.
    assert_eq!((field(5, "level"), field(6, "request_id"), field(8, "level")), Default::default());
}

#[tokio::test]
async fn what_a_log_says_of_itself_is_what_is_left_of_it() {
    let rules = [("LOGFERRY_SCRUBBING_RULE", "hush"), ("REDACT_IP", "true")];
    for (line, level, request_id) in [
        ("{\"level\":\"ERROR\",\"requestId\":\"r-1\",\"message\":\"hush\"}".to_owned(), "error", "r-1"),
        ("{\"level\":\"ERROR\",\"requestId\":\"hush\"}".to_owned(), "error", "xxxxx"),
        ("{\"level\":\"hush\",\"requestId\":\"203.0.113.7\"}".to_owned(), "", "xxx.xxx.xxx.xxx"),
        (format!("2026-11-20T09:02:14.734Z\t{ID}\tWARN\thush"), "warn", ID),
        (format!("[ERROR]\t2026-11-20T09:02:14.734Z\t{ID}\thush"), "error", ID),
        (format!("RequestId: {ID} Error: hush\nRuntime.ExitError\n"), "", ID),
        (
            format!(
                "LAMBDA_WARNING: Unhandled exception. hush\r\n{{\"log_level\":\"ERROR\",\"AWSRequestId\":\"{ID}\"}}"
            ),
            "error",
            ID,
        ),
        (
            format!(
                "{{\"time\":\"2026-11-20T09:02:14.734Z\",\"type\":\"platform.runtimeDone\",\"record\":{{\"requestId\":\"{ID}\",\"status\":\"hush\"}}}}"
            ),
            "",
            ID,
        ),
    ] {
        let logs = logs(&rules, std::slice::from_ref(&line)).await;
        let field = |name: &str| logs[0][name].as_str().unwrap_or_default();
        assert_eq!((field("level"), field("request_id")), (level, request_id), "{line}");
    }
}

/// The application's own time is read from the line.
#[tokio::test]
async fn a_time_that_is_redacted_is_no_field() {
    for line in [
        "{\"level\":\"INFO\",\"timestamp\":\"2026-11-20T09:02:14.777Z\"}",
        "2026-11-20T09:02:14.777Z\t8edab1f8-7d34-4a8e-a965-15ccbbb78d4c\tINFO\tx",
    ] {
        for (kind, time) in [("elasticsearch", "14.777"), ("otlp", "1795165334777")] {
            let line = [line.to_owned()];
            assert!(holds(&bodies(kind, &[], &line).await.concat(), time), "{kind}");
            let rules = [("LOGFERRY_SCRUBBING_RULE", r"\d\d\.777Z")];
            assert!(!holds(&bodies(kind, &rules, &line).await.concat(), time), "{kind}");
        }
    }
}

/// Measures are those of the whole line, and so is the filter.
#[tokio::test]
async fn measures_and_the_filter_come_first() {
    let line = format!(
        "REPORT RequestId: {ID}\tDuration: 1.72 ms\tBilled Duration: 2 ms\tMemory Size: 1024 MB\tMax Memory Used: 76 MB\t\n"
    );
    let rules = [("LOGFERRY_SCRUBBING_RULE", "Duration"), ("LOGFERRY_INCLUDE", "Duration")];
    let body = bodies("stdout", &rules, std::slice::from_ref(&line)).await.concat();
    assert!(holds(&body, "\"duration_ms\"") && holds(&body, "xxxxx: 1.72 ms") && !holds(&body, "Duration: "));
}

#[tokio::test]
async fn a_setting_may_have_either_name() {
    let line = ["203.0.113.7 bob@example.com hush".to_owned()];
    for (pairs, expected) in [
        (&[][..], "203.0.113.7 bob@example.com hush"),
        (&[("REDACT_IP", "false"), ("LOGFERRY_REDACT_EMAIL", "true")], "203.0.113.7 xxxxx@xxxxx.com hush"),
        (&[("REDACT_IP", "true"), ("REDACT_EMAIL", "false")], "xxx.xxx.xxx.xxx bob@example.com hush"),
        (&[("LOGFERRY_REDACT_IP", "true"), ("REDACT_IP", "1")], "xxx.xxx.xxx.xxx bob@example.com hush"),
        (&[("DD_SCRUBBING_RULE", "h(us)h")], "203.0.113.7 bob@example.com xxxxx"),
        (&[("DD_SCRUBBING_RULE", "h(us)h"), ("DD_SCRUBBING_RULE_REPLACEMENT", "''")], "203.0.113.7 bob@example.com "),
        (
            &[("LOGFERRY_SCRUBBING_RULE", "h(us)h"), ("DD_SCRUBBING_RULE_REPLACEMENT", "\\1")],
            "203.0.113.7 bob@example.com us",
        ),
    ] {
        assert_eq!(logs(pairs, &line).await[0]["message"], expected, "{pairs:?}");
    }
}
