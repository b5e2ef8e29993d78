/// Whether two short texts are the same: ids, names, tags.
///
/// In place, as many bytes at a time as there are: a call of `memcmp`, which `==` makes, takes longer than that.
#[inline]
pub(crate) fn same(one: impl AsRef<[u8]>, other: impl AsRef<[u8]>) -> bool {
    let (one, other) = (one.as_ref(), other.as_ref());
    one.len() == other.len()
        && same_by::<32>(one, other)
            .or_else(|| same_by::<8>(one, other))
            .or_else(|| same_by::<4>(one, other))
            .unwrap_or_else(|| one.iter().zip(other).all(|(a, b)| a == b))
}

/// The same, `N` bytes at a time, the last of them for the second time where they aren't a multiple; `None` for fewer.
#[inline]
fn same_by<const N: usize>(one: &[u8], other: &[u8]) -> Option<bool> {
    let last = one.last_chunk::<N>()? == other.last_chunk::<N>()?;
    let ((chunks, _), (others, _)) = (one.as_chunks::<N>(), other.as_chunks::<N>());
    Some(last && chunks.iter().zip(others).all(|(a, b)| a == b))
}

/// Whether a text has a form, in which `0` stands for any digit, `x` for any hexadecimal one, and
/// every other byte for itself.
#[inline]
pub(crate) fn has_form(text: &[u8], form: &[u8]) -> bool {
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        b'x' => byte.is_ascii_hexdigit(),
        form => byte == form,
    };
    text.len() == form.len() && text.iter().zip(form).all(fits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_form_is_as_long_as_its_text() {
        for (text, fits) in
            [("2026/0a", true), ("2026/9F", true), ("2026-0a", false), ("202x/0a", false), ("2026/0g", false)]
        {
            assert_eq!(has_form(text.as_bytes(), b"0000/xx"), fits, "{text}");
        }
        assert!(!has_form(b"2026/0", b"0000/xx") && !has_form(b"2026/0aa", b"0000/xx"));
    }

    proptest! {
        #[test]
        fn agrees_with_the_usual_comparison(one in "[ab]{0,20}|[a-é]{0,40}", other in "[ab]{0,20}", at in any::<proptest::sample::Index>()) {
            prop_assert_eq!(same(&one, &other), one == other);
            prop_assert!(same(&one, one.clone()));
            let mut changed = one.clone().into_bytes();
            if !changed.is_empty() {
                let at = at.index(changed.len());
                changed[at] ^= 1;
                prop_assert!(!same(&one, &changed));
            }
        }
    }
}
