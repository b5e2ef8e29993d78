//! The function is killed at random points: with Lambda's retry and a redrive, everything arrives all the same.
//!
//! `LOGFERRY_KILL_ROUNDS=1000 cargo test --test kill` does so often; `LOGFERRY_KILL_SEED` begins elsewhere. A kill is a
//! matter of time, so a seed makes the same batch again, and about the same moment.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::intake::Intake;
use common::lambda::{Lambda, bootstrap};
use common::pack::{batch, packed};
use common::random::Random;
use common::script::files;
use common::server::{Answer, Received};
use serde_json::{Value, json};

const ROUNDS: u64 = 20;

/// More than the function needs for everything.
const LEFT: Duration = Duration::from_secs(20);

/// An intake that is in trouble for a while, and knows what it has taken.
struct Place {
    intake: Intake,
    state: Arc<Mutex<State>>,
}

struct State {
    random: Random,
    /// How often it refuses, of 100.
    severity: u64,
    taken: BTreeSet<String>,
}

/// What a round came to.
#[derive(Clone, Copy, Debug, Default)]
struct Killed {
    /// Invocations that were killed before they were answered, and redrives.
    invocations: u64,
    redrives: u64,
    /// How often the store held something when it was killed.
    stored: u64,
}

#[test]
fn everything_arrives_although_the_process_is_killed() {
    let (first, rounds) = (number("LOGFERRY_KILL_SEED").unwrap_or(1), number("LOGFERRY_KILL_ROUNDS"));
    let rounds = rounds.unwrap_or(ROUNDS);
    let mut all = Killed::default();
    for seed in first..first + rounds {
        let killed = round(seed);
        all.invocations += killed.invocations;
        all.redrives += killed.redrives;
        all.stored += killed.stored;
    }
    println!("{rounds} rounds from seed {first}: {all:?}");
    assert!(rounds < ROUNDS || (all.invocations + all.redrives > 0 && all.stored > 0), "{all:?}");
}

fn round(seed: u64) -> Killed {
    let mut random = Random::new(seed);
    let place = Place::new(&random);
    let folder = folder(seed);
    let (event, made) = event(&mut random);
    let mut killed = Killed::default();
    // In every other round the invocation is left in peace: then there is no retry, and what it has stored has to do.
    let retried = random.chance(50);
    if retried {
        killed.invocations += u64::from(start(&place, &folder).kill_during(&event, moment(&mut random)));
        killed.stored += u64::from(!files(&folder).is_empty());
    } else {
        let invocation = start(&place, &folder).invoke_within(&event, LEFT);
        assert_eq!(invocation.result.as_deref(), Ok("null"), "{seed}: {:?}", invocation.notes());
    }
    let redrive = |set_aside| json!({ "redrive": { "set_aside": set_aside } }).to_string();
    for _ in 0..random.below(3) {
        killed.redrives += u64::from(start(&place, &folder).kill_during(&redrive(false), moment(&mut random)));
        killed.stored += u64::from(!files(&folder).is_empty());
    }
    place.state.lock().unwrap().severity = 0;
    let lambda = start(&place, &folder);
    if retried {
        lambda.invoke_within(&event, LEFT).result.unwrap();
    }
    for set_aside in [false, true] {
        lambda.invoke_within(&redrive(set_aside), LEFT).result.unwrap();
    }
    let taken = &place.state.lock().unwrap().taken;
    let lost: Vec<_> = made.difference(taken).collect();
    assert!(lost.is_empty(), "seed {seed}: never arrived: {lost:?}");
    assert_eq!(files(&folder), [], "seed {seed}: the store is empty");
    std::fs::remove_dir_all(&folder).unwrap();
    killed
}

impl Place {
    fn new(random: &Random) -> Self {
        let severity = *random.fork(2).pick(&[0, 30, 70, 100]);
        let state = State { random: random.fork(1), severity, taken: BTreeSet::new() };
        let state = Arc::new(Mutex::new(state));
        let intake = Intake::answering({
            let state = Arc::clone(&state);
            move |received, _| {
                let (answer, pause) = state.lock().unwrap().answer(received);
                thread::sleep(Duration::from_millis(pause));
                answer
            }
        });
        Self { intake, state }
    }
}

impl State {
    fn answer(&mut self, received: &Received) -> (Answer, u64) {
        let pause = self.random.below(20) * u64::from(self.random.chance(30));
        if self.random.chance(self.severity) {
            // What is stored at once, what is tried again, what is cut in two, what is set aside.
            return (Answer::status(*self.random.pick(&[403, 403, 503, 413, 404])), pause);
        }
        let body = received.json();
        let items = body.as_array().or_else(|| body["series"].as_array()).unwrap();
        let name = |item: &Value| item["id"].as_str().or_else(|| item["metric"].as_str()).unwrap().to_owned();
        self.taken.extend(items.iter().map(name));
        (Answer::status(202), pause)
    }
}

/// A process that can be killed.
trait Kill {
    /// Kills it so many ms after it was given something to do; returns whether that was too early for an answer.
    fn kill_during(self, event: &str, after: u64) -> bool;
}

impl Kill for Lambda {
    fn kill_during(self, event: &str, after: u64) -> bool {
        // From when it asks: a cold start is not what is to be killed each time.
        let end = 2000;
        for _ in 0..end {
            if self.api.asked() > 0 {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let id = self.api.hand(event, LEFT);
        thread::sleep(Duration::from_millis(after));
        let early = !self.api.has_ended(&id);
        // With SIGKILL.
        drop(self);
        early
    }
}

fn start(place: &Place, folder: &Path) -> Lambda {
    let settings = bootstrap().datadog(&place.intake).set("LOGFERRY_STORE", folder.to_str().unwrap());
    settings.set("LOGFERRY_REDRIVE_TRIES", "3").start()
}

/// Milliseconds: a redrive has an end after a few, a large batch after many.
fn moment(random: &mut Random) -> u64 {
    let most = *random.pick(&[3, 10, 30, 100]);
    random.below(most)
}

/// Logs and metrics of now, as what is too old is set aside, and their names.
fn event(random: &mut Random) -> (String, BTreeSet<String>) {
    let count = *random.pick(&[1, 30, 300, 2500]);
    let messages: Vec<_> = (1..=count)
        .map(|number| match number % 10 {
            0 => format!("MONITORING|1795165334|1|count|shop.{number}|#shop:berlin"),
            _ => format!("basket {number} opened, {:x}", random.next()),
        })
        .collect();
    let names = (1..=count).map(|number| if number % 10 == 0 { format!("shop.{number}") } else { number.to_string() });
    let batch = batch(messages.iter().map(String::as_str));
    (packed(batch.replace("179516533", &now().to_string()[..9])), names.collect())
}

#[expect(clippy::disallowed_methods, reason = "the process has the real clock")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn folder(seed: u64) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kill-{}-{seed}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn number(name: &str) -> Option<u64> {
    std::env::var_os(name).map(|value| value.to_str().unwrap().parse().unwrap())
}
