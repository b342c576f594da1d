use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow_array::RecordBatch;
use nodedata_core::{Fact, Result};

use crate::{
    entries::Columns,
    episode_table::{EpisodePlace, EpisodeRow, episode_table},
    index::{OriginRow, origin_table, table_of},
    manifest::{FileEntry, Manifest},
    page_table::page_table,
    sample_index::{IndexTotals, sample_index},
    without::{Remaking, misfit, put},
};

/// The head of the index, which names the others.
const HEAD: &str = "sample_index";

impl Remaking<'_> {
    /// Every table of the index, and what the manifest says of it.
    pub(super) fn remake_index(
        &self,
        manifest: &mut Manifest,
        files: &mut BTreeMap<String, Vec<u8>>,
    ) -> Result<()> {
        let metadata: Vec<BTreeMap<Arc<str>, Fact>> =
            (0..self.table.len()).map(|it| self.facts(it)).collect();
        let rows = self.episode_rows(&metadata)?;
        let names: Vec<String> = manifest.index.keys().cloned().collect();
        for name in names.iter().filter(|it| *it != HEAD) {
            let bytes = match name.as_str() {
                "episodes" => episode_table(&rows)?,
                "pages" => self.pages()?,
                "origins" => self.origins()?,
                // Tables of episodes: by position, or by split and key.
                _ => self.rows_that_stay(name)?,
            };
            self.replace(manifest, name, bytes, files);
        }
        self.drop_attachments(manifest)?;
        if let Some(head) = manifest.index.get(HEAD).cloned() {
            let mut tables = manifest.index.clone();
            tables.remove(HEAD);
            let episodes: BTreeSet<u64> = rows.iter().map(|it| it.episode).collect();
            let totals = IndexTotals {
                episodes: episodes.len() as u64,
                rows: manifest.shards.iter().map(|it| it.rows).sum(),
                shards: manifest.shards.len() as u64,
                row_groups: manifest.shards.iter().map(|it| it.row_groups).sum(),
            };
            let text = sample_index(totals, &rows, &tables)?;
            manifest.index.insert(HEAD.to_owned(), put(files, &head.path, text.into_bytes()));
        }
        Ok(())
    }

    fn replace(
        &self,
        manifest: &mut Manifest,
        name: &str,
        bytes: Vec<u8>,
        files: &mut BTreeMap<String, Vec<u8>>,
    ) {
        if let Some(entry) = self.dataset.manifest.index.get(name) {
            let entry: FileEntry = put(files, &entry.path, bytes);
            manifest.index.insert(name.to_owned(), entry);
        }
    }

    fn facts(&self, row: usize) -> BTreeMap<Arc<str>, Fact> {
        self.table.metadata(row).into_iter().map(|(name, it)| (name.into(), it)).collect()
    }

    fn episode_rows<'a>(&'a self, metadata: &'a [BTreeMap<Arc<str>, Fact>]) -> Result<Vec<EpisodeRow<'a>>> {
        let mut rows = Vec::new();
        for (entry, metadata) in self.table.iter().zip(metadata) {
            if self.has_gone(entry.split, entry.key) {
                continue;
            }
            let place = match entry.stream {
                None => None,
                Some(stream) => {
                    let (kept, shard) =
                        self.left_out.shards.get(entry.shard).zip(self.position(entry.shard)).ok_or_else(
                            || misfit(format!("episode {} lies in a shard that is not there", entry.episode)),
                        )?;
                    let row = kept.place(entry.row);
                    let groups = (u64::from(entry.row_group), u64::from(entry.n_row_groups));
                    let written = self.written.get(entry.shard).and_then(Option::as_ref);
                    let groups = written.map_or(groups, |it| it.groups_of(row, entry.n_rows));
                    Some(EpisodePlace {
                        stream,
                        shard,
                        row,
                        n_rows: entry.n_rows,
                        row_group: groups.0,
                        n_row_groups: groups.1,
                        start_time_ns: entry.start_time_ns,
                        end_time_ns: entry.end_time_ns,
                    })
                }
            };
            rows.push(EpisodeRow {
                episode: entry.episode,
                key: entry.key,
                split: entry.split,
                place,
                task: entry.task,
                source: entry.source.into(),
                content: entry.content,
                metadata,
            });
        }
        Ok(rows)
    }

    fn position(&self, shard: usize) -> Option<usize> {
        self.positions.get(shard).copied().flatten()
    }

    fn pages(&self) -> Result<Vec<u8>> {
        let old = self.dataset.all_pages()?;
        let stay = old.iter().enumerate().filter(|(shard, _)| self.position(*shard).is_some());
        let of_shard = stay.map(|(shard, pages)| {
            let written = self.written.get(shard).and_then(Option::as_ref);
            written.map_or(pages, |it| &it.pages)
        });
        page_table(of_shard)
    }

    fn origins(&self) -> Result<Vec<u8>> {
        let old = self.dataset.origins()?;
        let mut rows = Vec::new();
        for origin in &old {
            let found = self.left_out.shards.get(origin.shard).zip(self.position(origin.shard));
            let Some((kept, shard)) = found else { continue };
            for part in kept.parts(origin.row..origin.row.saturating_add(origin.n_rows)) {
                rows.push(OriginRow {
                    shard,
                    row: kept.place(part.start),
                    n_rows: part.end - part.start,
                    source: origin.source.as_str().into(),
                    byte_range: origin.byte_start..origin.byte_end,
                    first_record: origin.first_record.saturating_add(part.start - origin.row),
                });
            }
        }
        origin_table(rows.into_iter())
    }

    /// A table whose rows are about episodes, without those of episodes that go.
    fn rows_that_stay(&self, name: &str) -> Result<Vec<u8>> {
        let (schema, batches) = self.dataset.index_batches(name)?;
        let mut kept = Vec::new();
        for batch in &batches {
            let mut start = 0;
            for row in 0..batch.num_rows() {
                if self.row_goes(batch, row)? {
                    kept.push(batch.slice(start, row - start));
                    start = row + 1;
                }
            }
            kept.push(batch.slice(start, batch.num_rows() - start));
        }
        kept.retain(|it| it.num_rows() > 0);
        table_of(&schema, &kept)
    }

    fn row_goes(&self, batch: &RecordBatch, row: usize) -> Result<bool> {
        let table = Columns(batch);
        let has = |name: &str| batch.schema_ref().index_of(name).is_ok();
        if has("split") && has("episode_key") {
            return Ok(self.has_gone(&table.text("split", row)?, &table.text("episode_key", row)?));
        }
        if has("episode_index") {
            return Ok(self.left_out.episodes.contains(&table.episode(row)?));
        }
        Ok(false)
    }

    /// Files that the source carried for episodes that go, and for no other.
    fn drop_attachments(&self, manifest: &mut Manifest) -> Result<()> {
        if manifest.attachments.is_empty() {
            return Ok(());
        }
        let (mut gone, mut stay) = (BTreeSet::new(), BTreeSet::new());
        for attachment in self.dataset.attachments()? {
            let goes = self.left_out.episodes.contains(&attachment.episode);
            if goes { &mut gone } else { &mut stay }.insert(attachment.path);
        }
        manifest.attachments.retain(|it| stay.contains(&it.path) || !gone.contains(&it.path));
        Ok(())
    }
}
