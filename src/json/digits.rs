//! Decimal digits, many at a time.

use wide::u8x16;

/// How many digits stand at the front of these bytes.
pub(crate) fn count(bytes: &[u8; 64]) -> usize {
    let (quarters, _) = bytes.as_chunks::<16>();
    let mut others = 0_u64;
    for (place, quarter) in quarters.iter().enumerate() {
        // What lies below `0` wraps around to the top.
        let digit = u8x16::new(*quarter) - u8x16::splat(b'0');
        let is_digit = digit.min(u8x16::splat(9)).simd_eq(digit);
        others |= u64::from(!is_digit.to_bitmask() & 0xffff) << (16 * place);
    }
    (others.trailing_zeros() as usize).min(64)
}

/// A whole number of one to eighteen digits at the front, and how many they are.
#[inline]
pub(crate) fn number(bytes: &[u8]) -> Option<(i64, usize)> {
    let digit = u8x16::new(chunk(bytes)) - u8x16::splat(b'0');
    let is_digit = digit.min(u8x16::splat(9)).simd_eq(digit);
    let len = is_digit.to_bitmask().trailing_ones();
    if len >= 16 {
        return one_by_one(bytes);
    }
    // The first byte is the lowest: moved up, zeros come before it and what is no digit falls off.
    let digits = u128::from_le_bytes(digit.to_array()).checked_shl(128 - 8 * len)?.to_le_bytes();
    let (halves, _) = digits.as_chunks();
    let number = halves.iter().fold(0, |number, half| number * 100_000_000 + eight(u64::from_le_bytes(*half)));
    Some((number.cast_signed(), len as usize))
}

/// The first sixteen bytes, or fewer with blanks behind them.
#[inline]
fn chunk(bytes: &[u8]) -> [u8; 16] {
    bytes.first_chunk().copied().unwrap_or_else(|| {
        let mut padded = [b' '; 16];
        padded.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        padded
    })
}

/// The number that eight digits are, the first of them the lowest byte: neighbours are joined to
/// numbers of two, then four, then eight digits, all pairs at once.
#[inline]
const fn eight(ones: u64) -> u64 {
    let twos = (ones.wrapping_mul(10) + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos.wrapping_mul(100) + (twos >> 16)) & 0x0000_ffff_0000_ffff;
    (fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff
}

/// The same of a number that is long.
#[cold]
fn one_by_one(bytes: &[u8]) -> Option<(i64, usize)> {
    let len = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = bytes.get(..len).filter(|digits| (1..=18).contains(&digits.len()))?;
    Some((digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')), len))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_to_eighteen_digits_and_nothing_else() {
        for (text, expected) in [
            ("1764000000123,", Some((1_764_000_000_123, 13))),
            ("999999999999999,", Some((999_999_999_999_999, 15))),
            ("9999999999999999,", Some((9_999_999_999_999_999, 16))),
            ("999999999999999999,", Some((999_999_999_999_999_999, 18))),
            ("9999999999999999999,", None),
            ("12", Some((12, 2))),
            ("7 and sixteen more", Some((7, 1))),
            ("/234567890123456789", None),
            (":234567890123456789", None),
            ("", None),
        ] {
            assert_eq!(number(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(number(b"1\xb2345678901234567"), Some((1, 1)));
    }

    proptest! {
        #[test]
        fn agrees_with_reading_digit_by_digit(text in "[0-9]{0,70}[^0-9].{0,70}") {
            let len = text.bytes().take_while(u8::is_ascii_digit).count();
            let number: Option<i64> = if len <= 18 { text[..len].parse().ok() } else { None };
            prop_assert_eq!(super::number(text.as_bytes()), number.map(|number| (number, len)));
            if let Some(chunk) = text.as_bytes().first_chunk() {
                prop_assert_eq!(count(chunk), len.min(64));
            }
        }
    }
}
