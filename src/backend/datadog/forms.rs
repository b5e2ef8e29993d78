//! Finds what metrics of the same origin and tags share, without a hash for each.

use std::collections::HashMap;

use crate::model::{Origin, Tag};

/// Forms that are looked through before the hash: the measures of an invocation,
/// its cost, which has tags of its own, and some of custom metrics.
const MAX_LATELY: usize = 8;

/// Numbers from 0 on, one for each form: an origin, and tags as metrics come with them.
#[derive(Default)]
pub(super) struct Forms {
    by_words: HashMap<Box<[u64]>, usize>,
    /// Those that were used lately: to look through them takes less than a hash.
    lately: Vec<Form>,
    /// Which of these is given up next.
    oldest: usize,
    /// Words of the form at hand.
    words: Vec<u64>,
}

struct Form {
    words: Box<[u64]>,
    number: usize,
}

impl Forms {
    /// The number of a form: that of a new one is how many there were.
    pub(super) fn number(&mut self, origin: &Origin, tags: &[Tag<'_>]) -> usize {
        let mut words = std::mem::take(&mut self.words);
        words.clear();
        words.push(u64::from(origin.generation));
        for tag in tags {
            write(tag.key, &mut words);
            write(tag.value, &mut words);
        }
        let lately = self.lately.iter().find(|form| same(&form.words, &words)).map(|form| form.number);
        let number = lately.unwrap_or_else(|| self.other(&words));
        self.words = words;
        number
    }

    /// The number of a form that wasn't used lately.
    #[cold]
    fn other(&mut self, words: &[u64]) -> usize {
        let next = self.by_words.len();
        let number = *self.by_words.entry(words.into()).or_insert(next);
        let form = Form { words: words.into(), number };
        if self.lately.len() < MAX_LATELY {
            self.lately.push(form);
        } else if let Some(oldest) = self.lately.get_mut(self.oldest) {
            *oldest = form;
            self.oldest = (self.oldest + 1) % MAX_LATELY;
        }
        number
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Whether they are the same words, of which the last mostly tells. One by one: what was just written so
/// can be read at once so, but not by the vectors that `==` takes.
#[inline]
fn same(one: &[u64], other: &[u64]) -> bool {
    one.len() == other.len() && one.iter().zip(other).rev().all(|(one, other)| one == other)
}

/// Appends what no other text comes to: its length, and its bytes eight at a time, the last of them perhaps for the
/// second time. So short texts are compared without a call for each.
#[inline]
fn write(text: &str, words: &mut Vec<u64>) {
    let bytes = text.as_bytes();
    words.push(bytes.len() as u64);
    if let (Some((first, rest)), Some(last)) = (bytes.split_first_chunk(), bytes.last_chunk()) {
        words.push(u64::from_le_bytes(*first));
        if rest.len() > 8 {
            words.extend(rest.as_chunks().0.iter().map(|eight| u64::from_le_bytes(*eight)));
        }
        words.push(u64::from_le_bytes(*last));
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        words.push(u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)));
    } else {
        words.push(bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_are_the_same_where_all_texts_are(
            texts in proptest::collection::vec("[ab]{0,3}|[ab]{4,20}|[a-é]{0,40}", 2),
            others in proptest::collection::vec("[ab]{0,3}|[ab]{4,20}", 2),
        ) {
            let words = |texts: &[String]| {
                let mut words = Vec::new();
                for text in texts {
                    write(text, &mut words);
                }
                words
            };
            prop_assert_eq!(words(&texts) == words(&others), texts == others);
            prop_assert_eq!(words(&texts), words(&texts.clone()));
        }
    }

    #[test]
    fn forms_that_differ_in_a_byte_have_numbers_of_their_own() {
        let origin = Origin { generation: 1, ..Origin::default() };
        let paths: Vec<_> = ('a'..='t').map(|letter| format!("/checkout/{letter}/confirm")).collect();
        let tags = |path: &'static str| [Tag { key: "path", value: path }];
        let paths: Vec<_> = paths.into_iter().map(|path| tags(path.leak())).collect();
        let mut forms = Forms::default();
        // More of them than are looked through, in turn and back.
        for number in (0..paths.len()).chain((0..paths.len()).rev()) {
            assert_eq!(forms.number(&origin, &paths[number]), number);
        }
        let other = Origin { generation: 2, ..Origin::default() };
        assert_eq!(forms.number(&other, &paths[0]), paths.len());
        // Where one text ends and the next begins matters.
        let (one, two) = (Tag { key: "ab", value: "c" }, Tag { key: "a", value: "bc" });
        assert_ne!(forms.number(&origin, &[one]), forms.number(&origin, &[two]));
        forms.clear();
        assert_eq!(forms.number(&origin, &paths[7]), 0);
    }
}
