use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use nodedata_core::Result;
use nodedata_reader::{KeepsSpare, Place as Address};

use crate::{
    Position, State, Tail,
    engine::{
        batch::{Batch, PolledBatch},
        queue::{Head, Popped},
        run::Run,
        sample::{Polled, Sample},
        stats::{SKIPPED_MAX, Skipped, StreamStats},
        stream_plan::StreamPlan,
    },
};

/// How long it waits at a time where nobody says how long.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The samples of a plan, pass by pass, in the order of the plan.
///
/// Threads are started when the first sample is asked for, and end with the pass, with [`Self::stop`], and when the stream is dropped.
/// They work ahead as far as the options let them, and rest when nobody takes what they make. In a process that was forked, a stream
/// goes on where it stood, with threads of its own.
///
/// What comes, and in which order, follows from the plan alone: neither threads nor their number nor the memory that they may use
/// change it. An error comes in the place of the sample that it is of, and the stream goes on behind it. Where samples are left out
/// because they are damaged, the next ones take their places, and the pass ends with fewer; it is then not said that other ranks end
/// with as many.
#[derive(Debug)]
pub struct Stream {
    plan: Arc<StreamPlan>,
    /// Where the pass began, or was resumed.
    position: Position,
    /// Samples that this process has had since, those included that were left out.
    n_taken: u64,
    /// The same with those that wait for the rest of their batch.
    n_popped: u64,
    /// These, each with how many there were up to it.
    hand: VecDeque<(u64, Sample)>,
    /// Whether somebody takes batches, so that samples are decoded to their places in them.
    is_batched: bool,
    run: Option<Run>,
    /// From the first sample on, until it is stopped: what callers let go of is used for the samples that come.
    spare: Option<KeepsSpare>,
    is_over: bool,
    /// What was done but for the run that is under way.
    stats: StreamStats,
}

impl Stream {
    /// The stream from the beginning of the plan's first pass on.
    pub fn new(plan: Arc<StreamPlan>) -> Self {
        let position = plan.order().start();
        Self::at(plan, position)
    }

    /// The stream from where a state was saved, whatever the ranks, workers and batches were then.
    ///
    /// # Errors
    /// Those of [`crate::Plan::resume`].
    pub fn from_state(plan: Arc<StreamPlan>, state: &State) -> Result<Self> {
        let position = plan.order().resume(state)?;
        Ok(Self::at(plan, position))
    }

    fn at(plan: Arc<StreamPlan>, position: Position) -> Self {
        let (hand, stats) = (VecDeque::new(), StreamStats::default());
        let (n_taken, n_popped) = (0, 0);
        Self {
            plan,
            position,
            n_taken,
            n_popped,
            hand,
            is_batched: false,
            run: None,
            spare: None,
            is_over: false,
            stats,
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<StreamPlan> {
        &self.plan
    }

    /// The next sample, as soon as it is ready or so much time has passed.
    pub fn next_within(&mut self, patience: Duration) -> Polled {
        let started = Instant::now();
        let polled = match self.hand.pop_front() {
            Some((n_taken, sample)) => {
                self.n_taken = n_taken;
                Polled::Ready(Ok(sample))
            }
            None => self.poll(started, patience),
        };
        if let Polled::Ready(Ok(_)) = &polled {
            self.hand_over();
        }
        self.stats.waited += started.elapsed();
        polled
    }

    /// The next batch, of as many samples as the plan's share says, as soon as it is ready or so much time has passed. Pictures and frames
    /// are decoded straight to their places in it.
    ///
    /// A batch whose samples are left out in part is filled up with those that come next, so that only the last one may be short; it comes
    /// where the share's tail is [`Tail::Pad`], and is left out where it is [`Tail::Drop`]. Where the next sample has an error that comes at
    /// once, and those before it wait for the rest of their batch.
    pub fn next_batch_within(&mut self, patience: Duration) -> PolledBatch {
        let started = Instant::now();
        let polled = self.poll_batch(started, patience);
        self.stats.waited += started.elapsed();
        polled
    }

    /// Where the stream stands: behind the sample that was delivered last, as if all ranks had had as many as this one. What threads
    /// have made beyond that is not in it, nor are samples that wait for the rest of their batch. A sample whose error was raised, or that was left out, counts as delivered.
    ///
    /// With workers it stands behind the last batch that each of them has had whole.
    pub fn state(&self) -> State {
        let share = self.plan.share();
        let cursor = share.cursor_at(self.plan.n_places(), self.position.cursor(), self.n_taken);
        self.plan.order().state_at(&self.position, cursor)
    }

    /// Samples of this pass that this process has not had yet.
    pub fn places_left(&self) -> u64 {
        let n_own = self.plan.share().n_own_places(self.plan.n_places(), self.position.cursor());
        n_own.saturating_sub(self.n_taken)
    }

    /// Goes on to the next pass: the next epoch of a single source. What is left of this one is not read.
    ///
    /// # Errors
    /// `Limit` when places can be counted no further.
    pub fn next_pass(&mut self) -> Result<()> {
        let position = self.plan.order().next_pass(&self.position)?;
        self.end_run();
        self.hand.clear();
        (self.position, self.n_taken, self.n_popped, self.is_over) = (position, 0, 0, false);
        Ok(())
    }

    /// What it has done so far.
    pub fn stats(&self) -> StreamStats {
        let mut stats = self.stats.clone();
        stats.n_found = self.plan.sources().iter().map(|it| it.feed.n_found()).sum();
        stats.warnings = self.plan.warnings();
        if let Some(run) = self.run.as_ref().filter(|it| it.is_own()) {
            let filled = run.filled();
            stats.add(&filled.done);
            stats.n_ready = filled.n_ready;
            stats.ready_bytes = filled.ready_bytes;
            stats.prefetched_bytes = filled.prefetched_bytes;
            stats.n_threads = filled.n_threads;
        }
        stats
    }

    /// Ends all threads, and lets go of what they made. The stream stays where it is: the next sample starts them again.
    pub fn stop(&mut self) {
        self.end_run();
        self.spare = None;
    }

    fn end_run(&mut self) {
        if let Some(run) = self.run.take().filter(Run::is_own) {
            self.stats.add(&run.filled().done);
            self.stats.frames.n_bytes = 0;
        }
    }

    fn poll(&mut self, started: Instant, patience: Duration) -> Polled {
        while !self.is_over {
            let run = match self.own_run() {
                Ok(run) => run,
                Err(err) => return Polled::Ready(Err(err)),
            };
            match run.take_within(patience.saturating_sub(started.elapsed())) {
                Popped::Pending => return Polled::Waiting,
                Popped::Over => {
                    self.end_run();
                    self.is_over = true;
                }
                Popped::Failed(err) => {
                    self.end_run();
                    self.is_over = true;
                    return Polled::Ready(Err(err));
                }
                Popped::Sample(head, sample) => {
                    self.n_popped += 1;
                    let sample = self.delivered(&head, sample);
                    if !matches!(sample, Some(Ok(_))) && self.hand.is_empty() {
                        self.n_taken = self.n_popped;
                    }
                    if let Some(sample) = sample {
                        return Polled::Ready(sample);
                    }
                    // Many may be left out one behind the other, and whoever waits may want to do something else.
                    if patience <= started.elapsed() {
                        return Polled::Waiting;
                    }
                }
            }
        }
        Polled::Done
    }

    fn poll_batch(&mut self, started: Instant, patience: Duration) -> PolledBatch {
        if !self.is_batched {
            self.is_batched = true;
            self.end_run();
        }
        let share = self.plan.share();
        let (size, keeps_rest) = (share.n_samples(), share.tail() == Tail::Pad);
        while (self.hand.len() as u64) < size {
            match self.poll(started, patience) {
                Polled::Ready(Ok(sample)) => self.hand.push_back((self.n_popped, sample)),
                Polled::Ready(Err(err)) => return PolledBatch::Ready(Err(err)),
                Polled::Waiting => return PolledBatch::Waiting,
                Polled::Done if keeps_rest && !self.hand.is_empty() => break,
                Polled::Done => {
                    self.hand.clear();
                    self.hand_over();
                    return PolledBatch::Done;
                }
            }
        }
        let samples = self.hand.drain(..).map(|it| it.1).collect();
        self.hand_over();
        PolledBatch::Ready(Batch::of(samples))
    }

    /// What was taken is the caller's, and makes room for more.
    fn hand_over(&mut self) {
        if self.hand.is_empty() {
            self.n_taken = self.n_popped;
        }
        if let Some(run) = self.run.as_ref().filter(|it| self.is_batched && it.is_own()) {
            run.handed_over();
        }
    }

    /// The run of this process.
    fn own_run(&mut self) -> Result<&Run> {
        let run = match self.run.take().filter(Run::is_own) {
            Some(run) => run,
            None => {
                let size = usize::try_from(self.plan.share().n_samples()).unwrap_or(usize::MAX);
                let batch = if self.is_batched { (size, self.hand.len()) } else { (0, 0) };
                Run::start(&self.plan, &self.position, self.n_popped, batch)?
            }
        };
        self.spare.get_or_insert_with(KeepsSpare::new);
        Ok(self.run.insert(run))
    }

    /// Counts a sample. `None` for one that is left out.
    fn delivered(&mut self, head: &Head, sample: Result<Sample>) -> Option<Result<Sample>> {
        let err = match sample {
            Ok(sample) => {
                self.stats.n_samples += 1;
                self.stats.decoded_bytes += sample.n_bytes();
                return Some(Ok(sample));
            }
            Err(err) => err,
        };
        let (draw, step) = (&head.draw, head.draw.located.steps.start);
        let episode = usize::try_from(draw.located.episode).unwrap_or(usize::MAX);
        let err = match self.plan.source(draw.source) {
            Some(source) => err.at(source.feed.locus(episode, step)),
            None => err,
        };
        if !self.plan.engine().on_error.skips(&err) {
            return Some(Err(err));
        }
        self.stats.n_skipped += 1;
        if self.stats.skipped.len() < SKIPPED_MAX {
            let (source, epoch, place) = (draw.source, draw.epoch, head.place.place);
            let address = Address::of(&err).cloned().unwrap_or_default();
            let message = err.chain();
            self.stats.skipped.push(Skipped { source, epoch, episode, step, place, message, address });
        }
        None
    }
}

impl Iterator for Stream {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_within(PATIENCE) {
                Polled::Ready(sample) => return Some(sample),
                Polled::Waiting => {}
                Polled::Done => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests;
