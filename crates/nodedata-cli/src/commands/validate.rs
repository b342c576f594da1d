use std::path::Path;

use nodedata_core::{Error, ErrorKind, Locus, Result, visible::visible};
use nodedata_dataset::{Dataset, Validation, validate};
use nodedata_pipeline::{Refused, check_quality};
use nodedata_quality::{QualityReport, Rules};

use crate::{
    Outcome,
    args::{Output, ValidateArgs},
    commands::{
        audit, report,
        run::{load_file, tell_refused},
        target::Target,
    },
    documents, human, message,
    progress::Shown,
};

/// `node-data validate`.
pub(crate) fn run(args: &ValidateArgs, output: Output) -> Result<Outcome> {
    // What lies on disk is a path, however it is written: a dataset of ours is one there, too.
    let on_disk = args.dataset.to_str().and_then(|it| it.strip_prefix("file://"));
    let named = on_disk.map_or(args.dataset.as_path(), Path::new);
    if on_disk.is_none() && named.to_str().is_some_and(|it| it.contains("://")) {
        return audit::run(named, output);
    }
    let target = Target::of(named, &args.store)?;
    if let Target::Path(folder) = &target
        && folder.is_dir()
        && !folder.join("manifest.json").is_file()
    {
        return audit::run(folder, output);
    }
    if let Target::Path(path) = &target {
        check_is_dataset(path)?;
    }
    report::check_names(&args.report)?;
    let parsed = match args.rules.as_deref().map(|it| load_file(it, &[])).transpose() {
        Ok(parsed) => parsed,
        Err(refused) => return tell_refused(refused, output),
    };
    let rules = match &parsed {
        None => Rules::warn(),
        Some(parsed) => parsed.file.quality.clone().unwrap_or_else(Rules::off),
    };
    let (dataset, file) = target.dataset()?;
    if let Some(file) = file {
        return Err(Error::new(ErrorKind::Config, "a dataset is checked as a whole")
            .at(Locus::path(file))
            .with_hint("name its folder, or the revision alone: `owner/name@1.2.0`"));
    }
    let shown = Shown::new(args.progress);
    let found = validate(&dataset, args.deep, &shown);
    shown.done();
    let found = found?;
    let readable = is_readable(&found);
    if let Some(parsed) = parsed.filter(|_| readable && !args.no_quality) {
        let idle = parsed.idle_rules_of(&dataset)?;
        if !idle.is_empty() {
            return tell_refused(Refused::Mistakes(parsed.file.path, idle), output);
        }
    }
    let quality = if readable && !args.no_quality {
        let shown = Shown::new(args.progress);
        let checked = check_quality(&dataset, &rules, &shown);
        shown.done();
        Some(checked?)
    } else {
        None
    };
    if let Some(quality) = &quality {
        report::write_all(&args.report, &args.dataset.display().to_string(), quality)?;
    } else if !args.report.is_empty() {
        message::note("no report was written: the dataset is damaged");
    }
    let text = match output {
        Output::Json => {
            documents::line(&documents::CheckedDataset { found: &found, quality: quality.as_ref() })?
        }
        Output::Text => told(&found, quality.as_ref()),
    };
    message::to_stdout(&text)?;
    let failed = quality.as_ref().is_some_and(|it| it.failure().is_some());
    let quarantined = quality.as_ref().is_some_and(|it| !it.quarantined.is_empty());
    Ok(match (found.is_sound(), failed, quarantined) {
        (true, false, false) => Outcome::Complete,
        // Shards are never edited: episodes that belong apart are named, and the dataset is as it was.
        (true, false, true) => Outcome::Incomplete,
        _ => Outcome::Refused,
    })
}

/// Whether rows can be looked at: those of files whose bytes are not the published ones say nothing about the recording.
fn is_readable(found: &Validation) -> bool {
    found.findings.iter().all(|it| {
        !matches!(
            it.code,
            "hash-mismatch" | "missing-file" | "unreadable-file" | "unreadable-shard" | "unreadable-index"
        )
    })
}

/// Says what to type where a file is named that is no dataset, nor part of one.
fn check_is_dataset(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let at = |err: Error| Err(err.at(Locus::path(path)));
    if !path.exists() {
        return at(Error::new(ErrorKind::Io, "there is no such file or folder")
            .with_hint("name the folder of a dataset, or a revision with its `@`: `owner/name@latest`"));
    }
    if Dataset::of_file(path).is_ok() {
        // It is a part of one, which is told further on.
        return Ok(());
    }
    let shown = path.display();
    let ending = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
    let hint = match ending {
        "yaml" | "yml" => format!("`node-data pipeline check {shown}` checks a pipeline file"),
        "parquet" => "name the folder of its dataset; `node-data dataset push --deep --dry-run` checks shards that nobody converted".to_owned(),
        _ => format!(
            "`node-data inspect {shown}` looks for damage in a recording; `node-data convert {shown} --out DIR` makes a dataset of it, which `node-data validate DIR` checks"
        ),
    };
    at(Error::new(ErrorKind::Config, "this is a file, and what is checked is a dataset").with_hint(hint))
}

fn told(found: &Validation, quality: Option<&QualityReport>) -> String {
    let mut text = String::new();
    for finding in &found.findings {
        text.push_str(&format!(
            "{}: {}\n  --> {}\n",
            finding.code,
            visible(&finding.message),
            visible(&finding.at)
        ));
        if !finding.hint.is_empty() {
            text.push_str(&format!("hint: {}\n", visible(finding.hint)));
        }
    }
    text.push_str(&quality.map(report::told).unwrap_or_default());
    for what in &found.unchecked {
        text.push_str(&format!("not decoded: {}\n", visible(what)));
    }
    let looked_at = format!(
        "{} ({}), {}",
        human::plural(found.files, "file"),
        human::bytes(found.bytes),
        human::plural(found.rows, "row"),
    );
    let depth = if found.deep {
        let frames = human::plural(found.frames, "frame");
        let clips = match found.clips {
            0 => String::new(),
            n => format!(" and {}", human::plural(n, "clip")),
        };
        format!(", every row read, {frames}{clips} decoded")
    } else {
        String::new()
    };
    let verdict = match found.findings.len() as u64 {
        0 => "sound".to_owned(),
        n => format!("{} found", human::plural(n, "problem")),
    };
    text.push_str(&format!("{verdict}: {looked_at}{depth}\n"));
    if let Some(quality) = quality.filter(|it| it.n_findings() > 0) {
        let n = human::plural(quality.n_findings(), "finding");
        let n_rules = quality.rules.iter().filter(|it| it.n_findings > 0).count();
        text.push_str(&format!("quality: {n} by {}\n", human::plural(n_rules as u64, "rule")));
    }
    text
}
