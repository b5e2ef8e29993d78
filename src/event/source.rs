use std::borrow::Cow;

use memchr::memchr2;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Batch, Limits, Payload};
use crate::model::Timestamp;
use crate::parcel::Parcel;

/// What Lambda was invoked with.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// Who invoked it, and so what answer is expected.
    pub source: Source,
    /// What it carries.
    pub records: Vec<Record<'a>>,
}

/// Who invokes the function.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// Firehose, which asks for every record back, transformed.
    Firehose,
    /// A Kinesis data stream that a subscription writes to.
    Kinesis,
    /// A schedule, or a person, that asks for what is stored to be sent.
    Redrive,
    /// S3, which tells of stored requests.
    S3,
    /// An SQS queue.
    Sqs,
    /// An SQS queue that keeps the order (FIFO).
    SqsFifo,
    /// A CloudWatch Logs subscription.
    Subscription,
}

impl Source {
    /// Whether it delivers those records again that it is told of, and not the others.
    pub const fn delivers_again(self) -> bool {
        matches!(self, Self::Kinesis | Self::Sqs | Self::SqsFifo)
    }

    /// Whether it is a queue.
    pub const fn is_queue(self) -> bool {
        matches!(self, Self::Sqs | Self::SqsFifo)
    }
}

/// One thing that an event carries.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<'a> {
    /// What the source calls it: a sequence number, the id of a message or of a record.
    pub id: Cow<'a, str>,
    /// What it holds.
    pub content: Content<'a>,
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content<'a> {
    /// A delivery of a subscription: base64 of gzip of JSON.
    Delivery(Cow<'a, str>),
    /// Another event: of an invocation that failed.
    Event(Cow<'a, str>),
    /// Places of stored requests: bucket and key.
    Objects(Vec<(String, String)>),
    /// A wish for what is stored to be sent.
    Redrive(Redrive),
    /// A request that couldn't be sent, as it was stored.
    Stored(Cow<'a, str>),
    /// Nothing that we know.
    Unknown,
}

/// What is to be sent of what is stored: all of it, unless something is said.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Redrive {
    /// Only what was meant for the backend of this name.
    #[serde(default)]
    pub backend: Option<String>,
    /// At most so many requests.
    #[serde(default)]
    pub max: Option<usize>,
    /// Only what is older than so many seconds.
    #[serde(default)]
    pub older_than: Option<u64>,
    /// Only keys that go on like this behind the backend: `2026/11/20`.
    #[serde(default)]
    pub prefix: Option<String>,
    /// What was set aside, instead of what is pending.
    #[serde(default)]
    pub set_aside: bool,
}

impl Redrive {
    /// Whether a request is too young.
    pub fn spares(&self, parcel: &Parcel, now: Timestamp) -> bool {
        let seconds = now.seconds().saturating_sub(parcel.oldest().seconds());
        self.older_than.is_some_and(|older_than| u64::try_from(seconds).unwrap_or_default() < older_than)
    }
}

/// Why an event is none of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EventError {
    /// Not JSON at all.
    #[error("the event isn't a JSON object")]
    Json,
    /// JSON, but of no source that we know.
    #[error(
        "the event is of no known source: expected a CloudWatch Logs subscription, {{\"awslogs\":{{\"data\":…}}}}, records of Kinesis, Firehose, SQS or S3, or {{\"redrive\":true}}"
    )]
    Unknown,
    /// A wish to redrive that can't be read.
    #[error(
        "the wish to redrive cannot be read: expected {{\"redrive\":true}}, or {{\"redrive\":{{…}}}} with none but `backend`, `older_than` in seconds, `prefix`, `max` and `set_aside`"
    )]
    Wish,
}

/// A field for each thing that only one source has.
#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default)]
    awslogs: Option<AwsLogs<'a>>,
    #[serde(borrow, default, rename = "Records")]
    messages: Option<Vec<Message<'a>>>,
    #[serde(borrow, default)]
    records: Option<Vec<FirehoseRecord<'a>>>,
    #[serde(borrow, default)]
    redrive: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct AwsLogs<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
}

/// A record of Kinesis, SQS or S3.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    kinesis: Option<KinesisRecord<'a>>,
    #[serde(borrow, default, rename = "messageId")]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    body: Option<Text<'a>>,
    #[serde(borrow, default, rename = "eventSourceARN")]
    queue: Option<Text<'a>>,
    #[serde(default)]
    s3: Option<S3Entity>,
}

#[derive(Deserialize)]
struct KinesisRecord<'a> {
    #[serde(borrow, rename = "sequenceNumber")]
    sequence_number: Cow<'a, str>,
    #[serde(borrow)]
    data: Cow<'a, str>,
}

#[derive(Deserialize)]
struct FirehoseRecord<'a> {
    #[serde(borrow, rename = "recordId")]
    record_id: Cow<'a, str>,
    #[serde(borrow)]
    data: Cow<'a, str>,
}

#[derive(Deserialize)]
struct S3Entity {
    bucket: S3Bucket,
    object: S3Object,
}

#[derive(Deserialize)]
struct S3Bucket {
    name: String,
}

#[derive(Deserialize)]
struct S3Object {
    key: String,
}

/// Borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What the body of an SQS message may be, beside an event.
#[derive(Deserialize)]
struct Body<'a> {
    /// Ours: a stored request has a version.
    #[serde(default)]
    logferry: Option<serde::de::IgnoredAny>,
    /// Of Lambda's record of an invocation that failed.
    #[serde(borrow, default, rename = "requestPayload")]
    request_payload: Option<&'a RawValue>,
    /// Of the message that S3 sends once, when notices are switched on.
    #[serde(borrow, default, rename = "Event")]
    event: Option<Text<'a>>,
}

impl<'a> Event<'a> {
    /// Finds out which source an event is from, without decoding what it carries.
    ///
    /// # Errors
    ///
    /// Fails when it isn't JSON, or of no known source.
    pub fn from_json(json: &'a str) -> Result<Self, EventError> {
        if let Some(data) = usual(json) {
            return Ok(Self::subscription(Cow::Borrowed(data)));
        }
        let outer: Outer<'a> = serde_json::from_str(json)
            .map_err(|error| if error.is_data() { EventError::Unknown } else { EventError::Json })?;
        match outer {
            Outer { awslogs: Some(AwsLogs { data }), .. } => Ok(Self::subscription(data)),
            Outer { messages: Some(messages), .. } => Self::of_messages(messages).ok_or(EventError::Unknown),
            Outer { records: Some(records), .. } => Ok(Self {
                source: Source::Firehose,
                records: records
                    .into_iter()
                    .map(|FirehoseRecord { record_id: id, data }| Record { id, content: Content::Delivery(data) })
                    .collect(),
            }),
            Outer { redrive: Some(wish), .. } => {
                let wish = redrive(wish.get()).ok_or(EventError::Wish)?;
                let record = Record { id: Cow::Borrowed(""), content: Content::Redrive(wish) };
                Ok(Self { source: Source::Redrive, records: vec![record] })
            }
            _ => Err(EventError::Unknown),
        }
    }

    fn subscription(data: Cow<'a, str>) -> Self {
        let record = Record { id: Cow::Borrowed(""), content: Content::Delivery(data) };
        Self { source: Source::Subscription, records: vec![record] }
    }

    fn of_messages(messages: Vec<Message<'a>>) -> Option<Self> {
        let source = match messages.first()? {
            Message { kinesis: Some(_), .. } => Source::Kinesis,
            // The name of such a queue has to end so.
            Message { body: Some(_), queue: Some(Text(queue)), .. } if queue.ends_with(".fifo") => Source::SqsFifo,
            Message { body: Some(_), .. } => Source::Sqs,
            Message { s3: Some(_), .. } => Source::S3,
            _ => return None,
        };
        let records = messages.into_iter().map(|message| match message {
            Message { kinesis: Some(KinesisRecord { sequence_number: id, data }), .. } => {
                Record { id, content: Content::Delivery(data) }
            }
            Message { body: Some(Text(body)), id, .. } => {
                Record { id: id.map_or(Cow::Borrowed(""), |Text(id)| id), content: body_of(body) }
            }
            Message { s3: Some(entity), .. } => {
                Record { id: Cow::Borrowed(""), content: Content::Objects(vec![entity.place()]) }
            }
            Message { id, .. } => Record { id: id.map_or(Cow::Borrowed(""), |Text(id)| id), content: Content::Unknown },
        });
        Some(Self { source, records: records.collect() })
    }

    /// The deliveries that it carries itself.
    pub fn batches(&self, limits: Limits) -> impl Iterator<Item = Batch<'_>> {
        self.records.iter().filter_map(move |record| record.batch(limits))
    }
}

impl Record<'_> {
    /// The delivery that it is.
    pub fn batch(&self, limits: Limits) -> Option<Batch<'_>> {
        match &self.content {
            Content::Delivery(data) => Some(Batch::new(Payload::Base64(data.as_bytes()), limits)),
            _ => None,
        }
    }
}

impl S3Entity {
    /// Keys in events are encoded as in forms.
    fn place(self) -> (String, String) {
        (self.bucket.name, percent_decoded(&self.object.key.replace('+', " ")))
    }
}

/// What the body of a message is.
fn body_of(body: Cow<'_, str>) -> Content<'_> {
    let parsed: Option<Body<'_>> = serde_json::from_str(&body).ok();
    match parsed {
        Some(Body { logferry: Some(_), .. }) => return Content::Stored(body),
        Some(Body { request_payload: Some(payload), .. }) => {
            return Content::Event(Cow::Owned(payload.get().to_owned()));
        }
        Some(Body { event: Some(Text(event)), .. }) if event == "s3:TestEvent" => return Content::Objects(Vec::new()),
        _ => {}
    }
    let objects = match Event::from_json(&body) {
        Err(_) => return Content::Unknown,
        Ok(Event { source: Source::S3, records }) => {
            let places = records.into_iter().filter_map(|record| match record.content {
                Content::Objects(places) => Some(places),
                _ => None,
            });
            Some(places.flatten().collect())
        }
        Ok(_) => None,
    };
    objects.map_or(Content::Event(body), Content::Objects)
}

/// `true`, or what is wished for in detail.
fn redrive(json: &str) -> Option<Redrive> {
    match serde_json::from_str::<bool>(json) {
        Ok(wanted) => wanted.then(Redrive::default),
        Err(_) => serde_json::from_str(json).ok(),
    }
}

/// A text without the escapes of addresses.
pub(crate) fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    while let Some((&byte, behind)) = rest.split_first() {
        let escape = match behind {
            [high, low, ..] if byte == b'%' => digit(high).zip(digit(low)),
            _ => None,
        };
        bytes.push(escape.map_or(byte, |(high, low)| high << 4 | low));
        rest = behind.get(if escape.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The data of an event that is written as Lambda writes it. What isn't base64 in it shows when it is decoded.
fn usual(json: &str) -> Option<&str> {
    let data = json.trim().strip_prefix(r#"{"awslogs":{"data":""#)?.strip_suffix(r#""}}"#)?;
    memchr2(b'"', b'\\', data.as_bytes()).is_none().then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_of_an_address_has_two_digits() {
        for (text, expected) in
            [("a%2Fb%c3%A9", "a/bé"), ("%", "%"), ("%2", "%2"), ("%+f%zz", "%+f%zz"), ("%ff", "\u{fffd}")]
        {
            assert_eq!(percent_decoded(text), expected);
        }
    }

    fn contents(json: &str) -> (Source, Vec<(String, String)>) {
        let event = Event::from_json(json).unwrap();
        let records = event.records.iter().map(|record| (record.id.to_string(), format!("{:?}", record.content)));
        (event.source, records.collect())
    }

    #[test]
    fn knows_every_source_by_what_only_it_has() {
        let stored = r#"{\"logferry\":1,\"backend\":\"datadog\"}"#;
        let failed =
            r#"{\"version\":\"1.0\",\"requestContext\":{},\"requestPayload\":{\"awslogs\":{\"data\":\"eA==\"}}}"#;
        let test = r#"{\"Service\":\"Amazon S3\",\"Event\":\"s3:TestEvent\",\"Bucket\":\"b\"}"#;
        let s3 = r#"{"s3":{"bucket":{"name":"b"},"object":{"key":"a+b/%C3%A9.req"}}}"#;
        let in_s3 = format!(r#"{{\"Records\":[{}]}}"#, s3.replace('"', "\\\""));
        for (json, source, records) in [
            (r#"{"awslogs":{"data":"eA=="}}"#.to_owned(), Source::Subscription, vec![("", r#"Delivery("eA==")"#)]),
            (
                r#"{"Records":[{"eventSource":"aws:kinesis","kinesis":{"sequenceNumber":"7","data":"eA==","x":1}}]}"#
                    .to_owned(),
                Source::Kinesis,
                vec![("7", r#"Delivery("eA==")"#)],
            ),
            (
                r#"{"invocationId":"i","deliveryStreamArn":"a","records":[{"recordId":"r","data":"eA=="}]}"#.to_owned(),
                Source::Firehose,
                vec![("r", r#"Delivery("eA==")"#)],
            ),
            (
                format!(
                    r#"{{"Records":[{{"messageId":"m","body":"{stored}"}},{{"messageId":"n","body":"{failed}"}},{{"messageId":"o","body":"hello"}},{{"messageId":"p","body":"{in_s3}"}},{{"messageId":"q","body":"{test}"}}]}}"#
                ),
                Source::Sqs,
                vec![
                    ("m", r#"Stored("{\"logferry\":1,\"backend\":\"datadog\"}")"#),
                    ("n", r#"Event("{\"awslogs\":{\"data\":\"eA==\"}}")"#),
                    ("o", "Unknown"),
                    ("p", r#"Objects([("b", "a b/é.req")])"#),
                    ("q", "Objects([])"),
                ],
            ),
            (format!(r#"{{"Records":[{s3}]}}"#), Source::S3, vec![("", r#"Objects([("b", "a b/é.req")])"#)]),
            (
                r#"{"redrive":true}"#.to_owned(),
                Source::Redrive,
                vec![(
                    "",
                    "Redrive(Redrive { backend: None, max: None, older_than: None, prefix: None, set_aside: false })",
                )],
            ),
            (
                r#"{"redrive":{"backend":"loki:eu","max":5}}"#.to_owned(),
                Source::Redrive,
                vec![(
                    "",
                    r#"Redrive(Redrive { backend: Some("loki:eu"), max: Some(5), older_than: None, prefix: None, set_aside: false })"#,
                )],
            ),
        ] {
            let records = records.into_iter().map(|(id, content)| (id.to_owned(), content.to_owned())).collect();
            assert_eq!(contents(&json), (source, records), "{json}");
        }
    }

    #[test]
    fn says_when_it_knows_none() {
        for json in [r#"{"Records":[]}"#, r#"{"Records":[{"Sns":{}}]}"#, "{}"] {
            assert_eq!(Event::from_json(json), Err(EventError::Unknown), "{json}");
        }
        for wish in ["false", r#"{"x":1}"#, r#"{"older_than":"1h"}"#] {
            assert_eq!(Event::from_json(&format!(r#"{{"redrive":{wish}}}"#)), Err(EventError::Wish), "{wish}");
        }
        assert_eq!(Event::from_json("nothing"), Err(EventError::Json));
    }
}
