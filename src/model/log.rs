use super::Timestamp;
use crate::json::JsonStr;

/// One line that somebody wrote, unchanged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Log<'a> {
    /// Id that CloudWatch gave the event: stable when a batch is delivered again.
    pub id: &'a str,
    /// When it was written.
    pub time: Timestamp,
    /// What was written, to the byte.
    pub message: JsonStr<'a>,
    /// The event as CloudWatch Logs has written it, from its first byte to the end of its message:
    /// `{"id":"…","timestamp":…,"message":"…`. Empty where it was written in another way.
    pub json: &'a str,
    /// Severity, where the line says so.
    pub level: Option<Level>,
    /// Invocation that wrote it.
    pub request_id: Option<&'a str>,
    /// Bytes of `message`, as it stands in JSON, that the runtime put before
    /// what was logged: time, request id and level.
    pub prefix: usize,
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
        NAMES.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, level)| level)
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
