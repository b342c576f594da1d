//! Datasets that are made by hand, so that every byte of them is known.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, FixedSizeListArray, Float16Array, Float32Array, Float64Array,
    Int64Array, ListArray, RecordBatch, StringArray, StructArray, UInt8Array, UInt32Array, new_null_array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Schema as ArrowSchema};
use bytes::Bytes;
use nodedata_arrow::Ranges;
use nodedata_core::{
    DType, DatasetFacts, Dim, EPISODE_INDEX, Feature, Files as _, STEPS, StreamKind, TIMESTAMP_NS,
};
use nodedata_dataset::{
    EpisodePlace, EpisodeRow, FileEntry, FoundPages, IndexTotals, Manifest, PageTable, ShardEntry,
    SplitEntry, StreamEntry, StreamLedger, episode_table, page_table, pages_of, sample_index,
};
use nodedata_io::MemoryFiles;
use nodedata_registry::B3;
use nodedata_schema::{FieldSchema, Mode, Schema, TimeSchema};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ArrowReaderOptions},
    file::{
        metadata::PageIndexPolicy,
        properties::{WriterProperties, WriterPropertiesBuilder},
    },
};

/// A shard to write.
pub(crate) struct Shard {
    pub(crate) split: &'static str,
    pub(crate) rows: RecordBatch,
    pub(crate) properties: WriterProperties,
}

/// An episode: its key, its split, and where its rows lie (shard, first row, rows).
pub(crate) struct Episode {
    pub(crate) key: &'static str,
    pub(crate) split: &'static str,
    pub(crate) parts: Vec<(usize, u64, u64)>,
}

/// A dataset to write.
pub(crate) struct Made {
    pub(crate) features: Vec<Feature>,
    /// What the schema says otherwise than the features.
    pub(crate) told: Vec<(&'static str, FieldSchema)>,
    pub(crate) shards: Vec<Shard>,
    pub(crate) episodes: Vec<Episode>,
    /// Further index tables.
    pub(crate) tables: Vec<(&'static str, Vec<u8>)>,
}

impl Made {
    /// Writes it into a folder.
    pub(crate) fn write(&self, root: &Path) {
        let put = |path: &str, bytes: &[u8]| {
            let at = root.join(path);
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            std::fs::write(at, bytes).unwrap();
            FileEntry {
                path: path.to_owned(),
                b3: B3::of(bytes).hex(),
                sha256: None,
                bytes: bytes.len() as u64,
            }
        };
        let metadata = BTreeMap::new();
        let rows = self.episode_rows(&metadata);
        let (mut shards, mut pages) = (Vec::new(), Vec::new());
        for (idx, shard) in self.shards.iter().enumerate() {
            let (bytes, found) = written(shard);
            let file = put(&format!("data/{}-{idx:05}.parquet", shard.split), &bytes);
            pages.push(found);
            shards.push(self.shard_entry(idx, shard, file));
        }
        let mut index = BTreeMap::new();
        let mut add = |name: &str, bytes: &[u8]| {
            index.insert(name.to_owned(), put(&format!("index/{name}.parquet"), bytes));
        };
        add("episodes", &episode_table(&rows).unwrap());
        add("pages", &page_table(pages.iter()).unwrap());
        self.tables.iter().for_each(|(name, bytes)| add(name, bytes));
        let n_rows = shards.iter().map(|it| it.rows).sum();
        let totals = IndexTotals {
            episodes: self.episodes.len() as u64,
            rows: n_rows,
            shards: shards.len() as u64,
            row_groups: shards.iter().map(|it| it.row_groups).sum(),
        };
        let head = sample_index(totals, &rows, &index).unwrap();
        index.insert("sample_index".to_owned(), put("sample_index.json", head.as_bytes()));
        let none = B3::of(b"").to_string();
        let manifest = Manifest {
            nd: "manifest/1".to_owned(),
            created_by: [("tool".to_owned(), "test".to_owned())].into(),
            recipe: none.clone(),
            recipe_file: None,
            content_root: none.clone(),
            provenance_root: none,
            source: DatasetFacts::default(),
            inputs: Vec::new(),
            splits: self.splits(),
            streams: vec![StreamEntry {
                told_kind: Some(StreamKind::Steps),
                name: STEPS.to_owned(),
                folder: "data".to_owned(),
                rows: n_rows,
                metadata: BTreeMap::new(),
            }],
            shards,
            schema: put("schema.json", self.schema().to_json().as_bytes()),
            stats: put("stats.json", br#"{"nd":"stats/1"}"#),
            index,
            provenance: put("provenance.jsonl", b"{}\n"),
            readme: put("README.md", b"# Made by hand\n"),
            attachments: Vec::new(),
            ledger: [(
                STEPS.to_owned(),
                StreamLedger { read: n_rows, written: n_rows, ..Default::default() },
            )]
            .into(),
            n_damage: 0,
        };
        put("manifest.json", serde_json::to_string(&manifest).unwrap().as_bytes());
    }

    fn episode_rows<'a>(
        &'a self,
        metadata: &'a BTreeMap<Arc<str>, nodedata_core::Fact>,
    ) -> Vec<EpisodeRow<'a>> {
        let all = (0u64..).zip(&self.episodes);
        all.flat_map(|(episode, it)| {
            it.parts.iter().map(move |(shard, row, n_rows)| EpisodeRow {
                episode,
                key: it.key,
                split: it.split,
                place: Some(EpisodePlace {
                    stream: STEPS,
                    shard: *shard,
                    row: *row,
                    n_rows: *n_rows,
                    row_group: 0,
                    n_row_groups: 1,
                    start_time_ns: Some(1000 * *row as i64),
                    end_time_ns: Some(1000 * (row + n_rows) as i64),
                }),
                task: Some("stack the blocks"),
                source: "made".into(),
                content: Some(B3::of(it.key.as_bytes()).0),
                metadata,
            })
        })
        .collect()
    }

    fn shard_entry(&self, idx: usize, shard: &Shard, file: FileEntry) -> ShardEntry {
        let held = (0u64..).zip(&self.episodes).filter(|(_, it)| it.parts.iter().any(|it| it.0 == idx));
        let held: Vec<u64> = held.map(|(it, _)| it).collect();
        ShardEntry {
            path: file.path,
            stream: STEPS.to_owned(),
            split: shard.split.to_owned(),
            content: B3::of(file.b3.as_bytes()).to_string(),
            provenance: B3::of(b"made").to_string(),
            b3: file.b3,
            sha256: None,
            bytes: file.bytes,
            rows: shard.rows.num_rows() as u64,
            row_groups: 1,
            episodes: (*held.iter().min().unwrap(), *held.iter().max().unwrap()),
        }
    }

    fn splits(&self) -> BTreeMap<String, SplitEntry> {
        let mut splits = BTreeMap::<String, SplitEntry>::new();
        for shard in &self.shards {
            let split = splits.entry(shard.split.to_owned()).or_default();
            split.shards += 1;
            split.rows += shard.rows.num_rows() as u64;
        }
        for episode in &self.episodes {
            splits.entry(episode.split.to_owned()).or_default().episodes += 1;
        }
        splits
    }

    fn schema(&self) -> Schema {
        let mut schema = Schema { mode: Some(Mode::Inferred), ..Schema::default() };
        for shard in &self.shards {
            if !schema.splits.contains(&shard.split.to_owned()) {
                schema.splits.push(shard.split.to_owned());
            }
        }
        for feature in self.features.iter().filter(|it| !StreamKind::Steps.has_built_in(&it.name)) {
            schema.fields.insert(feature.name.as_str(), FieldSchema::from_feature(feature));
        }
        for (name, told) in &self.told {
            schema.fields.insert(*name, told.clone());
        }
        // Times of their own tell the pace where there are any.
        let fps = self.features.iter().all(|it| it.name != TIMESTAMP_NS).then_some(20.0);
        schema.time = Some(TimeSchema { fps, ..TimeSchema::default() });
        schema
    }
}

/// The bytes of a shard, and where its pages lie.
fn written(shard: &Shard) -> (Vec<u8>, PageTable) {
    let properties = Some(shard.properties.clone());
    let mut writer = ArrowWriter::try_new(Vec::new(), shard.rows.schema(), properties).unwrap();
    writer.write(&shard.rows).unwrap();
    let bytes = writer.into_inner().unwrap();
    let files = MemoryFiles::default().with("a", Bytes::from(bytes.clone()));
    let file = Ranges(files.open(Path::new("a")).unwrap());
    let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
    let footer = nodedata_arrow::footer(&file, options).unwrap();
    let FoundPages { pages, .. } = pages_of(footer.metadata(), Some(&file));
    (bytes, pages)
}

/// Small pages, so that there are many of them.
pub(crate) fn pages_of_rows(n: usize) -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_write_batch_size(n)
        .set_data_page_row_count_limit(n)
        .set_max_row_group_row_count(Some(50))
}

/// The features of [`rows`].
pub(crate) fn features() -> Vec<Feature> {
    let new = |name: &str, dtype, shape: &[Dim]| Feature::new(name, dtype, shape.to_vec());
    let variable = Dim::Variable;
    vec![
        new(EPISODE_INDEX, DType::Int64, &[]),
        new("step_index", DType::Int64, &[]),
        new("state", DType::Float32, &[Dim::Fixed(3)]),
        new("matrix", DType::UInt8, &[Dim::Fixed(2), Dim::Fixed(2)]).nullable(),
        new("reward", DType::Float64, &[]).nullable(),
        new("points", DType::Float32, &[variable, Dim::Fixed(2)]).nullable(),
        new("learned", DType::Float32, &[variable]),
        new("grip", DType::Float16, &[]),
        new("is_open", DType::Bool, &[]),
        new("count", DType::UInt32, &[]),
        new("task", DType::String, &[]).nullable(),
        new("words", DType::String, &[variable]).nullable(),
        new("deep", DType::Int64, &[variable, variable]),
        new("blob", DType::Bytes, &[]).nullable(),
    ]
}

/// Rows that follow from their numbers.
pub(crate) fn rows(of_episode: &[(i64, std::ops::Range<u64>)]) -> RecordBatch {
    let all: Vec<(i64, u64)> =
        of_episode.iter().flat_map(|(episode, steps)| steps.clone().map(|step| (*episode, step))).collect();
    let n = || all.iter().map(|(episode, step)| number(*episode, *step));
    let features = features();
    let of = |name: &str| features.iter().find(|it| it.name == name).unwrap().arrow_type();
    let state = n().flat_map(|n| [n as f32, n as f32 + 0.25, n as f32 + 0.5]);
    let matrix = n().flat_map(|n| (0..4).map(move |it| (n + it) as u8));
    let points = n().flat_map(|n| (0..2 * n_points(n)).map(move |it| (n * 10 + it) as f32));
    let words = n().flat_map(|n| (0..n % 3).map(move |it| format!("w{n}.{it}")));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(all.iter().map(|it| it.0))),
        Arc::new(Int64Array::from_iter_values(all.iter().map(|it| it.1 as i64))),
        fixed(&of("state"), Arc::new(Float32Array::from_iter_values(state)), None),
        fixed(
            &of("matrix"),
            fixed(&inner(&of("matrix")), Arc::new(UInt8Array::from_iter_values(matrix)), None),
            Some(n().map(|n| n % 4 != 2).collect()),
        ),
        Arc::new(n().map(reward).collect::<Float64Array>()),
        list(
            &of("points"),
            n().map(|n| n_points(n) as usize),
            fixed(&inner(&of("points")), Arc::new(Float32Array::from_iter_values(points)), None),
            Some(n().map(|n| n % 7 != 3).collect()),
        ),
        list(
            &of("learned"),
            n().map(|_| 2),
            Arc::new(Float32Array::from_iter_values(n().flat_map(|n| [n as f32, -(n as f32)]))),
            None,
        ),
        Arc::new(Float16Array::from_iter_values(n().map(|n| half::f16::from_f64(n as f64 / 4.0)))),
        Arc::new(n().map(|n| Some(n.is_multiple_of(3))).collect::<BooleanArray>()),
        Arc::new(UInt32Array::from_iter_values(n().map(|n| u32::MAX - n as u32))),
        Arc::new(n().map(task).collect::<StringArray>()),
        list(
            &of("words"),
            n().map(|n| (n % 3) as usize),
            Arc::new(StringArray::from_iter_values(words)),
            Some(n().map(|n| n % 5 != 4).collect()),
        ),
        list(
            &of("deep"),
            n().map(|n| (n % 3) as usize),
            list(
                &inner(&of("deep")),
                n().flat_map(|n| (0..n % 3).map(|it| it as usize)),
                Arc::new(Int64Array::from_iter_values(n().flat_map(deep_values))),
                None,
            ),
            None,
        ),
        Arc::new(n().map(blob).collect::<BinaryArray>()),
    ];
    batch(&features, columns)
}

/// A number that no other step has.
pub(crate) fn number(episode: i64, step: u64) -> u64 {
    episode as u64 * 100 + step
}

pub(crate) fn n_points(n: u64) -> u64 {
    if n % 7 == 3 { 0 } else { n % 4 }
}

pub(crate) fn reward(n: u64) -> Option<f64> {
    (!n.is_multiple_of(5)).then_some(n as f64 / 2.0)
}

pub(crate) fn task(n: u64) -> Option<String> {
    (n % 6 != 1).then(|| format!("task {}", n % 4))
}

pub(crate) fn blob(n: u64) -> Option<Vec<u8>> {
    (n % 9 != 5).then(|| vec![n as u8; (n % 11) as usize])
}

/// The values of the inner lists: of the second, as many as it is long.
fn deep_values(n: u64) -> Vec<i64> {
    (0..n % 3).flat_map(|list| (0..list).map(move |it| (n * 10 + it) as i64)).collect()
}

pub(crate) fn batch(features: &[Feature], columns: Vec<ArrayRef>) -> RecordBatch {
    let schema = ArrowSchema::new(features.iter().map(Feature::arrow_field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

/// What a list is of.
pub(crate) fn inner(list: &DataType) -> DataType {
    match list {
        DataType::FixedSizeList(item, _) | DataType::List(item) => item.data_type().clone(),
        other => panic!("{other} is no list"),
    }
}

pub(crate) fn fixed(list: &DataType, values: ArrayRef, valid: Option<Vec<bool>>) -> ArrayRef {
    let DataType::FixedSizeList(item, n) = list else { panic!("{list} has no fixed size") };
    Arc::new(FixedSizeListArray::new(Arc::clone(item), *n, values, valid.map(NullBuffer::from)))
}

pub(crate) fn list(
    list: &DataType,
    lengths: impl Iterator<Item = usize>,
    values: ArrayRef,
    valid: Option<Vec<bool>>,
) -> ArrayRef {
    let DataType::List(item) = list else { panic!("{list} is no list") };
    let offsets = OffsetBuffer::from_lengths(lengths);
    Arc::new(ListArray::new(Arc::clone(item), offsets, values, valid.map(NullBuffer::from)))
}

/// A column of coded media.
pub(crate) fn media(feature: &Feature, values: Vec<Option<Vec<u8>>>) -> ArrayRef {
    let mut data_type = feature.arrow_type();
    while let DataType::FixedSizeList(..) | DataType::List(_) = data_type {
        data_type = inner(&data_type);
    }
    let DataType::Struct(fields) = data_type else { panic!("no media") };
    let bytes = BinaryArray::from_iter(values);
    let path = new_null_array(&DataType::Utf8, bytes.len());
    let nulls = bytes.nulls().cloned();
    Arc::new(StructArray::new(fields, vec![Arc::new(bytes), path], nulls))
}

/// Two shards of `train`, of which the second episode lies in both, and one of `val`.
pub(crate) fn three_shards(properties: impl Fn() -> WriterPropertiesBuilder) -> Made {
    let shard = |split, of: &[(i64, std::ops::Range<u64>)]| Shard {
        split,
        rows: rows(of),
        properties: properties().build(),
    };
    let episode = |key, split, parts: &[(usize, u64, u64)]| Episode { key, split, parts: parts.to_vec() };
    Made {
        features: features(),
        told: vec![("learned", FieldSchema::new(DType::Float32, vec![Dim::Fixed(2)]))],
        shards: vec![
            shard("train", &[(0, 0..70), (1, 0..40)]),
            shard("train", &[(1, 40..65), (2, 0..12)]),
            shard("val", &[(3, 0..30)]),
        ],
        episodes: vec![
            episode("a", "train", &[(0, 0, 70)]),
            episode("b", "train", &[(0, 70, 40), (1, 0, 25)]),
            episode("c", "train", &[(1, 25, 12)]),
            episode("d", "val", &[(2, 0, 30)]),
        ],
        tables: Vec::new(),
    }
}
