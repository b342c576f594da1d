//! A dataset under another name, and a dataset that is no more.

use nodedata_core::{Error, ErrorKind, Locus, Result};

use crate::{
    changes::change,
    clock::{fresh_id, now},
    digest::B3,
    layout,
    name::DatasetName,
    record::{CommitRecord, Operation},
    remote::{Appended, LogEntry, Remote},
    state::{DatasetState, missing},
};

/// Names that are followed before it is said that they lead nowhere.
pub(crate) const HOPS_MAX: usize = 16;

/// Ends a dataset: nobody sees it any more, and the next collection removes what nothing else needs. Its log and its name stay.
///
/// # Errors
/// As [`change`].
pub fn delete_dataset(
    remote: &dyn Remote,
    dataset: &DatasetName,
    author: &str,
    reason: &str,
) -> Result<CommitRecord> {
    change(remote, dataset, author, &|_| Ok(Operation::Delete { reason: reason.to_owned() }))
}

/// Gives a dataset another name, perhaps of another owner. Whoever names it as before is led to it; revisions, tags and documents
/// are the same. Killed in between, the same call ends it.
///
/// # Errors
/// `Conflict` when there is a dataset of that name, or was, or somebody else renames it meanwhile; `Limit` when it has had as many
/// names as are followed; otherwise as [`change`].
pub fn move_dataset(
    remote: &dyn Remote,
    from: &DatasetName,
    to: &DatasetName,
    author: &str,
    reason: &str,
) -> Result<CommitRecord> {
    let state = last_name(remote, from)?.ok_or_else(|| missing(remote, from))?;
    state.check_not_deleted()?;
    let taken = remote.log(to, 0)?;
    if let Some(first) = taken.first() {
        return match (&first.record.op, state.dataset == *to) {
            // It was done before.
            (Operation::Adopt { .. }, true) if from != to => Ok(first.record.clone()),
            (_, true) => Err(Error::new(ErrorKind::Config, format!("{from} has that name already"))
                .with_hint("name another one")),
            (_, false) => {
                let message = format!("there is a dataset `{to}` already, or was");
                Err(Error::new(ErrorKind::Conflict, message)
                    .with_hint("choose another name; those of deleted and renamed datasets stay taken"))
            }
        };
    }
    // Under the name that it has now.
    let from = &state.dataset.clone();
    let last = match state.moved.as_ref() == Some(to) {
        // Of a call that was killed behind its first step.
        true => last_of(remote, &state)?,
        false => {
            check_followed(&state)?;
            let op = Operation::Move { to: to.clone(), reason: reason.to_owned() };
            append_to(remote, from, state, author, &op)?
        }
    };
    adopt(remote, from, to, author, &last)
}

/// Refuses a name behind so many others that the first of them would not lead there, and the dataset could not be read.
fn check_followed(state: &DatasetState) -> Result<()> {
    let n_names = state.former_names.len();
    if n_names + 1 < HOPS_MAX {
        return Ok(());
    }
    let message = format!("{} had {n_names} names before, and no more are followed", state.dataset);
    Err(Error::new(ErrorKind::Limit, message)
        .with_hint("keep its name, or pull it and push it as a new dataset"))
}

/// Adds a record to the log of that very name, without following it. A server says whose it is, so that its digest is the one that
/// is told.
fn append_to(
    remote: &dyn Remote,
    dataset: &DatasetName,
    mut state: DatasetState,
    author: &str,
    op: &Operation,
) -> Result<LogEntry> {
    let op_id = fresh_id();
    loop {
        let record = state.next_record(op.clone(), &op_id, author);
        match remote.append(dataset, &record)? {
            Appended::Done { digest } => return Ok(LogEntry { digest, record }),
            Appended::Taken(entry) if entry.record.op_id == op_id => return Ok(entry),
            Appended::Taken(_) => {
                state.catch_up(remote)?;
                // Two names would go on with the one log.
                state.check_goes_on()?;
            }
        }
    }
}

fn last_of(remote: &dyn Remote, state: &DatasetState) -> Result<LogEntry> {
    let last = remote.log(&state.dataset, state.next_seq.saturating_sub(1))?;
    last.into_iter().next().ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, format!("the log of {} has lost its last record", state.dataset))
    })
}

/// The first record under the new name.
fn adopt(
    remote: &dyn Remote,
    from: &DatasetName,
    to: &DatasetName,
    author: &str,
    last: &LogEntry,
) -> Result<CommitRecord> {
    let op_id = fresh_id();
    let record = CommitRecord {
        nd: "commit/1".to_owned(),
        seq: 0,
        prev: None,
        op_id: op_id.clone(),
        author: author.to_owned(),
        at: now(),
        op: Operation::Adopt { from: from.clone(), moved_at: last.record.seq, last: last.digest },
        state: None,
        sig: None,
    };
    match remote.append(to, &record)? {
        Appended::Done { .. } => Ok(record),
        Appended::Taken(entry) if entry.record.op_id == op_id => Ok(entry.record),
        Appended::Taken(_) => Err(Error::new(ErrorKind::Conflict, format!("`{to}` was taken meanwhile"))
            .with_hint(format!("rename {from} to another name"))),
    }
}

/// The state of a dataset by a name that it has or had; `None` when there is none.
///
/// # Errors
/// `Config` when it was to get another name, and has it not yet; otherwise as [`DatasetState::load`].
pub(crate) fn follow(remote: &dyn Remote, dataset: &DatasetName) -> Result<Option<DatasetState>> {
    let Some(state) = last_name(remote, dataset)? else { return Ok(None) };
    match &state.moved {
        None => Ok(Some(state)),
        Some(to) => {
            let from = &state.dataset;
            let message = format!("{from} was to be renamed to {to}, which was not done");
            Err(Error::new(ErrorKind::Config, message).with_hint(format!("rename {from} to {to} once more")))
        }
    }
}

/// The state under the last name that a dataset has got. A name that another dataset took before a move was ended is none of its.
fn last_name(remote: &dyn Remote, dataset: &DatasetName) -> Result<Option<DatasetState>> {
    let Some(mut state) = DatasetState::load(remote, dataset)? else { return Ok(None) };
    for _ in 0..HOPS_MAX {
        let Some(to) = &state.moved else { return Ok(Some(state)) };
        let next = DatasetState::load(remote, to)?;
        match next.filter(|it| it.adopted_from() == Some(&state.dataset)) {
            Some(next) => state = next,
            None => return Ok(Some(state)),
        }
    }
    Err(Error::new(ErrorKind::Corrupt, format!("the names that {dataset} had lead in a circle")))
}

/// What a dataset was under the name it had before, up to the record that gave it this one.
pub(crate) fn adopted(
    remote: &dyn Remote,
    dataset: &DatasetName,
    from: &DatasetName,
    seq: u64,
    last: &B3,
    hops: usize,
) -> Result<DatasetState> {
    let broken = || {
        Error::new(ErrorKind::Corrupt, format!("{dataset} says that it was {from}, which does not say so"))
            .at(Locus::path(layout::record(dataset, 0)))
    };
    if hops >= HOPS_MAX {
        return Err(broken());
    }
    let mut entries = remote.log(from, 0)?;
    entries.retain(|it| it.record.seq <= seq);
    let leads_here = entries.last().is_some_and(|it| {
        it.digest == *last && matches!(&it.record.op, Operation::Move { to, .. } if to == dataset)
    });
    let state = DatasetState::of_entries(remote, from, &entries, hops + 1)?;
    state.filter(|_| leads_here).ok_or_else(broken)
}
