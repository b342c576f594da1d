use std::sync::Arc;

use nodedata_core::{ErrorKind, Silent};
use nodedata_reader::{
    CacheOptions, Column, Data, Fetched, FieldsRequest, OpenOptions, Place, Reader, Split, StepRange, Tensor,
    VideoCache,
};
use nodedata_registry::{B3, DatasetState, Remote, Revision, pull, withdraw};

use crate::{
    far::{Published, flip},
    made::{Made, pages_of_rows, three_shards},
    media::pictures,
};

fn without_cache() -> OpenOptions {
    OpenOptions { cache: CacheOptions::Off }
}

fn made() -> Made {
    three_shards(|| pages_of_rows(9))
}

/// All rows of a split, as a digest of each episode that is another one where a value is.
pub(crate) fn all_rows(split: &Split) -> Vec<B3> {
    let fields = split.fields(&FieldsRequest::default()).unwrap();
    let column = |it: &Column| match &it.data {
        Data::Tensor(Tensor { dtype, shape, bytes }) => {
            format!("{} {dtype} {shape:?} {} {:?}", it.name, B3::of(bytes), it.valid)
        }
        other => format!("{} {other:?} {:?}", it.name, it.valid),
    };
    let rows = |(episode, length): (usize, &u64)| {
        let rows = split.rows(episode, 0..*length, &fields).unwrap();
        B3::of(rows.columns.iter().map(column).collect::<Vec<_>>().join("\n").as_bytes())
    };
    split.lengths().iter().enumerate().map(rows).collect()
}

#[test]
fn a_folder_a_near_store_and_a_far_one_are_one_dataset() {
    let it = Published::new(&made());
    let folder = Reader::of_folder(&it.made()).unwrap();
    let near = Reader::open(Arc::clone(&it.near), &it.reference("x"), &OpenOptions::default()).unwrap();
    let distant = Reader::open(it.far(), &it.reference("x@1.0.0"), &without_cache()).unwrap();
    assert_eq!([folder.is_mapped(), near.is_mapped(), distant.is_mapped()], [true, true, false]);
    for reader in [&near, &distant] {
        assert_eq!((reader.id().as_deref(), reader.revision().as_deref()), (Some("acme/x"), Some("1.0.0")));
        assert!(reader.manifest_digest().starts_with("b3:"));
    }
    assert_eq!(near.manifest_digest(), distant.manifest_digest());
    for name in ["train", "val"] {
        let expected = all_rows(&folder.split(name, "steps").unwrap());
        assert_eq!(all_rows(&near.split(name, "steps").unwrap()), expected);
        assert_eq!(all_rows(&distant.split(name, "steps").unwrap()), expected);
    }
}

/// What is needed is told before it is fetched, fetched in one round, and then nothing else is.
#[test]
fn what_is_needed_is_fetched_once() {
    let it = Published::new(&pictures(400));
    let far = it.far();
    let reader = Reader::open(far.clone(), &it.reference("x"), &without_cache()).unwrap();
    let split = reader.split("train", "steps").unwrap();
    let fields = split.fields(&FieldsRequest::named(["rgb"])).unwrap();
    let wanted = [StepRange { episode: 0, steps: 100..103 }, StepRange { episode: 0, steps: 300..301 }];
    far.reset();
    let needs = split.needs(&wanted, &fields).unwrap();
    assert_eq!(far.n_bytes(), 0, "the shard is open already");
    let fetched = split.fetch(&needs).unwrap();
    assert_eq!((far.n_rounds(), needs.n_ranges()), (1, 2));
    assert_eq!((far.n_bytes(), fetched.n_bytes()), (needs.n_bytes(), needs.n_bytes()));
    assert!(needs.n_bytes() <= 4 * 3 * (256 << 10), "{}", needs.n_bytes());
    far.reset();
    let cache = VideoCache::default();
    let rows = split.decode(&fetched, 0, 100..103, &fields, &cache).unwrap();
    let folder = Reader::of_folder(&it.made()).unwrap().split("train", "steps").unwrap();
    let expected = folder.rows(0, 100..103, &folder.fields(&FieldsRequest::named(["rgb"])).unwrap()).unwrap();
    assert_eq!(rows, expected);
    split.decode(&fetched, 0, 300..301, &fields, &cache).unwrap();
    assert_eq!(far.n_bytes(), 0, "all of it is at hand");
    split.decode(&fetched, 0, 200..201, &fields, &cache).unwrap();
    assert!(far.n_bytes() > 0, "what is not is read");
    let needs = folder.needs(&wanted, &fields).unwrap();
    assert!(needs.is_empty() && folder.fetch(&needs).unwrap().is_empty(), "what is near is read where it is");
    // Neighbours are one range.
    let near = [StepRange { episode: 0, steps: 10..11 }, StepRange { episode: 0, steps: 14..15 }];
    assert_eq!(split.needs(&near, &fields).unwrap().n_ranges(), 1);
}

/// Where nothing is kept on the disk, threads take what another has in memory, or fetches just now.
#[test]
fn what_somebody_has_is_taken_from_him() {
    let it = Published::new(&pictures(400));
    let far = it.far();
    let reader = Reader::open(far.clone(), &it.reference("x"), &without_cache()).unwrap();
    let split = reader.split("train", "steps").unwrap();
    let fields = split.fields(&FieldsRequest::named(["rgb"])).unwrap();
    let needs = |steps| split.needs(&[StepRange { episode: 0, steps }], &fields).unwrap();
    let (some, whole) = (needs(0..200), needs(0..400));
    assert!(some.n_bytes() + (512 << 10) < whole.n_bytes());
    far.reset();
    let held = split.fetch(&some).unwrap();
    let all = split.fetch(&whole).unwrap();
    assert_eq!((far.n_bytes(), all.n_bytes()), (whole.n_bytes(), whole.n_bytes()));
    drop((held, all));
    far.reset();
    let fetched: Vec<Fetched> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..6).map(|_| scope.spawn(|| split.fetch(&whole).unwrap())).collect();
        running.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert_eq!(far.n_bytes(), whole.n_bytes(), "by one of them");
    let folder = Reader::of_folder(&it.made()).unwrap().split("train", "steps").unwrap();
    let expected = folder.rows(0, 190..210, &folder.fields(&FieldsRequest::named(["rgb"])).unwrap()).unwrap();
    for fetched in &fetched {
        assert_eq!(fetched.n_bytes(), whole.n_bytes());
        let rows = split.decode(fetched, 0, 190..210, &fields, &VideoCache::default()).unwrap();
        assert_eq!(rows, expected);
    }
    assert_eq!(far.n_bytes(), whole.n_bytes());
    far.reset();
    split.fetch_anyway(&some).unwrap();
    assert_eq!(far.n_bytes(), some.n_bytes(), "without a look at others");
    // Nobody has it any more.
    drop(fetched);
    far.reset();
    split.fetch(&some).unwrap();
    assert_eq!(far.n_bytes(), some.n_bytes());
}

/// Of numbers, a page that was decoded is not fetched again.
#[test]
fn pages_of_numbers_are_kept() {
    let it = Published::new(&made());
    let far = it.far();
    let reader = Reader::open(far.clone(), &it.reference("x"), &without_cache()).unwrap();
    let split = reader.split("train", "steps").unwrap();
    let fields = split.fields(&FieldsRequest::named(["state", "task"])).unwrap();
    let needs = |steps| split.needs(&[StepRange { episode: 0, steps }], &fields).unwrap();
    assert!(!needs(3..4).is_empty());
    split.rows(0, 3..4, &fields).unwrap();
    far.reset();
    assert!(needs(4..5).is_empty() && !needs(40..41).is_empty());
    split.rows(0, 4..5, &fields).unwrap();
    assert_eq!(far.n_bytes(), 0);
}

/// A shard is opened by its tree and its end, in one round; the dataset by its documents.
#[test]
fn the_first_touch_of_a_shard_is_small() {
    let it = Published::new(&pictures(400));
    let far = it.far();
    let reader = Reader::open(far.clone(), &it.reference("x"), &without_cache()).unwrap();
    far.reset();
    reader.split("train", "steps").unwrap();
    let shard = it.blob("data/train-00000.parquet");
    let ranges = far.ranges();
    assert_eq!(ranges.keys().collect::<Vec<_>>(), [&shard]);
    assert_eq!(far.n_trees(), 1);
    let n_bytes: u64 = ranges[&shard].iter().map(|it| it.end - it.start).sum();
    assert!(n_bytes <= 2 * (256 << 10), "{n_bytes}");
}

#[test]
fn episodes_that_are_left_out_are_no_part_of_a_split() {
    let it = Published::new(&made());
    it.push(|options| options.exclude = vec!["b".to_owned()]);
    let open = |text: &str| {
        Reader::open(Arc::clone(&it.near), &it.reference(text), &OpenOptions::default()).unwrap()
    };
    let keys = |reader: &Reader| {
        let split = reader.split("train", "steps").unwrap();
        (0..split.n_episodes()).map(|idx| split.episode(idx).unwrap().key).collect::<Vec<_>>()
    };
    assert_eq!(
        (keys(&open("x@1.0.0")), keys(&open("x"))),
        (vec!["a".into(), "b".into(), "c".into()], vec!["a".into(), "c".into()])
    );
    let (before, after) = (open("x@1.0.0"), open("x"));
    let rows = |reader: &Reader| all_rows(&reader.split("train", "steps").unwrap());
    assert_eq!(rows(&after), [rows(&before)[0], rows(&before)[2]]);
    // A pull says so too.
    let state = DatasetState::open(&*it.near, &it.dataset).unwrap();
    let revision = Revision::open(&it.near, &it.dataset, state.head().unwrap()).unwrap();
    let out = it.folder.path().join("pulled");
    pull(&revision, &out, false, &Silent).unwrap();
    let pulled = Reader::of_folder(&out).unwrap();
    assert_eq!((pulled.id(), pulled.revision()), (after.id(), after.revision()));
    assert_eq!((pulled.manifest_digest(), keys(&pulled)), (after.manifest_digest(), keys(&after)));
}

#[test]
fn a_reference_is_settled_when_it_is_opened() {
    let it = Published::new(&made());
    let before =
        Reader::open(Arc::clone(&it.near), &it.reference("x@latest"), &OpenOptions::default()).unwrap();
    it.push(|options| options.exclude = vec!["b".to_owned()]);
    assert_eq!(before.split("train", "steps").unwrap().n_episodes(), 3);
    assert_eq!(before.revision().as_deref(), Some("1.0.0"));
    let state = DatasetState::open(&*it.near, &it.dataset).unwrap();
    let newest = state.head().unwrap().revision.clone();
    withdraw(&*it.near, &it.dataset, "test", &newest, "the camera was covered").unwrap();
    let named = it.reference(&format!("x@{newest}"));
    let withdrawn = Reader::open(Arc::clone(&it.near), &named, &OpenOptions::default()).unwrap();
    assert_eq!(withdrawn.withdrawn_reason(), Some("the camera was covered"));
    assert!(withdrawn.is_withdrawn() && !before.is_withdrawn());
    let latest = Reader::open(Arc::clone(&it.near), &it.reference("x"), &OpenOptions::default()).unwrap();
    assert_eq!(latest.revision().as_deref(), Some("1.0.0"), "what may be used");
    let none = Reader::open(Arc::clone(&it.near), &it.reference("x@9.0.0"), &OpenOptions::default());
    assert_eq!(none.unwrap_err().kind(), ErrorKind::Config);
}

/// One flipped bit anywhere in a shard: whoever reads rows that it is a part of is told which revision, shard and row.
#[test]
fn one_flipped_bit_is_an_error_with_an_address() {
    let it = Published::new(&pictures(100));
    let shard = it.at(&it.blob("data/train-00000.parquet"));
    let n_bytes = std::fs::metadata(&shard).unwrap().len() as usize;
    let places: Vec<usize> =
        (0..20).map(|it| it * n_bytes / 20).chain([4, n_bytes - 1, n_bytes - 5000]).collect();
    for at in places {
        flip(&shard, at);
        for remote in [Arc::clone(&it.near), it.far() as Arc<dyn Remote>] {
            let read = || {
                let reader = Reader::open(remote, &it.reference("x"), &without_cache())?;
                let split = reader.split("train", "steps")?;
                let fields = split.fields(&FieldsRequest::default())?;
                split.rows(0, 0..100, &fields)
            };
            let err = read().unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Corrupt, "byte {at}: {}", err.chain());
            let place = Place::of(&err).unwrap_or_else(|| panic!("byte {at}: {}", err.chain()));
            assert_eq!(
                (place.dataset.as_deref(), place.revision.as_deref()),
                (Some("acme/x"), Some("1.0.0"))
            );
            assert_eq!(place.shard.as_deref(), Some("data/train-00000.parquet"), "byte {at}");
            assert!(place.row.is_some() || n_bytes / 2 < at, "byte {at}: {}", err.chain());
            assert!(err.to_string().contains("acme/x@1.0.0"), "{err}");
            assert!(err.hint().is_some());
        }
        flip(&shard, at);
    }
}
