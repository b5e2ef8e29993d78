//! Times of contestants that run in turn, round after round.

use std::collections::BTreeMap;
use std::time::Duration;

/// What each took, in the rounds that it took part in.
#[derive(Default)]
pub(crate) struct Rounds {
    times: BTreeMap<&'static str, BTreeMap<u32, Duration>>,
}

impl Rounds {
    pub(crate) fn add(&mut self, name: &'static str, round: u32, took: Duration) {
        self.times.entry(name).or_default().insert(round, took);
    }

    /// Its fastest run: what else the machine does makes a run slower, never faster.
    pub(crate) fn fastest(&self, name: &str) -> Duration {
        *self.times[name].values().min().unwrap()
    }

    /// How many times as long as another one it takes: the median of what that was in each round. How fast the machine
    /// was at the time holds for two that follow each other, but not for the fastest run of each.
    pub(crate) fn ratio(&self, name: &str, other: &str) -> f64 {
        let (times, others) = (&self.times[name], &self.times[other]);
        let both = times.iter().filter_map(|(round, time)| Some((time, others.get(round)?)));
        let mut ratios: Vec<_> = both.map(|(time, other)| time.as_secs_f64() / other.as_secs_f64()).collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    }
}
