//! Episodes whose row of the episodes table is lost, or there more than once: what their rows say of them.

use std::{collections::BTreeMap, path::PathBuf};

use nodedata_core::{Error, Locus, Result};
use nodedata_steps::{Listing, in_episode, refusal};

use crate::{
    findings::{Findings, TABLE_HINT},
    layout::episodes_place,
    meta::EpisodeRecord,
    tables::Tables,
};

/// What the data files say of one episode.
#[derive(Debug, Clone)]
pub(crate) struct RowsTold {
    pub(crate) n_rows: u64,
    /// The first file that has any of them.
    pub(crate) path: PathBuf,
}

/// Completes the episodes table by the rows, where a part of it is lost, and settles which of several rows of it is
/// the episode's.
///
/// # Errors
/// `Corrupt` when no episode is left.
pub(crate) fn complete(
    tables: &mut Tables,
    rows: &BTreeMap<u64, RowsTold>,
    listing: &Listing,
    findings: &mut Findings,
) -> Result<()> {
    settle_twins(tables, rows, findings);
    if tables.lost.is_empty() && tables.episodes.is_empty() && !rows.is_empty() {
        let at = Locus::path(listing.path(episodes_place(tables.info.version)));
        tables.lost.push(refusal("the episodes table has no rows", at).with_hint(TABLE_HINT));
    }
    if tables.lost.is_empty() {
        return Ok(());
    }
    let is_listed = |index: &u64| tables.episodes.binary_search_by_key(index, |it| it.index).is_ok();
    let rebuilt = rows.iter().filter(|it| !is_listed(it.0)).map(|(index, told)| EpisodeRecord {
        index: *index,
        length: told.n_rows,
        told_by: told.path.clone(),
        is_rebuilt: true,
        ..EpisodeRecord::default()
    });
    let rebuilt: Vec<EpisodeRecord> = rebuilt.collect();
    let n_rebuilt = rebuilt.len();
    tables.episodes.extend(rebuilt);
    tables.episodes.sort_by_key(|it| it.index);
    let mut lost = std::mem::take(&mut tables.lost).into_iter();
    if tables.episodes.is_empty()
        && let Some(first) = lost.next()
    {
        return Err(first);
    }
    for err in lost {
        findings.repaired("episodes-rebuilt", rebuilt_message(&err, n_rebuilt), err.locus().clone());
    }
    Ok(())
}

fn rebuilt_message(err: &Error, n_rebuilt: usize) -> String {
    let done = match n_rebuilt {
        0 => "no rows are of another episode".to_owned(),
        1 => "1 episode is as its rows say".to_owned(),
        n => format!("{n} episodes are as their rows say"),
    };
    format!("{}; {done}", err.chain())
}

/// Of several rows of the table for one episode, those count whose length is that of its rows. Where these say the
/// same, nothing is open.
fn settle_twins(tables: &mut Tables, rows: &BTreeMap<u64, RowsTold>, findings: &mut Findings) {
    let mut by_episode: BTreeMap<u64, Vec<EpisodeRecord>> = BTreeMap::new();
    for twin in std::mem::take(&mut tables.twins) {
        by_episode.entry(twin.index).or_default().push(twin);
    }
    for (index, twins) in by_episode {
        let Ok(position) = tables.episodes.binary_search_by_key(&index, |it| it.index) else { continue };
        let first = &mut tables.episodes[position];
        let mut all: Vec<EpisodeRecord> = vec![first.clone()];
        all.extend(twins);
        let at = in_episode(&first.told_by, index);
        let n_rows = rows.get(&index).map(|it| it.n_rows);
        let mut fitting = all.iter().filter(|it| Some(it.length) == n_rows);
        let message = format!("the episodes table lists the episode {} times", all.len());
        match fitting.next() {
            Some(one) if fitting.all(|it| it.points_as(one)) => {
                *first = one.clone();
                let message = format!("{message}; the one whose length is that of the rows is taken");
                findings.repaired("episode-listed-twice", message, at);
            }
            None if all.iter().all(|it| it.points_as(&all[0])) => {
                let message = format!("{message}, in the same way; the first of them is taken");
                findings.repaired("episode-listed-twice", message, at);
            }
            Some(_) | None => {
                let message = format!("{message}, and in different ways; the first of them is taken");
                findings.lost("episode-listed-twice", refusal(message, at), 0);
            }
        }
    }
}

impl EpisodeRecord {
    /// Whether another row says the same of what decides rows and frames.
    fn points_as(&self, other: &Self) -> bool {
        (self.length, self.data_file, self.dataset_rows, &self.tasks, &self.videos)
            == (other.length, other.data_file, other.dataset_rows, &other.tasks, &other.videos)
    }
}
