use super::{Choice, each_step};

/// The row nearest to each step; of two equally near the earlier one.
pub(super) fn choose(stamps: &[i64], steps: &[i64], reach: i64) -> Choice {
    let mut choice = Choice::with_capacity(steps.len(), false);
    for (step, n_before) in each_step(stamps, steps) {
        let distance = |row: usize| stamps[row].saturating_sub(step).saturating_abs();
        let before = n_before.checked_sub(1);
        let after = Some(n_before).filter(|it| *it < stamps.len());
        let nearest = match (before, after) {
            (Some(before), Some(after)) if distance(after) < distance(before) => Some(after),
            (Some(before), _) => Some(before),
            (None, after) => after,
        };
        let nearest = nearest.filter(|it| distance(*it) <= reach);
        choice.push(nearest, nearest.map_or(0, |it| stamps[it].saturating_sub(step)));
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::NO_ROW;

    #[test]
    fn the_nearest_in_reach_is_taken_and_ties_go_to_the_earlier() {
        let stamps = [0, 10, 20, 20, 40];
        let steps = [-6, -5, 4, 5, 6, 19, 20, 29, 31, 45, 46];
        let choice = choose(&stamps, &steps, 5);
        let none = NO_ROW;
        assert_eq!(choice.rows, [none, 0, 0, 0, 1, 2, 3, none, none, 4, none]);
        assert_eq!(choice.skew_ns, [0, 5, -4, -5, 4, 1, 0, 0, 0, -5, 0]);
        assert_eq!(choose(&stamps, &[i64::MIN, 30, i64::MAX], i64::MAX).rows, [0, 3, 4]);
    }
}
