use std::sync::{Arc, Mutex};

use nodedata_core::{Error, Result};

use super::lost;
use crate::{
    Draw, Place, Unit,
    engine::{
        assembly::{Assembly, too_large},
        feed::Wanted,
        sample::{Sample, SampleField},
        stream_plan::{KeptBlock, Source},
    },
};

/// A sample on its way.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) head: Head,
    pub(super) jobs: Vec<Job>,
    /// Pieces that are not over.
    pub(super) n_left: usize,
    /// Bytes of the values, about.
    pub(super) n_bytes: u64,
    /// The part of them that is known beforehand.
    pub(super) fixed_bytes: u64,
    /// Rows that have more than those.
    pub(super) n_varying: u64,
    /// What it takes of `ready_bytes`; 0 until it is admitted.
    pub(super) charge: u64,
    /// `None` once it is finished.
    pub(super) assembly: Arc<Mutex<Option<Assembly>>>,
    /// What is wrong with the first of the pieces that are broken, and which that is.
    pub(super) failure: Option<(usize, Error)>,
    pub(super) sample: Option<Result<Sample>>,
    /// The block that it is in, where blocks are fetched whole.
    pub(super) block: Option<KeptBlock>,
}

/// Which sample it is.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Head {
    pub(in crate::engine) place: Place,
    pub(in crate::engine) draw: Draw,
}

/// A piece of a sample.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) wanted: Vec<Wanted>,
    pub(super) stage: Stage,
    /// Where its bytes are; `None` where they are at hand, or nobody has asked for them.
    pub(super) portion: Option<u64>,
}

/// How far a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody has asked for its bytes.
    Waiting,
    /// They are on their way.
    Coming,
    /// They are in memory, or mapped.
    Here,
    /// A thread is at it.
    Decoding,
    /// It is with its sample, or will not be.
    Over,
}

impl Head {
    /// The sample, with what it holds.
    pub(in crate::engine) fn sample(&self, unit: Unit, fields: Vec<SampleField>) -> Result<Sample> {
        let Draw { source, epoch, sample: _, located } = &self.draw;
        let step = match unit {
            Unit::Step => Some(located.steps.start),
            Unit::Episode => None,
        };
        Ok(Sample {
            source: *source,
            epoch: *epoch,
            episode: usize::try_from(located.episode).map_err(|_| lost())?,
            steps: located.steps.clone(),
            step,
            place: self.place.place,
            is_repeat: self.place.is_repeat,
            fields,
        })
    }
}

impl Slot {
    /// A sample, of which rows of varying size have about so many bytes more than those that are known.
    pub(super) fn new(head: Head, source: &Source, varying_bytes: u64, bytes_max: u64) -> Self {
        let (layout, located) = (&source.layout, &head.draw.located);
        let (fixed_bytes, n_varying) = layout.decoded_bytes(located);
        let pieces = match fixed_bytes > bytes_max {
            true => Err(too_large(fixed_bytes, bytes_max, layout.unit)),
            false => layout.pieces(located, &|part, episode| source.feed.cuts(part, episode)),
        };
        let (pieces, sample) = match pieces {
            Ok(pieces) => (pieces, None),
            Err(err) => (Vec::new(), Some(Err(err))),
        };
        let stage = if source.at_hand.is_some() { Stage::Here } else { Stage::Waiting };
        let jobs: Vec<Job> = pieces.into_iter().map(|wanted| Job { wanted, stage, portion: None }).collect();
        Self {
            n_left: jobs.len(),
            jobs,
            n_bytes: fixed_bytes.saturating_add(n_varying.saturating_mul(varying_bytes)),
            fixed_bytes,
            n_varying,
            charge: 0,
            assembly: Arc::new(Mutex::new(Some(Assembly::new(layout, bytes_max)))),
            failure: None,
            sample,
            block: source.block_of(head.draw.sample),
            head,
        }
    }

    /// Whether nothing of it is on its way before a piece, so that it waits for this one alone.
    pub(super) fn waits_for(&self, piece: usize) -> bool {
        self.jobs.iter().take(piece).all(|it| it.stage == Stage::Over)
    }

    /// A piece is broken. Those behind it that no thread is at are over; hands out which these are, and whose portions they need no
    /// more.
    pub(super) fn fail(&mut self, piece: usize, err: Error, freed: &mut Vec<u64>) -> Vec<usize> {
        if self.failure.as_ref().is_none_or(|(before, _)| piece < *before) {
            self.failure = Some((piece, err));
        }
        let mut ended = Vec::new();
        for (idx, job) in self.jobs.iter_mut().enumerate().skip(piece + 1) {
            if matches!(job.stage, Stage::Waiting | Stage::Here) {
                job.stage = Stage::Over;
                freed.extend(job.portion.take());
                self.n_left -= 1;
                ended.push(idx);
            }
        }
        ended
    }
}
