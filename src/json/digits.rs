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
    let (mut value, mut len) = bytes.first_chunk().copied().and_then(eight).map_or((0, 0), |value| (value, 8));
    for byte in bytes.iter().take(19).skip(len).take_while(|b| b.is_ascii_digit()) {
        value = value.wrapping_mul(10).wrapping_add(i64::from(byte - b'0'));
        len += 1;
    }
    (1..=18).contains(&len).then_some((value, len))
}

/// Eight digits: neighbours joined to numbers of two, then four, then eight digits, all pairs at once.
fn eight(bytes: [u8; 8]) -> Option<i64> {
    const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    let chunk = u64::from_le_bytes(bytes);
    // `:` to `?` begin as digits do; with six added they don't.
    if (chunk & HIGH) | ((chunk.wrapping_add(0x0606_0606_0606_0606) & HIGH) >> 4) != 0x3333_3333_3333_3333 {
        return None;
    }
    let ones = chunk - ZEROS;
    let twos = (ones.wrapping_mul(10) + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos.wrapping_mul(100) + (twos >> 16)) & 0x0000_ffff_0000_ffff;
    let eight = (fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff;
    i64::try_from(eight).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn eight_digits_and_nothing_else() {
        for (text, expected) in [
            (b"00000000", Some(0)),
            (b"12345678", Some(12_345_678)),
            (b"99999999", Some(99_999_999)),
            (b"1234567:", None),
            (b"/2345678", None),
            (b"1234 678", None),
            (b"1234567\xf9", None),
        ] {
            assert_eq!(eight(*text), expected, "{text:?}");
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
