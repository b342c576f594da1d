use nodedata_core::{
    Batch, EpisodeStream, Fact, Fate, Feature, Numbering, ReadOptions, Result, Source, SourcePlan, StreamId,
    StreamKind, placed::Mistake, suggest,
};
use serde::{Deserialize, Serialize};

use super::facts::{fact_at, is_scalar};
use crate::{Unfit, transform::picked};

/// Steps that are left out because a column has one of some values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropSteps {
    /// The column, as steps have it in the end.
    pub column: String,
    /// The values, as text; of a column of numbers they are compared as such.
    pub values: Vec<String>,
}

/// Why such steps are left out, as ledgers say it.
const EXCLUDED: &str = "excluded_step";

/// Steps without those that a column excludes.
pub(crate) struct FilteredSource {
    inner: Box<dyn Source>,
    plan: SourcePlan,
    stream: StreamId,
    drops: Vec<(usize, DropSteps)>,
}

impl FilteredSource {
    /// # Errors
    /// All mistakes: columns that steps do not have, or that are no scalars; coded video, of which no sample can go alone.
    pub(crate) fn new(inner: Box<dyn Source>, drops: &[DropSteps]) -> Result<Self, Unfit> {
        let mut plan = inner.plan().clone();
        let at = |column: &str| format!("episodes.drop_steps.{column}");
        let Some(stream) = plan.streams.iter().find(|it| it.kind == StreamKind::Steps) else {
            let message = "the source has no steps that could be left out";
            let hint = "add `steps: {clock: {rate_hz: 30}}`, or remove the key";
            return Err(Unfit::Mistakes(vec![Mistake::new("episodes.drop_steps", message).with_hint(hint)]));
        };
        let (mut found, mut mistakes) = (Vec::new(), Vec::new());
        for drop in drops {
            let Some(column) = stream.column(&drop.column) else {
                let message = format!("steps have no column `{}`", drop.column);
                let names = stream.features.iter().map(|it| it.name.as_str());
                mistakes
                    .push(Mistake::new(at(&drop.column), message).with_hint(suggest(&drop.column, names)));
                continue;
            };
            if stream.features.get(column).is_some_and(is_scalar) {
                found.push((column, drop.clone()));
            } else {
                let message = format!("column `{}` is not one number, bool or text", drop.column);
                mistakes.push(Mistake::new(at(&drop.column), message).with_hint("name one that is"));
            }
        }
        if let Some(video) = plan.videos.first() {
            let message =
                format!("`{}` is coded video, of which no step can be left out alone", video.feature);
            let hint = "decode it: `source: {decode: jpeg}`";
            mistakes.push(Mistake::new("episodes.drop_steps", message).with_hint(hint));
        }
        if !mistakes.is_empty() {
            return Err(Unfit::Mistakes(mistakes));
        }
        let stream = stream.id;
        for partition in &mut plan.partitions {
            // The source does not know which of its steps are left.
            partition.numbering = Numbering::Joined;
            partition.recipe.push_str(&format!("; without {drops:?}"));
        }
        Ok(Self { inner, plan, stream, drops: found })
    }
}

impl DropSteps {
    fn names(&self, fact: &Fact) -> bool {
        let is_same = |value: &String| match fact {
            Fact::Float(number) => value.trim().parse::<f64>().is_ok_and(|it| it == *number),
            Fact::Bool(_) | Fact::Int(_) | Fact::Text(_) => *value == fact.to_string(),
        };
        self.values.iter().any(is_same)
    }
}

impl Source for FilteredSource {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let inner = self.inner.read(partition, options)?;
        let stream = self.plan.streams.iter().find(|it| it.id == self.stream);
        let features = stream.map(|it| it.features.clone()).unwrap_or_default();
        Ok(Box::new(FilteredRows {
            inner,
            stream: self.stream,
            features,
            drops: self.drops.clone(),
            n_dropped: 0,
            fates: Vec::new(),
        }))
    }
}

struct FilteredRows {
    inner: Box<dyn EpisodeStream>,
    stream: StreamId,
    features: Vec<Feature>,
    drops: Vec<(usize, DropSteps)>,
    n_dropped: u64,
    /// What the source says, and the steps that are left out.
    fates: Vec<Fate>,
}

impl FilteredRows {
    /// The rows of a batch that stay.
    fn left(&self, batch: &Batch) -> Vec<u32> {
        let is_dropped = |row: usize| {
            self.drops.iter().any(|(column, drop)| {
                let value = batch.rows.columns().get(*column).and_then(|it| fact_at(it.as_ref(), row));
                value.is_some_and(|it| drop.names(&it))
            })
        };
        let rows = (0u32..).zip(0..batch.rows.num_rows());
        rows.filter(|it| !is_dropped(it.1)).map(|it| it.0).collect()
    }
}

impl EpisodeStream for FilteredRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        loop {
            match self.inner.next_batch()? {
                Some(batch) if batch.stream == self.stream => {
                    let left = self.left(&batch);
                    let n_dropped = batch.rows.num_rows() - left.len();
                    self.n_dropped += n_dropped as u64;
                    if n_dropped == 0 && !left.is_empty() {
                        return Ok(Some(batch));
                    }
                    if !left.is_empty() {
                        return Ok(Some(picked(&batch, &left, &self.features)));
                    }
                }
                Some(batch) => return Ok(Some(batch)),
                None => {
                    self.fates = self.inner.fates().to_vec();
                    if self.n_dropped != 0 {
                        let dropped = [(EXCLUDED, self.n_dropped)].into();
                        self.fates.push(Fate { dropped, ..Fate::new(self.stream) });
                    }
                    return Ok(None);
                }
            }
        }
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        self.inner.records_read()
    }

    fn below(&self) -> Option<&dyn EpisodeStream> {
        Some(self.inner.as_ref())
    }

    fn fates(&self) -> &[Fate] {
        &self.fates
    }
}
