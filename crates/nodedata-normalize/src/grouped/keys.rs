use std::{borrow::Cow, cmp::Ordering, fmt};

use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array,
    cast::AsArray,
    types::{Float64Type, Int64Type, UInt64Type},
};
use nodedata_core::{DType, Feature, Storage, StreamSchema, placed::Mistake};
use regex::Regex;

use super::spec::{EPISODE, GroupBy, STEP, compile};
use crate::cast::cast;

/// Takes the keys out of batches of a source that was opened for them alone.
#[derive(Debug)]
pub(super) struct KeyReader {
    episode: usize,
    order: Option<usize>,
    pattern: Option<Pattern>,
    /// What the columns are called, for messages.
    names: (String, Option<String>),
}

#[derive(Debug)]
struct Pattern {
    text: String,
    regex: Regex,
}

/// Which episode a row belongs to, and where in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RowKey<'a> {
    pub(super) episode: Cow<'a, str>,
    /// `None` where nothing orders rows.
    pub(super) place: Option<Place>,
}

/// What orders a row in its episode.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Place {
    Whole(i128),
    /// Never NaN.
    Real(f64),
}

/// Why a row has no key, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keyless {
    pub(super) message: String,
    pub(super) hint: String,
}

impl KeyReader {
    /// `key_column` is that of the keys of samples; `stream` has the columns that the keys are read from.
    ///
    /// # Errors
    /// All mistakes: columns that are not there, or that hold no keys.
    pub(super) fn new(
        by: &GroupBy,
        key_column: Option<&str>,
        stream: &StreamSchema,
    ) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let keys: &[&str] = match by {
            GroupBy::Key { .. } => &["episodes.by"],
            GroupBy::Field { .. } => &["episodes.field", "episodes.order"],
        };
        let mut columns = Vec::new();
        for (idx, (name, key)) in by.columns(key_column).into_iter().zip(keys).enumerate() {
            let Some(column) = stream.column(name) else {
                mistakes.push(Mistake::new(*key, format!("the rows have no `{name}`")));
                continue;
            };
            let feature = &stream.features[column];
            let mistake = if idx == 0 { no_key(feature) } else { no_order(feature) };
            mistakes.extend(mistake.map(|(message, hint)| Mistake::new(*key, message).with_hint(hint)));
            columns.push((column, name.to_owned()));
        }
        if columns.is_empty() && mistakes.is_empty() {
            mistakes.push(Mistake::new("episodes.by", "the samples of the source have no keys"));
        }
        let pattern = match by {
            GroupBy::Field { .. } => None,
            GroupBy::Key { pattern } => match compile(pattern) {
                Ok(regex) => Some(Pattern { text: pattern.clone(), regex }),
                Err((message, hint)) => {
                    mistakes.push(Mistake::new("episodes.pattern", message).with_hint(hint));
                    None
                }
            },
        };
        let mut columns = columns.into_iter();
        let Some((episode, name)) = columns.next().filter(|_| mistakes.is_empty()) else {
            return Err(mistakes);
        };
        let (order, order_name) = columns.next().unzip();
        Ok(Self { episode, order, pattern, names: (name, order_name) })
    }

    /// The columns of a batch that hold the keys.
    pub(super) fn columns(&self, rows: &RecordBatch) -> KeyColumns<'_> {
        KeyColumns {
            reader: self,
            episode: Values::of(rows.column(self.episode)),
            order: self.order.and_then(|it| Values::of(rows.column(it))),
        }
    }
}

/// Why a feature is no key of an episode.
pub(super) fn no_key(feature: &Feature) -> Option<(String, String)> {
    let is_value = feature.shape.is_empty() && feature.storage == Storage::Plain;
    let is_key =
        is_value && !matches!(feature.dtype, DType::Bytes | DType::Float16 | DType::Float32 | DType::Float64);
    let message = || {
        format!(
            "the key of an episode is text, a whole number or a bool, but `{}` is {}",
            feature.name,
            feature.told()
        )
    };
    (!is_key).then(|| (message(), "name a field that is".to_owned()))
}

/// Why a feature does not order rows.
pub(super) fn no_order(feature: &Feature) -> Option<(String, String)> {
    let is_order =
        feature.shape.is_empty() && feature.storage == Storage::Plain && feature.dtype.is_numeric();
    let message =
        || format!("rows are in the order of numbers, but `{}` is {}", feature.name, feature.told());
    (!is_order).then(|| {
        (
            message(),
            "name a field of numbers, or leave `order` out where rows are in order as they are".to_owned(),
        )
    })
}

/// The columns of a batch that hold keys.
pub(super) struct KeyColumns<'r> {
    reader: &'r KeyReader,
    /// `None` where the rows are not of the types of their stream.
    episode: Option<Values>,
    order: Option<Values>,
}

impl KeyColumns<'_> {
    /// The key of a row.
    ///
    /// # Errors
    /// Why it has none.
    pub(super) fn of_row(&self, row: usize) -> Result<RowKey<'_>, Keyless> {
        let KeyReader { names: (name, order_name), pattern, .. } = self.reader;
        let key = self.episode.as_ref().and_then(|it| it.text(row)).ok_or_else(|| Keyless {
            message: format!("the row has no `{name}`, which says its episode"),
            hint: "give each row a value, or group by another field".to_owned(),
        })?;
        let (episode, place) = match pattern {
            Some(pattern) => pattern.split(key)?,
            None => (key, self.place(row, order_name.as_deref())?),
        };
        if episode.is_empty() {
            let message = format!("the key of the row's episode, of `{name}`, is empty");
            return Err(Keyless { message, hint: "give each row a value".to_owned() });
        }
        Ok(RowKey { episode, place })
    }

    fn place(&self, row: usize, name: Option<&str>) -> Result<Option<Place>, Keyless> {
        let Some(name) = name else { return Ok(None) };
        let place = self.order.as_ref().and_then(|it| it.place(row)).ok_or_else(|| Keyless {
            message: format!("the row has no number in `{name}`, which orders its episode"),
            hint: "give each row a number, or leave `order` out where rows are in order as they are"
                .to_owned(),
        });
        place.map(Some)
    }
}

impl Pattern {
    /// The parts of a key.
    fn split<'k>(&self, key: Cow<'k, str>) -> Result<(Cow<'k, str>, Option<Place>), Keyless> {
        let Self { text, regex } = self;
        let keyless = |message: String, hint: &str| Keyless { message, hint: hint.to_owned() };
        let Some(groups) = regex.captures(&key) else {
            let message = format!("the key `{key}` does not fit `{text}`");
            return Err(keyless(
                message,
                "a pattern fits the whole key: `.*` stands for whatever is before or behind",
            ));
        };
        let has_step = regex.capture_names().flatten().any(|it| it == STEP);
        let place = match groups.name(STEP).map(|it| it.as_str()) {
            _ if !has_step => None,
            Some(step) => Some(step.parse().map(Place::Whole).map_err(|_| {
                let message =
                    format!("the step `{step}` of the key `{key}`, by `{text}`, is no whole number");
                keyless(message, r"let the group `step` be digits: `(?<step>\d+)`")
            })?),
            None => {
                let message = format!("the key `{key}` fits `{text}` without its group `{STEP}`");
                return Err(keyless(message, "let the group be a part of every key"));
            }
        };
        let Some(episode) = groups.name(EPISODE).map(|it| it.range()) else {
            let message = format!("the key `{key}` fits `{text}` without its group `{EPISODE}`");
            return Err(keyless(message, "let the group be a part of every key"));
        };
        let episode = match key {
            Cow::Borrowed(key) => Cow::Borrowed(&key[episode]),
            Cow::Owned(key) => Cow::Owned(key[episode].to_owned()),
        };
        Ok((episode, place))
    }
}

/// Values of a column that keys may be.
enum Values {
    Text(StringArray),
    Bool(BooleanArray),
    Whole(Int64Array),
    Unsigned(UInt64Array),
    Real(Float64Array),
}

impl Values {
    fn of(array: &ArrayRef) -> Option<Self> {
        Some(match DType::from_arrow(array.data_type())? {
            DType::String => Self::Text(array.as_string_opt()?.clone()),
            DType::Bool => Self::Bool(array.as_boolean_opt()?.clone()),
            DType::UInt64 => Self::Unsigned(array.as_primitive_opt::<UInt64Type>()?.clone()),
            DType::Float16 | DType::Float32 | DType::Float64 => {
                Self::Real(cast(array, DType::Float64).ok()?.as_primitive_opt::<Float64Type>()?.clone())
            }
            DType::Int8
            | DType::Int16
            | DType::Int32
            | DType::Int64
            | DType::UInt8
            | DType::UInt16
            | DType::UInt32 => {
                Self::Whole(cast(array, DType::Int64).ok()?.as_primitive_opt::<Int64Type>()?.clone())
            }
            DType::Bytes => return None,
        })
    }

    fn text(&self, row: usize) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(it) => it.is_valid(row).then(|| Cow::Borrowed(it.value(row))),
            Self::Bool(it) => it.is_valid(row).then(|| Cow::Owned(it.value(row).to_string())),
            Self::Whole(it) => it.is_valid(row).then(|| Cow::Owned(it.value(row).to_string())),
            Self::Unsigned(it) => it.is_valid(row).then(|| Cow::Owned(it.value(row).to_string())),
            Self::Real(_) => None,
        }
    }

    fn place(&self, row: usize) -> Option<Place> {
        match self {
            Self::Whole(it) => it.is_valid(row).then(|| Place::Whole(it.value(row).into())),
            Self::Unsigned(it) => it.is_valid(row).then(|| Place::Whole(it.value(row).into())),
            Self::Real(it) => {
                it.is_valid(row).then(|| it.value(row)).filter(|it| !it.is_nan()).map(Place::Real)
            }
            Self::Text(_) | Self::Bool(_) => None,
        }
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => one.partial_cmp(other),
            (Self::Real(one), Self::Real(other)) => one.partial_cmp(other),
            (Self::Whole(_), Self::Real(_)) | (Self::Real(_), Self::Whole(_)) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(it) => it.fmt(f),
            Self::Real(it) => it.fmt(f),
        }
    }
}
