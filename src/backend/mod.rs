//! From telemetry to requests: one file for each backend.
//!
//! Encoding never waits and never fails: logs and metrics go in, finished
//! requests come out, and a count of what no request can carry. So every
//! backend is tested by comparing bytes.

mod body;
mod datadog;
mod stdout;
mod write;

pub use body::decompress;
pub use datadog::Datadog;
pub use stdout::Stdout;

use crate::env::{Env, Row, Setting, read};
use crate::model::{Forwarder, Log, Metric, Origin, Sink, Timestamp};
use crate::request::{Request, Response, Verdict, Weight};

/// Where telemetry is sent: a closed set, chosen by settings.
#[derive(Clone, Debug)]
pub enum Backend {
    /// Datadog.
    Datadog(Box<Datadog>),
    /// Standard output.
    Stdout(Stdout),
}

/// One batch on its way to a backend.
#[expect(clippy::large_enum_variant, reason = "there are few, and they are not moved about")]
pub enum Encoder {
    /// Datadog.
    Datadog(datadog::Encoder),
    /// Standard output.
    Stdout(stdout::Encoder),
}

/// What an encoder has to know beside telemetry.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The forwarder itself.
    pub forwarder: &'a Forwarder,
    /// The time.
    pub now: Timestamp,
}

/// What the end of a batch leaves.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    /// Requests that weren't taken before.
    pub requests: Vec<Request>,
    /// What no request can carry.
    pub oversize: Weight,
    /// Logs that the backend's settings keep back.
    pub filtered: u64,
}

impl Backend {
    /// The names that `LOGFERRY_BACKENDS` takes.
    pub const NAMES: [&str; 2] = ["datadog", "stdout"];

    const BACKENDS: Setting<Vec<String>> =
        Setting::new("LOGFERRY_BACKENDS", names, "Where to send: a comma-separated list of backends.");

    /// The settings of all backends, for documents.
    pub fn rows() -> Vec<(&'static str, Vec<Row>)> {
        vec![("", vec![Self::BACKENDS.row()]), ("datadog", Datadog::ROWS.to_vec()), ("stdout", Vec::new())]
    }

    /// Reads which backends there are and their settings; `default` holds when none is named.
    pub fn from_env(env: &mut Env<'_>, default: Option<&str>) -> Vec<Self> {
        let names = match default {
            Some(default) => env.read(&Self::BACKENDS).unwrap_or_else(|| vec![default.to_owned()]),
            None => env.require(&Self::BACKENDS, "name at least one backend, as `datadog`").unwrap_or_default(),
        };
        names.iter().filter_map(|name| Self::named(name, env)).collect()
    }

    /// Reads the settings of one backend.
    pub fn named(name: &str, env: &mut Env<'_>) -> Option<Self> {
        match name {
            "datadog" => Datadog::from_env(env).map(Box::new).map(Self::Datadog),
            "stdout" => Some(Self::Stdout(Stdout)),
            _ => {
                let known = Self::NAMES.join("`, `");
                env.mistake(
                    Self::BACKENDS.row().name,
                    format!("names `{name}`, which is no backend: expected `{known}`"),
                );
                None
            }
        }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Datadog(_) => "datadog",
            Self::Stdout(_) => "stdout",
        }
    }

    /// Begins a batch.
    pub fn encoder(&mut self, context: &Context<'_>) -> Encoder {
        match self {
            Self::Datadog(datadog) => Encoder::Datadog(datadog.encoder(context)),
            Self::Stdout(stdout) => Encoder::Stdout(stdout.encoder()),
        }
    }

    /// What a response means for the items of its request.
    pub const fn verdict(&self, response: &Response) -> Verdict {
        match self {
            Self::Datadog(_) | Self::Stdout(_) => Verdict::of(response),
        }
    }
}

impl Encoder {
    /// Whether requests are full.
    pub fn has_ready(&self) -> bool {
        match self {
            Self::Datadog(encoder) => encoder.has_ready(),
            Self::Stdout(encoder) => encoder.has_ready(),
        }
    }

    /// Requests that are full.
    pub fn take_ready(&mut self) -> Vec<Request> {
        match self {
            Self::Datadog(encoder) => encoder.take_ready(),
            Self::Stdout(encoder) => encoder.take_ready(),
        }
    }

    /// Ends the batch.
    pub fn finish(self) -> Encoded {
        match self {
            Self::Datadog(encoder) => encoder.finish(),
            Self::Stdout(encoder) => Encoded { requests: encoder.finish(), ..Encoded::default() },
        }
    }
}

impl Sink for Encoder {
    fn log(&mut self, origin: &Origin, log: &Log<'_>) {
        match self {
            Self::Datadog(encoder) => encoder.log(origin, log),
            Self::Stdout(encoder) => encoder.log(origin, log),
        }
    }

    fn wants_json_fields(&self) -> bool {
        match self {
            Self::Datadog(encoder) => encoder.wants_json_fields(),
            Self::Stdout(encoder) => encoder.wants_json_fields(),
        }
    }

    fn metric(&mut self, origin: &Origin, metric: &Metric<'_>) {
        match self {
            Self::Datadog(encoder) => encoder.metric(origin, metric),
            Self::Stdout(encoder) => encoder.metric(origin, metric),
        }
    }
}

/// Names of backends: at least one, and each once.
fn names(value: &str) -> Result<Vec<String>, String> {
    let names = read::list(value)?;
    let twice = names.iter().enumerate().find(|(place, name)| names.iter().take(*place).any(|before| before == *name));
    match twice {
        Some((_, name)) => Err(format!("names `{name}` twice: everything would be sent twice")),
        None if names.is_empty() => Err(format!("names no backend: expected `{}`", Backend::NAMES.join("`, `"))),
        None => Ok(names),
    }
}
