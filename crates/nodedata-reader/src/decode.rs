//! Rows of what was fetched.

mod gather;
mod media;
mod pages;
mod pictures;
mod raw;
mod sound;
mod video;

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use nodedata_core::Result;
use nodedata_io::in_pool;
use rayon::prelude::*;

pub(crate) use media::MediaRow;

use crate::{
    fetched::Fetched,
    fields::{Field, Fields},
    frame_axes::FrameAxes,
    memory::Rooms,
    needs::StepRange,
    rows::{Column, Data, Rows},
    shard::Shard,
    split::{Form, Split, Stretch},
    video_cache::VideoCache,
};

/// One call: which steps of which episode, and what they are made of.
#[derive(Clone, Copy)]
pub(crate) struct Decoding<'a> {
    pub(crate) split: &'a Split,
    pub(crate) fetched: &'a Fetched,
    pub(crate) episode: usize,
    /// The steps: rising, none touching the next.
    pub(crate) runs: &'a [Range<u64>],
    pub(crate) frames: &'a VideoCache,
    /// Where values are wanted.
    pub(crate) rooms: &'a Rooms,
}

impl Split {
    /// Fetches and decodes some steps, with all threads of this process and the frames of video that were decoded last.
    ///
    /// # Errors
    /// `Config` for steps that are not there; `Corrupt`, `SchemaMismatch`, `Unsupported` or `Limit` when a value cannot be read as
    /// what it should be; `Io`, `Denied`. All but the first tell the place: [`crate::Place`].
    pub fn rows(&self, episode: usize, steps: Range<u64>, fields: &Fields) -> Result<Rows> {
        let wanted = StepRange { episode, steps: steps.clone() };
        let needs = self.needs(std::slice::from_ref(&wanted), fields)?;
        let fetched = self.fetch(&needs)?;
        in_pool(|| self.decode(&fetched, episode, steps, fields, self.reader().frames()))
    }

    /// The same of several samples, each single steps of an episode, in any order and also more than once: all of them are fetched in one
    /// round, and decoded side by side by so many threads at most. Of several that are damaged the first says so.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub fn rows_of(
        &self,
        samples: &[(usize, Vec<u64>)],
        fields: &Fields,
        axes: FrameAxes,
        n_threads: usize,
    ) -> Result<Vec<Rows>> {
        let mut wanted = Vec::with_capacity(samples.len());
        for (episode, steps) in samples {
            let runs = self.runs(*episode, steps)?;
            wanted.extend(runs.into_iter().map(|steps| StepRange { episode: *episode, steps }));
        }
        let fetched = self.fetch(&self.needs(&wanted, fields)?)?;
        let decode = |(episode, steps): &(usize, Vec<u64>)| {
            let mut rows = self.decode_steps(&fetched, *episode, steps, fields, self.reader().frames())?;
            axes.put(fields, &mut rows)?;
            Ok(rows)
        };
        let next = AtomicUsize::new(0);
        let of_thread = |_| {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(sample) = samples.get(at) else { return done };
                let rows = decode(sample);
                if rows.is_err() {
                    // All before it are done or at work; nobody waits for those behind it.
                    next.store(samples.len(), Ordering::Relaxed);
                }
                done.push((at, rows));
            }
        };
        let n_threads = n_threads.clamp(1, samples.len().max(1));
        let mut done: Vec<_> =
            in_pool(|| (0..n_threads).into_par_iter().with_max_len(1).flat_map_iter(of_thread).collect());
        done.sort_unstable_by_key(|it| it.0);
        done.into_iter().map(|it| it.1).collect()
    }

    /// Decodes some steps of an episode, of what [`Self::fetch`] brought; what it did not is fetched now. Pictures are decoded one by
    /// one in the thread that calls, or by all threads of the pool that it is one of.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub fn decode(
        &self,
        fetched: &Fetched,
        episode: usize,
        steps: Range<u64>,
        fields: &Fields,
        frames: &VideoCache,
    ) -> Result<Rows> {
        self.decode_into(fetched, episode, steps, fields, frames, &Rooms::default())
    }

    /// The same, with pictures and frames put where somebody wants them to be.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub fn decode_into(
        &self,
        fetched: &Fetched,
        episode: usize,
        steps: Range<u64>,
        fields: &Fields,
        frames: &VideoCache,
        rooms: &Rooms,
    ) -> Result<Rows> {
        self.check_steps(episode, &steps)?;
        let n_rows = usize::try_from(steps.end - steps.start).unwrap_or(usize::MAX);
        let whole = [steps];
        let runs: &[Range<u64>] = if n_rows == 0 { &[] } else { &whole };
        let decoding = Decoding { split: self, fetched, episode, runs, frames, rooms };
        decoding.rows(n_rows, fields)
    }

    /// The same of single steps, in any order and also more than once; each is decoded once.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub fn decode_steps(
        &self,
        fetched: &Fetched,
        episode: usize,
        steps: &[u64],
        fields: &Fields,
        frames: &VideoCache,
    ) -> Result<Rows> {
        let runs = self.runs(episode, steps)?;
        let rising: Vec<u64> = runs.iter().flat_map(Clone::clone).collect();
        let rooms = Rooms::default();
        let decoding = Decoding { split: self, fetched, episode, runs: &runs, frames, rooms: &rooms };
        let rows = decoding.rows(rising.len(), fields)?;
        if rising == steps {
            return Ok(rows);
        }
        let places: Vec<usize> = steps.iter().map(|it| rising.partition_point(|step| step < it)).collect();
        let columns = rows.columns.iter().map(|it| it.take(&places)).collect::<Result<_>>()?;
        Ok(Rows { n_rows: places.len(), columns })
    }

    /// Steps as runs: rising, none touching the next.
    ///
    /// # Errors
    /// `Config` for one that is not there.
    fn runs(&self, episode: usize, steps: &[u64]) -> Result<Vec<Range<u64>>> {
        let mut rising = steps.to_vec();
        rising.sort_unstable();
        rising.dedup();
        let mut runs: Vec<Range<u64>> = Vec::new();
        for step in rising {
            self.check_steps(episode, &(step..step.saturating_add(1)))?;
            match runs.last_mut() {
                Some(run) if run.end == step => run.end = step + 1,
                _ => runs.push(step..step + 1),
            }
        }
        Ok(runs)
    }
}

impl Decoding<'_> {
    fn rows(&self, n_rows: usize, fields: &Fields) -> Result<Rows> {
        let column = |it: &Field| self.column(n_rows, it);
        let n_costly = fields.iter().filter(|it| it.is_costly()).count();
        if n_costly < 2 || rayon::current_thread_index().is_none() {
            let columns = fields.iter().map(column).collect::<Result<_>>()?;
            return Ok(Rows { n_rows, columns });
        }
        // Several cameras, side by side. Where more than one is damaged the first says so, however threads run.
        let columns: Vec<Result<Column>> = fields.as_slice().par_iter().map(column).collect();
        Ok(Rows { n_rows, columns: columns.into_iter().collect::<Result<_>>()? })
    }

    fn column(&self, n_rows: usize, field: &Field) -> Result<Column> {
        let (data, valid) = match &field.info.form {
            Form::Tensor(_) | Form::Ragged(_) | Form::Text | Form::Json => {
                let block = self.numbers(n_rows, field)?;
                (block.data, block.valid)
            }
            Form::Bytes => self.coded(field)?,
            Form::Pictures(form) => self.pictures(field, form)?,
            Form::Raw(dims) => self.raw(field, dims)?,
            Form::Sound(sizes) => self.sound(field, *sizes)?,
            Form::Video(form) => self.video(n_rows, field, form)?,
        };
        Ok(Column { name: Arc::clone(&field.info.name), data, valid })
    }

    /// The bytes of a feature as they are stored.
    fn coded(&self, field: &Field) -> Result<(Data, Option<Vec<bool>>)> {
        let rows = self.media(field)?;
        let valid = media::valid_of(&rows);
        let bytes = rows.into_iter().map(|it| it.items.into_iter().next().flatten().unwrap_or_default());
        Ok((Data::Bytes(bytes.collect()), valid))
    }

    /// The shard that rows lie in: the one that was opened for what was fetched.
    fn shard(&self, idx: usize) -> Result<Arc<Shard>> {
        match self.fetched.shard(idx) {
            Some(shard) => Ok(shard),
            None => {
                let reader = self.split.reader();
                reader.shards().get(idx).map_err(|err| reader.placed_unopened(err))
            }
        }
    }

    /// Where the steps lie, in order.
    fn stretches(&self) -> Vec<Stretch> {
        let of_run = |run: &Range<u64>| self.split.episodes().stretches(self.episode, run.clone());
        self.runs.iter().flat_map(of_run).collect()
    }
}
