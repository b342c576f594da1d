use std::{collections::BTreeMap, path::Path};

use arrow_schema::SchemaRef;
use nodedata_arrow::Ranges;
use nodedata_core::{EPISODE_INDEX, Error, ErrorKind, Feature, Files as _, Locus, Result, STEPS, StreamKind};
use nodedata_dataset::{FoundPages, pages_of};
use nodedata_io::FolderFiles;
use nodedata_schema::{Bound, Schema};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    file::{
        metadata::{PageIndexPolicy, ParquetMetaData},
        statistics::Statistics,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hashing::open;

/// What the footer of a shard tells, without a row being read.
pub(crate) struct Footer {
    pub(crate) metadata: ArrowReaderMetadata,
    pub(crate) rows: u64,
    /// Rows of each row group.
    pub(crate) group_rows: Vec<u64>,
    /// Columns that features can hold, without `episode_index`.
    pub(crate) features: Vec<Feature>,
    /// Columns that none can hold: name and Arrow type.
    pub(crate) strangers: Vec<(String, String)>,
    /// Statistics of each feature.
    pub(crate) stats: BTreeMap<String, FeatureStats>,
    /// Where its pages lie, as the footer says or else their own headers.
    pub(crate) pages: FoundPages,
}

/// What the writer of a shard said of one feature.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FeatureStats {
    /// Nulls; absent when it did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nulls: Option<u64>,
    /// Least value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) min: Option<Value>,
    /// Greatest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max: Option<Value>,
}

impl Footer {
    /// Reads the footer of a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file = open(path)?;
        let options = |policy| ArrowReaderOptions::new().with_page_index_policy(policy);
        // A page index that cannot be read costs the index of pages, not the shard.
        let metadata = nodedata_arrow::footer(&file, options(PageIndexPolicy::Optional))
            .or_else(|_| nodedata_arrow::footer(&file, options(PageIndexPolicy::Skip)))
            .map_err(|err| {
                Error::new(ErrorKind::Corrupt, "this is not a Parquet file we can read")
                    .with_source(err)
                    .at(Locus::path(path))
                    .with_hint("push Parquet files; `node-data convert` makes them from other formats")
            })?;
        let parquet = metadata.metadata();
        let group_rows: Vec<u64> =
            parquet.row_groups().iter().map(|it| u64::try_from(it.num_rows()).unwrap_or(0)).collect();
        let (mut features, mut strangers) = (Vec::new(), Vec::new());
        for field in metadata.schema().fields().iter().filter(|it| it.name() != EPISODE_INDEX) {
            match Feature::from_arrow(field) {
                Some(feature) => features.push(feature),
                None => strangers.push((field.name().clone(), field.data_type().to_string())),
            }
        }
        let ranges = Ranges(FolderFiles::new("").open(path)?);
        let (stats, pages) = (stats(parquet), pages_of(parquet, Some(&ranges)));
        Ok(Self { rows: group_rows.iter().sum(), group_rows, features, strangers, stats, pages, metadata })
    }

    /// The Arrow schema of its rows.
    pub(crate) fn arrow(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// What breaks the schema as far as the footer tells: types, shapes, nulls, least and greatest values.
    pub(crate) fn check(&self, schema: &Schema, path: &str) -> Vec<Error> {
        let mut errors: Vec<Error> =
            match nodedata_schema::check_arrow(schema, STEPS, StreamKind::Steps, self.arrow()) {
                Ok(()) => Vec::new(),
                Err(violations) => violations.iter().map(|it| it.to_error().at(Locus::path(path))).collect(),
            };
        let Some(fields) = schema.stream(STEPS) else { return errors };
        let parquet = self.metadata.metadata();
        for (group_idx, group) in parquet.row_groups().iter().enumerate() {
            for column in group.columns() {
                let name = column.column_path().parts().first().map_or("", String::as_str);
                let (Some(field), Some(stats)) = (fields.get(name), column.statistics()) else { continue };
                let place = || Locus { feature: Some(name.to_owned()), ..Locus::path(path) };
                let mut broken = |message: String, key: &str| {
                    let hint =
                        format!("change `fields.{name}.{key}` in schema.json, or write the shard again");
                    errors.push(Error::new(ErrorKind::SchemaMismatch, message).at(place()).with_hint(hint));
                };
                let nulls = stats.null_count_opt().unwrap_or(0);
                if field.nullable == Some(false) && nulls > 0 {
                    let message =
                        format!("row group {group_idx} has {nulls} nulls, but the schema says none");
                    broken(message, "nullable");
                }
                let (min, max) = extremes(stats);
                if let (Some(found), Some(least)) = (&min, &field.min)
                    && is_below(found, least)
                {
                    let message = format!("row group {group_idx} holds {found}, but the least is {least}");
                    broken(message, "min");
                }
                if let (Some(found), Some(most)) = (&max, &field.max)
                    && is_above(found, most)
                {
                    let message = format!("row group {group_idx} holds {found}, but the greatest is {most}");
                    broken(message, "max");
                }
            }
        }
        errors
    }
}

fn is_below(found: &Value, bound: &Bound) -> bool {
    match (found.as_i64(), bound) {
        (Some(found), Bound::Integer(bound)) => i128::from(found) < *bound,
        _ => found.as_f64().is_some_and(|it| it < bound.as_f64()),
    }
}

fn is_above(found: &Value, bound: &Bound) -> bool {
    match (found.as_i64(), bound) {
        (Some(found), Bound::Integer(bound)) => i128::from(found) > *bound,
        _ => found.as_f64().is_some_and(|it| it > bound.as_f64()),
    }
}

/// Least and greatest value of a chunk, where its writer told them and they are numbers.
fn extremes(stats: &Statistics) -> (Option<Value>, Option<Value>) {
    match stats {
        Statistics::Int32(it) => (it.min_opt().map(|it| (*it).into()), it.max_opt().map(|it| (*it).into())),
        Statistics::Int64(it) => (it.min_opt().map(|it| (*it).into()), it.max_opt().map(|it| (*it).into())),
        Statistics::Float(it) => {
            (it.min_opt().map(|it| f64::from(*it).into()), it.max_opt().map(|it| f64::from(*it).into()))
        }
        Statistics::Double(it) => (it.min_opt().map(|it| (*it).into()), it.max_opt().map(|it| (*it).into())),
        _ => (None, None),
    }
}

fn stats(metadata: &ParquetMetaData) -> BTreeMap<String, FeatureStats> {
    let mut all: BTreeMap<String, FeatureStats> = BTreeMap::new();
    for (group_idx, group) in metadata.row_groups().iter().enumerate() {
        for column in group.columns() {
            let Some(name) = column.column_path().parts().first() else { continue };
            if name == EPISODE_INDEX {
                continue;
            }
            let known = all.entry(name.clone()).or_default();
            let Some(stats) = column.statistics() else {
                *known = FeatureStats::default();
                continue;
            };
            let (min, max) = extremes(stats);
            known.nulls = match (group_idx, known.nulls, stats.null_count_opt()) {
                (0, None, it) => it,
                (_, Some(a), Some(b)) => Some(a + b),
                _ => None,
            };
            known.min = lesser(known.min.take(), min);
            known.max = greater(known.max.take(), max);
        }
    }
    all
}

fn lesser(a: Option<Value>, b: Option<Value>) -> Option<Value> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.as_f64() < a.as_f64() { b } else { a }),
        (a, b) => a.or(b),
    }
}

fn greater(a: Option<Value>, b: Option<Value>) -> Option<Value> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.as_f64() > a.as_f64() { b } else { a }),
        (a, b) => a.or(b),
    }
}
