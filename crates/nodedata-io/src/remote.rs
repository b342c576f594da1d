use std::{
    collections::VecDeque,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
};

use bytes::Bytes;
use futures_util::TryStreamExt;
use nodedata_core::{Error, ErrorKind, Files, Locus, ReadAt, Result};
use object_store::{ObjectStore, ObjectStoreExt, path::Path as ObjectPath};
use url::Url;

use crate::{Input, memory::past_the_end};

/// Reads below this size go through the block cache; larger ones are one request of their own.
const SMALL_READ_BYTES: u64 = 256 << 10;
/// What one cached request fetches: record headers and summaries come in runs.
const BLOCK_BYTES: u64 = 1 << 20;
/// Blocks kept per file.
const BLOCKS_MAX: usize = 8;

/// Objects below a prefix of a bucket, read by range.
pub struct RemoteFiles {
    store: Arc<dyn ObjectStore>,
    prefix: ObjectPath,
    /// Relative name and size.
    objects: Vec<(PathBuf, u64)>,
}

impl std::fmt::Debug for RemoteFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteFiles").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl RemoteFiles {
    /// Lists the objects below `prefix`, or takes the one object that `prefix` names.
    ///
    /// # Errors
    /// `Io` when the store does not answer; `Denied` when it refuses; `Config` when nothing is there.
    pub fn list_of(store: Arc<dyn ObjectStore>, prefix: ObjectPath) -> Result<Self> {
        if let Ok(found) = block_on(store.head(&prefix)) {
            let name = prefix.filename().unwrap_or_default().to_owned();
            let mut parts: Vec<_> = prefix.parts().collect();
            parts.pop();
            let parent = ObjectPath::from_iter(parts);
            return Ok(Self { store, prefix: parent, objects: vec![(name.into(), found.size)] });
        }
        let listed: Vec<_> = block_on(store.list(Some(&prefix)).try_collect())
            .map_err(|err| store_error("cannot list the objects", prefix.as_ref(), err))?;
        let mut objects: Vec<(PathBuf, u64)> = Vec::new();
        for object in listed {
            let Some(parts) = object.location.prefix_match(&prefix) else { continue };
            let name: PathBuf = parts.map(|it| it.as_ref().to_owned()).collect();
            objects.push((name, object.size));
        }
        if objects.is_empty() {
            return Err(Error::new(ErrorKind::Config, format!("no object at or below `{prefix}`"))
                .with_hint("check the bucket, the prefix, and the credentials in the environment"));
        }
        objects.sort_unstable();
        Ok(Self { store, prefix, objects })
    }
}

impl Files for RemoteFiles {
    fn list(&self) -> Result<Vec<PathBuf>> {
        Ok(self.objects.iter().map(|(name, _)| name.clone()).collect())
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        let found = self.objects.binary_search_by(|(name, _)| name.as_path().cmp(path));
        let Ok(idx) = found else {
            return Err(Error::new(ErrorKind::Io, "no such object").at(Locus::path(path)));
        };
        let (name, n_bytes) = &self.objects[idx];
        let mut location = self.prefix.clone();
        for part in name.components() {
            location = location.join(part.as_os_str().to_string_lossy().as_ref());
        }
        Ok(Arc::new(RemoteFile {
            store: Arc::clone(&self.store),
            location,
            n_bytes: *n_bytes,
            blocks: Mutex::default(),
        }))
    }
}

struct RemoteFile {
    store: Arc<dyn ObjectStore>,
    location: ObjectPath,
    n_bytes: u64,
    /// Most recently used last.
    blocks: Mutex<VecDeque<(u64, Bytes)>>,
}

impl RemoteFile {
    fn fetch(&self, range: Range<u64>) -> Result<Bytes> {
        let n_wanted = range.end - range.start;
        let bytes = block_on(self.store.get_range(&self.location, range.clone()))
            .map_err(|err| store_error("cannot read the object", self.location.as_ref(), err))?;
        if bytes.len() as u64 == n_wanted {
            return Ok(bytes);
        }
        let message = format!("the store sent {} bytes where {n_wanted} were asked", bytes.len());
        Err(Error::new(ErrorKind::Io, message).at(Locus::byte(range.start)))
    }

    fn block(&self, idx: u64) -> Result<Bytes> {
        let mut blocks = self.blocks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(at) = blocks.iter().position(|(it, _)| *it == idx)
            && let Some(hit) = blocks.remove(at)
        {
            let bytes = hit.1.clone();
            blocks.push_back(hit);
            return Ok(bytes);
        }
        let start = idx * BLOCK_BYTES;
        let bytes = self.fetch(start..(start + BLOCK_BYTES).min(self.n_bytes))?;
        if blocks.len() == BLOCKS_MAX {
            blocks.pop_front();
        }
        blocks.push_back((idx, bytes.clone()));
        Ok(bytes)
    }
}

impl ReadAt for RemoteFile {
    fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        if range.end < range.start || range.end > self.n_bytes {
            return Err(past_the_end(&range, self.n_bytes));
        }
        let n_bytes = range.end - range.start;
        if n_bytes == 0 {
            return Ok(Bytes::new());
        }
        let (first, last) = (range.start / BLOCK_BYTES, (range.end - 1) / BLOCK_BYTES);
        if n_bytes > SMALL_READ_BYTES || first != last {
            return self.fetch(range);
        }
        let within = range.start - first * BLOCK_BYTES;
        let block = self.block(first)?;
        // Both ends lie in one block of 1 MiB, so they fit memory.
        Ok(block.slice(within as usize..(within + n_bytes) as usize))
    }
}

/// Opens `s3://`, `gs://`, `az://`, `http(s)://`; credentials and endpoints come from the environment
/// under the names each cloud's own tools use (`AWS_…`, `GOOGLE_…`, `AZURE_…`).
pub(crate) fn open(source: &str) -> Result<Input> {
    // Another part of the process may have installed a provider first: then that one serves.
    drop(rustls::crypto::ring::default_provider().install_default());
    let url = Url::parse(source)
        .map_err(|err| Error::new(ErrorKind::Config, format!("`{source}` is not a URL")).with_source(err))?;
    let options = std::env::vars()
        .filter(|(name, _)| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|prefix| name.starts_with(prefix)));
    let options = options.map(|(name, value)| (name.to_ascii_lowercase(), value));
    let (store, prefix) = object_store::parse_url_opts(&url, options)
        .map_err(|err| store_error("cannot use the store", source, err))?;
    let files = RemoteFiles::list_of(Arc::from(store), prefix)?;
    let exact = files.objects.len() == 1 && source.ends_with(&*files.objects[0].0.to_string_lossy());
    Ok(Input { files: Arc::new(files), root: source.to_owned(), exact })
}

fn store_error(what: &str, location: &str, err: object_store::Error) -> Error {
    let kind = match err {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            ErrorKind::Denied
        }
        _ => ErrorKind::Io,
    };
    Error::new(kind, what)
        .with_source(err)
        .at(Locus::path(location))
        .with_hint("check the URL, the network, and the credentials in the environment")
}

/// The one runtime of the process for store requests; decoding never runs on it.
fn block_on<F: Future>(future: F) -> F::Output {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("the process may start two threads")
        })
        .block_on(future)
}

#[cfg(test)]
mod tests {
    use object_store::{PutPayload, memory::InMemory};

    use super::*;

    #[test]
    fn a_bucket_reads_like_a_folder() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let big: Vec<u8> = (0..3_000_000u32).map(|it| (it % 251) as u8).collect();
        for (name, bytes) in [("runs/a.mcap", big.clone()), ("runs/day/b.mcap", b"bb".to_vec())] {
            let path = ObjectPath::from(name);
            block_on(store.put(&path, PutPayload::from(bytes))).unwrap();
        }
        let files = RemoteFiles::list_of(Arc::clone(&store), ObjectPath::from("runs")).unwrap();
        assert_eq!(files.list().unwrap(), [PathBuf::from("a.mcap"), PathBuf::from("day/b.mcap")]);
        let file = files.open(Path::new("a.mcap")).unwrap();
        // Small, across a block border, large, at the very end, and past it.
        for range in [10..20, 1_048_570..1_048_580, 5..900_000, 2_999_990..3_000_000] {
            let bytes = file.read_at(range.clone()).unwrap();
            assert_eq!(bytes, big[range.start as usize..range.end as usize]);
        }
        assert_eq!(file.read_at(2_999_999..3_000_001).unwrap_err().kind(), ErrorKind::Corrupt);
        let one = RemoteFiles::list_of(store, ObjectPath::from("runs/day/b.mcap")).unwrap();
        assert_eq!(one.list().unwrap(), [PathBuf::from("b.mcap")]);
        assert_eq!(&one.open(Path::new("b.mcap")).unwrap().read_at(0..2).unwrap()[..], b"bb");
    }
}
