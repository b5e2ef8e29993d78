//! Who wrote: what all items of a body share.
//!
//! Sources: the semantic conventions for
//! <https://opentelemetry.io/docs/specs/semconv/resource/faas/>,
//! <https://opentelemetry.io/docs/specs/semconv/resource/cloud/> and
//! <https://opentelemetry.io/docs/specs/semconv/resource/cloud-provider/aws/logs/>.

use super::writer::{Field, Format, Writer};
use crate::model::{Forwarder, Origin};
use crate::request::{Frame, Wrapper};

const ATTRIBUTES: Field = (1, "attributes");
const RESOURCE: Field = (1, "resource");
const SCOPE: Field = (1, "scope");

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Any<'a> {
    Boolean(bool),
    Integer(i64),
    /// A list of one text.
    List(&'a str),
    Text(&'a str),
}

/// A key and its value.
pub(super) type Attribute<'a> = (&'a str, Any<'a>);

/// Which signal a body carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Signal {
    Logs,
    Metrics,
}

/// What the settings say of every resource.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared {
    pub(super) service_name: Option<String>,
    pub(super) attributes: Vec<(String, String)>,
}

/// What a resource says of the origin.
#[derive(Clone, Copy, Debug)]
pub(super) enum Detail<'a> {
    /// Everything.
    Log,
    /// Everything that never changes while a function writes to a log stream.
    Stream,
    /// What all streams of a function share, and which forwarder counts: a
    /// receiver that makes labels of no more than service and instance then
    /// still has one writer for each series.
    Writer(&'a Forwarder),
}

/// Writes attributes.
pub(super) fn attributes(field: Field, attributes: &[Attribute<'_>], writer: &mut Writer<'_>) {
    writer.list(field, attributes, |(key, value), writer| key_value(key, *value, writer));
}

/// The first of each key: a receiver may refuse one that is there twice.
pub(super) fn distinct(mut attributes: Vec<Attribute<'_>>) -> Vec<Attribute<'_>> {
    let mut keys: Vec<&str> = Vec::with_capacity(attributes.len());
    attributes.retain(|(key, _)| {
        let fresh = !keys.contains(key);
        if fresh {
            keys.push(key);
        }
        fresh
    });
    attributes
}

fn key_value(key: &str, value: Any<'_>, writer: &mut Writer<'_>) {
    writer.text((1, "key"), key);
    writer.message((2, "value"), |writer| any(value, writer));
}

fn any(value: Any<'_>, writer: &mut Writer<'_>) {
    const TEXT: Field = (1, "stringValue");
    match value {
        Any::Boolean(value) => writer.boolean((2, "boolValue"), value),
        Any::Integer(value) => writer.int64((3, "intValue"), value),
        Any::List(value) => writer.message((5, "arrayValue"), |writer| {
            writer.list((1, "values"), &[value], |value, writer| writer.text(TEXT, value));
        }),
        Any::Text(value) => writer.text(TEXT, value),
    }
}

/// What stands around the items of an origin.
pub(super) fn frame(format: Format, signal: Signal, resource: &[u8]) -> Frame {
    let scope = |writer: &mut Writer<'_>| {
        writer.message(SCOPE, |writer| {
            writer.text((1, "name"), env!("CARGO_PKG_NAME"));
            writer.text((2, "version"), env!("CARGO_PKG_VERSION"));
        });
    };
    let resource = |writer: &mut Writer<'_>| writer.message(RESOURCE, |writer| writer.fields(resource));
    match format {
        Format::Protobuf => Frame::Protobuf(vec![
            Wrapper { field: 1, before: format.fields(resource) },
            Wrapper { field: 2, before: format.fields(scope) },
        ]),
        Format::Json => {
            let (resources, scopes, items) = match signal {
                Signal::Logs => ("resourceLogs", "scopeLogs", "logRecords"),
                Signal::Metrics => ("resourceMetrics", "scopeMetrics", "metrics"),
            };
            let mut open = format!("{{\"{resources}\":[{{").into_bytes();
            open.extend(format.fields(resource));
            open.extend_from_slice(format!(",\"{scopes}\":[{{").as_bytes());
            open.extend(format.fields(scope));
            open.extend_from_slice(format!(",\"{items}\":[").as_bytes());
            Frame::Text { open: open.into(), separator: b","[..].into(), close: b"]}]}]}".as_slice().into() }
        }
    }
}

/// The attributes of a resource, as they stand in it.
///
/// A name or an attribute of the settings comes before what the log says.
pub(super) fn resource(format: Format, shared: &Shared, origin: &Origin, detail: Detail<'_>) -> Vec<u8> {
    let function = origin.function.as_ref();
    let name = function.map(|function| function.name.as_str());
    let (arn, group_arn) = (origin.function_arn(), group_arn(origin));
    let named = [("service.name", shared.service_name.as_deref())];
    let chosen = shared.attributes.iter().chain(&origin.tags).map(|(key, value)| (key.as_str(), Some(value.as_str())));
    let told = [
        ("service.name", name.or(Some(&origin.log_group))),
        ("cloud.provider", Some("aws")),
        ("cloud.platform", function.map(|_| "aws_lambda")),
        ("cloud.region", origin.region.as_deref()),
        ("cloud.account.id", origin.account.as_deref()),
        ("cloud.resource_id", arn.as_deref()),
        ("faas.name", name),
        ("aws.log.group.names", Some(origin.log_group.as_str())),
        ("aws.log.group.arns", group_arn.as_deref()),
    ];
    let more: &[(&str, Option<&str>)] = match detail {
        Detail::Writer(forwarder) => {
            &[("service.instance.id", Some(forwarder.instance.as_str()).filter(|id| !id.is_empty()))]
        }
        Detail::Log | Detail::Stream => &[
            ("faas.version", function.and_then(|function| function.version.as_deref())),
            ("faas.instance", function.map(|_| origin.log_stream.as_str())),
            ("aws.log.stream.names", Some(origin.log_stream.as_str())),
        ],
    };
    let known = named.into_iter().chain(chosen).chain(told).chain(more.iter().copied());
    let mut all: Vec<_> = known.filter_map(|(key, value)| Some((key, value_of(key, value?)))).collect();
    if let (Detail::Log, Some(memory)) = (detail, function.and_then(|function| function.memory_size_mb)) {
        all.push(("faas.max_memory", Any::Integer(i64::try_from(memory << 20).unwrap_or(i64::MAX))));
    }
    format.fields(|writer| attributes(ATTRIBUTES, &distinct(all), writer))
}

/// Those of AWS' logs are lists, as a program may write to several groups.
fn value_of<'a>(key: &str, value: &'a str) -> Any<'a> {
    match key {
        "aws.log.group.names" | "aws.log.group.arns" | "aws.log.stream.names" | "aws.log.stream.arns" => {
            Any::List(value)
        }
        _ => Any::Text(value),
    }
}

/// Not of a function at the edge: what is known are account and region of its home, not of its logs.
fn group_arn(origin: &Origin) -> Option<String> {
    if origin.function.as_ref().is_some_and(|function| function.edge) {
        return None;
    }
    let (region, account) = (origin.region.as_deref()?, origin.account.as_deref()?);
    Some(format!("arn:{}:logs:{region}:{account}:log-group:{}", origin.partition()?, origin.log_group))
}
