//! Versions of FFmpeg's libraries that are taken, and where their structures differ.

use std::ffi::c_uint;

/// Libraries of one release of FFmpeg, by their major versions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Versions {
    pub(super) avcodec: c_uint,
    pub(super) avutil: c_uint,
    pub(super) fields: FrameFields,
}

/// Where fields of `AVFrame` lie whose place is another in each version, in bytes; all are `int`.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameFields {
    pub(super) flags: usize,
    pub(super) color_range: usize,
    pub(super) colorspace: usize,
    pub(super) decode_error_flags: usize,
}

/// FFmpeg 5 and 6.
const OLD: FrameFields =
    FrameFields { flags: 316, color_range: 320, colorspace: 332, decode_error_flags: 376 };
/// FFmpeg 7: without the numbers of pictures, `reordered_opaque`, `channel_layout` and `pkt_duration`.
const WITHOUT_OLD_AUDIO: FrameFields =
    FrameFields { flags: 292, color_range: 296, colorspace: 308, decode_error_flags: 344 };
/// FFmpeg 8: without `key_frame`, the marks of interlacing, `palette_has_changed` and `pkt_pos` too.
const WITHOUT_MARKS: FrameFields =
    FrameFields { flags: 276, color_range: 280, colorspace: 292, decode_error_flags: 320 };

/// FFmpeg 8, 7, 6 and 5, the newest first.
pub(super) const VERSIONS: [Versions; 4] = [
    Versions { avcodec: 62, avutil: 60, fields: WITHOUT_MARKS },
    Versions { avcodec: 61, avutil: 59, fields: WITHOUT_OLD_AUDIO },
    Versions { avcodec: 60, avutil: 58, fields: OLD },
    Versions { avcodec: 59, avutil: 57, fields: OLD },
];

impl Versions {
    /// Those of two libraries by the numbers they tell; `None` where they are not known, or structures would lie otherwise.
    pub(super) fn of(avcodec: c_uint, avutil: c_uint) -> Option<Self> {
        let found = VERSIONS.into_iter().find(|it| (it.avcodec, it.avutil) == (avcodec >> 16, avutil >> 16));
        found.filter(|_| cfg!(target_pointer_width = "64"))
    }
}
