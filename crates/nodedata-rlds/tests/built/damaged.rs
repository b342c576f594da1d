//! The dataset of [`super::dataset`] with one thing wrong, in every way that files of records go wrong.

use bytes::Bytes;

use super::{
    FEATURES, Files, INFO, PNG, TRAIN, VAL, Value, dataset, entries, example, field, framed, masked_crc,
    varint, with,
};

/// What becomes of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is refused, but for `salvage`, which keeps so many of its ten steps.
    Salvaged(usize),
    /// It is refused whatever is asked for.
    Refused,
}

/// A dataset with one thing wrong.
pub(crate) struct Damaged {
    pub(crate) name: &'static str,
    pub(crate) files: Files,
    /// Part of what is told of it.
    pub(crate) told: &'static str,
    /// Parts of its address.
    pub(crate) place: &'static [&'static str],
    pub(crate) outcome: Outcome,
}

use Outcome::{Refused, Salvaged};

/// Where the second record of the first shard begins.
fn second() -> usize {
    framed(&example(&entries(0, 3))).len()
}

/// Every way; where it is that a record has very many keys, so many.
#[rustfmt::skip]
pub(crate) fn all(n_keys: usize) -> Vec<Damaged> {
    let case = |name, files, told, place, outcome| Damaged { name, files, told, place, outcome };
    vec![
        // Framing.
        case("torn last record", cut(TRAIN, |n| n - 1), "the file ends within a record", &[TRAIN, "byte "], Salvaged(9)),
        case("torn head", cut(TRAIN, |_| second() + 5), "the file ends within the head of a record", &[TRAIN, "byte "], Salvaged(9)),
        case("no last record", cut(TRAIN, |_| second()), "the file has 1 records, but `dataset_info.json` says 2", &[TRAIN, "byte "], Salvaged(9)),
        case("flipped payload bit", flipped(TRAIN, 100), "the record is not what its checksum says", &[TRAIN, "byte 0", "episode 0"], Salvaged(7)),
        case("flipped length bit", flipped(VAL, 1), "the length of a record is not what its checksum says", &[VAL, "byte 0"], Salvaged(8)),
        case("length of 2^63", with(VAL, [head(1 << 63), vec![0; 100]].concat()), "a record of 9223372036854775808 bytes", &[VAL, "byte 0"], Salvaged(8)),
        case("length of 2^64 - 1", with(VAL, [head(u64::MAX), vec![0; 100]].concat()), "a record of 18446744073709551615 bytes", &[VAL, "byte 0"], Salvaged(8)),
        case("empty file", with(VAL, ""), "the file is empty, but `dataset_info.json` says 1", &[VAL, "byte 0"], Salvaged(8)),
        case("missing shard", without(VAL), "1 file is not there of split `val`", &[VAL], Salvaged(8)),
        case("Git LFS pointer", with(VAL, LFS_POINTER), "the file is a Git LFS pointer", &[VAL, "byte 0"], Salvaged(8)),
        case("shard of another dataset", record(other_example()), "a key `image/encoded` that is none of the features", &[VAL, "byte 0", "episode 3"], Salvaged(8)),
        // Records.
        case("varint of 11 bytes", record([vec![0x0a], vec![0x80; 10], vec![1]].concat()), "the record is no `tf.train.Example`", &[VAL, "byte 0", "episode 3"], Salvaged(8)),
        case("length past the end", record(vec![0x0a, 0x7f, 0]), "a length past the end", &[VAL, "byte 0", "episode 3"], Salvaged(8)),
        case("length of 2^63 in a record", record([vec![0x0a], varint(1 << 63)].concat()), "a length past the end", &[VAL, "byte 0", "episode 3"], Salvaged(8)),
        case("entry without a value", changed("steps/small", Change::NoValue), "there are no values under `steps/small`", &[VAL, "byte 0", "episode 3", "feature `small`"], Salvaged(8)),
        case("key without an entry", changed("steps/small", Change::Gone), "there are no values under `steps/small`", &[VAL, "byte 0", "episode 3", "feature `small`"], Salvaged(8)),
        case("unknown key", changed("steps/smal", Change::To(Value::Ints(vec![1, 2]))), "a key `steps/smal` that is none of the features", &[VAL, "byte 0", "episode 3"], Salvaged(8)),
        case("leaf with fewer steps", changed("steps/small", Change::To(Value::Ints(vec![1]))), "there are values for 1 steps under `steps/small`", &[VAL, "byte 0", "episode 3"], Salvaged(8)),
        case("leaf of no whole steps", changed("steps/action", Change::To(Value::Floats(vec![0.0; 7]))), "7 values make no whole steps of 6", &[VAL, "byte 0", "episode 3", "feature `action`"], Salvaged(8)),
        case("leaf of another kind", changed("steps/action", Change::To(Value::Ints(vec![0; 12]))), "the values are integers, expected floats", &[VAL, "byte 0", "episode 3", "feature `action`"], Salvaged(8)),
        case("integer that does not fit", changed("steps/small", Change::To(Value::Ints(vec![0, 128]))), "128 is no int8", &[VAL, "episode 3", "feature `small`"], Salvaged(8)),
        case("text that is none", changed("steps/language_instruction", Change::To(Value::Texts(vec![b"a".to_vec(), b"\xff".to_vec()]))), "the text is not UTF-8", &[VAL, "episode 3", "feature `language_instruction`"], Salvaged(8)),
        case("many unknown keys", record(field(1, &b"\x0a\x02\x0a\x00".repeat(n_keys))), "a key `` that is none of the features", &[VAL, "byte 0", "episode 3"], Salvaged(8)),
        case("many entries of one key", record([example(&entries(3, 2)), field(1, &repeated_key(n_keys))].concat()), "there are no values under `steps/small`", &[VAL, "byte 0", "episode 3", "feature `small`"], Salvaged(8)),
        case("picture that is none", changed("steps/observation/image", Change::To(Value::Texts(vec![PNG.to_vec(), b"no picture".to_vec()]))), "10 bytes are no image of a known kind", &[VAL, "byte 0", "episode 3", "step 1", "feature `observation.image`"], Salvaged(8)),
        case("picture without its header", changed("steps/observation/image", Change::To(Value::Texts(vec![PNG[..12].to_vec(); 2]))), "the image begins as PNG does, but its header is damaged", &[VAL, "byte 0", "episode 3", "step 0", "feature `observation.image`"], Salvaged(8)),
        // Other things in the place of a file, and other containers.
        case("web page", with(VAL, "\n<!DOCTYPE html>\n<html><body>Sign in</body></html>\n"), "the file is a web page (HTML)", &[VAL, "byte 0"], Salvaged(8)),
        case("gzip cut in half", with(TRAIN, gzip_cut()), "the file ends within its gzip", &[TRAIN, "byte 0"], Salvaged(9)),
        case("gzip with a flipped bit", with(VAL, flip(gzip(&[&file(VAL)]), 40)), "the gzip is damaged", &[VAL, "byte 0"], Salvaged(8)),
        case("ArrayRecord cut in a record", array_record(|it| it[..1500].to_vec()), "the file ends before its footer", &[ARRAY_RECORD, "byte "], Salvaged(6)),
        case("ArrayRecord cut behind its records", array_record(|it| it[..it.len() / 2].to_vec()), "the file ends before its footer", &[ARRAY_RECORD, "byte "], Salvaged(10)),
        case("ArrayRecord with a flipped bit in a chunk", array_record(|it| flip(it.to_vec(), 900)), "the chunk is not what its checksum says", &[ARRAY_RECORD, "byte 795", "episode 1"], Salvaged(9)),
        case("ArrayRecord with a flipped bit in the head of a chunk", array_record(|it| flip(it.to_vec(), 800)), "the head of a chunk is not what its checksum says", &[ARRAY_RECORD, "byte 795", "episode 1"], Salvaged(9)),
        case("ArrayRecord with a flipped bit in its footer", array_record(|it| flip(it.to_vec(), 2300)), "is not what its checksum says", &[ARRAY_RECORD, "byte "], Salvaged(10)),
        case("ArrayRecord that is empty", array_record(|_| Vec::new()), "the file", &[ARRAY_RECORD], Salvaged(2)),
        case("Parquet cut in half", parquet(|it| it[..it.len() / 2].to_vec()), "", &[PARQUET, "byte "], Salvaged(2)),
        case("Parquet that is TFRecord", parquet(|_| file(TRAIN)), "", &[PARQUET], Salvaged(2)),
        // Metadata.
        case("feature that no record has", with("features.json", FEATURES.replace("\"small\": {", "\"unheard\": {\"text\": {}}, \"small\": {")), "there are no values under `steps/unheard`", &["byte 0", "episode 0", "feature `unheard`"], Salvaged(0)),
        case("features that are no JSON", with("features.json", FEATURES.replace("\"small\": {", "\"small\": ")), "the metadata cannot be read", &["features.json", "line "], Refused),
        case("features nested to depth 1,000", with("features.json", nested(1000)), "the metadata cannot be read", &["features.json", "line 1"], Refused),
        case("splits that are no JSON", with("dataset_info.json", INFO.replace("\"splits\": [", "\"splits\": ")), "the metadata cannot be read", &["dataset_info.json", "line "], Refused),
    ]
}

/// As `git clone` leaves it where Git LFS is not installed: 130 bytes.
const LFS_POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
    oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 1234567\n\n";

/// With a file that ends where `end` says of its length.
fn cut(name: &str, end: impl Fn(usize) -> usize) -> Files {
    let whole = file(name);
    with(name, whole[..end(whole.len())].to_vec())
}

/// With one bit of a file turned over.
fn flipped(name: &str, byte: usize) -> Files {
    with(name, flip(file(name), byte))
}

fn flip(mut bytes: Vec<u8>, byte: usize) -> Vec<u8> {
    bytes[byte] ^= 4;
    bytes
}

/// A file of gzip that holds these pieces, each in a block of its own, as they are.
fn gzip(pieces: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    for (idx, piece) in pieces.iter().enumerate() {
        let n = u16::try_from(piece.len()).expect("pieces are small");
        out.push(u8::from(idx + 1 == pieces.len()));
        out.extend([n.to_le_bytes(), (!n).to_le_bytes()].concat());
        out.extend_from_slice(piece);
    }
    let whole = pieces.concat();
    out.extend(crc_fast::crc32_iso_hdlc(&whole).to_le_bytes());
    out.extend((whole.len() as u32).to_le_bytes());
    out
}

/// Both records of the first shard in gzip, which ends within the second.
fn gzip_cut() -> Vec<u8> {
    let whole = file(TRAIN);
    let (first, rest) = whole.split_at(second());
    let packed = gzip(&[first, rest]);
    packed[..packed.len() - rest.len() / 2].to_vec()
}

const ARRAY_RECORD: &str = "arm-train.array_record-00000-of-00001";
const PARQUET: &str = "arm-train.parquet-00000-of-00001";

/// A file of a fixture by its name.
macro_rules! fixture {
    ($folder:literal, $name:literal) => {
        ($name, include_bytes!(concat!("../../../../fixtures/rlds/", $folder, "/1.2.0/", $name)) as &[u8])
    };
}

/// The same ten steps in the files of another container, one of them changed.
fn of_fixture(
    files: [(&'static str, &'static [u8]); 4],
    changed: &str,
    change: impl Fn(&[u8]) -> Vec<u8>,
) -> Files {
    let content = |name: &str, bytes: &'static [u8]| match name == changed {
        true => change(bytes).into(),
        false => Bytes::from_static(bytes),
    };
    files.into_iter().map(|(name, bytes)| (name.into(), content(name, bytes))).collect()
}

fn array_record(change: impl Fn(&[u8]) -> Vec<u8>) -> Files {
    let files = [
        fixture!("arm_array_record", "arm-train.array_record-00000-of-00001"),
        fixture!("arm_array_record", "arm-val.array_record-00000-of-00001"),
        fixture!("arm_array_record", "dataset_info.json"),
        fixture!("arm_array_record", "features.json"),
    ];
    of_fixture(files, ARRAY_RECORD, change)
}

fn parquet(change: impl Fn(&[u8]) -> Vec<u8>) -> Files {
    let files = [
        fixture!("arm_parquet", "arm-train.parquet-00000-of-00001"),
        fixture!("arm_parquet", "arm-val.parquet-00000-of-00001"),
        fixture!("arm_parquet", "dataset_info.json"),
        fixture!("arm_parquet", "features.json"),
    ];
    of_fixture(files, PARQUET, change)
}

fn without(name: &str) -> Files {
    dataset().into_iter().filter(|it| it.0.as_os_str() != name).collect()
}

fn file(name: &str) -> Vec<u8> {
    let found = dataset().into_iter().find(|it| it.0.as_os_str() == name);
    found.expect("the dataset has such a file").1.to_vec()
}

/// The head of a record, with a checksum that vouches for it.
fn head(length: u64) -> Vec<u8> {
    let length = length.to_le_bytes();
    [&length[..], &masked_crc(&length)].concat()
}

/// With other bytes in the place of the one record of the validation split, behind framing that holds.
fn record(bytes: impl AsRef<[u8]>) -> Files {
    with(VAL, framed(bytes.as_ref()))
}

/// A record of pictures and their classes, as image datasets have them.
fn other_example() -> Vec<u8> {
    example(&[
        ("image/encoded", Value::Texts(vec![PNG.to_vec()])),
        ("image/class/label", Value::Ints(vec![3])),
    ])
}

enum Change {
    To(Value),
    /// The key is there, and nothing else of its entry.
    NoValue,
    Gone,
}

/// With one key of the record of the validation split changed, or added.
fn changed(key: &'static str, change: Change) -> Files {
    let mut all = entries(3, 2);
    all.retain(|it| it.0 != key);
    let mut more = Vec::new();
    match change {
        Change::To(value) => all.push((key, value)),
        // Pieces of a message are merged: a second piece of the features adds its entry.
        Change::NoValue => more = field(1, &field(1, &field(1, key.as_bytes()))),
        Change::Gone => {}
    }
    record([example(&all), more].concat())
}

/// A key of the features again and again, and no value of it.
fn repeated_key(n: usize) -> Vec<u8> {
    field(1, &field(1, b"steps/small")).repeat(n)
}

/// Features in features in features.
fn nested(depth: usize) -> String {
    let (open, close) = (r#"{"featuresDict": {"features": {"a": "#, "}}}");
    [&open.repeat(depth), r#"{"text": {}}"#, &close.repeat(depth)].concat()
}
