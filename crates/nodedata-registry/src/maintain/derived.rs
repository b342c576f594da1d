use nodedata_core::Result;

use crate::{
    direct::Direct,
    layout,
    name::DatasetName,
    record::Operation,
    remote::{LogEntry, Remote},
    state::{Anchor, DatasetState, hint_flaw},
};

/// Something wrong beside the log: a short name, the object, and what was found.
pub(super) type Found = (&'static str, String, String);

/// Codes of what follows from the log: without the object, the next check makes it again.
pub(super) const DERIVED: [&str; 4] = ["wrong-hint", "wrong-look-up", "stray-look-up", "damaged-anchor"];

/// Holds what lies beside a log against its records: the hint, the look-ups of revisions, and what was noted of the last
/// record. What is missing of it is written.
///
/// # Errors
/// `Io`, `Denied`.
pub(super) fn beside_log(direct: &Direct, dataset: &DatasetName, entries: &[LogEntry]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    if let Some(bytes) = direct.read_hint(dataset)?
        && let Some(why) = hint_flaw(direct, dataset, entries, &bytes)
    {
        found.push(("wrong-hint", layout::head(dataset), why));
    }
    look_ups(direct, dataset, entries, &mut found)?;
    anchor(direct, dataset, entries, &mut found)?;
    if let Err(err) = DatasetState::of_entries(direct, dataset, entries, 0) {
        found.push(("broken-log", err.locus().to_string(), err.chain()));
    }
    Ok(found)
}

fn look_ups(
    direct: &Direct,
    dataset: &DatasetName,
    entries: &[LogEntry],
    found: &mut Vec<Found>,
) -> Result<()> {
    let store = direct.store();
    let mut known = std::collections::BTreeSet::new();
    for entry in entries {
        let Operation::Publish { revision, .. } = &entry.record.op else { continue };
        let path = layout::revision(dataset, revision);
        match store.get(&path)? {
            None => direct.note_revision(dataset, &entry.record),
            Some(bytes) if Direct::look_up(&entry.record).is_some_and(|it| it == bytes) => {}
            Some(_) => {
                let message = format!("it names another record or manifest than the log does for {revision}");
                found.push(("wrong-look-up", path.clone(), message));
            }
        }
        known.insert(path);
    }
    for object in store.list(&layout::revisions(dataset))? {
        if !known.contains(&object.path) {
            found.push(("stray-look-up", object.path, "the log has no such revision".to_owned()));
        }
    }
    Ok(())
}

fn anchor(
    direct: &Direct,
    dataset: &DatasetName,
    entries: &[LogEntry],
    found: &mut Vec<Found>,
) -> Result<()> {
    let path = layout::anchor(dataset);
    let Some(last) = entries.last() else { return Ok(()) };
    let noted = match direct.store().get(&path)? {
        None => None,
        Some(bytes) => match Anchor::parse(dataset, &bytes) {
            Some(noted) => Some(noted),
            None => {
                found.push(("damaged-anchor", path, "it is not as it was written".to_owned()));
                return Ok(());
            }
        },
    };
    let at = noted.as_ref().map(|it| entries.iter().find(|entry| entry.record.seq == it.seq));
    match (noted, at) {
        (Some(noted), Some(None)) => {
            let message = "it was written, and is missing".to_owned();
            found.push(("broken-log", layout::record(dataset, noted.seq), message));
        }
        (Some(noted), Some(Some(entry))) if entry.digest != noted.record => {
            let message = "it is not the record that was written".to_owned();
            found.push(("broken-log", layout::record(dataset, noted.seq), message));
        }
        (noted, _) if noted.as_ref().is_none_or(|it| it.seq < last.record.seq) => {
            direct.note_anchor(dataset, last.record.seq, last.digest);
        }
        _ => {}
    }
    Ok(())
}
