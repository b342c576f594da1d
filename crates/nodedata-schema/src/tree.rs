use crate::Mistake;

/// A JSON value that knows where it stands. The schema's parser needs places for its messages, which
/// `serde_json` does not give; numbers and strings themselves are still read by it.
#[derive(Debug)]
pub(crate) struct Node {
    /// Byte offset of its first character.
    pub(crate) at: usize,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    String(String),
    Array(Vec<Node>),
    /// In the order of the document.
    Object(Vec<Member>),
}

#[derive(Debug)]
pub(crate) struct Member {
    /// Byte offset of the key.
    pub(crate) at: usize,
    pub(crate) key: String,
    pub(crate) node: Node,
}

impl Node {
    /// What the value is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a bool",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        }
    }
}

/// Deeper documents are refused: a schema needs five levels.
const DEPTH_MAX: usize = 32;

/// Reads a whole document.
///
/// # Errors
/// The one place where the text stops being JSON.
pub(crate) fn parse(text: &str) -> Result<Node, Mistake> {
    let mut reader = Reader { text, pos: 0 };
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

    fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake::at(self.text, self.pos, message)
    }

    fn unexpected(&self, expected: &str) -> Mistake {
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
        let at = self.pos;
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Node { at, value })
    }

    fn object(&mut self, depth: usize) -> Result<Value, Mistake> {
        let mut members = Vec::new();
        self.pos += 1;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.pos += 1;
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_space();
            let at = self.pos;
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
            members.push(Member { at, key, node });
            self.skip_space();
            match self.peek() {
                Some(b',') => self.pos += 1,
                Some(b'}') => {
                    self.pos += 1;
                    return Ok(Value::Object(members));
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
            return Ok(Value::Array(items));
        }
        loop {
            self.skip_space();
            items.push(self.value(depth + 1)?);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.pos += 1,
                Some(b']') => {
                    self.pos += 1;
                    return Ok(Value::Array(items));
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
                        Mistake::at(
                            self.text,
                            start,
                            "a string with an escape or control character not allowed",
                        )
                    });
                }
                b'\\' => escaped = !escaped,
                _ => escaped = false,
            }
        }
        Err(self.mistake("a string without its closing quote"))
    }

    fn number(&mut self) -> Result<serde_json::Number, Mistake> {
        let start = self.pos;
        while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.pos += 1;
        }
        let digits = &self.text[start..self.pos];
        serde_json::from_str(digits)
            .map_err(|_| Mistake::at(self.text, start, format!("`{digits}` is not a JSON number")))
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
        assert_eq!((mistake.line, mistake.column), line_column);
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
        let Value::Object(members) = &node.value else { panic!() };
        assert_eq!(members[0].key, "a\"b");
        let Value::Array(items) = &members[0].node.value else { panic!() };
        assert_eq!(items.iter().map(|it| it.at).collect::<Vec<_>>(), [10, 16, 22, 30]);
        assert!(matches!(&items[3].value, Value::String(it) if it == "x\\"));
    }
}
