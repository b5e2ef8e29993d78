//! A window that slides over a JSON document.

use std::ops::Range;

use super::DecodeError;
use super::inflate::{Payload, Source};
use crate::json::scan;

/// Size of the window, in bytes, as long as each value fits.
const WINDOW: usize = 256 * 1024;

/// A small payload has a window of so many times its size, but no smaller one than `LEAST_WINDOW`: a larger
/// one would be filled with zeros, and looked through, for nothing.
const INFLATES_TO: usize = 8;
const LEAST_WINDOW: usize = 16 * 1024;

/// The document, of which a part is in memory, from the position on.
pub(super) struct Document<'a> {
    source: Source<'a>,
    /// What is in memory, and zeros behind it.
    window: String,
    /// End of what was read.
    filled: usize,
    /// The first bytes of a character that goes on in the next piece.
    begun: Vec<u8>,
    /// Position of the reader in the window.
    at: usize,
    ended: bool,
    max_value: usize,
    replaced: u64,
}

impl<'a> Document<'a> {
    pub(super) fn new(payload: Payload<'a>, max_total: u64, max_value: usize) -> Self {
        Self {
            source: Source::new(payload, max_total),
            window: String::new(),
            filled: 0,
            begun: Vec::new(),
            at: 0,
            ended: false,
            max_value,
            replaced: 0,
        }
    }

    /// What is in memory, from the position on.
    pub(super) fn rest(&self) -> &[u8] {
        self.window.as_bytes().get(self.at..self.filled).unwrap_or_default()
    }

    /// A part of the window.
    pub(super) fn slice(&self, range: Range<usize>) -> &str {
        self.window.get(range).unwrap_or_default()
    }

    /// Goes on by `len` bytes; returns where they are in the window.
    pub(super) const fn advance(&mut self, len: usize) -> Range<usize> {
        let from = self.at;
        self.at += len;
        from..self.at
    }

    /// What is read.
    pub(super) const fn payload(&self) -> &'a [u8] {
        self.source.payload()
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
        self.begun.clear();
        (self.at, self.filled, self.ended, self.replaced) = (0, 0, false, 0);
    }

    /// The next byte that isn't white space.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, DecodeError> {
        loop {
            let space = self.rest().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.at += space;
            if let Some(&byte) = self.rest().first() {
                return Ok(Some(byte));
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    /// Goes on to the last of these bytes, if they are what comes next.
    pub(super) fn skip(&mut self, bytes: [u8; 2]) -> bool {
        let next = self.rest().starts_with(&bytes);
        self.at += usize::from(next);
        next
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
        let unread = (self.filled - self.at + self.begun.len()) as u64;
        DecodeError::Json { at: self.source.produced() - unread.min(self.source.produced()) }
    }

    /// Reads more into the window, as much as there is room for; `false` at the end of the document.
    pub(super) fn more(&mut self) -> Result<bool, DecodeError> {
        if self.ended {
            return Ok(false);
        }
        let mut bytes = std::mem::take(&mut self.window).into_bytes();
        bytes.copy_within(self.at..self.filled, 0);
        let known = self.filled - self.at;
        (self.at, self.filled) = (0, known);
        let filled = known + self.begun.len();
        let usual = (self.payload().len() * INFLATES_TO).clamp(LEAST_WINDOW, WINDOW);
        let size = usual.max(self.max_value.max(WINDOW).min(filled * 2));
        if filled >= size {
            return Err(DecodeError::EventTooLarge { limit: self.max_value });
        }
        if bytes.len() < size {
            bytes.resize(size, 0);
        }
        if let Some(room) = bytes.get_mut(known..filled) {
            room.copy_from_slice(&self.begun);
        }
        let read = self.fill(bytes.get_mut(filled..).unwrap_or_default());
        let filled = filled + read.as_ref().copied().unwrap_or_default();
        let cut = if self.ended { 0 } else { begun(bytes.get(..filled).unwrap_or_default()) };
        self.begun.clear();
        self.begun.extend_from_slice(bytes.get(filled - cut..filled).unwrap_or_default());
        bytes.get_mut(filled - cut..).unwrap_or_default().fill(0);
        self.take(bytes, filled - cut);
        read?;
        Ok(self.filled > known)
    }

    /// Reads until there is no room or nothing left. What comes before damage is good.
    fn fill(&mut self, mut room: &mut [u8]) -> Result<usize, DecodeError> {
        let mut filled = 0;
        while !room.is_empty() {
            match self.source.read(room) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(read) => {
                    filled += read;
                    room = room.get_mut(read..).unwrap_or_default();
                }
                // It comes again with the next call.
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Takes bytes, of which so many were read, as the window; what isn't UTF-8 is replaced.
    fn take(&mut self, bytes: Vec<u8>, filled: usize) {
        match String::from_utf8(bytes) {
            Ok(text) => (self.window, self.filled) = (text, filled),
            Err(error) => self.replace(error.as_bytes().get(..filled).unwrap_or_default()),
        }
    }

    #[cold]
    fn replace(&mut self, bytes: &[u8]) {
        let mut mended = String::with_capacity(bytes.len() + 64);
        for chunk in bytes.utf8_chunks() {
            mended.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                self.replaced += 1;
                mended.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.filled = mended.len();
        self.window = mended;
    }
}

/// How many bytes at the end are a character that goes on behind it.
fn begun(bytes: &[u8]) -> usize {
    let goes_on =
        |len: &usize| bytes.len().checked_sub(*len).is_some_and(|at| bytes.get(at..).is_some_and(is_start_of_char));
    (1..=3).find(goes_on).unwrap_or(0)
}

/// Whether more bytes could make a character of these.
fn is_start_of_char(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}
