//! Where pages and key frames lie: as the end of a shard says, as the index says, and in shards that others wrote without saying it.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow_array::{ArrayRef, BinaryArray, Int64Array, ListArray, RecordBatch, cast::AsArray as _, types};
use bytes::Bytes;
use nodedata_core::Silent;
use nodedata_dataset::{Dataset, PageRange, ShardIndex, validate};
use nodedata_testkit::corpus;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
};

use crate::{command::Work, logs::fixture};

fn of_video(work: &Work) -> Dataset {
    let source = corpus::fixtures("lerobot").join("v30_video_h264");
    work.run(["convert", &source.display().to_string(), "--out", "video"]).exits(0);
    Dataset::open(work.path("video")).unwrap()
}

/// Start, end and first row of a page.
type Place = (u64, u64, i64);

/// The index of a shard and the table of pages are two ways to the same places.
#[test]
fn the_end_of_a_shard_tells_what_the_table_does() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    work.run(["convert", &log, "--out", "log"]).exits(0);
    for dataset in [of_video(&work), Dataset::open(work.path("log")).unwrap()] {
        for (idx, shard) in dataset.manifest.shards.iter().enumerate() {
            let index = dataset.shard_index(idx).unwrap();
            assert_eq!((index.n_rows(), index.lacks_pages()), (shard.rows, false), "{}", shard.path);
            let mut told: BTreeMap<(u32, String), Vec<Place>> = BTreeMap::new();
            for page in dataset.pages(idx).unwrap().iter() {
                let of_chunk = told.entry((page.row_group, page.column.to_owned())).or_default();
                of_chunk.push((page.offset, page.offset + page.n_bytes, page.first_row));
            }
            let n_columns = index.metadata().file_metadata().schema_descr().num_columns();
            for group in 0..index.metadata().num_row_groups() {
                for column in 0..n_columns {
                    let chunk = index.chunk(group, column).unwrap();
                    let dictionary = chunk.dictionary().map(|it| (it.start, it.end, -1));
                    let data = chunk.pages().map(|it| (it.bytes.start, it.bytes.end, it.rows.start as i64));
                    let found: Vec<_> = dictionary.into_iter().chain(data).collect();
                    let name = chunk.column().path().string();
                    assert_eq!(told.remove(&(group as u32, name)), Some(found), "{}", shard.path);
                }
            }
            assert!(told.is_empty(), "{told:?}");
        }
        assert!(dataset.shard_index(dataset.manifest.shards.len()).is_err());
    }
}

#[test]
fn the_index_of_video_names_the_key_frames() {
    let work = Work::new();
    let dataset = of_video(&work);
    let videos = dataset.videos().unwrap();
    assert!(!videos.is_empty());
    for video in videos {
        let mut marked: Vec<bool> = Vec::new();
        for shard in dataset.manifest.shards.iter().filter(|it| it.stream == video.stream) {
            for rows in dataset.shard(shard).unwrap() {
                let rows = rows.unwrap();
                let column = |name: &str| rows.column_by_name(name).unwrap();
                let episodes = column("episode_index").as_primitive::<types::Int64Type>();
                let keyframes = column(&format!("{}.keyframe", video.feature)).as_boolean();
                let of_episode =
                    (0..rows.num_rows()).filter(|it| episodes.value(*it) as u64 == video.episode);
                marked.extend(of_episode.map(|it| keyframes.value(it)));
            }
        }
        let steps: Vec<u32> = (0..).zip(&marked).filter(|(_, it)| **it).map(|(step, _)| step).collect();
        assert_eq!(steps.first(), Some(&0), "an episode that passes through begins with a key frame");
        assert!(steps.len() < marked.len(), "not every frame is one");
        assert_eq!(video.keyframes, Some(steps), "episode {} of {}", video.episode, video.feature);
    }
}

/// The dataset with other columns in its table of video, for which its manifest vouches.
fn with_video_table(work: &Work, change: impl Fn(&mut Vec<(String, ArrayRef)>)) -> Dataset {
    let path = work.path("video/index/video.parquet");
    let bytes = Bytes::from(std::fs::read(&path).unwrap());
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
    let rows = reader.next().unwrap().unwrap();
    let names = rows.schema().fields().iter().map(|it| it.name().clone()).collect::<Vec<_>>();
    let mut columns: Vec<(String, ArrayRef)> = names.into_iter().zip(rows.columns().to_vec()).collect();
    change(&mut columns);
    let changed = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), changed.schema(), None).unwrap();
    writer.write(&changed).unwrap();
    std::fs::write(&path, writer.into_inner().unwrap()).unwrap();
    let mut manifest = work.json("video/manifest.json");
    let entry = &mut manifest["index"]["video"];
    let b3 = Dataset::open(work.path("video")).unwrap().b3_of_file("index/video.parquet").unwrap();
    entry["b3"] = b3.into();
    entry["bytes"] = std::fs::metadata(&path).unwrap().len().into();
    work.write("video/manifest.json", manifest.to_string());
    Dataset::open(work.path("video")).unwrap()
}

/// The kinds of findings about a dataset, its rows read.
fn codes(dataset: &Dataset) -> Vec<&'static str> {
    validate(dataset, true, &Silent).unwrap().findings.iter().map(|it| it.code).collect()
}

/// A table of video that an earlier version wrote has no key frames, and is read all the same.
#[test]
fn a_table_of_video_without_key_frames_is_read() {
    let work = Work::new();
    assert_eq!(codes(&of_video(&work)), [""; 0]);
    let dataset = with_video_table(&work, |columns| columns.retain(|(name, _)| name != "keyframes"));
    let videos = dataset.videos().unwrap();
    assert!(!videos.is_empty() && videos.iter().all(|it| it.keyframes.is_none()), "{videos:?}");
    assert_eq!(codes(&dataset), [""; 0]);
}

#[test]
fn key_frames_that_the_rows_do_not_mark_are_found() {
    let work = Work::new();
    of_video(&work);
    let other = |columns: &mut Vec<(String, ArrayRef)>| {
        for (_, column) in columns.iter_mut().filter(|it| it.0 == "keyframes") {
            let steps = (0..column.len()).map(|_| Some([Some(0), Some(1)]));
            *column = Arc::new(ListArray::from_iter_primitive::<types::UInt32Type, _, _>(steps));
        }
    };
    let dataset = with_video_table(&work, other);
    assert!(dataset.videos().unwrap().iter().all(|it| it.keyframes == Some(vec![0, 1])));
    let found = codes(&dataset);
    assert!(!found.is_empty() && found.iter().all(|it| *it == "index-mismatch"), "{found:?}");
}

const N_ROWS: usize = 3000;

fn frame(row: usize) -> Vec<u8> {
    format!("<frame {row}>").into_bytes()
}

/// Frames, numbers and lists, as pyarrow writes them when it is not asked for an index of pages.
fn write_plain(path: &Path, has_index: bool) {
    let frames: ArrayRef = Arc::new(BinaryArray::from_iter_values((0..N_ROWS).map(frame)));
    let episodes: ArrayRef = Arc::new(Int64Array::from_iter_values((0..N_ROWS).map(|it| (it / 1000) as i64)));
    let state = |row: usize| Some((0..3).map(move |it| Some((3 * row + it) as f32)));
    let lists = ListArray::from_iter_primitive::<types::Float32Type, _, _>((0..N_ROWS).map(state));
    let lists: ArrayRef = Arc::new(lists);
    let rows = RecordBatch::try_from_iter([("episode_index", episodes), ("frame", frames), ("state", lists)])
        .unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap()))
        .set_column_compression("frame".into(), Compression::UNCOMPRESSED)
        .set_column_dictionary_enabled("frame".into(), false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(!has_index)
        .set_write_batch_size(10)
        .set_data_page_row_count_limit(10)
        .set_max_row_group_row_count(Some(2000))
        .build();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

/// Their pages are found by their headers when they are pushed; lists are one row a chunk.
#[test]
fn shards_that_tell_no_pages_get_their_rows() {
    let work = Work::new();
    let store = work.path("store").display().to_string();
    let variables = [("NODEDATA_STORE", store.as_str()), ("NODEDATA_USER", "acme")];
    let mut pulled = Vec::new();
    for (name, has_index) in [("bare", false), ("told", true)] {
        write_plain(&work.path(name).join("train-0.parquet"), has_index);
        let dataset = format!("acme/{name}");
        work.run_with(&variables, ["dataset", "push", "--name", &dataset, "--license", "MIT", name]).exits(0);
        let out = format!("{name}-out");
        work.run_with(&variables, ["dataset", "pull", &dataset, "--out", &out]).exits(0);
        pulled.push(Dataset::open(work.path(&out)).unwrap());
    }
    let [bare, told] = &pulled[..] else { panic!("two were pulled") };
    let index = bare.shard_index(0).unwrap();
    let own = ShardIndex::open("shard", &*bare.file("data/train-0.parquet").unwrap()).unwrap();
    assert!(own.chunk(0, 1).unwrap().is_whole(), "its writer left no index");
    let file = bare.file("data/train-0.parquet").unwrap();
    for row in (0..N_ROWS).step_by(7) {
        let (_, page) = index.page_of(1, row as u64).unwrap();
        assert!(page.rows.end - page.rows.start <= 10, "{page:?}");
        let bytes = file.read_at(page.bytes).unwrap();
        assert!(bytes.windows(frame(row).len()).any(|it| it == frame(row)), "row {row}");
    }
    let other = told.shard_index(0).unwrap();
    for group in 0..2 {
        for column in 0..2 {
            let pages =
                |of: &ShardIndex| -> Vec<PageRange> { of.chunk(group, column).unwrap().pages().collect() };
            assert_eq!(pages(&index), pages(&other), "row group {group}, column {column}");
        }
        assert!(index.chunk(group, 2).unwrap().is_whole() && !other.chunk(group, 2).unwrap().is_whole());
    }
    let table = bare.pages(0).unwrap();
    let lists: Vec<_> = table.iter().filter(|it| it.column.starts_with("state.")).collect();
    let whole: Vec<_> = (0..2).map(|it| index.chunk(it, 2).unwrap().bytes()).collect();
    let found: Vec<_> = lists.iter().map(|it| (it.offset..it.offset + it.n_bytes, it.first_row)).collect();
    assert_eq!(found, whole.into_iter().map(|it| (it, 0)).collect::<Vec<_>>());
    // What is added later leaves the rows of the shard as they are.
    write_plain(&work.path("more").join("val-0.parquet"), true);
    work.run_with(&variables, ["dataset", "push", "--name", "acme/bare", "--append", "more"]).exits(0);
    work.run_with(&variables, ["dataset", "pull", "acme/bare", "--out", "again"]).exits(0);
    let again = Dataset::open(work.path("again")).unwrap();
    let at = again.manifest.shards.iter().position(|it| it.path == "data/train-0.parquet").unwrap();
    assert_eq!(again.pages(at).unwrap(), table);
}

/// Chunks of lists that nobody can read a row of are worth a word before they are published.
#[test]
fn a_large_chunk_that_tells_no_pages_is_warned_of() {
    let work = Work::new();
    let path = work.path("large").join("train-0.parquet");
    // Not compressed, and a little more than 64 MiB.
    let state = |row: i64| Some((0..1024).map(move |it| Some(1024 * row + it)));
    let lists = ListArray::from_iter_primitive::<types::Int64Type, _, _>((0..9 << 10).map(state));
    let lists: ArrayRef = Arc::new(lists);
    let rows = RecordBatch::try_from_iter([("state", lists)]).unwrap();
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .build();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    let store = work.path("store").display().to_string();
    let variables = [("NODEDATA_STORE", store.as_str()), ("NODEDATA_USER", "acme")];
    let push = ["dataset", "push", "--name", "acme/large", "--license", "MIT", "large"];
    let pushed = work.run_with(&variables, push).exits(0);
    let expected =
        "warning: a column chunk of more than 64 MiB is only readable as a whole, the largest with 7";
    assert!(pushed.stderr.contains(expected), "{}", pushed.stderr);
    for part in
        ["`state.list.", "in row group 0 of data/train-0.parquet", "write_page_index=True", "row_group_size"]
    {
        assert!(pushed.stderr.contains(part), "{part}: {}", pushed.stderr);
    }
}

/// What `--access` asks for is what pages hold, and part of the recipe.
#[test]
fn access_decides_how_many_frames_a_page_holds() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    let mut recipes = Vec::new();
    for (access, rows_of_page) in [("random", 1), ("balanced", 8), ("scan", 64)] {
        work.run(["convert", &log, "--out", access, "--access", access]).exits(0);
        let dataset = Dataset::open(work.path(access)).unwrap();
        let camera = "streams/camera.scene.image.compressed/train-00000.parquet";
        let at = dataset.manifest.shards.iter().position(|it| it.path == camera).unwrap();
        let index = dataset.shard_index(at).unwrap();
        let leaves = index.leaves_of("data");
        let pages: Vec<PageRange> = index.chunk(0, leaves.start).unwrap().pages().collect();
        let rows: Vec<u64> = pages.iter().map(|it| it.rows.start).collect();
        assert_eq!(rows, (0..60).step_by(rows_of_page).collect::<Vec<u64>>(), "{access}");
        let file = dataset.file(camera).unwrap();
        for page in &pages {
            let bytes = file.read_at(page.bytes.clone()).unwrap();
            let n_frames = bytes.windows(3).filter(|it| *it == b"\xff\xd8\xff").count() as u64;
            assert_eq!(n_frames, page.rows.end - page.rows.start, "{access}");
        }
        let recipe = work.json(&format!("{access}/recipe.json"));
        let told = recipe["shards"].get("access").and_then(|it| it.as_str());
        assert_eq!(told, (access != "balanced").then_some(access));
        recipes.push((dataset.manifest.recipe.clone(), dataset.manifest.content_root.clone()));
        work.run(["validate", "--deep", access]).exits(0);
    }
    // The rows are the same, their bytes are not.
    assert!(recipes.iter().all(|it| it.1 == recipes[0].1));
    assert!(recipes[0].0 != recipes[1].0 && recipes[1].0 != recipes[2].0);
    // A pipeline says it too, and what there is none of is named with what there is.
    work.write("random.yaml", format!("version: 1\nsource: {log}\nshards: {{access: random}}\nout: piped\n"));
    work.run(["run", "random.yaml"]).exits(0);
    let shards = |name: &str| -> Vec<String> {
        Dataset::open(work.path(name)).unwrap().manifest.shards.iter().map(|it| it.b3.clone()).collect()
    };
    assert_eq!(shards("piped"), shards("random"));
    work.write("wrong.yaml", format!("version: 1\nsource: {log}\nshards: {{access: rndom}}\nout: wrong\n"));
    let refused = work.run(["run", "wrong.yaml"]).exits(2);
    assert!(refused.stderr.contains("did you mean `random`?"), "{}", refused.stderr);
}
