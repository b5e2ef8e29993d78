//! What was stored, sent again: which requests, in which order, and when to stop.
//!
//! The oldest come first, within the time and the number that are allowed; a
//! request is deleted only after its own acknowledgement. What the intake leaves
//! of a request is stored by itself before the whole is deleted. An intake that
//! takes nothing is left alone until the next redrive, once further requests, one of
//! them much younger, have shown that it isn't the first one's fault; a request that is
//! refused too often, or is too old for its backend, is set aside with the reason.

mod progress;
mod request;

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;

use futures_util::future::join_all;
use progress::Progress;
pub use progress::Redriven;
use request::{Found, Held, Next, read, set_aside};
use tokio::time::Instant;

use super::waiting::{MAX_COUNTED, keys};
use super::{Forwarder, Invocation, NO_TIME, Note, Outcome, brief, last_moment};
use crate::backend::Backend;
use crate::delivery::{FAIR, Patience, Transport, in_time};
use crate::event::Redrive;
use crate::ledger::Reason;
use crate::parcel::Parcel;
use crate::store::{Shelf, Store, StoreError, route_of};

/// Keys that are listed at once.
const PAGE: usize = 100;

/// How many stored requests behind one that isn't answered well are tried before an intake is left alone. The last of
/// them is the last that is known: what an intake never takes stands together.
const BEYOND: usize = 2;

/// Why a request is set aside that is never answered well while later ones are taken.
const STUCK: &str = "the backend has not taken it again and again, and what is behind it has been taken";

/// A pass over the stored requests of one backend.
struct Round<'a> {
    store: &'a Store,
    backend: &'a Backend,
    invocation: &'a Invocation<'a>,
    patience: Patience,
    /// By the name of their route.
    intakes: BTreeMap<String, Intake>,
}

/// What a pass has learnt of one of the backend's intakes.
#[derive(Default)]
struct Intake {
    /// Requests that weren't answered well since one was last taken: either the intake is down, or it can't take these.
    stuck: Vec<(String, Parcel)>,
    /// Whether nothing more is sent to it in this pass.
    left_alone: bool,
}

impl Round<'_> {
    /// Takes the next key of those that were listed: the oldest, unless an intake is to be left alone if it doesn't
    /// take the youngest either.
    fn next(&self, page: &mut VecDeque<String>) -> Option<String> {
        let doubted = self.intakes.iter().find(|(_, intake)| !intake.left_alone && intake.stuck.len() == BEYOND);
        let youngest = doubted.and_then(|(route, _)| page.iter().rposition(|key| may_be_for(route, key)));
        page.remove(youngest.unwrap_or_default())
    }

    fn leaves_alone(&self, route: &str) -> bool {
        self.intakes.get(route).is_some_and(|intake| intake.left_alone)
    }
}

/// Whether the request under a key may be for this route.
fn may_be_for(route: &str, key: &str) -> bool {
    route_of(key).is_none_or(|of| of == route)
}

impl<T: Transport> Forwarder<T> {
    /// Sends what is stored, as far as time and number allow. A queue invokes the function with it by itself.
    pub async fn redrive(&self, wish: &Redrive, invocation: &Invocation<'_>) -> Outcome {
        let mut outcome = self.outcome();
        let Some(store) = &self.store else {
            outcome.notes.push(Note::NoStore);
            return outcome;
        };
        if let Some(unknown) = self.unknown(wish) {
            outcome.notes.push(unknown);
            return outcome;
        }
        if store.is_queue() {
            outcome.left_to_queue = true;
            return outcome;
        }
        let budget = Cell::new(self.wanted(wish));
        // At the same time: one that hangs doesn't hold another back.
        let each = self.backends.iter().map(|backend| async {
            let mut progress = Progress::of(backend);
            let work = self.redrive_backend(store, wish, backend, &budget, &mut progress, invocation);
            let result = self.in_time(invocation, work).await;
            if result.is_ok() {
                // What can't be counted is only not told: of what time is left something else needs some, too.
                let left = keys(store, wish, backend.name(), "", MAX_COUNTED);
                let until = halfway(last_moment(self.sending, invocation));
                let counted = in_time(&self.transport, until, left).await.and_then(Result::ok);
                progress.redriven.requests_left = counted.map(|left| left.len() as u64);
            }
            (progress, result)
        });
        let mut well = true;
        for (progress, result) in join_all(each).await {
            if let Err(trouble) = result {
                well = false;
                outcome.unread(trouble);
            }
            progress.report(&mut outcome);
        }
        if *wish == Redrive::default() && well {
            let strangers = self.strangers(store, Shelf::Pending.name());
            match in_time(&self.transport, last_moment(self.sending, invocation), strangers).await {
                Some(Ok(strangers)) => outcome.notes.extend(strangers.iter().map(of_no_backend)),
                Some(Err(error)) => outcome.unread(trouble(&error)),
                // The next redrive tells of them: all that was to be sent has been looked at.
                None => {}
            }
        }
        outcome
    }

    /// Sends the stored requests that an event of S3 names; of other objects only those in another bucket are told of.
    pub(super) async fn redrive_objects(&self, places: &[(String, String)], invocation: &Invocation<'_>) -> Outcome {
        let mut outcome = self.outcome();
        let Some(store) = &self.store else {
            outcome.notes.push(Note::NoStore);
            return outcome;
        };
        for (bucket, key) in places {
            if !store.is_in(bucket) {
                outcome.note(Note::OtherBucket { bucket: bucket.clone() });
            }
            let Some(key) = store.own_key(bucket, key).filter(|key| key.starts_with(Shelf::Pending.name())) else {
                continue;
            };
            match self.in_time(invocation, self.redrive_key(store, &key, invocation, &mut outcome)).await {
                Ok(Next::GoOn) => {}
                Ok(Next::Stop | Next::Failed(..)) => outcome.waiting += 1,
                Err(trouble) => outcome.unread(trouble),
            }
        }
        outcome
    }

    /// Sends a stored request that a message holds, or names.
    pub(super) async fn redrive_message(&self, json: &str, invocation: &Invocation<'_>) -> Outcome {
        let mut outcome = self.outcome();
        let Some(store) = &self.store else {
            outcome.notes.push(Note::NoStore);
            outcome.undone += 1;
            return outcome;
        };
        let named: Option<Named> = serde_json::from_str(json).ok();
        let work = async {
            match (named, Parcel::from_json(json.as_bytes())) {
                (Some(Named { key: Some(key) }), _) => self.redrive_key(store, &key, invocation, &mut outcome).await,
                (_, Ok(parcel)) => self.redrive_parcel(store, None, parcel, invocation, &mut outcome).await,
                (_, Err(error)) => {
                    outcome.notes.push(Note::Left(error.to_string()));
                    Ok(Next::Stop)
                }
            }
        };
        match self.in_time(invocation, work).await {
            Ok(Next::GoOn) => {}
            Ok(Next::Stop | Next::Failed(..)) => outcome.undone += 1,
            Err(trouble) => {
                outcome.undone += 1;
                outcome.notes.push(trouble);
            }
        }
        outcome
    }

    /// Gives work up at the last moment of the invocation. A request that was at hand is then still stored, or stored twice.
    async fn in_time<V>(
        &self,
        invocation: &Invocation<'_>,
        work: impl Future<Output = Result<V, StoreError>>,
    ) -> Result<V, Note> {
        let result = in_time(&self.transport, last_moment(self.sending, invocation), work).await;
        result.ok_or_else(|| Note::Store(NO_TIME.to_owned()))?.map_err(|error| trouble(&error))
    }

    /// Sends what is stored for one backend; `budget` is what all backends together may still try.
    ///
    /// # Errors
    ///
    /// When the store can't be read or written, and, after everything else, when a request is of a newer version.
    async fn redrive_backend(
        &self,
        store: &Store,
        wish: &Redrive,
        backend: &Backend,
        budget: &Cell<usize>,
        progress: &mut Progress,
        invocation: &Invocation<'_>,
    ) -> Result<(), StoreError> {
        let patience = self.patience(invocation);
        let mut round = Round { store, backend, invocation, patience, intakes: BTreeMap::new() };
        let (mut after, mut newer, mut tried) = (String::new(), None, true);
        // A page of which nothing was tried is of intakes that are left alone.
        'pages: while tried && budget.get() > 0 {
            if Instant::now() >= patience.deadline {
                progress.early = true;
                break;
            }
            let wanted = PAGE.min(budget.get());
            let mut page = VecDeque::from(keys(store, wish, backend.name(), &after, wanted).await?);
            let is_full = page.len() == wanted;
            let Some(last) = page.back() else { break };
            after.clone_from(last);
            tried = false;
            while let Some(key) = round.next(&mut page) {
                if route_of(&key).is_some_and(|route| round.leaves_alone(route)) {
                    continue;
                }
                // Another backend may have used it up.
                let Some(left) = budget.get().checked_sub(1) else { break 'pages };
                budget.set(left);
                tried = true;
                let Some(parcel) = sendable(store, &key, progress, &mut newer).await? else { continue };
                let spared = wish.spares(&parcel, invocation.now);
                if spared && page.front().is_none_or(|next| *next > key) {
                    // What is behind it is younger still.
                    break 'pages;
                }
                if spared || round.leaves_alone(&parcel.route) {
                    continue;
                }
                self.send_next(&mut round, key, parcel, progress).await?;
                if patience.deadline.saturating_duration_since(Instant::now()) < FAIR {
                    // A page that isn't full is the last.
                    progress.early = !page.is_empty() || is_full;
                    break 'pages;
                }
            }
        }
        newer.map_or(Ok(()), Err)
    }

    /// Sends the next stored request of a backend.
    async fn send_next(
        &self,
        round: &mut Round<'_>,
        key: String,
        parcel: Parcel,
        progress: &mut Progress,
    ) -> Result<(), StoreError> {
        let Round { store, backend, invocation, patience, .. } = *round;
        let intake = round.intakes.entry(parcel.route.clone()).or_default();
        let patience = if intake.stuck.is_empty() { brief(patience) } else { glance(patience) };
        let (reason, said) = (parcel.reason.clone(), parcel.said.clone());
        let held = Held { key: Some(&key), parcel, patience, counted: true };
        let before = progress.redriven.sent;
        let next = self.send_held(store, backend, held, invocation, progress).await?;
        if progress.redriven.sent != before {
            for (key, parcel) in intake.stuck.drain(..) {
                self.count_try(store, &key, parcel, progress).await?;
            }
        }
        match next {
            Next::GoOn => {}
            Next::Stop => intake.left_alone = true,
            Next::Failed(parcel, why) => {
                // Only where something is new: a bucket that notifies us of each write would otherwise do so without end.
                if (&parcel.reason, &parcel.said) != (&reason, &said) {
                    store.replace(&key, &parcel).await?;
                }
                intake.stuck.push((key, *parcel));
                intake.left_alone = why == Reason::Deadline || intake.stuck.len() > BEYOND;
            }
        }
        Ok(())
    }

    /// Counts a request as refused that wasn't answered well while a later one was taken.
    async fn count_try(
        &self,
        store: &Store,
        key: &str,
        mut parcel: Parcel,
        progress: &mut Progress,
    ) -> Result<(), StoreError> {
        parcel.tries += 1;
        if parcel.tries < self.sending.redrive_tries {
            return store.replace(key, &parcel).await;
        }
        set_aside(store, Some(key), &parcel, &mut progress.redriven).await?;
        let (weight, backend) = (parcel.weight(), parcel.backend);
        progress.redriven.left = progress.redriven.left.without(weight);
        progress.notes.push(Note::Aside { backend, weight, why: STUCK });
        Ok(())
    }
}

/// The request under a key. `None` where there is none to send: it is gone, damaged, or of a newer version.
async fn sendable(
    store: &Store,
    key: &str,
    progress: &mut Progress,
    newer: &mut Option<StoreError>,
) -> Result<Option<Parcel>, StoreError> {
    match read(store, key).await {
        Ok(Found::Parcel(parcel)) => return Ok(Some(*parcel)),
        Ok(Found::Damaged(note)) => progress.damaged(note),
        Ok(Found::Gone) => {}
        Err(error @ StoreError::Newer { .. }) => _ = newer.get_or_insert(error),
        Err(error) => return Err(error),
    }
    Ok(None)
}

/// What is told of a store that fails, or of something in it.
fn trouble(error: &StoreError) -> Note {
    match error {
        StoreError::Damaged { .. } | StoreError::Newer { .. } => Note::Left(error.to_string()),
        error => Note::Store(error.to_string()),
    }
}

/// Half of the time until then.
fn halfway(until: Instant) -> Instant {
    let now = Instant::now();
    now + until.saturating_duration_since(now) / 2
}

/// A message that only names a stored request.
#[derive(serde::Deserialize)]
struct Named {
    #[serde(default)]
    key: Option<String>,
}

fn of_no_backend(folder: &String) -> Note {
    Note::Left(format!("{folder} is of no backend that LOGFERRY_BACKENDS names"))
}

/// Less than [`brief`]: for a request that is only to show whether the intake takes anything.
fn glance(patience: Patience) -> Patience {
    let now = Instant::now();
    let left = patience.deadline.saturating_duration_since(now);
    Patience { deadline: now + patience.attempt.min(left / 4), ..patience }
}
