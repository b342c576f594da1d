use std::fmt;

use nodedata_core::{DType, Error, ErrorKind, Result};

/// Frames of several shapes have no place in one array.
const HINT: &str =
    "read this feature as coded bytes, or leave the episodes out whose frames are of another shape";

/// Size and type of the pixels of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageShape {
    /// Height in pixels.
    pub height: u32,
    /// Width in pixels.
    pub width: u32,
    /// Values per pixel.
    pub channels: u32,
    /// Type of one value: `UInt8` or `UInt16`.
    pub dtype: DType,
}

impl ImageShape {
    /// Bytes of all values; `None` where memory has no such place.
    pub fn n_bytes(&self) -> Option<usize> {
        [self.height, self.width, self.channels]
            .iter()
            .try_fold(self.dtype.byte_width()?, |n_bytes, side| n_bytes.checked_mul(*side as usize))
    }

    /// Whether `found`, the pixels of `what`, are of this shape, and `pixels` have room for just them.
    ///
    /// # Errors
    /// `SchemaMismatch` where one is not so.
    pub(crate) fn check(&self, found: &Self, what: &str, pixels: &[u8]) -> Result<()> {
        if found != self {
            let message = format!("{what} is {found}, and the schema says {self}");
            return Err(Error::new(ErrorKind::SchemaMismatch, message).with_hint(HINT));
        }
        self.check_room(pixels)
    }

    /// Whether `pixels` are as many bytes as images of this shape.
    ///
    /// # Errors
    /// `SchemaMismatch` where they are not.
    pub(crate) fn check_room(&self, pixels: &[u8]) -> Result<()> {
        if self.n_bytes() != Some(pixels.len()) {
            let message = format!("there are {} bytes for an image of {self}", pixels.len());
            return Err(Error::new(ErrorKind::SchemaMismatch, message));
        }
        Ok(())
    }
}

impl fmt::Display for ImageShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { height, width, channels, dtype } = self;
        write!(f, "{height} × {width} × {channels} of {}", dtype.name())
    }
}
