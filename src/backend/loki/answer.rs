//! What an answer of Loki means.

use crate::request::{Refused, Request, Response, Verdict, Weight};

/// What an answer means.
///
/// Loki says 400 when it has refused some entries and stored the others, and
/// 260 or another 2xx (`block_ingestion_status_code`) when it stores nothing.
pub(super) fn judge(request: &Request, response: &Response) -> Verdict {
    let text = String::from_utf8_lossy(&response.body);
    match response.status {
        200 | 204 => Verdict::Accepted,
        status @ 201..=299 => Verdict::Partly {
            retry: Vec::new(),
            refused: Refused::Items((0..request.items.len()).collect()),
            why: format!("status {status}: Loki blocks what it is sent and stores none of it: {text}"),
        },
        400 if let Some(others) = behind(request.items.len(), &text) => {
            Verdict::Otherwise { others, why: format!("status 400: {text}") }
        }
        400 => match ignored(request.items.len() as u64, &text.to_ascii_lowercase()) {
            Some(logs) => Verdict::Partly {
                retry: Vec::new(),
                refused: Refused::Count(Weight { logs, metrics: 0 }),
                why: format!("status 400: {text}"),
            },
            // What was refused stood in what is missing; entries that are stored are stored once.
            None if response.cut => Verdict::Busy,
            None => Verdict::Refused,
        },
        429 | 503 if request.items.len() > 1 && is_too_much(&text) => Verdict::TooLarge,
        _ => Verdict::of(request, response),
    }
}

/// Places of the entries that are too far behind the newest of their stream, if these are all that aren't stored:
/// they ascend, so it is the first ones. `None` if it can't be told which they are.
fn behind(entries: usize, text: &str) -> Option<Vec<usize>> {
    let (reasons, counts) = text.split_once("total ignored: ")?;
    let (ignored, rest) = counts.split_once(" out of ")?;
    let (ignored, of) = (ignored.parse::<usize>().ok()?, leading_number(rest)?);
    let late = reasons.matches("reason: 'entry too far behind").count();
    let all_are = late > 0 && late == reasons.matches("reason: '").count();
    let told = all_are && of == entries as u64 && ignored <= entries && !text.contains("__stream_shard__");
    told.then(|| (0..ignored).collect())
}

/// How many of the entries an answer says are not stored; `None` when it doesn't speak of entries.
///
/// ```text
/// entry with timestamp 2026-11-21 … ignored, reason: 'entry too far behind, …',
/// user 'fake', total ignored: 2 out of 3 for stream: {…}
/// 2 errors like: max entry size '262144' bytes exceeded …; 1 errors like: entry for stream '{…}' has timestamp too old: …
/// entry for stream '{…}' has timestamp too old: …
/// ```
///
/// The first counts those that the distributor let through: it has refused the
/// others. (Of a stream that Loki itself has cut into shards it counts a shard's.)
fn ignored(entries: u64, text: &str) -> Option<u64> {
    const OF_ONE: [&str; 4] = ["timestamp too old", "timestamp too new", "entry size", "structured metadata"];
    if let Some((_, counts)) = text.split_once("total ignored: ") {
        let (ignored, rest) = counts.split_once(" out of ")?;
        let (ignored, of) = (ignored.parse::<u64>().ok()?, leading_number(rest)?);
        let before = if text.contains("__stream_shard__") { 0 } else { entries.saturating_sub(of) };
        return Some(ignored + before);
    }
    let mut groups: Vec<_> = text.split(" errors like: ").collect();
    groups.pop();
    if groups.is_empty() {
        return OF_ONE.iter().any(|words| text.contains(words)).then_some(1);
    }
    groups.iter().map(|group| group.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok())).sum()
}

/// Whether a push has more bytes than may come in a second, or be in a message, so that waiting may never help.
///
/// ```text
/// rpc error: code = ResourceExhausted desc = grpc: received message larger than max (6461910 vs. 4194304)
/// ingestion rate limit exceeded for user … (limit: 4194304 bytes/sec) while attempting to ingest '40' lines totaling '8000000' bytes, …
/// ```
pub(in crate::backend) fn is_too_much(text: &str) -> bool {
    if text.contains("received message larger than max") {
        return true;
    }
    let number = |before: &str| text.split_once(before).and_then(|(_, rest)| leading_number(rest));
    matches!((number("(limit: "), number("totaling '")), (Some(limit), Some(total)) if total > limit)
}

fn leading_number(text: &str) -> Option<u64> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
