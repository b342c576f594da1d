//! Members of a message written as JSON, in either spelling of their names.

use serde_json::{Map, Value};

/// A message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a>(&'a Map<String, Value>);

impl<'a> Message<'a> {
    /// The message that a value is, if it is one.
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        value.as_object().map(Self)
    }

    /// A member by its name in `camelCase`, which readers of proto-JSON take in `snake_case` as well. One that is null is
    /// not there.
    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        let found = self.0.get(name).or_else(|| self.0.get(&snake_case(name)));
        found.filter(|it| !it.is_null())
    }

    /// All members.
    pub(super) fn members(self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.0.iter()
    }

    /// A member that is a message.
    pub(super) fn message(self, name: &str) -> Option<Self> {
        self.get(name).and_then(Self::of)
    }

    /// A member that is text; what is not there is empty.
    pub(super) fn text(self, name: &str) -> &'a str {
        self.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A member that is true.
    pub(super) fn is_set(self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    /// A length, of which -1 and nothing mean that it is not known.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn length(self, name: &str) -> Result<Option<u32>, String> {
        self.get(name).map_or(Ok(None), length)
    }

    /// The dimensions of `shape`, which is a list or a message with one; nothing is the shape of a scalar.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn shape(self) -> Result<Vec<Option<u32>>, String> {
        let Some(shape) = self.get("shape") else { return Ok(Vec::new()) };
        let dims = match Message::of(shape) {
            Some(shape) => shape.get("dimensions"),
            None => Some(shape),
        };
        let Some(dims) = dims else { return Ok(Vec::new()) };
        let dims = dims.as_array().ok_or("has a shape that is no list")?;
        dims.iter().map(length).collect()
    }
}

/// 64-bit numbers are text in proto-JSON.
fn length(value: &Value) -> Result<Option<u32>, String> {
    let number: Option<i64> = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    };
    match number.map(i32::try_from) {
        Some(Ok(-1)) => Ok(None),
        Some(Ok(n @ 0..)) => Ok(Some(n.unsigned_abs())),
        _ => Err(format!("has a length of {value}")),
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Result<Vec<Option<u32>>, String> {
        Message::of(&serde_json::from_str(text).unwrap()).unwrap().shape()
    }

    #[test]
    fn shapes_are_read_in_all_their_spellings() {
        assert_eq!(
            shape(r#"{"shape": {"dimensions": ["2", -1, "-1", null]}}"#).unwrap(),
            [Some(2), None, None, None]
        );
        assert_eq!(shape(r#"{"shape": [null, 3]}"#).unwrap(), [None, Some(3)]);
        for scalar in [r#"{"shape": {}}"#, "{}", r#"{"shape": null}"#, r#"{"shape": []}"#] {
            assert_eq!(shape(scalar).unwrap(), []);
        }
        for wrong in
            [r#"{"shape": "3"}"#, r#"{"shape": ["x"]}"#, r#"{"shape": [-2]}"#, r#"{"shape": [4294967296]}"#]
        {
            assert!(shape(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn members_have_two_spellings() {
        let value: Value =
            serde_json::from_str(r#"{"python_class_name": "a", "encodingFormat": "png"}"#).unwrap();
        let message = Message::of(&value).unwrap();
        assert_eq!([message.text("pythonClassName"), message.text("encodingFormat")], ["a", "png"]);
    }
}
