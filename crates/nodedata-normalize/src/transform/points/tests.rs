use arrow_array::{
    BooleanArray, UInt8Array, UInt32Array,
    builder::{ListBuilder, StringBuilder, UInt8Builder, UInt32Builder},
    types::Float32Type,
};
use nodedata_core::Nested;

use super::*;

/// A cloud as a message has it.
#[derive(Clone)]
struct Message {
    height: u32,
    width: u32,
    point_step: u32,
    row_step: u32,
    is_bigendian: bool,
    /// Name, offset, type, count.
    fields: Vec<(&'static str, u32, u8, u32)>,
    data: Vec<u8>,
}

/// Four points of x (float32), ring (uint16) and t (float64), two bytes in between.
fn cloud(height: u32, width: u32) -> Message {
    let n = height * width;
    let point = |it: u32| {
        let ring = u16::try_from(it).unwrap() * 7;
        [
            &(it as f32 + 0.5).to_le_bytes()[..],
            &ring.to_le_bytes(),
            &[0xff; 2],
            &(f64::from(it) * 0.1).to_le_bytes(),
        ]
        .concat()
    };
    Message {
        height,
        width,
        point_step: 16,
        row_step: 16 * width,
        is_bigendian: false,
        fields: vec![("x", 0, 7, 1), ("ring", 4, 4, 1), ("t", 8, 8, 1)],
        data: (0..n).flat_map(point).collect(),
    }
}

fn columns(messages: &[Message]) -> (ArrayRef, Vec<ArrayRef>) {
    let bytes: BinaryArray = messages.iter().map(|it| Some(it.data.as_slice())).collect();
    let sizes = |of: fn(&Message) -> u32| -> ArrayRef {
        Arc::new(messages.iter().map(|it| Some(of(it))).collect::<UInt32Array>())
    };
    let mut names = ListBuilder::new(StringBuilder::new());
    let mut datatypes = ListBuilder::new(UInt8Builder::new());
    let (mut offsets, mut counts) =
        (ListBuilder::new(UInt32Builder::new()), ListBuilder::new(UInt32Builder::new()));
    for message in messages {
        for (name, offset, datatype, count) in &message.fields {
            names.values().append_value(name);
            offsets.values().append_value(*offset);
            datatypes.values().append_value(*datatype);
            counts.values().append_value(*count);
        }
        names.append(true);
        offsets.append(true);
        datatypes.append(true);
        counts.append(true);
    }
    let big: BooleanArray = messages.iter().map(|it| Some(it.is_bigendian)).collect();
    let beside: Vec<ArrayRef> = vec![
        sizes(|it| it.height),
        sizes(|it| it.width),
        sizes(|it| it.point_step),
        sizes(|it| it.row_step),
        Arc::new(big),
        Arc::new(names.finish()),
        Arc::new(offsets.finish()),
        Arc::new(datatypes.finish()),
        Arc::new(counts.finish()),
    ];
    (Arc::new(bytes), beside)
}

fn points(fields: &[&str], max: Option<u32>, fill: bool) -> Points {
    let fields: Vec<String> = fields.iter().map(|it| (*it).to_owned()).collect();
    Points::new(&fields, max, fill, &Feature::new("cloud", DType::Bytes, Vec::new()).nullable())
}

fn made(points: &Points, messages: &[Message]) -> Result<Vec<Vec<f32>>, Misfit> {
    let (bytes, beside) = columns(messages);
    let column = points.apply(&bytes, &beside.iter().collect::<Vec<_>>())?;
    assert_eq!(*column.data_type(), points.feature.arrow_type());
    let row = |it: usize| {
        let row = Nested::of(column.slice(it, 1).as_ref());
        row.values.as_primitive::<Float32Type>().values().to_vec()
    };
    Ok((0..column.len()).map(row).collect())
}

#[test]
fn fields_come_in_the_order_asked_for_whatever_their_types() {
    let all = points(&["t", "x", "ring"], None, false);
    assert_eq!(all.feature.shape, [Dim::Variable, Dim::Fixed(3)]);
    assert_eq!(all.feature.metadata[meta::NAMES], r#"["t","x","ring"]"#);
    let found = made(&all, &[cloud(1, 2), cloud(2, 2), cloud(1, 0)]).unwrap();
    assert_eq!(found[0], [0.0, 0.5, 0.0, 0.1f64 as f32, 1.5, 7.0]);
    assert_eq!(found[1][9..], [(3.0f64 * 0.1) as f32, 3.5, 21.0]);
    assert!(found[2].is_empty());
}

#[test]
fn rows_may_be_padded_and_bytes_the_other_way_round() {
    let mut padded = cloud(2, 2);
    padded.data.splice(32..32, [9; 8]);
    padded.row_step = 40;
    let mut swapped = cloud(1, 2);
    for point in swapped.data.chunks_exact_mut(16) {
        point[..4].reverse();
        point[4..6].reverse();
        point[8..].reverse();
    }
    swapped.is_bigendian = true;
    let found = made(&points(&["x"], None, false), &[padded, swapped]).unwrap();
    assert_eq!(found, [vec![0.5, 1.5, 2.5, 3.5], vec![0.5, 1.5]]);
}

#[test]
fn of_many_points_some_are_taken_evenly_and_few_are_filled_up() {
    let some = made(&points(&["x"], Some(3), false), &[cloud(1, 10), cloud(1, 2)]).unwrap();
    assert_eq!(some, [vec![0.5, 3.5, 6.5], vec![0.5, 1.5]]);
    let dense = points(&["x", "ring"], Some(3), true);
    assert_eq!(dense.feature.shape, [Dim::Fixed(3), Dim::Fixed(2)]);
    let found = made(&dense, &[cloud(1, 10), cloud(1, 2)]).unwrap();
    assert_eq!(found[0], [0.5, 0.0, 3.5, 21.0, 6.5, 42.0]);
    assert_eq!(found[1][..4], [0.5, 0.0, 1.5, 7.0]);
    assert!(found[1][4..].iter().all(|it| it.is_nan()));
}

#[test]
fn clouds_that_do_not_say_what_their_bytes_are_are_refused_with_their_row() {
    let refused = |change: fn(&mut Message), told: &str| {
        let mut message = cloud(2, 2);
        change(&mut message);
        let misfit = made(&points(&["x", "t"], None, false), &[cloud(1, 1), message]).unwrap_err();
        assert_eq!(misfit.idx, 1);
        assert!(misfit.message.contains(told), "{}", misfit.message);
    };
    refused(|it| it.fields[0].0 = "X", "no field `x`: did you mean `X`?");
    refused(|it| it.fields[2].1 = 9, "does not lie in the 16 bytes");
    refused(|it| it.fields[2].2 = 9, "of the type 9");
    refused(|it| it.fields[0].3 = 2, "is 2 values");
    refused(|it| it.data.truncate(63), "63 bytes are no cloud of 2 × 2");
    refused(|it| it.point_step = u32::MAX, "no cloud");
    refused(|it| it.row_step = 16, "no cloud");
    refused(|it| (it.height, it.width) = (u32::MAX, u32::MAX), "no cloud");
    refused(|it| it.point_step = 0, "no cloud");
}

#[test]
fn a_step_without_a_cloud_has_no_points() {
    let (_, beside) = columns(&[cloud(1, 1), cloud(1, 1)]);
    let data = cloud(1, 1).data;
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![None, Some(data.as_slice())]));
    for points in [points(&["x"], None, false), points(&["x"], Some(2), true)] {
        let column = points.apply(&bytes, &beside.iter().collect::<Vec<_>>()).unwrap();
        assert!(column.is_null(0) && column.is_valid(1));
    }
    let flags: ArrayRef = Arc::new(UInt8Array::from(vec![0, 0]));
    let with_bytes: Vec<&ArrayRef> =
        beside.iter().enumerate().map(|(idx, it)| if idx == 4 { &flags } else { it }).collect();
    assert!(points(&["x"], None, false).apply(&bytes, &with_bytes).is_ok());
}
