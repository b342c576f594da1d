//! What the values of a feature are, measured in the pass that writes them: counts, range, mean, deviation
//! and quantiles, per position of the value and over all of them. The result depends on the sequence of rows
//! and on where units end, not on how rows are cut into batches: each unit is measured on its own, and the
//! records of the units are joined in their order.

use arrow_array::{Array, types::*};
use half::f16;
use nodedata_core::{DType, Feature, Nested, NestedDim};
use serde::Serialize;
use serde_json::Value;

use self::{
    leaf_values::{bools, numbers},
    moments::{Moments, Number},
    numeric::{Measured, Numeric},
    record::{NumbersRecord, ValuesRecord},
    texts::Texts,
};
use crate::NullCount;

pub(crate) mod leaf_values;
mod moments;
mod numeric;
pub(crate) mod record;
mod sample;
mod texts;

/// Measures one column, batch by batch.
#[derive(Debug, Clone)]
pub(crate) struct FeatureStats {
    dtype: DType,
    count: u64,
    null_count: u64,
    null_item_count: u64,
    /// Shortest and longest list of each level that has lists.
    lengths: Vec<Option<(u64, u64)>>,
    rank: usize,
    values: Values,
}

macro_rules! numeric_values {
    ($($variant:ident($t:ty, $arrow:ty);)*) => {
        #[derive(Debug, Clone)]
        enum Values {
            $($variant(Box<Numeric<$t>>),)*
            Bool(Box<Numeric<u8>>),
            Texts(Box<Texts>),
        }

        impl Values {
            fn new(dtype: DType) -> Self {
                match dtype {
                    $(DType::$variant => Self::$variant(Box::new(Numeric::new())),)*
                    DType::Bool => Self::Bool(Box::new(Numeric::new())),
                    DType::String => Self::Texts(Box::new(Texts::new(true))),
                    DType::Bytes => Self::Texts(Box::new(Texts::new(false))),
                }
            }

            fn update(&mut self, nested: &Nested) {
                let values = nested.values.as_ref();
                match self {
                    $(Self::$variant(it) => it.update(nested, &numbers::<$arrow>(values)),)*
                    Self::Bool(it) => it.update(nested, &bools(values)),
                    Self::Texts(it) => it.update(nested),
                }
            }

            fn record(&self) -> ValuesRecord {
                match self {
                    $(Self::$variant(it) => ValuesRecord::Numbers(NumbersRecord::new(it)),)*
                    Self::Bool(it) => ValuesRecord::Numbers(NumbersRecord::new(it)),
                    Self::Texts(it) => ValuesRecord::Texts(Texts::clone(it)),
                }
            }

            /// `None` when the record is of other values.
            fn join(&mut self, record: &ValuesRecord) -> Option<()> {
                match (self, record) {
                    (Self::Texts(_), ValuesRecord::Numbers(_)) => return None,
                    (_, ValuesRecord::Numbers(None)) => {}
                    $((Self::$variant(it), ValuesRecord::Numbers(Some(record))) => it.join(record.numeric()?),)*
                    (Self::Bool(it), ValuesRecord::Numbers(Some(record))) => it.join(record.numeric()?),
                    (Self::Texts(it), ValuesRecord::Texts(record)) => it.join(record),
                    (_, ValuesRecord::Texts(_)) => return None,
                }
                Some(())
            }

            fn summary(&self, rank: usize, summary: &mut FeatureSummary) {
                match self {
                    $(Self::$variant(it) => number_summary(it, rank, summary),)*
                    Self::Bool(it) => number_summary(it, rank, summary),
                    Self::Texts(it) => text_summary(it, summary),
                }
            }
        }
    };
}

numeric_values! {
    Int8(i8, Int8Type);
    Int16(i16, Int16Type);
    Int32(i32, Int32Type);
    Int64(i64, Int64Type);
    UInt8(u8, UInt8Type);
    UInt16(u16, UInt16Type);
    UInt32(u32, UInt32Type);
    UInt64(u64, UInt64Type);
    Float16(f16, Float16Type);
    Float32(f32, Float32Type);
    Float64(f64, Float64Type);
}

/// The measurements of one feature as `stats.json` holds them. What was not measured is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct FeatureSummary {
    /// Rows.
    pub(crate) count: u64,
    /// Rows whose value is null.
    pub(crate) null_count: u64,
    /// Null items of lists that are there.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) null_item_count: u64,
    /// Shortest and longest list, by variable dimension; `None` where there was no list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) lengths: Vec<Option<Range>>,
    /// All values of all rows.
    #[serde(flatten)]
    pub(crate) values: Option<NumberSummary>,
    /// By position of the value, each an array shaped like it; only when all rows have one shape, of at most
    /// 1024 values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) per_element: Option<NumberSummary>,
    /// Text or bytes.
    #[serde(flatten)]
    pub(crate) texts: Option<TextSummary>,
}

/// Least and greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Range {
    pub(crate) min: u64,
    pub(crate) max: u64,
}

/// Numbers, one for all values or one for each position. Those of bools are 0 and 1.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct NumberSummary {
    /// Values that are neither null nor NaN nor infinite; the following are about them.
    pub(crate) finite_count: Value,
    /// Values that are NaN; absent for integers.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) nan_count: Value,
    /// Values that are infinite; absent for integers.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) inf_count: Value,
    /// Exact. Null, as all that follow, when there is no finite value.
    pub(crate) min: Value,
    /// Exact.
    pub(crate) max: Value,
    /// Mean.
    pub(crate) mean: Value,
    /// Standard deviation of the population.
    pub(crate) std: Value,
    /// Quantiles, interpolated between neighbours.
    pub(crate) q01: Value,
    /// As above.
    pub(crate) q10: Value,
    /// The median.
    pub(crate) q50: Value,
    /// As above.
    pub(crate) q90: Value,
    /// As above.
    pub(crate) q99: Value,
    /// Whether the quantiles are of all values; otherwise they are of every k-th row and approximate.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) quantiles_exact: Value,
}

/// Text or bytes; lengths in bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TextSummary {
    /// Values that are not null.
    pub(crate) value_count: u64,
    /// Bytes of all values.
    pub(crate) total_bytes: u64,
    /// Shortest value; absent without values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) min_bytes: Option<u64>,
    /// Longest value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_bytes: Option<u64>,
    /// How often each text occurs, when there are at most 64 of them and none is longer than 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) distinct: Option<std::collections::BTreeMap<String, u64>>,
}

impl FeatureStats {
    /// No rows yet.
    pub(crate) fn new(feature: &Feature) -> Self {
        let (dtype, rank) = (feature.stored_dtype(), feature.dims().len());
        Self {
            dtype,
            count: 0,
            null_count: 0,
            null_item_count: 0,
            lengths: vec![None; rank],
            rank,
            values: Values::new(dtype),
        }
    }

    /// Takes in the next rows.
    ///
    /// # Panics
    /// When the column does not have the feature's type and rank.
    pub(crate) fn update(&mut self, column: &dyn Array) {
        let nested = Nested::of(column);
        assert_eq!(nested.dims.len(), self.rank, "the rank of a {} feature", self.dtype);
        let n_masked = |it: Option<&arrow_buffer::NullBuffer>| it.map_or(0, |it| it.null_count() as u64);
        self.count += nested.items[0].n_items as u64;
        self.null_count += n_masked(nested.items[0].valid.as_ref());
        for (level, items) in nested.items.iter().enumerate().skip(1) {
            let below_nulls = n_masked(items.reached.as_ref());
            // Null lists inside lists count as items of theirs.
            self.null_item_count += n_masked(items.valid.as_ref()) - below_nulls;
            if let Some(NestedDim::List(offsets)) = nested.dims.get(level) {
                measure_lengths(&mut self.lengths[level], offsets, items.valid.as_ref());
            }
        }
        if let Some(NestedDim::List(offsets)) = nested.dims.first() {
            measure_lengths(&mut self.lengths[0], offsets, nested.items[0].valid.as_ref());
        }
        self.values.update(&nested);
    }

    /// Whether there was no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Rows, and how many of them are null.
    pub(crate) fn nulls(&self) -> NullCount {
        NullCount { nulls: self.null_count, rows: self.count }
    }

    /// What was measured so far.
    pub(crate) fn finish(&self) -> FeatureSummary {
        let range = |(min, max)| Range { min, max };
        let lengths: Vec<Option<Range>> = self.lengths.iter().map(|it| it.map(range)).collect();
        let mut summary = FeatureSummary {
            count: self.count,
            null_count: self.null_count,
            null_item_count: self.null_item_count,
            // Without variable dimensions there is nothing to tell.
            lengths: if lengths.iter().any(Option::is_some) { lengths } else { Vec::new() },
            ..FeatureSummary::default()
        };
        self.values.summary(self.rank, &mut summary);
        summary
    }
}

fn measure_lengths(
    range: &mut Option<(u64, u64)>,
    offsets: &nodedata_core::ListOffsets,
    valid: Option<&arrow_buffer::NullBuffer>,
) {
    let mut note = |n_items: usize| {
        let n = n_items as u64;
        *range = Some(range.map_or((n, n), |(min, max)| (min.min(n), max.max(n))));
    };
    let mut idx = 0;
    while idx < offsets.n_lists() {
        if valid.is_some_and(|it| it.is_null(idx)) {
            idx += 1;
            continue;
        }
        let n_items = offsets.range(idx).len();
        note(n_items);
        // Skipping a stretch of one length may skip nulls too; they add no length of their own.
        idx += offsets.n_lists_of_len(idx, n_items);
    }
}

fn number_summary<T: Number>(numeric: &Numeric<T>, rank: usize, summary: &mut FeatureSummary) {
    let Some((measured, by_position)) = numeric.measured() else { return };
    let pooled = measured.pooled_moments();
    let float = is_float::<T>();
    let count = |float: bool, it: u64| if float { it.into() } else { Value::Null };
    let quantiles = measured.sample.pooled_quantiles();
    let [q01, q10, q50, q90, q99] = quantile_values(quantiles);
    summary.values = Some(NumberSummary {
        finite_count: pooled.count.into(),
        nan_count: count(float, measured.nan_count.iter().sum()),
        inf_count: count(float, measured.inf_count.iter().sum()),
        min: present(&pooled, |it| it.min.to_json()),
        max: present(&pooled, |it| it.max.to_json()),
        mean: present(&pooled, |it| it.mean().into()),
        std: present(&pooled, |it| it.std().into()),
        q01,
        q10,
        q50,
        q90,
        q99,
        quantiles_exact: measured.sample.is_complete().into(),
    });
    if by_position
        && rank > 0
        && let Some(shape) = numeric.shape(rank)
    {
        summary.per_element = Some(element_summary(measured, &shape));
    }
}

fn element_summary<T: Number>(measured: &Measured<T>, shape: &[usize]) -> NumberSummary {
    let moments = measured.moments();
    let float = is_float::<T>();
    let each = |value: &dyn Fn(&Moments<T>) -> Value| shaped(&mut moments.iter().map(value), shape);
    let counts = |all: &[u64]| match float && all.iter().any(|it| *it > 0) {
        true => shaped(&mut all.iter().map(|it| (*it).into()), shape),
        false => Value::Null,
    };
    let by_position: Vec<[Value; 5]> =
        (0..measured.stride).map(|lane| quantile_values(measured.sample.quantiles(lane))).collect();
    let quantile = |idx: usize| shaped(&mut by_position.iter().map(|it| it[idx].clone()), shape);
    NumberSummary {
        finite_count: each(&|it| it.count.into()),
        nan_count: counts(&measured.nan_count),
        inf_count: counts(&measured.inf_count),
        min: each(&|it| present(it, |it| it.min.to_json())),
        max: each(&|it| present(it, |it| it.max.to_json())),
        mean: each(&|it| present(it, |it| it.mean().into())),
        std: each(&|it| present(it, |it| it.std().into())),
        q01: quantile(0),
        q10: quantile(1),
        q50: quantile(2),
        q90: quantile(3),
        q99: quantile(4),
        quantiles_exact: Value::Null,
    }
}

fn text_summary(texts: &Texts, summary: &mut FeatureSummary) {
    summary.texts = Some(TextSummary {
        value_count: texts.count,
        total_bytes: texts.total_bytes,
        min_bytes: texts.lengths.map(|it| it.0),
        max_bytes: texts.lengths.map(|it| it.1),
        distinct: texts.distinct.clone(),
    });
}

/// Flat values as nested arrays.
fn shaped(values: &mut dyn Iterator<Item = Value>, shape: &[usize]) -> Value {
    match shape {
        [] => values.next().unwrap_or_default(),
        [n, inner @ ..] => Value::Array((0..*n).map(|_| shaped(values, inner)).collect()),
    }
}

fn present<T: Number>(moments: &Moments<T>, value: impl Fn(&Moments<T>) -> Value) -> Value {
    if moments.count == 0 { Value::Null } else { value(moments) }
}

fn quantile_values(quantiles: Option<[f64; 5]>) -> [Value; 5] {
    quantiles.map_or_else(Default::default, |it| it.map(Value::from))
}

fn is_float<T: Number>() -> bool {
    !T::HIGHEST.is_finite()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests;
