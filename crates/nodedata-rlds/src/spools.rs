use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nodedata_core::{ErrorKind, OpenOptions, OptionKey, OptionKind, OptionValue, ReadAt, Result};
use nodedata_io::packed::{Packing, Spool, spool, unpacked_max};

use crate::tfrecord::is_head;

/// How much larger than a packed file what comes out of it may be.
pub(crate) const UNPACK_RATIO_MAX: OptionKey = OptionKey {
    name: "unpack_ratio_max",
    kind: OptionKind::Integer(1, 1 << 32),
    default: "200",
    doc: "files that are packed as a whole (gzip, zstd, bzip2, xz) are refused where more than so many bytes come out of each of \
          theirs, and more than 64 MiB in all",
};

/// Bytes that tell how a file is packed, or that it begins with a record.
const HEAD_BYTES: u64 = 12;

/// Files that are packed as a whole, unpacked once each.
pub(crate) struct Spools {
    scratch: Option<PathBuf>,
    ratio_max: u64,
    by_path: Mutex<BTreeMap<PathBuf, Arc<Slot>>>,
}

/// Locked while it is unpacked, by whoever came first. Empty until it is known whether it is packed.
type Slot = Mutex<Option<Option<Arc<Spool>>>>;

impl Spools {
    pub(crate) fn new(options: &OpenOptions) -> Self {
        let ratio_max = match options.option(&UNPACK_RATIO_MAX) {
            OptionValue::Integer(it) => it.max(1).cast_unsigned(),
            OptionValue::Text(_) | OptionValue::Bool(_) => 1,
        };
        Self { scratch: options.scratch.clone(), ratio_max, by_path: Mutex::default() }
    }

    /// What comes out of a file; `None` of one that is not packed.
    ///
    /// # Errors
    /// `Io`; `Limit`.
    pub(crate) fn of(&self, path: &Path, file: &Arc<dyn ReadAt>) -> Result<Option<Arc<Spool>>> {
        let slot = Arc::clone(lock(&self.by_path).entry(path.to_owned()).or_default());
        let mut known = lock(&slot);
        if let Some(known) = &*known {
            return Ok(known.clone());
        }
        let head = file.peek_at(0..file.n_bytes().min(HEAD_BYTES))?;
        // A length may look like anything, but its checksum tells.
        let packing = Packing::of(&head).filter(|_| !is_head(&head));
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
