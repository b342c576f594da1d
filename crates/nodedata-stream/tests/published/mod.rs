//! A dataset that was published: pictures, numbers, lists and text whose values are their own places.

use std::{fs, path::Path, sync::Arc};

use arrow_array::{
    ArrayRef, BinaryArray, FixedSizeListArray, Float32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray, types::Int32Type,
};
use arrow_schema::{DataType, Field, Schema as ArrowSchema};
use nodedata_core::{DType, Feature, Silent, Storage, meta};
use nodedata_media::{Decoded, encode_png};
use nodedata_reader::{CacheOptions, Data, OpenOptions, Reader, Split};
use nodedata_registry::{
    Direct, HashCache, OpenStore, PushOptions, Reference, Remote, Store, StoreLocation, push,
};
use nodedata_schema::Schema;
use nodedata_stream::Sample;
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use tempfile::TempDir;

/// Steps of the episodes of each shard.
pub(crate) const SHARDS: [&[u64]; 3] = [&[5, 30], &[17, 1], &[40]];
/// Height and width of pictures.
const SIZE: [usize; 2] = [6, 8];

/// The dataset, in a registry.
pub(crate) struct Published {
    pub(crate) folder: TempDir,
    pub(crate) remote: Arc<dyn Remote>,
}

impl Published {
    /// In a folder of this machine, whose files are mapped.
    pub(crate) fn near() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = StoreLocation::Folder(folder.path().join("store"));
        let store = Store::open(&location, &OpenStore { journal: None, create: true }).unwrap();
        Self::of(folder, &store)
    }

    /// Where it has to be fetched.
    pub(crate) fn far() -> Self {
        Self::of(tempfile::tempdir().unwrap(), &Store::memory())
    }

    fn of(folder: TempDir, store: &Store) -> Self {
        let shards = folder.path().join("shards");
        fs::create_dir(&shards).unwrap();
        let mut first_episode = 0;
        for (idx, lengths) in SHARDS.iter().enumerate() {
            write_shard(&shards.join(format!("train-{idx}.parquet")), first_episode, lengths);
            first_episode += lengths.len() as u64;
        }
        let schema = r#"{"splits": ["train"], "fields": {
            "rgb": {"type": "uint8", "shape": [-1, 6, 8, 3], "encoding": "png"},
            "action": {"type": "float32", "shape": [-1, 3]},
            "points": {"type": "int32", "shape": [-1, -1]},
            "task": {"type": "string", "shape": [-1]}
        }}"#;
        let remote = Direct::new(store.clone()).shared();
        let options = PushOptions {
            schema: Some(Schema::from_json(schema).unwrap()),
            cache: HashCache::none(),
            ..PushOptions::new("acme/places".parse().unwrap(), vec![shards], "test")
        };
        push(&remote, &options, &Silent).unwrap();
        Self { folder, remote }
    }

    /// Its only split; nothing of it is kept on the disk.
    pub(crate) fn split(&self) -> Split {
        let options = OpenOptions { cache: CacheOptions::Off };
        let reference = Reference::parse("acme/places", "acme").unwrap();
        let reader = Reader::open(Arc::clone(&self.remote), &reference, &options);
        reader.unwrap().split("train", "steps").unwrap()
    }
}

/// All steps, by episode.
pub(crate) fn all_steps() -> Vec<(usize, u64)> {
    let lengths = SHARDS.concat();
    lengths
        .iter()
        .enumerate()
        .flat_map(|(episode, length)| (0..*length).map(move |it| (episode, it)))
        .collect()
}

/// Holds what a sample has against what it should: of each of the fields that are read, for the steps.
pub(crate) fn check(sample: &Sample, steps: &[u64]) {
    let episode = sample.episode as u64;
    for field in &sample.fields {
        assert_eq!((field.n_rows, field.column.valid.as_ref()), (steps.len(), None));
        match (&*field.column.name, &field.column.data) {
            ("rgb", Data::Tensor(tensor)) => {
                assert_eq!((tensor.dtype, tensor.shape.as_slice()), (DType::UInt8, &[6, 8, 3][..]));
                let expected: Vec<u8> = steps.iter().flat_map(|step| pixels(episode, *step)).collect();
                assert!(tensor.bytes == expected, "episode {episode}, steps {steps:?}");
            }
            ("action", Data::Tensor(tensor)) => {
                assert_eq!((tensor.dtype, tensor.shape.as_slice()), (DType::Float32, &[3][..]));
                let numbers = steps.iter().flat_map(|step| action(episode, *step));
                assert_eq!(tensor.bytes, numbers.flat_map(f32::to_le_bytes).collect::<Vec<u8>>());
            }
            ("points", Data::Ragged(ragged)) => {
                let rows = ragged.offsets.windows(2).map(|it| it[1] - it[0]);
                assert!(rows.eq(steps.iter().map(|step| step % 4)));
                let items = steps.iter().flat_map(|step| (0..step % 4).map(|it| it as i32));
                assert_eq!(ragged.values.bytes, items.flat_map(i32::to_le_bytes).collect::<Vec<u8>>());
            }
            ("task", Data::Text(texts)) => {
                let expected: Vec<String> =
                    steps.iter().map(|step| format!("task {episode} {step}")).collect();
                assert_eq!(*texts, expected);
            }
            (name, data) => panic!("`{name}` is {data:?}"),
        }
    }
}

fn pixels(episode: u64, step: u64) -> Vec<u8> {
    let n = SIZE[0] * SIZE[1] * 3;
    (0..n as u64).map(|it| (episode * 31 + step * 7 + it * it) as u8).collect()
}

fn action(episode: u64, step: u64) -> [f32; 3] {
    [episode as f32, step as f32, (episode * 1000 + step) as f32]
}

fn write_shard(path: &Path, first_episode: u64, lengths: &[u64]) {
    let places =
        lengths.iter().zip(first_episode..).flat_map(|(n, episode)| (0..*n).map(move |it| (episode, it)));
    let places: Vec<(u64, u64)> = places.collect();
    let pictures: Vec<Vec<u8>> = places.iter().map(|(episode, step)| picture(*episode, *step)).collect();
    let actions = places.iter().flat_map(|(episode, step)| action(*episode, *step));
    let item = Arc::new(Field::new("element", DataType::Float32, false));
    let actions = FixedSizeListArray::new(item, 3, Arc::new(Float32Array::from_iter_values(actions)), None);
    let points =
        places.iter().map(|(_, step)| Some((0..step % 4).map(|it| Some(it as i32)).collect::<Vec<_>>()));
    let rgb = Feature { storage: Storage::EncodedMedia, ..Feature::new("rgb", DType::UInt8, Vec::new()) };
    let rgb = rgb.with_meta(meta::ENCODING, "png").arrow_field();
    let DataType::Struct(parts) = rgb.data_type().clone() else { panic!("{rgb:?}") };
    let bytes = BinaryArray::from_iter_values(&pictures);
    let names = StringArray::new_null(places.len());
    let pictures = StructArray::new(parts, vec![Arc::new(bytes), Arc::new(names)], None);
    let texts = places.iter().map(|(episode, step)| format!("task {episode} {step}"));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("episode_index", Arc::new(Int64Array::from_iter_values(places.iter().map(|it| it.0 as i64)))),
        ("action", Arc::new(actions)),
        ("points", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(points))),
        ("task", Arc::new(StringArray::from_iter_values(texts))),
    ];
    let mut fields: Vec<Field> =
        columns.iter().map(|(name, it)| Field::new(*name, it.data_type().clone(), false)).collect();
    fields.push(rgb);
    let mut arrays: Vec<ArrayRef> = columns.into_iter().map(|(_, it)| it).collect();
    arrays.push(Arc::new(pictures));
    let schema = Arc::new(ArrowSchema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
    // Few rows a page, so that what is fetched for a step is not the whole column.
    let properties =
        WriterProperties::builder().set_data_page_row_count_limit(4).set_write_batch_size(4).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    fs::write(path, writer.into_inner().unwrap()).unwrap();
}

fn picture(episode: u64, step: u64) -> Vec<u8> {
    let (height, width) = (SIZE[0] as u32, SIZE[1] as u32);
    let pixels = pixels(episode, step);
    encode_png(&Decoded { height, width, channels: 3, dtype: DType::UInt8, pixels }).unwrap()
}
