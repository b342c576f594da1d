use std::{fmt, str::FromStr};

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};

/// A time as a person gives it: in a unit that is written, or counted from the start of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Moment {
    /// A bare number: nanoseconds since 1970, which may be seconds whose unit was forgotten.
    Bare(i64),
    /// Nanoseconds since 1970, of a date or a number with its unit.
    At(i64),
    /// Nanoseconds after the first record of the source.
    AfterStart(i64),
}

/// From when to when, as a person gives it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moments {
    /// First time inside; `None` for the start of the source.
    pub start: Option<Moment>,
    /// First time after; `None` for its end.
    pub end: Option<Moment>,
}

impl Moments {
    /// Those that are given.
    pub fn given(self) -> impl Iterator<Item = Moment> {
        [self.start, self.end].into_iter().flatten()
    }
}

const FORMS: &str = "write a date with its zone (`2026-06-11T09:30:00Z`), a number with its unit (`1700000000s`, \
                     `1700000000123ms`), whole nanoseconds, or an offset from the start (`+12.5s`, `+1m30s`)";

/// Units of numbers, in nanoseconds.
const UNITS: [(&str, i128); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// What a forgotten unit may have been.
const FORGOTTEN: [(&str, i128); 3] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)];

impl Moment {
    /// What is read as a moment, as a regular expression for schemas: the forms of [`FromStr`], in the dialect of JSON Schema.
    /// What only its digits rule out, such as the 31st of February or more than 64 bits hold, it lets through.
    pub fn pattern(takes_offsets: bool) -> String {
        // `\d` is more than ten digits in some dialects.
        let date = "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]+)?)?([Zz]|[+-][0-9]{2}:[0-9]{2})";
        let units: Vec<&str> = UNITS.iter().map(|it| it.0).collect();
        let sign = if takes_offsets { "[+-]?" } else { "-?" };
        let quantity = format!(r"{sign}([0-9]+(\.[0-9]{{1,15}})?({}))+", units.join("|"));
        format!(r"^\s*({date}|-?[0-9]+|{quantity})\s*$")
    }

    /// Nanoseconds since 1970; `None` for an offset where nothing tells from when on it counts.
    pub fn nanos(self, start_ns: Option<i64>) -> Option<i64> {
        match self {
            Self::Bare(nanos) | Self::At(nanos) => Some(nanos),
            Self::AfterStart(offset) => start_ns?.checked_add(offset),
        }
    }

    /// Whether it counts from the start of the recording.
    pub fn is_offset(self) -> bool {
        matches!(self, Self::AfterStart(_))
    }

    /// The number with the unit that was forgotten: of a bare number that is far from the times from `first_ns` to
    /// `last_ns` as nanoseconds, but near them in that unit.
    pub fn forgotten_unit(self, first_ns: i64, last_ns: i64) -> Option<String> {
        const NEAR_NS: i128 = 86_400_000_000_000;
        let Self::Bare(number) = self else { return None };
        let near =
            |nanos: i128| i128::from(first_ns) - NEAR_NS <= nanos && nanos <= i128::from(last_ns) + NEAR_NS;
        if near(i128::from(number)) {
            return None;
        }
        let mut units = FORGOTTEN.into_iter();
        let (unit, _) = units.find(|it| near(i128::from(number).saturating_mul(it.1)))?;
        let after = number as f64 / 1e9;
        Some(format!("{number} is {after:.1} s after 1970 as nanoseconds; did you mean {number}{unit}?"))
    }
}

/// A time in nanoseconds since 1970 as people read it, beside the number.
pub fn told_time(nanos: i64) -> String {
    format!(
        "{} ({nanos})",
        DateTime::from_timestamp_nanos(nanos).to_rfc3339_opts(SecondsFormat::AutoSi, true)
    )
}

/// What [`FromStr`] reads again.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bare(nanos) => write!(f, "{nanos}"),
            Self::At(nanos) => write!(f, "{nanos}ns"),
            Self::AfterStart(nanos) => write!(f, "+{nanos}ns"),
        }
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.to_string()
    }
}

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let out_of_range =
            || format!("`{text}` is beyond what 64 bits of nanoseconds hold: years 1677 to 2262");
        if let Ok(number) = text.parse::<i64>()
            && !text.starts_with('+')
        {
            return Ok(Self::Bare(number));
        }
        if looks_like_a_date(text) {
            let nanos = date(text)?.timestamp_nanos_opt();
            return nanos.map(Self::At).ok_or_else(out_of_range);
        }
        let (sign, digits) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(offset), _) => (None, offset),
            (None, Some(number)) => (Some(-1), number),
            (None, None) => (Some(1), text),
        };
        let nanos = quantity(digits).map_err(|reason| format!("`{text}` {reason}; {FORMS}"))?;
        let nanos = i64::try_from(nanos * sign.unwrap_or(1)).map_err(|_| out_of_range())?;
        Ok(if sign.is_some() { Self::At(nanos) } else { Self::AfterStart(nanos) })
    }
}

/// Four digits and a dash, which no number with a unit has.
fn looks_like_a_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() > 4 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-'
}

fn date(text: &str) -> Result<DateTime<chrono::FixedOffset>, String> {
    if let Ok(date) = DateTime::parse_from_rfc3339(text) {
        return Ok(date);
    }
    // Of the shorter forms of ISO 8601 the one without seconds.
    let zoned = text.strip_suffix(['Z', 'z']).map_or_else(|| text.to_owned(), |it| format!("{it}+00:00"));
    if let Ok(date) = DateTime::parse_from_str(&zoned, "%Y-%m-%dT%H:%M%:z") {
        return Ok(date);
    }
    let has_zone = ["Z", "+00:00"].iter().any(|zone| {
        let stamped = [format!("{text}{zone}"), format!("{text}:00{zone}"), format!("{text}T00:00:00{zone}")];
        stamped.iter().any(|it| DateTime::parse_from_rfc3339(it).is_ok())
    });
    Err(match has_zone {
        true => format!(
            "`{text}` names no time zone: add `Z` for UTC, or an offset such as `+02:00`, to a date and time"
        ),
        false => format!("`{text}` is no date and time; {FORMS}"),
    })
}

/// Numbers with units, one after the other: `1m30s`, `12.5s`. In nanoseconds.
fn quantity(text: &str) -> Result<i128, String> {
    if text.is_empty() {
        return Err("says no time".to_owned());
    }
    let mut rest = text;
    let mut sum: i128 = 0;
    while !rest.is_empty() {
        let n_digits = rest.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at(n_digits);
        let n_letters = behind.find(|it: char| it.is_ascii_digit() || it == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(n_letters);
        if number.is_empty() {
            return Err("is no time".to_owned());
        }
        let factor = UNITS.iter().find(|it| it.0 == unit).map(|it| it.1).ok_or_else(|| match unit {
            "" => "has no unit".to_owned(),
            unit => format!("has the unit `{unit}`, which is none of h, m, s, ms, us, ns"),
        })?;
        let nanos = scaled(number, factor)
            .ok_or_else(|| format!("holds `{number}{unit}`, which is no whole number of nanoseconds"))?;
        sum = sum.checked_add(nanos).ok_or("is too large")?;
        rest = behind;
    }
    Ok(sum)
}

/// A decimal number times `factor`; `None` where that is not whole.
fn scaled(number: &str, factor: i128) -> Option<i128> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    if decimals.is_empty() || decimals.len() > 15 {
        return None;
    }
    let whole: i128 = whole.parse().ok()?;
    let part: i128 = decimals.parse().ok()?;
    let den = 10i128.pow(u32::try_from(decimals.len()).ok()?);
    let part = part.checked_mul(factor)?;
    (part % den == 0).then(|| whole.checked_mul(factor)?.checked_add(part / den)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn read(text: &str) -> Moment {
        text.parse().unwrap_or_else(|err| panic!("{err}"))
    }

    #[test]
    fn times_are_read_in_their_units() {
        let at = 1_700_000_000_000_000_000;
        for text in [
            "1700000000s",
            "1700000000.0s",
            "1700000000000ms",
            "1700000000000000us",
            "1700000000000000000ns",
            "2023-11-14T22:13:20Z",
            "2023-11-14T23:13:20+01:00",
            "2023-11-14 22:13:20Z",
            "2023-11-14T22:13:20.000Z",
        ] {
            assert_eq!(read(text), Moment::At(at), "{text}");
        }
        assert_eq!(read("2023-11-14T22:13Z"), Moment::At(at - 20_000_000_000));
        assert_eq!(read("2023-11-14T23:13+01:00"), Moment::At(at - 20_000_000_000));
        assert_eq!(read("1700000000123ms"), Moment::At(at + 123_000_000));
        assert_eq!(read("-5s"), Moment::At(-5_000_000_000));
        assert_eq!(read("1700000000000000000"), Moment::Bare(at));
        assert_eq!(read("-3"), Moment::Bare(-3));
    }

    #[test]
    fn offsets_count_from_the_start() {
        assert_eq!(read("+12.5s"), Moment::AfterStart(12_500_000_000));
        assert_eq!(read("+1m30s"), Moment::AfterStart(90_000_000_000));
        assert_eq!(read("+1h0.5ms"), Moment::AfterStart(3_600_000_500_000));
        assert_eq!(read("+1s").nanos(Some(7)), Some(1_000_000_007));
        assert_eq!(read("+1s").nanos(None), None);
        assert_eq!(read("+1s").nanos(Some(i64::MAX)), None);
    }

    #[test]
    fn what_is_no_time_is_told() {
        for (text, reason) in [
            ("", "says no time"),
            ("soon", "is no time"),
            ("+5", "has no unit"),
            ("5 s", "`5 s` has the unit ` s`"),
            ("+5d", "has the unit `d`"),
            ("12.5", "has no unit"),
            ("0.0000000001s", "no whole number of nanoseconds"),
            ("99999999999999s", "beyond what 64 bits"),
            ("9999-01-01T00:00:00Z", "beyond what 64 bits"),
            ("2023-11-14T22:13:20", "names no time zone"),
            ("2023-11-14", "names no time zone"),
            ("2023-13-14T22:13:20Z", "is no date"),
        ] {
            let told = text.parse::<Moment>().unwrap_err();
            assert!(told.contains(reason), "{text}: {told}");
        }
    }

    #[test]
    fn a_moment_survives_being_text() {
        for moment in [Moment::Bare(-7), Moment::At(-7), Moment::At(1), Moment::AfterStart(0)] {
            assert_eq!(read(&moment.to_string()), moment);
        }
    }

    #[test]
    fn a_forgotten_unit_is_named() {
        let (first, last) = (1_700_000_000_000_000_000, 1_700_000_002_000_000_000);
        let told = |number: i64| Moment::Bare(number).forgotten_unit(first, last);
        assert_eq!(
            told(1_700_000_000).as_deref(),
            Some("1700000000 is 1.7 s after 1970 as nanoseconds; did you mean 1700000000s?")
        );
        assert!(told(1_700_000_000_123).is_some_and(|it| it.ends_with("1700000000123ms?")));
        assert!(told(1_700_000_000_000_000).is_some_and(|it| it.ends_with("us?")));
        // Nanoseconds, and what is near in no unit.
        for number in [first, last + 5, 0, 12, i64::MAX] {
            assert_eq!(told(number), None, "{number}");
        }
        // A clock that starts with 0 has times that look like seconds of ours.
        assert_eq!(Moment::Bare(1_700_000_000).forgotten_unit(0, 9_000_000_000), None);
    }
}
