//! The straightforward way to the same records: events as `aws_lambda_events` has them, regular expressions, values
//! of `serde_json`.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};

use aws_lambda_events::event::cloudwatch_logs::{LogData, LogEntry, LogsEvent};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use miniz_oxide::inflate::stream::InflateState;
use miniz_oxide::{DataFormat, MZFlush, deflate};
use regex::{Captures, Regex};
use serde::Deserialize;
use serde_json::{Value, json};

use super::workload::{ACCOUNT, FUNCTION, REGION};

/// Logs in a body.
const LOGS: usize = 1000;

/// Dollars for a request, and for a GB-second on x86.
const REQUEST: f64 = 0.000_000_2;
const GB_SECOND: f64 = 0.000_016_666_7;

/// What undoes and does gzip.
#[derive(Clone, Copy)]
pub(crate) enum Codec {
    /// `flate2` as it comes, which is `miniz_oxide`. This build's `flate2` is on zlib-rs, so `miniz_oxide` is called
    /// as `flate2` would call it.
    Miniz,
    /// `flate2` with zlib-rs, as in logferry.
    ZlibRs,
}

/// What is made at a cold start.
pub(crate) struct Yardstick {
    codec: Codec,
    level: u32,
    start: Regex,
    end: Regex,
    report: Regex,
    monitoring: Regex,
    prefix: Regex,
}

/// What a delivery is made into: bodies before they are compressed.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) logs: Vec<Value>,
    /// Points of each second by name and tags.
    metrics: BTreeMap<(String, Vec<String>), BTreeMap<i64, Vec<f64>>>,
}

impl Yardstick {
    pub(crate) fn new(codec: Codec, level: u32) -> Self {
        let regex = |pattern| Regex::new(pattern).unwrap();
        Self {
            codec,
            level,
            start: regex(r"^START RequestId: ([0-9a-f-]+) Version: ([^ \n]+)"),
            end: regex(r"^END RequestId: ([0-9a-f-]+)"),
            report: regex(concat!(
                r"^REPORT RequestId: ([0-9a-f-]+)\tDuration: ([0-9.]+) ms\tBilled Duration: ([0-9.]+) ms",
                r"\tMemory Size: ([0-9]+) MB\tMax Memory Used: ([0-9]+) MB(?:\tInit Duration: ([0-9.]+) ms)?"
            )),
            monitoring: regex(r#"MONITORING\|([0-9]+)\|([0-9.]+)\|(count|gauge|histogram|check)\|([^|]+)\|#([^"\n]*)"#),
            prefix: regex(r"^[0-9T:.Z-]+\t([0-9a-f-]+)\t([A-Z]+)\t"),
        }
    }

    /// From the event to compressed bodies; returns their bytes.
    pub(crate) fn run(&self, event: &str) -> usize {
        let made = self.make(&self.read(event));
        let series = made.series();
        let bodies = made.logs.chunks(LOGS).map(|logs| self.gzip(&serde_json::to_vec(logs).unwrap()));
        let logs: usize = bodies.map(|body| body.len()).sum();
        logs + self.zlib(&serde_json::to_vec(&json!({ "series": series })).unwrap()).len()
    }

    pub(crate) fn read(&self, event: &str) -> LogData {
        match self.codec {
            Codec::Miniz => {
                let event: Value = serde_json::from_str(event).unwrap();
                let gzip = STANDARD.decode(event["awslogs"]["data"].as_str().unwrap()).unwrap();
                let reader = BufReader::new(MinizReader::new(&gzip));
                LogData::deserialize(&mut serde_json::Deserializer::from_reader(reader)).unwrap()
            }
            Codec::ZlibRs => serde_json::from_str::<LogsEvent>(event).unwrap().aws_logs.data,
        }
    }

    pub(crate) fn make(&self, data: &LogData) -> Made {
        let mut made = Made::default();
        let mut running = None;
        for entry in &data.log_events {
            let message = &entry.message;
            let (mut request_id, mut status) = (running.clone(), None);
            if let Some(found) = self.start.captures(message) {
                running = Some(found[1].to_owned());
                request_id.clone_from(&running);
            } else if let Some(found) = self.end.captures(message) {
                running = None;
                request_id = Some(found[1].to_owned());
            } else if let Some(found) = self.report.captures(message) {
                request_id = Some(found[1].to_owned());
                made.report(entry, &found);
            } else if let Some(found) = self.monitoring.captures(message) {
                made.monitoring(&found);
                continue;
            } else if let Some(found) = self.prefix.captures(message) {
                (request_id, status) = (Some(found[1].to_owned()), Some(found[2].to_lowercase()));
            }
            made.logs.push(log(data, entry, request_id, status));
        }
        made
    }

    fn gzip(&self, plain: &[u8]) -> Vec<u8> {
        match self.codec {
            Codec::Miniz => {
                let mut body = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
                body.extend(deflate::compress_to_vec(plain, u8::try_from(self.level).unwrap()));
                let mut crc = flate2::Crc::new();
                crc.update(plain);
                body.extend(crc.sum().to_le_bytes());
                body.extend(crc.amount().to_le_bytes());
                body
            }
            Codec::ZlibRs => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(self.level));
                gzip.write_all(plain).unwrap();
                gzip.finish().unwrap()
            }
        }
    }

    fn zlib(&self, plain: &[u8]) -> Vec<u8> {
        match self.codec {
            Codec::Miniz => deflate::compress_to_vec_zlib(plain, u8::try_from(self.level).unwrap()),
            Codec::ZlibRs => {
                let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(self.level));
                zlib.write_all(plain).unwrap();
                zlib.finish().unwrap()
            }
        }
    }
}

fn log(data: &LogData, entry: &LogEntry, request_id: Option<String>, status: Option<String>) -> Value {
    let arn = format!("arn:aws:lambda:{REGION}:{}:function:{FUNCTION}", data.owner);
    let tags = [
        "forwardername:logferry".to_owned(),
        format!("forwarder_version:{}", env!("CARGO_PKG_VERSION")),
        "env:none".to_owned(),
        format!("aws_account:{}", data.owner),
        format!("functionname:{FUNCTION}"),
        format!("region:{REGION}"),
        format!("service:{FUNCTION}"),
    ];
    let mut record = json!({
        "id": entry.id,
        "timestamp": entry.timestamp,
        "message": entry.message,
        "aws": {
            "awslogs": { "logGroup": data.log_group, "logStream": data.log_stream, "owner": data.owner },
            "invoked_function_arn": format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:logferry"),
        },
        "lambda": { "arn": arn },
        "ddsourcecategory": "aws",
        "ddsource": "lambda",
        "service": FUNCTION,
        "host": arn,
        "ddtags": tags.join(","),
    });
    if let Some(request_id) = request_id {
        record["lambda"]["request_id"] = json!(request_id);
    }
    if let Some(status) = status {
        record["status"] = json!(status);
    }
    record
}

impl Made {
    fn report(&mut self, entry: &LogEntry, found: &Captures<'_>) {
        let cold = found.get(6).is_some();
        let tags = vec![
            format!("memorysize:{}", &found[4]),
            format!("cold_start:{cold}"),
            format!("region:{REGION}"),
            format!("aws_account:{ACCOUNT}"),
            format!("functionname:{FUNCTION}"),
        ];
        let number = |index: usize| found.get(index).map(|number| number.as_str().parse::<f64>().unwrap());
        let mut priced = tags.clone();
        priced.splice(2..2, ["architecture:x86_64".to_owned(), "price_basis:list_tier_1".to_owned()]);
        let cost = REQUEST + GB_SECOND * (number(4).unwrap() / 1024.0) * (number(3).unwrap() / 1e3);
        let cost = (cost * 1e12).round() / 1e12;
        self.point("aws.lambda.enhanced.estimated_cost".to_owned(), priced, entry.timestamp / 1000, cost);
        for (name, value) in [
            ("invocations", Some(1.0)),
            ("duration", number(2).map(|millis| millis / 1e3)),
            ("billed_duration", number(3).map(|millis| millis / 1e3)),
            ("memorysize", number(4)),
            ("max_memory_used", number(5)),
            ("init_duration", number(6).map(|millis| millis / 1e3)),
            ("cold_starts", cold.then_some(1.0)),
        ] {
            if let Some(value) = value {
                self.point(format!("aws.lambda.enhanced.{name}"), tags.clone(), entry.timestamp / 1000, value);
            }
        }
    }

    fn monitoring(&mut self, found: &Captures<'_>) {
        let mut tags: Vec<_> = found[5].split(',').map(ToOwned::to_owned).collect();
        tags.push(format!("function_name:{FUNCTION}"));
        self.point(found[4].to_owned(), tags, found[1].parse().unwrap(), found[2].parse().unwrap());
    }

    fn point(&mut self, name: String, tags: Vec<String>, second: i64, value: f64) {
        self.metrics.entry((name, tags)).or_default().entry(second).or_default().push(value);
    }

    /// As `distribution_points` takes them.
    pub(crate) fn series(&self) -> Vec<Value> {
        let series = self.metrics.iter().map(|((name, tags), points)| {
            let points: Vec<_> = points.iter().map(|(second, values)| json!([second, values])).collect();
            json!({ "metric": name, "type": "distribution", "points": points, "tags": tags })
        });
        series.collect()
    }
}

/// `flate2::read::GzDecoder` on `miniz_oxide`, for a member without name or comment.
struct MinizReader<'a> {
    state: Box<InflateState>,
    rest: &'a [u8],
    crc: flate2::Crc,
}

impl<'a> MinizReader<'a> {
    fn new(gzip: &'a [u8]) -> Self {
        Self { state: InflateState::new_boxed(DataFormat::Raw), rest: &gzip[10..], crc: flate2::Crc::new() }
    }
}

impl Read for MinizReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let done = miniz_oxide::inflate::stream::inflate(&mut self.state, self.rest, out, MZFlush::None);
        self.rest = &self.rest[done.bytes_consumed..];
        self.crc.update(&out[..done.bytes_written]);
        Ok(done.bytes_written)
    }
}
