use std::{collections::BTreeMap, path::Path, sync::Arc};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use parquet::file::{metadata::ParquetMetaData, writer::SerializedFileWriter};
use rayon::prelude::*;

use crate::{
    digest::{Digests, HashingFile},
    encode::{Sealed, ShardFacts, ShardId},
    staging::{Staging, write_error},
    table::Table,
};

/// A finished shard file.
pub(crate) struct SealedShard {
    pub(crate) path: String,
    pub(crate) facts: ShardFacts,
    pub(crate) digests: Digests,
    pub(crate) n_row_groups: u64,
    pub(crate) pages: Vec<PageEntry>,
}

/// One data or dictionary page of a shard.
pub(crate) struct PageEntry {
    pub(crate) row_group: u32,
    pub(crate) column: Arc<str>,
    pub(crate) offset: u64,
    pub(crate) n_bytes: u64,
    /// First row, counted from the row group's; -1 for a dictionary page.
    pub(crate) first_row: i64,
}

/// Writes encoded row groups to shard files.
pub(crate) struct Sink {
    staging: Arc<Staging>,
    tables: Vec<Arc<Table>>,
    folders: Vec<String>,
    splits: Vec<String>,
    open: BTreeMap<(usize, usize), ShardFile>,
    done: Vec<SealedShard>,
}

struct ShardFile {
    path: String,
    writer: SerializedFileWriter<HashingFile>,
}

impl Sink {
    pub(crate) fn new(
        staging: Arc<Staging>,
        tables: Vec<Arc<Table>>,
        folders: Vec<String>,
        splits: Vec<String>,
    ) -> Self {
        Self { staging, tables, folders, splits, open: BTreeMap::new(), done: Vec::new() }
    }

    /// Writes what the encoder sealed; files are independent of each other and are written side by side.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn write(&mut self, sealed: Vec<Sealed>) -> Result<()> {
        let mut queues: BTreeMap<(usize, usize), Vec<Sealed>> = BTreeMap::new();
        for item in sealed {
            let id = match &item {
                Sealed::RowGroup { shard, .. } => *shard,
                Sealed::Shard(facts) => facts.id,
            };
            queues.entry((id.stream, id.split)).or_default().push(item);
        }
        let mut work: Vec<_> =
            queues.into_iter().map(|(key, queue)| (key, self.open.remove(&key), queue, Vec::new())).collect();
        let this = &*self;
        work.par_iter_mut().with_max_len(1).try_for_each(|(_, open, queue, done)| {
            for item in std::mem::take(queue) {
                this.write_one(open, item, done)?;
            }
            Ok::<(), Error>(())
        })?;
        for (key, open, _, done) in work {
            if let Some(file) = open {
                self.open.insert(key, file);
            }
            self.done.extend(done);
        }
        Ok(())
    }

    /// The finished shards by stream, split and number.
    pub(crate) fn finish(mut self) -> Vec<SealedShard> {
        self.done.sort_by_key(|it| it.facts.id);
        self.done
    }

    fn write_one(
        &self,
        open: &mut Option<ShardFile>,
        item: Sealed,
        done: &mut Vec<SealedShard>,
    ) -> Result<()> {
        match item {
            Sealed::RowGroup { shard, columns } => {
                let file = match open {
                    Some(file) => file,
                    None => open.insert(self.create(shard)?),
                };
                let path = Path::new(&file.path).to_owned();
                let mut group = file.writer.next_row_group().map_err(|err| shard_error(&path, err))?;
                for chunk in columns.into_iter().flatten() {
                    chunk.append_to_row_group(&mut group).map_err(|err| shard_error(&path, err))?;
                }
                group.close().map_err(|err| shard_error(&path, err))?;
                Ok(())
            }
            Sealed::Shard(facts) => {
                let file = match open.take() {
                    Some(file) => file,
                    None => self.create(facts.id)?,
                };
                done.push(self.close(file, *facts)?);
                Ok(())
            }
        }
    }

    fn create(&self, id: ShardId) -> Result<ShardFile> {
        let path = format!("{}/{}-{:05}.parquet", self.folders[id.stream], self.splits[id.split], id.number);
        let table = &self.tables[id.stream];
        let file = self.staging.file(&path)?;
        let writer =
            SerializedFileWriter::new(file, Arc::clone(&table.root), Arc::new(table.properties.clone()))
                .map_err(|err| shard_error(Path::new(&path), err))?;
        Ok(ShardFile { path, writer })
    }

    fn close(&self, file: ShardFile, facts: ShardFacts) -> Result<SealedShard> {
        let ShardFile { path, mut writer } = file;
        let table = &self.tables[facts.id.stream];
        for entry in table.footer(&facts.images) {
            writer.append_key_value_metadata(entry);
        }
        let at = |err| shard_error(Path::new(&path), err);
        let metadata = writer.finish().map_err(at)?;
        let digests = writer
            .inner_mut()
            .finish()
            .map_err(|err| write_error("cannot flush the shard", Path::new(&path), err))?;
        let n_rows = metadata.file_metadata().num_rows();
        if u64::try_from(n_rows) != Ok(facts.n_rows) {
            let message = format!("the shard holds {n_rows} rows where {} were written", facts.n_rows);
            return Err(Error::new(ErrorKind::Corrupt, message).at(Locus::path(&path)));
        }
        let pages = pages(&metadata);
        Ok(SealedShard { n_row_groups: metadata.num_row_groups() as u64, path, facts, digests, pages })
    }
}

/// Where every page lies, for ranged reads without the footer.
fn pages(metadata: &ParquetMetaData) -> Vec<PageEntry> {
    let columns = metadata.file_metadata().schema_descr().columns();
    let names: Vec<Arc<str>> = columns.iter().map(|it| it.path().string().into()).collect();
    let mut pages = Vec::new();
    for (idx, group) in metadata.row_groups().iter().enumerate() {
        let offsets = metadata.page_index_for_row_group(idx);
        for (column_idx, (column, name)) in group.columns().iter().zip(&names).enumerate() {
            let mut page = |offset: i64, n_bytes: i64, first_row| {
                pages.push(PageEntry {
                    row_group: idx as u32,
                    column: Arc::clone(name),
                    offset: offset as u64,
                    n_bytes: n_bytes as u64,
                    first_row,
                });
            };
            if let Some(offset) = column.dictionary_page_offset() {
                page(offset, column.data_page_offset().saturating_sub(offset), -1);
            }
            for location in offsets.page_locations(column_idx).into_iter().flatten() {
                page(location.offset, i64::from(location.compressed_page_size), location.first_row_index);
            }
        }
    }
    pages
}

fn shard_error(path: &Path, err: parquet::errors::ParquetError) -> Error {
    Error::new(ErrorKind::Io, "cannot write the shard").with_source(err).at(Locus::path(path))
}
