//! A revision or a folder that is read from, and its splits.

use std::{path::PathBuf, sync::Arc};

use nodedata_core::{Error, Fact};
use nodedata_reader::{EpisodeInfo, FeatureInfo, Fields, FieldsRequest, FrameAxes, MediaKind};
use numpy::{IntoPyArray as _, PyArray1};
use pyo3::{
    intern,
    prelude::*,
    types::{PyDict, PyList},
};
use serde_json::{Value, json};

use crate::{
    arrays,
    arrow_episodes::ArrowEpisodes,
    errors::{Failure, OrRaise as _},
    fields::fields_request,
    json::{dictionary, document},
    opened::{OpenedReader, OpenedSplit},
    watched::away,
};

/// So many steps of a mapped store are read where they are asked for: before a signal would be looked for they are there.
const SHORT: u64 = 16;

/// A revision, or the dataset in a folder.
#[pyclass(frozen, module = "nodedata._native")]
pub(crate) struct Reader(Arc<OpenedReader>);

/// The episodes of a split in one stream.
#[pyclass(frozen, module = "nodedata._native")]
pub(crate) struct Split(Arc<OpenedSplit>);

/// Opens the dataset in a folder that was converted or pulled.
#[pyfunction]
pub(crate) fn open_folder(py: Python<'_>, path: PathBuf) -> PyResult<Reader> {
    away(py, move || OpenedReader::of_folder(&path))?.or_raise(py).map(Reader::new)
}

impl Reader {
    pub(crate) fn new(reader: OpenedReader) -> Self {
        Self(Arc::new(reader))
    }

    /// What a reader tells. In a process that was forked it is opened first.
    fn tell<T: Send + 'static>(
        &self,
        py: Python<'_>,
        tell: impl FnOnce(&nodedata_reader::Reader) -> nodedata_core::Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let opened = Arc::clone(&self.0);
        away(py, move || Ok::<_, Failure>(tell(opened.get()?)?))?.or_raise(py)
    }
}

impl Split {
    /// What it was opened from.
    pub(crate) fn opened(&self) -> &Arc<OpenedSplit> {
        &self.0
    }

    fn own(&self, py: Python<'_>) -> PyResult<&nodedata_reader::Split> {
        own(py, &self.0)
    }
}

/// The split of this process. In one that was forked it is opened first.
pub(crate) fn own<'a>(py: Python<'_>, opened: &'a Arc<OpenedSplit>) -> PyResult<&'a nodedata_reader::Split> {
    if opened.there().is_none() {
        let opened = Arc::clone(opened);
        away(py, move || opened.get().map(drop))?.or_raise(py)?;
    }
    opened.get().or_raise(py)
}

#[pymethods]
impl Reader {
    /// `owner/name`; `None` for a folder that is no revision.
    #[getter]
    fn id(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.tell(py, |it| Ok(it.id()))
    }

    /// The number of the revision.
    #[getter]
    fn revision(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.tell(py, |it| Ok(it.revision()))
    }

    /// Digest of the manifest, which alone decides what is read.
    #[getter]
    fn manifest_digest(&self) -> &str {
        self.0.manifest()
    }

    /// `schema.json`, as text.
    #[getter]
    fn schema(&self, py: Python<'_>) -> PyResult<String> {
        self.tell(py, |it| Ok(it.schema().to_json()))
    }

    /// The document of statistics, as text.
    #[getter]
    fn stats(&self, py: Python<'_>) -> PyResult<String> {
        self.tell(py, |it| it.stats().map(|it| it.to_string()))
    }

    /// The card; `None` where it is empty.
    #[getter]
    fn card(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.tell(py, nodedata_reader::Reader::card)
    }

    /// Names of its splits.
    #[getter]
    fn splits(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.tell(py, |it| Ok(it.splits()))
    }

    /// Names of its streams.
    #[getter]
    fn streams(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.tell(py, |it| Ok(it.streams()))
    }

    /// Whether it was withdrawn when it was opened.
    #[getter]
    fn is_withdrawn(&self, py: Python<'_>) -> PyResult<bool> {
        self.tell(py, |it| Ok(it.is_withdrawn()))
    }

    /// A split in one stream.
    fn split(&self, py: Python<'_>, name: String, stream: String) -> PyResult<Split> {
        let reader = Arc::clone(&self.0);
        let opened = away(py, move || OpenedSplit::of(&reader, name, stream));
        opened?.or_raise(py).map(|it| Split(Arc::new(it)))
    }

    /// Its files, each with path, length and BLAKE3.
    fn files<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        document(py, &self.tell(py, |it| Ok(it.files()))?)
    }
}

#[pymethods]
impl Split {
    /// Its name.
    #[getter]
    fn name(&self, py: Python<'_>) -> PyResult<&str> {
        Ok(self.own(py)?.name())
    }

    /// The stream.
    #[getter]
    fn stream(&self, py: Python<'_>) -> PyResult<&str> {
        Ok(self.own(py)?.stream())
    }

    /// How many episodes there are.
    #[getter]
    fn n_episodes(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.own(py)?.n_episodes())
    }

    /// Steps of all of them.
    #[getter]
    fn n_steps(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.own(py)?.n_steps())
    }

    /// Steps of each, as int64.
    #[getter]
    fn lengths<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let lengths = self.own(py)?.lengths().into_iter();
        let lengths: Vec<i64> = lengths.map(|it| i64::try_from(it).unwrap_or(i64::MAX)).collect();
        Ok(lengths.into_pyarray(py))
    }

    /// Steps a second, where they have a pace: what the schema says, or what all times keep to.
    #[getter]
    fn fps(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        let split = self.own(py)?.clone();
        away(py, move || split.fps())?.or_raise(py)
    }

    /// The features, each with what its values are once they are read.
    #[getter]
    fn features<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let features = self.own(py)?.features().iter();
        let told: Vec<_> = features.map(|it| dictionary(py, &feature(it))).collect::<PyResult<_>>()?;
        PyList::new(py, told)
    }

    /// What is known of an episode, by its position.
    fn episode<'py>(&self, py: Python<'py>, position: usize) -> PyResult<Bound<'py, PyDict>> {
        let told = self.own(py)?.episode(position).or_raise(py)?;
        dictionary(py, &episode(&told))
    }

    /// Its `key`, `index`, `n_steps` and `task` alone: of each step that is read.
    fn head<'py>(&self, py: Python<'py>, position: usize) -> PyResult<Bound<'py, PyDict>> {
        let told = self.own(py)?.head(position).or_raise(py)?;
        let head = PyDict::new(py);
        head.set_item(intern!(py, "key"), told.key)?;
        head.set_item(intern!(py, "index"), told.index)?;
        head.set_item(intern!(py, "n_steps"), told.n_steps)?;
        head.set_item(intern!(py, "task"), told.task)?;
        Ok(head)
    }

    /// Steps of an episode as arrays, a row a step, with the channels of frames last (`hwc`) or first (`chw`).
    #[expect(clippy::too_many_arguments, reason = "arguments of Python have names")]
    #[pyo3(signature = (episode, start, stop, fields = None, resize = None, layout = "hwc"))]
    fn rows<'py>(
        &self,
        py: Python<'py>,
        episode: usize,
        start: u64,
        stop: u64,
        fields: Option<&Bound<'py, PyAny>>,
        resize: Option<&Bound<'py, PyAny>>,
        layout: &str,
    ) -> PyResult<Bound<'py, PyDict>> {
        let asked = Asked::of(py, fields, resize, layout)?;
        let n_steps = stop.saturating_sub(start);
        let axes = asked.axes;
        let read = move |split: &nodedata_reader::Split, fields: &Fields| {
            let mut rows = split.rows(episode, start..stop, fields)?;
            axes.put(fields, &mut rows)?;
            Ok(rows)
        };
        arrays::rows(py, self.read(py, &asked, n_steps, read)?)
    }

    /// The same of several samples, each an episode and steps of it, by so many threads at most: a dictionary for each.
    #[pyo3(signature = (samples, fields, resize, layout, threads))]
    fn rows_of<'py>(
        &self,
        py: Python<'py>,
        samples: Vec<(usize, Vec<u64>)>,
        fields: Option<&Bound<'py, PyAny>>,
        resize: Option<&Bound<'py, PyAny>>,
        layout: &str,
        threads: usize,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let asked = Asked::of(py, fields, resize, layout)?;
        let n_steps = samples.iter().map(|(_, steps)| steps.len() as u64).sum();
        let axes = asked.axes;
        let read = move |split: &nodedata_reader::Split, fields: &Fields| {
            split.rows_of(&samples, fields, axes, threads)
        };
        self.read(py, &asked, n_steps, read)?.into_iter().map(|it| arrays::rows(py, it)).collect()
    }

    /// The table of episodes, which Arrow libraries take.
    fn arrow_episodes(&self, py: Python<'_>) -> PyResult<ArrowEpisodes> {
        Ok(ArrowEpisodes::of(self.own(py)?.clone()))
    }
}

/// Which fields are asked for, and how.
struct Asked {
    request: FieldsRequest,
    axes: FrameAxes,
}

impl Asked {
    fn of(
        py: Python<'_>,
        fields: Option<&Bound<'_, PyAny>>,
        resize: Option<&Bound<'_, PyAny>>,
        layout: &str,
    ) -> PyResult<Self> {
        Ok(Self { request: fields_request(py, fields, resize)?, axes: layout.parse().or_raise(py)? })
    }
}

impl Split {
    /// Rows. What may take long is waited for elsewhere.
    fn read<T: Send + 'static>(
        &self,
        py: Python<'_>,
        asked: &Asked,
        n_steps: u64,
        read: impl FnOnce(&nodedata_reader::Split, &Fields) -> Result<T, Error> + Send + 'static,
    ) -> PyResult<T> {
        let split = self.own(py)?;
        let fields = split.fields(&asked.request).or_raise(py)?;
        let rows = if split.is_mapped() && n_steps <= SHORT {
            py.detach(|| read(split, &fields))
        } else {
            let split = split.clone();
            away(py, move || read(&split, &fields))?
        };
        rows.or_raise(py)
    }
}

/// What is known of an episode.
fn episode(told: &EpisodeInfo) -> Value {
    json!({
        "key": told.key,
        "index": told.index,
        "n_steps": told.n_steps,
        "task": told.task,
        "source": told.source,
        "metadata": metadata(told),
        "start_time_ns": told.start_time_ns,
        "end_time_ns": told.end_time_ns,
    })
}

/// What else the source says of an episode, each value as it is.
pub(crate) fn metadata(told: &EpisodeInfo) -> Value {
    let value = |it: &Fact| match it {
        Fact::Bool(value) => Value::from(*value),
        Fact::Int(value) => Value::from(*value),
        // JSON has neither NaN nor infinity.
        Fact::Float(value) => Value::from(*value),
        Fact::Text(value) => Value::from(value.as_str()),
    };
    Value::Object(told.metadata.iter().map(|(name, it)| (name.clone(), value(it))).collect())
}

fn feature(told: &FeatureInfo) -> Value {
    let is_framed = match told.media {
        Some(MediaKind::Image | MediaKind::Depth | MediaKind::Video | MediaKind::Audio) => told.is_decoded,
        Some(MediaKind::Text | MediaKind::Json | MediaKind::Bytes) | None => false,
    };
    json!({
        "name": &*told.name,
        "dtype": told.dtype.name(),
        "shape": told.shape,
        "media": told.media.map(MediaKind::name),
        "nullable": told.nullable,
        "frame_shape": is_framed.then_some(&told.shape),
        "encoding": told.encoding,
        "unit": told.unit,
        "names": told.names,
        "rate_hz": told.rate_hz,
        "decoded": told.is_decoded,
        "aside": told.is_aside,
    })
}
