//! `logferry check`: the settings, as the Lambda would read them.

use std::io::{self, Write};

use logferry::env::Env;
use logferry::settings::Settings;

use crate::style::count;
use crate::{Status, complain, environment, ready, refuse};

/// Reads all settings as the Lambda does; shows what holds, or every mistake.
pub(crate) fn run() -> io::Result<Status> {
    let forwarder = match ready(&environment, None)? {
        Ok(forwarder) => forwarder,
        Err(mistakes) => {
            let status = refuse(&mistakes);
            let mistakes = count(mistakes.len(), "mistake");
            complain(format_args!("{mistakes} to mend; `logferry check` again shows whether all is well"));
            return Ok(status);
        }
    };
    let mut out = io::stdout().lock();
    let names: Vec<_> = forwarder.backends.iter().map(logferry::backend::Backend::name).collect();
    writeln!(out, "the settings are good; telemetry goes to {}\n", names.join(", "))?;
    let mut env = Env::new(&environment);
    for (component, rows) in Settings::rows() {
        let readers = readers(&names, component);
        for row in rows {
            let mut held: Vec<_> = readers.iter().filter_map(|name| env.under(*name, |env| env.shown(row))).collect();
            held.dedup();
            if held.is_empty() && !readers.is_empty() {
                let default = row.default.map_or_else(|| "-".to_owned(), |default| format!("{default} (default)"));
                held.push((row.name.to_owned(), default));
            }
            for (variable, shown) in held {
                writeln!(out, "{variable:<30} {shown}")?;
            }
        }
    }
    Ok(Status::Fine)
}

/// The names under which backends read the settings of a component: `eu`, or none, of `loki:eu`.
fn readers<'a>(backends: &[&'a str], component: &str) -> Vec<Option<&'a str>> {
    if component.is_empty() {
        return vec![None];
    }
    let parts = backends
        .iter()
        .map(|backend| backend.split_once(':').map_or((*backend, None), |(kind, name)| (kind, Some(name))));
    parts.filter(|(kind, _)| *kind == component).map(|(_, name)| name).collect()
}
