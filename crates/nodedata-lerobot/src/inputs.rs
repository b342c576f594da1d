use std::{collections::HashMap, ffi::OsStr, path::Path};

use nodedata_core::{Attachment, InputFile, InputRange, Result};
use nodedata_steps::Listing;

use crate::{row_audit::DataRows, tables::Tables, video_audit::CameraFrames};

/// Every file that decides a row, in order of its path, and which of them each part of the dataset lies in.
pub(crate) struct Inputs {
    pub(crate) files: Vec<InputFile>,
    /// The metadata tables.
    pub(crate) tables: Vec<usize>,
    /// By data file.
    pub(crate) data: Vec<usize>,
    /// By camera and its file.
    pub(crate) videos: Vec<Vec<usize>>,
    /// Files below `meta/` that nothing here reads, carried as they are.
    pub(crate) attachments: Vec<Attachment>,
}

/// Bytes up to which a file below `meta/` is carried; a larger one is named as not read.
const CARRIED_BYTES_MAX: u64 = 16 << 20;

impl Inputs {
    pub(crate) fn new(
        listing: &Listing,
        tables: &Tables,
        data: &DataRows,
        cameras: &[CameraFrames],
    ) -> Result<Self> {
        let opened = |name: &str| -> Result<InputFile> {
            Ok(InputFile { n_bytes: listing.open(name)?.n_bytes(), path: listing.path(name) })
        };
        let tables_read = tables.read.iter().map(|it| opened(it)).collect::<Result<Vec<_>>>()?;
        let mut carried = Vec::new();
        for name in listing.names().filter(|it| is_of_nothing_else(it, tables)) {
            let file = opened(name)?;
            if file.n_bytes <= CARRIED_BYTES_MAX {
                carried.push((name, file));
            }
        }
        let mut files = tables_read.clone();
        files.extend(carried.iter().map(|it| it.1.clone()));
        let input = |path: &Path, n_bytes| InputFile { path: path.to_owned(), n_bytes };
        files.extend(data.files.iter().map(|it| input(&it.path, it.n_bytes)));
        files.extend(cameras.iter().flat_map(|it| &it.files).map(|it| input(&it.path, it.n_bytes)));
        // A few runs that are in order: a sort that merges runs hardly has to compare paths.
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
        // By their text, because paths are compared and hashed by their parts.
        let positions: HashMap<&OsStr, usize> =
            files.iter().enumerate().map(|(idx, it)| (it.path.as_os_str(), idx)).collect();
        let position = |path: &Path| positions[path.as_os_str()];
        let tables = tables_read.iter().map(|it| position(&it.path)).collect();
        let data = data.files.iter().map(|it| position(&it.path)).collect();
        let of_camera = |it: &CameraFrames| it.files.iter().map(|it| position(&it.path)).collect();
        let videos = cameras.iter().map(of_camera).collect();
        let attached = |(name, file): &(&str, InputFile)| Attachment {
            episode: 0,
            name: (*name).to_owned(),
            media_type: media_type(name).to_owned(),
            log_time_ns: 0,
            create_time_ns: 0,
            content: InputRange { input: position(&file.path), byte_range: 0..file.n_bytes },
            unpacked: None,
        };
        let attachments = carried.iter().map(attached).collect();
        Ok(Self { files, tables, data, videos, attachments })
    }
}

/// Whether a name is that of a file below `meta/` that nothing here reads. What is hidden there are leftovers of
/// other programs.
fn is_of_nothing_else(name: &str, tables: &Tables) -> bool {
    let below = name.strip_prefix("meta/");
    below.is_some_and(|it| !it.split('/').any(|it| it.starts_with('.'))) && !tables.read.contains(name)
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|it| it.1) {
        Some("json") => "application/json",
        Some("jsonl") => "application/jsonl",
        Some("parquet") => "application/vnd.apache.parquet",
        Some("md") => "text/markdown",
        Some("txt") => "text/plain",
        _ => "application/octet-stream",
    }
}
