//! Poses of a log: the same whatever pieces it is read in, where steps are left out, and where transforms of fields take them.

use arrow_array::{
    Array, FixedSizeListArray,
    cast::AsArray,
    types::{Float64Type, Int64Type},
};

use super::{
    frames::teleop,
    reference::{Everything, balances, read_all},
};
use crate::{
    AlignedSource, Beyond, Clock, Degenerate, EpisodeSpec, FieldFrom, FieldSpec, FieldTransform, PoseFrom,
    Rate, RotationForm, StepSpec, TimeSource, Tolerance, Trim, normalized,
};

const PERIOD_NS: i64 = 34_000_000;

fn steps(beyond: Beyond, transform: Vec<FieldTransform>) -> StepSpec {
    let pose = PoseFrom { of: "tool".to_owned(), within: "base".to_owned(), from: Vec::new() };
    let tool = FieldSpec {
        from: FieldFrom::Pose(pose),
        tolerance: Some(Tolerance { max_ns: None, beyond }),
        transform,
        ..FieldSpec::new("tool", "")
    };
    StepSpec {
        time: TimeSource::Field("header.stamp".to_owned()),
        upsample: true,
        fields: vec![FieldSpec::new("joints", "/joint_states.position"), tool],
        ..StepSpec::new(Clock::Rate(Rate::parse("30").unwrap()))
    }
}

fn read(spec: StepSpec, episodes: &EpisodeSpec, piece_bytes: u64) -> Everything {
    let all = read_all(&AlignedSource::planned(teleop(), spec, episodes, piece_bytes).unwrap());
    balances(&all);
    all
}

fn tools(all: &Everything) -> FixedSizeListArray {
    all.rows.as_ref().unwrap().column_by_name("tool").unwrap().as_fixed_size_list().clone()
}

fn times(all: &Everything) -> Vec<i64> {
    all.rows.as_ref().unwrap().column(1).as_primitive::<Int64Type>().values().to_vec()
}

/// The longest run of steps that have a pose.
fn longest(tools: &FixedSizeListArray) -> (usize, usize) {
    let mut best = (0, 0);
    let mut start = 0;
    for idx in 0..=tools.len() {
        if idx == tools.len() || tools.is_null(idx) {
            best = if best.1 - best.0 < idx - start { (start, idx) } else { best };
            start = idx + 1;
        }
    }
    best
}

#[test]
fn poses_do_not_depend_on_pieces_and_steps_that_are_trimmed_need_none() {
    let all = read(steps(Beyond::Null, Vec::new()), &EpisodeSpec::default(), u64::MAX);
    let (poses, times_of_all) = (tools(&all), times(&all));
    assert!(0 < poses.null_count() && poses.null_count() < poses.len(), "{}", poses.null_count());
    assert_eq!(all.beyond["tool"], poses.null_count() as u64);
    let again = read(steps(Beyond::Null, Vec::new()), &EpisodeSpec::default(), 1);
    assert_eq!((tools(&again), again.beyond), (poses.clone(), all.beyond));
    // Within the longest run that has poses none is missing; outside of it nobody asks.
    let (first, end) = longest(&poses);
    let last = end - 1;
    let trim = Trim {
        start_ns: times_of_all[first] - times_of_all[0],
        end_ns: times_of_all[times_of_all.len() - 1] + PERIOD_NS - times_of_all[last],
        idle: None,
    };
    let episodes = EpisodeSpec { trim, ..EpisodeSpec::default() };
    let found = read(steps(Beyond::Fail, Vec::new()), &episodes, 1);
    let n_kept = tools(&found).len();
    assert!(
        (1..=end - first).contains(&n_kept) && first + n_kept < poses.len(),
        "{n_kept} of {first}..{end}"
    );
    assert_eq!((tools(&found), found.beyond.get("tool")), (poses.slice(first, n_kept), None));
}

/// x, y, z, then the first two columns of the rotation matrix.
#[test]
fn fields_transform_poses() {
    let rotation = FieldTransform::Rotation {
        from: RotationForm::QuatXyzw,
        to: RotationForm::SixColumns,
        start: Some(3),
        degenerate: Degenerate::default(),
    };
    let source = normalized(teleop(), &steps(Beyond::Null, vec![rotation])).unwrap();
    let (all, own) =
        (read_all(source.as_ref()), read(steps(Beyond::Null, Vec::new()), &EpisodeSpec::default(), u64::MAX));
    let (turned, poses) = (tools(&all), tools(&own));
    assert_eq!((turned.value_length(), turned.len()), (9, poses.len()));
    for row in (0..poses.len()).filter(|it| poses.is_valid(*it)) {
        let pose = poses.value(row).as_primitive::<Float64Type>().values().to_vec();
        let found = turned.value(row).as_primitive::<Float64Type>().values().to_vec();
        let (x, y, z, w) = (pose[3], pose[4], pose[5], pose[6]);
        let column = [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + z * w), 2.0 * (x * z - y * w)];
        let expected: Vec<f64> = pose[..3].iter().copied().chain(column).collect();
        assert!(found.iter().zip(&expected).all(|(one, other)| (one - other).abs() < 1e-9), "{found:?}");
    }
}
