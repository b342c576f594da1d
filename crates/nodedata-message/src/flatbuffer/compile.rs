//! From a reflection schema to a plan.

use std::{collections::BTreeSet, fmt::Write};

use nodedata_core::{DType, Error, ErrorKind, Feature, Layout, LeafId, Level, Locus, Result, meta};

use super::{
    AbsentColumn, FieldPlan, FlatBufferPlan, ItemPlan, MemberPlan, StructPlan, TablePlan, ValuePlan,
    reflection::{self, BaseType, Enum, Field, Object, Schema, Type},
    to_error,
};

/// Columns of one table type. Types nest, so a small schema can ask for any number of columns.
const COLUMNS_MAX: usize = 4096;
/// Tables inside tables that get columns of their own; deeper ones are kept in `_unknown`.
const DEPTH_MAX: usize = 32;
/// Fields and union members that are looked at, each as often as its type is used.
const FIELDS_MAX: usize = 1 << 16;
/// Text of an enumeration's constants; longer ones are left out, for each column carries its own.
const CONSTANTS_BYTES_MAX: usize = 32 << 10;
/// The column of messages that the other columns do not hold entirely.
const UNKNOWN: &str = "_unknown";

/// Compiles the plan on a copy, so that a failure leaves `layout` as it was.
pub(super) fn plan(layout: &mut Layout, schema_name: &str, bytes: &[u8]) -> Result<FlatBufferPlan> {
    let schema = reflection::parse(bytes).map_err(|fault| {
        to_error(fault, "schema", bytes.len(), layout)
            .with_hint("the schema of a flatbuffer channel is a .bfbs file, as `flatc --schema -b` makes it")
    })?;
    let found = schema.objects.iter().position(|it| it.name == schema_name && !it.is_struct);
    let Some(root) = found else {
        let n_objects = schema.objects.len();
        let message = format!("FlatBuffers schema of {n_objects} types, but no table is `{schema_name}`");
        return Err(Error::new(ErrorKind::Corrupt, message)
            .with_hint("the schema's name must be the full name of a table in its .bfbs data"));
    };
    let mut compiler = Compiler {
        schema: &schema,
        layout: layout.clone(),
        names: BTreeSet::new(),
        open_types: vec![root],
        kept: Vec::new(),
        n_fields: 0,
    };
    let top = Place { name: String::new(), levels: Vec::new(), nullable: false };
    let root = compiler.table(&schema.objects[root], &top)?;
    let mut unknown_name = UNKNOWN.to_owned();
    while compiler.names.contains(&unknown_name) {
        unknown_name.push('_');
    }
    let mut description = "the whole message, where other columns do not hold all of it".to_owned();
    if !compiler.kept.is_empty() {
        description.push_str("; fields without columns: ");
        description.push_str(&compiler.kept.join(", "));
    }
    let unknown = Feature::new(unknown_name, DType::Bytes, Vec::new())
        .nullable()
        .with_meta(meta::DESCRIPTION, description)
        .with_meta(meta::SOURCE_TYPE, format!("{schema_name} (FlatBuffers bytes)"));
    let unknown = compiler.leaf(unknown, &[])?;
    *layout = compiler.layout;
    Ok(FlatBufferPlan { root, unknown })
}

pub(super) struct Compiler<'s, 'd> {
    pub(super) schema: &'s Schema<'d>,
    layout: Layout,
    names: BTreeSet<String>,
    /// Tables being expanded, outermost first.
    open_types: Vec<usize>,
    /// Names of the fields that get no columns.
    kept: Vec<String>,
    n_fields: usize,
}

/// Where the columns of a value lie.
#[derive(Clone)]
pub(super) struct Place {
    /// Dotted name; empty for the message itself.
    pub(super) name: String,
    pub(super) levels: Vec<Level>,
    /// Whether anything above, up to the row, may be absent.
    pub(super) nullable: bool,
}

impl<'s> Compiler<'s, '_> {
    fn table(&mut self, object: &'s Object<'_>, place: &Place) -> Result<TablePlan> {
        let mut fields = Vec::with_capacity(object.fields.len());
        let mut vtable_end = 4;
        self.look_at(object.fields.len(), place)?;
        let mut before = None;
        for field in &object.fields {
            if field.offset < 4 || !field.offset.is_multiple_of(2) {
                let message = format!("vtable offset {}, but offsets are even and at least 4", field.offset);
                return Err(corrupt(message).at(Locus::feature(place.below(field.name).name)));
            }
            vtable_end = vtable_end.max(usize::from(field.offset) + 2);
            let value = self.value(field, before, place.below(field.name))?;
            fields.push(FieldPlan { slot: field.offset, value });
            before = Some(field);
        }
        let mut absent = Vec::new();
        for field in &fields {
            field.value.absent_columns(&mut absent);
        }
        let presence = if absent.is_empty() && !place.name.is_empty() {
            let feature = place.feature(DType::Bool).with_meta(meta::SOURCE_TYPE, object.name);
            Some(self.leaf(feature, &place.levels)?)
        } else {
            None
        };
        absent.extend(presence.map(AbsentColumn::Leaf));
        let n_values = absent.iter().map(|it| match it {
            AbsentColumn::Leaf(leaf) => self.layout.values_per_item(*leaf),
            AbsentColumn::List(_) => 1,
        });
        let cost = 8 * (1 + n_values.sum::<usize>());
        Ok(TablePlan { fields, vtable_end, presence, absent, cost })
    }

    fn value(
        &mut self,
        field: &Field<'_>,
        before: Option<&Field<'_>>,
        mut place: Place,
    ) -> Result<ValuePlan> {
        if field.is_wide {
            return Ok(self.keep(place));
        }
        if let Some((dtype, width)) = number(field.of.base) {
            place.nullable |= field.optional;
            let leaf = self.number_leaf(&place, dtype, field.of)?;
            let default = (!field.optional).then(|| default_bytes(dtype, field));
            return Ok(ValuePlan::Number { leaf, width, is_bool: dtype == DType::Bool, default });
        }
        place.nullable = true;
        match field.of.base {
            BaseType::String => {
                let leaf = self.leaf(place.feature(DType::String), &place.levels)?;
                Ok(ValuePlan::Bytes { leaf, is_text: true })
            }
            BaseType::Vector if field.of.element == BaseType::UByte && field.of.index.is_none() => {
                let leaf = self.leaf(place.feature(DType::Bytes), &place.levels)?;
                Ok(ValuePlan::Bytes { leaf, is_text: false })
            }
            BaseType::Vector => self.vector(field, place),
            BaseType::Obj => {
                let (idx, inner) = self.object(field.of, &place)?;
                if inner.is_struct {
                    return Ok(ValuePlan::Struct(self.structure(inner, &place)?));
                }
                match self.nested_table(idx, &place)? {
                    Some(plan) => Ok(ValuePlan::Table(plan)),
                    None => Ok(self.keep(place)),
                }
            }
            BaseType::Union => self.union(field, before, place),
            BaseType::Vector64 => Ok(self.keep(place)),
            other => {
                Err(corrupt(format!("field of type {other:?} in a table")).at(Locus::feature(place.name)))
            }
        }
    }

    fn vector(&mut self, field: &Field<'_>, mut place: Place) -> Result<ValuePlan> {
        let element = Type { base: field.of.element, ..field.of };
        if matches!(element.base, BaseType::Union | BaseType::UType) {
            return Ok(self.keep(place));
        }
        if element.base == BaseType::Obj {
            let (idx, inner) = self.object(element, &place)?;
            if !inner.is_struct && self.is_open(idx) {
                return Ok(self.keep(place));
            }
        }
        let list = self.layout.list(&place.levels, true);
        place.levels.push(Level::List(list));
        let item = if let Some((dtype, width)) = number(element.base) {
            let leaf = self.number_leaf(&place, dtype, element)?;
            ItemPlan::Number { leaf, width, is_bool: dtype == DType::Bool }
        } else if element.base == BaseType::String {
            ItemPlan::Text { leaf: self.leaf(place.feature(DType::String), &place.levels)? }
        } else if element.base == BaseType::Obj {
            let (idx, inner) = self.object(element, &place)?;
            match inner.is_struct {
                true => ItemPlan::Struct(self.structure(inner, &place)?),
                false => match self.nested_table(idx, &place)? {
                    Some(plan) => ItemPlan::Table(plan),
                    None => return Ok(self.keep(place)),
                },
            }
        } else {
            let message = format!("vector of {:?}", element.base);
            return Err(corrupt(message).at(Locus::feature(place.name)));
        };
        Ok(ValuePlan::Vector { list, item })
    }

    fn union(&mut self, field: &Field<'_>, before: Option<&Field<'_>>, place: Place) -> Result<ValuePlan> {
        let schema = self.schema;
        // Every union `x` has a field `x_type`, whose id is the one before.
        let type_field = before.filter(|it| it.of.base == BaseType::UType);
        let found = field.of.index.and_then(|it| schema.enums.get(it));
        let (Some(type_field), Some(found)) = (type_field, found) else {
            return Err(corrupt("union without its type".to_owned()).at(Locus::feature(place.name)));
        };
        self.look_at(found.values.len(), &place)?;
        let mut members = Vec::new();
        for value in &found.values {
            let (Ok(number), Some(of)) = (u8::try_from(value.value), value.member) else { continue };
            // The name of a member may be that of its type, with dots of its namespace as underscores.
            let place = place.below(value.name);
            let member = match of.base {
                BaseType::String => {
                    MemberPlan::Text { leaf: self.leaf(place.feature(DType::String), &place.levels)? }
                }
                BaseType::Obj => {
                    let (idx, inner) = self.object(of, &place)?;
                    if inner.is_struct {
                        MemberPlan::Struct(self.structure(inner, &place)?)
                    } else if let Some(plan) = self.nested_table(idx, &place)? {
                        MemberPlan::Table(plan)
                    } else {
                        self.kept.push(place.name);
                        continue;
                    }
                }
                _ => continue,
            };
            members.push((number, member));
        }
        Ok(ValuePlan::Union { type_slot: type_field.offset, members })
    }

    /// A table below another; `None` where it is inside itself, or too deep.
    fn nested_table(&mut self, idx: usize, place: &Place) -> Result<Option<TablePlan>> {
        if self.is_open(idx) {
            return Ok(None);
        }
        self.open_types.push(idx);
        let plan = self.table(&self.schema.objects[idx], place)?;
        self.open_types.pop();
        Ok(Some(plan))
    }

    fn is_open(&self, idx: usize) -> bool {
        self.open_types.contains(&idx) || self.open_types.len() >= DEPTH_MAX
    }

    fn look_at(&mut self, n_fields: usize, place: &Place) -> Result<()> {
        self.n_fields += n_fields;
        if self.n_fields <= FIELDS_MAX {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Limit,
            format!("table of more than {FIELDS_MAX} fields, those inside it counted"),
        )
        .at(Locus::feature(&place.name))
        .with_hint("leave this topic out"))
    }

    fn keep(&mut self, place: Place) -> ValuePlan {
        self.kept.push(place.name);
        ValuePlan::Kept
    }

    pub(super) fn object(&self, of: Type, place: &Place) -> Result<(usize, &'s Object<'s>)> {
        let schema = self.schema;
        let found = of.index.and_then(|idx| Some((idx, schema.objects.get(idx)?)));
        found.ok_or_else(|| {
            let n_types = schema.objects.len();
            corrupt(format!("type number {:?}, but the schema has {n_types}", of.index))
                .at(Locus::feature(&place.name))
        })
    }

    pub(super) fn number_leaf(&mut self, place: &Place, dtype: DType, of: Type) -> Result<LeafId> {
        let mut feature = place.feature(dtype);
        if let Some(found) = of.index.and_then(|idx| self.schema.enums.get(idx)) {
            feature = feature.with_meta(meta::SOURCE_TYPE, found.name);
            if let Some(constants) = constants(found) {
                feature = feature.with_meta(meta::CONSTANTS, constants);
            }
        }
        self.leaf(feature, &place.levels)
    }

    pub(super) fn leaf(&mut self, feature: Feature, levels: &[Level]) -> Result<LeafId> {
        if self.names.len() >= COLUMNS_MAX {
            return Err(Error::new(ErrorKind::Limit, format!("table of more than {COLUMNS_MAX} columns"))
                .at(Locus::feature(&feature.name))
                .with_hint("leave this topic out"));
        }
        if !self.names.insert(feature.name.clone()) {
            return Err(corrupt(format!("two fields named `{}`", feature.name)));
        }
        Ok(self.layout.leaf(feature, levels))
    }
}

impl Place {
    pub(super) fn below(&self, name: &str) -> Self {
        let name = if self.name.is_empty() { name.to_owned() } else { format!("{}.{name}", self.name) };
        Self { name, ..self.clone() }
    }

    pub(super) fn feature(&self, dtype: DType) -> Feature {
        let feature = Feature::new(self.name.clone(), dtype, Layout::shape(&self.levels));
        if self.nullable { feature.nullable() } else { feature }
    }
}

impl ValuePlan {
    fn absent_columns(&self, out: &mut Vec<AbsentColumn>) {
        match self {
            Self::Number { leaf, .. } | Self::Bytes { leaf, .. } => out.push(AbsentColumn::Leaf(*leaf)),
            Self::Struct(plan) => plan.absent_columns(out),
            Self::Table(plan) => out.extend_from_slice(&plan.absent),
            Self::Vector { list, .. } => out.push(AbsentColumn::List(*list)),
            Self::Union { members, .. } => {
                for (_, member) in members {
                    member.absent_columns(out);
                }
            }
            Self::Kept => {}
        }
    }
}

impl MemberPlan {
    fn absent_columns(&self, out: &mut Vec<AbsentColumn>) {
        match self {
            Self::Text { leaf } => out.push(AbsentColumn::Leaf(*leaf)),
            Self::Struct(plan) => plan.absent_columns(out),
            Self::Table(plan) => out.extend_from_slice(&plan.absent),
        }
    }
}

impl StructPlan {
    fn absent_columns(&self, out: &mut Vec<AbsentColumn>) {
        out.extend(self.leaves.iter().map(|it| AbsentColumn::Leaf(it.leaf)));
    }
}

/// Type and bytes of a number; `None` for everything else.
pub(super) fn number(base: BaseType) -> Option<(DType, usize)> {
    Some(match base {
        BaseType::Bool => (DType::Bool, 1),
        BaseType::Byte => (DType::Int8, 1),
        BaseType::UByte | BaseType::UType => (DType::UInt8, 1),
        BaseType::Short => (DType::Int16, 2),
        BaseType::UShort => (DType::UInt16, 2),
        BaseType::Int => (DType::Int32, 4),
        BaseType::UInt => (DType::UInt32, 4),
        BaseType::Long => (DType::Int64, 8),
        BaseType::ULong => (DType::UInt64, 8),
        BaseType::Float => (DType::Float32, 4),
        BaseType::Double => (DType::Float64, 8),
        BaseType::None
        | BaseType::String
        | BaseType::Vector
        | BaseType::Obj
        | BaseType::Union
        | BaseType::Array
        | BaseType::Vector64 => return None,
    })
}

fn constants(of: &Enum<'_>) -> Option<String> {
    let mut joined = String::new();
    for value in &of.values {
        let separator = if joined.is_empty() { "" } else { "," };
        write!(joined, "{separator}{}={}", value.name, value.value).ok()?;
        if joined.len() > CONSTANTS_BYTES_MAX {
            return None;
        }
    }
    Some(joined)
}

/// The default of a scalar as it would lie in a buffer, its first bytes being the value.
fn default_bytes(dtype: DType, field: &Field<'_>) -> [u8; 8] {
    match dtype {
        DType::Float64 => field.default_real.to_le_bytes(),
        DType::Float32 => {
            let mut bytes = [0; 8];
            bytes[..4].copy_from_slice(&(field.default_real as f32).to_le_bytes());
            bytes
        }
        _ => field.default_integer.to_le_bytes(),
    }
}

pub(super) fn corrupt(message: String) -> Error {
    Error::new(ErrorKind::Corrupt, message).with_hint("make the .bfbs schema again with `flatc --schema -b`")
}
