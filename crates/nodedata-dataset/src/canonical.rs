use serde_json::Value;

/// JSON in the canonical form that our hashes are taken over: RFC 8785 for the values we use, that is
/// sorted keys, no white space, integers and text only.
///
/// # Panics
/// On a floating-point number: hashed records hold none (REGISTRY 2.2).
pub fn canonical_json(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => out.push_str(&value.to_string()),
        Value::Number(number) => {
            assert!(!number.is_f64(), "hashed records hold no floating-point numbers: {number}");
            out.push_str(&number.to_string());
        }
        Value::Array(items) => {
            out.push('[');
            for (idx, item) in items.iter().enumerate() {
                if idx > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            // RFC 8785 sorts by UTF-16 code units, which differs from byte order beyond the BMP.
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (idx, (key, item)) in sorted.into_iter().enumerate() {
                if idx > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write(item, out);
            }
            out.push('}');
        }
    }
}

/// The text of a JSON file that people look at as well.
///
/// # Errors
/// `Io` when the value has no JSON form.
pub fn pretty_json(value: &impl serde::Serialize) -> nodedata_core::Result<String> {
    let mut text = serde_json::to_string_pretty(value).map_err(std::io::Error::from)?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_and_space_is_gone() {
        let value = json!({"b": [1, true, null], "a": {"z": "\u{20ac}\n", "\u{10ffff}": 1, "\u{fb33}": 2}});
        assert_eq!(
            canonical_json(&value),
            "{\"a\":{\"z\":\"\u{20ac}\\n\",\"\u{10ffff}\":1,\"\u{fb33}\":2},\"b\":[1,true,null]}"
        );
    }
}
