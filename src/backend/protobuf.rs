//! Protobuf as bytes: what encoders write, and a view of it for people.
//!
//! Messages are written field by field, in one pass and without values of their
//! own: a log goes from its JSON string straight to its place.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>

use std::fmt::Write;

use crate::request::varint;

/// Wire types.
const VARINT: u64 = 0;
const I64: u64 = 1;
const LEN: u64 = 2;
const I32: u64 = 5;

/// `int64`, `uint64`, `bool`, an enum.
pub(super) fn uint(field: u32, value: u64, out: &mut Vec<u8>) {
    key(field, VARINT, out);
    varint(value, out);
}

/// `fixed64`.
pub(super) fn fixed64(field: u32, value: u64, out: &mut Vec<u8>) {
    key(field, I64, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// `double`.
pub(super) fn double(field: u32, value: f64, out: &mut Vec<u8>) {
    fixed64(field, value.to_bits(), out);
}

/// `string`, `bytes`.
pub(super) fn bytes(field: u32, value: &[u8], out: &mut Vec<u8>) {
    key(field, LEN, out);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// A message, a packed list, or text that `write` appends.
pub(super) fn message(field: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    key(field, LEN, out);
    let at = out.len();
    // Most are shorter than 128 bytes: their length takes one byte.
    out.push(0);
    write(out);
    let len = out.len() - at - 1;
    if let (Ok(short @ 0..=0x7f), Some(byte)) = (u8::try_from(len), out.get_mut(at)) {
        *byte = short;
    } else {
        let mut prefix = Vec::new();
        varint(len as u64, &mut prefix);
        out.splice(at..=at, prefix);
    }
}

fn key(field: u32, wire_type: u64, out: &mut Vec<u8>) {
    varint(u64::from(field) << 3 | wire_type, out);
}

/// A message as a person reads it: a field a line, by number, what it holds indented.
///
/// Without a schema a number is shown as what it most likely is.
pub fn describe(message: &[u8]) -> String {
    let mut text = String::new();
    match fields(message) {
        Some(fields) => describe_fields(&fields, 0, &mut text),
        None => text.push_str("(damaged protobuf)\n"),
    }
    text
}

/// A field's value, by its wire type.
pub(super) enum Field<'a> {
    Bytes(&'a [u8]),
    Fixed64(u64),
    Fixed32(u32),
    Varint(u64),
}

fn describe_fields(fields: &[(u64, Field<'_>)], depth: usize, text: &mut String) {
    for (number, field) in fields {
        let _ = write!(text, "{:depth$}{number}: ", "");
        match field {
            Field::Varint(value) => _ = writeln!(text, "{value}"),
            Field::Fixed32(value) => _ = writeln!(text, "{value}"),
            // Times in ns are no likely doubles.
            Field::Fixed64(value) if *value != 0 && f64::from_bits(*value).abs() < 1e-100 => {
                let _ = writeln!(text, "{value}");
            }
            Field::Fixed64(value) => _ = writeln!(text, "{:?}", f64::from_bits(*value)),
            Field::Bytes(value) => describe_bytes(value, depth, text),
        }
    }
}

fn describe_bytes(value: &[u8], depth: usize, text: &mut String) {
    let plain = std::str::from_utf8(value)
        .ok()
        .filter(|text| !text.contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
    let nested = fields(value).filter(|fields| !fields.is_empty());
    match (plain, nested) {
        (Some(plain), nested) if nested.is_none() || !plain.starts_with(char::is_control) => {
            let _ = writeln!(text, "{plain:?}");
        }
        (_, Some(nested)) => {
            text.push_str("{\n");
            describe_fields(&nested, depth + 2, text);
            let _ = writeln!(text, "{:depth$}}}", "");
        }
        _ => _ = writeln!(text, "{value:02x?}"),
    }
}

/// The fields of a message; `None` when it isn't one.
pub(super) fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = take_varint(&mut bytes)?;
        let field = match key & 7 {
            VARINT => Field::Varint(take_varint(&mut bytes)?),
            I64 => Field::Fixed64(u64::from_le_bytes(*take_array(&mut bytes)?)),
            LEN => {
                let len = usize::try_from(take_varint(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(len)?;
                bytes = rest;
                Field::Bytes(value)
            }
            I32 => Field::Fixed32(u32::from_le_bytes(*take_array(&mut bytes)?)),
            _ => return None,
        };
        if key >> 3 == 0 {
            return None;
        }
        fields.push((key >> 3, field));
    }
    Some(fields)
}

fn take_array<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (array, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(array)
}

/// Takes a number off the front.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_fields_that_read_back() {
        let mut out = Vec::new();
        uint(1, 300, &mut out);
        double(2, 1.5, &mut out);
        fixed64(3, 1_795_229_600_123_000_000, &mut out);
        bytes(4, "naïve".as_bytes(), &mut out);
        for len in [2, 125, 126, 20_000] {
            message(5, &mut out, |out| bytes(1, &vec![b'x'; len], out));
        }
        assert_eq!(out.get(..3), Some([0x08, 0xac, 0x02].as_slice()));
        let shown = describe(&out);
        let start = "1: 300\n2: 1.5\n3: 1795229600123000000\n4: \"naïve\"\n5: {\n  1: \"xx\"\n}\n5: {\n  1: \"xxxx";
        assert!(shown.starts_with(start), "{shown}");
        assert_eq!(shown.matches('x').count(), 2 + 125 + 126 + 20_000);
    }

    #[test]
    fn shows_what_is_damaged() {
        for bytes in [&b"\x0a\x05abc"[..], b"\x07", b"\x00\x01", b"\xff"] {
            assert_eq!(describe(bytes), "(damaged protobuf)\n");
        }
    }
}
