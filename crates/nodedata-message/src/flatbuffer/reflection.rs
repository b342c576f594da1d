//! Reads what a plan needs of a binary FlatBuffers schema (`.bfbs`, itself a FlatBuffer of the types in
//! `reflection.fbs`).

use super::table::{Buffer, Fault, FaultKind, Table, Walk};

/// A schema.
#[derive(Debug)]
pub(super) struct Schema<'a> {
    /// Tables and structs; [`Type::index`] points here.
    pub(super) objects: Vec<Object<'a>>,
    /// Enumerations and unions; [`Type::index`] points here.
    pub(super) enums: Vec<Enum<'a>>,
}

/// A table or struct.
#[derive(Debug)]
pub(super) struct Object<'a> {
    pub(super) name: &'a str,
    /// In the order of the declaration.
    pub(super) fields: Vec<Field<'a>>,
    pub(super) is_struct: bool,
    /// Bytes of a struct.
    pub(super) n_bytes: usize,
}

/// A field of a table or struct.
#[derive(Debug)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) of: Type,
    /// Position in the declaration.
    id: u16,
    /// Offset in the vtable, or in the struct.
    pub(super) offset: u16,
    pub(super) default_integer: i64,
    pub(super) default_real: f64,
    /// Whether an absent scalar is null rather than its default.
    pub(super) optional: bool,
    /// Whether the offset takes 64 bits.
    pub(super) is_wide: bool,
}

/// The type of a field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Type {
    pub(super) base: BaseType,
    /// Of the items of a vector or array.
    pub(super) element: BaseType,
    /// Into the objects or enumerations of the schema.
    pub(super) index: Option<usize>,
    /// Items of an array.
    pub(super) fixed_length: u16,
}

/// An enumeration or a union.
#[derive(Debug)]
pub(super) struct Enum<'a> {
    pub(super) name: &'a str,
    pub(super) values: Vec<EnumValue<'a>>,
}

/// A constant of an enumeration, or a member of a union.
#[derive(Debug)]
pub(super) struct EnumValue<'a> {
    pub(super) name: &'a str,
    pub(super) value: i64,
    /// What the member of a union is.
    pub(super) member: Option<Type>,
}

/// `reflection.BaseType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BaseType {
    None,
    UType,
    Bool,
    Byte,
    UByte,
    Short,
    UShort,
    Int,
    UInt,
    Long,
    ULong,
    Float,
    Double,
    String,
    Vector,
    Obj,
    Union,
    Array,
    Vector64,
}

const BASE_TYPES: [BaseType; 19] = [
    BaseType::None,
    BaseType::UType,
    BaseType::Bool,
    BaseType::Byte,
    BaseType::UByte,
    BaseType::Short,
    BaseType::UShort,
    BaseType::Int,
    BaseType::UInt,
    BaseType::Long,
    BaseType::ULong,
    BaseType::Float,
    BaseType::Double,
    BaseType::String,
    BaseType::Vector,
    BaseType::Obj,
    BaseType::Union,
    BaseType::Array,
    BaseType::Vector64,
];

/// Place of the n-th field in a vtable.
const fn slot(n: u16) -> u16 {
    4 + 2 * n
}

/// Reads a schema. Every table of it takes bytes of its own, so a schema with more of them than bytes
/// shares them to exhaust us.
pub(super) fn parse(bytes: &[u8]) -> Walk<Schema<'_>> {
    let buffer = Buffer { bytes };
    if buffer.slice(4, 4)? != b"BFBS" {
        return Err(Fault::new(FaultKind::Vtable, 4));
    }
    let root = buffer.root()?;
    let mut tables_left = bytes.len();
    let mut spend = |n: usize| -> Walk<()> {
        tables_left =
            tables_left.checked_sub(n).ok_or_else(|| Fault::new(FaultKind::Budget, root.position()))?;
        Ok(())
    };
    let mut objects = Vec::new();
    for object in root.tables(slot(0))? {
        let fields = object.tables(slot(1))?;
        spend(1 + fields.len())?;
        let mut fields = fields.iter().map(field).collect::<Walk<Vec<_>>>()?;
        fields.sort_by_key(|it| it.id);
        objects.push(Object {
            name: object.name(slot(0))?,
            fields,
            is_struct: object.u8(slot(2), 0)? != 0,
            n_bytes: usize::try_from(object.i32(slot(4), 0)?).unwrap_or(0),
        });
    }
    let mut enums = Vec::new();
    for found in root.tables(slot(1))? {
        let values = found.tables(slot(1))?;
        spend(1 + values.len())?;
        let values = values.iter().map(enum_value).collect::<Walk<Vec<_>>>()?;
        enums.push(Enum { name: found.name(slot(0))?, values });
    }
    Ok(Schema { objects, enums })
}

fn field<'a>(table: &Table<'a>) -> Walk<Field<'a>> {
    Ok(Field {
        name: table.name(slot(0))?,
        of: field_type(table.table(slot(1))?)?,
        id: table.u16(slot(2), 0)?,
        offset: table.u16(slot(3), 0)?,
        default_integer: table.i64(slot(4), 0)?,
        default_real: f64::from_bits(table.i64(slot(5), 0)?.cast_unsigned()),
        optional: table.u8(slot(11), 0)? != 0,
        is_wide: table.u8(slot(13), 0)? != 0,
    })
}

fn enum_value<'a>(table: &Table<'a>) -> Walk<EnumValue<'a>> {
    let member = table.table(slot(3))?;
    Ok(EnumValue {
        name: table.name(slot(0))?,
        value: table.i64(slot(1), 0)?,
        member: member.map(|it| field_type(Some(it))).transpose()?,
    })
}

fn field_type(table: Option<Table<'_>>) -> Walk<Type> {
    let Some(table) = table else { return Err(Fault::new(FaultKind::Vtable, 0)) };
    let base = |slot| -> Walk<BaseType> {
        let number = table.u8(slot, 0)?;
        BASE_TYPES
            .get(usize::from(number))
            .copied()
            .ok_or_else(|| Fault::new(FaultKind::Vtable, table.position()))
    };
    Ok(Type {
        base: base(slot(0))?,
        element: base(slot(1))?,
        index: usize::try_from(table.i32(slot(2), -1)?).ok(),
        fixed_length: table.u16(slot(3), 0)?,
    })
}
