//! Legal names, and labels that never make one series of two.
//!
//! A name that has to be changed, or that could be taken for another's, keeps
//! what its author wrote in the label `original_name`, and labels whose names
//! had to be changed are listed in `original_labels`: `orders.placed` and
//! `orders-placed` are both `orders_placed_total`, and still two series. That
//! depends on nothing but the metric, so all copies of the forwarder agree.

use std::collections::BTreeMap;

use crate::backend::hash::fnv_1a;
use crate::backend::write::start;
use crate::model::{Kind, Tag};

/// Bytes of a label's value: receivers take 1024 to 4096.
const MAX_VALUE: usize = 1024;

/// Bytes of a name: `VictoriaMetrics` takes 256, and suffixes are to come.
const MAX_NAME: usize = 200;

/// Labels of a series without `__name__`, `instance` and `le`: Mimir takes 30 in all.
const MAX_LABELS: usize = 27;

/// What a metric's author called it, where that isn't its name.
const ORIGINAL_NAME: &str = "original_name";
/// What the author called the labels whose names had to be changed.
const ORIGINAL_LABELS: &str = "original_labels";
/// Labels beyond what a receiver takes.
const MORE_LABELS: &str = "more_labels";

/// Labels that are ours, whether or not a series has them.
const OURS: [&str; 15] = [
    "account_id",
    "asserts_env",
    "asserts_site",
    "asserts_source",
    "asserts_tenant",
    "function_name",
    "instance",
    "job",
    "le",
    MORE_LABELS,
    ORIGINAL_LABELS,
    ORIGINAL_NAME,
    "region",
    "tenant",
    "version",
];

/// Endings by which Prometheus tells what a series is, and ours.
const ENDINGS: [&str; 6] = ["_bucket", "_count", "_delta", "_status", "_sum", "_total"];

/// What a custom metric is called, without the endings of a histogram's series.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Named {
    pub(super) name: String,
    /// Whether no other metric can have this name.
    pub(super) unique: bool,
}

/// Names a custom metric: `orders` is `orders_total` if it counts, `orders_status` if it is a check.
pub(super) fn metric(original: &str, kind: Kind) -> Named {
    let legal = legal(original);
    let ends = |ending: &str| legal.ends_with(ending);
    let own = legal.starts_with("aws_lambda_") || legal.starts_with("process_");
    let unique = legal == original && !own;
    match kind {
        Kind::Count if ends("_total") => Named { unique: false, name: legal },
        Kind::Count => Named { unique, name: legal + "_total" },
        Kind::Check => Named { unique, name: legal + "_status" },
        // A count may have this name as it is.
        Kind::Gauge if ends("_total") => Named { unique: false, name: legal + "_gauge" },
        Kind::Gauge => Named { unique: unique && !ENDINGS.into_iter().any(ends), name: legal },
        Kind::Histogram => Named { unique, name: legal },
    }
}

/// Names what is taken away from a count: a counter of its own, as counters never fall.
pub(super) fn taken_away(original: &str) -> Named {
    Named { name: legal(original) + "_negative_total", unique: false }
}

/// All labels of a series but `instance` and `le`, sorted by name.
///
/// Of a key that repeats, values are joined by commas. A tag without a value
/// has the value `true`, as a label without one is no label.
pub(super) fn labels<'a>(
    ours: &[(&'static str, &'a str)],
    original_name: Option<&str>,
    tags: impl Iterator<Item = Tag<'a>>,
) -> Vec<(String, String)> {
    let known = ours.iter().filter(|(_, value)| !value.is_empty());
    let mut labels = BTreeMap::new();
    labels.extend(known.map(|(name, value)| ((*name).to_owned(), cut(value))));
    if let Some(name) = original_name {
        labels.insert(ORIGINAL_NAME.to_owned(), cut(shown(name)));
    }
    let mut by_key: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for tag in tags {
        by_key.entry(tag.key).or_default().push(if tag.value.is_empty() { "true" } else { tag.value });
    }
    // A legal key keeps its name, whatever others become.
    let keys = by_key.into_iter().map(|(key, values)| (label(key, ours), key, values));
    let (legal, other): (Vec<_>, Vec<_>) = keys.partition(|(name, key, _)| name == key);
    let room = MAX_LABELS.saturating_sub(labels.len() + 2);
    let (mut changed, mut more) = (Vec::new(), Vec::new());
    for (index, (name, key, mut values)) in legal.into_iter().chain(other).enumerate() {
        values.sort_unstable();
        values.dedup();
        let value = values.join(",");
        if labels.get(key).is_some_and(|known| *known == value) {
            continue;
        }
        if index >= room {
            more.push(format!("{key}={value}"));
            continue;
        }
        if name != key {
            changed.push(shown(key));
        }
        let name = if labels.contains_key(&name) { format!("{name}_{:08x}", hash(key) >> 32) } else { name };
        labels.insert(name, cut(&value));
    }
    for (name, mut list) in [(ORIGINAL_LABELS, changed), (MORE_LABELS, more.iter().map(String::as_str).collect())] {
        if !list.is_empty() {
            list.sort_unstable();
            labels.insert(name.to_owned(), cut(&list.join(",")));
        }
    }
    labels.into_iter().collect()
}

/// A name as a label's value, which is never empty.
const fn shown(name: &str) -> &str {
    if name.is_empty() { "(empty)" } else { name }
}

/// What a tag is called as a label: `exported_…`, as Prometheus does it, where the name is ours.
fn label(key: &str, ours: &[(&str, &str)]) -> String {
    let name = legal(key);
    if name.starts_with("__") || OURS.contains(&name.as_str()) || ours.iter().any(|(own, _)| *own == name) {
        format!("exported_{name}")
    } else {
        name
    }
}

/// Letters, digits and `_`, not beginning with a digit.
///
/// Source: <https://prometheus.io/docs/concepts/data_model/>; colons are for recording rules.
fn legal(original: &str) -> String {
    let mut name = String::with_capacity(original.len() + 1);
    if original.starts_with(|c: char| c.is_ascii_digit()) || original.is_empty() {
        name.push('_');
    }
    name.extend(original.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
    if name.len() > MAX_NAME {
        name.truncate(MAX_NAME - 9);
        name = format!("{name}_{:08x}", hash(original) >> 32);
    }
    name
}

/// A value, or its beginning and a hash of it all.
fn cut(value: &str) -> String {
    if value.len() <= MAX_VALUE {
        return value.to_owned();
    }
    format!("{}~{:016x}", start(value, MAX_VALUE - 17), hash(value))
}

/// A number that follows from a text alone.
pub(super) fn hash(text: &str) -> u64 {
    fnv_1a(text.bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_say_what_a_metric_is() {
        for (original, kind, name, unique) in [
            ("orders", Kind::Count, "orders_total", true),
            ("orders_total", Kind::Count, "orders_total", false),
            ("orders.placed", Kind::Count, "orders_placed_total", false),
            ("queue", Kind::Gauge, "queue", true),
            ("queue_count", Kind::Gauge, "queue_count", false),
            ("seats_total", Kind::Gauge, "seats_total_gauge", false),
            ("queue", Kind::Histogram, "queue", true),
            ("db", Kind::Check, "db_status", true),
            ("9lives", Kind::Gauge, "_9lives", false),
            ("größe", Kind::Gauge, "gr__e", false),
            ("", Kind::Gauge, "_", false),
            ("aws_lambda_errors", Kind::Count, "aws_lambda_errors_total", false),
        ] {
            assert_eq!(metric(original, kind), Named { name: name.to_owned(), unique }, "{original}");
        }
        assert_eq!(metric(&"a".repeat(300), Kind::Gauge).name.len(), MAX_NAME);
    }

    fn label_text(ours: &[(&'static str, &str)], tags: &[&str]) -> String {
        let labels = labels(ours, None, tags.iter().map(|tag| Tag::parse(tag)));
        labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn labels_are_legal_and_say_what_was_changed() {
        let ours = [("function_name", "checkout"), ("namespace", "AWS/Lambda"), ("version", "")];
        let own = r#"function_name="checkout" namespace="AWS/Lambda""#;
        for (tags, expected) in [
            (&["shop:b", "shop:a", "shop:a"][..], r#" shop="a,b""#),
            (&["canary"], r#" canary="true""#),
            (&["function_name:checkout"], ""),
            (&["version:3", "le:1"], r#" original_labels="le,version""#),
            (&["a-b:1", "a.b:2", "a_b:3"], r#" original_labels="a-b,a.b""#),
        ] {
            let found = label_text(&ours, tags);
            let left = expected.split(' ').filter(|part| !part.is_empty() && !found.contains(*part)).count();
            assert!(found.contains("function_name=\"checkout\"") && left == 0, "{tags:?}: {found}");
            if expected.is_empty() {
                assert_eq!(found, own);
            }
        }
        assert_eq!(
            label_text(&ours, &["version:3", "instance:i", "__name__:x", "namespace:n"]),
            r#"exported___name__="x" exported_instance="i" exported_namespace="n" exported_version="3" function_name="checkout" namespace="AWS/Lambda" original_labels="__name__,instance,namespace,version""#
        );
        assert_eq!(
            label_text(&[], &["a_b:3", "a.b:2", "a-b:1"]),
            r#"a_b="3" a_b_e61ab319="1" a_b_e61d9919="2" original_labels="a-b,a.b""#
        );
    }

    #[test]
    fn what_is_too_much_is_put_together() {
        let tags: Vec<_> = (10..60).map(|number| format!("t{number}:{number}")).collect();
        let tags: Vec<_> = tags.iter().map(String::as_str).collect();
        let found = labels(&[("job", "j")], Some("x.y"), tags.iter().map(|tag| Tag::parse(tag)));
        let more = found.iter().find(|(name, _)| name == MORE_LABELS).unwrap();
        assert_eq!(found.len(), MAX_LABELS - 1);
        assert!(more.1.starts_with("t33=33,t34=34,") && more.1.ends_with(",t59=59"), "{}", more.1);
        let long = labels(&[], None, [Tag { key: "k", value: &"ü".repeat(2000) }].into_iter());
        assert!(long[0].1.len() <= MAX_VALUE && long[0].1.contains('~'));
    }

    proptest! {
        #[test]
        fn different_metrics_never_become_one_series(
            metrics in proptest::collection::vec(
                ("[a-b._-]{0,3}(_total|_count|_status)?", 0..4_u8, proptest::collection::btree_map("[a._-]{1,3}", "[x,]{0,2}", 0..3)),
                2..40,
            ),
        ) {
            let mut seen: HashMap<_, (String, u8, BTreeMap<String, String>)> = HashMap::new();
            for (original, kind, tags) in metrics {
                let nature = [Kind::Count, Kind::Gauge, Kind::Histogram, Kind::Check][usize::from(kind)];
                let named = metric(&original, nature);
                let pairs = tags.iter().map(|(key, value)| Tag { key, value });
                let labels = labels(&[], (!named.unique).then_some(&*original), pairs);
                for (name, _) in &labels {
                    prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{}", name);
                    prop_assert!(!name.starts_with(|c: char| c.is_ascii_digit()), "{}", name);
                }
                let names = match nature {
                    Kind::Histogram => ["_bucket", "_sum", "_count"].map(|end| named.name.clone() + end).to_vec(),
                    _ => vec![named.name],
                };
                // A label without a value is `true`.
                let tags: BTreeMap<_, _> = tags
                    .into_iter()
                    .map(|(key, value)| (key, if value.is_empty() { "true".to_owned() } else { value }))
                    .collect();
                for name in names {
                    let before = seen.insert((name, labels.clone()), (original.clone(), kind, tags.clone()));
                    if let Some(before) = before {
                        prop_assert_eq!(before, (original.clone(), kind, tags.clone()));
                    }
                }
            }
        }
    }
}
