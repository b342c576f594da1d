use std::collections::BTreeMap;

use nodedata_core::{Error, ErrorKind, Result};

use super::lexer::{Token, TokenKind, tokens};
use crate::{
    definition::{DEPTH_MAX, Extensibility, Primitive, bad_definition},
    msg::parse_integer,
    parts::Part,
};

/// Everything IDL parts declare, by full name (`pkg/msg/Name`), before names are looked up.
pub(super) type Declarations = BTreeMap<String, Declaration>;

#[derive(Debug)]
pub(super) struct Declaration {
    /// The modules around it, outermost first, joined by `/`.
    pub(super) scope: String,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    Struct {
        base: Option<String>,
        members: Vec<Member>,
        extensibility: Option<Extensibility>,
        /// Whether members are identified by hashes of their names.
        has_hashed_ids: bool,
    },
    Enum {
        values: Vec<(String, i64)>,
        primitive: Primitive,
    },
    Union {
        discriminator: RawType,
        branches: Vec<Branch>,
        extensibility: Option<Extensibility>,
    },
    Typedef(RawType),
    Const {
        primitive: Option<Primitive>,
        value: Value,
    },
    Refused(&'static str),
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) raw_type: RawType,
    pub(super) id: Option<u32>,
    pub(super) optional: bool,
    pub(super) unit: Option<String>,
}

#[derive(Debug)]
pub(super) struct Branch {
    pub(super) labels: Vec<Value>,
    pub(super) is_default: bool,
    pub(super) name: String,
    pub(super) raw_type: RawType,
}

#[derive(Debug, Clone)]
pub(super) enum RawType {
    Primitive(Primitive),
    Text {
        wide: bool,
        bound: Option<Value>,
    },
    /// With `::` between the parts, as written.
    Scoped(String),
    Sequence {
        item: Box<Self>,
        bound: Option<Value>,
    },
    Array {
        item: Box<Self>,
        dims: Vec<Value>,
    },
    Refused(&'static str),
}

/// An integer, or the constant that holds it.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Integer(i128),
    Scoped(String),
    /// An expression or a value that is no integer: an error only where a size is needed.
    Other,
}

/// Parses one part into `declarations`; what is declared twice counts once.
pub(super) fn parse_part(part: &Part<'_>, declarations: &mut Declarations) -> Result<()> {
    let tokens = tokens(part)?;
    let mut parser = Parser { part, tokens: &tokens, at: 0, scope: String::new(), declarations };
    parser.definitions(0)?;
    if parser.at < tokens.len() {
        return Err(parser.unexpected("a module, type or constant"));
    }
    Ok(())
}

struct Parser<'a, 'd> {
    part: &'a Part<'a>,
    tokens: &'a [Token<'a>],
    at: usize,
    scope: String,
    declarations: &'d mut Declarations,
}

struct Annotation<'a> {
    name: &'a str,
    /// The last token of the arguments, with its sign.
    value: Option<(bool, Token<'a>)>,
}

impl<'a> Parser<'a, '_> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn next_is(&self, text: &str) -> bool {
        self.peek().is_some_and(|it| it.text == text && it.kind != TokenKind::Literal)
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.next_is(text);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, text: &str) -> Result<()> {
        if self.take(text) { Ok(()) } else { Err(self.unexpected(&format!("`{text}`"))) }
    }

    fn word(&mut self, what: &str) -> Result<&'a str> {
        match self.peek() {
            Some(Token { kind: TokenKind::Word, text, .. }) => {
                self.at += 1;
                Ok(text)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    fn unexpected(&self, expected: &str) -> Error {
        let owner = self.part.name;
        let message = match self.peek() {
            Some(it) => {
                let shown: String = it.text.chars().take(40).collect();
                format!("line {} of the IDL of {owner}: found `{shown}`, expected {expected}", it.line)
            }
            None => format!("the IDL of {owner} ends where {expected} was expected"),
        };
        bad_definition(ErrorKind::Corrupt, message)
    }

    fn too_deep(&self) -> Error {
        let owner = self.part.name;
        bad_definition(ErrorKind::Limit, format!("the IDL of {owner} nests more than {DEPTH_MAX} deep"))
    }

    fn declare(&mut self, name: &str, body: Body) {
        let scope = self.scope.clone();
        self.declarations.entry(joined(&scope, name)).or_insert(Declaration { scope, body });
    }

    fn definitions(&mut self, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(self.too_deep());
        }
        while self.peek().is_some() && !self.next_is("}") {
            if self.take(";") {
                continue;
            }
            let annotations = self.annotations()?;
            match self.word("a module, type or constant")? {
                "module" => {
                    let name = self.word("the name of a module")?;
                    let outer = std::mem::take(&mut self.scope);
                    self.scope = joined(&outer, name);
                    self.expect("{")?;
                    self.definitions(depth + 1)?;
                    self.expect("}")?;
                    self.scope = outer;
                }
                "struct" => self.structure(&annotations)?,
                "enum" => self.enumeration(&annotations)?,
                "typedef" => self.typedef()?,
                "const" => self.constant()?,
                "union" => self.union(&annotations)?,
                "bitmask" => self.refused("a bit mask")?,
                "bitset" => self.refused("a bit set")?,
                "interface" | "valuetype" | "native" | "exception" => self.refused("no data type")?,
                _ => {
                    self.at -= 1;
                    return Err(self.unexpected("`module`, `struct`, `enum`, `typedef` or `const`"));
                }
            }
        }
        Ok(())
    }

    fn annotations(&mut self) -> Result<Vec<Annotation<'a>>> {
        let mut annotations = Vec::new();
        while self.take("@") {
            self.take("::");
            let mut name = self.word("the name of an annotation")?;
            while self.take("::") {
                name = self.word("the name of an annotation")?;
            }
            let mut value = None;
            if self.take("(") {
                let mut n_open = 1;
                while n_open > 0 {
                    let Some(token) = self.peek() else { return Err(self.unexpected("`)`")) };
                    let is_literal = token.kind == TokenKind::Literal;
                    n_open += i32::from(token.text == "(" && !is_literal);
                    n_open -= i32::from(token.text == ")" && !is_literal);
                    if token.kind != TokenKind::Punctuation {
                        let negative = self.at > 0 && self.tokens[self.at - 1].text == "-";
                        value = Some((negative, token));
                    }
                    self.at += 1;
                }
            }
            annotations.push(Annotation { name, value });
        }
        Ok(annotations)
    }

    fn structure(&mut self, annotations: &[Annotation<'_>]) -> Result<()> {
        let name = self.word("the name of a struct")?;
        if self.next_is(";") {
            return Ok(());
        }
        let base = if self.take(":") { Some(self.scoped_name()?) } else { None };
        self.expect("{")?;
        let mut members = Vec::new();
        let is_hash = |it: &Annotation<'_>| {
            let value = it.value.map_or("", |(_, token)| token.text);
            it.name == "hashid" || (it.name == "autoid" && value != "SEQUENTIAL")
        };
        let mut has_hashed_ids = annotations.iter().any(is_hash);
        while !self.take("}") {
            let annotations = self.annotations()?;
            has_hashed_ids |= annotations.iter().any(is_hash);
            let raw_type = self.data_type(0)?;
            let mut id = annotation_integer(&annotations, "id").and_then(|it| u32::try_from(it).ok());
            loop {
                let name = self.word("the name of a member")?.to_owned();
                let raw_type = self.dimensions(raw_type.clone())?;
                let optional = annotations.iter().any(|it| it.name == "optional");
                let unit = annotation_value(&annotations, "unit").map(|(_, it)| it.text.to_owned());
                members.push(Member { name, raw_type, id: id.take(), optional, unit });
                if !self.take(",") {
                    break;
                }
            }
            self.expect(";")?;
        }
        let extensibility = extensibility(annotations);
        self.declare(name, Body::Struct { base, members, extensibility, has_hashed_ids });
        Ok(())
    }

    fn union(&mut self, annotations: &[Annotation<'_>]) -> Result<()> {
        let start = self.at;
        let name = self.word("the name of a union")?;
        if self.next_is(";") {
            return Ok(());
        }
        match self.branches() {
            Ok((discriminator, branches)) => {
                let extensibility = extensibility(annotations);
                self.declare(name, Body::Union { discriminator, branches, extensibility });
                Ok(())
            }
            // What is not understood is an error only where it is used.
            Err(_) => {
                self.at = start;
                self.refused("a union of a kind that is not known")
            }
        }
    }

    /// A union behind its name.
    fn branches(&mut self) -> Result<(RawType, Vec<Branch>)> {
        self.expect("switch")?;
        self.expect("(")?;
        self.annotations()?;
        let discriminator = self.data_type(0)?;
        self.expect(")")?;
        self.expect("{")?;
        let mut branches = Vec::new();
        while !self.take("}") {
            let (mut labels, mut is_default) = (Vec::new(), false);
            loop {
                if self.take("case") {
                    labels.push(self.value_until(":")?);
                } else if self.take("default") {
                    self.expect(":")?;
                    is_default = true;
                } else {
                    break;
                }
            }
            if labels.is_empty() && !is_default {
                return Err(self.unexpected("`case` or `default`"));
            }
            self.annotations()?;
            let raw_type = self.data_type(0)?;
            let name = self.word("the name of a branch")?.to_owned();
            let raw_type = self.dimensions(raw_type)?;
            self.expect(";")?;
            branches.push(Branch { labels, is_default, name, raw_type });
        }
        Ok((discriminator, branches))
    }

    fn enumeration(&mut self, annotations: &[Annotation<'_>]) -> Result<()> {
        let name = self.word("the name of an enum")?;
        self.expect("{")?;
        let mut values = Vec::new();
        let mut next = 0i64;
        while !self.take("}") {
            let annotations = self.annotations()?;
            let name = self.word("the name of an enumerator")?.to_owned();
            let value = annotation_integer(&annotations, "value").and_then(|it| i64::try_from(it).ok());
            let value = value.unwrap_or(next);
            next = value.saturating_add(1);
            values.push((name, value));
            if !self.take(",") && !self.next_is("}") {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
        let primitive = match annotation_integer(annotations, "bit_bound") {
            Some(1..=8) => Primitive::Int8,
            Some(9..=16) => Primitive::Int16,
            _ => Primitive::Int32,
        };
        self.declare(name, Body::Enum { values, primitive });
        Ok(())
    }

    fn typedef(&mut self) -> Result<()> {
        let raw_type = self.data_type(0)?;
        loop {
            let name = self.word("the name of a type")?;
            let raw_type = self.dimensions(raw_type.clone())?;
            self.declare(name, Body::Typedef(raw_type));
            if !self.take(",") {
                return self.expect(";");
            }
        }
    }

    fn constant(&mut self) -> Result<()> {
        let raw_type = self.data_type(0)?;
        let name = self.word("the name of a constant")?;
        self.expect("=")?;
        let value = self.value_until(";")?;
        let primitive = match raw_type {
            RawType::Primitive(primitive) => Some(primitive),
            _ => None,
        };
        self.declare(name, Body::Const { primitive, value });
        Ok(())
    }

    /// Skips a declaration we have no columns for, up to the `;` that ends it.
    fn refused(&mut self, what: &'static str) -> Result<()> {
        let name = self.word("a name")?;
        let mut n_open = 0i32;
        while let Some(token) = self.peek() {
            self.at += 1;
            if token.kind == TokenKind::Punctuation {
                n_open += i32::from(token.text == "{") - i32::from(token.text == "}");
                if token.text == ";" && n_open <= 0 {
                    break;
                }
            }
        }
        self.declare(name, Body::Refused(what));
        Ok(())
    }

    fn scoped_name(&mut self) -> Result<String> {
        let mut name = String::new();
        if self.take("::") {
            name.push_str("::");
        }
        name.push_str(self.word("a type")?);
        while self.take("::") {
            name.push_str("::");
            name.push_str(self.word("a name after `::`")?);
        }
        Ok(name)
    }

    fn dimensions(&mut self, item: RawType) -> Result<RawType> {
        let mut dims = Vec::new();
        while self.take("[") {
            dims.push(self.value_until("]")?);
        }
        Ok(if dims.is_empty() { item } else { RawType::Array { item: Box::new(item), dims } })
    }

    /// A constant value, and the token after it.
    fn value_until(&mut self, end: &str) -> Result<Value> {
        let negative = self.take("-");
        if !negative {
            self.take("+");
        }
        let value = match self.peek() {
            Some(Token { kind: TokenKind::Number, text, .. }) => {
                self.at += 1;
                parse_idl_integer(text)
                    .map_or(Value::Other, |it| Value::Integer(if negative { -it } else { it }))
            }
            Some(Token { kind: TokenKind::Word, .. }) if !negative => Value::Scoped(self.scoped_name()?),
            _ => Value::Other,
        };
        if self.take(end) {
            return Ok(value);
        }
        // An expression: its value is not needed unless it is a size.
        while !self.take(end) {
            let Some(token) = self.peek() else { return Err(self.unexpected(&format!("`{end}`"))) };
            if token.kind == TokenKind::Punctuation && "{};".contains(token.text) {
                return Err(self.unexpected(&format!("`{end}`")));
            }
            self.at += 1;
        }
        Ok(Value::Other)
    }

    fn data_type(&mut self, depth: usize) -> Result<RawType> {
        if depth > DEPTH_MAX {
            return Err(self.too_deep());
        }
        if self.next_is("::") {
            return Ok(RawType::Scoped(self.scoped_name()?));
        }
        let word = self.word("a type")?;
        if let Some(raw_type) = self.basic_type(word)? {
            return Ok(raw_type);
        }
        Ok(match word {
            "string" | "wstring" => {
                let bound = if self.take("<") { Some(self.value_until(">")?) } else { None };
                RawType::Text { wide: word == "wstring", bound }
            }
            "sequence" => {
                self.expect("<")?;
                let item = Box::new(self.data_type(depth + 1)?);
                let bound = if self.take(",") {
                    Some(self.value_until(">")?)
                } else {
                    self.expect(">")?;
                    None
                };
                RawType::Sequence { item, bound }
            }
            "map" => {
                self.expect("<")?;
                self.data_type(depth + 1)?;
                self.expect(",")?;
                self.data_type(depth + 1)?;
                if self.take(",") {
                    self.value_until(">")?;
                } else {
                    self.expect(">")?;
                }
                RawType::Refused("a map")
            }
            _ => {
                self.at -= 1;
                RawType::Scoped(self.scoped_name()?)
            }
        })
    }

    fn basic_type(&mut self, word: &str) -> Result<Option<RawType>> {
        let primitive = match word {
            "boolean" => Primitive::Bool,
            "octet" | "char" | "uint8" => Primitive::UInt8,
            "int8" => Primitive::Int8,
            "int16" | "short" => Primitive::Int16,
            "uint16" => Primitive::UInt16,
            "int32" => Primitive::Int32,
            "uint32" => Primitive::UInt32,
            "int64" => Primitive::Int64,
            "uint64" => Primitive::UInt64,
            "float" => Primitive::Float32,
            "double" => Primitive::Float64,
            "long" if self.take("double") => return Ok(Some(RawType::Refused("a long double"))),
            "long" if self.take("long") => Primitive::Int64,
            "long" => Primitive::Int32,
            "unsigned" if self.take("short") => Primitive::UInt16,
            "unsigned" => {
                self.expect("long")?;
                if self.take("long") { Primitive::UInt64 } else { Primitive::UInt32 }
            }
            "wchar" => return Ok(Some(RawType::Refused("a wide character"))),
            "any" | "fixed" => return Ok(Some(RawType::Refused("a type without a fixed form"))),
            _ => return Ok(None),
        };
        Ok(Some(RawType::Primitive(primitive)))
    }
}

/// `name` inside `scope`, which is empty outside all modules.
pub(super) fn joined(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}/{name}") }
}

/// As C spells integers: a leading 0 means octal.
fn parse_idl_integer(text: &str) -> Option<i128> {
    if text.len() > 1 && text.starts_with('0') && text.bytes().all(|it| it.is_ascii_digit()) {
        return i128::from_str_radix(text, 8).ok();
    }
    parse_integer(text)
}

fn annotation_value<'a>(annotations: &[Annotation<'a>], name: &str) -> Option<(bool, Token<'a>)> {
    annotations.iter().find(|it| it.name == name)?.value
}

fn annotation_integer(annotations: &[Annotation<'_>], name: &str) -> Option<i128> {
    let (negative, token) = annotation_value(annotations, name)?;
    let value = parse_idl_integer(token.text)?;
    Some(if negative { -value } else { value })
}

fn extensibility(annotations: &[Annotation<'_>]) -> Option<Extensibility> {
    annotations.iter().find_map(|it| {
        let word = if it.name == "extensibility" { it.value?.1.text } else { it.name };
        match word {
            "final" | "FINAL" => Some(Extensibility::Final),
            "appendable" | "APPENDABLE" => Some(Extensibility::Appendable),
            "mutable" | "MUTABLE" => Some(Extensibility::Mutable),
            _ => None,
        }
    })
}
