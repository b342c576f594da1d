//! What `meta/` says, read whole: info, episodes, tasks, statistics.

use nodedata_core::{Locus, Result};
use serde_json::Value;

use crate::{
    findings::{Findings, refusal},
    info::{Info, Version},
    listing::{INFO, Listing},
    meta::{EpisodeRecord, Tasks, add_stats, json_lines, parquet_rows, task_of, whole},
};

/// The tables of one dataset.
pub(crate) struct Tables {
    pub(crate) info: Info,
    /// By source index, each once.
    pub(crate) episodes: Vec<EpisodeRecord>,
    pub(crate) tasks: Tasks,
    /// `meta/stats.json` as it is, where there is one.
    pub(crate) stats: Option<String>,
}

impl Tables {
    /// Reads them.
    ///
    /// # Errors
    /// `Corrupt` or `Unsupported` when info or the episodes table cannot be read.
    pub(crate) fn read(listing: &Listing, findings: &mut Findings) -> Result<Self> {
        let info_path = listing.path(INFO);
        let info = Info::parse(&whole(listing.files().as_ref(), &info_path)?, &info_path)?;
        let mut episodes = match info.version {
            Version::V20 | Version::V21 => episodes_of_lines(listing, findings)?,
            Version::V30 => episodes_of_parquet(listing, findings)?,
        };
        episodes.sort_by_key(|it| it.index);
        episodes.dedup_by(|second, first| {
            let twice = second.index == first.index;
            if twice {
                let at = Locus { episode_idx: Some(second.index), ..Locus::path(&second.told_by) };
                findings.lost(
                    "episode-listed-twice",
                    refusal("the episodes table lists the episode twice", at),
                    0,
                );
            }
            twice
        });
        let tasks = tasks(listing, &info, findings);
        check_totals(&info, &episodes, listing, findings);
        let stats = listing
            .has("meta/stats.json")
            .then(|| whole(listing.files().as_ref(), &listing.path("meta/stats.json")));
        let stats = stats.transpose()?.map(|it| String::from_utf8_lossy(&it).into_owned());
        Ok(Self { info, episodes, tasks, stats })
    }
}

fn episodes_of_lines(listing: &Listing, findings: &mut Findings) -> Result<Vec<EpisodeRecord>> {
    let path = listing.path("meta/episodes.jsonl");
    let mut episodes = Vec::new();
    let mut n_unusable = 0;
    json_lines(listing.files().as_ref(), &path, |row| match EpisodeRecord::from_row(row, &path) {
        Some(record) => episodes.push(record),
        None => n_unusable += 1,
    })?;
    note_unusable(n_unusable, Locus::path(&path), findings);
    let stats = "meta/episodes_stats.jsonl";
    if listing.has(stats) {
        episodes.sort_by_key(|it| it.index);
        json_lines(listing.files().as_ref(), &listing.path(stats), |mut row| {
            let index = row.get("episode_index").and_then(Value::as_u64);
            let position = index.and_then(|index| episodes.binary_search_by_key(&index, |it| it.index).ok());
            if let (Some(position), Some(stats)) = (position, row.remove("stats")) {
                add_stats(&mut episodes[position], stats);
            }
        })?;
    }
    Ok(episodes)
}

fn episodes_of_parquet(listing: &Listing, findings: &mut Findings) -> Result<Vec<EpisodeRecord>> {
    let mut episodes = Vec::new();
    let tables = listing.names().filter(|it| it.starts_with("meta/episodes/") && it.ends_with(".parquet"));
    let tables: Vec<&str> = tables.collect();
    if tables.is_empty() {
        return Err(refusal("no episodes table is there", Locus::path(listing.path("meta/episodes")))
            .with_hint(
                "restore `meta/episodes/chunk-000/file-000.parquet`: it says where each episode lies",
            ));
    }
    for name in tables {
        let path = listing.path(name);
        let mut n_unusable = 0;
        parquet_rows(listing.files().as_ref(), &path, |row| match EpisodeRecord::from_row(row, &path) {
            Some(record) => episodes.push(record),
            None => n_unusable += 1,
        })?;
        note_unusable(n_unusable, Locus::path(&path), findings);
    }
    Ok(episodes)
}

fn note_unusable(n: u64, at: Locus, findings: &mut Findings) {
    if n > 0 {
        let message = format!("{n} rows of the episodes table have no `episode_index` or no `length`");
        findings.lost("episode-without-number", refusal(message, at), 0);
    }
}

/// The tasks table. Rows carry indices into it, so a dataset without one still has all its numbers.
fn tasks(listing: &Listing, info: &Info, findings: &mut Findings) -> Tasks {
    let name = if info.version.has_file_per_episode() { "meta/tasks.jsonl" } else { "meta/tasks.parquet" };
    let path = listing.path(name);
    let mut tasks = Tasks::new();
    let mut n_unusable = 0u64;
    let visit = |row: serde_json::Map<String, Value>| match task_of(&row) {
        Some((index, text)) => drop(tasks.insert(index, text)),
        None => n_unusable += 1,
    };
    let files = listing.files().as_ref();
    let read = if info.version.has_file_per_episode() {
        json_lines(files, &path, visit)
    } else {
        parquet_rows(files, &path, visit)
    };
    if let Err(err) = read {
        findings.repaired(
            "tasks-unreadable",
            format!("task texts are null: {}", err.chain()),
            Locus::path(&path),
        );
    }
    if n_unusable > 0 {
        let message = format!("{n_unusable} rows of the tasks table have no index or no text");
        findings.repaired("task-without-text", message, Locus::path(&path));
    }
    tasks
}

fn check_totals(info: &Info, episodes: &[EpisodeRecord], listing: &Listing, findings: &mut Findings) {
    let n_frames: u64 = episodes.iter().map(|it| it.length).sum();
    for (name, told, found) in [
        ("total_episodes", info.total_episodes, episodes.len() as u64),
        ("total_frames", info.total_frames, n_frames),
    ] {
        if let Some(told) = told.filter(|it| *it != found) {
            let message = format!("`{name}` is {told}, but the episodes table adds up to {found}");
            findings.warn(message, Locus::path(listing.path(INFO)));
        }
    }
}
