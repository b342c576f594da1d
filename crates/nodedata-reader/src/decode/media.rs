//! Bytes that are decoded one by one: where they lie, row by row. Of pages that are not compressed they are views.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_dataset::PageRange;

use super::Decoding;
use crate::{
    assemble::row_starts,
    fields::Field,
    leaf::{Levels, RawLeaf},
    shard::Shard,
    split::Stretch,
};

/// What a row has of media.
pub(crate) struct MediaRow {
    pub(crate) shard: Arc<Shard>,
    /// Row of the shard.
    pub(crate) row: u64,
    /// Step of the episode.
    pub(crate) step: u64,
    /// Whether there is a value: of a list, whether there is one, be it empty.
    pub(crate) is_valid: bool,
    /// One, or those of a list; none where there is no value.
    pub(crate) items: Vec<Option<Bytes>>,
}

/// Rows of one page that are wanted.
struct PageWant {
    shard: Arc<Shard>,
    group: usize,
    group_start: u64,
    page: PageRange,
    /// Rows of the shard, and the step that the first of each range is.
    rows: Vec<(Range<u64>, u64)>,
}

/// Which rows have a value; `None` for all.
pub(super) fn valid_of(rows: &[MediaRow]) -> Option<Vec<bool>> {
    let has_null = rows.iter().any(|it| !it.is_valid);
    has_null.then(|| rows.iter().map(|it| it.is_valid).collect())
}

impl Decoding<'_> {
    /// All rows of a field of media.
    pub(super) fn media(&self, field: &Field) -> Result<Vec<MediaRow>> {
        self.media_of(&field.info.name, &self.stretches())
    }

    /// The rows of some stretches of an episode, in their order. Each page is looked through once.
    pub(super) fn media_of(&self, name: &str, stretches: &[Stretch]) -> Result<Vec<MediaRow>> {
        let mut rows = Vec::new();
        let mut open: Option<PageWant> = None;
        for stretch in stretches {
            let shard = self.shard(stretch.shard)?;
            let at = |err| self.placed(err, &shard, stretch.rows.start, stretch, name);
            let column = shard.column_of(name).map_err(at)?;
            shard
                .each_page(column, stretch.rows.clone(), |place| {
                    let of_page = place.rows();
                    let wanted = of_page.start.max(stretch.rows.start)..of_page.end.min(stretch.rows.end);
                    let step = stretch.step + (wanted.start - stretch.rows.start);
                    match &mut open {
                        Some(it) if it.is(&shard, place.group, &place.page) => it.rows.push((wanted, step)),
                        _ => {
                            let next = PageWant {
                                shard: Arc::clone(&shard),
                                group: place.group,
                                group_start: place.group_start,
                                page: place.page,
                                rows: vec![(wanted, step)],
                            };
                            if let Some(before) = open.replace(next) {
                                self.read_page(&before, name, &mut rows)?;
                            }
                        }
                    }
                    Ok(())
                })
                .map_err(at)?;
        }
        if let Some(last) = open {
            self.read_page(&last, name, &mut rows)?;
        }
        Ok(rows)
    }

    fn read_page(&self, want: &PageWant, name: &str, rows: &mut Vec<MediaRow>) -> Result<()> {
        let first = want.rows.first().map_or((0, 0), |(rows, step)| (rows.start, *step));
        self.page(want, name, rows).map_err(|err| {
            let place = self.split.place(self.episode, &want.shard, first.0, first.1, name);
            place.put_on(err)
        })
    }

    fn page(&self, want: &PageWant, name: &str, rows: &mut Vec<MediaRow>) -> Result<()> {
        let index = &want.shard.index;
        let column = want.shard.column_of(name)?;
        let untold = || Error::new(ErrorKind::Corrupt, "the footer does not tell how the column lies");
        let chunk = index.chunk(want.group, column).ok_or_else(untold)?;
        let levels = Levels::of(index, column).ok_or_else(untold)?;
        let start = want.group_start.saturating_add(want.page.rows.start);
        let in_page = |it: u64| usize::try_from(it.saturating_sub(start)).unwrap_or(usize::MAX);
        let ranges: Vec<Range<usize>> =
            want.rows.iter().map(|(it, _)| in_page(it.start)..in_page(it.end)).collect();
        let raw = self.leaf(&want.shard, &chunk, &want.page.bytes, &ranges)?;
        let n_rows = ranges.iter().map(Range::len).sum();
        let starts = row_starts(&raw, n_rows)?;
        let mut values = 0;
        let places = want.rows.iter().flat_map(|(range, step)| range.clone().zip(*step..));
        for ((row, step), entries) in places.zip(starts.windows(2)) {
            let (is_valid, items) = items_of(&raw, &levels, entries[0]..entries[1], &mut values);
            rows.push(MediaRow { shard: Arc::clone(&want.shard), row, step, is_valid, items });
        }
        Ok(())
    }
}

impl PageWant {
    fn is(&self, shard: &Arc<Shard>, group: usize, page: &PageRange) -> bool {
        Arc::ptr_eq(&self.shard, shard) && self.group == group && self.page.rows.start == page.rows.start
    }
}

/// What the entries of one row are; `next` is the value that comes next.
fn items_of(
    raw: &RawLeaf,
    levels: &Levels,
    entries: Range<usize>,
    next: &mut usize,
) -> (bool, Vec<Option<Bytes>>) {
    let mut item = |entry: usize| {
        let is_there = raw.definition(entry, levels) == levels.value;
        is_there
            .then(|| {
                *next += 1;
                raw.bytes(*next - 1)
            })
            .flatten()
    };
    let (Some(first), Some(innermost)) = (levels.lists.first(), levels.lists.last()) else {
        let one = item(entries.start);
        return (one.is_some(), one.map(|it| vec![Some(it)]).unwrap_or_default());
    };
    let is_valid = first - 1 <= raw.definition(entries.start, levels);
    let items = entries.filter(|it| *innermost <= raw.definition(*it, levels)).map(item).collect();
    (is_valid, items)
}
