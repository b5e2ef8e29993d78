//! `InfluxDB`'s line protocol, in the strict form that every reader of it agrees on.
//!
//! ```text
//! measurement,tag=value,tag=value field=1.5,field=2i,field="text" 1764000000123000000
//! ```
//!
//! One bad line can be the end of its whole body, so words are made legal here:
//! readers differ in what a backslash before a blank, a comma or an equals sign
//! is, and at the end of a word it would escape what follows. Such backslashes
//! are left out; all others stand for themselves. Control characters become
//! blanks, and an empty tag is not written. Only text in quotes may hold
//! anything, raw newlines included.
//!
//! Sources: <https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/>
//! and <https://github.com/GuanceCloud/cliutils> (`point`), which limits lengths.

use super::write::{number, start};

/// Bytes of a key, and of a tag's value.
const MAX_KEY: usize = 256;
const MAX_TAG: usize = 1024;

/// "All tags": 64 KiB, with room for what a line adds.
const MAX_TAGS: usize = 60_000;

/// What a key that is taken has behind it.
const RENAMED: &str = "_tag";

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'a> {
    /// A finite number, without a suffix.
    Float(f64),
    /// The nearest whole number, with the suffix `i`.
    Integer(f64),
    /// Text in quotes.
    Text(&'a str),
}

/// Tags of a point, each key once and never empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Tags {
    pairs: Vec<(String, String)>,
    bytes: usize,
}

impl Tags {
    /// Adds a tag; the first of a key holds.
    pub(super) fn add(&mut self, key: &str, value: &str) {
        let (key, value) = (word(key, MAX_KEY), word(value, MAX_TAG));
        let bytes = self.bytes + 2 * (key.len() + value.len()) + 2;
        if !key.is_empty() && !value.is_empty() && bytes <= MAX_TAGS && self.find(&key).is_none() {
            self.bytes = bytes;
            self.pairs.push((key, value));
        }
    }

    /// Adds a tag that somebody else chose the key of: one that is `taken` is renamed.
    pub(super) fn add_free(&mut self, key: &str, value: &str, taken: impl Fn(&str) -> bool) {
        self.add(&free(key, taken), value);
    }

    /// The same; values of a key that repeats are joined by commas.
    pub(super) fn join(&mut self, key: &str, value: &str, taken: impl Fn(&str) -> bool) {
        let key = free(key, taken);
        let Some((_, before)) = self.find(&key).and_then(|place| self.pairs.get_mut(place)) else {
            self.add(&key, value);
            return;
        };
        let bytes = self.bytes + 2 * (value.len().min(MAX_TAG) + 1);
        if bytes <= MAX_TAGS {
            self.bytes = bytes;
            *before = word(&format!("{before},{value}"), MAX_TAG);
        }
    }

    /// Writes them, sorted by key: `,key=value,key=value`.
    pub(super) fn write(mut self, out: &mut Vec<u8>) {
        self.pairs.sort_unstable();
        for (key, value) in &self.pairs {
            write_tag(key, value, out);
        }
    }

    /// Whether there is a tag of that key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    fn find(&self, key: &str) -> Option<usize> {
        self.pairs.iter().position(|(known, _)| known == key)
    }
}

/// Writes one more tag behind others, unless its value is empty: `,key=value`.
pub(super) fn tag(key: &str, value: &str, out: &mut Vec<u8>) {
    let value = word(value, MAX_TAG);
    if !value.is_empty() {
        write_tag(key, &value, out);
    }
}

/// The same for a key and a value that are legal, which need no look.
pub(super) fn plain_tag(key: &str, value: &str, out: &mut Vec<u8>) {
    if !value.is_empty() {
        for part in [",", key, "=", value] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

/// A key for a field of somebody else's name; `time` is no key.
pub(super) fn key(name: &str) -> String {
    match word(name, MAX_KEY) {
        name if name.is_empty() => "unnamed".to_owned(),
        name if name == "time" => "time_value".to_owned(),
        name => name,
    }
}

/// Writes a field behind a blank or a comma. `key` is a constant or from [`key`].
pub(super) fn field(separator: u8, key: &str, value: Field<'_>, out: &mut Vec<u8>) {
    out.push(separator);
    if memchr::memchr3(b',', b'=', b' ', key.as_bytes()).is_some() {
        escape(key, b",= ", out);
    } else {
        out.extend_from_slice(key.as_bytes());
    }
    out.push(b'=');
    match value {
        Field::Float(value) => number(value, out),
        Field::Integer(value) => {
            #[expect(clippy::cast_possible_truncation, reason = "saturates")]
            let whole = value.round() as i64;
            out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
            out.push(b'i');
        }
        Field::Text(value) => {
            out.push(b'"');
            quoted(value, out);
            out.push(b'"');
        }
    }
}

/// Writes the time, in ns since the epoch, which ends the line.
pub(super) fn time(millis: i64, nanos: i64, out: &mut Vec<u8>) {
    out.push(b' ');
    let time = millis.saturating_mul(1_000_000).saturating_add(nanos);
    out.extend_from_slice(itoa::Buffer::new().format(time).as_bytes());
}

/// How many bytes a character of text takes between quotes.
pub(super) const fn width(c: char) -> usize {
    match c {
        '"' | '\\' => 2,
        _ => c.len_utf8(),
    }
}

fn write_tag(key: &str, value: &str, out: &mut Vec<u8>) {
    out.push(b',');
    escape(key, b",= ", out);
    out.push(b'=');
    escape(value, b",= ", out);
}

/// The inside of text in quotes.
fn quoted(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        let (plain, from) = rest.split_at(at);
        out.extend_from_slice(plain);
        out.push(b'\\');
        out.extend(from.first());
        rest = from.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

fn escape(text: &str, special: &[u8], out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| special.contains(byte)) {
        let (plain, from) = rest.split_at(at);
        out.extend_from_slice(plain);
        out.push(b'\\');
        out.extend(from.first());
        rest = from.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// A key that no field has, and that isn't `time`.
fn free(key: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut key = word(key, MAX_KEY - RENAMED.len());
    if key == "time" || taken(&key) {
        key.push_str(RENAMED);
    }
    key
}

/// A key or a tag's value, made legal: without what can't be escaped, and at most so long.
fn word(text: &str, max: usize) -> String {
    let cut = start(text, max);
    let mut word = String::with_capacity(cut.len());
    // Backslashes that stand for themselves if what follows is not to be escaped.
    let mut backslashes = 0;
    for c in cut.chars() {
        let c = if c.is_control() { ' ' } else { c };
        match c {
            '\\' => backslashes += 1,
            ',' | '=' | ' ' => {
                backslashes = 0;
                word.push(c);
            }
            _ => {
                word.extend(std::iter::repeat_n('\\', std::mem::take(&mut backslashes)));
                word.push(c);
            }
        }
    }
    word.trim().to_owned()
}

#[cfg(test)]
pub(super) mod reader {
    //! A strict reader, by the letter of `InfluxDB`'s 1.x grammar.

    /// A point that was read.
    #[derive(Clone, Debug, PartialEq)]
    pub(crate) struct Point {
        pub(crate) measurement: String,
        pub(crate) tags: Vec<(String, String)>,
        pub(crate) fields: Vec<(String, Value)>,
        pub(crate) time: i64,
    }

    #[derive(Clone, Debug, PartialEq)]
    pub(crate) enum Value {
        Float(f64),
        Integer(i64),
        Text(String),
    }

    impl Point {
        pub(crate) fn tag(&self, key: &str) -> Option<&str> {
            self.tags.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
        }

        pub(crate) fn field(&self, key: &str) -> Option<&Value> {
            self.fields.iter().find(|(known, _)| known == key).map(|(_, value)| value)
        }
    }

    /// Reads a whole body; `None` if anything in it is not as it must be.
    pub(crate) fn read(body: &str) -> Option<Vec<Point>> {
        let mut rest = body;
        let mut points = Vec::new();
        while !rest.is_empty() {
            points.push(point(&mut rest)?);
            rest = rest.strip_prefix('\n')?;
        }
        Some(points)
    }

    fn point(rest: &mut &str) -> Option<Point> {
        let measurement = word(rest, ", ").filter(|name| !name.starts_with('#'))?;
        let mut tags: Vec<(String, String)> = Vec::new();
        let mut fields: Vec<(String, Value)> = Vec::new();
        while take(rest, ',') {
            let key = word(rest, ",= ")?;
            let value = take(rest, '=').then(|| word(rest, ",= "))??;
            tags.push((key, value));
        }
        let mut separator = ' ';
        while take(rest, separator) {
            let key = word(rest, ",= ")?;
            fields.push((key, take(rest, '=').then(|| value(rest))??));
            separator = ',';
        }
        let time = take(rest, ' ').then(|| number(rest).parse().ok())??;
        let keys: Vec<_> = tags.iter().map(|tag| &tag.0).chain(fields.iter().map(|field| &field.0)).collect();
        let once = keys.iter().enumerate().all(|(place, key)| !keys[..place].contains(key) && *key != "time");
        (once && !fields.is_empty()).then_some(Point { measurement, tags, fields, time })
    }

    fn take(rest: &mut &str, c: char) -> bool {
        rest.strip_prefix(c).map(|after| *rest = after).is_some()
    }

    /// What both ways to read a backslash agree on: that it takes the next
    /// character with it, and that it does so only before a special one.
    fn word(rest: &mut &str, special: &str) -> Option<String> {
        let mut word = String::new();
        let mut chars = rest.char_indices().peekable();
        let end = loop {
            let Some((at, c)) = chars.next() else { break rest.len() };
            match c {
                '\\' => {
                    let (_, next) = *chars.peek()?;
                    if special.contains(next) {
                        // An odd number of backslashes is read in one way by some, and in another by others.
                        if word.ends_with('\\') {
                            return None;
                        }
                        word.push(next);
                        chars.next();
                    } else {
                        word.push(c);
                    }
                }
                c if special.contains(c) => break at,
                c if c.is_control() => return None,
                c => word.push(c),
            }
        };
        *rest = &rest[end..];
        (!word.is_empty() && !word.ends_with('\\')).then_some(word)
    }

    fn number<'a>(rest: &mut &'a str) -> &'a str {
        let end = rest.find([',', ' ', '\n']).unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        *rest = after;
        number
    }

    fn value(rest: &mut &str) -> Option<Value> {
        if !take(rest, '"') {
            let number = number(rest);
            return match number.strip_suffix('i') {
                Some(whole) => whole.parse().ok().map(Value::Integer),
                None => number.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float),
            };
        }
        let mut text = String::new();
        let mut chars = rest.char_indices();
        loop {
            match chars.next()? {
                (at, '"') => {
                    *rest = &rest[at + 1..];
                    return Some(Value::Text(text));
                }
                (_, '\\') => text.push(chars.next().map(|(_, c)| c).filter(|c| matches!(c, '"' | '\\'))?),
                (_, c) => text.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::reader::Value;
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> String {
        let mut tags = Tags::default();
        for (key, value) in pairs {
            tags.join(key, value, |key| key == "taken");
        }
        let mut out = Vec::new();
        tags.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tags_are_legal() {
        for (pairs, expected) in [
            (&[("b", "2"), ("a", "1")][..], ",a=1,b=2"),
            (&[("a b", "x, y=z")], r",a\ b=x\,\ y\=z"),
            (&[("a", ""), ("", "x"), ("b", " \t"), ("c", "\\")], ""),
            (&[("a", "x"), ("a", "y")], r",a=x\,y"),
            (&[("path", r"C:\Program Files\")], r",path=C:\Program\ Files"),
            (&[("a", r"x\,y\\ z\\t")], r",a=x\,y\ z\\t"),
            (&[("a", "two\nlines")], r",a=two\ lines"),
            (&[("taken", "1"), ("time", "2")], ",taken_tag=1,time_tag=2"),
        ] {
            assert_eq!(tags(pairs), expected, "{pairs:?}");
        }
        assert_eq!(tags(&[("a", &"é".repeat(2000))]).len(), ",a=".len() + 1024);
        assert_eq!(tags(&[(&"k".repeat(2000), "v")]).len(), 256 - "_tag".len() + ",=v".len());
        let many: Vec<_> = (0..100).map(|number| format!("{number}{}", "x".repeat(1000))).collect();
        assert!(tags(&many.iter().map(|text| (text.as_str(), text.as_str())).collect::<Vec<_>>()).len() < 64 << 10);
    }

    #[test]
    fn fields_are_of_their_type() {
        for (value, expected) in [
            (Field::Float(46.84), " f=46.84"),
            (Field::Float(3.0), " f=3"),
            (Field::Float(1e300), " f=1e+300"),
            (Field::Integer(46.5), " f=47i"),
            (Field::Integer(1e300), " f=9223372036854775807i"),
            (Field::Text("say \"hi\"\\\nbye"), " f=\"say \\\"hi\\\"\\\\\nbye\""),
        ] {
            let mut out = Vec::new();
            field(b' ', "f", value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        assert_eq!((key(" \\"), key("time"), key("a b")), ("unnamed".into(), "time_value".into(), "a b".into()));
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back(
            pairs in proptest::collection::vec((r#"[a-z ,="\\\n#é]{0,6}"#, r#"[a-z ,="\\\n#é]{0,6}"#), 0..8),
            name in r#"[a-z ,="\\\n#é]{0,6}"#,
            text in any::<String>(),
            float in any::<f64>().prop_filter("finite", |value| value.is_finite()),
        ) {
            let name = key(&name);
            let mut out = b"m".to_vec();
            let mut tags = Tags::default();
            for (key, value) in &pairs {
                tags.join(key, value, |key| key == name || key == "message");
            }
            tags.write(&mut out);
            field(b' ', "message", Field::Text(&text), &mut out);
            if name != "message" {
                field(b',', &name, Field::Float(float), &mut out);
            }
            time(1_764_000_000_123, 7, &mut out);
            out.push(b'\n');
            let body = String::from_utf8(out).unwrap();
            let points = reader::read(&body);
            prop_assert!(points.is_some(), "{body}");
            let point = &points.unwrap()[0];
            prop_assert_eq!(point.field("message"), Some(&Value::Text(text)));
            prop_assert_eq!(point.time, 1_764_000_000_123_000_007);
            if name != "message" {
                let Some(Value::Float(read)) = point.field(&name) else { panic!("{body}") };
                prop_assert!((read - float).abs() <= f64::EPSILON * float.abs());
            }
        }
    }
}
