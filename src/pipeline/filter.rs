use regex::bytes::Regex;

use crate::json::JsonStr;

/// Which logs are shipped, by what their message matches.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only logs that match this.
    pub include: Option<Regex>,
    /// No logs that match this, even if they match `include`.
    pub exclude: Option<Regex>,
}

impl Filter {
    /// Whether a log with this message is shipped.
    #[inline]
    pub fn passes(&self, message: JsonStr<'_>) -> bool {
        (self.include.is_none() && self.exclude.is_none()) || self.matches(&message.unescape())
    }

    fn matches(&self, text: &str) -> bool {
        let matches = |pattern: &Regex| pattern.is_match(text.as_bytes());
        self.include.as_ref().is_none_or(matches) && !self.exclude.as_ref().is_some_and(matches)
    }
}
