//! Metrics of one event as records: one for all that share time, tags and invocation.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::model::{Metric, Tag, Timestamp};

/// Metrics that stand in one record, under the names they have there, each once.
pub(super) struct Record<'m> {
    pub(super) time: Timestamp,
    pub(super) tags: &'m [Tag<'m>],
    pub(super) request_id: Option<&'m str>,
    pub(super) event_id: &'m str,
    pub(super) fields: Vec<(Cow<'m, str>, &'m Metric<'m>)>,
}

/// What tells records apart.
type Key<'m> = (Timestamp, &'m [Tag<'m>], Option<&'m str>, &'m str);

/// The records of some metrics, in order. A name that comes again, as values of an EMF list do, begins
/// another record.
pub(super) fn records<'m>(metrics: &'m [Metric<'m>], name: fn(&Metric<'m>) -> Cow<'m, str>) -> Vec<Record<'m>> {
    if metrics.len() <= FEW {
        return records_of_few(metrics, name);
    }
    let mut records: Vec<Record<'_>> = Vec::new();
    let mut turns: HashMap<(Key<'_>, Cow<'_, str>), usize> = HashMap::new();
    let mut places: HashMap<(Key<'_>, usize), usize> = HashMap::new();
    for metric in metrics {
        let key = (metric.time, metric.tags, metric.request_id, metric.event_id);
        let name = name(metric);
        let turn = turns.entry((key, name.clone())).or_insert(0);
        let place = *places.entry((key, *turn)).or_insert(records.len());
        *turn += 1;
        if place == records.len() {
            let (time, tags, request_id, event_id) = key;
            records.push(Record { time, tags, request_id, event_id, fields: Vec::new() });
        }
        if let Some(record) = records.get_mut(place) {
            record.fields.push((name, metric));
        }
    }
    records
}

/// So many are looked through faster than they are hashed.
const FEW: usize = 24;

fn records_of_few<'m>(metrics: &'m [Metric<'m>], name: fn(&Metric<'m>) -> Cow<'m, str>) -> Vec<Record<'m>> {
    let mut records: Vec<Record<'_>> = Vec::with_capacity(2);
    for metric in metrics {
        let name = name(metric);
        let place = records
            .iter()
            .position(|record| record.is_of(metric) && record.fields.iter().all(|(taken, _)| *taken != name));
        let place = place.unwrap_or_else(|| {
            let Metric { time, tags, request_id, event_id, .. } = *metric;
            records.push(Record { time, tags, request_id, event_id, fields: Vec::with_capacity(metrics.len()) });
            records.len() - 1
        });
        if let Some(record) = records.get_mut(place) {
            record.fields.push((name, metric));
        }
    }
    records
}

impl Record<'_> {
    fn is_of(&self, metric: &Metric<'_>) -> bool {
        self.time == metric.time
            && (std::ptr::eq(self.tags, metric.tags) || self.tags == metric.tags)
            && self.request_id == metric.request_id
            && self.event_id == metric.event_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Measure, Name, Value};

    #[test]
    fn what_shares_time_and_tags_is_one_record_and_a_name_stands_in_it_once() {
        let (a, b) = ([Tag { key: "a", value: "1" }], [Tag { key: "b", value: "2" }]);
        let metric = |name, tags, value| Metric {
            name,
            time: Timestamp::from_millis(7),
            written: Timestamp::from_millis(7),
            value: Value::Count(value),
            unit: None,
            tags,
            request_id: None,
            event_id: "1",
        };
        let metrics = [
            metric(Name::Measure(Measure::Invocations), &a, 1.0),
            metric(Name::Custom("x"), &b, 2.0),
            metric(Name::Custom("x"), &a, 3.0),
            metric(Name::Custom("x"), &b, 4.0),
            metric(Name::Custom("y"), &b, 5.0),
            metric(Name::Custom("x"), &b, 6.0),
        ];
        let records = records(&metrics, |metric| Cow::Borrowed(metric.name.as_str()));
        let numbers =
            |record: &Record<'_>| record.fields.iter().map(|field| field.1.value.number()).collect::<Vec<_>>();
        let found: Vec<_> = records.iter().map(numbers).collect();
        assert_eq!(found, [vec![1.0, 3.0], vec![2.0, 5.0], vec![4.0], vec![6.0]]);
        // Many are told apart in another way, to the same end.
        let many: Vec<_> = std::iter::repeat_n(&metrics, 5).flatten().copied().collect();
        let by_name = |metric: &Metric<'_>| -> Cow<'static, str> { Cow::Owned(metric.name.as_str().to_owned()) };
        let hashed: Vec<_> = super::records(&many, by_name).iter().map(numbers).collect();
        let looked_through: Vec<_> = records_of_few(&many, by_name).iter().map(numbers).collect();
        assert_eq!(hashed, looked_through);
    }
}
