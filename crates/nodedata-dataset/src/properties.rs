use nodedata_core::{DType, Feature, Storage, meta};
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion},
    schema::types::ColumnPath,
};

use crate::access::Access;

/// Values between two looks at the page limits. The writer knows one number for the whole file, so media
/// columns get writers of their own (see [`media`]).
pub(crate) const BATCH_ROWS: usize = 1024;
/// Target of a data page before compression, and what a dictionary may have.
pub(crate) const PAGE_BYTES: usize = 1 << 20;
/// Rows of one page of all other columns.
pub(crate) const PAGE_ROWS: usize = 20_000;
/// What zstd is asked to do.
pub(crate) const ZSTD_LEVEL: i32 = 1;

/// What the writer settings are called in provenance; changes whenever they change bytes.
pub(crate) fn settings(access: Access) -> String {
    let rows = access.page_rows();
    format!("zstd:1-where-10%;bss-float;delta-time;dict-text;media-plain-{rows};page-1MiB;v4")
}

/// Whether a column holds media that get small uncompressed pages.
pub(crate) fn is_encoded_media(feature: &Feature) -> bool {
    feature.storage == Storage::EncodedMedia || has_coded_samples(feature)
}

/// Coded video samples: media in plain bytes that are not raw pixels, so they are compressed already.
fn has_coded_samples(feature: &Feature) -> bool {
    feature.storage == Storage::RawMedia && feature.metadata.get(meta::ENCODING).is_none_or(|it| it != "raw")
}

/// Values between two looks at the page limits of a column that is not encoded media. Of raw pixels and other bytes `balanced`
/// pages end by size first, so that a look is rare; where each row is to have a page of its own, or many are to have one, it is not.
pub(crate) fn batch_rows(feature: &Feature, access: Access) -> usize {
    let is_bytes = feature.storage == Storage::RawMedia || feature.dtype == DType::Bytes;
    if is_bytes && !access.is_default() { access.page_rows() } else { BATCH_ROWS }
}

/// Settings for the file of a table with these columns. Nothing is left to a library default.
pub(crate) fn table(features: &[Feature], created_by: &str, access: Access) -> WriterProperties {
    let builder = base(created_by).set_write_batch_size(BATCH_ROWS);
    features.iter().fold(builder, |builder, it| column(builder, it, access)).build()
}

/// The same settings for the writers of one column that is not encoded media.
pub(crate) fn plain(feature: &Feature, created_by: &str, access: Access) -> WriterProperties {
    let builder = base(created_by).set_write_batch_size(batch_rows(feature, access));
    column(builder, feature, access).build()
}

/// The same settings for chunks of such a column that compression does not make smaller.
pub(crate) fn stored(feature: &Feature, created_by: &str, access: Access) -> WriterProperties {
    let builder = base(created_by).set_write_batch_size(batch_rows(feature, access));
    column(builder.set_compression(Compression::UNCOMPRESSED), feature, access).build()
}

/// The same settings for the writers of a column of encoded media: looks at the page limit after every few rows.
pub(crate) fn media(feature: &Feature, created_by: &str, access: Access) -> WriterProperties {
    let builder = base(created_by).set_write_batch_size(access.page_rows());
    column(builder, feature, access).build()
}

fn base(created_by: &str) -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(created_by.to_owned())
        .set_compression(Compression::ZSTD(zstd_level()))
        .set_dictionary_enabled(false)
        .set_dictionary_page_size_limit(PAGE_BYTES)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_max_row_group_row_count(None)
        .set_max_row_group_bytes(None)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(Some(64))
        .set_column_index_truncate_length(Some(64))
        .set_offset_index_disabled(false)
        .set_write_page_header_statistics(false)
        .set_bloom_filter_enabled(false)
        .set_coerce_types(false)
        .set_content_defined_chunking(None)
}

pub(crate) fn zstd_level() -> ZstdLevel {
    ZstdLevel::try_new(ZSTD_LEVEL).expect("1 is a level of zstd")
}

fn column(builder: WriterPropertiesBuilder, feature: &Feature, access: Access) -> WriterPropertiesBuilder {
    let path = leaf_path(feature);
    let page_rows = access.page_rows();
    if is_encoded_media(feature) {
        return builder
            .set_column_compression(path.clone(), Compression::UNCOMPRESSED)
            .set_column_encoding(path.clone(), Encoding::PLAIN)
            .set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
            .set_column_data_page_row_count_limit(path, page_rows);
    }
    match (feature.storage, feature.dtype) {
        (Storage::RawMedia, _) | (_, DType::Bytes) => builder
            .set_column_encoding(path.clone(), Encoding::PLAIN)
            .set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
            .set_column_data_page_row_count_limit(path, page_rows),
        (_, DType::Float16 | DType::Float32 | DType::Float64) => {
            builder.set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT)
        }
        (_, DType::Int64) if feature.metadata.get(meta::UNIT).is_some_and(|it| it == "ns") => {
            builder.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
        }
        (_, DType::Bool) => builder.set_column_encoding(path, Encoding::PLAIN),
        _ => builder
            .set_column_encoding(path.clone(), Encoding::PLAIN)
            .set_column_dictionary_enabled(path, true),
    }
}

/// The Parquet path of the column's values: lists add `list.element` a level, media add `bytes`.
pub(crate) fn leaf_path(feature: &Feature) -> ColumnPath {
    let mut parts = vec![feature.name.clone()];
    for _ in feature.dims() {
        parts.extend(["list", "element"].map(str::to_owned));
    }
    if feature.storage == Storage::EncodedMedia {
        parts.push("bytes".to_owned());
    }
    ColumnPath::new(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw_media(encoding: Option<&str>) -> Feature {
        let mut feature = Feature::new("data", DType::UInt8, Vec::new());
        feature.storage = Storage::RawMedia;
        match encoding {
            Some(encoding) => feature.with_meta(meta::ENCODING, encoding),
            None => feature,
        }
    }

    /// Frozen: it is in the recipe of every dataset.
    #[test]
    fn settings_are_spelled_so() {
        let spelled = |rows: u32| {
            format!("zstd:1-where-10%;bss-float;delta-time;dict-text;media-plain-{rows};page-1MiB;v4")
        };
        assert_eq!(Access::ALL.map(settings), [1, 8, 64].map(spelled));
    }

    #[test]
    fn coded_video_is_kept_as_it_is_and_raw_pixels_are_compressed() {
        for (encoding, expected) in [
            (None, Compression::UNCOMPRESSED),
            (Some("h264"), Compression::UNCOMPRESSED),
            (Some("raw"), Compression::ZSTD(zstd_level())),
        ] {
            let feature = raw_media(encoding);
            let properties = plain(&feature, "test", Access::Balanced);
            assert_eq!(properties.compression(&leaf_path(&feature)), expected, "{encoding:?}");
        }
    }
}
