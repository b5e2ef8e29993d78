//! Random batches, backends, stores and faults, on a paused clock: whatever happens, each item is accounted for.
//!
//! ```sh
//! cargo test --test faults                                              # a few hundred rounds
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
use logferry::delivery::{Http, HttpSettings, TransportError};
use logferry::env::Env;
use logferry::event::Reply;
use logferry::forwarder::{Forwarder, Invocation, Outcome};
use logferry::ledger::Account;
use logferry::model::{self, Timestamp};
use logferry::parcel::Parcel;
use logferry::request::{Destination, Request, Response, Weight};
use logferry::settings::Settings;
use serde_json::json;
use tokio::time::Instant;

const ROUNDS: u64 = 120;

/// The clock's own grain.
const A_MOMENT: Duration = Duration::from_millis(2);

/// When all of it happens, in ms.
const NOW: i64 = 1_795_165_340_000;

type Partly = fn(&Request, &mut Random) -> (Response, Vec<usize>);

/// A kind of backend, twice: the second has settings of its own.
struct Kind {
    names: [&'static str; 2],
    /// A part of their addresses, by which they are told apart.
    hosts: [&'static str; 2],
    settings: &'static [(&'static str, &'static str)],
    /// An answer that takes some items, and which; none if its intake takes all or nothing.
    partly: Option<Partly>,
    /// An answer that takes everything.
    accepted: fn(&Request) -> Response,
}

const KINDS: [Kind; 7] = [
    Kind {
        names: ["datadog", "datadog:two"],
        hosts: ["datadoghq.com", "dd.two.example.com"],
        settings: &[
            ("DD_API_KEY", "0123456789abcdef"),
            ("DD_URL_TWO", "https://logs.dd.two.example.com"),
            ("DD_API_URL_TWO", "https://api.dd.two.example.com"),
            ("LOGFERRY_DATADOG_METRICS_TWO", "aggregates"),
            ("LOGFERRY_DATADOG_COMPRESSION_TWO", "zstd"),
        ],
        partly: None,
        accepted: |_| answer(202, "{}".to_owned()),
    },
    Kind {
        names: ["elasticsearch", "elasticsearch:two"],
        hosts: ["es.one.example.com", "es.two.example.com"],
        settings: &[
            ("ELASTICSEARCH_URL", "https://es.one.example.com"),
            ("ELASTICSEARCH_URL_TWO", "https://es.two.example.com"),
            ("ES_API_KEY_TWO", "0123456789"),
        ],
        partly: Some(bulk_partly),
        accepted: |request| bulk(&vec![201; request.items.len()]),
    },
    Kind {
        names: ["guance", "guance:two"],
        hosts: ["openway.guance.com", "gu.two.example.com"],
        settings: &[
            ("ENV_DATAWAY", "https://openway.guance.com?token=tkn_0123456789abcdef0123456789abcdef"),
            ("ENV_DATAWAY_TWO", "https://gu.two.example.com?token=tkn_0123456789abcdef0123456789abcdef"),
        ],
        partly: None,
        accepted: |_| answer(200, String::new()),
    },
    Kind {
        names: ["loki", "loki:two"],
        hosts: ["loki.one.example.com", "loki.two.example.com"],
        settings: &[
            ("LOKI_URL", "https://loki.one.example.com"),
            ("LOKI_URL_TWO", "https://loki.two.example.com"),
            ("LOKI_FORMAT_TWO", "protobuf"),
        ],
        partly: Some(loki_partly),
        accepted: |_| answer(204, String::new()),
    },
    Kind {
        names: ["newrelic", "newrelic:two"],
        hosts: ["newrelic.com", "nr.two.example.com"],
        settings: &[
            ("NEW_RELIC_LICENSE_KEY", "0123456789abcdef0123456789abcdef0123NRAL"),
            ("NR_LOGGING_ENDPOINT_TWO", "https://logs.nr.two.example.com/log/v1"),
            ("LOGFERRY_NEWRELIC_METRICS_URL_TWO", "https://metrics.nr.two.example.com/metric/v1"),
        ],
        partly: None,
        accepted: |_| answer(202, "{}".to_owned()),
    },
    Kind {
        names: ["splunk", "splunk:two"],
        hosts: ["splunk.one.example.com", "splunk.two.example.com"],
        settings: &[
            ("SPLUNK_HEC_URL", "https://splunk.one.example.com"),
            ("SPLUNK_HEC_URL_TWO", "https://splunk.two.example.com"),
            ("SPLUNK_HEC_TOKEN", "0123456789abcdef"),
        ],
        partly: Some(splunk_partly),
        accepted: |_| answer(200, r#"{"text":"Success","code":0}"#.to_owned()),
    },
    // Its lines are the same wherever they come from, so it is there once.
    Kind {
        names: ["stdout", "stdout"],
        hosts: ["stdout", "stdout"],
        settings: &[],
        partly: None,
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

/// Some entries are ignored, and only their number is told.
fn loki_partly(request: &Request, random: &mut Random) -> (Response, Vec<usize>) {
    let ignored = 1 + usize::try_from(random.below(request.items.len() as u64)).unwrap();
    let said = format!("entry too far behind, total ignored: {ignored} out of {}", request.items.len());
    (answer(400, said), (ignored..request.items.len()).collect())
}

/// Events before the bad one are taken, it and those behind it aren't.
fn splunk_partly(request: &Request, random: &mut Random) -> (Response, Vec<usize>) {
    let bad = usize::try_from(random.below(request.items.len() as u64)).unwrap();
    let body = json!({ "text": "Invalid data format", "code": 6, "invalid-event-number": bad });
    (answer(400, body.to_string()), (0..bad).collect())
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
        Box::pin(round.run(&client, &mut totals)).await;
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
        let made = Box::pin(self.made(client)).await;
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
            return Box::pin(self.finish_stream(client, forwarder, &outcome, &made)).await;
        }
        for (backend, account) in self.backends.iter().zip(&outcome.ledger.backends) {
            self.check_account(account, &made[backend], &forwarder.transport.taken());
        }
        let recoverable: u64 = outcome.ledger.backends.iter().map(Account::recoverable).sum();
        assert_eq!(outcome.failed(), recoverable);
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
    fn check_account(&self, account: &Account, made: &Bag, taken: &[Item]) {
        let name = &account.backend;
        let sent = weight(&common_to(made, &bag(taken)));
        assert_eq!(account.sent, sent, "{name}: sent");
        let stored =
            self.parcels().into_iter().filter(|(key, parcel)| key.starts_with("pending/") && parcel.backend == *name);
        assert_eq!(account.stored, stored.map(|(_, parcel)| parcel.weight()).sum(), "{name}: stored");
        let all: Weight = account.dropped.values().copied().chain([account.sent, account.stored]).sum();
        assert_eq!(all, weight(made), "{name}: made");
    }

    /// With a store that works, nothing is lost that can be stored: item by item.
    fn check_store(&self, forwarder: &Forwarder<Script>, made: &BTreeMap<&'static str, Bag>, outcome: &Outcome) {
        if self.folder.is_none() || self.blocked.is_some() {
            return;
        }
        let mut all = bag(&forwarder.transport.taken());
        for (_, parcel) in self.parcels() {
            let backend = forwarder.backends.iter().find(|backend| backend.name() == parcel.backend).unwrap();
            let request = backend.revive(&parcel, &model::Forwarder::default()).unwrap();
            add(&mut all, &bag(&items(&request, url(&request))));
        }
        for (made, account) in self.backends.iter().map(|name| &made[name]).zip(&outcome.ledger.backends) {
            let lost = missing(made, &common_to(made, &all));
            if Self::is_whole(&account.backend) {
                assert_eq!((lost, account.recoverable()), (0, 0), "{}", account.backend);
            }
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
            if self.blocked.is_none() && Self::is_whole(&account.backend) {
                assert_eq!(lost, 0, "{}: never sent", account.backend);
            }
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
        if let Some(first) = failed.first() {
            let outcome = invoke(&mut healthy, &self.event(first.parse().unwrap()), hour).await;
            assert_eq!(outcome.reply, Reply::Failed(Vec::new()), "{:?}", outcome.notes);
        }
        for set_aside in [false, true] {
            let wish = json!({ "redrive": { "max": 100_000, "set_aside": set_aside } });
            invoke(&mut healthy, &wish.to_string(), hour).await;
        }
        add(&mut taken, &bag(&healthy.transport.taken()));
        let stores = self.folder.is_some() && self.blocked.is_none();
        for (made, account) in self.backends.iter().map(|name| &made[name]).zip(&outcome.ledger.backends) {
            let lost = missing(made, &common_to(made, &taken));
            let may = if stores && Self::is_whole(&account.backend) { 0 } else { given_up(account) };
            assert!(lost <= may, "{}: {lost} never arrived", account.backend);
        }
    }

    /// Whether all that the backend doesn't take can be stored: Loki only says how many entries it refuses.
    fn is_whole(backend: &str) -> bool {
        !matches!(kind_of(backend).names[0], "loki" | "stdout")
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
    let own = model::Forwarder { instance: "2026/11/20/[$LATEST]0f7c".into(), ..model::Forwarder::default() };
    let start = Instant::now();
    let invocation = Invocation { forwarder: &own, now: Timestamp::from_millis(NOW), deadline: start + left, seed: 7 };
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
    let all: BTreeSet<_> = KINDS.iter().flat_map(|kind| kind.names).collect();
    let chosen: Vec<_> = all.iter().copied().filter(|_| random.chance(40)).collect();
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
    KINDS.iter().find(|kind| kind.names.contains(&backend)).unwrap()
}

fn given_up(account: &Account) -> u64 {
    account.dropped.values().map(|weight| weight.total()).sum()
}

/// Whose address it is.
fn backend_of(place: &str) -> &'static str {
    let mut all = KINDS.iter().flat_map(|kind| kind.hosts.into_iter().zip(kind.names));
    all.find(|(host, _)| place.contains(host)).unwrap().1
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

/// How often what is in one is in another.
fn common_to(of: &Bag, bag: &Bag) -> Bag {
    of.keys().filter_map(|item| Some((item.clone(), *bag.get(item)?))).collect()
}

/// So much of `made` isn't in `found`.
fn missing(made: &Bag, found: &Bag) -> u64 {
    let short = made.iter().map(|(item, count)| {
        let there = found.get(item).copied().unwrap_or_default();
        count.saturating_sub(there) * item.weight().total()
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
