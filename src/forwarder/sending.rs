use std::time::Duration;

use crate::env::{Env, Row, Setting, read};
use crate::event::TransformResult;

/// How requests are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sending {
    /// Requests of one backend that are on their way at once.
    pub concurrency: usize,
    /// How long one attempt may take.
    pub attempt: Duration,
    /// How long before the deadline sending ends, to store what couldn't be sent: at most three quarters of the time.
    pub reserve: Duration,
    /// The same, as the store has shown to need it in earlier invocations; zero at first.
    pub learnt: Duration,
    /// What Firehose is to do with records that were forwarded.
    pub firehose: TransformResult,
    /// Stored requests that one invocation sends at most.
    pub redrive_max: usize,
    /// How often a stored request may be refused before it is set aside.
    pub redrive_tries: u32,
    /// Whether the summary holds metrics for CloudWatch.
    pub own_metrics: bool,
}

impl Sending {
    const CONCURRENCY: Setting<usize> = Setting::new(
        "LOGFERRY_CONCURRENCY",
        read::count,
        "Requests of one backend that are on their way at once; Loki, OTLP and remote write take one after the other.",
    )
    .default("4");
    const TIMEOUT: Setting<Duration> =
        Setting::new("LOGFERRY_SEND_TIMEOUT", read::duration, "How long one attempt to send may take.").default("10s");
    const RESERVE: Setting<Duration> = Setting::new(
        "LOGFERRY_RESERVE",
        read::duration,
        "What is kept of the function's timeout: nothing is sent in it.",
    )
    .default("1s");
    const FIREHOSE: Setting<TransformResult> = Setting::new(
        "LOGFERRY_FIREHOSE_RESULT",
        firehose,
        "What Firehose does with records that were forwarded: ok delivers them where the stream leads, dropped does not.",
    )
    .default("ok");
    const REDRIVE_MAX: Setting<usize> =
        Setting::new("LOGFERRY_REDRIVE_MAX", read::count, "Stored requests that one invocation sends again at most.")
            .default("1000");
    const REDRIVE_TRIES: Setting<usize> = Setting::new(
        "LOGFERRY_REDRIVE_TRIES",
        read::count,
        "How often a stored request may be refused before it is set aside.",
    )
    .default("5");
    const OWN_METRICS: Setting<bool> = Setting::new(
        "LOGFERRY_OWN_METRICS",
        read::boolean,
        "Whether the summary of each invocation is metrics of CloudWatch, too: namespace `logferry`, no API call.",
    )
    .default("true");

    /// The settings, for documents.
    pub const ROWS: [Row; 7] = [
        Self::CONCURRENCY.row(),
        Self::TIMEOUT.row(),
        Self::RESERVE.row(),
        Self::FIREHOSE.row(),
        Self::REDRIVE_MAX.row(),
        Self::REDRIVE_TRIES.row(),
        Self::OWN_METRICS.row(),
    ];

    /// Reads the settings; `None` after a mistake, which stays with `env`.
    pub fn from_env(env: &mut Env<'_>) -> Option<Self> {
        let (concurrency, attempt) = (env.read(&Self::CONCURRENCY), env.read(&Self::TIMEOUT));
        let (reserve, firehose) = (env.read(&Self::RESERVE), env.read(&Self::FIREHOSE));
        let (redrive_max, tries) = (env.read(&Self::REDRIVE_MAX), env.read(&Self::REDRIVE_TRIES));
        let own_metrics = env.read(&Self::OWN_METRICS);
        Some(Self {
            concurrency: concurrency?,
            attempt: attempt?,
            reserve: reserve?,
            learnt: Duration::ZERO,
            firehose: firehose?,
            redrive_max: redrive_max?,
            redrive_tries: u32::try_from(tries?).unwrap_or(u32::MAX),
            own_metrics: own_metrics?,
        })
    }
}

/// As the variables' defaults.
impl Default for Sending {
    fn default() -> Self {
        Self {
            concurrency: 4,
            attempt: Duration::from_secs(10),
            reserve: Duration::from_secs(1),
            learnt: Duration::ZERO,
            firehose: TransformResult::Ok,
            redrive_max: 1000,
            redrive_tries: 5,
            own_metrics: true,
        }
    }
}

fn firehose(value: &str) -> Result<TransformResult, String> {
    match value {
        "dropped" => Ok(TransformResult::Dropped),
        "ok" => Ok(TransformResult::Ok),
        _ => Err("is neither `ok` nor `dropped`".to_owned()),
    }
}
