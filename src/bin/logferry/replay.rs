//! `logferry replay`: captured events through the forwarder, shown or sent.

use std::cell::Cell;
use std::future::pending;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use logferry::backend::{Backend, decompress, protobuf};
use logferry::delivery::{ENDING, Http, Transport, TransportError};
use logferry::env::Mistake;
use logferry::event::{Batch, Limits, Payload};
use logferry::forwarder::{Forwarder, Invocation, Note, Outcome};
use logferry::ledger::Ledger;
use logferry::model::{Log, Metric, Origin, Sink};
use logferry::request::{Destination, Endpoint, Frame, Request, Response};
use tokio::time::Instant;

use crate::input::{Content, Contents, Input, files};
use crate::interrupt::Interrupt;
use crate::pretty::Pretty;
use crate::style::{Style, count, is_dumb};
use crate::summary::Summary;
use crate::{Format, ReplayArgs, Status, complain, now, ready, refuse, stand_in, variable};

/// How long one payload may take that is only shown: whoever reads may take their time.
const READING: Duration = Duration::from_hours(1000);

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
    if args.summary && args.format == Format::Ndjson {
        complain("logferry: --summary is a table for people, and --format ndjson is none: leave one of them out");
        return Ok(Status::Usage);
    }
    let files = files(&paths);
    if files.is_empty() {
        complain("logferry: nothing to replay: there is no file in the folder");
        return Ok(Status::Usage);
    }
    let mut forwarder = match forwarder(args, &to.join(",")) {
        Ok(forwarder) => forwarder,
        Err(mistakes) => return Ok(refuse(&mistakes)),
    };
    let mut watcher = match (args.format, args.summary) {
        (_, true) => Watcher::Summary(Box::default()),
        (Format::Pretty, false) if !args.dry_run => Watcher::Pretty(Box::default()),
        _ => Watcher::Nobody,
    };
    let mut total = Outcome { ledger: forwarder.ledger(), ..Outcome::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let interrupt = interrupt(&mut forwarder)?;
    let progress = Progress::new(files.len());
    let mut all_read = true;
    'files: for (index, path) in files.iter().enumerate() {
        progress.show(index, path);
        let input = match Input::read(path) {
            Ok(input) => input,
            Err(error) => {
                progress.clear();
                complain(format_args!("{} cannot be read: {error}", path.display()));
                all_read = false;
                continue;
            }
        };
        let Contents { all, complaint } = input.contents(forwarder.limits);
        if let Some(complaint) = complaint {
            progress.clear();
            complain(format_args!("{}: {complaint}", input.name));
            all_read = false;
        }
        let payloads = all.len();
        for (place, content) in all.iter().enumerate() {
            let mut work = || runtime.block_on(replay(&mut forwarder, content, args.timeout, &mut watcher));
            let outcome = match &interrupt {
                Some(interrupt) => interrupt.during(work),
                None => work(),
            };
            if let Some(error) = forwarder.transport.unwritten.take() {
                progress.clear();
                return Err(unwritten(&error));
            }
            for note in &outcome.notes {
                progress.clear();
                complain(format_args!("{}: {}", input.name, told(note, args.timeout)));
            }
            total.add(outcome);
            if interrupt.as_ref().is_some_and(Interrupt::is_told) {
                progress.clear();
                let (payloads, files) = (payloads - place - 1, files.len() - index - 1);
                if payloads + files > 0 {
                    complain(format_args!("not begun: {}", left(payloads, files, &input.name)));
                }
                all_read = false;
                break 'files;
            }
        }
    }
    progress.clear();
    let status = finish(args, &total, &watcher).map_err(|error| unwritten(&error))?;
    Ok(if all_read { status } else { Status::Incomplete })
}

/// Listens to Ctrl-C where something is sent; elsewhere it ends the command as ever.
fn interrupt(forwarder: &mut Forwarder<Carrier>) -> io::Result<Option<Interrupt>> {
    let is_remote = forwarder.backends.iter().any(Backend::is_remote);
    let Some(http) = forwarder.transport.http.as_mut().filter(|_| is_remote) else { return Ok(None) };
    let interrupt = Interrupt::listen()?;
    http.end_with(interrupt.ending());
    Ok(Some(interrupt))
}

/// What wasn't begun.
fn left(payloads: usize, files: usize, name: &str) -> String {
    let payloads = (payloads > 0).then(|| format!("{} of {name}", count(payloads as u64, "payload")));
    let files = (files > 0).then(|| count(files as u64, "file"));
    payloads.into_iter().chain(files).collect::<Vec<_>>().join(" and ")
}

/// A note as it holds here, where no function has a timeout and nobody asks again for what wasn't read.
fn told(note: &Note, timeout: u64) -> String {
    let what = match note {
        Note::CutShort { read, .. } => {
            format!("{} of the payload read and the rest not replayed", count(*read, "log event"))
        }
        Note::Late { records } => format!("{} of the event not replayed", count(*records as u64, "record")),
        note => {
            let said = note.to_string();
            return said.split_once(ENDING).map_or_else(|| said.clone(), |(what, _)| format!("{what}interrupted"));
        }
    };
    format!("sending was ended after {timeout} s with {what}: raise --timeout, or find out why the intake is slow")
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

/// Replays one payload; sending it may take so many seconds.
async fn replay(forwarder: &mut Forwarder<Carrier>, content: &Content, timeout: u64, watcher: &mut Watcher) -> Outcome {
    let own = stand_in("replay");
    let now = now();
    let seed = now.millis().unsigned_abs();
    let is_sent = forwarder.transport.http.is_some() && forwarder.backends.iter().any(Backend::is_remote);
    let start = Instant::now();
    let deadline = start + if is_sent { Duration::from_secs(timeout) } else { READING };
    let invocation = Invocation { forwarder: &own, now, start, deadline, seed };
    match content {
        Content::Event(event) => forwarder.handle(event, &invocation, watcher).await,
        Content::Batch(bytes) => {
            let batch = Batch::new(Payload::Bytes(bytes), forwarder.limits);
            forwarder.forward(batch, &invocation, watcher).await
        }
        Content::Events(events) => {
            // Nothing of it was inflated.
            let limits = Limits { inflated_bytes: u64::MAX, ..forwarder.limits };
            let events = events.to_json();
            forwarder.forward(Batch::new(Payload::Bytes(&events), limits), &invocation, watcher).await
        }
    }
}

/// Shows the end of the replay.
fn finish(args: &ReplayArgs, total: &Outcome, watcher: &Watcher) -> io::Result<Status> {
    let mut out = io::stdout().lock();
    let style = Style::of_stdout(variable);
    match watcher {
        Watcher::Nobody => {}
        Watcher::Pretty(pretty) => out.write_all(pretty.render(style).as_bytes())?,
        Watcher::Summary(summary) => out.write_all(summary.render(style).as_bytes())?,
    }
    match args.format {
        Format::Ndjson => writeln!(out, "{}", serde_json::to_string(&total.ledger)?)?,
        Format::Pretty => {
            let said = sentence(&total.ledger, args.dry_run);
            // What isn't shown at a terminal stays a line each: programs may look for it.
            let said = if out.is_terminal() { style.wrap_lines(&said, 2) } else { said };
            writeln!(out, "{said}")?;
        }
    }
    out.flush()?;
    let undelivered: u64 =
        total.ledger.backends.iter().map(|account| account.dropped_total() + account.stored.total()).sum();
    // The log of another logferry is told of, and replayed as any other.
    let hint = |note: &Note| note.is_warning() || matches!(note, Note::OtherForwarder { .. });
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
fn forwarder(args: &ReplayArgs, to: &str) -> Result<Forwarder<Carrier>, Vec<Mistake>> {
    let lookup = |name: &str| {
        if name == "LOGFERRY_BACKENDS" && !to.is_empty() { Some(to.to_owned()) } else { variable(name) }
    };
    let mut forwarder = match ready(&lookup, Some("stdout")) {
        Ok(ready) => ready?,
        Err(error) => return Err(vec![Mistake { name: "replay".to_owned(), what: error.to_string() }]),
    };
    if args.format == Format::Pretty && !args.dry_run {
        // The watcher shows it.
        forwarder.backends.retain(|backend| backend.name() != "stdout");
    }
    let Forwarder { pipeline, backends, transport, limits, sending, store } = forwarder;
    let transport = Carrier { http: (!args.dry_run).then(|| Box::new(transport)), unwritten: Cell::default() };
    // What is only shown isn't kept.
    let store = store.filter(|_| !args.dry_run && backends.iter().any(Backend::is_remote));
    Ok(Forwarder { pipeline, backends, transport, limits, sending, store })
}

impl Transport for Carrier {
    async fn ended(&self) -> Instant {
        match &self.http {
            Some(http) => http.ended().await,
            None => pending().await,
        }
    }

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
        Self { total, shown: total > 1 && io::stderr().is_terminal() && !is_dumb(variable) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_short_speaks_of_no_function() {
        let advice = "raise --timeout, or find out why the intake is slow";
        let cut = Note::CutShort { log_group: "/aws/lambda/f".to_owned(), read: 1 };
        for (note, what) in [
            (cut, "1 log event of the payload read and the rest not replayed"),
            (Note::Late { records: 3 }, "3 records of the event not replayed"),
        ] {
            assert_eq!(told(&note, 30), format!("sending was ended after 30 s with {what}: {advice}"));
        }
        let other = Note::DamagedStored { key: "a".to_owned(), to: "b".to_owned() };
        assert_eq!(told(&other, 30), other.to_string());
    }
}
