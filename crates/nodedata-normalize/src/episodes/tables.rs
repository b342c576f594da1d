use std::collections::BTreeSet;

use nodedata_core::{EpisodeInfo, placed::Mistake};

use super::{EpisodeName, Missing, TableMetadata, described::tell, names::Named, topics::others};

/// Tells the episodes of a plan what a table says of them. `key` is that of its entry in a pipeline file.
///
/// # Errors
/// Episodes without a row where each needs one; rows of which none is about an episode; a value that is not of its type.
pub(super) fn tell_all(
    table: &TableMetadata,
    episodes: &mut [EpisodeInfo],
    names: &[Option<String>],
    key: &str,
) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut missing = Vec::new();
    let mut met: BTreeSet<&str> = BTreeSet::new();
    let mut unread: Option<(String, String, &'static str)> = None;
    for (info, name) in episodes.iter_mut().zip(names) {
        let row = name.as_ref().and_then(|it| table.rows.get_key_value(it.as_str()));
        if let Some((name, _)) = row {
            met.insert(name);
        } else {
            missing.push((info.key.clone(), name.clone()));
        }
        for (idx, (column, dtype)) in table.columns.iter().enumerate() {
            let text = row.and_then(|it| it.1.get(idx)).and_then(Option::as_ref);
            let value = text.and_then(|it| dtype.parse(it));
            if let Some(text) = text.filter(|_| value.is_none()) {
                unread.get_or_insert((column.clone(), text.clone(), dtype.name()));
            }
            tell(info, column, value);
        }
    }
    let path = &table.file.path;
    if let Some((column, text, dtype)) = unread {
        let message = format!("`{text}` in column `{column}` of `{path}` is not {dtype}");
        mistakes.push(
            Mistake::new(format!("{key}.types.{column}"), message).with_hint("`text` takes everything"),
        );
    }
    if met.is_empty() && !episodes.is_empty() {
        let asked = names.iter().flatten().next().map_or_else(String::new, |it| format!(" such as `{it}`"));
        let message = format!(
            "no row of `{path}` is about an episode: `{}` is nowhere {}{asked}",
            table.key, table.equals
        );
        let hint = "`equals` says what of an episode the key is: `key`, `recording`, `file`, `stem`, or `metadata.<name>`";
        mistakes.push(Mistake::new(format!("{key}.key"), message).with_hint(hint));
    } else if table.missing == Missing::Error
        && let Some((episode, name)) = missing.first()
    {
        let wanted = match name {
            Some(name) if name != episode => format!(" (`{name}`)"),
            Some(_) => String::new(),
            None => format!(", which has no {}", table.equals),
        };
        let message =
            format!("`{path}` has no row for episode `{episode}`{wanted}{}", others(missing.len() - 1));
        let hint = "add the row, leave the episode out by `episodes.exclude`, or write `missing: \"null\"`";
        mistakes.push(Mistake::new(format!("{key}.table"), message).with_hint(hint));
    }
    mistakes
}

/// What each episode is called by a table.
pub(super) fn names(
    plan: &nodedata_core::SourcePlan,
    equals: &EpisodeName,
    is_cut: bool,
) -> Vec<Option<String>> {
    let name = |it: &EpisodeInfo| Some(Named::of(plan, it, is_cut).name(equals, Some(it))?.into_owned());
    plan.episodes.iter().map(name).collect()
}
