//! How the time of an invocation is shared out between sending and what comes after it.

use std::time::Duration;

/// Requests that have to be stored one after the other at the end, at most.
const STORES: u32 = 4;

/// Never more than this is kept because of what storing took.
const MAX_LEARNT: Duration = Duration::from_secs(10);

/// What is kept of `left`, the rest of the invocation's time, for its end: what is `set`, and more where storing
/// was seen to take longer.
///
/// A quarter is for sending whatever is set, and a half whatever was seen: a store that was slow once doesn't keep
/// an intake that is well from being asked.
pub(super) fn kept(set: Duration, learnt: Duration, left: Duration) -> Duration {
    set.min(left / 4 * 3).max(learnt.min(left / 2))
}

/// What is kept of the very last of the `whole` time: nothing is stored any more in it, as the answer has to get out.
pub(super) fn margin(set: Duration, whole: Duration) -> Duration {
    (set / 5).min(whole / 4)
}

/// What is to be kept from now on: several times what the slowest store of an invocation took. What was learnt
/// before goes by half with each invocation that stores faster, and slowly where nothing had to be stored.
pub(super) fn learn(learnt: Duration, storing: Duration) -> Duration {
    if storing.is_zero() {
        return learnt / 8 * 7;
    }
    storing.saturating_mul(STORES).min(MAX_LEARNT).max(learnt / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn some_time_is_always_for_sending() {
        for (set, learnt, left, expected) in [
            (1000, 0, 60_000, 1000),
            (1000, 6000, 60_000, 6000),
            (3000, 1200, 60_000, 3000),
            // What was learnt is worth a half, what is set three quarters.
            (1000, 6000, 5000, 2500),
            (1000, 10_000, 3000, 1500),
            (300_000, 0, 60_000, 45_000),
            (1000, 0, 1000, 750),
            (1000, 6000, 100, 75),
            (1000, 6000, 0, 0),
            (0, 0, 60_000, 0),
        ] {
            assert_eq!(kept(ms(set), ms(learnt), ms(left)), ms(expected), "{set} {learnt} {left}");
        }
        assert_eq!(margin(ms(1000), ms(60_000)), ms(200));
        assert_eq!(margin(ms(300_000), ms(10_000)), ms(2500));
    }

    #[test]
    fn what_a_slow_store_has_taught_is_forgotten_again() {
        for (learnt, storing, expected) in [
            (0, 1500, 6000),
            (0, 9000, 10_000),
            (6000, 5, 3000),
            (40, 5, 20),
            (6000, 0, 5250),
            (6000, 2000, 8000),
            (0, 0, 0),
        ] {
            assert_eq!(learn(ms(learnt), ms(storing)), ms(expected), "{learnt} {storing}");
        }
    }
}
