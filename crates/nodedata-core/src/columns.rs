use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use arrow_array::{ArrayRef, StructArray, make_array, new_null_array};
use arrow_buffer::{Buffer, MutableBuffer, NullBuffer, NullBufferBuilder};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field};

use crate::{
    DType, Dim, Feature, Storage,
    feature::{LIST_ITEM, media_fields},
};

/// Position of a column in a [`Layout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeafId(pub usize);

/// Position of a variable list in a [`Layout`]. Columns below one list of structs share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListId(pub usize);

/// One dimension of a column under construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Every item holds this many items of the next level.
    Fixed(u32),
    /// A variable list, whose lengths are pushed once for all columns below it.
    List(ListId),
}

/// The columns of a stream, decided once per schema.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    leaves: Vec<LeafLayout>,
    /// The list each list lies in (`None`: it lies in the row), and how many fixed items are between.
    lists: Vec<ListLayout>,
}

#[derive(Debug, Clone)]
struct LeafLayout {
    feature: Feature,
    levels: Vec<Level>,
    /// Values per item of the innermost list (or per row): the product of the fixed levels below it.
    values_per_item: usize,
    room: Room,
}

/// Bytes and values the last batch of a column took. The next one starts with room for as many: growing by
/// doubling would copy every value twice and touch fresh memory for it. Has no effect on what is built.
#[derive(Debug, Default)]
struct Room {
    n_bytes: AtomicUsize,
    n_offsets: AtomicUsize,
}

impl Clone for Room {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Room {
    fn note(&self, n_bytes: usize, n_offsets: usize) {
        // A little more, so that batches of nearly equal size do not grow at their end.
        self.n_bytes.store(n_bytes + n_bytes / 16, Ordering::Relaxed);
        self.n_offsets.store(n_offsets + n_offsets / 16, Ordering::Relaxed);
    }
}

#[derive(Debug, Clone)]
struct ListLayout {
    parent: Option<ListId>,
    /// Lists per item of the parent (or per row).
    per_item: usize,
    nullable: bool,
}

impl Layout {
    /// Adds a variable list. `parent` is the path of levels above it, outermost first; `nullable`
    /// says whether the list itself may be absent.
    pub fn list(&mut self, parent: &[Level], nullable: bool) -> ListId {
        let (parent, per_item) = innermost(parent);
        self.lists.push(ListLayout { parent, per_item, nullable });
        ListId(self.lists.len() - 1)
    }

    /// Adds a column named and typed by `feature`, whose shape must describe `levels`.
    ///
    /// # Panics
    /// When the shape and the levels differ in number: a mistake of the calling compiler.
    pub fn leaf(&mut self, feature: Feature, levels: &[Level]) -> LeafId {
        assert!(
            feature.storage != Storage::Plain || feature.shape.len() == levels.len(),
            "feature {} has shape {:?} but {} levels",
            feature.name,
            feature.shape,
            levels.len()
        );
        let (_, values_per_item) = innermost(levels);
        self.leaves.push(LeafLayout {
            feature,
            levels: levels.to_vec(),
            values_per_item,
            room: Room::default(),
        });
        LeafId(self.leaves.len() - 1)
    }

    /// The features, in column order.
    pub fn features(&self) -> impl ExactSizeIterator<Item = &Feature> {
        self.leaves.iter().map(|it| &it.feature)
    }

    /// The feature of one column.
    pub fn feature(&self, id: LeafId) -> &Feature {
        &self.leaves[id.0].feature
    }

    /// Changes the feature of one column, for example its storage once the whole message is known.
    pub fn feature_mut(&mut self, id: LeafId) -> &mut Feature {
        &mut self.leaves[id.0].feature
    }

    /// Values one push of an item must bring to this column: the product of its innermost fixed levels.
    pub fn values_per_item(&self, id: LeafId) -> usize {
        self.leaves[id.0].values_per_item
    }

    /// The shape that belongs to `levels`.
    pub fn shape(levels: &[Level]) -> Vec<Dim> {
        levels
            .iter()
            .map(|it| match it {
                Level::Fixed(n) => Dim::Fixed(*n),
                Level::List(_) => Dim::Variable,
            })
            .collect()
    }
}

/// The innermost list of a path, and the product of the fixed levels below it.
fn innermost(levels: &[Level]) -> (Option<ListId>, usize) {
    let mut per_item = 1;
    for level in levels.iter().rev() {
        match level {
            Level::Fixed(n) => per_item *= *n as usize,
            Level::List(id) => return (Some(*id), per_item),
        }
    }
    (None, per_item)
}

/// Rows under construction, column by column.
///
/// Each row pushes, for every list, its length, and for every column its values; then [`Self::end_row`].
/// A row that fails half-way is taken back by [`Self::abort_row`].
#[derive(Debug)]
pub struct Columns {
    layout: Arc<Layout>,
    leaves: Vec<Leaf>,
    lists: Vec<List>,
    n_rows: usize,
}

#[derive(Debug)]
struct Leaf {
    /// Fixed-width values, packed text and bytes, or one byte per bool.
    values: MutableBuffer,
    /// End offsets of text and bytes, with a leading 0; empty for other types.
    offsets: Vec<i32>,
    /// Per item: is it there. Only for nullable features.
    valid: Option<NullBufferBuilder>,
}

#[derive(Debug)]
struct List {
    /// End offsets with a leading 0.
    offsets: Vec<i32>,
    valid: Option<NullBufferBuilder>,
}

impl Columns {
    /// No rows yet.
    pub fn new(layout: Arc<Layout>) -> Self {
        let leaves = layout.leaves.iter().map(Leaf::new).collect();
        let lists = layout.lists.iter().map(List::new).collect();
        Self { layout, leaves, lists, n_rows: 0 }
    }

    /// The layout the rows follow.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Complete rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Bytes held by values and offsets.
    pub fn n_bytes(&self) -> usize {
        let leaves: usize = self.leaves.iter().map(|it| it.values.len() + it.offsets.len() * 4).sum();
        leaves + self.lists.iter().map(|it| it.offsets.len() * 4).sum::<usize>()
    }

    /// Appends fixed-width values as little-endian bytes. Their number must be the column's values per
    /// item, or a multiple of it for consecutive items of a list.
    #[inline]
    pub fn push_le(&mut self, id: LeafId, bytes: &[u8]) {
        self.leaves[id.0].values.extend_from_slice(bytes);
    }

    /// Appends room for `n_bytes` of fixed-width values and returns it zeroed, to be filled in place.
    #[inline]
    pub fn push_zeroed(&mut self, id: LeafId, n_bytes: usize) -> &mut [u8] {
        let values = &mut self.leaves[id.0].values;
        let start = values.len();
        values.resize(start + n_bytes, 0);
        &mut values.as_slice_mut()[start..]
    }

    /// Appends one bool.
    #[inline]
    pub fn push_bool(&mut self, id: LeafId, value: bool) {
        self.leaves[id.0].values.push(u8::from(value));
    }

    /// Appends one value of a text or bytes column. Text must be UTF-8.
    #[inline]
    pub fn push_bytes(&mut self, id: LeafId, value: &[u8]) {
        let leaf = &mut self.leaves[id.0];
        leaf.values.extend_from_slice(value);
        leaf.end_value();
    }

    /// Appends `n` items of a list as its length.
    #[inline]
    pub fn push_len(&mut self, id: ListId, n: usize) {
        let list = &mut self.lists[id.0];
        let last = list.offsets.last().copied().unwrap_or(0);
        list.offsets.push(last + offset(n));
        if let Some(valid) = &mut list.valid {
            valid.append_non_null();
        }
    }

    /// Appends an absent list; its columns get no items.
    ///
    /// # Panics
    /// When the list was not declared nullable.
    pub fn push_null_list(&mut self, id: ListId) {
        let list = &mut self.lists[id.0];
        let last = list.offsets.last().copied().unwrap_or(0);
        list.offsets.push(last);
        list.valid.as_mut().expect("only nullable lists may be null").append_null();
    }

    /// Marks the item just pushed to a nullable column as present. Not needed for other columns.
    #[inline]
    pub fn push_valid(&mut self, id: LeafId) {
        if let Some(valid) = &mut self.leaves[id.0].valid {
            valid.append_non_null();
        }
    }

    /// As [`Self::push_valid`] for `n` items.
    #[inline]
    pub fn push_valid_n(&mut self, id: LeafId, n: usize) {
        if let Some(valid) = &mut self.leaves[id.0].valid {
            valid.append_n_non_nulls(n);
        }
    }

    /// Appends an absent item: zeroed values and a cleared validity bit.
    ///
    /// # Panics
    /// When the feature was not declared nullable.
    pub fn push_null(&mut self, id: LeafId) {
        let layout = &self.layout.leaves[id.0];
        let leaf = &mut self.leaves[id.0];
        for _ in 0..layout.values_per_item {
            match layout.feature.storage_dtype() {
                DType::Bool => leaf.values.push(0u8),
                DType::String | DType::Bytes => leaf.end_value(),
                other => {
                    let width = other.byte_width().unwrap_or(0);
                    leaf.values.resize(leaf.values.len() + width, 0);
                }
            }
        }
        leaf.valid.as_mut().expect("only nullable features may be null").append_null();
    }

    /// The bytes of the last value of a text or bytes column in the row under construction.
    pub fn last_bytes(&self, id: LeafId) -> &[u8] {
        let leaf = &self.leaves[id.0];
        let start = leaf.offsets.len().checked_sub(2).map_or(0, |it| leaf.offsets[it]);
        &leaf.values.as_slice()[start as usize..]
    }

    /// The last fixed-width value pushed to a column, little endian; empty when there is none.
    pub fn last_le(&self, id: LeafId) -> &[u8] {
        let width = self.layout.leaves[id.0].feature.dtype.byte_width().unwrap_or(1);
        let values = self.leaves[id.0].values.as_slice();
        &values[values.len().saturating_sub(width)..]
    }

    /// Rewrites the last value of a bytes column in place: `edit` may change the bytes and returns how
    /// many of them stay, counted from the front.
    ///
    /// # Panics
    /// When `edit` returns more than it was given.
    pub fn edit_last_bytes(&mut self, id: LeafId, edit: impl FnOnce(&mut [u8]) -> usize) {
        let leaf = &mut self.leaves[id.0];
        let start = leaf.offsets.len().checked_sub(2).map_or(0, |it| leaf.offsets[it]) as usize;
        let value = &mut leaf.values.as_slice_mut()[start..];
        let n_before = value.len();
        let n_kept = edit(value);
        assert!(n_kept <= n_before, "an edit may only shorten a value");
        leaf.values.truncate(start + n_kept);
        if let Some(last) = leaf.offsets.last_mut() {
            *last = offset(start + n_kept);
        }
    }

    /// Completes the row.
    #[inline]
    pub fn end_row(&mut self) {
        self.n_rows += 1;
    }

    /// Takes back whatever was pushed since the last complete row.
    pub fn abort_row(&mut self) {
        let layout = Arc::clone(&self.layout);
        // Lists come after the list they lie in, so counts flow from the row downwards.
        let mut n_items = vec![0usize; self.lists.len()];
        for (idx, list) in layout.lists.iter().enumerate() {
            let above = list.parent.map_or(self.n_rows, |it| n_items[it.0]);
            let n_lists = above * list.per_item;
            let built = &mut self.lists[idx];
            built.offsets.truncate(n_lists + 1);
            if let Some(valid) = &mut built.valid {
                valid.truncate(n_lists);
            }
            n_items[idx] = built.offsets.last().copied().unwrap_or(0) as usize;
        }
        for (leaf, built) in layout.leaves.iter().zip(&mut self.leaves) {
            let n_items = match innermost(&leaf.levels).0 {
                Some(list) => n_items[list.0],
                None => self.n_rows,
            };
            let n_values = n_items * leaf.values_per_item;
            let n_bytes = match leaf.feature.storage_dtype() {
                DType::Bool => n_values,
                DType::String | DType::Bytes => {
                    built.offsets.truncate(n_values + 1);
                    built.offsets.last().copied().unwrap_or(0) as usize
                }
                other => n_values * other.byte_width().unwrap_or(0),
            };
            built.values.truncate(n_bytes);
            if let Some(valid) = &mut built.valid {
                valid.truncate(n_items);
            }
        }
    }

    /// Hands out the complete rows as arrays in column order, and starts again with none.
    ///
    /// # Panics
    /// When a column or list did not get what the rows need: a mistake of the calling decoder.
    pub fn finish(&mut self) -> Vec<ArrayRef> {
        let layout = Arc::clone(&self.layout);
        let lists: Vec<(Buffer, Option<NullBuffer>, usize)> = layout
            .lists
            .iter()
            .zip(&mut self.lists)
            .map(|(list, built)| {
                let fresh = List::new(list);
                let mut done = std::mem::replace(built, fresh);
                let n_lists = done.offsets.len() - 1;
                (Buffer::from_vec(done.offsets), done.valid.as_mut().and_then(|it| it.finish()), n_lists)
            })
            .collect();
        let n_rows = std::mem::take(&mut self.n_rows);
        layout
            .leaves
            .iter()
            .zip(&mut self.leaves)
            .map(|(leaf, built)| {
                let done = std::mem::replace(built, Leaf::empty(leaf));
                leaf.room.note(done.values.len(), done.offsets.len());
                let array = assemble(leaf, done, &lists);
                assert_eq!(array.len(), n_rows, "column {} is ragged", leaf.feature.name);
                array
            })
            .collect()
    }
}

impl Leaf {
    /// No values, with room for as many as the last batch had.
    fn new(layout: &LeafLayout) -> Self {
        let mut leaf = Self::empty(layout);
        leaf.values = MutableBuffer::new(layout.room.n_bytes.load(Ordering::Relaxed));
        leaf.offsets.reserve(layout.room.n_offsets.load(Ordering::Relaxed));
        leaf
    }

    fn empty(layout: &LeafLayout) -> Self {
        let has_offsets = matches!(layout.feature.storage_dtype(), DType::String | DType::Bytes);
        Self {
            values: MutableBuffer::new(0),
            offsets: if has_offsets { vec![0] } else { Vec::new() },
            valid: layout.feature.nullable.then(|| NullBufferBuilder::new(0)),
        }
    }

    #[inline]
    fn end_value(&mut self) {
        self.offsets.push(offset(self.values.len()));
    }
}

impl List {
    fn new(layout: &ListLayout) -> Self {
        Self { offsets: vec![0], valid: layout.nullable.then(|| NullBufferBuilder::new(0)) }
    }
}

impl Feature {
    /// The type of the values as they lie in the column: media are bytes whatever they decode to.
    fn storage_dtype(&self) -> DType {
        match self.storage {
            Storage::Plain => self.dtype,
            Storage::EncodedMedia | Storage::RawMedia => DType::Bytes,
        }
    }
}

/// Arrow offsets are 32 bit; a batch is cut long before it holds 2 GiB.
#[inline]
fn offset(n: usize) -> i32 {
    i32::try_from(n).expect("a batch stays below 2 GiB")
}

/// Builds the array of one column from the values upwards.
fn assemble(layout: &LeafLayout, leaf: Leaf, lists: &[(Buffer, Option<NullBuffer>, usize)]) -> ArrayRef {
    let dtype = layout.feature.storage_dtype();
    let Leaf { values, offsets, mut valid } = leaf;
    let mut nulls = valid.as_mut().and_then(|it| it.finish());
    let (n_values, buffers) = match dtype {
        DType::String | DType::Bytes => {
            let n_values = offsets.len() - 1;
            (n_values, vec![Buffer::from_vec(offsets), values.into()])
        }
        DType::Bool => {
            let bytes = values.as_slice();
            let bits = MutableBuffer::collect_bool(bytes.len(), |idx| bytes[idx] != 0);
            (bytes.len(), vec![bits.into()])
        }
        other => (values.len() / other.byte_width().unwrap_or(1), vec![values.into()]),
    };
    // Nulls sit on the items of the innermost list (or on rows), above any fixed levels below it.
    let n_inner_fixed = layout.levels.iter().rev().take_while(|it| matches!(it, Level::Fixed(_))).count();
    let value_nulls = if n_inner_fixed == 0 { nulls.take() } else { None };
    let mut data = build(dtype.arrow(), n_values, value_nulls, buffers, Vec::new());
    for (idx, level) in layout.levels.iter().enumerate().rev() {
        let is_innermost_list = layout.levels[idx + 1..].iter().all(|it| matches!(it, Level::Fixed(_)))
            && matches!(level, Level::List(_));
        // A list inside a list may be absent as a whole, see `Feature::arrow_type`.
        let holds_lists = matches!(layout.levels.get(idx + 1), Some(Level::List(_)));
        let item_nullable = layout.feature.nullable && (is_innermost_list || holds_lists);
        let item = Arc::new(Field::new(LIST_ITEM, data.data_type().clone(), item_nullable));
        data = match level {
            Level::Fixed(n) => {
                let outermost_fixed = layout.levels.len() - n_inner_fixed == idx;
                let level_nulls = if outermost_fixed { nulls.take() } else { None };
                let n_lists = level_nulls
                    .as_ref()
                    .map_or_else(|| data.len().checked_div(*n as usize).unwrap_or(0), NullBuffer::len);
                let size = i32::try_from(*n).expect("fixed sizes are checked by the schema compiler");
                build(DataType::FixedSizeList(item, size), n_lists, level_nulls, Vec::new(), vec![data])
            }
            Level::List(id) => {
                let (offsets, level_nulls, n_lists) = &lists[id.0];
                build(DataType::List(item), *n_lists, level_nulls.clone(), vec![offsets.clone()], vec![data])
            }
        };
    }
    let array = make_array(data);
    match layout.feature.storage {
        Storage::Plain | Storage::RawMedia => array,
        Storage::EncodedMedia => {
            let n_rows = array.len();
            let nulls = array.nulls().cloned();
            let path = new_null_array(&DataType::Utf8, n_rows);
            Arc::new(StructArray::new(media_fields(), vec![array, path], nulls))
        }
    }
}

fn build(
    data_type: DataType,
    len: usize,
    nulls: Option<NullBuffer>,
    buffers: Vec<Buffer>,
    children: Vec<ArrayData>,
) -> ArrayData {
    let mut builder = ArrayData::builder(data_type).len(len).nulls(nulls);
    for buffer in buffers {
        builder = builder.add_buffer(buffer);
    }
    for child in children {
        builder = builder.add_child_data(child);
    }
    // Checks offsets against their children and text against UTF-8: a decoder that pushed the wrong
    // number of values stops here, before its rows can reach a file.
    builder.build().expect("columns hold what their layout says")
}

#[cfg(test)]
mod tests;
