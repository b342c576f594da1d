use std::{path::Path, sync::Arc};

use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};

/// A shard of steps with `action` (7 numbers) and `task`.
#[derive(Debug, Clone, Copy)]
pub struct ShardSpec {
    /// Value of `episode_index` of the first episode.
    pub first_episode: i64,
    /// Episodes.
    pub n_episodes: i64,
    /// Steps of each.
    pub n_steps: usize,
    /// Decides the values.
    pub seed: u64,
}

/// The bytes of a shard; the same specification gives the same bytes.
///
/// # Panics
/// Never for a specification that fits memory.
pub fn shard_bytes(spec: &ShardSpec) -> Vec<u8> {
    let ShardSpec { first_episode, n_episodes, n_steps, seed } = *spec;
    let n_rows = n_steps * usize::try_from(n_episodes).expect("a count");
    let episodes = (0..n_rows).map(|row| first_episode + (row / n_steps.max(1)) as i64);
    let value = |idx: u64| {
        let mixed = (idx ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed >> 40) as f32) / (1u32 << 24) as f32 * 2.0 - 1.0
    };
    let values = Float32Array::from_iter_values((0..n_rows as u64 * 7).map(value));
    let item = Arc::new(Field::new("element", DataType::Float32, false));
    let action = FixedSizeListArray::new(Arc::clone(&item), 7, Arc::new(values), None);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("episode_index", Arc::new(Int64Array::from_iter_values(episodes))),
        ("action", Arc::new(action)),
        ("task", Arc::new(StringArray::from_iter_values((0..n_rows).map(|_| "pick")))),
    ];
    let fields: Vec<Field> =
        columns.iter().map(|(name, it)| Field::new(*name, it.data_type().clone(), false)).collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.into_iter().map(|(_, it)| it).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).expect("columns of one length");
    let properties = WriterProperties::builder().set_created_by("testkit".to_owned()).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).expect("a schema of Parquet");
    writer.write(&batch).expect("rows");
    writer.into_inner().expect("a footer")
}

/// Writes a shard to a file, making its folder.
///
/// # Panics
/// When it cannot be written.
pub fn write_shard(path: &Path, spec: &ShardSpec) {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).expect("a folder");
    }
    std::fs::write(path, shard_bytes(spec)).expect("a file");
}
