use std::collections::BTreeMap;

use nodedata_core::{EPISODE_INDEX, Feature, Result, StreamSchema};
use nodedata_io::FolderFiles;
use serde_json::{Value, json};

use crate::{
    canonical::{canonical_json, pretty_json},
    digest::{b3_of, hex},
    episode_table::EpisodeEntry,
    ledger::{Report, StreamLedger},
    manifest::{Manifest, ShardEntry},
    nulls::{Nulls, nulls_of},
    provenance::statement,
    read::Dataset,
    stats::FeatureStats,
    without::{Remaking, misfit, put},
};

/// What the shards of a dataset hold, by position: rows of the index, in order.
type Contents<'a> = BTreeMap<usize, Vec<EpisodeEntry<'a>>>;

impl Remaking<'_> {
    /// Of what stays, by old position.
    pub(super) fn contents_by_shard(&self) -> Contents<'_> {
        let mut contents = Contents::new();
        for entry in self.table.iter().filter(|it| it.stream.is_some() && !self.has_gone(it.split, it.key)) {
            contents.entry(entry.shard).or_default().push(entry);
        }
        contents
    }

    /// The shards that stay, with a statement for each that was written again.
    pub(super) fn describe_shards(
        &self,
        manifest: &mut Manifest,
        contents: &Contents<'_>,
        files: &mut BTreeMap<String, Vec<u8>>,
    ) -> Result<()> {
        let old = &self.dataset.manifest;
        let statements = self.dataset.text(&old.provenance.path)?;
        let mut statements = statements.lines();
        let (mut shards, mut lines) = (Vec::new(), String::new());
        for (idx, entry) in old.shards.iter().enumerate() {
            let line = statements.next().unwrap_or("{}");
            if self.positions.get(idx).is_none_or(Option::is_none) {
                continue;
            }
            let Some(written) = self.written.get(idx).and_then(Option::as_ref) else {
                shards.push(entry.clone());
                lines.push_str(line);
                lines.push('\n');
                continue;
            };
            let parts = contents.get(&idx).map(Vec::as_slice).unwrap_or_default();
            let told = parts.iter().map(|it| json!([it.key, it.content.map(|it| hex(&it)), it.n_rows]));
            let told: Vec<Value> = told.collect();
            let episodes = || parts.iter().map(|it| it.episode);
            let mut shard = ShardEntry {
                b3: written.b3.clone(),
                sha256: None,
                bytes: written.bytes,
                rows: written.group_rows.iter().sum(),
                row_groups: written.group_rows.len() as u64,
                episodes: (episodes().min().unwrap_or(0), episodes().max().unwrap_or(0)),
                content: b3_of(canonical_json(&json!([entry.stream, told])).as_bytes()),
                ..entry.clone()
            };
            let (statement, hash) = self.statement_of(entry, &shard);
            shard.provenance = hash;
            lines.push_str(&canonical_json(&statement));
            lines.push('\n');
            shards.push(shard);
        }
        let hashes: Vec<Value> = shards.iter().map(|it| Value::from(it.provenance.as_str())).collect();
        manifest.provenance_root = b3_of(canonical_json(&Value::Array(hashes)).as_bytes());
        manifest.provenance = put(files, &old.provenance.path, lines.into_bytes());
        manifest.shards = shards;
        Ok(())
    }

    /// That a shard is another one without some of its rows: which episodes these were is not told.
    fn statement_of(&self, old: &ShardEntry, new: &ShardEntry) -> (Value, String) {
        let mut external = json!({"stream": new.stream, "split": new.split});
        if let Some(recipe) = &self.dataset.manifest.recipe_file {
            external["recipe"] = json!({"name": recipe.path, "digest": {"blake3": recipe.b3}});
        }
        let definition = json!({
            "buildType": "urn:nodedata:without:1",
            "externalParameters": external,
            "internalParameters": {"tool": crate::writer::created_by()},
            "resolvedDependencies": [{
                "name": old.path,
                "digest": {"blake3": old.b3},
                "annotations": {"provenance": old.provenance, "rows": old.rows},
            }],
        });
        let subject = json!([{"name": new.path, "digest": {"blake3": new.b3}}]);
        statement(&subject, &definition, |hash| Some(json!({"provenance": hash})))
    }

    /// Statistics of the streams that lose rows, from the rows that stay.
    pub(super) fn remeasure(
        &self,
        measured: &[(StreamSchema, Vec<FeatureStats>)],
        manifest: &mut Manifest,
        files: &mut BTreeMap<String, Vec<u8>>,
    ) -> Result<()> {
        let path = self.dataset.manifest.stats.path.clone();
        let unreadable = || misfit("the statistics cannot be read".to_owned());
        let mut stats: serde_json::Map<String, Value> = serde_json::from_slice(&self.dataset.bytes(&path)?)
            .map_err(|err| unreadable().with_source(err))?;
        let streams = stats.entry("streams").or_insert_with(|| json!({}));
        let streams = streams.as_object_mut().ok_or_else(unreadable)?;
        for (stream, measured) in measured {
            let features: BTreeMap<&str, _> =
                stream.features.iter().zip(measured).map(|(it, stats)| (&*it.name, stats.finish())).collect();
            let features = serde_json::to_value(features).map_err(std::io::Error::from)?;
            streams.insert(stream.name.to_string(), features);
        }
        manifest.stats = put(files, &path, pretty_json(&stats)?.into_bytes());
        Ok(())
    }

    /// The streams that lose rows.
    pub(super) fn measured(&self) -> Result<Vec<(StreamSchema, Vec<FeatureStats>)>> {
        let shards = self.dataset.manifest.shards.iter().zip(&self.left_out.shards);
        let touched: std::collections::BTreeSet<&str> =
            shards.filter(|(_, it)| it.is_touched()).map(|(entry, _)| entry.stream.as_str()).collect();
        touched.into_iter().map(|it| self.measure(it)).collect()
    }

    fn measure(&self, stream: &str) -> Result<(StreamSchema, Vec<FeatureStats>)> {
        let rewritten = self.dataset.through(std::sync::Arc::new(FolderFiles::new(self.to)));
        let mut found: Option<(StreamSchema, Vec<FeatureStats>)> = None;
        for (idx, entry) in self.dataset.manifest.shards.iter().enumerate() {
            if entry.stream != stream {
                continue;
            }
            let is_written = self.written.get(idx).is_some_and(Option::is_some);
            let from: &Dataset = if is_written { &rewritten } else { self.dataset };
            let schema = from.stream_of(entry, from.parquet(&entry.path)?.builder.schema())?;
            let (first, stats) = found.get_or_insert_with(|| {
                let stats = schema.features.iter().map(FeatureStats::new).collect();
                (schema.clone(), stats)
            });
            // A measurement takes values of one form.
            if !first.features.iter().map(form).eq(schema.features.iter().map(form)) {
                return Err(misfit(format!("`{}` has other columns than the shards before it", entry.path)));
            }
            if self.positions.get(idx).is_none_or(Option::is_none) {
                continue;
            }
            for batch in from.shard(entry)? {
                self.progress.go_on()?;
                let batch = batch?;
                let schema = batch.schema();
                let columns = schema.fields().iter().zip(batch.columns());
                let columns = columns.filter(|(field, _)| field.name() != EPISODE_INDEX);
                for (stats, (_, column)) in stats.iter_mut().zip(columns) {
                    stats.update(column.as_ref());
                }
            }
        }
        found.ok_or_else(|| misfit(format!("stream `{stream}` has no shard")))
    }

    /// `report.json`, where there is one: it tells of the run, and of what is there.
    pub(super) fn remake_report(
        &self,
        measured: &[(StreamSchema, Vec<FeatureStats>)],
        manifest: &Manifest,
        files: &mut BTreeMap<String, Vec<u8>>,
    ) -> Result<()> {
        let path = "report.json";
        if !self.dataset.files().list()?.iter().any(|it| it.as_os_str() == path) {
            return Ok(());
        }
        let report = self.dataset.report()?;
        let mut nulls: Nulls = report.nulls.clone();
        nulls.retain(|stream, _| !measured.iter().any(|(it, _)| *it.name == **stream));
        for (stream, stats) in measured {
            nulls.extend(nulls_of(std::slice::from_ref(stream), std::slice::from_ref(stats)));
        }
        let is_complete =
            report.result == "complete" && manifest.ledger.values().all(StreamLedger::is_complete);
        let episodes = report.episodes.saturating_sub(self.left_out.episodes.len() as u64);
        let report = Report {
            result: if is_complete { "complete" } else { "incomplete" }.to_owned(),
            streams: manifest.ledger.clone(),
            episodes,
            output_bytes: manifest.shards.iter().map(|it| it.bytes).sum(),
            nulls,
            ..report
        };
        files.insert(path.to_owned(), pretty_json(&report)?.into_bytes());
        Ok(())
    }
}

/// What decides whether values of two columns can be measured as one.
fn form(feature: &Feature) -> (&str, String, usize) {
    (&feature.name, feature.stored_dtype().to_string(), feature.dims().len())
}
