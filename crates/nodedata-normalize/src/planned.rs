use nodedata_core::{Attachment, EpisodeInfo, Partition, Result, Source};

use crate::{
    Cut, StepSpec,
    cut::episodes,
    plan::{Piece, pieces, step_bytes},
    reading::Part,
    recording::Recording,
    store::Store,
    survey::Survey,
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
}

impl Planned {
    /// Plans one episode of the source.
    pub(crate) fn recording(
        &mut self,
        store: &Store,
        spec: &StepSpec,
        episode: usize,
        piece_bytes: u64,
    ) -> Result<()> {
        let source = store.source.as_ref();
        let info = &source.episodes()[episode];
        let numbers: Vec<usize> =
            source.partitions().iter().filter(|it| it.episode == episode).map(|it| it.index).collect();
        let survey = Survey::new(store, spec, numbers.clone())?;
        let (cuts, mut n_markers) = episodes(store, spec, &survey, &info.key)?;
        let bytes: Vec<u64> = numbers.iter().map(|it| source.partitions()[*it].decoded_bytes).collect();
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
            self.partitions.push(partition_of(
                source,
                &survey,
                &piece,
                episode,
                step_bytes,
                self.partitions.len(),
                info.input,
            ));
            self.parts.push(Part::Piece(piece, std::mem::take(&mut n_markers)));
        }
        if spec.keep_streams {
            for number in numbers {
                let kept = source.partitions()[number].clone();
                self.partitions.push(Partition {
                    index: self.partitions.len(),
                    episode: first_episode,
                    ..kept
                });
                self.parts.push(Part::Kept(number));
            }
        }
        self.recordings.push(Recording { survey, episodes: cuts });
        Ok(())
    }

    /// What the source carries, with the first episode of its recording.
    pub(crate) fn attachments(&self, source: &dyn Source) -> Vec<Attachment> {
        let last = self.episodes.len().saturating_sub(1);
        let episode = |it: usize| self.first_episodes.get(it).copied().unwrap_or(0).min(last);
        source
            .attachments()
            .iter()
            .map(|it| Attachment { episode: episode(it.episode), ..it.clone() })
            .collect()
    }

    /// Tells the store how many pieces will ask for each partition.
    pub(crate) fn count_uses(&self, store: &Store) {
        let mut n_uses = vec![0usize; store.source.partitions().len()];
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

fn partition_of(
    source: &dyn Source,
    survey: &Survey,
    piece: &Piece,
    episode: usize,
    step_bytes: u64,
    index: usize,
    input: usize,
) -> Partition {
    let of = |position: usize| &source.partitions()[survey.partitions[position]];
    let input = needed(piece).next().map_or(input, |it| of(it).input);
    // A recording may go on in another file; the bytes named are those of the first.
    let ranges: Vec<_> =
        needed(piece).map(of).filter(|it| it.input == input).map(|it| &it.byte_range).collect();
    let start = ranges.iter().map(|it| it.start).min().unwrap_or(0);
    let end = ranges.iter().map(|it| it.end).max().unwrap_or(start);
    let read: u64 = piece.own.iter().map(|it| of(*it).decoded_bytes).sum();
    let made = (piece.steps.end - piece.steps.start).saturating_mul(step_bytes);
    Partition { index, episode, input, byte_range: start..end, decoded_bytes: read.max(made).max(1) }
}
