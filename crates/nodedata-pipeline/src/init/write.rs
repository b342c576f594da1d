use nodedata_core::{
    DType, Feature,
    visible::{is_hidden, visible_json},
};
use nodedata_quality::stamp_column;

use super::seen::Seen;
use crate::{Inspection, StreamInspection};

/// Words in a topic's name that hint at a command.
const ACTION_WORDS: [&str; 8] =
    ["cmd", "command", "action", "target", "goal", "setpoint", "teleop", "leader"];
/// Words in a topic's or feature's name that hint at a task in words.
const TASK_WORDS: [&str; 5] = ["instruction", "task", "prompt", "language", "goal_text"];
/// Parts of a camera topic that tell nothing apart.
const PLAIN_PARTS: [&str; 7] = ["image", "image_raw", "image_rect", "compressed", "raw", "color", "video"];

/// One feature that the pipeline may map.
struct Proposal {
    name: String,
    /// What stands behind the name, as flow YAML.
    value: String,
    /// What was seen, for the comment.
    about: String,
    /// Whether it is proposed, or shown as a comment.
    active: bool,
    rate_hz: Option<f64>,
    stamped: bool,
    role: Role,
    /// How good it is for its role; 0 for not at all.
    rank: usize,
}

/// What a feature may be in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Camera,
    Task,
    State,
    Action,
}

impl Proposal {
    fn is_held(&self) -> bool {
        match self.role {
            Role::Task | Role::Action => true,
            Role::Camera | Role::State => false,
        }
    }

    /// What stands behind the name, with the reach that follows from the field's own rate.
    fn mapped(&self) -> String {
        let rate = self.rate_hz.filter(|it| *it > 0.0 && !self.is_held());
        match (rate, self.value.strip_suffix('}')) {
            (Some(rate), Some(open)) => format!("{open}, tolerance_ms: {}}}", (1500.0 / rate).ceil()),
            _ => self.value.clone(),
        }
    }
}

/// The proposal as a file.
pub(super) fn pipeline(
    paths: &[String],
    about_paths: Option<&str>,
    format: &str,
    inspection: &Inspection,
    seen: &[Seen],
    there: Option<&str>,
) -> String {
    let proposals = proposals(inspection, seen);
    let mut text = String::new();
    let n_bytes: u64 = inspection.inputs.iter().map(|(_, n)| n).sum();
    line(
        &mut text,
        "# Proposed by `node-data init` from what the source holds. Read it, change it, and run it with",
    );
    line(&mut text, "# `node-data run FILE --out DIR`; `--dry-run` shows what it would do.");
    line(&mut text, "version: 1\n");
    line(&mut text, "source:");
    let about_paths = about_paths.map_or_else(String::new, |it| format!("    # {it}"));
    match paths {
        [path] => line(&mut text, &format!("  path: {}{about_paths}", scalar(path))),
        _ => {
            line(&mut text, &format!("  path:{about_paths}"));
            paths.iter().for_each(|it| line(&mut text, &format!("    - {}", scalar(it))));
        }
    }
    line(
        &mut text,
        &format!(
            "  format: {format}    # files: {}, bytes: {n_bytes}, episodes: {}",
            inspection.inputs.len(),
            inspection.episodes.len()
        ),
    );
    if proposals.iter().any(|it| it.active) {
        steps(&mut text, inspection, seen, &proposals);
    } else if let Some(there) = there {
        text.push_str(there);
    } else {
        line(
            &mut text,
            "\n# No topic looks like one to make steps of: without `steps` every stream becomes a table, lossless.",
        );
        measured(&mut text, &inspection.streams.iter().collect::<Vec<_>>());
    }
    line(
        &mut text,
        "\n# Every episode is held against these before anything is written: warn, quarantine or fail.",
    );
    line(&mut text, "quality:");
    line(&mut text, "  backward_time: warn");
    line(&mut text, "  clock_jump: warn");
    line(&mut text, "  gap: warn    # or {level: quarantine, max_ms: 500}");
    line(&mut text, "\n# By the hash of each episode's key: adding data never moves an episode.");
    let splits = if inspection.episodes.len() > 1 {
        "splits: {train: 0.9, val: 0.1}"
    } else {
        "splits: {train: 1}    # one episode so far; {train: 0.9, val: 0.1} with more"
    };
    line(&mut text, splits);
    line(&mut text, "shards: {target_mb: 512}");
    line(&mut text, "on_error: fail    # or salvage: keep what is sound, list the rest, exit with 3");
    text
}

fn steps(text: &mut String, inspection: &Inspection, seen: &[Seen], proposals: &[Proposal]) {
    episodes(text, seen);
    let active = || proposals.iter().filter(|it| it.active);
    // The fastest camera: every frame of it has a step, and the others repeat or are null.
    let rated = |it: &&Proposal| it.rate_hz.is_some();
    let faster = |one: &&Proposal, other: &&Proposal| {
        one.rate_hz.unwrap_or(0.0).total_cmp(&other.rate_hz.unwrap_or(0.0))
    };
    let cameras = active().filter(|it| it.role == Role::Camera).filter(rated);
    let clock = cameras.max_by(faster).or_else(|| active().find(rated));
    let rate = clock.and_then(|it| it.rate_hz).map_or(10.0, |it| it.round().max(1.0));
    line(text, "\nsteps:");
    let measured_from = clock
        .map_or_else(String::new, |it| format!("    # as `{}` was measured: {}", it.name, hertz(it.rate_hz)));
    line(text, &format!("  clock: {{rate_hz: {rate}}}{measured_from}"));
    let n_stamped = active().filter(|it| it.stamped).count();
    if n_stamped > 0 && seen.iter().any(|it| it.stream.features.iter().any(|it| it.name == "header.stamp")) {
        line(text, "  time: header.stamp    # topics without it go by log time");
    } else {
        line(text, "  time: log_time");
    }
    line(text, "  align: nearest");
    line(
        text,
        "  beyond: \"null\"    # or drop the step, or fail; `by_name` has `absent` for names that are not there",
    );
    line(
        text,
        "\n# `tolerance_ms` is one and a half periods of the field itself; without it ten are the bound, and `any` is none.",
    );
    line(text, "fields:    # one that no step has a value of is refused, unless it says `nullable: always`");
    for proposal in proposals {
        let mark = if proposal.active { "" } else { "# " };
        line(
            text,
            &format!("  {mark}{}: {}    # {}", scalar(&proposal.name), proposal.mapped(), proposal.about),
        );
    }
    transforms(text, inspection, proposals);
    let is_mapped = |stream: &&StreamInspection| {
        proposals.iter().any(|it| {
            let name = &stream.name;
            it.value
                .match_indices(name.as_str())
                .any(|(at, _)| it.value[at + name.len()..].starts_with(['.', ',', '}', ']', '"']))
        })
    };
    let others: Vec<&StreamInspection> = inspection.streams.iter().filter(|it| !is_mapped(it)).collect();
    if !others.is_empty() {
        line(text, "\n# Not mapped; `streams: keep` writes every topic as a table of its own as well.");
        measured(text, &others);
    }
    line(text, "# streams: keep");
}

/// What can be done to values, as far as it suits what the source has.
fn transforms(text: &mut String, inspection: &Inspection, proposals: &[Proposal]) {
    line(
        text,
        "  # `transform` changes values, such as `transform: [{action/shift: {steps: 1}}]`: `node-data transforms` lists what there is.",
    );
    if proposals.iter().any(|it| it.active && it.role == Role::Camera) {
        line(
            text,
            "  # Smaller pictures: `transform: [{image/resize: {height: 224, width: 224}}, {encode: jpeg:90}]`; `encode: h264` makes video of them",
        );
    }
    let clouds = inspection.streams.iter().filter(|it| it.count > 0 && it.message.contains("/PointCloud2"));
    for cloud in clouds {
        line(
            text,
            &format!(
                "  # {}: {{from: {}, transform: {{points: {{fields: [x, y, z], max: 4096}}}}}}",
                scalar(&topic_name(&cloud.name)),
                scalar(&cloud.name)
            ),
        );
    }
}

/// Whole files, or the markers of a topic where there is one.
fn episodes(text: &mut String, seen: &[Seen]) {
    let marker = seen.iter().find_map(|it| {
        if !it.stream.name.to_lowercase().contains("episode") {
            return None;
        }
        let kind = it
            .stream
            .features
            .iter()
            .find(|it| matches!(it.name.as_str(), "kind" | "state" | "event" | "data"))?;
        let task = it.stream.features.iter().any(|it| it.name == "task");
        Some((it.stream.name.to_string(), kind.name.clone(), task))
    });
    line(text, "\nepisodes: {by: file}");
    if let Some((topic, kind, has_task)) = marker {
        let task = if has_task { ", task: task".to_owned() } else { String::new() };
        line(
            text,
            &format!("# `{topic}` looks like a marker of episodes; its values decide what to write here:"),
        );
        line(
            text,
            &format!("# episodes: {{by: marker, field: {topic}.{kind}, start: [\"1\"], end: [\"2\"]{task}}}"),
        );
    }
    line(
        text,
        "# `exclude`, `min_s` and `trim` leave out episodes and steps, `metadata` tells more of each (docs/reference/episodes.md), such as",
    );
    line(text, "# `metadata: [{table: runs.csv, key: episode, columns: [success, operator]}]`");
}

fn measured(text: &mut String, streams: &[&StreamInspection]) {
    for stream in streams {
        line(
            text,
            &format!(
                "#   {}: {} records, {} {}",
                scalar(&stream.name),
                stream.count,
                hertz(stream.rate_hz),
                plain(&stream.message)
            ),
        );
    }
}

fn proposals(inspection: &Inspection, seen: &[Seen]) -> Vec<Proposal> {
    let mut all: Vec<Proposal> = Vec::new();
    for of_stream in seen {
        let measured = inspection.streams.iter().find(|it| it.name == *of_stream.stream.name);
        let Some(measured) = measured.filter(|it| it.count > 0) else { continue };
        if of_stream.has_media {
            all.push(camera(of_stream, measured));
            continue;
        }
        let name = of_stream.stream.name.to_lowercase();
        let acts = ACTION_WORDS.iter().any(|it| name.contains(it));
        all.extend(task(of_stream, measured).or_else(|| vector(of_stream, measured, acts)));
    }
    for (role, name) in [(Role::Task, "task"), (Role::State, "proprioception"), (Role::Action, "action")] {
        // Of equally good ones the first.
        let best = all.iter().enumerate().filter(|(_, it)| it.role == role && it.rank > 0);
        let best = best.max_by_key(|(idx, it)| (it.rank, std::cmp::Reverse(*idx))).map(|(idx, _)| idx);
        if let Some(best) = best.and_then(|it| all.get_mut(it)) {
            best.active = true;
            name.clone_into(&mut best.name);
        }
    }
    // A name for each: of two with the same, the later one is only shown.
    let mut names: Vec<String> = Vec::new();
    for proposal in all.iter_mut().filter(|it| it.active) {
        if names.contains(&proposal.name) {
            proposal.active = false;
        }
        names.push(proposal.name.clone());
    }
    all.sort_by_key(|it| !it.active);
    all
}

fn camera(seen: &Seen, measured: &StreamInspection) -> Proposal {
    let topic = seen.stream.name.to_string();
    Proposal {
        name: topic_name(&topic),
        value: format!("{{from: {}}}", scalar(&topic)),
        about: format!("{} at {}", plain(&measured.message), hertz(measured.rate_hz)),
        // A camera of a few frames a second is shown, not proposed: half of the steps would have none.
        active: measured.rate_hz.is_some_and(|it| it >= 5.0),
        rate_hz: measured.rate_hz,
        stamped: stamp_column(&seen.stream).is_some(),
        role: Role::Camera,
        rank: 1,
    }
}

fn task(seen: &Seen, measured: &StreamInspection) -> Option<Proposal> {
    let topic = seen.stream.name.to_lowercase();
    let hints = |text: &str| TASK_WORDS.iter().any(|it| text.contains(it));
    let feature = seen.stream.features.iter().find(|it| {
        it.dtype == DType::String
            && it.shape.is_empty()
            && (hints(&topic) || hints(&it.name))
            && !it.name.ends_with("frame_id")
    })?;
    let examples: Vec<String> =
        seen.texts.get(&feature.name)?.iter().take(2).map(|it| one_line(it)).collect();
    Some(Proposal {
        name: topic_name(&seen.stream.name),
        value: format!(
            "{{from: {}, align: hold}}",
            scalar(&format!("{}.{}", seen.stream.name, feature.name))
        ),
        about: format!("such as {}", examples.join(", ")),
        active: false,
        rate_hz: measured.rate_hz,
        stamped: false,
        role: Role::Task,
        rank: if hints(&topic) { 2 } else { 1 },
    })
}

/// The numbers of a topic as one vector: `position` with its names, `data`, or the leaves of a pose.
fn vector(seen: &Seen, measured: &StreamInspection, acts: bool) -> Option<Proposal> {
    let floats: Vec<&Feature> = seen
        .stream
        .features
        .iter()
        .skip(3)
        .filter(|it| matches!(it.dtype, DType::Float32 | DType::Float64) && !it.name.contains("covariance"))
        .collect();
    let topic = &seen.stream.name;
    let path = |feature: &str| scalar(&format!("{topic}.{feature}"));
    let fixed = |it: &&&Feature| seen.lengths.get(&it.name).is_some_and(|(min, max)| min == max && *min > 0);
    let align = if acts { ", align: hold" } else { "" };
    let lists = floats.iter().find(|it| it.shape.len() == 1 && fixed(it));
    let (value, what, rank) = match lists {
        Some(list) => {
            let (n, _) = *seen.lengths.get(&list.name)?;
            let prefix = list.name.rsplit_once('.').map_or(String::new(), |(it, _)| format!("{it}."));
            match seen.names.get(&prefix).filter(|it| it.len() == n && is_unique(it)) {
                Some(names) => {
                    let names: Vec<String> = names.iter().map(|it| scalar(it)).collect();
                    let value =
                        format!("{{from: {}, by_name: [{}]{align}}}", path(&list.name), names.join(", "));
                    // Named joints are the best there is, those of a topic that says so first.
                    (value, format!("{n} joints"), if topic.contains("joint") { 2000 } else { 1000 })
                }
                None => {
                    let rank = if acts { n.min(999) } else { 0 };
                    (format!("{{from: {}{align}}}", path(&list.name)), format!("{n} numbers"), rank)
                }
            }
        }
        None => {
            let scalars: Vec<String> =
                floats.iter().filter(|it| it.shape.is_empty()).map(|it| path(&it.name)).collect();
            let value = match scalars.as_slice() {
                [] => return None,
                [one] => format!("{{from: {one}{align}}}"),
                many => format!("{{from: [{}]{align}}}", many.join(", ")),
            };
            let n = scalars.len();
            let what = if n == 1 { "a number".to_owned() } else { format!("{n} numbers") };
            (value, what, usize::from(acts))
        }
    };
    Some(Proposal {
        name: topic_name(topic),
        value,
        about: format!("{what} at {} ({})", hertz(measured.rate_hz), plain(&measured.message)),
        active: false,
        rate_hz: measured.rate_hz,
        stamped: stamp_column(&seen.stream).is_some(),
        role: if acts { Role::Action } else { Role::State },
        rank,
    })
}

fn is_unique(names: &[String]) -> bool {
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort_unstable();
    sorted.windows(2).all(|it| it[0] != it[1])
}

/// A feature's name from a topic's: `/camera/wrist/image/compressed` is `camera_wrist`.
fn topic_name(topic: &str) -> String {
    let topic = topic.split('#').next().unwrap_or(topic);
    let parts: Vec<&str> = topic.split('/').filter(|it| !it.is_empty()).collect();
    let telling: Vec<&str> = parts.iter().copied().filter(|it| !PLAIN_PARTS.contains(it)).collect();
    let parts = if telling.is_empty() { parts } else { telling };
    let plain = |it: char| if it.is_ascii_alphanumeric() { it } else { '_' };
    parts.join("_").chars().map(plain).collect()
}

fn hertz(rate: Option<f64>) -> String {
    rate.map_or_else(|| "no rate".to_owned(), |it| format!("{it:.1} Hz"))
}

/// A text of the source inside a comment: nothing in it can end the line.
fn plain(text: &str) -> String {
    text.chars().map(|it| if is_hidden(it) { ' ' } else { it }).collect()
}

fn one_line(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    visible_json(&serde_json::Value::from(short).to_string()).into_owned()
}

/// A text as YAML: plain where nothing can be misread, quoted otherwise.
pub(super) fn scalar(text: &str) -> String {
    let starts_well = text.starts_with(|it: char| it.is_ascii_alphabetic() || matches!(it, '/' | '_' | '.'));
    let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '/' | '_' | '.' | '-');
    let is_word = matches!(
        text.to_lowercase().as_str(),
        "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | ".nan" | ".inf"
    );
    let is_number = text.parse::<f64>().is_ok();
    if starts_well && text.chars().all(is_plain) && !is_word && !is_number && !text.contains("${") {
        return text.to_owned();
    }
    visible_json(&serde_json::Value::from(text.replace("${", "$${")).to_string()).into_owned()
}

pub(super) fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}
