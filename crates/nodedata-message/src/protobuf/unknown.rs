//! What the schema does not name. A message that holds any of it is walked a second time here.

use super::{
    FieldPlan, MessagePlan, ValuePlan,
    decode::Wants,
    wire::{Walk, Wire, WireField, WireValue, write_varint},
};

/// Copies what the plan does not name, keeping the messages around it, so that the result is a message
/// of the same type. Items of repeated messages stay, empty where all of an item is known, so that
/// positions hold. Returns whether anything was unknown.
pub(super) fn collect_unknown(plan: &MessagePlan, bytes: &[u8], out: &mut Vec<u8>) -> Walk<bool> {
    let mut found = false;
    let mut wire = Wire::new(bytes);
    while let Some(field) = wire.next()? {
        let known = plan.numbers.find(field.number).map(|idx| &plan.fields[idx]);
        let Some(known) = known.filter(|it| it.accepts(field.value)) else {
            out.extend_from_slice(field.raw);
            found = true;
            continue;
        };
        let (WireValue::Bytes(inner) | WireValue::Group(inner)) = field.value else { continue };
        let mut left = Vec::new();
        let found_inside = match &known.value {
            ValuePlan::Scalar(..) | ValuePlan::Raw(_) => continue,
            ValuePlan::Message(plan) => collect_unknown(plan, inner, &mut left)?,
            ValuePlan::Time(_) => collect_unless(inner, &mut left, |it| {
                matches!((it.number, it.value), (1 | 2, WireValue::Varint(_)))
            })?,
            ValuePlan::Presence(_) => collect_unless(inner, &mut left, |_| false)?,
            ValuePlan::Wrapper(_, scalar) => {
                collect_unless(inner, &mut left, |it| it.number == 1 && scalar.wants().accepts(it.value))?
            }
        };
        if found_inside || known.list.is_some() {
            write_varint(out, u64::from(field.number) << 3 | 2);
            write_varint(out, left.len() as u64);
            out.extend_from_slice(&left);
        }
        found |= found_inside;
    }
    Ok(found)
}

fn collect_unless(bytes: &[u8], out: &mut Vec<u8>, is_known: impl Fn(&WireField<'_>) -> bool) -> Walk<bool> {
    let mut wire = Wire::new(bytes);
    while let Some(field) = wire.next()? {
        if !is_known(&field) {
            out.extend_from_slice(field.raw);
        }
    }
    Ok(!out.is_empty())
}

impl Wants {
    fn accepts(self, value: WireValue<'_>) -> bool {
        match value {
            WireValue::Varint(_) => self == Self::Varint,
            WireValue::Fixed64(_) => self == Self::Fixed64,
            WireValue::Fixed32(_) => self == Self::Fixed32,
            WireValue::Bytes(_) => matches!(self, Self::Bytes | Self::Message),
            WireValue::Group(_) => self == Self::Message,
        }
    }
}

impl FieldPlan {
    /// Whether a value of this wire type belongs to the field: repeated numbers may be packed.
    fn accepts(&self, value: WireValue<'_>) -> bool {
        let packed = self.list.is_some()
            && matches!(value, WireValue::Bytes(_))
            && matches!(self.value, ValuePlan::Scalar(..));
        packed || self.value.wants().accepts(value)
    }
}
