use nodedata_core::{Dim, Error, ErrorKind, Locus, Result};
use nodedata_schema::{FieldSchema, Fields, Mode, Schema};

/// The schema of all shards: the union over every footer and all rows, never that of the first file. Shapes
/// that differ become -1; a type that differs, or a feature that some shards lack, is an error.
pub(crate) fn union(shards: &[(&str, Schema)], splits: Vec<String>) -> Result<Schema> {
    let mut fields: Vec<(String, FieldSchema, &str)> = Vec::new();
    for (path, schema) in shards {
        for (name, field) in schema.fields.iter() {
            match fields.iter_mut().find(|(it, ..)| it == name) {
                None => fields.push((name.to_owned(), field.clone(), path)),
                Some((_, known, first)) => join(known, field).map_err(|()| {
                    let message = format!(
                        "feature `{name}` is {} here, but {} in `{first}`",
                        field.to_json(),
                        known.to_json()
                    );
                    Error::new(ErrorKind::SchemaMismatch, message)
                        .at(Locus { feature: Some(name.to_owned()), ..Locus::path(path) })
                        .with_hint(
                            "write the shards with one schema, or declare the right one with `--schema`",
                        )
                })?,
            }
        }
    }
    for (name, _, first) in &fields {
        if let Some((path, _)) = shards.iter().find(|(_, schema)| schema.fields.get(name).is_none()) {
            let message = format!("feature `{name}` is missing here, but `{first}` has it");
            return Err(Error::new(ErrorKind::SchemaMismatch, message)
                .at(Locus { feature: Some(name.clone()), ..Locus::path(path) })
                .with_hint(
                    "write the shards with one schema: readers refuse a column that some files lack",
                ));
        }
    }
    let fields: Fields = fields.into_iter().map(|(name, field, _)| (name, field)).collect();
    Ok(Schema { mode: Some(Mode::Inferred), splits, fields, ..Schema::default() })
}

/// The same of what is published and what is added to it.
pub(crate) fn join_schemas(published: &Schema, added: &Schema) -> Result<Schema> {
    let mut splits = published.splits.clone();
    splits.extend(added.splits.iter().filter(|it| !published.splits.contains(it)).cloned());
    union(&[("the published revision", published.clone()), ("what is added", added.clone())], splits)
}

fn join(known: &mut FieldSchema, other: &FieldSchema) -> Result<(), ()> {
    let rank = |it: &FieldSchema| (it.shape.len(), it.lists);
    if known.dtype != other.dtype || rank(known) != rank(other) {
        return Err(());
    }
    for (a, b) in known.shape.iter_mut().zip(&other.shape) {
        if a != b {
            *a = Dim::Variable;
        }
    }
    if other.nullable == Some(true) {
        known.nullable = Some(true);
    }
    if known.rate_hz != other.rate_hz {
        known.rate_hz = None;
    }
    if known.encoding != other.encoding {
        known.encoding = match (known.encoding.take(), &other.encoding) {
            (Some(_), Some(_)) => Some("mixed".to_owned()),
            (known, other) => known.or_else(|| other.clone()),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> Schema {
        Schema::from_json(&format!(r#"{{"splits":["train"],"fields":{text}}}"#)).unwrap()
    }

    #[test]
    fn shapes_widen_and_types_do_not() {
        let a = schema(r#"{"x":{"type":"float32","shape":[-1,7]},"y":{"type":"int64","shape":[-1]}}"#);
        let b = schema(r#"{"y":{"type":"int64","shape":[-1]},"x":{"type":"float32","shape":[-1,8]}}"#);
        let joined = union(&[("a", a.clone()), ("b", b)], vec!["train".to_owned()]).unwrap();
        assert_eq!(joined.fields.get("x").unwrap().document_shape(), [-1, -1]);
        let other = schema(r#"{"x":{"type":"float64","shape":[-1,7]},"y":{"type":"int64","shape":[-1]}}"#);
        let err = union(&[("a", a.clone()), ("c", other)], Vec::new()).unwrap_err();
        assert_eq!(
            (err.kind(), err.locus().path.as_deref()),
            (ErrorKind::SchemaMismatch, Some("c".as_ref()))
        );
        let narrow = schema(r#"{"x":{"type":"float32","shape":[-1,7]}}"#);
        let err = union(&[("a", a), ("d", narrow)], Vec::new()).unwrap_err();
        assert!(err.to_string().contains("`y` is missing"), "{err}");
    }

    #[test]
    fn clips_keep_a_rate_that_is_that_of_all() {
        let of = |rate: &str| {
            schema(&format!(r#"{{"talk":{{"type":"int16","shape":[-1,-1,1],"encoding":"flac"{rate}}}}}"#))
        };
        let joined = |other: &str| {
            let both = [("a", of(r#","rate_hz":16000"#)), ("b", of(other))];
            union(&both, Vec::new()).unwrap().fields.get("talk").unwrap().rate_hz
        };
        assert_eq!(joined(r#","rate_hz":16000"#), Some(16_000));
        assert_eq!((joined(r#","rate_hz":8000"#), joined("")), (None, None));
    }
}
