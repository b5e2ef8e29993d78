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
pub(crate) fn number(bytes: &[u8]) -> Option<(i64, usize)> {
    let (first, len) = eight(bytes);
    if len < 8 {
        return (len > 0).then_some((first.cast_signed(), len));
    }
    let (second, more) = eight(bytes.get(8..)?);
    let value = first * POWERS.get(more)? + second;
    if more < 8 {
        return Some((value.cast_signed(), 8 + more));
    }
    let (third, more) = eight(bytes.get(16..)?);
    let power = POWERS.get(more).filter(|_| more <= 2)?;
    Some(((value * power + third).cast_signed(), 16 + more))
}

/// Powers of ten.
const POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// At most eight digits at the front, and how many they are: neighbours are joined to
/// numbers of two, then four, then eight digits, all pairs at once.
fn eight(bytes: &[u8]) -> (u64, usize) {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let chunk = bytes.first_chunk().copied().unwrap_or_else(|| {
        let mut padded = [b' '; 8];
        padded.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        padded
    });
    let digits = u64::from_le_bytes(chunk) ^ (0x30 * EACH);
    // The top bit of each byte that is above nine.
    let others = (((digits & (0x7f * EACH)) + 0x76 * EACH) | digits) & (0x80 * EACH);
    let len = others.trailing_zeros() as usize / 8;
    // The first byte is the lowest: moved up, zeros come before it and what is no digit falls off.
    let ones = digits.checked_shl(64 - 8 * u32::try_from(len).unwrap_or(0)).unwrap_or(0);
    let twos = (ones.wrapping_mul(10) + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos.wrapping_mul(100) + (twos >> 16)) & 0x0000_ffff_0000_ffff;
    ((fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff, len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn up_to_eight_digits_and_nothing_else() {
        for (text, expected) in [
            (b"00000000".as_slice(), (0, 8)),
            (b"12345678", (12_345_678, 8)),
            (b"99999999", (99_999_999, 8)),
            (b"1234567:", (1_234_567, 7)),
            (b"/2345678", (0, 0)),
            (b"1234 678", (1234, 4)),
            (b"1\xb234567\xf9", (1, 1)),
            (b"12", (12, 2)),
            (b"", (0, 0)),
        ] {
            assert_eq!(eight(text), expected, "{text:?}");
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
