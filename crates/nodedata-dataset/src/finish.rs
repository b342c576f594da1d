use std::collections::BTreeMap;

use nodedata_core::{EpisodeInfo, InputFile, Result, SourcePlan, StreamSchema};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::{
    canonical::{canonical_json, pretty_json},
    card::card,
    content::content_root,
    digest::{b3_of, hex},
    encode::EpisodePart,
    episode_table::{EpisodePlace, EpisodeRow, episode_table},
    index::{self, OriginRow},
    index_video,
    ledger::{self, Ledger, Report, StreamLedger},
    manifest::{FileEntry, InputEntry, Manifest, ShardEntry, SplitEntry, StreamEntry},
    measure::Contents,
    nulls::nulls_of,
    page_table::page_table,
    provenance::{Making, recipe_hash},
    sample_index::{IndexTotals, sample_index},
    shard::SealedShard,
    staging::Staging,
    stats::FeatureStats,
    writer::{RunFacts, WriterOptions, created_by},
};

/// Makes the bytes of one table of the index.
type MakeTable<'a> = Box<dyn Fn() -> Result<Vec<u8>> + Send + Sync + 'a>;

/// Writes everything that describes the shards.
pub(crate) struct Finish<'a> {
    pub(crate) staging: &'a Staging,
    pub(crate) shards: Vec<SealedShard>,
    /// By stream and feature.
    pub(crate) stats: Vec<Vec<FeatureStats>>,
    pub(crate) contents: Contents,
    pub(crate) streams: &'a [StreamSchema],
    pub(crate) inputs: &'a [InputFile],
    pub(crate) episodes: &'a [EpisodeInfo],
    pub(crate) folders: &'a [String],
    pub(crate) options: &'a WriterOptions,
}

impl Finish<'_> {
    pub(crate) fn run(mut self, mut run: RunFacts<'_>) -> Result<(Manifest, Report)> {
        let ledger = self.complete_ledger(&run);
        ledger::check(&ledger)?;
        run.report.nulls = nulls_of(self.streams, &self.stats);
        (run.check_nulls)(&run.report.nulls)?;
        let contents = std::mem::take(&mut self.contents);
        let inputs = self.input_entries(run.input_digests);
        let created_by = created_by();
        let recipe = self.put("recipe.json", run.recipe.as_bytes())?;
        let making = Making {
            converter: run.converter,
            created_by: &created_by,
            recipe: &recipe,
            inputs: &inputs,
            access: self.options.access,
        };
        let (shards, provenance, provenance_root) = self.shard_entries(&making, &contents)?;
        let schema = self.put("schema.json", run.schema_json.as_bytes())?;
        let (attachments, attachment_paths) = self.put_attachments(&run)?;
        let (stats, index) = rayon::join(
            || self.put("stats.json", self.stats_json()?.as_bytes()),
            || self.put_index(&contents, &run, &attachment_paths),
        );
        let (stats, index) = (stats?, index?);
        let mut manifest = Manifest {
            nd: "manifest/1".to_owned(),
            created_by: [("tool".to_owned(), created_by.clone())].into(),
            recipe: recipe_hash(run.recipe, self.options.access, &inputs),
            recipe_file: Some(recipe),
            content_root: self.content_root(&contents),
            provenance_root,
            source: run.source.facts.clone(),
            splits: self.splits(&shards),
            streams: self.stream_entries(&shards),
            shards,
            schema,
            stats,
            index,
            provenance,
            // Filled in below: the card speaks of the rest of the manifest.
            readme: FileEntry { path: String::new(), b3: String::new(), sha256: None, bytes: 0 },
            attachments,
            ledger: ledger.clone(),
            n_damage: run.report.damage.iter().map(|it| it.times.max(1)).sum(),
            inputs,
        };
        manifest.readme = self.put("README.md", card(&manifest).as_bytes())?;
        let report = self.report(run, ledger, &manifest);
        self.staging.write("report.json", pretty_json(&report)?.as_bytes())?;
        self.staging.write("manifest.json", pretty_json(&manifest)?.as_bytes())?;
        Ok((manifest, report))
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<FileEntry> {
        Ok(FileEntry::new(path, self.staging.write(path, bytes)?))
    }

    /// The ledger with the rows that the shards' own footers count.
    fn complete_ledger(&self, run: &RunFacts<'_>) -> Ledger {
        let mut ledger = run.ledger.clone();
        for shard in &self.shards {
            let stream = &self.streams[shard.facts.id.stream];
            ledger.entry(stream.name.to_string()).or_default().written += shard.facts.n_rows;
        }
        ledger
    }

    fn content_root(&self, contents: &Contents) -> String {
        let parts = contents.iter().map(|((episode, stream), hash)| {
            let key = self.episodes.get(*episode).map_or("", |it| it.key.as_str());
            (key, &*self.streams[*stream].name, self.split_name(*episode), *hash)
        });
        content_root(parts)
    }

    fn split_name(&self, episode: usize) -> &str {
        let split = self.options.split_of_episode.get(episode).copied().unwrap_or(0);
        &self.options.splits[split]
    }

    fn input_entries(&self, digests: &[String]) -> Vec<InputEntry> {
        self.inputs
            .iter()
            .zip(digests)
            .map(|(input, b3)| InputEntry {
                path: input.path.display().to_string(),
                bytes: input.n_bytes,
                b3: b3.clone(),
            })
            .collect()
    }

    fn shard_entries(
        &self,
        making: &Making<'_>,
        contents: &Contents,
    ) -> Result<(Vec<ShardEntry>, FileEntry, String)> {
        let mut lines = String::new();
        let mut hashes = Vec::new();
        let mut entries = Vec::new();
        for shard in &self.shards {
            let id = shard.facts.id;
            let (stream, split) = (&*self.streams[id.stream].name, &*self.options.splits[id.split]);
            let (statement, hash) = making.statement(shard, stream, split);
            lines.push_str(&canonical_json(&statement));
            lines.push('\n');
            hashes.push(Value::from(hash.as_str()));
            let episodes = shard.facts.parts.iter().map(|it| it.episode as u64);
            let (first, last) = (episodes.clone().min().unwrap_or(0), episodes.max().unwrap_or(0));
            entries.push(ShardEntry {
                path: shard.path.clone(),
                stream: stream.to_owned(),
                split: split.to_owned(),
                b3: shard.digest.b3.clone(),
                sha256: None,
                bytes: shard.digest.bytes,
                rows: shard.facts.n_rows,
                row_groups: shard.n_row_groups,
                episodes: (first, last),
                content: self.shard_content(shard, contents),
                provenance: hash,
            });
        }
        let root = b3_of(canonical_json(&Value::Array(hashes)).as_bytes());
        Ok((entries, self.put("provenance.jsonl", lines.as_bytes())?, root))
    }

    /// Which logical rows a shard holds: per episode its content hash and how many of its rows.
    fn shard_content(&self, shard: &SealedShard, contents: &Contents) -> String {
        let stream = shard.facts.id.stream;
        let parts: Vec<Value> = shard
            .facts
            .parts
            .iter()
            .map(|part| {
                let content = contents.get(&(part.episode, stream)).map(|it| hex(it));
                json!([self.episodes[part.episode].key, content, part.rows.end - part.rows.start])
            })
            .collect();
        b3_of(canonical_json(&json!([&*self.streams[stream].name, shard.facts.id.number, parts])).as_bytes())
    }

    fn stats_json(&self) -> Result<String> {
        let mut streams = BTreeMap::new();
        for (stream, stats) in self.streams.iter().zip(&self.stats) {
            let features: BTreeMap<&str, _> =
                stream.features.iter().zip(stats).map(|(it, stats)| (&*it.name, stats.finish())).collect();
            streams.insert(&*stream.name, features);
        }
        pretty_json(&json!({"nd": "stats/1", "streams": streams}))
    }

    /// Writes what the source carries; returns the files, and the path of each attachment.
    fn put_attachments(&self, run: &RunFacts<'_>) -> Result<(Vec<FileEntry>, Vec<String>)> {
        let mut files: Vec<FileEntry> = Vec::new();
        let mut paths = Vec::new();
        for attachment in &run.source.attachments {
            let content = (run.content_of)(attachment)?;
            let path = format!("attachments/{}", blake3::hash(&content).to_hex());
            if !files.iter().any(|it| it.path == path) {
                files.push(self.put(&path, &content)?);
            }
            paths.push(path);
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok((files, paths))
    }

    fn put_index(
        &self,
        contents: &Contents,
        run: &RunFacts<'_>,
        attachment_paths: &[String],
    ) -> Result<BTreeMap<String, FileEntry>> {
        let rows = self.episode_rows(contents);
        let mut tables: Vec<(&str, MakeTable<'_>)> = vec![
            ("episodes", Box::new(|| episode_table(&rows))),
            ("pages", Box::new(|| page_table(self.shards.iter().map(|it| &it.pages)))),
            ("origins", Box::new(|| index::origin_table(self.origin_rows()))),
        ];
        let (videos, SourcePlan { attachments, .. }) = (run.videos, run.source);
        if !videos.is_empty() {
            tables.push((
                "video",
                Box::new(|| index_video::table(videos, self.streams, self.inputs, run.read_input)),
            ));
        }
        if !attachments.is_empty() {
            let table = || index::attachments(attachments, attachment_paths);
            tables.push(("attachments", Box::new(table)));
        }
        let put = |(name, table): &(&str, MakeTable<'_>)| {
            Ok(((*name).to_owned(), self.put(&format!("index/{name}.parquet"), &table()?)?))
        };
        let files: Vec<Result<(String, FileEntry)>> = tables.par_iter().with_max_len(1).map(put).collect();
        let mut files = files.into_iter().collect::<Result<BTreeMap<_, _>>>()?;
        let totals = IndexTotals {
            episodes: self.episodes.len() as u64,
            rows: self.shards.iter().map(|it| it.facts.n_rows).sum(),
            shards: self.shards.len() as u64,
            row_groups: self.shards.iter().map(|it| it.n_row_groups).sum(),
        };
        let head = sample_index(totals, &rows, &files)?;
        files.insert("sample_index".to_owned(), self.put("sample_index.json", head.as_bytes())?);
        Ok(files)
    }

    /// One row per (episode, stream, shard), and one for an episode without any row.
    fn episode_rows(&self, contents: &Contents) -> Vec<EpisodeRow<'_>> {
        let mut parts: Vec<Vec<(usize, &EpisodePart)>> = vec![Vec::new(); self.episodes.len()];
        for (idx, shard) in self.shards.iter().enumerate() {
            for part in &shard.facts.parts {
                parts[part.episode].push((idx, part));
            }
        }
        let mut rows = Vec::new();
        for ((episode, info), parts) in self.episodes.iter().enumerate().zip(parts) {
            let row = |place, content| EpisodeRow {
                episode: episode as u64,
                key: &info.key,
                split: self.split_name(episode),
                place,
                task: info.task.as_deref(),
                source: self.inputs[info.input].path.to_string_lossy(),
                content,
                metadata: &info.metadata,
            };
            if parts.is_empty() {
                rows.push(row(None, None));
            }
            for (idx, part) in parts {
                let stream = self.shards[idx].facts.id.stream;
                let place = EpisodePlace {
                    stream: &self.streams[stream].name,
                    shard: idx,
                    row: part.rows.start,
                    n_rows: part.rows.end - part.rows.start,
                    row_group: part.row_groups.start,
                    n_row_groups: part.row_groups.end - part.row_groups.start,
                    start_time_ns: part.start_time_ns,
                    end_time_ns: part.end_time_ns,
                };
                rows.push(row(Some(place), contents.get(&(episode, stream)).copied()));
            }
        }
        rows
    }

    fn origin_rows(&self) -> impl Iterator<Item = OriginRow<'_>> {
        let shards = self.shards.iter().enumerate();
        let origins =
            shards.flat_map(|(shard, sealed)| sealed.facts.origins.iter().map(move |it| (shard, it)));
        origins.map(move |(shard, origin)| OriginRow {
            shard,
            row: origin.row,
            n_rows: origin.n_rows,
            source: self.inputs.get(origin.input).map_or("".into(), |it| it.path.to_string_lossy()),
            byte_range: origin.byte_range.clone(),
            first_record: origin.first_record,
        })
    }

    fn splits(&self, shards: &[ShardEntry]) -> BTreeMap<String, SplitEntry> {
        let mut splits: BTreeMap<String, SplitEntry> =
            self.options.splits.iter().map(|it| (it.clone(), SplitEntry::default())).collect();
        for episode in 0..self.episodes.len() {
            splits.entry(self.split_name(episode).to_owned()).or_default().episodes += 1;
        }
        for shard in shards {
            let split = splits.entry(shard.split.clone()).or_default();
            split.rows += shard.rows;
            split.shards += 1;
        }
        splits
    }

    fn stream_entries(&self, shards: &[ShardEntry]) -> Vec<StreamEntry> {
        self.streams
            .iter()
            .zip(self.folders)
            .map(|(stream, folder)| StreamEntry {
                name: stream.name.to_string(),
                told_kind: Some(stream.kind),
                folder: folder.clone(),
                rows: shards.iter().filter(|it| *it.stream == *stream.name).map(|it| it.rows).sum(),
                metadata: stream.metadata.clone(),
            })
            .collect()
    }

    fn report(&self, run: RunFacts<'_>, ledger: Ledger, manifest: &Manifest) -> Report {
        let is_complete = manifest.n_damage == 0
            && run.report.repairs.is_empty()
            && run.report.not_read.left_out == 0
            && ledger.values().all(StreamLedger::is_complete);
        Report {
            nd: "report/1".to_owned(),
            result: if is_complete { "complete" } else { "incomplete" }.to_owned(),
            streams: ledger,
            episodes: self.episodes.len() as u64,
            input_bytes: self.inputs.iter().map(|it| it.n_bytes).sum(),
            output_bytes: manifest.shards.iter().map(|it| it.bytes).sum(),
            ..run.report
        }
    }
}
