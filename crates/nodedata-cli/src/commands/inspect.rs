use nodedata_core::Result;
use nodedata_pipeline::{Inspection, StreamInspection, inspect};

use crate::{
    Outcome,
    args::{InspectArgs, Output},
    commands::convert::open_options,
    human, message,
};

/// `node-data inspect`.
pub(crate) fn run(args: &InspectArgs, output: Output) -> Result<Outcome> {
    let source = &args.source;
    let found =
        inspect(&nodedata_formats::builtin(), &source.source, source.from.as_deref(), &open_options(source))?;
    let text = match output {
        Output::Json => message::json_line(&found)?,
        Output::Text => told(&found, args.features),
    };
    message::to_stdout(&text)?;
    Ok(if found.damage.is_empty() && found.repairs.is_empty() {
        Outcome::Complete
    } else {
        Outcome::Incomplete
    })
}

fn told(found: &Inspection, with_features: bool) -> String {
    let n_bytes: u64 = found.inputs.iter().map(|(_, n)| n).sum();
    let mut text = format!(
        "{}: {}, {}, {}\n\n",
        found.format,
        human::plural(found.inputs.len() as u64, "file"),
        human::bytes(n_bytes),
        human::plural(found.episodes.len() as u64, "episode"),
    );
    let width = found.streams.iter().map(|it| it.name.len()).max().unwrap_or(0).clamp(6, 40);
    text.push_str(&format!(
        "{:<width$}  {:>9}  {:>10}  {:>9}  {:>9}  {:>10}  message\n",
        "stream", "records", "bytes", "seconds", "rate", "gap"
    ));
    for stream in &found.streams {
        text.push_str(&line(stream, width));
        if with_features {
            for (name, kind) in &stream.features {
                text.push_str(&format!("    {name}: {kind}\n"));
            }
        }
    }
    for (name, n_bytes) in &found.attachments {
        text.push_str(&format!("attachment {name} ({})\n", human::bytes(*n_bytes)));
    }
    for entry in &found.warnings {
        text.push_str(&format!("warning: {}\n  --> {}\n", entry.message, entry.at));
    }
    for entry in &found.repairs {
        text.push_str(&format!("{}: {}\n  --> {}\n", entry.reason, entry.message, entry.at));
    }
    for entry in &found.damage {
        text.push_str(&format!("damage: {}\n  --> {}\n", entry.message, entry.at));
    }
    text
}

fn line(stream: &StreamInspection, width: usize) -> String {
    let span = stream.first_time_ns.zip(stream.last_time_ns).map(|(first, last)| (last - first) as f64 / 1e9);
    let seconds = span.map_or_else(String::new, |it| format!("{it:.2}"));
    let rate = stream.rate_hz.map_or_else(String::new, |it| format!("{it:.1} Hz"));
    let gap = stream.longest_gap_ns.map_or_else(String::new, |it| format!("{:.1} ms", it as f64 / 1e6));
    let back = match stream.time_steps_back {
        0 => String::new(),
        n => format!("  ({} back in time)", human::plural(n, "step")),
    };
    format!(
        "{:<width$}  {:>9}  {:>10}  {seconds:>9}  {rate:>9}  {gap:>10}  {} {}{back}\n",
        stream.name,
        human::count(stream.count),
        human::bytes(stream.bytes),
        stream.message,
        stream.encoding,
    )
}
