use super::{Argument, ArgumentKind, Arguments, Given, Scope, Transform, TransformKind, wrong};
use crate::transform::{Against, Degenerate, DeltaEnd, End, FieldTransform, Items, RotationForm};

pub(crate) static SHIFT: TransformKind = TransformKind {
    full_name: "action/shift@1",
    also: &["shift"],
    scope: Scope::Field,
    takes: "anything that is stored plainly: numbers, bools, text and bytes of any shape",
    formula: "x[k] becomes x[k + steps], inside of the episode",
    about: "Gives each step the value of a later step, or of an earlier one; where there is no such step the field is null, \
            or the step is left out and counted",
    example: "fields:\n  action: {from: observation.state, transform: {action/shift: {steps: 1, end: drop}}}",
    arguments: &[
        Argument {
            name: "steps",
            kind: ArgumentKind::Integer,
            required: false,
            about: "how many steps later, or earlier where negative; 1 when absent",
        },
        Argument {
            name: "end",
            kind: ArgumentKind::Word(&["null", "drop"]),
            required: false,
            about: "what becomes of a step without such a step: `null` (when absent), or `drop` the step",
        },
    ],
    short: None,
    make: |it| {
        let steps = it.integer("steps").unwrap_or(1);
        if steps == 0 {
            let told = "`steps` is 0, which changes nothing".to_owned();
            return wrong(Some("steps"), told, "remove the transform, or say how many steps later");
        }
        let end = if it.text("end") == Some("drop") { End::Drop } else { End::Null };
        Ok(Transform::Field(FieldTransform::Shift { steps, end }))
    },
};

pub(crate) static SLICE: TransformKind = TransformKind {
    full_name: "slice@1",
    also: &[],
    scope: Scope::Field,
    takes: "vectors of anything that is stored plainly",
    formula: "(x[i], x[j], …) for the items i, j, … in the order in which they are given; their names stay with them",
    about: "Takes some items of a vector",
    example: "fields:\n  arm: {from: observation.state, transform: {slice: {start: 0, end: 6}}}\n  gripper: {from: observation.state, transform: {slice: [-1]}}",
    arguments: &[
        Argument {
            name: "items",
            kind: ArgumentKind::Integers,
            required: false,
            about: "which, counted from 0, or from the end where negative",
        },
        Argument {
            name: "names",
            kind: ArgumentKind::Texts,
            required: false,
            about: "which, by the names that the items have, instead of `items`",
        },
        Argument {
            name: "start",
            kind: ArgumentKind::Integer,
            required: false,
            about: "the first of all that are taken, instead of `items`; 0 when only `end` is given",
        },
        Argument {
            name: "end",
            kind: ArgumentKind::Integer,
            required: false,
            about: "the first that is not taken, negative from the end; none when absent",
        },
    ],
    short: Some("items"),
    make: |it| Ok(Transform::Field(FieldTransform::Slice { items: items(it)? })),
};

fn items(arguments: &Arguments) -> Result<Items, Given<String>> {
    let (start, end) = (arguments.integer("start"), arguments.integer("end"));
    let has_range = start.is_some() || end.is_some();
    let several = "say one of `items`, `names`, and `start` with `end`";
    match (arguments.lists.get("items"), arguments.names.get("names")) {
        (Some(places), None) if !has_range => Ok(Items::Places(places.clone())),
        (None, Some(names)) if !has_range => Ok(Items::Names(names.clone())),
        (None, None) if has_range => Ok(Items::Range { start: start.unwrap_or(0), end }),
        (None, None) => wrong(None, "`slice` does not say which items".to_owned(), several),
        _ => wrong(None, "`slice` says in two ways which items".to_owned(), several),
    }
}

pub(crate) static DELTA: TransformKind = TransformKind {
    full_name: "delta@1",
    also: &[],
    scope: Scope::Field,
    takes: "numbers of any shape, and another field of the same type and shape",
    formula: "x[k] - x[k + steps], inside of the episode; with `against` x[k] - y[k], where y is the other field as it is written. \
              Null where one of them is; floats are rounded in their own type, and whole numbers that do not fit theirs are an \
              error",
    about: "Makes differences of positions: to the step before, or to the state of the same step",
    example: "fields:\n  state: observation.state\n  action: {from: action, transform: {delta: {against: state}}}\n  moved: {from: observation.state, transform: {delta: {steps: -1, end: zero}}}",
    arguments: &[
        Argument {
            name: "against",
            kind: ArgumentKind::Text,
            required: false,
            about: "the field of the same step that is taken away, by its name in `fields`; when absent the field itself, at \
                    another step",
        },
        Argument {
            name: "steps",
            kind: ArgumentKind::Integer,
            required: false,
            about: "how many steps later the value lies that is taken away, or earlier where negative; -1 when absent",
        },
        Argument {
            name: "end",
            kind: ArgumentKind::Word(&["null", "drop", "zero"]),
            required: false,
            about: "what becomes of a step without such a step: `null` (when absent), `drop` the step, or `zero`",
        },
    ],
    short: Some("against"),
    make: |it| {
        let (steps, end) = (it.integer("steps"), it.text("end"));
        let against = match (it.text("against"), steps) {
            (Some(_), Some(_)) => {
                let told = "`against` is of the same step, so there is no `steps`".to_owned();
                return wrong(Some("steps"), told, "remove one of them");
            }
            (Some(_), None) if end.is_some() => {
                let told = "`against` is of the same step, so there is no `end`".to_owned();
                return wrong(Some("end"), told, "remove one of them");
            }
            (None, Some(0)) => {
                let told = "`steps` is 0, so that all becomes 0".to_owned();
                return wrong(Some("steps"), told, "say how many steps later, or `against` which field");
            }
            (Some(field), None) => Against::Field(field.to_owned()),
            (None, steps) => Against::Step(steps.unwrap_or(-1)),
        };
        let end = match end {
            Some("drop") => DeltaEnd::Drop,
            Some("zero") => DeltaEnd::Zero,
            _ => DeltaEnd::Null,
        };
        Ok(Transform::Field(FieldTransform::Delta { against, end }))
    },
};

pub(crate) static ROTATION: TransformKind = TransformKind {
    full_name: "rotation@1",
    also: &[],
    scope: Scope::Field,
    takes: "vectors of floats of fixed length that are a rotation, or hold one from `start` on; a matrix may be float[3, 3] as well",
    formula: "the same rotation. quat_xyzw: x, y, z, w; quat_wxyz: w, x, y, z; of the two quaternions of a rotation that of w ≥ 0, \
              but for one that only changes its order; rotvec: axis · angle, 0 to π radians; rot6d: the first column of the matrix, then \
              the second (Zhou et al. 2019); rot6d_rows: its first row, then the second (PyTorch3D); matrix: row by row, float[3, 3] \
              where it is all of the value, else nine numbers. Lengths are made 1, and directions upright, first one first; all in \
              float64, rounded once. NaN stays NaN",
    about: "Writes orientations in the form that a policy wants",
    example: "fields:\n  pose: {from: /pose.pose, transform: {rotation: {from: quat_xyzw, to: rot6d, start: 3}}}",
    arguments: &[
        Argument {
            name: "from",
            kind: ArgumentKind::Word(&RotationForm::NAMES),
            required: true,
            about: "what the numbers are",
        },
        Argument {
            name: "to",
            kind: ArgumentKind::Word(&RotationForm::NAMES),
            required: true,
            about: "what they become",
        },
        Argument {
            name: "start",
            kind: ArgumentKind::Integer,
            required: false,
            about: "where in a longer vector the rotation starts, counted from 0; what stands beside it stays. When absent the rotation \
                    is all of the value",
        },
        Argument {
            name: "degenerate",
            kind: ArgumentKind::Word(&["fail", "null"]),
            required: false,
            about: "what becomes of numbers that are no rotation (a quaternion of length 0, columns along one line, a matrix that \
                    mirrors): `fail` (when absent) with the step's address, or `null`",
        },
    ],
    short: None,
    make: |it| {
        let form = |name| it.text(name).and_then(RotationForm::from_name).unwrap_or(RotationForm::QuatXyzw);
        let (from, to) = (form("from"), form("to"));
        if from == to {
            let told = format!("`from` and `to` are both `{}`, which changes nothing", from.name());
            return wrong(Some("to"), told, "remove the transform, or say another form");
        }
        let start = it.integer("start").map(u32::try_from).transpose().map_err(|_| Given {
            argument: Some("start"),
            told: "`start` is negative".to_owned(),
            hint: "count from 0".to_owned(),
        })?;
        let degenerate =
            if it.text("degenerate") == Some("null") { Degenerate::Null } else { Degenerate::Fail };
        Ok(Transform::Field(FieldTransform::Rotation { from, to, start, degenerate }))
    },
};
