use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_io::{io_error, printable};
use object_store::{
    ObjectStore, local::LocalFileSystem, memory::InMemory, multipart::MultipartStore,
    path::Path as ObjectPath,
};
use url::Url;

use crate::store::{
    Inner, Store, Uploads, error::object_error, local_upload::LocalUploads,
    multipart_upload::MultipartUploads, objects::Objects,
};

/// Where a store is, as `--store` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// A directory.
    Folder(PathBuf),
    /// `s3://`, `gs://`, `az://`.
    Bucket(Url),
    /// `http://`, `https://`: a server, to which [`Store`] does not speak.
    Server(Url),
}

impl StoreLocation {
    /// What `--store` or `NODEDATA_STORE` says.
    ///
    /// # Errors
    /// `Config` for a scheme that is none of ours, and for a URL with a query or a fragment.
    pub fn parse(text: &str) -> Result<Self> {
        let Some((scheme, _)) = text.split_once("://") else { return Ok(Self::Folder(text.into())) };
        let refused = |message: String| {
            Error::new(ErrorKind::Config, message)
                .with_hint("use a folder, s3://BUCKET/PREFIX, gs://…, az://… or http(s)://…")
        };
        let url =
            Url::parse(text).map_err(|err| refused(format!("`{text}` is not a URL")).with_source(err))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused(format!("`{text}` has a query or a fragment, which a store has not")));
        }
        match scheme {
            "file" => {
                url.to_file_path().map(Self::Folder).map_err(|()| refused(format!("`{text}` is no path")))
            }
            "s3" | "s3a" | "gs" | "az" | "abfs" | "abfss" | "azure" => Ok(Self::Bucket(url)),
            "http" | "https" => Ok(Self::Server(url)),
            other => Err(refused(format!("`{other}://` is no store we know"))),
        }
    }
}

/// The folder of the store that is used when none is named: `nodedata/store` in the user's data folder.
pub fn default_store_folder() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))?;
    Some(data.join("nodedata/store"))
}

/// How a store is opened.
#[derive(Debug, Clone, Default)]
pub struct OpenStore {
    /// Folder where this machine notes what a bucket has acknowledged; in memory when absent.
    pub journal: Option<PathBuf>,
    /// Makes the folder of a directory store that is not there.
    pub create: bool,
}

impl Store {
    /// Opens a directory or a bucket. Nothing is asked of a bucket yet.
    ///
    /// # Errors
    /// `Config` when there is no such folder, when the address cannot be used, and for a server.
    pub fn open(location: &StoreLocation, options: &OpenStore) -> Result<Self> {
        match location {
            StoreLocation::Folder(folder) => Self::open_folder(folder, options.create),
            StoreLocation::Bucket(url) => Self::open_bucket(url, options.journal.clone()),
            StoreLocation::Server(url) => {
                Err(Error::new(ErrorKind::Config, format!("{url} is a server, not a store of files")))
            }
        }
    }

    /// A store in memory, which is gone with its last clone.
    pub fn memory() -> Self {
        let objects = Arc::new(InMemory::new());
        Self::over("memory", Arc::clone(&objects) as _, objects)
    }

    /// A store of one's own making: anything that `object_store` speaks to, such as one that fails on
    /// purpose.
    pub fn over(label: &str, objects: Arc<dyn ObjectStore>, parts: Arc<dyn MultipartStore>) -> Self {
        let objects = Arc::new(Objects::Own { objects, parts: Some(parts) });
        let prefix = ObjectPath::default();
        let uploads = Uploads::Multipart(Box::new(MultipartUploads::new(
            label,
            Arc::clone(&objects),
            prefix.clone(),
            None,
        )));
        Self(Arc::new(Inner {
            label: label.to_owned(),
            objects,
            prefix,
            uploads,
            n_requests: AtomicU64::default(),
        }))
    }

    fn open_folder(folder: &Path, create: bool) -> Result<Self> {
        if create {
            fs::create_dir_all(folder)
                .map_err(|err| io_error("cannot make the store's folder", folder, err))?;
        } else if !folder.is_dir() {
            return Err(Error::new(ErrorKind::Config, "there is no store")
                .at(Locus::path(folder))
                .with_hint("name another with `--store`; `node-data dataset push` makes one, so does `node-data store init`"));
        }
        let root = fs::canonicalize(folder)
            .map_err(|err| io_error("cannot find the store's folder", folder, err))?;
        let label = root.display().to_string();
        let objects = LocalFileSystem::new_with_prefix(&root)
            .map_err(|err| object_error("cannot use the folder", &label, &err))?
            .with_fsync(true);
        Ok(Self(Arc::new(Inner {
            label,
            objects: Arc::new(Objects::Own { objects: Arc::new(objects), parts: None }),
            prefix: ObjectPath::default(),
            uploads: Uploads::Local(Box::new(LocalUploads::new(root))),
            n_requests: AtomicU64::default(),
        })))
    }

    #[cfg(not(feature = "remote"))]
    fn open_bucket(url: &Url, _: Option<PathBuf>) -> Result<Self> {
        let label = printable(url.as_str());
        Err(Error::new(ErrorKind::Unsupported, format!("this build speaks to no buckets: {label}"))
            .with_hint("build with the feature `remote`, or name a folder"))
    }

    #[cfg(feature = "remote")]
    fn open_bucket(url: &Url, journal: Option<PathBuf>) -> Result<Self> {
        let label = printable(url.as_str());
        let (objects, prefix) = Objects::of_bucket(&label, url)?;
        let objects = Arc::new(objects);
        let uploads = Uploads::Multipart(Box::new(MultipartUploads::new(
            &label,
            Arc::clone(&objects),
            prefix.clone(),
            journal,
        )));
        Ok(Self(Arc::new(Inner { label, objects, prefix, uploads, n_requests: AtomicU64::default() })))
    }
}
