use std::{collections::BTreeMap, ops::Range, sync::Arc};

use nodedata_core::{ErrorKind, Result};
use nodedata_reader::Data;
use proptest::prelude::*;

use self::memory::{Fault, Memory, Watch};
use super::*;
use crate::{
    Draws, EngineOptions, Lanes, MixOptions, OnError, Selection, Share, Shuffle, Stop, Tail, Unit, Window,
};

mod batches;
mod bounds;
mod ends;
mod faults;
mod memory;
mod orders;

/// A share of one process that reads all places.
fn all_places() -> Share {
    Share::new(0, 1, 1, Tail::Drop).unwrap()
}

fn plan(memory: Memory, share: Share, engine: EngineOptions) -> Arc<StreamPlan> {
    StreamPlan::of(vec![memory.prepared()], None, share, engine).unwrap()
}

/// What a sample is told by: its source, epoch, episode, steps, place, and whether it is a repeat.
type Told = (usize, u64, usize, Range<u64>, u64, bool);

fn told(sample: &Sample) -> Told {
    let Sample { source, epoch, episode, steps, place, is_repeat, .. } = sample;
    (*source, *epoch, *episode, steps.clone(), *place, *is_repeat)
}

/// The values of a sample's first field: episode and step of each row.
fn values(sample: &Sample) -> Vec<(u64, u64)> {
    let Data::Tensor(tensor) = &sample.fields[0].column.data else { panic!("{sample:?}") };
    let number = |it: &[u8]| u64::from_le_bytes(it.try_into().unwrap());
    tensor.bytes.chunks_exact(16).map(|row| (number(&row[..8]), number(&row[8..]))).collect()
}

/// Samples as they are delivered. Each holds what it says that it does.
fn delivered(stream: &mut Stream) -> impl Iterator<Item = Told> {
    stream.by_ref().map(|sample| {
        let sample = sample.unwrap();
        let expected = sample.steps.clone().map(|step| (sample.episode as u64, step));
        assert_eq!(values(&sample), expected.collect::<Vec<_>>());
        assert!(sample.step.is_none_or(|step| sample.steps == (step..step + 1)));
        told(&sample)
    })
}

/// What a share is to have of the pass of a position, by arithmetic alone.
fn expected(plan: &StreamPlan, position: &Position, share: &Share) -> Vec<Told> {
    let (n_places, from) = (plan.n_places(), position.cursor());
    let mut draws = Draws::new(Arc::clone(plan.order()), position);
    let places = (0..).map_while(|nth| share.batch(n_places, from, nth)).flatten();
    let told = places.map(|place| {
        let draw = draws.draw(place.place).unwrap().unwrap();
        let (episode, steps) = (draw.located.episode as usize, draw.located.steps);
        (draw.source, draw.epoch, episode, steps, place.place, place.is_repeat)
    });
    told.collect()
}
