//! Documents as Elasticsearch takes them, into `VictoriaLogs`.

use std::collections::BTreeMap;

use logferry::model::Timestamp;
use serde_json::json;

use crate::ferry::{Events, REQUEST, WAYS, rfc3339};
use crate::servers::{eventually, get, server};

/// All fields of a document, their names joined by dots.
pub(crate) type Document = BTreeMap<String, String>;

/// A document of metrics: place of the line, ms after the start, fields.
type Measured = (usize, i64, &'static [(&'static str, &'static str)]);

/// What `VictoriaLogs` says of a document without a message.
const NO_MESSAGE: &str =
    "missing _msg field; see https://docs.victoriametrics.com/victorialogs/keyconcepts/#message-field";

/// Time of the EMF line's metrics, in ms after the start.
const EMF_AFTER: i64 = 777;

/// The lines that are logs, with what they tell: place, level, whether they are of the request.
const LOGS: [(usize, Option<&str>, bool); 6] = [
    (0, None, false),
    (1, None, true),
    (WARNING, Some("warn"), true),
    (5, None, true),
    (6, None, true),
    (7, None, true),
];

/// The line that the application says the time of, in ms after the start: a bit before its event.
const WARNING: usize = 2;
const WARNED_AFTER: i64 = 1;

/// All documents of metrics.
const METRICS: [Measured; 7] = [
    (3, 0, &[("metrics.orders_placed", "3.0"), ("labels.payment", "card"), ("labels.shop", "berlin")]),
    (4, 0, &[("metrics.basket_eur", "-0.007"), ("labels.shop", "köln \"süd\"")]),
    (
        5,
        EMF_AFTER,
        &[("metrics.took", "1.5"), ("metrics.size", "7.0"), ("labels.kind", "book"), ("labels.namespace", "shop")],
    ),
    (5, EMF_AFTER, &[("metrics.took", "2.0"), ("labels.kind", "book"), ("labels.namespace", "shop")]),
    (5, EMF_AFTER, &[("metrics.took", "1e+300"), ("labels.kind", "book"), ("labels.namespace", "shop")]),
    (
        7,
        999,
        &[
            ("aws.lambda.metrics.BilledDuration.avg", "588.0"),
            ("aws.lambda.metrics.ColdStarts.sum", "1.0"),
            ("aws.lambda.metrics.Duration.avg", "187.42"),
            ("aws.lambda.metrics.InitDuration.avg", "400.01"),
            ("aws.lambda.metrics.Invocations.avg", "1.0"),
            ("aws.lambda.metrics.MaxMemoryUsed.avg", "104.0"),
            ("aws.lambda.metrics.MemorySize.avg", "512.0"),
            ("faas.coldstart", "true"),
            ("labels.cold_start", "true"),
            ("labels.memory_size_mb", "512"),
        ],
    ),
    (
        7,
        999,
        &[
            // Half a GB for 0.588 s at 16.6667 millionths of a dollar, and 0.2 of them for the request.
            ("aws.lambda.metrics.EstimatedCost.sum", "5.10001e-6"),
            ("faas.coldstart", "true"),
            ("labels.architecture", "x86_64"),
            ("labels.cold_start", "true"),
            ("labels.memory_size_mb", "512"),
            ("labels.price_basis", "list_tier_1"),
        ],
    ),
];

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn documents_are_stored_with_all_their_fields() {
    let Some(victorialogs) = server("VICTORIALOGS") else { return };
    let url = format!("{victorialogs}/insert/elasticsearch/?_msg_field=message&_time_field=@timestamp");
    let settings = [("ELASTICSEARCH_URL", &*url), ("LOGFERRY_TAGS", "env:prod")];
    for (name, way) in WAYS {
        let events = events(&format!("bulk-{name}"));
        way("elasticsearch", &settings, &events.event()).assert_good();
        let mut expected: Vec<_> = expected(&events).into_iter().map(in_victorialogs).collect();
        expected.sort();
        let stored = eventually(&format!("documents of {}", events.function), || {
            let stored = stored(&victorialogs, &events.function);
            (stored.len() >= expected.len()).then_some(stored)
        });
        assert_eq!(stored, expected, "{name}");
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn a_bulk_is_stored_to_its_end() {
    let Some(victorialogs) = server("VICTORIALOGS") else { return };
    let url = format!("{victorialogs}/insert/elasticsearch?_msg_field=message&_time_field=@timestamp");
    // More than a thousand documents and more than 5 MB.
    let message = |place: i64| format!("{place} {}", "é\n".repeat(usize::try_from(place % 5 * 500).unwrap()));
    let events = (0..3000).fold(Events::of("bulk-many"), |events, place| events.at(place, &message(place)));
    crate::ferry::library("elasticsearch", &[("ELASTICSEARCH_URL", &*url)], &events.event()).assert_good();
    let stored = eventually("3000 documents", || {
        let stored = stored(&victorialogs, &events.function);
        (stored.len() >= events.messages.len()).then_some(stored)
    });
    let mut told: Vec<_> = stored.iter().map(|document| (&*document["_time"], &*document["_msg"])).collect();
    told.sort_unstable();
    let written = events.messages.iter().map(|(time, message)| (rfc3339(time * 1_000_000), message));
    let written: Vec<_> = written.collect();
    let mut written: Vec<_> = written.iter().map(|(time, message)| (&**time, message.as_str())).collect();
    written.sort_unstable();
    assert!(told == written, "{} of {}", told.len(), written.len());
}

pub(crate) fn events(function: &str) -> Events {
    let events = Events::of(function);
    let (start, second) = (events.start, events.start / 1000);
    let emf = json!({
        "_aws": {
            "Timestamp": start + EMF_AFTER,
            "CloudWatchMetrics": [{
                "Namespace": "shop",
                "Dimensions": [["kind"]],
                "Metrics": [{ "Name": "took", "Unit": "Milliseconds" }, { "Name": "size" }],
            }],
        },
        "kind": "book",
        "took": [1.5, 2, 1e300],
        "size": 7,
    });
    let unicode = "Grüße aus Köln: 日本語 🦀 \"quoted\" \\ \u{1}\n\ttwo lines";
    events
        .at(1, "INIT_START Runtime Version: nodejs:22.v61\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:39\n")
        .at(2, &format!("START RequestId: {REQUEST} Version: $LATEST\n"))
        .at(3, &format!("{}\t{REQUEST}\tWARN\t{unicode}", Timestamp::from_millis(start + WARNED_AFTER)))
        .at(4, &format!("MONITORING|{second}|3|count|orders.placed|#payment:card,shop:berlin"))
        .at(5, &format!("MONITORING|{second}|-0.007|gauge|basket_eur|#shop:köln \"süd\""))
        .at(5, &emf.to_string())
        .at(998, &format!("END RequestId: {REQUEST}\n"))
        .at(999, &format!("REPORT RequestId: {REQUEST}\tDuration: 187.42 ms\tBilled Duration: 588 ms\tMemory Size: 512 MB\tMax Memory Used: 104 MB\tInit Duration: 400.01 ms\t\n"))
}

/// What should be stored of [`events`].
pub(crate) fn expected(events: &Events) -> Vec<Document> {
    let logs = LOGS.iter().map(|(place, level, of_request)| {
        let (time, message) = &events.messages[*place];
        let own = (*place == WARNING).then_some(events.start + WARNED_AFTER);
        let mut document = shared(events, *place, own.unwrap_or(*time), "logs");
        document.extend(own.map(|_| ("event.created".to_owned(), Timestamp::from_millis(*time).to_string())));
        document.insert("message".into(), message.clone());
        document.extend(level.map(|level| ("log.level".to_owned(), level.to_owned())));
        document.extend(of_request.then(|| ("faas.execution".to_owned(), REQUEST.to_owned())));
        document
    });
    let metrics = METRICS.iter().map(|(place, after, fields)| {
        let mut document = shared(events, *place, events.start + after, "metrics");
        let always = [("faas.execution", REQUEST), ("aws.dimensions.FunctionName", &events.function)];
        let fields = always.iter().chain(*fields);
        document.extend(fields.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        document
    });
    logs.chain(metrics).collect()
}

/// A document as `VictoriaLogs` shows it.
fn in_victorialogs(mut document: Document) -> Document {
    let time = document.remove("@timestamp").unwrap();
    let time = time.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    document.insert("_time".into(), format!("{time}Z"));
    let message = document.remove("message").unwrap_or_else(|| NO_MESSAGE.to_owned());
    document.insert("_msg".into(), message);
    document
}

fn shared(events: &Events, place: usize, time: i64, kind: &str) -> Document {
    let fields = [
        ("@timestamp", Timestamp::from_millis(time).to_string()),
        ("aws.cloudwatch.log_group", events.log_group()),
        ("aws.cloudwatch.log_stream", Events::log_stream().to_owned()),
        ("cloud.account.id", "123456789012".to_owned()),
        ("cloud.provider", "aws".to_owned()),
        ("cloud.region", "eu-west-1".to_owned()),
        ("data_stream.dataset", "aws.lambda".to_owned()),
        ("data_stream.namespace", "default".to_owned()),
        ("data_stream.type", kind.to_owned()),
        ("ecs.version", "8.11.0".to_owned()),
        ("event.dataset", "aws.lambda".to_owned()),
        ("event.id", events.id(place)),
        ("faas.id", format!("arn:aws:lambda:eu-west-1:123456789012:function:{}", events.function)),
        ("faas.name", events.function.clone()),
        ("faas.version", "$LATEST".to_owned()),
        ("labels.env", "prod".to_owned()),
        ("service.name", events.function.clone()),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// All documents of a function, sorted.
fn stored(victorialogs: &str, function: &str) -> Vec<Document> {
    get(victorialogs, "/internal/force_flush", &[]);
    let query = format!("\"faas.name\":=\"{function}\"");
    let documents = get(victorialogs, "/select/logsql/query", &[("query", &query)]).lines();
    let documents = documents.into_iter().map(|document| {
        let mut document: Document = serde_json::from_value(document).unwrap();
        // Its words for the stream that a document is of.
        document.retain(|name, _| !name.starts_with("_stream"));
        document
    });
    let mut documents: Vec<_> = documents.collect();
    documents.sort();
    documents
}
