use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use super::super::Context;
use super::super::body::{Body, Oversize, changed};
use super::super::write::{bounded, text};
use super::Datadog;
use crate::json::{JsonStr, digits, scan};
use crate::model::{Forwarder, Level, Log, LogEvent, Origin, Timestamp, same};
use crate::request::{Request, Weight};

/// Bytes of a message, escaped, that is cut because its log would be too large.
const CUT_MESSAGE: usize = 900_000;

/// "Logs with a timestamp older than 18 hours are dropped at intake": five minutes
/// less, in ms. Older ones are dated so, and say when they were written.
const OLDEST_LOG: i64 = (18 * 60 - 5) * 60_000;

/// What stands between the time that a log is given and its own.
const ORIGINAL: &[u8] = b",\"original_timestamp\":";

/// What the intake takes for the time of a log where a message that is a JSON object has it: it wins over the log's own.
const DATES: [&[u8]; 7] =
    [b"@timestamp", b"timestamp", b"_timestamp", b"Timestamp", b"eventTime", b"date", b"published_date"];

/// Logs on their way to Datadog.
///
/// ```text
/// {"id":"3719…","timestamp":1764000000123,"message":"…","status":"error",
///  "aws":{"awslogs":{"logGroup":"…","logStream":"…","owner":"…"},"invoked_function_arn":"…"},
///  "lambda":{"arn":"…","request_id":"…"},"ddsourcecategory":"aws","ddsource":"lambda","service":"…","host":"…","ddtags":"…"}
/// ```
///
/// `timestamp` is in ms; of a log that is too old for the intake it is the oldest
/// that it takes, `original_timestamp` says when it was written, and what a JSON message calls `timestamp` or the like is
/// called `original_timestamp`, too. `status` and `request_id` are there where the text of
/// a line tells them; those of a JSON message are read by the intake.
pub(super) struct Logs<'b> {
    body: Body,
    tags: &'b [(String, String)],
    source: Option<&'b str>,
    forwarder: &'b Forwarder,
    oldest: i64,
    rendered: Option<Rendered>,
}

/// What all logs of an origin share.
struct Rendered {
    generation: u32,
    /// The oldest time that the intake takes, in ms.
    oldest: i64,
    /// From behind the message, or the status, to the request id.
    aws: Vec<u8>,
    is_lambda: bool,
    /// The request id of the log before.
    request_id: String,
    /// From behind the request id to the service.
    source: Vec<u8>,
    service: String,
    host: Vec<u8>,
    ddtags: String,
    /// From behind the request id to the end, when the message changes nothing.
    tail: Vec<u8>,
    /// From behind the message, or the status, to the end, with the request id of the log before.
    rest: Vec<u8>,
}

/// What a message says of its tags.
struct OwnTags {
    /// The message without them, escaped.
    message: String,
    tags: String,
}

/// A log with tags of its own, as it is written.
struct Own {
    message: String,
    /// From behind the message to the end.
    rest: Vec<u8>,
}

impl<'b> Logs<'b> {
    pub(super) fn new(body: Body, datadog: &'b Datadog, context: &Context<'b>) -> Self {
        Self {
            body,
            tags: &datadog.tags,
            source: datadog.source.as_deref(),
            forwarder: context.forwarder,
            oldest: context.now.millis() - OLDEST_LOG,
            rendered: None,
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        self.body.has_ready()
    }

    pub(super) fn take_ready(&mut self) -> Vec<Request> {
        self.body.take_ready()
    }

    pub(super) fn finish(self) -> Vec<Request> {
        self.body.finish()
    }

    pub(super) fn push(&mut self, origin: &Origin, log: &Log<'_>) -> Result<(), Oversize> {
        if self.rendered.as_ref().is_none_or(|rendered| rendered.generation != origin.generation) {
            self.rendered = Some(self.render(origin));
        }
        let Some(rendered) = &mut self.rendered else { return Err(Oversize) };
        rendered.request(log.request_id);
        let LogEvent { json, time, .. } = log.event;
        let as_it_came = !json.is_empty() && !log.may_hold_tags && time.millis() >= rendered.oldest;
        // One that no body can hold isn't even written: the room for it would stay.
        if !as_it_came || json.len() > super::LOGS.item_bytes {
            return push_anew(&mut self.body, log, rendered);
        }
        let pushed = self.body.push(Weight::LOG, |out| {
            // CloudWatch Logs and Datadog use the same names.
            out.extend_from_slice(json.as_bytes());
            end(log, &rendered.rest, out);
        });
        pushed.or_else(|Oversize| push_anew(&mut self.body, log, rendered))
    }

    fn render(&self, origin: &Origin) -> Rendered {
        let function = origin.function.as_ref();
        let arn = origin.function_arn();
        let mut aws = b"\",\"aws\":{\"awslogs\":{\"logGroup\":".to_vec();
        text(&origin.log_group, &mut aws);
        aws.extend_from_slice(b",\"logStream\":");
        text(&origin.log_stream, &mut aws);
        if let Some(owner) = &origin.account {
            aws.extend_from_slice(b",\"owner\":");
            text(owner, &mut aws);
        }
        aws.push(b'}');
        if let Some(arn) = &self.forwarder.function_arn {
            aws.extend_from_slice(b",\"invoked_function_arn\":");
            text(arn, &mut aws);
        }
        aws.push(b'}');
        if let Some(arn) = &arn {
            aws.extend_from_slice(b",\"lambda\":{\"arn\":");
            text(arn, &mut aws);
        }
        let ddsource = self.source.unwrap_or_else(|| source_of(origin));
        let mut source = if arn.is_some() { b"}".to_vec() } else { Vec::new() };
        source.extend_from_slice(b",\"ddsourcecategory\":\"aws\",\"ddsource\":");
        text(ddsource, &mut source);
        let own = self.tags.iter().chain(&origin.tags);
        let named = |wanted: &str| {
            own.clone().find(|(key, value)| key == wanted && !value.is_empty()).map(|(_, value)| value.as_str())
        };
        let service = named("service").or(function.map(|function| function.name.as_str())).unwrap_or(ddsource);
        let mut host = Vec::new();
        text(arn.as_deref().unwrap_or(&origin.log_group), &mut host);
        let mut rendered = Rendered {
            generation: origin.generation,
            oldest: self.oldest,
            aws,
            is_lambda: arn.is_some(),
            request_id: String::new(),
            source,
            service: service.to_owned(),
            host,
            ddtags: self.ddtags(origin, named("env").is_none(), service),
            tail: Vec::new(),
            rest: Vec::new(),
        };
        rendered.tail = rendered.tail_with("");
        rendered.rest = rendered.rest_with(&rendered.tail);
        rendered
    }

    /// Tags of the settings, of the forwarder and of the function.
    fn ddtags(&self, origin: &Origin, no_env: bool, service: &str) -> String {
        let mut tags = Vec::new();
        for (key, value) in self.tags.iter().chain(&origin.tags).filter(|(key, _)| key != "service") {
            tags.push(if value.is_empty() { key.clone() } else { format!("{key}:{value}") });
        }
        let mut tag = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                tags.push(format!("{key}:{value}"));
            }
        };
        tag("forwardername", self.forwarder.function_name.as_deref());
        tag("forwarder_version", Some(env!("CARGO_PKG_VERSION")));
        tag("source_overridden", self.source.map(|_| "true"));
        tag("env", no_env.then_some("none"));
        tag("aws_account", origin.account.as_deref());
        tag("functionname", origin.function.as_ref().map(|function| function.name.as_str()));
        tag("region", origin.region.as_deref());
        tag("service", Some(service));
        tags.join(",")
    }
}

impl Rendered {
    /// Writes the request id, unless it is that of the log before.
    fn request(&mut self, id: Option<&str>) {
        let id = if self.is_lambda { id.unwrap_or_default() } else { "" };
        if !same(&self.request_id, id) {
            id.clone_into(&mut self.request_id);
            let mut rest = std::mem::take(&mut self.rest);
            rest.clear();
            self.write_rest(&self.tail, &mut rest);
            self.rest = rest;
        }
    }

    /// From behind the message, or the status, to the end.
    fn rest_with(&self, tail: &[u8]) -> Vec<u8> {
        let mut rest = Vec::with_capacity(self.aws.len() + 64 + tail.len());
        self.write_rest(tail, &mut rest);
        rest
    }

    fn write_rest(&self, tail: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.aws);
        if !self.request_id.is_empty() {
            out.extend_from_slice(b",\"request_id\":");
            text(&self.request_id, out);
        }
        out.extend_from_slice(tail);
    }

    /// The end of a log whose message has tags of its own: its service wins.
    fn tail_with(&self, own: &str) -> Vec<u8> {
        let own_service = own.split(',').find_map(|tag| tag.strip_prefix("service:"));
        let mut tail = self.source.clone();
        tail.extend_from_slice(b",\"service\":");
        text(own_service.unwrap_or(&self.service), &mut tail);
        tail.extend_from_slice(b",\"host\":");
        tail.extend_from_slice(&self.host);
        tail.extend_from_slice(b",\"ddtags\":");
        let without_service = self.ddtags.rsplit_once(",service:").map_or("", |(tags, _)| tags);
        match own_service {
            _ if own.is_empty() => text(&self.ddtags, &mut tail),
            Some(_) => text(&format!("{without_service},{own}"), &mut tail),
            None => text(&format!("{},{own}", self.ddtags), &mut tail),
        }
        tail.push(b'}');
        tail
    }
}

/// Writes a log that isn't as CloudWatch Logs has written it: it has tags of its own, or is too old or too large.
#[inline(never)]
fn push_anew(body: &mut Body, log: &Log<'_>, rendered: &Rendered) -> Result<(), Oversize> {
    let own = if log.may_hold_tags || log.event.json.is_empty() { own(log, rendered) } else { None };
    let message = own.as_ref().map_or(log.event.message, |own| JsonStr::from_escaped(&own.message));
    let undated = if log.event.time.millis() < rendered.oldest { undated(message) } else { None };
    let message = undated.as_deref().map_or(message, JsonStr::from_escaped);
    let rest = own.as_ref().map_or(&rendered.rest, |own| &own.rest);
    let log = &Log { event: &LogEvent { message, ..*log.event }, ..*log };
    let mut push = |log: &Log<'_>| {
        body.push(Weight::LOG, |out| {
            head(log, rendered.oldest, out);
            end(log, rest, out);
        })
    };
    let pushed = if log.event.message.escaped().len() > super::LOGS.item_bytes { Err(Oversize) } else { push(log) };
    pushed.or_else(|Oversize| {
        let cut = bounded(log.event.message, usize::MAX, CUT_MESSAGE);
        push(&Log { event: &LogEvent { message: JsonStr::from_escaped(&cut), ..*log.event }, ..*log })
    })
}

/// What a log with tags of its own is, and ends in.
fn own(log: &Log<'_>, rendered: &Rendered) -> Option<Own> {
    let OwnTags { message, tags } =
        if may_have_tags(log.event.message.escaped()) { own_tags(log.event.message)? } else { return None };
    Some(Own { message, rest: rendered.rest_with(&rendered.tail_with(&tags)) })
}

/// From behind the message on.
#[inline]
fn end(log: &Log<'_>, rest: &[u8], out: &mut Vec<u8>) {
    if let Some(level) = log.level {
        out.extend_from_slice(b"\",\"status\":\"");
        // `fatal` would come to Datadog's `emergency`: it reads the first letters.
        let status = if level == Level::Fatal { "critical" } else { level.as_str() };
        out.extend_from_slice(status.as_bytes());
    }
    out.extend_from_slice(rest);
}

/// Up to the end of the message.
fn head(log: &Log<'_>, oldest: i64, out: &mut Vec<u8>) {
    if log.event.id.is_empty() {
        out.extend_from_slice(b"{\"timestamp\":");
    } else {
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(log.event.id.as_bytes());
        out.extend_from_slice(b"\",\"timestamp\":");
    }
    out.extend_from_slice(itoa::Buffer::new().format(log.event.time.millis().max(oldest)).as_bytes());
    if log.event.time.millis() < oldest {
        out.extend_from_slice(ORIGINAL);
        out.extend_from_slice(itoa::Buffer::new().format(log.event.time.millis()).as_bytes());
    }
    out.extend_from_slice(b",\"message\":\"");
    out.extend_from_slice(log.event.message.escaped().as_bytes());
}

/// A stored request as it is sent now: each log whose time has become too old for the intake is given the oldest that
/// it takes. `None` when it can't be read back.
pub(super) fn revived(request: Request, now: Timestamp) -> Option<Request> {
    let oldest = now.millis() - OLDEST_LOG;
    if request.oldest.millis() >= oldest { Some(request) } else { changed(&request, |log| redated(log, oldest)) }
}

fn redated(log: &[u8], oldest: i64) -> Cow<'_, [u8]> {
    if time_of(log).is_none_or(|(_, time)| time >= oldest) {
        return Cow::Borrowed(log);
    }
    let log = with_undated_message(log);
    let Some((place, time)) = time_of(&log) else { return log };
    let (head, rest) = (log.get(..place.start).unwrap_or_default(), log.get(place.end..).unwrap_or_default());
    let mut redated = [head, itoa::Buffer::new().format(oldest).as_bytes()].concat();
    if !rest.starts_with(ORIGINAL) {
        redated.extend_from_slice(ORIGINAL);
        redated.extend_from_slice(itoa::Buffer::new().format(time).as_bytes());
    }
    redated.extend_from_slice(rest);
    Cow::Owned(redated)
}

/// A log as it is written, whose message says nothing that the intake takes for the time of the log.
fn with_undated_message(log: &[u8]) -> Cow<'_, [u8]> {
    let undated = || {
        let (_, quoted) = scan::members(log).find(|(key, _)| log.get(key.clone()) == Some(b"message"))?;
        let inside = quoted.start + 1..quoted.end - 1;
        let message = std::str::from_utf8(log.get(inside.clone())?).ok()?;
        let undated = undated(JsonStr::from_escaped(message))?;
        Some([log.get(..inside.start)?, undated.as_bytes(), log.get(inside.end..)?].concat())
    };
    undated().map_or(Cow::Borrowed(log), Cow::Owned)
}

/// A message that is a JSON object, escaped, its members that the intake takes for the time of the log under other
/// names, and its other bytes as they are. `None` where there are none.
fn undated(message: JsonStr<'_>) -> Option<String> {
    if !message.escaped().starts_with('{') {
        return None;
    }
    let json = message.unescape();
    let bytes = json.trim_end().as_bytes();
    if scan::value(bytes)? != bytes.len() {
        return None;
    }
    let is_date = |key: &Range<usize>| bytes.get(key.clone()).is_some_and(|name| DATES.contains(&name));
    let places: Vec<_> = scan::members(bytes).map(|(key, _)| key).filter(is_date).map(|key| key.start).collect();
    let mut undated = json.to_string();
    // From the last on, as places behind one move.
    places.iter().rev().for_each(|place| undated.insert_str(*place, "original_"));
    let message = || JsonStr::escape(&undated, &mut Vec::new()).escaped().to_owned();
    (!places.is_empty()).then(message)
}

/// Where the time of a log stands, and what it is.
fn time_of(log: &[u8]) -> Option<(Range<usize>, i64)> {
    let (_, place) = scan::members(log).find(|(key, _)| log.get(key.clone()) == Some(b"timestamp"))?;
    let (time, _) = digits::number(log.get(place.clone())?)?;
    Some((place, time))
}

/// What Datadog calls the service that writes to a log group.
fn source_of(origin: &Origin) -> &'static str {
    let group = origin.log_group.to_ascii_lowercase();
    if origin.log_stream.contains("_CloudTrail_") {
        "cloudtrail"
    } else if origin.function.is_some() || group.starts_with("/aws/lambda") {
        "lambda"
    } else if group.starts_with("/aws/kinesis") {
        "kinesis"
    } else if group.starts_with("sns/") {
        "sns"
    } else if group.contains("cloudtrail") {
        "cloudtrail"
    } else {
        "cloudwatch"
    }
}

/// Whether `ddtags` may be in a message.
fn may_have_tags(message: &str) -> bool {
    message.starts_with('{') && memmem::find(message.as_bytes(), b"ddtags\\").is_some()
}

/// Takes the `ddtags` out of a message that is a JSON object, and leaves its
/// other bytes as they are: the intake would let them win over the log's own.
#[cold]
fn own_tags(message: JsonStr<'_>) -> Option<OwnTags> {
    let json = message.unescape();
    let bytes = json.trim_end().as_bytes();
    if scan::value(bytes)? != bytes.len() {
        return None;
    }
    let members: Vec<_> = scan::members(bytes).collect();
    let index = members.iter().position(|(key, _)| bytes.get(key.clone()) == Some(b"ddtags"))?;
    let (key, value) = members.get(index)?.clone();
    let tags: String = serde_json::from_slice(bytes.get(value.clone())?).ok()?;
    let tags: String = tags.chars().filter(|c| !c.is_whitespace()).collect();
    // From the end of the member before it, or else up to the start of the next.
    let cut = match (index.checked_sub(1).and_then(|before| members.get(before)), members.get(index + 1)) {
        (Some((_, before)), _) => before.end..value.end,
        (None, Some((next, _))) => key.start - 1..next.start - 1,
        (None, None) => key.start - 1..value.end,
    };
    let mut left = json.to_string();
    left.replace_range(cut, "");
    let message = JsonStr::escape(&left, &mut Vec::new()).escaped().to_owned();
    Some(OwnTags { message, tags: tags.trim_matches(',').to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_tags_out_of_a_message_and_leaves_its_bytes() {
        for (message, left, tags) in [
            (r#"{"ddtags":"a:1, b:2","x":"é  "}"#, r#"{"x":"é  "}"#, "a:1,b:2"),
            ("{ \"x\" : 1.50 , \"ddtags\" : \"service:s\" }\n", "{ \"x\" : 1.50 }\n", "service:s"),
            (r#"{"ddtags":""}"#, "{}", ""),
        ] {
            let mut buffer = Vec::new();
            let own = own_tags(JsonStr::escape(message, &mut buffer)).unwrap();
            assert_eq!((JsonStr::from_escaped(&own.message).unescape().as_ref(), own.tags.as_str()), (left, tags));
        }
        for before in 0..40 {
            let message = format!(r#"{{\"x\":\"{}\",\"ddtags\":\"a:1\"}}"#, "x".repeat(before));
            assert!(may_have_tags(&message), "{message}");
        }
        assert!(!may_have_tags(r#"{\"tags\":\"a:1\",\"ddsource\":\"x\",\"width\":10}"#));
        for message in [r#"{"ddtags":["a"]}"#, r#"{"a":{"ddtags":"x"}}"#, r#"{"ddtags":"x""#, r#"{"ddtags":7}"#] {
            let mut buffer = Vec::new();
            assert!(own_tags(JsonStr::escape(message, &mut buffer)).is_none(), "{message}");
        }
    }

    #[test]
    fn a_source_is_told_by_the_stream_or_the_group() {
        for (group, stream, source) in [
            ("/aws/lambda/cloudtrail-alerts", "s", "lambda"),
            ("/aws/kinesisfirehose/cloudtrail", "s", "kinesis"),
            ("sns/eu-west-1/123456789012/topic", "s", "sns"),
            ("CloudTrail/DefaultLogGroup", "s", "cloudtrail"),
            ("trail", "123456789012_CloudTrail_eu-west-1", "cloudtrail"),
            ("shop", "s", "cloudwatch"),
        ] {
            let origin = Origin { log_group: group.to_owned(), log_stream: stream.to_owned(), ..Origin::default() };
            assert_eq!(source_of(&origin), source, "{group}");
        }
    }

    #[test]
    fn a_stored_log_is_dated_anew_when_it_has_become_too_old() {
        let oldest = 1_795_170_600_000 - OLDEST_LOG;
        for (log, expected) in [
            (
                r#"{"id":"37","timestamp":1795000000000,"message":"x"}"#,
                format!(r#"{{"id":"37","timestamp":{oldest},"original_timestamp":1795000000000,"message":"x"}}"#),
            ),
            (
                r#"{"timestamp":1795000000000,"original_timestamp":1700000000000,"message":"x"}"#,
                format!(r#"{{"timestamp":{oldest},"original_timestamp":1700000000000,"message":"x"}}"#),
            ),
            (r#"{"id":"","timestamp":1795170000000}"#, r#"{"id":"","timestamp":1795170000000}"#.to_owned()),
            (r#"{"message":"\"timestamp\":1"}"#, r#"{"message":"\"timestamp\":1"}"#.to_owned()),
            // What the message says of its time would win.
            (
                r#"{"timestamp":1795000000000,"message":"{\"level\":\"INFO\",\"timestamp\":\"2026-11-18T11:06:40Z\",\"date\" : 1, \"x\":{\"date\":2}}\n","y":1}"#,
                format!(
                    r#"{{"timestamp":{oldest},"original_timestamp":1795000000000,"message":"{{\"level\":\"INFO\",\"original_timestamp\":\"2026-11-18T11:06:40Z\",\"original_date\" : 1, \"x\":{{\"date\":2}}}}\n","y":1}}"#
                ),
            ),
            (
                r#"{"timestamp":1795000000000,"message":"{\"timestamp\":\"x\""}"#,
                format!(
                    r#"{{"timestamp":{oldest},"original_timestamp":1795000000000,"message":"{{\"timestamp\":\"x\""}}"#
                ),
            ),
            ("", String::new()),
        ] {
            assert_eq!(String::from_utf8(redated(log.as_bytes(), oldest).into_owned()).unwrap(), expected);
        }
    }

    #[test]
    fn a_log_that_is_too_old_says_when_it_was_written() {
        use crate::env::Env;
        use crate::model::Sink;

        let lookup = |name: &str| (name == "DD_API_KEY").then(|| "x".to_owned());
        let datadog = Datadog::from_env(&mut Env::new(&lookup)).unwrap();
        let (now, hour) = (1_795_170_600_000, 3_600_000);
        let forwarder = Forwarder::default();
        let mut encoder = datadog.encoder(&Context { forwarder: &forwarder, now: Timestamp::from_millis(now) });
        for hours in [1, 17, 30] {
            let time = Timestamp::from_millis(now - hours * hour);
            let message = JsonStr::from_escaped(r#"{\"timestamp\":\"x\"}"#);
            encoder.log(&Origin::default(), &Log::new(&LogEvent::new("", time, message)));
        }
        let request = super::super::super::Encode::finish(encoder).requests.remove(0);
        let body = crate::backend::decompress(request.compression, &request.body).unwrap();
        let logs: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let times: Vec<_> = (0..3).map(|place| &logs[place]["timestamp"]).collect();
        assert_eq!(
            times,
            [&(now - hour).into(), &(now - 17 * hour).into(), &serde_json::Value::from(now - OLDEST_LOG)]
        );
        let original: Vec<_> = (0..3).map(|place| logs[place]["original_timestamp"].as_i64()).collect();
        assert_eq!(original, [None, None, Some(now - 30 * hour)]);
        let messages: Vec<_> = (0..3).map(|place| logs[place]["message"].as_str().unwrap()).collect();
        assert_eq!(messages, [r#"{"timestamp":"x"}"#, r#"{"timestamp":"x"}"#, r#"{"original_timestamp":"x"}"#]);
    }
}
