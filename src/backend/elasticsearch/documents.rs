use std::borrow::Cow;

use super::super::per_origin::PerOrigin;
use super::super::record::Record;
use super::super::write::{bounded, members, start, text};
use super::Elasticsearch;
use crate::model::{Log, Metric, Name, Origin, Tag, Timestamp};

/// Bytes of a message: the rest of a document takes less than what is left of its limit.
const MAX_MESSAGE: usize = 900_000;

/// Bytes of an id: Elasticsearch takes 512.
const MAX_ID: usize = 400;

/// Bytes of a field's name and of a label's value, which is a keyword.
const MAX_NAME: usize = 255;
const MAX_VALUE: usize = 1024;

/// Writes documents: an action, a line break, and the document itself.
pub(super) struct Documents<'b> {
    elasticsearch: &'b Elasticsearch,
    rendered: PerOrigin<Rendered>,
    /// The last event that metrics were read from, and how many documents it has so far.
    last: (String, u32),
    document: Vec<u8>,
}

/// What the documents of an origin share.
struct Rendered {
    /// The function, but for the end of the object.
    faas: Option<Vec<u8>>,
    /// Service and cloud.
    place: Vec<u8>,
    /// The object of CloudWatch's names.
    cloudwatch: Vec<u8>,
    /// The function as a dimension.
    dimensions: Vec<u8>,
    tags: Vec<(String, String)>,
    logs_end: Vec<u8>,
}

impl<'b> Documents<'b> {
    pub(super) fn new(elasticsearch: &'b Elasticsearch) -> Self {
        Self { elasticsearch, rendered: PerOrigin::default(), last: (String::new(), 0), document: Vec::new() }
    }

    pub(super) fn log(&mut self, origin: &Origin, log: &Log<'_>, out: &mut Vec<u8>) {
        let elasticsearch = self.elasticsearch;
        action(elasticsearch, "logs", &elasticsearch.logs_dataset, log.event.id, out);
        let rendered = self.rendered.get(origin, || Rendered::new(origin, elasticsearch));
        let own_time = log.application_time().map(|(time, _)| time);
        head(own_time.unwrap_or(log.event.time), out);
        out.extend_from_slice(b",\"message\":\"");
        out.extend_from_slice(bounded(log.event.message, MAX_MESSAGE, MAX_MESSAGE).as_bytes());
        out.push(b'"');
        if let Some(level) = log.level {
            out.extend_from_slice(b",\"log\":{\"level\":");
            text(level.as_str(), out);
            out.push(b'}');
        }
        event(log.event.id, own_time.map(|_| log.event.time), &elasticsearch.logs_dataset, out);
        rendered.faas(log.request_id, None, out);
        out.extend_from_slice(&rendered.place);
        out.extend_from_slice(b",\"aws\":{");
        out.extend_from_slice(&rendered.cloudwatch);
        out.push(b'}');
        out.extend_from_slice(&rendered.logs_end);
    }

    pub(super) fn metrics(&mut self, origin: &Origin, record: &Record<'_>, out: &mut Vec<u8>) {
        let elasticsearch = self.elasticsearch;
        let mut document = std::mem::take(&mut self.document);
        document.clear();
        self.measured(origin, record, &mut document);
        if self.last.0 == record.event_id {
            self.last.1 += 1;
        } else {
            self.last = (record.event_id.to_owned(), 0);
        }
        // Events without an id are told apart by what they say.
        let id = format!("{}-{}-{:016x}", record.event_id, self.last.1, hash(&document));
        action(elasticsearch, "metrics", &elasticsearch.metrics_dataset, &id, out);
        out.extend_from_slice(&document);
        self.document = document;
    }

    fn measured(&mut self, origin: &Origin, record: &Record<'_>, out: &mut Vec<u8>) {
        let elasticsearch = self.elasticsearch;
        let rendered = self.rendered.get(origin, || Rendered::new(origin, elasticsearch));
        let (measures, custom): (Vec<_>, Vec<_>) =
            record.fields.iter().partition(|(_, metric)| matches!(metric.name, Name::Measure(_)));
        head(record.time, out);
        event(record.event_id, None, &elasticsearch.metrics_dataset, out);
        let cold = record.tags.iter().find(|tag| tag.key == "cold_start" && !measures.is_empty());
        rendered.faas(record.request_id, cold.map(|tag| tag.value == "true"), out);
        out.extend_from_slice(&rendered.place);
        out.extend_from_slice(b",\"aws\":{");
        if !measures.is_empty() {
            out.extend_from_slice(b"\"lambda\":{\"metrics\":{");
            separated(measures, out, |(name, metric), out| {
                let (name, aggregate) = name.rsplit_once('.').unwrap_or((name, "avg"));
                text(name, out);
                out.extend_from_slice(b":{");
                text(aggregate, out);
                out.push(b':');
                decimal(value(metric), out);
                out.push(b'}');
            });
            out.extend_from_slice(b"}},");
        }
        out.extend_from_slice(&rendered.dimensions);
        out.extend_from_slice(&rendered.cloudwatch);
        out.push(b'}');
        if !custom.is_empty() {
            out.extend_from_slice(b",\"metrics\":{");
            separated(custom, out, |(name, metric), out| {
                text(name, out);
                out.push(b':');
                decimal(value(metric), out);
            });
            out.push(b'}');
        }
        labels(record.tags, &rendered.tags, out);
        end("metrics", &elasticsearch.metrics_dataset, &elasticsearch.namespace, out);
    }
}

impl Rendered {
    fn new(origin: &Origin, elasticsearch: &Elasticsearch) -> Self {
        let function = origin.function.as_ref();
        let name = function.map(|function| function.name.as_str());
        let faas = function.map(|function| {
            let arn = origin.function_arn();
            let known = [("version", function.version.as_deref()), ("id", arn.as_deref())];
            let known = known.into_iter().filter_map(|(key, value)| Some((key, value?)));
            let mut faas = b",\"faas\":{".to_vec();
            members(std::iter::once(("name", function.name.as_str())).chain(known), &mut faas);
            faas
        });
        let (mut place, mut dimensions, mut logs_end) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(name) = name {
            place.extend_from_slice(b",\"service\":{\"name\":");
            text(name, &mut place);
            place.push(b'}');
            dimensions.extend_from_slice(b"\"dimensions\":{\"FunctionName\":");
            text(name, &mut dimensions);
            dimensions.extend_from_slice(b"},");
        }
        place.extend_from_slice(b",\"cloud\":{\"provider\":\"aws\"");
        if let Some(region) = &origin.region {
            place.extend_from_slice(b",\"region\":");
            text(region, &mut place);
        }
        if let Some(account) = &origin.account {
            place.extend_from_slice(b",\"account\":{\"id\":");
            text(account, &mut place);
            place.push(b'}');
        }
        place.push(b'}');
        let mut cloudwatch = b"\"cloudwatch\":{".to_vec();
        members([("log_group", origin.log_group.as_str()), ("log_stream", &origin.log_stream)], &mut cloudwatch);
        cloudwatch.push(b'}');
        labels(&[], &origin.tags, &mut logs_end);
        end("logs", &elasticsearch.logs_dataset, &elasticsearch.namespace, &mut logs_end);
        let tags = origin.tags.clone();
        Self { faas, place, cloudwatch, dimensions, tags, logs_end }
    }

    /// The function, and the request that it works on; elsewhere a request is HTTP's.
    fn faas(&self, request_id: Option<&str>, cold: Option<bool>, out: &mut Vec<u8>) {
        let Some(faas) = &self.faas else {
            if let Some(id) = request_id {
                out.extend_from_slice(b",\"http\":{\"request\":{\"id\":");
                text(id, out);
                out.extend_from_slice(b"}}");
            }
            return;
        };
        out.extend_from_slice(faas);
        if let Some(id) = request_id {
            out.extend_from_slice(b",\"execution\":");
            text(id, out);
        }
        if let Some(cold) = cold {
            out.extend_from_slice(if cold { b",\"coldstart\":true" } else { b",\"coldstart\":false" });
        }
        out.push(b'}');
    }
}

/// The name of a metric's field.
pub(super) fn field<'m>(metric: &Metric<'m>) -> Cow<'m, str> {
    match metric.name {
        Name::Measure(measure) => {
            let name = Elasticsearch::words(measure).0;
            Cow::Borrowed(name.strip_prefix("aws.lambda.metrics.").unwrap_or(name))
        }
        Name::Custom(name) => safe(name),
    }
}

fn value(metric: &Metric<'_>) -> f64 {
    let divisor = match metric.name {
        Name::Measure(measure) => Elasticsearch::words(measure).1,
        Name::Custom(_) => 1.0,
    };
    metric.value.number() / divisor
}

/// A name that is one field, whatever others there are: no dots, no patterns.
fn safe(name: &str) -> Cow<'_, str> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(legal) {
        return Cow::Borrowed(name);
    }
    let safe: String = name.chars().take(MAX_NAME).map(|c| if legal(c) { c } else { '_' }).collect();
    Cow::Owned(if safe.is_empty() { "_".to_owned() } else { safe })
}

fn action(elasticsearch: &Elasticsearch, kind: &str, dataset: &str, id: &str, out: &mut Vec<u8>) {
    // Datasets and namespaces hold nothing that JSON escapes.
    out.extend_from_slice(b"{\"create\":{\"_index\":\"");
    for part in [kind, "-", dataset, "-", &elasticsearch.namespace, "\""] {
        out.extend_from_slice(part.as_bytes());
    }
    if !id.is_empty() && id.len() <= MAX_ID && elasticsearch.takes_ids() {
        out.extend_from_slice(b",\"_id\":");
        text(id, out);
    }
    out.extend_from_slice(b"}}\n");
}

fn head(time: Timestamp, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"@timestamp\":\"");
    time.write_rfc_3339(out);
    out.push(b'"');
}

/// `created` is when CloudWatch has taken the event, where that isn't the time of the document.
fn event(id: &str, created: Option<Timestamp>, dataset: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"event\":{");
    if let Some(created) = created {
        out.extend_from_slice(b"\"created\":\"");
        created.write_rfc_3339(out);
        out.extend_from_slice(b"\",");
    }
    if !id.is_empty() {
        out.extend_from_slice(b"\"id\":");
        text(id, out);
        out.push(b',');
    }
    out.extend_from_slice(b"\"dataset\":");
    text(dataset, out);
    out.push(b'}');
}

/// `,"labels":{…}`: values of a key that repeats are joined by commas.
fn labels(tags: &[Tag<'_>], shared: &[(String, String)], out: &mut Vec<u8>) {
    let own = tags.iter().map(|tag| (safe(tag.key), tag.value));
    let mut labels: Vec<(Cow<'_, str>, String)> = Vec::new();
    for (key, value) in own.chain(shared.iter().map(|(key, value)| (safe(key), value.as_str()))) {
        match labels.iter_mut().find(|(other, _)| *other == key) {
            Some((_, values)) => *values = format!("{values},{value}"),
            None => labels.push((key, value.to_owned())),
        }
    }
    if !labels.is_empty() {
        out.extend_from_slice(b",\"labels\":{");
        members(labels.iter().map(|(key, value)| (key.as_ref(), start(value, MAX_VALUE))), out);
        out.push(b'}');
    }
}

/// The end of a document.
fn end(kind: &str, dataset: &str, namespace: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"data_stream\":{");
    members([("type", kind), ("dataset", dataset), ("namespace", namespace)], out);
    out.extend_from_slice(b"},\"ecs\":{\"version\":\"8.11.0\"}}");
}

fn separated<T>(items: impl IntoIterator<Item = T>, out: &mut Vec<u8>, write: impl Fn(T, &mut Vec<u8>)) {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
}

/// A number with a fraction or an exponent, which no index takes for a whole one.
fn decimal(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(zmij::Buffer::new().format(value).as_bytes());
}

/// Tells documents of one event apart: eight bytes at a time, in the manner of FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let words = words.iter().map(|word| u64::from_le_bytes(*word)).chain(rest.iter().map(|byte| u64::from(*byte)));
    words.fold(0xcbf2_9ce4_8422_2325, |hash: u64, word| (hash.rotate_left(29) ^ word).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_field_each() {
        for (name, expected) in [("orders.placed", "orders_placed"), ("a-b_C1", "a-b_C1"), ("", "_"), ("é*", "__")] {
            assert_eq!(safe(name), expected);
        }
        assert_eq!(safe(&"x".repeat(300)).len(), MAX_NAME);
    }

    #[test]
    fn numbers_are_never_whole_ones() {
        for (value, expected) in
            [(1.0, "1.0"), (0.0, "0.0"), (187.42, "187.42"), (1e300, "1e+300"), (-2e15, "-2000000000000000.0")]
        {
            let mut out = Vec::new();
            decimal(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn hash_tells_documents_apart() {
        let documents = ["", "a", "b", "ab", "ba", "{\"value\":1.0,\"x\":2}", "{\"value\":2.0,\"x\":1}"];
        let hashes: std::collections::BTreeSet<_> = documents.iter().map(|text| hash(text.as_bytes())).collect();
        assert_eq!(hashes.len(), documents.len());
    }
}
