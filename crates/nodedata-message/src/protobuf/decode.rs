//! From one message on the wire to one item of every column.
//!
//! Fields come in any order. Repeated values are pushed where they are met, since a column of its own
//! takes their count afterwards; single values wait in a slot, where the last one wins, and are pushed
//! in the order of the plan.

use nodedata_core::{Columns, LeafId};

use super::{
    AbsentColumn, FieldPlan, MessagePlan, ProtobufPlan, Scalar, ValuePlan,
    unknown::collect_unknown,
    wire::{Fault, FaultKind, Walk, Wire, WireField, WireValue},
};

/// Slots that live on the stack; larger types take one allocation per message.
const STACK_SLOTS: usize = 64;
/// Values that any message may have. A repeated message of two bytes can stand for thousands of
/// default values; whatever passes this and eight values per byte was made to exhaust memory.
const VALUES_MAX: u64 = 8 << 20;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Pushes one message, `_unknown` included.
pub(super) fn message(plan: &ProtobufPlan, payload: &[u8], columns: &mut Columns) -> Walk<()> {
    let mut stack = [Slot::EMPTY; STACK_SLOTS];
    let mut heap = Vec::new();
    let slots = if plan.n_slots <= STACK_SLOTS {
        &mut stack[..plan.n_slots]
    } else {
        heap.resize(plan.n_slots, Slot::EMPTY);
        &mut heap[..]
    };
    let budget = VALUES_MAX + 8 * payload.len() as u64;
    let mut decoder = Decoder { columns, slots, budget, has_unknown: false };
    decoder.message(&plan.root, &[payload])?;
    if decoder.has_unknown {
        let mut unknown = Vec::new();
        collect_unknown(&plan.root, payload, &mut unknown)?;
        columns.push_bytes(plan.unknown, &unknown);
        columns.push_valid(plan.unknown);
    } else {
        columns.push_null(plan.unknown);
    }
    Ok(())
}

/// What was met of one field of a message.
#[derive(Debug, Clone, Copy)]
struct Slot<'a> {
    /// The last text, bytes or message.
    bytes: &'a [u8],
    /// The last number, as it lies on the wire.
    bits: u64,
    /// Values met, or items pushed.
    count: u32,
    /// Values of a oneof member that another member replaced.
    replaced: u32,
}

impl Slot<'_> {
    const EMPTY: Self = Self { bytes: &[], bits: 0, count: 0, replaced: 0 };

    fn is_present(self) -> bool {
        self.count > self.replaced
    }
}

struct Decoder<'c, 's, 'a> {
    columns: &'c mut Columns,
    slots: &'s mut [Slot<'a>],
    /// Values that may still be pushed.
    budget: u64,
    has_unknown: bool,
}

impl<'a> Decoder<'_, '_, 'a> {
    /// Pushes one message. A message may come in several fragments, which count as one.
    fn message(&mut self, plan: &MessagePlan, fragments: &[&'a [u8]]) -> Walk<()> {
        let n_fields = plan.fields.len();
        let place = fragments.first().copied().unwrap_or(&[]);
        self.spend(n_fields, place)?;
        self.slots[plan.first_slot..][..n_fields].fill(Slot::EMPTY);
        for fragment in fragments {
            let mut wire = Wire::new(fragment);
            while let Some(field) = wire.next()? {
                match plan.numbers.find(field.number) {
                    Some(idx) if self.take(plan, idx, &field)? => {}
                    // Another wire type than the schema's makes a field unknown, as in protoc's parsers.
                    _ => self.has_unknown = true,
                }
            }
        }
        for (idx, field) in plan.fields.iter().enumerate() {
            let slot = self.slots[plan.first_slot + idx];
            if let Some(list) = field.list {
                self.columns.push_len(list, slot.count as usize);
            } else {
                self.single(field, slot, fragments)?;
            }
        }
        Ok(())
    }

    /// Takes one value of a known field; false when its wire type is not the field's.
    fn take(&mut self, plan: &MessagePlan, idx: usize, met: &WireField<'a>) -> Walk<bool> {
        let field = &plan.fields[idx];
        let at = plan.first_slot + idx;
        if field.list.is_some() {
            let Some(n_items) = self.items(&field.value, met)? else { return Ok(false) };
            self.slots[at].count += n_items;
            return Ok(true);
        }
        let (bytes, bits) = match (field.value.wants(), met.value) {
            (Wants::Varint, WireValue::Varint(bits)) => (&[][..], bits),
            (Wants::Fixed64, WireValue::Fixed64(bits)) => (&[][..], bits),
            (Wants::Fixed32, WireValue::Fixed32(bits)) => (&[][..], u64::from(bits)),
            (Wants::Bytes | Wants::Message, WireValue::Bytes(bytes)) => (bytes, 0),
            (Wants::Message, WireValue::Group(bytes)) => (bytes, 0),
            _ => return Ok(false),
        };
        if field.oneof.is_some() {
            self.replace_oneof(plan, idx);
        }
        let slot = &mut self.slots[at];
        *slot = Slot { bytes, bits, count: slot.count + 1, replaced: slot.replaced };
        Ok(true)
    }

    /// Forgets the other members of the oneof.
    fn replace_oneof(&mut self, plan: &MessagePlan, idx: usize) {
        for (other, field) in plan.fields.iter().enumerate() {
            if other != idx && field.oneof == plan.fields[idx].oneof {
                let slot = &mut self.slots[plan.first_slot + other];
                slot.replaced = slot.count;
            }
        }
    }

    /// Pushes the values of one occurrence of a repeated field: one, or a packed run.
    fn items(&mut self, value: &ValuePlan, met: &WireField<'a>) -> Walk<Option<u32>> {
        if let ValuePlan::Scalar(leaf, scalar) = value {
            let n_items = match (value.wants(), met.value) {
                (Wants::Varint, WireValue::Varint(bits)) => self.number(*leaf, *scalar, bits),
                (Wants::Fixed64, WireValue::Fixed64(bits)) => self.number(*leaf, *scalar, bits),
                (Wants::Fixed32, WireValue::Fixed32(bits)) => self.number(*leaf, *scalar, u64::from(bits)),
                (Wants::Bytes, WireValue::Bytes(bytes)) => {
                    self.bytes(*leaf, *scalar, bytes)?;
                    1
                }
                (Wants::Varint | Wants::Fixed64 | Wants::Fixed32, WireValue::Bytes(run)) => {
                    self.packed(*leaf, *scalar, run).map_err(|fault| fault.of(*leaf))?
                }
                _ => return Ok(None),
            };
            return Ok(Some(n_items));
        }
        let (WireValue::Bytes(bytes) | WireValue::Group(bytes)) = met.value else { return Ok(None) };
        self.present(value, &[bytes])?;
        Ok(Some(1))
    }

    /// Pushes a run of numbers.
    fn packed(&mut self, leaf: LeafId, scalar: Scalar, run: &[u8]) -> Walk<u32> {
        let width = match scalar {
            Scalar::Double | Scalar::Fixed64 | Scalar::SFixed64 => 8,
            Scalar::Float | Scalar::Fixed32 | Scalar::SFixed32 => 4,
            _ => {
                let mut n_items = 0;
                let mut wire = Wire::new(run);
                while !wire.is_empty() {
                    n_items += self.number(leaf, scalar, wire.varint()?);
                }
                return Ok(n_items);
            }
        };
        if !run.len().is_multiple_of(width) {
            return Err(Fault::in_slice(FaultKind::Packed, run));
        }
        self.columns.push_le(leaf, run);
        self.columns.push_valid_n(leaf, run.len() / width);
        // A message is below 2^30 bytes.
        Ok((run.len() / width) as u32)
    }

    /// Pushes the one value of a field that is not repeated, or its absence.
    fn single(&mut self, field: &FieldPlan, slot: Slot<'a>, fragments: &[&'a [u8]]) -> Walk<()> {
        if !slot.is_present() && field.explicit_presence {
            match &field.value {
                ValuePlan::Message(inner) => self.absent(inner)?,
                ValuePlan::Scalar(leaf, _)
                | ValuePlan::Wrapper(leaf, _)
                | ValuePlan::Time(leaf)
                | ValuePlan::Raw(leaf)
                | ValuePlan::Presence(leaf) => self.columns.push_null(*leaf),
            }
            return Ok(());
        }
        if let ValuePlan::Scalar(leaf, scalar) = field.value {
            // The slot of an absent value holds the default: zero and no bytes.
            let (bytes, bits) = if slot.is_present() { (slot.bytes, slot.bits) } else { (&[][..], 0) };
            match scalar {
                Scalar::String | Scalar::Bytes => self.bytes(leaf, scalar, bytes)?,
                _ => {
                    self.number(leaf, scalar, bits);
                }
            }
            return Ok(());
        }
        match slot.count - slot.replaced {
            0 => self.present(&field.value, &[]),
            1 => self.present(&field.value, &[slot.bytes]),
            _ => {
                // Every field that came in parts walks its message once more.
                let n_bytes: usize = fragments.iter().map(|it| it.len()).sum();
                self.spend(n_bytes / 8, slot.bytes)?;
                self.present(&field.value, &gather(fragments, field.number, slot.replaced)?)
            }
        }
    }

    /// Pushes a message that is there, in as many fragments as it was written.
    fn present(&mut self, value: &ValuePlan, fragments: &[&'a [u8]]) -> Walk<()> {
        match value {
            ValuePlan::Message(inner) => return self.message(inner, fragments),
            ValuePlan::Wrapper(leaf, scalar) => return self.wrapper(*leaf, *scalar, fragments),
            ValuePlan::Time(leaf) => return self.time(*leaf, fragments).map_err(|fault| fault.of(*leaf)),
            ValuePlan::Raw(leaf) => {
                // Messages merge by being written one after another.
                match fragments {
                    [whole] => self.columns.push_bytes(*leaf, whole),
                    parts => self.columns.push_bytes(*leaf, &parts.concat()),
                }
                self.columns.push_valid(*leaf);
            }
            ValuePlan::Presence(leaf) => {
                for fragment in fragments {
                    self.has_unknown |= Wire::new(fragment).next()?.is_some();
                }
                self.columns.push_bool(*leaf, true);
                self.columns.push_valid(*leaf);
            }
            ValuePlan::Scalar(..) => unreachable!("scalars are pushed by their own functions"),
        }
        Ok(())
    }

    fn absent(&mut self, plan: &MessagePlan) -> Walk<()> {
        self.spend(plan.absent.len(), &[])?;
        for column in &plan.absent {
            match column {
                AbsentColumn::Leaf(leaf) => self.columns.push_null(*leaf),
                AbsentColumn::List(list) => self.columns.push_null_list(*list),
            }
        }
        Ok(())
    }

    fn wrapper(&mut self, leaf: LeafId, scalar: Scalar, fragments: &[&'a [u8]]) -> Walk<()> {
        let wants = scalar.wants();
        let (mut last_bits, mut last_bytes) = (0, &[][..]);
        for fragment in fragments {
            let mut wire = Wire::new(fragment);
            while let Some(field) = wire.next()? {
                match (field.number, wants, field.value) {
                    (1, Wants::Varint, WireValue::Varint(bits)) => last_bits = bits,
                    (1, Wants::Fixed64, WireValue::Fixed64(bits)) => last_bits = bits,
                    (1, Wants::Fixed32, WireValue::Fixed32(bits)) => last_bits = u64::from(bits),
                    (1, Wants::Bytes, WireValue::Bytes(bytes)) => last_bytes = bytes,
                    _ => self.has_unknown = true,
                }
            }
        }
        match scalar {
            Scalar::String | Scalar::Bytes => self.bytes(leaf, scalar, last_bytes),
            _ => {
                self.number(leaf, scalar, last_bits);
                Ok(())
            }
        }
    }

    fn time(&mut self, leaf: LeafId, fragments: &[&'a [u8]]) -> Walk<()> {
        let (mut seconds, mut nanos) = (0i64, 0i32);
        for fragment in fragments {
            let mut wire = Wire::new(fragment);
            while let Some(field) = wire.next()? {
                match (field.number, field.value) {
                    (1, WireValue::Varint(bits)) => seconds = bits.cast_signed(),
                    (2, WireValue::Varint(bits)) => nanos = bits as i32,
                    _ => self.has_unknown = true,
                }
            }
        }
        let total = i128::from(seconds) * i128::from(NANOS_PER_SECOND) + i128::from(nanos);
        let place = fragments.first().copied().unwrap_or(&[]);
        let total = i64::try_from(total).map_err(|_| Fault::in_slice(FaultKind::Time, place))?;
        self.columns.push_le(leaf, &total.to_le_bytes());
        self.columns.push_valid(leaf);
        Ok(())
    }

    /// Pushes a number from its bits on the wire, and returns 1.
    #[inline]
    fn number(&mut self, leaf: LeafId, scalar: Scalar, bits: u64) -> u32 {
        match scalar {
            Scalar::Double | Scalar::Fixed64 | Scalar::SFixed64 | Scalar::Int64 | Scalar::UInt64 => {
                self.columns.push_le(leaf, &bits.to_le_bytes());
            }
            // 32-bit types take the low half of whatever was written, as the specification has it.
            Scalar::Float
            | Scalar::Fixed32
            | Scalar::SFixed32
            | Scalar::Int32
            | Scalar::UInt32
            | Scalar::Enum => self.columns.push_le(leaf, &(bits as u32).to_le_bytes()),
            Scalar::SInt32 => {
                let bits = bits as u32;
                self.columns.push_le(leaf, &((bits >> 1) ^ (bits & 1).wrapping_neg()).to_le_bytes());
            }
            Scalar::SInt64 => {
                self.columns.push_le(leaf, &((bits >> 1) ^ (bits & 1).wrapping_neg()).to_le_bytes());
            }
            Scalar::Bool => self.columns.push_bool(leaf, bits != 0),
            Scalar::String | Scalar::Bytes => unreachable!("text and bytes are not numbers"),
        }
        self.columns.push_valid(leaf);
        1
    }

    fn bytes(&mut self, leaf: LeafId, scalar: Scalar, bytes: &[u8]) -> Walk<()> {
        if scalar == Scalar::String && std::str::from_utf8(bytes).is_err() {
            return Err(Fault::in_slice(FaultKind::Text, bytes).of(leaf));
        }
        self.columns.push_bytes(leaf, bytes);
        self.columns.push_valid(leaf);
        Ok(())
    }

    #[inline]
    fn spend(&mut self, n_values: usize, place: &[u8]) -> Walk<()> {
        match self.budget.checked_sub(n_values as u64) {
            Some(left) => self.budget = left,
            None => return Err(Fault::in_slice(FaultKind::Budget, place)),
        }
        Ok(())
    }
}

/// How a value lies on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    Varint,
    Fixed64,
    Fixed32,
    Bytes,
    /// Behind a length, or as a group.
    Message,
}

impl ValuePlan {
    #[inline]
    pub(super) fn wants(&self) -> Wants {
        match self {
            Self::Scalar(_, scalar) => scalar.wants(),
            Self::Wrapper(..) | Self::Time(_) | Self::Raw(_) | Self::Presence(_) | Self::Message(_) => {
                Wants::Message
            }
        }
    }
}

impl Scalar {
    #[inline]
    pub(super) fn wants(self) -> Wants {
        match self {
            Self::Double | Self::Fixed64 | Self::SFixed64 => Wants::Fixed64,
            Self::Float | Self::Fixed32 | Self::SFixed32 => Wants::Fixed32,
            Self::Int64
            | Self::UInt64
            | Self::Int32
            | Self::Bool
            | Self::UInt32
            | Self::Enum
            | Self::SInt32
            | Self::SInt64 => Wants::Varint,
            Self::String | Self::Bytes => Wants::Bytes,
        }
    }
}

/// The fragments of a submessage that was written more than once.
fn gather<'a>(fragments: &[&'a [u8]], number: u32, n_replaced: u32) -> Walk<Vec<&'a [u8]>> {
    let mut parts = Vec::new();
    for fragment in fragments {
        let mut wire = Wire::new(fragment);
        while let Some(field) = wire.next()? {
            if let WireValue::Bytes(bytes) | WireValue::Group(bytes) = field.value
                && field.number == number
            {
                parts.push(bytes);
            }
        }
    }
    parts.drain(..n_replaced as usize);
    Ok(parts)
}
