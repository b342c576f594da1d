//! What is fetched next, and with what.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use nodedata_core::Result;

use super::{JobId, Queue, learned_of, slot::Stage};
use crate::engine::{
    feed::{Portion, Wanted},
    flights::Answer,
    lines::Held,
    portions::BlockId,
    stream_plan::{Keeper, KeptBlock},
};

/// Coded bytes that are fetched together once a stream is under way, at most.
const RUN_BYTES_MAX: u64 = 8 << 20;
/// Those of the second thing that is fetched; the first is a piece alone, so that it comes soon.
const RUN_BYTES_MIN: u64 = 256 << 10;
/// Pieces that are fetched together, at most.
const RUN_JOBS: usize = 64;
/// Samples among which others of the same source are looked for.
const RUN_SAMPLES: u64 = 256;

/// Something to fetch.
#[derive(Debug, Default)]
pub(in crate::engine) struct Errand {
    portion: u64,
    /// Of which source.
    pub(in crate::engine) source: usize,
    pub(in crate::engine) wanted: Vec<Wanted>,
    /// What is brought to the disk before: the blocks that they lie in.
    pub(in crate::engine) ahead: Vec<Wanted>,
    block: Option<BlockId>,
    /// Rows that it is for.
    n_rows: u64,
    /// Whether it is for one piece and no more than that.
    is_alone: bool,
    /// What the first request for it has of the lines.
    pub(in crate::engine) held: Held,
}

impl Queue {
    /// The next thing to fetch: something that is slow once more, or what comes next in the order, as far as there is room for it. Says
    /// whether it was asked for before.
    pub(in crate::engine) fn next_errand(&mut self, now: Instant) -> Option<(Arc<Errand>, bool)> {
        if let Some(errand) = self.flights.again(now) {
            return Some((errand, true));
        }
        let errand = Arc::new(self.next_in_order()?);
        self.flights.start(errand.portion, &errand, now);
        Some((errand, false))
    }

    /// What comes next. What is needed together, and near each other, is fetched together.
    fn next_in_order(&mut self) -> Option<Errand> {
        loop {
            // Whichever comes first: the first of all must never wait for another that has no room.
            let next = self.next_waiting();
            let alone = self.alone.first().copied().filter(|it| next.is_none_or(|next| *it < next));
            if let Some(id) = alone {
                let errand = self.errand_of(&[id])?;
                self.alone.remove(&id);
                return Some(errand);
            }
            let id = next?;
            let slot = self.slot(id.nth)?;
            let source = slot.head.draw.source;
            let block = slot.block.clone().filter(|it| it.keeper == Keeper::Memory);
            let Some(KeptBlock { number, steps, .. }) = block else {
                let jobs = self.run_from(id, source);
                let errand = self.errand_of(&jobs)?;
                self.run_bytes = (self.run_bytes * 2).clamp(RUN_BYTES_MIN, RUN_BYTES_MAX);
                return Some(errand);
            };
            let block = (source, number);
            if self.broken.contains(&block) {
                return self.errand_of(&[id]);
            }
            if let Some(portion) = self.portions.block(block) {
                self.join(id, portion);
                continue;
            }
            let episode = slot.head.draw.located.episode;
            let layout = Arc::clone(&self.plan.source(source)?.layout);
            // An episode that is not there is told by the sample itself.
            let Ok(wanted) = layout.around(episode, &steps) else { return self.errand_of(&[id]) };
            return self.open(&[id], wanted, Vec::new(), Some(block));
        }
    }

    /// What was fetched is here, or cannot be had.
    pub(in crate::engine) fn fetched(
        &mut self,
        errand: &Errand,
        result: Result<Arc<dyn Portion>>,
        now: Instant,
    ) {
        self.done.n_fetches += 1;
        self.done.fetched_bytes += result.as_ref().map_or(0, |it| it.n_bytes());
        if self.flights.answered(errand.portion, result.is_ok(), now) == Answer::Passed {
            return;
        }
        match result {
            Ok(portion) => {
                let found = portion.n_bytes().checked_div(errand.n_rows);
                if let (Some(learned), Some(found)) = (self.learned.get_mut(errand.source), found) {
                    learned.coded_bytes = learned_of(learned.coded_bytes, found);
                }
                for id in self.portions.arrived(errand.portion, portion) {
                    self.here(id);
                }
            }
            Err(err) => {
                let waiting = self.portions.failed(errand.portion);
                if let ([id], true) = (waiting.as_slice(), errand.is_alone) {
                    self.end(*id, Err(err));
                    return;
                }
                // Of which of them it is nobody knows: each asks for itself, and has an error of its own.
                self.broken.extend(errand.block);
                for id in waiting {
                    self.reset(id);
                }
            }
        }
    }

    /// Moves on to the next piece whose bytes nobody has asked for.
    fn next_waiting(&mut self) -> Option<JobId> {
        let start = JobId { nth: self.first(), piece: 0 };
        self.fetch_at = self.fetch_at.max(start);
        loop {
            let at = self.fetch_at;
            while self.slot(at.nth).is_none() {
                if !self.draw() {
                    return None;
                }
            }
            let jobs = self.slot(at.nth)?.jobs.iter().enumerate().skip(at.piece);
            let is_next = |piece: usize, stage: Stage| {
                stage == Stage::Waiting && !self.alone.contains(&JobId { nth: at.nth, piece })
            };
            let next =
                jobs.map(|(piece, it)| (piece, it.stage)).find(|(piece, stage)| is_next(*piece, *stage));
            match next {
                Some((piece, _)) => {
                    self.fetch_at.piece = piece;
                    return Some(self.fetch_at);
                }
                None => self.fetch_at = JobId { nth: at.nth + 1, piece: 0 },
            }
        }
    }

    /// Pieces of a source from one on that are fetched together.
    fn run_from(&mut self, id: JobId, source: usize) -> Vec<JobId> {
        let (mut jobs, mut n_bytes, mut blocks) = (Vec::new(), 0_u64, BTreeSet::new());
        for nth in id.nth..id.nth + RUN_SAMPLES {
            if self.slot(nth).is_none() && !self.draw() {
                break;
            }
            let Some(slot) = self.slot(nth).filter(|it| it.head.draw.source == source) else { continue };
            let first = if nth == id.nth { id.piece } else { 0 };
            for (piece, job) in slot.jobs.iter().enumerate().skip(first) {
                let job_id = JobId { nth, piece };
                if job.stage != Stage::Waiting || self.alone.contains(&job_id) {
                    continue;
                }
                n_bytes = n_bytes.saturating_add(self.coded_bytes(source, &job.wanted));
                if let Some((_, around)) = self.block_ahead(job_id).filter(|it| blocks.insert(it.0)) {
                    n_bytes = n_bytes.saturating_add(self.told_bytes(source, &around));
                }
                if !jobs.is_empty() && (n_bytes > self.run_bytes || jobs.len() >= RUN_JOBS) {
                    return jobs;
                }
                jobs.push(job_id);
            }
        }
        jobs
    }

    /// Fetches pieces of one source together, or as many of them as there is room for.
    fn errand_of(&mut self, jobs: &[JobId]) -> Option<Errand> {
        let source = self.source_of(*jobs.first()?)?;
        let (mut wanted, mut n_jobs, mut n_bytes) = (Vec::new(), 0, 0_u64);
        let (mut ahead, mut blocks) = (Vec::new(), BTreeSet::new());
        for job in jobs {
            let of_job = self.slot(job.nth)?.jobs.get(job.piece)?.wanted.clone();
            n_bytes = n_bytes.saturating_add(self.coded_bytes(source, &of_job));
            let block = self.block_ahead(*job).filter(|(block, _)| !blocks.contains(block));
            let of_block = block.as_ref().map_or(0, |(_, around)| self.told_bytes(source, around));
            n_bytes = n_bytes.saturating_add(of_block);
            if n_jobs > 0 && !self.portions.make_room(n_bytes) {
                break;
            }
            wanted.extend(of_job);
            if let Some((block, around)) = block {
                blocks.insert(block);
                ahead.extend(around);
            }
            n_jobs += 1;
        }
        let errand = self.open(jobs.get(..n_jobs)?, wanted, ahead, None)?;
        self.on_disk.extend(blocks);
        Some(errand)
    }

    /// The block that a piece lies in and the steps around it, where it is to be brought to the disk and nobody has asked for that yet.
    fn block_ahead(&self, id: JobId) -> Option<(BlockId, Vec<Wanted>)> {
        let slot = self.slot(id.nth)?;
        let block = slot.block.as_ref().filter(|it| it.keeper == Keeper::Disk)?;
        let draw = &slot.head.draw;
        let block_id = (draw.source, block.number);
        if self.on_disk.contains(&block_id) {
            return None;
        }
        // An episode that is not there is told by the sample itself.
        let around = self.plan.source(draw.source)?.layout.around(draw.located.episode, &block.steps).ok()?;
        Some((block_id, around))
    }

    /// Notes that pieces are on their way, where there is room for them, or all others wait for the first. What is brought to the disk
    /// ahead of them takes room as well, until they are here.
    fn open(
        &mut self,
        jobs: &[JobId],
        wanted: Vec<Wanted>,
        ahead: Vec<Wanted>,
        block: Option<BlockId>,
    ) -> Option<Errand> {
        let id = *jobs.first()?;
        let source = self.source_of(id)?;
        let n_bytes = self.coded_bytes(source, &wanted).saturating_add(self.told_bytes(source, &ahead));
        let is_first = id.nth == self.first() && self.slot(id.nth)?.waits_for(id.piece);
        if !self.portions.make_room(n_bytes) && !is_first {
            return None;
        }
        let portion = self.portions.open(n_bytes, block, jobs.to_vec());
        for job in jobs {
            self.is_coming(*job, portion);
        }
        let layout = &self.plan.source(source)?.layout;
        let n_rows = layout.coded_bytes_of(&wanted, 1);
        let is_alone = block.is_none() && jobs.len() == 1;
        Some(Errand { portion, source, wanted, ahead, block, n_rows, is_alone, held: Held::default() })
    }

    /// A piece waits for a block that is here or on its way.
    fn join(&mut self, id: JobId, portion: u64) {
        let is_here = self.portions.add_user(portion, id);
        self.is_coming(id, portion);
        if is_here {
            self.here(id);
        }
    }

    fn is_coming(&mut self, id: JobId, portion: u64) {
        if let Some(job) = self.slot_mut(id.nth).and_then(|it| it.jobs.get_mut(id.piece)) {
            (job.stage, job.portion) = (Stage::Coming, Some(portion));
        }
    }

    /// A piece has to be fetched for itself, unless its sample is broken before it.
    fn reset(&mut self, id: JobId) {
        if self.is_moot(id) {
            self.end(id, Ok(()));
        } else if let Some(job) = self.slot_mut(id.nth).and_then(|it| it.jobs.get_mut(id.piece)) {
            (job.stage, job.portion) = (Stage::Waiting, None);
            self.alone.insert(id);
        }
    }

    fn source_of(&self, id: JobId) -> Option<usize> {
        Some(self.slot(id.nth)?.head.draw.source)
    }

    /// Coded bytes of steps that lie together, about, as the manifest tells.
    fn told_bytes(&self, source: usize, wanted: &[Wanted]) -> u64 {
        // What was learned of single steps is no measure: each is fetched with what it is verified with.
        let layout = self.plan.source(source).map(|it| &it.layout);
        layout.map_or(0, |it| it.coded_bytes_of(wanted, it.coded_bytes))
    }

    /// Coded bytes of what is wanted, about.
    fn coded_bytes(&self, source: usize, wanted: &[Wanted]) -> u64 {
        let layout = self.plan.source(source).map(|it| &it.layout);
        let learned = self.learned.get(source);
        layout.zip(learned).map_or(0, |(layout, learned)| layout.coded_bytes_of(wanted, learned.coded_bytes))
    }
}
