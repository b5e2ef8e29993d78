use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Outcome, Redriven};
use crate::ledger::Account;
use crate::model::Timestamp;
use crate::request::Weight;

/// What one invocation says of itself, in one line: the summary, and beside it
/// what makes CloudWatch read metrics out of it (the embedded metric format).
///
/// ```text
/// {"kind":"summary","received":13,…,"backends":{"datadog":{"sent":21,…}},"function_name":"logferry",
///  "sent":21,"stored":0,"filtered":0,"dropped":0,"requests":2,"retries":0,"bytes":1804,"latency":48,"duration":61,
///  "deadline_left":59012,"oldest_event_age":5120,"cold_start":1,"datadog.sent":21,…,"_aws":{"Timestamp":…,"CloudWatchMetrics":[…]}}
/// ```
///
/// Durations are in ms: `latency` is that of the slowest answer. A redrive also has `left` and `set_aside`, the items that
/// are still stored and those that were set aside.
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

/// What is told of a redrive alone: items that are still stored, and those that only a person has sent again.
const REDRIVE: [&str; 2] = ["left", "set_aside"];

impl Report<'_> {
    /// The line.
    pub fn line(&self) -> String {
        // A map keeps no order of its own: the summary's comes first, as people read it.
        let mut line = serde_json::to_string(&self.outcome.ledger).unwrap_or_default();
        let mut more = Map::new();
        more.extend(self.outcome.of_redrive());
        if self.metrics {
            self.emf(&mut more);
        }
        if let (Some(end), Ok(more), false) = (line.rfind('}'), serde_json::to_string(&more), more.is_empty()) {
            line.replace_range(end.., &format!(",{}", more.trim_start_matches('{')));
        }
        line
    }

    fn emf(&self, more: &mut Map<String, Value>) {
        let ledger = &self.outcome.ledger;
        let sum = |of: fn(&Account) -> u64| ledger.backends.iter().map(of).sum::<u64>();
        let age = ledger.oldest.map_or(0, |oldest| self.now.millis().saturating_sub(oldest.millis()).max(0));
        let sum_redriven =
            |of: fn(&Redriven) -> Weight| self.outcome.redriven.iter().map(|one| of(one).total()).sum::<u64>();
        for (name, value) in [
            ("sent", sum(|account| account.sent.total())),
            ("stored", sum(|account| account.stored.total())),
            ("filtered", sum(|account| account.filtered.total())),
            ("dropped", sum(Account::dropped_total)),
            ("redriven", sum_redriven(|redriven| redriven.sent)),
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
        // The summary has this one before, unless it is 0: a key that is there twice is damage to some readers.
        if ledger.damaged == 0 {
            more.insert("damaged".to_owned(), 0.into());
        }
        let mut metrics: Vec<_> = UNITS.iter().map(|(name, unit)| json!({ "Name": name, "Unit": unit })).collect();
        if !self.outcome.redriven.is_empty() {
            let values = [sum_redriven(|redriven| redriven.left), sum_redriven(|redriven| redriven.set_aside)];
            for (name, value) in REDRIVE.into_iter().zip(values) {
                metrics.push(json!({ "Name": name, "Unit": "Count" }));
                more.insert(name.to_owned(), value.into());
            }
        }
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
    use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
    use serde_json::value::RawValue;

    use super::*;
    use crate::ledger::{Ledger, Reason};

    /// The keys of an object as they stand, and what they hold.
    struct Entries(Vec<(String, Box<RawValue>)>);

    impl<'de> Deserialize<'de> for Entries {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Each;

            impl<'de> Visitor<'de> for Each {
                type Value = Entries;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                    let mut entries = Vec::new();
                    while let Some(entry) = map.next_entry()? {
                        entries.push(entry);
                    }
                    Ok(Entries(entries))
                }
            }

            deserializer.deserialize_map(Each)
        }
    }

    fn assert_no_key_twice(json: &str) {
        let Ok(Entries(entries)) = serde_json::from_str(json) else { return };
        let mut keys = std::collections::BTreeSet::new();
        for (key, value) in entries {
            assert_no_key_twice(value.get());
            assert!(keys.insert(key.clone()), "{key} is there twice: {json}");
        }
    }

    fn report(outcome: &Outcome, metrics: bool) -> Report<'_> {
        Report {
            outcome,
            function_name: "logferry",
            now: Timestamp::from_millis(6_000),
            took: Duration::from_millis(61),
            left: Duration::from_secs(59),
            cold_start: true,
            metrics,
        }
    }

    #[test]
    fn no_key_is_there_twice_whatever_is_counted() {
        let one = Weight { logs: 1, metrics: 1 };
        for count in [0, 1] {
            let weight = if count == 0 { Weight::default() } else { one };
            let mut ledger = Ledger::new(["datadog", "loki:eu"].into_iter());
            ledger.made = weight;
            for counter in [
                &mut ledger.received,
                &mut ledger.consumed,
                &mut ledger.control_messages,
                &mut ledger.own_log_group,
                &mut ledger.damaged,
                &mut ledger.replaced,
                &mut ledger.metric_names_over_bound,
                &mut ledger.tags_over_bound,
                &mut ledger.inflated_bytes,
            ] {
                *counter = count;
            }
            for account in &mut ledger.backends {
                (account.sent, account.stored, account.filtered) = (weight, weight, weight);
                account.drop(Reason::Refused, weight);
                (account.requests, account.retries, account.bytes) = (count, count, count);
            }
            let redriven =
                Redriven { backend: "datadog".to_owned(), requests: count, sent: weight, ..Redriven::default() };
            let outcome = Outcome { ledger, redriven: vec![redriven], ..Outcome::default() };
            for metrics in [true, false] {
                let line = report(&outcome, metrics).line();
                assert_no_key_twice(&line);
                let line: Value = serde_json::from_str(&line).unwrap();
                assert_eq!(line["damaged"].as_u64(), (metrics || count > 0).then_some(count));
            }
        }
    }

    #[test]
    fn every_metric_that_is_named_is_there_and_none_twice() {
        let mut ledger = Ledger::new(["datadog", "loki:eu"].into_iter());
        ledger.oldest = Some(Timestamp::from_millis(1_000));
        ledger.made = Weight { logs: 4, metrics: 1 };
        ledger.backends[0].sent = Weight { logs: 4, metrics: 1 };
        ledger.backends[1].drop(Reason::Refused, Weight { logs: 4, metrics: 1 });
        ledger.backends[1].slowest = Duration::from_millis(48);
        let (left, set_aside) = (Weight { logs: 2, metrics: 3 }, Weight { logs: 7, metrics: 0 });
        let redriven = |backend: &str| Redriven { backend: backend.to_owned(), left, set_aside, ..Redriven::default() };
        let redriven = vec![redriven("datadog"), redriven("loki:eu")];
        let mut outcome = Outcome { ledger, redriven, ..Outcome::default() };
        let line = report(&outcome, true).line();
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
            ("left", 10),
            ("set_aside", 14),
        ] {
            assert_eq!(line[name], value, "{name}");
        }
        outcome.redriven.clear();
        let line: Value = serde_json::from_str(&report(&outcome, true).line()).unwrap();
        assert!(
            line["left"].is_null()
                && line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap().len() < names.len()
        );
        let quiet = report(&outcome, false).line();
        assert_eq!(quiet, serde_json::to_string(&outcome.ledger).unwrap());
    }
}
