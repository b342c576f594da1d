use arrow_array::{cast::AsArray, types::Int64Type};
use nodedata_core::{Error, ErrorKind, Locus, Result, StreamKind, TIMESTAMP_NS};
use parquet::arrow::ProjectionMask;

use crate::{explain::Explanation, read::Dataset};

/// Which step a row of a dataset is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepPlace {
    /// Position of its episode.
    pub episode: u64,
    /// The episode's key.
    pub key: String,
    /// Position in the episode.
    pub step: u64,
    /// Its time by the source's own clock, in nanoseconds.
    pub time_ns: i64,
    /// How many earlier steps of the episode have that time.
    pub nth: usize,
}

impl Dataset {
    /// The step that a single row explained is; `None` where its table holds no steps with a clock.
    ///
    /// # Errors
    /// `Io` or `Corrupt` when the dataset cannot be read.
    pub fn step_of(&self, explained: &Explanation) -> Result<Option<StepPlace>> {
        let (row, _) = explained.rows;
        let kind = self.manifest.streams.iter().find(|it| it.name == explained.stream).map(|it| it.kind());
        let shard = self.manifest.shards.iter().position(|it| it.path == explained.shard);
        let (Some(StreamKind::Steps), Some(shard)) = (kind, shard) else { return Ok(None) };
        let episodes = self.episodes()?;
        let holds = |first: u64, n_rows: u64| first <= row && row < first.saturating_add(n_rows);
        let of_row = episodes.iter().find(|it| {
            it.shard == shard && it.stream == Some(&*explained.stream) && holds(it.row, it.n_rows)
        });
        let Some(entry) = of_row else { return Ok(None) };
        let Some(start_ns) = entry.start_time_ns else { return Ok(None) };
        let times = self.times_of(&explained.shard, row + 1)?;
        let at = |row: u64| usize::try_from(row).ok().and_then(|it| times.get(it)).copied();
        let time_ns = at(row).ok_or_else(|| {
            let message = format!("row {row} has no `{TIMESTAMP_NS}`");
            Error::new(ErrorKind::Corrupt, message).at(Locus::path(&explained.shard))
        })?;
        Ok(Some(StepPlace {
            episode: entry.episode,
            key: entry.key.to_owned(),
            step: row - entry.row,
            // The table counts from the start of the episode, the index keeps when that was.
            time_ns: time_ns.saturating_add(start_ns),
            nth: (entry.row..row).filter(|it| at(*it) == Some(time_ns)).count(),
        }))
    }

    /// The times of the first rows of a shard.
    fn times_of(&self, path: &str, n_rows: u64) -> Result<Vec<i64>> {
        let shard = self.parquet(path)?;
        let mask = ProjectionMask::columns(shard.builder.parquet_schema(), [TIMESTAMP_NS]);
        let limit = usize::try_from(n_rows).unwrap_or(usize::MAX);
        let mut times = Vec::new();
        for batch in shard.with(|it| it.with_projection(mask).with_limit(limit)).rows()? {
            let batch = batch?;
            if let Some(column) = batch.columns().first().and_then(|it| it.as_primitive_opt::<Int64Type>()) {
                times.extend_from_slice(column.values());
            }
        }
        Ok(times)
    }
}
