//! From one buffer to one item of every column.

use nodedata_core::{Columns, LeafId};

use super::{
    AbsentColumn, FlatBufferPlan, ItemPlan, MemberPlan, StructLeaf, StructLeafKind, StructPlan, TablePlan,
    ValuePlan,
    table::{Buffer, Fault, FaultKind, Table, Walk},
};

/// What any message may bring to the columns, in bytes. Offsets may share their targets, so a small
/// buffer can stand for any number of values; whatever passes this and eight times its own size was made
/// to exhaust memory.
const DECODED_BYTES_MIN: usize = 64 << 20;
/// Arrow offsets are 32 bit, and a batch holds more than one message.
const DECODED_BYTES_MAX: usize = 1 << 30;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Pushes one message, `_unknown` included.
pub(super) fn message(plan: &FlatBufferPlan, payload: &[u8], columns: &mut Columns) -> Walk<()> {
    let buffer = Buffer { bytes: payload };
    let budget = DECODED_BYTES_MIN.saturating_add(payload.len().saturating_mul(8)).min(DECODED_BYTES_MAX);
    let mut decoder = Decoder { buffer, columns, budget, has_unknown: false };
    decoder.table(&plan.root, &buffer.root()?)?;
    if decoder.has_unknown {
        decoder.spend(payload.len(), 0)?;
        columns.push_bytes(plan.unknown, payload);
        columns.push_valid(plan.unknown);
    } else {
        columns.push_null(plan.unknown);
    }
    Ok(())
}

struct Decoder<'c, 'a> {
    buffer: Buffer<'a>,
    columns: &'c mut Columns,
    /// Bytes that may still be pushed.
    budget: usize,
    has_unknown: bool,
}

impl Decoder<'_, '_> {
    fn table(&mut self, plan: &TablePlan, table: &Table<'_>) -> Walk<()> {
        self.spend(plan.cost, table.position())?;
        self.has_unknown |= table.has_fields_from(plan.vtable_end);
        if let Some(leaf) = plan.presence {
            self.columns.push_bool(leaf, true);
            self.columns.push_valid(leaf);
        }
        for field in &plan.fields {
            let at = table.field(field.slot);
            match &field.value {
                ValuePlan::Number { leaf, width, is_bool, default } => {
                    self.number(*leaf, *width, *is_bool, *default, at).map_err(|it| it.of(*leaf))?;
                }
                ValuePlan::Bytes { leaf, is_text } => {
                    self.bytes(*leaf, *is_text, at).map_err(|it| it.of(*leaf))?;
                }
                ValuePlan::Struct(plan) => match at {
                    Some(at) => self.structure(plan, at)?,
                    None => self.absent_struct(plan),
                },
                ValuePlan::Table(plan) => match at {
                    Some(at) => self.table(plan, &self.buffer.table(self.buffer.follow(at)?)?)?,
                    None => self.absent(&plan.absent),
                },
                ValuePlan::Vector { list, item } => match at {
                    Some(at) => {
                        let n_items = self.items(item, at)?;
                        self.columns.push_len(*list, n_items);
                    }
                    None => self.columns.push_null_list(*list),
                },
                ValuePlan::Union { type_slot, members } => {
                    let member = table.u8(*type_slot, 0)?;
                    self.union(members, member, at)?;
                }
                ValuePlan::Kept => self.has_unknown |= at.is_some(),
            }
        }
        Ok(())
    }

    fn number(
        &mut self,
        leaf: LeafId,
        width: usize,
        is_bool: bool,
        default: Option<[u8; 8]>,
        at: Option<usize>,
    ) -> Walk<()> {
        match (at, default) {
            (Some(at), _) => {
                let bytes = self.buffer.slice(at, width)?;
                if is_bool {
                    self.columns.push_bool(leaf, bytes[0] != 0);
                } else {
                    self.columns.push_le(leaf, bytes);
                }
            }
            (None, Some(default)) if is_bool => self.columns.push_bool(leaf, default[0] != 0),
            (None, Some(default)) => self.columns.push_le(leaf, &default[..width]),
            (None, None) => {
                self.columns.push_null(leaf);
                return Ok(());
            }
        }
        self.columns.push_valid(leaf);
        Ok(())
    }

    fn bytes(&mut self, leaf: LeafId, is_text: bool, at: Option<usize>) -> Walk<()> {
        let Some(at) = at else {
            self.columns.push_null(leaf);
            return Ok(());
        };
        let bytes = if is_text { self.buffer.text(at)?.as_bytes() } else { self.buffer.bytes_at(at)? };
        self.spend(bytes.len(), at)?;
        self.columns.push_bytes(leaf, bytes);
        self.columns.push_valid(leaf);
        Ok(())
    }

    /// Pushes the items of a vector and returns their number.
    fn items(&mut self, item: &ItemPlan, at: usize) -> Walk<usize> {
        match item {
            ItemPlan::Number { leaf, width, is_bool } => {
                let vector = self.buffer.vector(at, *width).map_err(|it| it.of(*leaf))?;
                self.spend(vector.bytes().len(), at)?;
                if *is_bool {
                    for byte in vector.bytes() {
                        self.columns.push_bool(*leaf, *byte != 0);
                    }
                } else {
                    self.columns.push_le(*leaf, vector.bytes());
                }
                self.columns.push_valid_n(*leaf, vector.len);
                Ok(vector.len)
            }
            ItemPlan::Text { leaf } => {
                let vector = self.buffer.vector(at, 4)?;
                self.spend(4 * vector.len, at)?;
                for idx in 0..vector.len {
                    self.bytes(*leaf, true, Some(vector.item(idx))).map_err(|it| it.of(*leaf))?;
                }
                Ok(vector.len)
            }
            ItemPlan::Struct(plan) => {
                let vector = self.buffer.vector(at, plan.n_bytes)?;
                for idx in 0..vector.len {
                    self.structure(plan, vector.item(idx))?;
                }
                Ok(vector.len)
            }
            ItemPlan::Table(plan) => {
                let vector = self.buffer.vector(at, 4)?;
                for idx in 0..vector.len {
                    let target = self.buffer.follow(vector.item(idx))?;
                    self.table(plan, &self.buffer.table(target)?)?;
                }
                Ok(vector.len)
            }
        }
    }

    /// Pushes the member of a union that is there, and the absence of the others.
    fn union(&mut self, members: &[(u8, MemberPlan)], number: u8, at: Option<usize>) -> Walk<()> {
        // A member that the schema does not name, or that has no columns.
        self.has_unknown |= at.is_some() && members.iter().all(|it| it.0 != number);
        for (idx, member) in members {
            match (member, at.filter(|_| *idx == number)) {
                (MemberPlan::Text { leaf }, at) => self.bytes(*leaf, true, at).map_err(|it| it.of(*leaf))?,
                (MemberPlan::Struct(plan), Some(at)) => self.structure(plan, self.buffer.follow(at)?)?,
                (MemberPlan::Struct(plan), None) => self.absent_struct(plan),
                (MemberPlan::Table(plan), Some(at)) => {
                    self.table(plan, &self.buffer.table(self.buffer.follow(at)?)?)?;
                }
                (MemberPlan::Table(plan), None) => self.absent(&plan.absent),
            }
        }
        Ok(())
    }

    fn structure(&mut self, plan: &StructPlan, at: usize) -> Walk<()> {
        let bytes = self.buffer.slice(at, plan.n_bytes)?;
        self.spend(plan.n_bytes.max(1), at)?;
        for leaf in &plan.leaves {
            self.struct_leaf(leaf, bytes).map_err(|it| Fault { at, ..it }.of(leaf.leaf))?;
        }
        Ok(())
    }

    fn struct_leaf(&mut self, plan: &StructLeaf, bytes: &[u8]) -> Walk<()> {
        let inside = Buffer { bytes };
        for offset in &plan.offsets {
            match plan.kind {
                StructLeafKind::Number(width) => {
                    self.columns.push_le(plan.leaf, inside.slice(*offset, width)?);
                }
                StructLeafKind::Bool => self.columns.push_bool(plan.leaf, inside.u8(*offset)? != 0),
                StructLeafKind::Time | StructLeafKind::Duration => {
                    let seconds = inside.u32(*offset)?;
                    let seconds = match plan.kind {
                        StructLeafKind::Duration => i64::from(seconds.cast_signed()),
                        _ => i64::from(seconds),
                    };
                    let nanos = i64::from(inside.u32(offset + 4)?);
                    // 32 bits of seconds always fit; the check guards the arithmetic all the same.
                    let total = seconds.checked_mul(NANOS_PER_SECOND).and_then(|it| it.checked_add(nanos));
                    let total = total.ok_or_else(|| Fault::new(FaultKind::Time, *offset))?;
                    self.columns.push_le(plan.leaf, &total.to_le_bytes());
                }
            }
        }
        self.columns.push_valid(plan.leaf);
        Ok(())
    }

    fn absent(&mut self, columns: &[AbsentColumn]) {
        for column in columns {
            match column {
                AbsentColumn::Leaf(leaf) => self.columns.push_null(*leaf),
                AbsentColumn::List(list) => self.columns.push_null_list(*list),
            }
        }
    }

    fn absent_struct(&mut self, plan: &StructPlan) {
        for leaf in &plan.leaves {
            self.columns.push_null(leaf.leaf);
        }
    }

    #[inline]
    fn spend(&mut self, n_bytes: usize, at: usize) -> Walk<()> {
        match self.budget.checked_sub(n_bytes) {
            Some(left) => self.budget = left,
            None => return Err(Fault::new(FaultKind::Budget, at)),
        }
        Ok(())
    }
}
