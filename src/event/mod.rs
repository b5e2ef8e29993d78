//! From a Lambda payload to log events.
//!
//! Base64 and gzip are undone through a window, and the window is scanned for
//! one log event at a time: memory hardly grows with the batch, whatever its
//! size. Nothing here knows what a message means.

mod document;
mod inflate;
mod limits;
mod reply;
mod source;
mod subscription;

pub use inflate::Payload;
pub use limits::Limits;
pub use reply::{Reply, TransformResult, Transformed};
pub(crate) use source::percent_decoded;
pub use source::{Content, Event, EventError, Record, Redrive, Source};
pub use subscription::{Batch, Envelope, MessageType};

/// Why a payload can't be decoded (further).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// A character that isn't base64, or one too few.
    #[error("the data isn't base64")]
    Base64,
    /// One log event is larger than we hold.
    #[error("a log event is larger than {limit} bytes (LOGFERRY_MAX_EVENT_BYTES)")]
    EventTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// Neither gzip nor a JSON object.
    #[error("the data is neither gzip nor a JSON object")]
    Format,
    /// The compressed data is damaged.
    #[error("the gzip data is damaged")]
    Gzip,
    /// Not the JSON that a subscription sends.
    #[error("the JSON is damaged near byte {at}")]
    Json {
        /// Offset in the inflated document.
        at: u64,
    },
    /// A JSON object, but no delivery of a subscription.
    #[error("the JSON object holds no logEvents, so no subscription has sent it")]
    NoLogEvents,
    /// It inflates to more than we read.
    #[error("the data inflates to more than {limit} bytes (LOGFERRY_MAX_INFLATED_BYTES)")]
    TooLarge {
        /// Bytes allowed.
        limit: u64,
    },
    /// It ends too early.
    #[error("the data ends too early")]
    Truncated,
}

#[cfg(test)]
mod tests;
