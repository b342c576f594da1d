use std::path::{Component, Path, PathBuf};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_io::{Writing, refuse_foreign_file, write_file};
use nodedata_pipeline::{is_pipeline, propose};

use crate::{
    Outcome,
    args::{InitArgs, Output},
    documents::{self, Proposal},
    message,
};

/// What stands beside a path that would otherwise start where the file lies.
const ABSOLUTE: &str =
    "absolute, as `init` does not know where its output goes; `--out FILE` names it from FILE";

/// `node-data init`.
pub(crate) fn run(args: &InitArgs, output: Output) -> Result<Outcome> {
    let formats = nodedata_formats::builtin();
    let folder = args.out.as_deref().and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
    let (paths, about): (Vec<String>, _) = match &args.out {
        Some(_) => (args.sources.iter().map(|it| source_from(&folder, it)).collect(), None),
        None => {
            let paths: Vec<String> = args.sources.iter().map(|it| absolute(it)).collect();
            let about = (paths != args.sources).then_some(ABSOLUTE);
            (paths, about)
        }
    };
    if let Some(out) = args.out.as_deref().filter(|it| it.exists() && !args.overwrite) {
        return Err(Error::new(ErrorKind::Config, "the file exists already")
            .at(Locus::path(out))
            .with_hint("choose another name, or add `--overwrite`"));
    }
    if let Some(out) = &args.out {
        // Also one that was written by hand.
        refuse_foreign_file(out, "pipeline file", is_pipeline)?;
    }
    let text = propose(&formats, &args.sources, args.from.as_deref(), &paths, about)?;
    if let Some(out) = &args.out {
        write_file(out, text.as_bytes(), Writing::Replace)?;
    }
    match (output, args.out.as_deref()) {
        (Output::Json, out) => {
            let pipeline = out.is_none().then_some(text.as_str());
            message::to_stdout(&documents::line(&Proposal { out, pipeline })?)?;
        }
        (Output::Text, None) => message::to_stdout(&text)?,
        (Output::Text, Some(out)) => {
            let run = format!("node-data run {} --dry-run", out.display());
            message::note(&format!("written to {}; `{run}` shows what it would do", out.display()));
        }
    }
    Ok(Outcome::Complete)
}

/// How a file in `folder` names a source that is named from here.
fn source_from(folder: &Path, source: &str) -> String {
    let here = folder.as_os_str().is_empty() || folder == Path::new(".");
    if source.contains("://") || here || Path::new(source).is_absolute() {
        return source.to_owned();
    }
    let plain = folder.components().all(|it| matches!(it, Component::Normal(_)));
    if plain {
        let up: PathBuf = folder.components().map(|_| "..").collect();
        return up.join(source).display().to_string();
    }
    absolute(source)
}

/// The source by a name that holds everywhere on this machine.
fn absolute(source: &str) -> String {
    if source.contains("://") {
        return source.to_owned();
    }
    std::path::absolute(source).map_or_else(|_| source.to_owned(), |it| it.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_finds_its_source_from_where_it_lies() {
        assert_eq!(source_from(Path::new(""), "runs/a.mcap"), "runs/a.mcap");
        assert_eq!(source_from(Path::new("pipelines/lab"), "runs/*.mcap"), "../../runs/*.mcap");
        assert_eq!(source_from(Path::new("p"), "s3://b/runs"), "s3://b/runs");
        assert_eq!(source_from(Path::new("p"), "/data/a.mcap"), "/data/a.mcap");
    }
}
