use std::collections::BTreeMap;

use nodedata_core::{Error, StreamId};
use nodedata_dataset::{DamageEntry, Ledger};
use serde::{Deserialize, Serialize};

/// Entries of one kind at one stream that are told in full; the rest are counted.
const TOLD_PER_KIND: usize = 20;

/// What a run, or one unit of it, left out, and what it costs per stream.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct DamageLog {
    /// With the topic.
    entries: Vec<(String, DamageEntry)>,
    /// By stream and reason.
    dropped: BTreeMap<String, BTreeMap<String, u64>>,
    /// Entries per (reason, topic), to tell the first ones only.
    #[serde(skip)]
    told: BTreeMap<(String, String), usize>,
}

impl DamageLog {
    /// Notes one piece of damage. `name` gives the names of streams.
    pub(crate) fn add(&mut self, err: &Error, name: impl Fn(StreamId) -> Option<String>) {
        let mut entry = entry_of(err);
        if let Some(loss) = err.loss() {
            entry.reason = loss.reason.to_owned();
            entry.byte_range = loss.byte_range.clone().map(|it| (it.start, it.end));
            entry.uncounted = loss.uncounted;
            for (stream, n) in &loss.records {
                let Some(name) = name(*stream) else { continue };
                let dropped = self.dropped.entry(name.clone()).or_default();
                *dropped.entry(loss.reason.to_owned()).or_default() += n;
                *entry.records.entry(name).or_default() += n;
            }
        }
        self.tell(err.locus().topic.clone().unwrap_or_default(), entry);
    }

    /// Takes in what was noted after it.
    pub(crate) fn join(&mut self, other: Self) {
        for (stream, reasons) in other.dropped {
            let dropped = self.dropped.entry(stream).or_default();
            for (reason, n) in reasons {
                *dropped.entry(reason).or_default() += n;
            }
        }
        for (topic, mut entry) in other.entries {
            // One is not written down.
            entry.times = entry.times.max(1);
            self.tell(topic, entry);
        }
    }

    fn tell(&mut self, topic: String, entry: DamageEntry) {
        let told = self.told.entry((entry.reason.clone(), topic.clone())).or_default();
        *told += 1;
        if *told <= TOLD_PER_KIND {
            self.entries.push((topic, entry));
            return;
        }
        // The last one told stands for all that follow.
        let last = self.entries.iter_mut().rev().find(|(_, it)| it.reason == entry.reason);
        if let Some((_, last)) = last {
            last.times = last.times.max(1) + entry.times.max(1);
            for (stream, n) in entry.records {
                *last.records.entry(stream).or_default() += n;
            }
        }
    }

    /// Adds what was dropped to the ledger and hands out the entries.
    pub(crate) fn finish(self, ledger: &mut Ledger) -> Vec<DamageEntry> {
        for (stream, reasons) in self.dropped {
            let dropped = &mut ledger.entry(stream).or_default().dropped;
            for (reason, n) in reasons {
                *dropped.entry(reason).or_default() += n;
            }
        }
        self.entries.into_iter().map(|(_, entry)| entry).collect()
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

#[cfg(test)]
mod tests {
    use nodedata_core::{ErrorKind, Locus, Loss};

    use super::*;

    #[test]
    fn units_tell_together_what_a_run_would_tell_alone() {
        let damage = |n: u64| {
            let loss = Loss { reason: "bad", records: vec![(StreamId(0), n)], ..Loss::default() };
            Error::new(ErrorKind::Corrupt, format!("damage {n}")).at(Locus::topic("/a")).with_loss(loss)
        };
        let log = |numbers: std::ops::Range<u64>| {
            let mut log = DamageLog::default();
            numbers.for_each(|n| log.add(&damage(n), |_| Some("/a".to_owned())));
            log
        };
        let mut ledger = Ledger::new();
        let alone = log(1..60).finish(&mut ledger);
        assert_eq!(ledger["/a"].dropped["bad"], (1..60).sum::<u64>());
        let mut together = DamageLog::default();
        for part in [1..5, 5..40, 40..60] {
            let text = serde_json::to_string(&log(part)).unwrap();
            together.join(serde_json::from_str(&text).unwrap());
        }
        let mut joined = Ledger::new();
        assert_eq!(together.finish(&mut joined), alone);
        assert_eq!(joined, ledger);
        assert_eq!(alone.iter().map(|it| it.times).sum::<u64>(), 59);
    }
}
