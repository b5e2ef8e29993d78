//! A finished request as it is stored: everything but where it goes and who sends it.
//!
//! ```text
//! {"logferry":1,"backend":"datadog","route":"logs","oldest":1764000000123,"copy":"7d1e…-0","tries":0,"reason":"unreachable","said":"…",
//!  "content_type":"application/json","compression":"gzip","level":6,
//!  "open":"Ww==","separator":",","close":"XQ==","items":[[812,1,0],[1630,1,0]],"body":"H4sI…"}
//! ```
//!
//! The body is as it would be sent, in base64; so is what stands around its
//! items. Address and credentials are those that hold when it is sent again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::model::Timestamp;
use crate::request::{Compression, Destination, Frame, Header, Item, Request, Weight, Wrapper};

/// The version of the format.
const VERSION: u32 = 1;

/// A request that couldn't be sent, and what is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parcel {
    logferry: u32,
    /// Name of the backend, as the settings have it.
    pub backend: String,
    /// Which of the backend's intakes it is for.
    pub route: String,
    /// Time of the oldest log event of its delivery, in ms since the epoch.
    pub oldest: i64,
    /// A mark that tells it from another request with the same bytes: a metric has no id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub copy: String,
    /// How often the intake has refused it.
    pub tries: u32,
    /// Why it wasn't sent.
    pub reason: String,
    /// The intake's last answer, in words, without secrets.
    pub said: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    compression: Codec,
    level: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wrappers: Option<Vec<(u32, String)>>,
    items: Vec<(usize, u64, u64)>,
    body: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Codec {
    Deflate,
    Gzip,
    None,
    Snappy,
    Zstd,
}

/// What stands around items, in base64.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Text {
    open: String,
    separator: String,
    close: String,
}

/// Why a stored request can't be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParcelError {
    /// Another program's, or damaged.
    #[error("the stored request is damaged")]
    Damaged,
    /// Of a newer logferry.
    #[error("the stored request is of a newer version of logferry")]
    Version,
}

impl Parcel {
    /// Packs a request.
    pub fn pack(backend: &str, request: &Request, reason: &str, said: &str) -> Self {
        let encode = |bytes: &[u8]| STANDARD.encode(bytes);
        let (text, wrappers) = match &request.frame {
            Frame::Text { open, separator, close } => {
                (Some(Text { open: encode(open), separator: encode(separator), close: encode(close) }), None)
            }
            Frame::Protobuf(wrappers) => {
                (None, Some(wrappers.iter().map(|wrapper| (wrapper.field, encode(&wrapper.before))).collect()))
            }
        };
        let (compression, level) = match request.compression {
            Compression::Deflate(level) => (Codec::Deflate, i32::try_from(level).unwrap_or_default()),
            Compression::Gzip(level) => (Codec::Gzip, i32::try_from(level).unwrap_or_default()),
            Compression::None => (Codec::None, 0),
            Compression::Snappy => (Codec::Snappy, 0),
            Compression::Zstd(level) => (Codec::Zstd, level),
        };
        Self {
            logferry: VERSION,
            backend: backend.to_owned(),
            route: request.route.to_owned(),
            oldest: request.oldest.millis(),
            copy: String::new(),
            tries: 0,
            reason: reason.to_owned(),
            said: said.to_owned(),
            content_type: content_type(request),
            compression,
            level,
            text,
            wrappers,
            items: request.items.iter().map(|item| (item.end, item.weight.logs, item.weight.metrics)).collect(),
            body: encode(&request.body),
        }
    }

    /// Reads what was stored.
    ///
    /// # Errors
    ///
    /// When it isn't ours, or of a newer version.
    pub fn from_json(json: &[u8]) -> Result<Self, ParcelError> {
        #[derive(Deserialize)]
        struct Version {
            logferry: u32,
        }
        let Version { logferry } = serde_json::from_slice(json).map_err(|_| ParcelError::Damaged)?;
        if logferry > VERSION {
            return Err(ParcelError::Version);
        }
        serde_json::from_slice(json).map_err(|_| ParcelError::Damaged)
    }

    /// As it is stored.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Makes a request of what was stored. `model` is an empty one of the backend as it is set now: it says where
    /// requests of this route go, with which credentials, and what answers mean.
    ///
    /// # Errors
    ///
    /// When what was stored is damaged.
    pub fn unpack(&self, model: Request) -> Result<Request, ParcelError> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| ParcelError::Damaged);
        let level = u32::try_from(self.level).unwrap_or_default();
        let compression = match self.compression {
            Codec::Deflate => Compression::Deflate(level),
            Codec::Gzip => Compression::Gzip(level),
            Codec::None => Compression::None,
            Codec::Snappy => Compression::Snappy,
            Codec::Zstd => Compression::Zstd(self.level),
        };
        let frame = match (&self.text, &self.wrappers) {
            (Some(text), _) => Frame::Text {
                open: decode(&text.open)?.into(),
                separator: decode(&text.separator)?.into(),
                close: decode(&text.close)?.into(),
            },
            (None, Some(wrappers)) => {
                let wrapper = |(field, before): &(u32, String)| Ok(Wrapper { field: *field, before: decode(before)? });
                Frame::Protobuf(wrappers.iter().map(wrapper).collect::<Result<_, _>>()?)
            }
            (None, None) => return Err(ParcelError::Damaged),
        };
        let items = self.items.iter().map(|&(end, logs, metrics)| Item { end, weight: Weight { logs, metrics } });
        let destination = self.labelled(model.destination, compression);
        let (items, body) = (items.collect(), decode(&self.body)?);
        Ok(Request { destination, body, compression, frame, items, oldest: self.oldest(), ..model })
    }

    /// Time of the oldest log event of its delivery.
    pub const fn oldest(&self) -> Timestamp {
        Timestamp::from_millis(self.oldest)
    }

    /// What its key is made from: the backend, the route, the mark of its copy, and the body.
    pub fn content(&self) -> Vec<u8> {
        [&self.backend, "\n", &self.route, "\n", &self.copy, "\n", self.body.as_str()].concat().into_bytes()
    }

    /// What it stands for.
    pub fn weight(&self) -> Weight {
        self.items.iter().map(|&(_, logs, metrics)| Weight { logs, metrics }).sum()
    }

    /// How many items it holds.
    pub const fn count(&self) -> usize {
        self.items.len()
    }

    /// The destination with the headers that describe this body.
    fn labelled(&self, destination: Destination, compression: Compression) -> Destination {
        let Destination::Http(mut endpoint) = destination else { return destination };
        let describes = |name: &str| {
            name.eq_ignore_ascii_case("content-encoding")
                || (name.eq_ignore_ascii_case("content-type") && self.content_type.is_some())
        };
        endpoint.headers.retain(|(name, _)| !describes(name));
        if let Some(kind) = &self.content_type {
            endpoint.headers.push(("Content-Type".into(), Header::Public(kind.clone())));
        }
        if let Some(encoding) = compression.content_encoding() {
            endpoint.headers.push(("Content-Encoding".into(), Header::Public(encoding.to_owned())));
        }
        Destination::Http(endpoint)
    }
}

fn content_type(request: &Request) -> Option<String> {
    let Destination::Http(endpoint) = &request.destination else { return None };
    endpoint.headers.iter().find_map(|(name, value)| match value {
        Header::Public(value) if name.eq_ignore_ascii_case("content-type") => Some(value.clone()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Secret;
    use crate::request::{Endpoint, Verdict};

    fn request(frame: Frame, key: &str) -> Request {
        let headers = vec![
            ("Content-Type".into(), Header::Public("application/json".into())),
            ("Content-Encoding".into(), Header::Public("gzip".into())),
            ("Api-Key".into(), Header::Secret(Secret::new(key.into()))),
        ];
        let url = format!("https://intake.example.com/{key}");
        Request {
            destination: Destination::Http(Endpoint { url, headers, ..Endpoint::default() }),
            body: b"\x1f\x8b\0body".to_vec(),
            compression: Compression::Gzip(6),
            frame,
            items: vec![Item { end: 3, weight: Weight::LOG }, Item { end: 9, weight: Weight::metrics(4) }],
            route: "logs",
            oldest: Timestamp::from_millis(1_764_000_000_123),
            judge: Verdict::of,
            select: |_, _| None,
            fallback: None,
        }
    }

    #[test]
    fn what_is_stored_comes_back_with_the_credentials_of_now() {
        let text = Frame::Text { open: b"{\"a\":["[..].into(), separator: b","[..].into(), close: b"]}"[..].into() };
        let protobuf = Frame::Protobuf(vec![Wrapper { field: 1, before: b"\x0a\0".to_vec() }]);
        for frame in [text, protobuf] {
            let stored =
                Parcel::pack("loki:eu", &request(frame.clone(), "old-secret"), "unreachable", "refused").to_json();
            assert!(!String::from_utf8_lossy(&stored).contains("old-secret"));
            let parcel = Parcel::from_json(&stored).unwrap();
            assert_eq!((parcel.backend.as_str(), parcel.weight()), ("loki:eu", Weight { logs: 1, metrics: 4 }));
            let model =
                Request { items: Vec::new(), body: Vec::new(), ..request(Frame::text(b"", b"", b""), "new-secret") };
            let again = parcel.unpack(model).unwrap();
            let expected = request(frame, "new-secret");
            assert_eq!((again.body, again.frame, again.items), (expected.body, expected.frame, expected.items));
            let Destination::Http(endpoint) = again.destination else { panic!("another destination") };
            assert_eq!(endpoint.url, "https://intake.example.com/new-secret");
            assert_eq!(endpoint.headers.len(), 3);
        }
    }

    #[test]
    fn says_what_cannot_be_read() {
        assert_eq!(Parcel::from_json(b"{}"), Err(ParcelError::Damaged));
        assert_eq!(Parcel::from_json(b"{\"logferry\":2}"), Err(ParcelError::Version));
    }
}
