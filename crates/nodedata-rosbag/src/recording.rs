//! Which files are a bag, and in which order.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    path::{Path, PathBuf},
};

use nodedata_log::{LogStorage, key_of};

use crate::{metadata::BagMetadata, packed::unpacked_name};

/// The name of the file that describes a bag.
pub(crate) const METADATA: &str = "metadata.yaml";
/// What recorders call the same where they put it into the files of messages.
pub(crate) const SERIALIZED_METADATA: &str = "rosbag2.serialized_metadata";

/// The storages that bags may be in.
pub(crate) type Storages = &'static [&'static dyn LogStorage];

/// A file of messages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BagFile {
    pub(crate) path: PathBuf,
    /// Position of its storage.
    pub(crate) storage: usize,
    pub(crate) is_packed: bool,
    /// Its name without endings and number: that of its bag.
    stem: String,
    /// The number that recorders give the files of a bag.
    pub(crate) number: Option<u64>,
}

/// The files of one bag.
#[derive(Debug, Default)]
pub(crate) struct Bag {
    pub(crate) key: String,
    /// By number.
    pub(crate) files: Vec<BagFile>,
    /// Where it is described.
    pub(crate) metadata: Option<PathBuf>,
    /// Packed files that lie beside what was unpacked of them.
    pub(crate) twins: Vec<PathBuf>,
}

impl BagFile {
    /// The file of messages that a name says; `None` where no storage claims it.
    pub(crate) fn of_name(storages: Storages, path: &Path) -> Option<Self> {
        let unpacked = unpacked_name(path);
        let name = unpacked.or_else(|| path.file_name().map(Path::new))?;
        let storage = storages.iter().position(|it| it.claims(name))?;
        Some(Self::new(path, storage, unpacked.is_some(), name))
    }

    /// A file of a storage that is not called so.
    pub(crate) fn of_content(storages: Storages, path: &Path, head: &[u8]) -> Option<Self> {
        let storage = storages.iter().position(|it| it.is_bag(head))?;
        Some(Self::new(path, storage, false, path))
    }

    fn new(path: &Path, storage: usize, is_packed: bool, name: &Path) -> Self {
        let stem = name.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let numbered = stem.rsplit_once('_').and_then(|(stem, number)| {
            let is_number = !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit());
            is_number.then(|| Some((stem.to_owned(), number.parse().ok()?)))?
        });
        let (stem, number) = numbered.map_or((stem, None), |(stem, number)| (stem, Some(number)));
        Self { path: path.to_owned(), storage, is_packed, stem, number }
    }

    /// The folder it lies in.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The name of its bag, without a number.
    pub(crate) fn stem(&self) -> &str {
        &self.stem
    }

    /// Its name without folders and packing.
    fn plain_name(&self) -> &OsStr {
        let name = self.path.file_name().unwrap_or_default();
        if self.is_packed { Path::new(name).file_stem().unwrap_or(name) } else { name }
    }

    /// Whether `metadata.yaml` means this file, packed or not.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        let name = Path::new(name);
        let plain = unpacked_name(name).unwrap_or(name);
        plain.as_os_str() == self.plain_name()
    }
}

/// Puts files together to bags. `described` are the folders with a description, and what it says where it can be read.
pub(crate) fn bags(files: Vec<BagFile>, described: &BTreeMap<PathBuf, Option<BagMetadata>>) -> Vec<Bag> {
    let mut groups: BTreeMap<PathBuf, BTreeMap<(String, usize), Vec<BagFile>>> = BTreeMap::new();
    for file in files {
        let of_folder = groups.entry(file.folder().to_owned()).or_default();
        of_folder.entry((file.stem.clone(), file.storage)).or_default().push(file);
    }
    let mut bags = Vec::new();
    for (folder, groups) in groups {
        let mut groups: Vec<Vec<BagFile>> = groups.into_values().collect();
        let is_alone = groups.len() == 1;
        if let Some(metadata) = described.get(&folder) {
            let named = |group: &[BagFile]| {
                let names = metadata.iter().flat_map(|it| &it.files);
                names.into_iter().any(|name| group.iter().any(|it| it.is_named(name)))
            };
            let mine: Vec<BagFile> =
                groups.extract_if(.., |group| is_alone || named(group)).flatten().collect();
            if !mine.is_empty() {
                bags.push(bag(&folder, mine, Some(folder.join(METADATA))));
            }
        }
        bags.extend(groups.into_iter().map(|it| bag(&folder, it, None)));
    }
    distinct(&mut bags);
    bags.sort_by(|left, right| left.key.cmp(&right.key));
    bags
}

/// Files of a folder as a bag, which has the name of the folder where that describes it.
fn bag(folder: &Path, mut files: Vec<BagFile>, metadata: Option<PathBuf>) -> Bag {
    let plain: BTreeSet<(PathBuf, usize)> =
        files.iter().filter(|it| !it.is_packed).map(|it| (it.path.clone(), it.storage)).collect();
    let has_twin =
        |it: &mut BagFile| it.is_packed && plain.contains(&(it.folder().join(it.plain_name()), it.storage));
    // Who plays a packed bag leaves the unpacked files beside it.
    let twins = files.extract_if(.., has_twin).map(|it| it.path).collect();
    files.sort_by(|left, right| (left.number, &left.path).cmp(&(right.number, &right.path)));
    let key = match (&files[..], &metadata) {
        (_, Some(_)) if !folder.as_os_str().is_empty() => key_of(folder),
        ([lone], None) => key_of(&lone.path),
        // The bag's own folder was given, or describes nothing: its name is that of its files.
        ([first, ..], _) => key_of(&folder.join(&first.stem)),
        ([], _) => key_of(folder),
    };
    Bag { key, files, metadata, twins }
}

impl Bag {
    /// Two files of which the same would come out, by their names.
    pub(crate) fn packed_twice(&self) -> Option<[&Path; 2]> {
        let mut seen: BTreeMap<(&Path, &OsStr), &Path> = BTreeMap::new();
        self.files.iter().filter(|it| it.is_packed).find_map(|it| {
            let first = seen.insert((it.folder(), it.plain_name()), &it.path)?;
            Some([first, it.path.as_path()])
        })
    }
}

/// Two bags of one name get those of their first files.
fn distinct(bags: &mut [Bag]) {
    let mut n_of: BTreeMap<String, usize> = BTreeMap::new();
    bags.iter().for_each(|it| *n_of.entry(it.key.clone()).or_default() += 1);
    for bag in bags.iter_mut().filter(|it| 1 < n_of[&it.key]) {
        if let Some(first) = bag.files.first() {
            bag.key = key_of(&first.path);
        }
    }
}
