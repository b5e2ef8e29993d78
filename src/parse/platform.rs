//! What Lambda says of itself, whichever of its two spellings it uses.

use std::borrow::Cow;

/// What one of Lambda's own lines says.
#[derive(Clone, Debug, PartialEq)]
pub enum Platform<'a> {
    /// An invocation has ended (text only; JSON has `runtimeDone` and `report`).
    End {
        /// Invocation.
        request_id: &'a str,
    },
    /// What becomes of an extension (text only).
    Extension(Registration<'a>),
    /// The runtime ended where it shouldn't have (old style).
    Fault(Fault<'a>),
    /// A container image that can't be started (text only).
    ImageError,
    /// An execution environment has started, or failed to.
    InitReport(InitReport<'a>),
    /// An execution environment starts.
    InitStart(InitStart<'a>),
    /// An extension subscribes to the Logs API (text only).
    LogsSubscription(Registration<'a>),
    /// Something of no consequence here: extensions and subscriptions in JSON.
    Other,
    /// What an invocation took.
    Report(Report<'a>),
    /// A snapshot was restored, or wasn't.
    RestoreReport(RestoreReport<'a>),
    /// A snapshot is being restored.
    RestoreStart(InitStart<'a>),
    /// The runtime is done with an invocation; extensions may go on.
    RuntimeDone(Report<'a>),
    /// An invocation starts.
    Start(Start<'a>),
    /// An extension subscribes to the Telemetry API (text only).
    TelemetrySubscription(Registration<'a>),
    /// An invocation took too long (old style).
    Timeout(Timeout<'a>),
    /// JSON of a type that is new, or that an application has for itself.
    Unknown,
}

/// What `START` and `platform.start` say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Start<'a> {
    /// Invocation.
    pub request_id: Option<Cow<'a, str>>,
    /// `$LATEST` or a number.
    pub version: Option<Cow<'a, str>>,
    /// ARN of the function (JSON only, not in the published schema).
    pub function_arn: Option<Cow<'a, str>>,
    /// Tenant of a function that isolates them (JSON only).
    pub tenant_id: Option<Cow<'a, str>>,
}

/// What `REPORT`, `platform.report` and `platform.runtimeDone` say.
///
/// Only what the line has is there: a value that can't be read is dropped by itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report<'a> {
    /// Invocation.
    pub request_id: Option<Cow<'a, str>>,
    /// What was measured.
    pub metrics: Metrics,
    /// How it ended; nothing in text when it ended well.
    pub status: Option<Status>,
    /// As `Runtime.OutOfMemory`.
    pub error_type: Option<Cow<'a, str>>,
    /// Phases, as `responseLatency`, with their milliseconds (JSON only).
    pub spans: Vec<Span<'a>>,
    /// Trace of the invocation (text only).
    pub xray: Option<Xray<'a>>,
    /// Tenant of a function that isolates them (JSON only).
    pub tenant_id: Option<Cow<'a, str>>,
    /// Whether a value was there that couldn't be read.
    pub partial: bool,
}

/// The numbers of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Milliseconds.
    pub duration_ms: Option<f64>,
    /// Milliseconds; missing on Managed Instances.
    pub billed_duration_ms: Option<f64>,
    /// MB; missing on Managed Instances.
    pub memory_size_mb: Option<f64>,
    /// MB; missing on Managed Instances.
    pub max_memory_used_mb: Option<f64>,
    /// Milliseconds, of a cold start.
    pub init_duration_ms: Option<f64>,
    /// Milliseconds, of a SnapStart restore.
    pub restore_duration_ms: Option<f64>,
    /// Milliseconds.
    pub billed_restore_duration_ms: Option<f64>,
    /// Bytes of the response (`runtimeDone`).
    pub produced_bytes: Option<f64>,
}

/// A phase of an invocation.
#[derive(Clone, Debug, PartialEq)]
pub struct Span<'a> {
    /// As `responseLatency`, `responseDuration`, `runtimeOverhead`.
    pub name: Cow<'a, str>,
    /// Milliseconds.
    pub duration_ms: f64,
}

/// The `XRAY` line that continues a `REPORT`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Xray<'a> {
    /// As `1-6ac7d74a-019546e11f8bb3cd382c293c`.
    pub trace_id: &'a str,
    /// Sixteen hexadecimal digits.
    pub segment_id: Option<&'a str>,
    /// Whether the trace is kept.
    pub sampled: Option<bool>,
}

/// How something ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// The function failed.
    Error,
    /// Lambda failed.
    Failure,
    /// Well.
    Success,
    /// Too late.
    Timeout,
    /// In a way that is new.
    Unknown,
}

/// What `INIT_START`, `RESTORE_START`, `platform.initStart` and `platform.restoreStart` say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InitStart<'a> {
    /// As `nodejs:22.mainline.v122`.
    pub runtime_version: Option<Cow<'a, str>>,
    /// Its ARN, which has the region.
    pub runtime_version_arn: Option<Cow<'a, str>>,
    /// As `on-demand` (JSON only).
    pub initialization_type: Option<Cow<'a, str>>,
    /// Name of the function (JSON only).
    pub function_name: Option<Cow<'a, str>>,
    /// `$LATEST` or a number (JSON only).
    pub function_version: Option<Cow<'a, str>>,
    /// Bytes (JSON only); the documentation's example has MB.
    pub instance_max_memory: Option<f64>,
}

/// What `INIT_REPORT` and `platform.initReport` say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InitReport<'a> {
    /// Milliseconds.
    pub init_duration_ms: Option<f64>,
    /// `init`, `invoke` (again, inside an invocation) or `snap-start`.
    pub phase: Option<Cow<'a, str>>,
    /// How it ended; nothing in text when it ended well.
    pub status: Option<Status>,
    /// As `Runtime.ImportModuleError`.
    pub error_type: Option<Cow<'a, str>>,
    /// As `on-demand` (JSON only).
    pub initialization_type: Option<Cow<'a, str>>,
    /// Whether a value was there that couldn't be read (text only).
    pub partial: bool,
}

/// What `RESTORE_REPORT` and `platform.restoreReport` say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RestoreReport<'a> {
    /// Milliseconds.
    pub restore_duration_ms: Option<f64>,
    /// How it ended; nothing in text when it ended well.
    pub status: Option<Status>,
    /// As `Runtime.ExitError`.
    pub error_type: Option<Cow<'a, str>>,
}

/// A line about something that subscribes: an extension, or its subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration<'a> {
    /// Name of the extension.
    pub name: &'a str,
    /// As `Ready`, `Subscribed`.
    pub state: &'a str,
    /// Events or types that it wants.
    pub items: Vec<&'a str>,
    /// As `Extension.LaunchError`.
    pub error_type: Option<&'a str>,
}

/// `… Task timed out after 3.00 seconds`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeout<'a> {
    /// Invocation, where the line has it.
    pub request_id: Option<&'a str>,
    /// The limit, in seconds.
    pub seconds: f64,
}

/// `RequestId: … Error: Runtime exited with error: signal: killed⏎Runtime.ExitError`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fault<'a> {
    /// Invocation, where the line has it.
    pub request_id: Option<&'a str>,
    /// What happened.
    pub reason: &'a str,
    /// As `Runtime.ExitError`.
    pub error_type: Option<&'a str>,
}

impl<'a> Platform<'a> {
    /// The invocation that the line is about.
    pub fn request_id(&self) -> Option<&'a str> {
        let id = match self {
            Self::End { request_id } => return Some(request_id),
            Self::Fault(fault) => return fault.request_id,
            Self::Timeout(timeout) => return timeout.request_id,
            Self::Report(report) | Self::RuntimeDone(report) => &report.request_id,
            Self::Start(start) => &start.request_id,
            Self::Extension(_)
            | Self::ImageError
            | Self::InitReport(_)
            | Self::InitStart(_)
            | Self::LogsSubscription(_)
            | Self::Other
            | Self::RestoreReport(_)
            | Self::RestoreStart(_)
            | Self::TelemetrySubscription(_)
            | Self::Unknown => return None,
        };
        match id {
            Some(Cow::Borrowed(id)) => Some(id),
            Some(Cow::Owned(_)) | None => None,
        }
    }
}

impl Status {
    /// Reads it as Lambda spells it; what is new is `Unknown`.
    pub fn parse(text: &str) -> Self {
        match text {
            "error" => Self::Error,
            "failure" => Self::Failure,
            "success" => Self::Success,
            "timeout" => Self::Timeout,
            _ => Self::Unknown,
        }
    }

    /// As Lambda spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Failure => "failure",
            Self::Success => "success",
            Self::Timeout => "timeout",
            Self::Unknown => "unknown",
        }
    }

    /// Whether what ended so has failed.
    pub const fn failed(self) -> bool {
        match self {
            Self::Error | Self::Failure | Self::Timeout => true,
            Self::Success | Self::Unknown => false,
        }
    }
}

/// What an invocation has against it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct Failure {
    /// It failed.
    pub error: bool,
    /// It took too long.
    pub timeout: bool,
    /// It ran out of memory.
    pub out_of_memory: bool,
}

impl Failure {
    /// What a line's status and error type say.
    ///
    /// Lack of memory is what Lambda says it is, `Runtime.OutOfMemory`. That the
    /// memory used equals the memory there is proves nothing: programs that time
    /// out have been seen at 1024 of 1024 MB, and killed ones at 126 of 128 MB.
    pub fn of(status: Option<Status>, error_type: Option<&str>) -> Self {
        let out_of_memory = error_type == Some("Runtime.OutOfMemory");
        Self {
            error: out_of_memory || status.is_some_and(Status::failed),
            timeout: status == Some(Status::Timeout),
            out_of_memory,
        }
    }
}

impl InitReport<'_> {
    /// How the environment was started, as far as the line tells without naming it.
    ///
    /// In text, starts that aren't on demand are the only ones to report that
    /// they went well, which they do by not naming a status.
    pub fn told_type(&self) -> Option<&'static str> {
        let well = self.status.is_none() && !self.partial;
        match self.phase.as_deref() {
            None if well => Some("snap-start"),
            Some("init") if well => Some("provisioned-concurrency"),
            _ => None,
        }
    }
}

impl Report<'_> {
    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Report<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Report {
            request_id: self.request_id.map(owned),
            error_type: self.error_type.map(owned),
            tenant_id: self.tenant_id.map(owned),
            spans: self
                .spans
                .into_iter()
                .map(|span| Span { name: owned(span.name), duration_ms: span.duration_ms })
                .collect(),
            xray: None,
            metrics: self.metrics,
            status: self.status,
            partial: self.partial,
        }
    }

    /// What the invocation has against it.
    pub fn failure(&self) -> Failure {
        Failure::of(self.status, self.error_type.as_deref())
    }

    /// Milliseconds of a phase.
    pub fn span(&self, name: &str) -> Option<f64> {
        self.spans.iter().find(|span| span.name == name).map(|span| span.duration_ms)
    }

    /// Whether the invocation waited for a new execution environment.
    pub const fn cold_start(&self) -> bool {
        self.metrics.init_duration_ms.is_some() || self.metrics.restore_duration_ms.is_some()
    }
}

impl Fault<'_> {
    /// What the invocation has against it: killed is how an environment without memory ends.
    pub fn failure(&self) -> Failure {
        let killed = self.reason == "Runtime exited with error: signal: killed";
        let out_of_memory = killed || self.error_type == Some("Runtime.OutOfMemory");
        Failure { error: true, timeout: false, out_of_memory }
    }
}
