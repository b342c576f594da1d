use std::sync::Arc;

use nodedata_core::{
    EpisodeStream, Error, ErrorKind, Files, OpenOptions, OptionValue, ReadOptions, Result, RowDeal,
    STEPS as STEPS_NAME, Source, SourcePlan, patterns,
};
use nodedata_io::packed::{Contents, ratio_max};
use nodedata_steps::{
    References, SamplePart, SampleStream, check_undecoded, own_splits, plan_samples, sample_inputs,
};

use crate::{
    format::MIXED,
    learn::learn,
    learned::{Conditions, Mixed, fitting},
    pass::Pass,
    stream::RowReader,
    stretch::Stretch,
    table::{Table, table},
};

/// A record may have no more, whatever the options say: a batch that holds it stays below what its offsets count.
const RECORD_BYTES_MAX: u64 = 1 << 30;

/// Opened JSON Lines.
pub(crate) struct JsonlSource(Arc<Opened>);

/// What the streams of a source share.
pub(crate) struct Opened {
    pub(crate) plan: SourcePlan,
    pub(crate) contents: Contents,
    pub(crate) references: References,
    /// By partition.
    parts: Vec<SamplePart<Stretch>>,
    pub(crate) deal: Option<RowDeal>,
    pub(crate) record_bytes_max: u64,
    pub(crate) mixed: Mixed,
    pub(crate) table: Table,
}

impl JsonlSource {
    pub(crate) fn open(files: &Arc<dyn Files>, options: &OpenOptions) -> Result<Self> {
        let mut inputs = sample_inputs(&**files, "a `.jsonl` file")?;
        check_undecoded(&[STEPS_NAME], options)?;
        let decodes = !options.undecoded.iter().any(|it| patterns::fits(it, STEPS_NAME));
        // Of records that stay bytes nothing is put in the place of anything.
        let embed = if decodes { options.embed.clone() } else { Default::default() };
        let options = &OpenOptions { embed, ..options.clone() };
        let references = References::new(files, options);
        let conditions = Conditions {
            partition_bytes: options.partition_bytes,
            record_bytes_max: options.record_bytes_max.min(RECORD_BYTES_MAX),
            unpack_ratio_max: ratio_max(options),
            deal: options.deal.clone(),
            mixed: mixed(options),
            decodes,
            embed: options.embed.clone(),
            topics: if options.embed.is_empty() { None } else { options.topics.clone() },
        };
        let (record_bytes_max, mixed) = (conditions.record_bytes_max, conditions.mixed);
        let contents = Contents::new(Arc::clone(files), &inputs, options);
        let learned = match fitting(options, &conditions, &inputs, &references) {
            Some(learned) => learned,
            None => {
                let pass = Pass {
                    contents: &contents,
                    inputs: &inputs,
                    options,
                    record_bytes_max,
                    types: decodes,
                    mixed,
                    references: &references,
                };
                learn(&pass, conditions)?
            }
        };
        let (table, steps, unselected) = table(&learned.what, options, &references)?;
        let splits = own_splits(inputs.iter().map(|it| it.path.as_path()));
        inputs.extend(learned.what.named());
        let mut plan = SourcePlan {
            streams: vec![steps],
            unselected,
            inputs,
            findings: learned.findings.clone(),
            learned: Some(learned.to_text()),
            ..SourcePlan::default()
        };
        let types = learned.what.types_hash();
        let parts = plan_samples(&mut plan, learned.stretches(), &splits, options.deal.as_ref(), &types);
        let deal = options.deal.clone();
        Ok(Self(Arc::new(Opened { plan, contents, references, parts, deal, record_bytes_max, mixed, table })))
    }
}

/// What becomes of values that no one type holds.
fn mixed(options: &OpenOptions) -> Mixed {
    match options.option(&MIXED) {
        OptionValue::Text(word) if word == "refuse" => Mixed::Refuse,
        OptionValue::Text(word) if word == "text" => Mixed::Text,
        OptionValue::Text(_) | OptionValue::Bool(_) | OptionValue::Integer(_) => Mixed::Json,
    }
}

impl Source for JsonlSource {
    fn plan(&self) -> &SourcePlan {
        &self.0.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let Some(part) = self.0.parts.get(partition) else {
            return Err(Error::new(ErrorKind::Config, format!("there is no partition {partition}")));
        };
        let (table, reader) = (&self.0.table, RowReader::new(Arc::clone(&self.0), part)?);
        Ok(Box::new(SampleStream::new(reader, part, &table.layout, Arc::clone(&table.schema), options)))
    }
}
