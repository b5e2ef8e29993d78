//! `logferry explain`: what the parsers make of a line.

use std::io::{self, BufRead, Write};

use logferry::json::mended;
use logferry::model::{Level, Timestamp};
use logferry::parse::{
    Application, DatadogMetric, Emf, Failure, Fault, InitReport, InitStart, Line, Metrics, Monitoring, MonitoringLine,
    Platform, PlatformEvent, Prefix, Record, Registration, Report, RestoreReport, Start, Status as Ended, Timeout,
    oom_signature,
};
use serde_json::{Map, Value, json};

use crate::{ExplainArgs, Format, Status};

/// What is said of a line.
struct Explanation {
    kind: &'static str,
    fields: Fields,
    derive: Fields,
    why: &'static str,
}

type Fields = Map<String, Value>;

/// Explains the lines that are given, or those on standard input.
pub(crate) fn run(args: &ExplainArgs) -> io::Result<Status> {
    let mut out = io::stdout().lock();
    for line in &args.lines {
        print(&explain(line, None), args, &mut out)?;
    }
    if args.lines.is_empty() {
        for line in io::stdin().lock().split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            let (text, time) = given(&line);
            print(&explain(&text, time), args, &mut out)?;
        }
    }
    Ok(Status::Fine)
}

/// What a line on standard input stands for.
fn given(line: &str) -> (String, Option<Timestamp>) {
    let line = line.strip_suffix('\r').unwrap_or(line);
    // Strings are made whole, as those of a payload are.
    match serde_json::from_str(line).or_else(|_| serde_json::from_str(&mended(line))) {
        Ok(Value::String(text)) => (text, None),
        Ok(Value::Object(event)) if event.len() == 2 => match (event.get("message"), event.get("timestamp")) {
            (Some(Value::String(text)), Some(Value::Number(time))) => {
                (text.clone(), time.as_i64().map(Timestamp::from_millis))
            }
            _ => (line.to_owned(), None),
        },
        _ => (line.to_owned(), None),
    }
}

fn print(explanation: &Explanation, args: &ExplainArgs, out: &mut impl Write) -> io::Result<()> {
    let Explanation { kind, fields, derive, why } = explanation;
    match args.format {
        Format::Ndjson if args.why => {
            writeln!(out, "{}", json!({ "kind": kind, "fields": fields, "derive": derive, "why": why }))
        }
        Format::Ndjson => writeln!(out, "{}", json!({ "kind": kind, "fields": fields })),
        Format::Pretty => {
            writeln!(out, "{kind}")?;
            let derived = derive.iter().filter(|_| args.why).map(|(name, value)| (format!("counts {name}"), value));
            for (name, value) in fields.iter().map(|(name, value)| (name.clone(), value)).chain(derived) {
                writeln!(out, "  {name:<28} {}", shown(value))?;
            }
            if args.why { writeln!(out, "  because {why}\n") } else { writeln!(out) }
        }
    }
}

/// A value as people read it: what would give orders to the terminal is escaped, and no quote is. In lists and objects
/// a backslash is one of JSON.
fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let stays = |c: char| matches!(c, '"' | '\'') || (c == '\\' && !value.is_string());
    let mut shown = String::with_capacity(text.len());
    for piece in text.split_inclusive(stays) {
        let (plain, rest) = piece.split_at(piece.trim_end_matches(stays).len());
        shown.extend(plain.escape_debug());
        shown.push_str(rest);
    }
    shown
}

/// What the parsers make of a line. Without a time of its own the line's holds.
fn explain(text: &str, time: Option<Timestamp>) -> Explanation {
    let line = Line::parse(text, time);
    let (kind, fields, why) = match &line {
        Line::AppJson(app) => {
            ("app_json", application(app), "it is a JSON object that is neither Lambda's own nor a metric")
        }
        Line::AppText(prefix) => {
            ("app_text", prefix.map(self::prefix).unwrap_or_default(), app_text_why(prefix.as_ref()))
        }
        Line::DatadogMetric(metric) => {
            ("datadog_metric", datadog(metric), "it is a JSON object with the keys m, v, e and t")
        }
        Line::Emf(emf) => ("emf", self::emf(emf), "it is a JSON object whose _aws holds CloudWatchMetrics"),
        Line::Empty => ("empty", Fields::new(), "it holds nothing but white space"),
        Line::Monitoring(line) => (
            "monitoring",
            monitoring(line),
            "`MONITORING|` stands where a function's line begins, and every record can be read",
        ),
        Line::PlatformJson(event) => {
            ("platform_json", platform(event), "it is a JSON object with a type of `platform.*`")
        }
        Line::PlatformText(platform) => platform_text(platform),
    };
    Explanation { kind, fields, why, derive: derive(line, text) }
}

/// Kind and fields of one of Lambda's own lines, and why it is one.
fn platform_text(platform: &Platform<'_>) -> (&'static str, Fields, &'static str) {
    match platform {
        Platform::End { request_id } => {
            ("end", fields([("request_id", json!(request_id))]), "it is `END RequestId: ` and an id, and nothing else")
        }
        Platform::Extension(it) => ("extension", registration(it), "it begins with `EXTENSION` and a TAB"),
        Platform::Fault(fault) => {
            ("fault", self::fault(fault), "it has the form in which Lambda reported a runtime that ended (old style)")
        }
        Platform::ImageError => ("image_error", Fields::new(), "it begins with `IMAGE`, a TAB and the kind of error"),
        Platform::InitReport(report) => {
            ("init_report", init_report(report), "it begins with `INIT_REPORT Init Duration: `")
        }
        Platform::InitStart(start) => {
            ("init_start", init_start(start), "it begins with `INIT_START Runtime Version: `")
        }
        Platform::LogsSubscription(it) => ("logs_subscription", registration(it), "it begins with `LOGS` and a TAB"),
        Platform::Report(report) => {
            ("report", self::report(report), "its first bytes are `REPORT RequestId: ` and an id, followed by a field")
        }
        Platform::RestoreReport(report) => {
            ("restore_report", restore_report(report), "it begins with `RESTORE_REPORT Restore Duration: `")
        }
        Platform::RestoreStart(start) => {
            ("restore_start", init_start(start), "it begins with `RESTORE_START Runtime Version: `")
        }
        Platform::Start(start) => {
            ("start", self::start(start), "it is `START RequestId: `, an id and a version, and nothing else")
        }
        Platform::TelemetrySubscription(it) => {
            ("telemetry_subscription", registration(it), "it begins with `TELEMETRY` and a TAB")
        }
        Platform::Timeout(timeout) => {
            ("timeout", self::timeout(timeout), "it is the whole of Lambda's old message about a time-out")
        }
        Platform::Other | Platform::RuntimeDone(_) | Platform::Unknown => {
            ("platform_json", Fields::new(), "only JSON says so")
        }
    }
}

const fn app_text_why(prefix: Option<&Prefix<'_>>) -> &'static str {
    match prefix {
        Some(_) => "a function wrote it through its runtime's logger, which put time, request id and level before it",
        None => "it has none of the forms in which Lambda writes, from its first byte on",
    }
}

/// What this line alone counts as.
fn derive(line: Line<'_>, text: &str) -> Fields {
    let counts = |invocations: bool, failure: Failure| {
        let mut fields = Fields::new();
        if invocations {
            fields.insert("invocations".into(), json!(1));
        }
        fields.insert("errors".into(), json!(u8::from(failure.error)));
        fields.insert("timeouts".into(), json!(u8::from(failure.timeout)));
        fields.insert("out_of_memory".into(), json!(u8::from(failure.out_of_memory)));
        fields
    };
    let well = |status: Option<Ended>| status.is_none_or(|status| status == Ended::Success);
    match line.into_platform() {
        Ok(Platform::Report(report)) if report.request_id.is_some() || report.metrics.duration_ms.is_some() => {
            counts(true, report.failure())
        }
        Ok(Platform::RuntimeDone(done)) if done.request_id.is_some() => counts(false, done.failure()),
        Ok(Platform::Timeout(_)) => fields([("errors", json!(1)), ("timeouts", json!(1))]),
        Ok(Platform::Fault(fault)) => {
            fields([("errors", json!(1)), ("out_of_memory", json!(u8::from(fault.failure().out_of_memory)))])
        }
        Ok(Platform::InitReport(InitReport { status, initialization_type: None, .. })) if well(status) => {
            fields([("errors", json!(0))])
        }
        Ok(Platform::RestoreReport(RestoreReport { status: None, .. })) => fields([("errors", json!(0))]),
        Err(Line::AppText(prefix)) => oom(prefix.and_then(|prefix| prefix.severity), text),
        Err(Line::AppJson(app)) => oom(app.severity(), text),
        _ => Fields::new(),
    }
}

/// Whether a function says that it lacks memory, in a line that may tell of a failure: it has no level, or a high one.
fn oom(level: Option<Level>, text: &str) -> Fields {
    let told = level.is_none_or(|level| level >= Level::Error) && oom_signature(text);
    if told { fields([("oom_signature", json!(1))]) } else { Fields::new() }
}

/// The fields that there are.
fn fields<const N: usize>(fields: [(&str, Value); N]) -> Fields {
    let there = fields.into_iter().filter(|(_, value)| !value.is_null() && value.as_str() != Some(""));
    there.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A number without a fraction that it doesn't have.
fn number(value: Option<f64>) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
    match value {
        Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => json!(value as i64),
        value => json!(value),
    }
}

fn prefix(prefix: Prefix<'_>) -> Fields {
    fields([("level", json!(prefix.level)), ("request_id", json!(prefix.request_id))])
}

fn application(app: &Application<'_>) -> Fields {
    fields([("level", json!(app.level)), ("request_id", json!(app.request_id)), ("error_type", json!(app.error_type))])
}

fn start(start: &Start<'_>) -> Fields {
    fields([("request_id", json!(start.request_id)), ("version", json!(start.version))])
}

fn report(report: &Report<'_>) -> Fields {
    let xray = report.xray.unwrap_or_default();
    fields([
        ("request_id", json!(report.request_id)),
        ("duration_ms", number(report.metrics.duration_ms)),
        ("billed_duration_ms", number(report.metrics.billed_duration_ms)),
        ("memory_size_mb", number(report.metrics.memory_size_mb)),
        ("max_memory_used_mb", number(report.metrics.max_memory_used_mb)),
        ("init_duration_ms", number(report.metrics.init_duration_ms)),
        ("restore_duration_ms", number(report.metrics.restore_duration_ms)),
        ("billed_restore_duration_ms", number(report.metrics.billed_restore_duration_ms)),
        ("status", json!(report.status.map(Ended::as_str))),
        ("error_type", json!(report.error_type)),
        ("xray_trace_id", json!(report.xray.map(|xray| xray.trace_id))),
        ("segment_id", json!(xray.segment_id)),
        ("sampled", json!(xray.sampled)),
        ("partial", if report.partial { json!(true) } else { Value::Null }),
    ])
}

fn init_start(start: &InitStart<'_>) -> Fields {
    fields([
        ("runtime_version", json!(start.runtime_version)),
        ("runtime_version_arn", json!(start.runtime_version_arn)),
    ])
}

fn init_report(report: &InitReport<'_>) -> Fields {
    fields([
        ("init_duration_ms", number(report.init_duration_ms)),
        ("phase", json!(report.phase)),
        ("status", json!(report.status.map(Ended::as_str))),
        ("error_type", json!(report.error_type)),
    ])
}

fn restore_report(report: &RestoreReport<'_>) -> Fields {
    fields([
        ("restore_duration_ms", number(report.restore_duration_ms)),
        ("status", json!(report.status.map(Ended::as_str))),
        ("error_type", json!(report.error_type)),
    ])
}

fn timeout(timeout: &Timeout<'_>) -> Fields {
    fields([("timeout_seconds", number(Some(timeout.seconds))), ("request_id", json!(timeout.request_id))])
}

fn fault(fault: &Fault<'_>) -> Fields {
    fields([
        ("request_id", json!(fault.request_id)),
        ("reason", json!(fault.reason)),
        ("error_type", json!(fault.error_type)),
    ])
}

fn registration(it: &Registration<'_>) -> Fields {
    fields([
        ("name", json!(it.name)),
        ("state", json!(it.state)),
        ("items", json!(it.items)),
        ("error_type", json!(it.error_type)),
    ])
}

fn platform(event: &PlatformEvent<'_>) -> Fields {
    let none = Record::default();
    let record = event.record.as_ref().unwrap_or(&none);
    let Record { metrics, spans, .. } = record;
    let mut all = fields([
        ("type", json!(event.kind)),
        ("request_id", json!(record.request_id)),
        ("function_arn", json!(record.function_arn)),
        ("version", json!(record.version)),
        ("tenant_id", json!(record.tenant_id)),
        ("initialization_type", json!(record.initialization_type)),
        ("phase", json!(record.phase)),
        ("runtime_version", json!(record.runtime_version)),
        ("runtime_version_arn", json!(record.runtime_version_arn)),
        ("function_name", json!(record.function_name)),
        ("function_version", json!(record.function_version)),
        ("instance_id", json!(record.instance_id)),
        ("instance_max_memory", number(record.instance_max_memory)),
        ("name", json!(record.name)),
        ("state", json!(record.state)),
        ("reason", json!(record.reason)),
        ("dropped_bytes", number(record.dropped_bytes)),
        ("dropped_records", number(record.dropped_records)),
        ("status", json!(record.status)),
        ("error_type", json!(record.error_type)),
    ]);
    all.extend(self::metrics(metrics));
    for span in spans {
        all.entry(format!("span_{}", span.name)).or_insert_with(|| number(Some(span.duration_ms)));
    }
    all
}

fn metrics(metrics: &Metrics) -> Fields {
    fields([
        ("duration_ms", number(metrics.duration_ms)),
        ("billed_duration_ms", number(metrics.billed_duration_ms)),
        ("memory_size_mb", number(metrics.memory_size_mb)),
        ("max_memory_used_mb", number(metrics.max_memory_used_mb)),
        ("init_duration_ms", number(metrics.init_duration_ms)),
        ("restore_duration_ms", number(metrics.restore_duration_ms)),
        ("billed_restore_duration_ms", number(metrics.billed_restore_duration_ms)),
        ("produced_bytes", number(metrics.produced_bytes)),
    ])
}

fn monitoring(line: &MonitoringLine<'_>) -> Fields {
    let mut records = line.metrics().map(one_metric);
    let mut first = records.next().unwrap_or_default();
    if let Some(id) = &line.request_id {
        first.insert("request_id".into(), json!(id));
    }
    let more: Vec<_> = records.collect();
    if !more.is_empty() {
        first.insert("more".into(), json!(more));
    }
    first
}

fn one_metric(metric: &Monitoring<'_>) -> Fields {
    fields([
        ("value", number(Some(metric.value.number()))),
        ("type", json!(metric.value.kind().as_str())),
        ("name", json!(metric.name)),
        ("timestamp_ms", json!(metric.time.millis())),
        ("timestamp_source", json!(if metric.own_time { "line" } else { "event" })),
        ("tags", json!(metric.tags().collect::<Vec<_>>())),
    ])
}

fn datadog(metric: &DatadogMetric<'_>) -> Fields {
    fields([
        ("name", json!(metric.name)),
        ("value", number(Some(metric.value))),
        ("timestamp_ms", json!(metric.time.millis())),
        ("tags", json!(metric.tags)),
    ])
}

fn emf(emf: &Emf<'_>) -> Fields {
    let first = emf.directives.first();
    let dimensions = first.map(|directive| {
        emf.dimensions_of(directive).map(|(key, value)| (key.to_owned(), json!(value))).collect::<Fields>()
    });
    let values = emf.metrics().flat_map(|metric| metric.values.iter().map(move |value| (metric, *value)));
    let metrics: Vec<_> = values
        .map(|(metric, value)| {
            fields([("name", json!(metric.name)), ("value", number(Some(value))), ("unit", json!(metric.unit))])
        })
        .collect();
    fields([
        ("namespace", json!(first.map(|directive| &directive.namespace))),
        ("metrics", json!(metrics)),
        ("dimensions", json!(dimensions)),
        ("timestamp_ms", json!(emf.time.millis())),
        ("request_id", json!(emf.request_id)),
    ])
}
