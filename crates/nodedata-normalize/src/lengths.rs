use std::sync::Arc;

use arrow_array::{Array, ArrayRef, FixedSizeListArray, ListArray, RecordBatch, UInt32Array, cast::AsArray};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::take::take;
use nodedata_core::{
    Batch, Dim, EpisodeStream, Error, ErrorKind, Feature, Locus, ReadOptions, Result, Source, SourcePlan,
    Storage, StreamId, StreamKind, StreamSchema,
};

/// A source whose steps have vectors of the length that is wanted of them: `length_of` tells it by stream and
/// feature. Messages keep the lists that their definitions say: items of those may be null one by one. A batch with a vector of another length is handed on as it is, for the check of the schema to name its rows.
pub fn with_lengths(
    source: Box<dyn Source>,
    length_of: impl Fn(&str, &str) -> Option<u32>,
) -> Box<dyn Source> {
    let fixed = |stream: &StreamSchema| {
        if stream.kind != StreamKind::Steps {
            return None;
        }
        let fixed = |feature: &Feature| {
            let is_vector = feature.storage == Storage::Plain && feature.shape == [Dim::Variable];
            let n = length_of(&stream.name, &feature.name).filter(|n| is_vector && *n > 0)?;
            Some(Feature { shape: vec![Dim::Fixed(n)], ..feature.clone() })
        };
        let features: Vec<Option<Feature>> = stream.features.iter().map(fixed).collect();
        features.iter().any(Option::is_some).then_some(features)
    };
    let fixed: Vec<Option<Vec<Option<Feature>>>> = source.plan().streams.iter().map(fixed).collect();
    if fixed.iter().all(Option::is_none) {
        return source;
    }
    let mut plan = source.plan().clone();
    let mut streams: Vec<Option<Fixed>> = Vec::new();
    for (stream, fixed) in plan.streams.iter_mut().zip(fixed) {
        streams.push(fixed.map(|features| {
            let columns = (0..features.len()).filter(|it| features[*it].is_some()).collect();
            let own = stream.features.iter_mut().zip(features);
            own.for_each(|(own, fixed)| *own = fixed.unwrap_or_else(|| own.clone()));
            Fixed { columns, schema: stream.arrow() }
        }));
    }
    Box::new(FixedSource { inner: source, plan, streams: streams.into() })
}

struct FixedSource {
    inner: Box<dyn Source>,
    plan: SourcePlan,
    /// By position of the stream.
    streams: Arc<[Option<Fixed>]>,
}

/// What becomes of the rows of one stream.
struct Fixed {
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl Source for FixedSource {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let inner = self.inner.read(partition, options)?;
        Ok(Box::new(FixedRows { inner, streams: Arc::clone(&self.streams) }))
    }
}

struct FixedRows {
    inner: Box<dyn EpisodeStream>,
    streams: Arc<[Option<Fixed>]>,
}

impl EpisodeStream for FixedRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        let Some(batch) = self.inner.next_batch()? else { return Ok(None) };
        let StreamId(stream) = batch.stream;
        match self.streams.get(stream as usize) {
            Some(Some(fixed)) => fixed.batch(batch).map(Some),
            Some(None) | None => Ok(Some(batch)),
        }
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        self.inner.records_read()
    }

    fn below(&self) -> Option<&dyn EpisodeStream> {
        Some(self.inner.as_ref())
    }
}

impl Fixed {
    fn batch(&self, batch: Batch) -> Result<Batch> {
        let mut columns = batch.rows.columns().to_vec();
        for column in &self.columns {
            let field = self.schema.field(*column);
            let fits = columns[*column]
                .as_list_opt::<i32>()
                .and_then(|it| Some((it, positions(it, field.data_type())?)));
            let Some((lists, positions)) = fits else { return Ok(batch) };
            columns[*column] = fixed(lists, &positions, field.data_type()).map_err(|err| {
                Error::new(ErrorKind::SchemaMismatch, "a vector of a declared length holds a null")
                    .with_source(err)
                    .at(Locus::feature(field.name()))
                    .with_hint("declare its length as -1 in schema.json")
            })?;
        }
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        let rows = rows.expect("the columns follow the schema, and no row came or went");
        Ok(Batch { rows, ..batch })
    }
}

/// Which items stand where in lists of one length, null where a list is; `None` where one has another length.
fn positions(lists: &ListArray, wanted: &DataType) -> Option<UInt32Array> {
    let DataType::FixedSizeList(_, n) = wanted else { return None };
    // The length is only declared: what is there bounds what is reserved.
    let mut positions = Vec::with_capacity(lists.values().len());
    for (row, bounds) in lists.value_offsets().windows(2).enumerate() {
        if lists.is_null(row) {
            positions.extend(std::iter::repeat_n(None, usize::try_from(*n).ok()?));
        } else if bounds[1] - bounds[0] == *n {
            positions.extend((bounds[0]..bounds[1]).map(|it| u32::try_from(it).ok()));
        } else {
            return None;
        }
    }
    Some(UInt32Array::from(positions))
}

fn fixed(
    lists: &ListArray,
    positions: &UInt32Array,
    wanted: &DataType,
) -> Result<ArrayRef, arrow_schema::ArrowError> {
    let DataType::FixedSizeList(item, n) = wanted else { return Ok(Arc::new(lists.clone())) };
    let values = take(lists.values().as_ref(), positions, None)?;
    Ok(Arc::new(FixedSizeListArray::try_new(Arc::clone(item), *n, values, lists.nulls().cloned())?))
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Float64Type;
    use nodedata_core::DType;

    use super::*;

    #[test]
    fn lists_of_one_length_are_lists_of_that_length() {
        let feature = Feature::new("v", DType::Float64, vec![Dim::Fixed(2)]).nullable();
        let wanted = feature.arrow_type();
        let row = |it: &[f64]| Some(it.iter().map(|it| Some(*it)).collect::<Vec<_>>());
        let lists =
            |rows: Vec<Option<Vec<Option<f64>>>>| ListArray::from_iter_primitive::<Float64Type, _, _>(rows);
        let good = lists(vec![row(&[9.0]), row(&[1.0, 2.0]), None, row(&[3.0, 4.0])]).slice(1, 3);
        let found = fixed(&good, &positions(&good, &wanted).unwrap(), &wanted).unwrap();
        let found = found.as_fixed_size_list();
        assert_eq!((found.value_length(), found.is_null(1), found.null_count()), (2, true, 1));
        assert_eq!(found.value(0).as_primitive::<Float64Type>().values(), &[1.0, 2.0]);
        assert_eq!(found.value(2).as_primitive::<Float64Type>().values(), &[3.0, 4.0]);
        assert_eq!(positions(&lists(vec![row(&[1.0, 2.0]), row(&[1.0])]), &wanted), None);
        let holed = lists(vec![Some(vec![Some(1.0), None])]);
        assert!(fixed(&holed, &positions(&holed, &wanted).unwrap(), &wanted).is_err());
    }
}
