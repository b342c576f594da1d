//! The samples of a split, or of several that are mixed, in the order of a plan.

use std::sync::Arc;

use nodedata_stream::{
    Batch, Polled, PolledBatch, Sample, SampleField, Share, Skipped, State, StreamStats, Tail, Whole,
};
use numpy::IntoPyArray as _;
use pyo3::{
    intern,
    prelude::*,
    types::{PyDict, PyList, PyTuple},
};
use serde_json::json;

use crate::{
    arrays::{VALID, add, tensor},
    errors::{OrRaise as _, mistake, place_dict},
    json::dictionary,
    reader::{Split, own},
    stream_of_processes::{Kind, StreamOfProcesses},
    stream_options::{mix_options, source_options},
    watched::{LISTEN, away, warn},
};

/// Key under which a sample says where windows leave the episode.
const PADS: &str = "__pads__";
/// Key under which it says where it is from.
const AT: &str = "__at__";

/// An iterator over samples. Threads that read ahead start with the first one. In a process that was forked it goes on where it
/// stood, reading for itself.
#[pyclass(frozen, module = "nodedata._native")]
pub(crate) struct Stream(Arc<StreamOfProcesses>);

#[pymethods]
impl Stream {
    /// The stream of some splits, each with its options, in the share of one rank and worker. `mix` says how several are mixed.
    #[expect(clippy::too_many_arguments, reason = "arguments of Python have names")]
    #[new]
    #[pyo3(signature = (
        sources, mix = None, rank = 0, world = 1, tail = "drop_last", epoch = None, batch = 1, worker = 0, n_workers = 1
    ))]
    fn new<'py>(
        py: Python<'py>,
        sources: Vec<(Bound<'py, Split>, Bound<'py, PyDict>)>,
        mix: Option<&Bound<'py, PyDict>>,
        rank: u64,
        world: u64,
        tail: &str,
        epoch: Option<u64>,
        batch: u64,
        worker: u64,
        n_workers: u64,
    ) -> PyResult<Self> {
        let share = || Share::new(rank, world, batch, tail.parse::<Tail>()?)?.of_worker(worker, n_workers);
        let share = share().or_raise(py)?;
        let (mut asked, mut engines) = (Vec::new(), Vec::new());
        for (split, given) in sources {
            let opened = Arc::clone(split.get().opened());
            let (options, engine) = source_options(own(py, &opened)?, &given, epoch)?;
            asked.push((opened, options));
            engines.push(engine);
        }
        let engine = engines.first().copied().unwrap_or_default();
        if engines.iter().any(|it| *it != engine) {
            let message =
                "the sources are to be made ready in different ways, and one engine reads all of them";
            let hint = "give all of them the same `threads`, `on_error` and sizes of memory, or none";
            return Err(mistake(py, message, hint));
        }
        let mix = mix.map(mix_options).transpose()?;
        let stream = away(py, move || StreamOfProcesses::new(asked, mix, share, engine))?.or_raise(py)?;
        for told in stream.warnings().or_raise(py)? {
            warn(py, &told)?;
        }
        Ok(Self(Arc::new(stream)))
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.make_own(py)?;
        if let Some(sample) = self.0.again(Kind::Sample).or_raise(py)? {
            return Ok(Some(sample.into_bound(py)));
        }
        loop {
            match py.detach(|| self.0.next_within(LISTEN)).or_raise(py)? {
                Polled::Ready(sample) => {
                    let sample = self.told(py, sample.or_raise(py)?, None)?.into_any();
                    // A signal that came meanwhile would be raised as soon as this returns, and nobody would have the sample.
                    if let Err(signal) = py.check_signals() {
                        self.0.put_back(sample.unbind(), Kind::Sample, 1).or_raise(py)?;
                        return Err(signal);
                    }
                    return Ok(Some(sample));
                }
                Polled::Waiting => py.check_signals()?,
                Polled::Done => return Ok(None),
            }
        }
    }

    /// The next batch of the share: its samples, as they come one by one, and by name the arrays of the fields whose values lie one behind
    /// the other; those of samples are views of these. `None` behind the last.
    fn next_batch<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.make_own(py)?;
        if let Some(batch) = self.0.again(Kind::Batch).or_raise(py)? {
            return Ok(Some(batch.into_bound(py)));
        }
        let n_left = self.0.n_left();
        loop {
            match py.detach(|| self.0.next_batch_within(LISTEN)).or_raise(py)? {
                PolledBatch::Ready(batch) => {
                    let batch = self.told_batch(py, batch.or_raise(py)?)?.into_any();
                    if let Err(signal) = py.check_signals() {
                        let n_places = n_left.saturating_sub(self.0.n_left());
                        self.0.put_back(batch.unbind(), Kind::Batch, n_places).or_raise(py)?;
                        return Err(signal);
                    }
                    return Ok(Some(batch));
                }
                PolledBatch::Waiting => py.check_signals()?,
                PolledBatch::Done => return Ok(None),
            }
        }
    }

    /// Samples of this pass that are left for this rank and worker.
    fn n_left(&self) -> u64 {
        self.0.n_left()
    }

    /// Goes on to the next pass.
    fn next_pass(&self, py: Python<'_>) -> PyResult<()> {
        self.make_own(py)?;
        py.detach(|| self.0.next_pass()).or_raise(py)
    }

    /// Where it stands, as JSON text.
    fn state(&self, py: Python<'_>) -> PyResult<String> {
        self.make_own(py)?;
        py.detach(|| self.0.state()).or_raise(py)?.to_json().or_raise(py)
    }

    /// Goes on from a state.
    fn load_state(&self, py: Python<'_>, state: &str) -> PyResult<()> {
        let state = State::from_json(state).or_raise(py)?;
        self.make_own(py)?;
        py.detach(|| self.0.load_state(&state)).or_raise(py)
    }

    /// What it has done so far, in this process.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = py.detach(|| self.0.stats());
        let told = numbers(py, &stats)?;
        let skipped: Vec<_> = stats.skipped.iter().map(|it| skipped(py, it)).collect::<PyResult<_>>()?;
        told.set_item("skipped", PyList::new(py, skipped)?)?;
        Ok(told)
    }

    /// Ends its threads. The next sample starts them again.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }
}

impl Stream {
    /// Makes what this process has of the stream, where it was forked and has nothing of its own yet.
    fn make_own(&self, py: Python<'_>) -> PyResult<()> {
        if self.0.there().is_none() {
            let stream = Arc::clone(&self.0);
            away(py, move || stream.own().map(drop))?.or_raise(py)?;
        }
        Ok(())
    }

    /// A sample as a dictionary. Of those of a batch `place` says where values are that are not in it: the arrays by name, and which sample it is.
    fn told<'py>(
        &self,
        py: Python<'py>,
        sample: Sample,
        place: Option<(&Bound<'py, PyDict>, usize)>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (told, valid, pads) = (PyDict::new(py), PyDict::new(py), PyDict::new(py));
        let at = self.place(py, &sample)?;
        for SampleField { column, n_rows, pad } in sample.fields {
            if let Some(pad) = pad {
                pads.set_item(&*column.name, pad.into_pyarray(py))?;
            }
            let array = place.map(|(arrays, _)| arrays.get_item(&*column.name)).transpose()?.flatten();
            let (Some(array), Some((_, nth))) = (array, place) else {
                add(py, &told, &valid, column, n_rows)?;
                continue;
            };
            told.set_item(&*column.name, array.get_item(nth)?)?;
            if let Some(has_value) = column.valid {
                valid.set_item(&*column.name, has_value.into_pyarray(py))?;
            }
        }
        told.set_item(intern!(py, VALID), valid)?;
        told.set_item(intern!(py, PADS), pads)?;
        told.set_item(intern!(py, AT), at)?;
        Ok(told)
    }

    fn told_batch<'py>(&self, py: Python<'py>, batch: Batch) -> PyResult<Bound<'py, PyTuple>> {
        let Batch { samples, whole } = batch;
        let (told, arrays) = (PyList::empty(py), PyDict::new(py));
        for Whole { name, n_rows, values } in whole {
            arrays.set_item(&*name, tensor(py, values, &[samples.len(), n_rows])?)?;
        }
        for (nth, sample) in samples.into_iter().enumerate() {
            told.append(self.told(py, sample, Some((&arrays, nth)))?)?;
        }
        PyTuple::new(py, [told.into_any(), arrays.into_any()])
    }

    /// Where a sample is from.
    fn place<'py>(&self, py: Python<'py>, sample: &Sample) -> PyResult<Bound<'py, PyDict>> {
        let split = self.0.split(sample.source).or_raise(py)?;
        let episode = split.head(sample.episode).or_raise(py)?;
        let at = PyDict::new(py);
        at.set_item(intern!(py, "index"), episode.index)?;
        at.set_item(intern!(py, "key"), episode.key)?;
        at.set_item(intern!(py, "task"), episode.task)?;
        at.set_item(intern!(py, "n_steps"), episode.n_steps)?;
        at.set_item(intern!(py, "split"), split.name())?;
        at.set_item(intern!(py, "revision"), split.reader().revision())?;
        at.set_item(intern!(py, "position"), sample.episode)?;
        at.set_item(intern!(py, "step"), sample.step)?;
        at.set_item(intern!(py, "start"), sample.steps.start)?;
        at.set_item(intern!(py, "source"), sample.source)?;
        at.set_item(intern!(py, "epoch"), sample.epoch)?;
        at.set_item(intern!(py, "place"), sample.place)?;
        at.set_item(intern!(py, "is_repeat"), sample.is_repeat)?;
        Ok(at)
    }
}

fn numbers<'py>(py: Python<'py>, stats: &StreamStats) -> PyResult<Bound<'py, PyDict>> {
    let told = json!({
        "n_samples": stats.n_samples,
        "n_skipped": stats.n_skipped,
        "decoded_bytes": stats.decoded_bytes,
        "fetched_bytes": stats.fetched_bytes,
        "n_fetches": stats.n_fetches,
        "n_found": stats.n_found,
        "decoded_frames": stats.frames.decoded,
        "found_frames": stats.frames.hits,
        "kept_frame_bytes": stats.frames.n_bytes,
        "waited_s": stats.waited.as_secs_f64(),
        "decoding_s": stats.decoding.as_secs_f64(),
        "prefetched_bytes": stats.prefetched_bytes,
        "n_ready": stats.n_ready,
        "ready_bytes": stats.ready_bytes,
        "n_threads": stats.n_threads,
        "warnings": stats.warnings,
    });
    dictionary(py, &told)
}

fn skipped<'py>(py: Python<'py>, skipped: &Skipped) -> PyResult<Bound<'py, PyDict>> {
    let Skipped { source, epoch, episode, step, place, message, address } = skipped;
    let told = PyDict::new(py);
    told.set_item("source", source)?;
    told.set_item("epoch", epoch)?;
    told.set_item("position", episode)?;
    told.set_item("step", step)?;
    told.set_item("place", place)?;
    told.set_item("message", message)?;
    told.set_item("where", place_dict(py, address)?)?;
    Ok(told)
}
