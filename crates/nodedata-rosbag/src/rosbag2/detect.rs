use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use nodedata_core::{Confidence, Detection, Listing};

use crate::{
    packed,
    recording::{BagFile, METADATA, Storages},
};

/// What the description of a bag begins with.
const ROOT: &[u8] = b"rosbag2_bagfile_information";

/// Recognises bags: by what lies in their folder, by how their files begin, or by their names.
pub(crate) fn detect(storages: Storages, listing: &Listing<'_>) -> Detection {
    let mut folders: BTreeMap<&Path, Vec<BagFile>> = BTreeMap::new();
    for path in listing.paths() {
        if let Some(file) = BagFile::of_name(storages, path) {
            folders.entry(path.parent().unwrap_or(Path::new(""))).or_default().push(file);
        }
    }
    let mut found = Found::default();
    for (folder, files) in folders {
        found.look(storages, listing, folder, &files);
    }
    for path in listing.sniffed() {
        let is_known = BagFile::of_name(storages, path).is_some();
        if !is_known && BagFile::of_content(storages, path, &listing.head(path)).is_some() {
            let why = || format!("`{}` begins as the files of ROS 2 bags do", path.display());
            found.claim(storages, listing, path);
            found.at_least(Confidence::Content, why);
        }
    }
    let Found { claims, confidence, why } = found;
    if claims.is_empty() {
        return Detection::no();
    }
    Detection { confidence, claims: claims.into_iter().collect(), roots: Vec::new(), why }
}

struct Found {
    claims: BTreeSet<PathBuf>,
    confidence: Confidence,
    why: String,
}

impl Default for Found {
    fn default() -> Self {
        Self { claims: BTreeSet::new(), confidence: Confidence::No, why: String::new() }
    }
}

impl Found {
    fn at_least(&mut self, confidence: Confidence, why: impl FnOnce() -> String) {
        if self.confidence < confidence {
            (self.confidence, self.why) = (confidence, why());
        }
    }

    fn look(&mut self, storages: Storages, listing: &Listing<'_>, folder: &Path, files: &[BagFile]) {
        let description = folder.join(METADATA);
        let is_there = listing.has(&description);
        // A description that the crash of a recorder left empty is one nevertheless.
        let describes = is_there && {
            let head = listing.head(&description);
            head.is_empty() || head.windows(ROOT.len()).any(|it| it == ROOT)
        };
        // What another format can read alone is a bag's only where something says so.
        let of_others = |it: &BagFile| !it.is_packed && storages[it.storage].companions().is_empty();
        let is_mine = |it: &&BagFile| describes || !of_others(it) || is_in_own_folder(storages, listing, it);
        let mine: Vec<&BagFile> = files.iter().filter(is_mine).collect();
        let Some(first) = mine.first() else { return };
        for file in &mine {
            self.claim(storages, listing, &file.path);
        }
        if is_there && (describes || !of_others(first)) {
            self.claims.insert(description.clone());
            let why = || {
                format!(
                    "`{}` lies beside `{}`, as in ROS 2 bags",
                    description.display(),
                    first.path.display()
                )
            };
            self.at_least(Confidence::Layout, why);
        } else if of_others(first) {
            let why = || {
                format!("`{}` is numbered and called as its folder, as in ROS 2 bags", first.path.display())
            };
            self.at_least(Confidence::Layout, why);
        }
        let begins = |it: &&&BagFile| {
            let head = listing.head(&it.path);
            if it.is_packed { packed::begins(&head) } else { storages[it.storage].begins(&head) }
        };
        let (fitting, confidence, verb) = match mine.iter().find(begins) {
            Some(fitting) => (fitting, Confidence::Content, "begins"),
            None => (first, Confidence::Name, "is called"),
        };
        let path = fitting.path.display();
        self.at_least(confidence, || format!("`{path}` {verb} as the files of ROS 2 bags do"));
    }

    /// A file with those beside it that belong to it.
    fn claim(&mut self, storages: Storages, listing: &Listing<'_>, path: &Path) {
        self.claims.insert(path.to_owned());
        for ending in storages.iter().flat_map(|it| it.companions().iter().chain(it.leftovers())) {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            if listing.has(Path::new(&name)) {
                self.claims.insert(name.into());
            }
        }
    }
}

/// Whether a file of a storage that others read as well lies as `ros2 bag record` puts it: numbered, in a folder of its name, and
/// recorded by ROS 2.
fn is_in_own_folder(storages: Storages, listing: &Listing<'_>, file: &BagFile) -> bool {
    let folder = file.folder().file_name().is_some_and(|it| it.to_string_lossy() == file.stem());
    folder && file.number.is_some() && storages[file.storage].is_of_ros2(&listing.head(&file.path))
}
