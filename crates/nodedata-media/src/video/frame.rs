use nodedata_core::{DType, Error, ErrorKind, Result};

use super::color::{self, Readers};
use crate::{Decoded, ImageShape};

/// How many chroma samples there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chroma {
    /// 4:0:0: none, the frame is gray.
    None,
    /// 4:2:0: one in two columns and two rows.
    Yuv420,
    /// 4:2:2: one in two columns.
    Yuv422,
    /// 4:4:4: one for each pixel.
    Yuv444,
}

impl Chroma {
    /// Columns and rows of a chroma plane.
    pub fn plane_size(self, width: u32, height: u32) -> (u32, u32) {
        match self {
            Self::None => (0, 0),
            Self::Yuv420 => (width.div_ceil(2), height.div_ceil(2)),
            Self::Yuv422 => (width.div_ceil(2), height),
            Self::Yuv444 => (width, height),
        }
    }

    /// Planes of a frame.
    pub fn n_planes(self) -> usize {
        if self == Self::None { 1 } else { 3 }
    }
}

/// Pixels that fill a good part of a core's cache.
const MANY_BYTES: usize = 256 << 10;

/// A decoded frame as its codec has it: luma and chroma planes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoFrame {
    /// The number that its sample was fed with.
    pub order: i64,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Size of the chroma planes.
    pub chroma: Chroma,
    /// Bits of one value, 8 to 16.
    pub bit_depth: u8,
    /// Whether luma uses all values, rather than 16 to 235 (at 8 bits).
    pub full_range: bool,
    /// `MatrixCoefficients` of ITU-T H.273; 2 is unspecified.
    pub matrix: u8,
    /// Y, then U and V where there is chroma: rows from the top without padding, one byte a value at 8 bits,
    /// otherwise two, little endian.
    pub planes: Vec<Vec<u8>>,
}

/// Refuses frames that would take too much memory, before any is there.
///
/// # Errors
/// `Limit`.
#[cfg(feature = "video-decode")]
pub(super) fn check_size(width: u32, height: u32, pixels_max: u64) -> Result<()> {
    if u64::from(width) * u64::from(height) <= pixels_max {
        return Ok(());
    }
    let message = format!("the video has frames of {width} × {height} pixels, more than {pixels_max}");
    Err(Error::new(ErrorKind::Limit, message))
}

impl VideoFrame {
    /// A frame of RGB of 8 bits, three bytes a pixel: its planes are green, blue and red.
    ///
    /// # Errors
    /// `Corrupt` when the pixels are not as many as the size says.
    #[cfg(feature = "video-decode")]
    pub(super) fn of_rgb(width: u32, height: u32, pixels: &[u8], order: i64) -> Result<Self> {
        let pixels = pixels.as_chunks::<3>().0;
        let planes = [1, 2, 0].map(|channel| pixels.iter().map(|it| it[channel]).collect()).to_vec();
        let (chroma, bit_depth, full_range, matrix) = (Chroma::Yuv444, 8, true, 0);
        Self { order, width, height, chroma, bit_depth, full_range, matrix, planes }.checked()
    }

    /// Checks that the planes have the size that the other fields tell.
    ///
    /// # Errors
    /// `Corrupt` when one does not.
    pub fn checked(self) -> Result<Self> {
        self.check().map(|()| self)
    }

    fn check(&self) -> Result<()> {
        let width = if self.bit_depth > 8 { 2 } else { 1 };
        let (chroma_width, chroma_height) = self.chroma.plane_size(self.width, self.height);
        let luma = self.width as usize * self.height as usize * width;
        let chroma = chroma_width as usize * chroma_height as usize * width;
        let sizes = [luma, chroma, chroma];
        let fits = self.planes.len() == self.chroma.n_planes()
            && self.planes.iter().zip(sizes).all(|(plane, n_bytes)| plane.len() == n_bytes);
        if fits {
            return Ok(());
        }
        let message =
            format!("a decoded frame of {} × {} has planes of another size", self.width, self.height);
        Err(Error::new(ErrorKind::Corrupt, message))
    }

    /// Size and type of the pixels that [`Self::to_rgb`] and [`Self::rgb_into`] give.
    pub fn shape(&self) -> ImageShape {
        let (channels, dtype) = match self.chroma {
            Chroma::None if self.bit_depth > 8 => (1, DType::UInt16),
            Chroma::None => (1, DType::UInt8),
            Chroma::Yuv420 | Chroma::Yuv422 | Chroma::Yuv444 => (3, DType::UInt8),
        };
        ImageShape { height: self.height, width: self.width, channels, dtype }
    }

    /// The frame as pixels. A frame with chroma becomes RGB of 8 bits, as FFmpeg's `rgb24` has it; a gray frame
    /// keeps its values: one channel, of 16 bits when it has more than 8.
    pub fn to_rgb(&self) -> Decoded {
        let ImageShape { height, width, channels, dtype } = self.shape();
        let pixels = match self.chroma {
            Chroma::None => self.planes[0].clone(),
            Chroma::Yuv420 | Chroma::Yuv422 | Chroma::Yuv444 => {
                let mut pixels = vec![0; 3 * width as usize * height as usize];
                color::write_rgb(self, Readers::Soon, &mut pixels);
                pixels
            }
        };
        Decoded { height, width, channels, dtype, pixels }
    }

    /// The same, written to `pixels`, which have just the room for an image of `shape`.
    ///
    /// # Errors
    /// `SchemaMismatch` when the frame is of another shape, or `pixels` are of another size; `Corrupt` as [`Self::checked`].
    pub fn rgb_into(&self, shape: &ImageShape, pixels: &mut [u8]) -> Result<()> {
        self.write(shape, Readers::Soon, pixels)
    }

    /// The same for pixels that nobody reads at once, such as those of an array that is handed out: where they are many, they are written
    /// past the caches.
    ///
    /// # Errors
    /// As [`Self::rgb_into`].
    pub fn rgb_for_later(&self, shape: &ImageShape, pixels: &mut [u8]) -> Result<()> {
        let readers = if pixels.len() < MANY_BYTES { Readers::Soon } else { Readers::Later };
        self.write(shape, readers, pixels)
    }

    fn write(&self, shape: &ImageShape, readers: Readers, pixels: &mut [u8]) -> Result<()> {
        shape.check(&self.shape(), "the video frame", pixels)?;
        self.check()?;
        match (self.chroma, self.planes.as_slice()) {
            (Chroma::None, [gray, ..]) => pixels.copy_from_slice(gray),
            _ => color::write_rgb(self, readers, pixels),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(chroma: Chroma, bit_depth: u8) -> VideoFrame {
        let (width, height) = (6, 4);
        let (chroma_width, chroma_height) = chroma.plane_size(width, height);
        let value_bytes = if bit_depth > 8 { 2 } else { 1 };
        let plane = |n_values: u32| (0..n_values * value_bytes).map(|it| (it * 7) as u8).collect::<Vec<u8>>();
        let sizes = [width * height, chroma_width * chroma_height, chroma_width * chroma_height];
        let planes = sizes.into_iter().take(chroma.n_planes()).map(plane).collect();
        VideoFrame { order: 3, width, height, chroma, bit_depth, full_range: false, matrix: 1, planes }
    }

    #[test]
    fn a_buffer_gets_what_a_new_vector_would() {
        for (chroma, bit_depth) in [
            (Chroma::None, 8),
            (Chroma::None, 12),
            (Chroma::Yuv420, 8),
            (Chroma::Yuv422, 10),
            (Chroma::Yuv444, 8),
        ] {
            let frame = frame(chroma, bit_depth);
            let decoded = frame.to_rgb();
            let shape = frame.shape();
            assert_eq!(decoded.shape(), shape);
            let mut pixels = vec![0xa5; shape.n_bytes().unwrap()];
            frame.rgb_into(&shape, &mut pixels).unwrap();
            assert_eq!(pixels, decoded.pixels, "{chroma:?} of {bit_depth} bits");
        }
    }

    #[test]
    fn a_frame_of_another_shape_is_refused() {
        let frame = frame(Chroma::Yuv420, 8);
        let shape = frame.shape();
        for other in [
            ImageShape { height: 6, width: 4, ..shape },
            ImageShape { channels: 1, ..shape },
            ImageShape { dtype: DType::UInt16, ..shape },
        ] {
            let mut pixels = vec![0; other.n_bytes().unwrap()];
            let err = frame.rgb_into(&other, &mut pixels).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::SchemaMismatch, "{other}");
        }
        let mut short = vec![0; shape.n_bytes().unwrap() - 1];
        assert_eq!(frame.rgb_into(&shape, &mut short).unwrap_err().kind(), ErrorKind::SchemaMismatch);
    }

    #[test]
    fn planes_of_another_size_are_refused_before_they_are_read() {
        let mut frame = frame(Chroma::Yuv420, 8);
        frame.planes[2].pop();
        let shape = frame.shape();
        let mut pixels = vec![0; shape.n_bytes().unwrap()];
        assert_eq!(frame.rgb_into(&shape, &mut pixels).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(frame.checked().unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
