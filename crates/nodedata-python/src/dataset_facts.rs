//! What is said of a dataset when it is created.

use std::{collections::BTreeMap, path::PathBuf};

use nodedata_client::{Access, sensitivity};
use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_io::io_error;
use nodedata_registry::{DatasetName, Facts, NewDataset, Visibility, parse_price};
use pyo3::{prelude::*, types::PyDict};

use crate::{
    arguments::Arguments,
    errors::{OrRaise as _, mistake},
};

/// The dataset that keyword arguments describe, and whether it may be there already.
///
/// # Errors
/// `ConfigError` for arguments that are unknown or cannot be.
pub(crate) fn new_dataset(access: &Access, given: &Bound<'_, PyDict>) -> PyResult<(NewDataset, bool)> {
    let py = given.py();
    let mut given = Arguments::of("create", given)?;
    let name = given
        .take::<String>("name")?
        .ok_or_else(|| mistake(py, "the dataset has no `name`", "name it: `name=\"panda-arm-grasp\"`"))?;
    let reference = access.reference(&name).or_raise(py)?;
    if name.contains('@') {
        return Err(mistake(py, format!("`{name}` names a revision"), "name the dataset: `owner/name`"));
    }
    let price = given.object("price_usd").map(|it| it.str()?.extract::<String>()).transpose()?;
    let facts = Facts {
        title: given.take("title")?,
        license: given.take("license")?,
        price: price.map(|it| parse_price(&it)).transpose().or_raise(py)?,
        modality: given.texts("modality")?,
        tags: given.texts("tags")?,
        robot: given.take::<BTreeMap<String, String>>("robot")?,
    };
    let visibility =
        given.word("visibility", &[("private", Visibility::Private), ("public", Visibility::Public)])?;
    let pii = given.texts("pii")?.map(|it| sensitivity("pii", &it)).transpose().or_raise(py)?;
    let readme = given.take::<PathBuf>("readme")?.map(card).transpose().or_raise(py)?;
    let exist_ok = given.take_or("exist_ok", false)?;
    given.finish()?;
    let new = NewDataset {
        visibility: visibility.unwrap_or(Visibility::Private),
        sensitivity: pii.unwrap_or_default(),
        facts,
        readme,
        ..NewDataset::new(reference.dataset, &access.author())
    };
    Ok((new, exist_ok))
}

/// The mistake where a dataset is there and must not be.
pub(crate) fn not_new(dataset: &DatasetName) -> Error {
    Error::new(ErrorKind::Conflict, format!("there is a dataset `{dataset}` already"))
        .with_hint("take it as it is with `exist_ok=True`, or choose another name")
}

/// The text of a card.
fn card(path: PathBuf) -> Result<String> {
    let bytes = std::fs::read(&path).map_err(|err| io_error("cannot read the card", &path, err))?;
    String::from_utf8(bytes).map_err(|err| {
        Error::new(ErrorKind::Config, "the card is not UTF-8").with_source(err).at(Locus::path(path))
    })
}
