use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Outcome;
use crate::ledger::Account;
use crate::model::Timestamp;

/// What one invocation says of itself, in one line: the summary, and beside it
/// what makes CloudWatch read metrics out of it (the embedded metric format).
///
/// ```text
/// {"kind":"summary","received":13,…,"backends":{"datadog":{"sent":21,…}},"function_name":"logferry",
///  "sent":21,"stored":0,"filtered":0,"dropped":0,"requests":2,"retries":0,"bytes":1804,"latency":48,"duration":61,
///  "deadline_left":59012,"oldest_event_age":5120,"cold_start":1,"datadog.sent":21,…,"_aws":{"Timestamp":…,"CloudWatchMetrics":[…]}}
/// ```
///
/// Durations are in ms: `latency` is that of the slowest answer.
///
/// Source: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What was done.
    pub outcome: &'a Outcome,
    /// Name of the function.
    pub function_name: &'a str,
    /// When it began.
    pub now: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// How much time was left.
    pub left: Duration,
    /// Whether it is the first of its process.
    pub cold_start: bool,
    /// Whether CloudWatch is to read metrics out of it.
    pub metrics: bool,
}

/// "A directive can have up to 100 metrics."
const MAX_METRICS: usize = 100;

/// Name of CloudWatch's namespace.
const NAMESPACE: &str = "logferry";

/// Names and units of what is told of the whole invocation.
const UNITS: [(&str, &str); 17] = [
    ("received", "Count"),
    ("logs", "Count"),
    ("metrics", "Count"),
    ("sent", "Count"),
    ("stored", "Count"),
    ("filtered", "Count"),
    ("dropped", "Count"),
    ("redriven", "Count"),
    ("damaged", "Count"),
    ("requests", "Count"),
    ("retries", "Count"),
    ("bytes", "Bytes"),
    ("latency", "Milliseconds"),
    ("duration", "Milliseconds"),
    ("deadline_left", "Milliseconds"),
    ("oldest_event_age", "Milliseconds"),
    ("cold_start", "Count"),
];

impl Report<'_> {
    /// The line.
    pub fn line(&self) -> String {
        // A map keeps no order of its own: the summary's comes first, as people read it.
        let mut line = serde_json::to_string(&self.outcome.ledger).unwrap_or_default();
        let mut more = Map::new();
        self.redriven(&mut more);
        if self.metrics {
            self.emf(&mut more);
        }
        if let (Some(end), Ok(more), false) = (line.rfind('}'), serde_json::to_string(&more), more.is_empty()) {
            line.replace_range(end.., &format!(",{}", more.trim_start_matches('{')));
        }
        line
    }

    fn redriven(&self, more: &mut Map<String, Value>) {
        if self.outcome.redriven.is_empty() {
            return;
        }
        let all = self.outcome.redriven.iter().map(|redriven| {
            json!({
                "backend": redriven.backend,
                "requests": redriven.requests,
                "sent": redriven.sent.total(),
                "left": redriven.left.total(),
                "set_aside": redriven.set_aside.total(),
                "dropped": redriven.dropped.total(),
                "damaged": redriven.damaged,
            })
        });
        more.insert("redrive".to_owned(), all.collect());
    }

    fn emf(&self, more: &mut Map<String, Value>) {
        let ledger = &self.outcome.ledger;
        let sum = |of: fn(&Account) -> u64| ledger.backends.iter().map(of).sum::<u64>();
        let age = ledger.oldest.map_or(0, |oldest| self.now.millis().saturating_sub(oldest.millis()).max(0));
        let redriven: u64 = self.outcome.redriven.iter().map(|redriven| redriven.sent.total()).sum();
        for (name, value) in [
            ("sent", sum(|account| account.sent.total())),
            ("stored", sum(|account| account.stored.total())),
            ("filtered", sum(|account| account.filtered.total())),
            ("dropped", sum(Account::dropped_total)),
            ("redriven", redriven),
            ("damaged", ledger.damaged),
            ("requests", sum(|account| account.requests)),
            ("retries", sum(|account| account.retries)),
            ("bytes", sum(|account| account.bytes)),
            ("latency", ledger.backends.iter().map(|account| millis(account.slowest)).max().unwrap_or_default()),
            ("duration", millis(self.took)),
            ("deadline_left", millis(self.left)),
            ("oldest_event_age", age.unsigned_abs()),
            ("cold_start", u64::from(self.cold_start)),
        ] {
            more.insert(name.to_owned(), value.into());
        }
        let mut metrics: Vec<_> = UNITS.iter().map(|(name, unit)| json!({ "Name": name, "Unit": unit })).collect();
        for account in &ledger.backends {
            for (what, value) in [
                ("sent", account.sent.total()),
                ("stored", account.stored.total()),
                ("dropped", account.dropped_total()),
                ("retries", account.retries),
            ] {
                let name = format!("{}.{what}", account.backend);
                metrics.push(json!({ "Name": name, "Unit": "Count" }));
                more.insert(name, value.into());
            }
        }
        metrics.truncate(MAX_METRICS);
        more.insert("function_name".to_owned(), self.function_name.into());
        let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [["function_name"]], "Metrics": metrics });
        more.insert("_aws".to_owned(), json!({ "Timestamp": self.now.millis(), "CloudWatchMetrics": [directive] }));
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Ledger, Reason};
    use crate::request::Weight;

    #[test]
    fn every_metric_that_is_named_is_there_and_none_twice() {
        let mut ledger = Ledger::new(["datadog", "loki:eu"].into_iter());
        ledger.oldest = Some(Timestamp::from_millis(1_000));
        ledger.made = Weight { logs: 4, metrics: 1 };
        ledger.backends[0].sent = Weight { logs: 4, metrics: 1 };
        ledger.backends[1].drop(Reason::Refused, Weight { logs: 4, metrics: 1 });
        ledger.backends[1].slowest = Duration::from_millis(48);
        let outcome = Outcome { ledger, ..Outcome::default() };
        let report = Report {
            outcome: &outcome,
            function_name: "logferry",
            now: Timestamp::from_millis(6_000),
            took: Duration::from_millis(61),
            left: Duration::from_secs(59),
            cold_start: true,
            metrics: true,
        };
        let line = report.line();
        assert!(line.starts_with(r#"{"kind":"summary","received":0"#), "{line}");
        let line: Value = serde_json::from_str(&line).unwrap();
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(
            (&directive["Namespace"], &directive["Dimensions"]),
            (&json!("logferry"), &json!([["function_name"]]))
        );
        let metrics = directive["Metrics"].as_array().unwrap();
        let names: std::collections::BTreeSet<_> =
            metrics.iter().map(|metric| metric["Name"].as_str().unwrap()).collect();
        assert_eq!(names.len(), metrics.len());
        for name in &names {
            assert!(line[*name].is_u64(), "{name} is {}", line[*name]);
        }
        for (name, value) in [
            ("sent", 5),
            ("dropped", 5),
            ("loki:eu.dropped", 5),
            ("oldest_event_age", 5000),
            ("latency", 48),
            ("cold_start", 1),
        ] {
            assert_eq!(line[name], value, "{name}");
        }
        let quiet = Report { metrics: false, ..report }.line();
        assert_eq!(quiet, serde_json::to_string(&outcome.ledger).unwrap());
    }
}
