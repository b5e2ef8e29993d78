//! S3 and SQS as stores, which `moto` stands in for: it checks signatures, session tokens and rights, as AWS does.

use std::sync::OnceLock;
use std::time::SystemTime;

use logferry::aws::{Answer as Answered, Call, Client, Credentials, Places, Signer};
use logferry::delivery::{Http, HttpSettings};
use logferry::env::Env;
use logferry::request::Signing;
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::intake::Intake;
use crate::common::lambda::{API_KEY, Bootstrap, Invocation, Lambda, bootstrap};
use crate::common::s3::s3_event;
use crate::common::server::{Answer, Received};
use crate::ferry::Events;
use crate::servers::{request, server};

const REGION: &str = "eu-west-1";
const LOGS: &str = "/api/v2/logs";

/// Where moto is, and whom it knows.
pub(crate) struct Aws {
    url: String,
    /// Variables of a function with the role.
    variables: [(&'static str, String); 5],
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn s3_keeps_a_request_once_until_it_is_sent() {
    let Some(aws) = aws() else { return };
    aws.create_bucket("once");
    let intake = healing(3);
    let lambda = aws.function(&intake).set("LOGFERRY_STORE", "s3://once/a=b/c").start();
    let event = Events::of("stored").at(1, "one").at(2, "two").event();
    for _ in 0..2 {
        assert_stored(&lambda.invoke(&event), 2);
    }
    let keys = aws.keys("once");
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert!(keys[0].starts_with("a=b/c/pending/datadog/2"), "{keys:?}");
    let object = aws.s3("GET", &format!("/once/{}", keys[0]), b"");
    let stored = String::from_utf8(object.body).unwrap();
    let secrets = aws.variables.iter().filter(|(name, _)| name.contains("SECRET") || name.contains("TOKEN"));
    for secret in secrets.map(|(_, value)| value.as_str()).chain([API_KEY]) {
        assert!(!stored.contains(secret), "{stored}");
    }
    // Still down: it stays.
    assert_eq!(redriven(&lambda), (0, 2));
    assert_eq!(aws.keys("once"), keys);

    assert_eq!(redriven(&lambda), (2, 0));
    assert_eq!((aws.keys("once").len(), messages(&intake, 3)), (0, vec!["one".to_owned(), "two".to_owned()]));
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn a_notice_of_s3_sends_what_it_names() {
    let Some(aws) = aws() else { return };
    aws.create_bucket("noticed");
    let intake = healing(1);
    let lambda = aws.function(&intake).set("LOGFERRY_STORE", "s3://noticed").start();
    assert_stored(&lambda.invoke(&Events::of("noticed").at(1, "one").event()), 1);
    let keys = aws.keys("noticed");
    assert_eq!(lambda.invoke(&s3_event("noticed", &keys[0]).to_string()).result.as_deref(), Ok("null"));
    assert_eq!((aws.keys("noticed").len(), messages(&intake, 1)), (0, vec!["one".to_owned()]));
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn s3_lists_page_by_page_and_the_oldest_first() {
    const COUNT: usize = 130;
    let Some(aws) = aws() else { return };
    aws.create_bucket("pages");
    let intake = healing(COUNT);
    let lambda = aws.function(&intake).set("LOGFERRY_STORE", "s3://pages/a-b").start();
    let none = Events::of("pages");
    for number in (0..COUNT).rev() {
        let events = none.clone().at(i64::try_from(number).unwrap(), &number.to_string());
        assert_stored(&lambda.invoke(&events.event()), 1);
    }
    assert_eq!(aws.keys("pages").len(), COUNT);
    assert_eq!(redriven(&lambda), (COUNT as u64, 0));
    assert_eq!(aws.keys("pages").len(), 0);
    assert_eq!(messages(&intake, COUNT), (0..COUNT).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn sqs_keeps_small_requests_and_references_to_large_ones() {
    let Some(aws) = aws() else { return };
    aws.create_bucket("large");
    let made = aws.sqs("CreateQueue", &json!({ "QueueName": "store" }));
    let queue = made["QueueUrl"].as_str().unwrap();
    let intake = healing(2);
    let lambda = aws
        .function(&intake)
        .set("LOGFERRY_STORE", queue)
        .set("LOGFERRY_STORE_BUCKET", "s3://large/of-queue")
        .set("LOGFERRY_DATADOG_COMPRESSION", "none")
        .start();
    let (small, large) = ("small".to_owned(), "large".repeat(170_000));
    for message in [&small, &large] {
        assert_stored(&lambda.invoke(&Events::of("queued").at(1, message).event()), 1);
    }
    assert_eq!(aws.keys("large").len(), 1);
    let received = aws.sqs("ReceiveMessage", &json!({ "QueueUrl": queue, "MaxNumberOfMessages": 10 }));
    let received = received["Messages"].as_array().unwrap();
    assert_eq!(received.len(), 2);
    // As Lambda hands them on.
    let records: Vec<_> = received
        .iter()
        .map(|message| json!({ "messageId": message["MessageId"], "body": message["Body"], "eventSource": "aws:sqs" }))
        .collect();
    let invocation = lambda.invoke(&json!({ "Records": records }).to_string());
    assert_eq!(invocation.result.as_deref(), Ok(r#"{"batchItemFailures":[]}"#), "{:?}", invocation.notes());
    let mut sent = messages(&intake, 2);
    sent.sort();
    assert!(sent == [large, small], "{} logs", sent.len());
    assert_eq!(aws.keys("large").len(), 0);
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn says_what_s3_has_against_it_and_no_secret() {
    let Some(aws) = aws() else { return };
    aws.create_bucket("denied");
    let (key, token) = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN");
    for (bucket, name, value, said) in [
        ("denied", key, "wrongwrongwrongwrongwrongwrongwrongwrong", "s3 answers 403: SignatureDoesNotMatch: "),
        ("denied", token, "wrongtokenwrongtokenwrongtoken", "s3 answers 400: InvalidToken: "),
        ("nobodys", "X", "x", "s3 answers 404: NoSuchBucket: "),
    ] {
        let intake = healing(1);
        let lambda = aws.function(&intake).set("LOGFERRY_STORE", &format!("s3://{bucket}")).set(name, value).start();
        let invocation = lambda.invoke(&Events::of("denied").at(1, "one").event());
        assert_eq!(invocation.result.as_ref().unwrap_err().error_type, "Undelivered");
        let notes = invocation.notes().join("\n");
        assert!(notes.contains(said), "{notes}");
        for (name, secret) in &aws.variables {
            let is_secret = name.contains("SECRET") || name.contains("TOKEN");
            assert!(!is_secret || !notes.contains(secret.as_str()), "{notes}");
        }
        assert!(!notes.contains("wrong"), "{notes}");
    }
}

/// Says that the key is wrong to so many requests, and then takes them.
fn healing(after: usize) -> Intake {
    Intake::answering(move |_, before| Answer::status(if before < after { 403 } else { 202 }))
}

/// Asks for a redrive: how many items were sent, and how many are still stored.
fn redriven(lambda: &Lambda) -> (u64, u64) {
    let invocation = lambda.invoke(r#"{"redrive":true}"#);
    assert!(invocation.result.is_ok(), "{:?}", invocation.notes());
    (invocation.count("/redrive/0/sent"), invocation.count("/redrive/0/left"))
}

fn assert_stored(invocation: &Invocation, count: u64) {
    assert_eq!(invocation.result.as_deref(), Ok("null"), "{:?}", invocation.notes());
    assert_eq!(invocation.count("/backends/datadog/stored"), count, "{}", invocation.summary);
}

/// Logs of all requests but the first ones.
fn messages(intake: &Intake, skip: usize) -> Vec<String> {
    let bodies = intake.requests_to(LOGS).into_iter().skip(skip).map(|received: Received| received.json());
    let logs = bodies.flat_map(|body| body.as_array().unwrap().clone());
    logs.map(|log| log["message"].as_str().unwrap().to_owned()).collect()
}

/// moto, with a role that may do everything; from then on it checks who calls.
pub(crate) fn aws() -> Option<&'static Aws> {
    static AWS: OnceLock<Option<Aws>> = OnceLock::new();
    let url = server("MOTO")?;
    AWS.get_or_init(|| Some(Aws::new(url))).as_ref()
}

impl Aws {
    fn new(url: String) -> Self {
        let variables = [
            ("AWS_ENDPOINT_URL", url.clone()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "nobody".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "nothing".to_owned()),
            ("AWS_SESSION_TOKEN", String::new()),
        ];
        let mut aws = Self { url, variables };
        // What an earlier run has left.
        aws.moto("reset", "");
        aws.moto("reset-auth", "inf");
        let any = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        aws.query("iam", &[("Action", "CreateRole"), ("RoleName", "r"), ("AssumeRolePolicyDocument", any)]);
        let policy = [("Action", "PutRolePolicy"), ("RoleName", "r"), ("PolicyName", "p"), ("PolicyDocument", any)];
        aws.query("iam", &policy);
        let role = "arn:aws:iam::123456789012:role/r";
        let assumed = aws.query("sts", &[("Action", "AssumeRole"), ("RoleArn", role), ("RoleSessionName", "s")]);
        let fields = [(2, "AccessKeyId"), (3, "SecretAccessKey"), (4, "SessionToken")];
        for (place, tag) in fields {
            let value = assumed.split_once(&format!("<{tag}>")).unwrap().1.split_once('<').unwrap().0;
            value.clone_into(&mut aws.variables[place].1);
        }
        aws.moto("reset-auth", "0");
        aws
    }

    /// Calls what AWS has not: how many calls go unchecked, and the like.
    fn moto(&self, name: &str, value: &str) {
        let answer = request(Method::POST, &format!("{}/moto-api/{name}", self.url), &[], value.into());
        assert_eq!(answer.status, 200);
    }

    /// The function, with the role's credentials.
    pub(crate) fn function(&self, intake: &Intake) -> Bootstrap {
        let start = bootstrap().datadog(intake);
        self.variables.iter().fold(start, |start, (name, value)| start.set(name, value))
    }

    fn create_bucket(&self, name: &str) {
        let place = format!(
            "<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
        );
        assert_eq!(self.s3("PUT", &format!("/{name}"), place.as_bytes()).status, 200);
    }

    fn keys(&self, bucket: &str) -> Vec<String> {
        let answer = self.s3("GET", &format!("/{bucket}?list-type=2"), b"");
        let xml = String::from_utf8(answer.body).unwrap();
        xml.split("<Key>").skip(1).map(|rest| rest.split_once('<').unwrap().0.to_owned()).collect()
    }

    fn s3(&self, method: &'static str, path: &str, body: &[u8]) -> Answered {
        self.call("s3", method, path, Vec::new(), body)
    }

    fn sqs(&self, action: &str, input: &Value) -> Value {
        self.json("sqs", &format!("AmazonSQS.{action}"), input)
    }

    /// An API that speaks JSON.
    pub(crate) fn json(&self, service: &'static str, target: &str, input: &Value) -> Value {
        blocking(async { self.client().json(service, REGION, target, input).await.unwrap() })
    }

    /// An API that takes forms and answers XML.
    fn query(&self, service: &'static str, fields: &[(&str, &str)]) -> String {
        let form = reqwest::Url::parse_with_params("http://form", fields).unwrap();
        let headers = vec![("Content-Type", "application/x-www-form-urlencoded".to_owned())];
        let answer = self.call(service, "POST", "/", headers, form.query().unwrap().as_bytes());
        let text = String::from_utf8(answer.body).unwrap();
        assert_eq!(answer.status, 200, "{text}");
        text
    }

    fn call(
        &self,
        service: &'static str,
        method: &'static str,
        path: &str,
        headers: Vec<(&'static str, String)>,
        body: &[u8],
    ) -> Answered {
        let url = format!("{}{path}", self.url);
        let signing = Signing { service, region: REGION.to_owned() };
        blocking(async { self.client().call(&Call { method, url, headers, body, signing }).await.unwrap() })
    }

    fn client(&self) -> Client {
        let lookup = |name: &str| self.variables.iter().find(|(set, _)| *set == name).map(|(_, value)| value.clone());
        let mut env = Env::new(&lookup);
        let signer = Signer::new(Credentials::from_env(&mut env), clock);
        let http = Http::new(&HttpSettings::default(), &[], signer.clone(), &mut env).unwrap();
        Client::new(http.client().clone(), signer, Places::from_env(&mut env))
    }
}

fn blocking<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[expect(clippy::disallowed_methods, reason = "signatures hold for some minutes")]
fn clock() -> SystemTime {
    SystemTime::now()
}
