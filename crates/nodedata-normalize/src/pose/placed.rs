/// Where a frame stands in its parent: a translation, and a rotation x, y, z, w of length 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Placed {
    pub(crate) translation: [f64; 3],
    pub(crate) rotation: [f64; 4],
}

impl Placed {
    pub(crate) const IDENTITY: Self = Self { translation: [0.0; 3], rotation: [0.0, 0.0, 0.0, 1.0] };

    /// `None` for numbers that are none, and for a rotation of no length.
    pub(crate) fn new(translation: [f64; 3], rotation: [f64; 4]) -> Option<Self> {
        let length = rotation.iter().map(|it| it * it).sum::<f64>().sqrt();
        let is_sound = translation.iter().all(|it| it.is_finite()) && length.is_finite() && 0.0 < length;
        is_sound.then(|| Self { translation, rotation: rotation.map(|it| it / length) })
    }

    /// What stands at `inner` in this frame, in the parent of this one.
    pub(crate) fn of(self, inner: Self) -> Self {
        let turned = rotated(self.rotation, inner.translation);
        let [x, y, z] = self.translation;
        Self {
            translation: [x + turned[0], y + turned[1], z + turned[2]],
            rotation: product(self.rotation, inner.rotation),
        }
    }

    /// The parent as it stands in this frame.
    pub(crate) fn inverse(self) -> Self {
        let [x, y, z, w] = self.rotation;
        let rotation = [-x, -y, -z, w];
        Self { translation: rotated(rotation, self.translation).map(|it| -it), rotation }
    }

    /// x, y, z, and the rotation with a real part that is not negative: of two signs that mean the same one is written.
    pub(crate) fn told(self) -> [f64; 7] {
        let length = self.rotation.iter().map(|it| it * it).sum::<f64>().sqrt();
        let [qx, qy, qz, qw] = self.rotation.map(|it| it / length);
        let leading = [qw, qx, qy, qz].into_iter().find(|it| *it != 0.0).unwrap_or(1.0);
        let [qx, qy, qz, qw] = [qx, qy, qz, qw].map(|it| if leading < 0.0 { -it } else { it });
        let [x, y, z] = self.translation;
        [x, y, z, qx, qy, qz, qw]
    }
}

fn product(a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
    let ([ax, ay, az, aw], [bx, by, bz, bw]) = (a, b);
    [
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    ]
}

fn rotated(by: [f64; 4], [x, y, z]: [f64; 3]) -> [f64; 3] {
    let [qx, qy, qz, qw] = by;
    let turned = product(product(by, [x, y, z, 0.0]), [-qx, -qy, -qz, qw]);
    [turned[0], turned[1], turned[2]]
}
