use std::{ops::Range, path::Path, sync::Arc};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, ReadAt, Result};
use nodedata_dataset::{Dataset, FirstTouch, ShardEntry, ShardIndex};
use nodedata_io::LocalFiles;
use nodedata_registry::{BlobReader, DatasetName, Remote, TreeCache, pieces::Pieces, tree::GRAIN_BYTES};

use crate::{
    blob::{BlobPlace, Others, RemoteBlob},
    disk_cache::DiskCache,
};

/// Where the shards of a dataset are.
pub(crate) enum ShardPlaces {
    /// In a folder, which is mapped. Nothing but their own formats tells damage there.
    Folder(std::path::PathBuf),
    /// In a registry.
    Registry { remote: Arc<dyn Remote>, dataset: DatasetName, cache: DiskCache, trees: TreeCache },
}

/// A shard whose footer and pages are known.
pub(crate) struct Shard {
    /// Position in the manifest.
    pub(crate) idx: usize,
    /// Its path in the dataset.
    pub(crate) path: Arc<str>,
    pub(crate) index: ShardIndex,
    file: ShardFile,
}

enum ShardFile {
    /// Read where it is, at no cost.
    Near(Arc<dyn ReadAt>),
    /// Fetched before it is read.
    Far(RemoteBlob),
}

impl Shard {
    /// Opens the shard at a position of the manifest: its tree and its end come in one round.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Denied`.
    pub(crate) fn open(
        dataset: &Dataset,
        idx: usize,
        entry: &ShardEntry,
        places: &ShardPlaces,
    ) -> Result<Self> {
        let at = |err: Error| err.at(Locus::path(&entry.path));
        let (file, index) = places.open(entry).map_err(at)?;
        let index = match index.lacks_pages() && dataset.manifest.index.contains_key("pages") {
            true => index.with_pages(&dataset.pages(idx)?),
            false => index,
        };
        if index.n_rows() != entry.rows {
            let message =
                format!("the footer counts {} rows, and the manifest {}", index.n_rows(), entry.rows);
            return Err(at(Error::new(ErrorKind::Corrupt, message)));
        }
        Ok(Self { idx, path: entry.path.as_str().into(), index, file })
    }

    /// Whether its bytes are fetched before they are read.
    pub(crate) fn is_far(&self) -> bool {
        matches!(self.file, ShardFile::Far(_))
    }

    /// The range that is fetched for one: what it is verified with.
    pub(crate) fn aligned(&self, range: &Range<u64>) -> Range<u64> {
        match &self.file {
            ShardFile::Near(_) => range.clone(),
            ShardFile::Far(blob) => blob.aligned(range),
        }
    }

    /// Ranges in one round; nothing of a shard that is near.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Denied`.
    pub(crate) fn fetch(&self, ranges: &[Range<u64>], others: Others) -> Result<Pieces> {
        match &self.file {
            ShardFile::Near(_) => Ok(Pieces::default()),
            ShardFile::Far(blob) => blob.read(ranges, others),
        }
    }

    /// Brings ranges to the disk that are not there; nothing of a shard that is near.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Denied`.
    pub(crate) fn keep(&self, ranges: &[Range<u64>]) -> Result<()> {
        match &self.file {
            ShardFile::Near(_) => Ok(()),
            ShardFile::Far(blob) => blob.keep(ranges),
        }
    }

    /// The bytes of a range.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Denied`.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Bytes> {
        match &self.file {
            ShardFile::Near(file) => file.read_at(range),
            ShardFile::Far(blob) => blob.read_at(range),
        }
    }

    /// The first row of which some bytes lie in the grain of the file that begins at `byte`.
    pub(crate) fn first_row_at(&self, byte: u64) -> Option<u64> {
        let grain = byte..byte.saturating_add(GRAIN_BYTES);
        let groups = self.index.metadata().row_groups();
        let starts = groups.iter().scan(0u64, |next, group| {
            let start = *next;
            *next = start.saturating_add(u64::try_from(group.num_rows()).unwrap_or(0));
            Some(start)
        });
        let pages = starts.enumerate().zip(groups).flat_map(|((idx, start), group)| {
            let chunks = (0..group.num_columns()).filter_map(move |column| self.index.chunk(idx, column));
            chunks
                .flat_map(|it| it.pages())
                .map(move |page| (start.saturating_add(page.rows.start), page.bytes))
        });
        let is_there = |it: &Range<u64>| it.start < grain.end && grain.start < it.end;
        pages.filter(|(_, bytes)| is_there(bytes)).map(|(row, _)| row).min()
    }

    /// Bytes that it has in memory itself.
    pub(crate) fn held_bytes(&self) -> u64 {
        let of_file = match &self.file {
            ShardFile::Near(file) => file.n_bytes() / 8192,
            ShardFile::Far(blob) => blob.held_bytes(),
        };
        self.index.metadata().memory_size() as u64 + of_file + size_of::<Self>() as u64
    }
}

impl ShardPlaces {
    fn open(&self, entry: &ShardEntry) -> Result<(ShardFile, ShardIndex)> {
        let near = |file: Arc<dyn ReadAt>| {
            let index = ShardIndex::open(&entry.path, &*file)?;
            Ok((ShardFile::Near(file), index))
        };
        let (remote, dataset, cache, trees) = match self {
            Self::Folder(root) => return near(mapped(root, entry)?),
            Self::Registry { remote, dataset, cache, trees } => (remote, dataset, cache, trees),
        };
        let b3 = entry.b3.parse()?;
        if remote.local_path(&b3).is_some() {
            let reader = BlobReader::open_with(remote, dataset, &b3, entry.bytes, trees)?.mapped();
            return near(Arc::new(reader));
        }
        let place = BlobPlace {
            remote: Arc::clone(remote),
            dataset: dataset.clone(),
            b3,
            n_bytes: entry.bytes,
            cache: cache.clone(),
        };
        let mut range = ShardIndex::tail_of(entry.bytes);
        let (blob, mut pieces) = RemoteBlob::open(place, std::slice::from_ref(&range))?;
        loop {
            let tail = pieces.get(&range).unwrap_or_default();
            match ShardIndex::of_tail(&entry.path, entry.bytes, tail)? {
                FirstTouch::Known(index) => return Ok((ShardFile::Far(blob), *index)),
                FirstTouch::Needs(more) if more.start < range.start => {
                    pieces = blob.read(std::slice::from_ref(&more), Others::Awaited)?;
                    range = more;
                }
                FirstTouch::Needs(_) => {
                    let message = "the footer points behind the end of the file";
                    return Err(Error::new(ErrorKind::Corrupt, message));
                }
            }
        }
    }
}

fn mapped(root: &Path, entry: &ShardEntry) -> Result<Arc<dyn ReadAt>> {
    use nodedata_core::Files as _;
    let path = root.join(&entry.path);
    let name = path.file_name().map(std::path::PathBuf::from).unwrap_or_default();
    let file = LocalFiles::file(&path).open(&name)?;
    if file.n_bytes() == entry.bytes {
        return Ok(file);
    }
    let message = format!("the file has {} bytes, and the manifest says {}", file.n_bytes(), entry.bytes);
    Err(Error::new(ErrorKind::Corrupt, message)
        .with_hint("restore it from a copy, or convert the source again"))
}
