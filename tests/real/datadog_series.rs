//! Metrics as Datadog takes them, into `VictoriaMetrics`: series, as it has no distributions.

use std::collections::BTreeMap;

use crate::common::lambda::API_KEY;
use crate::ferry::{Events, WAYS};
use crate::servers::{eventually, get, server};

/// Name and labels, and each point's time in ms and value.
type Series = BTreeMap<(String, Vec<(String, String)>), Vec<(i64, f64)>>;

/// Name, whether the host is the log stream, tags, and points as seconds and values.
type Expected = (&'static str, bool, &'static [(&'static str, &'static str)], &'static [(i64, f64)]);

/// Second after the start, value, type, name and tags.
const LINES: [(i64, &str, &str, &str, &str); 18] = [
    (0, "1", "count", "orders.placed", "#payment:card"),
    (0, "2.5", "count", "orders.placed", "#payment:card"),
    (0, "4", "count", "orders.placed", "#payment:invoice,shop:berlin"),
    (1, "5", "count", "orders.placed", "#payment:card"),
    (0, "19.5", "gauge", "basket_eur", "#shop:berlin"),
    (0, "84.9", "gauge", "basket_eur", "#shop:berlin"),
    (2, "-0.007", "gauge", "basket_eur", "#shop:berlin"),
    (3, "123456789012.5", "gauge", "basket_eur", "#shop:berlin"),
    (0, "1", "histogram", "latency", ""),
    (0, "3", "histogram", "latency", ""),
    (0, "1", "histogram", "latency", ""),
    (0, "2", "histogram", "latency", ""),
    (0, "2", "histogram", "latency", ""),
    (0, "3", "histogram", "latency", ""),
    (0, "1", "histogram", "latency", ""),
    (0, "2", "histogram", "latency", ""),
    (1, "7e-3", "histogram", "latency", ""),
    (1, "1", "check", "feed_fresh", ""),
];

/// What they come to.
///
/// Of [1, 1, 1, 2, 2, 2, 3, 3] the Datadog Agent's median is 2, and its 95th percentile 3.
const EXPECTED: [Expected; 9] = [
    ("orders.placed", true, &[("payment", "card")], &[(0, 3.5), (1, 5.0)]),
    ("orders.placed", true, &[("payment", "invoice"), ("shop", "berlin")], &[(0, 4.0)]),
    ("basket_eur", false, &[("shop", "berlin")], &[(0, 84.9), (2, -0.007), (3, 123_456_789_012.5)]),
    ("latency.avg", true, &[], &[(0, 1.875), (1, 0.007)]),
    ("latency.count", true, &[], &[(0, 8.0), (1, 1.0)]),
    ("latency.max", true, &[], &[(0, 3.0), (1, 0.007)]),
    ("latency.min", true, &[], &[(0, 1.0), (1, 0.007)]),
    ("latency.median", true, &[], &[(0, 2.0), (1, 0.007)]),
    ("latency.95percentile", true, &[], &[(0, 3.0), (1, 0.007)]),
];

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn each_point_is_stored_once() {
    let Some(victoriametrics) = server("VICTORIAMETRICS") else { return };
    let api = format!("{victoriametrics}/datadog");
    let settings = [
        ("DD_API_KEY", API_KEY),
        ("DD_API_URL", &*api),
        ("DD_FORWARD_LOG", "false"),
        ("DD_TAGS", "env:prod"),
        ("LOGFERRY_DATADOG_METRICS", "aggregates"),
    ];
    for (name, way) in WAYS {
        for compression in ["true", "false"] {
            let function = format!("series-{name}-{compression}");
            let events = LINES.iter().fold(Events::of(&function), |events, (second, value, kind, name, tags)| {
                let time = events.start / 1000 + second;
                events.at(second * 1000, &format!("MONITORING|{time}|{value}|{kind}|{name}|{tags}"))
            });
            let settings = [&settings[..], &[("DD_USE_COMPRESSION", compression)]].concat();
            way("datadog", &settings, &events.event()).assert_good();
            let expected = expected(&events);
            let stored = eventually("series", || {
                let stored = stored(&victoriametrics, &events);
                (stored.len() >= expected.len()).then_some(stored)
            });
            assert_eq!(stored, expected, "{function}");
        }
    }
}

fn expected(events: &Events) -> Series {
    let series = EXPECTED.iter().map(|(name, streamed, tags, points)| {
        let always = [("function_name", events.function.as_str()), ("env", "prod")];
        let host = streamed.then_some(("host", Events::log_stream()));
        let labels = tags.iter().copied().chain(always).chain(host);
        let mut labels: Vec<_> = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        labels.sort();
        let points = points.iter().map(|(second, value)| (events.start + second * 1000, *value)).collect();
        (((*name).to_owned(), labels), points)
    });
    series.collect()
}

/// Everything of a function.
fn stored(victoriametrics: &str, events: &Events) -> Series {
    get(victoriametrics, "/internal/force_flush", &[]);
    let (all, end) = (format!("{{function_name=\"{}\"}}", events.function), (events.start / 1000 + 3600).to_string());
    let export = get(victoriametrics, "/api/v1/export", &[("match[]", &all), ("start", "0"), ("end", &end)]).lines();
    let series = export.iter().map(|series| {
        let labels: BTreeMap<String, String> = serde_json::from_value(series["metric"].clone()).unwrap();
        let (name, labels): (Vec<_>, Vec<_>) = labels.into_iter().partition(|(name, _)| name == "__name__");
        let times = series["timestamps"].as_array().unwrap().iter().map(|time| time.as_i64().unwrap());
        let values = series["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap());
        ((name[0].1.clone(), labels), times.zip(values).collect())
    });
    series.collect()
}
