//! Pictures as the `ffmpeg` program writes them to a pipe for video that is RGB: one PPM after the other.

use std::io::BufRead;

use nodedata_core::{Error, ErrorKind, Result};

use super::{frame::check_size, y4m::read_line};

/// A picture of 8 bits.
pub(super) struct Picture {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Red, green and blue of each pixel.
    pub(super) pixels: Vec<u8>,
}

/// The next picture; `None` at the end.
pub(super) fn read(stream: &mut impl BufRead, pixels_max: u64) -> Result<Option<Picture>> {
    if stream.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let (magic, size, maximum) = (read_line(stream)?, read_line(stream)?, read_line(stream)?);
    let sides =
        size.split_once(' ').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    let (Some((width, height)), "P6", "255") = (sides, magic.as_str(), maximum.as_str()) else {
        return Err(Error::new(ErrorKind::Corrupt, "the output of `ffmpeg` is not the expected stream"));
    };
    check_size(width, height, pixels_max)?;
    // Bounded by the limit on pixels.
    let mut pixels = vec![0; 3 * width as usize * height as usize];
    stream.read_exact(&mut pixels)?;
    Ok(Some(Picture { width, height, pixels }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_follow_each_other() {
        let mut stream: &[u8] = b"P6\n2 1\n255\nabcdefP6\n1 1\n255\nxyz";
        let first = read(&mut stream, 2).unwrap().unwrap();
        assert_eq!((first.width, first.height, first.pixels.as_slice()), (2, 1, &b"abcdef"[..]));
        assert_eq!(read(&mut stream, 2).unwrap().unwrap().pixels, b"xyz");
        assert!(read(&mut stream, 2).unwrap().is_none());
        for (bytes, kind) in [
            (&b"P6\n2 2\n255\n"[..], ErrorKind::Limit),
            (b"P5\n1 1\n255\nx", ErrorKind::Corrupt),
            (b"P6\n1\n255\nxyz", ErrorKind::Corrupt),
            (b"P6\n1 1\n65535\nxyzxyz", ErrorKind::Corrupt),
        ] {
            let mut stream = bytes;
            assert_eq!(read(&mut stream, 2).err().unwrap().kind(), kind, "{}", bytes.escape_ascii());
        }
    }
}
