//! Elasticsearch and OpenSearch: logs and metrics as ECS documents, by `_bulk`.
//!
//! ```text
//! {"create":{"_index":"logs-aws.lambda-default","_id":"4003…"}}
//! {"@timestamp":"2026-11-20T09:02:14.734Z","message":"…","log":{"level":"info"},
//!  "event":{"created":"2026-11-20T09:02:14.735Z","id":"4003…","dataset":"aws.lambda"},
//!  "faas":{"name":"checkout","version":"$LATEST","id":"arn:…","execution":"1ab9…"},"service":{"name":"checkout"},
//!  "cloud":{…},"aws":{"cloudwatch":{"log_group":"…","log_stream":"…"}},"labels":{…},"data_stream":{…},"ecs":{…}}
//! {"create":{"_index":"metrics-aws.lambda-default","_id":"4003…-0-9c5f…"}}
//! {"@timestamp":"…","aws":{"lambda":{"metrics":{"Invocations":{"avg":1.0},"Duration":{"avg":187.42}}},…},…}
//! {"@timestamp":"…","metrics":{"orders_placed":3.0},"labels":{"shop":"berlin"},…}
//! ```
//!
//! The time of a log is that of the application's own clock where the line has
//! it, and then `event.created` is that of the log event; else that of the log
//! event. A document of metrics holds what one event says with the same tags. Names
//! are those of Elastic's AWS integration where it has them. Custom metrics are
//! fields of `metrics`, their dots made underscores, as a name that is the
//! beginning of another could not be mapped. Numbers have a fraction, so that a
//! field is never mapped as whole numbers.
//!
//! # Many copies at once, and replays
//!
//! Each document is of one event, so copies of the forwarder never write the
//! same one. `create` with an id made from the event's is refused as a conflict
//! (409) when the document is there: a replay changes nothing, until the data
//! stream has begun another index. Collections of OpenSearch Serverless take no
//! ids: there a replay is there twice.
//!
//! Sources: <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>,
//! <https://www.elastic.co/docs/reference/ecs/ecs-field-reference>,
//! <https://docs.opensearch.org/latest/api-reference/document-apis/bulk/>,
//! <https://docs.aws.amazon.com/opensearch-service/latest/developerguide/serverless-clients.html>.

mod answer;
mod documents;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use documents::Documents;

use super::body::{Body, Limits, Oversize, Template};
use super::record::records;
use super::{Encode, Encoded, Signals, auth};
use crate::env::{Address, Env, Row, Secret, Setting, own_first, read};
use crate::model::{Log, Measure, Metric, Origin, Sink};
use crate::request::{Compression, Destination, Endpoint, Frame, Header, Request, Signing, Weight};

/// Elasticsearch takes 100 MB at once, small domains of Amazon's OpenSearch 10 MB; 5 MB is advised.
const LIMITS: Limits = Limits { bytes: 5_000_000, compressed: usize::MAX, items: 1000, item_bytes: 1_000_000 };

/// What is wanted of an answer.
const WANTED: &str = "filter_path=took,errors,items.*.status,items.*.error.type,items.*.error.reason";

/// Ships to Elasticsearch or OpenSearch.
#[derive(Clone, Debug, PartialEq)]
pub struct Elasticsearch {
    address: Address,
    authorization: Option<Header>,
    signing: Option<Signing>,
    logs_dataset: String,
    metrics_dataset: String,
    namespace: String,
}

/// Whether requests are signed with AWS credentials, and for which service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sign {
    /// If the host is Amazon's and nothing else says who sends.
    Auto,
    No,
    Service(&'static str),
}

/// One batch on its way to Elasticsearch.
pub struct Encoder<'b> {
    documents: Documents<'b>,
    body: Body,
    oversize: Weight,
}

/// The one intake there is.
const ROUTE: &str = "bulk";

impl Elasticsearch {
    const URL: Setting<Address> = Setting::new(
        "ELASTICSEARCH_URL",
        read::url,
        "Address of Elasticsearch or OpenSearch; what stands behind a `?` is kept.",
    )
    .address();
    const CLOUD_ID: Setting<Address> = Setting::new(
        "ELASTIC_CLOUD_ID",
        cloud_id,
        "Id of a deployment on Elastic Cloud, instead of ELASTICSEARCH_URL.",
    );
    const API_KEY: Setting<Secret> =
        Setting::new("ELASTICSEARCH_API_KEY", api_key, "API key, as Kibana shows it (base64).").secret();
    const ES_API_KEY: Setting<Secret> =
        Setting::new("ES_API_KEY", api_key, "The same as ELASTICSEARCH_API_KEY.").secret();
    const USERNAME: Setting<String> =
        Setting::new("ELASTICSEARCH_USERNAME", read::text, "User for basic authentication, instead of an API key.");
    const PASSWORD: Setting<Secret> =
        Setting::new("ELASTICSEARCH_PASSWORD", read::password, "Password for basic authentication.").secret();
    const SIGNING: Setting<Sign> = Setting::new(
        "LOGFERRY_ELASTICSEARCH_SIGNING",
        sign,
        "Whether requests are signed with AWS credentials: es (domains of Amazon OpenSearch Service), aoss (OpenSearch Serverless), none, or auto: as the host says, if there is no key and no user.",
    )
    .default("auto");
    const REGION: Setting<String> = Setting::new(
        "LOGFERRY_ELASTICSEARCH_REGION",
        read::region,
        "Region that requests are signed for; told by the host when empty.",
    );
    const LOGS_DATASET: Setting<String> = Setting::new(
        "LOGFERRY_ELASTICSEARCH_LOGS_DATASET",
        dataset,
        "Dataset of logs: the middle of their data stream's name.",
    )
    .default("aws.lambda");
    const METRICS_DATASET: Setting<String> = Setting::new(
        "LOGFERRY_ELASTICSEARCH_METRICS_DATASET",
        dataset,
        "Dataset of metrics; another one where Elastic's AWS integration has set up its own, which takes only its own fields.",
    )
    .default("aws.lambda");
    const NAMESPACE: Setting<String> =
        Setting::new("LOGFERRY_ELASTICSEARCH_NAMESPACE", dataset, "Namespace: the end of the data streams' names.")
            .default("default");

    /// What is sent.
    pub const SEND: Setting<Signals> = Setting::new(
        "LOGFERRY_ELASTICSEARCH_SEND",
        Signals::parse,
        "What Elasticsearch is sent: logs, metrics, or both.",
    )
    .default(Signals::BOTH);

    /// The settings, for documents.
    pub const ROWS: [Row; 12] = [
        Self::SEND.row(),
        Self::URL.row(),
        Self::CLOUD_ID.row(),
        Self::API_KEY.row(),
        Self::ES_API_KEY.row(),
        Self::USERNAME.row(),
        Self::PASSWORD.row(),
        Self::SIGNING.row(),
        Self::REGION.row(),
        Self::LOGS_DATASET.row(),
        Self::METRICS_DATASET.row(),
        Self::NAMESPACE.row(),
    ];

    /// Reads the settings.
    pub fn from_env(env: &mut Env<'_>) -> Option<Self> {
        let cloud = env.read(&Self::CLOUD_ID);
        let url = if env.given(&Self::CLOUD_ID) {
            env.read(&Self::URL)
        } else {
            env.require(&Self::URL, "the elasticsearch backend needs it, or ELASTIC_CLOUD_ID")
        };
        let (own_cloud, own_url) = (env.is_own(&Self::CLOUD_ID), env.is_own(&Self::URL));
        if env.given(&Self::CLOUD_ID) && env.given(&Self::URL) && own_cloud == own_url {
            let what = format!("is set beside {}: expected one or the other", env.name(&Self::URL));
            env.mistake(&env.name(&Self::CLOUD_ID), what);
        }
        let either = auth::Either {
            user: &Self::USERNAME,
            password: &Self::PASSWORD,
            scheme: "ApiKey",
            tokens: &[&Self::API_KEY, &Self::ES_API_KEY],
        };
        let authorization = either.read(env).ok();
        let (sign, region) = (env.read(&Self::SIGNING), env.read(&Self::REGION));
        let logs_dataset = env.read(&Self::LOGS_DATASET);
        let (metrics_dataset, namespace) = (env.read(&Self::METRICS_DATASET), env.read(&Self::NAMESPACE));
        let address = own_first(vec![(own_cloud, cloud), (own_url, url)])?;
        let signing = signing(sign?, region, &address.base, either.given(env), env);
        let (logs_dataset, metrics_dataset, namespace) = (logs_dataset?, metrics_dataset?, namespace?);
        Some(Self { address, authorization: authorization?, signing, logs_dataset, metrics_dataset, namespace })
    }

    /// Begins a batch.
    pub fn encoder(&self) -> Encoder<'_> {
        Encoder { documents: Documents::new(self), body: Body::new(self.template()), oversize: Weight::default() }
    }

    /// Whether both are sent the same bytes, if to different places.
    pub(super) fn encodes_like(&self, other: &Self) -> bool {
        let here = Self {
            address: other.address.clone(),
            authorization: other.authorization.clone(),
            signing: if self.takes_ids() == other.takes_ids() { other.signing.clone() } else { self.signing.clone() },
            ..self.clone()
        };
        here == *other
    }

    /// What requests of a route are like.
    pub(super) fn template_of(&self, route: &str) -> Option<Template> {
        (route == ROUTE).then(|| self.template())
    }

    fn template(&self) -> Template {
        let public = |value: &str| Header::Public(value.to_owned());
        let mut headers =
            vec![("Content-Type".into(), public("application/x-ndjson")), ("Content-Encoding".into(), public("gzip"))];
        headers.extend(self.authorization.clone().map(|header| ("Authorization".into(), header)));
        let endpoint =
            Endpoint { headers, signing: self.signing.clone(), ..Endpoint::from(bulk_address(&self.address)) };
        Template {
            destination: Destination::Http(endpoint),
            compression: Compression::Gzip(6),
            frame: Frame::text(b"", b"\n", b"\n"),
            limits: LIMITS,
            route: ROUTE,
            judge: answer::judge,
        }
    }

    /// Whether documents may have ids: those of a collection may not.
    fn takes_ids(&self) -> bool {
        self.signing.as_ref().is_none_or(|signing| signing.service != "aoss")
    }

    /// The field of a measure, and what its values are divided by.
    ///
    /// Source: the fields of Elastic's AWS integration,
    /// <https://www.elastic.co/docs/reference/integrations/aws/lambda>; it has `Duration`, `Errors`
    /// and `Invocations`, all as averages.
    pub const fn words(measure: Measure) -> (&'static str, f64) {
        match measure {
            Measure::Duration => ("aws.lambda.metrics.Duration.avg", 1.0),
            Measure::BilledDuration => ("aws.lambda.metrics.BilledDuration.avg", 1.0),
            Measure::InitDuration => ("aws.lambda.metrics.InitDuration.avg", 1.0),
            Measure::RestoreDuration => ("aws.lambda.metrics.RestoreDuration.avg", 1.0),
            Measure::BilledRestoreDuration => ("aws.lambda.metrics.BilledRestoreDuration.avg", 1.0),
            Measure::MemorySize => ("aws.lambda.metrics.MemorySize.avg", 1.0),
            Measure::MaxMemoryUsed => ("aws.lambda.metrics.MaxMemoryUsed.avg", 1.0),
            Measure::Invocations => ("aws.lambda.metrics.Invocations.avg", 1.0),
            Measure::Errors => ("aws.lambda.metrics.Errors.avg", 1.0),
            Measure::Timeouts => ("aws.lambda.metrics.Timeouts.sum", 1.0),
            Measure::OutOfMemory => ("aws.lambda.metrics.OutOfMemory.sum", 1.0),
            Measure::ColdStarts => ("aws.lambda.metrics.ColdStarts.sum", 1.0),
            Measure::RuntimeDuration => ("aws.lambda.metrics.RuntimeDuration.avg", 1.0),
            Measure::PostRuntimeDuration => ("aws.lambda.metrics.PostRuntimeDuration.avg", 1.0),
            Measure::ResponseLatency => ("aws.lambda.metrics.ResponseLatency.avg", 1.0),
            Measure::ResponseDuration => ("aws.lambda.metrics.ResponseDuration.avg", 1.0),
            Measure::ProducedBytes => ("aws.lambda.metrics.ProducedBytes.avg", 1.0),
            Measure::EstimatedCost => ("aws.lambda.metrics.EstimatedCost.sum", 1.0),
        }
    }
}

impl Encode for Encoder<'_> {
    fn has_ready(&self) -> bool {
        self.body.has_ready()
    }

    fn take_ready(&mut self) -> Vec<Request> {
        self.body.take_ready()
    }

    fn finish(self) -> Encoded {
        Encoded { requests: self.body.finish(), oversize: self.oversize, ..Encoded::default() }
    }
}

impl Sink for Encoder<'_> {
    fn log(&mut self, origin: &Origin, log: &Log<'_>) {
        let Self { documents, body, oversize } = self;
        if let Err(Oversize) = body.push(Weight::LOG, |out| documents.log(origin, log, out)) {
            *oversize += Weight::LOG;
        }
    }

    fn metrics(&mut self, origin: &Origin, metrics: &[Metric<'_>]) {
        let Self { documents, body, oversize } = self;
        for record in records(metrics, documents::field) {
            let weight = Weight::metrics(record.fields.len() as u64);
            if let Err(Oversize) = body.push(weight, |out| documents.metrics(origin, &record, out)) {
                *oversize += weight;
            }
        }
    }
}

/// The address of bulks: what the user has put behind a `?` may be a secret, our own part alone is none.
fn bulk_address(address: &Address) -> Address {
    let base = address.base.strip_suffix("/_bulk").unwrap_or(&address.base);
    match &address.query {
        None => Address::of(format!("{base}/_bulk?{WANTED}")),
        Some(query) => {
            Address { base: format!("{base}/_bulk"), query: Some(Secret::new(format!("{WANTED}&{}", query.expose()))) }
        }
    }
}

/// What requests are signed for; mistakes stay with `env`. `known` says whether anything else tells who sends.
fn signing(sign: Sign, region: Option<String>, url: &str, known: bool, env: &mut Env<'_>) -> Option<Signing> {
    let home = aws_host(url);
    let service = match sign {
        Sign::No => return None,
        Sign::Auto if known => return None,
        Sign::Auto => home.as_ref()?.0,
        Sign::Service(service) => service,
    };
    if known {
        let what = "asks for signatures beside a key or a user: expected one or the other".to_owned();
        env.mistake(&env.name(&Elasticsearch::SIGNING), what);
    }
    let region = region.or(home.map(|(_, region)| region));
    if region.is_none() && !env.given(&Elasticsearch::REGION) {
        let what = "is not set, and the host doesn't tell: expected a region, as `eu-west-1`".to_owned();
        env.mistake(&env.name(&Elasticsearch::REGION), what);
    }
    Some(Signing { service, region: region? })
}

/// Id and key in base64, which has no colon.
fn api_key(value: &str) -> Result<Secret, String> {
    if value.contains(':') {
        return Err(
            "is an id and a key: expected both in base64, as Kibana shows it under Base64 or `encoded`".to_owned()
        );
    }
    read::secret(value)
}

fn sign(value: &str) -> Result<Sign, String> {
    match value {
        "aoss" => Ok(Sign::Service("aoss")),
        "auto" => Ok(Sign::Auto),
        "es" => Ok(Sign::Service("es")),
        "none" => Ok(Sign::No),
        _ => Err("is none of `auto`, `es`, `aoss`, `none`".to_owned()),
    }
}

/// A part of a data stream's name.
fn dataset(value: &str) -> Result<String, String> {
    let illegal = |c: char| c.is_uppercase() || c.is_whitespace() || c.is_control() || "-\\/*?\"<>|,#:".contains(c);
    let named = value.contains(char::is_alphanumeric);
    if named && value.len() <= 100 && !value.contains(illegal) && !value.starts_with(['.', '_', '+']) {
        Ok(value.to_owned())
    } else {
        Err("can't be a part of a data stream's name: expected at most 100 bytes, with letters or digits, as `aws.lambda`, without capitals, blanks and `-`".to_owned())
    }
}

/// `name:base64(host$uuid of Elasticsearch$uuid of Kibana)`, where the host may have a port.
fn cloud_id(value: &str) -> Result<Address, String> {
    let address = || {
        let encoded = value.rsplit_once(':').map_or(value, |(_, encoded)| encoded);
        let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let mut parts = decoded.split('$');
        let (host, uuid) = (parts.next()?, parts.next().filter(|uuid| !uuid.is_empty())?);
        let (host, port) = host.split_once(':').unwrap_or((host, "443"));
        let (uuid, port) = uuid.split_once(':').unwrap_or((uuid, port));
        let port = if port == "443" { String::new() } else { format!(":{port}") };
        read::url(&format!("https://{uuid}.{host}{port}")).ok()
    };
    address().ok_or_else(|| "is not a cloud id: expected `name:…` as Elastic Cloud shows it".to_owned())
}

/// Service and region, as the hosts of Amazon's services tell them: `search-shop-x.eu-west-1.es.amazonaws.com` and
/// `x.aos.eu-west-1.on.aws`; of collections `x.eu-west-1.aoss.amazonaws.com` and `x.aoss.eu-west-1.on.aws`, each also
/// with `aoss-fips`.
///
/// Source: <https://docs.aws.amazon.com/opensearch-service/latest/developerguide/serverless-collection-endpoints.html>
fn aws_host(url: &str) -> Option<(&'static str, String)> {
    let host = url.split_once("://")?.1.split(['/', ':']).next()?;
    let labels: Vec<_> = host.split('.').collect();
    let at = |names: &[&str]| labels.iter().position(|label| names.contains(label));
    let on_aws = host.ends_with(".on.aws");
    if !on_aws && !host.ends_with(".amazonaws.com") && !host.ends_with(".amazonaws.com.cn") {
        return None;
    }
    let (service, place) = match at(&["aoss", "aoss-fips"]) {
        Some(place) => ("aoss", place),
        None => ("es", at(&[if on_aws { "aos" } else { "es" }])?),
    };
    let region = if on_aws { place + 1 } else { place.checked_sub(1)? };
    Some((service, read::region(labels.get(region)?).ok()?))
}

#[cfg(test)]
mod tests;
