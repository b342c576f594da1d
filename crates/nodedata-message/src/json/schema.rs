use std::collections::BTreeSet;

use nodedata_core::{Error, ErrorKind, Locus, Result};

use super::{
    describe::{Described, DescribedMember, Kind, Scalar, UnknownKeys},
    ordered::{Members, Ordered},
    plan::LEAVES_MAX,
};

/// Nesting of the schema that becomes columns; deeper values become JSON text.
const DEPTH_MAX: usize = 32;
/// Longest list of equal length in every message that becomes a fixed shape.
const FIXED_MAX: u64 = 65_536;
/// Subschemas looked at: a few `$ref`s that name each other can describe millions.
const SUBSCHEMAS_MAX: usize = 16_384;

/// Reads a JSON schema. `None` when it allows anything, so that a message need not even be JSON.
///
/// # Errors
/// `Corrupt` when it is not JSON, not a schema, or a local `$ref` leads nowhere; `Limit` when it
/// describes too much.
pub(crate) fn describe_schema(text: &[u8]) -> Result<Option<Described>> {
    // A byte order mark, as editors of one system put it there.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let root: Ordered = serde_json::from_slice(text).map_err(|err| {
        Error::new(ErrorKind::Corrupt, "JSON schema is not JSON")
            .with_source(err)
            .with_hint("`--undecoded TOPIC` keeps the messages of this topic as bytes")
    })?;
    let anything = match &root {
        Ordered::Bool(true) => true,
        Ordered::Object(schema) => !CONSTRAINTS.iter().any(|it| schema.contains(it)),
        _ => return Err(corrupt("", "JSON schema is neither an object nor `true`")),
    };
    if anything {
        return Ok(None);
    }
    let mut reader = Reader { root: &root, refs: Vec::new(), n_subschemas: 0 };
    reader.describe(&root, "", 0).map(Some)
}

/// Keywords that say something of a value; a schema without any of them allows everything.
const CONSTRAINTS: [&str; 10] =
    ["type", "properties", "required", "items", "$ref", "allOf", "anyOf", "oneOf", "enum", "const"];

struct Reader<'s> {
    root: &'s Ordered,
    /// The `$ref`s being followed: a type that contains itself stops there.
    refs: Vec<&'s str>,
    n_subschemas: usize,
}

impl<'s> Reader<'s> {
    fn describe(&mut self, schema: &'s Ordered, path: &str, depth: usize) -> Result<Described> {
        self.n_subschemas += 1;
        if self.n_subschemas > SUBSCHEMAS_MAX {
            let message = format!("JSON schema describes more than {SUBSCHEMAS_MAX} values");
            return Err(Error::new(ErrorKind::Limit, message)
                .with_hint("`--undecoded TOPIC` keeps the messages of this topic as bytes"));
        }
        let Ordered::Object(schema) = schema else {
            return match schema {
                Ordered::Bool(_) => Ok(anything()),
                _ => Err(corrupt(path, "JSON schema is neither an object nor a boolean")),
            };
        };
        if depth > DEPTH_MAX {
            return Ok(anything());
        }
        let mut described = if let Some(target) = schema.get("$ref") {
            self.follow(target, path, depth)?
        } else if let Some(only) = self.combination(schema, path, depth)? {
            only
        } else {
            self.typed(schema, path, depth)?
        };
        if let Some(text) = schema.text("description") {
            described.description = Some(text.to_owned());
        }
        Ok(described)
    }

    fn follow(&mut self, target: &'s Ordered, path: &str, depth: usize) -> Result<Described> {
        let Some(target) = target.as_text() else { return Err(corrupt(path, "`$ref` is not text")) };
        let Some(pointer) = target.strip_prefix('#') else {
            // Another document: what it allows is not known here.
            return Ok(anything());
        };
        if self.refs.contains(&target) {
            return Ok(anything());
        }
        let Some(schema) = self.root.pointer(pointer) else {
            return Err(corrupt(path, format!("`$ref` leads nowhere: {target}")));
        };
        self.refs.push(target);
        let described = self.describe(schema, path, depth + 1);
        self.refs.pop();
        described
    }

    /// `anyOf`, `oneOf` and `allOf` where they only wrap one schema, or add null to it, as the common
    /// generators write optional values. Other combinations may be anything.
    fn combination(&mut self, schema: &'s Members, path: &str, depth: usize) -> Result<Option<Described>> {
        let Some(branches) = ["anyOf", "oneOf", "allOf"].iter().find_map(|it| schema.get(it)) else {
            return Ok(None);
        };
        let Ordered::List(branches) = branches else {
            return Err(corrupt(path, "schema list is not a list"));
        };
        let is_null = |it: &Ordered| it.member("type").and_then(Ordered::as_text) == Some("null");
        let has_null = !schema.contains("allOf") && branches.iter().any(is_null);
        let mut others = branches.iter().filter(|it| !is_null(it));
        let (Some(only), None) = (others.next(), others.next()) else { return Ok(Some(anything())) };
        if ["type", "properties", "items"].iter().any(|it| schema.contains(it)) {
            return Ok(Some(anything()));
        }
        let mut described = self.describe(only, path, depth + 1)?;
        described.nullable |= has_null;
        Ok(Some(described))
    }

    fn typed(&mut self, schema: &'s Members, path: &str, depth: usize) -> Result<Described> {
        let (names, nullable) = type_names(schema, path)?;
        let mut described: Described = match names.as_slice() {
            ["boolean"] => Described::scalar(Scalar::Bool),
            ["integer"] => Described::scalar(whole_type(schema)),
            ["number"] | ["integer", "number"] | ["number", "integer"] => Described::scalar(Scalar::Float64),
            ["string"] => Described::scalar(if is_base64(schema) { Scalar::Bytes } else { Scalar::String }),
            ["array"] => self.array(schema, path, depth)?,
            ["object"] => self.object(schema, path, depth)?,
            _ => anything(),
        };
        described.nullable |= nullable;
        Ok(described)
    }

    fn array(&mut self, schema: &'s Members, path: &str, depth: usize) -> Result<Described> {
        let Some(items) = schema.get("items") else { return Ok(anything()) };
        if matches!(items, Ordered::List(_)) || schema.contains("prefixItems") {
            // A tuple: each position has its own type.
            return Ok(anything());
        }
        if is_base64(schema) {
            return Ok(Described::scalar(Scalar::Bytes));
        }
        let item = self.describe(items, path, depth + 1)?;
        let bound = |key: &str| schema.unsigned(key);
        let n_items = match (bound("minItems"), bound("maxItems")) {
            (Some(min), Some(max)) if min == max && (1..=FIXED_MAX).contains(&min) => u32::try_from(min).ok(),
            _ => None,
        };
        // Only numbers and bools of one shape lie in fixed lists; nulls and objects need variable ones.
        let fixed = match (n_items, &item.kind, item.nullable) {
            (Some(n), Kind::Scalar(scalar), false) if *scalar != Scalar::JsonText => {
                Some(Kind::Fixed { scalar: *scalar, dims: vec![n] })
            }
            (Some(n), Kind::Fixed { scalar, dims }, false) => {
                let n_values = dims.iter().map(|it| u64::from(*it)).product::<u64>() * u64::from(n);
                let dims = [&[n], dims.as_slice()].concat();
                (n_values <= FIXED_MAX).then_some(Kind::Fixed { scalar: *scalar, dims })
            }
            _ => None,
        };
        Ok(fixed.unwrap_or_else(|| Kind::List(Box::new(item))).into())
    }

    fn object(&mut self, schema: &'s Members, path: &str, depth: usize) -> Result<Described> {
        let properties = match schema.get("properties") {
            None => return Ok(anything()),
            Some(Ordered::Object(it)) if it.0.is_empty() => return Ok(anything()),
            Some(Ordered::Object(it)) => it,
            Some(_) => return Err(corrupt(path, "`properties` is not an object")),
        };
        if is_time(schema, properties) {
            return Ok(Described::scalar(Scalar::Nanos));
        }
        let required: BTreeSet<&str> = match schema.get("required") {
            Some(Ordered::List(keys)) => keys.iter().filter_map(Ordered::as_text).collect(),
            _ => BTreeSet::new(),
        };
        let is_closed = schema.get("additionalProperties") == Some(&Ordered::Bool(false))
            && !schema.contains("patternProperties");
        let mut members = Vec::with_capacity(properties.0.len().min(LEAVES_MAX));
        for (key, property) in &properties.0 {
            let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let mut value = self.describe(property, &below, depth + 1)?;
            let required = required.contains(key.as_str());
            value.nullable |= !required;
            members.push(DescribedMember { key: key.clone(), required, value });
        }
        let unknown = if is_closed { UnknownKeys::Refused } else { UnknownKeys::Kept };
        Ok(Kind::Object { members, unknown }.into())
    }
}

fn anything() -> Described {
    Described::scalar(Scalar::JsonText)
}

/// The type names without `null`, and whether null is among them.
fn type_names<'s>(schema: &'s Members, path: &str) -> Result<(Vec<&'s str>, bool)> {
    let mut names: Vec<&str> = match schema.get("type") {
        Some(Ordered::Text(name)) => vec![name.as_str()],
        Some(Ordered::List(names)) => names.iter().filter_map(Ordered::as_text).collect(),
        Some(_) => return Err(corrupt(path, "`type` is neither text nor a list of texts")),
        None if schema.contains("properties") => vec!["object"],
        None => values_type(schema),
    };
    let n_before = names.len();
    names.retain(|it| *it != "null");
    let nullable = names.len() < n_before;
    Ok((names, nullable))
}

/// The type shared by the values of `enum` or `const`; empty when there is none.
fn values_type(schema: &Members) -> Vec<&'static str> {
    let values: Vec<&Ordered> = match (schema.get("enum"), schema.get("const")) {
        (Some(Ordered::List(values)), _) => values.iter().collect(),
        (_, Some(value)) => vec![value],
        _ => return Vec::new(),
    };
    let mut names: Vec<&str> = Vec::new();
    for value in values {
        let name = match value {
            Ordered::Null => "null",
            Ordered::Bool(_) => "boolean",
            Ordered::Text(_) => "string",
            Ordered::Float => "number",
            Ordered::Unsigned(_) | Ordered::Negative => "integer",
            Ordered::List(_) | Ordered::Object(_) => return Vec::new(),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Whole numbers are int64, unless the schema allows no negative ones and reaches beyond it.
fn whole_type(schema: &Members) -> Scalar {
    let is_unsigned = schema.unsigned("minimum").is_some();
    let is_wide = schema.unsigned("maximum").is_some_and(|it| i64::try_from(it).is_err());
    if is_unsigned && is_wide { Scalar::UInt64 } else { Scalar::Int64 }
}

fn is_base64(schema: &Members) -> bool {
    schema.text("contentEncoding").is_some_and(|it| it.eq_ignore_ascii_case("base64"))
}

/// The times and durations of Foxglove's schemas: titled objects of two whole numbers.
fn is_time(schema: &Members, properties: &Members) -> bool {
    let is_whole = |key: &str| {
        let property = properties.get(key);
        property.and_then(|it| it.member("type")).and_then(Ordered::as_text) == Some("integer")
    };
    matches!(schema.text("title"), Some("time" | "duration"))
        && properties.0.len() == 2
        && is_whole("sec")
        && is_whole("nsec")
}

fn corrupt(path: &str, message: impl Into<String>) -> Error {
    let error = Error::new(ErrorKind::Corrupt, message)
        .with_hint("correct the schema, or let `--undecoded TOPIC` keep the messages of this topic as bytes");
    if path.is_empty() { error } else { error.at(Locus::feature(path)) }
}
