use std::collections::BTreeSet;

use nodedata_core::{Feature, MediaEncoding, OpenOptions, Result, patterns};

/// A column of the step table, and where a format takes its values from.
#[derive(Debug, Clone)]
pub struct Column<O> {
    /// What it is.
    pub feature: Feature,
    /// Where its values come from.
    pub origin: O,
}

/// Checks that everything asked for is there: features by `topics`, cameras of coded video also by `decode`.
///
/// # Errors
/// `Config` when `topics` or `decode` name a feature that is not there.
pub fn check_names<O>(all: &[Column<O>], cameras: &[&str], options: &OpenOptions) -> Result<()> {
    let names: Vec<&str> =
        all.iter().map(|it| it.feature.name.as_str()).chain(cameras.iter().copied()).collect();
    patterns::check_patterns("feature", "topics", options.topics.as_deref().unwrap_or_default(), &names)?;
    let decoded: Vec<String> = options.decode.keys().cloned().collect();
    patterns::check_patterns("camera", "decode", &decoded, cameras)
}

/// Checks that `undecoded` names nothing but what a source of steps can keep as it is: `whole`, or `*`.
///
/// # Errors
/// `Config` for any other name: a table of steps has no topics.
pub fn check_undecoded(whole: &[&str], options: &OpenOptions) -> Result<()> {
    patterns::check_patterns("stream", "undecoded", &options.undecoded, whole)
}

/// What the frames of a camera are to be decoded to; an exact name goes before a pattern.
pub fn decoding_of(key: &str, options: &OpenOptions) -> Option<MediaEncoding> {
    let exact = options.decode.get(key);
    let fitting =
        || options.decode.iter().find(|(pattern, _)| patterns::fits(pattern, key)).map(|(_, it)| it);
    exact.or_else(fitting).copied()
}

/// Whether the frames of a camera are worked on as pictures, so that they are decoded without loss, whatever they are stored
/// as in the end.
pub fn is_worked_on(key: &str, options: &OpenOptions) -> bool {
    options.frames.iter().any(|it| it == key)
}

/// Keeps the selected columns; returns them with the names of the others. `key_of` is the name that a column is
/// selected by; one without is always kept. `undecoded` everything is the look that needs no values: only
/// columns without a name.
pub fn select<O>(
    all: Vec<Column<O>>,
    options: &OpenOptions,
    key_of: impl Fn(&Column<O>) -> Option<String>,
) -> (Vec<Column<O>>, Vec<String>) {
    let bare = options.undecoded.iter().any(|it| it == "*");
    let wanted = |name: &str| match &options.topics {
        None => true,
        Some(patterns) => patterns.iter().any(|it| patterns::fits(it, name)),
    };
    let mut left_out = BTreeSet::new();
    let kept = all.into_iter().filter(|column| match key_of(column) {
        None => true,
        Some(_) if bare => false,
        Some(name) => {
            wanted(&name) || {
                left_out.insert(name);
                false
            }
        }
    });
    let kept = kept.collect();
    (kept, left_out.into_iter().collect())
}
