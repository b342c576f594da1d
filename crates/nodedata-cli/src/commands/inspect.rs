use nodedata_core::{
    Result,
    visible::{column_of, padded, visible},
};
use nodedata_pipeline::{Depth, Inspection, LookedAt, StreamInspection, inspect};

use crate::{
    Outcome,
    args::{InspectArgs, Output},
    commands::convert::open_options,
    documents, human, message,
    progress::Shown,
};

/// `node-data inspect`.
pub(crate) fn run(args: &InspectArgs, output: Output) -> Result<Outcome> {
    let source = &args.source;
    let shown = Shown::new(args.progress);
    let found = inspect(
        &nodedata_formats::builtin(),
        &source.sources,
        source.from.as_deref(),
        &open_options(source)?,
        if args.full { Depth::Full } else { Depth::Enough },
        &shown,
    );
    shown.done();
    let found = found?;
    let text = match output {
        Output::Json => documents::line(&found)?,
        Output::Text => told(&found, args.features),
    };
    message::to_stdout(&text)?;
    Ok(if found.damage.is_empty() && found.repairs.is_empty() && found.not_read.left_out == 0 {
        Outcome::Complete
    } else {
        Outcome::Incomplete
    })
}

fn told(found: &Inspection, with_features: bool) -> String {
    let n_bytes: u64 = found.inputs.iter().map(|(_, n)| n).sum();
    let mut text = format!(
        "{}: {}, {}, {}\n",
        found.format,
        human::plural(found.inputs.len() as u64, "file"),
        human::bytes(n_bytes),
        human::plural(found.episodes.len() as u64, "episode"),
    );
    if let Some(lengths) = &found.episode_lengths {
        let (min, max) = (human::count(lengths.min), human::count(lengths.max));
        text.push_str(&format!("rows of an episode: {min} to {max}, {:.1} on average\n", lengths.mean));
    }
    if let (Some(first), Some(last)) = (found.first_time_ns, found.last_time_ns) {
        text.push_str(&format!("time: {first} to {last} ns ({:.2} s)\n", seconds(first, last)));
    }
    text.push_str(&looked(found));
    text.push('\n');
    let width = column_of(found.streams.iter().map(|it| it.name.as_str()), 6, 40);
    text.push_str(&format!(
        "{:<width$}  {:>9}  {:>10}  {:>9}  {:>9}  {:>9}  {:>10}  {:>4}  {:>10}  message\n",
        "stream", "records", "bytes", "seconds", "rate", "jitter", "gap", "gaps", "stamp"
    ));
    for stream in &found.streams {
        text.push_str(&line(stream, width));
        if with_features {
            for (name, kind) in &stream.features {
                text.push_str(&format!("    {}: {}\n", visible(name), visible(kind)));
            }
        }
    }
    timelines(&mut text, found, width);
    for (name, n_bytes) in &found.attachments {
        text.push_str(&format!("attachment {} ({})\n", visible(name), human::bytes(*n_bytes)));
    }
    text.push_str(&human::not_read(&found.not_read));
    for entry in &found.warnings {
        text.push_str(&format!("warning: {}\n  --> {}\n", visible(&entry.message), visible(&entry.at)));
    }
    for entry in &found.repairs {
        text.push_str(&format!(
            "{}: {}\n  --> {}\n",
            entry.reason,
            visible(&entry.message),
            visible(&entry.at)
        ));
    }
    for entry in &found.damage {
        text.push_str(&format!("damage: {}\n  --> {}\n", visible(&entry.message), visible(&entry.at)));
    }
    text
}

/// What was read, where that is not what one would expect.
fn looked(found: &Inspection) -> String {
    match (found.looked.at, &found.looked.why) {
        (LookedAt::Index, _) => format!(
            "read: the index alone; not read, and so not known: {}; `--full` reads it\n",
            found.looked.not_known.join(", ")
        ),
        (LookedAt::All, Some(why)) => format!("read: every record, because {}\n", visible(why)),
        (LookedAt::All, None) => String::new(),
    }
}

fn seconds(first_ns: i64, last_ns: i64) -> f64 {
    (i128::from(last_ns) - i128::from(first_ns)) as f64 / 1e9
}

fn line(stream: &StreamInspection, width: usize) -> String {
    let span = stream.first_time_ns.zip(stream.last_time_ns).map(|(first, last)| seconds(first, last));
    let shown = span.map_or_else(String::new, |it| format!("{it:.2}"));
    let rate = stream.rate_hz.map_or_else(String::new, |it| format!("{it:.1} Hz"));
    let millis = |it: Option<f64>| it.map_or_else(String::new, |it| format!("{:.1} ms", it / 1e6));
    let jitter = millis(stream.jitter_ns);
    let gap = match stream.silence_ns {
        Some(silence) => format!("≥{}", millis(Some(silence as f64))),
        None => millis(stream.longest_gap_ns.map(|it| it as f64)),
    };
    let gaps = stream.gaps.filter(|it| *it > 0).map_or_else(String::new, human::count);
    let n_bytes = stream.bytes.map_or_else(String::new, human::bytes);
    let stamp = millis(stream.stamp_offset.as_ref().map(|it| it.mean_ns));
    let back = match stream.time_steps_back {
        None | Some(0) => String::new(),
        Some(n) => format!("  ({} back in time)", human::plural(n, "step")),
    };
    // What goes without saying is not said.
    let definition = match stream.definition.as_deref() {
        None | Some("embedded") => String::new(),
        Some(other) => format!(" ({})", visible(other)),
    };
    let line = format!(
        "{}  {:>9}  {n_bytes:>10}  {shown:>9}  {rate:>9}  {jitter:>9}  {gap:>10}  {gaps:>4}  {stamp:>10}  {} {}{back}",
        padded(&stream.name, width),
        human::count(stream.count),
        visible(&stream.message),
        visible(&stream.encoding) + &*definition,
    );
    format!("{}\n", line.trim_end())
}

/// One row of blocks per stream, all over the same time: taller where more records are, a dot where none is.
fn timelines(text: &mut String, found: &Inspection, width: usize) {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown: Vec<&StreamInspection> =
        found.streams.iter().filter(|it| it.timeline.iter().any(|n| *n > 0)).collect();
    let (Some(first), Some(last)) = (found.first_time_ns, found.last_time_ns) else { return };
    if shown.is_empty() || first == last {
        return;
    }
    let n_cells = shown[0].timeline.len();
    let cell = seconds(first, last) / n_cells as f64;
    text.push_str(&format!("\n{:<width$}  records over time, {cell:.3} s a column\n", "stream"));
    for stream in shown {
        let most = stream.timeline.iter().copied().max().unwrap_or(1).max(1);
        let block = |n: &u64| match n {
            0 => '·',
            n => BLOCKS[usize::try_from(n.saturating_mul(7).div_ceil(most)).unwrap_or(7).min(7)],
        };
        let bars: String = stream.timeline.iter().map(block).collect();
        text.push_str(&format!("{}  {bars}\n", padded(&stream.name, width)));
    }
}
