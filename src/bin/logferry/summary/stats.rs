//! What is known of one function, and what one would change about it.

use logferry::model::{Measure, Metric, Timestamp};

use crate::pretty::{TIGHT, percent};
use crate::style::count;

/// With fewer invocations advice would be a guess.
pub(super) const ENOUGH: usize = 5;

/// A function that uses less than this share of its memory has too much of it.
const LOOSE: f64 = 0.5;

/// MB that one would set for each MB that is used.
const ROOM: f64 = 1.3;

/// Steps, least and most of the memory that one would set, in MB. Lambda takes any
/// number from 128 to 10,240; round ones are easier to compare.
const STEP: f64 = 64.0;
const LEAST: f64 = 128.0;
const MOST: f64 = 10_240.0;

/// Above this share of cold starts something should be done about them.
const COLD: f64 = 0.2;

/// Above this ratio of billed to actual duration somebody should know why.
const COSTLY: f64 = 1.2;

/// What is known of one function.
#[derive(Debug, Default)]
pub(super) struct Stats {
    pub(super) invocations: usize,
    pub(super) errors: usize,
    pub(super) timeouts: usize,
    pub(super) out_of_memory: usize,
    pub(super) cold_starts: usize,
    /// In ms.
    pub(super) durations: Vec<f64>,
    /// Sums of what was billed, and of the durations that it was billed for, in ms.
    billed: f64,
    run: f64,
    /// Of initialization or restore, in ms.
    longest_start: f64,
    sizes: Vec<Memory>,
    /// The memory size of the `REPORT` at hand, in MB.
    size: Option<f64>,
    /// In US dollars.
    pub(super) cost: Option<f64>,
    /// Invocations whose cost is known.
    pub(super) priced: usize,
}

/// Memory while the function had one size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Memory {
    /// MB.
    pub(super) size: f64,
    /// When it last had that size.
    latest: Timestamp,
    /// MB at most.
    pub(super) used: f64,
    invocations: usize,
}

impl Stats {
    /// Adds a measure; those of one `REPORT` come one after another, its duration
    /// before what is billed, and its memory's size before what was used of it.
    pub(super) fn take(&mut self, measure: Measure, metric: &Metric<'_>) {
        let value = metric.value.number();
        match measure {
            Measure::Invocations => {
                self.invocations += 1;
                self.size = None;
            }
            Measure::Errors => self.errors += 1,
            Measure::Timeouts => self.timeouts += 1,
            Measure::OutOfMemory => self.out_of_memory += 1,
            Measure::ColdStarts => self.cold_starts += 1,
            Measure::Duration => self.durations.push(value),
            Measure::BilledDuration => {
                self.billed += value;
                self.run += self.durations.last().copied().unwrap_or_default();
            }
            Measure::InitDuration | Measure::RestoreDuration => self.longest_start = self.longest_start.max(value),
            Measure::MemorySize => self.size = Some(value),
            Measure::MaxMemoryUsed => self.used(value, metric.time),
            Measure::EstimatedCost => {
                self.priced += 1;
                self.cost = Some(self.cost.unwrap_or_default() + value);
            }
            Measure::BilledRestoreDuration
            | Measure::RuntimeDuration
            | Measure::PostRuntimeDuration
            | Measure::ResponseLatency
            | Measure::ResponseDuration
            | Measure::ProducedBytes => {}
        }
    }

    fn used(&mut self, used: f64, time: Timestamp) {
        let Some(size) = self.size.filter(|size| *size > 0.0) else { return };
        let place = self.sizes.iter().position(|memory| memory.size.total_cmp(&size).is_eq());
        let place = place.unwrap_or_else(|| {
            self.sizes.push(Memory { size, latest: time, used: 0.0, invocations: 0 });
            self.sizes.len() - 1
        });
        if let Some(memory) = self.sizes.get_mut(place) {
            memory.latest = memory.latest.max(time);
            memory.used = memory.used.max(used);
            memory.invocations += 1;
        }
    }

    /// Memory at the size that the function had last.
    pub(super) fn memory(&self) -> Option<Memory> {
        self.sizes.iter().copied().max_by_key(|memory| memory.latest)
    }

    pub(super) fn billed_over_run(&self) -> Option<f64> {
        (self.run > 0.0).then(|| self.billed / self.run)
    }

    /// `3 of 7 invocations`
    fn of_all(&self, many: usize) -> String {
        format!("{many} of {}", count(self.invocations, "invocation"))
    }

    /// What one would change, in sentences.
    pub(super) fn advice(&self) -> impl Iterator<Item = String> {
        [self.slow(), self.short_of_memory(), self.too_large(), self.cold(), self.failing()].into_iter().flatten()
    }

    fn slow(&self) -> Option<String> {
        let longest = self.durations.iter().copied().fold(0.0, f64::max);
        (self.timeouts > 0).then(|| {
            let some = self.of_all(self.timeouts);
            format!(
                "{some} timed out, the longest took {longest:.0} ms: raise the timeout, or look at the slow dependency."
            )
        })
    }

    fn short_of_memory(&self) -> Option<String> {
        let memory = self.memory()?;
        let Memory { size, used, invocations, .. } = memory;
        let seen = format!("{used:.0} of {size:.0} MB were used in {}", count(invocations, "invocation"));
        let larger = fitting(used);
        let larger =
            if larger > size { format!("{larger:.0} MB would leave room") } else { "there is no more".to_owned() };
        let some = self.of_all(self.out_of_memory);
        match (self.out_of_memory, memory.share() > TIGHT) {
            (0, false) => None,
            (0, true) => Some(format!("memory is tight, {seen}: {larger}.")),
            (_, true) => Some(format!("{some} ran out of memory, {seen}: {larger}, or look at what grows.")),
            (_, false) => {
                Some(format!("{some} ran out of memory, but only {seen}: look at limits of its own, as of a heap."))
            }
        }
    }

    fn too_large(&self) -> Option<String> {
        let Memory { size, used, invocations, .. } = self.memory()?;
        let enough = fitting(used);
        let loose = used < LOOSE * size && enough < size && invocations >= ENOUGH && self.out_of_memory == 0;
        loose.then(|| {
            let seen = count(invocations, "invocation");
            format!(
                "memory could shrink from {size:.0} to {enough:.0} MB, as at most {used:.0} MB were used in {seen}; \
                 it would get less CPU, too: compare durations."
            )
        })
    }

    fn cold(&self) -> Option<String> {
        let cold = share(self.cold_starts, self.invocations).filter(|_| self.invocations >= ENOUGH)?;
        let billed = self.billed_over_run().filter(|ratio| *ratio > COSTLY && self.cold_starts > 0);
        if cold <= COLD && billed.is_none() {
            return None;
        }
        let some = self.of_all(self.cold_starts);
        let billed =
            billed.map(|ratio| format!(", and {ratio:.2} times the actual duration is billed")).unwrap_or_default();
        let longest = self.longest_start;
        Some(format!(
            "{some} ({}) started cold, which took {longest:.0} ms at most{billed}: do less at the start, or keep environments warm.",
            percent(cold)
        ))
    }

    /// Errors that are neither time-outs nor lack of memory.
    fn failing(&self) -> Option<String> {
        let other = self.errors.saturating_sub(self.timeouts + self.out_of_memory);
        (other > 0).then(|| format!("{} failed: the logs say why.", self.of_all(other)))
    }
}

impl Memory {
    pub(super) fn share(self) -> f64 {
        self.used / self.size
    }
}

/// The least memory one would set for what was used.
fn fitting(used: f64) -> f64 {
    ((used * ROOM / STEP).ceil() * STEP).clamp(LEAST, MOST)
}

/// A part of a whole, from 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2⁵²")]
pub(super) fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_a_multiple_of_64_with_room() {
        for (used, expected) in [(10.0, 128.0), (98.0, 128.0), (99.0, 192.0), (104.0, 192.0), (10_240.0, 10_240.0)] {
            assert!((fitting(used) - expected).abs() < 0.1, "{used}");
        }
    }
}
