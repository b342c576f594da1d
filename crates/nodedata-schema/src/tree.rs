use nodedata_core::placed::{Member, Mistake, Node, Place, Value};

/// What a value is, in the words of JSON.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Text(_) => "a string",
        Value::List(_) => "a list",
        Value::Map(_) => "an object",
    }
}

/// Deeper documents are refused: a schema needs five levels.
const DEPTH_MAX: usize = 32;

/// Reads a whole document. `serde_json` gives no places; numbers and strings themselves are still read by it.
///
/// # Errors
/// The one place where the text stops being JSON.
pub(crate) fn parse(text: &str) -> Result<Node, Mistake> {
    let mut reader = Reader { text, pos: 0, told: Told { offset: 0, line: 1, column: 1 } };
    reader.skip_space();
    let node = reader.value(0)?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(node),
        Some(_) => Err(reader.mistake("text after the end of the document")),
    }
}

struct Reader<'a> {
    text: &'a str,
    pos: usize,
    told: Told,
}

/// The last place that was told: counted on from there, a document is walked once for all its places.
#[derive(Clone, Copy)]
struct Told {
    offset: usize,
    line: u32,
    column: u32,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.pos).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.pos += 1;
        }
    }

    /// The place of an offset, none of which comes before one that was told.
    fn place(&mut self, offset: usize) -> Place {
        let Told { offset: from, line, column } = &mut self.told;
        for byte in &self.text.as_bytes()[*from..offset.max(*from)] {
            match byte {
                b'\n' => (*line, *column) = (line.saturating_add(1), 1),
                // Continuation bytes do not count, so a column is a character as an editor shows it.
                byte if byte & 0xc0 == 0x80 => {}
                _ => *column = column.saturating_add(1),
            }
        }
        *from = offset.max(*from);
        Place::File(*line, *column)
    }

    fn mistake(&mut self, message: impl Into<String>) -> Mistake {
        let place = self.place(self.pos);
        Mistake::new(&place, message)
    }

    fn unexpected(&mut self, expected: &str) -> Mistake {
        // `pos` may stand inside a token, but never inside a character.
        match self.text.get(self.pos..).and_then(|it| it.chars().next()) {
            Some(found) => self.mistake(format!("found `{found}`, expected {expected}")),
            None => self.mistake(format!("the document ends, expected {expected}")),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Mistake> {
        if depth > DEPTH_MAX {
            return Err(self.mistake(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let place = self.place(self.pos);
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Node { place, value, expanded: false })
    }

    fn object(&mut self, depth: usize) -> Result<Value, Mistake> {
        let mut members = Vec::new();
        self.pos += 1;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.pos += 1;
            return Ok(Value::Map(members));
        }
        loop {
            self.skip_space();
            let place = self.place(self.pos);
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a key in double quotes"));
            }
            let key = self.string()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("`:`"));
            }
            self.pos += 1;
            self.skip_space();
            let node = self.value(depth + 1)?;
            members.push(Member { place, key, node });
            self.skip_space();
            match self.peek() {
                Some(b',') => self.pos += 1,
                Some(b'}') => {
                    self.pos += 1;
                    return Ok(Value::Map(members));
                }
                _ => return Err(self.unexpected("`,` or `}`")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Mistake> {
        let mut items = Vec::new();
        self.pos += 1;
        self.skip_space();
        if self.peek() == Some(b']') {
            self.pos += 1;
            return Ok(Value::List(items));
        }
        loop {
            self.skip_space();
            items.push(self.value(depth + 1)?);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.pos += 1,
                Some(b']') => {
                    self.pos += 1;
                    return Ok(Value::List(items));
                }
                _ => return Err(self.unexpected("`,` or `]`")),
            }
        }
    }

    fn string(&mut self) -> Result<String, Mistake> {
        let start = self.pos;
        let mut escaped = false;
        for (idx, byte) in self.text.as_bytes().iter().enumerate().skip(start + 1) {
            match byte {
                b'"' if !escaped => {
                    self.pos = idx + 1;
                    return serde_json::from_str(&self.text[start..=idx]).map_err(|_| {
                        let place = self.place(start);
                        Mistake::new(&place, "a string with an escape or control character not allowed")
                    });
                }
                b'\\' => escaped = !escaped,
                _ => escaped = false,
            }
        }
        Err(self.mistake("a string without its closing quote"))
    }

    fn number(&mut self) -> Result<Value, Mistake> {
        let start = self.pos;
        while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.pos += 1;
        }
        let digits = &self.text[start..self.pos];
        let number = serde_json::from_str::<serde_json::Number>(digits).ok();
        let whole =
            number.as_ref().and_then(|it| it.as_i64().map(i128::from).or(it.as_u64().map(i128::from)));
        let value = whole.map(Value::Integer).or_else(|| number?.as_f64().map(Value::Float));
        value.ok_or_else(|| {
            let place = self.place(start);
            Mistake::new(&place, format!("`{digits}` is not a JSON number"))
        })
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Mistake> {
        if !self.text[self.pos..].starts_with(word) {
            return Err(self.unexpected("a value"));
        }
        self.pos += word.len();
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, line_column: (u32, u32), message: &str) {
        let mistake = parse(text).expect_err("not JSON");
        assert_eq!(mistake.place, Place::File(line_column.0, line_column.1));
        assert_eq!(mistake.message, message);
    }

    #[test]
    fn broken_json_is_refused_at_its_place() {
        refused("{\n  \"a\": 1,\n  b: 2}", (3, 3), "found `b`, expected a key in double quotes");
        refused("[1 2]", (1, 4), "found `2`, expected `,` or `]`");
        refused("[1,\n", (2, 1), "the document ends, expected a value");
        refused("[-]", (1, 2), "`-` is not a JSON number");
        refused("\"é\u{1}\"", (1, 1), "a string with an escape or control character not allowed");
        refused("[\"é\", ü]", (1, 7), "found `ü`, expected a value");
        refused("{} x", (1, 4), "text after the end of the document");
        refused("\"abc", (1, 1), "a string without its closing quote");
        refused(&"[".repeat(100_000), (1, 34), "nested deeper than 32 levels");
    }

    #[test]
    fn values_keep_their_places() {
        let node = parse(r#"{"a\"b": [true, null, -1.5e3, "x\\"]}"#).unwrap();
        let Value::Map(members) = &node.value else { panic!() };
        assert_eq!(members[0].key, "a\"b");
        let Value::List(items) = &members[0].node.value else { panic!() };
        let places: Vec<_> = items.iter().map(|it| it.place.clone()).collect();
        assert_eq!(places, [11, 17, 23, 31].map(|column| Place::File(1, column)));
        let values: Vec<_> = items.iter().map(|it| it.value.clone()).collect();
        let text = Value::Text("x\\".to_owned());
        assert_eq!(values, [Value::Bool(true), Value::Null, Value::Float(-1500.0), text]);
    }

    #[test]
    fn whole_numbers_stay_whole_as_far_as_64_bits_go() {
        let values =
            |text: &str| parse(text).unwrap().items().iter().map(|it| it.value.clone()).collect::<Vec<_>>();
        let expected = [i128::from(u64::MAX), i128::from(i64::MIN)].map(Value::Integer);
        assert_eq!(values("[18446744073709551615, -9223372036854775808]"), expected);
        assert_eq!(
            values("[18446744073709551616, 2.0]"),
            [Value::Float(18446744073709551616.0), Value::Float(2.0)]
        );
    }
}
