//! Pictures of topics of coded video, `CompressedVideo` and `FFMPEGPacket`: each step takes the one of the message that is chosen for it, decoded from
//! the last key frame at or before that message on, whatever lies between.

mod coded;
mod frames;
mod look;
mod missing;
mod player;

pub(crate) use self::{
    coded::Coded,
    look::{Looked, look_at_videos},
    player::Parked,
};

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::ArrayRef;
use nodedata_core::{MediaEncoding, MediaShape, Result};

use self::{frames::Pictures, player::Player};
use crate::{
    align::{Choice, NO_ROW},
    mapping::{Field, Value},
    piece::PieceReader,
    track::{Place, Track},
};

/// The column of a field of decoded video in a piece.
pub(crate) struct PictureColumn {
    pub(crate) array: ArrayRef,
    /// What its pictures are, of the first column.
    pub(crate) pixels: Vec<MediaShape>,
}

/// A topic of video whose pictures a piece takes.
struct Camera<'a> {
    stream: usize,
    data: usize,
    format: Option<usize>,
    /// By what pictures are stored as, the rows of the track that are stored so.
    wanted: Vec<(MediaEncoding, BTreeSet<u32>)>,
    track: &'a Track,
}

/// The pictures of a piece, by field of the mapping. `choices` are those of its own steps, and `looked_at` gets the positions of
/// partitions that decided them.
///
/// # Errors
/// `Corrupt` for video that cannot be decoded, or gives its frames in another order than its messages come in; `Unsupported` where
/// no decoder takes it; what reading reports.
pub(crate) fn columns(
    reader: &PieceReader<'_>,
    tracks: &[Track],
    choices: impl Fn(&Field) -> Vec<Option<Choice>>,
    looked_at: &mut BTreeSet<usize>,
) -> Result<BTreeMap<usize, PictureColumn>> {
    let fields = &reader.store.mapping.fields;
    let mut cameras: Vec<Camera<'_>> = Vec::new();
    // Field, camera, what it is stored as, and the row of each step.
    let mut wanted: Vec<(usize, usize, MediaEncoding, Vec<u32>)> = Vec::new();
    for (idx, field) in fields.iter().enumerate() {
        let (Some(video), Value::Column(part)) = (&field.video, &field.value) else { continue };
        let mut choices = choices(field);
        let rows = choices.get_mut(part.stream).and_then(Option::take).map(|it| it.rows).unwrap_or_default();
        let is_it = |it: &Camera<'_>| it.stream == part.stream && it.data == part.column;
        let at = cameras.iter().position(is_it).unwrap_or_else(|| {
            let (stream, data, format) = (part.stream, part.column, video.format);
            cameras.push(Camera { stream, data, format, wanted: Vec::new(), track: &tracks[stream] });
            cameras.len() - 1
        });
        cameras[at].want(video.stored, &rows);
        wanted.push((idx, at, video.stored, rows));
    }
    let pictures: Vec<Pictures> =
        cameras.iter().map(|it| it.pictures(reader, looked_at)).collect::<Result<_>>()?;
    let column = |(idx, camera, stored, rows): (usize, usize, MediaEncoding, Vec<u32>)| {
        let column = pictures[camera].column(&fields[idx].feature, stored, &rows);
        column.map(|it| (idx, it)).map_err(|err| err.at(reader.locus(&fields[idx], 0)))
    };
    wanted.into_iter().map(column).collect()
}

impl Camera<'_> {
    fn want(&mut self, stored: MediaEncoding, rows: &[u32]) {
        let rows = rows.iter().copied().filter(|it| *it != NO_ROW);
        match self.wanted.iter_mut().find(|it| it.0 == stored) {
            Some(known) => known.1.extend(rows),
            None => self.wanted.push((stored, rows.collect())),
        }
    }

    /// Decodes what is wanted, each message once.
    fn pictures(&self, reader: &PieceReader<'_>, looked_at: &mut BTreeSet<usize>) -> Result<Pictures> {
        let mut pictures = Pictures::default();
        let rows: BTreeSet<u32> = self.wanted.iter().flat_map(|it| it.1.iter().copied()).collect();
        let place = |row: &u32| self.track.place(*row as usize);
        let Some(first) = rows.first().and_then(place) else { return Ok(pictures) };
        let (recording, stream) = (reader.piece.recording, self.stream);
        let survey = &reader.recording.survey;
        let mut coded = Coded::new(reader.store, survey, reader.held, (stream, self.data, self.format));
        let mut player = Player::open(&mut coded, recording, first)?;
        for row in &rows {
            let Some(wanted) = place(row) else { continue };
            let Some(frame) = player.picture(&mut coded, wanted)? else { continue };
            for (stored, _) in self.wanted.iter().filter(|it| it.1.contains(row)) {
                pictures.store(*stored, *row, frame).map_err(|err| coded.at(&err, wanted))?;
            }
            looked_at.extend(player.partitions().map(|it| it as usize));
        }
        looked_at.extend(coded.looked_at());
        reader.store.parked.put(player);
        Ok(pictures)
    }
}

/// The first place of all.
const START: Place = Place { stamp: i64::MIN, partition: 0, batch: 0, row: 0 };

/// From when on messages of a topic can be decoded: the stamp of its first key frame; `None` where it has none.
///
/// # Errors
/// What reading reports; `Unsupported` for an unknown coding.
pub(crate) fn first_key_ns(mut coded: Coded<'_>) -> Result<Option<i64>> {
    let (mut at, mut is_past) = (START, false);
    while let Some(sample) = coded.next(at, is_past)? {
        if sample.is_key {
            return Ok(Some(sample.place.stamp));
        }
        (at, is_past) = (sample.place, true);
    }
    Ok(None)
}
