//! A window that slides over a JSON document.

use std::ops::Range;

use super::DecodeError;
use super::inflate::{Payload, Source};
use crate::json::scan;

/// Size of the window, in bytes, as long as each value fits.
const WINDOW: usize = 128 * 1024;

/// A small payload has a window of so many times its size, but no smaller one than `LEAST_WINDOW`: a larger
/// one would be filled with zeros, and looked through, for nothing.
const INFLATES_TO: usize = 8;
const LEAST_WINDOW: usize = 16 * 1024;

/// The document, of which a part is in memory, from the position on.
pub(super) struct Document<'a> {
    source: Source<'a>,
    /// What is in memory, and room behind it.
    window: Vec<u8>,
    /// End of what was read.
    filled: usize,
    /// Position of the reader in the window.
    at: usize,
    ended: bool,
    max_value: usize,
}

impl<'a> Document<'a> {
    pub(super) fn new(payload: Payload<'a>, max_total: u64, max_value: usize) -> Self {
        Self { source: Source::new(payload, max_total), window: Vec::new(), filled: 0, at: 0, ended: false, max_value }
    }

    /// What is in memory, from the position on.
    pub(super) fn rest(&self) -> &[u8] {
        self.window.get(self.at..self.filled).unwrap_or_default()
    }

    /// As much of it as is text, at most `len` bytes.
    pub(super) fn text(&self, len: usize) -> &str {
        let rest = self.rest();
        // A character isn't cut: that would take another look at all before it.
        let begins = |at: &usize| rest.get(*at).is_none_or(|byte| *byte & 0xc0 != 0x80);
        let end = (len.saturating_sub(3)..=len).rev().find(begins).unwrap_or(len);
        let piece = rest.get(..end).unwrap_or(rest);
        simdutf8::basic::from_utf8(piece).unwrap_or_else(|_| {
            let end = std::str::from_utf8(piece).map_or_else(|error| error.valid_up_to(), str::len);
            std::str::from_utf8(piece.get(..end).unwrap_or_default()).unwrap_or_default()
        })
    }

    /// A part of the window.
    pub(super) fn slice(&self, range: Range<usize>) -> &[u8] {
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

    /// Goes back to the start.
    pub(super) fn rewind(&mut self) {
        self.source.rewind();
        (self.at, self.filled, self.ended) = (0, 0, false);
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

    /// Reads more into the window, as much as there is room for; `false` at the end of the document.
    pub(super) fn more(&mut self) -> Result<bool, DecodeError> {
        if self.ended {
            return Ok(false);
        }
        self.window.copy_within(self.at..self.filled, 0);
        let known = self.filled - self.at;
        (self.at, self.filled) = (0, known);
        let usual = (self.payload().len() * INFLATES_TO).clamp(LEAST_WINDOW, WINDOW);
        let size = usual.max(self.max_value.max(WINDOW).min(known * 2));
        if known >= size {
            return Err(DecodeError::EventTooLarge { limit: self.max_value });
        }
        if self.window.len() < size {
            self.window.resize(size, 0);
        }
        self.fill()?;
        Ok(self.filled > known)
    }

    /// Reads until there is no room or nothing left. What comes before damage is good.
    fn fill(&mut self) -> Result<(), DecodeError> {
        let from = self.filled;
        while let Some(room) = self.window.get_mut(self.filled..).filter(|room| !room.is_empty()) {
            match self.source.read(room) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(read) => self.filled += read,
                // It comes again with the next call.
                Err(_) if self.filled > from => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
