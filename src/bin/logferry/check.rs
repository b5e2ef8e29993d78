//! `logferry check`: the settings, as the Lambda would read them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use logferry::backend::Backend;
use logferry::env::Env;
use logferry::settings::Settings;

use crate::style::count;
use crate::{Status, complain, environment, ready, refuse, variables};

/// Reads all settings as the Lambda does; shows what holds, or every mistake.
pub(crate) fn run() -> io::Result<Status> {
    let asked = RefCell::new(BTreeSet::new());
    let lookup = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        environment(name)
    };
    let read = ready(&lookup, None)?;
    let mut env = Env::new(&environment);
    // Once more, to know which of settings that mean the same hold.
    let _ = Settings::from_env(&mut env, None);
    let unread = Unread { unasked: unasked(&asked.borrow()), giving_way: env.giving_way() };
    let forwarder = match read {
        Ok(forwarder) => forwarder,
        Err(mistakes) => {
            let status = refuse(&mistakes);
            unread.tell();
            let mistakes = count(mistakes.len(), "mistake");
            complain(format_args!("{mistakes} to mend; `logferry check` again shows whether all is well"));
            return Ok(status);
        }
    };
    let mut out = io::stdout().lock();
    let names: Vec<_> = forwarder.backends.iter().map(Backend::name).collect();
    writeln!(out, "the settings are good; telemetry goes to {}\n", names.join(", "))?;
    let mut shown = Vec::new();
    for (component, rows) in Settings::rows() {
        let readers = readers(&names, component);
        for row in rows {
            let mut held: Vec<_> = readers.iter().filter_map(|name| env.under(*name, |env| env.shown(row))).collect();
            held.dedup();
            held.retain(|(variable, _)| !unread.giving_way.contains_key(variable));
            if held.is_empty() && !readers.is_empty() {
                let default = row.default.map_or_else(|| "-".to_owned(), |default| format!("{default} (default)"));
                held.push((row.name.to_owned(), default));
            }
            shown.extend(held);
        }
    }
    let width = shown.iter().map(|(variable, _)| variable.len()).max().unwrap_or_default();
    for (variable, shown) in shown {
        writeln!(out, "{variable:<width$} {shown}")?;
    }
    unread.tell();
    Ok(Status::Fine)
}

/// Variables that hold something and have no effect.
struct Unread {
    /// Those that nothing asks for.
    unasked: Vec<String>,
    /// Those of which others that mean the same hold, and these.
    giving_way: BTreeMap<String, String>,
}

/// Variables that look like settings, hold something, and weren't `asked` for.
fn unasked(asked: &BTreeSet<String>) -> Vec<String> {
    let rows = Settings::rows();
    let is_setting = |name: &str| {
        name.starts_with("LOGFERRY_")
            || rows.iter().any(|(component, rows)| rows.iter().any(|row| is_of(row.name, component, name)))
    };
    let unasked =
        variables().filter(|(name, value)| is_setting(name) && !asked.contains(name) && !value.trim().is_empty());
    unasked.map(|(name, _)| name).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether a variable is a setting, or that of a backend under some name: `LOKI_URL_EU`.
fn is_of(setting: &str, component: &str, variable: &str) -> bool {
    let rest = variable.strip_prefix(setting);
    rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with('_') && !component.is_empty()))
}

impl Unread {
    /// Says what has no effect; a variable may also be another program's, so it is no mistake.
    fn tell(&self) {
        for name in &self.unasked {
            complain(format_args!(
                "not read: {name}, which is misspelt, of no use beside the other settings, or of a backend that LOGFERRY_BACKENDS does not name"
            ));
        }
        for (name, holds) in &self.giving_way {
            complain(format_args!("not read: {name}, as {holds} holds"));
        }
    }
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
