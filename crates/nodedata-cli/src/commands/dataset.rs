use std::{collections::BTreeMap, path::Path};

use nodedata_client::{Opening, Registry, attestation_gate, bump, read_schema};
use nodedata_core::{Error, ErrorKind, Locus, Result, visible::visible};
use nodedata_io::io_error;
use nodedata_registry::{
    DatasetName, DatasetState, Facts, NewDataset, NewDeclaration, Operation, Outcome as PushOutcome,
    PullReport, PushOptions, PushReport, Reference, Revision, Selector, Sensitivity, TagTarget, Visibility,
    attach, attach::check_document, create, declare, parse_price, pull, push, record, tag,
    trust::RevisionStatement, withdraw,
};
use serde_json::json;

use crate::{
    Outcome,
    args::{Output, ProgressArg},
    commands::{
        dataset_args::{ClassArgs, CreateArgs, DatasetCommand, FactArgs, PullArgs, PushArgs},
        dataset_show,
    },
    documents, human, interrupt, message,
    progress::Shown,
};

/// `node-data dataset`.
pub(crate) fn run(command: DatasetCommand, output: Output) -> Result<Outcome> {
    match command {
        DatasetCommand::Removal(command) => crate::commands::removal::run(command, output)?,
        DatasetCommand::Trust(command) => return crate::commands::trust::run(command, output),
        DatasetCommand::Create(args) => run_create(*args, output)?,
        DatasetCommand::Push(args) => run_push(*args, output)?,
        DatasetCommand::Pull(args) => run_pull(&args, output)?,
        DatasetCommand::List { store } => {
            dataset_show::list(&Registry::open(&store, Opening::Existing)?, output)?;
        }
        DatasetCommand::Show(args) => dataset_show::show(&args, output)?,
        DatasetCommand::Log { dataset, all, store } => {
            dataset_show::log(&Registry::open(&store, Opening::Existing)?, &dataset, all, output)?;
        }
        DatasetCommand::Diff { old, new, store } => {
            dataset_show::diff(&Registry::open(&store, Opening::Existing)?, &old, &new, output)?;
        }
        DatasetCommand::Tag { reference, tag: name, delete, force, store } => {
            let registry = Registry::open(&store, Opening::Existing)?;
            let reference = registry.reference(&reference)?;
            let state = DatasetState::open(&*registry.remote, &reference.dataset)?;
            let target = match (delete, force) {
                (true, _) => TagTarget::Nothing,
                (false, false) => TagTarget::Usable(&reference.resolve(&state)?.revision),
                (false, true) => TagTarget::Any(&reference.resolve(&state)?.revision),
            };
            let done = tag(&*registry.remote, &reference.dataset, &registry.author, &name, target)?;
            tell_record(&reference, &done, output)?;
        }
        DatasetCommand::Attach { reference, file, kind, store } => {
            let registry = Registry::open(&store, Opening::Existing)?;
            let reference = registry.reference(&reference)?;
            let state = DatasetState::open(&*registry.remote, &reference.dataset)?;
            let revision = reference.resolve(&state)?;
            let document = read(&file)?;
            let about = RevisionStatement {
                dataset: reference.dataset.clone(),
                revision: revision.revision.clone(),
                manifest: revision.manifest,
            };
            check_document(kind, &document, &about).map_err(|err| err.at(Locus::path(&file)))?;
            let done =
                attach(&*registry.remote, &reference.dataset, &registry.author, kind, revision, document)?;
            tell_record(&reference, &done, output)?;
        }
        DatasetCommand::Withdraw { reference, episodes, reason, store } => {
            run_withdraw(&Registry::open(&store, Opening::Existing)?, &reference, episodes, &reason, output)?;
        }
        DatasetCommand::Declare { dataset, class, reason, store } => {
            let registry = Registry::open(&store, Opening::Existing)?;
            let reference = registry.reference(&dataset)?;
            let new = NewDeclaration {
                visibility: class.visibility.map(|it| it.visibility()),
                sensitivity: sensitivity(&class)?,
                reason,
            };
            keep_agreement(&registry, &reference.dataset, &class)?;
            let done = declare(&registry.remote, &reference.dataset, &registry.author, &new)?;
            tell_record(&reference, &done, output)?;
        }
    }
    Ok(Outcome::Complete)
}

fn run_create(args: CreateArgs, output: Output) -> Result<()> {
    let registry = Registry::open(&args.store, Opening::OrNew)?;
    let reference = registry.reference(&args.dataset)?;
    let new = NewDataset {
        visibility: args.class.visibility.map_or(Visibility::Private, |it| it.visibility()),
        sensitivity: sensitivity(&args.class)?.unwrap_or_default(),
        facts: facts(args.facts)?,
        readme: args.readme.as_deref().map(read_text).transpose()?,
        ..NewDataset::new(reference.dataset.clone(), &registry.author)
    };
    keep_agreement(&registry, &reference.dataset, &args.class)?;
    let begun = create(&*registry.remote, &new)?;
    let text = match output {
        Output::Json => documents::line(&begun.state)?,
        Output::Text => {
            let what = if begun.is_new { "created" } else { "is there already," };
            format!("{} {what} in {}\n", reference.dataset, registry.remote.label())
        }
    };
    message::to_stdout(&text)
}

fn run_push(args: PushArgs, output: Output) -> Result<()> {
    let registry = match args.dry_run {
        true => Registry::open(&args.store, Opening::ForPlan)?,
        false => Registry::open(&args.store, Opening::OrNew)?,
    };
    interrupt::listen(interrupt::PUSH)?;
    let shown = Shown::new(args.progress);
    let class = args.class.clone();
    let options = push_options(args, &registry)?;
    if !options.dry_run {
        keep_agreement(&registry, &options.dataset, &class)?;
    }
    let report = push(&registry.remote, &options, &shown);
    shown.done();
    let report = report?;
    tell_push(&report, output)
}

fn push_options(args: PushArgs, registry: &Registry) -> Result<PushOptions> {
    let reference = registry.reference(&args.name)?;
    if reference.selector != Selector::Tag(nodedata_registry::LATEST.to_owned()) {
        return Err(Error::new(ErrorKind::Config, format!("`--name {}` names a revision", args.name))
            .with_hint("name the dataset; the number of the new revision is `--bump X.Y.Z`"));
    }
    let assign = args.assign.iter().map(|it| pair("--assign", it).map(|(split, shard)| (shard, split)));
    Ok(PushOptions {
        append: args.append,
        schema: args.schema.as_deref().map(read_schema).transpose()?,
        sample_index: args.sample_index,
        readme: args.readme,
        deep: args.deep,
        facts: facts(args.facts)?,
        bump: bump(&args.bump)?,
        exclude: args.exclude,
        include: args.include,
        assign: assign.collect::<Result<_>>()?,
        new_splits: args.new_splits.clone(),
        visibility: args.class.visibility.map(|it| it.visibility()),
        sensitivity: sensitivity(&args.class)?,
        op_id: args.op_id,
        dry_run: args.dry_run,
        cache: registry.cache.clone(),
        ..PushOptions::new(reference.dataset, args.paths, &registry.author)
    })
}

fn facts(args: FactArgs) -> Result<Facts> {
    let given = |it: Vec<String>| (!it.is_empty()).then_some(it);
    let robot: BTreeMap<_, _> = args.robot.iter().map(|it| pair("--robot", it)).collect::<Result<_>>()?;
    Ok(Facts {
        title: args.title,
        license: args.license,
        price: args.price.as_deref().map(parse_price).transpose()?,
        modality: given(args.modality),
        tags: given(args.tags),
        robot: (!robot.is_empty()).then_some(robot),
    })
}

fn pair(flag: &str, text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Error::new(ErrorKind::Config, format!("`{flag} {text}` has no `=`"))
            .with_hint(format!("write `{flag} KEY=VALUE`"))),
    }
}

/// What is said of personal data; `None` when nothing is.
fn sensitivity(args: &ClassArgs) -> Result<Option<Sensitivity>> {
    let ClassArgs { visibility: _, data_class, category, agreement } = args;
    let Some(class) = data_class else {
        if category.is_empty() && agreement.is_none() {
            return Ok(None);
        }
        return Err(Error::new(ErrorKind::Config, "categories and agreements belong to a data class")
            .with_hint("say which with `--data-class`"));
    };
    let gate = agreement.as_deref().map(|file| read(file).map(|it| attestation_gate(&it)));
    let class = class.class();
    Ok(Some(Sensitivity {
        class,
        categories: category.clone(),
        special_category: class == nodedata_registry::DataClass::SpecialCategory,
        gate: gate.transpose()?,
        ..Sensitivity::default()
    }))
}

/// Sends the text of an agreement, before the record that names it: a server takes no other.
fn keep_agreement(registry: &Registry, dataset: &DatasetName, args: &ClassArgs) -> Result<()> {
    match &args.agreement {
        Some(file) => registry.keep_agreement(dataset, read(file)?),
        None => Ok(()),
    }
}

/// What a revision leaves behind when it is no longer to be used.
fn warn_of_withdrawal(state: &DatasetState, revision: &str) {
    if !state.revisions.iter().any(|it| it.withdrawn.is_none() && it.revision != revision) {
        message::note(&format!(
            "warning: no other revision of {} may be used: `@latest` will mean none",
            state.dataset
        ));
    }
    let tags: Vec<String> = state
        .tags
        .iter()
        .filter(|(tag, it)| *it == revision && *tag != nodedata_registry::LATEST)
        .map(|(tag, _)| format!("`{tag}`"))
        .collect();
    if !tags.is_empty() {
        message::note(&format!(
            "warning: still tagged {}: `node-data dataset tag` points a tag elsewhere",
            tags.join(", ")
        ));
    }
}

fn run_withdraw(
    registry: &Registry,
    reference: &str,
    episodes: Vec<String>,
    reason: &str,
    output: Output,
) -> Result<()> {
    let reference = registry.reference(reference)?;
    if !episodes.is_empty() {
        return tell_push(&leave_out(registry, &reference, episodes, reason)?, output);
    }
    let state = DatasetState::open(&*registry.remote, &reference.dataset)?;
    let revision = reference.resolve(&state)?.revision.clone();
    warn_of_withdrawal(&state, &revision);
    let done = withdraw(&*registry.remote, &reference.dataset, &registry.author, &revision, reason)?;
    tell_record(&reference, &done, output)
}

/// Publishes a revision that leaves episodes out, with a note that says why.
pub(crate) fn leave_out(
    registry: &Registry,
    reference: &Reference,
    episodes: Vec<String>,
    reason: &str,
) -> Result<PushReport> {
    let state = DatasetState::open(&*registry.remote, &reference.dataset)?;
    let head = state.head().map(|it| it.manifest);
    if head != Some(reference.resolve(&state)?.manifest) {
        return Err(Error::new(ErrorKind::Config, format!("{reference} is not the newest revision"))
            .with_hint("episodes are left out of the newest revision; withdraw older ones as a whole"));
    }
    let mut options = PushOptions::new(reference.dataset.clone(), Vec::new(), &registry.author);
    options.exclude = episodes;
    let report = push(&registry.remote, &options, &Shown::new(ProgressArg::None))?;
    let state = DatasetState::open(&*registry.remote, &reference.dataset)?;
    if let Some(entry) = state.revision(&report.revision) {
        let note = json!({"reason": reason, "episodes": options.exclude}).to_string();
        let kind = nodedata_registry::AttachmentKind::Note;
        attach(&*registry.remote, &reference.dataset, &registry.author, kind, entry, note.into_bytes())?;
    }
    Ok(report)
}

fn run_pull(args: &PullArgs, output: Output) -> Result<()> {
    let registry = Registry::open(&args.store, Opening::Existing)?;
    let reference = registry.reference(&args.reference)?;
    let state = DatasetState::open(&*registry.remote, &reference.dataset)?;
    let entry = reference.resolve(&state)?;
    if let Some(reason) = &entry.withdrawn {
        message::note(&format!(
            "warning: {} {} is withdrawn: {}",
            reference.dataset,
            entry.revision,
            visible(reason)
        ));
    }
    let revision = Revision::open(&registry.remote, &reference.dataset, entry)?;
    interrupt::listen(interrupt::PULL)?;
    let shown = Shown::new(args.progress);
    let report = pull(&revision, &args.out, args.overwrite, &shown);
    shown.done();
    let report = report?;
    let text = match output {
        Output::Json => documents::line(&report)?,
        Output::Text if report.unchanged => {
            format!(
                "{} {} is in {} already\n",
                report.dataset,
                report.revision,
                visible(&report.out.to_string_lossy())
            )
        }
        Output::Text => format!(
            "{} {} in {}: {} ({}), every byte verified\n",
            report.dataset,
            report.revision,
            visible(&report.out.to_string_lossy()),
            human::plural(report.files, "file"),
            human::bytes(report.bytes),
        ),
    };
    message::to_stdout(&(text + &left_out(&report, output)))
}

/// What did not come, for people; nothing in a document, which has it in its fields.
fn left_out(report: &PullReport, output: Output) -> String {
    match (output, report.left_out_episodes) {
        (Output::Json, _) | (_, 0) => String::new(),
        (Output::Text, n) => format!(
            "left out, as the revision asks: {}, {}\n",
            human::plural(n, "episode"),
            human::plural(report.left_out_rows, "row"),
        ),
    }
}

pub(crate) fn tell_push(report: &PushReport, output: Output) -> Result<()> {
    let text = match output {
        Output::Json => documents::line(report)?,
        Output::Text => {
            let PushReport { dataset, revision, bump, .. } = report;
            let proof = &bump.proof;
            let what = match report.outcome {
                PushOutcome::Unchanged => format!("{dataset} is already published as {revision}\n"),
                PushOutcome::Published => format!("{dataset} {revision} published ({})\n", bump.kind),
                PushOutcome::Planned => format!("{dataset} {revision} would be published ({})\n", bump.kind),
            };
            let sent = format!(
                "{} of {}; {} ({}) sent\n",
                human::plural(report.shards, "shard"),
                human::bytes(report.bytes),
                human::plural(report.sent_blobs, "blob"),
                human::bytes(report.sent_bytes),
            );
            let episodes = format!(
                "episodes: {} kept, {} added, {} changed, {} removed\n",
                human::count(proof.kept),
                human::count(proof.added),
                human::count(proof.changed),
                human::count(proof.removed),
            );
            match report.outcome {
                PushOutcome::Unchanged => what,
                _ => format!("{what}{episodes}{sent}{}\n", report.manifest),
            }
        }
    };
    message::to_stdout(&text)
}

pub(crate) fn tell_record(reference: &Reference, done: &record::CommitRecord, output: Output) -> Result<()> {
    let text = match output {
        Output::Json => documents::line(done)?,
        Output::Text => {
            let dataset = &reference.dataset;
            let what = match &done.op {
                Operation::Tag { tag, revision: Some(revision) } => format!("{dataset}@{tag} is {revision}"),
                Operation::Tag { tag, revision: None } => format!("{dataset}@{tag} is gone"),
                Operation::Attach { kind, revision, blob, .. } => {
                    format!("{kind} {} attached to {dataset} {revision}", blob.b3)
                }
                Operation::Withdraw { revision, .. } => format!("{dataset} {revision} is withdrawn"),
                Operation::Declare { .. } => format!("{dataset} is declared anew"),
                Operation::Adopt { from, .. } => format!("{from} is {dataset} now"),
                Operation::Delete { .. } => {
                    format!("{dataset} is deleted; `node-data store gc` frees its bytes")
                }
                other => format!("{other:?}"),
            };
            format!("{what} (record {})\n", done.seq)
        }
    };
    message::to_stdout(&text)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).map_err(|err| io_error("cannot read the file", file, err))
}

fn read_text(file: &Path) -> Result<String> {
    String::from_utf8(read(file)?).map_err(|err| {
        Error::new(ErrorKind::Config, "the file is not UTF-8").with_source(err).at(Locus::path(file))
    })
}
