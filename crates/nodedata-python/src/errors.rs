//! Failures become the exceptions of `errors.py`, each with its kind, its place and what to do next.

use std::{ffi::CStr, io};

use nodedata_core::{Error, ErrorKind, Locus, placed::mistakes_to_error};
use nodedata_pipeline::Refused;
use nodedata_reader::Place;
use pyo3::{
    ffi::c_str,
    prelude::*,
    sync::PyOnceLock,
    types::{PyDict, PyList},
};

/// The classes: several have two bases and methods, which only Python's own `class` gives them under the stable interface.
const CLASSES: &CStr = c_str!(include_str!("errors.py"));

/// An error, and whether it says that something is not there, which its kind does not tell.
#[derive(Debug)]
pub(crate) struct Failure {
    error: Error,
    is_absence: bool,
}

impl Failure {
    /// Something that is not there.
    pub(crate) fn not_found(error: Error) -> Self {
        Self { error, is_absence: true }
    }

    /// Whether it says that something is not there.
    pub(crate) fn is_absence(&self) -> bool {
        self.is_absence
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, is_absence: false }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Mistakes(path, mistakes) if !mistakes.is_empty() => {
                mistakes_to_error(&mistakes, Some(&path)).into()
            }
            Refused::Mistakes(path, _) => {
                Error::new(ErrorKind::Config, "the pipeline is refused").at(Locus::path(path)).into()
            }
            Refused::Failed(_, error) | Refused::Error(error) => error.into(),
        }
    }
}

/// Raises what failed.
pub(crate) trait OrRaise<T> {
    /// The value, or the exception.
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T, E: Into<Failure>> OrRaise<T> for Result<T, E> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|err| raised(py, &err.into()))
    }
}

/// A mistake in an argument.
pub(crate) fn mistake(py: Python<'_>, message: impl Into<String>, hint: impl Into<String>) -> PyErr {
    raised(py, &Error::new(ErrorKind::Config, message).with_hint(hint).into())
}

/// The exception for a failure.
pub(crate) fn raised(py: Python<'_>, failure: &Failure) -> PyErr {
    exception(py, failure).map_or_else(|err| err, PyErr::from_value)
}

fn exception<'py>(py: Python<'py>, failure: &Failure) -> PyResult<Bound<'py, PyAny>> {
    let Failure { error, is_absence } = failure;
    let name = if *is_absence { "NotFoundError" } else { class_of(error) };
    let place = place_of(py, error)?;
    classes(py)?.getattr(name)?.call1((error.chain(), place, error.hint()))
}

/// The class for an error.
fn class_of(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Io => match io_kind(error) {
            Some(io::ErrorKind::NotFound) => "NotFoundError",
            Some(io::ErrorKind::PermissionDenied) => "DeniedError",
            Some(_) | None => "StoreError",
        },
        ErrorKind::Corrupt => "CorruptError",
        ErrorKind::Misfit | ErrorKind::SchemaMismatch => "SchemaError",
        ErrorKind::Unsupported => "UnsupportedError",
        ErrorKind::Limit => "LimitError",
        ErrorKind::Config => "ConfigError",
        ErrorKind::Empty => "NotFoundError",
        ErrorKind::Conflict => "ConflictError",
        ErrorKind::Denied => "DeniedError",
        ErrorKind::Interrupted => "InterruptedRun",
        ErrorKind::StateMismatch => "StateMismatchError",
        // A kind that is new says itself what it is.
        _ => "NodeDataError",
    }
}

/// What the system said below an error, where it was that.
fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        source = cause.source();
    }
    None
}

/// Where an error happened, by name; what is not known is not in it.
fn place_of<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyDict>> {
    let Locus { path, line_column, byte_offset, topic, episode_idx, step_idx, feature } = error.locus();
    let place = Place::of(error).cloned().unwrap_or_default();
    let place = Place {
        episode: place.episode.or(*episode_idx),
        step: place.step.or(*step_idx),
        feature: place.feature.or_else(|| feature.clone()),
        byte: place.byte.or(*byte_offset),
        ..place
    };
    let found = place_dict(py, &place)?;
    // A shard is the path of what reads rows.
    if let Some(path) = path.as_ref().filter(|_| place.shard.is_none()) {
        found.set_item("path", path.to_string_lossy())?;
    }
    if let Some((line, column)) = line_column {
        found.set_item("line", line)?;
        found.set_item("column", column)?;
    }
    if let Some(topic) = topic {
        found.set_item("topic", topic)?;
    }
    Ok(found)
}

/// A place in a dataset, by name; what is not known is not in it.
pub(crate) fn place_dict<'py>(py: Python<'py>, place: &Place) -> PyResult<Bound<'py, PyDict>> {
    let Place { dataset, revision, shard, row, episode, key, step, feature, byte } = place;
    let found = PyDict::new(py);
    let texts =
        [("dataset", dataset), ("revision", revision), ("shard", shard), ("key", key), ("feature", feature)];
    for (name, value) in texts {
        if let Some(value) = value {
            found.set_item(name, value)?;
        }
    }
    for (name, value) in [("row", row), ("episode", episode), ("step", step), ("byte", byte)] {
        if let Some(value) = value {
            found.set_item(name, value)?;
        }
    }
    Ok(found)
}

fn classes(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || {
        PyModule::from_code(py, CLASSES, c"nodedata/errors.py", c"nodedata._errors").map(Bound::unbind)
    })?;
    Ok(module.bind(py))
}

/// Adds the classes to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let classes = classes(module.py())?;
    for name in classes.getattr("__all__")?.cast_into::<PyList>()? {
        let name: String = name.extract()?;
        module.add(name.as_str(), classes.getattr(name.as_str())?)?;
    }
    Ok(())
}
