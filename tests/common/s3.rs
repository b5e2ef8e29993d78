//! A stand-in for S3 and SQS: one bucket and one queue in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::server::{Answer, Received, Server};

/// Ends with its test.
pub(crate) struct Aws {
    server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By `/bucket/key`.
    objects: BTreeMap<String, Vec<u8>>,
    messages: Vec<String>,
    /// Method and target of each call.
    calls: Vec<String>,
    trouble: Option<Answer>,
    /// Whether nothing may be deleted.
    keeps: bool,
    /// How long each answer takes.
    slow: Duration,
    /// What the queue takes no longer messages than, if it says so.
    longest_message: Option<usize>,
}

impl Aws {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let server = Server::start({
            let state = Arc::clone(&state);
            move |received| {
                let slow = state.lock().unwrap().slow;
                std::thread::sleep(slow);
                state.lock().unwrap().answer(received)
            }
        });
        Self { server, state }
    }

    /// For `AWS_ENDPOINT_URL`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// What is in the bucket: `/bucket/key` and content.
    pub(crate) fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.state.lock().unwrap().objects.clone()
    }

    pub(crate) fn put(&self, path: &str, content: &[u8]) {
        self.state.lock().unwrap().objects.insert(path.to_owned(), content.to_vec());
    }

    /// What was put into the queue.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.state.lock().unwrap().messages.clone()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.state.lock().unwrap().calls.clone()
    }

    /// Answers to everything in one way; `None` heals it.
    pub(crate) fn trouble(&self, answer: Option<Answer>) {
        self.state.lock().unwrap().trouble = answer;
    }

    /// Lets nothing be deleted, as a role without that permission.
    pub(crate) fn keep(&self) {
        self.state.lock().unwrap().keeps = true;
    }

    /// Takes no longer messages.
    pub(crate) fn longest_message(&self, bytes: usize) {
        self.state.lock().unwrap().longest_message = Some(bytes);
    }

    /// Takes so long for each answer.
    pub(crate) fn slow(&self, slow: Duration) {
        self.state.lock().unwrap().slow = slow;
    }
}

impl State {
    fn answer(&mut self, received: &Received) -> Answer {
        self.calls.push(format!("{} {}", received.method, received.target));
        let signed = received.headers.get("authorization").is_some_and(|value| value.starts_with("AWS4-HMAC-SHA256 "));
        if let Some(trouble) = &self.trouble {
            return trouble.clone();
        }
        let (path, query) = received.target.split_once('?').unwrap_or((&received.target, ""));
        let path = &decoded(path);
        match received.method.as_str() {
            _ if !signed => Answer::status(403),
            "POST" if path == "/" => self.message(received),
            "PUT" if received.headers.contains_key("if-none-match") && self.objects.contains_key(path) => {
                Answer::with(412, &[], b"<Error><Code>PreconditionFailed</Code></Error>")
            }
            "PUT" => {
                self.objects.insert(path.to_owned(), received.body.clone());
                Answer::with(200, &[], b"")
            }
            "GET" if !query.is_empty() => self.list(path, query),
            "GET" => match self.objects.get(path.as_str()) {
                Some(content) => Answer::with(200, &[], content),
                None => Answer::with(404, &[], b"<Error><Code>NoSuchKey</Code></Error>"),
            },
            "DELETE" if self.keeps => Answer::with(403, &[], b"<Error><Code>AccessDenied</Code></Error>"),
            "DELETE" => {
                self.objects.remove(path);
                Answer::raw("HTTP/1.1 204 No Content\r\n\r\n")
            }
            _ => Answer::status(405),
        }
    }

    fn message(&mut self, received: &Received) -> Answer {
        let message = received.json();
        assert_eq!(received.headers["x-amz-target"], "AmazonSQS.SendMessage");
        let body = message["MessageBody"].as_str().unwrap_or_default();
        if let Some(longest) = self.longest_message.filter(|longest| body.len() > *longest) {
            let why =
                format!("One or more parameters are invalid. Reason: Message must be shorter than {longest} bytes.");
            let said = json!({ "__type": "com.amazonaws.sqs#InvalidParameterValueException", "message": why });
            return Answer::with(400, &[], said.to_string().as_bytes());
        }
        self.messages.push(body.to_owned());
        Answer::with(200, &[], json!({ "MessageId": "1" }).to_string().as_bytes())
    }

    fn list(&self, bucket: &str, query: &str) -> Answer {
        let value = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let value = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next().unwrap_or_default();
            decoded(value)
        };
        let (prefix, after) = (value("prefix"), value("start-after"));
        let keys = self.objects.keys().filter_map(|path| path.strip_prefix(bucket)?.strip_prefix('/'));
        let keys = keys.filter(|key| key.starts_with(&prefix) && **key > *after);
        let keys = keys.take(value("max-keys").parse().unwrap());
        let contents: Vec<_> =
            keys.map(|key| format!("<Contents><Key>{}</Key></Contents>", key.replace('&', "&amp;"))).collect();
        Answer::with(200, &[], format!("<ListBucketResult>{}</ListBucketResult>", contents.concat()).as_bytes())
    }
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

/// What S3 tells of an object.
pub(crate) fn s3_event(bucket: &str, key: &str) -> Value {
    json!({ "Records": [{ "eventSource": "aws:s3", "s3": { "bucket": { "name": bucket }, "object": { "key": key } } }] })
}
