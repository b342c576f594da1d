use std::collections::BTreeMap;

use arrow_array::{Array, ArrayRef, cast::AsArray};
use nodedata_core::{DType, Nested, PixelShape};
use nodedata_media::{image_header, sniff, sniff_clip};

/// What the headers of encoded images say, each finding once. A row of a list counts once for all that it finds alike.
pub fn image_pixels(column: usize, media: &ArrayRef) -> Vec<PixelShape> {
    let nested = Nested::of(media);
    let bytes = nested.values.as_binary::<i32>();
    let valid = nested.items.last().and_then(|it| it.valid.as_ref());
    // How many rows, and the last of them.
    let mut found: BTreeMap<PixelShape, (u64, Option<usize>)> = BTreeMap::new();
    for idx in (0..bytes.len()).filter(|it| valid.is_none_or(|valid| valid.is_valid(*it))) {
        let frame = bytes.value(idx);
        let (encoding, dtype, shape) = match image_header(frame) {
            Some(header) => {
                let (dims, n_dims) = header.shape();
                (header.encoding.name(), header.dtype, dims[..n_dims].to_vec())
            }
            None => {
                let coding = sniff(frame).map(|it| it.name()).or_else(|| sniff_clip(frame));
                (coding.unwrap_or("unknown"), DType::UInt8, Vec::new())
            }
        };
        let shape = PixelShape { column, dtype, shape, encoding: encoding.to_owned(), n_rows: 0 };
        let row = nested.row_of(nested.dims.len(), idx);
        let (n_rows, last) = found.entry(shape).or_default();
        *n_rows += u64::from(last.replace(row) != Some(row));
    }
    found.into_iter().map(|(shape, (n_rows, _))| PixelShape { n_rows, ..shape }).collect()
}
