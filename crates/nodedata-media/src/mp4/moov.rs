use nodedata_core::{Error, ErrorKind, Locus, Result};

use super::{
    boxes::Payload,
    edit_list::Edit,
    sample_entry::{self, SampleEntry},
};

/// The parts of `moov` that matter for the first video track.
pub(super) struct Moov {
    /// Ticks per second of edit durations.
    pub(super) movie_timescale: u32,
    /// Ticks per second of samples.
    pub(super) timescale: u32,
    pub(super) track_id: u32,
    pub(super) entry: SampleEntry,
    /// Every sample entry, the first of which is `entry`.
    pub(super) entries: Vec<SampleEntry>,
    pub(super) edits: Vec<Edit>,
    /// The sample tables.
    pub(super) stbl: Payload,
    /// Whether `mvex` announces `moof` boxes.
    pub(super) fragmented: bool,
    /// Defaults of the track's fragments.
    pub(super) trex: Option<Trex>,
    pub(super) ignored_tracks: Vec<String>,
}

/// What a fragment's samples are like when it does not say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trex {
    pub(super) duration: u32,
    pub(super) n_bytes: u32,
    pub(super) flags: u32,
}

impl Moov {
    pub(super) fn parse(moov: &Payload) -> Result<Self> {
        let mut video = None;
        let mut ignored_tracks = Vec::new();
        for (_, trak) in moov.boxes()?.into_iter().filter(|(kind, _)| kind == b"trak") {
            let mdia = trak.need(b"mdia")?;
            let handler = handler(&mdia)?;
            if &handler == b"vide" && video.is_none() {
                video = Some((trak, mdia));
            } else {
                ignored_tracks.push(handler.escape_ascii().to_string());
            }
        }
        let Some((trak, mdia)) = video else {
            let message = format!("the file has no video track, only {ignored_tracks:?}");
            return Err(Error::new(ErrorKind::Unsupported, message).at(Locus::byte(moov.offset)));
        };
        let stbl = mdia.need(b"minf")?.need(b"stbl")?;
        let entries = sample_entry::parse(&stbl.need(b"stsd")?)?;
        let track_id = track_id(&trak.need(b"tkhd")?)?;
        let mvex = moov.find(b"mvex")?;
        Ok(Self {
            movie_timescale: timescale(&moov.need(b"mvhd")?)?,
            timescale: timescale(&mdia.need(b"mdhd")?)?,
            track_id,
            entry: entries[0].clone(),
            entries,
            edits: edits(&trak)?,
            stbl,
            fragmented: mvex.is_some(),
            trex: mvex.map(|it| trex(&it, track_id)).transpose()?.flatten(),
            ignored_tracks,
        })
    }
}

fn handler(mdia: &Payload) -> Result<[u8; 4]> {
    let hdlr = mdia.need(b"hdlr")?;
    let mut fields = hdlr.fields();
    fields.skip(8)?;
    fields.array()
}

/// `mvhd` and `mdhd` hold it at the same place.
fn timescale(header: &Payload) -> Result<u32> {
    let mut fields = header.fields();
    let (version, _) = fields.version_and_flags()?;
    fields.skip(if version == 1 { 16 } else { 8 })?;
    match fields.u32()? {
        0 => Err(header.corrupt(0, "the clock has 0 ticks per second")),
        ticks => Ok(ticks),
    }
}

fn track_id(tkhd: &Payload) -> Result<u32> {
    let mut fields = tkhd.fields();
    let (version, _) = fields.version_and_flags()?;
    fields.skip(if version == 1 { 16 } else { 8 })?;
    fields.u32()
}

fn edits(trak: &Payload) -> Result<Vec<Edit>> {
    let Some(edts) = trak.find(b"edts")? else { return Ok(Vec::new()) };
    let Some(elst) = edts.find(b"elst")? else { return Ok(Vec::new()) };
    let mut fields = elst.fields();
    let (version, _) = fields.version_and_flags()?;
    let count = fields.count(if version == 1 { 20 } else { 12 })?;
    (0..count)
        .map(|_| {
            let (duration, media_time) = if version == 1 {
                (fields.u64()?, i64::from_be_bytes(fields.array()?))
            } else {
                (u64::from(fields.u32()?), i64::from(fields.i32()?))
            };
            Ok(Edit { duration, media_time, rate: fields.i32()?, offset: elst.offset })
        })
        .collect()
}

fn trex(mvex: &Payload, track_id: u32) -> Result<Option<Trex>> {
    for (_, trex) in mvex.boxes()?.into_iter().filter(|(kind, _)| kind == b"trex") {
        let mut fields = trex.fields();
        fields.version_and_flags()?;
        if fields.u32()? == track_id {
            fields.skip(4)?;
            let (duration, n_bytes, flags) = (fields.u32()?, fields.u32()?, fields.u32()?);
            return Ok(Some(Trex { duration, n_bytes, flags }));
        }
    }
    Ok(None)
}
