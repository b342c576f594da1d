use std::{ops::Range, sync::Arc};

use nodedata_core::{OpenOptions, ReadAt};

use crate::{ClockColumns, LogFile, MessageCursor, RecordCursor, RecordReader, RecordUnit, Selector, Unit};

/// One file of chunks and records, planned.
pub struct RecordLog<R> {
    file: Arc<dyn ReadAt>,
    units: Arc<[RecordUnit]>,
    clock: ClockColumns,
    reader: Box<dyn Fn(&OpenOptions) -> R + Send + Sync>,
}

impl<R> RecordLog<R> {
    /// Of these units, each walk over which has a reader of its own.
    pub fn new(
        file: Arc<dyn ReadAt>,
        units: Vec<RecordUnit>,
        clock: ClockColumns,
        reader: impl Fn(&OpenOptions) -> R + Send + Sync + 'static,
    ) -> Self {
        Self { file, units: units.into(), clock, reader: Box::new(reader) }
    }
}

impl<R> std::fmt::Debug for RecordLog<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordLog").field("units", &self.units).finish_non_exhaustive()
    }
}

impl<R: RecordReader + 'static> LogFile for RecordLog<R> {
    fn clock(&self) -> ClockColumns {
        self.clock
    }

    fn n_units(&self) -> usize {
        self.units.len()
    }

    fn unit(&self, idx: usize) -> Unit {
        (&self.units[idx]).into()
    }

    fn counts(&self, idx: usize) -> Option<&[(u32, u64)]> {
        self.units[idx].counts.as_deref()
    }

    fn messages(
        &self,
        units: Range<usize>,
        selector: Selector,
        options: &OpenOptions,
    ) -> Box<dyn MessageCursor> {
        let (file, all) = (Arc::clone(&self.file), Arc::clone(&self.units));
        Box::new(RecordCursor::new(file, all, units, selector, (self.reader)(options)))
    }
}
