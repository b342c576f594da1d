use std::sync::Arc;

use nodedata_core::{ErrorKind, Locus};
use proptest::prelude::*;

use super::*;
use crate::{Extent, Selection, State, Tail, Unit};

mod elastic;
mod states;

/// A request for steps of episodes, shuffled in lanes.
fn request(lengths: &[u64]) -> SourceRequest<'_> {
    let order = OrderOptions {
        shuffle: Shuffle::On,
        seed: 7,
        block: Some(16),
        lanes: Some(4),
        window: Some(32),
        ..OrderOptions::default()
    };
    SourceRequest {
        id: SourceId {
            dataset: "acme/panda-arm-grasp-100k".to_owned(),
            revision: "1.2.0".to_owned(),
            manifest: format!("b3:{}", "e8f90a1b".repeat(8)),
            split: "train".to_owned(),
            stream: "steps".to_owned(),
        },
        extent: Extent { shard_bytes: 1 << 20, n_rows: 1 << 10, n_episodes: lengths.len() as u64 },
        lengths,
        selection: Selection::default(),
        order,
        fields_hash: format!("b3:{}", "0a1b2c3d".repeat(8)),
    }
}

fn mixed(lengths: [&[u64]; 2], stop: Stop) -> Plan {
    let [one, mut other] = lengths.map(request);
    other.order.seed = 8;
    other.order.epoch = 5;
    Plan::of_mixture(&[one, other], &MixOptions { weights: vec![0.7, 0.3], seed: 3, stop }).unwrap()
}

/// What stands at places of the pass of a position.
fn draws(plan: &Arc<Plan>, position: &Position, places: impl IntoIterator<Item = u64>) -> Vec<Draw> {
    let mut draws = Draws::new(Arc::clone(plan), position);
    places.into_iter().map(|it| draws.draw(it).unwrap().unwrap()).collect()
}

fn all(plan: &Arc<Plan>, position: &Position) -> Vec<Draw> {
    draws(plan, position, 0..plan.n_places())
}

#[test]
fn what_would_do_nothing_is_a_mistake() {
    let told = |change: &dyn Fn(&mut SourceRequest<'_>)| {
        let mut request = request(&[50, 50]);
        change(&mut request);
        Plan::of_source(&request).unwrap_err().to_string()
    };
    assert_eq!(
        told(&|it| it.order.shuffle = Shuffle::Off),
        "`block` has no effect where samples are not shuffled\n  \
         `lanes` has no effect where samples are not shuffled: shuffle them, or leave it out\n  \
         `window` has no effect where samples are not shuffled: shuffle them, or leave it out"
    );
    assert_eq!(
        told(&|it| it.order.shuffle = Shuffle::Uniform),
        "`lanes` has no effect where all samples are shuffled as one\n  \
         `window` has no effect where all samples are shuffled as one: `shuffle` without \"uniform\" has lanes"
    );
    assert_eq!(
        told(&|it| it.selection.unit = Unit::Episode),
        "`block` has no effect where a block is an episode\n  \
         `lanes` is 4, and there are 2 samples: give fewer lanes, or leave them out"
    );
    assert_eq!(
        told(&|it| it.selection.episodes = Some(vec![2])),
        "`episodes` names episode 2, which is not there"
    );
    assert_eq!(told(&|it| it.selection.episodes = Some(vec![])), "no step of the split is selected");
    assert_eq!(told(&|it| it.selection.drop_last = 50), "no step of the split is selected");
    assert_eq!(told(&|it| (it.order.block, it.order.window) = (Some(0), Some(0))), {
        "`block` is 0 samples\n  the window of a lane is 0 samples: give at least 1"
    });
}

#[test]
fn mistakes_of_all_sources_are_told_at_once() {
    let (one, mut other) = (request(&[50]), request(&[50]));
    other.order.block = Some(0);
    let options = MixOptions { weights: vec![1.0, -1.0, 1.0], seed: 0, stop: Stop::Longest };
    let err = Plan::of_mixture(&[one, other], &options).unwrap_err();
    assert_eq!(
        err.to_string(),
        "3 weights are given for 2 sources\n  source 1: `block` is 0 samples: give at least 1\n  \
         the weight of source 1 is -1: weights are positive numbers"
    );
    assert_eq!(err.hint(), Some("give one weight with each source"));
    let none = Plan::of_mixture(&[], &MixOptions { weights: vec![], ..options }).unwrap_err();
    assert_eq!(none.to_string(), "nothing is mixed");
}

#[test]
fn defaults_follow_from_the_manifest_and_stand_in_the_state() {
    let lengths = [300; 10];
    let mut request = request(&lengths);
    request.order = OrderOptions { shuffle: Shuffle::On, ..OrderOptions::default() };
    // A kibibyte a step: few enough to be shuffled as a whole.
    let plan = Plan::of_source(&request).unwrap();
    let state = plan.state(&plan.start()).plan.unwrap();
    assert_eq!((state.block, state.lanes, state.window), (Some(8192), Some(1), Some(3000)));
    // What is left out changes the number of samples, not what one holds.
    request.selection.episodes = Some(vec![1, 2]);
    let plan = Plan::of_source(&request).unwrap();
    let state = plan.state(&plan.start()).plan.unwrap();
    assert_eq!((state.block, state.window), (Some(8192), Some(600)));
    request.extent.shard_bytes = 10 << 30;
    let plan = Plan::of_source(&request).unwrap();
    let state = plan.state(&plan.start()).plan.unwrap();
    assert_eq!((state.block, state.lanes, state.window), (Some(64), Some(64), Some(64)));
    request.order.shuffle = Shuffle::Uniform;
    let plan = Plan::of_source(&request).unwrap();
    let state = plan.state(&plan.start()).plan.unwrap();
    assert_eq!((state.block, state.lanes, state.window), (Some(64), Some(1), Some(600)));
}

#[test]
fn samples_that_are_not_shuffled_stand_as_they_are_numbered() {
    let mut request = request(&[3, 2]);
    request.order = OrderOptions::default();
    let plan = Arc::new(Plan::of_source(&request).unwrap());
    let places = all(&plan, &plan.start()).into_iter().map(|it| (it.located.episode, it.located.steps.start));
    assert_eq!(places.collect::<Vec<_>>(), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]);
    assert!(plan.sources()[0].blocks().is_none());
}

#[test]
fn of_several_mistakes_the_place_of_the_first_is_kept() {
    let mistake = |text: &str| Error::new(ErrorKind::Config, text).at(Locus::feature(text)).with_hint("look");
    let err = joined(vec![mistake("one"), mistake("other")], "");
    assert_eq!((err.locus().feature.as_deref(), err.hint()), (Some("one"), Some("look")));
    assert_eq!(err.to_string(), "one\n  other: look");
    let of_source = joined(vec![mistake("one").with_source(mistake("cause"))], "source 2: ");
    assert_eq!((of_source.locus().feature.as_deref(), of_source.hint()), (Some("one"), Some("look")));
    let all = joined(vec![of_source, mistake("other")], "");
    assert_eq!(all.locus().feature.as_deref(), Some("one"));
    assert_eq!(all.to_string(), "source 2: one: cause\n  other: look");
}

#[test]
fn ranks_that_share_blocks_are_told() {
    let share = |world| Share::new(0, world, 1, Tail::Drop).unwrap();
    let plan = Plan::of_source(&request(&[50, 50])).unwrap();
    assert_eq!([1, 2, 4].map(|it| plan.fetches_more(&share(it))), [None, None, None]);
    let told = plan.fetches_more(&share(8)).unwrap();
    assert!(told.starts_with("8 ranks share the blocks of 4 lanes"), "{told}");
    let mixed = mixed([&[50], &[50]], Stop::Longest);
    assert_eq!(mixed.fetches_more(&share(1)), None);
    assert_eq!(mixed.fetches_more(&share(2)).unwrap(), "2 ranks share the blocks of a mixture");
}

#[test]
fn sources_of_a_mixture_go_on_in_their_next_epochs() {
    let plan = Arc::new(mixed([&[300], &[40]], Stop::Places(1500)));
    let drawn = all(&plan, &plan.start());
    for (source, first_epoch, n_samples) in [(0, 0, 300), (1, 5, 40)] {
        let of_source: Vec<&Draw> = drawn.iter().filter(|it| it.source == source).collect();
        // Each epoch holds every sample once, in the order that the source has alone.
        let order = |epoch| plan.sources()[source].order(epoch).unwrap();
        for (nth, draw) in of_source.iter().enumerate() {
            let epoch = first_epoch + nth as u64 / n_samples;
            assert_eq!(draw.epoch, epoch);
            assert_eq!(draw.sample, order(epoch).sample(nth as u64 % n_samples).unwrap());
        }
    }
    // The next pass goes on where this one ended.
    let next = plan.next_pass(&plan.start()).unwrap();
    let whole = Arc::new(mixed([&[300], &[40]], Stop::Places(3000)));
    assert_eq!(all(&plan, &next), draws(&whole, &whole.start(), 1500..3000));
}
