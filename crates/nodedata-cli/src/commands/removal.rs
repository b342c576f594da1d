use nodedata_client::{Opening, Registry};
use nodedata_core::{Error, ErrorKind, Result, visible::visible};
use nodedata_io::io_error;
use nodedata_registry::{
    DatasetName, LATEST, PurgeOptions, PurgeReport, Reference, Selector, delete_dataset, move_dataset, purge,
};

use crate::{
    args::{Output, ProgressArg},
    commands::{
        dataset::{leave_out, tell_record},
        removal_args::RemovalCommand,
    },
    documents, human, message,
    progress::Shown,
};

/// Where the registry's arm ends.
const NOT_REACHED: &str = "not reached: folders that were pulled or exported before, caches of readers (`~/.cache/nodedata/blobs`), other \
                           registries and backups, and the recordings themselves; `node-data dataset pull --overwrite` replaces a folder. \
                           Where video passed through, samples that a staying episode is decoded from (`preroll`) may be of an episode that went\n";

/// `node-data dataset purge | delete | rename | transfer`.
pub(crate) fn run(command: RemovalCommand, output: Output) -> Result<()> {
    match command {
        RemovalCommand::Purge { reference, episodes, reason, dry_run, store } => {
            let registry = Registry::open(&store, Opening::Existing)?;
            let reference = registry.reference(&reference)?;
            run_purge(&registry, &reference, episodes, (reason, dry_run), output)
        }
        RemovalCommand::Delete { dataset, reason, store } => {
            let registry = Registry::open(&store, Opening::Existing)?;
            let reference = whole(&registry, &dataset)?;
            let done = delete_dataset(&*registry.remote, &reference.dataset, &registry.author, &reason)?;
            tell_record(&reference, &done, output)
        }
        RemovalCommand::Rename { dataset, name, reason, store } => {
            let registry = Registry::open(&store, Opening::Existing)?;
            let reference = whole(&registry, &dataset)?;
            let to = DatasetName::new(reference.dataset.owner(), &name)?;
            run_move(&registry, &reference, &to, &reason, output)
        }
        RemovalCommand::Transfer { dataset, owner, reason, store } => {
            let registry = Registry::open(&store, Opening::Existing)?;
            let reference = whole(&registry, &dataset)?;
            let to = DatasetName::new(&owner, reference.dataset.name())?;
            run_move(&registry, &reference, &to, &reason, output)
        }
    }
}

/// A dataset, not a revision of it.
fn whole(registry: &Registry, text: &str) -> Result<Reference> {
    let reference = registry.reference(text)?;
    if reference.selector == Selector::Tag(LATEST.to_owned()) {
        return Ok(reference);
    }
    Err(Error::new(ErrorKind::Config, format!("`{text}` names a revision")).with_hint("name the dataset"))
}

fn run_move(
    registry: &Registry,
    reference: &Reference,
    to: &DatasetName,
    reason: &str,
    output: Output,
) -> Result<()> {
    let done = move_dataset(&*registry.remote, &reference.dataset, to, &registry.author, reason)?;
    message::note(
        "tokens and grants are for names: those for the old one open the new one no more; readers of a gated dataset ask again",
    );
    tell_record(&Reference { dataset: to.clone(), ..reference.clone() }, &done, output)
}

/// `dataset purge`.
fn run_purge(
    registry: &Registry,
    reference: &Reference,
    episodes: Vec<String>,
    (reason, dry_run): (String, bool),
    output: Output,
) -> Result<()> {
    // Episodes are left out of the newest revision, whatever it is called.
    let is_newest = reference.selector == Selector::Tag(LATEST.to_owned()) || !episodes.is_empty();
    if !episodes.is_empty() {
        let left_out = leave_out(registry, reference, episodes, &reason)?;
        message::note(&format!("{} {} leaves the episodes out", left_out.dataset, left_out.revision));
    }
    let revision = match is_newest {
        true => None,
        false => {
            let state = nodedata_registry::DatasetState::open(&*registry.remote, &reference.dataset)?;
            Some(reference.resolve(&state)?.revision.clone())
        }
    };
    let options = PurgeOptions {
        dataset: reference.dataset.clone(),
        revision,
        author: registry.author.clone(),
        reason,
        dry_run,
    };
    let scratch = tempfile::Builder::new().prefix("nodedata-purge-").tempdir();
    let scratch = scratch.map_err(|err| io_error("cannot make a folder", &std::env::temp_dir(), err))?;
    let report = purge(&registry.remote, &options, scratch.path(), &Shown::new(ProgressArg::None))?;
    let text = match output {
        Output::Json => documents::line(&report)?,
        Output::Text => told(&report),
    };
    message::to_stdout(&text)
}

fn told(report: &PurgeReport) -> String {
    let mut text = String::new();
    let what = if report.dry_run { "would be purged" } else { "purged" };
    let episodes = match report.episodes {
        0 => String::new(),
        n => format!(" ({})", human::plural(n, "episode")),
    };
    if !report.revisions.is_empty() {
        text.push_str(&format!("{} {} {what}{episodes}\n", report.dataset, report.revisions.join(", ")));
    }
    if let Some(revision) = &report.revision {
        text.push_str(&format!("{} {revision} holds what stays\n", report.dataset));
    }
    if report.dry_run {
        text.push_str(&format!("{} would go\n", human::plural(report.blobs.len() as u64, "blob")));
    } else {
        let removed = human::plural(report.removed.len() as u64, "blob");
        text.push_str(&format!("{removed} removed ({})\n", human::bytes(report.removed_bytes)));
    }
    for it in &report.still_there {
        text.push_str(&format!(
            "still there: {}, needed by {}\n",
            it.blob,
            visible(&it.needed_by.join(", "))
        ));
    }
    text.push_str(NOT_REACHED);
    text
}
