//! The logical content hash `nd-logical/1`: one BLAKE3 hash per (episode, feature) that says what the rows
//! hold, however they are encoded, batched or sharded. Dictionaries are decoded, `List` and `LargeList` are
//! the same, and what lies below a null does not count.
//!
//! # Bytes
//!
//! Numbers are unsigned 64 bit, little endian. The items of level 0 are the rows; the items of level `i+1`
//! are what the valid items of level `i` hold, along dimension `i` of the feature's shape; those of the last
//! level are the values. A feature of `n` dimensions has `n + 1` levels. Those of media are the lists around
//! each encoded value, and most have none: level 0 only. The hash is BLAKE3 in key-derivation mode with context
//! `nodedata logical v1` over
//!
//! 1. the length of the name in bytes, the name;
//! 2. the length of the type in bytes, the type: `bool i8 i16 i32 i64 u8 u16 u32 u64 f16 f32 f64 str bytes`
//!    and, unless a scalar, the shape at one step: `f32[7]`, `f64[?,3]`. Media are `bytes` as they are
//!    stored, whatever they decode to, and in lists `bytes[4]`, `bytes[?]`;
//! 3. for each level: how many items it has; how many of them are null; BLAKE3 of their positions among the
//!    items of the level;
//! 4. for each variable dimension: BLAKE3 of the lengths of the valid lists;
//! 5. how many values are valid; BLAKE3 of them: numbers little endian as they are (so each NaN and both
//!    zeros are themselves), bools as one byte, text and bytes as length and bytes.
//!
//! The hash of an episode in a stream is BLAKE3 in key-derivation mode with context
//! `nodedata logical v1 episode` over the number of features and, in byte order of their names, the length
//! of the name, the name and the feature's hash.

use arrow_array::Array;
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use blake3::Hasher;
use nodedata_core::{DType, Dim, Feature, Nested, NestedDim, NestedItems};

use crate::{
    repeats::PackedTexts,
    stats::leaf_values::{bools, for_each_bytes, number_bytes},
};

const FIELD_CONTEXT: &str = "nodedata logical v1";
const EPISODE_CONTEXT: &str = "nodedata logical v1 episode";

/// Small pieces are gathered up to this many bytes, because the hash is slow on short calls.
const STAGE_BYTES: usize = 64 << 10;

/// What repeats is gathered in copies of about this size.
const REPEAT_BYTES: usize = 4 << 10;

// Values are hashed as they lie in memory.
const _: () = assert!(cfg!(target_endian = "little"), "the logical hash needs a little-endian machine");

/// Hashes one feature of one episode, batch by batch.
#[derive(Debug, Clone)]
pub struct FieldHasher {
    name: String,
    dtype: DType,
    shape: Vec<Dim>,
    levels: Vec<LevelHash>,
    n_values: u64,
    values: Hasher,
    stage: Vec<u8>,
    /// Texts that may follow each other many times, as they are hashed.
    row: Vec<u8>,
    /// The type of a column that is not the feature's: a damaged file, whose hash must match nothing.
    stray: Option<DataType>,
}

#[derive(Debug, Clone, Default)]
struct LevelHash {
    n_items: u64,
    n_nulls: u64,
    /// Positions of nulls; made when the first is met, because most columns have none.
    nulls: Option<Box<Hasher>>,
    lengths: Option<Box<Hasher>>,
}

impl FieldHasher {
    /// No rows yet.
    pub fn new(feature: &Feature) -> Self {
        let (dtype, shape) = (feature.stored_dtype(), feature.dims().to_vec());
        let levels = vec![LevelHash::default(); shape.len() + 1];
        let name = feature.name.clone();
        let values = Hasher::new();
        Self {
            name,
            dtype,
            shape,
            levels,
            n_values: 0,
            values,
            stage: Vec::new(),
            row: Vec::new(),
            stray: None,
        }
    }

    /// Takes in the next rows. How they are cut into batches does not change the hash. A column that does
    /// not have the feature's type and rank makes it a hash that no rows of the feature have.
    pub fn update(&mut self, column: &dyn Array) {
        let nested = Nested::of(column);
        let found = DType::from_arrow(nested.values.data_type());
        if found != Some(self.dtype) || nested.dims.len() != self.shape.len() {
            self.stray = Some(column.data_type().clone());
            return;
        }
        for (idx, items) in nested.items.iter().enumerate() {
            let level = &mut self.levels[idx];
            level.nulls(items, &mut self.stage);
            if self.shape.get(idx) == Some(&Dim::Variable) {
                level.lengths(&nested.dims[idx], items, &mut self.stage);
            }
        }
        let valid = nested.items.last().and_then(|it| it.valid.as_ref());
        self.n_values += count(nested.values.len(), valid);
        let values = nested.values.as_ref();
        match self.dtype {
            DType::String | DType::Bytes => {
                let mut stage = Stage::new(&mut self.values, &mut self.stage);
                if let Some(texts) = PackedTexts::of(&nested) {
                    for (stretch, n_times) in texts.stretches() {
                        self.row.clear();
                        for text in stretch.map(|it| texts.text(it)) {
                            self.row.extend_from_slice(&length(text.len()));
                            self.row.extend_from_slice(text);
                        }
                        stage.repeat(&self.row, n_times);
                    }
                    return stage.flush();
                }
                for_each_bytes(values, |idx, value| {
                    if valid.is_none_or(|it| it.is_valid(idx)) {
                        stage.push(&length(value.len()));
                        stage.push(value);
                    }
                });
                stage.flush();
            }
            DType::Bool => update_valid(&mut self.values, &bools(values), 1, valid),
            dtype => {
                let width = dtype.byte_width().unwrap_or(1);
                update_valid(&mut self.values, &number_bytes(values, dtype), width, valid);
            }
        }
    }

    /// The hash of all rows.
    pub fn finish(self) -> [u8; 32] {
        let mut record = Hasher::new_derive_key(FIELD_CONTEXT);
        update_text(&mut record, &self.name);
        update_text(&mut record, &canonical_type(self.dtype, &self.shape));
        for level in &self.levels {
            record.update(&level.n_items.to_le_bytes());
            record.update(&level.n_nulls.to_le_bytes());
            record.update(&digest(level.nulls.as_deref()));
        }
        for (level, dim) in self.levels.iter().zip(&self.shape) {
            if *dim == Dim::Variable {
                record.update(&digest(level.lengths.as_deref()));
            }
        }
        record.update(&self.n_values.to_le_bytes());
        record.update(self.values.finalize().as_bytes());
        if let Some(stray) = &self.stray {
            update_text(&mut record, &stray.to_string());
        }
        *record.finalize().as_bytes()
    }
}

/// The hash of an episode in one stream, from the names and hashes of its features in any order.
pub fn episode_hash(fields: &[(&str, [u8; 32])]) -> [u8; 32] {
    let mut sorted: Vec<&(&str, [u8; 32])> = fields.iter().collect();
    sorted.sort_unstable();
    let mut record = Hasher::new_derive_key(EPISODE_CONTEXT);
    record.update(&(sorted.len() as u64).to_le_bytes());
    for (name, hash) in sorted {
        update_text(&mut record, name);
        record.update(hash);
    }
    *record.finalize().as_bytes()
}

/// The type as the hash spells it: `f32[7]`, `f64[?,3]`, `str`.
fn canonical_type(dtype: DType, shape: &[Dim]) -> String {
    let element = match dtype {
        DType::Bool => "bool",
        DType::Int8 => "i8",
        DType::Int16 => "i16",
        DType::Int32 => "i32",
        DType::Int64 => "i64",
        DType::UInt8 => "u8",
        DType::UInt16 => "u16",
        DType::UInt32 => "u32",
        DType::UInt64 => "u64",
        DType::Float16 => "f16",
        DType::Float32 => "f32",
        DType::Float64 => "f64",
        DType::String => "str",
        DType::Bytes => "bytes",
    };
    let dim = |it: &Dim| match it {
        Dim::Fixed(n) => n.to_string(),
        Dim::Variable => "?".to_owned(),
    };
    match shape {
        [] => element.to_owned(),
        shape => format!("{element}[{}]", shape.iter().map(dim).collect::<Vec<_>>().join(",")),
    }
}

impl LevelHash {
    fn nulls(&mut self, items: &NestedItems, stage: &mut Vec<u8>) {
        let first = self.n_items;
        self.n_items += count(items.n_items, items.reached.as_ref());
        let Some(valid) = &items.valid else { return };
        let hasher = self.nulls.get_or_insert_with(Box::default);
        let mut stage = Stage::new(hasher, stage);
        let mut position = first;
        for idx in 0..items.n_items {
            if !is_there(items.reached.as_ref(), idx) {
                continue;
            }
            if valid.is_null(idx) {
                self.n_nulls += 1;
                stage.push(&position.to_le_bytes());
            }
            position += 1;
        }
        stage.flush();
    }

    fn lengths(&mut self, dim: &NestedDim, items: &NestedItems, stage: &mut Vec<u8>) {
        let hasher = self.lengths.get_or_insert_with(Box::default);
        let mut stage = Stage::new(hasher, stage);
        let n_there = count(items.n_items, items.valid.as_ref()) as usize;
        match dim {
            NestedDim::Fixed(n) => stage.repeat(&length(*n), n_there),
            NestedDim::List(offsets) => {
                let mut idx = 0;
                while idx < items.n_items {
                    let n = offsets.range(idx).len();
                    let n_alike = offsets.n_lists_of_len(idx, n).max(1);
                    let alike = items.valid.as_ref().map(|it| it.slice(idx, n_alike));
                    stage.repeat(&length(n), count(n_alike, alike.as_ref()) as usize);
                    idx += n_alike;
                }
            }
        }
        stage.flush();
    }
}

/// The length of a list or a value as it is hashed.
fn length(n: usize) -> [u8; 8] {
    (n as u64).to_le_bytes()
}

/// Gathers short pieces on their way to a hasher.
struct Stage<'a> {
    hasher: &'a mut Hasher,
    bytes: &'a mut Vec<u8>,
    /// Bytes to gather: up to where a part of the hash's tree ends, because what is cut there is hashed in the
    /// widest lanes.
    n_bytes: usize,
}

impl<'a> Stage<'a> {
    fn new(hasher: &'a mut Hasher, bytes: &'a mut Vec<u8>) -> Self {
        let n_bytes = STAGE_BYTES - hasher.count() as usize % STAGE_BYTES;
        Self { hasher, bytes, n_bytes }
    }

    #[inline]
    fn push(&mut self, piece: &[u8]) {
        if self.bytes.len() + piece.len() < self.n_bytes {
            self.bytes.extend_from_slice(piece);
        } else {
            self.push_past_end(piece);
        }
    }

    #[cold]
    fn push_past_end(&mut self, mut piece: &[u8]) {
        while self.bytes.len() + piece.len() >= self.n_bytes {
            let (now, later) = piece.split_at(self.n_bytes - self.bytes.len());
            if self.bytes.is_empty() {
                self.hasher.update(now);
            } else {
                self.bytes.extend_from_slice(now);
                self.flush();
            }
            self.n_bytes = STAGE_BYTES;
            piece = later;
        }
        self.bytes.extend_from_slice(piece);
    }

    /// Takes a piece many times.
    fn repeat(&mut self, piece: &[u8], n_times: usize) {
        let n_copies = (REPEAT_BYTES / piece.len().max(1)).min(n_times / 2).max(1);
        if n_copies == 1 {
            return (0..n_times).for_each(|_| self.push(piece));
        }
        let copies = piece.repeat(n_copies);
        (0..n_times / n_copies).for_each(|_| self.push(&copies));
        self.push(&copies[..n_times % n_copies * piece.len()]);
    }

    fn flush(&mut self) {
        self.hasher.update(self.bytes);
        self.bytes.clear();
    }
}

/// Hashes the values that are there, in runs.
fn update_valid(hasher: &mut Hasher, bytes: &[u8], width: usize, valid: Option<&NullBuffer>) {
    match valid {
        None => {
            hasher.update(bytes);
        }
        Some(valid) => {
            for (start, end) in valid.valid_slices() {
                hasher.update(&bytes[start * width..end * width]);
            }
        }
    }
}

fn is_there(mask: Option<&NullBuffer>, idx: usize) -> bool {
    mask.is_none_or(|it| it.is_valid(idx))
}

fn count(n_items: usize, mask: Option<&NullBuffer>) -> u64 {
    (n_items - mask.map_or(0, NullBuffer::null_count)) as u64
}

fn update_text(hasher: &mut Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

fn digest(hasher: Option<&Hasher>) -> [u8; 32] {
    *hasher.map_or_else(|| blake3::hash(&[]), Hasher::finalize).as_bytes()
}

#[cfg(test)]
mod tests;
