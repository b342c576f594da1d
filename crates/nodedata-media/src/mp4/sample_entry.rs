use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, Result};

use super::{
    boxes::{FourCc, Payload},
    esds::Stream,
};
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
    let unknown = |what: String| {
        Error::new(ErrorKind::Unsupported, format!("video of {what} is not known"))
            .at(Locus::byte(payload.offset))
            .with_hint("re-encode the video as H.264, H.265 or AV1")
    };
    let (codec, config) = match &kind {
        b"avc1" | b"avc3" => (Some(VideoCodec::H264), Some(b"avcC")),
        b"hvc1" | b"hev1" => (Some(VideoCodec::H265), Some(b"hvcC")),
        b"av01" => (Some(VideoCodec::Av1), Some(b"av1C")),
        b"vp09" => (Some(VideoCodec::Vp9), Some(b"vpcC")),
        // Which codec its `esds` tells.
        b"mp4v" => (None, Some(b"esds")),
        b"jpeg" | b"mjpg" => (Some(VideoCodec::Mjpeg), None),
        _ => return Err(unknown(format!("type `{}`", kind.escape_ascii()))),
    };
    let mut fields = payload.fields();
    fields.skip(24)?;
    let width = u32::from(fields.u16()?);
    let height = u32::from(fields.u16()?);
    fields.skip(VISUAL_BYTES - 28)?;
    let codec_config = match config {
        Some(config) => fields.rest().need(config)?.bytes,
        None => Bytes::new(),
    };
    let codec = match codec {
        Some(codec) => codec,
        None => {
            let stream = Stream::parse(&codec_config)
                .ok_or_else(|| payload.corrupt(VISUAL_BYTES, "the `esds` box is damaged"))?;
            let what = || format!("type `mp4v` with the object type 0x{:02x}", stream.object_type);
            stream.codec().ok_or_else(|| unknown(what()))?
        }
    };
    Ok(SampleEntry { codec, codec_config, width, height })
}
