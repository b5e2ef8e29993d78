//! The values of a custom metric.

use std::collections::BTreeMap;

use logferry::model::{Kind, Metric, Timestamp};

use crate::style::{number, visible};

/// Values that are shown of one tag.
const MAX_TAG_VALUES: usize = 3;

/// The values of a custom metric.
#[derive(Debug)]
pub(super) struct Series {
    kind: Kind,
    unit: String,
    pub(super) count: usize,
    sum: f64,
    min: f64,
    max: f64,
    pub(super) last: (Timestamp, f64),
    /// Values of each key.
    tags: BTreeMap<String, Vec<String>>,
}

impl Series {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            unit: String::new(),
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            last: (Timestamp::from_millis(i64::MIN), 0.0),
            tags: BTreeMap::new(),
        }
    }

    pub(super) fn take(&mut self, metric: &Metric<'_>) {
        let value = metric.value.number();
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if metric.time >= self.last.0 {
            self.last = (metric.time, value);
        }
        if let (Some(unit), true) = (metric.unit, self.unit.is_empty()) {
            self.unit = format!(" {}", unit.as_str());
        }
        for tag in metric.tags {
            let values = self.tags.entry(visible(tag.key)).or_default();
            let value = visible(tag.value);
            // One more than is shown, to know that there are more.
            if values.len() <= MAX_TAG_VALUES && !values.contains(&value) {
                values.push(value);
            }
        }
    }

    /// What the values come to, as fits their nature.
    #[expect(clippy::cast_precision_loss, reason = "an average of fewer than 2⁵² values")]
    pub(super) fn worth(&self) -> String {
        let Self { unit, count, .. } = self;
        let (min, max, last) = (number(self.min), number(self.max), number(self.last.1));
        match self.kind {
            Kind::Count => format!("sum {}{unit}", number(self.sum)),
            Kind::Check => format!("last {}", check(self.last.1)),
            Kind::Gauge if min == max => format!("last {last}{unit}"),
            Kind::Gauge => format!("last {last}{unit}, from {min} to {max}"),
            Kind::Histogram if *count == 1 => format!("{last}{unit}"),
            Kind::Histogram => format!("min {min} avg {} max {max}{unit}", number(self.sum / *count as f64)),
        }
    }

    /// `shop:berlin,hamburg payment:card`
    pub(super) fn tags(&self) -> String {
        let tag = |(key, values): (&String, &Vec<String>)| {
            let mut shown: Vec<_> = values.iter().take(MAX_TAG_VALUES).map(String::as_str).collect();
            if values.len() > MAX_TAG_VALUES {
                shown.push("…");
            }
            if shown == [""] { key.clone() } else { format!("{key}:{}", shown.join(",")) }
        };
        self.tags.iter().map(tag).collect::<Vec<_>>().join(" ")
    }
}

fn check(code: f64) -> String {
    use logferry::model::CheckStatus::{self, Critical, Ok, Unknown, Warning};

    match CheckStatus::from_number(code) {
        Some(Ok) => "ok".to_owned(),
        Some(Warning) => "warning".to_owned(),
        Some(Critical) => "critical".to_owned(),
        Some(Unknown) => "unknown".to_owned(),
        None => number(code),
    }
}
