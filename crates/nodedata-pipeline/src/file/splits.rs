use nodedata_core::{
    patterns::check_pattern,
    placed::{Member, Node, Value},
};
use nodedata_dataset::QUARANTINE;

use super::{
    read::{Reader, text, texts},
    stages::SplitKey,
};
use crate::SplitPlan;

pub(super) fn read(reader: &mut Reader<'_>) -> SplitPlan {
    let whole = || SplitPlan::Hash { fractions: vec![("train".to_owned(), 1.0)], key: SplitKey::Episode };
    let Some(node) = reader.root.get("splits") else { return whole() };
    let named: Vec<&Member> =
        node.members().iter().filter(|it| !matches!(it.key.as_str(), "key" | "by")).collect();
    for member in &named {
        check_name(reader, &member.key);
    }
    let from_source = text(node, "by").as_deref() == Some("source");
    if from_source {
        if let Some(member) = named.first() {
            let message = format!("`splits.{}` has no meaning with `by: source`", member.key);
            reader.add(&format!("splits.{}", member.key), message, "remove it, or write `by: hash`");
        }
        return SplitPlan::Source;
    }
    let is_list = |it: &&&Member| matches!(it.node.value, Value::List(_));
    match named.iter().filter(is_list).count() {
        0 => {}
        n if n == named.len() => return lists(reader, &named),
        _ => {
            reader.add(
                "splits",
                "some splits are fractions and some are lists",
                "give all of them as fractions, or all as lists",
            );
            return whole();
        }
    }
    let fractions: Vec<(String, f64)> =
        named.iter().map(|it| (it.key.clone(), it.node.number().unwrap_or(0.0))).collect();
    if fractions.is_empty() {
        reader.add("splits", "`splits` names no split", "write `{train: 0.9, val: 0.1}`");
    }
    for (name, _) in fractions.iter().filter(|(_, it)| *it <= 0.0) {
        reader.add(
            &format!("splits.{name}"),
            format!("split `{name}` is given nothing"),
            "remove it, or give it a fraction",
        );
    }
    let sum: f64 = fractions.iter().map(|(_, it)| it).sum();
    if !fractions.is_empty() && 1e-9 < (sum - 1.0).abs() {
        // Nine digits: what nobody wrote is not shown.
        let sum = format!("{sum:.9}").trim_end_matches('0').trim_end_matches('.').to_owned();
        reader.add("splits", format!("the fractions add up to {sum}, not to 1"), "change one of them");
    }
    SplitPlan::Hash { fractions, key: key(reader, node) }
}

fn key(reader: &mut Reader<'_>, node: &Node) -> SplitKey {
    match text(node, "key").as_deref() {
        None | Some("episode") => SplitKey::Episode,
        Some("task") => SplitKey::Task,
        Some("row") => SplitKey::Row,
        Some(other) if let Some(name) = other.strip_prefix("field.").filter(|it| !it.is_empty()) => {
            SplitKey::Field(name.to_owned())
        }
        Some(other) => {
            let of_episode = ["metadata.", "episode."].into_iter().find_map(|it| other.strip_prefix(it));
            match of_episode.filter(|it| !it.is_empty()) {
                Some("task") => SplitKey::Task,
                Some(name) => SplitKey::Metadata(name.to_owned()),
                None => {
                    let message = format!("`splits.key` is `{other}`");
                    reader.add("splits.key", message, "expected `episode`, `task`, `episode.<name>`, `metadata.<name>`, or for samples `row` or `field.<name>`");
                    SplitKey::Episode
                }
            }
        }
    }
}

fn lists(reader: &mut Reader<'_>, named: &[&Member]) -> SplitPlan {
    let mut lists: Vec<(String, Vec<String>)> = Vec::new();
    for member in named {
        let keys = texts(&member.node);
        for (idx, key) in keys.iter().enumerate() {
            if let Err(err) = check_pattern(key) {
                let hint = err.hint().unwrap_or_default().to_owned();
                reader.add(&format!("splits.{}[{idx}]", member.key), err.to_string(), hint);
            }
            if let Some((other, _)) = lists.iter().find(|(_, it)| it.contains(key)) {
                let message = format!("episode `{key}` is in `{}` and in `{other}`", member.key);
                reader.add(
                    &format!("splits.{}[{idx}]", member.key),
                    message,
                    "no episode belongs to two splits",
                );
            }
        }
        lists.push((member.key.clone(), keys));
    }
    SplitPlan::Lists(lists)
}

fn check_name(reader: &mut Reader<'_>, name: &str) {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
    if name.is_empty() || !name.chars().all(is_plain) {
        reader.add(
            &format!("splits.{name}"),
            format!("`{name}` is no name for a split"),
            "letters, digits, `-` and `_` are",
        );
    }
    if name == QUARANTINE {
        reader.add(
            &format!("splits.{name}"),
            "the split `quarantine` belongs to the quality gate",
            "choose another name",
        );
    }
}
