//! A stream that a fork does not stop: each process has threads, files and locks of its own, and goes on where the stream stood when
//! the process was forked.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use nodedata_core::{Error, ErrorKind};
use nodedata_io::PerProcess;
use nodedata_reader::Split;
use nodedata_stream::{
    EngineOptions, MixOptions, Polled, PolledBatch, Share, State, Stream, StreamOptions, StreamPlan,
    StreamStats,
};
use pyo3::{Py, PyAny};

use crate::{errors::Failure, opened::OpenedSplit};

/// The samples of some splits.
pub(crate) struct StreamOfProcesses {
    sources: Vec<(Arc<OpenedSplit>, StreamOptions)>,
    mix: Option<MixOptions>,
    share: Share,
    engine: EngineOptions,
    /// Where the pass began, or was resumed; none before there is a plan. Locked only to be looked at or replaced.
    begin: Mutex<Option<State>>,
    /// Samples of this process that are left of the pass. No lock, because a fork may come between any two of them.
    n_left: AtomicU64,
    own: PerProcess<Own>,
}

/// What one process has of it.
pub(crate) struct Own {
    splits: Vec<Split>,
    plan: Arc<StreamPlan>,
    samples: Mutex<Stream>,
    /// What was made last, where a signal was raised in its place. It comes next.
    put_back: Mutex<Option<PutBack>>,
}

/// A sample or a batch that was not handed out.
struct PutBack {
    told: Py<PyAny>,
    kind: Kind,
    /// Places of the pass that it has.
    n_places: u64,
}

/// What is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sample,
    Batch,
}

impl StreamOfProcesses {
    /// The stream from the beginning on.
    ///
    /// # Errors
    /// Those of [`StreamPlan::new`].
    pub(crate) fn new(
        sources: Vec<(Arc<OpenedSplit>, StreamOptions)>,
        mix: Option<MixOptions>,
        share: Share,
        engine: EngineOptions,
    ) -> Result<Self, Failure> {
        let (begin, n_left, own) = (Mutex::new(None), AtomicU64::new(0), PerProcess::new());
        let stream = Self { sources, mix, share, engine, begin, n_left, own };
        let own = stream.own()?;
        stream.begins(&own.samples());
        Ok(stream)
    }

    /// What whoever reads should know before: why some blocks are fetched more than once, by several ranks or by this one, and caches
    /// that cannot be used.
    pub(crate) fn warnings(&self) -> Result<Vec<String>, Failure> {
        let own = self.own()?;
        let is_far = own.splits.iter().any(|it| !it.is_mapped());
        let of_ranks = own.plan.order().fetches_more(&self.share).filter(|_| is_far);
        Ok(of_ranks.into_iter().chain(own.plan.warnings()).collect())
    }

    /// The next sample, as soon as it is ready or so much time has passed.
    pub(crate) fn next_within(&self, patience: Duration) -> Result<Polled, Failure> {
        let own = self.own()?;
        let mut samples = own.samples();
        let polled = samples.next_within(patience);
        self.n_left.store(own.n_left(&samples), Relaxed);
        Ok(polled)
    }

    /// The same of the next batch.
    pub(crate) fn next_batch_within(&self, patience: Duration) -> Result<PolledBatch, Failure> {
        let own = self.own()?;
        let mut samples = own.samples();
        let polled = samples.next_batch_within(patience);
        self.n_left.store(own.n_left(&samples), Relaxed);
        Ok(polled)
    }

    /// What was put back, where there is something.
    ///
    /// # Errors
    /// `Config` where it is the other kind.
    pub(crate) fn again(&self, kind: Kind) -> Result<Option<Py<PyAny>>, Failure> {
        let mut put_back = self.own()?.put_back();
        if put_back.as_ref().is_some_and(|it| it.kind != kind) {
            let message = "the stream was interrupted, and is now read in another way than before";
            return Err(Error::new(ErrorKind::Config, message)
                .with_hint("read it on as batches, or sample by sample, as before")
                .into());
        }
        let Some(PutBack { told, n_places, .. }) = put_back.take() else { return Ok(None) };
        self.n_left.fetch_sub(n_places, Relaxed);
        Ok(Some(told))
    }

    /// Takes back what was made last, of so many places, and was not handed out. It is the next one, here and in processes that are forked.
    pub(crate) fn put_back(&self, told: Py<PyAny>, kind: Kind, n_places: u64) -> Result<(), Failure> {
        *self.own()?.put_back() = Some(PutBack { told, kind, n_places });
        self.n_left.fetch_add(n_places, Relaxed);
        Ok(())
    }

    /// Samples of this pass that are left for this rank and worker.
    pub(crate) fn n_left(&self) -> u64 {
        self.n_left.load(Relaxed)
    }

    /// A source of this process.
    pub(crate) fn split(&self, source: usize) -> Result<&Split, Failure> {
        self.own()?.splits.get(source).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("a sample is of source {source}, which there is not"))
                .with_hint("open the stream again")
                .into()
        })
    }

    /// Goes on to the next pass.
    ///
    /// # Errors
    /// Those of [`Stream::next_pass`].
    pub(crate) fn next_pass(&self) -> Result<(), Failure> {
        let own = self.own()?;
        let mut samples = own.samples();
        samples.next_pass()?;
        drop(own.put_back().take());
        self.begins(&samples);
        Ok(())
    }

    /// Where it stands.
    pub(crate) fn state(&self) -> Result<State, Failure> {
        let own = self.own()?;
        let samples = own.samples();
        if own.put_back().is_none() {
            return Ok(samples.state());
        }
        let stood = self.stood(&own.plan, own.n_left(&samples))?;
        Ok(stood.unwrap_or_else(|| samples.state()))
    }

    /// Goes on from a state.
    ///
    /// # Errors
    /// Those of [`Stream::from_state`]; then the stream stays where it is.
    pub(crate) fn load_state(&self, state: &State) -> Result<(), Failure> {
        let own = self.own()?;
        let loaded = Stream::from_state(Arc::clone(&own.plan), state)?;
        let mut samples = own.samples();
        *samples = loaded;
        drop(own.put_back().take());
        self.begins(&samples);
        Ok(())
    }

    /// What this process has done so far.
    pub(crate) fn stats(&self) -> StreamStats {
        self.there().map(|it| it.samples().stats()).unwrap_or_default()
    }

    /// Ends the threads of this process. The next sample starts them again.
    pub(crate) fn stop(&self) {
        if let Some(own) = self.there() {
            own.samples().stop();
        }
    }

    /// Notes where the pass begins, for whoever is forked.
    fn begins(&self, samples: &Stream) {
        *self.begin.lock().unwrap_or_else(PoisonError::into_inner) = Some(samples.state());
        self.n_left.store(samples.places_left(), Relaxed);
    }

    /// What this process has, where it has any.
    pub(crate) fn there(&self) -> Option<&Own> {
        self.own.get_or_try(|| Err(())).ok()
    }

    /// What this process has. One that was forked makes it now.
    pub(crate) fn own(&self) -> Result<&Own, Failure> {
        self.own.get_or_try(|| self.made())
    }

    fn made(&self) -> Result<Own, Failure> {
        let splits = self.sources.iter().map(|(split, _)| split.get().cloned());
        let splits = splits.collect::<Result<Vec<_>, _>>()?;
        let asked = splits.iter().cloned().zip(self.sources.iter().map(|(_, options)| options.clone()));
        let plan = StreamPlan::new(asked.collect(), self.mix.as_ref(), self.share, self.engine)?;
        let samples = match self.stood(&plan, self.n_left())? {
            None => Stream::new(Arc::clone(&plan)),
            Some(state) => Stream::from_state(Arc::clone(&plan), &state)?,
        };
        Ok(Own { splits, plan, samples: Mutex::new(samples), put_back: Mutex::new(None) })
    }

    /// Where a pass stands of which so many samples are left, such as one that a process was forked in; `None` before there is one.
    fn stood(&self, plan: &StreamPlan, n_left: u64) -> Result<Option<State>, Failure> {
        let Ok(begin) = self.begin.try_lock() else {
            let message = "the process was forked while the stream was moved elsewhere";
            return Err(Error::new(ErrorKind::StateMismatch, message)
                .with_hint("fork before or after that, or open the stream in the new process")
                .into());
        };
        let Some(begin) = &*begin else { return Ok(None) };
        let (order, n_places) = (plan.order(), plan.n_places());
        let position = order.resume(begin)?;
        let n_own = self.share.n_own_places(n_places, position.cursor());
        let n_taken = n_own.saturating_sub(n_left);
        let cursor = self.share.cursor_at(n_places, position.cursor(), n_taken).min(n_places);
        Ok(Some(order.state(&order.with_cursor(&position, cursor)?)))
    }
}

impl Own {
    /// One thread takes samples at a time; others wait no longer than that one listens.
    fn samples(&self) -> MutexGuard<'_, Stream> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_back(&self) -> MutexGuard<'_, Option<PutBack>> {
        self.put_back.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Samples of this pass that were not handed out.
    fn n_left(&self, samples: &Stream) -> u64 {
        samples.places_left() + self.put_back().as_ref().map_or(0, |it| it.n_places)
    }
}
