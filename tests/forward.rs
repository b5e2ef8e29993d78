//! Every source of events through the forwarder: what it is answered, what is sent, what is stored, what is sent again.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::pack::{batch, fixture, gzip, packed};
use common::s3::{Aws, s3_event};
use common::script::{Answer, Script, files, items};
use logferry::aws::{Client, Credentials, Places, Signer};
use logferry::delivery::{Http, HttpSettings, TransportError};
use logferry::env::Env;
use logferry::forwarder::{Forwarder, Invocation, Note, Outcome};
use logferry::ledger::Reason;
use logferry::model::{self, Timestamp};
use logferry::parcel::Parcel;
use logferry::request::{Destination, Request, Response, Weight};
use logferry::settings::Settings;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Seconds after the log events of `batch`.
const NOW: i64 = 1_795_165_340_000;

const KEY: &str = "0123456789abcdef0123456789abcdef";
const OTHER_KEY: &str = "fedcba9876543210fedcba9876543210";
const AWS_SECRET: &str = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY";
const AWS_TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLETOKEN";

const LOGS: &str = "/api/v2/logs";

type Pairs<'a> = &'a [(&'a str, &'a str)];

// === Kinesis ===

#[tokio::test(start_paused = true)]
async fn kinesis_starts_again_at_the_first_failure_and_nothing_behind_it_was_sent() {
    let script = Script::new(|request, _| Answer::status(if holds(request, "second") { 503 } else { 202 }));
    let mut forwarder = forwarder(&[], script);
    let event = kinesis(&[delivery(&["first"]), delivery(&["second"]), delivery(&["third"])]);
    let outcome = forward(&mut forwarder, &event).await;
    assert_eq!(reply(&outcome), json!({ "batchItemFailures": failures(["1", "2"]) }));
    assert_eq!(forwarder.transport.messages(), ["first"]);
    assert!(forwarder.transport.sent().iter().all(|sent| sent.items[0].message().unwrap() != "third"));
}

#[tokio::test(start_paused = true)]
async fn kinesis_is_never_asked_for_a_damaged_record_again() {
    for folder in [None, Some(folder("kinesis-damaged"))] {
        let mut forwarder = match &folder {
            None => forwarder(&[], Script::accepting()),
            Some(folder) => forwarder(&[("LOGFERRY_STORE", folder.to_str().unwrap())], Script::accepting()),
        };
        let half = gzip(batch(["whole", "half"]).as_bytes());
        let half = STANDARD.encode(&half[..half.len() - 20]);
        let other = STANDARD.encode(br#"{"order":1}"#);
        let data = [delivery(&["first"]), "aGVsbG8=".to_owned(), half.clone(), other.clone(), delivery(&["third"])];
        let event = kinesis(&data);
        let outcome = forward(&mut forwarder, &event).await;
        assert_eq!(reply(&outcome), json!({ "batchItemFailures": [] }));
        assert_eq!((outcome.ledger.damaged, outcome.failed()), (3, 0));
        let messages = forwarder.transport.messages();
        assert!(messages.starts_with(&["first".to_owned()]) && messages.ends_with(&["third".to_owned()]));
        let Some(folder) = folder else { continue };
        let damaged: Vec<_> = files(&folder).into_iter().map(|(key, content)| (key, json_of(&content))).collect();
        let mut payloads: Vec<_> = damaged.iter().map(|(_, json)| json["payload"].as_str().unwrap()).collect();
        payloads.sort_unstable();
        assert_eq!(payloads, [half.as_str(), "aGVsbG8=", &other]);
        assert!(damaged.iter().all(|(key, json)| key.starts_with("damaged/") && json["damaged"].is_string()));
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_store_kinesis_is_asked_for_nothing_again() {
    let folder = folder("kinesis-stored");
    let mut forwarder = forwarder(&[("LOGFERRY_STORE", folder.to_str().unwrap())], Script::new(|_, _| Answer::Never));
    let texts: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    let records: Vec<_> = texts.iter().map(|text| delivery(&[text])).collect();
    let start = Instant::now();
    let outcome = forward(&mut forwarder, &kinesis(&records)).await;
    assert!(start.elapsed() < LEFT, "{:?}", start.elapsed());
    assert_eq!(reply(&outcome), json!({ "batchItemFailures": [] }));
    assert_eq!(outcome.ledger.backends[0].stored, Weight { logs: 20, metrics: 0 });
    assert_eq!(files(&folder).len(), 20);
    // The others are not sent in vain, which isn't for want of time: there is some to store them.
    let notes = notes(&outcome);
    let why = "19 logs not delivered to https://http-intake.logs.datadoghq.com/api/v2/logs but stored (down): the backend did not take what came before in this invocation; find out why";
    assert!(notes.contains("1 log not delivered") && notes.contains(why) && !notes.contains("deadline"), "{notes}");
    assert_eq!(parcels(&folder).iter().filter(|(_, parcel)| parcel.reason == "down").count(), 19);
    let sent = forwarder.transport.sent();
    assert!(sent.iter().all(|sent| sent.items[0].message().unwrap() == "0"), "{}", sent.len());

    forwarder.transport.turn(|_, _| Answer::status(202));
    redrive(&mut forwarder, &json!(true)).await;
    let mut sent = forwarder.transport.messages();
    sent.sort_by_key(|message| message.parse::<u32>().unwrap());
    assert_eq!(sent, texts);
    assert_eq!(files(&folder).len(), 0);
}

// === Firehose ===

#[tokio::test(start_paused = true)]
async fn firehose_is_answered_every_record() {
    for (set, result) in [("ok", "Ok"), ("dropped", "Dropped")] {
        let script = Script::new(|request, _| {
            let refuses = |line| holds(request, line);
            Answer::status(if refuses("second") {
                503
            } else if refuses("fourth") {
                400
            } else {
                202
            })
        });
        let mut forwarder = forwarder(&[("LOGFERRY_FIREHOSE_RESULT", set)], script);
        let control = STANDARD.encode(gzip(fixture("control-message").as_bytes()));
        let lines = |line: &str| delivery(&[line]);
        let data = [lines("first"), lines("second"), "aGVsbG8=".to_owned(), control, lines("third"), lines("fourth")];
        let outcome = forward(&mut forwarder, &firehose(&data)).await;
        let answers = data.iter().enumerate().map(|(place, data)| {
            let id = format!("record-{place}");
            match (place, result) {
                // What is damaged or refused would be nowhere if Firehose dropped it.
                (1, _) | (2 | 5, "Dropped") => json!({ "recordId": id, "result": "ProcessingFailed" }),
                (_, "Ok") => json!({ "recordId": id, "result": "Ok", "data": data }),
                _ => json!({ "recordId": id, "result": "Dropped" }),
            }
        });
        assert_eq!(reply(&outcome), json!({ "records": answers.collect::<Vec<_>>() }));
        assert_eq!(forwarder.transport.messages(), ["first", "third"]);
        assert_eq!((outcome.ledger.damaged, outcome.ledger.control_messages), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_firehose_fits_whatever_came() {
    let mut forwarder = forwarder(&[], Script::accepting());
    let data: Vec<_> = (0..9).map(|number| STANDARD.encode(format!("{number}").repeat(600_000))).collect();
    let outcome = forward(&mut forwarder, &firehose(&data)).await;
    let reply = reply(&outcome);
    assert!(reply.to_string().len() < 6_000_000, "{}", reply.to_string().len());
    let records = reply["records"].as_array().unwrap();
    assert_eq!(records.len(), 9);
    assert!(records.iter().filter(|record| record["result"] == "Ok").count() >= 7);
    assert!(records.iter().all(|record| record["result"] == "Ok" || record["result"] == "ProcessingFailed"));
}

// === SQS ===

#[tokio::test]
async fn a_message_is_done_only_if_what_it_holds_is() {
    let aws = Aws::start();
    let url = format!("{}/123456789012/queue", aws.url());
    let store = [("LOGFERRY_STORE", url.as_str()), ("LOGFERRY_STORE_BUCKET", "s3://kept/here")];
    let stored = parcel_of(&["stored"]).await;
    let referred = parcel_of(&["referred"]).await;
    let noticed = parcel_of(&["noticed"]).await;
    let (referred_key, noticed_key) =
        ("pending/datadog/2026/11/20/09/1-a.json", "pending/datadog/2026/11/20/09/2-b.json");
    aws.put(&format!("/kept/here/{referred_key}"), &referred);
    aws.put(&format!("/kept/here/{noticed_key}"), &noticed);
    aws.put("/other/here/x.json", &parcel_of(&["another bucket's"]).await);
    let envelope = |payload: &Value| {
        json!({ "version": "1.0", "timestamp": "2026-11-20T09:02:14.000Z", "requestContext": { "condition": "RetriesExhausted" },
            "requestPayload": payload, "responseContext": { "statusCode": 200 } })
    };
    let of_lambda: Value = serde_json::from_str(&packed(batch(["failed before"]))).unwrap();
    let script = Script::new(|request, _| Answer::status(if holds(request, "busy") { 403 } else { 202 }));
    let mut forwarder = with_aws(&aws, &store, script);
    let busy = parcel_of(&["busy"]).await;
    let text = |json: &[u8]| String::from_utf8(json.to_vec()).unwrap();
    let event = sqs(&[
        ("stored", text(&stored)),
        ("reference", json!({ "logferry": 1, "key": referred_key }).to_string()),
        ("failed before", envelope(&of_lambda).to_string()),
        ("notice", s3_event("kept", &format!("here/{noticed_key}")).to_string()),
        ("another's notice", s3_event("other", "here/x.json").to_string()),
        ("test notice", json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "kept" }).to_string()),
        ("a wish", json!({ "awslogs": of_lambda["awslogs"] }).to_string()),
        ("nothing of ours", "hello".to_owned()),
        ("an envelope of nothing", envelope(&json!({ "detail": 7 })).to_string()),
        ("gone meanwhile", json!({ "logferry": 1, "key": "pending/datadog/2026/11/20/09/3-c.json" }).to_string()),
        ("busy", text(&busy)),
        ("newer", json!({ "logferry": 99, "backend": "datadog" }).to_string()),
    ]);
    let outcome = forward(&mut forwarder, &event).await;
    let failed = ["nothing of ours", "an envelope of nothing", "busy", "newer"];
    assert_eq!(reply(&outcome), json!({ "batchItemFailures": failures(failed) }), "{:?}", outcome.notes);
    let messages = forwarder.transport.messages();
    assert_eq!(messages, ["stored", "referred", "failed before", "noticed", "failed before"]);
    // Taken away only after its own acknowledgement.
    assert_eq!(aws.objects().into_keys().collect::<Vec<_>>(), ["/other/here/x.json"]);
}

/// Lambda's documentation asks for that: "stop processing messages after the first failure".
#[tokio::test(start_paused = true)]
async fn a_queue_that_keeps_the_order_stops_at_the_first_failure() {
    for (queue, failed, sent) in [("queue", vec!["b"], vec!["a", "c"]), ("queue.fifo", vec!["b", "c"], vec!["a"])] {
        let script = Script::new(|request, _| Answer::status(if holds(request, "b") { 503 } else { 202 }));
        let mut forwarder = forwarder(&[], script);
        let messages = ["a", "b", "c"].map(|id| (id, packed(batch([id]))));
        let mut event: Value = serde_json::from_str(&sqs(&messages)).unwrap();
        for message in event["Records"].as_array_mut().unwrap() {
            message["eventSourceARN"] = format!("arn:aws:sqs:eu-west-1:123456789012:{queue}").into();
        }
        let outcome = forward_within(&mut forwarder, &event.to_string(), NOW, Duration::from_hours(1)).await;
        assert_eq!(reply(&outcome), json!({ "batchItemFailures": failures(failed) }), "{queue}");
        assert_eq!(forwarder.transport.messages(), sent, "{queue}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_share_the_time_whatever_they_hold() {
    let folder = folder("messages-share");
    let pairs = [("LOGFERRY_STORE", folder.to_str().unwrap())];
    let mut forwarder = forwarder(&pairs, Script::new(|_, _| Answer::Never));
    let failed = |line: &str| {
        let payload: Value = serde_json::from_str(&packed(batch([line]))).unwrap();
        json!({ "version": "1.0", "requestContext": { "condition": "RetriesExhausted" }, "requestPayload": payload })
    };
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let messages = ids.map(|id| (id, failed(id).to_string()));
    let outcome = forward(&mut forwarder, &sqs(&messages)).await;
    assert_eq!(reply(&outcome), json!({ "batchItemFailures": [] }), "{}", notes(&outcome));
    assert_eq!((outcome.ledger.backends[0].stored.logs, files(&folder).len()), (8, 8));
    // The others were stored untried.
    assert!(forwarder.transport.sent().iter().all(|sent| sent.items[0].message().as_deref() == Some("a")));
}

#[tokio::test]
async fn what_a_queue_cannot_take_is_in_the_bucket() {
    let aws = Aws::start();
    let url = format!("{}/123456789012/queue", aws.url());
    let store = [("LOGFERRY_STORE", url.as_str()), ("LOGFERRY_DATADOG_COMPRESSION", "none")];
    let (small, large) = (delivery(&["small"]), delivery(&["large".repeat(180_000).as_str()]));
    for bucket in [false, true] {
        let bucket = [("LOGFERRY_STORE_BUCKET", "s3://kept")].into_iter().filter(|_| bucket).collect::<Vec<_>>();
        let mut forwarder = with_aws(&aws, &[&store[..], &bucket].concat(), Script::new(|_, _| Answer::status(403)));
        let outcome = forward(&mut forwarder, &kinesis(&[small.clone(), large.clone()])).await;
        if bucket.is_empty() {
            assert_eq!(reply(&outcome), json!({ "batchItemFailures": failures(["1"]) }));
            let says = outcome.notes.iter().any(|note| note.to_string().contains("names no bucket"));
            assert!(says, "{:?}", outcome.notes);
            continue;
        }
        assert_eq!(reply(&outcome), json!({ "batchItemFailures": [] }), "{:?}", outcome.notes);
        let (messages, objects) = (aws.messages(), aws.objects());
        assert_eq!((messages.len(), objects.len()), (3, 1));
        let key = json_of(messages[2].as_bytes())["key"].as_str().unwrap().to_owned();
        assert!(objects.contains_key(&format!("/kept/{key}")));
        forwarder.transport.turn(|_, _| Answer::status(202));
        let event = sqs(&[("a", messages[1].clone()), ("b", messages[2].clone())]);
        let outcome = forward(&mut forwarder, &event).await;
        assert_eq!(reply(&outcome), json!({ "batchItemFailures": [] }), "{:?}", outcome.notes);
        assert_eq!(forwarder.transport.messages(), ["small".to_owned(), "large".repeat(180_000)]);
        assert_eq!(aws.objects().len(), 0);
    }
}

#[tokio::test]
async fn what_a_queue_of_before_takes_no_more_is_in_the_bucket_too() {
    let aws = Aws::start();
    aws.longest_message(262_144);
    let url = format!("{}/123456789012/queue", aws.url());
    let store = [("LOGFERRY_STORE", url.as_str()), ("LOGFERRY_STORE_BUCKET", "s3://kept")];
    let store = [&store[..], &[("LOGFERRY_DATADOG_COMPRESSION", "none")]].concat();
    let mut forwarder = with_aws(&aws, &store, Script::new(|_, _| Answer::status(403)));
    let outcome = forward(&mut forwarder, &packed(batch(["large".repeat(80_000).as_str()]))).await;
    assert_eq!((outcome.failed(), outcome.ledger.backends[0].stored.logs), (0, 1), "{:?}", outcome.notes);
    let key = json_of(aws.messages()[0].as_bytes())["key"].as_str().unwrap().to_owned();
    assert_eq!(aws.objects().into_keys().collect::<Vec<_>>(), [format!("/kept/{key}")]);
}

#[tokio::test]
async fn what_a_message_refers_to_and_nobody_takes_is_left_to_the_queue() {
    let aws = Aws::start();
    let url = format!("{}/123456789012/queue", aws.url());
    let store =
        [("LOGFERRY_STORE", url.as_str()), ("LOGFERRY_STORE_BUCKET", "s3://kept"), ("LOGFERRY_REDRIVE_TRIES", "1")];
    let key = "pending/datadog/2026/11/20/09/1-a.json";
    let event = sqs(&[("a", json!({ "logferry": 1, "key": key }).to_string())]);
    let stored = parcel_of(&["stored"]).await;
    let gauge = parcel_of(&["MONITORING|1795165334|7|gauge|shop.queue|#shop:berlin"]).await;
    for (content, hours, said) in [
        (&stored[..], 0, "status 400"),
        (
            &gauge,
            20,
            "a stored request was left as it is: it is too old for the backend; the queue gives up its 1 metric for datadog",
        ),
        (b"{}", 0, "a stored request was left as it is: pending/datadog/2026/11/20/09/1-a.json is damaged"),
    ] {
        aws.put(&format!("/kept/{key}"), content);
        let mut forwarder = with_aws(&aws, &store, Script::new(|_, _| Answer::status(400)));
        let outcome = forward_at(&mut forwarder, &event, NOW + hours * 3_600_000).await;
        assert_eq!(reply(&outcome), json!({ "batchItemFailures": failures(["a"]) }));
        let notes = notes(&outcome);
        assert!(notes.contains(said) && !notes.contains("the store cannot be used"), "{notes}");
        assert_eq!(aws.objects().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn says_that_there_was_no_time_for_records() {
    let mut forwarder = forwarder(&[], Script::accepting());
    let messages: Vec<_> = ["a", "b"].map(|id| (id, packed(batch([id])))).into();
    for event in [kinesis(&[delivery(&["a"]), delivery(&["b"])]), sqs(&messages)] {
        let outcome = forward_within(&mut forwarder, &event, NOW, Duration::ZERO).await;
        assert_eq!(outcome.undone, 2);
        assert_eq!(outcome.notes, [Note::Late { records: 2 }]);
    }
}

#[tokio::test(start_paused = true)]
async fn leaves_records_alone_when_it_is_told_to_end() {
    let folder = folder("told-to-end");
    for (event, failed) in [
        (kinesis(&["a", "b", "c"].map(|id| delivery(&[id]))), vec!["1", "2"]),
        (sqs(&["a", "b", "c"].map(|id| (id, packed(batch([id]))))), vec!["b", "c"]),
    ] {
        let mut forwarder =
            forwarder(&[("LOGFERRY_STORE", folder.to_str().unwrap())], Script::new(|_, _| Answer::Never));
        let end = Instant::now() + Duration::from_secs(1);
        forwarder.transport.end_at(Some(end));
        let outcome = forward_within(&mut forwarder, &event, NOW, Duration::from_hours(1)).await;
        assert_eq!((Instant::now(), outcome.undone), (end, 2), "{}", notes(&outcome));
        // The first is stored.
        assert_eq!(reply(&outcome), json!({ "batchItemFailures": failures(failed) }));
    }
}

// === S3 ===

#[tokio::test]
async fn what_others_put_into_a_bucket_keeps_nothing_from_being_sent() {
    let aws = Aws::start();
    let stored = parcel_of(&["stored"]).await;
    let folder = "/kept/a=b/pending/datadog/2026/11/20/09";
    for name in ["0 & (1)+é.json", "1%20.json", "2.json"] {
        aws.put(&format!("{folder}/{name}"), if name == "2.json" { &stored } else { b"{}" });
    }
    let mut forwarder = with_aws(&aws, &[("LOGFERRY_STORE", "s3://kept/a=b")], Script::accepting());
    let outcome = redrive(&mut forwarder, &json!(true)).await;
    assert_eq!(forwarder.transport.messages(), ["stored"], "{}", notes(&outcome));
    let left = aws.objects();
    assert!(left.keys().all(|path| path.starts_with("/kept/a=b/damaged/")), "{:?}", left.keys());
    // Each byte that isn't plain is encoded: as it is, S3 signs it otherwise.
    let calls = aws.calls();
    assert!(
        calls.iter().any(|call| call.ends_with("/a%3Db/pending/datadog/2026/11/20/09/0%20%26%20%281%29%2B%C3%A9.json")),
        "{calls:?}"
    );
}

#[tokio::test]
async fn storing_in_a_bucket_twice_is_storing_once_and_its_notice_sends_it() {
    let aws = Aws::start();
    let mut forwarder =
        with_aws(&aws, &[("LOGFERRY_STORE", "s3://kept/a=b/here")], Script::new(|_, _| Answer::status(403)));
    for _ in 0..2 {
        let outcome = forward(&mut forwarder, &packed(batch(["one", "two"]))).await;
        assert_eq!((outcome.failed(), outcome.ledger.backends[0].stored.logs), (0, 2), "{:?}", outcome.notes);
    }
    let objects = aws.objects();
    assert_eq!(objects.len(), 1);
    let path = objects.keys().next().unwrap();
    let key = path.strip_prefix("/kept/").unwrap();
    assert!(key.starts_with("a=b/here/pending/datadog/2026/11/20/09/1795165334001-"), "{key}");
    assert_eq!(secrets_in(&objects[path]), [] as [&str; 0]);

    forwarder.transport.turn(|_, _| Answer::status(202));
    // Nothing of ours.
    let said = "S3 tells of objects in `other`, which is not the store: nothing of them was sent, as logs in buckets are not read; take the notification off the bucket, or name it in LOGFERRY_STORE";
    for (bucket, key, said) in
        [("other", key, said), ("kept", "a=b/here/damaged/x.json", ""), ("kept", "elsewhere/pending/x.json", "")]
    {
        let outcome = forward(&mut forwarder, &s3_event(bucket, key).to_string()).await;
        assert_eq!(notes(&outcome), said);
    }
    assert_eq!(forwarder.transport.sent().len(), 0);
    let outcome = forward(&mut forwarder, &s3_event("kept", &key.replace('=', "%3D")).to_string()).await;
    assert_eq!(outcome.redriven[0].sent.logs, 2);
    assert_eq!((forwarder.transport.messages(), aws.objects().len()), (vec!["one".into(), "two".into()], 0));
}

#[tokio::test]
async fn redrives_more_than_a_page_of_a_bucket_in_order() {
    let aws = Aws::start();
    let mut forwarder = with_aws(&aws, &[("LOGFERRY_STORE", "s3://kept")], Script::new(|_, _| Answer::status(403)));
    let texts: Vec<_> = (0..230).map(|number| format!("{number}")).collect();
    for text in texts.iter().rev() {
        let time = NOW - 1_000_000 + 1000 * text.parse::<i64>().unwrap();
        forward(&mut forwarder, &packed(batch_at(time, &[text]))).await;
    }
    assert_eq!(aws.objects().len(), 230);
    forwarder.transport.turn(|_, _| Answer::status(202));
    let outcome = redrive(&mut forwarder, &json!(true)).await;
    assert_eq!(outcome.redriven[0].requests, 230);
    assert_eq!((forwarder.transport.messages(), aws.objects().len()), (texts, 0));
}

#[tokio::test]
async fn what_aws_says_is_told_without_its_secrets() {
    let aws = Aws::start();
    let mut forwarder = with_aws(&aws, &[("LOGFERRY_STORE", "s3://kept")], Script::new(|_, _| Answer::status(403)));
    let said = format!(
        "<?xml version=\"1.0\"?>\n<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message><Token-0>{AWS_TOKEN}</Token-0></Error>"
    );
    aws.trouble(Some(common::server::Answer::with(400, &[], said.as_bytes())));
    let outcome = forward(&mut forwarder, &packed(batch(["one"]))).await;
    assert_eq!((outcome.failed(), outcome.ledger.backends[0].dropped[&Reason::Unauthorized].logs), (1, 1));
    let notes = notes(&outcome);
    assert!(notes.contains("s3 answers 400: ExpiredToken: The provided token has expired."), "{notes}");
    assert_eq!(secrets_in(format!("{notes} {outcome:?}").as_bytes()), [] as [&str; 0]);
}

// === redrive ===

#[tokio::test(start_paused = true)]
async fn redrives_the_oldest_first_and_as_much_as_is_wished_for() {
    const ALL: [&str; 6] = ["0", "1", "2", "3", "4", "5"];
    for (wish, expected) in [
        (json!(true), &ALL[..]),
        (json!({}), &ALL[..]),
        (json!({ "max": 2 }), &ALL[..2]),
        (json!({ "backend": "datadog:eu" }), &[]),
        (json!({ "backend": "datadog", "max": 100 }), &ALL[..]),
        // Each is ten minutes younger than the one before, the last of them a minute old.
        (json!({ "older_than": 30 * 60 }), &ALL[..3]),
        (json!({ "older_than": 86_400 }), &[]),
        (json!({ "prefix": "2026/11/20/08" }), &ALL[..5]),
        (json!({ "prefix": "2026/11/2" }), &ALL[..]),
        (json!({ "prefix": "2026/11/20/09/" }), &ALL[5..]),
        (json!({ "prefix": "2026/11/19" }), &[]),
        (json!({ "set_aside": true }), &[]),
    ] {
        let folder = folder("redrive-wish");
        let mut forwarder = unreachable_into(&folder, &[]);
        for text in ALL.iter().rev() {
            let time = NOW - 60_000 - 600_000 * (5 - text.parse::<i64>().unwrap());
            forward(&mut forwarder, &packed(batch_at(time, &[text]))).await;
        }
        forwarder.transport.turn(|_, _| Answer::status(202));
        redrive(&mut forwarder, &wish).await;
        assert_eq!(forwarder.transport.messages(), expected, "{wish}");
        assert_eq!(files(&folder).len(), ALL.len() - expected.len(), "{wish}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_setting_allows_is_redriven_at_once() {
    let folder = folder("redrive-max");
    let mut forwarder = unreachable_into(&folder, &[("LOGFERRY_REDRIVE_MAX", "2")]);
    for text in ["a", "b", "c", "d", "e"] {
        forward(&mut forwarder, &packed(batch([text]))).await;
    }
    forwarder.transport.turn(|_, _| Answer::status(202));
    for left in [3, 1, 0, 0] {
        redrive(&mut forwarder, &json!(true)).await;
        assert_eq!(files(&folder).len(), left);
    }
    assert_eq!(forwarder.transport.sent().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn storing_twice_is_storing_once() {
    let folder = folder("twice");
    let mut forwarder = unreachable_into(&folder, &[]);
    let event = packed(fixture("node-text"));
    let first = forward(&mut forwarder, &event).await;
    let once = files(&folder);
    // Lambda repeats it a minute later, in another sandbox.
    let mut other = unreachable_into(&folder, &[]);
    let second = forward_at(&mut other, &event, NOW + 60_000).await;
    assert_eq!(first.ledger.backends[0].stored, second.ledger.backends[0].stored);
    assert_eq!((once, first.ledger.backends[0].stored), (files(&folder), first.ledger.made));
}

#[tokio::test(start_paused = true)]
async fn what_looks_the_same_and_is_not_is_stored_by_itself() {
    let metric = "MONITORING|1795165334|1|count|shop.orders|#shop:berlin";
    // Two environments count one order each in the same second: no id tells their metrics apart.
    let folder = folder("look-the-same");
    let one = batch([metric]);
    let other = one.replace("15909c2fa6421cb147e9d82215066c24", "22be53a8cfde4e68b844f8ec293b2543");
    // Lambda repeats the second.
    for event in [&one, &other, &other] {
        forward(&mut unreachable_into(&folder, &[]), &packed(event)).await;
    }
    assert_eq!(parcels(&folder).iter().map(|(_, parcel)| parcel.weight().metrics).collect::<Vec<_>>(), [1, 1]);

    // One environment counts two in the same millisecond, and the intake takes neither.
    let folder = crate::folder("look-the-same-in-one");
    let pairs = [
        ("LOGFERRY_BACKENDS", "splunk"),
        ("SPLUNK_HEC_URL", "https://splunk.example.com"),
        ("SPLUNK_HEC_TOKEN", "0123456789abcdef"),
        ("LOGFERRY_STORE", folder.to_str().unwrap()),
    ];
    for _ in 0..2 {
        let mut too_large = forwarder(&pairs, Script::new(|_, _| Answer::status(413)));
        let outcome = forward(&mut too_large, &packed(batch([metric, metric]))).await;
        assert_eq!(outcome.ledger.backends[0].dropped[&Reason::Oversize].metrics, 2);
    }
    assert_eq!(parcels(&folder).iter().map(|(_, parcel)| parcel.weight().metrics).collect::<Vec<_>>(), [1, 1]);

    // A redrive that takes a request apart keeps both, too.
    let mut stored = forwarder(&pairs, Script::new(|_, _| Answer::status(503)));
    forward(&mut stored, &packed(batch([metric, metric, "a log"]))).await;
    stored.transport.turn(|request, _| match request.weight() {
        weight if weight.logs > 0 && weight.metrics == 0 => Answer::status(200),
        _ => Answer::status(413),
    });
    redrive(&mut stored, &json!(true)).await;
    let metrics: u64 = parcels(&folder).iter().map(|(_, parcel)| parcel.weight().metrics).sum();
    assert_eq!(metrics, 4);
}

#[tokio::test(start_paused = true)]
async fn nothing_leaves_the_store_before_its_own_acknowledgement() {
    let folder = folder("own-acknowledgement");
    let mut forwarder = unreachable_into(&folder, &[]);
    for text in ["good", "bad", "fine"] {
        forward(&mut forwarder, &packed(batch_at(NOW - 9000 + 10 * i64::from(text.as_bytes()[0]), &[text]))).await;
    }
    // b, f, g: the first is refused, which says nothing of the others.
    forwarder.transport.turn(|request, _| Answer::status(if holds(request, "bad") { 404 } else { 202 }));
    let outcome = redrive(&mut forwarder, &json!(true)).await;
    assert_eq!(forwarder.transport.messages(), ["fine", "good"]);
    let left: Vec<_> = parcels(&folder).into_iter().map(|(_, parcel)| (parcel.tries, parcel.reason)).collect();
    assert_eq!(left, [(1, "not_found".to_owned())]);
    assert_eq!((outcome.redriven[0].sent.logs, outcome.redriven[0].left.logs, outcome.failed()), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn only_what_was_not_taken_of_a_request_stays() {
    let folder = folder("pieces");
    let mut forwarder = unreachable_into(&folder, &[]);
    let texts: Vec<_> = (0..8).map(|number| format!("text {number}")).collect();
    forward(&mut forwarder, &packed(batch(texts.iter().map(String::as_str)))).await;
    assert_eq!(files(&folder).len(), 1);
    // Cut down to pairs, of which one is too large even so, one malformed, and the last two have no time.
    forwarder.transport.turn(|request, _| match () {
        () if holds(request, "text 7") && request.items.len() == 2 => Answer::refused(),
        () if request.items.len() > 2 => Answer::status(413),
        () if holds(request, "text 1") => Answer::status(413),
        () if holds(request, "text 2") => Answer::status(400),
        () => Answer::status(202),
    });
    let outcome = redrive(&mut forwarder, &json!(true)).await;
    assert_eq!(forwarder.transport.messages(), ["text 0", "text 3", "text 4", "text 5"]);
    let left = parcels(&folder);
    let found: Vec<_> = left
        .iter()
        .map(|(key, parcel)| (key.split('/').next().unwrap(), parcel.reason.as_str(), parcel.weight().logs))
        .collect();
    let expected = [("pending", "unreachable", 2), ("set-aside", "oversize", 1), ("set-aside", "refused", 1)];
    assert_eq!(sorted(found), expected);
    let redriven = &outcome.redriven[0];
    assert_eq!((redriven.sent.logs, redriven.left.logs, redriven.set_aside.logs), (4, 2, 2));

    forwarder.transport.turn(|_, _| Answer::status(202));
    redrive(&mut forwarder, &json!(true)).await;
    assert_eq!(forwarder.transport.messages(), ["text 6", "text 7"]);
    redrive(&mut forwarder, &json!({ "set_aside": true })).await;
    assert_eq!(sorted(forwarder.transport.messages()), ["text 1", "text 2", "text 6", "text 7"]);
    assert_eq!(files(&folder).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn single_items_that_are_refused_are_set_aside_and_the_rest_is_sent() {
    let folder = folder("refused-items");
    let settings = [
        ("LOGFERRY_BACKENDS", "elasticsearch"),
        ("ELASTICSEARCH_URL", "https://es.example.com"),
        ("LOGFERRY_STORE", folder.to_str().unwrap()),
    ];
    let verdicts = |first: u16, third: u16| {
        let item = |status: u16| match status {
            201 => json!({ "create": { "status": 201 } }),
            _ => json!({ "create": { "status": status, "error": { "type": "bad", "reason": "field [n]" } } }),
        };
        json!({ "errors": true, "items": [item(first), item(201), item(third), item(201)] }).to_string()
    };
    let mut forwarder = forwarder(
        &settings,
        Script::new(move |request, _| match request.items.len() {
            4 => Answer::with(200, verdicts(400, 503).as_bytes()),
            _ => Answer::with(200, br#"{"errors":false,"items":[{"create":{"status":201}}]}"#),
        }),
    );
    let outcome = forward(&mut forwarder, &packed(batch(["bad", "good", "late", "fine"]))).await;
    let account = &outcome.ledger.backends[0];
    assert_eq!((account.sent.logs, account.stored.logs, account.dropped[&Reason::Refused].logs), (3, 0, 1));
    assert_eq!(outcome.failed(), 0);
    let said = notes(&outcome);
    assert!(said.contains(", set aside (refused): status 400 bad: field [n]; "), "{said}");
    let (key, parcel) = parcels(&folder).remove(0);
    assert!(key.starts_with("set-aside/elasticsearch/"), "{key}");
    assert_eq!((parcels(&folder).len(), parcel.count(), parcel.weight().logs), (1, 1, 1));
    assert_eq!((parcel.reason.as_str(), parcel.said.as_str()), ("refused", "status 400 bad: field [n]"));

    // Somebody has mended the mapping.
    let answer = r#"{"errors":false,"items":[{"create":{"status":201}}]}"#;
    forwarder.transport.turn(|_, _| Answer::with(200, answer.as_bytes()));
    redrive(&mut forwarder, &json!({ "set_aside": true })).await;
    let sent = forwarder.transport.taken();
    assert_eq!((sent.len(), files(&folder).len()), (1, 0));
    assert!(sent[0].bytes.windows(3).any(|text| text == b"bad"));
}

#[tokio::test(start_paused = true)]
async fn pieces_that_stand_for_nothing_are_sent_once_too() {
    let folder = folder("no-weight");
    let histogram = "MONITORING|1795165334|7|histogram|shop.basket|#shop:berlin";
    let mut forwarder = unreachable_into(&folder, &[("LOGFERRY_DATADOG_METRICS", "aggregates")]);
    // Average, count and so on, of which one stands for the metric: those without it are a request of their own.
    forwarder.transport.turn(|request, _| Answer::status(if request.items.len() > 3 { 413 } else { 403 }));
    forward(&mut forwarder, &packed(batch([histogram]))).await;
    let weights: Vec<_> = parcels(&folder).iter().map(|(_, parcel)| parcel.weight().metrics).collect();
    assert_eq!(sorted(weights), [0, 1]);
    // Some item of both is refused, and the rest of them taken.
    forwarder.transport.turn(|request, _| match request.items.len() {
        3 => Answer::status(400),
        1 => Answer::status(404),
        _ => Answer::status(202),
    });
    redrive(&mut forwarder, &json!(true)).await;
    let mut taken = forwarder.transport.taken();
    forwarder.transport.turn(|_, _| Answer::status(202));
    for wish in [json!(true), json!({ "set_aside": true })] {
        redrive(&mut forwarder, &wish).await;
    }
    taken.extend(forwarder.transport.taken());
    assert_eq!((taken.len(), files(&folder).len()), (6, 0));
    taken.sort();
    taken.dedup();
    assert_eq!(taken.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_metric_that_is_not_sent_fails_the_invocation_too() {
    let pairs = [
        ("LOGFERRY_BACKENDS", "prometheus"),
        ("LOGFERRY_PROMETHEUS_URL", "https://vm.example.com"),
        ("LOGFERRY_PROMETHEUS_TEMPORALITY", "delta"),
    ];
    // The first half of the lines is taken: the metric counts as sent.
    let script = Script::new(|request, before| {
        Answer::status(match (before, request.weight().metrics) {
            (0, _) => 413,
            (_, 0) => 403,
            _ => 204,
        })
    });
    let mut forwarder = forwarder(&pairs, script);
    let histogram = "MONITORING|1795165334|7|histogram|shop.basket|#shop:berlin";
    let outcome = forward(&mut forwarder, &packed(batch([histogram]))).await;
    assert_eq!((outcome.ledger.backends[0].sent.metrics, outcome.failed()), (1, 1));
    assert!(notes(&outcome).contains("parts of metrics not delivered to https://vm"), "{}", notes(&outcome));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_again_and_again_is_set_aside_with_the_reason() {
    let folder = folder("poison");
    let mut forwarder = unreachable_into(&folder, &[("LOGFERRY_REDRIVE_TRIES", "3")]);
    forward(&mut forwarder, &packed(batch(["poison"]))).await;
    forwarder.transport.turn(|_, _| Answer::with(422, b"no such thing"));
    for tries in [1, 2] {
        let outcome = redrive(&mut forwarder, &json!(true)).await;
        assert_eq!((outcome.redriven[0].left.logs, outcome.redriven[0].set_aside.logs), (1, 0));
        let (key, parcel) = parcels(&folder).remove(0);
        assert!(key.starts_with("pending/"), "{key}");
        assert_eq!(parcel.tries, tries);
    }
    let outcome = redrive(&mut forwarder, &json!(true)).await;
    assert_eq!((outcome.redriven[0].left.logs, outcome.redriven[0].set_aside.logs), (0, 1));
    let (key, parcel) = parcels(&folder).remove(0);
    assert!(key.starts_with("set-aside/datadog/2026/11/20/09/"), "{key}");
    assert_eq!((parcel.tries, parcel.reason.as_str()), (3, "refused"));
    assert_eq!(parcel.said, "status 422: no such thing");
    assert_eq!(redrive(&mut forwarder, &json!(true)).await.redriven, []);

    forwarder.transport.turn(|_, _| Answer::status(202));
    redrive(&mut forwarder, &json!({ "set_aside": true })).await;
    assert_eq!((forwarder.transport.messages(), files(&folder).len()), (vec!["poison".to_owned()], 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_found_waits_until_the_owner_has_mended_it() {
    let to = Some("https://status.example.com/login".to_owned());
    for (status, body, location, said) in [
        (404, "no such index", None, "status 404: no such index; check the address"),
        (
            400,
            "unsupported path requested: \"/x\"",
            None,
            "status 400: unsupported path requested: \"/x\"; check the address",
        ),
        (405, "Not Allowed", None, "status 405: Not Allowed; check the address"),
        (200, " \n<!DOCTYPE html>log in", None, "status 200 with a web page: <!DOCTYPE html>log in; check the address"),
        (202, "<HTML lang=en>", None, "status 202 with a web page: <HTML lang=en>; check the address"),
        (
            202,
            "\u{feff}<!doctype HTML>",
            None,
            "status 202 with a web page: \u{feff}<!doctype HTML>; check the address",
        ),
        (308, "", to, "status 308, a redirect to https://status.example.com/login; check the address"),
        (407, "", None, "status 407, of a proxy that wants a user and a password; let HTTP_PROXY hold the right ones"),
        (407, "no", None, "status 407, of a proxy that wants a user and a password: no; let HTTP_PROXY hold"),
    ] {
        let folder = folder(&format!("not-found-{status}"));
        let pairs = [("LOGFERRY_STORE", folder.to_str().unwrap())];
        let response = Response { status, body: body.into(), location, ..Response::default() };
        let missing = || {
            let response = response.clone();
            Script::new(move |_, _| Answer::Response(response.clone(), Duration::ZERO))
        };
        let event = packed(batch(["a"]));
        let mut mended = forwarder(&pairs, missing());
        let outcome = forward(&mut mended, &event).await;
        assert_eq!((outcome.ledger.backends[0].stored.logs, outcome.failed()), (1, 0));
        let expected = format!("(not_found): {said}");
        assert!(notes(&outcome).contains(&expected), "{}", notes(&outcome));
        let (key, parcel) = parcels(&folder).remove(0);
        assert!(key.starts_with("pending/"), "{key}");
        assert_eq!((parcel.tries, parcel.reason.as_str()), (0, "not_found"));
        for _ in 0..5 {
            let outcome = redrive(&mut mended, &json!(true)).await;
            assert_eq!((outcome.redriven[0].left.logs, parcels(&folder)[0].1.tries), (1, 0), "{}", notes(&outcome));
        }
        mended.transport.turn(|_, _| Answer::status(202));
        redrive(&mut mended, &json!(true)).await;
        assert_eq!((mended.transport.messages(), files(&folder).len()), (vec!["a".to_owned()], 0));
        // Without a store, Lambda repeats it.
        let outcome = forward(&mut forwarder(&[], missing()), &event).await;
        assert_eq!((outcome.ledger.backends[0].dropped[&Reason::NotFound].logs, outcome.failed()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_for_datadog_is_set_aside_and_not_sent() {
    const MONITORING: &str = "MONITORING|1795165334|7|gauge|shop.queue|#shop:berlin";
    const CHECK: &str = "MONITORING|1795165334|0|check|shop.check|#shop:berlin";
    let report = "REPORT RequestId: 1ab9290b-5e02-46d5-9200-24a514aa506d\tDuration: 46.84 ms\tBilled Duration: 47 ms\tMemory Size: 192 MB\tMax Memory Used: 72 MB\t\n";
    let (minute, hour) = (60_000, 3_600_000);
    for (after, gone) in [
        (9 * minute, &[][..]),
        (11 * minute, &["check_run"]),
        (61 * minute, &["check_run", "distribution_points", "series"]),
        (17 * hour, &["check_run", "distribution_points", "series"]),
        (190 * hour, &["check_run", "distribution_points", "series"]),
    ] {
        let folder = folder("too-old");
        let mut forwarder = unreachable_into(&folder, &[]);
        let outcome = forward(&mut forwarder, &packed(batch([MONITORING, CHECK, report, "a line"]))).await;
        assert_eq!(outcome.ledger.backends[0].stored, outcome.ledger.made);
        assert_eq!(files(&folder).len(), 4, "logs, distributions, series, checks");
        forwarder.transport.turn(|_, _| Answer::status(202));
        let event = json!({ "redrive": true }).to_string();
        let outcome = forward_at(&mut forwarder, &event, NOW + after).await;
        let sent = forwarder.transport.sent();
        let sent: Vec<_> = sent.iter().map(|sent| sent.url.rsplit('/').next().unwrap()).collect();
        let all = ["check_run", "distribution_points", "logs", "series"];
        assert_eq!(sorted(sent), all.into_iter().filter(|name| !gone.contains(name)).collect::<Vec<_>>(), "{after}");
        let aside = parcels(&folder);
        assert_eq!(aside.len(), gone.len());
        assert!(aside.iter().all(|(key, parcel)| key.starts_with("set-aside/") && parcel.reason == "too_old"));
        let redriven = &outcome.redriven[0];
        assert_eq!(redriven.requests, 4);
        assert_eq!(redriven.set_aside, aside.iter().map(|(_, parcel)| parcel.weight()).sum());
        // Whoever asks for it gets it sent all the same.
        let event = json!({ "redrive": { "set_aside": true } }).to_string();
        forward_at(&mut forwarder, &event, NOW + after).await;
        assert_eq!((forwarder.transport.sent().len(), files(&folder).len()), (4, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_down_is_left_alone_and_does_not_hold_up_another() {
    for answer in [Answer::refused(), Answer::Never, Answer::status(503), Answer::status(403), Answer::status(404)] {
        let folder = folder("down");
        let mut forwarder = unreachable_into(&folder, &two_backends());
        for text in ["a", "b", "c", "d", "e"] {
            forward(&mut forwarder, &packed(batch([text]))).await;
        }
        assert_eq!(files(&folder).len(), 10);
        forwarder.transport.turn(move |request, _| {
            if url(request).contains("eu.example.com") { Answer::status(202) } else { answer.clone() }
        });
        let start = Instant::now();
        let outcome = redrive(&mut forwarder, &json!(true)).await;
        assert!(start.elapsed() <= Duration::from_secs(40), "{:?}", start.elapsed());
        assert_eq!(sorted(forwarder.transport.messages()), ["a", "b", "c", "d", "e"]);
        let down = forwarder.transport.sent().into_iter().filter(|sent| !sent.url.contains("eu.example.com"));
        let mut asked = sorted(down.map(|sent| sent.items[0].message().unwrap()).collect());
        asked.dedup();
        // A look at two more.
        assert_eq!(asked.len(), 3, "{asked:?}");
        let left = parcels(&folder);
        assert_eq!(left.len(), 5);
        assert!(left.iter().all(|(_, parcel)| parcel.backend == "datadog" && parcel.tries == 0));
        assert_eq!(outcome.failed(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_never_answered_well_does_not_hold_up_what_is_behind_it() {
    for (name, answer) in [
        ("stuck-busy", Answer::status(500)),
        ("stuck-never", Answer::Never),
        ("stuck-unauthorized", Answer::status(403)),
        ("stuck-not-found", Answer::status(404)),
    ] {
        let folder = folder(name);
        let mut forwarder = unreachable_into(&folder, &[("LOGFERRY_REDRIVE_TRIES", "3")]);
        let mut tries = Vec::new();
        for round in 0..4 {
            forwarder.transport.turn(|_, _| Answer::refused());
            // The poison is the oldest.
            let texts: &[&str] =
                if round == 0 { &["poison", "more poison", "yet more poison", "a", "b"] } else { &["c", "d"] };
            for (later, text) in (0..).step_by(300).zip(texts) {
                forward(&mut forwarder, &packed(batch_at(NOW - 9000 + 2000 * round + later, &[text]))).await;
            }
            let answer = answer.clone();
            forwarder
                .transport
                .turn(move |request, _| if holds(request, "poison") { answer.clone() } else { Answer::status(202) });
            let outcome = redrive(&mut forwarder, &json!(true)).await;
            let expected: &[&str] = if round == 0 { &["a", "b"] } else { &["c", "d"] };
            assert_eq!(sorted(forwarder.transport.messages()), expected, "{name} {round}");
            let redriven = &outcome.redriven[0];
            tries.push((redriven.left.logs, redriven.set_aside.logs));
            let said = notes(&outcome).contains("3 logs set aside and not sent: the backend has not taken it again");
            assert_eq!(said, round == 2, "{name} {round}: {}", notes(&outcome));
        }
        assert_eq!(tries, [(3, 0), (3, 0), (0, 3), (0, 0)], "{name}");
        let aside = parcels(&folder);
        assert!(aside.iter().all(|(key, parcel)| key.starts_with("set-aside/") && parcel.tries == 3), "{aside:?}");
        assert_eq!(aside.len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn an_intake_that_is_down_does_not_hold_up_another_of_its_backend() {
    for status in [403, 503] {
        let folder = folder("intakes");
        let mut forwarder = unreachable_into(&folder, &[]);
        for number in 0..20 {
            let lines = [&format!("log {number}"), "MONITORING|1795165334|1|count|orders|#a:b"];
            forward(&mut forwarder, &packed(batch_at(NOW - 9000 + number, &lines))).await;
        }
        assert_eq!(files(&folder).len(), 40);
        forwarder.transport.turn(move |request, _| match request.route {
            "logs" => Answer::status(status),
            _ => Answer::status(202),
        });
        let outcome = redrive(&mut forwarder, &json!(true)).await;
        assert_eq!(outcome.redriven[0].sent, Weight { logs: 0, metrics: 20 });
        let left = parcels(&folder);
        assert_eq!(left.len(), 20);
        assert!(left.iter().all(|(_, parcel)| (parcel.route.as_str(), parcel.tries) == ("logs", 0)));
        let asked = forwarder.transport.sent().into_iter().filter_map(|sent| sent.items[0].message());
        assert_eq!(asked.collect::<BTreeSet<_>>().len(), 3);
        forwarder.transport.turn(|_, _| Answer::status(202));
        redrive(&mut forwarder, &json!(true)).await;
        assert_eq!(files(&folder).len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_redrive_says_why_something_stays_and_the_store_does_too() {
    let folder = folder("says-why");
    let mut forwarder = unreachable_into(&folder, &[]);
    forward(&mut forwarder, &packed(batch(["a"]))).await;
    for (status, expected) in [
        (
            403,
            "1 log not delivered to {}, still stored (unauthorized): status 403: no; check the key, user or token, and that it is one for this address",
        ),
        (
            500,
            "1 log not delivered to {}, still stored (busy): status 500: no; the intake is overloaded or limits the rate",
        ),
        (
            404,
            "1 log not delivered to {}, still stored (not_found): status 404: no; check the address, and that the index or whatever it names is there",
        ),
    ] {
        forwarder.transport.turn(move |_, _| Answer::with(status, b"no"));
        let outcome = redrive(&mut forwarder, &json!(true)).await;
        let expected = expected.replace("{}", "https://http-intake.logs.datadoghq.com/api/v2/logs");
        assert_eq!((notes(&outcome), outcome.failed()), (format!("datadog: {expected}"), 0));
        let (_, parcel) = parcels(&folder).remove(0);
        assert_eq!(parcel.said, format!("status {status}: no"));
        assert!(expected.contains(&format!("({})", parcel.reason)), "{}", parcel.reason);
    }
    // That there was no time is no answer.
    let event = json!({ "redrive": true }).to_string();
    forwarder.transport.turn(|_, _| Answer::status(202));
    forward_within(&mut forwarder, &event, NOW, Duration::ZERO).await;
    assert_eq!(parcels(&folder)[0].1.said, "status 404: no");
    // However late it is: a log is given the oldest time that Datadog takes.
    let late = forward_at(&mut forwarder, &event, NOW + 190 * 3_600_000).await;
    assert_eq!((notes(&late).as_str(), late.redriven[0].sent.logs), ("", 1));
    let log = json_of(&forwarder.transport.sent().pop().unwrap().items[0].bytes);
    assert_eq!(log["timestamp"], NOW + 190 * 3_600_000 - (18 * 60 - 5) * 60_000);
    assert!(log["original_timestamp"].as_i64().unwrap() <= NOW, "{log}");
}

#[tokio::test]
async fn a_notice_of_s3_does_not_cause_another_while_the_intake_is_down() {
    let aws = Aws::start();
    let mut forwarder = with_aws(&aws, &[("LOGFERRY_STORE", "s3://kept")], Script::new(|_, _| Answer::status(403)));
    forward(&mut forwarder, &packed(batch(["a"]))).await;
    let puts = |aws: &Aws| aws.calls().iter().filter(|call| call.starts_with("PUT")).count();
    let key = aws.objects().keys().next().unwrap().trim_start_matches("/kept/").to_owned();
    for status in [401, 403] {
        // Each answer differs from the one before.
        forwarder.transport.turn(move |_, _| Answer::with(status, b"request 8edab1f8"));
        let outcome = forward(&mut forwarder, &s3_event("kept", &key).to_string()).await;
        assert!(notes(&outcome).contains("still stored (unauthorized)"), "{}", notes(&outcome));
    }
    assert_eq!(puts(&aws), 1);
    redrive(&mut forwarder, &json!(true)).await;
    redrive(&mut forwarder, &json!(true)).await;
    assert_eq!(puts(&aws), 2);
    // However often one comes, it isn't a try of its own.
    forwarder.transport.turn(|_, _| Answer::status(422));
    for _ in 0..9 {
        let outcome = forward(&mut forwarder, &s3_event("kept", &key).to_string()).await;
        assert!(notes(&outcome).contains("still stored (refused)"), "{}", notes(&outcome));
    }
    assert_eq!((puts(&aws), aws.objects().len()), (2, 1));
}

#[tokio::test]
async fn a_notice_of_what_cannot_be_read_or_sent_is_not_done() {
    let aws = Aws::start();
    let mut forwarder = with_aws(&aws, &[("LOGFERRY_STORE", "s3://kept")], Script::new(|_, _| Answer::status(403)));
    forward(&mut forwarder, &packed(batch(["a"]))).await;
    let key = aws.objects().keys().next().unwrap().trim_start_matches("/kept/").to_owned();
    let notice = s3_event("kept", &key).to_string();
    let queued = sqs(&[("n", notice.clone())]);
    // Another one will come, of the schedule: nothing has to be invoked again.
    assert_eq!(forward(&mut forwarder, &notice).await.failed(), 0);
    assert_eq!(reply(&forward(&mut forwarder, &queued).await), json!({ "batchItemFailures": failures(["n"]) }));
    aws.trouble(Some(common::server::Answer::status(403)));
    let outcome = forward(&mut forwarder, &notice).await;
    assert!(outcome.failed() > 0 && notes(&outcome).starts_with("the store cannot be used"), "{}", notes(&outcome));
    assert_eq!(reply(&forward(&mut forwarder, &queued).await), json!({ "batchItemFailures": failures(["n"]) }));
    // A bucket that isn't there isn't an object that somebody else has sent.
    let no_bucket = b"<Error><Code>NoSuchBucket</Code><BucketName>kept</BucketName></Error>";
    aws.trouble(Some(common::server::Answer::with(404, &[], no_bucket)));
    assert!(notes(&forward(&mut forwarder, &notice).await).contains("NoSuchBucket"));
    assert_eq!(reply(&forward(&mut forwarder, &queued).await), json!({ "batchItemFailures": failures(["n"]) }));
    aws.trouble(None);
    forwarder.transport.turn(|_, _| Answer::status(202));
    assert_eq!(reply(&forward(&mut forwarder, &queued).await), json!({ "batchItemFailures": [] }));
    assert_eq!((forwarder.transport.messages(), aws.objects().len()), (vec!["a".to_owned()], 0));
}

#[tokio::test]
async fn a_wish_for_a_backend_that_is_not_there_is_said() {
    let folder = folder("not-there");
    let mut forwarder = unreachable_into(&folder, &two_backends());
    let outcome = redrive(&mut forwarder, &json!({ "backend": "datadog:us" })).await;
    let expected = "there is no backend `datadog:us`: LOGFERRY_BACKENDS names datadog, datadog:eu";
    assert_eq!((notes(&outcome).as_str(), outcome.failed()), (expected, 0));
    assert_eq!(outcome.reply.to_json(), json!({ "redrive": [], "notes": [expected] }));
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_a_redrive_is_answered() {
    let folder = folder("answered");
    let mut forwarder = unreachable_into(&folder, &[]);
    forward(&mut forwarder, &packed(batch(["a"]))).await;
    let answer = |requests: u64, sent: u64, left: u64| json!([{ "backend": "datadog", "requests": requests, "sent": sent, "left": left, "set_aside": 0, "dropped": 0, "damaged": 0, "requests_left": left }]);
    forwarder.transport.turn(|_, _| Answer::with(403, b"no"));
    let said = redrive(&mut forwarder, &json!(true)).await.reply.to_json();
    assert_eq!(said["redrive"], answer(1, 0, 1));
    assert!(said["notes"][0].as_str().unwrap().contains("still stored (unauthorized): status 403: no"), "{said}");
    forwarder.transport.turn(|_, _| Answer::status(202));
    let said = redrive(&mut forwarder, &json!(true)).await.reply.to_json();
    assert_eq!(said, json!({ "redrive": answer(1, 1, 0) }));
    let said = redrive(&mut forwarder, &json!(true)).await.reply.to_json();
    assert_eq!(said, json!({ "redrive": [] }));
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_an_intake_that_hangs_is_stored_while_there_is_time() {
    let lines: Vec<_> = (0..30_000).map(|number| format!("{number}")).collect();
    let event = packed(batch(lines.iter().map(String::as_str)));
    for (name, pairs, tried) in [
        ("datadog", &[("LOGFERRY_BACKENDS", "datadog")][..], 4),
        ("loki", &[("LOGFERRY_BACKENDS", "loki"), ("LOKI_URL", "http://loki.example.com")], 1),
    ] {
        for answer in [Answer::Never, Answer::status(503)] {
            let folder = folder(&format!("hangs-{name}"));
            let mut pairs = pairs.to_vec();
            pairs.push(("LOGFERRY_STORE", folder.to_str().unwrap()));
            let mut forwarder = forwarder(&pairs, Script::new(move |_, _| answer.clone()));
            let start = Instant::now();
            let outcome = forward(&mut forwarder, &event).await;
            let took = start.elapsed();
            assert_eq!((outcome.failed(), outcome.ledger.backends[0].stored.logs), (0, 30_000), "{name}");
            let mut sent: Vec<_> = forwarder.transport.sent().iter().map(|sent| sent.items[0].bytes.clone()).collect();
            sent.dedup();
            assert_eq!(sent.iter().collect::<BTreeSet<_>>().len(), tried, "{name}");
            assert!(took < Duration::from_secs(31), "{name} {took:?}");
            // Once it is well, all of it arrives.
            forwarder.transport.turn(|_, _| Answer::status(204));
            let redriven = redrive(&mut forwarder, &json!(true)).await.redriven.remove(0);
            assert_eq!((redriven.sent.logs, files(&folder).len()), (30_000, 0), "{name}");
        }
    }
}

/// The bodies that wait for the one are more than are held.
#[tokio::test(start_paused = true)]
async fn an_intake_that_hangs_keeps_nothing_from_one_that_is_well() {
    let folder = folder("starves");
    let pairs = [
        ("LOGFERRY_BACKENDS", "datadog,otlp"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example.com"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("LOGFERRY_STORE", folder.to_str().unwrap()),
    ];
    let script =
        Script::new(|request, _| if url(request).ends_with("/v1/logs") { Answer::Never } else { Answer::status(202) });
    let mut forwarder = forwarder(&pairs, script);
    let line = "x".repeat(900_000);
    let outcome = forward(&mut forwarder, &packed(batch([line.as_str(); 30]))).await;
    let [datadog, otlp] = &outcome.ledger.backends[..] else { panic!("{:?}", outcome.ledger) };
    assert_eq!((datadog.sent.logs, otlp.stored.logs, outcome.failed()), (30, 30, 0), "{}", notes(&outcome));
}

#[tokio::test(start_paused = true)]
async fn what_there_is_no_time_to_read_is_asked_for_again() {
    let mut forwarder = forwarder(&[], Script::accepting());
    let outcome = forward_within(&mut forwarder, &packed(batch(["a"])), NOW, Duration::ZERO).await;
    let said = "no time was left to read a delivery of /aws/lambda/checkout to its end, and it is asked for again; 0 of its log events were read: raise the function's timeout or memory";
    assert_eq!((notes(&outcome).as_str(), outcome.failed(), outcome.ledger.received), (said, 1, 0));
    let outcome = forward_within(&mut forwarder, &kinesis(&[delivery(&["a"])]), NOW, Duration::ZERO).await;
    assert_eq!(reply(&outcome), json!({ "batchItemFailures": failures(["0"]) }));
}

#[tokio::test(start_paused = true)]
async fn what_an_intake_says_of_what_it_has_taken_is_told_and_loses_nothing() {
    let folder = folder("warned");
    let said = format!(r#"{{"errors":["key {KEY}: a tag was cut"]}}"#);
    let warning = "datadog: https://http-intake.logs.datadoghq.com/api/v2/logs has taken all of a request, and says: key ***: a tag was cut";
    let mut forwarder = unreachable_into(&folder, &[]);
    forward(&mut forwarder, &packed(batch(["a"]))).await;
    forwarder.transport.turn(move |_, _| Answer::with(202, said.as_bytes()));
    // Once, however many requests it is said of, and in a redrive alike.
    let outcome = forward(&mut forwarder, &kinesis(&[delivery(&["b"]), delivery(&["c"])])).await;
    assert_eq!((notes(&outcome).as_str(), outcome.failed()), (warning, 0));
    assert_eq!((outcome.ledger.backends[0].sent.logs, reply(&outcome)), (2, json!({ "batchItemFailures": [] })));
    let outcome = redrive(&mut forwarder, &json!(true)).await;
    assert_eq!((notes(&outcome).as_str(), files(&folder).len()), (warning, 0));
}

#[tokio::test(start_paused = true)]
async fn a_redrive_uses_the_credentials_and_the_address_of_now() {
    let folder = folder("of-now");
    let mut before = unreachable_into(&folder, &[("LOGFERRY_DATADOG_COMPRESSION", "zstd")]);
    forward(&mut before, &packed(fixture("node-text"))).await;
    let now = [
        ("DD_API_KEY", OTHER_KEY),
        ("DD_URL", "https://logs.example.com"),
        ("DD_API_URL", "https://api.example.com"),
        ("LOGFERRY_STORE", folder.to_str().unwrap()),
    ];
    let mut forwarder = forwarder(&now, Script::accepting());
    forward_at(&mut forwarder, &json!({ "redrive": true }).to_string(), NOW).await;
    let sent = forwarder.transport.sent();
    assert_eq!((sent.is_empty(), files(&folder).len()), (false, 0));
    for sent in &sent {
        assert!(sent.url.contains(".example.com/"), "{}", sent.url);
        assert_eq!(sent.headers["dd-api-key"], OTHER_KEY);
        let encoding = if sent.url.ends_with(LOGS) { "zstd" } else { "deflate" };
        assert_eq!(sent.headers["content-encoding"], encoding, "as the body is, not as it would be now");
    }
    // The same items, byte for byte.
    let mut healthy = self::forwarder(&[("LOGFERRY_DATADOG_COMPRESSION", "zstd")], Script::accepting());
    forward(&mut healthy, &packed(fixture("node-text"))).await;
    let bytes = |script: &Script| sorted(script.taken().into_iter().map(|item| item.bytes).collect());
    assert_eq!(bytes(&forwarder.transport), bytes(&healthy.transport));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_of_ours_is_moved_away_and_what_is_newer_is_left() {
    let folder = folder("strange");
    let place = folder.join("pending/datadog/2026/11/20/09");
    std::fs::create_dir_all(&place).unwrap();
    let newer = json!({ "logferry": 2, "backend": "datadog" }).to_string();
    std::fs::write(place.join("1-a.json"), "hello").unwrap();
    std::fs::write(place.join("2-b.json"), &newer).unwrap();
    std::fs::write(place.join("3-c.json.77.part"), "half").unwrap();
    let mut forwarder = unreachable_into(&folder, &[]);
    forward(&mut forwarder, &packed(batch(["good"]))).await;
    forwarder.transport.turn(|_, _| Answer::status(202));
    for damaged in [1, 0] {
        let outcome = redrive(&mut forwarder, &json!(true)).await;
        let notes = notes(&outcome);
        let left = "left as it is: pending/datadog/2026/11/20/09/2-b.json is of a newer version of logferry";
        assert!(notes.contains(left), "{notes}");
        let moved = "a stored request is damaged: pending/datadog/2026/11/20/09/1-a.json was moved to damaged/";
        assert_eq!((notes.matches(moved).count(), outcome.ledger.damaged), (damaged, damaged as u64), "{notes}");
        let counted: u64 = outcome.redriven.iter().map(|redriven| redriven.damaged).sum();
        assert_eq!(counted, damaged as u64);
    }
    assert_eq!(forwarder.transport.messages(), ["good"]);
    let left = files(&folder);
    let contents: Vec<_> = left.iter().map(|(key, content)| (key.split('/').next().unwrap(), content)).collect();
    assert_eq!((contents.len(), contents[0].0, contents[1].0), (2, "damaged", "pending"), "{left:?}");
    assert_eq!(json_of(contents[0].1)["payload"], "hello");
    assert_eq!(*contents[1].1, newer.as_bytes());
}

#[tokio::test(start_paused = true)]
async fn what_is_newer_is_said_also_where_a_redrive_ends_before_all_is_sent() {
    for (wish, status) in [(json!({ "older_than": 3600 }), 202), (json!(true), 401)] {
        let folder = folder("newer");
        let place = folder.join("pending/datadog/2026/11/20/08");
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("1-a.json"), json!({ "logferry": 2 }).to_string()).unwrap();
        let mut forwarder = unreachable_into(&folder, &[]);
        forward(&mut forwarder, &packed(batch_at(NOW - 60_000, &["young"]))).await;
        forwarder.transport.turn(move |_, _| Answer::status(status));
        let notes = notes(&redrive(&mut forwarder, &wish).await);
        assert!(notes.contains("1-a.json is of a newer version of logferry"), "{wish}: {notes}");
        assert_eq!(files(&folder).len(), 2, "{wish}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_fit_its_backend_is_set_aside() {
    let folder = folder("misfit");
    let mut forwarder = unreachable_into(&folder, &[]);
    forward(&mut forwarder, &packed(batch(["good"]))).await;
    let (key, content) = files(&folder).remove(0);
    for (from, to) in [(r#""route":"logs""#, r#""route":"lags""#), (r#""open":"Ww==""#, r#""open":"*""#)] {
        let text = String::from_utf8(content.clone()).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(folder.join(&key), text.replace(from, to)).unwrap();
        forwarder.transport.turn(|_, _| Answer::status(202));
        redrive(&mut forwarder, &json!(true)).await;
        let (aside, parcel) = parcels(&folder).remove(0);
        assert!(aside.starts_with("set-aside/"), "{aside}");
        assert_eq!((parcel.reason.as_str(), forwarder.transport.sent().len()), ("damaged", 0));
        std::fs::remove_file(folder.join(aside)).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_for_a_backend_that_is_no_more_is_said() {
    let folder = folder("no-more");
    let mut before = unreachable_into(&folder, &two_backends());
    forward(&mut before, &packed(batch(["a"]))).await;
    let mut forwarder = unreachable_into(&folder, &[]);
    forwarder.transport.turn(|_, _| Answer::status(202));
    let outcome = redrive(&mut forwarder, &json!(true)).await;
    assert_eq!(files(&folder).len(), 1);
    let expected =
        "a stored request was left as it is: pending/datadog-eu is of no backend that LOGFERRY_BACKENDS names";
    assert_eq!((notes(&outcome).as_str(), outcome.failed()), (expected, 0));
}

#[tokio::test(start_paused = true)]
async fn a_redrive_that_has_no_more_time_says_nothing_of_the_intake() {
    let folder = folder("no-more-time");
    let mut forwarder = unreachable_into(&folder, &[]);
    for text in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] {
        forward(&mut forwarder, &packed(batch([text]))).await;
    }
    let slowly = Answer::Response(Response { status: 202, ..Response::default() }, Duration::from_millis(400));
    forwarder.transport.turn(move |_, _| slowly.clone());
    let outcome = forward_within(&mut forwarder, r#"{"redrive":true}"#, NOW, Duration::from_secs(4)).await;
    assert_eq!(notes(&outcome), "");
    let (sent, left) = (outcome.redriven[0].sent, outcome.redriven[0].left);
    assert!((3..9).contains(&sent.logs) && left.total() == 0, "{sent:?} {left:?}");
    assert_eq!(files(&folder).len() as u64, 9 - sent.logs);
}

#[tokio::test]
async fn a_wish_without_a_store_is_said() {
    let mut forwarder = forwarder(&[], Script::accepting());
    let outcome = redrive(&mut forwarder, &json!(true)).await;
    let said = "there is nothing to redrive: no store is set; name one in LOGFERRY_STORE";
    assert_eq!(outcome.reply.to_json(), json!({ "redrive": [], "notes": [said] }));
    assert_eq!(outcome.notes, [Note::NoStore]);
}

/// Loki refuses what is an hour behind the newest of its stream, and receivers of deltas what isn't newer.
#[tokio::test(start_paused = true)]
async fn what_has_to_be_in_order_is_sent_one_after_the_other() {
    let line = "x".repeat(1000);
    let mut lines = vec![line.as_str(); 5000];
    lines.push("MONITORING|1795165334|1|count|orders|#a:b");
    let event = packed(batch(lines));
    for (backend, settings, in_order) in [
        ("loki", &[("LOKI_URL", "https://loki.example.com")][..], true),
        ("otlp", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otlp.example.com")], true),
        ("splunk", &[("SPLUNK_HEC_URL", "https://splunk.example.com"), ("SPLUNK_HEC_TOKEN", KEY)], false),
    ] {
        let starts = Rc::new(RefCell::new(BTreeMap::<_, Vec<_>>::new()));
        let seen = Rc::clone(&starts);
        let script = Script::new(move |request, _| {
            seen.borrow_mut().entry(request.route).or_default().push(Instant::now());
            let status = if request.route == "push" { 204 } else { 200 };
            Answer::Response(
                Response { status, body: br#"{"code":0}"#.into(), ..Response::default() },
                Duration::from_secs(1),
            )
        });
        let mut forwarder = forwarder(&[&[("LOGFERRY_BACKENDS", backend)], settings].concat(), script);
        let outcome = forward(&mut forwarder, &event).await;
        assert_eq!(outcome.failed(), 0, "{}", notes(&outcome));
        let apart = |starts: &Vec<Instant>| starts.windows(2).all(|two| two[1] - two[0] >= Duration::from_secs(1));
        let starts = starts.borrow();
        assert!(starts.values().any(|starts| starts.len() > 2), "{backend}: {starts:?}");
        assert_eq!(starts.values().all(apart), in_order, "{backend}: {starts:?}");
        // Metrics don't wait for logs.
        if let Some(metrics) = starts.get("metrics") {
            assert!(metrics.first() < starts["logs"].last());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_intake_that_asks_for_a_long_rest_is_left_alone() {
    let folder = folder("long-rest");
    let mut forwarder = unreachable_into(&folder, &[]);
    let rest = Response { status: 429, retry_after: Some(Duration::from_hours(1)), ..Response::default() };
    forwarder.transport.turn(move |request, _| match request.route {
        "logs" => Answer::Response(rest.clone(), Duration::ZERO),
        _ => Answer::status(202),
    });
    let texts: Vec<_> = (0..12_000).map(|number| format!("{number}")).collect();
    let mut lines: Vec<_> = texts.iter().map(String::as_str).collect();
    lines.push("MONITORING|1795165334|1|count|orders|#a:b");
    let outcome = forward(&mut forwarder, &packed(batch(lines))).await;
    let sent = forwarder.transport.sent();
    let logs = sent.iter().filter(|sent| sent.url.ends_with("/logs")).count();
    // As many as are under way at a time; metrics have an intake of their own.
    assert!(logs <= 4 && sent.len() == logs + 1, "{logs} of {}", sent.len());
    let account = &outcome.ledger.backends[0];
    assert_eq!((account.stored.logs, account.sent.metrics), (12_000, 1), "{:?}", outcome.notes);
}

// === the store in trouble ===

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_fails_the_invocation() {
    let folder = folder("blocked");
    std::fs::write(folder.join("pending"), "a file where a folder has to be").unwrap();
    let mut forwarder = unreachable_into(&folder, &[]);
    let outcome = forward(&mut forwarder, &packed(batch(["a", "b"]))).await;
    assert_eq!((outcome.failed(), outcome.ledger.backends[0].stored), (2, Weight::default()));
    let notes = notes(&outcome);
    assert!(notes.contains("the store cannot be used: ") && notes.contains("unreachable"), "{notes}");
    let outcome = forward(&mut forwarder, &kinesis(&[delivery(&["a"]), delivery(&["b"])])).await;
    assert_eq!(reply(&outcome), json!({ "batchItemFailures": failures(["0", "1"]) }));
    let outcome = redrive(&mut forwarder, &json!(true)).await;
    assert!(matches!(&outcome.notes[..], [Note::Store(_)]), "{:?}", outcome.notes);
    // A schedule asks for it: nobody would see it otherwise.
    assert_eq!(outcome.failed(), 1);
}

/// A page of a login, as something between may answer, or an answer that says nothing.
#[tokio::test]
async fn what_a_store_does_not_say_that_it_has_is_not_stored() {
    let aws = Aws::start();
    let queue = format!("{}/123456789012/queue", aws.url());
    let page = common::server::Answer::with(200, &[("Content-Type", "text/html; charset=utf-8")], b"<p>Log in");
    let plain = common::server::Answer::with(200, &[], b"\n<!DOCTYPE html><p>Log in");
    let empty = common::server::Answer::with(200, &[], b"{}");
    for (store, answer) in [("s3://kept", page.clone()), ("s3://kept", plain), (&queue, page), (&queue, empty)] {
        aws.trouble(Some(answer));
        let mut forwarder = with_aws(&aws, &[("LOGFERRY_STORE", store)], Script::new(|_, _| Answer::status(403)));
        let outcome = forward(&mut forwarder, &packed(batch(["a", "b"]))).await;
        assert_eq!((outcome.failed(), outcome.ledger.backends[0].stored.logs), (2, 0), "{store}");
        assert!(notes(&outcome).contains("the store cannot be used: "), "{}", notes(&outcome));
    }
    // Emulators call whatever they answer a page.
    aws.trouble(Some(common::server::Answer::with(200, &[("Content-Type", "text/html; charset=utf-8")], b"")));
    let mut forwarder = with_aws(&aws, &[("LOGFERRY_STORE", "s3://kept")], Script::new(|_, _| Answer::status(403)));
    assert_eq!(forward(&mut forwarder, &packed(batch(["a"]))).await.ledger.backends[0].stored.logs, 1);
}

#[tokio::test]
async fn what_is_refused_is_in_the_queue_and_not_said_to_be_set_aside() {
    let aws = Aws::start();
    let queue = format!("{}/123456789012/queue", aws.url());
    let script = Script::new(|request, _| Answer::status(if holds(request, "bad") { 400 } else { 202 }));
    let mut forwarder = with_aws(&aws, &[("LOGFERRY_STORE", queue.as_str())], script);
    let outcome = forward(&mut forwarder, &packed(batch(["good", "bad", "well"]))).await;
    let datadog = &outcome.ledger.backends[0];
    assert_eq!((datadog.sent.logs, datadog.stored.logs, datadog.dropped_total()), (2, 1, 0), "{}", notes(&outcome));
    // The same of a message that holds both.
    let mut mixed = with_aws(&aws, &[("LOGFERRY_STORE", queue.as_str())], Script::new(|_, _| Answer::status(503)));
    forward_within(&mut mixed, &packed(batch(["good", "bad"])), NOW, Duration::from_secs(2)).await;
    let outcome = forward(&mut forwarder, &sqs(&[("a", aws.messages()[1].clone())])).await;
    let redriven = &outcome.redriven[0];
    assert_eq!((redriven.sent.logs, redriven.left.logs, redriven.set_aside.logs), (1, 1, 0), "{}", notes(&outcome));
    assert_eq!((aws.messages().len(), reply(&outcome)), (3, json!({ "batchItemFailures": [] })));
    assert!(!notes(&outcome).contains("set aside"), "{}", notes(&outcome));
}

#[tokio::test]
async fn what_was_sent_and_cannot_be_deleted_is_said_to_come_again() {
    let aws = Aws::start();
    let mut forwarder = with_aws(&aws, &[("LOGFERRY_STORE", "s3://kept")], Script::new(|_, _| Answer::status(403)));
    forward(&mut forwarder, &packed(batch(["a"]))).await;
    let path = aws.objects().into_keys().next().unwrap();
    aws.keep();
    forwarder.transport.turn(|_, _| Answer::status(202));
    let outcome = redrive(&mut forwarder, &json!(true)).await;
    assert_eq!((outcome.redriven[0].sent.logs, aws.objects().len()), (1, 1));
    let (notes, key) = (notes(&outcome), path.strip_prefix("/kept/").unwrap());
    let said =
        format!("{key} is done with and stays there, to be sent again until it can be deleted; check LOGFERRY_STORE");
    assert!(notes.starts_with("the store cannot be used: s3") && notes.contains(&said), "{notes}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_set_aside_is_not_said_to_be() {
    for (name, line, status, hours, said) in [
        ("too-old", "MONITORING|1795165334|7|gauge|shop.queue|#shop:berlin", 202, 20, ""),
        (
            "refused",
            "a",
            422,
            0,
            "1 log not delivered to https://http-intake.logs.datadoghq.com/api/v2/logs, still stored",
        ),
    ] {
        let folder = folder(&format!("not-aside-{name}"));
        let mut forwarder = unreachable_into(&folder, &[("LOGFERRY_REDRIVE_TRIES", "1")]);
        forward(&mut forwarder, &packed(batch([line]))).await;
        std::fs::write(folder.join("set-aside"), "a file where a folder has to be").unwrap();
        forwarder.transport.turn(move |_, _| Answer::status(status));
        let outcome =
            forward_at(&mut forwarder, &json!({ "redrive": true }).to_string(), NOW + hours * 3_600_000).await;
        let notes = notes(&outcome);
        assert!(notes.contains("the store cannot be used: ") && !notes.contains("set aside"), "{name}: {notes}");
        assert!(notes.contains(said), "{name}: {notes}");
        assert_eq!(outcome.redriven[0].set_aside, Weight::default(), "{name}");
        assert!(files(&folder)[0].0.starts_with("pending/datadog/"), "{name}");
    }
}

#[tokio::test]
async fn a_store_that_says_nothing_is_not_waited_for_beyond_the_deadline() {
    let aws = Aws::start();
    let url = format!("{}/123456789012/queue", aws.url());
    let left = Duration::from_secs(3);
    let half = STANDARD.encode(&gzip(batch(["whole", "half"]).as_bytes())[..60]);
    for store in ["s3://kept", url.as_str()] {
        let stored = String::from_utf8(parcel_of(&["stored"]).await).unwrap();
        aws.trouble(Some(common::server::Answer::hang()));
        let reference = json!({ "logferry": 1, "key": "pending/datadog/2026/11/20/09/1-a.json" }).to_string();
        let events = [
            packed(batch(["one"])),
            json!({ "awslogs": { "data": half } }).to_string(),
            kinesis(&[delivery(&["one"]), half.clone()]),
            json!({ "redrive": true }).to_string(),
            s3_event("kept", "pending/datadog/2026/11/20/09/1-a.json").to_string(),
            sqs(&[("a", reference), ("b", stored.clone())]),
            // Many don't wait longer than one.
            firehose(&vec![delivery(&["one"]); 6]),
            firehose(&vec![half.clone(); 10]),
        ];
        let aws = &aws;
        let each = events.iter().map(|event| async move {
            // Refused, so that it is to be set aside; the whole of the half to be kept.
            let pairs = [("LOGFERRY_STORE", store), ("LOGFERRY_RESERVE", "2500ms")];
            let mut forwarder = with_aws(aws, &pairs, Script::new(|_, _| Answer::status(404)));
            let start = Instant::now();
            forward_within(&mut forwarder, event, NOW, left).await;
            let answering = Duration::from_millis(100);
            assert!(start.elapsed() + answering < left, "{store}: {:?} for {event}", start.elapsed());
        });
        futures_util::future::join_all(each).await;
        aws.trouble(None);
    }
}

#[tokio::test]
async fn a_redrive_that_has_sent_all_is_well_whatever_there_was_no_time_to_count() {
    let aws = Aws::start();
    let mut forwarder = with_aws(&aws, &[("LOGFERRY_STORE", "s3://kept")], Script::new(|_, _| Answer::status(403)));
    forward(&mut forwarder, &packed(batch(["stored"]))).await;
    forwarder.transport.turn(|_, _| Answer::status(202));
    // A list, a get, a delete and another list, and no time for two more.
    aws.slow(Duration::from_millis(600));
    let outcome = forward_within(&mut forwarder, r#"{"redrive":true}"#, NOW, Duration::from_millis(3500)).await;
    assert_eq!((outcome.redriven[0].sent.logs, outcome.failed()), (1, 0), "{}", notes(&outcome));
    assert_eq!(outcome.notes, []);
    // Where something may be left it is said.
    aws.slow(Duration::ZERO);
    forwarder.transport.turn(|_, _| Answer::status(403));
    for line in ["a", "b", "c", "d"] {
        forward(&mut forwarder, &packed(batch([line]))).await;
    }
    forwarder.transport.turn(|_, _| Answer::status(202));
    aws.slow(Duration::from_millis(600));
    let outcome = forward_within(&mut forwarder, r#"{"redrive":true}"#, NOW, Duration::from_millis(3500)).await;
    let said = "datadog: no time was left for all that is stored for it: the next redrive goes on, and a longer timeout gets further";
    assert_eq!((notes(&outcome).as_str(), outcome.failed(), aws.objects().is_empty()), (said, 0, false));
}

#[tokio::test]
async fn what_is_only_counted_is_read_no_longer_than_there_is_time() {
    let mut forwarder = forwarder(&[("LOGFERRY_DATADOG_SEND", "metrics")], Script::accepting());
    let event = packed(batch(vec!["nothing that is sent"; 200_000]));
    let outcome = forward_within(&mut forwarder, &event, NOW, Duration::from_millis(20)).await;
    assert!(outcome.ledger.received < 200_000 && notes(&outcome).starts_with("no time was left to read"));
}

#[tokio::test]
async fn what_is_cut_short_is_in_no_total_until_it_comes_again() {
    let lines = ["MONITORING|1795165334|1|count|orders", "a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let event = packed(batch(lines.into_iter().cycle().take(20_000)));
    for (backend, address, sample) in [
        ("prometheus", "LOGFERRY_PROMETHEUS_URL", "} 2000 1795165340000"),
        ("remote_write", "PROMETHEUS_REMOTE_WRITE_URL", "(1795165340000, 2000.0)]"),
    ] {
        let backends = format!("datadog,{backend}");
        let pairs = [("LOGFERRY_BACKENDS", backends.as_str()), (address, "http://prometheus.example.com")];
        let mut forwarder = forwarder(&pairs, Script::accepting());
        let outcome = forward_within(&mut forwarder, &event, NOW, Duration::from_millis(20)).await;
        assert!((1..20_000).contains(&outcome.ledger.received), "{backend}: {}", outcome.ledger.received);
        let orders = |forwarder: &Forwarder<Script>| -> Vec<String> {
            let taken = forwarder.transport.taken().into_iter();
            let taken = taken.map(|item| String::from_utf8_lossy(&item.bytes).into_owned());
            taken.filter(|item| item.contains("orders_total")).collect()
        };
        // Whichever copy it comes to again will count all of it.
        assert_eq!(orders(&forwarder), [] as [String; 0], "{backend}");
        forwarder.transport.turn(|_, _| Answer::status(202));
        let outcome = forward(&mut forwarder, &event).await;
        assert_eq!((outcome.ledger.received, outcome.failed()), (20_000, 0), "{backend}: {}", notes(&outcome));
        let orders = orders(&forwarder);
        assert!(orders.last().is_some_and(|item| item.contains(sample)), "{orders:?}");
    }
}

#[tokio::test]
async fn a_store_that_was_slow_once_does_not_keep_from_sending() {
    let aws = Aws::start();
    let mut forwarder = with_aws(&aws, &[("LOGFERRY_STORE", "s3://kept")], Script::new(|_, _| Answer::status(403)));
    aws.slow(Duration::from_millis(700));
    let outcome = forward_within(&mut forwarder, &packed(batch(["stored"])), NOW, Duration::from_secs(4)).await;
    assert_eq!(outcome.ledger.backends[0].stored.logs, 1);
    aws.slow(Duration::ZERO);
    forwarder.transport.turn(|_, _| Answer::status(202));
    // Shorter than what four such stores take.
    let left = Duration::from_millis(2500);
    let outcome = forward_within(&mut forwarder, &packed(batch(["sent"])), NOW, left).await;
    assert_eq!(outcome.ledger.backends[0].sent.logs, 1, "{}", notes(&outcome));
    let outcome = forward_within(&mut forwarder, r#"{"redrive":true}"#, NOW, left).await;
    assert_eq!(outcome.redriven.iter().map(|redriven| redriven.sent.logs).collect::<Vec<_>>(), [1]);
    assert_eq!((forwarder.transport.messages(), aws.objects().len()), (vec!["sent".into(), "stored".into()], 0));
}

// === secrets ===

#[tokio::test(start_paused = true)]
async fn no_secret_is_stored_or_shown() {
    let folder = folder("secrets");
    let pairs = [
        ("LOGFERRY_STORE", folder.to_str().unwrap()),
        ("HTTPS_PROXY", "http://ferry:hunter2@proxy.example.com:3128"),
        ("HTTP_PROXY", "http://ferry:hunter2@proxy.example.com:3128"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", AWS_SECRET),
        ("AWS_SESSION_TOKEN", AWS_TOKEN),
    ];
    let echo = format!("{{\"error\":\"wrong key {KEY}\"}}");
    let mut forwarder = forwarder(&pairs, Script::new(move |_, _| Answer::with(403, echo.as_bytes())));
    let outcome = forward(&mut forwarder, &packed(fixture("node-text"))).await;
    let stored = files(&folder);
    assert!(!stored.is_empty());
    for (key, content) in &stored {
        assert_eq!(secrets_in(content), [] as [&str; 0], "{key}");
        assert!(String::from_utf8_lossy(content).contains("wrong key ***"), "{key}");
    }
    // As a queue or a bucket has it, with a client for AWS.
    for store in ["s3://kept", "https://sqs.eu-west-1.amazonaws.com/123456789012/queue"] {
        let pairs = [&pairs[1..], &[("LOGFERRY_STORE", store)]].concat();
        let wired = Settings::prepare(&lookup(&pairs), None, clock, BTreeMap::new()).unwrap().forwarder.unwrap();
        assert_eq!(secrets_in(format!("{wired:?} {wired:#?}").as_bytes()), [] as [&str; 0]);
    }
    let shown = [
        format!("{outcome:?} {}", notes(&outcome)),
        serde_json::to_string(&outcome.ledger).unwrap(),
        format!("{:?} {:?}", forwarder.backends, forwarder.store),
    ];
    assert_eq!(secrets_in(shown.concat().as_bytes()), [] as [&str; 0]);
}

// === helpers ===

/// What an invocation has, of which a second is kept for its end.
const LEFT: Duration = Duration::from_mins(1);

#[expect(clippy::disallowed_methods, reason = "requests to AWS are signed with the real time")]
fn clock() -> SystemTime {
    SystemTime::now()
}

fn lookup(pairs: Pairs<'_>) -> impl Fn(&str) -> Option<String> {
    let defaults = [("LOGFERRY_BACKENDS", "datadog"), ("DD_API_KEY", KEY)];
    let all: Vec<_> =
        pairs.iter().chain(&defaults).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    move |name| all.iter().find(|(set, _)| set == name).map(|(_, value)| value.clone())
}

/// Wired as in Lambda, but for the transport. Of each name, the first counts.
fn forwarder(pairs: Pairs<'_>, script: Script) -> Forwarder<Script> {
    let lookup = lookup(pairs);
    let mut env = Env::new(&lookup);
    let settings = Settings::from_env(&mut env, None).unwrap();
    let signer = Signer::new(Credentials::from_env(&mut env), clock);
    let http = Http::new(&HttpSettings::default(), &[], signer.clone(), &mut env).unwrap();
    let client = Client::new(http.client().clone(), signer, Places::from_env(&mut env));
    assert_eq!(env.into_mistakes(), []);
    settings.forwarder(script, &client)
}

/// Whose intake is down, and which stores in a folder.
fn unreachable_into(folder: &Path, pairs: Pairs<'_>) -> Forwarder<Script> {
    let store = [("LOGFERRY_STORE", folder.to_str().unwrap())];
    forwarder(&[&store, pairs].concat(), Script::new(|_, _| Answer::Broken(TransportError::Connect("refused".into()))))
}

const fn two_backends() -> [(&'static str, &'static str); 2] {
    [("LOGFERRY_BACKENDS", "datadog,datadog:eu"), ("DD_URL_EU", "https://eu.example.com")]
}

/// Which calls a stand-in for AWS.
fn with_aws(aws: &Aws, pairs: Pairs<'_>, script: Script) -> Forwarder<Script> {
    let url = aws.url();
    let aws = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", AWS_SECRET),
        ("AWS_SESSION_TOKEN", AWS_TOKEN),
    ];
    forwarder(&[&aws, pairs].concat(), script)
}

async fn forward(forwarder: &mut Forwarder<Script>, event: &str) -> Outcome {
    forward_at(forwarder, event, NOW).await
}

async fn forward_at(forwarder: &mut Forwarder<Script>, event: &str, now: i64) -> Outcome {
    forward_within(forwarder, event, now, LEFT).await
}

async fn forward_within(forwarder: &mut Forwarder<Script>, event: &str, now: i64, left: Duration) -> Outcome {
    let own = model::Forwarder {
        log_group: Some("/aws/lambda/logferry".into()),
        instance: "2026/11/20/[$LATEST]0f7c".into(),
        ..model::Forwarder::default()
    };
    let now = Timestamp::from_millis(now);
    let start = Instant::now();
    let invocation = Invocation { forwarder: &own, now, start, deadline: start + left, seed: 7 };
    let outcome = forwarder.handle(event, &invocation, &mut ()).await;
    assert_eq!(outcome.ledger.unaccounted(), []);
    outcome
}

async fn redrive(forwarder: &mut Forwarder<Script>, wish: &Value) -> Outcome {
    forward(forwarder, &json!({ "redrive": wish }).to_string()).await
}

/// A request with these logs, as it is stored.
async fn parcel_of(messages: &[&str]) -> Vec<u8> {
    let folder = folder(&format!("parcel-{}", messages.join("-").len()));
    let mut forwarder = unreachable_into(&folder, &[]);
    forward_within(&mut forwarder, &packed(batch(messages.iter().copied())), NOW, Duration::from_secs(2)).await;
    files(&folder).remove(0).1
}

/// What a subscription writes to a stream, in base64.
fn delivery(messages: &[&str]) -> String {
    STANDARD.encode(gzip(batch(messages.iter().copied()).as_bytes()))
}

/// A batch whose first log event is at a time.
fn batch_at(time: i64, messages: &[&str]) -> String {
    batch(messages.iter().copied()).replace("179516533400", &(time / 10).to_string()[..12])
}

fn kinesis(data: &[String]) -> String {
    let records = data.iter().enumerate().map(|(place, data)| {
        json!({ "eventSource": "aws:kinesis", "eventID": format!("shardId-0:{place}"),
            "kinesis": { "partitionKey": "p", "sequenceNumber": place.to_string(), "data": data } })
    });
    json!({ "Records": records.collect::<Vec<_>>() }).to_string()
}

fn firehose(data: &[String]) -> String {
    let records = data.iter().enumerate();
    let records = records.map(|(place, data)| {
        json!({ "recordId": format!("record-{place}"), "approximateArrivalTimestamp": NOW, "data": data })
    });
    json!({ "invocationId": "1", "deliveryStreamArn": "arn", "region": "eu-west-1", "records": records.collect::<Vec<_>>() })
        .to_string()
}

fn sqs(messages: &[(&str, String)]) -> String {
    let records = messages.iter().map(|(id, body)| {
        json!({ "messageId": id, "receiptHandle": "r", "body": body, "attributes": {}, "eventSource": "aws:sqs" })
    });
    json!({ "Records": records.collect::<Vec<_>>() }).to_string()
}

fn failures<'a>(ids: impl IntoIterator<Item = &'a str>) -> Vec<Value> {
    ids.into_iter().map(|id| json!({ "itemIdentifier": id })).collect()
}

fn reply(outcome: &Outcome) -> Value {
    outcome.reply.to_json()
}

fn notes(outcome: &Outcome) -> String {
    outcome.notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn holds(request: &Request, text: &str) -> bool {
    items(request, "").iter().any(|item| item.message().is_some_and(|message| message.contains(text)))
}

fn url(request: &Request) -> &str {
    match &request.destination {
        Destination::Http(endpoint) => &endpoint.url,
        Destination::Stdout => "",
    }
}

fn secrets_in(bytes: &[u8]) -> Vec<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    // Basic authentication of the proxy, too.
    let secrets = [KEY, OTHER_KEY, AWS_SECRET, &AWS_TOKEN[..12], "hunter2", "ZmVycnk6aHVudGVyMg"];
    secrets.into_iter().filter(|secret| text.contains(secret)).collect()
}

/// An empty folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("forward-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn parcels(folder: &Path) -> Vec<(String, Parcel)> {
    let parcel = |content: Vec<u8>| Parcel::from_json(&content).unwrap();
    files(folder).into_iter().map(|(key, content)| (key, parcel(content))).collect()
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn sorted<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort();
    all
}
