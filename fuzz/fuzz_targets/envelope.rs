//! Any payload ends well, and whatever message it gives is the inside of a JSON string.

#![no_main]

use libfuzzer_sys::fuzz_target;
use logferry::event::{Batch, Event, Limits, Payload};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { inflated_bytes: 4 << 20, event_bytes: 1 << 20 };
    for payload in [Payload::Bytes(bytes), Payload::Base64(bytes)] {
        let mut batch = Batch::new(payload, limits);
        while let Ok(Some(event)) = batch.next() {
            let quoted = format!("\"{}\"", event.message.escaped());
            let text: String = serde_json::from_str(&quoted).expect("a message is good JSON");
            assert_eq!(event.message.unescape(), text);
            assert!(!event.id.contains(['"', '\\']));
            // What is copied as it came is the same event.
            if !event.json.is_empty() {
                let whole: serde_json::Value = serde_json::from_str(&format!("{}\"}}", event.json)).expect("good JSON");
                let said = serde_json::json!({ "id": event.id, "timestamp": event.time.millis(), "message": text });
                assert_eq!(whole, said);
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Event::from_json(text);
    }
});
