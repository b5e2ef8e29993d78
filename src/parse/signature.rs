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
/// counts as a whole word: `CustomInMemoryErrorHandler` says nothing.
pub fn oom_signature(line: &str) -> bool {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    PHRASES.iter().any(|phrase| {
        line.match_indices(phrase).any(|(at, _)| {
            let (before, rest) = line.split_at(at);
            let after = rest.get(phrase.len()..).unwrap_or_default();
            !word(before.chars().next_back()) && !word(after.chars().next())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_words_of_each_runtime_and_no_others() {
        for (line, expected) in [
            ("fatal error: runtime: out of memory", true),
            ("Requested array size exceeds VM limit: java.lang.OutOfMemoryError", true),
            ("[ERROR] MemoryError", true),
            ("Unhandled exception. System.OutOfMemoryException: thrown", true),
            ("failed to allocate memory (NoMemoryError)", true),
            ("CustomInMemoryErrorHandler", false),
            ("NoMemoryError", false),
            ("MemoryErrors", false),
        ] {
            assert_eq!(oom_signature(line), expected, "{line}");
        }
    }
}
