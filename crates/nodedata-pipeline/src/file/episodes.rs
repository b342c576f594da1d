use nodedata_core::{Moment, Moments, placed::Node};
use nodedata_normalize::{Cut, EpisodeRange, Marker};

use super::{
    read::{Reader, text, texts},
    steps::nanos,
    times,
};

/// Keys that belong to one way of cutting.
const OWN: [(&str, &[&str]); 3] = [
    ("marker", &["field", "start", "end", "discard", "task"]),
    ("gap", &["gap_ms", "topic"]),
    ("ranges", &["ranges"]),
];

pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Cut {
    let by = text(node, "by").unwrap_or_default();
    for (way, keys) in OWN.into_iter().filter(|(way, _)| *way != by) {
        for key in keys.iter().filter(|it| node.get(it).is_some()) {
            let message = format!("`episodes.{key}` has no meaning with `by: {by}`");
            reader.add(&format!("episodes.{key}"), message, format!("write `by: {way}`, or remove the key"));
        }
    }
    let mut need = |key: &str, example: &str| {
        if node.get(key).is_none() {
            let message = format!("`episodes` by {by} has no `{key}`");
            reader.add("episodes.by", message, format!("add `{example}`"));
        }
    };
    match by.as_str() {
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
        "gap" => {
            need("gap_ms", "gap_ms: 2000");
            let gap_ns = node.get("gap_ms").and_then(Node::number).map_or(i64::MAX, nanos);
            Cut::Gap { gap_ns, topic: text(node, "topic") }
        }
        "ranges" => {
            need("ranges", "ranges: [{start: 2026-06-11T09:30:00Z, end: 2026-06-11T09:31:00Z}]");
            Cut::Ranges(ranges(reader, node))
        }
        _ => Cut::Whole,
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
