//! From definitions to the columns of a topic, and a tree that says which bytes go where.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use nodedata_core::{DType, Error, ErrorKind, Feature, Layout, LeafId, Level, ListId, Result, meta};

use crate::definition::{
    BranchDef, Constant, DEPTH_MAX, Definitions, EnumDef, Extensibility, FieldDef, FieldType, Primitive,
    StructDef, TypeDef, UnionDef, bad_definition,
};

/// Columns one message type may have.
const LEAVES_MAX: usize = 4096;
/// Fields of all kinds one message type may expand to: structs without columns count too.
const NODES_MAX: usize = 65_536;
/// Values an absent member may stand for: one flag byte must not become megabytes of zeros.
const ABSENT_VALUES_MAX: u64 = 4096;
/// A column's dotted name, and the declaration kept beside it.
const NAME_BYTES_MAX: usize = 1024;
/// Pairs of constants and fields looked at to find out what belongs together.
const PAIRS_MAX: usize = 1 << 20;
/// Longer lists of constants are left to the schema text.
const CONSTANTS_BYTES_MAX: usize = 16 << 10;

/// A field of the message, or an item of one.
#[derive(Debug)]
pub(crate) struct Node {
    /// Dotted path in the message, without marks for lists.
    pub(crate) name: String,
    pub(crate) kind: NodeKind,
}

#[derive(Debug)]
pub(crate) enum NodeKind {
    Scalar {
        leaf: LeafId,
        scalar: Scalar,
    },
    Array {
        n: u32,
        item: Box<Node>,
    },
    List {
        items: Items,
        item: Box<Node>,
    },
    Struct {
        extensibility: Option<Extensibility>,
        members: Vec<Member>,
    },
    Union {
        extensibility: Option<Extensibility>,
        discriminator: Box<Node>,
        /// Whether the discriminator may be negative.
        signed: bool,
        branches: Vec<Branch>,
    },
}

/// What a union may hold; its columns are null where it holds another.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) labels: Vec<i128>,
    pub(crate) is_default: bool,
    pub(crate) node: Node,
}

/// Where the number of items of a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Items {
    /// To the list that their columns lie in.
    In(ListId),
    /// To a column of its own: the items have none.
    Counted(LeafId),
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: u32,
    pub(crate) optional: bool,
    pub(crate) node: Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    Bool,
    /// A number of this many bytes.
    Number(usize),
    /// An IDL enum: not primitive where XCDR2 asks.
    Enum(usize),
    Time(TimeKind),
    Text,
    WideText,
    /// A variable list of bytes.
    Blob,
}

/// Seconds and nanoseconds that become one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeKind {
    /// `builtin_interfaces` Time and Duration: i32, u32.
    Message(Option<Extensibility>),
    /// ROS 1 time: u32, u32.
    Ros1Time,
    /// ROS 1 duration: i32, i32.
    Ros1Duration,
}

/// Appends the columns of `root` to `layout`.
pub(crate) fn compile(layout: &mut Layout, definitions: &Definitions, root: &str) -> Result<Node> {
    let taken = layout.features().map(|it| it.name.clone()).collect();
    let mut compiler = Compiler {
        definitions,
        layout,
        taken,
        stack: Vec::new(),
        constants: BTreeMap::new(),
        n_leaves: 0,
        n_nodes: 0,
    };
    let Some((name, definition)) = definitions.find(root) else {
        let known: Vec<&str> = definitions.names().take(8).collect();
        return Err(bad_definition(
            ErrorKind::Corrupt,
            format!("type {root} is not in its own definition, which has {}", known.join(", ")),
        ));
    };
    let TypeDef::Struct(structure) = definition else {
        return Err(bad_definition(
            ErrorKind::Unsupported,
            format!("{name} is no struct, expected a message"),
        ));
    };
    let place = Place { name: "", levels: &[], n_values: 1, depth: 0, optional: false, list_optional: false };
    compiler.structure(name, structure, &place)
}

struct Compiler<'a> {
    definitions: &'a Definitions,
    layout: &'a mut Layout,
    taken: BTreeSet<String>,
    /// The structs around the current field, to notice one that contains itself.
    stack: Vec<&'a str>,
    constants: BTreeMap<&'a str, Rc<Vec<Option<String>>>>,
    n_leaves: usize,
    n_nodes: usize,
}

/// Where a field lies.
struct Place<'a> {
    name: &'a str,
    levels: &'a [Level],
    /// Product of the fixed dimensions around it.
    n_values: u64,
    depth: usize,
    /// Whether something around it may be absent.
    optional: bool,
    /// Whether that is nearer than any list around it.
    list_optional: bool,
}

/// What the declaration of a field says about its column.
struct Facts<'a> {
    field: &'a FieldDef,
    constants: Option<&'a str>,
}

impl<'a> Compiler<'a> {
    fn structure(&mut self, name: &'a str, structure: &'a StructDef, place: &Place<'_>) -> Result<Node> {
        if self.stack.contains(&name) {
            return Err(contains_itself(name, place.name));
        }
        self.stack.push(name);
        let constants = self.constants.entry(name).or_insert_with(|| Rc::new(constants_of_fields(structure)));
        let constants = Rc::clone(constants);
        let mut members = Vec::with_capacity(structure.fields.len());
        for (field, constants) in structure.fields.iter().zip(constants.iter()) {
            let name = if place.name.is_empty() {
                field.name.clone()
            } else {
                format!("{}.{}", place.name, field.name)
            };
            let optional = field.optional;
            if optional && matches!(place.levels.last(), Some(Level::Fixed(_))) {
                return Err(no_columns(&name, "an optional member inside a fixed array"));
            }
            let inner = Place {
                name: &name,
                depth: place.depth + 1,
                optional: place.optional || optional,
                list_optional: place.list_optional || optional,
                ..*place
            };
            let facts = Facts { field, constants: constants.as_deref() };
            let node = self.field(&field.field_type, &inner, &facts)?;
            members.push(Member { id: field.member_id, optional, node });
        }
        self.stack.pop();
        let kind = NodeKind::Struct { extensibility: structure.extensibility, members };
        Ok(Node { name: place.name.to_owned(), kind })
    }

    fn field(&mut self, field_type: &'a FieldType, place: &Place<'_>, facts: &Facts<'_>) -> Result<Node> {
        self.n_nodes += 1;
        if place.name.len() > NAME_BYTES_MAX {
            return Err(bad_definition(
                ErrorKind::Limit,
                format!("a field has a name of {} bytes, more than {NAME_BYTES_MAX}", place.name.len()),
            ));
        }
        if self.n_nodes > NODES_MAX || place.depth > DEPTH_MAX {
            return Err(bad_definition(
                ErrorKind::Limit,
                format!(
                    "the message is deeper than {DEPTH_MAX} or has more than {NODES_MAX} fields at `{}`",
                    place.name
                ),
            ));
        }
        match field_type {
            FieldType::Primitive(primitive) => self.primitive(*primitive, place, facts),
            FieldType::Text { wide, .. } => {
                let scalar = if *wide { Scalar::WideText } else { Scalar::Text };
                self.scalar(scalar, DType::String, place, facts, None)
            }
            FieldType::Named(name) => self.named(name, place, facts),
            FieldType::Array { item, dims } => self.array(item, dims, place, facts),
            FieldType::Sequence { item, .. } => self.sequence(item, place, facts),
            FieldType::Refused(what) => Err(no_columns(place.name, what)),
        }
    }

    fn primitive(&mut self, primitive: Primitive, place: &Place<'_>, facts: &Facts<'_>) -> Result<Node> {
        let dtype = primitive.dtype();
        let scalar = match primitive {
            Primitive::Bool => Scalar::Bool,
            Primitive::Time => Scalar::Time(TimeKind::Ros1Time),
            Primitive::Duration => Scalar::Time(TimeKind::Ros1Duration),
            _ => Scalar::Number(dtype.byte_width().unwrap_or(1)),
        };
        self.scalar(scalar, dtype, place, facts, None)
    }

    fn named(&mut self, name: &str, place: &Place<'_>, facts: &Facts<'_>) -> Result<Node> {
        let definitions = self.definitions;
        match definitions.find(name) {
            Some((name, TypeDef::Struct(structure))) if is_time(name, structure) => {
                let scalar = Scalar::Time(TimeKind::Message(structure.extensibility));
                self.scalar(scalar, DType::Int64, place, facts, None)
            }
            Some((name, TypeDef::Struct(structure))) => self.structure(name, structure, place),
            Some((_, TypeDef::Enum(EnumDef { values, primitive }))) => {
                let dtype = primitive.dtype();
                let values = values.iter().map(|(name, value)| (name.as_str(), i128::from(*value)));
                let scalar = Scalar::Enum(dtype.byte_width().unwrap_or(4));
                self.scalar(scalar, dtype, place, facts, constants_text(values).as_deref())
            }
            Some((name, TypeDef::Union(union))) => self.union(name, union, place),
            Some((_, TypeDef::Refused(what))) => Err(no_columns(place.name, what)),
            None => Err(bad_definition(
                ErrorKind::Corrupt,
                format!("field `{}` has type {name}, which the definition leaves out", place.name),
            )),
        }
    }

    /// One column for the discriminator, and those of each branch.
    fn union(&mut self, name: &'a str, union: &'a UnionDef, place: &Place<'_>) -> Result<Node> {
        if self.stack.contains(&name) {
            return Err(contains_itself(name, place.name));
        }
        if matches!(place.levels.last(), Some(Level::Fixed(_))) {
            return Err(no_columns(place.name, "a union inside a fixed array"));
        }
        self.stack.push(name);
        let named = |field: &FieldDef| match place.name {
            "" => field.name.clone(),
            above => format!("{above}.{}", field.name),
        };
        let UnionDef { discriminator, branches, extensibility } = union;
        let signed = match &discriminator.field_type {
            FieldType::Primitive(it) => {
                matches!(it.dtype(), DType::Int8 | DType::Int16 | DType::Int32 | DType::Int64)
            }
            _ => true,
        };
        let of = |field: &'a FieldDef| Facts { field, constants: None };
        let column = named(discriminator);
        let inner = Place { name: &column, depth: place.depth + 1, ..*place };
        let node = self.field(&discriminator.field_type, &inner, &of(discriminator))?;
        let mut compiled = Vec::with_capacity(branches.len());
        for BranchDef { labels, is_default, field } in branches {
            let column = named(field);
            let inner = Place { name: &column, optional: true, list_optional: true, ..inner };
            let node = self.field(&field.field_type, &inner, &of(field))?;
            compiled.push(Branch { labels: labels.clone(), is_default: *is_default, node });
        }
        self.stack.pop();
        let (discriminator, extensibility) = (Box::new(node), *extensibility);
        let kind = NodeKind::Union { extensibility, discriminator, signed, branches: compiled };
        Ok(Node { name: place.name.to_owned(), kind })
    }

    fn array(
        &mut self,
        item: &'a FieldType,
        dims: &[u32],
        place: &Place<'_>,
        facts: &Facts<'_>,
    ) -> Result<Node> {
        let n = dims.iter().try_fold(1u32, |all, it| all.checked_mul(*it));
        let n_values = n.and_then(|n| place.n_values.checked_mul(u64::from(n)));
        let (Some(n), Some(n_values @ ..=0x7fff_ffff)) = (n, n_values) else {
            return Err(bad_definition(
                ErrorKind::Limit,
                format!("fixed array `{}` has more than 2147483647 values", place.name),
            ));
        };
        if place.list_optional && n_values > ABSENT_VALUES_MAX {
            return Err(no_columns(place.name, "an optional fixed array of more than 4096 values"));
        }
        let mut levels = place.levels.to_vec();
        levels.extend(dims.iter().map(|it| Level::Fixed(*it)));
        let inner = Place { levels: &levels, n_values, depth: place.depth + 1, ..*place };
        let item = Box::new(self.field(item, &inner, facts)?);
        Ok(Node { name: place.name.to_owned(), kind: NodeKind::Array { n, item } })
    }

    fn sequence(&mut self, item: &'a FieldType, place: &Place<'_>, facts: &Facts<'_>) -> Result<Node> {
        if matches!(item, FieldType::Primitive(it) if it.is_raw_byte()) {
            return self.scalar(Scalar::Blob, DType::Bytes, place, facts, None);
        }
        let nullable = place.list_optional;
        if nullable && matches!(place.levels.last(), Some(Level::Fixed(_))) {
            return Err(no_columns(place.name, "an optional list inside a fixed array"));
        }
        let list = self.layout.list(place.levels, nullable);
        let mut levels = place.levels.to_vec();
        levels.push(Level::List(list));
        let inner = Place { levels: &levels, depth: place.depth + 1, list_optional: false, ..*place };
        let n_leaves_before = self.n_leaves;
        let item = Box::new(self.field(item, &inner, facts)?);
        let items = if self.n_leaves > n_leaves_before {
            Items::In(list)
        } else {
            // All that items without columns leave is their number.
            let name = format!("{}.length", place.name);
            let place = Place { name: &name, ..*place };
            let counted = self.scalar(Scalar::Number(4), DType::UInt32, &place, facts, None)?;
            let NodeKind::Scalar { leaf, .. } = counted.kind else { return Ok(counted) };
            Items::Counted(leaf)
        };
        Ok(Node { name: place.name.to_owned(), kind: NodeKind::List { items, item } })
    }

    fn scalar(
        &mut self,
        scalar: Scalar,
        dtype: DType,
        place: &Place<'_>,
        facts: &Facts<'_>,
        enumerators: Option<&str>,
    ) -> Result<Node> {
        self.n_leaves += 1;
        if self.n_leaves > LEAVES_MAX {
            return Err(bad_definition(
                ErrorKind::Limit,
                format!("the message has more than {LEAVES_MAX} columns at `{}`", place.name),
            ));
        }
        let mut name = place.name.to_owned();
        // A log's own columns come first: a field called `sequence` must not share the name of one.
        while !self.taken.insert(name.clone()) {
            name.insert_str(0, "message.");
        }
        let mut feature = Feature::new(name, dtype, Layout::shape(place.levels));
        feature.nullable = place.optional;
        if let Some(constants) = enumerators.or(facts.constants) {
            feature = feature.with_meta(meta::CONSTANTS, constants);
        }
        let field_type = &facts.field.field_type;
        if tells_more_than_its_column(field_type) {
            let source_type = field_type.to_string();
            if source_type.len() <= NAME_BYTES_MAX {
                feature = feature.with_meta(meta::SOURCE_TYPE, source_type);
            }
        }
        let unit = if matches!(scalar, Scalar::Time(_)) { Some("ns") } else { facts.field.unit.as_deref() };
        let unit = unit.filter(|it| it.len() <= NAME_BYTES_MAX);
        if let Some(unit) = unit {
            feature = feature.with_meta(meta::UNIT, unit);
        }
        let leaf = self.layout.leaf(feature, place.levels);
        Ok(Node { name: place.name.to_owned(), kind: NodeKind::Scalar { leaf, scalar } })
    }
}

fn contains_itself(type_name: &str, field: &str) -> Error {
    bad_definition(
        ErrorKind::Unsupported,
        format!("{type_name} contains itself at `{field}`, expected a type of finite depth"),
    )
}

fn no_columns(name: &str, what: &str) -> Error {
    bad_definition(ErrorKind::Unsupported, format!("field `{name}` is {what}, which has no columns here"))
}

fn is_time(name: &str, structure: &StructDef) -> bool {
    let expected = [("sec", Primitive::Int32), ("nanosec", Primitive::UInt32)];
    matches!(name, "builtin_interfaces/msg/Time" | "builtin_interfaces/msg/Duration")
        && structure.fields.len() == expected.len()
        && structure.fields.iter().zip(expected).all(|(field, (name, primitive))| {
            field.name == name && !field.optional && field.field_type == FieldType::Primitive(primitive)
        })
}

/// Whether type and shape of the column do not say all of the declaration.
fn tells_more_than_its_column(field_type: &FieldType) -> bool {
    match field_type {
        FieldType::Primitive(it) => {
            matches!(it, Primitive::Time | Primitive::Duration | Primitive::SignedByte)
        }
        FieldType::Text { wide, bound } => *wide || bound.is_some(),
        FieldType::Named(_) => true,
        FieldType::Array { item, .. } | FieldType::Sequence { item, bound: None } => {
            tells_more_than_its_column(item)
        }
        FieldType::Sequence { bound: Some(_), .. } => true,
        FieldType::Refused(_) => false,
    }
}

/// For each field, the constants that name its values.
///
/// A definition does not say which field a constant belongs to. Either the constant's name starts with
/// that of the field, or only one field has its type, when that type is a byte; other guesses would
/// mislead (`visualization_msgs/Marker` has `int32 ARROW` and, first, `int32 id`).
fn constants_of_fields(structure: &StructDef) -> Vec<Option<String>> {
    let fields = &structure.fields;
    let mut of_fields: Vec<Vec<&Constant>> = vec![Vec::new(); fields.len()];
    if (1..=PAIRS_MAX).contains(&structure.constants.len().saturating_mul(fields.len())) {
        let upper: Vec<String> = fields.iter().map(|it| it.name.to_ascii_uppercase() + "_").collect();
        for constant in &structure.constants {
            let has_its_type =
                |idx: &usize| item_primitive(&fields[*idx].field_type) == Some(constant.primitive);
            let by_name = (0..fields.len())
                .filter(|idx| constant.name.to_ascii_uppercase().starts_with(&upper[*idx]))
                .filter(has_its_type)
                .max_by_key(|idx| upper[*idx].len());
            let by_type = || {
                let mut same_type = (0..fields.len()).filter(has_its_type);
                let only = same_type.next().filter(|_| same_type.next().is_none());
                only.filter(|_| constant.primitive.dtype().byte_width() == Some(1))
            };
            if let Some(idx) = by_name.or_else(by_type) {
                of_fields[idx].push(constant);
            }
        }
    }
    of_fields
        .into_iter()
        .map(|constants| constants_text(constants.iter().map(|it| (it.name.as_str(), it.value))))
        .collect()
}

fn item_primitive(field_type: &FieldType) -> Option<Primitive> {
    match field_type {
        FieldType::Primitive(it) => Some(*it),
        FieldType::Array { item, .. } | FieldType::Sequence { item, .. } => item_primitive(item),
        FieldType::Text { .. } | FieldType::Named(_) | FieldType::Refused(_) => None,
    }
}

fn constants_text<'n>(constants: impl Iterator<Item = (&'n str, i128)>) -> Option<String> {
    let mut text = String::new();
    for (name, value) in constants {
        let separator = if text.is_empty() { "" } else { "," };
        text.push_str(&format!("{separator}{name}={value}"));
        if text.len() > CONSTANTS_BYTES_MAX {
            return None;
        }
    }
    (!text.is_empty()).then_some(text)
}
