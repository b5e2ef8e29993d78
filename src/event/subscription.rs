use std::borrow::Cow;
use std::ops::Range;

use super::document::Document;
use super::inflate::Payload;
use super::{DecodeError, Limits};
use crate::json::digits::{self, Times};
use crate::json::quotes::Quotes;
use crate::json::{JsonStr, mend, scan};
use crate::model::{LogEvent, Timestamp};

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
    times: Times,
    /// Those of the piece of the window in which usual log events are looked for.
    quotes: Quotes,
    /// Bytes of the window in which usual log events are looked for next.
    piece: usize,
    /// Log events that are taken one by one before that.
    one_by_one: u32,
    /// How many these were last; none since there were usual ones.
    backoff: u32,
    /// A message that had to be mended.
    mended: String,
    /// `extractedFields` of the event at hand.
    extracted: String,
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

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// Nothing was read.
    Start,
    /// Among the log events.
    Events,
    /// Behind the document.
    End,
}

/// A log event that was found: where its parts are, from its first byte on.
struct Found {
    /// How long it is.
    len: usize,
    /// Whether its keys are `id`, `timestamp` and `message`, without a blank between them.
    usual: bool,
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
            times: Times::default(),
            quotes: Quotes::default(),
            piece: LARGEST_PIECE,
            one_by_one: 0,
            backoff: 0,
            mended: String::new(),
            extracted: String::new(),
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
                self.replaced = 0;
                self.read_keys(When::Second)?;
            }
        }
        Ok(&self.envelope)
    }

    /// Hands on some log events: those that are in memory, a small piece of it at a time. Returns `false` after the last.
    ///
    /// # Errors
    ///
    /// Fails where the payload can't be decoded further; what came before it is good.
    pub fn some(&mut self, mut take: impl FnMut(&LogEvent<'_>)) -> Result<bool, DecodeError> {
        if self.place == Place::Events {
            if self.one_by_one > 0 {
                self.one_by_one -= 1;
            } else if self.usual(&mut take) {
                self.backoff = 0;
                return Ok(true);
            } else {
                self.backoff = (2 * self.backoff + 1).min(MOST_ONE_BY_ONE);
                self.one_by_one = self.backoff;
                self.piece = (2 * self.piece).min(LARGEST_PIECE);
            }
        }
        let event = self.next()?;
        event.iter().for_each(&mut take);
        Ok(event.is_some())
    }

    /// Hands on the usual log events that come next, if any.
    fn usual(&mut self, take: &mut impl FnMut(&LogEvent<'_>)) -> bool {
        let piece = self.document.text(self.piece);
        self.quotes.find(piece.as_bytes());
        let mut taken = 0;
        while let Some((event, end)) = usual(piece, taken, &self.quotes, &mut self.times) {
            take(&event);
            (self.last_time, taken) = (event.time, end);
        }
        self.document.advance(taken);
        if taken > 0 {
            // Where few follow each other, little is looked at for nothing.
            self.piece = (2 * taken).clamp(LEAST_PIECE, LARGEST_PIECE);
        }
        taken > 0
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
        if let Some(found) = self.find()? {
            return Ok(Some(self.event(found)));
        }
        self.place = Place::Start;
        self.read_keys(When::After)?;
        Ok(None)
    }

    fn event(&mut self, found: Found) -> LogEvent<'_> {
        let at = self.document.advance(found.len).start;
        self.last_time = found.time.map_or(self.last_time, Timestamp::from_millis);
        let bytes = |range: Range<usize>| self.document.slice(range.start + at..range.end + at);
        if let Some(fields) = &found.extracted_fields {
            let (fields, replaced) = lossy(bytes(fields.clone()));
            fields.as_ref().clone_into(&mut self.extracted);
            self.replaced += replaced;
        }
        let (json, message) = match found.message {
            Message::Good(range) if let Ok(json) = std::str::from_utf8(bytes(0..range.end)) => {
                (if found.usual { json } else { "" }, json.get(range.start..).unwrap_or_default())
            }
            Message::Good(range) | Message::Irregular(range) => {
                let (inside, replaced) = lossy(bytes(range));
                self.replaced += replaced + mend(&inside, &mut self.mended);
                ("", self.mended.as_str())
            }
            Message::Other(range) => {
                let mut buffer = Vec::new();
                let (json, replaced) = lossy(bytes(range));
                JsonStr::escape(&json, &mut buffer).escaped().clone_into(&mut self.mended);
                self.replaced += replaced;
                ("", self.mended.as_str())
            }
        };
        LogEvent {
            json,
            id: std::str::from_utf8(bytes(found.id)).unwrap_or_default(),
            time: self.last_time,
            message: JsonStr::from_escaped(message),
            extracted_fields: found.extracted_fields.map(|_| self.extracted.as_str()),
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
        self.replaced
    }

    /// Finds the next log event, from the position on, without going past it.
    fn find(&mut self) -> Result<Option<Found>, DecodeError> {
        if self.document.peek()? == Some(b',') {
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
            if let Some(found) = plain(rest).or_else(|| any(rest)) {
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
        let (json, replaced) = lossy(self.document.slice(range));
        let inside = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let text = JsonStr::from_escaped(inside.unwrap_or(&json)).unescape().into_owned();
        self.replaced += replaced;
        Ok(text)
    }
}

/// Bytes as text, and how many sequences weren't UTF-8 and became U+FFFD.
fn lossy(bytes: &[u8]) -> (Cow<'_, str>, u64) {
    let text = String::from_utf8_lossy(bytes);
    let replaced = match text {
        Cow::Borrowed(_) => 0,
        Cow::Owned(_) => bytes.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count(),
    };
    (text, replaced as u64)
}

/// Bytes of the window that are looked at at once, at most and at least: they stay in the processor's first cache.
const LARGEST_PIECE: usize = 16 * 1024;
const LEAST_PIECE: usize = 1024;

/// To look for usual log events takes as long as some of them, where there are none.
const MOST_ONE_BY_ONE: u32 = 63;

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

/// What stands before, between and behind the values of a log event as CloudWatch Logs writes it.
const ID: &[u8] = b"{\"id\":\"";
const TIME: &[u8] = b"\",\"timestamp\":";
const MESSAGE: &[u8] = b",\"message\":\"";
const END: &[u8] = b"\"}";

/// What stands before the message of a usual log event that follows another, and where its time is: everything is as
/// long as it mostly is; `0` stands for any digit. So to read the message needn't wait until it is known how long
/// the id is.
const USUAL_HEAD: &[u8; 103] =
    b",{\"id\":\"00000000000000000000000000000000000000000000000000000000\",\"timestamp\":0000000000000,\"message\":\"";
const USUAL_TIME: usize = 1 + ID.len() + ID_DIGITS + TIME.len();

/// Digits of CloudWatch's ids.
const ID_DIGITS: usize = 56;

/// A usual log event of a piece, with the comma before it, and where it ends.
#[inline]
fn usual<'a>(piece: &'a str, at: usize, quotes: &Quotes, times: &mut Times) -> Option<(LogEvent<'a>, usize)> {
    let head = piece.as_bytes().get(at..)?.first_chunk()?;
    let time = head.get(USUAL_TIME..)?.first_chunk()?;
    if !digits::fit(head, USUAL_HEAD) || time.first() == Some(&b'0') {
        return None;
    }
    let end = quotes.next(at + USUAL_HEAD.len())?;
    let event = piece.get(at..end)?;
    if !piece.as_bytes().get(end..)?.starts_with(END) {
        return None;
    }
    let event = LogEvent {
        id: event.get(1 + ID.len()..1 + ID.len() + ID_DIGITS)?,
        time: Timestamp::from_millis(times.read(time)),
        message: JsonStr::from_escaped(event.get(USUAL_HEAD.len()..)?),
        json: event.get(1..)?,
        extracted_fields: None,
    };
    Some((event, end + END.len()))
}

/// A log event with the keys and the order that CloudWatch Logs writes.
fn plain(bytes: &[u8]) -> Option<Found> {
    let Head { id_end, time, message_start } = head(bytes)?;
    let rest = bytes.get(message_start..)?;
    let message = scan::string(rest)?;
    if !rest.get(message.len..)?.starts_with(END) {
        return None;
    }
    let inside = message_start..message_start + message.len;
    Some(Found {
        len: inside.end + END.len(),
        usual: true,
        id: ID.len()..id_end,
        time: Some(time),
        message: if message.irregular { Message::Irregular(inside) } else { Message::Good(inside) },
        extracted_fields: None,
    })
}

/// What stands before the message of such a log event.
struct Head {
    id_end: usize,
    time: i64,
    message_start: usize,
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
    let mut found =
        Found { len, usual: false, id: 0..0, time: None, message: Message::Other(0..0), extracted_fields: None };
    for (key, value) in scan::members(object) {
        let json = object.get(value.clone()).unwrap_or_default();
        let quoted = json.first() == Some(&b'"');
        let inside = value.start + 1..value.end - usize::from(quoted);
        match object.get(key).unwrap_or_default() {
            b"id" => {
                let id = if quoted { inside } else { value };
                let plain = object.get(id.clone()).unwrap_or_default().iter().copied().all(is_plain);
                found.id = if plain { id } else { 0..0 };
            }
            b"timestamp" => found.time = any_time(object.get(if quoted { inside } else { value }).unwrap_or_default()),
            b"message" if quoted => {
                let irregular = scan::string(object.get(inside.start..)?).is_none_or(|message| message.irregular);
                found.message = if irregular { Message::Irregular(inside) } else { Message::Good(inside) };
            }
            b"message" => found.message = Message::Other(value),
            b"extractedFields" if json.first() == Some(&b'{') => found.extracted_fields = Some(value),
            _ => {}
        }
    }
    Some(found)
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
