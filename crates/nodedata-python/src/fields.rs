//! Which features are read, and as what.

use nodedata_core::suggest;
use nodedata_reader::{As, FieldsRequest};
use pyo3::{prelude::*, types::PyDict};

use crate::errors::mistake;

/// What `fields` and `resize` say: names, or a dictionary of names with `"decoded"` or `"bytes"`; and a dictionary of names with
/// height and width.
///
/// # Errors
/// `ConfigError` for anything else. Whether there are such features, the split says.
pub(crate) fn fields_request(
    py: Python<'_>,
    fields: Option<&Bound<'_, PyAny>>,
    resize: Option<&Bound<'_, PyAny>>,
) -> PyResult<FieldsRequest> {
    let fields = fields.filter(|it| !it.is_none()).map(|it| wanted(py, it)).transpose()?;
    let resize = resize.filter(|it| !it.is_none()).map(|it| sizes(py, it)).transpose()?;
    let resize = resize.unwrap_or_default();
    Ok(FieldsRequest { fields, resize })
}

fn wanted(py: Python<'_>, fields: &Bound<'_, PyAny>) -> PyResult<Vec<(String, As)>> {
    let hint = "name fields in a list, or in a dictionary with \"decoded\" or \"bytes\" each";
    let Ok(named) = fields.cast::<PyDict>() else {
        let names: Vec<String> = fields.extract().map_err(|_| mistake(py, "`fields` are no names", hint))?;
        return Ok(names.into_iter().map(|it| (it, As::Decoded)).collect());
    };
    let mut wanted = Vec::with_capacity(named.len());
    for (name, word) in named.iter() {
        let (Ok(name), Ok(word)) = (name.extract::<String>(), word.extract::<String>()) else {
            return Err(mistake(py, "`fields` are no names", hint));
        };
        let read_as = match word.as_str() {
            "decoded" => As::Decoded,
            "bytes" => As::Bytes,
            other => {
                let message = format!("`fields` reads `{name}` as `{other}`");
                return Err(mistake(py, message, suggest(other, ["decoded", "bytes"])));
            }
        };
        wanted.push((name, read_as));
    }
    Ok(wanted)
}

fn sizes(py: Python<'_>, resize: &Bound<'_, PyAny>) -> PyResult<Vec<(String, [u32; 2])>> {
    let refused =
        || mistake(py, "`resize` names no sizes", "write `{\"rgb\": (224, 224)}`: height and width");
    let named = resize.cast::<PyDict>().map_err(|_| refused())?;
    let mut sizes = Vec::with_capacity(named.len());
    for (name, size) in named.iter() {
        let size = size.extract::<(u32, u32)>().or_else(|_| size.extract::<[u32; 2]>().map(Into::into));
        match (name.extract::<String>(), size) {
            (Ok(name), Ok((height, width))) => sizes.push((name, [height, width])),
            _ => return Err(refused()),
        }
    }
    Ok(sizes)
}
