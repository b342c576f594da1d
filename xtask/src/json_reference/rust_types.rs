//! Types as `rustfmt` writes them: an item begins at the first column and ends there, a field or variant is a line or a
//! few of them. That is enough to read what `serde` makes of our own types, and no parser of Rust is needed for it.

use std::collections::BTreeMap;

use crate::workspace::Result;

/// A type that may be printed.
pub(super) struct Definition {
    pub(super) name: String,
    /// The file, relative to the root.
    pub(super) path: String,
    /// Crates that the file names, to tell types of one name apart.
    pub(super) uses: String,
    pub(super) doc: String,
    pub(super) attributes: String,
    pub(super) body: Body,
}

/// What a type is made of.
pub(super) enum Body {
    Struct(Vec<Field>),
    Enum(Vec<Variant>),
    /// A name for another type, or a struct around one.
    Like(String),
}

pub(super) struct Field {
    pub(super) name: String,
    pub(super) doc: String,
    pub(super) attributes: String,
    pub(super) ty: String,
}

pub(super) struct Variant {
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
}

/// All types of the workspace, by name.
#[derive(Default)]
pub(super) struct Definitions(BTreeMap<String, Vec<Definition>>);

impl Definitions {
    /// Takes in the types of a file.
    pub(super) fn read(&mut self, path: &str, text: &str) -> Result<()> {
        let uses = text.lines().filter(|it| it.contains("nodedata_")).collect::<Vec<_>>().join("\n");
        let mut lines = text.lines();
        let mut above = Above::default();
        while let Some(line) = lines.next() {
            if above.take(line, &mut lines) {
                continue;
            }
            let item = without_visibility(line);
            let Some((keyword, rest)) = item.split_once(' ') else {
                above = Above::default();
                continue;
            };
            let name: String = rest.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect();
            let body = match keyword {
                "type" => Body::Like(like(rest, &mut lines)),
                "struct" if line.ends_with('{') => {
                    Body::Struct(fields(&block(&mut lines)).map_err(|it| format!("{path}, {name}: {it}"))?)
                }
                "struct" if rest.contains('(') => Body::Like(wrapped(rest)),
                "enum" if line.ends_with('{') => {
                    Body::Enum(variants(&block(&mut lines)).map_err(|it| format!("{path}, {name}: {it}"))?)
                }
                _ => {
                    above = Above::default();
                    continue;
                }
            };
            let Above { doc, attributes } = std::mem::take(&mut above);
            if keyword == "type" || attributes.contains("Serialize") {
                let (path, uses) = (path.to_owned(), uses.clone());
                let definition = Definition { name: name.clone(), path, uses, doc, attributes, body };
                self.0.entry(name).or_default().push(definition);
            }
        }
        Ok(())
    }

    /// The type that is meant by a name in a file.
    pub(super) fn find(&self, name: &str, path: &str, uses: &str) -> Result<&Definition> {
        let all = self.0.get(name).map_or(&[][..], Vec::as_slice);
        let krate = |path: &str| path.split('/').nth(1).unwrap_or_default().to_owned();
        let here = krate(path);
        let ranks: [&dyn Fn(&Definition) -> bool; 3] =
            [&|it| it.path == path, &|it| krate(&it.path) == here, &|it| {
                uses.contains(&krate(&it.path).replace('-', "_"))
            }];
        for rank in ranks {
            let found: Vec<&Definition> = all.iter().filter(|it| rank(it)).collect();
            match found.as_slice() {
                [] => {}
                [one] => return Ok(one),
                _ => return Err(format!("{path}: `{name}` is the name of several types that are printed")),
            }
        }
        Err(format!("{path}: `{name}` is printed as JSON, but no type of that name says how"))
    }
}

/// The words and attributes above an item.
#[derive(Default)]
struct Above {
    doc: String,
    attributes: String,
}

impl Above {
    /// Whether the line, with those that belong to it, is one of these.
    fn take<'a>(&mut self, line: &'a str, lines: &mut impl Iterator<Item = &'a str>) -> bool {
        let line = line.trim_start();
        if let Some(words) = line.strip_prefix("///") {
            if !self.doc.is_empty() {
                self.doc.push(' ');
            }
            self.doc.push_str(words.trim());
            return true;
        }
        if !line.starts_with("#[") {
            // A remark belongs to nobody.
            return line.starts_with("//");
        }
        let mut attribute = line.to_owned();
        while depth(&attribute) > 0 {
            let Some(next) = lines.next() else { break };
            attribute.push_str(next.trim());
        }
        self.attributes.push_str(&attribute);
        true
    }
}

/// The lines up to the brace at the first column.
fn block<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    lines.take_while(|it| *it != "}").collect()
}

fn fields(lines: &[&str]) -> Result<Vec<Field>> {
    let mut found = Vec::new();
    let mut above = Above::default();
    let mut lines = lines.iter().copied();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() || above.take(line, &mut lines) {
            continue;
        }
        let mut field = without_visibility(line.trim()).to_owned();
        while !(field.ends_with(',') && depth(&field) == 0) {
            let next = lines.next().ok_or_else(|| format!("`{field}` does not end"))?;
            field.push_str(next.trim());
        }
        let (name, ty) =
            field.trim_end_matches(',').split_once(": ").ok_or_else(|| format!("`{field}` is no field"))?;
        let Above { doc, attributes } = std::mem::take(&mut above);
        found.push(Field { name: name.to_owned(), doc, attributes, ty: ty.to_owned() });
    }
    Ok(found)
}

fn variants(lines: &[&str]) -> Result<Vec<Variant>> {
    let mut found = Vec::new();
    let mut above = Above::default();
    let mut lines = lines.iter().copied();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() || above.take(line, &mut lines) {
            continue;
        }
        above = Above::default();
        let line = line.trim();
        let name: String = line.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect();
        let inside = if line.ends_with('{') {
            let inside: Vec<&str> = lines.by_ref().take_while(|it| it.trim() != "},").collect();
            fields(&inside)?
        } else {
            Vec::new()
        };
        found.push(Variant { name, fields: inside });
    }
    Ok(found)
}

/// What `type X = …;` stands for.
fn like<'a>(rest: &str, lines: &mut impl Iterator<Item = &'a str>) -> String {
    let mut text = rest.to_owned();
    while !text.ends_with(';') {
        let Some(next) = lines.next() else { break };
        text.push_str(next.trim());
    }
    text.split_once(" = ").map_or_else(String::new, |(_, ty)| ty.trim_end_matches(';').to_owned())
}

/// What `struct X(…);` is around.
fn wrapped(rest: &str) -> String {
    let inside = rest.split_once('(').map_or("", |(_, it)| it);
    let inside = inside.trim_end_matches(';').trim_end_matches(')');
    without_visibility(inside).to_owned()
}

fn without_visibility(text: &str) -> &str {
    let Some(rest) = text.strip_prefix("pub") else { return text };
    match rest.strip_prefix('(') {
        Some(rest) => rest.split_once(") ").map_or(text, |(_, it)| it),
        None => rest.strip_prefix(' ').unwrap_or(text),
    }
}

/// How many brackets are open at the end.
fn depth(text: &str) -> i32 {
    let of = |it: char| match it {
        '(' | '[' | '<' | '{' => 1,
        ')' | ']' | '>' | '}' => -1,
        _ => 0,
    };
    text.replace("->", "").chars().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
use nodedata_core::X;

/// One thing
/// in two lines.
#[derive(Debug, Serialize)]
#[serde(
    rename_all = \"kebab-case\"
)]
pub struct Thing<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    // A remark.
    #[serde(skip)]
    inner: BTreeMap<
        String,
        (u64, u64),
    >,
}

#[derive(Serialize)]
pub enum Kind {
    /// A.
    Plain,
    /// B.
    Full {
        /// What.
        what: u64,
    },
}

pub type Things = Vec<Thing>;

struct Unprinted {
    it: u64,
}
";

    #[test]
    fn types_are_read() {
        let mut all = Definitions::default();
        all.read("crates/nodedata-a/src/lib.rs", TEXT).expect("it can be read");
        let thing = all.find("Thing", "crates/nodedata-a/src/lib.rs", "").expect("it is there");
        assert_eq!(thing.doc, "One thing in two lines.");
        assert!(thing.attributes.contains("kebab-case"), "{}", thing.attributes);
        let Body::Struct(fields) = &thing.body else { panic!("a struct") };
        let told: Vec<_> =
            fields.iter().map(|it| (it.name.as_str(), it.ty.as_str(), it.doc.as_str())).collect();
        assert_eq!(told, [("name", "&'a str", "Its name."), ("inner", "BTreeMap<String,(u64, u64),>", "")]);
        let kind =
            all.find("Kind", "crates/nodedata-b/src/lib.rs", "use nodedata_a::Kind;").expect("it is used");
        let Body::Enum(variants) = &kind.body else { panic!("an enum") };
        assert_eq!((variants[0].name.as_str(), variants[1].fields[0].name.as_str()), ("Plain", "what"));
        assert!(all.find("Unprinted", "crates/nodedata-a/src/lib.rs", "").is_err());
        assert!(all.find("Kind", "crates/nodedata-b/src/lib.rs", "").is_err());
    }
}
