//! What damage cost that a walk met, as far as the indexes of the bag tell.

use std::{collections::BTreeMap, ops::Range};

use nodedata_core::Result;
use nodedata_log::{Cost, Damage, UnitKind};

use super::{
    super::{
        index::IndexedChunk,
        record::{Counted, corrupt_at},
    },
    Scanner,
};

/// Chunks that the index names and nobody found: where the first is said to lie, how many, and what they cost.
type Missing = Option<(u64, u64, Cost)>;

/// What to do where one index says something that nothing else does.
const LOOK: &str =
    "bits have flipped in the index, or in a message of the chunk: compare with another copy of the bag";

/// Chunks of which an index says something else than their messages.
#[derive(Debug, Default)]
struct Disputes {
    /// Those of which both indexes say the same.
    damage: Vec<Damage>,
    /// Of which the index of the bag alone counts more than are there: where the first starts, and how many.
    overcounted: Option<(u64, u64)>,
}

impl Scanner<'_> {
    /// Says what is known of the messages of chunks that are damaged: what the index counts of them, or else the message indexes
    /// behind them, less what was found of them after all.
    ///
    /// # Errors
    /// Opened to fail, `Corrupt` for messages that are counted and not there.
    pub(super) fn count_losses(&mut self) -> Result<()> {
        let mut infos = std::mem::take(&mut self.infos);
        infos.sort_by_key(|it| it.start);
        infos.dedup_by_key(|it| it.start);
        // The walk lists damage and units in the order of the file.
        let ranges = self.facts.damage.iter().enumerate();
        let ranges = ranges.filter_map(|(idx, it)| Some((it.cost.byte_range.clone()?, idx)));
        let ranges: Vec<(Range<u64>, usize)> = ranges.collect();
        let nexts: Vec<u64> = infos.iter().skip(1).map(|it| it.start).chain([u64::MAX]).collect();
        let (mut disputes, mut missing) = (Disputes::default(), Missing::None);
        for (info, next) in infos.into_iter().zip(nexts) {
            if !self.is_unit(&info, &mut disputes) {
                self.lost_chunk(info, next, &ranges, &mut missing);
            }
        }
        for Damage { error, cost } in disputes.damage {
            self.damaged(error, cost)?;
        }
        if let Some((first, n)) = disputes.overcounted {
            let message = format!(
                "the index of the bag counts more messages in {n} chunks than there are, the first of them here, and no message \
                 index behind a chunk says the same"
            );
            self.warn(corrupt_at(first, message).with_hint(LOOK));
        }
        self.hold_against_message_indexes()?;
        for (error, cost) in std::mem::take(&mut self.strays).into_damage() {
            self.damaged(error, cost)?;
        }
        if let Some((first, n, cost)) = missing {
            let message = format!("the index names {n} chunks where none was found, the first of them here");
            self.damaged(corrupt_at(first, message), cost)?;
        }
        for (position, counts) in std::mem::take(&mut self.behind_damage) {
            let Some(range) = self.facts.damage[position].cost.byte_range.clone() else { continue };
            let behind = self.units.partition_point(|it| it.byte_range.start < range.end);
            let next = self.units[behind..].iter().find(|it| it.kind != UnitKind::Records);
            let next = next.map_or(u64::MAX, |it| it.byte_range.start);
            let found = self.gathered_between(range.start..next);
            add_lost(&mut self.facts.damage[position].cost, counts, &found);
        }
        Ok(())
    }

    /// What the message indexes behind chunks say of which nothing else tells, as in a bag that was not closed. More messages than
    /// there are were lost, since an index is as long as it has entries; as many that are others may be a flipped bit on either side.
    fn hold_against_message_indexes(&mut self) -> Result<()> {
        let mut others: Option<(u64, u64)> = None;
        for (start, Counted { counts, times }) in std::mem::take(&mut self.disputed) {
            let at = self.units.partition_point(|it| it.byte_range.start < start);
            let Some(unit) = self.units.get(at).filter(|it| it.byte_range.start == start) else { continue };
            let Some(found) = &unit.counts else { continue };
            let found: BTreeMap<u32, u64> = found.iter().copied().collect();
            let mut cost = Cost::range("damaged_chunk", unit.byte_range.clone());
            let (n_counted, n_found) = (total(&counts), total(&found));
            let is_of_others = counts.iter().any(|(conn, n)| found.get(conn).is_none_or(|it| it < n));
            if n_found < n_counted {
                self.strays.forget(start);
                add_lost(&mut cost, counts, &found);
                let n = total(&cost.records);
                let message =
                    format!("{n} messages that the message indexes behind the chunk count are not in it");
                self.damaged(corrupt_at(start, message), cost)?;
            } else if is_of_others || (n_found == n_counted && times != unit.times) {
                let (_, n) = others.get_or_insert((start, 0));
                *n += 1;
            }
        }
        if let Some((first, n)) = others {
            let message = format!(
                "the message indexes behind {n} chunks, the first of them here, say other connections or times of its messages \
                 than these themselves"
            );
            self.warn(corrupt_at(first, message).with_hint(LOOK));
        }
        Ok(())
    }

    /// Whether a chunk of the index is a unit, which then learns what the index says of it.
    fn is_unit(&mut self, info: &IndexedChunk, disputes: &mut Disputes) -> bool {
        let at = self.units.partition_point(|it| it.byte_range.start < info.start);
        let Some(unit) = self.units.get_mut(at) else { return false };
        if unit.byte_range.start != info.start || unit.kind == UnitKind::Records {
            return false;
        }
        match &unit.counts {
            // It cannot be decoded, which is listed when it is read.
            None => {
                unit.counts = Some(info.counts.iter().map(|(conn, n)| (*conn, *n)).collect());
                unit.times.get_or_insert(info.times);
            }
            Some(found) => {
                let found: BTreeMap<u32, u64> = found.iter().copied().collect();
                let said = self.disputed.get(&info.start);
                if info.agrees(&Counted { counts: found.clone(), times: unit.times }) {
                    // What the message indexes say is said by nobody else.
                    self.disputed.remove(&info.start);
                    return true;
                }
                if !said.is_some_and(|it| info.agrees(it)) {
                    // The message indexes may say the same as the messages, but for those that say nothing.
                    let is_outvoted = said.is_none() && !found.is_empty();
                    let n_found = total(&found) + self.strays.n_in(info.start);
                    if !is_outvoted && n_found < total(&info.counts) {
                        let (_, n) = disputes.overcounted.get_or_insert((info.start, 0));
                        *n += 1;
                    }
                    return true;
                }
                // Both indexes say something else than the messages: bits have flipped in these.
                self.disputed.remove(&info.start);
                unit.times = Some(info.times);
                let mut cost = Cost::range("damaged_chunk", unit.byte_range.clone());
                add_lost(&mut cost, info.counts.clone(), &found);
                if !cost.records.is_empty() {
                    // That is how many have a damaged op as well.
                    self.strays.forget(info.start);
                    let n = total(&cost.records);
                    let message = format!("{n} messages that the indexes count are not in their chunk");
                    disputes.damage.push(Damage { error: corrupt_at(info.start, message), cost });
                }
            }
        }
        true
    }

    /// Adds the messages of a chunk that is no unit to the cost of what hit it. The next one starts at `next`, and `ranges` are
    /// those of the damage.
    fn lost_chunk(
        &mut self,
        info: IndexedChunk,
        next: u64,
        ranges: &[(Range<u64>, usize)],
        missing: &mut Missing,
    ) {
        let found = self.gathered_between(info.start..next);
        let before = ranges.partition_point(|it| it.0.start <= info.start);
        match before.checked_sub(1).filter(|it| ranges[*it].0.contains(&info.start)) {
            Some(first) => {
                add_lost(&mut self.facts.damage[ranges[first].1].cost, info.counts, &found);
                // Whatever message indexes tell of this chunk is told.
                let last = ranges.partition_point(|it| it.0.start < next);
                ranges[first..last].iter().for_each(|it| drop(self.behind_damage.remove(&it.1)));
            }
            None => {
                let nothing = || (info.start, 0, Cost::nothing("missing_chunk"));
                let (_, n, cost) = missing.get_or_insert_with(nothing);
                *n += 1;
                add_lost(cost, info.counts, &found);
            }
        }
    }

    /// Messages by connection that were found outside of chunks in a part of the file.
    fn gathered_between(&self, part: Range<u64>) -> BTreeMap<u32, u64> {
        let mut found = BTreeMap::new();
        let start = self.units.partition_point(|it| it.byte_range.start < part.start);
        let inside = self.units[start..].iter().take_while(|it| it.byte_range.start < part.end);
        for unit in inside.filter(|it| it.kind == UnitKind::Records) {
            for (conn, n) in unit.counts.iter().flatten() {
                *found.entry(*conn).or_default() += n;
            }
        }
        found
    }
}

fn total(counts: &BTreeMap<u32, u64>) -> u64 {
    counts.values().sum()
}

/// Adds what is counted and was not found.
fn add_lost(cost: &mut Cost, counted: BTreeMap<u32, u64>, found: &BTreeMap<u32, u64>) {
    cost.uncounted = false;
    for (conn, n) in counted {
        let n_lost = n.saturating_sub(found.get(&conn).copied().unwrap_or(0));
        if n_lost != 0 {
            *cost.records.entry(conn).or_default() += n_lost;
        }
    }
}
