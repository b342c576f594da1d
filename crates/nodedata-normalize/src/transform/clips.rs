use std::sync::Arc;

use arrow_array::{ArrayRef, builder::BinaryBuilder, cast::AsArray};
use arrow_schema::DataType;
use nodedata_core::{Error, ErrorKind, Nested};
use nodedata_media::{sniff_clip, wav_to_flac};

use super::images::{Unchanged, around_media};

/// What clips are called that are coded without loss.
pub(super) const FLAC: &str = "flac";

/// Codes the clips of a column as FLAC. Those that are already stay byte for byte.
pub(super) fn flac(column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, Unchanged> {
    let nested = Nested::of(column.as_ref());
    let clips = nested.values.as_binary::<i32>();
    let valid = nested.items.last().and_then(|it| it.valid.clone());
    let mut stored = BinaryBuilder::new();
    for (idx, clip) in clips.iter().enumerate() {
        let Some(clip) = clip.filter(|_| valid.as_ref().is_none_or(|it| it.is_valid(idx))) else {
            stored.append_null();
            continue;
        };
        let at = |err| Unchanged { row: nested.row_of(nested.dims.len(), idx), err };
        let coded = if sniff_clip(clip) == Some(FLAC) { None } else { Some(wav_to_flac(clip).map_err(at)?) };
        let coded = coded.as_deref().unwrap_or(clip);
        if i32::try_from(stored.values_slice().len() + coded.len()).is_err() {
            let err = Error::new(ErrorKind::Limit, "the clips of one batch take more than 2 GiB");
            return Err(at(err.with_hint("leave out the transform: clips of this size are better files")));
        }
        stored.append_value(coded);
    }
    let bytes: ArrayRef = Arc::new(stored.finish());
    around_media(column, bytes, wanted).map_err(|err| Unchanged { row: 0, err })
}

#[cfg(test)]
mod tests {
    use arrow_array::{Array as _, BinaryArray, StructArray, new_null_array};
    use nodedata_core::{DType, Dim, Feature, Storage};
    use nodedata_media::{audio_header, check_audio};

    use super::*;

    /// A WAV file of one channel.
    fn wav(tag: u16, bits: u16, data: &[u8]) -> Vec<u8> {
        let (rate_hz, block) = (16_000u32, bits / 8);
        let size = data.len() as u32;
        let mut file = [b"RIFF".as_slice(), &(36 + size).to_le_bytes(), b"WAVEfmt \x10\0\0\0"].concat();
        file.extend([tag, 1].map(u16::to_le_bytes).concat());
        file.extend([rate_hz, rate_hz * u32::from(block)].map(u32::to_le_bytes).concat());
        file.extend([block, bits].map(u16::to_le_bytes).concat());
        [file.as_slice(), b"data", &size.to_le_bytes(), data].concat()
    }

    fn feature() -> Feature {
        Feature { storage: Storage::EncodedMedia, ..Feature::new("clip", DType::Bytes, Vec::new()) }
    }

    fn media(clips: &[Option<&[u8]>]) -> ArrayRef {
        let DataType::Struct(fields) = feature().arrow_type() else { panic!("media is a struct") };
        let bytes: BinaryArray = clips.iter().copied().collect();
        let nulls = bytes.nulls().cloned();
        let path = new_null_array(&DataType::Utf8, bytes.len());
        Arc::new(StructArray::new(fields, vec![Arc::new(bytes), path], nulls))
    }

    fn stored(column: &ArrayRef) -> Vec<Option<Vec<u8>>> {
        let values = Nested::of(column.as_ref()).values;
        values.as_binary::<i32>().iter().map(|it| it.map(<[u8]>::to_vec)).collect()
    }

    #[test]
    fn wav_becomes_flac_and_all_else_stays() {
        let spoken = wav(1, 16, &[1, 0, 2, 0, 3, 0]);
        let column = media(&[Some(&spoken), None, Some(b"fLaC as it is")]);
        let found = flac(&column, column.data_type()).ok().unwrap();
        assert_eq!(found.data_type(), column.data_type());
        assert!(found.is_null(1));
        let found = stored(&found);
        let coded = found[0].as_deref().unwrap();
        let header = audio_header(coded).unwrap();
        assert_eq!((header.encoding(), header.rate_hz, header.n_samples), (FLAC, 16_000, Some(3)));
        assert!(check_audio(coded).unwrap());
        assert_eq!((found[1].as_deref(), found[2].as_deref()), (None, Some(b"fLaC as it is".as_slice())));
    }

    #[test]
    fn clips_in_lists_stay_in_them() {
        let feature = feature().in_lists(vec![Dim::Fixed(2)]);
        let DataType::FixedSizeList(item, n) = feature.arrow_type() else { panic!("a list") };
        let spoken = wav(1, 16, &[1, 0]);
        let clips = media(&[Some(&spoken), Some(b"fLaC"), Some(&spoken), None]);
        let column: ArrayRef = Arc::new(arrow_array::FixedSizeListArray::new(item, n, clips, None));
        let found = flac(&column, &feature.arrow_type()).ok().unwrap();
        assert_eq!((found.len(), found.data_type()), (2, &feature.arrow_type()));
        let found = stored(&found);
        assert_eq!((found[0].is_some(), &found[0]), (true, &found[2]));
        assert_eq!((found[1].as_deref(), found[3].as_deref()), (Some(b"fLaC".as_slice()), None));
    }

    #[test]
    fn what_is_no_wav_of_whole_numbers_is_refused_at_its_row() {
        let spoken = wav(1, 16, &[1, 0]);
        for (other, kind) in [
            (wav(3, 32, &[0; 8]), ErrorKind::Unsupported),
            (b"OggS and so on".to_vec(), ErrorKind::Unsupported),
            (b"text".to_vec(), ErrorKind::Unsupported),
            (spoken[..30].to_vec(), ErrorKind::Corrupt),
            (spoken[..45].to_vec(), ErrorKind::Corrupt),
        ] {
            let column = media(&[Some(&spoken), None, Some(&other)]);
            let refused = flac(&column, column.data_type()).err().unwrap();
            assert_eq!((refused.row, refused.err.kind()), (2, kind), "{}", refused.err.chain());
        }
    }
}
