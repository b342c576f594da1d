use nodedata_core::placed::Mistake;
use serde::{Deserialize, Serialize};

/// Steps per second as a fraction, so that no time is ever the sum of rounded ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Rate {
    num: u64,
    den: u64,
}

const NANOS: i128 = 1_000_000_000;

impl Rate {
    /// Reads `30`, `29.97` or `30000/1001`.
    ///
    /// # Errors
    /// A sentence, when it is no number above 0 and up to 1,000,000, or has more than 9 decimals.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a rate: write `30`, `29.97` or `30000/1001`");
        let (num, den) = match text.split_once('/') {
            Some((num, den)) => {
                (num.trim().parse().map_err(|_| wrong())?, den.trim().parse().map_err(|_| wrong())?)
            }
            None => decimal(text.trim()).ok_or_else(wrong)?,
        };
        Self::new(num, den)
    }

    /// `num / den` steps per second.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn new(num: u64, den: u64) -> Result<Self, String> {
        if num == 0 || den == 0 || 1_000_000 < num / den || 1_000_000_000_000 < num || 1_000_000_000_000 < den
        {
            return Err(format!(
                "{num}/{den} steps a second is out of range: above 0 and up to 1,000,000 are possible"
            ));
        }
        Ok(Self { num, den })
    }

    /// Steps per second.
    pub fn hz(self) -> f64 {
        self.num as f64 / self.den as f64
    }

    /// Whether it is the same rate, however it is written.
    pub fn is(self, other: Self) -> bool {
        u128::from(self.num) * u128::from(other.den) == u128::from(other.num) * u128::from(self.den)
    }

    /// A rate so many times slower; `None` where that is out of range.
    pub(crate) fn divided(self, by: u64) -> Option<Self> {
        Self::new(self.num, self.den.checked_mul(by)?).ok()
    }

    /// As people write it: `30`, `29.97`, and as a fraction where nine decimals do not hold it.
    pub(crate) fn told(self) -> String {
        let decimals = format!("{:.9}", self.hz());
        let decimals = decimals.trim_end_matches('0').trim_end_matches('.');
        match Self::parse(decimals) {
            Ok(same) if same.is(self) => decimals.to_owned(),
            Ok(_) | Err(_) => format!("{}/{}", self.num, self.den),
        }
    }

    /// The time of step `idx` of an episode that starts at `start_ns`, rounded to the nearest nanosecond.
    pub fn time_ns(self, start_ns: i64, idx: u64) -> i64 {
        let (num, den) = (i128::from(self.num), i128::from(self.den));
        let offset = (2 * i128::from(idx) * NANOS * den + num).div_euclid(2 * num);
        i64::try_from(i128::from(start_ns) + offset).unwrap_or(i64::MAX)
    }

    /// The first step at or after `time_ns`.
    pub fn first_at_or_after(self, start_ns: i64, time_ns: i64) -> u64 {
        if time_ns <= start_ns {
            return 0;
        }
        let (num, den) = (i128::from(self.num), i128::from(self.den));
        let elapsed = i128::from(time_ns) - i128::from(start_ns);
        let near = elapsed * num / (den * NANOS);
        let mut idx = u64::try_from(near).unwrap_or(u64::MAX).saturating_sub(1);
        while self.time_ns(start_ns, idx) < time_ns {
            idx += 1;
        }
        idx
    }
}

/// A decimal number as a fraction.
fn decimal(text: &str) -> Option<(u64, u64)> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if 9 < decimals.len() || !decimals.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let den = 10u64.pow(u32::try_from(decimals.len()).ok()?);
    let whole: u64 = whole.parse().ok()?;
    let part: u64 = if decimals.is_empty() { 0 } else { decimals.parse().ok()? };
    Some((whole.checked_mul(den)?.checked_add(part)?, den))
}

/// As [`Rate::parse`] reads it.
impl From<Rate> for String {
    fn from(Rate { num, den }: Rate) -> Self {
        format!("{num}/{den}")
    }
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.den {
            1 => write!(f, "{} Hz", self.num),
            den => write!(f, "{}/{den} Hz", self.num),
        }
    }
}

impl Rate {
    /// As [`Self::parse`], with the key the text was found at.
    ///
    /// # Errors
    /// The mistake.
    pub fn parse_at(text: &str, key: &str) -> Result<Self, Mistake> {
        Self::parse(text).map_err(|message| Mistake::new(key, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_never_accumulated() {
        let rate = Rate::parse("30").unwrap();
        let times: Vec<i64> = (0..4).map(|it| rate.time_ns(7, it)).collect();
        assert_eq!(times, [7, 33_333_340, 66_666_674, 100_000_007]);
        // After ten hours the grid is still exact.
        assert_eq!(rate.time_ns(0, 30 * 36_000), 36_000_000_000_000);
        let film = Rate::parse("30000/1001").unwrap();
        assert_eq!(film.time_ns(0, 30_000), 1_001_000_000_000);
        assert_eq!(Rate::parse("29.97").unwrap().time_ns(0, 2997), 100_000_000_000);
    }

    #[test]
    fn the_first_step_after_a_time_is_found() {
        for text in ["30", "29.97", "1000", "0.3", "7/3"] {
            let rate = Rate::parse(text).unwrap();
            for idx in [0, 1, 2, 29, 1000, 123_456] {
                let at = rate.time_ns(-5_000, idx);
                assert_eq!(rate.first_at_or_after(-5_000, at), idx, "{text}");
                assert_eq!(rate.first_at_or_after(-5_000, at + 1), idx + 1, "{text}");
            }
        }
    }

    #[test]
    fn rates_are_told_as_they_are_written() {
        for text in ["30", "29.97", "0.3", "7/3"] {
            assert_eq!(Rate::parse(text).unwrap().told(), text);
        }
        assert!(Rate::parse("30000/1000").unwrap().is(Rate::parse("30").unwrap()));
        assert_eq!(Rate::parse("30").unwrap().divided(4).unwrap().told(), "7.5");
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in ["", "0", "-3", "x", "1/0", "1e3", "2000000", "1.0000000001", "."] {
            assert!(Rate::parse(text).is_err(), "{text}");
        }
    }
}
