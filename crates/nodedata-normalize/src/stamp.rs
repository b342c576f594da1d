use arrow_array::{
    Array, RecordBatch,
    cast::AsArray,
    types::{Int32Type, Int64Type, UInt32Type, UInt64Type},
};
use nodedata_core::{DType, StreamSchema, suggest};

use crate::{TimeSource, path::Lost};

/// Where the time of a message stands, by column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// The log time itself: what partitions are planned by.
    LogTime(usize),
    /// Whole nanoseconds.
    Nanos(usize),
    /// Seconds and nanoseconds.
    Pair(usize, usize),
}

/// Stands for a message without a time: null, zero (which drivers send that do not stamp), or no i64.
pub(crate) const NO_TIME: i64 = i64::MIN;

impl Stamp {
    /// The columns of a stream that a time source names.
    pub(crate) fn resolve(stream: &StreamSchema, time: &TimeSource) -> Result<Self, Lost> {
        let named = |name: &str| stream.features.iter().position(|it| it.name == name);
        let lost = |name: &str| {
            let names = stream.features.iter().filter(|it| it.dtype.is_numeric()).map(|it| it.name.as_str());
            Lost {
                message: format!("`{}` has no time `{name}`", stream.name),
                hint: format!("{}, or use `log_time`", suggest(name, names)),
            }
        };
        match time {
            TimeSource::LogTime => named("log_time_ns").map(Self::LogTime).ok_or_else(|| lost("log_time_ns")),
            TimeSource::PublishTime => {
                named("publish_time_ns").map(Self::Nanos).ok_or_else(|| lost("publish_time_ns"))
            }
            TimeSource::Field(field) => {
                if let Some(column) = named(field) {
                    let feature = &stream.features[column];
                    let whole = matches!(feature.dtype, DType::Int64 | DType::UInt64);
                    if whole && feature.shape.is_empty() {
                        return Ok(Self::Nanos(column));
                    }
                    return Err(Lost {
                        message: format!(
                            "`{field}` of `{}` is {}, not nanoseconds",
                            stream.name, feature.dtype
                        ),
                        hint: "a time is one int64 of nanoseconds, or a pair of `sec` and `nanosec`"
                            .to_owned(),
                    });
                }
                let member = |names: &[&str]| {
                    names.iter().find_map(|it| named(&format!("{field}.{it}"))).filter(|it| {
                        let feature = &stream.features[*it];
                        feature.shape.is_empty()
                            && matches!(
                                feature.dtype,
                                DType::Int32 | DType::UInt32 | DType::Int64 | DType::UInt64
                            )
                    })
                };
                let pair =
                    member(&["sec", "secs", "seconds"]).zip(member(&["nanosec", "nsec", "nsecs", "nanos"]));
                pair.map(|(sec, nanos)| Self::Pair(sec, nanos)).ok_or_else(|| lost(field))
            }
        }
    }

    /// The columns read.
    pub(crate) fn columns(self) -> impl Iterator<Item = usize> {
        let (first, second) = match self {
            Self::LogTime(column) | Self::Nanos(column) => (column, None),
            Self::Pair(sec, nanos) => (sec, Some(nanos)),
        };
        std::iter::once(first).chain(second)
    }

    /// The same, counted among the columns kept.
    pub(crate) fn among(self, kept: &[usize]) -> Self {
        let at = |column: usize| kept.binary_search(&column).expect("the columns of a stamp are kept");
        match self {
            Self::LogTime(column) => Self::LogTime(at(column)),
            Self::Nanos(column) => Self::Nanos(at(column)),
            Self::Pair(sec, nanos) => Self::Pair(at(sec), at(nanos)),
        }
    }

    /// The times of all rows; [`NO_TIME`] where there is none.
    pub(crate) fn times(self, rows: &RecordBatch) -> Vec<i64> {
        match self {
            Self::LogTime(column) => rows.column(column).as_primitive::<Int64Type>().values().to_vec(),
            Self::Nanos(column) => {
                let mut times = integers(rows.column(column).as_ref());
                for time in &mut times {
                    if *time == 0 {
                        *time = NO_TIME;
                    }
                }
                times
            }
            Self::Pair(sec, nanos) => {
                let (secs, nanos) =
                    (integers(rows.column(sec).as_ref()), integers(rows.column(nanos).as_ref()));
                let join = |(sec, nanos): (&i64, &i64)| match (*sec, *nanos) {
                    (NO_TIME, _) | (_, NO_TIME) | (0, 0) => NO_TIME,
                    (sec, nanos) => {
                        sec.checked_mul(1_000_000_000).and_then(|it| it.checked_add(nanos)).unwrap_or(NO_TIME)
                    }
                };
                secs.iter().zip(&nanos).map(join).collect()
            }
        }
    }
}

/// Whole numbers as i64; [`NO_TIME`] for nulls and for what no i64 holds.
fn integers(array: &dyn Array) -> Vec<i64> {
    let or_none = |it: Option<i64>| it.unwrap_or(NO_TIME);
    match DType::from_arrow(array.data_type()) {
        Some(DType::Int32) => {
            array.as_primitive::<Int32Type>().iter().map(|it| or_none(it.map(i64::from))).collect()
        }
        Some(DType::UInt32) => {
            array.as_primitive::<UInt32Type>().iter().map(|it| or_none(it.map(i64::from))).collect()
        }
        Some(DType::UInt64) => {
            let values = array.as_primitive::<UInt64Type>();
            values.iter().map(|it| or_none(it.and_then(|it| i64::try_from(it).ok()))).collect()
        }
        Some(DType::Int64) => {
            let values = array.as_primitive::<Int64Type>();
            match values.null_count() {
                0 => values.values().to_vec(),
                _ => values.iter().map(or_none).collect(),
            }
        }
        _ => vec![NO_TIME; array.len()],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int32Array, Int64Array, UInt32Array};

    use super::*;

    #[test]
    fn what_is_no_time_is_told_apart() {
        let column =
            |array: ArrayRef| RecordBatch::try_from_iter_with_nullable([("t", array, true)]).unwrap();
        let nanos = column(Arc::new(Int64Array::from(vec![Some(5), None, Some(0)])));
        assert_eq!(Stamp::Nanos(0).times(&nanos), [5, NO_TIME, NO_TIME]);
        let sec: ArrayRef = Arc::new(Int32Array::from(vec![2, 0, -1]));
        let nanos: ArrayRef = Arc::new(UInt32Array::from(vec![7, 0, 500_000_000]));
        let pair = RecordBatch::try_from_iter([("sec", sec), ("nanosec", nanos)]).unwrap();
        assert_eq!(Stamp::Pair(0, 1).times(&pair), [2_000_000_007, NO_TIME, -500_000_000]);
    }
}
