use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{Array, ArrayRef, BinaryArray, StructArray, builder::BinaryBuilder, new_null_array};
use arrow_schema::DataType;
use nodedata_core::{DType, Error, ErrorKind, Feature, MediaEncoding, MediaShape, Result};
use nodedata_media::{JPEG_QUALITY, encode_jpeg, encode_png_of_video, video::VideoFrame};
use nodedata_steps::media_shapes;

use super::PictureColumn;
use crate::align::NO_ROW;

/// Decoded pictures of one camera, by what they are stored as and by the row of their message.
#[derive(Default)]
pub(super) struct Pictures(Vec<(MediaEncoding, BTreeMap<u32, Stored>)>);

struct Stored {
    bytes: Vec<u8>,
    dtype: DType,
    dims: Vec<u32>,
}

impl Pictures {
    /// # Errors
    /// `Unsupported` for a frame that the coding cannot hold.
    pub(super) fn store(&mut self, encoding: MediaEncoding, row: u32, frame: &VideoFrame) -> Result<()> {
        let frame = frame.to_rgb();
        let dims = match frame.channels {
            1 => vec![frame.height, frame.width],
            n => vec![frame.height, frame.width, n],
        };
        let dtype = frame.dtype;
        let bytes = match encoding {
            MediaEncoding::Jpeg => encode_jpeg(&frame, JPEG_QUALITY)?,
            MediaEncoding::Png => encode_png_of_video(&frame)?,
            MediaEncoding::Raw => frame.pixels,
        };
        let stored = Stored { bytes, dtype, dims };
        match self.0.iter_mut().find(|it| it.0 == encoding) {
            Some((_, known)) => drop(known.insert(row, stored)),
            None => self.0.push((encoding, BTreeMap::from([(row, stored)]))),
        }
        Ok(())
    }

    /// The column of a field, one row a step, null where a step has no message or that has no picture.
    ///
    /// # Errors
    /// `SchemaMismatch` for bare pictures of several sizes; `Limit` for more than 2 GiB.
    pub(super) fn column(
        &self,
        feature: &Feature,
        encoding: MediaEncoding,
        rows: &[u32],
    ) -> Result<PictureColumn> {
        let nothing = BTreeMap::new();
        let stored = self.0.iter().find(|it| it.0 == encoding).map_or(&nothing, |it| &it.1);
        let of_row = |row: &u32| stored.get(row).filter(|_| *row != NO_ROW);
        let n_bytes: usize = rows.iter().filter_map(of_row).map(|it| it.bytes.len()).sum();
        if i32::try_from(n_bytes).is_err() {
            let message = "the pictures of one batch take more than 2 GiB";
            return Err(Error::new(ErrorKind::Limit, message).with_hint("`encoding: png` takes less"));
        }
        let mut bytes = BinaryBuilder::with_capacity(rows.len(), n_bytes);
        rows.iter().for_each(|row| bytes.append_option(of_row(row).map(|it| it.bytes.as_slice())));
        let array = around(bytes.finish(), feature);
        let pixels = match encoding {
            MediaEncoding::Jpeg | MediaEncoding::Png => media_shapes(0, &array),
            MediaEncoding::Raw => bare(rows.iter().filter_map(of_row))?.into_iter().collect(),
        };
        Ok(PictureColumn { array, pixels })
    }
}

/// Pictures as their column has them.
fn around(bytes: BinaryArray, feature: &Feature) -> ArrayRef {
    match feature.arrow_type() {
        DataType::Struct(fields) => {
            let nulls = bytes.nulls().cloned();
            let path = new_null_array(&DataType::Utf8, bytes.len());
            Arc::new(StructArray::new(fields, vec![Arc::new(bytes), path], nulls))
        }
        _ => Arc::new(bytes),
    }
}

/// What bare pictures are, which have to be alike.
fn bare<'a>(stored: impl Iterator<Item = &'a Stored>) -> Result<Option<MediaShape>> {
    let mut found: Option<MediaShape> = None;
    for Stored { dtype, dims, .. } in stored {
        let found = found.get_or_insert_with(|| MediaShape {
            column: 0,
            dtype: *dtype,
            shape: dims.clone(),
            encoding: MediaEncoding::Raw.name().to_owned(),
            rate_hz: None,
            n_rows: 0,
        });
        if found.shape != *dims || found.dtype != *dtype {
            let message =
                format!("a frame of the video is {dims:?}, and those before it are {:?}", found.shape);
            return Err(Error::new(ErrorKind::SchemaMismatch, message)
                .with_hint("bare values do not say their shape: `encoding: png` lets it vary"));
        }
        found.n_rows += 1;
    }
    Ok(found)
}
