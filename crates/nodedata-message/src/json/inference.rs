use std::fmt;

use nodedata_core::{Error, ErrorKind, Layout, Locus, Result};
use serde::{Deserialize, Serialize, de::DeserializeSeed as _};

use super::{
    decode::whole,
    json_type::{JsonKind, JsonType},
    non_finite::respelled,
    observed::{Limits, MEMBERS_MAX, Observed, Place},
    observer::Observer,
    plan::{LEAVES_MAX, Wire},
    skim::skim,
};
use crate::{MessageDecoder, cbor::CborReader};

/// The types of messages without a schema, from a full pass over all of them: no type depends on which
/// message came first, and none changes later. Parts of an input can be looked at alone and merged in their
/// order; what was seen can be stored in between.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonInference {
    wire: Wire,
    limits: Limits,
    root: Observed,
    n_messages: u64,
    /// Whether any message is not JSON (or CBOR), or names a key twice.
    is_broken: bool,
    /// Objects met, so that each can tell whether it has met a key before.
    n_objects: u64,
}

/// A value that no one type holds, so that it becomes JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonConflict {
    /// Its dotted keys; empty for the message itself.
    pub field: String,
    /// What it is, in words, and where it first was that.
    pub kinds: Vec<(&'static str, Place)>,
}

impl Default for JsonInference {
    /// For JSON messages. One with more than 512 keys is a map whose keys are data.
    fn default() -> Self {
        Self::new(Wire::Json, MEMBERS_MAX)
    }
}

impl JsonInference {
    /// For CBOR messages.
    pub fn cbor() -> Self {
        Self::new(Wire::Cbor, MEMBERS_MAX)
    }

    /// For JSON rows of a table: each may have as many keys as there may be columns.
    pub fn rows() -> Self {
        Self::new(Wire::Json, LEAVES_MAX)
    }

    fn new(wire: Wire, root_members_max: usize) -> Self {
        let (limits, root) = (Limits { root_members_max }, Observed::default());
        Self { wire, limits, root, n_messages: 0, is_broken: false, n_objects: 0 }
    }

    /// Takes one message into account. One that fails leaves traces: whoever means to go on without it shows the others
    /// to a new inference.
    ///
    /// # Errors
    /// `Corrupt`, at the byte of the message, when it is not JSON (or CBOR) or names a key twice.
    pub fn observe(&mut self, payload: &[u8], place: Place) -> Result<()> {
        if self.wire == Wire::Json && self.observe_like(payload, place) {
            return Ok(());
        }
        self.observe_unlike(payload, place)
    }

    /// As [`Self::observe`], of a message that [`Self::observe_like`] has not taken.
    ///
    /// # Errors
    /// As [`Self::observe`].
    pub fn observe_unlike(&mut self, payload: &[u8], place: Place) -> Result<()> {
        self.n_messages += 1;
        let (limits, n_objects) = (self.limits, &mut self.n_objects);
        let seed = Observer { observed: &mut self.root, n_objects, limits, place, depth: 0 };
        let outcome = match self.wire {
            Wire::Json => {
                let outcome = whole(seed, serde_json::Deserializer::from_slice(payload));
                outcome.map_err(|err| broken_json(payload, &err))
            }
            Wire::Cbor => {
                let mut reader = CborReader::new(payload);
                let outcome = seed.deserialize(&mut reader).and_then(|()| reader.end());
                outcome.map_err(|err| broken(err, reader.at()))
            }
        };
        self.is_broken |= outcome.is_err();
        outcome
    }

    /// Takes a JSON message into account that is like those before it, without parsing it. Tells whether it did: then it is JSON, and
    /// no whole number in it is beyond 64 bits. If not, what it left behind is of what it begins with, and it is
    /// for [`Self::observe_unlike`]; whoever leaves it out shows the others to a new inference.
    pub fn observe_like(&mut self, payload: &[u8], place: Place) -> bool {
        let Ok(text) = simdutf8::basic::from_utf8(payload) else { return false };
        let is_like = skim(text, &mut self.root, &mut self.n_objects, place);
        self.n_messages += u64::from(is_like);
        is_like
    }

    /// As [`Self::observe`], without a trace of a message that fails. One with numbers that are not finite does not.
    ///
    /// # Errors
    /// As [`Self::observe`].
    pub fn observe_whole(&mut self, payload: &[u8], place: Place) -> Result<()> {
        let mut alone = self.without_any();
        if let Err(err) = alone.observe(payload, place) {
            let respelled = if self.wire == Wire::Json { respelled(payload) } else { None };
            let Some(respelled) = respelled else { return Err(err) };
            alone = self.without_any();
            alone.observe(&respelled, place).map_err(|_| err)?;
        }
        self.merge(alone);
        Ok(())
    }

    /// One for the same kind of messages that has seen none.
    #[must_use]
    pub fn without_any(&self) -> Self {
        Self::new(self.wire, self.limits.root_members_max)
    }

    /// Whether no message was seen.
    pub fn is_empty(&self) -> bool {
        self.n_messages == 0
    }

    /// Whether a message was not readable, so that all of them stay bytes.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Takes in what was seen in messages that follow. Both must have been made for the same kind of messages.
    pub fn merge(&mut self, later: Self) {
        debug_assert_eq!((self.wire, self.limits), (later.wire, later.limits), "messages of two kinds");
        self.root.merge(later.root, self.limits, 0);
        self.n_messages += later.n_messages;
        self.is_broken |= later.is_broken;
        self.n_objects += later.n_objects;
    }

    /// The type that holds every message, and the values that no type holds.
    pub fn types(&self) -> (JsonType, Vec<JsonConflict>) {
        let mut conflicts = Vec::new();
        let types = self.root.describe(self.limits, &mut conflicts);
        let fits = types.n_leaves() <= LEAVES_MAX;
        (if fits { types } else { JsonKind::Json.into() }, conflicts)
    }

    /// Appends the columns to `layout`. Messages of which one could not be read, and no messages at all,
    /// become one column of undecoded bytes.
    ///
    /// # Errors
    /// None at present: what cannot become columns becomes JSON text.
    pub fn compile(&self, layout: &mut Layout) -> Result<MessageDecoder> {
        if self.is_broken || self.n_messages == 0 {
            return Ok(MessageDecoder::opaque(layout));
        }
        self.types().0.compile_as(self.wire, layout)
    }
}

/// What serde says of a payload, without the place, which is the error's own.
fn broken_json(payload: &[u8], err: &serde_json::Error) -> Error {
    let text = err.to_string();
    let message = text.split(" at line ").next().unwrap_or_default();
    // Lines and columns are counted from 1, and the column is that of the last byte that was read.
    let lines_before = err.line().saturating_sub(1);
    let n_before: usize =
        payload.split_inclusive(|it| *it == b'\n').take(lines_before).map(<[u8]>::len).sum();
    broken(message, n_before + err.column().saturating_sub(1))
}

fn broken(message: impl fmt::Display, at: usize) -> Error {
    Error::new(ErrorKind::Corrupt, message.to_string()).at(Locus::byte(at as u64))
}
