use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use nodedata_core::{Error, ErrorKind, Files, Locus, Result};
use nodedata_dataset::{Dataset, EpisodeTable, QUARANTINE};
use nodedata_registry::{
    B3, DatasetState, REVISION_FILE, Reference, Remote, Revision, TreeCache, record::RevisionManifest,
};
use nodedata_schema::Schema;

use crate::{
    cached_files::CachedFiles,
    disk_cache::{CacheStats, DiskCache},
    options::OpenOptions,
    page_cache::PageCache,
    place::Place,
    preroll_cache::{Preroll, PrerollCache},
    shard::ShardPlaces,
    shards::Shards,
    split::{Excluded, Split, VideoId, Videos},
    video_cache::VideoCache,
};

/// A published revision, or a dataset in a folder, whose rows are read. Cheap to clone, and shared by threads; what is kept of its
/// shards is kept for all clones.
#[derive(Clone)]
pub struct Reader(Arc<Inner>);

struct Inner {
    /// `owner/name`, or the folder.
    label: String,
    id: Option<String>,
    revision: Option<String>,
    manifest: B3,
    withdrawn: Option<String>,
    is_mapped: bool,
    is_verified: bool,
    schema: Schema,
    excluded: Excluded,
    shards: Shards,
    cache: DiskCache,
    pages: PageCache,
    frames: VideoCache,
    /// Read at once: whoever is forked from this process has it too.
    table: EpisodeTable,
    /// Read when it is asked for first. No thread is a part of it: whoever is forked later has it too.
    videos: OnceLock<Videos>,
    /// Samples that no row holds, of the videos that were decoded last.
    preroll: PrerollCache,
}

impl Reader {
    /// Opens a revision. What the reference means is settled here, once: a tag that moves later moves nothing.
    ///
    /// # Errors
    /// `Config` when there is no such dataset or revision; `Corrupt`, `Io`, `Denied` when its documents cannot be read.
    pub fn open(remote: Arc<dyn Remote>, reference: &Reference, options: &OpenOptions) -> Result<Self> {
        let state = DatasetState::open(&*remote, &reference.dataset)?;
        let entry = reference.resolve(&state)?;
        let revision = Revision::open(&remote, &reference.dataset, entry)?;
        let manifest = revision.manifest();
        let place = Place {
            dataset: Some(reference.dataset.to_string()),
            revision: Some(manifest.revision.clone()),
            ..Place::default()
        };
        let is_near = remote.local_path(&revision.digest()).is_some();
        let cache = if is_near { DiskCache::default() } else { DiskCache::open(&options.cache) };
        let dataset = || {
            let files: Arc<dyn Files> = match cache.is_off() {
                true => Arc::new(revision.clone()),
                false => Arc::new(CachedFiles {
                    remote: Arc::clone(&remote),
                    dataset: reference.dataset.clone(),
                    revision: revision.clone(),
                    cache: cache.clone(),
                }),
            };
            let dataset = Dataset::over(files)?;
            let (schema, table) = (dataset.schema()?, dataset.episodes()?);
            Ok::<_, Error>((dataset, schema, table))
        };
        let (dataset, schema, table) = dataset().map_err(|err| place.put_on(err))?;
        let excluded = excluded_of(manifest);
        let places = ShardPlaces::Registry {
            remote,
            dataset: reference.dataset.clone(),
            cache: cache.clone(),
            trees: TreeCache::default(),
        };
        Ok(Self(Arc::new(Inner {
            label: reference.dataset.to_string(),
            id: Some(reference.dataset.to_string()),
            revision: Some(manifest.revision.clone()),
            manifest: revision.digest(),
            withdrawn: entry.withdrawn.clone(),
            is_mapped: is_near,
            is_verified: true,
            schema,
            excluded,
            ..Inner::of(dataset, table, places, cache)
        })))
    }

    /// Opens the dataset in a folder that was converted or pulled. Its shards are mapped and read as they lie there: what has been
    /// changed since is found only where a page or a medium cannot be decoded any more; `node-data validate` looks at every byte.
    ///
    /// # Errors
    /// `Io` when there is no dataset in the folder, `Corrupt` when its documents cannot be read as such.
    pub fn of_folder(folder: &Path) -> Result<Self> {
        let dataset = Dataset::open(folder)?;
        let schema = dataset.schema()?;
        let label = folder.display().to_string();
        let manifest = B3::of(&dataset.bytes("manifest.json")?);
        let places = ShardPlaces::Folder(folder.to_owned());
        let table = dataset.episodes()?;
        let mut inner = Inner::of(dataset, table, places, DiskCache::default());
        (inner.label, inner.manifest, inner.schema) = (label, manifest, schema);
        // What a pull made says which revision it is, and which of its episodes are left out.
        if let Some(pulled) = pulled_manifest(folder, &inner)? {
            let (text, told) = pulled;
            inner.label = told.dataset.to_string();
            inner.id = Some(told.dataset.to_string());
            inner.excluded = excluded_of(&told);
            inner.revision = Some(told.revision);
            inner.manifest = B3::of(&text);
        }
        Ok(Self(Arc::new(inner)))
    }

    /// `owner/name`; `None` for a folder that was converted and is no revision.
    pub fn id(&self) -> Option<String> {
        self.0.id.clone()
    }

    /// The revision's number.
    pub fn revision(&self) -> Option<String> {
        self.0.revision.clone()
    }

    /// Digest of the revision's manifest, or of the folder's: what is read follows from it.
    pub fn manifest_digest(&self) -> String {
        self.0.manifest.to_string()
    }

    /// Its schema.
    pub fn schema(&self) -> &Schema {
        &self.0.schema
    }

    /// The document of statistics.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Denied`.
    pub fn stats(&self) -> Result<serde_json::Value> {
        let path = &self.dataset().manifest.stats.path;
        let text = self.dataset().text(path).map_err(|err| self.place().put_on(err))?;
        serde_json::from_str(&text).map_err(|err| {
            let err = Error::new(ErrorKind::Corrupt, "the statistics cannot be read").with_source(err);
            self.place().put_on(err.at(Locus::path(path)))
        })
    }

    /// The card; `None` where it is empty.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Denied`.
    pub fn card(&self) -> Result<Option<String>> {
        let text = self.dataset().text(&self.dataset().manifest.readme.path);
        let text = text.map_err(|err| self.place().put_on(err))?;
        Ok((!text.trim().is_empty()).then_some(text))
    }

    /// Names of its splits, in the order of the schema. That of episodes in quarantine is not told; who knows its name can read it.
    pub fn splits(&self) -> Vec<String> {
        let there = &self.dataset().manifest.splits;
        let mut names: Vec<String> =
            self.schema().splits.iter().filter(|it| there.contains_key(*it)).cloned().collect();
        let others: Vec<String> = there.keys().filter(|it| !names.contains(it)).cloned().collect();
        names.extend(others);
        names.retain(|it| it != QUARANTINE);
        names
    }

    /// Names of its streams.
    pub fn streams(&self) -> Vec<String> {
        self.dataset().manifest.streams.iter().map(|it| it.name.clone()).collect()
    }

    /// Whether the revision was withdrawn when it was opened.
    pub fn is_withdrawn(&self) -> bool {
        self.0.withdrawn.is_some()
    }

    /// Why it was withdrawn.
    pub fn withdrawn_reason(&self) -> Option<&str> {
        self.0.withdrawn.as_deref()
    }

    /// Opens a split in one stream, of which episodes that are left out are no part.
    ///
    /// # Errors
    /// `Config` when there is none of these names, with those that are near; `Corrupt`, `Io`, `Denied`, `Unsupported`.
    pub fn split(&self, name: &str, stream: &str) -> Result<Split> {
        Split::open(self, name, stream)
    }

    /// Every file of the dataset, with length and BLAKE3 (64 hex digits), in a fixed order.
    pub fn files(&self) -> Vec<nodedata_dataset::FileEntry> {
        self.dataset().manifest.files()
    }

    /// The dataset, for what is not rows.
    pub fn dataset(&self) -> &Dataset {
        self.0.shards.dataset()
    }

    /// How the cache on the disk was used.
    pub fn cache_stats(&self) -> CacheStats {
        self.0.cache.stats()
    }

    /// Bytes that the cache on the disk has room for.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.0.cache.room_bytes()
    }

    /// Whether its shards are files of this machine, which are mapped: then nothing need be fetched.
    pub fn is_mapped(&self) -> bool {
        self.0.is_mapped
    }

    /// Whether all that is read is held against the digests that were published; a folder is read as it lies there.
    pub fn is_verified(&self) -> bool {
        self.0.is_verified
    }

    /// Where it is, for people.
    pub(crate) fn label(&self) -> &str {
        &self.0.label
    }

    pub(crate) fn place(&self) -> Place {
        Place { dataset: Some(self.0.label.clone()), revision: self.0.revision.clone(), ..Place::default() }
    }

    /// An error that is told to be of this dataset, and of the file of it that the error names.
    pub(crate) fn placed(&self, err: Error) -> Error {
        let shard = err.locus().path.as_ref().map(|it| it.display().to_string());
        Place { shard, ..self.place() }.put_on(err)
    }

    /// The same of a shard that cannot be opened, so that none of its rows can be read: row 0 is the first.
    pub(crate) fn placed_unopened(&self, err: Error) -> Error {
        let shard = err.locus().path.as_ref().map(|it| it.display().to_string());
        let row = shard.is_some().then_some(0);
        Place { shard, row, ..self.place() }.put_on(err)
    }

    pub(crate) fn shards(&self) -> &Shards {
        &self.0.shards
    }

    pub(crate) fn pages(&self) -> &PageCache {
        &self.0.pages
    }

    pub(crate) fn frames(&self) -> &VideoCache {
        &self.0.frames
    }

    /// The episode index.
    pub(crate) fn table(&self) -> &EpisodeTable {
        &self.0.table
    }

    pub(crate) fn videos(&self) -> Result<&Videos> {
        if let Some(videos) = self.0.videos.get() {
            return Ok(videos);
        }
        // Read before its place is taken, which is done in a moment then: nobody who is forked meanwhile finds it half taken.
        let videos = Videos::of(self.dataset()).map_err(|err| self.placed(err))?;
        Ok(self.0.videos.get_or_init(|| videos))
    }

    /// The table of video, where it was read.
    pub(crate) fn videos_at_hand(&self) -> Option<&Videos> {
        self.0.videos.get()
    }

    /// The samples that decoding a video takes and that no row holds: those that are kept, else read now.
    ///
    /// # Errors
    /// `Io` or `Corrupt`.
    pub(crate) fn preroll(&self, id: &VideoId) -> Result<Preroll> {
        if let Some(kept) = self.0.preroll.get(id) {
            return Ok(kept);
        }
        let (stream, feature, episode) = id;
        let read: Preroll = self.dataset().preroll(stream, feature, *episode)?.into();
        self.0.preroll.put(id.clone(), &read);
        Ok(read)
    }

    /// Keys of the episodes of a split that are left out.
    pub(crate) fn excluded(&self, split: &str) -> BTreeSet<&str> {
        self.0.excluded.get(split).into_iter().flatten().map(String::as_str).collect()
    }
}

impl Inner {
    fn of(dataset: Dataset, table: EpisodeTable, places: ShardPlaces, cache: DiskCache) -> Self {
        Self {
            label: String::new(),
            id: None,
            revision: None,
            manifest: B3([0; 32]),
            withdrawn: None,
            is_mapped: true,
            is_verified: false,
            schema: Schema::default(),
            excluded: Excluded::new(),
            shards: Shards::new(dataset, places),
            cache,
            pages: PageCache::default(),
            frames: VideoCache::default(),
            table,
            videos: OnceLock::new(),
            preroll: PrerollCache::default(),
        }
    }
}

fn excluded_of(manifest: &RevisionManifest) -> Excluded {
    let of_split = manifest.splits.iter().filter(|(_, it)| !it.exclude.is_empty());
    of_split.map(|(name, it)| (name.clone(), it.exclude.iter().cloned().collect())).collect()
}

/// The manifest of the revision that a folder was pulled of, and its bytes.
fn pulled_manifest(folder: &Path, inner: &Inner) -> Result<Option<(Vec<u8>, RevisionManifest)>> {
    if !folder.join(REVISION_FILE).is_file() {
        return Ok(None);
    }
    let bytes = inner.shards.dataset().bytes(REVISION_FILE)?;
    let told =
        RevisionManifest::parse(&bytes).map_err(|err| err.at(Locus::path(PathBuf::from(REVISION_FILE))))?;
    Ok(Some((bytes.to_vec(), told)))
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("label", &self.0.label)
            .field("revision", &self.0.revision)
            .field("manifest", &self.0.manifest)
            .finish_non_exhaustive()
    }
}
