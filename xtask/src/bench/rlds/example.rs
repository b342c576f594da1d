//! The wire form of `tf.train.Example`, and the framing of TFRecord files.

use std::io::{self, Write};

/// A `tf.train.Feature` with a list of bytes.
pub(super) fn texts<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut list = Vec::new();
    values.into_iter().for_each(|it| push(&mut list, 1, it));
    field(1, &list)
}

/// A `tf.train.Feature` with a packed list of floats.
pub(super) fn floats(values: &[f32]) -> Vec<u8> {
    let packed: Vec<u8> = values.iter().flat_map(|it| it.to_le_bytes()).collect();
    field(2, &field(1, &packed))
}

/// A `tf.train.Feature` with a packed list of truths, as TFDS stores them.
pub(super) fn bools(values: impl IntoIterator<Item = bool>) -> Vec<u8> {
    let packed: Vec<u8> = values.into_iter().map(u8::from).collect();
    field(3, &field(1, &packed))
}

/// A record of features by key.
pub(super) fn example(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut features = Vec::new();
    for (key, feature) in entries {
        // An entry is large: its parts are written once, behind their length.
        let n_bytes = field_bytes(key.len()) + field_bytes(feature.len());
        push_head(&mut features, 1, n_bytes);
        push(&mut features, 1, key.as_bytes());
        push(&mut features, 2, feature);
    }
    field(1, &features)
}

/// Writes a record with its head and tail; returns the bytes written.
///
/// # Errors
/// When they cannot be written.
pub(super) fn write_framed(target: &mut impl Write, record: &[u8]) -> io::Result<u64> {
    let length = (record.len() as u64).to_le_bytes();
    for part in [&length[..], &masked_crc(&length), record, &masked_crc(record)] {
        target.write_all(part)?;
    }
    Ok(record.len() as u64 + 16)
}

fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    crc_fast::crc32_iscsi(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field_bytes(bytes.len()));
    push(&mut out, number, bytes);
    out
}

fn push(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    push_head(out, number, bytes.len());
    out.extend_from_slice(bytes);
}

/// Field number, the wire type of what has a length, and that length.
fn push_head(out: &mut Vec<u8>, number: u8, mut n_bytes: usize) {
    out.push(number << 3 | 2);
    while n_bytes >= 0x80 {
        out.push(n_bytes as u8 | 0x80);
        n_bytes >>= 7;
    }
    out.push(n_bytes as u8);
}

/// What a field of `n_bytes` takes with its head.
fn field_bytes(n_bytes: usize) -> usize {
    let varint_bytes = (usize::BITS - n_bytes.leading_zeros()).max(1).div_ceil(7) as usize;
    1 + varint_bytes + n_bytes
}

#[cfg(test)]
mod tests {
    use tfrecord::{BytesIter, Example, FeatureKind};

    use super::*;

    #[test]
    fn the_crate_tfrecord_reads_what_is_written() {
        let long = vec![7; 300];
        let record = example(&[
            ("a", texts([&b""[..], &long])),
            ("b", floats(&[1.5, -2.0])),
            ("c", bools([true, false, true])),
        ]);
        let mut file = Vec::new();
        for part in [&record[..], b"x"] {
            let before = file.len() as u64;
            assert_eq!(write_framed(&mut file, part).unwrap(), file.len() as u64 - before);
        }
        let read: Vec<Vec<u8>> =
            BytesIter::from_reader(&file[..], Default::default()).collect::<Result<_, _>>().unwrap();
        assert_eq!(read, [record.clone(), b"x".to_vec()]);
        let parsed = <Example as tfrecord::Record>::from_bytes(record).unwrap();
        let mut found: Vec<_> = parsed.into_iter().collect();
        found.sort_by(|one, two| one.0.cmp(&two.0));
        let kinds: Vec<_> = found.into_iter().map(|(key, feature)| (key, feature.into_kinds())).collect();
        let [
            (a, Some(FeatureKind::Bytes(texts))),
            (b, Some(FeatureKind::F32(floats))),
            (c, Some(FeatureKind::I64(ints))),
        ] = &kinds[..]
        else {
            panic!("{kinds:?}");
        };
        assert_eq!([a, b, c], ["a", "b", "c"]);
        assert_eq!(texts, &[Vec::new(), long]);
        assert_eq!(floats, &[1.5, -2.0]);
        assert_eq!(ints, &[1, 0, 1]);
    }
}
