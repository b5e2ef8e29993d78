use std::io::{self, Write};
use std::time::Duration;

use logferry::event::Redrive;
use logferry::forwarder::{Invocation, MAX_COUNTED, Redriven};
use logferry::model::Forwarder;
use logferry::parcel::{Parcel, ParcelError};
use logferry::request::Weight;
use logferry::store::{Store, StoreError};
use tokio::time::Instant;

use crate::style::count;
use crate::{RedriveArgs, Status, complain, now, ready, variable};

/// So long may it take: a person waits, and may break it off without losing anything.
const PATIENCE: Duration = Duration::from_hours(1);

/// Sends what is stored, or shows it.
pub(crate) fn run(args: &RedriveArgs) -> io::Result<Status> {
    let forwarder = match ready(&variable, None)? {
        Ok(forwarder) => forwarder,
        Err(mistakes) => {
            for mistake in mistakes {
                complain(format_args!("wrong setting: {mistake}"));
            }
            return Ok(Status::Usage);
        }
    };
    let wish = Redrive {
        backend: args.backend.clone(),
        max: args.max,
        older_than: args.older_than.map(|age| age.as_secs()),
        prefix: args.prefix.clone(),
        set_aside: args.set_aside,
    };
    if let Some(unknown) = forwarder.unknown(&wish) {
        complain(unknown);
        return Ok(Status::Usage);
    }
    if forwarder.store.as_ref().is_some_and(Store::is_queue) {
        writeln!(io::stdout(), "the store is an SQS queue: it invokes the function with what is stored by itself")?;
        return Ok(Status::Fine);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let most = args.max.unwrap_or(forwarder.sending.redrive_max);
    if args.dry_run {
        let both = async { Ok((forwarder.stored(&wish).await?, forwarder.stranded(&wish).await?)) };
        let (stored, stranded) = runtime.block_on(both).map_err(|error: StoreError| io::Error::other(error))?;
        let now = now();
        let is_too_old = |parcel: &Parcel| {
            let mut backends = forwarder.backends.iter().filter(|backend| backend.name() == parcel.backend);
            !wish.set_aside && backends.any(|backend| backend.is_too_old(parcel, now))
        };
        let found = stored.len();
        let kept =
            stored.into_iter().filter(|(_, parcel)| !parcel.as_ref().is_ok_and(|parcel| wish.spares(parcel, now)));
        let status = show(&kept.collect::<Vec<_>>(), &stranded, is_too_old)?;
        return tell_bound(found, most).map(|()| status);
    }
    let own = Forwarder { instance: format!("redrive-{}", std::process::id()), ..Forwarder::default() };
    let now = now();
    let outcome = runtime.block_on(async {
        let deadline = Instant::now() + PATIENCE;
        let seed = now.millis().unsigned_abs();
        forwarder.redrive(&wish, &Invocation { forwarder: &own, now, deadline, seed }).await
    });
    for note in &outcome.notes {
        complain(note);
    }
    if outcome.notes.is_empty() || !outcome.redriven.is_empty() {
        tell(&outcome.redriven)?;
    }
    let done = |redriven: &Redriven| usize::try_from(redriven.requests + redriven.damaged).unwrap_or(usize::MAX);
    tell_bound(outcome.redriven.iter().map(done).sum(), most)?;
    let well = outcome.notes.is_empty() && outcome.redriven.iter().all(Redriven::is_complete);
    Ok(if well { Status::Fine } else { Status::Incomplete })
}

/// A line for each stored request.
fn show(
    stored: &[(String, Result<Parcel, ParcelError>)],
    stranded: &[(String, usize)],
    is_too_old: impl Fn(&Parcel) -> bool,
) -> io::Result<Status> {
    let mut out = io::stdout().lock();
    let (mut sent, mut too_old, mut damaged, mut newer, mut total) = (0, 0, 0, false, Weight::default());
    for (key, parcel) in stored {
        match parcel {
            Err(error) => {
                damaged += u64::from(*error == ParcelError::Damaged);
                newer |= *error == ParcelError::Version;
                writeln!(out, "{key}  {error}")?;
            }
            Ok(parcel) => {
                let (weight, oldest) = (parcel.weight(), parcel.oldest());
                if is_too_old(parcel) {
                    too_old += 1;
                } else {
                    (sent, total) = (sent + 1, [total, weight].into_iter().sum());
                }
                let Parcel { backend, route, reason, said, tries, .. } = parcel;
                writeln!(
                    out,
                    "{key}  {backend} {route}, {weight}, oldest {oldest}, {reason}: {said}; refused {}",
                    count(*tries, "time")
                )?;
            }
        }
    }
    for (folder, requests) in stranded {
        let more = if *requests == MAX_COUNTED { " or more" } else { "" };
        let requests = count(*requests, "stored request");
        writeln!(out, "{folder}/  {requests}{more} of no backend that LOGFERRY_BACKENDS names")?;
    }
    writeln!(out, "{} with {total} would be sent", count(sent, "stored request"))?;
    if too_old > 0 {
        writeln!(out, "{} would be set aside as too old for the backend", count(too_old, "stored request"))?;
    }
    if damaged > 0 {
        writeln!(out, "{} would be moved to damaged/", count(damaged, "damaged file"))?;
    }
    Ok(if damaged == 0 && too_old == 0 && !newer && stranded.is_empty() { Status::Fine } else { Status::Incomplete })
}

/// That there may be more than was looked at.
fn tell_bound(found: usize, most: usize) -> io::Result<()> {
    if found < most {
        return Ok(());
    }
    writeln!(io::stdout(), "no more than {most} at once (--max, LOGFERRY_REDRIVE_MAX): others may be stored, too")
}

/// What became of it, by backend.
fn tell(redriven: &[Redriven]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if redriven.is_empty() {
        return writeln!(out, "nothing was stored that could be sent");
    }
    for Redriven { backend, requests, sent, left, set_aside, dropped, damaged } in redriven {
        let requests = count(*requests, "stored request");
        write!(out, "{backend}: {requests}, {sent} sent")?;
        for (weight, what) in [(left, "still stored"), (set_aside, "set aside"), (dropped, "refused for good")] {
            if weight.total() > 0 {
                write!(out, ", {weight} {what}")?;
            }
        }
        if *damaged > 0 {
            write!(out, ", {} moved to damaged/", count(*damaged, "damaged file"))?;
        }
        writeln!(out)?;
    }
    Ok(())
}
