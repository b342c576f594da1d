//! Numbers of a card that was made, where episodes are left out or taken in again.

use std::collections::BTreeMap;

use bytes::Bytes;
use nodedata_core::{Result, visible::visible_code};
use nodedata_dataset::{Manifest, pretty_json};

use crate::{
    content::Contents,
    folder::{Draft, Origin},
    hashing::read_error,
    push::build::without_excluded,
    record::SplitRef,
    revision::Revision,
};

/// What a card counts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Counts {
    episodes: u64,
    rows: u64,
    /// Rows by stream.
    streams: BTreeMap<String, u64>,
}

impl Counts {
    fn of(splits: &BTreeMap<String, SplitRef>, contents: &Contents) -> Self {
        let sum = |of: fn(&SplitRef) -> u64| splits.values().map(of).fold(0, u64::saturating_add);
        let is_excluded = |split: &str, key: &str| {
            splits.get(split).is_some_and(|it| it.exclude.iter().any(|it| it == key))
        };
        let mut streams: BTreeMap<String, u64> = BTreeMap::new();
        // A stream of which nothing is left has no rows, and is not unknown.
        streams.extend(contents.0.keys().map(|id| (id.stream.clone(), 0)));
        for (id, content) in without_excluded(contents, is_excluded).0 {
            let rows = streams.entry(id.stream).or_default();
            *rows = rows.saturating_add(content.rows);
        }
        Self { episodes: sum(|it| it.episodes), rows: sum(|it| it.frames), streams }
    }
}

/// Puts the numbers of `splits`, which leave episodes out, into a card that was made for the draft or for `head`. One that somebody
/// wrote says nothing that could be told to be such a number, and stays.
///
/// # Errors
/// `Corrupt`, `Io`, `Denied` when card or manifest cannot be read.
pub(crate) fn recount_card(
    draft: &mut Draft,
    head: Option<&Revision>,
    splits: &BTreeMap<String, SplitRef>,
) -> Result<()> {
    let of_head = head.filter(|it| draft.role("readme").is_some_and(|card| *card == it.manifest().readme));
    let told = of_head.map_or(&draft.splits, |it| &it.manifest().splits);
    let (before, after) = (Counts::of(told, &draft.contents), Counts::of(splits, &draft.contents));
    if before == after {
        return Ok(());
    }
    let Some(card) = bytes_of(draft, "readme", head)? else { return Ok(()) };
    let Some(text) = recounted(&String::from_utf8_lossy(&card), &before, &after) else { return Ok(()) };
    let Some(manifest) = bytes_of(draft, "manifest", head)? else { return Ok(()) };
    let mut manifest: Manifest = crate::record::from_bytes("dataset's manifest.json", &manifest)?;
    let path = manifest.readme.path.clone();
    let mut entry = draft.replace(&path, text.into_bytes());
    // As the file was told before.
    if manifest.readme.sha256.is_some() {
        entry.sha256 = draft.role("readme").map(|it| it.blob.sha256.clone());
    }
    manifest.readme = entry;
    draft.replace("manifest.json", pretty_json(&manifest)?.into_bytes());
    Ok(())
}

/// The bytes of a file by its role, from where they lie.
fn bytes_of(draft: &Draft, role: &str, head: Option<&Revision>) -> Result<Option<Bytes>> {
    let file = draft
        .role(role)
        .or_else(|| draft.files.iter().find(|it| role == "manifest" && it.path == "manifest.json"));
    let Some(file) = file else { return Ok(None) };
    match (draft.sources.get(&file.blob.b3), head) {
        (Some(Origin::Memory(bytes)), _) => Ok(Some(bytes.clone())),
        (Some(Origin::File(path)), _) => {
            std::fs::read(path).map(|it| Some(it.into())).map_err(|err| read_error(path, err))
        }
        (None, Some(head)) => head.read(&file.blob).map(Some),
        (None, None) => Ok(None),
    }
}

/// The card with other numbers, where it holds them as cards that are made do.
fn recounted(card: &str, before: &Counts, after: &Counts) -> Option<String> {
    let totals = |it: &Counts| format!("{} episodes, {} rows", it.episodes, it.rows);
    let (old, new) = (totals(before), totals(after));
    let at = card.lines().position(|line| line.starts_with(&old))?;
    let line = |(idx, line): (usize, &str)| {
        if idx == at {
            return line.replacen(&old, &new, 1);
        }
        let of_stream =
            before.streams.iter().find(|(name, _)| line.starts_with(&format!("| {} | ", visible_code(name))));
        match of_stream.and_then(|(name, rows)| Some((rows, after.streams.get(name)?))) {
            Some((old, new)) => line.replacen(&format!(" | {old} | "), &format!(" | {new} | "), 1),
            None => line.to_owned(),
        }
    };
    let mut lines: Vec<String> = card.lines().enumerate().map(line).collect();
    if card.ends_with('\n') {
        lines.push(String::new());
    }
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(episodes: u64, rows: u64) -> Counts {
        Counts { episodes, rows, streams: [("steps".to_owned(), rows), ("/a".to_owned(), 0)].into() }
    }

    #[test]
    fn numbers_are_found_where_cards_have_them_and_nowhere_else() {
        let card = "# X\n\n6 episodes, 60 rows in 2 streams, 3 shards of 9 bytes in all.\n\n| stream | config | rows | message |\n\
                    | `steps` | `data` | 60 | 60 |\n| `/a` | `a` | 0 |  |\n\nSee 6 episodes, 60 rows.\n";
        let found = recounted(card, &counts(6, 60), &counts(4, 40)).unwrap();
        assert_eq!(
            found,
            "# X\n\n4 episodes, 40 rows in 2 streams, 3 shards of 9 bytes in all.\n\n| stream | config | rows | message |\n\
             | `steps` | `data` | 40 | 60 |\n| `/a` | `a` | 0 |  |\n\nSee 6 episodes, 60 rows.\n"
        );
        assert_eq!(recounted(&found, &counts(4, 40), &counts(6, 60)).unwrap(), card, "and back");
        assert_eq!(recounted("# Ours\n\nSome episodes.\n", &counts(6, 60), &counts(4, 40)), None);
    }
}
