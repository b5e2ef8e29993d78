//! Documents as OpenSearch takes them, into data streams.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use logferry::model::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::elasticsearch::{Document, events, expected};
use crate::ferry::{self, Events, Ferried, WAYS};
use crate::servers::{request, server};

const README: &str = include_str!("../../README.md");

/// A document as it is found.
#[derive(Clone, Debug)]
struct Hit {
    index: String,
    id: String,
    version: u64,
    /// The time that it is sorted by, in ms.
    time: i64,
    document: Document,
}

/// Asks for something that has to be answered well.
fn ask(method: Method, opensearch: &str, path: &str, body: &Value) -> Value {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = request(method, &format!("{opensearch}{path}"), &[("Content-Type", "application/json")], body);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

fn put(opensearch: &str, path: &str, body: &Value) {
    assert_eq!(ask(Method::PUT, opensearch, path, body)["acknowledged"], true);
}

/// The template that the README tells users to make.
fn template() -> Value {
    let (_, command) = README.split_once("/_index_template/logferry").unwrap();
    let (_, body) = command.split_once("-d '").unwrap();
    serde_json::from_str(body.split_once('\'').unwrap().0).unwrap()
}

fn put_template(opensearch: &str) {
    put(opensearch, "/_index_template/logferry", &template());
}

/// The address of a node that has the template.
fn with_template(name: &str) -> Option<String> {
    let opensearch = server(name)?;
    put_template(&opensearch);
    Some(opensearch)
}

/// Everything that the streams of a namespace have.
fn hits(opensearch: &str, namespace: &str) -> Vec<Hit> {
    let streams = format!("/logs-*-{namespace},metrics-*-{namespace}");
    ask(Method::POST, opensearch, &format!("{streams}/_refresh"), &Value::Null);
    let wanted = json!({ "size": 10_000, "version": true, "sort": [{ "@timestamp": { "order": "asc", "unmapped_type": "date" } }] });
    let answer = ask(Method::POST, opensearch, &format!("{streams}/_search"), &wanted);
    assert_eq!(answer["_shards"]["failed"], 0, "{answer}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let hits = answer["hits"]["hits"].as_array().unwrap().iter().map(|hit| {
        let mut document = Document::new();
        flatten("", &hit["_source"], &mut document);
        Hit {
            index: text(&hit["_index"]),
            id: text(&hit["_id"]),
            version: hit["_version"].as_u64().unwrap(),
            time: hit["sort"][0].as_i64().unwrap(),
            document,
        }
    });
    hits.collect()
}

fn flatten(name: &str, value: &Value, document: &mut Document) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                flatten(&if name.is_empty() { field.clone() } else { format!("{name}.{field}") }, value, document);
            }
        }
        Value::String(text) => assert_eq!(document.insert(name.to_owned(), text.clone()), None),
        other => assert_eq!(document.insert(name.to_owned(), other.to_string()), None),
    }
}

fn documents(hits: &[Hit]) -> Vec<&Document> {
    let mut documents: Vec<_> = hits.iter().map(|hit| &hit.document).collect();
    documents.sort();
    documents
}

/// Messages of all logs, in the order of their times.
fn messages(opensearch: &str, namespace: &str) -> Vec<String> {
    hits(opensearch, namespace).iter().map(|hit| hit.document["message"].clone()).collect()
}

/// Type of each field of a stream.
fn types(opensearch: &str, stream: &str) -> BTreeMap<String, String> {
    fn collect(name: &str, mapping: &Value, types: &mut BTreeMap<String, String>) {
        for (field, mapping) in mapping["properties"].as_object().into_iter().flatten() {
            let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
            match mapping["type"].as_str() {
                Some(kind) => assert_eq!(types.insert(name, kind.to_owned()), None),
                None => collect(&name, mapping, types),
            }
        }
    }
    let mappings = ask(Method::GET, opensearch, &format!("/{stream}/_mapping"), &Value::Null);
    let mut types = BTreeMap::new();
    for index in mappings.as_object().unwrap().values() {
        collect("", &index["mappings"], &mut types);
    }
    types
}

fn settings<'a>(opensearch: &'a str, namespace: &'a str) -> [(&'a str, &'a str); 3] {
    [("ELASTICSEARCH_URL", opensearch), ("LOGFERRY_ELASTICSEARCH_NAMESPACE", namespace), ("LOGFERRY_TAGS", "env:prod")]
}

/// A batch of so many logs, each of its number and some text.
fn many(function: &str, count: i64, text: impl Fn(i64) -> String) -> Events {
    (0..count).fold(Events::of(function), |events, place| events.at(place, &format!("{place} {}", text(place))))
}

fn written(events: &Events) -> Vec<&str> {
    events.messages.iter().map(|(_, message)| message.as_str()).collect()
}

/// What became of all items.
fn account(ferried: &Ferried) -> &Value {
    &ferried.summary["backends"]["elasticsearch"]
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn documents_are_in_data_streams_once_with_all_their_fields() {
    let Some(opensearch) = with_template("OPENSEARCH") else { return };
    for (name, way) in WAYS {
        let namespace = format!("fields_{name}");
        let settings = settings(&opensearch, &namespace);
        let events = events(&format!("opensearch-{name}"));
        way("elasticsearch", &settings, &events.event()).assert_good();
        let stored = hits(&opensearch, &namespace);
        let mut expected = expected(&events);
        for document in &mut expected {
            document.insert("data_stream.namespace".into(), namespace.clone());
        }
        expected.sort();
        assert_eq!(documents(&stored), expected.iter().collect::<Vec<_>>(), "{name}");
        for Hit { index, id, time, document, .. } in &stored {
            let stream = format!("{}-aws.lambda-{namespace}", document["data_stream.type"]);
            assert_eq!(*index, format!(".ds-{stream}-000001"));
            assert_eq!(Timestamp::from_millis(*time).to_string(), document["@timestamp"]);
            let event = &document["event.id"];
            assert!(id == event || (stream.starts_with("metrics") && id.starts_with(&format!("{event}-"))), "{id}");
        }
        // Delivered again, to the same process or to another.
        for (_, way) in WAYS {
            way("elasticsearch", &settings, &events.event()).assert_good();
        }
        let again = hits(&opensearch, &namespace);
        assert_eq!(documents(&again), documents(&stored), "{name}");
        assert!(again.iter().all(|hit| hit.version == 1), "{again:?}");
        check_types(&opensearch, &namespace, &expected);
    }
}

/// Each field that there is has a type, and the right one.
fn check_types(opensearch: &str, namespace: &str, expected: &[Document]) {
    for kind in ["logs", "metrics"] {
        let of_kind = expected.iter().filter(|document| document["data_stream.type"] == kind);
        let fields: BTreeSet<_> = of_kind.flat_map(BTreeMap::keys).map(String::as_str).collect();
        let types = types(opensearch, &format!("{kind}-aws.lambda-{namespace}"));
        for field in fields {
            let right = match field {
                "@timestamp" | "event.created" => "date",
                "message" => "text",
                "faas.coldstart" => "boolean",
                _ if field.starts_with("metrics.") || field.starts_with("aws.lambda.metrics.") => "double",
                _ => "keyword",
            };
            assert_eq!(types.get(field).map(String::as_str), Some(right), "{field}");
        }
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn a_new_index_of_a_data_stream_takes_a_replay_once_more() {
    let Some(opensearch) = with_template("OPENSEARCH") else { return };
    let settings = settings(&opensearch, "rollover");
    let events = many("rollover", 3, |_| String::new());
    for count in [3, 6] {
        for _ in 0..2 {
            ferry::replay("elasticsearch", &settings, &events.event()).assert_good();
            assert_eq!(hits(&opensearch, "rollover").len(), count);
        }
        ask(Method::POST, &opensearch, "/logs-aws.lambda-rollover/_rollover", &Value::Null);
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn a_bulk_is_in_a_data_stream_to_its_end() {
    let Some(opensearch) = with_template("OPENSEARCH") else { return };
    // More than a thousand documents and more than 5 MB, one of them nearly as large as there are.
    let text = |place: i64| "é\n".repeat(if place == 7 { 200_000 } else { usize::try_from(place % 5 * 500).unwrap() });
    let events = many("opensearch-many", 3000, text);
    ferry::library("elasticsearch", &settings(&opensearch, "many"), &events.event()).assert_good();
    let stored = messages(&opensearch, "many");
    assert!(stored == written(&events), "{} of {}", stored.len(), events.messages.len());
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn labels_that_look_like_dates_are_none() {
    let Some(opensearch) = with_template("OPENSEARCH") else { return };
    for (release, count) in ["2026-11-20", "2026/11/20 10:00:00", "soon", "7"].into_iter().zip(1..) {
        let mut settings = settings(&opensearch, "labels");
        let tags = format!("release:{release}");
        settings[2].1 = &tags;
        let events = (0..3).fold(Events::of("labels"), |events, place| events.at(count * 10 + place, "a line"));
        ferry::library("elasticsearch", &settings, &events.event()).assert_good();
        let stored = hits(&opensearch, "labels");
        let labels: Vec<_> = stored.iter().map(|hit| &*hit.document["labels.release"]).collect();
        assert_eq!(labels.len(), usize::try_from(count * 3).unwrap());
        assert!(labels.ends_with(&[release; 3]), "{labels:?}");
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn an_index_without_a_template_takes_documents_once() {
    let Some(opensearch) = server("OPENSEARCH") else { return };
    for (name, way) in WAYS {
        let namespace = format!("plain_{name}");
        let more =
            [("LOGFERRY_ELASTICSEARCH_LOGS_DATASET", "bare"), ("LOGFERRY_ELASTICSEARCH_METRICS_DATASET", "bare")];
        let settings = [&settings(&opensearch, &namespace)[..], &more].concat();
        let events = many(&format!("plain-{name}"), 30, |place| format!("line {place}"));
        for _ in 0..2 {
            way("elasticsearch", &settings, &events.event()).assert_good();
            let hits = hits(&opensearch, &namespace);
            assert!(hits.iter().all(|hit| hit.index == format!("logs-bare-{namespace}")), "{hits:?}");
            assert_eq!(messages(&opensearch, &namespace), written(&events));
        }
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn a_conflict_of_types_refuses_only_its_documents() {
    let Some(opensearch) = with_template("OPENSEARCH") else { return };
    let mut own = template();
    own["index_patterns"] = json!(["*-aws.lambda-conflict_*"]);
    own["priority"] = json!(500);
    // A level that is a word, and one of the metrics, fit in nowhere.
    own["template"]["mappings"]["properties"]["log"] = json!({ "properties": { "level": { "type": "long" } } });
    own["template"]["mappings"]["properties"]["metrics"] = json!({ "properties": { "size": { "type": "ip" } } });
    put(&opensearch, "/_index_template/conflict", &own);
    for (name, way) in WAYS {
        let namespace = format!("conflict_{name}");
        let events = events(&format!("conflict-{name}"));
        let settings = settings(&opensearch, &namespace);
        let mut kept = expected(&events);
        for document in &mut kept {
            document.insert("data_stream.namespace".into(), namespace.clone());
        }
        kept.retain(|document| !document.contains_key("log.level") && !document.contains_key("metrics.size"));
        kept.sort();
        // Again, as what is there already is no conflict of that kind.
        for _ in 0..2 {
            let ferried = way("elasticsearch", &settings, &events.event());
            // One log, and a document of two metrics.
            assert_eq!(account(&ferried)["dropped"], json!({ "refused": 3 }), "{ferried:#?}");
            let [note] = &*ferried.notes else { panic!("{ferried:#?}") };
            let why = "status 400 mapper_parsing_exception: failed to parse field [log.level] of type [long]";
            assert!(note.contains(why), "{note}");
            let stored = hits(&opensearch, &namespace);
            assert_eq!(documents(&stored), kept.iter().collect::<Vec<_>>(), "{name}");
        }
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn a_bulk_that_is_too_large_is_cut() {
    let Some(opensearch) = with_template("OPENSEARCH_SMALL") else { return };
    for (name, way) in WAYS {
        let namespace = format!("cut_{name}");
        // Half a MB and more to a node that takes 100 KB, with a document among it that never fits.
        let text = |place: i64| "é\n".repeat(if place == 77 { 50_000 } else { 1500 });
        let events = many(&format!("cut-{name}"), 100, text);
        let mut kept = written(&events);
        kept.remove(77);
        for _ in 0..2 {
            let ferried = way("elasticsearch", &settings(&opensearch, &namespace), &events.event());
            let counts = (&account(&ferried)["sent"], &account(&ferried)["dropped"]);
            assert_eq!(counts, (&json!(99), &json!({ "oversize": 1 })), "{ferried:#?}");
            let stored = messages(&opensearch, &namespace);
            assert!(stored == kept, "{name}: {}", stored.len());
        }
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn a_node_without_room_gets_everything_when_there_is_room_again() {
    let Some(opensearch) = with_template("OPENSEARCH") else { return };
    for (name, way) in WAYS {
        let namespace = format!("full_{name}");
        let stream = format!("/logs-aws.lambda-{namespace}");
        put(&opensearch, &format!("/_data_stream{stream}"), &Value::Null);
        // As it does by itself when a disk is nearly full: 429 for each document.
        let block = |on: Value| json!({ "index.blocks.read_only_allow_delete": on });
        let blocks = format!("{stream}/_settings");
        put(&opensearch, &blocks, &block(true.into()));
        let events = many(&format!("full-{name}"), 30, |_| String::new());
        let ferried = thread::scope(|scope| {
            let sending = scope.spawn(|| way("elasticsearch", &settings(&opensearch, &namespace), &events.event()));
            thread::sleep(Duration::from_secs(2));
            assert_eq!(messages(&opensearch, &namespace), [""; 0]);
            put(&opensearch, &blocks, &block(Value::Null));
            sending.join().unwrap()
        });
        ferried.assert_good();
        assert!(account(&ferried)["retries"].as_u64() > Some(0), "{ferried:#?}");
        assert_eq!(messages(&opensearch, &namespace), written(&events));
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn what_somebody_has_to_mend_is_not_refused_for_good() {
    let Some(opensearch) = with_template("OPENSEARCH") else { return };
    // Nothing may make streams of these namespaces by itself.
    let own = json!({ "persistent": { "action.auto_create_index": "-*-aws.lambda-closed_*,+*" } });
    put(&opensearch, "/_cluster/settings", &own);
    for (name, way) in WAYS {
        let namespace = format!("closed_{name}");
        let stream = format!("/logs-aws.lambda-{namespace}");
        let events = many(&format!("closed-{name}"), 3, |_| String::new());
        let send = || way("elasticsearch", &settings(&opensearch, &namespace), &events.event());
        let ferried = send();
        assert_eq!(account(&ferried)["dropped"], json!({ "not_found": 3 }), "{ferried:#?}");
        put(&opensearch, &format!("/_data_stream{stream}"), &Value::Null);
        let blocks = format!("{stream}/_settings");
        put(&opensearch, &blocks, &json!({ "index.blocks.write": true }));
        let ferried = send();
        assert_eq!(account(&ferried)["dropped"], json!({ "unauthorized": 3 }), "{ferried:#?}");
        put(&opensearch, &blocks, &json!({ "index.blocks.write": null }));
        send().assert_good();
        assert_eq!(messages(&opensearch, &namespace), written(&events));
    }
}
