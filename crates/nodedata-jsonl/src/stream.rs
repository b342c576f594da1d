use std::sync::Arc;

use arrow_array::ArrayRef;
use bytes::Bytes;
use nodedata_core::{Columns, Error, ErrorKind, Finding, Findings, Locus, Loss, MediaShape, Result};
use nodedata_io::packed::Content;
use nodedata_message::{Pixels, RowMedia, texts_at, with_raw_text};
use nodedata_steps::{RecordPlace, SALVAGE_HINT, STEPS, SamplePart, SampleReader, SampleRows, media_shapes};

use crate::{
    deal::split_of,
    format::MIXED,
    learned::Mixed,
    media::Names,
    record::{Flaw, What, check, check_numbers, check_values, diagnosed, record_of},
    records::Records,
    source::Opened,
    stretch::Stretch,
    window::Record,
};

/// Bytes that all media of a row may have together: those of one row are held at once.
const MEDIA_BYTES_MAX: usize = 256 << 20;

/// The records of one partition.
pub(crate) struct RowReader {
    source: Arc<Opened>,
    input: usize,
    split: Option<usize>,
    content: Content,
    records: Records,
    /// Number of the next record in its file.
    number: u64,
    has_odd: bool,
    pixels: Pixels,
    /// By field of the references, the names of the media since the last batch.
    names: Vec<Names>,
    warnings: Findings,
}

/// What a record refers to.
#[derive(Default)]
struct Loaded {
    media: RowMedia,
    /// Field of each medium that goes beside the text that names it, and its bytes, unless it is null.
    beside: Vec<(usize, Option<Bytes>)>,
    /// Field and name of each medium that is there.
    names: Vec<(usize, Option<String>)>,
    /// The files that are not there, and become null.
    missing: Vec<String>,
}

/// Why a record is no row.
enum Failed {
    /// It costs itself.
    Flaw(Flaw),
    /// It could not be read now.
    Io(Error),
}

impl From<Flaw> for Failed {
    fn from(flaw: Flaw) -> Self {
        Self::Flaw(flaw)
    }
}

impl Loaded {
    fn put(&mut self, is_beside: bool, field: usize, reference: String, medium: Option<Bytes>) {
        match is_beside {
            true => self.beside.push((field, medium)),
            false => self.media.push(reference, medium),
        }
    }
}

impl RowReader {
    /// # Errors
    /// `Io`; `Limit` when too much comes out of a packed file.
    pub(crate) fn new(source: Arc<Opened>, part: &SamplePart<Stretch>) -> Result<Self> {
        let content = source.contents.of(part.input)?;
        let Stretch { records: range, spot, first_record, has_odd, .. } = &part.stretch;
        let records =
            Records::within(Arc::clone(&content.text), range.clone(), *spot, source.record_bytes_max);
        let names = source.table.media.iter().map(|_| Names::default()).collect();
        Ok(Self {
            input: part.input,
            split: part.split,
            content,
            records,
            number: *first_record,
            has_odd: *has_odd,
            pixels: Pixels::default(),
            names,
            warnings: Findings::default(),
            source,
        })
    }

    /// What a record is called in words.
    fn what(&self) -> What {
        if self.records.has_blanks() { "line" } else { "element" }
    }

    fn push(&mut self, record: &Record, text: &[u8], columns: &mut Columns) -> Result<Loaded, Failed> {
        let what = self.what();
        check(record, text, self.source.record_bytes_max, what)?;
        // As the pass has it, so that neither the columns nor the records beside it decide what becomes of a record, and the files
        // that rows are made of are those that it noted.
        let decoder = &self.source.table.decoder;
        let looked = match self.has_odd {
            true => check_values(record, text, what),
            // Otherwise the decoder refuses them, and what stays bytes stays as it is.
            false if self.source.mixed == Mixed::Text && !decoder.is_opaque() => check_numbers(record, text),
            false => Ok(()),
        };
        let mut respelled = None;
        if let Err(flaw) = looked {
            respelled = if self.source.mixed == Mixed::Text { with_raw_text(text) } else { None };
            if respelled.is_none() {
                return Err(flaw.into());
            }
        }
        let read = respelled.as_deref().unwrap_or(text);
        if decoder.is_opaque() {
            is_json(record, text, what)?;
        }
        let mut loaded = self.load(record, read)?;
        let decoded = decoder.decode_with(read, columns, &mut self.pixels, &mut loaded.media);
        decoded.map_err(|err| diagnosed(record, read, &err, what))?;
        self.source.table.push_beside(&std::mem::take(&mut loaded.beside), columns);
        Ok(loaded)
    }

    /// Reads what a record refers to.
    fn load(&self, record: &Record, text: &[u8]) -> Result<Loaded, Failed> {
        let references = &self.source.references;
        let mut loaded = Loaded::default();
        if references.is_empty() {
            return Ok(loaded);
        }
        let from = &self.source.plan.inputs[self.input].path;
        let paths = references.paths();
        let mut n_bytes = 0usize;
        for (field, reference) in texts_at(text, &paths).unwrap_or_default() {
            match references.load(field, from, &reference) {
                Ok(Some((medium, name))) => {
                    n_bytes = n_bytes.saturating_add(medium.len());
                    if MEDIA_BYTES_MAX < n_bytes {
                        let told = format!(
                            "the files that it names have more than {MEDIA_BYTES_MAX} bytes together"
                        );
                        return Err(Failed::Flaw(Flaw { kind: ErrorKind::Limit, ..Flaw::corrupt(0, told) }));
                    }
                    loaded.names.push((field, name));
                    loaded.put(self.source.table.is_beside(field), field, reference, Some(medium));
                }
                Ok(None) => {
                    loaded.missing.push(reference.clone());
                    loaded.put(self.source.table.is_beside(field), field, reference, None);
                }
                Err(err) if err.kind() == ErrorKind::Io => return Err(Failed::Io(err)),
                Err(err) => {
                    let message = format!("the field `{}`: {}", paths[field], err.chain());
                    // Where the text stands, as far as it stands there as it is.
                    let at = memchr::memmem::find(&record.bytes, reference.as_bytes()).unwrap_or(0);
                    let hint = err.hint().map(str::to_owned);
                    return Err(Failed::Flaw(Flaw { kind: err.kind(), hint, ..Flaw::corrupt(at, message) }));
                }
            }
        }
        Ok(loaded)
    }

    /// Notes the media of a row that is one.
    fn note(&mut self, record: &Record, loaded: Loaded) {
        for (field, name) in loaded.names {
            if let Some(names) = self.names.get_mut(field) {
                names.push(name);
            }
        }
        for missing in loaded.missing {
            let message = format!("`{missing}` is not there: its place is null");
            let at = Locus { line_column: Some(line_column(record, 0)), ..self.place(record) };
            let finding = Finding::warning(message, at);
            self.warnings.push(Finding { reason: "missing_media".to_owned(), ..finding });
        }
    }

    fn place(&self, record: &Record) -> Locus {
        let range = &record.byte_range;
        let byte = self.content.in_file(&(range.start..range.start.saturating_add(1))).start;
        Locus { byte_offset: Some(byte), ..Locus::path(&self.source.plan.inputs[self.input].path) }
    }

    /// A record that is no row: one is lost.
    fn lost(&self, record: &Record, step: u64, flaw: Flaw) -> Error {
        let at = Locus {
            line_column: Some(line_column(record, flaw.at)),
            step_idx: Some(step),
            ..self.place(record)
        };
        let reason = if flaw.kind == ErrorKind::Limit { "over_limit" } else { "undecodable" };
        let can_be_text = || self.source.mixed != Mixed::Text && with_raw_text(record_of(record)).is_some();
        let more = match flaw.hint {
            Some(hint) => Some(hint),
            None if flaw.kind == ErrorKind::Corrupt && can_be_text() => {
                Some(format!("`--set source.{}=text` keeps such values as their own text", MIXED.name))
            }
            None => None,
        };
        let hint = more.map_or_else(|| SALVAGE_HINT.to_owned(), |it| format!("{it}; {SALVAGE_HINT}"));
        Error::new(flaw.kind, flaw.message).at(at).with_hint(hint).with_loss(Loss {
            byte_range: Some(self.content.in_file(&record.byte_range)),
            records: vec![(STEPS, 1)],
            uncounted: false,
            reason,
        })
    }
}

/// Line and column of a byte of a record.
fn line_column(record: &Record, at: usize) -> (u32, u32) {
    let position = |it: u64| u32::try_from(it).unwrap_or(u32::MAX);
    let (line, column) = record.line_column(at);
    (position(line), position(column))
}

/// Records that stay bytes are records all the same.
fn is_json(record: &Record, text: &[u8], what: What) -> Result<(), Flaw> {
    match serde_json::from_slice::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(err) => {
            let err = Error::new(ErrorKind::Corrupt, err.to_string());
            Err(diagnosed(record, text, &err, what))
        }
    }
}

impl SampleReader for RowReader {
    fn step(&mut self, rows: &mut SampleRows) -> Result<bool> {
        let in_file = |err: Error| err.at(Locus::path(&self.source.plan.inputs[self.input].path));
        let Some(record) = self.records.next_record().map_err(in_file)? else {
            return Ok(false);
        };
        let text = record_of(&record);
        if text.is_empty() && self.records.has_blanks() {
            return Ok(true);
        }
        let position = self.content.is_packed_as_one().then_some(self.number);
        self.number += 1;
        let deal = self.source.deal.as_ref().zip(self.split);
        if deal.is_some_and(|(deal, split)| split_of(deal, text) != split) {
            rows.skip();
            return Ok(true);
        }
        let step = rows.next_row();
        // How much comes with a record, only the columns tell.
        let n_bytes = if self.source.references.is_empty() { text.len() as u64 } else { u64::MAX };
        let place = RecordPlace { byte_range: self.content.in_file(&record.byte_range), position };
        let mut loaded = Loaded::default();
        let pushed =
            rows.push(place, n_bytes, |columns| self.push(&record, text, columns).map(|it| loaded = it));
        match pushed {
            Ok(()) => {
                self.note(&record, loaded);
                Ok(true)
            }
            Err(Failed::Flaw(flaw)) => Err(self.lost(&record, step, flaw)),
            Err(Failed::Io(err)) => Err(err.at(Locus { step_idx: Some(step), ..self.place(&record) })),
        }
    }

    fn finish(&mut self, mut all: Vec<ArrayRef>) -> (Vec<ArrayRef>, Vec<MediaShape>) {
        let table = &self.source.table;
        for (names, position) in self.names.iter_mut().zip(&table.media) {
            if let Some(column) = all.get_mut(*position) {
                *column = names.put_into(column);
            }
        }
        let kept: Vec<ArrayRef> = table.kept.iter().map(|it| Arc::clone(&all[*it])).collect();
        let media = table.kept.iter().enumerate().filter(|it| table.is_media(*it.1));
        let shapes = media.flat_map(|(column, _)| media_shapes(column, &kept[column]));
        let mut shapes: Vec<MediaShape> = shapes.collect();
        shapes.extend(self.pixels.take());
        (kept, shapes)
    }

    fn warnings(&self) -> &[Finding] {
        self.warnings.as_slice()
    }
}
