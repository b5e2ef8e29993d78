//! Where servers are, and how to talk to them.

use std::io::Write;
use std::sync::Once;
use std::thread;
use std::time::Duration;

use reqwest::{Client, Method, Url};
use tokio::time::Instant;

use crate::common::SOON;

/// What a server answered.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// With names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// One JSON value from each line.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The address of a server, or the path of a program. `None`, and a word about it, if it isn't there.
pub(crate) fn server(name: &str) -> Option<String> {
    let variable = format!("LOGFERRY_REAL_{name}");
    let found = std::env::var_os(&variable).map(|value| value.into_string().unwrap());
    if found.is_none() {
        let test = thread::current().name().unwrap_or_default().to_owned();
        // Not with a macro: what those write is shown of failed tests only.
        let _ = std::io::stderr().write_all(format!("{test}: skipped: {variable} is not set\n").as_bytes());
    }
    found
}

/// Asks a server for something that it has to have.
pub(crate) fn get(base: &str, path: &str, query: &[(&str, &str)]) -> Response {
    let url = Url::parse_with_params(&format!("{base}{path}"), query).unwrap();
    let response = request(Method::GET, url.as_str(), &[], Vec::new());
    assert!(matches!(response.status, 200 | 204), "{url}: {}: {}", response.status, response.text());
    response
}

/// Sends any request.
pub(crate) fn request(method: Method, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Response {
    try_request(method, url, headers, body).unwrap_or_else(|error| panic!("{url}: {error:?}"))
}

/// Sends any request to a server that may not be there.
pub(crate) fn try_request(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> reqwest::Result<Response> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::builder().no_proxy().build()?;
        let request = client.request(method, url).timeout(SOON).body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = request.send().await?;
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        Ok(Response { status, headers, body: response.bytes().await?.into() })
    })
}

/// Asks again and again until there is an answer: what a server has taken can be found only a little later.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + SOON;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "no {what} within {SOON:?}");
        thread::sleep(Duration::from_millis(100));
    }
}
