//! What tells a JSON line that is more than a log.

use memchr::memmem::Finder;
use wide::u8x32;

use crate::json::scan;

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
        let [monitoring, platform, emf, datadog, tags] = may_hold(json);
        let holds = |may_hold: bool, needle: &Finder<'_>| may_hold && needle.find(json).is_some();
        Signs {
            special: holds(monitoring, &self.monitoring)
                || holds(platform, &self.platform)
                || holds(emf, &self.emf)
                || holds(datadog, &self.datadog),
            tags: holds(tags, &self.tags),
        }
    }

    /// Whether a JSON line may be a document in embedded metric format.
    pub(super) fn holds_emf(&self, json: &str) -> bool {
        self.emf.find(json.as_bytes()).is_some()
    }
}

/// Which needles may be there: each has two neighbours that few lines have, `G|`, `m.`, `"_` or `2_`, `m\` and `dt`.
/// One pass for all of them.
fn may_hold(json: &[u8]) -> [bool; 5] {
    scan::may_hold_pairs(json, |first, second| {
        let (is, then) = (|byte| first.simd_eq(u8x32::splat(byte)), |byte| second.simd_eq(u8x32::splat(byte)));
        // A quote ends in `"` or, escaped as `\u0022`, in `2`, which differs from it in one bit.
        let quote = (first & u8x32::splat(!(b'"' ^ b'2'))).simd_eq(u8x32::splat(b'"'));
        let m = is(b'm');
        [is(b'G') & then(b'|'), m & then(b'.'), quote & then(b'_'), m & then(b'\\'), is(b'd') & then(b't')]
    })
}

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
