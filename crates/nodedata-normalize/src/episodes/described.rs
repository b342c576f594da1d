use std::{collections::BTreeSet, sync::Arc};

use nodedata_core::{
    Batch, EpisodeFacts, EpisodeInfo, EpisodeStream, Fact, ReadOptions, Result, Source, SourcePlan, StreamId,
    placed::Mistake,
};
use regex::Regex;

use super::{
    EpisodeSpec, FactType, MetadataFrom, Missing, PathMetadata,
    columns::Columns,
    names::{Named, partitions_of},
    patterns::{groups, taken},
    spec::TASK,
    tables,
    topics::{Times, Told, TopicColumns, TopicValues, others},
};
use crate::Unfit;

/// A source whose episodes are told more of than it says itself.
pub(crate) struct DescribedSource {
    inner: Box<dyn Source>,
    plan: SourcePlan,
    shared: Arc<Shared>,
}

struct Shared {
    /// What steps have of it.
    columns: Option<Columns>,
    /// Names of what is told: it goes before what reading says.
    told: Vec<String>,
    /// By partition, its episode.
    episodes: Vec<usize>,
}

/// Tells an episode a value, in the place of what the source says.
pub(super) fn tell(info: &mut EpisodeInfo, name: &str, value: Option<Fact>) {
    match (name, value) {
        (TASK, value) => info.task = value.map(|it| it.to_string()),
        (name, Some(value)) => {
            info.metadata.insert(name.into(), value);
        }
        (name, None) => {
            info.metadata.remove(name);
        }
    }
}

impl DescribedSource {
    /// Tells what topics, paths and tables say; `topics` are those that have not been asked yet. `is_cut` says whether keys of episodes are those of recordings
    /// with a number behind a `#`.
    ///
    /// # Errors
    /// All mistakes that only the episodes show; what reading the topics reports.
    pub(crate) fn new(
        inner: Box<dyn Source>,
        spec: &EpisodeSpec,
        topics: &[TopicColumns],
        is_cut: bool,
    ) -> Result<Self, Unfit> {
        let mut plan = inner.plan().clone();
        let mut mistakes = by_topics(inner.as_ref(), topics, &mut plan)?;
        for (idx, from) in spec.metadata.iter().enumerate() {
            let key = format!("episodes.metadata[{idx}]");
            match from {
                MetadataFrom::Path(path) => mistakes.extend(by_path(path, &mut plan, is_cut, &key)),
                MetadataFrom::Table(table) => {
                    let names = tables::names(&plan, &table.equals, is_cut);
                    mistakes.extend(tables::tell_all(table, &mut plan.episodes, &names, &key));
                }
                MetadataFrom::Topic(_) => {}
            }
        }
        let columns = match spec.columns.is_empty() {
            true => None,
            false => match Columns::new(spec, &plan) {
                Ok(columns) => Some(columns),
                Err(found) => {
                    mistakes.extend(found);
                    None
                }
            },
        };
        if !mistakes.is_empty() {
            return Err(Unfit::Mistakes(mistakes));
        }
        if let Some(columns) = &columns {
            let of_columns = plan.streams.iter_mut().filter(|it| it.id == columns.stream);
            of_columns.for_each(|it| it.features.extend(columns.features()));
            for partition in &mut plan.partitions {
                partition.recipe = columns.recipe(partition.episode, &partition.recipe);
            }
        }
        let told = spec.metadata.iter().flat_map(MetadataFrom::names).collect();
        let episodes = plan.partitions.iter().map(|it| it.episode).collect();
        Ok(Self { inner, plan, shared: Arc::new(Shared { columns, told, episodes }) })
    }
}

impl EpisodeSpec {
    /// The same with those rows of tables alone that are about one of the episodes of a plan: a recipe need not know others, and
    /// makes the same of the same episodes.
    #[must_use]
    pub fn about(mut self, plan: &SourcePlan, is_cut: bool) -> Self {
        for from in &mut self.metadata {
            if let MetadataFrom::Table(table) = from {
                let names = tables::names(plan, &table.equals, is_cut);
                let names: BTreeSet<String> = names.into_iter().flatten().collect();
                table.rows.retain(|key, _| names.contains(key));
            }
        }
        self
    }
}

/// Tells whole recordings what their topics say of them.
fn by_topics(source: &dyn Source, topics: &[TopicColumns], plan: &mut SourcePlan) -> Result<Vec<Mistake>> {
    let mut told = Told::default();
    let partitions = partitions_of(plan);
    for topic in topics {
        for (partitions, info) in partitions.iter().zip(&mut plan.episodes) {
            let values = TopicValues::read(source, partitions, topic, None)?;
            topic.tell(&values, Times::WHOLE, info, &mut told);
        }
    }
    Ok(told.mistakes(topics))
}

/// Tells episodes what the groups of a pattern take of their paths.
fn by_path(path: &PathMetadata, plan: &mut SourcePlan, is_cut: bool, key: &str) -> Vec<Mistake> {
    let Ok(regex) = Regex::new(&path.pattern) else { return Vec::new() };
    let paths: Vec<String> = plan.episodes.iter().map(|it| Named::of(plan, it, is_cut).path_text()).collect();
    let found: Vec<Option<Vec<Option<String>>>> = paths.iter().map(|it| taken(&regex, it)).collect();
    let mut mistakes = Vec::new();
    let mut missing = paths.iter().zip(&found).filter(|it| it.1.is_none()).map(|it| it.0);
    if path.missing == Missing::Error
        && let Some(first) = missing.next()
    {
        let message =
            format!("`{}` does not fit the path `{first}`{}", path.pattern, others(missing.count()));
        let hint = "paths start at the folder of the source: name a folder above it to have more of them; or write `missing: \"null\"`";
        mistakes.push(Mistake::new(format!("{key}.path"), message).with_hint(hint));
    }
    for (idx, name) in groups(&path.pattern).into_iter().enumerate() {
        let text =
            |it: &Option<Vec<Option<String>>>| it.as_ref().and_then(|it| it.get(idx).cloned().flatten());
        let texts: Vec<Option<String>> = found.iter().map(text).collect();
        let declared = path.types.get(&name).copied();
        let dtype =
            declared.unwrap_or_else(|| FactType::inferred(texts.iter().flatten().map(String::as_str)));
        for (info, text) in plan.episodes.iter_mut().zip(texts) {
            let value = text.as_ref().and_then(|it| dtype.parse(it));
            if let Some(text) = text.filter(|_| value.is_none()) {
                let message = format!("`{text}` is not {}, of episode `{}`", dtype.name(), info.key);
                mistakes.push(
                    Mistake::new(format!("{key}.types.{name}"), message).with_hint("`text` takes everything"),
                );
                break;
            }
            tell(info, &name, value);
        }
    }
    mistakes
}

impl Source for DescribedSource {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let inner = self.inner.read(partition, options)?;
        let episode = self.shared.episodes.get(partition).copied().unwrap_or_default();
        Ok(Box::new(DescribedRows { inner, shared: Arc::clone(&self.shared), episode, facts: None }))
    }
}

struct DescribedRows {
    inner: Box<dyn EpisodeStream>,
    shared: Arc<Shared>,
    episode: usize,
    /// What reading told, without what is told otherwise.
    facts: Option<EpisodeFacts>,
}

impl EpisodeStream for DescribedRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        let Some(batch) = self.inner.next_batch()? else {
            self.facts = self.inner.facts().cloned().map(|mut facts| {
                facts.metadata.retain(|name, _| !self.shared.told.contains(name));
                facts.task = facts.task.filter(|_| self.shared.told.iter().all(|it| it != TASK));
                facts
            });
            return Ok(None);
        };
        let columns = self.shared.columns.as_ref().filter(|it| it.stream == batch.stream);
        Ok(Some(match columns {
            Some(columns) => columns.batch(batch, self.episode),
            None => batch,
        }))
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        self.inner.records_read()
    }

    fn below(&self) -> Option<&dyn EpisodeStream> {
        Some(self.inner.as_ref())
    }

    fn facts(&self) -> Option<&EpisodeFacts> {
        self.facts.as_ref()
    }
}
