use std::{collections::BTreeMap, ops::Range};

use serde::{Deserialize, Serialize};

use crate::{Error, Locus, StreamId};

/// Findings of one kind, reason and topic that are told in full; the last of them stands for all that follow. A
/// mistake of a writer repeats in every episode.
const TOLD_PER_REASON: usize = 20;

/// What reading a source found: something lost, something put right, or something to know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it means for the run.
    pub kind: FindingKind,
    /// Stable short name of the cause, as in the ledger; empty for a remark.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What happened and why, in one line.
    pub message: String,
    /// Where.
    #[serde(default)]
    pub at: Locus,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Bytes of the file that could not be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte_range: Option<Range<u64>>,
    /// Records lost per stream, by name, where known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub records: BTreeMap<String, u64>,
    /// Whether more records may be lost than `records` says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncounted: bool,
    /// How often it happened, when it stands for several.
    pub times: u64,
}

/// What a finding means for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingKind {
    /// Something is lost. Only a run that salvages goes on.
    Damage,
    /// What the metadata said wrongly and the data itself put right, or what could not be carried. The run is
    /// incomplete, though nothing is damaged.
    Repair,
    /// Nothing is lost, but the user should know.
    Warning,
}

impl Finding {
    /// An error as a finding: its chain in one line, its place, hint and loss. `name` gives the names of streams;
    /// records of those that it does not know are not counted.
    pub fn new(kind: FindingKind, err: &Error, name: impl Fn(StreamId) -> Option<String>) -> Self {
        let loss = err.loss();
        let mut records = BTreeMap::new();
        for (stream, n) in loss.map(|it| it.records.as_slice()).unwrap_or_default() {
            if let Some(name) = name(*stream) {
                *records.entry(name).or_default() += n;
            }
        }
        Self {
            kind,
            reason: loss.map(|it| it.reason.to_owned()).unwrap_or_default(),
            message: err.chain(),
            at: err.locus().clone(),
            hint: err.hint().map(str::to_owned),
            byte_range: loss.and_then(|it| it.byte_range.clone()),
            records,
            uncounted: loss.is_some_and(|it| it.uncounted),
            times: 1,
        }
    }

    /// Something put right. `reason` is the stable name of the kind of mistake.
    pub fn repair(reason: &'static str, message: impl Into<String>, at: Locus) -> Self {
        let kind = FindingKind::Repair;
        Self { reason: reason.to_owned(), ..Self::remark(kind, message, at) }
    }

    /// Something to know of.
    pub fn warning(message: impl Into<String>, at: Locus) -> Self {
        Self::remark(FindingKind::Warning, message, at)
    }

    fn remark(kind: FindingKind, message: impl Into<String>, at: Locus) -> Self {
        Self {
            kind,
            reason: String::new(),
            message: message.into(),
            at,
            hint: None,
            byte_range: None,
            records: BTreeMap::new(),
            uncounted: false,
            times: 1,
        }
    }

    /// Sets what the user can do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Stands for another one as well.
    fn add(&mut self, other: Self) {
        self.times += other.times;
        self.uncounted |= other.uncounted;
        for (stream, n) in other.records {
            *self.records.entry(stream).or_default() += n;
        }
    }
}

/// Findings as they come. Of each kind, reason and topic the first are told in full, the same one once; the last of those stands for
/// all that follow, with their number and the records they cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Findings {
    all: Vec<Finding>,
    /// Position of the last one told and number of those told, by what they have in common.
    #[serde(skip)]
    told: BTreeMap<(FindingKind, String, String), (usize, usize)>,
}

impl Findings {
    /// Takes in one finding, in the order in which they are met.
    pub fn push(&mut self, finding: Finding) {
        let topic = finding.at.topic.clone().unwrap_or_default();
        let key = (finding.kind, finding.reason.clone(), topic);
        let (last, n_told) = self.told.entry(key).or_insert((self.all.len(), 0));
        let is_last = |it: &Finding| it.message == finding.message && it.at == finding.at;
        if !finding.reason.is_empty() && 0 < *n_told && is_last(&self.all[*last]) {
            self.all[*last].add(finding);
            return;
        }
        // Remarks without a reason have nothing in common.
        if *n_told < TOLD_PER_REASON || finding.reason.is_empty() {
            *n_told += 1;
            *last = self.all.len();
            self.all.push(finding);
            return;
        }
        self.all[*last].add(finding);
    }

    /// Takes in those of `other`, which were met after these.
    pub fn join(&mut self, other: Self) {
        other.all.into_iter().for_each(|it| self.push(it));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Those told, in order.
    pub fn as_slice(&self) -> &[Finding] {
        &self.all
    }

    /// As [`Self::as_slice`], owned.
    pub fn into_vec(self) -> Vec<Finding> {
        self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, Loss};

    fn damage(n: u64, topic: &str) -> Finding {
        let loss = Loss { reason: "bad", records: vec![(StreamId(0), n)], ..Loss::default() };
        let err =
            Error::new(ErrorKind::Corrupt, format!("damage {n}")).at(Locus::topic(topic)).with_loss(loss);
        Finding::new(FindingKind::Damage, &err, |_| Some(topic.to_owned()))
    }

    #[test]
    fn findings_in_parts_tell_what_they_would_tell_together() {
        let log = |numbers: Range<u64>| {
            let mut log = Findings::default();
            numbers.for_each(|n| log.push(damage(n, "/a")));
            log
        };
        let alone = log(1..60).into_vec();
        assert_eq!(alone.len(), TOLD_PER_REASON);
        assert_eq!(alone.iter().map(|it| it.times).sum::<u64>(), 59);
        assert_eq!(alone.iter().map(|it| it.records["/a"]).sum::<u64>(), (1..60).sum::<u64>());
        let mut together = Findings::default();
        [1..5, 5..40, 40..60].into_iter().for_each(|it| together.join(log(it)));
        assert_eq!(together.into_vec(), alone);
    }

    #[test]
    fn what_has_little_in_common_is_told_apart() {
        let mut log = Findings::default();
        (0..30).for_each(|n| log.push(damage(n, "/a")));
        log.push(damage(1, "/b"));
        (0..30).for_each(|n| log.push(Finding::warning(format!("remark {n}"), Locus::default())));
        assert_eq!(log.into_vec().len(), TOLD_PER_REASON + 1 + 30);
    }
}
