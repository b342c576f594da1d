//! A file as records: lines, or the elements of one list.

use std::{ops::Range, path::Path, sync::Arc};

use nodedata_core::{Error, ErrorKind, HEAD_BYTES, ReadAt, Result};
use nodedata_io::packed::Packing;
use serde::de::IgnoredAny;

use crate::{
    elements::{Elements, begins_list},
    lines::Lines,
    record::record_of,
    window::Record,
};

/// How records lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One a line.
    Lines,
    /// As the elements of one list.
    List,
}

/// Where records begin: on which line, and for a list in which column of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) line: u64,
    /// `None` where each record is a line.
    pub(crate) column: Option<u64>,
}

/// The records of a text that begin in a range.
pub(crate) enum Records {
    Lines(Lines),
    List(Box<Elements>),
}

impl Form {
    /// The form of a file.
    ///
    /// # Errors
    /// `Io`; `Unsupported` for a file that is one object, and not one row.
    pub(crate) fn of(path: &Path, text: &Arc<dyn ReadAt>, record_bytes_max: u64) -> Result<Self> {
        let head = text.peek_at(0..text.n_bytes().min(HEAD_BYTES))?;
        if begins_list(&head) {
            return Ok(Self::List);
        }
        if !is_json_named(path) || !is_document(text, record_bytes_max)? {
            return Ok(Self::Lines);
        }
        let message = "the file is one JSON object, and neither a list of rows nor one object a line";
        let hint = format!(
            "write the list in it as rows, such as `jq -c '.KEY[]' {0} > rows.jsonl`; where the object is a row, `jq -c . {0} > rows.jsonl`",
            path.display()
        );
        Err(Error::new(ErrorKind::Unsupported, message).with_hint(hint))
    }
}

impl Records {
    /// Those of a range, at whose start one begins: at this spot.
    pub(crate) fn within(
        text: Arc<dyn ReadAt>,
        range: Range<u64>,
        spot: Spot,
        record_bytes_max: u64,
    ) -> Self {
        match spot.column {
            None => Self::Lines(Lines::within(text, range, record_bytes_max, spot.line)),
            Some(column) => {
                let spot = (spot.line, column);
                Self::List(Box::new(Elements::within(text, range, record_bytes_max, spot)))
            }
        }
    }

    /// The next one; of lines, blank ones too.
    pub(crate) fn next_record(&mut self) -> Result<Option<Record>> {
        match self {
            Self::Lines(lines) => lines.next_line(),
            Self::List(elements) => elements.next_element(),
        }
    }

    /// Behind the last one.
    pub(crate) fn at(&self) -> u64 {
        match self {
            Self::Lines(lines) => lines.at(),
            Self::List(elements) => elements.at(),
        }
    }

    /// Number of the line behind the last one, where each is a line.
    pub(crate) fn next_line(&self) -> Option<u64> {
        match self {
            Self::Lines(lines) => Some(lines.number()),
            Self::List(_) => None,
        }
    }

    /// Whether a record is a line, which may be blank and then is none.
    pub(crate) fn has_blanks(&self) -> bool {
        matches!(self, Self::Lines(_))
    }
}

/// `a.json`, and `a.json.gz`.
pub(crate) fn is_json_named(path: &Path) -> bool {
    has_ending(path, &["json"])
}

/// Whether a file is called so, packed or not.
pub(crate) fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let Some(name) = path.file_name().map(|it| it.to_string_lossy().to_ascii_lowercase()) else {
        return false;
    };
    let stem = Packing::of_name(&name).map_or(name.as_str(), |it| it.0);
    stem.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending))
}

/// Whether a text is one object: it goes on behind the first line, or that is all there is.
fn is_document(text: &Arc<dyn ReadAt>, record_bytes_max: u64) -> Result<bool> {
    let mut lines = Lines::within(Arc::clone(text), 0..text.n_bytes(), record_bytes_max, 1);
    let mut is_first = true;
    while let Some(line) = lines.next_line()? {
        let record = record_of(&line);
        if record.is_empty() {
            continue;
        }
        if !is_first {
            return Ok(false);
        }
        is_first = false;
        if !line.is_whole || !record.starts_with(b"{") {
            return Ok(false);
        }
        match serde_json::from_slice::<IgnoredAny>(record) {
            Ok(_) => {}
            Err(err) if err.is_eof() => return Ok(lines.at() < text.n_bytes()),
            Err(_) => return Ok(false),
        }
    }
    Ok(!is_first)
}
