use std::{fs, io::Write, path::Path};

use nodedata_core::{ReadAt, Result};
use nodedata_dataset::{
    Dataset, Manifest, card_configs, config_lines, each_window, license_lines, split_card, yaml_text,
};
use nodedata_io::{
    AtomicDir, Places, Recognised, Replacing, Writer, Writing, io_error, link_or_copy, write_file,
};

/// What the name of the hidden folder ends in while an export grows.
const SUFFIX: &str = "export";

/// What a folder for the Hugging Face Hub says beside its data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HubFacts {
    /// SPDX expression.
    pub license: Option<String>,
    /// Title.
    pub title: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// The agreement that readers must accept, for gated datasets.
    pub gate: Option<String>,
}

/// What an export wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Files that are the dataset's own, linked or copied.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Files that had to be copied because they could not be linked.
    pub copied: u64,
}

/// Writes the folder of a dataset as the Hub and `load_dataset` want it: a card whose YAML names the files of
/// each split, and the shards as hard links, so that no byte lies on the disk twice. The folder appears in
/// one step.
///
/// # Errors
/// `Config` when `out` is there already; `Io`; `Corrupt` when the manifest names a path outside its folder.
pub fn export_hugging_face(dataset: &Dataset, out: &Path, facts: &HubFacts) -> Result<ExportReport> {
    let reads = Places::new(dataset.root());
    let replacing = Replacing {
        asked: false,
        reads: &reads,
        recognise: &|_| Ok(Recognised::Ours),
        there: "the folder is there already",
        hint: "choose another, or remove it",
    };
    replacing.check(out)?;
    let busy = "another export fills this folder";
    let writer = Writer { suffix: SUFFIX, shared: false, keeps: &[], busy };
    let folder = AtomicDir::open(out, writer)?;
    // What an export that was killed left behind.
    folder.clear(&[])?;
    let mut report = ExportReport::default();
    let written = write(dataset, &folder.tree(), facts, &mut report).and_then(|()| {
        replacing.check(out)?;
        folder.commit(false)
    });
    if written.is_err() {
        folder.abandon();
    }
    written.map(|()| report)
}

fn write(dataset: &Dataset, folder: &Path, facts: &HubFacts, report: &mut ExportReport) -> Result<()> {
    let manifest = &*dataset.manifest;
    let shards = manifest.shards.iter().map(|it| (it.path.as_str(), it.bytes));
    let others = [&manifest.schema, &manifest.stats, &manifest.provenance];
    let others = others
        .into_iter()
        .chain(&manifest.recipe_file)
        .chain(manifest.index.values())
        .map(|it| (it.path.as_str(), it.bytes));
    for (path, n_bytes) in shards.chain(others) {
        // It also proves that the path stays inside.
        let file = dataset.file(path)?;
        let to = folder.join(path);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(|err| io_error("cannot make the folder", parent, err))?;
        }
        let is_copied = match dataset.root() {
            Some(root) => link_or_copy(&root.join(path), &to)?,
            None => copy(&*file, &to).map(|()| true)?,
        };
        report.copied += u64::from(is_copied);
        report.files += 1;
        report.bytes += n_bytes;
    }
    let readme = dataset.text(&manifest.readme.path)?;
    // Without the YAML that the dataset came with.
    let body = split_card(&readme).map_or(readme.as_str(), |(_, body)| body);
    let card = format!("{}{}", front_matter(manifest, facts), body);
    fs::create_dir_all(folder).map_err(|err| io_error("cannot make the folder", folder, err))?;
    write_file(&folder.join("README.md"), card.as_bytes(), Writing::Replace)
}

fn copy(file: &dyn ReadAt, to: &Path) -> Result<()> {
    let mut into = fs::File::create_new(to).map_err(|err| io_error("cannot make the file", to, err))?;
    each_window(file, &mut |bytes| into.write_all(bytes).map_err(|err| io_error("cannot write", to, err)))
}

/// YAML for programs: what the Hub shows and what `load_dataset` opens.
fn front_matter(manifest: &Manifest, facts: &HubFacts) -> String {
    let mut lines = vec!["---".to_owned()];
    if let Some(license) = facts.license.as_deref() {
        lines.extend(license_lines(license));
    }
    if let Some(title) = &facts.title {
        lines.push(format!("pretty_name: {}", yaml_text(title)));
    }
    lines.push("task_categories:\n- robotics".to_owned());
    lines.push("tags:".to_owned());
    let mut tags = facts.tags.clone();
    tags.extend(["robotics".to_owned(), "node-data".to_owned()]);
    tags.dedup();
    lines.extend(tags.iter().map(|it| format!("- {}", yaml_text(it))));
    lines.push(format!("size_categories:\n- {}", size_category(manifest)));
    if let Some(gate) = &facts.gate {
        lines.push(format!("extra_gated_prompt: {}", yaml_text(gate)));
    }
    // The files themselves, not a pattern: what else lies there is not meant.
    lines.extend(config_lines(&card_configs(manifest, true)));
    lines.push("---\n".to_owned());
    lines.join("\n")
}

fn size_category(manifest: &Manifest) -> &'static str {
    match manifest.streams.iter().map(|it| it.rows).max().unwrap_or(0) {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        100_000..1_000_000 => "100K<n<1M",
        1_000_000..10_000_000 => "1M<n<10M",
        10_000_000..100_000_000 => "10M<n<100M",
        _ => "100M<n<1B",
    }
}
