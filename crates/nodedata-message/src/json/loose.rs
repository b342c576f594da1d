//! Messages whose values need not be what their schema says: what does not fit becomes JSON text in `_extra`, under its
//! path, and null where it would have been.

use std::fmt;

use serde::de::{DeserializeSeed as _, EnumAccess, Error, MapAccess, SeqAccess, Visitor};

use super::{
    decode::{FixedSeed, ListVisitor, ObjectVisitor, untagged},
    describe::Scalar,
    node::{FixedNode, Node, ScalarNode},
    row::{Path, Row},
    scalar::ScalarSeed,
    text::JsonText,
};

/// One value of a tree all of whose nodes may be absent.
pub(super) struct LooseVisitor<'a, 'c> {
    pub(super) node: &'a Node,
    pub(super) path: &'a Path<'a>,
    pub(super) row: &'a mut Row<'c>,
}

impl LooseVisitor<'_, '_> {
    /// Keeps a value that does not fit: `write` brings its text.
    fn divert<E: Error>(self, write: impl FnOnce(JsonText<'_>) -> Result<(), E>) -> Result<(), E> {
        self.node.push_absent(self.row.columns);
        self.keep(write)
    }

    fn keep<E: Error>(self, write: impl FnOnce(JsonText<'_>) -> Result<(), E>) -> Result<(), E> {
        let row = self.row;
        row.begin_extra(self.path)?;
        row.diverted = true;
        write(JsonText { out: &mut row.extra, n_bytes_max: row.bytes_left })
    }

    /// A value that is no list and no object: to its column where that takes it.
    fn atom<E: Error>(
        self,
        push: impl FnOnce(ScalarSeed<'_, '_>) -> Result<bool, E>,
        write: impl FnOnce(JsonText<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Node::Scalar(ScalarNode { id, scalar, nullable }) = *self.node else { return self.divert(write) };
        // A scalar is pushed once it is known to fit.
        match push(ScalarSeed { id, scalar, nullable, row: &mut *self.row }) {
            Ok(true) => self.row.columns.push_valid(id),
            Ok(false) => self.row.columns.push_null(id),
            Err(_) => return self.divert(write),
        }
        Ok(())
    }

    /// A list for a tensor of fixed shape. Its text is looked at twice, because only the last item tells whether all fit.
    fn fixed<'de, A: SeqAccess<'de>>(self, node: &FixedNode, items: A) -> Result<(), A::Error> {
        let mut text = Vec::new();
        JsonText { out: &mut text, n_bytes_max: self.row.bytes_left }.visit_seq(items)?;
        let mark = self.row.columns.mark(node.id);
        let mut reader = serde_json::Deserializer::from_slice(&text);
        let seed = FixedSeed { node, dims: &node.dims, path: self.path, row: &mut *self.row };
        match seed.deserialize(&mut reader) {
            Ok(_) => self.row.columns.push_valid(node.id),
            Err(_) => {
                self.row.columns.back_to(node.id, mark);
                self.row.columns.push_null(node.id);
                return self.keep(|it| {
                    it.out.extend_from_slice(&text);
                    Ok(())
                });
            }
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for LooseVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.node.push_absent(self.row.columns);
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.atom(|it| it.visit_bool(value), |it| it.visit_bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.atom(|it| it.visit_i64(value), |it| it.visit_i64(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.atom(|it| it.visit_u64(value), |it| it.visit_u64(value))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<(), E> {
        self.atom(|it| it.visit_i128(value), |it| it.visit_i128(value))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<(), E> {
        self.atom(|it| it.visit_u128(value), |it| it.visit_u128(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.atom(|it| it.visit_f64(value), |it| it.visit_f64(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.atom(|it| it.visit_str(value), |it| it.visit_str(value))
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<(), E> {
        self.atom(|it| it.visit_bytes(value), |it| it.visit_bytes(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<(), A::Error> {
        let Self { node, path, .. } = self;
        match node {
            Node::List(node) => ListVisitor { node, path, row: self.row }.visit_seq(items),
            Node::Fixed(node) => self.fixed(node, items),
            Node::Scalar(ScalarNode { id, scalar: scalar @ Scalar::Bytes, nullable }) => {
                ScalarSeed { id: *id, scalar: *scalar, nullable: *nullable, row: &mut *self.row }
                    .visit_seq(items)?;
                self.row.columns.push_valid(*id);
                Ok(())
            }
            Node::Scalar(_) | Node::Object(_) => self.divert(|it| it.visit_seq(items)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<(), A::Error> {
        let Self { node, path, .. } = self;
        match node {
            Node::Object(node) => ObjectVisitor { node, path, row: self.row }.visit_map(entries),
            Node::Scalar(ScalarNode { id, scalar: scalar @ Scalar::Nanos, nullable }) => {
                ScalarSeed { id: *id, scalar: *scalar, nullable: *nullable, row: &mut *self.row }
                    .visit_map(entries)?;
                self.row.columns.push_valid(*id);
                Ok(())
            }
            Node::Scalar(_) | Node::Fixed(_) | Node::List(_) => self.divert(|it| it.visit_map(entries)),
        }
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        untagged(tagged, self)
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for LooseVisitor<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

#[cfg(test)]
mod tests {
    use crate::{MessageDecoder, MessageSchema, test_rows::Topic};

    const SCHEMA: &str = r#"{"type": "object", "additionalProperties": false, "required": ["n"], "properties": {
        "n": {"type": "number"}, "whole": {"type": "integer"}, "text": {"type": "string"},
        "pose": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
        "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer"}}}},
        "inner": {"type": "object", "properties": {"b": {"type": "boolean"}}}}}"#;

    fn topic(encoding: &str) -> Topic {
        let schema = MessageSchema {
            message_encoding: encoding,
            schema_encoding: "jsonschema",
            schema_name: "T",
            schema: SCHEMA.as_bytes(),
        };
        Topic::new(|layout| MessageDecoder::compile_loose(layout, &schema)).unwrap()
    }

    #[track_caller]
    fn check(message: &str, expected: &[(&str, &str)]) {
        let rows = topic("json").decode(&[message]).unwrap_or_else(|err| panic!("{message}: {err}"));
        for (column, value) in expected {
            assert_eq!(rows.column(column), [*value], "{column} of {message}");
        }
    }

    #[test]
    fn what_fits_is_in_its_column_and_the_rest_is_text() {
        let fits = r#"{"n":1.5,"whole":2,"text":"a","pose":[1,2],"list":[{"x":1}],"inner":{"b":true}}"#;
        check(
            fits,
            &[("n", "1.5"), ("whole", "2"), ("list.x", "[1]"), ("inner.b", "true"), ("_extra", "null")],
        );
        check(r#"{"n":true,"whole":2}"#, &[("n", "null"), ("whole", "2"), ("_extra", r#"{"n":true}"#)]);
        check("{}", &[("n", "null"), ("_extra", "null")]);
        check(r#"{"n":{"a":[1]}}"#, &[("n", "null"), ("_extra", r#"{"n":{"a":[1]}}"#)]);
        check(r#"{"n":[1,null]}"#, &[("n", "null"), ("_extra", r#"{"n":[1,null]}"#)]);
        check(r#"{"whole":0.5,"text":7}"#, &[("_extra", r#"{"whole":0.5,"text":7}"#)]);
        check(r#"{"pose":[1,2,3]}"#, &[("pose", "null"), ("_extra", r#"{"pose":[1,2,3]}"#)]);
        check(r#"{"pose":[1,"x"]}"#, &[("pose", "null"), ("_extra", r#"{"pose":[1,"x"]}"#)]);
        check(
            r#"{"list":[{"x":1},7,{"x":"y"}]}"#,
            &[("list.x", "[1,null,null]"), ("_extra", r#"{"list[1]":7,"list[2].x":"y"}"#)],
        );
        check(r#"{"list":7,"inner":[]}"#, &[("list.x", "null"), ("_extra", r#"{"list":7,"inner":[]}"#)]);
        check(r#"{"new":1}"#, &[("_extra", r#"{"new":1}"#)]);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for message in ["", "{", r#"{"n":1,"n":2}"#, r#"{"n":1} x"#] {
            assert!(topic("json").decode(&[message]).is_err(), "{message}");
        }
        // {"n": "a"}
        let rows = topic("cbor").decode(&[&b"\xa1\x61n\x61a"[..]]).unwrap();
        assert_eq!(rows.column("_extra"), [r#"{"n":"a"}"#]);
    }
}
