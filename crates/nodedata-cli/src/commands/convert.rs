use std::{collections::BTreeMap, path::Path};

use nodedata_client::read_schema;
use nodedata_core::{
    Error, ErrorKind, Moments, OnMisfit, OpenOptions, OptionValue, Result,
    visible::{column_of, padded, visible},
};
use nodedata_dataset::{Access, Report, StreamLedger};
use nodedata_pipeline::{
    ConvertOptions, Converted, OnError, StepFlags, convert, parse_splits, read_message_paths,
};

use crate::{
    Outcome,
    args::{AccessArg, ConvertArgs, OnErrorArg, OnMisfitArg, Output, SourceArgs, StepArgs},
    commands::nulls,
    documents, human, interrupt, message, peak_heap,
    progress::Shown,
};

/// `node-data convert`.
pub(crate) fn run(args: ConvertArgs, output: Output) -> Result<Outcome> {
    let shown = Shown::new(args.progress);
    let out = output_of(&args)?.to_owned();
    let options = options(args)?;
    interrupt::listen(interrupt::RUN)?;
    let result = convert(&nodedata_formats::builtin(), &options, &shown);
    shown.done();
    report(&result?, &out, output)
}

/// The folder that a conversion goes to.
///
/// # Errors
/// `Config` when none is named.
pub(crate) fn output_of(args: &ConvertArgs) -> Result<&Path> {
    args.out.as_deref().ok_or_else(|| {
        let err = Error::new(ErrorKind::Config, "no folder for the dataset is named");
        match args.source.sources.as_slice() {
            [.., last] if args.source.sources.len() > 1 && !Path::new(last).exists() => {
                err.with_hint(format!("if `{last}` is where it goes, write `--out {last}`"))
            }
            _ => err.with_hint("add `--out DIR`"),
        }
    })
}

/// Tells what a conversion did.
pub(crate) fn report(converted: &Converted, out: &Path, output: Output) -> Result<Outcome> {
    match output {
        Output::Json => {
            message::to_stdout(&documents::line(&documents::Conversion::new(converted, out))?)?;
        }
        Output::Text => tell(converted, out)?,
    }
    Ok(if converted.is_incomplete() { Outcome::Incomplete } else { Outcome::Complete })
}

/// What the selection flags mean.
///
/// # Errors
/// `Config` when a `--set` is no option of the source, one thing is said in two ways, or a `--msg-path` leads to no definition.
pub(crate) fn open_options(args: &SourceArgs) -> Result<OpenOptions> {
    let option = |it: &String| {
        let given = it.split_once('=').and_then(|(key, value)| Some((key.strip_prefix("source.")?, value)));
        given.map(|(name, value)| (name.to_owned(), OptionValue::Text(value.to_owned()))).ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("`--set {it}` is no option of the source")).with_hint(
                "write `--set source.NAME=VALUE`; `node-data formats` lists the options of each format",
            )
        })
    };
    Ok(OpenOptions {
        options: once("--set", args.settings.iter().map(option).collect::<Result<Vec<_>>>()?)?,
        topics: (!args.topics.is_empty()).then(|| args.topics.clone()),
        undecoded: args.undecoded.clone(),
        message_paths: read_message_paths(&args.msg_path)?,
        decode: once("--decode", args.decode.iter().cloned())?,
        embed: once("--embed", args.embed.iter().cloned())?,
        moments: Moments { start: args.start, end: args.end },
        verify_checksums: !args.no_verify,
        ..OpenOptions::default()
    })
}

/// What a flag says that is given several times, once for each name.
///
/// # Errors
/// `Config` when it says two things of one name: nobody could tell which was meant.
fn once<T: PartialEq>(
    flag: &str,
    said: impl IntoIterator<Item = (String, T)>,
) -> Result<BTreeMap<String, T>> {
    let mut all = BTreeMap::new();
    for (name, value) in said {
        if all.get(&name).is_some_and(|it| *it != value) {
            let message = format!("`{flag}` says two things of `{name}`");
            return Err(Error::new(ErrorKind::Config, message).with_hint("leave out one of them"));
        }
        all.insert(name, value);
    }
    Ok(all)
}

/// What the flags of a conversion mean.
pub(crate) fn options(args: ConvertArgs) -> Result<ConvertOptions> {
    let out = output_of(&args)?.to_owned();
    let on_misfit = match args.on_misfit {
        OnMisfitArg::Keep => OnMisfit::Keep,
        OnMisfitArg::Fail => OnMisfit::Fail,
    };
    let open = OpenOptions { on_misfit, ..open_options(&args.source)? };
    let StepArgs { rate, clock, time, tolerance_ms, upsample } = args.steps.clone();
    Ok(ConvertOptions {
        from: args.source.from.clone(),
        overwrite: args.overwrite,
        step_flags: StepFlags { rate, clock, time, tolerance_ms, upsample },
        open,
        schema: args.schema.as_deref().map(read_schema).transpose()?,
        splits: args.split.as_deref().map(parse_splits).transpose()?.unwrap_or_default(),
        on_error: match args.on_error {
            OnErrorArg::Fail => OnError::Fail,
            OnErrorArg::Salvage => OnError::Salvage,
        },
        threads: args.threads.map(usize::from),
        shard_bytes: u64::from(args.shard_mb) << 20,
        access: match args.access {
            AccessArg::Random => Access::Random,
            AccessArg::Balanced => Access::Balanced,
            AccessArg::Scan => Access::Scan,
        },
        peak_heap: Some(peak_heap),
        sources: args.source.sources,
        ..ConvertOptions::new("", out)
    })
}

pub(crate) fn tell(converted: &Converted, out: &Path) -> Result<()> {
    let Converted { manifest, report, unchanged } = converted;
    let mut text = String::new();
    let width = column_of(report.streams.keys().map(String::as_str), 6, 48);
    // Of topics that steps are made of: how many of their messages the steps have.
    let is_aligned = report.streams.values().any(|it| it.used.is_some());
    let (kept, left) = if is_aligned { ("used", "not used") } else { ("written", "dropped") };
    text.push_str(&format!("{:<width$}  {:>12}  {kept:>12}  {left}\n", "stream", "read"));
    for (name, ledger) in &report.streams {
        let StreamLedger { read, written, used, .. } = ledger;
        let written = used.unwrap_or(*written);
        let (read, written) = (human::count(*read), human::count(written));
        let line = format!("{}  {read:>12}  {written:>12}  {}", padded(name, width), dropped(ledger));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str(&nulls::told(report));
    let rows: u64 = report.streams.values().map(|it| it.written).sum();
    let seconds = report.seconds.get("total").copied().unwrap_or(0.0).max(1e-6);
    // What others had made would count as work of this run.
    let rate = match (report.units_reused, report.records_reused) {
        (0, None) => format!(" ({}/s)", human::bytes((report.input_bytes as f64 / seconds) as u64)),
        _ => String::new(),
    };
    text.push_str(&format!(
        "{}, {} in {}: {} to {} in {seconds:.1} s{rate}\n",
        human::plural(report.episodes, "episode"),
        human::plural(rows, "row"),
        human::plural(manifest.shards.len() as u64, "shard"),
        human::bytes(report.input_bytes),
        human::bytes(report.output_bytes),
    ));
    if !*unchanged && (0 < report.units_reused || report.records_reused.is_some()) {
        text.push_str(&taken_over(report));
    }
    let verb = if *unchanged { "is already complete in" } else { "written to" };
    text.push_str(&format!("{} {verb} {}\n", manifest.content_root, visible(&out.to_string_lossy())));
    message::to_stdout(&text)?;
    tell_damage(report);
    Ok(())
}

/// What an earlier run or other workers had made, and how fast the rest was.
fn taken_over(report: &Report) -> String {
    let Report { units, units_reused, records_reused, made_bytes, seconds, .. } = report;
    let mut text = format!("{} of {}", human::count(*units_reused), human::plural(*units, "unit"));
    if let Some(records) = records_reused {
        text.push_str(&format!(" and {} of those begun", human::plural(*records, "record")));
    }
    text.push_str(" taken over");
    if let Some(made) = made_bytes.filter(|it| 0 < *it) {
        let seconds = seconds.get("rows").copied().unwrap_or(0.0).max(1e-6);
        text.push_str(&format!(
            "; the rest made from {} in {seconds:.1} s ({}/s)",
            human::bytes(made),
            human::bytes((made as f64 / seconds) as u64),
        ));
    }
    text + "\n"
}

fn dropped(ledger: &StreamLedger) -> String {
    let reasons = ledger.superseded.iter().chain(&ledger.dropped);
    let mut parts: Vec<String> =
        reasons.map(|(reason, n)| format!("{} {reason}", human::count(*n))).collect();
    // They are among those written.
    let kept: u64 = ledger.kept_as_bytes.values().sum();
    if 0 < kept {
        parts.push(format!("({} kept as they came)", human::count(kept)));
    }
    parts.join(", ")
}

fn tell_damage(report: &Report) {
    if !report.not_read.is_empty() {
        message::note(human::not_read(&report.not_read).trim_end());
    }
    for entry in &report.warnings {
        message::note(&format!("warning: {}{}", visible(&entry.message), place(&entry.at)));
    }
    let more = |times: u64| match times {
        0 | 1 => String::new(),
        _ => format!(" (and {} more alike)", times - 1),
    };
    let mut told = None;
    for entry in &report.repairs {
        let (message, times) = (visible(&entry.message), more(entry.times));
        message::note(&format!("{}: {message}{times}{}", entry.reason, place(&entry.at)));
        // Of several with one hint the first says it.
        if let Some(hint) = entry.hint.as_ref().filter(|it| told != Some(*it)) {
            message::note(&format!("hint: {}", visible(hint)));
            told = Some(hint);
        }
    }
    for entry in &report.damage {
        let times = more(entry.times);
        let costs = entry.byte_range.is_some() || !entry.records.is_empty() || entry.uncounted;
        let label = if entry.reason == "quarantined" {
            "quarantined"
        } else if costs {
            "left out"
        } else {
            "damaged"
        };
        message::note(&format!("{label}: {}{times}{}", visible(&entry.message), place(&entry.at)));
    }
    let is_damaged = report.damage.iter().any(|it| it.reason != "quarantined");
    let is_dropped = report.streams.values().any(|it| !it.leaves_out_nothing());
    let is_kept = report.streams.values().any(|it| !it.kept_as_bytes.is_empty());
    if is_damaged || is_dropped {
        message::note("the source is damaged: report.json names everything that was left out");
    } else if is_kept {
        message::note(
            "some messages do not fit their columns: their rows hold them as they came, and report.json names them",
        );
    } else if !report.repairs.is_empty() {
        message::note("the source contradicts itself: report.json names each place, and what became of it");
    }
}

fn place(at: &str) -> String {
    if at.is_empty() { String::new() } else { format!("\n  --> {}", visible(at)) }
}
