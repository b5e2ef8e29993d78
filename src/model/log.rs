use super::Timestamp;
use crate::json::JsonStr;

/// One log event of CloudWatch Logs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogEvent<'a> {
    /// Stable when the event is delivered again; empty when the delivery has none.
    pub id: &'a str,
    /// When it was written; the time of the event before it when it doesn't say.
    pub time: Timestamp,
    /// What was written, to the byte.
    pub message: JsonStr<'a>,
    /// The event as it came, from its first byte to the end of its message, where its keys are
    /// `id`, `timestamp`, `message` and nothing had to be mended: `{"id":"…","timestamp":…,"message":"…`. Empty otherwise.
    pub json: &'a str,
    /// `extractedFields`, a JSON object, where the subscription adds it.
    pub extracted_fields: Option<&'a str>,
}

/// One line that somebody wrote, unchanged, and what it says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Log<'a> {
    /// The line.
    pub event: &'a LogEvent<'a>,
    /// When the application's own clock says that it was written, as the line has it:
    /// [`application_time`](Self::application_time) reads it.
    pub timestamp: Option<&'a str>,
    /// Severity, where the line says so.
    pub level: Option<Level>,
    /// Invocation that wrote it.
    pub request_id: Option<&'a str>,
    /// Bytes of the message, as it stands in JSON, that the runtime put before
    /// what was logged: time, request id and level.
    pub prefix: usize,
    /// Whether Lambda itself wrote it, and not a program that runs there.
    pub by_lambda: bool,
    /// Whether the message may be JSON that holds `ddtags`, which Datadog reads.
    pub may_hold_tags: bool,
    /// Whether level, request id and timestamp are what a JSON object says that is the whole message.
    pub of_json: bool,
    /// The request that was running, as Lambda's own lines tell it: looked for where the line names none, or only in JSON.
    pub running: Option<&'a str>,
}

/// How far what an application says may be from what CloudWatch says, in ms: a day. What is farther isn't about the line.
const MAX_SKEW: u64 = 86_400_000;

impl<'a> LogEvent<'a> {
    /// One of which nothing else is known.
    pub const fn new(id: &'a str, time: Timestamp, message: JsonStr<'a>) -> Self {
        Self { id, time, message, json: "", extracted_fields: None }
    }
}

impl<'a> Log<'a> {
    /// A line of which nothing else is known.
    pub const fn new(event: &'a LogEvent<'a>) -> Self {
        Self {
            event,
            timestamp: None,
            level: None,
            request_id: None,
            prefix: 0,
            by_lambda: false,
            may_hold_tags: false,
            of_json: false,
            running: None,
        }
    }

    /// The same [of JSON](Self::of_json), for an intake that reads JSON itself.
    #[must_use]
    pub const fn without_json(&self) -> Self {
        Self { timestamp: None, level: None, request_id: self.running, of_json: false, ..*self }
    }

    /// When the application's own clock says that it was written, and the nanoseconds below that millisecond.
    ///
    /// Absent unless the line has RFC 3339 with a zone and with milliseconds or finer, at most a day from
    /// the time of its event: of whole seconds the order of lines would be lost. It is read anew each time.
    pub fn application_time(&self) -> Option<(Timestamp, u32)> {
        let read = Timestamp::parse_rfc_3339(self.timestamp?);
        read.filter(|(time, _)| time.distance(self.event.time) <= MAX_SKEW)
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Finest detail.
    Trace,
    /// For whoever debugs.
    Debug,
    /// What goes on.
    Info,
    /// Not yet bad.
    Warn,
    /// Something failed.
    Error,
    /// The program ends.
    Fatal,
}

impl Level {
    /// Reads the name of a level as the Lambda runtimes and common loggers spell it, in any case.
    ///
    /// Sources: Lambda's advanced logging (`TRACE` … `FATAL`), Python's
    /// `CRITICAL`, .NET's `Information` and `trce` … `crit`.
    pub fn parse(name: &str) -> Option<Self> {
        const NAMES: [(&str, Level); 21] = [
            ("info", Level::Info),
            ("error", Level::Error),
            ("warn", Level::Warn),
            ("warning", Level::Warn),
            ("debug", Level::Debug),
            ("trace", Level::Trace),
            ("fatal", Level::Fatal),
            ("critical", Level::Fatal),
            ("information", Level::Info),
            ("notice", Level::Info),
            ("verbose", Level::Debug),
            ("err", Level::Error),
            ("fail", Level::Error),
            ("crit", Level::Fatal),
            ("trce", Level::Trace),
            ("dbug", Level::Debug),
            ("panic", Level::Fatal),
            ("emerg", Level::Fatal),
            ("emergency", Level::Fatal),
            ("alert", Level::Fatal),
            ("severe", Level::Error),
        ];
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, level)| *level)
    }

    /// Reads a number as pino and bunyan, loggers of Node.js, write it for a level: 10 is the finest detail, 30
    /// information, 50 an error.
    ///
    /// Source: <https://github.com/pinojs/pino/blob/main/docs/api.md#loggerlevels-object>
    pub fn of_number(number: &str) -> Option<Self> {
        Some(match number {
            "10" => Self::Trace,
            "20" => Self::Debug,
            "30" => Self::Info,
            "40" => Self::Warn,
            "50" => Self::Error,
            "60" => Self::Fatal,
            _ => return None,
        })
    }

    /// Its name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_an_application_is_near_that_of_its_event() {
        for (timestamp, expected) in [
            (None, None),
            (Some("2023-11-14T22:13:20.123456789Z"), Some((0, 456_789))),
            (Some("2023-11-13T22:13:20.123Z"), Some((-86_400_000, 0))),
            (Some("2023-11-15T22:13:20.123Z"), Some((86_400_000, 0))),
            (Some("2023-11-13T22:13:20.122Z"), None),
            (Some("2023-11-15T22:13:20.124Z"), None),
            (Some("2023-11-14T22:13:20Z"), None),
            (Some("1700000000123"), None),
        ] {
            let time = Timestamp::from_millis(1_700_000_000_123);
            let event = LogEvent::new("", time, JsonStr::default());
            let log = Log { timestamp, ..Log::new(&event) };
            let found = log.application_time().map(|(own, below)| (own.millis() - time.millis(), below));
            assert_eq!(found, expected, "{timestamp:?}");
        }
    }
}
