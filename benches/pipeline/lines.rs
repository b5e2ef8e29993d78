//! What a line of each kind costs the pipeline when nobody takes what is made of it.

use std::hint::black_box;

use logferry::event::Envelope;
use logferry::json::{JsonStr, write_escaped};
use logferry::model::{LogEvent, Timestamp};
use logferry::pipeline::{Pipeline, Settings};

use super::ferry::forwarder;
use super::workload::{ACCOUNT, LOG_GROUP, LOG_STREAM, Lines};

/// Lines of a batch: all of them stay in the first cache.
pub(crate) const BATCH: usize = 64;

/// A kind of line, and what writes one.
type Kind = (&'static str, fn(&mut Lines) -> String);

const KINDS: [Kind; 12] = [
    ("START", |lines| lines.start()),
    ("END", |lines| lines.end()),
    ("REPORT", Lines::report),
    ("platform.report, JSON", Lines::platform_report),
    ("text behind Node.js's prefix", Lines::node),
    ("plain text", Lines::plain),
    ("JSON of the application", Lines::json),
    ("MONITORING at the start", Lines::monitoring),
    ("MONITORING behind a prefix", Lines::monitoring_behind_prefix),
    ("MONITORING in JSON's message", Lines::monitoring_in_json),
    ("EMF", Lines::emf),
    ("nothing", |_| String::new()),
];

/// Lines of one kind.
pub(crate) struct Batch {
    pub(crate) name: &'static str,
    /// Messages as JSON escapes them, of different requests.
    escaped: Vec<String>,
    pipeline: Pipeline,
    envelope: Envelope,
}

/// A batch of each kind.
pub(crate) fn batches() -> Vec<Batch> {
    KINDS.into_iter().map(|(name, line)| Batch::new(name, line)).collect()
}

impl Batch {
    fn new(name: &'static str, line: fn(&mut Lines) -> String) -> Self {
        let mut lines = Lines::new();
        let mut escaped = Vec::new();
        for _ in 0..BATCH {
            lines.invoked();
            let mut message = Vec::new();
            write_escaped(&line(&mut lines), &mut message);
            escaped.push(String::from_utf8(message).unwrap());
        }
        let envelope = Envelope {
            owner: ACCOUNT.to_owned(),
            log_group: LOG_GROUP.to_owned(),
            log_stream: LOG_STREAM.to_owned(),
            ..Envelope::default()
        };
        Self { name, escaped, pipeline: Pipeline::new(Settings::default()), envelope }
    }

    /// Mean length of a message.
    pub(crate) fn bytes(&self) -> usize {
        self.escaped.iter().map(String::len).sum::<usize>() / BATCH
    }

    /// Takes the batch `times` times.
    pub(crate) fn run(&self, times: usize) {
        let forwarder = forwarder();
        let mut run = self.pipeline.run(&self.envelope, &forwarder);
        for _ in 0..times {
            for message in &self.escaped {
                let message = JsonStr::from_escaped(black_box(message));
                let time = Timestamp::from_millis(1_795_165_200_000);
                run.push(&LogEvent::new("1", time, message), &mut ());
            }
        }
        black_box(run.finish(&mut ()));
    }
}
