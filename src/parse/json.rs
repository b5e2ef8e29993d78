//! Lambda's own lines as JSON, and what applications write as JSON.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html>,
//! and records seen in logs: `functionArn` in `platform.start` and the memory in
//! `platform.initStart` aren't in the published schema.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::fields::fill;
use super::flat::{self, Scalar};
use super::lenient::{Object, elements, measure, members, string};
use super::platform::{InitReport, InitStart, Metrics, Platform, Report, RestoreReport, Span, Start, Status};
use crate::model::Level;

/// What every such line has.
static MARK: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"platform."));

/// One of Lambda's own lines.
///
/// ```text
/// {"time":"2026-10-08T07:30:29.470Z","type":"platform.report","record":{"requestId":"79b5e81f-…","metrics":{"durationMs":1233.96,…},"status":"success"}}
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PlatformEvent<'a> {
    /// As `platform.report`.
    pub kind: Cow<'a, str>,
    /// Its `time`, which all that Lambda writes has.
    pub time: Option<Cow<'a, str>>,
    /// What it says, unless that isn't an object.
    pub record: Option<Record<'a>>,
}

/// Everything that any type of record is known to hold. What is missing, of
/// another type, an empty text or not a number that can be is `None`; what is new is ignored.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names are those of the schema")]
pub struct Record<'a> {
    pub request_id: Option<Cow<'a, str>>,
    pub function_arn: Option<Cow<'a, str>>,
    pub version: Option<Cow<'a, str>>,
    pub tenant_id: Option<Cow<'a, str>>,
    pub initialization_type: Option<Cow<'a, str>>,
    pub phase: Option<Cow<'a, str>>,
    pub runtime_version: Option<Cow<'a, str>>,
    pub runtime_version_arn: Option<Cow<'a, str>>,
    pub function_name: Option<Cow<'a, str>>,
    pub function_version: Option<Cow<'a, str>>,
    pub instance_id: Option<Cow<'a, str>>,
    pub instance_max_memory: Option<f64>,
    pub name: Option<Cow<'a, str>>,
    pub state: Option<Cow<'a, str>>,
    pub reason: Option<Cow<'a, str>>,
    pub dropped_bytes: Option<f64>,
    pub dropped_records: Option<f64>,
    pub status: Option<Cow<'a, str>>,
    pub error_type: Option<Cow<'a, str>>,
    pub metrics: Metrics,
    pub spans: Vec<Span<'a>>,
}

impl<'a> PlatformEvent<'a> {
    /// Reads a line that has a `type` of `platform.*`.
    pub fn of(line: Object<'a>) -> Option<Self> {
        MARK.find(line.json().as_bytes())?;
        let (mut kind, mut time, mut record) = (None, None, None);
        for (key, value) in line.members() {
            match key.as_ref() {
                "type" => fill(&mut kind, string(value)),
                "time" => fill(&mut time, string(value)),
                "record" => fill(&mut record, Record::parse(value)),
                _ => false,
            };
        }
        let kind = kind.filter(|kind| kind.starts_with("platform."))?;
        Some(Self { kind, time, record })
    }

    /// What it means, as its text counterpart would say it.
    pub fn meaning(self) -> Platform<'a> {
        let Some(record) = self.record else { return Platform::Unknown };
        let status = record.status.as_deref().map(Status::parse);
        match self.kind.as_ref() {
            "platform.initStart" => Platform::InitStart(record.init_start()),
            "platform.restoreStart" => Platform::RestoreStart(record.init_start()),
            "platform.initReport" => Platform::InitReport(InitReport {
                init_duration_ms: record.metrics.duration_ms,
                phase: record.phase,
                status,
                error_type: record.error_type,
                initialization_type: record.initialization_type,
                partial: false,
            }),
            "platform.restoreReport" => Platform::RestoreReport(RestoreReport {
                restore_duration_ms: record.metrics.duration_ms,
                status,
                error_type: record.error_type,
            }),
            "platform.start" => Platform::Start(Start {
                request_id: record.request_id,
                version: record.version,
                function_arn: record.function_arn,
                tenant_id: record.tenant_id,
            }),
            "platform.report" => Platform::Report(record.report(status)),
            "platform.runtimeDone" => Platform::RuntimeDone(record.report(status)),
            "platform.extension"
            | "platform.initRuntimeDone"
            | "platform.logsDropped"
            | "platform.logsSubscription"
            | "platform.restoreRuntimeDone"
            | "platform.telemetrySubscription" => Platform::Other,
            _ => Platform::Unknown,
        }
    }
}

impl<'a> Record<'a> {
    fn parse(json: &'a str) -> Option<Self> {
        let mut record = Self::default();
        let (mut metrics, mut spans) = (None, None);
        for (key, value) in members(json)? {
            let text = match key.as_ref() {
                "requestId" => &mut record.request_id,
                "functionArn" => &mut record.function_arn,
                "version" => &mut record.version,
                "tenantId" => &mut record.tenant_id,
                "initializationType" => &mut record.initialization_type,
                "phase" => &mut record.phase,
                "runtimeVersion" => &mut record.runtime_version,
                "runtimeVersionArn" => &mut record.runtime_version_arn,
                "functionName" => &mut record.function_name,
                "functionVersion" => &mut record.function_version,
                "instanceId" => &mut record.instance_id,
                "name" => &mut record.name,
                "state" => &mut record.state,
                "reason" => &mut record.reason,
                "status" => &mut record.status,
                "errorType" => &mut record.error_type,
                other => {
                    match other {
                        "instanceMaxMemory" => fill(&mut record.instance_max_memory, measure(value)),
                        "droppedBytes" => fill(&mut record.dropped_bytes, measure(value)),
                        "droppedRecords" => fill(&mut record.dropped_records, measure(value)),
                        "metrics" => fill(&mut metrics, Metrics::parse(value)),
                        "spans" => {
                            fill(&mut spans, elements(value).map(|spans| spans.filter_map(Span::parse).collect()))
                        }
                        _ => false,
                    };
                    continue;
                }
            };
            fill(text, string(value).filter(|text| !text.is_empty()));
        }
        record.metrics = metrics.unwrap_or_default();
        record.spans = spans.unwrap_or_default();
        Some(record)
    }

    fn init_start(self) -> InitStart<'a> {
        InitStart {
            runtime_version: self.runtime_version,
            runtime_version_arn: self.runtime_version_arn,
            initialization_type: self.initialization_type,
            function_name: self.function_name,
            function_version: self.function_version,
            instance_max_memory: self.instance_max_memory,
        }
    }

    fn report(self, status: Option<Status>) -> Report<'a> {
        Report {
            request_id: self.request_id,
            metrics: self.metrics,
            status,
            error_type: self.error_type,
            spans: self.spans,
            xray: None,
            tenant_id: self.tenant_id,
            partial: false,
        }
    }
}

impl Metrics {
    fn parse(json: &str) -> Option<Self> {
        let mut metrics = Self::default();
        for (key, value) in members(json)? {
            let number = match key.as_ref() {
                "durationMs" => &mut metrics.duration_ms,
                "billedDurationMs" => &mut metrics.billed_duration_ms,
                "memorySizeMB" => &mut metrics.memory_size_mb,
                "maxMemoryUsedMB" => &mut metrics.max_memory_used_mb,
                "initDurationMs" => &mut metrics.init_duration_ms,
                "restoreDurationMs" => &mut metrics.restore_duration_ms,
                "billedRestoreDurationMs" => &mut metrics.billed_restore_duration_ms,
                "producedBytes" => &mut metrics.produced_bytes,
                _ => continue,
            };
            fill(number, measure(value));
        }
        Some(metrics)
    }
}

impl<'a> Span<'a> {
    fn parse(json: &'a str) -> Option<Self> {
        let (mut name, mut duration_ms) = (None, None);
        for (key, value) in members(json)? {
            match key.as_ref() {
                "name" => fill(&mut name, string(value)),
                "durationMs" => fill(&mut duration_ms, measure(value)),
                _ => false,
            };
        }
        Some(Self { name: name?, duration_ms: duration_ms? })
    }
}

/// What a JSON line of an application says of itself.
///
/// Keys: `level` (Node.js, Python, Java, .NET) or `log_level` (Python's
/// unhandled errors); `requestId` or `AWSRequestId` (Java); `errorType`;
/// `timestamp`. Of a key that repeats, as child loggers write it, the first value
/// that can be read holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Application<'a> {
    /// The level, as the line spells it.
    pub level: Option<Cow<'a, str>>,
    /// The level of a line that has a number for it, as pino and bunyan write.
    pub numbered: Option<Level>,
    /// The invocation that wrote it.
    pub request_id: Option<Cow<'a, str>>,
    /// As `TypeError`.
    pub error_type: Option<Cow<'a, str>>,
    /// When it was written, as the line has it: `2026-11-20T09:48:55.722Z`.
    pub timestamp: Option<Cow<'a, str>>,
    /// The message; of one that isn't a string its JSON.
    pub message: Option<Cow<'a, str>>,
}

impl<'a> Application<'a> {
    /// Reads a line that is a JSON object and nothing but what an application wrote, as it
    /// stands inside a JSON string. Returns `None` when unescaping has to show what it is.
    pub fn parse_escaped(line: &'a str) -> Option<Self> {
        let (mut level, mut log_level, mut request_id, mut aws_request_id) = (None, None, None, None);
        let (mut error_type, mut timestamp, mut message) = (None, None, None);
        flat::members(line, |key, value| {
            let known = match key {
                "level" => &mut level,
                "log_level" => &mut log_level,
                "requestId" => &mut request_id,
                "AWSRequestId" => &mut aws_request_id,
                "errorType" => &mut error_type,
                "timestamp" => &mut timestamp,
                "message" => &mut message,
                // One of Lambda's own, or a metric of Datadog's.
                "type" if matches!(value, Scalar::Text(kind) if kind.starts_with("platform.")) => return None,
                "m" => return None,
                _ => return Some(()),
            };
            // An object that has a key twice isn't read.
            known.replace(value).is_none().then_some(())
        })?;
        let text = |value| match value {
            Some(Scalar::Text(text)) => Some(Cow::Borrowed(text)),
            Some(Scalar::Other(_)) | None => None,
        };
        let numbered = match level {
            Some(Scalar::Other(number)) => Level::of_number(number),
            Some(Scalar::Text(_)) | None => None,
        };
        Some(Self {
            level: text(level).or_else(|| text(log_level)),
            numbered,
            request_id: first_id([text(request_id), text(aws_request_id)]),
            error_type: text(error_type),
            timestamp: text(timestamp),
            message: text(message),
        })
    }

    /// How bad it says that it is.
    pub fn severity(&self) -> Option<Level> {
        self.level.as_deref().and_then(Level::parse).or(self.numbered)
    }

    /// Reads a line, whatever its keys are.
    pub fn of(line: Object<'a>) -> Self {
        let mut app = Self::default();
        let (mut log_level, mut aws_request_id) = (None, None);
        for (key, value) in line.members() {
            match key.as_ref() {
                "level" => fill(&mut app.level, string(value)) || fill(&mut app.numbered, Level::of_number(value)),
                "log_level" => fill(&mut log_level, string(value)),
                "requestId" => fill(&mut app.request_id, string(value)),
                "AWSRequestId" => fill(&mut aws_request_id, string(value)),
                "errorType" => fill(&mut app.error_type, string(value)),
                "timestamp" => fill(&mut app.timestamp, string(value)),
                "message" => fill(&mut app.message, message(value)),
                _ => false,
            };
        }
        app.level = app.level.or(log_level);
        app.request_id = first_id([app.request_id, aws_request_id]);
        app
    }
}

/// The first that names an invocation: outside of one Python's is empty.
fn first_id(ids: [Option<Cow<'_, str>>; 2]) -> Option<Cow<'_, str>> {
    ids.into_iter().flatten().find(|id| !id.is_empty())
}

fn message(json: &str) -> Option<Cow<'_, str>> {
    if json.starts_with('{') { Some(Cow::Borrowed(json)) } else { string(json) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_applications_say_of_themselves() {
        for (line, [level, request_id, error_type, timestamp, message]) in [
            (
                r#"{"timestamp":"2026-11-20T09:48:55.722Z","level":"INFO","requestId":"r","message":"m"}"#,
                [Some("INFO"), Some("r"), None, Some("2026-11-20T09:48:55.722Z"), Some("m")],
            ),
            (
                r#"{"log_level":"ERROR","AWSRequestId":"r","errorType":"KeyError","x":{"level":1}}"#,
                [Some("ERROR"), Some("r"), Some("KeyError"), None, None],
            ),
            (
                r#"{"level":30,"timestamp":1700000000123,"message":{"a":[1]}}"#,
                [None, None, None, None, Some(r#"{"a":[1]}"#)],
            ),
            (r#"{"level":null,"requestId":null,"timestamp":null,"message":null}"#, [None; 5]),
            // Python outside of an invocation.
            (r#"{"level":"INFO","requestId":""}"#, [Some("INFO"), None, None, None, None]),
            (r#"{"requestId":"","AWSRequestId":"r"}"#, [None, Some("r"), None, None, None]),
            (r#"{"AWSRequestId":""}"#, [None; 5]),
        ] {
            let app = Application::of(Object::parse(line).unwrap());
            let found = [app.level, app.request_id, app.error_type, app.timestamp, app.message];
            assert_eq!(
                found.each_ref().map(Option::as_deref),
                [level, request_id, error_type, timestamp, message],
                "{line}"
            );
        }
        for line in [r#"{"level":"a""#, r#" {"level":"a"}"#, r#""level""#] {
            assert!(Object::parse(line).is_none(), "{line}");
        }
    }

    #[test]
    fn of_a_key_that_repeats_the_first_that_can_be_read_holds() {
        let line = Object::parse(r#"{"level":"info","message":1,"level":"warn","message":"b"}"#).unwrap();
        let app = Application::of(line);
        assert_eq!((app.level.as_deref(), app.message.as_deref()), (Some("info"), Some("b")));
    }
}
