//! What was stored, sent again.
//!
//! The oldest first, within the time and the number that are allowed; taken out
//! of the store only after its own acknowledgement. What the intake leaves of a
//! request is stored by itself before the whole is taken away. A backend that
//! can't be reached is left alone until the next time; a request that is refused
//! too often, or too old for its backend, is set aside with the reason.

use std::cell::Cell;
use std::future::Future;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use super::{Forwarder, Invocation, NO_TIME, Note, Outcome, brief, last_moment};
use crate::backend::Backend;
use crate::delivery::{Delivered, Dropped, Transport, deliver};
use crate::event::Redrive;
use crate::ledger::Reason;
use crate::parcel::{Parcel, ParcelError};
use crate::request::Weight;
use crate::store::{Copies, Shelf, Store, StoreError, folder_of, moved};

/// Keys that are asked for at once.
const PAGE: usize = 100;

/// So many backends that aren't any more are told of.
const MAX_STRANGERS: usize = 10;

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
}

impl Redriven {
    /// Whether nothing is left or lost.
    pub fn is_complete(&self) -> bool {
        [self.left, self.set_aside, self.dropped].iter().all(|weight| weight.total() == 0)
    }
}

/// Whether to go on with a backend.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    GoOn,
    Stop,
}

/// What became of stored requests of one backend, and what it says of the backend.
#[derive(Debug, Default)]
struct Progress {
    redriven: Redriven,
    /// Whether the intake has refused the credentials.
    unauthorized: bool,
}

impl Progress {
    fn of(backend: &Backend) -> Self {
        let redriven = Redriven { backend: backend.name().to_owned(), ..Redriven::default() };
        Self { redriven, ..Self::default() }
    }

    fn report(self, outcome: &mut Outcome) {
        outcome.unauthorized |= self.unauthorized;
        if self.redriven.requests > 0 {
            outcome.redriven.push(self.redriven);
        }
    }
}

/// A stored request and where it is; nowhere, if it came in a message.
struct Held<'a> {
    key: Option<&'a str>,
    parcel: Parcel,
}

impl<T: Transport> Forwarder<T> {
    /// What is stored of what is wished for, the oldest first: keys, and requests that can be read.
    ///
    /// # Errors
    ///
    /// When the store can't be read.
    pub async fn stored(&self, wish: &Redrive) -> Result<Vec<(String, Option<Parcel>)>, StoreError> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for backend in &self.backends {
            for key in keys(store, wish, backend.name(), "", self.wanted(wish)).await? {
                let parcel = store.get(&key).await?.and_then(|json| Parcel::from_json(&json).ok());
                found.push((key, parcel));
            }
        }
        Ok(found)
    }

    /// Sends what is stored, as far as time and number allow.
    pub async fn redrive(&self, wish: &Redrive, invocation: &Invocation<'_>) -> Outcome {
        let mut outcome = self.outcome();
        let Some(store) = &self.store else {
            outcome.notes.push(Note::NoStore);
            return outcome;
        };
        let budget = Cell::new(self.wanted(wish));
        // At the same time: one that hangs doesn't hold another back.
        let each = self.backends.iter().map(|backend| async {
            let mut progress = Progress::of(backend);
            let work = self.redrive_backend(store, wish, backend, &budget, &mut progress, invocation);
            let result = self.in_time(invocation, work).await;
            (progress, result)
        });
        for (progress, result) in join_all(each).await {
            if let Err(trouble) = result {
                outcome.note_once(trouble);
            }
            progress.report(&mut outcome);
        }
        if *wish == Redrive::default() && outcome.notes.is_empty() {
            match self.in_time(invocation, self.strangers(store)).await {
                Ok(strangers) => outcome.notes.extend(strangers),
                Err(trouble) => outcome.note_once(trouble),
            }
        }
        outcome
    }

    /// Says what is stored for backends that aren't any more: nobody else would.
    async fn strangers(&self, store: &Store) -> Result<Vec<Note>, StoreError> {
        let pending = Shelf::Pending.name();
        let (mut notes, mut after) = (Vec::new(), String::new());
        while notes.len() < MAX_STRANGERS
            && let Some(key) = store.list(&format!("{pending}/"), &after, 1).await?.pop()
        {
            let folder = key.split('/').nth(1).unwrap_or_default();
            if !self.backends.iter().any(|backend| folder_of(backend.name()) == folder) {
                notes.push(Note::Left(format!("{pending}/{folder} is of no backend that LOGFERRY_BACKENDS names")));
            }
            // Behind all that is there.
            after = format!("{pending}/{folder}/~");
        }
        Ok(notes)
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
                (_, Ok(parcel)) => self.redrive_held(store, Held { key: None, parcel }, invocation, &mut outcome).await,
                (_, Err(error)) => {
                    outcome.notes.push(Note::Left(error.to_string()));
                    Ok(Next::Stop)
                }
            }
        };
        match self.in_time(invocation, work).await {
            Ok(Next::GoOn) => {}
            Ok(Next::Stop) => outcome.undone += 1,
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
            StoreError::Newer => Note::Left(error.to_string()),
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
        let deadline = self.patience(invocation).deadline;
        let (mut after, mut newer) = (String::new(), false);
        while budget.get() > 0 && Instant::now() < deadline {
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
                    Ok(Some(parcel)) => parcel,
                    Ok(None) => continue,
                    Err(StoreError::Newer) => {
                        newer = true;
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                if wish.spares(&parcel, invocation.now) {
                    return Ok(());
                }
                let held = Held { key: Some(&key), parcel };
                let next = self.send_held(store, backend, held, invocation, progress).await?;
                if next == Next::Stop || Instant::now() >= deadline {
                    return Ok(());
                }
            }
        }
        if newer { Err(StoreError::Newer) } else { Ok(()) }
    }

    async fn redrive_key(
        &self,
        store: &Store,
        key: &str,
        invocation: &Invocation<'_>,
        outcome: &mut Outcome,
    ) -> Result<Next, StoreError> {
        match read(store, key).await? {
            Some(parcel) => self.redrive_held(store, Held { key: Some(key), parcel }, invocation, outcome).await,
            // Somebody else has sent it.
            None => Ok(Next::GoOn),
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
        let redriven = &mut progress.redriven;
        redriven.requests += 1;
        let Held { key, mut parcel } = held;
        let weight = parcel.weight();
        let age = invocation.now.millis().saturating_sub(parcel.oldest);
        let too_old = backend.max_age(&parcel.route).is_some_and(|max| i128::from(age) > max.as_millis().cast_signed());
        let again = key.is_some_and(|key| key.starts_with(Shelf::SetAside.name()));
        if too_old && !again {
            "too_old".clone_into(&mut parcel.reason);
            return set_aside(store, key, &parcel, redriven).await;
        }
        let Ok(request) = backend.revive(&parcel, invocation.forwarder) else {
            "damaged".clone_into(&mut parcel.reason);
            return set_aside(store, key, &parcel, redriven).await;
        };
        let seed = invocation.seed.wrapping_add(redriven.requests);
        let patience = brief(self.patience(invocation));
        let delivered = deliver(&self.transport, request, patience, seed).await;
        redriven.sent += delivered.sent;
        progress.unauthorized |= delivered.dropped.iter().any(|dropped| dropped.reason == Reason::Unauthorized);
        // Items may stand for nothing: their weight alone doesn't say that these are all.
        let is_whole = |first: &&Dropped| first.weight == weight && first.request.items.len() == parcel.count();
        let whole = delivered.dropped.first().filter(is_whole).cloned();
        match whole {
            Some(dropped) if !dropped.reason.is_refusal() => {
                redriven.left += weight;
                Ok(Next::Stop)
            }
            Some(dropped) => {
                parcel.tries += 1;
                dropped.reason.as_str().clone_into(&mut parcel.reason);
                parcel.said = dropped.last;
                if parcel.tries >= self.sending.redrive_tries {
                    return set_aside(store, key, &parcel, redriven).await;
                }
                redriven.left += weight;
                match key {
                    Some(key) => store.replace(key, &parcel).await.map(|()| Next::GoOn),
                    // The queue counts.
                    None => Ok(Next::Stop),
                }
            }
            None => take_apart(store, key, &parcel, delivered, redriven).await,
        }
    }

    fn wanted(&self, wish: &Redrive) -> usize {
        wish.max.unwrap_or(self.sending.redrive_max)
    }
}

/// What a message says that only names a stored request.
#[derive(serde::Deserialize)]
struct Named {
    #[serde(default)]
    key: Option<String>,
}

async fn keys(store: &Store, wish: &Redrive, name: &str, after: &str, max: usize) -> Result<Vec<String>, StoreError> {
    if wish.backend.as_ref().is_some_and(|wanted| wanted != name) {
        return Ok(Vec::new());
    }
    let shelf = if wish.set_aside { Shelf::SetAside } else { Shelf::Pending };
    let within = wish.prefix.as_deref().unwrap_or_default();
    store.list(&format!("{}/{}/{within}", shelf.name(), folder_of(name)), after, max).await
}

/// A stored request; what is no request is put where damaged things are.
async fn read(store: &Store, key: &str) -> Result<Option<Parcel>, StoreError> {
    let Some(json) = store.get(key).await? else { return Ok(None) };
    match Parcel::from_json(&json) {
        Ok(parcel) => Ok(Some(parcel)),
        Err(ParcelError::Version) => Err(StoreError::Newer),
        Err(error @ ParcelError::Damaged) => {
            store.put_damaged(&json, &error.to_string()).await?;
            store.delete(key).await?;
            Ok(None)
        }
    }
}

async fn set_aside(
    store: &Store,
    key: Option<&str>,
    parcel: &Parcel,
    redriven: &mut Redriven,
) -> Result<Next, StoreError> {
    redriven.set_aside += parcel.weight();
    let Some(key) = key else {
        // The queue's own dead-letter queue is where messages are set aside.
        return Ok(Next::Stop);
    };
    let aside = moved(key, Shelf::Pending, Shelf::SetAside);
    store.replace(&aside, parcel).await?;
    if aside != key {
        store.delete(key).await?;
    }
    Ok(Next::GoOn)
}

/// Stores each piece that wasn't taken by itself, then takes the whole away.
async fn take_apart(
    store: &Store,
    key: Option<&str>,
    parcel: &Parcel,
    delivered: Delivered,
    redriven: &mut Redriven,
) -> Result<Next, StoreError> {
    let mut next = Next::GoOn;
    let whole = parcel.content();
    let copies = Copies::of(&whole);
    for dropped in delivered.dropped {
        if dropped.weight != dropped.request.weight() {
            redriven.dropped += dropped.weight;
            continue;
        }
        let mut piece = Parcel::pack(&parcel.backend, &dropped.request, dropped.reason.as_str(), &dropped.last);
        (piece.oldest, piece.tries) = (parcel.oldest, parcel.tries);
        let piece = copies.mark(piece);
        if dropped.reason.may_pass() {
            redriven.left += dropped.weight;
            next = Next::Stop;
            store.put(Shelf::Pending, &piece).await?;
        } else {
            redriven.set_aside += dropped.weight;
            store.put(Shelf::SetAside, &piece).await?;
        }
    }
    match key {
        Some(key) => store.delete(key).await.map(|()| next),
        // What is left of the message is in messages of their own.
        None => Ok(Next::GoOn),
    }
}
