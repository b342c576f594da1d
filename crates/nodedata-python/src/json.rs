//! Documents as Python has them: dictionaries, lists, text, numbers.

use nodedata_core::{Error, ErrorKind};
use pyo3::{
    IntoPyObjectExt as _,
    prelude::*,
    types::{PyDict, PyList},
};
use serde::Serialize;
use serde_json::{Number, Value};

use crate::errors::OrRaise as _;

/// What serializes, as a Python object.
pub(crate) fn document<'py>(py: Python<'py>, body: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    let value = serde_json::to_value(body)
        .map_err(|err| Error::new(ErrorKind::Corrupt, "the report cannot be written").with_source(err))
        .or_raise(py)?;
    to_python(py, &value)
}

/// The same for what serializes as an object.
pub(crate) fn dictionary<'py>(py: Python<'py>, body: &impl Serialize) -> PyResult<Bound<'py, PyDict>> {
    Ok(document(py, body)?.cast_into::<PyDict>()?)
}

/// A JSON value.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Null => Ok(py.None().into_bound(py)),
        Value::Bool(value) => value.into_bound_py_any(py),
        Value::Number(value) => number(py, value),
        Value::String(value) => value.into_bound_py_any(py),
        Value::Array(values) => {
            let items: Vec<_> = values.iter().map(|it| to_python(py, it)).collect::<PyResult<_>>()?;
            Ok(PyList::new(py, items)?.into_any())
        }
        Value::Object(entries) => {
            let found = PyDict::new(py);
            for (name, value) in entries {
                found.set_item(name, to_python(py, value)?)?;
            }
            Ok(found.into_any())
        }
    }
}

fn number<'py>(py: Python<'py>, number: &Number) -> PyResult<Bound<'py, PyAny>> {
    match (number.as_u64(), number.as_i64()) {
        (Some(number), _) => number.into_bound_py_any(py),
        (None, Some(number)) => number.into_bound_py_any(py),
        (None, None) => number.as_f64().into_bound_py_any(py),
    }
}
