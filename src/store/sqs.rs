use serde_json::json;

use super::{Overwrite, S3, StoreError};
use crate::aws::{AwsError, Client};

/// "1 MiB": what a message may hold, attributes included.
const MAX_MESSAGE: usize = 1 << 20;

/// A queue of SQS: it invokes the function with what is in it.
///
/// A FIFO queue leaves out what was stored within five minutes before; another
/// one holds twice what is stored twice.
///
/// Source: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
#[derive(Clone, Debug)]
pub struct Sqs {
    url: String,
    /// For what is larger than a message.
    bucket: Option<S3>,
    client: Client,
}

impl Sqs {
    pub(super) const fn new(url: String, bucket: Option<S3>, client: Client) -> Self {
        Self { url, bucket, client }
    }

    pub(super) async fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let text = String::from_utf8_lossy(bytes);
        if text.len() <= MAX_MESSAGE {
            let sent = self.send(key, &text).await;
            // A queue may be set to take less, as those made before 2025 are.
            if self.bucket.is_none() || !sent.as_ref().is_err_and(may_be_too_long) {
                return sent;
            }
        }
        let bucket = self.bucket.as_ref().ok_or(StoreError::TooLarge)?;
        bucket.put(key, bytes, Overwrite::Never).await?;
        self.send(key, &json!({ "logferry": 1, "key": key }).to_string()).await
    }

    pub(super) fn is_in(&self, bucket: &str) -> bool {
        self.bucket.as_ref().is_some_and(|own| own.is_in(bucket))
    }

    pub(super) fn own_key(&self, bucket: &str, object: &str) -> Option<String> {
        self.bucket.as_ref()?.own_key(bucket, object)
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.bucket.as_ref().ok_or(StoreError::NotAList)?.get(key).await
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.bucket.as_ref().ok_or(StoreError::NotAList)?.delete(key).await
    }

    async fn send(&self, key: &str, body: &str) -> Result<(), StoreError> {
        let mut message = json!({ "QueueUrl": self.url, "MessageBody": body });
        if self.url.strip_suffix(".fifo").is_some()
            && let Some(fields) = message.as_object_mut()
        {
            fields.insert("MessageGroupId".to_owned(), json!("logferry"));
            fields.insert("MessageDeduplicationId".to_owned(), json!(key));
        }
        let answer = self.client.json("sqs", &self.region(), "AmazonSQS.SendMessage", &message).await?;
        if answer.get("MessageId").is_none() {
            let said = "no MessageId: nothing says that the message was taken".to_owned();
            return Err(AwsError::Answered { service: "sqs", status: 200, said }.into());
        }
        Ok(())
    }

    /// From the address: `https://sqs.eu-west-1.amazonaws.com/…`
    fn region(&self) -> String {
        let host = self.url.split('/').nth(2).unwrap_or_default();
        let named = host.split('.').nth(1).filter(|_| host.starts_with("sqs.")).map(str::to_owned);
        named.or_else(|| self.client.places().region.clone()).unwrap_or_else(|| "us-east-1".to_owned())
    }
}

/// "One or more parameters are invalid. Reason: Message must be shorter than 262144 bytes."
fn may_be_too_long(error: &StoreError) -> bool {
    matches!(error, StoreError::Aws(AwsError::Answered { status: 400, said, .. }) if said.contains("InvalidParameterValue"))
}
