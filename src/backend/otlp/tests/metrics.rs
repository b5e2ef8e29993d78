//! Metrics as points: deltas and totals.

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, Gauge, HistogramDataPoint, NumberDataPoint, Sum, exponential_histogram_data_point,
    number_data_point,
};

use super::*;
use crate::model::Unit;

fn number(at: (i64, i64), value: number_data_point::Value, attributes: Vec<KeyValue>) -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: ns(at.0),
        time_unix_nano: ns(at.1),
        value: Some(value),
        attributes,
        ..NumberDataPoint::default()
    }
}

fn sum(metric: &PbMetric) -> Sum {
    match metric.data.clone() {
        Some(Data::Sum(sum)) => sum,
        other => panic!("{other:?}"),
    }
}

fn histogram_point(metric: &PbMetric) -> HistogramDataPoint {
    match metric.data.clone() {
        Some(Data::Histogram(mut histogram)) => histogram.data_points.pop().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn exponential_point(metric: &PbMetric) -> ExponentialHistogramDataPoint {
    match metric.data.clone() {
        Some(Data::ExponentialHistogram(mut histogram)) => histogram.data_points.pop().unwrap(),
        other => panic!("{other:?}"),
    }
}

const TAGS: [Tag<'_>; 2] = [Tag { key: "memory_size_mb", value: "192" }, Tag { key: "cold_start", value: "true" }];

fn report(at: i64, duration: f64, id: &str) -> [Metric<'_>; 3] {
    [
        metric(Name::Measure(Measure::Invocations), at, Value::Count(1.0), &TAGS, id),
        metric(Name::Measure(Measure::Duration), at, Value::Histogram(duration), &TAGS, id),
        metric(Name::Measure(Measure::MemorySize), at, Value::Gauge(192.0), &TAGS, id),
    ]
}

#[test]
fn a_batch_is_added_up() {
    for pairs in [&[][..], &[JSON]] {
        let (requests, oversize) = batch(&mut otlp(pairs), 0, |encoder| {
            for (at, duration, id) in [(-30, 46.84, "1"), (-10, 10.0, "2"), (-20, 1_000_000.0, "3")] {
                encoder.metrics(&origin(1), &report(at, duration, id));
            }
        });
        assert_eq!((requests.len(), oversize), (1, Weight::default()));
        assert_eq!(requests[0].items.iter().map(|item| item.weight.metrics).collect::<Vec<_>>(), [3, 3, 3]);
        let (metrics, resources) = metrics_of(&requests);
        assert_eq!(resources, [stream_resource()]);
        let attributes = vec![
            attribute("faas.max_memory", AnyValue::IntValue(192 << 20)),
            attribute("faas.coldstart", AnyValue::BoolValue(true)),
        ];
        let invocations = PbMetric {
            name: "faas.invocations".into(),
            description: words::description(Measure::Invocations).into(),
            unit: "{invocation}".into(),
            data: Some(Data::Sum(Sum {
                data_points: vec![number((-31, -10), number_data_point::Value::AsInt(3), attributes.clone())],
                aggregation_temporality: 1,
                is_monotonic: true,
            })),
            ..PbMetric::default()
        };
        assert_eq!(metrics[0], invocations, "{pairs:?}");
        let memory = PbMetric {
            name: "aws.lambda.memory_size".into(),
            description: "Memory the function is configured with.".into(),
            unit: "By".into(),
            data: Some(Data::Gauge(Gauge {
                data_points: vec![NumberDataPoint {
                    start_time_unix_nano: 0,
                    ..number((0, -10), number_data_point::Value::AsInt(192 << 20), attributes.clone())
                }],
            })),
            ..PbMetric::default()
        };
        assert_eq!(metrics[2], memory);
        assert_eq!((metrics[1].name.as_str(), metrics[1].unit.as_str()), ("faas.invoke_duration", "s"));
        let point = histogram_point(&metrics[1]);
        let mut counts = vec![0; 19];
        (counts[1], counts[3], counts[18]) = (1, 1, 1);
        let expected = HistogramDataPoint {
            attributes,
            start_time_unix_nano: ns(-31),
            time_unix_nano: ns(-10),
            count: 3,
            sum: Some(0.04684 + 0.01 + 1000.0),
            bucket_counts: counts,
            explicit_bounds: point.explicit_bounds.clone(),
            min: Some(0.01),
            max: Some(1000.0),
            ..HistogramDataPoint::default()
        };
        assert_eq!(point, expected);
        assert_eq!(
            (point.explicit_bounds.len(), point.explicit_bounds[3], point.explicit_bounds[17]),
            (18, 0.05, 900.0)
        );
    }
}

#[test]
fn custom_metrics_keep_their_names() {
    let tags = [
        Tag { key: "shop", value: "berlin" },
        Tag { key: "cold_start", value: "true" },
        Tag { key: "shop", value: "x" },
    ];
    let (requests, _) = batch(&mut otlp(&[]), 0, |encoder| {
        let custom = |name, value| Metric {
            unit: Some(Unit::Other("Percent")),
            ..metric(Name::Custom(name), 0, value, &tags, "1")
        };
        encoder.metrics(
            &origin(1),
            &[
                custom("orders placed", Value::Count(2.0)),
                custom("orders placed", Value::Count(-0.5)),
                custom("load", Value::Gauge(0.25)),
                custom("queue", Value::Check(CheckStatus::Critical)),
                custom("load", Value::Count(1.0)),
            ],
        );
    });
    let (metrics, _) = metrics_of(&requests);
    let attributes = vec![text("shop", "berlin,x"), text("cold_start", "true"), text("function_name", "checkout")];
    let found: Vec<_> = metrics.iter().map(|metric| (metric.name.as_str(), metric.unit.as_str())).collect();
    assert_eq!(found, [("orders placed", "%"), ("load", "%"), ("queue", "%"), ("load", "%")]);
    let expected = Sum {
        data_points: vec![number((-1, 0), number_data_point::Value::AsDouble(1.5), attributes)],
        aggregation_temporality: 1,
        is_monotonic: false,
    };
    assert_eq!(sum(&metrics[0]), expected);
    let Some(Data::Gauge(queue)) = &metrics[2].data else { panic!() };
    assert_eq!(queue.data_points[0].value, Some(number_data_point::Value::AsDouble(2.0)));
}

/// A receiver adds up points of one type, or takes two types for two series.
#[test]
fn the_values_of_a_series_are_of_one_type() {
    for pairs in [&[][..], &[CUMULATIVE]] {
        let mut otlp = otlp(pairs);
        for (round, value) in (0..).zip([19.5, 20.5, 20.0, 0.25, 0.0]) {
            let (requests, _) = batch(&mut otlp, round, |encoder| {
                for (name, value) in [("revenue", Value::Count(value)), ("load", Value::Gauge(value))] {
                    encoder
                        .metrics(&origin(1), &[metric(Name::Custom(name), 0, value, &[], &format!("{name}{round}"))]);
                }
                encoder.metrics(&origin(1), &report(0, 5.0, &format!("report{round}"))[..1]);
            });
            let (metrics, _) = metrics_of(&requests);
            let values = metrics.iter().map(|metric| match &metric.data {
                Some(Data::Sum(sum)) => sum.data_points[0].value,
                Some(Data::Gauge(gauge)) => gauge.data_points[0].value,
                _ => None,
            });
            let is_double = |value: Option<_>| matches!(value, Some(number_data_point::Value::AsDouble(_)));
            assert_eq!(values.map(is_double).collect::<Vec<_>>(), [true, true, false], "{pairs:?} {value}");
        }
    }
}

/// Receivers of deltas drop what isn't later than what they have.
#[test]
fn deliveries_of_one_second_are_points_of_their_own() {
    let point = |at: i64, written: i64| {
        let (requests, _) = batch(&mut otlp(&[]), 0, |encoder| {
            let written = Timestamp::from_millis(NOW + written);
            let metric = Metric { written, ..metric(Name::Custom("orders"), at, Value::Count(1.0), &[], "1") };
            encoder.metrics(&origin(1), &[metric]);
        });
        let point = sum(&metrics_of(&requests).0[0]).data_points.remove(0);
        (point.start_time_unix_nano, point.time_unix_nano)
    };
    let second = -(NOW % 1000);
    // What the stamp leaves open.
    assert_eq!(point(second, second + 17), (ns(second + 16), ns(second + 17)));
    assert_eq!(point(second, second + 18), (ns(second + 17), ns(second + 18)));
    // A stamp of another second, or with a fraction, is what it says.
    assert_eq!(point(second, second + 1017), (ns(second - 1), ns(second)));
    assert_eq!(point(second + 5, second + 17), (ns(second + 4), ns(second + 5)));
}

#[test]
fn nothing_is_without_a_name() {
    for format in [&[][..], &[JSON]] {
        let tags = ["", ":x", "unnamed:y"].map(Tag::parse);
        let (requests, _) = batch(&mut otlp(format), 0, |encoder| {
            encoder.metrics(&origin(1), &[metric(Name::Custom(""), 0, Value::Count(1.0), &tags, "1")]);
        });
        let (metrics, _) = metrics_of(&requests);
        assert_eq!(metrics[0].name, "unnamed");
        let attributes = vec![text("unnamed", ",x,y"), text("function_name", "checkout")];
        assert_eq!(sum(&metrics[0]).data_points[0].attributes, attributes);
    }
}

#[test]
fn a_series_is_one_however_its_tags_come() {
    let orders = ["a:1,b:2", "b:2,a:1", "function_name:checkout,b:2,a:1"];
    for pairs in [&[][..], &[JSON], &[CUMULATIVE]] {
        let mut otlp = otlp(pairs);
        let feed = |encoder: &mut Encoder<'_>| {
            for ((generation, id), tags) in (1..).zip(["1", "2", "3"]).zip(orders) {
                let tags: Vec<_> = tags.split(',').map(Tag::parse).collect();
                for (name, value) in [
                    ("orders", Value::Count(10_f64.powi(generation))),
                    ("sizes", Value::Histogram(1.0)),
                    ("queue", Value::Gauge(f64::from(generation))),
                ] {
                    let metric = metric(Name::Custom(name), 0, value, &tags, id);
                    encoder.metrics(&origin(generation.unsigned_abs()), &[metric]);
                }
            }
        };
        let (requests, _) = batch(&mut otlp, 0, feed);
        assert_eq!(requests.iter().map(Request::weight).sum::<Weight>(), Weight::metrics(9));
        let (metrics, _) = metrics_of(&requests);
        let names: Vec<_> = metrics.iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!(names, ["orders", "sizes", "queue"], "{pairs:?}");
        let point = sum(&metrics[0]).data_points.remove(0);
        assert_eq!(point.value, Some(number_data_point::Value::AsDouble(1110.0)), "{pairs:?}");
        // As they came first.
        assert_eq!(point.attributes[..3], [text("a", "1"), text("b", "2"), text("function_name", "checkout")]);
        assert_eq!(histogram_point(&metrics[1]).count, 3);
        let Some(Data::Gauge(queue)) = &metrics[2].data else { panic!() };
        assert_eq!(queue.data_points[0].value, Some(number_data_point::Value::AsDouble(3.0)));
    }
}

#[test]
fn sums_beyond_all_numbers_are_the_largest() {
    for pairs in [&[][..], &[JSON], &[JSON, CUMULATIVE], &[JSON, EXPONENTIAL]] {
        for sign in [1.0, -1.0] {
            let (requests, _) = batch(&mut otlp(pairs), 0, |encoder| {
                for id in ["1", "2"] {
                    for (name, value) in
                        [("count", Value::Count(sign * 1.7e308)), ("sizes", Value::Histogram(sign * 1.7e308))]
                    {
                        encoder.metrics(&origin(1), &[metric(Name::Custom(name), 0, value, &[], id)]);
                    }
                }
            });
            let (metrics, _) = metrics_of(&requests);
            let value = sum(&metrics[0]).data_points[0].value;
            assert_eq!(value, Some(number_data_point::Value::AsDouble(sign * f64::MAX)), "{pairs:?}");
            let found = match metrics[1].data.clone() {
                Some(Data::Histogram(mut histogram)) => histogram.data_points.remove(0).sum,
                _ => exponential_point(&metrics[1]).sum,
            };
            assert_eq!(found, Some(sign * f64::MAX), "{pairs:?}");
        }
    }
}

#[test]
fn tags_in_many_orders_take_no_memory_for_good() {
    let keys: Vec<String> = (0..8).map(|number| number.to_string()).collect();
    let mut otlp = otlp(&[CUMULATIVE]);
    let (requests, _) = batch(&mut otlp, 0, |encoder| {
        // Each order of eight tags.
        let mut order: Vec<usize> = (0..8).collect();
        let mut turns = [0; 8];
        let mut at = 0;
        let mut push = |order: &[usize]| {
            let tags: Vec<_> = order.iter().map(|place| Tag { key: &keys[*place], value: "x" }).collect();
            encoder.metrics(&origin(1), &[metric(Name::Custom("m"), 0, Value::Count(1.0), &tags, "")]);
        };
        push(&order);
        while at < 8 {
            if turns[at] < at {
                order.swap(if at % 2 == 0 { 0 } else { turns[at] }, at);
                push(&order);
                turns[at] += 1;
                at = 0;
            } else {
                turns[at] = 0;
                at += 1;
            }
        }
    });
    let found = sum(&metrics_of(&requests).0[0]);
    assert_eq!(found.data_points[0].value, Some(number_data_point::Value::AsDouble(40_320.0)));
    assert_eq!(otlp.table.len(), 1);
    assert!(otlp.table.forms() <= 20_000, "{}", otlp.table.forms());
}

#[test]
fn an_exponential_histogram_has_the_finest_scale_that_fits() {
    for pairs in [&[EXPONENTIAL][..], &[EXPONENTIAL, JSON]] {
        let (requests, _) = batch(&mut otlp(pairs), 0, |encoder| {
            for value in [1.0, 2.0, 4.0, 0.0, -8.0] {
                encoder.metrics(&origin(1), &[metric(Name::Custom("x"), 0, Value::Histogram(value), &[], "")]);
            }
        });
        let point = exponential_point(&metrics_of(&requests).0[0]);
        // From 1 to 4 at scale 6 there are 128 buckets and one: at scale 7 there were 257.
        let positive = point.positive.clone().unwrap();
        let filled: Vec<_> =
            (positive.offset..).zip(&positive.bucket_counts).filter(|(_, count)| **count > 0).collect();
        assert_eq!(filled, [(-1, &1), (63, &1), (127, &1)], "{pairs:?}");
        let expected = ExponentialHistogramDataPoint {
            attributes: vec![text("function_name", "checkout")],
            start_time_unix_nano: ns(-1),
            time_unix_nano: ns(0),
            count: 5,
            sum: Some(-1.0),
            scale: 6,
            zero_count: 1,
            positive: Some(positive),
            negative: Some(exponential_histogram_data_point::Buckets { offset: 191, bucket_counts: vec![1] }),
            min: Some(-8.0),
            max: Some(4.0),
            ..ExponentialHistogramDataPoint::default()
        };
        assert_eq!(point, expected);
    }
}

#[test]
fn cumulative_counts_go_on_and_a_replay_changes_nothing() {
    let mut otlp = otlp(&[CUMULATIVE]);
    let mut told = Vec::new();
    for (later, ids) in [(0, &["1", "2"][..]), (1000, &["1", "2"]), (1000, &["3"]), (900, &["2", "4", "4"])] {
        let (requests, _) = batch(&mut otlp, later, |encoder| {
            for id in ids {
                encoder.metrics(&origin(1), &report(-10, 5.0, id));
            }
        });
        let (metrics, resources) = metrics_of(&requests);
        let keys: Vec<_> = resources[0].attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        assert!(
            resources[0].attributes.contains(&text("service.instance.id", "2026/11/20/[$LATEST]ferry")),
            "{keys:?}"
        );
        assert!(!keys.contains(&"faas.instance") && !keys.contains(&"aws.log.stream.names"), "{keys:?}");
        let found = sum(&metrics[0]);
        assert_eq!((found.aggregation_temporality, found.is_monotonic), (2, true));
        let NumberDataPoint { start_time_unix_nano: start, time_unix_nano: time, value, attributes, .. } =
            found.data_points[0].clone();
        assert_eq!(start, ns(-11));
        for expected in [("faas.name", "checkout"), ("faas.version", "7"), ("cloud.region", "eu-west-1")] {
            assert!(attributes.contains(&text(expected.0, expected.1)), "{attributes:?}");
        }
        assert_eq!(requests[0].weight(), Weight::metrics(3 * ids.len() as u64));
        let point = histogram_point(&metrics[1]);
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (start, time));
        told.push((time, value.unwrap(), point.count));
    }
    let int = number_data_point::Value::AsInt;
    let expected = [(ns(0), int(2), 2), (ns(1000), int(2), 2), (ns(1001), int(3), 3), (ns(1002), int(5), 5)];
    assert_eq!(told, expected);
}

#[test]
fn a_delivery_that_comes_again_is_counted_once_however_many_events_it_has() {
    const COUNT: i32 = 30_000;
    let mut otlp = otlp(&[CUMULATIVE]);
    let mut brings = |deliveries: &str, count: i32| {
        let (requests, _) = batch(&mut otlp, 0, |encoder| {
            for number in 0..count {
                let id = format!("{deliveries}{number}");
                let metric = metric(Name::Custom("orders"), 0, Value::Count(1.0), &[], &id);
                encoder.metrics(&origin(1), &[metric]);
            }
        });
        sum(&metrics_of(&requests).0[0]).data_points[0].value.unwrap()
    };
    let double = |count| number_data_point::Value::AsDouble(f64::from(count));
    // More than are known one by one, in one delivery and in two.
    for (deliveries, count, expected) in [
        ("a", COUNT, COUNT),
        ("b", COUNT, 2 * COUNT),
        ("a", COUNT, 2 * COUNT),
        ("c", 3 * COUNT, 5 * COUNT),
        ("c", 3 * COUNT, 5 * COUNT),
        ("b", COUNT, 5 * COUNT),
        ("d", 1, 5 * COUNT + 1),
        ("d", 2, 5 * COUNT + 2),
    ] {
        assert_eq!(brings(deliveries, count), double(expected), "{deliveries}");
    }
}

#[test]
fn cumulative_streams_of_a_function_add_up_and_versions_do_not() {
    let mut otlp = otlp(&[CUMULATIVE]);
    let (requests, _) = batch(&mut otlp, 0, |encoder| {
        let mut other = origin(2);
        other.log_stream = "2026/11/20/[7]other".into();
        let mut version = origin(3);
        version.function.as_mut().unwrap().version = Some("8".into());
        for (origin, id) in [(&origin(1), "1"), (&other, "2"), (&version, "3")] {
            encoder.metrics(origin, &report(-10, 5.0, id)[..1]);
        }
    });
    let values: Vec<_> =
        metrics_of(&requests).0.iter().map(|metric| sum(metric).data_points[0].value.unwrap()).collect();
    assert_eq!(values, [2, 1].map(number_data_point::Value::AsInt));
    assert_eq!(requests.len(), 1);
}

#[test]
fn many_series_keep_their_bound_and_lose_nothing() {
    for pairs in [&[][..], &[CUMULATIVE]] {
        let mut otlp = otlp(pairs);
        let mut last = 0;
        for round in 0..3 {
            let (requests, oversize) = batch(&mut otlp, round, |encoder| {
                for number in 0..9_000 {
                    let (name, id) = (format!("m{}", round * 9_000 + number), format!("{round}-{number}"));
                    encoder.metrics(&origin(1), &[metric(Name::Custom(&name), 0, Value::Count(1.0), &[], &id)]);
                }
            });
            assert_eq!(oversize, Weight::default());
            assert_eq!(requests.iter().map(Request::weight).sum::<Weight>(), Weight::metrics(9_000));
            last = otlp.table.len();
            assert!(last <= 10_000, "{last}");
        }
        assert_eq!(last == 0, pairs.is_empty());
    }
}

#[test]
fn what_a_lost_batch_has_left_is_not_told_by_the_next() {
    let mut otlp = otlp(&[]);
    let forwarder = forwarder();
    let mut encoder = otlp.encoder(&Context { forwarder: &forwarder, now: Timestamp::from_millis(NOW) });
    encoder.metrics(&origin(1), &report(0, 5.0, "1"));
    drop(encoder);
    let (requests, _) = batch(&mut otlp, 0, |encoder| encoder.metrics(&origin(1), &report(0, 5.0, "1")));
    let found = sum(&metrics_of(&requests).0[0]);
    assert_eq!(found.data_points[0].value, Some(number_data_point::Value::AsInt(1)));
}
