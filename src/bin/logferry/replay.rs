use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use logferry::backend::{Backend, decompress, protobuf};
use logferry::delivery::{Http, Transport, TransportError};
use logferry::event::{Batch, Limits, Payload};
use logferry::forwarder::{Forwarder, Invocation, Note, Outcome};
use logferry::ledger::Ledger;
use logferry::model::{self, Log, Metric, Origin, Sink};
use logferry::request::{Destination, Endpoint, Frame, Request, Response};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::pretty::Pretty;
use crate::style::{Style, count};
use crate::summary::Summary;
use crate::{Format, ReplayArgs, Status, complain, now, ready, variable};

/// How long one payload may take: somebody waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// What gzip begins with.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What standard input is called.
const STDIN: &str = "standard input";

/// What is replayed: its name, and its bytes.
struct Input {
    name: String,
    bytes: Vec<u8>,
}

/// What the bytes of an input are.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Content {
    /// A batch: JSON, gzipped or not.
    Batch(Vec<u8>),
    /// What the Lambda is invoked with.
    Event(String),
}

/// Sends, or shows what would be sent.
struct Carrier {
    /// What sends; nothing when all is only shown.
    http: Option<Box<Http>>,
    /// Why standard output takes no more.
    unwritten: Cell<Option<io::Error>>,
}

/// Who watches what is made.
enum Watcher {
    Nobody,
    Pretty(Box<Pretty>),
    Summary(Box<Summary>),
}

/// Replays all inputs, one after another.
pub(crate) fn run(args: &ReplayArgs) -> io::Result<Status> {
    let (to, paths) = match sort_out(args) {
        Ok(sorted) => sorted,
        Err(wrong) => {
            complain(format_args!("logferry: {wrong}"));
            return Ok(Status::Usage);
        }
    };
    let inputs = inputs(&paths);
    let mut forwarder = match forwarder(args, &to.join(",")) {
        Ok(forwarder) => forwarder,
        Err(mistakes) => {
            for mistake in mistakes {
                complain(format_args!("wrong setting: {mistake}"));
            }
            return Ok(Status::Usage);
        }
    };
    let mut watcher = match (args.format, args.summary) {
        (_, true) => Watcher::Summary(Box::default()),
        (Format::Pretty, false) if !args.dry_run => Watcher::Pretty(Box::default()),
        _ => Watcher::Nobody,
    };
    let mut total = Outcome { ledger: forwarder.ledger(), ..Outcome::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let progress = Progress::new(inputs.len());
    let mut all_read = true;
    for (index, path) in inputs.iter().enumerate() {
        progress.show(index, path);
        let input = match read(path) {
            Ok(input) => input,
            Err(error) => {
                progress.clear();
                complain(format_args!("{} cannot be read: {error}", path.display()));
                all_read = false;
                continue;
            }
        };
        for content in contents(&input, forwarder.limits) {
            let outcome = runtime.block_on(replay(&mut forwarder, &content, &mut watcher));
            if let Some(error) = forwarder.transport.unwritten.take() {
                progress.clear();
                return Err(unwritten(&error));
            }
            for note in &outcome.notes {
                progress.clear();
                complain(format_args!("{}: {note}", input.name));
            }
            total.add(outcome);
        }
    }
    progress.clear();
    let status = finish(args, &total, &watcher).map_err(|error| unwritten(&error))?;
    Ok(if all_read { status } else { Status::Incomplete })
}

fn unwritten(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write to standard output: {error}"))
}

/// Backends and paths: `--to datadog fixtures/events` takes both, and a path is no backend.
///
/// # Errors
///
/// Says what is neither.
fn sort_out(args: &ReplayArgs) -> Result<(Vec<String>, Vec<PathBuf>), String> {
    let (mut to, mut paths) = (Vec::new(), args.paths.clone());
    for name in args.to.iter().filter(|name| !name.trim().is_empty()) {
        let kind = name.split(':').next().unwrap_or_default().trim();
        if Backend::KINDS.contains(&kind) {
            to.push(name.clone());
        } else if name == "-" || Path::new(name).exists() {
            paths.push(name.into());
        } else {
            let known = Backend::KINDS.join("`, `");
            return Err(format!("`{name}` is neither a backend (`{known}`) nor a file or folder"));
        }
    }
    if let Some(path) = paths.iter().find(|path| path.as_os_str() != "-" && !path.exists()) {
        return Err(format!("{}: there is no such file or folder", path.display()));
    }
    if paths.is_empty() {
        return Err("nothing to replay: name a file, a folder, or `-` for standard input".to_owned());
    }
    Ok((to, paths))
}

async fn replay(forwarder: &mut Forwarder<Carrier>, content: &Content, watcher: &mut Watcher) -> Outcome {
    let own = model::Forwarder {
        region: variable("AWS_REGION").filter(|region| !region.is_empty()),
        instance: format!("replay-{}", std::process::id()),
        ..Default::default()
    };
    let now = now();
    let seed = now.millis().unsigned_abs();
    let invocation = Invocation { forwarder: &own, now, deadline: Instant::now() + PATIENCE, seed };
    match content {
        Content::Event(event) => forwarder.handle(event, &invocation, watcher).await,
        Content::Batch(bytes) => {
            let batch = Batch::new(Payload::Bytes(bytes), forwarder.limits);
            forwarder.forward(batch, &invocation, watcher).await
        }
    }
}

/// Shows the end of the replay.
fn finish(args: &ReplayArgs, total: &Outcome, watcher: &Watcher) -> io::Result<Status> {
    let mut out = io::stdout().lock();
    let style = Style::of_stdout(variable("NO_COLOR").is_some_and(|value| !value.is_empty()));
    match watcher {
        Watcher::Nobody => {}
        Watcher::Pretty(pretty) => out.write_all(pretty.render(style).as_bytes())?,
        Watcher::Summary(summary) => out.write_all(summary.render(style).as_bytes())?,
    }
    match args.format {
        Format::Ndjson => writeln!(out, "{}", serde_json::to_string(&total.ledger)?)?,
        Format::Pretty => writeln!(out, "{}", sentence(&total.ledger, args.dry_run))?,
    }
    out.flush()?;
    let undelivered: u64 =
        total.ledger.backends.iter().map(|account| account.dropped_total() + account.stored.total()).sum();
    // The log of another logferry is told of, and replayed as any other.
    let hint = |note: &Note| matches!(note, Note::OtherForwarder { .. });
    let well = undelivered == 0 && total.ledger.damaged == 0 && total.notes.iter().all(hint);
    Ok(if well { Status::Fine } else { Status::Incomplete })
}

/// What went where, in words.
fn sentence(ledger: &Ledger, dry_run: bool) -> String {
    use std::fmt::Write;

    let (logs, metrics) = (count(ledger.made.logs, "log"), count(ledger.made.metrics, "metric"));
    let mut said = format!("{} became {logs} and {metrics}", count(ledger.received, "log event"));
    if ledger.consumed > 0 {
        let _ = write!(said, "; {} carried only a metric", count(ledger.consumed, "line"));
    }
    if ledger.control_messages > 0 {
        let _ = write!(said, "; {}", count(ledger.control_messages, "control message"));
    }
    if ledger.damaged > 0 {
        let _ = write!(said, "; {} damaged", ledger.damaged);
    }
    for account in &ledger.backends {
        let verb = if dry_run { "would get" } else { "got" };
        let _ = write!(said, "\n{} {verb} {}", account.backend, account.sent.total());
        if account.requests > 0 {
            let _ = write!(said, " in {} of {}", count(account.requests, "request"), count(account.bytes, "byte"));
        }
        if account.filtered.total() > 0 {
            let _ = write!(said, "; {} kept back by the settings", account.filtered.total());
        }
        if account.stored.total() > 0 {
            let _ = write!(said, "; {} stored: `logferry redrive` sends them again", account.stored.total());
        }
        for (reason, weight) in &account.dropped {
            let _ = write!(said, "; {} not delivered ({})", weight.total(), reason.as_str());
        }
    }
    said
}

/// Everything wired as in the Lambda; standard output is where nothing else is said.
fn forwarder(args: &ReplayArgs, to: &str) -> Result<Forwarder<Carrier>, Vec<logferry::env::Mistake>> {
    let lookup = |name: &str| {
        if name == "LOGFERRY_BACKENDS" && !to.is_empty() { Some(to.to_owned()) } else { variable(name) }
    };
    let mut forwarder = match ready(&lookup, Some("stdout")) {
        Ok(ready) => ready?,
        Err(error) => return Err(vec![logferry::env::Mistake { name: "replay".to_owned(), what: error.to_string() }]),
    };
    if args.format == Format::Pretty && !args.dry_run {
        // The watcher shows it.
        forwarder.backends.retain(|backend| backend.name() != "stdout");
    }
    let Forwarder { pipeline, backends, transport, limits, sending, store } = forwarder;
    let transport = Carrier { http: (!args.dry_run).then(|| Box::new(transport)), unwritten: Cell::default() };
    // What is only shown isn't kept.
    let store = store.filter(|_| !args.dry_run);
    Ok(Forwarder { pipeline, backends, transport, limits, sending, store })
}

/// All files, those in folders by name. A folder that can't be looked into is as a file that can't be read.
fn inputs(paths: &[PathBuf]) -> Vec<PathBuf> {
    let inside = |path: &PathBuf| match files_in(path) {
        Ok(Some(files)) => inputs(&files),
        Ok(None) | Err(_) => vec![path.clone()],
    };
    paths.iter().flat_map(inside).collect()
}

/// What is in a folder, by name, without what is hidden and links to where the folder is itself.
fn files_in(path: &Path) -> io::Result<Option<Vec<PathBuf>>> {
    if !path.is_dir() {
        return Ok(None);
    }
    let here = path.canonicalize()?;
    let mut files: Vec<_> =
        std::fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?.iter().map(std::fs::DirEntry::path).collect();
    files.retain(|path| {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        !hidden && !path.canonicalize().is_ok_and(|place| here.starts_with(place))
    });
    files.sort();
    Ok(Some(files))
}

fn read(path: &Path) -> io::Result<Input> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        io::stdin().lock().read_to_end(&mut bytes)?;
        return Ok(Input { name: STDIN.to_owned(), bytes });
    }
    Ok(Input { name: path.display().to_string(), bytes: std::fs::read(path)? })
}

/// What an input holds, gzipped or not: an event, a batch, either of them on each line, or the lines of a log.
fn contents(input: &Input, limits: Limits) -> Vec<Content> {
    let inflated = inflated(&input.bytes, limits);
    let bytes = match &inflated {
        Some(inflated) => inflated,
        // What can't be inflated is damaged, or too large: the forwarder says how.
        None if input.bytes.starts_with(&GZIP_MAGIC) => return vec![Content::Batch(input.bytes.clone())],
        None => &input.bytes,
    };
    let decoded = without_mark(bytes);
    let bytes = decoded.as_ref();
    if let Some(content) = one(bytes) {
        return vec![content];
    }
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let lines: Option<Vec<_>> = lines.map(one).collect();
    match lines {
        Some(lines) if !lines.is_empty() => lines,
        // What begins as an event or a batch is one that is damaged: the forwarder says how.
        _ if looks_like_batch(bytes) => vec![Content::Batch(bytes.to_vec())],
        _ => vec![Content::Batch(log_lines(&String::from_utf8_lossy(bytes), &input.name))],
    }
}

/// What gzip holds, all of its members; nothing when it isn't gzip, is damaged, or holds more than is read.
fn inflated(bytes: &[u8], limits: Limits) -> Option<Vec<u8>> {
    let mut inflated = Vec::new();
    let mut members = bytes.starts_with(&GZIP_MAGIC).then(|| MultiGzDecoder::new(bytes))?.take(limits.inflated_bytes);
    members.read_to_end(&mut inflated).ok()?;
    (members.limit() > 0).then_some(inflated)
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

fn one(bytes: &[u8]) -> Option<Content> {
    let text = String::from_utf8_lossy(bytes);
    let object: HashMap<String, &RawValue> = serde_json::from_str(&text).ok()?;
    if object.contains_key("logEvents") {
        return Some(Content::Batch(bytes.to_vec()));
    }
    if ["awslogs", "Records", "records"].iter().any(|key| object.contains_key(*key)) {
        return Some(Content::Event(text.into_owned()));
    }
    // Lambda's record of an invocation that failed.
    let event = object.get("requestPayload").filter(|payload| payload.get().starts_with('{'))?;
    Some(Content::Event(event.get().to_owned()))
}

fn looks_like_batch(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii_start();
    let head = String::from_utf8_lossy(bytes.get(..2000).unwrap_or(bytes));
    head.starts_with('{')
        && ["\"messageType\"", "\"logEvents\"", "\"logGroup\"", "\"awslogs\""].iter().any(|key| head.contains(key))
}

/// A batch of the lines of a log, as `aws logs tail` or a test prints them: the
/// file's name stands for the function's.
fn log_lines(text: &str, name: &str) -> Vec<u8> {
    let stem = Path::new(name).file_stem().filter(|_| name != STDIN);
    let function = stem.map_or_else(|| "stdin".to_owned(), |stem| stem.to_string_lossy().replace(' ', "-"));
    let time = now().millis();
    let mut events: Vec<(String, usize)> = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        match events.last_mut() {
            // The line that continues a REPORT belongs to its event.
            Some((report, _)) if line.starts_with("XRAY TraceId: ") && report.starts_with("REPORT ") => {
                report.push('\n');
                report.push_str(line);
            }
            _ => events.push((line.to_owned(), number + 1)),
        }
    }
    let events: Vec<_> = events
        .iter()
        .map(|(message, number)| serde_json::json!({ "id": number.to_string(), "timestamp": time, "message": message }))
        .collect();
    let batch = serde_json::json!({
        "messageType": "DATA_MESSAGE", "owner": "", "logGroup": format!("/aws/lambda/{function}"), "logStream": "", "logEvents": events,
    });
    batch.to_string().into_bytes()
}

impl Transport for Carrier {
    async fn send(&self, request: &Request, until: Instant) -> Result<Response, TransportError> {
        match (&self.http, &request.destination) {
            (Some(http), Destination::Http(_)) => http.send(request, until).await,
            _ => match show(request) {
                Ok(()) => Ok(taken()),
                Err(error) => {
                    let said = TransportError::Output(error.to_string());
                    self.unwritten.set(Some(error));
                    Err(said)
                }
            },
        }
    }
}

/// An answer by which every backend's intake would say that all is taken: Elasticsearch's says so in its body, and
/// that of remote write 2.0 in its headers.
fn taken() -> Response {
    let telling = vec!["x-prometheus-remote-write-samples-written".to_owned()];
    Response { status: 200, body: b"{\"errors\":false}".to_vec(), telling, ..Response::default() }
}

/// Prints a request as it is or would be sent, its body readable and its secrets masked.
fn show(request: &Request) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let body = decompress(request.compression, &request.body).unwrap_or_default();
    if let Destination::Http(Endpoint { url, headers, .. }) = &request.destination {
        writeln!(out, "POST {url}")?;
        for (name, value) in headers {
            writeln!(out, "{name}: {value}")?;
        }
        writeln!(out, "Content-Length: {}\n", request.body.len())?;
        if matches!(request.frame, Frame::Protobuf(_)) {
            return writeln!(out, "{}", protobuf::describe(&body));
        }
        out.write_all(&body)?;
        return writeln!(out, "\n");
    }
    out.write_all(&body)
}

impl Sink for Watcher {
    fn log(&mut self, origin: &Origin, log: &Log<'_>) {
        match self {
            Self::Nobody => {}
            Self::Pretty(pretty) => pretty.log(origin, log),
            Self::Summary(summary) => summary.log(origin, log),
        }
    }

    fn wants_json_fields(&self) -> bool {
        matches!(self, Self::Pretty(_))
    }

    fn metrics(&mut self, origin: &Origin, metrics: &[Metric<'_>]) {
        match self {
            Self::Nobody => {}
            Self::Pretty(pretty) => pretty.metrics(origin, metrics),
            Self::Summary(summary) => summary.metrics(origin, metrics),
        }
    }
}

/// Where a long replay is, when somebody watches.
struct Progress {
    total: usize,
    shown: bool,
}

impl Progress {
    fn new(total: usize) -> Self {
        Self { total, shown: total > 1 && io::stderr().is_terminal() }
    }

    fn show(&self, index: usize, path: &Path) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K{} of {}: {}", index + 1, self.total, path.display());
        }
    }

    fn clear(&self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
