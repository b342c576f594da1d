//! What Hugging Face `datasets` says of columns beside their Arrow types: names of classes, lengths of lists and arrays, media.

use nodedata_arrow::Leaf;
use nodedata_core::{Dim, meta};
use serde_json::Value;

/// The key of schema metadata that features are under.
pub(crate) const KEY: &str = "huggingface";
/// A feature of theirs as they wrote it, where it says more than columns do.
const FEATURE: &str = "huggingface:feature";
/// The names of classes as a JSON list, where one of them has a sign that separates them elsewhere.
const LABELS: &str = "huggingface:labels";

/// Gives leaves what the features under [`KEY`] say of them. Text that is no such JSON says nothing: writers keep what they do not
/// understand.
pub(crate) fn tell(leaves: &mut [Leaf], text: Option<&str>) {
    let told: Option<Value> = text.and_then(|it| serde_json::from_str(it).ok());
    let Some(features) = told.as_ref().and_then(|it| it.pointer("/info/features")) else { return };
    for leaf in leaves {
        if let Some(feature) = features.get(&leaf.root) {
            tell_leaf(leaf, feature);
        }
    }
}

fn tell_leaf(leaf: &mut Leaf, feature: &Value) {
    let (lengths, end) = way(feature, &leaf.members);
    // A list of fixed length holds no null items, and what is null may be one.
    if lengths.len() == leaf.dims.len() && !leaf.nullable {
        for (dim, length) in leaf.dims.iter_mut().zip(&lengths) {
            if let (Dim::Variable, Some(n)) = (*dim, length) {
                *dim = Dim::Fixed(*n);
            }
        }
    }
    let Some(end) = end else { return };
    match end.get("_type").and_then(Value::as_str) {
        Some("ClassLabel") => {
            let names = end.get("names").and_then(Value::as_array);
            let names: Vec<&str> = names.into_iter().flatten().filter_map(Value::as_str).collect();
            let numbered = names.iter().enumerate().map(|(idx, name)| format!("{name}={idx}"));
            let (key, told) = match names.iter().any(|it| it.contains([',', '='])) {
                true => (LABELS, Value::from(names).to_string()),
                false => (meta::CONSTANTS, numbered.collect::<Vec<_>>().join(",")),
            };
            leaf.metadata.insert(key.to_owned(), told);
        }
        Some("Json") => {
            leaf.metadata.insert(meta::ENCODING.to_owned(), "json".to_owned());
        }
        Some(_) if leaf.is_media => {
            let said = end.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
            let said: serde_json::Map<_, _> = said.map(|(key, value)| (key.clone(), value.clone())).collect();
            leaf.metadata.insert(FEATURE.to_owned(), Value::Object(said).to_string());
        }
        _ => {}
    }
}

/// The lengths of the lists on the way to a leaf, as far as they are fixed, and what is at its end.
fn way<'f>(feature: &'f Value, members: &[String]) -> (Vec<Option<u32>>, Option<&'f Value>) {
    let mut members = members.iter();
    let mut lengths = Vec::new();
    let mut at = feature;
    let length = |it: &Value| it.as_u64().and_then(|it| u32::try_from(it).ok()).filter(|it| 0 < *it);
    loop {
        let below = match at {
            Value::Array(items) => {
                lengths.push(None);
                items.first()
            }
            Value::Object(of) => match of.get("_type").and_then(Value::as_str) {
                Some("List" | "LargeList" | "Sequence") => {
                    lengths.push(of.get("length").and_then(length));
                    of.get("feature")
                }
                Some("Array2D" | "Array3D" | "Array4D" | "Array5D") => {
                    let shape = of.get("shape").and_then(Value::as_array);
                    lengths.extend(shape.into_iter().flatten().map(length));
                    return (lengths, Some(at));
                }
                Some(_) => return (lengths, Some(at)),
                None => members.next().and_then(|it| of.get(it)),
            },
            _ => None,
        };
        match below {
            Some(below) => at = below,
            None => return (lengths, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, Field};
    use nodedata_arrow::leaves_of;

    use super::*;

    #[test]
    fn features_tell_lengths_and_names() {
        let list = |item: DataType| DataType::List(Arc::new(Field::new("item", item, false)));
        let media =
            vec![Field::new("bytes", DataType::Binary, false), Field::new("path", DataType::Utf8, true)];
        let turns = DataType::Struct(vec![Field::new("role", DataType::Utf8, false)].into());
        let fields = vec![
            Field::new("state", list(DataType::Float32), false),
            Field::new("loose", list(DataType::Float32), true),
            Field::new("pose", list(list(DataType::Float32)), false),
            Field::new("turns", list(turns), false),
            Field::new("label", DataType::Int64, false),
            Field::new("audio", DataType::Struct(media.into()), false),
            Field::new("json", DataType::Utf8, false),
        ];
        let mut leaves = leaves_of(&fields.into());
        let text = r#"{"info": {"features": {
            "state": {"feature": {"dtype": "float32", "_type": "Value"}, "length": 7, "_type": "List"},
            "loose": {"feature": {"dtype": "float32", "_type": "Value"}, "length": 7, "_type": "Sequence"},
            "pose": {"shape": [null, 3], "dtype": "float32", "_type": "Array2D"},
            "turns": [{"role": {"dtype": "string", "_type": "Value"}}],
            "label": {"names": ["idle", "reach"], "_type": "ClassLabel"},
            "audio": {"sampling_rate": 16000, "decode": null, "_type": "Audio"},
            "json": {"_type": "Json"}}}}"#;
        tell(&mut leaves, Some(text));
        let told: Vec<String> = leaves.iter().map(|it| it.feature().told()).collect();
        let expected = [
            "float32[7]",
            "float32[-1]",
            "float32[-1, 3]",
            "string[-1]",
            "int64",
            "uint8, encoded",
            "string",
        ];
        assert_eq!(told, expected);
        assert_eq!(leaves[4].metadata[meta::CONSTANTS], "idle=0,reach=1");
        assert_eq!(leaves[5].metadata[FEATURE], r#"{"_type":"Audio","sampling_rate":16000}"#);
        assert_eq!(leaves[6].metadata[meta::ENCODING], "json");
        let before = leaves.clone();
        tell(&mut leaves, Some("{"));
        assert_eq!(leaves, before);
    }
}
