use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2, PI};

use arrow_array::cast::AsArray;
use nodedata_core::DType;
use proptest::prelude::*;

use super::*;

const ALL: [RotationForm; 6] = [
    RotationForm::QuatXyzw,
    RotationForm::QuatWxyz,
    RotationForm::Rotvec,
    RotationForm::SixColumns,
    RotationForm::SixRows,
    RotationForm::Matrix,
];

fn written(rotation: &[f64], from: RotationForm, to: RotationForm) -> Option<Vec<f64>> {
    let mut into = Vec::new();
    write(rotation, from, to, &mut into).then_some(into)
}

#[track_caller]
fn near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let is_near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9);
    assert!(is_near, "{found:?} is not {expected:?}");
}

/// A quarter turn about z takes x to y: in every form, written out by hand.
#[test]
fn a_quarter_turn_is_what_every_form_says() {
    let h = FRAC_1_SQRT_2;
    let forms: [(RotationForm, &[f64]); 6] = [
        (RotationForm::QuatXyzw, &[0.0, 0.0, h, h]),
        (RotationForm::QuatWxyz, &[h, 0.0, 0.0, h]),
        (RotationForm::Rotvec, &[0.0, 0.0, FRAC_PI_2]),
        (RotationForm::SixColumns, &[0.0, 1.0, 0.0, -1.0, 0.0, 0.0]),
        (RotationForm::SixRows, &[0.0, -1.0, 0.0, 1.0, 0.0, 0.0]),
        (RotationForm::Matrix, &[0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]),
    ];
    for (from, rotation) in forms {
        for (to, expected) in forms {
            near(&written(rotation, from, to).unwrap(), expected);
        }
    }
}

#[test]
fn nothing_and_half_a_turn_are_rotations() {
    for form in ALL {
        let there = written(&[0.0, 0.0, 0.0], RotationForm::Rotvec, form).unwrap();
        near(&written(&there, form, RotationForm::Rotvec).unwrap(), &[0.0; 3]);
        for axis in 0..3 {
            let mut half = [0.0; 3];
            half[axis] = PI;
            let there = written(&half, RotationForm::Rotvec, form).unwrap();
            let back = written(&there, form, RotationForm::Rotvec).unwrap();
            near(&back.iter().map(|it| it.abs()).collect::<Vec<_>>(), &half);
        }
    }
}

#[test]
fn what_is_no_rotation_is_told_and_nan_stays() {
    for form in ALL.into_iter().filter(|it| *it != RotationForm::Rotvec) {
        assert_eq!(written(&vec![0.0; form.width()], form, RotationForm::Rotvec), None, "{form:?}");
    }
    let one_line = [1.0, 0.0, 0.0, 2.0, 0.0, 0.0];
    assert_eq!(written(&one_line, RotationForm::SixColumns, RotationForm::Matrix), None);
    let mirror = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0];
    assert_eq!(written(&mirror, RotationForm::Matrix, RotationForm::QuatXyzw), None);
    let infinite = [f64::INFINITY, 0.0, 0.0, 1.0];
    assert_eq!(written(&infinite, RotationForm::QuatXyzw, RotationForm::Rotvec), None);
    let nan = [0.0, f64::NAN, 0.0, 1.0];
    let found = written(&nan, RotationForm::QuatXyzw, RotationForm::Matrix).unwrap();
    assert!(found.len() == 9 && found.iter().all(|it| it.is_nan()));
}

#[test]
fn a_pose_keeps_its_place_and_its_names() {
    let names = serde_json::json!(["x", "y", "z", "a", "b", "c", "d", "grip"]).to_string();
    let pose = Feature::new("pose", DType::Float32, vec![Dim::Fixed(8)]).with_meta(meta::NAMES, names);
    let forms = (RotationForm::QuatXyzw, RotationForm::Rotvec);
    let rotate = Rotate::new(forms, Some(3), Degenerate::Null, &pose).unwrap();
    assert_eq!(
        (rotate.feature.shape.as_slice(), rotate.feature.nullable),
        ([Dim::Fixed(7)].as_slice(), true)
    );
    assert_eq!(rotate.feature.metadata[meta::NAMES], r#"["x","y","z","rx","ry","rz","grip"]"#);
    let values: ArrayRef = Arc::new(arrow_array::Float32Array::from(vec![
        1.0, 2.0, 3.0, 0.0, 0.0, 2.0, 2.0, 9.0, //
        4.0, 5.0, 6.0, 0.0, 0.0, 0.0, 0.0, 8.0,
    ]));
    let column = Flat { values, starts: Starts::Each(8), valid: None }.into_column(&pose);
    let made = rotate.apply(&column).unwrap();
    assert!(made.is_valid(0) && made.is_null(1));
    let row = made.as_fixed_size_list().value(0);
    let row = row.as_primitive::<arrow_array::types::Float32Type>().values().to_vec();
    assert_eq!(row, [1.0, 2.0, 3.0, 0.0, 0.0, FRAC_PI_2 as f32, 9.0]);
    let strict = Rotate { degenerate: Degenerate::Fail, ..rotate };
    assert_eq!(strict.apply(&column).unwrap_err().idx, 1);
    assert!(Rotate::new(forms, Some(5), Degenerate::Fail, &pose).is_none());
    assert!(Rotate::new(forms, None, Degenerate::Fail, &pose).is_none());
}

proptest! {
    /// There and back is the same rotation, by way of every form.
    #[test]
    fn round_trips_are_the_identity(x in -1.0..1.0f64, y in -1.0..1.0f64, z in -1.0..1.0f64, w in -1.0..1.0f64) {
        let Some(quaternion) = unit([x, y, z, w]) else { return Ok(()) };
        prop_assume!([x, y, z, w].iter().any(|it| 1e-3 < it.abs()));
        let expected = canonical(quaternion);
        for one in ALL {
            for other in ALL {
                let there = written(&quaternion, RotationForm::QuatXyzw, one).unwrap();
                let over = written(&there, one, other).unwrap();
                let back = written(&over, other, RotationForm::QuatXyzw).unwrap();
                let back = canonical([back[0], back[1], back[2], back[3]]);
                // Near half a turn either of two quaternions may be the one with w ≥ 0.
                let dot: f64 = back.iter().zip(expected).map(|(a, b)| a * b).sum();
                prop_assert!(1.0 - dot.abs() < 1e-12, "{one:?} {other:?}: {back:?}, {expected:?}");
            }
        }
    }

    /// What a matrix does to a vector is what the quaternion of it does.
    #[test]
    fn matrices_are_rotations(x in -1.0..1.0f64, y in -1.0..1.0f64, z in -1.0..1.0f64) {
        let matrix = written(&[x, y, z], RotationForm::Rotvec, RotationForm::Matrix).unwrap();
        let row = |it: usize| &matrix[3 * it..3 * it + 3];
        for (a, b) in [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)] {
            let dot: f64 = row(a).iter().zip(row(b)).map(|(a, b)| a * b).sum();
            let expected = f64::from(u8::from(a == b));
            prop_assert!((dot - expected).abs() < 1e-12);
        }
        // The axis stays where it is.
        for (idx, value) in [x, y, z].into_iter().enumerate() {
            let turned: f64 = row(idx).iter().zip([x, y, z]).map(|(a, b)| a * b).sum();
            prop_assert!((turned - value).abs() < 1e-12);
        }
    }
}
