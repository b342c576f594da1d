//! Bytes that a registry hands out for an epoch, held against those that its samples are made of.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
    thread,
};

use arrow_array::{
    ArrayRef, BinaryArray, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StringArray,
    StructArray,
};
use arrow_schema::{DataType, Field, Schema as ArrowSchema};
use nodedata_core::{DType, Feature, Result, Silent, Storage, meta};
use nodedata_media::{Decoded, encode_png};
use nodedata_reader::{As, CacheOptions, Data, FieldsRequest, OpenOptions, Reader, Split, StepRange};
use nodedata_registry::{HashCache, PushOptions, Reference, Store, push, tree::GRAIN_BYTES};
use nodedata_schema::Schema;
use nodedata_stream::{EngineOptions, OrderOptions, Share, Shuffle, Stream, StreamOptions, StreamPlan, Tail};
use nodedata_testkit::registry::Far;
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use tempfile::TempDir;

/// Steps of the episodes of each shard. Each episode is a block of 4 MiB.
const SHARDS: [[u64; 2]; 2] = [[84, 86], [85, 85]];
const N_STEPS: usize = 340;
/// Height and width of pictures, of which no coder makes less.
const SIZE: u32 = 128;
/// More than a block, and less than all of them.
const SMALL: u64 = 6 << 20;

/// A dataset in a registry that is far away.
struct Published {
    folder: TempDir,
    remote: Arc<Far>,
    /// Coded pictures by episode and step.
    pictures: BTreeMap<(usize, u64), Vec<u8>>,
    /// Bytes of all pictures and numbers, in whole grains, which are verified as such. Footers are no part of them.
    needed: u64,
}

impl Published {
    /// With so many pictures a page.
    fn new(page_rows: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shards = folder.path().join("shards");
        fs::create_dir(&shards).unwrap();
        let mut pictures = BTreeMap::new();
        for (idx, lengths) in SHARDS.iter().enumerate() {
            let episodes = lengths.iter().zip(2 * idx..);
            let steps: Vec<(usize, u64)> =
                episodes.flat_map(|(n, episode)| (0..*n).map(move |step| (episode, step))).collect();
            let coded: Vec<Vec<u8>> = steps.iter().map(|it| picture(*it)).collect();
            write_shard(&shards.join(format!("train-{idx}.parquet")), &steps, &coded, page_rows);
            pictures.extend(steps.into_iter().zip(coded));
        }
        let schema = r#"{"splits": ["train"], "fields": {
            "rgb": {"type": "uint8", "shape": [-1, 128, 128, 3], "encoding": "png"},
            "action": {"type": "float32", "shape": [-1, 3]}
        }}"#;
        let remote = Far::over(Store::memory());
        let options = PushOptions {
            schema: Some(Schema::from_json(schema).unwrap()),
            cache: HashCache::none(),
            ..PushOptions::new("acme/large".parse().unwrap(), vec![shards], "test")
        };
        push(&remote.shared(), &options, &Silent).unwrap();
        let mut published = Self { folder, remote, pictures, needed: 0 };
        let split = published.split(&CacheOptions::Off);
        published.needed = split.needs(&all(&split), &split.fields(&fields()).unwrap()).unwrap().n_bytes();
        assert!((15 << 20..=split.shard_bytes()).contains(&published.needed));
        published
    }

    fn split(&self, cache: &CacheOptions) -> Split {
        let reference = Reference::parse("acme/large", "acme").unwrap();
        let reader = Reader::open(self.remote.shared(), &reference, &OpenOptions { cache: cache.clone() });
        reader.unwrap().split("train", "steps").unwrap()
    }

    /// A cache on the disk where nothing is yet.
    fn cache(&self, name: &str) -> CacheOptions {
        CacheOptions::At { folder: self.folder.path().join(name), max_bytes: 1 << 30 }
    }

    /// Plans a shuffled epoch of each rank, by a reader of its own. Shards are opened before, so that what is fetched from then on is
    /// what samples are made of.
    fn plans(&self, cache: &CacheOptions, world: u64, prefetch_bytes: u64) -> Vec<Arc<StreamPlan>> {
        self.remote.reset();
        let plan = |rank| {
            let split = self.split(cache);
            split.needs(&all(&split), &split.fields(&fields()).unwrap()).unwrap();
            let order = OrderOptions { shuffle: Shuffle::On, seed: 3, ..OrderOptions::default() };
            let options = StreamOptions { order, fields: fields(), ..StreamOptions::default() };
            let engine = EngineOptions { threads: Some(2), prefetch_bytes, ..EngineOptions::default() };
            let share = Share::new(rank, world, 1, Tail::Drop).unwrap();
            StreamPlan::new(vec![(split, options)], None, share, engine).unwrap()
        };
        let plans = (0..world).map(plan).collect();
        // The end of each shard, the tables, and 32 bytes a grain.
        let (n_bytes, tree_bytes) = (self.remote.n_bytes(), self.remote.tree_bytes());
        self.remote.reset();
        assert!(n_bytes <= world * (2 * 2 * GRAIN_BYTES + GRAIN_BYTES), "{n_bytes}");
        assert!(tree_bytes <= world * (self.needed / 4096), "{tree_bytes}");
        plans
    }

    /// Reads an epoch of all ranks at a time, and tells how often what is needed was fetched, by how many requests.
    fn epoch(&self, plans: &[Arc<StreamPlan>]) -> (f64, usize) {
        let found: Vec<(usize, u64)> = thread::scope(|scope| {
            let running: Vec<_> = plans.iter().map(|plan| scope.spawn(move || self.read(plan))).collect();
            running.into_iter().flat_map(|it| it.join().unwrap()).collect()
        });
        assert_eq!(found.len(), N_STEPS);
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>().len(), N_STEPS);
        let (n_bytes, n_requests) = (self.remote.n_bytes(), self.remote.n_ranges());
        self.remote.reset();
        (n_bytes as f64 / self.needed as f64, n_requests)
    }

    /// Reads the samples of a rank, which are what was written.
    fn read(&self, plan: &Arc<StreamPlan>) -> Vec<(usize, u64)> {
        let read = |sample: Result<nodedata_stream::Sample>| {
            let sample = sample.unwrap();
            let at = (sample.episode, sample.step.unwrap());
            let Data::Bytes(coded) = &sample.field("rgb").unwrap().column.data else { panic!("{at:?}") };
            assert!(coded[0] == self.pictures[&at], "{at:?}");
            let Data::Tensor(action) = &sample.field("action").unwrap().column.data else { panic!("{at:?}") };
            assert_eq!(action.bytes, numbers(at).map(f32::to_le_bytes).concat());
            at
        };
        Stream::new(Arc::clone(plan)).map(read).collect()
    }
}

/// All steps of a split.
fn all(split: &Split) -> Vec<StepRange> {
    let lengths = split.lengths().into_iter().enumerate();
    lengths.map(|(episode, length)| StepRange { episode, steps: 0..length }).collect()
}

/// Pictures as they are coded: what they decode to is no matter here.
fn fields() -> FieldsRequest {
    let fields = vec![("rgb".to_owned(), As::Bytes), ("action".to_owned(), As::Decoded)];
    FieldsRequest { fields: Some(fields), resize: Vec::new() }
}

fn numbers((episode, step): (usize, u64)) -> [f32; 3] {
    [episode as f32, step as f32, 0.5]
}

fn picture((episode, step): (usize, u64)) -> Vec<u8> {
    let mut state = (1000 * episode as u64 + step + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    });
    let pixels = noise.take((SIZE * SIZE * 3) as usize).collect();
    encode_png(&Decoded { height: SIZE, width: SIZE, channels: 3, dtype: DType::UInt8, pixels }).unwrap()
}

fn write_shard(path: &Path, steps: &[(usize, u64)], pictures: &[Vec<u8>], page_rows: usize) {
    let rgb = Feature { storage: Storage::EncodedMedia, ..Feature::new("rgb", DType::UInt8, Vec::new()) };
    let rgb = rgb.with_meta(meta::ENCODING, "png").arrow_field();
    let DataType::Struct(parts) = rgb.data_type().clone() else { panic!("{rgb:?}") };
    let (bytes, names) = (BinaryArray::from_iter_values(pictures), StringArray::new_null(steps.len()));
    let pictures = StructArray::new(parts, vec![Arc::new(bytes), Arc::new(names)], None);
    let item = Arc::new(Field::new("element", DataType::Float32, false));
    let actions = Arc::new(Float32Array::from_iter_values(steps.iter().flat_map(|it| numbers(*it))));
    let actions = FixedSizeListArray::new(item, 3, actions, None);
    let episodes = Int64Array::from_iter_values(steps.iter().map(|it| it.0 as i64));
    let arrays: Vec<ArrayRef> = vec![Arc::new(episodes), Arc::new(actions), Arc::new(pictures)];
    let schema = Arc::new(ArrowSchema::new(vec![
        Field::new("episode_index", DataType::Int64, false),
        Field::new("action", arrays[1].data_type().clone(), false),
        rgb,
    ]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
    let properties = WriterProperties::builder()
        .set_data_page_row_count_limit(page_rows)
        .set_data_page_size_limit(1 << 30)
        .set_write_batch_size(page_rows)
        .set_dictionary_enabled(false)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    fs::write(path, writer.into_inner().unwrap()).unwrap();
}

/// What fits memory is fetched once, though blocks are not cut where grains and pages are.
#[test]
fn without_a_cache_an_epoch_is_fetched_once_where_it_fits_memory() {
    // A picture a page, as datasets are that are read at random.
    let published = Published::new(1);
    let plans = published.plans(&CacheOptions::Off, 1, 256 << 20);
    assert_eq!(plans[0].warnings(), Vec::<String>::new());
    let (ratio, n_requests) = published.epoch(&plans);
    assert!((1.0..=1.1).contains(&ratio), "{ratio}");
    assert!(n_requests < 40, "{n_requests}");
    // Where it does not, and nothing is kept, samples are fetched with what lies beside them again and again, which is told.
    let plans = published.plans(&CacheOptions::Off, 1, SMALL);
    let warnings = plans[0].warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("`prefetch_bytes` (6.0 MiB)"), "{warnings:?}");
    let (ratio, _) = published.epoch(&plans);
    assert!(ratio > 1.1, "{ratio}: then it need not be told");
    // A cache that cannot be written is as none, and that is told.
    let file = published.folder.path().join("file");
    fs::write(&file, b"no folder").unwrap();
    let plans =
        published.plans(&CacheOptions::At { folder: file.join("below"), max_bytes: 1 << 30 }, 1, 256 << 20);
    let warnings = plans[0].warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("the cache on the disk: "), "{warnings:?}");
    let (ratio, _) = published.epoch(&plans);
    assert!((1.0..=1.1).contains(&ratio), "{ratio}");
}

/// Ranks that read at a time and share a cache on the disk fetch an epoch once, all of them together, and no later one; whether memory
/// has room for it or not.
#[test]
fn with_a_cache_an_epoch_is_fetched_once_by_all_ranks() {
    // A picture a page, as datasets are that are read at random.
    let published = Published::new(1);
    for world in [1, 4] {
        for prefetch_bytes in [256 << 20, SMALL] {
            let cache = published.cache(&format!("cache-{world}-{prefetch_bytes}"));
            let plans = published.plans(&cache, world, prefetch_bytes);
            let (ratio, n_requests) = published.epoch(&plans);
            // The ends of shards lie in grains of pictures as well, and are there already.
            assert!((0.9..=1.1).contains(&ratio), "world {world}, {prefetch_bytes}: {ratio}");
            // By blocks, not by samples. Whoever asks for a sample of a block that another rank fetches may be the first there.
            assert!(n_requests < 40 * world as usize, "world {world}, {prefetch_bytes}: {n_requests}");
            for plan in &plans {
                assert_eq!(plan.warnings(), Vec::<String>::new());
            }
            assert_eq!(published.epoch(&plans).1, 0, "all of it is on the disk");
        }
    }
}

/// Pages that several blocks lie in, as writers make them that know nothing of steps: each block needs all of its page.
#[test]
fn a_page_that_blocks_share_is_fetched_once() {
    let published = Published::new(1000);
    for (world, cache) in [(1, CacheOptions::Off), (1, published.cache("one")), (4, published.cache("four"))]
    {
        let plans = published.plans(&cache, world, 256 << 20);
        let (ratio, _) = published.epoch(&plans);
        assert!((0.9..=1.1).contains(&ratio), "world {world}, {cache:?}: {ratio}");
    }
}
