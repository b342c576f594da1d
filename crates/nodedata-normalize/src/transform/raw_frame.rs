use arrow_array::{Array, RecordBatch, StringArray, UInt32Array, cast::AsArray, types::UInt32Type};
use nodedata_core::{DType, Error, ErrorKind, Feature, Result, meta};
use nodedata_media::{Decoded, PixelOrder, RawLayout};

/// What the bytes of a bare frame are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawFrame {
    /// Rows of the picture.
    pub(crate) height: u32,
    /// Pixels in a row.
    pub(crate) width: u32,
    /// Layout of the stored pixels, such as `rgb8` or `bayer_rggb8`.
    pub(crate) format: String,
}

impl RawFrame {
    /// What a feature says of all of its frames.
    pub(super) fn of(feature: &Feature) -> Option<Self> {
        let format = feature.metadata.get(meta::FRAME_FORMAT)?;
        let [height, width] = serde_json::from_str(feature.metadata.get(meta::FRAME_SIZE)?).ok()?;
        Some(Self { height, width, format: format.clone() })
    }

    /// Says of all frames of a feature what they are.
    pub(crate) fn tell(&self, feature: &mut Feature) {
        let size = serde_json::json!([self.height, self.width]).to_string();
        feature.metadata.insert(meta::FRAME_SIZE.to_owned(), size);
        feature.metadata.insert(meta::FRAME_FORMAT.to_owned(), self.format.clone());
    }
}

/// A bare frame as a picture.
///
/// # Errors
/// `Unsupported` for pixels that are none by themselves, such as those of a mosaic; `Corrupt` for bytes that are more or fewer.
pub(super) fn picture(bytes: &[u8], frame: &RawFrame) -> Result<Decoded> {
    let RawFrame { height, width, format } = frame;
    let unsupported = |message: String| {
        Err(Error::new(ErrorKind::Unsupported, message)
            .with_hint("only mono, RGB and RGBA frames can be changed; remove the transform from this field"))
    };
    let Some(layout) = RawLayout::from_name(format) else {
        return unsupported(format!("the frame is `{format}`, whose pixels are not known"));
    };
    if layout.order != PixelOrder::Plain || format.starts_with("bayer_") {
        return unsupported(format!(
            "the frame is `{format}`, whose values are no picture before they are converted"
        ));
    }
    let sides = [*height, *width, layout.channels].map(|it| it as usize);
    let n_bytes = sides.iter().try_fold(layout.sample_bytes(), |n, side| n.checked_mul(*side));
    if n_bytes != Some(bytes.len()) || bytes.is_empty() {
        let message = format!("{} bytes are no {height} × {width} frame of {format}", bytes.len());
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    Ok(Decoded {
        height: *height,
        width: *width,
        channels: layout.channels,
        dtype: layout.dtype,
        pixels: bytes.to_vec(),
    })
}

/// What the bare frames of a batch are, row by row: the columns beside a field whose frames vary.
pub(super) struct RowFrames<'a> {
    heights: &'a UInt32Array,
    widths: &'a UInt32Array,
    formats: &'a StringArray,
}

impl<'a> RowFrames<'a> {
    /// Of columns in the order of `FRAME_COLUMNS`.
    pub(super) fn of(rows: &'a RecordBatch, columns: &[usize]) -> Option<Self> {
        let [height, width, format] = columns else { return None };
        Some(Self {
            heights: rows.column(*height).as_primitive_opt::<UInt32Type>()?,
            widths: rows.column(*width).as_primitive_opt::<UInt32Type>()?,
            formats: rows.column(*format).as_string_opt::<i32>()?,
        })
    }

    /// What the frame of a row is.
    ///
    /// # Errors
    /// `Unsupported` where the row does not say it.
    pub(super) fn at(&self, row: usize) -> Result<RawFrame> {
        if self.heights.is_null(row) || self.widths.is_null(row) || self.formats.is_null(row) {
            let message = "the bytes of the frame are not what its message says of them";
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_hint("only frames whose height, width and format are known can be changed"));
        }
        let (height, width) = (self.heights.value(row), self.widths.value(row));
        Ok(RawFrame { height, width, format: self.formats.value(row).to_owned() })
    }
}

/// Type of one value of frames of a format; `None` where it is not known.
pub(crate) fn frame_type(format: &str) -> Option<DType> {
    RawLayout::from_name(format).map(|it| it.dtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(height: u32, width: u32, format: &str) -> RawFrame {
        RawFrame { height, width, format: format.to_owned() }
    }

    #[test]
    fn only_bytes_that_are_a_picture_become_one() {
        let found = picture(&[1, 2, 3, 4], &frame(1, 2, "mono16")).unwrap();
        assert_eq!((found.height, found.width, found.channels, found.dtype), (1, 2, 1, DType::UInt16));
        assert_eq!(found.pixels, [1, 2, 3, 4]);
        for (n_bytes, frame, kind) in [
            (5, frame(1, 2, "rgb8"), ErrorKind::Corrupt),
            (0, frame(0, 2, "mono8"), ErrorKind::Corrupt),
            (4, frame(u32::MAX, u32::MAX, "rgba16"), ErrorKind::Corrupt),
            (4, frame(2, 2, "bayer_rggb8"), ErrorKind::Unsupported),
            (8, frame(2, 2, "yuv422_yuy2"), ErrorKind::Unsupported),
            (12, frame(2, 2, "bgr8"), ErrorKind::Unsupported),
            (4, frame(2, 2, "heat"), ErrorKind::Unsupported),
        ] {
            assert_eq!(picture(&vec![0; n_bytes], &frame).unwrap_err().kind(), kind, "{frame:?}");
        }
    }

    #[test]
    fn a_feature_says_of_its_frames_what_it_was_told() {
        let mut feature = Feature::new("i", DType::UInt8, Vec::new());
        assert_eq!(RawFrame::of(&feature), None);
        frame(2, 4, "rgb8").tell(&mut feature);
        assert_eq!(feature.metadata[meta::FRAME_SIZE], "[2,4]");
        assert_eq!(RawFrame::of(&feature), Some(frame(2, 4, "rgb8")));
    }
}
