use nodedata_core::{misspelt_modality, placed::Node};
use nodedata_dataset::check_license;

use super::{
    read::{Reader, text, texts},
    stages::{PublishStage, Secret},
};

pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> PublishStage {
    let dataset = text(node, "dataset").unwrap_or_default();
    if !dataset.is_empty() && !is_name(&dataset) {
        let message = format!("`{dataset}` is no name for a dataset");
        reader.add(
            "publish.dataset",
            message,
            "write `owner/name` in small letters, digits, `-`, `_` and `.`",
        );
    }
    let license = text(node, "license").unwrap_or_default();
    if !license.is_empty()
        && let Err(err) = check_license(&license)
    {
        reader.add("publish.license", err.to_string(), err.hint().unwrap_or_default());
    }
    let revision = text(node, "revision").unwrap_or_else(|| "auto".to_owned());
    if revision != "auto" && !is_version(&revision) {
        let message = format!("`publish.revision` is `{revision}`");
        reader.add("publish.revision", message, "expected `auto`, or a version such as `1.2.0`");
    }
    let sensitivity = node.get("sensitivity").map(texts);
    if let Some(all) = &sensitivity
        && all.len() > 1
        && all.iter().any(|it| it == "none")
    {
        reader.add(
            "publish.sensitivity",
            "`publish.sensitivity` holds `none` beside others",
            "remove `none`, or the others",
        );
    }
    let modality = node.get("modality").map(texts).unwrap_or_default();
    for (idx, word) in modality.iter().enumerate() {
        if let Some(meant) = misspelt_modality(word) {
            let key = format!("publish.modality[{idx}]");
            reader.add(&key, format!("`{word}` is no modality"), format!("did you mean `{meant}`?"));
        }
    }
    PublishStage {
        dataset,
        revision,
        license,
        price_usd: node.get("price_usd").and_then(Node::number),
        modality,
        sensitivity,
        token: node.get("token").and_then(|it| text(it, "env")).map(|env| Secret { env }),
    }
}

fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        let letters =
            |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, '-' | '_' | '.');
        !part.is_empty() && !part.starts_with(['.', '-']) && part.chars().all(letters)
    };
    let parts: Vec<&str> = name.split('/').collect();
    parts.len() <= 2 && parts.into_iter().all(is_part)
}

fn is_version(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let is_number = |it: &&str| it.parse::<u64>().is_ok_and(|n| n.to_string() == **it);
    parts.len() == 3 && parts.iter().all(is_number)
}
