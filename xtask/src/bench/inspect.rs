//! How long `inspect` takes to say what is in a finished log, beside what others take for the same question.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::File,
    io::{Read as _, Seek as _},
    path::Path,
    process::Command,
};

use mcap::sans_io::summary_reader::{SummaryReadEvent, SummaryReader};
use serde_json::{Value, json};

use super::{
    inputs::{self, Input, Mix},
    measure::{Measured, in_own_process, median, median_of},
    path_text,
    report::verdict,
};
use crate::{
    bench_command::Options,
    workspace::{self, Result},
};

/// What a peer takes, at most so many times.
const TIMES_MAX: f64 = 2.0;

/// Logs of the bench, by name of the job.
const JOBS: [(&str, Mix); 2] = [("inspect-jpeg", Mix::Jpeg), ("inspect-numeric", Mix::Numeric)];

/// What was found about the selected logs.
#[derive(Default)]
pub(super) struct Figures {
    rows: Vec<Row>,
    /// Jobs that `--only` lets through.
    pub(super) n_selected: usize,
}

struct Row {
    name: &'static str,
    input: Input,
    ours: Measured,
    /// With `--full`.
    full: Measured,
    peers: Vec<Peer>,
}

struct Peer {
    name: String,
    measured: Measured,
    /// Median of our time over its time in the same turn.
    ratio: f64,
}

/// Makes the logs below `folder` and times the selected jobs on them, the peers in turns with ours.
///
/// # Errors
/// When a log cannot be made or a run fails.
pub(super) fn run(folder: &Path, options: &Options, rerun: Option<&Path>) -> Result<Figures> {
    let mut figures = Figures::default();
    for (name, mix) in JOBS.into_iter().filter(|it| options.lets_through(it.0)) {
        figures.n_selected += 1;
        let input = inputs::make(folder, mix, "none", options.mb)?;
        if options.inputs_only {
            println!("{}", input.path.display());
        } else {
            figures.rows.push(time_all(name, input, options.runs.max(1), rerun)?);
        }
    }
    Ok(figures)
}

/// The commands that answer the same question: of those installed, and always the reference that only reads the summary.
fn peers(input: &Input, rerun: Option<&Path>) -> Result<Vec<(String, Vec<String>)>> {
    let own = std::env::current_exe().map_err(|err| format!("cannot find this program: {err}"))?;
    let path = path_text(&input.path);
    let command = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let mut all = Vec::new();
    if workspace::works(Command::new("mcap").arg("--help")) {
        all.push(("`mcap info`".to_owned(), command(&["mcap", "info", &path])));
    }
    if let Some(rerun) = rerun {
        all.push(("`rerun mcap info`".to_owned(), command(&[&path_text(rerun), "mcap", "info", &path])));
    }
    let reference = command(&[&path_text(&own), "bench-job", "mcap-summary", &path]);
    all.push(("summary by the crate `mcap`".to_owned(), reference));
    Ok(all)
}

fn time_all(name: &'static str, input: Input, n_runs: usize, rerun: Option<&Path>) -> Result<Row> {
    let program = path_text(&workspace::node_data("release"));
    let path = path_text(&input.path);
    let inspect = |more: &[&str]| {
        let words = [&[program.as_str(), "inspect", path.as_str()], more].concat();
        in_own_process(&words.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let peers = peers(&input, rerun)?;
    let (mut ours, mut full) = (Vec::new(), Vec::new());
    let mut theirs: Vec<Vec<Measured>> = peers.iter().map(|_| Vec::new()).collect();
    // Once before it counts, so that no job has to fetch the log from the disk for the others.
    inspect(&["--full"])?;
    for run in 0..n_runs {
        eprintln!("{name}: run {} of {n_runs}", run + 1);
        ours.push(inspect(&[])?);
        for ((_, command), runs) in peers.iter().zip(&mut theirs) {
            runs.push(in_own_process(command)?);
        }
        full.push(inspect(&["--full"])?);
    }
    let peers = peers.into_iter().zip(theirs).map(|((name, _), runs)| {
        let ratios = ours.iter().zip(&runs).map(|(ours, theirs)| ours.wall_s / theirs.wall_s);
        Peer { name, measured: median_of(&runs), ratio: median(ratios.collect()) }
    });
    let peers = peers.collect();
    Ok(Row { name, input, ours: median_of(&ours), full: median_of(&full), peers })
}

/// Reads the summary of a log and nothing else of it, as the crate `mcap` does, and prints what `info` commands print.
///
/// # Errors
/// When the file cannot be read or has no summary.
#[expect(
    clippy::disallowed_methods,
    reason = "the reference job is plain file work, not an input of node-data"
)]
pub(super) fn summary(input: &Path) -> Result<()> {
    let failed = |err: &dyn std::fmt::Display| format!("cannot read {}: {err}", input.display());
    let mut file = File::open(input).map_err(|err| failed(&err))?;
    let mut reader = SummaryReader::new();
    while let Some(event) = reader.next_event() {
        match event.map_err(|err| failed(&err))? {
            SummaryReadEvent::ReadRequest(n) => {
                let n = file.read(reader.insert(n)).map_err(|err| failed(&err))?;
                reader.notify_read(n);
            }
            SummaryReadEvent::SeekRequest(to) => {
                reader.notify_seeked(file.seek(to).map_err(|err| failed(&err))?);
            }
        }
    }
    let summary = reader.finish().ok_or_else(|| failed(&"it has no summary"))?;
    let counts = summary.stats.map(|it| it.channel_message_counts).unwrap_or_default();
    let channels: BTreeMap<_, _> = summary.channels.iter().collect();
    for channel in channels.into_values() {
        let n = counts.get(&channel.id).copied().unwrap_or(0);
        let schema = channel.schema.as_ref().map_or("", |it| it.name.as_str());
        println!("{} {n} {schema} {}", channel.topic, channel.message_encoding);
    }
    println!("{} chunks", summary.chunk_indexes.len());
    Ok(())
}

/// The tables for `docs/performance.md`; nothing when no job was selected.
pub(super) fn markdown(figures: &Figures, options: &Options) -> String {
    if figures.rows.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "| job | MB | messages | command | wall s | ours over it |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    let mut goals = String::from("\n| goal | found | |\n| --- | --- | --- |\n");
    // Writing to a String cannot fail.
    for row in &figures.rows {
        let mut line = |command: &str, measured: &Measured, ratio: Option<f64>| {
            let cells = [
                row.name.to_owned(),
                format!("{:.0}", row.input.n_bytes as f64 / 1e6),
                row.input.n_messages.to_string(),
                command.to_owned(),
                format!("{:.4}", measured.wall_s),
                ratio.map_or("–".to_owned(), |it| format!("{it:.2}")),
            ];
            _ = writeln!(text, "| {} |", cells.join(" | "));
        };
        line("`node-data inspect`", &row.ours, None);
        line("`node-data inspect --full`", &row.full, None);
        for Peer { name, measured, ratio } in &row.peers {
            line(name, measured, Some(*ratio));
            let is_met = verdict(*ratio <= TIMES_MAX);
            _ = writeln!(goals, "| {}: at most 2 × {name} | {ratio:.2} × | {is_met} |", row.name);
        }
    }
    _ = writeln!(
        goals,
        "\nMedians of {} runs in turns (ratios: of those within a turn), the log in memory; `--mb {}`.",
        options.runs, options.mb
    );
    text + &goals
}

/// The same figures for programs.
pub(super) fn json(figures: &Figures) -> Value {
    let rows = figures.rows.iter().map(|row| {
        let peers =
            row.peers.iter().map(|it| json!({"peer": it.name, "measured": it.measured, "ratio": it.ratio}));
        json!({
            "job": row.name,
            "input": row.input,
            "inspect": row.ours,
            "full": row.full,
            "peers": peers.collect::<Vec<_>>(),
        })
    });
    rows.collect::<Vec<_>>().into()
}
