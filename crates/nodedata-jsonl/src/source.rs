use std::{collections::BTreeSet, sync::Arc};

use arrow_schema::SchemaRef;
use nodedata_core::{
    EpisodeStream, Error, ErrorKind, Files, Finding, Findings, InputFile, Layout, LeafId, Locus, OpenOptions,
    OptionValue, ReadOptions, Result, RowDeal, STEPS as STEPS_NAME, Source, SourcePlan, StreamKind,
    StreamSchema, free_name, patterns,
};
use nodedata_message::{JsonConflict, JsonKind, JsonType, MessageDecoder};
use nodedata_steps::{
    Column, SamplePart, SampleStream, check_dealt_column, check_names, check_undecoded, name_of_sample,
    plan_samples, row_index, sample_inputs, samples_schema, select,
};

use crate::{
    format::ON_CONFLICT,
    learned::{Conditions, Learned},
    own_keys::{have_one_value, own_keys},
    pass::{Found, Pass, Stretch},
    stream::LineReader,
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
    parts: Vec<SamplePart<Stretch>>,
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

impl JsonlSource {
    pub(crate) fn open(files: Arc<dyn Files>, options: &OpenOptions) -> Result<Self> {
        let inputs = sample_inputs(&*files, "a `.jsonl` file")?;
        check_undecoded(&[STEPS_NAME], options)?;
        let conditions = Conditions {
            partition_bytes: options.partition_bytes,
            line_bytes_max: options.record_bytes_max.min(LINE_BYTES_MAX),
            deal: options.deal.clone(),
            refuses_conflicts: options.option(&ON_CONFLICT) == OptionValue::Text("fail".to_owned()),
            decodes: !options.undecoded.iter().any(|it| patterns::fits(it, STEPS_NAME)),
        };
        let learned = match Learned::fitting(options, &conditions, &inputs) {
            Some(learned) => learned,
            None => learn(&*files, &inputs, options, conditions.clone())?,
        };
        let (table, steps, unselected) = table(learned.types.as_ref(), options)?;
        let mut plan = SourcePlan {
            streams: vec![steps],
            unselected,
            inputs,
            findings: learned.findings.clone(),
            learned: Some(learned.to_text()),
            ..SourcePlan::default()
        };
        let types = types_hash(&learned);
        let parts = plan_samples(&mut plan, learned.stretches(), &[], options.deal.as_ref(), &types);
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
        let (table, reader) = (&self.0.table, LineReader::new(Arc::clone(&self.0), part, file));
        Ok(Box::new(SampleStream::new(reader, part, &table.layout, Arc::clone(&table.schema), options)))
    }
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
    layout.leaf(row_index("line"), &[]);
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
    if let Some(types) = types {
        let names = columns[1..].iter().map(|it| it.feature.name.as_str());
        let names = names.zip(have_one_value(types));
        check_dealt_column(options, "row has the field", "it is many values, of the items of a list", names)?;
    }
    let all = OpenOptions { undecoded: Vec::new(), ..options.clone() };
    let (columns, unselected) = select(columns, &all, |it| (it.origin != 0).then(|| it.feature.name.clone()));
    let steps = samples_schema(columns.iter().map(|it| it.feature.clone()).collect());
    let kept = columns.iter().map(|it| it.origin).collect();
    let table = Table { layout: Arc::new(layout), decoder, kept, schema: steps.arrow() };
    Ok((table, steps, unselected))
}

/// A field that is called as a column of the table's own becomes `source.<name>`, as in every format of steps.
fn name_columns(layout: &mut Layout, types: &JsonType) {
    let mut names: BTreeSet<String> = layout.features().map(|it| it.name.clone()).collect();
    for (idx, key) in own_keys(types).into_iter().enumerate() {
        let Some(key) = key.filter(|it| StreamKind::Samples.has_built_in(it)) else { continue };
        let name = free_name(&name_of_sample(key), |it| names.contains(it));
        names.insert(name.clone());
        layout.feature_mut(LeafId(1 + idx)).name = name;
    }
}

fn types_hash(learned: &Learned) -> String {
    let json = JsonType::from(JsonKind::Json);
    let text = serde_json::to_string(learned.types.as_ref().unwrap_or(&json));
    let text = text.expect("words and lists of them are JSON");
    blake3::hash(text.as_bytes()).to_hex().to_string()
}
