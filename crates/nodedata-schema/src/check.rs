use arrow_array::RecordBatch;
use nodedata_core::{Batch, Feature, MediaShape, STEPS, StreamId, StreamKind, StreamSchema, nearest};

use crate::{
    FieldSchema, Rule, Schema, Violation, Violations,
    compare::{
        MIXED, compare_stream, encoding_violation, is_of_pictures, media_lists, picture_violation,
        rate_violation, same_encoding, shape_violation, violation,
    },
    values::{ColumnCheck, RowContext},
};

/// Rows that follow the schema. Only [`SchemaCheck`] makes one, so a writer cannot be handed others.
#[derive(Debug, Clone)]
pub struct CheckedBatch {
    stream: StreamId,
    rows: RecordBatch,
}

impl CheckedBatch {
    /// The stream the rows belong to.
    pub fn stream(&self) -> StreamId {
        self.stream
    }

    /// The rows.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// The rows, no longer known to be checked.
    pub fn into_rows(self) -> RecordBatch {
        self.rows
    }
}

/// Where the first row of a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowPlace {
    /// Episode index.
    pub episode: u64,
    /// Position of the batch's first row among the episode's rows of the stream.
    pub first_row: u64,
}

/// A schema compiled against the streams whose rows will be checked. Shared by all workers.
#[derive(Debug, Clone)]
pub struct SchemaCheck {
    /// By position of the stream; empty for a stream about which nothing is declared.
    columns: Vec<Vec<DeclaredColumn>>,
    names: Vec<String>,
}

#[derive(Debug, Clone)]
struct DeclaredColumn {
    idx: usize,
    feature: Feature,
    field: FieldSchema,
    /// How many lists are around its media; `None` for plain values.
    media_lists: Option<usize>,
}

impl SchemaCheck {
    /// A check that lets all rows of `streams` through.
    pub fn undeclared(streams: &[StreamSchema]) -> Self {
        let names = streams.iter().map(|it| it.name.to_string()).collect();
        Self { columns: vec![Vec::new(); streams.len()], names }
    }

    /// Compiles a declared schema. Topic tables are held against `streams` when the schema has that key;
    /// otherwise only the step table is checked.
    ///
    /// # Errors
    /// What cannot hold whatever the rows are: features and streams that are missing or not declared, and
    /// types or shapes that differ.
    pub fn new(declared: &Schema, streams: &[StreamSchema]) -> Result<Self, Vec<Violation>> {
        let mut violations = missing_streams(declared, streams);
        let mut check = Self::undeclared(streams);
        for (stream, columns) in streams.iter().zip(&mut check.columns) {
            let Some(fields) = declared.stream(&stream.name) else {
                violations.extend(extra_stream(declared, stream));
                continue;
            };
            let built_in = |idx| stream.is_built_in(idx);
            violations.extend(compare_stream(&stream.name, fields, &stream.features, built_in));
            for (idx, feature) in stream.features.iter().enumerate() {
                if let Some(field) = fields.get(&feature.name) {
                    columns.push(DeclaredColumn {
                        idx,
                        feature: feature.clone(),
                        field: field.clone(),
                        media_lists: media_lists(field, feature),
                    });
                }
            }
        }
        if violations.is_empty() { Ok(check) } else { Err(violations) }
    }

    /// Checks a batch as a source returns it.
    ///
    /// # Errors
    /// What the rows break, each rule with its rows counted and the first of them named.
    pub fn batch(&self, batch: &Batch, place: RowPlace) -> Result<CheckedBatch, Violations> {
        self.rows(batch.stream, batch.rows.clone(), &batch.pixels, place)
    }

    /// Checks rows of a stream. `pixels` is what the frames of its media columns say, by position in the
    /// stream's features. Built-in columns may have been added in front or behind.
    ///
    /// # Errors
    /// What the rows break, each rule with its rows counted and the first of them named.
    ///
    /// # Panics
    /// When `stream` is none of those given to [`Self::new`].
    pub fn rows(
        &self,
        stream: StreamId,
        rows: RecordBatch,
        pixels: &[MediaShape],
        place: RowPlace,
    ) -> Result<CheckedBatch, Violations> {
        let StreamId(stream_idx) = stream;
        let mut violations = Violations::default();
        let name = &self.names[stream_idx as usize];
        for column in &self.columns[stream_idx as usize] {
            let at = |rule| (stream_idx, column.idx, rule);
            let feature = &column.feature.name;
            let by_position = rows.schema_ref().fields().get(column.idx).filter(|it| it.name() == feature);
            let array = by_position.map(|_| rows.column(column.idx)).or_else(|| rows.column_by_name(feature));
            let Some(array) = array else {
                let message = format!("feature `{feature}` is missing, but the schema declares it");
                let hint = "this is a mistake of the program; please report it".to_owned();
                violations.note_rows(at(Rule::Missing), 0, || {
                    violation(name, Some(feature), Rule::Missing, message, hint)
                });
                continue;
            };
            let context = RowContext { stream_idx, stream: name, place };
            let DeclaredColumn { idx, field, media_lists, .. } = column;
            let check = ColumnCheck { idx: *idx, name: feature, field, media_lists: *media_lists };
            check.values(array, &context, &mut violations);
        }
        self.pixels(stream_idx, pixels, &mut violations);
        if violations.is_empty() { Ok(CheckedBatch { stream, rows }) } else { Err(violations) }
    }

    /// Types, shapes and codings of frames. Findings carry no row, so rows are counted but not named.
    fn pixels(&self, stream_idx: u32, pixels: &[MediaShape], violations: &mut Violations) {
        let name = &self.names[stream_idx as usize];
        for found in pixels {
            let columns = &self.columns[stream_idx as usize];
            let Some(column) = columns.iter().find(|it| it.idx == found.column) else { continue };
            let Some(n_lists) = column.media_lists else { continue };
            let feature = &column.feature.name;
            let at = |rule| (stream_idx, column.idx, rule);
            let unplaced = |violation: Violation| Violation { count: 0, ..violation };
            if let Some(declared) = &column.field.encoding
                && !same_encoding(declared, &found.encoding)
            {
                violations.note_rows(at(Rule::Encoding), found.n_rows, || {
                    unplaced(encoding_violation(name, feature, &found.encoding, declared))
                });
            }
            if let Some((declared, rate)) = column.field.rate_hz.zip(found.rate_hz)
                && declared != rate
            {
                violations.note_rows(at(Rule::Rate), found.n_rows, || {
                    unplaced(rate_violation(name, feature, rate, declared))
                });
            }
            if let Some(declared) = column.field.rate_hz.filter(|_| is_of_pictures(&found.encoding))
                && column.field.encoding.as_deref() != Some(MIXED)
            {
                violations.note_rows(at(Rule::Rate), found.n_rows, || {
                    unplaced(picture_violation(name, feature, &found.encoding, declared))
                });
            }
            // A schema that only says `bytes` asks nothing of the pixels, and some bytes do not tell.
            let field = &column.field;
            let declared = field.shape.get(n_lists..).unwrap_or_default();
            if (field.dtype == nodedata_core::DType::Bytes && declared.is_empty()) || found.shape.is_empty() {
                continue;
            }
            if field.dtype != found.dtype {
                let message = format!(
                    "frames of feature `{feature}` decode to {}, but the schema declares {}",
                    found.dtype, field.dtype
                );
                let hint = format!("change the type of `{feature}` in schema.json");
                violations.note_rows(at(Rule::Type), found.n_rows, || {
                    unplaced(violation(name, Some(feature), Rule::Type, message, hint))
                });
            }
            let same_dim = |(declared, found): (&nodedata_core::Dim, &u32)| match declared {
                nodedata_core::Dim::Fixed(n) => n == found,
                nodedata_core::Dim::Variable => true,
            };
            let same_rank = declared.len() == found.shape.len();
            if !same_rank || !declared.iter().zip(&found.shape).all(same_dim) {
                violations.note_rows(at(Rule::Shape), found.n_rows, || {
                    let expected = crate::compare::shape_text(declared);
                    unplaced(shape_violation(name, feature, &format!("{:?}", found.shape), &expected))
                });
            }
        }
    }
}

/// Holds the columns of a Parquet file's Arrow schema against what is declared for a stream. Columns that
/// every table has (`episode_index`, `log_time_ns`, …) need not be declared.
///
/// # Errors
/// Every difference, and columns whose type no feature has.
pub fn check_arrow(
    declared: &Schema,
    stream: &str,
    kind: StreamKind,
    arrow: &arrow_schema::Schema,
) -> Result<(), Vec<Violation>> {
    let Some(fields) = declared.stream(stream) else { return Ok(()) };
    let mut violations = Vec::new();
    let mut features = Vec::new();
    for field in arrow.fields() {
        match Feature::from_arrow(field) {
            Some(feature) => features.push(feature),
            None => {
                let name = field.name();
                let message =
                    format!("column `{name}` has Arrow type {}, which no feature has", field.data_type());
                let hint = "lists of numbers, bools, text or bytes are features".to_owned();
                violations.push(violation(stream, Some(name), Rule::Type, message, hint));
            }
        }
    }
    let is_built_in = |idx: usize| kind.has_built_in(&features[idx].name);
    violations.extend(compare_stream(stream, fields, &features, is_built_in));
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

fn missing_streams(declared: &Schema, streams: &[StreamSchema]) -> Vec<Violation> {
    let steps = (!declared.fields.is_empty()).then_some(STEPS);
    let names = steps.into_iter().chain(declared.streams.keys().map(String::as_str));
    names
        .filter(|name| !streams.iter().any(|it| *it.name == **name))
        .map(|name| {
            let near = nearest(name, streams.iter().map(|it| &*it.name));
            let message = format!("stream `{name}` is missing, but the schema declares it");
            let hint = match (name, near) {
                (STEPS, _) => {
                    "this source has topics: put their features under `streams` in schema.json".to_owned()
                }
                (_, Some(near)) => format!("did you mean `{near}`?"),
                _ => format!("remove `streams.{name}` from schema.json, or select the topic"),
            };
            violation(name, None, Rule::MissingStream, message, hint)
        })
        .collect()
}

fn extra_stream(declared: &Schema, stream: &StreamSchema) -> Option<Violation> {
    // A schema of steps alone says nothing about the topic tables kept beside them.
    if &*stream.name != STEPS && declared.streams.is_empty() {
        return None;
    }
    let name = &stream.name;
    let message = format!("stream `{name}` is there, but the schema does not declare it");
    let hint = format!("add `streams.{name}` to schema.json, or leave the topic out with `--topic`");
    Some(violation(name, None, Rule::ExtraStream, message, hint))
}

#[cfg(test)]
mod tests;
