//! The pipeline against its floor and against a yardstick.
//!
//! ```text
//! cargo bench --bench pipeline                       everything, as tables
//! cargo bench --bench pipeline -- --list             names of the pipelines
//! cargo bench --bench pipeline -- --once logferry-1  one of them once, for a profiler; all that counts is in `measured`
//! cargo bench --bench pipeline -- --duel logferry-6 floor-6  two of them alone, and the ratio
//! cargo bench --bench pipeline -- --times 100 encode the same, again and again; also a kind of line, by its name
//! cargo bench --bench pipeline -- --rounds 5         the times of all in five seconds: round, name, nanoseconds
//! cargo bench --bench pipeline -- --backends         every backend against its own floor, and some at once
//! cargo bench --bench pipeline -- --whole            the whole forwarder against its encoders alone: what the guarantee costs
//! cargo bench --bench pipeline -- --event bomb       an event on standard output: usual-1000, usual-10000, usual-80000, repetitive, bomb, bomb-of-8-mib
//! ```
//!
//! All pipelines run in turn, round after round, in one process after the other: where its memory lies makes each of them
//! some thousandths faster or slower than another. A time is that of the fastest run, a ratio the median of the rounds'.
//!
//! `RUSTFLAGS='-C target-cpu=haswell'` measures what `cargo lambda` builds for x86-64.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a benchmark stops where it is wrong")]

mod backends;
mod ferry;
mod floor;
mod lines;
mod rounds;
mod whole;
mod workload;
mod yardstick;

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use ferry::Ferry;
use floor::Floor;
use logferry::backend::decompress;
use logferry::request::{Destination, Endpoint, Request};
use rounds::Rounds;
use serde_json::Value;
use whole::Whole;
use workload::Delivery;
use yardstick::{Codec, Yardstick};

/// Log events of the delivery.
const EVENTS: usize = 10_000;

/// So many processes one after the other, and how many seconds pipelines are repeated in each.
const PROCESSES: u32 = 8;
const PIPELINES: u64 = 5;

/// How long each kind of line is repeated.
const LINES: Duration = Duration::from_millis(700);

/// How long two are compared.
const DUEL: Duration = Duration::from_secs(6);

/// The slow ones have their turn in every so many rounds.
const SELDOM: u32 = 4;

/// What is measured, by its name.
struct Case<'a> {
    name: &'static str,
    /// In how many rounds it has a turn: every one, every second, …
    every: u32,
    run: Box<dyn FnMut() -> usize + 'a>,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => tables(),
        ["--backends"] => backends::table(),
        ["--whole"] => whole::table(),
        ["--list"] => cases(&Delivery::usual(EVENTS)).iter().for_each(|case| println!("{}", case.name)),
        ["--once", name] => return run(name, 1),
        ["--duel", one, other] => duel(one, other),
        ["--rounds", seconds] if seconds.parse::<u64>().is_ok() => rounds(seconds.parse().unwrap()),
        ["--times", times, name] if times.parse::<usize>().is_ok() => return run(name, times.parse().unwrap()),
        ["--event", "usual-1000"] => print!("{}", Delivery::usual(1000).event),
        ["--event", "usual-10000"] => print!("{}", Delivery::usual(10_000).event),
        ["--event", "usual-80000"] => print!("{}", Delivery::usual(80_000).event),
        ["--event", "repetitive"] => print!("{}", Delivery::repetitive(300_000).event),
        ["--event", "bomb"] => print!("{}", Delivery::bomb(400, 1 << 20).event),
        ["--event", "bomb-of-8-mib"] => print!("{}", Delivery::bomb(100, 8 << 20).event),
        _ => {
            eprintln!(
                "expected nothing, --backends, --whole, --list, --once NAME, --duel NAME NAME, --rounds SECONDS, --times NUMBER NAME or --event NAME"
            );
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Everything that is compared.
fn cases(delivery: &Delivery) -> Vec<Case<'_>> {
    let (event, data) = (delivery.event.as_str(), delivery.data());
    let mut cases =
        vec![Case::new("inflate", 1, move || floor::inflate(data)), Case::new("scan", 1, || ferry::scan(event))];
    let measuring = Ferry::new(None);
    cases.push(Case::new("measure", 1, move || usize::try_from(measuring.measure(event)).unwrap()));
    for (name, floor_name, level) in
        [("encode", "", None), ("logferry-1", "floor-1", Some(1)), ("logferry-6", "floor-6", Some(6))]
    {
        let mut ferry = Ferry::new(level);
        if level.is_some() {
            let floor = Floor::of(&requests(&mut ferry, event));
            cases.push(Case::new(floor_name, 1, move || floor.run(data)));
        }
        let run = move || {
            let mut bytes = 0;
            ferry.forward(event, |request| bytes += request.body.len());
            bytes
        };
        cases.push(Case::new(name, 1, run));
    }
    for (name, level) in [("whole-1", 1), ("whole-6", 6)] {
        let mut whole = Whole::new(level);
        cases.push(Case::new(name, SELDOM, move || whole.handle(event)));
    }
    for (name, codec, level) in [
        ("yardstick-1", Codec::Miniz, 1),
        ("yardstick-6", Codec::Miniz, 6),
        ("yardstick-zlib-rs-1", Codec::ZlibRs, 1),
        ("yardstick-zlib-rs-6", Codec::ZlibRs, 6),
    ] {
        let yardstick = Yardstick::new(codec, level);
        cases.push(Case::new(name, SELDOM, move || yardstick.run(event)));
    }
    cases
}

impl<'a> Case<'a> {
    fn new(name: &'static str, every: u32, run: impl FnMut() -> usize + 'a) -> Self {
        Self { name, every, run: Box::new(run) }
    }

    /// A function of its own, so that a profiler can count it alone.
    #[inline(never)]
    fn measured(&mut self) -> usize {
        black_box((self.run)())
    }
}

fn run(name: &str, times: usize) -> ExitCode {
    if let Some(batch) = lines::batches().iter().find(|batch| batch.name == name) {
        batch.run(times);
        return ExitCode::SUCCESS;
    }
    let delivery = Delivery::usual(EVENTS);
    let mut cases = cases(&delivery);
    let Some(case) = cases.iter_mut().find(|case| case.name == name) else {
        eprintln!("no pipeline is called {name}: see --list");
        return ExitCode::FAILURE;
    };
    for _ in 0..times {
        println!("{EVENTS} events, {} bytes out", case.measured());
    }
    ExitCode::SUCCESS
}

fn tables() {
    let delivery = Delivery::usual(EVENTS);
    check(&delivery);
    describe(&delivery);
    let mut rounds = Rounds::default();
    for _ in 0..PROCESSES {
        let seconds = PIPELINES.to_string();
        let output = Command::new(std::env::current_exe().unwrap()).args(["--rounds", &seconds]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        rounds.append(&String::from_utf8(output.stdout).unwrap());
    }
    println!("{} rounds in {PROCESSES} processes\n", rounds.len());
    compare(&rounds);
    stages(&rounds);
    kinds();
}

fn rounds(seconds: u64) {
    let delivery = Delivery::usual(EVENTS);
    print!("{}", race(&mut cases(&delivery), Duration::from_secs(seconds)));
}

/// Compares two pipelines with each other, while nothing else runs.
fn duel(one: &str, other: &str) {
    let delivery = Delivery::usual(EVENTS);
    let mut cases = cases(&delivery);
    cases.retain(|case| [one, other].contains(&case.name));
    let rounds = race(&mut cases, DUEL);
    println!("{} rounds\n", rounds.len());
    println!("{one} takes {:.4} times as long as {other}", rounds.ratio(one, other));
}

/// Lets the cases run in turn until the time is over.
fn race(cases: &mut [Case<'_>], time: Duration) -> Rounds {
    let mut rounds = Rounds::default();
    let from = now();
    let mut round = 0;
    while now() - from < time {
        for case in cases.iter_mut().filter(|case| round % case.every == 0) {
            let start = now();
            case.measured();
            rounds.add(case.name, round, now() - start);
        }
        round += 1;
    }
    rounds
}

fn describe(delivery: &Delivery) {
    let mut plain = Ferry::new(None);
    let bytes: usize = requests(&mut plain, &delivery.event).iter().map(|request| request.body.len()).sum();
    println!(
        "{} log events: {} bytes of base64, {} inflated ({} for each), {bytes} sent before compression",
        delivery.events,
        delivery.data().len(),
        delivery.inflated,
        delivery.inflated / delivery.events,
    );
    for level in [1, 6] {
        let requests = requests(&mut Ferry::new(Some(level)), &delivery.event);
        let plain = Floor::of(&requests).plain();
        let bytes: usize = requests.iter().map(|request| request.body.len()).sum();
        let per_event = |bytes: usize| bytes / delivery.events;
        println!(
            "at gzip {level}: {} requests, for each event {} bytes, compressed {}",
            requests.len(),
            per_event(plain),
            per_event(bytes)
        );
    }
}

fn compare(rounds: &Rounds) {
    println!("{:<34} {:>9} {:>8} {:>8}", "pipeline", "ns/event", "ratio", "bar");
    for level in [1, 6] {
        let name = |pipeline: &str| format!("{pipeline}-{level}");
        let (floor, ferry) = (name("floor"), name("logferry"));
        let (under, over) = if level == 1 { (1.10, 8.0) } else { (1.05, 3.0) };
        row(&format!("floor, gzip {level}"), rounds.fastest(&floor), "");
        let ratio = against("floor", rounds.ratio(&ferry, &floor), Bar::AtMost(under));
        row(&format!("logferry, gzip {level}"), rounds.fastest(&ferry), &ratio);
        for (label, key, bar) in [
            ("yardstick as it comes: miniz, 6", "yardstick-6".to_owned(), Bar::AtLeast(over)),
            ("yardstick, miniz, same level", name("yardstick"), Bar::None),
            ("yardstick, zlib-rs, same level", name("yardstick-zlib-rs"), Bar::None),
        ] {
            row(label, rounds.fastest(&key), &against("logferry", rounds.ratio(&key, &ferry), bar));
        }
        println!();
    }
}

/// What a ratio has to keep to.
#[derive(Clone, Copy)]
enum Bar {
    AtLeast(f64),
    AtMost(f64),
    None,
}

fn against(what: &str, ratio: f64, bar: Bar) -> String {
    let bar = match bar {
        Bar::AtLeast(bar) => format!("{:>6}{bar:.2} {}", "≥ ", if ratio >= bar { "holds" } else { "MISSED" }),
        Bar::AtMost(bar) => format!("{:>6}{bar:.2} {}", "≤ ", if ratio <= bar { "holds" } else { "MISSED" }),
        Bar::None => String::new(),
    };
    format!("{ratio:>8.3}{bar}  of {what}")
}

fn row(label: &str, time: Duration, rest: &str) {
    println!("{label:<34} {:>9.1} {rest}", nanos(time, EVENTS));
}

fn stages(rounds: &Rounds) {
    println!("{:<34} {:>9} {:>9}", "up to and with this stage", "ns/event", "more");
    let mut before = Duration::ZERO;
    for (label, name) in [
        ("base64 and inflate", "inflate"),
        ("+ event, window, scan", "scan"),
        ("+ parse, pipeline", "measure"),
        ("+ encode, not compressed", "encode"),
        ("+ gzip 1", "logferry-1"),
    ] {
        let time = rounds.fastest(name);
        println!("{label:<34} {:>9.1} {:>9.1}", nanos(time, EVENTS), nanos(time, EVENTS) - nanos(before, EVENTS));
        before = time;
    }
    println!();
}

fn kinds() {
    const TIMES: usize = 8;

    println!("{:<34} {:>9} {:>9}", "kind of line", "ns/event", "bytes");
    for batch in lines::batches() {
        let (from, mut best) = (now(), Duration::MAX);
        while now() - from < LINES {
            let start = now();
            batch.run(TIMES);
            best = best.min(now() - start);
        }
        println!("{:<34} {:>9.1} {:>9}", batch.name, nanos(best, TIMES * lines::BATCH), batch.bytes());
    }
}

/// Says whether the yardstick makes what logferry makes.
fn check(delivery: &Delivery) {
    let (mut logs, mut points) = (Vec::new(), Vec::new());
    for request in requests(&mut Ferry::new(Some(1)), &delivery.event) {
        let plain = decompress(request.compression, &request.body).unwrap();
        let body: Value = serde_json::from_slice(&plain).unwrap();
        match &request.destination {
            Destination::Http(Endpoint { url, .. }) if url.ends_with("/api/v2/logs") => {
                logs.extend(texts(body.as_array().unwrap()));
            }
            Destination::Http(Endpoint { url, .. }) if url.ends_with("/api/v1/distribution_points") => {
                points.extend(flat(body["series"].as_array().unwrap()));
            }
            other => println!("the yardstick makes no request to {other:?}"),
        }
    }
    points.sort();
    for codec in [Codec::Miniz, Codec::ZlibRs] {
        let yardstick = Yardstick::new(codec, 1);
        let made = yardstick.make(&yardstick.read(&delivery.event));
        let mut others = flat(&made.series());
        others.sort();
        same("logs", &texts(&made.logs), &logs);
        same("metrics", &others, &points);
    }
}

fn same(what: &str, others: &[String], ours: &[String]) {
    if others.len() != ours.len() {
        println!("the yardstick makes {} {what}, logferry {}", others.len(), ours.len());
    }
    if let Some((other, our)) = others.iter().zip(ours).find(|(other, our)| other != our) {
        println!("the yardstick makes other {what}, as\n{other}\nand not\n{our}");
    }
}

/// Each as JSON, its keys in order.
fn texts(records: &[Value]) -> Vec<String> {
    records.iter().map(Value::to_string).collect()
}

/// A line for each value.
fn flat(series: &[Value]) -> Vec<String> {
    let mut flat = Vec::new();
    for one in series {
        for point in one["points"].as_array().unwrap() {
            for value in point[1].as_array().unwrap() {
                let value = value.as_f64().unwrap();
                flat.push(format!("{} {} {} {value:.12}", one["metric"], one["tags"], point[0]));
            }
        }
    }
    flat
}

fn requests(ferry: &mut Ferry, event: &str) -> Vec<Request> {
    let mut requests = Vec::new();
    ferry.forward(event, |request| requests.push(request));
    requests
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn nanos(time: Duration, events: usize) -> f64 {
    time.as_secs_f64() * 1e9 / events as f64
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn tokio_now() -> tokio::time::Instant {
    tokio::time::Instant::from_std(now())
}
