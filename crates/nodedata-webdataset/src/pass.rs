use std::{
    collections::{BTreeMap, HashSet, btree_map::Entry},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    ops::Range,
    path::Path,
};

use bytes::Bytes;
use nodedata_core::{
    Error, ErrorKind, Finding, FindingKind, Findings, InputFile, Locus, Loss, OpenOptions, Result, patterns,
};
use nodedata_message::Place;
use nodedata_steps::{PackedStretch, SALVAGE_HINT, Share};
use rayon::prelude::*;

use crate::{
    archive::{Archive, Archives},
    deal::split_of,
    fields::{Contents, LearnedField, SeenField},
    group::{FIELDS_MAX, PassedOver, Sample, Samples},
    member::{Bounds, Coding, unpacked},
    tar::End,
};

/// Bytes of a stretch at least: a file of short stretches has more of them than anybody wants to plan.
const STRETCH_BYTES_MIN: u64 = 4 << 10;
/// Files that are looked at together, and whose types are held until they are merged.
const FILES_AT_ONCE: usize = 64;
/// Keys of one file that are remembered to tell whether they come again.
const KEYS_MAX: usize = 4 << 20;
/// What is looked at, at a time, of what follows the end of an archive.
const WINDOW_BYTES: u64 = 1 << 20;

/// A pass over all headers, and over the members that types come from.
pub(crate) struct Pass<'a> {
    pub(crate) archives: &'a Archives,
    pub(crate) inputs: &'a [InputFile],
    pub(crate) options: &'a OpenOptions,
    pub(crate) bounds: Bounds,
}

/// What it found.
#[derive(Debug)]
pub(crate) struct Found {
    /// By input.
    pub(crate) stretches: Vec<Vec<PackedStretch>>,
    /// By name.
    pub(crate) fields: Vec<LearnedField>,
    pub(crate) findings: Vec<Finding>,
}

/// What was found in one file.
#[derive(Debug, Default)]
struct InFile {
    stretches: Vec<PackedStretch>,
    fields: BTreeMap<String, SeenField>,
    /// That are rows.
    n_samples: u64,
    damage: Option<Error>,
    findings: Findings,
}

/// A member in an archive.
struct InArchive<'a> {
    archive: &'a Archive,
    data: Range<u64>,
    is_packed: bool,
    bounds: Bounds,
}

impl Contents for InArchive<'_> {
    fn all(&self) -> Result<Bytes> {
        let contents = self.archive.read(&self.data)?;
        if self.is_packed { unpacked(contents, self.bounds) } else { Ok(contents) }
    }

    fn head(&self, n_bytes: u64) -> Result<Bytes> {
        if self.is_packed { self.all() } else { self.archive.head(&self.data, n_bytes) }
    }
}

impl Pass<'_> {
    /// Reads all archives, in parallel. Members that are damaged are left to reading, which knows their cost.
    ///
    /// # Errors
    /// `Io`; `Limit`; `Corrupt` and `Unsupported` for a damaged archive, unless salvaging; `Corrupt` when no file has a sample.
    pub(crate) fn run(&self) -> Result<Found> {
        let mut stretches = Vec::new();
        let mut fields: BTreeMap<String, SeenField> = BTreeMap::new();
        let mut n_samples = 0;
        let mut findings = Findings::default();
        for (chunk, inputs) in self.inputs.chunks(FILES_AT_ONCE).enumerate() {
            let first = chunk * FILES_AT_ONCE;
            let looked_at: Vec<Result<InFile>> =
                inputs.par_iter().enumerate().map(|(idx, it)| self.look(first + idx, &it.path)).collect();
            for (input, looked_at) in inputs.iter().zip(looked_at) {
                let found = looked_at.map_err(|err| err.at(Locus::path(&input.path)))?;
                if let Some(damage) = found.damage {
                    if !self.options.salvage {
                        return Err(damage);
                    }
                    findings.push(Finding::new(FindingKind::Damage, &damage, |_| None));
                }
                findings.join(found.findings);
                stretches.push(found.stretches);
                n_samples += found.n_samples;
                for (name, seen) in found.fields {
                    match fields.entry(name) {
                        Entry::Vacant(it) => drop(it.insert(seen)),
                        Entry::Occupied(mut it) => it.get_mut().merge(seen),
                    }
                }
                if FIELDS_MAX < fields.len() {
                    return Err(too_many_fields().at(Locus::path(&input.path)));
                }
            }
        }
        if !stretches.iter().any(|it: &Vec<PackedStretch>| !it.is_empty()) {
            let place = self.inputs.first().map(|it| Locus::path(&it.path)).unwrap_or_default();
            let message = "no file has a member that belongs to a sample";
            let hint = "members are called `KEY.FIELD`, such as `000017.jpg`; of other archives `tar -xf` unpacks the files";
            return Err(Error::new(ErrorKind::Corrupt, message).at(place).with_hint(hint));
        }
        let paths: Vec<&Path> = self.inputs.iter().map(|it| it.path.as_path()).collect();
        let fields = fields.into_iter().map(|(name, it)| it.finish(&name, n_samples, &paths, &mut findings));
        let fields = fields.collect();
        Ok(Found { stretches, fields, findings: findings.into_vec() })
    }

    fn look(&self, input: usize, path: &Path) -> Result<InFile> {
        let archive = self.archives.open(path)?;
        let mut found = InFile::default();
        let mut samples = Samples::new(archive.walk(), archive.damage().is_some());
        let mut keys = Keys::default();
        while let Some(sample) = samples.next_sample()? {
            keys.meet(&sample);
            let mut n_more = 0;
            if sample.flaw.is_none() {
                found.n_samples += 1;
                n_more = found.observe(input, &sample, &archive, self)?;
            }
            found.cut(&sample, n_more, &archive, self)?;
        }
        self.ends(&mut found, path, &archive, &samples)?;
        let at = |at: u64| address(path, &archive, at);
        if let Some((key, start)) = keys.first_again {
            let n = keys.n_again;
            let message = format!(
                "{n} keys come again after others, such as `{key}`: each time is a sample of its own"
            );
            found.warn("repeated_keys", message, at(start));
        }
        let passed_over = |it: &PassedOver| it.first.clone().map(|(name, start)| (it.n, name, start));
        if let Some((n, name, start)) = passed_over(&samples.unnamed) {
            let message = format!(
                "{n} members have no dot in their name and so no field, such as `{name}`: they belong to no sample"
            );
            found.warn("unnamed_members", message, at(start));
        }
        if let Some((n, name, start)) = passed_over(&samples.no_files) {
            let message = format!("{n} members are no files, such as `{name}`: they belong to no sample");
            found.warn("no_files", message, at(start));
        }
        Ok(found)
    }

    /// How the archive ended.
    fn ends(&self, found: &mut InFile, path: &Path, archive: &Archive, samples: &Samples<'_>) -> Result<()> {
        let n_bytes = archive.n_bytes();
        let place = |at: u64| address(path, archive, at);
        let broken_off = samples.broken_off.as_ref();
        let start_of = |at: u64| broken_off.map_or(at, |it| it.records.start);
        if let Some(err) = archive.damage() {
            let at = match samples.walk().end() {
                Some(End::Broken(broken)) => broken.at,
                Some(End::Unmarked) | None => n_bytes,
            };
            let lost = archive.locate(&(start_of(at)..n_bytes));
            let told = lost_from(err.kind(), err.chain(), lost, "damaged_packing", broken_off);
            found.damage = Some(told.at(err.locus().clone()).at(Locus::path(path)));
            return Ok(());
        }
        match samples.walk().end() {
            Some(End::Broken(broken)) => {
                let lost = archive.locate(&(start_of(broken.at)..n_bytes));
                let reason = if broken.is_cut { "truncated" } else { "damaged_member" };
                let told = lost_from(broken.kind, broken.message.clone(), lost, reason, broken_off);
                found.damage = Some(told.at(place(broken.at)));
            }
            Some(End::Unmarked) if n_bytes == 0 => {
                let message = "the file is empty".to_owned();
                let told = lost_from(ErrorKind::Corrupt, message, 0..0, "empty_file", None);
                found.damage = Some(told.at(Locus::path(path)));
            }
            Some(End::Unmarked) => {
                let message =
                    "the archive ends without the mark of its end: its last sample may lack members";
                found.warn("no_end_mark", message.to_owned(), place(n_bytes));
            }
            None => {
                if let Some(at) = first_behind(archive, samples)? {
                    let message = format!(
                        "{} bytes follow the end of the archive, as where archives were joined: they are not read",
                        n_bytes - at
                    );
                    let repair = Finding::repair("behind_end", message, place(at));
                    found.findings.push(repair.with_hint("give the archives one by one"));
                }
            }
        }
        Ok(())
    }

    fn is_raw(&self, field: &str) -> bool {
        let undecoded = &self.options.undecoded;
        undecoded.iter().any(|it| patterns::fits(it, field) || patterns::fits(it, nodedata_core::STEPS))
    }
}

impl InFile {
    /// Puts a sample into the stretch that is open, or a new one. `n_more` is how many bytes come out of it beside its own.
    fn cut(&mut self, sample: &Sample, n_more: u64, archive: &Archive, pass: &Pass<'_>) -> Result<()> {
        let deal = pass.options.deal.as_ref();
        let split = deal.map_or(Ok(0), |it| split_of(it, sample, archive, pass.bounds))?;
        let n_bytes = (sample.records.end - sample.records.start).saturating_add(n_more);
        let bytes_max = pass.options.partition_bytes.max(STRETCH_BYTES_MIN);
        let has_room = |it: &&mut PackedStretch| {
            let n_before: u64 = it.shares.iter().map(|it| it.n_bytes).sum();
            n_before.saturating_add(n_bytes) <= bytes_max
        };
        let mut last = self.stretches.last_mut().filter(has_room);
        if last.is_none() {
            let shares = vec![Share::default(); deal.map_or(1, |it| it.fractions.len())];
            let (records, byte_range) = (sample.records.clone(), sample.records.clone());
            self.stretches.push(PackedStretch { records, byte_range, n_records: 0, shares });
            last = self.stretches.last_mut();
        }
        if let Some(stretch) = last {
            stretch.records.end = sample.records.end;
            stretch.byte_range = archive.origin(&stretch.records);
            stretch.n_records += 1;
            let share = &mut stretch.shares[split];
            share.n_records += 1;
            share.n_bytes += n_bytes;
        }
        Ok(())
    }

    /// Looks into the members of a sample. Tells how many bytes more come out of them than they have.
    fn observe(&mut self, input: usize, sample: &Sample, archive: &Archive, pass: &Pass<'_>) -> Result<u64> {
        let mut n_more = 0u64;
        for field in &sample.fields {
            let at = archive.address(field.start);
            let place = Place { input: input as u32, at };
            let (coding, is_packed) = Coding::of(&field.name);
            let member = InArchive { archive, data: field.data.clone(), is_packed, bounds: pass.bounds };
            let n_unpacked = match self.fields.get_mut(&field.name) {
                Some(seen) => seen.observe(&member, place)?,
                None => {
                    if self.fields.len() == FIELDS_MAX {
                        return Err(too_many_fields().at(Locus::byte(at)));
                    }
                    let mut seen = SeenField::new(coding, pass.is_raw(&field.name), place);
                    let n_unpacked = seen.observe(&member, place)?;
                    self.fields.insert(field.name.clone(), seen);
                    n_unpacked
                }
            };
            // What is told of it may lie.
            let n_unpacked = n_unpacked.min(pass.bounds.bytes_max);
            n_more = n_more.saturating_add(n_unpacked.saturating_sub(field.data.end - field.data.start));
        }
        Ok(n_more)
    }

    fn warn(&mut self, reason: &str, message: String, at: Locus) {
        self.findings.push(Finding { reason: reason.to_owned(), ..Finding::warning(message, at) });
    }
}

/// Which keys were met.
#[derive(Default)]
struct Keys {
    met: HashSet<u64>,
    n_again: u64,
    first_again: Option<(String, u64)>,
}

impl Keys {
    fn meet(&mut self, sample: &Sample) {
        let mut hasher = DefaultHasher::new();
        sample.key.hash(&mut hasher);
        let hash = hasher.finish();
        if self.met.len() < KEYS_MAX && self.met.insert(hash) {
            return;
        }
        if self.met.contains(&hash) {
            self.n_again += 1;
            self.first_again.get_or_insert_with(|| (sample.key.clone(), sample.records.start));
        }
    }
}

/// A place in a file as the user has it.
pub(crate) fn address(path: &Path, archive: &Archive, at: u64) -> Locus {
    Locus { byte_offset: Some(archive.address(at)), ..Locus::path(path) }
}

/// The first byte behind the end of an archive that is not there to fill up.
fn first_behind(archive: &Archive, samples: &Samples<'_>) -> Result<Option<u64>> {
    let Some(behind) = samples.walk().behind_mark() else { return Ok(None) };
    let mut at = behind.start;
    while at < behind.end {
        let window = archive.file().read_at(at..behind.end.min(at + WINDOW_BYTES))?;
        if let Some(n) = window.iter().position(|it| *it != 0) {
            return Ok(Some(at + n as u64));
        }
        at += window.len() as u64;
    }
    Ok(None)
}

/// An error that costs all samples from a place on, which nothing counts, and the one that breaks off there.
fn lost_from(
    kind: ErrorKind,
    mut message: String,
    byte_range: Range<u64>,
    reason: &'static str,
    broken_off: Option<&Sample>,
) -> Error {
    if let Some(sample) = broken_off {
        message.push_str(&format!("; the sample `{}` may lack members", sample.key));
    }
    let loss = Loss { byte_range: Some(byte_range), records: Vec::new(), uncounted: true, reason };
    Error::new(kind, message).with_hint(SALVAGE_HINT).with_loss(loss)
}

fn too_many_fields() -> Error {
    let message = format!("the samples have more than {FIELDS_MAX} fields, which would each be a column");
    Error::new(ErrorKind::Limit, message).with_hint(
        "the name of a field is all behind the first dot of a name: what differs belongs before it",
    )
}
