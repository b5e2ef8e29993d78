use super::Timestamp;
use crate::json::JsonStr;

/// One line that somebody wrote, unchanged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Log<'a> {
    /// Id that CloudWatch gave the event: stable when a batch is delivered again.
    pub id: &'a str,
    /// When CloudWatch says that it was written.
    pub time: Timestamp,
    /// When the application's own clock says so, as the line has it: [`application_time`](Self::application_time)
    /// reads it.
    pub timestamp: Option<&'a str>,
    /// What was written, to the byte.
    pub message: JsonStr<'a>,
    /// The event as CloudWatch Logs has written it, from its first byte to the end of its message:
    /// `{"id":"…","timestamp":…,"message":"…`. Empty where it was written in another way, or where the
    /// message may be JSON that holds `ddtags`, which Datadog reads.
    pub json: &'a str,
    /// Severity, where the line says so.
    pub level: Option<Level>,
    /// Invocation that wrote it.
    pub request_id: Option<&'a str>,
    /// Bytes of `message`, as it stands in JSON, that the runtime put before
    /// what was logged: time, request id and level.
    pub prefix: usize,
}

/// How far what an application says may be from what CloudWatch says, in ms: a day. What is farther isn't about the line.
const MAX_SKEW: u64 = 86_400_000;

impl Log<'_> {
    /// When the application's own clock says that it was written, and the nanoseconds below that millisecond.
    ///
    /// Absent unless the line has RFC 3339 with a zone and with milliseconds or finer, at most a day from
    /// [`time`](Self::time): of whole seconds the order of lines would be lost. It is read anew each time.
    pub fn application_time(&self) -> Option<(Timestamp, u32)> {
        let read = Timestamp::parse_rfc_3339(self.timestamp?);
        read.filter(|(time, _)| time.distance(self.time) <= MAX_SKEW)
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
            let message = JsonStr::from_escaped("");
            let log = Log { id: "", time, timestamp, message, json: "", level: None, request_id: None, prefix: 0 };
            let found = log.application_time().map(|(own, below)| (own.millis() - time.millis(), below));
            assert_eq!(found, expected, "{timestamp:?}");
        }
    }
}
