use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use rayon::prelude::*;
use serde_json::Value;

use crate::{
    encode::Encoder,
    journal::{Place, RECORD, RECORDS, UnitRecord},
    measure::Contents,
    rehash,
    shard::{SealedShard, shard_path, unit_name},
    stats::FeatureStats,
    unit::Unit,
    writer::Plan,
};

/// Records read at a time: they are decoded side by side and folded in order.
const RECORDS_AHEAD: usize = 4;

/// What the records of all units say together.
#[derive(Default)]
pub(crate) struct Folded {
    /// By stream, split and number.
    pub(crate) shards: Vec<SealedShard>,
    /// By stream and feature.
    pub(crate) stats: Vec<Vec<FeatureStats>>,
    pub(crate) contents: Contents,
}

impl Folded {
    /// Reads the records in the order of the units, but for one that is at hand, and gives the shards their places in
    /// the dataset.
    pub(crate) fn gather(
        plan: &Plan,
        encoder: &mut Encoder,
        at_hand: Option<UnitRecord>,
        visit: &mut dyn FnMut(&Unit, Value) -> Result<()>,
    ) -> Result<Self> {
        let stats = plan.streams.iter().map(|it| it.features.iter().map(FeatureStats::new).collect());
        let mut folded = Self { stats: stats.collect(), ..Self::default() };
        let inputs: BTreeMap<String, usize> =
            plan.inputs.iter().enumerate().map(|(idx, it)| (it.path.display().to_string(), idx)).collect();
        let streams: BTreeMap<&str, usize> =
            plan.streams.iter().enumerate().map(|(idx, it)| (&*it.name, idx)).collect();
        let at_hand = Mutex::new(at_hand);
        let units: Vec<(usize, &Unit)> = plan.units.iter().enumerate().collect();
        for units in units.chunks(RECORDS_AHEAD) {
            let records: Vec<Result<UnitRecord>> =
                units.par_iter().map(|(idx, _)| take_over(plan, &plan.recipes[*idx], &at_hand)).collect();
            for ((_, unit), record) in units.iter().zip(records) {
                let record = record?;
                let find = |name: &str| {
                    let stream = *streams.get(name).ok_or_else(|| misfit(name))?;
                    let split = &plan.options.splits[unit.split];
                    Ok((stream, shard_path(&plan.folders[stream], split, unit.number)))
                };
                let position = |it: &String| inputs.get(it).copied().ok_or_else(|| misfit(it));
                let inputs = record.inputs.iter().map(position).collect::<Result<Vec<_>>>()?;
                let place = Place { split: unit.split, number: unit.number, find: &find, inputs };
                folded.add(plan, &record, &place)?;
                visit(unit, record.run)?;
            }
        }
        folded.shards.sort_by_key(|it| it.facts.id);
        folded.contents.append(&mut encoder.take_spanning_contents());
        let missing = encoder.spanning_episodes();
        rehash::contents(&plan.staging, &plan.tables, &folded.shards, &missing, &mut folded.contents)?;
        Ok(folded)
    }

    fn add(&mut self, plan: &Plan, record: &UnitRecord, place: &Place<'_>) -> Result<()> {
        let dir = plan.staging.unit(unit_name(&record.recipe));
        for (sealed, kept) in record.shards(place)?.into_iter().zip(&record.shards) {
            let stream = sealed.facts.id.stream;
            plan.staging.link(&dir.join(&kept.file), &sealed.path)?;
            for (stats, kept) in self.stats[stream].iter_mut().zip(&kept.stats) {
                stats.join(kept)?;
            }
            for (episode, hash) in &kept.contents {
                let hash = blake3::Hash::from_hex(hash)
                    .map_err(|err| misfit(&kept.stream).with_source(std::io::Error::other(err)))?;
                self.contents.insert((*episode, stream), *hash.as_bytes());
            }
            self.shards.push(sealed);
        }
        Ok(())
    }
}

/// Reads the record of a unit, and makes it a part of the dataset, for later runs. What it was made of is
/// proved by the manifest there.
fn take_over(plan: &Plan, recipe: &str, at_hand: &Mutex<Option<UnitRecord>>) -> Result<UnitRecord> {
    let name = unit_name(recipe);
    let path = plan.staging.unit(name).join(RECORD);
    plan.staging.link(&path, &format!("{RECORDS}/{name}.zst"))?;
    let at_hand = at_hand.lock().unwrap_or_else(PoisonError::into_inner).take_if(|it| it.recipe == recipe);
    at_hand.map_or_else(|| UnitRecord::read(&path), Ok)
}

fn misfit(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the record of a finished unit speaks of `{what}` in another way"))
        .at(Locus::path(what))
        .with_hint("remove the hidden `.partial` folder beside the output, and run again")
}
