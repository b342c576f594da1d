use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, Result};

use super::boxes::{FourCc, Payload};
use crate::VideoCodec;

/// One entry of `stsd`: how samples are coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SampleEntry {
    pub(super) codec: VideoCodec,
    pub(super) codec_config: Bytes,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// Fields of a visual sample entry in front of its boxes.
const VISUAL_BYTES: usize = 78;

/// Every entry of `stsd`, in order.
pub(super) fn parse(stsd: &Payload) -> Result<Vec<SampleEntry>> {
    let mut fields = stsd.fields();
    fields.version_and_flags()?;
    let count = fields.count(8)?;
    let entries = fields.rest().boxes()?;
    if entries.len() < count || count == 0 {
        let message = format!("`stsd` claims {count} entries and has {}", entries.len());
        return Err(stsd.corrupt(4, message));
    }
    entries.into_iter().take(count).map(|(kind, payload)| entry(kind, &payload)).collect()
}

fn entry(kind: FourCc, payload: &Payload) -> Result<SampleEntry> {
    let (codec, config) = match &kind {
        b"avc1" | b"avc3" => (VideoCodec::H264, b"avcC"),
        b"hvc1" | b"hev1" => (VideoCodec::H265, b"hvcC"),
        b"av01" => (VideoCodec::Av1, b"av1C"),
        b"vp09" => (VideoCodec::Vp9, b"vpcC"),
        b"mp4v" => (VideoCodec::Mpeg4, b"esds"),
        _ => {
            let message = format!("video of type `{}` is not known", kind.escape_ascii());
            return Err(Error::new(ErrorKind::Unsupported, message)
                .at(Locus::byte(payload.offset))
                .with_hint("re-encode the video as H.264, H.265 or AV1"));
        }
    };
    let mut fields = payload.fields();
    fields.skip(24)?;
    let width = u32::from(fields.u16()?);
    let height = u32::from(fields.u16()?);
    fields.skip(VISUAL_BYTES - 28)?;
    let codec_config = fields.rest().need(config)?.bytes;
    Ok(SampleEntry { codec, codec_config, width, height })
}
