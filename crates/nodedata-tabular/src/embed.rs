//! Files that rows name, in the place of their names: which columns have such names, and which files the rows of a part name.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use arrow_array::RecordBatch;
use nodedata_arrow::{Leaf, guarded, media_column};
use nodedata_core::{
    DType, Error, ErrorKind, Feature, Files, Finding, Findings, InputFile, Locus, OpenOptions, OptionValue,
    ReadOptions, Result, SourcePlan, meta, suggest,
};
use nodedata_steps::{Named, References, batch_rows, own_name_of_sample};
use rayon::prelude::*;

use crate::{
    format::REFERENCES,
    parts::Part,
    table_file::{Kind, TableFile},
};

/// A column with names of files: which field of the references it is, and where it lies in the files.
#[derive(Debug, Clone)]
pub(crate) struct Embedded {
    pub(crate) field: usize,
    pub(crate) leaf: Leaf,
}

/// What the rows of a part name.
#[derive(Debug, Clone, Default)]
pub(crate) struct NamedFiles {
    /// Those that are there, with their lengths.
    pub(crate) files: BTreeMap<PathBuf, u64>,
    /// Those that are not there, or may not be read: once they are others, the rows are as well.
    pub(crate) lacks: BTreeSet<String>,
    /// Bytes that come into rows, of each file as often as it is named.
    n_bytes: u64,
}

/// Makes media of the columns that are embedded, and tells them.
///
/// # Errors
/// `Config` for a name that no column has, and for a column that names no files.
pub(crate) fn refer(
    leaves: &mut [Leaf],
    references: &References,
    options: &OpenOptions,
) -> Result<Vec<Embedded>> {
    let names: Vec<String> = leaves.iter().filter(|it| may_name(it)).map(Leaf::name).collect();
    for name in options.embed.keys() {
        check(name, leaves, &names)?;
    }
    let mut embedded = Vec::new();
    for (field, path) in references.paths().into_iter().enumerate() {
        for leaf in leaves.iter_mut().filter(|it| may_name(it) && it.name() == path) {
            if !leaf.is_media {
                leaf.is_media = true;
                leaf.dtype = Some(DType::UInt8);
                leaf.metadata.remove(meta::ENCODING);
            }
            leaf.nullable |= references.allows_missing();
            embedded.push(Embedded { field, leaf: leaf.clone() });
        }
    }
    Ok(embedded)
}

fn check(name: &str, leaves: &[Leaf], names: &[String]) -> Result<()> {
    let path = own_name_of_sample(name);
    let message = match names.iter().filter(|it| *it == path).count() {
        1 => return Ok(()),
        0 => match leaves.iter().find(|it| it.name() == path) {
            Some(other) => {
                let told = other.feature().told();
                format!("`{name}` in `embed` is {told} in the table, and neither text nor a medium")
            }
            None => format!("no column is called `{name}`, as `embed` has it"),
        },
        n => format!("`{name}` in `embed` is the name of {n} columns, whose names have dots"),
    };
    Err(Error::new(ErrorKind::Config, message).with_hint(suggest(name, names.iter().map(String::as_str))))
}

/// Whether values of a column may be names of files.
fn may_name(leaf: &Leaf) -> bool {
    let is_text =
        matches!(leaf.dtype, Some(DType::String) | None) && !leaf.metadata.contains_key(meta::LOGICAL);
    leaf.check().is_ok() && (leaf.is_media || is_text)
}

/// The leaves of a file, where media stay what they are made of if that is asked for.
pub(crate) fn own_leaves(leaves: Vec<Leaf>, options: &OpenOptions) -> Vec<Leaf> {
    if options.option(&REFERENCES) == OptionValue::Text("path".to_owned()) {
        return leaves.into_iter().flat_map(in_members).collect();
    }
    leaves
}

/// A medium as what it is made of: its bytes, and the name of its file.
fn in_members(leaf: Leaf) -> Vec<Leaf> {
    if !leaf.is_media {
        return vec![leaf];
    }
    let member = |name: &str, dtype, nullable| {
        let members = leaf.members.iter().cloned().chain([name.to_owned()]).collect();
        let (is_media, metadata) = (false, BTreeMap::new());
        Leaf { members, dtype: Some(dtype), nullable, is_media, metadata, ..leaf.clone() }
    };
    vec![member("bytes", DType::Bytes, leaf.nullable), member("path", DType::String, true)]
}

/// What looks for the files that rows name.
pub(crate) struct Naming<'a> {
    pub(crate) kind: Kind,
    pub(crate) files: &'a dyn Files,
    pub(crate) options: &'a OpenOptions,
    pub(crate) references: &'a References,
    pub(crate) inputs: &'a [InputFile],
}

impl Naming<'_> {
    /// By file and part, what its rows name; nothing where nothing is embedded, and no file is opened for it.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn run(
        &self,
        embedded: &[Embedded],
        parts: &mut [Vec<Part>],
        findings: &mut Findings,
    ) -> Result<Vec<Vec<NamedFiles>>> {
        if embedded.is_empty() {
            return Ok(Vec::new());
        }
        let files = self.inputs.par_iter().zip(parts);
        let named: Result<Vec<_>> =
            files.map(|(input, parts)| self.of_file(embedded, input, parts)).collect();
        let named = named?;
        if self.references.allows_missing() {
            for (input, parts) in self.inputs.iter().zip(&named) {
                let lacks: BTreeSet<&String> = parts.iter().flat_map(|it| &it.lacks).collect();
                for path in lacks {
                    let message = format!(
                        "`{path}` is not there, and its place is null; or it leads elsewhere, and its row is lost"
                    );
                    let finding = Finding::warning(message, Locus::path(&input.path));
                    findings.push(Finding { reason: "missing_media".to_owned(), ..finding });
                }
            }
        }
        Ok(named)
    }

    fn of_file(
        &self,
        embedded: &[Embedded],
        input: &InputFile,
        parts: &mut [Part],
    ) -> Result<Vec<NamedFiles>> {
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let (file, told) = TableFile::open(self.kind, self.files, &input.path, input.n_bytes, self.options)?;
        let own = own_leaves(told.leaves, self.options);
        named_by_part(&file, &input.path, &own, embedded, self.references, parts)
    }
}

/// Adds the files that rows name to the inputs; tells where each is among them.
pub(crate) fn add_named(plan: &mut SourcePlan, named: &[Vec<NamedFiles>]) -> BTreeMap<PathBuf, usize> {
    let mut positions: BTreeMap<PathBuf, usize> = BTreeMap::new();
    if named.is_empty() {
        return positions;
    }
    positions.extend(plan.inputs.iter().enumerate().map(|(idx, it)| (it.path.clone(), idx)));
    for (path, n_bytes) in named.iter().flatten().flat_map(|it| &it.files) {
        positions.entry(path.clone()).or_insert_with(|| {
            plan.inputs.push(InputFile { path: path.clone(), n_bytes: *n_bytes });
            plan.inputs.len() - 1
        });
    }
    positions
}

/// Looks at the rows of a file for what they name; by part, whose bytes grow by what comes into it. `own` are the leaves of the file.
///
/// # Errors
/// `Io`. What else cannot be read, whoever reads the rows is told.
fn named_by_part(
    file: &TableFile,
    path: &Path,
    own: &[Leaf],
    embedded: &[Embedded],
    references: &References,
    parts: &mut [Part],
) -> Result<Vec<NamedFiles>> {
    let is_here = |it: &&Embedded| {
        let leaf = own.iter().find(|leaf| (&leaf.root, &leaf.members) == (&it.leaf.root, &it.leaf.members));
        // Media whose bytes are all there name nothing else.
        leaf.is_some_and(|leaf| !leaf.is_media || leaf.nullable)
    };
    let look = Look {
        path,
        embedded: embedded.iter().filter(is_here).collect(),
        references,
        known: RefCell::default(),
    };
    parts.iter_mut().map(|part| look.part(file, part)).collect()
}

struct Look<'a> {
    path: &'a Path,
    embedded: Vec<&'a Embedded>,
    references: &'a References,
    /// What was looked for before, by how it is named.
    known: RefCell<BTreeMap<(usize, String), Named>>,
}

impl Look<'_> {
    fn part(&self, file: &TableFile, part: &mut Part) -> Result<NamedFiles> {
        let found = RefCell::default();
        if !self.embedded.is_empty() {
            let roots: Vec<&str> = self.embedded.iter().map(|it| it.leaf.root.as_str()).collect();
            let n_rows = part.rows.end - part.rows.start;
            let n_batch = batch_rows(part.n_decoded, n_rows, &ReadOptions::default());
            let n_batch = n_batch.min(file.batch_rows_max());
            let looked = file.rows(&roots, std::slice::from_ref(&part.rows), n_batch);
            let looked = looked.and_then(|mut it| it.try_for_each(|rows| self.rows(&rows?, &found)));
            // What ends the rows of a part before its end ends them where they are read, too.
            looked.or_else(|err| if err.kind() == ErrorKind::Io { Err(err) } else { Ok(()) })?;
        }
        let found = found.into_inner();
        part.n_decoded = part.n_decoded.saturating_add(found.n_bytes);
        Ok(found)
    }

    fn rows(&self, rows: &RecordBatch, found: &RefCell<NamedFiles>) -> Result<()> {
        for Embedded { field, leaf } in &self.embedded {
            let Some(array) = rows.column_by_name(&leaf.root) else { continue };
            let feature = Feature { nullable: true, ..leaf.feature() };
            let load = |name: &str| self.note(*field, name, found).map(|()| None);
            let looked = guarded(|| media_column(array, &leaf.members, &feature, &load));
            looked.unwrap_or_else(|| Err(Error::new(ErrorKind::Corrupt, "the values break their rules")))?;
        }
        Ok(())
    }

    fn note(&self, field: usize, name: &str, found: &RefCell<NamedFiles>) -> Result<()> {
        let key = (field, name.to_owned());
        let known = self.known.borrow().get(&key).cloned();
        let named = match known {
            Some(named) => named,
            None => {
                let named = self.references.named(field, self.path, name)?;
                // Media within the text are long, and none of them comes again.
                if named != Named::None {
                    self.known.borrow_mut().insert(key, named.clone());
                }
                named
            }
        };
        let mut found = found.borrow_mut();
        match named {
            Named::File(path, n_bytes) => {
                found.files.insert(path, n_bytes);
                found.n_bytes = found.n_bytes.saturating_add(n_bytes);
            }
            Named::Missing(path) => {
                found.lacks.insert(path);
            }
            Named::None => {}
        }
        Ok(())
    }
}
