//! Decimal digits, many at a time.

use wide::{u8x16, u8x32};

use super::scan::padded;

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

/// Whether bytes have a form, in which `0` stands for any digit and `?` for anything: thirty-two at a time,
/// the last of them perhaps for the second time.
#[inline]
pub(crate) fn fit<const N: usize>(bytes: &[u8; N], form: &[u8; N]) -> bool {
    const { assert!(N >= 32, "too short for a vector") };
    let others = |bytes: &[u8; 32], form: &[u8; 32]| {
        let form = u8x32::new(*form);
        // Of a byte that fits is left 0, or where the form has a digit 0 to 9.
        let most = (form.simd_eq(u8x32::splat(b'0')) & u8x32::splat(9)) | form.simd_eq(u8x32::splat(b'?'));
        (u8x32::new(*bytes) ^ form).saturating_sub(most)
    };
    let (Some(last), Some(last_form)) = (bytes.last_chunk(), form.last_chunk()) else { return false };
    let ((chunks, _), (forms, _)) = (bytes.as_chunks(), form.as_chunks());
    let all = chunks.iter().zip(forms).fold(others(last, last_form), |all, (chunk, form)| all | others(chunk, form));
    all.simd_eq(u8x32::ZERO).all()
}

/// Times of thirteen digits that follow each other: the first eight digits are mostly those of the time before.
#[derive(Default)]
pub(crate) struct Times {
    first: [u8; 8],
    /// What they stand for.
    from: u64,
}

impl Times {
    /// The number that these digits are.
    #[inline]
    pub(crate) fn read(&mut self, digits: &[u8; 13]) -> i64 {
        const LOWER_HALVES: u64 = 0x0f0f_0f0f_0f0f_0f0f;
        let (Some(first), Some(last)) = (digits.first_chunk(), digits.last_chunk()) else { return 0 };
        let ones = |eight: &[u8; 8]| u64::from_le_bytes(*eight) & LOWER_HALVES;
        if self.first != *first {
            (self.first, self.from) = (*first, eight(ones(first)) * 100_000);
        }
        // Of the last eight, three are known from the first.
        (self.from + eight(ones(last) & !0xff_ffff)).cast_signed()
    }
}

/// Which bytes, less `0`, were digits: what lies below `0` wraps around to the top.
#[inline]
fn is_digit(digit: u8x16) -> u8x16 {
    digit.min(u8x16::splat(9)).simd_eq(digit)
}

/// The number that the digits at the front are, and how many they are; eight of these may go on.
#[inline]
pub(crate) fn up_to_eight(bytes: &[u8]) -> (u64, usize) {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let left = first_eight(bytes) ^ (0x30 * EACH);
    // The top bit of each byte in which more is left than 9.
    let others = (((left & (0x7f * EACH)) + (0x76 * EACH)) | left) & (0x80 * EACH);
    let len = others.trailing_zeros() / 8;
    // The first byte is the lowest: moved up, zeros come before it and what is no digit falls off.
    (eight(left.checked_shl(64 - 8 * len).unwrap_or(0)), len as usize)
}

/// The first eight bytes, the first of them the lowest, and zeros behind fewer.
#[inline]
fn first_eight(bytes: &[u8]) -> u64 {
    if let Some(eight) = bytes.first_chunk() {
        u64::from_le_bytes(*eight)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let four = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
        four(first) | four(last) << (8 * (bytes.len() - 4))
    } else {
        bytes.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte))
    }
}

/// A whole number of one to eighteen digits at the front, and how many they are.
#[inline]
pub(crate) fn number(bytes: &[u8]) -> Option<(i64, usize)> {
    let chunk = bytes.first_chunk().copied().unwrap_or_else(|| padded(bytes));
    let digit = u8x16::new(chunk) - u8x16::splat(b'0');
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
    fn a_byte_that_does_not_fit_is_seen_wherever_it_is() {
        let (form, good) =
            (b"{\"id\":\"00000000?00000000000000000000000\",", b"{\"id\":\"01234567899876543210012345678998\",");
        assert!(fit(good, form));
        for at in 0..form.len() {
            let is_digit = form[at] == b'0';
            for other in 0..=0xff {
                let mut bytes = *good;
                bytes[at] = other;
                let fits = form[at] == b'?' || if is_digit { other.is_ascii_digit() } else { other == form[at] };
                assert_eq!(fit(&bytes, form), fits, "{other} at {at}");
            }
        }
    }

    #[test]
    fn reads_times_one_after_the_other() {
        let mut times = Times::default();
        for time in [1_764_000_000_123, 1_764_000_000_124, 1_764_000_099_999, 1_764_000_100_000, 9_999_999_999_999] {
            assert_eq!(times.read(time.to_string().as_bytes().first_chunk().unwrap()), time);
        }
        assert_eq!(times.read(b"0000000000000"), 0);
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
            let first = &text[..len.min(8)];
            prop_assert_eq!(up_to_eight(text.as_bytes()), (first.parse().unwrap_or(0), first.len()));
        }
    }
}
