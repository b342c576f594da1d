use std::sync::Arc;

use arrow_array::Int64Array;
use nodedata_core::{DType, EPISODE_INDEX, Feature, TIMESTAMP_NS};
use nodedata_reader::Reader;

use crate::made::{Episode, Made, Shard, batch, pages_of_rows};

/// What the pace of episodes is, each of so many steps at the times that follow from their numbers.
fn fps(lengths: &[u64], time: impl Fn(usize, u64) -> i64) -> Option<f64> {
    let features =
        [EPISODE_INDEX, TIMESTAMP_NS].map(|it| Feature::new(it, DType::Int64, Vec::new())).to_vec();
    let steps =
        || lengths.iter().enumerate().flat_map(|(episode, n)| (0..*n).map(move |step| (episode, step)));
    let rows = batch(
        &features,
        vec![
            Arc::new(Int64Array::from_iter_values(steps().map(|it| it.0 as i64))),
            Arc::new(Int64Array::from_iter_values(steps().map(|(episode, step)| time(episode, step)))),
        ],
    );
    let starts = lengths.iter().scan(0, |start, n| {
        *start += n;
        Some(*start - n)
    });
    let keys = ["a", "b", "c"];
    let episodes = keys.iter().zip(starts.zip(lengths));
    let episodes =
        episodes.map(|(key, (start, n))| Episode { key, split: "train", parts: vec![(0, start, *n)] });
    let made = Made {
        told: Vec::new(),
        shards: vec![Shard { split: "train", rows, properties: pages_of_rows(9).build() }],
        episodes: episodes.collect(),
        tables: Vec::new(),
        features,
    };
    let folder = tempfile::tempdir().unwrap();
    made.write(folder.path());
    let split = Reader::of_folder(folder.path()).unwrap().split("train", "steps").unwrap();
    assert_eq!(split.step_ns(), None, "the schema says nothing");
    split.fps().unwrap()
}

#[test]
fn the_pace_is_what_all_times_keep_to() {
    let ntsc = |step: u64| (step as f64 * 1e9 / 29.97) as i64;
    assert_eq!(fps(&[40, 3, 70], |episode, step| ntsc(step) + 1_000_000_007 * episode as i64), Some(29.97));
    // One episode that is slower, though it is short.
    let mixed = |episode, step| if episode == 1 { 2 * ntsc(step) } else { ntsc(step) };
    assert_eq!(fps(&[40, 3, 70], mixed), None);
    assert_eq!(fps(&[1, 1, 1], |_, _| 5), None, "of single steps there is none");
}
