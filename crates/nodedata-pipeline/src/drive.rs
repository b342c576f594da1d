use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use nodedata_core::{InputRange, Progress, ReadOptions, Result, Source};
use nodedata_dataset::{
    CheckedRows, DatasetWriter, DecodedPart, Encoded, FileHalf, FinishedUnit, Unit, UnitInput,
};
use nodedata_schema::{RowPlace, SchemaCheck, Violations};
use rayon::prelude::*;
use serde_json::Value;

use crate::{
    inputs::InputHashes,
    journal::UnitState,
    kept::{Keeper, ReadWindow, Window},
    steps::{first_time, joined},
    window::{ReadPart, read_window, windows},
};

/// Makes units: decodes, checks, encodes and writes their rows, each stage one window ahead of the next.
pub(crate) struct Drive<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) check: &'a SchemaCheck,
    pub(crate) salvage: bool,
    /// Whether the unit that rows belong to may be made without those before it: then rows are counted from
    /// its start.
    pub(crate) alone: bool,
    pub(crate) keeper: &'a Keeper,
}

/// Something by (episode, stream).
type ByStream<T> = BTreeMap<(usize, usize), T>;

/// What a drive has learned so far.
pub(crate) struct State {
    pub(crate) violations: Violations,
    pub(crate) hashes: InputHashes,
    /// Rows so far by (episode, stream).
    pub(crate) rows: ByStream<u64>,
    /// Where the clock of each (episode, stream) begins whose times count from there.
    starts: ByStream<i64>,
    /// Units that are recorded, or are before the drive ends: no later run makes them again.
    pub(crate) n_kept: usize,
    /// By unit that is not recorded yet, the records whose rows are kept.
    pub(crate) begun: BTreeMap<usize, u64>,
    /// Partitions whose rows an earlier run had kept.
    pub(crate) taken: BTreeSet<usize>,
    /// Records of these.
    pub(crate) n_taken: u64,
    /// Of the units that are not recorded yet.
    units: BTreeMap<usize, UnitState>,
    /// By unit, what was looked at besides what its partitions read.
    looked_at: BTreeMap<usize, Vec<InputRange>>,
}

impl State {
    pub(crate) fn new(hashes: InputHashes) -> Self {
        Self {
            violations: Violations::default(),
            hashes,
            rows: BTreeMap::new(),
            starts: BTreeMap::new(),
            n_kept: 0,
            begun: BTreeMap::new(),
            taken: BTreeSet::new(),
            n_taken: 0,
            units: BTreeMap::new(),
            looked_at: BTreeMap::new(),
        }
    }
}

/// A unit on its way into the journal.
struct Sealing {
    unit: FinishedUnit,
    inputs: Vec<(usize, UnitInput)>,
    run: Value,
}

impl Drive<'_> {
    /// Makes the units at these positions, in order. Stopped, it records those whose rows are all encoded, and says so.
    pub(crate) fn run(
        &self,
        writer: &mut DatasetWriter,
        todo: &[usize],
        state: &mut State,
        progress: &dyn Progress,
    ) -> Result<()> {
        let units = writer.units().clone();
        let read = |window| self.read(window);
        let mut windows = todo.iter().flat_map(|unit| self.windows(*unit, &units[*unit]));
        let mut decoded: Option<ReadWindow> = windows.next().map(read).transpose()?;
        let mut encoded = Encoded::default();
        let mut sealings: Vec<Sealing> = Vec::new();
        let (mut encoder, mut files) = writer.halves();
        let mut last = None;
        // How long reading the unit at hand has taken.
        let mut spent = Duration::ZERO;
        loop {
            if progress.is_stopped() {
                // The next window is of another unit: the last one has all its rows.
                if last.is_some() && decoded.as_ref().map(|it| it.window.unit) != last {
                    encoded.append(encoder.end()?);
                }
                break;
            }
            let next = windows.next();
            let current = decoded.take();
            let is_last = current.is_none();
            spent = self.spent(current.as_ref(), last, spent);
            let State { violations, hashes, rows, starts, units: states, .. } = &mut *state;
            let ((ahead, kept), (done, written)) = rayon::join(
                || {
                    rayon::join(
                        || next.map(read).transpose(),
                        || current.as_ref().map_or(Ok(None), |it| self.hash(hashes, it, spent)),
                    )
                },
                || {
                    let pending = std::mem::take(&mut encoded);
                    let sealings = std::mem::take(&mut sealings);
                    rayon::join(
                        || match &current {
                            Some(ReadWindow { window: Window { unit, .. }, parts, .. }) => {
                                let of_unit = states.entry(*unit).or_insert_with(|| {
                                    if self.alone {
                                        rows.clear();
                                        starts.clear();
                                    }
                                    UnitState::new(self.source.plan())
                                });
                                let checked = self.check(parts, of_unit, violations, (rows, starts))?;
                                encoder.encode(*unit, checked)
                            }
                            None => encoder.end(),
                        },
                        || write(&mut files, sealings, pending),
                    )
                },
            );
            // Reported in the order of the data, so that equal input gives an equal message.
            let finished = written?;
            encoded = done?;
            let kept = kept?;
            if let Some(read) = current {
                last = Some(read.window.unit);
                self.account(read, kept, state, progress);
            }
            sealings = self.sealings(finished, &units, state)?;
            if is_last {
                break;
            }
            decoded = ahead?;
        }
        let finished = write(&mut files, sealings, encoded)?;
        let sealings = self.sealings(finished, &units, state)?;
        write(&mut files, sealings, Encoded::default())?;
        progress.go_on()
    }

    /// How long reading the unit of a window has taken, that window included.
    fn spent(&self, read: Option<&ReadWindow>, last: Option<usize>, before: Duration) -> Duration {
        let Some(ReadWindow { window, taken, .. }) = read else { return before };
        *taken + if last == Some(window.unit) { before } else { self.keeper.spent(window.unit) }
    }

    fn read(&self, window: Window) -> Result<ReadWindow> {
        let (parts, kept) = match self.keeper.take(&window, self.source.plan()) {
            Some((parts, told, n_records)) => (parts, Some((told, n_records))),
            None => {
                let options = ReadOptions::default();
                (read_window(self.source, &window.partitions, &options, self.salvage)?, None)
            }
        };
        // By the clock a thread that waits for others would count what it did for the stages behind.
        let busy: Duration = parts.iter().map(|it| it.taken).sum();
        let longest = parts.iter().map(|it| it.taken).max().unwrap_or_default();
        let taken = longest.max(busy.div_f64(rayon::current_num_threads() as f64));
        Ok(ReadWindow { window, parts, kept, taken })
    }

    fn windows(&self, unit: usize, of: &Unit) -> Vec<Window> {
        let all = &self.source.plan().partitions;
        let ranges = windows(of.partitions.iter().map(|it| &all[*it])).into_iter();
        ranges
            .map(|range| Window { unit, partitions: of.partitions[range.clone()].to_vec(), range })
            .collect()
    }

    /// Hashes what a window was read from, and keeps its rows where that is worth while; returns the records kept.
    fn hash(&self, hashes: &mut InputHashes, read: &ReadWindow, spent: Duration) -> Result<Option<u64>> {
        let plan = self.source.plan();
        for part in &read.parts {
            hashes.expect(&part.looked_at);
        }
        for part in &read.parts {
            for range in plan.partitions[part.partition].reads.iter().chain(&part.looked_at) {
                hashes.take_in(range)?;
            }
        }
        if !self.keeper.is_worth(read, spent, plan) {
            return Ok(None);
        }
        let looked_at = read.parts.iter().flat_map(|it| &it.looked_at);
        self.keeper.keep(read, plan, || self.proofs(&read.window.partitions, looked_at, hashes))
    }

    /// Checks a window against the schema; batches that break it are counted and left out, and the run
    /// fails at its end.
    ///
    /// # Errors
    /// What rows say of video that is coded while they are read, where that cannot be.
    fn check(
        &self,
        parts: &[ReadPart],
        unit: &mut UnitState,
        violations: &mut Violations,
        (rows, starts): (&mut ByStream<u64>, &mut ByStream<i64>),
    ) -> Result<Vec<DecodedPart>> {
        let plan = self.source.plan();
        let mut places = Vec::new();
        let mut batches = Vec::new();
        let mut clocks = Vec::new();
        for part in parts {
            let partition = &plan.partitions[part.partition];
            let episode = partition.episode;
            for batch in &part.batches {
                unit.inferred.observe(batch);
                let key = (episode, batch.stream.0 as usize);
                let rows = rows.entry(key).or_default();
                let clock_start =
                    first_time(batch, partition, plan).map(|it| *starts.entry(key).or_insert(it));
                unit.videos.watch(batch, (episode, *rows), plan)?;
                places.push(RowPlace { episode: episode as u64, first_row: *rows });
                batches.push(joined(batch, partition, plan, *rows, clock_start));
                clocks.push(clock_start.unwrap_or(0));
                *rows += batch.rows.num_rows() as u64;
            }
        }
        let checked: Vec<_> = batches
            .into_par_iter()
            .zip(places)
            .map(|(batch, place)| self.check.batch(&batch, place))
            .collect();
        let mut checked = checked.into_iter().zip(clocks);
        let parts = parts
            .iter()
            .map(|part| {
                let mut batches = Vec::with_capacity(part.batches.len());
                for (batch, (result, clock_start_ns)) in part.batches.iter().zip(&mut checked) {
                    match result {
                        Ok(rows) => batches.push(CheckedRows {
                            rows,
                            spans: batch.spans.clone(),
                            pixels: batch.pixels.clone(),
                            clock_start_ns,
                        }),
                        Err(found) => violations.merge(found),
                    }
                }
                DecodedPart { partition: part.partition, batches }
            })
            .collect();
        Ok(parts)
    }

    /// `now_kept` are the records of the window, where its rows were kept by this run.
    fn account(&self, read: ReadWindow, now_kept: Option<u64>, state: &mut State, progress: &dyn Progress) {
        let plan = self.source.plan();
        let ReadWindow { window, parts, kept, .. } = read;
        let unit = window.unit;
        let is_kept = kept.is_some();
        let mut told = state.units.get_mut(&unit).map(|it| &mut it.told);
        if let Some((of_kept, n_records)) = kept {
            state.taken.extend(&window.partitions);
            state.n_taken += n_records;
            if let Some(told) = &mut told {
                told.join(of_kept);
            }
        } else {
            // What was found in its place turned out to be damaged.
            let begun = state.begun.entry(unit).or_default();
            *begun = begun.saturating_sub(self.keeper.n_found(&window)) + now_kept.unwrap_or(0);
        }
        for part in parts {
            if let Some(told) = &mut told {
                told.account(&part, plan);
            }
            // What an earlier run read is no work of this one.
            if !is_kept {
                let n_records = part.records_read.iter().map(|(_, n)| n).sum();
                progress.advanced(plan.partitions[part.partition].decoded_bytes, n_records);
            }
            state.looked_at.entry(unit).or_default().extend(part.looked_at);
        }
    }

    /// What is to be recorded of units whose files are complete. A unit whose rows break the schema is not
    /// recorded: the run is going to fail.
    fn sealings(
        &self,
        finished: Vec<FinishedUnit>,
        units: &[Unit],
        state: &mut State,
    ) -> Result<Vec<Sealing>> {
        let mut sealings = Vec::new();
        for unit in finished {
            let Some(of_unit) = state.units.remove(&unit.unit()) else { continue };
            let looked_at = state.looked_at.remove(&unit.unit()).unwrap_or_default();
            if !state.violations.is_empty() {
                continue;
            }
            let partitions = &units[unit.unit()].partitions;
            let inputs = self.proofs(partitions, &looked_at, &mut state.hashes)?;
            state.begun.remove(&unit.unit());
            sealings.push(Sealing { unit, inputs, run: of_unit.keep()? });
            state.n_kept += 1;
        }
        Ok(sealings)
    }

    /// The bytes that rows were made of, and at least what lies before them in the same files.
    fn proofs<'b>(
        &'b self,
        of: &[usize],
        looked_at: impl IntoIterator<Item = &'b InputRange>,
        hashes: &mut InputHashes,
    ) -> Result<Vec<(usize, UnitInput)>> {
        let partitions = &self.source.plan().partitions;
        let planned = of.iter().flat_map(|it| &partitions[*it].reads);
        let mut ends: BTreeMap<usize, u64> = BTreeMap::new();
        for InputRange { input, byte_range } in planned.chain(looked_at) {
            let known = ends.entry(*input).or_default();
            *known = byte_range.end.max(*known);
        }
        ends.into_iter().map(|(input, end)| Ok((input, hashes.prove(input, end)?))).collect()
    }
}

fn write(files: &mut FileHalf<'_>, sealings: Vec<Sealing>, encoded: Encoded) -> Result<Vec<FinishedUnit>> {
    for Sealing { unit, inputs, run } in sealings {
        files.seal(unit, inputs, run)?;
    }
    files.write(encoded)
}
