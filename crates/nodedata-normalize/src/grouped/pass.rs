use nodedata_core::{Batch, Error, ErrorKind, ReadOptions, Result, STEP_INDEX, Source};
use rayon::prelude::*;

use super::{
    joiner::{Joiner, Stretch, in_order, locus_of, row_of},
    keys::{KeyReader, RowKey},
    loaded::row_numbers,
    runs::Run,
};

/// Partitions that are read together, and whose stretches are held until they are joined.
const PARTITIONS_AT_ONCE: usize = 256;

/// A pass over the keys of all rows.
pub(super) struct Pass<'a> {
    /// Opened for the keys alone.
    pub(super) source: &'a dyn Source,
    pub(super) reader: &'a KeyReader,
    /// Whether rows that cannot be read are passed over: whoever reads all of them counts them.
    pub(super) salvage: bool,
}

impl Pass<'_> {
    /// The episodes, in order.
    ///
    /// # Errors
    /// The first in the order of rows: what reading reports; `Corrupt` for a row without a key, and as [`Joiner::add`].
    pub(super) fn run(&self) -> Result<Vec<Run>> {
        let plan = self.source.plan();
        let all: Vec<usize> = (0..plan.partitions.len()).collect();
        let mut joiner = Joiner::new(plan);
        for some in all.chunks(PARTITIONS_AT_ONCE) {
            let read: Vec<Result<Vec<Stretch>>> = some.par_iter().map(|it| self.stretches(*it)).collect();
            for (partition, stretches) in some.iter().zip(read) {
                for stretch in stretches? {
                    joiner.add(*partition, stretch)?;
                }
            }
        }
        Ok(joiner.finish())
    }

    /// The stretches of a partition.
    fn stretches(&self, partition: usize) -> Result<Vec<Stretch>> {
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut reading = self.source.read(partition, &ReadOptions::default())?;
        loop {
            match reading.next_batch() {
                Ok(Some(batch)) => self.take_in(partition, &batch, &mut stretches)?,
                Ok(None) => return Ok(stretches),
                Err(err) if self.salvage && err.loss().is_some() => {}
                Err(err) => return Err(err),
            }
        }
    }

    fn take_in(&self, partition: usize, batch: &Batch, stretches: &mut Vec<Stretch>) -> Result<()> {
        let plan = self.source.plan();
        let numbers = row_numbers(batch).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("the rows have no `{STEP_INDEX}`"))
                .at(locus_of(plan, partition, 0))
        })?;
        let columns = self.reader.columns(&batch.rows);
        for (row, number) in numbers.iter().enumerate() {
            let number = u64::try_from(*number).unwrap_or(0);
            let at = || locus_of(plan, partition, number);
            let RowKey { episode, place } = columns
                .of_row(row)
                .map_err(|it| Error::new(ErrorKind::Corrupt, it.message).at(at()).with_hint(it.hint))?;
            let end = number.saturating_add(1);
            // Of a row between them that cannot be read nobody knows the key.
            match stretches.last_mut().filter(|it| *it.key == *episode && it.rows.end == number) {
                Some(stretch) => {
                    if let (Some((_, last)), Some(now)) = (&mut stretch.places, place) {
                        in_order(&episode, *last, now).map_err(|(message, hint)| {
                            let before = row_of(plan, partition, stretch.rows.end - 1);
                            Error::new(ErrorKind::Corrupt, format!("{message} in {before}"))
                                .at(at())
                                .with_hint(hint)
                        })?;
                        *last = now;
                    }
                    stretch.rows.end = end;
                }
                None => stretches.push(Stretch {
                    key: episode.into(),
                    rows: number..end,
                    places: place.map(|it| (it, it)),
                }),
            }
        }
        Ok(())
    }
}
