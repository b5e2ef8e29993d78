//! The Lambda function as a process, with all that Lambda gives it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::SOON;
use super::intake::Intake;
use super::runtime_api::{Ended, Failure, RuntimeApi};

/// An API key that can be told from everything else.
pub(crate) const API_KEY: &str = "0123456789abcdef0123456789abcdef";

/// The log group of the function itself.
pub(crate) const OWN_LOG_GROUP: &str = "/aws/lambda/logferry";

/// How to start the function: the binary of this package, or the one that `LOGFERRY_TEST_BOOTSTRAP` names.
pub(crate) fn bootstrap() -> Bootstrap {
    let built = env!("CARGO_BIN_EXE_bootstrap").into();
    let mut command = Command::new(std::env::var_os("LOGFERRY_TEST_BOOTSTRAP").unwrap_or(built));
    command
        .env_clear()
        .env("AWS_LAMBDA_FUNCTION_NAME", "logferry")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", OWN_LOG_GROUP)
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/20/[$LATEST]0f7c")
        .env("AWS_REGION", "eu-west-1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Bootstrap { command }
}

/// How to start the function.
pub(crate) struct Bootstrap {
    command: Command,
}

/// The function at work.
pub(crate) struct Lambda {
    pub(crate) api: RuntimeApi,
    process: Process,
}

/// What came of an invocation.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// What Lambda was answered.
    pub(crate) result: Result<String, Failure>,
    pub(crate) took: Duration,
    /// What was written to standard output before the summary.
    pub(crate) lines: Vec<Value>,
    pub(crate) summary: Value,
}

/// A process that has ended by itself.
pub(crate) struct Exit {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<Value>,
    /// Both streams, byte for byte.
    pub(crate) all: String,
    /// How often it has asked for an invocation.
    pub(crate) asked: usize,
}

struct Process {
    child: Child,
    stdout: Arc<Output>,
    stderr: Arc<Output>,
}

/// What a process has written so far, line by line.
#[derive(Default)]
struct Output {
    state: Mutex<Written>,
    changed: Condvar,
}

#[derive(Default)]
struct Written {
    lines: Vec<String>,
    /// Lines that were looked at.
    read: usize,
    ended: bool,
}

impl Bootstrap {
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sends logs and metrics to an intake.
    pub(crate) fn datadog(self, intake: &Intake) -> Self {
        self.datadog_at(&intake.url(), &intake.url())
    }

    /// Sends logs to one address and metrics to another. A machine that is slow does not look like an intake that is.
    pub(crate) fn datadog_at(self, logs: &str, metrics: &str) -> Self {
        self.set("LOGFERRY_BACKENDS", "datadog")
            .set("DD_API_KEY", API_KEY)
            .set("DD_URL", logs)
            .set("DD_API_URL", metrics)
            .set("LOGFERRY_SEND_TIMEOUT", "60s")
    }

    /// Starts the function.
    pub(crate) fn start(mut self) -> Lambda {
        let api = RuntimeApi::start();
        let process = Process::start(self.command.env("AWS_LAMBDA_RUNTIME_API", api.address().to_string()));
        Lambda { api, process }
    }

    /// Starts a function that is to end by itself, before it asks for an invocation: it would get none.
    pub(crate) fn run(self) -> Exit {
        let lambda = self.start();
        lambda.api.close();
        lambda.wait()
    }
}

impl Lambda {
    /// Invokes it with plenty of time.
    pub(crate) fn invoke(&self, payload: &str) -> Invocation {
        self.invoke_within(payload, SOON)
    }

    /// Invokes it with so much time until its deadline.
    ///
    /// Whatever happens, each item is accounted for in one summary, nothing goes
    /// to standard error, and the key is nowhere.
    pub(crate) fn invoke_within(&self, payload: &str, left: Duration) -> Invocation {
        let Ended { result, took } = self.api.invoke(payload, left);
        let mut lines = self.process.stdout.through(is_summary);
        let summary = lines.pop().filter(|line| is_summary(line));
        let summary = summary.unwrap_or_else(|| panic!("no summary, but: {}", self.process.written()));
        let parse = |line: &String| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        let invocation =
            Invocation { result, took, lines: lines.iter().map(parse).collect(), summary: parse(&summary) };
        invocation.check_balance();
        assert_eq!(self.process.stderr.text(), "");
        assert!(!self.process.written().contains(API_KEY), "{}", self.process.written());
        if let Err(failure) = &invocation.result {
            assert!(!failure.error_message.contains(API_KEY), "{failure:?}");
        }
        invocation
    }

    /// Invokes it while a setting is wrong: it fails before there is anything to sum up.
    pub(crate) fn invoke_in_vain(&self, payload: &str) -> Failure {
        self.api.invoke(payload, SOON).result.unwrap_err()
    }

    /// All that was written so far.
    pub(crate) fn written(&self) -> String {
        self.process.written()
    }

    /// Sends SIGTERM, and waits.
    pub(crate) fn terminate(self) -> Exit {
        self.send_sigterm();
        self.wait()
    }

    fn send_sigterm(&self) {
        let id = self.process.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Invokes it, and sends SIGTERM as soon as something has happened; returns what was answered since then, and how
    /// the process ended.
    pub(crate) fn terminate_during(
        self,
        payload: &str,
        left: Duration,
        happened: impl Fn() -> bool,
    ) -> (Result<String, Failure>, Exit) {
        let id = self.api.hand(payload, left);
        wait_until(happened);
        self.send_sigterm();
        (self.api.answer_to(&id), self.wait())
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn wait(mut self) -> Exit {
        let stdout = self.process.stdout.through(|_| false);
        assert!(self.process.stdout.state.lock().unwrap().ended, "still there: {}", self.process.written());
        let stderr = self.process.stderr.through(|_| false);
        let status = self.process.child.wait().unwrap();
        let parse = |line: &String| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        Exit {
            status,
            stdout: stdout.iter().map(parse).collect(),
            all: [stdout, stderr].concat().join("\n"),
            asked: self.api.asked(),
        }
    }
}

impl Invocation {
    /// The sentences about what went wrong.
    pub(crate) fn notes(&self) -> Vec<&str> {
        self.lines.iter().filter(|line| line["level"] == "ERROR").filter_map(|line| line["message"].as_str()).collect()
    }

    /// The only sentence.
    pub(crate) fn note(&self) -> &str {
        let notes = self.notes();
        assert_eq!(notes.len(), 1, "{notes:?}");
        notes[0]
    }

    /// A number of the summary; 0 when it isn't there.
    pub(crate) fn count(&self, pointer: &str) -> u64 {
        self.summary.pointer(pointer).map_or(0, |count| count.as_u64().unwrap())
    }

    fn check_balance(&self) {
        let backends = self.summary["backends"].as_object().unwrap();
        let made = self.count("/logs") + self.count("/metrics");
        for account in backends.values() {
            let dropped: u64 = account["dropped"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
            let kept = ["sent", "stored", "filtered"].map(|name| account[name].as_u64().unwrap());
            assert_eq!(made, kept.into_iter().sum::<u64>() + dropped, "{}", self.summary);
        }
    }
}

fn wait_until(happened: impl Fn() -> bool) {
    let pause = Duration::from_millis(2);
    let times = SOON.as_millis() / pause.as_millis();
    assert!((0..times).any(|_| happened() || (thread::sleep(pause), false).1), "it never happened");
}

fn is_summary(line: &str) -> bool {
    line.starts_with(r#"{"kind":"summary","#)
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = Output::of(child.stdout.take().unwrap());
        let stderr = Output::of(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    /// All that was written, for the message of a failing test.
    fn written(&self) -> String {
        format!("{}\n{}", self.stdout.text(), self.stderr.text())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Output {
    /// Reads on a thread of its own, which ends with the process.
    fn of(stream: impl Read + Send + 'static) -> Arc<Self> {
        let output = Arc::new(Self::default());
        let shared = Arc::clone(&output);
        thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                shared.state.lock().unwrap().lines.push(line.unwrap_or_else(|error| error.to_string()));
                shared.changed.notify_all();
            }
            shared.state.lock().unwrap().ended = true;
            shared.changed.notify_all();
        });
        output
    }

    /// Waits for a line; returns all that weren't looked at, up to it. At the end of the stream, all that there are.
    fn through(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let found = |state: &Written| state.lines.iter().skip(state.read).position(|line| wanted(line));
        let state = self.state.lock().unwrap();
        let (mut state, _) =
            self.changed.wait_timeout_while(state, SOON, |state| !state.ended && found(state).is_none()).unwrap();
        let end = found(&state).map_or(state.lines.len(), |place| state.read + place + 1);
        let lines = state.lines[state.read..end].to_vec();
        state.read = end;
        lines
    }

    fn text(&self) -> String {
        self.state.lock().unwrap().lines.join("\n")
    }
}
