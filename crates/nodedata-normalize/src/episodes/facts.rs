use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray,
    cast::AsArray,
    types::{Float64Type, Int64Type, UInt64Type},
};
use nodedata_core::{DType, Fact, Feature, Storage};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::cast::cast;

/// The types of metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FactType {
    /// True or false.
    Bool,
    /// A whole number of 64 bits.
    Int,
    /// A number.
    Float,
    /// Text.
    Text,
}

impl FactType {
    /// Every type.
    pub const ALL: [Self; 4] = [Self::Bool, Self::Int, Self::Float, Self::Text];

    /// As pipelines spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "text",
        }
    }

    /// The type called so.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// The type of a value.
    pub fn of(fact: &Fact) -> Self {
        match fact {
            Fact::Bool(_) => Self::Bool,
            Fact::Int(_) => Self::Int,
            Fact::Float(_) => Self::Float,
            Fact::Text(_) => Self::Text,
        }
    }

    /// The value that a text is in this type; `None` where it is none. A bool is `true`, `yes` or `1`, or `false`, `no` or
    /// `0`, in letters of any size; spaces around are no part of what is not text.
    pub fn parse(self, text: &str) -> Option<Fact> {
        let plain = text.trim();
        match self {
            Self::Bool => match plain.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => Some(Fact::Bool(true)),
                "false" | "no" | "0" => Some(Fact::Bool(false)),
                _ => None,
            },
            Self::Int => plain.parse().ok().map(Fact::Int),
            Self::Float => plain.parse().ok().map(Fact::Float),
            Self::Text => Some(Fact::Text(text.to_owned())),
        }
    }

    /// The type that texts have where nobody says: bool where all are `true` or `false`, int where all are whole numbers without
    /// zeros in front, float where all are finite numbers that are written so, otherwise text. Of none it is text.
    pub fn inferred<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut found: Option<Self> = None;
        for text in texts {
            let one = Self::of_text(text);
            found = Some(match (found, one) {
                (None, one) => one,
                (Some(Self::Int | Self::Float), Self::Float) | (Some(Self::Float), Self::Int) => Self::Float,
                (Some(before), one) if before == one => one,
                (Some(_), _) => return Self::Text,
            });
        }
        found.unwrap_or(Self::Text)
    }

    fn of_text(text: &str) -> Self {
        if matches!(text.to_ascii_lowercase().as_str(), "true" | "false") {
            return Self::Bool;
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        let whole = digits.split(['.', 'e', 'E']).next().unwrap_or_default();
        // Keys and codes are written with zeros in front, numbers are not.
        let is_number = digits.starts_with(|it: char| it.is_ascii_digit())
            && (whole.len() == 1 || !whole.starts_with('0'))
            && digits.chars().all(|it| it.is_ascii_digit() || matches!(it, '.' | 'e' | 'E' | '+' | '-'));
        if !is_number {
            return Self::Text;
        }
        if text.parse::<i64>().is_ok() {
            return Self::Int;
        }
        // A whole number that no int64 is would be another one as a float.
        let is_float = digits.contains(['.', 'e', 'E']) && text.parse().is_ok_and(f64::is_finite);
        if is_float { Self::Float } else { Self::Text }
    }

    /// The one type that holds values of both.
    pub(super) fn with(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::Int, Self::Float) | (Self::Float, Self::Int) => Self::Float,
            _ => Self::Text,
        }
    }

    /// The type of a column of such values.
    pub(super) fn dtype(self) -> DType {
        match self {
            Self::Bool => DType::Bool,
            Self::Int => DType::Int64,
            Self::Float => DType::Float64,
            Self::Text => DType::String,
        }
    }

    /// A column of `n_rows` rows that all have one value; it is of this type, or becomes so.
    pub(super) fn column(self, value: Option<&Fact>, n_rows: usize) -> ArrayRef {
        match self {
            Self::Bool => {
                let value = value.and_then(|it| if let Fact::Bool(it) = it { Some(*it) } else { None });
                Arc::new(BooleanArray::from(vec![value; n_rows]))
            }
            Self::Int => {
                let value = value.and_then(|it| if let Fact::Int(it) = it { Some(*it) } else { None });
                Arc::new(Int64Array::from(vec![value; n_rows]))
            }
            Self::Float => {
                let value = value.and_then(|it| match it {
                    Fact::Float(it) => Some(*it),
                    Fact::Int(it) => Some(*it as f64),
                    Fact::Bool(_) | Fact::Text(_) => None,
                });
                Arc::new(Float64Array::from(vec![value; n_rows]))
            }
            Self::Text => {
                let value = value.map(ToString::to_string);
                Arc::new(StringArray::from_iter(std::iter::repeat_n(value.as_deref(), n_rows)))
            }
        }
    }
}

/// Whether a column has one bool, number or text in each row: a value that can be told of an episode.
pub fn is_scalar(feature: &Feature) -> bool {
    feature.shape.is_empty() && feature.storage == Storage::Plain && feature.dtype != DType::Bytes
}

/// The value of a scalar column at a row; `None` where it is null. What is no bool, number or text has none, see
/// [`is_scalar`].
pub fn fact_at(array: &dyn Array, row: usize) -> Option<Fact> {
    if row >= array.len() || array.is_null(row) {
        return None;
    }
    let one = array.slice(row, 1);
    match DType::from_arrow(array.data_type())? {
        DType::Bool => one.as_boolean_opt().map(|it| Fact::Bool(it.value(0))),
        DType::String => one.as_string_opt::<i32>().map(|it| Fact::Text(it.value(0).to_owned())),
        DType::UInt64 => {
            let value = one.as_primitive_opt::<UInt64Type>()?.value(0);
            Some(i64::try_from(value).map_or_else(|_| Fact::Text(value.to_string()), Fact::Int))
        }
        DType::Float16 | DType::Float32 | DType::Float64 => {
            let whole = cast(&one, DType::Float64).ok()?;
            Some(Fact::Float(whole.as_primitive_opt::<Float64Type>()?.value(0)))
        }
        DType::Bytes => None,
        _ => {
            let whole = cast(&one, DType::Int64).ok()?;
            Some(Fact::Int(whole.as_primitive_opt::<Int64Type>()?.value(0)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(texts: &[&str], expected: FactType) {
        assert_eq!(FactType::inferred(texts.iter().copied()), expected, "{texts:?}");
    }

    #[test]
    fn types_follow_from_all_values() {
        check(&["true", "False"], FactType::Bool);
        check(&["1", "-20", "0"], FactType::Int);
        check(&["1", "2.5"], FactType::Float);
        check(&["2.5e3", "1"], FactType::Float);
        check(&["007", "8"], FactType::Text);
        check(&["0.5", "1"], FactType::Float);
        check(&["1", "kitchen"], FactType::Text);
        check(&["true", "1"], FactType::Text);
        check(&["99999999999999999999"], FactType::Text);
        check(&["nan"], FactType::Text);
        check(&["1-2"], FactType::Text);
        check(&["1e999"], FactType::Text);
        check(&[], FactType::Text);
    }

    #[test]
    fn texts_are_read_as_the_type_that_is_declared() {
        assert_eq!(FactType::Bool.parse(" Yes "), Some(Fact::Bool(true)));
        assert_eq!(FactType::Bool.parse("0"), Some(Fact::Bool(false)));
        assert_eq!(FactType::Bool.parse("maybe"), None);
        assert_eq!(FactType::Int.parse("007"), Some(Fact::Int(7)));
        assert_eq!(FactType::Int.parse("1.5"), None);
        assert_eq!(FactType::Float.parse("3"), Some(Fact::Float(3.0)));
        assert_eq!(FactType::Text.parse(" a"), Some(Fact::Text(" a".to_owned())));
    }

    #[test]
    fn cells_keep_their_types() {
        let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(3), None]));
        assert_eq!((fact_at(&ints, 0), fact_at(&ints, 1)), (Some(Fact::Int(3)), None));
        let large: ArrayRef = Arc::new(arrow_array::UInt64Array::from(vec![u64::MAX]));
        assert_eq!(fact_at(&large, 0), Some(Fact::Text(u64::MAX.to_string())));
        let float: ArrayRef = Arc::new(arrow_array::Float32Array::from(vec![0.5]));
        assert_eq!(fact_at(&float, 0), Some(Fact::Float(0.5)));
    }
}
