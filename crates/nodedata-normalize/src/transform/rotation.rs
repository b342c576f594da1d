//! One rotation, written in several forms. Everything is computed as matrices of float64 but for quaternions whose numbers only change
//! their order.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_buffer::NullBuffer;
use nodedata_core::{Dim, Feature, Nested, meta};

use super::{Degenerate, RotationForm};
use crate::{
    cast::{Misfit, cast, floats},
    flat::{Flat, Starts},
};

type Matrix = [[f64; 3]; 3];

/// Rotations that are written anew, in vectors that may hold more than that.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rotate {
    pub(super) from: RotationForm,
    pub(super) to: RotationForm,
    /// Numbers in front of the rotation.
    pub(super) n_before: usize,
    /// Numbers of a value.
    pub(super) width: usize,
    pub(super) degenerate: Degenerate,
    /// What comes of it.
    pub(super) feature: Feature,
}

impl RotationForm {
    /// How many numbers it takes.
    pub(super) fn width(self) -> usize {
        match self {
            Self::QuatXyzw | Self::QuatWxyz => 4,
            Self::Rotvec => 3,
            Self::SixColumns | Self::SixRows => 6,
            Self::Matrix => 9,
        }
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Self::QuatXyzw => &["qx", "qy", "qz", "qw"],
            Self::QuatWxyz => &["qw", "qx", "qy", "qz"],
            Self::Rotvec => &["rx", "ry", "rz"],
            Self::SixColumns => &["r11", "r21", "r31", "r12", "r22", "r32"],
            Self::SixRows => &["r11", "r12", "r13", "r21", "r22", "r23"],
            Self::Matrix => &["r11", "r12", "r13", "r21", "r22", "r23", "r31", "r32", "r33"],
        }
    }
}

impl Rotate {
    /// Rotations of a feature of floats; `None` where its values are none of this form, or have no place for one.
    pub(super) fn new(
        (from, to): (RotationForm, RotationForm),
        start: Option<u32>,
        degenerate: Degenerate,
        feature: &Feature,
    ) -> Option<Self> {
        let width = match feature.shape.as_slice() {
            [Dim::Fixed(n)] => *n as usize,
            [Dim::Fixed(3), Dim::Fixed(3)] if from == RotationForm::Matrix && start.is_none() => 9,
            _ => return None,
        };
        let n_before = start.unwrap_or(0) as usize;
        let is_whole = start.is_none();
        let fits = if is_whole { width == from.width() } else { n_before + from.width() <= width };
        fits.then(|| {
            let feature = told(feature.clone(), (from, to), is_whole, n_before, width, degenerate);
            Self { from, to, n_before, width, degenerate, feature }
        })
    }

    /// Writes the rotation of each row in its new form.
    ///
    /// # Errors
    /// The first row that holds no rotation, unless those become null.
    pub(super) fn apply(&self, array: &ArrayRef) -> Result<ArrayRef, Misfit> {
        let nested = Nested::of(array.as_ref());
        let values = floats(nested.values.as_ref());
        let mut made = Vec::with_capacity(values.len() / self.width.max(1) * (self.width + 9));
        let mut valid: Vec<bool> = (0..array.len()).map(|it| array.is_valid(it)).collect();
        let each = self.width - self.from.width() + self.to.width();
        for (row, value) in values.chunks_exact(self.width.max(1)).enumerate() {
            if !valid[row] {
                // Whatever lies below a null is nobody's value.
                made.extend(std::iter::repeat_n(0.0, each));
                continue;
            }
            let (before, rest) = value.split_at(self.n_before);
            let (rotation, after) = rest.split_at(self.from.width());
            made.extend_from_slice(before);
            let written = write(rotation, self.from, self.to, &mut made);
            if !written {
                if self.degenerate == Degenerate::Fail {
                    let message = format!("{rotation:?} is no rotation written as {}", self.from.name());
                    return Err(Misfit { idx: row, message });
                }
                valid[row] = false;
            }
            made.extend_from_slice(after);
        }
        let values: ArrayRef = Arc::new(Float64Array::from(made));
        let values = cast(&values, self.feature.dtype)
            .map_err(|it| Misfit { idx: it.idx.checked_div(each).unwrap_or(0), ..it })?;
        let valid = valid.contains(&false).then(|| NullBuffer::from(valid));
        Ok(Flat { values, starts: Starts::Each(each), valid }.into_column(&self.feature))
    }
}

/// Shape and names of what comes of a feature.
fn told(
    mut feature: Feature,
    (from, to): (RotationForm, RotationForm),
    is_whole: bool,
    n_before: usize,
    width: usize,
    degenerate: Degenerate,
) -> Feature {
    let names = feature.metadata.remove(meta::NAMES);
    let names = names.and_then(|it| serde_json::from_str::<Vec<String>>(&it).ok());
    let names = names.filter(|it| it.len() == width && feature.shape.len() == 1).or_else(|| {
        // Of a vector that is a rotation as a whole its form is all that names could say.
        is_whole.then(|| from.names().iter().map(|it| (*it).to_owned()).collect())
    });
    let n = width - from.width() + to.width();
    feature.shape = match (is_whole, to) {
        (true, RotationForm::Matrix) => vec![Dim::Fixed(3), Dim::Fixed(3)],
        _ => vec![Dim::Fixed(u32::try_from(n).unwrap_or(u32::MAX))],
    };
    if let Some(mut names) = names.filter(|_| feature.shape.len() == 1) {
        let own = to.names().iter().map(|it| (*it).to_owned());
        drop(names.splice(n_before..n_before + from.width(), own));
        feature.metadata.insert(meta::NAMES.to_owned(), serde_json::json!(names).to_string());
    }
    feature.metadata.remove(meta::CONSTANTS);
    if is_whole {
        // Angles have a unit; the other forms have none.
        feature.metadata.remove(meta::UNIT);
        if to == RotationForm::Rotvec {
            feature.metadata.insert(meta::UNIT.to_owned(), "rad".to_owned());
        }
    }
    feature.nullable |= degenerate == Degenerate::Null;
    feature
}

/// Writes a rotation; of what is none NaN, as many numbers, and `false`. NaN in gives NaN.
fn write(rotation: &[f64], from: RotationForm, to: RotationForm, into: &mut Vec<f64>) -> bool {
    if rotation.iter().any(|it| it.is_nan()) {
        into.extend(std::iter::repeat_n(f64::NAN, to.width()));
        return true;
    }
    let with_matrix = |it: [f64; 4]| (it, to_matrix(it));
    let found = match from {
        RotationForm::QuatXyzw => unit([rotation[0], rotation[1], rotation[2], rotation[3]]).map(with_matrix),
        RotationForm::QuatWxyz => unit([rotation[1], rotation[2], rotation[3], rotation[0]]).map(with_matrix),
        RotationForm::Rotvec => of_rotvec([rotation[0], rotation[1], rotation[2]]).map(with_matrix),
        // Between matrices nothing is lost on the way.
        RotationForm::SixColumns | RotationForm::SixRows | RotationForm::Matrix => {
            matrix_of(rotation, from).map(|it| (canonical(of_matrix(&it)), it))
        }
    };
    let Some((quaternion, [a, b, c])) = found else {
        into.extend(std::iter::repeat_n(f64::NAN, to.width()));
        return false;
    };
    let from_quaternion = matches!(from, RotationForm::QuatXyzw | RotationForm::QuatWxyz);
    // A quaternion that is only written in another order keeps its sign; of the two that others stand for it is that of w ≥ 0.
    let [x, y, z, w] = if from_quaternion { quaternion } else { canonical(quaternion) };
    match to {
        RotationForm::QuatXyzw => into.extend([x, y, z, w]),
        RotationForm::QuatWxyz => into.extend([w, x, y, z]),
        RotationForm::Rotvec => into.extend(to_rotvec(canonical(quaternion))),
        RotationForm::SixColumns => into.extend([a[0], b[0], c[0], a[1], b[1], c[1]]),
        RotationForm::SixRows => into.extend([a[0], a[1], a[2], b[0], b[1], b[2]]),
        RotationForm::Matrix => into.extend([a, b, c].as_flattened()),
    }
    true
}

/// Of length 1; `None` for what has no direction.
fn unit<const N: usize>(vector: [f64; N]) -> Option<[f64; N]> {
    let largest = vector.iter().fold(0.0f64, |it, value| it.max(value.abs()));
    if largest == 0.0 || !largest.is_finite() {
        return None;
    }
    // By the largest first, so that no square is 0 or infinite.
    let scaled = vector.map(|it| it / largest);
    let length = scaled.iter().map(|it| it * it).sum::<f64>().sqrt();
    Some(scaled.map(|it| it / length))
}

fn canonical(quaternion: [f64; 4]) -> [f64; 4] {
    let [x, y, z, w] = quaternion;
    // Of two with w = 0 the one whose first number that is not 0 is positive.
    let first = [w, x, y, z].into_iter().find(|it| *it != 0.0).unwrap_or(0.0);
    if first < 0.0 { quaternion.map(|it| -it) } else { quaternion }
}

fn of_rotvec(vector: [f64; 3]) -> Option<[f64; 4]> {
    let angle = vector.iter().map(|it| it * it).sum::<f64>().sqrt();
    if !angle.is_finite() {
        return None;
    }
    // sin(a/2)/a, whose limit at 0 is 1/2.
    let factor = if angle < 1e-3 { 0.5 - angle * angle / 48.0 } else { (angle / 2.0).sin() / angle };
    let [x, y, z] = vector.map(|it| it * factor);
    unit([x, y, z, (angle / 2.0).cos()])
}

/// Of a quaternion with w ≥ 0: an angle from 0 to π.
fn to_rotvec([x, y, z, w]: [f64; 4]) -> [f64; 3] {
    let sine = (x * x + y * y + z * z).sqrt();
    let angle = 2.0 * sine.atan2(w);
    // a/sin(a/2), whose limit at 0 is 2.
    let factor = if angle < 1e-3 { 2.0 + angle * angle / 12.0 } else { angle / sine };
    [x, y, z].map(|it| it * factor)
}

fn to_matrix([x, y, z, w]: [f64; 4]) -> Matrix {
    [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
        [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
        [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
    ]
}

/// Shepperd's way: by the largest of the four squares, which is never near 0.
fn of_matrix(m: &Matrix) -> [f64; 4] {
    let trace = m[0][0] + m[1][1] + m[2][2];
    let squares = [m[0][0], m[1][1], m[2][2], trace];
    let largest = (0..4).max_by(|a, b| squares[*a].total_cmp(&squares[*b])).unwrap_or(3);
    let quaternion = if largest == 3 {
        [m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1], 1.0 + trace]
    } else {
        let (i, j, k) = (largest, (largest + 1) % 3, (largest + 2) % 3);
        let mut quaternion = [0.0; 4];
        quaternion[i] = 1.0 + m[i][i] - m[j][j] - m[k][k];
        quaternion[j] = m[j][i] + m[i][j];
        quaternion[k] = m[k][i] + m[i][k];
        quaternion[3] = m[k][j] - m[j][k];
        quaternion
    };
    unit(quaternion).unwrap_or([0.0, 0.0, 0.0, 1.0])
}

/// The rotation next to some numbers, by Gram and Schmidt: the first direction stays, the second is turned to be upright to it,
/// and the third is upright to both. `None` where a direction is missing, or a matrix mirrors.
fn matrix_of(n: &[f64], form: RotationForm) -> Option<Matrix> {
    let transpose = |m: Matrix| [0, 1, 2].map(|row: usize| [0, 1, 2].map(|column: usize| m[column][row]));
    let (first, second) = match form {
        RotationForm::Matrix => ([n[0], n[3], n[6]], [n[1], n[4], n[7]]),
        _ => ([n[0], n[1], n[2]], [n[3], n[4], n[5]]),
    };
    let first = unit(first)?;
    let second = unit(second)?;
    let along: f64 = first.iter().zip(second).map(|(a, b)| a * b).sum();
    let upright = [0, 1, 2].map(|it: usize| second[it] - along * first[it]);
    // Nearly along one line: what is left is noise.
    if upright.iter().map(|it| it * it).sum::<f64>().sqrt() < 1e-9 {
        return None;
    }
    let second = unit(upright)?;
    let [a, b] = [first, second];
    let third = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    let directions = [first, second, third];
    if form == RotationForm::Matrix {
        let given = [n[2], n[5], n[8]];
        let same: f64 = third.iter().zip(given).map(|(a, b)| a * b).sum();
        if same <= 0.0 {
            return None;
        }
    }
    Some(match form {
        RotationForm::SixRows => directions,
        _ => transpose(directions),
    })
}

#[cfg(test)]
mod tests;
