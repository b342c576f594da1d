use std::{collections::BTreeSet, ops::RangeInclusive};

use nodedata_core::{
    DType, Dim,
    placed::{Member, Mistake, Node, Place, Value},
    suggest,
};

use crate::{
    Bound, FieldSchema, Fields, Mode, Schema, TimeSchema,
    compare::is_of_pictures,
    tree::{self, kind_of},
};

/// The only version of the document there is.
pub(crate) const VERSION: &str = "schema/1";

const FIELD_KEYS: [&str; 15] = [
    "type",
    "shape",
    "lists",
    "encoding",
    "rate_hz",
    "unit",
    "scale",
    "names",
    "min",
    "max",
    "finite",
    "nullable",
    "role",
    "description",
    "sensitive",
];

impl Schema {
    /// Reads a `schema.json`, the plain form included.
    ///
    /// # Errors
    /// All mistakes of the document, in its order; one only when it is not JSON.
    pub fn from_json(text: &str) -> Result<Self, Vec<Mistake>> {
        // Editors on Windows put it there.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let root = tree::parse(text).map_err(|it| vec![it])?;
        let mut parser = Parser { mistakes: Vec::new() };
        let schema = parser.schema(&root);
        if parser.mistakes.is_empty() {
            return Ok(schema);
        }
        parser.mistakes.sort_by(|one, other| one.place.cmp(&other.place));
        Err(parser.mistakes)
    }
}

struct Parser {
    mistakes: Vec<Mistake>,
}

impl Parser {
    fn schema(&mut self, root: &Node) -> Schema {
        let mut schema = Schema::default();
        let mut described = false;
        for member in self.members(root, "the schema") {
            match member.key.as_str() {
                "nd" => {
                    let version = self.string(member);
                    if version.as_deref().is_some_and(|it| it != VERSION) {
                        let message =
                            format!("`nd` is `{}`, expected `{VERSION}`", version.unwrap_or_default());
                        self.at(&member.node.place, message, "a newer node-data may read it");
                    }
                }
                "mode" => {
                    schema.mode = self.one_of(member, &[Mode::Declared, Mode::Inferred], Mode::name);
                }
                "splits" => schema.splits = self.strings(member).unwrap_or_default(),
                "fields" => {
                    described = true;
                    schema.fields = self.fields(&member.node, "`fields`");
                }
                "streams" => {
                    described = true;
                    for stream in self.members(&member.node, "`streams`") {
                        let fields = self.stream(stream);
                        schema.streams.insert(stream.key.clone(), fields);
                    }
                }
                "time" => schema.time = Some(self.time(&member.node)),
                _ => {
                    self.unknown(
                        member,
                        "the schema",
                        &["nd", "mode", "splits", "fields", "streams", "time"],
                    );
                }
            }
        }
        if !described && matches!(root.value, Value::Map(_)) {
            self.at(
                &root.place,
                "the schema has neither `fields` nor `streams`",
                r#"add `"fields": {"action": {"type": "float32", "shape": [-1, 7]}}`"#,
            );
        }
        schema
    }

    fn stream(&mut self, stream: &Member) -> Fields {
        let mut fields = None;
        let place = format!("`streams.{}`", stream.key);
        for member in self.members(&stream.node, &place) {
            match member.key.as_str() {
                "fields" => fields = Some(self.fields(&member.node, &place)),
                _ => self.unknown(member, &place, &["fields"]),
            }
        }
        if fields.is_none() && matches!(stream.node.value, Value::Map(_)) {
            self.at(&stream.place, format!("{place} has no `fields`"), "add its `fields`, which may be `{}`");
        }
        fields.unwrap_or_default()
    }

    fn fields(&mut self, node: &Node, place: &str) -> Fields {
        let members = self.members(node, place);
        members.iter().filter_map(|it| Some((it.key.clone(), self.field(it)?))).collect()
    }

    fn field(&mut self, member: &Member) -> Option<FieldSchema> {
        let place = format!("field `{}`", member.key);
        if member.key.is_empty() {
            self.at(&member.place, "a field has an empty name", "name it");
        }
        let mut dtype = None;
        let mut shape = None;
        let mut has_type = false;
        let mut has_shape = false;
        // Read first, so that the other keys can be held against it.
        let mut field = FieldSchema::new(DType::Bytes, Vec::new());
        let members = self.members(&member.node, &place);
        for member in members {
            match member.key.as_str() {
                "type" => {
                    has_type = true;
                    dtype = self.one_of(member, &DType::ALL, DType::name);
                }
                "shape" => {
                    has_shape = true;
                    shape = self.shape(member);
                }
                "lists" => field.lists = self.count(member),
                "encoding" => field.encoding = self.string(member),
                "rate_hz" => field.rate_hz = self.rate(member),
                "unit" => field.unit = self.string(member),
                "scale" => field.scale = self.number(member).map(Bound::as_f64),
                "names" => field.names = self.strings(member),
                "min" => field.min = self.number(member),
                "max" => field.max = self.number(member),
                "finite" => field.finite = self.bool(member),
                "nullable" => field.nullable = self.bool(member),
                "role" => field.role = self.string(member),
                "description" => field.description = self.string(member),
                "sensitive" => field.sensitive = self.strings(member).unwrap_or_default(),
                _ => self.unknown(member, &place, &FIELD_KEYS),
            }
        }
        if !matches!(member.node.value, Value::Map(_)) {
            return None;
        }
        for (there, key, example) in [
            (has_type, "type", r#"`"type": "float32"`"#),
            (has_shape, "shape", r#"`"shape": [-1]` for a scalar"#),
        ] {
            if !there {
                self.at(&member.place, format!("{place} has no `{key}`"), format!("add {example}"));
            }
        }
        field.dtype = dtype?;
        field.shape = shape?;
        self.check_field(member, members, &field);
        Some(field)
    }

    /// What holds between the keys of one field.
    fn check_field(&mut self, member: &Member, members: &[Member], field: &FieldSchema) {
        let place = |key: &str| members.iter().find(|it| it.key == key).map_or(&member.place, |it| &it.place);
        let name = &member.key;
        let FieldSchema { dtype, min, max, .. } = field;
        for (key, bound) in [("min", min), ("max", max)] {
            let Some(bound) = bound else { continue };
            if !dtype.is_numeric() {
                self.at(
                    place(key),
                    format!("`{key}` of field `{name}` needs a numeric type, but it is {dtype}"),
                    "remove it",
                );
            } else if !fits(*bound, *dtype) {
                self.at(
                    place(key),
                    format!("`{key}` of field `{name}` is {bound}, which no {dtype} can be"),
                    "change it, or the type",
                );
            }
        }
        if let (Some(min), Some(max)) = (min, max)
            && min.as_f64() > max.as_f64()
        {
            self.at(
                place("max"),
                format!("`max` of field `{name}` is {max}, less than its `min` {min}"),
                "swap them",
            );
        }
        let is_float = matches!(dtype, DType::Float16 | DType::Float32 | DType::Float64);
        if field.finite == Some(true) && !is_float {
            self.at(
                place("finite"),
                format!("`finite` of field `{name}` needs a float type, but it is {dtype}"),
                "remove it",
            );
        }
        if let (Some(encoding), Some(rate)) = (&field.encoding, field.rate_hz)
            && is_of_pictures(encoding)
        {
            let message = format!(
                "`rate_hz` of field `{name}` is {rate} samples a second, but pictures coded as {encoding} have none"
            );
            self.at(place("rate_hz"), message, "remove it, or change the encoding");
        }
        self.check_names(place("names"), name, field);
        if let Some(lists) = field.lists.filter(|it| *it > field.shape.len()) {
            let n_dims = field.shape.len();
            let message =
                format!("`lists` of field `{name}` is {lists}, but its shape has {n_dims} dimensions");
            self.at(place("lists"), message, "count the dimensions after time that are lists of media");
        }
    }

    fn check_names(&mut self, at: &Place, name: &str, field: &FieldSchema) {
        let Some(names) = &field.names else { return };
        let fixed: Option<Vec<usize>> = field
            .shape
            .iter()
            .map(|it| match it {
                Dim::Fixed(n) => Some(*n as usize),
                Dim::Variable => None,
            })
            .collect();
        let Some(fixed) = fixed else { return };
        let last = fixed.last().copied().unwrap_or(1);
        let all = fixed.iter().fold(1usize, |all, n| all.saturating_mul(*n));
        if names.len() != last && names.len() != all {
            let message =
                format!("field `{name}` has {} names, but its last dimension is {last}", names.len());
            self.at(at, message, "name every element once");
        }
    }

    /// The shape at one step: the leading -1 is time and may be left out when no other -1 is there.
    fn shape(&mut self, member: &Member) -> Option<Vec<Dim>> {
        let Value::List(items) = &member.node.value else {
            self.wrong_kind(member, "a list of integers");
            return None;
        };
        let mut shape = Vec::with_capacity(items.len());
        for item in items {
            let n = match &item.value {
                Value::Integer(it) => i64::try_from(*it).ok(),
                _ => None,
            };
            match n {
                Some(-1) => shape.push(Dim::Variable),
                Some(n)
                    if let Ok(n) = u32::try_from(n)
                        && i32::try_from(n).is_ok() =>
                {
                    shape.push(Dim::Fixed(n));
                }
                _ => {
                    self.at(
                        &item.place,
                        "a dimension that is neither -1 nor a length",
                        "-1 stands for any length",
                    );
                    return None;
                }
            }
        }
        match shape.iter().position(|it| *it == Dim::Variable) {
            Some(0) => {
                shape.remove(0);
            }
            None => {}
            Some(_) => {
                let message = "the first -1 of a shape is time, but it is not the first dimension";
                self.at(&member.node.place, message, "put -1 for time in front: [-1, 3, -1]");
                return None;
            }
        }
        Some(shape)
    }

    fn time(&mut self, node: &Node) -> TimeSchema {
        let mut time = TimeSchema::default();
        for member in self.members(node, "`time`") {
            match member.key.as_str() {
                "field" => time.field = self.string(member),
                "unit" => {
                    time.unit = self.one_of(member, &["ns", "us", "ms", "s"], |it| it).map(str::to_owned);
                }
                "monotonic" => time.monotonic = self.bool(member),
                "fps" => {
                    time.fps = self.number(member).map(Bound::as_f64);
                    if time.fps.is_some_and(|it| it <= 0.0) {
                        self.at(
                            &member.node.place,
                            "`fps` is not above 0",
                            "leave it out where the rate varies",
                        );
                    }
                }
                "tolerance_ns" => match self.number(member) {
                    Some(Bound::Integer(it)) if let Ok(it) = u64::try_from(it) => {
                        time.tolerance_ns = Some(it);
                    }
                    Some(_) => self.at(
                        &member.node.place,
                        "`tolerance_ns` is not a count of nanoseconds",
                        "write an integer",
                    ),
                    None => {}
                },
                _ => self.unknown(member, "`time`", &["field", "unit", "monotonic", "fps", "tolerance_ns"]),
            }
        }
        time
    }

    /// The members of an object, each key once.
    fn members<'n>(&mut self, node: &'n Node, place: &str) -> &'n [Member] {
        let Value::Map(members) = &node.value else {
            self.at(
                &node.place,
                format!("{place} is {}, expected an object", kind_of(&node.value)),
                "see `node-data schema --help`",
            );
            return &[];
        };
        let mut seen = BTreeSet::new();
        for member in members {
            if !seen.insert(&member.key) {
                self.at(
                    &member.place,
                    format!("`{}` stands twice in {place}", member.key),
                    "remove one of them",
                );
            }
        }
        members
    }

    fn string(&mut self, member: &Member) -> Option<String> {
        let Value::Text(text) = &member.node.value else {
            self.wrong_kind(member, "a string");
            return None;
        };
        Some(text.clone())
    }

    fn strings(&mut self, member: &Member) -> Option<Vec<String>> {
        let Value::List(items) = &member.node.value else {
            self.wrong_kind(member, "a list of strings");
            return None;
        };
        let mut strings: Vec<String> = Vec::with_capacity(items.len());
        let mut seen = BTreeSet::new();
        for item in items {
            let Value::Text(text) = &item.value else {
                self.at(
                    &item.place,
                    format!("`{}` holds {}, expected strings", member.key, kind_of(&item.value)),
                    "quote it",
                );
                return None;
            };
            // Elements may share a name: `["x", "y", "x", "y"]` of two arms.
            if !seen.insert(text) && member.key != "names" {
                self.at(
                    &item.place,
                    format!("`{text}` stands twice in `{}`", member.key),
                    "remove one of them",
                );
            }
            strings.push(text.clone());
        }
        Some(strings)
    }

    fn number(&mut self, member: &Member) -> Option<Bound> {
        match member.node.value {
            Value::Integer(it) => Some(Bound::Integer(it)),
            Value::Float(it) => Some(Bound::Float(it)),
            Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
                self.wrong_kind(member, "a number");
                None
            }
        }
    }

    fn count(&mut self, member: &Member) -> Option<usize> {
        match self.number(member)? {
            Bound::Integer(it) if let Ok(it) = usize::try_from(it) => Some(it),
            Bound::Integer(_) | Bound::Float(_) => {
                self.at(&member.node.place, format!("`{}` is not a count", member.key), "write an integer");
                None
            }
        }
    }

    fn rate(&mut self, member: &Member) -> Option<u32> {
        let rate = self.count(member)?;
        let found = u32::try_from(rate).ok().filter(|it| *it != 0);
        if found.is_none() {
            let message = format!("`{}` is {rate}, which is no number of samples a second", member.key);
            self.at(&member.node.place, message, "write an integer such as 16000");
        }
        found
    }

    fn bool(&mut self, member: &Member) -> Option<bool> {
        let Value::Bool(value) = member.node.value else {
            self.wrong_kind(member, "true or false");
            return None;
        };
        Some(value)
    }

    fn one_of<T: Copy>(&mut self, member: &Member, all: &[T], name: impl Fn(T) -> &'static str) -> Option<T> {
        let text = self.string(member)?;
        let found = all.iter().copied().find(|it| name(*it) == text);
        if found.is_none() {
            let hint = suggest(&text, all.iter().map(|it| name(*it)));
            self.at(&member.node.place, format!("unknown {} `{text}`", member.key), hint);
        }
        found
    }

    fn wrong_kind(&mut self, member: &Member, expected: &str) {
        let message = format!("`{}` is {}, expected {expected}", member.key, kind_of(&member.node.value));
        self.at(&member.node.place, message, format!("write {expected}"));
    }

    fn unknown(&mut self, member: &Member, place: &str, allowed: &[&str]) {
        let hint = suggest(&member.key, allowed.iter().copied());
        self.at(&member.place, format!("unknown key `{}` in {place}", member.key), hint);
    }

    fn at(&mut self, place: &Place, message: impl Into<String>, hint: impl Into<String>) {
        self.mistakes.push(Mistake::new(place, message).with_hint(hint));
    }
}

/// Whether a value of `dtype` can equal the bound or lie on either side of it.
fn fits(bound: Bound, dtype: DType) -> bool {
    match dtype {
        DType::Float16 => return bound.as_f64().abs() <= 65504.0,
        DType::Float32 => return bound.as_f64().abs() <= f64::from(f32::MAX),
        DType::Float64 => return bound.as_f64().is_finite(),
        _ => {}
    }
    let Some((low, high)) = dtype.integers().map(RangeInclusive::into_inner) else { return false };
    match bound {
        Bound::Integer(it) => (low..=high).contains(&it),
        Bound::Float(it) => low as f64 <= it && it <= high as f64,
    }
}

#[cfg(test)]
mod tests;
