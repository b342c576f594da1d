use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use nodedata_core::{
    Batch, EpisodeInfo, Fact, Feature, SourcePlan, StreamId, StreamSchema, meta, placed::Mistake, suggest,
};
use serde::Serialize;

use super::{EpisodeSpec, FactType, spec::TASK};

/// The columns of metadata that steps have behind their own.
#[derive(Debug)]
pub(super) struct Columns {
    /// The stream that has them.
    pub(super) stream: StreamId,
    pub(super) schema: SchemaRef,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    feature: Feature,
    dtype: FactType,
    /// By episode.
    values: Vec<Option<Fact>>,
}

/// What decides rows beside those of the source.
#[derive(Serialize)]
struct Recipe<'a> {
    #[serde(rename = "episode_columns@1")]
    columns: Vec<(&'a str, &'static str, Option<String>)>,
    below: &'a str,
}

impl Columns {
    /// The columns of a specification for the episodes of a plan that is described.
    ///
    /// # Errors
    /// All mistakes.
    pub(super) fn new(spec: &EpisodeSpec, plan: &SourcePlan) -> Result<Self, Vec<Mistake>> {
        let key = |it: &str| format!("episodes.columns.{it}");
        let Some(stream) = plan.streams.iter().find(|it| it.kind.is_one_table()) else {
            let message = "topics have no steps that could have a column more";
            let hint = "add `steps: {clock: {rate_hz: 30}}`, or remove the key: the index of episodes has the metadata";
            return Err(vec![Mistake::new("episodes.columns", message).with_hint(hint)]);
        };
        let mut mistakes = Vec::new();
        let mut columns: Vec<Column> = Vec::new();
        for wanted in &spec.columns {
            let is_taken = stream.features.iter().chain(columns.iter().map(|it| &it.feature));
            if is_taken.into_iter().any(|it| it.name == wanted.name) || stream.kind.has_built_in(&wanted.name)
            {
                let message = format!("a step has two columns called `{}`", wanted.name);
                let hint = "give it another name: `columns: {other_name: task}`";
                mistakes.push(Mistake::new(key(&wanted.name), message).with_hint(hint));
                continue;
            }
            let values: Vec<Option<Fact>> =
                plan.episodes.iter().map(|it| value(it, &wanted.metadata)).collect();
            let is_known = wanted.metadata == TASK || spec.tells(&wanted.metadata);
            if !is_known && values.iter().all(Option::is_none) && !plan.episodes.is_empty() {
                let message = format!("nothing tells the `{}` of an episode", wanted.metadata);
                mistakes.push(
                    Mistake::new(key(&wanted.name), message)
                        .with_hint(suggest(&wanted.metadata, known(spec, plan).iter().map(String::as_str))),
                );
                continue;
            }
            columns.push(Column::new(&wanted.name, &wanted.metadata, spec, values));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let features = stream.features.iter().chain(columns.iter().map(|it| &it.feature)).cloned();
        let schema = StreamSchema { features: features.collect(), ..stream.clone() }.arrow();
        Ok(Self { stream: stream.id, schema, columns })
    }

    /// The features that they are.
    pub(super) fn features(&self) -> impl Iterator<Item = Feature> + '_ {
        self.columns.iter().map(|it| it.feature.clone())
    }

    /// A batch of an episode with them.
    pub(super) fn batch(&self, batch: Batch, episode: usize) -> Batch {
        let n_rows = batch.rows.num_rows();
        let mut columns: Vec<ArrayRef> = batch.rows.columns().to_vec();
        for Column { dtype, values, .. } in &self.columns {
            columns.push(dtype.column(values.get(episode).and_then(Option::as_ref), n_rows));
        }
        let rows = RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)
            .expect("columns follow the features, and each has as many rows");
        Batch { rows, ..batch }
    }

    /// What decides the rows of a partition of an episode.
    pub(super) fn recipe(&self, episode: usize, below: &str) -> String {
        let columns = self.columns.iter().map(|it| {
            let value = it.values.get(episode).and_then(Option::as_ref).map(ToString::to_string);
            (it.feature.name.as_str(), it.dtype.name(), value)
        });
        serde_json::to_string(&Recipe { columns: columns.collect(), below }).expect("texts are JSON")
    }
}

impl Column {
    fn new(name: &str, metadata: &str, spec: &EpisodeSpec, values: Vec<Option<Fact>>) -> Self {
        let met = values.iter().flatten().map(FactType::of).reduce(FactType::with);
        let dtype = match metadata {
            TASK => FactType::Text,
            _ => spec.declared(metadata).or(met).unwrap_or(FactType::Text),
        };
        let feature = Feature::new(name, dtype.dtype(), Vec::new());
        let about = format!("`{metadata}` of the episode");
        let feature = feature.with_meta(meta::DESCRIPTION, about);
        let feature = if values.contains(&None) { feature.nullable() } else { feature };
        Self { feature, dtype, values }
    }
}

fn value(info: &EpisodeInfo, name: &str) -> Option<Fact> {
    match name {
        TASK => info.task.clone().map(Fact::Text),
        name => info.metadata.get(name).cloned(),
    }
}

/// The names of all metadata there are.
fn known(spec: &EpisodeSpec, plan: &SourcePlan) -> Vec<String> {
    let mut names: Vec<String> = spec.metadata.iter().flat_map(super::MetadataFrom::names).collect();
    names.extend(plan.episodes.iter().flat_map(|it| it.metadata.keys()).map(ToString::to_string));
    names.push(TASK.to_owned());
    names.sort_unstable();
    names.dedup();
    names
}
