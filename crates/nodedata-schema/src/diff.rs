use std::{collections::BTreeSet, fmt};

use nodedata_core::Dim;
use serde::Serialize;

use crate::{Bound, FieldSchema, Fields, Schema, compare::MIXED};

/// One difference between two schemas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where in the document: `fields.action.shape`, `streams./tf.fields`, `splits`.
    pub path: String,
    /// What happened there.
    pub kind: ChangeKind,
    /// What stood there, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// What stands there now, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
    /// Whether code written for the old schema still works on data of the new one.
    pub compatible: bool,
}

/// What happened at a place of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// It is no longer there.
    Removed,
    /// It is another.
    Changed,
}

impl fmt::Display for Change {
    /// `- path: old`, `+ path: new` or `~ path: old → new`, with a mark where readers break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, kind, old, new, compatible } = self;
        let (old, new) = (old.as_deref().unwrap_or("absent"), new.as_deref().unwrap_or("absent"));
        match kind {
            ChangeKind::Added => write!(f, "+ {path}: {new}")?,
            ChangeKind::Removed => write!(f, "- {path}: {old}")?,
            ChangeKind::Changed => write!(f, "~ {path}: {old} → {new}")?,
        }
        if !compatible {
            f.write_str(" (breaks readers)")?;
        }
        Ok(())
    }
}

/// Whether code written for the old schema works on data of the new one.
pub fn is_compatible(changes: &[Change]) -> bool {
    changes.iter().all(|it| it.compatible)
}

/// What changed from `old` to `new`, in the order of the old document with additions behind. The order of
/// fields, and who wrote the schema, are no changes.
pub fn diff(old: &Schema, new: &Schema) -> Vec<Change> {
    let mut changes = Changes(Vec::new());
    let kept = old.splits.iter().all(|it| new.splits.contains(it));
    let sorted = |splits: &[String]| splits.iter().cloned().collect::<BTreeSet<_>>();
    if sorted(&old.splits) != sorted(&new.splits) {
        changes.value("splits", Some(list(&old.splits)), Some(list(&new.splits)), kept);
    }
    changes.fields("fields", &old.fields, &new.fields);
    let empty = Fields::default();
    let topics: BTreeSet<&String> = old.streams.keys().chain(new.streams.keys()).collect();
    for topic in topics {
        let path = format!("streams.{topic}.fields");
        let (before, after) = (old.streams.get(topic), new.streams.get(topic));
        // A table that comes or goes is one change of its own, with its fields below it.
        if before.is_some() != after.is_some() {
            let there = |it: Option<&Fields>| it.map(|it| format!("{} fields", it.len()));
            changes.value(&format!("streams.{topic}"), there(before), there(after), before.is_none());
        }
        changes.fields(&path, before.unwrap_or(&empty), after.unwrap_or(&empty));
    }
    let (before, after) = (old.time.clone().unwrap_or_default(), new.time.clone().unwrap_or_default());
    changes.key("time", "field", before.field, after.field, Effect::Meaning);
    changes.key("time", "unit", before.unit, after.unit, Effect::Meaning);
    changes.key("time", "monotonic", before.monotonic, after.monotonic, Effect::Promise);
    changes.key("time", "fps", before.fps, after.fps, Effect::Meaning);
    changes.key("time", "tolerance_ns", before.tolerance_ns, after.tolerance_ns, Effect::Promise);
    changes.0
}

/// What the change of a key does to readers.
#[derive(Clone, Copy)]
enum Effect {
    /// Readers would take values for something else: only saying what was not said is safe.
    Meaning,
    /// A promise to readers: only making one is safe.
    Promise,
    /// For people.
    Remark,
}

struct Changes(Vec<Change>);

impl Changes {
    fn value(&mut self, path: &str, old: Option<String>, new: Option<String>, compatible: bool) {
        let kind = match (&old, &new) {
            (None, None) => return,
            (None, Some(_)) => ChangeKind::Added,
            (Some(_), None) => ChangeKind::Removed,
            (Some(old), Some(new)) if old == new => return,
            (Some(_), Some(_)) => ChangeKind::Changed,
        };
        self.0.push(Change { path: path.to_owned(), kind, old, new, compatible });
    }

    fn key<T: Serialize>(&mut self, path: &str, key: &str, old: Option<T>, new: Option<T>, effect: Effect) {
        let compatible = match effect {
            Effect::Meaning | Effect::Promise => old.is_none(),
            Effect::Remark => true,
        };
        self.value(&format!("{path}.{key}"), old.map(json), new.map(json), compatible);
    }

    fn fields(&mut self, path: &str, old: &Fields, new: &Fields) {
        for (name, before) in old.iter() {
            let path = format!("{path}.{name}");
            match new.get(name) {
                Some(after) => self.field(&path, before, after),
                None => self.value(&path, Some(before.to_json()), None, false),
            }
        }
        for (name, after) in new.iter().filter(|(name, _)| old.get(name).is_none()) {
            self.value(&format!("{path}.{name}"), None, Some(after.to_json()), true);
        }
    }

    fn field(&mut self, path: &str, old: &FieldSchema, new: &FieldSchema) {
        let at = |key: &str| format!("{path}.{key}");
        self.value(&at("type"), Some(json(old.dtype.name())), Some(json(new.dtype.name())), false);
        let shape = |it: &FieldSchema| Some(json(it.document_shape()));
        self.value(&at("shape"), shape(old), shape(new), accepts_shape(&old.shape, &new.shape));
        self.key(path, "lists", old.lists, new.lists, Effect::Meaning);
        let mixed = old.encoding.as_deref() == Some(MIXED);
        let coding = |it: &FieldSchema| it.encoding.as_ref().map(json);
        self.value(&at("encoding"), coding(old), coding(new), old.encoding.is_none() || mixed);
        self.key(path, "rate_hz", old.rate_hz, new.rate_hz, Effect::Promise);
        self.key(path, "unit", old.unit.as_ref(), new.unit.as_ref(), Effect::Meaning);
        self.key(path, "scale", old.scale, new.scale, Effect::Meaning);
        self.key(path, "names", old.names.as_ref(), new.names.as_ref(), Effect::Meaning);
        let bound = |it: Option<Bound>| it.map(|it| it.to_string());
        let inside =
            |old: Option<Bound>, new: Option<Bound>, is_inside: fn(f64, f64) -> bool| match (old, new) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(old), Some(new)) => is_inside(old.as_f64(), new.as_f64()),
            };
        let higher = inside(old.min, new.min, |old, new| old <= new);
        let lower = inside(old.max, new.max, |old, new| new <= old);
        self.value(&at("min"), bound(old.min), bound(new.min), higher);
        self.value(&at("max"), bound(old.max), bound(new.max), lower);
        let finite = old.finite != Some(true) || new.finite == Some(true);
        self.value(&at("finite"), old.finite.map(json), new.finite.map(json), finite);
        let no_new_nulls = old.nullable != Some(false) || new.nullable == Some(false);
        self.value(&at("nullable"), old.nullable.map(json), new.nullable.map(json), no_new_nulls);
        self.key(path, "role", old.role.as_ref(), new.role.as_ref(), Effect::Remark);
        self.key(path, "description", old.description.as_ref(), new.description.as_ref(), Effect::Remark);
        let said = |it: &FieldSchema| (!it.sensitive.is_empty()).then(|| list(&it.sensitive));
        self.value(&at("sensitive"), said(old), said(new), true);
    }
}

/// Whether code for shape `old` can take values of shape `new`.
fn accepts_shape(old: &[Dim], new: &[Dim]) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| *old == Dim::Variable || old == new)
}

fn list(all: &[String]) -> String {
    json(all)
}

fn json(value: impl Serialize) -> String {
    // Keys of these types are strings, so they are always JSON.
    serde_json::to_string(&value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn schema(fields: &str) -> Schema {
        Schema::from_json(&format!(r#"{{"splits": ["train"], {fields}}}"#)).unwrap()
    }

    #[expect(clippy::needless_pass_by_value, reason = "calls read better without a reference")]
    #[track_caller]
    fn check(old: &str, new: &str, compatible: bool, expected: expect_test::Expect) {
        let changes = diff(&schema(old), &schema(new));
        assert_eq!(is_compatible(&changes), compatible);
        expected.assert_eq(&changes.iter().map(|it| format!("{it}\n")).collect::<String>());
    }

    #[test]
    fn narrower_data_keeps_readers_working() {
        check(
            r#""fields": {"a": {"type": "float32", "shape": [-1, -1], "min": -2}, "b": {"type": "bool", "shape": [-1]}}"#,
            r#""fields": {"b": {"type": "bool", "shape": [-1]}, "c": {"type": "bool", "shape": [-1]},
                "a": {"type": "float32", "shape": [-1, 7], "min": -1.0, "nullable": false, "unit": "rad"}}"#,
            true,
            expect![[r#"
                ~ fields.a.shape: [-1,-1] → [-1,7]
                + fields.a.unit: "rad"
                ~ fields.a.min: -2 → -1.0
                + fields.a.nullable: false
                + fields.c: {"type": "bool", "shape": [-1]}
            "#]],
        );
    }

    #[test]
    fn other_types_and_lost_features_break_readers() {
        check(
            r#""fields": {"a": {"type": "float32", "shape": [-1, 7], "max": 1, "unit": "rad"}},
                "streams": {"/tf": {"fields": {}}}"#,
            r#""fields": {"a": {"type": "float64", "shape": [-1, 8], "max": 2, "unit": "deg"}},
                "streams": {"/odom": {"fields": {"x": {"type": "bool", "shape": [-1]}}}}"#,
            false,
            expect![[r#"
                ~ fields.a.type: "float32" → "float64" (breaks readers)
                ~ fields.a.shape: [-1,7] → [-1,8] (breaks readers)
                ~ fields.a.unit: "rad" → "deg" (breaks readers)
                ~ fields.a.max: 1 → 2 (breaks readers)
                + streams./odom: 1 fields
                + streams./odom.fields.x: {"type": "bool", "shape": [-1]}
                - streams./tf: 0 fields (breaks readers)
            "#]],
        );
        let changes =
            diff(&schema(r#""fields": {}"#), &schema(r#""fields": {"x": {"type": "bool", "shape": [-1]}}"#));
        expect![[r#"[{"path":"fields.x","kind":"added","new":"{\"type\": \"bool\", \"shape\": [-1]}","compatible":true}]"#]]
            .assert_eq(&serde_json::to_string(&changes).unwrap());
    }

    #[test]
    fn lists_of_media_may_be_said_but_not_moved() {
        let field =
            |lists: &str| format!(r#""fields": {{"a": {{"type": "uint8", "shape": [-1, 4, 8, 8]{lists}}}}}"#);
        let one = field(r#", "lists": 1"#);
        check(
            &field(""),
            &one,
            true,
            expect![[r#"
            + fields.a.lists: 1
        "#]],
        );
        check(
            &one,
            &field(r#", "lists": 0"#),
            false,
            expect![[r#"
            ~ fields.a.lists: 1 → 0 (breaks readers)
        "#]],
        );
    }

    #[test]
    fn a_schema_does_not_differ_from_itself() {
        let one = schema(r#""fields": {"a": {"type": "float32", "shape": [-1, 7], "scale": 0.1}}"#);
        assert_eq!(diff(&one, &one), []);
    }
}
