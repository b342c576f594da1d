//! Frames of another size.
//!
//! [`Resampling::Triangle`] is the rule of Pillow's `BILINEAR` and of torchvision's `resize(…, antialias=True)`. Of a row of `n` pixels
//! that becomes one of `m`, with `s = n / m`, pixel `x` of the new row has its middle at `c = (x + 1/2) s` of the old one, and takes
//! of each old pixel `i`
//!
//! ```text
//! max(0, 1 - |i + 1/2 - c| / max(s, 1))
//! ```
//!
//! divided by the sum of these weights, so that where frames become smaller every old pixel counts and nothing flickers, and where they
//! become larger neighbours are mixed evenly. Rows and columns are done one after the other, each rounded to whole values; so
//! values are at most 1 from those of exact arithmetic, as Pillow's are. Alpha is a channel like the others. The same frame
//! gives the same values on every machine.
//!
//! [`Resampling::Nearest`] takes the old pixel in which the middle of the new one lies, of two the right or lower one.

use fast_image_resize::{
    FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::{InnerPixel, U8, U8x2, U8x3, U8x4, U16, U16x2, U16x3, U16x4},
};
use nodedata_core::{DType, Error, ErrorKind, Result};

use crate::ImageShape;

/// How pixels of another size come from those that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resampling {
    /// Weighted means of neighbours: for what is seen.
    Triangle,
    /// One of the pixels as it is: for distances, labels and whatever else has no mean. A mean of a distance and of the 0 of no
    /// echo is a place where nothing is.
    Nearest,
}

/// Resizes frames of one shape to another size. What it works with is kept from frame to frame.
#[derive(Debug)]
pub struct Resize {
    from: ImageShape,
    to: ImageShape,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Triangle(Resizer),
    /// Where the pixels of a row come from, in bytes from its start.
    Nearest(Vec<usize>),
}

impl Resize {
    /// Resizes frames of shape `from` to `height` × `width` pixels.
    ///
    /// # Errors
    /// `Config` when a side is 0; `Unsupported` for values other than `UInt8` and `UInt16`, and for means of more than four channels;
    /// `Limit` when a frame does not fit memory.
    pub fn new(from: ImageShape, [height, width]: [u32; 2], resampling: Resampling) -> Result<Self> {
        let to = ImageShape { height, width, ..from };
        if [from.height, from.width, from.channels, height, width].contains(&0) {
            let message = format!("frames of {from} cannot be resized to {height} × {width}");
            return Err(
                Error::new(ErrorKind::Config, message).with_hint("give a height and a width of 1 at least")
            );
        }
        let value_bytes = match from.dtype {
            DType::UInt8 => 1,
            DType::UInt16 => 2,
            dtype => {
                let message = format!("frames of {} are not resized", dtype.name());
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        };
        if from.n_bytes().is_none() || to.n_bytes().is_none() {
            let message = format!("a frame of {from} or one of {to} does not fit memory");
            return Err(Error::new(ErrorKind::Limit, message));
        }
        let way = match resampling {
            Resampling::Triangle if from.channels > 4 => {
                let message = format!("frames of {} channels have no means of pixels", from.channels);
                return Err(
                    Error::new(ErrorKind::Unsupported, message).with_hint("resize them by nearest pixels")
                );
            }
            Resampling::Triangle => Way::Triangle(Resizer::new()),
            Resampling::Nearest => {
                let pixel_bytes = value_bytes * from.channels as usize;
                Way::Nearest((0..width).map(|it| pixel_bytes * nearest(it, from.width, width)).collect())
            }
        };
        Ok(Self { from, to, way })
    }

    /// The shape of resized frames.
    pub fn shape(&self) -> &ImageShape {
        &self.to
    }

    /// Resizes one frame. 16-bit values are little endian.
    ///
    /// # Errors
    /// `SchemaMismatch` when `pixels` or `resized` are not as many bytes as frames of their shapes.
    pub fn resize(&mut self, pixels: &[u8], resized: &mut [u8]) -> Result<()> {
        self.from.check_room(pixels)?;
        self.to.check_room(resized)?;
        let (from, to) = (self.from, self.to);
        let resizer = match &mut self.way {
            Way::Triangle(resizer) => resizer,
            Way::Nearest(columns) => {
                take_nearest([&from, &to], columns, pixels, resized);
                return Ok(());
            }
        };
        let mut triangle = Triangle { resizer, from, to };
        match (from.dtype, from.channels) {
            (DType::UInt16, 1) => triangle.words::<U16>(pixels, resized),
            (DType::UInt16, 2) => triangle.words::<U16x2>(pixels, resized),
            (DType::UInt16, 3) => triangle.words::<U16x3>(pixels, resized),
            (DType::UInt16, _) => triangle.words::<U16x4>(pixels, resized),
            (_, 1) => triangle.bytes::<U8>(pixels, resized),
            (_, 2) => triangle.bytes::<U8x2>(pixels, resized),
            (_, 3) => triangle.bytes::<U8x3>(pixels, resized),
            (_, _) => triangle.bytes::<U8x4>(pixels, resized),
        }
    }
}

/// The pixel of `n_from` in which the middle of pixel `idx` of `n_to` lies.
fn nearest(idx: u32, n_from: u32, n_to: u32) -> usize {
    let middle = (2 * u64::from(idx) + 1) * u64::from(n_from) / (2 * u64::from(n_to));
    middle as usize
}

fn take_nearest([from, to]: [&ImageShape; 2], columns: &[usize], pixels: &[u8], resized: &mut [u8]) {
    let row_bytes = pixels.len() / from.height as usize;
    let pixel_bytes = row_bytes / from.width as usize;
    let rows = resized.chunks_exact_mut(pixel_bytes * columns.len());
    for (idx, resized) in (0..to.height).zip(rows) {
        let row = &pixels[row_bytes * nearest(idx, from.height, to.height)..][..row_bytes];
        for (pixel, column) in resized.chunks_exact_mut(pixel_bytes).zip(columns) {
            pixel.copy_from_slice(&row[*column..][..pixel_bytes]);
        }
    }
}

/// Means of pixels, by the library.
struct Triangle<'a> {
    resizer: &'a mut Resizer,
    from: ImageShape,
    to: ImageShape,
}

impl Triangle<'_> {
    fn bytes<P: PixelTrait>(&mut self, pixels: &[u8], resized: &mut [u8]) -> Result<()> {
        let (from, to) = (self.from, self.to);
        let pixels = TypedImageRef::<P>::from_buffer(from.width, from.height, pixels).map_err(failed)?;
        let mut resized = TypedImage::<P>::from_buffer(to.width, to.height, resized).map_err(failed)?;
        self.resizer.resize_typed(&pixels, &mut resized, &options()).map_err(failed)
    }

    /// The library wants 16-bit values where the machine would put them, which bytes need not be.
    fn words<P: PixelTrait + InnerPixel<Component = u16>>(
        &mut self,
        pixels: &[u8],
        resized: &mut [u8],
    ) -> Result<()> {
        let (from, to) = (self.from, self.to);
        let mut aligned = vec![P::empty(); from.width as usize * from.height as usize];
        for (value, bytes) in P::components_mut(&mut aligned).iter_mut().zip(pixels.as_chunks::<2>().0) {
            *value = u16::from_le_bytes(*bytes);
        }
        let pixels = TypedImageRef::new(from.width, from.height, &aligned).map_err(failed)?;
        let mut means = TypedImage::<P>::new(to.width, to.height);
        self.resizer.resize_typed(&pixels, &mut means, &options()).map_err(failed)?;
        for (bytes, value) in resized.as_chunks_mut::<2>().0.iter_mut().zip(P::components(means.pixels())) {
            *bytes = value.to_le_bytes();
        }
        Ok(())
    }
}

fn options() -> ResizeOptions {
    ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).use_alpha(false)
}

fn failed(err: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unsupported, "the frame cannot be resized").with_source(err)
}

#[cfg(test)]
mod tests;
