use super::{Overwrite, StoreError};
use crate::aws::{Answer, AwsError, Call, Client, WEB_PAGE};
use crate::request::Signing;

/// Name of the service.
const SERVICE: &str = "s3";

/// Keys that one call lists at most.
const PAGE: usize = 1000;

/// A bucket of S3.
///
/// Sources: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>,
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
#[derive(Clone, Debug)]
pub struct S3 {
    bucket: String,
    prefix: String,
    client: Client,
}

impl S3 {
    pub(super) const fn new(bucket: String, prefix: String, client: Client) -> Self {
        Self { bucket, prefix, client }
    }

    pub(super) fn is_in(&self, bucket: &str) -> bool {
        bucket == self.bucket
    }

    pub(super) fn own_key(&self, bucket: &str, object: &str) -> Option<String> {
        self.is_in(bucket).then(|| object.strip_prefix(&self.prefix)).flatten().map(str::to_owned)
    }

    pub(super) async fn put(&self, key: &str, bytes: &[u8], overwrite: Overwrite) -> Result<(), StoreError> {
        let mut headers = vec![("Content-Type", "application/json".to_owned())];
        if overwrite == Overwrite::Never {
            headers.push(("If-None-Match", "*".to_owned()));
        }
        let answer = self.call("PUT", &self.object(key), headers, bytes).await?;
        match answer.status {
            // It is there already.
            412 => Ok(()),
            // S3 says nothing where it has stored an object.
            status @ 200..300 if answer.html && !answer.body.trim_ascii().is_empty() => {
                Err(AwsError::Answered { service: SERVICE, status, said: WEB_PAGE.to_owned() }.into())
            }
            _ => Ok(answer.success(SERVICE).map(drop)?),
        }
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let answer = self.call("GET", &self.object(key), Vec::new(), b"").await?;
        if is_gone(&answer) { Ok(None) } else { Ok(Some(answer.success(SERVICE)?)) }
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let answer = self.call("DELETE", &self.object(key), Vec::new(), b"").await?;
        if is_gone(&answer) { Ok(()) } else { Ok(answer.success(SERVICE).map(drop)?) }
    }

    pub(super) async fn list(&self, prefix: &str, after: &str, max: usize) -> Result<Vec<String>, StoreError> {
        let mut keys: Vec<String> = Vec::new();
        while keys.len() < max {
            let after = keys.last().map_or(after, String::as_str);
            let page = self.page(prefix, after, PAGE.min(max - keys.len())).await?;
            if page.is_empty() {
                break;
            }
            keys.extend(page);
        }
        Ok(keys)
    }

    async fn page(&self, prefix: &str, after: &str, max: usize) -> Result<Vec<String>, StoreError> {
        let encoded = |key: &str| encoded(&format!("{}{key}", self.prefix)).replace('/', "%2F");
        let start = if after.is_empty() { String::new() } else { format!("&start-after={}", encoded(after)) };
        let query = format!("list-type=2&max-keys={max}&prefix={}{start}", encoded(prefix));
        let url = format!("{}?{query}", self.root());
        let answer = self.call("GET", &url, Vec::new(), b"").await?.success(SERVICE)?;
        let xml = String::from_utf8_lossy(&answer);
        let keys = xml.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next()).map(unescaped);
        Ok(keys.filter_map(|key| key.strip_prefix(&self.prefix).map(str::to_owned)).collect())
    }

    /// The address of the bucket, without a slash at its end for an emulator's path and with one else.
    fn root(&self) -> String {
        let places = self.client.places();
        match &places.endpoint {
            Some(endpoint) => format!("{endpoint}/{}", self.bucket),
            // A dot in the name isn't covered by the certificate of the host.
            None if self.bucket.contains('.') => format!("{}/{}", places.of(SERVICE, &self.region()), self.bucket),
            None => {
                let host = places.of(SERVICE, &self.region());
                format!("https://{}.{}/", self.bucket, host.trim_start_matches("https://"))
            }
        }
    }

    fn object(&self, key: &str) -> String {
        format!("{}/{}", self.root().trim_end_matches('/'), encoded(&format!("{}{key}", self.prefix)))
    }

    fn region(&self) -> String {
        self.client.places().region.clone().unwrap_or_else(|| "us-east-1".to_owned())
    }

    async fn call(
        &self,
        method: &'static str,
        url: &str,
        headers: Vec<(&'static str, String)>,
        body: &[u8],
    ) -> Result<Answer, StoreError> {
        let signing = Signing { service: SERVICE, region: self.region() };
        Ok(self.client.call(&Call { method, url: url.to_owned(), headers, body, signing }).await?)
    }
}

/// Whether an object isn't there, though its bucket is: of a wrong bucket nobody knows what it would have held.
fn is_gone(answer: &Answer) -> bool {
    answer.status == 404 && memchr::memmem::find(&answer.body, b"NoSuchBucket").is_none()
}

/// A key as it stands in a path: what isn't encoded is signed in another way than S3 checks it.
fn encoded(key: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    key.bytes().map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A key as XML has it: keys of ours hold nothing to escape, those of what others put beside them may.
fn unescaped(key: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")]
        .iter()
        .fold(key.to_owned(), |key, (escaped, plain)| key.replace(escaped, plain))
}
