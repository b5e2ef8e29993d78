//! What Datadog's agent makes of the values of a second.

use super::super::write::finite;

/// Second and value.
pub(super) type Point = (i64, f64);

/// What a second's values come to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Aggregate {
    Average,
    Count,
    Last,
    Maximum,
    Median,
    Minimum,
    Percentile95,
    Sum,
}

impl Aggregate {
    pub(super) const HISTOGRAM: [Self; 6] =
        [Self::Average, Self::Count, Self::Maximum, Self::Minimum, Self::Median, Self::Percentile95];

    /// Suffix of the name, type with interval, and value.
    ///
    /// Types: 1 count, 2 rate, 3 gauge. As Datadog's agent does it
    /// (`pkg/metrics/histogram.go`): `.count` is a rate, and a percentile is the
    /// first value that at least so many of the sorted values don't exceed.
    pub(super) fn of(self, points: &[Point]) -> (&'static str, &'static str, f64) {
        const GAUGE: &str = "3";
        let values = || points.iter().map(|(_, value)| *value);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let count = points.len() as f64;
        match self {
            Self::Average => (".avg", GAUGE, finite(average(points, count))),
            Self::Count => (".count", "2,\"interval\":1", count),
            Self::Last => ("", GAUGE, values().next_back().unwrap_or_default()),
            Self::Maximum => (".max", GAUGE, values().fold(f64::NEG_INFINITY, f64::max)),
            Self::Median => (".median", GAUGE, ranked(points, (points.len() - 1) / 2)),
            Self::Minimum => (".min", GAUGE, values().fold(f64::INFINITY, f64::min)),
            Self::Percentile95 => (".95percentile", GAUGE, ranked(points, (95 * points.len() - 1) / 100)),
            Self::Sum => ("", "1,\"interval\":1", finite(values().sum())),
        }
    }
}

/// Their sum may be beyond all numbers though their average isn't.
fn average(points: &[Point], count: f64) -> f64 {
    let average = points.iter().map(|(_, value)| value).sum::<f64>() / count;
    if average.is_finite() { average } else { points.iter().map(|(_, value)| value / count).sum() }
}

/// The value at a place of the sorted values.
fn ranked(points: &[Point], place: usize) -> f64 {
    let mut values: Vec<_> = points.iter().map(|(_, value)| *value).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "these are exact")]
    fn aggregates_as_the_agent_does() {
        let points: Vec<Point> = [1.0, 3.0, 1.0, 2.0, 2.0, 3.0, 1.0, 2.0].map(|value| (7, value)).to_vec();
        let of = |aggregate: Aggregate| aggregate.of(&points).2;
        assert_eq!(Aggregate::HISTOGRAM.map(of), [1.875, 8.0, 3.0, 1.0, 2.0, 3.0]);
        let ten: Vec<Point> = (0..10).map(|value| (7, f64::from(value))).collect();
        assert_eq!(Aggregate::Median.of(&ten).2, 4.0);
        assert_eq!(Aggregate::Percentile95.of(&ten).2, 9.0);
        assert_eq!((Aggregate::Sum.of(&ten).2, Aggregate::Last.of(&ten).2), (45.0, 9.0));
        // What is beyond all numbers can't be said in JSON.
        for sign in [1.0, -1.0] {
            let large = [(7, sign * 1.7e308), (7, sign * 1.5e308)];
            assert_eq!(
                (Aggregate::Sum.of(&large).2, Aggregate::Average.of(&large).2),
                (sign * f64::MAX, sign * 1.6e308)
            );
        }
    }
}
