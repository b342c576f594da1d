//! Numbers as they are nearly always written, `-12` and `-0.25`, read eight digits at a time. Of anything else nothing is said: that is
//! looked at byte by byte.

/// So many digits fit into 64 bits, whatever they are.
const DIGITS_MAX: usize = 19;
/// So many are below 2^63.
const INT_DIGITS_MAX: usize = 18;
/// The largest power of ten that float64 has exactly.
const EXACT_POWER_MAX: usize = 22;

/// A number in digits, and a point at most: without zeros in front, without an exponent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal<'a> {
    is_negative: bool,
    whole: &'a [u8],
    /// Behind the point, where there is one.
    fraction: Option<&'a [u8]>,
}

impl<'a> Decimal<'a> {
    /// `None` is no verdict.
    #[inline]
    pub(crate) fn of(bytes: &'a [u8]) -> Option<Self> {
        let (is_negative, bytes) = match bytes {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, bytes),
        };
        let (whole, rest) = bytes.split_at_checked(n_digits(bytes))?;
        if whole.is_empty() || (1 < whole.len() && whole.starts_with(b"0")) {
            return None;
        }
        let fraction = match rest {
            [] => None,
            [b'.', rest @ ..] if are_digits(rest) => Some(rest),
            _ => return None,
        };
        Some(Self { is_negative, whole, fraction })
    }

    /// How many digits there are, where it is a whole number.
    pub(crate) fn n_whole_digits(self) -> Option<usize> {
        // A zero that has a sign is none of those.
        let is_int = self.fraction.is_none() && !(self.is_negative && self.whole == b"0");
        is_int.then_some(self.whole.len())
    }

    /// How many digits there are, where it has a point.
    pub(crate) fn n_float_digits(self) -> Option<usize> {
        self.fraction.map(|it| it.len() + self.whole.len())
    }

    /// The whole number; `None` where it is none, or long.
    pub(crate) fn int(self) -> Option<i64> {
        if INT_DIGITS_MAX < self.n_whole_digits()? {
            return None;
        }
        let value = i64::try_from(digits(0, self.whole)).ok()?;
        Some(if self.is_negative { -value } else { value })
    }

    /// The float64 that is nearest to it, of two the even one; `None` where that takes a longer look.
    pub(crate) fn float(self) -> Option<f64> {
        // Whole numbers are read as such, and those that 64 bits do not hold are none.
        let digits_max = if self.fraction.is_some() { DIGITS_MAX } else { INT_DIGITS_MAX };
        let fraction = self.fraction.unwrap_or(&[]);
        if digits_max < self.whole.len() + fraction.len() {
            return None;
        }
        let value = scaled(digits(digits(0, self.whole), fraction), fraction.len())?;
        Some(if self.is_negative { -value } else { value })
    }
}

/// How many of the bytes in front are digits.
#[inline]
fn n_digits(bytes: &[u8]) -> usize {
    let mut n = 0;
    while let Some(word) = bytes.get(n..).and_then(|it| it.first_chunk()) {
        let others = others(*word);
        if others != 0 {
            return n + (others.trailing_zeros() / 8) as usize;
        }
        n += 8;
    }
    n + bytes.get(n..).unwrap_or_default().iter().take_while(|it| it.is_ascii_digit()).count()
}

/// Whether there is nothing but digits.
#[inline]
fn are_digits(bytes: &[u8]) -> bool {
    match bytes.last_chunk() {
        // The last eight may be looked at twice: that is faster than to look at fewer.
        Some(last) => bytes.as_chunks().0.iter().all(|it| others(*it) == 0) && others(*last) == 0,
        None => bytes.iter().all(u8::is_ascii_digit),
    }
}

/// Zero where all are digits; else its lowest bit lies in the first byte that is none.
#[inline]
fn others(bytes: [u8; 8]) -> u64 {
    const HIGH: u64 = 0xF0F0_F0F0_F0F0_F0F0;
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const TO_SIXTEEN: u64 = 0x0606_0606_0606_0606;
    let word = u64::from_le_bytes(bytes);
    // A digit has 3 in its upper half, with 6 added as well. What is carried on comes of a byte in front that is none.
    ((word & HIGH) ^ ZEROS) | ((word.wrapping_add(TO_SIXTEEN) & HIGH) ^ ZEROS)
}

/// The number of some digits and those behind them.
#[inline]
fn digits(first: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let number = words.iter().fold(first, |number, it| {
        number.wrapping_mul(100_000_000).wrapping_add(eight(u64::from_le_bytes(*it)))
    });
    match bytes.last_chunk() {
        Some(last) => {
            // Of the last eight, those that are still to come: zeros stand in for the others.
            let n_bits_known = 8 * (8 - rest.len()) as u32;
            let last = u64::from_le_bytes(*last).checked_shr(n_bits_known).unwrap_or(0);
            let last = eight(last.checked_shl(n_bits_known).unwrap_or(0));
            number.wrapping_mul(POWERS_BELOW_EIGHT[rest.len()]).wrapping_add(last)
        }
        None => {
            rest.iter().fold(number, |number, it| number.wrapping_mul(10).wrapping_add(u64::from(it & 0x0F)))
        }
    }
}

/// By how many digits are left of eight.
const POWERS_BELOW_EIGHT: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// The number of eight digits: of neighbours pairs are made, of pairs fours, of fours all.
#[inline]
fn eight(digits: u64) -> u64 {
    let ones = digits & 0x0F0F_0F0F_0F0F_0F0F;
    let pairs = (ones.wrapping_mul((10 << 8) + 1) >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul((100 << 16) + 1) >> 16) & 0x0000_FFFF_0000_FFFF;
    fours.wrapping_mul((10_000 << 32) + 1) >> 32
}

const POWERS_OF_TEN: [f64; EXACT_POWER_MAX + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// By power: 1 / 5^power as 64 bits of which the first is set, cut off behind them, and how many bits 5^power has.
const POWERS_OF_A_FIFTH: [(u64, i32); DIGITS_MAX + 1] = {
    let mut powers = [(1 << 63, 0); DIGITS_MAX + 1];
    let (mut power, mut five) = (1, 5u128);
    while power <= DIGITS_MAX {
        let n_bits = 128 - five.leading_zeros();
        // No power of 5 is one of 2, so that this lies between 2^63 and 2^64.
        powers[power] = (((1u128 << (63 + n_bits)) / five) as u64, n_bits as i32);
        five *= 5;
        power += 1;
    }
    powers
};

/// `number` / 10^`power`, rounded; `None` where neither way tells what it is rounded to.
fn scaled(number: u64, power: usize) -> Option<f64> {
    // Dividing takes longer, and which numbers are short is not to be guessed.
    multiplied(number, power).or_else(|| {
        // Both are exact, so that dividing rounds as it should.
        let power = POWERS_OF_TEN.get(power).filter(|_| number < 1 << 53)?;
        Some(number as f64 / power)
    })
}

/// `number` / 10^`power`, rounded; `None` where 64 bits of 1 / 5^power do not tell what it is rounded to.
#[inline]
fn multiplied(number: u64, power: usize) -> Option<f64> {
    if number == 0 {
        return None;
    }
    let (fifth, n_bits) = POWERS_OF_A_FIFTH.get(power).copied()?;
    let n_zeros = number.leading_zeros();
    let product = u128::from(number << n_zeros) * u128::from(fifth);
    // What was cut off of `fifth` makes the product less than 2^64 too small: its upper half is right, or one too small.
    let upper = (product >> 64) as u64;
    let first_bit = upper >> 63;
    // 53 bits, one to round by, and those behind it.
    let n_behind = 9 + first_bit;
    let behind = upper & ((1 << n_behind) - 1);
    if behind == 0 || behind == (1 << n_behind) - 1 {
        return None;
    }
    let bits = upper >> n_behind;
    let rounded = (bits >> 1) + (bits & 1);
    // 64 bits of the product's lower half, those behind, and the one to round by; less what the factors were multiplied by.
    let exponent = 64 + n_behind as i32 + 1 - (n_zeros as i32 + 63 + n_bits + power as i32);
    // At most 2^53, and times a power of two: both are exact.
    Some(rounded as f64 * f64::from_bits(u64::try_from(exponent + 1023).ok()? << 52))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn float(text: &str) -> Option<f64> {
        Decimal::of(text.as_bytes())?.float()
    }

    fn int(text: &str) -> Option<i64> {
        Decimal::of(text.as_bytes())?.int()
    }

    #[test]
    fn digits_are_counted_wherever_they_end() {
        for n in 0..40 {
            let digits = "1234567890".repeat(4)[..n].to_owned();
            for other in ["", "/", ":", "\0", "\u{7f}", "é", "ÿ99999999", ".5", "-"] {
                let text = format!("{digits}{other}");
                assert_eq!(n_digits(text.as_bytes()), n, "{text}");
                assert_eq!(are_digits(text.as_bytes()), other.is_empty(), "{text}");
            }
            // Bytes that carry into the next one, too.
            let text = [digits.as_bytes(), &[0xFA, b'1', 0xFF, b'2', 0, 0, 0, 0, 0]].concat();
            assert_eq!(n_digits(&text), n);
            assert!(!are_digits(&text));
        }
    }

    #[test]
    fn what_is_written_otherwise_is_left_to_others() {
        for text in
            ["", "-", ".", ".5", "-.5", "+1", "007", "-00.5", "1e3", "1.5e3", "1.2.3", " 1", "1 ", "nan"]
        {
            assert_eq!(Decimal::of(text.as_bytes()), None, "{text}");
        }
        assert_eq!((int("-0"), int("0"), int("1.")), (None, Some(0), None));
        assert_eq!(
            (int("999999999999999999"), int("1000000000000000000")),
            (Some(999_999_999_999_999_999), None)
        );
        assert_eq!(float("1."), Some(1.0));
        assert!(float("-0.000").is_some_and(|it| it == 0.0 && it.is_sign_negative()));
        assert_eq!(float("1234567890.1234567890"), None);
    }

    /// What lies in the middle of two, or all but there, is not guessed.
    #[test]
    fn what_is_nearly_between_two_is_right_or_left_to_others() {
        for text in [
            "9007199254740993",
            "9007199254740993.0",
            "9007199254740992.5",
            "9007199254740993.001",
            "4503599627370496.5",
            "4503599627370497.5",
            "4503599627370496.499",
            "0.3000000000000000444",
            "18014398509481986.0",
            "9999999999999999999",
        ] {
            let expected: f64 = text.parse().unwrap();
            assert!(float(text).is_none_or(|it| it.to_bits() == expected.to_bits()), "{text}");
        }
    }

    /// It pays: of numbers with all of their digits hardly any needs the longer look.
    #[test]
    fn nearly_all_are_told() {
        let text = |it: u64| (it.wrapping_mul(0x9E37_79B9_7F4A_7C15) as f64 / u64::MAX as f64).to_string();
        let texts: Vec<String> = (1..10_000).map(text).collect();
        let n_told = texts.iter().filter(|it| float(it).is_some()).count();
        assert!(9_800 < n_told, "{n_told}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_told_is_what_the_standard_library_reads(
            text in prop_oneof![
                "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{0,20})?",
                "-?0\\.[0-9]{15,19}",
                any::<f64>().prop_map(|it| format!("{it}")),
                any::<f64>().prop_map(|it| format!("{:.3}", it % 1e15)),
                (0u64..1 << 53, 0u32..60).prop_map(|(it, n)| format!("{}", it as f64 / 2f64.powi(n as i32))),
                any::<i64>().prop_map(|it| it.to_string()),
            ],
        ) {
            if let Some(value) = float(&text) {
                prop_assert_eq!(value.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{}", text);
            }
            if let Some(value) = int(&text) {
                prop_assert_eq!(Ok(value), text.parse::<i64>(), "{}", text);
            }
        }
    }
}
