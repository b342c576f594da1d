use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use nodedata_core::DType;
use nodedata_reader::{Data, Ragged, Tensor};

use super::*;
use crate::{
    Pad, Window,
    engine::{batch_memory::BatchMemory, layout::PlacedField},
};

/// Rows whose values are their steps: a tensor of two, a ragged column of as many as the step says, text.
fn rows(steps: Range<u64>) -> Rows {
    let two = |step: u64| [step as f32, step as f32 + 0.5];
    let bytes = steps.clone().flat_map(two).flat_map(f32::to_le_bytes).collect::<Vec<u8>>().into();
    let tensor = Tensor { dtype: DType::Float32, shape: vec![2], bytes };
    let mut offsets = vec![0];
    let mut items = Vec::new();
    for step in steps.clone() {
        items.extend((0..step).flat_map(|_| (step as u16).to_le_bytes()));
        offsets.push(items.len() as u64 / 2);
    }
    let values = Tensor { dtype: DType::UInt16, shape: vec![], bytes: items.into() };
    let texts = steps.clone().map(|it| it.to_string()).collect();
    let raw = steps.clone().map(|it| Bytes::from(it.to_le_bytes().to_vec())).collect();
    let column = |name: &str, data, valid| Column { name: name.into(), data, valid };
    // Odd steps are null.
    let valid = steps.clone().map(|it| it % 2 == 0).collect();
    let columns = vec![
        column("state", Data::Tensor(tensor), Some(valid)),
        column("points", Data::Ragged(Ragged { values, offsets }), None),
        column("text", Data::Text(texts), None),
        column("raw", Data::Bytes(raw), None),
    ];
    Rows { n_rows: (steps.end - steps.start) as usize, columns }
}

fn layout(window: Option<&[i64]>, pad: Pad) -> Layout {
    let window = window.map(|it| Window::of_steps(it.iter().copied()).unwrap());
    let unit = if window.is_some() { Unit::Step } else { Unit::Episode };
    let (fields, placed) = (vec![2, 0, 1, 3], vec![PlacedField { name: "state".into(), row_bytes: 8 }]);
    let part = Part { window, fields, fixed_bytes: 8, varies: true, placed };
    Layout { lengths: Arc::new([10]), unit, parts: vec![part], pad, coded_bytes: 1 }
}

/// The fields of a sample of the steps, in pieces.
fn sample(layout: &Layout, steps: Range<u64>, pieces: &[(usize, Range<u64>)]) -> Result<Vec<SampleField>> {
    let located = Located { episode: 0, steps };
    let mut assembly = Assembly::new(layout, 10_000);
    for (piece, steps) in pieces {
        assembly.add(*piece, vec![(0, rows(steps.clone()))], layout, &located)?;
    }
    assembly.finish(layout, &located)
}

/// Rows of a piece whose states were decoded to where they are wanted.
fn placed(assembly: &mut Assembly, steps: Range<u64>, layout: &Layout, located: &Located) -> Rows {
    let wanted = Wanted { part: 0, episode: 0, steps: steps.clone() };
    let rooms = assembly.rooms(&[wanted], layout, located).unwrap();
    let mut rows = rows(steps);
    let Data::Tensor(tensor) = &mut rows.columns[0].data else { panic!("{rows:?}") };
    let mut room = rooms[0].take("state", tensor.bytes.len()).unwrap();
    room.copy_from_slice(&tensor.bytes);
    tensor.bytes = room;
    rows
}

fn floats(field: &SampleField) -> Vec<f32> {
    let Data::Tensor(tensor) = &field.column.data else { panic!("{field:?}") };
    let all = tensor.bytes.chunks_exact(4).map(|it| f32::from_le_bytes(it.try_into().unwrap()));
    // The first of each row.
    all.step_by(2).collect()
}

#[test]
fn pieces_come_in_any_order() {
    let layout = layout(None, Pad::Edge);
    let whole = sample(&layout, 0..9, &[(0, 0..9)]).unwrap();
    for pieces in [[(0, 0..4), (1, 4..6), (2, 6..9)], [(2, 6..9), (0, 0..4), (1, 4..6)]] {
        assert_eq!(sample(&layout, 0..9, &pieces).unwrap(), whole);
    }
    let names: Vec<&str> = whole.iter().map(|it| &*it.column.name).collect();
    assert_eq!(names, ["points", "text", "state", "raw"], "as they were asked for");
    assert!(whole.iter().all(|it| it.n_rows == 9 && it.pad.is_none()));
    let expected = rows(0..9);
    assert_eq!(whole[2].column, expected.columns[0]);
    assert_eq!(whole[0].column, expected.columns[1]);
}

#[test]
fn windows_take_rows_in_their_order() {
    let layout = layout(Some(&[2, 0, 0, -1]), Pad::Edge);
    let fields = sample(&layout, 4..5, &[(0, 3..5), (1, 6..7)]).unwrap();
    assert_eq!(floats(&fields[2]), [6.0, 4.0, 4.0, 3.0]);
    assert_eq!(fields[2].column.valid, Some(vec![true, true, true, false]));
    assert_eq!(fields[2].pad, Some(vec![false; 4]));
    assert_eq!(fields[1].column.data, Data::Text(["6", "4", "4", "3"].map(str::to_owned).to_vec()));
}

/// Those of a whole episode, whoever comes first: they are not copied once they are decoded.
#[test]
fn pieces_of_an_episode_lie_side_by_side() {
    let layout = layout(None, Pad::Edge);
    let located = Located { episode: 0, steps: 2..9 };
    let mut assembly = Assembly::new(&layout, 10_000);
    let mut addresses = Vec::new();
    for (piece, steps) in [(1, 5..9), (0, 2..5)] {
        let rows = placed(&mut assembly, steps, &layout, &located);
        let Data::Tensor(tensor) = &rows.columns[0].data else { panic!("{rows:?}") };
        addresses.push(tensor.bytes.as_ptr());
        assembly.add(piece, vec![(0, rows)], &layout, &located).unwrap();
    }
    let fields = assembly.finish(&layout, &located).unwrap();
    assert_eq!(fields, sample(&layout, 2..9, &[(0, 2..9)]).unwrap());
    let Data::Tensor(tensor) = &fields[2].column.data else { panic!("{fields:?}") };
    assert_eq!(tensor.bytes.as_ptr(), addresses[1]);
}

/// As two of a batch: what is put to its place there is neither another one's, nor copied.
#[test]
fn rows_lie_where_the_batch_wants_them() {
    for pad in [Pad::Edge, Pad::Zero, Pad::Nan] {
        let layout = layout(Some(&[-2, -1, 0, 1]), pad);
        let memory = Arc::new(BatchMemory::new(layout.placed(), 2));
        let made = |at: usize, step: u64, steps: Range<u64>| {
            let located = Located { episode: 0, steps: step..step + 1 };
            let mut assembly = Assembly::new(&layout, 10_000);
            assembly.sit(Seat::new(&memory, at));
            let rows = placed(&mut assembly, steps, &layout, &located);
            assembly.add(0, vec![(0, rows)], &layout, &located).unwrap();
            assembly.finish(&layout, &located).unwrap()
        };
        // At the beginning of the episode of ten steps, and at its end.
        let (mut first, mut last) = (made(0, 1, 0..3), made(1, 9, 7..10));
        for (fields, step, steps) in [(&first, 1, 0..3), (&last, 9, 7..10)] {
            let expected = sample(&layout, step..step + 1, &[(0, steps)]).unwrap();
            assert_eq!(bare(fields), bare(&expected));
        }
        let [first, last] = [&mut first, &mut last].map(|fields| {
            let Data::Tensor(tensor) = &mut fields[2].column.data else { panic!("{fields:?}") };
            std::mem::take(&mut tensor.bytes)
        });
        let address = first.as_ptr();
        let whole = Memory::joined(vec![first, last]).unwrap();
        assert_eq!((whole.len(), whole.as_ptr()), (2 * 4 * 8, address));
    }
}

/// What fields hold, as text: NaN is like no other.
fn bare(fields: &[SampleField]) -> Vec<String> {
    let values = |it: &SampleField| match &it.column.data {
        Data::Tensor(tensor) => format!("{:?}", &tensor.bytes[..]),
        other => format!("{other:?}"),
    };
    fields.iter().map(|it| format!("{} {:?} {:?}", values(it), it.column.valid, it.pad)).collect()
}

#[test]
fn edges_are_told() {
    let layout = layout(Some(&[-2, -1, 0, 1]), Pad::Edge);
    let fields = sample(&layout, 1..2, &[(0, 0..3)]).unwrap();
    assert_eq!(floats(&fields[2]), [0.0, 0.0, 1.0, 2.0]);
    assert_eq!(fields[2].pad, Some(vec![true, false, false, false]));
}

#[test]
fn blanks_have_no_value_of_any_step() {
    let layout = layout(Some(&[-2, 0, 9]), Pad::Zero);
    let fields = sample(&layout, 1..2, &[(0, 1..2)]).unwrap();
    assert_eq!(floats(&fields[2]), [0.0, 1.0, 0.0]);
    assert_eq!(fields[2].pad, Some(vec![true, false, true]));
    assert_eq!(fields[2].column.valid, Some(vec![true, false, true]));
    let Data::Ragged(ragged) = &fields[0].column.data else { panic!() };
    assert_eq!((ragged.offsets.as_slice(), ragged.values.bytes.len()), (&[0, 0, 1, 1][..], 2));
    assert_eq!(fields[1].column.data, Data::Text(["", "1", ""].map(str::to_owned).to_vec()));
    let Data::Bytes(raw) = &fields[3].column.data else { panic!() };
    assert_eq!(raw.iter().map(Bytes::len).collect::<Vec<_>>(), [0, 8, 0]);
}

#[test]
fn nan_is_of_floats_alone() {
    let mut layout = layout(Some(&[0, 9]), Pad::Nan);
    // Of the other columns none is a tensor.
    let fields = sample(&layout, 1..2, &[(0, 1..2)]).unwrap();
    assert!(floats(&fields[2])[1].is_nan());
    assert!(!floats(&fields[2])[0].is_nan());
    for (dtype, is_nan) in [(DType::Float16, true), (DType::Float64, true), (DType::Int32, false)] {
        let size = dtype.byte_width().unwrap();
        let data = Data::Tensor(Tensor { dtype, shape: vec![], bytes: vec![0; size].into() });
        let mut column = Column { name: "x".into(), data, valid: None };
        assert_eq!(columns::blank(&mut column, &[Slot::Nan]).is_ok(), is_nan, "{dtype:?}");
    }
    layout.pad = Pad::Edge;
    assert!(!floats(&sample(&layout, 1..2, &[(0, 1..2), (1, 9..10)]).unwrap()[2])[1].is_nan());
}

#[test]
fn a_sample_is_no_larger_than_it_may_be() {
    let layout = layout(None, Pad::Edge);
    let located = Located { episode: 0, steps: 0..9 };
    let n_bytes = rows(0..9).n_bytes();
    let add = |bytes_max| {
        let mut assembly = Assembly::new(&layout, bytes_max);
        assembly.add(0, vec![(0, rows(0..4))], &layout, &located)?;
        assembly.add(1, vec![(0, rows(4..9))], &layout, &located)
    };
    // Cut in two it has one offset more.
    add(n_bytes + 8).unwrap();
    let err = add(n_bytes - 1).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Limit);
    let hint = err.hint().unwrap();
    assert!(["unit=\"step\"", "fields=", "resize="].iter().all(|it| hint.contains(it)), "{hint}");
}

#[test]
fn other_rows_than_were_asked_for_are_damage() {
    let layout = layout(None, Pad::Edge);
    assert_eq!(sample(&layout, 0..9, &[(0, 0..8)]).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(sample(&layout, 0..9, &[(1, 0..9)]).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(sample(&layout, 0..9, &[(0, 0..10)]).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_shape_that_changes_is_a_mismatch() {
    let layout = layout(None, Pad::Edge);
    let located = Located { episode: 0, steps: 0..2 };
    let mut other = rows(1..2);
    let Data::Tensor(tensor) = &mut other.columns[0].data else { panic!() };
    tensor.shape = vec![2, 1];
    let mut assembly = Assembly::new(&layout, 10_000);
    assembly.add(0, vec![(0, rows(0..1))], &layout, &located).unwrap();
    let err = assembly.add(1, vec![(0, other)], &layout, &located).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::SchemaMismatch);
    assert_eq!(err.locus().feature.as_deref(), Some("state"));
}
