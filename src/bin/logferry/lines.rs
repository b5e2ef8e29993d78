//! The lines of a log, as `aws logs tail`, an export to S3 or a test prints them.

use logferry::model::Timestamp;
use logferry::parse::{Fault, Line, Platform};

use crate::input::Content;
use crate::now;
use crate::streams::{Event, Place, Streams};

/// Batches of the lines of a log.
pub(crate) fn batches(text: &str, name: &str) -> Vec<Content> {
    // A line that states no time has that of the line before, the first ones that of the first which does.
    let mut last = text.lines().find_map(own_time).unwrap_or(now()).millis();
    let is_stamped = text.lines().filter_map(Stamped::parse).any(|line| is_lambdas_own(line.message));
    let mut streams = Streams::default();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let stamped = Stamped::parse(line).filter(|_| is_stamped);
        match streams.last() {
            // What follows without a stamp belongs to the event before.
            Some(event) if is_stamped && stamped.is_none() => event.append(line),
            // The line that continues a REPORT belongs to its event.
            Some(event) if line.starts_with("XRAY TraceId: ") && event.message.starts_with("REPORT ") => {
                event.append(line);
            }
            // So does the kind of error behind a crash.
            Some(event) if is_kind_of_crash(&event.message, line) => event.append(line),
            _ => {
                last = own_time(line).map_or(last, Timestamp::millis);
                let Stamped { time, stream, message } =
                    stamped.unwrap_or(Stamped { time: last, stream: "", message: line });
                let place = Place { log_stream: stream.to_owned(), ..Place::default() };
                streams.push(&place, Event { id: String::new(), time, message: message.to_owned() });
            }
        }
    }
    streams.batches(name)
}

/// When Lambda, the runtime or the application says that it wrote a line.
fn own_time(line: &str) -> Option<Timestamp> {
    let text = match Line::parse(line, None) {
        Line::AppText(prefix) => prefix?.timestamp.into(),
        Line::AppJson(app) => app.timestamp?,
        Line::PlatformJson(event) => event.time?,
        Line::PlatformText(Platform::Timeout(_)) => line.split(' ').next()?.into(),
        _ => return None,
    };
    Timestamp::parse_rfc_3339(&text).map(|(time, _)| time)
}

/// Whether a line is the kind of error that Lambda writes below a crash, as `Runtime.ImportModuleError`.
fn is_kind_of_crash(crash: &str, line: &str) -> bool {
    let is_word = line.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'.');
    let told = || {
        matches!(
            Platform::parse_text(&format!("{crash}\n{line}")),
            Some(Platform::Fault(Fault { error_type: Some(kind), .. })) if kind == line
        )
    };
    is_word && told()
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

/// A time in milliseconds; its fraction and its zone, UTC, may be missing.
pub(crate) fn stamp(text: &str) -> Option<i64> {
    let (seconds, rest) = text.split_at_checked("2026-11-20T09:02:14".len())?;
    let (fraction, zone) = rest.split_at(rest.find(['+', '-', 'Z']).unwrap_or(rest.len()));
    let fraction = if fraction.is_empty() { ".000" } else { fraction };
    let zone = if zone.is_empty() { "Z" } else { zone };
    let whole = format!("{seconds}{fraction}{zone}");
    Timestamp::parse_rfc_3339(&whole).map(|(time, _)| time.millis())
}

/// Whether Lambda would call a log stream so: `2026/11/20/[$LATEST]c9286ce5`.
fn is_stream(word: &str) -> bool {
    let mut date = word.splitn(4, '/');
    let is_number = |part: &str, digits| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
    [4, 2, 2].into_iter().all(|digits| date.next().is_some_and(|part| is_number(part, digits))) && word.contains('[')
}
