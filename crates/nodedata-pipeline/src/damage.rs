use std::collections::BTreeMap;

use nodedata_core::{Error, StreamId, StreamSchema};
use nodedata_dataset::{DamageEntry, Ledger};

/// Entries of one kind at one stream that are told in full; the rest are counted.
const TOLD_PER_KIND: usize = 20;

/// What a run left out, and what it costs per stream.
#[derive(Default)]
pub(crate) struct DamageLog {
    entries: Vec<DamageEntry>,
    /// Entries per (reason, topic), to tell the first ones only.
    told: BTreeMap<(String, String), usize>,
    dropped: BTreeMap<(StreamId, String), u64>,
}

impl DamageLog {
    /// Notes one piece of damage.
    pub(crate) fn add(&mut self, err: &Error, streams: &[StreamSchema]) {
        let mut entry = entry_of(err);
        if let Some(loss) = err.loss() {
            entry.reason = loss.reason.to_owned();
            entry.byte_range = loss.byte_range.clone().map(|it| (it.start, it.end));
            entry.uncounted = loss.uncounted;
            for (stream, n) in &loss.records {
                *self.dropped.entry((*stream, loss.reason.to_owned())).or_default() += n;
                if let Some(schema) = streams.get(stream.0 as usize) {
                    *entry.records.entry(schema.name.to_string()).or_default() += n;
                }
            }
        }
        let topic = err.locus().topic.clone().unwrap_or_default();
        let told = self.told.entry((entry.reason.clone(), topic)).or_default();
        *told += 1;
        if *told <= TOLD_PER_KIND {
            self.entries.push(entry);
            return;
        }
        // The last one told stands for all that follow.
        let last = self.entries.iter_mut().rev().find(|it| it.reason == entry.reason);
        if let Some(last) = last {
            last.times = last.times.max(1) + 1;
            for (stream, n) in entry.records {
                *last.records.entry(stream).or_default() += n;
            }
        }
    }

    /// Adds what was dropped to the ledger and hands out the entries.
    pub(crate) fn finish(self, ledger: &mut Ledger, streams: &[StreamSchema]) -> Vec<DamageEntry> {
        for ((stream, reason), n) in self.dropped {
            if let Some(schema) = streams.get(stream.0 as usize) {
                let entry = ledger.entry(schema.name.to_string()).or_default();
                *entry.dropped.entry(reason).or_default() += n;
            }
        }
        self.entries
    }
}

/// An error as the report tells it: its chain in one line, its place, its hint.
pub fn entry_of(err: &Error) -> DamageEntry {
    DamageEntry {
        message: err.chain(),
        at: err.locus().to_string(),
        hint: err.hint().map(str::to_owned),
        times: 1,
        reason: err.loss().map(|it| it.reason.to_owned()).unwrap_or_default(),
        ..DamageEntry::default()
    }
}
