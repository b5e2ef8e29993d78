//! A window that slides over a JSON document.

use std::ops::Range;

use super::DecodeError;
use super::inflate::{Payload, Source};
use crate::json::scan;

/// Size of the window, in bytes, as long as each value fits.
const WINDOW: usize = 256 * 1024;

/// The document, of which a part is in memory: valid UTF-8, from the position on.
pub(super) struct Document<'a> {
    source: Source<'a>,
    window: Vec<u8>,
    /// Position of the reader in the window.
    at: usize,
    /// End of what is known to be UTF-8.
    valid: usize,
    /// End of what was read.
    filled: usize,
    ended: bool,
    max_value: usize,
    replaced: u64,
}

impl<'a> Document<'a> {
    pub(super) fn new(payload: Payload<'a>, max_total: u64, max_value: usize) -> Self {
        Self {
            source: Source::new(payload, max_total),
            window: Vec::new(),
            at: 0,
            valid: 0,
            filled: 0,
            ended: false,
            max_value,
            replaced: 0,
        }
    }

    /// What is in memory, from the position on.
    pub(super) fn rest(&self) -> &[u8] {
        self.window.get(self.at..self.valid).unwrap_or_default()
    }

    /// Bytes of the window.
    pub(super) fn slice(&self, range: Range<usize>) -> &[u8] {
        self.window.get(range).unwrap_or_default()
    }

    /// Goes on by `len` bytes; returns where they are in the window.
    pub(super) fn advance(&mut self, len: usize) -> Range<usize> {
        let from = self.at;
        self.at += len;
        from..self.at
    }

    /// Bytes that were read so far.
    pub(super) const fn produced(&self) -> u64 {
        self.source.produced()
    }

    /// Sequences that weren't UTF-8 and became U+FFFD.
    pub(super) const fn replaced(&self) -> u64 {
        self.replaced
    }

    /// Goes back to the start.
    pub(super) fn rewind(&mut self) {
        self.source.rewind();
        (self.at, self.valid, self.filled, self.ended, self.replaced) = (0, 0, 0, false, 0);
    }

    /// The next byte that isn't white space.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, DecodeError> {
        loop {
            let space = self.rest().iter().take_while(|b| b.is_ascii_whitespace()).count();
            self.at += space;
            if let Some(&byte) = self.rest().first() {
                return Ok(Some(byte));
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    /// Takes the byte that `peek` has shown.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), DecodeError> {
        match self.peek()? {
            Some(next) if next == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.error()),
            None => Err(DecodeError::Truncated),
        }
    }

    /// Takes a whole value; the window keeps it until the next call.
    pub(super) fn value(&mut self) -> Result<Range<usize>, DecodeError> {
        self.peek()?;
        loop {
            if let Some(len) = scan::value(self.rest()) {
                return if len == 0 { Err(self.error()) } else { Ok(self.advance(len)) };
            }
            if !self.more()? {
                return Err(DecodeError::Truncated);
            }
        }
    }

    /// A document that isn't what it should be, here.
    pub(super) fn error(&self) -> DecodeError {
        let unread = (self.filled - self.at) as u64;
        DecodeError::Json { at: self.source.produced() - unread.min(self.source.produced()) }
    }

    /// Reads more into the window; `false` at the end of the document.
    pub(super) fn more(&mut self) -> Result<bool, DecodeError> {
        if self.ended {
            return Ok(false);
        }
        self.make_room()?;
        let room = self.window.get_mut(self.filled..).unwrap_or_default();
        let read = self.source.read(room)?;
        self.filled += read;
        self.ended = read == 0;
        self.validate();
        Ok(read > 0 || self.valid > self.at)
    }

    fn make_room(&mut self) -> Result<(), DecodeError> {
        if self.at > 0 {
            self.window.copy_within(self.at..self.filled, 0);
            self.valid -= self.at;
            self.filled -= self.at;
            self.at = 0;
        }
        if self.window.is_empty() {
            self.window.resize(WINDOW, 0);
        } else if self.filled == self.window.len() {
            if self.filled >= self.max_value {
                return Err(DecodeError::EventTooLarge { limit: self.max_value });
            }
            self.window.resize(self.window.len() * 2, 0);
        }
        Ok(())
    }

    /// Extends the valid part over what was read; what isn't UTF-8 is replaced.
    fn validate(&mut self) {
        let fresh = self.window.get(self.valid..self.filled).unwrap_or_default();
        let Err(error) = std::str::from_utf8(fresh) else {
            self.valid = self.filled;
            return;
        };
        if error.error_len().is_none() && !self.ended {
            // A character that goes on in the next piece.
            self.valid += error.valid_up_to();
            return;
        }
        self.replace();
    }

    #[cold]
    fn replace(&mut self) {
        let fresh = self.window.get(self.valid..self.filled).unwrap_or_default();
        let mut mended = Vec::with_capacity(fresh.len() + 64);
        let mut cut = 0;
        let mut chunks = fresh.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            mended.extend_from_slice(chunk.valid().as_bytes());
            let bad = chunk.invalid();
            let goes_on = chunks.peek().is_none() && !self.ended && is_start_of_char(bad);
            if goes_on {
                cut = bad.len();
                mended.extend_from_slice(bad);
            } else if !bad.is_empty() {
                self.replaced += 1;
                mended.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
        self.window.truncate(self.valid);
        self.window.extend_from_slice(&mended);
        self.filled = self.window.len();
        self.valid = self.filled - cut;
        if self.window.len() < WINDOW {
            self.window.resize(WINDOW, 0);
        }
    }
}

/// Whether more bytes could make a character of these.
fn is_start_of_char(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}
