use super::{Around, Choice};

/// The row nearest to each step; of two equally near the earlier one.
pub(super) fn choose(stamps: &[i64], around: impl ExactSizeIterator<Item = Around>, reach: i64) -> Choice {
    let mut choice = Choice::with_capacity(around.len(), false);
    for Around { step, before, after } in around {
        let distance = |row: usize| stamps[row].saturating_sub(step).saturating_abs();
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
    use super::{super::each_step, *};
    use crate::align::{Borders, NO_ROW};

    fn chosen(stamps: &[i64], steps: &[i64], borders: &Borders, reach: i64) -> Choice {
        choose(stamps, each_step(stamps, steps, borders, false), reach)
    }

    #[test]
    fn the_nearest_in_reach_is_taken_and_ties_go_to_the_earlier() {
        let stamps = [0, 10, 20, 20, 40];
        let steps = [-6, -5, 4, 5, 6, 19, 20, 29, 31, 45, 46];
        let all = Borders::default();
        let choice = chosen(&stamps, &steps, &all, 5);
        let none = NO_ROW;
        assert_eq!(choice.rows, [none, 0, 0, 0, 1, 2, 3, none, none, 4, none]);
        assert_eq!(choice.skew_ns, [0, 5, -4, -5, 4, 1, 0, 0, 0, -5, 0]);
        assert_eq!(chosen(&stamps, &[i64::MIN, 30, i64::MAX], &all, i64::MAX).rows, [0, 3, 4]);
    }

    #[test]
    fn a_message_of_another_episode_is_never_the_nearest() {
        let steps = [9, 10];
        let borders = Borders::new(&steps, &[(0, 10), (10, 20)]);
        assert_eq!(chosen(&[1, 10, 11], &steps, &borders, 100).rows, [0, 1]);
        assert_eq!(chosen(&[9, 15], &steps, &borders, 100).rows, [0, 1]);
    }
}
