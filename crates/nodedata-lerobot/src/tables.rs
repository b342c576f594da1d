//! What `meta/` says, read whole: info, episodes, tasks, statistics.

use std::path::Path;

use nodedata_core::{Locus, Result};
use nodedata_steps::{Listing, refusal};

use crate::{
    findings::Findings,
    info::{Info, Version},
    layout::INFO,
    meta::{EpisodeRecord, Tasks, json_lines, parquet_episodes, parquet_rows, stats_of, task_of, whole},
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
    let rows = json_lines(listing.files().as_ref(), &path, |row| EpisodeRecord::from_row(row, &path))?;
    let mut episodes = usable(rows, &path, findings);
    let stats = "meta/episodes_stats.jsonl";
    if listing.has(stats) {
        episodes.sort_by_key(|it| it.index);
        let rows = json_lines(listing.files().as_ref(), &listing.path(stats), stats_of)?;
        for (index, stats) in rows.into_iter().flatten() {
            if let Ok(position) = episodes.binary_search_by_key(&index, |it| it.index) {
                episodes[position].metadata.extend(stats);
            }
        }
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
        let rows = parquet_episodes(listing.files().as_ref(), &path)?;
        episodes.extend(usable(rows, &path, findings));
    }
    Ok(episodes)
}

/// The rows that say which episode they are of.
fn usable(rows: Vec<Option<EpisodeRecord>>, path: &Path, findings: &mut Findings) -> Vec<EpisodeRecord> {
    let n_rows = rows.len();
    let episodes: Vec<EpisodeRecord> = rows.into_iter().flatten().collect();
    let n_unusable = n_rows - episodes.len();
    if n_unusable > 0 {
        let message =
            format!("{n_unusable} rows of the episodes table have no `episode_index` or no `length`");
        findings.lost("episode-without-number", refusal(message, Locus::path(path)), 0);
    }
    episodes
}

/// The tasks table. Rows carry indices into it, so a dataset without one still has all its numbers.
fn tasks(listing: &Listing, info: &Info, findings: &mut Findings) -> Tasks {
    let name = if info.version.has_file_per_episode() { "meta/tasks.jsonl" } else { "meta/tasks.parquet" };
    let path = listing.path(name);
    let files = listing.files().as_ref();
    let read = if info.version.has_file_per_episode() {
        json_lines(files, &path, |row| task_of(&row))
    } else {
        parquet_rows(files, &path, |row| task_of(&row))
    };
    let rows = read.unwrap_or_else(|err| {
        findings.repaired(
            "tasks-unreadable",
            format!("task texts are null: {}", err.chain()),
            Locus::path(&path),
        );
        Vec::new()
    });
    let n_unusable = rows.iter().filter(|it| it.is_none()).count();
    let tasks = rows.into_iter().flatten().collect();
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
