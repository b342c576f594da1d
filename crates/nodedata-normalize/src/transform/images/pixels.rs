use nodedata_core::{DType, Dim, Error, ErrorKind, Feature, Result, meta};
use nodedata_media::{
    Decoded, ImageShape,
    resize::{Resampling, Resize},
};

use crate::transform::{ResizeWay, Zero, numbers::Linear};

/// What becomes of the pixels of a frame.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::transform) enum PixelOp {
    FlipChannels,
    Rotate180,
    Resize {
        height: u32,
        width: u32,
        way: Option<ResizeWay>,
    },
    Crop {
        height: u32,
        width: u32,
        top: Option<u32>,
        left: Option<u32>,
    },
    /// Whole numbers of 16 bits as distances.
    Depth {
        linear: Linear,
        /// Name of the unit of the distances.
        unit: String,
        zero: Zero,
    },
}

impl PixelOp {
    /// What frames are afterwards, as far as it was known before.
    pub(super) fn feature(&self, mut feature: Feature) -> Feature {
        match self {
            Self::FlipChannels | Self::Rotate180 => {}
            Self::Resize { height, width, .. } | Self::Crop { height, width, .. } => {
                for (dim, side) in feature.shape.iter_mut().zip([height, width]) {
                    *dim = Dim::Fixed(*side);
                }
            }
            Self::Depth { unit, .. } => {
                feature.dtype = DType::Float32;
                feature.shape.truncate(2);
                feature.metadata.insert(meta::UNIT.to_owned(), unit.clone());
            }
        }
        feature
    }
}

/// What is kept from frame to frame.
#[derive(Default)]
pub(in crate::transform) struct Workbench {
    /// Those of the shapes met so far, which are few.
    resizes: Vec<(ImageShape, Resampling, Resize)>,
}

impl Workbench {
    /// # Errors
    /// `Unsupported` for a frame that has no such pixels; `SchemaMismatch` for one that is too small.
    pub(super) fn change(&mut self, op: &PixelOp, mut frame: Decoded) -> Result<Decoded> {
        match op {
            PixelOp::FlipChannels => flip_channels(&mut frame)?,
            PixelOp::Rotate180 => rotate_180(&mut frame),
            PixelOp::Resize { height, width, way } => return self.resize(frame, [*height, *width], *way),
            PixelOp::Crop { height, width, top, left } => {
                return crop(&frame, [*height, *width], [*top, *left]);
            }
            PixelOp::Depth { linear, zero, .. } => return depth(&frame, *linear, *zero),
        }
        Ok(frame)
    }

    fn resize(&mut self, frame: Decoded, size: [u32; 2], way: Option<ResizeWay>) -> Result<Decoded> {
        let from = frame.shape();
        if [from.height, from.width] == size {
            return Ok(frame);
        }
        let resampling = match way {
            Some(ResizeWay::Triangle) => Resampling::Triangle,
            Some(ResizeWay::Nearest) => Resampling::Nearest,
            // Distances and labels have no mean.
            None if from.dtype == DType::UInt16 && from.channels == 1 => Resampling::Nearest,
            None => Resampling::Triangle,
        };
        let is_it = |it: &(ImageShape, Resampling, Resize)| {
            it.0 == from && it.1 == resampling && [it.2.shape().height, it.2.shape().width] == size
        };
        let at = match self.resizes.iter().position(is_it) {
            Some(known) => known,
            None => {
                self.resizes.push((from, resampling, Resize::new(from, size, resampling)?));
                self.resizes.len() - 1
            }
        };
        let resize = &mut self.resizes[at].2;
        let to = *resize.shape();
        let mut pixels = vec![0; to.n_bytes().unwrap_or(0)];
        resize.resize(&frame.pixels, &mut pixels)?;
        Ok(Decoded { height: to.height, width: to.width, pixels, ..frame })
    }
}

pub(super) fn value_bytes(dtype: DType) -> usize {
    dtype.byte_width().unwrap_or(1)
}

fn pixel_bytes(frame: &Decoded) -> usize {
    (frame.channels as usize * value_bytes(frame.dtype)).max(1)
}

fn flip_channels(frame: &mut Decoded) -> Result<()> {
    if !matches!(frame.channels, 3 | 4) {
        let message = format!("a picture of {} channels has no red and blue to flip", frame.channels);
        return Err(
            Error::new(ErrorKind::Unsupported, message).with_hint("remove the transform from this field")
        );
    }
    let (value, size) = (value_bytes(frame.dtype), pixel_bytes(frame));
    for pixel in frame.pixels.chunks_exact_mut(size) {
        for byte in 0..value {
            pixel.swap(byte, 2 * value + byte);
        }
    }
    Ok(())
}

fn rotate_180(frame: &mut Decoded) {
    let size = pixel_bytes(frame);
    // All bytes backwards, then those of each pixel forwards again.
    frame.pixels.reverse();
    frame.pixels.chunks_exact_mut(size).for_each(<[u8]>::reverse);
}

fn crop(frame: &Decoded, [height, width]: [u32; 2], [top, left]: [Option<u32>; 2]) -> Result<Decoded> {
    let place = |edge: Option<u32>, side: u32, all: u32| {
        let edge = edge.or_else(|| all.checked_sub(side).map(|it| it / 2))?;
        (edge.checked_add(side)? <= all).then_some(edge as usize)
    };
    let places = place(top, height, frame.height).zip(place(left, width, frame.width));
    let Some((top, left)) = places else {
        let at = |edge: Option<u32>| edge.map_or_else(|| "the middle".to_owned(), |it| it.to_string());
        let message = format!(
            "a rectangle of {height} × {width} at {}, {} does not lie in a frame of {} × {}",
            at(top),
            at(left),
            frame.height,
            frame.width
        );
        return Err(Error::new(ErrorKind::SchemaMismatch, message)
            .with_hint("say a smaller rectangle, or resize the frames first"));
    };
    let size = pixel_bytes(frame);
    let row_bytes = (frame.width as usize * size).max(1);
    let rows = frame.pixels.chunks_exact(row_bytes).skip(top).take(height as usize);
    let mut pixels = Vec::with_capacity(height as usize * width as usize * size);
    for row in rows {
        pixels.extend_from_slice(row.get(left * size..(left + width as usize) * size).unwrap_or_default());
    }
    Ok(Decoded { height, width, pixels, channels: frame.channels, dtype: frame.dtype })
}

fn depth(frame: &Decoded, linear: Linear, zero: Zero) -> Result<Decoded> {
    if (frame.channels, frame.dtype) != (1, DType::UInt16) {
        let message = format!(
            "the frame has {} channels of {}, and depth has one of uint16",
            frame.channels, frame.dtype
        );
        return Err(Error::new(ErrorKind::Unsupported, message).with_hint(
            "only whole numbers of 16 bits are made distances of; remove the transform from this field",
        ));
    }
    let of = |value: u16| match (value, zero) {
        (0, Zero::Nan) => f32::NAN,
        (value, _) => linear.of(f64::from(value)) as f32,
    };
    let values = frame.pixels.as_chunks::<2>().0;
    let mut pixels = vec![0u8; values.len() * 4];
    for (to, from) in pixels.as_chunks_mut::<4>().0.iter_mut().zip(values) {
        *to = of(u16::from_le_bytes(*from)).to_le_bytes();
    }
    Ok(Decoded { height: frame.height, width: frame.width, channels: 1, dtype: DType::Float32, pixels })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(channels: u32, dtype: DType) -> Decoded {
        let n = 2 * 3 * channels as usize * value_bytes(dtype);
        Decoded { height: 2, width: 3, channels, dtype, pixels: (0..n).map(|it| it as u8).collect() }
    }

    fn changed(op: &PixelOp, frame: Decoded) -> Decoded {
        Workbench::default().change(op, frame).unwrap()
    }

    fn crop_of(height: u32, width: u32, top: Option<u32>, left: Option<u32>) -> PixelOp {
        PixelOp::Crop { height, width, top, left }
    }

    #[test]
    fn each_turn_undoes_itself() {
        for (channels, dtype) in [(3, DType::UInt8), (4, DType::UInt16)] {
            for op in [PixelOp::FlipChannels, PixelOp::Rotate180] {
                let once = changed(&op, frame(channels, dtype));
                assert_ne!(once, frame(channels, dtype));
                assert_eq!(changed(&op, once), frame(channels, dtype));
            }
        }
    }

    #[test]
    fn pixels_go_where_the_formula_says() {
        let turned = changed(&PixelOp::Rotate180, frame(3, DType::UInt8));
        assert_eq!(turned.pixels, [15, 16, 17, 12, 13, 14, 9, 10, 11, 6, 7, 8, 3, 4, 5, 0, 1, 2]);
        let wide = changed(&PixelOp::FlipChannels, frame(3, DType::UInt16));
        assert_eq!(wide.pixels[..6], [4, 5, 2, 3, 0, 1]);
        let gray = Workbench::default().change(&PixelOp::FlipChannels, frame(1, DType::UInt8));
        assert_eq!(gray.unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn a_rectangle_lies_where_it_is_said_or_in_the_middle() {
        let all = changed(&crop_of(2, 3, None, None), frame(3, DType::UInt8));
        assert_eq!(all, frame(3, DType::UInt8));
        let middle = changed(&crop_of(1, 1, None, None), frame(1, DType::UInt8));
        assert_eq!((middle.height, middle.width, middle.pixels), (1, 1, vec![1]));
        let corner = changed(&crop_of(1, 2, Some(1), Some(1)), frame(1, DType::UInt16));
        assert_eq!(corner.pixels, [8, 9, 10, 11]);
        for outside in
            [crop_of(3, 3, None, None), crop_of(1, 1, Some(2), None), crop_of(1, 1, None, Some(u32::MAX))]
        {
            let refused = Workbench::default().change(&outside, frame(3, DType::UInt8)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::SchemaMismatch);
        }
    }

    #[test]
    fn frames_of_several_shapes_are_resized_each_by_its_own() {
        let op = PixelOp::Resize { height: 1, width: 1, way: None };
        let mut workbench = Workbench::default();
        for _ in 0..2 {
            let mean = workbench.change(&op, frame(1, DType::UInt8)).unwrap();
            assert_eq!(mean.pixels, [3], "of 0 to 5, rounded");
            // Distances have no mean: the pixel in which the middle lies.
            let nearest = workbench.change(&op, frame(1, DType::UInt16)).unwrap();
            assert_eq!(nearest.pixels, [8, 9]);
        }
        assert_eq!(workbench.resizes.len(), 2);
        let same = PixelOp::Resize { height: 2, width: 3, way: Some(ResizeWay::Triangle) };
        assert_eq!(workbench.change(&same, frame(3, DType::UInt8)).unwrap(), frame(3, DType::UInt8));
    }

    #[test]
    fn whole_millimetres_become_metres() {
        let pixels = [0u16, 1, 1234, u16::MAX].into_iter().flat_map(u16::to_le_bytes).collect();
        let image = Decoded { height: 2, width: 2, channels: 1, dtype: DType::UInt16, pixels };
        let floats = |zero| {
            let op = PixelOp::Depth { linear: Linear::Over(1000.0), unit: "m".to_owned(), zero };
            let made = changed(&op, image.clone());
            assert_eq!(made.dtype, DType::Float32);
            made.pixels.as_chunks::<4>().0.iter().map(|it| f32::from_le_bytes(*it)).collect::<Vec<_>>()
        };
        assert_eq!(floats(Zero::Keep), [0.0, 0.001, 1.234, 65.535]);
        let without = floats(Zero::Nan);
        assert!(without[0].is_nan() && without[1..] == [0.001, 1.234, 65.535]);
        let op = PixelOp::Depth { linear: Linear::Over(1000.0), unit: "m".to_owned(), zero: Zero::Keep };
        assert!(Workbench::default().change(&op, frame(3, DType::UInt16)).is_err());
    }
}
