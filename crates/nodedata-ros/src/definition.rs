use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use nodedata_core::{DType, Error, ErrorKind, Result};

use crate::{builtin, idl, msg::KnownTypes, parts, service};

/// How deep types may lie in each other, and how deep IDL text may nest.
pub(crate) const DEPTH_MAX: usize = 64;

/// Which ROS a `.msg` text belongs to: `byte`, `char`, `time`, `duration` and `Header` differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `byte` is int8, `char` is uint8, `time` and `duration` are primitives, `Header` has `seq`.
    Ros1,
    /// `byte` and `char` are uint8; times are `builtin_interfaces` messages.
    Ros2,
}

/// The types a recording defines, by full name (`pkg/msg/Name`).
///
/// Types every ROS system has (`builtin_interfaces/msg/Time`, `std_msgs/msg/Header` …) are there even
/// when the text leaves them out.
#[derive(Debug, Clone)]
pub struct Definitions {
    types: BTreeMap<String, TypeDef>,
}

impl Definitions {
    /// Parses `.msg` text, alone or followed by its dependencies (`MSG: pkg/Name` after a line of `=`).
    ///
    /// `root_name` names the first definition. Under `pkg/srv/` or `pkg/action/` the text may be that of
    /// the whole service or action; the messages it implies, such as `pkg/srv/X_Event`, are then built.
    ///
    /// # Errors
    /// `Corrupt` for text that is not a definition; `Limit` for sizes and nesting beyond what is read.
    pub fn from_msg(root_name: &str, text: &str, dialect: Dialect) -> Result<Self> {
        let parts = parts::split(text, root_name);
        let full_name = |it: &parts::Part<'_>| without_vendor(&normalize(it.name));
        let known = KnownTypes::new(parts.iter().map(full_name));
        let mut definitions = Self { types: BTreeMap::new() };
        let mut idl_parts = Vec::new();
        for part in &parts {
            let name = full_name(part);
            if part.is_idl {
                idl_parts.push(*part);
            } else {
                // The same dependency may be written twice; the first one counts.
                for (name, structure) in service::parse(&name, part, dialect, &known)? {
                    definitions.add(name, TypeDef::Struct(structure));
                }
            }
        }
        definitions.complete(&idl_parts, dialect)
    }

    /// Parses IDL text: `ros2idl` parts (`IDL: pkg/msg/Name` after a line of `=`, in any order) or plain
    /// OMG IDL. `root_name` (`pkg/msg/Name` or `pkg::msg::Name`) names a part without a heading.
    ///
    /// # Errors
    /// As [`Self::from_msg`]; `Unsupported` for constants that are expressions.
    pub fn from_idl(root_name: &str, text: &str) -> Result<Self> {
        let parts = parts::split(text, root_name);
        Self { types: BTreeMap::new() }.complete(&parts, Dialect::Ros2)
    }

    /// Whether a type of this name is defined. `pkg/Name`, `pkg/msg/Name` and `pkg::msg::Name` are one.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The full names of all types, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    /// The name `name` is filed under, and its type.
    pub(crate) fn find(&self, name: &str) -> Option<(&str, &TypeDef)> {
        let short = name.replace("::", "/");
        let entry = |name: &str| self.types.get_key_value(name).map(|(name, it)| (name.as_str(), it));
        entry(&short).or_else(|| {
            let full = normalize(name);
            // A service bag may name the service where it means its events.
            let own = without_vendor(&full);
            let named = || entry(&full).or_else(|| entry(&format!("{full}_Event"))).or_else(|| entry(&own));
            named().or_else(|| service::derived(&own).find_map(|it| entry(&it)))
        })
    }

    /// The types that a message of type `root` needs and that are not here, sorted. Where `root` itself is not, nothing is known
    /// of what it needs.
    pub(crate) fn missing(&self, root: &str) -> BTreeSet<String> {
        let (mut missing, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut to_do: Vec<&str> = self.find(root).map(|it| it.0).into_iter().collect();
        while let Some(name) = to_do.pop() {
            match self.find(name) {
                Some((name, definition)) => {
                    if seen.insert(name) {
                        definition.each_named(&mut |it| to_do.push(it));
                    }
                }
                None => {
                    missing.insert(without_vendor(&normalize(name)));
                }
            }
        }
        missing
    }

    /// Whether any type says how it may be extended; if none does, the payload's header decides.
    pub(crate) fn has_extensibility(&self) -> bool {
        self.types.values().any(|it| match it {
            TypeDef::Struct(it) => it.extensibility.is_some(),
            TypeDef::Union(it) => it.extensibility.is_some(),
            TypeDef::Enum(_) | TypeDef::Refused(_) => false,
        })
    }

    fn add(&mut self, name: String, definition: TypeDef) {
        self.types.entry(name).or_insert(definition);
    }

    fn complete(mut self, idl_parts: &[parts::Part<'_>], dialect: Dialect) -> Result<Self> {
        for (name, definition) in idl::parse(idl_parts)? {
            self.add(name, definition);
        }
        for (name, structure) in service::events(&self.types) {
            self.add(name, TypeDef::Struct(structure));
        }
        for (name, structure) in builtin::types(dialect) {
            self.add(name, TypeDef::Struct(structure));
        }
        Ok(self)
    }
}

/// The name types are filed under: `pkg/Name` gets its `msg`, `::` becomes `/`, and the spelling DDS
/// uses on the wire (`pkg::msg::dds_::Name_`) is undone.
pub(crate) fn normalize(name: &str) -> String {
    let name = name.trim().replace("::", "/");
    let name = match name.rsplit_once("/dds_/") {
        Some((scope, last)) => format!("{scope}/{}", last.strip_suffix('_').unwrap_or(last)),
        None => name,
    };
    match name.split_once('/') {
        Some((package, rest)) if !rest.contains('/') => format!("{package}/msg/{rest}"),
        _ => name,
    }
}

/// A name as `.msg` text means it: some DDS recorders write their own name in front (`fastdds/pkg/msg/Type`).
pub(crate) fn without_vendor(name: &str) -> String {
    let parts: Vec<&str> = name.split('/').collect();
    match parts[..] {
        [.., _, package, kind @ ("msg" | "srv" | "action"), last] => format!("{package}/{kind}/{last}"),
        _ => name.to_owned(),
    }
}

/// What helps where a message cannot be decoded.
pub(crate) const UNDECODED: &str = "`--undecoded TOPIC` keeps the messages of this topic as bytes";

/// A definition, or a payload under it, that cannot be used.
pub(crate) fn bad_definition(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, message).with_hint(UNDECODED)
}

#[derive(Debug, Clone)]
pub(crate) enum TypeDef {
    Struct(StructDef),
    Enum(EnumDef),
    Union(UnionDef),
    /// A kind of type that has no columns here, such as a bit set; an error only where it is used.
    Refused(&'static str),
}

impl TypeDef {
    /// Hands out the name of every type that its members are of.
    pub(crate) fn each_named<'a>(&'a self, visit: &mut impl FnMut(&'a str)) {
        match self {
            Self::Struct(it) => it.fields.iter().for_each(|it| it.field_type.each_named(visit)),
            Self::Union(it) => {
                it.discriminator.field_type.each_named(visit);
                it.branches.iter().for_each(|it| it.field.field_type.each_named(visit));
            }
            Self::Enum(_) | Self::Refused(_) => {}
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct StructDef {
    pub(crate) fields: Vec<FieldDef>,
    pub(crate) constants: Vec<Constant>,
    pub(crate) extensibility: Option<Extensibility>,
}

#[derive(Debug, Clone)]
pub(crate) struct FieldDef {
    pub(crate) name: String,
    pub(crate) field_type: FieldType,
    /// Identifies the member in parameter lists.
    pub(crate) member_id: u32,
    pub(crate) optional: bool,
    pub(crate) unit: Option<String>,
}

/// An integer constant; constants of other types change no column.
#[derive(Debug, Clone)]
pub(crate) struct Constant {
    pub(crate) name: String,
    pub(crate) primitive: Primitive,
    pub(crate) value: i128,
}

#[derive(Debug, Clone)]
pub(crate) struct EnumDef {
    pub(crate) values: Vec<(String, i64)>,
    /// `Int32` unless the type has another `@bit_bound`.
    pub(crate) primitive: Primitive,
}

#[derive(Debug, Clone)]
pub(crate) struct UnionDef {
    /// A whole number, a bool or an enum.
    pub(crate) discriminator: FieldDef,
    pub(crate) branches: Vec<BranchDef>,
    pub(crate) extensibility: Option<Extensibility>,
}

#[derive(Debug, Clone)]
pub(crate) struct BranchDef {
    pub(crate) labels: Vec<i128>,
    /// Whether it is taken for values that no label names.
    pub(crate) is_default: bool,
    pub(crate) field: FieldDef,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extensibility {
    Final,
    Appendable,
    Mutable,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FieldType {
    Primitive(Primitive),
    Text {
        wide: bool,
        bound: Option<u32>,
    },
    /// Full name.
    Named(String),
    /// Dimensions outermost first, none of them 0.
    Array {
        item: Box<Self>,
        dims: Vec<u32>,
    },
    Sequence {
        item: Box<Self>,
        bound: Option<u32>,
    },
    /// A kind of type that has no columns here; an error only where it is used.
    Refused(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Primitive {
    Bool,
    /// ROS 1 `byte`: an int8 whose lists are raw bytes all the same.
    SignedByte,
    Int8,
    UInt8,
    Int16,
    UInt16,
    Int32,
    UInt32,
    Int64,
    UInt64,
    Float32,
    Float64,
    /// ROS 1 `time`: u32 seconds, u32 nanoseconds.
    Time,
    /// ROS 1 `duration`: i32 seconds, i32 nanoseconds.
    Duration,
}

impl Primitive {
    pub(crate) fn dtype(self) -> DType {
        match self {
            Self::Bool => DType::Bool,
            Self::SignedByte | Self::Int8 => DType::Int8,
            Self::UInt8 => DType::UInt8,
            Self::Int16 => DType::Int16,
            Self::UInt16 => DType::UInt16,
            Self::Int32 => DType::Int32,
            Self::UInt32 => DType::UInt32,
            Self::Int64 | Self::Time | Self::Duration => DType::Int64,
            Self::UInt64 => DType::UInt64,
            Self::Float32 => DType::Float32,
            Self::Float64 => DType::Float64,
        }
    }

    /// Whether a variable list of it is one value of raw bytes.
    pub(crate) fn is_raw_byte(self) -> bool {
        matches!(self, Self::UInt8 | Self::SignedByte)
    }

    pub(crate) fn is_integer(self) -> bool {
        !matches!(self, Self::Bool | Self::Float32 | Self::Float64 | Self::Time | Self::Duration)
    }

    fn name(self) -> &'static str {
        match self {
            Self::SignedByte => "byte",
            Self::Time => "time",
            Self::Duration => "duration",
            other => other.dtype().name(),
        }
    }
}

impl FieldType {
    fn each_named<'a>(&'a self, visit: &mut impl FnMut(&'a str)) {
        match self {
            Self::Named(name) => visit(name),
            Self::Array { item, .. } | Self::Sequence { item, .. } => item.each_named(visit),
            Self::Primitive(_) | Self::Text { .. } | Self::Refused(_) => {}
        }
    }
}

impl fmt::Display for FieldType {
    /// As `.msg` text spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primitive(it) => f.write_str(it.name()),
            Self::Text { wide, bound } => {
                f.write_str(if *wide { "wstring" } else { "string" })?;
                bound.map_or(Ok(()), |it| write!(f, "<={it}"))
            }
            Self::Named(name) => f.write_str(name),
            Self::Array { item, dims } => {
                write!(f, "{item}")?;
                dims.iter().try_for_each(|it| write!(f, "[{it}]"))
            }
            Self::Sequence { item, bound: None } => write!(f, "{item}[]"),
            Self::Sequence { item, bound: Some(bound) } => write!(f, "{item}[<={bound}]"),
            Self::Refused(what) => f.write_str(what),
        }
    }
}
