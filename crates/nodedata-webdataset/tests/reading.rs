//! What archives become: samples, types, splits, deals, and what an opening remembers.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod built;

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow_array::{
    Array as _,
    cast::AsArray as _,
    types::{Float32Type, UInt16Type},
};
use built::{
    JPEG, Tar, deal, findings, floats, gzip, ints, keys, leaves, npy, open, open_as, salvaging, texts, told,
    zip,
};
use bytes::Bytes;
use nodedata_core::{
    Confidence, ErrorKind, Files, FindingKind, Format as _, Listing, OpenOptions, OptionValue, ReadAt,
    ReadOptions, Result, RowKey, Source, StreamKind,
};
use nodedata_io::MemoryFiles;
use nodedata_testkit::reading::read;
use nodedata_webdataset::WEBDATASET;

/// Samples with a field of every kind; the second is without what may be absent.
fn everything() -> Vec<u8> {
    let mm = npy("<u2", "(1, 2)", &[1, 0, 2, 0]);
    let state = |it: f32| npy("<f4", "(2,)", &floats(&[it, -it]));
    let cbor = |n: u8| [&b"\xa1\x61n"[..], &[n]].concat();
    Tar::default()
        .member(b'5', b"dir.with.dots/", b"")
        .file("dir.with.dots/s0.JPG", JPEG)
        .file("dir.with.dots/s0.bin", [1, 2, 3])
        .file("dir.with.dots/s0.caption.txt.gz", gzip("größer".as_bytes()))
        .file("dir.with.dots/s0.cbor", cbor(7))
        .file("dir.with.dots/s0.cls", "3\n")
        .file("dir.with.dots/s0.depth.npz", zip(&[("mm.npy", &mm)], None))
        .file("dir.with.dots/s0.json", r#"{"a": {"b": 1}, "l": [1, 2]}"#)
        .file("dir.with.dots/s0.mp", b"\x81\xa1x\x05")
        .file("dir.with.dots/s0.pkl", b"\x80\x04.")
        .file("dir.with.dots/s0.points.npy", npy("<f4", "(2, 3)", &floats(&[1., 2., 3., 4., 5., 6.])))
        .file("dir.with.dots/s0.state.npy", state(0.5))
        .file("dir.with.dots/s0.step_index.txt", "x")
        .file("dir.with.dots/s0.txt", "zero")
        .file("dir.with.dots/s1.bin", "")
        .file("dir.with.dots/s1.caption.txt.gz", gzip(b""))
        .file("dir.with.dots/s1.cbor", cbor(8))
        .file("dir.with.dots/s1.cls", "-4")
        .file("dir.with.dots/s1.json", r#"{"a": null, "l": [], "nan": NaN}"#)
        .file("dir.with.dots/s1.mp", b"\x81\xa1x\x06")
        .file("dir.with.dots/s1.pkl", b"\x80\x04N.")
        .file("dir.with.dots/s1.points.npy", npy("<f4", "(1, 3)", &floats(&[7., 8., 9.])))
        .file("dir.with.dots/s1.step_index.txt", "y")
        .end()
}

#[test]
fn members_become_what_they_are() {
    let source = open(&everything(), &OpenOptions::default()).unwrap();
    assert_eq!(source.plan().streams[0].kind, StreamKind::Samples);
    assert_eq!(
        told(source.as_ref()),
        [
            "__key__ string",
            "bin bytes",
            "caption.txt.gz string",
            "cbor.n int64",
            "cls int64",
            "depth.npz.mm uint16[1, 2]?",
            "jpg bytes, encoded?",
            "json.a.b int64?",
            "json.l int64[-1]",
            "json.nan float64?",
            "mp.x int64",
            "pkl bytes",
            "points.npy float32[-1, 3]",
            "state.npy float32[2]?",
            "step_index.txt string",
            "txt string?",
        ]
    );
    let warnings = findings(source.as_ref());
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("2 members `pkl` are never opened: they are kept as bytes"), "{warnings:?}");
    let (rows, damage) = read(source.as_ref());
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!(keys(&rows), ["dir.with.dots/s0", "dir.with.dots/s1"]);
    assert_eq!(texts(&rows, "caption.txt.gz"), [Some("größer".to_owned()), Some(String::new())]);
    assert_eq!(texts(&rows, "txt"), [Some("zero".to_owned()), None]);
    assert_eq!(ints(&rows, "cls"), [Some(3), Some(-4)]);
    assert_eq!(ints(&rows, "cbor.n"), [Some(7), Some(8)]);
    assert_eq!(ints(&rows, "mp.x"), [Some(5), Some(6)]);
    assert_eq!(ints(&rows, "json.a.b"), [Some(1), None]);
    let column = |name: &str| rows[0].column_by_name(name).unwrap().clone();
    assert_eq!(column("pkl").as_binary::<i32>().value(1), b"\x80\x04N.");
    let pictures = column("jpg");
    assert!(pictures.is_valid(0) && pictures.is_null(1));
    assert_eq!(pictures.as_struct().column(0).as_binary::<i32>().value(0), JPEG);
    let points = column("points.npy");
    let of_row = |row: usize| {
        let rows = points.as_list::<i32>().value(row);
        let values = leaves(&rows);
        values.iter().flat_map(|it| it.as_primitive::<Float32Type>().values().to_vec()).collect::<Vec<f32>>()
    };
    assert_eq!((of_row(0), of_row(1)), (vec![1., 2., 3., 4., 5., 6.], vec![7., 8., 9.]));
    let mm = column("depth.npz.mm");
    assert!(mm.is_null(1));
    let inner = mm.as_fixed_size_list().value(0);
    assert_eq!(inner.as_fixed_size_list().values().as_primitive::<UInt16Type>().values()[..2], [1, 2]);
    assert!(column("state.npy").is_null(1));
}

#[test]
fn a_row_comes_from_the_bytes_of_its_members() {
    let bytes = Tar::default().file("a.txt", "one").file("a.cls", "1").file("b.txt", "two").end();
    let source = open(&bytes, &OpenOptions::default()).unwrap();
    let mut stream = source.read(0, &ReadOptions { batch_bytes_max: 1, streams: None }).unwrap();
    let mut spans = Vec::new();
    while let Some(batch) = stream.next_batch().unwrap() {
        spans.extend(batch.spans.into_iter().map(|it| (it.n_rows, it.byte_range)));
    }
    assert_eq!(spans, [(1, 0..1024 + 512 + 1), (1, 2048..2048 + 512 + 3)]);
    assert_eq!(source.plan().partitions[0].reads[0].byte_range, 0..2048 + 512 + 3);
}

/// A run of members is a sample; the same key later is another one; what is no field belongs to none.
#[test]
fn runs_of_one_key_are_samples() {
    let bytes = Tar::default()
        .file("__meta__/info.json", "{}")
        .file("a.txt", "1")
        .file("._a.txt", "fork")
        .file("README", "read me")
        .member(b'2', b"a.link", b"")
        .file("a.cls", "1")
        .file("b.txt", "2")
        .file("a.txt", "3")
        .file("../up.b.txt", "data only")
        .member(b'0', b"\xff.txt", b"5")
        .end();
    let source = open(&bytes, &OpenOptions::default()).unwrap();
    let (rows, damage) = read(source.as_ref());
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!(keys(&rows), ["a", "b", "a", "../up", "\\xff"]);
    assert_eq!(ints(&rows, "cls"), [Some(1), None, None, None, None]);
    assert_eq!(texts(&rows, "b.txt")[3].as_deref(), Some("data only"));
    let told = findings(source.as_ref()).join("\n");
    assert!(told.contains("1 keys come again after others, such as `a`"), "{told}");
    assert!(told.contains("1 members have no dot in their name and so no field, such as `README`"), "{told}");
    assert!(told.contains("1 members are no files, such as `a.link`"), "{told}");
    assert!(source.plan().findings.iter().all(|it| it.kind == FindingKind::Warning));
}

#[test]
fn kinds_that_differ_are_kept_as_they_are() {
    let bytes = Tar::default()
        .file("a.cls", "7")
        .file("a.json", "1")
        .file("a.npy", npy("<f4", "(1,)", &floats(&[1.])))
        .file("a.png", "no picture")
        .file("a.txt", "text")
        .file("b.cls", "007")
        .file("b.json", r#""x""#)
        .file("b.npy", npy("<f8", "(1,)", &[0; 8]))
        .file("b.png", b"\x89PNG\r\n\x1a\n")
        .file("b.txt", b"\xff")
        .end();
    let source = open(&bytes, &OpenOptions::default()).unwrap();
    assert_eq!(
        told(source.as_ref())[1..],
        ["cls string", "json string", "npy bytes", "png bytes, encoded", "txt bytes"]
    );
    let told = findings(source.as_ref()).join("\n");
    for words in [
        "a.tar, byte 5120, feature `cls`: a member `cls` is no whole number: all members `cls` are kept as text",
        "`json` is a number and text: it is kept as JSON text",
        "a member `npy` is of float64 after others of float32: all members `npy` are kept as bytes",
        "a.tar, byte 3072, feature `png`: 1 members `png` are no picture or clip of a known kind",
        "a member `txt` is no UTF-8: all members `txt` are kept as bytes",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let (rows, damage) = read(source.as_ref());
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!(texts(&rows, "cls"), [Some("7".to_owned()), Some("007".to_owned())]);
    assert_eq!(texts(&rows, "json"), [Some("1".to_owned()), Some("\"x\"".to_owned())]);
}

/// Files that count the bytes that are read of them.
struct Counted {
    files: MemoryFiles,
    n_read: Arc<AtomicU64>,
    n_peeks: Arc<AtomicU64>,
}

struct CountedFile(Arc<dyn ReadAt>, Arc<AtomicU64>, Arc<AtomicU64>);

impl Files for Counted {
    fn list(&self) -> Result<Vec<PathBuf>> {
        self.files.list()
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        let (n_read, n_peeks) = (Arc::clone(&self.n_read), Arc::clone(&self.n_peeks));
        Ok(Arc::new(CountedFile(self.files.open(path)?, n_read, n_peeks)))
    }
}

impl ReadAt for CountedFile {
    fn n_bytes(&self) -> u64 {
        self.0.n_bytes()
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        self.1.fetch_add(range.end - range.start, Ordering::Relaxed);
        self.0.read_at(range)
    }

    fn peek_at(&self, range: Range<u64>) -> Result<Bytes> {
        self.2.fetch_add(1, Ordering::Relaxed);
        self.read_at(range)
    }
}

#[test]
fn what_was_learned_saves_the_pass_and_pictures_are_not_read_for_it() {
    let picture = [JPEG, &[0; 100_000]].concat();
    let bytes = (0..10).fold(Tar::default(), |all, it| {
        all.file(&format!("{it}.jpg"), &picture).file(&format!("{it}.json"), format!(r#"{{"n": {it}}}"#))
    });
    let (n_read, n_peeks) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let counted = || {
        let files = MemoryFiles::default().with("a.tar", bytes.clone().end());
        Arc::new(Counted { files, n_read: Arc::clone(&n_read), n_peeks: Arc::clone(&n_peeks) })
    };
    let options = OpenOptions { deal: Some(deal(RowKey::Row)), ..OpenOptions::default() };
    let first = WEBDATASET.open(counted(), &options).unwrap();
    let n_pass = n_read.swap(0, Ordering::Relaxed);
    assert!((10_000..30_000).contains(&n_pass), "{n_pass} bytes are read for types");
    // The first bytes and the first header alone: what lies around the head of a small picture is asked for next.
    let n_peeks = n_peeks.load(Ordering::Relaxed);
    assert!(n_peeks <= 2, "{n_peeks} requests of their own");
    let learned = OpenOptions { learned: first.plan().learned.clone(), ..options.clone() };
    let second = WEBDATASET.open(counted(), &learned).unwrap();
    assert_eq!(n_read.swap(0, Ordering::Relaxed), 0, "headers are walked again");
    assert!(first.plan() == second.plan());
    assert_eq!(read(first.as_ref()).0, read(second.as_ref()).0);
    // What does not fit is learned anew.
    n_read.store(0, Ordering::Relaxed);
    for other in [
        OpenOptions { deal: None, ..learned.clone() },
        OpenOptions { partition_bytes: 10_000, ..learned.clone() },
        OpenOptions { undecoded: vec!["json".to_owned()], ..learned.clone() },
        OpenOptions { learned: Some("{}".to_owned()), ..options },
    ] {
        WEBDATASET.open(counted(), &other).unwrap();
        assert!(0 < n_read.swap(0, Ordering::Relaxed), "{other:?}");
    }
}

/// The keys of each split.
fn dealt(bytes: &[u8], key: RowKey, partition_bytes: u64) -> BTreeMap<String, Vec<String>> {
    let options = OpenOptions { deal: Some(deal(key)), partition_bytes, ..OpenOptions::default() };
    let source = open(bytes, &options).unwrap();
    let plan = source.plan();
    let names: Vec<&str> = plan.episodes.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(names, ["a.tar@train", "a.tar@val"]);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (idx, partition) in plan.partitions.iter().enumerate() {
        let split = plan.episodes[partition.episode].split.clone().unwrap();
        let mut stream = source.read(idx, &ReadOptions::default()).unwrap();
        while let Some(batch) = stream.next_batch().unwrap() {
            let of_split = found.entry(split.clone()).or_default();
            let steps = ints(std::slice::from_ref(&batch.rows), "step_index");
            assert_eq!(steps.first().copied().flatten(), Some(of_split.len() as i64));
            of_split.extend(keys(&[batch.rows]));
        }
    }
    found
}

#[test]
fn samples_are_dealt_by_their_keys_and_adding_some_moves_none() {
    let with = |range: Range<u32>| {
        let sample = |all: Tar, it: u32| {
            all.file(&format!("{it:03}.json"), format!(r#"{{"scene": "s{}"}}"#, it % 10))
                .file(&format!("{it:03}.txt"), format!("{it}"))
        };
        range.fold(Tar::default(), sample).end()
    };
    let some = dealt(&with(100..200), RowKey::Row, 2 << 20);
    assert_eq!(some.values().map(Vec::len).sum::<usize>(), 100);
    assert!((15..45).contains(&some["val"].len()), "{}", some["val"].len());
    assert_eq!(dealt(&with(100..200), RowKey::Row, 4096), some);
    assert_eq!(dealt(&with(100..200), RowKey::Field("__key__".to_owned()), 4096), some);
    // Before and behind.
    let more = dealt(&with(0..300), RowKey::Row, 4096);
    for (split, keys) in &some {
        assert!(keys.iter().all(|it| more[split].contains(it)), "{split}");
    }
    // Samples of one scene stay together.
    let by_scene = dealt(&with(0..300), RowKey::Field("json.scene".to_owned()), 4096);
    let scenes = |split: &str| {
        let scene = |it: &String| it.parse::<u32>().unwrap() % 10;
        by_scene[split].iter().map(scene).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(scenes("train").is_disjoint(&scenes("val")));
    let options =
        OpenOptions { deal: Some(deal(RowKey::Field("json.scen".to_owned()))), ..OpenOptions::default() };
    let err = open(&with(0..3), &options).err().unwrap();
    assert_eq!((err.kind(), err.hint()), (ErrorKind::Config, Some("did you mean `json.scene`?")));
}

/// Rows are dealt by what is looked up: members, and values in those of JSON.
#[test]
fn samples_are_not_dealt_by_what_nobody_looks_up() {
    let list = Tar::default().file("a.json", r#"{"l": [{"x": 1}]}"#).end();
    let all = everything();
    for (bytes, name, is_dealt) in [
        (&all, "mp.x", false),
        (&all, "cbor.n", false),
        (&all, "depth.npz.mm", false),
        (&list, "json.l.x", false),
        (&all, "json.a.b", true),
        (&all, "json.l", true),
        (&all, "points.npy", true),
        (&all, "step_index.txt", true),
    ] {
        let key = deal(RowKey::Field(name.to_owned()));
        let opened = open(bytes, &OpenOptions { deal: Some(key), ..OpenOptions::default() });
        assert_eq!(opened.is_ok(), is_dealt, "{name}");
        if let Err(err) = opened {
            assert_eq!((err.kind(), err.hint().is_some()), (ErrorKind::Config, true), "{err}");
            assert!(err.to_string().contains(&format!("`{name}`")), "{err}");
        }
    }
}

#[test]
fn partitions_count_what_comes_out_of_packed_members() {
    let array = npy("|u1", "(100000,)", &[7; 100_000]);
    let (arrays, text) = (zip(&[("x.npy", &array)], None), gzip(&[b'x'; 50_000]));
    assert!(arrays.len() + text.len() < 2000);
    let sample =
        |tar: Tar, it: u32| tar.file(&format!("{it}.npz"), &arrays).file(&format!("{it}.txt.gz"), &text);
    let bytes = (0..8).fold(Tar::default(), sample).end();
    let options = OpenOptions { partition_bytes: 400_000, ..OpenOptions::default() };
    let source = open(&bytes, &options).unwrap();
    let sizes: Vec<u64> = source.plan().partitions.iter().map(|it| it.decoded_bytes).collect();
    assert_eq!(sizes.len(), 4, "{sizes:?}");
    assert!(sizes.iter().all(|it| (300_000..320_000).contains(it)), "{sizes:?}");
    // Batches as well.
    let mut stream = source.read(0, &ReadOptions { batch_bytes_max: 100_000, streams: None }).unwrap();
    assert_eq!(stream.next_batch().unwrap().unwrap().rows.num_rows(), 1);
    let (rows, damage) = read(source.as_ref());
    assert_eq!((keys(&rows).len(), damage.len()), (8, 0));
}

#[test]
fn files_are_in_the_splits_that_they_are_called_by() {
    let shard = |key: &str| Tar::default().file(&format!("{key}.txt"), key).end();
    let files = MemoryFiles::default().with("train-000000.tar", shard("a")).with("val/0.tar", shard("b"));
    let source = WEBDATASET.open(Arc::new(files.clone()), &OpenOptions::default()).unwrap();
    let splits: Vec<_> =
        source.plan().episodes.iter().map(|it| (it.key.as_str(), it.split.as_deref())).collect();
    assert_eq!(splits, [("train-000000.tar", Some("train")), ("val/0.tar", Some("val"))]);
    let source = WEBDATASET.open(Arc::new(files.with("x.tar", shard("c"))), &OpenOptions::default()).unwrap();
    assert!(source.plan().episodes.iter().all(|it| it.split.is_none()));
}

#[test]
fn fields_are_selected_and_members_kept_as_bytes() {
    let bytes = everything();
    let options = |topics: &[&str], undecoded: &[&str]| OpenOptions {
        topics: (!topics.is_empty()).then(|| topics.iter().map(|it| (*it).to_owned()).collect()),
        undecoded: undecoded.iter().map(|it| (*it).to_owned()).collect(),
        ..OpenOptions::default()
    };
    let source = open(&bytes, &options(&["json.a*", "__key__"], &[])).unwrap();
    assert_eq!(told(source.as_ref()), ["__key__ string", "json.a.b int64?"]);
    assert!(source.plan().unselected.contains(&"json.l".to_owned()));
    assert_eq!(ints(&read(source.as_ref()).0, "json.a.b"), [Some(1), None]);
    let source = open(&bytes, &options(&[], &["json", "caption*"])).unwrap();
    let types = told(source.as_ref());
    assert!(types.contains(&"json bytes".to_owned()) && types.contains(&"cls int64".to_owned()), "{types:?}");
    let (rows, _) = read(source.as_ref());
    let json = rows[0].column_by_name("json").unwrap().as_binary::<i32>().clone();
    assert_eq!(json.value(1), br#"{"a": null, "l": [], "nan": NaN}"#);
    let caption = rows[0].column_by_name("caption.txt.gz").unwrap().as_binary::<i32>().clone();
    assert_eq!(caption.value(0), gzip("größer".as_bytes()));
    for all in ["*", "steps"] {
        let source = open(&bytes, &options(&[], &[all])).unwrap();
        assert!(told(source.as_ref())[1..].iter().all(|it| it.contains(" bytes")), "{all}");
    }
    let err = open(&bytes, &options(&["jsn.l"], &[])).err().unwrap();
    assert_eq!((err.kind(), err.hint()), (ErrorKind::Config, Some("did you mean `json.l`?")));
    assert_eq!(open(&bytes, &options(&[], &["jso"])).err().unwrap().kind(), ErrorKind::Config);
}

#[test]
fn packed_archives_are_the_same_samples() {
    let plain = everything();
    let whole = read(open(&plain, &OpenOptions::default()).unwrap().as_ref()).0;
    for name in ["a.tar.gz", "a.tgz", "a"] {
        let source = open_as(name, &gzip(&plain), &OpenOptions::default()).unwrap();
        let (rows, damage) = read(source.as_ref());
        assert_eq!((rows, damage.len()), (whole.clone(), 0), "{name}");
        assert_eq!(source.plan().inputs[0].n_bytes, gzip(&plain).len() as u64);
        // All of the file is where a row comes from, and which of its samples it is.
        let mut stream = source.read(0, &ReadOptions { batch_bytes_max: 1, streams: None }).unwrap();
        let mut spans = Vec::new();
        while let Some(batch) = stream.next_batch().unwrap() {
            spans.extend(batch.spans.into_iter().map(|it| (it.n_rows, it.byte_range, it.first_record)));
        }
        let all = 0..gzip(&plain).len() as u64;
        assert_eq!(spans, [(1, all.clone(), 0), (1, all, 1)]);
    }
}

#[test]
fn archives_are_recognised_with_the_indexes_beside_them() {
    let index = r#"{"__kind__": "wids-shard-index-v1", "wids_version": 1, "shardlist": [
        {"url": "a.tar", "nsamples": 2, "filesize": 12800}, {"url": "http://x/b.tar", "nsamples": 1}]}"#;
    let files = MemoryFiles::default()
        .with("d/a.tar", everything())
        .with("d/index.json", index)
        .with("d/other.json", "{}")
        .with("index.json", index)
        .with("readme.txt", "x");
    let listing = Listing::new(&files).unwrap();
    let found = WEBDATASET.detect(&listing);
    let claims: Vec<PathBuf> = ["d/a.tar", "d/index.json"].map(PathBuf::from).into();
    assert_eq!((found.confidence, found.claims), (Confidence::Content, claims));
    let detect = |name: &str, bytes: &[u8]| {
        let files = MemoryFiles::default().with(name, bytes.to_vec());
        WEBDATASET.detect(&Listing::new(&files).unwrap()).confidence
    };
    assert_eq!(detect("a.tgz", &gzip(&everything())), Confidence::Content);
    assert_eq!(detect("a.TAR.GZ", &gzip(&everything())), Confidence::Content);
    assert_eq!(detect("a.tar", b"x"), Confidence::Name);
    assert_eq!(detect("a.bin", &everything()), Confidence::Content);
    assert_eq!(detect("a.gz", &gzip(&everything())), Confidence::No);
    // What is packed so may be anything. Of what comes out, the beginning tells, also where the head ends before it does.
    assert_eq!(detect("a.tgz", &gzip(b"notes")), Confidence::Name);
    assert_eq!(detect("a.tar.gz", &gzip(&[b'x'; 9000])), Confidence::Name);
    let mut random = nodedata_testkit::damaged::Random::new(7);
    let noise: Vec<u8> = (0..20_000).map(|_| random.below(256) as u8).collect();
    assert_eq!(detect("a.tgz", &gzip(&Tar::default().file("a.bin", noise).end())), Confidence::Content);

    let files = MemoryFiles::default().with("d/a.tar", everything()).with("d/index.json", index);
    let source = WEBDATASET.open(Arc::new(files), &OpenOptions::default()).unwrap();
    assert_eq!(source.plan().beside, [PathBuf::from("d/index.json")]);
    let told = findings(source.as_ref()).join("\n");
    assert!(
        told.contains("d/index.json: the index names the shard `http://x/b.tar`, which is not here"),
        "{told}"
    );
    assert!(told.contains("`a.tar` has ") && told.contains(" bytes, but the index says 12800"), "{told}");
    let alone = MemoryFiles::default().with("index.json", index);
    let err = WEBDATASET.open(Arc::new(alone), &salvaging()).err().unwrap();
    assert_eq!(err.kind(), ErrorKind::Config);
}

/// However many shards are absent, the first of them are told, and how many there are.
#[test]
fn indexes_of_absent_or_broken_shards_are_told_in_a_few_lines() {
    let shards: Vec<String> = (0..3000).map(|it| format!(r#"{{"url": "{it}.tar"}}"#)).collect();
    let kind = r#""__kind__": "wids-shard-index-v1""#;
    let opened = |index: String| {
        let files = MemoryFiles::default().with("a.tar", everything()).with("index.json", index);
        WEBDATASET.open(Arc::new(files), &OpenOptions::default()).unwrap()
    };
    let told = |source: &dyn Source| {
        let findings = source.plan().findings.iter();
        findings.filter(|it| it.reason == "shard_index").cloned().collect::<Vec<_>>()
    };
    let many = opened(format!(r#"{{{kind}, "shardlist": [{}]}}"#, shards.join(", ")));
    let many = told(many.as_ref());
    assert!(many.len() < 100, "{}", many.len());
    assert_eq!(many.iter().map(|it| it.times).sum::<u64>(), 3000);
    let broken = told(opened(format!(r#"{{{kind}, "shardlist": ["#)).as_ref());
    assert_eq!(broken.len(), 1);
    assert!(broken[0].message.contains("cannot be read: EOF") && broken[0].hint.is_some(), "{broken:?}");
}

/// What an index says of the MD5 of an archive is looked at where that is asked for.
#[test]
fn archives_are_held_against_the_md5_of_their_index() {
    let small = Tar::default().file("a.txt", "1").end();
    let md5 = "e3ea993070ce6643f5a70a9fb5b51ee3";
    let open = |md5: Option<&str>, asked: bool, salvage: bool, learned: Option<String>| {
        let md5 = md5.map(|it| format!(r#", "md5sum": "{it}""#)).unwrap_or_default();
        let index = format!(
            r#"{{"__kind__": "wids-shard-index-v1", "shardlist": [{{"url": "s3://b/a.tar"{md5}}}]}}"#
        );
        let files = MemoryFiles::default().with("d/a.tar", small.clone()).with("d/index.json", index);
        let mut options = OpenOptions { salvage, learned, ..OpenOptions::default() };
        if asked {
            options.options.insert("shard_md5".to_owned(), OptionValue::Bool(true));
        }
        WEBDATASET.open(Arc::new(files), &options)
    };
    let findings = |source: &dyn Source| source.plan().findings.clone();
    let wrong = "00000000000000000000000000000000";
    for (md5, asked) in [(Some(md5), true), (Some(wrong), false), (None, false)] {
        let source = open(md5, asked, false, None).unwrap();
        assert!(findings(source.as_ref()).is_empty(), "{md5:?}: {:?}", findings(source.as_ref()));
    }
    // Either spelling of the digits.
    assert!(open(Some(&md5.to_uppercase()), true, false, None).is_ok());
    for wrong in [wrong, "", "not a hash"] {
        let err = open(Some(wrong), true, false, None).err().unwrap();
        let told = format!("the archive has the MD5 {md5}, but the index of shards says {wrong}");
        assert_eq!((err.kind(), err.to_string()), (ErrorKind::Corrupt, told));
        assert!(err.locus().path == Some(PathBuf::from("d/a.tar")) && err.hint().is_some(), "{err:?}");
    }
    let source = open(Some(wrong), true, true, None).unwrap();
    let [found] = &findings(source.as_ref())[..] else { panic!("{:?}", findings(source.as_ref())) };
    assert_eq!(
        (found.kind, found.reason.as_str(), found.uncounted),
        (FindingKind::Damage, "shard_md5", false)
    );
    assert_eq!(keys(&read(source.as_ref()).0), ["a"]);
    // Whoever goes on from there is told the same and hashes nothing; what was learned without looking is no answer.
    let learned = source.plan().learned.clone();
    assert_eq!(findings(open(Some(md5), true, true, learned).unwrap().as_ref()), findings(source.as_ref()));
    let unasked = open(Some(wrong), false, false, None).unwrap().plan().learned.clone();
    assert!(open(Some(wrong), true, false, unasked).is_err());
    // That there was nothing to compare is no secret.
    let source = open(None, true, false, None).unwrap();
    let [found] = &findings(source.as_ref())[..] else { panic!("{:?}", findings(source.as_ref())) };
    assert!(found.kind == FindingKind::Warning && found.message.contains("none was compared"), "{found:?}");
    // Nor that there was nothing for some of them.
    let index = format!(
        r#"{{"__kind__": "wids-shard-index-v1", "shardlist": [{{"url": "a.tar", "md5sum": "{md5}"}}]}}"#
    );
    let files = MemoryFiles::default().with("a.tar", small.clone()).with("index.json", index);
    let files = files.with("b.tar", Tar::default().file("b.txt", "2").end());
    let mut options = OpenOptions::default();
    options.options.insert("shard_md5".to_owned(), OptionValue::Bool(true));
    let source = WEBDATASET.open(Arc::new(files), &options).unwrap();
    let [found] = &findings(source.as_ref())[..] else { panic!("{:?}", findings(source.as_ref())) };
    assert!(found.message.contains("the MD5 of 1 of 2 archives"), "{found:?}");
}

#[test]
fn what_follows_the_end_is_told() {
    let one = Tar::default().file("a.txt", "1").end();
    let joined = [one.clone(), Tar::default().file("b.txt", "2").end()].concat();
    let source = open(&joined, &OpenOptions::default()).unwrap();
    let found = &source.plan().findings[0];
    assert_eq!((found.kind, found.at.byte_offset), (FindingKind::Repair, Some(one.len() as u64)));
    assert_eq!(keys(&read(source.as_ref()).0), ["a"]);
    // Archives are filled up with zeros.
    let padded = [one, vec![0; 10_000]].concat();
    assert!(open(&padded, &OpenOptions::default()).unwrap().plan().findings.is_empty());
}
