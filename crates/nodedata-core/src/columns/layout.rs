use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Dim, Feature};

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
    pub(super) leaves: Vec<LeafLayout>,
    /// The list each list lies in (`None`: it lies in the row), and how many fixed items are between.
    pub(super) lists: Vec<ListLayout>,
    /// The first column of those that a row may be without altogether.
    pub(super) absent_from: Option<usize>,
}

#[derive(Debug, Clone)]
pub(super) struct LeafLayout {
    pub(super) feature: Feature,
    pub(super) levels: Vec<Level>,
    /// Values per item of the innermost list (or per row): the product of the fixed levels below it.
    pub(super) values_per_item: usize,
    pub(super) room: Room,
}

/// Bytes and values the last batch of a column took. The next one starts with room for as many: growing by
/// doubling would copy every value twice and touch fresh memory for it. Has no effect on what is built.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) n_bytes: AtomicUsize,
    pub(super) n_offsets: AtomicUsize,
}

impl Clone for Room {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Room {
    pub(super) fn note(&self, n_bytes: usize, n_offsets: usize) {
        // A little more, so that batches of nearly equal size do not grow at their end.
        self.n_bytes.store(n_bytes + n_bytes / 16, Ordering::Relaxed);
        self.n_offsets.store(n_offsets + n_offsets / 16, Ordering::Relaxed);
    }
}

#[derive(Debug, Clone)]
pub(super) struct ListLayout {
    pub(super) parent: Option<ListId>,
    /// Lists per item of the parent (or per row).
    pub(super) per_item: usize,
    pub(super) nullable: bool,
}

impl Layout {
    /// Adds a variable list. `parent` is the path of levels above it, outermost first; `nullable`
    /// says whether the list itself may be absent.
    pub fn list(&mut self, parent: &[Level], nullable: bool) -> ListId {
        let (parent, per_item) = innermost(parent);
        self.lists.push(ListLayout { parent, per_item, nullable });
        ListId(self.lists.len() - 1)
    }

    /// Adds a column named and typed by `feature`, whose [`Feature::dims`] must describe `levels`.
    ///
    /// # Panics
    /// When the dimensions and the levels differ in number: a mistake of the calling compiler.
    pub fn leaf(&mut self, feature: Feature, levels: &[Level]) -> LeafId {
        assert!(
            feature.dims().len() == levels.len(),
            "feature {} has dimensions {:?} but {} levels",
            feature.name,
            feature.dims(),
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

    /// Lets a row be without all of its columns from `first` on ([`super::Columns::push_absent_but`]), so that each of
    /// them may be null. Whoever fills them need not know: what is pushed without a word on whether it is there counts as
    /// there once the row ends.
    pub fn allow_absent_from(&mut self, first: LeafId) {
        self.absent_from = Some(first.0);
        self.leaves[first.0..].iter_mut().for_each(|it| it.feature.nullable = true);
        self.lists.iter_mut().for_each(|it| it.nullable = true);
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
pub(super) fn innermost(levels: &[Level]) -> (Option<ListId>, usize) {
    let mut per_item = 1;
    for level in levels.iter().rev() {
        match level {
            Level::Fixed(n) => per_item *= *n as usize,
            Level::List(id) => return (Some(*id), per_item),
        }
    }
    (None, per_item)
}
