//! Secrets that AWS keeps, which `moto` stands in for: each call has to be signed, as on AWS.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::common::intake::Intake;
use crate::common::lambda::Lambda;
use crate::ferry::Events;
use crate::stores::{Aws, aws};

/// What the function is called for what KMS has encrypted.
const FUNCTION: &str = "logferry";

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn keys_are_fetched_from_where_aws_keeps_them() {
    let Some(aws) = aws() else { return };
    let key = |number: u32| format!("fedcba98765432100000000000000{number:03}");
    let whole = aws.create_secret("whole", &key(1));
    let named = aws.create_secret("named", &json!({ "DD_API_KEY": key(2), "other": "x" }).to_string());
    let field = aws.create_secret("field", &json!({ "DD_API_KEY": "x", "other": key(3) }).to_string());
    aws.put_parameter("/logferry/key", &key(4));
    // As Lambda's console encrypts, and as others do.
    let with_context = aws.encrypt(&key(5), &json!({ "LambdaFunctionName": FUNCTION }));
    let without_context = aws.encrypt(&key(6), &json!({}));
    for (number, variable, place) in [
        (1, "DD_API_KEY_SECRET_ARN", whole.as_str()),
        // By its name, too.
        (1, "DD_API_KEY_SECRET_ARN", "whole"),
        (2, "DD_API_KEY_SECRET_ARN", &named),
        (3, "DD_API_KEY_SECRET_ARN", &format!("{field}:other::")),
        (3, "DD_API_KEY_SECRET_ARN", &format!("{field}:other:AWSCURRENT:")),
        (4, "DD_API_KEY_SSM_NAME", "/logferry/key"),
        (5, "DD_KMS_API_KEY", &with_context),
        (6, "DD_API_KEY_KMS", &without_context),
    ] {
        let intake = Intake::accepting();
        let lambda = aws.function(&intake).set(variable, place).start();
        let invocation = lambda.invoke(&Events::of("secrets").at(1, "one").event());
        assert_eq!(invocation.result.as_deref(), Ok("null"), "{variable} {place}: {:?}", invocation.notes());
        let sent: Vec<_> = intake.requests().iter().map(|request| request.headers["dd-api-key"].clone()).collect();
        assert_eq!(sent, [key(number)], "{variable} {place}");
        assert!(!lambda.written().contains(&key(number)));
    }
}

#[test]
#[ignore = "needs real servers: bash tests/real/run"]
fn says_why_a_secret_cannot_be_had() {
    let Some(aws) = aws() else { return };
    let several = aws.create_secret("several", r#"{"one":"the-first","two":"the-second"}"#);
    let encrypted = aws.encrypt("the-third", &json!({ "LambdaFunctionName": "another" }));
    let missing = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:nowhere-AbCdEf";
    let wrong_key = ("AWS_SECRET_ACCESS_KEY", "wrongwrongwrongwrongwrongwrongwrongwrong");
    let right = ("X", "x");
    for (variable, place, (name, value), said) in [
        ("DD_API_KEY_SECRET_ARN", missing, right, ": ResourceNotFoundException: "),
        ("DD_API_KEY_SECRET_ARN", &several, right, "it is JSON with several fields: name one behind the ARN"),
        ("DD_API_KEY_SECRET_ARN", &format!("{several}:three::"), right, "it has no text field `three`"),
        ("DD_API_KEY_SECRET_ARN", &several, wrong_key, "secretsmanager answers 403: "),
        ("DD_API_KEY_SSM_NAME", "/logferry/nowhere", right, ": ParameterNotFound: "),
        ("DD_KMS_API_KEY", &encrypted, right, ": InvalidCiphertextException"),
    ] {
        let intake = Intake::accepting();
        let lambda: Lambda = aws.function(&intake).set(variable, place).set(name, value).start();
        let failure = lambda.invoke_in_vain(&Events::of("secrets").at(1, "one").event());
        let expected = format!("wrong setting: {variable} cannot be fetched: ");
        assert_eq!(failure.error_type, "Settings");
        assert!(failure.error_message.starts_with(&expected) && failure.error_message.contains(said), "{failure:?}");
        let written = format!("{} {}", failure.error_message, lambda.written());
        for secret in ["the-first", "the-second", "the-third", "wrongwrong"] {
            assert!(!written.contains(secret), "{written}");
        }
        assert_eq!(intake.requests().len(), 0);
    }
}

impl Aws {
    /// The ARN of a new secret.
    fn create_secret(&self, name: &str, text: &str) -> String {
        let made =
            self.json("secretsmanager", "secretsmanager.CreateSecret", &json!({ "Name": name, "SecretString": text }));
        made["ARN"].as_str().unwrap().to_owned()
    }

    fn put_parameter(&self, name: &str, value: &str) {
        let parameter = json!({ "Name": name, "Value": value, "Type": "SecureString" });
        self.json("ssm", "AmazonSSM.PutParameter", &parameter);
    }

    /// The base64 of what a new key makes of a text.
    fn encrypt(&self, text: &str, context: &serde_json::Value) -> String {
        let key = self.json("kms", "TrentService.CreateKey", &json!({}));
        let wish = json!({
            "KeyId": key["KeyMetadata"]["KeyId"],
            "Plaintext": STANDARD.encode(text),
            "EncryptionContext": context,
        });
        let encrypted = self.json("kms", "TrentService.Encrypt", &wish);
        encrypted["CiphertextBlob"].as_str().unwrap().to_owned()
    }
}
