use std::{ops::Range, path::PathBuf, sync::Arc};

use nodedata_core::{Error, Files, InputFile, Locus, OpenOptions, ReadAt, Result};

use super::{Spool, Spools};

/// The contents of input files, which are unpacked once where they are packed as a whole.
pub struct Contents {
    files: Arc<dyn Files>,
    paths: Vec<PathBuf>,
    spools: Spools,
}

/// The contents of one file.
#[derive(Clone)]
pub struct Content {
    /// What it holds, unpacked where it is packed.
    pub text: Arc<dyn ReadAt>,
    /// Where it is unpacked to.
    pub spool: Option<Arc<Spool>>,
}

impl Content {
    /// Where in the file some bytes of its contents come from.
    pub fn in_file(&self, text: &Range<u64>) -> Range<u64> {
        self.spool.as_ref().map_or_else(|| text.clone(), |it| it.packed_range(text))
    }

    /// What ended a packed file before its end.
    pub fn damage(&self) -> Option<&Error> {
        self.spool.as_ref().and_then(|it| it.damage())
    }

    /// Whether all of it is packed as one: then any of its bytes come from all bytes of the file.
    pub fn is_packed_as_one(&self) -> bool {
        self.spool.as_ref().is_some_and(|it| it.members().len() == 1)
    }
}

impl Contents {
    /// Of these files; none is read yet.
    pub fn new(files: Arc<dyn Files>, inputs: &[InputFile], options: &OpenOptions) -> Self {
        let paths = inputs.iter().map(|it| it.path.clone()).collect();
        Self { files, paths, spools: Spools::new(options) }
    }

    /// The contents of a file, by its position.
    ///
    /// # Errors
    /// `Io`; `Limit` when more comes out of a packed one than may.
    pub fn of(&self, input: usize) -> Result<Content> {
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
        open().map_err(|err: Error| err.at(Locus::path(path)))
    }
}
