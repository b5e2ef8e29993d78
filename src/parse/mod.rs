//! From a line to what it says.
//!
//! Parsers take text and return what they borrow from it; they hold no state
//! and make no guess that needs a second line. `None` is "not this parser's
//! line": a line that nobody reads is a log like any other.

mod datadog;
mod emf;
mod fields;
mod json;
mod lenient;
mod monitoring;
mod platform;
mod signature;
mod text;

use std::borrow::Cow;

pub use datadog::DatadogMetric;
pub use emf::{Emf, EmfMetric};
pub use fields::Prefix;
pub use json::{Application, Metrics, PlatformEvent, RawSpan, Record};
pub use monitoring::{Monitoring, metric_name};
pub use platform::{
    Failure, Fault, InitReport, InitStart, Platform, Report, RestoreReport, Span, Start, Status, Timeout, Xray,
};
pub use signature::{handler_error, oom_signature};
pub use text::Registration;

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
    /// `END`.
    End(&'a str),
    /// `EXTENSION`.
    Extension(Registration<'a>),
    /// A runtime that ended where it shouldn't have.
    Fault(Fault<'a>),
    /// `IMAGE`.
    ImageError,
    /// `INIT_REPORT`.
    InitReport(InitReport<'a>),
    /// `INIT_START`.
    InitStart(InitStart<'a>),
    /// `LOGS`.
    LogsSubscription(Registration<'a>),
    /// Custom metrics in `MONITORING|` form.
    Monitoring(MonitoringLine<'a>),
    /// One of Lambda's own lines, as JSON.
    PlatformJson(Box<PlatformEvent<'a>>),
    /// `REPORT`.
    Report(Report<'a>),
    /// `RESTORE_REPORT`.
    RestoreReport(RestoreReport<'a>),
    /// `RESTORE_START`.
    RestoreStart(InitStart<'a>),
    /// `START`.
    Start(Start<'a>),
    /// `TELEMETRY`.
    TelemetrySubscription(Registration<'a>),
    /// `Task timed out`.
    Timeout(Timeout<'a>),
}

/// Custom metrics, and who wrote them.
#[derive(Clone, Debug)]
pub struct MonitoringLine<'a> {
    /// Invocation, where the runtime says it before the metric.
    pub request_id: Option<Cow<'a, str>>,
    /// Metrics: at least one.
    pub metrics: Vec<Monitoring<'a>>,
}

impl<'a> Line<'a> {
    /// Finds out what a line is; `written` is the time of its log event, if it is known.
    pub fn parse(line: &'a str, written: Option<Timestamp>) -> Self {
        Self::platform_text(line)
            .or_else(|| Self::json(line, written))
            .or_else(|| Self::metric_text(line, written))
            .unwrap_or_else(|| if line.trim().is_empty() { Self::Empty } else { Self::AppText(Prefix::parse(line)) })
    }

    /// One of Lambda's own lines, as text.
    pub fn platform_text(line: &'a str) -> Option<Self> {
        match line.as_bytes().first()? {
            b'S' => text::start(line).map(Self::Start),
            b'E' => text::end(line).map(Self::End).or_else(|| text::extension(line).map(Self::Extension)),
            b'R' => text::report(line)
                .map(Self::Report)
                .or_else(|| text::fault(line).map(Self::Fault))
                .or_else(|| text::restore_start(line).map(Self::RestoreStart))
                .or_else(|| text::restore_report(line).map(Self::RestoreReport)),
            b'I' => text::init_start(line)
                .map(Self::InitStart)
                .or_else(|| text::init_report(line).map(Self::InitReport))
                .or_else(|| text::image_error(line).then_some(Self::ImageError)),
            b'T' => text::timeout(line)
                .map(Self::Timeout)
                .or_else(|| text::telemetry(line).map(Self::TelemetrySubscription)),
            b'L' => text::logs(line).map(Self::LogsSubscription),
            b'U' => text::fault(line).map(Self::Fault),
            b'0'..=b'9' => text::timeout(line).map(Self::Timeout),
            _ => None,
        }
    }

    /// A JSON object: one of Lambda's own lines, a metric, or what an application wrote.
    pub fn json(line: &'a str, written: Option<Timestamp>) -> Option<Self> {
        if !line.starts_with('{') {
            return None;
        }
        PlatformEvent::parse(line)
            .map(Box::new)
            .map(Self::PlatformJson)
            .or_else(|| Emf::parse(line, written).map(Self::Emf))
            .or_else(|| DatadogMetric::parse(line).map(Self::DatadogMetric))
            .or_else(|| Application::parse(line).map(|app| Self::app_json(app, written)))
    }

    /// `MONITORING|` at the start of the line, or it or an EMF document behind what a runtime puts before it.
    pub fn metric_text(line: &'a str, written: Option<Timestamp>) -> Option<Self> {
        let prefix = Prefix::parse(line);
        let rest = line.get(prefix.map_or(0, |prefix| prefix.len)..)?;
        let request_id = prefix.and_then(|prefix| prefix.request_id).map(Cow::Borrowed);
        if rest.starts_with('{') {
            return Emf::parse(rest, written).map(|emf| Self::Emf(Emf { request_id, ..emf }));
        }
        let metrics = Monitoring::parse(rest, written)?;
        Some(Self::Monitoring(MonitoringLine { request_id, metrics }))
    }

    /// What an application wrote as JSON, whose message may be a metric.
    fn app_json(app: Application<'a>, written: Option<Timestamp>) -> Self {
        let inside = match &app.message {
            Some(Cow::Borrowed(message)) => Self::metric_message(message, written),
            Some(Cow::Owned(message)) => Self::metric_message(message, written).map(Line::into_owned_metric),
            None => None,
        };
        match inside {
            Some(Self::Monitoring(line)) => Self::Monitoring(MonitoringLine { request_id: app.request_id, ..line }),
            Some(Self::Emf(emf)) => Self::Emf(Emf { request_id: app.request_id, ..emf }),
            _ => Self::AppJson(app),
        }
    }

    /// A message that is a metric from its first byte on.
    fn metric_message(message: &str, written: Option<Timestamp>) -> Option<Line<'_>> {
        if message.starts_with('{') {
            return Emf::parse(message, written).map(Line::Emf);
        }
        let metrics = Monitoring::parse(message, written)?;
        Some(Line::Monitoring(MonitoringLine { request_id: None, metrics }))
    }

    /// A metric, borrowing nothing.
    fn into_owned_metric<'b>(self) -> Line<'b> {
        match self {
            Self::Emf(emf) => Line::Emf(emf.into_owned()),
            Self::Monitoring(line) => Line::Monitoring(MonitoringLine {
                request_id: None,
                metrics: line.metrics.into_iter().map(Monitoring::into_owned).collect(),
            }),
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
        Ok(match self {
            Self::End(request_id) => Platform::End { request_id },
            Self::Fault(fault) => Platform::Fault(fault),
            Self::InitReport(report) => Platform::InitReport(report),
            Self::InitStart(start) => Platform::InitStart(start),
            Self::PlatformJson(event) => event.meaning(),
            Self::Report(report) => Platform::Report(report),
            Self::RestoreReport(report) => Platform::RestoreReport(report),
            Self::RestoreStart(start) => Platform::RestoreStart(start),
            Self::Start(start) => Platform::Start(start),
            Self::Timeout(timeout) => Platform::Timeout(timeout),
            Self::Extension(_) | Self::ImageError | Self::LogsSubscription(_) | Self::TelemetrySubscription(_) => {
                Platform::Other
            }
            Self::AppJson(_)
            | Self::AppText(_)
            | Self::DatadogMetric(_)
            | Self::Emf(_)
            | Self::Empty
            | Self::Monitoring(_) => return Err(self),
        })
    }
}
