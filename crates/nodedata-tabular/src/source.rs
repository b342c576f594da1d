use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use nodedata_arrow::{Joined, Leaf, RowGroup};
use nodedata_core::{
    EpisodeInfo, EpisodeStream, Error, ErrorKind, Files, Finding, FindingKind, Findings, InputFile,
    InputRange, Locus, Loss, Numbering, OpenOptions, OptionValue, Partition, ReadOptions, Reference, Result,
    RowDeal, Source, SourcePlan,
};
use nodedata_steps::{References, key_of, own_splits};
use rayon::prelude::*;
use serde::Serialize;

use crate::{
    embed::{NamedFiles, Naming, add_named, own_leaves, refer},
    format::{REFERENCES, is_beside},
    inputs::inputs,
    parts::{Part, parts},
    rows::row_stream,
    table::{Origin, Table, Ways, ways},
    table_file::{Kind, TableFile, Told},
};

/// Files kept open: footers of many row groups are large.
const FILES_KEPT: usize = 8;
/// Files that are looked at together.
const FILES_AT_ONCE: usize = 256;

/// Opened tables.
pub(crate) struct TableSource(Arc<Opened>);

/// What the streams of a source share.
pub(crate) struct Opened {
    pub(crate) plan: SourcePlan,
    pub(crate) table: Table,
    pub(crate) deal: Option<RowDeal>,
    /// By input that has rows.
    pub(crate) groups: Vec<Vec<RowGroup>>,
    /// By input that has rows, where its leaves lie.
    pub(crate) ways: Vec<Arc<Ways>>,
    /// By partition.
    pub(crate) reads: Vec<Read>,
    /// What is embedded.
    pub(crate) references: References,
    /// Whether other media that are not in the tables are null.
    pub(crate) allows_references: bool,
    pub(crate) kind: Kind,
    files: Arc<dyn Files>,
    options: OpenOptions,
    open: Mutex<Vec<(usize, Arc<TableFile>)>>,
}

/// What a partition is to its reader.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) input: usize,
    pub(crate) part: Part,
    /// Whose rows are its own; `None` for all.
    pub(crate) split: Option<usize>,
}

impl TableSource {
    pub(crate) fn open(kind: Kind, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Self> {
        let what = match kind {
            Kind::Parquet => "a `.parquet` file",
            Kind::Arrow => "an `.arrow` file",
        };
        let is_beside = |it: &std::path::Path| kind == Kind::Arrow && is_beside(it);
        let (inputs, beside) = inputs(&*files, what, is_beside)?;
        let mut findings = Findings::default();
        let references = References::new(&files, options);
        let Looks { mut leaves, looked_at } = look(kind, &*files, &inputs, options, &mut findings)?;
        let embedded = refer(&mut leaves, &references, options)?;
        let types = types_hash(&leaves);
        let (table, steps, unselected) =
            Table::new(leaves, embedded, options).map_err(|err| in_first_file(err, &looked_at, &inputs))?;
        let mut parts = parts_of(&looked_at, options, &table);
        let naming = Naming { kind, files: &*files, options, references: &references, inputs: &inputs };
        let named = naming.run(&table.embedded, &mut parts, &mut findings)?;
        let mut plan = SourcePlan {
            streams: vec![steps],
            unselected,
            inputs,
            beside,
            findings: findings.into_vec(),
            ..SourcePlan::default()
        };
        let reads = plan_parts(&mut plan, &looked_at, &parts, &named, &types, options);
        let (groups, ways) = looked_at.into_iter().map(|it| (it.groups, it.ways)).unzip();
        Ok(Self(Arc::new(Opened {
            plan,
            table,
            deal: options.deal.clone(),
            groups,
            ways,
            reads,
            references,
            allows_references: options.option(&REFERENCES) == OptionValue::Text("null".to_owned()),
            kind,
            files,
            options: options.clone(),
            open: Mutex::default(),
        })))
    }
}

impl Source for TableSource {
    fn plan(&self) -> &SourcePlan {
        &self.0.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        row_stream(&self.0, partition, options)
    }
}

impl Opened {
    /// The file at a position, opened where it is not open.
    pub(crate) fn file(&self, input: usize) -> Result<Arc<TableFile>> {
        let lock = || self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, file)) = lock().iter().find(|(it, _)| *it == input) {
            return Ok(Arc::clone(file));
        }
        let InputFile { path, n_bytes } = &self.plan.inputs[input];
        let (file, _) = TableFile::open(self.kind, &*self.files, path, *n_bytes, &self.options)?;
        let file = Arc::new(file);
        let mut open = lock();
        // Another thread may have been as quick, and what several parts share lies with the one that is kept.
        if let Some((_, file)) = open.iter().find(|(it, _)| *it == input) {
            return Ok(Arc::clone(file));
        }
        if open.len() == FILES_KEPT {
            open.remove(0);
        }
        open.push((input, Arc::clone(&file)));
        Ok(file)
    }

    /// Keeps a file open no longer whose last part was read: what was brought of it, or is mapped, goes with whoever still reads it.
    pub(crate) fn let_go(&self, input: usize) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|(it, _)| *it != input);
    }
}

/// What is in all files: their columns joined, and what is in each.
struct Looks {
    leaves: Vec<Leaf>,
    /// By file.
    looked_at: Vec<LookedAt>,
}

/// What is in a file: nothing in one that cannot be read.
#[derive(Debug, Default)]
struct LookedAt {
    groups: Vec<RowGroup>,
    /// Whether rows in the middle of a row group cost those before them.
    walks: bool,
    /// As [`types_hash`], of its own leaves: a footer tells them behind all bytes that prove a part.
    own_types: String,
    /// Where its leaves lie; files that follow each other share them where they are the same.
    ways: Arc<Ways>,
}

fn look(
    kind: Kind,
    files: &dyn Files,
    inputs: &[InputFile],
    options: &OpenOptions,
    findings: &mut Findings,
) -> Result<Looks> {
    let mut joined = Joined::default();
    let mut looked_at: Vec<LookedAt> = Vec::with_capacity(inputs.len());
    for some in inputs.chunks(FILES_AT_ONCE) {
        let opened: Vec<Result<Told>> = some
            .par_iter()
            .map(|it| TableFile::open(kind, files, &it.path, it.n_bytes, options).map(|(_, told)| told))
            .collect();
        for (input, told) in some.iter().zip(opened) {
            let told = match told {
                Ok(told) => told,
                Err(err) if options.salvage && err.kind() == ErrorKind::Corrupt => {
                    findings.push(lost(err, 0..input.n_bytes));
                    looked_at.push(LookedAt::default());
                    continue;
                }
                Err(err) => return Err(err),
            };
            if let Some(err) = told.damage {
                if !options.salvage {
                    return Err(err);
                }
                let start = err.locus().byte_offset.unwrap_or(0);
                findings.push(lost(err, start..input.n_bytes));
            }
            if told.n_behind != 0 {
                let message = format!("{} bytes behind the end of the stream are not read", told.n_behind);
                let at =
                    Locus { byte_offset: Some(input.n_bytes - told.n_behind), ..Locus::path(&input.path) };
                findings.push(Finding { reason: "behind_end".to_owned(), ..Finding::warning(message, at) });
            }
            let leaves = own_leaves(told.leaves, options);
            joined.add(&leaves).map_err(|err| err.at(Locus::path(&input.path)))?;
            let ways = ways(&leaves);
            let ways = match looked_at.last() {
                Some(last) if *last.ways == ways => Arc::clone(&last.ways),
                _ => Arc::new(ways),
            };
            let own_types = types_hash(&leaves);
            looked_at.push(LookedAt { groups: told.groups, walks: told.walks, own_types, ways });
        }
    }
    Ok(Looks { leaves: joined.finish(), looked_at })
}

/// An error in a column, told of the first file that has it.
fn in_first_file(err: Error, looked_at: &[LookedAt], inputs: &[InputFile]) -> Error {
    let Some(name) = err.locus().feature.clone() else { return err };
    let is_above = |root: &String| {
        name.strip_prefix(root.as_str()).is_some_and(|it| it.is_empty() || it.starts_with('.'))
    };
    match looked_at.iter().zip(inputs).find(|(it, _)| it.ways.keys().any(is_above)) {
        Some((_, input)) => err.at(Locus::path(&input.path)),
        None => err,
    }
}

/// Bytes of which no row can be read, and nothing tells how many there were.
pub(crate) fn lost(err: Error, byte_range: std::ops::Range<u64>) -> Finding {
    let loss =
        Loss { byte_range: Some(byte_range), uncounted: true, reason: "unreadable", ..Loss::default() };
    Finding::new(FindingKind::Damage, &err.with_loss(loss), |_| None)
}

/// What decides the rows of a partition besides its bytes: types, which all files decide, those of its own file, which rows of that it
/// takes, and whose.
#[derive(Debug, Clone, Serialize)]
struct PartRecipe<'a> {
    types: &'a str,
    file: &'a str,
    rows: (u64, u64),
    #[serde(skip_serializing_if = "Option::is_none")]
    split: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deal: Option<&'a RowDeal>,
    /// What is embedded, and what of that is not there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    embed: &'a BTreeMap<String, Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lacks: Option<&'a BTreeSet<String>>,
}

fn types_hash(leaves: &[Leaf]) -> String {
    let told = |it: &Leaf| {
        let feature = it.feature();
        let metadata: Vec<_> = feature.metadata.iter().collect();
        (&it.root, &it.members, feature.told(), feature.nullable, serde_json::json!(metadata))
            .serialize(serde_json::value::Serializer)
            .unwrap_or_default()
    };
    let text = serde_json::Value::Array(leaves.iter().map(told).collect()).to_string();
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// By file, the parts that its rows are read in.
fn parts_of(looked_at: &[LookedAt], options: &OpenOptions, table: &Table) -> Vec<Vec<Part>> {
    let of_file = |file: &LookedAt| {
        let lacked_bytes = table.lacked_bytes(&file.ways);
        let parts = parts(&file.groups, options.partition_bytes, file.walks).into_iter();
        parts.map(|it| it.with_nulls(lacked_bytes)).collect()
    };
    looked_at.iter().map(of_file).collect()
}

/// Adds an episode per file, or per file and split, and a partition for each of its parts.
fn plan_parts(
    plan: &mut SourcePlan,
    looked_at: &[LookedAt],
    parts: &[Vec<Part>],
    named: &[Vec<NamedFiles>],
    types: &str,
    options: &OpenOptions,
) -> Vec<Read> {
    let own_splits = own_splits(plan.inputs.iter().map(|it| it.path.as_path()));
    let positions = add_named(plan, named);
    let mut reads = Vec::new();
    for (input, (file, parts)) in looked_at.iter().zip(parts).enumerate() {
        let key = key_of(&plan.inputs[input].path);
        let n_splits = options.n_splits();
        for split in 0..n_splits {
            let dealt = options.deal.as_ref().map(|it| &it.fractions[split]);
            let own = || own_splits.get(input).cloned().flatten();
            let episode = plan.episodes.len();
            plan.episodes.push(EpisodeInfo {
                key: dealt.map_or_else(|| key.clone(), |(name, _)| format!("{key}@{name}")),
                input,
                split: dealt.map(|it| it.0.clone()).or_else(own),
                ..EpisodeInfo::default()
            });
            for (idx, part) in parts.iter().enumerate() {
                let named = named.get(input).and_then(|it| it.get(idx));
                let recipe = PartRecipe {
                    types,
                    file: &file.own_types,
                    rows: (part.rows.start, part.rows.end),
                    split: dealt.map(|it| it.0.as_str()),
                    deal: options.deal.as_ref(),
                    embed: &options.embed,
                    lacks: named.map(|it| &it.lacks).filter(|it| !it.is_empty()),
                };
                let others = named.into_iter().flat_map(|it| it.files.keys());
                let others = others.filter_map(|it| positions.get(it)).filter(|it| **it != input);
                let others = others.map(|it| InputRange { input: *it, byte_range: 0..u64::MAX });
                let own = InputRange { input, byte_range: part.byte_range.clone() };
                let share = dealt.map_or(1.0, |it| it.1);
                plan.partitions.push(Partition {
                    episode,
                    reads: std::iter::once(own).chain(others).collect(),
                    decoded_bytes: (part.n_decoded as f64 * share).ceil() as u64,
                    recipe: serde_json::to_string(&recipe).expect("text and numbers are JSON"),
                    // How many rows of other parts are dealt to the split, reading tells.
                    numbering: if dealt.is_some() { Numbering::Joined } else { Numbering::Own },
                    ..Partition::default()
                });
                let split = dealt.map(|_| split);
                reads.push(Read { input, part: part.clone(), split });
            }
        }
    }
    reads
}

/// The top-level columns that columns of a table come from.
pub(crate) fn roots<'a>(columns: impl IntoIterator<Item = &'a crate::table::Column>) -> Vec<&'a str> {
    let leaves = columns.into_iter().filter_map(|it| match &it.origin {
        Origin::StepIndex => None,
        Origin::Leaf(leaf) => Some(leaf.root.as_str()),
    });
    leaves.collect()
}
