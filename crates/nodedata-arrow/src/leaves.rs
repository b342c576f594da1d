//! Columns as leaves: structs become dotted names, lists of structs parallel lists, maps lists of keys and of values.

use std::collections::BTreeMap;

use arrow_schema::{DataType, Field, Fields};
use nodedata_core::{DType, Dim, Error, ErrorKind, Feature, Locus, Result, Storage, meta};
use parquet::basic::{ConvertedType, LogicalType};

use crate::{
    ParquetFile,
    encryption::encrypted,
    logical::{is_json, logical_of},
};

/// The members of a map's entries, whatever its writer called them.
pub(crate) const ENTRY: [&str; 2] = ["key", "value"];

/// One column of values and the way to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// The top-level column.
    pub root: String,
    /// Struct members below it, lists passed through. Those of a map are `key` and `value`.
    pub members: Vec<String>,
    /// Lists on the way, outermost first.
    pub dims: Vec<Dim>,
    /// `None` where the writer never saw a value.
    pub dtype: Option<DType>,
    /// Whether a null may occur.
    pub nullable: bool,
    /// An encoded image or audio clip: a struct of `bytes` and `path`, in either order. The lists on the way are
    /// lists of them.
    pub is_media: bool,
    /// What the source says of its values, under keys of [`meta`] or of its own.
    pub metadata: BTreeMap<String, String>,
    /// The Arrow type of a leaf that no feature can hold: only a reader who leaves it out can go on.
    pub unsupported: Option<String>,
    /// Whether its pages are read with a key alone: only a reader who leaves it out can go on.
    pub is_encrypted: bool,
}

impl Leaf {
    pub(crate) fn root(name: &str) -> Self {
        Self {
            root: name.to_owned(),
            members: Vec::new(),
            dims: Vec::new(),
            dtype: None,
            nullable: false,
            is_media: false,
            metadata: BTreeMap::new(),
            unsupported: None,
            is_encrypted: false,
        }
    }

    /// Dotted name of the leaf.
    pub fn name(&self) -> String {
        let mut name = self.root.clone();
        for member in &self.members {
            name.push('.');
            name.push_str(member);
        }
        name
    }

    /// The feature that holds this leaf.
    pub fn feature(&self) -> Feature {
        let nullable = self.nullable || self.dtype.is_none();
        let metadata = self.metadata.clone();
        if self.is_media {
            let media = Feature::new(self.name(), DType::UInt8, Vec::new());
            let media = Feature { storage: Storage::EncodedMedia, nullable, metadata, ..media };
            return media.in_lists(self.dims.clone());
        }
        let dtype = self.dtype.unwrap_or(DType::String);
        Feature { nullable, metadata, ..Feature::new(self.name(), dtype, self.dims.clone()) }
    }

    /// Why it cannot be a feature; nothing of one that can.
    ///
    /// # Errors
    /// `Unsupported`.
    pub fn check(&self) -> Result<()> {
        if self.is_encrypted {
            return Err(encrypted(&format!("column `{}` is", self.name())).at(Locus::feature(self.name())));
        }
        let Some(data_type) = &self.unsupported else { return Ok(()) };
        let message = format!("column `{}` has Arrow type {data_type}, which no feature has", self.name());
        Err(Error::new(ErrorKind::Unsupported, message).at(Locus::feature(self.name())))
    }
}

/// The leaves of a file, in the order of its columns.
///
/// # Errors
/// `Unsupported` for a type that no feature has.
pub fn leaves(file: &ParquetFile) -> Result<Vec<Leaf>> {
    let leaves = all_leaves(file, true);
    leaves.iter().try_for_each(|it| it.check().map_err(|err| err.at(Locus::path(&file.path))))?;
    Ok(leaves)
}

/// As [`leaves`], with those of types that no feature has. `trusts_counts` tells whether a column whose footer counts no nulls is
/// taken to have none.
pub fn all_leaves(file: &ParquetFile, trusts_counts: bool) -> Vec<Leaf> {
    walk_all(file.footer.schema().fields(), &mut known(file, trusts_counts).into_iter())
}

/// The leaves of an Arrow schema whose fields tell where nulls are.
pub fn leaves_of(fields: &Fields) -> Vec<Leaf> {
    walk_all(fields, &mut std::iter::empty())
}

/// What a Parquet file says of one of its columns of values.
#[derive(Debug, Clone, Copy)]
struct Known {
    has_nulls: bool,
    is_encrypted: bool,
    meaning: Option<Meaning>,
}

/// Types of Parquet's own that its Arrow spelling does not show.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    Json,
    Uuid,
}

/// Per Parquet column, whether a null may occur, as the statistics of the footer say, or yes; and what its values mean.
fn known(file: &ParquetFile, trusts_counts: bool) -> Vec<Known> {
    let metadata = file.footer.metadata();
    let schema = file.footer.parquet_schema();
    (0..schema.num_columns())
        .map(|idx| {
            let column = schema.column(idx);
            let is_required = column.max_def_level() == 0;
            let counted = |it: &parquet::file::metadata::RowGroupMetaData| {
                it.column(idx).statistics().and_then(|it| it.null_count_opt()).filter(|_| trusts_counts)
            };
            let has_nulls = !is_required && metadata.row_groups().iter().any(|it| counted(it) != Some(0));
            let meaning = match (column.logical_type_ref(), column.converted_type()) {
                (Some(LogicalType::Json), _) | (None, ConvertedType::JSON) => Some(Meaning::Json),
                (Some(LogicalType::Uuid), _) => Some(Meaning::Uuid),
                _ => None,
            };
            Known { has_nulls, is_encrypted: file.encrypted.contains(&idx), meaning }
        })
        .collect()
}

fn walk_all(fields: &Fields, known: &mut dyn Iterator<Item = Known>) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    for field in fields {
        walk(field, Way { leaf: Leaf::root(field.name()), items: vec![false] }, known, &mut leaves);
    }
    leaves
}

/// The way from a column down to a leaf.
#[derive(Clone)]
struct Way {
    leaf: Leaf,
    /// Per level, the rows first and then the items of each list, whether one may be null.
    items: Vec<bool>,
}

impl Way {
    fn may_be_null(&mut self, field: &Field) {
        if let Some(last) = self.items.last_mut() {
            *last |= field.is_nullable();
        }
    }

    fn list(mut self, dim: Dim) -> Self {
        self.leaf.dims.push(dim);
        self.items.push(false);
        self
    }

    fn member(&self, name: &str) -> Self {
        let mut below = self.clone();
        below.leaf.members.push(name.to_owned());
        below
    }

    /// The leaf at its end. Known nulls are those of all levels; else each level tells.
    fn end(mut self, known: Option<Known>) -> Leaf {
        self.leaf.nullable = known.map_or_else(|| self.items.contains(&true), |it| it.has_nulls);
        self.leaf.is_encrypted |= known.is_some_and(|it| it.is_encrypted);
        // A feature's lists of fixed length hold no nulls one by one, except where these are lists themselves.
        let dims = &mut self.leaf.dims;
        for idx in (0..dims.len()).rev() {
            let holds_lists = dims.get(idx + 1) == Some(&Dim::Variable);
            if self.items[idx + 1] && !holds_lists && !self.leaf.is_media && known.is_none() {
                dims[idx] = Dim::Variable;
            }
        }
        self.leaf
    }
}

fn walk(field: &Field, mut way: Way, known: &mut dyn Iterator<Item = Known>, found: &mut Vec<Leaf>) {
    way.may_be_null(field);
    match field.data_type() {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => walk(item, way.list(Dim::Variable), known, found),
        DataType::FixedSizeList(item, n) => {
            walk(item, way.list(Dim::Fixed(u32::try_from(*n).unwrap_or(0))), known, found);
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(members) = entries.data_type() else { return };
            let mut way = way.list(Dim::Variable);
            way.may_be_null(entries);
            for (member, name) in members.iter().zip(ENTRY) {
                walk(member, way.member(name), known, found);
            }
        }
        DataType::Struct(members) if is_media(members) => {
            // A frame is absent when its bytes are; the path may be absent as it likes.
            let mut of_bytes = None;
            for member in members {
                let known = known.next();
                way.leaf.is_encrypted |= known.is_some_and(|it| it.is_encrypted);
                if member.name() == "bytes" {
                    way.may_be_null(member);
                    of_bytes = known;
                }
            }
            way.leaf.dtype = Some(DType::UInt8);
            way.leaf.is_media = true;
            found.push(way.end(of_bytes));
        }
        DataType::Struct(members) if !members.is_empty() => {
            for member in members {
                walk(member, way.member(member.name()), known, found);
            }
        }
        DataType::Dictionary(_, values) => {
            let values = Field::new(field.name(), (**values).clone(), field.is_nullable());
            walk(&values.with_metadata(field.metadata().clone()), way, known, found);
        }
        DataType::RunEndEncoded(_, values) => walk(values, way, known, found),
        other => {
            let known = known.next();
            let metadata = &mut way.leaf.metadata;
            let logical = match known.and_then(|it| it.meaning) {
                Some(Meaning::Uuid) => Some("uuid".to_owned()),
                Some(Meaning::Json) | None => logical_of(field),
            };
            metadata.extend(logical.map(|it| (meta::LOGICAL.to_owned(), it)));
            way.leaf.dtype = stored(other);
            let is_text = way.leaf.dtype == Some(DType::String);
            if is_text
                && (is_json(field) || matches!(known, Some(Known { meaning: Some(Meaning::Json), .. })))
            {
                way.leaf.metadata.insert(meta::ENCODING.to_owned(), JSON.to_owned());
            }
            if way.leaf.dtype.is_none() && *other != DataType::Null {
                way.leaf.unsupported = Some(other.to_string());
            }
            found.push(way.end(known));
        }
    }
}

/// What text is that holds JSON.
const JSON: &str = "json";

/// An encoded medium, whatever order its members are in.
fn is_media(members: &Fields) -> bool {
    let has = |name: &str, dtype: DType| {
        members.iter().any(|it| {
            it.name() == name && (*it.data_type() == DataType::Null || stored(it.data_type()) == Some(dtype))
        })
    };
    members.len() == 2 && has("bytes", DType::Bytes) && has("path", DType::String)
}

/// The type that values are stored as; `None` where there is none that holds them.
fn stored(data_type: &DataType) -> Option<DType> {
    match data_type {
        DataType::Timestamp(..)
        | DataType::Duration(_)
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Date64 => Some(DType::Int64),
        DataType::Date32 => Some(DType::Int32),
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => Some(DType::String),
        DataType::FixedSizeBinary(_) => Some(DType::Bytes),
        DataType::Dictionary(_, values) => stored(values),
        DataType::RunEndEncoded(_, values) => stored(values.data_type()),
        other => DType::from_arrow(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(leaves: &[Leaf]) -> Vec<String> {
        let told = leaves.iter().map(|it| {
            let nullable = if it.nullable { "?" } else { "" };
            let meaning = it.metadata.get(meta::LOGICAL).map(|it| format!(" {it}")).unwrap_or_default();
            match &it.unsupported {
                Some(other) => format!("{} {other}", it.name()),
                None => format!("{} {}{nullable}{meaning}", it.name(), it.feature().told()),
            }
        });
        told.collect()
    }

    #[test]
    fn arrow_fields_tell_where_nulls_are() {
        let item = |dtype: DataType, nullable| std::sync::Arc::new(Field::new("item", dtype, nullable));
        let fixed = |nullable| DataType::FixedSizeList(item(DataType::Float32, nullable), 3);
        let entries =
            vec![Field::new("keys", DataType::Utf8, false), Field::new("values", DataType::Int8, true)];
        let entries = Field::new("entries", DataType::Struct(entries.into()), false);
        let media =
            vec![Field::new("path", DataType::Utf8, true), Field::new("bytes", DataType::LargeBinary, true)];
        let fields = vec![
            Field::new("fixed", fixed(false), true),
            Field::new("loose", fixed(true), false),
            Field::new("m", DataType::Map(entries.into(), false), false),
            Field::new("views", DataType::LargeList(item(DataType::Struct(media.into()), false)), false),
            Field::new("d", DataType::Decimal128(10, 2), true),
            Field::new(
                "s",
                DataType::Struct(
                    vec![
                        Field::new("when", DataType::Duration(arrow_schema::TimeUnit::Millisecond), false),
                        Field::new("i", DataType::Interval(arrow_schema::IntervalUnit::DayTime), false),
                    ]
                    .into(),
                ),
                false,
            ),
        ];
        let expected = [
            "fixed float32[3]?",
            "loose float32[-1]?",
            "m.key string[-1]",
            "m.value int8[-1]?",
            "views uint8[-1], encoded?",
            "d string? decimal(10, 2)",
            "s.when int64 duration[ms]",
            "s.i Interval(DayTime)",
        ];
        let leaves = leaves_of(&fields.into());
        assert_eq!(told(&leaves), expected);
        assert!(leaves[6].check().is_ok());
        let err = leaves[7].check().unwrap_err();
        assert_eq!((err.kind(), err.locus().to_string().as_str()), (ErrorKind::Unsupported, "feature `s.i`"));
    }
}
