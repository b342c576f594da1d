use std::collections::BTreeMap;

use nodedata_core::{
    Error, ErrorKind, Files, Formats, Locus, MessageTexts, Result, Silent, Source, SourcePlan, StreamKind,
};
use nodedata_dataset::{InputEntry, Manifest, StepPlace};
use nodedata_normalize::{AlignedSource, FieldOrigin, MessageOrigin, StepAt, StepSpec};
use serde::Serialize;

use crate::{
    ConvertOptions, Recipe, convert::keeping_misfits, inputs::hash_of, open::told,
    rebuild::refuse_other_version, run::open_for,
};

/// A step whose messages are asked for.
#[derive(Debug, Clone, Copy)]
pub struct StepAsked<'a> {
    /// What the dataset says of itself.
    pub manifest: &'a Manifest,
    /// The content of its `recipe.json`; see [`crate::no_recipe`] where there is none.
    pub recipe: &'a [u8],
    /// What it was made of: files, folders, globs or URLs.
    pub sources: &'a [String],
    /// The message definitions that its user gave.
    pub messages: &'a MessageTexts,
    /// Which step.
    pub step: &'a StepPlace,
}

/// What a step is made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MadeStep {
    /// Key of its episode.
    pub episode_key: String,
    /// Position of the episode in the dataset.
    pub episode: u64,
    /// Position in the episode.
    pub step: u64,
    /// By the source's own clock.
    pub time_ns: i64,
    /// Its fields, in column order.
    pub fields: Vec<MadeField>,
}

/// What a field of a step is made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MadeField {
    /// Its name.
    pub field: String,
    /// Whether it is the same at every step.
    pub constant: bool,
    /// What is done to its values, in order. Messages are those of the step that a shift takes them of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transform: Vec<String>,
    /// The messages, of which there is none where none is in reach.
    pub messages: Vec<MadeOf>,
}

/// A message that a field is made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MadeOf {
    /// Its topic.
    pub topic: String,
    /// Columns of the topic.
    pub columns: Vec<String>,
    /// Its time.
    pub time_ns: i64,
    /// Its time minus that of the step.
    pub skew_ns: i64,
    /// How much of it counts, where the field lies between two messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Input file, relative to SRC.
    pub source: String,
    /// First byte, and one past the last: of the record, or of the chunk that holds it.
    pub bytes: (u64, u64),
    /// Which of the topic's records in that range, from 0.
    pub record: u64,
}

/// Plans the recipe of a dataset once more over its source, and names the messages that one step is made of. Nothing is
/// written; of the rows no more is read than decides the step.
///
/// # Errors
/// `Unsupported` when the steps are not made of messages, or when another version made the dataset; `Config` when the
/// source is not what the dataset was made of; what reading the source reports.
pub fn explain_step(formats: &Formats, asked: &StepAsked<'_>) -> Result<MadeStep> {
    refuse_other_version(asked.manifest)?;
    let options = Recipe::from_json(asked.recipe)?.options_with(asked.sources, "", asked.messages)?;
    keeping_misfits(formats, &options, &Silent, |options| made_step(formats, asked, &options))
}

fn made_step(formats: &Formats, asked: &StepAsked<'_>, options: &ConvertOptions) -> Result<MadeStep> {
    let StepAsked { manifest, sources, step, .. } = *asked;
    let opened = open_for(formats, options, &[])?;
    let is_log = opened.source.plan().streams.iter().all(|it| it.kind == StreamKind::Messages);
    let Some(spec) = options.steps.clone().filter(|_| is_log) else {
        let message = "the steps are rows of the source itself, not made of messages";
        return Err(Error::new(ErrorKind::Unsupported, message)
            .at(Locus::path(told(sources)))
            .with_hint("leave `--source` out: the origins name the records"));
    };
    let aligned = AlignedSource::of_episodes(opened.source, spec.clone(), &options.episodes)?;
    let plan = aligned.plan();
    let other = |message: String| {
        Error::new(ErrorKind::Config, message)
            .at(Locus::path(told(sources)))
            .with_hint("`--source` is what the dataset was converted from, as it was then")
    };
    let episode = plan.episodes.iter().position(|it| it.key == step.key);
    let episode = episode.ok_or_else(|| other(format!("the source has no episode `{}`", step.key)))?;
    let at = StepAt { time_ns: step.time_ns, nth: step.nth };
    let found = aligned.made_of(episode, at)?;
    let found = found.ok_or_else(|| other(format!("the source has no step at {} ns", step.time_ns)))?;
    if let Some(message) = other_input(opened.files.as_ref(), plan, &manifest.inputs, &found)? {
        return Err(other(message));
    }
    Ok(MadeStep {
        episode_key: step.key.clone(),
        episode: step.episode,
        step: step.step,
        time_ns: step.time_ns,
        fields: found.into_iter().map(|it| made_field(it, plan, step.time_ns, &spec)).collect(),
    })
}

/// Holds the files that messages lie in against what the dataset was made of; says which of them is another one.
fn other_input(
    files: &dyn Files,
    plan: &SourcePlan,
    known: &[InputEntry],
    found: &[FieldOrigin],
) -> Result<Option<String>> {
    let inputs = found.iter().flat_map(|it| &it.messages).map(|it| it.input);
    let inputs: BTreeMap<usize, &nodedata_core::InputFile> =
        inputs.filter_map(|it| Some((it, plan.inputs.get(it)?))).collect();
    for input in inputs.into_values() {
        let path = input.path.display().to_string();
        let entry = known.iter().find(|it| it.path == path && it.bytes == input.n_bytes);
        let Some(entry) = entry else {
            return Ok(Some(format!("the dataset was made of something else than this `{path}`")));
        };
        if hash_of(files, &input.path)? != entry.b3 {
            return Ok(Some(format!("`{path}` has changed since the dataset was made of it")));
        }
    }
    Ok(None)
}

fn made_field(field: FieldOrigin, plan: &SourcePlan, step_ns: i64, spec: &StepSpec) -> MadeField {
    let of_field = spec.fields.iter().filter(|it| it.name == field.field).flat_map(|it| &it.transform);
    let transform = of_field.map(ToString::to_string).collect();
    let made_of = |it: MessageOrigin| MadeOf {
        topic: it.topic,
        columns: it.columns,
        time_ns: it.time_ns,
        skew_ns: it.time_ns.saturating_sub(step_ns),
        weight: it.weight,
        source: plan.input_path(it.input).unwrap_or_default().display().to_string(),
        bytes: (it.byte_range.start, it.byte_range.end),
        record: it.record,
    };
    MadeField {
        field: field.field,
        transform,
        constant: field.is_constant,
        messages: field.messages.into_iter().map(made_of).collect(),
    }
}
