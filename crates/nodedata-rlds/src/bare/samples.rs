use std::sync::Arc;

use nodedata_core::{
    EpisodeStream, Error, ErrorKind, Finding, InputFile, OpenOptions, ReadOptions, Result, RowDeal, Source,
    SourcePlan,
};
use nodedata_steps::{PackedStretch, SamplePart, SampleStream, own_splits, plan_samples};

use super::{
    learned::{Learned, types_hash},
    stream::RecordReader,
    table::{Table, table},
};
use crate::container::RecordFiles;

/// Opened records, each of which is a row.
pub(super) struct Samples(Arc<Opened>);

/// What the streams of a source share.
pub(super) struct Opened {
    pub(super) plan: SourcePlan,
    pub(super) files: Arc<RecordFiles>,
    pub(super) deal: Option<RowDeal>,
    pub(super) table: Table,
    /// By input, all records.
    pub(super) stretches: Vec<Vec<PackedStretch>>,
    /// By partition.
    parts: Vec<SamplePart<PackedStretch>>,
}

impl Samples {
    pub(super) fn open(
        files: Arc<RecordFiles>,
        inputs: Vec<InputFile>,
        learned: Learned,
        warnings: Vec<Finding>,
        options: &OpenOptions,
    ) -> Result<Self> {
        let (table, stream, unselected) = table(&learned.what, options)?;
        let types = types_hash(&learned.what);
        let mut plan = SourcePlan {
            streams: vec![stream],
            unselected,
            inputs,
            learned: Some(learned.to_text()),
            ..SourcePlan::default()
        };
        let splits = own_splits(plan.inputs.iter().map(|it| it.path.as_path()));
        let stretches = learned.stretches();
        let parts = plan_samples(&mut plan, stretches.clone(), &splits, options.deal.as_ref(), &types);
        plan.findings = learned.findings;
        plan.findings.extend(warnings);
        Ok(Self(Arc::new(Opened { plan, files, deal: options.deal.clone(), table, stretches, parts })))
    }
}

impl Source for Samples {
    fn plan(&self) -> &SourcePlan {
        &self.0.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let Some(part) = self.0.parts.get(partition) else {
            return Err(Error::new(ErrorKind::Config, format!("there is no partition {partition}")));
        };
        let (table, reader) = (&self.0.table, RecordReader::new(Arc::clone(&self.0), part)?);
        Ok(Box::new(SampleStream::new(reader, part, &table.layout, Arc::clone(&table.schema), options)))
    }
}
