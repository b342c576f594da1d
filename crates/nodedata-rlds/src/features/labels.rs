use nodedata_core::{OpenOptions, Result, meta};
use nodedata_steps::Listing;

use super::Leaf;
use crate::metadata::read_text;

/// The names of a feature's classes as a JSON list, where one of them has a sign that separates them elsewhere.
const LABELS: &str = "tfds:labels";

/// Gives the features that are numbers of classes the names of these, as far as files tell them. Returns those files.
///
/// # Errors
/// `Io`; `Corrupt` when the names are no text; `Limit` when there are too many of them.
pub(crate) fn with_labels(
    leaves: &mut [Leaf],
    listing: &Listing,
    options: &OpenOptions,
) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for leaf in leaves.iter_mut().filter(|it| it.is_label) {
        let file = format!("{}.labels.txt", leaf.key.replace('/', "-"));
        if !listing.has(&file) {
            continue;
        }
        let text = read_text(listing, &file, options)?;
        // As TFDS reads it: lines that are blank are none.
        let names: Vec<&str> = text.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
        let (key, told) = match names.iter().any(|it| it.contains([',', '='])) {
            true => (LABELS, serde_json::Value::from(names).to_string()),
            false => {
                let numbered = names.iter().enumerate().map(|(idx, name)| format!("{name}={idx}"));
                (meta::CONSTANTS, numbered.collect::<Vec<_>>().join(","))
            }
        };
        leaf.feature.metadata.insert(key.to_owned(), told);
        files.push(file);
    }
    Ok(files)
}
