use std::io::{self, Write};

use logferry::settings::Settings;

use crate::style::count;
use crate::{Status, ready, variable};

/// Reads all settings as the Lambda does; shows what holds, or every mistake.
pub(crate) fn run() -> io::Result<Status> {
    let forwarder = match ready(&variable, None)? {
        Ok(forwarder) => forwarder,
        Err(mistakes) => {
            let mut err = io::stderr().lock();
            for mistake in &mistakes {
                writeln!(err, "wrong setting: {mistake}")?;
            }
            writeln!(
                err,
                "{} to mend; `logferry check` again shows whether all is well",
                count(mistakes.len(), "mistake")
            )?;
            return Ok(Status::Usage);
        }
    };
    let mut out = io::stdout().lock();
    let names: Vec<_> = forwarder.backends.iter().map(logferry::backend::Backend::name).collect();
    writeln!(out, "the settings are good; telemetry goes to {}\n", names.join(", "))?;
    let kinds: Vec<_> = names.iter().map(|name| name.split(':').next().unwrap_or_default()).collect();
    let rows = Settings::rows().into_iter().filter(|(component, _)| component.is_empty() || kinds.contains(component));
    for row in rows.flat_map(|(_, rows)| rows) {
        let value = variable(row.name).filter(|value| !value.trim().is_empty());
        let shown = match value {
            Some(value) => row.shown(&value),
            None => row.default.map_or_else(|| "-".to_owned(), |default| format!("{default} (default)")),
        };
        writeln!(out, "{:<30} {shown}", row.name)?;
    }
    Ok(Status::Fine)
}
