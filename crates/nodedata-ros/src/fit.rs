//! Which of several definitions is that of some payloads: the first under which all of them are read to their ends.

use nodedata_core::{Error, Layout, Result};

use crate::{Candidate, Definitions, Dialect, RosPlan};

/// Which definition payloads have.
#[derive(Debug)]
pub enum Fitted {
    /// The candidate at this position.
    Taken(usize),
    /// None: the best of them reads so many bytes of a payload of so many.
    None {
        /// Bytes up to where definition and payload disagree.
        consumed: usize,
        /// Bytes of that payload.
        of: usize,
    },
    /// None can be used at all, for this reason; `None` where there is no candidate.
    Unusable(Option<Error>),
}

/// How a payload goes with a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measured {
    /// Bytes that were read, header included.
    pub(crate) consumed: usize,
    /// How well they end.
    pub(crate) ending: Ending,
    /// Whether all texts on the way were UTF-8.
    pub(crate) is_text: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    /// Definition and payload disagree.
    Wrong,
    /// More is left than writers pad, though no more than decoding passes over.
    Padded,
    /// Nothing is left but the padding that every writer adds.
    Exact,
}

/// Chooses the definition of a topic of type `root` by some of its payloads, with their encapsulation headers.
///
/// The first candidate under which all payloads end exactly is taken, or else the first that decodes them: a field that an
/// older definition lacks may look like padding, so that one that ends exactly goes before. Of those that end alike, one under
/// which all texts are UTF-8 goes before. Without payloads it is the first that can be used.
pub fn fit(root: &str, candidates: &[Candidate], payloads: &[&[u8]]) -> Fitted {
    let mut unusable = None;
    let mut decodes: Option<((Ending, bool), usize)> = None;
    let mut best: Option<Miss> = None;
    for (idx, candidate) in candidates.iter().enumerate() {
        let plan = match compile(root, &candidate.text) {
            Ok(plan) => plan,
            Err(err) => {
                unusable.get_or_insert(err);
                continue;
            }
        };
        let (mut ending, mut is_text) = (Ending::Exact, true);
        for (n_fit, payload) in payloads.iter().enumerate() {
            let measured = plan.measure_cdr(payload);
            ending = ending.min(measured.ending);
            is_text &= measured.is_text;
            if measured.ending == Ending::Wrong {
                let miss = Miss { n_fit, consumed: measured.consumed, of: payload.len() };
                best = best.filter(|it| !miss.is_nearer_than(it)).or(Some(miss));
                break;
            }
        }
        match (ending, is_text) {
            (Ending::Exact, true) => return Fitted::Taken(idx),
            (Ending::Wrong, _) => {}
            rank => decodes = decodes.filter(|it| rank <= it.0).or(Some((rank, idx))),
        }
    }
    match (decodes, best) {
        (Some((_, idx)), _) => Fitted::Taken(idx),
        (None, Some(Miss { consumed, of, .. })) => Fitted::None { consumed, of },
        (None, None) => Fitted::Unusable(unusable),
    }
}

/// Where a candidate failed.
#[derive(Debug, Clone, Copy)]
struct Miss {
    /// Payloads before.
    n_fit: usize,
    consumed: usize,
    of: usize,
}

impl Miss {
    fn is_nearer_than(&self, other: &Self) -> bool {
        let share = |it: &Self| it.consumed as f64 / it.of.max(1) as f64;
        self.n_fit > other.n_fit || (self.n_fit == other.n_fit && share(self) > share(other))
    }
}

fn compile(root: &str, text: &str) -> Result<RosPlan> {
    let definitions = Definitions::from_msg(root, text, Dialect::Ros2)?;
    RosPlan::compile(&mut Layout::default(), &definitions, root)
}

#[cfg(test)]
mod tests;
