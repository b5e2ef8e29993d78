//! What documents say is what the program does: tables of the README and parts of the template are generated.
//!
//! `UPDATE=1 cargo test --test docs` writes them anew.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use logferry::aws::{Credentials, Places};
use logferry::backend::{Backend, Datadog, Elasticsearch, Guance, NewRelic, Otlp, Prometheus, Splunk};
use logferry::env::Row;
use logferry::forwarder::{Outcome, Redriven, Report};
use logferry::model::{Measure, Timestamp};
use logferry::settings::{Settings, misspelt};

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the test decides")]
fn update() -> bool {
    std::env::var("UPDATE").is_ok_and(|value| value == "1")
}

/// Compares what stands between two marks of a file, or writes it.
fn between(file: &str, mark: &str, generated: &str) {
    static FILES: Mutex<()> = Mutex::new(());
    let _one_at_a_time = FILES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let path = root().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let line = |which: &str| {
        let found = text.lines().find(|line| line.contains(&format!("{which}: {mark}")));
        found.unwrap_or_else(|| panic!("{file} has no line with `{which}: {mark}`"))
    };
    let start = text.find(line("begin")).unwrap() + line("begin").len() + 1;
    let end = text.find(line("end")).unwrap();
    if text[start..end] == *generated {
        return;
    }
    assert!(update(), "{file}: `{mark}` is out of date, see `UPDATE=1 cargo test --test docs`");
    std::fs::write(&path, [&text[..start], generated, &text[end..]].concat()).unwrap();
}

#[test]
fn every_variable_that_is_read_is_listed() {
    let listed: BTreeSet<_> =
        Settings::rows().into_iter().flat_map(|(_, rows)| rows).map(|row| row.name.to_owned()).collect();
    let read = RefCell::new(BTreeSet::new());
    for backend in Backend::KINDS {
        let lookup = |name: &str| {
            read.borrow_mut().insert(name.to_owned());
            match name {
                "LOGFERRY_BACKENDS" => Some((*backend).to_owned()),
                // The bucket is read only beside a queue.
                "LOGFERRY_STORE" => Some("https://sqs.eu-west-1.amazonaws.com/123456789012/queue".to_owned()),
                // And a replacement where there is something to replace.
                "LOGFERRY_SCRUBBING_RULE" => Some("x".to_owned()),
                _ => None,
            }
        };
        let _ = Settings::prepare(&lookup, None, || SystemTime::UNIX_EPOCH, BTreeMap::new());
    }
    // Nobody but Lambda can set these, and where a secret is follows from its name.
    read.borrow_mut().retain(|name| {
        logferry::env::Vault::ALL.iter().all(|vault| !name.ends_with(vault.suffix())) && name != "DD_KMS_API_KEY"
    });
    read.borrow_mut()
        .retain(|name| !Credentials::NAMES.contains(&name.as_str()) && !Places::NAMES.contains(&name.as_str()));
    // What proxies are called on many machines: the line of the other spelling says so.
    read.borrow_mut().retain(|name| !["https_proxy", "http_proxy", "no_proxy"].contains(&name.as_str()));
    assert_eq!(*read.borrow(), listed);
}

#[test]
fn settings_are_legal_documentation() {
    let rows: Vec<_> = Settings::rows().into_iter().flat_map(|(_, rows)| rows).collect();
    let names: BTreeSet<_> = rows.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), rows.len(), "each name once");
    for row in rows {
        assert!(row.name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{}", row.name);
        assert!(row.doc.ends_with('.') && !row.doc.contains(['\n', '"', '|']), "{}", row.doc);
    }
}

#[test]
fn readme_lists_the_settings() {
    let mut table = String::new();
    for (component, rows) in Settings::rows().into_iter().filter(|(_, rows)| !rows.is_empty()) {
        let heading = if component.is_empty() { "For everything" } else { component };
        writeln!(table, "\n**{heading}**\n\n| variable | default | what for |\n|---|---|---|").unwrap();
        for row in rows {
            let default = row.default.map(|default| format!("`{default}`")).unwrap_or_default();
            writeln!(table, "| `{}` | {default} | {} |", row.name, row.doc).unwrap();
        }
    }
    between("README.md", "settings", &format!("{table}\n"));
}

#[test]
fn readme_lists_the_metrics() {
    let mut table = String::from("\n| measure | kind | unit | what it is |\n|---|---|---|---|\n");
    for measure in Measure::ALL {
        let unit = measure.unit().map_or("", logferry::model::Unit::as_str);
        let (name, kind, what) = (measure.name(), measure.kind().as_str(), measure.describe());
        writeln!(table, "| `{name}` | {kind} | {unit} | {what} |").unwrap();
    }
    between("README.md", "metrics", &format!("{table}\n"));
}

/// What each backend's users call the measures; where a value is divided, its unit is behind the name.
#[test]
fn readme_lists_the_names_of_the_metrics() {
    type Words = fn(Measure) -> (&'static str, f64);
    let vocabularies: [(&str, Words); 7] = [
        ("Datadog", Datadog::words),
        ("Guance and TrueWatch", |measure| (Guance::words(measure), 1.0)),
        ("New Relic", |measure| (NewRelic::words(measure), 1.0)),
        ("OpenTelemetry", |measure| (Otlp::words(measure).0, Otlp::words(measure).2)),
        ("Prometheus, remote write", Prometheus::words),
        ("Elasticsearch", Elasticsearch::words),
        ("Splunk", Splunk::words),
    ];
    let mut table = String::new();
    for (users, words) in vocabularies {
        writeln!(table, "\n**{users}**\n\n| measure | name | unit |\n|---|---|---|").unwrap();
        for measure in Measure::ALL {
            let (name, divisor) = words(measure);
            let unit = match (measure.unit().map_or("", logferry::model::Unit::as_str), divisor) {
                ("ms", divisor) if divisor > 1.0 => "s",
                ("MB", divisor) if divisor < 1.0 => "B",
                (unit, _) => unit,
            };
            writeln!(table, "| `{}` | `{name}` | {unit} |", measure.name()).unwrap();
        }
    }
    between("README.md", "vocabulary", &format!("{table}\n"));
}

#[test]
fn readme_shows_real_output() {
    let output = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_logferry"))
            .args(args)
            .current_dir(root())
            .env_clear()
            .env("AWS_REGION", "eu-west-1")
            .env("COLUMNS", "100")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let replay = output(&["replay", "fixtures/events/node-text.json"]);
    let lines: Vec<_> = replay.lines().map(str::trim_end).collect();
    between("README.md", "replay", &format!("```text\n{}\n```\n", lines.join("\n")));
}

/// `LOGFERRY_CA_FILE` → `CaFile`
fn parameter(variable: &str) -> String {
    let words = variable.strip_prefix("LOGFERRY_").unwrap_or(variable).split('_');
    words.flat_map(|word| [word[..1].to_owned(), word[1..].to_ascii_lowercase()]).collect()
}

/// What the template has as the default: the Lambda needs a backend, and so do most who deploy it.
fn template_default(row: &Row) -> String {
    match (row.name, row.default) {
        ("LOGFERRY_BACKENDS", _) => "datadog".to_owned(),
        (_, Some(default)) => format!("'{default}'"),
        (_, None) => "''".to_owned(),
    }
}

/// Lambda takes 4 KB of variables: only those are handed on that differ from what the program assumes.
#[test]
fn template_has_every_setting() {
    let (mut groups, mut parameters, mut named) = (String::new(), String::new(), BTreeSet::new());
    let (mut conditions, mut variables, mut policies) = (String::new(), String::new(), String::new());
    for (component, rows) in Settings::rows().into_iter().filter(|(_, rows)| !rows.is_empty()) {
        let label = if component.is_empty() { "For everything".to_owned() } else { format!("Backend {component}") };
        writeln!(groups, "      - Label: {{default: {label}}}\n        Parameters:").unwrap();
        writeln!(parameters, "  # {label}").unwrap();
        for row in rows {
            let name = parameter(row.name);
            // A name of another forwarder's for the same, where both make the same parameter.
            if !named.insert(name.clone()) {
                continue;
            }
            writeln!(groups, "          - {name}").unwrap();
            writeln!(parameters, "  {name}:\n    Type: String").unwrap();
            if row.secret {
                writeln!(parameters, "    NoEcho: true").unwrap();
            }
            writeln!(parameters, "    Default: {}", template_default(&row)).unwrap();
            if let Some(lines) = place(&row).or_else(|| words(&row)) {
                parameters.push_str(lines);
            }
            writeln!(parameters, "    Description: \"{}\"", row.doc.replace('\\', "\\\\")).unwrap();
            if row.secret && !row.name.ends_with("_PROXY") {
                // Instead of the secret itself its place may be given.
                writeln!(groups, "          - {name}SecretArn").unwrap();
                writeln!(parameters, "  {name}SecretArn:\n    Type: String\n    Default: ''").unwrap();
                parameters.push_str(SECRET_ARN);
                writeln!(parameters, "    Description: \"ARN of what holds {name}, to be given in its place: a secret in Secrets Manager (its text, the field {} of its JSON, or the field that stands behind the ARN, as :field::) or a parameter in Parameter Store. It is read at run time, again when it is refused.\"", row.name).unwrap();
                writeln!(conditions, "  Sets{name}SecretArn: !Not [!Equals [!Ref {name}SecretArn, '']]").unwrap();
                writeln!(
                    conditions,
                    "  Is{name}Parameter: !Equals [!Select [2, !Split [':', !Sub '${{{name}SecretArn}}:::']], ssm]"
                )
                .unwrap();
                writeln!(variables, "          {}_SECRET_ARN: !If [Is{name}Parameter, !Ref AWS::NoValue, !If [Sets{name}SecretArn, !Ref {name}SecretArn, !Ref AWS::NoValue]]", row.name).unwrap();
                writeln!(
                    variables,
                    "          {}_SSM_NAME: !If [Is{name}Parameter, !Ref {name}SecretArn, !Ref AWS::NoValue]",
                    row.name
                )
                .unwrap();
                writeln!(policies, "        - !If\n          - Sets{name}SecretArn\n          - PolicyName: secret-{name}\n            PolicyDocument:\n              Version: '2012-10-17'\n              Statement:\n                - Effect: Allow\n                  Action: !If [Is{name}Parameter, ssm:GetParameter, secretsmanager:GetSecretValue]\n                  Resource: !If\n                    - Is{name}Parameter\n                    - !Ref {name}SecretArn\n                    - !Sub\n                      - arn:${{AWS::Partition}}:secretsmanager:${{Region}}:${{Account}}:secret:${{Name}}").unwrap();
                // No policy knows the field that may stand behind the name.
                for (part, place) in [("- Region", 3), ("  Account", 4), ("  Name", 6)] {
                    writeln!(
                        policies,
                        "                      {part}: !Select [{place}, !Split [':', !Sub '${{{name}SecretArn}}::::::']]"
                    )
                    .unwrap();
                }
                policies.push_str("          - !Ref AWS::NoValue\n");
            }
            if row.name == "LOGFERRY_STORE" {
                // The template makes a bucket where none is named.
                writeln!(conditions, "  SetsStore: !Not [!Equals [!Ref Store, '']]").unwrap();
                writeln!(variables, "          LOGFERRY_STORE: !If [SetsStore, !Ref Store, !If [MakesStore, !Sub 's3://${{StoreBucketMade}}', !Ref AWS::NoValue]]").unwrap();
            } else if row.name == "LOGFERRY_BACKENDS" {
                writeln!(variables, "          {}: !Ref {name}", row.name).unwrap();
            } else {
                let default = template_default(&row);
                writeln!(conditions, "  Sets{name}: !Not [!Equals [!Ref {name}, {default}]]").unwrap();
                writeln!(variables, "          {}: !If [Sets{name}, !Ref {name}, !Ref AWS::NoValue]", row.name)
                    .unwrap();
            }
        }
    }
    between("template.yaml", "setting groups", &groups);
    between("template.yaml", "settings", &parameters);
    between("template.yaml", "setting conditions", &conditions);
    between("template.yaml", "setting variables", &variables);
    between("template.yaml", "secret policies", &policies);
}

/// Where a policy is made of a value, it has to be of the form that the policy assumes.
fn place(row: &Row) -> Option<&'static str> {
    match row.name {
        "LOGFERRY_STORE" => Some(
            "    AllowedPattern: '|s3://[0-9A-Za-z._-]+(/[0-9A-Za-z._=-]([0-9A-Za-z._=/-]*[0-9A-Za-z._=-])?)?|https?://[^/]+/([0-9]+|queue)/[\\w.-]+|(file://)?/.+'
    ConstraintDescription: s3://bucket/prefix without a slash at its end, the address of a queue, a folder, or nothing
",
        ),
        "LOGFERRY_STORE_BUCKET" => Some(
            "    AllowedPattern: '|s3://[0-9A-Za-z._-]+(/[0-9A-Za-z._=-]([0-9A-Za-z._=/-]*[0-9A-Za-z._=-])?)?'
    ConstraintDescription: s3://bucket/prefix without a slash at its end, or nothing
",
        ),
        _ => None,
    }
}

/// Where a policy or a rule depends on a word, no other may mean the same to the function; an empty one is the default.
fn words(row: &Row) -> Option<&'static str> {
    match row.name {
        "LOGFERRY_ELASTICSEARCH_SIGNING" => Some("    AllowedValues: [auto, es, aoss, none, '']\n"),
        "LOGFERRY_OWN_METRICS" => Some("    AllowedValues: ['true', 'false', '']\n"),
        "LOGFERRY_REMOTE_WRITE_SIGN" => Some("    AllowedValues: [auto, 'true', 'false', '']\n"),
        _ => None,
    }
}

const SECRET_ARN: &str = "    AllowedPattern: '|arn:[^:]+:secretsmanager:[^:]+:[^:]+:secret:[^:]+(:[^:]*){0,3}|arn:[^:]+:ssm:[^:]+:[^:]+:parameter/[\\w./-]+'
    ConstraintDescription: 'the ARN of a Secrets Manager secret, perhaps with a field as :field:: behind it, that of a parameter in Parameter Store, or nothing'
";

#[test]
fn template_takes_each_form_of_a_place() {
    let pattern = |lines: &str| {
        let pattern = lines.split('\'').nth(1).unwrap();
        regex::Regex::new(&format!("^(?:{pattern})$")).unwrap()
    };
    let secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:logferry-AbCdEf";
    let parameter = "arn:aws:ssm:eu-west-1:123456789012:parameter/logferry/datadog.key_1";
    let of = |variable| Settings::rows().into_iter().flat_map(|(_, rows)| rows).find(|row| row.name == variable);
    let store = pattern(place(&of("LOGFERRY_STORE").unwrap()).unwrap());
    let bucket = pattern(place(&of("LOGFERRY_STORE_BUCKET").unwrap()).unwrap());
    let secrets = pattern(SECRET_ARN);
    for (form, legal, illegal) in [
        (
            &secrets,
            vec!["", secret, &format!("{secret}:field::"), &format!("{secret}::AWSPREVIOUS:"), parameter],
            vec!["logferry", &format!("{parameter}:3"), &format!("{parameter}*"), "arn:aws:ssm:eu-west-1:1:document/x"],
        ),
        (
            &store,
            vec![
                "",
                "s3://b",
                "s3://b/p",
                "s3://b/p/q",
                "https://sqs.eu-west-1.amazonaws.com/1/q_1-a.fifo",
                "/mnt/kept",
            ],
            vec![
                "b",
                "s3://",
                "s3://b/",
                "s3://b/p/",
                "s3://b//p",
                "s3://b/a+b",
                "https://b.s3.amazonaws.com/p",
                "https://sqs.eu-west-1.amazonaws.com/1/q?a=b",
                "kept/here",
            ],
        ),
        (&bucket, vec!["", "s3://b", "s3://b/p"], vec!["s3://b/", "https://b", "/mnt/kept"]),
    ] {
        for place in legal {
            assert!(form.is_match(place), "{form}: {place}");
        }
        for place in illegal {
            assert!(!form.is_match(place), "{form}: {place}");
        }
    }
}

#[test]
fn template_sets_nothing_that_is_taken_for_misspelt() {
    let template = std::fs::read_to_string(root().join("template.yaml")).unwrap();
    let names = template.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
    let ours: Vec<_> = names.filter(|name| name.len() > 9 && name.starts_with("LOGFERRY_")).collect();
    assert!(ours.len() > 50, "{ours:?}");
    assert_eq!(misspelt(ours.into_iter()), [] as [&str; 0]);
    let wrong = ["LOGFERRY_REDACT_EMAILS", "LOGFERRY_STORE_BUKET", "LOGFERRY_TAGS_EU", "LOGFERRY_"];
    let others = ["LOGFERRY_PROMETHEUS_URL_EU", "LOGFERRY_REDACT_EMAIL", "LOGFERRY_STORE_BUCKET", "LOGFERRY", "DD_SIT"];
    assert_eq!(misspelt(wrong.into_iter().chain(others)), wrong);
}

#[test]
fn template_leaves_time_to_send() {
    let template = std::fs::read_to_string(root().join("template.yaml")).unwrap();
    let timeout = template.split("\n  Timeout:\n").nth(1).unwrap();
    let min = timeout.lines().find_map(|line| line.trim().strip_prefix("MinValue: ")).unwrap();
    let reserve = logferry::forwarder::Sending::default().reserve;
    assert!(Duration::from_secs(min.parse().unwrap()) >= reserve * 3, "{min}");
}

#[test]
fn template_has_each_parameter_once() {
    let template = std::fs::read_to_string(root().join("template.yaml")).unwrap();
    let parameters = template.split("\nParameters:\n").nth(1).unwrap().split("\nRules:\n").next().unwrap();
    let is_name = |line: &&str| line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':');
    let names: Vec<_> = parameters.lines().filter(is_name).collect();
    let distinct: BTreeSet<_> = names.iter().collect();
    // "200 parameters" is what CloudFormation takes.
    assert!((40..=200).contains(&names.len()), "{}", names.len());
    assert_eq!(distinct.len(), names.len(), "{names:?}");
}

/// A metric that nobody writes never wakes anybody.
#[test]
fn template_has_alarms_of_metrics_that_are_written() {
    let report = Report {
        outcome: &Outcome { redriven: vec![Redriven::default()], ..Outcome::default() },
        function_name: "logferry",
        now: Timestamp::from_millis(0),
        took: Duration::ZERO,
        left: Duration::ZERO,
        cold_start: false,
        metrics: true,
    };
    let line: serde_json::Value = serde_json::from_str(&report.line()).unwrap();
    let written = &line["_aws"]["CloudWatchMetrics"][0];
    let names: Vec<_> = written["Metrics"].as_array().unwrap().iter().map(|metric| &metric["Name"]).collect();
    let own = format!("Namespace: {}\n", written["Namespace"].as_str().unwrap());
    let dimension =
        format!("Dimensions: [{{Name: {}, Value: !Ref Function}}]", written["Dimensions"][0][0].as_str().unwrap());
    let template = std::fs::read_to_string(root().join("template.yaml")).unwrap();
    let mut alarms = 0;
    for metric in template.split(&own).skip(1) {
        let mut lines = metric.lines().map(str::trim);
        let name = lines.next().and_then(|line| line.strip_prefix("MetricName: ")).unwrap();
        assert!(names.iter().any(|written| **written == name), "{name} is none of {names:?}");
        assert_eq!(lines.next().unwrap(), dimension, "{name}");
        alarms += 1;
    }
    assert!(alarms > 1, "{own}");
}

#[test]
fn template_grants_no_more_than_is_used() {
    let template = std::fs::read_to_string(root().join("template.yaml")).unwrap();
    for forbidden in ["Resource: '*'", "Resource: \"*\"", "arn:aws:iam::aws:policy", "AdministratorAccess"] {
        assert!(!template.contains(forbidden), "{forbidden}");
    }
    // Beside those of the parameter, only what a VPC takes.
    let named: Vec<_> = template.split(":iam::aws:policy/").skip(1).filter_map(|rest| rest.lines().next()).collect();
    assert_eq!(named, ["service-role/AWSLambdaVPCAccessExecutionRole"]);
    assert_eq!(template.matches("AWS::Lambda::Permission").count(), 2);
    assert!(template.contains("SourceAccount: !Ref AWS::AccountId"));
    assert_eq!(template.matches("      SourceArn: ").count(), 2);
}
