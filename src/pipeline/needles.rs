//! What tells a JSON line that is more than a log.

use memchr::memmem::Finder;
use wide::u8x16;

use crate::json::scan;

/// Looks for what a JSON line, still escaped, contains if it is more than a log.
#[derive(Debug)]
pub(super) struct Needles {
    platform: Finder<'static>,
    emf: Finder<'static>,
    monitoring: Finder<'static>,
    datadog: Finder<'static>,
}

impl Needles {
    pub(super) fn new() -> Self {
        Self {
            platform: Finder::new(b"platform."),
            // In a message the quotes may be escaped as `\u0022`, as .NET does: what is around the name isn't looked at.
            emf: Finder::new(b"_aws\\"),
            monitoring: Finder::new(b"MONITORING|"),
            datadog: Finder::new(b"\"m\\"),
        }
    }

    /// Whether a JSON line may be more than a log.
    pub(super) fn any(&self, json: &[u8]) -> bool {
        let all = [&self.platform, &self.emf, &self.datadog, &self.monitoring];
        may_hold_one(json) && all.into_iter().any(|needle| needle.find(json).is_some())
    }

    /// Whether a JSON line may be a document in embedded metric format.
    pub(super) fn holds_emf(&self, json: &str) -> bool {
        self.emf.find(json.as_bytes()).is_some()
    }
}

/// Whether two neighbours are there that every needle has and few lines have:
/// `m.`, `m\`, `"_`, `2_` or `G|`. One pass for all of them.
fn may_hold_one(json: &[u8]) -> bool {
    scan::may_hold_pair(json, |first, second| {
        let (is, then) = (|byte| first.simd_eq(u8x16::splat(byte)), |byte| second.simd_eq(u8x16::splat(byte)));
        // A quote ends in `"` or, escaped as `\u0022`, in `2`, which differs from it in one bit.
        let quote = (first & u8x16::splat(!(b'"' ^ b'2'))).simd_eq(u8x16::splat(b'"'));
        (is(b'm') & (then(b'.') | then(b'\\'))) | (quote & then(b'_')) | (is(b'G') & then(b'|'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_needle_wherever_it_is() {
        let needles = Needles::new();
        for needle in [r#"\"platform.report\""#, r#"\"_aws\""#, r"\\u0022_aws\\u0022", r#"\"m\""#, "MONITORING|"] {
            for before in 0..70 {
                for behind in [0, 1, 15, 16, 17, 40] {
                    let json = format!("{{{}{needle}{}", "x".repeat(before), "y".repeat(behind));
                    assert!(needles.any(json.as_bytes()), "{json}");
                }
            }
        }
        for json in ["{", r#"{\"message\":\"item\",\"GB\":\"a|b\",\"_x\":\"program. plat form\"}"#, ""] {
            assert!(!needles.any(json.as_bytes()), "{json}");
        }
    }
}
