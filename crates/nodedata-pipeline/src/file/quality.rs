use nodedata_core::placed::{Member, Node, Value};
use nodedata_quality::{FeatureName, Level, RangeBounds, RateBounds, Rule, Rules};

use super::{
    check::word,
    read::{Reader, texts},
    steps::nanos,
};

pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Rules {
    let mut rules = Rules::off();
    for member in node.members() {
        let Some(rule) = Rule::from_name(&member.key) else { continue };
        let level = match &member.node.value {
            Value::Map(_) => member.node.get("level").and_then(word),
            _ => word(&member.node),
        };
        if let Some(level) = Level::ALL.into_iter().find(|it| Some(it.name()) == level.as_deref()) {
            rules.set(rule, level);
        }
        let number = |key: &str| member.node.get(key).and_then(Node::number);
        let count =
            |key: &str| member.node.get(key).and_then(Node::integer).and_then(|it| u64::try_from(it).ok());
        match rule {
            Rule::Rate => rates(reader, member, &mut rules),
            Rule::Gap => rules.gap_ns = number("max_ms").map(nanos),
            Rule::ClockJump => rules.clock_jump_ns = number("max_ms").map_or(rules.clock_jump_ns, nanos),
            Rule::Frozen => rules.frozen_ns = number("min_ms").map_or(rules.frozen_ns, nanos),
            Rule::DuplicateFrames => rules.equal_frames = count("max").unwrap_or(rules.equal_frames),
            Rule::Range => ranges(reader, member, &mut rules),
            Rule::DeadJoint => rules.dead_rows = count("min_rows").unwrap_or(rules.dead_rows),
            Rule::Nulls => {
                rules.null_share = number("max_share").unwrap_or(rules.null_share);
                let fields = member.node.get("fields").map(texts).unwrap_or_default();
                rules.null_fields = fields.iter().map(|it| FeatureName::parse(it)).collect();
            }
            Rule::BackwardTime | Rule::NonFinite | Rule::RowCount | Rule::DuplicateEpisode => {}
        }
    }
    rules
}

fn rates(reader: &mut Reader<'_>, member: &Member, rules: &mut Rules) {
    for stream in member.node.get("streams").map(Node::members).unwrap_or_default() {
        let path = format!("quality.rate.streams.{}", stream.key);
        let (min_hz, max_hz) = bounds(reader, &path, &stream.node, ("min_hz", "max_hz"));
        rules.rates.push(RateBounds { stream: stream.key.clone(), min_hz, max_hz });
    }
}

fn ranges(reader: &mut Reader<'_>, member: &Member, rules: &mut Rules) {
    for feature in member.node.get("features").map(Node::members).unwrap_or_default() {
        let path = format!("quality.range.features.{}", feature.key);
        let (min, max) = bounds(reader, &path, &feature.node, ("min", "max"));
        let FeatureName { stream, feature } = FeatureName::parse(&feature.key);
        rules.ranges.push(RangeBounds { stream, feature, min, max });
    }
}

fn bounds(
    reader: &mut Reader<'_>,
    path: &str,
    node: &Node,
    (least, greatest): (&str, &str),
) -> (Option<f64>, Option<f64>) {
    let min = node.get(least).and_then(Node::number);
    let max = node.get(greatest).and_then(Node::number);
    match (min, max) {
        (None, None) => {
            reader.add(path, format!("`{path}` has no bound"), format!("add `{least}` or `{greatest}`"));
        }
        (Some(min), Some(max)) if max < min => {
            let message = format!("`{path}.{greatest}` is {max}, less than `{least}` {min}");
            reader.add(&format!("{path}.{greatest}"), message, "swap them");
        }
        _ => {}
    }
    (min, max)
}
