//! Finds what metrics of the same origin and tags share, without a hash for each.

use std::collections::HashMap;

use super::super::key::part;
use crate::model::{Origin, Tag, same};

/// Forms whose marks are looked through before the hash: the measures of an invocation,
/// its cost, which has tags of its own, and some of custom metrics.
const MAX_LATELY: usize = 8;

/// Numbers from 0 on, one for each form: an origin, and tags as metrics come with them.
#[derive(Default)]
pub(super) struct Forms {
    by_key: HashMap<Vec<u8>, usize>,
    /// Those that were used lately: to look through them takes less than a hash.
    lately: Vec<Form>,
    /// Which of these is given up next.
    oldest: usize,
}

struct Form {
    mark: u64,
    number: usize,
    /// What tells it from others.
    key: Vec<u8>,
}

impl Forms {
    /// The number of a form: that of a new one is how many there were.
    pub(super) fn number(&mut self, origin: &Origin, tags: &[Tag<'_>]) -> usize {
        let mark = mark(origin, tags);
        let lately = self.lately.iter().find(|form| form.mark == mark).filter(|form| is(&form.key, origin, tags));
        let number = lately.map(|form| form.number);
        number.unwrap_or_else(|| self.other(mark, origin, tags))
    }

    /// The number of a form that wasn't used lately.
    #[cold]
    fn other(&mut self, mark: u64, origin: &Origin, tags: &[Tag<'_>]) -> usize {
        let next = self.by_key.len();
        let key = key(origin, tags);
        let number = *self.by_key.entry(key.clone()).or_insert(next);
        let form = Form { mark, number, key };
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

/// Whether it is the key of this form.
fn is(key: &[u8], origin: &Origin, tags: &[Tag<'_>]) -> bool {
    let key = key.strip_prefix(&origin.generation.to_le_bytes());
    let mut texts = tags.iter().flat_map(|tag| [tag.key, tag.value]);
    key.and_then(|key| texts.try_fold(key, without)).is_some_and(<[u8]>::is_empty)
}

/// What mostly tells a form from others.
fn mark(origin: &Origin, tags: &[Tag<'_>]) -> u64 {
    // Odd, and without a pattern in its bits: a factor of Knuth's.
    const FACTOR: u64 = 6_364_136_223_846_793_005;
    // Tags with the same values mostly have the same keys.
    tags.iter()
        .fold(u64::from(origin.generation), |mark, tag| mark.wrapping_mul(FACTOR).rotate_left(29) ^ ends(tag.value))
}

/// The length of a text, its first bytes and its last.
#[inline]
fn ends(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let ends = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(20),
        _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
            }
            _ => bytes.iter().fold(0, |ends, byte| ends << 8 | u64::from(*byte)),
        },
    };
    ends ^ (bytes.len() as u64) << 56
}

/// What tells a form from others.
fn key(origin: &Origin, tags: &[Tag<'_>]) -> Vec<u8> {
    let mut key = Vec::with_capacity(128);
    key.extend_from_slice(&origin.generation.to_le_bytes());
    for tag in tags {
        part(tag.key, &mut key);
        part(tag.value, &mut key);
    }
    key
}

/// What is behind this part of a key, if it begins with it.
#[inline]
fn without<'k>(key: &'k [u8], text: &str) -> Option<&'k [u8]> {
    let (len, rest) = key.split_first_chunk()?;
    let (part, rest) = rest.split_at_checked(usize::from_le_bytes(*len))?;
    same(part, text).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_with_one_mark_have_numbers_of_their_own() {
        let origin = Origin { generation: 1, ..Origin::default() };
        let paths: Vec<_> = ('a'..='t').map(|letter| format!("/checkout/{letter}/confirm")).collect();
        let tags = |path: &'static str| [Tag { key: "path", value: path }];
        let paths: Vec<_> = paths.into_iter().map(|path| tags(path.leak())).collect();
        assert!(paths.iter().all(|tags| mark(&origin, tags) == mark(&origin, &paths[0])));
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
