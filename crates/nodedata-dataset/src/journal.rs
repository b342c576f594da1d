use std::{io, path::Path};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    digest::Digest,
    encode::{EpisodePart, Origin, ShardFacts, ShardId},
    page_table::PageTable,
    shard::SealedShard,
    stats::record::StatsRecord,
};

/// What a record says of itself. One that says something else is of another version: its unit is made again.
pub(crate) const FORMAT: &str = "unit/2";
/// Name of the record in the folder of a unit.
pub(crate) const RECORD: &str = "unit.zst";
/// Name of the proofs of its inputs. They are no part of the record, which is the same whoever made the unit
/// and when: an interrupted run has proved less of its inputs than one that came to its end.
pub(crate) const INPUTS: &str = "inputs.json";
/// Folder of the records in a finished dataset. The manifest does not name it: it is no part of the data.
pub(crate) const RECORDS: &str = ".units";
/// What the run that made a dataset noted for the next.
pub(crate) const NOTED: &str = ".units/note.json";
/// Most bytes a record may have: beyond that it is damaged.
const RECORD_BYTES_MAX: u64 = 4 << 30;

/// All that is known of a finished unit, so that nobody has to look at its source again: what the indexes,
/// statistics, manifest and report of the dataset are folded from.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UnitRecord {
    /// [`FORMAT`].
    pub(crate) nd: String,
    pub(crate) recipe: String,
    /// Paths of the inputs, relative to SRC.
    pub(crate) inputs: Vec<String>,
    pub(crate) shards: Vec<ShardRecord>,
    /// What the pipeline wants to know again; it alone understands it.
    pub(crate) run: Value,
}

#[derive(Deserialize)]
struct Version {
    nd: String,
}

/// An input of a unit, and a proof of the bytes that were read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitInput {
    /// Relative to SRC.
    pub path: String,
    /// How many of its first bytes are proved; no row of the unit comes from behind them.
    pub bytes: u64,
    /// BLAKE3-256 of these bytes, 64 hex digits.
    pub b3: String,
}

/// One shard of a unit.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ShardRecord {
    pub(crate) stream: String,
    /// Hash over the columns of the stream.
    pub(crate) columns: String,
    /// Name in the folder of the unit.
    pub(crate) file: String,
    pub(crate) b3: String,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    pub(crate) row_groups: u64,
    pub(crate) parts: Vec<PartRecord>,
    pub(crate) origins: Vec<OriginRecord>,
    pub(crate) pages: PageTable,
    /// Content hashes of the episodes that lie in the unit as a whole.
    pub(crate) contents: Vec<(usize, String)>,
    /// By feature.
    pub(crate) stats: Vec<StatsRecord>,
}

/// Episode, rows, row groups, first and last time.
pub(crate) type PartRecord = (usize, [u64; 2], [u64; 2], [Option<i64>; 2]);

/// Row, number of rows, position in [`UnitRecord::inputs`], byte range, first record.
pub(crate) type OriginRecord = (u64, u64, usize, [u64; 2], u64);

impl UnitRecord {
    /// The record as bytes of a file: the length of its text, the text, and the many numbers that it points
    /// at, all of it compressed.
    pub(crate) fn pack(&mut self) -> Result<Vec<u8>> {
        let mut blob = Vec::new();
        self.shards.iter_mut().flat_map(|it| &mut it.stats).for_each(|it| it.pack(&mut blob));
        let json = serde_json::to_vec(self).map_err(io::Error::from)?;
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1)?;
        // What a disk has lost must not be taken for a record.
        encoder.include_checksum(true)?;
        let n_json = (json.len() as u64).to_le_bytes();
        for part in [n_json.as_slice(), json.as_slice(), blob.as_slice()] {
            io::Write::write_all(&mut encoder, part)?;
        }
        Ok(encoder.finish()?)
    }

    /// Reads the record at `path`.
    ///
    /// # Errors
    /// `Io` when it is not there, `Corrupt` when it is not what [`Self::pack`] of this version wrote.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)
            .map_err(|err| nodedata_io::io_error("cannot read the unit's record", path, err))?;
        let decoder = zstd::stream::Decoder::with_buffer(bytes.as_slice())?;
        let mut all = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(decoder, RECORD_BYTES_MAX), &mut all)
            .map_err(|err| damaged(path).with_source(err))?;
        let (n_json, rest) = all.split_first_chunk::<8>().ok_or_else(|| damaged(path))?;
        let n_json = usize::try_from(u64::from_le_bytes(*n_json)).unwrap_or(usize::MAX);
        let (json, blob) = rest.split_at_checked(n_json).ok_or_else(|| damaged(path))?;
        // An earlier record may read like one of today, so it is asked first.
        let Version { nd } = serde_json::from_slice(json).map_err(|err| damaged(path).with_source(err))?;
        if nd != FORMAT {
            let message =
                format!("the record of a finished unit says `{nd}`, but this version writes `{FORMAT}`");
            return Err(Error::new(ErrorKind::Corrupt, message)
                .at(Locus::path(path))
                .with_hint("run `work` again for this unit, with the version that folds it"));
        }
        let mut record: Self = serde_json::from_slice(json).map_err(|err| damaged(path).with_source(err))?;
        for stats in record.shards.iter_mut().flat_map(|it| &mut it.stats) {
            stats.unpack(blob).ok_or_else(|| damaged(path))?;
        }
        Ok(record)
    }

    /// The shards as the writer knows them, with the folders and numbers they have in this dataset.
    pub(crate) fn shards(&self, place: &Place<'_>) -> Result<Vec<SealedShard>> {
        self.shards.iter().map(|it| self.shard(it, place)).collect()
    }

    fn shard(&self, shard: &ShardRecord, place: &Place<'_>) -> Result<SealedShard> {
        let (stream, path) = (place.find)(&shard.stream)?;
        let origin = |it: &OriginRecord| {
            let (row, n_rows, input, [start, end], first_record) = *it;
            let input = *place.inputs.get(input).ok_or_else(|| unusable(&shard.file))?;
            Ok(Origin { row, n_rows, input, byte_range: start..end, first_record })
        };
        let part = |it: &PartRecord| {
            let (episode, rows, groups, [start_time_ns, end_time_ns]) = *it;
            EpisodePart {
                episode,
                rows: rows[0]..rows[1],
                row_groups: groups[0]..groups[1],
                start_time_ns,
                end_time_ns,
            }
        };
        let facts = ShardFacts {
            id: ShardId { stream, split: place.split, number: place.number },
            n_rows: shard.rows,
            // Only the footer says so, and that is written.
            shown: Vec::new(),
            frames: Vec::new(),
            parts: shard.parts.iter().map(part).collect(),
            origins: shard.origins.iter().map(origin).collect::<Result<_>>()?,
        };
        let digest = Digest { b3: shard.b3.clone(), bytes: shard.bytes };
        let pages = shard.pages.clone();
        Ok(SealedShard { path, facts, digest, n_row_groups: shard.row_groups, pages })
    }
}

/// Where a unit lies in the dataset at hand.
pub(crate) struct Place<'a> {
    pub(crate) split: usize,
    pub(crate) number: usize,
    /// Position of a stream and path of the unit's shard of it.
    pub(crate) find: &'a dyn Fn(&str) -> Result<(usize, String)>,
    /// Positions of the record's inputs.
    pub(crate) inputs: Vec<usize>,
}

/// The proofs in the folder of a unit; `None` when they cannot be read.
pub(crate) fn read_inputs(path: &Path) -> Option<Vec<UnitInput>> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

pub(crate) fn part_record(part: &EpisodePart) -> PartRecord {
    (
        part.episode,
        [part.rows.start, part.rows.end],
        [part.row_groups.start, part.row_groups.end],
        [part.start_time_ns, part.end_time_ns],
    )
}

fn damaged(path: &Path) -> Error {
    Error::new(ErrorKind::Corrupt, "the record of a finished unit is damaged").at(Locus::path(path))
}

fn unusable(file: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "the record of a finished unit does not fit its source")
        .at(Locus::path(file))
        .with_hint("remove the hidden `.partial` folder beside the output, and run again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_its_file_and_damage_is_seen() {
        let mut record = UnitRecord {
            nd: FORMAT.to_owned(),
            recipe: "b3:0".to_owned(),
            inputs: vec!["a.mcap".to_owned()],
            shards: Vec::new(),
            run: serde_json::json!({"read": {"/a": 3}}),
        };
        let (recipe, run) = (record.recipe.clone(), record.run.clone());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(RECORD);
        let mut bytes = record.pack().unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let read = UnitRecord::read(&path).unwrap();
        assert_eq!((read.recipe, read.inputs, read.run), (recipe, vec!["a.mcap".to_owned()], run));
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(UnitRecord::read(&path).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
