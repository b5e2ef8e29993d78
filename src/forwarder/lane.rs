//! Requests of one backend: those that wait, those that are on their way, and what became of them.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::{Fate, Note, Outcome};
use crate::backend::Backend;
use crate::delivery::{Delivered, Dropped, Patience};
use crate::ledger::Reason;
use crate::model::{self, Timestamp};
use crate::request::{Request, Weight};

/// Requests of one backend that are stored at the same time.
const STORED_AT_ONCE: usize = 16;

/// Requests of one backend.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: String,
    /// Whether its requests go over a network: only those are counted as requests.
    pub(super) remote: bool,
    /// Place of the lane that is encoded for: an earlier one with the same bytes, or its own.
    pub(super) leader: usize,
    /// What readdresses the requests of another lane; nothing if it is its own leader.
    pub(super) own: Option<(Backend, model::Forwarder)>,
    /// `None` for a backend that is down: its requests are stored at once.
    pub(super) patience: Option<Patience>,
    /// Routes whose intake asked to be left alone for longer than the invocation may take, or hasn't taken a request
    /// within the time that one may have.
    resting: Vec<&'static str>,
    pub(super) waiting: VecDeque<Request>,
    /// Routes of the requests that are on their way.
    flying: Vec<&'static str>,
    /// Whether a request isn't sent before the one before it on its route has been answered.
    in_order: bool,
}

/// What became of a request, and of what couldn't be sent.
pub(super) struct Landed {
    pub(super) delivered: Delivered,
    pub(super) route: &'static str,
    pub(super) stored: Vec<Dropped>,
    /// Given up, and in the store for somebody to look at.
    pub(super) aside: Vec<Dropped>,
    pub(super) unauthorized: bool,
    /// How long storing took.
    pub(super) storing: Duration,
    /// Why something couldn't be stored.
    pub(super) trouble: Option<String>,
}

/// A lane for each backend; one whose requests are the same as an earlier one's follows that.
pub(super) fn lanes(
    backends: &[Backend],
    forwarder: &model::Forwarder,
    patience: impl Fn(usize) -> Option<Patience>,
) -> Vec<Lane> {
    let lane = |(place, backend): (usize, &Backend)| {
        let leader = backends.iter().position(|other| other.encodes_like(backend));
        let leader = leader.filter(|leader| *leader < place);
        Lane {
            name: backend.name().to_owned(),
            remote: backend.is_remote(),
            leader: leader.unwrap_or(place),
            own: leader.map(|_| (backend.clone(), forwarder.clone())),
            patience: patience(place),
            resting: Vec::new(),
            waiting: VecDeque::new(),
            flying: Vec::new(),
            in_order: backend.wants_order(),
        }
    };
    backends.iter().enumerate().map(lane).collect()
}

/// Gives requests to the lane that they were encoded for, and to those that follow it.
pub(super) fn hand_out(lanes: &mut [Lane], leader: usize, requests: Vec<Request>, oldest: Timestamp) {
    for lane in lanes.iter_mut().filter(|lane| lane.leader == leader) {
        if let Some((backend, forwarder)) = &lane.own {
            let own = requests.iter().filter_map(|request| backend.readdressed(request, forwarder)).collect();
            lane.take(own, oldest);
        }
    }
    if let Some(lane) = lanes.get_mut(leader) {
        lane.take(requests, oldest);
    }
}

impl Lane {
    /// The next request that may be sent, or is only to be stored: it then is on its way.
    pub(super) fn launch(&mut self, concurrency: usize) -> Option<Request> {
        let now = Instant::now();
        let may_go = |request: &Request| match self.patience_for(request.route) {
            Some(patience) if now < patience.deadline => {
                self.has_room(concurrency) && !(self.in_order && self.flying.contains(&request.route))
            }
            // A store has no order, and takes many at once.
            Some(_) | None => self.has_room(STORED_AT_ONCE.max(concurrency)),
        };
        let place = self.waiting.iter().position(may_go)?;
        let request = self.waiting.remove(place)?;
        self.flying.push(request.route);
        Some(request)
    }

    /// How long may be tried to send what is for this route; `None` where nothing is sent.
    pub(super) fn patience_for(&self, route: &str) -> Option<Patience> {
        self.patience.filter(|_| !self.resting.contains(&route))
    }

    /// Whether a request for this route waits.
    pub(super) fn waits(&self, route: &str) -> bool {
        self.waiting.iter().any(|request| request.route == route)
    }

    /// Whether more may be on its way.
    pub(super) fn has_room(&self, concurrency: usize) -> bool {
        self.flying.len() < concurrency
    }

    fn land(&mut self, route: &str) {
        if let Some(place) = self.flying.iter().position(|flying| *flying == route) {
            self.flying.swap_remove(place);
        }
    }

    fn take(&mut self, requests: Vec<Request>, oldest: Timestamp) {
        self.waiting.extend(requests.into_iter().map(|request| Request { oldest, ..request }));
    }
}

/// Takes down what became of a request.
pub(super) fn land(lanes: &mut [Lane], index: usize, landed: Landed, outcome: &mut Outcome) {
    let (Some(lane), Some(account)) = (lanes.get_mut(index), outcome.ledger.backends.get_mut(index)) else { return };
    let Landed { delivered, route, stored, aside, unauthorized, storing, trouble } = landed;
    lane.land(route);
    // What couldn't be tried any longer, and is stored: so is what comes behind it, while there is time.
    let is_spent = |dropped: &Dropped| matches!(dropped.reason, Reason::Busy | Reason::Deadline | Reason::Unreachable);
    if (delivered.rests || stored.iter().any(is_spent)) && !lane.resting.contains(&route) {
        lane.resting.push(route);
    }
    account.sent += delivered.sent;
    account.stored += stored.iter().map(|dropped| dropped.weight).sum::<Weight>();
    if lane.remote {
        account.requests += delivered.requests;
        account.retries += delivered.retries;
        account.bytes += delivered.bytes;
        account.slowest = account.slowest.max(delivered.slowest);
    }
    for dropped in delivered.dropped.iter().chain(&aside) {
        account.drop(dropped.reason, dropped.weight);
        // A part of a metric, as the lines of a histogram: it has no weight, and is missing all the same.
        outcome.undone += u64::from(dropped.weight.total() == 0 && dropped.reason.may_pass());
    }
    outcome.unauthorized |= unauthorized;
    outcome.storing = outcome.storing.max(storing);
    if let Some(trouble) = trouble {
        outcome.note_store(trouble);
    }
    for warning in delivered.warnings {
        outcome.note(Note::Warned { backend: lane.name.clone(), warning });
    }
    for (fate, requests) in [(Fate::Dropped, delivered.dropped), (Fate::SetAside, aside), (Fate::Stored, stored)] {
        for dropped in requests {
            outcome.note(Note::undelivered(&lane.name, fate, dropped));
        }
    }
}
