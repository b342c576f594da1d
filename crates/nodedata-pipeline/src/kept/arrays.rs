//! Arrays as bytes, and back to the last buffer. Row groups end by the sizes of arrays, and a list is as large as all of the
//! items behind it, shown or not: what comes back must be as large as what was put, or shards would depend on where a run was stopped.

use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, ToByteSlice as _};
use arrow_data::{ArrayData, BufferSpec, layout};
use arrow_schema::DataType;

/// Appends an array. `None` for types that no feature has.
pub(super) fn put(data: &ArrayData, out: &mut Vec<u8>) -> Option<()> {
    let types = types_of_children(data.data_type())?;
    let len = data.len();
    put_number(len, out);
    match data.nulls() {
        None => put_number(0, out),
        Some(nulls) => {
            put_number(1, out);
            put_bytes(nulls.inner().sliced().as_slice(), out);
        }
    }
    match data.data_type() {
        DataType::Boolean => {
            let bits = BooleanBuffer::new(data.buffers()[0].clone(), data.offset(), len);
            put_bytes(bits.sliced().as_slice(), out);
        }
        DataType::Utf8 | DataType::Binary => put_values::<i32>(data, |it| *it as usize, out),
        DataType::LargeUtf8 | DataType::LargeBinary => put_values::<i64>(data, |it| *it as usize, out),
        DataType::List(_) | DataType::Map(..) => put_bytes(ends::<i32>(data).to_byte_slice(), out),
        DataType::LargeList(_) => put_bytes(ends::<i64>(data).to_byte_slice(), out),
        // Arrays that are sliced slice what they hold, so that only the data of a slice could have an offset.
        DataType::FixedSizeList(..) | DataType::Struct(_) | DataType::Null if data.offset() == 0 => {}
        plain => {
            let width = width_of(plain)?;
            let start = data.offset() * width;
            put_bytes(&data.buffers()[0].as_slice()[start..start + len * width], out);
        }
    }
    debug_assert_eq!(types.len(), data.child_data().len(), "the type tells how many there are");
    data.child_data().iter().try_for_each(|it| put(it, out))
}

/// Takes an array of this type from the front of the bytes. `None` where they hold none.
pub(super) fn take(data_type: &DataType, bytes: &mut &[u8]) -> Option<ArrayData> {
    let len = take_number(bytes)?;
    let nulls = match take_number(bytes)? {
        0 => None,
        _ => {
            let bits = take_bytes(bytes)?;
            (len <= bits.len() * 8).then(|| NullBuffer::new(BooleanBuffer::new(bits, 0, len)))
        }
    };
    let n_buffers = match data_type {
        DataType::Utf8 | DataType::Binary | DataType::LargeUtf8 | DataType::LargeBinary => 2,
        DataType::FixedSizeList(..) | DataType::Struct(_) | DataType::Null => 0,
        _ => 1,
    };
    let buffers = (0..n_buffers).map(|_| take_bytes(bytes)).collect::<Option<Vec<_>>>()?;
    // Arrow takes offsets of other lengths for a mistake of ours.
    let width = match data_type {
        DataType::LargeUtf8 | DataType::LargeBinary | DataType::LargeList(_) => 8,
        DataType::Utf8 | DataType::Binary | DataType::List(_) | DataType::Map(..) => 4,
        _ => 1,
    };
    if buffers.first().is_some_and(|it| it.len() % width != 0) {
        return None;
    }
    let children =
        types_of_children(data_type)?.into_iter().map(|it| take(it, bytes)).collect::<Option<Vec<_>>>()?;
    // Arrow multiplies these two without a look, and panics where the product is none.
    if let DataType::FixedSizeList(_, n_items) = data_type {
        len.checked_mul(usize::try_from(*n_items).ok()?)?;
    }
    let array =
        ArrayData::builder(data_type.clone()).len(len).nulls(nulls).buffers(buffers).child_data(children);
    array.build().ok()
}

/// Types of the arrays that an array of this type holds; `None` for types that no feature has.
fn types_of_children(data_type: &DataType) -> Option<Vec<&DataType>> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            Some(vec![item.data_type()])
        }
        DataType::Map(entries, _) => Some(vec![entries.data_type()]),
        DataType::Struct(fields) => Some(fields.iter().map(|it| it.data_type()).collect()),
        DataType::Null | DataType::Boolean => Some(Vec::new()),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => Some(Vec::new()),
        plain => width_of(plain).map(|_| Vec::new()),
    }
}

/// Bytes of one value, where values of the type lie one after the other and refer to nothing.
fn width_of(data_type: &DataType) -> Option<usize> {
    if matches!(data_type, DataType::Dictionary(..) | DataType::RunEndEncoded(..)) {
        return None;
    }
    let layout = layout(data_type);
    match layout.buffers.as_slice() {
        [BufferSpec::FixedWidth { byte_width, .. }] if !layout.variadic => Some(*byte_width),
        _ => None,
    }
}

/// The offsets of a list or of text: one more than there are values.
fn ends<T: ArrowNativeType>(data: &ArrayData) -> &[T] {
    let ends = data.buffer::<T>(0);
    // Arrays without a value may have no offset at all.
    &ends[..ends.len().min(data.len() + 1)]
}

fn put_values<T: ArrowNativeType + std::ops::Sub<Output = T>>(
    data: &ArrayData,
    place: impl Fn(&T) -> usize,
    out: &mut Vec<u8>,
) {
    let ends = ends::<T>(data);
    let (Some(first), Some(last)) = (ends.first(), ends.last()) else {
        put_bytes(&[], out);
        put_bytes(&[], out);
        return;
    };
    let from_zero: Vec<T> = ends.iter().map(|it| *it - *first).collect();
    put_bytes(from_zero.to_byte_slice(), out);
    put_bytes(&data.buffers()[1].as_slice()[place(first)..place(last)], out);
}

fn put_number(n: usize, out: &mut Vec<u8>) {
    out.extend((n as u64).to_le_bytes());
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_number(bytes.len(), out);
    out.extend(bytes);
}

fn take_number(bytes: &mut &[u8]) -> Option<usize> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    usize::try_from(u64::from_le_bytes(*number)).ok()
}

/// Copied, so that values lie where their types want them to.
fn take_bytes(bytes: &mut &[u8]) -> Option<Buffer> {
    let len = take_number(bytes)?;
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(Buffer::from(taken))
}

#[cfg(test)]
mod tests;
