//! What intakes say, without the secrets that they repeat.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::env::Secret;
use crate::event::percent_decoded;
use crate::request::{Destination, Header, Request};

/// The password in a header of basic authentication.
fn password(header: &str) -> Option<String> {
    let decoded = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let pair = String::from_utf8(decoded).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

/// A secret, and what of it is one by itself: a header as `Basic abc` and a query as `token=abc` hold it in a part.
fn parts(secret: &str) -> Vec<String> {
    let mut parts = vec![secret.to_owned()];
    // A shorter one would be found in any text.
    parts.extend(password(secret).filter(|password| password.len() >= 4));
    for part in secret.split([' ', '&']) {
        let value = part.split_once('=').map(|(_, value)| value).filter(|value| value.len() >= 6);
        parts.extend(Some(value.unwrap_or(part)).filter(|part| part.len() >= 6).map(str::to_owned));
    }
    parts
}

/// How an answer may write a text: as it is, in JSON in several ways, and with the escapes of addresses or without them.
fn spellings(text: &str) -> Vec<String> {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let json = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or(text).to_owned();
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| _ = write!(ascii, "\\u{unit:04x}"));
        }
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encoded = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    let encoded = text.bytes().map(encoded).collect();
    let slashed = json.replace('/', "\\/");
    vec![text.to_owned(), json, ascii, slashed, encoded, percent_decoded(text)]
}

/// The beginning of what an intake says, on one line, without the request's secrets and `others`.
pub(super) fn redacted(text: &str, request: &Request, others: &[Secret]) -> String {
    let mut hidden: Vec<_> = others.iter().map(|secret| secret.expose().to_owned()).collect();
    // A shorter one would be found in any text.
    hidden.retain(|secret| secret.len() >= 4);
    if let Destination::Http(endpoint) = &request.destination {
        let headers = endpoint.headers.iter().filter_map(|(_, header)| match header {
            Header::Public(_) => None,
            Header::Secret(secret) => Some(secret),
        });
        hidden.extend(headers.chain(&endpoint.query).flat_map(|secret| parts(secret.expose())));
    }
    let spelled = hidden.iter().flat_map(|part| {
        let least = part.len().min(4);
        spellings(part).into_iter().filter(move |spelling| spelling.len() >= least)
    });
    let text = spelled.fold(text.to_owned(), |text, spelling| text.replace(&spelling, "***"));
    text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
