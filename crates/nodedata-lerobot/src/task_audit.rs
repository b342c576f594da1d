//! Which tasks each episode has: what the episodes table says, held against what the rows point at.

use std::collections::BTreeSet;

use nodedata_steps::in_episode;

use crate::{findings::Findings, meta::Texts, row_audit::EpisodeRows, scan::TASKS_MAX, tables::Tables};

/// Gives every episode the tasks of its rows. Where the table names others, or none, the rows are what is trained
/// on: their tasks are those of the episode wherever it is told.
pub(crate) fn settle_tasks(tables: &mut Tables, rows: &[Option<EpisodeRows>], findings: &mut Findings) {
    for (record, rows) in tables.episodes.iter_mut().zip(rows) {
        let Some(of_rows) = rows.as_ref().and_then(|it| texts_of(&it.tasks, &tables.tasks)) else { continue };
        let as_set = |it: &[String]| it.iter().cloned().collect::<BTreeSet<_>>();
        if as_set(&record.tasks) == as_set(&of_rows) {
            continue;
        }
        if !record.tasks.is_empty() {
            let message = format!(
                "the episodes table says {}, but `task_index` of the rows says {}, which the episode now has",
                quoted(&record.tasks),
                quoted(&of_rows)
            );
            findings.repaired("task-mismatch", message, in_episode(&record.told_by, record.index));
        }
        record.tasks = of_rows;
    }
}

/// The texts of some indices, each once; `None` where there is none, or nobody can say of all.
fn texts_of(indices: &[i64], texts: &Texts) -> Option<Vec<String>> {
    if indices.is_empty() || TASKS_MAX <= indices.len() {
        return None;
    }
    let mut found: Vec<String> = Vec::new();
    for index in indices {
        let text = texts.get(&u64::try_from(*index).ok()?)?;
        if !found.contains(text) {
            found.push(text.clone());
        }
    }
    Some(found)
}

/// Names told in a message.
const TOLD: usize = 3;

fn quoted(texts: &[String]) -> String {
    let told: Vec<String> = texts.iter().take(TOLD).map(|it| format!("`{it}`")).collect();
    match texts.len().saturating_sub(TOLD) {
        0 => told.join(", "),
        n => format!("{} and {n} more", told.join(", ")),
    }
}
