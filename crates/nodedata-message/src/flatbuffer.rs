//! FlatBuffers, straight from the buffer into columns.
//!
//! The schema is a binary reflection schema (`.bfbs`). Tables and structs become dotted leaves, vectors
//! of them parallel ragged leaves, `[ubyte]` bytes, the members of a union nullable leaves below its
//! name. What has no columns (tables inside themselves, vectors of unions) is not dropped: then
//! the column `_unknown` keeps the whole message, as it does for fields that the schema does not name.

mod compile;
mod decode;
mod reflection;
mod structure;
mod table;

#[cfg(test)]
pub(crate) mod tests;

use nodedata_core::{Columns, Error, ErrorKind, Layout, LeafId, ListId, Locus, Result};

use table::{Fault, FaultKind};

/// How one table type becomes columns; compiled once per schema, shared by all threads.
#[derive(Debug)]
pub(crate) struct FlatBufferPlan {
    root: TablePlan,
    unknown: LeafId,
}

/// How the fields of one table of the tree become columns.
#[derive(Debug)]
struct TablePlan {
    fields: Vec<FieldPlan>,
    /// First place in the vtable that the schema does not name.
    vtable_end: usize,
    /// A column that says whether a table without any other column is there.
    presence: Option<LeafId>,
    /// What its columns get where the table is absent.
    absent: Vec<AbsentColumn>,
    /// Bytes that one table brings to its columns at least, lists inside it aside.
    cost: usize,
}

/// A column or list below a table, outside of lists inside it.
#[derive(Debug, Clone, Copy)]
enum AbsentColumn {
    Leaf(LeafId),
    List(ListId),
}

#[derive(Debug)]
struct FieldPlan {
    /// Offset in the vtable.
    slot: u16,
    value: ValuePlan,
}

#[derive(Debug)]
enum ValuePlan {
    /// A number, and what it is where absent: `None` for null.
    Number {
        leaf: LeafId,
        width: usize,
        is_bool: bool,
        default: Option<[u8; 8]>,
    },
    /// Text, or `[ubyte]`.
    Bytes {
        leaf: LeafId,
        is_text: bool,
    },
    Struct(StructPlan),
    Table(TablePlan),
    Vector {
        list: ListId,
        item: ItemPlan,
    },
    Union {
        type_slot: u16,
        members: Vec<(u8, MemberPlan)>,
    },
    /// A type without columns: where present, the message is kept whole.
    Kept,
}

/// The items of a vector.
#[derive(Debug)]
enum ItemPlan {
    Number { leaf: LeafId, width: usize, is_bool: bool },
    Text { leaf: LeafId },
    Struct(StructPlan),
    Table(TablePlan),
}

/// A member of a union: always behind an offset.
#[derive(Debug)]
enum MemberPlan {
    Text { leaf: LeafId },
    Struct(StructPlan),
    Table(TablePlan),
}

/// A struct, flattened: structs and arrays inside it lie at fixed places.
#[derive(Debug)]
struct StructPlan {
    n_bytes: usize,
    leaves: Vec<StructLeaf>,
}

#[derive(Debug)]
struct StructLeaf {
    leaf: LeafId,
    kind: StructLeafKind,
    /// Where its values lie in the struct, in order.
    offsets: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StructLeafKind {
    /// Numbers of this many bytes.
    Number(usize),
    Bool,
    /// `foxglove.Time`: uint32 seconds, uint32 nanoseconds.
    Time,
    /// `foxglove.Duration`: int32 seconds, uint32 nanoseconds.
    Duration,
}

impl FlatBufferPlan {
    /// Adds the columns of the table `schema_name` to `layout`. On failure `layout` is unchanged.
    ///
    /// Scalars of the outermost table are their default where absent, and null only if the schema says
    /// `= null`. Text, vectors, structs and tables are null where absent, and so is what lies below.
    /// The last column is `_unknown`: the whole message where it holds something the other columns do
    /// not, otherwise null.
    ///
    /// # Errors
    /// `Corrupt` when the schema cannot be read or lacks the table; `Limit` when the table has too
    /// many columns.
    pub(crate) fn compile(layout: &mut Layout, schema_name: &str, reflection: &[u8]) -> Result<Self> {
        compile::plan(layout, schema_name, reflection)
    }

    /// Pushes one message to every column of the plan, without ending the row. On failure the row is
    /// left half-way, for the caller to abort.
    ///
    /// # Errors
    /// `Corrupt` for bytes that are no buffer of the schema; `Unsupported` for a time outside int64
    /// nanoseconds; `Limit` for a buffer that stands for far more than its bytes.
    pub(crate) fn decode(&self, payload: &[u8], columns: &mut Columns) -> Result<()> {
        decode::message(self, payload, columns)
            .map_err(|fault| to_error(fault, "message", payload.len(), columns.layout()))
    }
}

fn to_error(fault: Fault, what: &str, n_bytes: usize, layout: &Layout) -> Error {
    let (kind, found) = match fault.kind {
        FaultKind::OutOfBounds => (ErrorKind::Corrupt, "offset or value beyond the end"),
        FaultKind::Vtable => (ErrorKind::Corrupt, "table that is none"),
        FaultKind::Text => (ErrorKind::Corrupt, "text that is not UTF-8"),
        FaultKind::Time => (ErrorKind::Unsupported, "time outside the range of int64 nanoseconds"),
        FaultKind::Budget => (ErrorKind::Limit, "far more values than bytes"),
    };
    let hint = match kind {
        ErrorKind::Corrupt => "check that the recorded schema is the one the message was written with",
        _ => "leave the topic out, or skip its damaged messages",
    };
    let message = format!("{found}, at byte {} of a FlatBuffers {what} of {n_bytes} bytes", fault.at);
    let err = Error::new(kind, message).with_hint(hint);
    match fault.leaf {
        Some(leaf) => err.at(Locus::feature(layout.feature(leaf).name.clone())),
        None => err,
    }
}
