//! What an event carries, record by record, and what its source is answered.

use tokio::time::Instant;

use super::{Forwarder, Invocation, Note, Outcome, patience};
use crate::delivery::Transport;
use crate::event::{Content, Event, Record, Reply, Source, TransformResult, Transformed};
use crate::model::Sink;

impl<T: Transport> Forwarder<T> {
    /// Forwards what an event carries. A record that can't be forwarded now is asked
    /// for again; one that never can be isn't.
    pub(super) async fn records(
        &mut self,
        event: Event<'_>,
        invocation: &Invocation<'_>,
        observer: &mut impl Sink,
    ) -> Outcome {
        let mut outcome = self.outcome();
        let (mut failed, mut transformed) = (Vec::new(), Vec::new());
        let last = patience(self.sending, invocation).deadline;
        for record in event.records {
            // Kinesis starts again at the first failure: what is behind it would be sent twice.
            let stopped = event.source == Source::Kinesis && !failed.is_empty();
            let late = matches!(event.source, Source::Kinesis | Source::Sqs) && Instant::now() >= last;
            let well = if stopped || late {
                false
            } else {
                let one = self.record(&record, invocation, observer).await;
                let well = one.failed() == 0;
                outcome.add(one);
                well
            };
            match event.source {
                Source::Firehose => transformed.push(self.transformed(record, well)),
                Source::Kinesis | Source::Sqs if !well => failed.push(record.id.into_owned()),
                Source::Kinesis | Source::Redrive | Source::S3 | Source::Sqs | Source::Subscription => {}
            }
        }
        outcome.reply = match event.source {
            Source::Firehose => Reply::transformed(transformed),
            Source::Kinesis | Source::Sqs => Reply::Failed(failed),
            Source::Redrive | Source::S3 | Source::Subscription => Reply::Nothing,
        };
        outcome
    }

    async fn record(&mut self, record: &Record<'_>, invocation: &Invocation<'_>, observer: &mut impl Sink) -> Outcome {
        match &record.content {
            Content::Delivery(data) => match record.batch(self.limits) {
                Some(batch) => {
                    let mut outcome = self.forward(batch, invocation, observer).await;
                    if outcome.ledger.damaged > 0 {
                        self.keep_damaged(data.as_bytes(), &mut outcome).await;
                    }
                    outcome
                }
                None => self.outcome(),
            },
            Content::Event(json) => Box::pin(self.handle(json, invocation, observer)).await,
            Content::Objects(places) => self.redrive_objects(places, invocation).await,
            Content::Redrive(wish) => self.redrive(wish, invocation).await,
            Content::Stored(json) => self.redrive_message(json, invocation).await,
            Content::Unknown => {
                let mut outcome = self.outcome();
                outcome.ledger.damaged += 1;
                outcome.notes.push(Note::Unreadable { id: record.id.to_string() });
                outcome
            }
        }
    }

    /// Stores a payload that can't be decoded, where there is a place for it.
    async fn keep_damaged(&self, payload: &[u8], outcome: &mut Outcome) {
        let Some(store) = &self.store else { return };
        let what = outcome.notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        // A queue holds requests only: there it is counted and told, as without a store.
        if let Err(error) = store.put_damaged(payload, &what).await
            && error != crate::store::StoreError::NotAList
        {
            outcome.note_store(error.to_string());
        }
    }

    fn transformed(&self, record: Record<'_>, well: bool) -> Transformed {
        let result = if well { self.sending.firehose } else { TransformResult::ProcessingFailed };
        let data = match record.content {
            Content::Delivery(data) if result == TransformResult::Ok => Some(data.into_owned()),
            _ => None,
        };
        Transformed { id: record.id.into_owned(), result, data }
    }
}
