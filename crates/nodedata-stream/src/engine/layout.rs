use std::{collections::BTreeMap, ops::Range, sync::Arc};

use nodedata_core::{Error, ErrorKind, Result};

use crate::{Located, Pad, Slot, Unit, Window, engine::feed::Wanted};

/// Decoded bytes of steps that are decoded in one go, about, and coded ones. More steps of a sample are dealt to several
/// threads: to threads that end at nearly the same time, or all others wait for the last of them where a sample is the only one.
const PIECE_DECODED_BYTES: u64 = 8 << 20;
const PIECE_CODED_BYTES: u64 = 8 << 20;
/// So much larger a piece may be, so that no group of frames is decoded by two threads. A stream that is stopped waits for no more than
/// this.
const PIECE_STRETCH: u64 = 4;
/// Steps of a piece: neither so few that threads have more to do with pieces than with steps, nor so many that nothing is dealt.
const PIECE_STEPS: Range<u64> = 4..4096;

/// What the samples of one source are made of.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Steps of each episode, by row of the split's table.
    pub(crate) lengths: Arc<[u64]>,
    /// What one sample is.
    pub(crate) unit: Unit,
    /// Fields that have the same steps, together.
    pub(crate) parts: Vec<Part>,
    /// What stands where a window leaves the episode.
    pub(crate) pad: Pad,
    /// Coded bytes of a step, of all features, about.
    pub(crate) coded_bytes: u64,
}

/// Fields that have the same steps.
#[derive(Debug)]
pub(crate) struct Part {
    /// The steps around the sample's own; `None` for just that, and for whole episodes.
    pub(crate) window: Option<Window>,
    /// Which fields these are, in the order in which they were asked for.
    pub(crate) fields: Vec<usize>,
    /// Decoded bytes of a row, of those fields that have as many in each.
    pub(crate) fixed_bytes: u64,
    /// Whether some fields have not.
    pub(crate) varies: bool,
    /// Those of them whose rows are put to where they are wanted.
    pub(crate) placed: Vec<PlacedField>,
}

/// A field of pictures or frames of one size, which are decoded to where they are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlacedField {
    pub(crate) name: Arc<str>,
    pub(crate) row_bytes: usize,
}

/// Where the rows that are read of a part lie in its window: one behind the other, and what else there is are pads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InWindow {
    pub(crate) steps: Steps,
    pub(crate) rows: Range<usize>,
    pub(crate) n_slots: usize,
}

/// Steps of a piece with video, about: so many frames are worth a thread of their own.
const PIECE_FRAMES: u64 = 64;

/// Where the steps of a part and of an episode are best cut.
pub(crate) type Cuts<'a> = &'a dyn Fn(usize, usize) -> Vec<u64>;

/// What threads do for one sample: pieces of it, each fetched and decoded for itself.
pub(crate) type Pieces = Vec<Vec<Wanted>>;

impl Layout {
    /// What is read for a sample, in pieces. Steps of a part rise from piece to piece, and none is read twice. A long run with video is
    /// cut where its groups of frames begin, so that threads decode them side by side and none of them decodes what another does; but for
    /// groups that are larger than a piece may be.
    ///
    /// # Errors
    /// `Limit` for more steps than memory has places for.
    pub(crate) fn pieces(&self, located: &Located, cuts: Cuts<'_>) -> Result<Pieces> {
        let episode = usize::try_from(located.episode).map_err(|_| too_many())?;
        let mut pieces = Pieces::new();
        let mut last: Vec<Wanted> = Vec::new();
        let mut filled = 0.0;
        for (idx, part) in self.parts.iter().enumerate() {
            let steps = self.piece_steps(part);
            for run in runs(&self.steps(part, located)?) {
                let is_long = run.end - run.start > PIECE_FRAMES.min(steps);
                let cuts = if is_long { cuts(idx, episode) } else { Vec::new() };
                let aim = if cuts.is_empty() { steps } else { steps.min(PIECE_FRAMES) };
                let mut rest = run;
                while !rest.is_empty() {
                    let cut = cut(&rest, aim, steps.saturating_mul(PIECE_STRETCH), &cuts);
                    let steps = rest.start..cut;
                    rest.start = cut;
                    let share = (steps.end - steps.start) as f64 / aim as f64;
                    if filled > 0.0 && filled + share > 1.0 {
                        pieces.push(std::mem::take(&mut last));
                        filled = 0.0;
                    }
                    last.push(Wanted { part: idx, episode, steps });
                    filled += share;
                }
            }
        }
        pieces.push(last);
        Ok(pieces)
    }

    /// Coded bytes of what is wanted, about.
    pub(crate) fn coded_bytes_of(&self, wanted: &[Wanted], coded_row_bytes: u64) -> u64 {
        // Parts lie in the same rows: the longest tells how many.
        let mut n_steps = BTreeMap::<usize, u64>::new();
        for it in wanted {
            *n_steps.entry(it.part).or_default() += it.steps.end - it.steps.start;
        }
        n_steps.into_values().max().unwrap_or(0).saturating_mul(coded_row_bytes)
    }

    /// Decoded bytes of a sample, as far as they are known beforehand, and its rows that have more than those.
    pub(crate) fn decoded_bytes(&self, located: &Located) -> (u64, u64) {
        self.parts.iter().fold((0, 0), |(n_bytes, n_rows): (u64, u64), part| {
            let rows = match &part.window {
                Some(window) => window.offsets().len() as u64,
                None => located.steps.end - located.steps.start,
            };
            let fixed = rows.saturating_mul(part.fixed_bytes);
            (n_bytes.saturating_add(fixed), n_rows.saturating_add(if part.varies { rows } else { 0 }))
        })
    }

    /// Bytes in one sample of each field whose rows are put to where they are wanted. Whole episodes have none, of which no two are alike.
    pub(crate) fn placed(&self) -> Vec<(Arc<str>, usize)> {
        self.each_placed().map(|(it, n_bytes)| (Arc::clone(&it.name), n_bytes)).collect()
    }

    /// Bytes of all of these.
    pub(crate) fn placed_bytes(&self) -> u64 {
        self.each_placed().map(|(_, n_bytes)| n_bytes as u64).fold(0, u64::saturating_add)
    }

    fn each_placed(&self) -> impl Iterator<Item = (&PlacedField, usize)> {
        let parts = self.parts.iter().filter(|_| self.unit == Unit::Step);
        parts.flat_map(|part| {
            let n_slots = part.window.as_ref().map_or(1, |it| it.offsets().len());
            let sized = move |it: &PlacedField| it.row_bytes.checked_mul(n_slots).filter(|it| *it > 0);
            part.placed.iter().filter_map(move |it| Some((it, sized(it)?)))
        })
    }

    /// Where the rows that are read of a part lie in its window; `None` where they do not lie one behind the other, such as where a step
    /// comes twice. Without a window all rows are the sample's own.
    ///
    /// # Errors
    /// `Corrupt` where there is no such window.
    pub(crate) fn in_window(&self, part: &Part, located: &Located) -> Result<Option<InWindow>> {
        let steps = self.steps(part, located)?;
        let Some(window) = &part.window else {
            let n_slots = usize::try_from(steps.len()).map_err(|_| too_many())?;
            return Ok(Some(InWindow { steps, rows: 0..n_slots, n_slots }));
        };
        let slots = self.slots(window, located)?;
        let is_inside = |it: &Slot| matches!(it, Slot::Step(_));
        let (Some(first), Some(last)) = (slots.iter().position(is_inside), slots.iter().rposition(is_inside))
        else {
            return Ok(None);
        };
        let rows = first..last + 1;
        let inside = slots.get(rows.clone()).unwrap_or_default().iter();
        let lie =
            inside.map(|it| it.step().and_then(|step| steps.row_of(step))).eq((0..rows.len()).map(Some));
        let are_all = steps.len() == rows.len() as u64;
        Ok((lie && are_all).then_some(InWindow { steps, rows, n_slots: slots.len() }))
    }

    /// The steps around those of a block that its samples read, of each part.
    pub(crate) fn around(&self, episode: u64, steps: &Range<u64>) -> Result<Vec<Wanted>> {
        let length = self.length(episode)?;
        let episode = usize::try_from(episode).map_err(|_| too_many())?;
        let around = self.parts.iter().enumerate().map(|(part, it)| {
            let offsets = it.window.as_ref().map_or(&[0][..], Window::offsets);
            let (first, last) = (offsets.iter().min().unwrap_or(&0), offsets.iter().max().unwrap_or(&0));
            // Where nothing of a window is there, the sample's own step stands in.
            let start = steps.start.saturating_add_signed(*first.min(&0));
            let end = steps.end.saturating_add_signed(*last.max(&0)).min(length);
            Wanted { part, episode, steps: start.min(end)..end }
        });
        Ok(around.filter(|it| !it.steps.is_empty()).collect())
    }

    /// What stands in the window of a part.
    pub(crate) fn slots(&self, window: &Window, located: &Located) -> Result<Vec<Slot>> {
        let length = self.length(located.episode)?;
        let slots = window.slots(length, located.steps.start, self.pad);
        Ok(slots.ok_or_else(|| no_step(located))?.collect())
    }

    /// The steps of a part that are read for a sample, rising, each once.
    pub(crate) fn steps(&self, part: &Part, located: &Located) -> Result<Steps> {
        let Some(window) = &part.window else { return Ok(Steps::Range(located.steps.clone())) };
        let mut steps: Vec<u64> = self.slots(window, located)?.into_iter().filter_map(Slot::step).collect();
        if steps.is_empty() {
            // Its type and shape are told by a row.
            steps.push(located.steps.start);
        }
        steps.sort_unstable();
        steps.dedup();
        Ok(Steps::Some(steps))
    }

    /// Steps of a part that make a piece.
    fn piece_steps(&self, part: &Part) -> u64 {
        let decoded = PIECE_DECODED_BYTES / part.fixed_bytes.max(1);
        let coded = PIECE_CODED_BYTES / self.coded_bytes.max(1);
        decoded.min(coded).clamp(PIECE_STEPS.start, PIECE_STEPS.end)
    }

    fn length(&self, episode: u64) -> Result<u64> {
        let length = usize::try_from(episode).ok().and_then(|it| self.lengths.get(it));
        length.copied().ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("the split has no episode {episode}"))
                .with_hint("open the revision again")
        })
    }
}

/// Steps that are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Steps {
    /// All of a range.
    Range(Range<u64>),
    /// These, rising.
    Some(Vec<u64>),
}

impl Steps {
    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Range(range) => range.end - range.start,
            Self::Some(steps) => steps.len() as u64,
        }
    }

    /// Which row of what was read a step is.
    pub(crate) fn row_of(&self, step: u64) -> Option<usize> {
        match self {
            Self::Range(range) => {
                range.contains(&step).then(|| usize::try_from(step - range.start).ok()).flatten()
            }
            Self::Some(steps) => steps.binary_search(&step).ok(),
        }
    }
}

/// Up to where a piece goes of what is left of a run, of about `aim` steps: up to the last of these cuts that are as near, or else the
/// first, where it takes no more than `most`.
fn cut(rest: &Range<u64>, aim: u64, most: u64, cuts: &[u64]) -> u64 {
    let near = rest.start.saturating_add(aim);
    if cuts.is_empty() || rest.end <= near {
        return rest.end.min(near);
    }
    let farthest = rest.end.min(rest.start.saturating_add(most));
    let behind = cuts.get(cuts.partition_point(|it| *it <= rest.start)..).unwrap_or_default();
    let n_near = behind.partition_point(|it| *it <= near);
    let found = behind.get(n_near.saturating_sub(1)).copied();
    found.filter(|it| *it < farthest).unwrap_or(farthest)
}

/// Steps that follow each other, together.
fn runs(steps: &Steps) -> Vec<Range<u64>> {
    let steps = match steps {
        Steps::Range(range) => return vec![range.clone()],
        Steps::Some(steps) => steps,
    };
    let mut runs: Vec<Range<u64>> = Vec::new();
    for step in steps {
        match runs.last_mut() {
            Some(run) if run.end == *step => run.end += 1,
            _ => runs.push(*step..step + 1),
        }
    }
    runs
}

fn too_many() -> Error {
    Error::new(ErrorKind::Limit, "the split has more episodes than memory has places for")
        .with_hint("read it on a machine of 64 bits")
}

fn no_step(located: &Located) -> Error {
    let Located { episode, steps } = located;
    Error::new(ErrorKind::Corrupt, format!("episode {episode} has no window at step {}", steps.start))
        .with_hint("open the revision again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(unit: Unit, windows: &[Option<&[i64]>], fixed_bytes: u64) -> Layout {
        let parts = windows.iter().enumerate().map(|(idx, window)| Part {
            window: window.map(|it| Window::of_steps(it.iter().copied()).unwrap()),
            fields: vec![idx],
            fixed_bytes,
            varies: false,
            placed: vec![PlacedField { name: format!("x{idx}").into(), row_bytes: 4 }],
        });
        let lengths = vec![1000, 100_000].into();
        Layout { lengths, unit, parts: parts.collect(), pad: Pad::Edge, coded_bytes: 100 }
    }

    const NO_CUTS: Cuts<'_> = &|_, _| Vec::new();

    fn located(episode: u64, steps: Range<u64>) -> Located {
        Located { episode, steps }
    }

    #[test]
    fn a_step_and_its_windows_are_one_piece() {
        let layout = layout(Unit::Step, &[None, Some(&[-1, 0]), Some(&[0, 5, 6, 5])], 8);
        let of = |step| layout.pieces(&located(0, step..step + 1), NO_CUTS).unwrap();
        let wanted = |part, steps| Wanted { part, episode: 0, steps };
        assert_eq!(of(10), [[wanted(0, 10..11), wanted(1, 9..11), wanted(2, 10..11), wanted(2, 15..17)]]);
        // Windows end where the episode does, and no step is read twice.
        assert_eq!(of(0)[0][1], wanted(1, 0..1));
        assert_eq!(of(999), [[wanted(0, 999..1000), wanted(1, 998..1000), wanted(2, 999..1000)]]);
    }

    #[test]
    fn a_long_episode_is_cut_and_nothing_is_left_out() {
        // A mebibyte a row: 8 steps a piece.
        let layout = layout(Unit::Episode, &[None], 1 << 20);
        let pieces = layout.pieces(&located(0, 5..1000), NO_CUTS).unwrap();
        assert_eq!(pieces.len(), 125);
        let mut at = 5;
        for wanted in pieces.iter().flatten() {
            assert_eq!(wanted.steps.start, at);
            assert!(wanted.steps.end - at <= 8);
            at = wanted.steps.end;
        }
        assert_eq!(at, 1000);
        // Small rows are cut by their number.
        let layout = self::layout(Unit::Episode, &[None], 1);
        assert_eq!(layout.pieces(&located(1, 0..100_000), NO_CUTS).unwrap().len(), 25);
        assert_eq!(layout.pieces(&located(0, 0..1000), NO_CUTS).unwrap().len(), 1);
    }

    /// Where the pieces of an episode of that length end, with key frames at these distances.
    fn ends(fixed_bytes: u64, steps: Range<u64>, distance: usize) -> Vec<u64> {
        let layout = layout(Unit::Episode, &[None], fixed_bytes);
        let cuts = |part: usize, episode: usize| -> Vec<u64> {
            assert_eq!((part, episode), (0, 0));
            (0..1000).step_by(distance).collect()
        };
        let pieces = layout.pieces(&located(0, steps.clone()), &cuts).unwrap();
        let mut at = steps.start;
        for piece in &pieces {
            let [wanted] = piece.as_slice() else { panic!("{piece:?}") };
            assert_eq!(wanted.steps.start, at);
            at = wanted.steps.end;
        }
        assert_eq!(at, steps.end, "nothing is left out");
        pieces.iter().map(|it| it[0].steps.end).collect()
    }

    #[test]
    fn long_runs_of_video_are_cut_where_groups_begin() {
        // Small frames, in groups of 10: as many groups as are near.
        assert_eq!(ends(1, 0..200, 10), [60, 120, 180, 200]);
        assert_eq!(ends(1, 5..200, 10), [60, 120, 180, 200]);
        // Groups that are longer are not cut, as long as there is room for them.
        assert_eq!(ends(1, 0..1000, 300), [300, 600, 900, 1000]);
        // Frames of a mebibyte: about 8 a piece, and 32 at most, however long their groups are.
        assert_eq!(ends(1 << 20, 0..20, 2), [8, 16, 20]);
        assert_eq!(ends(1 << 20, 0..45, 10), [10, 20, 30, 40, 45]);
        assert_eq!(ends(1 << 20, 0..100, 300), [32, 64, 96, 100]);
        assert_eq!(ends(1 << 20, 0..100, 40), [32, 40, 72, 80, 100]);
        // What is short is one piece.
        assert_eq!(ends(1, 7..71, 10), [71]);
    }

    #[test]
    fn a_window_outside_the_episode_reads_the_step_itself() {
        let mut layout = layout(Unit::Step, &[Some(&[2000])], 8);
        layout.pad = Pad::Zero;
        let pieces = layout.pieces(&located(0, 7..8), NO_CUTS).unwrap();
        assert_eq!(pieces, [[Wanted { part: 0, episode: 0, steps: 7..8 }]]);
    }

    #[test]
    fn blocks_are_read_with_what_windows_reach() {
        let layout = layout(Unit::Step, &[None, Some(&[-3, 10])], 8);
        let steps = |range: Range<u64>| -> Vec<Range<u64>> {
            layout.around(0, &range).unwrap().into_iter().map(|it| it.steps).collect()
        };
        assert_eq!(steps(64..128), [64..128, 61..138]);
        assert_eq!(steps(0..64), [0..64, 0..74]);
        assert_eq!(steps(960..1000), [960..1000, 957..1000]);
        assert_eq!(layout.around(7, &(0..1)).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn rows_lie_in_their_window_where_steps_rise() {
        let found = |offsets: &[i64], step: u64| {
            let layout = layout(Unit::Step, &[Some(offsets)], 8);
            let found = layout.in_window(&layout.parts[0], &located(0, step..step + 1)).unwrap();
            found.map(|it| (it.rows, it.n_slots, it.steps.len()))
        };
        assert_eq!(found(&[-1, 0], 5), Some((0..2, 2, 2)));
        assert_eq!(found(&[-6, -2, 4], 7), Some((0..3, 3, 3)));
        // At the ends of an episode of 1000 steps the rest are pads.
        assert_eq!(found(&[-2, -1, 0, 1], 0), Some((2..4, 4, 2)));
        assert_eq!(found(&[-1, 0, 1, 2], 999), Some((0..2, 4, 2)));
        // The pad is of a step that the window does not have beside it.
        assert_eq!(found(&[-5, 3], 2), None);
        assert_eq!(found(&[0, -1], 5), None);
        assert_eq!(found(&[0, 0], 5), None);
        assert_eq!(found(&[5000], 5), None);
        let layout = layout(Unit::Step, &[None, Some(&[0, 1, 2])], 8);
        assert_eq!(layout.placed(), [("x0".into(), 4), ("x1".into(), 12)]);
        assert_eq!(layout.placed_bytes(), 16);
        let none = layout.in_window(&layout.parts[0], &located(0, 3..4)).unwrap().unwrap();
        assert_eq!((none.rows, none.n_slots), (0..1, 1));
        assert_eq!(self::layout(Unit::Episode, &[None], 8).placed(), []);
    }

    #[test]
    fn what_is_known_of_sizes_is_counted() {
        let mut layout = layout(Unit::Step, &[None, Some(&[0, 1, 2])], 8);
        layout.parts[1].varies = true;
        assert_eq!(layout.decoded_bytes(&located(0, 3..4)), (8 + 24, 3));
        let pieces = layout.pieces(&located(0, 3..4), NO_CUTS).unwrap();
        assert_eq!(layout.coded_bytes_of(&pieces[0], 100), 300);
    }
}
