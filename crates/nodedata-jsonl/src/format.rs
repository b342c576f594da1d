use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use nodedata_core::{
    Confidence, Detection, Files, Format, Listing, OpenOptions, OptionKey, OptionKind, Result, Source,
};
use nodedata_io::{
    MemoryFiles,
    packed::{Packing, UNPACK_RATIO_MAX, Unpacker},
};
use nodedata_steps::{EMBED_BYTES_MAX, MISSING};
use serde::de::IgnoredAny;

use crate::{
    elements::begins_list,
    records::{has_ending, is_json_named},
    source::JsonlSource,
};

/// JSON Lines, and lists in JSON.
pub static JSONL: Jsonl = Jsonl;

/// Reads JSON Lines, and lists in JSON; see [`JSONL`].
#[derive(Debug, Clone, Copy)]
pub struct Jsonl;

/// What files are called.
const ENDINGS: [&str; 2] = ["jsonl", "ndjson"];

/// What becomes of values that no one type holds.
pub(crate) const MIXED: OptionKey = OptionKey {
    name: "mixed",
    kind: OptionKind::Choice(&["json", "refuse", "text"]),
    default: "json",
    doc: "what becomes of a field that is of several kinds: `json` keeps it as JSON text and says so, `refuse` names two rows; `text` \
          keeps as their own text also values that no reader of JSON holds as they are written (1e400, whole numbers beyond 64 bits, \
          NaN, halves of surrogate pairs, objects that name a key twice), which else cost their row",
};

impl Format for Jsonl {
    fn name(&self) -> &'static str {
        "jsonl"
    }

    fn about(&self) -> &'static str {
        "JSON Lines and lists in JSON, one sample an object: types learned from all rows, files that they name embedded on request"
    }

    fn options(&self) -> &'static [OptionKey] {
        &[MIXED, MISSING, EMBED_BYTES_MAX, UNPACK_RATIO_MAX]
    }

    fn embeds(&self) -> bool {
        true
    }

    /// Claims what is called JSON Lines: text that only begins as an object may be anything. Where there is none of these, files that
    /// are called JSON and begin as rows do.
    fn detect(&self, listing: &Listing<'_>) -> Detection {
        let found = Detection::by_name(listing, "JSON Lines", |it| has_ending(it, &ENDINGS));
        if found.claims.is_empty() {
            return lists(listing);
        }
        let begins = found.claims.iter().find(|it| begins_with_rows(&listing.head(it)));
        match begins {
            None => found,
            Some(first) => {
                let why = format!("`{}` begins with a JSON object", first.display());
                Detection { confidence: Confidence::Content, why, ..found }
            }
        }
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        Ok(Box::new(JsonlSource::open(&files, options)?))
    }
}

/// Files that are called JSON and begin as rows do. Metadata of anything may be called and begin so: whatever knows its files better
/// goes first.
fn lists(listing: &Listing<'_>) -> Detection {
    let begins = |path: &Path| {
        let head = unpacked_head(listing.head(path));
        begins_list(&head) || begins_lines(&head)
    };
    let claims = listing.paths().filter(|it| is_json_named(it) && begins(it));
    let claims: Vec<PathBuf> = claims.map(Path::to_owned).collect();
    let Some(first) = claims.first() else { return Detection::no() };
    let why = format!("`{}` begins as rows in JSON do", first.display());
    // Metadata is not packed.
    let are_packed = claims.iter().all(|it| Packing::of(&listing.head(it)).is_some());
    let confidence = if are_packed { Confidence::Content } else { Confidence::Name };
    Detection { confidence, claims, roots: Vec::new(), why }
}

/// Whether a file that is called JSON Lines begins as one: with an object, or a list of them.
fn begins_with_rows(head: &Bytes) -> bool {
    let head = unpacked_head(head.clone());
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head).trim_ascii_start();
    let inside = text.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    begins_list(&head) || inside.is_some_and(|it| matches!(it.first(), Some(b'"' | b'}')))
}

/// Whether a head is that of one object a line: the first is one, and the next begins.
fn begins_lines(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let mut lines = head.split(|it| *it == b'\n').map(<[u8]>::trim_ascii).filter(|it| !it.is_empty());
    let (Some(first), Some(next)) = (lines.next(), lines.next()) else { return false };
    let is_object = |it: &[u8]| it.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(it).is_ok();
    is_object(first) && next.starts_with(b"{")
}

/// What comes out of the head of a file that is packed as a whole, as far as it goes; that of any other as it is.
fn unpacked_head(head: Bytes) -> Bytes {
    let Some(packing) = Packing::of(&head) else { return head };
    let name = Path::new("head");
    let Ok(file) = MemoryFiles::default().with(name, head).open(name) else { return Bytes::new() };
    let mut room = vec![0; nodedata_core::HEAD_BYTES as usize];
    let mut n = 0;
    let mut unpacker = Unpacker::new(file, packing, u64::MAX);
    // That the head is cut is no matter: what comes out before does.
    while n < room.len()
        && let Ok(more @ 1..) = unpacker.next_bytes(&mut room[n..])
    {
        n += more;
    }
    room.truncate(n);
    room.into()
}
