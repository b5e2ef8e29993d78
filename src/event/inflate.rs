//! Base64 and gzip undone a piece at a time.

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig, Simd};
use flate2::{Decompress, FlushDecompress, Status};

use super::DecodeError;

/// Characters of base64 that are decoded at once: a multiple of four.
const BASE64_PIECE: usize = 64 * 1024;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How the payload of a batch is given.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// Base64 of what [`Bytes`](Self::Bytes) holds, as in `awslogs.data`.
    Base64(&'a [u8]),
    /// JSON, gzipped or not.
    Bytes(&'a [u8]),
}

/// Gives out the bytes of a document as room is made for them.
pub(super) struct Source<'a> {
    payload: Payload<'a>,
    /// What of the payload is still to be read.
    rest: Payload<'a>,
    engine: Simd,
    /// A decoded piece of base64, and how much of it is used.
    piece: Vec<u8>,
    used: usize,
    form: Form,
    /// Bytes given out, and how many may be.
    produced: u64,
    limit: u64,
}

enum Form {
    Unknown,
    Plain,
    Gzip(Box<Decompress>),
    /// What is left can't be inflated.
    GzipDamaged,
    /// A member has ended, and zeros, or another may follow.
    GzipEnd,
    /// The first byte of a further member was read.
    GzipBegun,
}

impl<'a> Source<'a> {
    pub(super) fn new(payload: Payload<'a>, limit: u64) -> Self {
        let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        Self {
            payload,
            rest: payload,
            engine: Simd::standard(config),
            piece: Vec::new(),
            used: 0,
            form: Form::Unknown,
            produced: 0,
            limit,
        }
    }

    /// Starts again.
    pub(super) fn rewind(&mut self) {
        *self = Self::new(self.payload, self.limit);
    }

    /// All that is decoded, as it came.
    pub(super) const fn payload(&self) -> &'a [u8] {
        match self.payload {
            Payload::Base64(bytes) | Payload::Bytes(bytes) => bytes,
        }
    }

    /// Bytes given out so far.
    pub(super) const fn produced(&self) -> u64 {
        self.produced
    }

    /// Writes to the front of `out`, which isn't empty; returns how many bytes, 0 at the end.
    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, DecodeError> {
        loop {
            if self.used >= self.input().len() && !self.next_piece()? {
                return match self.form {
                    Form::Gzip(_) | Form::GzipBegun => Err(DecodeError::Truncated),
                    Form::GzipDamaged => Err(DecodeError::Gzip),
                    Form::Unknown | Form::Plain | Form::GzipEnd => Ok(0),
                };
            }
            let written = self.step(out)?;
            if written > 0 {
                self.produced += written as u64;
                if self.produced > self.limit {
                    return Err(DecodeError::TooLarge { limit: self.limit });
                }
                return Ok(written);
            }
        }
    }

    fn step(&mut self, out: &mut [u8]) -> Result<usize, DecodeError> {
        let input = match self.rest {
            Payload::Base64(_) => self.piece.get(self.used..).unwrap_or_default(),
            Payload::Bytes(rest) => rest,
        };
        match &mut self.form {
            Form::Unknown => {
                self.form = sniff(input)?;
                Ok(0)
            }
            Form::GzipEnd => {
                let zeros = input.iter().take_while(|byte| **byte == 0).count();
                let begun = match input.get(zeros) {
                    None => false,
                    Some(byte) if *byte == GZIP_MAGIC[0] => true,
                    Some(_) => return Err(DecodeError::Gzip),
                };
                if begun {
                    self.form = Form::GzipBegun;
                }
                self.consume(zeros + usize::from(begun));
                Ok(0)
            }
            Form::GzipBegun if input.first() == Some(&GZIP_MAGIC[1]) => {
                self.form = Form::gzip_begun()?;
                Ok(0)
            }
            Form::GzipBegun | Form::GzipDamaged => Err(DecodeError::Gzip),
            Form::Plain => {
                let len = input.len().min(out.len());
                if let (Some(to), Some(from)) = (out.get_mut(..len), input.get(..len)) {
                    to.copy_from_slice(from);
                }
                self.consume(len);
                Ok(len)
            }
            Form::Gzip(inflate) => {
                let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
                let result = inflate.decompress(input, out, FlushDecompress::None);
                let read = inflate.total_in() - before_in;
                let written = inflate.total_out() - before_out;
                match result {
                    Ok(Status::StreamEnd) => self.form = Form::GzipEnd,
                    Ok(_) if read > 0 || written > 0 || input.is_empty() => {}
                    // What came before the damage is good.
                    Ok(_) | Err(_) if written > 0 => self.form = Form::GzipDamaged,
                    Ok(_) | Err(_) => return Err(DecodeError::Gzip),
                }
                self.consume(usize::try_from(read).unwrap_or(usize::MAX));
                Ok(usize::try_from(written).unwrap_or(usize::MAX))
            }
        }
    }

    fn input(&self) -> &[u8] {
        match self.rest {
            Payload::Base64(_) => &self.piece,
            Payload::Bytes(_) => &[],
        }
    }

    fn consume(&mut self, len: usize) {
        match &mut self.rest {
            Payload::Base64(_) => self.used += len,
            Payload::Bytes(rest) => *rest = rest.get(len..).unwrap_or_default(),
        }
    }

    /// Decodes the next piece of base64; `false` when there is none.
    fn next_piece(&mut self) -> Result<bool, DecodeError> {
        let rest = match self.rest {
            Payload::Base64(rest) => rest,
            Payload::Bytes(rest) => return Ok(!rest.is_empty()),
        };
        if rest.is_empty() {
            return Ok(false);
        }
        let (piece, behind) = rest.split_at(rest.len().min(BASE64_PIECE));
        let behind = match self.decode(piece) {
            Ok(()) => behind,
            Err(_) => self.decode_lines(rest)?,
        };
        self.used = 0;
        self.rest = Payload::Base64(behind);
        Ok(!self.piece.is_empty())
    }

    fn decode(&mut self, piece: &[u8]) -> Result<(), DecodeError> {
        self.piece.resize(base64::decoded_len_estimate(piece.len()), 0);
        let len = self.engine.decode_slice(piece, &mut self.piece).map_err(|_| DecodeError::Base64)?;
        self.piece.truncate(len);
        Ok(())
    }

    /// Decodes a piece that white space stands in, as tools break lines; returns what is behind it.
    #[cold]
    fn decode_lines<'r>(&mut self, rest: &'r [u8]) -> Result<&'r [u8], DecodeError> {
        let mut piece = Vec::with_capacity(BASE64_PIECE);
        let mut end = 0;
        while piece.len() < BASE64_PIECE
            && let Some(byte) = rest.get(end)
        {
            if !byte.is_ascii_whitespace() {
                piece.push(*byte);
            }
            end += 1;
        }
        self.decode(&piece)?;
        Ok(rest.get(end..).unwrap_or_default())
    }
}

impl Form {
    fn gzip() -> Self {
        Self::Gzip(Box::new(Decompress::new_gzip(15)))
    }

    /// A member whose first byte, which may be the last of a piece, was read.
    fn gzip_begun() -> Result<Self, DecodeError> {
        let mut inflate = Box::new(Decompress::new_gzip(15));
        let fed = inflate.decompress(&GZIP_MAGIC[..1], &mut [0], FlushDecompress::None);
        fed.map(|_| Self::Gzip(inflate)).map_err(|_| DecodeError::Gzip)
    }
}

/// Gzip, or JSON as it is: the sample that AWS prints isn't compressed.
fn sniff(input: &[u8]) -> Result<Form, DecodeError> {
    if input.starts_with(&GZIP_MAGIC) {
        return Ok(Form::gzip());
    }
    match input.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{') => Ok(Form::Plain),
        _ => Err(DecodeError::Format),
    }
}
