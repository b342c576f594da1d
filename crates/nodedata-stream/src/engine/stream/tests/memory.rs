//! A source in memory: it can be watched, and told to fail.

use std::{
    collections::BTreeSet,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use nodedata_core::{DType, Error, Locus};
use nodedata_reader::{Column, Rooms, Rows, Tensor, VideoCache};

use super::*;
use crate::{
    Extent, OrderOptions, Pad, SourceId,
    engine::{
        feed::{Feed, Portion, Wanted},
        layout::{Part, PlacedField},
        lines::Line,
        stream_plan::Prepared,
    },
};

/// What memory is full of that nobody has written to.
pub(super) const FRESH: u8 = if cfg!(debug_assertions) { 0xa5 } else { 0 };

/// Coded bytes of a step.
pub(super) const CODED: u64 = 100;

/// Episodes whose values are their own numbers.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    pub(super) lengths: Vec<u64>,
    pub(super) selection: Selection,
    pub(super) order: OrderOptions,
    /// One part each, with one column.
    pub(super) windows: Vec<Option<Window>>,
    pub(super) pad: Pad,
    pub(super) is_mapped: bool,
    /// Bytes of a second column.
    pub(super) load: usize,
    /// Decoded bytes of a row, as they are told beforehand; what they are where nobody says otherwise.
    pub(super) told_bytes: Option<u64>,
    /// Whether the second column is told to vary.
    pub(super) varies: bool,
    pub(super) faults: BTreeMap<(usize, u64), Fault>,
    /// Coded bytes that the disk has room for.
    pub(super) disk_bytes: u64,
    pub(super) watch: Arc<Watch>,
}

/// What goes wrong with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Fetching(ErrorKind),
    /// What is asked for first hangs as long as the gate is closed.
    Hanging,
    Decoding(ErrorKind),
    Panicking,
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// What was fetched together.
    pub(super) fetched: Mutex<Vec<Vec<Wanted>>>,
    /// What was brought to the disk.
    pub(super) kept: Mutex<Vec<Wanted>>,
    /// Bytes of portions that are in memory, now and at most.
    pub(super) held: AtomicU64,
    pub(super) held_max: AtomicU64,
    /// Pieces whose decoding was begun.
    pub(super) n_begun: AtomicUsize,
    /// Runs of rows that were put to where they were wanted.
    pub(super) n_placed: AtomicUsize,
    /// Fetches hang as long as this is set.
    pub(super) gate: Mutex<bool>,
    pub(super) opened: Condvar,
    /// Requests for steps that hang.
    pub(super) n_hanging: AtomicUsize,
}

impl Watch {
    pub(super) fn close(&self) {
        *self.gate.lock().unwrap() = true;
    }

    pub(super) fn open(&self) {
        *self.gate.lock().unwrap() = false;
        self.opened.notify_all();
    }

    /// How often each step of a part was fetched.
    pub(super) fn n_fetched(&self) -> BTreeMap<(usize, usize, u64), usize> {
        let mut n_fetched = BTreeMap::new();
        for it in self.fetched.lock().unwrap().iter().flatten() {
            for step in it.steps.clone() {
                *n_fetched.entry((it.part, it.episode, step)).or_default() += 1;
            }
        }
        n_fetched
    }
}

impl Memory {
    pub(super) fn new(lengths: &[u64]) -> Self {
        Self {
            lengths: lengths.to_vec(),
            selection: Selection::default(),
            order: OrderOptions::default(),
            windows: vec![None],
            pad: Pad::Edge,
            is_mapped: false,
            load: 0,
            told_bytes: None,
            varies: false,
            faults: BTreeMap::new(),
            disk_bytes: 0,
            watch: Arc::default(),
        }
    }

    pub(super) fn shuffled(mut self, shuffle: Shuffle, seed: u64) -> Self {
        self.order = OrderOptions { shuffle, seed, ..OrderOptions::default() };
        self
    }

    pub(super) fn lanes(mut self, block: u64, lanes: Lanes) -> Self {
        let Lanes { lanes, window } = lanes;
        let (block, lanes, window) = (Some(block), Some(lanes), Some(window));
        self.order = OrderOptions { shuffle: Shuffle::On, seed: 7, block, lanes, window, ..self.order };
        self
    }

    pub(super) fn of_unit(mut self, unit: Unit) -> Self {
        self.selection.unit = unit;
        self
    }

    pub(super) fn mapped(mut self, is_mapped: bool) -> Self {
        self.is_mapped = is_mapped;
        self
    }

    pub(super) fn with_fault(mut self, episode: usize, step: u64, fault: Fault) -> Self {
        self.faults.insert((episode, step), fault);
        self
    }

    pub(super) fn prepared(self) -> Prepared {
        let n_steps: u64 = self.lengths.iter().sum();
        let is_placed = self.load > 0 && !self.varies;
        let parts = self.windows.iter().enumerate().map(|(idx, window)| Part {
            window: window.clone(),
            fields: vec![2 * idx, 2 * idx + 1],
            fixed_bytes: self.told_bytes.unwrap_or(16 + self.load as u64),
            varies: self.varies,
            placed: is_placed.then(|| placed(idx, self.load)).into_iter().collect(),
        });
        Prepared {
            id: SourceId { dataset: "acme/x".to_owned(), manifest: "b3:0".to_owned(), ..SourceId::default() },
            extent: Extent {
                shard_bytes: n_steps * CODED,
                n_rows: n_steps,
                n_episodes: self.lengths.len() as u64,
            },
            lengths: self.lengths.clone().into(),
            selection: self
                .windows
                .iter()
                .flatten()
                .fold(self.selection.clone(), |selection, window| window.narrowed(&selection, self.pad)),
            order: self.order.clone(),
            fields_hash: format!("b3:{}", self.load),
            parts: parts.collect(),
            pad: self.pad,
            feed: Arc::new(self),
        }
    }

    fn rows(&self, wanted: &Wanted, rooms: &Rooms) -> Rows {
        let steps = wanted.steps.clone();
        let numbers = steps.clone().flat_map(|step| [wanted.episode as u64, step]);
        let bytes = numbers.flat_map(u64::to_le_bytes).collect();
        let n_rows = (steps.end - steps.start) as usize;
        let at = Tensor { dtype: DType::UInt64, shape: vec![2], bytes };
        let name = format!("load{}", wanted.part);
        let room = rooms.take(&name, n_rows * self.load);
        self.watch.n_placed.fetch_add(usize::from(room.is_some()), SeqCst);
        let mut bytes = room.unwrap_or_else(|| vec![FRESH; n_rows * self.load].into());
        assert!(bytes.iter().all(|it| *it == FRESH), "nobody has written there");
        for (row, step) in bytes.chunks_exact_mut(self.load.max(1)).zip(steps) {
            row.fill(load_of(wanted.episode, step));
        }
        let load = Tensor { dtype: DType::UInt8, shape: vec![self.load], bytes };
        let column = |name: &str, tensor| {
            let name = format!("{name}{}", wanted.part).into();
            Column { name, data: Data::Tensor(tensor), valid: None }
        };
        Rows { n_rows, columns: vec![column("at", at), column("load", load)] }
    }

    /// The first of some steps at which something goes wrong, in a way that counts.
    fn fault(&self, wanted: &Wanted, counts: impl Fn(Fault) -> bool) -> Option<(u64, Fault)> {
        let fault = |step| self.faults.get(&(wanted.episode, step)).filter(|it| counts(**it));
        wanted.steps.clone().find_map(|step| Some((step, *fault(step)?)))
    }
}

/// What the second column is full of.
pub(super) fn load_of(episode: usize, step: u64) -> u8 {
    1 + ((episode as u64 * 31 + step) % 255) as u8
}

fn placed(part: usize, row_bytes: usize) -> PlacedField {
    PlacedField { name: format!("load{part}").into(), row_bytes }
}

impl Feed for Memory {
    fn at_hand(&self) -> Option<Arc<dyn Portion>> {
        let portion = || Brought { memory: self.clone(), wanted: Vec::new(), n_bytes: 0 };
        self.is_mapped.then(|| Arc::new(portion()) as Arc<dyn Portion>)
    }

    fn fetch(&self, wanted: &[Wanted], line: Line<'_>) -> Result<Arc<dyn Portion>> {
        let _taken = line.take(wanted.len())?;
        let hangs = |it: &Wanted| self.fault(it, |fault| fault == Fault::Hanging).is_some();
        let is_first = || self.watch.n_hanging.fetch_add(1, SeqCst) == 0;
        // Without such a step all of them hang.
        let has_hanging = self.faults.values().any(|it| *it == Fault::Hanging);
        if !has_hanging || (wanted.iter().any(hangs) && is_first()) {
            let closed = self.watch.gate.lock().unwrap();
            drop(self.watch.opened.wait_while(closed, |closed| *closed).unwrap());
        }
        for it in wanted {
            let is_fetching = |fault| matches!(fault, Fault::Fetching(_));
            if let Some((step, Fault::Fetching(kind))) = self.fault(it, is_fetching) {
                return Err(Error::new(kind, format!("step {step} does not come")));
            }
        }
        self.watch.fetched.lock().unwrap().push(wanted.to_vec());
        // Parts of a step lie side by side.
        let steps = wanted.iter().flat_map(|it| it.steps.clone().map(|step| (it.episode, step)));
        let n_bytes = steps.collect::<BTreeSet<_>>().len() as u64 * CODED;
        let held = self.watch.held.fetch_add(n_bytes, SeqCst) + n_bytes;
        self.watch.held_max.fetch_max(held, SeqCst);
        Ok(Arc::new(Brought { memory: self.clone(), wanted: wanted.to_vec(), n_bytes }))
    }

    fn keep(&self, wanted: &[Wanted], line: Line<'_>) -> Result<()> {
        let _taken = line.take(wanted.len())?;
        self.watch.kept.lock().unwrap().extend_from_slice(wanted);
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        self.disk_bytes
    }

    fn locus(&self, episode: usize, step: u64) -> Locus {
        Locus { episode_idx: Some(episode as u64), step_idx: Some(step), ..Locus::default() }
    }
}

/// What was fetched.
#[derive(Debug)]
struct Brought {
    memory: Memory,
    wanted: Vec<Wanted>,
    n_bytes: u64,
}

impl Portion for Brought {
    fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    fn decode(&self, wanted: &Wanted, rooms: &Rooms, _: &VideoCache) -> Result<Rows> {
        self.memory.watch.n_begun.fetch_add(1, SeqCst);
        let is_there = |it: &Wanted| {
            (it.part, it.episode) == (wanted.part, wanted.episode)
                && it.steps.start <= wanted.steps.start
                && wanted.steps.end <= it.steps.end
        };
        assert!(self.memory.is_mapped || self.wanted.iter().any(is_there), "{wanted:?} was not fetched");
        // Samples are decoded in another order than they are taken in.
        for _ in 0..wanted.steps.start.wrapping_mul(0x9e37_79b9) % 7 {
            thread::yield_now();
        }
        let is_decoding = |fault| matches!(fault, Fault::Decoding(_) | Fault::Panicking);
        match self.memory.fault(wanted, is_decoding) {
            Some((step, Fault::Decoding(kind))) => Err(Error::new(kind, format!("step {step} is broken"))),
            Some((step, Fault::Panicking)) => panic!("step {step} is not foreseen"),
            Some((_, Fault::Fetching(_) | Fault::Hanging)) | None => Ok(self.memory.rows(wanted, rooms)),
        }
    }
}

impl Drop for Brought {
    fn drop(&mut self) {
        self.memory.watch.held.fetch_sub(self.n_bytes, SeqCst);
    }
}
