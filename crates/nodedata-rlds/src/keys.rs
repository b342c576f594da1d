use std::collections::{HashMap, HashSet};

use nodedata_core::{Error, ErrorKind, Locus, Result, suggest};

use crate::{
    example::{Values, entries},
    features::{Coding, Leaf, PerStep},
};

/// The leaves of a dataset, and where to find them in a record.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) leaves: Vec<Leaf>,
    by_key: HashMap<Vec<u8>, Slot>,
    /// Keys of features that are left out because they cannot be read: theirs are these, and whatever is below them.
    unread: HashSet<Vec<u8>>,
}

/// What a key holds.
#[derive(Debug, Clone, Copy)]
struct Slot {
    leaf: usize,
    part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Values(Form),
    /// The lengths of the lists of a level.
    Lengths(usize),
    /// The shapes of items.
    Shape(Form),
    /// What the lengths of [`Self::Lengths`] say again, beside the shapes.
    ShapeLengths,
}

/// Which of its keys a leaf has its values under: the keys rule, whatever the features would have TFDS write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Form {
    /// Below `value`, beside `shape`.
    pub(crate) is_shaped: bool,
    /// In `ragged_flat_values`, beside the lengths of lists.
    pub(crate) is_ragged: bool,
}

/// What a record has of a leaf.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    pub(crate) form: Form,
    pub(crate) values: Values,
    /// By level; empty where the values are not ragged.
    pub(crate) lengths: Vec<Values>,
    pub(crate) shape: Values,
}

impl Keys {
    /// Binds leaves to their keys, of which a leaf has those that the features make it have, and those that records have
    /// been seen with all the same.
    pub(crate) fn new(leaves: Vec<Leaf>) -> Self {
        let mut by_key = HashMap::new();
        for (idx, leaf) in leaves.iter().enumerate().filter(|it| it.1.unsupported.is_none()) {
            let mut bind = |key: String, part| by_key.insert(key.into_bytes(), Slot { leaf: idx, part });
            for (key, is_shaped) in [(leaf.key.clone(), false)].into_iter().chain(leaf.shaped_key()) {
                bind(key.clone(), Part::Values(Form { is_shaped, is_ragged: false }));
                for level in 0..leaf.n_lengths() {
                    bind(format!("{key}/ragged_row_lengths_{level}"), Part::Lengths(level));
                    bind(
                        format!("{key}/ragged_flat_values"),
                        Part::Values(Form { is_shaped, is_ragged: true }),
                    );
                }
            }
            if leaf.shaped_key().is_some() {
                let key = format!("{}/shape", leaf.key);
                bind(key.clone(), Part::Shape(Form { is_shaped: true, is_ragged: false }));
                for level in 0..leaf.n_lengths() {
                    bind(format!("{key}/ragged_row_lengths_{level}"), Part::ShapeLengths);
                    bind(
                        format!("{key}/ragged_flat_values"),
                        Part::Shape(Form { is_shaped: true, is_ragged: true }),
                    );
                }
            }
        }
        let unread = leaves.iter().filter(|it| it.unsupported.is_some());
        let unread = unread.map(|it| it.key.clone().into_bytes()).collect();
        Self { leaves, by_key, unread }
    }

    /// These leaves under their positions, without those that are not wanted: a record that lacks them is whole all the same.
    pub(crate) fn only(&self, is_wanted: impl Fn(usize, &Leaf) -> bool) -> Self {
        let mut leaves = self.leaves.clone();
        for (idx, leaf) in leaves.iter_mut().enumerate() {
            if !is_wanted(idx, leaf) {
                leaf.unsupported.get_or_insert_with(|| "is not looked at".to_owned());
            }
        }
        Self::new(leaves)
    }

    /// The leaf that a key belongs to; `None` for one that is left out.
    ///
    /// # Errors
    /// `Corrupt` for a key that no feature has.
    pub(crate) fn leaf_of(&self, key: &[u8]) -> Result<Option<usize>> {
        self.slot_of(key).map(|it| it.map(|it| it.leaf))
    }

    fn slot_of(&self, key: &[u8]) -> Result<Option<Slot>> {
        match self.by_key.get(key) {
            Some(slot) => Ok(Some(*slot)),
            None if self.is_unread(key) => Ok(None),
            None => Err(self.undeclared(key)),
        }
    }

    /// What a record has of each leaf.
    ///
    /// # Errors
    /// `Corrupt` when it is no `Example`, has a key that no feature has, or two that exclude each other.
    pub(crate) fn parts(&self, bytes: &[u8]) -> Result<Vec<Parts>> {
        let mut found: Vec<Found> = self.leaves.iter().map(|_| Found::default()).collect();
        entries(bytes, |key, values| {
            // Of a key that comes twice the last is meant, as in every map on the wire.
            if let Some(slot) = self.slot_of(key)? {
                found[slot.leaf].take(slot.part, values);
            }
            Ok(())
        })?;
        let found = self.leaves.iter().zip(found);
        found.map(|(leaf, found)| found.parts(leaf)).collect()
    }

    /// Whether a key belongs to a feature that was left out because it cannot be read: it, or a part of it.
    fn is_unread(&self, key: &[u8]) -> bool {
        let ends = key.iter().enumerate().filter(|it| *it.1 == b'/').map(|it| it.0);
        !self.unread.is_empty() && ends.chain([key.len()]).any(|end| self.unread.contains(&key[..end]))
    }

    fn undeclared(&self, key: &[u8]) -> Error {
        let name = String::from_utf8_lossy(&key[..key.len().min(200)]).into_owned();
        let near = suggest(&name, self.leaves.iter().map(|it| it.key.as_str()));
        let message = format!("the record has a key `{name}` that is none of the features");
        let hint = format!(
            "describe it in `features.json` ({near}), or `--on-error salvage` leaves out such episodes, lists them, and \
             exits with 3"
        );
        Error::new(ErrorKind::Corrupt, message).with_hint(hint)
    }
}

impl Leaf {
    /// Levels whose lengths are stored where values are ragged: all below the steps, or below the outermost list.
    pub(crate) fn n_lengths(&self) -> usize {
        self.inner_levels().len()
    }

    /// Lists around an item that lie in a step, or in the outermost list of what is of the whole episode.
    pub(crate) fn inner_levels(&self) -> &[Option<u32>] {
        let outer = usize::from(!self.is_step);
        self.levels.get(outer..).unwrap_or_default()
    }

    /// How many values a step has under a key of it that is none of lists of several lengths.
    pub(crate) fn per_step(&self, key: &[u8]) -> PerStep {
        let part = key.strip_prefix(self.key.as_bytes()).unwrap_or_default();
        let n_open_lists = self.inner_levels().iter().filter(|it| it.is_none()).count();
        let n_lists: u64 = self.inner_levels().iter().flatten().map(|it| u64::from(*it)).product();
        let is_encoded = self.coding != Coding::Values;
        let (n_open, per_item) = match part {
            b"" if is_encoded => (0, 1),
            b"" => (self.n_open(), self.n_known()),
            b"/value" if is_encoded => (0, 1),
            b"/shape" => (0, self.shape.len() as u64),
            _ => return PerStep::Varies,
        };
        match n_open_lists + n_open {
            0 => PerStep::Always(n_lists.saturating_mul(per_item)),
            1 => PerStep::Even,
            _ => PerStep::Varies,
        }
    }

    /// The key of values whose shapes are stored beside them, which only values of several shapes have.
    fn shaped_key(&self) -> Option<(String, bool)> {
        let is_tensor = matches!(self.coding, Coding::Values | Coding::Raw | Coding::Zlib);
        (is_tensor && self.n_open() > 0).then(|| (format!("{}/value", self.key), true))
    }

    /// Its name, for errors.
    pub(crate) fn place(&self) -> Locus {
        Locus::feature(&self.feature.name)
    }

    /// What is wrong with its values.
    pub(crate) fn wrong(&self, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Corrupt, message).at(self.place())
    }
}

/// Values by the key they came under.
#[derive(Debug, Default)]
struct Found {
    values: [[Option<Values>; 2]; 2],
    shape: [Option<Values>; 2],
    lengths: Vec<Option<Values>>,
}

impl Found {
    fn take(&mut self, part: Part, values: Values) {
        // A key without a value is as good as none.
        let values = Some(values).filter(|it| it.kind().is_some());
        match part {
            Part::Values(form) => {
                self.values[usize::from(form.is_shaped)][usize::from(form.is_ragged)] = values;
            }
            Part::Shape(form) => self.shape[usize::from(form.is_ragged)] = values,
            Part::Lengths(level) => {
                self.lengths.resize(self.lengths.len().max(level + 1), None);
                self.lengths[level] = values;
            }
            Part::ShapeLengths => {}
        }
    }

    fn parts(self, leaf: &Leaf) -> Result<Parts> {
        let forms = [(false, false), (false, true), (true, false), (true, true)];
        let mut parts = Parts::default();
        let mut n_forms = 0;
        let Self { mut values, mut shape, lengths } = self;
        for (is_shaped, is_ragged) in forms {
            if let Some(values) = values[usize::from(is_shaped)][usize::from(is_ragged)].take() {
                parts.values = values;
                parts.form = Form { is_shaped, is_ragged };
                n_forms += 1;
            }
        }
        if n_forms > 1 {
            let message =
                format!("the record has its values under several keys that begin with `{}`", leaf.key);
            return Err(leaf.wrong(message));
        }
        if n_forms == 0 {
            // A list of no values may be missing altogether.
            parts.form.is_ragged = lengths.iter().any(Option::is_some);
            parts.form.is_shaped = shape.iter().any(Option::is_some);
        }
        if parts.form.is_shaped {
            let shape = shape[usize::from(parts.form.is_ragged)].take();
            parts.shape =
                shape.ok_or_else(|| leaf.wrong(format!("the record has no key `{}/shape`", leaf.key)))?;
        }
        if parts.form.is_ragged {
            let n_levels = leaf.n_lengths();
            let all: Option<Vec<Values>> = lengths.into_iter().collect();
            let missing = || {
                let key = &leaf.key;
                leaf.wrong(format!("the record has not the lengths of all {n_levels} levels of `{key}`"))
            };
            parts.lengths = all.filter(|it| it.len() == n_levels).ok_or_else(missing)?;
        }
        Ok(parts)
    }
}
