use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StructArray, make_array, new_null_array};
use arrow_buffer::{Buffer, MutableBuffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field};

use super::{
    Leaf,
    layout::{LeafLayout, Level},
};
use crate::{
    DType, Storage,
    feature::{LIST_ITEM, media_fields},
};

/// Builds the array of one column from the values upwards.
pub(super) fn assemble(
    layout: &LeafLayout,
    leaf: Leaf,
    lists: &[(Buffer, Option<NullBuffer>, usize)],
) -> ArrayRef {
    let dtype = layout.feature.stored_dtype();
    let Leaf { values, offsets, mut valid } = leaf;
    let mut nulls = valid.as_mut().and_then(|it| it.finish());
    let (n_values, buffers) = match dtype {
        DType::String | DType::Bytes => {
            let n_values = offsets.len() - 1;
            (n_values, vec![Buffer::from_vec(offsets), values.into()])
        }
        DType::Bool => {
            let bytes = values.as_slice();
            let bits = MutableBuffer::collect_bool(bytes.len(), |idx| bytes[idx] != 0);
            (bytes.len(), vec![bits.into()])
        }
        other => (values.len() / other.byte_width().unwrap_or(1), vec![values.into()]),
    };
    // Nulls sit on the items of the innermost list (or on rows), above any fixed levels below it.
    let n_inner_fixed = layout.levels.iter().rev().take_while(|it| matches!(it, Level::Fixed(_))).count();
    let value_nulls = if n_inner_fixed == 0 { nulls.take() } else { None };
    let mut data = build(dtype.arrow(), n_values, value_nulls, buffers, Vec::new());
    if layout.feature.storage == Storage::EncodedMedia {
        let nulls = data.nulls().cloned();
        let path = new_null_array(&DataType::Utf8, n_values);
        data = StructArray::new(media_fields(), vec![make_array(data), path], nulls).into_data();
    }
    for (idx, level) in layout.levels.iter().enumerate().rev() {
        let nullable = layout.feature.items_nullable(idx);
        let item = Arc::new(Field::new(LIST_ITEM, data.data_type().clone(), nullable));
        data = match level {
            Level::Fixed(n) => {
                let outermost_fixed = layout.levels.len() - n_inner_fixed == idx;
                let level_nulls = if outermost_fixed { nulls.take() } else { None };
                let n_lists = level_nulls
                    .as_ref()
                    .map_or_else(|| data.len().checked_div(*n as usize).unwrap_or(0), NullBuffer::len);
                let size = i32::try_from(*n).expect("fixed sizes are checked by the schema compiler");
                build(DataType::FixedSizeList(item, size), n_lists, level_nulls, Vec::new(), vec![data])
            }
            Level::List(id) => {
                let (offsets, level_nulls, n_lists) = &lists[id.0];
                build(DataType::List(item), *n_lists, level_nulls.clone(), vec![offsets.clone()], vec![data])
            }
        };
    }
    make_array(data)
}

fn build(
    data_type: DataType,
    len: usize,
    nulls: Option<NullBuffer>,
    buffers: Vec<Buffer>,
    children: Vec<ArrayData>,
) -> ArrayData {
    let mut builder = ArrayData::builder(data_type).len(len).nulls(nulls);
    for buffer in buffers {
        builder = builder.add_buffer(buffer);
    }
    for child in children {
        builder = builder.add_child_data(child);
    }
    // Checks offsets against their children and text against UTF-8: a decoder that pushed the wrong
    // number of values stops here, before its rows can reach a file.
    builder.build().expect("columns hold what their layout says")
}
