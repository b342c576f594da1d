use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array};
use bytes::Bytes;
use nodedata_core::{DType, Dim, EPISODE_INDEX, ErrorKind, Feature, Storage, meta};
use nodedata_media::{
    Decoded, ImageShape, decode_image, encode_jpeg, encode_png,
    resize::{Resampling, Resize},
    wav_to_flac,
};
use nodedata_reader::{
    As, Data, Fetched, FieldsRequest, MediaKind, Memory, Place, Ragged, Reader, Rooms, Rows, Split, Tensor,
    VideoCache,
};
use nodedata_schema::FieldSchema;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};

use crate::made::{Episode, Made, Shard, batch, fixed, list, media};

/// A picture of noise that follows from a number, so that no two are alike and none is small.
fn noise(n: u64, height: u32, width: u32, channels: u32, dtype: DType) -> Decoded {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    let width_of = dtype.byte_width().unwrap();
    let n_bytes = (height * width * channels) as usize * width_of;
    Decoded { height, width, channels, dtype, pixels: (0..n_bytes).map(|_| byte()).collect() }
}

fn jpeg(n: u64) -> Vec<u8> {
    encode_jpeg(&noise(n, 96, 128, 3, DType::UInt8), 95).unwrap()
}

fn depth(n: u64) -> Decoded {
    noise(n, 6, 8, 1, DType::UInt16)
}

fn coded(name: &str, dtype: DType, encoding: &str) -> Feature {
    let feature = Feature::new(name, dtype, Vec::new()).with_meta(meta::ENCODING, encoding);
    Feature { storage: Storage::EncodedMedia, ..feature }.nullable()
}

fn told(dtype: DType, shape: &[u32], encoding: &str) -> FieldSchema {
    let shape = shape.iter().map(|it| if *it == 0 { Dim::Variable } else { Dim::Fixed(*it) }).collect();
    FieldSchema { encoding: Some(encoding.to_owned()), ..FieldSchema::new(dtype, shape) }
}

fn media_pages(features: &[Feature]) -> WriterPropertiesBuilder {
    let builder = WriterProperties::builder()
        .set_write_batch_size(4)
        .set_data_page_row_count_limit(4)
        .set_dictionary_enabled(false)
        .set_compression(parquet::basic::Compression::UNCOMPRESSED);
    assert!(!features.is_empty());
    builder
}

/// One shard with one episode, of one column beside that of the episode.
fn one_column(feature: Feature, column: ArrayRef, said: Option<FieldSchema>) -> Made {
    let n = column.len();
    let index = Feature::new(EPISODE_INDEX, DType::Int64, Vec::new());
    let features = vec![index, feature];
    let numbers: ArrayRef = std::sync::Arc::new(Int64Array::from_iter_values((0..n).map(|_| 0)));
    let name: &'static str = match features[1].name.as_str() {
        "rgb" => "rgb",
        "depth" => "depth",
        "raw" => "raw",
        "sound" => "sound",
        "stack" => "stack",
        other => panic!("no test has a column {other}"),
    };
    Made {
        told: said.map(|it| (name, it)).into_iter().collect(),
        shards: vec![Shard {
            split: "train",
            rows: batch(&features, vec![numbers, column]),
            properties: media_pages(&features).build(),
        }],
        episodes: vec![Episode { key: "a", split: "train", parts: vec![(0, 0, n as u64)] }],
        features,
        tables: Vec::new(),
    }
}

/// So many JPEG pictures of 96 × 128, about 20 KB each, none of them null.
pub(crate) fn pictures(n: u64) -> Made {
    let feature = coded("rgb", DType::UInt8, "jpeg");
    let column = media(&feature, (0..n).map(|it| Some(jpeg(it))).collect());
    one_column(feature, column, Some(told(DType::UInt8, &[96, 128, 3], "jpeg")))
}

fn opened(made: &Made) -> (tempfile::TempDir, Split) {
    let folder = tempfile::tempdir().unwrap();
    made.write(folder.path());
    let split = Reader::of_folder(folder.path()).unwrap().split("train", "steps").unwrap();
    (folder, split)
}

fn read(split: &Split, request: &FieldsRequest, steps: std::ops::Range<u64>) -> nodedata_core::Result<Rows> {
    split.rows(0, steps, &split.fields(request)?)
}

fn tensor(rows: &Rows) -> &Tensor {
    let Data::Tensor(tensor) = &rows.columns[0].data else { panic!("{rows:?}") };
    tensor
}

fn resized(picture: &Decoded, size: [u32; 2], resampling: Resampling) -> Vec<u8> {
    let from = picture.shape();
    let to = ImageShape { height: size[0], width: size[1], ..from };
    let mut pixels = vec![0; to.n_bytes().unwrap()];
    Resize::new(from, size, resampling).unwrap().resize(&picture.pixels, &mut pixels).unwrap();
    pixels
}

#[test]
fn pictures_become_pixels_and_a_missing_one_zeros() {
    let feature = coded("rgb", DType::UInt8, "jpeg");
    let column = media(&feature, (0..11).map(|it| (it != 5).then(|| jpeg(it))).collect());
    let (_folder, split) =
        opened(&one_column(feature, column, Some(told(DType::UInt8, &[96, 128, 3], "jpeg"))));
    let info = &split.features()[1];
    assert_eq!(
        (info.media, info.shape.as_slice(), info.dtype),
        (Some(MediaKind::Image), &[96, 128, 3][..], DType::UInt8)
    );
    let request = FieldsRequest::named(["rgb"]);
    let rows = read(&split, &request, 0..11).unwrap();
    let tensor = tensor(&rows);
    assert_eq!((tensor.dtype, tensor.shape.as_slice()), (DType::UInt8, &[96, 128, 3][..]));
    let each = 96 * 128 * 3;
    for row in 0..11u64 {
        let found = &tensor.bytes[row as usize * each..][..each];
        let expected = if row == 5 { vec![0; each] } else { decode_image(&jpeg(row)).unwrap().pixels };
        assert!(found == expected, "row {row}");
        assert_eq!(rows.columns[0].valid.as_ref().unwrap()[row as usize], row != 5);
    }
    // Coded as they are, and of another size.
    let bytes = FieldsRequest { fields: Some(vec![("rgb".to_owned(), As::Bytes)]), resize: Vec::new() };
    let rows = read(&split, &bytes, 4..7).unwrap();
    assert_eq!(rows.columns[0].data, Data::Bytes(vec![jpeg(4).into(), Bytes::new(), jpeg(6).into()]));
    let small = FieldsRequest { resize: vec![("rgb".to_owned(), [32, 40])], ..FieldsRequest::named(["rgb"]) };
    assert_eq!(split.fields(&small).unwrap().row_bytes(), 32 * 40 * 3);
    let rows = read(&split, &small, 2..4).unwrap();
    let found = self::tensor(&rows);
    assert_eq!(found.shape, [32, 40, 3]);
    let expected = |it: u64| resized(&decode_image(&jpeg(it)).unwrap(), [32, 40], Resampling::Triangle);
    assert!(found.bytes == [expected(2), expected(3)].concat());
}

#[test]
fn pictures_are_put_where_they_are_wanted() {
    let (_folder, split) = opened(&pictures(6));
    let (none, cache, name) = (Fetched::default(), VideoCache::new(0), "rgb".into());
    for size in [None, Some([32, 40])] {
        let resize = size.map(|it| ("rgb".to_owned(), it)).into_iter().collect();
        let fields = split.fields(&FieldsRequest { resize, ..FieldsRequest::named(["rgb"]) }).unwrap();
        let n_bytes = 3 * fields.row_bytes() as usize;
        let expected = split.decode(&none, 0, 1..4, &fields, &cache).unwrap();
        // Where they fit; else they have memory of their own.
        for n_wanted in [n_bytes, n_bytes - 1] {
            let (rooms, memory) = (Rooms::default(), Memory::zeros(n_wanted).unwrap());
            let address = memory.as_ptr();
            rooms.put(&name, memory);
            let rows = split.decode_into(&none, 0, 1..4, &fields, &cache, &rooms).unwrap();
            assert!(rows == expected);
            assert_eq!(tensor(&rows).bytes.as_ptr() == address, n_wanted == n_bytes);
            assert_eq!(rooms.take("rgb", n_wanted).is_some(), n_wanted != n_bytes);
        }
    }
}

/// 16 bits stay 16 bits, and no mean is made of two distances.
#[test]
fn depth_is_as_it_was() {
    let feature = coded("depth", DType::UInt16, "png");
    let column = media(&feature, (0..6).map(|it| Some(encode_png(&depth(it)).unwrap())).collect());
    let (_folder, split) = opened(&one_column(feature, column, Some(told(DType::UInt16, &[6, 8], "png"))));
    assert_eq!(split.features()[1].media, Some(MediaKind::Depth));
    let rows = read(&split, &FieldsRequest::named(["depth"]), 1..5).unwrap();
    let expected: Vec<u8> = (1..5).flat_map(|it| depth(it).pixels).collect();
    assert_eq!(tensor(&rows), &Tensor { dtype: DType::UInt16, shape: vec![6, 8], bytes: expected.into() });
    let small = FieldsRequest { resize: vec![("depth".to_owned(), [3, 4])], ..FieldsRequest::default() };
    let rows = read(&split, &small, 0..1).unwrap();
    assert_eq!(tensor(&rows).bytes, resized(&depth(0), [3, 4], Resampling::Nearest));
}

#[test]
fn a_picture_of_another_size_is_told_with_its_place() {
    let feature = coded("rgb", DType::UInt8, "jpeg");
    let other = encode_jpeg(&noise(1, 48, 64, 3, DType::UInt8), 90).unwrap();
    let column = media(&feature, vec![Some(jpeg(0)), Some(jpeg(1)), Some(other.clone()), Some(jpeg(3))]);
    let made = |said| one_column(feature.clone(), column.clone(), said);
    let (_folder, split) = opened(&made(Some(told(DType::UInt8, &[96, 128, 3], "jpeg"))));
    let err = read(&split, &FieldsRequest::named(["rgb"]), 0..4).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::SchemaMismatch, "{}", err.chain());
    let place = Place::of(&err).unwrap();
    assert_eq!((place.row, place.step, place.feature.as_deref()), (Some(2), Some(2), Some("rgb")));
    assert!(read(&split, &FieldsRequest::named(["rgb"]), 0..2).is_ok());
    // Where nobody says that they are alike, they need not be: one after the other, or of a size that is asked for.
    let (_folder, split) = opened(&made(Some(told(DType::UInt8, &[0, 0, 3], "jpeg"))));
    assert_eq!(split.features()[1].shape, [-1, -1, 3]);
    assert_eq!(tensor(&read(&split, &FieldsRequest::named(["rgb"]), 2..3).unwrap()).shape, [48, 64, 3]);
    let err = read(&split, &FieldsRequest::named(["rgb"]), 0..4).unwrap_err();
    assert_eq!((err.kind(), Place::of(&err).unwrap().row), (ErrorKind::SchemaMismatch, Some(2)));
    assert!(!err.chain().contains("schema"), "it says nothing: {}", err.chain());
    let small = FieldsRequest { resize: vec![("rgb".to_owned(), [24, 32])], ..FieldsRequest::default() };
    let rows = read(&split, &small, 0..4).unwrap();
    let all = [jpeg(0), jpeg(1), other, jpeg(3)];
    let expected: Vec<u8> = all
        .iter()
        .flat_map(|it| resized(&decode_image(it).unwrap(), [24, 32], Resampling::Triangle))
        .collect();
    assert!(tensor(&rows).bytes == expected);
    // Nor is anything known of their sizes where nobody has told even how many dimensions there are.
    let (_folder, split) = opened(&made(None));
    let fields = split.fields(&FieldsRequest::named(["rgb"])).unwrap();
    assert_eq!((fields.get("rgb").unwrap().row_bytes(), fields.row_bytes()), (None, 0));
    assert_eq!(tensor(&read(&split, &FieldsRequest::named(["rgb"]), 0..2).unwrap()).shape, [96, 128, 3]);
}

#[test]
fn a_broken_picture_is_damage_of_its_row() {
    let feature = coded("rgb", DType::UInt8, "jpeg");
    let mut broken = jpeg(2);
    broken.truncate(200);
    let column =
        media(&feature, vec![Some(jpeg(0)), Some(jpeg(1)), Some(broken), Some(b"RIFF....WEBPVP8 ".to_vec())]);
    let (_folder, split) =
        opened(&one_column(feature, column, Some(told(DType::UInt8, &[96, 128, 3], "mixed"))));
    let request = FieldsRequest::named(["rgb"]);
    let err = read(&split, &request, 1..3).unwrap_err();
    assert_eq!((err.kind(), Place::of(&err).unwrap().row), (ErrorKind::Corrupt, Some(2)), "{}", err.chain());
    let err = read(&split, &request, 3..4).unwrap_err();
    assert_eq!((err.kind(), Place::of(&err).unwrap().row), (ErrorKind::Unsupported, Some(3)));
    assert!(
        err.chain().contains("webp") && err.hint().is_some_and(|it| it.contains("bytes")),
        "{}",
        err.chain()
    );
}

#[test]
fn raw_frames_are_read_as_they_lie() {
    let mut feature =
        Feature::new("raw", DType::UInt8, Vec::new()).with_meta(meta::ENCODING, "raw").nullable();
    feature.storage = Storage::RawMedia;
    let frame = |n: u64| noise(n, 5, 7, 3, DType::UInt8).pixels;
    let values: Vec<Option<Vec<u8>>> = (0..9).map(|it| (it != 4).then(|| frame(it))).collect();
    let column: ArrayRef = std::sync::Arc::new(BinaryArray::from_iter(values.iter().map(|it| it.as_deref())));
    let (_folder, split) =
        opened(&one_column(feature.clone(), column.clone(), Some(told(DType::UInt8, &[5, 7, 3], "raw"))));
    let rows = read(&split, &FieldsRequest::default(), 3..6).unwrap();
    let expected = [frame(3), vec![0; 105], frame(5)].concat();
    assert_eq!(tensor(&rows), &Tensor { dtype: DType::UInt8, shape: vec![5, 7, 3], bytes: expected.into() });
    assert_eq!(rows.columns[0].valid, Some(vec![true, false, true]));
    let (_folder, split) =
        opened(&one_column(feature.clone(), column.clone(), Some(told(DType::UInt8, &[5, 8, 3], "raw"))));
    let err = read(&split, &FieldsRequest::default(), 3..6).unwrap_err();
    assert_eq!((err.kind(), Place::of(&err).unwrap().row), (ErrorKind::SchemaMismatch, Some(3)));
    // Of no known shape they are bytes.
    let (_folder, split) = opened(&one_column(feature, column, Some(told(DType::Bytes, &[], "raw"))));
    let rows = read(&split, &FieldsRequest::default(), 3..5).unwrap();
    assert_eq!(rows.columns[0].data, Data::Bytes(vec![frame(3).into(), Bytes::new()]));
}

/// A clip of 16 bits in stereo.
fn wav(samples: &[i16]) -> Vec<u8> {
    let n_data = samples.len() as u32 * 2;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + n_data).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    for it in [1u16, 2] {
        bytes.extend(it.to_le_bytes());
    }
    for it in [8000u32, 32_000] {
        bytes.extend(it.to_le_bytes());
    }
    for it in [4u16, 16] {
        bytes.extend(it.to_le_bytes());
    }
    bytes.extend(b"data");
    bytes.extend(n_data.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|it| it.to_le_bytes()));
    bytes
}

#[test]
fn clips_become_samples() {
    let feature = coded("sound", DType::Int16, "flac");
    let samples = |n: i16| (0..200 * n).map(|it| it * 7 - 300).collect::<Vec<i16>>();
    let clips = [1, 3, 2].map(|n| Some(wav_to_flac(&wav(&samples(n))).unwrap()));
    let column = media(&feature, [clips.to_vec(), vec![None]].concat());
    let (_folder, split) = opened(&one_column(feature, column, Some(told(DType::Int16, &[0, 2], "flac"))));
    assert_eq!(
        (split.features()[1].media, split.features()[1].shape.as_slice()),
        (Some(MediaKind::Audio), &[-1, 2][..])
    );
    let rows = read(&split, &FieldsRequest::default(), 0..4).unwrap();
    let Data::Ragged(Ragged { values, offsets }) = &rows.columns[0].data else { panic!("{rows:?}") };
    assert_eq!((values.dtype, values.shape.as_slice()), (DType::Int16, &[2][..]));
    assert_eq!(offsets, &[0, 100, 400, 600, 600]);
    let expected: Vec<u8> =
        [1, 3, 2].iter().flat_map(|n| samples(*n)).flat_map(|it| it.to_le_bytes()).collect();
    assert_eq!(values.bytes, expected);
    assert_eq!(rows.columns[0].valid, Some(vec![true, true, true, false]));
}

/// How many channels clips of one length have, only one of them tells; those before it are as long as it is.
#[test]
fn a_clip_that_is_missing_is_silence() {
    let feature = coded("sound", DType::Int16, "flac");
    let samples: Vec<i16> = (0..200).map(|it| it * 7 - 300).collect();
    let clip = wav_to_flac(&wav(&samples)).unwrap();
    let column = media(&feature, vec![None, Some(clip), None]);
    let (_folder, split) = opened(&one_column(feature, column, Some(told(DType::Int16, &[100, 0], "flac"))));
    let rows = read(&split, &FieldsRequest::default(), 0..3).unwrap();
    let mut expected = vec![0; 400];
    expected.extend(samples.iter().flat_map(|it| it.to_le_bytes()));
    expected.resize(1200, 0);
    assert_eq!(tensor(&rows), &Tensor { dtype: DType::Int16, shape: vec![100, 2], bytes: expected.into() });
    assert_eq!(rows.columns[0].valid, Some(vec![false, true, false]));
    let rows = read(&split, &FieldsRequest::default(), 2..3).unwrap();
    assert_eq!((tensor(&rows).shape.as_slice(), tensor(&rows).bytes.len()), (&[100, 1][..], 200));
}

#[test]
fn stacks_of_pictures_keep_their_lists() {
    let frame = |n: u64| noise(n, 4, 6, 3, DType::UInt8);
    let stack = |lists: Vec<Dim>| coded("stack", DType::UInt8, "png").in_lists(lists);
    let coded: Vec<Option<Vec<u8>>> = (0..6).map(|it| Some(encode_png(&frame(it)).unwrap())).collect();
    let feature = stack(vec![Dim::Fixed(2)]);
    let column = fixed(&feature.arrow_type(), media(&feature, coded.clone()), None);
    let said = FieldSchema { lists: Some(1), ..told(DType::UInt8, &[2, 4, 6, 3], "png") };
    let (_folder, split) = opened(&one_column(feature, column, Some(said)));
    assert_eq!(split.features()[1].shape, [2, 4, 6, 3]);
    let rows = read(&split, &FieldsRequest::default(), 1..3).unwrap();
    let expected: Vec<u8> = (2..6).flat_map(|it| frame(it).pixels).collect();
    assert_eq!(
        tensor(&rows),
        &Tensor { dtype: DType::UInt8, shape: vec![2, 4, 6, 3], bytes: expected.into() }
    );

    let feature = stack(vec![Dim::Variable]);
    let lengths = [1usize, 0, 3, 2].into_iter();
    let column = list(&feature.arrow_type(), lengths, media(&feature, coded), None);
    let said = FieldSchema { lists: Some(1), ..told(DType::UInt8, &[0, 4, 6, 3], "png") };
    let (_folder, split) = opened(&one_column(feature, column, Some(said)));
    let rows = read(&split, &FieldsRequest::default(), 0..4).unwrap();
    let Data::Ragged(Ragged { values, offsets }) = &rows.columns[0].data else { panic!("{rows:?}") };
    assert_eq!((values.shape.as_slice(), offsets.as_slice()), (&[4, 6, 3][..], &[0, 1, 1, 4, 6][..]));
    assert_eq!(values.bytes, (0..6).flat_map(|it| frame(it).pixels).collect::<Vec<u8>>());
}
