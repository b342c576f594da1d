/// Between two rotations x, y, z, w at constant speed on the shorter arc. The result has length 1.
pub(crate) fn slerp(before: &[f64], after: &[f64], weight: f64, out: &mut Vec<f64>) {
    let length = |it: &[f64]| it.iter().map(|it| it * it).sum::<f64>().sqrt();
    let (long_before, long_after) = (length(before), length(after));
    let unit = |of: &[f64], length: f64| -> Vec<f64> { of.iter().map(|it| it / length).collect() };
    let (one, mut two) = (unit(before, long_before), unit(after, long_after));
    let mut dot: f64 = one.iter().zip(&two).map(|(a, b)| a * b).sum();
    // q and -q are the same rotation; the nearer one is meant.
    if dot < 0.0 {
        two.iter_mut().for_each(|it| *it = -*it);
        dot = -dot;
    }
    let angle = dot.min(1.0).acos();
    let (share_one, share_two) = if angle < 1e-6 {
        // The arc is a straight line to the last bit, and its sine no divisor.
        (1.0 - weight, weight)
    } else {
        (((1.0 - weight) * angle).sin() / angle.sin(), (weight * angle).sin() / angle.sin())
    };
    let mixed: Vec<f64> = one.iter().zip(&two).map(|(a, b)| a * share_one + b * share_two).collect();
    let long = length(&mixed);
    out.extend(mixed.iter().map(|it| it / long));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: [f64; 4], after: [f64; 4], weight: f64, expected: [f64; 4]) {
        let mut out = Vec::new();
        slerp(&before, &after, weight, &mut out);
        let far = out.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(far < 1e-12, "{out:?}, expected {expected:?}");
    }

    /// A turn around z.
    fn turn(degrees: f64) -> [f64; 4] {
        let half = degrees.to_radians() / 2.0;
        [0.0, 0.0, half.sin(), half.cos()]
    }

    #[test]
    fn turns_go_the_shorter_way_at_constant_speed() {
        check(turn(0.0), turn(90.0), 0.5, turn(45.0));
        check(turn(10.0), turn(100.0), 1.0 / 3.0, turn(40.0));
        check(turn(0.0), turn(90.0).map(|it| -it), 0.5, turn(45.0));
        check(turn(0.0), turn(1e-9), 0.5, turn(5e-10));
        check(turn(0.0).map(|it| it * 3.0), turn(90.0), 0.5, turn(45.0));
    }
}
