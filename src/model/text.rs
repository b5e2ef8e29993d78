/// Whether two short texts are the same: ids, names, tags.
///
/// In place, eight bytes at a time, the last of them for the second time where they aren't a multiple:
/// a call of `memcmp`, which `==` makes, takes longer than that.
#[inline]
pub(crate) fn same(one: impl AsRef<[u8]>, other: impl AsRef<[u8]>) -> bool {
    let (one, other) = (one.as_ref(), other.as_ref());
    if one.len() != other.len() {
        return false;
    }
    match (one.last_chunk::<8>(), other.last_chunk::<8>()) {
        (Some(last), Some(other_last)) => {
            let ((eights, _), (others, _)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
            last == other_last && eights.iter().zip(others).all(|(a, b)| a == b)
        }
        _ => match (one.first_chunk::<4>(), other.first_chunk::<4>()) {
            (Some(first), Some(other_first)) => {
                first == other_first && one.last_chunk::<4>() == other.last_chunk::<4>()
            }
            _ => one.iter().zip(other).all(|(a, b)| a == b),
        },
    }
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
        fn agrees_with_the_usual_comparison(one in "[ab]{0,20}|[a-é]{0,40}", other in "[ab]{0,20}") {
            prop_assert_eq!(same(&one, &other), one == other);
            prop_assert!(same(&one, one.clone()));
        }
    }
}
