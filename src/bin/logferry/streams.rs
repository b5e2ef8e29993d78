//! Log events that were fetched one way or another, as the batches that CloudWatch Logs would deliver.

use std::collections::HashMap;
use std::path::Path;

use logferry::parse::{Line, Platform};
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use serde::Serialize;

use crate::input::{Content, STDIN};
use crate::mixed;

/// So many log events are a batch at most, and so many bytes their messages: about as many as CloudWatch Logs may deliver
/// at once.
const BATCH: usize = 10_000;
const BATCH_BYTES: usize = 8 << 20;

/// What CloudWatch Logs delivers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Batch {
    message_type: &'static str,
    owner: String,
    log_group: String,
    log_stream: String,
    log_events: Vec<Event>,
}

impl Batch {
    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// One log event of a batch.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Event {
    /// Empty where none came with it.
    pub(crate) id: String,
    /// In milliseconds.
    #[serde(rename = "timestamp")]
    pub(crate) time: i64,
    pub(crate) message: String,
}

impl Event {
    pub(crate) fn append(&mut self, line: &str) {
        self.message.push('\n');
        self.message.push_str(line);
    }
}

/// Where log events come from, each part empty when it isn't known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) owner: String,
    pub(crate) log_group: String,
    pub(crate) log_stream: String,
}

/// Log events by log stream, in the order in which they came.
#[derive(Default)]
pub(crate) struct Streams {
    streams: Vec<(Place, Vec<Event>)>,
    /// Which one the last event went to.
    current: usize,
}

impl Streams {
    pub(crate) fn push(&mut self, place: &Place, event: Event) {
        let known = self.streams.iter().position(|(known, _)| known == place);
        self.current = known.unwrap_or(self.streams.len());
        match self.streams.get_mut(self.current) {
            Some((_, events)) => events.push(event),
            None => self.streams.push((place.clone(), vec![event])),
        }
    }

    pub(crate) fn last(&mut self) -> Option<&mut Event> {
        self.streams.get_mut(self.current)?.1.last_mut()
    }

    /// Batches of each log stream: where no log group is known, the name of the input stands for the function's.
    pub(crate) fn batches(mut self, name: &str) -> Vec<Content> {
        let stem = Path::new(name).file_stem().filter(|_| name != STDIN);
        let function = stem.map_or_else(|| "stdin".to_owned(), |stem| stem.to_string_lossy().replace(' ', "-"));
        for (place, events) in &mut self.streams {
            if place.log_group.is_empty() {
                place.log_group = format!("/aws/lambda/{function}");
            }
            name_events(place, events);
        }
        self.split();
        self.streams.into_iter().flat_map(|(place, events)| batches(place, events)).map(Content::Events).collect()
    }

    /// Gives environments whose lines were mixed, as no log stream was named, a stream each.
    fn split(&mut self) {
        let streams = std::mem::take(&mut self.streams);
        self.streams = streams.into_iter().flat_map(|(place, events)| split(place, events)).collect();
    }
}

/// Batches of one log stream's events, each as long as it may be and up to the beginning of an invocation, so that what
/// is said of one is read at once.
fn batches(place: Place, events: Vec<Event>) -> Vec<Batch> {
    let Place { owner, log_group, log_stream } = place;
    let mut lens = Vec::new();
    let mut rest = events.as_slice();
    while !rest.is_empty() {
        let (batch, behind) = rest.split_at(len_of_batch(rest));
        lens.push(batch.len());
        rest = behind;
    }
    let mut events = events.into_iter();
    let batch = |len| Batch {
        message_type: "DATA_MESSAGE",
        owner: owner.clone(),
        log_group: log_group.clone(),
        log_stream: log_stream.clone(),
        log_events: events.by_ref().take(len).collect(),
    };
    lens.into_iter().map(batch).collect()
}

/// How many events the first batch has.
fn len_of_batch(events: &[Event]) -> usize {
    let mut bytes = 0;
    let fits = |event: &&Event| {
        bytes += event.message.len();
        bytes <= BATCH_BYTES
    };
    let most = events.iter().take(BATCH).take_while(fits).count().max(1);
    let (batch, behind) = events.split_at(most);
    if behind.is_empty() {
        return most;
    }
    // What Lambda writes before the first line of an invocation goes with it.
    let mut begins = None;
    for (place, event) in batch.iter().enumerate().rev() {
        match Line::parse(&event.message, None).into_platform() {
            Ok(Platform::Start(_)) if begins.is_none() => begins = Some(place),
            Ok(platform) if begins == Some(place + 1) && comes_before_start(&platform) => begins = Some(place),
            _ if begins.is_some() => break,
            _ => {}
        }
    }
    begins.filter(|place| *place > 0).unwrap_or(most)
}

/// Whether Lambda writes it while an environment begins.
const fn comes_before_start(platform: &Platform<'_>) -> bool {
    matches!(
        platform,
        Platform::Extension(_)
            | Platform::InitReport(_)
            | Platform::InitStart(_)
            | Platform::LogsSubscription(_)
            | Platform::RestoreReport(_)
            | Platform::RestoreStart(_)
            | Platform::TelemetrySubscription(_)
    )
}

/// Gives events without an id one that follows from what they are: of those that come again, as with the same file,
/// a backend that knows ids keeps one, and of others each.
fn name_events(place: &Place, events: &mut [Event]) {
    let mut alike: HashMap<[u8; SHA256_OUTPUT_LEN], u64> = HashMap::new();
    for event in events.iter_mut().filter(|event| event.id.is_empty()) {
        let Place { owner, log_group, log_stream } = place;
        let told = format!("{owner}\0{log_group}\0{log_stream}\0{}\0{}", event.time, event.message);
        let mut hash = [0; SHA256_OUTPUT_LEN];
        hash.copy_from_slice(digest(&SHA256, told.as_bytes()).as_ref());
        let nth = alike.entry(hash).and_modify(|nth| *nth += 1).or_default();
        let (half, _) = hash.split_at(SHA256_OUTPUT_LEN / 2);
        event.id = half.iter().map(|byte| format!("{byte:02x}")).chain([format!("-{nth}")]).collect();
    }
}

fn split(place: Place, events: Vec<Event>) -> Vec<(Place, Vec<Event>)> {
    let messages = || events.iter().map(|event| event.message.as_str());
    let streams = if place.log_stream.is_empty() { mixed::streams(messages()) } else { None };
    let Some(streams) = streams else { return vec![(place, events)] };
    let mut split: Vec<(Place, Vec<Event>)> = Vec::new();
    for (event, stream) in events.into_iter().zip(streams) {
        if stream >= split.len() {
            split.resize_with(stream + 1, || (place.clone(), Vec::new()));
        }
        if let Some((_, events)) = split.get_mut(stream) {
            events.push(event);
        }
    }
    split
}
