//! The Parquet files of a set: steps, episodes, tasks.

use std::{fs::File, path::Path, sync::Arc};

use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int64Array, ListArray, RecordBatch,
    StringArray,
    builder::{Float64Builder, Int64Builder, ListBuilder, StringBuilder},
};
use arrow_schema::{DataType, Field, Schema};
use parquet::{
    arrow::ArrowWriter, basic::Compression, file::metadata::KeyValue, file::properties::WriterProperties,
};

use super::{
    arm::{Motion, N_JOINTS, Stats},
    shape::{CAMERAS, Episode, RATE_HZ, Shape, TASKS},
};
use crate::workspace::Result;

/// Writes a data file: one row group an episode, Snappy, as LeRobot writes it.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write_steps(path: &Path, episodes: &[Episode]) -> Result<()> {
    write(path, None, episodes.iter().map(steps))
}

/// Writes the episodes table of version 3.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write_episodes(path: &Path, shape: &Shape, stats: &[[Stats; 2]]) -> Result<()> {
    write(path, None, [episodes(shape, stats)])
}

/// Writes the tasks table of version 3, whose index pandas takes for the text.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write_tasks(path: &Path) -> Result<()> {
    const PANDAS: &str = r#"{"index_columns": ["task"], "column_indexes": [{"name": null, "field_name": null, "pandas_type": "unicode", "numpy_type": "object", "metadata": {"encoding": "UTF-8"}}], "columns": [{"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64", "metadata": null}, {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": null}], "creator": {"library": "pyarrow", "version": "21.0.0"}, "pandas_version": "2.3.0"}"#;
    let indices: ArrayRef = Arc::new(Int64Array::from_iter_values(0..TASKS.len() as i64));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(TASKS));
    write(
        path,
        Some(("pandas", PANDAS)),
        [batch(vec![("task_index".into(), indices), ("task".into(), texts)])],
    )
}

/// Writes batches as row groups.
fn write(
    path: &Path,
    metadata: Option<(&str, &str)>,
    batches: impl IntoIterator<Item = Result<RecordBatch>>,
) -> Result<()> {
    let failed = |err: &dyn std::fmt::Display| format!("cannot write {}: {err}", path.display());
    let metadata = metadata.map(|(key, text)| vec![KeyValue::new(key.to_owned(), text.to_owned())]);
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(metadata)
        .build();
    let mut writer: Option<ArrowWriter<File>> = None;
    for batch in batches {
        let batch = batch?;
        if writer.is_none() {
            let file = File::create(path).map_err(|err| failed(&err))?;
            let made = ArrowWriter::try_new(file, batch.schema(), Some(properties.clone()));
            writer = Some(made.map_err(|err| failed(&err))?);
        }
        if let Some(writer) = &mut writer {
            writer.write(&batch).and_then(|()| writer.flush()).map_err(|err| failed(&err))?;
        }
    }
    let writer = writer.ok_or_else(|| failed(&"it would be empty"))?;
    writer.close().map(drop).map_err(|err| failed(&err))
}

fn batch(columns: Vec<(String, ArrayRef)>) -> Result<RecordBatch> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, it)| Field::new(name, it.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, it)| it).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|err| format!("cannot make a table: {err}"))
}

/// The rows of one episode.
fn steps(episode: &Episode) -> Result<RecordBatch> {
    let motion = Motion::of(episode);
    let steps = 0..episode.n_steps as i64;
    let first_step = episode.first_step as i64;
    let seconds = steps.clone().map(|it| (it as f64 / f64::from(RATE_HZ)) as f32);
    let every =
        |value: i64| -> ArrayRef { Arc::new(Int64Array::from_value(value, episode.n_steps as usize)) };
    batch(vec![
        ("observation.state".into(), joints(&motion.state)),
        ("action".into(), joints(&motion.action)),
        ("timestamp".into(), Arc::new(Float32Array::from_iter_values(seconds))),
        ("frame_index".into(), Arc::new(Int64Array::from_iter_values(steps.clone()))),
        ("episode_index".into(), every(episode.idx as i64)),
        ("index".into(), Arc::new(Int64Array::from_iter_values(steps.map(|it| it + first_step)))),
        ("task_index".into(), every(episode.task() as i64)),
    ])
}

fn joints(rows: &[[f32; N_JOINTS]]) -> ArrayRef {
    let values: ArrayRef = Arc::new(Float32Array::from_iter_values(rows.iter().flatten().copied()));
    let item = Arc::new(Field::new("element", DataType::Float32, true));
    Arc::new(FixedSizeListArray::new(item, N_JOINTS as i32, values, None))
}

fn episodes(shape: &Shape, stats: &[[Stats; 2]]) -> Result<RecordBatch> {
    let whole = |of: &dyn Fn(&Episode) -> u64| -> ArrayRef {
        Arc::new(shape.episodes.iter().map(|it| Some(of(it) as i64)).collect::<Int64Array>())
    };
    let seconds = |of: &dyn Fn(&Episode) -> u64| -> ArrayRef {
        let seconds = shape.episodes.iter().map(|it| of(it) as f64 / f64::from(RATE_HZ));
        Arc::new(Float64Array::from_iter_values(seconds))
    };
    let mut tasks = ListBuilder::new(StringBuilder::new());
    for episode in &shape.episodes {
        tasks.values().append_value(TASKS[episode.task()]);
        tasks.append(true);
    }
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("episode_index".into(), whole(&|it| it.idx)),
        ("tasks".into(), Arc::new(tasks.finish())),
        ("length".into(), whole(&|it| it.n_steps)),
        ("data/chunk_index".into(), whole(&|_| 0)),
        ("data/file_index".into(), whole(&|it| it.data_file)),
        ("dataset_from_index".into(), whole(&|it| it.first_step)),
        ("dataset_to_index".into(), whole(&|it| it.first_step + it.n_steps)),
    ];
    for camera in CAMERAS {
        columns.push((format!("videos/{camera}/chunk_index"), whole(&|_| 0)));
        columns.push((format!("videos/{camera}/file_index"), whole(&|it| it.video_file)));
        columns.push((format!("videos/{camera}/from_timestamp"), seconds(&|it| it.first_frame)));
        columns.push((format!("videos/{camera}/to_timestamp"), seconds(&|it| it.first_frame + it.n_steps)));
    }
    for (position, feature) in ["observation.state", "action"].iter().enumerate() {
        let Some(first) = stats.first() else { continue };
        for name in first[position].keys() {
            let lists = stats.iter().map(|it| it[position][name].as_slice());
            let lists = if *name == "count" { whole_lists(lists) } else { lists_of(lists) };
            columns.push((format!("stats/{feature}/{name}"), Arc::new(lists)));
        }
    }
    columns.push(("meta/episodes/chunk_index".into(), whole(&|_| 0)));
    columns.push(("meta/episodes/file_index".into(), whole(&|_| 0)));
    batch(columns)
}

fn lists_of<'a>(rows: impl Iterator<Item = &'a [f64]>) -> ListArray {
    let mut lists = ListBuilder::new(Float64Builder::new());
    for row in rows {
        lists.values().append_slice(row);
        lists.append(true);
    }
    lists.finish()
}

fn whole_lists<'a>(rows: impl Iterator<Item = &'a [f64]>) -> ListArray {
    let mut lists = ListBuilder::new(Int64Builder::new());
    for row in rows {
        row.iter().for_each(|it| lists.values().append_value(*it as i64));
        lists.append(true);
    }
    lists.finish()
}
