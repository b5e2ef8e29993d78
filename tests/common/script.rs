//! A transport that answers as a test says, and takes down what it has acknowledged.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use logferry::backend::decompress;
use logferry::delivery::{Transport, TransportError, within};
use logferry::request::{Destination, Frame, Header, Request, Response, Weight};
use serde_json::Value;
use tokio::time::Instant;

use super::remote_write;

/// Answers to a request, and to how many of the same intake were before it.
type Answers = dyn Fn(&Request, usize) -> Answer;

/// Address, body, and the items in it.
type Read = (String, Vec<u8>, Rc<[Item]>);

/// Stands in for the network.
pub(crate) struct Script {
    answers: RefCell<Box<Answers>>,
    sent: RefCell<Vec<Sent>>,
    /// Requests that were read back, as many are sent more than once.
    read: RefCell<Vec<Read>>,
    /// When sending has to end.
    end: Cell<Option<Instant>>,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Nothing, ever.
    Never,
    Broken(TransportError),
    /// After so long.
    Response(Response, Duration),
    /// The same, but the items at these places only are taken.
    Partly(Response, Vec<usize>),
}

/// A request that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) url: String,
    /// Secrets as they are.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) items: Rc<[Item]>,
    /// Which of its items were acknowledged.
    pub(crate) taken: Vec<usize>,
}

/// An item of a body, and all that tells it from another one.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Item {
    /// So that comparing is fast.
    hash: u64,
    /// Where it goes, and what stands around it.
    pub(crate) place: Rc<str>,
    pub(crate) bytes: Rc<[u8]>,
    pub(crate) logs: u64,
    pub(crate) metrics: u64,
}

impl Script {
    pub(crate) fn new(answers: impl Fn(&Request, usize) -> Answer + 'static) -> Self {
        let answers: RefCell<Box<Answers>> = RefCell::new(Box::new(answers));
        Self { answers, sent: RefCell::default(), read: RefCell::default(), end: Cell::default() }
    }

    /// Sends nothing any more after this, as when the process is told to end; until it is turned.
    pub(crate) fn end_at(&self, end: Option<Instant>) {
        self.end.set(end);
    }

    /// Takes everything.
    pub(crate) fn accepting() -> Self {
        Self::new(|_, _| Answer::status(202))
    }

    /// Answers otherwise from now on; what was sent before is forgotten.
    pub(crate) fn turn(&self, answers: impl Fn(&Request, usize) -> Answer + 'static) {
        *self.answers.borrow_mut() = Box::new(answers);
        self.end.set(None);
        self.sent.borrow_mut().clear();
        self.read.borrow_mut().clear();
    }

    /// Everything that was sent, in its order.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.borrow().clone()
    }

    /// The messages of logs that were acknowledged, in their order.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.taken().iter().filter_map(Item::message).collect()
    }

    fn items(&self, request: &Request, to: &str) -> Rc<[Item]> {
        let mut read = self.read.borrow_mut();
        if let Some((.., items)) = read.iter().find(|(url, body, _)| url == to && *body == request.body) {
            return Rc::clone(items);
        }
        let items: Rc<[Item]> = items(request, to).into();
        read.push((to.to_owned(), request.body.clone(), Rc::clone(&items)));
        items
    }

    /// Items that were acknowledged.
    pub(crate) fn taken(&self) -> Vec<Item> {
        self.sent.borrow().iter().flat_map(Sent::taken).collect()
    }
}

impl Transport for Script {
    async fn ended(&self) -> Instant {
        let Some(end) = self.end.get() else { return std::future::pending().await };
        tokio::time::sleep_until(end).await;
        end
    }

    async fn send(&self, request: &Request, until: Instant) -> Result<Response, TransportError> {
        within(until, self.answer(request)).await
    }
}

impl Script {
    async fn answer(&self, request: &Request) -> Result<Response, TransportError> {
        assert!(self.end.get().is_none_or(|end| Instant::now() <= end), "sent after its end");
        let sent = Sent::of(request, |to| self.items(request, to));
        let before = self.sent.borrow().iter().filter(|other| other.url == sent.url).count();
        let (place, count) = (self.sent.borrow().len(), sent.items.len());
        self.sent.borrow_mut().push(sent);
        let answer = self.answers.borrow()(request, before);
        let (response, taken) = match answer {
            Answer::Never => std::future::pending().await,
            Answer::Broken(error) => return Err(error),
            Answer::Response(response, after) => {
                if after > Duration::ZERO {
                    tokio::time::sleep(after).await;
                }
                let all = if (200..300).contains(&response.status) { (0..count).collect() } else { Vec::new() };
                (response, all)
            }
            Answer::Partly(response, taken) => (response, taken),
        };
        if let Some(sent) = self.sent.borrow_mut().get_mut(place) {
            sent.taken = taken;
        }
        Ok(response)
    }
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self::with(status, b"")
    }

    pub(crate) fn with(status: u16, body: &[u8]) -> Self {
        Self::Response(Response { status, body: body.to_vec(), ..Response::default() }, Duration::ZERO)
    }

    pub(crate) fn refused() -> Self {
        Self::Broken(TransportError::Connect("connection refused".to_owned()))
    }
}

impl Sent {
    fn of(request: &Request, items: impl FnOnce(&str) -> Rc<[Item]>) -> Self {
        let (url, headers) = match &request.destination {
            Destination::Stdout => ("stdout".to_owned(), BTreeMap::new()),
            Destination::Http(endpoint) => {
                let value = |header: &Header| match header {
                    Header::Public(value) => value.clone(),
                    Header::Secret(secret) => secret.expose().to_owned(),
                };
                let headers = endpoint.headers.iter().map(|(name, header)| (name.to_ascii_lowercase(), value(header)));
                (endpoint.url.clone(), headers.collect())
            }
        };
        let items = items(&url);
        Self { url, headers, items, taken: Vec::new() }
    }

    pub(crate) fn taken(&self) -> Vec<Item> {
        self.taken.iter().filter_map(|place| self.items.get(*place)).cloned().collect()
    }
}

impl Item {
    fn new(place: &Rc<str>, bytes: &[u8], weight: Weight) -> Self {
        let mut hasher = DefaultHasher::new();
        (place, bytes).hash(&mut hasher);
        let Weight { logs, metrics } = weight;
        Self { hash: hasher.finish(), place: Rc::clone(place), bytes: bytes.into(), logs, metrics }
    }

    /// Of a log that is JSON.
    pub(crate) fn message(&self) -> Option<String> {
        let json: Value = serde_json::from_slice(&self.bytes).ok()?;
        json["message"].as_str().map(str::to_owned)
    }

    pub(crate) const fn weight(&self) -> Weight {
        Weight { logs: self.logs, metrics: self.metrics }
    }
}

/// The items of a request, whose body is read back.
pub(crate) fn items(request: &Request, to: &str) -> Vec<Item> {
    if request.route.starts_with("write-") {
        return series_items(request, to);
    }
    let plain = decompress(request.compression, &request.body).unwrap();
    let inside = request.items.last().map_or(0, |item| item.end);
    let from = request.frame.open(inside).len();
    assert_eq!(plain.len(), inside + request.frame.overhead(inside), "items and frame make up the body");
    // Around items of protobuf stands their length, too, which differs from body to body.
    let place: Rc<str> = if request.route == "push" {
        // An entry that is late is the same in the stream of late ones.
        format!("{to} {}", stream(&request.frame))
            .replace(",\"late\":\"true\"", "")
            .replace(", late=\"true\"", "")
            .into()
    } else {
        format!("{to} {:?}", request.frame).into()
    };
    let item = |(range, item): (std::ops::Range<usize>, &logferry::request::Item)| {
        Item::new(&place, &plain[from + range.start..from + range.end], item.weight)
    };
    request.places().zip(&request.items).map(item).collect()
}

/// The labels of a stream.
fn stream(frame: &Frame) -> String {
    let labels = match frame {
        Frame::Text { open, .. } => open,
        Frame::Protobuf(wrappers) => wrappers[0].before.as_slice(),
    };
    let from = labels.iter().position(|byte| *byte == b'{').unwrap();
    String::from_utf8(labels[from..].to_vec()).unwrap()
}

/// Those of remote write: a series is the same in both of its versions.
fn series_items(request: &Request, to: &str) -> Vec<Item> {
    let (series, place) = (remote_write::series(request), Rc::from(to));
    assert_eq!(series.len(), request.items.len(), "each item is a series");
    let item = |(series, item): (&_, &logferry::request::Item)| {
        Item::new(&place, format!("{series:?}").as_bytes(), item.weight)
    };
    series.iter().zip(&request.items).map(item).collect()
}

/// Key and content of everything in a folder's store, in the order of keys.
pub(crate) fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    walk(folder, folder, &mut files);
    files.sort();
    files
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            let key = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.push((key, std::fs::read(&path).unwrap()));
        }
    }
}
