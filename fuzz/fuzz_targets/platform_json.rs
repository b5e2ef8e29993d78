//! Any JSON is read or not, and what is read is a number that something measured can be.

#![no_main]

use libfuzzer_sys::fuzz_target;
use logferry::parse::{Application, Object, Platform, PlatformEvent};

fuzz_target!(|text: &str| {
    let Some(object) = Object::parse(text) else { return };
    let _ = Application::of(object);
    if let Some(event) = PlatformEvent::of(object) {
        assert!(event.kind.starts_with("platform."));
        if let Platform::Report(report) | Platform::RuntimeDone(report) = event.meaning() {
            for value in [report.metrics.duration_ms, report.metrics.billed_duration_ms, report.metrics.memory_size_mb, report.metrics.init_duration_ms] {
                assert!(value.is_none_or(|value| (0.0..1e15).contains(&value)));
            }
            let _ = report.into_owned();
        }
    }
});
