//! What the guarantee costs when all is well: the whole forwarder against the same encoders alone.

use std::time::Duration;

use logferry::aws::{Client, Places, Signer};
use logferry::delivery::{Http, HttpSettings, Transport, TransportError};
use logferry::env::Env;
use logferry::forwarder::{self, Invocation, Report};
use logferry::model::{self, Timestamp};
use logferry::request::{Request, Response};
use logferry::settings::Settings;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::ferry::{Ferry, forwarder};
use super::rounds::Rounds;
use super::workload::Delivery;
use super::{nanos, now};

/// How long each pair is repeated.
const TIME: Duration = Duration::from_secs(8);

/// Log events of a delivery: some of Lambda's are small.
const SIZES: [usize; 3] = [100, 1000, 10_000];

/// The forwarder as Lambda invokes it, with a store; its intake takes everything at once.
pub(crate) struct Whole {
    forwarder: forwarder::Forwarder<Accepting>,
    own: model::Forwarder,
    runtime: Runtime,
}

/// Takes everything at once.
#[derive(Debug)]
struct Accepting;

impl Transport for Accepting {
    async fn send(&self, request: &Request, _: Instant) -> Result<Response, TransportError> {
        std::hint::black_box(request);
        Ok(Response { status: 202, ..Response::default() })
    }
}

impl Whole {
    /// Sends to Datadog, compressed at a level.
    pub(crate) fn new(level: u32) -> Self {
        let level = level.to_string();
        let lookup = |name: &str| {
            let value = match name {
                "LOGFERRY_BACKENDS" => "datadog",
                "LOGFERRY_STORE" => "/nonexistent",
                "DD_API_KEY" => "00000000000000000000000000000000",
                "DD_COMPRESSION_LEVEL" => level.as_str(),
                _ => return None,
            };
            Some(value.to_owned())
        };
        let mut env = Env::new(&lookup);
        let settings = Settings::from_env(&mut env, None).unwrap();
        let signer = Signer::new(None, || std::time::SystemTime::UNIX_EPOCH);
        let http = Http::new(&HttpSettings::default(), &[], signer.clone(), &mut env).unwrap();
        assert_eq!(env.into_mistakes(), []);
        let client = Client::new(http.client().clone(), signer, Places::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { forwarder: settings.forwarder(Accepting, &client), own: forwarder(), runtime }
    }

    /// From the event to the summary; returns how long that is.
    pub(crate) fn handle(&mut self, event: &str) -> usize {
        let Self { forwarder, own, runtime } = self;
        let start = super::tokio_now();
        let time = Timestamp::from_millis(super::ferry::NOW);
        let invocation =
            Invocation { forwarder: own, now: time, start, deadline: start + Duration::from_mins(1), seed: 7 };
        let outcome = runtime.block_on(forwarder.handle(event, &invocation, &mut ()));
        assert_eq!(outcome.notes, []);
        let report = Report {
            outcome: &outcome,
            function_name: "logferry",
            now: time,
            took: start.elapsed(),
            left: Duration::from_secs(50),
            cold_start: false,
            metrics: true,
        };
        report.line().len()
    }
}

/// Prints a row for each size of a delivery and each level.
pub(crate) fn table() {
    println!("{:<22} {:>12} {:>12} {:>7}", "log events, level", "encode, ns", "whole, ns", "ratio");
    for size in SIZES {
        let delivery = Delivery::usual(size);
        for level in [1, 6] {
            let rounds = race(&mut Ferry::new(Some(level)), &mut Whole::new(level), &delivery);
            let ratio = rounds.ratio("whole", "bare");
            let (bare, whole) = (nanos(rounds.fastest("bare"), size), nanos(rounds.fastest("whole"), size));
            let bar = if ratio <= 1.03 { "" } else { "  above 1.03" };
            println!("{:<22} {bare:>12.1} {whole:>12.1} {ratio:>7.3}{bar}", format!("{size}, gzip {level}"));
        }
    }
}

/// Runs of both, in turn.
fn race(bare: &mut Ferry, whole: &mut Whole, delivery: &Delivery) -> Rounds {
    let mut rounds = Rounds::default();
    let from = now();
    for round in 0.. {
        if now() - from >= TIME {
            break;
        }
        let start = now();
        let mut bytes = 0;
        bare.forward(&delivery.event, |request| bytes += request.body.len());
        std::hint::black_box(bytes);
        let middle = now();
        std::hint::black_box(whole.handle(&delivery.event));
        rounds.add("whole", round, now() - middle);
        rounds.add("bare", round, middle - start);
    }
    rounds
}
