use std::path::Path;

use nodedata_core::Result;
use nodedata_pipeline::{check_schema, infer_schema};
use nodedata_schema::{Schema, diff, is_compatible};
use serde_json::json;

use crate::{
    Outcome,
    args::{Output, SchemaCommand},
    commands::convert::{open_options, read_schema},
    message,
};

/// `node-data schema`.
pub(crate) fn run(command: SchemaCommand, output: Output) -> Result<Outcome> {
    let formats = nodedata_formats::builtin();
    match command {
        SchemaCommand::Infer { source } => {
            let schema =
                infer_schema(&formats, &source.source, source.from.as_deref(), &open_options(&source))?;
            message::to_stdout(&schema.to_json())?;
            Ok(Outcome::Complete)
        }
        SchemaCommand::Check { source, schema } => {
            let declared = read_schema(&schema)?;
            let open = open_options(&source);
            let found = check_schema(&formats, &source.source, source.from.as_deref(), &open, &declared)?;
            let text = match output {
                Output::Json => format!("{}\n", json!({ "violations": found })),
                Output::Text if found.is_empty() => "every row follows the schema\n".to_owned(),
                Output::Text => found.iter().map(|it| format!("{it}\n")).collect(),
            };
            message::to_stdout(&text)?;
            Ok(if found.is_empty() { Outcome::Complete } else { Outcome::Refused })
        }
        SchemaCommand::Diff { old, new } => {
            let changes = diff(&schema_at(&old)?, &schema_at(&new)?);
            let compatible = is_compatible(&changes);
            let text = match output {
                Output::Json => format!("{}\n", json!({"compatible": compatible, "changes": changes})),
                Output::Text if changes.is_empty() => "no difference\n".to_owned(),
                Output::Text => {
                    let verdict = if compatible { "compatible" } else { "incompatible" };
                    let lines: String = changes.iter().map(|it| format!("{it}\n")).collect();
                    format!(
                        "{lines}{verdict}: what reads the old {} read the new\n",
                        if compatible { "can" } else { "cannot" }
                    )
                }
            };
            message::to_stdout(&text)?;
            Ok(Outcome::Complete)
        }
    }
}

/// The schema in a file, or of the dataset in a folder.
fn schema_at(path: &Path) -> Result<Schema> {
    if path.is_dir() { read_schema(&path.join("schema.json")) } else { read_schema(path) }
}
