/// FNV-1a, 64 bits: the same in every copy of the forwarder and every version of it.
///
/// Source: <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>
pub(super) fn fnv_1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of the draft's appendix C.
    #[test]
    fn hashes_as_it_is_published() {
        for (text, expected) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(fnv_1a(text.bytes()), expected, "{text}");
        }
    }
}
