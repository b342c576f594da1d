mod fetches;
mod seats;
mod slot;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_reader::VideoCacheStats;

use crate::{
    Draws, Position,
    engine::{
        assembly::Assembly,
        feed::{Portion, Wanted},
        flights::Flights,
        portions::{BlockId, Portions},
        sample::Sample,
        stream_plan::StreamPlan,
    },
};

pub(super) use fetches::Errand;
use seats::Seats;
pub(super) use slot::Head;
use slot::{Slot, Stage};

/// Samples that are on their way at once, at most: what they hold is bounded by bytes, they themselves by this.
const SLOTS_MAX: usize = 4096;
/// What a sample that waits costs beside its values.
const SLOT_BYTES: u64 = 1024;

/// A piece of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobId {
    /// Which sample, counted over those of this process.
    pub(super) nth: u64,
    /// Which of its pieces.
    pub(super) piece: usize,
}

/// Samples on their way, in their order: drawn, fetched, decoded, ready. All decisions are made here, under one lock; all work is done
/// outside.
///
/// - Samples are drawn when somebody needs more.
/// - Pieces are fetched in their order, as far ahead as `prefetch_bytes` go: with the block that they lie in, where blocks are kept in
///   memory, or once that is on the disk, where they are kept there.
/// - Samples are admitted in their order, as many as `ready_bytes` hold. Pieces of those that are admitted and fetched are decoded, the
///   first one first. They are ready in any order, and taken in theirs.
///
/// Where batches are taken, one counts as a whole as soon as its first sample is admitted, until it is handed over; the others of it are
/// admitted with the first.
///
/// The first sample is always admitted, and what it needs next is always fetched, so that nothing waits for what waits for it.
#[derive(Debug)]
pub(super) struct Queue {
    plan: Arc<StreamPlan>,
    draws: Draws,
    /// Where the pass began, or was resumed.
    from: u64,
    n_drawn: u64,
    /// Whether there are no more to be drawn.
    is_drawn_out: bool,
    /// What went wrong with drawing.
    failure: Option<Error>,
    slots: VecDeque<Slot>,
    /// How many of them, from the first on, are admitted.
    n_admitted: usize,
    charged_bytes: u64,
    /// Those of them that were taken and wait for the rest of their batch.
    taken_bytes: u64,
    seats: Seats,
    /// Pieces that can be decoded.
    decodable: BTreeSet<JobId>,
    portions: Portions,
    pub(super) flights: Flights,
    /// Pieces that are fetched each alone, because something was wrong with those that they were fetched with.
    alone: BTreeSet<JobId>,
    broken: BTreeSet<BlockId>,
    /// Blocks that are on the disk, or on their way there.
    on_disk: BTreeSet<BlockId>,
    /// All before it are fetched, or on their way.
    fetch_at: JobId,
    /// Bytes of pieces that are fetched together. The first ones are fetched alone, so that they come soon.
    run_bytes: u64,
    /// What was learned of each source.
    learned: Vec<Learned>,
    pub(super) done: Done,
}

/// What was learned of the rows of a source while they passed.
#[derive(Debug, Clone, Copy)]
struct Learned {
    /// Coded bytes that are fetched for a row.
    coded_bytes: u64,
    /// Bytes of values whose sizes vary, in a row.
    varying_bytes: u64,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    pub(super) n_fetches: u64,
    pub(super) fetched_bytes: u64,
    pub(super) decoding: Duration,
    pub(super) frames: VideoCacheStats,
}

/// What a thread decodes.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) id: JobId,
    pub(super) head: Head,
    pub(super) wanted: Vec<Wanted>,
    pub(super) portion: Arc<dyn Portion>,
    pub(super) assembly: Arc<Mutex<Option<Assembly>>>,
}

/// What stands first.
#[derive(Debug)]
pub(super) enum Popped {
    /// A sample, or what is wrong with it.
    Sample(Head, Result<Sample>),
    /// One that is not ready yet.
    Pending,
    /// Nothing: the plan cannot say what comes next.
    Failed(Error),
    /// Nothing any more.
    Over,
}

impl Queue {
    /// The samples of the pass of a position, but for the first `n_taken` of this process. They are taken in batches of `batch.0`, of the
    /// first of which there are `batch.1` already, or where that is 0 one by one.
    pub(super) fn new(
        plan: Arc<StreamPlan>,
        position: &Position,
        n_taken: u64,
        batch: (usize, usize),
    ) -> Self {
        let learned = plan
            .sources()
            .iter()
            .map(|it| Learned { coded_bytes: it.layout.coded_bytes, varying_bytes: it.layout.coded_bytes });
        Self {
            draws: Draws::new(Arc::clone(plan.order()), position),
            from: position.cursor(),
            n_drawn: n_taken,
            is_drawn_out: false,
            failure: None,
            slots: VecDeque::new(),
            n_admitted: 0,
            charged_bytes: 0,
            taken_bytes: 0,
            seats: Seats::new(batch.0, batch.1),
            decodable: BTreeSet::new(),
            portions: Portions::new(plan.engine().prefetch_bytes),
            flights: Flights::default(),
            alone: BTreeSet::new(),
            broken: BTreeSet::new(),
            on_disk: BTreeSet::new(),
            fetch_at: JobId { nth: n_taken, piece: 0 },
            run_bytes: 0,
            learned: learned.collect(),
            done: Done::default(),
            plan,
        }
    }

    /// The next piece to decode.
    pub(super) fn next_work(&mut self) -> Option<Work> {
        self.admit();
        while let Some(id) = self.decodable.pop_first() {
            let found = self.slot_mut(id.nth).and_then(|slot| {
                let job = slot.jobs.get_mut(id.piece)?;
                job.stage = Stage::Decoding;
                let wanted = std::mem::take(&mut job.wanted);
                Some((slot.head.clone(), wanted, job.portion, Arc::clone(&slot.assembly)))
            });
            let Some((head, wanted, portion, assembly)) = found else { continue };
            let portion = match portion {
                Some(portion) => self.portions.get(portion).cloned(),
                None => self.plan.source(head.draw.source).and_then(|it| it.at_hand.clone()),
            };
            match portion {
                Some(portion) => return Some(Work { id, head, wanted, portion, assembly }),
                None => self.end(id, Err(lost())),
            }
        }
        None
    }

    /// Whether there is work for one more.
    pub(super) fn has_work(&self) -> bool {
        !self.decodable.is_empty()
    }

    /// A piece was decoded, and is with its sample. What is wrong with one is wrong with the sample: of several pieces the first says
    /// it, and those behind it are not decoded any more. `true` when the sample has all its pieces, and is to be finished.
    pub(super) fn decoded(&mut self, id: JobId, result: Result<()>) -> bool {
        self.end(id, result);
        self.slot_mut(id.nth).is_some_and(|it| it.n_left == 0 && it.sample.is_none())
    }

    /// A sample is finished.
    pub(super) fn finished(&mut self, nth: u64, sample: Result<Sample>) {
        let Ok(made) = &sample else {
            self.set(nth, sample);
            return;
        };
        let n_bytes = made.n_bytes();
        // What was charged of a batch stays: the next one is guessed better.
        let charge = (self.seats.size() == 0).then(|| self.charge(n_bytes));
        let Some(slot) = self.slot_mut(nth) else { return };
        let charge = charge.unwrap_or(slot.charge);
        let before = std::mem::replace(&mut slot.charge, charge);
        let varying = n_bytes.saturating_sub(slot.fixed_bytes).checked_div(slot.n_varying);
        let source = slot.head.draw.source;
        self.charged_bytes = self.charged_bytes - before + charge;
        if let (Some(learned), Some(varying)) = (self.learned.get_mut(source), varying) {
            learned.varying_bytes = learned_of(learned.varying_bytes, varying);
        }
        self.set(nth, sample);
    }

    /// Takes what stands first.
    pub(super) fn pop(&mut self) -> Popped {
        if self.slots.is_empty() && !self.draw() {
            return match self.failure.take() {
                Some(err) => Popped::Failed(err),
                None => Popped::Over,
            };
        }
        let Some(sample) = self.slots.front_mut().and_then(|it| it.sample.take()) else {
            return Popped::Pending;
        };
        let Some(slot) = self.slots.pop_front() else { return Popped::Pending };
        self.n_admitted = self.n_admitted.saturating_sub(1);
        match self.seats.size() {
            0 => self.charged_bytes -= slot.charge,
            _ => self.taken_bytes += slot.charge,
        }
        Popped::Sample(slot.head, sample)
    }

    /// What was taken has been handed over: the memory of the batch is another's.
    pub(super) fn handed_over(&mut self) {
        self.charged_bytes -= std::mem::take(&mut self.taken_bytes);
    }

    /// Samples that are ready, bytes of `ready_bytes` that are in use, and bytes that were fetched and are in memory.
    pub(super) fn filled(&self) -> (u64, u64, u64) {
        let n_ready = self.slots.iter().filter(|it| it.sample.is_some()).count();
        (n_ready as u64, self.charged_bytes, self.portions.held_bytes())
    }

    /// Lets go of all samples, and of all that was fetched. What is still on its way is for nobody.
    pub(super) fn let_go(&mut self) {
        self.is_drawn_out = true;
        self.slots.clear();
        (self.n_admitted, self.charged_bytes, self.taken_bytes) = (0, 0, 0);
        self.decodable.clear();
        self.alone.clear();
        self.portions = Portions::new(0);
    }

    /// Number of the first sample on its way.
    fn first(&self) -> u64 {
        self.n_drawn - self.slots.len() as u64
    }

    fn slot(&self, nth: u64) -> Option<&Slot> {
        self.slots.get(usize::try_from(nth.checked_sub(self.first())?).ok()?)
    }

    fn slot_mut(&mut self, nth: u64) -> Option<&mut Slot> {
        let idx = usize::try_from(nth.checked_sub(self.first())?).ok()?;
        self.slots.get_mut(idx)
    }

    /// Draws one more sample. `false` where there is none, or are too many on their way.
    fn draw(&mut self) -> bool {
        if self.is_drawn_out || self.slots.len() >= SLOTS_MAX {
            return false;
        }
        match self.drawn() {
            Ok(Some(slot)) => {
                self.slots.push_back(slot);
                self.n_drawn += 1;
            }
            Ok(None) => self.is_drawn_out = true,
            Err(err) => {
                self.is_drawn_out = true;
                self.failure = Some(err);
            }
        }
        !self.is_drawn_out
    }

    fn drawn(&mut self) -> Result<Option<Slot>> {
        let (n_places, share) = (self.plan.n_places(), self.plan.share());
        let Some(place) = share.place(n_places, self.from, self.n_drawn) else { return Ok(None) };
        let draw = self.draws.draw(place.place)?.ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("the plan has nothing at place {}", place.place))
                .with_hint("open the revision again")
        })?;
        let source = self.plan.source(draw.source).ok_or_else(lost)?;
        let learned = self.learned.get(draw.source).ok_or_else(lost)?;
        let bytes_max = self.plan.engine().max_sample_bytes;
        Ok(Some(Slot::new(Head { place, draw }, source, learned.varying_bytes, bytes_max)))
    }

    /// Admits samples as long as there is room for them.
    fn admit(&mut self) {
        loop {
            if self.n_admitted == self.slots.len() && !self.draw() {
                return;
            }
            let Some(slot) = self.slots.get(self.n_admitted) else { return };
            let is_over = slot.sample.is_some();
            let charge = if is_over { 0 } else { self.charge_of_next(slot.n_bytes) };
            let is_full = self.charged_bytes.saturating_add(charge) > self.plan.engine().ready_bytes;
            if charge > 0 && is_full && !self.is_needed_now() {
                return;
            }
            let nth = self.first() + self.n_admitted as u64;
            let source = self.plan.source(slot.head.draw.source);
            let seat = source.filter(|_| !is_over).and_then(|it| self.seats.deal(&it.layout));
            let Some(slot) = self.slots.get_mut(self.n_admitted) else { return };
            if let (Some(seat), Some(assembly)) = (seat, &mut *locked(&slot.assembly)) {
                assembly.sit(seat);
            }
            slot.charge = charge;
            let here = slot.jobs.iter().enumerate().filter(|(_, it)| it.stage == Stage::Here);
            self.decodable.extend(here.map(|(piece, _)| JobId { nth, piece }));
            self.charged_bytes += charge;
            self.n_admitted += 1;
        }
    }

    /// Whether somebody may wait for the sample that is admitted next, while nothing goes before it is there.
    fn is_needed_now(&self) -> bool {
        match self.seats.size() {
            0 => self.charged_bytes == 0,
            // What was taken waits for it to fill the batch.
            _ => self.n_admitted == 0,
        }
    }

    /// What the sample that is admitted next takes of `ready_bytes`. The first of a batch stands for all of it.
    fn charge_of_next(&self, n_bytes: u64) -> u64 {
        match (self.seats.size() as u64, self.seats.begins()) {
            (0, _) => self.charge(n_bytes),
            (size, true) => self.charge(n_bytes.saturating_add(SLOT_BYTES).saturating_mul(size)),
            (_, false) => 0,
        }
    }

    /// What a sample of so many bytes takes of `ready_bytes`: all of it where it is more than half.
    fn charge(&self, n_bytes: u64) -> u64 {
        let (n_bytes, ready_bytes) = (n_bytes.saturating_add(SLOT_BYTES), self.plan.engine().ready_bytes);
        if n_bytes > ready_bytes / 2 { n_bytes.max(ready_bytes) } else { n_bytes }
    }

    /// A piece was fetched, or is at hand: it is decoded once its sample is admitted.
    fn here(&mut self, id: JobId) {
        if self.is_moot(id) {
            self.end(id, Ok(()));
            return;
        }
        let (first, n_admitted) = (self.first(), self.n_admitted as u64);
        let Some(job) = self.slot_mut(id.nth).and_then(|it| it.jobs.get_mut(id.piece)) else { return };
        job.stage = Stage::Here;
        if id.nth - first < n_admitted {
            self.decodable.insert(id);
        }
    }

    /// Whether a piece is not needed any more, because one before it is broken.
    fn is_moot(&self, id: JobId) -> bool {
        let failure = self.slot(id.nth).and_then(|it| it.failure.as_ref());
        failure.is_some_and(|(piece, _)| *piece < id.piece)
    }

    /// A piece is over, well or not.
    fn end(&mut self, id: JobId, result: Result<()>) {
        let Some(slot) = self.slot_mut(id.nth) else { return };
        let Some(job) = slot.jobs.get_mut(id.piece).filter(|it| it.stage != Stage::Over) else { return };
        job.stage = Stage::Over;
        let mut freed: Vec<u64> = job.portion.take().into_iter().collect();
        slot.n_left -= 1;
        let mut ended = vec![id];
        if let Err(err) = result {
            for piece in slot.fail(id.piece, err, &mut freed) {
                ended.push(JobId { nth: id.nth, piece });
            }
        }
        let failure = if slot.n_left == 0 { slot.failure.take() } else { None };
        for id in ended {
            self.decodable.remove(&id);
            self.alone.remove(&id);
        }
        for portion in freed {
            self.portions.release(portion);
        }
        if let Some((_, err)) = failure {
            self.set(id.nth, Err(err));
        }
    }

    fn set(&mut self, nth: u64, sample: Result<Sample>) {
        let idx = nth.checked_sub(self.first());
        let is_admitted = idx.is_some_and(|it| it < self.n_admitted as u64);
        let is_of_batch = self.seats.size() > 0;
        let Some(slot) = self.slot_mut(nth) else { return };
        if sample.is_ok() {
            slot.sample = Some(sample);
            return;
        }
        // What was made of it goes.
        locked(&slot.assembly).take();
        slot.sample = Some(sample);
        if is_of_batch {
            // Its charge is that of the others as well. None of them has its place now.
            if is_admitted {
                self.seats.left_out();
            }
            return;
        }
        let charge = std::mem::take(&mut slot.charge);
        self.charged_bytes -= charge;
    }
}

/// What is expected of the next, once one was found: half of what it was before and half of what was found, but never less than what
/// was found last.
fn learned_of(before: u64, found: u64) -> u64 {
    (before / 2 + found / 2).max(found)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lost() -> Error {
    Error::new(ErrorKind::Corrupt, "what was fetched for the sample is lost")
        .with_hint("start the stream again from its state, and report this")
}
