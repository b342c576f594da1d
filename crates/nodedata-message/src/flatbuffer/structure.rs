//! Structs: flattened into columns whose values lie at fixed places.

use nodedata_core::{DType, Level, Locus, Result, meta};

use super::{
    StructLeaf, StructLeafKind, StructPlan,
    compile::{Compiler, Place, corrupt, number},
    reflection::{BaseType, Object, Type},
};

/// Structs inside structs.
const DEPTH_MAX: usize = 16;
/// Values of one struct, arrays counted out.
const VALUES_MAX: usize = 1 << 16;

impl<'s> Compiler<'s, '_> {
    /// Adds the columns of a struct.
    pub(super) fn structure(&mut self, object: &'s Object<'_>, place: &Place) -> Result<StructPlan> {
        let mut plan = StructPlan { n_bytes: object.n_bytes, leaves: Vec::new() };
        self.flatten(object, place, &[0], &mut plan, 0)?;
        Ok(plan)
    }

    /// Adds the leaves of a struct that lies at each of `bases` of the outermost one.
    fn flatten(
        &mut self,
        object: &'s Object<'_>,
        place: &Place,
        bases: &[usize],
        plan: &mut StructPlan,
        depth: usize,
    ) -> Result<()> {
        if depth > DEPTH_MAX || object.fields.is_empty() {
            let message = format!("struct `{}` inside itself, or without fields", object.name);
            return Err(corrupt(message).at(Locus::feature(&place.name)));
        }
        if let Some(kind) = time_kind(object) {
            let feature = place
                .feature(DType::Int64)
                .with_meta(meta::UNIT, "ns")
                .with_meta(meta::SOURCE_TYPE, object.name);
            let leaf = self.leaf(feature, &place.levels)?;
            return plan.add(StructLeaf { leaf, kind, offsets: bases.to_vec() }, 8, place);
        }
        for field in &object.fields {
            let mut place = place.below(field.name);
            let starts = bases.iter().map(|base| base + usize::from(field.offset));
            let (of, bases) = if field.of.base == BaseType::Array {
                let n_items = usize::from(field.of.fixed_length);
                let item = Type { base: field.of.element, ..field.of };
                let stride = self.stride(item, &place)?;
                if n_items == 0 || bases.len().saturating_mul(n_items) > VALUES_MAX {
                    let message = format!("array of {n_items} items in a struct");
                    return Err(corrupt(message).at(Locus::feature(place.name)));
                }
                place.levels.push(Level::Fixed(u32::from(field.of.fixed_length)));
                (
                    item,
                    starts.flat_map(|it| (0..n_items).map(move |idx| it + idx * stride)).collect::<Vec<_>>(),
                )
            } else {
                (field.of, starts.collect())
            };
            if of.base == BaseType::Obj {
                let (_, inner) = self.object(of, &place)?;
                self.flatten(inner, &place, &bases, plan, depth + 1)?;
                continue;
            }
            let Some((dtype, width)) = number(of.base) else {
                let message = format!("field of type {:?} in a struct", of.base);
                return Err(corrupt(message).at(Locus::feature(place.name)));
            };
            let kind =
                if dtype == DType::Bool { StructLeafKind::Bool } else { StructLeafKind::Number(width) };
            let leaf = self.number_leaf(&place, dtype, of)?;
            plan.add(StructLeaf { leaf, kind, offsets: bases }, width, &place)?;
        }
        Ok(())
    }

    /// Bytes from one item of an array to the next.
    fn stride(&self, item: Type, place: &Place) -> Result<usize> {
        match number(item.base) {
            Some((_, width)) => Ok(width),
            None => Ok(self.object(item, place)?.1.n_bytes),
        }
    }
}

impl StructPlan {
    fn add(&mut self, leaf: StructLeaf, width: usize, place: &Place) -> Result<()> {
        if leaf.offsets.iter().any(|it| it + width > self.n_bytes) {
            let message = format!("field beyond the {} bytes of its struct", self.n_bytes);
            return Err(corrupt(message).at(Locus::feature(&place.name)));
        }
        self.leaves.push(leaf);
        Ok(())
    }
}

/// Foxglove's times, told by name and by fields.
fn time_kind(object: &Object<'_>) -> Option<StructLeafKind> {
    let [sec, nsec] = &object.fields[..] else { return None };
    let named = sec.name == "sec" && nsec.name == "nsec" && (sec.offset, nsec.offset) == (0, 4);
    match (object.name, sec.of.base, nsec.of.base) {
        ("foxglove.Time", BaseType::UInt, BaseType::UInt) if named => Some(StructLeafKind::Time),
        ("foxglove.Duration", BaseType::Int, BaseType::UInt) if named => Some(StructLeafKind::Duration),
        _ => None,
    }
}
