//! What a file says of its types in Arrow's own spelling, beside those of Parquet: that numbers are spans of time, and in which zone times
//! were meant. Everything else in it is how its writer held values in memory, which differs between writers and is no part of what the
//! values are.

use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Fields, Schema};
use parquet::arrow::{
    ARROW_SCHEMA_META_KEY,
    arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    parquet_to_arrow_schema,
};

use crate::guarded::guarded_pages;

/// The same footer, whose columns are what the file says of them. Where that is damaged, or not of these columns, Parquet's own types
/// hold.
pub(crate) fn with_embedded_types(footer: ArrowReaderMetadata) -> ArrowReaderMetadata {
    let facts = footer.metadata().file_metadata();
    let Some(all) = facts.key_value_metadata() else { return footer };
    if !all.iter().any(|it| it.key == ARROW_SCHEMA_META_KEY) {
        return footer;
    }
    let Ok(embedded) = guarded_pages(|| parquet_to_arrow_schema(footer.parquet_schema(), Some(all))) else {
        return footer;
    };
    let Some(fields) = told_fields(footer.schema().fields(), embedded.fields()) else { return footer };
    let schema = Schema::new_with_metadata(fields, footer.schema().metadata().clone());
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    let metadata = Arc::clone(footer.metadata());
    guarded_pages(|| ArrowReaderMetadata::try_new(metadata, options)).unwrap_or(footer)
}

/// Fields of which some are something else than Parquet says; `None` where none is.
fn told_fields(plain: &Fields, embedded: &Fields) -> Option<Fields> {
    if plain.len() != embedded.len() {
        return None;
    }
    let told: Vec<Option<FieldRef>> =
        plain.iter().zip(embedded).map(|(plain, embedded)| told_field(plain, embedded)).collect();
    if told.iter().all(Option::is_none) {
        return None;
    }
    let fields = plain.iter().zip(told).map(|(plain, told)| told.unwrap_or_else(|| Arc::clone(plain)));
    Some(fields.collect())
}

fn told_field(plain: &Field, embedded: &Field) -> Option<FieldRef> {
    told_type(plain.data_type(), embedded.data_type()).map(|it| Arc::new(plain.clone().with_data_type(it)))
}

fn told_type(plain: &DataType, embedded: &DataType) -> Option<DataType> {
    use DataType::{Dictionary, FixedSizeList, LargeList, LargeListView, List, ListView, Map, Struct};
    match (plain, embedded) {
        (_, Dictionary(_, values)) => told_type(plain, values),
        (DataType::Int64, DataType::Duration(_)) => Some(embedded.clone()),
        (DataType::Timestamp(unit, Some(zone)), DataType::Timestamp(other_unit, Some(other_zone)))
            if unit == other_unit && zone != other_zone =>
        {
            Some(embedded.clone())
        }
        (Struct(members), Struct(others)) => told_fields(members, others).map(Struct),
        (
            List(item),
            List(other) | LargeList(other) | FixedSizeList(other, _) | ListView(other) | LargeListView(other),
        ) => told_field(item, other).map(List),
        (Map(entries, sorted), Map(others, _)) => told_field(entries, others).map(|it| Map(it, *sorted)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::TimeUnit;

    use super::*;

    fn field(name: &str, data_type: DataType) -> Field {
        Field::new(name, data_type, true)
    }

    fn zoned(zone: &str) -> DataType {
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()))
    }

    #[test]
    fn spans_and_zones_are_taken_and_nothing_else() {
        let span = DataType::Duration(TimeUnit::Second);
        let item = |it: DataType| Arc::new(field("item", it));
        let all = |of: fn(usize) -> DataType| {
            Fields::from((0..6).map(|it| field(&it.to_string(), of(it))).collect::<Vec<_>>())
        };
        let plain = all(|it| match it {
            0 | 4 => DataType::Int64,
            1 => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            2 => DataType::Utf8,
            3 => DataType::List(Arc::new(Field::new("element", DataType::Int64, true))),
            _ => DataType::Struct(vec![Field::new("a", DataType::Int64, true)].into()),
        });
        let embedded: Fields = vec![
            field("0", span.clone()),
            field("1", zoned("Europe/Zurich")),
            field("2", DataType::LargeUtf8),
            field("3", DataType::LargeList(item(span.clone()))),
            field("4", DataType::Date64),
            field("5", DataType::Struct(vec![Field::new("a", span.clone(), true)].into())),
        ]
        .into();
        let told = told_fields(&plain, &embedded).expect("some are told");
        let types: Vec<&DataType> = told.iter().map(|it| it.data_type()).collect();
        assert_eq!(types[0], &span);
        assert_eq!(types[1], &zoned("Europe/Zurich"));
        assert_eq!(types[2], &DataType::Utf8);
        // The item keeps the name that Parquet has for it.
        assert_eq!(types[3], &DataType::List(Arc::new(Field::new("element", span.clone(), true))));
        assert_eq!(types[4], &DataType::Int64);
        assert_eq!(types[5], &DataType::Struct(vec![Field::new("a", span, true)].into()));
        assert!(told_fields(&plain, &plain).is_none());
        assert!(told_fields(&plain, &Fields::empty()).is_none());
    }
}
