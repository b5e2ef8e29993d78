use std::fmt;

/// How much telemetry something stands for: a series may hold many metrics.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Weight {
    /// Logs.
    pub logs: u64,
    /// Metrics, as they were before a backend aggregated them.
    pub metrics: u64,
}

impl Weight {
    /// One log.
    pub const LOG: Self = Self { logs: 1, metrics: 0 };
    /// One metric.
    pub const METRIC: Self = Self { logs: 0, metrics: 1 };

    /// So many metrics.
    pub const fn metrics(metrics: u64) -> Self {
        Self { logs: 0, metrics }
    }

    /// Logs and metrics.
    pub const fn total(self) -> u64 {
        self.logs + self.metrics
    }

    /// What is left without `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self { logs: self.logs.saturating_sub(other.logs), metrics: self.metrics.saturating_sub(other.metrics) }
    }

    /// No more than `other`.
    #[must_use]
    pub fn at_most(self, other: Self) -> Self {
        Self { logs: self.logs.min(other.logs), metrics: self.metrics.min(other.metrics) }
    }
}

/// As people say it: `1 log`, `2 logs and 1 metric`.
impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some = |f: &mut fmt::Formatter<'_>, count: u64, one: &str| match count {
            1 => write!(f, "1 {one}"),
            _ => write!(f, "{count} {one}s"),
        };
        if self.logs > 0 || self.metrics == 0 {
            some(f, self.logs, "log")?;
        }
        if self.logs > 0 && self.metrics > 0 {
            f.write_str(" and ")?;
        }
        if self.metrics > 0 { some(f, self.metrics, "metric") } else { Ok(()) }
    }
}

impl std::ops::AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        self.logs += other.logs;
        self.metrics += other.metrics;
    }
}

impl std::iter::Sum for Weight {
    fn sum<I: Iterator<Item = Self>>(weights: I) -> Self {
        weights.fold(Self::default(), |mut sum, weight| {
            sum += weight;
            sum
        })
    }
}
