//! Logs, each as the lines that are shown of it.

use logferry::json::JsonStr;
use logferry::model::{Level, Log, Timestamp};
use logferry::parse::{Line, Platform};
use serde_json::{Map, Value as Json};

use super::{clock, day, short};
use crate::style::{Paint, Style, count, cut, visible};

/// What of a message is shown.
const MAX_CHARS: usize = 1000;
const MAX_LINES: usize = 20;

/// A log.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) time: Timestamp,
    pub(super) level: Option<Level>,
    /// As it is shown: short, or empty.
    pub(super) request_id: String,
    pub(super) writer: Writer,
    /// What is shown of the message.
    pub(super) lines: Vec<String>,
}

/// Who wrote a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Writer {
    Function,
    Lambda,
    /// Lambda, to say that an invocation failed.
    LambdaOfFailure,
}

impl Entry {
    pub(super) fn new(log: &Log<'_>) -> Self {
        let written = log.event.message.escaped();
        let message = JsonStr::from_escaped(written.get(log.prefix..).unwrap_or(written)).unescape();
        let writer = Writer::of(log, &message);
        let text = Message { log, writer }.readable(message.trim_end());
        let mut lines: Vec<_> = text.split('\n').map(visible).collect();
        if lines.len() > MAX_LINES {
            let more = count(lines.len() - MAX_LINES, "more line");
            lines.truncate(MAX_LINES);
            lines.push(format!("… {more}"));
        }
        Self { time: log.event.time, level: log.level, request_id: short(log.request_id), writer, lines }
    }

    /// Writes it under the columns that the logs around it need.
    pub(super) fn render(&self, levels: bool, requests: bool, style: Style, out: &mut String) {
        let mut indent = 14;
        out.extend([style.paint(Paint::Dim, &clock(self.time)).as_str(), "  "]);
        if levels {
            let level = self.level.map(|level| level.as_str().to_uppercase()).unwrap_or_default();
            let pad = " ".repeat(7_usize.saturating_sub(level.len()));
            out.extend([style.paint(self.paint(), &level), pad]);
            indent += 7;
        }
        if requests {
            let pad = " ".repeat(10_usize.saturating_sub(self.request_id.len()));
            out.extend([style.paint(Paint::Dim, &self.request_id), pad]);
            indent += 10;
        }
        let text = self.lines.join(&format!("\n{}", " ".repeat(indent)));
        // Lambda's lines are long, and the table has what they say.
        let room = if self.writer == Writer::Lambda { style.width.saturating_sub(indent) } else { usize::MAX };
        *out += &match self.paint() {
            Paint::Yellow => text,
            paint => style.paint_lines(paint, &cut(&text, room)),
        };
        out.truncate(out.trim_end().len());
        out.push('\n');
    }

    pub(super) const fn paint(&self) -> Paint {
        match (self.writer, self.level) {
            (_, Some(Level::Fatal)) => Paint::RedBold,
            (_, Some(Level::Error)) | (Writer::LambdaOfFailure, _) => Paint::Red,
            (_, Some(Level::Warn)) => Paint::Yellow,
            (_, Some(Level::Debug | Level::Trace)) | (Writer::Lambda, _) => Paint::Dim,
            (Writer::Function, Some(Level::Info) | None) => Paint::Plain,
        }
    }
}

impl Writer {
    pub(super) fn of(log: &Log<'_>, message: &str) -> Self {
        if log.prefix > 0 || log.level.is_some() {
            return Self::Function;
        }
        match Line::parse(message, None).into_platform() {
            Ok(Platform::Fault(_) | Platform::Timeout(_)) => Self::LambdaOfFailure,
            Ok(Platform::Unknown) | Err(_) => Self::Function,
            Ok(_) => Self::Lambda,
        }
    }
}

/// A message on its way to the terminal.
struct Message<'a> {
    log: &'a Log<'a>,
    writer: Writer,
}

impl Message<'_> {
    /// The message in lines, without what stands before it anyway.
    fn readable(&self, message: &str) -> String {
        let text = if let Ok(fields) = serde_json::from_str(message) {
            self.json(fields)
        } else if self.writer != Writer::Function {
            self.without_request_id(message)
        } else if let Some((head, fields)) = json_at_end(message) {
            // Node.js writes what is thrown behind a tab.
            format!("{} {}", head.trim_end(), self.json(fields))
        } else {
            message.to_owned()
        };
        // Python's runtime ends the lines inside a message with a carriage return.
        let mut text = text.replace("\r\n", "\n").replace('\r', "\n");
        if let Some((end, _)) = text.char_indices().nth(MAX_CHARS) {
            text.truncate(end);
            text.push('…');
        }
        text
    }

    /// `END RequestId: 1ab9290b-…` is `END` where the request id stands before it.
    fn without_request_id(&self, message: &str) -> String {
        let Some(id) = self.log.request_id else { return message.split_whitespace().collect::<Vec<_>>().join(" ") };
        let day = day(self.log.event.time);
        let said =
            message.split_whitespace().filter(|word| *word != id && *word != "RequestId:" && !word.starts_with(&day));
        said.collect::<Vec<_>>().join(" ")
    }

    /// What a JSON line says, then its other fields as `key=value`; fields of
    /// several lines are below.
    fn json(&self, mut fields: Map<String, Json>) -> String {
        if self.writer != Writer::Function {
            for name in ["record", "metrics"] {
                if let Some(Json::Object(inner)) = fields.remove(name) {
                    fields.extend(inner);
                }
            }
        }
        let says = self.says(&mut fields);
        let (line, rest) = says.split_once('\n').unwrap_or((&says, ""));
        let (mut line, mut below) = (line.to_owned(), rest.to_owned());
        for (key, value) in fields.iter().filter(|(key, value)| !self.redundant(key, value)) {
            match value {
                Json::Array(frames) if key.starts_with("stack") => {
                    let frames = frames.iter().map(word).filter(|frame| *frame != says);
                    below.extend(frames.map(|frame| format!("\n{frame}")));
                }
                Json::String(text) if text.contains('\n') => below.extend(["\n", key, ": ", text.trim_end()]),
                value => line.extend([" ", key, "=", &quoted(value)]),
            }
        }
        format!("{}\n{}", line.trim_start(), below.trim_start_matches('\n')).trim_end().to_owned()
    }

    /// Takes out of a JSON line what it says in the first place.
    fn says(&self, fields: &mut Map<String, Json>) -> String {
        let names: &[&str] = if self.writer == Writer::Function { &["message", "msg"] } else { &["type"] };
        if let Some(says) = names.iter().find_map(|name| fields.remove(*name)) {
            return word(&says);
        }
        let error = ["errorType", "errorMessage"].map(|name| fields.remove(name).as_ref().map(word));
        error.into_iter().flatten().collect::<Vec<_>>().join(": ")
    }

    /// Whether a field says what the columns before it say, or the table of metrics.
    fn redundant(&self, key: &str, value: &Json) -> bool {
        if key == "_aws" {
            return true;
        }
        let Some(text) = value.as_str() else { return false };
        match key {
            "time" | "timestamp" | "@timestamp" => text.starts_with(&day(self.log.event.time)),
            "level" | "severity" => self.log.level.is_some() && Level::parse(text) == self.log.level,
            _ => self.log.request_id == Some(text),
        }
    }
}

/// A JSON object behind a tab, and what is before it.
fn json_at_end(message: &str) -> Option<(&str, Map<String, Json>)> {
    let (head, json) = message.split_at(message.find("\t{")?);
    Some((head, serde_json::from_str(json).ok()?))
}

/// A value without quotes.
fn word(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A value with quotes, where they are needed to see its end.
fn quoted(value: &Json) -> String {
    let plain = |text: &&str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '"' || c == '=');
    value.as_str().filter(plain).map_or_else(|| value.to_string(), str::to_owned)
}
