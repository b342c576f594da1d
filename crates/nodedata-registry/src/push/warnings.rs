//! What whoever pushes should know before it is published for good.

use nodedata_core::{nearest, visible::visible};

use crate::{content::Contents, record::RevisionManifest, revision::Revision};

/// Episodes that are named.
const NAMED_MAX: usize = 5;

/// Warnings of a revision that would follow `head`, which holds `published`.
pub(crate) fn warnings(
    manifest: &RevisionManifest,
    contents: &Contents,
    head: Option<(&Revision, &Contents)>,
) -> Vec<String> {
    let mut found = Vec::new();
    if manifest.license.is_none() {
        found.push(
            "no licence is said, so nobody knows what they may do with the data: `--license CC-BY-4.0` says which"
                .to_owned(),
        );
    }
    if contents.0.is_empty() {
        let readers = "whoever reads it gets an empty dataset";
        found.push(match head {
            Some((head, published)) if !published.0.is_empty() => {
                format!("no episode of {} is left: {readers}", head.manifest().revision)
            }
            _ => format!("the revision holds no episode: {readers}"),
        });
    }
    if let Some((head, published)) = head {
        let before = &head.manifest().revision;
        let reused = published.reused_keys(contents);
        if !reused.is_empty() {
            let named: Vec<String> = reused
                .iter()
                .take(NAMED_MAX)
                .map(|(split, key)| format!("`{}` ({})", visible(key), visible(split)))
                .collect();
            let more = if reused.len() > NAMED_MAX { ", …" } else { "" };
            let what = match reused.len() {
                1 => "1 episode holds".to_owned(),
                n => format!("{n} episodes hold"),
            };
            found.push(format!(
                "{what} other data than {before} has under the same key: {}{more}; another recording needs a key of its own",
                named.join(", ")
            ));
        }
        found.extend(mistyped_splits(manifest, head.manifest()));
    }
    found
}

/// Splits that are new, but called nearly as one that was there.
fn mistyped_splits<'a>(
    manifest: &'a RevisionManifest,
    published: &'a RevisionManifest,
) -> impl Iterator<Item = String> + 'a {
    let known = move || published.splits.keys().map(String::as_str);
    let new = manifest.splits.keys().filter(move |it| !published.splits.contains_key(*it));
    new.filter_map(move |name| {
        let near = nearest(name, known())?;
        Some(format!("`{name}` is a new split; did you mean `{near}`?"))
    })
}
