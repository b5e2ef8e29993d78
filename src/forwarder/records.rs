//! What an event carries, record by record, and what its source is answered.

use futures_util::FutureExt;
use tokio::time::Instant;

use super::{Forwarder, Invocation, NO_TIME, Note, Outcome, Terms, brief, last_moment, reserve};
use crate::delivery::{Patience, Transport, in_time};
use crate::event::{Content, Event, Record, Reply, Source, TransformResult, Transformed};
use crate::model::Sink;
use crate::store::StoreError;

impl<T: Transport> Forwarder<T> {
    /// Forwards what an event carries. The source is asked to deliver again what can't be forwarded now, but not
    /// what never can be.
    pub(super) async fn records(
        &mut self,
        event: Event<'_>,
        terms: &Terms<'_>,
        invocation: &Invocation<'_>,
        observer: &mut impl Sink,
    ) -> Outcome {
        let mut outcome = self.outcome();
        let (mut failed, mut transformed, mut down) = (Vec::new(), Vec::new(), terms.down.to_vec());
        let whole = terms.patience;
        let (mut others, mut left) = (event.records.len(), 0);
        for record in event.records {
            others -= 1;
            // Kinesis delivers everything again from the first failure on: what is behind it would be sent twice. A queue
            // that keeps the order wants what is behind it untouched.
            let stopped = matches!(event.source, Source::Kinesis | Source::SqsFifo) && !failed.is_empty();
            let over = || Instant::now() >= whole.deadline || self.transport.ended().now_or_never().is_some();
            let late = event.source.delivers_again() && over();
            left += usize::from(late);
            let (well, loses) = if stopped || late {
                outcome.undone += 1;
                (false, true)
            } else {
                let terms = Terms { patience: self.patience_of_one(whole, others), down: &down };
                let one = self.record(&record, &terms, invocation, observer).await;
                if self.store.is_some() {
                    down = one.down(down);
                }
                let well = one.failed() == 0 && (!event.source.is_queue() || one.waiting == 0);
                let loses = one.loses();
                outcome.add(one);
                (well, loses)
            };
            match event.source {
                Source::Firehose => transformed.push(self.transformed(record, well, loses)),
                source if source.delivers_again() && !well => failed.push(record.id.into_owned()),
                _ => {}
            }
        }
        if left > 0 {
            outcome.notes.push(Note::Late { records: left });
        }
        self.sending.learnt = reserve::learn(self.sending.learnt, outcome.storing);
        outcome.reply = match event.source {
            Source::Firehose => Reply::transformed(transformed),
            Source::Kinesis | Source::Sqs | Source::SqsFifo => Reply::Failed(failed),
            Source::Redrive => outcome.reply_to_redrive(),
            Source::S3 | Source::Subscription => Reply::Nothing,
        };
        outcome
    }

    /// Where there is a store, one record doesn't use up the time of those behind it.
    fn patience_of_one(&self, whole: Patience, others: usize) -> Patience {
        if others > 0 && self.store.is_some() { brief(whole) } else { whole }
    }

    /// Forwards what one record holds.
    async fn record(
        &mut self,
        record: &Record<'_>,
        terms: &Terms<'_>,
        invocation: &Invocation<'_>,
        observer: &mut impl Sink,
    ) -> Outcome {
        match &record.content {
            Content::Delivery(data) => match record.batch(self.limits) {
                Some(batch) => {
                    let mut outcome = self.forward_on(terms, batch, invocation, observer).await;
                    if outcome.ledger.damaged > 0 {
                        self.keep_damaged(data.as_bytes(), invocation, &mut outcome).await;
                    }
                    outcome
                }
                None => self.outcome(),
            },
            Content::Event(json) => Box::pin(self.handle_on(terms, json, invocation, observer)).await,
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

    /// Stores a payload that can't be decoded, if there is a store that takes it.
    async fn keep_damaged(&self, payload: &[u8], invocation: &Invocation<'_>, outcome: &mut Outcome) {
        let Some(store) = &self.store else { return };
        let what = outcome.notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let end = last_moment(self.sending, invocation);
        match in_time(&self.transport, end, store.put_damaged(payload, &what)).await {
            Some(Ok(key)) => outcome.kept(&key),
            // A queue holds requests only: the payload is counted and reported, as without a store.
            Some(Err(StoreError::NotAList)) => {}
            Some(Err(error)) => outcome.note_store(error.to_string()),
            None => outcome.note_store(NO_TIME.to_owned()),
        }
    }

    /// What Firehose is answered for a record: it drops none of which something would then be nowhere.
    fn transformed(&self, record: Record<'_>, well: bool, loses: bool) -> Transformed {
        let result = match self.sending.firehose {
            TransformResult::Dropped if loses => TransformResult::ProcessingFailed,
            set if well => set,
            _ => TransformResult::ProcessingFailed,
        };
        let data = match record.content {
            Content::Delivery(data) if result == TransformResult::Ok => Some(data.into_owned()),
            _ => None,
        };
        Transformed { id: record.id.into_owned(), result, data }
    }
}
