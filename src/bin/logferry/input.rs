//! What is replayed: files, folders and standard input, and what they hold.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use logferry::event::Limits;
use serde_json::value::RawValue;

use crate::{fetched, lines, streams};

/// What gzip begins with.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// So many bytes tell whether something is text.
const HEAD: usize = 4096;

/// What standard input is called.
pub(crate) const STDIN: &str = "standard input";

/// What is replayed: its name, and its bytes.
pub(crate) struct Input {
    pub(crate) name: String,
    bytes: Vec<u8>,
}

/// What the bytes of an input are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Content {
    /// A batch: JSON, gzipped or not.
    Batch(Vec<u8>),
    /// Log events that came another way, as a batch.
    Events(streams::Batch),
    /// What the Lambda is invoked with.
    Event(String),
}

/// What an input holds.
pub(crate) struct Contents {
    pub(crate) all: Vec<Content>,
    /// What of it isn't replayed, and why.
    pub(crate) complaint: Option<String>,
}

impl From<Vec<Content>> for Contents {
    fn from(all: Vec<Content>) -> Self {
        Self { all, complaint: None }
    }
}

impl Contents {
    /// Nothing that is replayed, and why.
    const fn none(complaint: String) -> Self {
        Self { all: Vec::new(), complaint: Some(complaint) }
    }
}

impl Input {
    /// Reads a file, or standard input where the path is `-`.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        if path.as_os_str() == "-" {
            io::stdin().lock().read_to_end(&mut bytes)?;
            return Ok(Self { name: STDIN.to_owned(), bytes });
        }
        Ok(Self { name: path.display().to_string(), bytes: std::fs::read(path)? })
    }

    /// What it holds, gzipped or not: an event, a batch, either of them on each line or in a list, what CloudWatch Logs
    /// gives out of a log, or the lines of one.
    pub(crate) fn contents(&self, limits: Limits) -> Contents {
        if !self.bytes.starts_with(&GZIP_MAGIC) {
            return self.read_as(&self.bytes, false);
        }
        let (bytes, breaks_off) = inflated(&self.bytes, limits);
        let Some(why) = breaks_off else { return self.read_as(&bytes, true) };
        let begun = without_mark(&bytes);
        if unreadable(&begun, true).is_none() && (begun.is_empty() || looks_like_batch(&begun) || one(&begun).is_some())
        {
            // The forwarder says how.
            return vec![Content::Batch(self.bytes.clone())].into();
        }
        let Contents { all, complaint } = self.read_as(&bytes, true);
        Contents { all, complaint: complaint.or_else(|| Some(why.to_owned())) }
    }

    /// What bytes hold, which may have been inflated.
    fn read_as(&self, bytes: &[u8], inflated: bool) -> Contents {
        let decoded = without_mark(bytes);
        let bytes = decoded.as_ref();
        if let Some(complaint) = unreadable(bytes, inflated) {
            return Contents::none(complaint);
        }
        if let Some(content) = one(bytes) {
            return vec![content].into();
        }
        if let Some(all) = list(bytes) {
            return all.into();
        }
        if let Some(fetched) = fetched::contents(bytes, &self.name) {
            return fetched;
        }
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let lines: Option<Vec<_>> = lines.map(one).collect();
        match lines {
            Some(lines) if !lines.is_empty() => lines.into(),
            // What begins as an event or a batch is one that is damaged: the forwarder says how.
            _ if looks_like_batch(bytes) => vec![Content::Batch(bytes.to_vec())].into(),
            _ => lines::batches(&String::from_utf8_lossy(bytes), &self.name).into(),
        }
    }
}

/// All files, those in folders sorted by name. A folder that can't be read is named itself, and fails where it is read.
pub(crate) fn files(paths: &[PathBuf]) -> Vec<PathBuf> {
    let inside = |path: &PathBuf| match files_in(path) {
        Ok(Some(inside)) => files(&inside),
        Ok(None) | Err(_) => vec![path.clone()],
    };
    paths.iter().flat_map(inside).collect()
}

/// Whether a path that was found in a folder is one to be read: a pipe would be waited for, without end.
fn is_file(path: &Path) -> bool {
    path.is_file() || path.is_dir() || !path.exists()
}

/// What is in a folder, sorted by name, without hidden files and without links that lead back to the folder or above
/// it; `None` when it isn't a folder.
fn files_in(path: &Path) -> io::Result<Option<Vec<PathBuf>>> {
    if !path.is_dir() {
        return Ok(None);
    }
    let here = path.canonicalize()?;
    let mut files: Vec<_> =
        std::fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?.iter().map(std::fs::DirEntry::path).collect();
    files.retain(|path| {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        !hidden && is_file(path) && !path.canonicalize().is_ok_and(|place| here.starts_with(place))
    });
    files.sort();
    Ok(Some(files))
}

/// What gzip holds, all of its members, and why that may not be all.
fn inflated(bytes: &[u8], limits: Limits) -> (Vec<u8>, Option<&'static str>) {
    let mut inflated = Vec::new();
    let mut members = MultiGzDecoder::new(bytes).take(limits.inflated_bytes);
    // What is damaged begins with what was inflated before.
    let read = members.read_to_end(&mut inflated);
    let breaks_off = match read {
        Err(_) => Some("is gzip that is damaged or breaks off: what could be read before that is replayed"),
        Ok(_) if members.limit() == 0 => {
            Some("holds more than may be inflated (LOGFERRY_MAX_INFLATED_BYTES): what is before that is replayed")
        }
        Ok(_) => None,
    };
    (inflated, breaks_off)
}

/// Without the byte-order mark that some programs begin a text with; what such a mark says is UTF-16 as UTF-8.
fn without_mark(bytes: &[u8]) -> Cow<'_, [u8]> {
    let utf_16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units =
            rest.chunks(2).map(|pair| unit([pair.first().copied().unwrap_or(0), pair.get(1).copied().unwrap_or(0)]));
        let text: String = char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        Cow::Owned(text.into_bytes())
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => Cow::Borrowed(rest),
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes),
        _ => Cow::Borrowed(bytes),
    }
}

/// Says why nothing can be made of bytes, which may have been inflated: they are packed, or no text.
fn unreadable(bytes: &[u8], inflated: bool) -> Option<String> {
    const FORMS: [(&[u8], &str); 8] = [
        (b"BZh", "bzip2"),
        (b"PK\x03\x04", "a zip archive"),
        (b"(\xb5/\xfd", "zstd"),
        (b"\xfd7zXZ\0", "xz"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"PAR1", "Parquet"),
        (b"\xff\x06\0\0sNaPpY", "snappy"),
    ];
    if is_tar(bytes) {
        return Some("is a tar archive, which isn't read: unpack it first".to_owned());
    }
    if let Some((_, form)) = FORMS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(format!("is {form}, which isn't read: unpack it first, or pack it with gzip"));
    }
    let what = if inflated { "gzip, and what it holds is no UTF-8 text" } else { "neither UTF-8 text nor gzip" };
    (!is_text(bytes)).then(|| format!("is {what}: nothing of it is replayed"))
}

/// Whether bytes are a tar, of POSIX or of GNU.
fn is_tar(bytes: &[u8]) -> bool {
    let magic = bytes.get(257..).unwrap_or_default();
    magic.starts_with(b"ustar\0") || magic.starts_with(b"ustar  \0")
}

/// Whether bytes begin as a text does, be it one with colours, in another character set or with a dump amid it.
fn is_text(bytes: &[u8]) -> bool {
    /// Forms that may begin with much text.
    const OTHERS: [&[u8]; 3] = [b"\x89PNG\r\n", b"\xff\xd8\xff", b"%PDF-"];
    let head = bytes.get(..HEAD).unwrap_or(bytes);
    let broken: usize = head.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    let controls = head.iter().filter(|byte| is_odd_control(**byte)).count();
    // Of UTF-16 whose beginning doesn't say so, every second byte.
    let zeros = memchr::memchr_iter(0, head).count();
    // Of what is compressed, one byte in ten is such a control character, and most others are no UTF-8.
    let is_binary = zeros * 3 > head.len() || controls * 32 > head.len() && (controls + broken) * 4 > head.len();
    !is_binary && !OTHERS.iter().any(|magic| bytes.starts_with(magic))
}

/// Whether a byte is a control character that texts for a terminal don't have: neither white space, nor a bell, a step
/// back, or the beginning of a colour.
const fn is_odd_control(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, 0x07..=0x0d | 0x1b)
}

/// Events and batches in a list; `None` for anything else.
fn list(bytes: &[u8]) -> Option<Vec<Content>> {
    let text = String::from_utf8_lossy(bytes);
    let list: Vec<&RawValue> = serde_json::from_str(&text).ok()?;
    let all: Vec<_> = list.iter().map(|item| one(item.get().as_bytes())).collect::<Option<_>>()?;
    (!all.is_empty()).then_some(all)
}

/// One event or batch; `None` for anything else.
fn one(bytes: &[u8]) -> Option<Content> {
    let text = String::from_utf8_lossy(bytes);
    let object: HashMap<String, &RawValue> = serde_json::from_str(&text).ok()?;
    // Applications have such keys, too, with other values.
    let has = |key: &str, begins: char| object.get(key).is_some_and(|value| value.get().starts_with(begins));
    let kinds = ["\"DATA_MESSAGE\"", "\"CONTROL_MESSAGE\""];
    if has("logEvents", '[') || object.get("messageType").is_some_and(|kind| kinds.contains(&kind.get())) {
        return Some(Content::Batch(bytes.to_vec()));
    }
    if has("awslogs", '{') || has("Records", '[') || has("records", '[') {
        return Some(Content::Event(text.into_owned()));
    }
    // Lambda's record of an invocation that failed.
    let event = object.get("requestPayload").filter(|payload| payload.get().starts_with('{'))?;
    Some(Content::Event(event.get().to_owned()))
}

fn looks_like_batch(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii_start();
    let head = String::from_utf8_lossy(bytes.get(..2000).unwrap_or(bytes));
    // A line that is an object, and no batch, is one of an application.
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_whole = serde_json::from_slice::<HashMap<String, &RawValue>>(first).is_ok();
    head.starts_with('{')
        && !is_whole
        && ["\"messageType\"", "\"logEvents\"", "\"logGroup\"", "\"awslogs\""].iter().any(|key| head.contains(key))
}
