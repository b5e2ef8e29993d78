//! A push as JSON, and in the messages of Loki's own clients.

use std::borrow::Cow;

use super::super::protobuf;
use super::super::write::{members, text};
use super::stream::pair;
use crate::json::JsonStr;
use crate::request::{Frame, Wrapper};

/// How a push is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Format {
    Json,
    Protobuf,
}

/// What stands between the labels of a stream and its entries.
pub(super) const JSON_VALUES: &[u8] = b"},\"values\":[";

impl Format {
    /// Reads `json` or `protobuf`.
    pub(super) fn parse(value: &str) -> Result<Self, String> {
        match value {
            "json" => Ok(Self::Json),
            "protobuf" => Ok(Self::Protobuf),
            _ => Err("is neither `json` nor `protobuf`".to_owned()),
        }
    }

    /// What stands around the entries of a stream.
    pub(super) fn frame(self, labels: &[(String, String)]) -> Frame {
        let mut open = Vec::new();
        match self {
            Self::Json => {
                open.extend_from_slice(b"{\"streams\":[{\"stream\":{");
                members(labels.iter().map(pair), &mut open);
                open.extend_from_slice(JSON_VALUES);
                Frame::Text { open: Cow::Owned(open), separator: b","[..].into(), close: Cow::Borrowed(b"]}]}") }
            }
            Self::Protobuf => {
                // A label's value is quoted as Go does, which understands JSON's escapes.
                let mut selector = b"{".to_vec();
                for (index, (name, value)) in labels.iter().enumerate() {
                    selector.extend_from_slice(if index == 0 { b"" } else { b", " });
                    selector.extend_from_slice(name.as_bytes());
                    selector.push(b'=');
                    text(value, &mut selector);
                }
                selector.push(b'}');
                protobuf::bytes(1, &selector, &mut open);
                Frame::Protobuf(vec![Wrapper { field: 1, before: open }])
            }
        }
    }

    /// An entry from behind its time.
    pub(super) fn end<'m>(self, line: &str, metadata: impl Iterator<Item = (&'m str, &'m str)>, out: &mut Vec<u8>) {
        match self {
            Self::Json => {
                out.extend_from_slice(b"\",\"");
                out.extend_from_slice(line.as_bytes());
                out.extend_from_slice(b"\",{");
                members(metadata, out);
                out.extend_from_slice(b"}]");
            }
            Self::Protobuf => {
                protobuf::bytes(2, JsonStr::from_escaped(line).unescape().as_bytes(), out);
                for (name, value) in metadata {
                    protobuf::message(3, out, |out| {
                        protobuf::bytes(1, name.as_bytes(), out);
                        protobuf::bytes(2, value.as_bytes(), out);
                    });
                }
            }
        }
    }

    /// An entry: its time, in ns, and its [end](Self::end).
    pub(super) fn entry(self, nanos: i64, end: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Json => {
                out.extend_from_slice(b"[\"");
                out.extend_from_slice(itoa::Buffer::new().format(nanos).as_bytes());
                out.extend_from_slice(end);
            }
            Self::Protobuf => protobuf::message(2, out, |out| {
                protobuf::message(1, out, |out| {
                    protobuf::uint(1, nanos.div_euclid(1_000_000_000).cast_unsigned(), out);
                    protobuf::uint(2, nanos.rem_euclid(1_000_000_000).cast_unsigned(), out);
                });
                out.extend_from_slice(end);
            }),
        }
    }
}
