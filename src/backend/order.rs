use crate::model::Timestamp;

/// Keeps logs of one time, mostly a millisecond, in their order, where times are in ns: each that follows
/// another of its time is a nanosecond behind it.
#[derive(Debug, Default)]
pub(super) struct Order<T = Timestamp> {
    last: Option<(T, u32)>,
}

impl<T: Copy + PartialEq> Order<T> {
    /// How many ns behind its time the next log is.
    pub(super) fn nanos(&mut self, time: T) -> u32 {
        let nanos = match self.last {
            // A millisecond has room for more logs than any batch.
            Some((last, nanos)) if last == time => (nanos + 1).min(999_999),
            _ => 0,
        };
        self.last = Some((time, nanos));
        nanos
    }
}

/// Brings values of one series in order of their time: those of one time stay as they came.
pub(super) fn by_time(points: &mut [(i64, f64)]) {
    points.sort_by_key(|(time, _)| *time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_of_a_millisecond_stay_in_it_and_in_order() {
        let mut order = Order::default();
        let nanos = [5, 5, 5, 6, 5, 5].map(|millis| order.nanos(Timestamp::from_millis(millis)));
        assert_eq!(nanos, [0, 1, 2, 0, 0, 1]);
        let last = (0..1_000_002).map(|_| order.nanos(Timestamp::from_millis(7))).last();
        assert_eq!(last, Some(999_999));
    }
}
