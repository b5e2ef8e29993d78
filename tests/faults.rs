//! Random batches, backends, stores and faults, on a paused clock: whatever happens, each item is accounted for.
//!
//! ```sh
//! cargo test --test faults                                              # 120 rounds
//! LOGFERRY_FAULTS_ROUNDS=10000 cargo test --test faults                 # as many as one likes
//! LOGFERRY_FAULTS_ROUNDS=1 LOGFERRY_FAULTS_SEED=4711 cargo test --test faults  # one that failed, again
//! ```

#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::pack::gzip;
use common::random::Random;
use common::script::{Answer, Item, Script, Sent, files, items};
use logferry::aws::{Client, Places, Signer};
use logferry::backend::{Context, decompress};
use logferry::delivery::{Http, HttpSettings, TransportError};
use logferry::env::Env;
use logferry::event::Reply;
use logferry::forwarder::{Forwarder, Invocation, Outcome};
use logferry::ledger::Account;
use logferry::model::{self, Timestamp};
use logferry::parcel::Parcel;
use logferry::request::{Destination, Request, Response, Weight};
use logferry::settings::Settings;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

const ROUNDS: u64 = 120;

/// The clock's own grain.
const A_MOMENT: Duration = Duration::from_millis(2);

/// When all of it happens, in ms.
const NOW: i64 = 1_795_165_340_000;

type Partly = fn(&Request, &mut Random) -> (Response, Vec<usize>);

/// A kind of backend, more than once: all but the first have settings of their own.
struct Kind {
    /// Names, and a part of their addresses by which they are told apart.
    names: &'static [(&'static str, &'static str)],
    settings: &'static [(&'static str, &'static str)],
    /// An answer that takes some items, and which; none if its intake takes all or nothing.
    partly: Option<Partly>,
    /// Whether all that its intake doesn't take can be stored.
    whole: bool,
    /// An answer that takes everything.
    accepted: fn(&Request) -> Response,
}

const KINDS: [Kind; 10] = [
    Kind {
        names: &[("datadog", "datadoghq.com"), ("datadog:two", "dd.two.example.com")],
        settings: &[
            ("DD_API_KEY", "0123456789abcdef"),
            ("DD_URL_TWO", "https://logs.dd.two.example.com"),
            ("DD_API_URL_TWO", "https://api.dd.two.example.com"),
            ("LOGFERRY_DATADOG_METRICS_TWO", "aggregates"),
            ("LOGFERRY_DATADOG_COMPRESSION_TWO", "zstd"),
        ],
        partly: None,
        whole: true,
        accepted: |_| answer(202, "{}".to_owned()),
    },
    Kind {
        names: &[("elasticsearch", "es.one.example.com"), ("elasticsearch:two", "es.two.example.com")],
        settings: &[
            ("ELASTICSEARCH_URL", "https://es.one.example.com"),
            ("ELASTICSEARCH_URL_TWO", "https://es.two.example.com"),
            ("ES_API_KEY_TWO", "0123456789"),
        ],
        partly: Some(bulk_partly),
        whole: true,
        accepted: |request| bulk(&vec![201; request.items.len()]),
    },
    Kind {
        names: &[("guance", "openway.guance.com"), ("guance:two", "gu.two.example.com")],
        settings: &[
            ("ENV_DATAWAY", "https://openway.guance.com?token=tkn_0123456789abcdef0123456789abcdef"),
            ("ENV_DATAWAY_TWO", "https://gu.two.example.com?token=tkn_0123456789abcdef0123456789abcdef"),
        ],
        partly: None,
        whole: true,
        accepted: |_| answer(200, String::new()),
    },
    Kind {
        names: &[("loki", "loki.one.example.com"), ("loki:two", "loki.two.example.com")],
        settings: &[
            ("LOKI_URL", "https://loki.one.example.com"),
            ("LOKI_URL_TWO", "https://loki.two.example.com"),
            ("LOKI_FORMAT_TWO", "protobuf"),
        ],
        partly: Some(loki_partly),
        whole: false,
        accepted: |_| answer(204, String::new()),
    },
    Kind {
        names: &[("newrelic", "newrelic.com"), ("newrelic:two", "nr.two.example.com")],
        settings: &[
            ("NEW_RELIC_LICENSE_KEY", "0123456789abcdef0123456789abcdef0123NRAL"),
            ("NR_LOGGING_ENDPOINT_TWO", "https://logs.nr.two.example.com/log/v1"),
            ("LOGFERRY_NEWRELIC_METRICS_URL_TWO", "https://metrics.nr.two.example.com/metric/v1"),
        ],
        partly: None,
        whole: true,
        accepted: |_| answer(202, "{}".to_owned()),
    },
    Kind {
        names: &[("otlp", "otlp.one.example.com"), ("otlp:two", "otlp.two.example.com")],
        settings: &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otlp.one.example.com"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT_TWO", "https://otlp.two.example.com"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL_TWO", "http/json"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE_TWO", "cumulative"),
        ],
        partly: Some(otlp_partly),
        whole: false,
        accepted: |request| {
            assert_eq!(otlp_items(request), request.items.len(), "each item is a record or a point");
            answer(200, if is_json(request) { "{}".to_owned() } else { String::new() })
        },
    },
    Kind {
        names: &[("prometheus", "vm.one.example.com"), ("prometheus:two", "vm.two.example.com")],
        settings: &[
            ("LOGFERRY_PROMETHEUS_URL", "https://vm.one.example.com"),
            ("LOGFERRY_PROMETHEUS_URL_TWO", "https://vm.two.example.com"),
            ("LOGFERRY_PROMETHEUS_TEMPORALITY_TWO", "delta"),
        ],
        partly: None,
        whole: true,
        accepted: |_| answer(204, String::new()),
    },
    Kind {
        names: &[
            ("remote_write", "mimir.one.example.com"),
            ("remote_write:two", "mimir.two.example.com"),
            ("remote_write:delta", "mimir.delta.example.com"),
        ],
        settings: &[
            ("PROMETHEUS_REMOTE_WRITE_URL", "https://mimir.one.example.com"),
            ("PROMETHEUS_REMOTE_WRITE_URL_TWO", "https://mimir.two.example.com"),
            ("LOGFERRY_REMOTE_WRITE_VERSION_TWO", "2"),
            ("PROMETHEUS_REMOTE_WRITE_URL_DELTA", "https://mimir.delta.example.com"),
            ("LOGFERRY_REMOTE_WRITE_VERSION_DELTA", "2"),
            ("LOGFERRY_REMOTE_WRITE_TEMPORALITY_DELTA", "delta"),
        ],
        partly: Some(remote_write_partly),
        whole: true,
        accepted: |request| {
            let telling = request.fallback.iter().map(|_| "x-prometheus-remote-write-samples-written".to_owned());
            Response { telling: telling.collect(), ..answer(204, String::new()) }
        },
    },
    Kind {
        names: &[("splunk", "splunk.one.example.com"), ("splunk:two", "splunk.two.example.com")],
        settings: &[
            ("SPLUNK_HEC_URL", "https://splunk.one.example.com"),
            ("SPLUNK_HEC_URL_TWO", "https://splunk.two.example.com"),
            ("SPLUNK_HEC_TOKEN", "0123456789abcdef"),
        ],
        partly: Some(splunk_partly),
        whole: true,
        accepted: |_| answer(200, r#"{"text":"Success","code":0}"#.to_owned()),
    },
    Kind {
        names: &[("stdout", "stdout")],
        settings: &[],
        partly: None,
        whole: false,
        accepted: |_| answer(200, String::new()),
    },
];

fn answer(status: u16, body: String) -> Response {
    Response { status, body: body.into_bytes(), ..Response::default() }
}

/// A verdict for each document.
fn bulk(statuses: &[u16]) -> Response {
    let item = |status: &u16| match status {
        200..=299 => json!({ "create": { "status": status } }),
        _ => json!({ "create": { "status": status, "error": { "type": "x", "reason": "y" } } }),
    };
    let errors = statuses.iter().any(|status| *status >= 300);
    answer(200, json!({ "errors": errors, "items": statuses.iter().map(item).collect::<Vec<_>>() }).to_string())
}

fn bulk_partly(request: &Request, random: &mut Random) -> (Response, Vec<usize>) {
    let statuses: Vec<_> = request.items.iter().map(|_| *random.pick(&[201, 201, 201, 429, 503, 400, 404])).collect();
    let taken = statuses.iter().enumerate().filter(|(_, status)| **status == 201).map(|(place, _)| place);
    (bulk(&statuses), taken.collect())
}

/// Some entries are ignored, and only their number is told; late ones among them are taken in a stream of their own.
fn loki_partly(request: &Request, random: &mut Random) -> (Response, Vec<usize>) {
    let ignored = 1 + usize::try_from(random.below(request.items.len() as u64)).unwrap();
    let reason = *random.pick(&["entry too far behind", "another"]);
    let said = format!("reason: '{reason}', total ignored: {ignored} out of {}", request.items.len());
    (answer(400, said), (ignored..request.items.len()).collect())
}

/// Events before the bad one are taken, it and those behind it aren't.
fn splunk_partly(request: &Request, random: &mut Random) -> (Response, Vec<usize>) {
    let bad = usize::try_from(random.below(request.items.len() as u64)).unwrap();
    let body = json!({ "text": "Invalid data format", "code": 6, "invalid-event-number": bad });
    (answer(400, body.to_string()), (0..bad).collect())
}

/// Some are rejected, and only their number is told: of metrics that stand for different numbers, all.
fn otlp_partly(request: &Request, random: &mut Random) -> (Response, Vec<usize>) {
    let alike = request.items.windows(2).all(|pair| pair[0].weight == pair[1].weight);
    let count = request.items.len();
    let rejected = if alike { 1 + usize::try_from(random.below(count as u64)).unwrap() } else { count };
    let (logs, number) = (request.route == "logs", i64::try_from(rejected).unwrap());
    let body = if is_json(request) {
        let name = if logs { "rejectedLogRecords" } else { "rejectedDataPoints" };
        json!({ "partialSuccess": { name: rejected.to_string(), "errorMessage": "x" } }).to_string().into_bytes()
    } else if logs {
        let partial_success = ExportLogsPartialSuccess { rejected_log_records: number, error_message: "x".to_owned() };
        ExportLogsServiceResponse { partial_success: Some(partial_success) }.encode_to_vec()
    } else {
        let partial_success =
            ExportMetricsPartialSuccess { rejected_data_points: number, error_message: "x".to_owned() };
        ExportMetricsServiceResponse { partial_success: Some(partial_success) }.encode_to_vec()
    };
    (Response { status: 200, body, ..Response::default() }, (rejected..count).collect())
}

/// A receiver that doesn't know version 2.0 takes nothing of it. One that knows what is sent takes nothing of a request
/// that holds a sample out of order; of a series that adds up, what is there then is as new.
fn remote_write_partly(request: &Request, random: &mut Random) -> (Response, Vec<usize>) {
    if request.fallback.is_some() && random.chance(50) {
        return (answer(*random.pick(&[200, 204, 415]), String::new()), Vec::new());
    }
    let settled = request.items.len() == 1 && is_cumulative(backend_of(url(request)));
    (answer(400, "out of order sample".to_owned()), if settled { vec![0] } else { Vec::new() })
}

fn is_json(request: &Request) -> bool {
    let Destination::Http(endpoint) = &request.destination else { return false };
    endpoint.headers.iter().any(|(_, value)| value.to_string() == "application/json")
}

/// Records and points of a body, as a collector reads it.
fn otlp_items(request: &Request) -> usize {
    let plain = decompress(request.compression, &request.body).unwrap();
    if request.route == "logs" {
        let logs: ExportLogsServiceRequest = otlp_message(request, &plain);
        let scopes = logs.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
        return scopes.map(|scope| scope.log_records.len()).sum();
    }
    let metrics: ExportMetricsServiceRequest = otlp_message(request, &plain);
    let scopes = metrics.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let points = scopes.flat_map(|scope| &scope.metrics).map(|metric| match metric.data.as_ref().unwrap() {
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Sum(sum) => sum.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        Data::Summary(summary) => summary.data_points.len(),
    });
    points.sum()
}

fn otlp_message<M: Message + Default + DeserializeOwned>(request: &Request, plain: &[u8]) -> M {
    if is_json(request) { serde_json::from_slice(plain).unwrap() } else { M::decode(plain).unwrap() }
}

/// What a round is like.
struct Round {
    random: Random,
    backends: Vec<&'static str>,
    settings: Vec<(String, String)>,
    /// Deliveries, each the JSON of a batch.
    batches: Vec<String>,
    /// Whether they come by Kinesis.
    stream: bool,
    left: Duration,
    /// When the process is told to end.
    ends: Option<Duration>,
    /// How often something goes wrong, of 100.
    severity: u64,
    folder: Option<PathBuf>,
    /// What can't be written in the folder.
    blocked: Option<&'static str>,
}

/// How often there is an item.
type Bag = BTreeMap<Item, u64>;

/// Tells the seed of a round that fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("again: LOGFERRY_FAULTS_ROUNDS=1 LOGFERRY_FAULTS_SEED={} cargo test --test faults", self.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_item_is_accounted_for_whatever_happens() {
    let (first, rounds) = (number("LOGFERRY_FAULTS_SEED").unwrap_or(1), number("LOGFERRY_FAULTS_ROUNDS"));
    let rounds = rounds.unwrap_or(ROUNDS);
    let client = client();
    let mut totals = Totals::default();
    for seed in first..first + rounds {
        let _seed = Seed(seed);
        let round = Round::new(seed);
        round.run(&client, &mut totals).await;
        if let Some(folder) = &round.folder {
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
    println!("seeds {first} to {}: {totals:?}", first + rounds - 1);
    assert!(rounds < ROUNDS || totals.all_happened(), "something was never tried: {totals:?}");
}

/// What happened in all rounds, so that it shows when nothing does.
#[derive(Debug, Default)]
struct Totals {
    made: u64,
    sent: u64,
    stored: u64,
    dropped: u64,
    requests: u64,
    redriven: u64,
    set_aside: u64,
    failed_invocations: u64,
}

impl Totals {
    const fn all_happened(&self) -> bool {
        self.sent > 0 && self.stored > 0 && self.dropped > 0 && self.redriven > 0 && self.set_aside > 0
    }
}

impl Round {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let backends = backends(&mut random);
        let mut settings = vec![("LOGFERRY_BACKENDS".to_owned(), backends.join(","))];
        let own = KINDS.iter().flat_map(|kind| kind.settings);
        settings.extend(own.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        settings.push(("LOGFERRY_CONCURRENCY".to_owned(), (1 + random.below(6)).to_string()));
        settings.push(("LOGFERRY_SEND_TIMEOUT".to_owned(), format!("{}ms", 200 + random.below(10_000))));
        let folder = random.chance(75).then(|| folder(seed));
        if let Some(folder) = &folder {
            settings.push(("LOGFERRY_STORE".to_owned(), folder.to_str().unwrap().to_owned()));
        }
        let blocked = random.chance(20).then(|| *random.pick(&["pending", "set-aside", "pending/datadog"]));
        let stream = random.chance(20);
        let count = if stream { 1 + random.below(6) } else { 1 };
        let ends = random.chance(15).then(|| Duration::from_millis(random.below(10_000)));
        Self {
            batches: (0..count).map(|number| batch(&mut random, number)).collect(),
            backends,
            settings,
            stream,
            left: Duration::from_millis(1500 + random.below(60_000)),
            ends,
            severity: *random.pick(&[0, 5, 30, 60, 95, 100]),
            blocked: blocked.filter(|_| folder.is_some()),
            folder,
            random,
        }
    }

    async fn run(&self, client: &Client, totals: &mut Totals) {
        let made = self.made(client).await;
        let mut forwarder = self.forwarder(client, Script::new(self.trouble(1)));
        self.block(true);
        let end = self.ends.map(|after| Instant::now() + after);
        forwarder.transport.end_at(end);
        let outcome = invoke(&mut forwarder, &self.event(0), self.left).await;
        assert!(end.is_none_or(|end| Instant::now() <= end + A_MOMENT), "it doesn't come to an end");
        let sent = forwarder.transport.sent();
        assert_never_sent_again(&sent, &made);
        totals.count(&outcome, &sent);
        if self.stream {
            return self.finish_stream(client, forwarder, &outcome, &made).await;
        }
        for (backend, account) in self.backends.iter().zip(&outcome.ledger.backends) {
            self.check_account(&forwarder, &outcome, account, &made[backend]);
        }
        let recoverable: u64 = outcome.ledger.backends.iter().map(Account::recoverable).sum();
        assert_eq!(outcome.failed(), recoverable + outcome.undone);
        self.check_store(&forwarder, &made, &outcome);
        self.block(false);
        if self.folder.is_some() {
            self.redrive_all(&mut forwarder, &made, &outcome, totals).await;
        }
    }

    /// What each backend is sent when all is well.
    async fn made(&self, client: &Client) -> BTreeMap<&'static str, Bag> {
        let mut forwarder = self.forwarder(client, Script::new(accepting));
        let outcome = invoke(&mut forwarder, &self.event(0), Duration::from_hours(1)).await;
        assert_eq!(outcome.failed(), 0, "{:?}", outcome.notes);
        let taken = forwarder.transport.taken();
        let of = |name| bag(taken.iter().filter(|item| backend_of(&item.place) == name));
        self.backends.iter().map(|name| (*name, of(*name))).collect()
    }

    /// Sent, stored and dropped are what the transport and the folder have seen.
    fn check_account(&self, forwarder: &Forwarder<Script>, outcome: &Outcome, account: &Account, made: &Bag) {
        let name = &account.backend;
        let mut kept = bag(&forwarder.transport.taken());
        let sent = weight(&common_to(made, &kept));
        assert_eq!(account.sent, sent, "{name}: sent");
        let stored = self.parcels().into_iter().filter(|(_, parcel)| parcel.backend == *name);
        let (pending, set_aside): (Vec<_>, Vec<_>) = stored.partition(|(key, _)| key.starts_with("pending/"));
        assert_eq!(account.stored, pending.iter().map(|(_, parcel)| parcel.weight()).sum(), "{name}: stored");
        let all: Weight = account.dropped.values().copied().chain([account.sent, account.stored]).sum();
        assert_eq!(all, weight(made), "{name}: made");
        for (_, parcel) in pending.iter().chain(&set_aside) {
            add(&mut kept, &revived(forwarder, parcel));
        }
        // Nor is a part of an item lost without a word, as a histogram's bucket that counts for nothing by itself.
        let lost = missing(made, &common_to(made, &kept));
        let for_good = account.dropped.keys().any(|reason| !reason.may_pass());
        assert!(lost == 0 || for_good || outcome.failed() > 0, "{name}: {lost} are lost, and nobody is told");
    }

    /// With a store that works, nothing is lost that can be stored: item by item.
    fn check_store(&self, forwarder: &Forwarder<Script>, made: &BTreeMap<&'static str, Bag>, outcome: &Outcome) {
        if self.folder.is_none() || self.blocked.is_some() {
            return;
        }
        let mut all = bag(&forwarder.transport.taken());
        for (_, parcel) in self.parcels() {
            add(&mut all, &revived(forwarder, &parcel));
        }
        for (made, account) in self.backends.iter().map(|name| &made[name]).zip(&outcome.ledger.backends) {
            let lost = missing(made, &common_to(made, &all));
            if kind_of(&account.backend).whole {
                assert_eq!((lost, account.recoverable()), (0, 0), "{}", account.backend);
            }
            let lost = weight_missing(made, &common_to(made, &all), 0);
            assert!(lost <= given_up(account), "{}: {lost} are nowhere", account.backend);
        }
    }

    /// Redrives with trouble, and then without: everything stored arrives once.
    async fn redrive_all(
        &self,
        forwarder: &mut Forwarder<Script>,
        made: &BTreeMap<&'static str, Bag>,
        outcome: &Outcome,
        totals: &mut Totals,
    ) {
        let mut taken = bag(&forwarder.transport.taken());
        // What an intake has refused of a request whose rest it took.
        let mut refused: BTreeMap<String, u64> = BTreeMap::new();
        let mut random = self.random.clone();
        for attempt in 0..random.below(4) {
            let wish = json!({ "max": 1 + random.below(20), "set_aside": random.chance(30) });
            forwarder.transport.turn(self.trouble(10 + attempt));
            let outcome = invoke(forwarder, &json!({ "redrive": wish }).to_string(), self.left).await;
            assert_eq!(outcome.failed(), 0);
            assert_never_sent_again(&forwarder.transport.sent(), made);
            totals.redriven += outcome.redriven.iter().map(|redriven| redriven.sent.total()).sum::<u64>();
            for redriven in &outcome.redriven {
                *refused.entry(redriven.backend.clone()).or_default() += redriven.dropped.total();
            }
            totals.set_aside += outcome.redriven.iter().map(|redriven| redriven.set_aside.total()).sum::<u64>();
            add(&mut taken, &bag(&forwarder.transport.taken()));
        }
        forwarder.transport.turn(accepting);
        let hour = Duration::from_hours(1);
        for set_aside in [false, true] {
            let wish = json!({ "max": 100_000, "set_aside": set_aside });
            invoke(forwarder, &json!({ "redrive": wish }).to_string(), hour).await;
        }
        add(&mut taken, &bag(&forwarder.transport.taken()));
        assert_eq!(files(self.folder.as_ref().unwrap()), [], "the store is empty");
        for (made, account) in self.backends.iter().map(|name| &made[name]).zip(&outcome.ledger.backends) {
            let found = common_to(made, &taken);
            let again = found.iter().filter(|(item, count)| **count > made[*item]).count();
            let lost = missing(made, &found);
            assert_eq!(again, 0, "{}: sent twice", account.backend);
            if self.blocked.is_none() && kind_of(&account.backend).whole {
                assert_eq!(lost, 0, "{}: never sent", account.backend);
            }
            let lost = weight_missing(made, &found, 0);
            let may = given_up(account) + refused.get(&account.backend).copied().unwrap_or_default();
            assert!(lost <= may, "{}: {lost} never sent", account.backend);
        }
    }

    /// Kinesis delivers what failed again, from the first on, until nothing fails: all of it arrives.
    async fn finish_stream(
        &self,
        client: &Client,
        forwarder: Forwarder<Script>,
        outcome: &Outcome,
        made: &BTreeMap<&'static str, Bag>,
    ) {
        self.block(false);
        let Reply::Failed(failed) = &outcome.reply else { panic!("{:?}", outcome.reply) };
        let ids: Vec<_> = (0..self.batches.len()).map(|place| place.to_string()).collect();
        assert!(ids.ends_with(failed), "{failed:?} of {ids:?}");
        let mut taken = bag(&forwarder.transport.taken());
        let mut healthy = self.forwarder(client, Script::new(accepting));
        let hour = Duration::from_hours(1);
        // Another process: what is counted before is not known to it.
        let invoke = async |forwarder: &mut _, event: &str| invoke_as("another", forwarder, event, hour).await;
        if let Some(first) = failed.first() {
            let outcome = invoke(&mut healthy, &self.event(first.parse().unwrap())).await;
            assert_eq!(outcome.reply, Reply::Failed(Vec::new()), "{:?}", outcome.notes);
        }
        for set_aside in [false, true] {
            let wish = json!({ "redrive": { "max": 100_000, "set_aside": set_aside } });
            invoke(&mut healthy, &wish.to_string()).await;
        }
        add(&mut taken, &bag(&healthy.transport.taken()));
        let stores = self.folder.is_some() && self.blocked.is_none();
        for (made, account) in self.backends.iter().map(|name| &made[name]).zip(&outcome.ledger.backends) {
            let whole = stores && kind_of(&account.backend).whole;
            let (lost, may) = if is_cumulative(&account.backend) {
                (not_counted(made, &taken), if whole || given_up(account) == 0 { 0 } else { u64::MAX })
            } else {
                let found = common_to(made, &taken);
                let lost = weight_missing(made, &found, u64::from(whole));
                (lost, if whole { 0 } else { given_up(account) })
            };
            assert!(lost <= may, "{}: {lost} never arrived", account.backend);
        }
    }

    fn event(&self, from: usize) -> String {
        let data = |batch: &String| STANDARD.encode(gzip(batch.as_bytes()));
        if !self.stream {
            return json!({ "awslogs": { "data": data(&self.batches[0]) } }).to_string();
        }
        let records =
            self.batches.iter().enumerate().skip(from).map(
                |(place, batch)| json!({ "kinesis": { "sequenceNumber": place.to_string(), "data": data(batch) } }),
            );
        json!({ "Records": records.collect::<Vec<_>>() }).to_string()
    }

    fn forwarder(&self, client: &Client, script: Script) -> Forwarder<Script> {
        let lookup = |name: &str| self.settings.iter().find(|(set, _)| set == name).map(|(_, value)| value.clone());
        let mut env = Env::new(&lookup);
        let settings = Settings::from_env(&mut env, None);
        assert_eq!(env.into_mistakes(), []);
        settings.unwrap().forwarder(script, client)
    }

    /// Answers at random.
    fn trouble(&self, number: u64) -> impl Fn(&Request, usize) -> Answer + use<> {
        let random = Rc::new(RefCell::new(self.random.fork(number)));
        let severity = self.severity;
        // Some intakes are down as a whole.
        let down: BTreeSet<u64> = (0..4).filter(|_| random.borrow_mut().chance(severity / 5)).collect();
        move |request, _| {
            let random = &mut *random.borrow_mut();
            if down.contains(&(url(request).len() as u64 % 4)) {
                return Answer::refused();
            }
            if random.chance(severity) { fault(request, random) } else { accepting(request, 0) }
        }
    }

    /// Puts a file where a folder has to be, or takes it away.
    fn block(&self, on: bool) {
        let (Some(folder), Some(place)) = (&self.folder, self.blocked) else { return };
        let path = folder.join(place);
        if on {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }

    fn parcels(&self) -> Vec<(String, Parcel)> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let parcel = |(key, json): (String, Vec<u8>)| (key, Parcel::from_json(&json).unwrap());
        files(folder).into_iter().map(parcel).collect()
    }
}

impl Totals {
    fn count(&mut self, outcome: &Outcome, sent: &[Sent]) {
        for account in &outcome.ledger.backends {
            self.sent += account.sent.total();
            self.stored += account.stored.total();
            self.dropped += given_up(account);
        }
        self.made += outcome.ledger.made.total() * outcome.ledger.backends.len() as u64;
        self.requests += sent.len() as u64;
        self.failed_invocations += u64::from(outcome.failed() > 0);
    }
}

// === what happens ===

fn accepting(request: &Request, _: usize) -> Answer {
    Answer::Response((kind_of(backend_of(url(request))).accepted)(request), Duration::ZERO)
}

fn fault(request: &Request, random: &mut Random) -> Answer {
    let kind = kind_of(backend_of(url(request)));
    let reset = TransportError::Interrupted("connection reset by peer".to_owned());
    if matches!(request.destination, Destination::Stdout) {
        return Answer::Broken(reset);
    }
    let slow = Duration::from_millis(random.below(15_000));
    match random.below(10) {
        0 => Answer::refused(),
        1 => Answer::Broken(reset),
        2 => Answer::Never,
        3 => Answer::Response((kind.accepted)(request), slow),
        4 => Answer::status(413),
        5 => {
            let retry_after = Some(Duration::from_secs(random.below(90)));
            Answer::Response(Response { status: 429, retry_after, ..Response::default() }, slow / 20)
        }
        6 if let Some(partly) = kind.partly => {
            let (response, taken) = partly(request, random);
            Answer::Partly(response, taken)
        }
        6 | 7 => Answer::status(*random.pick(&[500, 502, 503, 504, 408, 429])),
        _ => Answer::status(*random.pick(&[400, 401, 403, 404, 422, 301, 501, 503])),
    }
}

async fn invoke(forwarder: &mut Forwarder<Script>, event: &str, left: Duration) -> Outcome {
    invoke_as("one", forwarder, event, left).await
}

async fn invoke_as(instance: &str, forwarder: &mut Forwarder<Script>, event: &str, left: Duration) -> Outcome {
    let own = model::Forwarder { instance: instance.to_owned(), ..model::Forwarder::default() };
    let start = Instant::now();
    let invocation =
        Invocation { forwarder: &own, now: Timestamp::from_millis(NOW), start, deadline: start + left, seed: 7 };
    let outcome = forwarder.handle(event, &invocation, &mut ()).await;
    assert!(start.elapsed() < left, "{:?} of {left:?}", start.elapsed());
    assert_eq!(outcome.ledger.unaccounted(), []);
    outcome
}

/// An item that was acknowledged is in no later request.
fn assert_never_sent_again(sent: &[Sent], made: &BTreeMap<&'static str, Bag>) {
    let made: BTreeMap<_, _> = made.values().flatten().collect();
    let mut taken = Bag::new();
    for sent in sent {
        for (item, count) in bag(&*sent.items) {
            let before = taken.get(&item).copied().unwrap_or_default();
            let most = made.get(&item).copied().copied().unwrap_or_default();
            assert!(before + count <= most, "sent again: {}", String::from_utf8_lossy(&item.bytes));
        }
        add(&mut taken, &bag(&sent.taken()));
    }
}

// === random things ===

fn backends(random: &mut Random) -> Vec<&'static str> {
    let all: BTreeSet<_> = KINDS.iter().flat_map(|kind| kind.names).map(|(name, _)| *name).collect();
    let chosen: Vec<_> = all.iter().copied().filter(|_| random.chance(25)).collect();
    if chosen.is_empty() { vec!["datadog"] } else { chosen }
}

fn batch(random: &mut Random, number: u64) -> String {
    let (count, size) = match random.below(300) {
        0 => (2500, 10),
        1 => (27, 200_000),
        2 => (1, 1_000_000),
        3..6 => (0, 0),
        _ => (1 + random.below(80), 1 + random.below(300)),
    };
    // Some come late, some from the future, some all at once.
    let start = NOW + *random.pick(&[-9000, -9000, -9000, -7_200_000, -172_800_000, 86_400_000]);
    let step = random.below(3).cast_signed() * 7;
    let events = (0..count.cast_signed()).map(|place| {
        let id = format!("{number}-{place}");
        json!({ "id": id, "timestamp": start + place * step, "message": message(random, &id, size) })
    });
    json!({
        "messageType": "DATA_MESSAGE",
        "owner": "123456789012",
        "logGroup": "/aws/lambda/checkout",
        "logStream": format!("2026/11/20/[$LATEST]{number:032}"),
        "subscriptionFilters": ["logferry"],
        "logEvents": events.collect::<Vec<_>>(),
    })
    .to_string()
}

fn message(random: &mut Random, id: &str, size: u64) -> String {
    let kind = if size > 1000 { 0 } else { random.below(8) };
    match kind {
        1 => format!(
            "REPORT RequestId: 1ab9290b-5e02-46d5-9200-{:012}\tDuration: {}.42 ms\tBilled Duration: 188 ms\tMemory Size: 512 MB\tMax Memory Used: 104 MB\t\n",
            random.below(1 << 40),
            random.below(100_000)
        ),
        2 => format!("MONITORING|1795165334|{}|gauge|shop.{id}|#shop:berlin", random.below(100)),
        3 => format!("MONITORING|1795165334|{}|count|shop.orders|#id:{id}", random.below(100)),
        4 => format!("MONITORING|1795165334|1|check|shop.{id}|#shop:berlin"),
        5 => format!("MONITORING|1795165334|{}|histogram|shop.basket|#shop:berlin", random.below(100)),
        6 => json!({ "level": "error", "id": id, "text": "Grüße aus \"Köln\"\n🦀" }).to_string(),
        _ => {
            let mut text = format!("{id} ");
            // Hard to compress.
            while (text.len() as u64) < size {
                write!(text, "{:x}", random.next()).unwrap();
            }
            text
        }
    }
}

// === helpers ===

fn kind_of(backend: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.names.iter().any(|(name, _)| *name == backend)).unwrap()
}

/// Whether what it is sent of metrics holds all that was counted before.
fn is_cumulative(backend: &str) -> bool {
    matches!(backend, "otlp:two" | "prometheus" | "remote_write" | "remote_write:two")
}

fn given_up(account: &Account) -> u64 {
    account.dropped.values().map(|weight| weight.total()).sum()
}

/// Whose address it is.
fn backend_of(place: &str) -> &'static str {
    let mut all = KINDS.iter().flat_map(|kind| kind.names);
    all.find(|(_, host)| place.contains(host)).unwrap().0
}

fn url(request: &Request) -> &str {
    match &request.destination {
        Destination::Http(endpoint) => &endpoint.url,
        Destination::Stdout => "stdout",
    }
}

fn bag<'a>(items: impl IntoIterator<Item = &'a Item>) -> Bag {
    let mut bag = Bag::new();
    for item in items {
        *bag.entry(item.clone()).or_default() += 1;
    }
    bag
}

fn add(bag: &mut Bag, more: &Bag) {
    for (item, count) in more {
        *bag.entry(item.clone()).or_default() += count;
    }
}

/// The items of a stored request.
fn revived(forwarder: &Forwarder<Script>, parcel: &Parcel) -> Bag {
    let backend = forwarder.backends.iter().find(|backend| backend.name() == parcel.backend).unwrap();
    let context = Context { forwarder: &model::Forwarder::default(), now: Timestamp::from_millis(0) };
    let request = backend.revive(parcel, &context).unwrap();
    bag(&items(&request, url(&request)))
}

/// Series and logs of `made` that `taken` doesn't come to, summed over all processes.
fn not_counted(made: &Bag, taken: &Bag) -> u64 {
    let logs = missing(&logs_of(made), &common_to(made, taken));
    let (made, taken) = (totals(made), totals(taken));
    let short = made.iter().filter(|(series, total)| taken.get(*series).is_none_or(|found| found + 1e-6 < **total));
    logs + short.count() as u64
}

fn logs_of(bag: &Bag) -> Bag {
    bag.iter().filter(|(item, _)| item.logs > 0).map(|(item, count)| (item.clone(), *count)).collect()
}

/// What series that add up have come to: their latest values, summed over all processes. A gauge only has to be there.
fn totals(bag: &Bag) -> BTreeMap<String, f64> {
    let mut latest: BTreeMap<(String, String), (i64, f64)> = BTreeMap::new();
    for (item, _) in bag.iter().filter(|(item, _)| item.logs == 0 && is_cumulative(backend_of(&item.place))) {
        for Point { series, instance, time, value } in points(item) {
            let known = latest.entry((series, instance)).or_insert((time, value));
            *known = if known.0 > time { *known } else { (time, value) };
        }
    }
    let mut totals = BTreeMap::new();
    for ((series, _), (_, value)) in latest {
        *totals.entry(series).or_default() += value;
    }
    totals
}

/// A value at a time.
struct Point {
    /// What tells it from others, its process aside.
    series: String,
    instance: String,
    time: i64,
    value: f64,
}

/// What an item of a cumulative backend says.
fn points(item: &Item) -> Vec<Point> {
    let text = std::str::from_utf8(&item.bytes).unwrap();
    let backend = backend_of(&item.place);
    if backend.starts_with("otlp") { otlp_points(item, text) } else { sample_points(backend, text) }
}

/// `{"name":"faas.invocations",…,"sum":{"dataPoints":[{"attributes":[…],…,"timeUnixNano":"…","asInt":"3"}],…}}`
fn otlp_points(item: &Item, text: &str) -> Vec<Point> {
    let metric: Value = serde_json::from_str(text).unwrap();
    let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
    let gauge = metric.get("gauge").is_some();
    let data = ["gauge", "sum", "histogram"].iter().find_map(|kind| metric.get(kind)).unwrap();
    let point = &data["dataPoints"][0];
    let time = point["timeUnixNano"].as_str().unwrap().parse().unwrap();
    // The resource is in what stands around the item: it says which process it is.
    let one = |part: String, value: f64| Point {
        series: format!("{} {} {part}", metric["name"], point["attributes"]),
        instance: item.place.to_string(),
        time,
        value: if gauge { 0.0 } else { value },
    };
    let parts = ["asInt", "asDouble", "sum", "count"].iter();
    let mut points: Vec<_> = parts.filter_map(|part| Some(one((*part).to_owned(), number(&point[part])?))).collect();
    let buckets = point["bucketCounts"].as_array().into_iter().flatten().enumerate();
    points.extend(buckets.map(|(place, count)| one(place.to_string(), number(count).unwrap())));
    // Whole numbers and others are the same value.
    for point in &mut points {
        point.series = point.series.replace("asInt", "value").replace("asDouble", "value");
    }
    points
}

/// A line of Prometheus' text, `name{a="b",…,instance="…"} 6 1795165340000`, or a series of remote write.
fn sample_points(backend: &str, text: &str) -> Vec<Point> {
    let instance_at = if backend == "prometheus" { "instance=\"" } else { "\"instance\", \"" };
    let line = text.lines().last().unwrap();
    let (before, rest) = line.split_once(instance_at).unwrap();
    let (instance, rest) = rest.split_once('"').unwrap();
    let (labels, samples): (&str, Vec<(i64, f64)>) = if backend == "prometheus" {
        let mut parts = rest.rsplitn(3, ' ');
        let (time, value) = (parts.next().unwrap().parse().unwrap(), parts.next().unwrap().parse().unwrap());
        (parts.next().unwrap(), vec![(time, value)])
    } else {
        let (labels, samples) = rest.split_once("samples: [").unwrap();
        let sample = |pair: &str| {
            let (time, value) = pair.trim_matches(['(', ')', ']', ' ', '}', ',']).split_once(", ").unwrap();
            (time.parse().unwrap(), value.parse().unwrap())
        };
        (labels, samples.split("), (").map(sample).collect())
    };
    let series = format!("{before}{labels}");
    let adds = ["_total", "_bucket", "_sum", "_count"]
        .iter()
        .any(|end| series.contains(&format!("{end}{{")) || series.contains(&format!("{end}\"")));
    let point = |(time, value)| Point {
        series: series.clone(),
        instance: instance.to_owned(),
        time,
        value: if adds { value } else { 0.0 },
    };
    samples.into_iter().map(point).collect()
}

/// How often what is in one is in another.
fn common_to(of: &Bag, bag: &Bag) -> Bag {
    of.keys().filter_map(|item| Some((item.clone(), *bag.get(item)?))).collect()
}

/// Items of `made` that aren't in `found`.
fn missing(made: &Bag, found: &Bag) -> u64 {
    weight_missing(made, found, 1)
}

/// So much of `made` isn't in `found`; what stands for nothing by itself, as most buckets of a histogram, counts as `least`.
fn weight_missing(made: &Bag, found: &Bag, least: u64) -> u64 {
    let short = made.iter().map(|(item, count)| {
        let there = found.get(item).copied().unwrap_or_default();
        count.saturating_sub(there) * item.weight().total().max(least)
    });
    short.sum()
}

fn weight(bag: &Bag) -> Weight {
    let of = |(item, count): (&Item, &u64)| Weight { logs: item.logs * count, metrics: item.metrics * count };
    bag.iter().map(of).sum()
}

/// An empty folder.
fn folder(seed: u64) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("faults-{}-{seed}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn client() -> Client {
    let mut env = Env::new(&|_| None);
    let signer = Signer::new(None, || SystemTime::UNIX_EPOCH);
    let http = Http::new(&HttpSettings::default(), &[], signer.clone(), &mut env).unwrap();
    Client::new(http.client().clone(), signer, Places::default())
}

fn number(name: &str) -> Option<u64> {
    std::env::var_os(name).map(|value| value.to_str().unwrap().parse().unwrap())
}
