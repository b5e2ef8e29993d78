use std::cell::RefCell;
use std::collections::VecDeque;

use super::*;
use crate::request::{Compression, Destination, Frame, Item};

/// Answers in order; then never.
struct Script {
    answers: RefCell<VecDeque<Result<Response, TransportError>>>,
    sent: RefCell<Vec<usize>>,
}

impl Script {
    fn statuses(statuses: &[u16]) -> Self {
        let answers = statuses.iter().map(|&status| Ok(Response { status, ..Response::default() }));
        Self { answers: RefCell::new(answers.collect()), sent: RefCell::default() }
    }
}

impl Transport for Script {
    async fn send(&self, request: &Request) -> Result<Response, TransportError> {
        self.sent.borrow_mut().push(request.items.len());
        let answer = self.answers.borrow_mut().pop_front();
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

fn halves(request: &Request) -> Option<[Request; 2]> {
    let (first, second) = request.items.split_at(request.items.len() / 2);
    let part = |items: &[Item]| Request { items: items.to_vec(), ..request.clone() };
    (!first.is_empty()).then(|| [part(first), part(second)])
}

fn request(items: usize) -> Request {
    Request {
        destination: Destination::Stdout,
        body: vec![0; 10],
        compression: Compression::None,
        frame: Frame { open: b"", separator: b"", close: b"" },
        items: vec![Item { end: 1, weight: Weight::LOG }; items],
        split: halves,
    }
}

async fn run(script: &Script, items: usize, seconds: u64) -> (Delivered, Duration) {
    let start = Instant::now();
    let patience = Patience { attempt: Duration::from_secs(5), deadline: start + Duration::from_secs(seconds) };
    let delivered = deliver(script, request(items), Verdict::of, patience, 1).await;
    (delivered, start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn tries_until_accepted_refused_or_out_of_time() {
    for (statuses, seconds, sent, reason) in [
        (vec![202], 30, 1, None),
        (vec![503, 429, 408, 202], 30, 1, None),
        (vec![400, 202], 30, 0, Some(Reason::Refused)),
        (vec![501], 30, 0, Some(Reason::Refused)),
        (vec![403, 202], 30, 0, Some(Reason::Unauthorized)),
        (vec![503; 20], 2, 0, Some(Reason::Busy)),
        (vec![], 12, 0, Some(Reason::Unreachable)),
        (vec![202], 0, 0, Some(Reason::Deadline)),
    ] {
        let script = Script::statuses(&statuses);
        let (delivered, took) = run(&script, 1, seconds).await;
        assert_eq!(delivered.sent.logs, sent, "{statuses:?}");
        assert_eq!(delivered.dropped.first().map(|dropped| dropped.reason), reason, "{statuses:?}");
        assert!(took <= Duration::from_secs(seconds), "{statuses:?} took {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn waits_as_long_as_asked_but_not_in_vain() {
    let busy =
        |seconds| Ok(Response { status: 429, retry_after: Some(Duration::from_secs(seconds)), ..Response::default() });
    let accepted = Ok(Response { status: 202, ..Response::default() });
    let script = Script { answers: RefCell::new([busy(7), accepted.clone()].into()), sent: RefCell::default() };
    let (delivered, took) = run(&script, 1, 30).await;
    assert_eq!((delivered.sent.logs, delivered.retries), (1, 1));
    assert!(took >= Duration::from_secs(7), "{took:?}");

    let script = Script { answers: RefCell::new([busy(60), accepted].into()), sent: RefCell::default() };
    let (delivered, took) = run(&script, 1, 30).await;
    assert_eq!(delivered.dropped[0].reason, Reason::Busy);
    assert_eq!(took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn cuts_what_is_too_large_and_sends_each_piece_once() {
    // 4 → 2 + 2, the first of which → 1 + 1, of which one is refused.
    let script = Script::statuses(&[413, 413, 202, 413, 202]);
    let (delivered, _) = run(&script, 4, 30).await;
    assert_eq!(*script.sent.borrow(), [4, 2, 1, 1, 2]);
    assert_eq!((delivered.sent.logs, delivered.requests), (3, 2));
    let dropped: Vec<_> =
        delivered.dropped.iter().map(|dropped| (dropped.reason, dropped.request.weight().logs)).collect();
    assert_eq!(dropped, [(Reason::Oversize, 1)]);
}

#[tokio::test(start_paused = true)]
async fn says_what_the_intake_said() {
    let answer = Ok(Response { status: 400, body: b"{\"errors\":[\"no\nmessage\"]}".to_vec(), ..Response::default() });
    let script = Script { answers: RefCell::new([answer].into()), sent: RefCell::default() };
    let (delivered, _) = run(&script, 1, 30).await;
    assert_eq!(delivered.dropped[0].last, "status 400: {\"errors\":[\"no message\"]}");
}
