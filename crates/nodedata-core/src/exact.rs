//! Floating-point numbers in records that are hashed: text with all digits they need and no more, so that no number has two
//! spellings. For serde: `#[serde(with = "nodedata_core::exact")]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Writes numbers as text.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<T: Numbers, S: Serializer>(numbers: &T, serializer: S) -> Result<S::Ok, S::Error> {
    numbers.to_text().serialize(serializer)
}

/// Reads what [`serialize`] wrote, bit for bit.
///
/// # Errors
/// Those of the deserializer, and for text that is no number.
pub fn deserialize<'de, T: Numbers, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::from_text(T::Text::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// A number, or numbers inside of something else.
pub trait Numbers: Sized {
    /// The same with text in the place of numbers.
    type Text: Serialize + for<'de> Deserialize<'de>;

    /// The numbers as text.
    fn to_text(&self) -> Self::Text;

    /// The numbers that the text is of.
    ///
    /// # Errors
    /// What is no number.
    fn from_text(text: Self::Text) -> Result<Self, String>;
}

impl Numbers for f64 {
    type Text = String;

    fn to_text(&self) -> String {
        format!("{self:?}")
    }

    fn from_text(text: String) -> Result<Self, String> {
        text.parse().map_err(|_| format!("`{text}` is not a number"))
    }
}

impl<T: Numbers> Numbers for Vec<T> {
    type Text = Vec<T::Text>;

    fn to_text(&self) -> Self::Text {
        self.iter().map(T::to_text).collect()
    }

    fn from_text(text: Self::Text) -> Result<Self, String> {
        text.into_iter().map(T::from_text).collect()
    }
}

impl<T: Numbers> Numbers for Option<T> {
    type Text = Option<T::Text>;

    fn to_text(&self) -> Self::Text {
        self.as_ref().map(T::to_text)
    }

    fn from_text(text: Self::Text) -> Result<Self, String> {
        text.map(T::from_text).transpose()
    }
}

impl<T: Numbers> Numbers for (String, T) {
    type Text = (String, T::Text);

    fn to_text(&self) -> Self::Text {
        (self.0.clone(), self.1.to_text())
    }

    fn from_text((name, text): Self::Text) -> Result<Self, String> {
        Ok((name, T::from_text(text)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_bit_for_bit() {
        for number in
            [0.9, -0.0, 1.0, 0.1 + 0.2, f64::MIN_POSITIVE, 5e-324, f64::MAX, 1e21, f64::NEG_INFINITY]
        {
            let text = vec![("a".to_owned(), number)].to_text();
            assert_eq!(
                Vec::<(String, f64)>::from_text(text.clone()).unwrap()[0].1.to_bits(),
                number.to_bits()
            );
            assert_eq!(text[0].1, format!("{number:?}"));
        }
        assert!(f64::from_text(f64::NAN.to_text()).unwrap().is_nan());
        assert_eq!(f64::from_text("1,5".to_owned()), Err("`1,5` is not a number".to_owned()));
    }
}
