use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use nodedata_core::ReadAt;

/// Pages that another file has in place of those of the database.
pub(crate) struct Overlay {
    /// Which of the files it is, counted from 1; see [`nodedata_log::MessagePlace::part`].
    pub(crate) part: usize,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn ReadAt>,
    /// Where in the file each page lies.
    pub(crate) pages: BTreeMap<u32, u64>,
    /// Pages of the database as this file knows it.
    pub(crate) n_pages: u32,
}

/// What lies beside a database: the pages that count, and what is to be told of the others.
#[derive(Default)]
pub(crate) struct Found {
    /// `None` where no page counts.
    pub(crate) pages: Option<(BTreeMap<u32, u64>, u32)>,
    /// The size of its pages; `None` where there is none.
    pub(crate) page_bytes: Option<u32>,
    /// What the user should know, with its offset.
    pub(crate) told: Option<(u64, String)>,
    /// Why rows are lost that were committed, with the offset of what is broken. SQLite goes on without a word.
    pub(crate) lost: Option<(u64, String)>,
}
