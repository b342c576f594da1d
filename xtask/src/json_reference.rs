//! `docs/reference/json.md` and `json.schema.json`: what commands print under `--format json`, made of the types that
//! are printed. Nothing is written down twice: names, types and words come from where the types are defined.

mod page;
mod rust_types;
mod schema;
mod shapes;

use std::path::Path;

use self::{
    rust_types::Definitions,
    shapes::{Documents, Shapes},
};
use crate::workspace::{self, Result};

/// The table of documents.
const TABLE: &str = "crates/nodedata-cli/src/documents.rs";

/// The page for people. `help` is what `node-data --help` prints, which says how commands end.
///
/// # Errors
/// When a type cannot be found, or is written in a way that is not understood.
pub(crate) fn page(help: &str) -> Result<String> {
    let (documents, shapes) = read()?;
    page::render(&documents, &shapes, help)
}

/// The same for programs, as a JSON Schema.
///
/// # Errors
/// As [`page`].
pub(crate) fn schema() -> Result<String> {
    let (documents, shapes) = read()?;
    schema::render(&documents, &shapes)
}

fn read() -> Result<(Documents, Shapes)> {
    let mut definitions = Definitions::default();
    let tracked = workspace::tracked_files()?;
    for path in tracked.iter().filter(|it| it.starts_with("crates/") && it.contains("/src/")) {
        if path.ends_with(".rs") {
            definitions.read(path, &text(path)?)?;
        }
    }
    Shapes::of_documents(&text(TABLE)?, TABLE, &definitions)
}

fn text(path: &str) -> Result<String> {
    let path: &Path = &workspace::root().join(path);
    std::fs::read_to_string(path).map_err(|err| format!("cannot read {}: {err}", path.display()))
}
