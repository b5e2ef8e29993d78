//! Logs as Datadog takes them, into `VictoriaLogs`.

use logferry::model::Timestamp;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::common::intake::Intake;
use crate::common::lambda::API_KEY;
use crate::common::server::{Answer, Received};
use crate::ferry::{Events, WAYS};
use crate::servers::{eventually, get, request, server};

/// What a log may be written as.
const MESSAGES: [&str; 9] = [
    "INIT_START Runtime Version: nodejs:22.v61\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:395b\n",
    "START RequestId: 1ab9290b-5e02-46d5-9200-24a514aa506d Version: $LATEST\n",
    "2026-11-20T09:02:14.734Z\t1ab9290b-5e02-46d5-9200-24a514aa506d\tINFO\tbasket 58213 opened\n",
    "two\nlines, \"quoted\" \\ and a tab\t.",
    "2026-11-20T09:02:14.735Z\t1ab9290b-5e02-46d5-9200-24a514aa506d\tERROR\tGrüße aus Köln: 日本語 🦀 \u{7f}",
    r#"{"level":"error","message":"coupon refused","requestId":"1ab9290b-5e02-46d5-9200-24a514aa506d","n":[1,{"a":null}]}"#,
    "  leading and trailing blanks  ",
    "END RequestId: 1ab9290b-5e02-46d5-9200-24a514aa506d\n",
    "REPORT RequestId: 1ab9290b-5e02-46d5-9200-24a514aa506d\tDuration: 187.42 ms\tBilled Duration: 188 ms\tMemory Size: 512 MB\tMax Memory Used: 104 MB\t\n",
];

/// Which of them get a status; that of JSON is left to Datadog, which reads it itself.
const STATUSES: [(usize, &str); 2] = [(2, "info"), (4, "error")];

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn logs_are_stored_as_they_were_written() {
    let Some(victorialogs) = server("VICTORIALOGS") else { return };
    let intake = flattening(&victorialogs);
    let url = intake.url();
    // Metrics go nowhere here: no server has Datadog's distributions.
    let settings = [("DD_API_KEY", API_KEY), ("DD_URL", &url), ("DD_API_URL", &url), ("DD_TAGS", "env:prod,team:shop")];
    for codec in ["gzip", "deflate", "zstd", "none"] {
        for (name, way) in WAYS {
            let events = MESSAGES.iter().zip(0..).fold(
                Events::of(&format!("logs-{codec}-{name}")),
                |events, (message, place)| {
                    // No time ends with a 0, which would be left out of what is read back.
                    events.at(place * 31 + 1, message)
                },
            );
            let settings = [&settings[..], &[("LOGFERRY_DATADOG_COMPRESSION", codec)]].concat();
            way("datadog", &settings, &events.event()).assert_good();
            assert_stored(&victorialogs, &events);
        }
    }
}

fn assert_stored(victorialogs: &str, events: &Events) {
    let stored = stored(victorialogs, &events.function, events.messages.len());
    for (place, (time, message)) in events.messages.iter().enumerate() {
        let log = &stored[place];
        let arn = format!("arn:aws:lambda:eu-west-1:123456789012:function:{}", events.function);
        for (name, expected) in [
            ("_msg", message.as_str()),
            ("_time", &Timestamp::from_millis(*time).to_string()),
            ("id", &events.id(place)),
            ("service", &events.function),
            ("host", &arn),
            ("ddsource", "lambda"),
            ("ddsourcecategory", "aws"),
            ("aws.awslogs.logGroup", &events.log_group()),
            ("aws.awslogs.logStream", Events::log_stream()),
            ("aws.awslogs.owner", "123456789012"),
            ("lambda.arn", &arn),
            // Tags.
            ("env", "prod"),
            ("team", "shop"),
            ("functionname", &events.function),
            ("region", "eu-west-1"),
            ("aws_account", "123456789012"),
        ] {
            assert_eq!(log[name], expected, "{name} of {message:?}: {log}");
        }
        let level = STATUSES.iter().find(|(at, _)| *at == place).map(|(_, status)| json!(status));
        assert_eq!(log.get("status"), level.as_ref(), "{log}");
    }
}

/// Everything of a function, in its order, once so much is there.
pub(crate) fn stored(victorialogs: &str, function: &str, count: usize) -> Vec<Value> {
    let query = format!("functionname:={function} | sort by (id)");
    let logs = eventually(&format!("{count} logs of {function}"), || {
        get(victorialogs, "/internal/force_flush", &[]);
        let logs = get(victorialogs, "/select/logsql/query", &[("query", &query)]).lines();
        (logs.len() >= count).then_some(logs)
    });
    assert_eq!(logs.len(), count, "{logs:#?}");
    logs
}

/// Passes logs on to `VictoriaLogs`, and takes metrics itself.
///
/// This version of `VictoriaLogs` answers 400 to an attribute that is an object,
/// as `aws` and `lambda` are: of those, attributes with dotted names are made. It
/// is given the request as it was, too, and has to get as far as that attribute:
/// so it undoes the compression and reads the JSON.
pub(crate) fn flattening(victorialogs: &str) -> Intake {
    let url = format!("{victorialogs}/insert/datadog/api/v2/logs");
    Intake::answering(move |received, _| {
        if received.target != "/api/v2/logs" {
            return Answer::status(202);
        }
        let headers: Vec<_> = ["content-type", "content-encoding"]
            .into_iter()
            .filter_map(|name| Some((name, received.headers.get(name)?.as_str())))
            .collect();
        let whole = request(Method::POST, &url, &headers, received.body.clone());
        if whole.status != 400 || !whole.text().contains("unexpected label value type") {
            return Answer::with(400, &[], &[b"not understood as it is: ", &*whole.body].concat());
        }
        let response = request(Method::POST, &url, &headers[..1], flat(received));
        Answer::with(response.status, &[], &response.body)
    })
}

fn flat(received: &Received) -> Vec<u8> {
    let logs: Vec<Map<String, Value>> = serde_json::from_value(received.json()).unwrap();
    let logs = logs.into_iter().map(|log| {
        let mut out = Map::new();
        log.into_iter().for_each(|(name, value)| flatten(name, value, &mut out));
        out
    });
    serde_json::to_vec(&logs.collect::<Vec<_>>()).unwrap()
}

fn flatten(name: String, value: Value, out: &mut Map<String, Value>) {
    match value {
        Value::Object(object) => {
            object.into_iter().for_each(|(key, value)| flatten(format!("{name}.{key}"), value, out));
        }
        value => drop(out.insert(name, value)),
    }
}
