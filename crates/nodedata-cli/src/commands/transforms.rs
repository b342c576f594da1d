use nodedata_core::Result;
use nodedata_normalize::{Argument, TRANSFORMS, TransformKind};

use crate::{
    Outcome,
    args::Output,
    documents::{self, TransformArgument, TransformLine, TransformList},
    message,
};

/// `node-data transforms`.
pub(crate) fn run(output: Output) -> Result<Outcome> {
    let text = match output {
        Output::Json => {
            documents::line(&TransformList { transforms: TRANSFORMS.into_iter().map(line).collect() })?
        }
        Output::Text => TRANSFORMS.into_iter().map(told).collect::<Vec<_>>().join("\n"),
    };
    message::to_stdout(&text)?;
    Ok(Outcome::Complete)
}

fn line(kind: &'static TransformKind) -> TransformLine {
    let argument = |it: &'static Argument| {
        let Argument { name, kind, required, about } = it;
        TransformArgument { name, takes: kind.to_string(), required: *required, about }
    };
    TransformLine {
        name: kind.full_name,
        also: kind.also,
        key: kind.scope.key(),
        about: kind.about,
        takes: kind.takes,
        formula: kind.formula,
        arguments: kind.arguments.iter().map(argument).collect(),
        short: kind.short,
        example: kind.example,
    }
}

fn told(kind: &'static TransformKind) -> String {
    let mut text = format!(
        "{}\n  {}\n  in         {}\n  takes      {}\n  formula    {}\n",
        kind.full_name,
        kind.about,
        kind.scope.key(),
        kind.takes,
        kind.formula
    );
    if !kind.also.is_empty() {
        text.push_str(&format!("  also       {}\n", kind.also.join(", ")));
    }
    for Argument { name, kind, required, about } in kind.arguments {
        let must = if *required { ", must be given" } else { "" };
        text.push_str(&format!("  {name:<10} {about} ({kind}{must})\n"));
    }
    if let Some(short) = kind.short {
        text.push_str(&format!("  A value in the place of all arguments is `{short}`.\n"));
    }
    text.push_str("  example\n");
    for line in kind.example.lines() {
        text.push_str(&format!("    {line}\n"));
    }
    text
}
