mod check;
mod episode_keys;
mod episodes;
mod idle;
mod json_schema;
mod keys;
mod metadata;
mod publish;
mod quality;
mod read;
mod splits;
mod stages;
mod steps;
#[cfg(test)]
mod tests;
mod times;
mod transforms;
mod variables;
mod yaml;

use std::path::Path;

use nodedata_core::placed::{Mistake, Node, Place};

pub use json_schema::pipeline_json_schema;
pub use stages::{
    EpisodesStage, Expected, PipelineFile, PipelineTest, PublishStage, Secret, SourceStage, SplitKey,
    TableAsked, TableOf,
};
pub use variables::Environment;

/// A pipeline file with the places of its keys, so that what a source does not have can be told with line and
/// column, too.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// What it says.
    pub file: PipelineFile,
    places: check::Places,
}

/// Reads a pipeline file. `path` is where it lies: paths inside start there. `settings` are `key.path=value`,
/// taken in order after the file.
///
/// # Errors
/// All mistakes, in the order of the file; one only when it is not YAML.
pub fn parse_pipeline(
    text: &str,
    path: &Path,
    settings: &[String],
    environment: Environment<'_>,
) -> Result<Parsed, Vec<Mistake>> {
    // Editors on Windows put it there.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut root = yaml::parse(text).map_err(|it| vec![it])?;
    let mut mistakes = Vec::new();
    for setting in settings {
        if let Err(mistake) = variables::set(&mut root, setting) {
            mistakes.push(mistake);
        }
    }
    variables::expand(&mut root, environment, &mut mistakes);
    let (places, found) = check::check(&root, keys::FILE);
    mistakes.extend(found);
    let mut reader = read::Reader::new(&root, &places, path);
    let file = reader.file(path);
    // A key of the wrong shape is told once, not again for what follows from it.
    let new = reader.mistakes.into_iter().filter(|it| mistakes.iter().all(|other| other.place != it.place));
    let new: Vec<Mistake> = new.collect();
    mistakes.extend(new);
    if mistakes.is_empty() {
        return Ok(Parsed { file, places });
    }
    mistakes.sort_by(|one, other| one.place.cmp(&other.place));
    Err(mistakes)
}

/// Whether a text is meant for a pipeline, and not for another program that reads YAML: it says what is read, or which
/// version of the format it is.
pub fn is_pipeline(text: &str) -> bool {
    match yaml::parse(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        Ok(root) => root.get("source").is_some() || root.get("version").and_then(Node::integer).is_some(),
        // A slip in a pipeline is to be told as one.
        Err(_) => text.lines().any(|it| it.starts_with("source:") || it.starts_with("version: 1")),
    }
}

impl Parsed {
    /// Mistakes that only the source shows, with the places of their keys.
    pub fn place(&self, found: &[Mistake]) -> Vec<Mistake> {
        let mut mistakes: Vec<Mistake> = found
            .iter()
            .map(|it| match &it.place {
                Place::Key(key) => {
                    let message = format!("`{key}`: {}", it.message);
                    Mistake { place: self.places.of(key), message, hint: it.hint.clone() }
                }
                Place::File(..) | Place::Set(_) => it.clone(),
            })
            .collect();
        mistakes.sort_by(|one, other| one.place.cmp(&other.place));
        mistakes
    }
}
