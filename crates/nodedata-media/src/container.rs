mod mp4_tracks;

use crate::{
    Encoding,
    audio::{is_opus, is_tagged_flac},
    sniff,
};

/// What a clip of sound, or a file of video, is called by its first bytes; `None` for anything else. Pictures are told by
/// [`crate::sniff`].
pub fn sniff_clip(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [b'f', b'L', b'a', b'C', ..] => Some("flac"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Some("wav"),
        [b'R', b'F', b'6', b'4', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Some("wav"),
        [b'B', b'W', b'6', b'4', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Some("wav"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => Some("avi"),
        [b'O', b'g', b'g', b'S', ..] => Some(if is_opus(bytes) { "opus" } else { "ogg" }),
        [b'I', b'D', b'3', 2..=4, ..] => Some(if is_tagged_flac(bytes) { "flac" } else { "mp3" }),
        // A frame of layer III, at a bit rate and a sample rate that there are.
        [0xff, second, third, ..]
            if second & 0xe6 == 0xe2
                && second & 0x18 != 0x08
                && third & 0x0c != 0x0c
                && third >> 4 != 0xf =>
        {
            Some("mp3")
        }
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Some("matroska"),
        // Of the brands of this container some are pictures, and some are sound. Of the others the tracks tell, where all of the
        // file is there.
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand {
            [b'a', b'v', b'i', b'f' | b's', ..] | [b'h', b'e', b'i', _, ..] => None,
            [b'M', b'4', b'A' | b'B', b' ', ..] => Some("m4a"),
            _ if mp4_tracks::are_sound_alone(bytes) => Some("m4a"),
            _ => Some("mp4"),
        },
        _ => None,
    }
}

/// What a file of a picture, a clip of sound or a video is called by its first bytes, whatever it is named; `None` for anything else.
pub fn sniff_file(bytes: &[u8]) -> Option<&'static str> {
    // Depth of ROS and bare video are no files: they have no beginning of their own.
    let picture = sniff(bytes).filter(|it| match it {
        Encoding::H264 | Encoding::H265 | Encoding::CompressedDepthPng | Encoding::CompressedDepthRvl => {
            false
        }
        Encoding::Jpeg
        | Encoding::Png
        | Encoding::Webp
        | Encoding::Gif
        | Encoding::Tiff
        | Encoding::Bmp
        | Encoding::Avif
        | Encoding::J2k => true,
    });
    picture.map(Encoding::name).or_else(|| sniff_clip(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_are_told_by_how_they_begin() {
        for (bytes, expected) in [
            (&b"fLaC\0\0\0\x22"[..], Some("flac")),
            (b"RIFF\x24\0\0\0WAVEfmt ", Some("wav")),
            (b"RIFF\x24\0\0\0WEBPVP8 ", None),
            (b"RF64\xff\xff\xff\xffWAVEds64", Some("wav")),
            (b"BW64\xff\xff\xff\xffWAVEds64", Some("wav")),
            (b"OggS\0", Some("ogg")),
            (b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x13OpusHead", Some("opus")),
            (b"ID3\x04\0", Some("mp3")),
            (b"ID3\x04\0\0\0\0\0\x02abfLaC", Some("flac")),
            (b"ID3\x04\0\0\0\0\0\x02abfLa", Some("mp3")),
            (b"\xff\xfb\x90\x64", Some("mp3")),
            (b"\xff\xf3\x84\xc4", Some("mp3")),
            (b"\xff\xd8\xff\xe0", None),
            (b"\xff\xff\xff\xff", None),
            (b"\x1a\x45\xdf\xa3\x01", Some("matroska")),
            (b"\0\0\0\x20ftypisom", Some("mp4")),
            (b"\0\0\0\x20ftypM4A \0", Some("m4a")),
            (b"\0\0\0\x20ftypM4V \0", Some("mp4")),
            (b"\0\0\0\x20ftypavif", None),
            (b"\0\0\0\x20ftyp", Some("mp4")),
            (b"text", None),
            (b"", None),
        ] {
            assert_eq!(sniff_clip(bytes), expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn files_are_pictures_or_clips() {
        for (bytes, expected) in [
            (&b"\xff\xd8\xff\xe0"[..], Some("jpeg")),
            (b"fLaC", Some("flac")),
            (b"\0\0\0\x20ftypavif", Some("avif")),
            (b"\0\0\0\x20ftypisom", Some("mp4")),
            // A sample of video.
            (b"\0\0\0\x01\x67\x64\0\x0a", None),
            (b"text", None),
        ] {
            assert_eq!(sniff_file(bytes), expected, "{bytes:02x?}");
        }
    }
}
