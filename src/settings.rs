//! Everything that can be set, read at once.

use std::collections::BTreeMap;
use std::future::pending;
use std::time::SystemTime;

use crate::aws::{self, Client, Credentials, Places, Signer};
use crate::backend::Backend;
use crate::delivery::{Http, HttpSettings};
use crate::env::{Elsewhere, Env, Mistake, Row, Secret};
use crate::event::Limits;
use crate::forwarder::{Forwarder, Sending};
use crate::pipeline::{self, Bounds, Pipeline};
use crate::request::Certificates;
use crate::store::{Place, Store};

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
        let (fetched, mistakes) = aws::fetch(&prepared.client, &prepared.elsewhere, &name, pending()).await;
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Self::prepare(lookup, default_backend, clock, fetched)?.forwarder.ok_or_else(Vec::new)
    }

    /// Reads everything; `None` when something that has to be there isn't. Mistakes stay with `env`.
    pub fn from_env(env: &mut Env<'_>, default_backend: Option<&str>) -> Option<Self> {
        let backends = Backend::from_env(env, default_backend);
        let pipeline = pipeline::Settings::from_env(env);
        let (limits, sending) = (Limits::from_env(env), Sending::from_env(env));
        let store = Place::from_env(env);
        let pipeline = pipeline?;
        check_tags(&pipeline.tags, &backends, env);
        Some(Self { pipeline, backends, limits: limits?, sending: sending?, store })
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
        if let Some((_, general)) = rows.first_mut() {
            general.extend(pipeline::Settings::rows());
            general.extend(Sending::ROWS);
            general.extend(Limits::ROWS);
            general.extend(Bounds::ROWS);
            general.extend(Place::ROWS);
            general.extend(HttpSettings::ROWS);
        }
        rows
    }
}

/// Names of variables that begin as ours do and that nothing reads, whatever the other settings: they are misspelt. A
/// backend's may have more behind them, set apart by `_`: the name of one (`LOGFERRY_PROMETHEUS_URL_EU`), or where a
/// secret is.
pub fn misspelt<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let suspects: Vec<_> = names.filter(|name| name.starts_with("LOGFERRY_")).collect();
    if suspects.is_empty() {
        return suspects;
    }
    let known = Settings::rows();
    let reads = |component: &str, row: &Row, name: &str| {
        let rest = name.strip_prefix(row.name);
        rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with('_') && (row.secret || !component.is_empty())))
    };
    let is_known =
        |name: &str| known.iter().any(|(component, rows)| rows.iter().any(|row| reads(component, row, name)));
    suspects.into_iter().filter(|name| !is_known(name)).collect()
}

/// Takes it down as a mistake if a backend can't tell two tags apart.
fn check_tags(tags: &[(String, String)], backends: &[Backend], env: &mut Env<'_>) {
    let clashes = backends.iter().filter_map(|backend| Some((backend.clash(tags)?, backend.name())));
    for (((key, value), (other, another), name), backend) in clashes {
        let what = format!(
            "has `{key}:{value}` and `{other}:{another}`, which are both `{name}` for {backend}: leave one of them out"
        );
        env.mistake(pipeline::Settings::TAGS.row().name, what);
    }
}
