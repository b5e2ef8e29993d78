//! Readers of values: each says what it accepts.

use std::time::Duration;

use super::{Address, Secret};

/// Any text.
///
/// # Errors
///
/// Never.
pub fn text(value: &str) -> Result<String, String> {
    Ok(value.to_owned())
}

/// A secret that can stand in a header: printable ASCII, without quotes around it.
///
/// # Errors
///
/// Says that it can't.
pub fn secret(value: &str) -> Result<Secret, String> {
    let stands_in = |quote| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
    if stands_in('"') || stands_in('\'') {
        Err("stands in quotes: expected it without them".to_owned())
    } else if value.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(Secret::new(value.to_owned()))
    } else {
        Err("holds a blank or a character outside of ASCII: expected it on one line, without quotes".to_owned())
    }
}

/// A password: any text, as it is sent encoded.
///
/// # Errors
///
/// Never.
pub fn password(value: &str) -> Result<Secret, String> {
    Ok(Secret::new(value.to_owned()))
}

/// `true` or `false`, `1` or `0`.
///
/// # Errors
///
/// Says what is accepted.
pub fn boolean(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("is neither `true` nor `false`".to_owned()),
    }
}

/// A count of at least one.
///
/// # Errors
///
/// Says what is accepted.
pub fn count(value: &str) -> Result<usize, String> {
    value.parse().ok().filter(|count| *count > 0).ok_or_else(|| "is not a whole number above 0".to_owned())
}

/// A port.
///
/// # Errors
///
/// Says what is accepted.
pub fn port(value: &str) -> Result<u16, String> {
    value.parse().ok().filter(|port| *port > 0).ok_or_else(|| "is not a port: expected 1 to 65535".to_owned())
}

/// Bytes: `1048576`, `512KiB`, `8MiB`, `1GiB`.
///
/// # Errors
///
/// Says what is accepted.
pub fn bytes(value: &str) -> Result<u64, String> {
    let digits = value.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: u64 = match value.get(digits.len()..).unwrap_or_default().trim() {
        "" | "B" => 1,
        "KiB" | "K" | "k" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        _ => 0,
    };
    let size = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    size.filter(|size| *size > 0)
        .ok_or_else(|| "is not a size: expected bytes, as `1048576`, `512KiB`, `8MiB` or `1GiB`".to_owned())
}

/// A length of time: `250ms`, `10s`, `5m`; a bare number is seconds.
///
/// # Errors
///
/// Says what is accepted.
pub fn duration(value: &str) -> Result<Duration, String> {
    let digits = value.trim_end_matches(|c: char| !c.is_ascii_digit());
    let millis: u64 = match value.get(digits.len()..).unwrap_or_default().trim() {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        _ => 0,
    };
    let length = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(millis)).filter(|millis| *millis > 0);
    length
        .map(Duration::from_millis)
        .ok_or_else(|| "is not a length of time: expected `250ms`, `10s` or `5m`".to_owned())
}

/// Tags: `key:value,key:value`.
///
/// # Errors
///
/// Says which tag has no key.
pub fn tags(value: &str) -> Result<Vec<(String, String)>, String> {
    let tags = value.split(',').map(str::trim).filter(|tag| !tag.is_empty());
    tags.map(|tag| {
        let (key, value) = tag.split_once(':').unwrap_or((tag, ""));
        let (key, value) = (key.trim(), value.trim());
        let shown = tag.chars().take(40).collect::<String>();
        if key.is_empty() {
            Err(format!("has a tag without a key, `{shown}`: expected `key:value,key:value`"))
        } else {
            Ok((key.to_owned(), value.to_owned()))
        }
    })
    .collect()
}

/// A list of words, set apart by commas.
///
/// # Errors
///
/// Never.
pub fn list(value: &str) -> Result<Vec<String>, String> {
    Ok(value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
}

/// A region of AWS.
///
/// # Errors
///
/// Says what is accepted.
pub fn region(value: &str) -> Result<String, String> {
    let legal = value.split('-').all(|part| !part.is_empty())
        && value.contains('-')
        && value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if legal { Ok(value.to_owned()) } else { Err("is not a region: expected one as `eu-west-1`".to_owned()) }
}

/// A regular expression over bytes: `\w`, `\d`, `\s` and `(?i)` know ASCII only, as
/// Unicode's tables would make up a fifth of the Lambda.
///
/// # Errors
///
/// Says where it breaks.
pub fn pattern(value: &str) -> Result<regex::bytes::Regex, String> {
    regex::bytes::RegexBuilder::new(value).unicode(false).size_limit(1 << 20).build().map_err(|error| {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        format!("is not a regular expression: {reason}")
    })
}

/// An address: `https://` or `http://`, a host, perhaps a path and a query.
///
/// # Errors
///
/// Says what is accepted.
pub fn url(value: &str) -> Result<Address, String> {
    Address::parse(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_stands_on_one_line_and_in_no_quotes() {
        for value in ["\"s3cret\"", "'s3cret'", "\"\"", "s3 cret", "s3cret\u{e9}"] {
            let what = secret(value).unwrap_err();
            assert!(what.contains("expected") && !what.contains("s3"), "{value}: {what}");
        }
        for value in ["s3cret", "\"", "s3'cret", "\"s3cret", "'s3cret\""] {
            assert_eq!(secret(value), Ok(Secret::new(value.to_owned())));
        }
    }

    #[test]
    fn sizes_and_lengths_of_time_have_units() {
        for (value, expected) in [
            ("1048576", Some(1 << 20)),
            ("512KiB", Some(512 << 10)),
            ("8MiB", Some(8 << 20)),
            ("1 GiB", Some(1 << 30)),
            ("0", None),
            ("1TB", None),
            ("-1", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(bytes(value).ok(), expected, "{value}");
        }
        for (value, expected) in [
            ("250ms", Some(Duration::from_millis(250))),
            ("10", Some(Duration::from_secs(10))),
            ("5m", Some(Duration::from_mins(5))),
            ("0s", None),
            ("1.5h", None),
        ] {
            assert_eq!(duration(value).ok(), expected, "{value}");
        }
    }

    #[test]
    fn a_tag_may_lack_a_value_but_no_key() {
        let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(tags("env:prod, team:a:b,x"), Ok(vec![tag("env", "prod"), tag("team", "a:b"), tag("x", "")]));
        assert!(tags(":x").is_err_and(|what| what.contains("`:x`")));
    }

    #[test]
    fn a_pattern_is_about_bytes_and_says_where_it_breaks() {
        assert!(pattern(r"^\d+ é.*\w(?i)x").is_ok_and(|pattern| pattern.is_match("12 é… aX".as_bytes())));
        assert!(pattern("(").is_err_and(|what| what.contains("unclosed group")));
    }
}
