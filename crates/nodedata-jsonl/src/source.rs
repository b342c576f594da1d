use std::{collections::BTreeSet, path::Path, sync::Arc};

use arrow_schema::SchemaRef;
use nodedata_core::{
    DType, EpisodeInfo, EpisodeStream, Error, ErrorKind, Feature, Files, Finding, Findings, InputFile,
    InputRange, Layout, LeafId, Locus, OpenOptions, OptionValue, Partition, ReadOptions, Result, RowDeal,
    RowKey, STEP_INDEX, STEPS as STEPS_NAME, Source, SourcePlan, StreamKind, StreamSchema, free_name, meta,
    patterns, suggest,
};
use nodedata_message::{JsonConflict, JsonKind, JsonType, MessageDecoder};
use nodedata_steps::{Column, STEPS, check_names, check_undecoded, select};
use serde::Serialize;

use crate::{
    deal::{DealText, SOURCE},
    format::ON_CONFLICT,
    learned::{Conditions, Learned},
    own_keys::own_keys,
    pass::{Found, Pass, Stretch},
    stream::RecordStream,
};

/// A line may have no more, whatever the options say: a batch that holds it stays below what its offsets count.
const LINE_BYTES_MAX: u64 = 1 << 30;

/// Opened JSON Lines.
pub(crate) struct JsonlSource(Arc<Opened>);

/// What the streams of a source share.
pub(crate) struct Opened {
    pub(crate) plan: SourcePlan,
    pub(crate) files: Arc<dyn Files>,
    /// By partition.
    parts: Vec<Part>,
    pub(crate) deal: Option<RowDeal>,
    pub(crate) line_bytes_max: u64,
    pub(crate) table: Table,
}

/// The columns of a row.
pub(crate) struct Table {
    /// All columns that are decoded, of which the first is the step index.
    pub(crate) layout: Arc<Layout>,
    pub(crate) decoder: MessageDecoder,
    /// Positions of those that were selected, in order.
    pub(crate) kept: Vec<usize>,
    /// Of a batch.
    pub(crate) schema: SchemaRef,
}

/// What a partition is to its reader.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) input: usize,
    pub(crate) byte_range: std::ops::Range<u64>,
    /// Number of its first line, from 1.
    pub(crate) first_line: u64,
    /// Which records are its own; `None` for all.
    pub(crate) split: Option<usize>,
    /// Records of its episode before it.
    pub(crate) first_record: u64,
}

impl JsonlSource {
    pub(crate) fn open(files: Arc<dyn Files>, options: &OpenOptions) -> Result<Self> {
        let inputs = inputs(&*files)?;
        check_undecoded(&[STEPS_NAME], options)?;
        let conditions = Conditions {
            partition_bytes: options.partition_bytes,
            line_bytes_max: options.record_bytes_max.min(LINE_BYTES_MAX),
            deal: options.deal.as_ref().map(DealText::new),
            refuses_conflicts: options.option(&ON_CONFLICT) == OptionValue::Text("fail".to_owned()),
            decodes: !options.undecoded.iter().any(|it| patterns::fits(it, STEPS_NAME)),
        };
        let learned = match Learned::fitting(options, &conditions, &inputs) {
            Some(learned) => learned,
            None => learn(&*files, &inputs, options, conditions.clone())?,
        };
        let (table, steps, unselected) = table(learned.types.as_ref(), options)?;
        let recipe = PartRecipe { types: types_hash(&learned), split: None, deal: conditions.deal.as_ref() };
        let mut plan = SourcePlan {
            streams: vec![steps],
            unselected,
            inputs,
            findings: learned.findings.clone(),
            learned: Some(learned.to_text()),
            ..SourcePlan::default()
        };
        let parts = plan_parts(&mut plan, &learned.stretches(), options.deal.as_ref(), &recipe);
        let line_bytes_max = conditions.line_bytes_max;
        Ok(Self(Arc::new(Opened { plan, files, parts, deal: options.deal.clone(), line_bytes_max, table })))
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
        let path = &self.0.plan.inputs[part.input].path;
        let file = self.0.files.open(path).map_err(|err| err.at(Locus::path(path)))?;
        Ok(Box::new(RecordStream::new(Arc::clone(&self.0), part.clone(), file, options)))
    }
}

fn inputs(files: &dyn Files) -> Result<Vec<InputFile>> {
    let mut paths = files.list()?;
    paths.sort_unstable();
    if paths.is_empty() {
        let message = "the input has no files";
        return Err(Error::new(ErrorKind::Config, message).with_hint("name a `.jsonl` file"));
    }
    let input = |path: std::path::PathBuf| {
        let n_bytes = files.open(&path).map_err(|err| err.at(Locus::path(&path)))?.n_bytes();
        Ok(InputFile { path, n_bytes })
    };
    paths.into_iter().map(input).collect()
}

/// Reads all lines of all files.
fn learn(
    files: &dyn Files,
    inputs: &[InputFile],
    options: &OpenOptions,
    conditions: Conditions,
) -> Result<Learned> {
    let pass = Pass {
        files,
        inputs,
        stretch_bytes: conditions.partition_bytes,
        line_bytes_max: conditions.line_bytes_max,
        deal: options.deal.as_ref(),
        types: conditions.decodes,
    };
    let found = pass.run()?;
    let mut findings = Findings::default();
    let types =
        if conditions.decodes { Some(types(&pass, &found, &conditions, &mut findings)?) } else { None };
    Ok(Learned::new(conditions, inputs, &found.stretches, types, findings.into_vec()))
}

fn types(
    pass: &Pass<'_>,
    found: &Found,
    conditions: &Conditions,
    findings: &mut Findings,
) -> Result<JsonType> {
    let (types, conflicts) = found.inference.types();
    for conflict in &conflicts {
        let (message, at) = told(pass, found, conflict)?;
        if conditions.refuses_conflicts {
            return Err(Error::new(ErrorKind::Corrupt, message).at(at).with_hint(
                "make the lines agree, or let `--set source.on_conflict=text` keep the field as JSON text",
            ));
        }
        let message = format!("{message}: it is kept as JSON text");
        findings.push(Finding { reason: "mixed_kinds".to_owned(), ..Finding::warning(message, at) });
    }
    Ok(types)
}

/// A conflict in words, and where the second kind is first met.
fn told(pass: &Pass<'_>, found: &Found, conflict: &JsonConflict) -> Result<(String, Locus)> {
    let mut kinds = conflict.kinds.clone();
    kinds.sort_by_key(|it| (it.1.input, it.1.at));
    let mut words = Vec::new();
    let mut at = Locus::default();
    for (kind, place) in kinds.into_iter().take(2) {
        let path = &pass.inputs[place.input as usize].path;
        let line = pass.line_number(found, place).map_err(|err| err.at(Locus::path(path)))?;
        words.push(format!("{kind} in line {line} of {}", path.display()));
        at =
            Locus { byte_offset: Some(place.at), feature: Some(conflict.field.clone()), ..Locus::path(path) };
    }
    Ok((format!("the field `{}` is {}", conflict.field, words.join(" and ")), at))
}

/// The columns of records of these types, or of their bytes; the stream of those that are selected; and the
/// names of the others.
fn table(types: Option<&JsonType>, options: &OpenOptions) -> Result<(Table, StreamSchema, Vec<String>)> {
    let mut layout = Layout::default();
    let about = "position of the line's row in its file, from 0";
    let step_index = Feature::new(STEP_INDEX, DType::Int64, Vec::new()).with_meta(meta::DESCRIPTION, about);
    layout.leaf(step_index, &[]);
    let decoder = match types {
        Some(types) => {
            let decoder = types.compile(&mut layout)?;
            name_columns(&mut layout, types);
            decoder
        }
        None => MessageDecoder::opaque(&mut layout),
    };
    let columns: Vec<Column<usize>> = layout
        .features()
        .enumerate()
        .map(|(origin, feature)| Column { feature: feature.clone(), origin })
        .collect();
    check_names(&columns[1..], &[], options)?;
    if let (Some(RowDeal { key: RowKey::Field(name), .. }), Some(_)) = (&options.deal, types)
        && !columns[1..].iter().any(|it| it.feature.name == *name)
    {
        let names = columns[1..].iter().map(|it| it.feature.name.as_str());
        return Err(Error::new(
            ErrorKind::Config,
            format!("no row has the field `{name}` that rows are dealt by"),
        )
        .with_hint(suggest(name, names)));
    }
    let all = OpenOptions { undecoded: Vec::new(), ..options.clone() };
    let (columns, unselected) = select(columns, &all, |it| (it.origin != 0).then(|| it.feature.name.clone()));
    let steps = StreamSchema {
        id: STEPS,
        name: STEPS_NAME.into(),
        kind: StreamKind::Samples,
        features: columns.iter().map(|it| it.feature.clone()).collect(),
        metadata: Default::default(),
    };
    let kept = columns.iter().map(|it| it.origin).collect();
    let table = Table { layout: Arc::new(layout), decoder, kept, schema: steps.arrow() };
    Ok((table, steps, unselected))
}

/// A field that is called as a column of the table's own becomes `source.<name>`, as in every format of steps.
fn name_columns(layout: &mut Layout, types: &JsonType) {
    let mut names: BTreeSet<String> = layout.features().map(|it| it.name.clone()).collect();
    for (idx, key) in own_keys(types).into_iter().enumerate() {
        let Some(key) = key.filter(|it| StreamKind::Samples.has_built_in(it)) else { continue };
        let name = free_name(&format!("{SOURCE}{key}"), |it| names.contains(it));
        names.insert(name.clone());
        layout.feature_mut(LeafId(1 + idx)).name = name;
    }
}

/// What decides the rows of a partition besides its bytes: types, which all of the input decides, and whose rows it
/// takes.
#[derive(Debug, Clone, Serialize)]
struct PartRecipe<'a> {
    types: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    split: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deal: Option<&'a DealText>,
}

fn types_hash(learned: &Learned) -> String {
    let json = JsonType::from(JsonKind::Json);
    let text = serde_json::to_string(learned.types.as_ref().unwrap_or(&json));
    let text = text.expect("words and lists of them are JSON");
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// Adds an episode per file, or per file and split, and a partition for each of its stretches that has rows of it.
fn plan_parts(
    plan: &mut SourcePlan,
    stretches: &[Vec<Stretch>],
    deal: Option<&RowDeal>,
    recipe: &PartRecipe<'_>,
) -> Vec<Part> {
    let mut parts = Vec::new();
    for (input, stretches) in stretches.iter().enumerate() {
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
            let (mut first_line, mut first_record) = (1, 0);
            for stretch in stretches {
                let share = stretch.shares[split];
                if share.n_records != 0 {
                    let byte_range = stretch.byte_range.clone();
                    plan.partitions.push(Partition {
                        episode,
                        reads: vec![InputRange { input, byte_range: byte_range.clone() }],
                        decoded_bytes: share.n_bytes,
                        recipe: recipe.clone(),
                        ..Partition::default()
                    });
                    let split = deal.map(|_| split);
                    parts.push(Part { input, byte_range, first_line, split, first_record });
                }
                first_line += stretch.n_lines;
                first_record += share.n_records;
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
