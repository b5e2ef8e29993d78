//! Any document in embedded metric format, Datadog's JSON and MONITORING records: values are finite and names legal.

#![no_main]

use libfuzzer_sys::fuzz_target;
use logferry::model::{Timestamp, Value};
use logferry::parse::{DatadogMetric, Emf, MonitoringLine, Object};

fuzz_target!(|text: &str| {
    let written = Some(Timestamp::from_millis(1_700_000_000_000));
    if let Some(emf) = Emf::parse(text, written) {
        assert!(!emf.directives.is_empty());
        for directive in &emf.directives {
            assert!((1..=Emf::MAX_METRICS).contains(&directive.metrics.len()));
            assert!(emf.dimensions_of(directive).count() <= Emf::MAX_DIMENSIONS);
        }
        for metric in emf.metrics() {
            assert!((1..=Emf::MAX_VALUES).contains(&metric.values.len()));
            assert!(metric.values.iter().all(|value| value.is_finite()));
        }
        assert!(emf.metrics().map(|metric| metric.values.len()).sum::<usize>() <= Emf::MAX_DOCUMENT_VALUES);
        let _ = emf.into_owned();
    }
    if let Some(metric) = Object::parse(text).and_then(|object| DatadogMetric::of(object, written)) {
        assert!(metric.value.is_finite() && !metric.name.is_empty());
    }
    for record in MonitoringLine::parse(text, written).iter().flat_map(MonitoringLine::metrics) {
        assert!(record.value.number().is_finite());
        assert!(record.name.len() <= 200 && record.name.starts_with(|c: char| c.is_ascii_alphabetic()));
        if let Value::Check(status) = record.value {
            assert!(status.code() <= 3);
        }
        assert!(record.tags().all(|tag| !tag.is_empty()));
    }
});
