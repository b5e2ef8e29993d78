//! Lambda's own lines as JSON, and what applications write as JSON.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html>,
//! and records seen in logs: `functionArn` in `platform.start` and the memory in
//! `platform.initStart` aren't in the published schema.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::flat::{self, Scalar};
use super::lenient;
use super::platform::{InitReport, InitStart, Platform, Report, RestoreReport, Span, Start, Status};

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
    /// Whether it has a `time`, as all that Lambda writes.
    pub timed: bool,
    /// What it says, unless that isn't an object.
    pub record: Option<Record<'a>>,
}

/// Everything that any type of record is known to hold. What is missing, of
/// another type or not a number that can be is `None`; what is new is ignored.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are those of the schema")]
pub struct Record<'a> {
    #[serde(borrow, deserialize_with = "lenient::string")]
    pub request_id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::string")]
    pub function_arn: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::string")]
    pub version: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::string")]
    pub tenant_id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::string")]
    pub initialization_type: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::string")]
    pub phase: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::string")]
    pub runtime_version: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::string")]
    pub runtime_version_arn: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::string")]
    pub function_name: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::string")]
    pub function_version: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::string")]
    pub instance_id: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "lenient::number")]
    pub instance_max_memory: Option<f64>,
    #[serde(borrow, deserialize_with = "lenient::string")]
    pub name: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::string")]
    pub state: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::string")]
    pub reason: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "lenient::number")]
    pub dropped_bytes: Option<f64>,
    #[serde(deserialize_with = "lenient::number")]
    pub dropped_records: Option<f64>,
    #[serde(borrow, deserialize_with = "lenient::string")]
    pub status: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::string")]
    pub error_type: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "lenient::object")]
    pub metrics: Metrics,
    #[serde(borrow, deserialize_with = "lenient::list")]
    pub spans: Vec<RawSpan<'a>>,
}

/// The numbers of a record.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are those of the schema")]
pub struct Metrics {
    #[serde(deserialize_with = "lenient::number")]
    pub duration_ms: Option<f64>,
    #[serde(deserialize_with = "lenient::number")]
    pub billed_duration_ms: Option<f64>,
    #[serde(rename = "memorySizeMB", deserialize_with = "lenient::number")]
    pub memory_size_mb: Option<f64>,
    #[serde(rename = "maxMemoryUsedMB", deserialize_with = "lenient::number")]
    pub max_memory_used_mb: Option<f64>,
    #[serde(deserialize_with = "lenient::number")]
    pub init_duration_ms: Option<f64>,
    #[serde(deserialize_with = "lenient::number")]
    pub restore_duration_ms: Option<f64>,
    #[serde(deserialize_with = "lenient::number")]
    pub billed_restore_duration_ms: Option<f64>,
    #[serde(deserialize_with = "lenient::number")]
    pub produced_bytes: Option<f64>,
}

/// A phase, as the record has it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are those of the schema")]
pub struct RawSpan<'a> {
    #[serde(borrow, deserialize_with = "lenient::string")]
    pub name: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "lenient::number")]
    pub duration_ms: Option<f64>,
}

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default, rename = "type", deserialize_with = "lenient::string")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::string")]
    time: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    record: Option<&'a RawValue>,
}

impl<'a> PlatformEvent<'a> {
    /// Reads a line that is a JSON object with a `type` of `platform.*`.
    pub fn parse(line: &'a str) -> Option<Self> {
        MARK.find(line.as_bytes())?;
        let outer: Outer<'a> = serde_json::from_str(line).ok()?;
        let kind = outer.kind.filter(|kind| kind.starts_with("platform."))?;
        let json = outer.record.map_or("", RawValue::get);
        let record = json.starts_with('{').then(|| serde_json::from_str(json).unwrap_or_default());
        Some(Self { kind, timed: outer.time.is_some(), record })
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
        let metrics = self.metrics;
        let spans =
            self.spans.into_iter().filter_map(|span| Some(Span { name: span.name?, duration_ms: span.duration_ms? }));
        Report {
            request_id: self.request_id,
            duration_ms: metrics.duration_ms,
            billed_duration_ms: metrics.billed_duration_ms,
            memory_size_mb: metrics.memory_size_mb,
            max_memory_used_mb: metrics.max_memory_used_mb,
            init_duration_ms: metrics.init_duration_ms,
            restore_duration_ms: metrics.restore_duration_ms,
            billed_restore_duration_ms: metrics.billed_restore_duration_ms,
            produced_bytes: metrics.produced_bytes,
            status,
            error_type: self.error_type.filter(|kind| !kind.is_empty()),
            spans: spans.collect(),
            xray: None,
            tenant_id: self.tenant_id,
            partial: false,
        }
    }
}

/// What a JSON line of an application says of itself.
///
/// Keys: `level` (Node.js, Python, Java, .NET) or `log_level` (Python's
/// unhandled errors); `requestId` or `AWSRequestId` (Java); `errorType`;
/// `timestamp`. Of a key that repeats the last holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Application<'a> {
    /// The level, as the line spells it.
    pub level: Option<Cow<'a, str>>,
    /// The invocation that wrote it.
    pub request_id: Option<Cow<'a, str>>,
    /// As `TypeError`.
    pub error_type: Option<Cow<'a, str>>,
    /// When it was written, as the line has it: `2026-11-20T09:48:55.722Z`.
    pub timestamp: Option<Cow<'a, str>>,
    /// The message; of one that isn't a string its JSON.
    pub message: Option<Cow<'a, str>>,
}

/// The values of the keys. Not derived, as then a key that repeats would be the end of the others.
#[derive(Default)]
struct Keys<'a> {
    level: Option<Cow<'a, str>>,
    log_level: Option<Cow<'a, str>>,
    request_id: Option<Cow<'a, str>>,
    aws_request_id: Option<Cow<'a, str>>,
    error_type: Option<Cow<'a, str>>,
    timestamp: Option<Cow<'a, str>>,
    message: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Key {
    #[serde(rename = "AWSRequestId")]
    AwsRequestId,
    ErrorType,
    Level,
    #[serde(rename = "log_level")]
    LogLevel,
    Message,
    RequestId,
    Timestamp,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow, deserialize_with = "lenient::string")] Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Keys<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut keys = Keys::default();
        while let Some(key) = map.next_key()? {
            let slot = match key {
                Key::AwsRequestId => &mut keys.aws_request_id,
                Key::ErrorType => &mut keys.error_type,
                Key::Level => &mut keys.level,
                Key::LogLevel => &mut keys.log_level,
                Key::RequestId => &mut keys.request_id,
                Key::Timestamp => &mut keys.timestamp,
                Key::Message => {
                    keys.message = map.next_value()?;
                    continue;
                }
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *slot = map.next_value::<Text<'de>>()?.0;
        }
        Ok(keys)
    }
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
            Some(Scalar::Other) | None => None,
        };
        Some(Self {
            level: text(level).or_else(|| text(log_level)),
            request_id: text(request_id).or_else(|| text(aws_request_id)),
            error_type: text(error_type),
            timestamp: text(timestamp),
            message: text(message),
        })
    }

    /// Reads a line that is a JSON object.
    pub fn parse(line: &'a str) -> Option<Self> {
        let keys: Keys<'a> = serde_json::from_str(line).ok()?;
        Some(Self {
            level: keys.level.or(keys.log_level),
            request_id: keys.request_id.or(keys.aws_request_id),
            error_type: keys.error_type,
            timestamp: keys.timestamp,
            message: keys.message.and_then(message),
        })
    }
}

fn message(raw: &RawValue) -> Option<Cow<'_, str>> {
    let json = raw.get();
    if !json.starts_with('"') {
        return json.starts_with('{').then_some(Cow::Borrowed(json));
    }
    // Without escapes, what is between the quotes is the text.
    let inside = json.get(1..json.len() - 1)?;
    if inside.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inside)) }
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
        ] {
            let app = Application::parse(line).unwrap();
            let found = [app.level, app.request_id, app.error_type, app.timestamp, app.message];
            assert_eq!(
                found.each_ref().map(Option::as_deref),
                [level, request_id, error_type, timestamp, message],
                "{line}"
            );
        }
        assert_eq!(Application::parse(r#"{"level":"a""#), None);
    }

    #[test]
    fn of_a_key_that_repeats_the_last_holds() {
        let app = Application::parse(r#"{"level":"info","message":"a","level":"warn","message":"b"}"#).unwrap();
        assert_eq!((app.level.as_deref(), app.message.as_deref()), (Some("warn"), Some("b")));
    }
}
