use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::placed::Placed;
use crate::{PERIOD_MESSAGES_MIN, PERIODS_MAX, align::slerp};

/// One frame in its parent, at a time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) stamp: i64,
    pub(crate) parent: Arc<str>,
    pub(crate) placed: Placed,
}

impl Sample {
    /// The parent, and how the frame stands in it.
    fn told(&self) -> (&str, Placed) {
        (self.parent.as_ref(), self.placed)
    }
}

/// What is known of one frame.
#[derive(Debug, Clone, Default)]
struct Frame {
    /// In order of time, each time once.
    moving: Vec<Sample>,
    /// The last one of a topic of transforms that stand still.
    fixed: Option<Sample>,
    /// How far apart neighbours may be where no tolerance says it; `None` for any distance.
    apart_ns: Option<i64>,
}

/// The frames of one recording.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    frames: BTreeMap<String, Frame>,
}

/// Why a frame has no pose in another at some time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Missing {
    /// The frame has parents, but none at the time.
    At(String),
    /// The ways up from both end in frames that have no parent.
    Apart(String, String),
    /// Frames of which each is the parent of the one before, and the first that of the last.
    Loop(Vec<String>),
}

impl Tree {
    /// Takes in a transform; of two at one time the first counts.
    pub(crate) fn add(&mut self, child: &str, mut sample: Sample, is_fixed: bool) {
        let frame = match self.frames.get_mut(child) {
            Some(frame) => frame,
            None => self.frames.entry(child.to_owned()).or_default(),
        };
        // Millions of samples share a name.
        let known = frame.moving.last().or(frame.fixed.as_ref());
        if let Some(known) = known.filter(|it| it.parent == sample.parent) {
            sample.parent = Arc::clone(&known.parent);
        }
        if is_fixed {
            frame.fixed = Some(sample);
        } else {
            frame.moving.push(sample);
        }
    }

    /// Ends the taking in.
    pub(crate) fn settle(&mut self) {
        for frame in self.frames.values_mut() {
            frame.moving.sort_by_key(|it| it.stamp);
            frame.moving.dedup_by_key(|it| it.stamp);
            let n = frame.moving.len() as u64;
            let ends = frame.moving.first().zip(frame.moving.last());
            let spanned = ends.map_or(0, |(first, last)| last.stamp.saturating_sub(first.stamp));
            frame.apart_ns = (PERIOD_MESSAGES_MIN <= n).then(|| {
                let bound = i128::from(PERIODS_MAX) * i128::from(spanned) / i128::from(n - 1);
                i64::try_from(bound).unwrap_or(i64::MAX)
            });
        }
    }

    /// Names of all frames that are met.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        let of_frame = self.frames.iter().flat_map(|(child, it)| it.parents().chain([child.as_str()]));
        of_frame.collect()
    }

    /// How one frame stands in another. `reach_ns` is how far transforms may be from the time.
    ///
    /// # Errors
    /// Why it does not.
    pub(crate) fn pose(
        &self,
        of: &str,
        within: &str,
        time: i64,
        reach_ns: Option<i64>,
    ) -> Result<Placed, Missing> {
        let up = self.way_up(of, time, reach_ns)?;
        let down = self.way_up(within, time, reach_ns)?;
        for (frame, placed) in &up.frames {
            if let Some((_, base)) = down.frames.iter().find(|it| it.0 == *frame) {
                return Ok(base.inverse().of(*placed));
            }
        }
        Err(match (up.ends_at, down.ends_at) {
            (Some(frame), _) | (None, Some(frame)) => Missing::At(frame.to_owned()),
            (None, None) => {
                let top = |it: &[(&str, Placed)]| it.last().map(|it| it.0.to_owned()).unwrap_or_default();
                Missing::Apart(top(&up.frames), top(&down.frames))
            }
        })
    }

    fn way_up<'a>(&'a self, from: &'a str, time: i64, reach_ns: Option<i64>) -> Result<Way<'a>, Missing> {
        let mut way = Way { frames: vec![(from, Placed::IDENTITY)], ends_at: None };
        let (mut at, mut placed) = (from, Placed::IDENTITY);
        while let Some(frame) = self.frames.get(at) {
            let Some((parent, step)) = frame.at(time, reach_ns) else {
                way.ends_at = Some(at);
                break;
            };
            placed = step.of(placed);
            if let Some(start) = way.frames.iter().position(|it| it.0 == parent) {
                return Err(Missing::Loop(way.frames[start..].iter().map(|it| it.0.to_owned()).collect()));
            }
            way.frames.push((parent, placed));
            at = parent;
        }
        Ok(way)
    }
}

/// The frames above one, each with how that one stands in it.
struct Way<'a> {
    frames: Vec<(&'a str, Placed)>,
    /// The frame that has parents, but none at the time.
    ends_at: Option<&'a str>,
}

impl Frame {
    fn parents(&self) -> impl Iterator<Item = &str> {
        self.moving.iter().chain(&self.fixed).map(|it| &*it.parent)
    }

    fn at(&self, time: i64, reach_ns: Option<i64>) -> Option<(&str, Placed)> {
        if self.moving.is_empty() {
            return self.fixed.as_ref().map(Sample::told);
        }
        let after = self.moving.partition_point(|it| it.stamp <= time);
        let before = self.moving.get(after.checked_sub(1)?)?;
        if before.stamp == time {
            return Some(before.told());
        }
        let after = self.moving.get(after)?;
        let (passed, left) = (time.saturating_sub(before.stamp), after.stamp.saturating_sub(time));
        let is_near = match reach_ns {
            Some(reach) => passed <= reach && left <= reach,
            None => self.apart_ns.is_none_or(|it| after.stamp.saturating_sub(before.stamp) <= it),
        };
        if !is_near {
            return None;
        }
        // Between two parents nothing lies: the frame is where it was.
        if before.parent != after.parent {
            return Some(before.told());
        }
        let weight = passed as f64 / (passed as f64 + left as f64);
        let mut rotation = Vec::with_capacity(4);
        slerp(&before.placed.rotation, &after.placed.rotation, weight, &mut rotation);
        let translation = std::array::from_fn(|it| {
            let (one, other) = (before.placed.translation[it], after.placed.translation[it]);
            one + (other - one) * weight
        });
        let placed = Placed::new(translation, rotation.try_into().ok()?)?;
        Some((before.parent.as_ref(), placed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: f64 = std::f64::consts::FRAC_1_SQRT_2;

    /// A turn of a quarter around z, and a way along x.
    fn sample(stamp: i64, parent: &str, x: f64, turns: bool) -> Sample {
        let rotation = if turns { [0.0, 0.0, HALF, HALF] } else { [0.0, 0.0, 0.0, 1.0] };
        Sample { stamp, parent: parent.into(), placed: Placed::new([x, 0.0, 0.0], rotation).unwrap() }
    }

    fn tree(samples: &[(&str, Sample, bool)]) -> Tree {
        let mut tree = Tree::default();
        samples.iter().for_each(|(child, sample, is_fixed)| tree.add(child, sample.clone(), *is_fixed));
        tree.settle();
        tree
    }

    #[track_caller]
    fn near(found: Result<Placed, Missing>, expected: [f64; 7]) {
        let found = found.unwrap().told();
        let far = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(far < 1e-12, "{found:?}, expected {expected:?}");
    }

    /// base → arm turns and moves; arm → tool and base → camera stand still.
    fn robot() -> Tree {
        tree(&[
            ("tool", sample(0, "arm", 1.0, false), true),
            ("camera", sample(0, "base", 5.0, false), true),
            ("arm", sample(0, "base", 0.0, false), false),
            ("arm", sample(100, "base", 2.0, true), false),
        ])
    }

    #[test]
    fn chains_are_interpolated_and_go_up_and_down() {
        let robot = robot();
        near(robot.pose("tool", "base", 0, None), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        near(robot.pose("tool", "base", 100, None), [2.0, 1.0, 0.0, 0.0, 0.0, HALF, HALF]);
        let eighth = std::f64::consts::FRAC_PI_8;
        near(
            robot.pose("tool", "base", 50, None),
            [1.0 + HALF, HALF, 0.0, 0.0, 0.0, eighth.sin(), eighth.cos()],
        );
        near(robot.pose("base", "tool", 100, None), [-1.0, 2.0, 0.0, 0.0, 0.0, -HALF, HALF]);
        near(robot.pose("camera", "tool", 100, None), [-1.0, -3.0, 0.0, 0.0, 0.0, -HALF, HALF]);
        near(robot.pose("tool", "tool", 7, None), [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn gaps_ends_and_loops_name_their_frames() {
        let robot = robot();
        let at = |it: &str| Err(Missing::At(it.to_owned()));
        assert_eq!(robot.pose("tool", "base", 101, None), at("arm"));
        assert_eq!(robot.pose("base", "tool", -1, None), at("arm"));
        assert_eq!(robot.pose("tool", "base", 50, Some(49)), at("arm"));
        assert!(robot.pose("tool", "base", 50, Some(50)).is_ok());
        let apart = robot.pose("tool", "map", 50, None);
        assert_eq!(apart, Err(Missing::Apart("base".to_owned(), "map".to_owned())));
        let turning = tree(&[
            ("a", sample(0, "b", 1.0, false), true),
            ("b", sample(0, "c", 1.0, false), true),
            ("c", sample(0, "a", 1.0, false), true),
        ]);
        let frames = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(turning.pose("a", "base", 0, None), Err(Missing::Loop(frames)));
        // Without a tolerance neighbours are at most ten of their mean periods apart.
        let mut samples: Vec<(&str, Sample, bool)> =
            (0..30).map(|it| ("a", sample(it, "b", 1.0, false), false)).collect();
        samples.push(("a", sample(100, "b", 1.0, false), false));
        let paused = tree(&samples);
        assert!(paused.pose("a", "b", 28, None).is_ok());
        assert_eq!(paused.pose("a", "b", 60, None), at("a"));
        assert!(paused.pose("a", "b", 60, Some(i64::MAX)).is_ok());
    }

    #[test]
    fn a_frame_that_changes_its_parent_stays_where_it_was() {
        let moved = tree(&[
            ("cup", sample(0, "table", 1.0, false), false),
            ("cup", sample(10, "hand", 3.0, false), false),
            ("cup", sample(10, "hand", 9.0, false), false),
            ("hand", sample(0, "table", 7.0, false), true),
        ]);
        near(moved.pose("cup", "table", 9, None), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        // Of two at one time the first counts.
        near(moved.pose("cup", "table", 10, None), [10.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(Placed::new([0.0; 3], [0.0; 4]), None);
        assert_eq!(Placed::new([f64::NAN, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]), None);
    }
}
