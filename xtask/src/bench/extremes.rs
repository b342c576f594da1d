//! Logs of a shape that few have: a thousand topics with few messages each, and one message of hundreds of megabytes.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
};

use mcap::{WriteOptions, records::MessageHeader};
use serde_json::{Value, json};

use super::{
    conversion::{Conversion, convert},
    measure::{self, median},
    report::{mebibytes, verdict},
};
use crate::{
    bench_command::Options,
    workspace::{self, Result},
};

/// What the rows of one topic take, at most so many times, when they lie in many.
const TIMES_MAX: f64 = 2.0;
/// Heap that a large message may take: so many times its bytes, and this beside.
const HEAP_TIMES_MAX: u64 = 2;
const HEAP_BESIDE: u64 = 200 << 20;

/// Changes when the bytes made here change, so that old logs are not used.
const GENERATION: u32 = 1;

const N_TOPICS: usize = 1000;
const N_ROWS: usize = 200_000;
const MESSAGE_BYTES: usize = 300_000_000;

/// What was found about the selected logs.
#[derive(Default)]
pub(super) struct Figures {
    topics: Option<Topics>,
    message: Option<Conversion>,
    /// Jobs that `--only` lets through.
    pub(super) n_selected: usize,
}

struct Topics {
    one: Conversion,
    many: Conversion,
    /// Median of the time of many topics over that of one within a turn.
    ratio: f64,
}

/// Makes the selected logs below `folder` and times their conversion.
///
/// # Errors
/// When a log cannot be made or a conversion fails.
pub(super) fn run(folder: &Path, outputs: &Path, options: &Options) -> Result<Figures> {
    let mut figures = Figures::default();
    let (program, dataset) = (workspace::node_data("release"), outputs.join("dataset"));
    let once = |path: &Path| {
        measure::even_ground(outputs, fs::metadata(path).map_or(0, |it| it.len()))?;
        convert(&program, "convert", path, &dataset, &[])
    };
    let n_runs = options.runs.max(1);
    if options.lets_through("topics") {
        figures.n_selected += 1;
        let logs = [1, N_TOPICS].map(|n| log(folder, &format!("topics-{n}"), n, N_ROWS / n, 16));
        let [one, many] = logs;
        let (one, many) = (one?, many?);
        if options.inputs_only {
            println!("{}\n{}", one.display(), many.display());
        } else {
            let (mut of_one, mut of_many) = (Vec::new(), Vec::new());
            for run in 0..n_runs {
                eprintln!("topics: run {} of {n_runs}", run + 1);
                of_one.push(once(&one)?);
                of_many.push(once(&many)?);
            }
            let ratios =
                of_many.iter().zip(&of_one).map(|(many, one)| many.measured.wall_s / one.measured.wall_s);
            figures.topics = Some(Topics {
                ratio: median(ratios.collect()),
                one: Conversion::middle(&of_one),
                many: Conversion::middle(&of_many),
            });
        }
    }
    if options.lets_through("message") {
        figures.n_selected += 1;
        let path = log(folder, "message-300mb", 1, 1, MESSAGE_BYTES)?;
        if options.inputs_only {
            println!("{}", path.display());
        } else {
            let runs: Vec<Conversion> = (0..n_runs).map(|_| once(&path)).collect::<Result<_>>()?;
            figures.message = Some(Conversion::middle(&runs));
        }
    }
    Ok(figures)
}

/// Makes a log of opaque messages of noise, unless it is there from an earlier run: topics take turns.
fn log(folder: &Path, name: &str, n_topics: usize, n_messages: usize, n_bytes: usize) -> Result<PathBuf> {
    let path = folder.join(format!("{name}-v{GENERATION}.mcap"));
    if path.is_file() {
        return Ok(path);
    }
    eprintln!("making {}", path.display());
    let failed = |err: &dyn std::fmt::Display| format!("cannot make {}: {err}", path.display());
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    let file = BufWriter::new(File::create(&partial).map_err(|err| failed(&err))?);
    let mut writer = WriteOptions::new().compression(None).create(file).map_err(|err| failed(&err))?;
    let channels: Vec<u16> = (0..n_topics)
        .map(|it| writer.add_channel(0, &format!("/t{it}"), "x-noise", &BTreeMap::new()))
        .collect::<mcap::McapResult<_>>()
        .map_err(|err| failed(&err))?;
    let mut noise = super::noise::Noise::new(11);
    let mut payload = vec![0; n_bytes];
    for sequence in 0..n_messages {
        for (topic, channel_id) in channels.iter().enumerate() {
            let time = (sequence * n_topics + topic) as u64 * 1_000_000;
            noise.fill(&mut payload);
            let header = MessageHeader {
                channel_id: *channel_id,
                sequence: sequence as u32,
                log_time: time,
                publish_time: time,
            };
            writer.write_to_known_channel(&header, &payload).map_err(|err| failed(&err))?;
        }
    }
    writer.finish().map_err(|err| failed(&err))?;
    drop(writer);
    fs::rename(&partial, &path).map_err(|err| failed(&err))?;
    Ok(path)
}

/// The tables for `docs/performance.md`; nothing when no job was selected.
pub(super) fn markdown(figures: &Figures, options: &Options) -> String {
    let rows = figures.topics.iter().flat_map(|it| {
        [("200,000 messages of 16 bytes on one topic", &it.one), ("the same on 1,000 topics", &it.many)]
    });
    let rows = rows.chain(figures.message.iter().map(|it| ("one message of 300 MB", it)));
    let mut text = String::new();
    // Writing to a String cannot fail.
    for (name, Conversion { measured, heap_peak_bytes, .. }) in rows {
        let heap = heap_peak_bytes.map_or_else(|| "–".to_owned(), mebibytes);
        _ = writeln!(text, "| {name} | {:.3} | {:.3} | {heap} |", measured.wall_s, measured.cpu_s);
    }
    if text.is_empty() {
        return text;
    }
    let mut goals = String::from("\n| goal | found | |\n| --- | --- | --- |\n");
    if let Some(Topics { ratio, .. }) = &figures.topics {
        let is_met = verdict(*ratio <= TIMES_MAX);
        _ = writeln!(goals, "| 1,000 topics: at most {TIMES_MAX} × one topic | {ratio:.2} × | {is_met} |");
    }
    if let Some(found) = figures.message.as_ref().and_then(|it| it.heap_peak_bytes) {
        let max = HEAP_TIMES_MAX * MESSAGE_BYTES as u64 + HEAP_BESIDE;
        let (goal, is_met) = (mebibytes(max), verdict(found <= max));
        _ = writeln!(
            goals,
            "| a message of 300 MB: peak heap ≤ {goal} MiB | {} MiB | {is_met} |",
            mebibytes(found)
        );
    }
    _ = writeln!(goals, "\nMedians of {} runs in turns; the highest peak.", options.runs);
    format!("| log | wall s | CPU s | peak heap MiB |\n| --- | --- | --- | --- |\n{text}{goals}")
}

/// The same figures for programs.
pub(super) fn json(figures: &Figures) -> Value {
    let of = |it: &Conversion| json!({"convert": it.measured, "heap_peak_bytes": it.heap_peak_bytes});
    json!({
        "topics": figures.topics.as_ref().map(|it| json!({"one": of(&it.one), "many": of(&it.many), "ratio": it.ratio})),
        "message": figures.message.as_ref().map(of),
    })
}
