use std::str::FromStr;

use nodedata_core::{Error, ErrorKind, Locus, Result, suggest};

use crate::{
    fields::{Field, Fields},
    rows::{Data, Rows, Tensor, element_bytes, room},
    split::Form,
};

/// In which order the dimensions of pictures and of frames of video come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FrameAxes {
    /// Height, width and, where there is more than one, channels: `hwc`.
    #[default]
    ChannelsLast,
    /// Channels, height and width, also where there is one channel: `chw`.
    ChannelsFirst,
}

impl FromStr for FrameAxes {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "hwc" => Ok(Self::ChannelsLast),
            "chw" => Ok(Self::ChannelsFirst),
            other => Err(Error::new(ErrorKind::Config, format!("`layout` is no `{other}`"))
                .with_hint(suggest(other, ["hwc", "chw"]))),
        }
    }
}

impl FrameAxes {
    /// Puts the pictures and frames among the rows of these fields into that order, in their place: beside them there is memory for one
    /// frame. Lists of any number of pictures stay as they are.
    ///
    /// # Errors
    /// `Limit` where there is no memory for a frame.
    pub fn put(self, fields: &Fields, rows: &mut Rows) -> Result<()> {
        if self == Self::ChannelsLast {
            return Ok(());
        }
        let mut scratch = Vec::new();
        for (field, column) in fields.iter().zip(&mut rows.columns) {
            let (Some(n_lists), Data::Tensor(tensor)) = (lists_around(field), &mut column.data) else {
                continue;
            };
            channels_first(tensor, n_lists, &mut scratch)
                .map_err(|err| err.at(Locus::feature(&*column.name)))?;
        }
        Ok(())
    }
}

/// How many lists lie around each frame of a field; `None` where it has no frames.
fn lists_around(field: &Field) -> Option<usize> {
    match &field.info.form {
        Form::Pictures(form) => Some(form.lists.len()),
        Form::Raw(_) | Form::Video(_) => Some(0),
        Form::Tensor(_) | Form::Ragged(_) | Form::Text | Form::Json | Form::Bytes | Form::Sound(_) => None,
    }
}

fn channels_first(tensor: &mut Tensor, n_lists: usize, scratch: &mut Vec<u8>) -> Result<()> {
    let Some(width) = element_bytes(tensor.dtype).filter(|it| *it > 0) else { return Ok(()) };
    let dims = tensor.shape.get_mut(n_lists..).unwrap_or_default();
    let (n_pixels, n_channels) = match *dims {
        [_, _] => {
            tensor.shape.insert(n_lists, 1);
            return Ok(());
        }
        [height, wide, n_channels] => {
            dims.rotate_right(1);
            (height.saturating_mul(wide), n_channels)
        }
        // Raw values of other dimensions are no frames.
        _ => return Ok(()),
    };
    let frame_bytes = n_pixels.checked_mul(n_channels).and_then(|it| it.checked_mul(width));
    if n_channels == 1 || frame_bytes == Some(0) || tensor.bytes.is_empty() {
        return Ok(());
    }
    let frame_bytes = frame_bytes.filter(|it| *it <= tensor.bytes.len());
    if frame_bytes.is_none_or(|it| scratch.capacity() < it) {
        *scratch = room(frame_bytes)?;
    }
    for frame in tensor.bytes.chunks_exact_mut(frame_bytes.unwrap_or(usize::MAX)) {
        scratch.clear();
        scratch.extend_from_slice(frame);
        match (width, n_channels) {
            (1, 3) => spread_bytes::<3>(scratch, frame),
            (1, 4) => spread_bytes::<4>(scratch, frame),
            _ => spread(scratch, frame, n_channels, width),
        }
    }
    Ok(())
}

/// Pixels of bytes to planes, one after the other: that the number of channels is known here makes it several times as fast.
fn spread_bytes<const N: usize>(pixels: &[u8], planes: &mut [u8]) {
    let (pixels, _) = pixels.as_chunks::<N>();
    for (channel, plane) in planes.chunks_exact_mut(pixels.len().max(1)).enumerate().take(N) {
        for (place, pixel) in plane.iter_mut().zip(pixels) {
            *place = pixel[channel];
        }
    }
}

/// The same of elements of any width.
fn spread(pixels: &[u8], planes: &mut [u8], n_channels: usize, width: usize) {
    let plane_bytes = pixels.len() / n_channels;
    for (channel, plane) in planes.chunks_exact_mut(plane_bytes).enumerate() {
        let elements = pixels.chunks_exact(width).skip(channel).step_by(n_channels);
        for (place, element) in plane.chunks_exact_mut(width).zip(elements) {
            place.copy_from_slice(element);
        }
    }
}

#[cfg(test)]
mod tests {
    use nodedata_core::DType;

    use super::*;

    /// A tensor whose elements tell their place, turned, held against what indices say.
    fn check(dtype: DType, shape: &[usize], n_lists: usize, n_rows: usize, expected: &[usize]) {
        let width = dtype.byte_width().unwrap();
        let n = n_rows * shape.iter().product::<usize>();
        let element =
            |at: usize| (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[..width].to_vec();
        let bytes: Vec<u8> = (0..n).flat_map(element).collect();
        let mut tensor = Tensor { dtype, shape: shape.to_vec(), bytes: bytes.into() };
        channels_first(&mut tensor, n_lists, &mut Vec::new()).unwrap();
        assert_eq!(tensor.shape, expected);
        let [height, wide, channels] = shape[n_lists..] else {
            assert_eq!(tensor.bytes, (0..n).flat_map(element).collect::<Vec<u8>>());
            return;
        };
        let mut turned = Vec::new();
        for frame in 0..n / (height * wide * channels).max(1) {
            for channel in 0..channels {
                for pixel in 0..height * wide {
                    turned.extend(element((frame * height * wide + pixel) * channels + channel));
                }
            }
        }
        assert_eq!(tensor.bytes, turned, "{dtype} {shape:?}");
    }

    #[test]
    fn channels_come_first() {
        check(DType::UInt8, &[4, 6, 3], 0, 5, &[3, 4, 6]);
        check(DType::UInt8, &[3, 5, 4], 0, 2, &[4, 3, 5]);
        check(DType::UInt8, &[3, 5, 2], 0, 2, &[2, 3, 5]);
        check(DType::UInt16, &[4, 6, 3], 0, 5, &[3, 4, 6]);
        check(DType::Float32, &[4, 6, 7], 0, 2, &[7, 4, 6]);
        check(DType::UInt8, &[2, 4, 6, 3], 1, 5, &[2, 3, 4, 6]);
    }

    #[test]
    fn one_channel_is_an_axis_and_what_is_no_frame_stays() {
        check(DType::UInt16, &[4, 6], 0, 3, &[1, 4, 6]);
        check(DType::UInt8, &[4, 6, 1], 0, 3, &[1, 4, 6]);
        check(DType::UInt8, &[2, 4, 6], 1, 3, &[2, 1, 4, 6]);
        check(DType::UInt8, &[5], 0, 3, &[5]);
        check(DType::UInt8, &[0, 0, 3], 0, 3, &[3, 0, 0]);
        check(DType::UInt8, &[4, 6, 3], 0, 0, &[3, 4, 6]);
    }

    #[test]
    fn the_words_are_those_of_python() {
        assert_eq!("chw".parse::<FrameAxes>().unwrap(), FrameAxes::ChannelsFirst);
        assert_eq!("hwc".parse::<FrameAxes>().unwrap(), FrameAxes::default());
        assert_eq!("cwh".parse::<FrameAxes>().unwrap_err().kind(), ErrorKind::Config);
    }
}
