use std::{path::Path, sync::Arc};

use nodedata_core::{Confidence, Detection, Files, Format, Listing, OpenOptions, OptionKey, Result, Source};
use nodedata_io::packed::{Packing, UNPACK_RATIO_MAX};
use nodedata_steps::{EMBED_BYTES_MAX, MISSING};

use super::{
    dialect::{DELIMITER, Dialect, HEADER, QUOTE},
    embedded::EmbeddedSource,
    source::CsvSource,
};
use crate::detect::{has_ending, without_foreign};

/// CSV and TSV.
pub static CSV: Csv = Csv;

/// Reads CSV and TSV; see [`CSV`].
#[derive(Debug, Clone, Copy)]
pub struct Csv;

const ENDINGS: [&str; 3] = ["csv", "tsv", "tab"];
const WHAT: &str = "tables of text";

impl Format for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn about(&self) -> &'static str {
        "CSV and TSV, one sample a row: dialect told by the beginning, types learned from all rows"
    }

    fn options(&self) -> &'static [OptionKey] {
        &[DELIMITER, QUOTE, HEADER, UNPACK_RATIO_MAX, MISSING, EMBED_BYTES_MAX]
    }

    fn embeds(&self) -> bool {
        true
    }

    /// Claims what is called so: nearly all text is a table of something.
    fn detect(&self, listing: &Listing<'_>) -> Detection {
        let mut found = Detection::by_name(listing, WHAT, is_named);
        if found.claims.is_empty() {
            return found;
        }
        let first = found.claims.iter().find(|it| is_table(&listing.head(it)));
        if let Some(first) = first {
            let why = format!("`{}` begins as {WHAT} do", first.display());
            found = Detection { confidence: Confidence::Content, why, ..found };
        }
        without_foreign(listing, found, WHAT, is_table)
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        if options.embed.is_empty() {
            return Ok(Box::new(CsvSource::open(files, options)?));
        }
        Ok(Box::new(EmbeddedSource::open(files, options)?))
    }
}

/// `a.csv`, and `a.csv.gz`.
fn is_named(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|it| it.to_str()) else { return false };
    let name = Packing::of_name(name).map_or(name, |it| it.0);
    has_ending(Path::new(name), &ENDINGS)
}

/// Whether a head is that of a table: rows of as many fields each, in any dialect; or packed, of a file that is called so.
fn is_table(head: &[u8]) -> bool {
    if Packing::of(head).is_some() {
        return true;
    }
    Dialect::of(head, false, &OpenOptions::default()).is_ok_and(|it| it.fits(head))
}
