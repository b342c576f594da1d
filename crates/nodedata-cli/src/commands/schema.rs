use std::path::Path;

use nodedata_client::read_schema;
use nodedata_core::{
    Error, ErrorKind, Files as _, Locus, Result,
    placed::mistakes_to_error,
    visible::{visible, visible_json, visible_lines},
};
use nodedata_pipeline::{check_schema, infer_schema};
use nodedata_schema::{Schema, diff, is_compatible};

use crate::{
    Outcome,
    args::{Output, SchemaCommand},
    commands::{convert::open_options, dataset_args::StoreArgs, target::Target},
    documents, message,
};

/// Longest schema that is read from a registry.
const SCHEMA_BYTES_MAX: u64 = 16 << 20;

/// `node-data schema`.
pub(crate) fn run(command: SchemaCommand, output: Output) -> Result<Outcome> {
    let formats = nodedata_formats::builtin();
    match command {
        SchemaCommand::Infer { source } => {
            let schema =
                infer_schema(&formats, &source.sources, source.from.as_deref(), &open_options(&source)?)?;
            message::to_stdout(&visible_json(&schema.to_json()))?;
            Ok(Outcome::Complete)
        }
        SchemaCommand::Check { source, schema } => {
            let declared = read_schema(&schema)?;
            let open = open_options(&source)?;
            let found = check_schema(&formats, &source.sources, source.from.as_deref(), &open, &declared)?;
            let text = match output {
                Output::Json => documents::line(&documents::CheckedSchema { violations: &found })?,
                Output::Text if found.is_empty() => "every row follows the schema\n".to_owned(),
                Output::Text => {
                    found.iter().map(|it| format!("{}\n", visible_lines(&it.to_string()))).collect()
                }
            };
            message::to_stdout(&text)?;
            Ok(if found.is_empty() { Outcome::Complete } else { Outcome::Refused })
        }
        SchemaCommand::Diff { old, new, store } => {
            let changes = diff(&schema_at(&old, &store)?, &schema_at(&new, &store)?);
            let compatible = is_compatible(&changes);
            let text = match output {
                Output::Json => {
                    documents::line(&documents::SchemaDifference { compatible, changes: &changes })?
                }
                Output::Text if changes.is_empty() => "no difference\n".to_owned(),
                Output::Text => {
                    let verdict = if compatible { "compatible" } else { "incompatible" };
                    let lines: String =
                        changes.iter().map(|it| format!("{}\n", visible(&it.to_string()))).collect();
                    format!(
                        "{lines}{verdict}: what reads the old {} read the new\n",
                        if compatible { "can" } else { "cannot" }
                    )
                }
            };
            message::to_stdout(&text)?;
            Ok(if compatible { Outcome::Complete } else { Outcome::Refused })
        }
    }
}

/// The schema in a file, or of a dataset in a folder or registry.
fn schema_at(path: &Path, store: &StoreArgs) -> Result<Schema> {
    let (revision, file) = match Target::of(path, store)? {
        Target::Path(path) if path.is_dir() => return read_schema(&path.join("schema.json")),
        Target::Path(path) => return read_schema(&path),
        Target::Revision { revision, file } => (revision, file),
    };
    let path = file.unwrap_or_else(|| revision.manifest().schema.file.path.clone());
    let path = Path::new(&path);
    let file = revision.open(path)?;
    if file.n_bytes() > SCHEMA_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::Limit,
            format!("it has {} bytes, which is no schema", file.n_bytes()),
        )
        .at(Locus::path(path)));
    }
    let text = String::from_utf8_lossy(&file.read_at(0..file.n_bytes())?).into_owned();
    Schema::from_json(&text).map_err(|mistakes| mistakes_to_error(&mistakes, Some(path)))
}
