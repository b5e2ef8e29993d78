//! Where the strings of a piece of JSON end: found for all of it at once, as a processor can't foresee where each does.

use fearless_simd::prelude::*;
use fearless_simd::{Level, Simd, dispatch, u8x16, u8x64};

use super::level;
use super::scan::{self, BLOCK, escaped, has_irregular_escape};

/// The quotes of a piece of JSON that aren't escaped.
#[derive(Default)]
pub(crate) struct Quotes {
    /// A bit for each byte, the first one the lowest of eight bytes, and as many words of none behind them as are looked
    /// at at once.
    words: Vec<[u8; 8]>,
}

impl Quotes {
    /// Words that are looked at at once.
    const AHEAD: usize = 8;

    /// Finds those in the whole blocks of a text that begins outside of strings, up to where a string would be
    /// [irregular](super::scan::Scanned::irregular).
    pub(crate) fn find(&mut self, text: &[u8]) {
        self.find_by(level(), text);
    }

    fn find_by(&mut self, level: Level, text: &[u8]) {
        let (blocks, _) = text.as_chunks();
        self.words.resize(blocks.len() + Self::AHEAD, [0; 8]);
        let words = &mut self.words;
        let found = dispatch!(level, simd => find(simd, blocks, words));
        self.words.iter_mut().skip(found).for_each(|word| *word = [0; 8]);
    }

    /// Where the first is, at a place or behind it.
    #[inline]
    pub(crate) fn next(&self, place: usize) -> Option<usize> {
        let ahead = self.words.get(place / BLOCK..)?;
        let near = ahead.as_flattened().first_chunk()?;
        let first_word = u64::from_le_bytes(*ahead.first()?) & (!0 << (place % BLOCK));
        // A bit for each byte that holds some; of the first word only those from the place on count.
        let hold = !scan::equal(near, 0) & !0xff | u64::from(first_word != 0);
        let index = if hold == 0 {
            ahead.iter().skip(1).position(|word| *word != [0; 8])? + 1
        } else {
            hold.trailing_zeros() as usize / 8
        };
        let word = if index == 0 { first_word } else { u64::from_le_bytes(*ahead.get(index)?) };
        Some((place / BLOCK + index) * BLOCK + word.trailing_zeros() as usize)
    }
}

/// The escapes but `\b` and `\r`, each at its low half, by which it is looked up. Elsewhere is what has another one.
#[expect(clippy::indexing_slicing, reason = "half a byte is below sixteen")]
const ESCAPES: [u8; 16] = {
    let mut all = [0xff; 16];
    let mut rest: &[u8] = br#""\/nft"#;
    while let [escape, behind @ ..] = rest {
        all[(*escape & 0xf) as usize] = *escape;
        rest = behind;
    }
    all
};

/// Finds the quotes of whole blocks; says of how many, none where one has a bare control character.
#[expect(clippy::inline_always, reason = "vectors are of the level of the function they are in")]
#[inline(always)]
fn find<S: Simd>(simd: S, blocks: &[[u8; BLOCK]], words: &mut [[u8; 8]]) -> usize {
    let by_low_half = u8x64::block_splat(u8x16::simd_from(simd, ESCAPES));
    let (mut carry, mut lowest, mut found) = (0, u8x64::splat(simd, 0xff), blocks.len());
    for (place, (word, block)) in words.iter_mut().zip(blocks).enumerate() {
        let bytes = u8x64::simd_from(simd, *block);
        let (quotes, backslashes) = (bytes.simd_eq(b'"').to_bitmask(), bytes.simd_eq(b'\\').to_bitmask());
        let usual = by_low_half.swizzle_dyn_within_blocks(bytes & 0xf).simd_eq(bytes).to_bitmask();
        lowest = lowest.min(bytes);
        let escaped = escaped(backslashes, &mut carry);
        let unusual = escaped & !usual;
        if unusual != 0 && has_irregular_escape(unusual, block) {
            found = place;
            break;
        }
        *word = (quotes & !escaped).to_le_bytes();
    }
    if lowest.simd_ge(b' ').all_true() { found } else { 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample;

    use super::super::levels;
    use super::*;

    proptest! {
        #[test]
        fn quotes_of_a_piece_are_those_of_its_strings(
            strings in proptest::collection::vec("[a-z ]{0,200}|(\\\\[nt\"\\\\/brf]|[a-zé]|, ){0,80}|[a-z]{500,900}", 0..20),
            level in sample::select(levels()),
            unusual in "|||\\\\u0041|\\\\q|\u{1}",
        ) {
            let mut text = String::from("[");
            let mut expected = Vec::new();
            for string in &strings {
                expected.extend([text.len(), text.len() + string.len() + 1]);
                text.extend(["\"", string, "\","]);
            }
            let whole = text.len();
            text.extend(["\"", &unusual, "\"]"]);
            expected.extend([whole, text.len() - 2]);
            text.push_str(&" ".repeat(BLOCK));
            let mut quotes = Quotes::default();
            quotes.find(&[b'"'; 4096]);
            quotes.find_by(level, text.as_bytes());
            let found: Vec<_> = (0..=text.len()).filter(|place| quotes.next(*place) == Some(*place)).collect();
            if unusual.is_empty() {
                prop_assert_eq!(&found, &expected);
                for place in 0..text.len() + 100 {
                    prop_assert_eq!(quotes.next(place), expected.iter().copied().find(|quote| *quote >= place));
                }
            } else {
                let before = found.len().min(expected.len() - 2 * usize::from(!unusual.is_empty()));
                prop_assert_eq!(&found[..before], &expected[..before]);
                prop_assert!(!found.contains(&expected[expected.len() - 1]));
            }
        }
    }
}
