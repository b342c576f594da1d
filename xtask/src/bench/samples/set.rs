//! Sets of samples on disk.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{files, table};
use crate::{bench::reference, workspace::Result};

/// Changes when the bytes made here change, so that old sets are not used.
const GENERATION: u32 = 1;

/// A file ends with the sample that makes it so large.
const FILE_BYTES: u64 = 128_000_000;

/// What a set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A JPEG of about 60 KB and a JSON object beside it, in tar files.
    WebDataset,
    /// Lines of numbers, as a robot's steps have them.
    Numbers,
    /// Lines of conversations.
    Chat,
    /// Numbers with a text.
    Csv,
    /// A table of numbers, lists and text, Snappy.
    Parquet,
    /// The same table in Arrow files, not compressed.
    Ipc,
}

impl Kind {
    /// All of them, in the order of the report.
    pub(super) const ALL: [Self; 6] =
        [Self::WebDataset, Self::Numbers, Self::Chat, Self::Csv, Self::Parquet, Self::Ipc];

    /// The name of its set.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::WebDataset => "samples-webdataset",
            Self::Numbers => "samples-jsonl-numbers",
            Self::Chat => "samples-jsonl-chat",
            Self::Csv => "samples-csv",
            Self::Parquet => "samples-parquet",
            Self::Ipc => "samples-ipc",
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::WebDataset => "tar",
            Self::Numbers | Self::Chat => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Ipc => "arrow",
        }
    }
}

/// A set on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Set {
    pub(super) path: PathBuf,
    pub(super) n_files: u64,
    /// Of all files.
    pub(super) n_bytes: u64,
    pub(super) n_rows: u64,
}

/// Makes a set of `mb` megabytes, unless it is there from an earlier run.
///
/// # Errors
/// When it cannot be written.
pub(super) fn make(folder: &Path, kind: Kind, mb: u64) -> Result<Set> {
    let name = format!("{}-{mb}mb-v{GENERATION}", kind.name());
    let path = folder.join(&name);
    // Beside the set, not in it: every file in it counts.
    let facts = folder.join(format!("{name}.json"));
    let known = fs::read(&facts).ok().and_then(|it| serde_json::from_slice::<Set>(&it).ok());
    if let Some(set) = known.filter(|_| path.is_dir()) {
        return Ok(Set { path, ..set });
    }
    eprintln!("making {}", path.display());
    let failed = |err: &dyn std::fmt::Display| format!("cannot make {}: {err}", path.display());
    // Two runs at once must not write into one folder: each has its own until it is whole.
    let partial = folder.join(format!("{name}.{}.partial", std::process::id()));
    fs::create_dir_all(&partial).map_err(|err| failed(&err))?;
    let n_rows = fill(&partial, kind, mb * 1_000_000)?;
    crate::bench::remove(&path)?;
    fs::rename(&partial, &path).map_err(|err| failed(&err))?;
    let (mut n_files, mut n_bytes) = (0, 0);
    for file in reference::files_of(&path)? {
        n_files += 1;
        n_bytes += fs::metadata(file).map_err(|err| failed(&err))?.len();
    }
    let set = Set { path: path.clone(), n_files, n_bytes, n_rows };
    let json = serde_json::to_vec_pretty(&set).map_err(|err| failed(&err))?;
    fs::write(&facts, json).map_err(|err| failed(&err))?;
    Ok(set)
}

/// Writes files until they have `n_bytes`; returns how many rows these have.
fn fill(folder: &Path, kind: Kind, n_bytes: u64) -> Result<u64> {
    let (mut n_rows, mut n_written, mut n_files) = (0, 0, 0);
    while n_written < n_bytes {
        let path = folder.join(format!("train-{n_files:06}.{}", kind.ending()));
        let n_wanted = FILE_BYTES.min(n_bytes - n_written);
        n_rows += match kind {
            Kind::WebDataset => files::write_archive(&path, n_rows, n_wanted)?,
            Kind::Numbers => files::write_lines(&path, n_rows, n_wanted, files::numbers)?,
            Kind::Chat => files::write_lines(&path, n_rows, n_wanted, files::chat)?,
            Kind::Csv => files::write_csv(&path, n_rows, n_wanted)?,
            Kind::Parquet => table::write_parquet(&path, n_rows, n_wanted)?,
            Kind::Ipc => table::write_ipc(&path, n_rows, n_wanted)?,
        };
        n_written += fs::metadata(&path)
            .map_err(|err| format!("cannot look at {}: {err}", path.display()))?
            .len()
            .max(1);
        n_files += 1;
    }
    Ok(n_rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn sets_have_the_wanted_size_and_are_made_once() {
        let folder = workspace::target_dir().join(format!("sample-sets-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for kind in Kind::ALL {
            let set = make(&folder, kind, 1).unwrap();
            // A table is written batch by batch, and a batch may be larger than what is wanted.
            assert!((1_000_000..9_000_000).contains(&set.n_bytes) && 10 < set.n_rows, "{kind:?}: {set:?}");
            let made = |set: &Set| {
                let file = reference::files_of(&set.path).unwrap().remove(0);
                fs::metadata(file).unwrap().modified().unwrap()
            };
            let before = made(&set);
            let again = make(&folder, kind, 1).unwrap();
            assert_eq!((again.n_rows, made(&again)), (set.n_rows, before), "{kind:?}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
