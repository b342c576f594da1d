use nodedata_core::DType;
use proptest::prelude::*;

use super::*;
use crate::Samples;

fn window(offsets: &[i64]) -> Window {
    Window::of_steps(offsets.iter().copied()).unwrap()
}

fn slots(offsets: &[i64], length: u64, step: u64, pad: Pad) -> Vec<Slot> {
    window(offsets).slots(length, step, pad).unwrap().collect()
}

#[test]
fn what_leaves_the_episode_is_padded() {
    use Slot::{Edge, Nan, Step, Zero};
    assert_eq!(slots(&[-2, 0, 1], 3, 1, Pad::Edge), [Edge(0), Step(1), Step(2)]);
    assert_eq!(slots(&[-2, 0, 1], 3, 2, Pad::Edge), [Step(0), Step(2), Edge(2)]);
    assert_eq!(slots(&[-1, 5], 1, 0, Pad::Zero), [Zero, Zero]);
    assert_eq!(slots(&[3, 0], 2, 1, Pad::Nan), [Nan, Step(1)]);
    assert_eq!(slots(&[i64::MIN, i64::MAX], u64::MAX, 7, Pad::Edge), [Edge(0), Step(7 + i64::MAX as u64)]);
    assert_eq!(slots(&[i64::MAX], u64::MAX, u64::MAX - 1, Pad::Edge), [Edge(u64::MAX - 1)]);
    assert!(window(&[0]).slots(3, 3, Pad::Edge).is_none());
    assert!(window(&[0]).slots(0, 0, Pad::Edge).is_none());
}

#[test]
fn a_window_that_is_dropped_is_no_sample() {
    let action = Window::of_steps(0..16).unwrap();
    assert!(action.slots(20, 5, Pad::Drop).is_none());
    assert!(action.slots(20, 4, Pad::Drop).unwrap().all(|it| !it.is_pad()));
    let selection = Selection { drop_first: 3, drop_last: 20, ..Selection::default() };
    let narrowed = action.narrowed(&selection, Pad::Drop);
    assert_eq!((narrowed.drop_first, narrowed.drop_last), (3, 20));
    let narrowed = window(&[-5, 2]).narrowed(&Selection::default(), Pad::Drop);
    assert_eq!((narrowed.drop_first, narrowed.drop_last), (5, 2));
    assert_eq!(window(&[-5, 2]).narrowed(&selection, Pad::Edge), selection);
    // Every step between the ends of a window is its own: one that is only ahead keeps the first steps.
    let ahead = window(&[4, 9]).narrowed(&Selection::default(), Pad::Drop);
    assert_eq!((ahead.drop_first, ahead.drop_last), (0, 9));
}

#[test]
fn what_is_read_reaches_from_the_first_step_to_the_last() {
    assert_eq!(window(&[4, -1, 2]).reads(10, 5, Pad::Edge), Some(4..10));
    assert_eq!(window(&[4, -1, 2]).reads(10, 7, Pad::Edge), Some(6..10));
    assert_eq!(window(&[4, -1, 2]).reads(10, 7, Pad::Zero), Some(6..10));
    assert_eq!(window(&[9]).reads(10, 7, Pad::Zero), None);
    assert_eq!(window(&[9]).reads(10, 7, Pad::Edge), Some(9..10));
}

#[test]
fn seconds_are_multiples_of_a_step() {
    let clock = Clock::new(30.0, TOLERANCE_S).unwrap();
    let of = |seconds: &[f64]| clock.window(seconds).unwrap().offsets().to_vec();
    assert_eq!(of(&[-1.0 / 30.0, 0.0, 0.1, 0.066_67]), [-1, 0, 3, 2]);
    let all: Vec<f64> = (0..16).map(|it| f64::from(it) / 30.0).collect();
    assert_eq!(of(&all), (0..16).collect::<Vec<_>>());
    let err = clock.window(&[0.0, 0.05, 0.3, -0.02]).unwrap_err();
    assert_eq!(
        err.to_string(),
        "0.05 s lie between two steps; the nearest is at 0.06666666666666667 s (offset 2)\n  \
         -0.02 s lie between two steps; the nearest is at -0.03333333333333333 s (offset -1)"
    );
    assert_eq!(err.hint(), Some("there are 30 steps a second: give multiples of one, or steps"));
    for seconds in [f64::NAN, f64::INFINITY, 1e300] {
        assert!(clock.window(&[seconds]).unwrap_err().to_string().ends_with("s are no number of steps"));
    }
    // A wider tolerance takes what a narrow one refuses.
    assert_eq!(Clock::new(30.0, 0.02).unwrap().window(&[0.04]).unwrap().offsets(), [1]);
    assert_eq!(Clock::new(0.0, TOLERANCE_S).unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(Clock::new(30.0, -1.0).unwrap_err().to_string(), "`tolerance_s` is -1");
}

#[test]
fn a_range_of_seconds_ends_before_its_end() {
    let clock = Clock::new(30.0, TOLERANCE_S).unwrap();
    let of = |text: &str| clock.range(text).unwrap().offsets().to_vec();
    assert_eq!(of("0:0.5s"), (0..15).collect::<Vec<_>>());
    assert_eq!(of("-0.1:0.1s"), (-3..3).collect::<Vec<_>>());
    let told = |text: &str| clock.range(text).unwrap_err().to_string();
    for text in ["", "s", "0:0.5", "0.5s", "0:1:2s", "a:bs", "0:16"] {
        assert_eq!(told(text), format!("`{text}` is no range of seconds"));
    }
    assert_eq!(told("0.5:0.5s"), "`0.5:0.5s` ends before it begins");
    assert_eq!(
        told("0.05:0.11s"),
        "0.05 s lie between two steps; the nearest is at 0.06666666666666667 s (offset 2)\n  \
         0.11 s lie between two steps; the nearest is at 0.1 s (offset 3)"
    );
    assert_eq!(told("0:inf s"), "inf s are no number of steps");
    // No list is made of a range that is too long.
    assert_eq!(clock.range("0:1e12s").unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn mistakes_are_named() {
    assert_eq!(Window::of_steps([]).unwrap_err().to_string(), "the window has no steps");
    assert_eq!(Window::of_steps(0..i64::MAX).unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(Window::of_steps(0..65_536).unwrap().offsets().len(), 65_536);
    assert_eq!("edges".parse::<Pad>().unwrap_err().hint(), Some("did you mean `edge`?"));
    let feature = |dtype| Feature::new("action", dtype, Vec::new());
    assert!(Pad::Nan.check(&feature(DType::Float16)).is_ok());
    assert!(Pad::Zero.check(&feature(DType::UInt8)).is_ok());
    let err = Pad::Nan.check(&feature(DType::UInt8)).unwrap_err();
    assert_eq!(err.to_string(), "`pad` is \"nan\", and values are uint8");
    assert_eq!(err.locus().feature.as_deref(), Some("action"));
}

proptest! {
    #[test]
    fn a_window_stays_in_its_episode(
        offsets in prop::collection::vec(-40_i64..40, 1..20),
        length in 1_u64..60,
        step: u64,
        pad in prop::sample::select(vec![Pad::Edge, Pad::Zero, Pad::Nan, Pad::Drop]),
    ) {
        let (window, step) = (window(&offsets), step % length);
        let wanted = || offsets.iter().map(|it| step as i64 + it);
        let is_inside = |it: i64| it >= 0 && it < length as i64;
        let fits = wanted().all(is_inside);
        prop_assert_eq!(window.fits(length, step), fits);
        let Some(slots) = window.slots(length, step, pad) else {
            prop_assert!(pad == Pad::Drop && !fits);
            return Ok(());
        };
        let slots: Vec<Slot> = slots.collect();
        prop_assert_eq!(slots.len(), offsets.len());
        for (slot, wanted) in slots.iter().zip(wanted()) {
            // As LeRobot: clamped, and flagged where it was.
            prop_assert_eq!(slot.is_pad(), !is_inside(wanted));
            let clamped = wanted.clamp(0, length as i64 - 1) as u64;
            let is_read = !slot.is_pad() || pad == Pad::Edge;
            prop_assert_eq!(slot.step(), is_read.then_some(clamped));
        }
        let reads = window.reads(length, step, pad);
        for step in slots.iter().filter_map(|it| it.step()) {
            prop_assert!(reads.clone().is_some_and(|it| it.contains(&step) && it.end <= length));
        }
    }

    #[test]
    fn samples_of_dropped_windows_are_those_that_fit(
        offsets in prop::collection::vec(-10_i64..10, 1..6),
        lengths in prop::collection::vec(0_u64..30, 1..10),
    ) {
        let window = window(&offsets);
        let selection = window.narrowed(&Selection::default(), Pad::Drop);
        let samples = Samples::new(&lengths, &selection).unwrap();
        let kept: Vec<_> = (0..samples.len()).map(|it| samples.locate(it).unwrap()).collect();
        let kept: Vec<(u64, u64)> = kept.into_iter().map(|it| (it.episode, it.steps.start)).collect();
        let fitting = lengths.iter().enumerate().flat_map(|(episode, length)| {
            let steps = (0..*length).filter(|step| window.fits(*length, *step));
            steps.map(|step| (episode as u64, step)).collect::<Vec<_>>()
        });
        prop_assert_eq!(kept, fitting.collect::<Vec<_>>());
    }
}
