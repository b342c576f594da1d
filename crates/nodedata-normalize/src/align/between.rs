use super::{Choice, NO_ROW, each_step, row_number};

/// The rows around each step, both in reach, and how far the step is on its way from one to the other. A row at
/// the very time of the step stands alone.
pub(super) fn choose(stamps: &[i64], steps: &[i64], reach: i64) -> Choice {
    let mut choice = Choice::with_capacity(steps.len(), true);
    for (step, n_before) in each_step(stamps, steps) {
        let before = n_before.checked_sub(1).filter(|it| step.saturating_sub(stamps[*it]) <= reach);
        let after =
            Some(n_before).filter(|it| stamps.get(*it).is_some_and(|it| it.saturating_sub(step) <= reach));
        let (row, after, weight, skew_ns) = match (before, after) {
            (Some(before), _) if stamps[before] == step => (Some(before), Some(before), 0.0, 0),
            (Some(before), Some(after)) => {
                let (passed, left) =
                    (step.saturating_sub(stamps[before]), stamps[after].saturating_sub(step));
                let weight = passed as f64 / (passed as f64 + left as f64);
                (Some(before), Some(after), weight, if left < passed { left } else { -passed })
            }
            _ => (None, None, 0.0, 0),
        };
        choice.push(row, skew_ns);
        choice.after.push(after.map_or(NO_ROW, row_number));
        choice.weights.push(weight);
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_neighbours_must_be_in_reach() {
        let choice = choose(&[0, 10, 40], &[-1, 0, 4, 10, 20, 35, 40, 41], 10);
        let none = NO_ROW;
        assert_eq!(choice.rows, [none, 0, 0, 1, none, none, 2, none]);
        assert_eq!(choice.after, [none, 0, 1, 1, none, none, 2, none]);
        assert_eq!(choice.weights, [0.0, 0.0, 0.4, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(choice.skew_ns, [0, 0, -4, 0, 0, 0, 0, 0]);
        assert_eq!(choose(&[0, 10], &[8], 10).skew_ns, [2]);
    }
}
