use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use proptest::prelude::*;

use super::*;
use crate::model::LogEvent;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

type Found = (String, i64, String);

/// All log events of a payload, and how it ended: the same whether they are taken one by one or some at a time.
fn read(payload: Payload<'_>, limits: Limits) -> (Envelope, Vec<Found>, Result<(), DecodeError>) {
    let (mut one_by_one, mut some) = (Batch::new(payload, limits), Batch::new(payload, limits));
    let parts =
        |event: &LogEvent<'_>| (event.id.to_owned(), event.time.millis(), event.message.unescape().into_owned());
    let mut found = Vec::new();
    let end = loop {
        match one_by_one.next() {
            Ok(Some(event)) => found.push((parts(&event), event.json.to_owned())),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let mut found_so = Vec::new();
    let end_so = loop {
        match some.some(|event| found_so.push((parts(event), event.json.to_owned()))) {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    assert_eq!((&found_so, end_so, some.replaced()), (&found, end, one_by_one.replaced()));
    assert_eq!(some.envelope, one_by_one.envelope);
    (some.envelope, found.into_iter().map(|(parts, _)| parts).collect(), end)
}

fn read_json(json: &str) -> (Envelope, Vec<Found>, Result<(), DecodeError>) {
    read(Payload::Bytes(json.as_bytes()), Limits::DEFAULT)
}

impl Batch<'_> {
    fn all(json: &str) -> Vec<Found> {
        let (_, found, end) = read_json(json);
        assert_eq!(end, Ok(()), "{json}");
        found
    }
}

const USUAL: &str = r#"{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/aws/lambda/f","logStream":"s","subscriptionFilters":["x"],"logEvents":[{"id":"37","timestamp":1700000000123,"message":"a\tb\n"},{"id":"38","timestamp":1700000000124,"message":""}]}"#;

/// The same with events as CloudWatch Logs writes them.
fn usual_json() -> String {
    let event = |number: u32| {
        format!(
            r#"{{"id":"{}{number}","timestamp":170000000012{number},"message":"a\tb é {number}\n"}}"#,
            "3".repeat(55)
        )
    };
    let events: Vec<_> = (0..4).map(event).collect();
    format!("{},{}]}}", USUAL.strip_suffix("]}").unwrap(), events.join(","))
}

fn envelope() -> Envelope {
    Envelope {
        message_type: MessageType::Data,
        owner: "123456789012".into(),
        log_group: "/aws/lambda/f".into(),
        log_stream: "s".into(),
    }
}

fn usual_events() -> Vec<Found> {
    vec![("37".into(), 1_700_000_000_123, "a\tb\n".into()), ("38".into(), 1_700_000_000_124, String::new())]
}

#[test]
fn reads_each_way_of_packing() {
    let gz = gzip(USUAL.as_bytes());
    let (head, tail) = USUAL.as_bytes().split_at(100);
    let members = [gzip(head), gzip(tail)].concat();
    let padded = [gz.clone(), vec![0; 64]].concat();
    let apart = [gzip(head), vec![0; 9], gzip(tail), vec![0; 9], gzip(b"")].concat();
    for (name, bytes) in [
        ("gzip", gz),
        ("plain", USUAL.as_bytes().to_vec()),
        ("members", members),
        ("padded", padded),
        ("members with zeros between them", apart),
    ] {
        let base64 = STANDARD.encode(&bytes);
        for payload in [Payload::Base64(base64.as_bytes()), Payload::Bytes(&bytes)] {
            assert_eq!(read(payload, Limits::DEFAULT), (envelope(), usual_events(), Ok(())), "{name}");
        }
    }
}

#[test]
fn base64_may_be_broken_into_lines() {
    let message = "é€😀".repeat(100_000);
    let json = format!(r#"{{"logEvents":[{{"id":"1","timestamp":1,"message":"x{message}"}}]}}"#);
    for bytes in [json.clone().into_bytes(), gzip(json.as_bytes()), gzip(USUAL.as_bytes())] {
        let base64 = STANDARD.encode(&bytes);
        let expected = read(Payload::Base64(base64.as_bytes()), Limits::DEFAULT);
        assert_eq!(expected.2, Ok(()));
        let lines = |len: usize, end: &str| -> String {
            base64.as_bytes().chunks(len).flat_map(|line| [std::str::from_utf8(line).unwrap(), end]).collect()
        };
        let spaced = format!("\t {base64} \r\n");
        for broken in [lines(76, "\n"), lines(64, "\r\n"), lines(65_536, "\n"), lines(9_999, " "), spaced] {
            assert_eq!(read(Payload::Base64(broken.as_bytes()), Limits::DEFAULT), expected);
        }
    }
    for base64 in ["H4sI\n%%%%", "H4s\nI\u{a0}", "H4\u{b}sI"] {
        assert_eq!(read(Payload::Base64(base64.as_bytes()), Limits::DEFAULT).2, Err(DecodeError::Base64), "{base64}");
    }
}

#[test]
fn a_member_may_begin_wherever_a_piece_ends() {
    const PIECE: usize = 64 * 1024 / 4 * 3;
    let (head, tail) = USUAL.as_bytes().split_at(100);
    for (at, zeros) in (PIECE - 3..PIECE + 3).flat_map(|at| [(at, 0), (at, 2), (at, PIECE)]) {
        // A name in its header makes the first member as long as wanted.
        let named = |len| {
            let mut encoder = GzBuilder::new().filename(vec![b'a'; len]).write(Vec::new(), Compression::fast());
            encoder.write_all(head).unwrap();
            encoder.finish().unwrap()
        };
        let first = named(at - named(0).len());
        assert_eq!(first.len(), at);
        let base64 = STANDARD.encode([first, vec![0; zeros], gzip(tail)].concat());
        let found = read(Payload::Base64(base64.as_bytes()), Limits::DEFAULT);
        assert_eq!(found, (envelope(), usual_events(), Ok(())), "{at} {zeros}");
    }
}

#[test]
fn reads_keys_in_any_order_and_others_beside_them() {
    for json in [
        r#"{"logEvents":[{"message":"a\tb\n","id":"37","timestamp":1700000000123},{"timestamp":1700000000124,"x":{"y":[1,"}"]},"id":"38","message":""}],"owner":"123456789012","logStream":"s","logGroup":"/aws/lambda/f"}"#,
        r#" { "owner" : "123456789012" , "logStream":"s","policyLevel":"ACCOUNT_LEVEL_POLICY","logEvents":[ {"id": "37", "timestamp": 1700000000123, "message": "a\tb\n"} , {"id":38,"timestamp":"1700000000124","message":""} ] , "logGroup":"/aws/lambda/f", "z":null}
"#,
    ] {
        assert_eq!(read_json(json), (envelope(), usual_events(), Ok(())), "{json}");
    }
}

#[test]
fn reads_odd_events() {
    for (event, expected) in [
        (r#"{"id":37,"timestamp":1,"message":"x"}"#, ("37", 1, "x")),
        (r#"{"id":"","timestamp":1,"message":"x"}"#, ("", 1, "x")),
        (r#"{"timestamp":1,"message":{"a":1}}"#, ("", 1, r#"{"a":1}"#)),
        (r#"{"timestamp":1.5e3,"message":null}"#, ("", 1500, "null")),
        (r#"{"message":"no time"}"#, ("", 0, "no time")),
        (r#"{"timestamp":-5,"message":"x"}"#, ("", -5, "x")),
        (r#"{"id":{"a":"b"},"timestamp":1,"message":"x"}"#, ("", 1, "x")),
        (r#"{"id":"a\u0022b","timestamp":1,"message":"x"}"#, ("", 1, "x")),
        (r"{}", ("", 0, "")),
        (r#"{"timestamp":1,"message":"\ud800!\ud83d\ude00"}"#, ("", 1, "\u{fffd}!😀")),
        ("{\"id\":\"1\",\"timestamp\":1,\"message\":\"a\u{1}b\\q\"}", ("1", 1, "a\u{1}b\u{fffd}q")),
    ] {
        let (id, time, message) = expected;
        assert_eq!(
            Batch::all(&format!(r#"{{"logEvents":[{event}]}}"#)),
            [(id.to_owned(), time, message.to_owned())],
            "{event}"
        );
    }
}

/// CloudWatch's ids have 56 digits and its times 13, which is read in a way of its own.
#[test]
fn heads_of_any_length_are_read_alike() {
    for digits in [1, 13, 55, 56, 57, 63, 64, 70] {
        for time in ["0", "999", "999999999999", "1764000000123", "9999999999999", "17640000001234"] {
            let (id, message) = ("7".repeat(digits), "what was written, and it is long enough for a block or two");
            let event = format!(r#"{{"id":"{id}","timestamp":{time},"message":"{message}"}}"#);
            let json = format!(
                r#"{{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s","logEvents":[{event},{event}]}}"#
            );
            let expected = (id, time.parse().unwrap(), message.to_owned());
            assert_eq!(Batch::all(&json), [expected.clone(), expected], "{json}");
        }
    }
}

#[test]
fn knows_a_control_message() {
    let (envelope, _, end) = read_json(
        r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1680683189085,"message":"CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}"#,
    );
    assert_eq!((envelope.message_type, end), (MessageType::Control, Ok(())));
}

#[test]
fn reads_an_empty_batch() {
    for json in [r#"{"logEvents":[]}"#, r#"{"logGroup":"g","logEvents":[]}"#, r#"{"messageType":"CONTROL_MESSAGE"}"#] {
        assert_eq!(Batch::all(json), []);
    }
}

#[test]
fn says_what_is_damaged() {
    let gz = gzip(USUAL.as_bytes());
    let mut flipped = gz.clone();
    let last = flipped.len() - 5;
    flipped[last] ^= 1;
    let cut = &gz[..gz.len() - 9];
    for (name, bytes, expected) in [
        ("nothing", b"".as_slice(), DecodeError::Truncated),
        ("neither", b"hello", DecodeError::Format),
        ("cut gzip", cut, DecodeError::Truncated),
        ("wrong checksum", &flipped, DecodeError::Gzip),
        ("no member", &[gz.as_slice(), b"more"].concat(), DecodeError::Gzip),
        ("half a member", &[gz.as_slice(), &[0, 0x1f]].concat(), DecodeError::Truncated),
        ("the beginning of a member, and something else", &[gz.as_slice(), &[0x1f, 0x1f]].concat(), DecodeError::Gzip),
        ("no gzip", &[0x1f, 0x8b, 9, 9, 9, 9], DecodeError::Gzip),
        ("cut JSON", &USUAL.as_bytes()[..200], DecodeError::Truncated),
        ("no events", br#"{"logEvents":[7]}"#, DecodeError::Json { at: 14 }),
        ("no colon", br#"{"owner" "x"}"#, DecodeError::Json { at: 9 }),
        ("another object", br#"{"order":1,"x":{"logEvents":[]}}"#, DecodeError::NoLogEvents),
        ("an empty object", b"{}", DecodeError::NoLogEvents),
        ("no delivery", br#"{"messageType":"DATA_MESSAGE","logGroup":"g"}"#, DecodeError::NoLogEvents),
        ("more behind", br#"{"logEvents":[]} x"#, DecodeError::Json { at: 17 }),
    ] {
        let (_, _, end) = read(Payload::Bytes(bytes), Limits::DEFAULT);
        assert_eq!(end, Err(expected), "{name}");
    }
    for base64 in ["%%%%", "H4sIAAAA\u{e9}AAA", "H4sI A"] {
        let (_, _, end) = read(Payload::Base64(base64.as_bytes()), Limits::DEFAULT);
        assert_eq!(end, Err(DecodeError::Base64), "{base64}");
    }
}

#[test]
fn gives_what_came_before_the_damage() {
    let cut = &USUAL.as_bytes()[..USUAL.len() - 30];
    let (_, found, end) = read(Payload::Bytes(cut), Limits::DEFAULT);
    assert_eq!((found, end), (usual_events()[..1].to_vec(), Err(DecodeError::Truncated)));
}

#[test]
fn refuses_what_inflates_too_far() {
    let bomb =
        gzip(format!(r#"{{"logEvents":[{{"id":"1","timestamp":1,"message":"{}"}}]}}"#, "A".repeat(3 << 20)).as_bytes());
    let limits = Limits { inflated_bytes: 1 << 20, ..Limits::DEFAULT };
    assert_eq!(read(Payload::Bytes(&bomb), limits).2, Err(DecodeError::TooLarge { limit: 1 << 20 }));
    let limits = Limits { event_bytes: 1 << 20, ..Limits::DEFAULT };
    assert_eq!(read(Payload::Bytes(&bomb), limits).2, Err(DecodeError::EventTooLarge { limit: 1 << 20 }));
    assert_eq!(read(Payload::Bytes(&bomb), Limits::DEFAULT).1[0].2.len(), 3 << 20);
}

#[test]
fn replaces_what_is_not_utf_8() {
    let mut json = br#"{"logEvents":[{"id":"1","timestamp":1,"message":"a"#.to_vec();
    json.extend_from_slice(b"\xff\xfe \xe2\x82 z\xf0\x9f");
    json.extend_from_slice("é\"},{\"id\":\"2\",\"timestamp\":2,\"message\":\"ok\"}]}".as_bytes());
    let mut batch = Batch::new(Payload::Bytes(&json), Limits::DEFAULT);
    let first = batch.next().unwrap().unwrap().message.unescape().into_owned();
    assert_eq!(first, "a\u{fffd}\u{fffd} \u{fffd} z\u{fffd}é");
    assert_eq!(batch.next().unwrap().unwrap().id, "2");
    assert_eq!(batch.next(), Ok(None));
    assert_eq!(batch.replaced(), 4);
}

#[test]
fn what_is_not_utf_8_may_stand_anywhere() {
    let id = "3".repeat(56);
    let json = [
        &b"{\"owner\":\"1\",\"logGroup\":\"a\xff\",\"logStream\":\"s\",\"messageType\":\"DATA_MESSAGE\",\"x\xff\":\"\xff\","[..],
        format!("\"logEvents\":[{{\"id\":\"{id}\",\"timestamp\":1700000000123,\"message\":\"b").as_bytes(),
        b"\xc3\"},{\"id\":\"4\xff\",\"timestamp\":1,\"message\":\"\xff\\q\",\"extractedFields\":{\"k\":\"v\xff\"}},",
        b"{\"id\":\"5\",\"timestamp\":1,\"message\":{\"c\":\"\xff\"}}]}",
    ]
    .concat();
    let mut batch = Batch::new(Payload::Bytes(&json), Limits::DEFAULT);
    assert_eq!(batch.envelope().unwrap().log_group, "a\u{fffd}");
    let mut next = || {
        let event = batch.next().unwrap().unwrap();
        let message = event.message.unescape().into_owned();
        (event.id.to_owned(), message, event.extracted_fields.map(str::to_owned))
    };
    assert_eq!(next(), (id, "b\u{fffd}".to_owned(), None));
    let fields = "{\"k\":\"v\u{fffd}\"}".to_owned();
    assert_eq!(next(), (String::new(), "\u{fffd}\u{fffd}q".to_owned(), Some(fields)));
    assert_eq!(next(), ("5".to_owned(), "{\"c\":\"\u{fffd}\"}".to_owned(), None));
    assert_eq!(batch.next(), Ok(None));
    assert_eq!(batch.replaced(), 7);
}

#[test]
fn what_is_replaced_is_counted_once_though_the_document_is_read_twice() {
    let json = b"{\"logEvents\":[{\"id\":\"1\",\"timestamp\":1,\"message\":\"a\"}],\"logGroup\":\"a\xff\"}";
    let mut batch = Batch::new(Payload::Bytes(json), Limits::DEFAULT);
    assert_eq!(batch.envelope().unwrap().log_group, "a\u{fffd}");
    while batch.some(|_| {}).unwrap() {}
    assert_eq!(batch.replaced(), 1);
}

#[test]
fn characters_may_straddle_pieces() {
    let message = "é€😀".repeat(100_000);
    let json = format!(r#"{{"logEvents":[{{"id":"1","timestamp":1,"message":"x{message}"}}]}}"#);
    let base64 = STANDARD.encode(gzip(json.as_bytes()));
    let (_, found, end) = read(Payload::Base64(base64.as_bytes()), Limits::DEFAULT);
    assert_eq!(end, Ok(()));
    assert_eq!(found[0].2, format!("x{message}"));
}

#[test]
fn an_event_is_given_as_it_came_where_that_is_good_json() {
    let id = "3".repeat(56);
    let usual = format!(r#"{{"id":"{id}","timestamp":1700000000123,"message":"a\nb""#);
    let others = [
        format!(r#"{{"id":"{id}","timestamp":0123,"message":"a number of JSON doesn't begin with a zero""#),
        format!(r#"{{"id":"{id}", "timestamp":1,"message":"a blank""#),
        format!(r#"{{"timestamp":1,"id":"{id}","message":"another order""#),
        format!(r#"{{"id":"{id}","timestamp":1,"message":"mended \ud83d""#),
    ];
    let rest = "x".repeat(100);
    let all: Vec<_> =
        [&usual; 3].into_iter().chain(&others).chain([&usual]).map(|event| format!("{event}}}")).collect();
    let json = format!(r#"{{"logEvents":[{},{{"id":"1","message":"{rest}"}}]}}"#, all.join(","));
    let mut batch = Batch::new(Payload::Bytes(json.as_bytes()), Limits::DEFAULT);
    let mut given = Vec::new();
    while batch.some(|event| given.push(event.json.to_owned())).unwrap() {}
    let usual = usual.strip_suffix('"').unwrap();
    assert_eq!(given, [usual, usual, usual, "", "", "", "", usual, ""]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_byte_of_a_message_survives(
        messages in proptest::collection::vec(any::<String>(), 0..20),
        long in 0..300_000_usize,
        form in 0..3,
    ) {
        let mut messages = messages;
        messages.push("\"\\\n ü".repeat(long / 8));
        let events: Vec<_> = messages.iter().enumerate().map(|(i, message)| {
            let text = serde_json::to_string(message).unwrap();
            match form {
                0 => serde_json::json!({"message": message, "timestamp": i, "id": i.to_string()}).to_string(),
                1 => format!(r#"{{"id":"{i}","timestamp":{i},"message":{text}}}"#),
                _ => format!(r#"{{"id":"{i:056}","timestamp":{},"message":{text}}}"#, 1_764_000_000_000 + i),
            }
        }).collect();
        let json = format!(r#"{{"logGroup":"g","logEvents":[{}]}}"#, events.join(","));
        let base64 = STANDARD.encode(gzip(json.as_bytes()));
        let (_, found, end) = read(Payload::Base64(base64.as_bytes()), Limits::DEFAULT);
        prop_assert_eq!(end, Ok(()));
        let found: Vec<_> = found.into_iter().map(|(_, _, message)| message).collect();
        prop_assert_eq!(found, messages);
    }

    /// `read` takes them one by one and some at a time.
    #[test]
    fn odd_events_may_stand_among_usual_ones(
        kinds in proptest::collection::vec((prop_oneof![6 => Just(0), 4 => 0..9_usize], 0..300_usize), 1..80),
    ) {
        let event = |(place, (kind, len)): (usize, &(usize, usize))| {
            let (id, text) = (format!("{place:056}"), "word ".repeat(len / 5));
            let (text, behind) = match kind {
                0 => (text, ""),
                1 => (text, r#","extractedFields":{"a":"b"}"#),
                2 => (text + "\\u001b[0m", ""),
                3 => (text + "\u{1}", ""),
                4 => (text + "\\q", ""),
                5 => (text, " "),
                6 => (text + r#"\"},{\"id\":\""#, ""),
                7 => (text + r"\\", ""),
                _ => (text + r#"","x":"y"#, ""),
            };
            format!(r#"{{"id":"{id}","timestamp":{},"message":"{text}"{behind}}}"#, 1_700_000_000_000 + place)
        };
        let events: Vec<_> = kinds.iter().enumerate().map(event).collect();
        let found = Batch::all(&format!("{},{}]}}", USUAL.strip_suffix("]}").unwrap(), events.join(",")));
        prop_assert_eq!(found.len(), 2 + kinds.len());
        for ((kind, len), (id, time, message)) in kinds.iter().zip(&found[2..]) {
            let ends = ["", "", "\u{1b}[0m", "\u{1}", "\u{fffd}q", "", r#""},{"id":""#, "\\", ""];
            let text = "word ".repeat(len / 5) + ends[*kind];
            prop_assert_eq!(message, &text);
            prop_assert_eq!(id.trim_start_matches('0').parse().unwrap_or(0), *time - 1_700_000_000_000);
        }
    }

    #[test]
    fn any_bytes_end_well(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0..900_usize, json: bool) {
        let usual = usual_json();
        let mut mixed = if json { usual.into_bytes() } else { gzip(usual.as_bytes()) };
        let at = at.min(mixed.len());
        mixed.splice(at..(at + bytes.len() / 8).min(mixed.len()), bytes);
        let _ = read(Payload::Bytes(&mixed), Limits::DEFAULT);
        let _ = read(Payload::Base64(&mixed), Limits::DEFAULT);
    }
}
