use std::{
    fs::Metadata,
    path::{Path, PathBuf},
    time::Duration,
};

use nodedata_core::Result;
use redb::{Database, ReadableDatabase, TableDefinition};

use crate::{
    digest::B3,
    hashing::{hex, read_error},
    record::BlobRef,
};

/// Identity of a file to its two digests.
const FILES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("files-1");
/// Digest of a shard to what was found in its rows.
const CONTENTS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("contents-1");

/// A file changed within this time may change again without its times showing it.
const UNSETTLED: Duration = Duration::from_millis(50);
/// How often a cache that another process holds is asked for.
const TRIES: u32 = 40;
const TRY_MILLIS: u64 = 50;

/// Which state of which file: as long as none of it changes, neither do the bytes.
#[derive(Debug, Clone, Copy)]
pub struct FileIdentity {
    /// Length.
    pub n_bytes: u64,
    device: u64,
    inode: u64,
    modified_ns: i128,
    changed_ns: i128,
    /// Whether it was changed so lately that the times prove nothing.
    unsettled: bool,
}

impl PartialEq for FileIdentity {
    /// When it was looked at does not count.
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for FileIdentity {}

impl FileIdentity {
    /// The identity of a file; `None` where the system has none.
    ///
    /// # Errors
    /// `Io`.
    pub fn of(path: &Path) -> Result<Option<Self>> {
        std::fs::metadata(path).map(|it| Self::from_metadata(&it)).map_err(|err| read_error(path, err))
    }

    /// The identity of what is said of a file.
    #[cfg(unix)]
    pub(crate) fn from_metadata(found: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        #[expect(
            clippy::disallowed_methods,
            reason = "tells whether the file's own times can be trusted yet"
        )]
        let now = std::time::SystemTime::now();
        let age = found.modified().ok().and_then(|it| now.duration_since(it).ok());
        Some(Self {
            n_bytes: found.len(),
            device: found.dev(),
            inode: found.ino(),
            modified_ns: nanos(found.mtime(), found.mtime_nsec()),
            changed_ns: nanos(found.ctime(), found.ctime_nsec()),
            unsettled: age.is_none_or(|it| it < UNSETTLED),
        })
    }

    /// The identity of what is said of a file: other systems have none.
    #[cfg(not(unix))]
    pub(crate) fn from_metadata(_: &Metadata) -> Option<Self> {
        None
    }

    fn key(&self) -> Vec<u8> {
        let Self { n_bytes, device, inode, modified_ns, changed_ns, unsettled: _ } = self;
        let mut key = Vec::with_capacity(56);
        for number in [n_bytes, device, inode] {
            key.extend_from_slice(&number.to_le_bytes());
        }
        key.extend_from_slice(&modified_ns.to_le_bytes());
        key.extend_from_slice(&changed_ns.to_le_bytes());
        key
    }
}

/// What this machine has hashed before. Only saves work: whatever is wrong with it, the work is done again.
#[derive(Debug, Clone)]
pub struct HashCache(Option<PathBuf>);

impl HashCache {
    /// Remembers nothing.
    pub fn none() -> Self {
        Self(None)
    }

    /// Remembers in a folder.
    pub fn at(folder: &Path) -> Self {
        Self(Some(folder.join("hash.redb")))
    }

    /// The folder for all of this user's caches: `nodedata` in the cache folder.
    pub fn default_folder() -> Option<PathBuf> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
        let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
        Some(caches.join("nodedata"))
    }

    /// What is known of each file.
    pub fn find(&self, files: &[Option<FileIdentity>]) -> Vec<Option<BlobRef>> {
        let keys: Vec<Option<Vec<u8>>> = files.iter().map(|it| it.as_ref().map(FileIdentity::key)).collect();
        let values = self.read(FILES, &keys);
        let blob = |value: Option<Vec<u8>>, file: &Option<FileIdentity>| {
            let value = value.filter(|it| it.len() == 64)?;
            let (b3, sha256) = value.split_at(32);
            let b3 = B3(b3.try_into().ok()?);
            Some(BlobRef { b3, sha256: hex(sha256), bytes: file.as_ref()?.n_bytes })
        };
        values.into_iter().zip(files).map(|(value, file)| blob(value, file)).collect()
    }

    /// Remembers files that are not about to change.
    pub fn remember<'a>(&self, files: impl Iterator<Item = (FileIdentity, &'a BlobRef)>) {
        let entries = files.filter(|(identity, _)| !identity.unsettled).filter_map(|(identity, blob)| {
            let mut value = blob.b3.0.to_vec();
            value.extend(unhex(&blob.sha256)?);
            Some((identity.key(), value))
        });
        self.write(FILES, &entries.collect::<Vec<_>>());
    }

    /// What was found in the rows of shards, by their digests.
    pub(crate) fn contents(&self, shards: &[B3]) -> Vec<Option<Vec<u8>>> {
        let keys: Vec<Option<Vec<u8>>> = shards.iter().map(|it| Some(it.0.to_vec())).collect();
        self.read(CONTENTS, &keys)
    }

    /// Remembers what was found in the rows of shards.
    pub(crate) fn remember_contents(&self, entries: &[(B3, Vec<u8>)]) {
        let entries: Vec<_> = entries.iter().map(|(b3, value)| (b3.0.to_vec(), value.clone())).collect();
        self.write(CONTENTS, &entries);
    }

    fn read(&self, table: TableDefinition<&[u8], &[u8]>, keys: &[Option<Vec<u8>>]) -> Vec<Option<Vec<u8>>> {
        let read = || {
            let database = self.open()?;
            let table = database.begin_read().ok()?.open_table(table).ok()?;
            let value = |key: &Option<Vec<u8>>| Some(table.get(key.as_deref()?).ok()??.value().to_vec());
            Some(keys.iter().map(value).collect())
        };
        read().unwrap_or_else(|| vec![None; keys.len()])
    }

    fn write(&self, table: TableDefinition<&[u8], &[u8]>, entries: &[(Vec<u8>, Vec<u8>)]) {
        let write = || -> Option<()> {
            let database = self.open()?;
            let transaction = database.begin_write().ok()?;
            {
                let mut table = transaction.open_table(table).ok()?;
                for (key, value) in entries {
                    table.insert(key.as_slice(), value.as_slice()).ok()?;
                }
            }
            transaction.commit().ok()
        };
        if !entries.is_empty() {
            // A cache that cannot be written is a cache that does not help.
            write();
        }
    }

    /// The database, which one process holds at a time and never for long.
    fn open(&self) -> Option<Database> {
        let path = self.0.as_ref()?;
        std::fs::create_dir_all(path.parent()?).ok()?;
        for _ in 0..TRIES {
            match Database::create(path) {
                Ok(database) => return Some(database),
                Err(redb::DatabaseError::DatabaseAlreadyOpen) => {
                    std::thread::sleep(Duration::from_millis(TRY_MILLIS));
                }
                Err(_) => return None,
            }
        }
        None
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 {
        return None;
    }
    (0..32).map(|idx| u8::from_str_radix(text.get(2 * idx..2 * idx + 2)?, 16).ok()).collect()
}
