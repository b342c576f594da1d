use std::fmt;

use nodedata_core::placed::{Member, Mistake, Node, Place, Value};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, Options, Spanned};

/// Deeper documents are refused: a pipeline needs six levels.
const DEPTH_MAX: usize = 32;
const BYTES_MAX: usize = 4 << 20;

/// What a value is, in the words of YAML.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a bool",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Text(_) => "text",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}

/// Reads a document.
///
/// # Errors
/// The one place where the text stops being YAML that a pipeline may be written in.
pub(super) fn parse(text: &str) -> Result<Node, Mistake> {
    if BYTES_MAX < text.len() {
        let message = format!("the file has {} bytes, at most {BYTES_MAX} are read", text.len());
        return Err(Mistake::new(Place::File(1, 1), message));
    }
    let mut options = Options::default();
    options.duplicate_keys = DuplicateKeyPolicy::PassThrough;
    options.merge_keys = MergeKeyPolicy::Error;
    // A field may be called `y` or `on`, which were truths in YAML 1.1.
    options.strict_booleans = true;
    if let Some(budget) = &mut options.budget {
        budget.max_depth = DEPTH_MAX;
        // What a name stands for is said where it is used.
        budget.max_aliases = 0;
        budget.max_anchors = 0;
    }
    let read = serde_saphyr::from_str_with_options::<Read>(text, options);
    read.map(|it| it.0).map_err(|err| {
        let place = err
            .location()
            .map_or(Place::File(1, 1), |it| Place::File(one_based(it.line()), one_based(it.column())));
        let err = err.without_snippet().to_string();
        // The library repeats the place behind its message.
        let message = err.split(" at line ").next().unwrap_or(&err).trim().trim_end_matches('.');
        let message = message.lines().next().unwrap_or_default();
        let message = format!("this is not YAML that can be read: {message}");
        Mistake::new(&place, message)
            .with_hint("look at the indentation, quotes and brackets here and just above")
    })
}

fn one_based(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX).max(1)
}

/// A node as it is read: the tree itself knows no parser.
struct Read(Node);

struct ReadValue(Value);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<ReadValue>::deserialize(deserializer)?;
        let at = spanned.referenced;
        let place = Place::File(one_based(at.line()), one_based(at.column()));
        Ok(Self(Node { place, value: spanned.value.0, expanded: false }))
    }
}

impl<'de> Deserialize<'de> for ReadValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values).map(Self)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(Value::Bool(it))
    }

    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(Value::Integer(it.into()))
    }

    fn visit_u64<E>(self, it: u64) -> Result<Value, E> {
        Ok(Value::Integer(it.into()))
    }

    fn visit_i128<E>(self, it: i128) -> Result<Value, E> {
        Ok(Value::Integer(it))
    }

    fn visit_f64<E>(self, it: f64) -> Result<Value, E> {
        Ok(Value::Float(it))
    }

    fn visit_str<E>(self, it: &str) -> Result<Value, E> {
        Ok(Value::Text(it.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Read(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let Read(node) = map.next_value()?;
            let at = key.referenced;
            let place = Place::File(one_based(at.line()), one_based(at.column()));
            members.push(Member { place, key: key.value, node });
        }
        Ok(Value::Map(members))
    }
}
