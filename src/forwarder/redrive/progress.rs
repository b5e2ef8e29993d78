//! What a redrive has done so far.

use serde_json::{Value, json};

use crate::backend::Backend;
use crate::delivery::Dropped;
use crate::forwarder::{Fate, Note, Outcome};
use crate::request::Weight;

/// What became of the stored requests of one backend.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Redriven {
    /// Name of the backend.
    pub backend: String,
    /// Requests that were read and tried, or set aside untried.
    pub requests: u64,
    /// Acknowledged.
    pub sent: Weight,
    /// Still stored, to be sent again.
    pub left: Weight,
    /// Set aside: refused too often, or too old.
    pub set_aside: Weight,
    /// Given up: the intake took a part of a request, and doesn't say which of the rest it never will.
    pub dropped: Weight,
    /// Files that couldn't be read as requests, now moved to `damaged/`.
    pub damaged: u64,
    /// Requests that the store still holds for it, tried or not, as far as they were counted: up to
    /// [`MAX_COUNTED`](crate::forwarder::MAX_COUNTED), and not where there was no time left.
    pub requests_left: Option<u64>,
}

impl Redriven {
    /// As summaries have it: items, not requests, but where it says so.
    pub(crate) fn to_json(&self) -> Value {
        let mut said = json!({
            "backend": self.backend,
            "requests": self.requests,
            "sent": self.sent.total(),
            "left": self.left.total(),
            "set_aside": self.set_aside.total(),
            "dropped": self.dropped.total(),
            "damaged": self.damaged,
        });
        if let (Some(left), Some(said)) = (self.requests_left, said.as_object_mut()) {
            said.insert("requests_left".to_owned(), left.into());
        }
        said
    }

    /// Whether nothing is left or lost.
    pub fn is_complete(&self) -> bool {
        self.damaged == 0 && [self.left, self.set_aside, self.dropped].iter().all(|weight| weight.total() == 0)
    }
}

/// What became of the stored requests of one backend, and what is to be said of it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) redriven: Redriven,
    pub(super) notes: Vec<Note>,
    /// Whether the intake has refused the credentials.
    pub(super) unauthorized: bool,
    /// Whether there was no time for more.
    pub(super) early: bool,
}

impl Progress {
    pub(super) fn of(backend: &Backend) -> Self {
        let redriven = Redriven { backend: backend.name().to_owned(), ..Redriven::default() };
        Self { redriven, ..Self::default() }
    }

    pub(super) fn damaged(&mut self, note: Note) {
        self.redriven.damaged += 1;
        self.notes.push(note);
    }

    pub(super) fn undelivered(&mut self, fate: Fate, dropped: Dropped) {
        self.notes.push(Note::undelivered(&self.redriven.backend, fate, dropped));
    }

    pub(super) fn report(self, outcome: &mut Outcome) {
        outcome.unauthorized |= self.unauthorized;
        outcome.ledger.damaged += self.redriven.damaged;
        for note in self.notes {
            outcome.note(note);
        }
        let Redriven { requests, damaged, requests_left, .. } = self.redriven;
        if self.early && requests_left.is_none() {
            outcome.note(Note::Unfinished { backend: self.redriven.backend.clone() });
        }
        if requests + damaged + requests_left.unwrap_or_default() > 0 {
            outcome.redriven.push(self.redriven);
        }
    }
}
