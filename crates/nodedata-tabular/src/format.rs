use std::{path::Path, sync::Arc};

use nodedata_core::{Detection, Files, Format, Listing, OpenOptions, OptionKey, OptionKind, Result, Source};
use nodedata_steps::{EMBED_BYTES_MAX, MISSING};

use crate::{
    detect::{has_ending, tables},
    ipc,
    source::TableSource,
    table_file::Kind,
};

/// Parquet files alone.
pub static PARQUET: Parquet = Parquet;
/// Arrow IPC, as a file and as a stream.
pub static ARROW: Arrow = Arrow;

/// Reads Parquet; see [`PARQUET`].
#[derive(Debug, Clone, Copy)]
pub struct Parquet;

/// Reads Arrow IPC; see [`ARROW`].
#[derive(Debug, Clone, Copy)]
pub struct Arrow;

/// Whether columns are taken to have no nulls because their statistics count none.
pub(crate) const NULL_COUNTS: OptionKey = OptionKey {
    name: "null_counts",
    kind: OptionKind::Choice(&["trust", "ignore"]),
    default: "trust",
    doc: "whether a column is taken to have no nulls where the footers count none; some old writers counted wrongly",
};

/// What becomes of a medium that is not in the table.
pub(crate) const REFERENCES: OptionKey = OptionKey {
    name: "references",
    kind: OptionKind::Choice(&["fail", "null", "path"]),
    default: "fail",
    doc: "what becomes of an image, a sound or a video of which a table holds the name of a file and no bytes, and that is not embedded: \
          it is refused, or null; `path` keeps all media as the two columns that they are made of, `<name>.bytes` and `<name>.path`",
};

const PARQUET_MAGIC: [&[u8]; 2] = [b"PAR1", b"PARE"];
const ARROW_ENDINGS: [&str; 4] = ["arrow", "feather", "ipc", "arrows"];

impl Format for Parquet {
    fn name(&self) -> &'static str {
        "parquet"
    }

    fn about(&self) -> &'static str {
        "Parquet files of any schema, one sample a row; Hugging Face features kept"
    }

    fn options(&self) -> &'static [OptionKey] {
        &[NULL_COUNTS, REFERENCES, MISSING, EMBED_BYTES_MAX]
    }

    fn embeds(&self) -> bool {
        true
    }

    fn detect(&self, listing: &Listing<'_>) -> Detection {
        let is_named = |it: &Path| has_ending(it, &["parquet"]);
        tables(listing, "Parquet files", is_named, |head| PARQUET_MAGIC.iter().any(|it| head.starts_with(it)))
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        Ok(Box::new(TableSource::open(Kind::Parquet, files, options)?))
    }
}

impl Format for Arrow {
    fn name(&self) -> &'static str {
        "arrow"
    }

    fn about(&self) -> &'static str {
        "Arrow IPC files and streams (Feather, the cache of Hugging Face `datasets`), one sample a row"
    }

    fn options(&self) -> &'static [OptionKey] {
        &[REFERENCES, MISSING, EMBED_BYTES_MAX]
    }

    fn embeds(&self) -> bool {
        true
    }

    /// Claims what `datasets` writes beside its tables as well.
    fn detect(&self, listing: &Listing<'_>) -> Detection {
        let is_named = |it: &Path| has_ending(it, &ARROW_ENDINGS);
        let mut found = tables(listing, "Arrow files", is_named, ipc::begins);
        let folders: Vec<_> = found.claims.iter().flat_map(|it| it.ancestors().skip(1).take(2)).collect();
        let is_ours = |it: &&Path| is_beside(it) && it.parent().is_some_and(|it| folders.contains(&it));
        let beside: Vec<_> = listing.paths().filter(is_ours).map(Path::to_owned).collect();
        found.claims.extend(beside);
        found.claims.sort_unstable();
        found.claims.dedup();
        found
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        Ok(Box::new(TableSource::open(Kind::Arrow, files, options)?))
    }
}

/// What `datasets` writes beside the tables of a dataset: what it says of it, and results it keeps, which are no rows.
pub(crate) fn is_beside(path: &Path) -> bool {
    let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
    matches!(name, "state.json" | "dataset_info.json" | "dataset_dict.json")
        || (name.starts_with("cache-") && name.ends_with(".arrow"))
}
