//! What carries requests, over real sockets: proxies, TLS, and answers of every kind.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::intake::Intake;
use common::pack::gzip;
use common::server::Answer;
use logferry::aws::{self, Credentials, Places, Signer};
use logferry::delivery::{Http, HttpSettings, Patience, Transport, TransportError, deliver};
use logferry::env::{Env, Mistake, Secret};
use logferry::ledger::Reason;
use logferry::request::{
    Certificates, Compression, Destination, Endpoint, Frame, Header, PemFile, Request, Response, Signing, Verdict,
};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use tokio::time::Instant;

const KEY: &str = "0123456789abcdef";

// === requests and connections ===

#[tokio::test]
async fn sends_a_request_as_it_is() {
    let intake = Intake::answering(|_, _| Answer::with(202, &[], b"{\"status\":\"ok\"}"));
    let http = direct();
    let response = send(&http, &format!("{}/api/v2/logs?a=b", intake.url()), b"\x1f\x8b\0\xff").await.unwrap();
    assert_eq!((response.status, response.body.as_slice()), (202, b"{\"status\":\"ok\"}".as_slice()));
    let request = &intake.requests()[0];
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/api/v2/logs?a=b"));
    assert_eq!(request.body, b"\x1f\x8b\0\xff");
    assert_eq!(request.headers["dd-api-key"], KEY);
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["content-length"], "4");
    assert_eq!(request.headers["user-agent"], concat!("logferry/", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn a_query_that_is_a_secret_is_sent_and_a_request_to_aws_is_signed() {
    let intake = Intake::accepting();
    let http = client(&[
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "token"),
    ]);
    let endpoint = Endpoint {
        url: format!("{}/_bulk", intake.url()),
        query: Some(Secret::new("token=tkn_0123".to_owned())),
        signing: Some(Signing { service: "es", region: "eu-west-1".to_owned() }),
        ..Endpoint::default()
    };
    send_to(&http, endpoint.clone(), b"{}").await.unwrap();
    let request = &intake.requests()[0];
    assert_eq!(request.target, "/_bulk?token=tkn_0123");
    let signed =
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/19700101/eu-west-1/es/aws4_request, SignedHeaders=host;x-amz-";
    assert!(request.headers["authorization"].starts_with(signed), "{}", request.headers["authorization"]);
    assert_eq!(request.headers["x-amz-date"], "19700101T000000Z");
    assert_eq!(request.headers["x-amz-security-token"], "token");
    let error = send_to(&direct(), endpoint, b"{}").await.unwrap_err();
    assert!(error.to_string().starts_with("no AWS credentials"), "{error}");
}

/// What is sent to sign a request, or to a proxy, no request holds: nothing that is said of it shows that either.
#[tokio::test]
async fn an_answer_that_repeats_what_only_the_transport_knows_hides_it() {
    let soon = Duration::from_secs(20);
    for (user, pair) in [("ferry:hunter%2B2", "ferry:hunter+2"), ("f&=y:h&=er", "f&=y:h&=er"), ("a-token", "a-token:")]
    {
        let echo = Intake::answering(|request, _| {
            let basic = STANDARD.decode(&request.headers["proxy-authorization"]["Basic ".len()..]).unwrap();
            let (proxy, token) = (&request.headers["proxy-authorization"], &request.headers["x-amz-security-token"]);
            let signature = request.headers["authorization"].rsplit_once("Signature=").unwrap().1;
            let body = format!("{proxy} {} {token} {signature}", String::from_utf8(basic).unwrap());
            Answer::with(422, &[], body.as_bytes())
        });
        let http = client(&[
            ("HTTP_PROXY", &echo.url().replace("http://", &format!("http://{user}@"))),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_SESSION_TOKEN", "session-token"),
        ]);
        let endpoint = Endpoint {
            url: "http://intake.invalid/".to_owned(),
            signing: Some(Signing { service: "aps", region: "eu-west-1".to_owned() }),
            ..Endpoint::default()
        };
        let patience = Patience { attempt: soon, deadline: Instant::now() + soon };
        let delivered = deliver(&http, request(endpoint, b"{}"), patience, 1).await;
        let said = &delivered.dropped[0].last;
        assert_eq!(echo.requests()[0].headers["proxy-authorization"], format!("Basic {}", STANDARD.encode(pair)));
        let (name, _) = pair.split_once(':').unwrap();
        let name = if name == "a-token" { "***" } else { name };
        let colon = if name == "***" { ":" } else { ":***" };
        assert_eq!(*said, format!("status 422: Basic *** {name}{colon} *** ***"), "{pair}");
    }
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let intake = Intake::accepting();
    let body: Vec<_> = (0..5_000_000_u32).map(|number| number.to_le_bytes()[number as usize % 4]).collect();
    send(&direct(), &intake.url(), &body).await.unwrap();
    assert!(intake.requests()[0].body == body, "another body");
}

#[tokio::test]
async fn a_connection_is_used_again_whatever_the_answer() {
    let statuses = [202, 400, 403, 413, 429, 500, 302, 202];
    let intake = Intake::answering(move |_, before| Answer::status(statuses[before]));
    let http = direct();
    for status in statuses {
        assert_eq!(send(&http, &intake.url(), b"x").await.unwrap().status, status);
    }
    assert_eq!(intake.connections(), 1);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Intake::accepting();
    for status in [301, 302, 303, 307, 308] {
        let location = elsewhere.url();
        let intake = Intake::answering(move |_, _| Answer::with(status, &[("Location", &location)], b""));
        let response = send(&direct(), &intake.url(), b"x").await.unwrap();
        assert_eq!((response.status, response.location), (status, Some(format!("{}/", elsewhere.url()))));
        assert_eq!(intake.requests().len(), 1);
    }
    // Where to, but no secrets on the way.
    for (location, expected) in [
        ("https://ferry:hunter2@login.example.com/sso?token=abc#here", Some("https://login.example.com/sso")),
        ("//other/path", Some("http://other/path")),
        ("", Some("INTAKE/v1")),
        ("/there", Some("INTAKE/there")),
        ("http://", None),
    ] {
        let intake = Intake::answering(move |_, _| Answer::with(308, &[("Location", location)], b""));
        let found = send(&direct(), &format!("{}/v1?token=abc", intake.url()), b"x").await.unwrap().location;
        assert_eq!(found, expected.map(|to| to.replace("INTAKE", &intake.url())), "{location}");
    }
    assert_eq!(elsewhere.connections(), 0);
}

// === answers ===

/// As of a login before an intake.
#[tokio::test]
async fn a_page_under_a_success_is_no_success() {
    for (kind, body, is_page) in [
        ("text/html; charset=utf-8", "<?xml version=\"1.0\"?><!DOCTYPE html PUBLIC>", true),
        ("Text/HTML", "\u{feff} <head><title>Sign in", true),
        ("application/xhtml+xml", "<!-- x --><html>", true),
        ("text/plain", "<html>", true),
        ("text/html", "", false),
        ("text/html", "ok", false),
        ("application/xml", "<?xml version=\"1.0\"?><ok/>", false),
    ] {
        let intake = Intake::answering(move |_, _| Answer::with(200, &[("Content-Type", kind)], body.as_bytes()));
        let patience = Patience { attempt: Duration::from_secs(5), deadline: Instant::now() + Duration::from_secs(5) };
        let delivered = deliver(&direct(), request(endpoint(&intake.url()), b"x"), patience, 1).await;
        let reasons: Vec<_> = delivered.dropped.iter().map(|dropped| dropped.reason).collect();
        assert_eq!(reasons, if is_page { vec![Reason::NotFound] } else { vec![] }, "{kind} {body}");
    }
}

#[tokio::test]
async fn a_page_that_breaks_off_at_once_is_no_success_either() {
    for (kind, is_page) in [("text/html", true), ("application/json", false)] {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n\r\n");
        let intake = Intake::answering(move |_, _| Answer::raw(answer.clone()));
        let patience = Patience { attempt: Duration::from_secs(5), deadline: Instant::now() + Duration::from_secs(5) };
        let delivered = deliver(&direct(), request(endpoint(&intake.url()), b"x"), patience, 1).await;
        assert_eq!(delivered.dropped.len(), usize::from(is_page), "{kind}");
    }
}

/// No coding is asked for, and some proxies choose one all the same.
#[tokio::test]
async fn an_answer_that_was_gzipped_unasked_is_read() {
    let page = gzip(b"<html>Sign in");
    let whole = gzip(&vec![b'x'; 1_000_000]);
    let part = page[..page.len() - 9].to_vec();
    let is_read = |response: &Response| (response.body.len(), response.cut);
    for (coding, sent, expected) in [
        ("gzip", page.clone(), (13, false)),
        ("X-GZIP", page.clone(), (13, false)),
        ("identity", page.clone(), (page.len(), false)),
        ("gzip", b"{}".to_vec(), (0, true)),
        ("gzip", part, (13, true)),
        ("gzip", whole, (256 * 1024, false)),
    ] {
        let intake = Intake::answering(move |_, _| Answer::with(200, &[("Content-Encoding", coding)], &sent));
        let response = send(&direct(), &intake.url(), b"x").await.unwrap();
        assert_eq!(is_read(&response), expected, "{coding}");
        assert_eq!(intake.requests()[0].headers["accept-encoding"], "identity");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_interruption() {
    for answer in [
        "",
        "HTTP/1.1 202 Acc",
        "HTTP/1.1 202 Accepted\r\nContent-Length: many\r\n\r\n{}",
        "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "HTTP/1.1 20 Accepted\r\n\r\n",
        "220 smtp.example.com ESMTP\r\n",
        "\x15\x03\x01\0\x02\x02\x46",
        "<html>\r\n\r\n",
    ] {
        let intake = Intake::answering(move |_, _| Answer::raw(answer));
        let error = send(&direct(), &intake.url(), b"x").await.unwrap_err();
        let TransportError::Interrupted(cause) = &error else { panic!("{answer:?}: {error:?}") };
        assert!(!cause.is_empty() && !cause.contains(KEY), "{answer:?}: {cause}");
        // Whether to send it again is not decided here.
        assert_eq!(intake.requests().len(), 1, "{answer:?}");
    }
}

#[tokio::test]
async fn an_answer_whose_body_breaks_off_has_its_status() {
    for (answer, status, body) in [
        ("HTTP/1.1 202 Accepted\r\nContent-Length: 1000\r\n\r\n{}", 202, "{}"),
        ("HTTP/1.1 400 Bad\r\nContent-Length: 1000\r\n\r\nno", 400, "no"),
        ("HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}", 202, ""),
    ] {
        let intake = Intake::answering(move |_, _| Answer::raw(answer));
        let response = send(&direct(), &intake.url(), b"x").await.unwrap();
        assert_eq!((response.status, response.body.as_slice()), (status, body.as_bytes()), "{answer:?}");
    }
}

#[tokio::test]
async fn an_answer_whose_body_drips_has_its_status_soon() {
    let intake = Intake::answering(|_, _| Answer::drip("HTTP/1.1 202 Accepted\r\nContent-Length: 100000\r\n\r\n"));
    let http = direct();
    let answer = tokio::time::timeout(Duration::from_secs(8), send(&http, &intake.url(), b"x")).await;
    // Whoever waited for all of it would send it again, although it was taken.
    assert_eq!(answer.unwrap().unwrap().status, 202);
    assert_eq!(intake.requests().len(), 1);
}

#[tokio::test]
async fn what_is_acknowledged_is_not_sent_again_because_its_answer_is_slow() {
    let seconds = |seconds| (Duration::from_secs(seconds), Duration::from_secs(1));
    let (ten, one) = seconds(10);
    for (name, attempt, own, all) in
        [("an attempt", one, None, ten), ("the address's own", ten, Some(one), ten), ("the deadline", ten, None, one)]
    {
        for slow in [
            Answer::drip("HTTP/1.1 202 Accepted\r\nContent-Length: 100000\r\n\r\n"),
            Answer::stuck("HTTP/1.1 202 Accepted\r\nContent-Length: 100000\r\n\r\n{}"),
        ] {
            let intake = Intake::answering(move |_, _| slow.clone());
            let request = request(Endpoint { timeout: own, ..endpoint(&intake.url()) }, b"x");
            let start = Instant::now();
            let delivered = deliver(&direct(), request, Patience { attempt, deadline: start + all }, 1).await;
            assert_eq!((delivered.requests, delivered.dropped.len()), (1, 0), "{name}: {delivered:?}");
            assert_eq!(intake.requests().len(), 1, "{name}");
            assert!(start.elapsed() < Duration::from_secs(3), "{name}: {:?}", start.elapsed());
        }
    }
}

#[tokio::test]
async fn an_answer_whose_head_is_slow_is_none() {
    for answer in [Answer::hang(), Answer::drip("HTTP/1.1 202 Acc")] {
        let intake = Intake::answering(move |_, _| answer.clone());
        let until = Instant::now() + Duration::from_millis(300);
        let error = direct().send(&request(endpoint(&intake.url()), b"x"), until).await.unwrap_err();
        assert!(matches!(error, TransportError::Timeout(..)), "{error:?}");
    }
}

#[tokio::test]
async fn what_follows_an_answer_is_not_taken_for_the_next() {
    let intake = Intake::answering(|_, before| match before {
        0 => Answer::raw("HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 202 Accepted\r\n\r\n"),
        _ => Answer::status(403),
    });
    let http = direct();
    let first = send(&http, &intake.url(), b"x").await.unwrap();
    assert_eq!((first.status, first.body.as_slice()), (500, b"{}".as_slice()));
    assert_eq!(send(&http, &intake.url(), b"x").await.map(|response| response.status), Ok(403));
}

#[tokio::test]
async fn an_answer_may_come_before_the_body_was_read() {
    for status in [413, 403] {
        let intake = Intake::hasty(Answer::with(status, &[("Connection", "close")], b"{}"));
        let response = send(&direct(), &intake.url(), &vec![b'x'; 5_000_000]).await;
        assert_eq!(response.map(|response| response.status), Ok(status));
    }
}

#[tokio::test]
async fn a_response_is_read_up_to_256_kib() {
    const MOST: usize = 256 * 1024;
    for (name, answer, len) in [
        ("short", Answer::with(400, &[], &vec![b'x'; 1000]), 1000),
        ("as much", Answer::with(400, &[], &vec![b'x'; MOST]), MOST),
        ("more", Answer::with(400, &[], &vec![b'x'; 3 * MOST + 1]), MOST),
        ("no end", Answer::flood(400), MOST),
    ] {
        let intake = Intake::answering(move |_, _| answer.clone());
        let response = send(&direct(), &intake.url(), b"x").await.unwrap();
        assert_eq!((response.status, response.body.len()), (400, len), "{name}");
    }
}

#[tokio::test]
async fn keeps_the_names_of_headers_that_say_what_was_written() {
    let written = [
        ("X-Prometheus-Remote-Write-Version", "2.0.0"),
        ("X-Prometheus-Remote-Write-Samples-Written", "0"),
        ("X-Other", "1"),
    ];
    let intake = Intake::answering(move |_, _| Answer::with(204, &written, b""));
    let response = send(&direct(), &intake.url(), b"x").await.unwrap();
    assert_eq!(response.telling, ["x-prometheus-remote-write-samples-written"]);
}

#[tokio::test]
async fn reads_how_long_an_intake_asks_to_be_left_alone() {
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (date, asked, seconds) in [
        (DATE, "7", Some(7)),
        (DATE, " 0 ", Some(0)),
        (DATE, "Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
        (DATE, "Sunday, 06-Nov-94 08:50:07 GMT", Some(30)),
        (DATE, DATE, Some(0)),
        (DATE, "Sun, 06 Nov 1994 08:49:36 GMT", None),
        (DATE, "soon", None),
        (DATE, "-1", None),
        (DATE, "99999999999999999999999", None),
        (DATE, "", None),
    ] {
        let intake = Intake::answering(move |_, _| Answer::with(429, &[("Date", date), ("Retry-After", asked)], b""));
        let response = send(&direct(), &intake.url(), b"x").await.unwrap();
        assert_eq!(response.retry_after, seconds.map(Duration::from_secs), "{asked}");
    }
    let intake = Intake::accepting();
    assert_eq!(send(&direct(), &intake.url(), b"x").await.unwrap().retry_after, None);
    // An answer without a date is of now, by our own clock.
    for date in [&[][..], &[("Date", "yesterday")]] {
        let headers: Vec<_> = [("Retry-After", "Thu, 01 Jan 1970 00:00:30 GMT")].iter().chain(date).copied().collect();
        let intake = Intake::answering(move |_, _| Answer::with(429, &headers, b""));
        let response = send(&direct(), &intake.url(), b"x").await.unwrap();
        assert_eq!(response.retry_after, Some(Duration::from_secs(30)));
    }
}

#[tokio::test]
async fn a_refused_connection_is_no_interruption() {
    let listener = TcpListener::bind("127.77.0.2:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = send(&direct(), &url, b"x").await.unwrap_err();
    assert!(matches!(&error, TransportError::Connect(cause) if cause.contains("refused")), "{error:?}");
}

#[tokio::test]
async fn a_server_of_grpc_is_told_by_its_port() {
    // What Go's servers of gRPC write first, whatever they are asked.
    const SETTINGS: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0@\0";
    const ADVICE: &str =
        " (port 4317 is mostly that of gRPC, which is not spoken here: collectors take OTLP over HTTP on port 4318)";
    for (place, first) in [("127.77.0.5:4317", SETTINGS), ("127.77.0.6:4317", b""), ("127.77.0.7:0", SETTINGS)] {
        let listener = TcpListener::bind(place).unwrap();
        let url = format!("http://{}/v1/logs", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(first).unwrap();
            let _ = stream.read(&mut [0; 1000]);
        });
        let error = send(&direct(), &url, b"x").await.unwrap_err();
        let TransportError::Interrupted(cause) = &error else { panic!("{place}: {error:?}") };
        assert_eq!(cause.ends_with(ADVICE), place.ends_with("4317"), "{place}: {cause}");
    }
}

// === proxies ===

#[tokio::test]
async fn a_proxy_is_told_the_whole_address() {
    let proxy = Intake::accepting();
    let http = client(&[("HTTP_PROXY", &proxy.url().replace("http://", "http://ferry:hunter2@"))]);
    let response = send(&http, "http://intake.invalid/api/v2/logs", b"{}").await.unwrap();
    assert_eq!(response.status, 202);
    let request = &proxy.requests()[0];
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "http://intake.invalid/api/v2/logs"));
    assert_eq!((request.headers["host"].as_str(), request.body.as_slice()), ("intake.invalid", b"{}".as_slice()));
    assert_eq!(request.headers["proxy-authorization"], format!("Basic {}", STANDARD.encode("ferry:hunter2")));
    assert_eq!(request.headers["dd-api-key"], KEY);
}

#[tokio::test]
async fn proxies_may_be_named_in_lower_case() {
    let (proxy, intake) = (Intake::accepting(), Intake::accepting());
    let lower = [("http_proxy", proxy.url()), ("no_proxy", "intake.invalid".to_owned())];
    let http = client(&lower.each_ref().map(|(name, value)| (*name, value.as_str())));
    send(&http, "http://other.invalid/", b"{}").await.unwrap();
    assert!(send(&http, "http://intake.invalid/", b"{}").await.is_err());
    // What is in upper case holds.
    let http = client(&[("http_proxy", &proxy.url()), ("HTTP_PROXY", &intake.url())]);
    send(&http, "http://third.invalid/", b"{}").await.unwrap();
    let targets = |intake: &Intake| intake.requests().iter().map(|request| request.target.clone()).collect::<Vec<_>>();
    assert_eq!(
        (targets(&proxy), targets(&intake)),
        (vec!["http://other.invalid/".to_owned()], vec!["http://third.invalid/".to_owned()])
    );
}

#[tokio::test]
async fn a_proxy_for_https_learns_the_host_and_nothing_more() {
    let proxy = Intake::answering(|_, _| Answer::status(403));
    let http = client(&[("HTTPS_PROXY", &proxy.url())]);
    let error = send(&http, "https://intake.invalid/api/v2/logs", b"{}").await.unwrap_err();
    assert!(matches!(&error, TransportError::Connect(_)), "{error:?}");
    assert_eq!(error.to_string(), "cannot connect: HTTPS_PROXY refuses to connect to the host");
    let request = &proxy.requests()[0];
    assert_eq!((request.method.as_str(), request.target.as_str()), ("CONNECT", "intake.invalid:443"));
    assert!(!format!("{:?}", request.headers).contains(KEY), "{request:?}");
    let proxy = Intake::answering(|_, _| Answer::status(407));
    let http = client(&[("HTTPS_PROXY", &proxy.url())]);
    let error = send(&http, "https://intake.invalid/api/v2/logs", b"{}").await.unwrap_err();
    assert!(error.to_string().contains("HTTPS_PROXY wants a user and a password"), "{error}");
}

#[tokio::test]
async fn a_proxy_that_cannot_be_reached_is_named() {
    const NOWHERE: &str = "http://ferry:hunter2@no-proxy.invalid:3128";
    let listener = TcpListener::bind("127.77.0.4:0").unwrap();
    let refusing = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let of = |variable: &str, address: &str| format!(" (the proxy {address} of {variable})");
    let unless = " (the proxy http://no-proxy.invalid:3128 of HTTP_PROXY, unless NO_PROXY exempts the host)";
    for (pairs, url, expected) in [
        (&[("HTTPS_PROXY", NOWHERE)][..], "https://intake.invalid", of("HTTPS_PROXY", "http://no-proxy.invalid:3128")),
        (&[("HTTPS_PROXY", &refusing)], "https://intake.invalid", of("HTTPS_PROXY", &refusing)),
        (&[("https_proxy", "https://no-proxy.invalid")], "https://x", of("HTTPS_PROXY", "https://no-proxy.invalid")),
        (&[("HTTP_PROXY", NOWHERE)], "http://intake.invalid", of("HTTP_PROXY", "http://no-proxy.invalid:3128")),
        (&[("HTTP_PROXY", &refusing)], "http://intake.invalid", of("HTTP_PROXY", &refusing)),
        (&[("HTTP_PROXY", NOWHERE), ("NO_PROXY", "other.invalid")], "http://intake.invalid", unless.to_owned()),
    ] {
        let error = send(&client(pairs), url, b"{}").await.unwrap_err();
        assert!(matches!(&error, TransportError::Connect(cause) if cause.ends_with(&expected)), "{pairs:?}: {error:?}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    // Without one it is the intake that can't be reached.
    for (pairs, url) in [
        (&[("HTTP_PROXY", NOWHERE)][..], "https://intake.invalid"),
        (&[("HTTPS_PROXY", NOWHERE)], "http://intake.invalid"),
        (&[("HTTPS_PROXY", NOWHERE), ("NO_PROXY", "intake.invalid")], "https://intake.invalid"),
    ] {
        let error = send(&client(pairs), url, b"{}").await.unwrap_err();
        assert!(matches!(&error, TransportError::Connect(cause) if !cause.contains("proxy")), "{pairs:?}: {error:?}");
    }
}

/// What is said of an API of AWS that doesn't answer.
async fn failure_of_aws(pairs: &[(&str, &str)]) -> String {
    let keys = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    let all = [pairs, &keys].concat();
    let lookup = |name: &str| all.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let mut env = Env::new(&lookup);
    let signer = Signer::new(Credentials::from_env(&mut env), || SystemTime::UNIX_EPOCH);
    let places = Places::from_env(&mut env);
    let api = aws::Client::new(client(pairs).client().clone(), signer, places);
    let answer = api.json("secretsmanager", "xx-west-1", "secretsmanager.GetSecretValue", &json!({})).await;
    let error = answer.unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
    error.strip_prefix("secretsmanager cannot be reached: ").unwrap().to_owned()
}

#[tokio::test]
async fn a_proxy_that_keeps_an_api_of_aws_from_being_reached_is_named() {
    const NOWHERE: &str = "http://ferry:hunter2@no-proxy.invalid:3128";
    let refusing = Intake::answering(|_, _| Answer::status(403));
    let plain = ("AWS_ENDPOINT_URL", "http://aws.invalid");
    for (pairs, expected) in [
        (&[("HTTPS_PROXY", NOWHERE)][..], " (the proxy http://no-proxy.invalid:3128 of HTTPS_PROXY)"),
        (&[("HTTP_PROXY", NOWHERE), plain], " (the proxy http://no-proxy.invalid:3128 of HTTP_PROXY)"),
        (&[("HTTPS_PROXY", &refusing.url())], "HTTPS_PROXY refuses to connect to the host"),
    ] {
        let error = failure_of_aws(pairs).await;
        assert!(error.ends_with(expected), "{error}");
    }
}

/// The clock stands still until nothing else is left to wait for: the five seconds take none.
#[tokio::test(start_paused = true)]
async fn a_proxy_behind_which_an_api_of_aws_is_silent_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let silent = format!("http://ferry:hunter2@{address}");
    let silent = silent.as_str();
    let plain = ("AWS_ENDPOINT_URL", "http://aws.invalid");
    let (https, http) = (("HTTPS_PROXY", silent), ("HTTP_PROXY", silent));
    for (pairs, expected) in [
        (&[https][..], format!(" (the proxy http://{address} of HTTPS_PROXY)")),
        (&[http, plain], format!(" (the proxy http://{address} of HTTP_PROXY)")),
        (
            &[https, ("NO_PROXY", "x.invalid")],
            format!(" (the proxy http://{address} of HTTPS_PROXY, unless NO_PROXY exempts the host)"),
        ),
        (&[https, ("AWS_ENDPOINT_URL", &format!("http://{address}"))], String::new()),
    ] {
        assert_eq!(failure_of_aws(pairs).await, format!("no answer within 5 s{expected}"), "{pairs:?}");
    }
}

#[tokio::test]
async fn a_proxy_behind_which_an_intake_is_silent_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let silent = format!("http://ferry:hunter2@{address}");
    for (variable, url) in [("HTTPS_PROXY", "https://intake.invalid"), ("HTTP_PROXY", "http://intake.invalid")] {
        let until = Instant::now() + Duration::from_millis(200);
        let http = client(&[(variable, &silent)]);
        let error = http.send(&request(endpoint(url), b"{}"), until).await.unwrap_err().to_string();
        assert!(error.starts_with("no response within "), "{error}");
        assert!(error.ends_with(&format!(" ms (the proxy http://{address} of {variable})")), "{error}");
    }
}

#[tokio::test]
async fn a_proxy_holds_for_its_scheme_alone() {
    let (proxy, intake) = (Intake::accepting(), Intake::accepting());
    send(&client(&[("HTTPS_PROXY", &proxy.url())]), &intake.url(), b"x").await.unwrap();
    assert_eq!((proxy.requests().len(), intake.requests().len()), (0, 1));
}

#[tokio::test]
async fn no_proxy_exempts_hosts() {
    let (proxy, intake) = (Intake::accepting(), Intake::accepting());
    let url = format!("{}/path", intake.url());
    for (host, exempt) in [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "example.com, 127.0.0.1"),
        ("127.0.0.1", "127.0.0.0/8"),
        ("localhost", "localhost"),
        ("localhost", "*"),
    ] {
        let http = client(&[("HTTP_PROXY", &proxy.url()), ("NO_PROXY", exempt)]);
        send(&http, &url.replace("127.0.0.1", host), b"x").await.unwrap();
        assert_eq!(proxy.requests().len(), 0, "{host}, {exempt}");
    }
    assert_eq!(intake.requests_to("/path").len(), 5);
    let http = client(&[("HTTP_PROXY", &proxy.url()), ("NO_PROXY", "127.0.0.2,example.com")]);
    send(&http, &url, b"x").await.unwrap();
    assert_eq!(proxy.requests_to(&url).len(), 1);
}

// === TLS ===

#[tokio::test]
async fn an_authority_that_serves_by_itself_is_told() {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let path = file("serves-by-itself", &pem("CERTIFICATE", certificate.der()));
    let intake = Intake::with_tls(Authority::serve(&certificate, &key, None));
    let http = client(&[("LOGFERRY_CA_FILE", path.to_str().unwrap())]);
    let error = send(&http, &intake.url(), b"x").await.unwrap_err().to_string();
    assert!(error.ends_with("that of an authority, and no server's: it needs `basicConstraints=CA:FALSE`"), "{error}");
}

#[tokio::test]
async fn a_certificate_authority_of_ones_own_has_to_be_named() {
    let authority = Authority::new("one-of-ones-own");
    let intake = Intake::with_tls(authority.server());
    let error = send(&direct(), &intake.url(), b"x").await.unwrap_err();
    let said = "invalid peer certificate: UnknownIssuer, which LOGFERRY_CA_FILE may name";
    assert_eq!(error, TransportError::Connect(said.to_owned()));
    let another = Authority::new("another");
    let error = send(&client(&[("LOGFERRY_CA_FILE", another.path())]), &intake.url(), b"x").await.unwrap_err();
    assert!(matches!(&error, TransportError::Connect(cause) if cause.contains("certificate")), "{error:?}");
    assert_eq!(intake.requests().len(), 0);

    let http = client(&[("LOGFERRY_CA_FILE", authority.path())]);
    for _ in 0..3 {
        assert_eq!(send(&http, &intake.url(), b"x").await.unwrap().status, 202);
    }
    assert_eq!(intake.requests().len(), 3);
}

#[tokio::test]
async fn a_ca_file_may_hold_several() {
    let (one, two) = (Authority::new("several-one"), Authority::new("several-two"));
    let both = file("several-both", &format!("# Ours.\n{}\n{}", one.pem, two.pem));
    let http = client(&[("LOGFERRY_CA_FILE", both.to_str().unwrap())]);
    for authority in [one, two] {
        let intake = Intake::with_tls(authority.server());
        assert_eq!(send(&http, &intake.url(), b"x").await.unwrap().status, 202);
    }
}

#[test]
fn a_ca_file_that_cannot_be_used_is_a_mistake() {
    let key = file("a-key", &pem("PRIVATE KEY", &KeyPair::generate().unwrap().serialize_der()));
    let damaged = file("damaged", &pem("CERTIFICATE", b"no certificate"));
    let cut = file("cut", "-----BEGIN CERTIFICATE-----\nMIIB");
    for (path, what) in [
        ("/nonexistent/ca.pem", "cannot be read"),
        (env!("CARGO_TARGET_TMPDIR"), "cannot be read: Is a directory"),
        (cut.to_str().unwrap(), "is damaged: a certificate has no END line"),
        (file("empty", "").to_str().unwrap(), "holds no certificate: expected PEM"),
        (key.to_str().unwrap(), "holds no certificate: expected PEM"),
        (damaged.to_str().unwrap(), "holds a certificate that cannot be used: it is damaged, or"),
    ] {
        let mistakes = try_client(&[("LOGFERRY_CA_FILE", path)]).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{path}: {mistakes:?}");
        assert_eq!(mistakes[0].name, "LOGFERRY_CA_FILE");
        assert!(mistakes[0].what.contains(what) && mistakes[0].what.contains(path), "{path}: {}", mistakes[0]);
    }
}

#[tokio::test]
async fn an_address_may_have_an_authority_and_a_client_certificate_of_its_own() {
    let authority = Authority::new("own-authority");
    let (certificate, key) = authority.client("own-client");
    let intake = Intake::with_tls(authority.server_for_known_clients());
    let pem = |path: &std::path::Path| PemFile { variable: "FILE".to_owned(), path: path.to_str().unwrap().to_owned() };
    let whole = Certificates { authorities: Some(pem(&authority.path)), client: Some((pem(&certificate), pem(&key))) };
    let half = Certificates { client: None, ..whole.clone() };
    let http = Http::new(&HttpSettings::default(), &[half.clone(), whole.clone()], nobody(), &mut Env::new(&|_| None))
        .unwrap();
    for (own, taken) in [(None, false), (Some(half), false), (Some(whole), true)] {
        let endpoint = Endpoint { certificates: own.clone().map(Arc::new), ..endpoint(&intake.url()) };
        assert_eq!(send_to(&http, endpoint, b"x").await.is_ok(), taken, "{own:?}");
    }
    assert_eq!(intake.requests().len(), 1);
}

#[test]
fn a_client_certificate_that_cannot_be_used_is_a_mistake() {
    let authority = Authority::new("mistaken");
    let (certificate, key) = authority.client("mistaken-one");
    let (_, other) = authority.client("mistaken-two");
    let damaged = file("damaged-key", "-----BEGIN PRIVATE KEY-----\ns3cret, not base64\n-----END PRIVATE KEY-----\n");
    for (certificate, key, variable, what) in [
        ("/nonexistent/client.pem", key.to_str().unwrap(), "CERTIFICATE", "cannot be read"),
        (key.to_str().unwrap(), key.to_str().unwrap(), "CERTIFICATE", "holds no certificate: expected PEM"),
        (certificate.to_str().unwrap(), "/nonexistent/key.pem", "KEY", "cannot be read"),
        (certificate.to_str().unwrap(), certificate.to_str().unwrap(), "KEY", "holds no private key: expected PEM"),
        (certificate.to_str().unwrap(), damaged.to_str().unwrap(), "KEY", "is damaged: expected a private key"),
        (certificate.to_str().unwrap(), other.to_str().unwrap(), "KEY", "is no key of"),
    ] {
        let pem = |variable: &str, path: &str| PemFile { variable: variable.to_owned(), path: path.to_owned() };
        let client = Some((pem("CERTIFICATE", certificate), pem("KEY", key)));
        let mut env = Env::new(&|_| None);
        let own = Certificates { client, ..Certificates::default() };
        assert!(Http::new(&HttpSettings::default(), &[own], nobody(), &mut env).is_none());
        let mistakes = env.into_mistakes();
        assert_eq!((mistakes.len(), mistakes[0].name.as_str()), (1, variable), "{mistakes:?}");
        assert!(mistakes[0].what.contains(what) && !mistakes[0].what.contains("s3cret"), "{}", mistakes[0]);
    }
}

// === helpers ===

/// A client without settings.
fn direct() -> Http {
    client(&[])
}

fn client(settings: &[(&str, &str)]) -> Http {
    try_client(settings).unwrap()
}

fn try_client(settings: &[(&str, &str)]) -> Result<Http, Vec<Mistake>> {
    let lookup = |name: &str| settings.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
    let mut env = Env::new(&lookup);
    let settings = HttpSettings::from_env(&mut env);
    let signer = Signer::new(Credentials::from_env(&mut env), || SystemTime::UNIX_EPOCH);
    let http = Http::new(&settings, &[], signer, &mut env);
    let mistakes = env.into_mistakes();
    if mistakes.is_empty() { Ok(http.unwrap()) } else { Err(mistakes) }
}

async fn send(http: &Http, url: &str, body: &[u8]) -> Result<Response, TransportError> {
    send_to(http, endpoint(url), body).await
}

fn endpoint(url: &str) -> Endpoint {
    let headers = vec![
        ("Content-Type".into(), Header::Public("application/json".to_owned())),
        ("DD-API-KEY".into(), Header::Secret(Secret::new(KEY.to_owned()))),
    ];
    Endpoint { url: url.to_owned(), headers, ..Endpoint::default() }
}

async fn send_to(http: &Http, endpoint: Endpoint, body: &[u8]) -> Result<Response, TransportError> {
    http.send(&request(endpoint, body), Instant::now() + Duration::from_secs(20)).await
}

fn request(endpoint: Endpoint, body: &[u8]) -> Request {
    Request {
        destination: Destination::Http(endpoint),
        body: body.to_vec(),
        compression: Compression::None,
        frame: Frame::text(b"", b"", b""),
        items: Vec::new(),
        route: "test",
        oldest: logferry::model::Timestamp::default(),
        judge: Verdict::of,
        select: |_, _| None,
        fallback: None,
    }
}

/// A certificate authority that nobody knows.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    path: PathBuf,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let pem = pem("CERTIFICATE", &certificate);
        Self { issuer: Issuer::new(params, key), certificate, path: file(name, &pem), pem }
    }

    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// Files with a certificate of a client, and with its key.
    fn client(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().signed_by(&key, &self.issuer).unwrap();
        let certificate = file(&format!("{name}-certificate"), &pem("CERTIFICATE", certificate.der()));
        (certificate, file(&format!("{name}-key"), &pem("PRIVATE KEY", &key.serialize_der())))
    }

    /// What a server at 127.0.0.1 needs.
    fn server(&self) -> Arc<ServerConfig> {
        self.server_with(None)
    }

    /// The same of one that takes nothing from others.
    fn server_for_known_clients(&self) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        self.server_with(Some(verifier))
    }

    fn server_with(&self, verifier: Option<Arc<dyn ClientCertVerifier>>) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self::serve(&certificate, &key, verifier)
    }

    fn serve(
        certificate: &Certificate,
        key: &KeyPair,
        verifier: Option<Arc<dyn ClientCertVerifier>>,
    ) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = match verifier {
            None => config.with_no_client_auth(),
            Some(verifier) => config.with_client_cert_verifier(verifier),
        };
        Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap())
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der).into_bytes();
    let lines: Vec<_> = base64.chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A file in the folder that Cargo keeps for tests.
fn file(name: &str, content: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("http-{name}.pem"));
    std::fs::write(&path, content).unwrap();
    path
}

/// Signs nothing.
fn nobody() -> Signer {
    Signer::new(None, || SystemTime::UNIX_EPOCH)
}
