//! Items framed and compressed as they come, each body within its limits.

use std::borrow::Cow;

use super::compress::{Compressor, compress, decompress};
use crate::model::Timestamp;
use crate::request::{Compression, Destination, Frame, Item, Request, Response, Verdict, Weight};

/// How much a backend takes at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Limits {
    /// Bytes of the uncompressed body, its frame included.
    pub(super) bytes: usize,
    /// Bytes of the compressed body.
    pub(super) compressed: usize,
    /// Items.
    pub(super) items: usize,
    /// Bytes of one item.
    pub(super) item_bytes: usize,
}

/// Where finished bodies go.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub(super) destination: Destination,
    pub(super) compression: Compression,
    pub(super) frame: Frame,
    pub(super) limits: Limits,
    /// Which of the backend's intakes it is.
    pub(super) route: &'static str,
    /// What an answer means.
    pub(super) judge: fn(&Request, &Response) -> Verdict,
}

/// An item that no body can hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Oversize;

/// Uncompressed bytes that are collected before they are compressed.
const CHUNK: usize = 64 * 1024;

/// Bytes that a compressor may hold back, and its trailer.
const HELD_BACK: usize = 128 * 1024;

/// A body in the making.
///
/// An item is written where it will stay, and only then measured: so its size
/// is known, not guessed. One that would break a limit begins the next body.
pub(super) struct Body {
    template: Template,
    compressor: Compressor,
    /// What isn't compressed yet.
    raw: Vec<u8>,
    /// Bytes of items and what stands between them.
    inside: usize,
    /// So many of these surely fit; 0 where that depends on how well they can be compressed.
    room: usize,
    /// What is compressed.
    out: Vec<u8>,
    items: Vec<Item>,
    ready: Vec<Request>,
}

impl Body {
    pub(super) fn new(template: Template) -> Self {
        let mut body = Self {
            compressor: Compressor::new(template.compression),
            raw: Vec::new(),
            inside: 0,
            room: template.room(),
            out: Vec::new(),
            items: Vec::new(),
            ready: Vec::new(),
            template,
        };
        body.open();
        body
    }

    /// Adds the item that `write` appends.
    #[inline]
    pub(super) fn push(&mut self, weight: Weight, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Oversize> {
        let start = self.raw.len();
        if !self.items.is_empty() {
            match self.template.frame.separator() {
                [byte] => self.raw.push(*byte),
                bytes => self.raw.extend_from_slice(bytes),
            }
        }
        let from = self.raw.len();
        write(&mut self.raw);
        let (len, inside) = (self.raw.len() - from, self.inside + self.raw.len() - start);
        let limits = &self.template.limits;
        if inside <= self.room && len <= limits.item_bytes && self.items.len() < limits.items {
            self.inside = inside;
        } else {
            self.fit(start, from, inside)?;
        }
        self.items.push(Item { end: self.inside, weight });
        if self.raw.len() >= CHUNK && self.streams() {
            self.compress();
        }
        Ok(())
    }

    /// Finds out where the item goes that was written last, if anywhere: `from` is where it begins, `start` what
    /// stands before it.
    #[inline(never)]
    fn fit(&mut self, start: usize, from: usize, inside: usize) -> Result<(), Oversize> {
        let (limits, len) = (self.template.limits, self.raw.len() - from);
        let fits = |bytes: usize| self.template.overhead(bytes) + bytes <= limits.bytes;
        let has_room = fits(inside)
            && self.items.len() < limits.items
            && (limits.compressed == usize::MAX || self.compressed_at_most() <= limits.compressed);
        if len > limits.item_bytes || !(has_room || fits(len)) {
            self.raw.truncate(start);
            return Err(Oversize);
        }
        if has_room || self.items.is_empty() {
            self.inside = inside;
        } else {
            let item = self.raw.split_off(from);
            self.raw.truncate(start);
            self.close();
            self.raw.extend_from_slice(&item);
            self.inside = len;
        }
        Ok(())
    }

    /// Sets what stands around the items that follow; the ones before are closed off if that differs.
    pub(super) fn reframe(&mut self, frame: &Frame) {
        if *frame != self.template.frame {
            self.end();
            self.raw.clear();
            self.template.frame = frame.clone();
            self.room = self.template.room();
            self.open();
        }
    }

    /// Bytes of the items of the body at hand.
    pub(super) const fn bytes(&self) -> usize {
        self.inside
    }

    /// Closes the body at hand.
    pub(super) fn end(&mut self) {
        if !self.items.is_empty() {
            self.close();
        }
    }

    /// Whether bodies are full.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Bodies that are full.
    pub(super) fn take_ready(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.ready)
    }

    /// Closes the last body; returns all that weren't taken.
    pub(super) fn finish(mut self) -> Vec<Request> {
        self.end();
        self.ready
    }

    /// Whether what is written can be compressed before the body is closed.
    const fn streams(&self) -> bool {
        matches!(self.template.frame, Frame::Text { .. }) && !matches!(self.template.compression, Compression::Snappy)
    }

    fn compressed_at_most(&self) -> usize {
        match self.template.compression {
            Compression::Deflate(_) | Compression::Gzip(_) if self.streams() => {
                self.out.len() + self.raw.len() + HELD_BACK
            }
            _ => self.inside + self.raw.len() + HELD_BACK,
        }
    }

    fn open(&mut self) {
        if let Frame::Text { open, .. } = &self.template.frame {
            self.raw.extend_from_slice(open);
        }
    }

    fn compress(&mut self) {
        self.compressor.write(&self.raw, &mut self.out);
        self.raw.clear();
    }

    fn close(&mut self) {
        let frame = &self.template.frame;
        if matches!(frame, Frame::Protobuf(_)) {
            self.compressor.write(&frame.open(self.inside), &mut self.out);
        }
        self.raw.extend_from_slice(frame.close());
        self.compress();
        self.compressor.finish(&mut self.out);
        self.inside = 0;
        // The next body will be about as large as this one.
        let room = self.out.len() + self.out.len() / 16;
        let body = std::mem::replace(&mut self.out, Vec::with_capacity(room));
        let items = std::mem::take(&mut self.items);
        self.items.reserve(items.len().min(self.template.limits.items));
        self.ready.push(self.template.request(body, items));
        self.open();
    }
}

impl Template {
    /// Bytes around so many bytes of items.
    fn overhead(&self, inside: usize) -> usize {
        self.frame.overhead(inside)
    }

    /// Bytes of items that surely fit, however well they can be compressed.
    fn room(&self) -> usize {
        let Limits { bytes, compressed, .. } = self.limits;
        if compressed == usize::MAX { bytes.saturating_sub(self.overhead(bytes)) } else { 0 }
    }

    pub(super) fn request(&self, body: Vec<u8>, items: Vec<Item>) -> Request {
        Request {
            destination: self.destination.clone(),
            body,
            compression: self.compression,
            frame: self.frame.clone(),
            items,
            route: self.route,
            oldest: Timestamp::default(),
            judge: self.judge,
            select,
            fallback: None,
        }
    }
}

/// A request with some of the items.
fn select(request: &Request, wanted: &[usize]) -> Option<Request> {
    rebuilt(request, wanted.iter().copied(), unchanged)
}

const fn unchanged(item: &[u8]) -> Cow<'_, [u8]> {
    Cow::Borrowed(item)
}

/// A request whose items are changed, each by itself; `None` when they can't be read back.
pub(super) fn changed(request: &Request, change: impl Fn(&[u8]) -> Cow<'_, [u8]>) -> Option<Request> {
    rebuilt(request, 0..request.items.len(), change)
}

/// A request with these items, by undoing its compression and framing them again.
fn rebuilt(
    request: &Request,
    wanted: impl ExactSizeIterator<Item = usize>,
    change: impl Fn(&[u8]) -> Cow<'_, [u8]>,
) -> Option<Request> {
    let plain = decompress(request.compression, &request.body)?;
    let Request { frame, .. } = request;
    let from = frame.open(request.items.last()?.end).len();
    let places: Vec<_> = request.places().collect();
    let (mut inside, mut items) = (Vec::new(), Vec::with_capacity(wanted.len()));
    for place in wanted {
        if !items.is_empty() {
            inside.extend_from_slice(frame.separator());
        }
        let range = places.get(place)?;
        inside.extend_from_slice(&change(plain.get(range.start + from..range.end + from)?));
        items.push(Item { end: inside.len(), weight: request.items.get(place)?.weight });
    }
    let plain = [&frame.open(inside.len()), inside.as_slice(), frame.close()].concat();
    let body = compress(request.compression, &plain);
    Some(Request { body, items, ..request.clone() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::request::Wrapper;

    const JSON: Frame = Frame::text(b"[", b",", b"]");

    fn template(compression: Compression, limits: Limits) -> Template {
        Template {
            destination: Destination::Stdout,
            compression,
            frame: JSON,
            limits,
            route: "test",
            judge: Verdict::of,
        }
    }

    fn limits(bytes: usize, items: usize, item_bytes: usize) -> Limits {
        Limits { bytes, compressed: usize::MAX, items, item_bytes }
    }

    fn plain(request: &Request) -> Vec<u8> {
        decompress(request.compression, &request.body).unwrap()
    }

    fn numbers(request: &Request) -> Vec<String> {
        serde_json::from_slice(&plain(request)).unwrap()
    }

    fn compressions() -> impl Strategy<Value = Compression> {
        prop_oneof![
            Just(Compression::None),
            (0..=9_u32).prop_map(Compression::Gzip),
            (0..=9_u32).prop_map(Compression::Deflate),
            (1..=5_i32).prop_map(Compression::Zstd),
            Just(Compression::Snappy),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn bodies_keep_limits_and_order_and_lose_nothing(
            items in proptest::collection::vec("[a-z]{0,60}|x{100,900}", 0..200),
            max_items in 1..50_usize,
            max_bytes in 200..2000_usize,
            compression in compressions(),
        ) {
            let limits = limits(max_bytes, max_items, 500);
            let mut body = Body::new(template(compression, limits));
            let mut expected = Vec::new();
            for item in &items {
                let quoted = format!("\"{item}\"");
                let fits = body.push(Weight::LOG, |out| out.extend_from_slice(quoted.as_bytes())).is_ok();
                prop_assert_eq!(fits, quoted.len() <= 500 && quoted.len() + 2 <= max_bytes);
                if fits {
                    expected.push(item.clone());
                }
            }
            let requests = body.finish();
            let mut found = Vec::new();
            for request in &requests {
                let plain = plain(request);
                prop_assert!(plain.len() <= max_bytes && request.items.len() <= max_items);
                let inside = numbers(request);
                prop_assert_eq!(inside.len(), request.items.len());
                for (place, text) in request.places().zip(&inside) {
                    let quoted = format!("\"{text}\"");
                    prop_assert_eq!(&plain[place.start + 1..=place.end], quoted.as_bytes());
                }
                found.extend(inside);
            }
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn a_selection_holds_what_was_asked_for(
            wanted in proptest::collection::vec(any::<bool>(), 1..60),
            compression in compressions(),
        ) {
            let mut body = Body::new(template(compression, limits(1 << 20, 100, 500)));
            for number in 0..wanted.len() {
                body.push(Weight::METRIC, |out| out.extend_from_slice(format!("\"{number}\"").as_bytes())).unwrap();
            }
            let whole = body.finish().pop().unwrap();
            let wanted: Vec<_> = (0..wanted.len()).filter(|place| wanted[*place]).collect();
            let part = (whole.select)(&whole, &wanted).unwrap();
            prop_assert_eq!(numbers(&part), wanted.iter().map(ToString::to_string).collect::<Vec<_>>());
            prop_assert_eq!(part.items.len(), wanted.len());
            prop_assert_eq!(part.items.last().map_or(0, |item| item.end) + 2, plain(&part).len());
        }

    }

    proptest! {
        // Noise takes long to compress.
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn a_compressed_body_keeps_its_limit(noise in proptest::collection::vec(any::<u32>(), 20_000..60_000)) {
            let limits = Limits { compressed: 200_000, ..limits(10_000_000, 100_000, 1 << 20) };
            let mut body = Body::new(template(Compression::Gzip(6), limits));
            for chunk in noise.chunks(100) {
                let item = serde_json::to_vec(chunk).unwrap();
                body.push(Weight::LOG, |out| out.extend_from_slice(&item)).unwrap();
            }
            for request in body.finish() {
                prop_assert!(request.body.len() <= limits.compressed, "{}", request.body.len());
            }
        }
    }

    #[test]
    fn protobuf_messages_are_wrapped_and_cut_whole() {
        let wrapper = |field, before: &[u8]| Wrapper { field, before: before.to_vec() };
        let frame = Frame::Protobuf(vec![wrapper(1, b"\x0a\x01r"), wrapper(2, b"")]);
        for compression in [Compression::None, Compression::Snappy, Compression::Gzip(6)] {
            let mut body = Body::new(Template { frame: frame.clone(), ..template(compression, limits(30, 100, 20)) });
            for item in ["\x12\x03abc", "\x12\x03def", "\x12\x03ghi", "\x12\x03jkl", "\x12\x03mno"] {
                body.push(Weight::LOG, |out| out.extend_from_slice(item.as_bytes())).unwrap();
            }
            let requests = body.finish();
            assert_eq!(frame.overhead(20), frame.open(20).len());
            assert_eq!(frame.overhead(1 << 20), frame.open(1 << 20).len());
            let whole = b"\x0a\x19\x0a\x01r\x12\x14\x12\x03abc\x12\x03def\x12\x03ghi\x12\x03jkl";
            assert_eq!((requests.len(), plain(&requests[0]).as_slice()), (2, whole.as_slice()));
            let part = (requests[0].select)(&requests[0], &[1, 3]).unwrap();
            assert_eq!(plain(&part), b"\x0a\x0f\x0a\x01r\x12\x0a\x12\x03def\x12\x03jkl");
        }
    }

    #[test]
    fn another_frame_begins_another_body() {
        let mut body = Body::new(template(Compression::None, limits(100, 100, 50)));
        let frame = |name: &str| Frame::Text {
            open: name.as_bytes().to_vec().into(),
            separator: b","[..].into(),
            close: b"]"[..].into(),
        };
        for (name, item) in [("a[", "1"), ("a[", "2"), ("b[", "3")] {
            body.reframe(&frame(name));
            body.push(Weight::LOG, |out| out.extend_from_slice(item.as_bytes())).unwrap();
        }
        let bodies: Vec<_> = body.finish().iter().map(plain).collect();
        assert_eq!(bodies, [b"a[1,2]".to_vec(), b"b[3]".to_vec()]);
    }

    #[test]
    fn large_bodies_are_compressed_piece_by_piece() {
        let limits = limits(5_000_000, 1000, 1 << 20);
        let mut body = Body::new(template(Compression::Gzip(6), limits));
        let item = format!("\"{}\"", "abc def ".repeat(10_000));
        for _ in 0..30 {
            body.push(Weight::LOG, |out| out.extend_from_slice(item.as_bytes())).unwrap();
            assert!(body.raw.len() < CHUNK, "{}", body.raw.len());
        }
        let request = body.finish().pop().unwrap();
        assert_eq!(numbers(&request).len(), 30);
    }
}
