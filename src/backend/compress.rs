//! Compression of bodies, piece by piece, by compressors that are used again.

use std::cell::RefCell;
use std::io::Write;

use flate2::{Compress, FlushCompress, Status};

use crate::request::Compression;

/// Compressed bytes that are taken from the compressor at once.
const PIECE: usize = 32 * 1024;

/// Compresses a body.
pub(super) fn compress(compression: Compression, plain: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let mut compressor = Compressor::new(compression);
    compressor.write(plain, &mut body);
    compressor.finish(&mut body);
    body
}

/// Undoes the compression of a body; `None` when it is damaged.
pub fn decompress(compression: Compression, body: &[u8]) -> Option<Vec<u8>> {
    use std::io::Read;

    let mut plain = Vec::new();
    match compression {
        Compression::None => plain.extend_from_slice(body),
        Compression::Gzip(_) => _ = flate2::read::GzDecoder::new(body).read_to_end(&mut plain).ok()?,
        Compression::Deflate(_) => _ = flate2::read::ZlibDecoder::new(body).read_to_end(&mut plain).ok()?,
        Compression::Snappy => plain = snap::raw::Decoder::new().decompress_vec(body).ok()?,
        Compression::Zstd(_) => plain = zstd::decode_all(body).ok()?,
    }
    Some(plain)
}

/// Compresses one body after another.
pub(super) enum Compressor {
    Deflate(Option<Deflate>, Compression),
    None,
    /// What is to be compressed at once.
    Snappy(Vec<u8>),
    Zstd {
        level: i32,
        stream: Option<zstd::stream::write::Encoder<'static, Vec<u8>>>,
    },
}

impl Compressor {
    /// One that makes nothing before there is something to compress.
    pub(super) fn new(compression: Compression) -> Self {
        match compression {
            Compression::Deflate(_) | Compression::Gzip(_) => Self::Deflate(None, compression),
            Compression::None => Self::None,
            Compression::Snappy => Self::Snappy(Vec::new()),
            Compression::Zstd(level) => Self::Zstd { level, stream: None },
        }
    }

    /// Takes bytes of a body; what is compressed by then goes to `out`.
    pub(super) fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Deflate(deflate, compression) => {
                deflate.get_or_insert_with(|| Deflate::of(*compression)).run(bytes, FlushCompress::None, out);
            }
            Self::None => out.extend_from_slice(bytes),
            Self::Snappy(plain) => plain.extend_from_slice(bytes),
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
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Deflate(deflate, compression) => {
                let deflate = deflate.get_or_insert_with(|| Deflate::of(*compression));
                deflate.run(&[], FlushCompress::Finish, out);
                deflate.compress.reset();
                deflate.begun = false;
            }
            Self::None => {}
            Self::Snappy(plain) => {
                // Fails above 4 GiB, which no limit allows.
                *out = snap::raw::Encoder::new().compress_vec(plain).unwrap_or_default();
                plain.clear();
            }
            Self::Zstd { stream, .. } => {
                *out = stream.take().and_then(|stream| stream.finish().ok()).unwrap_or_default();
            }
        }
    }
}

thread_local! {
    /// Compressors that nobody uses: a delivery of a few log events takes less time than the memory for two of them.
    static SPARE: RefCell<Vec<Deflate>> = const { RefCell::new(Vec::new()) };
}

/// Compressors that are kept at most: of ten backends, each with two kinds of bodies.
const MAX_SPARE: usize = 20;

/// Gzip or zlib: made when there is something to compress, as it takes 300 KB.
pub(super) struct Deflate {
    compression: Compression,
    compress: Compress,
    /// Whether a body was begun and not ended.
    begun: bool,
    /// What the compressor writes to: `compress_vec` would fill all the room of `out` with zeros, each time.
    piece: Vec<u8>,
}

impl Drop for Compressor {
    fn drop(&mut self) {
        if let Self::Deflate(deflate, _) = self {
            let _ = SPARE.try_with(|spare| {
                let mut spare = spare.borrow_mut();
                let room = MAX_SPARE - spare.len();
                spare.extend(deflate.take().filter(|deflate| room > 0 && !deflate.begun));
            });
        }
    }
}

impl Deflate {
    /// One that was used before, or else a new one.
    fn of(compression: Compression) -> Self {
        let spare = SPARE.with_borrow_mut(|spare| {
            let place = spare.iter().position(|deflate| deflate.compression == compression)?;
            Some(spare.swap_remove(place))
        });
        spare.unwrap_or_else(|| Self::new(compression))
    }

    fn new(compression: Compression) -> Self {
        let compress = match compression {
            Compression::Gzip(level) => Compress::new_gzip(flate2::Compression::new(level.min(9)), 15),
            Compression::Deflate(level) => Compress::new(flate2::Compression::new(level.min(9)), true),
            Compression::None | Compression::Snappy | Compression::Zstd(_) => {
                Compress::new(flate2::Compression::none(), true)
            }
        };
        Self { compression, compress, begun: false, piece: vec![0; PIECE] }
    }

    fn run(&mut self, mut bytes: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
        let finishing = matches!(flush, FlushCompress::Finish);
        self.begun = true;
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
    use super::*;

    #[test]
    fn a_compressor_is_used_again_unless_its_body_was_left_unfinished() {
        for compression in [Compression::Gzip(1), Compression::Gzip(6), Compression::Deflate(6)] {
            let spare = || SPARE.with_borrow(|spare| spare.iter().filter(|one| one.compression == compression).count());
            let plain = b"START RequestId: 8edab1f8 Version: $LATEST".repeat(5000);
            let body = compress(compression, &plain);
            assert_eq!(spare(), 1);
            assert_eq!(compress(compression, &plain), body);
            assert_eq!(spare(), 1);
            let mut unfinished = Compressor::new(compression);
            unfinished.write(&plain, &mut Vec::new());
            assert_eq!(spare(), 0);
            drop(unfinished);
            assert_eq!(spare(), 0);
            assert_eq!(compress(compression, &plain), body);
        }
        let many: Vec<_> = (0..30).map(|_| Compressor::new(Compression::Gzip(6))).collect();
        for mut compressor in many {
            compressor.finish(&mut Vec::new());
        }
        assert!(SPARE.with_borrow(Vec::len) <= MAX_SPARE);
    }
}
