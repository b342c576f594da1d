mod fetch;
mod partial;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{Error, ErrorKind, Progress, Result};
use nodedata_dataset::{Manifest, recognise};
use nodedata_io::{
    Places, Replacing, Writing, entries, has_left_behind, io_error, is_half_replaced, write_file,
};
use serde::Serialize;

use crate::{
    digest::B3,
    folder::{Draft, EpisodeKeys, Nearest, Origin, without_episodes},
    name::DatasetName,
    pull::{
        fetch::fetch,
        partial::{Partial, SUFFIX},
    },
    record::FileRef,
    revision::{REVISION_FILE, Revision},
};

/// The file of a dataset's folder that names all others.
const MANIFEST: &str = "manifest.json";

/// What a pull brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PullReport {
    /// The dataset.
    pub dataset: DatasetName,
    /// The revision.
    pub revision: String,
    /// Where it lies.
    pub out: PathBuf,
    /// Files of it.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Bytes that were fetched now; the rest was there from an earlier try. Shards whose rows were left out in part were fetched as
    /// a whole.
    pub fetched_bytes: u64,
    /// Whether the folder held the revision already.
    pub unchanged: bool,
    /// Episodes that the revision leaves out, of which no row came.
    pub left_out_episodes: u64,
    /// Rows of them.
    pub left_out_rows: u64,
}

/// Fetches a revision to a folder, which appears in one step when every byte is there and verified. What an
/// earlier try has brought is used again, wherever it ended.
///
/// Of episodes that the revision leaves out no row comes: shards that hold some are written again without them, and what describes
/// the dataset is made anew for what is there.
///
/// # Errors
/// `Config` when the folder holds something else and `overwrite` is not set; `Conflict` when another pull
/// fills it; `Corrupt` at the first byte that is not what was published; `Interrupted` when `progress` says to stop;
/// `Io`, `Denied`.
pub fn pull(revision: &Revision, out: &Path, overwrite: bool, progress: &dyn Progress) -> Result<PullReport> {
    let files = revision.files()?;
    let manifest = revision.manifest();
    let gone = EpisodeKeys::left_out(manifest);
    let mut report = PullReport {
        dataset: manifest.dataset.clone(),
        revision: manifest.revision.clone(),
        out: out.to_owned(),
        files: files.len() as u64,
        bytes: files.iter().map(|it| it.blob.bytes).sum(),
        fetched_bytes: 0,
        unchanged: false,
        left_out_episodes: gone.len(),
        left_out_rows: n_rows_left_out(revision)?,
    };
    let manifest_bytes = manifest.to_bytes()?;
    if is_half_replaced(out, SUFFIX)? {
        // What was there gets its name back before it is looked at.
        drop(Partial::open(out)?);
    }
    let n_rows: u64 = revision.shards()?.iter().map(|it| it.rows).sum();
    let n_kept = n_rows.saturating_sub(report.left_out_rows);
    if holds(out, &manifest_bytes, files, (!gone.is_empty()).then_some(n_kept)) {
        if has_left_behind(out, SUFFIX)?
            // Of one that was killed after its last step, unless another is at work.
            && let Ok(partial) = Partial::open(out)
        {
            partial.abandon();
        }
        (report.files, report.bytes) = measured(out)?;
        report.unchanged = true;
        return Ok(report);
    }
    let reads = Places::default();
    let replacing = Replacing {
        asked: overwrite,
        reads: &reads,
        recognise: &recognise,
        there: "the folder exists already, and holds another dataset or revision, or episodes that this one leaves out",
        hint: "choose another `--out`, or `--overwrite` to replace it once all is there",
    };
    replacing.check(out)?;
    let partial = Partial::open(out)?;
    let brought = bring(revision, files, &gone, &partial, progress).map_err(told_if_stopped)?;
    (report.files, report.bytes, report.fetched_bytes) = brought;
    write_file(&partial.tree.join(REVISION_FILE), &manifest_bytes, Writing::Replace)?;
    // It may have been long since it was looked at first.
    replacing.check(out)?;
    partial.commit()?;
    Ok(report)
}

/// Fills the tree; returns its files, their bytes, and the bytes that were fetched.
fn bring(
    revision: &Revision,
    files: &[FileRef],
    gone: &EpisodeKeys,
    partial: &Partial,
    progress: &dyn Progress,
) -> Result<(u64, u64, u64)> {
    let shards = revision.shards()?;
    let touched: BTreeSet<&str> = match gone.is_empty() {
        true => BTreeSet::new(),
        false => {
            let touched = gone.touched(revision)?;
            touched.into_iter().filter_map(|it| Some(shards.get(it)?.path.as_str())).collect()
        }
    };
    let (touched, whole): (Vec<&FileRef>, Vec<&FileRef>) =
        files.iter().partition(|it| touched.contains(it.path.as_str()));
    partial.keep_only(whole.iter().map(|it| it.path.as_str()))?;
    let have = partial.have(&whole, progress)?;
    let missing: Vec<&FileRef> =
        whole.iter().copied().filter(|it| !have.contains_key(it.path.as_str())).collect();
    let all = missing.iter().chain(&touched);
    progress.planned(all.map(|it| it.blob.bytes).sum());
    let fetched = fetch(revision, &partial.tree, &missing, progress)?;
    if gone.is_empty() {
        partial.keep_only(files.iter().map(|it| it.path.as_str()))?;
        return Ok((files.len() as u64, files.iter().map(|it| it.blob.bytes).sum(), fetched));
    }
    let there = whole.iter().map(|it| PathBuf::from(&it.path)).collect();
    let nearest = Nearest { revision: revision.clone(), root: partial.tree.clone(), there };
    let scratch = partial.rewritten()?;
    let draft = without_episodes(revision, Arc::new(nearest), gone, &scratch, progress)?;
    let n_rewritten: u64 = touched.iter().map(|it| it.blob.bytes).sum();
    progress.advanced(n_rewritten, 0);
    let (n_files, n_bytes) = lay_out(&draft, &partial.tree)?;
    partial.keep_only(
        draft.files.iter().map(|it| it.path.as_str()).chain(draft.shards.iter().map(|it| it.path.as_str())),
    )?;
    // One without other rows is left out unread.
    let stay: BTreeSet<&str> = draft.shards.iter().map(|it| it.path.as_str()).collect();
    let read = touched.iter().filter(|it| stay.contains(it.path.as_str()));
    Ok((n_files, n_bytes, fetched + read.map(|it| it.blob.bytes).sum::<u64>()))
}

/// Puts what was made anew into its place among what was fetched.
fn lay_out(draft: &Draft, tree: &Path) -> Result<(u64, u64)> {
    let files = draft.files.iter().map(|it| (&it.path, &it.blob));
    let files = files.chain(draft.shards.iter().map(|it| (&it.path, &it.blob)));
    let (mut n_files, mut n_bytes) = (0, 0);
    for (path, blob) in files {
        (n_files, n_bytes) = (n_files + 1, n_bytes + blob.bytes);
        let target = tree.join(path);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(|err| io_error("cannot make the folder", folder, err))?;
        }
        match draft.sources.get(&blob.b3) {
            None => {}
            Some(Origin::Memory(bytes)) => write_file(&target, bytes, Writing::Replace)?,
            Some(Origin::File(from)) => {
                fs::rename(from, &target).map_err(|err| io_error("cannot place the shard", &target, err))?;
            }
        }
    }
    Ok((n_files, n_bytes))
}

/// Rows in the shards that its splits do not count.
fn n_rows_left_out(revision: &Revision) -> Result<u64> {
    let splits = revision.manifest().splits.values();
    if splits.clone().all(|it| it.exclude.is_empty()) {
        return Ok(0);
    }
    let counted: u64 = splits.map(|it| it.frames).fold(0, u64::saturating_add);
    let all = revision.shards()?.iter().map(|it| it.rows).fold(0, u64::saturating_add);
    Ok(all.saturating_sub(counted))
}

/// Whether a folder is what this pull would make of it. One that was pulled before episodes could be left out holds their rows:
/// its manifest is that of all of them, or counts them. `n_kept` is how many rows there are without them, where some are left out.
fn holds(out: &Path, manifest: &[u8], files: &[FileRef], n_kept: Option<u64>) -> bool {
    if fs::read(out.join(REVISION_FILE)).ok().as_deref() != Some(manifest) {
        return false;
    }
    let Some(n_kept) = n_kept else { return true };
    let Ok(there) = fs::read(out.join(MANIFEST)) else { return false };
    let with_all = files.iter().find(|it| it.path == MANIFEST).map(|it| it.blob.b3);
    let n_rows = serde_json::from_slice::<Manifest>(&there)
        .map(|it| it.shards.iter().fold(0, |sum: u64, it| sum.saturating_add(it.rows)));
    Some(B3::of(&there)) != with_all && n_rows.is_ok_and(|it| it == n_kept)
}

/// Files of a dataset's folder and their bytes, without what a pull says of itself.
fn measured(out: &Path) -> Result<(u64, u64)> {
    let (mut n_files, mut n_bytes) = (0, 0);
    let mut pending = vec![out.to_owned()];
    while let Some(folder) = pending.pop() {
        for found in entries(&folder)? {
            let about =
                fs::symlink_metadata(&found).map_err(|err| io_error("cannot look at", &found, err))?;
            if about.is_dir() {
                pending.push(found);
            } else if found != out.join(REVISION_FILE) {
                (n_files, n_bytes) = (n_files + 1, n_bytes + about.len());
            }
        }
    }
    Ok((n_files, n_bytes))
}

fn told_if_stopped(err: Error) -> Error {
    match err.kind() {
        ErrorKind::Interrupted => Error::new(
            ErrorKind::Interrupted,
            "the pull was stopped; what was fetched is kept, and the same command goes on from there",
        ),
        _ => err,
    }
}
