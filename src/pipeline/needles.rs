//! What tells a JSON line that is more than a log.

use memchr::memmem::Finder;

use crate::json::pairs::Pairs;

/// Looks for what a JSON line, still escaped, contains if it is more than a log.
#[derive(Debug)]
pub(super) struct Needles {
    platform: Finder<'static>,
    emf: Finder<'static>,
    monitoring: Finder<'static>,
    datadog: Finder<'static>,
    tags: Finder<'static>,
}

/// What a JSON line, still escaped, may hold.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Signs {
    /// It may be more than a log.
    pub(super) special: bool,
    /// `ddtags`, which Datadog would take for those of the log.
    pub(super) tags: bool,
}

impl Needles {
    pub(super) fn new() -> Self {
        Self {
            platform: Finder::new(b"platform."),
            // In a message the quotes may be escaped as `\u0022`, as .NET does: what is around the name isn't looked at.
            emf: Finder::new(b"_aws\\"),
            monitoring: Finder::new(b"MONITORING|"),
            datadog: Finder::new(b"\"m\\"),
            tags: Finder::new(b"ddtags\\"),
        }
    }

    /// What a JSON line may hold.
    pub(super) fn signs(&self, json: &[u8]) -> Signs {
        let pairs = NEIGHBOURS.among(json);
        let holds = |pair: u8, needle: &Finder<'_>| pairs >> pair & 1 != 0 && needle.find(json).is_some();
        Signs {
            special: holds(0, &self.monitoring)
                || holds(1, &self.platform)
                || holds(2, &self.emf)
                || holds(3, &self.datadog),
            tags: holds(4, &self.tags),
        }
    }

    /// Whether a JSON line may be a document in embedded metric format.
    pub(super) fn holds_emf(&self, json: &str) -> bool {
        self.emf.find(json.as_bytes()).is_some()
    }
}

/// What each needle has that few lines have, two neighbours. One pass tells of all of them.
///
/// A quote ends in `"` or, escaped as `\u0022`, in `2`.
static NEIGHBOURS: Pairs = Pairs::new(&[(b"G", b"|"), (b"m", b"."), (b"\"2", b"_"), (b"m", b"\\"), (b"d", b"t")]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_needle_wherever_it_is() {
        let needles = Needles::new();
        let special = Signs { special: true, tags: false };
        let tags = Signs { special: false, tags: true };
        for (needle, signs) in [
            (r#"\"platform.report\""#, special),
            (r#"\"_aws\""#, special),
            (r"\\u0022_aws\\u0022", special),
            (r#"\"m\""#, special),
            ("MONITORING|", special),
            (r#"\"ddtags\""#, tags),
        ] {
            for before in 0..70 {
                for behind in [0, 1, 15, 16, 17, 40] {
                    let json = format!("{{{}{needle}{}", "x".repeat(before), "y".repeat(behind));
                    assert_eq!(needles.signs(json.as_bytes()), signs, "{json}");
                }
            }
        }
        for json in ["{", r#"{\"message\":\"item\",\"GB\":\"a|b\",\"_x\":\"program. width plat form\"}"#, ""] {
            assert_eq!(needles.signs(json.as_bytes()), Signs::default(), "{json}");
        }
    }
}
