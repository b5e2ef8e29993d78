//! Log events that were fetched one way or another, as the batches that CloudWatch Logs would deliver.

use std::collections::HashMap;
use std::path::Path;

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use serde::Serialize;

use crate::input::{Content, STDIN};
use crate::mixed;

/// What CloudWatch Logs delivers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    message_type: &'static str,
    owner: String,
    log_group: String,
    log_stream: String,
    log_events: Vec<Event>,
}

/// One log event of a batch.
#[derive(Serialize)]
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

    /// A batch for each log stream: where no log group is known, the name of the input stands for the function's.
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
        let batch = |(place, log_events): (Place, Vec<Event>)| {
            let Place { owner, log_group, log_stream } = place;
            let batch = Batch { message_type: "DATA_MESSAGE", owner, log_group, log_stream, log_events };
            Content::Batch(serde_json::to_vec(&batch).unwrap_or_default())
        };
        self.streams.into_iter().map(batch).collect()
    }

    /// Gives environments whose lines were mixed, as no log stream was named, a stream each.
    fn split(&mut self) {
        let streams = std::mem::take(&mut self.streams);
        self.streams = streams.into_iter().flat_map(|(place, events)| split(place, events)).collect();
    }
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
