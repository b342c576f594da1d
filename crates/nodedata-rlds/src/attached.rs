//! What a record has of its episode as a whole that is more than metadata is for: it becomes attachments, which are copied from
//! where they lie.

use std::ops::Range;

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_media::sniff;

use crate::{
    counts::Counted,
    example::{ListKind, Values},
    features::{Coding, FACTS_MAX, Leaf},
    keys::{Keys, Parts},
};

/// A value, or a list of them, as it lies in a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    /// The feature, with what part of it this is behind it where there are several.
    pub(crate) name: String,
    pub(crate) media_type: String,
    /// In the record.
    pub(crate) place: Range<usize>,
}

const UNKNOWN: &str = "application/octet-stream";

impl Keys {
    /// Whether records have to be looked into for what is attached.
    pub(crate) fn may_have_attached(&self) -> bool {
        self.leaves.iter().any(Leaf::may_be_attached)
    }

    /// What is attached to the episode of a record.
    ///
    /// # Errors
    /// `Corrupt` when it is no `Example`, or has values of another kind than the features say.
    pub(crate) fn attached(&self, record: &[u8]) -> Result<Vec<Attached>> {
        let mut all = Vec::new();
        for (leaf, parts) in self.leaves.iter().zip(&self.parts(record)?) {
            if !leaf.may_be_attached() {
                continue;
            }
            let counted = leaf.counted(record, parts)?;
            if !leaf.is_attached(parts, &counted) {
                continue;
            }
            match leaf.is_bytes() {
                true => leaf.attach_values(record, parts, &counted, &mut all)?,
                false => all.extend(leaf.attach_list("", &parts.values, record)?),
            }
            // What tells how the values belong together.
            for (level, lengths) in parts.lengths.iter().enumerate() {
                all.extend(leaf.attach_list(&format!("/ragged_row_lengths_{level}"), lengths, record)?);
            }
            all.extend(leaf.attach_list("/shape", &parts.shape, record)?);
        }
        Ok(all)
    }
}

impl Leaf {
    /// Whether a record has more of it than metadata is for, which therefore is attached to the episode.
    pub(crate) fn is_attached(&self, parts: &Parts, counted: &Counted) -> bool {
        let n = counted.n_values.max(counted.n_lists);
        !self.is_step && (self.is_bytes() || parts.form.is_shaped || n > FACTS_MAX)
    }

    /// An attachment for each value of bytes.
    fn attach_values(
        &self,
        record: &[u8],
        parts: &Parts,
        counted: &Counted,
        all: &mut Vec<Attached>,
    ) -> Result<()> {
        let name = &self.feature.name;
        let mut cursor = parts.values.cursor();
        for idx in 0..counted.n_values {
            let place = cursor.place(record)?;
            let media_type = match self.coding {
                Coding::Image | Coding::FloatImage => {
                    sniff(&record[place.clone()]).map(|it| format!("image/{it}"))
                }
                Coding::Zlib => Some("application/zlib".to_owned()),
                Coding::Raw => None,
                Coding::Values => {
                    self.feature.metadata.get("tfds:file_format").map(|it| format!("audio/{it}"))
                }
            };
            all.push(Attached {
                name: if self.levels.is_empty() { name.clone() } else { format!("{name}/{idx}") },
                media_type: media_type.unwrap_or_else(|| UNKNOWN.to_owned()),
                place,
            });
        }
        Ok(())
    }

    /// An attachment for all values of a key: the message that holds them.
    fn attach_list(&self, part: &str, values: &Values, record: &[u8]) -> Result<Option<Attached>> {
        if values.count(record)? == 0 {
            return Ok(None);
        }
        let message = match values.kind() {
            None => return Ok(None),
            Some(ListKind::Bytes) => "tensorflow.BytesList",
            Some(ListKind::Float) => "tensorflow.FloatList",
            Some(ListKind::Int) => "tensorflow.Int64List",
        };
        match values.lists() {
            [] => Ok(None),
            [place] => Ok(Some(Attached {
                name: format!("{}{part}", self.feature.name),
                media_type: format!("application/x-protobuf; messageType={message}"),
                place: place.clone(),
            })),
            _ => {
                let message =
                    "many values of the whole episode lie in several pieces, and cannot be attached to it";
                Err(Error::new(ErrorKind::Unsupported, message)
                    .at(self.place())
                    .with_hint("`--topic` with the names of the other features leaves it out"))
            }
        }
    }
}
