use std::{collections::BTreeMap, io::Write, path::Path, sync::Arc};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_io::io_error;
use parquet::file::writer::SerializedFileWriter;
use rayon::prelude::*;
use serde_json::Value;

use crate::{
    digest::{Digest, hex},
    encode::{Origin, Sealed, ShardFacts, ShardId},
    hashing_file::{HashingFile, Syncing},
    journal::{FORMAT, INPUTS, OriginRecord, RECORD, ShardRecord, UnitInput, UnitRecord, part_record},
    measure::StreamFacts,
    page_table::PageTable,
    pages::pages_of,
    staging::{Staging, UnitDir},
    stats::FeatureStats,
    table::Table,
};

/// A finished shard file.
pub(crate) struct SealedShard {
    /// In the dataset.
    pub(crate) path: String,
    pub(crate) facts: ShardFacts,
    pub(crate) digest: Digest,
    pub(crate) n_row_groups: u64,
    pub(crate) pages: PageTable,
}

/// Writes encoded row groups to shard files, unit by unit.
pub(crate) struct Sink {
    staging: Arc<Staging>,
    tables: Vec<Arc<Table>>,
    folders: Vec<String>,
    splits: Vec<String>,
    /// The unit at hand.
    dir: Option<UnitDir>,
    /// By stream.
    open: BTreeMap<usize, ShardFile>,
    done: Vec<Written>,
    /// The record written last: where one unit makes a dataset, it is asked for next.
    pub(crate) last_record: Option<UnitRecord>,
}

/// A finished shard, and what is on its way to the disk.
type Written = (SealedShard, Option<Syncing>);

struct ShardFile {
    path: String,
    writer: SerializedFileWriter<HashingFile>,
}

/// A unit whose shards are complete, but which has no name yet.
pub(crate) struct UnitFiles {
    pub(crate) unit: usize,
    dir: UnitDir,
    shards: Vec<SealedShard>,
    syncing: Vec<Option<Syncing>>,
    streams: BTreeMap<usize, StreamFacts>,
}

impl Sink {
    pub(crate) fn new(
        staging: Arc<Staging>,
        tables: Vec<Arc<Table>>,
        folders: Vec<String>,
        splits: Vec<String>,
    ) -> Self {
        let (open, done) = (BTreeMap::new(), Vec::new());
        Self { staging, tables, folders, splits, dir: None, open, done, last_record: None }
    }

    /// Writes what the encoder sealed; returns the units that are complete.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn write(&mut self, sealed: Vec<Sealed>) -> Result<Vec<UnitFiles>> {
        let mut units = Vec::new();
        let mut of_unit = Vec::new();
        for item in sealed {
            match item {
                Sealed::RowGroup { .. } | Sealed::Shard(_) => of_unit.push(item),
                Sealed::Unit(facts) => {
                    self.write_shards(std::mem::take(&mut of_unit))?;
                    let dir = match self.dir.take() {
                        Some(dir) => dir,
                        None => self.staging.unit_dir()?,
                    };
                    let (mut shards, syncing): (Vec<_>, _) =
                        std::mem::take(&mut self.done).into_iter().unzip();
                    shards.sort_by_key(|it: &SealedShard| it.facts.id);
                    units.push(UnitFiles { unit: facts.unit, dir, shards, syncing, streams: facts.streams });
                }
            }
        }
        self.write_shards(of_unit)?;
        Ok(units)
    }

    /// The files of a unit are independent of each other and are written side by side.
    fn write_shards(&mut self, sealed: Vec<Sealed>) -> Result<()> {
        let mut queues: BTreeMap<usize, Vec<Sealed>> = BTreeMap::new();
        for item in sealed {
            let stream = match &item {
                Sealed::RowGroup { shard, .. } => shard.stream,
                Sealed::Shard(facts) => facts.id.stream,
                Sealed::Unit(_) => continue,
            };
            queues.entry(stream).or_default().push(item);
        }
        if queues.is_empty() {
            return Ok(());
        }
        let dir = match self.dir.take() {
            Some(dir) => dir,
            None => self.staging.unit_dir()?,
        };
        let mut work: Vec<_> =
            queues.into_iter().map(|(key, queue)| (key, self.open.remove(&key), queue, Vec::new())).collect();
        let this = &*self;
        work.par_iter_mut().with_max_len(1).try_for_each(|(_, open, queue, done)| {
            for item in std::mem::take(queue) {
                this.write_one(&dir, open, item, done)?;
            }
            Ok::<(), Error>(())
        })?;
        self.dir = Some(dir);
        for (key, open, _, done) in work {
            if let Some(file) = open {
                self.open.insert(key, file);
            }
            self.done.extend(done);
        }
        Ok(())
    }

    /// Records a unit and gives it its name: from here on no run makes it again. `inputs` are those of its
    /// partitions, with their positions in the source.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn seal(
        &mut self,
        unit: UnitFiles,
        recipe: &str,
        inputs: Vec<(usize, UnitInput)>,
        run: Value,
    ) -> Result<()> {
        let UnitFiles { dir, shards, syncing, streams, .. } = unit;
        let (positions, inputs): (Vec<usize>, Vec<UnitInput>) = inputs.into_iter().unzip();
        let shards = shards
            .par_iter()
            .map(|shard| {
                let stream = shard.facts.id.stream;
                record(shard, &self.tables[stream], streams.get(&stream), &positions)
            })
            .collect();
        let proofs = serde_json::to_vec(&inputs).map_err(std::io::Error::from)?;
        dir.write(INPUTS, &proofs)?;
        let inputs = inputs.into_iter().map(|it| it.path).collect();
        let mut record = UnitRecord { nd: FORMAT.to_owned(), recipe: recipe.to_owned(), inputs, shards, run };
        dir.write(RECORD, &record.pack()?)?;
        for syncing in syncing.into_iter().flatten() {
            syncing.wait().map_err(|err| flush_error(unit_name(recipe), err))?;
        }
        self.staging.seal(dir, unit_name(recipe))?;
        self.staging.forget_rows(unit_name(recipe))?;
        tracing::info!(recipe = unit_name(recipe), shards = record.shards.len(), "unit is made");
        self.last_record = Some(record);
        Ok(())
    }

    fn write_one(
        &self,
        dir: &UnitDir,
        open: &mut Option<ShardFile>,
        item: Sealed,
        done: &mut Vec<Written>,
    ) -> Result<()> {
        match item {
            Sealed::RowGroup { shard, columns } => {
                let file = match open {
                    Some(file) => file,
                    None => open.insert(self.create(dir, shard)?),
                };
                let path = Path::new(&file.path).to_owned();
                let mut group = file.writer.next_row_group().map_err(|err| shard_error(&path, err))?;
                for chunk in columns.into_iter().flatten() {
                    chunk.append_to_row_group(&mut group).map_err(|err| shard_error(&path, err))?;
                }
                group.close().map_err(|err| shard_error(&path, err))?;
                let file = file.writer.inner_mut();
                file.flush().map_err(|err| io_error("cannot write the shard", &path, err))
            }
            Sealed::Shard(facts) => {
                let file = match open.take() {
                    Some(file) => file,
                    None => self.create(dir, facts.id)?,
                };
                done.push(self.close(file, *facts)?);
                Ok(())
            }
            // It ends the queues and is in none of them.
            Sealed::Unit(_) => Ok(()),
        }
    }

    fn create(&self, dir: &UnitDir, id: ShardId) -> Result<ShardFile> {
        let path = shard_path(&self.folders[id.stream], &self.splits[id.split], id.number);
        let table = &self.tables[id.stream];
        let file = dir.file(&file_name(id.stream))?;
        let writer =
            SerializedFileWriter::new(file, Arc::clone(&table.root), Arc::new(table.properties.clone()))
                .map_err(|err| shard_error(Path::new(&path), err))?;
        Ok(ShardFile { path, writer })
    }

    fn close(&self, file: ShardFile, facts: ShardFacts) -> Result<Written> {
        let ShardFile { path, mut writer } = file;
        let table = &self.tables[facts.id.stream];
        for entry in table.footer(&facts.shown, &facts.frames) {
            writer.append_key_value_metadata(entry);
        }
        let at = |err| shard_error(Path::new(&path), err);
        let metadata = writer.finish().map_err(at)?;
        let file = writer.inner_mut();
        let (syncing, digest) = file
            .sync_behind()
            .and_then(|syncing| Ok((syncing, file.finish()?)))
            .map_err(|err| flush_error(&path, err))?;
        let n_rows = metadata.file_metadata().num_rows();
        if u64::try_from(n_rows) != Ok(facts.n_rows) {
            let message = format!("the shard holds {n_rows} rows where {} were written", facts.n_rows);
            return Err(Error::new(ErrorKind::Corrupt, message).at(Locus::path(&path)));
        }
        let pages = pages_of(&metadata, None).pages;
        let n_row_groups = metadata.num_row_groups() as u64;
        Ok((SealedShard { n_row_groups, path, facts, digest, pages }, syncing))
    }
}

/// Path of a shard in the dataset.
pub(crate) fn shard_path(folder: &str, split: &str, number: usize) -> String {
    format!("{folder}/{split}-{number:05}.parquet")
}

/// Name of the folder of a unit: enough of its recipe to tell all units apart.
pub(crate) fn unit_name(recipe: &str) -> &str {
    let digits = recipe.strip_prefix("b3:").unwrap_or(recipe);
    digits.get(..32).unwrap_or(digits)
}

/// Name of a shard in the folder of its unit.
fn file_name(stream: usize) -> String {
    format!("{stream:05}.parquet")
}

/// `inputs` are the positions in the source of the record's inputs.
fn record(shard: &SealedShard, table: &Table, facts: Option<&StreamFacts>, inputs: &[usize]) -> ShardRecord {
    let ShardFacts { id, n_rows, parts, origins, .. } = &shard.facts;
    let origin = |it: &Origin| -> OriginRecord {
        let input = inputs.iter().position(|input| *input == it.input);
        let input = input.expect("rows come from the inputs of their unit");
        (it.row, it.n_rows, input, [it.byte_range.start, it.byte_range.end], it.first_record)
    };
    ShardRecord {
        stream: table.stream.to_string(),
        columns: table.columns_hash.clone(),
        file: file_name(id.stream),
        b3: shard.digest.b3.clone(),
        bytes: shard.digest.bytes,
        rows: *n_rows,
        row_groups: shard.n_row_groups,
        parts: parts.iter().map(part_record).collect(),
        origins: origins.iter().map(origin).collect(),
        pages: shard.pages.clone(),
        contents: facts.map_or(Vec::new(), |it| {
            it.contents.iter().map(|(episode, hash)| (*episode, hex(hash))).collect()
        }),
        stats: facts.map_or(Vec::new(), |it| it.stats.iter().map(FeatureStats::record).collect()),
    }
}

fn flush_error(path: impl AsRef<Path>, err: std::io::Error) -> Error {
    io_error("cannot flush the shard", path.as_ref(), err)
}

fn shard_error(path: &Path, err: parquet::errors::ParquetError) -> Error {
    Error::new(ErrorKind::Io, "cannot write the shard").with_source(err).at(Locus::path(path))
}
