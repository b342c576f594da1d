//! Messages whose values need not be what their schema says: what does not fit becomes JSON text in `_extra`, under its
//! path, and null where it would have been.

use std::fmt;

use serde::de::{DeserializeSeed as _, EnumAccess, Error, MapAccess, SeqAccess, Visitor};

use super::{
    beyond::whole_beyond_64_bits,
    decode::{FixedSeed, ListVisitor, ObjectVisitor, untagged},
    describe::Scalar,
    node::{FixedNode, Node, ScalarNode},
    non_finite::unmarked,
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
        write(JsonText::new(&mut row.extra, row.bytes_left))
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

    /// A list or an object whose last part tells whether all of it fits, as text that is looked at twice.
    fn buffer<E: Error>(&self, write: impl FnOnce(JsonText<'_>) -> Result<(), E>) -> Result<Vec<u8>, E> {
        let mut text = Vec::new();
        write(JsonText::marked(&mut text, self.row.bytes_left))?;
        Ok(text)
    }

    fn divert_buffer<E: Error>(self, text: &[u8]) -> Result<(), E> {
        self.divert(|it| {
            it.out.extend_from_slice(&unmarked(text));
            Ok(())
        })
    }

    /// A list for a tensor of fixed shape.
    fn fixed<'de, A: SeqAccess<'de>>(self, node: &FixedNode, items: A) -> Result<(), A::Error> {
        let text = self.buffer(|it| it.visit_seq(items))?;
        let mark = self.row.columns.mark(node.id);
        let mut reader = serde_json::Deserializer::from_slice(&text);
        let seed = FixedSeed { node, dims: &node.dims, path: self.path, row: &mut *self.row };
        // Whole numbers that CBOR has and the reader of the text would round are no items.
        if whole_beyond_64_bits(&text).is_none() && seed.deserialize(&mut reader).is_ok() {
            self.row.columns.push_valid(node.id);
            return Ok(());
        }
        self.row.columns.back_to(node.id, mark);
        self.divert_buffer(&text)
    }

    /// A list for bytes, or an object for a time.
    fn composed<E: Error>(
        self,
        node: &ScalarNode,
        write: impl FnOnce(JsonText<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let text = self.buffer(write)?;
        let ScalarNode { id, scalar, nullable } = *node;
        let mut reader = serde_json::Deserializer::from_slice(&text);
        let seed = ScalarSeed { id, scalar, nullable, row: &mut *self.row };
        if seed.deserialize(&mut reader).is_ok() {
            self.row.columns.push_valid(id);
            return Ok(());
        }
        self.divert_buffer(&text)
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
            Node::Scalar(node) if node.scalar == Scalar::Bytes => {
                self.composed(node, |it| it.visit_seq(items))
            }
            Node::Scalar(_) | Node::Object(_) => self.divert(|it| it.visit_seq(items)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<(), A::Error> {
        let Self { node, path, .. } = self;
        match node {
            Node::Object(node) => ObjectVisitor { node, path, row: self.row }.visit_map(entries),
            Node::Scalar(node) if node.scalar == Scalar::Nanos => {
                self.composed(node, |it| it.visit_map(entries))
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
        "img": {"type": "string", "contentEncoding": "base64"},
        "stamp": {"type": "object", "title": "time", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}},
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
        let topic = topic("json");
        let spelled =
            topic.decoder.respelled(message.as_bytes()).unwrap_or_else(|| message.as_bytes().to_vec());
        let rows = topic.decode(&[spelled]).unwrap_or_else(|err| panic!("{message}: {err}"));
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
    fn numbers_that_are_not_finite_are_in_tensors_and_no_text() {
        check(r#"{"n":NaN,"pose":[NaN,2]}"#, &[("n", "NaN"), ("pose", "[NaN,2.0]"), ("_extra", "null")]);
        check(
            r#"{"pose":[-Infinity,"x"]}"#,
            &[("pose", "null"), ("_extra", r#"{"pose":["-Infinity","x"]}"#)],
        );
        // The text is no number, though it is called like one.
        check(r#"{"pose":["NaN",2]}"#, &[("pose", "null"), ("_extra", r#"{"pose":["NaN",2]}"#)]);
        check(
            r#"{"text":NaN,"whole":Infinity,"img":NaN}"#,
            &[
                ("text", "null"),
                ("whole", "null"),
                ("_extra", r#"{"text":"NaN","whole":"Infinity","img":"NaN"}"#),
            ],
        );
        // {"pose": [NaN, 2]}, and {"pose": [2^64 + 1, 2]}, whose first item no float is.
        let rows = topic("cbor").decode(&[&b"\xa1\x64pose\x82\xf9\x7e\x00\x02"[..]]).unwrap();
        assert_eq!(rows.column("pose"), ["[NaN,2.0]"]);
        assert_eq!(rows.column("_extra"), ["null"]);
        let large = b"\xa1\x64pose\x82\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x01\x02";
        let rows = topic("cbor").decode(&[&large[..]]).unwrap();
        assert_eq!(rows.column("_extra"), [r#"{"pose":[18446744073709551617,2]}"#]);
    }

    #[test]
    fn a_wrong_part_of_bytes_or_of_a_time_costs_that_value_alone() {
        check(
            r#"{"img":[1,255],"stamp":{"sec":1,"nsec":5}}"#,
            &[("img", "01ff"), ("stamp", "1000000005"), ("_extra", "null")],
        );
        for value in [
            r#""img":[1,256]"#,
            r#""img":[1,"x",[2]]"#,
            r#""stamp":{"sec":"x","nsec":5}"#,
            r#""stamp":{"sec":1}"#,
            r#""stamp":{"sec":1,"nsec":5,"zone":{"a":[]}}"#,
        ] {
            let extra = format!("{{{value}}}");
            check(
                &format!(r#"{{"whole":1,{value},"text":"a"}}"#),
                &[
                    ("whole", "1"),
                    ("text", "a"),
                    ("img", "null"),
                    ("stamp", "null"),
                    ("_extra", extra.as_str()),
                ],
            );
        }
        check(r#"{"img":[NaN]}"#, &[("img", "null"), ("_extra", r#"{"img":["NaN"]}"#)]);
        // {"img": [1, 255], "stamp": {"sec": 1, "nsec": "x"}}
        let message = b"\xa2\x63img\x82\x01\x18\xff\x65stamp\xa2\x63sec\x01\x64nsec\x61x";
        let rows = topic("cbor").decode(&[&message[..]]).unwrap();
        assert_eq!(rows.column("img"), ["01ff"]);
        assert_eq!(rows.column("_extra"), [r#"{"stamp":{"sec":1,"nsec":"x"}}"#]);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for message in ["", "{", r#"{"n":1,"n":2}"#, r#"{"n":1} x"#, r#"{"img":[1,"#, r#"{"stamp":{"sec":"#] {
            assert!(topic("json").decode(&[message]).is_err(), "{message}");
        }
        // {"n": "a"}
        let rows = topic("cbor").decode(&[&b"\xa1\x61n\x61a"[..]]).unwrap();
        assert_eq!(rows.column("_extra"), [r#"{"n":"a"}"#]);
    }
}
