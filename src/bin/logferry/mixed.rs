//! Lines of several execution environments in a log that names no log streams.

use std::borrow::Cow;
use std::collections::HashMap;

use logferry::parse::{Line, Platform};

/// What the log says of a request. Messages are known by their number.
#[derive(Default)]
struct Request {
    /// Its `START`, until what it wrote last.
    started: Option<usize>,
    /// Its last `END` or `REPORT`, and one more; 0 when there is none.
    over: usize,
    /// The log stream that it was given.
    stream: Option<usize>,
}

/// A log stream for each message, counted from 0; `None` when all may be of one, in which one request runs at a time.
///
/// Only text is looked at: it is of one request at a time in every environment. In JSON those of Managed Instances
/// mix requests in one log stream, and nothing is lost of them.
pub(crate) fn streams<'a>(messages: impl Iterator<Item = &'a str> + Clone) -> Option<Vec<usize>> {
    let mut requests = requests(messages.clone())?;
    let mut streams = Streams::default();
    let stream = |(number, message)| {
        let line = Line::parse(message, None);
        if let Some(request) = request_of(&line).and_then(|id| requests.get_mut(id.as_ref())) {
            streams.take(request.stream.unwrap_or_else(|| streams.free(number)), request.over);
            request.stream = Some(streams.current);
        } else if matches!(line, Line::PlatformText(Platform::InitStart(_) | Platform::RestoreStart(_))) {
            // An environment begins, and mostly with the request that starts next.
            streams.take(streams.free(number), 0);
        }
        streams.current
    };
    Some(messages.enumerate().map(stream).collect())
}

/// The log streams so far.
#[derive(Default)]
struct Streams {
    /// For each the message from which on another request may have it.
    held: Vec<usize>,
    /// That of the message at hand.
    current: usize,
}

impl Streams {
    /// One that no request has: the last that was written to, if it may be.
    fn free(&self, number: usize) -> usize {
        let is_free = |stream: &usize| self.held.get(*stream).is_some_and(|until| *until <= number);
        let any = || (0..self.held.len()).find(is_free).unwrap_or(self.held.len());
        Some(self.current).filter(is_free).unwrap_or_else(any)
    }

    fn take(&mut self, stream: usize, until: usize) {
        self.current = stream;
        match self.held.get_mut(stream) {
            Some(held) => *held = until.max(*held),
            None => self.held.push(until),
        }
    }
}

/// All requests, if one of them began while another was running.
///
/// A `START` of which no end is seen proves nothing: a function may have printed it, and a filter left out the rest.
fn requests<'a>(messages: impl Iterator<Item = &'a str>) -> Option<HashMap<&'a str, Request>> {
    let mut requests: HashMap<&str, Request> = HashMap::new();
    let (mut last_over, mut mixed) = (0, false);
    for (number, message) in messages.enumerate() {
        match Platform::parse_text(message) {
            Some(Platform::Start(start)) => {
                if let Some(Cow::Borrowed(id)) = start.request_id {
                    requests.entry(id).or_default().started = Some(number);
                }
            }
            Some(platform @ (Platform::End { .. } | Platform::Report(_))) => {
                let Some(id) = platform.request_id() else { continue };
                let request = requests.entry(id).or_default();
                request.over = number + 1;
                if let Some(started) = request.started.take() {
                    mixed |= started < last_over;
                    last_over = number;
                }
            }
            _ => {}
        }
    }
    mixed.then_some(requests)
}

/// The request that wrote a line, or that it is about.
fn request_of<'a>(line: &'a Line<'_>) -> Option<Cow<'a, str>> {
    let id = match line {
        Line::AppJson(app) => &app.request_id,
        Line::AppText(prefix) => return prefix.as_ref()?.request_id.map(Cow::Borrowed),
        Line::Emf(emf) => &emf.request_id,
        Line::Monitoring(line) => &line.request_id,
        Line::PlatformText(platform) => return platform.request_id().map(Cow::Borrowed),
        Line::DatadogMetric(_) | Line::Empty | Line::PlatformJson(_) => return None,
    };
    id.as_deref().map(Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The streams of lines in short: `Sa` starts request a, `Ea` ends and `Ra` reports it, `a:` is a line that it
    /// wrote, and anything else is itself.
    fn of(lines: &str) -> Option<String> {
        let id = |name: &str| format!("8edab1f8-7d34-4a8e-a965-15ccbbb78d4{name}");
        let long = |short: &str| match short.split_at(1) {
            ("S", name) => format!("START RequestId: {} Version: 1", id(name)),
            ("E", name) => format!("END RequestId: {}", id(name)),
            ("R", name) => format!("REPORT RequestId: {}\tDuration: 1.00 ms\t\nXRAY TraceId: 1-x\t", id(name)),
            (name, ":") => format!("2026-11-20T09:02:14.734Z\t{}\tINFO\thello", id(name)),
            (name, "{") => format!(r#"{{"level":"INFO","requestId":"{}"}}"#, id(name)),
            ("I", _) => "INIT_START Runtime Version: nodejs:22.v61".to_owned(),
            _ => short.to_owned(),
        };
        let lines: Vec<_> = lines.split(' ').map(long).collect();
        let streams = streams(lines.iter().map(String::as_str))?;
        Some(streams.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_request_that_runs_beside_others_has_a_stream() {
        for (lines, expected) in [
            ("Sa Sb Ea Ra Eb Rb", "010011"),
            ("Sa Sb Eb Rb Ea Ra", "011100"),
            ("Sa Sb Ra Ea Rb Eb", "010011"),
            // Lines of no request follow those before them.
            ("hello Sa x Sb y a: z b{ z Ea Ra Eb Rb", "0001100110011"),
            // A stream is free again when its request is over: the last one is taken first.
            ("Sa Sb Ea Ra Sc Eb Rb Ec Rc Sd Ed Rd", "010001100000"),
            ("Sa Sb Ea Eb Sc Ra Rb Ec Rc", "010120122"),
            ("Sa Ea Ra Sb Sa Eb Rb Ea Ra", "000101100"),
            // What the log doesn't show the beginning or the end of doesn't take the stream of another.
            ("Sa Sb Ec Ed Rc Rd Ea Ra Eb Rb", "0123230011"),
            ("Sa Sb Ea Ra Sc Sd b: Se Eb Rb", "0100001011"),
            ("a: Sa Sb Eb Rb Ea Ra a:", "00111000"),
            ("I Sa I Sb x Ea Ra I Sc Eb Rb Ec Rc", "0011100001100"),
        ] {
            assert_eq!(of(lines).as_deref(), Some(expected), "{lines}");
        }
    }

    #[test]
    fn requests_one_after_another_are_of_one_stream() {
        for lines in [
            "hello",
            "Sa Ea Ra Sb Eb Rb",
            // What Lambda writes late, and what a function prints.
            "Sa Ea Sb Ra Eb Rb",
            "Sa Ra Sb Ea Rb Eb",
            "Sa Sx Ea Ra Sb Eb Rb",
            "Sa Rx Ex Ea Ra Sb Eb Rb",
            "Sa Ea Ra Sa Ea Ra Sb Eb Rb",
            // A filter may leave little.
            "Sa Sb Sc",
            "Ra Rb Rc",
            "Sa Ra Sb Rb",
        ] {
            assert_eq!(of(lines), None, "{lines}");
        }
    }
}
