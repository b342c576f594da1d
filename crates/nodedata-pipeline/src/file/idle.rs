use nodedata_core::{
    EpisodeInfo, Result, StreamSchema,
    patterns::{check_pattern, fits},
    placed::Mistake,
    suggest,
};
use nodedata_dataset::Dataset;
use nodedata_quality::FeatureName;

use super::Parsed;
use crate::SplitPlan;

impl Parsed {
    /// Quality rules about streams and features that are not there: they would never find anything.
    pub(crate) fn idle_rules(&self, streams: &[StreamSchema]) -> Vec<Mistake> {
        self.idle(&streams.iter().map(Named::of).collect::<Vec<_>>(), "source")
    }

    /// As for a source that does not have what the rules name, of a dataset.
    ///
    /// # Errors
    /// `Io` or `Corrupt` when a shard cannot be read.
    pub fn idle_rules_of(&self, dataset: &Dataset) -> Result<Vec<Mistake>> {
        let mut named = Vec::new();
        for stream in &dataset.manifest.streams {
            let shard = dataset.manifest.shards.iter().find(|it| it.stream == stream.name);
            let batch =
                shard.map(|it| Ok::<_, nodedata_core::Error>((it, dataset.shard(it)?.next()))).transpose()?;
            let Some((shard, Some(batch))) = batch else {
                // Without rows nobody can say which features it would have.
                named.push(Named { name: stream.name.clone(), features: None });
                continue;
            };
            let schema = dataset.stream_of(shard, &batch?.schema())?;
            named.push(Named { name: stream.name.clone(), ..Named::of(&schema) });
        }
        Ok(self.idle(&named, "dataset"))
    }

    fn idle(&self, streams: &[Named], what: &str) -> Vec<Mistake> {
        let Some(rules) = &self.file.quality else { return Vec::new() };
        let names: Vec<&str> = streams.iter().map(|it| it.name.as_str()).collect();
        let mut mistakes = Vec::new();
        for bounds in rules.rates.iter().filter(|it| !names.contains(&it.stream.as_str())) {
            let path = format!("quality.rate.streams.{}", bounds.stream);
            let message = format!("the {what} has no stream `{}`", bounds.stream);
            let hint = suggest(&bounds.stream, names.iter().copied());
            mistakes.push(Mistake::new(self.places.of(&path), message).with_hint(hint));
        }
        for bounds in &rules.ranges {
            let is_name = |wanted: &str, name: &str| wanted == name;
            let (stream, feature) = (bounds.stream.as_deref(), bounds.feature.as_str());
            let key = |it: &str| format!("quality.range.features.{it}");
            mistakes.extend(self.unknown_feature(streams, stream, feature, &is_name, &key, what));
        }
        for (idx, FeatureName { stream, feature }) in rules.null_fields.iter().enumerate() {
            let place = format!("quality.nulls.fields[{idx}]");
            let malformed =
                [stream.as_ref(), Some(feature)].into_iter().flatten().find_map(|it| check_pattern(it).err());
            if let Some(err) = malformed {
                let hint = err.hint().unwrap_or_default().to_owned();
                mistakes.push(Mistake::new(self.places.of(&place), err.to_string()).with_hint(hint));
                continue;
            }
            let key = |_: &str| place.clone();
            mistakes.extend(self.unknown_feature(streams, stream.as_deref(), feature, &fits, &key, what));
        }
        mistakes
    }

    /// The mistake of a feature that no stream has; `None` where one has it, or may have it.
    fn unknown_feature(
        &self,
        streams: &[Named],
        stream: Option<&str>,
        feature: &str,
        is_name: &dyn Fn(&str, &str) -> bool,
        key: &dyn Fn(&str) -> String,
        what: &str,
    ) -> Option<Mistake> {
        let of_stream: Vec<&Named> =
            streams.iter().filter(|it| stream.is_none_or(|name| is_name(name, &it.name))).collect();
        let written = stream.map_or_else(|| feature.to_owned(), |it| format!("{it}.{feature}"));
        let place = self.places.of(&key(&written));
        if let Some(stream) = stream.filter(|_| of_stream.is_empty()) {
            let mistake = Mistake::new(&place, format!("the {what} has no stream `{stream}`"));
            return Some(mistake.with_hint(suggest(stream, streams.iter().map(|it| it.name.as_str()))));
        }
        if of_stream.iter().any(|it| it.features.is_none()) {
            return None;
        }
        let features: Vec<&str> =
            of_stream.iter().flat_map(|it| it.features.iter().flatten()).map(String::as_str).collect();
        if features.iter().any(|it| is_name(feature, it)) {
            return None;
        }
        let mistake = Mistake::new(&place, format!("the {what} has no feature `{written}`"));
        Some(mistake.with_hint(suggest(feature, features)))
    }

    /// Names in the lists of `splits` that no episode has: they would put nothing anywhere.
    pub(crate) fn idle_splits(&self, episodes: &[EpisodeInfo]) -> Vec<Mistake> {
        let SplitPlan::Lists(lists) = &self.file.splits else { return Vec::new() };
        let mut mistakes = Vec::new();
        for (split, names) in lists {
            // All episodes there are: that may be none.
            for (idx, name) in names.iter().enumerate().filter(|(_, it)| *it != "*") {
                if episodes.iter().any(|it| fits(name, &it.key)) {
                    continue;
                }
                let place = self.places.of(&format!("splits.{split}[{idx}]"));
                let mistake = Mistake::new(&place, format!("the source has no episode `{name}`"));
                mistakes.push(mistake.with_hint(suggest(name, episodes.iter().map(|it| it.key.as_str()))));
            }
        }
        mistakes
    }
}

/// A stream, and its features where they are known.
struct Named {
    name: String,
    features: Option<Vec<String>>,
}

impl Named {
    fn of(stream: &StreamSchema) -> Self {
        let features = stream.features.iter().map(|it| it.name.clone());
        Self { name: stream.name.to_string(), features: Some(features.collect()) }
    }
}
