//! Two copies of the forwarder at once, and batches that come again: sums stay true.

use std::collections::HashSet;
use std::thread;

use super::millisecond;
use super::receiver::Receiver;
use crate::common::lambda::{Lambda, bootstrap};
use crate::ferry::Events;

/// Log streams of one function.
const STREAMS: [&str; 3] = [
    "2026/11/20/[$LATEST]15909c2fa6421cb147e9d82215066c24",
    "2026/11/20/[$LATEST]2f0e8d1c5b7a49638a1d0c9e7f6b5a43",
    "2026/11/20/[$LATEST]3c1b2a0f9e8d7c6b5a49382716050f4e",
];

/// Invocations in each batch: the first of a copy has many, and later ones have few, so that a
/// receiver that takes the first total of a series for where it began is found out.
const INVOCATIONS: [u32; 24] = [90, 70, 1, 2, 1, 1, 5, 1, 40, 3, 1, 1, 1, 2, 30, 1, 1, 1, 7, 1, 1, 100, 1, 1];

/// Log events for Lambda, and what they come to.
struct Traffic {
    function: String,
    payloads: Vec<String>,
    truth: Vec<(&'static str, f64)>,
}

impl Traffic {
    /// Batches of one function's three streams over some seconds: two of a second, both of one stream.
    fn of(function: String) -> Self {
        Self::every(500, function)
    }

    /// The same with so many milliseconds from one to the next.
    fn every(millis: i64, function: String) -> Self {
        let start = Events::of(&function).start;
        let (mut truth, mut met) = (Truth::default(), HashSet::new());
        let payloads = INVOCATIONS.iter().zip(0_u32..).map(|(invocations, place)| {
            let mut events = Events { start: start + i64::from(place) * millis, ..Events::of(&function) };
            // Once in a thousand two batches of one second would meet.
            let id = |events: &Events| events.clone().at(0, "").id(0);
            while !met.insert((events.start / 1000, millisecond(&id(&events)))) {
                events.start += 1;
            }
            for number in 0..*invocations {
                events = truth.invocation(events, place, number);
            }
            let stream = usize::try_from(place / 2).unwrap() % STREAMS.len();
            events.event_of(STREAMS[stream])
        });
        let payloads = payloads.collect();
        Self { function, payloads, truth: truth.into_list() }
    }

    /// Has two copies send all batches at the same time, alternating.
    fn send(&self, copies: &[Lambda; 2]) {
        thread::scope(|scope| {
            for (first, copy) in copies.iter().enumerate() {
                scope.spawn(move || {
                    for payload in self.payloads.iter().skip(first).step_by(2) {
                        invoke(copy, payload);
                    }
                });
            }
        });
    }

    /// Compares each sum with the truth: `query` makes one of a series' name and its selector.
    fn check(&self, receiver: &Receiver, what: &str, query: impl Fn(&str, &str) -> String) {
        for (name, truth) in &self.truth {
            let (name, more) = name.split_once(',').unwrap_or((name, ""));
            let query = query(name, &format!("{{function_name=\"{}\",{more}}}", self.function));
            let found = receiver.number(&query);
            assert!(
                found.is_some_and(|found| (found - truth).abs() < 1e-9 * truth),
                "{what}: {query}: {found:?}, not {truth}"
            );
        }
    }

    /// Prometheus guesses how totals rise: only what they have come to is exact there.
    fn check_totals(&self, receiver: &Receiver, what: &str) {
        self.check(receiver, what, |name, selector| format!("sum(last_over_time({name}{selector}[1h]))"));
        if !receiver.is_prometheus() {
            self.check(receiver, what, |name, selector| format!("sum(increase({name}{selector}[1h]))"));
        }
    }

    fn check_deltas(&self, receiver: &Receiver, what: &str) {
        self.check(receiver, what, |name, selector| format!("sum(sum_over_time({name}_delta{selector}[1h]))"));
    }
}

/// What all batches come to.
#[derive(Default)]
struct Truth {
    invocations: f64,
    errors: f64,
    below: f64,
    seconds: f64,
    orders: f64,
    latency: f64,
}

impl Truth {
    /// One more invocation, with custom metrics of whole seconds.
    fn invocation(&mut self, events: Events, batch: u32, number: u32) -> Events {
        let (millis, failed, orders) = (number * 7 % 400 + 1, number.is_multiple_of(5), 1000 - 40 * batch);
        self.invocations += 1.0;
        self.errors += f64::from(u8::from(failed));
        self.below += f64::from(u8::from(millis <= 100));
        self.seconds += f64::from(millis) / 1000.0;
        self.orders += f64::from(orders);
        self.latency += f64::from(millis);
        let (after, second) = (i64::from(number) * 5, events.start / 1000);
        let id = format!("RequestId: 47c99d56-1b64-45ca-{batch:04x}-{number:012x}");
        let status = if failed { "\tStatus: error" } else { "" };
        events
            .at(after, &format!("MONITORING|{second}|{orders}|count|orders|#shop:berlin"))
            .at(after + 1, &format!("MONITORING|{second}|{millis}|histogram|latency|"))
            .at(after + 2, &format!("REPORT {id}\tDuration: {millis}.00 ms\tBilled Duration: {millis} ms{status}\n"))
    }

    fn into_list(self) -> Vec<(&'static str, f64)> {
        vec![
            ("aws_lambda_invocations_total", self.invocations),
            ("aws_lambda_errors_total", self.errors),
            ("aws_lambda_duration_seconds_count", self.invocations),
            ("aws_lambda_duration_seconds_bucket,le=\"0.1\"", self.below),
            ("aws_lambda_duration_seconds_sum", self.seconds),
            ("orders_total", self.orders),
            ("latency_count", self.invocations),
            ("latency_sum", self.latency),
        ]
    }
}

fn copy(receiver: &Receiver, temporality: &'static str, version: &'static str, log_stream: &str) -> Lambda {
    let start = bootstrap().set("LOGFERRY_BACKENDS", receiver.backend()).set("AWS_LAMBDA_LOG_STREAM_NAME", log_stream);
    let settings = receiver.settings(temporality, version);
    settings.into_iter().fold(start, |start, (name, value)| start.set(name, value)).start()
}

fn two_copies(receiver: &Receiver, temporality: &'static str, version: &'static str) -> [Lambda; 2] {
    ["2026/11/20/[$LATEST]aaaa0000aaaa0000aaaa0000aaaa0000", "2026/11/20/[$LATEST]bbbb1111bbbb1111bbbb1111bbbb1111"]
        .map(|log_stream| copy(receiver, temporality, version, log_stream))
}

fn invoke(copy: &Lambda, payload: &str) {
    let invocation = copy.invoke(payload);
    assert_eq!(invocation.notes(), [] as [&str; 0], "{}", invocation.summary);
    for account in invocation.summary["backends"].as_object().unwrap().values() {
        assert_eq!(account["dropped"], serde_json::json!({}), "{}", invocation.summary);
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn two_copies_with_totals() {
    for (receiver, version) in [
        (Receiver::of_text("VICTORIAMETRICS"), "1"),
        (Receiver::of_remote_write("VICTORIAMETRICS"), "1"),
        (Receiver::of_remote_write("VICTORIAMETRICS"), "2"),
        (Receiver::of_remote_write("PROMETHEUS"), "1"),
        (Receiver::of_remote_write("PROMETHEUS"), "2"),
        (Receiver::of_remote_write("PROMETHEUS_2_0"), "2"),
    ] {
        let Some(receiver) = receiver else { return };
        let traffic = Traffic::of(receiver.function(&format!("two-cumulative-{version}")));
        traffic.send(&two_copies(&receiver, "cumulative", version));
        traffic.check_totals(&receiver, "two copies");
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn two_copies_with_deltas() {
    for (receiver, version) in [
        (Receiver::of_text("VICTORIAMETRICS"), "1"),
        (Receiver::of_remote_write("VICTORIAMETRICS"), "1"),
        (Receiver::of_remote_write("PROMETHEUS_OUT_OF_ORDER"), "1"),
        (Receiver::of_remote_write("PROMETHEUS_OUT_OF_ORDER"), "2"),
        (Receiver::of_remote_write("PROMETHEUS_2_0"), "2"),
    ] {
        let Some(receiver) = receiver else { return };
        let traffic = Traffic::of(receiver.function(&format!("two-delta-{version}")));
        traffic.send(&two_copies(&receiver, "delta", version));
        traffic.check_deltas(&receiver, "two copies");
    }
}

/// Each batch comes to the other copy, too, and then to both once more.
#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn deltas_that_come_again_change_nothing() {
    for (receiver, version) in [
        (Receiver::of_text("VICTORIAMETRICS_DEDUP"), "1"),
        (Receiver::of_remote_write("VICTORIAMETRICS_DEDUP"), "1"),
        (Receiver::of_remote_write("PROMETHEUS_OUT_OF_ORDER"), "1"),
        (Receiver::of_remote_write("PROMETHEUS_2_0"), "2"),
    ] {
        let Some(receiver) = receiver else { return };
        let traffic = Traffic::of(receiver.function("again-delta"));
        let [one, other] = two_copies(&receiver, "delta", version);
        let copies = [one, other];
        traffic.send(&copies);
        traffic.check_deltas(&receiver, "before");
        let [one, other] = copies;
        let copies = [other, one];
        traffic.send(&copies);
        traffic.send(&copies);
        traffic.check_deltas(&receiver, "after");
    }
}

/// A receiver that takes no old samples refuses what comes again, and counts nothing twice.
#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn deltas_that_come_again_are_refused_by_prometheus() {
    let Some(receiver) = Receiver::of_remote_write("PROMETHEUS") else { return };
    // What two batches have of one second may not be in order.
    let traffic = Traffic::every(1000, receiver.function("again-refused"));
    let copy = copy(&receiver, "delta", "1", STREAMS[0]);
    for payload in &traffic.payloads {
        invoke(&copy, payload);
    }
    traffic.check_deltas(&receiver, "before");
    let invocation = copy.invoke(&traffic.payloads[0]);
    assert!(invocation.count("/backends/remote_write/dropped/refused") > 0, "{}", invocation.summary);
    traffic.check_deltas(&receiver, "after");
}

/// The copy that counted a batch knows it again.
#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn totals_of_batches_that_come_again() {
    for (receiver, version) in [
        (Receiver::of_text("VICTORIAMETRICS"), "1"),
        (Receiver::of_remote_write("VICTORIAMETRICS"), "1"),
        (Receiver::of_remote_write("PROMETHEUS"), "1"),
        (Receiver::of_remote_write("PROMETHEUS_2_0"), "2"),
    ] {
        let Some(receiver) = receiver else { return };
        let traffic = Traffic::of(receiver.function("again-cumulative"));
        let copies = two_copies(&receiver, "cumulative", version);
        traffic.send(&copies);
        traffic.send(&copies);
        traffic.check_totals(&receiver, "again");
    }
}
