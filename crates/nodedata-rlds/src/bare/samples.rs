use std::{path::Path, sync::Arc};

use nodedata_core::{
    EpisodeInfo, EpisodeStream, Error, ErrorKind, Finding, InputFile, InputRange, OpenOptions, Partition,
    ReadOptions, Result, RowDeal, Source, SourcePlan,
};
use serde::Serialize;

use super::{
    learned::{DealText, Learned},
    pass::Stretch,
    stream::RecordStream,
    table::{Table, table},
};
use crate::container::RecordFiles;

/// Opened records, each of which is a row.
pub(super) struct Samples(Arc<Opened>);

/// What the streams of a source share.
pub(super) struct Opened {
    pub(super) plan: SourcePlan,
    pub(super) files: RecordFiles,
    pub(super) deal: Option<RowDeal>,
    pub(super) table: Table,
    /// By partition.
    parts: Vec<Part>,
}

/// What a partition is to its reader.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) input: usize,
    pub(super) stretch: Stretch,
    /// Which records are its own; `None` for all.
    pub(super) split: Option<usize>,
    /// Records of its episode before it.
    pub(super) first_row: u64,
}

/// What decides the rows of a partition besides its bytes: types, which all of the input decides, and whose rows it takes.
#[derive(Debug, Clone, Serialize)]
struct PartRecipe<'a> {
    types: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    split: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deal: Option<&'a DealText>,
}

impl Samples {
    pub(super) fn open(
        files: RecordFiles,
        inputs: Vec<InputFile>,
        learned: Learned,
        warnings: Vec<Finding>,
        options: &OpenOptions,
    ) -> Result<Self> {
        let (table, stream, unselected) = table(&learned.keys, options)?;
        let types = learned.types_hash();
        let recipe = PartRecipe { types: &types, split: None, deal: learned.deal() };
        let mut plan = SourcePlan {
            streams: vec![stream],
            unselected,
            inputs,
            learned: Some(learned.to_text()),
            ..SourcePlan::default()
        };
        let parts = plan_parts(&mut plan, learned.stretches(), options.deal.as_ref(), &recipe);
        plan.findings = learned.findings;
        plan.findings.extend(warnings);
        Ok(Self(Arc::new(Opened { plan, files, deal: options.deal.clone(), table, parts })))
    }
}

/// Adds an episode per file, or per file and split, and a partition for each of its stretches that has rows of it.
fn plan_parts(
    plan: &mut SourcePlan,
    stretches: Vec<Vec<Stretch>>,
    deal: Option<&RowDeal>,
    recipe: &PartRecipe<'_>,
) -> Vec<Part> {
    let mut parts = Vec::new();
    for (input, stretches) in stretches.into_iter().enumerate() {
        let key = key_of(&plan.inputs[input].path);
        let n_splits = deal.map_or(1, |it| it.fractions.len());
        for split in 0..n_splits {
            let name = deal.map(|it| it.fractions[split].0.as_str());
            let episode = plan.episodes.len();
            plan.episodes.push(EpisodeInfo {
                key: name.map_or_else(|| key.clone(), |it| format!("{key}@{it}")),
                input,
                split: name.map(str::to_owned),
                ..EpisodeInfo::default()
            });
            let recipe = PartRecipe { split: name, ..recipe.clone() };
            let recipe = serde_json::to_string(&recipe).expect("text and numbers are JSON");
            let mut first_row = 0;
            for stretch in &stretches {
                let share = stretch.shares[split];
                if share.n_records != 0 {
                    plan.partitions.push(Partition {
                        episode,
                        reads: vec![InputRange { input, byte_range: stretch.byte_range.clone() }],
                        decoded_bytes: share.n_bytes,
                        recipe: recipe.clone(),
                        ..Partition::default()
                    });
                    let split = deal.map(|_| split);
                    parts.push(Part { input, stretch: stretch.clone(), split, first_row });
                }
                first_row += share.n_records;
            }
        }
    }
    parts
}

/// A path as a key that is the same on every machine: `/` whatever this one uses.
fn key_of(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|it| it.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

impl Source for Samples {
    fn plan(&self) -> &SourcePlan {
        &self.0.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let Some(part) = self.0.parts.get(partition) else {
            return Err(Error::new(ErrorKind::Config, format!("there is no partition {partition}")));
        };
        Ok(Box::new(RecordStream::new(Arc::clone(&self.0), part.clone(), options)?))
    }
}
