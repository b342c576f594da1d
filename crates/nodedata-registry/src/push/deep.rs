use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{Error, ErrorKind, Files, Locus, Progress, ReadAt, Result};
use nodedata_dataset::{Dataset, validate};
use nodedata_io::{FolderFiles, MemoryFiles};

use crate::folder::{Draft, Origin};

/// Mistakes that are told at once.
const MISTAKES_TOLD: usize = 8;

/// Reads every row and decodes every frame of what is about to be published.
///
/// # Errors
/// `SchemaMismatch` with what was found; `Io`; `Interrupted` when `progress` says to stop.
pub(crate) fn check(draft: &Draft, paths: &[PathBuf], progress: &dyn Progress) -> Result<()> {
    let dataset = match paths {
        [folder] if folder.join("manifest.json").is_file() => Dataset::open(folder)?,
        _ => Dataset::over(Arc::new(DraftFiles::new(draft)))?,
    };
    let found = validate(&dataset, true, &OnlyStops(progress))?;
    let mut findings = found.findings.iter();
    let Some(first) = findings.next() else { return Ok(()) };
    let message = format!("{}: {}", first.code, first.message);
    let others = findings.take(MISTAKES_TOLD - 1);
    Err(Error::new(ErrorKind::SchemaMismatch, message)
        .with_others(others.map(|it| format!("also {}: {} ({})", it.code, it.message, it.at)))
        .at(Locus::path(&first.at))
        .with_hint(first.hint))
}

/// What is checked before it is known what must be sent is no part of the way that is shown.
struct OnlyStops<'a>(&'a dyn Progress);

impl Progress for OnlyStops<'_> {
    fn is_stopped(&self) -> bool {
        self.0.is_stopped()
    }
}

/// A dataset that has no folder yet: what describes it is in memory, its shards lie wherever they are pushed from.
struct DraftFiles {
    memory: MemoryFiles,
    on_disk: BTreeMap<PathBuf, PathBuf>,
}

impl DraftFiles {
    fn new(draft: &Draft) -> Self {
        let (mut memory, mut on_disk) = (MemoryFiles::default(), BTreeMap::new());
        let files = draft.files.iter().map(|it| (&it.path, &it.blob));
        for (path, blob) in files.chain(draft.shards.iter().map(|it| (&it.path, &it.blob))) {
            match draft.sources.get(&blob.b3) {
                Some(Origin::Memory(bytes)) => memory = memory.with(path, bytes.clone()),
                Some(Origin::File(file)) => drop(on_disk.insert(PathBuf::from(path), file.clone())),
                // It lies in the registry, and was checked when it came there.
                None => {}
            }
        }
        Self { memory, on_disk }
    }
}

impl Files for DraftFiles {
    fn list(&self) -> Result<Vec<PathBuf>> {
        let mut all = self.memory.list()?;
        all.extend(self.on_disk.keys().cloned());
        all.sort_unstable();
        Ok(all)
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        match self.on_disk.get(path) {
            Some(file) => FolderFiles::new("").open(file),
            None => self.memory.open(path),
        }
    }
}
