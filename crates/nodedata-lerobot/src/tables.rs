//! What `meta/` says, read whole: info, episodes, tasks, statistics.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_steps::{Listing, refusal};
use serde_json::{Map, Value};

use crate::{
    findings::{Findings, TABLE_HINT},
    info::Info,
    layout::{EPISODES_LINES, EPISODES_STATS, INFO, MODALITY, STATS, episodes_place, is_episodes_table},
    meta::{
        EpisodeRecord, NamedFact, Texts, json_lines, parquet_episodes, parquet_rows, stats_of, text_of, whole,
    },
    modality::Modality,
    version_audit::settle_version,
};

/// The tables of one dataset.
pub(crate) struct Tables {
    pub(crate) info: Info,
    /// By source index, each once.
    pub(crate) episodes: Vec<EpisodeRecord>,
    /// Further rows of the table for episodes that are in `episodes`.
    pub(crate) twins: Vec<EpisodeRecord>,
    /// Why the table does not list every episode, though rows may be of others.
    pub(crate) lost: Vec<Error>,
    /// Statistics of episodes that lie in a file of their own, by source index.
    own_stats: Vec<(u64, Vec<NamedFact>)>,
    pub(crate) tasks: Texts,
    pub(crate) subtasks: Texts,
    /// `meta/stats.json` as it is, where there is one.
    pub(crate) stats: Option<String>,
    pub(crate) modality: Option<Modality>,
    /// Names of the files below `meta/` that were read.
    pub(crate) read: BTreeSet<String>,
}

impl Tables {
    /// Reads them.
    ///
    /// # Errors
    /// `Corrupt` or `Unsupported` when info cannot be read; `Io`.
    pub(crate) fn read(listing: &Listing, findings: &mut Findings) -> Result<Self> {
        let mut reader = MetaReader { listing, findings, read: BTreeSet::new() };
        let info_path = listing.path(INFO);
        let mut info = Info::parse(&reader.whole(INFO)?, &info_path)?;
        settle_version(&mut info, listing, reader.findings)?;
        let (mut episodes, lost) = reader.episodes(&info)?;
        episodes.sort_by_key(|it| it.index);
        let mut twins = Vec::new();
        let mut listed: Vec<EpisodeRecord> = Vec::with_capacity(episodes.len());
        for record in episodes {
            if listed.last().is_some_and(|it| it.index == record.index) {
                twins.push(record);
            } else {
                listed.push(record);
            }
        }
        let own_stats = reader.own_stats(&info)?;
        let tasks = reader.texts("task", &info)?;
        let has_subtasks = SUFFIXES.iter().any(|it| listing.has(&format!("meta/subtasks{it}")));
        let subtasks = if has_subtasks { reader.texts("subtask", &info)? } else { Texts::new() };
        let stats = if listing.has(STATS) { Some(reader.whole(STATS)?) } else { None };
        let stats = stats.map(|it| String::from_utf8_lossy(&it).into_owned());
        let modality = reader.modality(&info)?;
        let read = reader.read;
        Ok(Self { info, episodes: listed, twins, lost, own_stats, tasks, subtasks, stats, modality, read })
    }

    /// Gives the episodes their statistics, once they are all listed.
    pub(crate) fn take_stats(&mut self) {
        for (index, stats) in std::mem::take(&mut self.own_stats) {
            if let Ok(position) = self.episodes.binary_search_by_key(&index, |it| it.index) {
                self.episodes[position].metadata.extend(stats);
            }
        }
    }

    /// Holds the totals of `info.json` against the episodes.
    pub(crate) fn check_totals(&self, listing: &Listing, findings: &mut Findings) {
        let n_frames = self.episodes.iter().fold(0, |sum: u64, it| sum.saturating_add(it.length));
        for (name, told, found) in [
            ("total_episodes", self.info.total_episodes, self.episodes.len() as u64),
            ("total_frames", self.info.total_frames, n_frames),
        ] {
            if let Some(told) = told.filter(|it| *it != found) {
                let message = format!("`{name}` is {told}, but the episodes table adds up to {found}");
                findings.warn(message, Locus::path(listing.path(INFO)));
            }
        }
    }
}

/// How the names of tables of lines, and of Parquet tables, end.
const SUFFIXES: [&str; 2] = [".jsonl", ".parquet"];

/// Reads the files below `meta/`, and remembers which.
struct MetaReader<'a> {
    listing: &'a Listing,
    findings: &'a mut Findings,
    read: BTreeSet<String>,
}

impl MetaReader<'_> {
    fn whole(&mut self, name: &str) -> Result<bytes::Bytes> {
        self.read.insert(name.to_owned());
        whole(self.listing.files().as_ref(), &self.listing.path(name))
    }

    fn lines<T: Send>(
        &mut self,
        name: &str,
        make: impl Fn(Map<String, Value>) -> T + Sync,
    ) -> Result<Vec<Result<T>>> {
        self.read.insert(name.to_owned());
        json_lines(self.listing.files().as_ref(), &self.listing.path(name), make)
    }

    /// The episodes of the table of the version's kind, or where there is none of it, of the other; and why they may
    /// not be all.
    fn episodes(&mut self, info: &Info) -> Result<(Vec<EpisodeRecord>, Vec<Error>)> {
        let listing = self.listing;
        let tables: Vec<&str> = listing.names().filter(|it| is_episodes_table(it)).collect();
        let has_lines = listing.has(EPISODES_LINES);
        let per_file = info.version.has_file_per_episode();
        if has_lines && (per_file || tables.is_empty()) {
            return self.episodes_of_lines();
        }
        let (mut episodes, mut lost) = (Vec::new(), Vec::new());
        if tables.is_empty() {
            let at = Locus::path(listing.path(episodes_place(info.version)));
            let err = refusal("no episodes table is there", at);
            lost.push(err.with_hint("restore it: it says where each episode lies"));
        }
        for name in tables {
            self.read.insert(name.to_owned());
            let path = listing.path(name);
            match parquet_episodes(listing.files().as_ref(), &path) {
                Ok(rows) => episodes.extend(usable(rows, &path, &mut lost)),
                // What another build could read, or another try, nobody has lost.
                Err(err) if err.kind() != ErrorKind::Corrupt => return Err(err),
                Err(err) => lost.push(err),
            }
        }
        Ok((episodes, lost))
    }

    fn episodes_of_lines(&mut self) -> Result<(Vec<EpisodeRecord>, Vec<Error>)> {
        let path = self.listing.path(EPISODES_LINES);
        let mut lost = Vec::new();
        let rows = self.lines(EPISODES_LINES, |row| EpisodeRecord::from_row(row, &path))?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            match row {
                Ok(row) => found.push(row),
                Err(err) => lost.push(err),
            }
        }
        let episodes = usable(found, &path, &mut lost);
        Ok((episodes, lost))
    }

    /// The statistics of episodes that version 2.1 keeps beside their table. They decide no row.
    fn own_stats(&mut self, info: &Info) -> Result<Vec<(u64, Vec<NamedFact>)>> {
        // A table of version 3 has them itself.
        let has_table = self.listing.names().any(is_episodes_table);
        if !self.listing.has(EPISODES_STATS) || (has_table && !info.version.has_file_per_episode()) {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for row in self.lines(EPISODES_STATS, stats_of)? {
            match row {
                Ok(stats) => all.extend(stats),
                Err(err) => {
                    let message = format!("statistics of an episode are left out: {}", err.chain());
                    self.findings.repaired("stats-unreadable", message, err.locus().clone());
                }
            }
        }
        Ok(all)
    }

    /// The table of tasks or subtasks (`kind`), of the version's kind of file, or where there is none of it, of the
    /// other. Rows carry indices into it, so a dataset without one still has all its numbers.
    fn texts(&mut self, kind: &str, info: &Info) -> Result<Texts> {
        let [lines, table] = SUFFIXES.map(|it| format!("meta/{kind}s{it}"));
        let (own, other) = if info.version.has_file_per_episode() { (lines, table) } else { (table, lines) };
        let name = if !self.listing.has(&own) && self.listing.has(&other) { other } else { own };
        let path = self.listing.path(&name);
        let rows: Vec<Result<Option<(u64, String)>>> = if !self.listing.has(&name) {
            vec![Err(Error::new(ErrorKind::Corrupt, format!("no table of {kind}s is there")))]
        } else if name.ends_with(".jsonl") {
            self.lines(&name, |row| text_of(kind, &row))?
        } else {
            self.read.insert(name);
            match parquet_rows(self.listing.files().as_ref(), &path, |row| text_of(kind, &row)) {
                Ok(rows) => rows.into_iter().map(Ok).collect(),
                // Another try may read it: no text is null for that.
                Err(err) if err.kind() == ErrorKind::Io => return Err(err),
                Err(err) => vec![Err(err)],
            }
        };
        Ok(self.usable_texts(kind, rows, &path))
    }

    fn usable_texts(&mut self, kind: &str, rows: Vec<Result<Option<(u64, String)>>>, path: &Path) -> Texts {
        let (unreadable, without_text) = match kind {
            "task" => ("tasks-unreadable", "task-without-text"),
            _ => ("subtasks-unreadable", "subtask-without-text"),
        };
        let mut texts: BTreeMap<u64, String> = BTreeMap::new();
        let mut n_unusable = 0;
        for row in rows {
            match row {
                Ok(Some((index, text))) => {
                    texts.insert(index, text);
                }
                Ok(None) => n_unusable += 1,
                Err(err) => {
                    let message = format!("{kind} texts are null: {}", err.chain());
                    let err = err.at(Locus::path(path));
                    self.findings.repaired(unreadable, message, err.locus().clone());
                }
            }
        }
        if n_unusable > 0 {
            let message = format!("{n_unusable} rows of the {kind}s table have no index or no text");
            self.findings.repaired(without_text, message, Locus::path(path));
        }
        texts
    }

    /// What GR00T says of slices of state and action. It decides no value.
    fn modality(&mut self, info: &Info) -> Result<Option<Modality>> {
        if !self.listing.has(MODALITY) {
            return Ok(None);
        }
        let mut modality = Modality::read(&self.whole(MODALITY)?);
        for mistake in modality.mistakes(info) {
            let message = format!("{mistake}; it gives no slice");
            self.findings.repaired("modality", message, Locus::path(self.listing.path(MODALITY)));
        }
        modality.keep_true(info);
        Ok(Some(modality))
    }
}

/// The rows that say which episode they are of, and how long it is.
fn usable(rows: Vec<Option<EpisodeRecord>>, path: &Path, lost: &mut Vec<Error>) -> Vec<EpisodeRecord> {
    let n_rows = rows.len();
    let episodes: Vec<EpisodeRecord> = rows.into_iter().flatten().collect();
    let n_unusable = n_rows - episodes.len();
    if n_unusable > 0 {
        let message =
            format!("{n_unusable} rows of the episodes table have no `episode_index` or no `length`");
        lost.push(refusal(message, Locus::path(path)).with_hint(TABLE_HINT));
    }
    episodes
}
