//! Protobuf messages, straight from the wire into columns.
//!
//! The schema is a serialized `FileDescriptorSet`. Submessages become dotted leaves, repeated
//! messages parallel ragged leaves, maps the two lists `.key` and `.value` (every entry that was
//! written, in its order). Types without a bound (recursive ones, `Struct`, `Value`, `Any`) stay bytes.
//! Nothing is dropped: fields that the schema does not name are kept in the column `_unknown`.

mod compile;
mod decode;
mod descriptor;
mod unknown;
mod wire;

#[cfg(test)]
pub(crate) mod tests;

use nodedata_core::{Columns, Error, ErrorKind, Layout, LeafId, ListId, Locus, Result};

use wire::{Fault, FaultKind};

/// Longest message. Arrow offsets are 32 bit, and a batch holds more than one message.
const PAYLOAD_BYTES_MAX: usize = 1 << 30;

/// How one message type becomes columns; compiled once per schema, shared by all threads.
#[derive(Debug)]
pub(crate) struct ProtobufPlan {
    root: MessagePlan,
    /// Slots of all messages of the tree together.
    n_slots: usize,
    unknown: LeafId,
}

/// How the fields of one message of the tree become columns.
#[derive(Debug)]
struct MessagePlan {
    /// In the order of the declaration.
    fields: Vec<FieldPlan>,
    numbers: FieldNumbers,
    /// Where the slots of this message begin, one per field.
    first_slot: usize,
    /// What its columns get where the message is absent.
    absent: Vec<AbsentColumn>,
}

/// A column or list below a message, outside of lists inside it.
#[derive(Debug, Clone, Copy)]
enum AbsentColumn {
    Leaf(LeafId),
    List(ListId),
}

/// Finds a field by its number.
#[derive(Debug, Default)]
struct FieldNumbers {
    /// Position plus one by number, for the small numbers that nearly all fields have.
    dense: Vec<u16>,
    /// The others, sorted by number.
    sparse: Vec<(u32, u16)>,
}

#[derive(Debug)]
struct FieldPlan {
    number: u32,
    /// The list of a repeated field.
    list: Option<ListId>,
    value: ValuePlan,
    oneof: Option<u32>,
    /// Whether an absent value is null; otherwise it is the default.
    explicit_presence: bool,
}

/// What one value of a field becomes.
#[derive(Debug)]
enum ValuePlan {
    Scalar(LeafId, Scalar),
    /// `google.protobuf.DoubleValue` and its like: the scalar inside, null where absent.
    Wrapper(LeafId, Scalar),
    /// `google.protobuf.Timestamp` or `Duration`: int64 nanoseconds.
    Time(LeafId),
    /// A message kept as its own bytes.
    Raw(LeafId),
    /// A message type without fields: true where present.
    Presence(LeafId),
    Message(Box<MessagePlan>),
}

/// Scalar types, as `FieldDescriptorProto.Type` numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scalar {
    Double,
    Float,
    Int64,
    UInt64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    String,
    Bytes,
    UInt32,
    Enum,
    SFixed32,
    SFixed64,
    SInt32,
    SInt64,
}

impl ProtobufPlan {
    /// Adds the columns of the message type `schema_name` to `layout`. On failure `layout` is unchanged.
    ///
    /// Scalars without presence of their own are never null; `optional` and proto2 fields, members of
    /// a oneof and everything below a submessage are null where absent. The last column is `_unknown`:
    /// a message of the same type that holds only what the schema does not name, null where
    /// there is nothing of that kind.
    ///
    /// # Errors
    /// `Corrupt` when the descriptor set cannot be read or lacks the type; `Limit` when the type has
    /// too many columns.
    pub(crate) fn compile(layout: &mut Layout, schema_name: &str, descriptor_set: &[u8]) -> Result<Self> {
        compile::plan(layout, schema_name, descriptor_set)
    }

    /// The column of what the schema does not name.
    pub(crate) fn unknown(&self) -> LeafId {
        self.unknown
    }

    /// Pushes one message to every column of the plan, without ending the row. On failure the row is
    /// left half-way, for the caller to abort.
    ///
    /// # Errors
    /// `Corrupt` for bytes that are no message of the type; `Unsupported` for a time outside int64
    /// nanoseconds; `Limit` for a message above 1 GiB or with far more values than bytes.
    pub(crate) fn decode(&self, payload: &[u8], columns: &mut Columns) -> Result<()> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            let message = format!("protobuf message of {} bytes, but 1 GiB is the most", payload.len());
            return Err(Error::new(ErrorKind::Limit, message)
                .with_hint("leave this topic out, or record such data as attachments"));
        }
        decode::message(self, payload, columns).map_err(|fault| to_error(fault, payload, columns.layout()))
    }
}

impl FieldNumbers {
    #[inline]
    fn find(&self, number: u32) -> Option<usize> {
        if let Some(position) = self.dense.get(number as usize) {
            return usize::from(*position).checked_sub(1);
        }
        let at = self.sparse.binary_search_by_key(&number, |it| it.0).ok()?;
        Some(usize::from(self.sparse[at].1))
    }
}

fn to_error(fault: Fault, payload: &[u8], layout: &Layout) -> Error {
    let (kind, what) = match fault.kind {
        FaultKind::Truncated => (ErrorKind::Corrupt, "value reaches beyond the end of its message"),
        FaultKind::Varint => (ErrorKind::Corrupt, "varint of more than 64 bits"),
        FaultKind::FieldNumber => (ErrorKind::Corrupt, "field number outside 1..2^29"),
        FaultKind::WireType => (ErrorKind::Corrupt, "wire type 6 or 7, but 0 to 5 exist"),
        FaultKind::GroupEnd => (ErrorKind::Corrupt, "end of a group that was not started"),
        FaultKind::GroupDepth => (ErrorKind::Corrupt, "groups nested deeper than 100"),
        FaultKind::Packed => (ErrorKind::Corrupt, "packed field whose length is no multiple of its items"),
        FaultKind::Text => (ErrorKind::Corrupt, "text that is not UTF-8"),
        FaultKind::Time => (ErrorKind::Unsupported, "time outside the range of int64 nanoseconds"),
        FaultKind::Budget => (ErrorKind::Limit, "far more values than bytes"),
    };
    let at = fault.addr.wrapping_sub(payload.as_ptr().addr()).min(payload.len());
    let hint = match kind {
        ErrorKind::Corrupt => "check that the recorded schema is the one the message was written with",
        _ => "leave the topic out, or skip its damaged messages",
    };
    let err =
        Error::new(kind, format!("{what}, at byte {at} of a protobuf message of {} bytes", payload.len()))
            .with_hint(hint);
    match fault.leaf {
        Some(leaf) => err.at(Locus::feature(layout.feature(leaf).name.clone())),
        None => err,
    }
}
