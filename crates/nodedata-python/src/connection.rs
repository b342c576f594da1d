//! A registry as this process has opened it: one that is forked from it opens its own.

use nodedata_client::{Access, Opening, Registry};
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_io::PerProcess;
use nodedata_registry::{DatasetName, DatasetState, Reference, Remote, RevisionEntry};

use crate::errors::Failure;

/// A registry. What reads opens it where there is one; what writes makes one where there is none.
pub(crate) struct Connection {
    access: Access,
    read: PerProcess<Registry>,
    written: PerProcess<Registry>,
}

impl Connection {
    /// That which `access` names. Nothing is opened yet.
    ///
    /// # Errors
    /// `Config` for an address that cannot be used.
    pub(crate) fn to(access: Access) -> Result<Self> {
        access.location()?;
        Ok(Self { access, read: PerProcess::new(), written: PerProcess::new() })
    }

    /// Where it is, and who asks.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// For what only reads: there must be a registry.
    pub(crate) fn reading(&self) -> Result<&Registry> {
        self.read.get_or_try(|| Registry::open(self.access.clone(), Opening::Existing))
    }

    /// For what may be the first to write.
    pub(crate) fn writing(&self) -> Result<&Registry> {
        self.written.get_or_try(|| Registry::open(self.access.clone(), Opening::OrNew))
    }

    /// A dataset by its name alone.
    pub(crate) fn dataset(&self, id: &str) -> Result<DatasetName> {
        if id.contains('@') {
            return Err(Error::new(ErrorKind::Config, format!("`{id}` names a revision"))
                .with_hint("name the dataset: `owner/name`"));
        }
        Ok(self.access.reference(id)?.dataset)
    }

    /// What a reference means, and what its dataset is.
    pub(crate) fn found(&self, text: &str) -> Result<(Reference, DatasetState), Failure> {
        let reference = self.access.reference(text)?;
        let state = state_of(&*self.reading()?.remote, &reference.dataset)?;
        Ok((reference, state))
    }

    /// The failure where what a reference means is not there, which the error of whoever looked for it does not tell.
    pub(crate) fn absent(&self, reference: &Reference) -> Option<Failure> {
        let remote = &self.reading().ok()?.remote;
        match state_of(&**remote, &reference.dataset) {
            Ok(state) => resolved(reference, &state).err(),
            Err(failure) => failure.is_absence().then_some(failure),
        }
    }
}

/// The state of a dataset that must be there.
fn state_of(remote: &dyn Remote, dataset: &DatasetName) -> Result<DatasetState, Failure> {
    match DatasetState::load(remote, dataset)? {
        Some(state) if state.is_there() => Ok(state),
        // By a name that it had before. Where there is none, or none any more, it says what is there instead.
        Some(_) | None => DatasetState::open(remote, dataset).map_err(Failure::not_found),
    }
}

/// The revision that a reference means.
pub(crate) fn resolved<'a>(
    reference: &Reference,
    state: &'a DatasetState,
) -> Result<&'a RevisionEntry, Failure> {
    reference.resolve(state).map_err(Failure::not_found)
}
