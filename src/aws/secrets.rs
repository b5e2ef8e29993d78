use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;

use futures_util::FutureExt;
use futures_util::future::{Either, join_all, select};
use serde_json::{Value, json};

use super::client::{AwsError, Client};
use crate::env::{Elsewhere, Mistake, Secret, Vault};

/// Why a secret can't be fetched, as the end of a sentence.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
enum SecretError {
    #[error(transparent)]
    Aws(#[from] AwsError),
    #[error("{0}")]
    Ended(String),
    #[error("it is JSON with several fields: name one behind the ARN, as `arn:…:secret:name-AbCdEf:{field}::`")]
    Fields { field: String },
    #[error("it has no text field `{field}`")]
    NoField { field: String },
    #[error("it holds no text")]
    NoText,
}

/// Fetches secrets from where the settings say they are: by the names of the variables that would hold them, and a
/// mistake for each that can't be fetched or is empty; never what a secret holds. `end` ends it, and says why those
/// haven't come that haven't.
///
/// All are asked for at once, so that one that doesn't come keeps no other from coming.
pub async fn fetch(
    client: &Client,
    wanted: &[Elsewhere],
    function_name: &str,
    end: impl Future<Output = String>,
) -> (BTreeMap<String, Secret>, Vec<Mistake>) {
    let end = end.shared();
    let each = wanted.iter().map(|elsewhere| {
        let (end, asking) = (end.clone(), fetch_one(client, elsewhere, function_name));
        async move {
            match select(pin!(asking), end).await {
                Either::Left((result, _)) => result,
                Either::Right((why, _)) => Err(SecretError::Ended(why)),
            }
        }
    });
    let (mut fetched, mut mistakes) = (BTreeMap::new(), Vec::new());
    for (elsewhere, result) in wanted.iter().zip(join_all(each).await) {
        let mut mistake = |what| mistakes.push(Mistake { name: elsewhere.variable.clone(), what });
        match result {
            // An empty variable counts as unset, but where a place is named a secret is meant to be.
            Ok(secret) if secret.trim().is_empty() => mistake("cannot be used: what it names is empty".to_owned()),
            Ok(secret) => _ = fetched.insert(elsewhere.name.clone(), Secret::new(secret.trim().to_owned())),
            Err(error) => mistake(format!("cannot be fetched: {error}")),
        }
    }
    (fetched, mistakes)
}

async fn fetch_one(client: &Client, elsewhere: &Elsewhere, function_name: &str) -> Result<String, SecretError> {
    let place = elsewhere.place.as_str();
    match elsewhere.vault {
        Vault::SecretsManager => secrets_manager(client, place, &elsewhere.setting).await,
        Vault::ParameterStore => parameter(client, place).await,
        Vault::Kms => decrypted(client, place, function_name).await,
    }
}

/// Fetches from Secrets Manager, by ARN or name; an ARN may be followed by `:field:stage:version`, as in ECS.
///
/// Source: <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>
async fn secrets_manager(client: &Client, place: &str, setting: &str) -> Result<String, SecretError> {
    let parts: Vec<_> = place.split(':').collect();
    let (id, rest) =
        if place.starts_with("arn:") { parts.split_at(parts.len().min(7)) } else { parts.split_at(parts.len()) };
    let given = |index: usize| rest.get(index).copied().filter(|part| !part.is_empty());
    let mut request = json!({ "SecretId": id.join(":") });
    for (name, value) in [("VersionStage", given(1)), ("VersionId", given(2))] {
        if let (Some(fields), Some(value)) = (request.as_object_mut(), value) {
            fields.insert(name.to_owned(), value.into());
        }
    }
    let region = region_of(client, place);
    let answer = client.json("secretsmanager", &region, "secretsmanager.GetSecretValue", &request).await?;
    let text = answer.get("SecretString").and_then(Value::as_str).ok_or(SecretError::NoText)?;
    chosen(text, given(0), setting)
}

/// The text; of a JSON object the field that is asked for, else the one named like the setting, else the only one.
fn chosen(text: &str, field: Option<&str>, setting: &str) -> Result<String, SecretError> {
    let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(text) else {
        return match field {
            Some(field) => Err(SecretError::NoField { field: field.to_owned() }),
            None => Ok(text.to_owned()),
        };
    };
    let named = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    if let Some(field) = field {
        return named(field).ok_or_else(|| SecretError::NoField { field: field.to_owned() });
    }
    let only = fields.values().next().filter(|_| fields.len() == 1).and_then(Value::as_str).map(str::to_owned);
    named(setting).or(only).ok_or_else(|| SecretError::Fields { field: setting.to_owned() })
}

/// Fetches from Parameter Store.
///
/// Source: <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html>
async fn parameter(client: &Client, place: &str) -> Result<String, SecretError> {
    let request = json!({ "Name": place, "WithDecryption": true });
    let answer = client.json("ssm", &region_of(client, place), "AmazonSSM.GetParameter", &request).await?;
    answer.pointer("/Parameter/Value").and_then(Value::as_str).map(str::to_owned).ok_or(SecretError::NoText)
}

/// Decrypts with KMS, first with the function's name as the encryption context, as Lambda's console encrypts, then without.
///
/// Source: <https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html>
async fn decrypted(client: &Client, ciphertext: &str, function_name: &str) -> Result<String, SecretError> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    let region = region_of(client, "");
    let with = json!({ "CiphertextBlob": ciphertext, "EncryptionContext": { "LambdaFunctionName": function_name } });
    let without = json!({ "CiphertextBlob": ciphertext });
    let answer = match client.json("kms", &region, "TrentService.Decrypt", &with).await {
        Ok(answer) => answer,
        Err(_) => client.json("kms", &region, "TrentService.Decrypt", &without).await?,
    };
    let plain = answer.get("Plaintext").and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
    plain.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(SecretError::NoText)
}

/// The region that an ARN names, or ours.
fn region_of(client: &Client, place: &str) -> String {
    let named = place.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(2)).filter(|region| !region.is_empty());
    named.map(str::to_owned).or_else(|| client.places().region.clone()).unwrap_or_else(|| "us-east-1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_field_that_is_meant() {
        let no_field = |field: &str| Err(SecretError::NoField { field: field.to_owned() });
        for (text, field, expected) in [
            ("plain", None, Ok("plain".to_owned())),
            (r#"{"DD_API_KEY":"a","other":"b"}"#, None, Ok("a".to_owned())),
            (r#"{"key":"a"}"#, None, Ok("a".to_owned())),
            (r#"{"key":"a","other":"b"}"#, Some("other"), Ok("b".to_owned())),
            (r#"{"key":"a","other":"b"}"#, None, Err(SecretError::Fields { field: "DD_API_KEY".to_owned() })),
            (r#"{"key":"a"}"#, Some("x"), no_field("x")),
            ("plain", Some("x"), no_field("x")),
        ] {
            assert_eq!(chosen(text, field, "DD_API_KEY"), expected, "{text} {field:?}");
        }
    }
}
