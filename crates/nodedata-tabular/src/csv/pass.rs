use std::{collections::BTreeMap, ops::Range, sync::Arc};

use nodedata_core::{Error, ErrorKind, Findings, InputFile, Locus, OpenOptions, ReadAt, Result, RowDeal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    contents::{Content, Contents},
    dialect::{BOM, Dialect, SNIFFED_BYTES},
    fields::Fields,
    records::{Ends, Records},
    types::Seen,
};
use crate::{
    deal::{field_of, split_of},
    detect::has_ending,
    inputs::key_of,
};

/// Bytes of a stretch at least: a file of short stretches has more of them than anybody wants to plan.
const STRETCH_BYTES_MIN: u64 = 4 << 10;
/// Stretches that are looked at together, and whose types are held until they are merged.
const STRETCHES_AT_ONCE: usize = 256;
/// What is looked at for the ends of records at a time.
const WINDOW_BYTES: u64 = 8 << 20;

/// Consecutive whole records of a file: what a partition reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// In the text.
    pub(crate) byte_range: Range<u64>,
    pub(crate) n_lines: u64,
    /// Records that are rows, or should be.
    pub(crate) n_records: u64,
    /// By split.
    pub(crate) shares: Vec<Share>,
}

/// The records of a stretch that are dealt to one split.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Share {
    pub(crate) n_records: u64,
    pub(crate) n_bytes: u64,
}

/// A file, as its beginning and the ends of its records tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextFile {
    pub(crate) dialect: Dialect,
    /// The names of its columns, as it writes them.
    pub(crate) names: Vec<String>,
    /// Lines in front of the first stretch: the header's.
    pub(crate) n_header_lines: u64,
    pub(crate) stretches: Vec<Stretch>,
}

/// What a pass over all text is to find.
pub(crate) struct Pass<'a> {
    pub(crate) contents: &'a Contents,
    pub(crate) inputs: &'a [InputFile],
    pub(crate) options: &'a OpenOptions,
    pub(crate) record_bytes_max: u64,
}

/// What it found.
pub(crate) struct Found {
    /// By input.
    pub(crate) files: Vec<TextFile>,
    /// By name, in the order in which names are met.
    pub(crate) columns: Vec<(String, Seen)>,
    /// Damage of packed files.
    pub(crate) findings: Findings,
}

impl Pass<'_> {
    /// Reads all text: each file once from front to back for the ends of its records, and what lies between them in parallel. Rows
    /// that cannot be read are counted, and left to reading, which knows their cost.
    ///
    /// # Errors
    /// `Io`; `Limit`; `Corrupt` for a header that names no columns; `Config` for a field to deal by that no file has.
    pub(crate) fn run(&self) -> Result<Found> {
        let contents: Result<Vec<Content>> =
            (0..self.inputs.len()).into_par_iter().map(|it| self.contents.of(it)).collect();
        let contents = contents?;
        let mut findings = Findings::default();
        for (input, content) in self.inputs.iter().zip(&contents) {
            if let Some(damage) = content.spool.as_ref().and_then(|it| it.damage()) {
                super::source::note_damage(damage, input, self.options, &mut findings)?;
            }
        }
        let files: Vec<Result<TextFile>> = contents
            .par_iter()
            .enumerate()
            .map(|(input, content)| {
                let at = Locus::path(&self.inputs[input].path);
                self.file(input, &content.text).map_err(|err| err.at(at))
            })
            .collect();
        let mut files: Vec<TextFile> = files.into_iter().collect::<Result<_>>()?;
        let mut columns: Vec<(String, Seen)> = Vec::new();
        let mut position: BTreeMap<String, usize> = BTreeMap::new();
        for name in files.iter().flat_map(|it| &it.names) {
            position.entry(name.clone()).or_insert_with(|| {
                columns.push((name.clone(), Seen::default()));
                columns.len() - 1
            });
        }
        for file in &files {
            for (name, seen) in &mut columns {
                if !file.names.contains(name) && file.stretches.iter().any(|it| it.n_records != 0) {
                    seen.is_missing();
                }
            }
        }
        let places: Vec<(usize, usize, u64)> = files
            .iter()
            .enumerate()
            .flat_map(|(input, file)| {
                let mut first = 0;
                file.stretches.iter().enumerate().map(move |(idx, stretch)| {
                    let place = (input, idx, first);
                    first += stretch.n_records;
                    place
                })
            })
            .collect();
        for some in places.chunks(STRETCHES_AT_ONCE) {
            let looked_at: Vec<Result<(Vec<Seen>, Vec<Share>)>> = some
                .par_iter()
                .map(|(input, idx, first)| {
                    self.stretch(&files[*input], *input, *idx, *first, &contents[*input])
                })
                .collect();
            for ((input, idx, _), looked_at) in some.iter().zip(looked_at) {
                let (seen, shares) = looked_at?;
                let file = &mut files[*input];
                for (name, seen) in file.names.iter().zip(&seen) {
                    columns[position[name]].1.merge(seen);
                }
                file.stretches[*idx].shares = shares;
            }
        }
        Ok(Found { files, columns, findings })
    }

    /// The dialect of a file, its columns, and where its records are cut.
    fn file(&self, input: usize, text: &Arc<dyn ReadAt>) -> Result<TextFile> {
        let n_bytes = text.n_bytes();
        let head = text.read_at(0..n_bytes.min(SNIFFED_BYTES))?;
        let path = &self.inputs[input].path;
        let stem = path.with_extension("");
        let is_packed = has_ending(path, &["gz", "zst", "bz2", "xz"]);
        let named = if is_packed { stem.as_path() } else { path.as_path() };
        let dialect = Dialect::of(&head, has_ending(named, &["tsv", "tab"]), self.options)?;
        let start = if head.starts_with(BOM) { BOM.len() as u64 } else { 0 };
        let mut records = Records::within(Arc::clone(text), dialect, start..n_bytes, self.record_bytes_max);
        let mut n_header_lines = 0;
        // The first row, whether it has names or values.
        let first = loop {
            let before = records.at();
            match records.next_record()? {
                Some(record) if record.is_blank() => n_header_lines += record.n_lines,
                other => break other.map(|it| (before, it)),
            }
        };
        let Some((begins, first)) = first else {
            return Ok(TextFile { dialect, names: Vec::new(), n_header_lines, stretches: Vec::new() });
        };
        let (names, starts) = if dialect.has_header {
            let names = header(&first, dialect).map_err(|err| {
                let line = u32::try_from(n_header_lines + 1).unwrap_or(u32::MAX);
                err.at(Locus { line_column: Some((line, 1)), ..Locus::byte(begins) })
            })?;
            n_header_lines += first.n_lines;
            (names, records.at())
        } else {
            let mut fields = Fields::new(dialect);
            fields.parse(&first.bytes).map_err(|flaw| {
                Error::new(flaw.kind, flaw.message).at(Locus::byte(begins + flaw.at as u64))
            })?;
            ((0..fields.len()).map(|it| format!("column_{it}")).collect(), begins)
        };
        let stretches = self.cut(&**text, dialect, starts)?;
        Ok(TextFile { dialect, names, n_header_lines, stretches })
    }

    /// Cuts a file where records end.
    fn cut(&self, text: &dyn ReadAt, dialect: Dialect, start: u64) -> Result<Vec<Stretch>> {
        let stretch_bytes = self.options.partition_bytes.max(STRETCH_BYTES_MIN);
        let n_bytes = text.n_bytes();
        let mut ends = Ends::new(dialect);
        let mut stretches = Vec::new();
        let mut open = empty(start);
        // Where the record begins, and whether all of it so far is a carriage return.
        let (mut record, mut at) = (start, start);
        let mut n_content = 0u64;
        while at < n_bytes {
            let window = text.read_at(at..n_bytes.min(at + WINDOW_BYTES))?;
            let mut rest = &window[..];
            while !rest.is_empty() {
                let end = ends.feed(rest);
                let n = end.unwrap_or(rest.len());
                let piece = rest[..n].strip_suffix(&[dialect.terminator]).filter(|_| end.is_some());
                let piece = piece.unwrap_or(&rest[..n]);
                n_content += (piece.len() - usize::from(piece.ends_with(b"\r"))) as u64;
                at += n as u64;
                rest = &rest[n..];
                if end.is_none() {
                    continue;
                }
                open.n_lines += 1 + ends.take_inside();
                open.n_records += u64::from(n_content != 0);
                open.byte_range.end = at;
                (record, n_content) = (at, 0);
                if stretch_bytes <= at - open.byte_range.start {
                    stretches.push(std::mem::replace(&mut open, empty(at)));
                }
            }
        }
        if record < n_bytes {
            open.n_lines += 1 + ends.take_inside();
            open.n_records += u64::from(n_content != 0);
            open.byte_range.end = n_bytes;
        }
        if !open.byte_range.is_empty() {
            stretches.push(open);
        }
        Ok(stretches)
    }

    /// What the columns of a stretch hold, and how its rows are dealt.
    fn stretch(
        &self,
        file: &TextFile,
        input: usize,
        idx: usize,
        first: u64,
        content: &Content,
    ) -> Result<(Vec<Seen>, Vec<Share>)> {
        let at = || Locus::path(&self.inputs[input].path);
        let stretch = &file.stretches[idx];
        let mut records = Records::within(
            Arc::clone(&content.text),
            file.dialect,
            stretch.byte_range.clone(),
            self.record_bytes_max,
        );
        let mut fields = Fields::new(file.dialect);
        let dealt = Dealt::new(self.options.deal.as_ref(), key_of(&self.inputs[input].path), file);
        let mut seen = vec![Seen::default(); file.names.len()];
        let mut shares =
            vec![Share::default(); self.options.deal.as_ref().map_or(1, |it| it.fractions.len())];
        let mut row = first;
        while let Some(record) = records.next_record().map_err(|err| err.at(at()))? {
            if record.is_blank() {
                continue;
            }
            let is_sound = record.is_whole
                && record.open_quote.is_none()
                && fields.parse(&record.bytes).is_ok()
                && fields.len() == file.names.len()
                && str::from_utf8(&record.bytes).is_ok();
            let share = &mut shares[dealt.split_of(is_sound.then_some(&fields), row)];
            share.n_records += 1;
            share.n_bytes += record.byte_range.end - record.byte_range.start;
            row += 1;
            if is_sound {
                let start = record.byte_range.start;
                let places = fields.iter().map(|it| (it, (input, start + it.at as u64)));
                seen.iter_mut().zip(places).for_each(|(seen, (field, place))| seen.look(field, place));
            }
        }
        if row - first != stretch.n_records {
            let message = "records are not where they were found: the file changes while it is read";
            return Err(Error::new(ErrorKind::Io, message).at(at()));
        }
        Ok((seen, shares))
    }
}

fn empty(start: u64) -> Stretch {
    Stretch { byte_range: start..start, n_lines: 0, n_records: 0, shares: Vec::new() }
}

/// How the rows of one file are dealt.
pub(crate) struct Dealt {
    deal: Option<RowDeal>,
    file: String,
    /// The column they are dealt by.
    column: Option<usize>,
}

impl Dealt {
    pub(crate) fn new(deal: Option<&RowDeal>, file: String, of: &TextFile) -> Self {
        let field = deal.and_then(field_of);
        let column = field.and_then(|name| of.names.iter().position(|it| own_field(it) == name));
        Self { deal: deal.cloned(), file, column }
    }

    /// Position of a row's split: by the text of its field, where there is one, or its number in the file. A row that cannot be read
    /// has no fields.
    pub(crate) fn split_of(&self, fields: Option<&Fields>, row: u64) -> usize {
        let Some(deal) = &self.deal else { return 0 };
        let field = self.column.zip(fields).and_then(|(column, fields)| fields.get(column));
        let value = field.filter(|it| !it.is_absent()).map(|it| it.bytes);
        split_of(deal, value, &self.file, row)
    }
}

/// What the column of a name is called.
pub(crate) fn own_field(name: &str) -> std::borrow::Cow<'_, str> {
    match nodedata_core::StreamKind::Samples.has_built_in(name) {
        true => format!("source.{name}").into(),
        false => name.into(),
    }
}

/// The names of columns, each once; one without a name is called by its position.
fn header(record: &super::records::Record, dialect: Dialect) -> Result<Vec<String>> {
    let wrong = |message: String| Error::new(ErrorKind::Corrupt, message);
    if !record.is_whole {
        return Err(wrong("the header is longer than a record may be".to_owned()));
    }
    let mut fields = Fields::new(dialect);
    fields
        .parse(&record.bytes)
        .map_err(|flaw| wrong(format!("the header cannot be read: {}", flaw.message)))?;
    let mut names: Vec<String> = Vec::new();
    for (idx, field) in fields.iter().enumerate() {
        let name = str::from_utf8(field.bytes).map_err(|_| wrong("the header is not UTF-8".to_owned()))?;
        let name = if name.is_empty() { format!("column_{idx}") } else { name.to_owned() };
        let name = nodedata_core::free_name(&name, |it| names.iter().any(|known| known == it));
        names.push(name);
    }
    Ok(names)
}
