use std::{ops::Range, path::PathBuf, sync::Arc};

use nodedata_core::{Files, InputFile, Locus, OpenOptions, ReadAt, Result};
use nodedata_io::packed::{Spool, Spools};

/// The text of files, which are unpacked once where they are packed as a whole.
pub(crate) struct Contents {
    files: Arc<dyn Files>,
    paths: Vec<PathBuf>,
    spools: Spools,
}

/// The text of one file.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) text: Arc<dyn ReadAt>,
    /// Where it is unpacked to.
    pub(crate) spool: Option<Arc<Spool>>,
}

impl Content {
    /// Where in the file some bytes of its text come from.
    pub(crate) fn in_file(&self, text: &Range<u64>) -> Range<u64> {
        self.spool.as_ref().map_or_else(|| text.clone(), |it| it.packed_range(text))
    }
}

impl Contents {
    pub(crate) fn new(files: Arc<dyn Files>, inputs: &[InputFile], options: &OpenOptions) -> Self {
        let paths = inputs.iter().map(|it| it.path.clone()).collect();
        Self { files, paths, spools: Spools::new(options) }
    }

    /// The text of a file.
    ///
    /// # Errors
    /// `Io`; `Limit` when more comes out of a packed one than may.
    pub(crate) fn of(&self, input: usize) -> Result<Content> {
        let path = &self.paths[input];
        let open = || {
            let file = self.files.open(path)?;
            let spool = self.spools.of(path, &file, |_| false)?;
            let text: Arc<dyn ReadAt> = match &spool {
                Some(spool) => Arc::<Spool>::clone(spool),
                None => file,
            };
            Ok(Content { text, spool })
        };
        open().map_err(|err: nodedata_core::Error| err.at(Locus::path(path)))
    }
}
