//! An intake that remembers what it is sent, and answers as a test says.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;

use super::server::{Answer, Received, Server};

/// Ends with its test.
pub(crate) struct Intake {
    server: Server,
    requests: Arc<Mutex<Vec<Received>>>,
    scheme: &'static str,
}

impl Intake {
    /// Takes everything.
    pub(crate) fn accepting() -> Self {
        Self::answering(|_, _| Answer::status(202))
    }

    /// Answers to a request, and to how many of the same target were before it.
    pub(crate) fn answering(answer: impl Fn(&Received, usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), answer)
    }

    /// Answers to the first requests of one target in turn, and takes everything else.
    pub(crate) fn script(target: &'static str, answers: impl Into<Vec<Answer>>) -> Self {
        let answers = answers.into();
        Self::answering(move |received, before| {
            let scripted = answers.get(before).filter(|_| received.target == target);
            scripted.cloned().unwrap_or_else(|| Answer::status(202))
        })
    }

    /// Answers to all requests of one target in the same way, and takes everything else.
    pub(crate) fn always(target: &'static str, answer: Answer) -> Self {
        let taken = Answer::status(202);
        Self::answering(move |received, _| if received.target == target { answer.clone() } else { taken.clone() })
    }

    /// At a given address.
    pub(crate) fn at(address: SocketAddr, answer: impl Fn(&Received, usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen(address, None, false, answer)
    }

    /// With TLS; takes everything.
    pub(crate) fn with_tls(tls: Arc<ServerConfig>) -> Self {
        Self::listen(SocketAddr::from(([127, 0, 0, 1], 0)), Some(tls), false, |_, _| Answer::status(202))
    }

    /// Answers to the head of a request, and ends the connection without having read its body.
    pub(crate) fn hasty(answer: Answer) -> Self {
        Self::listen(SocketAddr::from(([127, 0, 0, 1], 0)), None, true, move |_, _| answer.clone())
    }

    fn listen(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        hasty: bool,
        answer: impl Fn(&Received, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let counts = Mutex::new(HashMap::<_, usize>::new());
        let server = Server::listen(address, tls, hasty, move |received| {
            seen.lock().unwrap().push(received.clone());
            let before = {
                let mut counts = counts.lock().unwrap();
                let count = counts.entry(received.target.clone()).or_default();
                *count += 1;
                *count - 1
            };
            answer(received, before)
        });
        Self { server, requests, scheme }
    }

    /// As `http://127.0.0.1:40000`.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.server.address())
    }

    /// Everything that was sent.
    pub(crate) fn requests(&self) -> Vec<Received> {
        self.requests.lock().unwrap().clone()
    }

    /// Everything that was sent to one target.
    pub(crate) fn requests_to(&self, target: &str) -> Vec<Received> {
        self.requests().into_iter().filter(|received| received.target == target).collect()
    }

    /// Connections that were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.server.connections()
    }
}
