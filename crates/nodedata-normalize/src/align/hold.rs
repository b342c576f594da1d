use super::{Around, Choice};

/// The last row at or before each step.
pub(super) fn choose(stamps: &[i64], around: impl ExactSizeIterator<Item = Around>, reach: i64) -> Choice {
    let mut choice = Choice::with_capacity(around.len(), false);
    for Around { step, before, .. } in around {
        let held = before.filter(|it| step.saturating_sub(stamps[*it]) <= reach);
        choice.push(held, held.map_or(0, |it| stamps[it].saturating_sub(step)));
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::{super::each_step, *};
    use crate::align::{Borders, NO_ROW};

    #[test]
    fn the_last_message_is_held_as_long_as_it_may_be() {
        let all = Borders::default();
        let chosen = |stamps: &[i64], steps: &[i64], reach: i64| {
            choose(stamps, each_step(stamps, steps, &all, false), reach)
        };
        let choice = chosen(&[10, 20, 20], &[9, 10, 19, 20, 25, 26], 5);
        assert_eq!(choice.rows, [NO_ROW, 0, NO_ROW, 2, 2, NO_ROW]);
        assert_eq!(choice.skew_ns, [0, 0, 0, 0, -5, 0]);
        assert_eq!(chosen(&[10, 20], &[1000], i64::MAX).rows, [1]);
    }

    #[test]
    fn only_what_crosses_is_held_from_one_episode_to_the_next() {
        let (stamps, steps) = ([5, 32], [8, 31, 33]);
        let borders = Borders::new(&steps, &[(0, 10), (30, 40)]);
        let chosen = |crosses: bool| choose(&stamps, each_step(&stamps, &steps, &borders, crosses), 100).rows;
        assert_eq!(chosen(false), [0, NO_ROW, 1]);
        assert_eq!(chosen(true), [0, 0, 1]);
    }
}
