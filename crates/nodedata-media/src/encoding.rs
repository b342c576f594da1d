use std::fmt;

use crate::annexb;

/// The coding of an image or a video sample, told from its own bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Encoding {
    /// JPEG, baseline or progressive.
    Jpeg,
    /// PNG.
    Png,
    /// WebP, lossy or lossless.
    Webp,
    /// GIF.
    Gif,
    /// TIFF, either byte order.
    Tiff,
    /// Windows bitmap.
    Bmp,
    /// AVIF, an AV1 image in a HEIF container.
    Avif,
    /// JPEG 2000, as a file (JP2) or a bare codestream.
    J2k,
    /// H.264 access unit in Annex B form (start codes).
    H264,
    /// H.265 access unit in Annex B form (start codes).
    H265,
    /// ROS `compressedDepth`: a 12-byte header, then a 16-bit PNG.
    CompressedDepthPng,
    /// ROS `compressedDepth`: a 12-byte header, then columns, rows and RVL codes.
    CompressedDepthRvl,
}

/// Bytes of the header in front of a `compressedDepth` payload: format, then two quantisation parameters.
pub(crate) const DEPTH_HEADER_BYTES: usize = 12;

pub(crate) const PNG_MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";

impl Encoding {
    /// The name used in schemas and findings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Gif => "gif",
            Self::Tiff => "tiff",
            Self::Bmp => "bmp",
            Self::Avif => "avif",
            Self::J2k => "j2k",
            Self::H264 => "h264",
            Self::H265 => "h265",
            Self::CompressedDepthPng => "compressed_depth_png",
            Self::CompressedDepthRvl => "compressed_depth_rvl",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Tells the coding of `bytes` from its first bytes; `None` when nothing known fits.
pub fn sniff(bytes: &[u8]) -> Option<Encoding> {
    let encoding = match bytes {
        [0xff, 0xd8, 0xff, ..] => Encoding::Jpeg,
        _ if bytes.starts_with(PNG_MAGIC) => Encoding::Png,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Encoding::Webp,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Encoding::Gif,
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Encoding::Tiff,
        _ if is_bmp(bytes) => Encoding::Bmp,
        [0, 0, 0, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f' | b's', ..] => Encoding::Avif,
        [0xff, 0x4f, 0xff, 0x51, ..] => Encoding::J2k,
        _ if bytes.starts_with(b"\0\0\0\x0cjP  \r\n\x87\n") => Encoding::J2k,
        _ => return sniff_video(bytes).or_else(|| sniff_depth(bytes)),
    };
    Some(encoding)
}

/// `BM` alone is two letters: the reserved words and the size of the second header settle it.
fn is_bmp(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<18>() else { return false };
    header.starts_with(b"BM")
        && header[6..10] == [0; 4]
        && matches!(header[14], 12 | 40 | 52 | 56 | 64 | 108 | 124)
        && header[15..18] == [0; 3]
}

fn sniff_video(bytes: &[u8]) -> Option<Encoding> {
    match annexb::sniff_codec(bytes)? {
        annexb::VideoCodec::H264 => Some(Encoding::H264),
        annexb::VideoCodec::H265 => Some(Encoding::H265),
        // Their samples have no mark of their own.
        _ => None,
    }
}

/// `compressedDepth` has no magic of its own. With PNG the inner magic tells; RVL is believed only when
/// format, columns, rows and length all fit (image_transport writes format 0, whole 32-bit words).
fn sniff_depth(bytes: &[u8]) -> Option<Encoding> {
    let payload = bytes.get(DEPTH_HEADER_BYTES..)?;
    if payload.starts_with(PNG_MAGIC) {
        return Some(Encoding::CompressedDepthPng);
    }
    let (columns, rows) = rvl_size(bytes)?;
    let n_pixels = u64::from(columns) * u64::from(rows);
    let n_coded = (payload.len() - 8) as u64;
    // A pixel costs at most 6 nibbles, and runs at most 12 more; no frame is shorter than one word.
    let plausible =
        bytes[..4] == [0; 4] && n_coded >= 4 && n_coded.is_multiple_of(4) && n_coded <= 9 * n_pixels + 8;
    plausible.then_some(Encoding::CompressedDepthRvl)
}

/// Columns and rows of an RVL payload; `None` when they cannot be an image.
pub(crate) fn rvl_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let size = bytes.get(DEPTH_HEADER_BYTES..)?.first_chunk::<8>()?;
    let columns = u32::from_le_bytes([size[0], size[1], size[2], size[3]]);
    let rows = u32::from_le_bytes([size[4], size[5], size[6], size[7]]);
    let sizes = 1..=16_384;
    (sizes.contains(&columns) && sizes.contains(&rows)).then_some((columns, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Option<Encoding>) {
        assert_eq!(sniff(bytes), expected, "{bytes:02x?}");
        // No prefix of anything may panic.
        for n_bytes in 0..bytes.len() {
            sniff(&bytes[..n_bytes]);
        }
    }

    #[test]
    fn magic_numbers_tell_image_formats_apart() {
        check(b"\xff\xd8\xff\xe0\0\x10JFIF", Some(Encoding::Jpeg));
        check(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Some(Encoding::Png));
        check(b"RIFF\x10\0\0\0WEBPVP8 ", Some(Encoding::Webp));
        check(b"RIFF\x10\0\0\0WAVEfmt ", None);
        check(b"GIF89a", Some(Encoding::Gif));
        check(b"II*\0\x08\0\0\0", Some(Encoding::Tiff));
        check(b"MM\0*\0\0\0\x08", Some(Encoding::Tiff));
        check(b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", Some(Encoding::Bmp));
        check(b"BM is how this sentence starts", None);
        check(b"\0\0\0\x20ftypavif", Some(Encoding::Avif));
        check(b"\xff\x4f\xff\x51\0\x29", Some(Encoding::J2k));
        check(b"\0\0\0\x0cjP  \r\n\x87\n", Some(Encoding::J2k));
        check(b"", None);
        check(b"plain text", None);
    }

    #[test]
    fn video_samples_are_told_by_their_first_nal_unit() {
        check(&[0, 0, 0, 1, 0x67, 0x64, 0, 0x0a], Some(Encoding::H264));
        check(&[0, 0, 1, 0x41, 0x9a], Some(Encoding::H264));
        check(&[0, 0, 0, 1, 0x09, 0xf0], Some(Encoding::H264));
        check(&[0, 0, 0, 1, 0x40, 0x01, 0x0c], Some(Encoding::H265));
        check(&[0, 0, 0, 1, 0x28, 0x01, 0xaf], Some(Encoding::H265));
        check(&[0, 0, 0, 1, 0x28, 0xee, 0x3c], Some(Encoding::H264));
        check(&[0, 0, 0, 1], None);
    }

    #[test]
    fn compressed_depth_needs_an_inner_format() {
        let mut png = vec![0; 12];
        png.extend_from_slice(PNG_MAGIC);
        check(&png, Some(Encoding::CompressedDepthPng));
        let mut rvl = vec![0; 12];
        rvl.extend_from_slice(&[64, 0, 0, 0, 48, 0, 0, 0, 1, 2, 3, 4]);
        check(&rvl, Some(Encoding::CompressedDepthRvl));
        check(&[0; 64], None);
        rvl.push(0);
        check(&rvl, None);
    }
}
