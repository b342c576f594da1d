//! `NaN`, `Infinity` and `-Infinity`, which are no JSON and which many writers (Python's `json` by default) write all the
//! same. They are looked for only in a message that could not be read.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::LazyLock,
};

/// Stands in front of the name of a number that is not finite, in a text that stands for it. Every process draws its own, which never
/// leaves it: no writer can know it, so that a text of the data is always a text, however it begins.
static MARK: LazyLock<String> = LazyLock::new(|| {
    let drawn = || RandomState::new().hash_one(0u8);
    format!("\0node-data:{:016x}{:016x}:", drawn(), drawn())
});

/// The names, longest first where one begins with another.
const NAMES: [(&str, f64); 3] =
    [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)];

/// The message with a text for every number that is not finite; `None` where there is none.
pub(crate) fn respelled(message: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut done = 0;
    let mut at = 0;
    while at < message.len() {
        if message[at] == b'"' {
            at = end_of_text(message, at);
            continue;
        }
        match NAMES.iter().find(|it| message[at..].starts_with(it.0.as_bytes())) {
            // A key is no number, and without quotes it is none.
            Some((name, _)) if is_key(&message[at + name.len()..]) => at += name.len(),
            Some((name, _)) => {
                out.extend_from_slice(&message[done..at]);
                out.extend_from_slice(b"\"\\u0000");
                out.extend_from_slice(&MARK.as_bytes()[1..]);
                out.extend_from_slice(name.as_bytes());
                out.push(b'"');
                at += name.len();
                done = at;
            }
            None => at += 1,
        }
    }
    if done == 0 {
        return None;
    }
    out.extend_from_slice(&message[done..]);
    Some(out)
}

/// What stands in a text for something else, if it does.
pub(super) fn behind_mark(text: &str) -> Option<&str> {
    text.strip_prefix(MARK.as_str())
}

/// A text that stands for something else.
pub(super) fn with_mark(what: &str) -> String {
    format!("{}{what}", *MARK)
}

/// What a number that is not finite is called.
pub(super) fn name(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number < 0.0 {
        "-Infinity"
    } else {
        "Infinity"
    }
}

/// The text that stands for a number that is not finite.
pub(super) fn marked(number: f64) -> String {
    with_mark(name(number))
}

/// Compact JSON with the names of numbers in the places of the texts that stand for them.
pub(super) fn unmarked(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let mut at = 0;
    while at < json.len() {
        if json[at] != b'"' {
            out.push(json[at]);
            at += 1;
            continue;
        }
        let end = end_of_text(json, at);
        let text: Option<String> =
            if is_key(&json[end..]) { None } else { serde_json::from_slice(&json[at..end]).ok() };
        match text.as_deref().and_then(number) {
            Some(number) => out.extend_from_slice(format!("\"{}\"", name(number)).as_bytes()),
            None => out.extend_from_slice(&json[at..end]),
        }
        at = end;
    }
    out
}

/// The number that a text stands for in a message that [`respelled`] made, or JSON that keeps the marks.
pub(super) fn number(text: &str) -> Option<f64> {
    let name = behind_mark(text)?;
    NAMES.iter().find(|it| it.0 == name).map(|it| it.1)
}

/// Whether what stands in front of these bytes is the key of an object.
fn is_key(rest: &[u8]) -> bool {
    rest.iter().find(|it| !it.is_ascii_whitespace()) == Some(&b':')
}

/// Where the text that begins at `start` has ended.
fn end_of_text(message: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = message.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    message.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_of_texts_are_respelled() {
        let message = br#"{"NaN":NaN,"b":[-Infinity,Infinity],"c":"\"NaN"}"#;
        let text = String::from_utf8(respelled(message).unwrap()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let at = |it: &serde_json::Value| number(it.as_str().unwrap());
        assert!(at(&value["NaN"]).unwrap().is_nan());
        assert_eq!(at(&value["b"][0]), Some(f64::NEG_INFINITY));
        assert_eq!(at(&value["b"][1]), Some(f64::INFINITY));
        assert_eq!(value["c"].as_str(), Some("\"NaN"));
        assert_eq!(respelled(br#"{"a":"NaN","b":1}"#), None);
        assert_eq!(respelled(br#"{"a":"NaN"#), None);
    }

    #[test]
    fn keys_stay_as_they_are() {
        for message in [&b"{NaN:1}"[..], b"{ -Infinity : 1}", b"{\"a\":{Infinity\n:1}}"] {
            assert_eq!(respelled(message), None);
        }
        let text = String::from_utf8(respelled(br#"{NaN:NaN,"a": NaN }"#).unwrap()).unwrap();
        let key = serde_json::to_string(&marked(f64::NAN)).unwrap();
        assert_eq!(text, format!("{{NaN:{key},\"a\": {key} }}"));
        let json = format!("{{{key}:{key}}}");
        assert_eq!(String::from_utf8(unmarked(json.as_bytes())).unwrap(), format!("{{{key}:\"NaN\"}}"));
    }

    #[test]
    fn marks_are_taken_back_and_nothing_else_is_changed() {
        let json = |it: &str| serde_json::to_string(it).unwrap();
        for (name, number) in NAMES {
            let (mark, mark_within) = (json(&marked(number)), json(&format!("\"{}{name}", *MARK)));
            let text = format!("[18446744073709551617,{mark},{mark_within},\"\\\"\",{{\"k\":\"{name}\"}}]");
            let plain =
                format!("[18446744073709551617,\"{name}\",{mark_within},\"\\\"\",{{\"k\":\"{name}\"}}]");
            assert_eq!(String::from_utf8(unmarked(text.as_bytes())).unwrap(), plain);
        }
    }
}
