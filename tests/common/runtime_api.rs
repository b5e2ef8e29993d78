//! A stand-in for the API from which a Lambda function takes its invocations.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::SOON;
use super::server::{Answer, Received, Server};

const PATH: &str = "/2018-06-01/runtime/";

/// Hands out what it is given, one after another, and keeps what comes back.
pub(crate) struct RuntimeApi {
    server: Server,
    exchange: Arc<Exchange>,
}

/// What a function answered.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) result: Result<String, Failure>,
    /// From when the invocation could be taken.
    pub(crate) took: Duration,
}

/// What a function says of an invocation that failed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure {
    pub(crate) error_type: String,
    pub(crate) error_message: String,
}

#[derive(Default)]
struct Exchange {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Invocation>,
    ended: HashMap<String, Result<String, Failure>>,
    asked: usize,
    handed: usize,
    closed: bool,
}

struct Invocation {
    id: String,
    deadline: u128,
    payload: String,
}

impl RuntimeApi {
    pub(crate) fn start() -> Self {
        let exchange = Arc::new(Exchange::default());
        let server = Server::start({
            let exchange = Arc::clone(&exchange);
            move |received| exchange.answer(received)
        });
        Self { server, exchange }
    }

    /// For `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Invokes the function with so much time until its deadline; returns what it answers.
    pub(crate) fn invoke(&self, payload: &str, left: Duration) -> Ended {
        let started = monotonic();
        let id = self.hand(payload, left);
        let result = self.answer_to(&id);
        Ended { result, took: monotonic() - started }
    }

    /// Waits until an invocation is answered.
    pub(crate) fn answer_to(&self, id: &str) -> Result<String, Failure> {
        let state = self.exchange.state.lock().unwrap();
        let (mut state, _) =
            self.exchange.changed.wait_timeout_while(state, SOON, |state| !state.ended.contains_key(id)).unwrap();
        let result = state.ended.remove(id);
        drop(state);
        result.unwrap_or_else(|| panic!("the invocation {id} wasn't answered"))
    }

    /// Has an invocation ready, and waits for nothing; returns its id.
    pub(crate) fn hand(&self, payload: &str, left: Duration) -> String {
        let mut state = self.exchange.state.lock().unwrap();
        state.handed += 1;
        let id = format!("8edab1f8-7d35-4a8a-8a3c-{:012}", state.handed);
        let deadline = (since_epoch() + left).as_millis();
        state.waiting.push_back(Invocation { id: id.clone(), deadline, payload: payload.to_owned() });
        self.exchange.changed.notify_all();
        id
    }

    /// Whether an invocation was answered.
    pub(crate) fn has_ended(&self, id: &str) -> bool {
        self.exchange.state.lock().unwrap().ended.contains_key(id)
    }

    /// How often the function has asked for an invocation.
    pub(crate) fn asked(&self) -> usize {
        self.exchange.state.lock().unwrap().asked
    }

    /// Ends the connections on which the function waits.
    pub(crate) fn close(&self) {
        self.exchange.state.lock().unwrap().closed = true;
        self.exchange.changed.notify_all();
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.close();
    }
}

impl Exchange {
    fn answer(&self, received: &Received) -> Answer {
        let path = received.target.strip_prefix(PATH).unwrap_or_default();
        if path == "invocation/next" {
            return self.next();
        }
        let (id, ended) = match path.strip_prefix("invocation/").and_then(|rest| rest.split_once('/')) {
            Some((id, "response")) => (id, Ok(String::from_utf8(received.body.clone()).unwrap())),
            Some((id, "error")) => (id, Err(serde_json::from_slice(&received.body).unwrap())),
            _ => return Answer::status(404),
        };
        self.state.lock().unwrap().ended.insert(id.to_owned(), ended);
        self.changed.notify_all();
        Answer::status(202)
    }

    /// Waits until there is an invocation.
    fn next(&self) -> Answer {
        let mut state = self.state.lock().unwrap();
        state.asked += 1;
        let mut state = self.changed.wait_while(state, |state| state.waiting.is_empty() && !state.closed).unwrap();
        let Some(Invocation { id, deadline, payload }) = state.waiting.pop_front() else { return Answer::close() };
        drop(state);
        let headers = [
            ("Lambda-Runtime-Aws-Request-Id", id.as_str()),
            ("Lambda-Runtime-Deadline-Ms", &deadline.to_string()),
            ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:logferry"),
            ("Content-Type", "application/json"),
        ];
        Answer::with(200, &headers, payload.as_bytes())
    }
}

#[expect(clippy::disallowed_methods, reason = "a deadline is told in real time")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the process has its own clock, which can't be paused")]
fn monotonic() -> Instant {
    Instant::now()
}
