use std::{collections::BTreeSet, sync::Arc};

use nodedata_core::{Layout, OpenOptions};

use crate::{
    columns::{Column, layout},
    container::RecordFiles,
    decode::Target,
    features::{Leaf, PerStep},
    keys::Keys,
    semantics::Semantics,
};

/// What it takes to read the records of a dataset.
pub(crate) struct Reading {
    pub(crate) files: Arc<RecordFiles>,
    pub(crate) keys: Keys,
    pub(crate) semantics: Semantics,
    pub(crate) columns: Vec<Column>,
    pub(crate) layout: Arc<Layout>,
    /// By column of the layout.
    pub(crate) targets: Vec<Target>,
    /// Bytes that a tensor may have once it is inflated: as many as a record.
    pub(crate) tensor_bytes_max: u64,
    /// The leaves that a piece of a record has: those that rows are made of, and one to count them by.
    pub(crate) keys_of_rows: Keys,
    /// The leaves that tell of an episode.
    pub(crate) keys_of_episode: Keys,
    /// The leaves that a piece of a record has.
    read: BTreeSet<usize>,
}

impl Reading {
    pub(crate) fn new(
        files: Arc<RecordFiles>,
        leaves: Vec<Leaf>,
        columns: Vec<Column>,
        options: &OpenOptions,
    ) -> Self {
        let (layout, targets) = layout(&columns, &leaves);
        let mut read: BTreeSet<usize> = targets.iter().map(|it| it.leaf).collect();
        let semantics = Semantics::of(&leaves);
        // Which tells how many steps there are, where none of those that are read does.
        let counters = leaves.iter().enumerate().filter(|(_, it)| {
            let always = || matches!(it.per_step(it.key.as_bytes()), PerStep::Always(_));
            it.is_step && it.unsupported.is_none() && always()
        });
        let counter = counters.min_by_key(|it| !it.1.is_scalar()).map(|it| it.0);
        read.extend(counter);
        let keys = Keys::new(leaves);
        Self {
            files,
            keys_of_rows: keys.only(|idx, _| read.contains(&idx)),
            keys_of_episode: keys.only(|idx, leaf| !leaf.is_step || semantics.wants(idx)),
            keys,
            semantics,
            columns,
            layout,
            targets,
            tensor_bytes_max: options.record_bytes_max,
            read,
        }
    }

    /// Whether a piece of a record has a leaf.
    pub(crate) fn is_read(&self, leaf: usize) -> bool {
        self.read.contains(&leaf)
    }
}
