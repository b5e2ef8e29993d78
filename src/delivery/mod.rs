//! From requests to the network: attempts until a deadline.

mod backoff;
mod http;
mod redact;

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::pin;
use std::time::Duration;

pub use backoff::Backoff;
use futures_util::future::{Either, select};
pub use http::{Http, HttpSettings};
use redact::redacted;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::ledger::Reason;
use crate::request::{Refused, Request, Response, Verdict, Weight};

/// How often a request is cut to find what is malformed in it before the intake has taken any more of it: a bound where
/// that is all of it. Otherwise time is the bound.
const MAX_CUTS: u32 = 64;

/// How often what is left then is cut from its other end, as good items may be behind many that are malformed.
const MAX_CUTS_BACKWARDS: u32 = 16;

/// The least time for an attempt whose missing answer is blamed on the intake.
pub const FAIR: Duration = Duration::from_secs(1);

/// What `VictoriaMetrics`, vmagent and `VictoriaLogs` say of a path that they don't have, with a status of 400.
const NO_SUCH_PATH: &[u8] = b"unsupported path requested: ";

/// How it is said that a proxy, and no intake, has answered.
pub const PROXY_WANTS_USER: &str = "status 407, of a proxy that wants a user and a password";

/// When sending has to end as the process was told to end; `None` until it is told.
pub type Ending = tokio::sync::watch::Receiver<Option<Instant>>;

/// Waits until sending has to end as the process was told to end; returns when that was.
pub async fn ended(mut ending: Ending) -> Instant {
    let end = ending.wait_for(Option::is_some).await.ok().and_then(|end| *end);
    // Whoever could have told it is gone: all goes on.
    let Some(end) = end else { return pending().await };
    sleep_until(end).await;
    end
}

/// How long storing may go on when sending has ended as the process was told to end: some time before Lambda, which
/// has told it, kills it.
const LAST_STORING: Duration = Duration::from_millis(250);

/// What work comes to, unless `until` comes before that, or the process has to end. What can be done at once is done
/// even then.
pub(crate) async fn in_time<O>(transport: &impl Transport, until: Instant, work: impl Future<Output = O>) -> Option<O> {
    let ended = async { sleep_until(transport.ended().await + LAST_STORING).await };
    match select(pin!(timeout_at(until, work)), pin!(ended)).await {
        Either::Left((done, _)) => done.ok(),
        Either::Right(_) => None,
    }
}

/// How web pages begin, where nothing else says that they are.
const PAGES: [&[u8]; 2] = [b"<!doctype html", b"<html"];

/// What some put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// What is said of requests that are not answered by then.
pub const ENDING: &str = "the function was told to end before it was answered";

/// What carries a request to its destination.
pub trait Transport {
    /// Is ready when nothing may be sent any more and no answer waited for; says since when.
    fn ended(&self) -> impl Future<Output = Instant> {
        pending()
    }

    /// Sends once. A status that isn't a success is a response, not an error.
    ///
    /// Beyond `until` nothing is waited for: no response is a [`TransportError::Timeout`],
    /// one whose status is known is returned with as much of its body as there is.
    fn send(&self, request: &Request, until: Instant) -> impl Future<Output = Result<Response, TransportError>>;
}

/// Waits for a response, but not beyond `until`.
///
/// # Errors
///
/// [`TransportError::Timeout`] when it takes longer, or what the work fails with.
pub async fn within<R>(
    until: Instant,
    work: impl Future<Output = Result<R, TransportError>>,
) -> Result<R, TransportError> {
    let start = Instant::now();
    timeout_at(until, work)
        .await
        .unwrap_or_else(|_| Err(TransportError::Timeout(until.saturating_duration_since(start), String::new())))
}

/// Why no response came.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TransportError {
    /// No connection: refused, unknown host, TLS.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection ended before the response did.
    #[error("the connection broke: {0}")]
    Interrupted(String),
    /// Standard output takes no more; what of the request it took is written.
    #[error("cannot write to standard output: {0}")]
    Output(String),
    /// The request can't be signed.
    #[error(transparent)]
    Unsigned(#[from] crate::aws::SignError),
    /// No response in time, and the proxy that may be why.
    #[error("no response within {} ms{}", .0.as_millis(), .1)]
    Timeout(Duration, String),
}

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub struct Delivered {
    /// Acknowledged.
    pub sent: Weight,
    /// Given up, with the reason and the last thing that the intake said of it.
    pub dropped: Vec<Dropped>,
    /// What the intake says of what it has taken.
    pub warnings: Vec<Warning>,
    /// Requests that were acknowledged: more than one if it was cut.
    pub requests: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Bytes of acknowledged bodies.
    pub bytes: u64,
    /// How long the slowest answer took.
    pub slowest: Duration,
    /// Whether the intake asks to be left alone for longer than there is time.
    pub rests: bool,
}

/// Items that were given up.
#[derive(Clone, Debug)]
pub struct Dropped {
    /// The request that holds them: them alone, or beside others if the intake doesn't say which it refuses.
    pub request: Request,
    /// How many.
    pub weight: Weight,
    /// Why.
    pub reason: Reason,
    /// The last answer, in words.
    pub last: String,
}

/// What an intake says of items that it has taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning {
    /// The address, without secrets.
    pub address: String,
    /// Its words.
    pub said: String,
}

/// How long attempts may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// One attempt.
    pub attempt: Duration,
    /// All of them: nothing is waited for beyond this.
    pub deadline: Instant,
}

/// What to do after an answer.
enum Next {
    /// Nothing more.
    End(End),
    /// Try what is left of the request again, after a pause.
    Later,
    /// Send the request at once in its other form.
    Now,
}

/// How attempts to send one request ended.
enum End {
    Accepted,
    Dropped(Reason, String),
    Malformed(String),
    /// The intake has something newer than an item of it: cut until that one is found, which is taken as accepted.
    Outdated,
    /// It was counted what became of each item.
    Settled,
    TooLarge,
}

/// Pieces of a request that are still to be sent.
struct Pieces {
    waiting: VecDeque<Request>,
    /// Whether they are taken from the end.
    backwards: bool,
    /// How often one was cut as malformed since the intake has last taken something.
    cuts: u32,
}

/// Sends a request until it is acknowledged, refused, or out of time; `seed` makes the jitter of the pauses.
///
/// What an intake calls too large is cut in two, and each half sent by itself; so is what holds something malformed or
/// outdated that keeps the rest from being taken.
pub async fn deliver<T: Transport>(transport: &T, request: Request, patience: Patience, seed: u64) -> Delivered {
    let mut delivered = Delivered::default();
    let mut pieces = Pieces { waiting: VecDeque::from([request]), backwards: false, cuts: 0 };
    while let Some(request) = pieces.next() {
        let sent = delivered.sent;
        let (request, end) = attempts(transport, request, patience, seed, &mut delivered).await;
        if matches!(end, End::Accepted) || delivered.sent != sent {
            pieces.cuts = 0;
        }
        let is_cut = match end {
            End::TooLarge | End::Outdated => pieces.cut(&request),
            End::Malformed(_) => pieces.search(&request),
            End::Accepted | End::Dropped(..) | End::Settled => false,
        };
        if is_cut {
            continue;
        }
        match end {
            End::Settled => {}
            End::Accepted => delivered.accept(&request),
            End::Outdated => delivered.sent += request.weight(),
            End::Dropped(reason, last) => delivered.drop(request, reason, last),
            End::Malformed(last) => delivered.drop(request, Reason::Refused, last),
            End::TooLarge => delivered.drop(request, Reason::Oversize, "too large, even alone".to_owned()),
        }
    }
    delivered
}

impl Pieces {
    fn next(&mut self) -> Option<Request> {
        if self.backwards { self.waiting.pop_back() } else { self.waiting.pop_front() }
    }

    /// Cuts a piece in two, of which the next one is sent next; `false` for a single item.
    fn cut(&mut self, request: &Request) -> bool {
        let Some([first, second]) = halves(request) else { return false };
        if self.backwards {
            self.waiting.extend([first, second]);
        } else {
            self.waiting.push_front(second);
            self.waiting.push_front(first);
        }
        true
    }

    /// Cuts a piece that holds something malformed, or goes on from the other end; `false` where all seems to be.
    fn search(&mut self, request: &Request) -> bool {
        if self.cuts < MAX_CUTS {
            self.cuts += 1;
            return self.cut(request);
        }
        if self.backwards || self.waiting.is_empty() {
            return false;
        }
        (self.backwards, self.cuts) = (true, MAX_CUTS - MAX_CUTS_BACKWARDS);
        self.waiting.push_front(request.clone());
        true
    }
}

impl Delivered {
    fn accept(&mut self, request: &Request) {
        self.sent += request.weight();
        self.acknowledge(request);
    }

    /// Counts a request of which something was taken.
    fn acknowledge(&mut self, request: &Request) {
        self.requests += 1;
        self.bytes += request.body.len() as u64;
    }

    fn drop(&mut self, request: Request, reason: Reason, last: String) {
        let weight = request.weight();
        self.dropped.push(Dropped { request, weight, reason, last });
    }

    /// Counts what became of some items, and returns the request with those that are to be sent again.
    fn partly(&mut self, request: &Request, retry: &[usize], refused: Refused, why: String) -> Option<Request> {
        let again = request.part(retry);
        let left = request.weight().without(again.as_ref().map(Request::weight).unwrap_or_default());
        let lost = if again.is_none() { request.weight_of(retry) } else { Weight::default() };
        let (part, weight) = match refused {
            Refused::Count(weight) => (None, weight),
            Refused::Items(places) => (request.part(&places), request.weight_of(&places)),
        };
        let weight = [weight, lost].into_iter().sum::<Weight>().at_most(left);
        let taken = left.without(weight);
        if taken.total() > 0 {
            self.sent += taken;
            self.acknowledge(request);
        }
        if weight.total() > 0 || part.is_some() {
            let request = part.unwrap_or_else(|| request.clone());
            self.dropped.push(Dropped { request, weight, reason: Reason::Refused, last: why });
        }
        again
    }
}

/// Two requests with half of the items each; `None` for a single item.
fn halves(request: &Request) -> Option<[Request; 2]> {
    let places: Vec<_> = (0..request.items.len()).collect();
    let (first, second) = places.split_at(places.len() / 2);
    if first.is_empty() {
        return None;
    }
    Some([(request.select)(request, first)?, (request.select)(request, second)?])
}

/// Attempts to send a request, or what an intake leaves of it.
async fn attempts<T: Transport>(
    transport: &T,
    mut request: Request,
    patience: Patience,
    seed: u64,
    delivered: &mut Delivered,
) -> (Request, End) {
    let mut backoff = Backoff::new(seed);
    let mut last = (Reason::Deadline, "there was no time to try".to_owned());
    loop {
        let now = Instant::now();
        if now >= patience.deadline {
            return (request, End::Dropped(last.0, last.1));
        }
        let attempt = request.timeout().unwrap_or(patience.attempt);
        let limit = patience.deadline.min(now + attempt);
        let Some(result) = unless_ended(transport, transport.send(&request, limit)).await else {
            return (request, End::Dropped(Reason::Deadline, ENDING.to_owned()));
        };
        let asked = match result {
            Ok(response) => {
                delivered.slowest = delivered.slowest.max(now.elapsed());
                let items = request.items.len();
                match settle(&mut request, &response, delivered) {
                    Next::End(end) => return (request, end),
                    Next::Now => continue,
                    Next::Later => {}
                }
                // Some of it is done with: what is left wasn't kept waiting yet.
                if request.items.len() < items {
                    backoff.restart();
                }
                last = (Reason::Busy, answer(&response, &request));
                response.retry_after
            }
            // Another attempt would write a part of it twice, or fail in the same way.
            Err(error @ (TransportError::Output(_) | TransportError::Unsigned(_))) => {
                return (request, End::Dropped(Reason::Unreachable, error.to_string()));
            }
            Err(error) => {
                // An attempt that the deadline cuts short says less than what came of the one before.
                let is_cut = limit < now + attempt && matches!(error, TransportError::Timeout(..));
                if is_cut && limit.duration_since(now) < FAIR {
                    // Too little to blame the intake.
                    if last.0 == Reason::Deadline {
                        last.1 = format!("{error}, when the time was over");
                    }
                } else if !is_cut || last.0 == Reason::Deadline {
                    let advice = if is_cut { "" } else { advice(&error, &request) };
                    last = (Reason::Unreachable, format!("{error}{advice}"));
                }
                None
            }
        };
        let pause = backoff.pause(asked);
        // A pause that leaves no time for an attempt is not worth waiting for.
        let is_too_long =
            |pause: Duration| Instant::now().checked_add(pause).is_none_or(|next| next >= patience.deadline);
        if is_too_long(pause) {
            delivered.rests |= asked.is_some_and(is_too_long);
            return (request, End::Dropped(last.0, last.1));
        }
        if unless_ended(transport, sleep(pause)).await.is_none() {
            return (request, End::Dropped(last.0, last.1));
        }
        delivered.retries += 1;
    }
}

/// What to do about an intake that is there, but takes longer than an attempt may.
fn advice(error: &TransportError, request: &Request) -> &'static str {
    match error {
        TransportError::Timeout(..) if request.timeout().is_some() => {
            "; if the intake is only slow, raise OTEL_EXPORTER_OTLP_TIMEOUT, or that of the signal"
        }
        TransportError::Timeout(..) => "; if the intake is only slow, raise LOGFERRY_SEND_TIMEOUT",
        _ => "",
    }
}

/// The work's output; `None` when sending has to end before that.
async fn unless_ended<T: Transport, F: Future>(transport: &T, work: F) -> Option<F::Output> {
    match select(pin!(transport.ended()), pin!(work)).await {
        Either::Left(_) => None,
        Either::Right((output, _)) => Some(output),
    }
}

/// What to do after this answer; what is left of the request stays in it.
fn settle(request: &mut Request, response: &Response, delivered: &mut Delivered) -> Next {
    Next::End(match verdict(request, response) {
        Verdict::Accepted => End::Accepted,
        Verdict::Warned { why } => {
            let address = request.destination.address().to_owned();
            delivered.warnings.push(Warning { address, said: redacted(&why, request, &response.secrets) });
            End::Accepted
        }
        Verdict::TooLarge => End::TooLarge,
        Verdict::Malformed => End::Malformed(answer(response, request)),
        Verdict::Outdated => End::Outdated,
        Verdict::NotFound => End::Dropped(Reason::NotFound, answer(response, request)),
        Verdict::Refused => End::Dropped(Reason::Refused, answer(response, request)),
        Verdict::Unauthorized => End::Dropped(Reason::Unauthorized, answer(response, request)),
        Verdict::Busy => return Next::Later,
        Verdict::Unsupported => match request.fall_back() {
            Some(other) => {
                *request = other;
                return Next::Now;
            }
            None => End::Dropped(Reason::Refused, answer(response, request)),
        },
        Verdict::Otherwise { others, why } => {
            if let Some(other) = request.otherwise(&others) {
                let taken = request.weight().without(other.weight());
                if taken.total() > 0 {
                    delivered.sent += taken;
                    delivered.acknowledge(request);
                }
                *request = other;
                return Next::Now;
            }
            let why = redacted(&why, request, &response.secrets);
            return partly(request, &[], Refused::Items(others), why, delivered);
        }
        Verdict::Partly { retry, refused, why } => {
            let why = redacted(&why, request, &response.secrets);
            return partly(request, &retry, refused, why, delivered);
        }
    })
}

/// The backend's verdict, except for a path that leads nowhere and for a page for people, as of a login before an
/// intake: these are told alike whichever backend sends to it.
fn verdict(request: &Request, response: &Response) -> Verdict {
    let nowhere = response.status == 400 && memchr::memmem::find(&response.body, NO_SUCH_PATH).is_some();
    if nowhere || is_page(response) { Verdict::NotFound } else { (request.judge)(request, response) }
}

/// Whether a success is that of a web page: no intake answers so, and nothing says that it has taken anything. Some
/// servers call an empty answer, or a word, a page, too.
fn is_page(response: &Response) -> bool {
    let body = response.body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&response.body).trim_ascii_start();
    let begins = |tag: &[u8]| body.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
    let is_page = PAGES.into_iter().any(begins)
        || (response.html && (body.starts_with(b"<") || (body.is_empty() && response.cut)));
    (200..=299).contains(&response.status) && is_page
}

/// What to do when only some items are taken: those that may be taken later stay in the request.
fn partly(request: &mut Request, retry: &[usize], refused: Refused, why: String, delivered: &mut Delivered) -> Next {
    if let Some(again) = delivered.partly(request, retry, refused, why) {
        *request = again;
        return Next::Later;
    }
    Next::End(End::Settled)
}

/// Status and the beginning of the body, on one line, without secrets that it repeats.
fn answer(response: &Response, request: &Request) -> String {
    let status = match (response.status, &response.location) {
        (300..=399, Some(to)) => {
            format!("status {}, a redirect to {}", response.status, redacted(to, request, &response.secrets))
        }
        (407, _) => PROXY_WANTS_USER.to_owned(),
        (status, _) if is_page(response) => format!("status {status} with a web page"),
        (status, _) => format!("status {status}"),
    };
    let body = redacted(&String::from_utf8_lossy(&response.body), request, &response.secrets);
    match body.trim() {
        "" => status,
        text => format!("{status}: {text}"),
    }
}

#[cfg(test)]
mod tests;
