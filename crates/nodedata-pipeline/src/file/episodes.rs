use std::collections::BTreeSet;

use nodedata_core::{Moment, Moments, placed::Node};
use nodedata_normalize::{Change, Cut, EpisodeRange, GroupBy, Marker, pattern_mistake};

use super::{
    read::{Reader, text, texts},
    steps::nanos,
    times,
};

/// Keys that belong to ways of making episodes.
const OWN: [(&str, &[&str]); 6] = [
    ("marker", &["field", "start", "end", "discard", "task"]),
    ("change", &["field", "without", "task"]),
    ("gap", &["gap_ms", "topic"]),
    ("ranges", &["ranges"]),
    ("key", &["pattern"]),
    ("field", &["field", "order"]),
];

/// Ways of cutting recordings, of which steps are made.
pub(super) const CUTS: [&str; 6] = ["file", "source", "marker", "change", "gap", "ranges"];

/// How episodes are made.
pub(super) enum Episodes {
    /// Of recordings.
    Cut(Cut),
    /// Of samples.
    Grouped(GroupBy),
}

pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Episodes {
    let by = text(node, "by").unwrap_or_default();
    foreign_keys(reader, node, &by);
    let mut need = |key: &str, example: &str| {
        if node.get(key).is_none() {
            let message = format!("`episodes` by {by} has no `{key}`");
            reader.add("episodes.by", message, format!("add `{example}`"));
        }
    };
    Episodes::Cut(match by.as_str() {
        "marker" => {
            need("field", "field: /episode.kind");
            need("start", "start: [start]");
            let list = |key| node.get(key).map(texts).unwrap_or_default();
            Cut::Marker(Marker {
                field: text(node, "field").unwrap_or_default(),
                start: list("start"),
                end: list("end"),
                discard: list("discard"),
                task: text(node, "task"),
            })
        }
        "change" => {
            need("field", "field: /episode.id");
            Cut::Change(Change {
                field: text(node, "field").unwrap_or_default(),
                without: node.get("without").map(texts).unwrap_or_default(),
                task: text(node, "task"),
            })
        }
        "gap" => {
            need("gap_ms", "gap_ms: 2000");
            let gap_ns = node.get("gap_ms").and_then(Node::number).map_or(i64::MAX, nanos);
            Cut::Gap { gap_ns, topic: text(node, "topic") }
        }
        "ranges" => {
            need("ranges", "ranges: [{start: 2026-06-11T09:30:00Z, end: 2026-06-11T09:31:00Z}]");
            Cut::Ranges(ranges(reader, node))
        }
        "key" => {
            need("pattern", r"pattern: '(?<episode>ep\d+)_(?<step>\d+)'");
            let pattern = node.get("pattern").and_then(Node::text);
            if let Some((message, hint)) = pattern.as_deref().and_then(pattern_mistake) {
                reader.add("episodes.pattern", message, hint);
            }
            return Episodes::Grouped(GroupBy::Key { pattern: pattern.unwrap_or_default() });
        }
        "field" => {
            need("field", "field: episode_id");
            return Episodes::Grouped(GroupBy::Field {
                field: text(node, "field").unwrap_or_default(),
                order: text(node, "order"),
            });
        }
        _ => Cut::Whole,
    })
}

/// Keys that say nothing in this way of making episodes.
fn foreign_keys(reader: &mut Reader<'_>, node: &Node, by: &str) {
    let own = OWN.iter().find(|(way, _)| *way == by).map_or(&[][..], |it| it.1);
    // A way that is none is told as such.
    if own.is_empty() && !CUTS.contains(&by) && !by.is_empty() {
        return;
    }
    let keys: BTreeSet<&str> = OWN.iter().flat_map(|it| it.1).copied().collect();
    for key in keys.into_iter().filter(|it| node.get(it).is_some() && !own.contains(it)) {
        let ways = OWN.iter().filter(|it| it.1.contains(&key));
        let ways: Vec<String> = ways.map(|(way, _)| format!("`by: {way}`")).collect();
        let message = match by {
            "" => format!("`episodes.{key}` has no meaning without `by`"),
            by => format!("`episodes.{key}` has no meaning with `by: {by}`"),
        };
        let hint = format!("write {}, or remove the key", ways.join(" or "));
        reader.add(&format!("episodes.{key}"), message, hint);
    }
}

fn ranges(reader: &mut Reader<'_>, node: &Node) -> Vec<EpisodeRange> {
    let items = node.get("ranges").map(Node::items).unwrap_or_default();
    let mut ranges: Vec<EpisodeRange> = Vec::new();
    for (idx, item) in items.iter().enumerate() {
        let at = format!("episodes.ranges[{idx}]");
        for key in ["start", "end"] {
            if item.get(key).is_none() && item.get(&format!("{key}_ns")).is_none() {
                reader.add(
                    &at,
                    format!("`{at}` has no `{key}`"),
                    format!("add `{key}: 2026-06-11T09:30:00Z`"),
                );
            }
        }
        let Moments { start, end } = times::read(reader, item, &at);
        let nanos = |it: Option<Moment>| it.and_then(|it| it.nanos(None));
        let (Some(start_ns), Some(end_ns)) = (nanos(start), nanos(end)) else { continue };
        let range = EpisodeRange { recording: text(item, "recording"), start_ns, end_ns };
        let meets = |it: &&EpisodeRange| {
            let same = it.recording.is_none() || range.recording.is_none() || it.recording == range.recording;
            same && it.start_ns < range.end_ns && range.start_ns < it.end_ns
        };
        if let Some(other) = ranges.iter().find(meets) {
            let message = format!("a range overlaps the one from {} to {}", other.start_ns, other.end_ns);
            reader.add(&at, message, "no moment belongs to two episodes");
        }
        ranges.push(range);
    }
    ranges
}
