//! Any lines go through the pipeline: nothing panics, every line is a log to the byte or a metric, and
//! what comes out is JSON. What is read of a line as it stands in JSON is what is read of its text.
//! Lines are set apart by NUL.

#![no_main]

use libfuzzer_sys::fuzz_target;
use logferry::backend::{Backend, Context};
use logferry::env::Env;
use logferry::event::Envelope;
use logferry::json::JsonStr;
use logferry::model::{Forwarder, Sink, Timestamp};
use logferry::parse::{Application, Line, Object, Platform};
use logferry::pipeline::{Pipeline, Settings, push_text};

fuzz_target!(|text: &str| {
    let lookup = |name: &str| (name == "LOGFERRY_BACKENDS").then(|| "stdout".to_owned());
    let mut backends = Backend::from_env(&mut Env::new(&lookup), None);
    let own = Forwarder::default();
    let mut encoder = backends[0].encoder(&Context { forwarder: &own, now: Timestamp::default() });
    assert!(encoder.wants_json_fields());
    let pipeline = Pipeline::new(Settings::default());
    let envelope = Envelope { log_group: "/aws/lambda/f".into(), ..Envelope::default() };
    let mut run = pipeline.run(&envelope, &own);
    let lines: Vec<_> = text.split('\0').collect();
    for line in &lines {
        let _ = Line::parse(line, None);
        let mut buffer = Vec::new();
        let escaped = JsonStr::escape(line, &mut buffer).escaped();
        if let Some(read) = Platform::parse_escaped(escaped) {
            assert_eq!(Some(read), Platform::parse_text(line));
        }
        if let Some(app) = Application::parse_escaped(escaped) {
            let read = Some(Line::app_json(app, None));
            assert_eq!(format!("{read:?}"), format!("{:?}", Object::parse(line).map(|object| Line::json(object, None))));
        }
        push_text(&mut run, "1", Timestamp::from_millis(1_700_000_000_000), line, &mut encoder);
    }
    let counts = run.finish(&mut encoder);
    assert_eq!(counts.received, lines.len() as u64);
    assert_eq!(counts.received, counts.logs + counts.consumed);
    let mut logs = Vec::new();
    let mut metrics = 0;
    for request in encoder.finish().requests {
        for line in request.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let object: serde_json::Value = serde_json::from_slice(line).expect("a line is JSON");
            match object["kind"].as_str() {
                Some("log") => logs.push(object["message"].as_str().expect("a log has a message").to_owned()),
                _ => metrics += 1,
            }
        }
    }
    assert_eq!((logs.len() as u64, metrics), (counts.logs, counts.metrics));
    let mut rest = lines.iter();
    for log in &logs {
        assert!(rest.any(|line| line == log), "logs are lines, unchanged and in order");
    }
});
