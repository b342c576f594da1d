//! The YUV4MPEG2 stream that the `ffmpeg` program writes: one line that tells the size and format, then frames.

use std::io::{BufRead, Read};

use nodedata_core::{Error, ErrorKind, Result};

use super::{Chroma, frame::check_size};

/// Bytes of a header line; the longest that FFmpeg writes has about 100.
const LINE_BYTES_MAX: u64 = 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) chroma: Chroma,
    pub(super) bit_depth: u8,
    pub(super) full_range: bool,
}

impl Header {
    pub(super) fn read(stream: &mut impl BufRead, pixels_max: u64) -> Result<Self> {
        let line = read_line(stream)?;
        let header = Self::parse(&line).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, format!("`ffmpeg` decoded to an unknown format: {line}"))
        })?;
        check_size(header.width, header.height, pixels_max)?;
        Ok(header)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut header =
            Self { width: 0, height: 0, chroma: Chroma::Yuv420, bit_depth: 8, full_range: false };
        for token in line.strip_prefix("YUV4MPEG2 ")?.split(' ') {
            let (key, value) = token.split_at_checked(1)?;
            match key {
                "W" => header.width = value.parse().ok()?,
                "H" => header.height = value.parse().ok()?,
                "C" => (header.chroma, header.bit_depth) = color_space(value)?,
                "X" => header.full_range |= value == "COLORRANGE=FULL",
                _ => {}
            }
        }
        (header.width > 0 && header.height > 0).then_some(header)
    }
}

fn color_space(name: &str) -> Option<(Chroma, u8)> {
    if let Some(depth) = name.strip_prefix("mono") {
        return Some((Chroma::None, if depth.is_empty() { 8 } else { depth.parse().ok()? }));
    }
    let (chroma, rest) = name.split_at_checked(3)?;
    let chroma = match chroma {
        "420" => Chroma::Yuv420,
        "422" => Chroma::Yuv422,
        "444" => Chroma::Yuv444,
        _ => return None,
    };
    // The other endings of 4:2:0 tell where chroma samples lie.
    let bit_depth = match rest {
        "" | "jpeg" | "mpeg2" | "paldv" => 8,
        _ => rest.strip_prefix('p')?.parse().ok()?,
    };
    (8..=16).contains(&bit_depth).then_some((chroma, bit_depth))
}

/// The planes of the next frame; `None` at the end.
pub(super) fn read_planes(stream: &mut impl BufRead, header: &Header) -> Result<Option<Vec<Vec<u8>>>> {
    if stream.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let line = read_line(stream)?;
    if !line.starts_with("FRAME") {
        return Err(Error::new(ErrorKind::Corrupt, "the output of `ffmpeg` is not the expected stream"));
    }
    let value_bytes = if header.bit_depth > 8 { 2 } else { 1 };
    let (chroma_width, chroma_height) = header.chroma.plane_size(header.width, header.height);
    let sizes = [(header.width, header.height), (chroma_width, chroma_height), (chroma_width, chroma_height)];
    let mut planes = Vec::with_capacity(header.chroma.n_planes());
    for (columns, rows) in sizes.into_iter().take(header.chroma.n_planes()) {
        // Bounded by the limit on pixels.
        let mut plane = vec![0; columns as usize * rows as usize * value_bytes];
        stream.read_exact(&mut plane)?;
        planes.push(plane);
    }
    Ok(Some(planes))
}

pub(super) fn read_line(stream: &mut impl BufRead) -> Result<String> {
    let mut line = Vec::new();
    stream.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    let line = String::from_utf8_lossy(&line);
    Ok(line.trim_end_matches('\n').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Option<(u32, u32, Chroma, u8, bool)>) {
        let header = Header::parse(line);
        assert_eq!(header.map(|it| (it.width, it.height, it.chroma, it.bit_depth, it.full_range)), expected);
    }

    #[test]
    fn the_header_tells_size_and_format() {
        check(
            "YUV4MPEG2 W96 H64 F25:1 Ip A0:0 C420mpeg2 XYSCSS=420MPEG2",
            Some((96, 64, Chroma::Yuv420, 8, false)),
        );
        check(
            "YUV4MPEG2 W9 H7 F25:1 Ip A0:0 C422p10 XCOLORRANGE=FULL",
            Some((9, 7, Chroma::Yuv422, 10, true)),
        );
        check("YUV4MPEG2 W9 H7 Cmono12 XYSCSS=MONO12", Some((9, 7, Chroma::None, 12, false)));
        check("YUV4MPEG2 W9 H7 Cmono", Some((9, 7, Chroma::None, 8, false)));
        check("YUV4MPEG2 W9 C420", None);
        check("YUV4MPEG2 W9 H7 C411", None);
        check("something else", None);
    }
}
