//! Lists of several lengths: which of their values belong to which steps.

use std::collections::BTreeMap;

use nodedata_core::Result;

use crate::{pages::Pages, table::Table};

const FLAT_VALUES: &[u8] = b"/ragged_flat_values";
const ROW_LENGTHS: &[u8] = b"/ragged_row_lengths_";

/// Lists of a record that are counted one by one.
const LENGTHS_MAX: u64 = 4 << 20;

/// What a key of a list of several lengths begins with, and of which level it has the lengths; `None` of the level for the
/// values. `None` for any other key.
pub(crate) fn ragged_parts(key: &[u8]) -> Option<(&[u8], Option<usize>)> {
    if let Some(stem) = key.strip_suffix(FLAT_VALUES) {
        return Some((stem, None));
    }
    let digits = key.iter().rposition(|it| !it.is_ascii_digit())? + 1;
    let stem = key[..digits].strip_suffix(ROW_LENGTHS)?;
    let level = str::from_utf8(&key[digits..]).ok()?.parse().ok()?;
    Some((stem, Some(level)))
}

/// The keys of a feature whose steps have lists of several lengths.
#[derive(Default)]
pub(crate) struct Ragged<'a> {
    values: Option<(&'a [u8], &'a Table)>,
    lengths: BTreeMap<usize, (&'a [u8], &'a Table)>,
}

/// By key, the values that belong to the steps before each, and to all of them.
type ValuesBefore<'a> = Vec<(&'a [u8], Vec<u64>)>;

impl<'a> Ragged<'a> {
    /// All that there are among keys.
    pub(crate) fn all(tables: impl Iterator<Item = (&'a [u8], &'a Table)>) -> Vec<Self> {
        let mut by_stem: BTreeMap<&[u8], Self> = BTreeMap::new();
        for (key, table) in tables {
            let Some((stem, level)) = ragged_parts(key) else { continue };
            let ragged = by_stem.entry(stem).or_default();
            match level {
                None => ragged.values = Some((key, table)),
                Some(level) => {
                    ragged.lengths.insert(level, (key, table));
                }
            }
        }
        by_stem.into_values().collect()
    }

    /// By key, how many of its values belong to the steps before each, and to all of them. `None` where the lengths do not add
    /// up to what there is.
    ///
    /// # Errors
    /// `Io`; `Corrupt`.
    pub(crate) fn values_before(
        &self,
        n_steps: u64,
        pages: &mut Pages<'_>,
    ) -> Result<Option<ValuesBefore<'a>>> {
        let mut all = Vec::new();
        if LENGTHS_MAX < n_steps {
            return Ok(None);
        }
        // Lists of the level before each step.
        let mut before: Vec<u64> = (0..=n_steps).collect();
        for (position, (level, (key, table))) in self.lengths.iter().enumerate() {
            if LENGTHS_MAX < table.n_values || position != *level || before.last() != Some(&table.n_values) {
                return Ok(None);
            }
            let lengths = table.ints(pages)?;
            let mut sums = Vec::with_capacity(lengths.len() + 1);
            let mut sum = Some(0u64);
            sums.extend(sum);
            for length in lengths {
                sum = sum.zip(u64::try_from(length).ok()).and_then(|(sum, it)| sum.checked_add(it));
                sums.extend(sum);
            }
            let below: Option<Vec<u64>> =
                before.iter().map(|it| sums.get(usize::try_from(*it).ok()?).copied()).collect();
            all.push((*key, before));
            let Some(below) = below else { return Ok(None) };
            before = below;
        }
        let n_items = before.last().copied().unwrap_or(0);
        let Some((key, table)) = self.values else {
            // Lists that are all empty may have no values at all.
            return Ok((n_items == 0).then_some(all));
        };
        let per_item = table.n_values.checked_div(n_items).unwrap_or(0);
        if n_items.checked_mul(per_item) != Some(table.n_values) {
            return Ok(None);
        }
        all.push((key, before.into_iter().map(|it| it * per_item).collect()));
        Ok(Some(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_lists_tell_their_level() {
        for (key, parts) in [
            ("steps/a/ragged_flat_values", Some(("steps/a", None))),
            ("steps/a/ragged_row_lengths_10", Some(("steps/a", Some(10)))),
            ("steps/a/ragged_row_lengths_", None),
            ("steps/a/shape", None),
            ("1", None),
        ] {
            let expected = parts.map(|(stem, level)| (stem.as_bytes(), level));
            assert_eq!(ragged_parts(key.as_bytes()), expected, "{key}");
        }
    }
}
