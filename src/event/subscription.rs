use std::ops::Range;

use super::document::Document;
use super::inflate::Payload;
use super::{DecodeError, Limits};
use crate::json::{JsonStr, digits, mend, scan};
use crate::model::Timestamp;

/// One delivery of a CloudWatch Logs subscription: a part of one log stream.
///
/// ```text
/// {"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/aws/lambda/f","logStream":"2026/11/20/[$LATEST]0f…",
///  "subscriptionFilters":["f"],"logEvents":[{"id":"3719…","timestamp":1700000000123,"message":"…"},…]}
/// ```
///
/// Keys may come in any order and others beside them; gzip is optional.
/// [`next`](Self::next) gives one log event at a time, out of a window.
///
/// Source: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html>
pub struct Batch<'a> {
    document: Document<'a>,
    pub(super) envelope: Envelope,
    place: Place,
    last_time: Timestamp,
    /// A message that had to be mended.
    mended: String,
    replaced: u64,
}

/// What a delivery says about itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Envelope {
    /// What kind of delivery it is.
    pub message_type: MessageType,
    /// Account that owns the log group.
    pub owner: String,
    /// Name of the log group.
    pub log_group: String,
    /// Name of the log stream.
    pub log_stream: String,
}

/// What kind of delivery it is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MessageType {
    /// AWS checks that the destination can be reached: nothing to ship.
    Control,
    /// Log events; also when the key is missing, as some tools leave it out.
    #[default]
    Data,
}

/// One log event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogEvent<'a> {
    /// Stable when the event is delivered again; empty when the delivery has none.
    pub id: &'a str,
    /// When it was written; the time of the event before it when it doesn't say.
    pub time: Timestamp,
    /// What was written.
    pub message: JsonStr<'a>,
    /// The event as it came, from its first byte to the end of its message, where its keys are
    /// `id`, `timestamp`, `message` and nothing had to be mended; empty otherwise.
    pub json: &'a str,
    /// `extractedFields`, a JSON object, where the subscription adds it.
    pub extracted_fields: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// Nothing was read.
    Start,
    /// Among the log events.
    Events,
    /// Behind the document.
    End,
}

/// A log event that was found, whose parts are told relative to its first byte.
enum Found {
    /// Its keys are `id`, `timestamp` and `message`, without a blank between them, and
    /// its message is good as it stands.
    Usual { id_end: usize, time: i64, message_start: usize, len: usize },
    /// Any other.
    Any { parts: Parts, len: usize },
}

/// Where the parts of a log event are.
struct Parts {
    id: Range<usize>,
    time: Option<i64>,
    message: Message,
    extracted_fields: Option<Range<usize>>,
}

enum Message {
    /// The inside of a string that is good as it stands.
    Good(Range<usize>),
    /// The inside of a string that has to be looked at.
    Irregular(Range<usize>),
    /// A value of another type, or none: its JSON is the message.
    Other(Range<usize>),
}

impl<'a> Batch<'a> {
    /// Opens a delivery; nothing is read before [`envelope`](Self::envelope).
    pub fn new(payload: Payload<'a>, limits: Limits) -> Self {
        Self {
            document: Document::new(payload, limits.inflated_bytes, limits.event_bytes),
            envelope: Envelope::default(),
            place: Place::Start,
            last_time: Timestamp::default(),
            mended: String::new(),
            replaced: 0,
        }
    }

    /// What the delivery says about itself. Reads up to the first log event;
    /// when they come before the rest, the document is read twice.
    ///
    /// # Errors
    ///
    /// Fails when the payload can't be decoded.
    pub fn envelope(&mut self) -> Result<&Envelope, DecodeError> {
        if self.place == Place::Start {
            let late = self.read_keys(When::First)?;
            if late {
                self.document.rewind();
                self.place = Place::Start;
                self.read_keys(When::Second)?;
            }
        }
        Ok(&self.envelope)
    }

    /// The next log event; `None` after the last.
    ///
    /// # Errors
    ///
    /// Fails where the payload can't be decoded further; what came before it is good.
    #[expect(clippy::should_implement_trait, reason = "an event borrows from the window, which no iterator may lend")]
    pub fn next(&mut self) -> Result<Option<LogEvent<'_>>, DecodeError> {
        if self.place == Place::Start {
            self.envelope()?;
        }
        if self.place == Place::End {
            return Ok(None);
        }
        match self.find()? {
            Some(Found::Usual { id_end, time, message_start, len }) => {
                self.last_time = Timestamp::from_millis(time);
                let range = self.document.advance(len);
                let json = self.document.slice(range.start..range.end - END.len());
                let (head, message) = json.split_at_checked(message_start).unwrap_or_default();
                Ok(Some(LogEvent {
                    json,
                    id: head.get(ID.len()..id_end).unwrap_or_default(),
                    time: self.last_time,
                    message: JsonStr::from_escaped(message),
                    extracted_fields: None,
                }))
            }
            Some(Found::Any { parts, len }) => Ok(Some(self.any_event(parts, len))),
            None => {
                self.place = Place::Start;
                self.read_keys(When::After)?;
                Ok(None)
            }
        }
    }

    fn any_event(&mut self, parts: Parts, len: usize) -> LogEvent<'_> {
        let at = self.document.advance(len).start;
        self.last_time = parts.time.map_or(self.last_time, Timestamp::from_millis);
        self.mend(at, &parts.message);
        let text = |range: Range<usize>| self.document.slice(range.start + at..range.end + at);
        let message = match parts.message {
            Message::Good(range) => text(range),
            Message::Irregular(_) | Message::Other(_) => &self.mended,
        };
        LogEvent {
            json: "",
            id: text(parts.id),
            time: self.last_time,
            message: JsonStr::from_escaped(message),
            extracted_fields: parts.extracted_fields.map(text),
        }
    }

    /// What was delivered, as it came: base64 or gzip or neither.
    pub const fn payload(&self) -> &'a [u8] {
        self.document.payload()
    }

    /// Bytes that were inflated so far.
    pub const fn inflated_bytes(&self) -> u64 {
        self.document.produced()
    }

    /// Sequences that weren't UTF-8, lone surrogates and the like that became U+FFFD.
    pub const fn replaced(&self) -> u64 {
        self.replaced + self.document.replaced()
    }

    fn mend(&mut self, at: usize, message: &Message) {
        match message {
            Message::Good(_) => {}
            Message::Irregular(range) => {
                let inside = self.document.slice(range.start + at..range.end + at);
                self.replaced += mend(inside, &mut self.mended);
            }
            Message::Other(range) => {
                let mut buffer = Vec::new();
                let json = self.document.slice(range.start + at..range.end + at);
                JsonStr::escape(json, &mut buffer).escaped().clone_into(&mut self.mended);
            }
        }
    }

    /// Finds the next log event, from the position on, without going past it.
    fn find(&mut self) -> Result<Option<Found>, DecodeError> {
        // Mostly one event follows the other with a comma and nothing else between them.
        if !self.document.skip(*b",{") && self.document.peek()? == Some(b',') {
            self.document.advance(1);
            self.document.peek()?;
        }
        loop {
            let rest = self.document.rest();
            match rest.first() {
                Some(b'{') => {}
                Some(b']') => {
                    self.document.advance(1);
                    return Ok(None);
                }
                Some(_) => return Err(self.document.error()),
                None => return Err(DecodeError::Truncated),
            }
            if let Some(found) = usual(rest).or_else(|| any(rest)) {
                return Ok(Some(found));
            }
            if !self.document.more()? {
                return Err(DecodeError::Truncated);
            }
        }
    }

    /// Reads keys of the document up to the log events or, after them, to its end.
    /// Returns whether the events came before what has to be known first.
    fn read_keys(&mut self, when: When) -> Result<bool, DecodeError> {
        let mut unread = Vec::from(BEFORE_EVENTS);
        let mut late = false;
        if when != When::After {
            self.document.expect(b'{')?;
        }
        loop {
            match self.document.peek()? {
                Some(b',') => {
                    self.document.advance(1);
                    continue;
                }
                Some(b'}') => {
                    self.document.advance(1);
                    break;
                }
                _ => {}
            }
            let key = self.string()?;
            self.document.expect(b':')?;
            unread.retain(|name| *name != key);
            match key.as_str() {
                "messageType" => {
                    let control = self.string()? == "CONTROL_MESSAGE";
                    self.envelope.message_type = if control { MessageType::Control } else { MessageType::Data };
                }
                "owner" => self.envelope.owner = self.string()?,
                "logGroup" => self.envelope.log_group = self.string()?,
                "logStream" => self.envelope.log_stream = self.string()?,
                "logEvents" if when == When::Second || (when == When::First && unread.is_empty()) => {
                    self.document.expect(b'[')?;
                    self.place = Place::Events;
                    return Ok(false);
                }
                "logEvents" if when == When::First => {
                    self.skip_events()?;
                    late = true;
                }
                _ => {
                    self.document.value()?;
                }
            }
        }
        // What follows the document is read too: so a damaged trailer shows.
        if self.document.peek()?.is_some() {
            return Err(self.document.error());
        }
        self.place = Place::End;
        if when == When::First && !late && self.envelope.message_type == MessageType::Data {
            return Err(DecodeError::NoLogEvents);
        }
        Ok(late)
    }

    fn skip_events(&mut self) -> Result<(), DecodeError> {
        self.document.expect(b'[')?;
        loop {
            match self.document.peek()? {
                Some(b',') => {
                    self.document.advance(1);
                }
                Some(b']') => {
                    self.document.advance(1);
                    return Ok(());
                }
                _ => {
                    self.document.value()?;
                }
            }
        }
    }

    /// Takes a value that should be a string; of any other its JSON.
    fn string(&mut self) -> Result<String, DecodeError> {
        let range = self.document.value()?;
        let json = self.document.slice(range);
        let inside = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        Ok(JsonStr::from_escaped(inside.unwrap_or(json)).unescape().into_owned())
    }
}

/// What has to be known before the first log event.
const BEFORE_EVENTS: [&str; 4] = ["messageType", "owner", "logGroup", "logStream"];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum When {
    /// From the start.
    First,
    /// From the start again, what comes late being known.
    Second,
    /// From behind the log events.
    After,
}

/// What stands before, between and behind the values of a usual log event.
const ID: &[u8] = b"{\"id\":\"";
const TIME: &[u8] = b"\",\"timestamp\":";
const MESSAGE: &[u8] = b",\"message\":\"";
const END: &[u8] = b"\"}";

/// A log event with the keys and the order that CloudWatch Logs writes.
fn usual(bytes: &[u8]) -> Option<Found> {
    let Head { id_end, time, message_start } = usual_head(bytes).or_else(|| head(bytes))?;
    let rest = bytes.get(message_start..)?;
    let found = scan::string(rest)?;
    if !rest.get(found.len..)?.starts_with(END) {
        return None;
    }
    let message_end = message_start + found.len;
    let len = message_end + END.len();
    if found.irregular {
        let message = Message::Irregular(message_start..message_end);
        let parts = Parts { id: ID.len()..id_end, time: Some(time), message, extracted_fields: None };
        return Some(Found::Any { parts, len });
    }
    Some(Found::Usual { id_end, time, message_start, len })
}

/// What stands before the message of a usual log event.
struct Head {
    id_end: usize,
    time: i64,
    message_start: usize,
}

/// Digits of CloudWatch's ids, and of a time in milliseconds from 2001 to 2286.
const ID_DIGITS: usize = 56;
const TIME_DIGITS: usize = 13;

/// A head in which everything is as long as it mostly is: so to read the message needn't wait until it is known how
/// long the id is.
#[inline]
fn usual_head(bytes: &[u8]) -> Option<Head> {
    const ID_END: usize = ID.len() + ID_DIGITS;
    const TIME_START: usize = ID_END + TIME.len();
    const TIME_END: usize = TIME_START + TIME_DIGITS;
    const MESSAGE_START: usize = TIME_END + MESSAGE.len();

    let head = bytes.first_chunk::<MESSAGE_START>()?;
    let is = |at: usize, text: &[u8]| head.get(at..at + text.len()) == Some(text);
    let whole = is(0, ID) && is(ID_END, TIME) && is(TIME_END, MESSAGE);
    let id = head.get(ID.len()..)?.first_chunk::<ID_DIGITS>()?;
    if !whole || !digits::all(id) || head.get(TIME_START) == Some(&b'0') {
        return None;
    }
    let time = digits::thirteen(head.get(TIME_START..)?.first_chunk()?)?;
    Some(Head { id_end: ID_END, time, message_start: MESSAGE_START })
}

/// A head of any lengths.
#[inline(never)]
fn head(bytes: &[u8]) -> Option<Head> {
    let rest = bytes.strip_prefix(ID)?;
    let id_len = digits::count(rest.first_chunk()?);
    let rest = rest.get(id_len..)?.strip_prefix(TIME)?;
    // A number of JSON doesn't begin with a zero.
    let (time, time_len) = digits::number(rest).filter(|_| rest.first() != Some(&b'0'))?;
    let rest = rest.get(time_len..)?.strip_prefix(MESSAGE)?;
    Some(Head { id_end: ID.len() + id_len, time, message_start: bytes.len() - rest.len() })
}

/// A log event with any keys in any order. Returns `None` when its end isn't there.
fn any(bytes: &[u8]) -> Option<Found> {
    let len = scan::value(bytes)?;
    let object = bytes.get(..len)?;
    let mut parts = Parts { id: 0..0, time: None, message: Message::Other(0..0), extracted_fields: None };
    for (key, value) in scan::members(object) {
        let json = object.get(value.clone()).unwrap_or_default();
        let quoted = json.first() == Some(&b'"');
        let inside = value.start + 1..value.end - usize::from(quoted);
        match object.get(key).unwrap_or_default() {
            b"id" => {
                let id = if quoted { inside } else { value };
                let plain = object.get(id.clone()).unwrap_or_default().iter().copied().all(is_plain);
                parts.id = if plain { id } else { 0..0 };
            }
            b"timestamp" => parts.time = any_time(object.get(if quoted { inside } else { value }).unwrap_or_default()),
            b"message" if quoted => {
                let irregular = scan::string(object.get(inside.start..)?).is_none_or(|found| found.irregular);
                parts.message = if irregular { Message::Irregular(inside) } else { Message::Good(inside) };
            }
            b"message" => parts.message = Message::Other(value),
            b"extractedFields" if json.first() == Some(&b'{') => parts.extracted_fields = Some(value),
            _ => {}
        }
    }
    Some(Found::Any { parts, len })
}

/// Whether a byte can stand in an id: none that would have to be escaped anywhere.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte)
}

/// Milliseconds in any form of a number.
fn any_time(json: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(json).ok()?;
    text.parse().ok().or_else(|| {
        let float: f64 = text.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
        (float.abs() < 1e15).then_some(float as i64)
    })
}
