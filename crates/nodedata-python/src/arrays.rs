//! Decoded columns as NumPy arrays. An array has the memory that a column was decoded into: nothing is copied, it may be written,
//! and its last dimension is the innermost.

use nodedata_core::DType;
use nodedata_reader::{Column, Data, Ragged, Rows, SPARE_BYTES_MIN, Tensor, give_back};
use numpy::{IntoPyArray as _, PyArray1, ndarray::ArrayViewMut1};
use pyo3::{
    intern,
    prelude::*,
    types::{PyBytes, PyDict, PyList, PyTuple},
};

/// Key under which a dictionary of rows says which of them have a value.
pub(crate) const VALID: &str = "__valid__";

/// Rows as a dictionary: for each field its values, and under [`VALID`] which rows have one, for fields where some have none.
pub(crate) fn rows<'py>(py: Python<'py>, rows: Rows) -> PyResult<Bound<'py, PyDict>> {
    let Rows { n_rows, columns } = rows;
    let (told, valid) = (PyDict::new(py), PyDict::new(py));
    for column in columns {
        add(py, &told, &valid, column, n_rows)?;
    }
    told.set_item(VALID, valid)?;
    Ok(told)
}

/// Adds a column to a dictionary of values, and to that of what is valid.
pub(crate) fn add<'py>(
    py: Python<'py>,
    told: &Bound<'py, PyDict>,
    valid: &Bound<'py, PyDict>,
    column: Column,
    n_rows: usize,
) -> PyResult<()> {
    let Column { name, data, valid: has_value } = column;
    if let Some(has_value) = has_value {
        valid.set_item(&*name, has_value.into_pyarray(py))?;
    }
    told.set_item(&*name, values(py, data, n_rows)?)
}

fn values<'py>(py: Python<'py>, data: Data, n_rows: usize) -> PyResult<Bound<'py, PyAny>> {
    match data {
        Data::Tensor(values) => tensor(py, values, &[n_rows]),
        Data::Ragged(Ragged { values, offsets }) => {
            // Indices of NumPy are signed; no array has so many items that one would not fit.
            let offsets: Vec<i64> =
                offsets.into_iter().map(|it| i64::try_from(it).unwrap_or(i64::MAX)).collect();
            let n_items = offsets.last().and_then(|it| usize::try_from(*it).ok()).unwrap_or(0);
            let parts = [tensor(py, values, &[n_items])?, offsets.into_pyarray(py).into_any()];
            Ok(PyTuple::new(py, parts)?.into_any())
        }
        Data::Text(texts) => Ok(PyList::new(py, texts)?.into_any()),
        Data::Bytes(all) => Ok(PyList::new(py, all.iter().map(|bytes| PyBytes::new(py, bytes)))?.into_any()),
    }
}

/// Numbers as an array, of which `sides` are the first dimensions.
pub(crate) fn tensor<'py>(py: Python<'py>, tensor: Tensor, sides: &[usize]) -> PyResult<Bound<'py, PyAny>> {
    let Tensor { dtype, shape, bytes } = tensor;
    let flat = flat(py, bytes.into_vec())?.into_any();
    // NumPy looks whether elements lie where their type wants them, which they do: what allocates aligns all of it alike.
    let typed = match dtype {
        DType::UInt8 => flat,
        other => flat.call_method1(intern!(py, "view"), (other.name(),))?,
    };
    if shape.is_empty() && sides.len() == 1 {
        return Ok(typed);
    }
    let shape = PyTuple::new(py, sides.iter().copied().chain(shape).collect::<Vec<_>>())?;
    typed.call_method1(intern!(py, "reshape"), (shape,))
}

/// Memory of an array. Once nobody has the array any more, it is used again.
#[pyclass(frozen, module = "nodedata._native")]
struct Lent(Vec<u8>);

impl Drop for Lent {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.0));
    }
}

/// Bytes as an array.
fn flat(py: Python<'_>, mut bytes: Vec<u8>) -> PyResult<Bound<'_, PyArray1<u8>>> {
    if bytes.capacity() < SPARE_BYTES_MIN {
        return Ok(bytes.into_pyarray(py));
    }
    let (start, n_bytes) = (bytes.as_mut_ptr(), bytes.len());
    let owner = Bound::new(py, Lent(bytes))?;
    #[expect(unsafe_code, reason = "an array of memory that is given back is made in no other way")]
    // SAFETY: `start` points to so many bytes, which the owner has, does not move and touches only when it goes; the array keeps it, and
    // nobody else has these bytes.
    let array = unsafe {
        let view = ArrayViewMut1::from_shape_ptr(n_bytes, start);
        PyArray1::borrow_from_array(&view, owner.into_any())
    };
    Ok(array)
}
