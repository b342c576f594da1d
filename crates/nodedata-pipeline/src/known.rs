use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use nodedata_core::{Confidence, Detection, Formats, Listing};

/// A format that is recognised only to be refused by its name. A row gives way to a registered format of that name,
/// and for each file to any registered format that is as sure of it.
#[derive(Debug)]
pub struct Known {
    /// As `--from` would call it.
    pub name: &'static str,
    /// Its files, in the plural.
    pub what: &'static str,
    /// What names of files end with, before the number of a shard too.
    endings: &'static [&'static str],
    /// What files begin with, and where.
    magic: &'static [(usize, &'static [u8])],
    /// Names that lie in a folder that is a dataset: all of them. `*` begins one of which the end is known.
    layouts: &'static [&'static [&'static str]],
    /// What the name of a folder ends with that is a dataset.
    folder: &'static str,
    /// What to do instead.
    pub instead: &'static str,
}

const NOTHING: Known =
    Known { name: "", what: "", endings: &[], magic: &[], layouts: &[], folder: "", instead: "" };

const REWRITE: &str = "write its episodes as a LeRobot dataset (`LeRobotDataset.create`, then `add_frame` and \
                       `save_episode`), or as MCAP";

/// Of those that fit equally well, the first is named.
pub(crate) static KNOWN: &[Known] = &[
    Known {
        name: "nodedata",
        what: "datasets that node-data wrote",
        layouts: &[&["sample_index.json", "manifest.json"]],
        instead: "it is converted already: `node-data validate`, `dataset push` and `export` take it",
        ..NOTHING
    },
    Known {
        name: "zarr",
        what: "Zarr stores",
        endings: &[".zarr.zip"],
        layouts: &[&["zarr.json"]],
        folder: ".zarr",
        instead: REWRITE,
        ..NOTHING
    },
    Known { name: "lance", what: "Lance tables", folder: ".lance", instead: REWRITE, ..NOTHING },
    Known {
        name: "hdf5",
        what: "HDF5 files",
        endings: &[".h5", ".hdf5", ".hdf"],
        magic: &[(0, b"\x89HDF\r\n\x1a\n")],
        instead: REWRITE,
        ..NOTHING
    },
    Known {
        name: "rrd",
        what: "Rerun recordings",
        endings: &[".rrd"],
        magic: &[(0, b"RRF")],
        instead: "query it with Rerun's dataframe API, and write a LeRobot dataset or MCAP of what it returns",
        ..NOTHING
    },
    Known {
        name: "svo",
        what: "ZED recordings (SVO)",
        endings: &[".svo", ".svo2"],
        instead: "export its frames with the ZED SDK, and write a LeRobot dataset or MCAP of them",
        ..NOTHING
    },
    Known {
        name: "pickle",
        what: "pickles",
        endings: &[".pkl", ".pickle", ".pt", ".pth"],
        instead: "to load a pickle is to run the code in it, which node-data never does: load it where it was \
                  written, and write a LeRobot dataset or MCAP",
        ..NOTHING
    },
    Known {
        name: "npz",
        what: "NumPy files",
        endings: &[".npz", ".npy"],
        magic: &[(0, b"\x93NUMPY")],
        instead: REWRITE,
        ..NOTHING
    },
    Known {
        name: "lfs",
        what: "Git LFS pointers",
        magic: &[(0, b"version https://git-lfs.github.com/spec/")],
        instead: "`git lfs pull` fetches the files that they stand for",
        ..NOTHING
    },
    Known {
        name: "compressed",
        what: "files compressed as a whole",
        endings: &[".gz", ".zst", ".zstd", ".bz2", ".xz", ".lz4"],
        magic: &[
            (0, b"\x1f\x8b"),
            (0, b"\x28\xb5\x2f\xfd"),
            (0, b"BZh"),
            (0, b"\xfd7zXZ\0"),
            (0, b"\x04\x22\x4d\x18"),
        ],
        instead: "decompress them first: `gunzip`, `zstd -d`, `bunzip2`, `unxz` or `lz4 -d`",
        ..NOTHING
    },
    Known {
        name: "video",
        what: "video files alone",
        endings: &[".mp4", ".mkv", ".webm", ".mov", ".avi"],
        magic: &[(4, b"ftyp"), (0, b"\x1a\x45\xdf\xa3")],
        instead: "a video alone has no steps: put it into a LeRobot dataset, or log its frames to MCAP",
        ..NOTHING
    },
];

/// The formats that are known and not registered: recognised, and refused.
pub fn known_only(formats: &Formats) -> impl Iterator<Item = &'static Known> {
    KNOWN.iter().filter(|it| formats.by_name(it.name).is_none())
}

impl Known {
    /// What a reader of the format would find.
    pub(crate) fn detect(&self, listing: &Listing<'_>) -> Detection {
        let roots = self.roots(listing);
        if let Some(root) = roots.first() {
            let first = listing.below(root).next().unwrap_or(root);
            let why = format!("`{}` lies as in {}", first.display(), self.what);
            return Detection::of_roots(listing, Confidence::Layout, roots, why);
        }
        let is_named = |it: &Path| {
            let name = it.file_name().unwrap_or_default().as_encoded_bytes();
            self.endings.iter().any(|it| ends(name, it) || ends(before_number(name), it))
        };
        if self.magic.is_empty() {
            return Detection::by_name(listing, self.what, is_named);
        }
        let begins = |head: &[u8]| {
            let mut magic = self.magic.iter();
            magic.any(|(at, bytes)| head.get(*at..).is_some_and(|it| it.starts_with(bytes)))
        };
        Detection::by_magic(listing, self.what, is_named, begins)
    }

    fn roots(&self, listing: &Listing<'_>) -> Vec<PathBuf> {
        let mut roots = Vec::new();
        for layout in self.layouts {
            let Some((first, others)) = layout.split_first() else { continue };
            let has = |folder: &Path, wanted: &str| {
                let beside = listing.below(folder).filter(|it| it.parent() == Some(folder));
                let mut names = beside.filter_map(Path::file_name).map(OsStr::as_encoded_bytes);
                match wanted.strip_prefix('*') {
                    Some(ending) => names.any(|it| ends(it, ending)),
                    None => names.any(|it| it == wanted.as_bytes()),
                }
            };
            let folders = listing.folders_with(first).into_iter();
            roots.extend(folders.filter(|folder| others.iter().all(|it| has(folder, it))));
        }
        if !self.folder.is_empty() {
            let is_root =
                |it: &&Path| it.file_name().is_some_and(|it| ends(it.as_encoded_bytes(), self.folder));
            let above = listing.paths().filter_map(|it| it.ancestors().skip(1).filter(is_root).last());
            roots.extend(above.map(Path::to_owned));
        }
        roots.sort_unstable();
        // What lies below one is a part of it.
        roots.dedup_by(|later, kept| later.starts_with(kept));
        roots
    }
}

/// Whether a name ends so, whatever the case of its letters.
fn ends(name: &[u8], ending: &str) -> bool {
    let at = name.len().checked_sub(ending.len());
    at.is_some_and(|at| name[at..].eq_ignore_ascii_case(ending.as_bytes()))
}

/// `x.tfrecord` of `x.tfrecord-00000-of-00002`.
fn before_number(name: &[u8]) -> &[u8] {
    let is_number = |it: &u8| it.is_ascii_digit() || b"-of".contains(it);
    let n = name.iter().rev().take_while(|it| is_number(it)).count();
    &name[..name.len() - n]
}
