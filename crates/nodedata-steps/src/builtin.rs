//! The columns that every step table starts with, whatever its format.

use std::{ops::Range, sync::Arc};

use arrow_array::{ArrayRef, Int64Array};
use nodedata_core::{DType, Feature, STEP_INDEX, StreamId, StreamKind, TIMESTAMP_NS, meta};

/// The one stream of a dataset of steps.
pub const STEPS: StreamId = StreamId(0);

/// Distance from the grid, in frames, up to which a timestamp is the grid's: what 32-bit seconds lose.
const GRID_TOLERANCE: f64 = 1e-3;

/// The feature of the position of a row in its episode.
pub fn step_index() -> Feature {
    described(STEP_INDEX, "position in the episode, from 0")
}

/// The feature of the time of a row from its episode's start.
pub fn timestamp() -> Feature {
    described(TIMESTAMP_NS, "time since the start of the episode").with_meta(meta::UNIT, "ns")
}

fn described(name: &str, about: &str) -> Feature {
    Feature::new(name, DType::Int64, Vec::new()).with_meta(meta::DESCRIPTION, about)
}

/// The name of a column of the source's own: one that the table has for itself is prefixed, because that means
/// the same in every dataset.
pub fn name_in_table(name: &str) -> String {
    if StreamKind::Steps.has_built_in(name) { format!("source.{name}") } else { name.to_owned() }
}

/// The positions of some steps of an episode.
pub fn step_indices(steps: &Range<u64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(steps.clone().map(|it| it as i64)))
}

/// The times of some steps: the grid's where the seconds that the source tells are on it, which 32 bits cannot tell
/// exactly, and else its own.
pub fn timestamps(told: Option<&[f64]>, steps: &Range<u64>, fps: f64) -> ArrayRef {
    let times = steps.clone().enumerate().map(|(row, step)| {
        let on_grid = (step as f64 * 1e9 / fps).round() as i64;
        match told.map(|it| it[row]) {
            Some(seconds)
                if seconds.is_finite()
                    && (seconds * fps - step as f64).abs() > GRID_TOLERANCE.max(step as f64 * 1e-6) =>
            {
                (seconds * 1e9).round() as i64
            }
            _ => on_grid,
        }
    });
    Arc::new(Int64Array::from_iter_values(times))
}
