use std::{collections::BTreeMap, ops::Range, sync::Arc};

use nodedata_core::{Error, ErrorKind, Findings, InputFile, Locus, OpenOptions, Result, RowDeal};
use nodedata_io::packed::{Content, Contents};
use nodedata_steps::{DealtStretch, SALVAGE_HINT, Share, key_of, name_of_sample};
use rayon::prelude::*;

use super::{
    column_types::Seen,
    dialect::{BOM, Dialect, SNIFFED_BYTES},
    fields::{Fields, Flaw, OPEN_QUOTE, QUOTE_HINT, Row},
    records::{Ends, Record, Records},
};
use crate::{
    deal::{Places, field_of, split_of},
    detect::has_ending,
    source::lost,
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
    pub(crate) text: Range<u64>,
    /// The bytes of the file that these are made of.
    pub(crate) in_file: Range<u64>,
    /// Number of its first line, from 1.
    pub(crate) first_line: u64,
    pub(crate) n_lines: u64,
    /// Number of its first record in the file, from 0.
    pub(crate) first_record: u64,
    /// Records that are rows, or should be.
    pub(crate) n_records: u64,
    /// By split.
    pub(crate) shares: Vec<Share>,
}

impl DealtStretch for Stretch {
    fn byte_range(&self) -> Range<u64> {
        self.in_file.clone()
    }

    fn shares(&self) -> &[Share] {
        &self.shares
    }
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

/// What can be done where the first row does not name columns.
const HEADER_HINT: &str = "`--set source.header=none` reads the first row as values, and `--set source.quote=none` takes quotes for \
                           letters; `--on-error salvage` leaves out the file, lists it, and exits with 3";

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
    /// Damage of packed files, and files whose columns nothing tells.
    pub(crate) findings: Findings,
}

impl Pass<'_> {
    /// Reads all text: each file once from front to back for the ends of its records, and what lies between them in parallel. Rows
    /// that cannot be read are counted, and left to reading, which knows their cost.
    ///
    /// # Errors
    /// `Io`; `Limit`; `Corrupt` for a header that names no columns, unless damage is to be listed; `Config` for a field to deal by that
    /// no file has.
    pub(crate) fn run(&self) -> Result<Found> {
        let contents: Result<Vec<Content>> =
            (0..self.inputs.len()).into_par_iter().map(|it| self.contents.of(it)).collect();
        let contents = contents?;
        let mut findings = Findings::default();
        for (input, content) in self.inputs.iter().zip(&contents) {
            if let Some(damage) = content.damage() {
                super::source::note_damage(damage, input, self.options, &mut findings)?;
            }
        }
        let mut files = self.files(&contents, &mut findings)?;
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
        let of_file =
            |(input, file): (usize, &TextFile)| (0..file.stretches.len()).map(move |it| (input, it));
        let places: Vec<(usize, usize)> = files.iter().enumerate().flat_map(of_file).collect();
        for some in places.chunks(STRETCHES_AT_ONCE) {
            let looked_at: Vec<Result<(Vec<Seen>, Vec<Share>)>> = some
                .par_iter()
                .map(|(input, idx)| self.stretch(&files[*input], *input, *idx, &contents[*input]))
                .collect();
            for ((input, idx), looked_at) in some.iter().zip(looked_at) {
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

    /// All files, of which one whose columns nothing tells is empty where damage is listed.
    fn files(&self, contents: &[Content], findings: &mut Findings) -> Result<Vec<TextFile>> {
        let found: Vec<Result<(TextFile, Option<Error>)>> = contents
            .par_iter()
            .enumerate()
            .map(|(input, content)| {
                let at = Locus::path(&self.inputs[input].path);
                self.file(input, content).map_err(|err| err.at(at))
            })
            .collect();
        let mut files = Vec::with_capacity(found.len());
        for (input, found) in self.inputs.iter().zip(found) {
            let (file, damage) = found?;
            if let Some(err) = damage {
                findings.push(lost(err.at(Locus::path(&input.path)), 0..input.n_bytes));
            }
            files.push(file);
        }
        Ok(files)
    }

    /// The dialect of a file, its columns, and where its records are cut; and why nothing tells its columns, where that is to be listed.
    fn file(&self, input: usize, content: &Content) -> Result<(TextFile, Option<Error>)> {
        let text = &content.text;
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
        let empty = TextFile { dialect, names: Vec::new(), n_header_lines, stretches: Vec::new() };
        let Some((begins, first)) = first else { return Ok((empty, None)) };
        let behind = records.at();
        let names = if dialect.has_header {
            header(&first, dialect).map_err(|err| {
                let line = u32::try_from(n_header_lines + 1).unwrap_or(u32::MAX);
                err.at(Locus { line_column: Some((line, 1)), ..Locus::byte(begins) }).with_hint(HEADER_HINT)
            })
        } else {
            numbered(&first, &mut records, dialect)
        };
        let names = match names {
            Ok(names) => names,
            Err(err) if self.options.salvage && err.kind() == ErrorKind::Corrupt => {
                return Ok((empty, Some(err)));
            }
            Err(err) => return Err(err),
        };
        let starts = if dialect.has_header {
            n_header_lines += first.n_lines;
            behind
        } else {
            begins
        };
        let stretches = self.cut(content, dialect, starts, n_header_lines)?;
        Ok((TextFile { dialect, names, n_header_lines, stretches }, None))
    }

    /// Cuts a file where records end.
    fn cut(
        &self,
        content: &Content,
        dialect: Dialect,
        start: u64,
        n_header_lines: u64,
    ) -> Result<Vec<Stretch>> {
        let stretch_bytes = self.options.partition_bytes.max(STRETCH_BYTES_MIN);
        let text = &content.text;
        let n_bytes = text.n_bytes();
        let mut ends = Ends::new(dialect);
        let mut stretches = Vec::new();
        let mut open = first_stretch(start, n_header_lines);
        // Where the record begins, its bytes but for the line's end, and the last of them.
        let (mut record, mut at) = (start, start);
        let (mut n_record, mut last) = (0u64, None);
        let mut close = |open: &mut Stretch| {
            let next = open.behind();
            let done = std::mem::replace(open, next);
            stretches.push(Stretch { in_file: content.in_file(&done.text), ..done });
        };
        while at < n_bytes {
            let window = text.read_at(at..n_bytes.min(at + WINDOW_BYTES))?;
            let mut rest = &window[..];
            while !rest.is_empty() {
                let end = ends.feed(rest);
                let n = end.unwrap_or(rest.len());
                let piece = rest[..n].strip_suffix(&[dialect.terminator]).filter(|_| end.is_some());
                let piece = piece.unwrap_or(&rest[..n]);
                n_record += piece.len() as u64;
                last = piece.last().copied().or(last);
                at += n as u64;
                rest = &rest[n..];
                if end.is_none() {
                    continue;
                }
                open.take_record(at, 1 + ends.take_inside(), !is_blank(n_record, last));
                record = at;
                (n_record, last) = (0, None);
                if stretch_bytes <= at - open.text.start {
                    close(&mut open);
                }
            }
        }
        if record < n_bytes {
            open.take_record(n_bytes, 1 + ends.take_inside(), !is_blank(n_record, last));
        }
        if !open.text.is_empty() {
            close(&mut open);
        }
        Ok(stretches)
    }

    /// What the columns of a stretch hold, and how its rows are dealt.
    fn stretch(
        &self,
        file: &TextFile,
        input: usize,
        idx: usize,
        content: &Content,
    ) -> Result<(Vec<Seen>, Vec<Share>)> {
        let at = || Locus::path(&self.inputs[input].path);
        let stretch = &file.stretches[idx];
        let mut records = Records::within(
            Arc::clone(&content.text),
            file.dialect,
            stretch.text.clone(),
            self.record_bytes_max,
        );
        let mut fields = Fields::new(file.dialect);
        let mut dealt = Dealt::new(self.options.deal.as_ref(), &key_of(&self.inputs[input].path), file);
        let mut seen = vec![Seen::default(); file.names.len()];
        let mut shares = vec![Share::default(); self.options.n_splits()];
        let mut row = stretch.first_record;
        while let Some(record) = records.next_record().map_err(|err| err.at(at()))? {
            if record.is_blank() {
                continue;
            }
            let is_complete = record.is_whole && record.open_quote.is_none();
            let parsed = is_complete.then(|| fields.parse(&record.bytes)).and_then(Result::ok);
            let is_sound = |it: &Row| it.len() == file.names.len() && it.check_text().is_ok();
            let sound = parsed.filter(is_sound);
            let share = &mut shares[dealt.split_of(sound, row)];
            share.n_records += 1;
            share.n_bytes += record.byte_range.end - record.byte_range.start;
            row += 1;
            let start = record.byte_range.start;
            for (seen, field) in seen.iter_mut().zip(sound.iter().flat_map(|it| it.iter())) {
                seen.look(field, (input, start + field.at as u64));
            }
        }
        if row - stretch.first_record != stretch.n_records {
            let message = "records are not where they were found: the file changes while it is read";
            return Err(Error::new(ErrorKind::Io, message).at(at()));
        }
        Ok((seen, shares))
    }
}

/// Whether a record has nothing but the carriage return of its line's end.
fn is_blank(n_bytes: u64, last: Option<u8>) -> bool {
    n_bytes == u64::from(last == Some(b'\r'))
}

fn first_stretch(start: u64, n_header_lines: u64) -> Stretch {
    let (first_line, in_file) = (1 + n_header_lines, start..start);
    let text = start..start;
    Stretch { text, in_file, first_line, n_lines: 0, first_record: 0, n_records: 0, shares: Vec::new() }
}

impl Stretch {
    /// What lies behind it, still empty.
    pub(crate) fn behind(&self) -> Self {
        Self {
            first_line: self.first_line + self.n_lines,
            first_record: self.first_record + self.n_records,
            ..first_stretch(self.text.end, 0)
        }
    }

    fn take_record(&mut self, end: u64, n_lines: u64, is_row: bool) {
        self.text.end = end;
        self.n_lines += n_lines;
        self.n_records += u64::from(is_row);
    }
}

/// How the rows of one file are dealt.
pub(crate) struct Dealt {
    deal: Option<RowDeal>,
    places: Places,
    /// The column they are dealt by.
    column: Option<usize>,
}

impl Dealt {
    pub(crate) fn new(deal: Option<&RowDeal>, file: &str, of: &TextFile) -> Self {
        let field = deal.and_then(field_of);
        let column = field.and_then(|name| of.names.iter().position(|it| name_of_sample(it) == name));
        Self { deal: deal.cloned(), places: Places::of(file), column }
    }

    /// Position of a row's split: by the text of its field, where there is one, or its number in the file. A row that cannot be read
    /// has no fields.
    pub(crate) fn split_of(&mut self, fields: Option<Row<'_>>, row: u64) -> usize {
        let Some(deal) = &self.deal else { return 0 };
        let field = self.column.zip(fields).and_then(|(column, fields)| fields.get(column));
        let value = field.filter(|it| !it.is_absent()).map(|it| it.bytes);
        split_of(deal, value, &mut self.places, row)
    }
}

/// The names of columns, each once; one without a name is called by its position.
fn header(record: &Record, dialect: Dialect) -> Result<Vec<String>> {
    let wrong = |message: String| Error::new(ErrorKind::Corrupt, message);
    if !record.is_whole {
        return Err(wrong("the header is longer than a record may be".to_owned()));
    }
    let mut fields = Fields::new(dialect);
    let row = fields
        .parse(&record.bytes)
        .map_err(|flaw| wrong(format!("the header cannot be read: {}", flaw.message)))?;
    let mut names: Vec<String> = Vec::new();
    for (idx, field) in row.iter().enumerate() {
        let name = str::from_utf8(field.bytes).map_err(|_| wrong("the header is not UTF-8".to_owned()))?;
        let name = if name.is_empty() { format!("column_{idx}") } else { name.to_owned() };
        let name = nodedata_core::free_name(&name, |it| names.iter().any(|known| known == it));
        names.push(name);
    }
    Ok(names)
}

/// Names for the columns of a file that has none for them: as many as the first record has fields that can be read. Those in front of
/// it cost themselves, as any others do.
fn numbered(first: &Record, records: &mut Records, dialect: Dialect) -> Result<Vec<String>> {
    let mut fields = Fields::new(dialect);
    let mut n_fields = |record: &Record| counted(record, &mut fields);
    let names = |n: usize| (0..n).map(|it| format!("column_{it}")).collect::<Vec<String>>();
    let flaw = match n_fields(first) {
        Ok(n) => return Ok(names(n)),
        Err(flaw) => flaw,
    };
    while let Some(record) = records.next_record()? {
        if record.is_blank() {
            continue;
        }
        if let Ok(n) = n_fields(&record) {
            return Ok(names(n));
        }
    }
    let at = Locus::byte(first.byte_range.start + flaw.at as u64);
    Err(Error::new(flaw.kind, flaw.message).at(at).with_hint(format!("{QUOTE_HINT}; {SALVAGE_HINT}")))
}

/// How many fields a record has.
fn counted(record: &Record, fields: &mut Fields) -> Result<usize, Flaw> {
    if let Some(at) = record.open_quote {
        return Err(Flaw::corrupt(usize::try_from(at).unwrap_or(usize::MAX), OPEN_QUOTE));
    }
    if !record.is_whole {
        return Err(Flaw::corrupt(0, "the row is longer than a record may be"));
    }
    let row = fields.parse(&record.bytes)?;
    row.check_text()?;
    Ok(row.len())
}
