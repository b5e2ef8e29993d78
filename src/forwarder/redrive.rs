//! What was stored, sent again.
//!
//! The oldest first, within the time and the number that are allowed; taken out
//! of the store only after its own acknowledgement. What the intake leaves of a
//! request is stored by itself before the whole is taken away. A backend that
//! can't be reached is left alone until the next time, after two further requests
//! have shown that it isn't the first one's fault; a request that is refused too
//! often, or too old for its backend, is set aside with the reason.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use super::waiting::keys;
use super::{Fate, Forwarder, Invocation, NO_TIME, Note, Outcome, brief, last_moment};
use crate::backend::Backend;
use crate::delivery::{Delivered, Dropped, Patience, Transport, deliver};
use crate::event::Redrive;
use crate::ledger::Reason;
use crate::parcel::{Parcel, ParcelError};
use crate::request::Weight;
use crate::store::{Copies, Shelf, Store, StoreError, moved};

/// Keys that are asked for at once.
const PAGE: usize = 100;

/// So many stored requests behind one that isn't answered well are tried before a backend is left alone.
const BEYOND: usize = 2;

/// No further request is begun with less time than this: that it isn't answered would be said of the intake.
const FAIR: Duration = Duration::from_secs(1);

/// Why something is set aside without being sent.
const TOO_OLD: (&str, &str) = ("too_old", "it is too old for the backend");
const STUCK: &str = "the backend has not taken it again and again, and what is behind it has been taken";
const DAMAGED: (&str, &str) = ("damaged", "it is damaged, or of another kind of backend");

/// What became of the stored requests of one backend.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Redriven {
    /// Name of the backend.
    pub backend: String,
    /// Requests that were taken in hand.
    pub requests: u64,
    /// Acknowledged.
    pub sent: Weight,
    /// Still stored, to be sent again.
    pub left: Weight,
    /// Set aside: refused too often, or too old.
    pub set_aside: Weight,
    /// Given up: the intake took a part of a request, and doesn't say which of the rest it never will.
    pub dropped: Weight,
    /// Things that couldn't be read, which are with what is damaged now.
    pub damaged: u64,
}

impl Redriven {
    /// Whether nothing is left or lost.
    pub fn is_complete(&self) -> bool {
        self.damaged == 0 && [self.left, self.set_aside, self.dropped].iter().all(|weight| weight.total() == 0)
    }
}

/// Whether to go on with a backend.
#[derive(Debug)]
enum Next {
    GoOn,
    Stop,
    /// The intake hasn't looked at the request: what is known of it now, and why.
    Failed(Box<Parcel>, Reason),
}

/// Stored requests of a backend, one after the other.
struct Round<'a> {
    store: &'a Store,
    backend: &'a Backend,
    invocation: &'a Invocation<'a>,
    patience: Patience,
    /// Those that the intake hasn't answered well since it last took one: is it down, or can it not bear these?
    stuck: Vec<(String, Parcel)>,
}

/// What is under a key of the store.
enum Found {
    Damaged(Note),
    Gone,
    Parcel(Box<Parcel>),
}

/// What became of stored requests of one backend, and what it says of the backend.
#[derive(Debug, Default)]
struct Progress {
    redriven: Redriven,
    notes: Vec<Note>,
    /// Whether the intake has refused the credentials.
    unauthorized: bool,
}

impl Progress {
    fn of(backend: &Backend) -> Self {
        let redriven = Redriven { backend: backend.name().to_owned(), ..Redriven::default() };
        Self { redriven, ..Self::default() }
    }

    fn damaged(&mut self, note: Note) {
        self.redriven.damaged += 1;
        self.notes.push(note);
    }

    fn undelivered(&mut self, fate: Fate, dropped: Dropped) {
        self.notes.push(Note::undelivered(&self.redriven.backend, fate, dropped));
    }

    fn report(self, outcome: &mut Outcome) {
        outcome.unauthorized |= self.unauthorized;
        outcome.ledger.damaged += self.redriven.damaged;
        for note in self.notes {
            outcome.note(note);
        }
        if self.redriven.requests + self.redriven.damaged > 0 {
            outcome.redriven.push(self.redriven);
        }
    }
}

/// A stored request and where it is; nowhere, if it came in a message.
struct Held<'a> {
    key: Option<&'a str>,
    parcel: Parcel,
    patience: Patience,
}

impl<T: Transport> Forwarder<T> {
    /// Sends what is stored, as far as time and number allow. A queue does it by itself.
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
            match self.in_time(invocation, self.strangers(store, Shelf::Pending.name())).await {
                Ok(strangers) => outcome.notes.extend(
                    strangers
                        .iter()
                        .map(|folder| Note::Left(format!("{folder} is of no backend that LOGFERRY_BACKENDS names"))),
                ),
                Err(trouble) => outcome.unread(trouble),
            }
        }
        outcome
    }

    /// Sends stored requests that an event of S3 names.
    pub(super) async fn redrive_objects(&self, places: &[(String, String)], invocation: &Invocation<'_>) -> Outcome {
        let mut outcome = self.outcome();
        let Some(store) = &self.store else {
            outcome.notes.push(Note::NoStore);
            return outcome;
        };
        for (bucket, key) in places {
            let Some(key) = store.own_key(bucket, key).filter(|key| key.starts_with(Shelf::Pending.name())) else {
                continue;
            };
            let result = self.in_time(invocation, self.redrive_key(store, &key, invocation, &mut outcome)).await;
            outcome.notes.extend(result.err());
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
                (_, Ok(parcel)) => {
                    self.redrive_held(
                        store,
                        Held { key: None, parcel, patience: brief(self.patience(invocation)) },
                        invocation,
                        &mut outcome,
                    )
                    .await
                }
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

    /// The store isn't waited for beyond the invocation's end. What it is given up in is stored still, or twice.
    async fn in_time<V>(
        &self,
        invocation: &Invocation<'_>,
        work: impl Future<Output = Result<V, StoreError>>,
    ) -> Result<V, Note> {
        let result = timeout_at(last_moment(self.sending, invocation), work).await;
        result.map_err(|_| Note::Store(NO_TIME.to_owned()))?.map_err(|error| match error {
            StoreError::Damaged { .. } | StoreError::Newer { .. } => Note::Left(error.to_string()),
            error => Note::Store(error.to_string()),
        })
    }

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
        let mut round = Round { store, backend, invocation, patience, stuck: Vec::new() };
        let (mut after, mut newer) = (String::new(), None);
        while budget.get() > 0 && Instant::now() < patience.deadline {
            let page = keys(store, wish, backend.name(), &after, PAGE.min(budget.get())).await?;
            if page.is_empty() {
                break;
            }
            for key in page {
                // Another backend may have used it up.
                let Some(left) = budget.get().checked_sub(1) else { return Ok(()) };
                budget.set(left);
                after.clone_from(&key);
                let parcel = match read(store, &key).await {
                    Ok(Found::Parcel(parcel)) => *parcel,
                    Ok(Found::Damaged(note)) => {
                        progress.damaged(note);
                        continue;
                    }
                    Ok(Found::Gone) => continue,
                    Err(error @ StoreError::Newer { .. }) => {
                        newer.get_or_insert(error);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                if wish.spares(&parcel, invocation.now)
                    || !self.goes_on(&mut round, key, parcel, progress).await?
                    || patience.deadline.saturating_duration_since(Instant::now()) < FAIR
                {
                    return Ok(());
                }
            }
        }
        newer.map_or(Ok(()), Err)
    }

    /// Sends the next stored request of a backend; whether there is a use in going on.
    async fn goes_on(
        &self,
        round: &mut Round<'_>,
        key: String,
        parcel: Parcel,
        progress: &mut Progress,
    ) -> Result<bool, StoreError> {
        let Round { store, backend, invocation, patience, .. } = *round;
        let patience = if round.stuck.is_empty() { brief(patience) } else { glance(patience) };
        let (reason, said) = (parcel.reason.clone(), parcel.said.clone());
        let (held, before) = (Held { key: Some(&key), parcel, patience }, progress.redriven.sent);
        let next = self.send_held(store, backend, held, invocation, progress).await?;
        if progress.redriven.sent != before {
            for (key, parcel) in round.stuck.drain(..) {
                self.count_try(store, &key, parcel, progress).await?;
            }
        }
        let (parcel, why) = match next {
            Next::Failed(parcel, why) => (*parcel, why),
            Next::GoOn => return Ok(true),
            Next::Stop => return Ok(false),
        };
        // Not where S3 tells of what is stored: that would tell of this, too, again and again.
        if (&parcel.reason, &parcel.said) != (&reason, &said) {
            store.replace(&key, &parcel).await?;
        }
        round.stuck.push((key, parcel));
        Ok(matches!(why, Reason::Busy | Reason::Unreachable) && round.stuck.len() <= BEYOND)
    }

    /// What an intake doesn't answer well while it takes what is behind it has been refused.
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

    async fn redrive_key(
        &self,
        store: &Store,
        key: &str,
        invocation: &Invocation<'_>,
        outcome: &mut Outcome,
    ) -> Result<Next, StoreError> {
        match read(store, key).await? {
            Found::Parcel(parcel) => {
                let parcel = *parcel;
                self.redrive_held(
                    store,
                    Held { key: Some(key), parcel, patience: brief(self.patience(invocation)) },
                    invocation,
                    outcome,
                )
                .await
            }
            Found::Damaged(note) => {
                outcome.ledger.damaged += 1;
                outcome.notes.push(note);
                Ok(Next::GoOn)
            }
            // Somebody else has sent it.
            Found::Gone => Ok(Next::GoOn),
        }
    }

    async fn redrive_held(
        &self,
        store: &Store,
        held: Held<'_>,
        invocation: &Invocation<'_>,
        outcome: &mut Outcome,
    ) -> Result<Next, StoreError> {
        let Some(backend) = self.backends.iter().find(|backend| backend.name() == held.parcel.backend) else {
            let why = format!("it is for `{}`, which LOGFERRY_BACKENDS doesn't name", held.parcel.backend);
            outcome.notes.push(Note::Left(why));
            return Ok(Next::Stop);
        };
        let mut progress = Progress::of(backend);
        let next = self.send_held(store, backend, held, invocation, &mut progress).await;
        progress.report(outcome);
        next
    }

    /// Sends one stored request.
    async fn send_held(
        &self,
        store: &Store,
        backend: &Backend,
        held: Held<'_>,
        invocation: &Invocation<'_>,
        progress: &mut Progress,
    ) -> Result<Next, StoreError> {
        progress.redriven.requests += 1;
        let Held { key, mut parcel, patience } = held;
        let weight = parcel.weight();
        let again = key.is_some_and(|key| key.starts_with(Shelf::SetAside.name()));
        if backend.is_too_old(&parcel, invocation.now) && !again {
            return unsendable(store, key, parcel, TOO_OLD, progress).await;
        }
        let Ok(request) = backend.revive(&parcel, invocation.forwarder) else {
            return unsendable(store, key, parcel, DAMAGED, progress).await;
        };
        let seed = invocation.seed.wrapping_add(progress.redriven.requests);
        let delivered = deliver(&self.transport, request, patience, seed).await;
        progress.redriven.sent += delivered.sent;
        progress.unauthorized |= delivered.dropped.iter().any(|dropped| dropped.reason == Reason::Unauthorized);
        // Items may stand for nothing: their weight alone doesn't say that these are all.
        let is_whole = |first: &&Dropped| first.weight == weight && first.request.items.len() == parcel.count();
        let Some(dropped) = delivered.dropped.first().filter(is_whole).cloned() else {
            return take_apart(store, key, &parcel, delivered, progress).await;
        };
        // That there was no time says nothing of it.
        if dropped.reason != Reason::Deadline {
            dropped.reason.as_str().clone_into(&mut parcel.reason);
            parcel.said.clone_from(&dropped.last);
        }
        if !dropped.reason.is_refusal() {
            progress.redriven.left += weight;
            let reason = dropped.reason;
            progress.undelivered(Fate::Kept, dropped);
            return Ok(Next::Failed(Box::new(parcel), reason));
        }
        parcel.tries += 1;
        if parcel.tries >= self.sending.redrive_tries {
            let next = set_aside(store, key, &parcel, &mut progress.redriven).await;
            progress.undelivered(if next.is_ok() { Fate::SetAside } else { Fate::Kept }, dropped);
            return next;
        }
        progress.redriven.left += weight;
        progress.undelivered(Fate::Kept, dropped);
        match key {
            Some(key) if !store.is_queue() => store.replace(key, &parcel).await.map(|()| Next::GoOn),
            // The queue counts.
            Some(_) | None => Ok(Next::Stop),
        }
    }
}

/// What a message says that only names a stored request.
#[derive(serde::Deserialize)]
struct Named {
    #[serde(default)]
    key: Option<String>,
}

/// For what only shows whether the intake takes anything.
fn glance(patience: Patience) -> Patience {
    let now = Instant::now();
    let left = patience.deadline.saturating_duration_since(now);
    Patience { deadline: now + patience.attempt.min(left / 4), ..patience }
}

/// What is stored under a key; what is no request is put where damaged things are.
async fn read(store: &Store, key: &str) -> Result<Found, StoreError> {
    let Some(json) = store.get(key).await? else { return Ok(Found::Gone) };
    match Parcel::from_json(&json) {
        Ok(parcel) => Ok(Found::Parcel(Box::new(parcel))),
        Err(ParcelError::Version) => Err(StoreError::Newer { key: key.to_owned() }),
        Err(ParcelError::Damaged) if store.is_queue() => Err(StoreError::Damaged { key: key.to_owned() }),
        Err(error @ ParcelError::Damaged) => {
            let to = store.put_damaged(&json, &error.to_string()).await?;
            store.delete(key).await?;
            Ok(Found::Damaged(Note::DamagedStored { key: key.to_owned(), to }))
        }
    }
}

/// Sets aside what nobody would take, for one of these reasons: as the store has it, and in words.
async fn unsendable(
    store: &Store,
    key: Option<&str>,
    mut parcel: Parcel,
    (reason, why): (&str, &'static str),
    progress: &mut Progress,
) -> Result<Next, StoreError> {
    reason.clone_into(&mut parcel.reason);
    let next = set_aside(store, key, &parcel, &mut progress.redriven).await?;
    let (weight, backend) = (parcel.weight(), parcel.backend);
    progress.notes.push(Note::Aside { backend, weight, why });
    Ok(next)
}

async fn set_aside(
    store: &Store,
    key: Option<&str>,
    parcel: &Parcel,
    redriven: &mut Redriven,
) -> Result<Next, StoreError> {
    // The queue's own dead-letter queue is where messages are set aside.
    let mut next = Next::Stop;
    if let Some(key) = key.filter(|_| !store.is_queue()) {
        let aside = moved(key, Shelf::Pending, Shelf::SetAside);
        store.replace(&aside, parcel).await?;
        if aside != key {
            store.delete(key).await?;
        }
        next = Next::GoOn;
    }
    redriven.set_aside += parcel.weight();
    Ok(next)
}

/// Stores each piece that wasn't taken by itself, then takes the whole away.
async fn take_apart(
    store: &Store,
    key: Option<&str>,
    parcel: &Parcel,
    delivered: Delivered,
    progress: &mut Progress,
) -> Result<Next, StoreError> {
    let mut next = Next::GoOn;
    let whole = parcel.content();
    let copies = Copies::of(&whole);
    for dropped in delivered.dropped {
        let weight = dropped.weight;
        if weight != dropped.request.weight() {
            progress.redriven.dropped += weight;
            progress.undelivered(Fate::Dropped, dropped);
            continue;
        }
        let mut piece = Parcel::pack(&parcel.backend, &dropped.request, dropped.reason.as_str(), &dropped.last);
        (piece.oldest, piece.tries) = (parcel.oldest, parcel.tries);
        let piece = copies.mark(piece);
        if dropped.reason.may_pass() {
            progress.redriven.left += weight;
            progress.undelivered(Fate::Kept, dropped);
            next = Next::Stop;
            store.put(Shelf::Pending, &piece).await?;
        } else {
            store.put(Shelf::SetAside, &piece).await?;
            progress.redriven.set_aside += weight;
            progress.undelivered(Fate::SetAside, dropped);
        }
    }
    match key {
        Some(key) => store.delete(key).await.map(|()| next),
        // What is left of the message is in messages of their own.
        None => Ok(Next::GoOn),
    }
}
