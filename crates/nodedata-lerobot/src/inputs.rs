use std::{collections::HashMap, ffi::OsStr, path::Path};

use nodedata_core::{InputFile, Locus, Result};
use nodedata_steps::Listing;

use crate::{layout::tables, row_audit::DataRows, video_audit::CameraFrames};

/// Every file that decides a row, in order of its path, and which of them each part of the dataset lies in.
pub(crate) struct Inputs {
    pub(crate) files: Vec<InputFile>,
    /// The metadata tables.
    pub(crate) tables: Vec<usize>,
    /// By data file.
    pub(crate) data: Vec<usize>,
    /// By camera and its file.
    pub(crate) videos: Vec<Vec<usize>>,
}

impl Inputs {
    pub(crate) fn new(listing: &Listing, data: &DataRows, cameras: &[CameraFrames]) -> Result<Self> {
        let mut tables_read = Vec::new();
        for path in tables(listing).map(|it| listing.path(it)) {
            let file = listing.files().open(&path).map_err(|err| err.at(Locus::path(&path)))?;
            tables_read.push(InputFile { n_bytes: file.n_bytes(), path });
        }
        let mut files = tables_read.clone();
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
        Ok(Self { files, tables, data, videos })
    }
}
