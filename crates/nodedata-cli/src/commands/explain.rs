use nodedata_core::{Result, visible::visible};
use nodedata_dataset::{Explanation, Question, explain};
use nodedata_pipeline::Rebuilt;

use crate::{
    Outcome,
    args::{ExplainArgs, Output},
    commands::{rebuild, target::Target},
    documents, human, message,
};

/// Ranges printed for people; JSON has them all.
const RANGES_SHOWN: usize = 12;

/// `node-data explain`.
pub(crate) fn run(args: &ExplainArgs, output: Output) -> Result<Outcome> {
    let question = Question { row: args.row, episode: args.episode, stream: args.stream.clone() };
    let (dataset, shard) = Target::of(&args.target, &args.store)?.dataset()?;
    let all = explain(&dataset, shard.as_deref(), &question)?;
    let rebuilt = match args.source.as_slice() {
        [] => None,
        sources => Some(rebuild::of_dataset(&dataset, &all, sources)?),
    };
    let text = match output {
        Output::Json => documents::line(&documents::Explained {
            explained: &all,
            rebuild: rebuilt.as_ref(),
            sound: rebuilt.as_ref().map(Rebuilt::is_same),
        })?,
        Output::Text => {
            let parts = all.iter().map(told).chain(rebuilt.as_ref().map(rebuild::told));
            parts.collect::<Vec<_>>().join("\n")
        }
    };
    message::to_stdout(&text)?;
    Ok(if rebuilt.is_none_or(|it| it.is_same()) { Outcome::Complete } else { Outcome::Refused })
}

fn told(it: &Explanation) -> String {
    let (first, n_rows) = it.rows;
    let rows =
        if n_rows == 1 { format!("{first}") } else { format!("{first} to {}", first + n_rows.max(1) - 1) };
    let mut text = format!(
        "shard       {} ({})\nstream      {}\nrows        {rows}\nblake3      {}\nprovenance  {}\nrecipe      {}\nmade by     {}\n",
        visible(&it.shard),
        visible(&it.split),
        visible(&it.stream),
        it.b3,
        it.provenance,
        it.recipe,
        it.made_by,
    );
    for input in &it.inputs {
        text.push_str(&format!(
            "input       {} ({}, blake3 {})\n",
            visible(&input.path),
            human::bytes(input.bytes),
            input.b3
        ));
    }
    for range in it.origins.iter().take(RANGES_SHOWN) {
        let (start, end) = range.bytes;
        let (first, last) = range.records;
        let records = if last - first == 1 {
            format!("record {first}")
        } else {
            format!("records {first} to {}", last.saturating_sub(1))
        };
        text.push_str(&format!(
            "origin      row {}: {}, bytes {start}..{end}, {records} of topic {} there\n",
            range.row,
            visible(&range.source),
            visible(&it.stream)
        ));
    }
    if it.origins.len() > RANGES_SHOWN {
        text.push_str(&format!(
            "            and {} more ranges: `--row N` asks for one row, `--format json` lists all\n",
            it.origins.len() - RANGES_SHOWN
        ));
    }
    text
}
