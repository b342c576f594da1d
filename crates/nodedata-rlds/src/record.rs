use std::collections::BTreeMap;

use nodedata_core::{EpisodeFacts, Fact, Result};

use crate::{
    counts::Counted,
    example::Values,
    facts::fact,
    features::Leaf,
    keys::{Keys, Parts},
};

/// A record whose keys are those that the features say, and whose values agree on the number of steps.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) n_steps: u64,
    /// Bytes that its values have in memory, about.
    pub(crate) decoded_bytes: u64,
    /// By leaf.
    pub(crate) held: Vec<Held>,
    pub(crate) facts: EpisodeFacts,
}

impl Record {
    /// The values of a leaf, by its position.
    pub(crate) fn values(&self, leaf: usize) -> &Values {
        &self.held[leaf].parts.values
    }
}

/// What a record holds of a leaf.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    pub(crate) parts: Parts,
    /// How long the one dimension is that only the number of values tells.
    pub(crate) open: usize,
}

impl Keys {
    /// Binds a record to the leaves.
    ///
    /// # Errors
    /// `Corrupt` when it is no `Example`, or holds other values than the features say.
    pub(crate) fn bind(&self, bytes: &[u8]) -> Result<Record> {
        let parts = self.parts(bytes)?;
        let counted = self.leaves.iter().zip(&parts).map(|(leaf, parts)| match leaf.unsupported {
            Some(_) => Ok(Counted::default()),
            None => leaf.counted(bytes, parts),
        });
        let counted = counted.collect::<Result<Vec<Counted>>>()?;
        let n_steps = self.n_steps(&counted)?;
        let mut held = Vec::with_capacity(parts.len());
        let mut decoded_bytes = 0u64;
        for ((leaf, parts), counted) in self.leaves.iter().zip(parts).zip(&counted) {
            let n_outer = if leaf.is_step { Some(n_steps) } else { counted.n_outer };
            let open = leaf.open(&parts, counted, n_outer)?;
            if leaf.is_step && leaf.unsupported.is_none() {
                decoded_bytes = decoded_bytes.saturating_add(leaf.decoded_bytes(bytes, &parts, counted)?);
            }
            held.push(Held { parts, open });
        }
        let facts = EpisodeFacts { task: None, metadata: self.facts(bytes, &held, &counted)? };
        Ok(Record { n_steps, decoded_bytes, held, facts })
    }

    /// The number of steps, on which all leaves that have values for each must agree.
    fn n_steps(&self, counted: &[Counted]) -> Result<u64> {
        let mut first: Option<(u64, &Leaf)> = None;
        let mut absent = None;
        let steps = self.leaves.iter().zip(counted).filter(|it| it.0.is_step && it.0.unsupported.is_none());
        for (leaf, counted) in steps {
            if counted.is_empty {
                absent = absent.or(Some(leaf));
                continue;
            }
            let Some(n_steps) = counted.n_outer else { continue };
            match first {
                None => first = Some((n_steps, leaf)),
                Some((expected, other)) if expected != n_steps => {
                    let (key, other) = (&leaf.key, &other.key);
                    let message = format!(
                        "there are values for {n_steps} steps under `{key}`, but for {expected} under `{other}`"
                    );
                    return Err(leaf.wrong(message));
                }
                Some(_) => {}
            }
        }
        match (first, absent) {
            (Some((n_steps @ 1.., other)), Some(leaf)) => {
                let (key, other) = (&leaf.key, &other.key);
                let message =
                    format!("there are no values under `{key}`, but for {n_steps} steps under `{other}`");
                Err(leaf.wrong(message))
            }
            (first, _) => Ok(first.map_or(0, |it| it.0)),
        }
    }

    /// What the record says of the episode as a whole. A feature without a value says nothing.
    fn facts(&self, bytes: &[u8], held: &[Held], counted: &[Counted]) -> Result<BTreeMap<String, Fact>> {
        let mut facts = BTreeMap::new();
        for ((leaf, held), counted) in self.leaves.iter().zip(held).zip(counted) {
            if leaf.unsupported.is_some() || leaf.is_step || !counted.is_there {
                continue;
            }
            if leaf.is_attached(&held.parts, counted) {
                continue;
            }
            let fact = fact(leaf, held, counted, bytes).map_err(|err| err.at(leaf.place()))?;
            facts.insert(leaf.feature.name.clone(), fact);
        }
        Ok(facts)
    }
}
