//! Distributions: buckets with fixed bounds, or with bounds that grow by a factor.
//!
//! Source: <https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram>

use super::super::write::finite;
use super::writer::Writer;

/// The conventions' advice for durations in seconds, and what a Lambda may take beyond it.
const SECONDS: [f64; 18] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0, 300.0, 900.0];

/// From 1 KiB to 8 GiB: closer where the memory of functions is.
const BYTES: [f64; 18] = [
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    33_554_432.0,
    67_108_864.0,
    134_217_728.0,
    268_435_456.0,
    536_870_912.0,
    1_073_741_824.0,
    2_147_483_648.0,
    3_221_225_472.0,
    4_294_967_296.0,
    8_589_934_592.0,
];

/// The default of OpenTelemetry's own aggregation.
const OTHERS: [f64; 15] =
    [0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10000.0];

/// Buckets on each side of zero, as the exporters' default.
const MAX_BUCKETS: i32 = 160;

/// The finest scale, as the exporters' default: a factor of 2^(2^-20).
const MAX_SCALE: i32 = 20;

/// How values are put into buckets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Aggregation {
    Explicit,
    Exponential,
}

/// What is known of many values.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    buckets: Buckets,
}

#[derive(Clone, Debug)]
enum Buckets {
    /// Values above the bound before and not above the bound; the last is above all.
    Explicit {
        bounds: &'static [f64],
        counts: Vec<u64>,
    },
    Exponential(Box<Exponential>),
}

/// Bucket `i` holds values above `base^i` and not above `base^(i+1)`, where `base` is 2^(2^-scale).
#[derive(Clone, Debug)]
struct Exponential {
    scale: i32,
    zeros: u64,
    positive: Side,
    negative: Side,
}

/// Adjacent buckets: of the index `offset` and those that follow.
#[derive(Clone, Debug, Default)]
struct Side {
    offset: i32,
    counts: Vec<u64>,
}

impl Histogram {
    pub(super) fn new(aggregation: Aggregation, unit: &str) -> Self {
        let buckets = match aggregation {
            Aggregation::Explicit => {
                let bounds: &[f64] = match unit {
                    "s" => &SECONDS,
                    "By" => &BYTES,
                    _ => &OTHERS,
                };
                Buckets::Explicit { bounds, counts: vec![0; bounds.len() + 1] }
            }
            Aggregation::Exponential => {
                let (positive, negative) = (Side::default(), Side::default());
                Buckets::Exponential(Box::new(Exponential { scale: MAX_SCALE, zeros: 0, positive, negative }))
            }
        };
        Self { count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, buckets }
    }

    pub(super) const fn is_exponential(&self) -> bool {
        matches!(self.buckets, Buckets::Exponential(_))
    }

    pub(super) fn record(&mut self, value: f64) {
        self.count += 1;
        self.sum = finite(self.sum + value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        match &mut self.buckets {
            Buckets::Explicit { bounds, counts } => {
                let place = bounds.partition_point(|bound| *bound < value);
                if let Some(count) = counts.get_mut(place) {
                    *count += 1;
                }
            }
            Buckets::Exponential(exponential) => exponential.record(value),
        }
    }

    /// Fields of a data point, beside attributes and times.
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.fixed64((4, "count"), self.count);
        // With negative values it "should not be filled out", but without it VictoriaMetrics takes the count alone.
        writer.double((5, "sum"), self.sum);
        let (min, max) = match &self.buckets {
            Buckets::Explicit { bounds, counts } => {
                writer.fixed64s((6, "bucketCounts"), counts);
                writer.doubles((7, "explicitBounds"), bounds);
                (11, 12)
            }
            Buckets::Exponential(exponential) => {
                exponential.write(writer);
                (12, 13)
            }
        };
        if self.count > 0 {
            writer.double((min, "min"), self.min);
            writer.double((max, "max"), self.max);
        }
    }
}

impl Exponential {
    fn record(&mut self, value: f64) {
        if value == 0.0 {
            self.zeros += 1;
            return;
        }
        // At the coarsest scale there are no more than a few buckets: this ends.
        loop {
            let index = index(value.abs(), self.scale);
            let side = if value > 0.0 { &mut self.positive } else { &mut self.negative };
            if side.add(index) {
                break;
            }
            self.positive.halve();
            self.negative.halve();
            self.scale -= 1;
        }
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.signed((6, "scale"), self.scale);
        writer.fixed64((7, "zeroCount"), self.zeros);
        for (field, side) in [((8, "positive"), &self.positive), ((9, "negative"), &self.negative)] {
            if !side.counts.is_empty() {
                writer.message(field, |writer| {
                    writer.signed((1, "offset"), side.offset);
                    writer.uint64s((2, "bucketCounts"), &side.counts);
                });
            }
        }
    }
}

impl Side {
    /// Counts one more; `false` when that would take too many buckets.
    fn add(&mut self, index: i32) -> bool {
        let len = i32::try_from(self.counts.len()).unwrap_or(MAX_BUCKETS);
        let (low, high) =
            if len == 0 { (index, index) } else { (self.offset.min(index), (self.offset + len - 1).max(index)) };
        if high - low >= MAX_BUCKETS {
            return false;
        }
        let before = if len == 0 { 0 } else { usize::try_from(self.offset - low).unwrap_or_default() };
        self.counts.splice(0..0, std::iter::repeat_n(0, before));
        self.counts.resize(usize::try_from(high - low + 1).unwrap_or_default(), 0);
        self.offset = low;
        if let Some(count) = usize::try_from(index - low).ok().and_then(|place| self.counts.get_mut(place)) {
            *count += 1;
        }
        true
    }

    /// Buckets of twice the width on a logarithmic scale.
    fn halve(&mut self) {
        let mut halved = Self { offset: self.offset >> 1, counts: Vec::new() };
        for (place, count) in (self.offset..).zip(&self.counts) {
            let place = usize::try_from((place >> 1) - halved.offset).unwrap_or_default();
            halved.counts.resize(place + 1, 0);
            if let Some(merged) = halved.counts.get_mut(place) {
                *merged += count;
            }
        }
        *self = halved;
    }
}

/// The bucket of a value above zero.
///
/// An exact power of two is the upper bound of its bucket. What is smaller than
/// a normal number counts as the smallest of those.
fn index(value: f64, scale: i32) -> i32 {
    const FRACTION: u64 = (1 << 52) - 1;
    let bits = value.max(f64::MIN_POSITIVE).to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32 - 1023;
    let fraction = bits & FRACTION;
    if scale <= 0 {
        return (exponent - i32::from(fraction == 0)) >> -scale;
    }
    if fraction == 0 {
        return (exponent << scale) - 1;
    }
    (exponent << scale) + part(f64::from_bits(fraction | 1023 << 52), scale)
}

/// In which of `2^scale` parts, each by the same factor above the one below it, a number from 1 to 2 is.
///
/// Each squaring gives one more binary digit of its logarithm. The standard library's logarithm isn't used: it alone
/// would make the function load the C library's mathematics at each cold start.
fn part(mut significand: f64, scale: i32) -> i32 {
    let mut part = 0;
    for _ in 0..scale {
        significand *= significand;
        let upper = significand >= 2.0;
        significand *= if upper { 0.5 } else { 1.0 };
        part = part << 1 | i32::from(upper);
    }
    part
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        for (value, place) in [(0.001, 0), (0.005, 0), (0.0051, 1), (10.0, 13), (900.0, 17), (901.0, 18)] {
            let mut histogram = Histogram::new(Aggregation::Explicit, "s");
            histogram.record(value);
            let Buckets::Explicit { counts, .. } = histogram.buckets else { panic!() };
            assert_eq!(counts.iter().position(|count| *count == 1), Some(place), "{value}");
        }
    }

    #[test]
    fn buckets_of_known_values() {
        for (value, scale, expected) in [
            (1.0, 0, -1),
            (1.5, 0, 0),
            (2.0, 0, 0),
            (2.1, 0, 1),
            (0.5, 0, -2),
            (4.0, 1, 3),
            (4.1, 1, 4),
            (4.0, -1, 0),
            (4.1, -1, 1),
            (1.0, 20, -1),
            (f64::MAX, 20, (1024 << 20) - 1),
            (f64::MIN_POSITIVE, 20, (-1022 << 20) - 1),
            (5e-324, 20, (-1022 << 20) - 1),
            (f64::MAX, -10, 0),
            (f64::MIN_POSITIVE, -10, -1),
        ] {
            assert_eq!(index(value, scale), expected, "{value} at {scale}");
        }
    }

    proptest! {
        #[test]
        fn exponential_buckets_hold_every_value_within_their_bounds(
            values in proptest::collection::vec(
                prop_oneof![Just(0.0), -1e6..1e6, 1e-9..1e-3, any::<f64>().prop_filter("finite", |v| v.is_finite())],
                1..300,
            ),
        ) {
            let mut histogram = Histogram::new(Aggregation::Exponential, "");
            for value in &values {
                histogram.record(*value);
            }
            let Buckets::Exponential(found) = histogram.buckets else { panic!() };
            prop_assert!(found.positive.counts.len() <= 160 && found.negative.counts.len() <= 160);
            prop_assert!(found.scale <= 20 && found.scale >= -10, "{}", found.scale);
            let mut expected = std::collections::BTreeMap::new();
            for value in values.iter().filter(|value| **value != 0.0) {
                *expected.entry((*value > 0.0, index(value.abs(), found.scale))).or_insert(0) += 1;
            }
            let sides = [(true, &found.positive), (false, &found.negative)];
            let filled = sides.into_iter().flat_map(|(positive, side)| {
                (side.offset..).zip(&side.counts).map(move |(index, count)| ((positive, index), *count))
            });
            prop_assert_eq!(filled.filter(|(_, count)| *count > 0).collect::<std::collections::BTreeMap<_, u64>>(), expected);
            prop_assert_eq!(found.zeros, values.iter().filter(|value| **value == 0.0).count() as u64);
        }

        #[test]
        fn a_bucket_is_above_its_lower_bound_and_not_above_its_upper(value in 1e-12..1e12_f64, scale in 1..12_i32) {
            let index = index(value, scale);
            let base = |index: i32| (f64::from(index) / f64::from(1 << scale)).exp2();
            prop_assert!(base(index) < value * (1.0 + 1e-12), "{} {}", base(index), value);
            prop_assert!(value <= base(index + 1) * (1.0 + 1e-12));
        }
    }
}
