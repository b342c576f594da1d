//! Small blobs that come together.

use std::path::Path;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use nodedata_core::{Error, ErrorKind, Result};
use object_store::{ObjectStore, PutMode, PutOptions, PutPayload};

use crate::{
    bounded::BlobBytes,
    layout,
    record::BlobRef,
    runtime::block_on,
    store::{
        Store, Uploads, check_digest,
        error::stalled,
        files::{NewFile, create_files},
    },
    tree,
};

/// Blobs of a bucket that are written at once; it is asked for other sets meanwhile.
const OBJECTS_AT_ONCE: usize = 4;

impl Store {
    /// Takes whole blobs of one part each in. All of them are looked at before any is written.
    ///
    /// # Errors
    /// `Corrupt` when one of them is another blob, or has several parts: then none was written; `Io`, `Denied`; `Limit` for a blob
    /// that is said to be longer than any may be.
    pub fn put_blobs(&self, blobs: &[(BlobRef, Bytes)]) -> Result<()> {
        for (blob, bytes) in blobs {
            BlobBytes::new("bytes", blob.bytes)?;
            if bytes.len() as u64 != blob.bytes || tree::n_parts(blob.bytes) > 1 {
                let message =
                    format!("{} comes with others, and has {} bytes of {}", blob.b3, bytes.len(), blob.bytes);
                return Err(Error::new(ErrorKind::Corrupt, message)
                    .with_hint("send blobs of one part whole, and longer ones part by part"));
            }
            check_digest(blob, bytes)?;
        }
        match &self.0.uploads {
            Uploads::Local(uploads) => self.put_files(uploads.root(), blobs),
            Uploads::Multipart(_) => self.put_objects(blobs),
        }
    }

    /// Trees first, so that no blob is ever without.
    fn put_files(&self, root: &Path, blobs: &[(BlobRef, Bytes)]) -> Result<()> {
        let with_tree = blobs.iter().filter(|(blob, _)| tree::n_grains(blob.bytes) > 0);
        let trees = with_tree.map(|(blob, bytes)| {
            let cvs = tree::grain_cvs(0, bytes);
            NewFile { path: layout::tree(&blob.b3).into(), bytes: tree::tree_bytes(&cvs).into() }
        });
        let whole = blobs
            .iter()
            .map(|(blob, bytes)| NewFile { path: layout::blob(&blob.b3).into(), bytes: bytes.clone() });
        for files in [trees.collect::<Vec<_>>(), whole.collect()] {
            self.count(files.len());
            tracing::debug!(store = self.label(), files = files.len(), "put");
            create_files(root, &files)?;
        }
        Ok(())
    }

    fn put_objects(&self, blobs: &[(BlobRef, Bytes)]) -> Result<()> {
        let objects = self.0.objects.objects()?;
        let n_bytes = blobs.iter().map(|(blob, _)| blob.bytes).sum();
        let puts = stream::iter(blobs.iter().map(|(blob, bytes)| self.put_one(&**objects, blob, bytes)));
        block_on(n_bytes, puts.buffer_unordered(OBJECTS_AT_ONCE).try_collect::<()>()).map_err(stalled)?
    }

    /// Its tree first, so that no blob is ever without.
    async fn put_one(&self, objects: &dyn ObjectStore, blob: &BlobRef, bytes: &Bytes) -> Result<()> {
        if tree::n_grains(blob.bytes) > 0 {
            let cvs = tree::grain_cvs(0, bytes);
            self.create_one(objects, &layout::tree(&blob.b3), Bytes::from(tree::tree_bytes(&cvs))).await?;
        }
        self.create_one(objects, &layout::blob(&blob.b3), bytes.clone()).await
    }

    async fn create_one(&self, objects: &dyn ObjectStore, path: &str, bytes: Bytes) -> Result<()> {
        self.count(1);
        tracing::debug!(store = self.label(), path, bytes = bytes.len(), "put");
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match objects.put_opts(&self.at(path), PutPayload::from(bytes), options).await {
            Ok(_)
            | Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(())
            }
            Err(err) => Err(self.failed("cannot write", path, &err)),
        }
    }
}
