use std::borrow::Cow;

use memchr::memchr2;
use serde::Deserialize;

use super::{Batch, Limits, Payload};

/// What Lambda was invoked with.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// `{"awslogs":{"data":"<base64>"}}`: a CloudWatch Logs subscription.
    Subscription {
        /// Base64 of gzip of JSON.
        data: Cow<'a, str>,
    },
}

/// Why an event is none of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EventError {
    /// Not JSON at all.
    #[error("the event isn't a JSON object")]
    Json,
    /// JSON, but of no source that we know.
    #[error("the event is of no known source: expected a CloudWatch Logs subscription, {{\"awslogs\":{{\"data\":…}}}}")]
    Unknown,
}

/// A field for each thing that only one source has.
#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default)]
    awslogs: Option<AwsLogs<'a>>,
}

#[derive(Deserialize)]
struct AwsLogs<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
}

impl<'a> Event<'a> {
    /// Finds out which source an event is from, without decoding it.
    ///
    /// # Errors
    ///
    /// Fails when it isn't JSON, or of no known source.
    pub fn from_json(json: &'a str) -> Result<Self, EventError> {
        if let Some(data) = usual(json) {
            return Ok(Self::Subscription { data: Cow::Borrowed(data) });
        }
        let outer: Outer<'a> = serde_json::from_str(json)
            .map_err(|error| if error.is_data() { EventError::Unknown } else { EventError::Json })?;
        let AwsLogs { data } = outer.awslogs.ok_or(EventError::Unknown)?;
        Ok(Self::Subscription { data })
    }

    /// The deliveries that it carries.
    pub fn batches(&self, limits: Limits) -> impl Iterator<Item = Batch<'_>> {
        match self {
            Self::Subscription { data } => std::iter::once(Batch::new(Payload::Base64(data.as_bytes()), limits)),
        }
    }
}

/// The data of an event that is written as Lambda writes it. What isn't base64 in it shows when it is decoded.
fn usual(json: &str) -> Option<&str> {
    let data = json.trim().strip_prefix(r#"{"awslogs":{"data":""#)?.strip_suffix(r#""}}"#)?;
    memchr2(b'"', b'\\', data.as_bytes()).is_none().then_some(data)
}
