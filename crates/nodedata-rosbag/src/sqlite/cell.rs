use std::ops::Range;

use nodedata_core::Result;
use nodedata_log::corrupt;

use super::{
    header::{HEADER_BYTES, u16_at, u32_at},
    page::{Page, Pages},
    record::varint,
};

const LEAF: u8 = 0x0d;
const INTERIOR: u8 = 0x05;

impl Cell {
    /// Whether the record goes on in overflow pages.
    #[inline]
    pub(crate) fn spills(&self) -> bool {
        self.local.len() as u64 != self.n_payload
    }
}

/// A page of the tree of a table.
#[derive(Debug, Clone)]
pub(crate) struct TablePage {
    pub(crate) page: Page,
    pub(crate) is_leaf: bool,
    n_cells: usize,
    pointers_at: usize,
    usable: usize,
}

/// A cell of a leaf: one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Where in the page it starts.
    pub(crate) at: usize,
    pub(crate) rowid: i64,
    /// Bytes of the record.
    pub(crate) n_payload: u64,
    /// What of the record lies in the page.
    pub(crate) local: Range<usize>,
    /// The page the record goes on in; 0 when it does not.
    pub(crate) overflow: u32,
}

impl TablePage {
    /// Reads a page of a table.
    ///
    /// # Errors
    /// `Corrupt` when it is no such page; `Io`.
    pub(crate) fn read(pages: &Pages, no: u32) -> Result<Self> {
        let page = pages.read(no)?;
        let place = page.place;
        Self::parse(page, pages.usable()).map_err(|err| err.at(pages.locus(place)))
    }

    /// Looks at the head of a page.
    ///
    /// # Errors
    /// `Corrupt`, at no known place yet.
    pub(crate) fn parse(page: Page, usable: usize) -> Result<Self> {
        let start = if page.no == 1 { HEADER_BYTES } else { 0 };
        let bytes = &page.bytes;
        let is_leaf = match bytes[start] {
            LEAF => true,
            INTERIOR => false,
            other => {
                return Err(corrupt(format!(
                    "page {} is no page of a table: its type is {other:#04x}",
                    page.no
                )));
            }
        };
        let n_cells = usize::from(u16_at(bytes, start + 3));
        let pointers_at = start + if is_leaf { 8 } else { 12 };
        if usable < pointers_at + 2 * n_cells {
            return Err(corrupt(format!(
                "page {} says it has {n_cells} cells, for which it has no room",
                page.no
            )));
        }
        Ok(Self { page, is_leaf, n_cells, pointers_at, usable })
    }

    pub(crate) fn n_cells(&self) -> usize {
        self.n_cells
    }

    /// Looks at where each cell starts. Cells lie where no hardware looks ahead, so whoever reads one after the other waits
    /// for the memory at each; these looks do not depend on each other, and wait together.
    pub(crate) fn touch_cells(&self) {
        let bytes = &self.page.bytes[..];
        let pointers = bytes.get(self.pointers_at..self.pointers_at + 2 * self.n_cells).unwrap_or_default();
        let starts = pointers.as_chunks::<2>().0.iter().map(|it| usize::from(u16::from_be_bytes(*it)));
        let touched = starts.fold(0, |sum, at| sum ^ bytes.get(at).copied().unwrap_or_default());
        std::hint::black_box(touched);
    }

    /// Where a cell starts.
    #[inline]
    fn pointer(&self, idx: usize) -> Result<usize> {
        let at = usize::from(u16_at(&self.page.bytes, self.pointers_at + 2 * idx));
        if at < self.pointers_at + 2 * self.n_cells || self.usable <= at {
            return Err(self.outside(idx, at));
        }
        Ok(at)
    }

    /// The children of an interior page, in order; the last is that of the greatest keys.
    ///
    /// # Errors
    /// `Corrupt` for a cell outside the page.
    pub(crate) fn children(&self) -> Result<Vec<u32>> {
        let mut children = Vec::with_capacity(self.n_cells + 1);
        for idx in 0..self.n_cells {
            let at = self.pointer(idx)?;
            if self.usable < at + 5 {
                return Err(self.broken(idx, "ends outside of it"));
            }
            children.push(u32_at(&self.page.bytes, at));
        }
        children.push(u32_at(&self.page.bytes, self.pointers_at - 4));
        Ok(children)
    }

    /// A cell of a leaf.
    ///
    /// # Errors
    /// `Corrupt` when it does not lie in the page.
    #[inline]
    pub(crate) fn cell(&self, idx: usize) -> Result<Cell> {
        let at = self.pointer(idx)?;
        let bytes = &self.page.bytes[..self.usable];
        let mut start = at;
        let numbers = varint(bytes, &mut start).zip(varint(bytes, &mut start));
        let Some((n_payload, rowid)) = numbers else { return Err(self.broken(idx, "ends outside of it")) };
        let n_local = n_local(n_payload, self.usable);
        let spills = n_local as u64 != n_payload;
        let end = start + n_local;
        if bytes.len() < end + if spills { 4 } else { 0 } {
            return Err(self.too_long(idx, n_payload));
        }
        let overflow = if spills { u32_at(bytes, end) } else { 0 };
        Ok(Cell { at, rowid: rowid.cast_signed(), n_payload, local: start..end, overflow })
    }

    #[cold]
    fn outside(&self, idx: usize, at: usize) -> nodedata_core::Error {
        self.broken(idx, &format!("starts at byte {at}, which is not among its content"))
    }

    #[cold]
    fn too_long(&self, idx: usize, n_payload: u64) -> nodedata_core::Error {
        self.broken(idx, &format!("of {n_payload} bytes ends outside of it"))
    }

    #[cold]
    fn broken(&self, idx: usize, what: &str) -> nodedata_core::Error {
        corrupt(format!("cell {idx} of page {} {what}", self.page.no))
    }

    /// What of a cell's record lies in the page.
    #[inline]
    pub(crate) fn local(&self, cell: &Cell) -> &[u8] {
        &self.page.bytes[cell.local.clone()]
    }
}

/// How much of a record of a table lies in its leaf.
#[inline]
fn n_local(n_payload: u64, usable: usize) -> usize {
    let most = usable as u64 - 35;
    if n_payload <= most {
        return n_payload as usize;
    }
    let least = (usable as u64 - 12) * 32 / 255 - 23;
    let fitting = least + (n_payload - least) % (usable as u64 - 4);
    (if fitting <= most { fitting } else { least }) as usize
}

impl Pages {
    /// Copies a record into the buffer: what of it lies in its leaf, and behind that what lies in overflow pages.
    ///
    /// # Errors
    /// `Corrupt` when its overflow pages do not hold it.
    pub(crate) fn gather(
        &self,
        leaf: &TablePage,
        cell: &Cell,
        buffer: &mut Vec<u8>,
        read_up_to: &mut u64,
    ) -> Result<()> {
        let local = leaf.local(cell);
        let rest = cell.n_payload - local.len() as u64;
        let n_most = u64::from(self.n_there()).saturating_mul(self.usable() as u64);
        if n_most < rest {
            let message = format!("record of {} bytes is larger than the database", cell.n_payload);
            return Err(corrupt(message));
        }
        buffer.clear();
        buffer.reserve(cell.n_payload as usize);
        buffer.extend_from_slice(local);
        if rest == 0 {
            return Ok(());
        }
        self.overflow(cell.overflow, rest, buffer, read_up_to)
    }
}
