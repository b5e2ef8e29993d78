//! What nobody can do without: to undo base64 and gzip, and to compress what is sent.

use std::cell::RefCell;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig, Simd};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use logferry::backend::decompress;
use logferry::request::{self, Request};

/// The sizes with which logferry works: of the window, of a piece of base64, of what is compressed at once, and of
/// what comes of it.
const WINDOW: usize = 128 * 1024;
const PIECE: usize = 64 * 1024;
const CHUNK: usize = 64 * 1024;
const COMPRESSED: usize = 32 * 1024;

/// The bodies of finished requests before they were compressed.
pub(crate) struct Floor {
    bodies: Vec<Body>,
    /// Kept from one run to the next, as logferry does: memory that one contestant gives back is still in the
    /// cache when the next takes it, and what is kept isn't.
    compressors: RefCell<Vec<(request::Compression, Compressor)>>,
}

struct Body {
    compression: request::Compression,
    chunks: Vec<Vec<u8>>,
}

/// What compresses one body after another.
enum Compressor {
    Deflate(Compress),
    None,
    Snappy(Box<snap::raw::Encoder>),
}

impl Floor {
    /// # Panics
    ///
    /// When compressing the same bytes doesn't give the same body.
    pub(crate) fn of(requests: &[Request]) -> Self {
        let floor = Self { bodies: requests.iter().map(Body::of).collect(), compressors: RefCell::default() };
        let mut sent = requests.iter();
        floor.compress(|body| assert!(sent.next().is_some_and(|request| request.body == body), "not the same body"));
        floor
    }

    pub(crate) fn run(&self, data: &str) -> usize {
        let mut bytes = inflate(data);
        self.compress(|body| bytes += body.len());
        bytes
    }

    /// Bytes before compression.
    pub(crate) fn plain(&self) -> usize {
        self.bodies.iter().flat_map(|body| &body.chunks).map(Vec::len).sum()
    }

    fn compress(&self, mut take: impl FnMut(Vec<u8>)) {
        let mut compressors = self.compressors.borrow_mut();
        let mut piece = vec![0; COMPRESSED];
        for body in &self.bodies {
            let known = compressors.iter().position(|(compression, _)| *compression == body.compression);
            let index = known.unwrap_or_else(|| {
                compressors.push((body.compression, compressor(body.compression)));
                compressors.len() - 1
            });
            let mut out = Vec::new();
            match &mut compressors[index].1 {
                Compressor::Deflate(compress) => {
                    for chunk in &body.chunks {
                        deflate(compress, chunk, FlushCompress::None, &mut piece, &mut out);
                    }
                    deflate(compress, &[], FlushCompress::Finish, &mut piece, &mut out);
                    compress.reset();
                }
                Compressor::None => body.chunks.iter().for_each(|chunk| out.extend_from_slice(chunk)),
                Compressor::Snappy(encoder) => out = encoder.compress_vec(&body.chunks[0]).unwrap(),
            }
            take(out);
        }
    }
}

impl Body {
    fn of(request: &Request) -> Self {
        let plain = decompress(request.compression, &request.body).unwrap();
        let mut cuts = vec![0];
        // What is compressed when it is whole is one chunk.
        let streams = matches!(request.frame, request::Frame::Text { .. })
            && matches!(request.compression, request::Compression::Gzip(_) | request::Compression::Deflate(_));
        let open = request.frame.open(0).len();
        for item in request.items.iter().filter(|_| streams) {
            if open + item.end - cuts[cuts.len() - 1] >= CHUNK {
                cuts.push(open + item.end);
            }
        }
        cuts.push(plain.len());
        let chunks = cuts.windows(2).map(|cut| plain[cut[0]..cut[1]].to_vec()).collect();
        Self { compression: request.compression, chunks }
    }
}

/// Undoes base64 and gzip in a window that is filled again and again.
pub(crate) fn inflate(data: &str) -> usize {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = Simd::standard(config);
    let mut gzip = Decompress::new_gzip(15);
    let mut window = vec![0; WINDOW];
    let mut piece = vec![0; PIECE / 4 * 3];
    let mut filled = 0;
    for base64 in data.as_bytes().chunks(PIECE) {
        let len = engine.decode_slice(base64, &mut piece).unwrap();
        let mut rest = &piece[..len];
        while !rest.is_empty() {
            let (read, written) = (gzip.total_in(), gzip.total_out());
            let status = gzip.decompress(rest, &mut window[filled..], FlushDecompress::None).unwrap();
            rest = &rest[usize::try_from(gzip.total_in() - read).unwrap()..];
            filled += usize::try_from(gzip.total_out() - written).unwrap();
            if filled == WINDOW {
                filled = 0;
            }
            if status == Status::StreamEnd {
                break;
            }
        }
    }
    usize::try_from(gzip.total_out()).unwrap()
}

fn compressor(compression: request::Compression) -> Compressor {
    match compression {
        request::Compression::Deflate(level) => Compressor::Deflate(Compress::new(Compression::new(level), true)),
        request::Compression::Gzip(level) => Compressor::Deflate(Compress::new_gzip(Compression::new(level), 15)),
        request::Compression::None => Compressor::None,
        request::Compression::Snappy => Compressor::Snappy(Box::new(snap::raw::Encoder::new())),
        request::Compression::Zstd(_) => unreachable!("zstd is not measured"),
    }
}

/// In pieces: to give the compressor all the room there is would fill it with zeros first, each time.
fn deflate(compress: &mut Compress, mut bytes: &[u8], flush: FlushCompress, piece: &mut [u8], out: &mut Vec<u8>) {
    let finishing = matches!(flush, FlushCompress::Finish);
    while !bytes.is_empty() || finishing {
        let (read, written) = (compress.total_in(), compress.total_out());
        let status = compress.compress(bytes, piece, flush).unwrap();
        out.extend_from_slice(&piece[..usize::try_from(compress.total_out() - written).unwrap()]);
        bytes = &bytes[usize::try_from(compress.total_in() - read).unwrap()..];
        if status == Status::StreamEnd {
            return;
        }
    }
}
