//! The YAML in front of a dataset's card: which files `load_dataset` reads, and what the Hub shows. Whoever writes a
//! card takes its parts from here, so that all say the same of one dataset.

use std::collections::BTreeMap;

use nodedata_core::{StreamKind, visible::visible_json};

use crate::{
    card::QUARANTINE,
    manifest::{Manifest, StreamEntry},
};

/// One configuration of `load_dataset`: files by split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardConfig<'a> {
    /// Its name, as YAML.
    pub name: String,
    /// Whether it is the one for who names none.
    pub is_default: bool,
    /// The files of each split, in order.
    pub splits: Vec<(&'a str, SplitFiles<'a>)>,
}

/// How the files of a split are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SplitFiles<'a> {
    /// All that fit.
    Pattern(String),
    /// One by one: what else lies there is not meant.
    Each(Vec<&'a str>),
}

/// The configurations of a manifest, a stream each, of those that have rows outside the quarantine, which `load_dataset`
/// does not see. The default is that of the steps, or else the one with the most bytes; of equals the first. `each` names
/// files one by one, for where no pattern tells splits apart.
pub fn card_configs(manifest: &Manifest, each: bool) -> Vec<CardConfig<'_>> {
    let mut configs: Vec<CardConfig<'_>> = Vec::new();
    let mut best: Option<((bool, u64), usize)> = None;
    for stream in &manifest.streams {
        let mut by_split: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let (mut n_rows, mut n_bytes) = (0u64, 0u64);
        for shard in &manifest.shards {
            if shard.stream == stream.name && shard.split != QUARANTINE {
                by_split.entry(&shard.split).or_default().push(&shard.path);
                n_rows = n_rows.saturating_add(shard.rows);
                n_bytes = n_bytes.saturating_add(shard.bytes);
            }
        }
        if n_rows == 0 {
            continue;
        }
        let files = |split: &str, paths| match each {
            true => SplitFiles::Each(paths),
            false => SplitFiles::Pattern(format!("{}/{split}-*.parquet", stream.folder)),
        };
        let splits = by_split.into_iter().map(|(split, paths)| (split, files(split, paths)));
        let name = yaml_text(config_name(stream));
        let rank = (stream.kind() == StreamKind::Steps, n_bytes);
        if best.is_none_or(|it| it.0 < rank) {
            best = Some((rank, configs.len()));
        }
        configs.push(CardConfig { name, is_default: false, splits: splits.collect() });
    }
    if let Some((_, at)) = best {
        configs[at].is_default = true;
    }
    configs
}

/// The last part of a stream's folder: what `load_dataset(path, name)` takes.
pub(crate) fn config_name(stream: &StreamEntry) -> &str {
    stream.folder.rsplit('/').next().unwrap_or(&stream.folder)
}

/// The key `configs` of the YAML, line by line.
pub fn config_lines(configs: &[CardConfig<'_>]) -> Vec<String> {
    let mut lines = vec!["configs:".to_owned()];
    for config in configs {
        lines.push(format!("- config_name: {}", config.name));
        if config.is_default {
            lines.push("  default: true".to_owned());
        }
        lines.push("  data_files:".to_owned());
        for (split, files) in &config.splits {
            lines.push(format!("  - split: {split}"));
            match files {
                SplitFiles::Pattern(pattern) => lines.push(format!("    path: {}", yaml_text(pattern))),
                SplitFiles::Each(paths) => {
                    lines.push("    path:".to_owned());
                    lines.extend(paths.iter().map(|it| format!("    - {}", yaml_text(it))));
                }
            }
        }
    }
    lines
}

/// A card with the files of every split named one by one: what stands beside `configs` in its YAML is kept, and one without
/// YAML stays as it is.
pub fn with_files(card: &str, manifest: &Manifest) -> String {
    let Some((yaml, body)) = split_card(card) else { return card.to_owned() };
    let mut lines = config_lines(&card_configs(manifest, true));
    // What stands beside `configs` begins at a key of its own.
    let is_key = |it: &&str| it.chars().next().is_some_and(|it| it.is_ascii_alphabetic());
    let mut others = false;
    for line in yaml.lines() {
        if is_key(&line) {
            others = !line.starts_with("configs:");
        }
        if others {
            lines.push(line.to_owned());
        }
    }
    format!("---\n{}\n---\n{body}", lines.join("\n"))
}

/// What the YAML says of a licence, an SPDX expression: the Hub's word for it, or that it is another one.
pub fn license_lines(license: &str) -> Vec<String> {
    match hub_license(license) {
        Some(known) => vec![format!("license: {known}")],
        None => vec!["license: other".to_owned(), format!("license_name: {}", yaml_text(license))],
    }
}

/// The Hub's word for a licence, where it has one.
fn hub_license(license: &str) -> Option<String> {
    let known = [
        "MIT",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "CC-BY-2.0",
        "CC-BY-3.0",
        "CC-BY-4.0",
        "CC-BY-SA-3.0",
        "CC-BY-SA-4.0",
        "CC-BY-NC-2.0",
        "CC-BY-NC-3.0",
        "CC-BY-NC-4.0",
        "CC-BY-ND-4.0",
        "CC-BY-NC-ND-3.0",
        "CC-BY-NC-ND-4.0",
        "CC-BY-NC-SA-2.0",
        "CC-BY-NC-SA-3.0",
        "CC-BY-NC-SA-4.0",
        "CDLA-Permissive-1.0",
        "CDLA-Permissive-2.0",
        "CDLA-Sharing-1.0",
        "ODbL-1.0",
        "PDDL-1.0",
        "Unlicense",
        "GPL-2.0",
        "GPL-3.0",
        "LGPL-3.0",
        "AGPL-3.0",
        "ISC",
        "Zlib",
    ];
    known.contains(&license).then(|| match license {
        "ODbL-1.0" => "odbl".to_owned(),
        "PDDL-1.0" => "pddl".to_owned(),
        other => other.to_lowercase(),
    })
}

/// The YAML of a card and its page; `None` for a card without YAML.
pub fn split_card(card: &str) -> Option<(&str, &str)> {
    card.strip_prefix("---\n")?.split_once("\n---\n")
}

/// A YAML double-quoted scalar, in which nothing is hidden.
pub fn yaml_text(text: &str) -> String {
    visible_json(&serde_json::Value::from(text).to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let file = serde_json::json!({"path": "x", "b3": "", "bytes": 0});
        let shard = |stream: &str, split: &str, number: u32, rows: u64| {
            serde_json::json!({"path": format!("data/{stream}/{split}-{number}.parquet"), "stream": stream,
                "split": split, "b3": "", "bytes": 1, "rows": rows, "row_groups": 1, "episodes": [0, 0],
                "content": "", "provenance": ""})
        };
        let stream =
            |name: &str| serde_json::json!({"name": name, "folder": format!("data/{name}"), "rows": 9});
        let split = serde_json::json!({"episodes": 1, "rows": 1, "shards": 1});
        let manifest = serde_json::json!({
            "nd": "manifest/1", "created_by": {}, "recipe": "", "content_root": "", "provenance_root": "",
            "inputs": [], "splits": {"quarantine": split, "train": split, "val": split},
            "streams": [stream("hidden"), stream("imu"), stream("joints")],
            "shards": [shard("hidden", "quarantine", 0, 4), shard("imu", "train", 0, 1),
                shard("imu", "quarantine", 0, 1), shard("imu", "train", 1, 1), shard("imu", "val", 0, 1),
                shard("joints", "val", 0, 2)],
            "schema": file, "stats": file, "index": {}, "provenance": file, "readme": file, "attachments": [],
            "ledger": {}, "n_damage": 0,
        });
        serde_json::from_value(manifest).unwrap()
    }

    /// Whoever loads a dataset does not get what a gate kept out, however the files are named.
    #[test]
    fn configurations_leave_the_quarantine_out() {
        let manifest = manifest();
        let each = config_lines(&card_configs(&manifest, true)).join("\n");
        let expected = "configs:\n- config_name: \"imu\"\n  default: true\n  data_files:\n  - split: train\n    path:\n    \
                        - \"data/imu/train-0.parquet\"\n    - \"data/imu/train-1.parquet\"\n  - split: val\n    path:\n    \
                        - \"data/imu/val-0.parquet\"\n- config_name: \"joints\"\n  data_files:\n  - split: val\n    \
                        path:\n    - \"data/joints/val-0.parquet\"";
        assert_eq!(each, expected);
        let patterns = config_lines(&card_configs(&manifest, false)).join("\n");
        assert!(patterns.contains("    path: \"data/imu/train-*.parquet\""), "{patterns}");
        assert!(!patterns.contains("quarantine") && !patterns.contains("hidden"), "{patterns}");
    }

    #[test]
    fn licences_are_said_in_the_hubs_words() {
        assert_eq!(license_lines("CC-BY-4.0"), ["license: cc-by-4.0"]);
        assert_eq!(license_lines("ODbL-1.0"), ["license: odbl"]);
        let other = ["license: other", "license_name: \"MIT OR Apache-2.0\""];
        assert_eq!(license_lines("MIT OR Apache-2.0"), other);
    }

    #[test]
    fn a_card_is_yaml_and_a_page() {
        assert_eq!(split_card("---\na: 1\n---\n# Page\n---\n"), Some(("a: 1", "# Page\n---\n")));
        assert_eq!(split_card("# Page\n---\n"), None);
    }
}
