//! Whole requests of every fixture, for every backend, compared with `fixtures/requests`.
//!
//! `UPDATE=1 cargo test --test backends` writes them anew: the diff is what a reviewer reads.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use logferry::backend::{Backend, decompress, protobuf};
use logferry::delivery::{Transport, TransportError};
use logferry::env::Env;
use logferry::event::{Batch, Limits, Payload};
use logferry::forwarder::{Forwarder, Invocation, Sending};
use logferry::model::{self, Timestamp};
use logferry::pipeline::{self, Pipeline};
use logferry::request::{Destination, Endpoint, Frame, Header, Refused, Request, Response, Verdict};
use tokio::time::Instant;

/// Keeps what is sent.
#[derive(Default)]
struct Recorder(std::cell::RefCell<Vec<Request>>);

impl Transport for Recorder {
    async fn send(&self, request: &Request, _: Instant) -> Result<Response, TransportError> {
        self.0.borrow_mut().push(request.clone());
        Ok(accepted(request))
    }
}

/// The answer of an intake that takes everything.
fn accepted(request: &Request) -> Response {
    let body = match &request.destination {
        Destination::Http(endpoint) if endpoint.url.contains("/_bulk") => {
            let items = vec![r#"{"create":{"status":201}}"#; request.items.len()].join(",");
            format!(r#"{{"errors":false,"items":[{items}]}}"#)
        }
        Destination::Http(_) | Destination::Stdout => String::new(),
    };
    // A receiver of remote write 2.0 says what it has written.
    let telling = vec!["x-prometheus-remote-write-samples-written".to_owned()];
    Response { status: 200, body: body.into_bytes(), telling, ..Response::default() }
}

/// A request as a person reads it: one item a line.
fn shown(request: &Request) -> String {
    let mut text = String::new();
    if let Destination::Http(Endpoint { url, headers, .. }) = &request.destination {
        writeln!(text, "POST {url}").unwrap();
        for (name, value) in headers {
            writeln!(text, "{name}: {value}").unwrap();
        }
        writeln!(text).unwrap();
    }
    let body = decompress(request.compression, &request.body).unwrap();
    if matches!(request.frame, Frame::Protobuf(_)) {
        return text + &protobuf::describe(&body);
    }
    let body = String::from_utf8(body).unwrap();
    let open = request.frame.open(0).len();
    let mut from = 0;
    for item in &request.items {
        writeln!(text, "{}", body[from..open + item.end].trim_start_matches('\n')).unwrap();
        from = open + item.end;
    }
    writeln!(text, "{}", body[from..].trim_start_matches('\n')).unwrap();
    text
}

/// Name, settings, and the only events to show; all if there are none.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

/// Settings under which each backend is shown.
const CASES: &[Case] = &[
    ("stdout", &[("LOGFERRY_BACKENDS", "stdout")], &[]),
    (
        "datadog",
        &[
            ("LOGFERRY_BACKENDS", "datadog"),
            ("DD_API_KEY", "0123456789abcdef0123456789abcdef"),
            ("DD_TAGS", "env:prod,team:shop"),
        ],
        &[],
    ),
    (
        "datadog-aggregates",
        &[
            ("LOGFERRY_BACKENDS", "datadog"),
            ("DD_API_KEY", "x"),
            ("LOGFERRY_DATADOG_METRICS", "aggregates"),
            ("DD_FORWARD_LOG", "false"),
        ],
        &["python-text", "node-text"],
    ),
    (
        "prometheus",
        &[
            ("LOGFERRY_BACKENDS", "prometheus"),
            ("ASSERTS_REMOTE_WRITE_URL", "https://shop.tsdb.example.com"),
            ("ASSERTS_TENANT_NAME", "shop"),
            ("ASSERTS_PASSWORD", "x"),
            ("LOGFERRY_TAGS", "env:prod"),
        ],
        &["python-text", "init-error", "emf", "control-message", "custom-group"],
    ),
    (
        "prometheus-delta",
        &[
            ("LOGFERRY_BACKENDS", "prometheus"),
            ("LOGFERRY_PROMETHEUS_URL", "http://vmagent:8429"),
            ("LOGFERRY_PROMETHEUS_TEMPORALITY", "delta"),
        ],
        &["python-text", "managed-instances"],
    ),
    (
        "remote_write",
        &[
            ("LOGFERRY_BACKENDS", "remote_write"),
            (
                "PROMETHEUS_REMOTE_WRITE_URL",
                "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
            ),
        ],
        &["init-error"],
    ),
    (
        "remote_write-2",
        &[
            ("LOGFERRY_BACKENDS", "remote_write"),
            ("PROMETHEUS_REMOTE_WRITE_URL", "https://mimir.example.com/api/v1/push"),
            ("PROMETHEUS_REMOTE_WRITE_BEARER_TOKEN", "x"),
            ("PROMETHEUS_REMOTE_WRITE_HEADERS", "X-Scope-OrgID:shop"),
            ("LOGFERRY_REMOTE_WRITE_VERSION", "2"),
        ],
        &["init-error"],
    ),
    (
        "elasticsearch",
        &[
            ("LOGFERRY_BACKENDS", "elasticsearch"),
            ("ELASTICSEARCH_URL", "http://elasticsearch:9200"),
            ("ELASTICSEARCH_API_KEY", "x"),
        ],
        &[],
    ),
    (
        "guance",
        &[
            ("LOGFERRY_BACKENDS", "guance"),
            ("ENV_DATAWAY", "https://openway.guance.com?token=tkn_0123456789abcdef0123456789abcdef"),
        ],
        &[],
    ),
    (
        "elasticsearch-aoss",
        &[
            ("LOGFERRY_BACKENDS", "elasticsearch"),
            ("ELASTICSEARCH_URL", "https://abc.eu-west-1.aoss.amazonaws.com"),
            ("LOGFERRY_ELASTICSEARCH_LOGS_DATASET", "shop"),
        ],
        &["go-json"],
    ),
    (
        "loki",
        &[
            ("LOGFERRY_BACKENDS", "loki"),
            ("LOKI_URL", "http://loki:3100"),
            ("LOKI_USERNAME", "123456"),
            ("LOKI_PASSWORD", "x"),
            ("LOKI_TENANT_ID", "shop"),
            ("LOKI_EXTRA_LABELS", "env:prod,team:shop"),
        ],
        &[],
    ),
    (
        "loki-protobuf",
        &[
            ("LOGFERRY_BACKENDS", "loki"),
            ("LOKI_URL", "http://loki:3100"),
            ("LOKI_BEARER_TOKEN", "x"),
            ("LOKI_FORMAT", "protobuf"),
        ],
        &["not-lambda", "python-timeout"],
    ),
    (
        "splunk",
        &[
            ("LOGFERRY_BACKENDS", "splunk"),
            ("SPLUNK_HEC_URL", "https://splunk:8088"),
            ("SPLUNK_HEC_TOKEN", "x"),
            ("SPLUNK_INDEX", "shop"),
            ("LOGFERRY_SPLUNK_METRICS_INDEX", "shop_metrics"),
        ],
        &[],
    ),
    (
        "guance-awslambda",
        &[
            ("LOGFERRY_BACKENDS", "guance"),
            ("ENV_DATAWAY", "http://datakit:9529"),
            ("LOGFERRY_GUANCE_MEASUREMENT", "awslambda"),
            ("LOGFERRY_GUANCE_SEND", "metrics"),
        ],
        &["node-json-debug", "java-snapstart"],
    ),
    (
        "newrelic",
        &[
            ("LOGFERRY_BACKENDS", "newrelic"),
            ("NEW_RELIC_LICENSE_KEY", "eu01xx0123456789abcdef0123456789abcdNRAL"),
            ("NR_TAGS", "env:prod;team:shop"),
        ],
        &[],
    ),
    (
        "otlp",
        &[
            ("LOGFERRY_BACKENDS", "otlp"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example.com:4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20abc%3D"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod"),
        ],
        &["edge", "emf", "go-json", "java-snapstart", "managed-instances", "node-text", "not-lambda", "python-text"],
    ),
    (
        "otlp-cumulative",
        &[
            ("LOGFERRY_BACKENDS", "otlp"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://mimir.example.com/otlp"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative"),
            ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram"),
        ],
        &["python-text", "emf"],
    ),
];

fn settings(pairs: &[(&str, &str)]) -> (Vec<Backend>, pipeline::Settings) {
    let lookup = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let mut env = Env::new(&lookup);
    let (backends, read) = (Backend::from_env(&mut env, None), pipeline::Settings::from_env(&mut env));
    assert_eq!(env.into_mistakes(), []);
    let hints = read.unwrap().hints;
    (backends, pipeline::Settings { hints, ..pipeline::Settings::default() })
}

/// Requests of a fixture, and the summary.
async fn requests(event: &Path, pairs: &[(&str, &str)]) -> (Vec<Request>, String) {
    requests_of(&std::fs::read_to_string(event).unwrap(), pairs).await
}

/// Requests of an event or a batch, and the summary.
async fn requests_of(text: &str, pairs: &[(&str, &str)]) -> (Vec<Request>, String) {
    let forwarder_itself = model::Forwarder {
        function_arn: Some("arn:aws:lambda:eu-west-1:123456789012:function:logferry".into()),
        function_name: Some("logferry".into()),
        region: Some("eu-west-1".into()),
        log_group: Some("/aws/lambda/logferry".into()),
        instance: "2026/11/20/[$LATEST]0123456789abcdef0123456789abcdef".into(),
    };
    let (backends, pipeline) = settings(pairs);
    let mut forwarder = Forwarder {
        pipeline: Pipeline::new(pipeline),
        backends,
        transport: Recorder::default(),
        limits: Limits::DEFAULT,
        sending: Sending::default(),
        store: None,
    };
    let invocation = Invocation {
        forwarder: &forwarder_itself,
        // 2026-11-20T10:30:00Z
        now: Timestamp::from_millis(1_795_170_600_000),
        start: Instant::now(),
        deadline: Instant::now() + Duration::from_mins(1),
        seed: 0,
    };
    let outcome = if text.contains("\"awslogs\"") {
        forwarder.handle(text, &invocation, &mut ()).await
    } else {
        let batch = Batch::new(Payload::Bytes(text.as_bytes()), forwarder.limits);
        forwarder.forward(batch, &invocation, &mut ()).await
    };
    assert_eq!(outcome.notes, [], "{text}");
    (forwarder.transport.0.take(), serde_json::to_string(&outcome.ledger).unwrap())
}

#[tokio::test]
async fn requests_are_what_they_were() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut events: Vec<PathBuf> =
        std::fs::read_dir(root.join("events")).unwrap().map(|entry| entry.unwrap().path()).collect();
    events.sort();
    let update = update();
    let mut different = Vec::new();
    for &(name, pairs, only) in CASES {
        for event in &events {
            let stem = event.file_stem().unwrap().to_str().unwrap();
            if !only.is_empty() && !only.contains(&stem) {
                continue;
            }
            let (requests, summary) = requests(event, pairs).await;
            let mut all: Vec<_> = requests.iter().map(shown).collect();
            all.sort();
            let found = format!("{}\n{summary}\n", all.join("\n"));
            let path = root.join("requests").join(name).join(format!("{stem}.txt"));
            if update {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, &found).unwrap();
            } else if !std::fs::read_to_string(&path).is_ok_and(|expected| expected == found) {
                different.push(path.display().to_string());
            }
        }
    }
    assert!(
        different.is_empty() || update,
        "different, see `UPDATE=1 cargo test --test backends` and git diff: {different:#?}"
    );
}

/// Datadog's intake would let the `ddtags` of a JSON message win over the log's own: they are joined.
#[tokio::test]
async fn tags_of_a_json_message_join_those_of_the_log_at_datadog() {
    let batch = |message: &str| {
        let event = format!(
            r#"{{"id":"40033640142688146421240021698032645550419615760920229270","timestamp":1795170510505,"message":{message:?}}}"#
        );
        format!(
            r#"{{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"shop","logStream":"s","subscriptionFilters":["f"],"logEvents":[{event}]}}"#
        )
    };
    let datadog = [("LOGFERRY_BACKENDS", "datadog"), ("DD_API_KEY", "x")];
    // With this the pipeline reads what JSON says of itself, which Datadog isn't told.
    let read_too = [datadog[0], datadog[1], ("LOGFERRY_HANDLER_ERRORS", "true")];
    for (message, expected, tags) in [
        (r#"{"level":"info","ddtags":"team:web,service:cart"}"#, r#"{"level":"info"}"#, "team:web,service:cart"),
        (
            r#"{"level":"info","width":"service:cart"}"#,
            r#"{"level":"info","width":"service:cart"}"#,
            "service:cloudwatch",
        ),
    ] {
        for settings in [&datadog[..], &read_too] {
            let (requests, _) = requests_of(&batch(message), settings).await;
            let body = decompress(requests[0].compression, &requests[0].body).unwrap();
            let logs: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(logs[0]["message"], expected);
            assert!(logs[0]["ddtags"].as_str().unwrap().ends_with(tags), "{logs}");
            assert!(logs[0]["status"].is_null(), "{logs}");
        }
    }
}

/// What Datadog is told of lines is the same whoever is told beside it: JSON it reads itself, and text tells it status and
/// request.
#[tokio::test]
async fn datadog_is_told_the_same_whoever_is_told_beside_it() {
    let id = "3d0b7c55-1e2f-4a3b-9c4d-5e6f708192a3";
    let unhandled = format!(
        "LAMBDA_WARNING: Unhandled exception. See the object.\r{{\"log_level\":\"ERROR\",\"errorType\":\"E\",\"requestId\":\"{id}\"}}\n"
    );
    let prefixed = format!("[CRITICAL]\t2026-11-20T09:11:03.802Z\t{id}\tdisk full\n");
    let json = format!("{{\"level\":\"CRITICAL\",\"requestId\":\"{id}\",\"message\":\"hi\"}}");
    let start = "START RequestId: 8edab1f8-7d34-4a8e-a965-15ccbbb78d4c Version: $LATEST\n";
    let running = "8edab1f8-7d34-4a8e-a965-15ccbbb78d4c";
    let (error, critical) = (Some("error"), Some("critical"));
    let lines = [
        (&*unhandled, error, Some(id)),
        (&*prefixed, critical, Some(id)),
        (&*json, None, None),
        (start, None, Some(running)),
        (&*json, None, Some(running)),
    ];
    let events = lines
        .iter()
        .map(|(message, ..)| serde_json::json!({"id": "1", "timestamp": 1_795_170_510_505_i64, "message": message}));
    let batch = serde_json::json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/aws/lambda/checkout",
        "logStream": "2026/11/20/[$LATEST]0123456789abcdef0123456789abcdef", "subscriptionFilters": ["f"],
        "logEvents": events.collect::<Vec<_>>(),
    });
    let datadog = [("DD_API_KEY", "x"), ("DD_USE_COMPRESSION", "false")];
    let otlp = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector");
    let mut bodies = Vec::new();
    for (backends, hints) in
        [("datadog", "false"), ("datadog", "true"), ("datadog,otlp", "false"), ("otlp,datadog", "true")]
    {
        let settings =
            [datadog[0], datadog[1], otlp, ("LOGFERRY_BACKENDS", backends), ("LOGFERRY_HANDLER_ERRORS", hints)];
        let (requests, _) = requests_of(&batch.to_string(), &settings).await;
        let logs = requests.iter().find(|request| request.destination.address().ends_with("/api/v2/logs")).unwrap();
        bodies.push(String::from_utf8(logs.body.clone()).unwrap());
    }
    let logs: Vec<serde_json::Value> = serde_json::from_str(&bodies[0]).unwrap();
    for (log, (line, status, request_id)) in logs.iter().zip(lines) {
        let told = (log["status"].as_str(), log["lambda"]["request_id"].as_str());
        assert_eq!(told, (status, request_id), "{line}");
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:#?}");
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the test decides")]
fn update() -> bool {
    std::env::var("UPDATE").is_ok_and(|value| value == "1")
}

/// The same kind twice: what differs only by its place is encoded once, and each place gets it with its own credentials.
#[tokio::test]
async fn the_same_kind_goes_to_several_places() {
    let event = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/events/node-text.json");
    let shared = [
        ("LOGFERRY_BACKENDS", "datadog:eu,datadog:us,loki:eu,loki:us,loki:lab"),
        ("DD_API_KEY_EU", "key-of-eu"),
        ("DD_SITE_EU", "datadoghq.eu"),
        ("DD_API_KEY", "key-of-us"),
        ("LOKI_URL_EU", "https://loki.eu"),
        ("LOKI_TENANT_ID_EU", "europe"),
        ("LOKI_URL", "https://loki.us"),
        ("LOKI_URL_LAB", "https://loki.lab"),
        ("LOKI_EXTRA_LABELS_LAB", "env:lab"),
    ];
    let (requests, summary) = requests(&event, &shared).await;
    let bodies = |host: &str| {
        let to_host = requests.iter().filter(|request| shown(request).contains(host));
        let mut bodies: Vec<_> = to_host.map(|request| (request.route, request.body.clone())).collect();
        bodies.sort();
        bodies
    };
    assert_eq!((bodies("datadoghq.eu").len(), bodies("loki.eu").len()), (3, 1));
    assert_eq!((bodies("datadoghq.eu"), bodies("loki.eu")), (bodies("datadoghq.com"), bodies("loki.us")));
    assert_ne!(bodies("loki.lab"), bodies("loki.us"));
    let headers = |host: &str| {
        let request = requests.iter().find(|request| shown(request).contains(host)).unwrap();
        let Destination::Http(endpoint) = &request.destination else { panic!("not HTTP") };
        endpoint.headers.clone()
    };
    assert_ne!(headers("datadoghq.eu"), headers("datadoghq.com"));
    assert!(headers("loki.eu").iter().any(|(_, value)| value.to_string() == "europe"));
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    for name in ["datadog:eu", "datadog:us"] {
        assert_eq!(summary["backends"][name]["sent"], 75, "{summary}");
    }
}

/// Settings of a backend, and a part of the addresses that it sends to.
type Place<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

/// What a place has of its own comes before what is shared, also where that stands under another name of the same.
#[tokio::test]
async fn own_settings_come_before_shared_ones_of_the_same_meaning() {
    const TOKEN: &str = "tkn_0123456789abcdef0123456789abcdef";
    let event = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/events/node-text.json");
    let dataway = format!("https://openway.guance.com?token={TOKEN}");
    let cloud_id = "shop:aG9zdC5leGFtcGxlJGVzLW93biRraWJhbmE=";
    let cases: &[Place<'_>] = &[
        ("loki", &[("LOKI_URL", "https://shared"), ("WRITE_ADDRESS_EU", "https://own")], "own"),
        ("loki", &[("WRITE_ADDRESS", "https://shared"), ("LOKI_URL_EU", "https://own")], "own"),
        ("loki", &[("LOKI_URL", "https://own"), ("WRITE_ADDRESS", "https://shared")], "own"),
        ("newrelic", &[("NEW_RELIC_LICENSE_KEY", "us01"), ("LICENSE_KEY_EU", "eu01")], "eu.newrelic.com"),
        (
            "newrelic",
            &[
                ("LICENSE_KEY", "us01"),
                ("NR_LOGGING_ENDPOINT", "https://shared"),
                ("LOGFERRY_NEWRELIC_METRICS_URL", "https://shared"),
                ("NEW_RELIC_REGION_EU", "EU"),
            ],
            "eu.newrelic.com",
        ),
        (
            "datadog",
            &[
                ("DD_API_KEY", "k"),
                ("DD_URL", "https://shared"),
                ("DD_API_URL", "https://shared"),
                ("DD_SITE_EU", "datadoghq.eu"),
            ],
            "datadoghq.eu",
        ),
        (
            "datadog",
            &[
                ("DD_API_KEY", "k"),
                ("DD_SITE_EU", "datadoghq.eu"),
                ("DD_URL_EU", "https://own"),
                ("DD_API_URL_EU", "https://own"),
            ],
            "own/api/",
        ),
        ("guance", &[("ENV_DATAWAY", &dataway), ("DATAWAY_URL_EU", "http://own:9529")], "own:9529"),
        ("guance", &[("DATAWAY_URL", "http://shared:9529"), ("ENV_DATAWAY_EU", &dataway)], "openway.guance.com"),
        ("elasticsearch", &[("ELASTICSEARCH_URL", "https://shared"), ("ELASTIC_CLOUD_ID_EU", cloud_id)], "es-own."),
        ("elasticsearch", &[("ELASTIC_CLOUD_ID", cloud_id), ("ELASTICSEARCH_URL_EU", "https://own")], "own/_bulk"),
        ("prometheus", &[("LOGFERRY_PROMETHEUS_URL", "https://shared"), ("ASSERTS_CLOUD_HOST_EU", "own")], "own/api"),
        (
            "otlp",
            &[
                ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://shared/logs"),
                ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://shared/metrics"),
                ("OTEL_EXPORTER_OTLP_ENDPOINT_EU", "https://own"),
            ],
            "own/v1/",
        ),
        (
            "otlp",
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT_EU", "https://shared"),
                ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT_EU", "https://own/logs"),
                ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT_EU", "https://own/metrics"),
            ],
            "own/",
        ),
    ];
    for (kind, pairs, expected) in cases {
        let name = format!("{kind}:eu");
        let pairs: Vec<_> = pairs.iter().copied().chain([("LOGFERRY_BACKENDS", name.as_str())]).collect();
        let (requests, _) = requests(&event, &pairs).await;
        assert!(!requests.is_empty());
        for request in requests {
            let Destination::Http(endpoint) = &request.destination else { panic!("not HTTP") };
            assert!(endpoint.url.contains(expected), "{pairs:?}: {}", endpoint.url);
        }
    }
    let user = [("LOKI_USERNAME", "shared"), ("LOKI_PASSWORD", "s"), ("LOKI_URL", "https://loki")];
    let loki = |own: &[(&'static str, &'static str)]| {
        let mut pairs = vec![("LOGFERRY_BACKENDS", "loki:eu")];
        pairs.extend(user.iter().chain(own).copied());
        pairs
    };
    for (own, expected) in [
        (&[("LOKI_BEARER_TOKEN_EU", "t0ken")][..], "Bearer t0ken"),
        (&[("LOKI_PASSWORD_EU", "own")], "Basic c2hhcmVkOm93bg=="),
        (&[("LOKI_BEARER_TOKEN", "t0ken"), ("LOKI_USERNAME_EU", "own")], "Basic b3duOnM="),
    ] {
        let (requests, _) = requests(&event, &loki(own)).await;
        let Destination::Http(endpoint) = &requests[0].destination else { panic!("not HTTP") };
        let sent = endpoint.headers.iter().find_map(|(_, header)| match header {
            Header::Secret(secret) => Some(secret.expose()),
            Header::Public(_) => None,
        });
        assert_eq!(sent, Some(expected));
    }
}

/// What a status means to each backend, as the README shows it; what an answer says beside it may change that.
#[tokio::test]
async fn readme_says_what_answers_mean() {
    const STATUSES: [u16; 22] =
        [200, 202, 204, 260, 308, 400, 401, 403, 404, 405, 407, 408, 409, 413, 415, 422, 429, 500, 501, 502, 503, 504];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let event = root.join("fixtures/events/node-text.json");
    let mut columns = Vec::new();
    for kind in Backend::KINDS.iter().filter(|kind| **kind != "stdout") {
        let (_, pairs, _) = CASES.iter().find(|(name, ..)| name == kind).unwrap();
        let (requests, _) = requests(&event, pairs).await;
        columns.push((kind, requests.into_iter().max_by_key(|request| request.items.len()).unwrap()));
    }
    let names: Vec<_> = columns.iter().map(|(kind, _)| format!(" {kind} |")).collect();
    let mut table = format!("\n| status |{}\n|---|{}\n", names.concat(), "---|".repeat(columns.len()));
    for status in STATUSES {
        write!(table, "| {status} |").unwrap();
        for (_, request) in &columns {
            let response = Response { status, ..if status == 200 { accepted(request) } else { Response::default() } };
            let said = match (request.judge)(request, &response) {
                Verdict::Accepted | Verdict::Warned { .. } => "taken",
                Verdict::Busy => "later",
                Verdict::Malformed | Verdict::Outdated => "one by one",
                Verdict::NotFound => "not found",
                Verdict::Partly { refused: Refused::Items(all), .. } if all.len() == request.items.len() => "refused",
                Verdict::Partly { .. } => "partly",
                Verdict::Refused => "refused",
                Verdict::TooLarge => "cut",
                Verdict::Unauthorized => "credentials",
                Verdict::Otherwise { .. } | Verdict::Unsupported => "said otherwise",
            };
            write!(table, " {said} |").unwrap();
        }
        table.push('\n');
    }
    let path = root.join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- begin: verdicts -->\n", "\n<!-- end: verdicts -->");
    let (head, rest) = readme.split_once(begin).unwrap();
    let (found, tail) = rest.split_once(end).unwrap();
    if update() {
        std::fs::write(&path, format!("{head}{begin}{table}{end}{tail}")).unwrap();
    } else {
        assert_eq!(found, table, "`UPDATE=1 cargo test --test backends` writes it");
    }
}

/// Datadog is asked to add tags of AWS to logs, and to nothing else.
#[tokio::test]
async fn datadog_is_asked_for_tags_unless_told_not_to() {
    let event = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/events/node-text.json");
    for (set, expected) in [("", true), ("true", true), ("false", false)] {
        let pairs = [("LOGFERRY_BACKENDS", "datadog"), ("DD_API_KEY", "x"), ("DD_ENRICH_CLOUDWATCH_TAGS", set)];
        let (requests, _) = requests(&event, &pairs).await;
        let routes: Vec<_> = requests.iter().map(|request| request.route).collect();
        assert!(routes.contains(&"logs") && routes.contains(&"distributions"), "{routes:?}");
        for request in &requests {
            let asked = shown(request).contains("DD-STORAGE-TAG: cloudwatch\n");
            assert_eq!(asked, expected && request.route == "logs", "{set} {}", request.route);
        }
    }
}
