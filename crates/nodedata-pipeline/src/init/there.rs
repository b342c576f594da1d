use nodedata_core::{DType, Feature, SourcePlan, Storage, StreamKind};

use super::write::{line, scalar};

/// What can be done to steps that a source has already, as comments of a proposal; `None` for another source.
pub(super) fn told(plan: &SourcePlan) -> Option<String> {
    let stream = plan.streams.iter().find(|it| it.kind == StreamKind::Steps)?;
    let mut text = String::new();
    line(
        &mut text,
        "\n# The source has steps already: without `steps` and `fields` every feature is kept as it is. With them, only those named;",
    );
    line(&mut text, "# `transform` changes values, and `node-data transforms` lists what there is:");
    let is_last = stream.features.iter().find(|it| it.name == "is_last" && is_flag(it));
    let padding = is_last.map_or("", |_| ", transform: rlds/drop_last_padding");
    let rate = plan.facts.fps.filter(|it| *it > 0.0).unwrap_or(10.0);
    line(&mut text, &format!("# steps: {{clock: {{rate_hz: {rate}}}{padding}}}"));
    line(&mut text, "# fields:");
    for (idx, feature) in stream.features.iter().enumerate().filter(|it| !stream.is_built_in(it.0)) {
        let name = scalar(&feature.name);
        let about = format!("    # {}", feature.told());
        // One that is transformed shows how.
        let is_first = stream.features[..idx].iter().all(|it| !is_vector(it));
        if is_vector(feature) && is_first {
            let value = format!("{{from: {name}, transform: {{action/clip: {{min: -1, max: 1}}}}}}");
            line(&mut text, &format!("#   {name}: {value}{about}"));
        } else {
            line(&mut text, &format!("#   {name}: {name}{about}"));
        }
    }
    Some(text)
}

fn is_flag(feature: &Feature) -> bool {
    feature.dtype == DType::Bool && feature.shape.is_empty()
}

/// Numbers between which there are others: an action, a state.
fn is_vector(feature: &Feature) -> bool {
    feature.storage == Storage::Plain
        && matches!(feature.dtype, DType::Float32 | DType::Float64)
        && feature.shape.len() == 1
}
