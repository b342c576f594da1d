use super::{Apart, Around, Choice, NO_ROW, row_number};

/// The rows around each step, both in reach, and how far the step is on its way from one to the other. A row at
/// the very time of the step stands alone.
pub(super) fn choose(stamps: &[i64], around: impl ExactSizeIterator<Item = Around>, reach: Apart) -> Choice {
    let mut choice = Choice::with_capacity(around.len(), true);
    for Around { step, before, after } in around {
        let are_near = |before: usize, after: usize| {
            let (before, after) = (stamps[before], stamps[after]);
            match reach {
                Apart::Step(max_ns) => {
                    step.saturating_sub(before) <= max_ns && after.saturating_sub(step) <= max_ns
                }
                Apart::Neighbours(max_ns) => after.saturating_sub(before) <= max_ns,
            }
        };
        let (row, after, weight, skew_ns) = match (before, after) {
            (Some(before), _) if stamps[before] == step => (Some(before), Some(before), 0.0, 0),
            (Some(before), Some(after)) if are_near(before, after) => {
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
    use super::{super::each_step, *};
    use crate::align::Borders;

    fn chosen(stamps: &[i64], steps: &[i64], reach: Apart) -> Choice {
        choose(stamps, each_step(stamps, steps, &Borders::default(), false), reach)
    }

    #[test]
    fn both_neighbours_must_be_in_reach() {
        let choice = chosen(&[0, 10, 40], &[-1, 0, 4, 10, 20, 35, 40, 41], Apart::Step(10));
        let none = NO_ROW;
        assert_eq!(choice.rows, [none, 0, 0, 1, none, none, 2, none]);
        assert_eq!(choice.after, [none, 0, 1, 1, none, none, 2, none]);
        assert_eq!(choice.weights, [0.0, 0.0, 0.4, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(choice.skew_ns, [0, 0, -4, 0, 0, 0, 0, 0]);
        assert_eq!(chosen(&[0, 10], &[8], Apart::Step(10)).skew_ns, [2]);
    }

    #[test]
    fn neighbours_that_are_too_far_apart_have_nothing_between_them() {
        let choice = chosen(&[0, 10, 30], &[5, 10, 11, 20, 29, 30], Apart::Neighbours(15));
        assert_eq!(choice.rows, [0, 1, NO_ROW, NO_ROW, NO_ROW, 2]);
    }
}
