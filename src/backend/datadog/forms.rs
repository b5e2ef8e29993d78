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
}

struct Form {
    /// What few others have: where it differs nothing need be compared.
    mark: u64,
    words: Box<[u64]>,
    number: usize,
}

impl Forms {
    /// The number of a form: that of a new one is how many there were.
    pub(super) fn number(&mut self, origin: &Origin, tags: &[Tag<'_>]) -> usize {
        let mark = mark(tags);
        let lately = self.lately.iter().find(|form| form.mark == mark && form.is(origin, tags));
        match lately {
            Some(form) => form.number,
            None => self.other(mark, origin, tags),
        }
    }

    /// The number of a form that wasn't used lately.
    #[cold]
    fn other(&mut self, mark: u64, origin: &Origin, tags: &[Tag<'_>]) -> usize {
        let mut words = Vec::new();
        each_word(origin, tags, |word| {
            words.push(word);
            true
        });
        let words = words.into_boxed_slice();
        let next = self.by_words.len();
        let number = *self.by_words.entry(words.clone()).or_insert(next);
        let form = Form { mark, words, number };
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

impl Form {
    /// Whether it is that of these.
    fn is(&self, origin: &Origin, tags: &[Tag<'_>]) -> bool {
        let mut words = self.words.iter();
        each_word(origin, tags, |word| words.next() == Some(&word)) && words.as_slice().is_empty()
    }
}

/// How long the texts of tags are and what each ends in, all in one number.
#[inline]
fn mark(tags: &[Tag<'_>]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let of = |text: &str| (text.len() as u64) << 8 | u64::from(text.as_bytes().last().copied().unwrap_or_default());
    tags.iter().fold(0, |mark: u64, tag| (mark ^ of(tag.key) << 32 ^ of(tag.value)).wrapping_mul(ODD))
}

/// Gives the words of a form, until one isn't taken: what no other comes to. Returns whether all were.
#[inline]
fn each_word(origin: &Origin, tags: &[Tag<'_>], mut take: impl FnMut(u64) -> bool) -> bool {
    take(u64::from(origin.generation))
        && tags.iter().all(|tag| each_word_of(tag.key, &mut take) && each_word_of(tag.value, &mut take))
}

/// Gives what no other text comes to: its length, and its bytes eight at a time, the last of them perhaps for the
/// second time. So short texts are compared without a call for each.
#[inline]
fn each_word_of(text: &str, take: &mut impl FnMut(u64) -> bool) -> bool {
    let bytes = text.as_bytes();
    if !take(bytes.len() as u64) {
        return false;
    }
    if let (Some((first, rest)), Some(last)) = (bytes.split_first_chunk(), bytes.last_chunk()) {
        take(u64::from_le_bytes(*first))
            && (rest.len() <= 8 || rest.as_chunks().0.iter().all(|eight| take(u64::from_le_bytes(*eight))))
            && take(u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        take(u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)))
    } else {
        take(bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
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
                    each_word_of(text, &mut |word| {
                        words.push(word);
                        true
                    });
                }
                words
            };
            prop_assert_eq!(words(&texts) == words(&others), texts == others);
            let (mut longer, mut moved) = (texts.clone(), texts.clone());
            longer[1].push('a');
            prop_assert_ne!(words(&longer), words(&texts));
            if let Some(last) = moved[0].pop() {
                moved[1].insert(0, last);
                prop_assert_ne!(words(&moved), words(&texts));
            }
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
