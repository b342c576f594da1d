use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use nodedata_core::{Error, Locus, ReadAt, Result};
use nodedata_log::corrupt;

use super::overlay::Overlay;

/// Pages of an overflow chain that are read at a time: they nearly always follow each other.
const RUN_PAGES_MAX: u64 = 256;

/// The pages of a database, as the files beside it make them.
pub(crate) struct Pages {
    file: Arc<dyn ReadAt>,
    page_bytes: u64,
    usable: usize,
    n_pages: u32,
    /// The first that has a page wins.
    overlays: Vec<Overlay>,
}

/// A page that was read.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) no: u32,
    pub(crate) bytes: Bytes,
    pub(crate) place: PagePlace,
}

/// Where a page lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PagePlace {
    /// See [`nodedata_log::MessagePlace::part`].
    pub(crate) part: usize,
    pub(crate) offset: u64,
}

impl Pages {
    pub(crate) fn new(
        file: Arc<dyn ReadAt>,
        page_bytes: u32,
        usable: usize,
        n_pages: u32,
        overlays: Vec<Overlay>,
    ) -> Self {
        Self { file, page_bytes: page_bytes.into(), usable, n_pages, overlays }
    }

    /// Bytes of a page that hold content.
    pub(crate) fn usable(&self) -> usize {
        self.usable
    }

    /// Bytes of a page.
    pub(crate) fn page_bytes(&self) -> u64 {
        self.page_bytes
    }

    /// Pages the database says it has, as far as that is believed.
    pub(crate) fn n_pages(&self) -> u32 {
        self.n_pages
    }

    /// Whether reading a page costs nothing.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.file.in_memory().is_some()
    }

    /// The first page that lies nowhere, where the file ends early; the database says that it has `n_said`.
    pub(crate) fn first_missing(&self, n_said: u32) -> Option<u32> {
        let n_whole = self.file.n_bytes() / self.page_bytes;
        let first = u32::try_from(n_whole).ok()?.checked_add(1)?;
        (first..=n_said).find(|no| !self.overlays.iter().any(|it| it.pages.contains_key(no)))
    }

    /// Pages that can be read, at most: what a number in the file claims is no reason to set memory aside.
    pub(crate) fn n_there(&self) -> u32 {
        let n_whole = u32::try_from(self.file.n_bytes() / self.page_bytes).unwrap_or(u32::MAX);
        let last = self.overlays.iter().filter_map(|it| it.pages.keys().next_back().copied()).max();
        n_whole.max(last.unwrap_or(0)).min(self.n_pages)
    }

    /// Where a page lies.
    pub(crate) fn place(&self, no: u32) -> PagePlace {
        for overlay in &self.overlays {
            if let Some(offset) = overlay.pages.get(&no) {
                return PagePlace { part: overlay.part, offset: *offset };
            }
        }
        PagePlace { part: 0, offset: u64::from(no).saturating_sub(1) * self.page_bytes }
    }

    /// Bytes of the file itself up to where a page ends; 0 when it lies in another one.
    pub(crate) fn own_end(&self, no: u32) -> u64 {
        let place = self.place(no);
        if place.part == 0 { self.end_of(place) } else { 0 }
    }

    /// Where a page ends, or the file, where that is cut.
    pub(crate) fn end_of(&self, place: PagePlace) -> u64 {
        let end = place.offset + self.page_bytes;
        if place.part == 0 { end.min(self.file.n_bytes()) } else { end }
    }

    /// The bytes of a page that lies in the file itself, as far as they are there; `None` for one that is none or lies elsewhere.
    pub(crate) fn own_bytes(&self, no: u32) -> Option<Range<u64>> {
        if no == 0 || self.n_pages < no {
            return None;
        }
        let place = self.place(no);
        let end = self.end_of(place);
        (place.part == 0).then(|| place.offset.min(end)..end)
    }

    /// A place in one of the files.
    pub(crate) fn locus(&self, place: PagePlace) -> Locus {
        let path = self.overlays.iter().find(|it| it.part == place.part).map(|it| it.path.clone());
        Locus { path, ..Locus::byte(place.offset) }
    }

    /// Reads a page.
    ///
    /// # Errors
    /// `Corrupt` where there is none, with the place where it would be; `Io`.
    pub(crate) fn read(&self, no: u32) -> Result<Page> {
        if no == 0 || self.n_pages < no {
            return Err(corrupt(format!("page {no} is named, but the database has {}", self.n_pages)));
        }
        let place = self.place(no);
        let overlay = self.overlays.iter().find(|it| it.part == place.part);
        let file = overlay.map_or(&self.file, |it| &it.file);
        let end = place.offset + self.page_bytes;
        if file.n_bytes() < end {
            return Err(self.missing(no).at(self.locus(place)));
        }
        let bytes = file.read_at(place.offset..end).map_err(|err| err.at(self.locus(place)))?;
        Ok(Page { no, bytes, place })
    }

    fn missing(&self, no: u32) -> Error {
        corrupt(format!("page {no} of {} lies behind the end of the file", self.n_pages))
    }

    /// Appends `n` bytes that lie in the overflow pages from `first` on.
    ///
    /// # Errors
    /// `Corrupt` when the chain of pages is not as long as the bytes.
    pub(crate) fn overflow(
        &self,
        first: u32,
        n: u64,
        buffer: &mut Vec<u8>,
        read_up_to: &mut u64,
    ) -> Result<()> {
        let per_page = self.usable as u64 - 4;
        let mut next = first;
        let mut n_left = n;
        while 0 < n_left {
            let (start, bytes) = self.run(next, n_left.div_ceil(per_page))?;
            for (idx, page) in (start..).zip(bytes.chunks_exact(self.page_bytes as usize)) {
                if idx != next || n_left == 0 {
                    break;
                }
                let n_here = n_left.min(per_page);
                buffer.extend_from_slice(&page[4..4 + n_here as usize]);
                n_left -= n_here;
                *read_up_to = (*read_up_to).max(self.own_end(idx));
                next = u32::from_be_bytes([page[0], page[1], page[2], page[3]]);
                if 0 < n_left && (next == 0 || self.n_pages < next) {
                    let message = format!(
                        "overflow page {idx} leads to page {next} of {}, but {n_left} bytes of the record are left",
                        self.n_pages
                    );
                    return Err(corrupt(message).at(self.locus(self.place(idx))));
                }
            }
        }
        if next != 0 {
            return Err(corrupt(format!("overflow chain goes on to page {next} behind the record's end")));
        }
        Ok(())
    }

    /// Pages that follow each other in the file, the first of which is asked for.
    fn run(&self, first: u32, n: u64) -> Result<(u32, Bytes)> {
        let end = self.file.n_bytes() / self.page_bytes * self.page_bytes;
        let Range { start, .. } = self.own_range(first);
        let is_own = first != 0 && first <= self.n_pages && self.overlays.is_empty() && start < end;
        if !is_own {
            let page = self.read(first)?;
            return Ok((first, page.bytes));
        }
        let n_bytes = (n.min(RUN_PAGES_MAX) * self.page_bytes).min(end - start);
        Ok((first, self.file.read_at(start..start + n_bytes)?))
    }

    fn own_range(&self, no: u32) -> Range<u64> {
        let end = u64::from(no) * self.page_bytes;
        end.saturating_sub(self.page_bytes)..end
    }
}

/// Some of the pages of a database.
#[derive(Debug, Clone)]
pub(crate) struct PageSet(Vec<u64>);

impl PageSet {
    /// An empty set of pages up to a number.
    pub(crate) fn up_to(n_pages: u32) -> Self {
        Self(vec![0; n_pages as usize / 64 + 1])
    }

    /// Adds a page; `false` when it was in the set. One behind the last is not kept: it cannot be read, and leads nowhere.
    pub(crate) fn insert(&mut self, no: u32) -> bool {
        let Some(word) = self.0.get_mut(no as usize / 64) else { return true };
        let bit = 1 << (no % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    pub(crate) fn has(&self, no: u32) -> bool {
        self.0.get(no as usize / 64).is_some_and(|it| it & 1 << (no % 64) != 0)
    }
}
