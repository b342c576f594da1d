use std::collections::BTreeMap;

use nodedata_core::Nested;
use serde::{Deserialize, Serialize};

use super::leaf_values::for_each_bytes;
use crate::repeats::PackedTexts;

/// More distinct texts than this are only known to be many.
const DISTINCT_MAX: usize = 64;
/// Texts longer than this are not listed.
const LISTED_BYTES_MAX: usize = 256;

/// Measures text or bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Texts {
    pub(crate) count: u64,
    pub(crate) total_bytes: u64,
    /// Shortest and longest, in bytes.
    pub(crate) lengths: Option<(u64, u64)>,
    /// How often each text occurs; `None` for bytes, and once there are too many or too long ones.
    pub(crate) distinct: Option<BTreeMap<String, u64>>,
}

impl Texts {
    /// Nothing yet. Bytes are not listed.
    pub(crate) fn new(is_text: bool) -> Self {
        Self { count: 0, total_bytes: 0, lengths: None, distinct: is_text.then(BTreeMap::new) }
    }

    /// Takes in what was measured of the values that follow.
    pub(crate) fn join(&mut self, other: &Self) {
        self.count += other.count;
        self.total_bytes += other.total_bytes;
        self.lengths = match (self.lengths, other.lengths) {
            (None, it) | (it, None) => it,
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        };
        match &other.distinct {
            None => self.distinct = None,
            Some(counts) => {
                counts.iter().for_each(|(text, n)| note(&mut self.distinct, (text.as_bytes(), *n)));
            }
        }
    }

    pub(crate) fn update(&mut self, leaf: &Nested) {
        // Robot text repeats: a run of one text, and of one row of them, is looked up once.
        let mut run: (&[u8], u64) = (&[], 0);
        if let Some(texts) = PackedTexts::of(leaf) {
            for (stretch, n_times) in texts.stretches() {
                stretch.for_each(|idx| self.add(texts.text(idx), n_times as u64, &mut run));
            }
        } else {
            let valid = leaf.items.last().and_then(|it| it.valid.as_ref());
            for_each_bytes(leaf.values.as_ref(), |idx, value| {
                if valid.is_none_or(|it| it.is_valid(idx)) {
                    self.add(value, 1, &mut run);
                }
            });
        }
        note(&mut self.distinct, run);
    }

    /// Takes in a value that occurs `n` times. `run` is not looked up yet.
    #[inline]
    fn add<'a>(&mut self, value: &'a [u8], n: u64, run: &mut (&'a [u8], u64)) {
        let n_bytes = value.len() as u64;
        self.count += n;
        self.total_bytes += n * n_bytes;
        self.lengths = Some(match self.lengths {
            None => (n_bytes, n_bytes),
            Some((min, max)) => (min.min(n_bytes), max.max(n_bytes)),
        });
        if self.distinct.is_none() {
            return;
        }
        if run.0 == value {
            run.1 += n;
        } else {
            note(&mut self.distinct, *run);
            *run = (value, n);
        }
    }
}

fn note(distinct: &mut Option<BTreeMap<String, u64>>, (value, n): (&[u8], u64)) {
    let Some(counts) = distinct else { return };
    if n == 0 {
        return;
    }
    // Arrow text is UTF-8.
    let text = String::from_utf8_lossy(value);
    if let Some(count) = counts.get_mut(&*text) {
        *count += n;
    } else if counts.len() < DISTINCT_MAX && value.len() <= LISTED_BYTES_MAX {
        counts.insert(text.into_owned(), n);
    } else {
        *distinct = None;
    }
}
