use arrow_buffer::NullBuffer;
use nodedata_core::{Nested, NestedDim};

use super::{
    moments::{Lanes, Moments, Number},
    sample::Sample,
};

/// Rows of a block: sums are joined after each, and the distance summed is from the mean so far.
const BLOCK_ROWS: usize = 4096;
/// Values summed side by side, about.
const GROUP_VALUES: usize = 64;
/// Values checked at a time for NaN before they are summed: few enough to stay in the first cache.
const CHUNK_VALUES: usize = 2048;
/// Longest rows that are measured position by position.
const STRIDE_MAX: usize = 1024;

/// Measures the numbers of one column, position by position as long as all rows have one length.
#[derive(Debug, Clone)]
pub(crate) struct Numeric<T> {
    /// Lengths of the dimensions below the first, where all of them are fixed.
    inner: Vec<usize>,
    state: State<T>,
}

#[derive(Debug, Clone)]
enum State<T> {
    /// No row yet, so no length.
    Empty,
    /// All rows had this one length.
    Positions(Measured<T>),
    /// Rows differ: each value is a row of its own.
    Pooled(Measured<T>),
}

/// What was measured of rows of `stride` values.
#[derive(Debug, Clone)]
pub(crate) struct Measured<T> {
    pub(crate) stride: usize,
    /// Rows so far.
    n_rows: u64,
    /// Rows in the open block.
    n_block_rows: usize,
    lanes: Lanes<T>,
    /// Joined blocks, by position.
    joined: Vec<Moments<T>>,
    /// By position.
    pub(crate) nan_count: Vec<u64>,
    pub(crate) inf_count: Vec<u64>,
    pub(crate) sample: Sample,
}

impl<T: Number> Numeric<T> {
    pub(crate) fn new() -> Self {
        Self { inner: Vec::new(), state: State::Empty }
    }

    /// What was kept of an earlier pass.
    pub(crate) fn from_parts(inner: Vec<usize>, measured: Measured<T>, by_position: bool) -> Self {
        let state = if by_position { State::Positions(measured) } else { State::Pooled(measured) };
        Self { inner, state }
    }

    /// Lengths of the dimensions below the first.
    pub(crate) fn inner(&self) -> &[usize] {
        &self.inner
    }

    /// Takes in what was measured of the rows that follow.
    pub(crate) fn join(&mut self, other: Self) {
        let Self { inner, state } = other;
        self.inner = inner;
        self.state = match (std::mem::replace(&mut self.state, State::Empty), state) {
            (State::Empty, it) | (it, State::Empty) => it,
            (State::Positions(mut mine), State::Positions(theirs)) if mine.stride == theirs.stride => {
                mine.join(theirs);
                State::Positions(mine)
            }
            (mine, theirs) => {
                let (Some(mut mine), Some(theirs)) = (mine.pooled(), theirs.pooled()) else { return };
                mine.join(theirs);
                State::Pooled(mine)
            }
        };
    }

    /// What was measured, and whether it is by position; `None` before the first row.
    pub(crate) fn measured(&self) -> Option<(&Measured<T>, bool)> {
        match &self.state {
            State::Empty => None,
            State::Positions(it) => Some((it, true)),
            State::Pooled(it) => Some((it, false)),
        }
    }

    /// The shape of all rows of a column of `rank` dimensions, when they are measured by position.
    pub(crate) fn shape(&self, rank: usize) -> Option<Vec<usize>> {
        let State::Positions(measured) = &self.state else { return None };
        let n_inner: usize = self.inner.iter().product();
        let outer = (rank > 0).then(|| measured.stride.checked_div(n_inner).unwrap_or(0));
        Some(outer.into_iter().chain(self.inner.iter().copied()).collect())
    }

    /// Takes in the values of the next rows; `values` are those of `nested`. A fixed-size list and a list
    /// whose rows all have that length give the same.
    pub(crate) fn update(&mut self, nested: &Nested, values: &[T]) {
        let rows = &nested.items[0];
        let valid = nested.items.last().and_then(|it| it.valid.as_ref());
        let fixed = |it: &NestedDim| match it {
            NestedDim::Fixed(n) => Some(*n),
            NestedDim::List(_) => None,
        };
        let inner: Option<Vec<usize>> = nested.dims.iter().skip(1).map(fixed).collect();
        let Some(inner) = inner else {
            // Lists in lists are only pooled.
            return self.pool(values, valid.cloned());
        };
        let n_inner = inner.iter().product::<usize>();
        self.inner = inner;
        // Null rows are left out, not holes in the sequence.
        let runs: Vec<(usize, usize)> = match &rows.valid {
            None => vec![(0, rows.n_items)],
            Some(valid) => valid.valid_slices().collect(),
        };
        for (start, end) in runs {
            match nested.dims.first() {
                Some(NestedDim::List(offsets)) => self.lists(offsets, start..end, n_inner, values, valid),
                outer => {
                    let n = outer.and_then(fixed).unwrap_or(1) * n_inner;
                    self.rows_of(
                        n,
                        end - start,
                        &values[start * n..end * n],
                        slice(valid, start * n, end * n),
                    );
                }
            }
        }
    }

    /// A run of lists that are there: each stretch of one length at once.
    fn lists(
        &mut self,
        offsets: &nodedata_core::ListOffsets,
        lists: std::ops::Range<usize>,
        inner: usize,
        values: &[T],
        valid: Option<&NullBuffer>,
    ) {
        let mut idx = lists.start;
        while idx < lists.end {
            let start = offsets.range(idx).start * inner;
            let n_items = offsets.range(idx).len();
            if let State::Pooled(_) = self.state {
                let end = offsets.range(lists.end - 1).end * inner;
                return self.pool(&values[start..end], slice(valid, start, end));
            }
            let n_alike = offsets.n_lists_of_len(idx, n_items).min(lists.end - idx);
            let end = start + n_alike * n_items * inner;
            self.rows_of(n_items * inner, n_alike, &values[start..end], slice(valid, start, end));
            idx += n_alike;
        }
    }

    /// Rows of one length.
    fn rows_of(&mut self, stride: usize, n_rows: usize, values: &[T], valid: Option<NullBuffer>) {
        if n_rows == 0 {
            return;
        }
        if let State::Empty = self.state {
            self.state = match stride > STRIDE_MAX {
                true => State::Pooled(Measured::new(1)),
                false => State::Positions(Measured::new(stride)),
            };
        }
        match &mut self.state {
            State::Positions(measured) if measured.stride == stride => {
                measured.add(values, n_rows, valid.as_ref());
            }
            State::Empty | State::Positions(_) | State::Pooled(_) => self.pool(values, valid),
        }
    }

    /// Values without positions, those under nulls skipped.
    fn pool(&mut self, values: &[T], valid: Option<NullBuffer>) {
        let state = std::mem::replace(&mut self.state, State::Empty);
        let mut measured = state.pooled().unwrap_or_else(|| Measured::new(1));
        match valid {
            None => measured.add(values, values.len(), None),
            Some(valid) => {
                for (start, end) in valid.valid_slices() {
                    measured.add(&values[start..end], end - start, None);
                }
            }
        }
        self.state = State::Pooled(measured);
    }
}

impl<T: Number> State<T> {
    /// Without positions; `None` before the first row.
    fn pooled(self) -> Option<Measured<T>> {
        match self {
            Self::Empty => None,
            Self::Positions(measured) => Some(measured.flatten()),
            Self::Pooled(measured) => Some(measured),
        }
    }
}

/// The part of a mask, or none when nothing is masked there.
fn slice(valid: Option<&NullBuffer>, start: usize, end: usize) -> Option<NullBuffer> {
    valid.map(|it| it.slice(start, end - start)).filter(|it| it.null_count() > 0)
}

impl<T: Number> Measured<T> {
    fn new(stride: usize) -> Self {
        let n_group_rows = (GROUP_VALUES / stride.max(1)).max(1);
        // Divides a block.
        let n_group_rows = 1 << n_group_rows.ilog2();
        Self {
            stride,
            n_rows: 0,
            n_block_rows: 0,
            lanes: Lanes::new(stride * n_group_rows),
            joined: vec![Moments::empty(); stride],
            nan_count: vec![0; stride],
            inf_count: vec![0; stride],
            sample: Sample::new(stride),
        }
    }

    /// Adds rows. `valid` masks values that are null.
    fn add(&mut self, values: &[T], n_rows: usize, valid: Option<&NullBuffer>) {
        let stride = self.stride;
        if stride == 0 {
            self.n_rows += n_rows as u64;
            return;
        }
        self.sample.take(self.n_rows, n_rows, |row, lane| {
            let idx = row * stride + lane;
            let value = values[idx];
            let there = value.is_finite() && valid.is_none_or(|it| it.is_valid(idx));
            if there { value.to_f64() } else { f64::NAN }
        });
        let mut row = 0;
        while row < n_rows {
            if self.n_block_rows == 0 {
                self.start_block(&values[row * stride..], |lane| {
                    valid.is_none_or(|it| it.is_valid(row * stride + lane))
                });
            }
            let n = (BLOCK_ROWS - self.n_block_rows).min(n_rows - row);
            let (start, end) = (row * stride, (row + n) * stride);
            match slice(valid, start, end) {
                None => self.add_to_block(&values[start..end]),
                Some(valid) => {
                    for (idx, value) in values[start..end].iter().enumerate() {
                        self.add_one(self.n_block_rows * stride + idx, *value, valid.is_valid(idx));
                    }
                }
            }
            self.n_block_rows += n;
            row += n;
            if self.n_block_rows == BLOCK_ROWS {
                self.joined = self.moments();
                self.n_block_rows = 0;
            }
        }
        self.n_rows += n_rows as u64;
    }

    /// Distances are taken from the mean so far or, where there is none, from the first row if it has a number.
    fn start_block(&mut self, first_row: &[T], is_valid: impl Fn(usize) -> bool) {
        let (stride, joined) = (self.stride, &self.joined);
        self.lanes.start(|lane| {
            let position = lane % stride;
            let first = first_row[position];
            match joined[position].count {
                0 => (first.is_finite() && is_valid(position)).then_some(first),
                _ => Some(joined[position].center()),
            }
        });
    }

    /// Adds values of rows that end inside the block and hold no nulls.
    fn add_to_block(&mut self, values: &[T]) {
        let n_lanes = self.lanes.n_lanes();
        let first = self.n_block_rows * self.stride;
        // Up to the next group one by one, then group by group, then the rest.
        let n_head = (first.next_multiple_of(n_lanes) - first).min(values.len());
        let n_whole = (values.len() - n_head) / n_lanes * n_lanes;
        let (head, rest) = values.split_at(n_head);
        let (whole, tail) = rest.split_at(n_whole);
        for (idx, value) in head.iter().enumerate() {
            self.add_one(first + idx, *value, true);
        }
        let n_chunk = (CHUNK_VALUES / n_lanes).max(1) * n_lanes;
        let mut at = first + n_head;
        for chunk in whole.chunks(n_chunk) {
            if chunk.iter().fold(true, |all, it| all & it.is_finite()) {
                self.lanes.add_groups(chunk);
            } else {
                chunk.iter().enumerate().for_each(|(idx, it)| self.add_one(at + idx, *it, true));
            }
            at += chunk.len();
        }
        for (idx, value) in tail.iter().enumerate() {
            self.add_one(at + idx, *value, true);
        }
    }

    /// Adds the value at `idx` of the block.
    #[inline]
    fn add_one(&mut self, idx: usize, value: T, is_valid: bool) {
        if !is_valid {
            return;
        }
        if value.is_finite() {
            self.lanes.add(idx % self.lanes.n_lanes(), value);
        } else if value.is_nan() {
            self.nan_count[idx % self.stride] += 1;
        } else {
            self.inf_count[idx % self.stride] += 1;
        }
    }

    /// What was kept of an earlier pass. `counts` are those of NaN and of infinite values, by position.
    pub(crate) fn from_parts(
        stride: usize,
        n_rows: u64,
        joined: Vec<Moments<T>>,
        counts: (Vec<u64>, Vec<u64>),
        sample: Sample,
    ) -> Self {
        let (nan_count, inf_count) = counts;
        Self { n_rows, joined, nan_count, inf_count, sample, ..Self::new(stride) }
    }

    /// Rows so far.
    pub(crate) fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// Takes in the same number of positions of the rows that follow. A block ends before them.
    fn join(&mut self, other: Self) {
        self.joined = self.moments();
        self.n_block_rows = 0;
        for (mine, theirs) in self.joined.iter_mut().zip(other.moments()) {
            mine.join(&theirs);
        }
        let add = |mine: &mut [u64], theirs: &[u64]| {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        };
        add(&mut self.nan_count, &other.nan_count);
        add(&mut self.inf_count, &other.inf_count);
        self.n_rows += other.n_rows;
        self.sample.join(other.sample);
    }

    /// Everything so far, by position.
    pub(crate) fn moments(&self) -> Vec<Moments<T>> {
        let mut all = self.joined.clone();
        if self.n_block_rows > 0 {
            for lane in 0..self.lanes.n_lanes() {
                all[lane % self.stride].join(&self.lanes.moments(lane));
            }
        }
        all
    }

    /// Everything so far in one.
    pub(crate) fn pooled_moments(&self) -> Moments<T> {
        let mut pooled = Moments::empty();
        self.moments().iter().for_each(|it| pooled.join(it));
        pooled
    }

    /// Forgets positions: from now on each value is a row.
    fn flatten(self) -> Self {
        let pooled = self.pooled_moments();
        let Self { stride, n_rows, nan_count, inf_count, sample, .. } = self;
        Self {
            n_rows: n_rows * stride as u64,
            joined: vec![pooled],
            nan_count: vec![nan_count.iter().sum()],
            inf_count: vec![inf_count.iter().sum()],
            sample: sample.flatten(),
            ..Self::new(1)
        }
    }
}
