use bytes::Bytes;

use crate::keyframe;

/// A video codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// H.264 / AVC.
    H264,
    /// H.265 / HEVC.
    H265,
    /// AV1.
    Av1,
    /// VP9, which no built-in decoder takes.
    Vp9,
    /// MPEG-1 or MPEG-2, which no built-in decoder takes.
    Mpeg2,
    /// MPEG-4 part 2, which no built-in decoder takes.
    Mpeg4,
    /// Motion JPEG: every sample is a JPEG picture.
    Mjpeg,
}

/// How ffmpeg's encoders are called, by how their names begin: behind the codec's name stands the machine's.
const ENCODERS: [(&str, VideoCodec); 12] = [
    ("libx264", VideoCodec::H264),
    ("libopenh264", VideoCodec::H264),
    ("h264_", VideoCodec::H264),
    ("libx265", VideoCodec::H265),
    ("libkvazaar", VideoCodec::H265),
    ("hevc_", VideoCodec::H265),
    ("libaom-av1", VideoCodec::Av1),
    ("libsvtav1", VideoCodec::Av1),
    ("librav1e", VideoCodec::Av1),
    ("av1_", VideoCodec::Av1),
    ("libvpx-vp9", VideoCodec::Vp9),
    ("vp9_", VideoCodec::Vp9),
];

/// Parameter sets and SEI before the first slice; an access unit with more is not looked at further.
pub(crate) const NAL_UNITS_MAX: usize = 64;

impl VideoCodec {
    /// Every codec.
    pub const ALL: [Self; 7] =
        [Self::H264, Self::H265, Self::Av1, Self::Vp9, Self::Mpeg2, Self::Mpeg4, Self::Mjpeg];

    /// The codec called `name`, as [`Self::name`] spells it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// The codec that a message of video says it is coded by: the `format` of `CompressedVideo`, or the `encoding` of `FFMPEGPacket`,
    /// which is what ffmpeg calls the codec or the encoder (`libx264`, `hevc_vaapi`), with formats of pixels behind it in newer
    /// versions (`h264;yuv420p;rgb8;bgr8`).
    pub fn from_label(label: &str) -> Option<Self> {
        let label = label.split(';').next().unwrap_or_default().trim();
        let is = |name: &str| label.eq_ignore_ascii_case(name);
        if is("h264") || is("avc") || is("avc1") {
            Some(Self::H264)
        } else if is("h265") || is("hevc") || is("hvc1") {
            Some(Self::H265)
        } else if is("av1") || is("av01") {
            Some(Self::Av1)
        } else if is("vp9") || is("vp09") {
            Some(Self::Vp9)
        } else {
            let begins = |it: &str| label.get(..it.len()).is_some_and(|label| label.eq_ignore_ascii_case(it));
            ENCODERS.iter().find(|(name, _)| begins(name)).map(|(_, codec)| *codec)
        }
    }

    /// Whether samples are made of NAL units.
    pub(crate) fn has_nal_units(self) -> bool {
        matches!(self, Self::H264 | Self::H265)
    }

    /// The name used in schemas and findings.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
            Self::Av1 => "av1",
            Self::Vp9 => "vp9",
            Self::Mpeg2 => "mpeg2",
            Self::Mpeg4 => "mpeg4",
            Self::Mjpeg => "mjpeg",
        }
    }
}

/// Whether decoding can start at this access unit: its first slice is IDR (H.264, NAL type 5) or IRAP
/// (H.265, NAL types 16 to 23); its frame is a key frame with the sequence header beside it (AV1); it is a key frame (VP9).
/// `None` when `sample` is not in Annex B form, holds no slice or frame, or the codec is another one.
///
/// Looks at parameter sets and SEI up to the first slice, never at slice data.
pub fn is_keyframe(codec: VideoCodec, sample: &[u8]) -> Option<bool> {
    match codec {
        VideoCodec::Av1 => return keyframe::of_av1(sample),
        VideoCodec::Vp9 => return keyframe::of_vp9(sample),
        _ if !codec.has_nal_units() => return None,
        _ => {}
    }
    let mut rest = after_leading_start_code(sample)?;
    for _ in 0..NAL_UNITS_MAX {
        if let Some(starts) = is_starting_slice(codec, *rest.first()?) {
            return Some(starts);
        }
        rest = after_next_start_code(rest)?;
    }
    None
}

/// Whether decoding can start at the slice whose first byte is `header`; `None` for a NAL unit that is no slice.
pub(crate) fn is_starting_slice(codec: VideoCodec, header: u8) -> Option<bool> {
    match codec {
        VideoCodec::H265 => match (header >> 1) & 0x3f {
            16..=23 => Some(true),
            0..=15 => Some(false),
            _ => None,
        },
        _ => match header & 0x1f {
            5 => Some(true),
            1..=4 => Some(false),
            _ => None,
        },
    }
}

/// NAL type of the delimiter in front of an access unit of H.264.
const DELIMITER: u8 = 9;

/// The access units of an H.264 stream that has a delimiter in front of each; `None` where something stands before the first.
pub(crate) fn access_units(stream: &Bytes) -> Option<Vec<Bytes>> {
    let is_delimiter = |it: &[u8]| matches!(it, [0, 0, 1, header] if header & 0x1f == DELIMITER);
    let starts = stream.windows(4).enumerate().filter(|(_, it)| is_delimiter(it)).map(|(at, _)| {
        // A start code may be of four bytes.
        at - usize::from(at.checked_sub(1).is_some_and(|before| stream[before] == 0))
    });
    let starts: Vec<usize> = starts.chain([stream.len()]).collect();
    let units = starts.windows(2).map(|it| stream.slice(it[0]..it[1])).collect();
    (starts.first() == Some(&0)).then_some(units)
}

/// The codec of an access unit in Annex B form, judged by its first NAL unit.
pub(crate) fn sniff_codec(sample: &[u8]) -> Option<VideoCodec> {
    let nal = after_leading_start_code(sample)?;
    let [first, second, ..] = nal else { return None };
    if first & 0x80 != 0 {
        return None;
    }
    // H.265 has a second header byte: layer 0 and a temporal id above 0. The types kept here never look
    // like a legal H.264 header, except type 20 beside a picture parameter set, whose next byte is >= 0x80.
    let is_h265_header = first & 1 == 0 && second & 0xf8 == 0 && second & 7 != 0;
    if is_h265_header && matches!(first >> 1, 0 | 1 | 8 | 9 | 16..=21 | 32..=35 | 39 | 40) {
        return Some(VideoCodec::H265);
    }
    let is_reference = first & 0x60 != 0;
    match first & 0x1f {
        1 => Some(VideoCodec::H264),
        5 | 7 | 8 if is_reference => Some(VideoCodec::H264),
        6 | 9 if !is_reference => Some(VideoCodec::H264),
        _ => None,
    }
}

/// The bytes after `00 00 01` or `00 00 00 01` at the very start.
fn after_leading_start_code(sample: &[u8]) -> Option<&[u8]> {
    sample.strip_prefix(&[0, 0, 0, 1]).or_else(|| sample.strip_prefix(&[0, 0, 1]))
}

/// The bytes after the next `00 00 01`.
fn after_next_start_code(bytes: &[u8]) -> Option<&[u8]> {
    let at = bytes.windows(3).position(|it| it == [0, 0, 1])?;
    Some(&bytes[at + 3..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [&[0, 0, 0, 1], *nal].concat()).collect()
    }

    #[test]
    fn the_first_slice_decides_whether_decoding_can_start() {
        let h264 = |nals: &[&[u8]]| is_keyframe(VideoCodec::H264, &unit(nals));
        assert_eq!(h264(&[&[0x67, 1], &[0x68, 2], &[0x06, 5], &[0x65, 0x88]]), Some(true));
        assert_eq!(h264(&[&[0x41, 0x9a]]), Some(false));
        assert_eq!(h264(&[&[0x09, 0xf0], &[0x01, 0x9a], &[0x65, 0x88]]), Some(false));
        assert_eq!(h264(&[&[0x67, 1], &[0x68, 2]]), None);
        let h265 = |nals: &[&[u8]]| is_keyframe(VideoCodec::H265, &unit(nals));
        assert_eq!(h265(&[&[0x40, 1], &[0x42, 1], &[0x44, 1], &[0x26, 1]]), Some(true));
        assert_eq!(h265(&[&[0x2a, 1]]), Some(true));
        assert_eq!(h265(&[&[0x02, 1]]), Some(false));
    }

    #[test]
    fn a_stream_is_cut_at_its_delimiters() {
        let key = unit(&[&[0x09, 0x10], &[0x67, 1], &[0x68, 2], &[0x65, 0x88, 9]]);
        let short = [&[0, 0, 1, 0x09, 0x30][..], &unit(&[&[0x41, 0x9a]])].concat();
        let last = unit(&[&[0x09, 0x30], &[0x41, 0x9b]]);
        let stream = Bytes::from([&key[..], &short, &last].concat());
        assert_eq!(access_units(&stream).unwrap(), [&key[..], &short, &last]);
        assert_eq!(access_units(&stream.slice(1..)).unwrap().len(), 3, "a start code of three bytes");
        assert_eq!(access_units(&stream.slice(8..)), None, "not all of it is in a unit");
        assert_eq!(access_units(&Bytes::new()), Some(Vec::new()));
    }

    #[test]
    fn samples_with_length_prefixes_are_not_understood() {
        assert_eq!(is_keyframe(VideoCodec::H264, &[0, 0, 0, 2, 0x65, 0x88]), None);
        assert_eq!(is_keyframe(VideoCodec::H264, &[]), None);
        assert_eq!(is_keyframe(VideoCodec::H264, &[0, 0, 0, 1]), None);
    }

    #[test]
    fn labels_are_read_without_regard_to_case() {
        assert_eq!(VideoCodec::from_label("H264"), Some(VideoCodec::H264));
        assert_eq!(VideoCodec::from_label("hevc"), Some(VideoCodec::H265));
        assert_eq!(VideoCodec::from_label("AV1"), Some(VideoCodec::Av1));
        assert_eq!(VideoCodec::from_label("vp9"), Some(VideoCodec::Vp9));
        assert_eq!(VideoCodec::from_label("theora"), None);
    }

    #[test]
    fn encoders_of_ffmpeg_name_their_codec() {
        for (codec, labels) in [
            (
                VideoCodec::H264,
                &["libx264", "libx264rgb", "h264_nvenc", "H264_V4L2M2M", "h264;yuv420p;rgb8;bgr8"][..],
            ),
            (VideoCodec::H265, &["hevc", "libx265", "hevc_vaapi", "hevc_nvenc", "hevc;yuv420p;bgr8;bgr8"]),
            (VideoCodec::Av1, &["av1", "libsvtav1", "libaom-av1", "av1_nvenc", "av1;yuv420p"]),
            (VideoCodec::Vp9, &["libvpx-vp9", "vp9_vaapi"]),
        ] {
            for label in labels {
                assert_eq!(VideoCodec::from_label(label), Some(codec), "{label}");
            }
        }
        for label in [
            "",
            ";",
            ";h264",
            "libvpx",
            "mpeg4",
            "mpeg2video",
            "ffv1",
            "mjpeg",
            "h2645",
            "xh264_nvenc",
            "é264_",
        ] {
            assert_eq!(VideoCodec::from_label(label), None, "{label}");
        }
    }

    #[test]
    fn codecs_are_found_by_their_names() {
        for codec in VideoCodec::ALL {
            assert_eq!(VideoCodec::from_name(codec.name()), Some(codec));
        }
        assert_eq!(VideoCodec::from_name("theora"), None);
    }
}
