use std::{
    collections::{HashMap, VecDeque},
    ffi::OsString,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use nodedata_core::{Files, ReadAt, Result};

use crate::{atomic_file::io_error, memory::WholeFile};

/// Files on disk below a root, read through a memory map.
#[derive(Debug)]
pub struct LocalFiles {
    root: PathBuf,
    names: Vec<PathBuf>,
    open: Mutex<OpenFiles>,
}

/// Files opened last, so that several readers of one file share one map. They stay open when nobody reads them
/// any more: the plan, the rows and the hash each read a file in their turn, and to map and unmap it every time
/// costs more than to read a short one.
#[derive(Debug, Default)]
struct OpenFiles {
    by_name: HashMap<OsString, Arc<WholeFile>>,
    /// The oldest first.
    order: VecDeque<OsString>,
}

/// Files kept open: Linux allows 65,530 maps to a process.
const FILES_KEPT: usize = 4096;
/// Bytes of a file up to which it is read instead of mapped.
const SHORT_FILE: u64 = 16 << 10;

impl OpenFiles {
    /// Another reader may have been faster: then its file is the one.
    fn keep(&mut self, name: OsString, file: WholeFile) -> Arc<WholeFile> {
        if let Some(file) = self.by_name.get(&name) {
            return Arc::clone(file);
        }
        if self.order.len() >= FILES_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_name.remove(&oldest);
        }
        let file = Arc::new(file);
        self.order.push_back(name.clone());
        self.by_name.insert(name, Arc::clone(&file));
        file
    }
}

impl LocalFiles {
    /// One file; its root is the folder it lies in.
    pub fn file(path: &Path) -> Self {
        let name = path.file_name().map_or_else(|| path.to_owned(), PathBuf::from);
        let root = path.parent().map_or_else(PathBuf::new, Path::to_owned);
        Self { root, names: vec![name], open: Mutex::default() }
    }

    /// Every file below a folder, in byte order of the relative name. Hidden files and folders are
    /// left out; symbolic links are followed to files, not to folders, so there are no cycles.
    ///
    /// # Errors
    /// `Io` when a folder cannot be listed.
    pub fn folder(root: &Path) -> Result<Self> {
        Ok(Self { root: root.to_owned(), names: walk(root)?, open: Mutex::default() })
    }

    /// The files named, relative to `root`, sorted and each once.
    pub fn list_of(root: &Path, mut names: Vec<PathBuf>) -> Self {
        names.sort_unstable();
        names.dedup();
        Self { root: root.to_owned(), names, open: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, OpenFiles> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every file below a folder: see [`LocalFiles::folder`].
pub(crate) fn walk(root: &Path) -> Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(folder) = pending.pop() {
        let at = root.join(&folder);
        let entries = fs::read_dir(&at).map_err(|err| io_error("cannot list the folder", &at, err))?;
        for entry in entries {
            let entry = entry.map_err(|err| io_error("cannot list the folder", &at, err))?;
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let kind = entry.file_type().map_err(|err| io_error("cannot look at", &entry.path(), err))?;
            if kind.is_dir() {
                pending.push(folder.join(name));
            } else if kind.is_file() || entry.path().is_file() {
                names.push(folder.join(name));
            }
        }
    }
    names.sort_unstable();
    Ok(names)
}

impl Files for LocalFiles {
    fn list(&self) -> Result<Vec<PathBuf>> {
        Ok(self.names.clone())
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        if let Some(file) = self.lock().by_name.get(path.as_os_str()) {
            return Ok(Arc::clone(file) as Arc<dyn ReadAt>);
        }
        // Not under the lock: other threads open other files meanwhile.
        let full = self.root.join(path);
        let bytes = whole(&full).map_err(|err| io_error("cannot open the file", path, err))?;
        Ok(self.lock().keep(path.as_os_str().to_owned(), WholeFile(bytes)))
    }

    fn stamp(&self, path: &Path) -> Option<String> {
        stamp_of(&self.root.join(path))
    }

    fn leads_out(&self, path: &Path) -> bool {
        leads_out(&self.root, path)
    }
}

/// See [`Files::leads_out`]. A file that is not there leads nowhere.
pub(crate) fn leads_out(root: &Path, path: &Path) -> bool {
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    match (root.canonicalize(), root.join(path).canonicalize()) {
        (Ok(root), Ok(file)) => !file.starts_with(root),
        _ => false,
    }
}

/// See [`Files::stamp`].
pub(crate) fn stamp_of(path: &Path) -> Option<String> {
    stamp(&fs::metadata(path).ok()?)
}

/// Clocks of file systems tick slowly: a file may change again within the tick of its last change.
#[cfg(unix)]
const SETTLED_SECONDS: i64 = 2;

/// Which file it is, its length, and when it changed. The time of the last change of the inode cannot be set
/// by anybody, so a file that was written and given its old time back is noticed. The device is no part of
/// it: machines that mount one file system number it differently.
#[cfg(unix)]
fn stamp(found: &fs::Metadata) -> Option<String> {
    use std::{os::unix::fs::MetadataExt as _, time::SystemTime};
    #[expect(clippy::disallowed_methods, reason = "decides whether to trust a cache, never what is written")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let is_settled = found.ctime().checked_add(SETTLED_SECONDS)? < i64::try_from(now.as_secs()).ok()?;
    is_settled.then(|| {
        format!(
            "{}:{}:{}.{:09}:{}.{:09}",
            found.ino(),
            found.len(),
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec(),
        )
    })
}

#[cfg(not(unix))]
fn stamp(_found: &fs::Metadata) -> Option<String> {
    None
}

/// The whole file as a view of the page cache; a short one as a copy.
fn whole(path: &Path) -> std::io::Result<Bytes> {
    contents(open_file(path)?)
}

/// Opens what is a file. To open a pipe would wait for somebody who writes to it, and what a device has is no file's contents.
pub(crate) fn open_file(path: &Path) -> std::io::Result<fs::File> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(std::io::Error::new(std::io::ErrorKind::IsADirectory, "it is a folder"));
    }
    if !kind.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::Unsupported, "it is no regular file"));
    }
    #[expect(clippy::disallowed_methods, reason = "this crate is where input files are opened")]
    fs::File::open(path)
}

/// All of an open file that was not read yet: see [`whole`].
pub(crate) fn contents(file: fs::File) -> std::io::Result<Bytes> {
    let metadata = file.metadata()?;
    if metadata.len() <= SHORT_FILE {
        // One more, because a full buffer would grow to find out that nothing is left.
        let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
        file.take(metadata.len()).read_to_end(&mut bytes)?;
        return Ok(bytes.into());
    }
    #[expect(unsafe_code, reason = "nothing maps memory without")]
    // SAFETY: the map is private and read-only. Recordings are not written while they are converted;
    // a file that shrinks under us ends the process with SIGBUS before anything has a final name. A scratch file has
    // no name, so nobody else can write to it.
    let map = unsafe { memmap2::MmapOptions::new().map(&file)? };
    Ok(Bytes::from_owner(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe that nobody writes to is not waited for.
    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_not_opened() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        fs::create_dir(folder.path().join("folder")).unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let near = LocalFiles::folder(folder.path()).unwrap();
        let plain = crate::FolderFiles::new(folder.path());
        for (name, told) in [("pipe", "it is no regular file"), ("folder", "it is a folder")] {
            for files in [&near as &dyn Files, &plain] {
                let err = files.open(Path::new(name)).err().unwrap();
                assert!(err.chain().contains(told), "{name}: {}", err.chain());
            }
        }
        // Nor is it listed.
        assert!(near.list().unwrap().is_empty());
    }

    #[test]
    fn readers_share_a_file_and_only_the_last_files_stay_open() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let long = vec![7; SHORT_FILE as usize + 1];
        for (name, content) in [("empty", &long[..0]), ("short", &long[1..]), ("long", &long)] {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let files = LocalFiles::folder(folder.path()).unwrap();
        for (name, n_bytes) in [("empty", 0), ("short", SHORT_FILE), ("long", SHORT_FILE + 1)] {
            let file = files.open(Path::new(name)).unwrap();
            assert_eq!(file.n_bytes(), n_bytes);
            let all = file.read_at(0..n_bytes).unwrap();
            assert_eq!(all, long[..n_bytes as usize]);
            let again = files.open(Path::new(name)).unwrap().read_at(0..n_bytes).unwrap();
            assert_eq!(again.as_ptr(), all.as_ptr(), "{name}");
        }
        let mut open = OpenFiles::default();
        for n in 0..=FILES_KEPT {
            open.keep(n.to_string().into(), WholeFile(Bytes::new()));
        }
        assert_eq!((open.by_name.len(), open.order.len()), (FILES_KEPT, FILES_KEPT));
        assert!(!open.by_name.contains_key(std::ffi::OsStr::new("0")));
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_out_are_told() {
        use std::os::unix::fs::symlink;

        let dir = tempfile::tempdir().expect("a scratch folder");
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("inner")).unwrap();
        fs::create_dir_all(dir.path().join("root2")).unwrap();
        for name in ["root/inner/a", "root2/a"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        symlink("inner", root.join("within")).unwrap();
        symlink("../root2", root.join("folder")).unwrap();
        symlink("../root2/a", root.join("file")).unwrap();
        let files = LocalFiles::file(&root.join("rows"));
        for (name, leads_out) in [
            ("inner/a", false),
            ("within/a", false),
            ("folder/a", true),
            ("file", true),
            ("../root2/a", true),
            ("none", false),
        ] {
            assert_eq!(files.leads_out(Path::new(name)), leads_out, "{name}");
        }
    }
}
