use std::collections::BTreeMap;

use nodedata_core::visible::{visible_code, visible_markdown};
use nodedata_dataset::{CardConfig, SplitFiles, config_lines, license_lines, split_card, yaml_text};

use crate::folder::plain::PlainModel;

/// Shards named one by one in the card up to this number per split; more are named by a pattern.
const SHARDS_NAMED: usize = 500;

/// What the card says beside the shards.
#[derive(Debug, Clone, Default)]
pub(crate) struct CardFacts {
    pub(crate) title: String,
    /// SPDX.
    pub(crate) license: Option<String>,
    pub(crate) tags: Vec<String>,
}

/// The dataset card: YAML that `load_dataset` reads, then a page for people. A card that has YAML of its own
/// stays as it is.
pub(crate) fn card(model: &PlainModel, facts: &CardFacts) -> String {
    if let Some(own) = model.readme.as_deref().filter(|it| it.starts_with("---")) {
        return own.to_owned();
    }
    let mut splits: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for shard in &model.shards {
        splits.entry(&shard.split).or_default().push(&shard.path);
    }
    let mut lines = vec!["---".to_owned()];
    if let Some(license) = &facts.license {
        lines.extend(license_lines(license));
    }
    lines.push(format!("pretty_name: {}", yaml_text(&facts.title)));
    let splits = splits.into_iter().map(|(split, paths)| (split, files_of(split, paths))).collect();
    lines.extend(config_lines(&[CardConfig { name: "default".to_owned(), is_default: false, splits }]));
    lines.push(OUR_TAGS.to_owned());
    lines.extend(facts.tags.iter().map(|it| format!("- {}", yaml_text(it))));
    lines.push("---\n".to_owned());
    match &model.readme {
        Some(own) => lines.push(own.clone()),
        None => body(&mut lines, model, facts),
    }
    lines.join("\n")
}

fn files_of<'a>(split: &str, paths: Vec<&'a str>) -> SplitFiles<'a> {
    let fits = |it: &&str| it.starts_with(&format!("data/{split}-")) && it.matches('/').count() == 1;
    if paths.len() > SHARDS_NAMED && paths.iter().all(fits) {
        SplitFiles::Pattern(format!("data/{split}-*.parquet"))
    } else {
        SplitFiles::Each(paths)
    }
}

/// Ends the body of a card that nobody wrote.
const MADE_HERE: &str =
    "`manifest.json` lists every shard with its hashes, `schema.json` describes the columns.";
/// Part of the YAML that we put before a card.
const OUR_TAGS: &str = "tags:\n- robotics\n- node-data";

/// What people wrote of a card that [`card`] made: without our YAML; `None` when all of it is ours.
pub(crate) fn own_text(card: &str) -> Option<String> {
    match split_card(card) {
        Some((yaml, body)) if yaml.contains(OUR_TAGS) => {
            (!body.contains(MADE_HERE)).then(|| body.strip_prefix('\n').unwrap_or(body).to_owned())
        }
        _ => Some(card.to_owned()),
    }
}

fn body(lines: &mut Vec<String>, model: &PlainModel, facts: &CardFacts) {
    let episodes: usize = model.shards.iter().map(|it| it.episodes.len()).sum();
    let rows: u64 = model.shards.iter().map(|it| it.rows).sum();
    let bytes: u64 = model.shards.iter().map(|it| it.blob.bytes).sum();
    lines.push(format!("# {}\n", visible_markdown(&facts.title)));
    lines.push(format!(
        "{episodes} episodes, {rows} rows, {} shards of {bytes} bytes in all.\n",
        model.shards.len()
    ));
    lines.push("| feature | type | shape |\n|---|---|---|".to_owned());
    for (name, field) in model.schema.fields.iter() {
        lines.push(format!("| {} | {} | {:?} |", visible_code(name), field.dtype, field.document_shape()));
    }
    lines.push(format!("\n{MADE_HERE}\n"));
}
