use nodedata_client::{Opening, Registry};
use nodedata_core::{Result, visible::visible};
use nodedata_registry::{
    Comparison, DatasetState, EpisodeId, Operation, Reference, Revision, record::RevisionManifest,
};

use crate::{
    args::Output,
    commands::dataset_args::ShowArgs,
    documents::{self, DatasetLine},
    human, message,
};

/// Episodes named per kind of change; JSON has them all.
const EPISODES_SHOWN: usize = 10;

/// `node-data dataset list`.
pub(crate) fn list(registry: &Registry, output: Output) -> Result<()> {
    let mut states = Vec::new();
    for name in registry.remote.datasets()? {
        let state = DatasetState::load(&*registry.remote, &name)?;
        states.extend(state.filter(DatasetState::is_there));
    }
    if states.is_empty()
        && let Some(why) = registry.remote.why_hidden()
    {
        message::note(&format!("no dataset of {} is shown: {why}", registry.remote.label()));
    }
    let text = match output {
        Output::Json => {
            let datasets = states.iter().map(DatasetLine::from).collect();
            documents::line(&documents::DatasetList { datasets })?
        }
        Output::Text => {
            let width = states.iter().map(|it| it.dataset.to_string().len()).max().unwrap_or(0);
            let line = |it: &DatasetState| {
                let head = it.head().map_or("-", |it| it.revision.as_str());
                let n = human::plural(it.revisions.len() as u64, "revision");
                let seen = word(&it.visibility);
                let class = word(&it.sensitivity.class);
                format!("{:<width$}  {head:<8}  {n:<14}  {seen}, {class}\n", it.dataset.to_string())
            };
            states.iter().map(line).collect()
        }
    };
    message::to_stdout(&text)
}

/// `node-data dataset show`.
pub(crate) fn show(args: &ShowArgs, output: Output) -> Result<()> {
    let registry = Registry::open(&args.store, Opening::Existing)?;
    let reference = registry.reference(&args.reference)?;
    let state = DatasetState::open(&*registry.remote, &reference.dataset)?;
    let entry = reference.resolve(&state)?;
    let revision = Revision::open(&registry.remote, &reference.dataset, entry)?;
    let manifest = revision.manifest();
    let shards = if args.shards { Some(revision.shards()?) } else { None };
    let text = match output {
        Output::Json => {
            let about = state.attachments.iter().filter(|it| it.revision == entry.revision);
            documents::line(&documents::ShownRevision {
                manifest: entry.manifest,
                revision: manifest,
                record: entry,
                tags: &state.tags,
                visibility: state.visibility,
                attachments: about.collect(),
                shards,
            })?
        }
        Output::Text => {
            let mut text = told(&state, manifest);
            if let Some(reason) = &entry.withdrawn {
                text.push_str(&format!("withdrawn   {}\n", visible(reason)));
            }
            for shard in shards.unwrap_or_default() {
                text.push_str(&format!(
                    "shard       {} ({}, {}, {})\n",
                    visible(&shard.path),
                    visible(&shard.split),
                    human::plural(shard.rows, "row"),
                    human::bytes(shard.blob.bytes)
                ));
            }
            text
        }
    };
    message::to_stdout(&text)
}

fn told(state: &DatasetState, manifest: &RevisionManifest) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<10}  {}\n", visible(&value)));
    line("dataset", format!("{} {}", manifest.dataset, manifest.revision));
    if let Some(title) = &manifest.title {
        line("title", title.clone());
    }
    line("licence", manifest.license.clone().unwrap_or_else(|| "none chosen".to_owned()));
    if let Some(price) = &manifest.price {
        line("price", format!("{} {}", price.amount, price.currency));
    }
    if !manifest.modality.is_empty() {
        line("modality", manifest.modality.join(", "));
    }
    line("access", format!("{}, {}", word(&state.visibility), word(&state.sensitivity.class)));
    for (name, split) in &manifest.splits {
        let mut told = format!(
            "{name}: {}, {}, {}",
            human::plural(split.episodes, "episode"),
            human::plural(split.frames, "row"),
            human::plural(split.shards, "shard")
        );
        if !split.exclude.is_empty() {
            told.push_str(&format!(", left out: {}", split.exclude.join(", ")));
        }
        line("split", told);
    }
    line(
        "size",
        format!("{} in {}", human::bytes(manifest.shard_bytes), human::plural(manifest.n_shards, "shard")),
    );
    line("schema", manifest.schema.mode.clone());
    line("content", manifest.content_root.to_string());
    let tags: Vec<&str> =
        state.tags.iter().filter(|(_, it)| **it == manifest.revision).map(|(tag, _)| tag.as_str()).collect();
    if !tags.is_empty() {
        line("tags", tags.join(", "));
    }
    text
}

/// `node-data dataset log`.
pub(crate) fn log(registry: &Registry, dataset: &str, all: bool, output: Output) -> Result<()> {
    let Reference { dataset, .. } = registry.reference(dataset)?;
    let state = DatasetState::open(&*registry.remote, &dataset)?;
    let text = match (output, all) {
        (Output::Json, false) => {
            let revisions = state.revisions.iter().rev().collect();
            documents::line(&documents::RevisionLog { dataset: &dataset, revisions })?
        }
        (Output::Json, true) => {
            let records = registry.remote.log(&dataset, 0)?;
            let records = records.iter().rev().map(|it| &it.record).collect();
            documents::line(&documents::RecordLog { dataset: &dataset, records })?
        }
        (Output::Text, false) => state
            .revisions
            .iter()
            .rev()
            .map(|it| {
                let proof = &it.bump.proof;
                let changes = format!("+{} ~{} -{}", proof.added, proof.changed, proof.removed);
                let end = it
                    .withdrawn
                    .as_ref()
                    .map(|why| format!("  withdrawn: {}", visible(why)))
                    .unwrap_or_default();
                format!(
                    "{:<8}  {:<5}  {changes:<14}  {}  {}{end}\n",
                    it.revision, it.bump.kind, it.at, it.author
                )
            })
            .collect(),
        (Output::Text, true) => registry
            .remote
            .log(&dataset, 0)?
            .iter()
            .rev()
            .map(|it| {
                format!(
                    "{:>6}  {}  {}  {}\n",
                    it.record.seq,
                    it.record.at,
                    it.record.author,
                    what(&it.record.op)
                )
            })
            .collect(),
    };
    message::to_stdout(&text)
}

fn what(op: &Operation) -> String {
    match op {
        Operation::Create { visibility, sensitivity, .. } => {
            format!("create {}, {}", word(visibility), word(&sensitivity.class))
        }
        Operation::Publish { revision, bump, .. } => format!("publish {revision} ({})", bump.kind),
        Operation::Tag { tag, revision: Some(revision) } => format!("tag {tag} = {revision}"),
        Operation::Tag { tag, revision: None } => format!("tag {tag} gone"),
        Operation::Attach { kind, revision, .. } => format!("attach {kind} to {revision}"),
        Operation::Withdraw { revision, reason } => format!("withdraw {revision}: {}", visible(reason)),
        Operation::Declare { visibility, sensitivity, reason } => {
            let why = reason.as_ref().map_or_else(String::new, |it| format!(": {}", visible(it)));
            format!("declare {}, {}{why}", word(visibility), word(&sensitivity.class))
        }
        Operation::Move { to, reason } => format!("move to {to}: {}", visible(reason)),
        Operation::Adopt { from, .. } => format!("adopt {from}"),
        Operation::Delete { reason } => format!("delete: {}", visible(reason)),
        Operation::Purge { blobs, revisions, reason } => {
            let of =
                if revisions.is_empty() { String::new() } else { format!(" of {}", revisions.join(", ")) };
            format!("purge {}{of}: {}", human::plural(blobs.len() as u64, "blob"), visible(reason))
        }
    }
}

/// `node-data dataset diff`.
pub(crate) fn diff(registry: &Registry, old: &str, new: &str, output: Output) -> Result<()> {
    let old = registry.reference(old)?;
    let new = match new.strip_prefix('@') {
        Some(selector) => registry.reference(&format!("{}@{selector}", old.dataset))?,
        None => registry.reference(new)?,
    };
    let contents = |it: &Reference| {
        let state = DatasetState::open(&*registry.remote, &it.dataset)?;
        let entry = it.resolve(&state)?;
        let contents = Revision::open(&registry.remote, &it.dataset, entry)?.contents()?;
        Ok::<_, nodedata_core::Error>((entry.revision.clone(), contents))
    };
    let ((old_number, old_contents), (new_number, new_contents)) = (contents(&old)?, contents(&new)?);
    let found = old_contents.compare(&new_contents);
    let text = match output {
        Output::Json => documents::line(&documents::RevisionDiff {
            old: &old_number,
            new: &new_number,
            kind: found.kind().name(),
            changes: &found,
        })?,
        Output::Text => told_diff(&old_number, &new_number, &found),
    };
    message::to_stdout(&text)
}

fn told_diff(old: &str, new: &str, found: &Comparison) -> String {
    let proof = &found.proof;
    let mut text = format!(
        "{old} to {new}: {} ({} kept, {} added, {} changed, {} removed)\n",
        found.kind().name(),
        human::count(proof.kept),
        human::count(proof.added),
        human::count(proof.changed),
        human::count(proof.removed)
    );
    let name = |it: &EpisodeId| format!("{} {} {}", it.split, it.stream, it.key);
    let groups: [(&str, Vec<String>); 4] = [
        ("+", found.added.iter().map(name).collect()),
        ("-", found.removed.iter().map(name).collect()),
        (
            "~",
            found
                .changed
                .iter()
                .map(|it| format!("{}  {}", name(&it.episode), it.features.join(", ")))
                .collect(),
        ),
        (
            "^",
            found
                .extended
                .iter()
                .map(|it| format!("{}  {}", name(&it.episode), it.features.join(", ")))
                .collect(),
        ),
    ];
    for (mark, lines) in groups {
        for line in lines.iter().take(EPISODES_SHOWN) {
            text.push_str(format!("{mark} {}", visible(line)).trim_end());
            text.push('\n');
        }
        if lines.len() > EPISODES_SHOWN {
            let more = lines.len() - EPISODES_SHOWN;
            text.push_str(&format!(
                "{mark} and {}: `--format json` lists all\n",
                human::plural(more as u64, "more episode")
            ));
        }
    }
    text
}

/// As records spell it.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}
