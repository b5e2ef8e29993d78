//! Entries that Loki doesn't take as they come too late for their stream.

use std::sync::Arc;

use super::super::compress::{compress, decompress};
use super::super::protobuf;
use super::format::JSON_VALUES;
use crate::request::{Fallback, Frame, Request, Wrapper};

/// A request whose entries may turn out to be late.
pub(in crate::backend) fn with_fallback(request: Request) -> Request {
    Request { fallback: Some(Fallback { encode: late, needed: Arc::default() }), ..request }
}

/// The same entries in the stream of late ones; `None` if they were there, or the label is somebody else's.
fn late(request: &Request) -> Option<Request> {
    let plain = decompress(request.compression, &request.body)?;
    let inside = request.items.last()?.end;
    let entries = plain.get(request.frame.open(inside).len()..)?.get(..inside)?;
    let frame = late_frame(&request.frame)?;
    let plain = [&frame.open(inside), entries, frame.close()].concat();
    let body = compress(request.compression, &plain);
    Some(Request { body, frame, fallback: None, ..request.clone() })
}

fn late_frame(frame: &Frame) -> Option<Frame> {
    let has = |labels: &[u8], name: &[u8]| memchr::memmem::find(labels, name).is_some();
    match frame {
        Frame::Text { open, separator, close } => {
            let labels = open.strip_suffix(JSON_VALUES)?;
            let first = labels.ends_with(b"{");
            let label: &[u8] = if first { br#""late":"true""# } else { br#","late":"true""# };
            let open = [labels, label, JSON_VALUES].concat();
            let close = close.clone();
            (!has(labels, br#""late":"#)).then(|| Frame::Text {
                open: open.into(),
                separator: separator.clone(),
                close,
            })
        }
        Frame::Protobuf(wrappers) => {
            let [Wrapper { field, before }] = wrappers.as_slice() else { return None };
            let [(1, protobuf::Field::Bytes(selector))] = *protobuf::fields(before)? else { return None };
            let labels = selector.strip_suffix(b"}")?;
            let label: &[u8] = if labels == b"{" { br#"late="true"}"# } else { br#", late="true"}"# };
            let mut before = Vec::new();
            protobuf::bytes(1, &[labels, label].concat(), &mut before);
            let known = [&b"{late="[..], b" late="].iter().any(|name| has(labels, name));
            (!known).then(|| Frame::Protobuf(vec![Wrapper { field: *field, before }]))
        }
    }
}
