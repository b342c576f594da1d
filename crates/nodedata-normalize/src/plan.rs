use std::ops::Range;

use crate::{
    Clock, StepSpec, cut::EpisodeCut, episodes::LeftOutSpan, mapping::Mapping, store::Store, survey::Survey,
};

/// Bytes that one piece aims at: of the partitions it reads, and of the steps it makes.
pub(crate) const PIECE_BYTES: u64 = 6 << 20;

/// How many times as large pieces are whose video is decoded.
const VIDEO_PIECE: u64 = 6;

/// A piece of a recording's time: the steps in it are made by one reader, and the messages in it accounted for.
/// The pieces of a recording cover all of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Position of the recording.
    pub(crate) recording: usize,
    /// First time inside; the smallest i64 for no start.
    pub(crate) from: i64,
    /// First time after; the largest i64 for no end.
    pub(crate) to: i64,
    /// Position of its episode in the recording; `None` between episodes.
    pub(crate) episode: Option<usize>,
    /// The steps that are left out in it, where it is not between episodes by the cut alone.
    pub(crate) left_out: Option<LeftOutSpan>,
    /// Steps of the grid; empty where a topic is the clock.
    pub(crate) steps: Range<u64>,
    /// Positions of the partitions it needs.
    pub(crate) load: Vec<usize>,
    /// Positions of the partitions whose records it counts, and whose damage it reports.
    pub(crate) own: Vec<usize>,
}

impl Piece {
    /// Whether a message of this time is the piece's to account for.
    #[inline]
    pub(crate) fn holds(&self, stamp: i64) -> bool {
        self.from <= stamp && (stamp < self.to || self.to == i64::MAX)
    }
}

/// What a stream's messages must be known of around a piece.
pub(crate) fn window(piece_from: i64, piece_to: i64, mapping: &Mapping, stream: usize) -> (i64, i64) {
    // Twice: to know whether a message is the nearest to a step just outside, its rivals must be known.
    let reach = mapping.streams[stream].ways.iter().filter_map(|it| it.reach.given_ns()).max().unwrap_or(0);
    let reach = reach.saturating_mul(2).max(mapping.margin_ns());
    (piece_from.saturating_sub(reach), piece_to.saturating_add(reach))
}

/// Bytes of one step, roughly.
pub(crate) fn step_bytes(store: &Store, survey: &Survey) -> u64 {
    let fields = &store.mapping.fields;
    let parts = fields.iter().flat_map(|it| it.value.parts());
    let streams: std::collections::BTreeSet<usize> = parts.map(|it| it.stream).collect();
    let pictures = fields.iter().filter(|it| it.video.is_some()).flat_map(|it| it.value.parts());
    let picture_bytes: u64 = pictures.map(|it| store.looked.frame_bytes[it.stream]).sum();
    16 + picture_bytes + streams.into_iter().map(|it| survey.row_bytes[it]).sum::<u64>()
}

/// Cuts a recording into pieces.
pub(crate) fn pieces(
    spec: &StepSpec,
    store: &Store,
    survey: &Survey,
    recording: usize,
    (episodes, left_out): (&[EpisodeCut], &[LeftOutSpan]),
    decoded_bytes: &[u64],
    piece_bytes: u64,
) -> Vec<Piece> {
    // A piece that starts inside a group of frames may have to decode it from its key frame on: the larger, the rarer.
    let has_video = store.mapping.fields.iter().any(|it| it.video.is_some());
    let piece_bytes = if has_video { piece_bytes.saturating_mul(VIDEO_PIECE) } else { piece_bytes };
    let marks = marks(spec, store, survey, decoded_bytes, piece_bytes);
    let mut pieces = Vec::new();
    let between = |time: Range<i64>, pieces: &mut Vec<Piece>| {
        let mut at = time.start;
        for span in left_out.iter().filter(|it| time.start <= it.from && it.to <= time.end) {
            outside(at..span.from, None, &marks, recording, pieces);
            outside(span.from..span.to, Some(*span), &marks, recording, pieces);
            at = span.to;
        }
        outside(at..time.end, None, &marks, recording, pieces);
    };
    let mut at = i64::MIN;
    for (idx, episode) in episodes.iter().enumerate() {
        between(at..episode.from, &mut pieces);
        inside(spec, idx, episode, &marks, recording, &mut pieces);
        at = episode.to;
    }
    between(at..i64::MAX, &mut pieces);
    assign(&store.mapping, survey, &mut pieces);
    pieces
}

/// Times at which pieces may end: where enough bytes have gathered, or enough steps.
fn marks(
    spec: &StepSpec,
    store: &Store,
    survey: &Survey,
    decoded_bytes: &[u64],
    piece_bytes: u64,
) -> Vec<i64> {
    let mut order: Vec<usize> =
        (0..survey.starts.len()).filter(|it| survey.starts[*it] != i64::MAX).collect();
    order.sort_by_key(|it| (survey.starts[*it], *it));
    let mut marks = Vec::new();
    let mut gathered = 0u64;
    for position in &order {
        if piece_bytes <= gathered {
            marks.push(survey.starts[*position]);
            gathered = 0;
        }
        gathered = gathered.saturating_add(decoded_bytes[*position]);
    }
    let spans = survey.lookups.iter().flat_map(|it| &it.spans).filter(|it| it.0 <= it.1);
    let end = spans.map(|it| it.1).max();
    let Some((first, end)) = order.first().map(|it| survey.starts[*it]).zip(end) else { return marks };
    let rate_hz = match (&spec.clock, store.mapping.clock) {
        (Clock::Rate(rate), _) => rate.hz(),
        (Clock::Topic(_), Some(stream)) => survey.rates_hz[stream],
        (Clock::Topic(_) | Clock::Every(_) | Clock::Own, _) => 0.0,
    };
    let seconds = piece_bytes as f64 / (step_bytes(store, survey) as f64 * rate_hz.max(1e-6));
    // At least a millisecond: whatever the samples say, pieces stay few.
    let longest = ((seconds * 1e9) as i64).max(1_000_000);
    let mut all = Vec::new();
    let mut from = first;
    for mark in marks.into_iter().chain([end]) {
        let n_parts = (i128::from(mark) - i128::from(from)).max(0) / i128::from(longest);
        // A span of years is a stray stamp, not a load of steps.
        if n_parts < 1_000_000 {
            for _ in 0..n_parts {
                from = from.saturating_add(longest);
                all.push(from);
            }
        }
        all.push(mark);
        from = mark;
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Time between episodes, or of steps that are left out. Their grid is counted with the first piece.
fn outside(
    time: Range<i64>,
    mut left_out: Option<LeftOutSpan>,
    marks: &[i64],
    recording: usize,
    pieces: &mut Vec<Piece>,
) {
    if time.is_empty() {
        return;
    }
    for (from, to) in cuts(time, marks) {
        let of_piece = left_out;
        left_out = left_out.map(|it| LeftOutSpan { n_steps: 0, ..it });
        pieces.push(Piece {
            recording,
            from,
            to,
            episode: None,
            left_out: of_piece,
            steps: 0..0,
            load: Vec::new(),
            own: Vec::new(),
        });
    }
}

fn inside(
    spec: &StepSpec,
    idx: usize,
    episode: &EpisodeCut,
    marks: &[i64],
    recording: usize,
    pieces: &mut Vec<Piece>,
) {
    let mut push = |from: i64, to: i64, steps: Range<u64>| {
        pieces.push(Piece {
            recording,
            from,
            to,
            episode: Some(idx),
            left_out: None,
            steps,
            load: Vec::new(),
            own: Vec::new(),
        });
    };
    let Clock::Rate(rate) = spec.clock else {
        cuts(episode.from..episode.to, marks).for_each(|(from, to)| push(from, to, 0..0));
        return;
    };
    let (mut from, mut first) = (episode.from, 0);
    let start = marks.partition_point(|it| *it <= episode.start);
    for mark in marks[start..].iter().take_while(|it| **it < episode.end) {
        // A piece starts with a step, so that no message falls between a piece and its last step.
        let step = rate.first_at_or_after(episode.start, *mark);
        if first < step && step < episode.n_steps {
            let at = rate.time_ns(episode.start, step);
            push(from, at, first..step);
            (from, first) = (at, step);
        }
    }
    push(from, episode.to, first..episode.n_steps);
}

fn cuts(time: Range<i64>, marks: &[i64]) -> impl Iterator<Item = (i64, i64)> {
    let inside = marks.iter().copied().filter(|it| time.start < *it && *it < time.end);
    let mut ends: Vec<i64> = inside.collect();
    ends.push(time.end);
    let mut from = time.start;
    ends.into_iter().map(move |to| (std::mem::replace(&mut from, to), to))
}

/// Gives each piece the partitions it needs, and each partition one piece that counts its records. Pieces that need
/// none and make nothing are left out.
fn assign(mapping: &Mapping, survey: &Survey, pieces: &mut Vec<Piece>) {
    for position in 0..survey.partitions.len() {
        let mut needed = vec![false; pieces.len()];
        for (stream, lookup) in survey.lookups.iter().enumerate() {
            let (first, last) = lookup.spans[position];
            if last < first {
                continue;
            }
            let start = pieces.partition_point(|it| window(it.from, it.to, mapping, stream).1 < first);
            let end = pieces.partition_point(|it| window(it.from, it.to, mapping, stream).0 <= last);
            needed[start..end.max(start)].fill(true);
        }
        let mut owner = None;
        for (idx, _) in needed.iter().enumerate().filter(|it| *it.1) {
            pieces[idx].load.push(position);
            owner = owner.or(Some(idx));
        }
        // A partition without a mapped message may still hold damage.
        let by_start = || pieces.partition_point(|it| it.from <= survey.starts[position]).saturating_sub(1);
        let owner = owner.unwrap_or_else(by_start);
        pieces[owner].own.push(position);
    }
    let n_left_out = |it: &Piece| it.left_out.map_or(0, |it| it.n_steps);
    pieces.retain(|it| {
        !it.load.is_empty() || !it.own.is_empty() || !it.steps.is_empty() || n_left_out(it) != 0
    });
}
