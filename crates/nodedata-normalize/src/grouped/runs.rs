use std::{collections::HashSet, ops::Range};

use serde::{Deserialize, Serialize};

use super::spec::GroupBy;

/// Rows that follow each other and have one key: an episode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    /// Key of the episode.
    pub(super) key: Box<str>,
    /// Where its rows lie, in order.
    pub(super) parts: Vec<RunPart>,
}

/// Rows of a run in one partition of the samples, with no number left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(usize, u64, u64)", into = "(usize, u64, u64)")]
pub(super) struct RunPart {
    pub(super) partition: usize,
    /// By their numbers in the file.
    pub(super) rows: Range<u64>,
}

impl From<(usize, u64, u64)> for RunPart {
    fn from((partition, start, end): (usize, u64, u64)) -> Self {
        Self { partition, rows: start..end }
    }
}

impl From<RunPart> for (usize, u64, u64) {
    fn from(RunPart { partition, rows }: RunPart) -> Self {
        (partition, rows.start, rows.end)
    }
}

impl RunPart {
    pub(super) fn n_rows(&self) -> u64 {
        self.rows.end - self.rows.start
    }
}

/// What reading all keys told, as text that a plan keeps with what was learned below: whoever hands it back answers for the files
/// being the same.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Learned {
    /// `grouped/1`.
    nd: String,
    by: GroupBy,
    /// Partitions of the samples.
    n_partitions: usize,
    /// Whether damage was passed over.
    salvage: bool,
    pub(super) runs: Vec<Run>,
    /// What the source of the samples learned.
    pub(super) below: Option<String>,
}

/// Version of the document.
const ND: &str = "grouped/1";

impl Learned {
    pub(super) fn new(
        by: &GroupBy,
        salvage: bool,
        n_partitions: usize,
        runs: Vec<Run>,
        below: Option<String>,
    ) -> Self {
        Self { nd: ND.to_owned(), by: by.clone(), n_partitions, salvage, runs, below }
    }

    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("text, numbers and lists of them are JSON")
    }

    /// What a text says; `None` for one that says something else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|it: &Self| it.nd == ND)
    }

    /// Whether it is of samples in so many partitions, grouped in the same way, and possible.
    pub(super) fn fits(&self, by: &GroupBy, salvage: bool, n_partitions: usize) -> bool {
        let mut is_sound = (&self.by, self.salvage, self.n_partitions) == (by, salvage, n_partitions);
        let mut keys = HashSet::new();
        let mut last: Option<&RunPart> = None;
        for run in &self.runs {
            is_sound &= keys.insert(&run.key) && !run.parts.is_empty();
            for part in &run.parts {
                let is_next = last.is_none_or(|last| {
                    last.partition < part.partition
                        || last.partition == part.partition && last.rows.end <= part.rows.start
                });
                is_sound &= is_next && part.partition < n_partitions && !part.rows.is_empty();
                last = Some(part);
            }
        }
        is_sound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts = [(usize, u64, u64)];

    fn learned(runs: &[(&str, &Parts)]) -> Learned {
        let run = |(key, parts): &(&str, &Parts)| Run {
            key: (*key).into(),
            parts: parts.iter().map(|it| RunPart::from(*it)).collect(),
        };
        Learned::new(&by("id"), false, 3, runs.iter().map(run).collect(), Some("x".to_owned()))
    }

    fn by(field: &str) -> GroupBy {
        GroupBy::Field { field: field.to_owned(), order: None }
    }

    #[test]
    fn what_was_learned_survives_being_text_and_is_held_against_what_it_is_for() {
        let sound = learned(&[("a", &[(0, 0, 4), (1, 0, 2)]), ("b", &[(1, 2, 3)])]);
        assert_eq!(Learned::parse(&sound.to_text()).as_ref(), Some(&sound));
        assert!(sound.fits(&by("id"), false, 3));
        assert!(!sound.fits(&by("other"), false, 3) && !sound.fits(&by("id"), true, 3));
        assert!(!sound.fits(&by("id"), false, 4));
        assert_eq!(Learned::parse("{}"), None);
        for unsound in [
            learned(&[("a", &[(0, 0, 4)]), ("a", &[(1, 0, 4)])]),
            learned(&[("a", &[(0, 0, 4)]), ("b", &[(0, 3, 5)])]),
            learned(&[("a", &[(1, 0, 4)]), ("b", &[(0, 4, 5)])]),
            learned(&[("a", &[(3, 0, 4)])]),
            learned(&[("a", &[(0, 4, 4)])]),
            learned(&[("a", &[])]),
        ] {
            assert!(!unsound.fits(&by("id"), false, 3), "{unsound:?}");
        }
    }
}
