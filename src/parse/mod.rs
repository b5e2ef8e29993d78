//! From a line to what it says.
//!
//! Parsers take text and return what they borrow from it; they hold no state
//! and make no guess that needs a second line. `None` is "not this parser's
//! line": a line that nobody reads is a log like any other.

mod datadog;
mod emf;
mod fields;
mod flat;
mod json;
mod lenient;
mod monitoring;
mod platform;
mod signature;
mod text;

use std::borrow::Cow;

pub use datadog::DatadogMetric;
pub use emf::{Emf, EmfDirective, EmfMetric};
pub use fields::Prefix;
pub use json::{Application, PlatformEvent, Record};
pub use lenient::Object;
pub use monitoring::{Monitoring, MonitoringLine, metric_name};
pub use platform::{
    Failure, Fault, InitReport, InitStart, Metrics, Platform, Registration, Report, RestoreReport, Span, Start, Status,
    Timeout, Xray,
};
pub use signature::{UNHANDLED, bracketed_level, ends_runtime, handler_error, oom_signature, unhandled_object};

use crate::model::Timestamp;

/// What a line is.
#[derive(Clone, Debug)]
pub enum Line<'a> {
    /// JSON that an application wrote.
    AppJson(Application<'a>),
    /// Text that an application wrote, with what its runtime put before it.
    AppText(Option<Prefix<'a>>),
    /// A custom metric in Datadog's JSON.
    DatadogMetric(DatadogMetric<'a>),
    /// A document in embedded metric format.
    Emf(Emf<'a>),
    /// Nothing but white space.
    Empty,
    /// Custom metrics in `MONITORING|` form.
    Monitoring(MonitoringLine<'a>),
    /// One of Lambda's own lines, as JSON.
    PlatformJson(Box<PlatformEvent<'a>>),
    /// One of Lambda's own lines, as text.
    PlatformText(Platform<'a>),
}

impl<'a> Line<'a> {
    /// Finds out what a line is; `written` is the time of its log event, if it is known.
    pub fn parse(line: &'a str, written: Option<Timestamp>) -> Self {
        let prefixed = || {
            let prefix = Prefix::parse(line).or_else(|| Prefix::before_document(line));
            let rest = line.get(prefix.map_or(0, |prefix| prefix.len)..)?;
            Self::metric(rest, prefix.and_then(|prefix| prefix.request_id), written)
        };
        Platform::parse_text(line)
            .map(Self::PlatformText)
            .or_else(|| Object::parse(line).map(|object| Self::json(object, written)))
            .or_else(prefixed)
            .unwrap_or_else(|| if line.trim().is_empty() { Self::Empty } else { Self::AppText(Prefix::parse(line)) })
    }

    /// A JSON object: one of Lambda's own lines, a metric, or what an application wrote.
    pub fn json(line: Object<'a>, written: Option<Timestamp>) -> Self {
        PlatformEvent::of(line)
            .map(Box::new)
            .map(Self::PlatformJson)
            .or_else(|| Emf::of(line, written).map(Self::Emf))
            .or_else(|| DatadogMetric::of(line, written).map(Self::DatadogMetric))
            .unwrap_or_else(|| Self::app_json(Application::of(line), written))
    }

    /// `MONITORING|` or an EMF document at the start of what `request_id` wrote.
    pub fn metric(text: &'a str, request_id: Option<&'a str>, written: Option<Timestamp>) -> Option<Self> {
        let request_id = request_id.map(Cow::Borrowed);
        if text.starts_with('{') {
            return Emf::parse(text, written).map(|emf| Self::Emf(Emf { request_id, ..emf }));
        }
        MonitoringLine::parse(text, written).map(|line| Self::Monitoring(MonitoringLine { request_id, ..line }))
    }

    /// What an application wrote as JSON, whose message may be a metric.
    pub fn app_json(app: Application<'a>, written: Option<Timestamp>) -> Self {
        let inside = match &app.message {
            Some(Cow::Borrowed(message)) => Self::metric(message, None, written),
            Some(Cow::Owned(message)) => Line::metric(message, None, written).map(Line::into_owned_metric),
            None => None,
        };
        match inside {
            Some(Self::Monitoring(line)) => Self::Monitoring(MonitoringLine { request_id: app.request_id, ..line }),
            Some(Self::Emf(emf)) => Self::Emf(Emf { request_id: app.request_id, ..emf }),
            _ => Self::AppJson(app),
        }
    }

    /// A metric, borrowing nothing.
    fn into_owned_metric<'b>(self) -> Line<'b> {
        match self {
            Self::Emf(emf) => Line::Emf(emf.into_owned()),
            Self::Monitoring(line) => Line::Monitoring(line.into_owned()),
            _ => Line::Empty,
        }
    }

    /// What the line says of the platform; `Err` gives it back when it is none of Lambda's own.
    ///
    /// # Errors
    ///
    /// The line itself, when it isn't one of Lambda's own.
    #[expect(clippy::result_large_err, reason = "the line comes back, and is not copied on the way")]
    pub fn into_platform(self) -> Result<Platform<'a>, Self> {
        match self {
            Self::PlatformJson(event) => Ok(event.meaning()),
            Self::PlatformText(platform) => Ok(platform),
            Self::AppJson(_)
            | Self::AppText(_)
            | Self::DatadogMetric(_)
            | Self::Emf(_)
            | Self::Empty
            | Self::Monitoring(_) => Err(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::JsonStr;

    /// Members of objects that applications write, and such as make reading hard.
    fn member() -> impl Strategy<Value = String> {
        let key = prop_oneof![
            Just("level"),
            Just("log_level"),
            Just("requestId"),
            Just("AWSRequestId"),
            Just("errorType"),
            Just("timestamp"),
            Just("message"),
            Just("type"),
            Just("m"),
            Just("v"),
            Just("_aws"),
            Just("a b"),
            Just("k\\u00e9")
        ];
        let value = prop_oneof![
            4 => "\"[a-zé ]{0,9}\"", 1 => Just(r#""MONITORING|1700000000|1|count|a.b|#x:y""#.to_owned()),
            1 => Just(r#""platform.start""#.to_owned()), 1 => Just(r#""a\"b\n""#.to_owned()),
            1 => r"-?[0-9]{1,3}(\.[0-9]{1,2})?", 1 => Just("1e5".to_owned()), 1 => Just("null".to_owned()), 1 => Just("tru".to_owned()),
            1 => Just("1e999".to_owned()), 1 => Just(r#""\ud800""#.to_owned()), 1 => Just("{\"a\":[1]}".to_owned()), 1 => Just("[]".to_owned()), 1 => Just(String::new()),
        ];
        (key, prop_oneof![4 => Just(":"), 2 => Just(": "), 1 => Just(" : "), 1 => Just("=")], value)
            .prop_map(|(key, colon, value)| format!("\"{key}\"{colon}{value}"))
    }

    proptest! {
        #[test]
        fn what_is_read_escaped_is_what_is_read_unescaped(
            members in proptest::collection::vec(member(), 0..5),
            comma in prop_oneof![Just(","), Just(", "), Just(",,")],
            end in prop_oneof![4 => Just("}"), 1 => Just("}\n"), 1 => Just(""), 1 => Just("}x"), 1 => Just(" }")],
        ) {
            let text = format!("{{{}{end}", members.join(comma));
            let mut buffer = Vec::new();
            let escaped = JsonStr::escape(&text, &mut buffer).escaped();
            if let Some(app) = Application::parse_escaped(escaped) {
                let line = Some(Line::app_json(app, None));
                prop_assert_eq!(format!("{line:?}"), format!("{:?}", Object::parse(&text).map(|object| Line::json(object, None))));
            }
        }
    }

    #[test]
    fn usual_objects_need_not_be_unescaped() {
        for text in [
            r#"{"timestamp":"2026-11-20T10:00:00.123Z","level":"INFO","requestId":"8edab1f8-7d34","message":"é","n":-12.5,"ok":true}"#,
            "{\"level\": \"ERROR\", \"message\": \"MONITORING|1700000000|1|count|a.b|#x:y\"}\n",
        ] {
            let mut buffer = Vec::new();
            let app = Application::parse_escaped(JsonStr::escape(text, &mut buffer).escaped());
            let line = app.map(|app| Line::app_json(app, None));
            assert!(line.is_some(), "{text}");
            assert_eq!(
                format!("{line:?}"),
                format!("{:?}", Object::parse(text).map(|object| Line::json(object, None)))
            );
        }
    }
}
