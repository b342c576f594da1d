//! Records in chunks whose op is damaged, where no index tells that they are missing.

use std::collections::BTreeMap;

use nodedata_core::Error;
use nodedata_log::Cost;

use super::super::record::{Stray, corrupt_at};

/// Connections that are told apart, over all chunks: who flips the ops of a whole bag cannot make its plan as large as the bag.
const NAMED_MAX: usize = 1 << 16;

/// The strays of all chunks, by the start of the chunk.
#[derive(Debug, Default)]
pub(super) struct Strays {
    of_chunks: BTreeMap<u64, StraysOfChunk>,
    /// Connections that are told apart in them.
    n_named: usize,
}

/// How many records of a chunk are strays, and whose messages they were.
#[derive(Debug)]
pub(super) struct StraysOfChunk {
    n: u64,
    /// Messages by connection.
    messages: BTreeMap<u32, u64>,
    /// Connections that may be in it.
    n_named_max: usize,
    /// Whether some are not in it: nothing says what they were, or there are too many connections.
    has_others: bool,
}

impl Strays {
    /// Of one more chunk, none yet.
    pub(super) fn of_chunk(&self) -> StraysOfChunk {
        let n_named_max = NAMED_MAX.saturating_sub(self.n_named);
        StraysOfChunk { n: 0, messages: BTreeMap::new(), n_named_max, has_others: false }
    }

    pub(super) fn add(&mut self, chunk: u64, strays: StraysOfChunk) {
        if strays.n != 0 {
            self.n_named += strays.messages.len();
            self.of_chunks.insert(chunk, strays);
        }
    }

    /// How many there are in a chunk.
    pub(super) fn n_in(&self, chunk: u64) -> u64 {
        self.of_chunks.get(&chunk).map_or(0, |it| it.n)
    }

    /// Forgets those of a chunk, where something else tells that they are missing.
    pub(super) fn forget(&mut self, chunk: u64) {
        if let Some(strays) = self.of_chunks.remove(&chunk) {
            self.n_named -= strays.messages.len();
        }
    }

    /// What they cost, chunk by chunk.
    pub(super) fn into_damage(self) -> impl Iterator<Item = (Error, Cost)> {
        self.of_chunks.into_iter().map(|(chunk, strays)| strays.into_damage(chunk))
    }
}

impl StraysOfChunk {
    pub(super) fn add(&mut self, stray: Stray) {
        self.n += 1;
        match stray {
            Stray::Message(conn)
                if self.messages.len() < self.n_named_max || self.messages.contains_key(&conn) =>
            {
                *self.messages.entry(conn).or_default() += 1;
            }
            Stray::Message(_) | Stray::Unknown => self.has_others = true,
        }
    }

    fn into_damage(self, chunk: u64) -> (Error, Cost) {
        let Self { n, messages: records, has_others: uncounted, .. } = self;
        let message =
            format!("{n} records in the chunk have an op that none in a chunk may have: that is damaged");
        (corrupt_at(chunk, message), Cost { records, uncounted, ..Cost::nothing("damaged_record") })
    }
}
