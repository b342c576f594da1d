//! A look at the records of one part of a file.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
};

use nodedata_core::Result;
use nodedata_io::packed::Content;
use nodedata_message::{JsonInference, Place, texts_at, with_raw_text};
use nodedata_steps::Named;

use crate::{
    deal::split_of,
    learned::Mixed,
    parts::PART_BYTES_MIN,
    pass::Pass,
    record::{check, check_numbers, record_of},
    records::{Records, Spot},
    stretch::Stretch,
    window::Record,
};

/// The files that the records of each split name, with their lengths.
type Files = Vec<BTreeMap<PathBuf, u64>>;

/// What is looked at.
pub(crate) struct Look<'a> {
    pub(crate) pass: &'a Pass<'a>,
    pub(crate) input: usize,
    pub(crate) path: &'a Path,
    pub(crate) content: &'a Content,
    /// Of the text; a record begins at its start.
    pub(crate) range: Range<u64>,
    pub(crate) spot: Spot,
}

/// What was found.
pub(crate) struct LookedAt {
    pub(crate) stretches: Vec<(Stretch, Files)>,
    /// Lines of the part, where records are lines.
    pub(crate) n_lines: u64,
    pub(crate) inference: JsonInference,
    /// Records of which values are kept as their own text.
    pub(crate) n_raw: u64,
    /// Where the first of them begins.
    pub(crate) first_raw: Option<u64>,
    /// Fields of the references of which some record has a text.
    pub(crate) met: BTreeSet<usize>,
}

/// How a record is read.
enum Reading {
    AsItIs,
    /// With texts in the place of values.
    Raw(Vec<u8>),
    Refused,
}

/// A stretch that grows, and what its records name.
struct Growing {
    stretch: Stretch,
    files: Files,
    lacks: Vec<BTreeSet<String>>,
    /// Bytes of the files.
    n_named: u64,
}

impl Look<'_> {
    /// Reads the records once; and once more where some of them left traces in the types, which are those of the others.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn run(&self) -> Result<LookedAt> {
        let pass = self.pass;
        let n_splits = pass.options.n_splits();
        let mut records = self.records();
        let mut looked_at = LookedAt {
            stretches: Vec::new(),
            n_lines: 0,
            inference: JsonInference::rows(),
            n_raw: 0,
            first_raw: None,
            met: BTreeSet::new(),
        };
        let mut broken = Vec::new();
        let mut known = BTreeMap::new();
        let mut growing = Some(Growing::new(self.range.start, self.spot, n_splits));
        while let Some(record) = records.next_record()? {
            let text = record_of(&record);
            let start = record.byte_range.start;
            if text.is_empty() && records.has_blanks() {
                growing.iter_mut().for_each(|it| it.stretch.records.end = records.at());
                continue;
            }
            let spot = Spot { line: record.line, column: self.spot.column.map(|_| record.column) };
            let open = growing.get_or_insert_with(|| Growing::new(start, spot, n_splits));
            open.stretch.records.end = records.at();
            let split = pass.options.deal.as_ref().map_or(0, |it| split_of(it, text));
            let share = &mut open.stretch.shares[split];
            share.n_records += 1;
            share.n_bytes += record.byte_range.end - start;
            if !pass.types {
                continue;
            }
            let (reading, left_traces) = self.observe(&record, text, false, &mut looked_at.inference);
            if left_traces {
                broken.push(start);
            }
            let read: &[u8] = match &reading {
                Reading::Refused => {
                    open.stretch.has_odd = true;
                    continue;
                }
                Reading::AsItIs => text,
                Reading::Raw(respelled) => {
                    open.stretch.has_odd = true;
                    looked_at.n_raw += 1;
                    looked_at.first_raw.get_or_insert(start);
                    respelled
                }
            };
            self.name(read, split, open, &mut known, &mut looked_at.met)?;
            // A part is a stretch, unless much more comes with its records than they are.
            if pass.options.partition_bytes.max(PART_BYTES_MIN) <= open.n_named {
                looked_at.stretches.extend(growing.take().map(|it| it.finish(self.content)));
            }
        }
        looked_at.stretches.extend(growing.map(|it| it.finish(self.content)));
        looked_at.n_lines = records.next_line().map_or(0, |it| it - self.spot.line);
        if !broken.is_empty() {
            looked_at.inference = self.without(&broken)?;
        }
        Ok(looked_at)
    }

    fn records(&self) -> Records {
        let text = self.content.text.clone();
        Records::within(text, self.range.clone(), self.spot, self.pass.record_bytes_max)
    }

    /// What the records hold without what those that begin at `broken` leave behind.
    fn without(&self, broken: &[u64]) -> Result<JsonInference> {
        let mut records = self.records();
        let mut inference = JsonInference::rows();
        while let Some(record) = records.next_record()? {
            let text = record_of(&record);
            if !text.is_empty() {
                let is_broken = broken.binary_search(&record.byte_range.start).is_ok();
                self.observe(&record, text, is_broken, &mut inference);
            }
        }
        Ok(inference)
    }

    /// Takes a record into account. Tells how it is read, and whether it left traces that it must not leave; one of which that is
    /// known is not read as it is.
    fn observe(
        &self,
        record: &Record,
        text: &[u8],
        is_broken: bool,
        inference: &mut JsonInference,
    ) -> (Reading, bool) {
        let place = Place { input: self.input as u32, at: record.byte_range.start };
        if check(record, text, self.pass.record_bytes_max, "record").is_err() {
            return (Reading::Refused, false);
        }
        if !is_broken && inference.observe_like(text, place) {
            return (Reading::AsItIs, false);
        }
        let respelled = || (self.pass.mixed == Mixed::Text).then(|| with_raw_text(text)).flatten();
        if !is_broken && check_numbers(record, text).is_ok() {
            return match inference.observe_unlike(text, place) {
                Ok(()) => (Reading::AsItIs, false),
                Err(_) => (respelled().map_or(Reading::Refused, Reading::Raw), true),
            };
        }
        match respelled() {
            Some(respelled) if inference.observe_whole(&respelled, place).is_ok() => {
                (Reading::Raw(respelled), false)
            }
            // What it begins with was noted before the rest of it was looked at.
            _ => (Reading::Refused, !is_broken),
        }
    }

    /// Notes the files that a record names, and by which fields. `known` are those that were looked for before, by how they are named.
    fn name(
        &self,
        text: &[u8],
        split: usize,
        open: &mut Growing,
        known: &mut BTreeMap<(usize, String), Named>,
        met: &mut BTreeSet<usize>,
    ) -> Result<()> {
        let references = self.pass.references;
        if references.is_empty() {
            return Ok(());
        }
        for key in texts_at(text, &references.paths()).unwrap_or_default() {
            met.insert(key.0);
            let named = match known.get(&key) {
                Some(named) => named.clone(),
                None => {
                    let named = references.named(key.0, self.path, &key.1)?;
                    // Media within the text are long, and none of them comes again.
                    if named != Named::None {
                        known.insert(key, named.clone());
                    }
                    named
                }
            };
            match named {
                Named::File(path, n_bytes) => {
                    open.files[split].insert(path, n_bytes);
                    open.n_named = open.n_named.saturating_add(n_bytes);
                    let share = &mut open.stretch.shares[split];
                    share.n_bytes = share.n_bytes.saturating_add(n_bytes);
                }
                Named::Missing(path) => {
                    open.lacks[split].insert(path);
                }
                Named::None => {}
            }
        }
        Ok(())
    }
}

impl Growing {
    fn new(start: u64, spot: Spot, n_splits: usize) -> Self {
        Self {
            stretch: Stretch::at(start, spot, n_splits),
            files: vec![BTreeMap::new(); n_splits],
            lacks: vec![BTreeSet::new(); n_splits],
            n_named: 0,
        }
    }

    fn finish(self, content: &Content) -> (Stretch, Files) {
        let Self { mut stretch, mut files, lacks, .. } = self;
        stretch.byte_range = content.in_file(&stretch.records);
        if lacks.iter().any(|it| !it.is_empty()) {
            stretch.lacks = lacks.into_iter().map(|it| it.into_iter().collect()).collect();
        }
        if files.iter().all(BTreeMap::is_empty) {
            files.clear();
        }
        (stretch, files)
    }
}
