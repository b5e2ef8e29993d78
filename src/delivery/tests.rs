use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::VecDeque;

use super::*;
use crate::env::Secret;
use crate::request::{Compression, Destination, Endpoint, Frame, Header, Item, Refused};

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
    async fn send(&self, request: &Request, until: Instant) -> Result<Response, TransportError> {
        self.sent.borrow_mut().push(request.items.len());
        let answer = self.answers.borrow_mut().pop_front();
        match answer {
            Some(answer) => answer,
            None => within(until, pending()).await,
        }
    }
}

/// Takes no request with an item of which this is true, by its end; counts those that it is sent.
struct Picky<F>(F, RefCell<usize>);

impl<F: Fn(usize) -> bool> Transport for Picky<F> {
    async fn send(&self, request: &Request, _: Instant) -> Result<Response, TransportError> {
        *self.1.borrow_mut() += 1;
        let refuses = request.items.iter().any(|item| self.0(item.end));
        Ok(Response { status: if refuses { 422 } else { 200 }, ..Response::default() })
    }
}

/// A request whose items end at 0, 1, 2, …
fn numbered(items: usize) -> Request {
    let mut numbered = Request { judge, ..request(items) };
    (0..).zip(&mut numbered.items).for_each(|(place, item)| item.end = place);
    numbered
}

#[expect(clippy::unnecessary_wraps, reason = "as a request has it")]
fn select(request: &Request, wanted: &[usize]) -> Option<Request> {
    let items = wanted.iter().map(|place| request.items[*place]).collect();
    Some(Request { items, ..request.clone() })
}

fn request(items: usize) -> Request {
    Request {
        destination: Destination::Stdout,
        body: vec![0; 10],
        compression: Compression::None,
        frame: Frame::text(b"", b"", b""),
        items: vec![Item { end: 1, weight: Weight::LOG }; items],
        route: "test",
        oldest: crate::model::Timestamp::default(),
        judge: Verdict::of,
        select,
        fallback: None,
    }
}

async fn run(script: &Script, items: usize, seconds: u64) -> (Delivered, Duration) {
    send(script, request(items), seconds).await
}

async fn send(script: &impl Transport, request: Request, seconds: u64) -> (Delivered, Duration) {
    let start = Instant::now();
    let patience = Patience { attempt: Duration::from_secs(5), deadline: start + Duration::from_secs(seconds) };
    let delivered = deliver(script, request, patience, 1).await;
    (delivered, start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn tries_until_accepted_refused_or_out_of_time() {
    for (statuses, seconds, sent, reason) in [
        (vec![202], 30, 1, None),
        (vec![503, 429, 408, 202], 30, 1, None),
        (vec![400, 202], 30, 0, Some(Reason::Refused)),
        (vec![501], 30, 0, Some(Reason::Refused)),
        (vec![404, 202], 30, 0, Some(Reason::NotFound)),
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

/// An intake is overloaded or silent, and then the deadline leaves the last attempt less time than it may take.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_the_deadline_cuts_short_hides_no_earlier_cause() {
    for (statuses, seconds, reason, said) in [
        (vec![503], 4, Reason::Busy, "status 503"),
        (
            vec![],
            12,
            Reason::Unreachable,
            "no response within 5000 ms; if the intake is only slow, raise LOGFERRY_SEND_TIMEOUT",
        ),
        (vec![], 3, Reason::Unreachable, "no response within 3000 ms"),
        (vec![], 0, Reason::Deadline, "there was no time to try"),
    ] {
        let script = Script::statuses(&statuses);
        let (delivered, _) = run(&script, 1, seconds).await;
        let dropped = &delivered.dropped[0];
        assert_eq!((dropped.reason, dropped.last.as_str()), (reason, said), "{statuses:?} {seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_intake_is_not_blamed_for_what_little_time_there_was() {
    let script = Script::statuses(&[]);
    let patience = Patience { attempt: Duration::from_secs(5), deadline: Instant::now() + Duration::from_millis(160) };
    let delivered = deliver(&script, request(1), patience, 7).await;
    let dropped = &delivered.dropped[0];
    let said = "no response within 160 ms, when the time was over";
    assert_eq!((dropped.reason, dropped.last.as_str()), (Reason::Deadline, said));
}

#[tokio::test(start_paused = true)]
async fn writes_nothing_twice_to_standard_output() {
    let full = Err(TransportError::Output("no space left".to_owned()));
    let accepted = Ok(Response { status: 200, ..Response::default() });
    let script = Script { answers: RefCell::new([full, accepted].into()), sent: RefCell::default() };
    let (delivered, _) = run(&script, 2, 30).await;
    assert_eq!((delivered.sent.logs, script.sent.borrow().len()), (0, 1));
    assert_eq!(delivered.dropped[0].last, "cannot write to standard output: no space left");
}

#[tokio::test(start_paused = true)]
async fn cuts_what_is_too_large_and_sends_each_piece_once() {
    // 4 → 2 + 2, the first of which → 1 + 1, of which one is refused.
    let script = Script::statuses(&[413, 413, 202, 413, 202]);
    let (delivered, _) = run(&script, 4, 30).await;
    assert_eq!(*script.sent.borrow(), [4, 2, 1, 1, 2]);
    assert_eq!((delivered.sent.logs, delivered.requests), (3, 2));
    let dropped: Vec<_> = delivered.dropped.iter().map(|dropped| (dropped.reason, dropped.weight.logs)).collect();
    assert_eq!(dropped, [(Reason::Oversize, 1)]);
}

#[tokio::test(start_paused = true)]
async fn says_what_the_intake_said() {
    let answer = Ok(Response { status: 400, body: b"{\"errors\":[\"no\nmessage\"]}".to_vec(), ..Response::default() });
    let script = Script { answers: RefCell::new([answer].into()), sent: RefCell::default() };
    let (delivered, _) = run(&script, 1, 30).await;
    assert_eq!(delivered.dropped[0].last, "status 400: {\"errors\":[\"no message\"]}");
}

#[test]
fn says_no_secret_that_an_answer_repeats() {
    let secret = |text: &str| Secret::new(text.to_owned());
    let header = |value: &str| (Cow::Borrowed("authorization"), Header::Secret(secret(value)));
    // user:glc_super/+=x, and user:abc.
    for (secret, said, expected) in [
        ("Basic dXNlcjpnbGNfc3VwZXIvKz14", "user user, password glc_super/+=x", "user user, password ***"),
        ("Basic dXNlcjpnbGNfc3VwZXIvKz14", "got Basic dXNlcjpnbGNfc3VwZXIvKz14", "got ***"),
        ("Basic dXNlcjpnbGNfc3VwZXIvKz14", "got dXNlcjpnbGNfc3VwZXIvKz14", "got ***"),
        ("Basic dXNlcjphYmM=", "no abc, no abacus", "no abc, no abacus"),
        ("Basic nobase64", "bad nobase64", "bad ***"),
        ("Bearer eyJhbGciOi", "bad token eyJhbGciOi", "bad token ***"),
        // user:pa"ss\wörd, as JSON writes it.
        ("Basic dXNlcjpwYSJzc1x3w7ZyZA==", r#"{"got":"user:pa\"ss\\wörd"}"#, r#"{"got":"user:***"}"#),
        ("Basic dXNlcjpwYSJzc1x3w7ZyZA==", r#"{"got":"user:pa\"ss\\w\u00f6rd"}"#, r#"{"got":"user:***"}"#),
    ] {
        let endpoint = Endpoint { headers: vec![header(secret)], ..Endpoint::default() };
        let request =
            Request { destination: Destination::Http(endpoint), ..Request::with_items(Vec::new(), Verdict::of) };
        assert_eq!(redacted(said, &request, &[]), expected);
    }
    for (query, said, expected) in [
        ("token=s3cr%2Ft%2Babcdef", "bad token token=s3cr/t+abcdef", "bad token ***"),
        ("token=s3cr%2Ft%2Babcdef", "bad token s3cr/t+abcdef", "bad token ***"),
        ("a=b&token=s3cr%2Ft", "bad token s3cr/t", "bad token ***"),
        (
            "token=s#cret-2024",
            "such a token is unknown: s#cret-2024, s%23cret-2024",
            "such a token is unknown: ***, ***",
        ),
        ("token=%41%42abcdef", "A token, AB", "A token, AB"),
        ("token=s3cr%2Ft%2Babcdef", "token=s3cr%2Ft%2Babcdef", "***"),
    ] {
        let endpoint = Endpoint { query: Some(secret(query)), ..Endpoint::default() };
        let request =
            Request { destination: Destination::Http(endpoint), ..Request::with_items(Vec::new(), Verdict::of) };
        assert_eq!(redacted(said, &request, &[]), expected, "{query}");
    }
}

/// 207: the first item is taken, the second refused, the others may be taken later. 206: some item is refused.
/// 422: some item is malformed.
fn judge(request: &Request, response: &Response) -> Verdict {
    match response.status {
        207 => {
            let retry = (2..request.items.len()).collect();
            Verdict::Partly { retry, refused: Refused::Items(vec![1]), why: "bad field".to_owned() }
        }
        206 => {
            let refused = Refused::Count(Weight::LOG);
            Verdict::Partly { retry: Vec::new(), refused, why: "bad field".to_owned() }
        }
        422 => Verdict::Malformed,
        _ => Verdict::of(request, response),
    }
}

#[tokio::test(start_paused = true)]
async fn sends_again_what_was_not_taken_and_only_that() {
    let script = Script::statuses(&[207, 503, 200]);
    let (delivered, _) = send(&script, Request { judge, ..request(5) }, 30).await;
    assert_eq!(*script.sent.borrow(), [5, 3, 3]);
    assert_eq!((delivered.sent.logs, delivered.requests, delivered.retries), (4, 2, 2));
    assert_eq!(delivered.bytes, 20);
    let dropped = &delivered.dropped[0];
    assert_eq!((dropped.reason, dropped.weight.logs, dropped.last.as_str()), (Reason::Refused, 1, "bad field"));
    assert_eq!(dropped.request.items.len(), 1);

    // What is left each time wasn't kept waiting: the pauses don't grow.
    let script = Script::statuses(&[207; 15]);
    let (delivered, took) = send(&script, Request { judge, ..request(30) }, 30).await;
    assert_eq!((delivered.sent.logs, delivered.dropped.len(), delivered.retries), (15, 15, 14));
    assert!(took < Duration::from_secs(10), "{took:?}");

    let script = Script::statuses(&[207]);
    let (delivered, _) = send(&script, Request { judge, ..request(2) }, 30).await;
    assert_eq!((delivered.sent.logs, delivered.dropped[0].weight.logs, delivered.requests), (1, 1, 1));
    assert_eq!(delivered.dropped[0].request.items.len(), 1);

    // What is refused whole isn't acknowledged.
    let (delivered, _) = send(&Script::statuses(&[206]), Request { judge, ..request(1) }, 30).await;
    assert_eq!((delivered.sent.logs, delivered.requests, delivered.bytes), (0, 0, 0));

    // Nobody says which: the request that holds it is all that is known.
    let (delivered, _) = send(&Script::statuses(&[206]), Request { judge, ..request(3) }, 30).await;
    assert_eq!((delivered.sent.logs, delivered.dropped[0].weight.logs), (2, 1));
    assert_eq!(delivered.dropped[0].request.items.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn finds_what_is_malformed_and_sends_the_rest() {
    // 4 → 2 + 2, the second of which → 1 + 1, the first of which is the bad one.
    let script = Script::statuses(&[422, 200, 422, 422, 200]);
    let (delivered, _) = send(&script, Request { judge, ..request(4) }, 30).await;
    assert_eq!(*script.sent.borrow(), [4, 2, 2, 1, 1]);
    assert_eq!((delivered.sent.logs, delivered.dropped.len()), (3, 1));

    // However many there are, as long as there are others.
    for every in [2, 7, 25, 100] {
        let picky = Picky(|place: usize| place.is_multiple_of(every), RefCell::default());
        let (delivered, _) = send(&picky, numbered(1000), 30).await;
        let bad = 1000_usize.div_ceil(every) as u64;
        assert_eq!((delivered.sent.logs, delivered.dropped.len() as u64), (1000 - bad, bad));
    }
    // Also behind many that are bad.
    for bad in [|place: usize| place < 70 || place.is_multiple_of(100), |place| place < 300, |place| place >= 300] {
        let (delivered, _) = send(&Picky(bad, RefCell::default()), numbered(1000), 30).await;
        assert_eq!(delivered.sent.logs, (0..1000).filter(|place| !bad(*place)).count() as u64);
    }

    let all_bad = Script::statuses(&[422; 300]);
    let (delivered, _) = send(&all_bad, Request { judge, ..request(1000) }, 30).await;
    assert_eq!((delivered.sent.logs, delivered.dropped.iter().map(|dropped| dropped.weight.logs).sum()), (0, 1000_u64));
    assert!(all_bad.sent.borrow().len() <= 165, "{}", all_bad.sent.borrow().len());
}

#[tokio::test(start_paused = true)]
async fn what_is_outdated_is_settled_and_the_rest_is_sent() {
    let judge = |request: &Request, response: &Response| match response.status {
        409 => Verdict::Outdated,
        _ => Verdict::of(request, response),
    };
    // 4 → 2 + 2, the second of which → 1 + 1, the first of which is outdated.
    let script = Script::statuses(&[409, 200, 409, 409, 200]);
    let (delivered, _) = send(&script, Request { judge, ..request(4) }, 30).await;
    assert_eq!(*script.sent.borrow(), [4, 2, 2, 1, 1]);
    assert_eq!((delivered.sent.logs, delivered.dropped.len()), (4, 0));

    // However many there are: one that nobody has may be behind them.
    let last = 399;
    let judge = |request: &Request, response: &Response| match response.status {
        422 => Verdict::Outdated,
        _ => Verdict::of(request, response),
    };
    let picky = Picky(|place: usize| place < last, RefCell::default());
    let (delivered, _) = send(&picky, Request { judge, ..numbered(last + 1) }, 30).await;
    assert_eq!((delivered.sent.logs, delivered.requests, delivered.dropped.len()), (400, 1, 0));
    // What there is no time for is not said to be settled.
    let (delivered, _) = send(&Script::statuses(&[422; 100]), Request { judge, ..numbered(400) }, 30).await;
    let dropped: u64 = delivered.dropped.iter().map(|dropped| dropped.weight.logs).sum();
    assert!(dropped > 300 && delivered.sent.logs + dropped == 400, "{dropped}");
}

#[test]
fn what_only_the_transport_knows_is_hidden_in_each_spelling() {
    let others = ["IQoJ/abc+==", "p@ss\"w/rd", "abc"].map(|secret| Secret::new(secret.to_owned()));
    let request = Request::with_items(Vec::new(), Verdict::of);
    for (said, expected) in [
        (r"bad IQoJ/abc+==", "bad ***"),
        (r"bad IQoJ\/abc+==", "bad ***"),
        (r"bad IQoJ%2Fabc%2B%3D%3D", "bad ***"),
        (r#"bad p@ss\"w/rd, p%40ss%22w%2Frd"#, "bad ***, ***"),
        ("abc is in many words", "abc is in many words"),
    ] {
        assert_eq!(redacted(said, &request, &others), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn never_repeats_a_secret() {
    let body = b"no access for tkn_0123456789abcdef or c2VjcmV0OnNlY3JldA==".to_vec();
    let answer = Ok(Response { status: 403, body, ..Response::default() });
    let script = Script { answers: RefCell::new([answer].into()), sent: RefCell::default() };
    let secret = |text: &str| Secret::new(text.to_owned());
    let endpoint = Endpoint {
        query: Some(secret("token=tkn_0123456789abcdef")),
        headers: vec![("Authorization".into(), Header::Secret(secret("Basic c2VjcmV0OnNlY3JldA==")))],
        ..Endpoint::default()
    };
    let (delivered, _) = send(&script, Request { destination: Destination::Http(endpoint), ..request(1) }, 30).await;
    assert_eq!(delivered.dropped[0].last, "status 403: no access for *** or ***");
}

#[tokio::test(start_paused = true)]
async fn says_some_in_another_way_and_only_those() {
    let judge = |request: &Request, response: &Response| match response.status {
        400 => Verdict::Otherwise { others: (0..request.items.len() - 1).collect(), why: "too late".to_owned() },
        _ => Verdict::of(request, response),
    };
    let encode = |request: &Request| Some(Request { fallback: None, ..request.clone() });
    let fallback = || Some(crate::request::Fallback { encode, needed: std::sync::Arc::default() });
    let script = Script::statuses(&[400, 503, 204]);
    let (delivered, _) = send(&script, Request { judge, fallback: fallback(), ..request(3) }, 30).await;
    assert_eq!(*script.sent.borrow(), [3, 2, 2]);
    assert_eq!((delivered.sent.logs, delivered.dropped.len(), delivered.requests), (3, 0, 2));
    // What isn't taken in the other way either is refused.
    let script = Script::statuses(&[400, 400]);
    let (delivered, _) = send(&script, Request { judge, fallback: fallback(), ..request(3) }, 30).await;
    assert_eq!(*script.sent.borrow(), [3, 2]);
    let dropped = &delivered.dropped[0];
    assert_eq!((delivered.sent.logs, dropped.weight.logs, dropped.last.as_str()), (2, 1, "too late"));
}

#[tokio::test(start_paused = true)]
async fn says_it_in_another_way_and_loses_nothing() {
    let judge = |request: &Request, response: &Response| match (request.fallback.is_some(), response.status) {
        (true, 204) => Verdict::Unsupported,
        _ => Verdict::of(request, response),
    };
    let encode = |request: &Request| Some(Request { fallback: None, ..request.clone() });
    let needed = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
    let fallback = Some(crate::request::Fallback { encode, needed: needed.clone() });
    let script = Script::statuses(&[503, 204, 503, 204]);
    let (delivered, _) = send(&script, Request { judge, fallback, ..request(3) }, 30).await;
    assert_eq!((delivered.sent.logs, delivered.retries, delivered.requests), (3, 2, 1));
    assert!(needed.load(std::sync::atomic::Ordering::Relaxed));
    // There may be no other way.
    let judge = |_: &Request, _: &Response| Verdict::Unsupported;
    let (delivered, _) = send(&Script::statuses(&[204]), Request { judge, ..request(3) }, 30).await;
    assert_eq!(
        (delivered.sent.logs, delivered.dropped[0].reason, delivered.dropped[0].weight.logs),
        (0, Reason::Refused, 3)
    );
}
