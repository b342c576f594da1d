use super::{Choice, each_step};

/// The last row at or before each step.
pub(super) fn choose(stamps: &[i64], steps: &[i64], reach: i64) -> Choice {
    let mut choice = Choice::with_capacity(steps.len(), false);
    for (step, n_before) in each_step(stamps, steps) {
        let held = n_before.checked_sub(1).filter(|it| step.saturating_sub(stamps[*it]) <= reach);
        choice.push(held, held.map_or(0, |it| stamps[it].saturating_sub(step)));
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::NO_ROW;

    #[test]
    fn the_last_message_is_held_as_long_as_it_may_be() {
        let choice = choose(&[10, 20, 20], &[9, 10, 19, 20, 25, 26], 5);
        assert_eq!(choice.rows, [NO_ROW, 0, NO_ROW, 2, 2, NO_ROW]);
        assert_eq!(choice.skew_ns, [0, 0, 0, 0, -5, 0]);
        assert_eq!(choose(&[10, 20], &[1000], i64::MAX).rows, [1]);
    }
}
