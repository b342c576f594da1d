use std::{collections::BTreeSet, sync::Arc};

use arrow_schema::SchemaRef;
use nodedata_core::{
    EpisodeStream, Error, ErrorKind, Fact, Feature, Files, Finding, FindingKind, Findings, InputFile, Layout,
    Locus, Loss, OpenOptions, ReadOptions, Result, RowDeal, Source, SourcePlan, StreamSchema,
};
use nodedata_io::packed::Contents;
use nodedata_steps::{
    Column, SamplePart, SampleStream, check_dealt_field, check_names, check_undecoded, name_of_sample,
    own_splits, plan_samples, row_index, samples_schema, select,
};

use super::{
    column_types::ColumnType,
    learned::{Conditions, Learned, LearnedColumn, fitting, learned},
    pass::{Found, Pass, Stretch, TextFile},
    stream::RowReader,
};
use crate::{
    inputs::{RESTORE_HINT, inputs},
    table::own_name,
};

/// A record may have no more, whatever the options say: a batch that holds it stays below what its offsets count.
const RECORD_BYTES_MAX: u64 = 1 << 30;

/// Opened tables of text.
pub(crate) struct CsvSource(Arc<Opened>);

/// What the streams of a source share.
pub(crate) struct Opened {
    pub(crate) plan: SourcePlan,
    pub(crate) contents: Contents,
    pub(crate) deal: Option<RowDeal>,
    pub(crate) record_bytes_max: u64,
    pub(crate) table: Table,
    /// By input.
    pub(crate) files: Vec<TextFile>,
    /// By partition.
    parts: Vec<SamplePart<Stretch>>,
}

/// The columns of a row.
pub(crate) struct Table {
    /// Those that were selected, of which the first is the step index.
    pub(crate) layout: Arc<Layout>,
    /// The same behind the step index: what it is called in files, and its type.
    pub(crate) columns: Vec<(String, ColumnType)>,
    /// Of a batch.
    pub(crate) schema: SchemaRef,
}

impl CsvSource {
    pub(crate) fn open(files: Arc<dyn Files>, options: &OpenOptions) -> Result<Self> {
        let (inputs, _) = inputs(&*files, "a `.csv` file", |_| false)?;
        check_undecoded(&[], options)?;
        let record_bytes_max = options.record_bytes_max.min(RECORD_BYTES_MAX);
        let conditions = Conditions::new(options, record_bytes_max);
        let contents = Contents::new(files, &inputs, options);
        let learned = match fitting(options, &conditions, &inputs) {
            Some(learned) => learned,
            None => learn(&contents, &inputs, options, conditions)?,
        };
        let files = learned.what.files(learned.files());
        let (table, steps, unselected) = table(&learned.what.columns, options)?;
        let mut plan = SourcePlan {
            streams: vec![steps],
            unselected,
            inputs,
            findings: learned.findings.clone(),
            learned: Some(learned.to_text()),
            ..SourcePlan::default()
        };
        let parts = plan_parts(&mut plan, &files, options.deal.as_ref(), &learned.what.types_hash());
        let deal = options.deal.clone();
        Ok(Self(Arc::new(Opened { plan, contents, deal, record_bytes_max, table, files, parts })))
    }
}

impl Source for CsvSource {
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

/// Damage of a packed file, behind which there is no text.
///
/// # Errors
/// The damage, unless it is to be listed.
pub(super) fn note_damage(
    damage: &Error,
    input: &InputFile,
    options: &OpenOptions,
    findings: &mut Findings,
) -> Result<()> {
    let start = damage.locus().byte_offset.unwrap_or(0);
    let err = Error::new(damage.kind(), damage.chain())
        .at(damage.locus().clone())
        .at(Locus::path(&input.path))
        .with_hint(damage.hint().unwrap_or(RESTORE_HINT))
        .with_loss(Loss {
            byte_range: Some(start..input.n_bytes),
            uncounted: true,
            reason: "unreadable",
            ..Loss::default()
        });
    if !options.salvage {
        return Err(err);
    }
    findings.push(Finding::new(FindingKind::Damage, &err, |_| None));
    Ok(())
}

/// Reads all text.
fn learn(
    contents: &Contents,
    inputs: &[InputFile],
    options: &OpenOptions,
    conditions: Conditions,
) -> Result<Learned> {
    let pass = Pass { contents, inputs, options, record_bytes_max: conditions.record_bytes_max };
    let Found { files, columns, mut findings } = pass.run()?;
    let mut known = Vec::with_capacity(columns.len());
    for (name, seen) in columns {
        let (column_type, nullable) = seen.column_type();
        if let Some((number, text)) = seen.mixed() {
            let told =
                |(input, at): (usize, u64)| format!("at byte {at} of {}", inputs[input].path.display());
            let message = format!(
                "column `{name}` has numbers, the first {}, and text, the first {}: it is kept as text",
                told(number),
                told(text)
            );
            let at = Locus {
                byte_offset: Some(text.1),
                feature: Some(name.clone()),
                ..Locus::path(&inputs[text.0].path)
            };
            findings.push(Finding { reason: "mixed_kinds".to_owned(), ..Finding::warning(message, at) });
        }
        known.push(LearnedColumn { name, column_type, nullable });
    }
    Ok(learned(conditions, inputs, files, known, findings.into_vec()))
}

/// The columns of these names and types; the stream of those that are selected; and the names of the others.
fn table(learned: &[LearnedColumn], options: &OpenOptions) -> Result<(Table, StreamSchema, Vec<String>)> {
    let mut names = BTreeSet::new();
    let mut all: Vec<Column<Option<&LearnedColumn>>> =
        vec![Column { feature: row_index("row"), origin: None }];
    for column in learned {
        let name = own_name(&column.name, &mut names);
        let feature = Feature::new(name, column.column_type.dtype(), Vec::new());
        let feature = Feature { nullable: column.nullable, ..feature };
        all.push(Column { feature, origin: Some(column) });
    }
    check_names(&all[1..], &[], options)?;
    let names = learned.iter().map(|it| name_of_sample(&it.name)).collect::<Vec<_>>();
    check_dealt_field(options, "row has the field", names.iter().map(String::as_str))?;
    let (columns, unselected) = select(all, options, |it| it.origin.map(|_| it.feature.name.clone()));
    let mut layout = Layout::default();
    for column in &columns {
        layout.leaf(column.feature.clone(), &[]);
    }
    let steps = samples_schema(columns.iter().map(|it| it.feature.clone()).collect());
    let columns = columns.iter().filter_map(|it| it.origin).map(|it| (it.name.clone(), it.column_type));
    let table = Table { columns: columns.collect(), layout: Arc::new(layout), schema: steps.arrow() };
    Ok((table, steps, unselected))
}

/// Adds an episode per file, or per file and split, and a partition for each of its stretches that has rows of it.
fn plan_parts(
    plan: &mut SourcePlan,
    files: &[TextFile],
    deal: Option<&RowDeal>,
    types: &str,
) -> Vec<SamplePart<Stretch>> {
    let own_splits = own_splits(plan.inputs.iter().map(|it| it.path.as_path()));
    let stretches = files.iter().map(|it| it.stretches.clone()).collect();
    let parts = plan_samples(plan, stretches, &own_splits, deal, types);
    for episode in &mut plan.episodes {
        let dialect = files[episode.input].dialect.to_string();
        episode.metadata.insert("dialect".into(), Fact::Text(dialect));
    }
    for (partition, part) in plan.partitions.iter_mut().zip(&parts) {
        let Stretch { text, in_file, .. } = &part.stretch;
        // Stretches of a packed file may lie in the same of its bytes.
        if text != in_file {
            partition.recipe.push_str(&format!(" text {}..{}", text.start, text.end));
        }
    }
    parts
}
