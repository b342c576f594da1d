use std::path::PathBuf;

use serde::Serialize;

/// The formats of this build.
#[derive(Serialize)]
pub(crate) struct FormatList {
    /// Those that are read.
    pub(crate) formats: Vec<FormatLine>,
    /// Those that are known and refused.
    pub(crate) refused: Vec<RefusedFormat>,
}

/// A format that is read.
#[derive(Serialize)]
pub(crate) struct FormatLine {
    /// Its name, as `--from` takes it.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) about: &'static str,
    /// Its options.
    pub(crate) options: Vec<FormatOption>,
}

/// An option of a format: `--set source.NAME=VALUE`.
#[derive(Serialize)]
pub(crate) struct FormatOption {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it may be.
    pub(crate) takes: String,
    /// What it is where nobody says.
    pub(crate) default: &'static str,
    /// What it does.
    pub(crate) about: &'static str,
}

/// A format that is recognised and not read.
#[derive(Serialize)]
pub(crate) struct RefusedFormat {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its files.
    pub(crate) about: &'static str,
    /// What to do instead.
    pub(crate) instead: &'static str,
}

/// What pipelines can do to the values of steps.
#[derive(Serialize)]
pub(crate) struct TransformList {
    /// By name.
    pub(crate) transforms: Vec<TransformLine>,
}

/// A transform.
#[derive(Serialize)]
pub(crate) struct TransformLine {
    /// Its name with its version, as recipes and datasets say it; pipelines may leave the version out.
    pub(crate) name: &'static str,
    /// Other names that pipelines may say.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) also: &'static [&'static str],
    /// The key of a pipeline file that takes it.
    pub(crate) key: &'static str,
    /// What it is for.
    pub(crate) about: &'static str,
    /// Which values it takes.
    pub(crate) takes: &'static str,
    /// What becomes of a value.
    pub(crate) formula: &'static str,
    /// What it may be told.
    pub(crate) arguments: Vec<TransformArgument>,
    /// The argument that a value in the place of all of them is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) short: Option<&'static str>,
    /// A part of a pipeline file that uses it.
    pub(crate) example: &'static str,
}

/// Something a transform may be told.
#[derive(Serialize)]
pub(crate) struct TransformArgument {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it may be.
    pub(crate) takes: String,
    /// Whether it must be given.
    pub(crate) required: bool,
    /// What it is for, and what it is when it is not given.
    pub(crate) about: &'static str,
}

/// The completions of a shell.
#[derive(Serialize)]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: String,
    /// The script.
    pub(crate) text: String,
}

/// Manual pages.
#[derive(Serialize)]
pub(crate) struct ManPages {
    /// The folder that they were written to; null when they were printed.
    pub(crate) dir: Option<PathBuf>,
    /// The pages.
    pub(crate) pages: Vec<ManPage>,
}

/// A page of the manual.
#[derive(Serialize)]
pub(crate) struct ManPage {
    /// Its file: `node-data-convert.1`.
    pub(crate) name: String,
    /// The page, in roff; absent when it was written to a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}
