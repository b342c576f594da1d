use std::fmt::Write as _;

use crate::manifest::Manifest;

/// The dataset card: YAML that `load_dataset` reads, then a page for people.
pub(crate) fn card(manifest: &Manifest) -> String {
    let mut text = String::from("---\nconfigs:\n");
    for (idx, stream) in manifest.streams.iter().filter(|it| it.rows > 0).enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- config_name: {}", yaml(config_name(&stream.folder)));
        if idx == 0 {
            let _ = writeln!(text, "  default: true");
        }
        let _ = writeln!(text, "  data_files:");
        for split in manifest.splits.keys() {
            if manifest.shards.iter().any(|it| it.stream == stream.name && it.split == *split) {
                let _ = writeln!(text, "  - split: {split}");
                let _ = writeln!(text, "    path: {}", yaml(&format!("{}/{split}-*.parquet", stream.folder)));
            }
        }
    }
    let _ = writeln!(text, "tags:\n- robotics\n- node-data\n---\n");
    body(&mut text, manifest);
    text
}

fn body(text: &mut String, manifest: &Manifest) {
    let episodes: u64 = manifest.splits.values().map(|it| it.episodes).sum();
    let rows: u64 = manifest.streams.iter().map(|it| it.rows).sum();
    let bytes: u64 = manifest.shards.iter().map(|it| it.bytes).sum();
    let _ = writeln!(text, "# Dataset\n");
    let _ = writeln!(
        text,
        "{episodes} episodes, {rows} rows in {} streams, {} shards of {bytes} bytes in all.\n",
        manifest.streams.len(),
        manifest.shards.len(),
    );
    if manifest.n_damage > 0 {
        let _ = writeln!(
            text,
            "**Incomplete**: {} pieces of the source could not be read; `report.json` names each.\n",
            manifest.n_damage
        );
    }
    let _ = writeln!(text, "| stream | config | rows | message |\n|---|---|---|---|");
    for stream in &manifest.streams {
        let message = stream.metadata.get("schema_name").map_or("", String::as_str);
        let _ = writeln!(
            text,
            "| `{}` | `{}` | {} | {message} |",
            stream.name.replace('|', "\\|"),
            config_name(&stream.folder),
            stream.rows,
        );
    }
    let _ = writeln!(
        text,
        "\nTimes are nanoseconds. `manifest.json` lists every shard with its hashes, `provenance.jsonl` says \
         which bytes of which input each was made from, `schema.json` describes the columns."
    );
    let _ = writeln!(text, "\nMade by {}.", manifest.created_by.get("tool").map_or("", String::as_str));
}

/// The last part of a stream's folder: what `load_dataset(path, name)` takes.
pub(crate) fn config_name(folder: &str) -> &str {
    folder.rsplit('/').next().unwrap_or(folder)
}

/// A YAML double-quoted scalar.
fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
