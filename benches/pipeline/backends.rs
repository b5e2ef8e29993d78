//! Every backend against its own floor, and several at once against the sum of each.

use std::time::Duration;

use super::ferry::Ferry;
use super::floor::Floor;
use super::rounds::Rounds;
use super::workload::Delivery;
use super::{EVENTS, nanos, now, requests};

/// How long each backend is repeated.
const TIME: Duration = Duration::from_secs(4);

/// Names, and settings with which each is measured.
const BACKENDS: [(&str, &[(&str, &str)]); 10] = [
    ("datadog", &[("DD_API_KEY", "0123456789abcdef")]),
    ("elasticsearch", &[("ELASTICSEARCH_URL", "http://127.0.0.1:1")]),
    ("guance", &[("ENV_DATAWAY", "http://127.0.0.1:1")]),
    ("loki", &[("LOKI_URL", "http://127.0.0.1:1")]),
    ("newrelic", &[("NEW_RELIC_LICENSE_KEY", "0123456789abcdef0123456789abcdef0123NRAL")]),
    ("otlp", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]),
    ("prometheus", &[("LOGFERRY_PROMETHEUS_URL", "http://127.0.0.1:1")]),
    ("remote_write", &[("PROMETHEUS_REMOTE_WRITE_URL", "http://127.0.0.1:1")]),
    ("splunk", &[("SPLUNK_HEC_URL", "http://127.0.0.1:1"), ("SPLUNK_HEC_TOKEN", "0123456789abcdef")]),
    ("stdout", &[]),
];

/// Backends that are measured together.
const TOGETHER: [&str; 3] = ["datadog", "loki", "otlp"];

/// Prints a row for each backend.
pub(crate) fn table() {
    let delivery = Delivery::usual(EVENTS);
    println!(
        "{:<16} {:>10} {:>12} {:>9} {:>11} {:>7}",
        "backend", "ns/event", "events/CPU s", "floor", "bytes/event", "ratio"
    );
    let mut sum = Duration::ZERO;
    for (name, settings) in BACKENDS {
        let mut ferry = Ferry::to(name, settings);
        let floor = Floor::of(&requests(&mut Ferry::to(name, settings), &delivery.event));
        let (rounds, bytes) = race(&mut ferry, &floor, &delivery);
        let (took, least) = (rounds.fastest("ferry"), rounds.fastest("floor"));
        if TOGETHER.contains(&name) {
            sum += took;
        }
        let ratio = rounds.ratio("ferry", "floor");
        println!(
            "{name:<16} {:>10.0} {:>12.0} {:>9.0} {:>11} {ratio:>7.3}{}",
            nanos(took, EVENTS),
            1e9 / nanos(took, EVENTS),
            nanos(least, EVENTS),
            bytes / EVENTS,
            if ratio <= 1.3 { "" } else { "  above 1.3" },
        );
    }
    let known: Vec<_> = BACKENDS.iter().filter(|(name, _)| TOGETHER.contains(name)).collect();
    let settings: Vec<_> = known.iter().flat_map(|(_, settings)| settings.iter().copied()).collect();
    let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
    let mut ferry = Ferry::to(&names.join(","), &settings);
    let took = fastest(|| {
        ferry.forward(&delivery.event, |_| {});
    });
    println!(
        "\n{} together: {:.0} ns/event, each by itself {:.0} in all, ratio {:.3}",
        names.join(", "),
        nanos(took, EVENTS),
        nanos(sum, EVENTS),
        took.as_secs_f64() / sum.as_secs_f64()
    );
}

/// Runs of a backend and of its floor, in turn, and the bytes that it sends.
fn race(ferry: &mut Ferry, floor: &Floor, delivery: &Delivery) -> (Rounds, usize) {
    let (mut rounds, mut bytes) = (Rounds::default(), 0);
    let (data, from) = (delivery.data(), now());
    for round in 0.. {
        if now() - from >= TIME {
            break;
        }
        let start = now();
        bytes = 0;
        ferry.forward(&delivery.event, |request| bytes += request.body.len());
        let middle = now();
        floor.run(data);
        rounds.add("floor", round, now() - middle);
        rounds.add("ferry", round, middle - start);
    }
    (rounds, bytes)
}

fn fastest(mut run: impl FnMut()) -> Duration {
    let (from, mut best) = (now(), Duration::MAX);
    while now() - from < TIME {
        let start = now();
        run();
        best = best.min(now() - start);
    }
    best
}
