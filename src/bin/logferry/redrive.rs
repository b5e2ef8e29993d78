//! `logferry redrive`: what is stored, shown or sent again.

use std::io::{self, Write};
use std::time::Duration;

use logferry::delivery::Http;
use logferry::env::Address;
use logferry::event::Redrive;
use logferry::forwarder::{Forwarder, Invocation, MAX_COUNTED, Note, Redriven};
use logferry::parcel::{Parcel, ParcelError};
use logferry::request::Weight;
use logferry::store::Store;
use tokio::time::Instant;

use crate::interrupt::Interrupt;
use crate::style::count;
use crate::{RedriveArgs, Status, complain, now, ready, refuse, stand_in, variable};

/// How long a redrive may take: a person waits, and may interrupt it without losing anything.
const PATIENCE: Duration = Duration::from_hours(1);

/// Sends what is stored, or shows it.
pub(crate) fn run(args: &RedriveArgs) -> io::Result<Status> {
    let mut forwarder = match ready(&variable, None)? {
        Ok(forwarder) => forwarder,
        Err(mistakes) => return Ok(refuse(&mistakes)),
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
        writeln!(
            io::stdout(),
            "the store is an SQS queue: it invokes the function with what is stored by itself; what is refused goes to its dead-letter queue, from which SQS moves it back"
        )?;
        return Ok(Status::Fine);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (looked_at, status) = if args.dry_run {
        runtime.block_on(show_stored(&forwarder, &wish))?
    } else {
        let interrupt = Interrupt::listen()?;
        forwarder.transport.end_with(interrupt.ending());
        interrupt.during(|| runtime.block_on(send_stored(&forwarder, &wish)))?
    };
    tell_bound(looked_at, args.max.unwrap_or(forwarder.sending.redrive_max))?;
    Ok(status)
}

/// Shows what a redrive would send; how many requests were looked at, and how the command ends.
async fn show_stored(forwarder: &Forwarder<Http>, wish: &Redrive) -> io::Result<(usize, Status)> {
    if forwarder.store.is_none() {
        complain(Note::NoStore);
        return Ok((0, Status::Incomplete));
    }
    let stored = forwarder.stored(wish).await.map_err(io::Error::other)?;
    let stranded = forwarder.stranded(wish).await.map_err(io::Error::other)?;
    let now = now();
    let is_too_old = |parcel: &Parcel| {
        let mut backends = forwarder.backends.iter().filter(|backend| backend.name() == parcel.backend);
        !wish.set_aside && backends.any(|backend| backend.is_too_old(parcel, now))
    };
    let looked_at = stored.len();
    if stored.is_empty() && stranded.is_empty() {
        tell_nothing(&mut io::stdout(), forwarder.store.as_ref())?;
        return Ok((looked_at, Status::Fine));
    }
    let kept = stored.into_iter().filter(|(_, parcel)| !parcel.as_ref().is_ok_and(|parcel| wish.spares(parcel, now)));
    let status = show(&kept.collect::<Vec<_>>(), &stranded, is_too_old)?;
    Ok((looked_at, status))
}

/// Sends what is stored; how many requests were looked at, and how the command ends.
async fn send_stored(forwarder: &Forwarder<Http>, wish: &Redrive) -> io::Result<(usize, Status)> {
    let own = stand_in("redrive");
    let now = now();
    let (start, seed) = (Instant::now(), now.millis().unsigned_abs());
    let invocation = Invocation { forwarder: &own, now, start, deadline: start + PATIENCE, seed };
    let outcome = forwarder.redrive(wish, &invocation).await;
    for note in &outcome.notes {
        complain(note);
    }
    let wrong = outcome.notes.iter().any(|note| !note.is_warning());
    if !wrong || !outcome.redriven.is_empty() {
        tell(&outcome.redriven, forwarder.store.as_ref())?;
    }
    let looked_at = |redriven: &Redriven| usize::try_from(redriven.requests + redriven.damaged).unwrap_or(usize::MAX);
    let well = !wrong && outcome.redriven.iter().all(Redriven::is_complete);
    let status = if well { Status::Fine } else { Status::Incomplete };
    Ok((outcome.redriven.iter().map(looked_at).sum(), status))
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

/// Says that there may be more than was looked at.
fn tell_bound(looked_at: usize, most: usize) -> io::Result<()> {
    if looked_at < most {
        return Ok(());
    }
    writeln!(io::stdout(), "no more than {most} at once (--max, LOGFERRY_REDRIVE_MAX): others may be stored, too")
}

/// Says that there is nothing to send, and where: it may be another place than the one that was meant.
fn tell_nothing(out: &mut impl Write, store: Option<&Store>) -> io::Result<()> {
    let place = variable("LOGFERRY_STORE").map_or_else(String::new, |place| format!(" in {}", Address::shown(&place)));
    let why = if store.is_some_and(Store::is_missing) { ": there is no such folder" } else { "" };
    writeln!(out, "nothing is stored{place} that could be sent{why}")
}

/// What became of it, by backend.
fn tell(redriven: &[Redriven], store: Option<&Store>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if redriven.is_empty() {
        return tell_nothing(&mut out, store);
    }
    for Redriven { backend, requests, sent, left, set_aside, dropped, damaged, requests_left } in redriven {
        let tried = count(*requests, "stored request");
        write!(out, "{backend}: {tried}, {sent} sent")?;
        for (weight, what) in [(left, "still stored"), (set_aside, "set aside"), (dropped, "refused for good")] {
            if weight.total() > 0 {
                write!(out, ", {weight} {what}")?;
            }
        }
        if *damaged > 0 {
            write!(out, ", {} moved to damaged/", count(*damaged, "damaged file"))?;
        }
        // Some that weren't tried.
        let stayed = if left.total() > 0 { *requests } else { 0 };
        if let Some(left) = requests_left.filter(|left| *left > stayed) {
            let more = if left == MAX_COUNTED as u64 { " or more" } else { "" };
            write!(out, "; {}{more} in all are left", count(left, "stored request"))?;
        }
        writeln!(out)?;
    }
    Ok(())
}
