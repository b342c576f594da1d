use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, FixedSizeListArray, Float32Array, Float64Array, Int64Array, ListArray,
    StringArray, UInt64Array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field};
use expect_test::{Expect, expect};
use nodedata_core::Dim;
use proptest::prelude::*;

use super::*;

fn measure(feature: &Feature, batches: &[ArrayRef]) -> FeatureSummary {
    let mut stats = FeatureStats::new(feature);
    batches.iter().for_each(|it| stats.update(it));
    stats.finish()
}

fn json(summary: &FeatureSummary) -> String {
    serde_json::to_string(summary).unwrap()
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "calls read better without a reference")]
fn check(feature: &Feature, column: ArrayRef, expected: Expect) {
    let summary = serde_json::to_string_pretty(&measure(feature, &[column])).unwrap();
    // Arrays on one line.
    let mut lines = String::new();
    let mut depth = 0;
    for line in summary.lines() {
        let line = if depth > 0 { line.trim_start() } else { line };
        lines.push_str(line);
        depth += line.matches('[').count();
        depth -= line.matches(']').count();
        lines.push(if depth > 0 { ' ' } else { '\n' });
    }
    expected.assert_eq(&lines);
}

fn plain(dtype: DType, shape: &[Dim]) -> Feature {
    Feature::new("x", dtype, shape.to_vec()).nullable()
}

fn fixed(values: ArrayRef, n: i32, nulls: Option<NullBuffer>) -> ArrayRef {
    let field = Arc::new(Field::new("element", values.data_type().clone(), false));
    Arc::new(FixedSizeListArray::new(field, n, values, nulls))
}

#[test]
fn joints_are_measured_one_by_one() {
    let values = Float64Array::from(vec![1.0, f64::NAN, 3.0, 10.0, 9e9, 9e9, 5.0, f64::INFINITY]);
    let nulls = NullBuffer::from(vec![true, true, false, true]);
    check(
        &plain(DType::Float64, &[Dim::Fixed(2)]),
        fixed(Arc::new(values), 2, Some(nulls)),
        expect![[r#"
        {
          "count": 4,
          "null_count": 1,
          "finite_count": 4,
          "nan_count": 1,
          "inf_count": 1,
          "min": 1.0,
          "max": 10.0,
          "mean": 4.75,
          "std": 3.344772040064913,
          "q01": 1.06,
          "q10": 1.6,
          "q50": 4.0,
          "q90": 8.5,
          "q99": 9.849999999999998,
          "quantiles_exact": true,
          "per_element": {
            "finite_count": [ 3, 1 ],
            "nan_count": [ 0, 1 ],
            "inf_count": [ 0, 1 ],
            "min": [ 1.0, 10.0 ],
            "max": [ 5.0, 10.0 ],
            "mean": [ 3.0, 10.0 ],
            "std": [ 1.632993161855452, 0.0 ],
            "q01": [ 1.04, 10.0 ],
            "q10": [ 1.4000000000000001, 10.0 ],
            "q50": [ 3.0, 10.0 ],
            "q90": [ 4.6, 10.0 ],
            "q99": [ 4.960000000000001, 10.0 ]
          }
        }
    "#]],
    );
}

#[test]
fn integers_stay_exact() {
    let column = UInt64Array::from(vec![u64::MAX, u64::MAX - 1, 9_007_199_254_740_993]);
    check(
        &plain(DType::UInt64, &[]),
        Arc::new(column),
        expect![[r#"
        {
          "count": 3,
          "null_count": 0,
          "finite_count": 3,
          "min": 9007199254740993,
          "max": 18446744073709551615,
          "mean": 1.2300831782224615e+19,
          "std": 8.691632515773505e+18,
          "q01": 3.777619367438372e+17,
          "q10": 3.6965545741457034e+18,
          "q50": 1.8446744073709552e+19,
          "q90": 1.8446744073709552e+19,
          "q99": 1.8446744073709552e+19,
          "quantiles_exact": true
        }
    "#]],
    );
}

#[test]
fn bools_are_zeros_and_ones() {
    let column = arrow_array::BooleanArray::from(vec![Some(true), None, Some(false), Some(true), Some(true)]);
    check(
        &plain(DType::Bool, &[]),
        Arc::new(column),
        expect![[r#"
        {
          "count": 5,
          "null_count": 1,
          "finite_count": 4,
          "min": 0,
          "max": 1,
          "mean": 0.75,
          "std": 0.4330127018922193,
          "q01": 0.03,
          "q10": 0.30000000000000004,
          "q50": 1.0,
          "q90": 1.0,
          "q99": 1.0,
          "quantiles_exact": true
        }
    "#]],
    );
}

#[test]
fn lists_of_other_lengths_are_pooled() {
    let rows = vec![
        Some(vec![Some(1), Some(2)]),
        None,
        Some(vec![Some(3), None]),
        Some(vec![]),
        Some(vec![Some(4)]),
    ];
    let column = ListArray::from_iter_primitive::<Int64Type, _, _>(rows);
    check(
        &plain(DType::Int64, &[Dim::Variable]),
        Arc::new(column),
        expect![[r#"
        {
          "count": 5,
          "null_count": 1,
          "null_item_count": 1,
          "lengths": [ { "min": 0, "max": 2 } ],
          "finite_count": 4,
          "min": 1,
          "max": 4,
          "mean": 2.5,
          "std": 1.118033988749895,
          "q01": 1.03,
          "q10": 1.3,
          "q50": 2.5,
          "q90": 3.7,
          "q99": 3.9699999999999998,
          "quantiles_exact": true
        }
    "#]],
    );
}

#[test]
fn text_is_listed_while_it_is_little() {
    let column =
        StringArray::from(vec![Some("pick"), Some("pick"), None, Some("place"), Some("pick"), Some("")]);
    check(
        &plain(DType::String, &[]),
        Arc::new(column),
        expect![[r#"
        {
          "count": 6,
          "null_count": 1,
          "value_count": 5,
          "total_bytes": 17,
          "min_bytes": 0,
          "max_bytes": 5,
          "distinct": {
            "": 1,
            "pick": 3,
            "place": 1
          }
        }
    "#]],
    );
    let many = StringArray::from_iter_values((0..65).map(|it| it.to_string()));
    assert_eq!(measure(&plain(DType::String, &[]), &[Arc::new(many)]).texts.unwrap().distinct, None);
    let bytes = BinaryArray::from_vec(vec![b"\xff\xd8", b"\xff\xd8\xff"]);
    check(
        &plain(DType::Bytes, &[]),
        Arc::new(bytes),
        expect![[r#"
        {
          "count": 2,
          "null_count": 0,
          "value_count": 2,
          "total_bytes": 5,
          "min_bytes": 2,
          "max_bytes": 3
        }
    "#]],
    );
}

#[test]
fn media_in_lists_are_measured_by_frame_and_their_lists_by_length() {
    let mut feature = Feature::new("images", DType::UInt8, vec![]).in_lists(vec![Dim::Variable]).nullable();
    feature.storage = nodedata_core::Storage::RawMedia;
    let frames = BinaryArray::from_iter([Some(&b"abc"[..]), None, Some(b"a")]);
    let field = Arc::new(Field::new("element", DataType::Binary, true));
    let offsets = arrow_buffer::OffsetBuffer::from_lengths([2, 0, 0, 1]);
    let nulls = NullBuffer::from(vec![true, true, false, true]);
    let lists = ListArray::new(field, offsets, Arc::new(frames), Some(nulls));
    check(
        &feature,
        Arc::new(lists),
        expect![[r#"
        {
          "count": 4,
          "null_count": 1,
          "null_item_count": 1,
          "lengths": [ { "min": 0, "max": 2 } ],
          "value_count": 2,
          "total_bytes": 4,
          "min_bytes": 1,
          "max_bytes": 3
        }
    "#]],
    );
}

#[test]
fn without_rows_or_values_nothing_is_claimed() {
    let empty = Float64Array::from(Vec::<f64>::new());
    check(
        &plain(DType::Float64, &[]),
        Arc::new(empty),
        expect![[r#"
        {
          "count": 0,
          "null_count": 0
        }
    "#]],
    );
    let all_nan = Float64Array::from(vec![f64::NAN; 2]);
    check(
        &plain(DType::Float64, &[]),
        Arc::new(all_nan),
        expect![[r#"
        {
          "count": 2,
          "null_count": 0,
          "finite_count": 0,
          "nan_count": 2,
          "inf_count": 0,
          "min": null,
          "max": null,
          "mean": null,
          "std": null,
          "q01": null,
          "q10": null,
          "q50": null,
          "q90": null,
          "q99": null,
          "quantiles_exact": true
        }
    "#]],
    );
}

/// Sums of squares would lose everything here: nanosecond stamps of this century, a millisecond apart.
#[test]
fn great_offsets_do_not_cancel() {
    let n = 100_000i64;
    let stamps = Int64Array::from_iter_values((0..n).map(|it| 1_790_000_000_000_000_000 + it * 1_000_000));
    let values = measure(&plain(DType::Int64, &[]), &[Arc::new(stamps)]).values.unwrap();
    let expected = 1e6 * (((n * n - 1) as f64) / 12.0).sqrt();
    assert!((values.std.as_f64().unwrap() / expected - 1.0).abs() < 1e-9, "{}", values.std);
    // An outlier in front, then small noise around a great offset.
    let noise = (0..100_000).map(|it| if it == 0 { 0.0 } else { 1e9 + f64::from(it % 2) });
    let column = Float64Array::from_iter_values(noise.clone());
    let values = measure(&plain(DType::Float64, &[]), &[Arc::new(column)]).values.unwrap();
    let mean = noise.clone().sum::<f64>() / 1e5;
    let expected = (noise.map(|it| (it - mean) * (it - mean)).sum::<f64>() / 1e5).sqrt();
    assert!((values.std.as_f64().unwrap() / expected - 1.0).abs() < 1e-9, "{}", values.std);

    // Nothing finite in front: the first number there is takes its place.
    for first in [f64::INFINITY, f64::NAN] {
        let noise = (0..4000).map(|it| if it == 0 { first } else { 1e9 + f64::from(it % 2) });
        let values =
            measure(&plain(DType::Float64, &[]), &[Arc::new(Float64Array::from_iter_values(noise))]).values;
        let std = values.unwrap().std.as_f64().unwrap();
        assert!((std - 0.5).abs() < 1e-4, "{std}");
    }
}

#[test]
fn a_list_and_a_fixed_list_of_one_length_agree() {
    let rows = 10_000;
    let values: Vec<f32> = (0..rows * 7).map(|it| (it as f32 * 0.37).sin()).collect();
    let list = ListArray::from_iter_primitive::<Float32Type, _, _>(
        values.chunks(7).map(|row| Some(row.iter().map(|it| Some(*it)).collect::<Vec<_>>())),
    );
    let column = fixed(Arc::new(Float32Array::from(values)), 7, None);
    let mut of_list = measure(&plain(DType::Float32, &[Dim::Variable]), &[Arc::new(list)]);
    let of_fixed = measure(&plain(DType::Float32, &[Dim::Fixed(7)]), &[column]);
    assert_eq!(of_list.lengths, [Some(Range { min: 7, max: 7 })]);
    assert_eq!(of_fixed.values.as_ref().unwrap().quantiles_exact, Value::Bool(false));
    let median = of_fixed.values.as_ref().unwrap().q50.as_f64().unwrap();
    assert!(median.abs() < 0.02, "{median}");
    of_list.lengths.clear();
    assert_eq!(of_list, of_fixed);
}

/// Rows over several blocks, with whatever may change the way they are summed.
fn any_rows() -> impl Strategy<Value = Vec<Option<Vec<Option<f64>>>>> {
    (1usize..4, 0usize..12_000, any::<u32>(), 0usize..4).prop_map(|(n_items, n_rows, seed, trouble)| {
        let mut state = u64::from(seed) | 1;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let odd_row = next() as usize % 20_000;
        let mut row = |idx: usize| {
            let n_items = if trouble == 1 && idx == odd_row { n_items + 1 } else { n_items };
            let mut item = || match next() % 1000 {
                0 if trouble == 2 => None,
                1 => Some(f64::NAN),
                2 => Some(f64::INFINITY),
                other => Some(1e6 + other as f64 / 7.0),
            };
            let items = (0..n_items).map(|_| item()).collect();
            (trouble != 3 || next() % 500 != 0).then_some(items)
        };
        (0..n_rows).map(&mut row).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn batches_do_not_matter_and_counts_are_right(
        rows in any_rows(),
        cuts in proptest::collection::vec(0usize..13_000, 0..6),
    ) {
        let feature = plain(DType::Float64, &[Dim::Variable]);
        let column = ListArray::from_iter_primitive::<Float64Type, _, _>(rows.clone());
        let whole = measure(&feature, &[Arc::new(column.clone())]);
        let mut cuts: Vec<usize> = cuts.iter().map(|it| it % (rows.len() + 1)).collect();
        cuts.extend([0, rows.len()]);
        cuts.sort_unstable();
        let pieces: Vec<ArrayRef> =
            cuts.windows(2).map(|it| Arc::new(column.slice(it[0], it[1] - it[0])) as ArrayRef).collect();
        prop_assert_eq!(json(&measure(&feature, &pieces)), json(&whole));

        let items: Vec<f64> = rows.iter().flatten().flatten().flatten().copied().collect();
        let finite: Vec<f64> = items.iter().copied().filter(|it| it.is_finite()).collect();
        let Some(values) = whole.values else { return Ok(()) };
        prop_assert_eq!(values.finite_count.as_u64(), Some(finite.len() as u64));
        prop_assert_eq!(values.nan_count.as_u64(), Some(items.iter().filter(|it| it.is_nan()).count() as u64));
        if finite.is_empty() {
            return Ok(());
        }
        prop_assert_eq!(values.min.as_f64(), finite.iter().copied().reduce(f64::min));
        prop_assert_eq!(values.max.as_f64(), finite.iter().copied().reduce(f64::max));
        let mean = finite.iter().map(|it| it - 1e6).sum::<f64>() / finite.len() as f64;
        prop_assert!((values.mean.as_f64().unwrap() - 1e6 - mean).abs() < 1e-6);
        let variance = finite.iter().map(|it| (it - 1e6 - mean).powi(2)).sum::<f64>() / finite.len() as f64;
        prop_assert!((values.std.as_f64().unwrap() - variance.sqrt()).abs() < 1e-6);
    }
}

#[test]
fn a_matrix_keeps_its_shape() {
    let inner = fixed(Arc::new(Float32Array::from_iter_values((0..12).map(|it| it as f32))), 3, None);
    let summary = measure(&plain(DType::Float32, &[Dim::Fixed(2), Dim::Fixed(3)]), &[fixed(inner, 2, None)]);
    assert_eq!(summary.per_element.unwrap().max, serde_json::json!([[6.0, 7.0, 8.0], [9.0, 10.0, 11.0]]));
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), Some(2)])]);
    let field = Arc::new(Field::new("element", DataType::new_list(DataType::Int64, true), true));
    let offsets = arrow_buffer::OffsetBuffer::from_lengths([1]);
    let nested = ListArray::new(field, offsets, Arc::new(lists), None);
    let summary = measure(&plain(DType::Int64, &[Dim::Variable, Dim::Variable]), &[Arc::new(nested)]);
    assert_eq!(summary.lengths, [Some(Range { min: 1, max: 1 }), Some(Range { min: 2, max: 2 })]);
    assert_eq!(summary.values.unwrap().finite_count, 2);
    assert!(summary.per_element.is_none());
}

#[test]
fn bytes_summed_in_registers_agree_with_plain_sums() {
    for n_items in [1, 3, 40, 100, 5000] {
        let values: Vec<u8> = (0..20_000u32).map(|it| (it.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let n = values.len() / n_items * n_items;
        let (mean, all) = (values[..n].iter().map(|it| f64::from(*it)).sum::<f64>() / n as f64, &values[..n]);
        let variance = all.iter().map(|it| (f64::from(*it) - mean).powi(2)).sum::<f64>() / n as f64;
        let column = fixed(
            Arc::new(arrow_array::UInt8Array::from(all.to_vec())),
            i32::try_from(n_items).unwrap(),
            None,
        );
        let summary = measure(&plain(DType::UInt8, &[Dim::Variable]), &[column]).values.unwrap();
        assert!((summary.mean.as_f64().unwrap() - mean).abs() < 1e-9, "{n_items}: {}", summary.mean);
        assert!((summary.std.as_f64().unwrap() - variance.sqrt()).abs() < 1e-9, "{n_items}: {}", summary.std);
        assert_eq!(summary.max, *all.iter().max().unwrap());
        assert_eq!(summary.min, *all.iter().min().unwrap());
    }
}
