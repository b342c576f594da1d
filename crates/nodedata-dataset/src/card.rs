use nodedata_core::{
    StreamKind,
    visible::{visible_code, visible_markdown},
};

use crate::{
    front_matter::{card_configs, config_lines, config_name},
    manifest::{Manifest, StreamEntry},
};

/// Name of the split of episodes that a quality gate keeps out of all others. `load_dataset` does not see it.
pub const QUARANTINE: &str = "quarantine";

/// The dataset card: YAML that `load_dataset` reads, then a page for people.
pub(crate) fn card(manifest: &Manifest) -> String {
    let mut lines = vec!["---".to_owned()];
    lines.extend(config_lines(&card_configs(manifest, false)));
    lines.extend(["tags:", "- robotics", "- node-data", "---", ""].map(str::to_owned));
    body(&mut lines, manifest);
    lines.push(String::new());
    lines.join("\n")
}

fn body(lines: &mut Vec<String>, manifest: &Manifest) {
    let episodes: u64 = manifest.splits.values().map(|it| it.episodes).sum();
    let rows: u64 = manifest.streams.iter().map(|it| it.rows).sum();
    let bytes: u64 = manifest.shards.iter().map(|it| it.bytes).sum();
    lines.push("# Dataset\n".to_owned());
    lines.push(format!(
        "{episodes} episodes, {rows} rows in {} streams, {} shards of {bytes} bytes in all.\n",
        manifest.streams.len(),
        manifest.shards.len(),
    ));
    let n_quarantined = manifest.splits.get(QUARANTINE).map_or(0, |it| it.episodes);
    if n_quarantined > 0 {
        lines.push(format!(
            "{n_quarantined} episodes are in quarantine, apart from the splits; `report.json` says why.\n"
        ));
    }
    let n_damage = manifest.n_damage.saturating_sub(n_quarantined);
    if n_damage > 0 {
        lines.push(format!(
            "**Incomplete**: {n_damage} pieces of the source could not be read; `report.json` names each.\n"
        ));
    }
    lines.push("| stream | config | rows | message |\n|---|---|---|---|".to_owned());
    for stream in &manifest.streams {
        let message = stream.metadata.get("schema_name").map_or("", String::as_str);
        let (name, config) = (visible_code(&stream.name), config_name(stream));
        lines.push(format!("| {name} | `{config}` | {} | {} |", stream.rows, visible_markdown(message)));
    }
    for stream in &manifest.streams {
        facts(lines, stream);
    }
    let has_steps = manifest.streams.iter().any(|it| it.kind() == StreamKind::Steps);
    let clock = match has_steps {
        true => {
            " `timestamp_ns` of a step counts from the start of its episode; when that was stands in `start_time_ns` of \
             `index/episodes.parquet`."
        }
        false => "",
    };
    lines.push(format!(
        "\nTimes are nanoseconds.{clock} `manifest.json` lists every shard with its hashes, `provenance.jsonl` says \
         which bytes of which input each was made from, `schema.json` describes the columns.\n"
    ));
    lines.push(format!("Made by {}.", manifest.created_by.get("tool").map_or("", String::as_str)));
}

/// Tasks told on the card; the manifest has all of them.
const TASKS_TOLD: usize = 20;

/// What a source says of the robot and of what it was to do.
fn facts(lines: &mut Vec<String>, stream: &StreamEntry) {
    let fact = |key: &str| stream.metadata.get(key).map(|it| one_line(it));
    let robot = fact("robot_type").map(|it| format!("- Robot: {it}"));
    let rate = fact("fps").map(|it| format!("- Steps per second: {it}"));
    let version = fact("codebase_version").map(|it| format!("- Source: LeRobot {it}"));
    let told: Vec<String> = [robot, rate, version].into_iter().flatten().collect();
    if !told.is_empty() {
        lines.push(format!("\n{}", told.join("\n")));
    }
    let tasks =
        stream.metadata.get("tasks").and_then(|it| serde_json::from_str::<serde_json::Value>(it).ok());
    let Some(tasks) = tasks.as_ref().and_then(serde_json::Value::as_object).filter(|it| !it.is_empty())
    else {
        return;
    };
    let mut texts: Vec<(u64, &str)> =
        tasks.iter().filter_map(|(index, text)| Some((index.parse().ok()?, text.as_str()?))).collect();
    texts.sort_unstable();
    lines.push("\nTasks:\n".to_owned());
    lines.extend(texts.iter().take(TASKS_TOLD).map(|(index, text)| format!("{index}. {}", one_line(text))));
    if texts.len() > TASKS_TOLD {
        lines.push(format!("\nand {} more.", texts.len() - TASKS_TOLD));
    }
}

/// Text of the source as one line of Markdown: it must not start a heading, a link or a second document.
fn one_line(text: &str) -> String {
    visible_markdown(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}
