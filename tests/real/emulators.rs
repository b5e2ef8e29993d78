//! The real `bootstrap` under a Runtime API that others wrote: AWS's Runtime Interface Emulator, and cargo-lambda's.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::common::intake::Intake;
use crate::common::lambda::{API_KEY, OWN_LOG_GROUP};
use crate::common::pack::{gzip, payload};
use crate::common::server::{Answer, Received};
use crate::datadog_logs::{flattening, stored};
use crate::ferry::{Events, now};
use crate::servers::{eventually, request, server, try_request};

/// Name of the program, how to start it, the function's name.
type Emulator = (&'static str, fn(&str, Settings<'_>) -> Function, &'static str);

type Settings<'a> = &'a [(&'a str, &'a str)];

const RIE: Emulator = ("RIE", rie, "function");
/// Which calls a function that it didn't start itself so.
const CARGO_LAMBDA: Emulator = ("CARGO_LAMBDA", cargo_lambda, "_");

/// The function at work. Ends with its test.
struct Function {
    processes: Vec<Child>,
    address: String,
    name: &'static str,
    /// What the function writes, and perhaps the emulator.
    written: PathBuf,
    _relay: Option<Intake>,
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn rie_around_stdout() {
    writes_to_standard_output(RIE);
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn rie_around_datadog() {
    sends_to_datadog(RIE);
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn cargo_lambda_around_stdout() {
    writes_to_standard_output(CARGO_LAMBDA);
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn cargo_lambda_around_datadog() {
    sends_to_datadog(CARGO_LAMBDA);
}

fn writes_to_standard_output(emulator: Emulator) {
    let Some(function) = Function::start(emulator, &[("LOGFERRY_BACKENDS", "stdout")]) else { return };
    let events = Events::of("emulated").at(1, "one\n").at(2, "two\tand a \"quote\"");
    let mut summaries = 0;
    for _ in 0..2 {
        let good = function.invoke(&events.event());
        summaries += 1;
        let lines = function.lines(summaries);
        assert_eq!(good, Value::Null, "{lines:#?}");
        let logs: Vec<_> = lines.iter().filter(|line| line["kind"] == "log").map(|line| &line["message"]).collect();
        let expected: Vec<_> = events.messages.iter().map(|(_, message)| message).collect();
        assert_eq!(logs[logs.len() - 2..], expected[..]);
        let summary = lines.last().unwrap();
        assert_eq!((&summary["logs"], &summary["backends"]["stdout"]["sent"]), (&json!(2), &json!(2)));

        let whole = gzip(json!({ "messageType": "DATA_MESSAGE" }).to_string().as_bytes());
        for damaged in [&payload(b"hello"), &payload(&whole[..whole.len() / 2]), r#"{"awslogs":{"data":"&&&&"}}"#] {
            assert_eq!(function.invoke(damaged), Value::Null);
            summaries += 1;
            assert_eq!(function.lines(summaries).last().unwrap()["damaged"], 1);
        }
        for unknown in ["{}", r#"{"Records":[]}"#, "[]"] {
            let failure = function.invoke(unknown);
            summaries += 1;
            function.lines(summaries);
            assert_eq!(failure["errorType"], "UnknownEvent", "{failure}");
            let sentence = failure["errorMessage"].as_str().unwrap();
            assert!(sentence.contains("expected a CloudWatch Logs subscription"), "{sentence}");
        }
    }
}

fn sends_to_datadog(emulator: Emulator) {
    let Some(victorialogs) = server("VICTORIALOGS") else { return };
    let intake = flattening(&victorialogs);
    let url = intake.url();
    let settings =
        [("LOGFERRY_BACKENDS", "datadog"), ("DD_API_KEY", API_KEY), ("DD_URL", &*url), ("DD_API_URL", &*url)];
    let Some(function) = Function::start(emulator, &settings) else { return };
    for round in 1..=3 {
        let name = format!("emulated-{}-{round}", emulator.0.to_lowercase());
        let events = Events::of(&name).at(1, "one\n").at(2, "two");
        assert_eq!(function.invoke(&events.event()), Value::Null, "{:#?}", function.lines(round));
        let stored = stored(&victorialogs, &name, 2);
        let messages: Vec<_> = stored.iter().map(|log| log["_msg"].as_str().unwrap()).collect();
        assert_eq!(messages, ["one\n", "two"]);
        assert_eq!(function.invoke(r#"{"awslogs":{"data":"H4sI"}}"#), Value::Null);
    }
    assert!(!function.written().contains(API_KEY), "{}", function.written());
}

impl Function {
    /// Starts a function if the emulator is there.
    fn start((program, start, _): Emulator, settings: Settings<'_>) -> Option<Self> {
        Some(start(&server(program)?, settings))
    }

    /// Invokes it; returns what the caller is given.
    fn invoke(&self, event: &str) -> Value {
        let url = format!("http://{}/2015-03-31/functions/{}/invocations", self.address, self.name);
        let response = request(Method::POST, &url, &[], event.into());
        serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("{}: {}", response.status, response.text()))
    }

    /// All lines of JSON that the function has written, once so many invocations are summed up.
    fn lines(&self, summaries: usize) -> Vec<Value> {
        eventually(&format!("{summaries} summaries"), || {
            let written = self.written();
            let lines = written.lines().filter(|line| line.starts_with("{\"kind\":"));
            let lines: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
            (lines.iter().filter(|line| line["kind"] == "summary").count() >= summaries).then_some(lines)
        })
    }

    fn written(&self) -> String {
        std::fs::read_to_string(&self.written).unwrap()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// AWS's emulator, which starts the function itself.
fn rie(program: &str, settings: Settings<'_>) -> Function {
    let (address, api) = (free_address(), free_address());
    let written = new_file();
    let mut command = command(program.as_ref(), &written);
    command.args(["--runtime-interface-emulator-address", &address, "--runtime-api-address", &api]).arg(bootstrap());
    as_lambda(&mut command, RIE.2, settings);
    let processes = vec![command.spawn().unwrap()];
    listening(&address);
    Function { processes, address, name: RIE.2, written, _relay: None }
}

/// cargo-lambda's emulator, and the function beside it.
fn cargo_lambda(program: &str, settings: Settings<'_>) -> Function {
    let address = free_address();
    let (host, port) = address.split_once(':').unwrap();
    let mut emulator = command(program.as_ref(), &new_file());
    emulator.args(["lambda", "watch", "--only-lambda-apis", "--ignore-changes", "-A", host, "-P", port]);
    let emulator = emulator.current_dir(env!("CARGO_MANIFEST_DIR")).spawn().unwrap();
    listening(&address);
    let relay = with_deadlines(&address);
    let written = new_file();
    let mut function = command(&bootstrap(), &written);
    as_lambda(&mut function, CARGO_LAMBDA.2, settings);
    function.env("AWS_LAMBDA_RUNTIME_API", format!("{}/.rt", relay.url()));
    let processes = vec![function.spawn().unwrap(), emulator];
    Function { processes, address, name: CARGO_LAMBDA.2, written, _relay: Some(relay) }
}

/// Passes a Runtime API on, with a deadline that is a time: cargo-lambda gives 600000, which is ten minutes after the
/// beginning of 1970.
fn with_deadlines(address: &str) -> Intake {
    let base = format!("http://{address}");
    Intake::answering(move |received: &Received, _| {
        let own = ["connection", "content-length", "host", "transfer-encoding"];
        let headers = received.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
        let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let method = Method::from_bytes(received.method.as_bytes()).unwrap();
        let url = format!("{base}{}", received.target);
        let Ok(response) = try_request(method, &url, &headers, received.body.clone()) else { return Answer::close() };
        let deadline = (now() + 600_000).to_string();
        let headers = response.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
        let headers = headers.map(|(name, value)| match name.as_str() {
            "lambda-runtime-deadline-ms" => (name.as_str(), deadline.as_str()),
            _ => (name.as_str(), value.as_str()),
        });
        Answer::with(response.status, &headers.collect::<Vec<_>>(), &response.body)
    })
}

fn bootstrap() -> PathBuf {
    std::env::var_os("LOGFERRY_TEST_BOOTSTRAP").unwrap_or_else(|| env!("CARGO_BIN_EXE_bootstrap").into()).into()
}

fn command(program: &Path, written: &Path) -> Command {
    let out = File::options().append(true).open(written).unwrap();
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
    command
}

/// The environment that Lambda gives, and nothing else.
fn as_lambda(command: &mut Command, name: &str, settings: Settings<'_>) {
    command
        .env_clear()
        .env("AWS_LAMBDA_FUNCTION_NAME", name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", OWN_LOG_GROUP)
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/20/[$LATEST]0f7c")
        .env("AWS_REGION", "eu-west-1")
        .envs(settings.iter().copied());
}

/// An empty file of its own.
fn new_file() -> PathBuf {
    use std::sync::atomic::{AtomicUsize, Ordering};

    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::SeqCst);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("real-{}-{number}.txt", std::process::id()));
    File::create(&path).unwrap();
    path
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn listening(address: &str) {
    eventually(&format!("answer at {address}"), || TcpStream::connect(address).ok());
}
