//! One delivery: encoded a part at a time, and sent while more is encoded.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use super::lane::{Landed, Lane, hand_out, land};
use super::{Fate, NO_TIME, Note, Outcome, Sending, brief};
use crate::backend::{Encoded, Encoder};
use crate::delivery::{Delivered, Dropped, ENDING, Patience, Transport, deliver, in_time};
use crate::event::{Batch, DecodeError};
use crate::ledger::Reason;
use crate::model::{Log, Metric, Origin, Sink};
use crate::parcel::Parcel;
use crate::pipeline::{Counts, Run};
use crate::request::{Destination, Request, Weight};
use crate::store::{Copies, Shelf, Store};

/// Bytes of bodies that may wait for slow backends while more is encoded for the others.
const MAX_WAITING: usize = 16 << 20;

/// What is said of a request that isn't sent as its backend is down.
const DOWN: &str = "the backend did not take what came before in this invocation";

/// Sends one item to several places.
pub(super) struct FanOut<'b, 'o, S> {
    /// Each with the place of its lane; one may encode for several lanes.
    pub(super) encoders: Vec<(usize, Encoder<'b>)>,
    pub(super) observer: &'o mut S,
}

/// Sends the requests of one delivery, and stores those that can't be sent.
pub(super) struct Ferry<'a, T> {
    pub(super) transport: &'a T,
    pub(super) sending: Sending,
    /// Nothing is stored after this.
    pub(super) end: Instant,
    pub(super) seed: u64,
    pub(super) store: Option<&'a Store>,
    pub(super) copies: Copies<'a>,
}

impl<T: Transport> Ferry<'_, T> {
    /// Lets the half that encodes and the half that sends take turns.
    pub(super) async fn drive<S: Sink>(
        &self,
        batch: &mut Batch<'_>,
        run: &mut Run<'_>,
        out: &mut FanOut<'_, '_, S>,
        mut lanes: Vec<Lane>,
        outcome: &mut Outcome,
        log_group: String,
    ) {
        let mut flying = FuturesUnordered::new();
        let mut more = true;
        let mut launched = 0;
        loop {
            for (index, lane) in lanes.iter_mut().enumerate() {
                while let Some(request) = lane.launch(self.sending.concurrency) {
                    launched += 1;
                    let name = lane.name.clone();
                    let patience = lane.patience_for(request.route).map(|whole| {
                        // What waits behind it has to be stored in time, too.
                        let shares = self.store.is_some() && (more || lane.waits(request.route));
                        if shares { brief(whole) } else { whole }
                    });
                    let seed = self.seed.wrapping_add(launched);
                    flying.push(async move { (index, self.send(name, request, patience, seed).await) });
                }
            }
            // Lets what was launched go out while more is encoded.
            if more && !flying.is_empty() {
                tokio::task::yield_now().await;
                if let Some(Some((index, landed))) = flying.next().now_or_never() {
                    land(&mut lanes, index, landed, outcome);
                    continue;
                }
            }
            let waiting: usize = lanes.iter().flat_map(|lane| &lane.waiting).map(|request| request.body.len()).sum();
            let hungry = lanes.is_empty()
                || lanes.iter().any(|lane| lane.waiting.is_empty() && lane.has_room(self.sending.concurrency));
            if more && (flying.is_empty() || (hungry && waiting < MAX_WAITING)) {
                let cut_short = Instant::now() >= self.end;
                more = if cut_short {
                    outcome.cut_short(log_group.clone(), run.received());
                    false
                } else {
                    fill(batch, run, out, self.end).unwrap_or_else(|error| {
                        outcome.damaged(log_group.clone(), run.received(), error);
                        false
                    })
                };
                for (place, encoder) in &mut out.encoders {
                    hand_out(&mut lanes, *place, encoder.take_ready(), run.oldest());
                }
                if !more && end(run, out, &mut lanes, cut_short, outcome).other_forwarders > 0 {
                    outcome.notes.push(Note::OtherForwarder { log_group: log_group.clone() });
                }
                continue;
            }
            match flying.next().await {
                Some((index, landed)) => {
                    land(&mut lanes, index, landed, outcome);
                }
                None => break,
            }
        }
    }

    /// Sends a request, unless its backend is down, and stores what wasn't taken.
    async fn send(&self, name: String, request: Request, patience: Option<Patience>, seed: u64) -> Landed {
        let route = request.route;
        let delivered = match patience {
            Some(patience) => deliver(self.transport, request, patience, seed).await,
            // Told to end: no backend is to blame.
            None if self.transport.ended().now_or_never().is_some() => unsent(request, Reason::Deadline, ENDING),
            None => unsent(request, Reason::Down, DOWN),
        };
        let unauthorized = delivered.dropped.iter().any(|dropped| dropped.reason == Reason::Unauthorized);
        let mut landed = Landed {
            delivered,
            route,
            stored: Vec::new(),
            aside: Vec::new(),
            unauthorized,
            storing: Duration::ZERO,
            trouble: None,
        };
        if let Some(store) = self.store {
            for dropped in std::mem::take(&mut landed.delivered.dropped) {
                self.keep(store, &name, dropped, &mut landed).await;
            }
        }
        landed
    }

    /// Stores what wasn't taken: to be sent again, or set aside if it never will be. What has no request of its own,
    /// or was for standard output, stays dropped.
    async fn keep(&self, store: &Store, name: &str, dropped: Dropped, landed: &mut Landed) {
        let whole = dropped.weight == dropped.request.weight();
        if !whole || matches!(dropped.request.destination, Destination::Stdout) {
            landed.delivered.dropped.push(dropped);
            return;
        }
        // A queue has no such shelf: it sends what it holds, and itself gives up what is refused again and again.
        let place = if dropped.reason.may_pass() || store.is_queue() { Shelf::Pending } else { Shelf::SetAside };
        // Marking the first one takes a hash of the whole payload: that is a part of storing.
        let before = Instant::now();
        let parcel = Parcel::pack(name, &dropped.request, dropped.reason.as_str(), &dropped.last);
        let put = in_time(self.transport, self.end, store.put(place, &self.copies.mark(parcel))).await;
        landed.storing = landed.storing.max(before.elapsed());
        let trouble = match put {
            Some(Ok(())) if place == Shelf::Pending => return landed.stored.push(dropped),
            Some(Ok(())) => return landed.aside.push(dropped),
            Some(Err(error)) => error.to_string(),
            None => NO_TIME.to_owned(),
        };
        landed.trouble = Some(trouble);
        landed.delivered.dropped.push(dropped);
    }
}

/// A request that isn't tried to send.
fn unsent(request: Request, reason: Reason, why: &str) -> Delivered {
    let (weight, last) = (request.weight(), why.to_owned());
    Delivered { dropped: vec![Dropped { request, weight, reason, last }], ..Delivered::default() }
}

/// Ends the batch: hands out the last requests, and takes the counts into the ledger.
fn end<S: Sink>(
    run: &mut Run<'_>,
    out: &mut FanOut<'_, '_, S>,
    lanes: &mut [Lane],
    cut_short: bool,
    outcome: &mut Outcome,
) -> Counts {
    let counts = run.finish(out);
    let ledger = &mut outcome.ledger;
    ledger.received += counts.received;
    ledger.oldest = (counts.received > 0).then(|| run.oldest());
    ledger.consumed += counts.consumed;
    ledger.made += Weight { logs: counts.logs, metrics: counts.metrics };
    ledger.metric_names_over_bound += counts.metric_names_over_bound;
    ledger.tags_over_bound += counts.tags_over_bound;
    for (place, encoder) in std::mem::take(&mut out.encoders) {
        let Encoded { requests, oversize, filtered, left } =
            if cut_short { encoder.cut_short() } else { encoder.finish() };
        hand_out(lanes, place, requests, run.oldest());
        let of_lanes = lanes.iter().zip(&mut ledger.backends).filter(|(lane, _)| lane.leader == place);
        for (lane, account) in of_lanes {
            account.filtered += filtered;
            account.filtered.logs += counts.filtered;
            if left.total() > 0 {
                // Why is said of the delivery.
                account.drop(Reason::Deadline, left);
            }
            if oversize.total() > 0 {
                account.drop(Reason::Oversize, oversize);
                outcome.notes.push(Note::Undelivered {
                    backend: lane.name.clone(),
                    address: String::new(),
                    fate: Fate::Dropped,
                    reason: Reason::Oversize,
                    weight: oversize,
                    last: "larger than a request can be".to_owned(),
                });
            }
        }
    }
    counts
}

/// Encodes log events until some backend has a request ready, or it is time to end; `false` after the last one.
fn fill<S: Sink>(
    batch: &mut Batch<'_>,
    run: &mut Run<'_>,
    out: &mut FanOut<'_, '_, S>,
    end: Instant,
) -> Result<bool, DecodeError> {
    while batch.some(|event| run.push(event, out))? {
        let is_ready = |(_, encoder): &(usize, Encoder<'_>)| encoder.has_ready();
        let is_over = || Instant::now() >= end;
        if out.encoders.is_empty() || out.encoders.iter().any(is_ready) || is_over() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl<S: Sink> Sink for FanOut<'_, '_, S> {
    fn log(&mut self, origin: &Origin, log: &Log<'_>) {
        self.observer.log(origin, log);
        for (_, encoder) in &mut self.encoders {
            encoder.log(origin, log);
        }
    }

    fn wants_json_fields(&self) -> bool {
        self.observer.wants_json_fields() || self.encoders.iter().any(|(_, encoder)| encoder.wants_json_fields())
    }

    fn metrics(&mut self, origin: &Origin, metrics: &[Metric<'_>]) {
        self.observer.metrics(origin, metrics);
        for (_, encoder) in &mut self.encoders {
            encoder.metrics(origin, metrics);
        }
    }
}
