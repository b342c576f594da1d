use std::{collections::HashMap, ops::Range};

use nodedata_core::{Error, ErrorKind, Locus, Result, SourcePlan};

use super::{
    keys::Place,
    runs::{Run, RunPart},
};

/// Episodes at the most: a field that is another in every row is no key of episodes, and each of these is held in memory.
const EPISODES_MAX: usize = 4_000_000;

/// Consecutive rows of one partition with one key, with no number left out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stretch {
    pub(super) key: Box<str>,
    /// By their numbers in the file.
    pub(super) rows: Range<u64>,
    /// What orders the first and the last of them.
    pub(super) places: Option<(Place, Place)>,
}

/// Joins the stretches of all partitions, in their order, to runs.
pub(super) struct Joiner<'a> {
    plan: &'a SourcePlan,
    runs: Vec<Run>,
    known: HashMap<Box<str>, usize>,
    /// What orders the last row so far.
    last: Option<Place>,
    episodes_max: usize,
}

impl<'a> Joiner<'a> {
    /// `plan` is that of the samples.
    pub(super) fn new(plan: &'a SourcePlan) -> Self {
        Self { plan, runs: Vec::new(), known: HashMap::new(), last: None, episodes_max: EPISODES_MAX }
    }

    /// Takes in the next stretch.
    ///
    /// # Errors
    /// `Corrupt` for a key that comes again, rows out of order, and an episode in files of two splits; `Limit` for too many
    /// episodes.
    pub(super) fn add(&mut self, partition: usize, stretch: Stretch) -> Result<()> {
        let Stretch { key, rows, places } = stretch;
        let part = RunPart { partition, rows };
        let last = std::mem::replace(&mut self.last, places.map(|it| it.1));
        if let Some(run) = self.runs.last_mut().filter(|it| *it.key == *key) {
            if let (Some(last), Some((first, _)), Some(before)) = (last, places, run.parts.last()) {
                in_order(&key, last, first).map_err(|(message, hint)| {
                    let before = row_of(self.plan, before.partition, before.rows.end - 1);
                    let at = locus_of(self.plan, partition, part.rows.start);
                    Error::new(ErrorKind::Corrupt, format!("{message} in {before}")).at(at).with_hint(hint)
                })?;
            }
            if let Some(before) = run.parts.last() {
                same_split(self.plan, &key, before, &part)?;
            }
            run.parts.push(part);
            return Ok(());
        }
        if let Some(run) = self.known.get(&*key).and_then(|it| self.runs.get(*it)) {
            return Err(self.comes_again(run, &part));
        }
        if self.runs.len() == self.episodes_max {
            let message =
                format!("the rows become more than {} episodes: `{key}` is the next", self.episodes_max);
            return Err(Error::new(ErrorKind::Limit, message)
                .at(locus_of(self.plan, partition, part.rows.start))
                .with_hint("group by what the rows of an episode have in common"));
        }
        self.known.insert(key.clone(), self.runs.len());
        self.runs.push(Run { key, parts: vec![part] });
        Ok(())
    }

    /// The runs, in order.
    pub(super) fn finish(self) -> Vec<Run> {
        self.runs
    }

    fn comes_again(&self, run: &Run, part: &RunPart) -> Error {
        let ended = run.parts.last().map_or_else(String::new, |it| {
            format!(", after it ended with {}", row_of(self.plan, it.partition, it.rows.end - 1))
        });
        let message = format!("the episode `{}` comes again{ended}", run.key);
        Error::new(ErrorKind::Corrupt, message)
            .at(locus_of(self.plan, part.partition, part.rows.start))
            .with_hint(
                "the rows of an episode follow each other, in one file or in files that follow each other by their names: \
                 sort the rows by it, or give each file's episodes keys of their own",
            )
    }
}

/// Whether a row may follow another one of its episode.
///
/// # Errors
/// What is wrong, as far as the place of the row before, and what to do.
pub(super) fn in_order(key: &str, before: Place, now: Place) -> Result<(), (String, &'static str)> {
    if before < now {
        return Ok(());
    }
    let what = if before == now { "twice" } else { "out of order" };
    let message = format!("step {now} of the episode `{key}` comes {what}: it follows step {before}");
    Err((message, "sort the rows of each episode by what orders them, each once"))
}

/// An episode in files of two splits would be in both, or in none.
fn same_split(plan: &SourcePlan, key: &str, before: &RunPart, now: &RunPart) -> Result<()> {
    let split = |it: &RunPart| {
        let episode = plan.partitions.get(it.partition).map(|it| it.episode)?;
        plan.episodes.get(episode)?.split.as_deref()
    };
    let (one, other) = (split(before), split(now));
    if one == other {
        return Ok(());
    }
    let told = |it: Option<&str>| it.map_or_else(|| "no split".to_owned(), |it| format!("the split `{it}`"));
    let ended = row_of(plan, before.partition, before.rows.end - 1);
    let message = format!(
        "the episode `{key}` goes on in a file of {}, from {ended}, which is of {}",
        told(other),
        told(one)
    );
    Err(Error::new(ErrorKind::Corrupt, message).at(locus_of(plan, now.partition, now.rows.start)).with_hint(
        "give the episodes of each split keys of their own, or keep each in the files of one split",
    ))
}

/// A row in words.
pub(super) fn row_of(plan: &SourcePlan, partition: usize, row: u64) -> String {
    let path = path_of(plan, partition).map(|it| it.display().to_string()).unwrap_or_default();
    format!("row {row} of {path}")
}

/// The address of a row.
pub(super) fn locus_of(plan: &SourcePlan, partition: usize, row: u64) -> Locus {
    Locus { path: path_of(plan, partition), step_idx: Some(row), ..Locus::default() }
}

fn path_of(plan: &SourcePlan, partition: usize) -> Option<std::path::PathBuf> {
    plan.input_path(plan.partitions.get(partition)?.reads.first()?.input)
}

#[cfg(test)]
mod tests {
    use nodedata_core::{EpisodeInfo, InputFile, InputRange, Partition};

    use super::*;

    /// Two files of two partitions each, of these splits.
    fn plan(splits: [Option<&str>; 2]) -> SourcePlan {
        let input = |path: &str| InputFile { path: path.into(), n_bytes: 9 };
        let episode = |(input, split): (usize, Option<&str>)| EpisodeInfo {
            input,
            split: split.map(str::to_owned),
            ..EpisodeInfo::default()
        };
        let partition = |idx: usize| Partition {
            episode: idx / 2,
            reads: vec![InputRange { input: idx / 2, byte_range: 0..9 }],
            ..Partition::default()
        };
        SourcePlan {
            inputs: vec![input("a.jsonl"), input("b.jsonl")],
            episodes: splits.into_iter().enumerate().map(episode).collect(),
            partitions: (0..4).map(partition).collect(),
            ..SourcePlan::default()
        }
    }

    type Added<'a> = (usize, &'a str, Range<u64>, Option<(i128, i128)>);

    fn join(plan: &SourcePlan, stretches: &[Added<'_>]) -> Result<Vec<Run>> {
        let mut joiner = Joiner::new(plan);
        for (partition, key, rows, places) in stretches {
            let places = places.map(|it| (Place::Whole(it.0), Place::Whole(it.1)));
            joiner.add(*partition, Stretch { key: (*key).into(), rows: rows.clone(), places })?;
        }
        Ok(joiner.finish())
    }

    #[track_caller]
    fn refused(stretches: &[Added<'_>], splits: [Option<&str>; 2], message: &str, at: &str) {
        let err = join(&plan(splits), stretches).unwrap_err();
        assert_eq!((err.to_string().as_str(), err.locus().to_string().as_str()), (message, at));
        assert!(err.hint().is_some());
    }

    #[test]
    fn runs_go_on_from_partition_to_partition_and_from_file_to_file() {
        let stretches =
            [(0, "x", 0..4, None), (1, "x", 4..6, None), (1, "y", 6..7, None), (2, "y", 0..3, None)];
        let runs = join(&plan([None, None]), &stretches).unwrap();
        let told: Vec<_> = runs.iter().map(|it| (&*it.key, it.parts.len())).collect();
        assert_eq!(told, [("x", 2), ("y", 2)]);
    }

    #[test]
    fn what_cannot_be_an_episode_is_told_with_both_addresses() {
        let none = [None, None];
        refused(
            &[(0, "x", 0..4, None), (0, "y", 4..6, None), (2, "x", 0..1, None)],
            none,
            "the episode `x` comes again, after it ended with row 3 of a.jsonl",
            "b.jsonl, step 0",
        );
        refused(
            &[(1, "x", 4..6, Some((0, 7))), (2, "x", 0..1, Some((7, 7)))],
            none,
            "step 7 of the episode `x` comes twice: it follows step 7 in row 5 of a.jsonl",
            "b.jsonl, step 0",
        );
        refused(
            &[(1, "x", 4..6, Some((0, 7))), (2, "x", 0..1, Some((3, 3)))],
            none,
            "step 3 of the episode `x` comes out of order: it follows step 7 in row 5 of a.jsonl",
            "b.jsonl, step 0",
        );
        refused(
            &[(1, "x", 4..6, None), (2, "x", 0..1, None)],
            [Some("train"), Some("val")],
            "the episode `x` goes on in a file of the split `val`, from row 5 of a.jsonl, which is of the split `train`",
            "b.jsonl, step 0",
        );
    }

    #[test]
    fn a_key_that_is_another_in_every_row_is_refused_with_its_row() {
        let plan = SourcePlan {
            inputs: vec![InputFile { path: "a.jsonl".into(), n_bytes: 100 }],
            partitions: vec![Partition {
                reads: vec![InputRange { input: 0, byte_range: 0..100 }],
                ..Partition::default()
            }],
            ..SourcePlan::default()
        };
        let mut joiner = Joiner { episodes_max: 3, ..Joiner::new(&plan) };
        let stretch = |row: u64| Stretch { key: format!("e{row}").into(), rows: row..row + 1, places: None };
        for row in 0..3 {
            joiner.add(0, stretch(row)).unwrap();
        }
        // More rows of the last one are no other episode.
        joiner.add(0, Stretch { rows: 3..4, ..stretch(2) }).unwrap();
        let err = joiner.add(0, Stretch { rows: 4..5, ..stretch(4) }).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Limit);
        assert!(err.to_string().contains("more than 3 episodes: `e4` is the next"), "{err}");
        assert_eq!(err.locus().path.as_deref(), Some(std::path::Path::new("a.jsonl")));
        assert!(err.locus().step_idx == Some(4) && err.hint().is_some(), "{err:?}");
        assert_eq!(joiner.finish().len(), 3);
    }
}
