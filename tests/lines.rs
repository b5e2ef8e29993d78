//! Every line of `fixtures/lines`, through `logferry explain --why`.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};

/// When a line was written that doesn't say otherwise.
const WRITTEN: i64 = 1_700_000_000_123;

/// What `explain --why` prints for what stands on standard input.
fn explain(input: String) -> Vec<Value> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_logferry"))
        .args(["explain", "--why"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Whether two fields are the same: numbers by value, and `partial` may be left out.
fn same(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(a), Value::Number(b)) => (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-9,
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            let keys =
                |map: &Map<String, Value>| map.keys().filter(|key| *key != "partial").cloned().collect::<Vec<_>>();
            keys(a) == keys(b) && keys(a).iter().all(|key| same(a.get(key).unwrap(), b.get(key).unwrap()))
        }
        (a, b) => a == b,
    }
}

/// What counts something: zero is as good as not there.
fn counts(derive: &Value) -> Map<String, Value> {
    let counts = derive.as_object().unwrap().iter().filter(|(_, count)| count.as_u64() != Some(0));
    counts.map(|(name, count)| (name.clone(), count.clone())).collect()
}

#[test]
fn every_line_is_what_it_should_be() {
    let mut checked = 0;
    let mut wrong = Vec::new();
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/lines")).unwrap() {
        let path = file.unwrap().path();
        let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let events: Vec<_> = cases
            .iter()
            .map(|case| {
                json!({ "message": case["message"], "timestamp": case.get("timestamp").unwrap_or(&json!(WRITTEN)) })
                    .to_string()
            })
            .collect();
        let found = explain(events.join("\n"));
        assert_eq!(found.len(), cases.len(), "one answer for each line of {}", path.display());
        for (case, found) in cases.iter().zip(found) {
            let expected = &case["expect"];
            let right = found["kind"] == expected["kind"]
                && same(&found["fields"], &expected["fields"])
                && counts(&found["derive"]) == counts(&expected["derive"]);
            if !right {
                wrong.push(format!(
                    "{} {}\n  line     {}\n  expected {expected}\n  found    {found}",
                    path.display(),
                    case["id"],
                    case["message"]
                ));
            }
            checked += 1;
        }
    }
    assert!(checked > 400, "{checked} lines");
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_log_event_is_read_as_the_function_reads_it() {
    let id = "5e1f007a-77aa-4c3d-9b20-6d0c00000000";
    for (line, kind) in [
        (r#"{"message":"hello \ud800 world","timestamp":1700000000123}"#, "app_text"),
        (r#"{"timestamp":1700000000123,"message":"hello \udc00 world"}"#, "app_text"),
        (r#""hello \ud800 world""#, "app_text"),
        ("{\"message\":\"hello\tworld\",\"timestamp\":1700000000123}", "app_text"),
        (r#"{"message":"hello \ud83d\ude00 world","timestamp":1700000000123}"#, "app_text"),
        (
            &format!(r#"{{ "message": "REPORT RequestId: {id}\u0009Duration: 1 ms", "timestamp": 1700000000123 }}"#),
            "report",
        ),
        (&format!(r#""REPORT RequestId: {id}\tDuration: 1 ms\tError Type: \ud800""#), "report"),
        (r#"{"message":"hello \ud800 world","timestamp":"2026-11-20T09:00:00.000Z"}"#, "app_json"),
        (r#"{"message":"hello \ud800 world","timestamp":1700000000123,"level":"INFO"}"#, "app_json"),
        (r#"{"message":"hello \ud800 world"}"#, "app_json"),
        (r#"{"message":"hello \ud800 world","timestamp":1700000000123"#, "app_text"),
    ] {
        let found = explain(line.to_owned());
        assert_eq!((found.len(), found[0]["kind"].as_str()), (1, Some(kind)), "{line}");
    }
}
