//! From log events to what has been sent.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use logferry::forwarder::Invocation;
use logferry::model::{Forwarder, Timestamp};
use logferry::settings::Settings;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::common::SOON;
use crate::common::lambda::bootstrap;
use crate::common::pack::packed;

/// Log events of one stream of a function, near the present.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    pub(crate) function: String,
    /// Of the first event, in ms: at the beginning of a second.
    pub(crate) start: i64,
    /// Time in ms, and message.
    pub(crate) messages: Vec<(i64, String)>,
}

/// What came of sending, as the summary and the sentences about errors say.
#[derive(Clone, Debug)]
pub(crate) struct Ferried {
    pub(crate) summary: Value,
    pub(crate) notes: Vec<String>,
}

/// An invocation that lines may be about.
pub(crate) const REQUEST: &str = "1ab9290b-5e02-46d5-9200-24a514aa506d";

/// A way to have an event sent to a backend: backend, settings, event.
pub(crate) type Way = fn(&str, &[(&str, &str)], &str) -> Ferried;

/// All ways, with a name that may be part of a function's.
pub(crate) const WAYS: [(&str, Way); 3] = [("library", library), ("replay", replay), ("lambda", lambda)];

impl Events {
    /// Of a function that no other test has, beginning a minute ago.
    pub(crate) fn of(function: &str) -> Self {
        Self { function: function.to_owned(), start: (now() - 60_000) / 1000 * 1000, messages: Vec::new() }
    }

    /// One more, so many ms after the start.
    pub(crate) fn at(mut self, after: i64, message: &str) -> Self {
        self.messages.push((self.start + after, message.to_owned()));
        self
    }

    /// The id of an event: as long as those of CloudWatch, and in their order.
    pub(crate) fn id(&self, place: usize) -> String {
        format!("4{:055}", self.messages[place].0 * 1000 + i64::try_from(place).unwrap())
    }

    pub(crate) fn log_group(&self) -> String {
        format!("/aws/lambda/{}", self.function)
    }

    pub(crate) const fn log_stream() -> &'static str {
        "2026/11/20/[$LATEST]15909c2fa6421cb147e9d82215066c24"
    }

    /// What Lambda is invoked with.
    pub(crate) fn event(&self) -> String {
        self.event_of(Self::log_stream())
    }

    /// The same of another log stream.
    pub(crate) fn event_of(&self, log_stream: &str) -> String {
        let events = self
            .messages
            .iter()
            .enumerate()
            .map(|(place, (time, message))| json!({ "id": self.id(place), "timestamp": time, "message": message }));
        let batch = json!({
            "messageType": "DATA_MESSAGE",
            "owner": "123456789012",
            "logGroup": self.log_group(),
            "logStream": log_stream,
            "subscriptionFilters": ["logferry"],
            "logEvents": events.collect::<Vec<_>>(),
        });
        packed(batch.to_string())
    }
}

impl Ferried {
    /// Fails unless everything was sent.
    pub(crate) fn assert_good(&self) {
        assert_eq!(self.notes, [] as [&str; 0], "{}", self.summary);
        for account in self.summary["backends"].as_object().unwrap().values() {
            assert_eq!(account["dropped"], json!({}), "{}", self.summary);
        }
    }
}

/// Through the library, in this process.
pub(crate) fn library(backend: &str, settings: &[(&str, &str)], event: &str) -> Ferried {
    let lookup = |name: &str| {
        let named = [("LOGFERRY_BACKENDS", backend)];
        let mut pairs = named.iter().chain(settings);
        pairs.find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    };
    let mut forwarder = Settings::prepare(&lookup, None, clock, BTreeMap::new()).unwrap().forwarder.unwrap();
    let own = Forwarder {
        function_arn: Some("arn:aws:lambda:eu-west-1:123456789012:function:logferry".into()),
        function_name: Some("logferry".into()),
        region: Some("eu-west-1".into()),
        log_group: Some("/aws/lambda/logferry".into()),
        instance: format!("2026/11/20/[$LATEST]{:032x}", std::process::id()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(async {
        let (now, start) = (Timestamp::from_millis(now()), Instant::now());
        let invocation = Invocation { forwarder: &own, now, start, deadline: start + SOON, seed: 0 };
        forwarder.handle(event, &invocation, &mut ()).await
    });
    Ferried {
        summary: serde_json::to_value(&outcome.ledger).unwrap(),
        notes: outcome.notes.iter().map(ToString::to_string).collect(),
    }
}

/// Through `logferry replay`.
pub(crate) fn replay(backend: &str, settings: &[(&str, &str)], event: &str) -> Ferried {
    let mut child = Command::new(env!("CARGO_BIN_EXE_logferry"))
        .args(["replay", "--to", backend, "--format", "ndjson", "-"])
        .env_clear()
        .env("AWS_REGION", "eu-west-1")
        .envs(settings.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(event.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    let summary = out.lines().last().unwrap_or_else(|| panic!("{}: {err}", output.status));
    Ferried { summary: serde_json::from_str(summary).unwrap(), notes: err.lines().map(str::to_owned).collect() }
}

/// Through `bootstrap` under a Runtime API of our own.
pub(crate) fn lambda(backend: &str, settings: &[(&str, &str)], event: &str) -> Ferried {
    let start = bootstrap().set("LOGFERRY_BACKENDS", backend);
    let lambda = settings.iter().fold(start, |start, (name, value)| start.set(name, value)).start();
    let invocation = lambda.invoke(event);
    let notes = invocation.notes().into_iter().map(str::to_owned).collect();
    Ferried { summary: invocation.summary, notes }
}

#[expect(clippy::disallowed_methods, reason = "servers have the real time")]
fn clock() -> SystemTime {
    SystemTime::now()
}

/// A time in ns since 1970 as text, without zeros at its end.
pub(crate) fn rfc3339(nanos: i64) -> String {
    let millis = Timestamp::from_millis(nanos.div_euclid(1_000_000)).to_string();
    let text = format!("{}{:06}", millis.trim_end_matches('Z'), nanos.rem_euclid(1_000_000));
    format!("{}Z", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    let since: Duration = clock().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}
