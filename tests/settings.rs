//! All settings at once: what is accepted together, what is said of what isn't, and that no secret is shown.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::SystemTime;

use common::intake::Intake;
use common::server::Answer;
use logferry::env::{Secret, Vault};
use logferry::settings::{Prepared, Settings};

const TOKEN: &str = "tkn_0123456789abcdef0123456789abcdef";
const OPENWAY: (&str, &str) = ("DATAWAY_URL", "https://openway.guance.com");
const LOKI: (&str, &str) = ("LOKI_URL", "http://loki:3100");
const ELASTIC: (&str, &str) = ("ELASTICSEARCH_URL", "http://es:9200");
const REMOTE: (&str, &str) = ("PROMETHEUS_REMOTE_WRITE_URL", "http://prometheus:9090");
const TEXT: (&str, &str) = ("LOGFERRY_PROMETHEUS_URL", "http://vm:8428");
const OTLP: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

/// A secret setting, its backend, a good value, and what has to stand beside it.
type Case = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

const SECRETS: [Case; 25] = [
    ("DD_API_KEY", "datadog", "k", &[]),
    ("ELASTICSEARCH_API_KEY", "elasticsearch", "k", &[ELASTIC]),
    ("ES_API_KEY", "elasticsearch", "k", &[ELASTIC]),
    ("ELASTICSEARCH_PASSWORD", "elasticsearch", "p", &[ELASTIC, ("ELASTICSEARCH_USERNAME", "elastic")]),
    ("ENV_DATAWAY", "guance", "http://datakit:9529", &[]),
    ("DATAWAY_URL", "guance", "http://datakit:9529", &[]),
    ("DATAWAY_URL", "guance", "https://openway.guance.com", &[("WORKSPACE_TOKEN", TOKEN)]),
    ("WORKSPACE_TOKEN", "guance", TOKEN, &[OPENWAY]),
    ("WORKSPACE_TOKEN", "guance", TOKEN, &[("DATAWAY_URL", "http://datakit:9529")]),
    ("LOKI_PASSWORD", "loki", "p", &[LOKI, ("LOKI_USERNAME", "7")]),
    ("LOKI_BEARER_TOKEN", "loki", "t", &[LOKI]),
    ("NEW_RELIC_LICENSE_KEY", "newrelic", "k", &[]),
    ("LICENSE_KEY", "newrelic", "k", &[]),
    ("OTEL_EXPORTER_OTLP_HEADERS", "otlp", "api-key=k", &[OTLP]),
    ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "otlp", "api-key=k", &[OTLP]),
    ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "otlp", "api-key=k", &[OTLP]),
    ("LOGFERRY_PROMETHEUS_PASSWORD", "prometheus", "p", &[TEXT, ("LOGFERRY_PROMETHEUS_USERNAME", "u")]),
    ("ASSERTS_PASSWORD", "prometheus", "p", &[TEXT, ("ASSERTS_TENANT_NAME", "shop")]),
    ("PROMETHEUS_REMOTE_WRITE_PASSWORD", "remote_write", "p", &[REMOTE, ("PROMETHEUS_REMOTE_WRITE_USERNAME", "7")]),
    ("PROMETHEUS_REMOTE_WRITE_BEARER_TOKEN", "remote_write", "t", &[REMOTE]),
    ("PROMETHEUS_REMOTE_WRITE_HEADERS", "remote_write", "X-Scope-OrgID:shop", &[REMOTE]),
    ("PROMETHEUS_REMOTE_WRITE_HEADERS", "remote_write", "authorization:x", &[REMOTE]),
    ("SPLUNK_HEC_TOKEN", "splunk", "t", &[("SPLUNK_HEC_URL", "https://splunk:8088")]),
    ("HTTPS_PROXY", "stdout", "http://proxy:3128", &[]),
    ("HTTP_PROXY", "stdout", "http://proxy:3128", &[]),
];

fn prepare(pairs: &[(String, String)], fetched: BTreeMap<String, Secret>) -> Result<Prepared, Vec<String>> {
    let lookup = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    Settings::prepare(&lookup, None, || SystemTime::UNIX_EPOCH, fetched)
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What is said of settings; nothing of good ones.
fn mistakes(pairs: &[(&str, &str)]) -> Vec<String> {
    prepare(&owned(pairs), BTreeMap::new()).err().unwrap_or_default()
}

#[test]
fn a_secret_that_is_named_by_its_place_is_as_good_as_a_plain_one() {
    let covered: BTreeSet<_> = SECRETS.iter().map(|case| case.0).collect();
    let rows = Settings::rows().into_iter().flat_map(|(_, rows)| rows);
    assert_eq!(covered, rows.filter(|row| row.secret).map(|row| row.name).collect());
    for (setting, backend, value, others) in SECRETS {
        for (backend, suffix) in [(backend.to_owned(), ""), (format!("{backend}:eu"), "_EU")] {
            // Those of the network belong to no backend.
            let suffix = if setting.ends_with("_PROXY") { "" } else { suffix };
            let name = format!("{setting}{suffix}");
            let with = |variable: String, value: &str| {
                let mut pairs = owned(others);
                pairs.extend([("LOGFERRY_BACKENDS".to_owned(), backend.clone()), (variable, value.to_owned())]);
                pairs
            };
            let plain = prepare(&with(name.clone(), value), BTreeMap::new());
            assert!(plain.as_ref().is_ok_and(|prepared| prepared.forwarder.is_some()), "{name}: {:?}", plain.err());
            for vault in Vault::ALL {
                let pairs = with(format!("{name}{}", vault.suffix()), "somewhere");
                let waits = prepare(&pairs, BTreeMap::new());
                assert!(waits.is_ok(), "{name}{}: {:?}", vault.suffix(), waits.err());
                let waits = waits.unwrap();
                let places: Vec<_> = waits.elsewhere.iter().map(|place| (place.name.as_str(), place.vault)).collect();
                assert_eq!((places, waits.forwarder.is_none()), (vec![(name.as_str(), vault)], true));
                let fetched = BTreeMap::from([(name.clone(), Secret::new(value.to_owned()))]);
                let ready = prepare(&pairs, fetched);
                assert!(ready.as_ref().is_ok_and(|ready| ready.forwarder.is_some()), "{name}: {:?}", ready.err());
            }
        }
    }
}

/// The beginnings of what is said, one for each mistake.
fn assert_mistakes(pairs: &[(&str, &str)], expected: &[&str]) {
    let found = mistakes(pairs);
    let fits =
        found.len() == expected.len() && found.iter().zip(expected).all(|(found, start)| found.starts_with(start));
    assert!(fits, "{pairs:?}: {found:#?}");
}

#[test]
fn what_is_wrong_or_elsewhere_is_not_called_missing() {
    let place = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf";
    for (backend, pairs, expected) in [
        ("loki", &[LOKI, ("LOKI_BEARER_TOKEN", "a b")][..], &["LOKI_BEARER_TOKEN holds a blank"][..]),
        ("loki", &[("WRITE_ADDRESS", "loki")], &["WRITE_ADDRESS `loki` is not an address"]),
        ("loki", &[LOKI, ("LOKI_PASSWORD_SECRET_ARN", place)], &["LOKI_USERNAME is not set"]),
        (
            "loki",
            &[LOKI, ("LOKI_USERNAME", "7"), ("LOKI_PASSWORD_KMS", "x"), ("LOKI_BEARER_TOKEN_KMS", "x")],
            &["LOKI_BEARER_TOKEN is set beside LOKI_USERNAME or LOKI_PASSWORD"],
        ),
        ("elasticsearch", &[("ELASTIC_CLOUD_ID", "bad")], &["ELASTIC_CLOUD_ID `bad` is not a cloud id"]),
        ("newrelic", &[("LICENSE_KEY", "a b")], &["LICENSE_KEY holds a blank"]),
        (
            "elasticsearch",
            &[ELASTIC, ("ES_API_KEY_KMS", "x"), ("LOGFERRY_ELASTICSEARCH_SIGNING", "es")],
            &["LOGFERRY_ELASTICSEARCH_SIGNING asks for signatures beside", "LOGFERRY_ELASTICSEARCH_REGION is not set"],
        ),
        ("guance", &[("DATAWAY_URL", "openway")], &["DATAWAY_URL is not an address"]),
        ("guance", &[OPENWAY, ("WORKSPACE_TOKEN", "x")], &["WORKSPACE_TOKEN has a token that is none"]),
        ("prometheus", &[("ASSERTS_CLOUD_HOST", "http://")], &["ASSERTS_CLOUD_HOST `http://` is not an address"]),
        (
            "otlp",
            &[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "x"), ("LOGFERRY_OTLP_SEND", "logs")],
            &["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT `x` is not an address"],
        ),
        (
            "datadog",
            &[("DD_API_KEY", "k"), ("DD_FORWARD_LOG", "false"), ("LOGFERRY_DATADOG_SEND", "logs")],
            &["LOGFERRY_DATADOG_SEND asks for logs alone, and DD_FORWARD_LOG for none: nothing would be sent"],
        ),
        (
            "stdout",
            &[("DD_SCRUBBING_RULE", "(")],
            &["DD_SCRUBBING_RULE `(` is not a regular expression: unclosed group"],
        ),
        (
            "stdout",
            &[("LOGFERRY_SCRUBBING_RULE", "(?=a)"), ("REDACT_IP", "some"), ("LOGFERRY_REDACT_EMAIL", "all")],
            &[
                "REDACT_IP `some` is neither",
                "LOGFERRY_REDACT_EMAIL `all` is neither",
                "LOGFERRY_SCRUBBING_RULE `(?=a)` is not",
            ],
        ),
        (
            "stdout",
            &[("LOGFERRY_SCRUBBING_RULE", "(a)"), ("DD_SCRUBBING_RULE_REPLACEMENT", "\\2")],
            &["DD_SCRUBBING_RULE_REPLACEMENT asks for the group `2`, which the rule does not have"],
        ),
        (
            "stdout",
            &[
                ("LOGFERRY_REDACT_IP", "false"),
                ("REDACT_IP", "true"),
                ("LOGFERRY_SCRUBBING_RULE", "a"),
                ("DD_SCRUBBING_RULE", "b"),
                ("LOGFERRY_SCRUBBING_RULE_REPLACEMENT", "\\g<a>"),
                ("DD_SCRUBBING_RULE_REPLACEMENT", "b"),
            ],
            &[
                "REDACT_IP is another value than LOGFERRY_REDACT_IP",
                "DD_SCRUBBING_RULE is another pattern than LOGFERRY_SCRUBBING_RULE",
                "DD_SCRUBBING_RULE_REPLACEMENT is another value than LOGFERRY_SCRUBBING_RULE_REPLACEMENT",
                "LOGFERRY_SCRUBBING_RULE_REPLACEMENT asks for the group `a`, which the rule does not have",
            ],
        ),
        // One that is elsewhere doesn't stand for another.
        ("datadog:eu,datadog", &[("DD_API_KEY_EU_SECRET_ARN", place)], &["DD_API_KEY is not set"]),
    ] {
        assert_mistakes(&[pairs, &[("LOGFERRY_BACKENDS", backend)]].concat(), expected);
    }
}

#[test]
fn what_contradicts_another_setting_is_a_mistake() {
    const KEY: (&str, &str) = ("DD_API_KEY", "k");
    const OFF: (&str, &str) = ("DD_USE_COMPRESSION", "false");
    const CODEC: &str = "LOGFERRY_DATADOG_COMPRESSION";
    let codec = "LOGFERRY_DATADOG_COMPRESSION is set beside DD_USE_COMPRESSION, which turns compression off: leave one of them out";
    let include = "INCLUDE_AT_MATCH is another pattern than LOGFERRY_INCLUDE: leave one of them out";
    let exclude = "EXCLUDE_AT_MATCH is another pattern than LOGFERRY_EXCLUDE: leave one of them out";
    for (backend, pairs, expected) in [
        ("datadog", &[KEY, OFF, (CODEC, "zstd")][..], Some(codec)),
        ("datadog", &[KEY, OFF, (CODEC, "gzip")], Some(codec)),
        ("datadog", &[KEY, OFF, (CODEC, "none")], None),
        ("datadog", &[KEY, OFF], None),
        ("datadog", &[KEY, ("DD_USE_COMPRESSION", "true"), (CODEC, "zstd")], None),
        // What holds for one backend may turn off what holds for all, but not the other way round.
        ("datadog:eu", &[KEY, ("DD_USE_COMPRESSION_EU", "false"), (CODEC, "zstd")], None),
        (
            "datadog:eu",
            &[KEY, OFF, ("LOGFERRY_DATADOG_COMPRESSION_EU", "zstd")],
            Some("LOGFERRY_DATADOG_COMPRESSION_EU is set beside DD_USE_COMPRESSION, which"),
        ),
        ("stdout", &[("LOGFERRY_INCLUDE", "a"), ("INCLUDE_AT_MATCH", "b")], Some(include)),
        ("stdout", &[("LOGFERRY_EXCLUDE", "a"), ("EXCLUDE_AT_MATCH", "b")], Some(exclude)),
        ("stdout", &[("LOGFERRY_INCLUDE", "a"), ("INCLUDE_AT_MATCH", "a"), ("EXCLUDE_AT_MATCH", "b")], None),
    ] {
        assert_mistakes(&[pairs, &[("LOGFERRY_BACKENDS", backend)]].concat(), expected.as_slice());
    }
}

#[test]
fn a_dataway_with_a_token_and_another_token_is_a_mistake() {
    const OTHER: &str = "tkn_fedcba9876543210fedcba9876543210";
    let whole = format!("{}?token={TOKEN}", OPENWAY.1);
    let dataway = ("ENV_DATAWAY", whole.as_str());
    let token = "WORKSPACE_TOKEN is not the token of ENV_DATAWAY, beside which it is not read: leave one of them out";
    let own = "WORKSPACE_TOKEN_EU is not the token of ENV_DATAWAY, beside which it is not read: leave one of them out";
    let address = "DATAWAY_URL is not the address of ENV_DATAWAY, beside which it is not read: leave one of them out";
    for (backend, pairs, expected) in [
        ("guance", &[dataway, ("WORKSPACE_TOKEN", OTHER)][..], &[token][..]),
        ("guance", &[("ENV_DATAWAY", "http://datakit:9529"), ("WORKSPACE_TOKEN", TOKEN)], &[token]),
        ("guance", &[dataway, ("DATAWAY_URL", "https://eu1-openway.guance.one")], &[address]),
        ("guance", &[dataway, ("DATAWAY_URL", &format!("{}?token={OTHER}", OPENWAY.1))], &[address]),
        ("guance", &[dataway, ("DATAWAY_URL", &whole)], &[]),
        ("guance", &[dataway, OPENWAY, ("WORKSPACE_TOKEN", OTHER)], &[token]),
        ("guance", &[dataway, OPENWAY, ("WORKSPACE_TOKEN", TOKEN)], &[]),
        ("guance", &[dataway, ("WORKSPACE_TOKEN", TOKEN)], &[]),
        ("guance:eu", &[dataway, ("WORKSPACE_TOKEN_EU", OTHER)], &[own]),
        // What a backend has of its own comes before what is shared.
        ("guance:eu", &[("ENV_DATAWAY_EU", &whole), ("WORKSPACE_TOKEN", OTHER)], &[]),
        ("guance:eu", &[dataway, ("DATAWAY_URL_EU", OPENWAY.1), ("WORKSPACE_TOKEN_EU", OTHER)], &[]),
        ("guance:eu", &[dataway, ("DATAWAY_URL_EU", OPENWAY.1), ("WORKSPACE_TOKEN", OTHER)], &[]),
    ] {
        assert_mistakes(&[pairs, &[("LOGFERRY_BACKENDS", backend)]].concat(), expected);
    }
    // A token that is kept elsewhere can be compared when it is there.
    let place = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf";
    let pairs = owned(&[dataway, ("WORKSPACE_TOKEN_SECRET_ARN", place), ("LOGFERRY_BACKENDS", "guance")]);
    assert!(prepare(&pairs, BTreeMap::new()).is_ok());
    for (held, expected) in [(TOKEN, None), (OTHER, Some(token))] {
        let fetched = BTreeMap::from([("WORKSPACE_TOKEN".to_owned(), Secret::new(held.to_owned()))]);
        let said = prepare(&pairs, fetched).err().unwrap_or_default();
        assert_eq!(said, expected.map(str::to_owned).into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn tags_that_a_backend_cannot_tell_apart_are_a_mistake() {
    let clash = |one: &str, other: &str, backend: &str, name: &str| {
        format!("LOGFERRY_TAGS has `{one}` and `{other}`, which are both `{name}` for {backend}: leave one of them out")
    };
    let dataway = ("ENV_DATAWAY", "http://datakit:9529");
    let license = ("LICENSE_KEY", "k");
    for (backend, pairs, tags, expected) in [
        ("loki", &[LOKI][..], "team.a:x,team-a:y", Some(clash("team.a:x", "team-a:y", "loki", "team_a"))),
        ("loki", &[LOKI], "x:1,team.a:x,9:z,team a:y", Some(clash("team.a:x", "team a:y", "loki", "team_a"))),
        ("loki", &[LOKI], "env:a,env:b", Some(clash("env:a", "env:b", "loki", "env"))),
        ("loki", &[LOKI], "team.a:x,team-a:x,team_b", None),
        // A label without a value is none.
        ("loki", &[LOKI], "team.a,team-a:y", None),
        ("newrelic", &[license], "team.a:x,team-a:y", None),
        ("newrelic", &[license], "team a:x,team-a:y", Some(clash("team a:x", "team-a:y", "newrelic", "team_a"))),
        ("guance", &[dataway], "team.a:x,team_a:y", Some(clash("team.a:x", "team_a:y", "guance", "team_a"))),
        ("guance", &[dataway], "team-a:x,team_a:y", None),
        ("guance", &[dataway, ("LOGFERRY_GUANCE_SEND", "metrics")], "team.a:x,team_a:y", None),
        ("otlp", &[OTLP], "env:a,env:b", Some(clash("env:a", "env:b", "otlp", "env"))),
        ("otlp", &[OTLP], "env,env:b", Some(clash("env:", "env:b", "otlp", "env"))),
        ("otlp", &[OTLP], "team.a:x,team-a:y", None),
        // Those send all values.
        ("stdout", &[], "env:a,env:b", None),
        ("prometheus", &[TEXT], "team.a:x,team-a:y,env:a,env:b", None),
        ("remote_write", &[REMOTE], "team.a:x,team-a:y,env:a,env:b", None),
        ("elasticsearch", &[ELASTIC], "team.a:x,team_a:y,env:a,env:b", None),
        (
            "splunk",
            &[("SPLUNK_HEC_URL", "https://s"), ("SPLUNK_HEC_TOKEN", "t")],
            "team a:x,team-a:y,env:a,env:b",
            None,
        ),
        ("datadog", &[("DD_API_KEY", "k")], "team.a:x,team-a:y,env:a,env:b", None),
    ] {
        let pairs = [pairs, &[("LOGFERRY_BACKENDS", backend), ("LOGFERRY_TAGS", tags)]].concat();
        assert_mistakes(&pairs, expected.as_deref().as_slice());
    }
}

#[test]
fn the_place_of_a_secret_has_a_form() {
    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/datadog-AbCdEf";
    let malformed = "DD_API_KEY_SECRET_ARN is neither the ARN of a secret in Secrets Manager nor its name: expected `arn:aws:secretsmanager:region:account:secret:name`";
    let mistakes_of = |place: &str, expected: &[&str]| {
        let pairs = [("LOGFERRY_BACKENDS", "datadog:eu,datadog:us"), ("DD_API_KEY_SECRET_ARN", place)];
        assert_mistakes(&pairs, expected);
    };
    for place in [
        ARN,
        &format!("{ARN}:field::"),
        &format!("{ARN}:a field:AWSPREVIOUS:"),
        "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:a+b=c@d.e_f",
        "prod/datadog",
    ] {
        mistakes_of(place, &[]);
    }
    for place in [
        "arn:aws:secretsmanager:eu-west-1:123456789012:datadog",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a b",
        "arn:aws:secretsmanager:eu-west-1:123456789012",
        "arn:aws:secretsmanager::123456789012:secret:x",
        "arn:aws:ssm:eu-west-1:123456789012:parameter/datadog",
        "arn:",
        &format!("{ARN}:a:b:c:d"),
        &format!("\"{ARN}\""),
        "aws:secretsmanager:eu-west-1:123456789012:secret:x",
        "prod datadog",
    ] {
        mistakes_of(place, &[malformed]);
    }
}

#[test]
fn under_a_name_it_is_the_variable_of_that_name_that_is_missing_or_wrong() {
    for (backend, pairs, expected) in [
        ("loki:eu", &[LOKI, ("LOKI_USERNAME_EU", "7")][..], "LOKI_PASSWORD_EU is not set"),
        ("loki:eu", &[LOKI, ("LOKI_PASSWORD", "p")], "LOKI_USERNAME_EU is not set"),
        (
            "loki:eu",
            &[LOKI, ("LOKI_USERNAME_EU", "7"), ("LOKI_PASSWORD", "p"), ("LOKI_BEARER_TOKEN_EU", "t")],
            "LOKI_BEARER_TOKEN_EU is set beside LOKI_USERNAME_EU or LOKI_PASSWORD",
        ),
        ("loki:eu,loki", &[("LOKI_URL_EU", "http://loki")], "LOKI_URL is not set"),
        ("loki,loki:eu-2", &[LOKI, ("LOKI_URL_EU_2", "loki")], "LOKI_URL_EU_2 `loki` is not an address"),
        ("datadog:eu", &[], "DD_API_KEY_EU is not set"),
        (
            "otlp:eu",
            &[OTLP, ("OTEL_EXPORTER_OTLP_CLIENT_KEY_EU", "/k")],
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE_EU is not set, but OTEL_EXPORTER_OTLP_CLIENT_KEY_EU is",
        ),
        ("guance:eu", &[("DATAWAY_URL_EU", OPENWAY.1)], "WORKSPACE_TOKEN_EU is not set: the Dataway of DATAWAY_URL_EU"),
    ] {
        assert_mistakes(&[pairs, &[("LOGFERRY_BACKENDS", backend)]].concat(), &[expected]);
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let wrong = [
        ("LOGFERRY_BACKENDS", "otlp"),
        OTLP,
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k"),
        ("OTEL_RESOURCE_ATTRIBUTES", "=x"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "deltas"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE", "/c"),
        ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", "/k"),
        ("LOGFERRY_OTLP_RETRY_MORE", "some"),
    ];
    let expected = [
        "OTEL_EXPORTER_OTLP_PROTOCOL `grpc`",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE is not set",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE `deltas`",
        "LOGFERRY_OTLP_RETRY_MORE `some`",
        "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY is not set",
        "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE is not set",
    ];
    assert_mistakes(&wrong, &expected);
}

/// A setting that holds an address, its backend, and what has to stand beside it.
type Place = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const ADDRESSES: [Place; 22] = [
    ("DD_URL", "datadog", &[("DD_API_KEY", "k")]),
    ("DD_API_URL", "datadog", &[("DD_API_KEY", "k")]),
    ("ELASTICSEARCH_URL", "elasticsearch", &[]),
    ("ENV_DATAWAY", "guance", &[]),
    ("DATAWAY_URL", "guance", &[]),
    ("LOKI_URL", "loki", &[]),
    ("WRITE_ADDRESS", "loki", &[]),
    ("NR_LOGGING_ENDPOINT", "newrelic", &[("LICENSE_KEY", "k")]),
    ("LOGFERRY_NEWRELIC_METRICS_URL", "newrelic", &[("LICENSE_KEY", "k")]),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp", &[]),
    ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "otlp", &[OTLP]),
    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "otlp", &[OTLP]),
    ("LOGFERRY_PROMETHEUS_URL", "prometheus", &[]),
    ("ASSERTS_REMOTE_WRITE_URL", "prometheus", &[]),
    ("ASSERTS_METRIC_ENDPOINT", "prometheus", &[]),
    ("ASSERTS_METRICSTORE_HOST", "prometheus", &[]),
    ("ASSERTS_CLOUD_HOST", "prometheus", &[]),
    ("PROMETHEUS_REMOTE_WRITE_URL", "remote_write", &[]),
    ("SPLUNK_HEC_URL", "splunk", &[("SPLUNK_HEC_TOKEN", "k")]),
    ("LOGFERRY_STORE", "stdout", &[]),
    ("HTTPS_PROXY", "stdout", &[]),
    ("HTTP_PROXY", "stdout", &[]),
];

/// How the command line ends, and all that it writes.
fn run(args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logferry"));
    let command = command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).env_clear();
    let output = command.envs(env.iter().copied()).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn no_secret_in_an_address_is_shown_by_check() {
    let holds_an_address = |name: &str| {
        ["_URL", "_ADDRESS", "_ENDPOINT", "_HOST", "_DATAWAY", "S_PROXY", "P_PROXY", "_STORE"]
            .iter()
            .any(|end| name.ends_with(end))
    };
    let rows = Settings::rows().into_iter().flat_map(|(_, rows)| rows).map(|row| row.name);
    let covered: BTreeSet<_> = ADDRESSES.iter().map(|place| place.0).collect();
    assert_eq!(covered, rows.filter(|name| holds_an_address(name)).collect());
    for (name, backend, others) in ADDRESSES.into_iter().chain([("AWS_ENDPOINT_URL", "stdout", &[][..])]) {
        for value in [
            "https://host.example.com/x?token=s3cret",
            "https://host.example.com?a=b@c&token=s3cret",
            "https://host.example.com/x#s3cret",
            "https://user:s3cret@host.example.com",
            "https://s3cret@host.example.com/x",
            "https://user:s3/cret@host.example.com",
            "https://user:1?s3cret@host.example.com",
            "ftp://user:s3cret@host.example.com",
            "user:s3cret@host.example.com",
            "host.example.com?token=s3cret",
            "?token=s3cret",
            "https://?token=s3cret",
            "https://host.example.com:99999?token=s3cret",
        ] {
            let own = [("LOGFERRY_BACKENDS", backend), (name, value)];
            let (_, written) = run(&["check"], &[&own[..], others].concat());
            let shown = written.contains("s3cret") || written.contains("s3/cret") || written.contains("cret@");
            assert!(!shown, "{name}={value}: {written}");
        }
    }
    let good = [("LOGFERRY_BACKENDS", "loki"), ("LOKI_URL", "https://loki/x?token=s3cret")];
    let (status, written) = run(&["check"], &good);
    assert!(status == Some(0) && written.contains("https://loki/x?***\n"), "{written}");
    let wrong = [("LOGFERRY_BACKENDS", "loki"), ("LOKI_URL", "https://123:s3cret@logs.grafana.net")];
    let expected = "wrong setting: LOKI_URL `https://***@logs.grafana.net` holds a user name or a password";
    assert!(run(&["check"], &wrong).1.starts_with(expected));
}

#[test]
fn an_address_has_a_host_that_can_be_one() {
    for (name, backend, others) in ADDRESSES.into_iter().filter(|(name, ..)| *name != "LOGFERRY_STORE") {
        // A Dataway's address may be a list.
        let list = if backend == "guance" { "-" } else { "a.example.com,b.example.com" };
        for host in [",", ";", ".", "-", "/x", list, "a.example.com;"] {
            for value in [host.to_owned(), format!("https://{host}")] {
                let own = [("LOGFERRY_BACKENDS", backend), (name, value.as_str())];
                let said = mistakes(&[&own[..], others].concat());
                let told = |said: &String| said.starts_with(name) && said.contains("expected");
                assert!(said.iter().any(told), "{name}={value}: {said:?}");
            }
        }
        for host in ["a_b.example.com", "bücher.example", "localhost.", "127.0.0.1:1", "[::1]"] {
            let value = format!("http://{host}");
            let own = [("LOGFERRY_BACKENDS", backend), (name, value.as_str())];
            let said = mistakes(&[&own[..], others].concat());
            assert!(!said.iter().any(|said| said.contains("address")), "{name}={value}: {said:?}");
        }
    }
    for (backend, pairs, expected) in [
        ("elasticsearch", &[ELASTIC, ("LOGFERRY_ELASTICSEARCH_NAMESPACE", ";")][..], "can't be a part"),
        ("elasticsearch", &[ELASTIC, ("LOGFERRY_ELASTICSEARCH_REGION", "-")], "is not a region"),
        ("remote_write", &[REMOTE, ("LOGFERRY_REMOTE_WRITE_REGION", ",")], "is not a region"),
        ("remote_write", &[REMOTE, ("LOGFERRY_REMOTE_WRITE_REGION", "Ireland")], "is not a region"),
        ("datadog", &[("DD_API_KEY", "k"), ("DD_SITE", ".")], "is not a Datadog site"),
        ("datadog", &[("DD_API_KEY", "k"), ("DD_SITE", ".datadoghq.com")], "is not a Datadog site"),
    ] {
        let (name, value) = pairs[1];
        let expected = format!("{name} `{value}` {expected}");
        assert_mistakes(&[pairs, &[("LOGFERRY_BACKENDS", backend)]].concat(), &[&expected]);
    }
}

#[test]
fn a_secret_in_an_address_is_sent_and_not_shown() {
    const FILE: &str = "fixtures/events/edge.json";
    let intake = Intake::answering(|_, _| Answer::status(401));
    let (plain, address) = (intake.url(), format!("{}/?a=b&key=s3cret", intake.url()));
    // What is not at the address at hand must not go to the vendor.
    let beside = [
        "DD_URL",
        "DD_API_URL",
        "NR_LOGGING_ENDPOINT",
        "LOGFERRY_NEWRELIC_METRICS_URL",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    ];
    // A base has no query, and neither a store nor a proxy is an intake.
    let sent_to = |(name, ..): &Place| {
        !["OTEL_EXPORTER_OTLP_ENDPOINT", "LOGFERRY_STORE"].contains(name) && !name.ends_with("_PROXY")
    };
    for (name, backend, others) in ADDRESSES.into_iter().filter(sent_to) {
        let beside = beside.iter().filter(|other| **other != name).map(|other| (*other, plain.as_str()));
        let mut env: Vec<_> = beside.chain(others.iter().copied()).collect();
        env.extend([(name, address.as_str()), ("LOGFERRY_RESERVE", "29s")]);
        let (_, shown) = run(&["replay", FILE, "--to", backend, "--dry-run"], &env);
        assert!(shown.contains("POST http://127.0.0.1:"), "{name}");
        let before = intake.requests().len();
        let (status, said) = run(&["replay", FILE, "--to", backend], &env);
        assert_eq!(status, Some(1), "{name}");
        assert!(said.contains("not delivered to http://127.0.0.1:"), "{name}: {said}");
        let leak = shown.lines().chain(said.lines()).find(|line| line.contains("s3cret"));
        assert_eq!(leak, None, "{name}");
        let targets: Vec<_> = intake.requests().into_iter().skip(before).map(|received| received.target).collect();
        let whole = |target: &String| {
            target.ends_with("a=b&key=s3cret") && target.matches('?').count() == 1 && !target.contains("//")
        };
        assert!(targets.iter().any(whole), "{name}: {targets:?}");
    }
}

#[test]
fn a_port_stands_where_ports_stand_and_no_two_of_them() {
    for (url, port, expected) in [
        ("http://127.0.0.1:21808", "21808", Ok("http://127.0.0.1:21808/api/v2/logs")),
        ("http://127.0.0.1", "21808", Ok("http://127.0.0.1:21808/api/v2/logs")),
        ("https://x/path", "8443", Ok("https://x:8443/path/api/v2/logs")),
        ("x/path", "8443", Ok("https://x:8443/path/api/v2/logs")),
        ("x:8443", "8443", Ok("https://x:8443/api/v2/logs")),
        ("x:8443", "", Ok("https://x:8443/api/v2/logs")),
        ("x?a=b", "8443", Ok("https://x:8443/api/v2/logs")),
        ("http://[::1]", "8443", Ok("http://[::1]:8443/api/v2/logs")),
        ("http://[::1]:8443", "8443", Ok("http://[::1]:8443/api/v2/logs")),
        ("http://127.0.0.1:21808", "21809", Err("DD_PORT is 21809, but DD_URL has port 21808")),
        ("https://x", "0", Err("DD_PORT `0` is not a port")),
    ] {
        let pairs = [("LOGFERRY_BACKENDS", "datadog"), ("DD_API_KEY", "k"), ("DD_URL", url), ("DD_PORT", port)];
        match expected {
            Ok(expected) => {
                let pairs = [&pairs[..], &[("DD_API_URL", "http://127.0.0.1:9")]].concat();
                let (_, shown) = run(&["replay", "fixtures/events/edge.json", "--to", "datadog", "--dry-run"], &pairs);
                let posts: Vec<_> = shown.lines().filter_map(|line| line.strip_prefix("POST ")).collect();
                assert!(posts.contains(&expected), "{url} {port}: {posts:?}");
            }
            Err(expected) => assert_mistakes(&pairs, &[expected]),
        }
    }
    let store = |url, port| {
        [("LOGFERRY_BACKENDS", "prometheus"), ("ASSERTS_METRICSTORE_HOST", url), ("ASSERTS_METRICSTORE_PORT", port)]
    };
    assert_mistakes(&store("store:8443", "8443"), &[]);
    let both = "ASSERTS_METRICSTORE_PORT is 8444, but ASSERTS_METRICSTORE_HOST has port 8443";
    assert_mistakes(&store("store:8443", "8444"), &[both]);
}

#[test]
fn who_sends_is_said_once_and_whole() {
    const AMAZON: (&str, &str) = (REMOTE.0, "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1");
    const USER: (&str, &str) = ("PROMETHEUS_REMOTE_WRITE_USERNAME", "7");
    const PASSWORD: (&str, &str) = ("PROMETHEUS_REMOTE_WRITE_PASSWORD", "s3cret");
    const BEARER: (&str, &str) = ("PROMETHEUS_REMOTE_WRITE_BEARER_TOKEN", "s3cret");
    const HEADERS: (&str, &str) = ("PROMETHEUS_REMOTE_WRITE_HEADERS", "X-Scope-OrgID:shop,authorization:s3cret");
    const BESIDE: &str = "PROMETHEUS_REMOTE_WRITE_HEADERS holds `Authorization` beside";
    const SIGNED: &str = "LOGFERRY_REMOTE_WRITE_SIGN signs requests beside";
    let (own_user, own_password) = (("LOGFERRY_PROMETHEUS_USERNAME", "u"), ("LOGFERRY_PROMETHEUS_PASSWORD", "s3cret"));
    let (tenant, tenant_password) = (("ASSERTS_TENANT_NAME", "shop"), ("ASSERTS_PASSWORD", "s3cret"));
    for (backend, pairs, expected) in [
        ("remote_write", &[REMOTE, USER][..], Some("PROMETHEUS_REMOTE_WRITE_PASSWORD is not set")),
        ("remote_write", &[REMOTE, PASSWORD], Some("PROMETHEUS_REMOTE_WRITE_USERNAME is not set")),
        ("remote_write", &[REMOTE, USER, PASSWORD], None),
        ("remote_write", &[REMOTE, USER, PASSWORD, BEARER], Some("PROMETHEUS_REMOTE_WRITE_BEARER_TOKEN is set beside")),
        ("remote_write", &[REMOTE, HEADERS], None),
        ("remote_write", &[REMOTE, HEADERS, USER, PASSWORD], Some(BESIDE)),
        ("remote_write", &[REMOTE, HEADERS, BEARER], Some(BESIDE)),
        ("remote_write", &[REMOTE, HEADERS, ("LOGFERRY_REMOTE_WRITE_SIGN", "true")], Some(SIGNED)),
        ("remote_write", &[AMAZON, USER, PASSWORD], Some(SIGNED)),
        ("remote_write", &[AMAZON, HEADERS], Some(SIGNED)),
        ("remote_write", &[AMAZON, BEARER, ("LOGFERRY_REMOTE_WRITE_SIGN", "false")], None),
        ("prometheus", &[TEXT, own_user], Some("LOGFERRY_PROMETHEUS_PASSWORD is not set")),
        ("prometheus", &[TEXT, own_password], Some("LOGFERRY_PROMETHEUS_USERNAME is not set")),
        ("prometheus", &[TEXT, own_user, tenant], Some("LOGFERRY_PROMETHEUS_PASSWORD is not set")),
        ("prometheus", &[TEXT, own_user, tenant_password], None),
        ("prometheus", &[TEXT, own_password, tenant], None),
        ("prometheus", &[TEXT, tenant], None),
        ("prometheus", &[TEXT, tenant, tenant_password], None),
    ] {
        let pairs = [pairs, &[("LOGFERRY_BACKENDS", backend)]].concat();
        assert_mistakes(&pairs, expected.as_slice());
        assert!(!mistakes(&pairs).concat().contains("s3cret"));
    }
}

#[test]
fn a_password_may_be_any_text() {
    for value in ["open sesame", "pässwörd", "a:b", "密码"] {
        for (backend, pairs) in [
            ("loki", &[LOKI, ("LOKI_USERNAME", "7"), ("LOKI_PASSWORD", value)][..]),
            ("elasticsearch", &[ELASTIC, ("ELASTICSEARCH_USERNAME", "u"), ("ELASTICSEARCH_PASSWORD", value)]),
            (
                "remote_write",
                &[REMOTE, ("PROMETHEUS_REMOTE_WRITE_USERNAME", "7"), ("PROMETHEUS_REMOTE_WRITE_PASSWORD", value)],
            ),
            ("prometheus", &[TEXT, ("LOGFERRY_PROMETHEUS_USERNAME", "7"), ("LOGFERRY_PROMETHEUS_PASSWORD", value)]),
            ("prometheus", &[TEXT, ("ASSERTS_TENANT_NAME", "shop"), ("ASSERTS_PASSWORD", value)]),
        ] {
            assert_mistakes(&[pairs, &[("LOGFERRY_BACKENDS", backend)]].concat(), &[]);
        }
    }
}

#[test]
fn no_two_backends_read_the_same_variables() {
    for (backends, expected) in [
        ("loki:eu-1,loki:eu_1", Some("LOGFERRY_BACKENDS `loki:eu-1,loki:eu_1` names `loki:eu-1` and `loki:eu_1`")),
        ("loki:eu,loki,loki:EU", Some("LOGFERRY_BACKENDS `loki:eu,loki,loki:EU` names `loki:eu` and `loki:EU`")),
        ("loki,loki", Some("LOGFERRY_BACKENDS `loki,loki` names `loki` twice")),
        ("loki:eu,stdout:eu,loki:eu1", None),
    ] {
        assert_mistakes(&[LOKI, ("LOGFERRY_BACKENDS", backends)], expected.as_slice());
    }
}

/// Where requests of `backend` would go.
fn destinations(backend: &str, pairs: &[(&str, &str)]) -> BTreeSet<String> {
    let (status, shown) = run(&["replay", "fixtures/events/edge.json", "--to", backend, "--dry-run"], pairs);
    assert_eq!(status, Some(0), "{shown}");
    shown.lines().filter_map(|line| line.strip_prefix("POST ")).map(str::to_owned).collect()
}

#[test]
fn the_region_of_a_key_of_its_own_wins_over_a_shared_region() {
    const SHARED: (&str, &str) = ("NEW_RELIC_REGION", "US");
    let (eu, us) = ("https://log-api.eu.newrelic.com/log/v1", "https://log-api.newrelic.com/log/v1");
    for (pairs, expected) in [
        (&[SHARED, ("NEW_RELIC_LICENSE_KEY_EU", "eu01xx")][..], eu),
        (&[SHARED, ("LICENSE_KEY_EU", "eu01xx"), ("NEW_RELIC_LICENSE_KEY", "k")], eu),
        (&[("NEW_RELIC_LICENSE_KEY_EU", "eu01xx"), ("NEW_RELIC_REGION_EU", "us")], us),
        // A region that is as shared as the key holds, and so does one of which the key says nothing.
        (&[SHARED, ("NEW_RELIC_LICENSE_KEY", "eu01xx")], us),
        (&[("NEW_RELIC_REGION", "eu"), ("NEW_RELIC_LICENSE_KEY_EU", "k")], eu),
    ] {
        let found = destinations("newrelic:eu", pairs);
        assert!(found.contains(expected), "{pairs:?}: {found:?}");
    }
}

#[test]
fn what_stands_beside_a_shared_address_stays_with_it() {
    const KEY: (&str, &str) = ("DD_API_KEY", "k");
    const SITE: (&str, &str) = ("DD_SITE_EU", "datadoghq.eu");
    const SHARED: [(&str, &str); 3] = [("DD_URL", "agent.internal"), ("DD_PORT", "8080"), ("DD_NO_SSL", "true")];
    for (backend, pairs, expected) in [
        ("datadog:eu", &[SITE][..], "https://http-intake.logs.datadoghq.eu"),
        ("datadog:eu", &[SITE, ("DD_PORT_EU", "10443")], "https://http-intake.logs.datadoghq.eu:10443"),
        ("datadog:eu", &[SITE, ("DD_NO_SSL_EU", "true")], "http://http-intake.logs.datadoghq.eu"),
        ("datadog:eu", &[SITE, ("DD_URL_EU", "other.internal")], "http://other.internal:8080"),
        ("datadog:eu", &[], "http://agent.internal:8080"),
        ("datadog", &[SITE], "http://agent.internal:8080"),
    ] {
        let found = destinations(backend, &[&[KEY], &SHARED[..], pairs].concat());
        assert!(found.contains(&format!("{expected}/api/v2/logs")), "{backend} {pairs:?}: {found:?}");
    }
    // Without an address they are for whatever host there is.
    let found = destinations("datadog:eu", &[KEY, SITE, ("DD_PORT", "10443")]);
    assert!(found.contains("https://http-intake.logs.datadoghq.eu:10443/api/v2/logs"), "{found:?}");
}
