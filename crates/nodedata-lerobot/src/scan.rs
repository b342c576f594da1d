//! What the data files themselves say about episodes: the few small columns that place a row, read once.

use std::path::Path;

use arrow_array::{Array, RecordBatch};
use nodedata_arrow::{ParquetFile, floats, integers};
use nodedata_core::{Error, ErrorKind, Locus, Result};

/// Rows read at a time.
const BATCH_ROWS: usize = 64 << 10;

/// Consecutive rows of one data file that name the same episode.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    /// The source's own number; `None` where the column is missing or null.
    pub(crate) episode: Option<u64>,
    /// In the file.
    pub(crate) first_row: u64,
    pub(crate) n_rows: u64,
    /// `index` of the first row: its number in the whole dataset.
    pub(crate) first_index: Option<i64>,
    /// The first row whose `frame_index` is not its position in the run.
    pub(crate) broken_frame: Option<(u64, i64)>,
    /// The first row whose `timestamp` lies more than half a frame away from `frame_index / fps`, by its step.
    pub(crate) off_grid: Option<(u64, f64)>,
    /// The task indices that occur, in order of appearance.
    pub(crate) tasks: Vec<i64>,
    /// `frame_index` of every row, where it is not the row's position in the run.
    frames: Option<Vec<u64>>,
}

/// What is noted of a row without a usable `frame_index`: no episode has so many.
const NO_FRAME: u64 = u64::MAX;

/// The columns that place a row.
const COLUMNS: [&str; 5] = ["episode_index", "frame_index", "index", "timestamp", "task_index"];

/// Task indices kept per run: more would be a label per step, which is read with the rows.
pub(crate) const TASKS_MAX: usize = 1000;

/// Reads the runs of one data file.
///
/// # Errors
/// `Corrupt` when a page cannot be read or a column is not of numbers.
pub(crate) fn runs(file: &ParquetFile, fps: f64) -> Result<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::new();
    let mut row = 0u64;
    for batch in file.rows(&COLUMNS, 0..file.n_rows(), BATCH_ROWS)? {
        let batch = batch?;
        let columns = PlaceColumns::of(&batch, &file.path)?;
        for idx in 0..batch.num_rows() {
            let episode =
                columns.episode.as_ref().and_then(|it| it[idx]).and_then(|it| u64::try_from(it).ok());
            if runs.last().is_none_or(|it| it.episode != episode) {
                runs.push(Run::new(episode, row, columns.index.as_ref().and_then(|it| it[idx])));
            }
            if let Some(run) = runs.last_mut() {
                run.add(&columns, idx, fps);
            }
            row += 1;
        }
    }
    Ok(runs)
}

struct PlaceColumns {
    episode: Option<Vec<Option<i64>>>,
    frame: Option<Vec<Option<i64>>>,
    index: Option<Vec<Option<i64>>>,
    task: Option<Vec<Option<i64>>>,
    timestamp: Option<Vec<f64>>,
}

impl PlaceColumns {
    fn of(batch: &RecordBatch, path: &Path) -> Result<Self> {
        let whole = |name: &str| {
            let Some(array) = batch.column_by_name(name) else { return Ok(None) };
            integers(array).map(Some).ok_or_else(|| {
                let message = format!("column `{name}` is of {}, not of whole numbers", array.data_type());
                Error::new(ErrorKind::Corrupt, message).at(Locus::path(path))
            })
        };
        Ok(Self {
            episode: whole("episode_index")?,
            frame: whole("frame_index")?,
            index: whole("index")?,
            task: whole("task_index")?,
            timestamp: batch.column_by_name("timestamp").and_then(floats),
        })
    }
}

impl Run {
    fn new(episode: Option<u64>, first_row: u64, first_index: Option<i64>) -> Self {
        let (broken_frame, off_grid, tasks, frames) = (None, None, Vec::new(), None);
        Self { episode, first_row, n_rows: 0, first_index, broken_frame, off_grid, tasks, frames }
    }

    /// The rows after it in the file.
    pub(crate) fn end(&self) -> u64 {
        self.first_row + self.n_rows
    }

    /// Rows of the file with the steps that they say they are.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (u64, u64)> {
        let step = |position: u64| match &self.frames {
            Some(frames) => frames.get(position as usize).copied().unwrap_or(NO_FRAME),
            None => position,
        };
        (0..self.n_rows).map(move |position| (self.first_row + position, step(position)))
    }

    fn add(&mut self, columns: &PlaceColumns, idx: usize, fps: f64) {
        let position = self.n_rows;
        let frame = columns.frame.as_ref().and_then(|it| it[idx]);
        if self.broken_frame.is_none()
            && let Some(frame) = frame.filter(|it| u64::try_from(*it) != Ok(position))
        {
            self.broken_frame = Some((position, frame));
            self.frames = Some((0..position).collect());
        }
        let told_step = frame.and_then(|it| u64::try_from(it).ok());
        if let Some(frames) = &mut self.frames {
            frames.push(told_step.unwrap_or(NO_FRAME));
        }
        let step = told_step.unwrap_or(position);
        let timestamp = columns.timestamp.as_ref().map(|it| it[idx]);
        if self.off_grid.is_none()
            && let Some(timestamp) = timestamp
            && (timestamp.is_nan() || (timestamp * fps - step as f64).abs() > 0.5)
        {
            self.off_grid = Some((step, timestamp));
        }
        let task = columns.task.as_ref().and_then(|it| it[idx]);
        if let Some(task) = task
            && self.tasks.last() != Some(&task)
            && self.tasks.len() < TASKS_MAX
            && !self.tasks.contains(&task)
        {
            self.tasks.push(task);
        }
        self.n_rows += 1;
    }
}
