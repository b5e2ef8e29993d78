//! Logs as Loki takes them, into Loki and `VictoriaLogs`.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::ferry::{self, Events, Ferried, REQUEST, WAYS, rfc3339};
use crate::servers::{eventually, get, request, server};

const HOUR: i64 = 3_600_000;

/// What Loki adds by itself: to entries, and to streams of so many bytes a second that it cuts them up.
const LEVEL_OF_LOKI: &str = "detected_level";
const SHARD: &str = "__stream_shard__";

/// Bytes of a line that Loki takes.
const MAX_LINE: usize = 262_144;

/// An entry as it is stored.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Entry {
    nanos: i64,
    line: String,
    labels: BTreeMap<String, String>,
    metadata: BTreeMap<String, String>,
}

/// After how many ms something is written, what, and which level that tells.
fn lines() -> Vec<(i64, String, Option<&'static str>)> {
    let start = format!("START RequestId: {REQUEST} Version: $LATEST\n");
    let info = format!("2026-11-20T09:02:14.734Z\t{REQUEST}\tINFO\tbasket 58213 opened\n");
    let error = format!("2026-11-20T09:02:14.735Z\t{REQUEST}\tERROR\tGrüße aus Köln: 日本語 🦀 \u{2028}");
    let warning = json!({ "level": "warn", "message": "coupon", "requestId": REQUEST, "n": [1, { "a": null }] });
    vec![
        (
            0,
            "INIT_START Runtime Version: nodejs:22.v61\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:39"
                .into(),
            None,
        ),
        (1, start, None),
        (1, info, Some("info")),
        (1, "again".into(), None),
        (1, "again".into(), None),
        (1, "and an earlier letter".into(), None),
        (2, "two\nlines, \"quoted\" \\ and a tab\t. <&> %".into(), None),
        (2, "\u{1b}[31mred\u{1b}[0m \u{0}\u{1}\u{1f}\u{7f}".into(), None),
        (3, error, Some("error")),
        (4, warning.to_string(), Some("warn")),
        (5, "  blanks around  ".into(), None),
        (999, format!("END RequestId: {REQUEST}\n"), None),
    ]
}

fn events(function: &str) -> Events {
    lines().iter().fold(Events::of(function), |events, (after, line, _)| events.at(*after, line))
}

/// Events of one line each, so many ms after the start.
fn events_at(function: &str, times: &[i64]) -> Events {
    times.iter().fold(Events::of(function), |events, time| events.at(*time, &format!("at {time}")))
}

/// What should be stored of [`events`].
fn expected(events: &Events) -> Vec<Entry> {
    let labels = [
        ("service_name", &*events.function),
        ("function_name", &events.function),
        ("cloud_region", "eu-west-1"),
        ("cloud_account_id", "123456789012"),
        ("log_group", &events.log_group()),
        ("env", "prod"),
        ("team", "shop"),
    ];
    let labels = texts(&labels);
    let mut last = (0, 0);
    let entries = lines().into_iter().enumerate().map(|(place, (_, line, level))| {
        let time = events.messages[place].0;
        last = if last.0 == time { (time, last.1 + 1) } else { (time, 0) };
        let mut metadata = texts(&[
            ("event_id", &*events.id(place)),
            ("log_stream", Events::log_stream()),
            ("function_version", "$LATEST"),
        ]);
        metadata.extend(level.map(|level| ("level".to_owned(), level.to_owned())));
        // From START to END all lines are of the request.
        if place > 0 {
            metadata.insert("request_id".into(), REQUEST.into());
        }
        Entry { nanos: time * 1_000_000 + last.1, line, labels: labels.clone(), metadata }
    });
    entries.collect()
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// All entries of a function that a tenant has, in the order of their times.
fn stored(loki: &str, tenant: Option<&str>, function: &str) -> Vec<Entry> {
    // Loki's parts say no more than 4 MB to each other at once.
    const PAGE: usize = 16;
    let query = format!("{loki}/loki/api/v1/query_range?query=%7Bfunction_name%3D%22{function}%22%7D");
    // Otherwise metadata would stand among the labels.
    let headers = [("X-Loki-Response-Encoding-Flags", "categorize-labels")].into_iter();
    let headers: Vec<_> = headers.chain(tenant.map(|tenant| ("X-Scope-OrgID", tenant))).collect();
    let (mut start, end) = ((ferry::now() - 24 * HOUR) * 1_000_000, (ferry::now() + HOUR) * 1_000_000);
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let url = format!("{query}&start={start}&end={end}&limit={PAGE}&direction=forward");
        let answer = request(Method::GET, &url, &headers, Vec::new());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        let mut page: Vec<_> = answer["data"]["result"].as_array().unwrap().iter().flat_map(entries_of).collect();
        page.sort();
        let is_last = page.len() < PAGE;
        start = page.last().map_or(start, |last| last.nanos + 1);
        all.extend(page);
        if is_last {
            return all;
        }
    }
}

fn entries_of(stream: &Value) -> Vec<Entry> {
    let mut labels: BTreeMap<String, String> = serde_json::from_value(stream["stream"].clone()).unwrap();
    labels.remove(SHARD);
    let values: Vec<(String, String, Value)> = serde_json::from_value(stream["values"].clone()).unwrap();
    let entries = values.into_iter().map(|(nanos, line, more)| {
        let mut metadata: BTreeMap<_, _> = serde_json::from_value(more["structuredMetadata"].clone()).unwrap();
        metadata.remove(LEVEL_OF_LOKI);
        Entry { nanos: nanos.parse().unwrap(), line, labels: labels.clone(), metadata }
    });
    entries.collect()
}

fn eventually_stored(loki: &str, tenant: Option<&str>, function: &str, count: usize) -> Vec<Entry> {
    let entries = eventually(&format!("{count} entries of {function}"), || {
        let entries = stored(loki, tenant, function);
        (entries.len() >= count).then_some(entries)
    });
    assert_eq!(entries.len(), count, "{function}");
    entries
}

/// Logs that were sent, and logs that never will be.
fn account(ferried: &Ferried) -> (usize, usize) {
    let account = &ferried.summary["backends"]["loki"];
    let number = |value: &Value| usize::try_from(value.as_u64().unwrap_or_default()).unwrap();
    (number(&account["sent"]), number(&account["dropped"]["refused"]))
}

const LABELS: (&str, &str) = ("LOKI_EXTRA_LABELS", "env:prod,team:shop");

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn loki_stores_entries_as_they_were_written_and_once() {
    let Some(loki) = server("LOKI") else { return };
    for format in ["json", "protobuf"] {
        let settings = [("LOKI_URL", &*loki), ("LOKI_FORMAT", format), LABELS];
        for (name, way) in WAYS {
            let events = events(&format!("loki-{format}-{name}"));
            let expected = expected(&events);
            way("loki", &settings, &events.event()).assert_good();
            assert_eq!(eventually_stored(&loki, None, &events.function, expected.len()), expected);
            // Delivered again, to the same process or to another.
            way("loki", &settings, &events.event()).assert_good();
            ferry::replay("loki", &settings, &events.event()).assert_good();
            assert_eq!(stored(&loki, None, &events.function), expected);
        }
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn loki_keeps_tenants_apart() {
    let Some(loki) = server("LOKI_TENANTS") else { return };
    for format in ["json", "protobuf"] {
        let events = events(&format!("tenants-{format}"));
        let settings = [("LOKI_URL", &*loki), ("LOKI_FORMAT", format), LABELS];
        let without = ferry::library("loki", &settings, &events.event());
        let dropped = &without.summary["backends"]["loki"]["dropped"];
        assert_eq!(dropped, &json!({ "unauthorized": lines().len() }), "{}", without.summary);
        let mine = [&settings[..], &[("LOKI_TENANT_ID", "shop-1")]].concat();
        ferry::library("loki", &mine, &events.event()).assert_good();
        let expected = expected(&events);
        assert_eq!(eventually_stored(&loki, Some("shop-1"), &events.function, expected.len()), expected);
        assert_eq!(stored(&loki, Some("shop-2"), &events.function), []);
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn loki_stores_batches_that_are_out_of_order() {
    let Some(loki) = server("LOKI") else { return };
    for format in ["json", "protobuf"] {
        let settings = [("LOKI_URL", &*loki), ("LOKI_FORMAT", format)];
        for (name, times) in [
            ("older-first", [-2 * HOUR, -HOUR, 0, 1]),
            ("older-last", [1, 0, -HOUR, -2 * HOUR]),
            ("mixed", [0, -2 * HOUR, 1, -HOUR]),
        ] {
            let events = events_at(&format!("order-{format}-{name}"), &times);
            ferry::library("loki", &settings, &events.event()).assert_good();
            let mut sorted: Vec<_> =
                events.messages.iter().map(|(time, line)| (time * 1_000_000, line.clone())).collect();
            sorted.sort();
            let stored = eventually_stored(&loki, None, &events.function, times.len());
            let stored: Vec<_> = stored.into_iter().map(|entry| (entry.nanos, entry.line)).collect();
            assert_eq!(stored, sorted, "{name}");
        }
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn loki_refuses_what_is_too_old_and_stores_the_rest() {
    let Some(loki) = server("LOKI") else { return };
    let week = 7 * 24 * HOUR;
    for format in ["json", "protobuf"] {
        let settings = [("LOKI_URL", &*loki), ("LOKI_FORMAT", format)];
        for (name, times, refused) in [
            ("one", &[-week - HOUR, 0, 1, 2][..], 1),
            ("two", &[0, -week - HOUR, 1, -week - 2 * HOUR, 2], 2),
            ("all", &[-week - HOUR, -week - 2 * HOUR], 2),
            ("only", &[-week - HOUR], 1),
        ] {
            let events = events_at(&format!("old-{format}-{name}"), times);
            let ferried = ferry::library("loki", &settings, &events.event());
            let good = times.len() - refused;
            assert_eq!(account(&ferried), (good, refused), "{name}: {ferried:#?}");
            let stored = eventually_stored(&loki, None, &events.function, good);
            let lines: Vec<_> = stored.into_iter().map(|entry| entry.line).collect();
            let kept: Vec<_> = times.iter().filter(|time| **time >= 0).map(|time| format!("at {time}")).collect();
            assert_eq!(lines, kept, "{name}");
        }
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn loki_stores_what_comes_too_late_for_its_stream_in_another() {
    let Some(loki) = server("LOKI") else { return };
    for format in ["json", "protobuf"] {
        let settings = [("LOKI_URL", &*loki), ("LOKI_FORMAT", format)];
        let function = format!("late-{format}");
        // The first of the second batch is two hours behind what another forwarder has sent. (What is older than three
        // hours can't be queried before Loki has written it to its store.)
        let (older, old) = (-5 * HOUR / 2, -2 * HOUR);
        for times in [&[0, 1][..], &[old, 2, older]] {
            ferry::library("loki", &settings, &events_at(&function, times).event()).assert_good();
        }
        let stored = eventually_stored(&loki, None, &function, 5);
        let stored: Vec<_> = stored.iter().map(|entry| (entry.line.as_str(), is_late(entry))).collect();
        let (older, old) = (format!("at {older}"), format!("at {old}"));
        assert_eq!(stored, [(&*older, true), (&old, true), ("at 0", false), ("at 1", false), ("at 2", false)]);
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn loki_stores_the_beginning_of_a_line_that_is_too_long() {
    let Some(loki) = server("LOKI") else { return };
    let lines = [
        "x".repeat(MAX_LINE),
        "\n".repeat(MAX_LINE),
        "x".repeat(MAX_LINE + 1),
        "é".repeat(MAX_LINE / 2) + "x",
        "🦀".repeat(MAX_LINE),
    ];
    for format in ["json", "protobuf"] {
        let settings = [("LOKI_URL", &*loki), ("LOKI_FORMAT", format)];
        let function = format!("long-{format}");
        let events = lines.iter().zip(0..).fold(Events::of(&function), |events, (line, at)| events.at(at, line));
        ferry::library("loki", &settings, &events.event()).assert_good();
        let stored = eventually_stored(&loki, None, &function, lines.len());
        for (Entry { line: stored, .. }, line) in stored.iter().zip(&lines) {
            let (start, length) = (line.chars().next(), line.len());
            if length <= MAX_LINE {
                assert!(stored == line, "{start:?}, {length} bytes");
                continue;
            }
            let kept = stored.strip_suffix(&format!("… [cut by logferry: {length} bytes in all]"));
            // As much as there is room for, beside the words behind it.
            let whole = kept.is_some_and(|kept| line.starts_with(kept) && kept.len() > MAX_LINE - 100);
            assert!(whole && stored.len() <= MAX_LINE, "{start:?}, {length} bytes");
        }
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn loki_takes_a_batch_again_even_when_its_stream_has_gone_on() {
    let Some(loki) = server("LOKI") else { return };
    let settings = [("LOKI_URL", &*loki)];
    let early = events_at("gone-on", &[-2 * HOUR, -2 * HOUR + 1]);
    let late = events_at("gone-on", &[0, 1]);
    ferry::library("loki", &settings, &early.event()).assert_good();
    ferry::library("loki", &settings, &late.event()).assert_good();
    let before = eventually_stored(&loki, None, "gone-on", 4);
    // Loki doesn't say whether it has what is too far behind: it is there once more, among the late ones, however often
    // it comes.
    for _ in 0..2 {
        let again = ferry::replay("loki", &settings, &early.event());
        assert_eq!(account(&again), (2, 0), "{again:#?}");
        let (late, others): (Vec<_>, Vec<_>) =
            eventually_stored(&loki, None, "gone-on", 6).into_iter().partition(is_late);
        assert_eq!((late.len(), others), (2, before.clone()));
    }
}

/// Whether it is in the stream of late entries.
fn is_late(entry: &Entry) -> bool {
    entry.labels.get("late").is_some_and(|late| late == "true")
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn loki_stores_all_of_a_batch_that_is_more_than_it_takes_at_once() {
    let Some(loki) = server("LOKI_TENANTS") else { return };
    // 12 MB: a tenant may send 6 MB at once, and 4 MB a second.
    let line = |place: i64| format!("{place:04} {}", "0123456789abcde\n".repeat(12_000));
    for format in ["json", "protobuf"] {
        let events =
            (0..64).fold(Events::of(&format!("burst-{format}")), |events, place| events.at(place, &line(place)));
        let tenant = events.function.clone();
        let settings = [("LOKI_URL", &*loki), ("LOKI_FORMAT", format), ("LOKI_TENANT_ID", &tenant)];
        ferry::library("loki", &settings, &events.event()).assert_good();
        let stored = eventually_stored(&loki, Some(&tenant), &events.function, 64);
        let heads: Vec<_> = stored.iter().map(|entry| (entry.nanos, &entry.line[..4], entry.line.len())).collect();
        let all = (0..64).map(|place| ((events.start + place) * 1_000_000, format!("{place:04}"), line(place).len()));
        assert_eq!(heads, all.collect::<Vec<_>>().iter().map(|(a, b, c)| (*a, b.as_str(), *c)).collect::<Vec<_>>());
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn victorialogs_stores_entries_as_they_were_written() {
    let Some(victorialogs) = server("VICTORIALOGS") else { return };
    // Otherwise it would take apart lines that are JSON.
    let url = format!("{victorialogs}/insert/loki/api/v1/push?disable_message_parsing=1");
    for format in ["json", "protobuf"] {
        let settings = [("LOKI_URL", &*url), ("LOKI_FORMAT", format), LABELS];
        for (name, way) in WAYS {
            let events = events(&format!("victorialogs-{format}-{name}"));
            way("loki", &settings, &events.event()).assert_good();
            let expected = expected(&events);
            let stored = eventually(&format!("entries of {}", events.function), || {
                let stored = in_victorialogs(&victorialogs, &events.function);
                (stored.len() >= expected.len()).then_some(stored)
            });
            let expected = expected.into_iter().map(|Entry { nanos, line, labels, metadata }| {
                let own = [("_time".to_owned(), rfc3339(nanos)), ("_msg".to_owned(), line)];
                own.into_iter().chain(labels).chain(metadata).collect()
            });
            assert_eq!(stored, expected.collect::<Vec<BTreeMap<_, _>>>());
        }
    }
}

/// All fields of all entries of a function, in the order of their times.
fn in_victorialogs(victorialogs: &str, function: &str) -> Vec<BTreeMap<String, String>> {
    get(victorialogs, "/internal/force_flush", &[]);
    let query = format!("{{function_name=\"{function}\"}} | sort by (_time)");
    let entries = get(victorialogs, "/select/logsql/query", &[("query", &query)]).lines();
    let fields = entries.into_iter().map(|entry| {
        let mut fields: BTreeMap<String, String> = serde_json::from_value(entry).unwrap();
        // Its words for the stream that an entry is of.
        fields.retain(|name, _| !name.starts_with("_stream"));
        fields
    });
    fields.collect()
}
