use std::fmt;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, as CloudWatch Logs counts.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded towards the past.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// How far apart two points are, in milliseconds.
    pub const fn distance(self, other: Self) -> u64 {
        self.0.abs_diff(other.0)
    }
}

impl Timestamp {
    /// Appends RFC 3339 in UTC: `2026-11-20T09:00:00.123Z`.
    pub fn write_rfc_3339(self, out: &mut Vec<u8>) {
        let millis = self.0.rem_euclid(86_400_000);
        let (year, month, day) = civil(self.0.div_euclid(86_400_000));
        digits(year, 4, out);
        for (mark, value) in [(b'-', month), (b'-', day), (b'T', millis / 3_600_000)] {
            out.push(mark);
            digits(value, 2, out);
        }
        for value in [millis / 60_000 % 60, millis / 1000 % 60] {
            out.push(b':');
            digits(value, 2, out);
        }
        out.push(b'.');
        digits(millis % 1000, 3, out);
        out.push(b'Z');
    }
}

/// Appends a number with at least so many digits.
fn digits(value: i64, least: usize, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(value);
    out.extend(std::iter::repeat_n(b'0', least.saturating_sub(text.len())));
    out.extend_from_slice(text.as_bytes());
}

/// Writes RFC 3339 in UTC: `2026-11-20T09:00:00.123Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(24);
        self.write_rfc_3339(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

/// Year, month and day of a day counted from the epoch, in the proleptic Gregorian calendar.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * month_index + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_rfc_3339() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (1_795_165_199_999, "2026-11-20T08:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), expected);
        }
    }

    #[test]
    fn seconds_round_towards_the_past() {
        assert_eq!(Timestamp::from_millis(-1).seconds(), -1);
        assert_eq!(Timestamp::from_millis(1999).seconds(), 1);
    }
}
