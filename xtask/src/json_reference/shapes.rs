//! What `serde` makes of types: members with a kind each.

use std::collections::BTreeMap;

use super::rust_types::{Body, Definition, Definitions, Field, Variant};
use crate::workspace::Result;

/// What a value is.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    Any,
    OneOf(Vec<String>),
    Array(Box<Self>),
    Tuple(Vec<Self>),
    Map(Box<Self>),
    Nullable(Box<Self>),
    /// A shape of that name.
    Shape(String),
}

/// A member of an object.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) doc: String,
    pub(super) kind: Kind,
    /// Whether it is always there.
    pub(super) required: bool,
}

/// An object.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) doc: String,
    pub(super) members: Vec<Member>,
    /// The file of its type: two of one name would be one shape.
    path: String,
}

/// A document.
pub(super) struct Document {
    /// `convert/1`.
    pub(super) name: String,
    /// What prints it.
    pub(super) by: String,
    pub(super) shape: Shape,
}

pub(super) type Documents = Vec<Document>;

/// The shapes inside documents, by name.
pub(super) struct Shapes(pub(super) BTreeMap<String, Shape>);

impl Shapes {
    /// Reads the table of documents, and every type that they are made of.
    pub(super) fn of_documents(
        text: &str,
        path: &str,
        definitions: &Definitions,
    ) -> Result<(Documents, Self)> {
        let mut shapes = Self(BTreeMap::new());
        let mut documents = Vec::new();
        let table = text.lines().skip_while(|it| *it != "documents! {").skip(1).take_while(|it| *it != "}");
        let mut by = String::new();
        for line in table.map(str::trim) {
            if let Some(words) = line.strip_prefix("///") {
                by.push_str(words);
                continue;
            }
            let row = line.trim_end_matches(',').split_once(" => ");
            let (ty, name) = row.ok_or_else(|| format!("{path}: `{line}` is no row of the table"))?;
            let definition = definitions.find(bare(ty), path, text)?;
            let shape = shapes.shape(definition, definitions)?;
            let by = std::mem::take(&mut by).trim().to_owned();
            documents.push(Document { name: name.trim_matches('"').to_owned(), by, shape });
        }
        if documents.is_empty() {
            return Err(format!("{path}: the table of documents is not there"));
        }
        Ok((documents, shapes))
    }

    fn shape(&mut self, of: &Definition, all: &Definitions) -> Result<Shape> {
        let members = self.members(of, all)?;
        Ok(Shape { doc: of.doc.clone(), members, path: of.path.clone() })
    }

    fn members(&mut self, of: &Definition, all: &Definitions) -> Result<Vec<Member>> {
        match &of.body {
            Body::Struct(fields) => self.of_fields(fields, of, all),
            Body::Enum(variants) => self.of_variants(variants, of, all),
            Body::Like(_) => Err(format!("{}: `{}` is no object", of.path, of.name)),
        }
    }

    fn of_fields(&mut self, fields: &[Field], of: &Definition, all: &Definitions) -> Result<Vec<Member>> {
        let mut members = Vec::new();
        for field in fields {
            let says = |it: &str| serde_says(&field.attributes, it);
            if says("skip") {
                continue;
            }
            if says("flatten") {
                let inner = all.find(bare(&field.ty), &of.path, &of.uses)?;
                members.extend(self.members(inner, all)?);
                continue;
            }
            let name = value_of(&field.attributes, "rename").unwrap_or(field.name.clone());
            let kind = if says("with") { Kind::Text } else { self.kind(&field.ty, of, all)? };
            let required = !field.attributes.contains("skip_serializing_if");
            // What may be absent is never null.
            let kind = match kind {
                Kind::Nullable(kind) if !required => *kind,
                kind => kind,
            };
            members.push(Member { name, doc: field.doc.clone(), kind, required });
        }
        Ok(members)
    }

    /// An enum with a tag: the tag, and the members of all variants.
    fn of_variants(
        &mut self,
        variants: &[Variant],
        of: &Definition,
        all: &Definitions,
    ) -> Result<Vec<Member>> {
        let tag = value_of(&of.attributes, "tag")
            .ok_or_else(|| format!("{}: `{}` has no tag", of.path, of.name))?;
        let names = names(variants, &of.attributes);
        let mut members = vec![Member {
            name: tag,
            doc: "Which of these it is.".to_owned(),
            kind: Kind::OneOf(names.clone()),
            required: true,
        }];
        for (name, variant) in names.iter().zip(variants) {
            for member in self.of_fields(&variant.fields, of, all)? {
                let doc = format!("Of `{name}`: {}", member.doc);
                match members.iter_mut().find(|it| it.name == member.name) {
                    Some(there) if there.kind == member.kind => {
                        there.doc = format!("{} {doc}", there.doc);
                    }
                    Some(_) => return Err(format!("{}: `{}` is of two kinds", of.path, member.name)),
                    None => members.push(Member { doc, required: false, ..member }),
                }
            }
        }
        Ok(members)
    }

    fn kind(&mut self, ty: &str, of: &Definition, all: &Definitions) -> Result<Kind> {
        let ty = unreferenced(ty);
        if let Some(inside) = between(ty, '(', ')') {
            let parts = split(inside);
            return Ok(Kind::Tuple(parts.iter().map(|it| self.kind(it, of, all)).collect::<Result<_>>()?));
        }
        if let Some(inside) = between(ty, '[', ']') {
            let item = inside.split(';').next().unwrap_or(inside);
            return Ok(Kind::Array(Box::new(self.kind(item, of, all)?)));
        }
        let (name, arguments) = match ty.split_once('<') {
            Some((name, rest)) => (name, split(rest.strip_suffix('>').unwrap_or(rest))),
            None => (ty, Vec::new()),
        };
        let argument = |at: usize| {
            let found = arguments.iter().filter(|it| !it.starts_with('\'')).nth(at);
            found.map(String::as_str).ok_or_else(|| format!("{}: `{ty}` is not understood", of.path))
        };
        Ok(match name {
            "String" | "str" | "PathBuf" | "Path" | "B3" | "VersionReq" => Kind::Text,
            "bool" => Kind::Boolean,
            "f64" | "f32" => Kind::Number,
            "Value" => Kind::Any,
            "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" => Kind::Integer,
            "Arc" | "Box" | "Cow" => self.kind(argument(0)?, of, all)?,
            "Option" => Kind::Nullable(Box::new(self.kind(argument(0)?, of, all)?)),
            "Vec" => Kind::Array(Box::new(self.kind(argument(0)?, of, all)?)),
            "BTreeMap" => Kind::Map(Box::new(self.kind(argument(1)?, of, all)?)),
            "Mistake" => self.mistake(),
            _ => self.named(all.find(name, &of.path, &of.uses)?, all)?,
        })
    }

    fn named(&mut self, of: &Definition, all: &Definitions) -> Result<Kind> {
        if value_of(&of.attributes, "into").is_some_and(|it| it == "String") {
            return Ok(Kind::Text);
        }
        match &of.body {
            Body::Like(ty) => return self.kind(ty, of, all),
            Body::Enum(variants) if variants.iter().all(|it| it.fields.is_empty()) => {
                return Ok(Kind::OneOf(names(variants, &of.attributes)));
            }
            Body::Enum(_) | Body::Struct(_) => {}
        }
        match self.0.get(&of.name) {
            Some(there) if there.path == of.path => {}
            Some(there) => {
                return Err(format!("`{}` is a type of {} and of {}", of.name, there.path, of.path));
            }
            None => {
                // Its name first: a type may hold itself.
                let empty = Shape { doc: String::new(), members: Vec::new(), path: of.path.clone() };
                self.0.insert(of.name.clone(), empty);
                let shape = self.shape(of, all)?;
                self.0.insert(of.name.clone(), shape);
            }
        }
        Ok(Kind::Shape(of.name.clone()))
    }

    /// The one type that says by hand how it is printed.
    fn mistake(&mut self) -> Kind {
        let nullable = |kind| Kind::Nullable(Box::new(kind));
        let member = |name: &str, kind, doc: &str| Member {
            name: name.to_owned(),
            doc: doc.to_owned(),
            kind,
            required: true,
        };
        let members = vec![
            member("line", nullable(Kind::Integer), "Line of the file, from 1."),
            member("column", nullable(Kind::Integer), "Column of the line, from 1."),
            member(
                "set",
                nullable(Kind::Text),
                "The `--set` that it is in, where it is in none of the file's lines.",
            ),
            member("message", Kind::Text, "What is wrong."),
            member("hint", nullable(Kind::Text), "What to do about it."),
        ];
        let path = "crates/nodedata-core/src/placed.rs".to_owned();
        let doc = "A mistake in a file of the user's.".to_owned();
        self.0.entry("Mistake".to_owned()).or_insert(Shape { doc, members, path });
        Kind::Shape("Mistake".to_owned())
    }
}

/// The type without references and lifetimes.
fn unreferenced(ty: &str) -> &str {
    let mut ty = ty.trim();
    while let Some(rest) = ty.strip_prefix('&') {
        ty = match rest.strip_prefix('\'') {
            Some(rest) => rest.split_once(' ').map_or(rest, |(_, it)| it),
            None => rest,
        };
    }
    ty
}

/// The name of a type, without what it is over.
fn bare(ty: &str) -> &str {
    unreferenced(ty).split('<').next().unwrap_or(ty)
}

/// Parts between commas that no bracket holds.
fn split(inside: &str) -> Vec<String> {
    let (mut parts, mut part, mut depth) = (Vec::new(), String::new(), 0);
    for letter in inside.chars() {
        match letter {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth -= 1,
            _ => {}
        }
        if letter == ',' && depth == 0 {
            parts.push(std::mem::take(&mut part).trim().to_owned());
        } else {
            part.push(letter);
        }
    }
    parts.push(part.trim().to_owned());
    parts.retain(|it| !it.is_empty());
    parts
}

/// What stands between two brackets.
fn between(text: &str, open: char, close: char) -> Option<&str> {
    text.strip_prefix(open)?.strip_suffix(close)
}

fn serde_says(attributes: &str, word: &str) -> bool {
    let inside = attributes.split("#[serde(").skip(1).filter_map(|it| it.split_once(")]"));
    inside.flat_map(|(it, _)| it.split(',')).any(|it| it.trim().split(' ').next() == Some(word))
}

/// The text that an attribute of `serde` gives a word.
fn value_of(attributes: &str, word: &str) -> Option<String> {
    let inside = attributes.split("#[serde(").skip(1).filter_map(|it| it.split_once(")]"));
    let mut pairs = inside.flat_map(|(it, _)| it.split(',')).filter_map(|it| it.trim().split_once(" = "));
    pairs.find(|(key, _)| *key == word).map(|(_, value)| value.trim_matches('"').to_owned())
}

/// Variants as they are printed.
fn names(variants: &[Variant], attributes: &str) -> Vec<String> {
    let mark = match value_of(attributes, "rename_all").as_deref() {
        Some("kebab-case") => Some("-"),
        Some("snake_case") => Some("_"),
        Some("lowercase") => Some(""),
        _ => None,
    };
    let printed = |it: &Variant| match mark {
        None => it.name.clone(),
        Some(mark) => {
            let mut text = String::new();
            for letter in it.name.chars() {
                if letter.is_uppercase() && !text.is_empty() {
                    text.push_str(mark);
                }
                text.extend(letter.to_lowercase());
            }
            text
        }
    };
    variants.iter().map(printed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_taken_apart() {
        assert_eq!(unreferenced("&'a [DamageEntry]"), "[DamageEntry]");
        assert_eq!(bare("Conversion<'_>"), "Conversion");
        assert_eq!(split("String, Vec<(u64, u64)>,"), ["String", "Vec<(u64, u64)>"]);
        assert_eq!(between("[String; 0]", '[', ']'), Some("String; 0"));
        let attributes =
            "#[derive(Debug)]#[serde(default, rename = \"use\", skip_serializing_if = \"Option::is_none\")]";
        assert_eq!(value_of(attributes, "rename").as_deref(), Some("use"));
        assert!(!serde_says(attributes, "skip") && serde_says("#[serde(skip)]", "skip"));
        let variant = |it: &str| Variant { name: it.to_owned(), fields: Vec::new() };
        let kebab = "#[serde(rename_all = \"kebab-case\")]";
        assert_eq!(
            names(&[variant("SpecialCategory"), variant("None")], kebab),
            ["special-category", "none"]
        );
    }
}
