//! Series as the two versions of remote write have them.

use std::collections::HashMap;

use super::remote_write::{LIMITS, MAX_SAMPLES, Version, set_version};
use super::{Write, Written};
use crate::backend::body::{Body, Oversize, Template};
use crate::backend::compress::{compress, decompress};
use crate::backend::protobuf::{self, Field, bytes, double, message, uint};
use crate::request::{Destination, Fallback, Frame, Item, Request, Weight, Wrapper, varint};

/// Bytes that version 1.0 takes for a label beside its name and value, and for a sample, at most.
const AROUND_LABEL: usize = 10;
const SAMPLE: usize = 22;

/// Writes one series after another.
pub(in crate::backend) struct Series {
    body: Body,
    /// Samples in the body.
    samples: usize,
    two: Option<Two>,
}

/// What version 2.0 needs.
struct Two {
    fallback: Fallback,
    texts: Texts,
    /// Series that wait for the rest of their request, as its texts stand before them.
    waiting: Vec<(Vec<u8>, Weight)>,
    /// Bytes that they would take in version 1.0, which are more.
    bytes: usize,
}

/// Texts that series refer to by their places.
struct Texts {
    places: HashMap<String, u64>,
    /// As fields.
    written: Vec<u8>,
}

impl Default for Texts {
    /// The first is empty.
    fn default() -> Self {
        let mut texts = Self { places: HashMap::new(), written: Vec::new() };
        texts.place("");
        texts
    }
}

impl Texts {
    fn place(&mut self, text: &str) -> u64 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = self.places.len() as u64;
        bytes(4, text.as_bytes(), &mut self.written);
        self.places.insert(text.to_owned(), place);
        place
    }
}

impl Write for Series {
    fn write(&mut self, series: &Written<'_>) -> Result<(), Oversize> {
        let labels = labels(series);
        if self.samples > 0 && self.samples + series.samples.len() > MAX_SAMPLES {
            self.end();
        }
        let Some(two) = &mut self.two else {
            self.samples += series.samples.len();
            return self.body.push(series.weight, |out| version_1(&labels, series.samples, out));
        };
        let of_labels: usize = labels.iter().map(|(name, value)| name.len() + value.len() + AROUND_LABEL).sum();
        let bytes = of_labels + series.samples.len() * SAMPLE + AROUND_LABEL;
        if bytes > LIMITS.item_bytes {
            return Err(Oversize);
        }
        if two.bytes + bytes > LIMITS.bytes {
            self.end();
        }
        self.samples += series.samples.len();
        if let Some(Two { texts, waiting, bytes: total, .. }) = &mut self.two {
            *total += bytes;
            waiting.push((version_2(&labels, series, texts), series.weight));
        }
        Ok(())
    }

    fn has_ready(&self) -> bool {
        self.body.has_ready()
    }

    fn take_ready(&mut self) -> Vec<Request> {
        let ready = self.body.take_ready();
        self.with_fallback(ready)
    }

    fn finish(mut self) -> Vec<Request> {
        self.end();
        let ready = self.body.take_ready();
        self.with_fallback(ready)
    }
}

impl Series {
    /// Writes version 2.0 if there is a fallback from it, else 1.0.
    pub(super) fn new(template: Template, fallback: Option<Fallback>) -> Self {
        let two = fallback.map(|fallback| Two { fallback, texts: Texts::default(), waiting: Vec::new(), bytes: 0 });
        Self { body: Body::new(template), samples: 0, two }
    }

    /// Ends the request at hand.
    fn end(&mut self) {
        self.samples = 0;
        if let Some(Two { texts, waiting, bytes, .. }) = &mut self.two {
            let before = std::mem::take(texts).written;
            self.body.reframe(&Frame::Protobuf(vec![Wrapper { field: 0, before }]));
            *bytes = 0;
            for (series, weight) in std::mem::take(waiting) {
                // It fits, as even version 1.0 would.
                let _ = self.body.push(weight, |out| out.extend_from_slice(&series));
            }
        }
        self.body.end();
    }

    fn with_fallback(&self, mut requests: Vec<Request>) -> Vec<Request> {
        for request in &mut requests {
            request.fallback = self.two.as_ref().map(|two| two.fallback.clone());
        }
        requests
    }
}

/// All labels, sorted by name.
fn labels<'a>(series: &'a Written<'_>) -> Vec<(&'a str, &'a str)> {
    let own = series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let more = [("__name__", series.name.as_ref()), ("instance", series.instance)].into_iter();
    let mut labels: Vec<_> = own.chain(more).chain(series.le.map(|le| ("le", le))).collect();
    labels.sort_unstable();
    labels
}

fn version_1(labels: &[(&str, &str)], samples: &[(i64, f64)], out: &mut Vec<u8>) {
    message(1, out, |out| {
        for (name, value) in labels {
            write_label(name.as_bytes(), value.as_bytes(), out);
        }
        write_samples(samples, out);
    });
}

fn write_label(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    message(1, out, |out| {
        bytes(1, name, out);
        bytes(2, value, out);
    });
}

/// Both versions have the same.
fn write_samples(samples: &[(i64, f64)], out: &mut Vec<u8>) {
    for (time, value) in samples {
        message(2, out, |out| {
            double(1, *value, out);
            uint(2, time.cast_unsigned(), out);
        });
    }
}

fn version_2(labels: &[(&str, &str)], series: &Written<'_>, texts: &mut Texts) -> Vec<u8> {
    let mut out = Vec::new();
    message(5, &mut out, |out| {
        message(1, out, |out| {
            for text in labels.iter().flat_map(|(name, value)| [name, value]) {
                varint(texts.place(text), out);
            }
        });
        write_samples(series.samples, out);
        message(5, out, |out| {
            let kind = match series.family.kind {
                "counter" => 1,
                "gauge" => 2,
                _ => 3,
            };
            uint(1, kind, out);
            uint(3, texts.place(series.family.help), out);
        });
    });
    out
}

/// The same request in version 1.0.
pub(super) fn in_version_1(request: &Request) -> Option<Request> {
    let plain = decompress(request.compression, &request.body)?;
    let (mut texts, mut inside, mut items) = (Vec::new(), Vec::new(), Vec::new());
    let mut weights = request.items.iter().map(|item| item.weight);
    for (number, field) in protobuf::fields(&plain)? {
        match (number, field) {
            (4, Field::Bytes(text)) => texts.push(text),
            (5, Field::Bytes(series)) => {
                series_in_version_1(series, &texts, &mut inside)?;
                items.push(Item { end: inside.len(), weight: weights.next()? });
            }
            _ => return None,
        }
    }
    let Destination::Http(mut endpoint) = request.destination.clone() else { return None };
    set_version(&mut endpoint, Version::One);
    Some(Request {
        destination: Destination::Http(endpoint),
        body: compress(request.compression, &inside),
        frame: Frame::Protobuf(Vec::new()),
        items,
        route: Version::One.route(),
        fallback: None,
        ..request.clone()
    })
}

fn series_in_version_1(series: &[u8], texts: &[&[u8]], out: &mut Vec<u8>) -> Option<()> {
    let (mut labels, mut samples) = (Vec::new(), Vec::new());
    for (number, field) in protobuf::fields(series)? {
        match (number, field) {
            (1, Field::Bytes(mut places)) => {
                let mut text = || texts.get(usize::try_from(protobuf::take_varint(&mut places)?).ok()?).copied();
                while let Some(name) = text() {
                    write_label(name, text()?, &mut labels);
                }
            }
            (2, Field::Bytes(sample)) => bytes(2, sample, &mut samples),
            _ => {}
        }
    }
    message(1, out, |out| {
        out.extend_from_slice(&labels);
        out.extend_from_slice(&samples);
    });
    Some(())
}
