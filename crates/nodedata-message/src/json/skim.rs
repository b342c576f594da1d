//! A walk over the text of a record that is like those before it, as nearly all of an input are: what kinds its values have is
//! noted without parsing them. What is rare (a new key, another order of keys, a number beyond int64, a surrogate) is left to the
//! [`Observer`](super::observer::Observer), and so is whatever may not be JSON: nothing is taken here that the parser refuses.

use memchr::memchr2;

use super::observed::{DEPTH_MAX, Observed, Place, Seen};

/// Digits of whole numbers that float64 holds, whatever they are.
const EXACT_DIGITS_MAX: usize = 15;
/// Bytes of a number with a fraction. With two digits in its exponent it is far from what floats hold.
const NUMBER_BYTES_MAX: usize = 64;

/// Takes a record into account. Tells whether it did: if not, nothing of it is counted, and the kinds that were noted are those
/// of values that it begins with.
pub(super) fn skim(record: &str, observed: &mut Observed, n_objects: &mut u64, place: Place) -> bool {
    let mut walk = |step: u64, observed: &mut Observed| {
        let mut walk = Walk { text: record.as_bytes(), at: 0, step, n_objects: &mut *n_objects, place };
        walk.value(observed, 0).is_some() && walk.is_at_end()
    };
    let is_taken = walk(1, &mut *observed);
    if !is_taken {
        // The same way again, up to the same byte: no count decides where it leads.
        walk(1u64.wrapping_neg(), observed);
    }
    is_taken
}

struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    /// What an object counts for: 1, or -1 to take that back.
    step: u64,
    n_objects: &'a mut u64,
    place: Place,
}

impl<'a> Walk<'a> {
    fn is_at_end(&mut self) -> bool {
        self.blanks();
        self.at == self.text.len()
    }

    /// Goes behind the next value.
    fn value(&mut self, observed: &mut Observed, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.blanks();
        let seen = match self.text.get(self.at)? {
            b'{' => return self.object(observed, depth),
            b'[' => return self.list(observed, depth),
            b'"' => self.text().and_then(is_plain)?,
            b't' => self.word(b"true", Seen::Bool)?,
            b'f' => self.word(b"false", Seen::Bool)?,
            b'n' => self.word(b"null", Seen::Null)?,
            _ => return self.number(observed),
        };
        observed.note(seen, self.place);
        Some(())
    }

    fn object(&mut self, observed: &mut Observed, depth: usize) -> Option<()> {
        observed.note(Seen::Object, self.place);
        *self.n_objects = self.n_objects.wrapping_add(self.step);
        observed.members.n_objects = observed.members.n_objects.wrapping_add(self.step);
        self.at += 1;
        self.blanks();
        if self.take(b'}') {
            return Some(());
        }
        let mut next = 0;
        loop {
            self.blanks();
            let key = self.text()?;
            if key.contains(&b'\\') {
                return None;
            }
            let (idx, value) = observed.members.count_behind(key, next, self.step)?;
            next = idx + 1;
            self.blanks();
            if !self.take(b':') {
                return None;
            }
            self.value(value, depth + 1)?;
            self.blanks();
            if self.take(b'}') {
                return Some(());
            }
            if !self.take(b',') {
                return None;
            }
        }
    }

    fn list(&mut self, observed: &mut Observed, depth: usize) -> Option<()> {
        observed.note(Seen::List, self.place);
        let items = observed.items.get_or_insert_default();
        self.at += 1;
        self.blanks();
        if self.take(b']') {
            return Some(());
        }
        loop {
            self.value(items, depth + 1)?;
            self.blanks();
            if self.take(b']') {
                return Some(());
            }
            if !self.take(b',') {
                return None;
            }
        }
    }

    fn number(&mut self, observed: &mut Observed) -> Option<()> {
        let start = self.at;
        let is_negative = self.take(b'-');
        let first = *self.text.get(self.at)?;
        let n_digits = self.digits()?;
        if first == b'0' && n_digits > 1 {
            return None;
        }
        let mut is_whole = true;
        if self.take(b'.') {
            is_whole = false;
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            is_whole = false;
            let _sign = self.take(b'-') || self.take(b'+');
            if self.digits()? > 2 {
                return None;
            }
        }
        if !is_whole {
            observed.note(Seen::Float, self.place);
            return (self.at - start <= NUMBER_BYTES_MAX).then_some(());
        }
        // `-0` is a float to the parser.
        if is_negative && first == b'0' {
            return None;
        }
        if n_digits > EXACT_DIGITS_MAX {
            // Such as times in nanoseconds.
            let number: i64 = str::from_utf8(&self.text[start..self.at]).ok()?.parse().ok()?;
            observed.note_whole(i128::from(number), self.place);
            return Some(());
        }
        observed.note(Seen::Whole, self.place);
        if is_negative {
            observed.note(Seen::Negative, self.place);
        }
        Some(())
    }

    /// Goes behind the digits; there is at least one.
    fn digits(&mut self) -> Option<usize> {
        let start = self.at;
        while self.text.get(self.at..).and_then(<[u8]>::first_chunk).is_some_and(are_digits) {
            self.at += 8;
        }
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        (start < self.at).then_some(self.at - start)
    }

    /// Goes behind the text that begins here; returns what stands between its quotes.
    fn text(&mut self) -> Option<&'a [u8]> {
        if !self.take(b'"') {
            return None;
        }
        let start = self.at;
        loop {
            let run = &self.text[self.at..];
            let run = &run[..memchr2(b'"', b'\\', run)?];
            // Without a way out of the loop, so that it goes by many bytes at once.
            if run.iter().fold(false, |is_control, it| is_control | (*it < b' ')) {
                return None;
            }
            self.at += run.len();
            if self.text[self.at] == b'"' {
                self.at += 1;
                return Some(&self.text[start..self.at - 1]);
            }
            self.escape()?;
        }
    }

    /// Goes behind what a backslash begins.
    fn escape(&mut self) -> Option<()> {
        let n = match self.text.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' => {
                let digits = self.text.get(self.at + 2..self.at + 6)?;
                let is_surrogate = matches!(digits[0], b'd' | b'D') && !matches!(digits[1], b'0'..=b'7');
                if is_surrogate || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                6
            }
            _ => return None,
        };
        self.at += n;
        Some(())
    }

    fn word(&mut self, word: &[u8], seen: Seen) -> Option<Seen> {
        if !self.text[self.at..].starts_with(word) {
            return None;
        }
        self.at += word.len();
        Some(seen)
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn blanks(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }
}

/// Whether all eight are digits: of each the upper half is 3, also after 6 was added.
fn are_digits(bytes: &[u8; 8]) -> bool {
    const UPPER: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    const THREES: u64 = 0x3030_3030_3030_3030;
    let word = u64::from_le_bytes(*bytes);
    word & UPPER == THREES && word.wrapping_add(0x0606_0606_0606_0606) & UPPER == THREES
}

/// A text that stands for nothing else: what does begins with a character that nobody writes.
fn is_plain(text: &[u8]) -> Option<Seen> {
    (!text.starts_with(b"\\u0000")).then_some(Seen::Text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::{
        inference::JsonInference,
        observed::{Limits, MEMBERS_MAX},
        observer::Observer,
    };
    use super::*;
    use serde::de::DeserializeSeed as _;

    const LIMITS: Limits = Limits { root_members_max: MEMBERS_MAX };

    /// What the parser alone makes of the records, as text.
    fn parsed(records: &[String]) -> (Observed, u64) {
        let (mut root, mut n_objects) = (Observed::default(), 0);
        for (at, record) in records.iter().enumerate() {
            let place = Place { input: 0, at: at as u64 };
            let seed =
                Observer { observed: &mut root, n_objects: &mut n_objects, limits: LIMITS, place, depth: 0 };
            let mut reader = serde_json::Deserializer::from_str(record);
            seed.deserialize(&mut reader).unwrap();
            reader.end().unwrap();
        }
        (root, n_objects)
    }

    fn told(observed: &Observed) -> Value {
        serde_json::to_value(observed).unwrap()
    }

    /// What was counted: without the kinds that were noted, and lists of which nothing was counted.
    fn counts(told: &Value) -> Value {
        match told {
            Value::Array(values) => values.iter().map(counts).collect(),
            Value::Object(members) => {
                let kept = members.iter().filter(|(key, _)| *key != "first");
                let counted: serde_json::Map<_, _> =
                    kept.map(|(key, it)| (key.clone(), counts(it))).collect();
                let nothing = json!({"items": null, "members": [0, []]});
                if nothing == json!(counted) { Value::Null } else { counted.into() }
            }
            other => other.clone(),
        }
    }

    fn record() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-9i64..9).prop_map(Value::from),
            any::<f64>().prop_filter("JSON", |it| it.is_finite()).prop_map(Value::from),
            "[a-z\"\\\\\n\u{0}-\u{1f}äß\u{fffd}]{0,6}".prop_map(Value::from),
        ];
        let value = scalar.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[abc]", inner, 0..4).prop_map(|it| json!(it)),
            ]
        });
        prop::collection::btree_map("[abcd]", value, 0..4).prop_map(|it| json!(it))
    }

    proptest! {
        /// Records are taken in as the parser takes them in, whichever of them are skimmed.
        #[test]
        fn what_is_noted_is_what_the_parser_notes(
            records in prop::collection::vec((record(), any::<bool>()), 1..12),
        ) {
            let text = |(it, is_spaced): &(Value, bool)| {
                if *is_spaced { serde_json::to_string_pretty(it) } else { serde_json::to_string(it) }
            };
            let records: Vec<String> = records.iter().map(|it| text(it).unwrap()).collect();
            let (expected, n_expected) = parsed(&records);
            let (mut root, mut n_objects) = (Observed::default(), 0);
            for (at, record) in records.iter().enumerate() {
                let place = Place { input: 0, at: at as u64 };
                if !skim(record, &mut root, &mut n_objects, place) {
                    let (observed, n_objects) = (&mut root, &mut n_objects);
                    let seed = Observer { observed, n_objects, limits: LIMITS, place, depth: 0 };
                    seed.deserialize(&mut serde_json::Deserializer::from_str(record)).unwrap();
                }
            }
            prop_assert_eq!(told(&root), told(&expected));
            prop_assert_eq!(n_objects, n_expected);
        }

        /// Nothing is taken that is no JSON: the bytes of a record are changed, left out and doubled.
        #[test]
        fn what_is_taken_is_json(record in record(), at: prop::sample::Index, byte in 0u8..128, how in 0..3) {
            let mut text = record.to_string().into_bytes();
            let at = at.index(text.len());
            match how {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                _ => { text.remove(at); }
            }
            let Ok(text) = String::from_utf8(text) else { return Ok(()) };
            let (mut root, mut n_objects) = parsed(&[record.to_string()]);
            let before = (told(&root), n_objects);
            let place = Place { input: 0, at: 0 };
            let is_taken = skim(&text, &mut root, &mut n_objects, place);
            let is_json = JsonInference::default().observe_unlike(text.as_bytes(), place).is_ok();
            prop_assert!(is_json || !is_taken, "{text}");
            if !is_taken {
                prop_assert_eq!(counts(&told(&root)), counts(&before.0));
                prop_assert_eq!(n_objects, before.1);
            }
        }
    }

    #[test]
    fn records_like_those_before_are_skimmed_and_others_are_not() {
        let first = r#"{"a": 1, "b": [0.5, -2], "c": {"d": "x"}, "e": null}"#;
        let (mut root, mut n_objects) = parsed(&[first.to_owned()]);
        let mut is_taken = |record: &str| skim(record, &mut root, &mut n_objects, Place { input: 0, at: 1 });
        for record in [
            first,
            r#"{"a":-999999999999999,"b":[],"c":{},"e":"\u00e4\n\\"}"#,
            r#"{"a":1700000000000000001}"#,
            r#"{"a":-9223372036854775808}"#,
            r#"{"b":[1e99,1.5E-3,0],"e":true}"#,
            "{}",
            " [1] ",
            "null",
        ] {
            assert!(is_taken(record), "{record}");
        }
        for record in [
            r#"{"new": 1}"#,
            r#"{"b": 1, "a": 2}"#,
            r#"{"a": 1, "a": 2}"#,
            r#"{"a": 9223372036854775808}"#,
            r#"{"a": -9223372036854775809}"#,
            r#"{"a": 123456789012345678901234567890}"#,
            r#"{"a": -0}"#,
            r#"{"a": 01}"#,
            r#"{"a": 1.}"#,
            r#"{"a": .5}"#,
            r#"{"a": 1e400}"#,
            r#"{"a": "\ud800"}"#,
            r#"{"a": "\u0000"}"#,
            r#"{"a": "\x"}"#,
            "{\"a\": \"\u{1}\"}",
            r#"{"a": 1} x"#,
            r#"{"a": 1"#,
            "",
        ] {
            assert!(!is_taken(record), "{record}");
        }
        let deep = DEPTH_MAX + 2;
        assert!(!is_taken(&format!("{}{}", "[".repeat(deep), "]".repeat(deep))));
    }
}
