//! Decimal digits, many at a time.

use wide::{u8x16, u8x32};

/// How many digits stand at the front of these bytes.
pub(crate) fn count(bytes: &[u8; 64]) -> usize {
    let (quarters, _) = bytes.as_chunks::<16>();
    let mut others = 0_u64;
    for (place, quarter) in quarters.iter().enumerate() {
        let is_digit = is_digit(u8x16::new(*quarter) - u8x16::splat(b'0'));
        others |= u64::from(!is_digit.to_bitmask() & 0xffff) << (16 * place);
    }
    (others.trailing_zeros() as usize).min(64)
}

/// Whether there are only digits.
#[inline]
pub(crate) fn all(bytes: &[u8; 56]) -> bool {
    let digits = |chunk: &[u8; 32]| u8x32::new(*chunk) - u8x32::splat(b'0');
    // The last thirty-two, some of them for the second time.
    let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) else { return false };
    let highest = digits(first).max(digits(last));
    // What lies below `0` wraps around to the top.
    highest.min(u8x32::splat(9)).simd_eq(highest).all()
}

/// The number that thirteen digits at the front of these bytes are.
#[inline]
pub(crate) fn thirteen(bytes: &[u8; 16]) -> Option<i64> {
    const LOWER_HALVES: u64 = 0x0f0f_0f0f_0f0f_0f0f;
    if !is_digit(u8x16::new(*bytes) - u8x16::splat(b'0')).to_bitmask() & 0x1fff != 0 {
        return None;
    }
    // Of the second eight, three are known from the first.
    let (first, second) = (bytes.first_chunk()?, bytes.get(5..)?.first_chunk()?);
    let ones = |eight: &[u8; 8]| u64::from_le_bytes(*eight) & LOWER_HALVES;
    Some((eight(ones(first)) * 100_000 + eight(ones(second) & !0xff_ffff)).cast_signed())
}

/// Which bytes, less `0`, were digits: what lies below `0` wraps around to the top.
#[inline]
fn is_digit(digit: u8x16) -> u8x16 {
    digit.min(u8x16::splat(9)).simd_eq(digit)
}

/// A whole number of one to eighteen digits at the front, and how many they are.
#[inline]
pub(crate) fn number(bytes: &[u8]) -> Option<(i64, usize)> {
    let digit = u8x16::new(chunk(bytes)) - u8x16::splat(b'0');
    let len = is_digit(digit).to_bitmask().trailing_ones();
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

    #[test]
    fn a_byte_that_is_no_digit_is_seen_wherever_it_is() {
        assert!(all(&[b'7'; 56]));
        for behind in [*b"000", *b",\"m", [0xff; 3]] {
            let time = |digits: &[u8; 13]| thirteen(&[&digits[..], &behind].concat().try_into().unwrap());
            assert_eq!(time(b"1764000000123"), Some(1_764_000_000_123));
            assert_eq!(time(b"9999999999999"), Some(9_999_999_999_999));
        }
        for other in (0..=0xff).filter(|byte: &u8| !byte.is_ascii_digit()) {
            for at in 0..56 {
                let mut id = [b'0'; 56];
                id[at] = other;
                assert!(!all(&id), "{other} at {at}");
            }
            for at in 0..13 {
                let mut time = *b"1764000000123,\"m";
                time[at] = other;
                assert_eq!(thirteen(&time), None, "{other} at {at}");
            }
        }
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
