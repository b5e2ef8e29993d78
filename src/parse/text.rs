//! Lambda's own lines as text.
//!
//! Each is anchored at the first byte of the log event: platform lines are
//! events of their own, and what stands in the middle of a line was written by
//! the function.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>

use std::borrow::Cow;

use memchr::{memchr, memchr3};

use super::fields::{error_type, fill, number, request_id, request_word, word};
use super::platform::{
    Fault, InitReport, InitStart, Platform, Registration, Report, RestoreReport, Start, Status, Timeout, Xray,
};
use crate::model::has_form;

impl<'a> Platform<'a> {
    /// Reads the lines of an invocation in their usual form as they stand inside a JSON
    /// string; `None` when a line has to be unescaped to tell.
    pub fn parse_escaped(line: &'a str) -> Option<Self> {
        usual::platform(line)
    }

    /// Reads one of Lambda's own lines as text.
    pub fn parse_text(line: &'a str) -> Option<Self> {
        match line.as_bytes().first()? {
            b'S' => start(line).map(Self::Start),
            b'E' => {
                end(line).map(|request_id| Self::End { request_id }).or_else(|| extension(line).map(Self::Extension))
            }
            b'R' => report(line)
                .map(Self::Report)
                .or_else(|| fault(line).map(Self::Fault))
                .or_else(|| restore_start(line).map(Self::RestoreStart))
                .or_else(|| restore_report(line).map(Self::RestoreReport)),
            b'I' => init_start(line)
                .map(Self::InitStart)
                .or_else(|| init_report(line).map(Self::InitReport))
                .or_else(|| is_image_error(line).then_some(Self::ImageError)),
            b'T' => timeout(line).map(Self::Timeout).or_else(|| telemetry(line).map(Self::TelemetrySubscription)),
            b'L' => logs(line).map(Self::LogsSubscription),
            b'U' => fault(line).map(Self::Fault),
            b'0'..=b'9' => timeout(line).map(Self::Timeout),
            _ => None,
        }
    }
}

/// The lines of an invocation in the form that nearly all of them have, read as they stand
/// inside a JSON string, where a TAB is `\t`.
mod usual {
    use super::super::fields::{request_id, short_number};
    use super::super::platform::{Metrics, Platform, Report, Start};
    use crate::json::digits;

    pub(super) fn platform(line: &str) -> Option<Platform<'_>> {
        match line.as_bytes().first()? {
            b'S' => start(line),
            b'E' => end(line),
            b'R' => report(line),
            _ => None,
        }
    }

    fn start(line: &str) -> Option<Platform<'_>> {
        let (id, rest) = uuid(line.strip_prefix("START RequestId: ")?)?;
        let version = rest.strip_prefix(" Version: ")?.strip_suffix("\\n")?;
        let plain = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'$');
        let start = || Start { request_id: Some(id.into()), version: Some(version.into()), ..Start::default() };
        plain.then(|| Platform::Start(start()))
    }

    fn end(line: &str) -> Option<Platform<'_>> {
        let (id, rest) = uuid(line.strip_prefix("END RequestId: ")?)?;
        // Made where it stays, as it is as large as a report: to copy it takes longer than to read the line.
        if rest == "\\n" { Some(Platform::End { request_id: id }) } else { None }
    }

    fn report(line: &str) -> Option<Platform<'_>> {
        let (id, rest) = uuid(line.strip_prefix("REPORT RequestId: ")?)?;
        let (duration, rest) = measured(rest, "\\tDuration: ", " ms\\t")?;
        let (billed, rest) = whole(rest, "Billed Duration: ", " ms\\t")?;
        let (memory_size, rest) = whole(rest, "Memory Size: ", " MB\\t")?;
        let (memory_used, rest) = whole(rest, "Max Memory Used: ", " MB\\t")?;
        let init = measured(rest, "Init Duration: ", " ms\\t");
        let rest = init.map_or(rest, |(_, rest)| rest);
        let report = || Report {
            request_id: Some(id.into()),
            metrics: Metrics {
                duration_ms: Some(duration),
                billed_duration_ms: Some(billed),
                memory_size_mb: Some(memory_size),
                max_memory_used_mb: Some(memory_used),
                init_duration_ms: init.map(|(duration, _)| duration),
                ..Metrics::default()
            },
            ..Report::default()
        };
        (rest == "\\n").then(|| Platform::Report(report()))
    }

    /// An id of as many characters as a UUID has, and what is behind it.
    fn uuid(text: &str) -> Option<(&str, &str)> {
        let (id, rest) = text.split_at_checked(36)?;
        Some((request_id(id)?, rest))
    }

    fn measured<'a>(text: &'a str, label: &str, unit: &str) -> Option<(f64, &'a str)> {
        let (value, rest) = short_number(text.strip_prefix(label)?)?;
        Some((value, rest.strip_prefix(unit)?))
    }

    /// The same of what Lambda rounds up.
    #[expect(clippy::inline_always, reason = "where the label is known, to compare it takes no call")]
    #[inline(always)]
    fn whole<'a>(text: &'a str, label: &str, unit: &str) -> Option<(f64, &'a str)> {
        let text = text.strip_prefix(label)?;
        let (value, len) = digits::up_to_eight(text.as_bytes());
        let rest = text.get(len..)?.strip_prefix(unit)?;
        #[expect(clippy::cast_precision_loss, reason = "below 10⁸")]
        (1..8).contains(&len).then_some((value as f64, rest))
    }
}

/// `START RequestId: 8edab1f8-… Version: $LATEST`
fn start(line: &str) -> Option<Start<'_>> {
    let (id, rest) = request_word(line.strip_prefix("START RequestId: ")?)?;
    let rest = rest.trim_start().strip_prefix("Version: ")?;
    let (version, rest) = word(rest);
    let whole = !version.is_empty() && rest.trim_start().is_empty();
    whole.then(|| Start { request_id: Some(id.into()), version: Some(version.into()), ..Start::default() })
}

/// `END RequestId: 8edab1f8-…`: its request id.
fn end(line: &str) -> Option<&str> {
    request_id(line.strip_prefix("END RequestId: ")?.trim_end())
}

/// Reads a `REPORT` line.
///
/// ```text
/// REPORT RequestId: 6234bffe-…⇥Duration: 46.84 ms⇥Billed Duration: 47 ms⇥Memory Size: 192 MB⇥Max Memory Used: 72 MB⇥Init Duration: 101.2 ms⇥⏎
/// XRAY TraceId: 1-6ac7d74a-019546e11f8bb3cd382c293c⇥SegmentId: f8f17b1699891cfe⇥Sampled: true⇥⏎
/// ```
///
/// Fields are `name: value`, set apart by TABs (blanks in some documents), in
/// any order. Only the request id and one of them have to be there: unknown fields are skipped,
/// a value that can't be read drops its field alone, and of a field that
/// repeats the first holds. Durations are in ms, memory in MB.
///
/// Returns `None` for any other line.
fn report(line: &str) -> Option<Report<'_>> {
    const LABELS: [&str; 9] = [
        "Billed Restore Duration: ",
        "Restore Duration: ",
        "Billed Duration: ",
        "Init Duration: ",
        "Duration: ",
        "Memory Size: ",
        "Max Memory Used: ",
        "Status: ",
        "Error Type: ",
    ];
    let (id, rest) = request_word(line.strip_prefix("REPORT RequestId: ")?)?;
    let mut report = Report { request_id: Some(id.into()), ..Report::default() };
    let end = memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
    let (fields, next_line) = (rest.get(..end)?, rest.get(end + 1..).unwrap_or_default());
    let mut any = false;
    let metrics = &mut report.metrics;
    let leftover = each_field(fields, &LABELS, |label, value| {
        any = true;
        let millis = |slot: &mut Option<f64>| fill(slot, value.number("ms"));
        let megabytes = |slot: &mut Option<f64>| fill(slot, value.number("MB"));
        let read = match label {
            "Billed Restore Duration: " => millis(&mut metrics.billed_restore_duration_ms),
            "Restore Duration: " => millis(&mut metrics.restore_duration_ms),
            "Billed Duration: " => millis(&mut metrics.billed_duration_ms),
            "Init Duration: " => millis(&mut metrics.init_duration_ms),
            "Duration: " => millis(&mut metrics.duration_ms),
            "Memory Size: " => megabytes(&mut metrics.memory_size_mb),
            "Max Memory Used: " => megabytes(&mut metrics.max_memory_used_mb),
            "Status: " => fill(&mut report.status, value.status()),
            _ => fill(&mut report.error_type, value.error_type()),
        };
        report.partial |= !read;
    });
    report.partial |= leftover;
    report.xray = xray(next_line);
    any.then_some(report)
}

fn xray(line: &str) -> Option<Xray<'_>> {
    let mut xray = Xray { trace_id: word(line.strip_prefix("XRAY TraceId: ")?).0, ..Xray::default() };
    each_field(line, &["SegmentId: ", "Sampled: "], |label, value| match label {
        "SegmentId: " => xray.segment_id = Some(value.word),
        _ => xray.sampled = value.word.parse().ok(),
    });
    Some(xray)
}

/// `INIT_START Runtime Version: nodejs:18.v28⇥Runtime Version ARN: arn:aws:lambda:…`
fn init_start(line: &str) -> Option<InitStart<'_>> {
    runtime(line.strip_prefix("INIT_START ")?)
}

/// `RESTORE_START Runtime Version: java:11.v20⇥Runtime Version ARN: arn:aws:lambda:…`
fn restore_start(line: &str) -> Option<InitStart<'_>> {
    runtime(line.strip_prefix("RESTORE_START ")?)
}

fn runtime(fields: &str) -> Option<InitStart<'_>> {
    let mut found = InitStart::default();
    each_field(fields, &["Runtime Version: ", "Runtime Version ARN: "], |label, value| match label {
        "Runtime Version: " => found.runtime_version = Some(value.word.into()),
        _ => found.runtime_version_arn = Some(value.word.into()),
    });
    found.runtime_version.is_some().then_some(found)
}

/// `INIT_REPORT Init Duration: 229.04 ms⇥Phase: init⇥Status: error⇥Error Type: Runtime.ImportModuleError`
fn init_report(line: &str) -> Option<InitReport<'_>> {
    let fields = line.strip_prefix("INIT_REPORT ")?;
    let mut report = InitReport::default();
    each_field(fields, &["Init Duration: ", "Phase: ", "Status: ", "Error Type: "], |label, value| {
        let read = match label {
            "Init Duration: " => fill(&mut report.init_duration_ms, value.number("ms")),
            "Phase: " => fill(&mut report.phase, Some(value.word.into())),
            "Status: " => fill(&mut report.status, value.status()),
            _ => fill(&mut report.error_type, value.error_type()),
        };
        report.partial |= !read;
    });
    fields.starts_with("Init Duration: ").then_some(report)
}

/// `RESTORE_REPORT Restore Duration: 398.97 ms`, with `Status: …` and `Error Type: …` on failure
fn restore_report(line: &str) -> Option<RestoreReport<'_>> {
    let fields = line.strip_prefix("RESTORE_REPORT ")?;
    let mut report = RestoreReport::default();
    each_field(fields, &["Restore Duration: ", "Status: ", "Error Type: "], |label, value| {
        match label {
            "Restore Duration: " => fill(&mut report.restore_duration_ms, value.number("ms")),
            "Status: " => fill(&mut report.status, value.status()),
            _ => fill(&mut report.error_type, value.error_type()),
        };
    });
    fields.starts_with("Restore Duration: ").then_some(report)
}

/// `EXTENSION⇥Name: datadog-agent⇥State: Ready⇥Events: [INVOKE,SHUTDOWN]`
fn extension(line: &str) -> Option<Registration<'_>> {
    registration(line.strip_prefix("EXTENSION\t")?, "Events: ")
}

/// `TELEMETRY⇥Name: datadog-agent⇥State: Subscribed⇥Types: [Platform, Function, Extension]`
fn telemetry(line: &str) -> Option<Registration<'_>> {
    registration(line.strip_prefix("TELEMETRY\t")?, "Types: ")
}

/// `LOGS⇥Name: my-extension⇥State: Subscribed⇥Types: [Platform,Function]`
fn logs(line: &str) -> Option<Registration<'_>> {
    registration(line.strip_prefix("LOGS\t")?, "Types: ")
}

fn registration<'a>(fields: &'a str, items: &str) -> Option<Registration<'a>> {
    let field = |label: &str| fields.split(['\t', '\n', '\r']).find_map(|field| field.strip_prefix(label));
    let list = field(items).and_then(|list| list.trim().strip_prefix('[')?.strip_suffix(']'));
    Some(Registration {
        name: field("Name: ")?.trim_end(),
        state: field("State: ")?.trim_end(),
        items: list.unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty()).collect(),
        error_type: field("Error Type: ").map(str::trim_end).and_then(error_type),
    })
}

/// `IMAGE⇥Launch error: fork/exec /entry.sh: exec format error⇥Entrypoint: …`: whether it is one.
fn is_image_error(line: &str) -> bool {
    line.strip_prefix("IMAGE\t")
        .is_some_and(|rest| rest.starts_with("Launch error: ") || rest.starts_with("Invalid task config: "))
}

/// `2020-06-09T15:02:26.150Z 7c9567b5-… Task timed out after 3.00 seconds⏎⏎`, and nothing else.
fn timeout(line: &str) -> Option<Timeout<'_>> {
    const TEXT: &str = "Task timed out after ";
    let line = line.trim_end();
    let (id, rest) = if let Some(rest) = line.strip_prefix(TEXT) {
        (None, rest)
    } else {
        let (stamp, rest) = line.split_once(' ')?;
        let (id, rest) = rest.split_once(' ')?;
        let id = if is_stamp(stamp) { request_id(id)? } else { return None };
        (Some(id), rest.strip_prefix(TEXT)?)
    };
    Some(Timeout { request_id: id, seconds: number(rest.strip_suffix(" seconds")?)? })
}

/// `2020-06-09T15:02:26.150Z`, with any fraction or none.
fn is_stamp(text: &str) -> bool {
    let parts = text.strip_suffix('Z').and_then(|text| text.split_at_checked(19));
    let is_fraction = |text: &str| text.strip_prefix('.').is_some_and(|text| text.bytes().all(|b| b.is_ascii_digit()));
    parts.is_some_and(|(seconds, rest)| {
        has_form(seconds.as_bytes(), b"0000-00-00T00:00:00") && (rest.is_empty() || is_fraction(rest))
    })
}

/// A runtime that ended where it shouldn't have:
///
/// ```text
/// RequestId: 5952… Error: Runtime exited with error: signal: killed⏎Runtime.ExitError⏎
/// RequestId: 5952… Process exited before completing request⏎⏎
/// Unknown application error occurred⏎Runtime.ImportModuleError⏎
/// Unknown application error occurred⏎Error⏎                                     of a runtime of one's own
/// ```
fn fault(line: &str) -> Option<Fault<'_>> {
    const UNKNOWN: &str = "Unknown application error occurred";
    const PROCESS: &str = "Process exited before completing request";
    let line = line.trim_end();
    let (head, tail) = line.split_once('\n').unwrap_or((line, ""));
    let head = head.trim_end();
    let kind = error_type(tail).filter(|kind| kind.contains('.'));
    if head == UNKNOWN {
        return Some(Fault { request_id: None, reason: UNKNOWN, error_type: Some(error_type(tail)?) });
    }
    let (id, rest) = head.strip_prefix("RequestId: ")?.split_once(' ')?;
    let id = Some(request_id(id)?);
    if rest == PROCESS && tail.is_empty() {
        return Some(Fault { request_id: id, reason: PROCESS, error_type: None });
    }
    let reason = rest.strip_prefix("Error: ")?;
    let whole = kind.is_some() || (tail.is_empty() && reason.starts_with("Runtime exited"));
    whole.then_some(Fault { request_id: id, reason, error_type: kind })
}

/// What stands behind a label.
#[derive(Clone, Copy)]
struct Value<'a> {
    /// The first word.
    word: &'a str,
    /// What follows the word, up to the next TAB.
    rest: &'a str,
}

impl<'a> Value<'a> {
    fn number(self, unit: &str) -> Option<f64> {
        (word(self.rest.strip_prefix(' ')?).0 == unit).then(|| number(self.word))?
    }

    fn status(self) -> Option<Status> {
        Some(Status::parse(self.word)).filter(|status| *status != Status::Unknown)
    }

    fn error_type(self) -> Option<Cow<'a, str>> {
        error_type(self.word).map(Cow::Borrowed)
    }
}

/// The label at the front, and what is behind it.
fn labelled<'a>(text: &'a str, labels: &[&'static str]) -> Option<(&'static str, &'a str)> {
    let first = text.as_bytes().first();
    labels
        .iter()
        .filter(|label| label.as_bytes().first() == first)
        .find_map(|label| Some((*label, text.strip_prefix(label)?)))
}

/// Finds fields by their labels, of which a longer one stands before one that
/// it ends in. What is between TABs is skipped when it begins with no label.
/// Returns whether a piece was the start of a label: text that was cut off.
fn each_field<'a>(text: &'a str, labels: &[&'static str], mut found: impl FnMut(&'static str, Value<'a>)) -> bool {
    let tabbed = memchr(b'\t', text.as_bytes()).is_some();
    let mut cut = false;
    let mut left = text;
    while !left.is_empty() {
        let end = memchr3(b'\t', b'\n', b'\r', left.as_bytes()).unwrap_or(left.len());
        let (piece, tail) = left.split_at(end);
        left = tail.get(1..).unwrap_or_default();
        let mut rest = piece.trim_start();
        let mut first = tabbed;
        while !rest.is_empty() {
            if let Some((label, value)) = labelled(rest, labels) {
                let (word, after) = word(value);
                found(label, Value { word, rest: after });
                rest = after.trim_start();
            } else if first {
                cut = labels.iter().any(|label| label.starts_with(rest));
                break;
            } else {
                rest = word(rest).1.trim_start();
            }
            first = false;
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::JsonStr;

    const ID: &str = "8edab1f8-7d34-4a8e-a965-15ccbbb78d4c";

    fn both(line: &str) -> (Option<Platform<'static>>, Option<Platform<'static>>) {
        let mut buffer = Vec::new();
        let escaped = JsonStr::escape(line, &mut buffer).escaped().to_owned().leak();
        (Platform::parse_escaped(escaped), Platform::parse_text(line.to_owned().leak()))
    }

    #[test]
    fn usual_lines_need_not_be_unescaped() {
        for line in [
            format!("START RequestId: {ID} Version: $LATEST\n"),
            format!("START RequestId: {ID} Version: 40\n"),
            format!("END RequestId: {ID}\n"),
            format!(
                "REPORT RequestId: {ID}\tDuration: 1.72 ms\tBilled Duration: 2 ms\tMemory Size: 1024 MB\tMax Memory Used: 76 MB\t\n"
            ),
            format!(
                "REPORT RequestId: {ID}\tDuration: 1.72 ms\tBilled Duration: 2 ms\tMemory Size: 1024 MB\tMax Memory Used: 97 MB\tInit Duration: 488.91 ms\t\n"
            ),
        ] {
            let (escaped, text) = both(&line);
            assert!(escaped.is_some(), "{line}");
            assert_eq!(escaped, text, "{line}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_escaped_is_what_is_read_unescaped(
            name in prop_oneof![Just("START"), Just("END"), Just("REPORT")],
            id in prop_oneof![8 => Just(ID.to_owned()), 1 => "[a-z0-9-]{30,40}", 1 => Just("é".repeat(18))],
            fields in proptest::collection::vec(
                prop_oneof![
                    Just(" Version: $LATEST"), Just(" Version: a b"), Just("\tDuration: 1.72 ms"), Just("\tDuration: 1e3 ms"),
                    Just("\tBilled Duration: 2 ms"), Just("\tMemory Size: 128 MB"), Just("\tMax Memory Used: 9 MB"),
                    Just("\tInit Duration: 1.5 ms"), Just("\tStatus: timeout"), Just("\t"), Just(" "), Just("\nXRAY TraceId: 1-2\tSegmentId: 3\t"),
                ],
                0..7,
            ),
            end in prop_oneof![4 => Just("\t\n"), 4 => Just("\n"), 1 => Just(""), 1 => Just("\t\nx")],
        ) {
            let (escaped, text) = both(&format!("{name} RequestId: {id}{}{end}", fields.concat()));
            if escaped.is_some() {
                prop_assert_eq!(escaped, text);
            }
        }
    }
}
