use super::{Argument, ArgumentKind, Arguments, Given, Scope, Transform, TransformKind, wrong};
use crate::transform::{FieldTransform, units};

/// The units that there are, by quantity; a test holds it against them.
macro_rules! units_told {
    () => {
        "rad, mrad, deg, turn; m, km, dm, cm, mm, um, in, ft; s, ms, us, ns, min, h; m/s, mm/s, cm/s, km/h; rad/s, \
         deg/s, rpm; m/s^2, mm/s^2, g0; rad/s^2, deg/s^2; kg, g, lb; N, mN, kN; Nm, mNm; Pa, kPa, bar; K, degC; V, mV; \
         A, mA; 1, percent, permille"
    };
}

#[cfg(test)]
pub(crate) const UNITS_TOLD: &str = units_told!();

const ITEM: Argument = Argument {
    name: "item",
    kind: ArgumentKind::Integer,
    required: false,
    about: "the one element of a vector that is meant, counted from 0, or from the end where negative; all when absent",
};

const NUMBERS: &str = "numbers of any shape; with `item` a vector of fixed length";
const FLOATS: &str =
    "floats of any shape, with `item` a vector of fixed length; `type: float64` makes them of whole numbers";

pub(crate) static CLIP: TransformKind = TransformKind {
    full_name: "action/clip@1",
    also: &["clip"],
    scope: Scope::Field,
    takes: NUMBERS,
    formula: "min where x < min, max where x > max, else x; NaN stays NaN",
    about: "Keeps values inside of bounds, which are rounded to the field's own type first",
    example: "fields:\n  action: {from: action, transform: {action/clip: {min: -1, max: 1}}}",
    arguments: &[
        Argument {
            name: "min",
            kind: ArgumentKind::Number,
            required: false,
            about: "least value; none when absent",
        },
        Argument {
            name: "max",
            kind: ArgumentKind::Number,
            required: false,
            about: "greatest value; none when absent",
        },
        ITEM,
    ],
    short: None,
    make: |it| {
        let (min, max) = (it.number("min"), it.number("max"));
        match (min, max) {
            (None, None) => wrong(
                None,
                "`action/clip` has neither `min` nor `max`".to_owned(),
                "give at least one of them",
            ),
            (Some(min), Some(max)) if max < min => {
                wrong(Some("max"), format!("`max` is {max}, below `min`, which is {min}"), "swap them")
            }
            _ => Ok(Transform::Field(FieldTransform::Clip { min, max, item: it.integer("item") })),
        }
    },
};

pub(crate) static BINARIZE: TransformKind = TransformKind {
    full_name: "gripper/binarize@1",
    also: &["binarize"],
    scope: Scope::Field,
    takes: NUMBERS,
    formula: "1 where x > threshold, else 0; NaN stays NaN",
    about: "Makes open or closed of how far a gripper is open; the type stays",
    example: "fields:\n  action: {from: action, transform: {gripper/binarize: {threshold: 0.5, item: -1}}}",
    arguments: &[
        Argument {
            name: "threshold",
            kind: ArgumentKind::Number,
            required: false,
            about: "greatest value that is 0, rounded to the field's own type; 0.5 when absent",
        },
        ITEM,
    ],
    short: None,
    make: |it| {
        let threshold = it.number("threshold").unwrap_or(0.5);
        Ok(Transform::Field(FieldTransform::Binarize { threshold, item: it.integer("item") }))
    },
};

pub(crate) static INVERT: TransformKind = TransformKind {
    full_name: "gripper/invert@1",
    also: &["invert"],
    scope: Scope::Field,
    takes: "numbers and bools of any shape; with `item` a vector of fixed length",
    formula: "1 - x; of a bool the other one",
    about: "Turns a gripper that is open at 0 into one that is open at 1",
    example: "fields:\n  action: {from: action, transform: {gripper/invert: {item: 6}}}",
    arguments: &[ITEM],
    short: None,
    make: |it| Ok(Transform::Field(FieldTransform::Invert { item: it.integer("item") })),
};

const fn by(about: &'static str) -> Argument {
    Argument { name: "by", kind: ArgumentKind::Number, required: true, about }
}

/// The number that `by` is, which is to change something.
fn number(arguments: &Arguments, name: &str, idle: f64) -> Result<f64, Given<String>> {
    let by = arguments.number("by").unwrap_or(idle);
    if by == idle {
        let told = format!("`by` of `{name}` is {by}, which changes nothing");
        return wrong(Some("by"), told, "remove the transform, or say another number");
    }
    Ok(by)
}

pub(crate) static SCALE: TransformKind = TransformKind {
    full_name: "scale@1",
    also: &[],
    scope: Scope::Field,
    takes: FLOATS,
    formula: "x · by, in float64, rounded once to the field's own type; NaN stays NaN, and what would become infinite is an error",
    about: "Multiplies values by a number",
    example: "fields:\n  gripper: {from: /gripper/state.width, transform: {scale: 12.5}}",
    arguments: &[by("the factor, which is neither 0 nor 1"), ITEM],
    short: Some("by"),
    make: |it| {
        let by = number(it, "scale", 1.0)?;
        if by == 0.0 {
            return wrong(
                Some("by"),
                "`by` of `scale` is 0, which leaves nothing".to_owned(),
                "say another number",
            );
        }
        Ok(Transform::Field(FieldTransform::Scale { by, item: it.integer("item") }))
    },
};

pub(crate) static OFFSET: TransformKind = TransformKind {
    full_name: "offset@1",
    also: &[],
    scope: Scope::Field,
    takes: FLOATS,
    formula: "x + by, in float64, rounded once to the field's own type; NaN stays NaN, and what would become infinite is an error",
    about: "Adds a number to values",
    example: "fields:\n  height: {from: /pose.position.z, transform: {offset: -0.75}}",
    arguments: &[by("the number that is added, negative to take away"), ITEM],
    short: Some("by"),
    make: |it| {
        let by = number(it, "offset", 0.0)?;
        Ok(Transform::Field(FieldTransform::Offset { by, item: it.integer("item") }))
    },
};

pub(crate) static UNIT: TransformKind = TransformKind {
    full_name: "unit@1",
    also: &[],
    scope: Scope::Field,
    takes: FLOATS,
    formula: "x · (one `from` in `to`), in float64, rounded once to the field's own type. In the first unit of its quantity one \
              mrad is 1/1000, deg π/180, turn 2π; km 1000, dm 1/10, cm 1/100, mm 1/1000, um 1/10^6, in 254/10000, ft 3048/10000; \
              ms 1/1000, us 1/10^6, ns 1/10^9, min 60, h 3600; mm/s 1/1000, cm/s 1/100, km/h 10/36; deg/s π/180, rpm 2π/60; mm/s^2 \
              1/1000, g0 980665/100000; deg/s^2 π/180; g 1/1000, lb 45359237/10^8; mN 1/1000, kN 1000; mNm 1/1000; kPa 1000, bar \
              100000; mV 1/1000; mA 1/1000; percent 1/100, permille 1/1000; and x degC is x + 273.15 K",
    about: "Counts values in another unit, and writes that unit down",
    example: "fields:\n  action: {from: action, transform: {unit: {from: deg, to: rad}}}",
    arguments: &[
        Argument {
            name: "from",
            kind: ArgumentKind::Text,
            required: true,
            about: concat!("the unit that values are counted in, one of a quantity: ", units_told!()),
        },
        Argument {
            name: "to",
            kind: ArgumentKind::Text,
            required: true,
            about: "the unit of the same quantity that they become counted in",
        },
        ITEM,
    ],
    short: None,
    make: |it| {
        let (from, to) = (it.text("from").unwrap_or_default(), it.text("to").unwrap_or_default());
        check_units((from, to))?;
        Ok(Transform::Field(FieldTransform::Unit {
            from: from.to_owned(),
            to: to.to_owned(),
            item: it.integer("item"),
        }))
    },
};

/// Whether there are two different units of one quantity.
pub(super) fn check_units((from, to): (&str, &str)) -> Result<(), Given<String>> {
    let of = |argument, name: &str| {
        units::find(name).ok_or_else(|| Given {
            argument: Some(argument),
            told: format!("there is no unit `{name}`"),
            hint: units::known(name),
        })
    };
    let (one, other) = (of("from", from)?, of("to", to)?);
    if one == other {
        let told = format!("`{from}` and `{to}` are one unit, which changes nothing");
        return wrong(Some("to"), told, "remove the transform, or say another unit");
    }
    if units::conversion(one, other).is_none() {
        let told = format!("`{from}` is {}, and `{to}` is {}", one.quantity, other.quantity);
        return wrong(Some("to"), told, "name two units of one quantity; `node-data transforms` lists them");
    }
    Ok(())
}
