//! Where requests are kept that couldn't be sent, until they can.
//!
//! What is stored has a key that follows from its content and from the delivery that it
//! is of: storing it twice is storing it once. Keys sort by backend, then by time, the oldest first:
//!
//! ```text
//! pending/datadog/2026/11/20/10/1795170600000-3f1c9a40b7e25d86.json
//! set-aside/datadog/2026/11/20/10/1795170600000-3f1c9a40b7e25d86.json
//! ```

mod folder;
mod s3;
mod sqs;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub use folder::Folder;
pub use s3::S3;
pub use sqs::Sqs;

use crate::aws::{AwsError, Client};
use crate::env::{Env, Row, Setting};
use crate::parcel::Parcel;

/// A place for requests that couldn't be sent.
#[derive(Clone, Debug)]
pub enum Store {
    /// A folder: for the command line and for tests.
    Folder(Folder),
    /// An S3 bucket.
    S3(Box<S3>),
    /// An SQS queue, which invokes the function again by itself.
    Sqs(Box<Sqs>),
}

/// Where a store is, as the settings have it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// `/var/spool/logferry`, `./kept` or `file:///…`
    Folder(PathBuf),
    /// `s3://bucket/prefix`
    S3 {
        /// Name of the bucket.
        bucket: String,
        /// What all keys begin with; empty, or with a slash at its end.
        prefix: String,
    },
    /// `https://sqs.eu-west-1.amazonaws.com/123456789012/queue`
    Sqs {
        /// Address of the queue.
        url: String,
    },
}

/// Why something can't be stored or read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// AWS says no, or nothing.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// An object that a message of a queue refers to isn't a request: it stays, as the queue sets aside what fails.
    #[error("{key} is damaged")]
    Damaged {
        /// Its key.
        key: String,
    },
    /// The folder can't be written or read.
    #[error("{path}: {cause}")]
    Folder {
        /// File or folder.
        path: String,
        /// What the system says.
        cause: String,
    },
    /// Of a newer logferry, which may be deployed again: it stays as it is.
    #[error("{key} is of a newer version of logferry")]
    Newer {
        /// Its key.
        key: String,
    },
    /// A queue can't be looked into.
    #[error("an SQS queue invokes the function by itself: it can't be looked into or redriven by hand")]
    NotAList,
    /// A request that is done with can't be deleted.
    #[error("{cause}; {key} is done with and stays there, to be sent again until it can be deleted")]
    Undeleted {
        /// Its key.
        key: String,
        /// Why not.
        cause: Box<Self>,
    },
    /// Larger than the queue takes, and there is no bucket.
    #[error("larger than an SQS message of 1 MiB, and LOGFERRY_STORE_BUCKET names no bucket for such ones")]
    TooLarge,
}

/// The two places where a store keeps requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shelf {
    /// To be sent again.
    Pending,
    /// Refused too often, or too old: sent again only when somebody asks for it.
    SetAside,
}

impl Shelf {
    /// What keys begin with.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::SetAside => "set-aside",
        }
    }
}

impl Place {
    const STORE: Setting<Self> = Setting::new(
        "LOGFERRY_STORE",
        Self::parse,
        "Where to keep what could not be sent: `s3://bucket/prefix`, the address of an SQS queue, or a folder. Without it the invocation fails, so that Lambda repeats it.",
    )
    .address();
    const BUCKET: Setting<Self> = Setting::new(
        "LOGFERRY_STORE_BUCKET",
        Self::parse_bucket,
        "With a queue: `s3://bucket/prefix` for what is larger than a message can be.",
    )
    .address();

    /// The settings, for documents.
    pub const ROWS: [Row; 2] = [Self::STORE.row(), Self::BUCKET.row()];

    /// Reads where the store is, and the bucket beside a queue, which isn't read beside anything else.
    pub fn from_env(env: &mut Env<'_>) -> (Option<Self>, Option<Self>) {
        let store = env.read(&Self::STORE);
        let bucket = matches!(store, Some(Self::Sqs { .. })).then(|| env.read(&Self::BUCKET));
        (store, bucket.flatten())
    }

    fn parse(value: &str) -> Result<Self, String> {
        if value.starts_with("s3://") {
            return Self::parse_bucket(value);
        }
        if value.starts_with("http://") || value.starts_with("https://") {
            let url = crate::env::read::url(value)?.base;
            return if names_queue(&url) { Ok(Self::Sqs { url }) } else { Err(NO_QUEUE.to_owned()) };
        }
        let path = value.strip_prefix("file://").unwrap_or(value);
        // What begins otherwise may be a bucket's name, or an ARN.
        if !path.starts_with(['/', '.']) {
            return Err(
                "is no store: expected `s3://bucket/prefix`, the address of an SQS queue, or a folder as `/var/spool/logferry` or `./kept`"
                    .to_owned(),
            );
        }
        if Path::new(path).is_file() {
            return Err("is a file: expected a folder".to_owned());
        }
        Ok(Self::Folder(path.into()))
    }

    fn parse_bucket(value: &str) -> Result<Self, String> {
        let legal = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./=".contains(&b));
        let rest = value.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, "")));
        match rest {
            Some((bucket, prefix)) if !bucket.is_empty() && legal(bucket) && legal(prefix) => {
                let prefix = prefix.trim_matches('/');
                let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
                Ok(Self::S3 { bucket: bucket.to_owned(), prefix })
            }
            _ => Err("is no bucket: expected `s3://bucket/prefix`".to_owned()),
        }
    }
}

const NO_QUEUE: &str = "is no address of a queue: expected `https://sqs.{region}.amazonaws.com/{account}/{queue}`, or `s3://bucket/prefix`";

/// Whether an address is one of a queue: of an account and a name, or, as an emulator has it, of a name.
fn names_queue(url: &str) -> bool {
    let path: Vec<_> = url.split('/').skip(3).collect();
    let is_account = |text: &str| text == "queue" || (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    matches!(path.as_slice(), [account, name] if is_account(account) && !name.is_empty())
}

impl Store {
    /// Opens the store at `place`; `bucket` is for what a queue can't take.
    pub fn new(place: Place, bucket: Option<Place>, client: &Client) -> Self {
        let s3 = |place| match place {
            Place::S3 { bucket, prefix } => Some(S3::new(bucket, prefix, client.clone())),
            Place::Folder(_) | Place::Sqs { .. } => None,
        };
        match place {
            Place::Folder(path) => Self::Folder(Folder::new(path)),
            Place::S3 { bucket, prefix } => Self::S3(Box::new(S3::new(bucket, prefix, client.clone()))),
            Place::Sqs { url } => Self::Sqs(Box::new(Sqs::new(url, bucket.and_then(s3), client.clone()))),
        }
    }

    /// Whether it is a queue, which invokes the function with what is in it and can't be looked into.
    pub const fn is_queue(&self) -> bool {
        matches!(self, Self::Sqs(_))
    }

    /// Stores a request; one that is there already stays as it is.
    ///
    /// # Errors
    ///
    /// When it can't be stored.
    pub async fn put(&self, on: Shelf, parcel: &Parcel) -> Result<(), StoreError> {
        self.put_bytes(&key(on, parcel), &parcel.to_json()).await
    }

    /// Stores what isn't a request, as a payload that can't be decoded, and says under which key; `what` is wrong with it.
    ///
    /// # Errors
    ///
    /// When it can't be stored; in a queue it never can, as that would invoke the function with it.
    pub async fn put_damaged(&self, payload: &[u8], what: &str) -> Result<String, StoreError> {
        if matches!(self, Self::Sqs(_)) {
            return Err(StoreError::NotAList);
        }
        let json = serde_json::json!({ "damaged": what, "payload": String::from_utf8_lossy(payload) });
        let key = format!("damaged/{}.json", hash(payload));
        self.put_bytes(&key, json.to_string().as_bytes()).await.map(|()| key)
    }

    async fn put_bytes(&self, key: &str, json: &[u8]) -> Result<(), StoreError> {
        match self {
            Self::Folder(folder) => folder.put(key, json, Overwrite::Never),
            Self::S3(s3) => s3.put(key, json, Overwrite::Never).await,
            Self::Sqs(sqs) => sqs.put(key, json).await,
        }
    }

    /// Stores anew what is known of a request that is there.
    ///
    /// # Errors
    ///
    /// When it can't be stored.
    pub async fn replace(&self, key: &str, parcel: &Parcel) -> Result<(), StoreError> {
        match self {
            Self::Folder(folder) => folder.put(key, &parcel.to_json(), Overwrite::Always),
            Self::S3(s3) => s3.put(key, &parcel.to_json(), Overwrite::Always).await,
            Self::Sqs(_) => Err(StoreError::NotAList),
        }
    }

    /// Keys that begin with `prefix` and sort after `after`, in ascending order: at most `max`.
    ///
    /// # Errors
    ///
    /// When they can't be read; those of a queue never can.
    pub async fn list(&self, prefix: &str, after: &str, max: usize) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Folder(folder) => folder.list(prefix, after, max),
            Self::S3(s3) => s3.list(prefix, after, max).await,
            Self::Sqs(_) => Err(StoreError::NotAList),
        }
    }

    /// Whether it is a folder that isn't there (yet): nobody has stored anything in it.
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Folder(folder) => folder.is_missing(),
            Self::S3(_) | Self::Sqs(_) => false,
        }
    }

    /// Whether it keeps what it keeps in this bucket.
    pub fn is_in(&self, bucket: &str) -> bool {
        match self {
            Self::Folder(_) => false,
            Self::S3(s3) => s3.is_in(bucket),
            Self::Sqs(sqs) => sqs.is_in(bucket),
        }
    }

    /// The key of an object of this store; `None` when it is another's.
    pub fn own_key(&self, bucket: &str, object: &str) -> Option<String> {
        match self {
            Self::Folder(_) => None,
            Self::S3(s3) => s3.own_key(bucket, object),
            Self::Sqs(sqs) => sqs.own_key(bucket, object),
        }
    }

    /// What is stored under a key; `None` when there is nothing (any more).
    ///
    /// # Errors
    ///
    /// When it can't be read.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Self::Folder(folder) => folder.get(key),
            Self::S3(s3) => s3.get(key).await,
            Self::Sqs(sqs) => sqs.get(key).await,
        }
    }

    /// Takes away what is stored under a key.
    ///
    /// # Errors
    ///
    /// When it can't be taken away.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        match self {
            Self::Folder(folder) => folder.delete(key),
            Self::S3(s3) => s3.delete(key).await,
            Self::Sqs(sqs) => sqs.delete(key).await,
        }
    }
}

/// Whether something that is stored may be replaced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Overwrite {
    Always,
    Never,
}

/// The key under which a request is stored. It follows from what the request is, not from when it is stored:
/// `pending/loki-eu/2026/11/20/09/1795165334123-logs-00112233aabbccdd.json`.
pub fn key(shelf: Shelf, parcel: &Parcel) -> String {
    let hash = hash(&parcel.content());
    let time = parcel.oldest().to_string();
    let hour = time.get(..13).unwrap_or_default().replace(['-', 'T'], "/");
    let backend = folder_of(&parcel.backend);
    format!("{}/{backend}/{hour}/{}-{}-{hash}.json", shelf.name(), parcel.oldest, parcel.route)
}

/// For which of its backend's intakes the request under a key is; `None` where the key doesn't say, as of an earlier version.
pub fn route_of(key: &str) -> Option<&str> {
    let (_, name) = key.rsplit_once('/')?;
    let (_, rest) = name.split_once('-')?;
    rest.rsplit_once('-').map(|(route, _)| route)
}

/// Gives each stored request a mark, so that equal bytes which aren't the same telemetry are stored apart.
///
/// Metrics have no id: two deliveries, or two halves of one request, may make the same bytes, and both have to be kept.
/// The mark follows from the source and from a count, so a delivery that is repeated, or a stored request that is
/// taken apart again, gives each request the mark that it had before.
#[derive(Debug)]
pub struct Copies<'a> {
    /// What the requests are made of: a payload, or a stored request.
    source: &'a [u8],
    hash: OnceCell<String>,
    /// How many requests of the same content were marked, by the hash of their content.
    before: RefCell<HashMap<String, u32>>,
}

impl<'a> Copies<'a> {
    /// For requests that are made of `source`, the bytes as they came.
    pub fn of(source: &'a [u8]) -> Self {
        Self { source, hash: OnceCell::new(), before: RefCell::default() }
    }

    /// Marks a request before it is stored.
    pub fn mark(&self, mut parcel: Parcel) -> Parcel {
        let mut before = self.before.borrow_mut();
        let count = before.entry(hash(&parcel.content())).or_default();
        let copy = format!("{}-{count}", self.hash.get_or_init(|| hash(self.source)));
        *count += 1;
        parcel.copy = copy;
        parcel
    }
}

/// The first 64 bits of SHA-256, in hexadecimal digits.
fn hash(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let head = digest.as_ref().first_chunk().copied().unwrap_or_default();
    format!("{:016x}", u64::from_be_bytes(head))
}

/// The part of a key that names its backend, `loki-eu` for `loki:eu`: a colon isn't legal everywhere.
pub fn folder_of(backend: &str) -> String {
    backend.replace(':', "-")
}

/// The key of the same request on another shelf.
pub fn moved(key: &str, from: Shelf, to: Shelf) -> String {
    key.strip_prefix(from.name()).map_or_else(|| key.to_owned(), |rest| format!("{}{rest}", to.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_where_the_store_is() {
        let bucket = |prefix: &str| Ok(Place::S3 { bucket: "b".to_owned(), prefix: prefix.to_owned() });
        let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/q";
        for (value, expected) in [
            ("s3://b", bucket("")),
            ("s3://b/a/c/", bucket("a/c/")),
            (url, Ok(Place::Sqs { url: url.to_owned() })),
            ("http://localhost:9324/queue/q", Ok(Place::Sqs { url: "http://localhost:9324/queue/q".to_owned() })),
            ("/var/spool", Ok(Place::Folder("/var/spool".into()))),
            ("file:///var/spool", Ok(Place::Folder("/var/spool".into()))),
            ("./kept", Ok(Place::Folder("./kept".into()))),
        ] {
            assert_eq!(Place::parse(value), expected, "{value}");
        }
        for value in [
            "s3://",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
            "s3://b/a b",
            "gs://b",
            "S3://b",
            "s3:/b",
            "b",
            "arn:aws:s3:::b",
            "file://b",
            "https://b.s3.eu-west-1.amazonaws.com/a",
            "https://s3.eu-west-1.amazonaws.com/b/a",
            "https://sqs.eu-west-1.amazonaws.com/",
            "https://sqs.eu-west-1.amazonaws.com/1//q",
        ] {
            assert!(Place::parse(value).is_err(), "{value}");
        }
    }
}
