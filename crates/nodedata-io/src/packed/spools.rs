use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nodedata_core::{ErrorKind, OpenOptions, OptionKey, OptionKind, OptionValue, ReadAt, Result};

use super::{Packing, Spool, spool, unpacked_max};

/// How much larger than a packed file what comes out of it may be.
pub const UNPACK_RATIO_MAX: OptionKey = OptionKey {
    name: "unpack_ratio_max",
    kind: OptionKind::Integer(1, 1 << 32),
    default: "200",
    doc: "files that are packed as a whole (gzip, zstd, bzip2, xz) are refused where more than so many bytes come out of each of \
          theirs, and more than 64 MiB in all",
};

/// What [`UNPACK_RATIO_MAX`] is.
pub fn ratio_max(options: &OpenOptions) -> u64 {
    match options.option(&UNPACK_RATIO_MAX) {
        OptionValue::Integer(it) => it.max(1).cast_unsigned(),
        OptionValue::Text(_) | OptionValue::Bool(_) => 1,
    }
}

/// Files that are packed as a whole, unpacked once each.
pub struct Spools {
    scratch: Option<PathBuf>,
    ratio_max: u64,
    by_path: Mutex<BTreeMap<PathBuf, Arc<Slot>>>,
}

/// Locked while it is unpacked, by whoever came first. Empty until it is known whether it is packed.
type Slot = Mutex<Option<Option<Arc<Spool>>>>;

impl Spools {
    /// Bytes that tell how a file is packed, or that it is not.
    pub const HEAD_BYTES: u64 = 12;

    /// None yet.
    pub fn new(options: &OpenOptions) -> Self {
        let (scratch, ratio_max) = (options.scratch.clone(), ratio_max(options));
        Self { scratch, ratio_max, by_path: Mutex::default() }
    }

    /// What comes out of a file; `None` of one that is not packed. `is_plain` tells from the first [`Self::HEAD_BYTES`] that one is
    /// not, though it begins as if it were.
    ///
    /// # Errors
    /// `Io`; `Limit`.
    pub fn of(
        &self,
        path: &Path,
        file: &Arc<dyn ReadAt>,
        is_plain: impl FnOnce(&[u8]) -> bool,
    ) -> Result<Option<Arc<Spool>>> {
        let slot = Arc::clone(lock(&self.by_path).entry(path.to_owned()).or_default());
        let mut known = lock(&slot);
        if let Some(known) = &*known {
            return Ok(known.clone());
        }
        let head = file.peek_at(0..file.n_bytes().min(Self::HEAD_BYTES))?;
        let packing = Packing::of(&head).filter(|_| !is_plain(&head));
        let unpack = |packing: Packing| {
            let bytes_max = unpacked_max(file.n_bytes(), self.ratio_max);
            let done = spool(Arc::clone(file), packing, bytes_max, self.scratch.as_deref());
            done.map(Arc::new).map_err(|err| match err.kind() {
                ErrorKind::Limit => err.with_hint(format!(
                    "`--set source.{}=N` lets more come out, or unpack it first: `{}`",
                    UNPACK_RATIO_MAX.name,
                    packing.command()
                )),
                _ => err,
            })
        };
        Ok(known.insert(packing.map(unpack).transpose()?).clone())
    }
}

/// A file is unpacked or it is not, also when a thread panicked that had begun it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
