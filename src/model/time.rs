use std::fmt;

use super::has_form;

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
    /// Reads RFC 3339 with milliseconds or finer and a zone, as `2026-11-20T10:00:00.123456+01:00`; also the nanoseconds
    /// below the millisecond. Finer digits are left out.
    ///
    /// `None` for anything else: dates alone, whole seconds, local times, small `t` and `z`, and leap seconds, which
    /// AWS's clocks don't have.
    pub fn parse_rfc_3339(text: &str) -> Option<(Self, u32)> {
        let (clock, rest) = text.as_bytes().split_first_chunk()?;
        let (minutes, millis) = minutes_and_millis(clock)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, zone) = rest.split_at_checked(digits).filter(|_| digits >= 3)?;
        let nanos = fraction.iter().chain(b"000000").take(9).fold(0, |nanos, byte| nanos * 10 + u32::from(byte - b'0'));
        let minutes = minutes - offset(zone)?;
        let millis = minutes * 60_000 + millis + i64::from(nanos / 1_000_000);
        Some((Self(millis), nanos % 1_000_000))
    }

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

/// Reads `2026-11-20T09:00:00.`: whole minutes since the epoch, and the seconds of the minute in ms.
fn minutes_and_millis(text: &[u8; 20]) -> Option<(i64, i64)> {
    const FORM: &[u8; 20] = b"0000-00-00T00:00:00.";
    if !has_form(text, FORM) {
        return None;
    }
    let number = |from: usize, len: usize| {
        text.iter().skip(from).take(len).fold(0, |number, byte| number * 10 + i64::from(byte - b'0'))
    };
    let date = (number(0, 4), number(5, 2), number(8, 2));
    let (hour, minute, second) = (number(11, 2), number(14, 2), number(17, 2));
    let days = days(date);
    let legal = civil(days) == date && hour < 24 && minute < 60 && second < 60;
    legal.then_some(((days * 24 + hour) * 60 + minute, second * 1000))
}

/// Reads `Z` or `+01:00`: minutes ahead of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, digits) = match zone {
        b"Z" => return Some(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let [hours @ .., b':', tens, ones] = digits else { return None };
    let two = |tens: &u8, ones: &u8| {
        let legal = tens.is_ascii_digit() && ones.is_ascii_digit();
        legal.then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
    };
    let [hour_tens, hour_ones] = hours else { return None };
    let (hours, minutes) = (two(hour_tens, hour_ones)?, two(tens, ones)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
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

/// The day, counted from the epoch, of a year, month and day: the other way round. What is no date gives a day that
/// has another.
///
/// Howard Hinnant, `days_from_civil`.
const fn days((year, month, day): (i64, i64, i64)) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    year.div_euclid(400) * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rfc_3339_with_milliseconds_or_finer() {
        for (text, expected) in [
            ("1970-01-01T00:00:00.000Z", Some((0, 0))),
            ("1969-12-31T23:59:59.999Z", Some((-1, 0))),
            ("2000-02-29T00:00:00.000Z", Some((951_782_400_000, 0))),
            ("2023-11-14T22:13:20.123Z", Some((1_700_000_000_123, 0))),
            ("2023-11-14T22:13:20.123+00:00", Some((1_700_000_000_123, 0))),
            ("2023-11-14T22:13:20.123-00:00", Some((1_700_000_000_123, 0))),
            ("2023-11-15T03:43:20.123+05:30", Some((1_700_000_000_123, 0))),
            ("2023-11-14T14:13:20.123-08:00", Some((1_700_000_000_123, 0))),
            ("2023-11-14T22:13:20.123456Z", Some((1_700_000_000_123, 456_000))),
            ("2023-11-14T22:13:20.1234Z", Some((1_700_000_000_123, 400_000))),
            ("2023-11-14T22:13:20.123456789Z", Some((1_700_000_000_123, 456_789))),
            ("2023-11-14T22:13:20.123456789999+00:00", Some((1_700_000_000_123, 456_789))),
            ("1969-12-31T23:59:59.999999999Z", Some((-1, 999_999))),
            ("9999-12-31T23:59:59.999-23:59", Some((253_402_387_139_999, 0))),
            ("0000-01-01T00:00:00.000Z", Some((-62_167_219_200_000, 0))),
            ("2023-11-14T22:13:20Z", None),
            ("2023-11-14T22:13:20.Z", None),
            ("2023-11-14T22:13:20.12Z", None),
            ("2023-11-14T22:13:20.123", None),
            ("2023-11-14T22:13:20,123Z", None),
            ("2023-11-14 22:13:20.123Z", None),
            ("2023-11-14T22:13:20.123 Z", None),
            ("2023-11-14T22:13:20.123Z ", None),
            ("2023-11-14t22:13:20.123z", None),
            ("2023-11-14T22:13:20.123+0100", None),
            ("2023-11-14T22:13:20.123+01", None),
            ("2023-11-14T22:13:20.123+1:00", None),
            ("2023-11-14T22:13:20.123+001:00", None),
            ("2023-11-14T22:13:20.123+24:00", None),
            ("2023-11-14T22:13:20.123+00:60", None),
            ("2023-11-14T22:13:20.123CET", None),
            ("2023-02-29T22:13:20.123Z", None),
            ("2023-11-31T22:13:20.123Z", None),
            ("2023-00-14T22:13:20.123Z", None),
            ("2023-13-14T22:13:20.123Z", None),
            ("2023-11-00T22:13:20.123Z", None),
            ("2023-11-14T24:00:00.000Z", None),
            ("2023-11-14T22:60:20.123Z", None),
            ("2023-11-14T22:59:60.123Z", None),
            ("+023-11-14T22:13:20.123Z", None),
            ("2023-11-14", None),
            ("1700000000123", None),
            ("", None),
            ("é023-11-14T22:13:20.123Z", None),
        ] {
            let read = Timestamp::parse_rfc_3339(text).map(|(time, nanos)| (time.millis(), nanos));
            assert_eq!(read, expected, "{text}");
        }
        for millis in (-62_167_219_200_000..253_402_300_800_000).step_by(7_777_777_777) {
            let time = Timestamp::from_millis(millis);
            assert_eq!(Timestamp::parse_rfc_3339(&time.to_string()), Some((time, 0)), "{time}");
        }
    }

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
