use std::time::Duration;

use super::sign::{SignError, Signer};
use crate::env::{Address, Env, Setting, read};
use crate::network::{Connections, is_html};
use crate::request::Signing;

/// How long one call may take, and how often it is made at most.
const TIMEOUT: Duration = Duration::from_secs(5);
const TRIES: u32 = 3;

/// Pause before the second call; the one before the third is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// Parts of the error codes that only mean too many calls.
const THROTTLED: [&str; 5] =
    ["Throttl", "RequestLimitExceeded", "ProvisionedThroughputExceeded", "SlowDown", "TooManyRequests"];

/// Bytes of an answer; a longer one is an error.
const MAX_ANSWER: usize = 32 << 20;

/// Calls AWS's APIs over the connections of the forwarder.
#[derive(Clone, Debug)]
pub struct Client {
    http: Connections,
    signer: Signer,
    places: Places,
}

/// Where AWS's APIs are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Places {
    /// One address for all services, as emulators have it.
    pub endpoint: Option<String>,
    /// The region where nothing says another.
    pub region: Option<String>,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// HTTP method.
    pub method: &'static str,
    /// Absolute address.
    pub url: String,
    /// Headers beside those that sign it.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: &'a [u8],
    /// What it is signed for.
    pub signing: Signing,
}

/// What came back, whatever the status.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// Whether it says that it is a web page, as emulators say of whatever they answer.
    pub html: bool,
}

/// What is said of a web page.
pub const WEB_PAGE: &str = "a web page";

/// Why an API can't be called.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AwsError {
    /// It answers that it can't or won't.
    #[error("{service} answers {status}{}{said}", if said.is_empty() { "" } else { ": " })]
    Answered {
        /// Name of the service.
        service: &'static str,
        /// HTTP status.
        status: u16,
        /// What it says of it.
        said: String,
    },
    /// No answer, or not a whole one.
    #[error("{service} cannot be reached: {cause}")]
    Unreachable {
        /// Name of the service.
        service: &'static str,
        /// What failed.
        cause: String,
    },
    /// The call can't be signed.
    #[error(transparent)]
    Unsigned(#[from] SignError),
}

impl Places {
    const ENDPOINT: Setting<Address> =
        Setting::new("AWS_ENDPOINT_URL", read::url, "One address for all AWS APIs, for emulators of them.").address();
    const REGION: Setting<String> = Setting::new("AWS_REGION", read::text, "Region that Lambda says it runs in.");

    /// The variables: those who use an emulator set the one, Lambda the other.
    pub const NAMES: [&str; 2] = [Self::ENDPOINT.row().name, Self::REGION.row().name];

    /// Reads the settings.
    pub fn from_env(env: &mut Env<'_>) -> Self {
        Self { endpoint: env.read(&Self::ENDPOINT).map(|address| address.base), region: env.read(&Self::REGION) }
    }

    /// Address of a service in a region: `https://sqs.eu-west-1.amazonaws.com`.
    pub fn of(&self, service: &str, region: &str) -> String {
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        self.endpoint.clone().unwrap_or_else(|| format!("https://{service}.{region}.{domain}"))
    }
}

impl Client {
    /// Calls over `http`, signing with `signer`.
    pub const fn new(http: Connections, signer: Signer, places: Places) -> Self {
        Self { http, signer, places }
    }

    /// Where AWS's APIs are.
    pub const fn places(&self) -> &Places {
        &self.places
    }

    /// Calls until there is an answer that another try wouldn't change, three times at most.
    ///
    /// # Errors
    ///
    /// When there is no answer. A status that isn't a success is no error.
    pub async fn call(&self, call: &Call<'_>) -> Result<Answer, AwsError> {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.once(call).await {
                Ok(answer) if !answer.may_pass() => return Ok(answer),
                Err(AwsError::Unsigned(error)) => return Err(error.into()),
                Ok(_) | Err(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
        self.once(call).await
    }

    /// Calls an API that speaks JSON; its answer.
    ///
    /// # Errors
    ///
    /// When there is no answer, or one that isn't a success.
    pub async fn json(
        &self,
        service: &'static str,
        region: &str,
        target: &str,
        body: &serde_json::Value,
    ) -> Result<serde_json::Value, AwsError> {
        let version = if service == "sqs" { "1.0" } else { "1.1" };
        let headers =
            vec![("Content-Type", format!("application/x-amz-json-{version}")), ("X-Amz-Target", target.to_owned())];
        let body = body.to_string();
        let signing = Signing { service, region: region.to_owned() };
        let url = format!("{}/", self.places.of(service, region));
        let answer = self.call(&Call { method: "POST", url, headers, body: body.as_bytes(), signing }).await?;
        answer.success(service).map(|body| serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn once(&self, call: &Call<'_>) -> Result<Answer, AwsError> {
        let service = call.signing.service;
        let signed = self.signer.headers(call.method, &call.url, call.body, &call.signing)?;
        let method = reqwest::Method::from_bytes(call.method.as_bytes()).unwrap_or(reqwest::Method::GET);
        let mut request = self.http.client.request(method, &call.url).timeout(TIMEOUT).body(call.body.to_vec());
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        for (name, value) in &signed {
            request = request.header(*name, value.expose());
        }
        let unreachable =
            |error: &reqwest::Error| AwsError::Unreachable { service, cause: self.cause(error, &call.url) };
        let mut answer = request.send().await.map_err(|error| unreachable(&error))?;
        let (status, html, mut body) = (answer.status().as_u16(), is_html(&answer), Vec::new());
        while let Some(piece) = answer.chunk().await.map_err(|error| unreachable(&error))? {
            body.extend_from_slice(&piece);
            if body.len() > MAX_ANSWER {
                return Err(AwsError::Unreachable { service, cause: "the answer is too long".to_owned() });
            }
        }
        Ok(Answer { status, body, html })
    }

    /// Why there is no answer, or not a whole one.
    fn cause(&self, error: &reqwest::Error, url: &str) -> String {
        if error.is_timeout() {
            return format!("no answer within {} s{}", TIMEOUT.as_secs(), self.http.proxies.beside(url));
        }
        self.http.proxies.cause(error, url)
    }
}

impl Answer {
    /// Whether another try may have another answer. Most services say by 400 and a code that there were too many calls,
    /// and S3 by 409 that another call to the same object was under way.
    ///
    /// Sources: <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>,
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>
    fn may_pass(&self) -> bool {
        match self.status {
            400 => code(&self.body).is_some_and(|code| THROTTLED.iter().any(|part| code.contains(part))),
            status => status >= 500 || matches!(status, 409 | 429),
        }
    }

    /// Whether it is a page for people: no API of AWS answers so.
    fn is_page(&self) -> bool {
        const TAGS: [&[u8]; 5] = [b"<!doctype html", b"<html", b"<head", b"<body", b"<script"];
        let head = self.body.get(..1024).unwrap_or(&self.body).to_ascii_lowercase();
        let begin = head.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&head).trim_ascii_start();
        let [page, html, ..] = TAGS;
        let is_in = |tag: &[u8]| memchr::memmem::find(&head, tag).is_some();
        begin.starts_with(page) || begin.starts_with(html) || (self.html && TAGS.into_iter().any(is_in))
    }

    /// The body of a success.
    ///
    /// # Errors
    ///
    /// What the service says otherwise.
    pub fn success(self, service: &'static str) -> Result<Vec<u8>, AwsError> {
        let said = match self.status {
            // As of a login, behind which nothing has been stored.
            200..300 if self.is_page() => WEB_PAGE.to_owned(),
            200..300 => return Ok(self.body),
            _ => said(&self.body),
        };
        Err(AwsError::Answered { service, status: self.status, said })
    }
}

/// Code and message of an error, in XML or JSON, and nothing else: what is beside them may be the token that
/// the call was signed with, and what follows the first line of a message may be the call itself.
fn said(body: &[u8]) -> String {
    let found = [code(body), field(body, "Message", &["message", "Message"])];
    found.into_iter().flatten().collect::<Vec<_>>().join(": ")
}

/// The code of an error.
fn code(body: &[u8]) -> Option<String> {
    field(body, "Code", &["__type"])
}

/// The first line, at most 200 characters, of the JSON field or XML element.
fn field(body: &[u8], tag: &str, keys: &[&str]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let in_json = || keys.iter().find_map(|key| json.as_ref()?.get(key)?.as_str());
    let in_xml = || text.split_once(&format!("<{tag}>"))?.1.split_once(&format!("</{tag}>")).map(|(value, _)| value);
    in_json().or_else(in_xml).map(|value| value.lines().next().unwrap_or_default().chars().take(200).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_is_too_high_passes_whatever_status_says_it() {
        let json = |code: &str| format!("{{\"__type\":\"{code}\",\"message\":\"Rate exceeded\"}}");
        for (status, body, expected) in [
            (400, json("ThrottlingException"), true),
            (400, json("com.amazon.coral.service#ThrottlingException"), true),
            (400, json("com.amazonaws.sqs#RequestThrottled"), true),
            (400, json("TooManyRequestsException"), true),
            (400, json("Throttling"), true),
            (400, "<ErrorResponse><Error><Code>ThrottledException</Code></Error></ErrorResponse>".to_owned(), true),
            (400, "<Error><Code>SlowDown</Code></Error>".to_owned(), true),
            (400, json("ResourceNotFoundException"), false),
            (400, json("AccessDeniedException"), false),
            (400, "Throttling".to_owned(), false),
            (403, json("ThrottlingException"), false),
            (409, String::new(), true),
            (412, String::new(), false),
            (429, String::new(), true),
            (503, String::new(), true),
            (200, json("ThrottlingException"), false),
        ] {
            assert_eq!(
                Answer { status, body: body.clone().into_bytes(), html: false }.may_pass(),
                expected,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn an_answer_without_words_is_said_by_its_status() {
        for (body, expected) in [("", "kms answers 503"), ("{\"message\":\"not now\"}", "kms answers 503: not now")] {
            let error = Answer { status: 503, body: body.into(), html: false }.success("kms").unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn tells_code_and_message_and_nothing_else() {
        for (body, expected) in [
            ("", ""),
            ("no such host: secret", ""),
            ("{\"__type\":\"AccessDenied\",\"message\":\"No\\nPOST secret\"}", "AccessDenied: No"),
            ("{\"Message\":\"No\",\"Token\":\"secret\"}", "No"),
            (
                "<Error><Code>ExpiredToken</Code><Message>Late</Message><Token-0>secret</Token-0></Error>",
                "ExpiredToken: Late",
            ),
            ("<Error><Code>half", ""),
        ] {
            assert_eq!(said(body.as_bytes()), expected, "{body}");
        }
    }
}
