//! One invocation, from payload to ledger.
//!
//! Two halves meet here: one decodes and encodes, borrows from the event and never waits; the
//! other sends, and holds nothing of the event. The first runs until some requests are
//! ready, then the second sends them.

mod ferry;
mod lane;
mod outcome;
mod records;
mod redrive;
mod report;
mod reserve;
mod sending;
mod waiting;

use ferry::{FanOut, Ferry};
use lane::lanes;
pub use outcome::{Fate, Note, Outcome};
pub use redrive::Redriven;
pub use report::Report;
pub use sending::Sending;
use tokio::time::Instant;
pub use waiting::MAX_COUNTED;

use crate::backend::{Backend, Context};
use crate::delivery::{Patience, Transport};
use crate::event::{Batch, Event, Limits, MessageType};
use crate::ledger::Ledger;
use crate::model::{self, Sink, Timestamp};
use crate::pipeline::Pipeline;
use crate::store::{Copies, Store};

/// What is said of a request that isn't stored in time.
const NO_TIME: &str = "it did not answer in the time that was left";

/// Everything wired: made at cold start, used for every invocation.
#[derive(Debug)]
pub struct Forwarder<T> {
    /// From log events to telemetry.
    pub pipeline: Pipeline,
    /// Where telemetry goes.
    pub backends: Vec<Backend>,
    /// What carries requests.
    pub transport: T,
    /// How much a payload may make us hold.
    pub limits: Limits,
    /// How requests are sent.
    pub sending: Sending,
    /// Where requests are kept that couldn't be sent.
    pub store: Option<Store>,
}

/// What differs from one invocation to the next.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'a> {
    /// The forwarder itself.
    pub forwarder: &'a model::Forwarder,
    /// The time at which it began.
    pub now: Timestamp,
    /// The same on the clock of the deadline.
    pub start: Instant,
    /// When Lambda ends it.
    pub deadline: Instant,
    /// Makes jitter.
    pub seed: u64,
}

impl<T: Transport> Forwarder<T> {
    /// Forwards what a payload carries. `observer` sees everything that is made.
    pub async fn handle(&mut self, payload: &str, invocation: &Invocation<'_>, observer: &mut impl Sink) -> Outcome {
        let terms = Terms { patience: self.patience(invocation), down: &[] };
        self.handle_on(&terms, payload, invocation, observer).await
    }

    /// Forwards what a payload carries on these terms.
    async fn handle_on(
        &mut self,
        terms: &Terms<'_>,
        payload: &str,
        invocation: &Invocation<'_>,
        observer: &mut impl Sink,
    ) -> Outcome {
        match Event::from_json(payload) {
            // On the heap: it holds all that is on its way.
            Ok(event) => Box::pin(self.records(event, terms, invocation, observer)).await,
            Err(error) => {
                let mut outcome = self.outcome();
                outcome.ledger.damaged += 1;
                outcome.notes.push(Note::Unknown(error));
                outcome
            }
        }
    }

    /// Forwards one delivery.
    pub async fn forward(
        &mut self,
        batch: Batch<'_>,
        invocation: &Invocation<'_>,
        observer: &mut impl Sink,
    ) -> Outcome {
        let terms = Terms { patience: self.patience(invocation), down: &[] };
        let outcome = self.forward_on(&terms, batch, invocation, observer).await;
        self.sending.learnt = reserve::learn(self.sending.learnt, outcome.storing);
        outcome
    }

    /// Forwards one delivery on these terms.
    async fn forward_on(
        &mut self,
        terms: &Terms<'_>,
        mut batch: Batch<'_>,
        invocation: &Invocation<'_>,
        observer: &mut impl Sink,
    ) -> Outcome {
        let mut outcome = self.outcome();
        let envelope = match batch.envelope() {
            Ok(envelope) => envelope.clone(),
            Err(error) => {
                outcome.damaged(String::new(), 0, error);
                return outcome;
            }
        };
        if envelope.message_type == MessageType::Control {
            outcome.ledger.control_messages += 1;
            return outcome;
        }
        if invocation.forwarder.log_group.as_ref().is_some_and(|own| *own == envelope.log_group) {
            outcome.ledger.own_log_group += 1;
            return outcome;
        }
        let payload = batch.payload();
        let context = Context { forwarder: invocation.forwarder, now: invocation.now };
        let lanes = lanes(&self.backends, invocation.forwarder, |place| terms.of(place));
        let leading = |place: usize| lanes.get(place).is_some_and(|lane| lane.leader == place);
        let backends = self.backends.iter_mut().enumerate().filter(|(place, _)| leading(*place));
        let encoders = backends.map(|(place, backend)| (place, backend.encoder(&context))).collect();
        let mut out = FanOut { encoders, observer };
        let mut run = self.pipeline.run(&envelope, invocation.forwarder);
        let log_group = envelope.log_group;
        let ferry = Ferry {
            transport: &self.transport,
            sending: self.sending,
            end: last_moment(self.sending, invocation),
            seed: invocation.seed,
            store: self.store.as_ref(),
            copies: Copies::of(payload),
        };
        ferry.drive(&mut batch, &mut run, &mut out, lanes, &mut outcome, log_group).await;
        outcome.ledger.inflated_bytes += batch.inflated_bytes();
        outcome.ledger.replaced += batch.replaced();
        outcome.check();
        outcome
    }

    /// Takes over what another one of the same settings has learnt and counted.
    pub fn inherit(&mut self, before: Self) {
        self.sending.learnt = before.sending.learnt;
        for before in before.backends {
            if let Some(backend) = self.backends.iter_mut().find(|backend| backend.name() == before.name()) {
                backend.inherit(before);
            }
        }
    }

    /// How long sending may take: what is reserved for storing is left out.
    fn patience(&self, invocation: &Invocation<'_>) -> Patience {
        let left = invocation.deadline.saturating_duration_since(Instant::now());
        let kept = reserve::kept(self.sending.reserve, self.sending.learnt, left);
        let deadline = invocation.deadline.checked_sub(kept).unwrap_or(invocation.deadline);
        Patience { attempt: self.sending.attempt, deadline }
    }

    /// An empty ledger for these backends.
    pub fn ledger(&self) -> Ledger {
        Ledger::new(self.backends.iter().map(Backend::name))
    }

    fn outcome(&self) -> Outcome {
        Outcome { ledger: self.ledger(), ..Outcome::default() }
    }
}

/// Until when requests may be stored: the answer has to be given after that. It is the same moment whenever it is asked
/// for, so that many things that are waited for don't use up more of the time than one.
fn last_moment(sending: Sending, invocation: &Invocation<'_>) -> Instant {
    let whole = invocation.deadline.saturating_duration_since(invocation.start);
    invocation.deadline.checked_sub(reserve::margin(sending.reserve, whole)).unwrap_or(invocation.deadline)
}

/// Less patience, for one of several requests or records that can be stored: the others need time, too.
fn brief(patience: Patience) -> Patience {
    let now = Instant::now();
    let left = patience.deadline.saturating_duration_since(now);
    Patience { deadline: now + (patience.attempt * 2).min(left / 2), ..patience }
}

/// How a delivery is sent.
struct Terms<'a> {
    patience: Patience,
    /// Places of backends to which nothing is sent: their requests are stored at once.
    down: &'a [usize],
}

impl Terms<'_> {
    fn of(&self, backend: usize) -> Option<Patience> {
        (!self.down.contains(&backend)).then_some(self.patience)
    }
}
