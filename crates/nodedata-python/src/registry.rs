//! A registry, as the client opens it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use nodedata_client::{Access, UploadMode, UploadOptions, bump, read_schema, upload};
use nodedata_core::{Error, Locus, suggest};
use nodedata_registry::{
    DatasetState, Outcome, Reference, Revision, StoreLocation, TagTarget, create,
    http::Token,
    pull, tag,
    trust::{ByteSample, VerifyOptions, verify_published},
    withdraw,
};
use pyo3::{prelude::*, types::PyDict};
use serde_json::{Value, json};

use crate::{
    connection::{Connection, resolved},
    dataset_facts::{new_dataset, not_new},
    errors::{Failure, OrRaise as _, mistake},
    json::{dictionary, document},
    open_options::open_options,
    opened::OpenedReader,
    reader::Reader,
    watched::{away, watched},
};

/// A registry.
#[pyclass(frozen, module = "nodedata._native")]
pub(crate) struct Registry(Arc<Connection>);

/// Opens a registry: a folder, a bucket or a server. Where nothing is said, what the environment says, or the user's own folder.
#[pyfunction]
#[pyo3(signature = (store = None, token = None, author = None))]
pub(crate) fn open_registry(
    py: Python<'_>,
    store: Option<String>,
    token: Option<&str>,
    author: Option<String>,
) -> PyResult<Registry> {
    let token = token.map(Token::parse).transpose().or_raise(py)?;
    let access = Access { store, author, token }.or_environment();
    Connection::to(access).or_raise(py).map(|it| Registry(Arc::new(it)))
}

#[pymethods]
impl Registry {
    /// Where it is, without any secret.
    #[getter]
    fn location(&self, py: Python<'_>) -> PyResult<String> {
        let without_secret = |place: StoreLocation| match place {
            StoreLocation::Folder(path) => std::path::absolute(&path)
                .map(|it| it.display().to_string())
                .map_err(|err| Error::from(err).at(Locus::path(path))),
            StoreLocation::Bucket(mut url) | StoreLocation::Server(mut url) => {
                // An address without a host has none, and takes none.
                url.set_password(None).ok();
                url.set_username("").ok();
                Ok(url.to_string())
            }
        };
        self.0.access().location().and_then(without_secret).or_raise(py)
    }

    /// Who does what is done.
    #[getter]
    fn author(&self) -> String {
        self.0.access().author()
    }

    /// Creates a dataset.
    #[pyo3(signature = (**facts))]
    fn create<'py>(
        &self,
        py: Python<'py>,
        facts: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let none = PyDict::new(py);
        let (new, exist_ok) = new_dataset(self.0.access(), facts.unwrap_or(&none))?;
        let connection = Arc::clone(&self.0);
        let begun = away(py, move || {
            let begun = create(&*connection.writing()?.remote, &new)?;
            if begun.is_new || exist_ok { Ok(begun) } else { Err(Failure::from(not_new(&new.dataset))) }
        });
        let begun = begun?.or_raise(py)?;
        let told = dictionary(py, &begun.state)?;
        told.set_item("id", begun.state.dataset.to_string())?;
        told.set_item("is_new", begun.is_new)?;
        Ok(told)
    }

    /// Uploads shards, or a converted dataset, and publishes what the dataset holds then.
    #[expect(clippy::too_many_arguments, reason = "arguments of Python have names")]
    #[pyo3(signature = (
        id, files, schema = None, sample_index = None, mode = "add", bump = "auto", retry_for = None, progress = None
    ))]
    fn upload<'py>(
        &self,
        py: Python<'py>,
        id: &str,
        files: Vec<PathBuf>,
        schema: Option<PathBuf>,
        sample_index: Option<PathBuf>,
        mode: &str,
        bump: &str,
        retry_for: Option<f64>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let dataset = self.0.dataset(id).or_raise(py)?;
        let mut options = UploadOptions::new(dataset, files);
        options.schema = schema.map(|it| read_schema(&it)).transpose().or_raise(py)?;
        options.sample_index = sample_index;
        options.bump = self::bump(bump).or_raise(py)?;
        options.mode = match mode {
            "add" => UploadMode::Add,
            "replace" => UploadMode::Replace,
            other => {
                return Err(mistake(
                    py,
                    format!("`mode` is no `{other}`"),
                    suggest(other, ["add", "replace"]),
                ));
            }
        };
        if let Some(seconds) = retry_for {
            options.retry_for = Duration::try_from_secs_f64(seconds)
                .map_err(|_| mistake(py, format!("`retry_for` is {seconds}"), "give 0 or more seconds"))?;
        }
        let connection = Arc::clone(&self.0);
        let report = watched(py, progress, move |progress| upload(connection.writing()?, &options, progress));
        let report = report?.or_raise(py)?;
        let told = dictionary(py, &report)?;
        told.set_item("unchanged", report.outcome == Outcome::Unchanged)?;
        Ok(told)
    }

    /// The datasets, by name.
    fn list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let connection = Arc::clone(&self.0);
        let listed = away(py, move || {
            let remote = &connection.reading()?.remote;
            let mut listed = Vec::new();
            for name in remote.datasets()? {
                let state = DatasetState::load(&**remote, &name)?;
                if let Some(state) = state.filter(DatasetState::is_there) {
                    listed.push(line(&state));
                }
            }
            Ok::<_, Failure>(listed)
        });
        document(py, &listed?.or_raise(py)?)
    }

    /// A revision: its manifest, its record, its shards, and what is said of the dataset.
    fn show<'py>(&self, py: Python<'py>, reference: String) -> PyResult<Bound<'py, PyDict>> {
        let connection = Arc::clone(&self.0);
        let told = away(py, move || {
            let (reference, state) = connection.found(&reference)?;
            let entry = resolved(&reference, &state)?;
            let revision = Revision::open(&connection.reading()?.remote, &reference.dataset, entry)?;
            let about = state.attachments.iter().filter(|it| it.revision == entry.revision);
            Ok::<_, Failure>(json!({
                "dataset": reference.dataset,
                "manifest": entry.manifest,
                "revision": revision.manifest(),
                "record": entry,
                "tags": state.tags,
                "visibility": state.visibility,
                "attachments": about.collect::<Vec<_>>(),
                "shards": revision.shards()?,
            }))
        });
        dictionary(py, &told?.or_raise(py)?)
    }

    /// The revisions of a dataset, newest first.
    fn log<'py>(&self, py: Python<'py>, id: String) -> PyResult<Bound<'py, PyAny>> {
        let connection = Arc::clone(&self.0);
        let found = away(py, move || connection.found(&id));
        let (_, state) = found?.or_raise(py)?;
        document(py, &state.revisions.iter().rev().collect::<Vec<_>>())
    }

    /// Points a tag at a revision; takes it away where there is none.
    #[pyo3(signature = (id, revision, name))]
    fn tag<'py>(
        &self,
        py: Python<'py>,
        id: String,
        revision: Option<String>,
        name: String,
    ) -> PyResult<Bound<'py, PyDict>> {
        let connection = Arc::clone(&self.0);
        let done = away(py, move || {
            let text = revision.as_ref().map_or_else(|| id.clone(), |it| format!("{id}@{it}"));
            let (reference, state) = connection.found(&text)?;
            let target = match revision {
                None => TagTarget::Nothing,
                Some(_) => TagTarget::Usable(&resolved(&reference, &state)?.revision),
            };
            let registry = connection.reading()?;
            Ok::<_, Failure>(tag(&*registry.remote, &reference.dataset, &registry.author, &name, target)?)
        });
        dictionary(py, &done?.or_raise(py)?)
    }

    /// Says that a revision is no longer to be used.
    fn withdraw<'py>(
        &self,
        py: Python<'py>,
        reference: String,
        reason: String,
    ) -> PyResult<Bound<'py, PyDict>> {
        let connection = Arc::clone(&self.0);
        let done = away(py, move || {
            let (reference, state) = connection.found(&reference)?;
            let revision = &resolved(&reference, &state)?.revision;
            let registry = connection.reading()?;
            let done = withdraw(&*registry.remote, &reference.dataset, &registry.author, revision, &reason)?;
            Ok::<_, Failure>(done)
        });
        dictionary(py, &done?.or_raise(py)?)
    }

    /// How two revisions differ. The second may be an `@` with what stands behind it alone.
    fn diff<'py>(&self, py: Python<'py>, old: String, new: String) -> PyResult<Bound<'py, PyDict>> {
        let connection = Arc::clone(&self.0);
        let told = away(py, move || {
            let (old, old_state) = connection.found(&old)?;
            let (new, new_state) = match new.strip_prefix('@') {
                Some(selector) => connection.found(&format!("{}@{selector}", old.dataset))?,
                None => connection.found(&new)?,
            };
            let contents = |reference: &Reference, state: &DatasetState| {
                let entry = resolved(reference, state)?;
                let revision = Revision::open(&connection.reading()?.remote, &reference.dataset, entry)?;
                Ok::<_, Failure>((entry.revision.clone(), revision.contents()?))
            };
            let (old_number, old) = contents(&old, &old_state)?;
            let (new_number, new) = contents(&new, &new_state)?;
            let found = old.compare(&new);
            let kind = found.kind().name();
            Ok::<_, Failure>(json!({"old": old_number, "new": new_number, "kind": kind, "changes": found}))
        });
        dictionary(py, &told?.or_raise(py)?)
    }

    /// Checks a revision from its log down. `sample` is the share of the bytes of each shard that is read: 1 for all, and 0 to look only
    /// whether all blobs are there. `seed` says which.
    #[pyo3(signature = (reference, sample = None, seed = 0))]
    fn verify<'py>(
        &self,
        py: Python<'py>,
        reference: String,
        sample: Option<f64>,
        seed: u64,
    ) -> PyResult<Bound<'py, PyDict>> {
        let sample = sample.map_or(Ok(ByteSample::ALL), |share| ByteSample::of(share, seed)).or_raise(py)?;
        let connection = Arc::clone(&self.0);
        let found = away(py, move || {
            let (reference, state) = connection.found(&reference)?;
            let entry = resolved(&reference, &state)?;
            let options = VerifyOptions { trusted: &[], sample };
            let remote = &connection.reading()?.remote;
            Ok::<_, Failure>(verify_published(remote, &reference.dataset, entry, &options)?)
        });
        let found = found?.or_raise(py)?;
        let told = dictionary(py, &found)?;
        told.set_item("sound", found.is_sound())?;
        Ok(told)
    }

    /// Fetches a revision to a folder, which appears in one step.
    #[pyo3(signature = (reference, out, overwrite = false, progress = None))]
    fn pull<'py>(
        &self,
        py: Python<'py>,
        reference: String,
        out: PathBuf,
        overwrite: bool,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let connection = Arc::clone(&self.0);
        let report = watched(py, progress, move |progress| {
            let (reference, state) = connection.found(&reference)?;
            let entry = resolved(&reference, &state)?;
            let revision = Revision::open(&connection.reading()?.remote, &reference.dataset, entry)?;
            Ok::<_, Failure>(pull(&revision, &out, overwrite, progress)?)
        });
        dictionary(py, &report?.or_raise(py)?)
    }

    /// Opens a revision to read from. It is resolved once, here.
    #[pyo3(signature = (reference, revision = None, cache = None))]
    fn open<'py>(
        &self,
        py: Python<'py>,
        reference: &str,
        revision: Option<&str>,
        cache: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Reader> {
        let text = match revision {
            None => reference.to_owned(),
            Some(_) if reference.contains('@') => {
                let message = format!("`{reference}` names a revision, and `revision` does as well");
                return Err(mistake(py, message, "leave out one of them"));
            }
            Some(revision) => format!("{reference}@{revision}"),
        };
        let options = open_options(py, cache)?;
        let connection = Arc::clone(&self.0);
        let opened = away(py, move || {
            let reference = connection.access().reference(&text)?;
            OpenedReader::of_revision(&connection, reference, options)
        });
        opened?.or_raise(py).map(Reader::new)
    }
}

/// A dataset as the list of all says it.
fn line(state: &DatasetState) -> Value {
    json!({
        "dataset": state.dataset,
        "latest": state.head().map(|it| &it.revision),
        "revisions": state.revisions.len(),
        "visibility": state.visibility,
        "class": state.sensitivity.class,
    })
}
