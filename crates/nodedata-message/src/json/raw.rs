//! Values that readers of JSON do not hold as they are written: they are kept as their own text.

use std::collections::BTreeSet;

use serde::de::IgnoredAny;

use super::non_finite::{behind_mark, with_mark};

/// Stands behind the mark and in front of the text of such a value, in a text that stands for it.
const RAW: &str = "raw:";

/// Lists and objects that may lie in each other before the innermost is kept as its text: readers follow 128.
const DEPTH_MAX: usize = 100;

/// The record with a text for every value that is not read as it is written: numbers beyond what floats hold (`1e400`), whole
/// numbers beyond 64 bits, `NaN` and infinities, texts with half of a surrogate pair, objects that name a key twice, and what nests
/// too deep. In columns each of them is its own text. `None` where there is none, where the record itself names a key twice, and of
/// what is no JSON even so.
pub fn with_raw_text(record: &[u8]) -> Option<Vec<u8>> {
    let mut respelling = Respelling { record, at: 0, out: Vec::new(), done: 0, n_raw: 0 };
    if respelling.value(0)? || respelling.n_raw == 0 {
        return None;
    }
    respelling.blanks();
    if respelling.at < record.len() {
        return None;
    }
    respelling.out.extend_from_slice(&record[respelling.done..]);
    is_json(&respelling.out).then_some(respelling.out)
}

/// The text of a value that a text stands for in a record that [`with_raw_text`] made.
pub(super) fn raw_of(text: &str) -> Option<&str> {
    behind_mark(text)?.strip_prefix(RAW)
}

struct Respelling<'a> {
    record: &'a [u8],
    at: usize,
    out: Vec<u8>,
    /// What is in `out` already.
    done: usize,
    n_raw: usize,
}

impl<'a> Respelling<'a> {
    /// Goes behind the next value. Tells whether it is to become its own text, which it has not.
    fn value(&mut self, depth: usize) -> Option<bool> {
        self.blanks();
        match self.record.get(self.at)? {
            b'{' | b'[' if DEPTH_MAX < depth => {
                let start = self.at;
                self.at = end_of_nested(self.record, start)?;
                is_json(&self.record[start..self.at]).then_some(true)
            }
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'"' => {
                let text = self.text()?;
                let is_raw = is_escaped(text) && serde_json::from_slice::<String>(text).is_err();
                if is_raw && !is_json(text) { None } else { Some(is_raw) }
            }
            b't' => self.word("true", false),
            b'f' => self.word("false", false),
            b'n' => self.word("null", false),
            b'N' => self.word("NaN", true),
            b'I' => self.word("Infinity", true),
            b'-' if self.record[self.at..].starts_with(b"-Infinity") => self.word("-Infinity", true),
            b'-' | b'0'..=b'9' => self.number(),
            _ => None,
        }
    }

    /// As [`Self::value`], of one that lies in another: in its place comes its text where need be.
    fn inner(&mut self, depth: usize) -> Option<()> {
        self.blanks();
        let start = self.at;
        if self.value(depth)? {
            let raw = str::from_utf8(&self.record[start..self.at]).ok()?;
            self.out.extend_from_slice(&self.record[self.done..start]);
            serde_json::to_writer(&mut self.out, &with_mark(&format!("{RAW}{raw}"))).ok()?;
            self.done = self.at;
            self.n_raw += 1;
        }
        Some(())
    }

    fn object(&mut self, depth: usize) -> Option<bool> {
        let before = (self.out.len(), self.done, self.n_raw);
        let start = self.at;
        self.at += 1;
        let mut keys = BTreeSet::new();
        let mut is_raw = false;
        self.blanks();
        if self.take(b'}').is_some() {
            return Some(false);
        }
        loop {
            self.blanks();
            let key = self.text()?;
            match serde_json::from_slice::<String>(key) {
                Ok(key) => is_raw |= !keys.insert(key),
                Err(_) => is_raw = true,
            }
            self.blanks();
            self.take(b':')?;
            self.inner(depth + 1)?;
            self.blanks();
            if self.take(b'}').is_some() {
                break;
            }
            self.take(b',')?;
        }
        if is_raw {
            if !is_json(&self.record[start..self.at]) {
                return None;
            }
            // What was put into it is in its own text.
            self.out.truncate(before.0);
            (self.done, self.n_raw) = (before.1, before.2);
        }
        Some(is_raw)
    }

    fn list(&mut self, depth: usize) -> Option<bool> {
        self.at += 1;
        self.blanks();
        if self.take(b']').is_some() {
            return Some(false);
        }
        loop {
            self.inner(depth + 1)?;
            self.blanks();
            if self.take(b']').is_some() {
                return Some(false);
            }
            self.take(b',')?;
        }
    }

    fn number(&mut self) -> Option<bool> {
        let is_part = |it: &&u8| it.is_ascii_digit() || b"+-.eE".contains(it);
        let n = self.record[self.at..].iter().take_while(is_part).count();
        let number = str::from_utf8(&self.record[self.at..self.at + n]).ok()?;
        self.at += n;
        let is_beyond = match number.contains(['.', 'e', 'E']) {
            true => number.parse::<f64>().is_ok_and(f64::is_infinite),
            false => number.parse::<i64>().is_err() && number.parse::<u64>().is_err(),
        };
        if is_beyond && !is_json(number.as_bytes()) {
            return None;
        }
        Some(is_beyond)
    }

    /// A text with its quotes.
    fn text(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        self.take(b'"')?;
        loop {
            match self.record.get(self.at)? {
                b'\\' => self.at += 2,
                b'"' => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.record.get(start..self.at)
    }

    fn word(&mut self, word: &str, is_raw: bool) -> Option<bool> {
        self.record[self.at..].starts_with(word.as_bytes()).then_some(())?;
        self.at += word.len();
        Some(is_raw)
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (*self.record.get(self.at)? == byte).then(|| self.at += 1)
    }

    fn blanks(&mut self) {
        let rest = self.record.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|it| matches!(it, b' ' | b'\t' | b'\n' | b'\r')).count();
    }
}

/// Whether a text has escapes of which one may be half of a pair.
fn is_escaped(text: &[u8]) -> bool {
    text.windows(2).any(|it| it == b"\\u")
}

/// Where a list or an object that begins at `start` has ended.
fn end_of_nested(record: &[u8], start: usize) -> Option<usize> {
    let mut n_open = 0usize;
    let mut in_text = false;
    let mut at = start;
    loop {
        match record.get(at)? {
            b'\\' if in_text => at += 1,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => n_open += 1,
            b'}' | b']' if !in_text => {
                n_open -= 1;
                if n_open == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Whether it is one value by the grammar alone, whatever readers can hold of it.
fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::json_text;

    /// The record as JSON text, each value that was replaced in its own words.
    fn kept(record: &str) -> Option<String> {
        let respelled = with_raw_text(record.as_bytes())?;
        let mut out = Vec::new();
        json_text(&mut serde_json::Deserializer::from_slice(&respelled), &mut out, usize::MAX).unwrap();
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_no_reader_holds_is_its_own_text() {
        for record in [
            r#"{"a":1e400,"b":[-1E+999,2.5]}"#,
            r#"{"a":123456789012345678901234567890,"b":{"c":-9223372036854775809}}"#,
            r#"{"a":NaN,"b":[Infinity,-Infinity],"c":"NaN"}"#,
            r#"{"a":"\ud800","b":"\ud83d\ude00 \"x\""}"#,
            r#"{"a":{"b":1,"b":2,"c":1e400},"d":[{"\ud800":1}]}"#,
            r#"{"a":{"b":1,"\u0062":2}}"#,
            // A text is a text, whatever it looks like.
            r#"{"a":"\u0000node-data:raw:1","b":["\u0000node-data:NaN"],"c":1e400}"#,
        ] {
            let found = kept(record).unwrap_or_else(|| panic!("{record}"));
            assert_eq!(found, record.replace(r"\ud83d\ude00", "😀"));
        }
    }

    #[test]
    fn what_nests_too_deep_is_its_own_text() {
        let record = format!(r#"{{"a":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(kept(&record).unwrap(), record);
        let deep = |n: usize| format!(r#"{{"a":{}1e400{}}}"#, "[".repeat(n), "]".repeat(n));
        for n in [DEPTH_MAX - 1, DEPTH_MAX, DEPTH_MAX + 1] {
            assert_eq!(kept(&deep(n)).unwrap(), deep(n));
        }
    }

    #[test]
    fn all_else_is_left_alone() {
        for record in [
            r#"{"a":1,"b":[true,false,null,"x\ny"],"c":{}}"#,
            r#"{"a":1e400,"a":2}"#,
            r#"{"a":1e400"#,
            r#"{"a":1e400} x"#,
            r#"{"a":1e400,}"#,
            r#"{"a":[1e400}"#,
            r#"{"a":--1e400}"#,
            r#"{"a":"\ud8"}"#,
            r#"{"a":01234567890123456789012345}"#,
            r#"{"a":{"b":1,"b":01}}"#,
            r#"{"a":{"b":1,"b":NaN}}"#,
            "{\"a\":{\"b\":1,\"c\tc\":2,\"d\":1e400}}",
            "",
        ] {
            assert_eq!(kept(record), None, "{record}");
        }
    }
}
