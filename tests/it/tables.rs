use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use arrow_array::{Array as _, RecordBatch, cast::AsArray as _, types::Int64Type};
use arrow_select::concat::concat_batches;
use base64::Engine as _;
use bytes::Bytes;
use nodedata_testkit::truth::{TopicTruth, sha256};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

/// A converted dataset, read without our own reader.
pub(crate) struct Dataset {
    pub(crate) root: PathBuf,
    pub(crate) manifest: Value,
}

impl Dataset {
    pub(crate) fn open(root: PathBuf) -> Self {
        let manifest = serde_json::from_slice(&std::fs::read(root.join("manifest.json")).unwrap()).unwrap();
        Self { root, manifest }
    }

    /// Rows of every stream, its shards one after the other.
    pub(crate) fn tables(&self) -> BTreeMap<String, RecordBatch> {
        let mut parts: BTreeMap<String, Vec<RecordBatch>> = BTreeMap::new();
        for shard in self.manifest["shards"].as_array().unwrap() {
            let rows = self.table(shard["path"].as_str().unwrap());
            assert_eq!(shard["rows"], rows.num_rows(), "{}", shard["path"]);
            parts.entry(shard["stream"].as_str().unwrap().to_owned()).or_default().push(rows);
        }
        let join = |parts: Vec<RecordBatch>| concat_batches(&parts[0].schema(), &parts).unwrap();
        parts.into_iter().map(|(name, parts)| (name, join(parts))).collect()
    }

    /// One Parquet file of the dataset.
    pub(crate) fn table(&self, path: &str) -> RecordBatch {
        let bytes = Bytes::from(std::fs::read(self.root.join(path)).unwrap());
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        let schema = reader.schema().clone();
        let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
        concat_batches(&schema, &batches).unwrap()
    }

    pub(crate) fn streams(&self) -> &[Value] {
        self.manifest["streams"].as_array().unwrap()
    }

    /// Name of the stream that a channel's messages went to.
    pub(crate) fn stream_of(&self, truth: &TopicTruth) -> String {
        let fits = |it: &&Value| {
            let facts = &it["metadata"];
            facts["topic"] == truth.topic
                && facts["message_encoding"] == truth.message_encoding
                && facts["schema_name"].as_str() == truth.schema_name.as_deref()
                && facts["schema_encoding"].as_str() == truth.schema_encoding.as_deref()
                && definition(facts).map(|it| sha256(&it)) == truth.schema_sha256
        };
        let found: Vec<&Value> = self.streams().iter().filter(fits).collect();
        assert_eq!(found.len(), 1, "streams of {}#{}: {found:?}", truth.topic, truth.channel_id);
        found[0]["name"].as_str().unwrap().to_owned()
    }

    /// Every file below the root, by relative name.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut pending = vec![self.root.clone()];
        while let Some(folder) = pending.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    pending.push(path);
                } else {
                    let name = path.strip_prefix(&self.root).unwrap().display().to_string();
                    files.insert(name, std::fs::read(path).unwrap());
                }
            }
        }
        files
    }
}

/// The bytes of a stream's definition.
pub(crate) fn definition(facts: &Value) -> Option<Vec<u8>> {
    let text = facts["schema"].as_str()?;
    match text.strip_prefix("base64:") {
        Some(encoded) => Some(base64::engine::general_purpose::STANDARD.decode(encoded).unwrap()),
        None => Some(text.as_bytes().to_vec()),
    }
}

pub(crate) fn int64(rows: &RecordBatch, column: &str) -> Vec<i64> {
    rows.column_by_name(column).unwrap().as_primitive::<Int64Type>().values().to_vec()
}

pub(crate) fn texts(rows: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let column = rows.column_by_name(column).unwrap().as_string::<i32>();
    column.iter().map(|it| it.map(str::to_owned)).collect()
}

/// The values of a column of bytes.
pub(crate) fn payloads(rows: &RecordBatch) -> Vec<&[u8]> {
    let column = rows.column_by_name("data").unwrap().as_binary::<i32>();
    (0..column.len()).map(|idx| column.value(idx)).collect()
}

/// What a table has beside the clock, of which bags have less than MCAP.
pub(crate) fn beside_the_clock(rows: &RecordBatch) -> RecordBatch {
    let schema = rows.schema();
    let of_message = |it: &usize| {
        !matches!(schema.field(*it).name().as_str(), "publish_time_ns" | "sequence" | "episode_index")
    };
    let wanted: Vec<usize> = (0..schema.fields().len()).filter(of_message).collect();
    rows.project(&wanted).unwrap()
}

/// Two folders of one dataset, as a set of names that differ.
pub(crate) fn differing(one: &Path, two: &Path) -> Vec<String> {
    let files = |root: &Path| Dataset::open(root.to_owned()).files();
    let (one, two) = (files(one), files(two));
    let names = one.keys().chain(two.keys());
    let mut differing: Vec<String> = names.filter(|it| one.get(*it) != two.get(*it)).cloned().collect();
    differing.sort_unstable();
    differing.dedup();
    differing
}
