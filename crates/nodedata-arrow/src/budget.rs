//! A file of others that is decoded as a whole takes no more memory than it may. How much that is stands in the file: in the
//! schema, in the headers of pages, and in how often which text of a dictionary is named. All of it is read before any row is
//! decoded, each size before the bytes that it is of.

use arrow_schema::DataType;
use nodedata_core::{Error, ErrorKind, Locus, Result};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    basic::{Compression, Type},
    errors::ParquetError,
    file::metadata::{ColumnChunkMetaData, PageIndexPolicy, RowGroupMetaData},
};

use crate::{
    Ranges,
    encryption::footer_range,
    footer_shape::{FOOTER_BYTES_MAX, is_sound_schema},
    page_sizes::PageSizes,
    text_sizes::text_bytes,
};

/// Longest values of a column whose values all have one length, in bytes: the reader makes room for a batch of them.
const FIXED_BYTES_MAX: u64 = 4096;
/// What a value takes besides itself: where it ends, whether it is there.
const VALUE_BYTES: u64 = 8;
/// And on each level of lists.
const LEVEL_BYTES: u64 = 8;

/// The footer of a file all rows of which, decoded, take at most `bytes_max`, whatever it says of itself: for tables that are
/// held in memory. Its schema is as the reader would make columns of it, and pages are read one after the other.
///
/// # Errors
/// `Limit` when its rows take more; `Unsupported` for what could not be bounded: codecs and encodings that do not tell sizes
/// beforehand, types of columns that make much of little; `Corrupt` when it is no whole Parquet file; `Io`.
pub fn footer_within(file: &Ranges, bytes_max: u64) -> Result<ArrowReaderMetadata> {
    let footer = footer_range(&*file.0)?.ok_or_else(|| corrupt("this is no whole Parquet file"))?;
    if FOOTER_BYTES_MAX < footer.end - footer.start {
        let message = format!("the footer has {} bytes", footer.end - footer.start);
        return Err(over(&message, FOOTER_BYTES_MAX));
    }
    if !is_sound_schema(&file.0.read_at(footer)?) {
        return Err(corrupt("the schema is damaged, or has more groups and columns than a table has"));
    }
    // Where pages lie is what their headers say, which are what is checked.
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Skip);
    let unreadable = |err: ParquetError| corrupt("the footer cannot be read").with_source(err);
    let footer = crate::footer(file, options).map_err(unreadable)?;
    if let Some(field) = footer.schema().fields().iter().find(|it| !is_plain(it.data_type())) {
        let message = format!("column `{}` has the type {}", field.name(), field.data_type());
        return Err(unsupported(&message));
    }
    let mut n_bytes = 0u64;
    for group in footer.metadata().row_groups() {
        // Without columns a row is nothing, and there could be any number of them.
        n_bytes = n_bytes.saturating_add(n_rows(group));
        within(n_bytes, bytes_max)?;
        for chunk in group.columns() {
            n_bytes = with_chunk(n_bytes, file, group, chunk, bytes_max)?;
        }
    }
    Ok(footer)
}

fn within(n_bytes: u64, bytes_max: u64) -> Result<()> {
    if n_bytes <= bytes_max {
        return Ok(());
    }
    Err(over(&format!("its rows take {n_bytes} bytes or more once they are decoded"), bytes_max))
}

/// The bytes with what the values of a chunk take, and its largest page while they are read.
fn with_chunk(
    n_before: u64,
    file: &Ranges,
    group: &RowGroupMetaData,
    chunk: &ColumnChunkMetaData,
    bytes_max: u64,
) -> Result<u64> {
    let in_column = |err: Error| err.at(Locus::feature(chunk.column_path().string()));
    match chunk.compression() {
        // These unpack a page into the room that its header says, and no further.
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_) | Compression::LZ4_RAW => {}
        Compression::GZIP(_) | Compression::LZO | Compression::BROTLI(_) | Compression::LZ4 => {
            let message = format!("a column is compressed by {}", chunk.compression());
            return Err(in_column(unsupported(&message)));
        }
    }
    let column = chunk.column_descr();
    let fixed = match column.physical_type() {
        Type::BOOLEAN => 1,
        Type::INT32 | Type::FLOAT => 4,
        Type::INT64 | Type::DOUBLE => 8,
        Type::INT96 => 12,
        Type::FIXED_LEN_BYTE_ARRAY => {
            let n_bytes = u64::try_from(column.type_length()).unwrap_or(0);
            if n_bytes == 0 {
                return Err(in_column(corrupt("the values of a column have no bytes")));
            }
            if FIXED_BYTES_MAX < n_bytes {
                let message = format!("the values of a column have {n_bytes} bytes each");
                return Err(in_column(over(&message, FIXED_BYTES_MAX)));
            }
            n_bytes
        }
        // The length before each.
        Type::BYTE_ARRAY => 4,
    };
    let sizes = PageSizes::of(file, chunk, fixed).map_err(in_column)?;
    let n_levels = u64::from(column.max_rep_level().max(0).cast_unsigned());
    let value_bytes = fixed + VALUE_BYTES + n_levels * LEVEL_BYTES;
    let n_values = sizes.n_values.max(n_rows(group));
    let n_bytes = n_values.saturating_mul(value_bytes).saturating_add(sizes.largest).saturating_add(n_before);
    // Before any page is unpacked.
    within(n_bytes, bytes_max)?;
    let texts = match (column.physical_type(), sizes.has_dictionary) {
        (Type::BYTE_ARRAY, true) => text_bytes(file, chunk, n_rows(group))
            .ok_or_else(|| in_column(corrupt("the pages of a column of texts cannot be read")))?,
        (Type::BYTE_ARRAY, false) => sizes.n_unpacked,
        _ => 0,
    };
    let n_bytes = n_bytes.saturating_add(texts);
    within(n_bytes, bytes_max)?;
    Ok(n_bytes)
}

fn n_rows(group: &RowGroupMetaData) -> u64 {
    u64::try_from(group.num_rows()).unwrap_or(0)
}

/// Whether values of a type take as much memory as those of the column that they are read from. An array of lists that are all
/// of one length has all of their values where a list is null as well, and a file may say any length.
fn is_plain(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::Map(item, _) => {
            is_plain(item.data_type())
        }
        DataType::Struct(fields) => fields.iter().all(|it| is_plain(it.data_type())),
        DataType::Boolean
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::FixedSizeBinary(_)
        | DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Timestamp(..)
        | DataType::Duration(_) => true,
        numbers => numbers.is_integer() || numbers.is_floating(),
    }
}

fn over(what: &str, bytes_max: u64) -> Error {
    let message = format!("{what}, and at most {bytes_max} are taken of such a file");
    let hint = "tables that node-data writes stay far below: write it again with `node-data push`";
    Error::new(ErrorKind::Limit, message).with_hint(hint)
}

fn unsupported(what: &str) -> Error {
    let message = format!("{what}, whose size in memory a file does not tell");
    Error::new(ErrorKind::Unsupported, message).with_hint("write the table again with plain columns and ZSTD")
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, what)
}

#[cfg(test)]
mod tests;
