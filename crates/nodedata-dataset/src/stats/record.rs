use nodedata_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::{
    FeatureStats, Values,
    moments::{Moments, Number},
    numeric::{Measured, Numeric},
    sample::Sample,
    texts::Texts,
};

/// The measurements of one feature in one unit, as they are kept until the units are joined. Floating-point
/// numbers are kept as their bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StatsRecord {
    pub(super) count: u64,
    pub(super) null_count: u64,
    pub(super) null_item_count: u64,
    pub(super) lengths: Vec<Option<(u64, u64)>>,
    pub(super) values: ValuesRecord,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ValuesRecord {
    /// `None` before the first row.
    Numbers(Option<NumbersRecord>),
    Texts(Texts),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct NumbersRecord {
    inner: Vec<usize>,
    by_position: bool,
    stride: usize,
    n_rows: u64,
    /// Per position: count, origin, mean, sum of squares, least, greatest.
    moments: Words,
    nan_count: Vec<u64>,
    inf_count: Vec<u64>,
    /// The sample has every so manieth row.
    every: u64,
    sample: Words,
}

/// Numbers of 64 bit that lie behind the record's text: there may be a million of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Words {
    /// First byte, and number of words.
    at: (usize, usize),
    #[serde(skip)]
    words: Vec<u64>,
}

impl Words {
    fn new(words: Vec<u64>) -> Self {
        Self { at: (0, 0), words }
    }

    fn pack(&mut self, blob: &mut Vec<u8>) {
        self.at = (blob.len(), self.words.len());
        blob.reserve(self.words.len() * 8);
        self.words.iter().for_each(|it| blob.extend_from_slice(&it.to_le_bytes()));
    }

    fn unpack(&mut self, blob: &[u8]) -> Option<()> {
        let (start, n_words) = self.at;
        let end = start.checked_add(n_words.checked_mul(8)?)?;
        let bytes = blob.get(start..end)?;
        self.words = bytes.as_chunks::<8>().0.iter().map(|it| u64::from_le_bytes(*it)).collect();
        Some(())
    }
}

impl StatsRecord {
    /// Puts the many numbers behind `blob`.
    pub(crate) fn pack(&mut self, blob: &mut Vec<u8>) {
        if let ValuesRecord::Numbers(Some(it)) = &mut self.values {
            it.moments.pack(blob);
            it.sample.pack(blob);
        }
    }

    /// Takes the numbers back; `None` when they are not there.
    pub(crate) fn unpack(&mut self, blob: &[u8]) -> Option<()> {
        if let ValuesRecord::Numbers(Some(it)) = &mut self.values {
            it.moments.unpack(blob)?;
            it.sample.unpack(blob)?;
        }
        Some(())
    }
}

impl NumbersRecord {
    pub(super) fn new<T: Number>(numeric: &Numeric<T>) -> Option<Self> {
        let (measured, by_position) = numeric.measured()?;
        let moments = measured.moments().into_iter().flat_map(|it| it.to_words()).collect();
        Some(Self {
            inner: numeric.inner().to_vec(),
            by_position,
            stride: measured.stride,
            n_rows: measured.n_rows(),
            moments: Words::new(moments),
            nan_count: measured.nan_count.clone(),
            inf_count: measured.inf_count.clone(),
            every: measured.sample.every(),
            sample: Words::new(measured.sample.values().iter().map(|it| it.to_bits()).collect()),
        })
    }

    /// `None` when it is not what [`Self::new`] made.
    pub(super) fn numeric<T: Number>(&self) -> Option<Numeric<T>> {
        let n = self.stride;
        let counts = [self.moments.words.len() / 6, self.nan_count.len(), self.inf_count.len()];
        if counts != [n; 3] || !self.moments.words.len().is_multiple_of(6) {
            return None;
        }
        let moments = self.moments.words.chunks_exact(6).map(Moments::from_words).collect::<Option<_>>()?;
        let values = self.sample.words.iter().map(|it| f64::from_bits(*it)).collect();
        let sample = Sample::from_values(n, self.every, values)?;
        let counts = (self.nan_count.clone(), self.inf_count.clone());
        let measured = Measured::from_parts(n, self.n_rows, moments, counts, sample);
        Some(Numeric::from_parts(self.inner.clone(), measured, self.by_position))
    }
}

impl FeatureStats {
    /// What was measured, to be kept.
    pub(crate) fn record(&self) -> StatsRecord {
        StatsRecord {
            count: self.count,
            null_count: self.null_count,
            null_item_count: self.null_item_count,
            lengths: self.lengths.clone(),
            values: self.values.record(),
        }
    }

    /// Takes in what was measured of the rows that follow.
    ///
    /// # Errors
    /// `Corrupt` when the record is of another feature, or damaged.
    pub(crate) fn join(&mut self, record: &StatsRecord) -> Result<()> {
        let misfit = || Error::new(ErrorKind::Corrupt, "kept statistics do not fit their feature");
        if record.lengths.len() != self.lengths.len() {
            return Err(misfit());
        }
        self.count += record.count;
        self.null_count += record.null_count;
        self.null_item_count += record.null_item_count;
        for (mine, theirs) in self.lengths.iter_mut().zip(&record.lengths) {
            *mine = match (*mine, *theirs) {
                (None, it) | (it, None) => it,
                (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            };
        }
        let values: &mut Values = &mut self.values;
        values.join(&record.values).ok_or_else(misfit)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float32Array, StringArray, UInt8Array};
    use nodedata_core::{DType, Feature};

    use super::*;

    /// Measures `pieces` as units of their own, keeps and joins them.
    fn joined(feature: &Feature, pieces: &[ArrayRef]) -> FeatureStats {
        let mut all = FeatureStats::new(feature);
        for piece in pieces {
            let mut unit = FeatureStats::new(feature);
            unit.update(piece.as_ref());
            let mut kept = unit.record();
            let mut blob = vec![0; 3];
            kept.pack(&mut blob);
            let text = serde_json::to_string(&kept).unwrap();
            let mut record: StatsRecord = serde_json::from_str(&text).unwrap();
            record.unpack(&blob).unwrap();
            let ValuesRecord::Numbers(Some(_)) = &record.values else {
                all.join(&record).unwrap();
                continue;
            };
            // A byte less, and the numbers are not there.
            assert!(record.clone().unpack(&blob[..blob.len() - 1]).is_none());
            all.join(&record).unwrap();
        }
        all
    }

    fn straight(feature: &Feature, pieces: &[ArrayRef]) -> FeatureStats {
        let mut all = FeatureStats::new(feature);
        pieces.iter().for_each(|it| all.update(it.as_ref()));
        all
    }

    fn number(name: &str, stats: &FeatureStats) -> f64 {
        serde_json::to_value(stats.finish()).unwrap()[name].as_f64().unwrap()
    }

    #[test]
    fn one_unit_is_as_if_it_had_not_been_kept() {
        let feature = Feature::new("x", DType::Float32, Vec::new());
        let values = (0..9000).map(|it| if it % 7 == 0 { f32::NAN } else { it as f32 * 0.3 });
        let piece: ArrayRef = Arc::new(Float32Array::from_iter_values(values));
        let pieces = [piece];
        assert_eq!(joined(&feature, &pieces).finish(), straight(&feature, &pieces).finish());
    }

    #[test]
    fn several_units_agree_with_one_pass() {
        let feature = Feature::new("x", DType::Float32, Vec::new());
        let piece = |start: i32, n: i32| -> ArrayRef {
            Arc::new(Float32Array::from_iter_values((start..start + n).map(|it| (it % 1000) as f32)))
        };
        // Few enough values for exact quantiles, then too many.
        for (sizes, tolerance) in [(vec![10, 3000, 70], 0.0), (vec![9000, 100, 40_000], 12.0)] {
            let mut start = 0;
            let mut pieces = Vec::new();
            for n in sizes {
                pieces.push(piece(start, n));
                start += n;
            }
            let (joined, straight) = (joined(&feature, &pieces), straight(&feature, &pieces));
            for name in ["count", "finite_count", "min", "max"] {
                assert_eq!(number(name, &joined), number(name, &straight), "{name}");
            }
            for name in ["mean", "std"] {
                let (a, b) = (number(name, &joined), number(name, &straight));
                assert!((a - b).abs() < 1e-9 * b, "{name}: {a} {b}");
            }
            for name in ["q01", "q50", "q99"] {
                let (a, b) = (number(name, &joined), number(name, &straight));
                assert!((a - b).abs() <= tolerance, "{name}: {a} {b}");
            }
        }
    }

    #[test]
    fn texts_and_rows_of_other_lengths_join() {
        let feature = Feature::new("x", DType::String, Vec::new());
        let piece = |texts: &[&str]| -> ArrayRef { Arc::new(StringArray::from(texts.to_vec())) };
        let pieces = [piece(&["a", "b", "a"]), piece(&["c", "a"]), piece(&[])];
        assert_eq!(joined(&feature, &pieces).finish(), straight(&feature, &pieces).finish());
        let many: Vec<String> = (0..80).map(|it| it.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let pieces = [piece(&many[..50]), piece(&many[30..])];
        assert_eq!(joined(&feature, &pieces).finish(), straight(&feature, &pieces).finish());

        let lists = Feature::new("x", DType::UInt8, vec![nodedata_core::Dim::Variable]);
        let list = |lengths: &[usize]| -> ArrayRef {
            let offsets = arrow_buffer::OffsetBuffer::from_lengths(lengths.iter().copied());
            let n: usize = lengths.iter().sum();
            let values = UInt8Array::from_iter_values((0..n).map(|it| it as u8));
            let field = Arc::new(arrow_schema::Field::new("item", arrow_schema::DataType::UInt8, true));
            Arc::new(arrow_array::ListArray::new(field, offsets, Arc::new(values), None))
        };
        let alike = [list(&[3, 3]), list(&[3])];
        assert_eq!(joined(&lists, &alike).finish(), straight(&lists, &alike).finish());
        let mixed = [list(&[3, 3]), list(&[4]), list(&[1, 2])];
        assert_eq!(joined(&lists, &mixed).finish(), straight(&lists, &mixed).finish());
    }

    #[test]
    fn a_record_of_another_feature_is_refused() {
        let number = FeatureStats::new(&Feature::new("x", DType::Float32, Vec::new()));
        let mut text = FeatureStats::new(&Feature::new("x", DType::String, Vec::new()));
        assert_eq!(text.join(&number.record()).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
