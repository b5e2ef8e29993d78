/// Whether two short texts are the same: ids, names, tags.
///
/// In place, eight bytes at a time: a call of `memcmp`, which `==` makes, takes longer than that.
#[inline]
pub(crate) fn same(one: &str, other: &str) -> bool {
    let ((eights, rest), (others, other_rest)) = (one.as_bytes().as_chunks::<8>(), other.as_bytes().as_chunks::<8>());
    one.len() == other.len()
        && eights.iter().zip(others).all(|(a, b)| u64::from_ne_bytes(*a) == u64::from_ne_bytes(*b))
        && rest.iter().zip(other_rest).all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_the_usual_comparison(one in "[ab]{0,20}|[a-é]{0,40}", other in "[ab]{0,20}") {
            prop_assert_eq!(same(&one, &other), one == other);
            prop_assert!(same(&one, &one.clone()));
        }
    }
}
