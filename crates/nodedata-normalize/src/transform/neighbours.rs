use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use arrow_array::{RecordBatch, UInt32Array};
use arrow_select::take::take_record_batch;
use nodedata_core::{
    Batch, EpisodeFacts, EpisodeStream, Error, ErrorKind, Fate, Finding, InputRange, Numbering, ReadOptions,
    Result, Source, SourcePlan, StreamId,
};

use super::rows::STEPS;

/// A source whose parts can be asked for the rows next to them, in the same episode.
///
/// Each part is read as a whole, by whoever comes first, its own reader or that of a neighbour; the other one waits and
/// takes what was read. So hardly a part is read twice in a run, whatever the number of threads. Nobody waits in a circle:
/// while a part is read no other one is asked for. What is kept for others is bounded: who comes too late reads again.
pub(crate) struct Neighbours {
    pub(crate) inner: Box<dyn Source>,
    /// By partition, whether steps may come of it.
    makes_steps: Vec<bool>,
    edges: Edges,
    slots: Vec<Mutex<Slot>>,
    /// The slots that hold something, the oldest first.
    filled: Mutex<VecDeque<usize>>,
    edged: Mutex<VecDeque<usize>>,
}

/// Parts read for others that wait for their reader: about one for each thread.
const PARTS_MAX: usize = 32;
/// Parts whose first and last rows are kept: those of a few windows.
const EDGES_MAX: usize = 512;

/// Which rows next to a part are asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Edges {
    pub(crate) columns: Vec<usize>,
    /// Rows of the parts behind.
    pub(crate) n_after: usize,
    /// Rows of the parts before.
    pub(crate) n_before: usize,
}

#[derive(Default)]
struct Slot {
    /// What a neighbour read for the part's own reader, and how it was read.
    pulled: Option<(Pulled, ReadOptions)>,
    head: Option<Edge>,
    tail: Option<Edge>,
}

/// Some rows of one part, and what it took to read them.
#[derive(Clone)]
struct Edge {
    rows: Option<RecordBatch>,
    /// Whether damage took rows that would be among them, or lie before the nearest.
    is_broken: bool,
    looked_at: Vec<InputRange>,
}

/// All that a part gives.
pub(crate) struct Pulled {
    pub(crate) results: VecDeque<Result<Batch>>,
    records_read: Vec<(StreamId, u64)>,
    pub(crate) fates: Vec<Fate>,
    facts: Option<EpisodeFacts>,
    warnings: Vec<Finding>,
    pub(crate) looked_at: Vec<InputRange>,
}

/// Rows next to a part, the nearest ones, in the order of the episode.
#[derive(Default)]
pub(crate) struct Beside {
    pub(crate) rows: Vec<RecordBatch>,
    pub(crate) n_rows: usize,
    /// What was read for them.
    pub(crate) looked_at: Vec<InputRange>,
}

impl Neighbours {
    pub(crate) fn new(inner: Box<dyn Source>, makes_steps: Vec<bool>, edges: Edges) -> Self {
        let slots = inner.plan().partitions.iter().map(|_| Mutex::default()).collect();
        let (filled, edged) = Default::default();
        Self { inner, makes_steps, edges, slots, filled, edged }
    }

    /// Everything of a part.
    ///
    /// # Errors
    /// Those of [`Source::read`].
    pub(crate) fn own(&self, partition: usize, options: &ReadOptions) -> Result<Pulled> {
        let mut slot = self.slot(partition)?;
        if let Some((pulled, _)) = slot.pulled.take().filter(|it| is_same(&it.1, options)) {
            return Ok(pulled);
        }
        let pulled = Pulled::read(self.inner.as_ref(), partition, options)?;
        self.keep_edges(&mut slot, &pulled, partition, options);
        drop(slot);
        self.forget();
        Ok(pulled)
    }

    /// Keeps the rows that those next to a part are going to ask for.
    fn keep_edges(&self, slot: &mut Slot, pulled: &Pulled, partition: usize, options: &ReadOptions) {
        if !options.wants(STEPS) {
            return;
        }
        if self.edges.n_after != 0 && self.next(partition, false).is_some() {
            slot.head = Some(self.edge(pulled, partition, true));
        }
        if self.edges.n_before != 0 && self.next(partition, true).is_some() {
            slot.tail = Some(self.edge(pulled, partition, false));
        }
        if slot.head.is_some() || slot.tail.is_some() {
            locked(&self.edged).push_back(partition);
        }
    }

    /// Lets go of what was kept longest. No slot is held meanwhile.
    fn forget(&self) {
        let oldest = |of: &Mutex<VecDeque<usize>>, n_max: usize| {
            let mut of = locked(of);
            (n_max < of.len()).then(|| of.pop_front()).flatten()
        };
        if let Some(idx) = oldest(&self.filled, PARTS_MAX) {
            locked(&self.slots[idx]).pulled = None;
        }
        if let Some(idx) = oldest(&self.edged, EDGES_MAX) {
            let mut slot = locked(&self.slots[idx]);
            (slot.head, slot.tail) = (None, None);
        }
    }

    /// The rows behind a part: as many as are asked for, fewer where the episode ends.
    ///
    /// # Errors
    /// Those of [`Source::read`].
    pub(crate) fn after(&self, partition: usize, options: &ReadOptions) -> Result<Beside> {
        let mut beside = Beside::default();
        let mut at = partition;
        while beside.n_rows < self.edges.n_after
            && let Some(next) = self.next(at, true)
        {
            let edge = self.edge_of(next, options, true)?;
            beside.looked_at.extend(edge.looked_at);
            if let Some(rows) = edge.rows {
                let rows = rows.slice(0, rows.num_rows().min(self.edges.n_after - beside.n_rows));
                beside.n_rows += rows.num_rows();
                beside.rows.push(rows);
            }
            // What lies behind rows that were lost is not next to those that are there.
            if edge.is_broken {
                break;
            }
            at = next;
        }
        Ok(beside)
    }

    /// The rows before a part.
    ///
    /// # Errors
    /// Those of [`Source::read`].
    pub(crate) fn before(&self, partition: usize, options: &ReadOptions) -> Result<Beside> {
        let mut beside = Beside::default();
        let mut at = partition;
        while beside.n_rows < self.edges.n_before
            && let Some(next) = self.next(at, false)
        {
            let edge = self.edge_of(next, options, false)?;
            beside.looked_at.extend(edge.looked_at);
            if let Some(rows) = edge.rows {
                let n_rows = rows.num_rows().min(self.edges.n_before - beside.n_rows);
                beside.n_rows += n_rows;
                beside.rows.push(rows.slice(rows.num_rows() - n_rows, n_rows));
            }
            // What lies behind rows that were lost is not next to those that are there.
            if edge.is_broken {
                break;
            }
            at = next;
        }
        beside.rows.reverse();
        Ok(beside)
    }

    /// The first row of the episode that a part belongs to.
    ///
    /// # Errors
    /// Those of [`Source::read`].
    pub(crate) fn head(&self, partition: usize, options: &ReadOptions) -> Result<Beside> {
        let mut first = partition;
        while let Some(before) = self.next(first, false) {
            first = before;
        }
        let mut beside = Beside::default();
        let mut at = Some(first);
        while let Some(part) = at.filter(|_| beside.n_rows == 0) {
            let edge = self.edge_of(part, options, true)?;
            beside.looked_at.extend(edge.looked_at);
            if let Some(rows) = edge.rows.filter(|it| it.num_rows() != 0) {
                beside.n_rows = 1;
                beside.rows.push(rows.slice(0, 1));
            }
            at = self.next(part, true);
        }
        Ok(beside)
    }

    /// The next part of the episode that steps may come of.
    fn next(&self, partition: usize, is_after: bool) -> Option<usize> {
        let partitions = &self.inner.plan().partitions;
        let episode = partitions.get(partition)?.episode;
        let of_episode = |it: &usize| partitions[*it].episode == episode;
        let makes = |it: &usize| self.makes_steps.get(*it).copied().unwrap_or(true);
        if is_after {
            (partition + 1..partitions.len()).take_while(of_episode).find(makes)
        } else {
            (0..partition).rev().take_while(of_episode).find(makes)
        }
    }

    /// The first rows of a part, or the last.
    fn edge_of(&self, partition: usize, options: &ReadOptions, is_head: bool) -> Result<Edge> {
        let mut slot = self.slot(partition)?;
        let kept = if is_head { &slot.head } else { &slot.tail };
        if let Some(edge) = kept {
            return Ok(edge.clone());
        }
        let pulled = Pulled::read(self.inner.as_ref(), partition, options)?;
        self.keep_edges(&mut slot, &pulled, partition, options);
        let edge = self.edge(&pulled, partition, is_head);
        // The reader of that part takes it from here.
        slot.pulled = Some((pulled, options.clone()));
        drop(slot);
        locked(&self.filled).push_back(partition);
        self.forget();
        Ok(edge)
    }

    fn edge(&self, pulled: &Pulled, partition: usize, is_head: bool) -> Edge {
        let reads = &self.inner.plan().partitions[partition].reads;
        let looked_at = reads.iter().chain(&pulled.looked_at).cloned().collect();
        let n_wanted = if is_head { self.edges.n_after } else { self.edges.n_before };
        let is_broken = |err: &Error| breaks(err, self.inner.plan(), partition);
        let (rows, is_broken) = pulled.edge(&self.edges.columns, n_wanted, is_head, &is_broken);
        Edge { rows, is_broken, looked_at }
    }

    fn slot(&self, partition: usize) -> Result<MutexGuard<'_, Slot>> {
        let slot = self.slots.get(partition).ok_or_else(|| {
            let message = format!("partition {partition} was asked for, but there are {}", self.slots.len());
            Error::new(ErrorKind::Config, message)
        })?;
        Ok(locked(slot))
    }
}

/// A panic of another thread leaves nothing half done: slots are filled at once.
fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_same(one: &ReadOptions, other: &ReadOptions) -> bool {
    one.batch_bytes_max == other.batch_bytes_max && one.streams == other.streams
}

impl Pulled {
    fn read(source: &dyn Source, partition: usize, options: &ReadOptions) -> Result<Self> {
        let mut stream = source.read(partition, options)?;
        let mut results = VecDeque::new();
        loop {
            match stream.next_batch() {
                Ok(Some(batch)) => results.push_back(Ok(batch)),
                Ok(None) => break,
                Err(err) => {
                    // Damage that names no loss is the end of the stream.
                    let is_last = err.loss().is_none();
                    results.push_back(Err(err));
                    if is_last {
                        break;
                    }
                }
            }
        }
        Ok(Self {
            results,
            records_read: stream.records_read().to_vec(),
            fates: stream.fates().to_vec(),
            facts: stream.facts().cloned(),
            warnings: stream.warnings().to_vec(),
            looked_at: stream.looked_at().to_vec(),
        })
    }

    /// The batches of steps, in order.
    pub(crate) fn steps(&self) -> impl DoubleEndedIterator<Item = &Batch> {
        self.results.iter().filter_map(|it| it.as_ref().ok()).filter(|it| it.stream == STEPS)
    }

    /// Copies of the first rows, or of the last: they outlive the batches. No further than to rows that were lost; tells whether there
    /// are such.
    fn edge(
        &self,
        columns: &[usize],
        n_wanted: usize,
        is_head: bool,
        breaks: &dyn Fn(&Error) -> bool,
    ) -> (Option<RecordBatch>, bool) {
        let mut parts = Vec::new();
        let mut n_rows = 0;
        let mut is_broken = false;
        let mut results = self.results.iter();
        while n_rows < n_wanted {
            let batch = match if is_head { results.next() } else { results.next_back() } {
                None => break,
                Some(Ok(batch)) if batch.stream == STEPS => batch,
                Some(Err(err)) if breaks(err) => {
                    is_broken = true;
                    break;
                }
                Some(_) => continue,
            };
            let n = batch.rows.num_rows().min(n_wanted - n_rows);
            let first = if is_head { 0 } else { batch.rows.num_rows() - n };
            let places =
                UInt32Array::from_iter_values((first..first + n).map_while(|it| u32::try_from(it).ok()));
            let rows = batch.rows.project(columns).expect("the columns are those of the steps");
            parts.push(take_record_batch(&rows, &places).expect("the places are those of rows"));
            n_rows += n;
        }
        if !is_head {
            parts.reverse();
        }
        let rows = parts.first().map(|it| {
            arrow_select::concat::concat_batches(&it.schema(), &parts)
                .expect("batches of one stream have one schema")
        });
        (rows, is_broken)
    }
}

/// Whether damage took steps, so that those before and behind it are not next to each other. Steps that are made of messages are made
/// whatever is lost of these, but for what is said to be lost of the steps themselves.
pub(crate) fn breaks(err: &Error, plan: &SourcePlan, partition: usize) -> bool {
    let Some(loss) = err.loss() else { return true };
    let is_of_steps = loss.records.iter().any(|it| it.0 == STEPS);
    let is_made = plan.partitions[partition].numbering == Numbering::Joined;
    is_of_steps || (loss.uncounted && loss.records.is_empty() && !is_made)
}

/// Hands out what was pulled.
impl EpisodeStream for Pulled {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        self.results.pop_front().transpose()
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.records_read
    }

    fn fates(&self) -> &[Fate] {
        &self.fates
    }

    fn facts(&self) -> Option<&EpisodeFacts> {
        self.facts.as_ref()
    }

    fn warnings(&self) -> &[Finding] {
        &self.warnings
    }

    fn looked_at(&self) -> &[InputRange] {
        &self.looked_at
    }
}
