//! Where the values of a sample are wanted: in the memory of its batch, or in one of its own for all pieces.

use std::{collections::BTreeMap, ops::Range};

use nodedata_core::Result;
use nodedata_reader::{Memory, Rooms};

use crate::{
    Located,
    engine::{
        feed::Wanted,
        layout::{InWindow, Layout, Part, PlacedField},
    },
};

/// The places of the fields of one part: the rows of its window, of which each may be taken once.
#[derive(Debug)]
pub(super) struct Places {
    lie: InWindow,
    fields: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    field: PlacedField,
    /// What nobody has taken yet, by its first row.
    rows: BTreeMap<usize, Memory>,
}

impl Places {
    /// Those of a part of a sample, in the memory that `room` has for so many bytes of a field; `None` where its rows cannot be put there
    /// as they come.
    ///
    /// # Errors
    /// Those of [`Layout::in_window`].
    pub(super) fn of(
        room: impl Fn(&str, usize) -> Option<Memory>,
        layout: &Layout,
        part: &Part,
        located: &Located,
    ) -> Result<Option<Self>> {
        if part.placed.is_empty() {
            return Ok(None);
        }
        let Some(lie) = layout.in_window(part, located)? else { return Ok(None) };
        let place = |field: &PlacedField| {
            let memory = room(&field.name, field.row_bytes.checked_mul(lie.n_slots)?)?;
            Some(Place { field: field.clone(), rows: BTreeMap::from([(0, memory)]) })
        };
        let fields = part.placed.iter().filter_map(place).collect();
        Ok(Some(Self { lie, fields }))
    }

    /// Room for rows that are decoded together.
    pub(super) fn rooms(&mut self, wanted: &Wanted, rooms: &Rooms) {
        let Some(first) = self.lie.steps.row_of(wanted.steps.start) else { return };
        let first = self.lie.rows.start + first;
        let n_rows = usize::try_from(wanted.steps.end - wanted.steps.start).unwrap_or(usize::MAX);
        let Some(end) = first.checked_add(n_rows).filter(|it| *it <= self.lie.rows.end) else { return };
        for place in &mut self.fields {
            if let Some(memory) = place.take(first..end) {
                rooms.put(&place.field.name, memory);
            }
        }
    }

    /// What lies before the rows of a field and what behind them: places for pads.
    pub(super) fn pads(&mut self, field: &str) -> Option<(Memory, Memory)> {
        let Range { start, end } = self.lie.rows;
        let n_slots = self.lie.n_slots;
        let place = self.fields.iter_mut().find(|it| *it.field.name == *field)?;
        Some((place.take(0..start)?, place.take(end..n_slots)?))
    }
}

impl Place {
    /// Takes rows that nobody has taken.
    fn take(&mut self, rows: Range<usize>) -> Option<Memory> {
        if rows.is_empty() {
            return Some(Memory::default());
        }
        let row_bytes = self.field.row_bytes;
        let start = *self.rows.range(..=rows.start).next_back()?.0;
        let memory = self.rows.remove(&start)?;
        let (before, memory) = memory.cut((rows.start - start) * row_bytes);
        let (memory, behind) = memory.cut(rows.len() * row_bytes);
        for (row, rest) in [(start, before), (rows.end, behind)] {
            if !rest.is_empty() {
                self.rows.insert(row, rest);
            }
        }
        (memory.len() == rows.len() * row_bytes).then_some(memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_taken_once_in_any_order() {
        let field = PlacedField { name: "rgb".into(), row_bytes: 3 };
        let mut place = Place { field, rows: BTreeMap::from([(0, (0..30).collect())]) };
        let mut take = |rows: Range<usize>| place.take(rows).map(Memory::into_vec);
        assert_eq!(take(4..6), Some((12..18).collect()));
        assert_eq!(take(9..10), Some(vec![27, 28, 29]));
        assert_eq!(take(0..2), Some((0..6).collect()));
        assert_eq!((take(5..7), take(9..11), take(3..3)), (None, None, Some(vec![])));
        assert_eq!(take(2..4), Some((6..12).collect()));
    }
}
