use nodedata_core::{Error, ErrorKind, Result, suggest};

/// The value that `found` names, for the option `option`.
pub(crate) fn named<T: Copy>(option: &str, found: &str, values: &[(&str, T)]) -> Result<T> {
    values.iter().find(|(name, _)| *name == found).map(|(_, value)| *value).ok_or_else(|| {
        Error::new(ErrorKind::Config, format!("`{option}` is no `{found}`"))
            .with_hint(suggest(found, values.iter().map(|(name, _)| *name)))
    })
}
