//! One description of a message for both encodings of OTLP: protobuf, and JSON.
//!
//! JSON is that of proto3 with three differences: ids are hexadecimal, enums are
//! numbers, and names are in lowerCamelCase only. Whole numbers of 64 bits are strings.
//!
//! Source: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>

use super::super::protobuf;
use super::super::write::{number, text};
use crate::json::JsonStr;
use crate::request::varint;

/// How bodies are encoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Format {
    Json,
    Protobuf,
}

/// A field: its number, and its name in JSON.
pub(super) type Field = (u32, &'static str);

/// Writes the fields of one message.
pub(super) struct Writer<'o> {
    format: Format,
    out: &'o mut Vec<u8>,
    /// Whether no field is written yet.
    first: bool,
}

impl Format {
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }

    /// The fields that `write` appends, as they stand inside their message.
    pub(super) fn fields(self, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut Writer { format: self, out: &mut out, first: true });
        out
    }

    /// Appends an item of a body: in protobuf a whole field of its message, in JSON an object of its list.
    pub(super) fn item(self, (number, _): Field, out: &mut Vec<u8>, write: impl FnOnce(&mut Writer<'_>)) {
        match self {
            Self::Json => object(out, write),
            Self::Protobuf => protobuf::message(number, out, |out| self.write(out, write)),
        }
    }

    fn write(self, out: &mut Vec<u8>, write: impl FnOnce(&mut Writer<'_>)) {
        write(&mut Writer { format: self, out, first: true });
    }
}

impl Writer<'_> {
    pub(super) fn text(&mut self, field: Field, value: &str) {
        match self.format {
            Format::Json => {
                self.key(field);
                text(value, self.out);
            }
            Format::Protobuf => protobuf::bytes(field.0, value.as_bytes(), self.out),
        }
    }

    /// Text that is JSON already.
    pub(super) fn message_text(&mut self, field: Field, value: JsonStr<'_>) {
        match self.format {
            Format::Json => {
                self.key(field);
                self.out.push(b'"');
                self.out.extend_from_slice(value.escaped().as_bytes());
                self.out.push(b'"');
            }
            Format::Protobuf => protobuf::bytes(field.0, value.unescape().as_bytes(), self.out),
        }
    }

    /// `bool`
    pub(super) fn boolean(&mut self, field: Field, value: bool) {
        match self.format {
            Format::Json => {
                self.key(field);
                self.out.extend_from_slice(if value { b"true" } else { b"false" });
            }
            Format::Protobuf => protobuf::uint(field.0, u64::from(value), self.out),
        }
    }

    /// An enum.
    pub(super) fn choice(&mut self, field: Field, value: u8) {
        match self.format {
            Format::Json => {
                self.key(field);
                self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            }
            Format::Protobuf => protobuf::uint(field.0, u64::from(value), self.out),
        }
    }

    /// `sint32`
    pub(super) fn signed(&mut self, field: Field, value: i32) {
        match self.format {
            Format::Json => {
                self.key(field);
                self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            }
            Format::Protobuf => protobuf::uint(field.0, zigzag(value), self.out),
        }
    }

    /// `int64`
    pub(super) fn int64(&mut self, field: Field, value: i64) {
        match self.format {
            Format::Json => {
                self.key(field);
                quoted(value, self.out);
            }
            Format::Protobuf => protobuf::uint(field.0, value.cast_unsigned(), self.out),
        }
    }

    /// `fixed64`
    pub(super) fn fixed64(&mut self, field: Field, value: u64) {
        match self.format {
            Format::Json => {
                self.key(field);
                quoted(value, self.out);
            }
            Format::Protobuf => protobuf::fixed64(field.0, value, self.out),
        }
    }

    /// `sfixed64`
    pub(super) fn signed_fixed64(&mut self, field: Field, value: i64) {
        match self.format {
            Format::Json => {
                self.key(field);
                quoted(value, self.out);
            }
            Format::Protobuf => protobuf::fixed64(field.0, value.cast_unsigned(), self.out),
        }
    }

    /// `double`
    pub(super) fn double(&mut self, field: Field, value: f64) {
        match self.format {
            Format::Json => {
                self.key(field);
                number(value, self.out);
            }
            Format::Protobuf => protobuf::double(field.0, value, self.out),
        }
    }

    /// `repeated fixed64`
    pub(super) fn fixed64s(&mut self, field: Field, values: &[u64]) {
        match self.format {
            Format::Json => self.array(field, values, |value, out| quoted(*value, out)),
            Format::Protobuf => protobuf::message(field.0, self.out, |out| {
                out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }),
        }
    }

    /// `repeated uint64`
    pub(super) fn uint64s(&mut self, field: Field, values: &[u64]) {
        match self.format {
            Format::Json => self.array(field, values, |value, out| quoted(*value, out)),
            Format::Protobuf => protobuf::message(field.0, self.out, |out| {
                for value in values {
                    varint(*value, out);
                }
            }),
        }
    }

    /// `repeated double`
    pub(super) fn doubles(&mut self, field: Field, values: &[f64]) {
        match self.format {
            Format::Json => self.array(field, values, |value, out| number(*value, out)),
            Format::Protobuf => protobuf::message(field.0, self.out, |out| {
                out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }),
        }
    }

    /// A message.
    pub(super) fn message(&mut self, field: Field, write: impl FnOnce(&mut Writer<'_>)) {
        let format = self.format;
        match format {
            Format::Json => {
                self.key(field);
                object(self.out, write);
            }
            Format::Protobuf => protobuf::message(field.0, self.out, |out| format.write(out, write)),
        }
    }

    /// A list of messages; one that is empty is left out.
    pub(super) fn list<T>(&mut self, field: Field, values: &[T], mut write: impl FnMut(&T, &mut Writer<'_>)) {
        let format = self.format;
        match format {
            Format::Json if values.is_empty() => {}
            Format::Json => self.array(field, values, |value, out| object(out, |writer| write(value, writer))),
            Format::Protobuf => {
                for value in values {
                    protobuf::message(field.0, self.out, |out| format.write(out, |writer| write(value, writer)));
                }
            }
        }
    }

    /// Fields that were written before, by [`Format::fields`].
    pub(super) fn fields(&mut self, fields: &[u8]) {
        if fields.is_empty() {
            return;
        }
        if self.format == Format::Json && !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        self.out.extend_from_slice(fields);
    }

    fn array<T>(&mut self, field: Field, values: &[T], mut write: impl FnMut(&T, &mut Vec<u8>)) {
        self.key(field);
        self.out.push(b'[');
        for (place, value) in values.iter().enumerate() {
            if place > 0 {
                self.out.push(b',');
            }
            write(value, self.out);
        }
        self.out.push(b']');
    }

    /// `,"name":`
    fn key(&mut self, (_, name): Field) {
        let before: &[u8] = if std::mem::take(&mut self.first) { b"\"" } else { b",\"" };
        self.out.extend_from_slice(before);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

fn object(out: &mut Vec<u8>, write: impl FnOnce(&mut Writer<'_>)) {
    out.push(b'{');
    Format::Json.write(out, write);
    out.push(b'}');
}

fn quoted(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.push(b'"');
}

/// As protobuf writes a `sint32`: those near to zero are short.
fn zigzag(value: i32) -> u64 {
    u64::from(((value << 1) ^ (value >> 31)).cast_unsigned())
}
