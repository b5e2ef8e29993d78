//! Bodies of remote write, as a receiver reads them.

use logferry::backend::decompress;
use logferry::request::Request;
use prost::Message;

/// A series: its labels, and its samples as milliseconds since the epoch and value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) samples: Vec<(i64, f64)>,
}

#[derive(Message)]
struct Write1 {
    #[prost(message, repeated, tag = "1")]
    series: Vec<Series1>,
}

#[derive(Message)]
struct Series1 {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Message)]
struct Write2 {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    series: Vec<Series2>,
}

#[derive(Message)]
struct Series2 {
    #[prost(uint32, repeated, tag = "1")]
    labels: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

/// The series of a request of either version.
pub(crate) fn series(request: &Request) -> Vec<Series> {
    let plain = decompress(request.compression, &request.body).unwrap();
    let samples = |all: &[Sample]| all.iter().map(|sample| (sample.timestamp, sample.value)).collect();
    if request.route == "write-1" {
        let label = |label: &Label| (label.name.clone(), label.value.clone());
        let one = |series: &Series1| Series {
            labels: series.labels.iter().map(label).collect(),
            samples: samples(&series.samples),
        };
        return Write1::decode(&*plain).unwrap().series.iter().map(one).collect();
    }
    let Write2 { symbols, series } = Write2::decode(&*plain).unwrap();
    let text = |place: u32| symbols[place as usize].clone();
    let one = |series: &Series2| Series {
        labels: series.labels.chunks(2).map(|pair| (text(pair[0]), text(pair[1]))).collect(),
        samples: samples(&series.samples),
    };
    series.iter().map(one).collect()
}
