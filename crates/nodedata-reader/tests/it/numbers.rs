use nodedata_core::{DType, ErrorKind};
use nodedata_reader::{
    As, Column, Data, Fetched, FieldsRequest, MediaKind, Place, Ragged, Reader, Rows, Split, Tensor,
    VideoCache,
};
use nodedata_schema::FieldSchema;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use crate::made::{Made, blob, n_points, number, pages_of_rows, reward, task, three_shards};

fn opened(made: &Made) -> (tempfile::TempDir, Reader) {
    let folder = tempfile::tempdir().unwrap();
    made.write(folder.path());
    let reader = Reader::of_folder(folder.path()).unwrap();
    (folder, reader)
}

fn tensor<'a>(column: &'a Column, dtype: DType, shape: &[usize]) -> &'a [u8] {
    let Data::Tensor(Tensor { dtype: found, shape: of, bytes }) = &column.data else { panic!("{column:?}") };
    assert_eq!((*found, of.as_slice()), (dtype, shape), "{}", column.name);
    bytes
}

fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|it| f32::from_le_bytes(*it)).collect()
}

fn texts(column: &Column) -> &[String] {
    let Data::Text(texts) = &column.data else { panic!("{column:?}") };
    texts
}

fn is_valid(column: &Column, row: usize) -> bool {
    column.valid.as_ref().is_none_or(|it| it[row])
}

/// Holds rows to the numbers that they follow from.
fn check(rows: &Rows, numbers: &[u64]) {
    assert_eq!(rows.n_rows, numbers.len());
    let column = |name: &str| {
        let found = rows.column(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(found.n_rows(), numbers.len(), "{name}");
        found
    };
    let state = f32s(tensor(column("state"), DType::Float32, &[3]));
    let learned = f32s(tensor(column("learned"), DType::Float32, &[2]));
    let matrix = tensor(column("matrix"), DType::UInt8, &[2, 2]);
    let rewards = tensor(column("reward"), DType::Float64, &[]).as_chunks::<8>().0;
    let grip = tensor(column("grip"), DType::Float16, &[]).as_chunks::<2>().0;
    let open = tensor(column("is_open"), DType::Bool, &[]);
    let count = tensor(column("count"), DType::UInt32, &[]).as_chunks::<4>().0;
    let Data::Ragged(Ragged { values, offsets }) = &column("points").data else { panic!("lists") };
    assert_eq!((values.dtype, values.shape.as_slice()), (DType::Float32, &[2][..]));
    let points = f32s(&values.bytes);
    let Data::Bytes(blobs) = &column("blob").data else { panic!("bytes") };
    for (row, n) in numbers.iter().copied().enumerate() {
        assert_eq!(state[row * 3..][..3], [n as f32, n as f32 + 0.25, n as f32 + 0.5]);
        assert_eq!(learned[row * 2..][..2], [n as f32, -(n as f32)]);
        let has_matrix = n % 4 != 2;
        assert_eq!(is_valid(column("matrix"), row), has_matrix, "{n}");
        let expected: Vec<u8> = (0..4).map(|it| if has_matrix { (n + it) as u8 } else { 0 }).collect();
        assert_eq!(matrix[row * 4..][..4], expected);
        let found = f64::from_le_bytes(rewards[row]);
        assert_eq!(is_valid(column("reward"), row), reward(n).is_some());
        assert!(reward(n).map_or(found.is_nan(), |it| it == found), "{n}: {found}");
        assert_eq!(half::f16::from_le_bytes(grip[row]).to_f64(), n as f64 / 4.0);
        assert_eq!(
            (open[row] == 1, u32::from_le_bytes(count[row])),
            (n.is_multiple_of(3), u32::MAX - n as u32)
        );
        let range = offsets[row] as usize * 2..offsets[row + 1] as usize * 2;
        let expected: Vec<f32> = (0..2 * n_points(n)).map(|it| (n * 10 + it) as f32).collect();
        assert_eq!(points[range], expected, "{n}");
        assert_eq!(is_valid(column("points"), row), n % 7 != 3);
        assert_eq!(texts(column("task"))[row], task(n).unwrap_or_default());
        assert_eq!(is_valid(column("task"), row), task(n).is_some());
        let words: Vec<String> = (0..n % 3).map(|it| format!("\"w{n}.{it}\"")).collect();
        let expected = if n % 5 == 4 { String::new() } else { format!("[{}]", words.join(",")) };
        assert_eq!(texts(column("words"))[row], expected);
        assert_eq!(is_valid(column("words"), row), n % 5 != 4);
        let deep = ["[]".to_owned(), "[[]]".to_owned(), format!("[[],[{}]]", n * 10)];
        assert_eq!(texts(column("deep"))[row], deep[(n % 3) as usize]);
        assert_eq!(blobs[row], blob(n).unwrap_or_default());
        assert_eq!(is_valid(column("blob"), row), blob(n).is_some());
    }
}

fn check_split(split: &Split, first_episode: i64) {
    let fields = split.fields(&FieldsRequest::default()).unwrap();
    for episode in 0..split.n_episodes() {
        let length = split.lengths()[episode];
        let n = |step: u64| number(first_episode + episode as i64, step);
        check(&split.rows(episode, 0..length, &fields).unwrap(), &(0..length).map(n).collect::<Vec<_>>());
        for steps in [0..1, length - 1..length, length / 2..length, 3..3, length / 3..length / 3 + 2] {
            let rows = split.rows(episode, steps.clone(), &fields).unwrap();
            check(&rows, &steps.map(n).collect::<Vec<_>>());
        }
        let scattered = [length - 1, 2, 0, 2, length / 2, 1];
        let (none, cache) = (Fetched::default(), VideoCache::new(0));
        let rows = split.decode_steps(&none, episode, &scattered, &fields, &cache).unwrap();
        check(&rows, &scattered.map(n));
    }
}

/// Whatever pages there are, and whether the file tells where they lie.
#[test]
fn every_form_comes_back() {
    for n_page in [1, 7, 1000] {
        for has_index in [true, false] {
            // Who wants statistics of each page gets the index with them.
            let statistics = if has_index { EnabledStatistics::Page } else { EnabledStatistics::Chunk };
            let properties = || {
                pages_of_rows(n_page).set_statistics_enabled(statistics).set_offset_index_disabled(!has_index)
            };
            let (_folder, reader) = opened(&three_shards(properties));
            check_split(&reader.split("train", "steps").unwrap(), 0);
            check_split(&reader.split("val", "steps").unwrap(), 3);
        }
    }
}

#[test]
fn other_writers_settings_are_read() {
    use parquet::{
        basic::{Compression, ZstdLevel},
        file::properties::WriterVersion,
    };
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1).unwrap());
    for properties in [
        WriterProperties::builder().set_writer_version(WriterVersion::PARQUET_2_0),
        pages_of_rows(9).set_writer_version(WriterVersion::PARQUET_2_0).set_compression(zstd),
        pages_of_rows(9).set_compression(Compression::SNAPPY).set_dictionary_enabled(false),
    ] {
        let (_folder, reader) = opened(&three_shards(|| properties.clone()));
        check_split(&reader.split("train", "steps").unwrap(), 0);
    }
}

#[test]
fn a_split_is_told_without_a_row() {
    let (folder, reader) = opened(&three_shards(|| pages_of_rows(9)));
    assert_eq!(
        (reader.splits(), reader.streams()),
        (vec!["train".to_owned(), "val".to_owned()], vec!["steps".to_owned()])
    );
    assert_eq!((reader.id(), reader.revision(), reader.is_withdrawn()), (None, None, false));
    assert_eq!(reader.card().unwrap().as_deref(), Some("# Made by hand\n"));
    assert_eq!(reader.stats().unwrap()["nd"], "stats/1");
    assert_eq!(reader.files().len(), 3 + 4 + 3);
    let split = reader.split("train", "steps").unwrap();
    assert_eq!((split.n_episodes(), split.n_steps(), split.lengths()), (3, 147, vec![70, 65, 12]));
    assert_eq!(
        (split.step_ns(), split.fps().unwrap(), split.rows_are_samples()),
        (Some(50_000_000), Some(20.0), false)
    );
    let bytes = |name: &str| std::fs::metadata(folder.path().join("data").join(name)).unwrap().len();
    assert_eq!(split.shard_bytes(), bytes("train-00000.parquet") + bytes("train-00001.parquet"));
    let episode = split.episode(1).unwrap();
    assert_eq!((episode.key.as_str(), episode.index, episode.n_steps), ("b", 1, 65));
    assert_eq!((episode.task.as_deref(), episode.source.as_str()), (Some("stack the blocks"), "made"));
    // Of the first of its parts, and of the last.
    assert_eq!((episode.start_time_ns, episode.end_time_ns), (Some(70_000), Some(25_000)));
    assert_eq!(split.episode(3).unwrap_err().kind(), ErrorKind::Config);
    // What is asked of each step says the same.
    let head = split.head(1).unwrap();
    assert_eq!(
        (head.key, head.index, head.n_steps, head.task),
        (&*episode.key, episode.index, episode.n_steps, episode.task.as_deref())
    );
    assert_eq!(split.head(3).unwrap_err().kind(), ErrorKind::Config);

    let media: Vec<(&str, Option<MediaKind>, &[i64])> =
        split.features().iter().map(|it| (&*it.name, it.media, it.shape.as_slice())).collect();
    assert_eq!(media[0], ("episode_index", None, &[][..]));
    assert_eq!(media[3], ("matrix", None, &[2, 2][..]));
    assert_eq!(media[5], ("points", None, &[-1, 2][..]));
    assert_eq!(media[6], ("learned", None, &[2][..]), "as the schema has seen all rows to be");
    assert_eq!(media[12], ("deep", Some(MediaKind::Json), &[][..]));
    let fields = split.fields(&FieldsRequest::default()).unwrap();
    assert!(fields.get("episode_index").is_none(), "rows are of one episode");
    assert_eq!(fields.len(), split.features().len() - 1);
    assert_eq!(split.fields(&FieldsRequest::named(["state", "count"])).unwrap().row_bytes(), 16);
}

#[test]
fn mistakes_are_told_at_once_with_what_is_near() {
    let (_folder, reader) = opened(&three_shards(|| pages_of_rows(9)));
    let err = reader.split("trian", "steps").unwrap_err();
    assert_eq!((err.kind(), err.hint()), (ErrorKind::Config, Some("did you mean `train`?")));
    let err = reader.split("train", "step").unwrap_err();
    assert_eq!((err.kind(), err.hint()), (ErrorKind::Config, Some("did you mean `steps`?")));
    let split = reader.split("train", "steps").unwrap();
    let request = FieldsRequest {
        fields: Some(
            [("stat", As::Decoded), ("reward", As::Bytes), ("task", As::Decoded), ("task", As::Decoded)]
                .map(|(name, read_as)| (name.to_owned(), read_as))
                .to_vec(),
        ),
        resize: vec![("task".to_owned(), [4, 4]), ("nothing".to_owned(), [0, 1])],
    };
    let err = split.fields(&request).unwrap_err();
    assert_eq!((err.kind(), err.hint()), (ErrorKind::Config, Some("did you mean `state`?")));
    let told = err.to_string();
    assert_eq!(told.lines().count(), 5, "{told}");
    for what in ["`stat`", "`reward`", "`task` is named twice", "no picture", "`nothing`"] {
        assert!(told.contains(what), "{what} in {told}");
    }
    let fields = split.fields(&FieldsRequest::named(["state"])).unwrap();
    for (episode, steps) in [(0, 0..71), (3, 0..1)] {
        assert_eq!(split.rows(episode, steps, &fields).unwrap_err().kind(), ErrorKind::Config);
    }
}

/// A schema that says what rows are not is found, and where.
#[test]
fn rows_of_another_shape_are_told_with_their_place() {
    let mut made = three_shards(|| pages_of_rows(9));
    let dims = vec![nodedata_core::Dim::Fixed(1), nodedata_core::Dim::Fixed(2)];
    made.told.push(("points", FieldSchema::new(DType::Float32, dims)));
    let (_folder, reader) = opened(&made);
    let split = reader.split("train", "steps").unwrap();
    let fields = split.fields(&FieldsRequest::named(["points"])).unwrap();
    // That of step 5 is; its neighbours on the page are not.
    assert_eq!(n_points(number(1, 5)), 1);
    assert_eq!(
        f32s(tensor(&split.rows(1, 5..6, &fields).unwrap().columns[0], DType::Float32, &[1, 2])),
        [1050.0, 1051.0]
    );
    let err = split.rows(1, 40..65, &fields).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::SchemaMismatch, "{}", err.chain());
    let place = Place::of(&err).unwrap();
    assert_eq!(place.shard.as_deref(), Some("data/train-00001.parquet"));
    assert_eq!(
        (place.episode, place.key.as_deref(), place.feature.as_deref()),
        (Some(1), Some("b"), Some("points"))
    );
    assert!(place.row.is_some() && place.step.is_some());
    assert!(err.hint().is_some());
}

/// A page is decoded once; what one thread has read another has.
#[test]
fn threads_read_one_reader() {
    let (_folder, reader) = opened(&three_shards(|| pages_of_rows(7)));
    let split = reader.split("train", "steps").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| check_split(&split, 0));
        }
    });
}
