use std::{path::Path, sync::Arc};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_log::{SALVAGE_HINT, StoredFile, corrupt};

use super::{
    header::{HEADER_BYTES, Header, TextEncoding},
    journal,
    overlay::{Found, Overlay},
    page::Pages,
    wal,
};

/// A database as its own file and those beside it make it.
pub(crate) struct Database {
    pub(crate) pages: Pages,
    pub(crate) encoding: TextEncoding,
    pub(crate) first_free: u32,
    /// Whether what is broken is told and not refused.
    pub(crate) salvage: bool,
    /// What was found broken, where that is not refused.
    pub(crate) damage: Vec<Error>,
    /// What else is to be told.
    pub(crate) told: Vec<Error>,
}

/// Endings of the names of the files beside a database that hold pages of it, in the order in which they are asked.
pub(crate) const COMPANIONS: &[&str] = &["-wal", "-journal"];

/// Pages that a damaged database is believed to have, though there are fewer: what else lies in its log is found by their numbers.
const PAGES_BELIEVED: u32 = 1 << 20;

impl Database {
    /// Finds out where the pages of a database are.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported` for what is no database; not opened to salvage, also when pages are missing.
    pub(crate) fn open(file: &StoredFile<'_>, salvage: bool) -> Result<Self> {
        let mut overlays = Vec::new();
        let mut sizes = Vec::new();
        let (mut damage, mut told) = (Vec::new(), Vec::new());
        let present = file.companions.iter().zip(COMPANIONS);
        let present = present.filter_map(|(it, ending)| it.as_ref().map(|it| (it, *ending)));
        for (idx, ((path, companion), ending)) in present.enumerate() {
            let found = if ending == "-wal" { wal::read(&**companion) } else { journal::read(&**companion) };
            let Found { pages, page_bytes, told: of_it, lost } =
                found.map_err(|err| err.at(Locus::path(path)))?;
            told.extend(of_it.map(|(at, it)| beside(path, at, it)));
            if let Some(error) = lost.map(|(at, it)| beside(path, at, it).with_hint(SALVAGE_HINT)) {
                if !salvage {
                    return Err(error);
                }
                damage.push(error);
            }
            if let Some((pages, n_pages)) = pages {
                let (path, file) = (path.to_path_buf(), Arc::clone(companion));
                overlays.push(Overlay { part: idx + 1, path, file, pages, n_pages });
                sizes.push(page_bytes);
            }
        }
        let header = header(file, &overlays)?;
        let mut sizes = sizes.into_iter();
        let mut refused = Vec::new();
        overlays.retain(|it| {
            let found = sizes.next().flatten();
            if found == Some(header.page_bytes) {
                return true;
            }
            let message = format!(
                "pages in here have {} bytes, but those of the database {}",
                found.unwrap_or_default(),
                header.page_bytes
            );
            refused.push(corrupt(message).at(Locus { path: Some(it.path.clone()), ..Locus::byte(0) }));
            false
        });
        if !salvage && let Some(error) = refused.pop() {
            return Err(error);
        }
        damage.extend(refused);
        let n_in_file = file.file.n_bytes().div_ceil(u64::from(header.page_bytes));
        let n_in_file = u32::try_from(n_in_file).unwrap_or(u32::MAX);
        let n_said = overlays.first().map(|it| it.n_pages).or(header.n_pages).unwrap_or(n_in_file);
        // A sound database is never larger, and sets of pages are as large as what is believed.
        let n_there = u64::from(n_in_file) + overlays.iter().map(|it| it.pages.len() as u64).sum::<u64>();
        let n_pages = n_said.min(u32::try_from(n_there).unwrap_or(u32::MAX).max(PAGES_BELIEVED));
        let Header { page_bytes, usable, encoding, first_free, .. } = header;
        let pages = Pages::new(Arc::clone(&file.file), page_bytes, usable, n_pages, overlays);
        if let Some(first) = pages.first_missing(n_said) {
            let message = format!(
                "file has {} bytes, but its database has {n_said} pages of {page_bytes}: those from page {first} on are missing",
                file.file.n_bytes()
            );
            let error = corrupt(message).at(pages.locus(pages.place(first)));
            if !salvage {
                return Err(error);
            }
            damage.push(error);
        }
        Ok(Self { pages, encoding, first_free, salvage, damage, told })
    }
}

/// The header, which is the front of page 1, wherever that is.
fn header(file: &StoredFile<'_>, overlays: &[Overlay]) -> Result<Header> {
    let n_bytes = HEADER_BYTES as u64;
    for overlay in overlays {
        if let Some(offset) = overlay.pages.get(&1) {
            let bytes = overlay.file.read_at(*offset..offset + n_bytes)?;
            return Header::parse(&bytes).map_err(|err| err.at(Locus::path(&overlay.path)));
        }
    }
    if overlays.first().is_some_and(|it| it.n_pages == 0) {
        let message = "the database was never finished: its journal undoes all of it";
        return Err(Error::new(ErrorKind::Corrupt, message)
            .with_hint("without the file that ends in `-journal` what is there can be looked at"));
    }
    let n_there = file.file.n_bytes().min(n_bytes);
    Header::parse(&file.file.read_at(0..n_there)?)
}

fn beside(path: &Path, at: u64, message: String) -> Error {
    Error::new(ErrorKind::Corrupt, message).at(Locus { path: Some(path.to_owned()), ..Locus::byte(at) })
}
