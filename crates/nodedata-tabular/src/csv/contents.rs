use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nodedata_core::{
    ErrorKind, Files, InputFile, Locus, OpenOptions, OptionKey, OptionKind, OptionValue, ReadAt, Result,
};
use nodedata_io::packed::{Packing, Spool, spool, unpacked_max};

/// How much larger than a packed file what comes out of it may be.
pub(crate) const UNPACK_RATIO_MAX: OptionKey = OptionKey {
    name: "unpack_ratio_max",
    kind: OptionKind::Integer(1, 1 << 32),
    default: "200",
    doc: "files that are packed as a whole (gzip, zstd, bzip2, xz) are refused where more than so many bytes come out of each of \
          theirs, and more than 64 MiB in all",
};

/// Bytes that tell how a file is packed.
const HEAD_BYTES: u64 = 8;

/// The text of files, which are unpacked once where they are packed as a whole.
pub(crate) struct Contents {
    files: Arc<dyn Files>,
    paths: Vec<PathBuf>,
    scratch: Option<PathBuf>,
    ratio_max: u64,
    /// By file. Locked while it is unpacked, by whoever came first.
    spools: Vec<Mutex<Option<Arc<Spool>>>>,
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
    pub(crate) fn in_file(&self, text: &std::ops::Range<u64>) -> std::ops::Range<u64> {
        self.spool.as_ref().map_or_else(|| text.clone(), |it| it.packed_range(text))
    }
}

impl Contents {
    pub(crate) fn new(files: Arc<dyn Files>, inputs: &[InputFile], options: &OpenOptions) -> Self {
        let ratio_max = match options.option(&UNPACK_RATIO_MAX) {
            OptionValue::Integer(it) => it.max(1).cast_unsigned(),
            OptionValue::Text(_) | OptionValue::Bool(_) => 1,
        };
        let paths: Vec<PathBuf> = inputs.iter().map(|it| it.path.clone()).collect();
        let spools = paths.iter().map(|_| Mutex::default()).collect();
        Self { files, paths, scratch: options.scratch.clone(), ratio_max, spools }
    }

    /// The text of a file.
    ///
    /// # Errors
    /// `Io`; `Limit` when more comes out of a packed one than may.
    pub(crate) fn of(&self, input: usize) -> Result<Content> {
        let path = &self.paths[input];
        self.open(input, path).map_err(|err| err.at(Locus::path(path)))
    }

    fn open(&self, input: usize, path: &Path) -> Result<Content> {
        let file = self.files.open(path)?;
        let mut known = lock(&self.spools[input]);
        let spool = match &*known {
            Some(spool) => Arc::clone(spool),
            None => {
                let head = file.peek_at(0..file.n_bytes().min(HEAD_BYTES))?;
                let Some(packing) = Packing::of(&head) else {
                    return Ok(Content { text: file, spool: None });
                };
                let bytes_max = unpacked_max(file.n_bytes(), self.ratio_max);
                let done = spool(file, packing, bytes_max, self.scratch.as_deref());
                let done = done.map_err(|err| match err.kind() {
                    ErrorKind::Limit => err.with_hint(format!(
                        "`--set source.{}=N` lets more come out, or unpack it first: `{}`",
                        UNPACK_RATIO_MAX.name,
                        packing.command()
                    )),
                    _ => err,
                });
                Arc::clone(known.insert(Arc::new(done?)))
            }
        };
        let text: Arc<dyn ReadAt> = Arc::<Spool>::clone(&spool);
        Ok(Content { text, spool: Some(spool) })
    }
}

/// A file is unpacked or it is not, also when a thread panicked that had begun it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
