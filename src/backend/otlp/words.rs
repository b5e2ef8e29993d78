//! What OpenTelemetry calls things.
//!
//! Sources: <https://opentelemetry.io/docs/specs/semconv/faas/faas-metrics/>;
//! what those conventions don't name is under `aws.lambda.`. Units are those of
//! UCUM, <https://ucum.org/ucum>.

use crate::model::{Measure, Unit};

/// Name, unit, and what values are divided by.
pub(super) const fn words(measure: Measure) -> (&'static str, &'static str, f64) {
    const SECONDS: (&str, f64) = ("s", 1e3);
    const MEGABYTES: (&str, f64) = ("By", 1.0 / 1_048_576.0);
    let (name, (unit, divisor)) = match measure {
        Measure::Duration => ("faas.invoke_duration", SECONDS),
        Measure::BilledDuration => ("aws.lambda.billed_duration", SECONDS),
        Measure::InitDuration => ("faas.init_duration", SECONDS),
        Measure::RestoreDuration => ("aws.lambda.restore_duration", SECONDS),
        Measure::BilledRestoreDuration => ("aws.lambda.billed_restore_duration", SECONDS),
        Measure::MemorySize => ("aws.lambda.memory_size", MEGABYTES),
        Measure::MaxMemoryUsed => ("faas.mem_usage", MEGABYTES),
        Measure::Invocations => ("faas.invocations", ("{invocation}", 1.0)),
        Measure::Errors => ("faas.errors", ("{error}", 1.0)),
        Measure::Timeouts => ("faas.timeouts", ("{timeout}", 1.0)),
        Measure::OutOfMemory => ("aws.lambda.out_of_memory", ("{error}", 1.0)),
        Measure::ColdStarts => ("faas.coldstarts", ("{coldstart}", 1.0)),
        Measure::RuntimeDuration => ("aws.lambda.runtime_duration", SECONDS),
        Measure::PostRuntimeDuration => ("aws.lambda.post_runtime_duration", SECONDS),
        Measure::ResponseLatency => ("aws.lambda.response_latency", SECONDS),
        Measure::ResponseDuration => ("aws.lambda.response_duration", SECONDS),
        Measure::ProducedBytes => ("aws.lambda.produced_bytes", ("By", 1.0)),
        Measure::EstimatedCost => ("aws.lambda.estimated_cost", ("{USD}", 1.0)),
    };
    (name, unit, divisor)
}

pub(super) const fn description(measure: Measure) -> &'static str {
    match measure {
        Measure::Invocations => {
            "All invocations, failed ones too: the semantic conventions mean successful ones by this name."
        }
        other => other.describe(),
    }
}

/// What somebody else calls a metric or a key: a name may not be empty.
pub(super) fn or_unnamed(name: &str) -> &str {
    if name.trim().is_empty() { "unnamed" } else { name }
}

/// A custom metric's unit; one that EMF has no UCUM word for stays as it is.
pub(super) fn unit(unit: Option<Unit<'_>>) -> &str {
    match unit {
        None => "",
        Some(Unit::Bytes) => "By",
        Some(Unit::Megabytes) => "MiBy",
        Some(Unit::Milliseconds) => "ms",
        Some(Unit::Seconds) => "s",
        Some(Unit::UsDollars) => "{USD}",
        Some(Unit::Other(other)) => match other {
            "None" => "",
            "Count" => "1",
            "Percent" => "%",
            "Microseconds" => "us",
            "Kilobytes" => "kBy",
            "Megabytes" => "MBy",
            "Gigabytes" => "GBy",
            "Terabytes" => "TBy",
            "Bits" => "bit",
            "Kilobits" => "kbit",
            "Megabits" => "Mbit",
            "Gigabits" => "Gbit",
            "Terabits" => "Tbit",
            "Bytes/Second" => "By/s",
            "Kilobytes/Second" => "kBy/s",
            "Megabytes/Second" => "MBy/s",
            "Gigabytes/Second" => "GBy/s",
            "Terabytes/Second" => "TBy/s",
            "Bits/Second" => "bit/s",
            "Kilobits/Second" => "kbit/s",
            "Megabits/Second" => "Mbit/s",
            "Gigabits/Second" => "Gbit/s",
            "Terabits/Second" => "Tbit/s",
            "Count/Second" => "1/s",
            other => other,
        },
    }
}
