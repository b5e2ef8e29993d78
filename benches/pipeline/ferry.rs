//! The pipeline that is measured: from an event to finished requests, and no network.

use logferry::backend::{Backend, Context, Encoder};
use logferry::env::Env;
use logferry::event::{Event, Limits};
use logferry::model::{Forwarder, Log, Metric, Origin, Sink, Timestamp};
use logferry::pipeline::Pipeline;
use logferry::request::Request;
use logferry::settings::Settings;

use super::workload::{ACCOUNT, REGION};

/// When the forwarder runs.
pub(crate) const NOW: i64 = 1_795_165_300_000;

/// Everything that a cold start makes.
pub(crate) struct Ferry {
    pipeline: Pipeline,
    backends: Vec<Backend>,
    forwarder: Forwarder,
}

/// Several encoders as one, as in the forwarder.
struct FanOut<'b>(Vec<Encoder<'b>>);

impl Sink for FanOut<'_> {
    fn log(&mut self, origin: &Origin, log: &Log<'_>) {
        for encoder in &mut self.0 {
            encoder.log(origin, log);
        }
    }

    fn wants_json_fields(&self) -> bool {
        self.0.iter().any(Encoder::wants_json_fields)
    }

    fn metrics(&mut self, origin: &Origin, metrics: &[Metric<'_>]) {
        for encoder in &mut self.0 {
            encoder.metrics(origin, metrics);
        }
    }
}

impl Ferry {
    /// Sends to Datadog, compressed at a level or not at all.
    pub(crate) fn new(level: Option<u32>) -> Self {
        let level = level.map(|level| level.to_string());
        let compressed = level.is_some().to_string();
        let settings = [
            ("DD_API_KEY", "00000000000000000000000000000000"),
            ("DD_COMPRESSION_LEVEL", level.as_deref().unwrap_or_default()),
            ("DD_USE_COMPRESSION", &compressed),
        ];
        Self::to("datadog", &settings)
    }

    /// Sends to backends that settings describe.
    pub(crate) fn to(backends: &str, settings: &[(&str, &str)]) -> Self {
        let own = [("LOGFERRY_BACKENDS", backends)];
        let lookup = |name: &str| {
            let mut all = own.iter().chain(settings);
            all.find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let mut env = Env::new(&lookup);
        let settings = Settings::from_env(&mut env, None).unwrap();
        assert_eq!(env.into_mistakes(), []);
        Self { pipeline: Pipeline::new(settings.pipeline), backends: settings.backends, forwarder: forwarder() }
    }

    /// From the event to requests; each goes to `take` when it is finished.
    pub(crate) fn forward(&mut self, event: &str, mut take: impl FnMut(Request)) {
        let event = Event::from_json(event).unwrap();
        for mut batch in event.batches(Limits::DEFAULT) {
            let envelope = batch.envelope().unwrap().clone();
            let context = Context { forwarder: &self.forwarder, now: Timestamp::from_millis(NOW) };
            let mut encoder = FanOut(self.backends.iter_mut().map(|backend| backend.encoder(&context)).collect());
            let mut run = self.pipeline.run(&envelope, &self.forwarder);
            while batch.some(|event| run.push(event, &mut encoder)).unwrap() {
                for encoder in encoder.0.iter_mut().filter(|encoder| encoder.has_ready()) {
                    encoder.take_ready().into_iter().for_each(&mut take);
                }
            }
            run.finish(&mut encoder);
            for encoder in encoder.0 {
                encoder.finish().requests.into_iter().for_each(&mut take);
            }
        }
    }

    /// From the event to telemetry that nobody takes.
    pub(crate) fn measure(&self, event: &str) -> u64 {
        let event = Event::from_json(event).unwrap();
        let mut made = 0;
        for mut batch in event.batches(Limits::DEFAULT) {
            let envelope = batch.envelope().unwrap().clone();
            let mut run = self.pipeline.run(&envelope, &self.forwarder);
            while batch.some(|event| run.push(event, &mut ())).unwrap() {}
            let counts = run.finish(&mut ());
            made += counts.logs + counts.metrics;
        }
        made
    }
}

/// What the invocation says of the forwarder.
pub(crate) fn forwarder() -> Forwarder {
    let name = "logferry";
    Forwarder {
        function_arn: Some(format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")),
        function_name: Some(name.to_owned()),
        region: Some(REGION.to_owned()),
        log_group: Some(format!("/aws/lambda/{name}")),
        instance: String::new(),
    }
}

/// From the event to log events that nobody takes.
pub(crate) fn scan(event: &str) -> usize {
    let event = Event::from_json(event).unwrap();
    let mut bytes = 0;
    for mut batch in event.batches(Limits::DEFAULT) {
        while batch.some(|event| bytes += event.message.escaped().len()).unwrap() {}
    }
    bytes
}
