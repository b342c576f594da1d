use std::collections::{BTreeMap, HashMap};

use nodedata_core::{DType, EpisodeFacts, Error, ErrorKind, Fact, Locus, Result};

use crate::{
    example::{Values, entries},
    features::Leaf,
};

/// The leaves of a dataset, and where to find them in a record.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) leaves: Vec<Leaf>,
    by_key: HashMap<Vec<u8>, usize>,
}

/// A record whose keys are those that the features say, and whose values agree on the number of steps.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) n_steps: u64,
    /// By leaf.
    pub(crate) values: Vec<Values>,
    pub(crate) facts: EpisodeFacts,
}

impl Record {
    /// The values of a leaf, by its position.
    pub(crate) fn values(&self, leaf: usize) -> &Values {
        &self.values[leaf]
    }
}

impl Keys {
    pub(crate) fn new(leaves: Vec<Leaf>) -> Self {
        let supported = leaves.iter().enumerate().filter(|it| it.1.unsupported.is_none());
        let by_key = supported.map(|(idx, leaf)| (leaf.key.clone().into_bytes(), idx)).collect();
        Self { leaves, by_key }
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
        match self.by_key.get(key) {
            Some(leaf) => Ok(Some(*leaf)),
            None if self.is_unsupported(key) => Ok(None),
            None => Err(undeclared(key)),
        }
    }

    /// Binds a record to the leaves.
    ///
    /// # Errors
    /// `Corrupt` when it is no `Example`, or holds other values than the features say.
    pub(crate) fn bind(&self, bytes: &[u8]) -> Result<Record> {
        let mut values = vec![Values::default(); self.leaves.len()];
        entries(bytes, |key, found| {
            // Of a key that comes twice the last is meant, as in every map on the wire.
            if let Some(leaf) = self.leaf_of(key)? {
                values[leaf] = found;
            }
            Ok(())
        })?;
        let n_steps = self.n_steps(bytes, &values)?;
        let facts = EpisodeFacts { task: None, metadata: self.facts(bytes, &values)? };
        Ok(Record { n_steps, values, facts })
    }

    /// Whether a key belongs to a feature that was left out because it is not supported: it, or a part of it.
    fn is_unsupported(&self, key: &[u8]) -> bool {
        let mut unsupported = self.leaves.iter().filter(|it| it.unsupported.is_some());
        unsupported.any(|it| {
            let rest = key.strip_prefix(it.key.as_bytes());
            rest.is_some_and(|it| it.is_empty() || it.starts_with(b"/"))
        })
    }

    /// The number of steps, on which all leaves that have values for each must agree.
    fn n_steps(&self, bytes: &[u8], values: &[Values]) -> Result<u64> {
        let mut first: Option<(u64, &Leaf)> = None;
        for (leaf, values) in self.leaves.iter().zip(values).filter(|it| it.0.is_step) {
            if leaf.unsupported.is_some() {
                continue;
            }
            let n = leaf.count(bytes, values)?;
            if !n.is_multiple_of(leaf.n_values) {
                let message = format!("{n} values make no whole steps of {}", leaf.n_values);
                return Err(leaf.wrong(message));
            }
            let n_steps = n / leaf.n_values;
            match first {
                None => first = Some((n_steps, leaf)),
                Some((expected, other)) if expected != n_steps => {
                    let message = format!(
                        "there are values for {n_steps} steps, but `{}` has {expected}",
                        other.feature.name
                    );
                    return Err(leaf.wrong(message));
                }
                Some(_) => {}
            }
        }
        Ok(first.map_or(0, |it| it.0))
    }

    /// What the record says of the episode as a whole. A feature without a value says nothing.
    fn facts(&self, bytes: &[u8], values: &[Values]) -> Result<BTreeMap<String, Fact>> {
        let mut facts = BTreeMap::new();
        for (leaf, values) in self.leaves.iter().zip(values).filter(|it| !it.0.is_step) {
            if leaf.unsupported.is_some() {
                continue;
            }
            match leaf.count(bytes, values)? {
                0 => {}
                1 => {
                    let fact = leaf.fact(bytes, values).map_err(|err| err.at(leaf.place()))?;
                    facts.insert(leaf.feature.name.clone(), fact);
                }
                n => return Err(leaf.wrong(format!("{n} values where one is expected"))),
            }
        }
        Ok(facts)
    }
}

impl Leaf {
    fn place(&self) -> Locus {
        Locus::feature(&self.feature.name)
    }

    fn wrong(&self, message: String) -> Error {
        Error::new(ErrorKind::Corrupt, message).at(self.place())
    }

    /// How many values there are, which must be of the leaf's kind.
    fn count(&self, bytes: &[u8], values: &Values) -> Result<u64> {
        let n = values.count(bytes).map_err(|err| err.at(self.place()))?;
        let (expected, found) = (self.list_kind(), values.kind());
        match found {
            Some(found) if found != expected && n > 0 => {
                Err(self.wrong(format!("the values are {}, expected {}", found.name(), expected.name())))
            }
            _ => Ok(n),
        }
    }

    fn fact(&self, bytes: &[u8], values: &Values) -> Result<Fact> {
        let mut cursor = values.cursor();
        Ok(match self.feature.dtype {
            DType::Float16 | DType::Float32 | DType::Float64 => {
                let mut value = [0; 4];
                cursor.floats(bytes, &mut value)?;
                Fact::Float(f32::from_le_bytes(value).into())
            }
            DType::String | DType::Bytes => Fact::Text(text(cursor.bytes(bytes)?)?.to_owned()),
            DType::Bool => match cursor.int(bytes)? {
                it @ (0 | 1) => Fact::Bool(it == 1),
                other => return Err(out_of_range(other, DType::Bool)),
            },
            // What lies above the largest signed number is stored as a negative one.
            DType::UInt64 => match cursor.int(bytes)? {
                it @ 0.. => Fact::Int(it),
                it => Fact::Text(it.cast_unsigned().to_string()),
            },
            DType::Int8
            | DType::Int16
            | DType::Int32
            | DType::Int64
            | DType::UInt8
            | DType::UInt16
            | DType::UInt32 => Fact::Int(cursor.int(bytes)?),
        })
    }
}

/// Bytes that must be text.
pub(crate) fn text(bytes: &[u8]) -> Result<&str> {
    str::from_utf8(bytes)
        .map_err(|err| Error::new(ErrorKind::Corrupt, "the text is not UTF-8").with_source(err))
}

/// A number that is stored in 64 bits and is not one of its type.
pub(crate) fn out_of_range(value: i64, dtype: DType) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{value} is no {dtype}"))
}

fn undeclared(key: &[u8]) -> Error {
    let name = String::from_utf8_lossy(&key[..key.len().min(200)]).into_owned();
    let message = format!("the record has a key `{name}` that is none of the features");
    let hint = "describe it in `features.json`, or `--on-error salvage` leaves out such episodes, lists them, and \
                exits with 3";
    Error::new(ErrorKind::Corrupt, message).with_hint(hint)
}
