mod error;
mod files;
mod here;
mod local_upload;
mod multipart_upload;
mod objects;
mod open;
mod place;
mod probe;
mod sender;
mod together;
mod unfinished;

use std::{
    ops::Range,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use nodedata_core::{Error, ErrorKind, Locus, Result};
use object_store::{ObjectStoreExt, PutMode, PutOptions, PutPayload, path::Path as ObjectPath};

pub use error::is_full;
pub use open::{OpenStore, StoreLocation, default_store_folder};
pub use probe::Probe;
pub use sender::Sender;

use crate::{
    bounded::BlobBytes,
    digest::B3,
    layout,
    record::BlobRef,
    remote::RANGES_AT_ONCE,
    runtime::block_on,
    store::{
        error::{object_error, stalled},
        local_upload::LocalUploads,
        multipart_upload::MultipartUploads,
        objects::Objects,
    },
    tree,
};

/// Requests that are under way at once when many small ones are needed.
const REQUESTS_AT_ONCE: usize = 64;

/// Where revisions lie: a directory, a bucket, or memory. Cheap to clone. All calls block.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    label: String,
    objects: Arc<Objects>,
    prefix: ObjectPath,
    uploads: Uploads,
    n_requests: AtomicU64,
}

/// How blobs of several parts come in.
enum Uploads {
    Local(Box<LocalUploads>),
    Multipart(Box<MultipartUploads>),
}

/// Whether a create-only write was the one that made the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It was not there before.
    New,
    /// It was there; nothing was changed.
    Exists,
}

/// An object as the store lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Relative to the root of the layout.
    pub path: String,
    /// Length.
    pub bytes: u64,
    /// When it was written, by the store's clock.
    pub modified: DateTime<Utc>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.0.label).finish()
    }
}

impl Store {
    /// Where it is, without secrets.
    pub fn label(&self) -> &str {
        &self.0.label
    }

    /// Requests that were made of it by this process: objects that were read, looked at, listed, written or removed, and parts
    /// of uploads.
    pub fn n_requests(&self) -> u64 {
        self.0.n_requests.load(Ordering::Relaxed)
    }

    fn count(&self, n: usize) {
        self.0.n_requests.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// The whole object; `None` when it is not there.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    pub fn get(&self, path: &str) -> Result<Option<Bytes>> {
        self.count(1);
        tracing::debug!(store = self.label(), path, "get");
        let (at, objects) = (self.at(path), self.0.objects.objects()?);
        let read = async { objects.get(&at).await?.bytes().await };
        match block_on(0, read).map_err(stalled)? {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(err) => Err(self.failed("cannot read", path, &err)),
        }
    }

    /// The objects at `paths`, up to the first that is not there.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    pub fn get_run(&self, paths: &[String]) -> Result<Vec<Bytes>> {
        self.count(paths.len());
        // What is asked most often is whether a log goes on, and it does not: a folder says so at once.
        if paths.first().is_some_and(|it| self.is_absent_here(it)) {
            return Ok(Vec::new());
        }
        let objects = self.0.objects.objects()?;
        let reads = stream::iter(paths.iter().map(|path| async move {
            let at = self.at(path);
            let read = async { objects.get(&at).await?.bytes().await };
            match read.await {
                Ok(bytes) => Ok(Some(bytes)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(err) => Err(self.failed("cannot read", path, &err)),
            }
        }));
        let read = reads.buffered(REQUESTS_AT_ONCE).try_collect::<Vec<_>>();
        let all = block_on(0, read).map_err(stalled)??;
        Ok(all.into_iter().map_while(|it| it).collect())
    }

    /// A range of an object.
    ///
    /// # Errors
    /// `Io`, also when the object is not there or shorter; `Denied`.
    pub fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let n_bytes = range.end - range.start;
        self.count(1);
        tracing::debug!(store = self.label(), path, bytes = n_bytes, from = range.start, "get");
        let (at, objects) = (self.at(path), self.0.objects.objects()?);
        let bytes = block_on(n_bytes, objects.get_range(&at, range.clone()))
            .map_err(stalled)?
            .map_err(|err| self.failed("cannot read", path, &err))?;
        as_asked(path, &range, bytes)
    }

    /// Several ranges of an object, in the order they are asked for; in a bucket, [`RANGES_AT_ONCE`] are under way.
    ///
    /// # Errors
    /// As [`Self::get_range`].
    pub fn get_ranges(&self, path: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let asked: Vec<Range<u64>> = ranges.iter().filter(|it| !it.is_empty()).cloned().collect();
        self.count(asked.len());
        let n_bytes: u64 = asked.iter().map(|it| it.end - it.start).sum();
        tracing::debug!(store = self.label(), path, bytes = n_bytes, ranges = asked.len(), "get");
        let (at, objects) = (self.at(path), self.0.objects.objects()?);
        let read = async {
            match &self.0.uploads {
                _ if asked.is_empty() => Ok(Vec::new()),
                // The file is opened once for all of them.
                Uploads::Local(_) => objects.get_ranges(&at, &asked).await,
                // The library would join what lies up to a MiB apart; whoever asks has decided what is worth it.
                Uploads::Multipart(_) => {
                    let reads = asked.iter().map(|it| objects.get_range(&at, it.clone()));
                    stream::iter(reads).buffered(RANGES_AT_ONCE).try_collect().await
                }
            }
        };
        let found = block_on(n_bytes, read)
            .map_err(stalled)?
            .map_err(|err| self.failed("cannot read", path, &err))?;
        let mut found = found.into_iter();
        let one = |range: &Range<u64>| match range.is_empty() {
            true => Ok(Bytes::new()),
            false => as_asked(path, range, found.next().unwrap_or_default()),
        };
        ranges.iter().map(one).collect()
    }

    /// Length and time of an object; `None` when it is not there.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    pub fn head(&self, path: &str) -> Result<Option<ObjectInfo>> {
        Ok(self.heads(&[path.to_owned()])?.pop().flatten())
    }

    /// Length and time of each object.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    pub fn heads(&self, paths: &[String]) -> Result<Vec<Option<ObjectInfo>>> {
        self.count(paths.len());
        if let Some(found) = self.heads_here(paths) {
            return Ok(found);
        }
        let objects = self.0.objects.objects()?;
        let heads = stream::iter(paths.iter().map(|path| async move {
            match objects.head(&self.at(path)).await {
                Ok(it) => {
                    Ok(Some(ObjectInfo { path: path.clone(), bytes: it.size, modified: it.last_modified }))
                }
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(err) => Err(self.failed("cannot look at", path, &err)),
            }
        }));
        let n_bytes = paths.len() as u64 * 4096;
        block_on(n_bytes, heads.buffered(REQUESTS_AT_ONCE).try_collect()).map_err(stalled)?
    }

    /// Writes an object if there is none. Exactly one of several racing writers is told `New`.
    ///
    /// # Errors
    /// `Io`: then the object may or may not have been written. `Denied`.
    pub fn put_create(&self, path: &str, bytes: Bytes) -> Result<Created> {
        match self.put_mode(path, bytes, PutMode::Create)? {
            Ok(()) => Ok(Created::New),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(Created::Exists)
            }
            Err(err) => Err(self.failed("cannot write", path, &err)),
        }
    }

    /// Writes an object, whatever was there: for hints and leases only.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    pub fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        self.put_mode(path, bytes, PutMode::Overwrite)?.map_err(|err| self.failed("cannot write", path, &err))
    }

    fn put_mode(&self, path: &str, bytes: Bytes, mode: PutMode) -> Result<object_store::Result<()>> {
        self.count(1);
        let (at, objects) = (self.at(path), self.0.objects.objects()?);
        let n_bytes = bytes.len() as u64;
        tracing::debug!(store = self.label(), path, bytes = n_bytes, "put");
        let options = PutOptions { mode, ..PutOptions::default() };
        let put = objects.put_opts(&at, PutPayload::from(bytes), options);
        Ok(block_on(n_bytes, put).map_err(stalled)?.map(drop))
    }

    /// Every object below a folder, in order of name.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    pub fn list(&self, folder: &str) -> Result<Vec<ObjectInfo>> {
        self.count(1);
        let at = self.at(folder);
        let list = self.0.objects.objects()?.list(Some(&at)).try_collect::<Vec<_>>();
        // A listing has no known length.
        let found = block_on(1 << 30, list)
            .map_err(stalled)?
            .map_err(|err| self.failed("cannot list", folder, &err))?;
        let mut objects: Vec<ObjectInfo> = found
            .into_iter()
            .filter_map(|it| {
                Some(ObjectInfo {
                    path: self.relative(&it.location)?,
                    bytes: it.size,
                    modified: it.last_modified,
                })
            })
            .collect();
        objects.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(objects)
    }

    /// Names of the folders right below a folder, in order.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    pub fn folders(&self, folder: &str) -> Result<Vec<String>> {
        self.count(1);
        let at = self.at(folder);
        let found = block_on(1 << 30, self.0.objects.objects()?.list_with_delimiter(Some(&at)))
            .map_err(stalled)?
            .map_err(|err| self.failed("cannot list", folder, &err))?;
        let mut names: Vec<String> =
            found.common_prefixes.iter().filter_map(|it| Some(it.filename()?.to_owned())).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Removes an object, if it is there.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    pub fn delete(&self, path: &str) -> Result<()> {
        self.count(1);
        match block_on(0, self.0.objects.objects()?.delete(&self.at(path))).map_err(stalled)? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(err) => Err(self.failed("cannot remove", path, &err)),
        }
    }

    /// Parts of a blob that an upload under way has brought already.
    ///
    /// # Errors
    /// `Io`; `Limit` for a blob that is said to be longer than any may be.
    pub fn uploaded_parts(&self, blob: &BlobRef) -> Result<Vec<u32>> {
        self.parts_of(&Sender::default(), blob)
    }

    /// The same, of those that one sender has brought.
    ///
    /// # Errors
    /// As [`Self::uploaded_parts`].
    pub fn parts_of(&self, sender: &Sender, blob: &BlobRef) -> Result<Vec<u32>> {
        BlobBytes::new("bytes", blob.bytes)?;
        if tree::n_parts(blob.bytes) == 1 {
            return Ok(Vec::new());
        }
        match &self.0.uploads {
            Uploads::Local(uploads) => uploads.have(sender, blob),
            Uploads::Multipart(uploads) => uploads.have(sender, blob),
        }
    }

    /// Takes a part of a blob in.
    ///
    /// # Errors
    /// `Corrupt` when it has not the length of that part or, for a blob of one part, is another blob; `Io`; `Limit` for a
    /// blob that is said to be longer than any may be.
    pub fn upload_part(&self, blob: &BlobRef, part: u32, bytes: Bytes) -> Result<()> {
        self.take_part(&Sender::default(), blob, part, bytes)
    }

    /// Takes a part in that a sender brings. What others have brought, or that the blob is there, makes no difference.
    ///
    /// # Errors
    /// As [`Self::upload_part`].
    pub fn take_part(&self, sender: &Sender, blob: &BlobRef, part: u32, bytes: Bytes) -> Result<()> {
        BlobBytes::new("bytes", blob.bytes)?;
        let range = tree::part_range(blob.bytes, part);
        let is_part = part < tree::n_parts(blob.bytes);
        if !is_part || bytes.len() as u64 != range.end - range.start {
            let message = format!("part {part} of {} has {} bytes", blob.b3, bytes.len());
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        if tree::n_parts(blob.bytes) == 1 {
            return self.put_blob(blob, bytes);
        }
        self.count(1);
        let cvs = tree::grain_cvs(range.start, &bytes);
        match &self.0.uploads {
            Uploads::Local(uploads) => uploads.put_part(sender, blob, part, &bytes, &cvs),
            Uploads::Multipart(uploads) => {
                uploads.put_part(sender, blob, &self.at(&layout::blob(&blob.b3)), part, bytes, &cvs)
            }
        }
    }

    /// Ends an upload, see [`crate::Remote::seal`].
    ///
    /// # Errors
    /// `Corrupt` when parts are missing or are not the blob; they must be sent again. `Io`; `Limit` for a blob that is said
    /// to be longer than any may be.
    pub fn seal(&self, blob: &BlobRef) -> Result<()> {
        BlobBytes::new("bytes", blob.bytes)?;
        if self.head(&layout::blob(&blob.b3))?.is_some_and(|it| it.bytes == blob.bytes) {
            return self.forget_upload(&Sender::default(), blob);
        }
        self.seal_parts(&Sender::default(), blob)
    }

    /// Ends the upload of a sender, which must have brought every part: that the blob is there does not count, and costs
    /// no less.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn seal_parts(&self, sender: &Sender, blob: &BlobRef) -> Result<()> {
        BlobBytes::new("bytes", blob.bytes)?;
        let path = layout::blob(&blob.b3);
        if tree::n_parts(blob.bytes) == 1 {
            return Err(Error::new(ErrorKind::Corrupt, format!("the one part of {} is missing", blob.b3)));
        }
        self.count(1);
        // From what is looked at to what gets the name, no part changes.
        let _alone = match &self.0.uploads {
            Uploads::Local(uploads) => Some(uploads.alone(blob)),
            Uploads::Multipart(_) => None,
        };
        let cvs = match &self.0.uploads {
            Uploads::Local(uploads) => uploads.complete(sender, blob)?,
            Uploads::Multipart(uploads) => uploads.complete(sender, blob)?,
        };
        if tree::fold_root(&cvs) != Some(blob.b3) {
            self.forget_upload(sender, blob)?;
            let message = format!("the parts fold to another digest than {}", blob.b3);
            return Err(Error::new(ErrorKind::Corrupt, message).with_hint("push again; did the file change?"));
        }
        self.put_create(&layout::tree(&blob.b3), Bytes::from(tree::tree_bytes(&cvs)))?;
        match &self.0.uploads {
            Uploads::Local(uploads) => uploads.finish(sender, blob, &path),
            Uploads::Multipart(uploads) => uploads.finish(sender, blob, &self.at(&path)),
        }
    }

    /// Gives the parts that one sender has brought to another, who has brought none: the same account goes on with what an
    /// earlier push of it left.
    ///
    /// # Errors
    /// `Io`.
    pub fn hand_over(&self, from: &Sender, to: &Sender, blob: &BlobRef) -> Result<()> {
        match &self.0.uploads {
            Uploads::Local(uploads) => {
                let _alone = uploads.alone(blob);
                uploads.hand_over(from, to, blob)
            }
            Uploads::Multipart(uploads) => uploads.hand_over(from, to, blob),
        }
    }

    fn forget_upload(&self, sender: &Sender, blob: &BlobRef) -> Result<()> {
        match &self.0.uploads {
            Uploads::Local(uploads) => uploads.forget(sender, blob),
            Uploads::Multipart(uploads) => uploads.give_up(sender, blob, &self.at(&layout::blob(&blob.b3))),
        }
    }

    /// Stores a blob of one part, its tree first, so that no blob is ever without.
    fn put_blob(&self, blob: &BlobRef, bytes: Bytes) -> Result<()> {
        check_digest(blob, &bytes)?;
        if tree::n_grains(blob.bytes) > 0 {
            let cvs = tree::grain_cvs(0, &bytes);
            self.put_create(&layout::tree(&blob.b3), Bytes::from(tree::tree_bytes(&cvs)))?;
        }
        self.put_create(&layout::blob(&blob.b3), bytes)?;
        Ok(())
    }

    /// The folder of a store in a directory.
    pub fn folder(&self) -> Option<PathBuf> {
        match &self.0.uploads {
            Uploads::Local(uploads) => Some(uploads.root().to_owned()),
            Uploads::Multipart(_) => None,
        }
    }

    fn at(&self, path: &str) -> ObjectPath {
        self.0.prefix.parts().chain(ObjectPath::from(path).parts()).collect()
    }

    fn relative(&self, location: &ObjectPath) -> Option<String> {
        let parts = location.prefix_match(&self.0.prefix)?;
        Some(parts.map(|it| it.as_ref().to_owned()).collect::<Vec<_>>().join("/"))
    }

    fn failed(&self, what: &str, path: &str, err: &object_store::Error) -> Error {
        object_error(what, &self.0.label, err).at(Locus::path(path))
    }
}

fn check_digest(blob: &BlobRef, bytes: &[u8]) -> Result<()> {
    let found = B3::of(bytes);
    if found == blob.b3 {
        return Ok(());
    }
    let message = format!("the bytes sent as {} have the digest {found}", blob.b3);
    Err(Error::new(ErrorKind::Corrupt, message))
}

/// The bytes of a range, if they are all that was asked for.
fn as_asked(path: &str, range: &Range<u64>, bytes: Bytes) -> Result<Bytes> {
    let n_bytes = range.end - range.start;
    if bytes.len() as u64 == n_bytes {
        return Ok(bytes);
    }
    let message = format!("the store sent {} bytes where {n_bytes} were asked", bytes.len());
    Err(Error::new(ErrorKind::Io, message).at(Locus { byte_offset: Some(range.start), ..Locus::path(path) }))
}

#[cfg(test)]
mod tests;
