//! The Lambda function: cold start, and the only reader of the real environment and clock.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::{Context, Diagnostic, LambdaEvent, Runtime, service_fn};
use logferry::delivery::Http;
use logferry::event::Reply;
use logferry::forwarder::{Forwarder, Invocation, Note, Outcome};
use logferry::model::{self, Timestamp};
use logferry::settings::Settings;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::Mutex;
use tokio::time::Instant;

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

fn main() -> ExitCode {
    let forwarder = match Settings::from_lookup(&variable, None, clock) {
        Ok(forwarder) => forwarder,
        Err(mistakes) => {
            for mistake in mistakes {
                log("settings", &format!("wrong setting: {mistake}"));
            }
            return ExitCode::from(BAD_SETTINGS);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.map(|runtime| runtime.block_on(serve(forwarder)));
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

async fn serve(forwarder: Forwarder<Http>) -> Result<(), lambda_runtime::Error> {
    // One invocation at a time: the lock is never waited for.
    let forwarder = &Mutex::new(forwarder);
    let handler = service_fn(move |event: LambdaEvent<Box<RawValue>>| async move {
        let mut forwarder = forwarder.lock().await;
        handle(&mut forwarder, &event.payload, &event.context).await
    });
    Runtime::new(handler).run().await
}

async fn handle(forwarder: &mut Forwarder<Http>, payload: &RawValue, context: &Context) -> Result<Value, Failure> {
    let now = now();
    let left = left(context.deadline, now);
    let own = own(context);
    let invocation =
        Invocation { forwarder: &own, now, deadline: Instant::now() + left, seed: seed(&context.request_id) };
    let outcome = forwarder.handle(payload.get(), &invocation, &mut ()).await;
    for note in &outcome.notes {
        log("error", &note.to_string());
    }
    say(&outcome);
    result(&outcome)
}

/// One line for each invocation: what went where.
fn say(outcome: &Outcome) {
    if let Ok(summary) = serde_json::to_string(&outcome.ledger) {
        println!("{summary}");
    }
}

/// Fails where a repeated invocation can still save something, or nobody else would see that all is wrong.
fn result(outcome: &Outcome) -> Result<Value, Failure> {
    if outcome.reply != Reply::Nothing {
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
    request_id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn log(kind: &str, message: &str) {
    println!("{}", serde_json::json!({ "kind": kind, "level": "ERROR", "message": message }));
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
