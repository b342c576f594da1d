//! Numbers and text, page by page.

use std::{ops::Range, sync::Arc};

use nodedata_core::{DType, Error, ErrorKind, Result};
use nodedata_dataset::ChunkIndex;

use super::{Decoding, gather::Gathered};
use crate::{
    assemble::{Block, Flaw, assemble},
    fields::Field,
    leaf::{Levels, RawLeaf},
    needs::PagePlace,
    page_cache::PAGE_BYTES_MAX,
    shard::Shard,
    split::Form,
};

impl Decoding<'_> {
    /// All rows of a field of numbers or text.
    pub(crate) fn numbers(&self, n_rows: usize, field: &Field) -> Result<Block> {
        let mut gathered = Gathered::new(n_rows, &field.info)?;
        for stretch in self.stretches() {
            let shard = self.shard(stretch.shard)?;
            let at = |row: u64, err| self.placed(err, &shard, row, &stretch, &field.info.name);
            let column = shard.column_of(&field.info.name).map_err(|err| at(stretch.rows.start, err))?;
            let mut failed = None;
            let read = shard.each_page(column, stretch.rows.clone(), |place| {
                let of_page = place.rows();
                let wanted = of_page.start.max(stretch.rows.start)..of_page.end.min(stretch.rows.end);
                let (block, first) =
                    self.block(&shard, column, &place, wanted.clone(), field).map_err(|flaw| {
                        failed = Some(flaw.row);
                        flaw.err
                    })?;
                let rows = (wanted.start - first) as usize..(wanted.end - first) as usize;
                gathered.append(&block, rows)
            });
            read.map_err(|err| {
                let row = failed.map_or(stretch.rows.start, |it| it.max(stretch.rows.start));
                at(row, err)
            })?;
        }
        gathered.finish(n_rows)
    }

    /// Decoded rows of a page: all of them, to be kept, or of a large one those that are wanted. And the row of the shard that the
    /// first of them is.
    fn block(
        &self,
        shard: &Arc<Shard>,
        column: usize,
        place: &PagePlace<'_>,
        wanted: Range<u64>,
        field: &Field,
    ) -> Result<(Arc<Block>, u64), InShard> {
        let key = (shard.idx, place.group, column, place.page.rows.start);
        let of_page = place.rows();
        let pages = self.split.reader().pages();
        if let Some(block) = pages.get(&key) {
            return Ok((block, of_page.start));
        }
        if decoded_bytes(place.unpacked_bytes(), of_page.end - of_page.start, field) <= PAGE_BYTES_MAX
            && let Ok(block) = self.decoded(shard, column, place, of_page.clone(), field)
        {
            let block = Arc::new(block);
            pages.put(key, &block);
            return Ok((block, of_page.start));
        }
        // Where a neighbour cannot be read, this row may.
        let first = wanted.start;
        let block = self.decoded(shard, column, place, wanted, field);
        let block = block.map_err(|it| InShard { row: first.saturating_add(it.row as u64), err: it.err })?;
        Ok((Arc::new(block), first))
    }

    fn decoded(
        &self,
        shard: &Shard,
        column: usize,
        place: &PagePlace<'_>,
        rows: Range<u64>,
        field: &Field,
    ) -> Result<Block, Flaw> {
        let levels = Levels::of(&shard.index, column).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "the footer does not tell how values of the column lie in lists")
        })?;
        let page_start = place.rows().start;
        let in_page = |row: u64| usize::try_from(row - page_start).map_err(|_| too_many());
        let range = in_page(rows.start)?..in_page(rows.end)?;
        let n_rows = range.len();
        let raw = self.leaf(shard, &place.chunk, &place.page.bytes, &[range])?;
        assemble(&raw, &levels, n_rows, &field.info.form, stored_dtype(field))
    }

    /// Values of a page with its dictionary; `rows` are counted from its first row.
    pub(super) fn leaf(
        &self,
        shard: &Shard,
        chunk: &ChunkIndex<'_>,
        page: &Range<u64>,
        rows: &[Range<usize>],
    ) -> Result<RawLeaf> {
        let dictionary = chunk.dictionary().map(|it| self.fetched.read(shard, it)).transpose()?;
        let bytes = self.fetched.read(shard, page.clone())?;
        RawLeaf::read(chunk, dictionary, bytes, rows)
    }
}

/// Why a row cannot be read: which of the shard, and what is wrong.
struct InShard {
    row: u64,
    err: Error,
}

/// Bytes of a page once it is decoded. Values that come again and again take little room in it, and as much as others behind it.
fn decoded_bytes(unpacked_bytes: u64, n_rows: u64, field: &Field) -> u64 {
    field.row_bytes().map_or(0, |it| it.saturating_mul(n_rows)).max(unpacked_bytes)
}

/// Type of a value as it is stored: JSON is made of those of any type.
fn stored_dtype(field: &Field) -> DType {
    if field.info.form == Form::Json { field.info.feature.stored_dtype() } else { field.info.dtype }
}

fn too_many() -> Error {
    Error::new(ErrorKind::Limit, "the page has more rows than memory can have")
}

#[cfg(test)]
mod tests {
    use nodedata_core::{Dim, Feature};

    use super::*;
    use crate::{As, FeatureInfo, split::Beside};

    #[test]
    fn what_takes_little_room_in_a_page_may_be_large() {
        let field = |dims: &[Dim]| {
            let beside = Beside { columns: &[], has_video: false };
            let info = FeatureInfo::new(Feature::new("x", DType::Float32, dims.to_vec()), None, &beside);
            Field { info, read_as: As::Decoded, resize: None }
        };
        assert_eq!(decoded_bytes(1000, 100, &field(&[Dim::Fixed(512)])), 100 * 512 * 4);
        assert_eq!(decoded_bytes(1000, 100, &field(&[])), 1000);
        assert_eq!(decoded_bytes(1000, 100, &field(&[Dim::Variable])), 1000);
        assert_eq!(decoded_bytes(1000, u64::MAX, &field(&[])), u64::MAX);
    }
}
