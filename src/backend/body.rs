//! Items framed and compressed as they come, each body within its limits.

use std::io::Write;

use flate2::{Compress, FlushCompress, Status};

use crate::request::{Compression, Destination, Frame, Item, Request, Weight};

/// How much a backend takes at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Limits {
    /// Bytes of the uncompressed body, its frame included.
    pub(super) bytes: usize,
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
}

/// An item that no body can hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Oversize;

/// Uncompressed bytes that are collected before they are compressed.
const CHUNK: usize = 64 * 1024;

/// Compressed bytes that are taken from the compressor at once.
const PIECE: usize = 32 * 1024;

/// A body in the making.
///
/// An item is written where it will stay, and only then measured: so its size
/// is known, not guessed. One that would break a limit begins the next body.
pub(super) struct Body {
    template: Template,
    compressor: Compressor,
    /// What isn't compressed yet.
    raw: Vec<u8>,
    /// Uncompressed bytes before `raw`.
    before: usize,
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
            before: 0,
            out: Vec::new(),
            items: Vec::new(),
            ready: Vec::new(),
            template,
        };
        body.open();
        body
    }

    /// Adds the item that `write` appends.
    pub(super) fn push(&mut self, weight: Weight, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Oversize> {
        let Template { frame, limits, .. } = self.template;
        let start = self.raw.len();
        if !self.items.is_empty() {
            self.raw.extend_from_slice(frame.separator);
        }
        let from = self.raw.len();
        write(&mut self.raw);
        let len = self.raw.len() - from;
        if len > limits.item_bytes || frame.open.len() + len + frame.close.len() > limits.bytes {
            self.raw.truncate(start);
            return Err(Oversize);
        }
        let full = self.items.len() >= limits.items || self.before + self.raw.len() + frame.close.len() > limits.bytes;
        if full {
            let item = self.raw.split_off(from);
            self.raw.truncate(start);
            self.close();
            self.raw.extend_from_slice(&item);
        }
        self.items.push(Item { end: self.before + self.raw.len(), weight });
        if self.raw.len() >= CHUNK {
            self.compress();
        }
        Ok(())
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
        if !self.items.is_empty() {
            self.close();
        }
        self.ready
    }

    fn open(&mut self) {
        self.raw.extend_from_slice(self.template.frame.open);
    }

    fn compress(&mut self) {
        self.before += self.raw.len();
        self.compressor.write(&self.raw, &mut self.out);
        self.raw.clear();
    }

    fn close(&mut self) {
        self.raw.extend_from_slice(self.template.frame.close);
        self.compress();
        self.compressor.finish(&mut self.out);
        self.before = 0;
        // The next body will be about as large as this one.
        let body = std::mem::take(&mut self.out);
        let items = std::mem::take(&mut self.items);
        self.items.reserve(items.len().min(self.template.limits.items));
        self.ready.push(Request {
            destination: self.template.destination.clone(),
            body,
            compression: self.template.compression,
            frame: self.template.frame,
            items,
            split,
        });
        self.open();
    }
}

/// Cuts a request in two by undoing its compression and framing each half again.
fn split(request: &Request) -> Option<[Request; 2]> {
    let middle = request.items.len() / 2;
    let (first, second) = request.items.split_at_checked(middle)?;
    let boundary = first.last()?.end;
    let plain = decompress(request.compression, &request.body)?;
    let Frame { open, separator, close } = request.frame;
    let front = plain.get(open.len()..boundary)?;
    let back = plain.get(boundary + separator.len()..plain.len().checked_sub(close.len())?)?;
    let shift = boundary + separator.len() - open.len();
    let back_items = second.iter().map(|item| Item { end: item.end - shift, ..*item }).collect();
    let again = |inside: &[u8], items: Vec<Item>| {
        let mut body = Vec::new();
        let mut compressor = Compressor::new(request.compression);
        compressor.write(&[open, inside, close].concat(), &mut body);
        compressor.finish(&mut body);
        Request { body, items, ..request.clone() }
    };
    Some([again(front, first.to_vec()), again(back, back_items)])
}

/// Undoes the compression of a body; `None` when it is damaged.
pub fn decompress(compression: Compression, body: &[u8]) -> Option<Vec<u8>> {
    use std::io::Read;

    let mut plain = Vec::new();
    match compression {
        Compression::None => plain.extend_from_slice(body),
        Compression::Gzip(_) => _ = flate2::read::GzDecoder::new(body).read_to_end(&mut plain).ok()?,
        Compression::Deflate(_) => _ = flate2::read::ZlibDecoder::new(body).read_to_end(&mut plain).ok()?,
        Compression::Zstd(_) => plain = zstd::decode_all(body).ok()?,
    }
    Some(plain)
}

/// Compresses one body after another.
enum Compressor {
    Deflate(Option<Deflate>, Compression),
    None,
    Zstd { level: i32, stream: Option<zstd::stream::write::Encoder<'static, Vec<u8>>> },
}

impl Compressor {
    fn new(compression: Compression) -> Self {
        match compression {
            Compression::Deflate(_) | Compression::Gzip(_) => Self::Deflate(None, compression),
            Compression::None => Self::None,
            Compression::Zstd(level) => Self::Zstd { level, stream: None },
        }
    }

    fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Deflate(deflate, compression) => {
                deflate.get_or_insert_with(|| Deflate::new(*compression)).run(bytes, FlushCompress::None, out);
            }
            Self::None => out.extend_from_slice(bytes),
            Self::Zstd { level, stream } => {
                if stream.is_none() {
                    *stream = zstd::stream::write::Encoder::new(std::mem::take(out), *level).ok();
                }
                // Writing to memory can't fail.
                let _ = stream.as_mut().map(|stream| stream.write_all(bytes));
            }
        }
    }

    /// Ends the body, and is ready for the next.
    fn finish(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Deflate(deflate, compression) => {
                let deflate = deflate.get_or_insert_with(|| Deflate::new(*compression));
                deflate.run(&[], FlushCompress::Finish, out);
                deflate.compress.reset();
            }
            Self::None => {}
            Self::Zstd { stream, .. } => {
                *out = stream.take().and_then(|stream| stream.finish().ok()).unwrap_or_default();
            }
        }
    }
}

/// Gzip or zlib: made when there is something to compress, as it takes 300 KB.
struct Deflate {
    compress: Compress,
    /// What the compressor writes to: `compress_vec` would fill all the room of `out` with zeros, each time.
    piece: Vec<u8>,
}

impl Deflate {
    fn new(compression: Compression) -> Self {
        let compress = match compression {
            Compression::Gzip(level) => Compress::new_gzip(flate2::Compression::new(level.min(9)), 15),
            Compression::Deflate(level) => Compress::new(flate2::Compression::new(level.min(9)), true),
            Compression::None | Compression::Zstd(_) => Compress::new(flate2::Compression::none(), true),
        };
        Self { compress, piece: vec![0; PIECE] }
    }

    fn run(&mut self, mut bytes: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
        let finishing = matches!(flush, FlushCompress::Finish);
        while !bytes.is_empty() || finishing {
            let (read, written) = (self.compress.total_in(), self.compress.total_out());
            let status = self.compress.compress(bytes, &mut self.piece, flush);
            let count = |from: u64, to: u64| usize::try_from(to - from).unwrap_or(usize::MAX);
            let written = count(written, self.compress.total_out());
            out.extend_from_slice(self.piece.get(..written).unwrap_or_default());
            bytes = bytes.get(count(read, self.compress.total_in())..).unwrap_or_default();
            // An error can only mean misuse: the stream is neither fed after its end nor without room.
            if !matches!(status, Ok(Status::Ok | Status::BufError)) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JSON: Frame = Frame { open: b"[", separator: b",", close: b"]" };

    fn template(compression: Compression, limits: Limits) -> Template {
        Template { destination: Destination::Stdout, compression, frame: JSON, limits }
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
            let limits = Limits { bytes: max_bytes, items: max_items, item_bytes: 500 };
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
                for (item, text) in request.items.iter().zip(&inside) {
                    let quoted = format!("\"{text}\"");
                    prop_assert_eq!(&plain[item.end - quoted.len()..item.end], quoted.as_bytes());
                }
                found.extend(inside);
            }
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn a_split_request_holds_the_same(count in 2..60_usize, compression in compressions()) {
            let limits = Limits { bytes: 1 << 20, items: 100, item_bytes: 500 };
            let mut body = Body::new(template(compression, limits));
            for number in 0..count {
                body.push(Weight::METRIC, |out| out.extend_from_slice(format!("\"{number}\"").as_bytes())).unwrap();
            }
            let whole = body.finish().pop().unwrap();
            let halves = (whole.split)(&whole).unwrap();
            let again: Vec<String> = halves.iter().flat_map(numbers).collect();
            prop_assert_eq!(again, numbers(&whole));
            for half in &halves {
                prop_assert_eq!(half.items.last().unwrap().end + 1, plain(half).len());
                prop_assert!(half.items.len().abs_diff(count / 2) <= 1);
            }
        }
    }

    #[test]
    fn one_item_is_not_split() {
        let limits = Limits { bytes: 100, items: 100, item_bytes: 50 };
        let mut body = Body::new(template(Compression::Gzip(1), limits));
        body.push(Weight::LOG, |out| out.push(b'1')).unwrap();
        let request = body.finish().pop().unwrap();
        assert!((request.split)(&request).is_none());
    }

    #[test]
    fn large_bodies_are_compressed_piece_by_piece() {
        let limits = Limits { bytes: 5_000_000, items: 1000, item_bytes: 1 << 20 };
        let mut body = Body::new(template(Compression::Gzip(6), limits));
        let item = format!("\"{}\"", "abc def ".repeat(10_000));
        for _ in 0..30 {
            body.push(Weight::LOG, |out| out.extend_from_slice(item.as_bytes())).unwrap();
        }
        let request = body.finish().pop().unwrap();
        assert_eq!(numbers(&request).len(), 30);
    }
}
