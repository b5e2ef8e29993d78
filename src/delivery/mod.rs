//! From requests to the network: attempts until a deadline.

mod backoff;
mod http;

use std::future::Future;
use std::time::Duration;

pub use backoff::Backoff;
pub use http::{Http, HttpSettings};
use tokio::time::{Instant, timeout_at};

use crate::ledger::Reason;
use crate::request::{Destination, Header, Request, Response, Verdict, Weight};

/// What carries a request to its destination.
pub trait Transport {
    /// Sends once. A status that isn't a success is a response, not an error.
    fn send(&self, request: &Request) -> impl Future<Output = Result<Response, TransportError>>;
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
    /// No response in time.
    #[error("no response within {} ms", .0.as_millis())]
    Timeout(Duration),
}

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub struct Delivered {
    /// Acknowledged.
    pub sent: Weight,
    /// Given up, with the reason and the last thing that the intake said of it.
    pub dropped: Vec<Dropped>,
    /// Requests that were acknowledged: more than one if it was cut.
    pub requests: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Bytes of acknowledged bodies.
    pub bytes: u64,
}

/// A request that was given up.
#[derive(Clone, Debug)]
pub struct Dropped {
    /// The request.
    pub request: Request,
    /// Why.
    pub reason: Reason,
    /// The last answer, in words.
    pub last: String,
}

/// How long attempts may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// One attempt.
    pub attempt: Duration,
    /// All of them: nothing is waited for beyond this.
    pub deadline: Instant,
}

/// How one request ended.
enum End {
    Accepted,
    TooLarge,
    Dropped(Reason, String),
}

/// Sends a request until it is acknowledged, refused, or out of time. What an
/// intake calls too large is cut in two, and each half sent by itself.
pub async fn deliver<T: Transport>(
    transport: &T,
    request: Request,
    verdict: impl Fn(&Response) -> Verdict,
    patience: Patience,
    seed: u64,
) -> Delivered {
    let mut delivered = Delivered::default();
    let mut waiting = vec![request];
    while let Some(request) = waiting.pop() {
        match attempts(transport, &request, &verdict, patience, seed, &mut delivered.retries).await {
            End::Accepted => {
                delivered.sent += request.weight();
                delivered.requests += 1;
                delivered.bytes += request.body.len() as u64;
            }
            End::TooLarge => match (request.split)(&request) {
                Some([first, second]) => waiting.extend([second, first]),
                None => delivered.dropped.push(Dropped {
                    request,
                    reason: Reason::Oversize,
                    last: "too large, even alone".to_owned(),
                }),
            },
            End::Dropped(reason, last) => delivered.dropped.push(Dropped { request, reason, last }),
        }
    }
    delivered
}

async fn attempts<T: Transport>(
    transport: &T,
    request: &Request,
    verdict: &impl Fn(&Response) -> Verdict,
    patience: Patience,
    seed: u64,
    retries: &mut u64,
) -> End {
    let mut backoff = Backoff::new(seed);
    let mut last = (Reason::Deadline, "there was no time to try".to_owned());
    loop {
        let now = Instant::now();
        if now >= patience.deadline {
            return End::Dropped(last.0, last.1);
        }
        let limit = patience.deadline.min(now + patience.attempt);
        let result = timeout_at(limit, transport.send(request)).await;
        let asked = match result.unwrap_or_else(|_| Err(TransportError::Timeout(limit - now))) {
            Ok(response) => match verdict(&response) {
                Verdict::Accepted => return End::Accepted,
                Verdict::TooLarge => return End::TooLarge,
                Verdict::Refused => return End::Dropped(Reason::Refused, answer(&response, request)),
                Verdict::Unauthorized => return End::Dropped(Reason::Unauthorized, answer(&response, request)),
                Verdict::Busy { retry_after } => {
                    last = (Reason::Busy, answer(&response, request));
                    retry_after
                }
            },
            Err(error) => {
                last = (Reason::Unreachable, error.to_string());
                None
            }
        };
        let pause = backoff.pause(asked);
        // A pause that leaves no time for an attempt is not worth waiting for.
        if Instant::now().checked_add(pause).is_none_or(|next| next >= patience.deadline) {
            return End::Dropped(last.0, last.1);
        }
        tokio::time::sleep(pause).await;
        *retries += 1;
    }
}

/// Status and the beginning of the body, on one line, without secrets that it repeats.
fn answer(response: &Response, request: &Request) -> String {
    let mut body = String::from_utf8_lossy(&response.body).into_owned();
    if let Destination::Http { headers, .. } = &request.destination {
        for (_, header) in headers {
            if let Header::Secret(secret) = header {
                body = body.replace(secret.expose(), "***");
            }
        }
    }
    let body: String = body.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
    match body.trim() {
        "" => format!("status {}", response.status),
        text => format!("status {}: {text}", response.status),
    }
}

#[cfg(test)]
mod tests;
