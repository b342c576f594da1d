use std::sync::Arc;

use nodedata_core::{Formats, OpenOptions, placed::Mistake};
use nodedata_normalize::{GroupBy, Grouped, Samples, Unfit, group_mistakes, grouped};

use crate::OpenedSource;

/// All mistakes of grouping the samples of a source so.
pub(crate) fn mistakes(by: &GroupBy, opened: &OpenedSource, formats: &Formats) -> Vec<Mistake> {
    let keyed: Vec<&str> =
        formats.iter().filter(|it| it.key_column().is_some()).map(|it| it.name()).collect();
    group_mistakes(by, &samples(opened), &keyed)
}

fn samples(opened: &OpenedSource) -> Samples<'_> {
    Samples {
        plan: opened.source.plan(),
        format: opened.format.name(),
        key_column: opened.format.key_column(),
    }
}

/// Puts the episodes that samples belong to over their source. Their keys are read, from a second opening of the same files that
/// has no other columns, unless an earlier run has learned what they say.
///
/// # Errors
/// As [`grouped`], and all mistakes of the grouping.
pub(crate) fn with_episodes(mut opened: OpenedSource, by: &GroupBy) -> Result<OpenedSource, Unfit> {
    let found = group_mistakes(by, &samples(&opened), &[]);
    if !found.is_empty() {
        return Err(Unfit::Mistakes(found));
    }
    let how = Grouped {
        by,
        key_column: opened.format.key_column(),
        salvage: opened.options.salvage,
        known: opened.known_episodes.as_deref(),
    };
    let learned = opened.source.plan().learned.clone();
    let open_keys = |columns: &[&str]| {
        let topics = columns.iter().map(|it| (*it).to_owned()).collect();
        let (decode, embed) = Default::default();
        let options = OpenOptions { topics: Some(topics), decode, embed, learned, ..opened.options.clone() };
        opened.format.open(Arc::clone(&opened.files), &options)
    };
    opened.source = grouped(opened.source, &how, open_keys)?;
    Ok(opened)
}
