use nodedata_core::{Error, ErrorKind, Result};

/// The weights as whole numbers of one unit.
pub(super) fn whole(weights: &[f64]) -> Result<Vec<u128>> {
    let mut numbers = Vec::with_capacity(weights.len());
    for (source, weight) in weights.iter().enumerate() {
        if !weight.is_finite() || *weight < 0.0 {
            return Err(mistake(format!("the weight of source {source} is {weight}"))
                .with_hint("weights are positive numbers"));
        }
        let decimal = Decimal::of(*weight).ok_or_else(|| mistake(format!("`{weight}` is no weight")))?;
        numbers.push(decimal);
    }
    let least = numbers.iter().filter(|it| it.digits > 0).map(|it| it.exponent).min().unwrap_or(0);
    let scaled = numbers.iter().map(|it| it.in_units_of(least)).collect::<Option<Vec<u128>>>();
    scaled.ok_or_else(|| {
        mistake("the weights lie too far apart".to_owned())
            .with_hint("no source may weigh less than one in 1,024 of all")
    })
}

/// The share that each weight has of `period`: what it comes to, rounded down, and of what is left one each for those with the largest
/// remainders, of equal ones the first.
pub(super) fn shares(weights: &[u128], period: u64) -> Result<Vec<u64>> {
    let total = weights.iter().try_fold(0_u128, |sum, it| sum.checked_add(*it));
    // With this much room no product below overflows.
    let total = total.filter(|it| it.leading_zeros() >= u64::BITS - period.leading_zeros());
    let total = total.ok_or_else(|| mistake("the weights are too large".to_owned()))?;
    if total == 0 {
        return Err(mistake("nothing is mixed".to_owned()).with_hint("give sources with positive weights"));
    }
    let products = || weights.iter().map(|it| it * u128::from(period));
    let mut shares: Vec<u64> = products().map(|it| (it / total) as u64).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    let remainders: Vec<u128> = products().map(|it| it % total).collect();
    by_remainder.sort_by_key(|source| std::cmp::Reverse(remainders[*source]));
    let n_left = period - shares.iter().sum::<u64>();
    for source in by_remainder.into_iter().take(n_left as usize) {
        shares[source] += 1;
    }
    match shares.iter().position(|it| *it == 0) {
        Some(source) => Err(mistake(format!("source {source} of the mixture gets none of {period} places"))
            .with_hint("give it more weight, or leave it out")),
        None => Ok(shares),
    }
}

fn mistake(message: String) -> Error {
    Error::new(ErrorKind::Config, message)
}

/// A decimal number, `digits` times ten to the power of `exponent`.
struct Decimal {
    digits: u64,
    exponent: i32,
}

impl Decimal {
    /// The shortest one that is read as `number`, which is finite and not negative.
    fn of(number: f64) -> Option<Self> {
        // Such as `1.25e-2`.
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e')?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}").parse().ok()?;
        let exponent = exponent.parse::<i32>().ok()? - i32::try_from(fraction.len()).ok()?;
        Some(Self { digits, exponent })
    }

    /// This number in units of ten to the power of `exponent`, which is no greater than its own.
    fn in_units_of(&self, exponent: i32) -> Option<u128> {
        if self.digits == 0 {
            return Some(0);
        }
        let power = u32::try_from(self.exponent - exponent).ok()?;
        10_u128.checked_pow(power)?.checked_mul(u128::from(self.digits))
    }
}
