use std::ops::Range;

use nodedata_core::{Attachment, EpisodeInfo, InputRange, Numbering, Partition, Result, SourcePlan};

use crate::{
    StepSpec,
    cut::{EpisodeCut, ReadAlone, episodes},
    episodes::{Rules, Split, left_out_recipe},
    named::NamesMet,
    pictures::{Coded, first_key_ns},
    plan::{Piece, pieces, step_bytes},
    reading::Part,
    recording::Recording,
    store::{Held, Store},
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
    /// By episode of the source, the first of those it is cut into; `None` where all of it is left out.
    first_episodes: Vec<Option<usize>>,
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
        rules: &mut Rules<'_>,
        episode: usize,
        piece_bytes: u64,
    ) -> Result<()> {
        let source = store.source.plan();
        let info = &source.episodes[episode];
        let numbers: Vec<usize> =
            (0..source.partitions.len()).filter(|it| source.partitions[*it].episode == episode).collect();
        if let Some(reason) = rules.whole(spec, source, episode) {
            self.left_out(source, &numbers, reason);
            return Ok(());
        }
        let survey = Survey::new(store, spec, episode, numbers.clone(), &mut self.names)?;
        let (cuts, markers) = episodes(store, spec, &survey, &info.key, &mut self.cut)?;
        let all_cuts: Vec<(i64, i64)> = cuts.iter().map(|it| (it.from, it.to)).collect();
        let Split { kept: cuts, infos, left_out, mut read } =
            rules.split(store, spec, &survey, info, cuts)?;
        read.extend(markers);
        let bytes: Vec<u64> = numbers.iter().map(|it| source.partitions[*it].decoded_bytes).collect();
        let recording = self.recordings.len();
        let pieces = pieces(spec, store, &survey, recording, (&cuts, &left_out), &bytes, piece_bytes);
        let first_episode = self.episodes.len();
        // What a recording without an episode carries goes with the next one's, unless it is left out.
        let is_left_out = infos.is_empty() && !left_out.is_empty();
        self.first_episodes.push((!is_left_out).then_some(first_episode));
        self.episodes.extend(infos);
        let step_bytes = step_bytes(store, &survey);
        // A transform of any part of a recording may decide a pose.
        let has_poses = store.mapping.streams.iter().any(|it| it.transforms.is_some());
        let mut at = first_episode;
        for piece in pieces {
            // Messages between episodes are accounted for with the episode before them.
            at = piece.episode.map_or(at, |it| first_episode + it);
            let episode = at.min(self.episodes.len().saturating_sub(1));
            let read = std::mem::take(&mut read);
            let mut recipe = recipe(source, &piece, (&cuts, &all_cuts), &survey, &read);
            if !store.looked.undecoded.is_empty() {
                recipe.push_str(&format!("; not decoded {:?}", store.looked.undecoded));
            }
            self.partitions.push(Partition {
                episode,
                recipe,
                ..partition_of(source, &survey, &piece, step_bytes, Around { input: info.input, has_poses })
            });
            self.parts.push(Part::Piece(piece, read));
        }
        if spec.keep_streams {
            for number in numbers {
                let kept = source.partitions[number].clone();
                // Streams have other numbers here.
                self.partitions.push(Partition { episode: first_episode, counts: None, ..kept });
                self.parts.push(Part::Kept(number));
            }
        }
        let pictured_from = pictured_from(store, &survey)?;
        self.recordings.push(Recording { survey, episodes: cuts, cuts: all_cuts, pictured_from });
        Ok(())
    }

    /// Plans a recording all of which is left out: its records are counted, with the episode before it.
    fn left_out(&mut self, source: &SourcePlan, numbers: &[usize], reason: &'static str) {
        self.first_episodes.push(None);
        let episode = self.episodes.len().saturating_sub(1);
        for number in numbers {
            let partition = &source.partitions[*number];
            self.partitions.push(Partition {
                episode,
                recipe: left_out_recipe(reason, &partition.recipe),
                // Streams have other numbers here.
                counts: None,
                // Where metadata counts its records nothing of it is read.
                decoded_bytes: partition.counts.as_ref().map_or(partition.decoded_bytes, |_| 1),
                ..partition.clone()
            });
            self.parts.push(Part::LeftOut(*number, reason));
        }
    }

    /// What the source carries, with the first episode of its recording.
    pub(crate) fn attachments(&self, of_source: &[Attachment]) -> Vec<Attachment> {
        let last = self.episodes.len().saturating_sub(1);
        let of_source = of_source.iter().filter_map(|it| {
            let episode = self.first_episodes.get(it.episode).copied().flatten()?.min(last);
            Some(Attachment { episode, ..it.clone() })
        });
        of_source.collect()
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

/// From when on the messages of each stream can be decoded.
fn pictured_from(store: &Store, survey: &Survey) -> Result<Vec<i64>> {
    let fields = &store.mapping.fields;
    let of_stream = |stream: usize| {
        let mut taking = fields.iter().filter(|it| it.value.parts().iter().any(|it| it.stream == stream));
        let Some(video) = taking.clone().find_map(|it| it.video.as_ref()) else { return Ok(i64::MIN) };
        let Some(part) = taking.clone().flat_map(|it| it.value.parts()).next() else { return Ok(i64::MIN) };
        // What else is taken of a message needs no key frame.
        if taking.any(|it| it.video.is_none()) {
            return Ok(i64::MIN);
        }
        let nothing_held = Held::new();
        let coded = Coded::new(store, survey, &nothing_held, (stream, part.column, video.format));
        Ok(first_key_ns(coded)?.unwrap_or(i64::MAX))
    };
    (0..store.mapping.streams.len()).map(of_stream).collect()
}

/// Positions of the partitions a piece reads.
pub(crate) fn needed(piece: &Piece) -> impl Iterator<Item = usize> + '_ {
    let only_counted = piece.own.iter().filter(|it| piece.load.binary_search(it).is_err());
    piece.load.iter().chain(only_counted).copied()
}

/// The recording around a piece.
#[derive(Debug, Clone, Copy)]
struct Around {
    /// Where it starts.
    input: usize,
    /// Whether steps are made of all of its transforms.
    has_poses: bool,
}

/// What the source's own partitions say of a piece.
fn partition_of(
    source: &SourcePlan,
    survey: &Survey,
    piece: &Piece,
    step_bytes: u64,
    Around { input, has_poses }: Around,
) -> Partition {
    let of = |position: usize| &source.partitions[survey.partitions[position]];
    let read: u64 = piece.own.iter().map(|it| of(*it).decoded_bytes).sum();
    let made = (piece.steps.end - piece.steps.start).saturating_mul(step_bytes);
    let others = 0..if has_poses { survey.partitions.len() } else { 0 };
    let mut reads = joined(needed(piece).chain(others).flat_map(|it| &of(it).reads));
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
    (cuts, all_cuts): (&[EpisodeCut], &[(i64, i64)]),
    survey: &Survey,
    read: &[ReadAlone],
) -> String {
    let Piece { recording: _, from, to, episode, left_out, steps, load, own } = piece;
    let cut = episode.and_then(|it| cuts.get(it));
    let bounds = |it: &EpisodeCut| [it.from, it.to, it.start, it.end];
    // Whose steps may take what the piece holds, and what its own may not take.
    let around = beside(cuts, |it| (it.from, it.to), piece).map(|it| it.map(bounds));
    let borders = beside(all_cuts, |it| *it, piece);
    let (bounds, measured) = (cut.map(bounds), &survey.measured_ns);
    let spans: Vec<Vec<(i64, i64)>> =
        survey.lookups.iter().map(|lookup| load.iter().map(|it| lookup.spans[*it]).collect()).collect();
    let of_source: Vec<&str> =
        needed(piece).map(|it| source.partitions[survey.partitions[it]].recipe.as_str()).collect();
    let skips = cut.map(|it| &it.skips).filter(|it| !it.is_empty());
    let Range { start, end } = steps;
    let recipe = format!(
        "steps {start}..{end} of {from}..{to} in {bounds:?} between {around:?} and {borders:?} within {measured:?}; \
         {load:?} {spans:?}; {own:?} {read:?} {of_source:?}"
    );
    match (left_out, skips) {
        (Some(left_out), _) => left_out_recipe(left_out.reason, &recipe),
        (None, Some(skips)) => format!("{recipe}; without {skips:?}"),
        (None, None) => recipe,
    }
}

/// The last of some parts of a recording's time that ends before a piece, and the first that starts behind it.
fn beside<'a, T>(parts: &'a [T], time: impl Fn(&T) -> (i64, i64), piece: &Piece) -> [Option<&'a T>; 2] {
    let n_before = parts.partition_point(|it| time(it).1 <= piece.from);
    let n_begun = parts.partition_point(|it| time(it).0 < piece.to);
    [n_before.checked_sub(1).and_then(|it| parts.get(it)), parts.get(n_begun)]
}
