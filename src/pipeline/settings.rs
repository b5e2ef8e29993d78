//! What the settings say of how telemetry is made.

use regex::bytes::Regex;

use super::{Filter, Hints, Prices, Scrub};
use crate::env::{Env, Row, Setting, read};

/// A setting that holds a regular expression.
pub(super) type Pattern = Setting<Regex>;

/// How telemetry is made of log events.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which logs are shipped.
    pub filter: Filter,
    /// What is taken out of their messages.
    pub scrub: Option<Scrub>,
    /// Whether Lambda's own lines are shipped as logs.
    pub platform_lines: Lines,
    /// Whether lines that carry only a metric are shipped as logs too.
    pub metric_lines: Lines,
    /// Whether EMF documents are shipped as logs beside their metrics.
    pub emf_lines: Lines,
    /// What invocations cost.
    pub prices: Prices,
    /// Failures that only the words of a program tell.
    pub hints: Hints,
    /// Whether measures of an invocation are tagged with its tenant.
    pub tenant_tag: bool,
    /// Tags added to everything.
    pub tags: Vec<(String, String)>,
    /// How much of a batch is remembered.
    pub bounds: Bounds,
}

impl Settings {
    /// Tags of everything.
    pub const TAGS: Setting<Vec<(String, String)>> =
        Setting::new("LOGFERRY_TAGS", tags, "Tags added to everything, as `key:value` pairs set apart by commas.");

    const PLATFORM_LINES: Setting<Lines> = Setting::new(
        "LOGFERRY_PLATFORM_LINES",
        lines,
        "Whether Lambda's own lines (START, END, REPORT, platform.*) are shipped as logs: keep or drop.",
    )
    .default("keep");
    const METRIC_LINES: Setting<Lines> = Setting::new(
        "LOGFERRY_METRIC_LINES",
        lines,
        "Whether lines that carry only a metric are shipped as logs too: keep or drop.",
    )
    .default("drop");
    const EMF_LINES: Setting<Lines> = Setting::new(
        "LOGFERRY_EMF_LINES",
        lines,
        "Whether EMF documents are shipped as logs beside their metrics: keep or drop.",
    )
    .default("keep");
    const TENANT_TAG: Setting<bool> = Setting::new(
        "LOGFERRY_TENANT_TAG",
        read::boolean,
        "Whether Lambda's own measures of an invocation have the tag tenant_id, of functions with tenant isolation that log JSON; each tenant makes series of its own.",
    )
    .default("false");

    /// The settings, for documents.
    pub fn rows() -> impl Iterator<Item = Row> {
        let lines = [Self::PLATFORM_LINES.row(), Self::METRIC_LINES.row(), Self::EMF_LINES.row()];
        let (tags, tenant_tag) = ([Self::TAGS.row()], [Self::TENANT_TAG.row()]);
        let of_messages = tags.into_iter().chain(Filter::ROWS).chain(Scrub::ROWS).chain(lines);
        of_messages.chain(Hints::ROWS).chain(tenant_tag).chain(Prices::ROWS)
    }

    /// Reads the settings; `None` after a mistake, which stays with `env`.
    pub fn from_env(env: &mut Env<'_>) -> Option<Self> {
        let tags = env.read(&Self::TAGS).unwrap_or_default();
        let (filter, scrub) = (Filter::from_env(env), Scrub::from_env(env));
        let (platform_lines, metric_lines) = (env.read(&Self::PLATFORM_LINES), env.read(&Self::METRIC_LINES));
        let emf_lines = env.read(&Self::EMF_LINES);
        let (hints, tenant_tag) = (Hints::from_env(env), env.read(&Self::TENANT_TAG));
        let (prices, bounds) = (Prices::from_env(env), Bounds::from_env(env));
        Some(Self {
            filter,
            scrub,
            platform_lines: platform_lines?,
            metric_lines: metric_lines?,
            emf_lines: emf_lines?,
            prices: prices?,
            hints: hints?,
            tenant_tag: tenant_tag?,
            tags,
            bounds: bounds?,
        })
    }
}

/// As the variables' defaults.
impl Default for Settings {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            scrub: None,
            platform_lines: Lines::Keep,
            metric_lines: Lines::Drop,
            emf_lines: Lines::Keep,
            prices: Prices::default(),
            hints: Hints::default(),
            tenant_tag: false,
            tags: Vec::new(),
            bounds: Bounds::default(),
        }
    }
}

/// What becomes of lines that were measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lines {
    /// They end here.
    Drop,
    /// They are logs.
    Keep,
}

/// How much of a batch is remembered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// Requests whose lines are joined at the same time.
    pub requests: usize,
    /// Distinct names of custom metrics.
    pub metric_names: usize,
    /// Tags of one custom metric.
    pub tags: usize,
}

impl Bounds {
    const REQUESTS: Setting<usize> = Setting::new(
        "LOGFERRY_MAX_REQUESTS",
        read::count,
        "Invocations of one batch whose lines are joined at the same time.",
    )
    .default("10000");
    const METRIC_NAMES: Setting<usize> = Setting::new(
        "LOGFERRY_MAX_METRIC_NAMES",
        read::count,
        "Distinct names of custom metrics in one batch; lines with further ones stay logs.",
    )
    .default("1000");
    const TAGS: Setting<usize> =
        Setting::new("LOGFERRY_MAX_TAGS", read::count, "Tags of one custom metric; further ones are left out.")
            .default("64");

    /// The settings, for documents.
    pub const ROWS: [Row; 3] = [Self::REQUESTS.row(), Self::METRIC_NAMES.row(), Self::TAGS.row()];

    fn from_env(env: &mut Env<'_>) -> Option<Self> {
        let (requests, metric_names, tags) =
            (env.read(&Self::REQUESTS), env.read(&Self::METRIC_NAMES), env.read(&Self::TAGS));
        Some(Self { requests: requests?, metric_names: metric_names?, tags: tags? })
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self { requests: 10_000, metric_names: 1_000, tags: 64 }
    }
}

/// A pattern that may stand under either name, but not another under each.
pub(super) fn pattern(setting: &Pattern, same: &Pattern, env: &mut Env<'_>) -> Option<Regex> {
    let (ours, theirs) = (env.read(setting), env.read(same));
    if let (Some(ours), Some(theirs)) = (&ours, &theirs)
        && ours.as_str() != theirs.as_str()
    {
        let what = format!("is another pattern than {}: leave one of them out", setting.row().name);
        env.mistake(same.row().name, what);
    }
    ours.or(theirs)
}

/// Tags as `key:value`; `key=value`, as elsewhere, would be a key without a value.
fn tags(value: &str) -> Result<Vec<(String, String)>, String> {
    let tags = read::tags(value)?;
    let other = tags.iter().find(|(key, value)| value.is_empty() && key.contains('='));
    other.map_or(Ok(()), |(key, _)| Err(format!("has the tag `{key}`: expected `key:value,key:value`")))?;
    Ok(tags)
}

fn lines(value: &str) -> Result<Lines, String> {
    match value {
        "drop" => Ok(Lines::Drop),
        "keep" => Ok(Lines::Keep),
        _ => Err("is neither `keep` nor `drop`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_a_colon() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            tags("env:prod, team , url:a=b"),
            Ok(vec![pair("env", "prod"), pair("team", ""), pair("url", "a=b")])
        );
        let expected = "has the tag `env=prod`: expected `key:value,key:value`".to_owned();
        assert_eq!(tags("team:a,env=prod"), Err(expected));
    }
}
