use nodedata_core::{DType, Error, ErrorKind, Result};

use super::color;
use crate::Decoded;

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

impl VideoFrame {
    /// Checks that the planes have the size that the other fields tell.
    ///
    /// # Errors
    /// `Corrupt` when one does not.
    pub fn checked(self) -> Result<Self> {
        let width = if self.bit_depth > 8 { 2 } else { 1 };
        let (chroma_width, chroma_height) = self.chroma.plane_size(self.width, self.height);
        let luma = self.width as usize * self.height as usize * width;
        let chroma = chroma_width as usize * chroma_height as usize * width;
        let sizes = [luma, chroma, chroma];
        let fits = self.planes.len() == self.chroma.n_planes()
            && self.planes.iter().zip(sizes).all(|(plane, n_bytes)| plane.len() == n_bytes);
        if fits {
            return Ok(self);
        }
        let message =
            format!("a decoded frame of {} × {} has planes of another size", self.width, self.height);
        Err(Error::new(ErrorKind::Corrupt, message))
    }

    /// The frame as pixels. A frame with chroma becomes RGB of 8 bits, as FFmpeg's `rgb24` has it; a gray frame
    /// keeps its values: one channel, of 16 bits when it has more than 8.
    pub fn to_rgb(&self) -> Decoded {
        let (height, width) = (self.height, self.width);
        if self.chroma == Chroma::None {
            let dtype = if self.bit_depth > 8 { DType::UInt16 } else { DType::UInt8 };
            return Decoded { height, width, channels: 1, dtype, pixels: self.planes[0].clone() };
        }
        Decoded { height, width, channels: 3, dtype: DType::UInt8, pixels: color::rgb(self) }
    }
}
