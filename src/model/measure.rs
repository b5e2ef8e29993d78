use super::Unit;

/// What Lambda itself measures: a closed set, which each backend names in its users' words.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Measure {
    /// How long the handler took, extensions included.
    Duration,
    /// How long AWS charges for.
    BilledDuration,
    /// How long a cold start took before the handler.
    InitDuration,
    /// How long a snapshot took to restore.
    RestoreDuration,
    /// How much of a restore AWS charges for.
    BilledRestoreDuration,
    /// Memory the function is configured with.
    MemorySize,
    /// Memory the execution environment has used at most.
    MaxMemoryUsed,
    /// Invocations, failed ones too.
    Invocations,
    /// Invocations that Lambda saw fail, time-outs and lack of memory included.
    Errors,
    /// Invocations that took too long.
    Timeouts,
    /// Invocations that ran out of memory.
    OutOfMemory,
    /// Invocations that waited for a new execution environment.
    ColdStarts,
    /// How long the runtime took for the invocation.
    RuntimeDuration,
    /// How long extensions went on after the runtime was done.
    PostRuntimeDuration,
    /// Time from the invocation to the first byte of the response.
    ResponseLatency,
    /// Time from the first byte of the response to the last.
    ResponseDuration,
    /// Size of the response.
    ProducedBytes,
    /// What the invocation costs at list price.
    EstimatedCost,
}

/// What the values of a metric are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// A state, 0 to 3.
    Check,
    /// Adds up.
    Count,
    /// The last one holds.
    Gauge,
    /// Has a distribution.
    Histogram,
}

impl Kind {
    /// Its name as `stdout` writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Count => "count",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Measure {
    /// All of them, in the order in which they are documented.
    pub const ALL: [Self; 18] = [
        Self::Duration,
        Self::BilledDuration,
        Self::InitDuration,
        Self::RestoreDuration,
        Self::BilledRestoreDuration,
        Self::MemorySize,
        Self::MaxMemoryUsed,
        Self::Invocations,
        Self::Errors,
        Self::Timeouts,
        Self::OutOfMemory,
        Self::ColdStarts,
        Self::RuntimeDuration,
        Self::PostRuntimeDuration,
        Self::ResponseLatency,
        Self::ResponseDuration,
        Self::ProducedBytes,
        Self::EstimatedCost,
    ];

    /// The neutral name, which `stdout` writes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Duration => "duration_ms",
            Self::BilledDuration => "billed_duration_ms",
            Self::InitDuration => "init_duration_ms",
            Self::RestoreDuration => "restore_duration_ms",
            Self::BilledRestoreDuration => "billed_restore_duration_ms",
            Self::MemorySize => "memory_size_mb",
            Self::MaxMemoryUsed => "max_memory_used_mb",
            Self::Invocations => "invocations",
            Self::Errors => "errors",
            Self::Timeouts => "timeouts",
            Self::OutOfMemory => "out_of_memory",
            Self::ColdStarts => "cold_starts",
            Self::RuntimeDuration => "runtime_duration_ms",
            Self::PostRuntimeDuration => "post_runtime_duration",
            Self::ResponseLatency => "response_latency",
            Self::ResponseDuration => "response_duration_ms",
            Self::ProducedBytes => "produced_bytes",
            Self::EstimatedCost => "estimated_cost_usd",
        }
    }

    /// What its values are.
    pub const fn kind(self) -> Kind {
        match self {
            Self::MemorySize => Kind::Gauge,
            Self::Invocations
            | Self::Errors
            | Self::Timeouts
            | Self::OutOfMemory
            | Self::ColdStarts
            | Self::EstimatedCost => Kind::Count,
            Self::Duration
            | Self::BilledDuration
            | Self::InitDuration
            | Self::RestoreDuration
            | Self::BilledRestoreDuration
            | Self::MaxMemoryUsed
            | Self::RuntimeDuration
            | Self::PostRuntimeDuration
            | Self::ResponseLatency
            | Self::ResponseDuration
            | Self::ProducedBytes => Kind::Histogram,
        }
    }

    /// The unit of its values; none for plain numbers.
    pub const fn unit(self) -> Option<Unit<'static>> {
        match self {
            Self::Duration
            | Self::BilledDuration
            | Self::InitDuration
            | Self::RestoreDuration
            | Self::BilledRestoreDuration
            | Self::RuntimeDuration
            | Self::PostRuntimeDuration
            | Self::ResponseLatency
            | Self::ResponseDuration => Some(Unit::Milliseconds),
            Self::MemorySize | Self::MaxMemoryUsed => Some(Unit::Megabytes),
            Self::ProducedBytes => Some(Unit::Bytes),
            Self::EstimatedCost => Some(Unit::UsDollars),
            Self::Invocations | Self::Errors | Self::Timeouts | Self::OutOfMemory | Self::ColdStarts => None,
        }
    }

    /// Whether it counts, or is set in whole numbers: its values and their sums are no fractions.
    pub const fn is_whole(self) -> bool {
        matches!(
            self,
            Self::Invocations | Self::Errors | Self::Timeouts | Self::OutOfMemory | Self::ColdStarts | Self::MemorySize
        )
    }

    /// Its place in [`ALL`](Self::ALL).
    pub const fn index(self) -> usize {
        self as usize
    }

    /// What it means, in a sentence.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Duration => "How long the handler took, extensions included.",
            Self::BilledDuration => "How long AWS charges for.",
            Self::InitDuration => "How long a cold start took before the handler.",
            Self::RestoreDuration => "How long a SnapStart snapshot took to restore.",
            Self::BilledRestoreDuration => "How much of a restore AWS charges for.",
            Self::MemorySize => "Memory the function is configured with.",
            Self::MaxMemoryUsed => "Memory the execution environment has used at most.",
            Self::Invocations => "Invocations, failed ones too.",
            Self::Errors => "Invocations that Lambda saw fail, time-outs and lack of memory included.",
            Self::Timeouts => "Invocations that took too long.",
            Self::OutOfMemory => "Invocations that ran out of memory.",
            Self::ColdStarts => "Invocations that waited for a new execution environment.",
            Self::RuntimeDuration => "How long the runtime took for the invocation.",
            Self::PostRuntimeDuration => "How long extensions went on after the runtime was done.",
            Self::ResponseLatency => "Time to the first byte of the response.",
            Self::ResponseDuration => "Time from the first byte of the response to the last.",
            Self::ProducedBytes => "Size of the response.",
            Self::EstimatedCost => "What the invocation costs at list price.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_the_place_in_all() {
        for (place, measure) in Measure::ALL.into_iter().enumerate() {
            assert_eq!(measure.index(), place, "{}", measure.name());
        }
    }
}
