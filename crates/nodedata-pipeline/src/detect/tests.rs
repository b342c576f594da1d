//! Each rule of detection over listings in memory, with a log format and a folder format of its own.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{
    Confidence, Detection, ErrorKind, Files, Format, Formats, Listing, OpenOptions, Result, Source,
};
use nodedata_io::MemoryFiles;

use super::{Choice, Named, guessed, named};

/// Files `*.log` that begin with `LOG!`.
struct Logs;

/// Folders with a file `head`.
struct Folders;

/// Rerun recordings, under the name of a row of the table of known formats.
struct Recordings;

impl Format for Logs {
    fn name(&self) -> &'static str {
        "logs"
    }

    fn about(&self) -> &'static str {
        "test logs"
    }

    fn detect(&self, listing: &Listing<'_>) -> Detection {
        let is_named = |it: &Path| it.extension().is_some_and(|it| it == "log");
        Detection::by_magic(listing, "logs", is_named, |it| it.starts_with(b"LOG!"))
    }

    fn open(&self, _files: Arc<dyn Files>, _options: &OpenOptions) -> Result<Box<dyn Source>> {
        unreachable!("nothing is opened here")
    }
}

impl Format for Folders {
    fn name(&self) -> &'static str {
        "folders"
    }

    fn about(&self) -> &'static str {
        "test folders"
    }

    fn detect(&self, listing: &Listing<'_>) -> Detection {
        let roots = listing.folders_with("head");
        Detection::of_roots(listing, Confidence::Layout, roots, "`head` is there".to_owned())
    }

    fn open(&self, _files: Arc<dyn Files>, _options: &OpenOptions) -> Result<Box<dyn Source>> {
        unreachable!("nothing is opened here")
    }
}

impl Format for Recordings {
    fn name(&self) -> &'static str {
        "rrd"
    }

    fn about(&self) -> &'static str {
        "test recordings"
    }

    fn detect(&self, listing: &Listing<'_>) -> Detection {
        let is_named = |it: &Path| it.extension().is_some_and(|it| it == "rrd");
        Detection::by_magic(listing, "recordings", is_named, |it| it.starts_with(b"RRF"))
    }

    fn open(&self, _files: Arc<dyn Files>, _options: &OpenOptions) -> Result<Box<dyn Source>> {
        unreachable!("nothing is opened here")
    }
}

fn files(all: &[(&str, &str)]) -> MemoryFiles {
    all.iter().fold(MemoryFiles::default(), |files, (name, text)| {
        files.with(*name, bytes::Bytes::copy_from_slice(text.as_bytes()))
    })
}

fn formats() -> Formats {
    Formats::default().with(&Logs).with(&Folders)
}

const SRC: Named<'_> = Named { source: "src", root: "src" };

fn guess(formats: &Formats, all: &[(&str, &str)]) -> Result<Choice> {
    let files = files(all);
    guessed(formats, &Listing::new(&files)?, SRC)
}

/// The format, what it claims, and what is left out, as `path (format)`.
#[track_caller]
fn check(all: &[(&str, &str)], format: &str, claimed: &[&str], others: &[&str]) {
    told(&guess(&formats(), all).unwrap(), format, claimed, others);
}

#[track_caller]
fn told(choice: &Choice, format: &str, claimed: &[&str], others: &[&str]) {
    let found: Vec<String> =
        choice.others.iter().map(|(path, name)| format!("{} ({name})", path.display())).collect();
    let claimed: Vec<PathBuf> = claimed.iter().map(PathBuf::from).collect();
    assert_eq!((choice.format.name(), &choice.claimed), (format, &claimed));
    assert_eq!(found, others);
}

/// Message and hint of a refusal.
#[track_caller]
fn refused(all: &[(&str, &str)], message: &str, hint: &str) {
    let err = guess(&formats(), all).err().expect("refused");
    assert_eq!((err.kind(), err.to_string().as_str()), (ErrorKind::Unsupported, message));
    assert_eq!(err.locus().path.as_deref(), Some(Path::new("src")));
    assert!(err.hint().is_some_and(|it| it.contains(hint)), "{err:?}");
}

#[test]
fn layout_is_surer_than_content_and_content_than_names() {
    check(&[("a.log", "x"), ("b.log", "LOG!"), ("c.txt", "x")], "logs", &["a.log", "b.log"], &[]);
    check(&[("a.log", "LOG!"), ("head", "")], "folders", &["a.log", "head"], &[]);
    check(
        &[("a.log", "LOG!"), ("b/head", ""), ("b/x", "")],
        "folders",
        &["b/head", "b/x"],
        &["a.log (logs)"],
    );
    check(&[("a.log", "x")], "logs", &["a.log"], &[]);
    // A name says nothing of a file that holds something else.
    refused(
        &[("b.log", "RRF2")],
        "this build does not read Rerun recordings: `b.log` begins as Rerun recordings do",
        "dataframe API",
    );
    check(&[("a.log", ""), ("b.rrd", "RRF2")], "logs", &["a.log"], &["b.rrd (rrd)"]);
}

#[test]
fn empty_files_cost_nothing_but_themselves() {
    check(&[("a.log", ""), ("b", ""), ("c.log", "LOG!")], "logs", &["a.log", "c.log"], &[]);
    refused(&[("a", ""), ("b", "")], "cannot tell the format of the input: its files are empty", "--from");
    refused(&[("a", "x"), ("b", "")], "cannot tell the format of the input", "logs, folders");
    refused(&[], "the folder holds no files", "name a folder");
}

#[test]
fn several_datasets_are_listed() {
    let all = [("a/head", ""), ("b/head", ""), ("c/1/zarr.json", "{}")];
    let message = "3 datasets lie below the folder:\n  src/a (folders)\n  src/b (folders)\n  src/c/1 (zarr, which \
                   this build does not read)";
    refused(&all, message, "`src/a`");
    // Of which SRC names one, that is it.
    check(
        &[("b/head", ""), ("b/x", ""), ("head", ""), ("x", "")],
        "folders",
        &["head", "x"],
        &["b/head (folders)", "b/x (folders)"],
    );
}

#[test]
fn a_format_that_is_named_takes_its_own_files() {
    let all = files(&[("a.log", "LOG!"), ("b/head", ""), ("c.log", "x"), ("d.txt", "")]);
    let listing = Listing::new(&all).unwrap();
    told(&named(&formats(), &listing, SRC, "logs", false).unwrap(), "logs", &["a.log", "c.log"], &[]);
    let exact = named(&formats(), &listing, SRC, "logs", true).unwrap();
    told(&exact, "logs", &["a.log", "b/head", "c.log", "d.txt"], &[]);
    let roots = files(&[("a/head", ""), ("b/head", "")]);
    let listing = Listing::new(&roots).unwrap();
    let refusal = |name: &str| {
        let err = named(&formats(), &listing, SRC, name, false).err().unwrap();
        format!("{err}; {}", err.hint().unwrap_or_default())
    };
    assert!(refusal("folders").starts_with("2 datasets lie below the folder:\n  src/a (folders)"));
    assert!(refusal("logs").starts_with("nothing here is recognised as logs; "));
    assert!(refusal("nope").starts_with("there is no format `nope`; `--from` takes one of: logs, folders"));
    assert!(refusal("rrd").starts_with("this build does not read Rerun recordings; query it"));
}

/// A row of the table goes when its format is registered, and gives way where another format is as sure.
#[test]
fn what_can_be_read_is_not_refused() {
    let all = [("x.rrd", "RRF2")];
    refused(
        &all,
        "this build does not read Rerun recordings: `x.rrd` begins as Rerun recordings do",
        "dataframe API",
    );
    let with_recordings = formats().with(&Recordings);
    told(&guess(&with_recordings, &all).unwrap(), "rrd", &["x.rrd"], &[]);
    // A folder of recordings that is more than that is not captured.
    let folder = [("data/x.rrd", "RRF2"), ("head", "")];
    told(&guess(&with_recordings, &folder).unwrap(), "folders", &["data/x.rrd", "head"], &[]);
    let zarr = [("zarr.json", "{}"), ("x.rrd", "RRF2")];
    let err = guess(&with_recordings, &zarr).err().unwrap();
    assert!(err.to_string().starts_with("this build does not read Zarr stores"), "{err}");
}

/// Every row of the table, by an example.
#[test]
fn known_formats_are_refused_by_name() {
    #[rustfmt::skip]
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("nodedata", &[("manifest.json", "{}"), ("sample_index.json", "{}"), ("data/train-00000.parquet", "PAR1")]),
        ("zarr", &[("x.zarr/data/0.0", "x")]),
        ("zarr", &[("x/zarr.json", "{}")]),
        ("lance", &[("frames.lance/_versions/1.manifest", "x")]),
        ("hdf5", &[("episode_0.hdf5", "x")]),
        ("rrd", &[("x.rrd", "RRF2")]),
        ("svo", &[("x.svo", "x")]),
        ("pickle", &[("traj.pkl", "x")]),
        ("npz", &[("x.npz", "PK\x03\x04")]),
        ("lfs", &[("x.log", "version https://git-lfs.github.com/spec/v1\n")]),
        ("compressed", &[("x.log.gz", "x")]),
        ("compressed", &[("x.log", "BZh91")]),
        ("video", &[("x.bin", "\0\0\0\x18ftypisom")]),
    ];
    for known in crate::known::KNOWN {
        let mut examples = cases.iter().filter(|(name, _)| *name == known.name).peekable();
        assert!(examples.peek().is_some(), "no example of {}", known.name);
        for (_, all) in examples {
            let err = guess(&formats(), all).err().unwrap_or_else(|| panic!("{all:?} is read"));
            let message = err.to_string();
            assert!(message.starts_with(&format!("this build does not read {}: `", known.what)), "{message}");
            assert_eq!(err.hint(), Some(known.instead));
        }
    }
}
