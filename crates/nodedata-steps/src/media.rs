use std::collections::BTreeMap;

use arrow_array::{Array, ArrayRef, cast::AsArray};
use nodedata_core::{DType, MediaShape, Nested};
use nodedata_media::{audio_header, image_header, sniff, sniff_clip};

/// What the headers of encoded images and of clips of sound say, each finding once. A row of a list counts once for all that it finds alike.
pub fn media_shapes(column: usize, media: &ArrayRef) -> Vec<MediaShape> {
    let nested = Nested::of(media);
    let bytes = nested.values.as_binary::<i32>();
    let valid = nested.items.last().and_then(|it| it.valid.as_ref());
    // How many rows, and the last of them.
    let mut found: BTreeMap<MediaShape, (u64, Option<usize>)> = BTreeMap::new();
    for idx in (0..bytes.len()).filter(|it| valid.is_none_or(|valid| valid.is_valid(*it))) {
        let shape = MediaShape { column, ..shape_of(bytes.value(idx)) };
        let row = nested.row_of(nested.dims.len(), idx);
        let (n_rows, last) = found.entry(shape).or_default();
        *n_rows += u64::from(last.replace(row) != Some(row));
    }
    found.into_iter().map(|(shape, (n_rows, _))| MediaShape { n_rows, ..shape }).collect()
}

/// What one picture or clip says of itself, of no rows of the first column.
fn shape_of(medium: &[u8]) -> MediaShape {
    let told = |encoding: &str, dtype, shape: &[u32], rate_hz| MediaShape {
        column: 0,
        dtype,
        shape: shape.to_vec(),
        encoding: encoding.to_owned(),
        rate_hz,
        n_rows: 0,
    };
    if let Some(header) = image_header(medium) {
        let (dims, n_dims) = header.shape();
        return told(header.encoding.name(), header.dtype, &dims[..n_dims], None);
    }
    if let Some(picture) = sniff(medium) {
        return told(picture.name(), DType::UInt8, &[], None);
    }
    match audio_header(medium) {
        Some(clip) => {
            let known = clip.dtype().zip(clip.shape());
            let (dtype, shape) = known.map_or((DType::UInt8, Vec::new()), |(dtype, it)| (dtype, it.to_vec()));
            told(clip.encoding(), dtype, &shape, Some(clip.rate_hz))
        }
        None => told(sniff_clip(medium).unwrap_or("unknown"), DType::UInt8, &[], None),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{BinaryArray, StructArray, new_null_array};
    use arrow_schema::DataType;
    use nodedata_core::{Feature, Storage};

    use super::*;

    fn media(all: &[Option<&[u8]>]) -> ArrayRef {
        let feature =
            Feature { storage: Storage::EncodedMedia, ..Feature::new("m", DType::Bytes, Vec::new()) };
        let DataType::Struct(fields) = feature.arrow_type() else { panic!("media is a struct") };
        let bytes: BinaryArray = all.iter().copied().collect();
        let nulls = bytes.nulls().cloned();
        let path = new_null_array(&DataType::Utf8, bytes.len());
        Arc::new(StructArray::new(fields, vec![Arc::new(bytes), path], nulls))
    }

    /// A WAV file of so many samples of two channels of 16 bits.
    fn wav(rate_hz: u32, n_samples: u32) -> Vec<u8> {
        let n_bytes = 4 * n_samples;
        let mut file =
            [b"RIFF".as_slice(), &(36 + n_bytes).to_le_bytes(), b"WAVEfmt \x10\0\0\0\x01\0\x02\0"].concat();
        file.extend([rate_hz.to_le_bytes(), (4 * rate_hz).to_le_bytes()].concat());
        file.extend([b"\x04\0\x10\0data".as_slice(), &n_bytes.to_le_bytes()].concat());
        file.resize(44 + n_bytes as usize, 7);
        file
    }

    #[test]
    fn clips_and_pictures_say_what_they_are() {
        let (short, long, other) = (wav(16_000, 5), wav(16_000, 9), wav(8_000, 5));
        let picture = b"GIF89a\x80\x02\xe0\x01";
        let column = media(&[
            Some(&short),
            None,
            Some(&long),
            Some(&other),
            Some(&short),
            Some(picture),
            Some(b"OggS"),
            Some(b"what is this"),
        ]);
        let shape = |encoding: &str, dtype, shape: &[u32], rate_hz, n_rows| MediaShape {
            column: 3,
            dtype,
            shape: shape.to_vec(),
            encoding: encoding.to_owned(),
            rate_hz,
            n_rows,
        };
        let mut found = media_shapes(3, &column);
        found.sort();
        let mut expected = [
            shape("wav", DType::Int16, &[5, 2], Some(16_000), 2),
            shape("wav", DType::Int16, &[9, 2], Some(16_000), 1),
            shape("wav", DType::Int16, &[5, 2], Some(8_000), 1),
            shape("gif", DType::UInt8, &[480, 640, 3], None, 1),
            shape("ogg", DType::UInt8, &[], None, 1),
            shape("unknown", DType::UInt8, &[], None, 1),
        ];
        expected.sort();
        assert_eq!(found, expected);
        // A clip that is cut says its rate, and not how long it is.
        let found = media_shapes(0, &media(&[Some(&long[..50])]));
        let told: Vec<_> = found.iter().map(|it| (it.shape.as_slice(), it.rate_hz)).collect();
        assert_eq!(told, [(&[] as &[u32], Some(16_000))]);
    }
}
