//! What the arm of an episode does, and the statistics that LeRobot keeps of it.

use std::collections::BTreeMap;

use super::shape::Episode;
use crate::bench::noise::Noise;

/// Numbers of a state or an action.
pub(super) const N_JOINTS: usize = 7;

/// State and action of each step.
pub(super) struct Motion {
    pub(super) state: Vec<[f32; N_JOINTS]>,
    pub(super) action: Vec<[f32; N_JOINTS]>,
}

impl Motion {
    /// A random walk, and where it goes next; always the same for the same episode.
    pub(super) fn of(episode: &Episode) -> Self {
        let mut noise = Noise::new(episode.idx + 1);
        let mut position = [0.0_f32; N_JOINTS];
        let mut motion = Self { state: Vec::new(), action: Vec::new() };
        for _ in 0..episode.n_steps {
            motion.state.push(position);
            for joint in &mut position {
                *joint += noise.signed_unit() as f32 / 30.0;
            }
            motion.action.push(position);
        }
        motion
    }
}

/// Statistics by name, one number a joint; `count` has one number.
pub(super) type Stats = BTreeMap<&'static str, Vec<f64>>;

const QUANTILES: [(&str, f64); 5] =
    [("q01", 0.01), ("q10", 0.10), ("q50", 0.50), ("q90", 0.90), ("q99", 0.99)];

/// The statistics that version 3 keeps.
pub(super) fn stats(values: &[[f32; N_JOINTS]]) -> Stats {
    let mut stats = Stats::new();
    let n = values.len().max(1) as f64;
    for joint in 0..N_JOINTS {
        let mut sorted: Vec<f64> = values.iter().map(|it| f64::from(it[joint])).collect();
        sorted.sort_by(f64::total_cmp);
        let mean = sorted.iter().sum::<f64>() / n;
        let variance = sorted.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / n;
        let at = |quantile: f64| {
            let last = sorted.len().saturating_sub(1) as f64;
            sorted.get((quantile * last).round() as usize).copied().unwrap_or_default()
        };
        let mut add = |name, value| stats.entry(name).or_default().push(value);
        add("min", at(0.0));
        add("max", at(1.0));
        add("mean", mean);
        add("std", variance.sqrt());
        for (name, quantile) in QUANTILES {
            add(name, at(quantile));
        }
    }
    stats.insert("count", vec![values.len() as f64]);
    stats
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_the_values() {
        let found = stats(&[[1.0; N_JOINTS], [2.0; N_JOINTS], [6.0; N_JOINTS]]);
        let first = |name| found[name][0];
        assert_eq!((first("min"), first("max"), first("mean"), first("q50")), (1.0, 6.0, 3.0, 2.0));
        assert!((first("std") - (14.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(found["count"], [3.0]);
    }
}
