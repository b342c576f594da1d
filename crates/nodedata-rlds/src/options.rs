use nodedata_core::{
    Error, ErrorKind, Locus, OpenOptions, OptionKey, OptionKind, OptionValue, Result, suggest,
};
use nodedata_io::packed::UNPACK_RATIO_MAX;

use crate::features::Leaf;

/// The options of the format.
pub(crate) const OPTIONS: &[OptionKey] = &[EPISODE_KEY, UNPACK_RATIO_MAX];

/// What episodes are called by.
const EPISODE_KEY: OptionKey = OptionKey {
    name: "episode_key",
    kind: OptionKind::Text,
    default: "",
    doc: "the feature of the whole episode that is its key, such as `episode_metadata.episode_id`; without it the key is the \
          file and the number of the record in it, which writing the dataset anew may change",
};

/// The feature that episodes are called by; `None` where their place is their key.
///
/// # Errors
/// `Config` for a feature that is not there, or has more than one value.
pub(crate) fn episode_key(leaves: &[Leaf], options: &OpenOptions) -> Result<Option<String>> {
    let OptionValue::Text(name) = options.option(&EPISODE_KEY) else { return Ok(None) };
    if name.is_empty() {
        return Ok(None);
    }
    let refused = |message: String| Error::new(ErrorKind::Config, message).at(Locus::feature(&name));
    let can_be = |it: &&Leaf| !it.is_step && it.is_scalar() && it.unsupported.is_none();
    let names = || leaves.iter().filter(can_be).map(|it| it.feature.name.as_str());
    if names().any(|it| it == name) {
        return Ok(Some(name));
    }
    let message = match leaves.iter().find(|it| it.feature.name == name) {
        Some(leaf) if leaf.is_step => {
            format!("`source.{}` is `{name}`, which has a value for each step", EPISODE_KEY.name)
        }
        Some(_) => format!("`source.{}` is `{name}`, which is no single value", EPISODE_KEY.name),
        None => format!("`source.{}` is `{name}`, which is no feature", EPISODE_KEY.name),
    };
    let hint = suggest(&name, names());
    Err(refused(message).with_hint(hint))
}
