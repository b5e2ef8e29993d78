//! One stored request: read, sent, and then deleted, kept or set aside.

use super::progress::{Progress, Redriven};
use crate::backend::{Backend, Context};
use crate::delivery::{Dropped, Patience, Transport, deliver};
use crate::forwarder::{Fate, Forwarder, Invocation, Note, Outcome, brief};
use crate::ledger::Reason;
use crate::parcel::{Parcel, ParcelError};
use crate::store::{Copies, Shelf, Store, StoreError, moved};

/// Why a request is set aside without being sent: as the store has it, and in words.
const TOO_OLD: (&str, &str) = ("too_old", "it is too old for the backend");
const DAMAGED: (&str, &str) = ("damaged", "it is damaged, or of another kind of backend");

/// Whether to go on with a backend.
#[derive(Debug)]
pub(super) enum Next {
    GoOn,
    Stop,
    /// The intake has taken none of the request and refused none: the request with what is now known of it, and why.
    Failed(Box<Parcel>, Reason),
}

/// What is stored under a key.
pub(super) enum Found {
    /// Something that isn't a request, which was moved to `damaged/`.
    Damaged(Note),
    /// Nothing any more.
    Gone,
    Parcel(Box<Parcel>),
}

/// A stored request, and how long it may take to send it.
pub(super) struct Held<'a> {
    /// Where it is stored; `None` if it came in a message.
    pub(super) key: Option<&'a str>,
    pub(super) parcel: Parcel,
    pub(super) patience: Patience,
    /// Whether it counts as one of its tries: those of a pass over all do, which comes now and then. A notice may follow
    /// each write of ours.
    pub(super) counted: bool,
}

impl<T: Transport> Forwarder<T> {
    /// Sends the request that is stored under a key.
    pub(super) async fn redrive_key(
        &self,
        store: &Store,
        key: &str,
        invocation: &Invocation<'_>,
        outcome: &mut Outcome,
    ) -> Result<Next, StoreError> {
        match read(store, key).await? {
            Found::Parcel(parcel) => self.redrive_parcel(store, Some(key), *parcel, invocation, outcome).await,
            Found::Damaged(note) => {
                outcome.ledger.damaged += 1;
                outcome.notes.push(note);
                Ok(Next::GoOn)
            }
            // Somebody else has sent it.
            Found::Gone => Ok(Next::GoOn),
        }
    }

    /// Sends a stored request to the backend that it names.
    pub(super) async fn redrive_parcel(
        &self,
        store: &Store,
        key: Option<&str>,
        parcel: Parcel,
        invocation: &Invocation<'_>,
        outcome: &mut Outcome,
    ) -> Result<Next, StoreError> {
        let Some(backend) = self.backends.iter().find(|backend| backend.name() == parcel.backend) else {
            let why = format!("it is for `{}`, which LOGFERRY_BACKENDS doesn't name", parcel.backend);
            outcome.notes.push(Note::Left(why));
            return Ok(Next::Stop);
        };
        let held = Held { key, parcel, patience: brief(self.patience(invocation)), counted: false };
        let mut progress = Progress::of(backend);
        let next = self.send_held(store, backend, held, invocation, &mut progress).await;
        progress.report(outcome);
        next
    }

    /// Sends a stored request to a backend.
    pub(super) async fn send_held(
        &self,
        store: &Store,
        backend: &Backend,
        held: Held<'_>,
        invocation: &Invocation<'_>,
        progress: &mut Progress,
    ) -> Result<Next, StoreError> {
        progress.redriven.requests += 1;
        let Held { key, parcel, patience, counted } = held;
        // What was set aside is sent whatever its age: somebody asks for it.
        let again = key.is_some_and(|key| key.starts_with(Shelf::SetAside.name()));
        if backend.is_too_old(&parcel, invocation.now) && !again {
            return unsendable(store, key, parcel, TOO_OLD, progress).await;
        }
        let context = Context { forwarder: invocation.forwarder, now: invocation.now };
        let Ok(request) = backend.revive(&parcel, &context) else {
            return unsendable(store, key, parcel, DAMAGED, progress).await;
        };
        let seed = invocation.seed.wrapping_add(progress.redriven.requests);
        let delivered = deliver(&self.transport, request, patience, seed).await;
        progress.redriven.sent += delivered.sent;
        let warned = |warning| Note::Warned { backend: backend.name().to_owned(), warning };
        progress.notes.extend(delivered.warnings.into_iter().map(warned));
        let mut dropped = delivered.dropped;
        progress.unauthorized |= dropped.iter().any(|dropped| dropped.reason == Reason::Unauthorized);
        // Items may have no weight: the weight alone doesn't say that these are all of them.
        let is_whole = |first: &Dropped| first.weight == parcel.weight() && first.request.items.len() == parcel.count();
        match dropped.first() {
            Some(first) if is_whole(first) => {
                let held = Held { key, parcel, patience, counted };
                self.keep(store, held, dropped.swap_remove(0), progress).await
            }
            _ => take_apart(store, key, &parcel, dropped, progress).await,
        }
    }

    /// Keeps a request of which the intake has taken nothing, or sets it aside if it was refused too often.
    async fn keep(
        &self,
        store: &Store,
        held: Held<'_>,
        dropped: Dropped,
        progress: &mut Progress,
    ) -> Result<Next, StoreError> {
        let Held { key, mut parcel, counted, .. } = held;
        let weight = parcel.weight();
        // That there was no time is no answer of the intake: the one before still holds.
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
        if counted && parcel.tries >= self.sending.redrive_tries {
            let next = set_aside(store, key, &parcel, &mut progress.redriven).await;
            progress.undelivered(if next.is_ok() { Fate::SetAside } else { Fate::Kept }, dropped);
            return next;
        }
        progress.redriven.left += weight;
        progress.undelivered(Fate::Kept, dropped);
        match key {
            Some(key) if counted => store.replace(key, &parcel).await.map(|()| Next::GoOn),
            // A queue itself counts how often a message was tried.
            Some(_) | None => Ok(Next::Stop),
        }
    }
}

/// Reads what is stored under a key; what isn't a request is moved to `damaged/`, except from a queue's bucket.
pub(super) async fn read(store: &Store, key: &str) -> Result<Found, StoreError> {
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

/// Sets a request aside without sending it.
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
    progress.notes.push(match next {
        Next::Stop => Note::Left(format!("{why}; the queue gives up its {weight} for {backend}")),
        Next::GoOn | Next::Failed(..) => Note::Aside { backend, weight, why },
    });
    Ok(next)
}

/// Moves a request to the shelf from which nothing is sent unless somebody asks for it. A message is left to its
/// queue, whose dead-letter queue is such a place.
pub(super) async fn set_aside(
    store: &Store,
    key: Option<&str>,
    parcel: &Parcel,
    redriven: &mut Redriven,
) -> Result<Next, StoreError> {
    let Some(key) = key.filter(|_| !store.is_queue()) else {
        redriven.left += parcel.weight();
        return Ok(Next::Stop);
    };
    let aside = moved(key, Shelf::Pending, Shelf::SetAside);
    store.replace(&aside, parcel).await?;
    if aside != key {
        store.delete(key).await?;
    }
    redriven.set_aside += parcel.weight();
    Ok(Next::GoOn)
}

/// Stores each piece that wasn't taken by itself, then deletes the whole.
async fn take_apart(
    store: &Store,
    key: Option<&str>,
    parcel: &Parcel,
    dropped: Vec<Dropped>,
    progress: &mut Progress,
) -> Result<Next, StoreError> {
    let mut next = Next::GoOn;
    let whole = parcel.content();
    let copies = Copies::of(&whole);
    for dropped in dropped {
        let weight = dropped.weight;
        if weight != dropped.request.weight() {
            progress.redriven.dropped += weight;
            progress.undelivered(Fate::Dropped, dropped);
            continue;
        }
        let mut piece = Parcel::pack(&parcel.backend, &dropped.request, dropped.reason.as_str(), &dropped.last);
        (piece.oldest, piece.tries) = (parcel.oldest, parcel.tries);
        let piece = copies.mark(piece);
        if dropped.reason.may_pass() || store.is_queue() {
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
        Some(key) => {
            let undeleted = |cause| StoreError::Undeleted { key: key.to_owned(), cause: Box::new(cause) };
            store.delete(key).await.map(|()| next).map_err(undeleted)
        }
        // What is left of the message is in messages of their own.
        None => Ok(Next::GoOn),
    }
}
