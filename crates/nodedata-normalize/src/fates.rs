use std::collections::BTreeMap;

use nodedata_core::{Fate, StreamId};

use crate::{
    Align,
    align::{Borders, Rule},
    mapping::{MappedStream, Way},
    plan::Piece,
};

/// Steps around a message that could have taken it.
#[derive(Debug, Clone, Copy)]
struct Around {
    /// The last step at or before it.
    before: Option<i64>,
    /// The first step after it.
    after: Option<i64>,
    /// The same, of whatever episode.
    after_any: Option<i64>,
}

/// What the messages of a stream are judged by.
#[derive(Clone, Copy)]
pub(crate) struct Judge<'a> {
    pub(crate) stream: &'a MappedStream,
    /// See [`Rule::new`].
    pub(crate) measured_ns: Option<i64>,
    pub(crate) piece: &'a Piece,
    /// The steps of the piece with the one before it and the one after it, so that each message is judged by all
    /// steps that could have taken it.
    pub(crate) steps: &'a [i64],
    pub(crate) borders: &'a Borders,
    /// See [`crate::recording::Recording::pictured_from`].
    pub(crate) pictured_from: i64,
}

/// Why a message of video gives no step its picture: no key frame is before it.
pub(crate) const NO_KEY_FRAME: &str = "before_key_frame";

impl Judge<'_> {
    /// Says of every message in a piece what became of it.
    ///
    /// `stamps` are those of the stream near the piece, and `used` says which rows give a step a value.
    pub(crate) fn fates(self, id: StreamId, stamps: &[i64], used: &[bool]) -> Fate {
        let mut fate = Fate::new(id);
        let mut reasons: BTreeMap<(bool, &'static str), u64> = BTreeMap::new();
        let mut n_before = 0;
        for (stamp, used) in stamps.iter().zip(used) {
            while n_before < self.steps.len() && self.steps[n_before] <= *stamp {
                n_before += 1;
            }
            if !self.piece.holds(*stamp) {
                continue;
            }
            if *stamp < self.pictured_from && self.piece.episode.is_some() {
                *reasons.entry((true, NO_KEY_FRAME)).or_default() += 1;
                continue;
            }
            if *used || self.stream.is_in_tree(self.piece.episode.is_some()) {
                fate.used += 1;
                continue;
            }
            let may_take = |it: &usize| self.borders.of(*it).holds(*stamp);
            let at = |it: usize| self.steps.get(it).copied();
            let around = Around {
                before: n_before.checked_sub(1).filter(may_take).and_then(at),
                after: Some(n_before).filter(may_take).and_then(at),
                after_any: at(n_before),
            };
            *reasons.entry(self.reason(*stamp, around)).or_default() += 1;
        }
        for ((is_dropped, reason), n) in reasons {
            let of = if is_dropped { &mut fate.dropped } else { &mut fate.superseded };
            *of.entry(reason).or_default() += n;
        }
        fate
    }

    /// Why a message gave no step a value, and whether it counts as dropped: there was no step for it at all.
    fn reason(self, stamp: i64, around: Around) -> (bool, &'static str) {
        if self.piece.episode.is_none() {
            return (true, self.piece.left_out.map_or("outside_every_episode", |it| it.reason));
        }
        let ways = &self.stream.ways;
        let after = if ways.iter().any(|it| it.crosses) { around.after_any } else { around.after };
        if around.before.is_none() && after.is_none() {
            return (false, "no_step");
        }
        if !ways.is_empty() && !ways.iter().any(|it| self.is_in_reach(*it, stamp, around)) {
            return (true, "beyond_tolerance");
        }
        let of_way = match ways.first().map(|it| it.align) {
            Some(Align::Nearest) => "not_nearest",
            Some(Align::Hold) => "replaced",
            Some(Align::Linear | Align::Slerp) => "not_adjacent",
            // A clock or gap topic that no field is made of.
            None => "not_mapped",
        };
        match (around.before, after) {
            (Some(_), Some(_)) => (false, of_way),
            (None, Some(_)) => (false, "before_first_step"),
            (Some(_), None) => (false, "after_last_step"),
            (None, None) => (false, "no_step"),
        }
    }

    /// Whether a step lies where a message of this time could have reached it.
    fn is_in_reach(self, way: Way, stamp: i64, around: Around) -> bool {
        let max_ns = Rule::new(way, self.measured_ns).max_ns();
        if max_ns == i64::MAX {
            return true;
        }
        let next = if way.crosses { around.after_any } else { around.after };
        let after = next.is_some_and(|it| it.saturating_sub(stamp) <= max_ns);
        let before = around.before.is_some_and(|it| stamp.saturating_sub(it) <= max_ns);
        match way.align {
            // A held message reaches forward only; after the last step that is nowhere.
            Align::Hold => after || next.is_none() || around.before == Some(stamp),
            Align::Nearest | Align::Linear | Align::Slerp => after || before,
        }
    }
}
