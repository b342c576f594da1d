//! Times of 96 bits: a day and the nanoseconds in it, which reach further than nanoseconds of 64 bits. The Parquet reader wraps
//! around without a word, so that what it says is held against the same times in seconds.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, cast::AsArray, types::*};
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use nodedata_core::{Error, ErrorKind, Locus, Nested, Result};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    basic::Type as PhysicalType,
    errors::ParquetError,
};

use crate::{guarded::guarded_pages, values::OVERFLOW_HINT};

/// What reads the times of a file in seconds.
pub(crate) struct FarTimes {
    pub(crate) seconds: ArrowReaderMetadata,
    /// The top-level columns that have any.
    pub(crate) columns: Vec<String>,
}

impl FarTimes {
    /// `None` for a file without any.
    pub(crate) fn of(footer: &ArrowReaderMetadata) -> Result<Option<Self>, ParquetError> {
        let schema = footer.parquet_schema();
        let mut is_far = schema.columns().iter().map(|it| it.physical_type() == PhysicalType::INT96);
        if !is_far.clone().any(|it| it) {
            return Ok(None);
        }
        let columns = schema.columns().iter().filter(|it| it.physical_type() == PhysicalType::INT96);
        let columns = columns.filter_map(|it| it.path().parts().first().cloned()).collect();
        let fields: Fields = footer.schema().fields().iter().map(|it| in_seconds(it, &mut is_far)).collect();
        let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
        let metadata = Arc::clone(footer.metadata());
        let seconds = guarded_pages(|| ArrowReaderMetadata::try_new(metadata, options))?;
        Ok(Some(Self { seconds, columns }))
    }
}

/// A field whose times of 96 bits are told in seconds.
fn in_seconds(field: &Field, is_far: &mut dyn Iterator<Item = bool>) -> Field {
    let data_type = match field.data_type() {
        DataType::Struct(members) => {
            DataType::Struct(members.iter().map(|it| in_seconds(it, is_far)).collect())
        }
        DataType::List(item) => DataType::List(Arc::new(in_seconds(item, is_far))),
        DataType::Map(entries, sorted) => DataType::Map(Arc::new(in_seconds(entries, is_far)), *sorted),
        other if is_far.next() == Some(true) => match other {
            DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Second, zone.clone()),
            other => other.clone(),
        },
        other => other.clone(),
    };
    field.clone().with_data_type(data_type)
}

/// Finds the first time that has more nanoseconds than 64 bits hold.
pub(crate) fn check(rows: &RecordBatch, seconds: &RecordBatch) -> Result<()> {
    for (column, field) in seconds.columns().iter().zip(seconds.schema().fields()) {
        if let Some(rows) = rows.column_by_name(field.name()) {
            check_column(rows, column, &|it| it).map_err(|err| err.at(Locus::feature(field.name())))?;
        }
    }
    Ok(())
}

fn check_column(array: &ArrayRef, seconds: &ArrayRef, row_of: &dyn Fn(usize) -> usize) -> Result<()> {
    match (array.data_type(), seconds.data_type()) {
        (DataType::Timestamp(TimeUnit::Nanosecond, _), DataType::Timestamp(TimeUnit::Second, _)) => {
            let (nanos, seconds) = (
                array.as_primitive::<TimestampNanosecondType>(),
                seconds.as_primitive::<TimestampSecondType>(),
            );
            let differs = |idx: &usize| {
                let near = nanos.value(*idx).div_euclid(1_000_000_000);
                // A second is what rounding may do; wrapping around is 584 years.
                1 < near.abs_diff(seconds.value(*idx))
            };
            let far = (0..nanos.len()).find(|idx| nanos.is_valid(*idx) && differs(idx));
            let Some(idx) = far else { return Ok(()) };
            let message = format!("the time {} s has more nanoseconds than 64 bits hold", seconds.value(idx));
            let at = Locus { step_idx: Some(row_of(idx) as u64), ..Locus::default() };
            Err(Error::new(ErrorKind::Unsupported, message).at(at).with_hint(OVERFLOW_HINT))
        }
        (DataType::Struct(_), DataType::Struct(_)) => {
            let members = array.as_struct().columns().iter().zip(seconds.as_struct().columns());
            members.into_iter().try_for_each(|(array, seconds)| check_column(array, seconds, row_of))
        }
        (DataType::List(_), DataType::List(_)) => {
            let (nested, others) = (Nested::of(array), Nested::of(seconds));
            let depth = nested.dims.len();
            check_column(&nested.values, &others.values, &|idx| row_of(nested.row_of(depth, idx)))
        }
        (DataType::Map(..), DataType::Map(..)) => {
            let (map, others) = (array.as_map(), seconds.as_map());
            let offsets = map.value_offsets();
            let row =
                |idx: usize| row_of(offsets.partition_point(|end| *end as usize <= idx).saturating_sub(1));
            let members = map.entries().columns().iter().zip(others.entries().columns());
            members.into_iter().try_for_each(|(array, seconds)| check_column(array, seconds, &row))
        }
        _ => Ok(()),
    }
}
