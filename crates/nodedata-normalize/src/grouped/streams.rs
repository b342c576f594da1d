use std::collections::BTreeSet;

use nodedata_core::{
    Feature, STEP_INDEX, SourcePlan, StreamKind, StreamSchema, free_name, placed::Mistake, suggest,
};
use nodedata_steps::{name_in_table, name_of_sample, step_index};

use super::{
    keys::{no_key, no_order},
    spec::{GroupBy, pattern_mistake},
};

/// Samples that are to be grouped, as far as their plan tells.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a> {
    /// The plan of their source.
    pub plan: &'a SourcePlan,
    /// Name of its format.
    pub format: &'a str,
    /// The column with the keys of samples, in a format that has them.
    pub key_column: Option<&'a str>,
}

/// All mistakes of grouping these samples so. `keyed` are the formats whose samples have keys.
pub fn group_mistakes(by: &GroupBy, samples: &Samples<'_>, keyed: &[&str]) -> Vec<Mistake> {
    let Samples { plan, format, key_column } = *samples;
    if let Some(stream) = plan.streams.iter().find(|it| it.kind != StreamKind::Samples) {
        return vec![not_samples(stream.kind)];
    }
    let mut mistakes = Vec::new();
    match by {
        GroupBy::Key { pattern } => {
            if key_column.is_none() {
                let message = format!("the samples of {format} sources have no keys");
                let hint =
                    format!("{} have: write `by: field` with the field that says the episode", told(keyed));
                mistakes.push(Mistake::new("episodes.by", message).with_hint(hint));
            }
            let mistake = pattern_mistake(pattern);
            mistakes.extend(
                mistake.map(|(message, hint)| Mistake::new("episodes.pattern", message).with_hint(hint)),
            );
        }
        GroupBy::Field { field, order } => {
            mistakes.extend(field_mistake(plan, "episodes.field", field, no_key));
            let of_order = order.as_ref().and_then(|it| field_mistake(plan, "episodes.order", it, no_order));
            mistakes.extend(of_order);
        }
    }
    mistakes
}

fn not_samples(kind: StreamKind) -> Mistake {
    match kind {
        StreamKind::Messages => {
            let message = "the source is a log: its rows are messages, which have no key of an episode";
            let hint = "cut recordings `by: marker`, `by: gap` or `by: ranges`, and add `steps`";
            Mistake::new("episodes.by", message).with_hint(hint)
        }
        StreamKind::Steps | StreamKind::Samples => {
            let message = "the source has episodes of its own, which are not cut again";
            Mistake::new("episodes.by", message).with_hint("remove `episodes`")
        }
    }
}

fn told(formats: &[&str]) -> String {
    match formats {
        [] => "no formats".to_owned(),
        formats => format!("those of {}", formats.join(", ")),
    }
}

/// Why a field says no episode. One that is not selected is there all the same; what it is, its values tell.
fn field_mistake(
    plan: &SourcePlan,
    key: &str,
    name: &str,
    misfit: impl Fn(&Feature) -> Option<(String, String)>,
) -> Option<Mistake> {
    let features = plan.streams.iter().flat_map(|it| &it.features).filter(|it| it.name != STEP_INDEX);
    if let Some(feature) = features.clone().find(|it| it.name == name) {
        return misfit(feature).map(|(message, hint)| Mistake::new(key, message).with_hint(hint));
    }
    if plan.unselected.iter().any(|it| it == name) {
        return None;
    }
    let names = features.map(|it| it.name.as_str()).chain(plan.unselected.iter().map(String::as_str));
    let mistake = Mistake::new(key, format!("the source has no field `{name}`"));
    let prefixed = name_of_sample(name);
    let hint = match names.clone().any(|it| it == prefixed) {
        true => format!("write `{prefixed}`: the table has a column of its own called `{name}`"),
        false => suggest(name, names),
    };
    Some(mistake.with_hint(hint))
}

/// The streams that samples become: steps, with every column that they have. One that is called as a column that steps have of
/// themselves becomes `source.<name>`, as in every format of steps.
pub fn grouped_streams(samples: &[StreamSchema]) -> Vec<StreamSchema> {
    samples.iter().map(grouped_stream).collect()
}

fn grouped_stream(samples: &StreamSchema) -> StreamSchema {
    let mut taken: BTreeSet<String> = samples.features.iter().map(|it| it.name.clone()).collect();
    let feature = |(column, feature): (usize, &Feature)| {
        if samples.is_built_in(column) {
            return step_index();
        }
        let name = name_in_table(&feature.name);
        if name == feature.name {
            return feature.clone();
        }
        let name = free_name(&name, |it| taken.contains(it));
        taken.insert(name.clone());
        Feature { name, ..feature.clone() }
    };
    StreamSchema {
        kind: StreamKind::Steps,
        features: samples.features.iter().enumerate().map(feature).collect(),
        ..samples.clone()
    }
}

#[cfg(test)]
mod tests {
    use nodedata_core::{DType, Dim, StreamId};
    use nodedata_steps::{row_index, samples_schema};

    use super::*;

    fn plan() -> SourcePlan {
        let scalar = |name: &str, dtype| Feature::new(name, dtype, Vec::new());
        let features = vec![
            row_index("line"),
            scalar("episode_id", DType::String),
            scalar("frame", DType::Int64),
            scalar("timestamp_ns", DType::Int64),
            scalar("score", DType::Float64),
            Feature::new("state", DType::Float64, vec![Dim::Variable]),
            scalar("source.episode_index", DType::Int64),
        ];
        let unselected = vec!["note".to_owned()];
        SourcePlan { streams: vec![samples_schema(features)], unselected, ..SourcePlan::default() }
    }

    #[track_caller]
    fn refused(by: &GroupBy, key: &str, message: &str, hint: &str) {
        let samples = Samples { plan: &plan(), format: "jsonl", key_column: None };
        let found = group_mistakes(by, &samples, &["webdataset"]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].place, nodedata_core::placed::Place::Key(key.to_owned()));
        let told = found[0].hint.as_deref().unwrap_or_default();
        assert!(found[0].message.contains(message) && told.contains(hint), "{found:?}");
    }

    fn field(field: &str, order: Option<&str>) -> GroupBy {
        GroupBy::Field { field: field.to_owned(), order: order.map(str::to_owned) }
    }

    #[test]
    fn what_does_not_fit_the_source_is_told_with_its_key() {
        let samples = Samples { plan: &plan(), format: "jsonl", key_column: None };
        for sound in [field("episode_id", None), field("frame", Some("score")), field("note", Some("note"))] {
            assert!(group_mistakes(&sound, &samples, &[]).is_empty(), "{sound}");
        }
        refused(&field("episod_id", None), "episodes.field", "no field `episod_id`", "`episode_id`");
        refused(&field("step_index", None), "episodes.field", "no field `step_index`", "one of");
        refused(&field("episode_index", None), "episodes.field", "no field", "write `source.episode_index`");
        refused(&field("score", None), "episodes.field", "`score` is float64", "name a field");
        refused(&field("state", None), "episodes.field", "`state` is", "name a field");
        refused(
            &field("frame", Some("episode_id")),
            "episodes.order",
            "`episode_id` is string",
            "leave `order` out",
        );
        refused(&field("frame", Some("frme")), "episodes.order", "no field `frme`", "`frame`");
        let by_key = GroupBy::Key { pattern: "(?<episode>.*)".to_owned() };
        refused(&by_key, "episodes.by", "of jsonl sources have no keys", "those of webdataset have");
        let webdataset = Samples { format: "webdataset", key_column: Some("__key__"), ..samples };
        assert!(group_mistakes(&by_key, &webdataset, &["webdataset"]).is_empty());
        let unnamed = GroupBy::Key { pattern: "(.*)".to_owned() };
        assert_eq!(group_mistakes(&unnamed, &webdataset, &["webdataset"]).len(), 1);
    }

    #[test]
    fn only_samples_are_grouped() {
        for kind in [StreamKind::Messages, StreamKind::Steps] {
            let stream = StreamSchema { kind, ..plan().streams[0].clone() };
            let plan = SourcePlan { streams: vec![stream], ..plan() };
            let samples = Samples { plan: &plan, format: "x", key_column: None };
            assert_eq!(group_mistakes(&field("episode_id", None), &samples, &[]).len(), 1, "{kind}");
        }
    }

    #[test]
    fn columns_of_steps_are_their_own() {
        let streams = grouped_streams(&plan().streams);
        let names: Vec<&str> = streams[0].features.iter().map(|it| it.name.as_str()).collect();
        let expected = [
            "step_index",
            "episode_id",
            "frame",
            "source.timestamp_ns",
            "score",
            "state",
            "source.episode_index",
        ];
        assert_eq!((streams[0].id, streams[0].kind), (StreamId(0), StreamKind::Steps));
        assert_eq!(names, expected);
        assert_eq!(streams[0].features[0], step_index());
    }
}
