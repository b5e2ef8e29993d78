use super::super::write::{shortened, text};

/// "Attributes: maximum of 100 per metric"; of these so many may be shared.
pub(super) const MAX_SHARED: usize = 50;
pub(super) const MAX_OWN: usize = 100 - MAX_SHARED;

/// "Length of attribute name: 255 characters", "of attribute value: 4,094 characters".
const MAX_KEY: usize = 255;
const MAX_VALUE: usize = 4094;

/// Attributes, each key once.
pub(super) struct Attributes {
    pairs: Vec<(String, String)>,
    max: usize,
}

impl Attributes {
    pub(super) const fn new(max: usize) -> Self {
        Self { pairs: Vec::new(), max }
    }

    /// Adds one; the first of a key holds.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        let key = key(name);
        if !key.is_empty() && self.pairs.len() < self.max && !self.pairs.iter().any(|(known, _)| *known == key) {
            self.pairs.push((key, value.to_owned()));
        }
    }

    /// Adds one if it is known.
    pub(super) fn add_some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.add(name, value);
        }
    }

    /// Adds one; values of a key that repeats are joined by commas.
    pub(super) fn join(&mut self, name: &str, value: &str) {
        let key = key(name);
        match self.pairs.iter_mut().find(|(known, _)| *known == key) {
            Some((_, before)) => {
                before.push(',');
                before.push_str(value);
            }
            None => self.add(&key, value),
        }
    }

    /// The members of a JSON object.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (key, value) in &self.pairs {
            member(key, value, &mut out);
        }
        out
    }
}

/// Writes `"key":"value"`, behind a comma unless it is the first.
pub(super) fn member(key: &str, value: &str, out: &mut Vec<u8>) {
    if !matches!(out.last(), None | Some(b'{')) {
        out.push(b',');
    }
    text(key, out);
    out.push(b':');
    text(&shortened(value, MAX_VALUE, char::len_utf8), out);
}

/// A name that is legal: letters, digits, `:`, `.` and `_`; others become `_`.
pub(super) fn key(name: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '_') { c } else { '_' };
    name.trim().chars().take(MAX_KEY).map(legal).collect()
}
