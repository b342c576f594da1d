use nodedata_core::{DType, Feature, SourcePlan, Storage, StreamKind, StreamSchema};

use super::write::{line, scalar};

/// Parts of names that say which episode a row belongs to, and where in it.
const EPISODE_WORDS: [&str; 3] = ["episode", "trajectory", "rollout"];
const ORDER_WORDS: [&str; 3] = ["frame", "step", "timestamp"];

/// What can be done to steps or samples that a source has already, as comments of a proposal; `None` for another source.
/// `key_column` is that of the keys of samples.
pub(super) fn told(plan: &SourcePlan, key_column: Option<&str>) -> Option<String> {
    let stream = plan.streams.iter().find(|it| it.kind.is_one_table())?;
    let mut text = String::new();
    match stream.kind {
        StreamKind::Samples => {
            references(&mut text, plan);
            samples(&mut text, stream, key_column);
        }
        StreamKind::Steps | StreamKind::Messages => steps(&mut text, stream, plan.facts.fps),
    }
    line(&mut text, "# fields:");
    for (idx, feature) in stream.features.iter().enumerate().filter(|it| !stream.is_built_in(it.0)) {
        let name = scalar(&feature.name);
        let about = format!("    # {}", feature.told());
        // Of each kind the first shows how it is transformed.
        let is_first =
            |takes: fn(&Feature) -> bool| takes(feature) && !stream.features[..idx].iter().any(takes);
        let transform = if is_first(is_vector) {
            Some("{action/clip: {min: -1, max: 1}}")
        } else if is_first(is_picture) {
            Some("[{image/resize: {height: 224, width: 224}}, {encode: jpeg:90}]")
        } else {
            None
        };
        match transform {
            Some(transform) => {
                line(&mut text, &format!("#   {name}: {{from: {name}, transform: {transform}}}{about}"));
            }
            None => line(&mut text, &format!("#   {name}: {name}{about}")),
        }
    }
    Some(text)
}

fn steps(text: &mut String, stream: &StreamSchema, fps: Option<f64>) {
    line(
        text,
        "\n# The source has steps already: without `steps` and `fields` every feature is kept as it is. With them, only those named;",
    );
    line(text, "# `transform` changes values, and `node-data transforms` lists what there is:");
    let is_last = stream.features.iter().find(|it| it.name == "is_last" && is_flag(it));
    if is_last.is_some() {
        line(text, "# steps: {transform: rlds/drop_last_padding}");
    }
    if let Some(rate) = fps.filter(|it| *it > 0.0) {
        let about = format!("another rate than the source's {rate}; `{{every: 2}}` takes one row in two");
        line(text, &format!("# steps: {{clock: {{rate_hz: {}}}}}    # {about}", rate / 2.0));
    }
}

/// Fields that the source says look like references to media.
fn references(text: &mut String, plan: &SourcePlan) {
    let found = plan.findings.iter().filter(|it| it.reason == "references");
    let fields = found.filter_map(|it| Some(format!("{}: path", scalar(it.at.feature.as_deref()?))));
    let fields: Vec<String> = fields.collect();
    if !fields.is_empty() {
        line(
            text,
            "\n# These fields look like references to media. Under `source` this puts the media in their place:",
        );
        line(text, &format!("#   embed: {{{}}}", fields.join(", ")));
    }
}

fn samples(text: &mut String, stream: &StreamSchema, key_column: Option<&str>) {
    line(
        text,
        "\n# Each row is a sample, which belongs to no episode. Where rows that follow each other are the steps of one, say what tells",
    );
    line(
        text,
        "# which: a field, and the one that orders them where there is one, or the keys of the samples:",
    );
    let own = || stream.features.iter().enumerate().filter(|it| !stream.is_built_in(it.0)).map(|it| it.1);
    let named = |words: &[&str], takes: &dyn Fn(&Feature) -> bool| {
        own()
            .find(|it| takes(it) && words.iter().any(|word| it.name.to_lowercase().contains(word)))
            .map(|it| scalar(&it.name))
    };
    let plain = |it: &Feature| it.storage == Storage::Plain && it.shape.is_empty();
    let is_key = |it: &Feature| {
        plain(it) && !matches!(it.dtype, DType::Bytes | DType::Float16 | DType::Float32 | DType::Float64)
    };
    let field = named(&EPISODE_WORDS, &is_key).unwrap_or_else(|| "episode_id".to_owned());
    let order = named(&ORDER_WORDS, &|it| plain(it) && it.dtype.is_numeric());
    let order = order.filter(|it| *it != field).map_or_else(String::new, |it| format!(", order: {it}"));
    line(text, &format!("# episodes: {{by: field, field: {field}{order}}}"));
    if key_column.is_some() {
        line(text, r"# episodes: {by: key, pattern: '(?<episode>ep\d+)_(?<step>\d+)'}");
    }
    line(
        text,
        "\n# Without `fields` every column is kept as it is. With them, only those named; `transform` changes values, and",
    );
    line(text, "# `node-data transforms` lists what there is:");
}

fn is_flag(feature: &Feature) -> bool {
    feature.dtype == DType::Bool && feature.shape.is_empty()
}

/// One picture a step.
fn is_picture(feature: &Feature) -> bool {
    feature.storage != Storage::Plain
        && feature.dtype == DType::UInt8
        && matches!(feature.shape.len(), 0 | 3)
        && feature.lists.is_empty()
}

/// Numbers between which there are others: an action, a state.
fn is_vector(feature: &Feature) -> bool {
    feature.storage == Storage::Plain
        && matches!(feature.dtype, DType::Float32 | DType::Float64)
        && feature.shape.len() == 1
}
