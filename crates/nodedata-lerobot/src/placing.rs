//! Where each episode's frames start in the files of one camera. Video files are episodes one after the other,
//! so where their frames add up to the files' frames, the order alone tells; otherwise the time windows do.

use crate::{shown::shown, video_audit::Pointer};

/// What is known of one camera.
pub(crate) struct Placing {
    /// Frames of each file.
    pub(crate) n_frames: Vec<u64>,
    pub(crate) fps: f64,
    /// Rows of each episode; `None` for one that is refused.
    pub(crate) lengths: Vec<Option<u64>>,
    pub(crate) pointers: Vec<Option<Pointer>>,
    /// Whether each episode has a file of its own.
    pub(crate) own_files: bool,
}

/// Where the frames of one episode are.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Placed {
    pub(crate) file: Option<usize>,
    pub(crate) first_frame: u64,
    /// Frames there are for it.
    pub(crate) n_frames: u64,
    /// Whether the frames of the file add up to the rows of its episodes.
    pub(crate) is_exact: bool,
    /// What was wrong and is right now: code and message.
    pub(crate) repairs: Vec<(&'static str, String)>,
    /// Why rows have no frame: code and message.
    pub(crate) refused: Option<(&'static str, String)>,
}

/// Places the frames of every episode.
pub(crate) fn place(placing: &Placing) -> Vec<Placed> {
    if placing.own_files {
        return placing
            .lengths
            .iter()
            .zip(&placing.pointers)
            .map(|(n, it)| placing.own_file(*n, it.as_ref()))
            .collect();
    }
    let mut placed = vec![Placed::default(); placing.lengths.len()];
    let packed = placing.packed_by_pointer();
    let all_fit = packed.iter().enumerate().all(|(file, it)| placing.total(it) == placing.n_frames[file]);
    let everyone_points = placing.each().all(|idx| placing.file_of(idx).is_some());
    if !(all_fit && everyone_points)
        && let Some(in_order) = placing.packed_in_order()
    {
        for (file, members) in in_order.iter().enumerate() {
            placing.pack(file, members, &mut placed);
        }
        return placed;
    }
    for (file, members) in packed.iter().enumerate() {
        if placing.total(members) == placing.n_frames[file] {
            placing.pack(file, members, &mut placed);
        } else {
            placing.by_window(file, members, &mut placed);
        }
    }
    for idx in placing.each().filter(|idx| placing.file_of(*idx).is_none()) {
        placed[idx].refused = Some(("missing-video", "the video of the episode is not there".to_owned()));
    }
    placed
}

impl Placing {
    /// Episodes that are still in the game.
    fn each(&self) -> impl Iterator<Item = usize> {
        (0..self.lengths.len()).filter(|idx| self.lengths[*idx].is_some())
    }

    fn file_of(&self, idx: usize) -> Option<usize> {
        self.pointers[idx].as_ref()?.file
    }

    fn seconds_of(&self, idx: usize) -> Option<f64> {
        self.pointers[idx].as_ref()?.from_seconds.filter(|it| it.is_finite() && *it >= 0.0)
    }

    fn length(&self, idx: usize) -> u64 {
        self.lengths[idx].unwrap_or(0)
    }

    fn total(&self, members: &[usize]) -> u64 {
        members.iter().map(|it| self.length(*it)).sum()
    }

    /// Version 2: one file, one episode.
    fn own_file(&self, length: Option<u64>, pointer: Option<&Pointer>) -> Placed {
        let (Some(length), Some(file)) = (length, pointer.and_then(|it| it.file)) else {
            return Placed::default();
        };
        let n_frames = self.n_frames[file];
        let refused = (n_frames < length).then(|| short(length, n_frames));
        Placed { file: Some(file), n_frames, is_exact: n_frames == length, refused, ..Placed::default() }
    }

    /// The episodes that point at each file, in the order of their windows.
    fn packed_by_pointer(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.n_frames.len()];
        for idx in self.each() {
            if let Some(file) = self.file_of(idx) {
                members[file].push(idx);
            }
        }
        for members in &mut members {
            let start = |idx: &usize| self.seconds_of(*idx).unwrap_or(f64::MAX);
            members.sort_by(|one, two| start(one).total_cmp(&start(two)).then(one.cmp(two)));
        }
        members
    }

    /// All episodes in their order, poured into the files in theirs; `None` unless every file is filled
    /// exactly, which no wrong order of files does by chance where lengths differ.
    fn packed_in_order(&self) -> Option<Vec<Vec<usize>>> {
        if self.lengths.iter().any(Option::is_none) {
            return None;
        }
        let mut members = Vec::with_capacity(self.n_frames.len());
        let mut rest = self.each().peekable();
        for n_frames in &self.n_frames {
            let mut inside = Vec::new();
            let mut filled = 0;
            while filled < *n_frames {
                let idx = rest.next()?;
                filled += self.length(idx);
                inside.push(idx);
            }
            if filled != *n_frames {
                return None;
            }
            members.push(inside);
        }
        rest.peek().is_none().then_some(members)
    }

    /// Frames start where those of the episode before end.
    fn pack(&self, file: usize, members: &[usize], placed: &mut [Placed]) {
        let mut first_frame = 0;
        for idx in members {
            let length = self.length(*idx);
            let mut repairs = Vec::new();
            if self.file_of(*idx) != Some(file) {
                let message = "the episodes table points at another video file, but its frames are here";
                repairs.push(("stale-video-file", message.to_owned()));
            } else {
                repairs.extend(self.window_repair(*idx, first_frame, length));
            }
            placed[*idx] = Placed {
                file: Some(file),
                first_frame,
                n_frames: length,
                is_exact: true,
                repairs,
                refused: None,
            };
            first_frame += length;
        }
    }

    /// What the time window says wrongly, rounded to frames: float sums of durations drift by less.
    fn window_repair(&self, idx: usize, first_frame: u64, length: u64) -> Option<(&'static str, String)> {
        let from = self.seconds_of(idx)?;
        let to = self.pointers[idx].as_ref()?.to_seconds;
        let told_first = (from * self.fps).round();
        let told_length = to.map(|to| ((to - from) * self.fps).round());
        if told_first == first_frame as f64 && told_length.is_none_or(|it| it == length as f64) {
            return None;
        }
        let to = to.map_or("its end".to_owned(), |it| format!("{} s", shown(it)));
        let from = shown(from);
        let message = format!(
            "the window from {from} s to {to} is not that of frames {first_frame}..{}, where the order of episodes \
             puts it",
            first_frame + length
        );
        Some(("wrong-video-window", message))
    }

    /// Frames lie where the time windows say, as far as the file has them.
    fn by_window(&self, file: usize, members: &[usize], placed: &mut [Placed]) {
        let start_of = |idx: usize| self.seconds_of(idx).map(|it| (it * self.fps).round() as u64);
        for idx in members {
            let length = self.length(*idx);
            let Some(first_frame) = start_of(*idx) else {
                let message =
                    "the episodes table does not say where in the video the episode starts".to_owned();
                placed[*idx].refused = Some(("no-video-window", message));
                continue;
            };
            let n_frames = self.n_frames[file].saturating_sub(first_frame).min(length);
            let refused = (n_frames < length).then(|| short(length, n_frames));
            placed[*idx] = Placed {
                file: Some(file),
                first_frame,
                n_frames,
                is_exact: false,
                repairs: Vec::new(),
                refused,
            };
        }
        for pair in members.windows(2) {
            let (one, two) = (pair[0], pair[1]);
            // Windows say any number of seconds.
            let end = placed[one].first_frame.saturating_add(self.length(one));
            if placed[one].file.is_none() || placed[two].file.is_none() || end <= placed[two].first_frame {
                continue;
            }
            // Which of the two has the frames that both claim, nothing tells.
            let message = format!(
                "the windows of two episodes overlap: one ends before frame {end}, the next starts at frame {}",
                placed[two].first_frame
            );
            for idx in [one, two] {
                placed[idx].n_frames = 0;
                placed[idx].refused = Some(("overlapping-windows", message.clone()));
            }
        }
    }
}

fn short(length: u64, n_frames: u64) -> (&'static str, String) {
    ("short-video", format!("the episode has {length} rows, but the video {n_frames} frames for it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placing(n_frames: &[u64], episodes: &[(u64, Option<usize>, f64)]) -> Placing {
        let pointer = |(length, file, from): &(u64, Option<usize>, f64)| Pointer {
            file: *file,
            from_seconds: Some(*from),
            to_seconds: Some(from + *length as f64 / 10.0),
        };
        Placing {
            n_frames: n_frames.to_vec(),
            fps: 10.0,
            lengths: episodes.iter().map(|it| Some(it.0)).collect(),
            pointers: episodes.iter().map(|it| Some(pointer(it))).collect(),
            own_files: false,
        }
    }

    fn starts(placed: &[Placed]) -> Vec<(Option<usize>, u64)> {
        placed.iter().map(|it| (it.file, it.first_frame)).collect()
    }

    #[test]
    fn sums_of_floats_round_to_frames() {
        let placed = place(&placing(
            &[36],
            &[(11, Some(0), 0.0), (12, Some(0), 1.1), (13, Some(0), 2.300_000_000_000_000_3)],
        ));
        assert_eq!(starts(&placed), [(Some(0), 0), (Some(0), 11), (Some(0), 23)]);
        assert!(placed.iter().all(|it| it.is_exact && it.repairs.is_empty() && it.refused.is_none()));
    }

    #[test]
    fn windows_that_drifted_are_put_right_where_frames_add_up() {
        let placed = place(&placing(&[30], &[(10, Some(0), 0.0), (10, Some(0), 1.2), (10, Some(0), 2.0)]));
        assert_eq!(starts(&placed), [(Some(0), 0), (Some(0), 10), (Some(0), 20)]);
        assert_eq!(placed[1].repairs[0].0, "wrong-video-window");
    }

    #[test]
    fn stale_file_numbers_are_put_right_by_the_order_of_files() {
        let placed = place(&placing(&[21, 9], &[(10, Some(0), 0.0), (11, Some(0), 1.0), (9, Some(0), 2.1)]));
        assert_eq!(starts(&placed), [(Some(0), 0), (Some(0), 10), (Some(1), 0)]);
        assert_eq!(placed[2].repairs, [("stale-video-file", placed[2].repairs[0].1.clone())]);
        assert!(placed[0].repairs.is_empty());
    }

    #[test]
    fn a_video_too_short_refuses_the_rows_without_frames() {
        let placed = place(&placing(&[20], &[(10, Some(0), 0.0), (11, Some(0), 1.0)]));
        assert_eq!(placed[0].refused, None);
        assert_eq!((placed[1].n_frames, placed[1].refused.as_ref().unwrap().0), (10, "short-video"));
    }

    #[test]
    fn windows_that_overlap_are_refused_where_nothing_tells_the_truth() {
        let placed = place(&placing(&[25], &[(10, Some(0), 0.0), (10, Some(0), 0.5)]));
        assert!(placed.iter().all(|it| it.refused.as_ref().unwrap().0 == "overlapping-windows"));
    }
}
