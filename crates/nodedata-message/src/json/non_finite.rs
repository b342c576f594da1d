//! `NaN`, `Infinity` and `-Infinity`, which are no JSON and which many writers (Python's `json` by default) write all the
//! same. They are looked for only in a message that could not be read.

/// Stands in front of the name of a number that is not finite, in a text that stands for it. No writer writes it.
const MARK: &str = "\0node-data:";

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

/// The number that a text stands for in a message that [`respelled`] made.
pub(super) fn number(text: &str) -> Option<f64> {
    let name = text.strip_prefix(MARK)?;
    NAMES.iter().find(|it| it.0 == name).map(|it| it.1)
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
}
