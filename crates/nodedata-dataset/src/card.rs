use crate::manifest::{Manifest, StreamEntry};

/// The dataset card: YAML that `load_dataset` reads, then a page for people.
pub(crate) fn card(manifest: &Manifest) -> String {
    let mut lines = vec!["---".to_owned(), "configs:".to_owned()];
    for (idx, stream) in manifest.streams.iter().filter(|it| it.rows > 0).enumerate() {
        config(&mut lines, manifest, stream, idx == 0);
    }
    lines.extend(["tags:", "- robotics", "- node-data", "---", ""].map(str::to_owned));
    body(&mut lines, manifest);
    lines.push(String::new());
    lines.join("\n")
}

/// One configuration of `load_dataset`: the shards of one stream, by split.
fn config(lines: &mut Vec<String>, manifest: &Manifest, stream: &StreamEntry, is_default: bool) {
    lines.push(format!("- config_name: {}", yaml(config_name(&stream.folder))));
    if is_default {
        lines.push("  default: true".to_owned());
    }
    lines.push("  data_files:".to_owned());
    for split in manifest.splits.keys() {
        if manifest.shards.iter().any(|it| it.stream == stream.name && it.split == *split) {
            lines.push(format!("  - split: {split}"));
            lines.push(format!("    path: {}", yaml(&format!("{}/{split}-*.parquet", stream.folder))));
        }
    }
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
    if manifest.n_damage > 0 {
        lines.push(format!(
            "**Incomplete**: {} pieces of the source could not be read; `report.json` names each.\n",
            manifest.n_damage
        ));
    }
    lines.push("| stream | config | rows | message |\n|---|---|---|---|".to_owned());
    for stream in &manifest.streams {
        let message = stream.metadata.get("schema_name").map_or("", String::as_str);
        let (name, config) = (stream.name.replace('|', "\\|"), config_name(&stream.folder));
        lines.push(format!("| `{name}` | `{config}` | {} | {message} |", stream.rows));
    }
    lines.push(
        "\nTimes are nanoseconds. `manifest.json` lists every shard with its hashes, `provenance.jsonl` says \
         which bytes of which input each was made from, `schema.json` describes the columns.\n"
            .to_owned(),
    );
    lines.push(format!("Made by {}.", manifest.created_by.get("tool").map_or("", String::as_str)));
}

/// The last part of a stream's folder: what `load_dataset(path, name)` takes.
fn config_name(folder: &str) -> &str {
    folder.rsplit('/').next().unwrap_or(folder)
}

/// A YAML double-quoted scalar.
fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
