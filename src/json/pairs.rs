//! Which pairs of neighbours a text has: a look for several words at once.

use fearless_simd::prelude::*;
use fearless_simd::{Level, Simd, dispatch, u8x16};

use super::level;
use super::scan::{BLOCK, padded};

/// Up to eight pairs of neighbours that are looked for at once, a bit for each.
pub(crate) struct Pairs {
    first: Halves,
    second: Halves,
}

/// The pairs that a byte may belong to, by its low and by its high half: those that are in both.
struct Halves {
    low: [u8; 16],
    high: [u8; 16],
}

impl Pairs {
    /// Of each pair the bytes that may be the first of it, and those that may be the second.
    pub(crate) const fn new(pairs: &[(&[u8], &[u8])]) -> Self {
        assert!(pairs.len() <= 8, "a bit for each");
        let (mut first, mut second) = (Halves::new(), Halves::new());
        let (mut pair, mut rest) = (1, pairs);
        while let [(one, other), behind @ ..] = rest {
            first = first.add(one, pair);
            second = second.add(other, pair);
            (pair, rest) = (pair << 1, behind);
        }
        Self { first, second }
    }

    /// Which pairs may be there: those that are, and perhaps another.
    pub(crate) fn among(&self, bytes: &[u8]) -> u8 {
        self.among_by(level(), bytes)
    }

    fn among_by(&self, level: Level, bytes: &[u8]) -> u8 {
        dispatch!(level, simd => self.find(simd, bytes))
    }

    #[expect(clippy::inline_always, reason = "vectors are of the level of the function they are in")]
    #[inline(always)]
    fn find<S: Simd>(&self, simd: S, bytes: &[u8]) -> u8 {
        let step = S::u8s::LEN;
        let filled: [u8; BLOCK + 1];
        let bytes = if bytes.len() > step {
            bytes
        } else {
            filled = padded(bytes);
            &filled
        };
        let (Some((_, firsts)), Some((_, seconds))) = (bytes.split_last(), bytes.split_first()) else { return 0 };
        let (first, second) = (self.first.vectors(simd), self.second.vectors(simd));
        let mut found = S::u8s::splat(simd, 0);
        let (mut at, last) = (0, firsts.len() - step);
        // Of the last ones some are looked at for the second time.
        while let (Some(here), Some(behind)) = (firsts.get(at..at + step), seconds.get(at..at + step)) {
            found |= of::<S>(first, S::u8s::from_slice(simd, here)) & of::<S>(second, S::u8s::from_slice(simd, behind));
            at = if at < last { last.min(at + step) } else { firsts.len() };
        }
        if found.simd_eq(0).all_true() {
            return 0;
        }
        let mut each = [0; BLOCK];
        if let Some(each) = each.get_mut(..step) {
            found.store_slice(each);
        }
        each.iter().fold(0, |all, byte| all | byte)
    }
}

impl Halves {
    const fn new() -> Self {
        Self { low: [0; 16], high: [0; 16] }
    }

    #[expect(clippy::indexing_slicing, reason = "half a byte is below sixteen")]
    const fn add(mut self, bytes: &[u8], pair: u8) -> Self {
        let mut rest = bytes;
        while let [byte, behind @ ..] = rest {
            self.low[(*byte & 0xf) as usize] |= pair;
            self.high[(*byte >> 4) as usize] |= pair;
            rest = behind;
        }
        self
    }

    /// To look many bytes up at once.
    #[expect(clippy::inline_always, reason = "vectors are of the level of the function they are in")]
    #[inline(always)]
    fn vectors<S: Simd>(&self, simd: S) -> [S::u8s; 2] {
        [S::u8s::block_splat(u8x16::simd_from(simd, self.low)), S::u8s::block_splat(u8x16::simd_from(simd, self.high))]
    }
}

/// The pairs that each of many bytes may belong to.
#[expect(clippy::inline_always, reason = "vectors are of the level of the function they are in")]
#[inline(always)]
fn of<S: Simd>([low, high]: [S::u8s; 2], bytes: S::u8s) -> S::u8s {
    low.swizzle_dyn_within_blocks(bytes & 0xf) & high.swizzle_dyn_within_blocks(bytes >> 4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample;

    use super::super::levels;
    use super::*;

    static PAIRS: Pairs = Pairs::new(&[(b"G", b"|"), (b"\"2", b"_"), (b"m", b"\\")]);

    proptest! {
        #[test]
        fn pairs_are_found_wherever_they_are(level in sample::select(levels()), text in "[mG|2_\"\\\\é]{0,6}[xm_]{0,150}([G|m\\\\]{0,3}[xé]{0,40}){0,4}") {
            let has = |pair: &[u8]| text.as_bytes().windows(2).any(|two| two == pair);
            let expected = u8::from(has(b"G|")) | u8::from(has(b"\"_") || has(b"2_")) << 1 | u8::from(has(b"m\\")) << 2;
            prop_assert_eq!(PAIRS.among_by(level, text.as_bytes()), expected);
        }
    }
}
