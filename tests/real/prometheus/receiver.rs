//! Where series go, and how they are read back.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::ferry::now;
use crate::servers::{eventually, get, server};

/// A server, and the backend that sends to it.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    backend: &'static str,
    address: String,
    server: &'static str,
}

/// All series of a function: name and labels, `instance` aside.
pub(super) type Stored = BTreeMap<Key, Vec<Samples>>;

pub(super) type Key = (String, BTreeMap<String, String>);

/// Of one instance: milliseconds since the epoch, and value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Samples {
    pub(super) instance: String,
    pub(super) points: Vec<(i64, f64)>,
}

impl Receiver {
    /// Text to a kind of `VictoriaMetrics`.
    pub(super) fn of_text(name: &'static str) -> Option<Self> {
        server(name).map(|address| Self { backend: "prometheus", address, server: name })
    }

    /// Remote write to any of them.
    pub(super) fn of_remote_write(name: &'static str) -> Option<Self> {
        server(name).map(|address| Self { backend: "remote_write", address, server: name })
    }

    pub(super) const fn backend(&self) -> &'static str {
        self.backend
    }

    /// A function's name that says who is sent to, so that no other test has it.
    pub(super) fn function(&self, rest: &str) -> String {
        format!("{}-{rest}", self.backend)
    }

    /// The settings to send there.
    pub(super) fn settings(&self, temporality: &'static str, version: &'static str) -> Vec<(&'static str, &str)> {
        match self.backend {
            "prometheus" => {
                vec![("LOGFERRY_PROMETHEUS_URL", &self.address), ("LOGFERRY_PROMETHEUS_TEMPORALITY", temporality)]
            }
            _ => vec![
                ("PROMETHEUS_REMOTE_WRITE_URL", &self.address),
                ("LOGFERRY_REMOTE_WRITE_TEMPORALITY", temporality),
                ("LOGFERRY_REMOTE_WRITE_VERSION", version),
            ],
        }
    }

    /// Everything of a function, once there is anything.
    pub(super) fn stored(&self, function: &str) -> Stored {
        let all = format!("{{function_name=\"{function}\"}}");
        eventually("series", || {
            let stored = if self.is_prometheus() { self.query_all(&all) } else { self.export_all(&all) };
            (!stored.is_empty()).then_some(stored)
        })
    }

    /// The number that a query comes to, if it comes to one.
    pub(super) fn number(&self, query: &str) -> Option<f64> {
        self.flush();
        let result = self.query(query);
        let result = result.as_array().unwrap();
        assert!(result.len() < 2, "{query}: {result:?}");
        result.first().map(|only| number(&only["value"][1]))
    }

    /// The versions of remote write that may be set.
    pub(super) fn versions(&self) -> &[&'static str] {
        if self.server == "PROMETHEUS_2_0" { &["2"] } else { &["1", "2"] }
    }

    pub(super) fn is_prometheus(&self) -> bool {
        self.server.starts_with("PROMETHEUS")
    }

    /// What `VictoriaMetrics` has taken can be found only then.
    fn flush(&self) {
        if !self.is_prometheus() {
            get(&self.address, "/internal/force_flush", &[]);
        }
    }

    fn query(&self, query: &str) -> Value {
        // A little later than the newest sample.
        let time = (now() / 1000 + 2).to_string();
        let response = get(&self.address, "/api/v1/query", &[("query", query), ("time", &time)]);
        serde_json::from_slice::<Value>(&response.body).unwrap()["data"]["result"].take()
    }

    fn query_all(&self, all: &str) -> Stored {
        let mut stored = Stored::new();
        for series in self.query(&format!("{all}[1h]")).as_array().unwrap() {
            let points = series["values"].as_array().unwrap();
            let points = points.iter().map(|point| (millis(&point[0]), number(&point[1]))).collect();
            add(&mut stored, &series["metric"], points);
        }
        stored
    }

    /// Every sample, those that are there twice too.
    fn export_all(&self, all: &str) -> Stored {
        self.flush();
        let end = (now() / 1000 + 3600).to_string();
        let mut stored = Stored::new();
        for series in get(&self.address, "/api/v1/export", &[("match[]", all), ("start", "0"), ("end", &end)]).lines() {
            let times = series["timestamps"].as_array().unwrap().iter().map(|time| time.as_i64().unwrap());
            let values = series["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap());
            add(&mut stored, &series["metric"], times.zip(values).collect());
        }
        stored
    }
}

fn add(stored: &mut Stored, metric: &Value, points: Vec<(i64, f64)>) {
    let mut labels: BTreeMap<String, String> = serde_json::from_value(metric.clone()).unwrap();
    let (name, instance) = (labels.remove("__name__").unwrap(), labels.remove("instance").unwrap());
    stored.entry((name, labels)).or_default().push(Samples { instance, points });
}

/// Prometheus writes values as text.
fn number(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

/// And times in seconds.
#[expect(clippy::cast_possible_truncation, reason = "far below 2^53")]
fn millis(seconds: &Value) -> i64 {
    (seconds.as_f64().unwrap() * 1000.0).round() as i64
}
