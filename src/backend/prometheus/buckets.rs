//! Buckets of histograms.

use crate::backend::write::finite;
use crate::env::read;

/// Those of `client_python`, and so of the Asserts layer, in seconds.
const PYTHON: &str = "0.005,0.01,0.025,0.05,0.075,0.1,0.25,0.5,0.75,1,2.5,5,7.5,10";

/// Those of `prom-client`, in seconds.
const JAVASCRIPT: &str = "0.005,0.01,0.025,0.05,0.1,0.25,0.5,1,2.5,5,10";

/// Those of `client_python`, and on to the 15 minutes that an invocation may take.
const LAMBDA: &str = "0.005,0.01,0.025,0.05,0.075,0.1,0.25,0.5,0.75,1,2.5,5,7.5,10,30,60,300,900";

/// From the 128 MB that a function has at least to the 10,240 that it has at most, in MB.
const MEMORY: [f64; 13] =
    [64.0, 128.0, 192.0, 256.0, 384.0, 512.0, 768.0, 1024.0, 1536.0, 2048.0, 3072.0, 5120.0, 10240.0];

/// Up to the 6 MB of a response and the 20 of a streamed one, in KB.
const SIZES: [f64; 9] = [0.25, 1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 6144.0, 20480.0];

/// So many buckets may be set: each is a series.
const MAX: usize = 50;

/// Upper bounds of buckets, ascending.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Buckets {
    bounds: Vec<Bound>,
}

#[derive(Clone, Debug)]
struct Bound {
    value: f64,
    /// As `client_python` writes it: `1.0`.
    name: String,
}

impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Bound {}

/// Values of a histogram, counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Distribution {
    /// How many fall into each bucket and into none before; the last is `+Inf`.
    counts: Vec<u64>,
    sum: f64,
}

impl Buckets {
    /// Buckets of memory in bytes.
    pub(super) fn memory() -> Self {
        Self::new(MEMORY.map(|mb| mb * 1_048_576.0))
    }

    /// Buckets of responses in bytes.
    pub(super) fn sizes() -> Self {
        Self::new(SIZES.map(|kb| kb * 1024.0))
    }

    /// Reads the bounds of durations: `python`, `js`, `lambda` or a list of seconds.
    pub(super) fn durations(value: &str) -> Result<Self, String> {
        match value {
            "python" => Self::parse(PYTHON),
            "js" => Self::parse(JAVASCRIPT),
            "lambda" => Self::parse(LAMBDA),
            list => Self::parse(list).map_err(|what| format!("is none of `python`, `js`, `lambda`, and {what}")),
        }
    }

    /// Reads a list of bounds.
    pub(super) fn parse(value: &str) -> Result<Self, String> {
        const EXPECTED: &str = "is not a list of ascending numbers set apart by commas, as `0.1,1,10`";
        let bounds = read::list(value)?.iter().map(|bound| bound.parse()).collect::<Result<Vec<f64>, _>>();
        let bounds = bounds.map_err(|_| EXPECTED.to_owned())?;
        let ascending = bounds.is_sorted_by(|a, b| a < b) && bounds.iter().all(|bound| bound.is_finite());
        match bounds.len() {
            1..=MAX if ascending => Ok(Self::new(bounds)),
            0..=MAX => Err(EXPECTED.to_owned()),
            _ => Err(format!("has more than {MAX} buckets")),
        }
    }

    fn new(bounds: impl IntoIterator<Item = f64>) -> Self {
        let name = |value: f64| if value.fract() == 0.0 { format!("{value:.1}") } else { value.to_string() };
        Self { bounds: bounds.into_iter().map(|value| Bound { value, name: name(value) }).collect() }
    }

    /// What they are called in the label `le`, `+Inf` included.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.bounds.iter().map(|bound| bound.name.as_str()).chain(["+Inf"])
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
impl Distribution {
    /// Counts a value.
    pub(super) fn observe(&mut self, buckets: &Buckets, value: f64) {
        self.counts.resize(buckets.bounds.len() + 1, 0);
        let place = buckets.bounds.partition_point(|bound| bound.value < value);
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
        self.sum = finite(self.sum + value);
    }

    /// Sum of all values.
    pub(super) const fn sum(&self) -> f64 {
        self.sum
    }

    /// How many values there are.
    pub(super) fn count(&self) -> f64 {
        self.up_to(usize::MAX)
    }

    /// How many values the bucket and those before it hold.
    pub(super) fn up_to(&self, place: usize) -> f64 {
        self.counts.iter().take(place.saturating_add(1)).sum::<u64>() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_into_buckets_with_their_bounds() {
        let buckets = Buckets::parse("-1, 0.5, 1,10").unwrap();
        let mut all = Distribution::default();
        for value in [-2.0, -1.0, 0.5, 0.50001, 10.0, 11.0] {
            all.observe(&buckets, value);
        }
        let counts: Vec<_> = buckets.names().enumerate().map(|(place, le)| (le, all.up_to(place))).collect();
        assert_eq!(counts, [("-1.0", 2.0), ("0.5", 3.0), ("1.0", 4.0), ("10.0", 5.0), ("+Inf", 6.0)]);
        assert_eq!((all.sum(), all.count()), (19.00001, 6.0));
    }

    #[test]
    fn reads_buckets() {
        let python: Vec<_> = Buckets::durations("python").unwrap().names().map(str::to_owned).collect();
        let expected = "0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0 +Inf";
        assert_eq!(python.join(" "), expected);
        assert_eq!(Buckets::durations("lambda").unwrap().names().count(), python.len() + 4);
        assert_eq!(Buckets::memory().names().next(), Some("67108864.0"));
        let many: Vec<_> = (0..60).map(|bound| bound.to_string()).collect();
        for wrong in ["", "1,x", "2,1", "1,1", "inf", "NaN", &many.join(",")] {
            assert!(Buckets::parse(wrong).is_err(), "{wrong}");
        }
    }
}
