use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nodedata_core::{DatasetFacts, Fact, Result, STEPS, StreamKind, visible::visible};
use nodedata_dataset::{
    EpisodePlace, EpisodeRow, FileEntry, IndexTotals, Manifest, OriginRow, ShardEntry, SplitEntry,
    StreamEntry, StreamLedger, canonical_json, created_by, episode_table, origin_table, page_table,
    pretty_json, sample_index,
};
use nodedata_schema::Mode;
use serde_json::{Value, json};

use crate::{
    digest::B3,
    folder::{
        CardFacts, Draft, Origin,
        card::card,
        plain::{PlainModel, PlainShard},
    },
    record::{BlobRef, ShardRef, SplitRef},
    tables::write_contents,
};

/// The rows of plain shards say nothing else of their episodes.
static NO_METADATA: BTreeMap<Arc<str>, Fact> = BTreeMap::new();

impl PlainModel {
    /// Everything that describes the shards, and a manifest that `validate` checks.
    pub(crate) fn render(&self, facts: &CardFacts) -> Result<Draft> {
        let positions = self.positions();
        let statements: Vec<(String, B3)> = self.shards.iter().map(statement).collect::<Result<_>>()?;
        let hashes: Vec<Value> = statements.iter().map(|(_, hash)| Value::from(hash.to_string())).collect();
        let provenance_root = B3::of(canonical_json(&Value::Array(hashes)).as_bytes());
        let contents = self.contents();
        let mut draft = Draft {
            shards: self.shard_refs(&positions, &statements),
            files: Vec::new(),
            roles: BTreeMap::new(),
            sources: BTreeMap::new(),
            schema_mode: self.schema.mode.map_or("declared", Mode::name).to_owned(),
            splits: self.splits(),
            contents,
            provenance_root,
            warnings: self.whole_chunks().into_iter().collect(),
        };
        for shard in &self.shards {
            if let Some(file) = &shard.file {
                draft.sources.insert(shard.blob.b3, Origin::File(file.clone()));
            }
        }
        let mut index = BTreeMap::new();
        let rows = self.episode_rows(&positions);
        let mut table = |draft: &mut Draft, name: &str, path: &str, bytes: Vec<u8>| {
            let blob = draft.put(name, path, bytes);
            index.insert(name.to_owned(), entry(path, &blob));
        };
        table(&mut draft, "episodes", "index/episodes.parquet", episode_table(&rows)?);
        let pages = page_table(self.shards.iter().map(|it| &it.pages))?;
        table(&mut draft, "pages", "index/pages.parquet", pages);
        table(&mut draft, "origins", "index/origins.parquet", origin_table(self.origin_rows())?);
        let contents = write_contents(&draft.contents)?;
        table(&mut draft, "contents", "index/contents.parquet", contents);
        let totals = IndexTotals {
            episodes: rows.len() as u64,
            rows: self.shards.iter().map(|it| it.rows).sum(),
            shards: self.shards.len() as u64,
            row_groups: self.shards.iter().map(|it| it.row_groups).sum(),
        };
        let head = sample_index(totals, &rows, &index)?;
        let blob = draft.put("sample_index", "sample_index.json", head.into_bytes());
        index.insert("sample_index".to_owned(), entry("sample_index.json", &blob));
        self.put_manifest(&mut draft, index, &statements, facts)?;
        Ok(draft)
    }

    /// What whoever pushes chunks of lists without an index of their pages should know: one row costs all of a chunk.
    fn whole_chunks(&self) -> Option<String> {
        let all = self.shards.iter().flat_map(|shard| shard.whole.iter().map(move |it| (shard, it)));
        let (shard, largest) = all.clone().max_by_key(|(_, it)| it.bytes)?;
        let what = match all.count() {
            1 => "a column chunk of more than 64 MiB is".to_owned(),
            n => format!("{n} column chunks of more than 64 MiB are"),
        };
        Some(format!(
            "{what} only readable as a whole, the largest with {} MiB: `{}` in row group {} of {}; pyarrow's \
             `write_table(…, write_page_index=True)` says where its pages lie, and a smaller `row_group_size` makes chunks smaller",
            largest.bytes >> 20,
            visible(&largest.column),
            largest.row_group,
            visible(&shard.path),
        ))
    }

    fn put_manifest(
        &self,
        draft: &mut Draft,
        index: BTreeMap<String, FileEntry>,
        statements: &[(String, B3)],
        facts: &CardFacts,
    ) -> Result<()> {
        let lines: String = statements.iter().map(|(line, _)| format!("{line}\n")).collect();
        let mut put = |role: &str, path: &str, bytes: Vec<u8>| entry(path, &draft.put(role, path, bytes));
        let schema = put("schema", "schema.json", self.schema.to_json().into_bytes());
        let stats = put("stats", "stats.json", pretty_json(&self.stats())?.into_bytes());
        let provenance = put("provenance", "provenance.jsonl", lines.into_bytes());
        let readme = put("readme", "README.md", card(self, facts).into_bytes());
        let rows: u64 = self.shards.iter().map(|it| it.rows).sum();
        let addresses: Vec<Value> = self.shards.iter().map(|it| json!([it.path, it.blob.b3.hex()])).collect();
        let recipe = B3::of(canonical_json(&json!({"push": 1, "shards": addresses})).as_bytes());
        let manifest = Manifest {
            nd: "manifest/1".to_owned(),
            created_by: [("tool".to_owned(), created_by())].into(),
            recipe: recipe.to_string(),
            recipe_file: None,
            content_root: draft.contents.root().to_string(),
            provenance_root: draft.provenance_root.to_string(),
            source: DatasetFacts::default(),
            inputs: Vec::new(),
            splits: self.split_entries(),
            streams: vec![StreamEntry {
                told_kind: Some(StreamKind::Steps),
                name: STEPS.to_owned(),
                folder: "data".to_owned(),
                rows,
                metadata: BTreeMap::new(),
            }],
            shards: draft.shards.iter().map(shard_entry).collect(),
            schema,
            stats,
            index,
            provenance,
            readme,
            attachments: Vec::new(),
            ledger: [(
                STEPS.to_owned(),
                StreamLedger { read: rows, written: rows, ..StreamLedger::default() },
            )]
            .into(),
            n_damage: 0,
        };
        draft.put("manifest", "manifest.json", pretty_json(&manifest)?.into_bytes());
        Ok(())
    }

    /// Position of each episode in the dataset: what the rows say, when that is one number each.
    fn positions(&self) -> Vec<Vec<i64>> {
        let all = || self.shards.iter().flat_map(|it| &it.episodes);
        let told: BTreeSet<i64> = all().filter_map(|it| it.index).collect();
        let is_unique = told.len() == all().count() && told.first().is_none_or(|it| *it >= 0);
        let mut next = 0;
        let position = |told: Option<i64>, next: &mut i64| {
            let ordinal = *next;
            *next += 1;
            if is_unique { told.unwrap_or(ordinal) } else { ordinal }
        };
        let shards = self.shards.iter();
        shards.map(|it| it.episodes.iter().map(|it| position(it.index, &mut next)).collect()).collect()
    }

    fn shard_refs(&self, positions: &[Vec<i64>], statements: &[(String, B3)]) -> Vec<ShardRef> {
        let shards = self.shards.iter().zip(positions).zip(statements);
        shards
            .map(|((shard, positions), (_, provenance))| {
                let first = positions.iter().min().copied().unwrap_or(0);
                let last = positions.iter().max().copied().unwrap_or(0);
                let parts: Vec<Value> =
                    shard.episodes.iter().map(|it| json!([it.key, it.hash.hex(), it.rows])).collect();
                ShardRef {
                    path: shard.path.clone(),
                    stream: STEPS.to_owned(),
                    split: shard.split.clone(),
                    blob: shard.blob.clone(),
                    rows: shard.rows,
                    row_groups: shard.row_groups,
                    episodes: (first as u64, last as u64),
                    content: B3::of(canonical_json(&json!([STEPS, parts])).as_bytes()),
                    provenance: *provenance,
                }
            })
            .collect()
    }

    fn splits(&self) -> BTreeMap<String, SplitRef> {
        let mut splits: BTreeMap<String, SplitRef> =
            self.schema.splits.iter().map(|it| (it.clone(), SplitRef::default())).collect();
        for shard in &self.shards {
            let split = splits.entry(shard.split.clone()).or_default();
            split.shards += 1;
            split.frames += shard.rows;
            split.episodes += shard.episodes.len() as u64;
        }
        splits
    }

    fn split_entries(&self) -> BTreeMap<String, SplitEntry> {
        self.splits().into_iter().map(|(name, it)| (name, it.entry())).collect()
    }

    fn episode_rows(&self, positions: &[Vec<i64>]) -> Vec<EpisodeRow<'_>> {
        let mut rows = Vec::new();
        for (idx, (shard, positions)) in self.shards.iter().zip(positions).enumerate() {
            for (episode, position) in shard.episodes.iter().zip(positions) {
                rows.push(EpisodeRow {
                    episode: *position as u64,
                    key: &episode.key,
                    split: &shard.split,
                    place: Some(EpisodePlace {
                        stream: STEPS,
                        shard: idx,
                        row: episode.row,
                        n_rows: episode.rows,
                        row_group: u64::from(episode.row_group),
                        n_row_groups: u64::from(episode.row_groups),
                        start_time_ns: None,
                        end_time_ns: None,
                    }),
                    task: None,
                    source: shard.path.as_str().into(),
                    content: Some(episode.hash.0),
                    metadata: &NO_METADATA,
                });
            }
        }
        rows
    }

    /// All that is known of a shard that somebody else wrote: its rows come from its own bytes.
    fn origin_rows(&self) -> impl Iterator<Item = OriginRow<'_>> {
        self.shards.iter().enumerate().map(|(shard, it)| OriginRow {
            shard,
            row: 0,
            n_rows: it.rows,
            source: it.path.as_str().into(),
            byte_range: 0..it.blob.bytes,
            first_record: 0,
        })
    }

    /// What the footers told, by shard.
    fn stats(&self) -> Value {
        let shards: BTreeMap<&str, _> = self.shards.iter().map(|it| (it.path.as_str(), &it.stats)).collect();
        json!({"nd": "stats/1", "streams": {}, "shards": shards})
    }
}

fn entry(path: &str, blob: &BlobRef) -> FileEntry {
    FileEntry {
        path: path.to_owned(),
        b3: blob.b3.hex(),
        sha256: Some(blob.sha256.clone()),
        bytes: blob.bytes,
    }
}

fn shard_entry(shard: &ShardRef) -> ShardEntry {
    ShardEntry {
        path: shard.path.clone(),
        stream: shard.stream.clone(),
        split: shard.split.clone(),
        b3: shard.blob.b3.hex(),
        sha256: Some(shard.blob.sha256.clone()),
        bytes: shard.blob.bytes,
        rows: shard.rows,
        row_groups: shard.row_groups,
        episodes: shard.episodes,
        content: shard.content.to_string(),
        provenance: shard.provenance.to_string(),
    }
}

/// The in-toto statement of a shard that somebody else wrote: all that is known of its making is that it was
/// pushed as it is.
fn statement(shard: &PlainShard) -> Result<(String, B3)> {
    let digest = json!({"blake3": shard.blob.b3.hex(), "sha256": shard.blob.sha256});
    let subject = json!([{"name": shard.path, "digest": digest}]);
    let definition = json!({
        "buildType": "urn:nodedata:push:1",
        "externalParameters": {"stream": STEPS, "split": shard.split},
        "internalParameters": {"tool": created_by()},
        "resolvedDependencies": [{"name": shard.path, "digest": digest}],
    });
    let (statement, hash) = nodedata_dataset::statement(&subject, &definition, |_| None);
    Ok((canonical_json(&statement), hash.parse()?))
}
