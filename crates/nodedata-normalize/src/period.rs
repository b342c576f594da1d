use nodedata_core::Result;

use crate::{
    PERIOD_MESSAGES_MIN, PERIODS_MAX,
    lookup::Lookup,
    store::{Held, Store},
};

/// How many messages a stream has in a recording, and how far apart they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// As the source's own index and what was read count them; `None` where neither covers all of the recording.
    pub(crate) n_messages: Option<u64>,
    /// Neighbours in the parts that were looked at, and the time from the first to the last in each.
    pub(crate) n_gaps: u64,
    pub(crate) gaps_ns: i64,
}

/// How far a message may be from a step where nobody says it, see [`PERIODS_MAX`]; `None` for any distance.
///
/// # Errors
/// What reading the first and the last message reports.
pub(crate) fn measured_ns(store: &Store, lookup: &Lookup, counted: Counted) -> Result<Option<i64>> {
    let Some(n_messages) = counted.n_messages else {
        return Ok(bound_ns(counted.gaps_ns, counted.n_gaps));
    };
    if n_messages < PERIOD_MESSAGES_MIN {
        return Ok(None);
    }
    let held = Held::new();
    let first = lookup.after(store, &held, i64::MIN)?;
    let last = lookup.before(store, &held, i64::MAX)?;
    let spanned = first.zip(last).map(|(first, last)| last.place.stamp.saturating_sub(first.place.stamp));
    Ok(spanned.and_then(|it| bound_ns(it, n_messages - 1)))
}

/// So many times the mean of gaps; `None` where there are too few, or no time between them.
fn bound_ns(gaps_ns: i64, n_gaps: u64) -> Option<i64> {
    if gaps_ns <= 0 || n_gaps + 1 < PERIOD_MESSAGES_MIN {
        return None;
    }
    let bound = i128::from(PERIODS_MAX) * i128::from(gaps_ns) / i128::from(n_gaps);
    Some(i64::try_from(bound).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_mean_periods_are_the_bound() {
        assert_eq!(bound_ns(100, 1), None);
        assert_eq!(bound_ns(0, 5), None);
        assert_eq!(bound_ns(200, 2), Some(1000));
        assert_eq!(bound_ns(i64::MAX, 2), Some(i64::MAX));
    }
}
