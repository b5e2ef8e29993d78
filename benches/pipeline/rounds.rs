//! Times of contestants that run in turn, round after round.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What each took, in the rounds that it took part in.
#[derive(Default)]
pub(crate) struct Rounds {
    times: BTreeMap<String, BTreeMap<u32, Duration>>,
}

impl Rounds {
    pub(crate) fn add(&mut self, name: &str, round: u32, took: Duration) {
        self.times.entry(name.to_owned()).or_default().insert(round, took);
    }

    /// Puts those of another process behind these.
    pub(crate) fn append(&mut self, others: &str) {
        let from = self.len();
        for line in others.lines() {
            let mut words = line.split(' ');
            let mut next = || words.next().unwrap();
            let (round, name, nanos) = (next().parse::<u32>().unwrap(), next(), next().parse().unwrap());
            self.add(name, from + round, Duration::from_nanos(nanos));
        }
    }

    /// How many rounds there were.
    pub(crate) fn len(&self) -> u32 {
        self.times.values().filter_map(|times| Some(times.last_key_value()?.0 + 1)).max().unwrap_or(0)
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

/// A line for each: its round, its name and its nanoseconds.
impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, times) in &self.times {
            for (round, took) in times {
                writeln!(f, "{round} {name} {}", took.as_nanos())?;
            }
        }
        Ok(())
    }
}
