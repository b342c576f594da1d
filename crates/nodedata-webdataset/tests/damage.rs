//! What archives that lie or break off cost, each with its address.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod built;

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow_array::{Array as _, cast::AsArray as _};
use built::{
    Tar, findings, floats, gzip, ints, keys, npy, npy_in_order, open, open_as, salvaging, told, zip,
};
use bytes::Bytes;
use nodedata_core::{
    Error, ErrorKind, Files, FindingKind, Format as _, OpenOptions, OptionValue, ReadAt, ReadOptions, Result,
};
use nodedata_io::MemoryFiles;
use nodedata_testkit::reading::read;
use nodedata_webdataset::WEBDATASET;

fn sound() -> Tar {
    Tar::default().file("a.txt", "one").file("b.txt", "two").file("b.cls", "2")
}

/// Where the sound samples end.
const END: u64 = 3 * 1024;

/// An archive that breaks off is refused, and salvaged up to there.
#[track_caller]
fn breaks_off(bytes: &[u8], at: u64, message: &str, kept: &[&str]) {
    let err = open(bytes, &OpenOptions::default()).err().unwrap();
    assert_eq!(err.locus().byte_offset, Some(at), "{err}");
    assert!(err.to_string().contains(message), "{err}");
    assert!(err.hint().is_some() && err.loss().unwrap().uncounted);
    if kept.is_empty() {
        assert!(open(bytes, &salvaging()).is_err());
        return;
    }
    let source = open(bytes, &salvaging()).unwrap();
    let damage: Vec<_> = source.plan().findings_of(FindingKind::Damage).collect();
    assert_eq!((damage.len(), damage[0].at.byte_offset), (1, Some(at)));
    let (rows, lost) = read(source.as_ref());
    assert_eq!((keys(&rows), lost.len()), (kept.iter().map(|it| (*it).to_owned()).collect(), 0));
}

#[test]
fn an_archive_that_is_cut_keeps_the_samples_before() {
    let bytes = sound().file("c.txt", "x".repeat(2000)).end();
    let end = END as usize;
    // Within the contents of a member, and within a header.
    breaks_off(&bytes[..end + 1000], END, "to have 2000 bytes, but 488 are left", &["a", "b"]);
    breaks_off(&bytes[..end + 100], END, "ends within the header of a member", &["a", "b"]);
    // Within a sample, which lacks members then.
    breaks_off(&bytes[..2048 + 512], 2048, "the sample `b` may lack members", &["a"]);
    breaks_off(&bytes[..514], 0, "to have 3 bytes, but 2 are left", &[]);
    // Within what fills up a block, behind which another member of the sample may have come.
    breaks_off(&bytes[..2048 - 5], 2048 - 5, "the sample `b` may lack members", &["a"]);
    let source = open(&bytes[..end], &OpenOptions::default()).unwrap();
    assert!(
        findings(source.as_ref())[0].contains("without the mark of its end"),
        "{:?}",
        findings(source.as_ref())
    );
    assert_eq!(keys(&read(source.as_ref()).0), ["a", "b"]);
    let err = open(b"", &OpenOptions::default()).err().unwrap();
    assert!(err.to_string().contains("the file is empty"), "{err}");
}

/// A file that ends early is told apart from one whose bytes are others.
#[test]
fn what_broke_an_archive_off_has_a_reason() {
    let bytes = sound().file("c.txt", "x".repeat(2000)).end();
    let end = END as usize;
    let mut flipped = bytes.clone();
    flipped[end + 4] ^= 1;
    for (bytes, reason) in [
        (&bytes[..end + 1000], "truncated"),
        (&bytes[..end + 100], "truncated"),
        (&bytes[..2048 - 5], "truncated"),
        (&flipped[..], "damaged_member"),
    ] {
        let err = open(bytes, &OpenOptions::default()).err().unwrap();
        assert_eq!(err.loss().unwrap().reason, reason, "{err}");
    }
}

/// Files of which no read succeeds that begins at a place.
struct Failing(MemoryFiles, Arc<AtomicU64>);

struct FailingFile(Arc<dyn ReadAt>, Arc<AtomicU64>);

impl Files for Failing {
    fn list(&self) -> Result<Vec<PathBuf>> {
        self.0.list()
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        Ok(Arc::new(FailingFile(self.0.open(path)?, Arc::clone(&self.1))))
    }
}

impl ReadAt for FailingFile {
    fn n_bytes(&self) -> u64 {
        self.0.n_bytes()
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        if range.start == self.1.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Io, "the line is dead"));
        }
        self.0.read_at(range)
    }
}

/// What cannot be read now may be read later: it is no loss, whoever salvages.
#[test]
fn a_read_that_fails_costs_no_sample() {
    let fails_at = Arc::new(AtomicU64::new(u64::MAX));
    let files = MemoryFiles::default().with("a.tar", sound().end());
    let files = Failing(files, Arc::clone(&fails_at));
    let source = WEBDATASET.open(Arc::new(files), &salvaging()).unwrap();
    // The contents of the first member of the second sample.
    fails_at.store(1024 + 512, Ordering::Relaxed);
    let mut stream = source.read(0, &ReadOptions::default()).unwrap();
    assert_eq!(stream.next_batch().unwrap().unwrap().rows.num_rows(), 1);
    let err = stream.next_batch().err().unwrap();
    assert_eq!((err.kind(), err.hint(), err.loss().is_none()), (ErrorKind::Io, None, true), "{err}");
    assert!(err.to_string().contains("the line is dead"), "{err}");
    assert_eq!(err.locus().byte_offset, Some(1024));
}

/// Wherever an archive is cut, what is salvaged is the first of its samples, each whole. Where it ends as if another member might
/// follow, nothing tells that the last one lacks some: it is warned of.
#[test]
fn no_cut_makes_samples_that_never_were() {
    let sample = |tar: Tar, it: u32| {
        tar.file(&format!("d/{it:03}.cls"), it.to_string()).file(&format!("d/{it:03}.txt"), "x".repeat(700))
    };
    let bytes = (0..5).fold(Tar::default(), sample).end();
    let raw = OpenOptions { undecoded: vec!["*".to_owned()], ..salvaging() };
    let whole = texts_of(&bytes, &raw).unwrap();
    assert_eq!(whole.len(), 5);
    for n in (1..bytes.len()).step_by(37).chain((512..bytes.len()).step_by(512)) {
        let Some(found) = texts_of(&bytes[..n], &raw) else {
            assert!(n < 3 * 1024, "nothing is left of {n} bytes");
            continue;
        };
        let n_whole = found.iter().zip(&whole).take_while(|(one, other)| one == other).count();
        let is_unmarked = n.is_multiple_of(512);
        assert!(
            n_whole == found.len() || (is_unmarked && n_whole + 1 == found.len()),
            "{n} bytes: {found:?}"
        );
        assert!(n / (5 * 512) <= n_whole + 1, "{n} bytes: {n_whole}");
    }
}

/// The key of a sample, and both of its fields.
type Cells = (String, Option<Vec<u8>>, Option<Vec<u8>>);

fn texts_of(bytes: &[u8], options: &OpenOptions) -> Option<Vec<Cells>> {
    let source = open(bytes, options).ok()?;
    let (rows, damage) = read(source.as_ref());
    assert!(damage.is_empty());
    let mut found = Vec::new();
    for batch in &rows {
        let cell = |name: &str, row: usize| {
            let column = batch.column_by_name(name)?.as_binary::<i32>().clone();
            column.is_valid(row).then(|| column.value(row).to_vec())
        };
        let keys = keys(std::slice::from_ref(batch)).into_iter().enumerate();
        found.extend(keys.map(|(row, key)| (key, cell("cls", row), cell("txt", row))));
    }
    Some(found)
}

#[test]
fn headers_that_lie_end_the_archive() {
    let with = |tar: Tar| tar.file("d.txt", "never").end();
    let mut flipped = with(sound().file("c.txt", "x"));
    flipped[END as usize + 4] ^= 1;
    breaks_off(&flipped, END, "not what its checksum says", &["a", "b"]);
    let eib = |tar: Tar| with(tar.header(b'0', "c.txt", b"\x80\0\0\0\x80\0\0\0\0\0\0\0"));
    breaks_off(&eib(sound()), END, "to have 9223372036854775808 bytes", &["a", "b"]);
    let most = with(sound().header(b'0', "c.txt", b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"));
    breaks_off(&most, END, "to have 18446744073709551615 bytes", &["a", "b"]);
    breaks_off(
        &with(sound().header(b'0', "c.txt", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")),
        END,
        "no number",
        &["a", "b"],
    );
    breaks_off(
        &with(sound().header(b'0', "c.txt", b"77777777777\0")),
        END,
        "to have 8589934591 bytes",
        &["a", "b"],
    );
    // Another member of the sample before.
    breaks_off(
        &with(sound().header(b'0', "b.json", b"77777777777\0")),
        END,
        "the sample `b` may lack members",
        &["a"],
    );
}

#[test]
fn extended_headers_that_lie_end_the_archive() {
    for (records, message) in [
        ("99 path=c.txt\n", "does not end where it says"),
        ("13 path=c.txt\n", "does not end where it says"),
        ("12 path c.t\n", "has no value"),
        ("29 size=99999999999999999999\n", "says `99999999999999999999` of the size"),
    ] {
        let bytes = sound().records(b'x', records).file("c.txt", "x").end();
        let err = open(&bytes, &OpenOptions::default()).err().unwrap();
        assert!(err.to_string().contains(message), "{records}: {err}");
        assert_eq!(err.locus().byte_offset, Some(END));
    }
    for size in ["20 size=99999999999\n", "28 size=9999999999999999999\n"] {
        let huge = sound().records(b'x', size).file("c.txt", "x").end();
        breaks_off(&huge, END + 1024, &format!("to have {} bytes", &size[8..size.len() - 1]), &["a", "b"]);
    }
    let global = sound().records(b'g', "14 path=c.txt\n").file("c.txt", "x").end();
    let err = open(&global, &OpenOptions::default()).err().unwrap();
    assert!(err.to_string().contains("one name or size"), "{err}");
    let about = sound().records(b'g', "17 comment=about\n").file("c.txt", "x").end();
    assert_eq!(keys(&read(open(&about, &OpenOptions::default()).unwrap().as_ref()).0), ["a", "b", "c"]);
    let long = sound().header(b'x', "PaxHeaders/x", b"00010000000\0").end();
    let long = [long, vec![b'9'; 2 << 20]].concat();
    let err = open(&long, &OpenOptions::default()).err().unwrap();
    assert_eq!((err.kind(), err.locus().byte_offset), (ErrorKind::Limit, Some(END)), "{err}");
    let last = sound().records(b'x', "14 path=c.txt\n").end();
    breaks_off(&last, END + 1024, "ends behind an extended header", &["a", "b"]);
}

#[test]
fn packed_archives_that_are_cut_keep_what_came_out() {
    let mut random = nodedata_testkit::damaged::Random::new(5);
    let noise: Vec<u8> = (0..200_000).map(|_| random.below(256) as u8).collect();
    let packed = gzip(&sound().file("c.bin", noise).end());
    let cut = &packed[..packed.len() / 2];
    let err = open_as("a.tar.gz", cut, &OpenOptions::default()).err().unwrap();
    assert!(err.to_string().contains("ends within its gzip") && err.locus().byte_offset == Some(0), "{err}");
    let source = open_as("a.tar.gz", cut, &salvaging()).unwrap();
    assert_eq!(keys(&read(source.as_ref()).0), ["a", "b"]);
    let bomb = gzip(&vec![0; 100 << 20]);
    let options = |n: i64| {
        let mut options = OpenOptions::default();
        options.options.insert("unpack_ratio_max".to_owned(), OptionValue::Integer(n));
        options
    };
    let err = open_as("a.tar.gz", &bomb, &options(10)).err().unwrap();
    assert_eq!(err.kind(), ErrorKind::Limit);
    assert!(err.hint().unwrap().contains("source.unpack_ratio_max"), "{err}");
}

/// One of the samples cannot be a row, and costs itself.
#[track_caller]
fn costs_itself(bytes: &[u8], options: &OpenOptions, at: u64, field: &str, message: &str) -> Error {
    let source = open(bytes, options).unwrap();
    let (rows, mut damage) = read(source.as_ref());
    assert_eq!(keys(&rows), ["a", "z"], "{damage:?}");
    assert_eq!(damage.len(), 1, "{damage:?}");
    let err = damage.remove(0);
    assert!(err.to_string().contains(message), "{err}");
    assert_eq!(err.locus().byte_offset, Some(at), "{err}");
    let feature = err.locus().feature.as_deref().unwrap_or_default();
    assert!(feature == field || feature.starts_with(&format!("{field}.")), "{feature}: {err}");
    assert_eq!(err.locus().step_idx, Some(1));
    assert!(err.hint().is_some());
    err
}

fn between(first: (&str, &[u8]), middle: &[(&str, &[u8])], last: (&str, &[u8])) -> Vec<u8> {
    let all = [&[first], middle, &[last]].concat();
    all.into_iter().fold(Tar::default(), |tar, (name, contents)| tar.file(name, contents)).end()
}

#[test]
fn samples_that_cannot_be_rows_cost_themselves() {
    let options = OpenOptions::default();
    let txt = |middle: &[(&str, &[u8])]| between(("a.txt", b"1"), middle, ("z.txt", b"2"));
    let twice = txt(&[("m.txt", b"x"), ("m.TXT", b"y")]);
    let err = costs_itself(&twice, &options, 2048, "txt", "the sample `m` has the field `txt` twice");
    assert_eq!(err.loss().unwrap().byte_range, Some(1024..2048 + 513));
    let sparse = Tar::default().file("a.txt", "1").member(b'S', b"m.txt", b"x").file("z.txt", "2").end();
    let err = costs_itself(&sparse, &options, 1024, "txt", "written without its holes");
    assert_eq!(err.kind(), ErrorKind::Unsupported);
    let records = Tar::default().file("a.txt", "1").records(b'x', "22 GNU.sparse.major=1\n");
    costs_itself(
        &records.file("m.txt", "x").file("z.txt", "2").end(),
        &options,
        1024,
        "txt",
        "without its holes",
    );
    // The name of such a file in its own header is made up: it belongs to the sample whose name it really has.
    let named = Tar::default().file("a.txt", "1").file("m.cls", "7");
    let named = named.records(b'x', "22 GNU.sparse.major=1\n25 GNU.sparse.name=m.txt\n");
    let named = named.file("GNUSparseFile.7/m.txt", "x").file("z.txt", "2").end();
    costs_itself(&named, &options, 2048, "txt", "without its holes");
    let bounded = OpenOptions { record_bytes_max: 1000, ..OpenOptions::default() };
    let long = txt(&[("m.txt", &[b'x'; 2000])]);
    let err =
        costs_itself(&long, &bounded, 1024, "txt", "the member has 2000 bytes, but at most 1000 are read");
    assert_eq!((err.kind(), err.loss().unwrap().reason), (ErrorKind::Limit, "over_limit"));

    let json =
        |middle: &[u8]| between(("a.json", b"{\"k\": 1}"), &[("m.json", middle)], ("z.json", b"{\"k\": 2}"));
    for (broken, message) in [
        (&b"{\"k\": 1"[..], "EOF"),
        (b"", "EOF"),
        (b"{\"k\": 1, \"k\": 2}", "twice"),
        (b"{\"k\": 123456789012345678901}", "beyond 64 bits"),
        (b"{\"k\": \"\xff\"}", ""),
    ] {
        costs_itself(&json(broken), &options, 1024, "json", message);
    }
    let gz = |middle: &[u8]| {
        between(("a.txt.gz", &gzip(b"1")), &[("m.txt.gz", middle)], ("z.txt.gz", &gzip(b"2")))
    };
    costs_itself(&gz(b"plain"), &options, 1024, "txt.gz", "does not begin as gzip does");
    costs_itself(&gz(&gzip(b"cut")[..15]), &options, 1024, "txt.gz", "gzip");
    let err = costs_itself(&gz(&gzip(&vec![b'0'; 70 << 20])), &options, 1024, "txt.gz", "come out of");
    assert!(err.hint().unwrap().contains("source.unpack_ratio_max"), "{:?}", err.hint());
    let mp =
        between(("a.mp", b"\x81\xa1k\x01"), &[("m.mp", b"\xdf\xff\xff\xff\xff")], ("z.mp", b"\x81\xa1k\x02"));
    costs_itself(&mp, &options, 1024, "mp", "ends within a value");
    let cbor =
        between(("a.cbor", b"\xa1\x61k\x01"), &[("m.cbor", b"\xbb\xff")], ("z.cbor", b"\xa1\x61k\x02"));
    costs_itself(&cbor, &options, 1024, "cbor", "");
}

#[test]
fn arrays_that_lie_cost_their_sample() {
    let options = OpenOptions::default();
    let good = npy("<f4", "(2,)", &floats(&[1., 2.]));
    let with = |middle: &[u8]| between(("a.npy", &good), &[("m.npy", middle)], ("z.npy", &good));
    let (pair, list) = ("npy float32[2]", "npy float32[-1]");
    for (lying, column, message) in [
        // Where only the size of the values lies, the type is still that of the header.
        (npy("<f4", "(3,)", &floats(&[1., 2.])), list, "says 12 bytes of values, and it has 8"),
        (npy("<f4", "(2,)", &floats(&[1.])), pair, "says 8 bytes of values, and it has 4"),
        (npy("<f8", "(4294967296, 4294967296)", b""), pair, "more than there can be"),
        (npy("<f4", "(2,)", b"")[..20].to_vec(), pair, "ends within its header"),
        // Such a header may be sound, and no column is of what it says.
        (b"\x93NUMPY\x02\0\xff\xff\xff\x7f".to_vec(), "npy bytes", ""),
        (b"not an array".to_vec(), pair, "does not begin as arrays"),
    ] {
        let source = open(&with(&lying), &options).unwrap();
        assert_eq!(told(source.as_ref()), ["__key__ string", column]);
        let (rows, damage) = read(source.as_ref());
        if column == "npy bytes" {
            assert_eq!((keys(&rows).len(), damage.len()), (3, 0));
            continue;
        }
        assert_eq!((keys(&rows).len(), damage.len()), (2, 1), "{damage:?}");
        assert!(damage[0].to_string().contains(message), "{}", damage[0]);
        assert_eq!(damage[0].locus().byte_offset, Some(1024));
    }
    // Sound, but of no column: every member stays bytes, and the first such is named.
    for (other, message) in [
        (npy("|O", "(2,)", b"\x80\x04."), "has Python objects in it, which are pickles"),
        (npy_in_order("True", "<f4", "(2, 2)", &[0; 16]), "lies in Fortran order"),
        (npy("<U3", "(2,)", &[0; 24]), "has elements of type `<U3`"),
    ] {
        let source = open(&with(&other), &options).unwrap();
        let told = findings(source.as_ref());
        assert!(
            told[0].starts_with("a.tar, byte 1024, feature `npy`: ") && told[0].contains(message),
            "{told:?}"
        );
        let (rows, damage) = read(source.as_ref());
        assert_eq!((keys(&rows).len(), damage.len()), (3, 0));
    }
}

#[test]
fn bombs_and_directories_that_lie_cost_their_sample() {
    let options = OpenOptions::default();
    let array = npy("|u1", "(4,)", &[1, 2, 3, 4]);
    let good = zip(&[("x.npy", &array)], None);
    let with = |middle: &[u8]| between(("a.npz", &good), &[("m.npz", middle)], ("z.npz", &good));
    let n = 70 << 20;
    let bomb = npy("|u1", &format!("({n},)"), &vec![0; n]);
    let bomb = zip(&[("x.npy", &bomb)], None);
    assert!(bomb.len() < 100_000);
    let source = open(&with(&bomb), &options).unwrap();
    let (_, damage) = read(source.as_ref());
    assert_eq!((damage.len(), damage[0].kind()), (1, ErrorKind::Limit), "{damage:?}");
    assert!(damage[0].hint().unwrap().contains("source.unpack_ratio_max"));
    // More comes out than is told, or less.
    costs_itself(&with(&zip(&[("x.npy", &array)], Some(10))), &options, 1024, "npz", "more comes out of `x`");
    let longer = array.len() as u32 + 1;
    costs_itself(
        &with(&zip(&[("x.npy", &array)], Some(longer))),
        &options,
        1024,
        "npz",
        "bytes come out of `x`",
    );
    let mut crc = good.clone();
    crc[14] ^= 1;
    let at = crc.len() - 22 - 46 - 5 + 16;
    crc[at] ^= 1;
    costs_itself(&with(&crc), &options, 1024, "npz", "not what its checksum says");
    let mut wild = good.clone();
    let at = wild.len() - 6;
    wild[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    costs_itself(&with(&wild), &options, 1024, "npz", "does not end as ZIP archives do");
    costs_itself(&with(b"PK"), &options, 1024, "npz", "does not end as ZIP archives do");
}

/// A hundred thousand members without a byte: neither headers nor keys cost more than they are.
#[test]
fn many_empty_members_are_many_samples() {
    let tar = (0..100_000).fold(Tar::default(), |tar, it| tar.file(&format!("{it:06}.txt"), ""));
    let source = open(&tar.end(), &OpenOptions::default()).unwrap();
    let (rows, damage) = read(source.as_ref());
    assert_eq!((rows.iter().map(|it| it.num_rows()).sum::<usize>(), damage.len()), (100_000, 0));
    assert!(source.plan().partitions.len() < 100);
    // All of one sample.
    let tar = (0..5000).fold(Tar::default(), |tar, it| tar.file(&format!("s.{it}"), ""));
    let source = open(&tar.file("t.0", "").end(), &OpenOptions::default()).unwrap();
    let (rows, damage) = read(source.as_ref());
    assert_eq!((keys(&rows), damage.len()), (vec!["t".to_owned()], 1));
    assert_eq!(damage[0].kind(), ErrorKind::Limit);
    // Of all samples together.
    let tar = (0..5000).fold(Tar::default(), |tar, it| tar.file(&format!("{it}.f{it}"), ""));
    let err = open(&tar.end(), &OpenOptions::default()).err().unwrap();
    assert_eq!(err.kind(), ErrorKind::Limit);
    assert!(err.locus().path.is_some() && err.hint().is_some());
}

#[test]
fn archives_without_a_sample_are_refused() {
    let err = open(&Tar::default().file("README", "x").end(), &salvaging()).err().unwrap();
    assert!(err.to_string().contains("no file has a member that belongs to a sample"), "{err}");
    assert!(err.hint().unwrap().contains("tar -xf"));
    let source =
        open(&Tar::default().file("bag_0.db3", "x").file("bag_0.yaml", "x").end(), &salvaging()).unwrap();
    assert!(findings(source.as_ref())[0].contains("may be recordings"), "{:?}", findings(source.as_ref()));
    assert_eq!(ints(&read(source.as_ref()).0, "step_index"), [Some(0)]);
}
