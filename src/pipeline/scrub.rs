//! Redaction: what must not leave is taken out of messages before any backend has them.

use std::ops::Range;

use memchr::memchr;
use regex::bytes::Regex;

use super::settings::{Pattern, pattern};
use crate::env::{Env, Row, Setting, read};
use crate::json::JsonStr;

/// As which a replacement is given that is empty: a variable that is empty isn't set.
const NOTHING: &str = "''";

/// What is taken out of messages, by one rule after the other.
#[derive(Clone, Debug)]
pub struct Scrub {
    rules: Vec<Rule>,
}

/// What is replaced by what.
#[derive(Clone, Debug)]
pub struct Rule {
    pattern: Regex,
    replacement: Vec<Part>,
}

/// A part of what stands there instead.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Text(String),
    /// What a group of the pattern has matched.
    Group(usize),
}

impl Scrub {
    const REDACT_IP: Setting<bool> = Setting::new(
        "LOGFERRY_REDACT_IP",
        read::boolean,
        "Whether IPv4 addresses in messages become `xxx.xxx.xxx.xxx`.",
    )
    .default("false");
    const REDACT_EMAIL: Setting<bool> = Setting::new(
        "LOGFERRY_REDACT_EMAIL",
        read::boolean,
        "Whether addresses of e-mail in messages become `xxxxx@xxxxx.com`.",
    )
    .default("false");
    const SCRUBBING_RULE: Pattern = Setting::new(
        "LOGFERRY_SCRUBBING_RULE",
        read::pattern,
        "What matches this regular expression is replaced in messages; it is matched against their text, where quotes are not escaped.",
    );
    const SCRUBBING_RULE_REPLACEMENT: Setting<String> = Setting::new(
        "LOGFERRY_SCRUBBING_RULE_REPLACEMENT",
        read::text,
        "What stands there instead: text in which `\\1` and `\\g<name>` are groups of the rule, or `''` for nothing.",
    )
    .default(Rule::REPLACEMENT);
    const THEIR_REDACT_IP: Setting<bool> =
        Setting::new("REDACT_IP", read::boolean, "The same as LOGFERRY_REDACT_IP, under the Datadog Forwarder's name.");
    const THEIR_REDACT_EMAIL: Setting<bool> = Setting::new(
        "REDACT_EMAIL",
        read::boolean,
        "The same as LOGFERRY_REDACT_EMAIL, under the Datadog Forwarder's name.",
    );
    const DD_SCRUBBING_RULE: Pattern = Setting::new(
        "DD_SCRUBBING_RULE",
        read::pattern,
        "The same as LOGFERRY_SCRUBBING_RULE, under the Datadog Forwarder's name.",
    );
    const DD_SCRUBBING_RULE_REPLACEMENT: Setting<String> = Setting::new(
        "DD_SCRUBBING_RULE_REPLACEMENT",
        read::text,
        "The same as LOGFERRY_SCRUBBING_RULE_REPLACEMENT, under the Datadog Forwarder's name.",
    );

    /// The settings, for documents.
    pub const ROWS: [Row; 8] = [
        Self::REDACT_IP.row(),
        Self::REDACT_EMAIL.row(),
        Self::SCRUBBING_RULE.row(),
        Self::SCRUBBING_RULE_REPLACEMENT.row(),
        Self::THEIR_REDACT_IP.row(),
        Self::THEIR_REDACT_EMAIL.row(),
        Self::DD_SCRUBBING_RULE.row(),
        Self::DD_SCRUBBING_RULE_REPLACEMENT.row(),
    ];

    /// Reads the settings; rules come in the Datadog Forwarder's order. Nothing if there is none.
    pub(super) fn from_env(env: &mut Env<'_>) -> Option<Self> {
        let ip = either(&Self::REDACT_IP, &Self::THEIR_REDACT_IP, env);
        let email = either(&Self::REDACT_EMAIL, &Self::THEIR_REDACT_EMAIL, env);
        let pattern = pattern(&Self::SCRUBBING_RULE, &Self::DD_SCRUBBING_RULE, env);
        // It isn't read where there is nothing to replace, as `logferry check` then says.
        let rule = env.given(&Self::SCRUBBING_RULE) || env.given(&Self::DD_SCRUBBING_RULE);
        let (replacement, given) =
            if rule { Self::replacement(env) } else { (String::new(), Self::SCRUBBING_RULE_REPLACEMENT.row()) };
        let rules = [
            (ip == Some(true)).then(|| (Rule::ip(), Self::REDACT_IP.row())),
            (email == Some(true)).then(|| (Rule::email(), Self::REDACT_EMAIL.row())),
            pattern.map(|pattern| (Rule::new(pattern, &replacement), given)),
        ];
        let good = |(rule, row): (Result<Rule, String>, Row)| rule.map_err(|what| env.mistake(row.name, what)).ok();
        Self::new(rules.into_iter().flatten().filter_map(good).collect())
    }

    /// What stands where a rule of one's own has matched, and the setting that says so.
    fn replacement(env: &mut Env<'_>) -> (String, Row) {
        let replacement =
            either(&Self::SCRUBBING_RULE_REPLACEMENT, &Self::DD_SCRUBBING_RULE_REPLACEMENT, env).unwrap_or_default();
        let theirs = env.given(&Self::DD_SCRUBBING_RULE_REPLACEMENT) && !env.given(&Self::SCRUBBING_RULE_REPLACEMENT);
        let given = if theirs { &Self::DD_SCRUBBING_RULE_REPLACEMENT } else { &Self::SCRUBBING_RULE_REPLACEMENT };
        (if replacement == NOTHING { String::new() } else { replacement }, given.row())
    }

    /// Takes the rules; nothing if there is none.
    pub fn new(rules: Vec<Rule>) -> Option<Self> {
        (!rules.is_empty()).then_some(Self { rules })
    }

    /// The message without what the rules match, as it stands in JSON; nothing if they match nothing.
    /// The runtime has put `prefix` bytes before what was logged.
    pub(super) fn scrub(&self, message: JsonStr<'_>, prefix: usize) -> Option<String> {
        let json = message.escaped().get(prefix..).is_some_and(holds_json);
        let text = message.unescape();
        let left = self.rules.iter().fold(None, |left: Option<String>, rule| {
            let replaced = rule.replace(left.as_deref().unwrap_or(&text), json);
            replaced.or(left)
        })?;
        Some(JsonStr::escape(&left, &mut Vec::new()).escaped().to_owned())
    }
}

/// Whether what was logged is a document of JSON or a list of such, or ends in one, as Python's warnings do.
fn holds_json(logged: &str) -> bool {
    logged.starts_with('{') || logged.starts_with("[{") || logged.starts_with(r#"[\""#) || logged.contains(r"\r{")
}

impl Rule {
    /// What stands there instead unless something else is asked for.
    pub const REPLACEMENT: &'static str = "xxxxx";

    /// A rule of the settings. In the replacement `\1` and `\g<name>` are groups of the pattern,
    /// `\\` is a backslash, and everything else is itself.
    ///
    /// # Errors
    ///
    /// Says which group the pattern doesn't have.
    pub fn new(pattern: Regex, replacement: &str) -> Result<Self, String> {
        let mut rule = Self { pattern, replacement: Vec::new() };
        let mut rest = replacement;
        while let Some((before, behind)) = rest.split_once('\\') {
            rule.add(before);
            rest = behind;
            if let Some(behind) = rest.strip_prefix('\\') {
                rule.add("\\");
                rest = behind;
            } else if let Some((name, behind)) = group(rest) {
                rule.replacement.push(Part::Group(rule.number(name)?));
                rest = behind;
            } else {
                rule.add("\\");
            }
        }
        rule.add(rest);
        Ok(rule)
    }

    /// IPv4 addresses, as the Datadog Forwarder knows them.
    ///
    /// # Errors
    ///
    /// Never.
    pub fn ip() -> Result<Self, String> {
        Self::new(read::pattern(r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}")?, "xxx.xxx.xxx.xxx")
    }

    /// Addresses of e-mail, as the Datadog Forwarder knows them.
    ///
    /// # Errors
    ///
    /// Never.
    pub fn email() -> Result<Self, String> {
        Self::new(read::pattern(r"[a-zA-Z0-9_.+-]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9-.]+")?, "xxxxx@xxxxx.com")
    }

    /// Adds text to the replacement.
    fn add(&mut self, text: &str) {
        if !text.is_empty() {
            self.replacement.push(Part::Text(text.to_owned()));
        }
    }

    /// The number of a group.
    fn number(&self, name: &str) -> Result<usize, String> {
        let number = name.parse().ok().filter(|number| *number < self.pattern.captures_len());
        let named = || self.pattern.capture_names().position(|known| known == Some(name));
        number.or_else(named).ok_or_else(|| format!("asks for the group `{name}`, which the rule does not have"))
    }

    /// A text without what the rule matches; nothing if it matches nothing.
    fn replace(&self, text: &str, json: bool) -> Option<String> {
        let mut whole = Whole::new(text, json);
        let mut left = String::new();
        let mut end = 0;
        for found in self.pattern.find_iter(text.as_bytes()).filter(|found| !found.is_empty()) {
            let range = whole.around(found.start()).start.max(end)..whole.around(found.end()).end;
            if range.is_empty() {
                continue;
            }
            left.push_str(text.get(end..range.start).unwrap_or_default());
            self.write(text, found.start(), &mut left);
            end = range.end;
        }
        left.push_str(text.get(end..).unwrap_or_default());
        (end > 0).then_some(left)
    }

    /// Writes what stands there instead of a match.
    fn write(&self, text: &str, start: usize, out: &mut String) {
        let mut groups = None;
        for part in &self.replacement {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Group(number) => {
                    let groups = groups.get_or_insert_with(|| self.pattern.captures_at(text.as_bytes(), start));
                    let group = groups.as_ref().and_then(|groups| groups.get(*number));
                    // One that would tear a character apart is left out.
                    out.push_str(group.and_then(|group| text.get(group.range())).unwrap_or_default());
                }
            }
        }
    }
}

/// A value that may stand under either name, but not another under each.
fn either<T: PartialEq>(setting: &Setting<T>, same: &Setting<T>, env: &mut Env<'_>) -> Option<T> {
    let (ours, theirs) = (env.read(setting), env.read(same));
    if !env.given(setting) {
        return theirs.or(ours);
    }
    if ours.is_some() && theirs.is_some() && ours != theirs {
        let what = format!("is another value than {}: leave one of them out", setting.row().name);
        env.mistake(same.row().name, what);
    }
    ours
}

/// The name of a group at the front of what is behind a backslash, and what is behind it.
fn group(text: &str) -> Option<(&str, &str)> {
    if let Some(named) = text.strip_prefix("g<") {
        return named.split_once('>');
    }
    let digits = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    text.split_at_checked(digits).filter(|(digits, _)| !digits.is_empty())
}

/// What can't be torn apart: characters, and in JSON escapes such as `\n`.
///
/// Patterns know bytes, and would take `nbob@example.com` for an address where a text has a
/// newline before it. What is asked for has to be in order.
struct Whole<'t> {
    text: &'t str,
    /// The escape at or behind what was asked for.
    escape: Range<usize>,
}

impl<'t> Whole<'t> {
    fn new(text: &'t str, json: bool) -> Self {
        Self { text, escape: if json { escape(text, 0) } else { text.len()..text.len() } }
    }

    /// What a place is inside of; empty if it is inside of nothing.
    fn around(&mut self, at: usize) -> Range<usize> {
        while self.escape.end <= at && !self.escape.is_empty() {
            self.escape = escape(self.text, self.escape.end);
        }
        if self.escape.start < at && at < self.escape.end {
            return self.escape.clone();
        }
        self.text.floor_char_boundary(at)..self.text.ceil_char_boundary(at)
    }
}

/// The next escape in a JSON document; empty, and at the end, if there is none.
fn escape(text: &str, from: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let Some(at) = bytes.get(from..).and_then(|rest| memchr(b'\\', rest)) else { return text.len()..text.len() };
    let start = from + at;
    let len = if bytes.get(start + 1) == Some(&b'u') { 6 } else { 2 };
    start..text.ceil_char_boundary(start + len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(pattern: &str, replacement: &str) -> Rule {
        Rule::new(read::pattern(pattern).unwrap(), replacement).unwrap()
    }

    /// With all three kinds of rules.
    fn all(pattern: &str, replacement: &str) -> Scrub {
        Scrub::new(vec![Rule::ip().unwrap(), Rule::email().unwrap(), rule(pattern, replacement)]).unwrap()
    }

    /// What is left of a text.
    fn left(scrub: &Scrub, text: &str) -> String {
        let mut buffer = Vec::new();
        let message = JsonStr::escape(text, &mut buffer);
        scrub.scrub(message, 0).map_or_else(|| text.to_owned(), |left| JsonStr::from_escaped(&left).unescape().into())
    }

    #[test]
    fn what_matches_is_replaced_and_nothing_else() {
        for (pattern, replacement, text, expected) in [
            ("hush", "*", "from 10.0.0.1:443 to 192.168.1.254.", "from xxx.xxx.xxx.xxx:443 to xxx.xxx.xxx.xxx."),
            ("hush", "*", "mail bob+x@ex-ample.co.uk\n", "mail xxxxx@xxxxx.com\n"),
            ("hush", "*", "\"hush\"\t\\ hush \u{1}é😀hush", "\"*\"\t\\ * \u{1}é😀*"),
            ("hush", "", "ahushb", "ab"),
            ("hush", "$0 $1 ${x}", "hush", "$0 $1 ${x}"),
            ("hush", r#"a"b\q\\1"#, "hush", r#"a"b\q\1"#),
            ("h(us)h", r"<\1\g<0>\g<1>>", "hush", "<ushushus>"),
            ("(?P<key>pin=)[0-9]+|x", r"\g<key>*", "pin=1234 x", "pin=* *"),
            ("a*", "*", "baab", "b*b"),
            ("^x|y$", "*", "xx\nyy", "*x\ny*"),
            // One's own rule comes last, and looks at what the others have put there.
            (r"ip=[x.]+ user=\S+", "*", "ip=10.0.0.1 user=bob", "*"),
            ("bob", "*", "bob@example.com bob", "xxxxx@xxxxx.com *"),
            (r"(from \S+) pw=\S+", r"\1 pw=*", "from 10.0.0.1 pw=hush", "from xxx.xxx.xxx.xxx pw=*"),
            ("hush", "*", "bob@10.0.0.1", "xxxxx@xxxxx.com"),
            ("hush", "*", "10.0.0.1@example.com", "xxxxx@xxxxx.com"),
            // Characters are never torn.
            ("[^a]b", "*", "éb", "*"),
            (".", "*", "aé😀", "***"),
            (r"(.)(.)", r"\1", "é", ""),
            // Nor are the escapes of a JSON document.
            ("hush", "*", r#"{"m":"to\nbob@example.com"}"#, r#"{"m":"toxxxxx@xxxxx.com"}"#),
            ("hush", "*", r#"{"m":"\u003cbob@example.com\u003e"}"#, r#"{"m":"xxxxx@xxxxx.com\u003e"}"#),
            ("hush", "*", r#"{"m":"\u00e910.0.0.1"}"#, r#"{"m":"xxx.xxx.xxx.xxx"}"#),
            ("hush", "*", r#"{"m":"\\nbob@example.com"}"#, r#"{"m":"\\xxxxx@xxxxx.com"}"#),
            (r"n(\S)", r"\1", r#"{"m":"a\nb"}"#, r#"{"m":"ab"}"#),
            ("hush", "*", r"C:\nbob@example.com", r"C:\xxxxx@xxxxx.com"),
            ("hush", "*", r#"[{"m":"to\nbob@example.com"}]"#, r#"[{"m":"toxxxxx@xxxxx.com"}]"#),
            ("hush", "*", r#"["to\nbob@example.com"]"#, r#"["toxxxxx@xxxxx.com"]"#),
            (
                "hush",
                "*",
                "LAMBDA_WARNING: Unhandled exception.\r{\"m\":\"to\\nbob@example.com\"}",
                "LAMBDA_WARNING: Unhandled exception.\r{\"m\":\"toxxxxx@xxxxx.com\"}",
            ),
            ("\\\\", "*", r"{\", "{*"),
            ("u", "*", r"{\u0", "{*"),
        ] {
            assert_eq!(left(&all(pattern, replacement), text), expected, "{pattern} {replacement} {text}");
        }
    }

    #[test]
    fn a_document_may_stand_behind_a_prefix() {
        let scrub = all("hush", "*");
        let message = JsonStr::from_escaped(r#"[INFO]\t{\"m\":\"to\\nbob@example.com\"}"#);
        let expected = r#"[INFO]\t{\"m\":\"toxxxxx@xxxxx.com\"}"#;
        assert_eq!(scrub.scrub(message, 8).as_deref(), Some(expected));
    }

    #[test]
    fn a_replacement_names_groups_that_are_there() {
        for (replacement, expected) in [(r"\2", "`2`"), (r"\g<x>", "`x`"), (r"\g<>", "``"), (r"\99", "`99`")] {
            let error = Rule::new(read::pattern("(?P<y>a)").unwrap(), replacement).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        for replacement in [r"\1", r"\01", r"\g<y>", r"\g<1>", r"\g<y", r"\", r"\\2", r"\d"] {
            assert!(Rule::new(read::pattern("(?P<y>a)").unwrap(), replacement).is_ok(), "{replacement}");
        }
    }

    /// What goes back for each match takes long.
    #[test]
    fn many_matches_are_gone_through_once() {
        let scrub = all(r"(\\)n|(q)", r"\2\1");
        for piece in [r"\n", "10.0.0.1 bob@x.org ", "q", "\n", r"\\\\", "é"] {
            let text = format!("{{{}", piece.repeat((1 << 18) / piece.len()));
            assert!(left(&scrub, &text).len() <= text.len() * 2, "{piece}");
        }
    }

    proptest! {
        #[test]
        fn without_a_match_nothing_is_changed(text in "([a-z{\"\\\\\n\té😀]|[0-9.]{1,6} |[a-z]@ ){0,60}") {
            let mut buffer = Vec::new();
            prop_assert_eq!(all("HUSH", "*").scrub(JsonStr::escape(&text, &mut buffer), 0), None);
        }

        #[test]
        fn what_is_between_matches_stays_to_the_byte(
            pieces in proptest::collection::vec("([a-z\"\\\\\n\té😀]|\u{1}){0,8}", 1..8),
            replacement in "[A-Z\"\\\\é]{0,3}",
        ) {
            let scrub = Scrub::new(vec![rule("HUSH", &replacement.replace('\\', r"\\"))]).unwrap();
            prop_assert_eq!(left(&scrub, &pieces.join("HUSH")), pieces.join(&replacement));
        }
    }
}
