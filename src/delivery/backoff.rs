use std::time::Duration;

/// First pause between two attempts.
const FIRST: Duration = Duration::from_millis(200);

/// Longest pause, unless an intake asks for a longer one.
const LONGEST: Duration = Duration::from_secs(10);

/// Pauses that double, each cut by up to a half so that copies of the forwarder don't come back at once.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    next: Duration,
    /// State of a generator of random numbers.
    seed: u64,
}

impl Backoff {
    /// Starts anew; `seed` makes the jitter.
    pub const fn new(seed: u64) -> Self {
        Self { next: FIRST, seed }
    }

    /// Lets the next pause be as short as the first.
    pub const fn restart(&mut self) {
        self.next = FIRST;
    }

    /// The next pause: never shorter than what the intake asks for.
    pub fn pause(&mut self, asked: Option<Duration>) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(LONGEST);
        let jittered = whole.mul_f64(0.5 + 0.5 * self.random());
        asked.map_or(jittered, |asked| asked.max(jittered))
    }

    /// A number from 0 to 1: `SplitMix64` (Steele, Lea & Flood, 2014).
    #[expect(clippy::cast_precision_loss, reason = "jitter needs no precision")]
    const fn random(&mut self) -> f64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        mixed as f64 / u64::MAX as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_are_jittered() {
        for seed in 0..100 {
            let mut backoff = Backoff::new(seed);
            for millis in [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
                let pause = backoff.pause(None);
                let whole = Duration::from_millis(millis);
                assert!(pause >= whole / 2 && pause <= whole, "{seed}: {pause:?}");
            }
        }
        assert_ne!(Backoff::new(1).pause(None), Backoff::new(2).pause(None));
    }

    #[test]
    fn what_the_intake_asks_for_is_the_least() {
        assert_eq!(Backoff::new(0).pause(Some(Duration::from_mins(1))), Duration::from_mins(1));
        assert!(Backoff::new(0).pause(Some(Duration::ZERO)) >= FIRST / 2);
    }
}
