/// What a clip of sound, or a file of video, is called by its first bytes; `None` for anything else. Pictures are told by
/// [`crate::sniff`].
pub fn sniff_clip(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [b'f', b'L', b'a', b'C', ..] => Some("flac"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Some("wav"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => Some("avi"),
        [b'O', b'g', b'g', b'S', ..] => Some("ogg"),
        [b'I', b'D', b'3', 2..=4, ..] => Some("mp3"),
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
        // Of the brands of this container two are pictures.
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand {
            [b'a', b'v', b'i', b'f' | b's', ..] | [b'h', b'e', b'i', _, ..] => None,
            _ => Some("mp4"),
        },
        _ => None,
    }
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
            (b"OggS\0", Some("ogg")),
            (b"ID3\x04\0", Some("mp3")),
            (b"\xff\xfb\x90\x64", Some("mp3")),
            (b"\xff\xf3\x84\xc4", Some("mp3")),
            (b"\xff\xd8\xff\xe0", None),
            (b"\xff\xff\xff\xff", None),
            (b"\x1a\x45\xdf\xa3\x01", Some("matroska")),
            (b"\0\0\0\x20ftypisom", Some("mp4")),
            (b"\0\0\0\x20ftypavif", None),
            (b"\0\0\0\x20ftyp", Some("mp4")),
            (b"text", None),
            (b"", None),
        ] {
            assert_eq!(sniff_clip(bytes), expected, "{bytes:02x?}");
        }
    }
}
