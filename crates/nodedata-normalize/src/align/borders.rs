/// Times of messages that the steps of one episode may take: all but those of the episodes before and after it. What lies
/// between two episodes belongs to neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Open {
    /// First time inside.
    from: i64,
    /// First time after; the largest i64 for no end.
    to: i64,
}

impl Open {
    const ALL: Self = Self { from: i64::MIN, to: i64::MAX };

    /// Whether a message of this time may be taken.
    #[inline]
    pub(crate) fn holds(self, stamp: i64) -> bool {
        self.from <= stamp && (stamp < self.to || self.to == i64::MAX)
    }
}

/// What each of some steps may take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Borders {
    /// By step; empty where there is no other episode.
    by_step: Vec<Open>,
}

impl Borders {
    /// Of steps in order of time, among the episodes of their recording, those that are left out as well: the first time inside
    /// of each and the first after it, in order and apart.
    pub(crate) fn new(steps: &[i64], episodes: &[(i64, i64)]) -> Self {
        if episodes.len() < 2 {
            return Self::default();
        }
        let of_step = |step: &i64| {
            let n_begun = episodes.partition_point(|it| it.0 <= *step);
            let before = n_begun.checked_sub(2).and_then(|it| episodes.get(it));
            Open {
                from: before.map_or(i64::MIN, |it| it.1),
                to: episodes.get(n_begun).map_or(i64::MAX, |it| it.0),
            }
        };
        Self { by_step: steps.iter().map(of_step).collect() }
    }

    /// Of the step at that position.
    pub(crate) fn of(&self, idx: usize) -> Open {
        self.by_step.get(idx).copied().unwrap_or(Open::ALL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_may_take_what_lies_between_its_neighbours() {
        let episodes = [(0, 10), (15, 20), (20, i64::MAX)];
        let borders = Borders::new(&[3, 9, 15, 25], &episodes);
        let open: Vec<(i64, i64)> = (0..4).map(|it| (borders.of(it).from, borders.of(it).to)).collect();
        assert_eq!(open, [(i64::MIN, 15), (i64::MIN, 15), (10, 20), (20, i64::MAX)]);
        assert!(borders.of(3).holds(i64::MAX) && !borders.of(2).holds(20) && borders.of(2).holds(12));
        assert_eq!(Borders::new(&[3], &episodes[..1]).of(0), Open::ALL);
    }
}
