use std::time::Duration;

use serde_json::{Map, Value};

use super::Redriven;
use crate::delivery::{Dropped, ENDING, PROXY_WANTS_USER, Warning};
use crate::event::{DecodeError, EventError, Reply};
use crate::ledger::{Account, Ledger, Reason};
use crate::request::Weight;

/// What one invocation did, and what has to be said of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What became of each item.
    pub ledger: Ledger,
    /// Something that went wrong, once for each cause.
    pub notes: Vec<Note>,
    /// What became of stored requests.
    pub redriven: Vec<Redriven>,
    /// Whether a redrive was left to the queue that is the store: it invokes the function by itself.
    pub left_to_queue: bool,
    /// Records, and parts of metrics, that have to be delivered again, beside items that can't be sent.
    pub undone: u64,
    /// Stored requests of which a notice told, and which stay: where a queue holds the notice, it tells again.
    pub waiting: u64,
    /// Whether an intake has refused the credentials.
    pub unauthorized: bool,
    /// How long the slowest store of a request took.
    pub storing: Duration,
    /// What the source of the event is answered.
    pub reply: Reply,
}

/// Something that went wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Note {
    /// Stored requests that aren't sent, as nobody would take them.
    Aside {
        /// Name of the backend.
        backend: String,
        /// How many items.
        weight: Weight,
        /// Why.
        why: &'static str,
    },
    /// A payload couldn't be decoded to its end.
    Damaged {
        /// Name of the log group, as far as it is known.
        log_group: String,
        /// Log events that were read before.
        read: u64,
        /// What is wrong.
        error: DecodeError,
        /// Key of its copy in the store.
        kept: Option<String>,
    },
    /// A delivery that wasn't read to its end before the function had to answer.
    CutShort {
        /// Name of the log group.
        log_group: String,
        /// Log events that were read before.
        read: u64,
    },
    /// Something in the store that can't be read.
    DamagedStored {
        /// Its key.
        key: String,
        /// Where it is now.
        to: String,
    },
    /// Records that there was no time for.
    Late {
        /// How many.
        records: usize,
    },
    /// Stored requests that can't be sent by this logferry, and stay where they are.
    Left(String),
    /// A wish for a backend that isn't there.
    NoBackend {
        /// Its name.
        name: String,
        /// The names of those that are.
        names: String,
    },
    /// A wish to send what is stored, and there is no store.
    NoStore,
    /// A notice of S3 about a bucket that isn't the store.
    OtherBucket {
        /// Its name.
        bucket: String,
    },
    /// The log of another forwarder of our kind.
    OtherForwarder {
        /// Name of its log group.
        log_group: String,
    },
    /// The store can't be written or read.
    Store(String),
    /// Items that are neither sent nor given up: a bug of ours.
    Unaccounted {
        /// Name of the backend, items made, items accounted for.
        what: String,
    },
    /// Items couldn't be delivered.
    Undelivered {
        /// Name of the backend.
        backend: String,
        /// Where they were to go: an address without secrets.
        address: String,
        /// What became of them.
        fate: Fate,
        /// Why.
        reason: Reason,
        /// How many.
        weight: Weight,
        /// The last answer, in words.
        last: String,
    },
    /// There was no time to look at all that is stored, or to count it.
    Unfinished {
        /// Name of the backend that it is for.
        backend: String,
    },
    /// An event of no source that we know.
    Unknown(EventError),
    /// A message that holds nothing of ours.
    Unreadable {
        /// Id of the message.
        id: String,
    },
    /// Items were taken, and the intake has something to say of them.
    Warned {
        /// Name of the backend.
        backend: String,
        /// What it says, and at which address.
        warning: Warning,
    },
}

/// What becomes of items that can't be delivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// They are given up, or left to whoever repeats the invocation.
    Dropped,
    /// They stay in the store, where they were before.
    Kept,
    /// They are in the store, and sent again only when somebody asks for it.
    SetAside,
    /// They are in the store.
    Stored,
}

impl Fate {
    const fn words(self) -> &'static str {
        match self {
            Self::Dropped => "",
            Self::Kept => ", still stored",
            Self::SetAside => ", set aside",
            Self::Stored => " but stored",
        }
    }
}

impl Note {
    /// Items that couldn't be delivered to a backend.
    pub(super) fn undelivered(backend: &str, fate: Fate, dropped: Dropped) -> Self {
        let Dropped { request, reason, weight, last } = dropped;
        let address = request.destination.address().to_owned();
        Self::Undelivered { backend: backend.to_owned(), address, fate, reason, weight, last }
    }

    /// Whether nothing is missing, and nothing has to be done about it at once.
    pub const fn is_warning(&self) -> bool {
        matches!(self, Self::Unfinished { .. } | Self::Warned { .. })
    }

    /// Takes in another note of the same cause; `false` if it is of another.
    fn absorb(&mut self, more: &Self) -> bool {
        let (weight, further) = match (self, more) {
            (
                Self::Undelivered { backend, address, fate, reason, weight, .. },
                Self::Undelivered { backend: to, address: at, fate: how, reason: why, weight: further, .. },
            ) if (&*backend, &*address, &*fate, &*reason) == (to, at, how, why) => (weight, further),
            (Self::Aside { backend, weight, why }, Self::Aside { backend: of, weight: further, why: because })
                if (&*backend, &*why) == (of, because) =>
            {
                (weight, further)
            }
            (Self::Left(one), Self::Left(other))
            | (Self::Store(one), Self::Store(other))
            | (Self::OtherBucket { bucket: one }, Self::OtherBucket { bucket: other }) => return one == other,
            (Self::Warned { backend, warning }, Self::Warned { backend: of, warning: another }) => {
                return (&*backend, &*warning) == (of, another);
            }
            _ => return false,
        };
        *weight += *further;
        true
    }
}

impl Outcome {
    /// Adds what another delivery of the same invocation came to.
    pub fn add(&mut self, other: Self) {
        self.ledger.add(&other.ledger);
        self.redriven.extend(other.redriven);
        self.left_to_queue |= other.left_to_queue;
        self.undone += other.undone;
        self.waiting += other.waiting;
        self.unauthorized |= other.unauthorized;
        self.storing = self.storing.max(other.storing);
        for note in other.notes {
            self.note(note);
        }
    }

    /// Takes down a note; of several of one cause there is one.
    pub(super) fn note(&mut self, note: Note) {
        if !self.notes.iter_mut().any(|known| known.absorb(&note)) {
            self.notes.push(note);
        }
    }

    /// Items and records that only a repeated invocation can deliver.
    pub fn failed(&self) -> u64 {
        let unreadable = self.notes.iter().filter(|note| matches!(note, Note::Unreadable { .. } | Note::Unknown(_)));
        self.ledger.backends.iter().map(Account::recoverable).sum::<u64>() + self.undone + unreadable.count() as u64
    }

    /// Whether something of what came is neither delivered nor stored, and won't be.
    pub(super) fn loses(&self) -> bool {
        self.notes.iter().any(|note| {
            matches!(
                note,
                Note::Damaged { kept: None, .. }
                    | Note::Undelivered { fate: Fate::Dropped, .. }
                    | Note::Unreadable { .. }
            )
        })
    }

    /// Places of backends that didn't take all that they may take later, and of those that hadn't before.
    pub(super) fn down(&self, before: Vec<usize>) -> Vec<usize> {
        let mut down = before;
        for (place, account) in self.ledger.backends.iter().enumerate() {
            if account.stored.total() + account.recoverable() > 0 && !down.contains(&place) {
                down.push(place);
            }
        }
        down
    }

    /// What became of stored requests, backend by backend; nothing where none was looked at.
    pub(super) fn of_redrive(&self) -> Map<String, Value> {
        let mut said = Map::new();
        if self.left_to_queue {
            said.insert("redrive_left_to".to_owned(), "queue".into());
        }
        if !self.redriven.is_empty() {
            said.insert("redrive".to_owned(), self.redriven.iter().map(Redriven::to_json).collect());
        }
        said
    }

    /// The same for whoever asked for it, with what else there is to say.
    pub(super) fn reply_to_redrive(&self) -> Reply {
        let mut said = self.of_redrive();
        said.entry("redrive").or_insert_with(|| Value::Array(Vec::new()));
        if !self.notes.is_empty() {
            said.insert("notes".to_owned(), self.notes.iter().map(ToString::to_string).collect());
        }
        Reply::Redriven(said.into())
    }

    /// Takes down once why the store can't be used.
    pub(super) fn note_store(&mut self, why: String) {
        self.note(Note::Store(why));
    }

    /// Takes down what keeps a redrive from the store: nobody else would see it.
    pub(super) fn unread(&mut self, trouble: Note) {
        self.undone += u64::from(matches!(trouble, Note::Store(_)));
        self.note(trouble);
    }

    pub(super) fn damaged(&mut self, log_group: String, read: u64, error: DecodeError) {
        self.ledger.damaged += 1;
        self.notes.push(Note::Damaged { log_group, read, error, kept: None });
    }

    /// Takes down where the copy of a payload is that was damaged.
    pub(super) fn kept(&mut self, key: &str) {
        for note in &mut self.notes {
            if let Note::Damaged { kept, .. } = note {
                kept.get_or_insert_with(|| key.to_owned());
            }
        }
    }

    pub(super) fn cut_short(&mut self, log_group: String, read: u64) {
        self.undone += 1;
        self.notes.push(Note::CutShort { log_group, read });
    }

    /// Every item has to be accounted for, in every build.
    pub(super) fn check(&mut self) {
        for (backend, made, total) in self.ledger.unaccounted() {
            let what = format!("{backend}: {made:?} were made and {total:?} are accounted for");
            debug_assert!(false, "{what}");
            self.notes.push(Note::Unaccounted { what });
        }
    }
}

/// What to do about it, for people: what a proxy wants isn't the intake's to say.
fn advice(reason: Reason, last: &str) -> &'static str {
    if last.starts_with(PROXY_WANTS_USER) {
        "let HTTP_PROXY hold the right ones, as `http://user:password@host:port`"
    } else if last == ENDING {
        "nothing has to be changed, unless it happens often"
    } else {
        reason.advice()
    }
}

/// One sentence: what, where, what to do.
impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Damaged { log_group, read, error, kept } => {
                let of = if log_group.is_empty() { String::new() } else { format!(" of {log_group}") };
                write!(f, "damaged payload{of}: {error}; ")?;
                match read {
                    0 => f.write_str("nothing of it was forwarded")?,
                    1 => f.write_str("the log event before it was forwarded")?,
                    _ => write!(f, "the {read} log events before it were forwarded")?,
                }
                kept.as_ref().map_or(Ok(()), |key| write!(f, "; it is kept as {key} in the store"))
            }
            Self::Undelivered { backend, address, fate, reason, weight, last } => {
                let to = if address.is_empty() { String::new() } else { format!(" to {address}") };
                // Lines of a histogram may be all that a request holds: none of them is a metric.
                let items = if weight.total() == 0 { "parts of metrics".to_owned() } else { weight.to_string() };
                let (fate, why) = (fate.words(), reason.as_str());
                write!(f, "{backend}: {items} not delivered{to}{fate} ({why}): {last}; {}", advice(*reason, last))
            }
            Self::Aside { backend, weight, why } => write!(f, "{backend}: {weight} set aside and not sent: {why}"),
            Self::CutShort { log_group, read } => write!(
                f,
                "no time was left to read a delivery of {log_group} to its end, and it is asked for again; {read} of its log events were read: raise the function's timeout or memory"
            ),
            Self::DamagedStored { key, to } => write!(f, "a stored request is damaged: {key} was moved to {to}"),
            Self::NoBackend { name, names } => {
                write!(f, "there is no backend `{name}`: LOGFERRY_BACKENDS names {names}")
            }
            Self::Late { records } => write!(
                f,
                "no time was left for {records} of the event's records, which are asked for again: raise the function's timeout, or let a batch hold fewer"
            ),
            Self::Left(why) => write!(f, "a stored request was left as it is: {why}"),
            Self::NoStore => f.write_str("there is nothing to redrive: no store is set; name one in LOGFERRY_STORE"),
            Self::Store(why) => {
                write!(f, "the store cannot be used: {why}; check LOGFERRY_STORE, and the function's role and network")
            }
            Self::OtherBucket { bucket } => write!(
                f,
                "S3 tells of objects in `{bucket}`, which is not the store: nothing of them was sent, as logs in buckets are not read; take the notification off the bucket, or name it in LOGFERRY_STORE"
            ),
            Self::OtherForwarder { log_group } => write!(
                f,
                "{log_group} is the log of another logferry: if that one is subscribed to ours, each invocation causes another, for ever; leave one of the two out"
            ),
            Self::Unreadable { id } => write!(
                f,
                "message {id} holds neither a stored request nor an event that we know; it is left to the queue's dead-letter queue"
            ),
            Self::Warned { backend, warning: Warning { address, said } } => {
                write!(f, "{backend}: {address} has taken all of a request, and says: {said}")
            }
            Self::Unfinished { backend } => write!(
                f,
                "{backend}: no time was left for all that is stored for it: the next redrive goes on, and a longer timeout gets further"
            ),
            Self::Unaccounted { what } => write!(f, "bug in logferry, please report it: {what}"),
            Self::Unknown(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_notes_of_one_cause_there_is_one() {
        let undelivered = |backend: &str, fate, logs| Note::Undelivered {
            backend: backend.to_owned(),
            address: "https://intake.example.com".to_owned(),
            fate,
            reason: Reason::Busy,
            weight: Weight { logs, metrics: 0 },
            last: format!("status 429: {logs}"),
        };
        let aside = |why, logs| Note::Aside { backend: "loki".to_owned(), weight: Weight { logs, metrics: 0 }, why };
        let left = |why: &str| Note::Left(why.to_owned());
        let unreadable = || Note::Unreadable { id: "1".to_owned() };
        for (notes, expected) in [
            (
                vec![undelivered("loki", Fate::Stored, 2), undelivered("loki", Fate::Stored, 3)],
                vec!["loki: 5 logs not delivered to https://intake.example.com but stored"],
            ),
            (
                vec![undelivered("loki", Fate::Stored, 2), undelivered("loki", Fate::Dropped, 3)],
                vec!["loki: 2 logs not delivered", "loki: 3 logs not delivered"],
            ),
            (vec![aside("too old", 1), aside("too old", 2)], vec!["loki: 3 logs set aside and not sent: too old"]),
            (vec![aside("too old", 1), aside("damaged", 2)], vec!["loki: 1 log ", "loki: 2 logs "]),
            (vec![left("newer"), left("newer")], vec!["a stored request was left as it is: newer"]),
            (vec![left("one"), left("other")], vec!["a stored request", "a stored request"]),
            // Each of these is a message that has to be delivered again.
            (vec![unreadable(), unreadable()], vec!["message 1 holds neither", "message 1 holds neither"]),
        ] {
            let mut outcome = Outcome::default();
            for note in notes {
                outcome.note(note);
            }
            let said: Vec<_> = outcome.notes.iter().map(ToString::to_string).collect();
            assert_eq!(said.len(), expected.len(), "{said:#?}");
            for (said, expected) in said.iter().zip(expected) {
                assert!(said.starts_with(expected), "{said}");
            }
        }
    }
}
