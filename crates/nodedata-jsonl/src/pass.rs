use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::PathBuf,
};

use nodedata_core::{
    Error, ErrorKind, Finding, FindingKind, Findings, InputFile, Locus, Loss, OpenOptions, Result,
};
use nodedata_io::packed::{Content, Contents};
use nodedata_message::{JsonInference, Place};
use nodedata_steps::{References, SALVAGE_HINT};
use rayon::prelude::*;

use crate::{
    elements::Closed,
    learned::Mixed,
    look::{Look, LookedAt},
    parts::{Part, Parts},
    records::{Form, Records},
    stretch::Stretch,
};

/// Parts that are looked at together, and whose types are held until they are merged.
const PARTS_AT_ONCE: usize = 256;
/// Files that are opened together, and unpacked where they are packed.
const FILES_AT_ONCE: usize = 64;
/// What is looked at, at a time, of what follows the end of a list.
const WINDOW_BYTES: u64 = 1 << 20;

/// A pass over all records.
pub(crate) struct Pass<'a> {
    pub(crate) contents: &'a Contents,
    pub(crate) inputs: &'a [InputFile],
    pub(crate) options: &'a OpenOptions,
    pub(crate) record_bytes_max: u64,
    /// Whether types are wanted, or records alone.
    pub(crate) types: bool,
    pub(crate) mixed: Mixed,
    pub(crate) references: &'a References,
}

/// What it found.
#[derive(Debug)]
pub(crate) struct Found {
    /// By input.
    pub(crate) stretches: Vec<Vec<Stretch>>,
    pub(crate) inference: JsonInference,
    /// The files that records name, in the order in which they are first named.
    pub(crate) named: Vec<InputFile>,
    /// Fields of the references of which some record has a text.
    pub(crate) met: BTreeSet<usize>,
    pub(crate) findings: Findings,
    /// Records of which values are kept as their own text, and the first of them.
    pub(crate) raw: Option<(u64, Place)>,
    /// By input, number of the next line and the next record.
    next: Vec<(u64, u64)>,
    /// Positions of inputs.
    by_path: BTreeMap<PathBuf, usize>,
}

/// A file whose form is known.
struct Opened {
    content: Content,
    form: Form,
}

/// A part that is to be looked at.
struct Pending {
    input: usize,
    content: Content,
    part: Part,
}

impl Pass<'_> {
    /// Reads all records, in parallel. Those that are no rows are counted, and left to reading, which knows their cost.
    ///
    /// # Errors
    /// `Io`; `Limit` when too much comes out of a packed file; `Unsupported` for a file that is one object; without `salvage`,
    /// `Corrupt` for a file whose end is damaged.
    pub(crate) fn run(&self) -> Result<Found> {
        let mut found = Found::new(self.inputs);
        let mut pending = Vec::new();
        for (chunk, inputs) in self.inputs.chunks(FILES_AT_ONCE).enumerate() {
            let first = chunk * FILES_AT_ONCE;
            let numbers = first..first + inputs.len();
            let opened: Vec<Result<Opened>> =
                numbers.clone().into_par_iter().map(|it| self.open(it)).collect();
            for (input, opened) in numbers.zip(opened) {
                let Opened { content, form } = opened?;
                let in_file = |err: Error| err.at(Locus::path(&self.inputs[input].path));
                let part_bytes = self.options.partition_bytes;
                let mut parts =
                    Parts::new(form, &content.text, part_bytes, self.record_bytes_max).map_err(in_file)?;
                while let Some(part) = parts.next_part().map_err(in_file)? {
                    pending.push(Pending { input, content: content.clone(), part });
                    if pending.len() == PARTS_AT_ONCE {
                        self.look_at(&mut pending, &mut found)?;
                    }
                }
                self.ends(input, &content, parts.closed(), &mut found).map_err(in_file)?;
            }
        }
        self.look_at(&mut pending, &mut found)?;
        Ok(found)
    }

    fn open(&self, input: usize) -> Result<Opened> {
        let content = self.contents.of(input)?;
        let path = &self.inputs[input].path;
        let form = Form::of(path, &content.text, self.record_bytes_max);
        Ok(Opened { form: form.map_err(|err| err.at(Locus::path(path)))?, content })
    }

    fn look_at(&self, pending: &mut Vec<Pending>, found: &mut Found) -> Result<()> {
        let looked_at: Vec<Result<Option<LookedAt>>> = pending.par_iter().map(|it| self.look(it)).collect();
        for (Pending { input, .. }, looked_at) in pending.drain(..).zip(looked_at) {
            let looked_at = looked_at.map_err(|err| err.at(Locus::path(&self.inputs[input].path)))?;
            if let Some(looked_at) = looked_at {
                found.take_in(input, looked_at);
            }
        }
        Ok(())
    }

    fn look(&self, Pending { input, content, part }: &Pending) -> Result<Option<LookedAt>> {
        let Some((start, spot)) = part.first(&*content.text)? else { return Ok(None) };
        let look = Look {
            pass: self,
            input: *input,
            path: &self.inputs[*input].path,
            content,
            range: start..part.range.end,
            spot,
        };
        look.run().map(Some)
    }

    /// How a file ended.
    fn ends(&self, input: usize, content: &Content, closed: Option<Closed>, found: &mut Found) -> Result<()> {
        let Some(damage) = damage(content, closed)? else { return Ok(()) };
        let damage = damage.at(Locus::path(&self.inputs[input].path)).with_hint(SALVAGE_HINT);
        if !self.options.salvage {
            return Err(damage);
        }
        found.findings.push(Finding::new(FindingKind::Damage, &damage, |_| None));
        Ok(())
    }

    /// Number of the line that a record begins in, from 1, and its first byte in the file.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn address(&self, found: &Found, place: Place) -> Result<(u64, u64)> {
        let input = place.input as usize;
        let content = self.contents.of(input)?;
        let byte = content.in_file(&(place.at..place.at + 1)).start;
        let stretch = found.stretches[input].iter().find(|it| it.records.contains(&place.at));
        let Some(Stretch { records: range, spot, .. }) = stretch else { return Ok((1, byte)) };
        let mut records = Records::within(content.text, range.clone(), *spot, self.record_bytes_max);
        while let Some(record) = records.next_record()? {
            if record.byte_range.start == place.at {
                return Ok((record.line, byte));
            }
        }
        Ok((spot.line, byte))
    }
}

impl Found {
    fn new(inputs: &[InputFile]) -> Self {
        Self {
            stretches: vec![Vec::new(); inputs.len()],
            inference: JsonInference::rows(),
            named: Vec::new(),
            met: BTreeSet::new(),
            findings: Findings::default(),
            raw: None,
            next: vec![(1, 0); inputs.len()],
            by_path: inputs.iter().enumerate().map(|(idx, it)| (it.path.clone(), idx)).collect(),
        }
    }

    /// Takes in the next part of a file.
    fn take_in(&mut self, input: usize, looked_at: LookedAt) {
        let LookedAt { stretches, n_lines, inference, n_raw, first_raw, met } = looked_at;
        let n_inputs = self.stretches.len();
        for (mut stretch, files) in stretches {
            let (first_line, first_record) = self.next[input];
            if stretch.spot.column.is_none() {
                // So far it was counted from the first of the part.
                stretch.spot.line += first_line - 1;
            }
            stretch.first_record = first_record;
            self.next[input].1 += stretch.n_records();
            for files in files {
                stretch.others.push(files.into_iter().map(|it| self.position(it, n_inputs)).collect());
            }
            self.stretches[input].push(stretch);
        }
        self.next[input].0 += n_lines;
        self.inference.merge(inference);
        self.met.extend(met);
        if let Some(at) = first_raw {
            let (n, _) = self.raw.get_or_insert((0, Place { input: input as u32, at }));
            *n += n_raw;
        }
    }

    /// Position among the inputs of a file that a record names.
    fn position(&mut self, (path, n_bytes): (PathBuf, u64), n_inputs: usize) -> usize {
        let next = n_inputs + self.named.len();
        let position = *self.by_path.entry(path.clone()).or_insert(next);
        if position == next {
            self.named.push(InputFile { path, n_bytes });
        }
        position
    }
}

/// What ended a file before its end, or hides what follows.
fn damage(content: &Content, closed: Option<Closed>) -> Result<Option<Error>> {
    let n_bytes = content.text.n_bytes();
    if let Some(err) = content.damage() {
        let told = lost_from(err.kind(), err.chain(), None, "damaged_packing");
        return Ok(Some(told.at(err.locus().clone())));
    }
    let (message, range, reason) = match closed {
        None => return Ok(None),
        Some(Closed::Cut) => {
            ("the list ends without the bracket that closes it".to_owned(), n_bytes..n_bytes, "truncated")
        }
        Some(Closed::Behind(at)) => match first_behind(content, at)? {
            None => return Ok(None),
            Some(at) => {
                let message =
                    format!("{} bytes follow the end of the list, which are not read", n_bytes - at);
                (message, at..n_bytes, "behind_end")
            }
        },
    };
    let in_file = content.in_file(&range);
    let at = Locus::byte(in_file.start);
    Ok(Some(lost_from(ErrorKind::Corrupt, message, Some(in_file), reason).at(at)))
}

fn lost_from(
    kind: ErrorKind,
    message: String,
    byte_range: Option<Range<u64>>,
    reason: &'static str,
) -> Error {
    let loss = Loss { byte_range, records: Vec::new(), uncounted: true, reason };
    Error::new(kind, message).with_loss(loss)
}

/// The first byte behind the end of a list that is not blank.
fn first_behind(content: &Content, from: u64) -> Result<Option<u64>> {
    let n_bytes = content.text.n_bytes();
    let mut at = from;
    while at < n_bytes {
        let window = content.text.read_at(at..n_bytes.min(at + WINDOW_BYTES))?;
        if let Some(n) = window.iter().position(|it| !it.is_ascii_whitespace()) {
            return Ok(Some(at + n as u64));
        }
        at += window.len() as u64;
    }
    Ok(None)
}
