//! Rows of a unit that takes long to make, kept window by window until the unit is recorded: a run that is stopped in the
//! middle of one goes on there.

mod arrays;
mod file;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use nodedata_core::{Result, SourcePlan};
use nodedata_dataset::{DatasetWriter, Unit, UnitInput};

use crate::{inputs::InputHashes, journal::Told, window::ReadPart};

/// When the rows of a unit are kept before it is finished. It decides no byte of a dataset: what is kept is made again, or read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepRows {
    /// How long reading the rows of a unit may take before those that follow are kept. Default 5 s.
    pub after: Duration,
    /// Bytes a second, after decompression, from which on a window is not kept. Default 256 MiB: what comes that fast is
    /// made again about as fast as it is read from a disk and hashed, and would double what is written.
    pub slower_than: u64,
}

impl Default for KeepRows {
    fn default() -> Self {
        Self { after: Duration::from_secs(5), slower_than: 256 << 20 }
    }
}

/// What is kept of the units that a run is to make, and what it keeps of them.
pub(crate) struct Keeper {
    policy: KeepRows,
    /// By unit, where its rows are kept.
    folders: BTreeMap<usize, PathBuf>,
    /// By unit and the window's first partition in it: records of the windows that an earlier run kept.
    found: BTreeMap<(usize, usize), u64>,
    /// Positions of the partitions in those windows.
    partitions: BTreeSet<usize>,
}

/// Consecutive partitions of one unit, decoded at the same time.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    /// Position of the unit.
    pub(crate) unit: usize,
    /// Which of the unit's partitions.
    pub(crate) range: Range<usize>,
    /// Their positions in the source.
    pub(crate) partitions: Vec<usize>,
}

/// A window that was read, or taken from what is kept.
pub(crate) struct ReadWindow {
    pub(crate) window: Window,
    pub(crate) parts: Vec<ReadPart>,
    /// What an earlier run was told of these rows, with the number of records.
    pub(crate) kept: Option<(Told, u64)>,
    /// How long reading took, by threads that did nothing else.
    pub(crate) taken: Duration,
}

impl Keeper {
    /// Looks for what an earlier run kept of these units. What was made of other inputs, or cannot be read, is removed.
    pub(crate) fn find(
        writer: &DatasetWriter,
        todo: &[usize],
        policy: KeepRows,
        hashes: &mut InputHashes,
    ) -> Result<Self> {
        let folders: BTreeMap<usize, PathBuf> =
            todo.iter().map(|unit| (*unit, writer.rows_folder(*unit))).collect();
        let mut heads = Vec::new();
        for (unit, folder) in &folders {
            let Ok(entries) = fs::read_dir(folder) else { continue };
            let mut paths: Vec<PathBuf> = entries.flatten().map(|it| it.path()).collect();
            paths.sort_unstable();
            let known = paths.iter().filter_map(|path| {
                let range = range_of(path, &writer.units()[*unit])?;
                Some((*unit, range, path.clone(), file::head(path)?))
            });
            heads.extend(known);
        }
        let proofs: Vec<&UnitInput> = heads.iter().flat_map(|it| &it.3.inputs).collect();
        let mut holds = hashes.check(&proofs)?.into_iter();
        let mut keeper = Self { policy, folders, found: BTreeMap::new(), partitions: BTreeSet::new() };
        for (unit, range, path, head) in &heads {
            // All of them are taken from the iterator, whatever the first of them says.
            let n_changed = holds.by_ref().take(head.inputs.len()).filter(|it| !it).count();
            if n_changed != 0 {
                drop(fs::remove_file(path));
                continue;
            }
            keeper.found.insert((*unit, range.start), head.n_records);
            keeper.partitions.extend(&writer.units()[*unit].partitions[range.clone()]);
        }
        Ok(keeper)
    }

    /// Records that are kept, by unit.
    pub(crate) fn records(&self) -> BTreeMap<usize, u64> {
        let mut records = BTreeMap::new();
        for ((unit, _), n_records) in &self.found {
            *records.entry(*unit).or_default() += n_records;
        }
        records
    }

    /// Records of a window of which an earlier run kept the rows.
    pub(crate) fn n_found(&self, window: &Window) -> u64 {
        self.found.get(&(window.unit, window.range.start)).copied().unwrap_or(0)
    }

    /// Whether the rows of a partition need not be read.
    pub(crate) fn has(&self, partition: usize) -> bool {
        self.partitions.contains(&partition)
    }

    /// How long reading a unit took before this run: one of which rows are kept is known to take long.
    pub(crate) fn spent(&self, unit: usize) -> Duration {
        let is_begun = self.found.range((unit, 0)..(unit + 1, 0)).next().is_some();
        if is_begun { self.policy.after } else { Duration::ZERO }
    }

    /// The window as an earlier run kept it. What is damaged is none: it is read again.
    pub(crate) fn take(&self, window: &Window, plan: &SourcePlan) -> Option<(Vec<ReadPart>, Told, u64)> {
        self.found.get(&(window.unit, window.range.start))?;
        let path = self.path(window)?;
        let taken = file::read(&path, &window.partitions, plan);
        if taken.is_none() {
            tracing::warn!(unit = window.unit, path = %path.display(), "rows that were kept are damaged");
        }
        taken
    }

    /// Whether a window is worth keeping, when reading the unit up to its end has taken so long.
    pub(crate) fn is_worth(&self, read: &ReadWindow, spent: Duration, plan: &SourcePlan) -> bool {
        let bytes: u64 = read.window.partitions.iter().map(|it| plan.partitions[*it].decoded_bytes).sum();
        let at_that_speed = u128::from(self.policy.slower_than) * read.taken.as_nanos();
        let is_slow = u128::from(bytes) * 1_000_000_000 <= at_that_speed;
        read.kept.is_none() && self.policy.after <= spent && is_slow
    }

    /// Keeps a window; returns its records. Where that is not possible the run goes on without.
    pub(crate) fn keep(
        &self,
        read: &ReadWindow,
        plan: &SourcePlan,
        proofs: impl FnOnce() -> Result<Vec<(usize, UnitInput)>>,
    ) -> Result<Option<u64>> {
        let Some(path) = self.path(&read.window) else { return Ok(None) };
        let Some((content, n_records)) = file::content(&read.parts, plan, proofs()?) else {
            return Ok(None);
        };
        if let Err(err) = write(&path, &content) {
            // Half of a file would only take the room that the disk lacks.
            tracing::warn!(path = %path.display(), why = %err, "rows cannot be kept");
            return Ok(None);
        }
        Ok(Some(n_records))
    }

    fn path(&self, window: &Window) -> Option<PathBuf> {
        let Range { start, end } = window.range;
        Some(self.folders.get(&window.unit)?.join(format!("{start:08}-{end:08}")))
    }
}

/// Which partitions of the unit a file is of, as its name says.
fn range_of(path: &Path, unit: &Unit) -> Option<Range<usize>> {
    let (start, end) = path.file_name()?.to_str()?.split_once('-')?;
    let range = start.parse().ok()?..end.parse().ok()?;
    (range.start < range.end && range.end <= unit.partitions.len()).then_some(range)
}

/// Gives the file its name once it is whole. It is not flushed: what a crash of the machine leaves half of, its hash tells.
fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Another worker may be at the same unit.
    let growing = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::write(&growing, content).and_then(|()| fs::rename(&growing, path));
    if written.is_err() {
        drop(fs::remove_file(&growing));
    }
    written
}

#[cfg(test)]
mod tests;
