//! Any payload ends well, and whatever message it gives is the inside of a JSON string.

#![no_main]

use libfuzzer_sys::fuzz_target;
use logferry::event::{Batch, Event, Limits, Payload};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { inflated_bytes: 4 << 20, event_bytes: 1 << 20 };
    for payload in [Payload::Bytes(bytes), Payload::Base64(bytes)] {
        let mut batch = Batch::new(payload, limits);
        while let Ok(Some(event)) = batch.next() {
            let quoted = [b"\"", event.message.escaped(), b"\""].concat();
            let text: String = serde_json::from_slice(&quoted).expect("a message is good JSON");
            assert_eq!(event.message.unescape(), text);
            assert!(!event.id.contains(['"', '\\']));
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Event::from_json(text);
    }
});
