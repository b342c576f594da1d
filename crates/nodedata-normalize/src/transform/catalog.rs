mod numbers;
mod others;
mod pictures;
mod vectors;

use std::{collections::BTreeMap, fmt};

use nodedata_core::suggest;

#[cfg(test)]
pub(super) use self::numbers::UNITS_TOLD;
pub(crate) use self::{
    numbers::{BINARIZE, CLIP, INVERT, OFFSET, SCALE, UNIT},
    others::{DROP_LAST_PADDING, FLAC, FROM_CODES, POINTS},
    pictures::{CROP, DEPTH, ENCODE, FLIP_CHANNELS, RESIZE, ROTATE_180},
    vectors::{DELTA, ROTATION, SHIFT, SLICE},
};
use super::{FieldTransform, StepTransform};

/// A transform by name and version: what pipelines may say, what editors know, and what `node-data transforms` shows.
#[derive(Debug)]
pub struct TransformKind {
    /// With its version, as recipes and datasets say it.
    pub full_name: &'static str,
    /// Other names that pipelines may say.
    pub also: &'static [&'static str],
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
    /// The argument that stands for all where a value is given in their place: `scale: 2`.
    pub short: Option<&'static str>,
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
    /// A list of whole numbers.
    Integers,
    /// A list of names.
    Texts,
}

impl fmt::Display for ArgumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer => f.write_str("a whole number"),
            Self::Number => f.write_str("a number"),
            Self::Word(words) => f.write_str(&words.join(" or ")),
            Self::Text => f.write_str("a name"),
            Self::Integers => f.write_str("a list of whole numbers"),
            Self::Texts => f.write_str("a list of names"),
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
    /// Lists of whole numbers.
    pub lists: BTreeMap<&'static str, Vec<i32>>,
    /// Lists of names.
    pub names: BTreeMap<&'static str, Vec<String>>,
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

    /// What it is called in pipelines: with its version and without, and any other names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        [self.name(), self.full_name].into_iter().chain(self.also.iter().copied())
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
    let is_named = |it: &&'static TransformKind| it.names().any(|it| it == name);
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
    let known = |it: &&'static TransformKind| {
        name.split_once('@').is_some_and(|(name, _)| it.names().any(|it| it == name))
    };
    if let Some(known) = ALL.into_iter().find(known) {
        let message = format!("there is no such version of `{}`", known.name());
        return Err((message, format!("this program has `{}`", known.full_name)));
    }
    // Beside the word that was probably meant, what it means is one command away.
    let hint = suggest(name, of_scope().flat_map(TransformKind::names).filter(|it| !it.contains('@')));
    Err((
        format!("there is no transform `{name}`"),
        format!("{hint}; `node-data transforms` says what they do"),
    ))
}

/// Every transform, by name.
pub static ALL: [&TransformKind; 20] = [
    &CLIP,
    &SHIFT,
    &FLAC,
    &DELTA,
    &DEPTH,
    &ENCODE,
    &BINARIZE,
    &INVERT,
    &CROP,
    &FLIP_CHANNELS,
    &RESIZE,
    &ROTATE_180,
    &OFFSET,
    &POINTS,
    &DROP_LAST_PADDING,
    &ROTATION,
    &SCALE,
    &SLICE,
    &FROM_CODES,
    &UNIT,
];

/// What is wrong with arguments, and what the user can do.
fn wrong<T>(argument: Option<&'static str>, told: String, hint: &str) -> Result<T, Given<String>> {
    Err(Given { argument, told, hint: hint.to_owned() })
}

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

    /// Arguments that a transform needs.
    fn needed(kind: &TransformKind) -> Arguments {
        let mut it = Arguments::default();
        match kind.full_name {
            "action/clip@1" => drop(it.numbers.insert("max", 1.0)),
            "scale@1" | "offset@1" => drop(it.numbers.insert("by", 2.0)),
            "unit@1" => it.texts.extend([("from", "deg".to_owned()), ("to", "rad".to_owned())]),
            "rotation@1" => it.texts.extend([("from", "rotvec".to_owned()), ("to", "matrix".to_owned())]),
            "slice@1" => drop(it.lists.insert("items", vec![0, -1])),
            "image/resize@1" | "image/crop@1" => it.integers.extend([("height", 8), ("width", 9)]),
            "encode@1" => drop(it.texts.insert("as", "jpeg:90".to_owned())),
            "depth@1" => drop(it.texts.insert("to", "m".to_owned())),
            "points@1" => drop(it.names.insert("fields", vec!["x".to_owned()])),
            _ => {}
        }
        it
    }

    #[test]
    fn what_is_made_says_where_it_comes_from() {
        for kind in ALL {
            let made = kind.with(&needed(kind)).unwrap();
            let (of, json) = match &made {
                Transform::Field(it) => (it.kind(), serde_json::to_string(it).unwrap()),
                Transform::Steps(it) => (it.kind(), serde_json::to_string(it).unwrap()),
            };
            assert!(std::ptr::eq(of, kind), "{}", kind.full_name);
            assert!(json.starts_with(&format!("{{\"{}\":", kind.full_name)), "{json}");
            // Recipes are read back.
            let back = match &made {
                Transform::Field(_) => Transform::Field(serde_json::from_str(&json).unwrap()),
                Transform::Steps(_) => Transform::Steps(serde_json::from_str(&json).unwrap()),
            };
            assert_eq!(back, made);
            assert!(kind.short.is_none_or(|it| kind.argument(it).is_some()), "{}", kind.full_name);
        }
    }

    /// The number stands in the formula, too.
    #[test]
    fn the_quality_that_nobody_gave_is_written_out() {
        let coded = |told: &str| {
            ENCODE
                .with(&Arguments { texts: [("as", told.to_owned())].into(), ..Arguments::default() })
                .unwrap()
        };
        assert_eq!(coded("jpeg"), coded("jpeg:95"));
        let Transform::Field(FieldTransform::Encode { quality, group, encoder, .. }) = coded("h264") else {
            panic!("no coding")
        };
        assert_eq!((quality, group, encoder), (Some(23), Some(2), None));
        assert_eq!(coded("h264"), coded("h264:23"));
        let Transform::Field(FieldTransform::Encode { quality, .. }) = coded("png") else {
            panic!("no coding")
        };
        assert_eq!(quality, None);
    }

    #[track_caller]
    fn refused(kind: &TransformKind, texts: &[(&'static str, &str)], told: &str, hint: &str) {
        let texts = texts.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        let given = kind.with(&Arguments { texts, ..Arguments::default() }).unwrap_err();
        assert!(given.told.contains(told) && given.hint.contains(hint), "{given:?}");
    }

    #[test]
    fn arguments_that_do_not_fit_are_told() {
        refused(&UNIT, &[("from", "deg"), ("to", "radd")], "there is no unit `radd`", "did you mean `rad`?");
        refused(&UNIT, &[("from", "parsec"), ("to", "m")], "no unit `parsec`", "one of: rad, mrad");
        refused(
            &UNIT,
            &[("from", "deg"), ("to", "m")],
            "`deg` is an angle, and `m` is a length",
            "one quantity",
        );
        refused(&UNIT, &[("from", "m"), ("to", "m")], "are one unit", "remove");
        refused(&ENCODE, &[("as", "jpeg:0")], "no quality", "1 to 100");
        refused(&ENCODE, &[("as", "png:9")], "has no quality", "alone");
        refused(&ENCODE, &[("as", "h265")], "no coding `h265`", "h264:23");
        refused(&ENCODE, &[("as", "h264:0")], "`h264:0` is no rate factor", "without loss there is `png`");
        refused(&ENCODE, &[("as", "h264:52")], "no rate factor", "1, the finest, to 51");
        for (coding, group, told) in [
            ("h264", 0, "no length"),
            ("h264", -2, "no length"),
            ("png", 2, "stand alone"),
            ("jpeg:90", 2, "stand alone"),
        ] {
            let (texts, integers) = ([("as", coding.to_owned())].into(), [("group", group)].into());
            let given = ENCODE.with(&Arguments { texts, integers, ..Arguments::default() }).unwrap_err();
            assert!(given.argument == Some("group") && given.told.contains(told), "{given:?}");
        }
        refused(&DEPTH, &[("to", "s")], "`s` is a time, no length", "mm");
        refused(&ROTATION, &[("from", "rotvec"), ("to", "rotvec")], "changes nothing", "remove");
        refused(&SLICE, &[], "does not say which items", "`items`");
        refused(&DELTA, &[("against", "state"), ("end", "drop")], "there is no `end`", "remove");
        refused(&SCALE, &[], "changes nothing", "remove");
    }
}
