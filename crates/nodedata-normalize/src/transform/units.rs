//! Units, and what a number of one is in another. Every factor is a fraction of whole numbers, or one times π, so that
//! it is rounded once.

use std::f64::consts::PI;

use nodedata_core::suggest;

use super::numbers::Linear;

/// A unit of a quantity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Unit {
    /// As pipelines write it.
    pub(super) name: &'static str,
    pub(super) quantity: &'static str,
    /// How many of the quantity's first unit one of these is: `over` parts of `times`, and π times that where `is_pi`.
    times: u64,
    over: u64,
    is_pi: bool,
    /// What 0 of these is in the first unit.
    zero: Option<f64>,
}

const fn unit(quantity: &'static str, name: &'static str, times: u64, over: u64) -> Unit {
    Unit { name, quantity, times, over, is_pi: false, zero: None }
}

const fn of_pi(quantity: &'static str, name: &'static str, times: u64, over: u64) -> Unit {
    Unit { is_pi: true, ..unit(quantity, name, times, over) }
}

const fn from_zero(quantity: &'static str, name: &'static str, times: u64, over: u64, zero: f64) -> Unit {
    Unit { zero: Some(zero), ..unit(quantity, name, times, over) }
}

/// Every unit, the one that others are counted in first of each quantity.
static UNITS: [Unit; 50] = [
    unit("an angle", "rad", 1, 1),
    unit("an angle", "mrad", 1, 1000),
    of_pi("an angle", "deg", 1, 180),
    of_pi("an angle", "turn", 2, 1),
    unit("a length", "m", 1, 1),
    unit("a length", "km", 1000, 1),
    unit("a length", "dm", 1, 10),
    unit("a length", "cm", 1, 100),
    unit("a length", "mm", 1, 1000),
    unit("a length", "um", 1, 1_000_000),
    unit("a length", "in", 254, 10_000),
    unit("a length", "ft", 3048, 10_000),
    unit("a time", "s", 1, 1),
    unit("a time", "ms", 1, 1000),
    unit("a time", "us", 1, 1_000_000),
    unit("a time", "ns", 1, 1_000_000_000),
    unit("a time", "min", 60, 1),
    unit("a time", "h", 3600, 1),
    unit("a speed", "m/s", 1, 1),
    unit("a speed", "mm/s", 1, 1000),
    unit("a speed", "cm/s", 1, 100),
    unit("a speed", "km/h", 10, 36),
    unit("an angular speed", "rad/s", 1, 1),
    of_pi("an angular speed", "deg/s", 1, 180),
    of_pi("an angular speed", "rpm", 2, 60),
    unit("an acceleration", "m/s^2", 1, 1),
    unit("an acceleration", "mm/s^2", 1, 1000),
    unit("an acceleration", "g0", 980_665, 100_000),
    unit("an angular acceleration", "rad/s^2", 1, 1),
    of_pi("an angular acceleration", "deg/s^2", 1, 180),
    unit("a mass", "kg", 1, 1),
    unit("a mass", "g", 1, 1000),
    unit("a mass", "lb", 45_359_237, 100_000_000),
    unit("a force", "N", 1, 1),
    unit("a force", "mN", 1, 1000),
    unit("a force", "kN", 1000, 1),
    unit("a torque", "Nm", 1, 1),
    unit("a torque", "mNm", 1, 1000),
    unit("a pressure", "Pa", 1, 1),
    unit("a pressure", "kPa", 1000, 1),
    unit("a pressure", "bar", 100_000, 1),
    from_zero("a temperature", "K", 1, 1, 0.0),
    from_zero("a temperature", "degC", 1, 1, 273.15),
    unit("a voltage", "V", 1, 1),
    unit("a voltage", "mV", 1, 1000),
    unit("a current", "A", 1, 1),
    unit("a current", "mA", 1, 1000),
    unit("a ratio", "1", 1, 1),
    unit("a ratio", "percent", 1, 100),
    unit("a ratio", "permille", 1, 1000),
];

/// The unit called `name`.
pub(super) fn find(name: &str) -> Option<&'static Unit> {
    UNITS.iter().find(|it| it.name == name)
}

/// What to say of a name that is no unit: the one that was probably meant, else all there are.
pub(super) fn known(name: &str) -> String {
    let told = suggest(name, UNITS.iter().map(|it| it.name));
    if told.starts_with("did you mean") { told } else { format!("one of: {}", told_units()) }
}

fn told_units() -> String {
    let of_quantity = |of: &[Unit]| of.iter().map(|it| it.name).collect::<Vec<_>>().join(", ");
    UNITS.chunk_by(|a, b| a.quantity == b.quantity).map(of_quantity).collect::<Vec<_>>().join("; ")
}

/// What makes of numbers of one unit those of another; `None` where they count different quantities.
pub(super) fn conversion(from: &Unit, to: &Unit) -> Option<Linear> {
    if from.quantity != to.quantity {
        return None;
    }
    if let (Some(from), Some(to)) = (from.zero, to.zero) {
        return Some(Linear::Plus(from - to));
    }
    let (times, over) = (from.times * to.over, from.over * to.times);
    let common = greatest_common_divisor(times, over);
    // Whole numbers far below 2^53.
    let (times, over) = ((times / common) as f64, (over / common) as f64);
    Some(match (from.is_pi, to.is_pi) {
        (true, false) => Linear::Times(PI * times / over),
        (false, true) => Linear::Times(times / over / PI),
        (true, true) | (false, false) if over == 1.0 => Linear::Times(times),
        (true, true) | (false, false) if times == 1.0 => Linear::Over(over),
        (true, true) | (false, false) => Linear::TimesOver(times, over),
    })
}

fn greatest_common_divisor(one: u64, other: u64) -> u64 {
    let (mut one, mut other) = (one, other);
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(value: f64, from: &str, to: &str) -> f64 {
        conversion(find(from).unwrap(), find(to).unwrap()).unwrap().of(value)
    }

    #[test]
    fn factors_are_exact() {
        for (value, from, to, expected) in [
            (180.0, "deg", "rad", PI),
            (1.0, "deg", "rad", PI / 180.0),
            (PI, "rad", "deg", 180.0),
            (90.0, "deg", "turn", 0.25),
            (1.0, "turn", "deg", 360.0),
            (60.0, "rpm", "rad/s", 2.0 * PI),
            (1.0, "in", "mm", 25.4),
            (1.0, "ft", "in", 12.0),
            (1234.0, "mm", "m", 1.234),
            (1.234, "m", "mm", 1234.0),
            (36.0, "km/h", "m/s", 10.0),
            (1.0, "g0", "m/s^2", 9.80665),
            (1.0, "lb", "g", 453.59237),
            (0.0, "degC", "K", 273.15),
            (50.0, "percent", "1", 0.5),
            (1.0, "h", "ns", 3.6e12),
        ] {
            assert_eq!(converted(value, from, to), expected, "{value} {from} as {to}");
        }
    }

    #[test]
    fn names_are_used_once_and_the_first_of_a_quantity_is_its_own() {
        for (idx, unit) in UNITS.iter().enumerate() {
            assert_eq!(find(unit.name), Some(unit));
            let first = UNITS.iter().find(|it| it.quantity == unit.quantity).unwrap();
            assert_eq!((first.times, first.over, first.is_pi), (1, 1, false), "{}", unit.name);
            let there = converted(3.0, unit.name, first.name);
            let back = converted(there, first.name, unit.name);
            assert!((back - 3.0).abs() <= 4.0 * f64::EPSILON * there.abs().max(3.0), "{}: {back}", unit.name);
            // Units of a quantity stand together.
            assert!(idx == 0 || unit == first || UNITS[idx - 1].quantity == unit.quantity, "{}", unit.name);
        }
        assert_eq!(conversion(find("deg").unwrap(), find("m").unwrap()), None);
        assert_eq!(known("rda"), "did you mean `rad`?");
        assert!(known("furlong").starts_with("one of: rad, mrad, deg, turn; m, km"), "{}", known("furlong"));
        // What `node-data transforms` says of the units is what there is.
        assert_eq!(super::super::catalog::UNITS_TOLD, told_units());
    }
}
