//! From a descriptor set to a plan.

use std::{collections::BTreeSet, fmt::Write};

use nodedata_core::{DType, Error, ErrorKind, Feature, Layout, LeafId, Level, Locus, Result, meta};

use super::{
    AbsentColumn, FieldNumbers, FieldPlan, MessagePlan, ProtobufPlan, Scalar, ValuePlan,
    descriptor::{DescriptorSet, Enum, Field, Message},
};

/// Columns of one message type. Types nest, so a small schema can ask for any number of columns.
const COLUMNS_MAX: usize = 4096;
/// Messages inside messages that get columns of their own; deeper ones stay bytes.
const DEPTH_MAX: usize = 32;
/// Numbers below this are looked up in a table.
const DENSE_NUMBERS: u32 = 256;
/// Text of an enumeration's constants; longer ones are left out, for each column carries its own.
const CONSTANTS_BYTES_MAX: usize = 32 << 10;
/// The column of what the schema does not name.
const UNKNOWN: &str = "_unknown";

/// Compiles the plan on a copy, so that a failure leaves `layout` as it was.
pub(super) fn plan(layout: &mut Layout, schema_name: &str, descriptor_set: &[u8]) -> Result<ProtobufPlan> {
    let set = DescriptorSet::parse(descriptor_set).map_err(|fault| {
        super::to_error(fault, descriptor_set, layout).with_hint(
            "the schema of a protobuf channel is a serialized FileDescriptorSet; record the topic with one",
        )
    })?;
    let schema_name = schema_name.strip_prefix('.').unwrap_or(schema_name);
    let Some(message) = set.messages.get(schema_name) else {
        let n_types = set.messages.len();
        let message = format!("descriptor set of {n_types} message types, but none is `{schema_name}`");
        return Err(Error::new(ErrorKind::Corrupt, message)
            .with_hint("the schema's name must be the full name of a message in its FileDescriptorSet"));
    };
    let mut compiler = Compiler {
        set: &set,
        layout: layout.clone(),
        names: BTreeSet::new(),
        open_types: vec![schema_name.to_owned()],
        n_slots: 0,
    };
    let place = Place { prefix: String::new(), levels: Vec::new(), nullable: false, here_nullable: false };
    let root = compiler.message(schema_name, message, &place)?;
    let mut unknown_name = UNKNOWN.to_owned();
    while compiler.names.contains(&unknown_name) {
        unknown_name.push('_');
    }
    let description = "fields that the schema does not name, as a message of the same type";
    let unknown = Feature::new(unknown_name, DType::Bytes, Vec::new())
        .nullable()
        .with_meta(meta::DESCRIPTION, description)
        .with_meta(meta::SOURCE_TYPE, format!("{schema_name} (protobuf bytes)"));
    let unknown = compiler.leaf(unknown, &[])?;
    *layout = compiler.layout;
    Ok(ProtobufPlan { root, n_slots: compiler.n_slots, unknown })
}

struct Compiler<'s, 'd> {
    set: &'s DescriptorSet<'d>,
    layout: Layout,
    names: BTreeSet<String>,
    /// Full names of the messages being expanded, outermost first.
    open_types: Vec<String>,
    n_slots: usize,
}

/// Where the columns of a message lie.
#[derive(Clone)]
struct Place {
    /// Dotted name with its final dot; empty at the top.
    prefix: String,
    levels: Vec<Level>,
    /// Whether anything above, up to the row, may be absent.
    nullable: bool,
    /// Whether anything above, up to the innermost list, may be absent.
    here_nullable: bool,
}

impl Compiler<'_, '_> {
    fn message(&mut self, name: &str, message: &Message<'_>, place: &Place) -> Result<MessagePlan> {
        let first_slot = self.n_slots;
        self.n_slots += message.fields.len();
        let mut fields = Vec::with_capacity(message.fields.len());
        let mut absent = Vec::new();
        for field in &message.fields {
            let plan = self.field(name, message, field, place)?;
            match (&plan.list, &plan.value) {
                (Some(list), _) => absent.push(AbsentColumn::List(*list)),
                (None, ValuePlan::Message(inner)) => absent.extend_from_slice(&inner.absent),
                (
                    None,
                    ValuePlan::Scalar(leaf, _)
                    | ValuePlan::Wrapper(leaf, _)
                    | ValuePlan::Time(leaf)
                    | ValuePlan::Raw(leaf)
                    | ValuePlan::Presence(leaf),
                ) => absent.push(AbsentColumn::Leaf(*leaf)),
            }
            fields.push(plan);
        }
        let numbers = FieldNumbers::new(name, &fields)?;
        Ok(MessagePlan { fields, numbers, first_slot, absent })
    }

    fn field(
        &mut self,
        message_name: &str,
        message: &Message<'_>,
        field: &Field<'_>,
        outer: &Place,
    ) -> Result<FieldPlan> {
        let full_name = format!("{}{}", outer.prefix, field.name);
        let type_name = self.set.resolve(message_name, field.type_name);
        let scalar = self.scalar_of(field, &type_name).map_err(|err| err.at(Locus::feature(&full_name)))?;
        // An entry of a map always has its key and value: what is not written is the default.
        let explicit_presence =
            !field.repeated && !message.map_entry && (field.explicit_presence || scalar.is_none());
        let mut place = outer.clone();
        place.prefix = full_name;
        let list = field.repeated.then(|| {
            let list = self.layout.list(&place.levels, place.here_nullable);
            place.levels.push(Level::List(list));
            place.here_nullable = false;
            list
        });
        place.nullable |= explicit_presence;
        place.here_nullable |= explicit_presence;
        let value = match scalar {
            Some(scalar) => ValuePlan::Scalar(self.scalar_leaf(&place, scalar, &type_name)?, scalar),
            None => self.message_value(&type_name, place)?,
        };
        Ok(FieldPlan { number: field.number, list, value, oneof: field.oneof, explicit_presence })
    }

    /// The scalar type of a field; `None` for a message.
    fn scalar_of(&self, field: &Field<'_>, type_name: &str) -> Result<Option<Scalar>> {
        Ok(Some(match field.type_number {
            1 => Scalar::Double,
            2 => Scalar::Float,
            3 => Scalar::Int64,
            4 => Scalar::UInt64,
            5 => Scalar::Int32,
            6 => Scalar::Fixed64,
            7 => Scalar::Fixed32,
            8 => Scalar::Bool,
            9 => Scalar::String,
            10 | 11 => return Ok(None),
            12 => Scalar::Bytes,
            13 => Scalar::UInt32,
            14 => Scalar::Enum,
            15 => Scalar::SFixed32,
            16 => Scalar::SFixed64,
            17 => Scalar::SInt32,
            18 => Scalar::SInt64,
            // Left to the name: an enumeration or a message.
            0 if self.set.enums.contains_key(type_name) => Scalar::Enum,
            0 if !type_name.is_empty() => return Ok(None),
            other => {
                let message = format!("field type {other}, but protobuf has 1 to 18");
                return Err(Error::new(ErrorKind::Corrupt, message)
                    .with_hint("regenerate the FileDescriptorSet that the topic is recorded with"));
            }
        }))
    }

    fn scalar_leaf(&mut self, place: &Place, scalar: Scalar, type_name: &str) -> Result<LeafId> {
        let mut feature = place.feature(scalar.dtype());
        if scalar == Scalar::Enum {
            feature = feature.with_meta(meta::SOURCE_TYPE, type_name);
            if let Some(constants) = self.set.enums.get(type_name).and_then(constants) {
                feature = feature.with_meta(meta::CONSTANTS, constants);
            }
        }
        self.leaf(feature, &place.levels)
    }

    fn message_value(&mut self, type_name: &str, mut place: Place) -> Result<ValuePlan> {
        let sourced = |dtype| place.feature(dtype).with_meta(meta::SOURCE_TYPE, type_name);
        match type_name.strip_prefix("google.protobuf.") {
            Some("Timestamp" | "Duration") => {
                let feature = sourced(DType::Int64).with_meta(meta::UNIT, "ns");
                return Ok(ValuePlan::Time(self.leaf(feature, &place.levels)?));
            }
            Some("Struct" | "Value" | "ListValue" | "Any") => return self.raw(type_name, &place),
            Some(name) if wrapped(name).is_some() => {
                let scalar = wrapped(name).unwrap_or(Scalar::Bytes);
                let leaf = self.leaf(sourced(scalar.dtype()), &place.levels)?;
                return Ok(ValuePlan::Wrapper(leaf, scalar));
            }
            _ => {}
        }
        let set = self.set;
        // A type that the set lacks cannot be expanded either, and its bytes are not lost this way.
        let Some(message) = set.messages.get(type_name) else { return self.raw(type_name, &place) };
        if self.open_types.iter().any(|it| it == type_name) || self.open_types.len() >= DEPTH_MAX {
            return self.raw(type_name, &place);
        }
        if message.fields.is_empty() {
            return Ok(ValuePlan::Presence(self.leaf(sourced(DType::Bool), &place.levels)?));
        }
        self.open_types.push(type_name.to_owned());
        place.prefix.push('.');
        let inner = self.message(type_name, message, &place)?;
        self.open_types.pop();
        Ok(ValuePlan::Message(Box::new(inner)))
    }

    fn raw(&mut self, type_name: &str, place: &Place) -> Result<ValuePlan> {
        let feature =
            place.feature(DType::Bytes).with_meta(meta::SOURCE_TYPE, format!("{type_name} (protobuf bytes)"));
        Ok(ValuePlan::Raw(self.leaf(feature, &place.levels)?))
    }

    fn leaf(&mut self, feature: Feature, levels: &[Level]) -> Result<LeafId> {
        if self.names.len() >= COLUMNS_MAX {
            let message = format!("message type of more than {COLUMNS_MAX} columns");
            return Err(Error::new(ErrorKind::Limit, message)
                .at(Locus::feature(&feature.name))
                .with_hint("leave this topic out"));
        }
        if !self.names.insert(feature.name.clone()) {
            return Err(Error::new(ErrorKind::Corrupt, format!("two fields named `{}`", feature.name))
                .with_hint("regenerate the FileDescriptorSet that the topic is recorded with"));
        }
        Ok(self.layout.leaf(feature, levels))
    }
}

impl Place {
    fn feature(&self, dtype: DType) -> Feature {
        let feature = Feature::new(self.prefix.clone(), dtype, Layout::shape(&self.levels));
        if self.nullable { feature.nullable() } else { feature }
    }
}

impl FieldNumbers {
    fn new(message_name: &str, fields: &[FieldPlan]) -> Result<Self> {
        let mut found = Self::default();
        for (idx, field) in fields.iter().enumerate() {
            // `COLUMNS_MAX` keeps positions in 16 bits: every field has at least one column.
            let position = idx as u16;
            if field.number >= DENSE_NUMBERS {
                found.sparse.push((field.number, position));
                continue;
            }
            let number = field.number as usize;
            if found.dense.len() <= number {
                found.dense.resize(number + 1, 0);
            }
            if std::mem::replace(&mut found.dense[number], position + 1) != 0 {
                return Err(same_number(message_name, field.number));
            }
        }
        found.sparse.sort_unstable();
        match found.sparse.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(same_number(message_name, pair[0].0)),
            None => Ok(found),
        }
    }
}

fn constants(of: &Enum<'_>) -> Option<String> {
    let mut joined = String::new();
    for (name, value) in &of.values {
        let separator = if joined.is_empty() { "" } else { "," };
        write!(joined, "{separator}{name}={value}").ok()?;
        if joined.len() > CONSTANTS_BYTES_MAX {
            return None;
        }
    }
    Some(joined)
}

fn same_number(message_name: &str, number: u32) -> Error {
    Error::new(ErrorKind::Corrupt, format!("two fields of `{message_name}` have the number {number}"))
        .with_hint("regenerate the FileDescriptorSet that the topic is recorded with")
}

impl Scalar {
    fn dtype(self) -> DType {
        match self {
            Self::Double => DType::Float64,
            Self::Float => DType::Float32,
            Self::Int64 | Self::SFixed64 | Self::SInt64 => DType::Int64,
            Self::UInt64 | Self::Fixed64 => DType::UInt64,
            Self::Int32 | Self::Enum | Self::SFixed32 | Self::SInt32 => DType::Int32,
            Self::Fixed32 | Self::UInt32 => DType::UInt32,
            Self::Bool => DType::Bool,
            Self::String => DType::String,
            Self::Bytes => DType::Bytes,
        }
    }
}

/// The scalar inside a type of `google/protobuf/wrappers.proto`.
fn wrapped(name: &str) -> Option<Scalar> {
    Some(match name {
        "DoubleValue" => Scalar::Double,
        "FloatValue" => Scalar::Float,
        "Int64Value" => Scalar::Int64,
        "UInt64Value" => Scalar::UInt64,
        "Int32Value" => Scalar::Int32,
        "UInt32Value" => Scalar::UInt32,
        "BoolValue" => Scalar::Bool,
        "StringValue" => Scalar::String,
        "BytesValue" => Scalar::Bytes,
        _ => return None,
    })
}
