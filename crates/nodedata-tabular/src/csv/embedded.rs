//! Files that rows of text name, in the place of their names: a source over the source of the text, whose rows are what the text says.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use arrow_array::{RecordBatch, cast::AsArray as _};
use arrow_schema::SchemaRef;
use nodedata_core::{
    DType, EpisodeStream, Error, ErrorKind, Feature, Files, InputFile, InputRange, OpenOptions, ReadOptions,
    Reference, Result, Source, SourcePlan, Storage, StreamSchema, suggest,
};
use nodedata_steps::{Named, References, name_of_sample};
use rayon::prelude::*;
use serde::Serialize;

use super::{embedded_rows::EmbeddedRows, source::CsvSource};

/// Opened tables of text, with media in the place of names.
pub(crate) struct EmbeddedSource {
    inner: CsvSource,
    shared: Arc<Shared>,
}

/// What the streams of a source share.
pub(crate) struct Shared {
    pub(crate) plan: SourcePlan,
    pub(crate) references: References,
    /// By field of the references, the position of its column.
    pub(crate) columns: Vec<usize>,
    /// Of a batch.
    pub(crate) schema: SchemaRef,
}

/// What the rows of a partition name.
#[derive(Default)]
struct NamedFiles {
    files: BTreeMap<PathBuf, u64>,
    lacks: BTreeSet<String>,
    n_bytes: u64,
}

/// What decides the rows of a partition besides what decides its text.
#[derive(Serialize)]
struct EmbedRecipe<'a> {
    embed: &'a BTreeMap<String, Reference>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    lacks: &'a BTreeSet<String>,
}

impl EmbeddedSource {
    /// Opens text, and reads it for the files that it names.
    ///
    /// # Errors
    /// Those of the text; `Config` for a name that no column of text has.
    pub(crate) fn open(files: Arc<dyn Files>, options: &OpenOptions) -> Result<Self> {
        let references = References::new(&files, options);
        let inner = CsvSource::open(files, &OpenOptions { embed: BTreeMap::new(), ..options.clone() })?;
        let mut plan = inner.plan().clone();
        let columns = refer(&mut plan.streams[0], &plan.unselected, &references, options)?;
        // Of columns that are not selected nothing is looked for.
        let n_looked_at = if columns.is_empty() { 0 } else { plan.partitions.len() };
        let partitions = (0..n_looked_at).into_par_iter();
        let named: Result<Vec<NamedFiles>> =
            partitions.map(|partition| named_by(&inner, partition, &columns, &references, &plan)).collect();
        add_named(&mut plan, &named?, options);
        let schema = plan.streams[0].arrow();
        Ok(Self { inner, shared: Arc::new(Shared { plan, references, columns, schema }) })
    }
}

impl Source for EmbeddedSource {
    fn plan(&self) -> &SourcePlan {
        &self.shared.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let inner = self.inner.read(partition, options)?;
        if self.shared.columns.is_empty() {
            return Ok(inner);
        }
        let input = input_of(&self.shared.plan, partition);
        Ok(Box::new(EmbeddedRows::new(inner, Arc::clone(&self.shared), input, options)))
    }
}

/// Position of the file that the rows of a partition are of.
fn input_of(plan: &SourcePlan, partition: usize) -> usize {
    plan.episodes[plan.partitions[partition].episode].input
}

/// Makes media of the columns that name files; returns where these are.
fn refer(
    steps: &mut StreamSchema,
    unselected: &[String],
    references: &References,
    options: &OpenOptions,
) -> Result<Vec<usize>> {
    let is_text = |it: &Feature| it.dtype == DType::String && it.lists.is_empty();
    for name in options.embed.keys() {
        let found = steps.features.iter().find(|it| it.name == *name);
        if found.is_some_and(is_text) || unselected.contains(name) {
            continue;
        }
        let message = match found {
            Some(other) => {
                format!("`{name}` in `embed` is {} in the table, and no text that names files", other.told())
            }
            None => format!("no column is called `{name}`, as `embed` has it"),
        };
        let texts = steps.features.iter().filter(|it| is_text(it)).map(|it| it.name.as_str());
        return Err(Error::new(ErrorKind::Config, message).with_hint(suggest(name, texts)));
    }
    let mut columns = Vec::new();
    for path in references.paths() {
        let name = name_of_sample(path);
        let Some(at) = steps.features.iter().position(|it| it.name == name) else {
            return Err(Error::new(
                ErrorKind::Config,
                format!("no column is called `{name}`, as `embed` has it"),
            ));
        };
        let feature = &mut steps.features[at];
        let nullable = feature.nullable || references.allows_missing();
        let medium = Feature::new(name, DType::UInt8, Vec::new());
        *feature = Feature { storage: Storage::EncodedMedia, nullable, ..medium };
        columns.push(at);
    }
    Ok(columns)
}

/// What the rows of a partition name.
///
/// # Errors
/// `Io`. What else cannot be read, whoever reads the rows is told.
fn named_by(
    inner: &CsvSource,
    partition: usize,
    columns: &[usize],
    references: &References,
    plan: &SourcePlan,
) -> Result<NamedFiles> {
    let mut found = NamedFiles::default();
    let mut known: BTreeMap<(usize, String), Named> = BTreeMap::new();
    let from = &plan.inputs[input_of(plan, partition)].path;
    let mut stream = inner.read(partition, &ReadOptions::default())?;
    loop {
        let rows: RecordBatch = match stream.next_batch() {
            Ok(Some(batch)) => batch.rows,
            Ok(None) => return Ok(found),
            Err(err) if err.loss().is_some() => continue,
            Err(err) => return Err(err),
        };
        for (field, column) in columns.iter().enumerate() {
            let texts = rows.column(*column).as_string::<i32>();
            for text in texts.iter().flatten() {
                let key = (field, text.to_owned());
                let named = match known.get(&key) {
                    Some(named) => named.clone(),
                    None => {
                        let named = references.named(field, from, text)?;
                        // Media within the text are long, and none of them comes again.
                        if named != Named::None {
                            known.insert(key, named.clone());
                        }
                        named
                    }
                };
                found.take(named);
            }
        }
    }
}

impl NamedFiles {
    fn take(&mut self, named: Named) {
        match named {
            Named::File(path, n_bytes) => {
                self.files.insert(path, n_bytes);
                self.n_bytes = self.n_bytes.saturating_add(n_bytes);
            }
            Named::Missing(path) => {
                self.lacks.insert(path);
            }
            Named::None => {}
        }
    }
}

/// Adds what the rows of partitions name to what decides them.
fn add_named(plan: &mut SourcePlan, named: &[NamedFiles], options: &OpenOptions) {
    let inputs = plan.inputs.iter().enumerate().map(|(idx, it)| (it.path.clone(), idx));
    let mut positions: BTreeMap<PathBuf, usize> = inputs.collect();
    for (partition, NamedFiles { files, lacks, n_bytes }) in plan.partitions.iter_mut().zip(named) {
        let own: BTreeSet<usize> = partition.reads.iter().map(|it| it.input).collect();
        for (path, n_file) in files {
            let input = *positions.entry(path.clone()).or_insert_with(|| {
                plan.inputs.push(InputFile { path: path.clone(), n_bytes: *n_file });
                plan.inputs.len() - 1
            });
            if !own.contains(&input) {
                partition.reads.push(InputRange { input, byte_range: 0..u64::MAX });
            }
        }
        partition.decoded_bytes = partition.decoded_bytes.saturating_add(*n_bytes);
        let recipe = EmbedRecipe { embed: &options.embed, lacks };
        let recipe = serde_json::to_string(&recipe).expect("text is JSON");
        partition.recipe.push_str(&format!(" {recipe}"));
    }
}
