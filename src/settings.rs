//! Everything that can be set, read at once.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::aws::{self, Client, Credentials, Places, Signer};
use crate::backend::Backend;
use crate::delivery::{Http, HttpSettings};
use crate::env::{Elsewhere, Env, Mistake, Row, Secret, Setting, read};
use crate::event::{Limits, TransformResult};
use crate::forwarder::{Forwarder, Sending};
use crate::pipeline::{self, Architecture, Bounds, Filter, Hints, Lines, Pipeline, Prices, Rule, Scrub};
use crate::request::Certificates;
use crate::store::{Place, Store};

/// A setting that holds a regular expression.
type Pattern = Setting<regex::bytes::Regex>;

const TAGS: Setting<Vec<(String, String)>> =
    Setting::new("LOGFERRY_TAGS", read::tags, "Tags added to everything, as `key:value` pairs set apart by commas.");
const INCLUDE: Pattern =
    Setting::new("LOGFERRY_INCLUDE", read::pattern, "Ship only logs whose message matches this regular expression.");
const EXCLUDE: Pattern =
    Setting::new("LOGFERRY_EXCLUDE", read::pattern, "Do not ship logs whose message matches this regular expression.");
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
const REDACT_IP: Setting<bool> =
    Setting::new("LOGFERRY_REDACT_IP", read::boolean, "Whether IPv4 addresses in messages become `xxx.xxx.xxx.xxx`.")
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
/// As which a replacement is given that is empty: a variable that is empty isn't set.
const NOTHING: &str = "''";
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
const OOM_SIGNATURES: Setting<bool> = Setting::new(
    "LOGFERRY_OOM_SIGNATURES",
    read::boolean,
    "Whether a runtime's own words about lack of memory count as out_of_memory; they may be about an error that was handled.",
)
.default("false");
const HANDLER_ERRORS: Setting<bool> = Setting::new(
    "LOGFERRY_HANDLER_ERRORS",
    read::boolean,
    "Whether exceptions that Node.js and Python report in the log count as errors; other languages' are not seen.",
)
.default("false");
const TENANT_TAG: Setting<bool> = Setting::new(
    "LOGFERRY_TENANT_TAG",
    read::boolean,
    "Whether Lambda's own measures of an invocation have the tag tenant_id, of functions with tenant isolation that log JSON; each tenant makes series of its own.",
)
.default("false");
const ARCHITECTURE: Setting<Architectures> = Setting::new(
    "LOGFERRY_PRICE_ARCHITECTURE",
    architectures,
    "Architecture that costs are estimated for, x86_64 or arm64, and exceptions by function, as `x86_64,checkout:arm64`.",
)
.default("x86_64");
const PRICE_GB_SECOND: Setting<f64> = Setting::new(
    "LOGFERRY_PRICE_GB_SECOND",
    price,
    "US dollars for a GB-second; the list price of the first tier in us-east-1 when empty.",
);
const PRICE_REQUEST: Setting<f64> =
    Setting::new("LOGFERRY_PRICE_REQUEST", price, "US dollars for a request; the list price when empty.");
const MAX_INFLATED_BYTES: Setting<u64> =
    Setting::new("LOGFERRY_MAX_INFLATED_BYTES", read::bytes, "Bytes that one payload may inflate to.").default("1GiB");
const MAX_EVENT_BYTES: Setting<u64> =
    Setting::new("LOGFERRY_MAX_EVENT_BYTES", read::bytes, "Bytes of one log event, as JSON.").default("8MiB");
const MAX_REQUESTS: Setting<usize> = Setting::new(
    "LOGFERRY_MAX_REQUESTS",
    read::count,
    "Invocations of one batch whose lines are joined at the same time.",
)
.default("10000");
const MAX_METRIC_NAMES: Setting<usize> = Setting::new(
    "LOGFERRY_MAX_METRIC_NAMES",
    read::count,
    "Distinct names of custom metrics in one batch; lines with further ones stay logs.",
)
.default("1000");
const MAX_TAGS: Setting<usize> =
    Setting::new("LOGFERRY_MAX_TAGS", read::count, "Tags of one custom metric; further ones are left out.")
        .default("64");
const CONCURRENCY: Setting<usize> =
    Setting::new("LOGFERRY_CONCURRENCY", read::count, "Requests of one backend that are on their way at once.")
        .default("4");
const TIMEOUT: Setting<Duration> =
    Setting::new("LOGFERRY_SEND_TIMEOUT", read::duration, "How long one attempt to send may take.").default("10s");
const RESERVE: Setting<Duration> =
    Setting::new("LOGFERRY_RESERVE", read::duration, "What is kept of the function's timeout: nothing is sent in it.")
        .default("1s");

const FIREHOSE: Setting<TransformResult> = Setting::new(
    "LOGFERRY_FIREHOSE_RESULT",
    firehose,
    "What Firehose does with records that were forwarded: ok delivers them where the stream leads, dropped does not.",
)
.default("ok");
const REDRIVE_MAX: Setting<usize> =
    Setting::new("LOGFERRY_REDRIVE_MAX", read::count, "Stored requests that one invocation sends again at most.")
        .default("1000");
const REDRIVE_TRIES: Setting<usize> = Setting::new(
    "LOGFERRY_REDRIVE_TRIES",
    read::count,
    "How often a stored request may be refused before it is set aside.",
)
.default("5");

const OWN_METRICS: Setting<bool> = Setting::new(
    "LOGFERRY_OWN_METRICS",
    read::boolean,
    "Whether the summary of each invocation is metrics of CloudWatch, too: namespace `logferry`, no API call.",
)
.default("true");

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How telemetry is made.
    pub pipeline: pipeline::Settings,
    /// Where it is sent.
    pub backends: Vec<Backend>,
    /// How much a payload may make us hold.
    pub limits: Limits,
    /// How requests are sent.
    pub sending: Sending,
    /// Where requests are kept that couldn't be sent, and the bucket beside a queue.
    pub store: (Option<Place>, Option<Place>),
}

/// What the settings come to: a forwarder, unless secrets have to be fetched first.
#[derive(Debug)]
pub struct Prepared {
    /// Everything wired; `None` while secrets are missing that are kept elsewhere.
    pub forwarder: Option<Forwarder<Http>>,
    /// Secrets that are kept elsewhere, fetched or not.
    pub elsewhere: Vec<Elsewhere>,
    /// What fetches them.
    pub client: Client,
}

impl Settings {
    /// Reads everything. `default_backend` holds when no backend is named; `clock`
    /// gives signatures their time; `fetched` are the secrets of which the environment
    /// holds only the place, by the name of the variable that would hold them.
    ///
    /// # Errors
    ///
    /// All mistakes at once.
    pub fn prepare(
        lookup: &dyn Fn(&str) -> Option<String>,
        default_backend: Option<&str>,
        clock: fn() -> SystemTime,
        fetched: BTreeMap<String, Secret>,
    ) -> Result<Prepared, Vec<Mistake>> {
        let mut env = Env::new(lookup).with(fetched);
        let settings = Self::from_env(&mut env, default_backend);
        let http = HttpSettings::from_env(&mut env);
        let signer = Signer::new(Credentials::from_env(&mut env), clock);
        let certificates = settings.as_ref().map_or_else(Vec::new, Self::certificates);
        let http = Http::new(&http, &certificates, signer.clone(), &mut env);
        let places = Places::from_env(&mut env);
        let elsewhere = env.elsewhere().to_vec();
        let waits = elsewhere.iter().any(|elsewhere| !env.has(&elsewhere.name));
        let mistakes = env.into_mistakes();
        let Some(http) = http.filter(|_| mistakes.is_empty()) else { return Err(mistakes) };
        let client = Client::new(http.client().clone(), signer, places);
        let forwarder = settings.filter(|_| !waits).map(|settings| settings.forwarder(http, &client));
        Ok(Prepared { forwarder, elsewhere, client })
    }

    /// Reads everything, and fetches secrets that are kept elsewhere.
    ///
    /// # Errors
    ///
    /// All mistakes at once; only when there are none are secrets fetched, and those that can't be are the mistakes.
    pub async fn ready(
        lookup: &dyn Fn(&str) -> Option<String>,
        default_backend: Option<&str>,
        clock: fn() -> SystemTime,
    ) -> Result<Forwarder<Http>, Vec<Mistake>> {
        let prepared = Self::prepare(lookup, default_backend, clock, BTreeMap::new())?;
        if let Some(forwarder) = prepared.forwarder {
            return Ok(forwarder);
        }
        let name = lookup("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
        let fetched = aws::fetch(&prepared.client, &prepared.elsewhere, &name).await?;
        Self::prepare(lookup, default_backend, clock, fetched)?.forwarder.ok_or_else(Vec::new)
    }

    /// Reads everything; `None` when something that has to be there isn't. Mistakes stay with `env`.
    pub fn from_env(env: &mut Env<'_>, default_backend: Option<&str>) -> Option<Self> {
        let backends = Backend::from_env(env, default_backend);
        let pipeline = pipeline_settings(env);
        let (inflated, event) = (env.read(&MAX_INFLATED_BYTES), env.read(&MAX_EVENT_BYTES));
        let (concurrency, attempt, reserve) = (env.read(&CONCURRENCY), env.read(&TIMEOUT), env.read(&RESERVE));
        let (firehose, redrive_max, tries) = (env.read(&FIREHOSE), env.read(&REDRIVE_MAX), env.read(&REDRIVE_TRIES));
        let own_metrics = env.read(&OWN_METRICS);
        let store = Place::from_env(env);
        let pipeline = pipeline?;
        check_tags(&pipeline.tags, &backends, env);
        Some(Self {
            pipeline,
            backends,
            limits: Limits { inflated_bytes: inflated?, event_bytes: usize::try_from(event?).unwrap_or(usize::MAX) },
            sending: Sending {
                concurrency: concurrency?,
                attempt: attempt?,
                reserve: reserve?,
                learnt: Duration::ZERO,
                firehose: firehose?,
                redrive_max: redrive_max?,
                redrive_tries: u32::try_from(tries?).unwrap_or(u32::MAX),
                own_metrics: own_metrics?,
            },
            store,
        })
    }

    /// What TLS needs for single backends.
    fn certificates(&self) -> Vec<Certificates> {
        self.backends.iter().flat_map(Backend::certificates).cloned().collect()
    }

    /// Wires everything; `client` calls AWS.
    pub fn forwarder<T>(self, transport: T, client: &Client) -> Forwarder<T> {
        let (place, bucket) = self.store;
        Forwarder {
            store: place.map(|place| Store::new(place, bucket, client)),
            pipeline: Pipeline::new(self.pipeline),
            backends: self.backends,
            transport,
            limits: self.limits,
            sending: self.sending,
        }
    }

    /// All settings, by the component that they belong to: for the README and the template.
    pub fn rows() -> Vec<(&'static str, Vec<Row>)> {
        let mut rows = Backend::rows();
        let own = [
            TAGS.row(),
            INCLUDE.row(),
            EXCLUDE.row(),
            INCLUDE_AT_MATCH.row(),
            EXCLUDE_AT_MATCH.row(),
            REDACT_IP.row(),
            REDACT_EMAIL.row(),
            SCRUBBING_RULE.row(),
            SCRUBBING_RULE_REPLACEMENT.row(),
            THEIR_REDACT_IP.row(),
            THEIR_REDACT_EMAIL.row(),
            DD_SCRUBBING_RULE.row(),
            DD_SCRUBBING_RULE_REPLACEMENT.row(),
            PLATFORM_LINES.row(),
            METRIC_LINES.row(),
            EMF_LINES.row(),
            OOM_SIGNATURES.row(),
            HANDLER_ERRORS.row(),
            TENANT_TAG.row(),
            ARCHITECTURE.row(),
            PRICE_GB_SECOND.row(),
            PRICE_REQUEST.row(),
            CONCURRENCY.row(),
            TIMEOUT.row(),
            RESERVE.row(),
            FIREHOSE.row(),
            REDRIVE_MAX.row(),
            REDRIVE_TRIES.row(),
            OWN_METRICS.row(),
            MAX_INFLATED_BYTES.row(),
            MAX_EVENT_BYTES.row(),
            MAX_REQUESTS.row(),
            MAX_METRIC_NAMES.row(),
            MAX_TAGS.row(),
        ];
        if let Some((_, general)) = rows.first_mut() {
            general.extend(own);
            general.extend(Place::ROWS);
            general.extend(HttpSettings::ROWS);
        }
        rows
    }
}

fn pipeline_settings(env: &mut Env<'_>) -> Option<pipeline::Settings> {
    let tags = env.read(&TAGS).unwrap_or_default();
    let (include, exclude) = (pattern(&INCLUDE, &INCLUDE_AT_MATCH, env), pattern(&EXCLUDE, &EXCLUDE_AT_MATCH, env));
    let scrub = scrub(env);
    let (platform_lines, metric_lines) = (env.read(&PLATFORM_LINES), env.read(&METRIC_LINES));
    let emf_lines = env.read(&EMF_LINES);
    let (out_of_memory, handler_errors) = (env.read(&OOM_SIGNATURES), env.read(&HANDLER_ERRORS));
    let (tenant_tag, architectures) = (env.read(&TENANT_TAG), env.read(&ARCHITECTURE));
    let (gb_second, request) = (env.read(&PRICE_GB_SECOND), env.read(&PRICE_REQUEST));
    let (requests, metric_names, tags_bound) =
        (env.read(&MAX_REQUESTS), env.read(&MAX_METRIC_NAMES), env.read(&MAX_TAGS));
    Some(pipeline::Settings {
        filter: Filter { include, exclude },
        scrub,
        platform_lines: platform_lines?,
        metric_lines: metric_lines?,
        emf_lines: emf_lines?,
        prices: prices(architectures?, gb_second, request),
        hints: Hints { out_of_memory: out_of_memory?, handler_errors: handler_errors? },
        tenant_tag: tenant_tag?,
        tags,
        bounds: Bounds { requests: requests?, metric_names: metric_names?, tags: tags_bound? },
    })
}

/// Takes it down as a mistake if a backend can't tell two tags apart.
fn check_tags(tags: &[(String, String)], backends: &[Backend], env: &mut Env<'_>) {
    let clashes = backends.iter().filter_map(|backend| Some((backend.clash(tags)?, backend.name())));
    for (((key, value), (other, another), name), backend) in clashes {
        let what = format!(
            "has `{key}:{value}` and `{other}:{another}`, which are both `{name}` for {backend}: leave one of them out"
        );
        env.mistake(TAGS.row().name, what);
    }
}

/// A pattern that may stand under either name, but not another under each.
fn pattern(setting: &Pattern, same: &Pattern, env: &mut Env<'_>) -> Option<regex::bytes::Regex> {
    let (ours, theirs) = (env.read(setting), env.read(same));
    if let (Some(ours), Some(theirs)) = (&ours, &theirs)
        && ours.as_str() != theirs.as_str()
    {
        let what = format!("is another pattern than {}: leave one of them out", setting.row().name);
        env.mistake(same.row().name, what);
    }
    ours.or(theirs)
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

/// What stands where a rule of one's own has matched, and the setting that says so.
fn replacement(env: &mut Env<'_>) -> (String, Row) {
    let replacement = either(&SCRUBBING_RULE_REPLACEMENT, &DD_SCRUBBING_RULE_REPLACEMENT, env).unwrap_or_default();
    let theirs = env.given(&DD_SCRUBBING_RULE_REPLACEMENT) && !env.given(&SCRUBBING_RULE_REPLACEMENT);
    let given = if theirs { &DD_SCRUBBING_RULE_REPLACEMENT } else { &SCRUBBING_RULE_REPLACEMENT };
    (if replacement == NOTHING { String::new() } else { replacement }, given.row())
}

/// What is taken out of messages, in the Datadog Forwarder's order.
fn scrub(env: &mut Env<'_>) -> Option<Scrub> {
    let (ip, email) = (either(&REDACT_IP, &THEIR_REDACT_IP, env), either(&REDACT_EMAIL, &THEIR_REDACT_EMAIL, env));
    let pattern = pattern(&SCRUBBING_RULE, &DD_SCRUBBING_RULE, env);
    // It isn't read where there is nothing to replace, as `logferry check` then says.
    let rule = env.given(&SCRUBBING_RULE) || env.given(&DD_SCRUBBING_RULE);
    let (replacement, given) = if rule { replacement(env) } else { (String::new(), SCRUBBING_RULE_REPLACEMENT.row()) };
    let rules = [
        (ip == Some(true)).then(|| (Rule::ip(), REDACT_IP.row())),
        (email == Some(true)).then(|| (Rule::email(), REDACT_EMAIL.row())),
        pattern.map(|pattern| (Rule::new(pattern, &replacement), given)),
    ];
    let good = |(rule, row): (Result<Rule, String>, Row)| rule.map_err(|what| env.mistake(row.name, what)).ok();
    Scrub::new(rules.into_iter().flatten().filter_map(good).collect())
}

fn lines(value: &str) -> Result<Lines, String> {
    match value {
        "drop" => Ok(Lines::Drop),
        "keep" => Ok(Lines::Keep),
        _ => Err("is neither `keep` nor `drop`".to_owned()),
    }
}

/// The architecture of most functions, and those of others.
type Architectures = (Architecture, Vec<(String, Architecture)>);

fn prices((architecture, exceptions): Architectures, gb_second: Option<f64>, request: Option<f64>) -> Prices {
    Prices { architecture, exceptions, gb_second, request }
}

fn architectures(value: &str) -> Result<Architectures, String> {
    let mut all = Architecture::default();
    let mut exceptions = Vec::new();
    for item in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (function, name) = item.split_once(':').map_or((None, item), |(function, name)| (Some(function), name));
        let architecture = Architecture::parse(name).ok_or_else(|| {
            format!("names `{name}`, which is no architecture: expected `x86_64` or `arm64`, and exceptions as `checkout:arm64`")
        })?;
        match function {
            None => all = architecture,
            Some(function) => exceptions.push((function.to_owned(), architecture)),
        }
    }
    Ok((all, exceptions))
}

fn firehose(value: &str) -> Result<TransformResult, String> {
    match value {
        "dropped" => Ok(TransformResult::Dropped),
        "ok" => Ok(TransformResult::Ok),
        _ => Err("is neither `ok` nor `dropped`".to_owned()),
    }
}

fn price(value: &str) -> Result<f64, String> {
    let price: Option<f64> = value.parse().ok().filter(|price| (0.0..1.0).contains(price));
    price.ok_or_else(|| "is not a price: expected US dollars, as `0.0000166667`".to_owned())
}
