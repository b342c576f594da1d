use std::{collections::BTreeMap, fmt};

use nodedata_core::suggest;

use super::{End, FieldTransform, StepTransform};

/// A transform by name and version: what pipelines may say, what editors know, and what `node-data transforms` shows.
#[derive(Debug)]
pub struct TransformKind {
    /// With its version, as recipes and datasets say it.
    pub full_name: &'static str,
    /// What it works on.
    pub scope: Scope,
    /// Which values it takes, for people.
    pub takes: &'static str,
    /// What becomes of a value.
    pub formula: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// A part of a pipeline file that uses it.
    pub example: &'static str,
    /// What it may be told.
    pub arguments: &'static [Argument],
    make: fn(&Arguments) -> Result<Transform, Given<String>>,
}

/// Where a transform stands in a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `fields.<name>.transform`.
    Field,
    /// `steps.transform`.
    Steps,
}

impl Scope {
    /// The key of a pipeline file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Field => "fields.<name>.transform",
            Self::Steps => "steps.transform",
        }
    }
}

/// Something a transform may be told.
#[derive(Debug)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: ArgumentKind,
    /// Whether it must be given.
    pub required: bool,
    /// What it is for, and what it is when it is not given.
    pub about: &'static str,
}

/// What an argument may be.
#[derive(Debug, Clone, Copy)]
pub enum ArgumentKind {
    /// A whole number of 32 bits.
    Integer,
    /// A finite number.
    Number,
    /// One of some words.
    Word(&'static [&'static str]),
    /// Text, such as the name of a field.
    Text,
}

impl fmt::Display for ArgumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer => f.write_str("a whole number"),
            Self::Number => f.write_str("a number"),
            Self::Word(words) => f.write_str(&words.join(" or ")),
            Self::Text => f.write_str("a name"),
        }
    }
}

/// Something about one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given<T> {
    /// Its name; `None` for all of them together.
    pub argument: Option<&'static str>,
    /// What is said.
    pub told: T,
    /// What the user can do.
    pub hint: String,
}

/// Arguments by name, each of the kind that its transform declares.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// Whole numbers.
    pub integers: BTreeMap<&'static str, i32>,
    /// Numbers.
    pub numbers: BTreeMap<&'static str, f64>,
    /// Words and other text.
    pub texts: BTreeMap<&'static str, String>,
}

/// A transform with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub enum Transform {
    /// Of one field.
    Field(FieldTransform),
    /// Of whole steps.
    Steps(StepTransform),
}

impl TransformKind {
    /// Its name without the version.
    pub fn name(&self) -> &'static str {
        self.full_name.split_once('@').map_or(self.full_name, |it| it.0)
    }

    /// The argument called `name`.
    pub fn argument(&self, name: &str) -> Option<&'static Argument> {
        self.arguments.iter().find(|it| it.name == name)
    }

    /// The transform with these arguments.
    ///
    /// # Errors
    /// What is missing, or does not fit together.
    pub fn with(&self, arguments: &Arguments) -> Result<Transform, Given<String>> {
        (self.make)(arguments)
    }
}

/// The transform of a scope that is called `name`, with or without its version.
///
/// # Errors
/// What is wrong with the name, and what the user can do.
pub fn find(name: &str, scope: Scope) -> Result<&'static TransformKind, (String, String)> {
    let is_named = |it: &&'static TransformKind| it.full_name == name || it.name() == name;
    let of_scope = || ALL.into_iter().filter(|it| it.scope == scope);
    if let Some(found) = of_scope().find(is_named) {
        return Ok(found);
    }
    if let Some(other) = ALL.into_iter().find(is_named) {
        let message = match other.scope {
            Scope::Steps => format!("`{name}` is about whole steps, not about one field"),
            Scope::Field => format!("`{name}` is about one field, not about whole steps"),
        };
        return Err((message, format!("write it in `{}`", other.scope.key())));
    }
    let known = |it: &&'static TransformKind| name.split_once('@').is_some_and(|(name, _)| it.name() == name);
    if let Some(known) = ALL.into_iter().find(known) {
        let message = format!("there is no such version of `{}`", known.name());
        return Err((message, format!("this program has `{}`", known.full_name)));
    }
    // Beside the word that was probably meant, what it means is one command away.
    let hint = suggest(name, of_scope().map(|it| it.name()));
    Err((
        format!("there is no transform `{name}`"),
        format!("{hint}; `node-data transforms` says what they do"),
    ))
}

/// Every transform, by name.
pub static ALL: [&TransformKind; 9] =
    [&CLIP, &SHIFT, &FLAC, &BINARIZE, &INVERT, &FLIP_CHANNELS, &ROTATE_180, &DROP_LAST_PADDING, &FROM_CODES];

const ITEM: Argument = Argument {
    name: "item",
    kind: ArgumentKind::Integer,
    required: false,
    about: "the one element of a vector that is meant, counted from 0, or from the end where negative; all when absent",
};

const NUMBERS: &str = "numbers of any shape; with `item` a vector of fixed length";
const IMAGES: &str = "images, JPEG, PNG or raw, and coded video that can be decoded";

pub(super) static CLIP: TransformKind = TransformKind {
    full_name: "action/clip@1",
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
    make: |it| {
        let (min, max) = (it.number("min"), it.number("max"));
        let wrong = |argument, told: String, hint: &str| Err(Given { argument, told, hint: hint.to_owned() });
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

pub(super) static SHIFT: TransformKind = TransformKind {
    full_name: "action/shift@1",
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
    make: |it| {
        let steps = it.integer("steps").unwrap_or(1);
        if steps == 0 {
            return Err(Given {
                argument: Some("steps"),
                told: "`steps` is 0, which changes nothing".to_owned(),
                hint: "remove the transform, or say how many steps later".to_owned(),
            });
        }
        let end = if it.text("end") == Some("drop") { End::Drop } else { End::Null };
        Ok(Transform::Field(FieldTransform::Shift { steps, end }))
    },
};

pub(super) static FLAC: TransformKind = TransformKind {
    full_name: "audio/flac@1",
    scope: Scope::Field,
    takes: "clips of sound, WAV of whole numbers (8, 16 or 24 bits) or FLAC, which stays as it is",
    formula: "a FLAC file that decodes to the samples of the WAV file; its other chunks, such as tags, are left out",
    about: "Stores clips smaller and without loss: each is decoded again and compared, sample by sample, before it is written",
    example: "fields:\n  speech: {from: speech.wav, transform: audio/flac}",
    arguments: &[],
    make: |_| Ok(Transform::Field(FieldTransform::Flac {})),
};

pub(super) static BINARIZE: TransformKind = TransformKind {
    full_name: "gripper/binarize@1",
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
    make: |it| {
        let threshold = it.number("threshold").unwrap_or(0.5);
        Ok(Transform::Field(FieldTransform::Binarize { threshold, item: it.integer("item") }))
    },
};

pub(super) static INVERT: TransformKind = TransformKind {
    full_name: "gripper/invert@1",
    scope: Scope::Field,
    takes: "numbers and bools of any shape; with `item` a vector of fixed length",
    formula: "1 - x; of a bool the other one",
    about: "Turns a gripper that is open at 0 into one that is open at 1",
    example: "fields:\n  action: {from: action, transform: {gripper/invert: {item: 6}}}",
    arguments: &[ITEM],
    make: |it| Ok(Transform::Field(FieldTransform::Invert { item: it.integer("item") })),
};

pub(super) static FLIP_CHANNELS: TransformKind = TransformKind {
    full_name: "image/flip_channels@1",
    scope: Scope::Field,
    takes: IMAGES,
    formula: "(a, b, c) becomes (c, b, a) at every pixel; a fourth channel stays",
    about: "Puts right pictures whose blue and red were swapped; frames are decoded, and stored as PNG unless `encoding` says else",
    example: "fields:\n  wrist: {from: observation.images.wrist, transform: image/flip_channels}",
    arguments: &[],
    make: |_| Ok(Transform::Field(FieldTransform::FlipChannels {})),
};

pub(super) static ROTATE_180: TransformKind = TransformKind {
    full_name: "image/rotate_180@1",
    scope: Scope::Field,
    takes: IMAGES,
    formula: "pixel (row, column) becomes pixel (height - 1 - row, width - 1 - column)",
    about: "Puts right the pictures of a camera that hangs upside down; frames are decoded, and stored as PNG unless \
            `encoding` says else",
    example: "fields:\n  front: {from: observation.images.front, encoding: jpeg, transform: image/rotate_180}",
    arguments: &[],
    make: |_| Ok(Transform::Field(FieldTransform::Rotate180 {})),
};

pub(super) static DROP_LAST_PADDING: TransformKind = TransformKind {
    full_name: "rlds/drop_last_padding@1",
    scope: Scope::Steps,
    takes: "steps with a bool that is true at the last one",
    formula: "the last step of an episode is left out where `field` is true there",
    about: "By RLDS' rule the action of an episode's last step is padding; such a step is left out, and counted under this \
            name",
    example: "steps: {clock: {rate_hz: 10}, transform: rlds/drop_last_padding}",
    arguments: &[Argument {
        name: "field",
        kind: ArgumentKind::Text,
        required: false,
        about: "the bool that is true at the last step, by its name in a source of steps, or that of a field of steps made of \
                messages; `is_last` when absent",
    }],
    make: |it| {
        let field = it.text("field").unwrap_or("is_last").to_owned();
        Ok(Transform::Steps(StepTransform::DropLastPadding { field }))
    },
};

pub(super) static FROM_CODES: TransformKind = TransformKind {
    full_name: "text/from_codes@1",
    scope: Scope::Field,
    takes: "vectors of whole numbers",
    formula: "text whose UTF-8 bytes are the numbers that are not 0",
    about: "Reads instructions that a dataset such as language_table stores as numbers, filled up with zeros",
    example: "fields:\n  instruction: {from: observation.instruction, transform: text/from_codes}",
    arguments: &[],
    make: |_| Ok(Transform::Field(FieldTransform::FromCodes {})),
};

impl Arguments {
    fn integer(&self, name: &str) -> Option<i32> {
        self.integers.get(name).copied()
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.numbers.get(name).copied()
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_with_and_without_version_and_where_they_belong() {
        for kind in ALL {
            assert!(std::ptr::eq(find(kind.full_name, kind.scope).unwrap(), kind));
            assert!(std::ptr::eq(find(kind.name(), kind.scope).unwrap(), kind));
        }
        let names: Vec<&str> = ALL.iter().map(|it| it.full_name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
        let told = |name, scope| find(name, scope).map(|_| ()).unwrap_err();
        assert!(told("gripper/invrt", Scope::Field).1.starts_with("did you mean `gripper/invert`?"));
        assert_eq!(told("action/clip@2", Scope::Field).1, "this program has `action/clip@1`");
        assert_eq!(told("rlds/drop_last_padding", Scope::Field).1, "write it in `steps.transform`");
        assert_eq!(told("action/clip", Scope::Steps).1, "write it in `fields.<name>.transform`");
    }

    #[test]
    fn what_is_made_says_where_it_comes_from() {
        let mut arguments = Arguments::default();
        arguments.numbers.insert("max", 1.0);
        for kind in ALL {
            let (of, json) = match kind.with(&arguments).unwrap() {
                Transform::Field(it) => (it.kind(), serde_json::to_string(&it).unwrap()),
                Transform::Steps(it) => (it.kind(), serde_json::to_string(&it).unwrap()),
            };
            assert!(std::ptr::eq(of, kind), "{}", kind.full_name);
            assert!(json.starts_with(&format!("{{\"{}\":", kind.full_name)), "{json}");
        }
    }
}
