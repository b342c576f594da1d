use nodedata_core::{Error, ErrorKind, Locus, OpenOptions, Result};
use nodedata_steps::{Listing, RootMarker};
use serde::Deserialize;

/// The file that says what the features are.
pub(crate) const FEATURES: &str = "features.json";
/// The file that says what the splits are.
pub(crate) const DATASET_INFO: &str = "dataset_info.json";

/// What makes a folder a dataset.
pub(crate) const MARKER: RootMarker = RootMarker {
    file: FEATURES,
    datasets: "TFDS datasets",
    hint: "it lies beside the files of records, in the folder of the dataset's version",
};

/// Whether a file is one of those that TFDS writes beside its metadata, and that say nothing of rows.
pub(crate) fn is_beside(name: &str) -> bool {
    let is_license = |it: &str| it == "LICENSE" || it.starts_with("LICENSE.");
    name == "metadata.json"
        || is_license(name)
        || name.ends_with(".labels.txt")
        || name.ends_with("_index.json")
}

const RESTORE_HINT: &str = "fetch the file again from where the dataset came from";

/// A number as proto-JSON writes it: 64-bit ones are text.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Number {
    Text(String),
    Number(i64),
}

impl Number {
    pub(crate) fn value(&self) -> Option<i64> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Number(number) => Some(*number),
        }
    }
}

/// A file of metadata as it is, and what it says.
///
/// # Errors
/// `Io`; `Limit` when it is larger than a record may be; `Corrupt` when it is not the JSON it should be.
pub(crate) fn read<T: for<'a> Deserialize<'a>>(
    listing: &Listing,
    name: &str,
    options: &OpenOptions,
) -> Result<(String, T)> {
    let text = read_text(listing, name, options)?;
    let parsed = serde_json::from_str(&text).map_err(|err| {
        let at = u32::try_from(err.line()).ok().zip(u32::try_from(err.column()).ok());
        let at = Locus { line_column: at, ..Locus::path(listing.path(name)) };
        refused(ErrorKind::Corrupt, "the metadata cannot be read".to_owned(), at).with_source(err)
    })?;
    Ok((text, parsed))
}

/// A file of metadata as it is.
///
/// # Errors
/// `Io`; `Limit` when it is larger than a record may be; `Corrupt` when it is not text.
pub(crate) fn read_text(listing: &Listing, name: &str, options: &OpenOptions) -> Result<String> {
    let place = Locus::path(listing.path(name));
    let file = listing.open(name).map_err(|err| err.with_hint(RESTORE_HINT))?;
    if file.n_bytes() > options.record_bytes_max {
        let message = format!("the metadata has {} bytes, more than a record may have", file.n_bytes());
        return Err(refused(ErrorKind::Limit, message, place));
    }
    let bytes = file.read_at(0..file.n_bytes()).map_err(|err| err.at(place.clone()))?;
    let text = str::from_utf8(&bytes).map_err(|err| {
        refused(ErrorKind::Corrupt, "the metadata is not text".to_owned(), place).with_source(err)
    })?;
    Ok(text.to_owned())
}

fn refused(kind: ErrorKind, message: String, at: Locus) -> Error {
    Error::new(kind, message).at(at).with_hint(RESTORE_HINT)
}
