use std::{path::Path, sync::Arc};

use nodedata_core::{
    Confidence, Detection, Files, Format, Listing, OpenOptions, OptionKey, OptionKind, Result, Source,
};

use crate::source::JsonlSource;

/// JSON Lines.
pub static JSONL: Jsonl = Jsonl;

/// Reads JSON Lines; see [`JSONL`].
#[derive(Debug, Clone, Copy)]
pub struct Jsonl;

/// What files are called.
const ENDINGS: [&str; 2] = ["jsonl", "ndjson"];

/// What becomes of a field that no one type holds.
pub(crate) const ON_CONFLICT: OptionKey = OptionKey {
    name: "on_conflict",
    kind: OptionKind::Choice(&["text", "fail"]),
    default: "text",
    doc: "what happens to a field that is of several kinds: it is kept as JSON text, or refused with the lines",
};

impl Format for Jsonl {
    fn name(&self) -> &'static str {
        "jsonl"
    }

    fn about(&self) -> &'static str {
        "JSON Lines, one sample a line: types learned from all rows, rows dealt to splits"
    }

    fn options(&self) -> &'static [OptionKey] {
        &[ON_CONFLICT]
    }

    /// Claims what is called so: text that only begins as an object may be anything.
    fn detect(&self, listing: &Listing<'_>) -> Detection {
        let found = Detection::by_name(listing, "JSON Lines", is_named);
        let begins = found.claims.iter().find(|it| begins_with_an_object(&listing.head(it)));
        match begins {
            None => found,
            Some(first) => {
                let why = format!("`{}` begins with a JSON object", first.display());
                Detection { confidence: Confidence::Content, why, ..found }
            }
        }
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        Ok(Box::new(JsonlSource::open(files, options)?))
    }
}

fn is_named(path: &Path) -> bool {
    path.extension().is_some_and(|it| ENDINGS.iter().any(|ending| it.eq_ignore_ascii_case(ending)))
}

/// Whether the first line that is not blank starts as an object does.
fn begins_with_an_object(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let inside = head.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    inside.is_some_and(|it| matches!(it.first(), Some(b'"' | b'}')))
}
