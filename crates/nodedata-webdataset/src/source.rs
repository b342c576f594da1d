use std::sync::Arc;

use nodedata_core::{
    EpisodeStream, Error, ErrorKind, Files, Findings, HEAD_BYTES, InputFile, Locus, OpenOptions, OptionValue,
    ReadOptions, Result, RowDeal, Source, SourcePlan,
};
use nodedata_io::packed::ratio_max;
use nodedata_steps::{SamplePart, SampleStream, own_splits, plan_samples, sample_inputs};

use crate::{
    archive::Archives,
    index::{self, SHARD_MD5, check_digests},
    learned::{ArchiveStretch, Conditions, fitting, learned, stretches, types_hash},
    member::Bounds,
    pass::Pass,
    reader::ArchiveReader,
    table::{Table, table},
};

/// Opened archives of samples.
pub(crate) struct WebDatasetSource(Arc<Opened>);

/// What the streams of a source share.
pub(crate) struct Opened {
    pub(crate) plan: SourcePlan,
    pub(crate) archives: Archives,
    pub(crate) bounds: Bounds,
    pub(crate) deal: Option<RowDeal>,
    pub(crate) table: Table,
    /// By partition.
    parts: Vec<SamplePart<ArchiveStretch>>,
}

impl WebDatasetSource {
    pub(crate) fn open(files: &Arc<dyn Files>, options: &OpenOptions) -> Result<Self> {
        let (indexes, inputs) = inputs(&**files)?;
        let archives = Archives::new(Arc::clone(files), options);
        let bounds = Bounds { bytes_max: archives.member_bytes_max, ratio_max: ratio_max(options) };
        let conditions = Conditions {
            partition_bytes: options.partition_bytes,
            member_bytes_max: archives.member_bytes_max,
            unpack_ratio_max: bounds.ratio_max,
            undecoded: options.undecoded.clone(),
            deal: options.deal.clone(),
            shard_md5: options.option(&SHARD_MD5) == OptionValue::Bool(true),
        };
        let learned = match fitting(options, &conditions, &inputs) {
            Some(learned) => learned,
            None => {
                let pass = Pass { archives: &archives, inputs: &inputs, options, bounds };
                let mut found = pass.run()?;
                found.findings.extend(check_digests(&**files, &indexes, &inputs, options)?);
                learned(conditions, &inputs, found)
            }
        };
        let (table, stream, unselected) = table(&learned.what, options)?;
        let splits = own_splits(inputs.iter().map(|it| it.path.as_path()));
        let stretches = stretches(&learned);
        let mut findings = Findings::default();
        learned.findings.iter().for_each(|it| findings.push(it.clone()));
        for index in &indexes {
            index::check(&**files, &index.path, &inputs, &stretches, &mut findings)?;
        }
        let mut plan = SourcePlan {
            streams: vec![stream],
            unselected,
            inputs,
            beside: indexes.into_iter().map(|it| it.path).collect(),
            findings: findings.into_vec(),
            learned: Some(learned.to_text()),
            ..SourcePlan::default()
        };
        let types = types_hash(&learned.what);
        let parts = plan_samples(&mut plan, stretches, &splits, options.deal.as_ref(), &types);
        Ok(Self(Arc::new(Opened { plan, archives, bounds, deal: options.deal.clone(), table, parts })))
    }
}

/// The indexes of shards, and the archives.
fn inputs(files: &dyn Files) -> Result<(Vec<InputFile>, Vec<InputFile>)> {
    let (mut indexes, mut archives) = (Vec::new(), Vec::new());
    for input in sample_inputs(files, "a `.tar` file")? {
        let is_json = input.path.extension().is_some_and(|it| it.eq_ignore_ascii_case("json"));
        let head = match is_json {
            true => {
                let file = files.open(&input.path)?;
                file.read_at(0..input.n_bytes.min(HEAD_BYTES))
                    .map_err(|err| err.at(Locus::path(&input.path)))?
            }
            false => Default::default(),
        };
        if index::is_index(&input.path, &head) { indexes.push(input) } else { archives.push(input) }
    }
    if archives.is_empty() {
        let place = indexes.first().map(|it| Locus::path(&it.path)).unwrap_or_default();
        let message = "there is an index of shards, and no shard";
        return Err(Error::new(ErrorKind::Config, message)
            .at(place)
            .with_hint("name the folder that they lie in, or the shards"));
    }
    Ok((indexes, archives))
}

impl Source for WebDatasetSource {
    fn plan(&self) -> &SourcePlan {
        &self.0.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let Some(part) = self.0.parts.get(partition) else {
            return Err(Error::new(ErrorKind::Config, format!("there is no partition {partition}")));
        };
        let (table, reader) = (&self.0.table, ArchiveReader::new(Arc::clone(&self.0), part)?);
        Ok(Box::new(SampleStream::new(reader, part, &table.layout, Arc::clone(&table.schema), options)))
    }
}
