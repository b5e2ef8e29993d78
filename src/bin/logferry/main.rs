//! The command line: the same forwarder as the Lambda, on a laptop.

mod check;
mod explain;
mod fetched;
mod input;
mod interrupt;
mod lines;
mod mixed;
mod pretty;
mod redrive;
mod replay;
mod streams;
mod style;
mod summary;

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand, ValueEnum};
use logferry::delivery::Http;
use logferry::env::{Mistake, read};
use logferry::forwarder::Forwarder;
use logferry::model::{self, Timestamp};
use logferry::settings::Settings;

/// Turns what AWS Lambda functions write to CloudWatch Logs into logs and metrics.
#[derive(Debug, Parser)]
#[command(name = "logferry", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows what the forwarder makes of events, and sends it where asked.
    ///
    /// Takes what the Lambda is invoked with, decoded batches, what `aws logs filter-log-events`, `get-log-events`,
    /// `get-query-results` and `tail` print, what the console exports as CSV or JSON, exports to S3, and plain lines of
    /// a log, each gzipped or not.
    Replay(ReplayArgs),
    /// Says what a line is and what was read from it.
    ///
    /// Without LINES, reads them from standard input: a line that is a JSON string stands for the text that it
    /// holds, and {"message":"…","timestamp":1700000000123} for a log event of that time.
    Explain(ExplainArgs),
    /// Checks the settings in the environment as the Lambda does at its start, and names those that are not read.
    Check,
    /// Sends again what could not be sent and was stored (`LOGFERRY_STORE`), the oldest first.
    Redrive(RedriveArgs),
}

#[derive(Debug, clap::Args)]
struct RedriveArgs {
    /// Show what is stored, and send nothing.
    #[arg(long)]
    dry_run: bool,
    /// Only what was meant for this backend.
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// Only what is older than this, as `30m` or `2h`.
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,
    /// Only keys that go on like this behind the backend, as `2026/11/20`.
    #[arg(long, value_parser = prefix)]
    prefix: Option<String>,
    /// At most so many requests.
    #[arg(long, value_name = "COUNT", value_parser = read::count)]
    max: Option<usize>,
    /// What was set aside, refused too often or too old, instead of what is pending.
    #[arg(long)]
    set_aside: bool,
}

fn prefix(value: &str) -> Result<String, String> {
    if value.split('/').any(|part| matches!(part, "." | "..")) {
        return Err("is no beginning of a key: expected a day or an hour, as `2026/11/20`".to_owned());
    }
    Ok(value.to_owned())
}

fn age(value: &str) -> Result<Duration, String> {
    match value.strip_suffix('h').map(str::parse::<u64>) {
        Some(Ok(hours)) => Ok(Duration::from_secs(hours.saturating_mul(3600))),
        _ => read::duration(value).map_err(|_| "is not an age: expected `30m` or `2h`".to_owned()),
    }
}

#[derive(Debug, clap::Args)]
struct ReplayArgs {
    /// Files, folders, or `-` for standard input.
    #[arg(required_unless_present = "to")]
    paths: Vec<PathBuf>,
    /// How to show what is made.
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    format: Format,
    /// Backends to send to, instead of those in `LOGFERRY_BACKENDS`.
    #[arg(long, value_name = "BACKEND", value_delimiter = ',', num_args = 1..)]
    to: Vec<String>,
    /// Show the requests, with secrets masked, and send none.
    #[arg(long)]
    dry_run: bool,
    /// Show what each function's invocations come to, and what one would change.
    #[arg(long)]
    summary: bool,
    /// How long each payload may take that is sent, as a function's timeout.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
}

#[derive(Debug, clap::Args)]
struct ExplainArgs {
    /// Lines.
    lines: Vec<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
    /// Add what the line counts as, and the rule that decided.
    #[arg(long)]
    why: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    /// One JSON object a line.
    Ndjson,
    /// For people.
    Pretty,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Status {
    /// All well.
    Fine,
    /// Something was damaged or not delivered.
    Incomplete,
    /// The command or the settings are wrong.
    Usage,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Fine => 0,
            Status::Incomplete => 1,
            Status::Usage => 2,
        })
    }
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Replay(args) => replay::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Check => check::run(),
        Command::Redrive(args) => redrive::run(&args),
    };
    match result {
        Ok(status) => status.into(),
        // Whoever reads us has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("logferry: {error}"));
            Status::Incomplete.into()
        }
    }
}

/// Writes a line to standard error: that nobody reads it on changes nothing else, the exit status least of all.
fn complain(what: impl Display) {
    let _ = writeln!(io::stderr(), "{what}");
}

/// Says what is wrong with the settings, and how the command ends for it.
fn refuse(mistakes: &[Mistake]) -> Status {
    for mistake in mistakes {
        complain(format_args!("wrong setting: {mistake}"));
    }
    Status::Usage
}

/// A variable; where nothing names a store, one in the folder where programs of this user keep their state.
fn variable(name: &str) -> Option<String> {
    let value = environment(name).filter(|value| !value.trim().is_empty());
    if value.is_some() || name != "LOGFERRY_STORE" {
        return value;
    }
    let state = environment("XDG_STATE_HOME").or_else(|| Some(format!("{}/.local/state", environment("HOME")?)));
    state.filter(|state| state.starts_with('/')).map(|state| format!("{state}/logferry"))
}

#[expect(clippy::disallowed_methods, reason = "the process reads its environment here, and nowhere else")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// All variables, but for those that aren't text.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()))
}

#[expect(clippy::disallowed_methods, reason = "the process reads the clock here, and nowhere else")]
fn clock() -> SystemTime {
    SystemTime::now()
}

/// What is known of the forwarder while a command stands for it.
fn stand_in(command: &str) -> model::Forwarder {
    model::Forwarder {
        region: variable("AWS_REGION").filter(|region| !region.is_empty()),
        instance: format!("{command}-{}", std::process::id()),
        ..Default::default()
    }
}

/// Everything wired as in the Lambda, with secrets fetched from where they are kept.
fn ready(
    lookup: &dyn Fn(&str) -> Option<String>,
    default: Option<&str>,
) -> io::Result<Result<Forwarder<Http>, Vec<Mistake>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(Settings::ready(lookup, default, clock)))
}

fn now() -> Timestamp {
    let since = clock().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
