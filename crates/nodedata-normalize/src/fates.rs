use std::collections::BTreeMap;

use nodedata_core::{Fate, StreamId};

use crate::{
    Align,
    mapping::{MappedStream, Way},
    plan::Piece,
};

/// Steps around a message.
#[derive(Debug, Clone, Copy)]
struct Around {
    /// The last step at or before it.
    before: Option<i64>,
    /// The first step after it.
    after: Option<i64>,
}

/// Says of every message in a piece what became of it.
///
/// `stamps` are those of the stream near the piece, `used` says which rows give a step a value, and `steps` are the
/// steps of the piece with the one before it and the one after it, so that each message is judged by all
/// steps that could have taken it.
pub(crate) fn fates(
    id: StreamId,
    stream: &MappedStream,
    piece: &Piece,
    stamps: &[i64],
    used: &[bool],
    steps: &[i64],
) -> Fate {
    let mut fate = Fate::new(id);
    let mut reasons: BTreeMap<(bool, &'static str), u64> = BTreeMap::new();
    let mut n_before = 0;
    for (stamp, used) in stamps.iter().zip(used) {
        while n_before < steps.len() && steps[n_before] <= *stamp {
            n_before += 1;
        }
        if !piece.holds(*stamp) {
            continue;
        }
        if *used {
            fate.used += 1;
            continue;
        }
        let around = Around {
            before: n_before.checked_sub(1).map(|it| steps[it]),
            after: steps.get(n_before).copied(),
        };
        *reasons.entry(reason(stream, piece, *stamp, around)).or_default() += 1;
    }
    for ((is_dropped, reason), n) in reasons {
        let of = if is_dropped { &mut fate.dropped } else { &mut fate.superseded };
        *of.entry(reason).or_default() += n;
    }
    fate
}

/// Why a message gave no step a value, and whether it counts as dropped: there was no step for it at all.
fn reason(stream: &MappedStream, piece: &Piece, stamp: i64, around: Around) -> (bool, &'static str) {
    if piece.episode.is_none() {
        return (true, piece.left_out.map_or("outside_every_episode", |it| it.reason));
    }
    if !stream.ways.is_empty() && !stream.ways.iter().any(|it| is_in_reach(*it, stamp, around)) {
        return (true, "beyond_tolerance");
    }
    let of_way = match stream.ways.first().map(|it| it.align) {
        Some(Align::Nearest) => "not_nearest",
        Some(Align::Hold) => "replaced",
        Some(Align::Linear | Align::Slerp) => "not_adjacent",
        // A clock or gap topic that no field is made of.
        None => "not_mapped",
    };
    match (around.before, around.after) {
        (Some(_), Some(_)) => (false, of_way),
        (None, Some(_)) => (false, "before_first_step"),
        (Some(_), None) => (false, "after_last_step"),
        (None, None) => (false, "no_step"),
    }
}

/// Whether a step lies where a message of this time could have reached it.
fn is_in_reach(way: Way, stamp: i64, around: Around) -> bool {
    let Some(max_ns) = way.max_ns else { return true };
    let after = around.after.is_some_and(|it| it.saturating_sub(stamp) <= max_ns);
    let before = around.before.is_some_and(|it| stamp.saturating_sub(it) <= max_ns);
    match way.align {
        // A held message reaches forward only; after the last step that is nowhere.
        Align::Hold => after || around.after.is_none() || around.before == Some(stamp),
        Align::Nearest | Align::Linear | Align::Slerp => after || before,
    }
}
