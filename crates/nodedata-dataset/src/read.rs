use std::{
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use nodedata_core::{
    EPISODE_INDEX, Error, ErrorKind, Feature, Files, Locus, ReadAt, Result, StreamId, StreamKind,
    StreamSchema,
};
use nodedata_io::FolderFiles;
use nodedata_schema::Schema;
use parquet::{
    arrow::{ProjectionMask, arrow_reader::ArrowReaderOptions},
    file::{
        metadata::{PageIndexPolicy, RowGroupMetaData},
        statistics::Statistics,
    },
};

use crate::{
    digest::b3_of_file,
    entries::{self, AttachmentEntry, OriginEntry, VideoEntry},
    episode_table::EpisodeTable,
    index_video::{PREROLL, PrerollEntry, preroll_of},
    ledger::Report,
    manifest::{Manifest, ShardEntry},
    page_table::{Page, PageTable, each_page},
    ranges::{Builder, Opened, Rows},
    shard_index::ShardIndex,
};

/// Name of the manifest.
pub(crate) const MANIFEST: &str = "manifest.json";
/// Most bytes of a file that is read as a whole: manifest, schema, statements.
const WHOLE_BYTES_MAX: u64 = 1 << 30;
/// Rows of the table of video decoded at once where they hold samples.
const PREROLL_ROWS: usize = 16;
/// Rows of a shard decoded at once.
const BATCH_ROWS: usize = 1024;

/// A converted dataset, opened by its manifest: in a folder, a bucket, a revision, or memory. Copies share everything.
#[derive(Clone)]
pub struct Dataset {
    /// Its manifest.
    pub manifest: Arc<Manifest>,
    files: Arc<dyn Files>,
    root: Option<PathBuf>,
}

impl std::fmt::Debug for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { manifest, files: _, root } = self;
        f.debug_struct("Dataset")
            .field("root", root)
            .field("recipe", &manifest.recipe)
            .finish_non_exhaustive()
    }
}

impl Dataset {
    /// Opens the dataset in a folder.
    ///
    /// # Errors
    /// `Io` when there is no manifest, `Corrupt` when it cannot be read as one.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        Self::of(Arc::new(FolderFiles::new(&root)), Some(root))
    }

    /// Opens the dataset that consists of these files.
    ///
    /// # Errors
    /// As [`Self::open`], and what the files report.
    pub fn over(files: Arc<dyn Files>) -> Result<Self> {
        Self::of(files, None)
    }

    fn of(files: Arc<dyn Files>, root: Option<PathBuf>) -> Result<Self> {
        let at = || Locus::path(root.as_deref().unwrap_or(Path::new("")).join(MANIFEST));
        let read = files.open(Path::new(MANIFEST)).and_then(|it| whole(&*it));
        let bytes = read.map_err(|err| match &root {
            Some(_) => Error::new(err.kind(), "cannot read the manifest")
                .with_source(err)
                .at(at())
                .with_hint("name the folder that `node-data convert --out` wrote"),
            // Whoever has the files says best what to do, such as ask for access.
            None => err.at(at()),
        })?;
        let manifest = serde_json::from_slice(&bytes).map_err(|err| {
            Error::new(ErrorKind::Corrupt, "the manifest cannot be read")
                .with_source(err)
                .at(at())
                .with_hint("restore it, or convert again to another folder")
        })?;
        Ok(Self { manifest: Arc::new(manifest), files, root })
    }

    /// Opens the dataset that a file of it, such as a shard, lies in; returns the file's path inside.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of_file(file: &Path) -> Result<(Self, String)> {
        for folder in file.ancestors().skip(1) {
            if folder.join(MANIFEST).is_file() {
                let inside = file.strip_prefix(folder).unwrap_or(file).display().to_string();
                return Ok((Self::open(folder)?, inside));
            }
        }
        Err(Error::new(ErrorKind::Config, "no folder above this file holds a manifest.json")
            .at(Locus::path(file))
            .with_hint("name a shard inside a dataset, or the dataset's folder"))
    }

    /// Its folder, where it lies in one: only there its files can be linked.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// The same dataset, its files read through `files`.
    pub(crate) fn through(&self, files: Arc<dyn Files>) -> Self {
        Self { files, ..self.clone() }
    }

    /// All of its files, also those that the manifest does not name.
    pub fn files(&self) -> &Arc<dyn Files> {
        &self.files
    }

    /// Opens one of its files.
    ///
    /// # Errors
    /// `Corrupt` when the path, which a manifest from elsewhere may name, leads out of the dataset; what the files report.
    pub fn file(&self, path: &str) -> Result<Arc<dyn ReadAt>> {
        let is_inside =
            !path.is_empty() && Path::new(path).components().all(|it| matches!(it, Component::Normal(_)));
        if !is_inside {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("the manifest names `{path}`, outside its folder"),
            ));
        }
        self.files.open(Path::new(path)).map_err(|err| err.at(Locus::path(path)))
    }

    /// All bytes of one of its files.
    ///
    /// # Errors
    /// As [`Self::file`]; `Corrupt` when it is longer than a gibibyte.
    pub fn bytes(&self, path: &str) -> Result<Bytes> {
        whole(&*self.file(path)?).map_err(|err| err.at(Locus::path(path)))
    }

    /// The text of one of its files.
    ///
    /// # Errors
    /// As [`Self::bytes`]; `Corrupt` when it is no text.
    pub fn text(&self, path: &str) -> Result<String> {
        String::from_utf8(self.bytes(path)?.into()).map_err(|err| {
            Error::new(ErrorKind::Corrupt, "the file is no text").with_source(err).at(Locus::path(path))
        })
    }

    /// Its schema.
    ///
    /// # Errors
    /// As [`Self::text`]; `Config` with every mistake when it is no schema.
    pub fn schema(&self) -> Result<Schema> {
        let path = &self.manifest.schema.path;
        Schema::from_json(&self.text(path)?)
            .map_err(|mistakes| nodedata_core::placed::mistakes_to_error(&mistakes, Some(Path::new(path))))
    }

    /// What the run that made the dataset reported.
    ///
    /// # Errors
    /// `Io` when there is no report, `Corrupt` when it cannot be read as one.
    pub fn report(&self) -> Result<Report> {
        let path = "report.json";
        serde_json::from_str(&self.text(path)?).map_err(|err| {
            Error::new(ErrorKind::Corrupt, "the report cannot be read").with_source(err).at(Locus::path(path))
        })
    }

    /// The content of `recipe.json`; `None` where the manifest names none.
    ///
    /// # Errors
    /// `Io` when it cannot be read.
    pub fn recipe(&self) -> Result<Option<Bytes>> {
        let Some(entry) = &self.manifest.recipe_file else { return Ok(None) };
        self.bytes(&entry.path).map(Some)
    }

    /// BLAKE3-256 of a file of the dataset as it lies there, 64 hex digits, whatever the manifest says.
    ///
    /// # Errors
    /// `Io` when it cannot be read.
    pub fn b3_of_file(&self, path: &str) -> Result<String> {
        b3_of_file(&*self.file(path)?).map_err(|err| err.at(Locus::path(path)))
    }

    /// The rows of one shard, in batches. `episode_index` comes first.
    ///
    /// # Errors
    /// `Io` when the file is missing, `Corrupt` when it is no Parquet file.
    pub fn shard(&self, entry: &ShardEntry) -> Result<Rows> {
        self.parquet(&entry.path)?.with(|it| it.with_batch_size(BATCH_ROWS)).rows()
    }

    pub(crate) fn parquet(&self, path: &str) -> Result<Opened> {
        let file = self.file(path)?;
        let options = |policy| ArrowReaderOptions::new().with_page_index_policy(policy);
        let opened = Opened::of(path, Arc::clone(&file), options(PageIndexPolicy::Optional));
        opened.or_else(|err| match err.kind() {
            // A page index that is damaged makes reading slower, nothing more.
            ErrorKind::Corrupt => Opened::of(path, file, options(PageIndexPolicy::Skip)),
            _ => Err(err),
        })
    }

    /// The stream of a shard as its columns say, without `episode_index`.
    ///
    /// # Errors
    /// `Unsupported` when a column has a type that no feature has.
    pub fn stream_of(&self, entry: &ShardEntry, schema: &arrow_schema::Schema) -> Result<StreamSchema> {
        let mut features = Vec::new();
        for field in schema.fields().iter().filter(|it| it.name() != EPISODE_INDEX) {
            let feature = Feature::from_arrow(field).ok_or_else(|| {
                let message = format!("column `{}` has a type that no feature has", field.name());
                Error::new(ErrorKind::Unsupported, message).at(Locus::path(&entry.path))
            })?;
            features.push(feature);
        }
        let stream = self.manifest.streams.iter().find(|it| it.name == entry.stream);
        Ok(StreamSchema {
            id: StreamId(0),
            name: Arc::from(entry.stream.as_str()),
            kind: stream.map_or(StreamKind::Steps, crate::StreamEntry::kind),
            features,
            metadata: stream.map(|it| it.metadata.clone()).unwrap_or_default(),
        })
    }

    /// The episode index.
    ///
    /// # Errors
    /// `Io` or `Corrupt`.
    pub fn episodes(&self) -> Result<EpisodeTable> {
        let (path, rows) = self.index_rows("episodes", |_| true)?;
        EpisodeTable::of(rows).map_err(|err| err.at(Locus::path(path)))
    }

    /// Where rows come from, by shard and row.
    ///
    /// # Errors
    /// `Io` or `Corrupt`.
    pub fn origins(&self) -> Result<Vec<OriginEntry>> {
        self.index_table("origins", entries::origins)
    }

    /// Where the pages of one shard lie; `shard` is its position in the manifest. Of the table no more is read than holds them.
    ///
    /// # Errors
    /// `Io` or `Corrupt`.
    pub fn pages(&self, shard: usize) -> Result<PageTable> {
        let may_hold = |group: &RowGroupMetaData| shards_of(group).is_none_or(|it| it.contains(&shard));
        let (path, rows) = self.index_rows("pages", may_hold)?;
        let mut pages = PageTable::default();
        for batch in rows {
            let see = |of: usize, page: Page<'_>| {
                if of == shard {
                    pages.push(page);
                }
                Ok(())
            };
            each_page(&batch?, see).map_err(|err| err.at(Locus::path(&path)))?;
        }
        Ok(pages)
    }

    /// The same of every shard, in the order of the manifest.
    ///
    /// # Errors
    /// `Io`; `Corrupt`, also when it speaks of a shard that the manifest has not.
    pub fn all_pages(&self) -> Result<Vec<PageTable>> {
        let (path, rows) = self.index_rows("pages", |_| true)?;
        let mut pages = vec![PageTable::default(); self.manifest.shards.len()];
        for batch in rows {
            let see = |shard: usize, page: Page<'_>| match pages.get_mut(shard) {
                Some(of_shard) => {
                    of_shard.push(page);
                    Ok(())
                }
                None => {
                    let message = format!("the index names shard {shard}, which the manifest has not");
                    Err(Error::new(ErrorKind::Corrupt, message))
                }
            };
            each_page(&batch?, see).map_err(|err| err.at(Locus::path(&path)))?;
        }
        Ok(pages)
    }

    /// What is known of a shard without a row of it; `shard` is its position in the manifest. Where its writer left no index of pages,
    /// those of the table are taken.
    ///
    /// # Errors
    /// `Config` when there is no such shard; `Io` or `Corrupt`.
    pub fn shard_index(&self, shard: usize) -> Result<ShardIndex> {
        let entry = self.manifest.shards.get(shard).ok_or_else(|| {
            let message =
                format!("there is no shard {shard}: the manifest has {}", self.manifest.shards.len());
            Error::new(ErrorKind::Config, message).at(Locus::path(MANIFEST))
        })?;
        let index = ShardIndex::open(&entry.path, &*self.file(&entry.path)?)?;
        match index.lacks_pages() && self.manifest.index.contains_key("pages") {
            true => Ok(index.with_pages(&self.pages(shard)?)),
            false => Ok(index),
        }
    }

    /// What decoders need beside the samples of coded video columns, but for samples that no row holds; empty where there
    /// are none.
    ///
    /// # Errors
    /// `Io` or `Corrupt`.
    pub fn videos(&self) -> Result<Vec<VideoEntry>> {
        if !self.manifest.index.contains_key("video") {
            return Ok(Vec::new());
        }
        let (path, table) = self.index_file("video", |_| true)?;
        // One episode after the other asks for its own.
        let columns = |name: &str| name != PREROLL;
        let rows = table.with(|it| with_columns(it, columns)).rows()?;
        let mut all = Vec::new();
        for batch in rows {
            all.extend(entries::videos(&batch?).map_err(|err| err.at(Locus::path(&path)))?);
        }
        Ok(all)
    }

    /// The samples that decoding the video of an episode takes and that none of its rows holds, in decode order: see
    /// [`VideoEntry::n_preroll`]. Of the table no more is read than the group of rows that holds them.
    ///
    /// # Errors
    /// `Corrupt`, also when the table has no row of that video; `Io`.
    pub fn preroll(&self, stream: &str, feature: &str, episode: u64) -> Result<Vec<PrerollEntry>> {
        let may_hold = |group: &RowGroupMetaData| episodes_of(group).is_none_or(|it| it.contains(&episode));
        let (path, table) = self.index_file("video", may_hold)?;
        let columns = |name: &str| matches!(name, EPISODE_INDEX | "stream" | "feature" | PREROLL);
        for batch in table.with(|it| with_columns(it, columns).with_batch_size(PREROLL_ROWS)).rows()? {
            let batch = batch?;
            let found = entries::row_of_video(&batch, stream, feature, episode)
                .and_then(|row| row.map(|row| preroll_of(&batch, row)).transpose());
            if let Some(found) = found.map_err(|err| err.at(Locus::path(&path)))? {
                return Ok(found);
            }
        }
        let message = format!("the table has no row of episode {episode}, feature `{feature}`");
        Err(Error::new(ErrorKind::Corrupt, message).at(Locus::path(&path)))
    }

    /// Files that the source carried; empty where there are none.
    ///
    /// # Errors
    /// `Io` or `Corrupt`.
    pub fn attachments(&self) -> Result<Vec<AttachmentEntry>> {
        self.optional_table("attachments", entries::attachments)
    }

    fn optional_table<T>(&self, name: &str, read: impl Fn(&RecordBatch) -> Result<Vec<T>>) -> Result<Vec<T>> {
        match self.manifest.index.contains_key(name) {
            true => self.index_table(name, read),
            false => Ok(Vec::new()),
        }
    }

    fn index_table<T>(&self, name: &str, read: impl Fn(&RecordBatch) -> Result<Vec<T>>) -> Result<Vec<T>> {
        let (path, rows) = self.index_rows(name, |_| true)?;
        let mut all = Vec::new();
        for batch in rows {
            all.extend(read(&batch?).map_err(|err| err.at(Locus::path(&path)))?);
        }
        Ok(all)
    }

    /// The columns of an index table, and its rows as they lie there.
    ///
    /// # Errors
    /// `Io` or `Corrupt`.
    pub(crate) fn index_batches(&self, name: &str) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let schema = match self.manifest.index.get(name) {
            Some(entry) => self.parquet(&entry.path)?.builder.schema().clone(),
            None => SchemaRef::new(arrow_schema::Schema::empty()),
        };
        let (_, rows) = self.index_rows(name, |_| true)?;
        Ok((schema, rows.collect::<Result<_>>()?))
    }

    /// The path of an index table, and its rows, of the row groups that are wanted.
    fn index_rows(&self, name: &str, wanted: impl Fn(&RowGroupMetaData) -> bool) -> Result<(String, Rows)> {
        let (path, table) = self.index_file(name, wanted)?;
        Ok((path, table.rows()?))
    }

    /// The same before it is settled which columns are read.
    fn index_file(&self, name: &str, wanted: impl Fn(&RowGroupMetaData) -> bool) -> Result<(String, Opened)> {
        let entry = self.manifest.index.get(name).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("the manifest names no index table `{name}`"))
        })?;
        let table = self.parquet(&entry.path)?;
        let groups = table.builder.metadata().row_groups().iter().enumerate();
        let groups = groups.filter(|(_, group)| wanted(group)).map(|(idx, _)| idx).collect();
        Ok((entry.path.clone(), table.with(|it| it.with_row_groups(groups))))
    }
}

/// Reads some of the columns.
fn with_columns(builder: Builder, wanted: impl Fn(&str) -> bool) -> Builder {
    let fields = builder.schema().fields().iter().enumerate();
    let roots: Vec<usize> = fields.filter(|(_, it)| wanted(it.name())).map(|it| it.0).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    builder.with_projection(mask)
}

/// First and last episode that a row group of the table of video speaks of, where its statistics tell.
fn episodes_of(group: &RowGroupMetaData) -> Option<std::ops::RangeInclusive<u64>> {
    let column = group.columns().iter().find(|it| it.column_path().string() == EPISODE_INDEX)?;
    let Some(Statistics::Int64(found)) = column.statistics() else { return None };
    Some(u64::try_from(*found.min_opt()?).ok()?..=u64::try_from(*found.max_opt()?).ok()?)
}

/// First and last shard that a row group of the table of pages speaks of, where its statistics tell.
fn shards_of(group: &RowGroupMetaData) -> Option<std::ops::RangeInclusive<usize>> {
    let column = group.columns().iter().find(|it| it.column_path().string() == "shard")?;
    let Some(Statistics::Int32(found)) = column.statistics() else { return None };
    Some(usize::try_from(*found.min_opt()?).ok()?..=usize::try_from(*found.max_opt()?).ok()?)
}

/// All bytes of a file that is small enough for it.
fn whole(file: &dyn ReadAt) -> Result<Bytes> {
    let n_bytes = file.n_bytes();
    if n_bytes > WHOLE_BYTES_MAX {
        let message = format!("{n_bytes} bytes are too many for such a file");
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    file.read_at(0..n_bytes)
}
