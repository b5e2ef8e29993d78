//! Every line of `fixtures/lines`, through `logferry explain --why`.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};

/// When a line was written that doesn't say otherwise.
const WRITTEN: i64 = 1_700_000_000_123;

/// What `explain --why` prints for log events.
fn explain(events: &[Value]) -> Vec<Value> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_logferry"))
        .args(["explain", "--why"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = events.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
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
            .map(|case| json!({ "message": case["message"], "timestamp": case.get("timestamp").unwrap_or(&json!(WRITTEN)) }))
            .collect();
        let found = explain(&events);
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
