use nodedata_client::{Access, Opening, Registry};
use nodedata_core::{Error, ErrorKind, Result, visible::visible};
use nodedata_registry::{Depth, Direct, Flaw, GcOptions, GcReport, fsck, gc, heal};

use crate::{
    Outcome,
    args::Output,
    commands::{
        dataset_args::StoreArgs,
        store_args::{DepthArgs, StoreCommand},
    },
    documents, human, message,
};

/// `node-data store`.
pub(crate) fn run(command: StoreCommand, output: Output) -> Result<Outcome> {
    match command {
        StoreCommand::Init { store: args } => {
            let store = Access::from(&args).place()?;
            store.init()?;
            let text = match output {
                Output::Json => documents::line(&documents::StoreMade { store: store.label() })?,
                Output::Text => format!("{} is a store\n", store.label()),
            };
            message::to_stdout(&text)?;
            Ok(Outcome::Complete)
        }
        StoreCommand::Check { rounds, store: args } => run_check(&args, usize::from(rounds), output),
        StoreCommand::Fsck { depth, store: args } => run_fsck(&args, depth_of(&depth)?, output),
        StoreCommand::Gc { grace_days, dry_run, store: args } => {
            let direct = Direct::new(Access::from(&args).store(Opening::Existing)?);
            let options = GcOptions { grace_seconds: u64::from(grace_days) * 86_400, dry_run };
            let report = gc(&direct, options)?;
            let text = match output {
                Output::Json => documents::line(&report)?,
                Output::Text => collected(&report, dry_run),
            };
            message::to_stdout(&text)?;
            Ok(if report.broken_leases.is_empty() { Outcome::Complete } else { Outcome::Refused })
        }
        StoreCommand::Heal { from, depth, store: args } => run_heal(&args, from, depth_of(&depth)?, output),
    }
}

fn collected(report: &GcReport, dry_run: bool) -> String {
    let broken = |path: &String| {
        format!(
            "broken-lease: what a push needs is not known, so no blob was removed\n  --> {}\n\
             hint: it runs out after two days; `node-data store heal` takes it away at once\n",
            visible(path)
        )
    };
    let mut text: String = report.broken_leases.iter().map(broken).collect();
    text.push_str(&format!(
        "{} {} ({}); {} needed, {} too young\n",
        human::plural(report.removed.len() as u64, "blob"),
        if dry_run { "would be removed" } else { "removed" },
        human::bytes(report.removed_bytes),
        human::count(report.kept),
        human::count(report.young),
    ));
    let left = [
        (report.abandoned_uploads, "abandoned upload"),
        (report.staging_files, "unfinished file"),
        (report.orphan_trees, "orphan tree"),
        (report.expired_leases, "expired lease"),
    ];
    let left = left.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| human::plural(n, what));
    let left: Vec<String> = left.collect();
    if !left.is_empty() {
        text.push_str(&format!("of killed writers: {}\n", left.join(", ")));
    }
    text
}

fn run_check(args: &StoreArgs, rounds: usize, output: Output) -> Result<Outcome> {
    let store = Access::from(args).store(Opening::OrNew)?;
    let probe = store.probe(rounds)?;
    store.note_probe(&probe)?;
    let text = match output {
        Output::Json => documents::line(&probe)?,
        Output::Text if probe.is_safe() => {
            format!("{} is safe to publish to: {rounds} races, one winner each\n", store.label())
        }
        Output::Text => {
            let broken: String = probe.broken.iter().map(|it| format!("unsafe: {it}\n")).collect();
            format!("{broken}{} takes no revisions; put `node-data serve` before it\n", store.label())
        }
    };
    message::to_stdout(&text)?;
    Ok(if probe.is_safe() { Outcome::Complete } else { Outcome::Refused })
}

fn run_fsck(args: &StoreArgs, depth: Depth, output: Output) -> Result<Outcome> {
    let report =
        fsck(&Direct::new(Access::from(args).store(Opening::Existing)?), depth, &nodedata_core::Silent)?;
    let text = match output {
        Output::Json => documents::line(&report)?,
        Output::Text => {
            let verdict = match report.flaws.len() as u64 {
                0 => "sound".to_owned(),
                n => format!("{} found", human::plural(n, "flaw")),
            };
            let unfinished = match report.uploads + report.staging_files {
                0 => String::new(),
                n => format!(
                    "not finished: {} ({}), {} of them abandoned; {} of pushes\n",
                    human::plural(n, "upload"),
                    human::bytes(report.unfinished_bytes),
                    human::count(report.abandoned),
                    human::plural(report.leases, "lease"),
                ),
            };
            format!(
                "{}{unfinished}{verdict}: {}, {}, {} ({} unreferenced), {} read\n",
                told(&report.flaws),
                human::plural(report.datasets, "dataset"),
                human::plural(report.revisions, "revision"),
                human::plural(report.blobs, "blob"),
                human::count(report.unreferenced),
                human::bytes(report.read_bytes),
            )
        }
    };
    message::to_stdout(&text)?;
    Ok(if report.flaws.is_empty() { Outcome::Complete } else { Outcome::Refused })
}

fn run_heal(args: &StoreArgs, from: Option<String>, depth: Depth, output: Output) -> Result<Outcome> {
    let direct = Direct::new(Access::from(args).store(Opening::Existing)?);
    let other = from
        .map(|it| Registry::open(&StoreArgs { store: Some(it), author: None }, Opening::Existing))
        .transpose()?;
    let report = heal(&direct, other.as_ref().map(|it| &it.remote), depth)?;
    let text = match output {
        Output::Json => documents::line(&report)?,
        Output::Text => format!(
            "{}{}{} and {} mended, {} left\n",
            told(&report.left),
            report.removed.iter().map(|it| format!("taken away: {}\n", visible(it))).collect::<String>(),
            human::plural(report.blobs.len() as u64, "blob"),
            human::plural(report.trees.len() as u64, "tree"),
            human::plural(report.left.len() as u64, "flaw"),
        ),
    };
    message::to_stdout(&text)?;
    Ok(if report.left.is_empty() { Outcome::Complete } else { Outcome::Refused })
}

fn told(flaws: &[Flaw]) -> String {
    let line = |it: &Flaw| {
        let needed = if it.needed_by.is_empty() { "nobody".to_owned() } else { it.needed_by.join(", ") };
        format!(
            "{}: {}\n  --> {}, needed by {}\n",
            it.code,
            visible(&it.message),
            visible(&it.path),
            visible(&needed)
        )
    };
    flaws.iter().map(line).collect()
}

fn depth_of(args: &DepthArgs) -> Result<Depth> {
    match (args.full, args.sample) {
        (true, _) => Ok(Depth::Full),
        // At most 1000.
        (false, Some(percent)) if percent > 0.0 && percent <= 100.0 => {
            Ok(Depth::Sample((percent * 10.0).ceil() as u32))
        }
        (false, Some(percent)) => {
            Err(Error::new(ErrorKind::Config, format!("`--sample {percent}` is no share"))
                .with_hint("write a number above 0, up to 100"))
        }
        (false, None) => Ok(Depth::Quick),
    }
}
