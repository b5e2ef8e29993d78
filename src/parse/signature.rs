use super::fields::Prefix;
use super::lenient::Object;
use crate::model::Level;

/// How Python begins to tell of an exception that nobody handled.
pub const UNHANDLED: &str = "LAMBDA_WARNING: Unhandled exception";

/// What runtimes say when they lack memory, each in its own language.
///
/// Sources: Go, Java, Node.js, Ruby, .NET, Python. That a program says so
/// doesn't prove that its invocation failed: it may go on.
const PHRASES: [&str; 6] = [
    "fatal error: runtime: out of memory",
    "java.lang.OutOfMemoryError",
    "JavaScript heap out of memory",
    "failed to allocate memory (NoMemoryError)",
    "OutOfMemoryException",
    "MemoryError",
];

/// Whether a line says, in its runtime's words, that memory ran out. Each phrase
/// counts as a whole word: `CustomInMemoryErrorHandler` says nothing, and in JSON
/// an escape like `\n` is no part of the word behind it. Nor does a line say
/// anything that Java's runtime has put a low level before: `[WARN] caught …`.
pub fn oom_signature(line: &str) -> bool {
    if bracketed_level(line).is_some_and(|level| level < Level::Error) {
        return false;
    }
    let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let escaped = |before: &str| ["\\n", "\\r", "\\t"].iter().any(|escape| before.ends_with(escape));
    PHRASES.iter().any(|phrase| {
        line.match_indices(phrase).any(|(at, _)| {
            let (before, rest) = line.split_at(at);
            let after = rest.get(phrase.len()..).unwrap_or_default();
            (!word(before.chars().next_back()) || escaped(before)) && !word(after.chars().next())
        })
    })
}

/// The level that Java's runtime, and Python's before an exception that nobody handled, put before a line:
/// `[WARN] caught …`, `[ERROR] KeyError: 'x'`.
pub fn bracketed_level(line: &str) -> Option<Level> {
    const LONGEST: usize = "[INFORMATION] ".len();
    let rest = line.strip_prefix('[')?;
    let end = rest.as_bytes().windows(2).take(LONGEST).position(|two| two == b"] ")?;
    Level::parse(rest.get(..end)?)
}

/// Whether a line is how Node.js or Python report that a handler failed:
///
/// ```text
/// 2023-11-14T22:13:20.123Z⇥8edab1f8-…⇥ERROR⇥Invoke Error ⇥{"errorType":…
/// [ERROR] KeyError: 'x'⏎Traceback (most recent call last):⏎…
/// ```
///
/// Python's may have no message, or one of several lines; in JSON it has neither the message nor the logger
/// of a line that is logged, and words may stand before it:
///
/// ```text
/// {"timestamp":"2026-11-20T09:48:55Z","log_level":"ERROR","errorMessage":"'x'","errorType":"KeyError","requestId":"…","stackTrace":[…]}
/// ```
///
/// A line that is merely logged as an error is none, and what Node.js writes in JSON looks like one.
///
/// Source of Python's: <https://github.com/aws/aws-lambda-python-runtime-interface-client> (`bootstrap.py`).
pub fn handler_error(line: &str) -> bool {
    if let Some(prefix) = Prefix::parse(line) {
        let rest = line.get(prefix.len..).unwrap_or_default();
        return begins_with_one(rest, &["Invoke Error "]) || begins_with_one(rest, &NODE_ENDS);
    }
    if let Some(object) = unhandled_object(line) {
        return is_unhandled(object);
    }
    let Some((first, rest)) = line.strip_prefix("[ERROR] ").and_then(|rest| rest.split_once(['\n', '\r'])) else {
        return false;
    };
    let kind = first.split(':').next().unwrap_or_default();
    let named = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'));
    named && rest.split(['\n', '\r']).any(|line| line.starts_with("Traceback (most recent call last)"))
}

/// What Node.js says before it ends by an error: Lambda tells of that, too.
const NODE_ENDS: [&str; 2] = ["Uncaught Exception ", "Unhandled Promise Rejection "];

/// Whether a line that reports an error is of a runtime that ends by it, which a line of Lambda's own, the `REPORT` or one
/// before it, tells as well.
pub fn ends_runtime(line: &str) -> bool {
    Prefix::parse(line).is_some_and(|prefix| begins_with_one(line.get(prefix.len..).unwrap_or_default(), &NODE_ENDS))
}

/// Whether a text begins with one of these, and a TAB behind it.
fn begins_with_one(text: &str, starts: &[&str]) -> bool {
    starts.iter().any(|start| text.strip_prefix(start).is_some_and(|rest| rest.starts_with('\t')))
}

/// The JSON object that a line is, or that stands behind what Python says of an exception that nobody handled.
pub fn unhandled_object(line: &str) -> Option<&str> {
    let behind = || line.strip_prefix(UNHANDLED)?.split_once(['\r', '\n']).map(|(_, object)| object.trim_start());
    Some(line).filter(|line| line.starts_with('{')).or_else(behind)
}

/// Whether an object is an exception as Python's runtime writes it, and not as a logger does.
fn is_unhandled(object: &str) -> bool {
    const NEEDED: [&str; 3] = ["errorMessage", "errorType", "stackTrace"];
    let keys: Vec<_> = Object::parse(object).into_iter().flat_map(Object::members).map(|(key, _)| key).collect();
    let has = |name: &str| keys.iter().any(|key| key == name);
    NEEDED.into_iter().all(has) && (has("log_level") || has("level")) && !has("message") && !has("logger")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_how_handlers_fail() {
        for (line, expected) in [
            ("2023-11-14T22:13:20.123Z\tabc\tERROR\tInvoke Error \t{}", true),
            ("2023-11-14T22:13:20.123Z\tundefined\tERROR\tUncaught Exception \t{}", true),
            ("2023-11-14T22:13:20.123Z\tabc\tERROR\tInvoke Error in payment", false),
            ("[ERROR] KeyError: 'x'\nTraceback (most recent call last):\n", true),
            ("[ERROR] KeyError: 'x'\rTraceback (most recent call last):\r", true),
            ("[ERROR] KeyError\nTraceback (most recent call last):\n", true),
            (
                "[ERROR] ValidationError: 1 error for Order\nprice\n  missing\nTraceback (most recent call last):\n",
                true,
            ),
            ("[ERROR] ValidationError: 1 error for Order\rprice\rTraceback (most recent call last):\r", true),
            ("[ERROR] Runtime.HandlerNotFound: no main\nTraceback (most recent call last):", true),
            ("[ERROR] payment failed", false),
            ("[ERROR] payment failed\nTraceback (most recent call last):\n", false),
            ("[ERROR] KeyError: 'x'\nsee Traceback (most recent call last):\n", false),
            ("[ERROR] KeyError: 'x'", false),
            ("[ERROR]\nTraceback (most recent call last):\n", false),
            ("[ERROR]\t2023-11-14T22:13:20.123Z\tabc\tpayment failed", false),
        ] {
            assert_eq!(handler_error(line), expected, "{line}");
        }
    }

    #[test]
    fn knows_the_words_of_each_runtime_and_no_others() {
        for (line, expected) in [
            ("fatal error: runtime: out of memory", true),
            ("Requested array size exceeds VM limit: java.lang.OutOfMemoryError", true),
            ("[ERROR] MemoryError", true),
            ("Unhandled exception. System.OutOfMemoryException: thrown", true),
            ("failed to allocate memory (NoMemoryError)", true),
            ("[FATAL] java.lang.OutOfMemoryError: Java heap space", true),
            ("[WARN] caught java.lang.OutOfMemoryError, trying again", false),
            ("[INFO] MemoryError is handled", false),
            ("[batch] MemoryError", true),
            (r#"{"message":"heap is full\nMemoryError\n"}"#, true),
            (r#"{"message":"heap is full\tjava.lang.OutOfMemoryError"}"#, true),
            ("CustomInMemoryErrorHandler", false),
            ("NoMemoryError", false),
            ("MemoryErrors", false),
        ] {
            assert_eq!(oom_signature(line), expected, "{line}");
        }
    }
}
