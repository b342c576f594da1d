use bytes::Bytes;
use nodedata_core::Result;

use crate::{
    digest::B3,
    name::DatasetName,
    record::{CommitRecord, StateDigest, from_bytes, to_canonical},
    remote::{LogEntry, Remote},
    state::DatasetState,
};

/// Which snapshots are read.
pub(super) const VERSION: &str = "head/3";

/// A record commits to a snapshot after every so many records: reading that many is cheap.
const RECORDS_PER_HINT: u64 = 16;

impl DatasetState {
    /// What the next record says of this state, when it says anything.
    pub fn commitment(&self) -> Option<StateDigest> {
        if !self.next_seq.is_multiple_of(RECORDS_PER_HINT) {
            return None;
        }
        Some(StateDigest { nd: VERSION.to_owned(), digest: B3::of(&to_canonical(self).ok()?) })
    }

    /// Leaves this state as a hint, once `next`, the record that follows it, is in the log and commits to it.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    pub fn leave_hint(&self, remote: &dyn Remote, next: &CommitRecord) -> Result<()> {
        match next.seq == self.next_seq && next.state.is_some() && next.state == self.commitment() {
            true => remote.write_hint(&self.dataset, Bytes::from(to_canonical(self)?)),
            false => Ok(()),
        }
    }

    /// The hint and what came after it, when the records prove it: the one that follows it commits to its bytes. Whatever
    /// else lies in its place is as if it were not there.
    pub(super) fn from_hint(remote: &dyn Remote, dataset: &DatasetName) -> Result<Option<Self>> {
        let Some(bytes) = remote.read_hint(dataset)? else { return Ok(None) };
        let Ok(mut state) = from_bytes::<Self>("hint", &bytes) else { return Ok(None) };
        let Some(last_seq) = state.next_seq.checked_sub(1) else { return Ok(None) };
        if state.nd != VERSION || state.dataset != *dataset {
            return Ok(None);
        }
        // Before the log, which is no shorter then.
        let written = remote.read_anchor(dataset)?;
        let entries = remote.log(dataset, last_seq)?;
        let [last, next, ..] = entries.as_slice() else { return Ok(None) };
        let commits = next.record.state.as_ref();
        let is_proved = last.digest == state.last
            && commits.is_some_and(|it| it.nd == VERSION && it.digest == B3::of(&bytes));
        if !is_proved {
            return Ok(None);
        }
        entries.iter().skip(1).try_for_each(|it| state.apply(it))?;
        written.iter().try_for_each(|it| it.hold(&state, &entries))?;
        Ok(Some(state))
    }

    /// Whether `bytes` are a hint that the record `next` proves.
    pub fn is_proved_by(bytes: &[u8], next: &CommitRecord) -> bool {
        next.state.as_ref().is_some_and(|it| it.digest == B3::of(bytes))
    }

    /// The number of the record that would prove a hint.
    pub fn proved_at(bytes: &[u8]) -> Option<u64> {
        from_bytes::<Self>("hint", bytes).ok().map(|it| it.next_seq)
    }
}

/// What is wrong with a hint, held against all records; `None` for one that is what they add up to.
pub(crate) fn hint_flaw(
    remote: &dyn Remote,
    dataset: &DatasetName,
    entries: &[LogEntry],
    bytes: &[u8],
) -> Option<String> {
    let Ok(said) = from_bytes::<DatasetState>("hint", bytes) else {
        return Some("it cannot be read".to_owned());
    };
    if said.nd != VERSION {
        return Some(format!("it is of version `{}`, and is not read", said.nd));
    }
    let n_records = usize::try_from(said.next_seq).unwrap_or(usize::MAX);
    let Some(before) = entries.get(..n_records) else {
        return Some(format!("it tells of {n_records} records, of which there are {}", entries.len()));
    };
    let bytes_of = |it: Option<DatasetState>| it.map(|it| to_canonical(&it)).transpose();
    let is_right = DatasetState::of_entries(remote, dataset, before, 0)
        .and_then(bytes_of)
        .is_ok_and(|it| it.is_some_and(|it| it == bytes));
    (!is_right).then(|| "it says something else than the records add up to".to_owned())
}
