//! The episodes of a split as a table, handed to other libraries through Arrow's C stream interface.

use std::{ops::Range, sync::Arc};

use arrow_array::{
    ArrayRef, Int64Array, RecordBatch, RecordBatchIterator, StringArray, UInt64Array,
    ffi_stream::FFI_ArrowArrayStream,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use nodedata_reader::{EpisodeInfo, Split};
use pyo3::{prelude::*, types::PyCapsule};

use crate::reader::metadata;

/// Episodes of one batch.
const BATCH: usize = 8192;

/// Something that Arrow libraries make a table of: for each episode its position in the split, its position in the dataset, its key,
/// steps, task, source, times of its first and last step, and what else the source says of it, as JSON.
#[pyclass(frozen, module = "nodedata._native")]
pub(crate) struct ArrowEpisodes(Split);

impl ArrowEpisodes {
    pub(crate) fn of(split: Split) -> Self {
        Self(split)
    }
}

#[pymethods]
impl ArrowEpisodes {
    /// The table, batch by batch. It comes in its own schema, whatever is asked for, as the interface allows.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema;
        let (split, schema) = (self.0.clone(), schema());
        let of_batches = Arc::clone(&schema);
        let batches = (0..split.n_episodes()).step_by(BATCH).map(move |first| {
            let last = (first + BATCH).min(split.n_episodes());
            batch(&split, first..last, &of_batches)
        });
        let reader = RecordBatchIterator::new(batches, schema);
        PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(Box::new(reader)), c"arrow_array_stream")
    }

    fn __len__(&self) -> usize {
        self.0.n_episodes()
    }
}

fn schema() -> SchemaRef {
    let field = |name: &str, data_type, nullable| Field::new(name, data_type, nullable);
    Arc::new(Schema::new(vec![
        field("position", DataType::UInt64, false),
        field("index", DataType::UInt64, false),
        field("key", DataType::Utf8, false),
        field("n_steps", DataType::UInt64, false),
        field("task", DataType::Utf8, true),
        field("source", DataType::Utf8, false),
        field("start_time_ns", DataType::Int64, true),
        field("end_time_ns", DataType::Int64, true),
        field("metadata", DataType::Utf8, false),
    ]))
}

fn batch(split: &Split, positions: Range<usize>, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let external = |err: nodedata_core::Error| ArrowError::ExternalError(Box::new(err));
    let told: Vec<EpisodeInfo> = positions
        .clone()
        .map(|it| split.episode(it))
        .collect::<nodedata_core::Result<_>>()
        .map_err(external)?;
    let all = || told.iter();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(positions.map(|it| it as u64))),
        Arc::new(UInt64Array::from_iter_values(all().map(|it| it.index))),
        Arc::new(StringArray::from_iter_values(all().map(|it| &it.key))),
        Arc::new(UInt64Array::from_iter_values(all().map(|it| it.n_steps))),
        Arc::new(StringArray::from_iter(all().map(|it| it.task.as_ref()))),
        Arc::new(StringArray::from_iter_values(all().map(|it| &it.source))),
        Arc::new(Int64Array::from_iter(all().map(|it| it.start_time_ns))),
        Arc::new(Int64Array::from_iter(all().map(|it| it.end_time_ns))),
        Arc::new(StringArray::from_iter_values(all().map(|it| metadata(it).to_string()))),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns)
}
