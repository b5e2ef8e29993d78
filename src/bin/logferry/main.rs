//! The command line: the same forwarder as the Lambda, on a laptop.

mod check;
mod explain;
mod pretty;
mod replay;
mod style;
mod summary;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

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
    /// Takes what the Lambda is invoked with, decoded batches, gzipped or not, and plain lines of a log.
    Replay(ReplayArgs),
    /// Says what a line is and what was read from it.
    ///
    /// Without LINES, reads them from standard input: a line that is a JSON string stands for the text that it
    /// holds, and {"message":"…","timestamp":1700000000123} for a log event of that time.
    Explain(ExplainArgs),
    /// Checks the settings in the environment as the Lambda does at its start.
    Check,
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
    };
    match result {
        Ok(status) => status.into(),
        // Whoever reads us has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "logferry: {error}");
            Status::Usage.into()
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the process reads its environment here, and nowhere else")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::disallowed_methods, reason = "the process reads the clock here, and nowhere else")]
fn clock() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

/// Everything wired as in the Lambda, with secrets fetched from where they are kept.
fn ready(
    lookup: &dyn Fn(&str) -> Option<String>,
    default: Option<&str>,
) -> std::io::Result<Result<logferry::forwarder::Forwarder<logferry::delivery::Http>, Vec<logferry::env::Mistake>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(logferry::settings::Settings::ready(lookup, default, clock)))
}

fn now() -> logferry::model::Timestamp {
    let since = clock().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    logferry::model::Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
