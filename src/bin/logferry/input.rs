//! What is replayed: files, folders and standard input, and what they hold.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use logferry::event::Limits;
use logferry::model::Timestamp;
use logferry::parse::Line;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{mixed, now};

/// What gzip begins with.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What standard input is called.
const STDIN: &str = "standard input";

/// What is replayed: its name, and its bytes.
pub(crate) struct Input {
    pub(crate) name: String,
    bytes: Vec<u8>,
}

/// What the bytes of an input are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Content {
    /// A batch: JSON, gzipped or not.
    Batch(Vec<u8>),
    /// What the Lambda is invoked with.
    Event(String),
}

impl Input {
    /// Reads a file, or standard input where the path is `-`.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        if path.as_os_str() == "-" {
            io::stdin().lock().read_to_end(&mut bytes)?;
            return Ok(Self { name: STDIN.to_owned(), bytes });
        }
        Ok(Self { name: path.display().to_string(), bytes: std::fs::read(path)? })
    }

    /// What it holds, gzipped or not: an event, a batch, either of them on each line, what the AWS CLI shows of a log, or
    /// the lines of one.
    pub(crate) fn contents(&self, limits: Limits) -> Vec<Content> {
        let inflated = inflated(&self.bytes, limits);
        let bytes = match &inflated {
            Some(inflated) => inflated,
            // What can't be inflated is damaged, or too large: the forwarder says how.
            None if self.bytes.starts_with(&GZIP_MAGIC) => return vec![Content::Batch(self.bytes.clone())],
            None => &self.bytes,
        };
        let decoded = without_mark(bytes);
        let bytes = decoded.as_ref();
        if let Some(content) = one(bytes) {
            return vec![content];
        }
        if let Some(streams) = captured(bytes, &self.name) {
            return streams;
        }
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let lines: Option<Vec<_>> = lines.map(one).collect();
        match lines {
            Some(lines) if !lines.is_empty() => lines,
            // What begins as an event or a batch is one that is damaged: the forwarder says how.
            _ if looks_like_batch(bytes) => vec![Content::Batch(bytes.to_vec())],
            _ => log_lines(&String::from_utf8_lossy(bytes), &self.name),
        }
    }
}

/// All files, those in folders sorted by name. A folder that can't be read is named itself, and fails where it is read.
pub(crate) fn files(paths: &[PathBuf]) -> Vec<PathBuf> {
    let inside = |path: &PathBuf| match files_in(path) {
        Ok(Some(inside)) => files(&inside),
        Ok(None) | Err(_) => vec![path.clone()],
    };
    paths.iter().flat_map(inside).collect()
}

/// What is in a folder, sorted by name, without hidden files and without links that lead back to the folder or above
/// it; `None` when it isn't a folder.
fn files_in(path: &Path) -> io::Result<Option<Vec<PathBuf>>> {
    if !path.is_dir() {
        return Ok(None);
    }
    let here = path.canonicalize()?;
    let mut files: Vec<_> =
        std::fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?.iter().map(std::fs::DirEntry::path).collect();
    files.retain(|path| {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        !hidden && !path.canonicalize().is_ok_and(|place| here.starts_with(place))
    });
    files.sort();
    Ok(Some(files))
}

/// What gzip holds, all of its members; nothing when it isn't gzip, is damaged, or holds more than is read.
fn inflated(bytes: &[u8], limits: Limits) -> Option<Vec<u8>> {
    let mut inflated = Vec::new();
    let mut members = bytes.starts_with(&GZIP_MAGIC).then(|| MultiGzDecoder::new(bytes))?.take(limits.inflated_bytes);
    members.read_to_end(&mut inflated).ok()?;
    (members.limit() > 0).then_some(inflated)
}

/// Without the byte-order mark that some programs begin a text with; what such a mark says is UTF-16 as UTF-8.
fn without_mark(bytes: &[u8]) -> Cow<'_, [u8]> {
    let utf_16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units =
            rest.chunks(2).map(|pair| unit([pair.first().copied().unwrap_or(0), pair.get(1).copied().unwrap_or(0)]));
        let text: String = char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        Cow::Owned(text.into_bytes())
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => Cow::Borrowed(rest),
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes),
        _ => Cow::Borrowed(bytes),
    }
}

/// One event or batch; `None` for anything else.
fn one(bytes: &[u8]) -> Option<Content> {
    let text = String::from_utf8_lossy(bytes);
    let object: HashMap<String, &RawValue> = serde_json::from_str(&text).ok()?;
    if object.contains_key("logEvents") {
        return Some(Content::Batch(bytes.to_vec()));
    }
    if ["awslogs", "Records", "records"].iter().any(|key| object.contains_key(*key)) {
        return Some(Content::Event(text.into_owned()));
    }
    // Lambda's record of an invocation that failed.
    let event = object.get("requestPayload").filter(|payload| payload.get().starts_with('{'))?;
    Some(Content::Event(event.get().to_owned()))
}

fn looks_like_batch(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii_start();
    let head = String::from_utf8_lossy(bytes.get(..2000).unwrap_or(bytes));
    head.starts_with('{')
        && ["\"messageType\"", "\"logEvents\"", "\"logGroup\"", "\"awslogs\""].iter().any(|key| head.contains(key))
}

/// What `aws logs filter-log-events` and `get-log-events` print.
#[derive(Deserialize)]
struct Captured {
    events: Vec<CapturedEvent>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CapturedEvent {
    event_id: Option<String>,
    #[serde(default)]
    log_stream_name: String,
    timestamp: i64,
    message: String,
}

/// Batches of what the AWS CLI has fetched of a log; `None` for anything else.
fn captured(bytes: &[u8], name: &str) -> Option<Vec<Content>> {
    let Captured { events } = serde_json::from_str(&String::from_utf8_lossy(bytes)).ok()?;
    let mut streams = Streams::default();
    for (number, CapturedEvent { event_id, log_stream_name, timestamp, message }) in events.into_iter().enumerate() {
        let id = event_id.unwrap_or_else(|| (number + 1).to_string());
        streams.push(&log_stream_name, Event { id, time: timestamp, message });
    }
    Some(streams.batches(name))
}

/// Batches of the lines of a log, as `aws logs tail`, an export to S3 or a test prints them.
fn log_lines(text: &str, name: &str) -> Vec<Content> {
    let now = now().millis();
    let is_stamped = text.lines().filter_map(Stamped::parse).any(|line| is_lambdas_own(line.message));
    let mut streams = Streams::default();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let stamped = Stamped::parse(line).filter(|_| is_stamped);
        match streams.last() {
            // What follows without a stamp belongs to the event before.
            Some(event) if is_stamped && stamped.is_none() => event.append(line),
            // The line that continues a REPORT belongs to its event.
            Some(event) if line.starts_with("XRAY TraceId: ") && event.message.starts_with("REPORT ") => {
                event.append(line);
            }
            _ => {
                let Stamped { time, stream, message } =
                    stamped.unwrap_or(Stamped { time: now, stream: "", message: line });
                streams.push(stream, Event { id: (number + 1).to_string(), time, message: message.to_owned() });
            }
        }
    }
    streams.split();
    streams.batches(name)
}

/// Whether Lambda itself writes such a line.
fn is_lambdas_own(line: &str) -> bool {
    Line::parse(line, None).into_platform().is_ok()
}

/// A line with what the AWS CLI and exports to S3 put before a log event.
///
/// ```text
/// 2026-11-20T09:02:14.310000+00:00 2026/11/20/[$LATEST]c9286ce5 START RequestId: …     aws logs tail
/// 2026-11-20T09:02:14 START RequestId: …                                               aws logs tail --format short
/// 2026-11-20T09:02:14.310Z START RequestId: …                                          an export
/// ```
#[derive(Clone, Copy)]
struct Stamped<'a> {
    time: i64,
    stream: &'a str,
    message: &'a str,
}

impl<'a> Stamped<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (time, message) = line.split_once(' ')?;
        let time = stamp(time)?;
        let stream = message.split_once(' ').filter(|(stream, _)| is_stream(stream));
        let (stream, message) = stream.unwrap_or(("", message));
        Some(Self { time, stream, message })
    }
}

/// A time in milliseconds; whole seconds may stand without a fraction, and then without a zone.
fn stamp(text: &str) -> Option<i64> {
    let (seconds, rest) = text.split_at_checked("2026-11-20T09:02:14".len())?;
    let rest = match rest {
        "" => ".000Z".to_owned(),
        zone if zone.starts_with(['+', '-', 'Z']) => format!(".000{zone}"),
        rest => rest.to_owned(),
    };
    Timestamp::parse_rfc_3339(&format!("{seconds}{rest}")).map(|(time, _)| time.millis())
}

/// Whether Lambda would call a log stream so: `2026/11/20/[$LATEST]c9286ce5`.
fn is_stream(word: &str) -> bool {
    let mut date = word.splitn(4, '/');
    let is_number = |part: &str, digits| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
    [4, 2, 2].into_iter().all(|digits| date.next().is_some_and(|part| is_number(part, digits))) && word.contains('[')
}

/// What CloudWatch Logs delivers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    message_type: &'static str,
    owner: &'static str,
    log_group: String,
    log_stream: String,
    log_events: Vec<Event>,
}

/// One log event of a batch.
#[derive(Serialize)]
struct Event {
    id: String,
    #[serde(rename = "timestamp")]
    time: i64,
    message: String,
}

impl Event {
    fn append(&mut self, line: &str) {
        self.message.push('\n');
        self.message.push_str(line);
    }
}

/// Log events by log stream, in the order in which they came.
#[derive(Default)]
struct Streams {
    streams: Vec<(String, Vec<Event>)>,
    /// Which one the last event went to.
    current: usize,
}

impl Streams {
    fn push(&mut self, stream: &str, event: Event) {
        let known = self.streams.iter().position(|(name, _)| name == stream);
        self.current = known.unwrap_or(self.streams.len());
        match self.streams.get_mut(self.current) {
            Some((_, events)) => events.push(event),
            None => self.streams.push((stream.to_owned(), vec![event])),
        }
    }

    fn last(&mut self) -> Option<&mut Event> {
        self.streams.get_mut(self.current)?.1.last_mut()
    }

    /// Gives environments whose lines were mixed, as no log stream was named, a stream each.
    fn split(&mut self) {
        let Some((_, unnamed)) = self.streams.iter_mut().find(|(name, _)| name.is_empty()) else { return };
        let Some(streams) = mixed::streams(unnamed.iter().map(|event| event.message.as_str())) else { return };
        let mut split: Vec<Vec<Event>> = Vec::new();
        for (event, stream) in std::mem::take(unnamed).into_iter().zip(streams) {
            if stream >= split.len() {
                split.resize_with(stream + 1, Vec::new);
            }
            if let Some(events) = split.get_mut(stream) {
                events.push(event);
            }
        }
        let mut split = split.into_iter();
        *unnamed = split.next().unwrap_or_default();
        self.streams.extend(split.map(|events| (String::new(), events)));
    }

    /// A batch for each log stream: the file's name stands for the function's.
    fn batches(self, name: &str) -> Vec<Content> {
        let stem = Path::new(name).file_stem().filter(|_| name != STDIN);
        let function = stem.map_or_else(|| "stdin".to_owned(), |stem| stem.to_string_lossy().replace(' ', "-"));
        let batch = |(log_stream, log_events): (String, Vec<Event>)| {
            let log_group = format!("/aws/lambda/{function}");
            let batch = Batch { message_type: "DATA_MESSAGE", owner: "", log_group, log_stream, log_events };
            Content::Batch(serde_json::to_vec(&batch).unwrap_or_default())
        };
        self.streams.into_iter().map(batch).collect()
    }
}
