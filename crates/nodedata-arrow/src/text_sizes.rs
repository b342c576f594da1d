//! How many bytes the texts of a column have once each stands in its row: a dictionary holds a text once, and a few bytes
//! may name it for millions of rows.

use std::sync::Arc;

use bytes::Bytes;
use parquet::{
    basic::Encoding,
    column::page::{Page, PageReader as _},
    file::{metadata::ColumnChunkMetaData, serialized_reader::SerializedPageReader},
};

use crate::{
    Ranges,
    guarded::guarded,
    runs::{Run, next_run, packed},
};

/// Bytes of all texts of a chunk. `None` where its pages cannot be read. The sizes that their headers say are held to be
/// checked.
pub(crate) fn text_bytes(file: &Ranges, chunk: &ColumnChunkMetaData, n_rows: u64) -> Option<u64> {
    guarded(|| walk(file, chunk, n_rows)).flatten()
}

fn walk(file: &Ranges, chunk: &ColumnChunkMetaData, n_rows: u64) -> Option<u64> {
    let n_rows = usize::try_from(n_rows).ok()?;
    let mut reader = SerializedPageReader::new(Arc::new(file.clone()), chunk, n_rows, None).ok()?;
    let column = chunk.column_descr();
    let has_levels = [column.max_rep_level(), column.max_def_level()].map(|it| 0 < it);
    let (mut lengths, mut n_bytes) = (Vec::new(), 0u64);
    while let Some(page) = reader.get_next_page().ok()? {
        let (values, n_values, encoding) = match page {
            Page::DictionaryPage { buf, .. } => {
                lengths = plain_lengths(&buf)?;
                continue;
            }
            Page::DataPage { buf, num_values, encoding, rep_level_encoding, def_level_encoding, .. } => {
                let levels = [(has_levels[0], rep_level_encoding), (has_levels[1], def_level_encoding)];
                (behind_levels(&buf, levels)?, num_values, encoding)
            }
            Page::DataPageV2 {
                buf, num_values, encoding, def_levels_byte_len, rep_levels_byte_len, ..
            } => {
                let n_levels = def_levels_byte_len.checked_add(rep_levels_byte_len)?;
                let n_levels = usize::try_from(n_levels).ok().filter(|it| *it <= buf.len())?;
                (buf.slice(n_levels..), num_values, encoding)
            }
        };
        let n_page = match encoding {
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => {
                coded_bytes(&values, n_values, &lengths)?
            }
            // A text and its length.
            _ => values.len() as u64,
        };
        n_bytes = n_bytes.saturating_add(n_page);
    }
    Some(n_bytes)
}

/// What follows the levels of a page of version 1, each kind of which, where it has it, says how many bytes it has. `None` for levels in
/// the encoding of old writers, which say no such thing: the reader would take others for values.
fn behind_levels(page: &Bytes, levels: [(bool, Encoding); 2]) -> Option<Bytes> {
    let mut rest = page.clone();
    for (_, encoding) in levels.into_iter().filter(|(is_there, _)| *is_there) {
        if encoding != Encoding::RLE {
            return None;
        }
        let n_bytes = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?);
        let end = usize::try_from(n_bytes).ok()?.checked_add(4).filter(|it| *it <= rest.len())?;
        rest = rest.slice(end..);
    }
    Some(rest)
}

/// The lengths of texts that stand one behind the other.
fn plain_lengths(mut rest: &[u8]) -> Option<Vec<u32>> {
    let mut lengths = Vec::new();
    while !rest.is_empty() {
        let (length, behind) = rest.split_at_checked(4)?;
        let length = u32::from_le_bytes(length.try_into().ok()?);
        rest = behind.get(usize::try_from(length).ok()?..)?;
        lengths.push(length);
    }
    Some(lengths)
}

/// Bytes of the texts that some places in a dictionary name: a number of bits, then runs of one place and packed places.
fn coded_bytes(coded: &[u8], n_values: u32, lengths: &[u32]) -> Option<u64> {
    // A page without values has nothing here.
    let Some((bits, mut rest)) = coded.split_first() else { return Some(0) };
    let bits = u32::from(*bits);
    if 32 < bits {
        return None;
    }
    let length = |place: u64| lengths.get(usize::try_from(place).ok()?).copied().map(u64::from);
    let (mut left, mut n_bytes) = (u64::from(n_values), 0u64);
    // Zeros fill pages up, and the reader finds no run in them.
    while left != 0 && rest.iter().any(|it| *it != 0) {
        let n_run = match next_run(&mut rest, bits)? {
            Run::Same { n, value } => {
                let n_run = n.min(left);
                n_bytes = n_bytes.saturating_add(n_run.saturating_mul(length(value)?));
                n_run
            }
            Run::Packed { n, .. } if bits == 0 => {
                let n_run = n.min(left);
                n_bytes = n_bytes.saturating_add(n_run.saturating_mul(length(0)?));
                n_run
            }
            Run::Packed { n, values } => {
                let n_run = n.min(left);
                // The last group may be cut where no value needs the rest of it.
                let n_there = (values.len() as u64 * 8 / u64::from(bits)).min(n_run);
                for idx in 0..n_there {
                    // Places behind the last value are padding, and may be none of the dictionary.
                    n_bytes = n_bytes.saturating_add(length(packed(values, bits, idx)).unwrap_or(0));
                }
                n_run
            }
        };
        left -= n_run;
    }
    Some(n_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_counted_by_the_places_that_name_them() {
        let lengths = [3, 100, 7, 0];
        let bytes = |coded: &[u8], n| coded_bytes(coded, n, &lengths);
        assert_eq!(bytes(&[], 0), Some(0));
        // A run of five of place 1, of two bits; of longer runs what the page holds.
        assert_eq!(bytes(&[2, 5 << 1, 1], 5), Some(500));
        assert_eq!(bytes(&[2, 200, 1, 1], 50), Some(5000));
        // 0 1 2 3 0 1 2 0, of which six are values.
        assert_eq!(bytes(&[2, 3, 0b1110_0100, 0b0010_0100], 8), Some(3 + 100 + 7 + 3 + 100 + 7 + 3));
        assert_eq!(bytes(&[2, 3, 0b1110_0100, 0b0010_0100], 6), Some(3 + 100 + 7 + 3 + 100));
        // Without bits all are the first.
        assert_eq!(bytes(&[0, 4 << 1], 4), Some(12));
        assert_eq!(bytes(&[0, 3], 8), Some(24));
        // Many rows by few bytes.
        assert_eq!(bytes(&[1, 0xfe, 0xff, 0xff, 0xff, 0x0f, 1], u32::MAX), Some(100 * ((1 << 31) - 1)));
        // A place that is none, more bits than there may be, and a run that is cut.
        assert_eq!(bytes(&[3, 5 << 1, 4], 5), None);
        assert_eq!(bytes(&[33, 2, 0], 1), None);
        assert_eq!(bytes(&[9, 4, 0], 2), None);
    }

    /// Other runs than the Parquet reader finds would be counted: what it does not read alike is refused.
    #[test]
    fn runs_are_those_that_the_reader_finds() {
        let lengths = [3, 100, 7, 0];
        let bytes = |coded: &[u8], n| coded_bytes(coded, n, &lengths);
        // Zeros behind the last value, of which the page has fewer than it says: the others are nulls.
        assert_eq!(bytes(&[2, 2 << 1, 1, 0, 0, 0], 5), Some(200));
        // Behind a header of zero the reader begins anew with the next byte, and others would with the one behind.
        assert_eq!(bytes(&[2, 2 << 1, 1, 0, 5 << 1, 1], 9), None);
        assert_eq!(bytes(&[2, 2 << 1, 1, 0x80, 0, 5 << 1, 1], 9), None);
        // A place of more bits than places have.
        assert_eq!(bytes(&[1, 5 << 1, 0xff], 5), None);
    }

    #[test]
    fn lengths_of_a_dictionary_are_those_of_its_texts() {
        let mut dictionary = Vec::new();
        for text in ["abc", "", "x"] {
            dictionary.extend((text.len() as u32).to_le_bytes());
            dictionary.extend(text.as_bytes());
        }
        assert_eq!(plain_lengths(&dictionary), Some(vec![3, 0, 1]));
        assert_eq!(plain_lengths(&dictionary[..dictionary.len() - 1]), None);
        assert_eq!(plain_lengths(&u32::MAX.to_le_bytes()), None);
        let page = Bytes::from_static(&[1, 0, 0, 0, 9, 2, 0, 0, 0, 9, 9, 42]);
        let rle = |levels: [bool; 2]| levels.map(|it| (it, Encoding::RLE));
        assert_eq!(behind_levels(&page, rle([true, true])).unwrap(), &[42][..]);
        assert_eq!(behind_levels(&page, rle([false, true])).unwrap().len(), 7);
        assert_eq!(behind_levels(&page.slice(..9), rle([true, true])).map(|it| it.len()), None);
        // As old writers encode levels: of those that a column has, and of those that it has not.
        #[expect(deprecated, reason = "files of old writers have it")]
        let old = Encoding::BIT_PACKED;
        assert_eq!(behind_levels(&page, [(false, old), (true, Encoding::RLE)]).unwrap().len(), 7);
        assert_eq!(behind_levels(&page, [(false, old), (true, old)]), None);
    }
}
