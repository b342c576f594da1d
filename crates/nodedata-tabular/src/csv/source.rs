use std::{collections::BTreeSet, sync::Arc};

use arrow_schema::SchemaRef;
use nodedata_core::{
    EpisodeInfo, EpisodeStream, Error, ErrorKind, Fact, Feature, Files, Finding, FindingKind, Findings,
    InputFile, InputRange, Layout, Locus, Loss, OpenOptions, Partition, ReadOptions, Result, RowDeal,
    STEPS as STEPS_NAME, Source, SourcePlan, StreamKind, StreamSchema, suggest,
};
use nodedata_steps::{Column, STEPS, check_names, check_undecoded, select};
use serde::Serialize;

use super::{
    contents::Contents,
    learned::{Conditions, Known, Learned, LearnedColumn},
    pass::{Found, Pass, Stretch, TextFile, own_field},
    stream::RowStream,
    types::ColumnType,
};
use crate::{
    deal::{DealText, field_of},
    inputs::{RESTORE_HINT, inputs, key_of},
    split_names::splits_of,
    table::{own_name, step_index},
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
    parts: Vec<Part>,
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

/// What a partition is to its reader.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) input: usize,
    pub(crate) stretch: Stretch,
    /// Number of its first line, from 1.
    pub(crate) first_line: u64,
    /// Number of its first row in the file, from 0.
    pub(crate) first_row: u64,
    /// Whose rows are its own; `None` for all.
    pub(crate) split: Option<usize>,
    /// Rows of its episode before it.
    pub(crate) first_step: u64,
}

impl CsvSource {
    pub(crate) fn open(files: Arc<dyn Files>, options: &OpenOptions) -> Result<Self> {
        let (inputs, _) = inputs(&*files, "csv", |_| false)?;
        check_undecoded(&[], options)?;
        let record_bytes_max = options.record_bytes_max.min(RECORD_BYTES_MAX);
        let conditions = Conditions::new(options, record_bytes_max);
        let contents = Contents::new(files, &inputs, options);
        let learned = match Learned::fitting(options, &conditions, &inputs) {
            Some(learned) => learned,
            None => learn(&contents, &inputs, options, conditions)?,
        };
        let known = learned.known();
        let (table, steps, unselected) = table(&learned.columns, options)?;
        let mut plan = SourcePlan {
            streams: vec![steps],
            unselected,
            inputs,
            findings: learned.findings.clone(),
            learned: Some(learned.to_text()),
            ..SourcePlan::default()
        };
        let parts = plan_parts(&mut plan, &known, options.deal.as_ref(), &learned.types_hash());
        let files = known.into_iter().map(|it| it.file).collect();
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
        Ok(Box::new(RowStream::new(Arc::clone(&self.0), part.clone(), options)?))
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
    let mut learned = Vec::with_capacity(columns.len());
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
        learned.push(LearnedColumn { name, column_type, nullable });
    }
    let known: Result<Vec<Known>> = files
        .into_iter()
        .enumerate()
        .map(|(input, file)| {
            let content = contents.of(input)?;
            let in_file = file.stretches.iter().map(|it| content.in_file(&it.byte_range)).collect();
            Ok(Known { file, in_file })
        })
        .collect();
    Ok(Learned::new(conditions, inputs, known?, learned, findings.into_vec()))
}

/// The columns of these names and types; the stream of those that are selected; and the names of the others.
fn table(learned: &[LearnedColumn], options: &OpenOptions) -> Result<(Table, StreamSchema, Vec<String>)> {
    let mut names = BTreeSet::new();
    let mut all: Vec<Column<Option<&LearnedColumn>>> = vec![Column { feature: step_index(), origin: None }];
    for column in learned {
        let name = own_name(&column.name, &mut names);
        let feature = Feature::new(name, column.column_type.dtype(), Vec::new());
        let feature = Feature { nullable: column.nullable, ..feature };
        all.push(Column { feature, origin: Some(column) });
    }
    check_names(&all[1..], &[], options)?;
    if let Some(name) = options.deal.as_ref().and_then(field_of)
        && !learned.iter().any(|it| own_field(&it.name) == name)
    {
        let names = all[1..].iter().map(|it| it.feature.name.as_str());
        let message = format!("no row has the field `{name}` that rows are dealt by");
        return Err(Error::new(ErrorKind::Config, message).with_hint(suggest(name, names)));
    }
    let (columns, unselected) = select(all, options, |it| it.origin.map(|_| it.feature.name.clone()));
    let mut layout = Layout::default();
    for column in &columns {
        layout.leaf(column.feature.clone(), &[]);
    }
    let steps = StreamSchema {
        id: STEPS,
        name: STEPS_NAME.into(),
        kind: StreamKind::Samples,
        features: columns.iter().map(|it| it.feature.clone()).collect(),
        metadata: Default::default(),
    };
    let columns = columns.iter().filter_map(|it| it.origin).map(|it| (it.name.clone(), it.column_type));
    let table = Table { columns: columns.collect(), layout: Arc::new(layout), schema: steps.arrow() };
    Ok((table, steps, unselected))
}

/// What decides the rows of a partition besides its bytes: types and dialects, which all of the input decides, its place among the
/// rows of its file, and whose rows it takes.
#[derive(Debug, Clone, Serialize)]
struct PartRecipe<'a> {
    types: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<(u64, u64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    split: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deal: Option<&'a DealText>,
}

/// Adds an episode per file, or per file and split, and a partition for each of its stretches that has rows of it.
fn plan_parts(plan: &mut SourcePlan, files: &[Known], deal: Option<&RowDeal>, types: &str) -> Vec<Part> {
    let own_splits = splits_of(plan.inputs.iter().map(|it| it.path.as_path()));
    let text = deal.map(DealText::new);
    let mut parts = Vec::new();
    for (input, Known { file, in_file }) in files.iter().enumerate() {
        let key = key_of(&plan.inputs[input].path);
        let n_splits = deal.map_or(1, |it| it.fractions.len());
        for split in 0..n_splits {
            let name = deal.map(|it| it.fractions[split].0.as_str());
            let episode = plan.episodes.len();
            let own = || own_splits.as_ref().map(|it| it[input].clone());
            plan.episodes.push(EpisodeInfo {
                key: name.map_or_else(|| key.clone(), |it| format!("{key}@{it}")),
                input,
                split: name.map(str::to_owned).or_else(own),
                metadata: [("dialect".into(), Fact::Text(file.dialect.to_string()))].into(),
                ..EpisodeInfo::default()
            });
            let (mut first_line, mut first_row, mut first_step) = (1 + file.n_header_lines, 0, 0);
            for (stretch, in_file) in file.stretches.iter().zip(in_file) {
                let share = stretch.shares[split];
                if share.n_records != 0 {
                    let range = &stretch.byte_range;
                    // Stretches of a packed file may lie in the same of its bytes.
                    let text_range = (in_file != range).then_some((range.start, range.end));
                    let recipe = PartRecipe { types, text: text_range, split: name, deal: text.as_ref() };
                    plan.partitions.push(Partition {
                        episode,
                        reads: vec![InputRange { input, byte_range: in_file.clone() }],
                        decoded_bytes: share.n_bytes,
                        recipe: serde_json::to_string(&recipe).expect("text and numbers are JSON"),
                        ..Partition::default()
                    });
                    let (stretch, split) = (stretch.clone(), deal.map(|_| split));
                    parts.push(Part { input, stretch, first_line, first_row, split, first_step });
                }
                first_line += stretch.n_lines;
                first_row += stretch.n_records;
                first_step += share.n_records;
            }
        }
    }
    parts
}
