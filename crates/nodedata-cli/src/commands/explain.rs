use nodedata_core::{
    Error, ErrorKind, MessageTexts, Result, told_time,
    visible::{column_of, padded, visible},
};
use nodedata_dataset::{Dataset, Explanation, Question, explain};
use nodedata_pipeline::{
    MadeField, MadeOf, MadeStep, Rebuilt, StepAsked, explain_step, no_recipe, read_message_paths,
};
use serde_json::Value;

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
    let messages = read_message_paths(&args.msg_path)?;
    let (mut rebuilt, mut made) = (None, None);
    match args.source.as_slice() {
        [] => {}
        sources if args.rebuild => rebuilt = Some(rebuild::of_dataset(&dataset, &all, sources, &messages)?),
        sources => {
            made = Some(made_of(&dataset, &all, args.row, (sources, &messages)).inspect_err(|_| {
                // What is known without the source is told all the same.
                let known: Vec<String> = all.iter().map(told).collect();
                message::note(known.join("\n").trim_end());
            })?);
        }
    }
    let text = match output {
        Output::Json => documents::line(&documents::Explained {
            explained: &all,
            step: made.as_ref(),
            rebuild: rebuilt.as_ref(),
            sound: rebuilt.as_ref().map(Rebuilt::is_same),
        })?,
        Output::Text => {
            let parts = all.iter().map(told).chain(made.as_ref().map(told_step));
            let parts = parts.chain(rebuilt.as_ref().map(rebuild::told));
            parts.collect::<Vec<_>>().join("\n")
        }
    };
    message::to_stdout(&text)?;
    Ok(if rebuilt.is_none_or(|it| it.is_same()) { Outcome::Complete } else { Outcome::Refused })
}

/// What the fields of the step are made of that was asked for.
fn made_of(
    dataset: &Dataset,
    explained: &[Explanation],
    row: Option<u64>,
    (sources, messages): (&[String], &MessageTexts),
) -> Result<MadeStep> {
    let [one] = explained else { return Err(one_row()) };
    if row.is_none() {
        return Err(one_row());
    }
    let step = dataset.step_of(one)?.ok_or_else(|| {
        let message = format!("rows of `{}` are records of the source, not made of messages", one.stream);
        Error::new(ErrorKind::Config, message).with_hint("leave `--source` out: the origin names the record")
    })?;
    let recipe = dataset.recipe()?.ok_or_else(no_recipe)?;
    let asked = StepAsked { manifest: &dataset.manifest, recipe: &recipe, sources, messages, step: &step };
    explain_step(&nodedata_formats::builtin(), &asked)
}

fn one_row() -> Error {
    Error::new(ErrorKind::Config, "`--source` explains one step at a time")
        .with_hint("add `--episode N --stream steps --row N`, or `--rebuild` to run the recipe again")
}

fn told_step(made: &MadeStep) -> String {
    let mut text = format!(
        "step        {} of episode {} ({}), at {}\n",
        made.step,
        made.episode,
        visible(&made.episode_key),
        told_time(made.time_ns)
    );
    let width = column_of(made.fields.iter().map(|it| it.field.as_str()), 0, 40);
    for MadeField { field, constant, transform, messages } in &made.fields {
        let nothing = match messages.as_slice() {
            [] if *constant => Some("the same at every step"),
            [] => Some("no message in reach"),
            _ => None,
        };
        if let Some(nothing) = nothing {
            text.push_str(&format!("field       {}  {nothing}\n", padded(field, width)));
        }
        for transform in transform {
            text.push_str(&format!("field       {}  by {}\n", padded(field, width), visible(transform)));
        }
        for message in messages {
            let MadeOf { topic, columns, time_ns, skew_ns, weight, source, bytes: (start, end), record } =
                message;
            let share = weight.map_or_else(String::new, |it| format!(", {:.0} % of it", it * 100.0));
            text.push_str(&format!(
                "field       {}  {} ({}) at {time_ns} ({:+.3} ms{share}): {}, bytes {start}..{end}, record {record} there\n",
                padded(field, width),
                visible(topic),
                visible(&columns.join(", ")),
                *skew_ns as f64 / 1e6,
                visible(source),
            ));
        }
    }
    text
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
        let records = match range.records {
            Some((first, last)) if last - first == 1 => {
                format!("record {first} of topic {} there", visible(&it.stream))
            }
            Some((first, last)) => {
                format!(
                    "records {first} to {} of topic {} there",
                    last.saturating_sub(1),
                    visible(&it.stream)
                )
            }
            None => "messages there; `--row N --source SRC` names those of each field".to_owned(),
        };
        text.push_str(&format!(
            "origin      row {}: {}, bytes {start}..{end}, {records}\n",
            range.row,
            visible(&range.source)
        ));
    }
    for (field, transforms) in &it.transforms {
        text.push_str(&format!(
            "transform   {}: {}\n",
            visible(field),
            visible(&transforms.iter().map(transform).collect::<Vec<_>>().join(", then "))
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

/// A transform as the dataset says it: a name, or a name with its arguments.
fn transform(it: &Value) -> String {
    match it {
        Value::String(name) => name.clone(),
        Value::Object(members) => {
            let told = members.iter().map(|(name, arguments)| format!("{name} {arguments}"));
            told.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
