use std::sync::Arc;

use arrow_array::{
    Array, FixedSizeListArray, Float64Array, ListArray, StringArray, StructArray, cast::AsArray,
};

use super::*;
use crate::{Dim, Feature, Storage};

/// points: a list of structs {x: f64, tags: string[]}, flags: bool, offset: f64[3] (may be absent).
fn layout() -> (Arc<Layout>, ListId, ListId, [LeafId; 4]) {
    let mut layout = Layout::default();
    let points = layout.list(&[], false);
    let x =
        layout.leaf(Feature::new("points.x", DType::Float64, vec![Dim::Variable]), &[Level::List(points)]);
    let tags = layout.list(&[Level::List(points)], false);
    let tag_levels = [Level::List(points), Level::List(tags)];
    let tag =
        layout.leaf(Feature::new("points.tags", DType::String, Layout::shape(&tag_levels)), &tag_levels);
    let flag = layout.leaf(Feature::new("flag", DType::Bool, vec![]), &[]);
    let offset = layout
        .leaf(Feature::new("offset", DType::Float64, vec![Dim::Fixed(3)]).nullable(), &[Level::Fixed(3)]);
    (Arc::new(layout), points, tags, [x, tag, flag, offset])
}

fn push_row(columns: &mut Columns, n_points: usize) {
    let (_, points, tags, [x, tag, flag, offset]) = layout();
    columns.push_len(points, n_points);
    for point in 0..n_points {
        columns.push_le(x, &(point as f64).to_le_bytes());
        columns.push_len(tags, point);
        for _ in 0..point {
            columns.push_bytes(tag, b"t");
        }
    }
    columns.push_bool(flag, n_points > 1);
    if n_points == 0 {
        columns.push_null(offset);
    } else {
        columns.push_zeroed(offset, 24);
        columns.push_valid(offset);
    }
    columns.end_row();
}

#[test]
fn lists_of_structs_become_parallel_ragged_leaves() {
    let (layout, ..) = layout();
    let mut columns = Columns::new(Arc::clone(&layout));
    push_row(&mut columns, 3);
    push_row(&mut columns, 0);
    push_row(&mut columns, 1);
    let arrays = columns.finish();
    for (array, feature) in arrays.iter().zip(layout.features()) {
        assert_eq!(*array.data_type(), feature.arrow_type(), "{}", feature.name);
    }
    let x: &ListArray = arrays[0].as_list();
    assert_eq!(x.value(0).as_any().downcast_ref::<Float64Array>().unwrap().values(), &[0.0, 1.0, 2.0]);
    assert_eq!(x.value(1).len(), 0);
    let tags: &ListArray = arrays[1].as_list();
    let of_third_point = tags.value(0).as_list::<i32>().value(2);
    assert_eq!(of_third_point.as_any().downcast_ref::<StringArray>().unwrap().len(), 2);
    let offset: &FixedSizeListArray = arrays[3].as_fixed_size_list();
    assert!(offset.is_null(1) && offset.is_valid(0));
    assert_eq!(columns.n_rows(), 0);
}

#[test]
fn an_aborted_row_leaves_no_trace() {
    let (layout, points, tags, [x, tag, flag, _]) = layout();
    let mut whole = Columns::new(Arc::clone(&layout));
    let mut torn = Columns::new(layout);
    for n_points in [2, 0, 3] {
        push_row(&mut whole, n_points);
        push_row(&mut torn, n_points);
        torn.push_len(points, 5);
        torn.push_le(x, &1.0f64.to_le_bytes());
        torn.push_len(tags, 2);
        torn.push_bytes(tag, b"half");
        torn.push_bool(flag, true);
        torn.abort_row();
    }
    assert_eq!(whole.finish(), torn.finish());
}

#[test]
fn media_are_structs_of_bytes_and_path() {
    let mut layout = Layout::default();
    let mut feature = Feature::new("data", DType::UInt8, vec![]);
    feature.storage = Storage::EncodedMedia;
    let data = layout.leaf(feature.clone(), &[]);
    let mut columns = Columns::new(Arc::new(layout));
    columns.push_bytes(data, b"\xff\xd8jpeg");
    columns.edit_last_bytes(data, |bytes| {
        bytes[2] = b'J';
        4
    });
    columns.end_row();
    let arrays = columns.finish();
    let rows: &StructArray = arrays[0].as_struct();
    assert_eq!(rows.column(0).as_binary::<i32>().value(0), b"\xff\xd8Jp");
    assert!(rows.column(1).is_null(0));
    assert_eq!(Feature::from_arrow(&feature.arrow_field()), Some(feature));
}

#[test]
fn a_list_inside_a_list_may_be_absent() {
    let mut layout = Layout::default();
    let outer = layout.list(&[], false);
    let inner = layout.list(&[Level::List(outer)], true);
    let levels = [Level::List(outer), Level::List(inner)];
    let leaf =
        layout.leaf(Feature::new("joints.gains", DType::Int32, Layout::shape(&levels)).nullable(), &levels);
    let layout = Arc::new(layout);
    let mut columns = Columns::new(Arc::clone(&layout));
    columns.push_len(outer, 2);
    columns.push_null_list(inner);
    columns.push_len(inner, 1);
    columns.push_le(leaf, &7i32.to_le_bytes());
    columns.push_valid(leaf);
    columns.end_row();
    let arrays = columns.finish();
    assert_eq!(*arrays[0].data_type(), layout.feature(leaf).arrow_type());
    let joints = arrays[0].as_list::<i32>().value(0);
    assert!(joints.is_null(0) && joints.is_valid(1));
}

/// Two stacks of two frames, of which the second is absent, and a ragged list whose second item is.
#[test]
fn media_lie_in_lists() {
    let mut layout = Layout::default();
    let media = |name: &str, storage, lists: &[Dim]| {
        let feature = Feature::new(name, DType::UInt8, vec![]).in_lists(lists.to_vec()).nullable();
        Feature { storage, ..feature }
    };
    let stack = layout.leaf(media("stack", Storage::EncodedMedia, &[Dim::Fixed(2)]), &[Level::Fixed(2)]);
    let list = layout.list(&[], false);
    let levels = [Level::List(list)];
    let images = layout.leaf(media("images", Storage::EncodedMedia, &[Dim::Variable]), &levels);
    let raw = layout.leaf(media("raw", Storage::RawMedia, &[Dim::Variable]), &levels);
    let layout = Arc::new(layout);
    let mut columns = Columns::new(Arc::clone(&layout));
    for row in 0..2 {
        match row {
            0 => {
                [b"one", b"two"].iter().for_each(|it| columns.push_bytes(stack, *it));
                columns.push_valid(stack);
            }
            _ => columns.push_null(stack),
        }
        columns.push_len(list, row + 1);
        for id in [images, raw] {
            columns.push_bytes(id, b"first");
            columns.push_valid(id);
            (0..row).for_each(|_| columns.push_null(id));
        }
        columns.end_row();
    }
    let arrays = columns.finish();
    for (array, feature) in arrays.iter().zip(layout.features()) {
        assert_eq!(*array.data_type(), feature.arrow_type(), "{}", feature.name);
        assert_eq!(Feature::from_arrow(&feature.arrow_field()).as_ref(), Some(feature));
    }
    let stacks = arrays[0].as_fixed_size_list();
    let frames = stacks.value(0);
    let frames = frames.as_struct().column(0).as_binary::<i32>();
    assert_eq!((frames.value(0), frames.value(1), stacks.is_null(1)), (&b"one"[..], &b"two"[..], true));
    let second = arrays[1].as_list::<i32>().value(1);
    assert!(second.is_valid(0) && second.is_null(1));
    let second = arrays[2].as_list::<i32>().value(1);
    assert_eq!(second.as_binary::<i32>().value(0), b"first");
    assert!(second.is_null(1));
}

#[test]
fn features_survive_their_arrow_field() {
    for storage in [Storage::Plain, Storage::EncodedMedia, Storage::RawMedia] {
        for dims in [&[][..], &[Dim::Variable], &[Dim::Fixed(4)], &[Dim::Variable, Dim::Fixed(2)]] {
            for nullable in [false, true] {
                let mut feature = Feature::new("x", DType::UInt8, vec![]);
                (feature.storage, feature.nullable) = (storage, nullable);
                match storage {
                    Storage::Plain => feature.shape = dims.to_vec(),
                    Storage::EncodedMedia | Storage::RawMedia => feature.lists = dims.to_vec(),
                }
                assert_eq!(feature.dims(), dims);
                assert_eq!(Feature::from_arrow(&feature.arrow_field()), Some(feature));
            }
        }
    }
}
