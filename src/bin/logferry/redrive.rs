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
use crate::{RedriveArgs, Status, now, ready, variable};

/// So long may it take: a person waits, and may break it off without losing anything.
const PATIENCE: Duration = Duration::from_hours(1);

/// Sends what is stored, or shows it.
pub(crate) fn run(args: &RedriveArgs) -> io::Result<Status> {
    let forwarder = match ready(&variable, None)? {
        Ok(forwarder) => forwarder,
        Err(mistakes) => {
            for mistake in mistakes {
                eprintln!("wrong setting: {mistake}");
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
        eprintln!("{unknown}");
        return Ok(Status::Usage);
    }
    if forwarder.store.as_ref().is_some_and(Store::is_queue) {
        println!("the store is an SQS queue: it invokes the function with what is stored by itself");
        return Ok(Status::Fine);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if args.dry_run {
        let both = async { Ok((forwarder.stored(&wish).await?, forwarder.stranded(&wish).await?)) };
        let (stored, stranded) = runtime.block_on(both).map_err(|error: StoreError| io::Error::other(error))?;
        return show(&stored, &stranded, &wish);
    }
    let own = Forwarder { instance: format!("redrive-{}", std::process::id()), ..Forwarder::default() };
    let now = now();
    let outcome = runtime.block_on(async {
        let deadline = Instant::now() + PATIENCE;
        let seed = now.millis().unsigned_abs();
        forwarder.redrive(&wish, &Invocation { forwarder: &own, now, deadline, seed }).await
    });
    for note in &outcome.notes {
        eprintln!("{note}");
    }
    if outcome.notes.is_empty() || !outcome.redriven.is_empty() {
        tell(&outcome.redriven)?;
    }
    let well = outcome.notes.is_empty() && outcome.redriven.iter().all(Redriven::is_complete);
    Ok(if well { Status::Fine } else { Status::Incomplete })
}

/// A line for each stored request.
fn show(
    stored: &[(String, Result<Parcel, ParcelError>)],
    stranded: &[(String, usize)],
    wish: &Redrive,
) -> io::Result<Status> {
    let mut out = io::stdout().lock();
    let now = now();
    let (mut shown, mut damaged, mut newer, mut total) = (0_u64, 0_u64, false, Weight::default());
    for (key, parcel) in stored {
        match parcel {
            Err(error) => {
                damaged += u64::from(*error == ParcelError::Damaged);
                newer |= *error == ParcelError::Version;
                writeln!(out, "{key}  {error}")?;
            }
            Ok(parcel) if wish.spares(parcel, now) => {}
            Ok(parcel) => {
                let (weight, oldest) = (parcel.weight(), parcel.oldest());
                (shown, total) = (shown + 1, [total, weight].into_iter().sum());
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
    writeln!(out, "{} with {total} would be sent", count(shown, "stored request"))?;
    if damaged > 0 {
        writeln!(out, "{} would be moved to damaged/", count(damaged, "damaged file"))?;
    }
    Ok(if damaged == 0 && !newer && stranded.is_empty() { Status::Fine } else { Status::Incomplete })
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
