//! Which rows of which data file each episode has: what the episodes table says, held against what the rows
//! themselves say.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_arrow::{Joined, Leaf, ParquetFile, RowGroup, leaves};
use nodedata_core::{Error, Locus, Result};
use nodedata_steps::{Found, Listing, in_episode, refusal};
use rayon::prelude::*;

use crate::{
    findings::{Findings, RESTORE_HINT},
    meta::EpisodeRecord,
    order::by_step,
    rebuilt::{RowsTold, complete},
    scan::{Run, TASKS_MAX, runs},
    shown::shown,
    tables::Tables,
    template::Values,
};

/// The rows of one episode.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EpisodeRows {
    /// Position among the data files.
    pub(crate) file: usize,
    /// In that file; where there is an `order`, in that.
    pub(crate) rows: Range<u64>,
    /// Rows of the file by step, where they do not lie in this order.
    pub(crate) order: Option<Arc<[u64]>>,
    /// How many the episodes table says.
    pub(crate) told_length: u64,
    /// The task indices that occur.
    pub(crate) tasks: Vec<i64>,
}

impl EpisodeRows {
    pub(crate) fn n_rows(&self) -> u64 {
        self.rows.end - self.rows.start
    }
}

/// A data file, as far as planning needs it.
#[derive(Debug)]
pub(crate) struct DataFile {
    pub(crate) path: PathBuf,
    pub(crate) n_bytes: u64,
    pub(crate) row_groups: Vec<RowGroup>,
}

/// The data files, and where each episode's rows lie.
#[derive(Debug, Default)]
pub(crate) struct DataRows {
    /// Every data file that can be read, in order of its path.
    pub(crate) files: Vec<DataFile>,
    /// By position in [`Tables::episodes`]; `None` for an episode that is refused.
    pub(crate) episodes: Vec<Option<EpisodeRows>>,
    /// The columns of all files together.
    pub(crate) leaves: Vec<Leaf>,
}

/// Chunk, file and episode, as the template of the data files names them.
type Place = (u64, u64, u64);

/// A data file with what its rows say.
struct ScannedFile {
    path: PathBuf,
    n_bytes: u64,
    row_groups: Vec<RowGroup>,
    place: Place,
    runs: Vec<Run>,
}

/// Reads the footers and the placing columns of all data files, and settles each episode's rows. Episodes that the
/// table has lost are added to it.
///
/// # Errors
/// `Unsupported` when columns have types that no table holds; `Corrupt` when neither table nor rows tell of any
/// episode.
pub(crate) fn data_rows(listing: &Listing, tables: &mut Tables, findings: &mut Findings) -> Result<DataRows> {
    let (files, leaves) = open_all(listing, tables, findings)?;
    let per_file = tables.info.version.has_file_per_episode();
    complete(tables, &told_by_rows(&files, per_file), listing, findings)?;
    let tables: &Tables = tables;
    let unreadable = findings.damage.iter().filter_map(|it| it.locus().path.clone()).collect();
    let mut audit = RowAudit { listing, tables, findings, unreadable, claimed: BTreeSet::new() };
    let episodes: Vec<Option<EpisodeRows>> = if per_file {
        let by_episode: BTreeMap<u64, usize> =
            files.iter().enumerate().map(|(idx, file)| (file.place.2, idx)).collect();
        let of = |it: &EpisodeRecord| by_episode.get(&it.index).map(|idx| (*idx, &files[*idx]));
        tables.episodes.iter().map(|it| audit.own_file(it, of(it))).collect()
    } else {
        let mut by_episode: BTreeMap<u64, Vec<(usize, usize)>> = BTreeMap::new();
        for (idx, file) in files.iter().enumerate() {
            for (run, it) in file.runs.iter().enumerate() {
                by_episode.entry(it.episode.unwrap_or(u64::MAX)).or_default().push((idx, run));
            }
        }
        let of = |it: &EpisodeRecord| by_episode.get(&it.index).map_or(&[][..], Vec::as_slice);
        tables.episodes.iter().map(|it| audit.shared_file(it, of(it), &files)).collect()
    };
    audit.orphans(&files);
    let planned =
        |it: ScannedFile| DataFile { path: it.path, n_bytes: it.n_bytes, row_groups: it.row_groups };
    Ok(DataRows { files: files.into_iter().map(planned).collect(), episodes, leaves })
}

/// The episodes that the data files tell of: by the name of a file that is one episode's, and else by its rows.
fn told_by_rows(files: &[ScannedFile], per_file: bool) -> BTreeMap<u64, RowsTold> {
    let mut told: BTreeMap<u64, RowsTold> = BTreeMap::new();
    for file in files {
        for run in &file.runs {
            let episode = if per_file { Some(file.place.2) } else { run.episode };
            let Some(episode) = episode else { continue };
            let of_episode =
                told.entry(episode).or_insert_with(|| RowsTold { n_rows: 0, path: file.path.clone() });
            of_episode.n_rows += run.n_rows;
        }
    }
    told
}

/// Opens every data file that is there, and every one that is told of and lies elsewhere.
fn open_all(
    listing: &Listing,
    tables: &Tables,
    findings: &mut Findings,
) -> Result<(Vec<ScannedFile>, Vec<Leaf>)> {
    let template = &tables.info.data_path;
    let mut names: BTreeMap<String, Place> = BTreeMap::new();
    for name in listing.names() {
        if let Some(it) = template.read(name, "") {
            names.insert(name.to_owned(), (it.chunk, it.file, it.episode));
        }
    }
    for record in &tables.episodes {
        let values = values_of(tables, record);
        let expected = template.fill(&values);
        if names.contains_key(&expected) {
            continue;
        }
        if let Some(Found::Elsewhere(name)) = listing.find(&expected)
            && !names.contains_key(&name)
        {
            let message = format!("the data file lies here, not at `{expected}` as `data_path` says");
            findings.repaired("wrong-folder", message, in_episode(listing.path(&name), record.index));
            names.insert(name, (values.chunk, values.file, values.episode));
        }
    }
    let mut joined = Joined::default();
    let mut files = Vec::with_capacity(names.len());
    let scan = |(name, place): (String, Place)| (place, scan(listing, &name, place, tables.info.fps));
    // Told in the order of the names, whatever the thread timing.
    let scanned: Vec<_> = names.into_par_iter().map(scan).collect();
    for (place, scanned) in scanned {
        match scanned {
            Ok((file, leaves)) => {
                let leaves: Vec<Leaf> = leaves?;
                joined.add(&leaves).map_err(|err| err.at(Locus::path(&file.path)))?;
                files.push(file);
            }
            Err(err) => findings.lost("unreadable-data-file", err, told_rows(tables, place)),
        }
    }
    Ok((files, joined.finish()))
}

/// Reads the footer and the placing columns of one data file, and which columns it has.
fn scan(listing: &Listing, name: &str, place: Place, fps: f64) -> Result<(ScannedFile, Result<Vec<Leaf>>)> {
    let path = listing.path(name);
    let file = ParquetFile::open(listing.files().as_ref(), &path, RESTORE_HINT)?;
    let leaves = leaves(&file)
        .map_err(|err| err.with_hint("leave it out with `--topic` and the names of the other features"));
    let (runs, row_groups, n_bytes) = (runs(&file, fps)?, file.row_groups(), file.n_bytes());
    Ok((ScannedFile { path, n_bytes, row_groups, place, runs }, leaves))
}

/// Rows that the episodes table places in a file.
fn told_rows(tables: &Tables, (chunk, file, episode): Place) -> u64 {
    let per_file = tables.info.version.has_file_per_episode();
    let in_it = |it: &&EpisodeRecord| {
        if per_file { it.index == episode } else { it.data_file == Some((chunk, file)) }
    };
    // Lengths are as the table tells them, which may be any number.
    tables.episodes.iter().filter(in_it).fold(0, |sum: u64, it| sum.saturating_add(it.length))
}

/// What the template of the data files is filled with for one episode.
pub(crate) fn values_of<'a>(tables: &Tables, record: &EpisodeRecord) -> Values<'a> {
    let (chunk, file) = match record.data_file {
        Some(pair) => pair,
        None => (record.index / tables.info.chunks_size, 0),
    };
    Values { chunk, file, episode: record.index, video_key: "" }
}

/// Places told in a message.
const PLACES_TOLD: usize = 5;

struct RowAudit<'a> {
    listing: &'a Listing,
    tables: &'a Tables,
    findings: &'a mut Findings,
    /// Files that were named as such, with the rows they cost.
    unreadable: BTreeSet<PathBuf>,
    /// Runs that an episode has, by file and first row.
    claimed: BTreeSet<(usize, u64)>,
}

impl RowAudit<'_> {
    /// Version 2: the file's name says whose rows it holds.
    fn own_file(
        &mut self,
        record: &EpisodeRecord,
        file: Option<(usize, &ScannedFile)>,
    ) -> Option<EpisodeRows> {
        let Some((idx, file)) = file else {
            self.missing(record);
            return None;
        };
        for run in &file.runs {
            self.claimed.insert((idx, run.first_row));
        }
        let [run] = file.runs.as_slice() else {
            let n_rows = file.runs.iter().map(|it| it.n_rows).sum();
            let message = match file.runs.len() {
                0 => "the episode has no rows".to_owned(),
                n => format!("the file of one episode holds {n} runs of different `episode_index`"),
            };
            let at = in_episode(&file.path, record.index);
            self.findings.lost("mixed-episodes", refusal(message, at), n_rows);
            return None;
        };
        if let Some(told) = run.episode.filter(|it| *it != record.index) {
            let others =
                if record.is_rebuilt { "the file says" } else { "the file and the episodes table say" };
            let message = format!("`episode_index` says {told}, but {others} {}", record.index);
            self.findings.repaired("episode-index", message, in_episode(&file.path, record.index));
        }
        self.settle(record, idx, file, &[run])
    }

    /// Version 3: the rows themselves say whose they are.
    fn shared_file(
        &mut self,
        record: &EpisodeRecord,
        found: &[(usize, usize)],
        files: &[ScannedFile],
    ) -> Option<EpisodeRows> {
        for (file, run) in found {
            self.claimed.insert((*file, files[*file].runs[*run].first_row));
        }
        let Some((idx, _)) = found.first().copied() else {
            self.missing(record);
            return None;
        };
        let runs: Vec<&Run> = found.iter().map(|(file, run)| &files[*file].runs[*run]).collect();
        if found.iter().any(|it| it.0 != idx) {
            let paths = found.iter().map(|it| files[it.0].path.as_path());
            self.scattered(record, "of several files", paths.zip(runs.iter().copied()));
            return None;
        }
        let file = &files[idx];
        if let Some(told) = record.data_file.filter(|it| *it != (file.place.0, file.place.1)) {
            let message = format!(
                "the episodes table says chunk {}, file {}, but the rows of the episode are here",
                told.0, told.1
            );
            self.findings.repaired("stale-data-file", message, in_episode(&file.path, record.index));
        }
        if let [run] = runs[..]
            && run.broken_frame.is_none()
            && let (Some((from, to)), Some(first)) = (record.dataset_rows, run.first_index)
        {
            let (from, to) = (i128::from(from), i128::from(to));
            let (first, last) = (i128::from(first), i128::from(first) + i128::from(run.n_rows));
            if (from, to) != (first, last) && run.n_rows == record.length {
                let message = format!(
                    "the episodes table says rows {from}..{to} of the dataset, but `index` of the rows says {first}..{last}"
                );
                self.findings.repaired("stale-row-range", message, in_episode(&record.told_by, record.index));
            }
        }
        self.settle(record, idx, file, &runs)
    }

    /// Checks that apply to both layouts. The runs are those of the episode in its file.
    fn settle(
        &mut self,
        record: &EpisodeRecord,
        idx: usize,
        file: &ScannedFile,
        runs: &[&Run],
    ) -> Option<EpisodeRows> {
        let at = || in_episode(&file.path, record.index);
        self.unknown_tasks(record, file, runs);
        let (rows, order) = match runs {
            [run] if run.broken_frame.is_none() => (run.first_row..run.end(), None),
            _ => {
                let Some(order) = by_step(runs) else {
                    self.unordered(record, file, runs);
                    return None;
                };
                let message =
                    "the rows of the episode lie out of order; they are read in that of `frame_index`";
                self.findings.repaired("rows-out-of-order", message, at());
                (0..order.len() as u64, Some(Arc::from(order)))
            }
        };
        if let Some((step, timestamp)) =
            runs.iter().filter_map(|it| it.off_grid).min_by_key(|(step, _)| *step)
        {
            let place = Locus { step_idx: Some(step), ..at() };
            let fps = self.tables.info.fps;
            let message = format!(
                "`timestamp` is {} s where {} frames a second put {} s; it is kept, and frames are paired by position",
                shown(timestamp),
                shown(fps),
                shown(step as f64 / fps)
            );
            self.findings.repaired("timestamp-off-grid", message, place);
        }
        let mut tasks: Vec<i64> = Vec::new();
        for task in runs.iter().flat_map(|it| &it.tasks) {
            if tasks.len() < TASKS_MAX && !tasks.contains(task) {
                tasks.push(*task);
            }
        }
        Some(EpisodeRows { file: idx, rows, order, told_length: record.length, tasks })
    }

    /// Rows whose `frame_index` is not each step once.
    fn unordered(&mut self, record: &EpisodeRecord, file: &ScannedFile, runs: &[&Run]) {
        let [Run { broken_frame: Some((row, frame)), n_rows, .. }] = runs else {
            let path = file.path.as_path();
            let why = "of a file, and `frame_index` does not put them in order";
            self.scattered(record, why, runs.iter().map(|run| (path, *run)));
            return;
        };
        let place = Locus { step_idx: Some(*row), ..in_episode(&file.path, record.index) };
        let message = format!("`frame_index` is {frame} at position {row}: steps are missing or repeated");
        self.findings.lost("broken-frame-index", refusal(message, place), *n_rows);
    }

    /// Rows in several places that are not put together; `why` goes on behind their number.
    fn scattered<'b>(
        &mut self,
        record: &EpisodeRecord,
        why: &str,
        places: impl Iterator<Item = (&'b Path, &'b Run)> + Clone,
    ) {
        let told = places.clone().take(PLACES_TOLD);
        let told = told.map(|(path, run)| format!("row {} of {}", run.first_row, path.display()));
        let told: Vec<String> = told.collect();
        let message = format!(
            "the rows of the episode are scattered over {} places {why}: {}",
            places.clone().count(),
            told.join(", ")
        );
        let path = places.clone().next().map(|it| it.0).unwrap_or(Path::new(""));
        let n_rows = places.map(|it| it.1.n_rows).sum();
        self.findings.lost("scattered-rows", refusal(message, in_episode(path, record.index)), n_rows);
    }

    fn unknown_tasks(&mut self, record: &EpisodeRecord, file: &ScannedFile, runs: &[&Run]) {
        let known = |it: &&i64| u64::try_from(**it).is_ok_and(|it| self.tables.tasks.contains_key(&it));
        // A table that cannot be read was named already.
        let mut tasks = runs.iter().flat_map(|it| &it.tasks);
        let unknown = tasks.find(|it| !known(it)).filter(|_| !self.tables.tasks.is_empty());
        if let Some(task) = unknown {
            let message = format!("`task_index` {task} is not in the tasks table; its text is null");
            self.findings.repaired("unknown-task", message, in_episode(&file.path, record.index));
        }
    }

    fn missing(&mut self, record: &EpisodeRecord) {
        let expected = self.tables.info.data_path.fill(&values_of(self.tables, record));
        let path = self.listing.path(&expected);
        let n_rows = if self.unreadable.contains(&path) { 0 } else { record.length };
        let message = if self.listing.has(&expected) {
            "the file holds no rows of the episode"
        } else {
            "the data file of the episode is not there"
        };
        let err: Error = refusal(message, in_episode(path, record.index));
        self.findings.lost("missing-rows", err, n_rows);
    }

    /// Rows that no episode of the table has.
    fn orphans(&mut self, files: &[ScannedFile]) {
        for (idx, file) in files.iter().enumerate() {
            for run in file.runs.iter().filter(|it| !self.claimed.contains(&(idx, it.first_row))) {
                let whose = run.episode.map_or("no episode".to_owned(), |it| format!("episode {it}"));
                let message =
                    format!("{} rows are of {whose}, which the episodes table does not know", run.n_rows);
                let at = Locus {
                    episode_idx: run.episode,
                    step_idx: Some(run.first_row),
                    ..Locus::path(&file.path)
                };
                self.findings.lost("orphan-rows", refusal(message, at), run.n_rows);
            }
        }
    }
}
