//! Where JSON strings and values end, found without building anything.

use std::ops::Range;

use memchr::memchr;
use wide::{u8x16, u8x32};

/// The inside of a string that was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Scanned {
    /// How many bytes precede the closing quote.
    pub(crate) len: usize,
    /// Whether it holds something that [`mend`](super::mend()) has to look at: a
    /// bare control character, `\u`, or an escape that JSON doesn't have.
    pub(crate) irregular: bool,
}

/// So many bytes are looked at at once.
pub(super) const BLOCK: usize = 64;

/// Reads a string up to its closing quote; `bytes` begin after the opening one.
///
/// Returns `None` when there is no closing quote.
///
/// Sixty-four bytes at a time: which are quotes, which are escaped, which are
/// control characters, each as the bits of a word. Method: Langdale & Lemire,
/// "Parsing Gigabytes of JSON per Second", 2019, §3.1.1. A vector of thirty-two
/// is one where the function is built for AVX2, as `cargo lambda` does, and two elsewhere: a string is too short to
/// choose at run time, as [`Quotes`](super::quotes::Quotes) does.
pub(crate) fn string(bytes: &[u8]) -> Option<Scanned> {
    let mut state = State { carry: 0, lowest: u8x32::splat(0xff), irregular: false };
    let (blocks, tail) = bytes.as_chunks::<BLOCK>();
    for (index, block) in blocks.iter().enumerate() {
        if let Some(at) = state.block(block) {
            return state.found(bytes, index * BLOCK + at);
        }
    }
    let at = state.tail(tail)?;
    state.found(bytes, blocks.len() * BLOCK + at)
}

/// How many bytes precede the closing quote. Keys and most values are short: sixteen bytes tell.
#[inline]
fn string_end(bytes: &[u8]) -> Option<usize> {
    if let Some(chunk) = bytes.first_chunk() {
        let lane = u8x16::new(*chunk);
        let bits = |byte| u64::from(lane.simd_eq(u8x16::splat(byte)).to_bitmask());
        let (quotes, backslashes) = (bits(b'"'), bits(b'\\'));
        if quotes != 0 && backslashes & before(quotes) == 0 {
            return first(quotes);
        }
    }
    Some(string(bytes)?.len)
}

/// Where the first backslash is. In JSON inside of JSON the next is near: sixteen bytes tell.
#[inline]
pub(crate) fn backslash(bytes: &[u8]) -> Option<usize> {
    let near = bytes.first_chunk().map_or(0, |chunk| u8x16::new(*chunk).simd_eq(u8x16::splat(b'\\')).to_bitmask());
    if near == 0 { memchr(b'\\', bytes) } else { Some(near.trailing_zeros() as usize) }
}

/// So many bytes are looked at by [`places`].
pub(crate) const PLACES: usize = 64;

/// Which of the first sixty-four bytes are this one, as bits.
///
/// Of fewer as many at a time as there are, the last of them perhaps for the second time: a copy of them with room for
/// the others would be read while it is being written.
#[inline]
pub(crate) fn places(bytes: &[u8], wanted: u8) -> u64 {
    let of_32 = |bytes: &[u8; 32]| u64::from(u8x32::new(*bytes).simd_eq(u8x32::splat(wanted)).to_bitmask());
    let of_16 = |bytes: &[u8; 16]| u64::from(u8x16::new(*bytes).simd_eq(u8x16::splat(wanted)).to_bitmask());
    if let Some(block) = bytes.first_chunk() {
        equal(block, wanted)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<32>(), bytes.last_chunk()) {
        of_32(first) | of_32(last) << (bytes.len() - 32)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<16>(), bytes.last_chunk()) {
        of_16(first) | of_16(last) << (bytes.len() - 16)
    } else {
        bytes.iter().rev().fold(0, |places, byte| places << 1 | u64::from(*byte == wanted))
    }
}

/// Which bytes of a block are this one, as bits.
#[inline]
pub(super) fn equal(block: &[u8; BLOCK], wanted: u8) -> u64 {
    Lanes::new(block).equal(wanted).bits()
}

/// Bytes, of which there are fewer than that, with blanks behind them.
pub(crate) fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut padded = [b' '; N];
    if let Some(front) = padded.get_mut(..bytes.len()) {
        front.copy_from_slice(bytes);
    }
    padded
}

struct State {
    /// 1 when the first byte of the next block is escaped.
    carry: u64,
    /// The lowest byte that was in each place of a vector.
    lowest: u8x32,
    irregular: bool,
}

impl State {
    /// Looks at one block; returns where the string ends, if it does.
    #[inline]
    fn block(&mut self, block: &[u8; BLOCK]) -> Option<usize> {
        let lanes = Lanes::new(block);
        let (quotes, backslashes) = (lanes.equal(b'"'), lanes.equal(b'\\'));
        self.lowest = self.lowest.min(lanes.lowest());
        // A text has nothing but words in most of its blocks.
        if !(quotes | backslashes).any() && self.carry == 0 {
            return None;
        }
        let (quotes, backslashes) = (quotes.bits(), backslashes.bits());
        let escaped = escaped(backslashes, &mut self.carry);
        let end = quotes & !escaped;
        let unusual = escaped & !(quotes | backslashes) & before(end);
        self.irregular |= has_irregular_escape(unusual, block);
        first(end)
    }

    /// Looks at what isn't a whole block.
    #[cold]
    fn tail(&mut self, tail: &[u8]) -> Option<usize> {
        self.block(&padded(tail))
    }

    /// The string, whose end was found.
    fn found(&self, bytes: &[u8], len: usize) -> Option<Scanned> {
        // There is one in what was read, but it may be behind the string.
        let low = self.lowest.min(u8x32::splat(0x1f)).simd_eq(self.lowest).any()
            && bytes.get(..len)?.iter().any(|byte| *byte < b' ');
        Some(Scanned { len, irregular: self.irregular || low })
    }
}

/// A block as vectors, or what was found in it: all bits of a byte, or none.
#[derive(Clone, Copy)]
struct Lanes(u8x32, u8x32);

impl Lanes {
    #[inline]
    fn new(block: &[u8; BLOCK]) -> Self {
        let (halves, _) = block.as_chunks::<32>();
        let lane = |index: usize| halves.get(index).map_or(u8x32::ZERO, |half| u8x32::new(*half));
        Self(lane(0), lane(1))
    }

    /// Which bytes are this one.
    #[inline]
    fn equal(self, byte: u8) -> Self {
        let byte = u8x32::splat(byte);
        Self(self.0.simd_eq(byte), self.1.simd_eq(byte))
    }

    /// The lowest byte in each place.
    #[inline]
    fn lowest(self) -> u8x32 {
        self.0.min(self.1)
    }

    #[inline]
    fn any(self) -> bool {
        (self.0 | self.1).any()
    }

    /// A bit for each byte.
    #[inline]
    fn bits(self) -> u64 {
        u64::from(self.0.to_bitmask()) | u64::from(self.1.to_bitmask()) << 32
    }
}

impl std::ops::BitOr for Lanes {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0, self.1 | other.1)
    }
}

/// The bits below the lowest set one: all of them when there is none.
const fn before(bits: u64) -> u64 {
    bits.wrapping_sub(1) & !bits
}

fn first(bits: u64) -> Option<usize> {
    (bits != 0).then_some(bits.trailing_zeros() as usize)
}

/// Which bytes a backslash escapes.
#[inline]
pub(super) fn escaped(backslashes: u64, carry: &mut u64) -> u64 {
    let behind = (backslashes << 1) | *carry;
    if backslashes & behind == 0 {
        // Mostly each stands alone, and escapes what is behind it.
        *carry = backslashes >> 63;
        return behind;
    }
    escaped_by_runs(backslashes, carry)
}

/// The same of runs of backslashes.
///
/// A run escapes every second byte from its own second one on: so the byte
/// after the run is escaped when the run is odd. Adding a run's start to the
/// run carries into the bit after it; where a run starts decides which parity
/// of that bit means odd.
fn escaped_by_runs(backslashes: u64, carry: &mut u64) -> u64 {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    let runs = backslashes & !*carry;
    let starts = runs & !(runs << 1);
    let (even_sum, _) = runs.overflowing_add(starts & EVEN);
    let (odd_sum, _) = runs.overflowing_add(starts & !EVEN);
    let in_even_runs = runs & !even_sum;
    let in_odd_runs = runs & !odd_sum;
    let escaping = (in_even_runs & EVEN) | (in_odd_runs & !EVEN);
    let escaped = (escaping << 1) | *carry;
    *carry = escaping >> 63;
    escaped
}

pub(super) fn has_irregular_escape(mut unusual: u64, block: &[u8; BLOCK]) -> bool {
    while let Some(at) = first(unusual) {
        if !matches!(block.get(at), Some(b'n' | b't' | b'r' | b'/' | b'b' | b'f')) {
            return true;
        }
        unusual &= unusual - 1;
    }
    false
}

/// How long the value at the start of `bytes` is; `None` when its end isn't there.
///
/// A number or a word ends before the delimiter that follows it, so it needs one.
pub(crate) fn value(bytes: &[u8]) -> Option<usize> {
    match bytes.first()? {
        b'"' => Some(string_end(bytes.get(1..)?)? + 2),
        b'{' | b'[' => nested(bytes),
        _ => bytes.iter().position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t')),
    }
}

fn nested(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        at += memchr_any(bytes.get(at..)?)?;
        match bytes.get(at)? {
            b'"' => at += string_end(bytes.get(at + 1..)?)? + 1,
            b'{' | b'[' => depth += 1,
            _ => depth = depth.checked_sub(1)?,
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

fn memchr_any(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|b| matches!(b, b'"' | b'{' | b'}' | b'[' | b']'))
}

/// Skips white space from `at` on.
pub(crate) fn skip_space(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|b| b.is_ascii_whitespace()).count()
}

/// The members of the object at the start of `bytes`: where each key's inside and each value are.
///
/// `bytes` hold the whole object; what isn't one ends the iteration.
pub(crate) fn members(bytes: &[u8]) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let mut at = 1;
    std::iter::from_fn(move || {
        at = skip_space(bytes, at);
        if bytes.get(at)? == &b',' {
            at = skip_space(bytes, at + 1);
        }
        if bytes.get(at)? != &b'"' {
            return None;
        }
        let key = at + 1..at + 1 + string_end(bytes.get(at + 1..)?)?;
        at = skip_space(bytes, key.end + 1);
        if bytes.get(at)? != &b':' {
            return None;
        }
        at = skip_space(bytes, at + 1);
        let value = at..at + value(bytes.get(at..)?)?;
        at = value.end;
        Some((key, value))
    })
}

/// The elements of the list at the start of `bytes`: where each is.
///
/// `bytes` hold the whole list; what isn't one ends the iteration.
pub(crate) fn elements(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 1;
    std::iter::from_fn(move || {
        at = skip_space(bytes, at);
        if bytes.get(at)? == &b',' {
            at = skip_space(bytes, at + 1);
        }
        let element = at..at + value(bytes.get(at..)?)?;
        at = element.end;
        Some(element).filter(|element| !element.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_the_closing_quote() {
        for (text, len, irregular) in [
            (r#"","#, 0, false),
            (r#"a b","#, 3, false),
            (r#"a\"b" "#, 4, false),
            (r#"\\" "#, 2, false),
            (r#"\\\"" "#, 4, false),
            (r#"\n\t\r\/\b\f" "#, 12, false),
            (r#"\u0041" "#, 6, true),
            (r#"\q" "#, 2, true),
            ("\u{1}\" ", 1, true),
            ("a\"\u{1}\\q", 1, false),
        ] {
            assert_eq!(string(text.as_bytes()), Some(Scanned { len, irregular }), "{text}");
        }
        for text in ["", "abc", r#"abc\""#, r"\"] {
            assert_eq!(string(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn finds_the_end_of_a_value() {
        for (text, len) in [(r#""a\"]" "#, 6), ("12,", 2), ("null}", 4), (r#"{"a":{"b":["}"]}},"#, 17), ("[[],[]]x", 7)]
        {
            assert_eq!(value(text.as_bytes()), Some(len), "{text}");
        }
        for text in ["12", r#""a"#, "{", "[1,2"] {
            assert_eq!(value(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn finds_the_elements_of_a_list() {
        for (text, expected) in [
            ("[]", vec![]),
            ("[1]", vec!["1"]),
            (r#"[ "a,]" ,{"b":[2]},[3,4] , null ]x"#, vec![r#""a,]""#, r#"{"b":[2]}"#, "[3,4]", "null"]),
            ("[1,", vec!["1"]),
            ("[}", vec![]),
            ("", vec![]),
        ] {
            let found: Vec<_> = elements(text.as_bytes()).map(|element| &text[element]).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    /// The same, byte by byte.
    fn plainly(bytes: &[u8]) -> Option<Scanned> {
        let (mut at, mut irregular) = (0, false);
        loop {
            match bytes.get(at)? {
                b'"' => return Some(Scanned { len: at, irregular }),
                b'\\' => {
                    irregular |= !br#""\/bfnrt"#.contains(bytes.get(at + 1)?);
                    at += 2;
                }
                &byte => {
                    irregular |= byte < 0x20;
                    at += 1;
                }
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_reading_byte_by_byte(
            text in proptest::collection::vec(prop_oneof![4 => Just(b'\\'), 1 => Just(b'"'), 2 => Just(b'n'), 1 => Just(b'u'), 30 => Just(b'x'), 1 => any::<u8>()], 0..300),
        ) {
            prop_assert_eq!(string(&text), plainly(&text));
            prop_assert_eq!(string_end(&text), plainly(&text).map(|found| found.len));
        }

        #[test]
        fn places_are_those_of_the_first_sixty_four_bytes(bytes in proptest::collection::vec(0..3_u8, 0..100)) {
            let places = (0..).zip(bytes.iter().take(PLACES)).filter(|(_, byte)| **byte == 1);
            prop_assert_eq!(super::places(&bytes, 1), places.fold(0, |all, (place, _)| all | 1 << place));
        }
    }
}
