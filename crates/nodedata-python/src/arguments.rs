//! Arguments that come by name: each is taken once, and what nobody takes is a mistake.

use std::collections::BTreeMap;

use nodedata_core::suggest;
use pyo3::{
    prelude::*,
    types::{PyDict, PyString},
};

use crate::errors::mistake;

/// The arguments of one call.
pub(crate) struct Arguments<'py> {
    py: Python<'py>,
    /// What takes them, for messages.
    of: &'static str,
    given: BTreeMap<String, Bound<'py, PyAny>>,
    known: Vec<&'static str>,
}

impl<'py> Arguments<'py> {
    /// Those of a dictionary.
    pub(crate) fn of(of: &'static str, given: &Bound<'py, PyDict>) -> PyResult<Self> {
        let mut named = BTreeMap::new();
        for (name, value) in given.iter() {
            named.insert(name.extract::<String>()?, value);
        }
        Ok(Self { py: given.py(), of, given: named, known: Vec::new() })
    }

    /// Whoever reads them.
    pub(crate) fn py(&self) -> Python<'py> {
        self.py
    }

    /// The value as it was given; `None` where it was not, and where it is `None`.
    pub(crate) fn object(&mut self, name: &'static str) -> Option<Bound<'py, PyAny>> {
        self.known.push(name);
        self.given.remove(name).filter(|it| !it.is_none())
    }

    /// The value of a type.
    pub(crate) fn take<T: FromPyObjectOwned<'py>>(&mut self, name: &'static str) -> PyResult<Option<T>> {
        match self.object(name) {
            None => Ok(None),
            Some(value) => value.extract::<T>().map(Some).map_err(|err| {
                let err: PyErr = err.into();
                self.refused(name, &err.value(self.py).to_string())
            }),
        }
    }

    /// The same, or what it is by default.
    pub(crate) fn take_or<T: FromPyObjectOwned<'py>>(
        &mut self,
        name: &'static str,
        default: T,
    ) -> PyResult<T> {
        Ok(self.take(name)?.unwrap_or(default))
    }

    /// One text or path, or a list of them.
    pub(crate) fn texts(&mut self, name: &'static str) -> PyResult<Option<Vec<String>>> {
        let found = self.object(name).map(|it| texts(&it)).transpose();
        found.map_err(|err| self.refused(name, &err.value(self.py).to_string()))
    }

    /// One of several words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&'static str, T)],
    ) -> PyResult<Option<T>> {
        let Some(found) = self.take::<String>(name)? else { return Ok(None) };
        let meant = words.iter().find(|(word, _)| *word == found).map(|(_, meant)| *meant);
        meant.map(Some).ok_or_else(|| {
            let hint = suggest(&found, words.iter().map(|(word, _)| *word));
            mistake(self.py, format!("`{name}` is no `{found}`"), hint)
        })
    }

    /// Ends with a mistake where something was given that nobody knows.
    pub(crate) fn finish(self) -> PyResult<()> {
        match self.given.keys().next() {
            None => Ok(()),
            Some(name) => {
                let hint = suggest(name, self.known.iter().copied());
                Err(mistake(self.py, format!("`{}` takes no `{name}`", self.of), hint))
            }
        }
    }

    fn refused(&self, name: &str, why: &str) -> PyErr {
        mistake(self.py, format!("`{name}` of `{}`: {why}", self.of), "give another value, or leave it out")
    }
}

/// One text or path, or all of a list.
pub(crate) fn texts(value: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    if value.is_instance_of::<PyString>() || value.hasattr("__fspath__")? {
        return Ok(vec![text(value)?]);
    }
    value.try_iter()?.map(|it| text(&it?)).collect()
}

/// A text, or that of a path. One whose bytes are no text has no name that a report could give.
fn text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    value.py().import("os")?.call_method1("fspath", (value,))?.extract()
}
