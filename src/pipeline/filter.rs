use regex::bytes::Regex;

use super::settings::{Pattern, pattern};
use crate::env::{Env, Row, Setting, read};
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
    const INCLUDE: Pattern = Setting::new(
        "LOGFERRY_INCLUDE",
        read::pattern,
        "Ship only logs whose message matches this regular expression.",
    );
    const EXCLUDE: Pattern = Setting::new(
        "LOGFERRY_EXCLUDE",
        read::pattern,
        "Do not ship logs whose message matches this regular expression.",
    );
    const INCLUDE_AT_MATCH: Pattern = Setting::new(
        "INCLUDE_AT_MATCH",
        read::pattern,
        "The same as LOGFERRY_INCLUDE, under the Datadog Forwarder's name.",
    );
    const EXCLUDE_AT_MATCH: Pattern = Setting::new(
        "EXCLUDE_AT_MATCH",
        read::pattern,
        "The same as LOGFERRY_EXCLUDE, under the Datadog Forwarder's name.",
    );

    /// The settings, for documents.
    pub const ROWS: [Row; 4] =
        [Self::INCLUDE.row(), Self::EXCLUDE.row(), Self::INCLUDE_AT_MATCH.row(), Self::EXCLUDE_AT_MATCH.row()];

    /// Reads the settings.
    pub(super) fn from_env(env: &mut Env<'_>) -> Self {
        Self {
            include: pattern(&Self::INCLUDE, &Self::INCLUDE_AT_MATCH, env),
            exclude: pattern(&Self::EXCLUDE, &Self::EXCLUDE_AT_MATCH, env),
        }
    }

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
