mod seen;
mod there;
mod write;

use nodedata_core::{Formats, OpenOptions, Result, StreamKind};

use crate::{inspect::inspect_opened, open_source};

/// Proposes a commented pipeline for a source, from what all of its records show: measured rates, cameras,
/// names of joints, candidates for actions, tasks. `paths` is how the pipeline file is to name the sources, and `about_paths`
/// a comment beside them.
///
/// # Errors
/// What opening and reading the source report.
pub fn propose(
    formats: &Formats,
    sources: &[String],
    from: Option<&str>,
    paths: &[String],
    about_paths: Option<&str>,
) -> Result<String> {
    let open = OpenOptions { salvage: true, ..OpenOptions::default() };
    let typed = open_source(formats, sources, from, &open)?;
    let has_steps = typed.source.plan().streams.iter().any(|it| it.kind != StreamKind::Messages);
    let inspection = inspect_opened(&typed)?;
    let seen = if has_steps { Vec::new() } else { seen::look(typed.source.as_ref())? };
    let there = there::told(typed.source.plan(), typed.format.key_column());
    Ok(write::pipeline(paths, about_paths, typed.format.name(), &inspection, &seen, there.as_deref()))
}
