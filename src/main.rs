//! The Lambda function: cold start, and the only reader of the real environment and clock.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::{Either, pending, select};
use lambda_runtime::tower::ServiceExt;
use lambda_runtime::tower::layer::layer_fn;
use lambda_runtime::{Context, Diagnostic, LambdaEvent, LambdaInvocation, Runtime, Service, service_fn};
use logferry::aws;
use logferry::delivery::{ENDING, Ending, ended};
use logferry::env::{Mistake, Secret};
use logferry::event::Reply;
use logferry::forwarder::{Invocation, Note, Outcome, Report};
use logferry::model::{self, Timestamp};
use logferry::settings::{Prepared, Settings, misspelt};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout_at};

/// Exit status of a wrong configuration (`EX_CONFIG` of `sysexits.h`).
const BAD_SETTINGS: u8 = 78;

/// What Lambda is told of an invocation that failed: a plain name, and a sentence.
#[derive(Debug)]
struct Failure {
    kind: &'static str,
    sentence: String,
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self { error_type: failure.kind.to_owned(), error_message: failure.sentence }
    }
}

/// What one process of the function holds.
struct Process {
    prepared: Prepared,
    /// Secrets that are kept elsewhere and were fetched.
    fetched: BTreeMap<String, Secret>,
    /// When secrets were last fetched again, as an intake has refused them.
    fetched_again: Option<Instant>,
    /// Whether there was an invocation before.
    warm: bool,
    /// When sending has to end.
    ending: Ending,
}

/// Secrets that were fetched again and are refused still are left alone for so long.
const FETCH_AGAIN: Duration = Duration::from_mins(1);

/// How long they may take then: the invocation is over but for that.
const FETCHING_AGAIN: Duration = Duration::from_secs(5);

/// What is kept of an invocation's time to answer it, where secrets don't come.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How long answers are waited for after SIGTERM. Lambda kills 500 ms after it: the rest is for storing.
const LAST_ANSWERS: Duration = Duration::from_millis(150);

fn main() -> ExitCode {
    let prepared = match Settings::prepare(&variable, None, clock, BTreeMap::new()) {
        Ok(prepared) => prepared,
        Err(mistakes) => {
            for mistake in mistakes {
                log("settings", &format!("wrong setting: {mistake}"));
            }
            return ExitCode::from(BAD_SETTINGS);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.map(|runtime| {
        let served = runtime.block_on(serve(prepared));
        // A name that is still being looked up isn't waited for.
        runtime.shutdown_background();
        served
    });
    match served {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            log("runtime", &format!("the Lambda runtime ended: {error}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            log("runtime", &format!("no event loop: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Serves invocations until the Runtime API ends or SIGTERM comes: then the one at hand is answered first.
async fn serve(prepared: Prepared) -> Result<(), lambda_runtime::Error> {
    let mut terminations = signal(SignalKind::terminate())?;
    let (end, ending) = watch::channel(None);
    let (busy, mut is_busy) = watch::channel(false);
    // One invocation at a time: the lock is never waited for.
    let process = &Mutex::new(Process::new(prepared, ending.clone()));
    let handler = service_fn(move |event: LambdaEvent<Box<RawValue>>| async move {
        let mut process = process.lock().await;
        process.handle(&event.payload, &event.context).await
    });
    let (busy, ending) = (&busy, &ending);
    let answering = layer_fn(|service| answering(service, busy, ending));
    let served = Box::pin(Runtime::new(handler).layer(answering).run());
    let terminated = pin!(async {
        terminations.recv().await;
        end.send_replace(Some(Instant::now() + LAST_ANSWERS));
        let _ = is_busy.wait_for(|busy| !busy).await;
    });
    match select(terminated, served).await {
        Either::Left(_) => Ok(()),
        Either::Right((served, _)) => served,
    }
}

/// A service that says when it has an invocation at hand, until Lambda has the answer; at the end it takes no further one.
fn answering<S: Service<LambdaInvocation, Response = (), Error = lambda_runtime::Error>>(
    service: S,
    busy: &watch::Sender<bool>,
    ending: &Ending,
) -> impl Service<LambdaInvocation, Response = (), Error = lambda_runtime::Error> {
    service.map_future(move |answer| async move {
        busy.send_replace(true);
        let answered = answer.await;
        busy.send_replace(false);
        if ending.borrow().is_some() { pending().await } else { answered }
    })
}

impl Process {
    fn new(prepared: Prepared, ending: Ending) -> Self {
        let mut process = Self { prepared, fetched: BTreeMap::new(), fetched_again: None, warm: false, ending };
        process.end_in_time();
        process
    }

    /// Tells what sends when it has to end.
    fn end_in_time(&mut self) {
        if let Some(forwarder) = &mut self.prepared.forwarder {
            forwarder.transport.end_with(self.ending.clone());
        }
    }

    async fn handle(&mut self, payload: &RawValue, context: &Context) -> Result<Value, Failure> {
        let (now, start) = (now(), Instant::now());
        let own = own(context);
        let deadline = start + left(context.deadline, now);
        let invocation = Invocation { forwarder: &own, now, start, deadline, seed: seed(&context.request_id) };
        if self.prepared.forwarder.is_none() {
            let fetched = self.fetch(own.function_name.as_deref(), last_words(deadline), NO_TIME).await;
            // What Lambda is answered is in no log by itself.
            fetched.inspect_err(|failure| log("settings", &failure.sentence))?;
        }
        if !self.warm {
            warn_of_misspelt();
        }
        let Some(forwarder) = &mut self.prepared.forwarder else { return Err(unprepared(&[])) };
        let outcome = forwarder.handle(payload.get(), &invocation, &mut ()).await;
        for note in &outcome.notes {
            let (kind, level) = if note.is_warning() { ("warning", "WARN") } else { ("error", "ERROR") };
            say(kind, level, &note.to_string());
        }
        let report = Report {
            outcome: &outcome,
            function_name: own.function_name.as_deref().unwrap_or_default(),
            now,
            took: start.elapsed(),
            left: invocation.deadline.saturating_duration_since(Instant::now()),
            cold_start: !self.warm,
            metrics: forwarder.sending.own_metrics,
        };
        println!("{}", report.line());
        self.warm = true;
        if outcome.unauthorized {
            self.fetch_again(own.function_name.as_deref(), deadline).await;
        }
        result(&outcome)
    }

    /// Fetches the secrets that are kept elsewhere; `late` is said of those that haven't come by then. Those that come
    /// hold, whatever becomes of the others.
    async fn fetch(&mut self, function_name: Option<&str>, until: Instant, late: &str) -> Result<(), Failure> {
        let Prepared { client, elsewhere, .. } = &self.prepared;
        let end = async {
            match timeout_at(until, ended(self.ending.clone())).await {
                Ok(_) => ENDING.to_owned(),
                Err(_) => late.to_owned(),
            }
        };
        let (fetched, mistakes) = aws::fetch(client, elsewhere, function_name.unwrap_or_default(), end).await;
        let mut all = self.fetched.clone();
        all.extend(fetched);
        if all != self.fetched {
            self.prepare(all)?;
        }
        if mistakes.is_empty() { Ok(()) } else { Err(unprepared(&mistakes)) }
    }

    /// Wires everything anew with these secrets. What backends have counted stays.
    fn prepare(&mut self, fetched: BTreeMap<String, Secret>) -> Result<(), Failure> {
        let prepared = Settings::prepare(&variable, None, clock, fetched.clone());
        let before = std::mem::replace(&mut self.prepared, prepared.map_err(|mistakes| unprepared(&mistakes))?);
        if let (Some(forwarder), Some(before)) = (&mut self.prepared.forwarder, before.forwarder) {
            forwarder.inherit(before);
        }
        self.fetched = fetched;
        self.end_in_time();
        Ok(())
    }

    /// After an intake has refused the credentials, for the next invocation: they may have been changed.
    async fn fetch_again(&mut self, function_name: Option<&str>, deadline: Instant) {
        let just_now = self.fetched_again.is_some_and(|at| at.elapsed() < FETCH_AGAIN);
        if just_now || self.prepared.elsewhere.is_empty() {
            return;
        }
        let now = Instant::now();
        self.fetched_again = Some(now);
        let (again, last) = (now + FETCHING_AGAIN, last_words(deadline));
        let (until, late) =
            if again < last { (again, "no answer within 5 s; check its network") } else { (last, NO_TIME) };
        if let Err(failure) = self.fetch(function_name, until, late).await {
            log("error", &failure.sentence);
        }
    }
}

/// Secrets that can't be fetched, or that make a setting wrong.
fn unprepared(mistakes: &[Mistake]) -> Failure {
    let sentences: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    Failure { kind: "Settings", sentence: format!("wrong setting: {}", sentences.join("; ")) }
}

/// Until when secrets are waited for: there is time left to say that they don't come.
fn last_words(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    deadline.checked_sub(LAST_WORDS.min(left / 4)).unwrap_or(deadline)
}

/// What is said of secrets that don't come before the function has to end.
const NO_TIME: &str = "no answer before the function has to end; check its network, or raise its timeout";

/// Fails where a repeated invocation can still save something, or nobody else would see that all is wrong.
fn result(outcome: &Outcome) -> Result<Value, Failure> {
    if matches!(outcome.reply, Reply::Failed(_) | Reply::Transformed(_)) {
        // It names what has to be delivered again.
        return Ok(outcome.reply.to_json());
    }
    if let Some(note) = outcome.notes.iter().find(|note| matches!(note, Note::Unknown(_))) {
        return Err(Failure { kind: "UnknownEvent", sentence: note.to_string() });
    }
    if outcome.failed() > 0 {
        let sentences: Vec<_> = outcome.notes.iter().map(ToString::to_string).collect();
        return Err(Failure { kind: "Undelivered", sentence: sentences.join("; ") });
    }
    Ok(outcome.reply.to_json())
}

/// How long the invocation may take. Some emulators count the deadline from another
/// time than the epoch: what lies before this program was written is none.
fn left(deadline: u64, now: Timestamp) -> Duration {
    const WRITTEN: u64 = 1_700_000_000_000;
    const ASSUMED: Duration = Duration::from_mins(1);
    let now = u64::try_from(now.millis()).unwrap_or_default();
    if deadline < WRITTEN { ASSUMED } else { Duration::from_millis(deadline.saturating_sub(now)) }
}

/// What the invocation says of ourselves.
fn own(context: &Context) -> model::Forwarder {
    let arn: Vec<_> = context.invoked_function_arn.split(':').take(7).collect();
    let part = |index: usize| arn.get(index).filter(|part| !part.is_empty()).map(|part| (*part).to_owned());
    model::Forwarder {
        function_arn: (arn.len() == 7).then(|| arn.join(":")),
        function_name: part(6),
        region: part(3).or_else(|| variable("AWS_REGION")),
        log_group: Some(context.env_config.log_group.clone()).filter(|group| !group.is_empty()),
        instance: context.env_config.log_stream.clone(),
    }
}

/// A number that differs from one invocation to the next.
fn seed(request_id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    request_id.hash(&mut hasher);
    hasher.finish()
}

fn log(kind: &str, message: &str) {
    say(kind, "ERROR", message);
}

fn say(kind: &str, level: &str, message: &str) {
    println!("{}", serde_json::json!({ "kind": kind, "level": level, "message": message }));
}

/// Tells of variables that mean to be settings: with the first invocation, so that no start waits for it.
fn warn_of_misspelt() {
    let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    let names: Vec<_> = set.filter_map(|(name, _)| name.into_string().ok()).collect();
    for name in misspelt(names.iter().map(String::as_str)) {
        say("settings", "WARN", &format!("{name} is no setting and has no effect: is it misspelt?"));
    }
}

#[expect(clippy::disallowed_methods, reason = "the process reads its environment here, and nowhere else")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::disallowed_methods, reason = "the process reads the clock here, and nowhere else")]
fn clock() -> SystemTime {
    SystemTime::now()
}

fn now() -> Timestamp {
    let since = clock().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
