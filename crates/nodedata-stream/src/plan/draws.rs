use std::sync::Arc;

use nodedata_core::Result;

use super::{Plan, Position};
use crate::{Located, Order, PERIOD, Period};

/// What stands at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// Which source it is of.
    pub source: usize,
    /// In which of that one's epochs.
    pub epoch: u64,
    /// Its number among the samples of the source.
    pub sample: u64,
    /// Where it lies.
    pub located: Located,
}

/// Draws from the pass that a position is in. Places may be asked for in any order; rising ones find the orders that they need ready,
/// of which one for each source is kept.
#[derive(Debug)]
pub struct Draws {
    plan: Arc<Plan>,
    /// The first epoch of each source.
    epochs: Vec<u64>,
    /// The pass begins at this place of all passes end to end.
    start: u64,
    orders: Vec<Option<(u64, Order)>>,
    period: Option<Period>,
}

impl Draws {
    /// Draws from the pass of a position of the plan.
    pub fn new(plan: Arc<Plan>, position: &Position) -> Self {
        let orders = plan.sources.iter().map(|_| None).collect();
        // No overflow: positions are checked when they are made.
        let start = position.pass() * plan.n_places;
        Self { epochs: position.epochs().to_vec(), start, orders, period: None, plan }
    }

    /// What stands at a place of the pass; `None` behind its last one.
    ///
    /// # Errors
    /// None but what the plan would have told.
    pub fn draw(&mut self, place: u64) -> Result<Option<Draw>> {
        if place >= self.plan.n_places {
            return Ok(None);
        }
        let Some((source, nth)) = self.nth(place) else { return Ok(None) };
        let (Some(planned), Some(first_epoch)) = (self.plan.sources.get(source), self.epochs.get(source))
        else {
            return Ok(None);
        };
        let n_samples = planned.samples().len().max(1);
        // Epochs are numbers of 64 bit that wrap, as all of this order.
        let (epoch, place) = (first_epoch.wrapping_add(nth / n_samples), nth % n_samples);
        let Some(kept) = self.orders.get_mut(source) else { return Ok(None) };
        let order = match kept {
            Some((of, order)) if *of == epoch => &*order,
            _ => &kept.insert((epoch, planned.order(epoch)?)).1,
        };
        let drawn = order.sample(place).and_then(|sample| {
            let located = planned.samples().locate(sample)?;
            Some(Draw { source, epoch, sample, located })
        });
        Ok(drawn)
    }

    /// The source of a place of the pass, and which of its samples since its first epoch.
    fn nth(&mut self, place: u64) -> Option<(usize, u64)> {
        let Some(mix) = &self.plan.mix else { return Some((0, place)) };
        let place = self.start + place;
        let period = match self.period.take() {
            Some(period) if period.number() == place / PERIOD => period,
            _ => mix.mixture.period(place / PERIOD),
        };
        mix.mixture.draw(self.period.insert(period), place)
    }
}
