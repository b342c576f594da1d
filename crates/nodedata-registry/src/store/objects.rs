use std::sync::Arc;

use nodedata_core::{Error, ErrorKind, Result};
#[cfg(feature = "remote")]
use nodedata_io::{Bucket, PerProcess, open_bucket};
use object_store::{ObjectStore, multipart::MultipartStore};

#[cfg(feature = "remote")]
use crate::store::error::object_error;

/// Times that a request is repeated by the library. Above it, uploads are tried again by us.
#[cfg(feature = "remote")]
const RETRIES: usize = 4;

/// What answers for a store.
pub(crate) enum Objects {
    /// A folder, memory, or what a test hands over: nothing that a fork could take away.
    Own { objects: Arc<dyn ObjectStore>, parts: Option<Arc<dyn MultipartStore>> },
    /// A bucket: its connections belong to the process that opened them, so each opens it for itself.
    #[cfg(feature = "remote")]
    Bucket { label: String, url: url::Url, opened: PerProcess<Bucket> },
}

impl Objects {
    /// Opens a bucket. Nothing is asked of it yet.
    #[cfg(feature = "remote")]
    pub(crate) fn of_bucket(label: &str, url: &url::Url) -> Result<(Self, object_store::path::Path)> {
        let opened = PerProcess::new();
        let prefix = opened.get_or_try(|| opened_at(label, url))?.prefix.clone();
        Ok((Self::Bucket { label: label.to_owned(), url: url.clone(), opened }, prefix))
    }

    /// Its objects.
    pub(crate) fn objects(&self) -> Result<&Arc<dyn ObjectStore>> {
        match self {
            Self::Own { objects, .. } => Ok(objects),
            #[cfg(feature = "remote")]
            Self::Bucket { label, url, opened } => Ok(&opened.get_or_try(|| opened_at(label, url))?.objects),
        }
    }

    /// Uploads by parts, which not every place takes.
    pub(crate) fn parts(&self) -> Result<&Arc<dyn MultipartStore>> {
        let parts = match self {
            Self::Own { parts, .. } => parts.as_ref(),
            #[cfg(feature = "remote")]
            Self::Bucket { label, url, opened } => {
                opened.get_or_try(|| opened_at(label, url))?.parts.as_ref()
            }
        };
        parts.ok_or_else(|| Error::new(ErrorKind::Config, "the store takes no uploads by parts"))
    }
}

#[cfg(feature = "remote")]
fn opened_at(label: &str, url: &url::Url) -> Result<Bucket> {
    let bucket =
        open_bucket(url, RETRIES).map_err(|err| object_error("cannot use the bucket", label, &err))?;
    match bucket.parts {
        Some(_) => Ok(bucket),
        None => Err(Error::new(ErrorKind::Config, format!("`{label}` takes no uploads by parts"))),
    }
}
