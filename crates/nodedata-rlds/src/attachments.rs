//! Features of the whole episode that are no metadata: bytes, and more numbers than anybody looks at.

use std::{collections::BTreeSet, ops::Range};

use nodedata_core::{DType, Error, ErrorKind, Locus, ReadAt, Result};
use nodedata_media::{Encoding, sniff};

use crate::{
    example::ListKind,
    features::Leaf,
    keys::Keys,
    pages::Pages,
    skim::skim,
    table::Table,
};

/// Numbers of a list that are metadata.
pub(crate) const LIST_MAX: u64 = 16;
/// Values of a feature that are an attachment each.
const VALUES_MAX: usize = 4096;
/// What is fetched at once to find them.
const PAGE_BYTES: u64 = 64 << 10;

/// A value that is kept as a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    /// The name of the feature.
    pub(crate) name: String,
    pub(crate) media_type: String,
    /// Where it lies, in the record or in the input.
    pub(crate) bytes: Range<u64>,
}

impl Leaf {
    /// Whether its values are bytes of the whole episode, which are always attached.
    pub(crate) fn is_attached(&self) -> bool {
        !self.is_step && self.is_of_bytes()
    }

    /// Whether its values are bytes, and no text.
    pub(crate) fn is_of_bytes(&self) -> bool {
        self.list_kind() == ListKind::Bytes && self.feature.dtype != DType::String
    }

    /// Whether its values may turn out to be attached.
    pub(crate) fn may_be_attached(&self) -> bool {
        let n_values = self.levels.iter().chain(&self.shape).try_fold(1u64, |n, it| Some(n * u64::from((*it)?)));
        let is_bulk = self.is_bulk() && n_values.is_none_or(|it| LIST_MAX < it);
        self.unsupported.is_none() && (self.is_attached() || is_bulk)
    }

    /// Whether its values are floats of the whole episode that are attached where they are many: as they are stored, they are
    /// what other programs read.
    pub(crate) fn is_bulk(&self) -> bool {
        let n_lists = self.levels.len() + self.n_open();
        !self.is_step && self.list_kind() == ListKind::Float && n_lists <= 1
    }
}

/// The values of a record that are attached.
///
/// # Errors
/// `Io`; `Corrupt`; `Limit`.
pub(crate) fn attached(keys: &Keys, leaves: &BTreeSet<usize>, record: &dyn ReadAt) -> Result<Vec<Attached>> {
    let mut pages = Pages::of(record, PAGE_BYTES);
    let tables = skim(&mut pages, |key| Ok(keys.leaf_of(key)?.filter(|it| leaves.contains(it))))?;
    let mut found = Vec::new();
    for (key, (leaf, table)) in tables {
        let leaf = &keys.leaves[leaf];
        if key != leaf.key.as_bytes() || !leaf.is_attached() && table.n_values <= LIST_MAX {
            continue;
        }
        found.extend(of_leaf(leaf, &table, &mut pages).map_err(|err| err.at(Locus::feature(&leaf.feature.name)))?);
    }
    Ok(found)
}

fn of_leaf(leaf: &Leaf, table: &Table, pages: &mut Pages<'_>) -> Result<Vec<Attached>> {
    let runs = table.runs(VALUES_MAX, pages)?.ok_or_else(|| {
        let message = format!("there are more than {VALUES_MAX} values of the whole episode to be kept as files");
        Error::new(ErrorKind::Limit, message)
    })?;
    // Numbers that do not lie together are told as metadata.
    if !leaf.is_attached() && runs.len() != 1 {
        return Ok(Vec::new());
    }
    let is_list = runs.len() != 1 || !leaf.levels.is_empty() && leaf.is_attached();
    let mut found = Vec::with_capacity(runs.len());
    for (idx, bytes) in runs.into_iter().enumerate() {
        let name = &leaf.feature.name;
        let media_type = match leaf.is_attached() {
            true => media_type(pages.front(bytes.clone())?),
            false => ANY_BYTES.to_owned(),
        };
        let name = if is_list { format!("{name}[{idx}]") } else { name.clone() };
        found.push(Attached { name, media_type, bytes });
    }
    Ok(found)
}

const ANY_BYTES: &str = "application/octet-stream";

/// The media type of a picture, as its first bytes tell.
fn media_type(head: &[u8]) -> String {
    match sniff(head) {
        Some(Encoding::J2k) => "image/jp2".to_owned(),
        Some(
            it @ (Encoding::Jpeg
            | Encoding::Png
            | Encoding::Webp
            | Encoding::Gif
            | Encoding::Tiff
            | Encoding::Bmp
            | Encoding::Avif),
        ) => format!("image/{}", it.name()),
        Some(
            Encoding::H264
            | Encoding::H265
            | Encoding::CompressedDepthPng
            | Encoding::CompressedDepthRvl,
        )
        | None => ANY_BYTES.to_owned(),
    }
}
