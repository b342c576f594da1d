mod columns;
mod places;

use std::collections::BTreeMap;

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_reader::{Column, Memory, Rooms, Rows};

use crate::{
    Located, Slot, Unit,
    engine::{
        batch_memory::Seat,
        feed::Wanted,
        layout::{Layout, Part},
        sample::SampleField,
    },
};
use places::Places;

/// The values of one sample as they come, piece by piece and in any order.
#[derive(Debug)]
pub(crate) struct Assembly {
    /// What each part has so far.
    parts: Vec<Option<Rows>>,
    /// The piece that goes on from there.
    next: usize,
    /// Pieces that came before their turn, each with its rows by part.
    early: BTreeMap<usize, Vec<(usize, Rows)>>,
    /// Bytes of all of these.
    n_bytes: u64,
    bytes_max: u64,
    /// Its place in the memory of its batch, until somebody decodes the first piece of it.
    seat: Option<Seat>,
    /// And what that is for each part, or in memory of the sample's own where that is a whole episode; nothing where pieces have their
    /// own.
    places: Vec<Option<Places>>,
}

impl Assembly {
    /// One that is empty, of a sample of so many bytes at most.
    pub(crate) fn new(layout: &Layout, bytes_max: u64) -> Self {
        let parts = layout.parts.iter().map(|_| None).collect();
        let (early, places) = (BTreeMap::new(), Vec::new());
        Self { parts, next: 0, early, n_bytes: 0, bytes_max, seat: None, places }
    }

    /// Has its values where its batch wants them, as far as they can be put there.
    pub(crate) fn sit(&mut self, seat: Seat) {
        self.seat = Some(seat);
    }

    /// Where the rows of a piece are wanted, for each that is decoded for itself.
    ///
    /// # Errors
    /// `Corrupt` where there are no such steps.
    pub(crate) fn rooms(
        &mut self,
        wanted: &[Wanted],
        layout: &Layout,
        located: &Located,
    ) -> Result<Vec<Rooms>> {
        let seat = self.seat.take();
        if seat.is_some() || (layout.unit == Unit::Episode && self.places.is_empty()) {
            let room = |field: &str, n_bytes: usize| match &seat {
                Some(seat) => seat.take(field, n_bytes),
                // Pieces of it are written side by side, and nothing is copied.
                None => Memory::to_fill(n_bytes),
            };
            let places = layout.parts.iter().map(|part| Places::of(room, layout, part, located));
            self.places = places.collect::<Result<_>>()?;
        }
        let rooms = wanted.iter().map(|it| {
            let rooms = Rooms::default();
            if let Some(places) = self.places.get_mut(it.part).and_then(Option::as_mut) {
                places.rooms(it, &rooms);
            }
            rooms
        });
        Ok(rooms.collect())
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// `Limit` for more bytes than a sample may have, and where there is no memory for them; `SchemaMismatch` for rows
    /// that are of another type or shape than those before.
    pub(crate) fn add(
        &mut self,
        piece: usize,
        rows: Vec<(usize, Rows)>,
        layout: &Layout,
        located: &Located,
    ) -> Result<()> {
        self.n_bytes += rows.iter().map(|(_, it)| it.n_bytes()).sum::<u64>();
        if self.n_bytes > self.bytes_max {
            return Err(too_large(self.n_bytes, self.bytes_max, layout.unit));
        }
        self.early.insert(piece, rows);
        while let Some(rows) = self.early.remove(&self.next) {
            self.next += 1;
            for (idx, more) in rows {
                let (Some(rows), Some(part)) = (self.parts.get_mut(idx), layout.parts.get(idx)) else {
                    return Err(torn());
                };
                match rows {
                    Some(rows) => columns::append(rows, more)?,
                    None => *rows = Some(self::first(more, part, layout, located)?),
                }
            }
        }
        Ok(())
    }

    /// The fields of the sample, once all pieces are there.
    ///
    /// # Errors
    /// `Corrupt` where a split has handed out other rows than it was asked for.
    pub(crate) fn finish(mut self, layout: &Layout, located: &Located) -> Result<Vec<SampleField>> {
        let n_fields = layout.parts.iter().map(|it| it.fields.len()).sum();
        let mut fields: Vec<Option<SampleField>> = (0..n_fields).map(|_| None).collect();
        for (idx, (part, rows)) in layout.parts.iter().zip(self.parts).enumerate() {
            let rows = rows.filter(|it| it.columns.len() == part.fields.len()).ok_or_else(torn)?;
            let steps = layout.steps(part, located)?;
            if rows.n_rows as u64 != steps.len() {
                return Err(torn());
            }
            let slots = part.window.as_ref().map(|it| layout.slots(it, located)).transpose()?;
            for (place, column) in part.fields.iter().zip(rows.columns) {
                let field = match &slots {
                    None => SampleField { column, n_rows: rows.n_rows, pad: None },
                    Some(slots) => {
                        let places = self.places.get_mut(idx).and_then(Option::as_mut);
                        let pads = places.and_then(|it| it.pads(&column.name));
                        windowed(column, rows.n_rows, slots, |step| steps.row_of(step), pads)?
                    }
                };
                *fields.get_mut(*place).ok_or_else(torn)? = Some(field);
            }
        }
        fields.into_iter().map(|it| it.ok_or_else(torn)).collect()
    }
}

/// The first rows of a part, with room for those that follow.
fn first(mut rows: Rows, part: &Part, layout: &Layout, located: &Located) -> Result<Rows> {
    let n_rows = layout.steps(part, located)?.len();
    let n_more = usize::try_from(n_rows).ok().and_then(|it| it.checked_sub(rows.n_rows)).ok_or_else(torn)?;
    if n_more > 0 {
        rows.columns.iter_mut().try_for_each(|it| columns::reserve(it, n_more))?;
    }
    Ok(rows)
}

/// A column as the window has it. `pads` is what lies before and behind its rows in the memory of the batch, where all else of the window is
/// pads.
fn windowed(
    column: Column,
    n_rows: usize,
    slots: &[Slot],
    row_of: impl Fn(u64) -> Option<usize>,
    pads: Option<(Memory, Memory)>,
) -> Result<SampleField> {
    let pad = slots.iter().map(|it| it.is_pad()).collect();
    // The row that stands there, and of what is blank any.
    let rows = slots.iter().map(|it| it.step().map_or(Some(0), &row_of).ok_or_else(torn));
    let rows: Vec<usize> = rows.collect::<Result<_>>()?;
    let is_blank = slots.iter().any(|it| it.step().is_none());
    if !is_blank && rows.len() == n_rows && rows.iter().copied().eq(0..n_rows) {
        return Ok(SampleField { column, n_rows, pad: Some(pad) });
    }
    let mut column = match pads {
        Some(pads) => columns::padded(column, n_rows, &rows, pads)?,
        None => column.take(&rows)?,
    };
    if is_blank {
        columns::blank(&mut column, slots)?;
    }
    Ok(SampleField { column, n_rows: slots.len(), pad: Some(pad) })
}

/// A sample that is larger than any may be.
pub(crate) fn too_large(n_bytes: u64, bytes_max: u64, unit: Unit) -> Error {
    let hint = match unit {
        Unit::Episode => {
            "read steps instead of episodes (`unit=\"step\"`), name the fields that are wanted (`fields=`), make \
             pictures smaller (`resize=`), or raise `max_sample_bytes`"
        }
        Unit::Step => {
            "name the fields that are wanted (`fields=`), make pictures smaller (`resize=`) or windows shorter, or \
             raise `max_sample_bytes`"
        }
    };
    let message = format!("the sample has {n_bytes} bytes or more, and `max_sample_bytes` is {bytes_max}");
    Error::new(ErrorKind::Limit, message).with_hint(hint)
}

fn torn() -> Error {
    Error::new(ErrorKind::Corrupt, "the rows of the sample are not those that were asked for")
        .with_hint("`node-data dataset verify` tells whether the revision is damaged")
}

#[cfg(test)]
mod tests;
