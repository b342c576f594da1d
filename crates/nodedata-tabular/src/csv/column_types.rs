use nodedata_core::DType;
use serde::{Deserialize, Serialize};

use super::{
    cells::{Kind, kind},
    fields::Field,
};

/// Where a field was seen: its file and byte.
pub(crate) type Place = (usize, u64);

/// What the fields of one column are, as far as they were seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    has_nulls: bool,
    has_ints: bool,
    /// A whole number that no float64 is.
    has_long_ints: bool,
    has_floats: bool,
    has_words: bool,
    has_text: bool,
    first_number: Option<Place>,
    first_text: Option<Place>,
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ColumnType {
    Int,
    Float,
    Text,
}

impl ColumnType {
    pub(crate) fn dtype(self) -> DType {
        match self {
            Self::Int => DType::Int64,
            Self::Float => DType::Float64,
            Self::Text => DType::String,
        }
    }
}

impl Seen {
    pub(crate) fn look(&mut self, field: Field<'_>, place: Place) {
        if field.is_absent() {
            self.has_nulls = true;
            return;
        }
        match kind(field.bytes) {
            Kind::Int { is_exact } => {
                self.has_ints = true;
                self.has_long_ints |= !is_exact;
                self.first_number.get_or_insert(place);
            }
            Kind::Float => {
                self.has_floats = true;
                self.first_number.get_or_insert(place);
            }
            Kind::NotFinite => self.has_words = true,
            Kind::Text => {
                self.has_text = true;
                self.first_text.get_or_insert(place);
            }
        }
    }

    /// Rows of files without the column.
    pub(crate) fn is_missing(&mut self) {
        self.has_nulls = true;
    }

    /// What was seen behind this.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.has_nulls |= other.has_nulls;
        self.has_ints |= other.has_ints;
        self.has_long_ints |= other.has_long_ints;
        self.has_floats |= other.has_floats;
        self.has_words |= other.has_words;
        self.has_text |= other.has_text;
        self.first_number = self.first_number.or(other.first_number);
        self.first_text = self.first_text.or(other.first_text);
    }

    /// The narrowest type that holds all of it, and whether any is absent.
    pub(crate) fn column_type(&self) -> (ColumnType, bool) {
        let is_float = self.has_floats || self.has_words;
        let has_numbers = self.has_ints || self.has_floats;
        let column_type = if self.has_text || !has_numbers || (is_float && self.has_long_ints) {
            ColumnType::Text
        } else if is_float {
            ColumnType::Float
        } else {
            ColumnType::Int
        };
        // Of a column that nothing was seen in nothing is known.
        (column_type, self.has_nulls || !(has_numbers || self.has_words || self.has_text))
    }

    /// Where the first number and the first text are of a column that has both.
    pub(crate) fn mixed(&self) -> Option<(Place, Place)> {
        self.first_number.zip(self.first_text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> (ColumnType, bool) {
        let mut seen = Seen::default();
        for text in texts {
            let (bytes, is_quoted) = match text.strip_prefix('"') {
                Some(rest) => (rest.trim_end_matches('"'), true),
                None => (*text, false),
            };
            let mut one = Seen::default();
            one.look(Field { bytes: bytes.as_bytes(), at: 0, is_quoted }, (0, 0));
            seen.merge(&one);
        }
        seen.column_type()
    }

    #[test]
    fn types_are_those_of_all_fields() {
        assert_eq!(of(&["1", "2"]), (ColumnType::Int, false));
        assert_eq!(of(&["1", "", "2.5"]), (ColumnType::Float, true));
        assert_eq!(of(&["1", "nan"]), (ColumnType::Float, false));
        assert_eq!(of(&["nan", "inf"]), (ColumnType::Text, false));
        assert_eq!(of(&["9007199254740993", "2"]), (ColumnType::Int, false));
        assert_eq!(of(&["9007199254740993", "2.5"]), (ColumnType::Text, false));
        assert_eq!(of(&["007", "1"]), (ColumnType::Text, false));
        assert_eq!(of(&["\"\"", "1"]), (ColumnType::Text, false));
        assert_eq!(of(&["\"5\"", "1"]), (ColumnType::Int, false));
        assert_eq!(of(&["", ""]), (ColumnType::Text, true));
        assert_eq!(of(&[]), (ColumnType::Text, true));
    }
}
