use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use arrow_array::RecordBatch;
use nodedata_core::{
    EpisodeStream, Error, ErrorKind, InputRange, Numbering, ReadOptions, Result, Source, SourcePlan,
    StreamSchema, TIMESTAMP_NS,
};

use super::{
    at_rate, mapping, own_rate,
    rows::{Part, made},
};
use crate::{
    PERIODS_MAX, Rate, StepSpec, Unfit,
    mapping::Mapping,
    named::NamesMet,
    pace::{self, pace_hz},
    piece::STEPS,
    transform::{Edges, Neighbours, Pulled, in_parts},
};

/// Steps on a grid, made of the rows of a source that has steps already by the aligner that makes them of messages. The grid
/// starts with the first row of each episode.
///
/// A part makes the steps from its first row to the first of the next part, and asks its neighbours for the rows next to it.
pub(crate) struct ResampledSource {
    neighbours: Neighbours,
    pub(super) plan: SourcePlan,
    pub(super) mapping: Mapping,
    pub(super) rate: Rate,
    /// How far rows may be where no tolerance says it.
    pub(super) measured_ns: Option<i64>,
    /// By episode, the time of its first row.
    origins: Mutex<BTreeMap<usize, i64>>,
}

/// The name under which the rows of the source are counted.
const ROWS: &str = "source.steps";

impl ResampledSource {
    /// # Errors
    /// All mistakes; `Config` for a grid finer than the source; what reading reports.
    pub(super) fn new(inner: Box<dyn Source>, spec: &StepSpec, rate: Rate) -> Result<Self, Unfit> {
        let mapping = mapping(spec, &inner.plan().streams).map_err(Unfit::Mistakes)?;
        let mut names = NamesMet::new(&mapping);
        names.read_steps(inner.as_ref(), &mapping)?;
        let unknown = names.mistakes(spec, &mapping);
        if !unknown.is_empty() && !inner.plan().partitions.is_empty() {
            return Err(Unfit::Mistakes(unknown));
        }
        let of_source = inner.plan();
        let hz = match of_source.streams.first().and_then(own_rate) {
            Some(own) => Some(own.hz()),
            None => first_pace(inner.as_ref())?,
        };
        if let Some(hz) = hz.filter(|it| !spec.upsample && pace::is_finer(*it, rate)) {
            let message = format!("a grid of {rate} is finer than the steps of the source: {hz:.1} a second");
            return Err(Error::new(ErrorKind::Config, message)
                .with_hint("lower the rate, or have rows repeated: `steps: {upsample: true}`")
                .into());
        }
        let mut plan = of_source.clone();
        let own = |it: &StreamSchema| StreamSchema { features: mapping.features.clone(), ..it.clone() };
        plan.streams = of_source.streams.iter().map(|it| at_rate(own(it), Some(rate))).collect();
        plan.counted = vec![ROWS.into()];
        plan.videos = Vec::new();
        let makes_steps = vec![true; plan.partitions.len()];
        in_parts(&mut plan, &makes_steps, &format!("steps at {rate} of those at {hz:?}"));
        for partition in &mut plan.partitions {
            partition.numbering = Numbering::Joined;
            partition.counts = None;
        }
        let columns = mapping.streams.first().map(|it| it.columns.clone()).unwrap_or_default();
        let edges = Edges { columns, n_after: 1, n_before: 1 };
        let measured_ns = hz.map(|it| (PERIODS_MAX as f64 * 1e9 / it).round() as i64);
        let neighbours = Neighbours::new(inner, makes_steps, edges);
        let origins = Mutex::default();
        Ok(Self { neighbours, plan, mapping, rate, measured_ns, origins })
    }

    /// Where the grid of the episode starts that a part belongs to, and what was read to see it: with the first row.
    fn origin(
        &self,
        partition: usize,
        own: &Pulled,
        options: &ReadOptions,
    ) -> Result<(Option<i64>, Vec<InputRange>)> {
        let partitions = &self.plan.partitions;
        let Some(episode) = partitions.get(partition).map(|it| it.episode) else {
            return Ok((None, Vec::new()));
        };
        let stream = self.mapping.streams.first();
        let time_of = |rows: Option<RecordBatch>| stream?.stamp.times(&rows?).first().copied();
        let known = || self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let first = (0..partition).rev().take_while(|it| partitions[*it].episode == episode).last();
        let Some(first) = first else {
            let columns = stream.map(|it| it.columns.as_slice()).unwrap_or_default();
            let rows = own.steps().find(|it| it.rows.num_rows() != 0).map(|it| it.rows.project(columns));
            let time = time_of(rows.transpose().expect("the columns are those of the steps"));
            known().extend(time.map(|it| (episode, it)));
            return Ok((time, Vec::new()));
        };
        let looked_at = partitions[first].reads.clone();
        if let Some(time) = known().get(&episode) {
            return Ok((Some(*time), looked_at));
        }
        let time = time_of(self.neighbours.head(partition, options)?.rows.into_iter().next());
        known().extend(time.map(|it| (episode, it)));
        Ok((time, looked_at))
    }
}

/// Rows a second in the first part that has any.
fn first_pace(source: &dyn Source) -> Result<Option<f64>> {
    let Some(time) = source.plan().streams.first().and_then(|it| it.column(TIMESTAMP_NS)) else {
        return Ok(None);
    };
    for partition in 0..source.plan().partitions.len() {
        let mut rows = source.read(partition, &ReadOptions::default())?;
        let mut stamps: Vec<i64> = Vec::new();
        loop {
            match rows.next_batch() {
                Ok(Some(batch)) if batch.stream == STEPS => {
                    stamps.extend(crate::stamp::Stamp::LogTime(time).times(&batch.rows));
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                // The run meets it again, and counts it.
                Err(err) if err.loss().is_some() => {}
                Err(err) => return Err(err),
            }
        }
        if let Some(hz) = pace_hz(&stamps) {
            return Ok(Some(hz));
        }
    }
    Ok(None)
}

impl Source for ResampledSource {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let own = self.neighbours.own(partition, options)?;
        if !options.wants(STEPS) {
            return Ok(Box::new(own));
        }
        let before = self.neighbours.before(partition, options)?;
        let after = self.neighbours.after(partition, options)?;
        let (origin_ns, mut looked_at) = self.origin(partition, &own, options)?;
        looked_at.extend(own.looked_at.iter().chain(&before.looked_at).chain(&after.looked_at).cloned());
        let part = Part { source: self, partition, before: &before, after: &after, origin_ns };
        Ok(Box::new(made(&part, own, looked_at)?))
    }
}
