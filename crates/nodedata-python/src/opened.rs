//! What is read from, as this process has opened it. A fork copies locks as they were at that moment, with nobody there to
//! give them back; so who is forked opens the same revision, by the digest of its manifest, for itself.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{Error, ErrorKind, Locus};
use nodedata_io::PerProcess;
use nodedata_reader::{OpenOptions, Reader, Split};
use nodedata_registry::{Reference, Selector};

use crate::{connection::Connection, errors::Failure};

/// A revision, or the dataset in a folder.
pub(crate) struct OpenedReader {
    place: Place,
    /// Digest of the manifest: another process reads the same, or nothing.
    manifest: String,
    own: PerProcess<Reader>,
}

enum Place {
    Folder(PathBuf),
    Revision { connection: Arc<Connection>, reference: Reference, options: OpenOptions },
}

impl OpenedReader {
    /// The dataset in a folder.
    ///
    /// # Errors
    /// Those of [`Reader::of_folder`].
    pub(crate) fn of_folder(folder: &Path) -> Result<Self, Failure> {
        // Another process may be in another folder.
        let folder = std::path::absolute(folder).map_err(|err| Error::from(err).at(Locus::path(folder)))?;
        Self::of(Place::Folder(folder))
    }

    /// A revision.
    ///
    /// # Errors
    /// What opening it reports; where there is no such dataset or revision, that it is not there.
    pub(crate) fn of_revision(
        connection: &Arc<Connection>,
        reference: Reference,
        options: OpenOptions,
    ) -> Result<Self, Failure> {
        Self::of(Place::Revision { connection: Arc::clone(connection), reference, options })
    }

    fn of(mut place: Place) -> Result<Self, Failure> {
        let reader = place.open()?;
        let manifest = reader.manifest_digest();
        if let Place::Revision { reference, .. } = &mut place {
            // A tag may be moved meanwhile.
            reference.selector = Selector::parse(&manifest)?;
        }
        let own = PerProcess::new();
        own.get(|| reader);
        Ok(Self { place, manifest, own })
    }

    /// Digest of the manifest, which alone decides what is read.
    pub(crate) fn manifest(&self) -> &str {
        &self.manifest
    }

    /// That of this process.
    ///
    /// # Errors
    /// In a process that was forked, what opening it there reports.
    pub(crate) fn get(&self) -> Result<&Reader, Failure> {
        self.own.get_or_try(|| {
            let reader = self.place.open()?;
            if reader.manifest_digest() == self.manifest {
                return Ok(reader);
            }
            let message = "the folder holds another dataset than when it was opened";
            Err(Error::new(ErrorKind::StateMismatch, message).with_hint("open it again").into())
        })
    }
}

impl Place {
    fn open(&self) -> Result<Reader, Failure> {
        match self {
            Self::Folder(folder) => Ok(Reader::of_folder(folder)?),
            Self::Revision { connection, reference, options } => {
                let remote = Arc::clone(&connection.reading()?.remote);
                Reader::open(remote, reference, options).map_err(|err| match err.kind() {
                    ErrorKind::Config => connection.absent(reference).unwrap_or_else(|| err.into()),
                    _ => err.into(),
                })
            }
        }
    }
}

/// The episodes of a split in one stream.
pub(crate) struct OpenedSplit {
    reader: Arc<OpenedReader>,
    name: String,
    stream: String,
    own: PerProcess<Split>,
}

impl OpenedSplit {
    /// One of a reader's.
    ///
    /// # Errors
    /// Those of [`Reader::split`]; where there is none of these names, that it is not there.
    pub(crate) fn of(reader: &Arc<OpenedReader>, name: String, stream: String) -> Result<Self, Failure> {
        let opened = Self { reader: Arc::clone(reader), name, stream, own: PerProcess::new() };
        opened.get()?;
        Ok(opened)
    }

    /// That of this process, where it is open.
    pub(crate) fn there(&self) -> Option<&Split> {
        self.own.get_or_try(|| Err(())).ok()
    }

    /// That of this process.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(crate) fn get(&self) -> Result<&Split, Failure> {
        self.own.get_or_try(|| {
            self.reader.get()?.split(&self.name, &self.stream).map_err(|err| match err.kind() {
                ErrorKind::Config => Failure::not_found(err),
                _ => err.into(),
            })
        })
    }
}
