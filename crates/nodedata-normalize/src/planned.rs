use std::ops::Range;

use nodedata_core::{Attachment, EpisodeInfo, InputRange, Numbering, Partition, Result, SourcePlan};

use crate::{
    Cut, StepSpec,
    cut::{EpisodeCut, episodes},
    named::NamesMet,
    plan::{Piece, pieces, step_bytes},
    reading::Part,
    recording::Recording,
    store::Store,
    survey::Survey,
    unmet::CutMet,
};

/// The plan under construction.
#[derive(Default)]
pub(crate) struct Planned {
    pub(crate) recordings: Vec<Recording>,
    pub(crate) parts: Vec<Part>,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) episodes: Vec<EpisodeInfo>,
    /// By episode of the source, the first of those it is cut into.
    first_episodes: Vec<usize>,
    /// Which of the names that fields want were met.
    pub(crate) names: NamesMet,
    /// What of the cut was met.
    pub(crate) cut: CutMet,
}

impl Planned {
    /// Nothing planned yet, and no name met.
    pub(crate) fn new(names: NamesMet) -> Self {
        Self { names, ..Self::default() }
    }

    /// Plans one episode of the source.
    pub(crate) fn recording(
        &mut self,
        store: &Store,
        spec: &StepSpec,
        episode: usize,
        piece_bytes: u64,
    ) -> Result<()> {
        let source = store.source.plan();
        let info = &source.episodes[episode];
        let numbers: Vec<usize> =
            (0..source.partitions.len()).filter(|it| source.partitions[*it].episode == episode).collect();
        let survey = Survey::new(store, spec, numbers.clone(), &mut self.names)?;
        let (cuts, mut n_markers) = episodes(store, spec, &survey, &info.key, &mut self.cut)?;
        let bytes: Vec<u64> = numbers.iter().map(|it| source.partitions[*it].decoded_bytes).collect();
        let recording = self.recordings.len();
        let pieces = pieces(spec, &store.mapping, &survey, recording, &cuts, &bytes, piece_bytes);
        let first_episode = self.episodes.len();
        self.first_episodes.push(first_episode);
        let is_cut = spec.episodes != Cut::Whole;
        for (number, cut) in cuts.iter().enumerate() {
            let key = if is_cut { format!("{}#{number}", info.key) } else { info.key.clone() };
            let task = cut.task.clone().or_else(|| info.task.clone());
            self.episodes.push(EpisodeInfo { key, task, ..info.clone() });
        }
        let step_bytes = step_bytes(&store.mapping, &survey);
        let mut at = first_episode;
        for piece in pieces {
            // Messages between episodes are accounted for with the episode before them.
            at = piece.episode.map_or(at, |it| first_episode + it);
            let episode = at.min(self.episodes.len().saturating_sub(1));
            let n_markers = std::mem::take(&mut n_markers);
            let cut = piece.episode.map(|it| &cuts[it]);
            self.partitions.push(Partition {
                episode,
                recipe: recipe(source, &piece, cut, &survey, n_markers),
                ..partition_of(source, &survey, &piece, step_bytes, info.input)
            });
            self.parts.push(Part::Piece(piece, n_markers));
        }
        if spec.keep_streams {
            for number in numbers {
                let kept = source.partitions[number].clone();
                // Streams have other numbers here.
                self.partitions.push(Partition { episode: first_episode, counts: None, ..kept });
                self.parts.push(Part::Kept(number));
            }
        }
        self.recordings.push(Recording { survey, episodes: cuts });
        Ok(())
    }

    /// What the source carries, with the first episode of its recording.
    pub(crate) fn attachments(&self, of_source: &[Attachment]) -> Vec<Attachment> {
        let last = self.episodes.len().saturating_sub(1);
        let episode = |it: usize| self.first_episodes.get(it).copied().unwrap_or(0).min(last);
        of_source.iter().map(|it| Attachment { episode: episode(it.episode), ..it.clone() }).collect()
    }

    /// Tells the store how many pieces will ask for each partition.
    pub(crate) fn count_uses(&self, store: &Store) {
        let mut n_uses = vec![0usize; store.source.plan().partitions.len()];
        for part in &self.parts {
            let Part::Piece(piece, _) = part else { continue };
            let partitions = &self.recordings[piece.recording].survey.partitions;
            for position in needed(piece) {
                n_uses[partitions[position]] += 1;
            }
        }
        for (partition, n_uses) in n_uses.into_iter().enumerate() {
            store.plan_uses(partition, n_uses);
        }
    }
}

/// Positions of the partitions a piece reads.
pub(crate) fn needed(piece: &Piece) -> impl Iterator<Item = usize> + '_ {
    let only_counted = piece.own.iter().filter(|it| piece.load.binary_search(it).is_err());
    piece.load.iter().chain(only_counted).copied()
}

/// What the source's own partitions say of a piece. `input` is where the recording starts.
fn partition_of(
    source: &SourcePlan,
    survey: &Survey,
    piece: &Piece,
    step_bytes: u64,
    input: usize,
) -> Partition {
    let of = |position: usize| &source.partitions[survey.partitions[position]];
    let read: u64 = piece.own.iter().map(|it| of(*it).decoded_bytes).sum();
    let made = (piece.steps.end - piece.steps.start).saturating_mul(step_bytes);
    let mut reads = joined(needed(piece).flat_map(|it| &of(it).reads));
    if reads.is_empty() {
        // Steps without a message near them are still steps of the recording.
        reads.push(InputRange { input, byte_range: 0..0 });
    }
    Partition {
        reads,
        decoded_bytes: read.max(made).max(1),
        numbering: Numbering::Joined,
        ..Partition::default()
    }
}

/// One range for each input, in the order in which they are met; it may hold more than the parts do.
pub(crate) fn joined<'a>(parts: impl Iterator<Item = &'a InputRange>) -> Vec<InputRange> {
    let mut joined: Vec<InputRange> = Vec::new();
    for part in parts {
        match joined.iter_mut().find(|it| it.input == part.input) {
            Some(InputRange { byte_range, .. }) => {
                byte_range.start = byte_range.start.min(part.byte_range.start);
                byte_range.end = byte_range.end.max(part.byte_range.end);
            }
            None => joined.push(part.clone()),
        }
    }
    joined
}

/// Everything that decides what a piece makes besides the bytes it reads: where it lies, what episodes and the
/// survey of the whole recording say of it, and what it counts for others.
fn recipe(
    source: &SourcePlan,
    piece: &Piece,
    cut: Option<&EpisodeCut>,
    survey: &Survey,
    n_markers: u64,
) -> String {
    let Piece { recording: _, from, to, episode: _, steps, load, own } = piece;
    let bounds = cut.map(|it| [it.from, it.to, it.start, it.end]);
    let spans: Vec<Vec<(i64, i64)>> =
        survey.lookups.iter().map(|lookup| load.iter().map(|it| lookup.spans[*it]).collect()).collect();
    let of_source: Vec<&str> =
        needed(piece).map(|it| source.partitions[survey.partitions[it]].recipe.as_str()).collect();
    let Range { start, end } = steps;
    format!(
        "steps {start}..{end} of {from}..{to} in {bounds:?}; {load:?} {spans:?}; {own:?} {n_markers} {of_source:?}"
    )
}
