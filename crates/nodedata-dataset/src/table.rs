use std::{collections::HashMap, sync::Arc};

use arrow_array::{ArrayRef, Int64Array};
use arrow_schema::{
    Field, FieldRef, Schema, SchemaRef,
    extension::{EXTENSION_TYPE_METADATA_KEY, EXTENSION_TYPE_NAME_KEY},
};
use nodedata_core::{
    DType, EPISODE_INDEX, Error, ErrorKind, Feature, MediaShape, Result, Storage, StreamSchema, meta,
};
use parquet::{
    arrow::{
        ArrowSchemaConverter,
        arrow_writer::{ArrowColumnWriter, compute_leaves},
    },
    file::{metadata::KeyValue, properties::WriterProperties},
    schema::types::{ColumnDescPtr, TypePtr},
};
use serde_json::json;

use crate::{
    access::Access,
    codec::{ColumnFactory, PlainColumn, PlainWriter},
    column_writer::Chunk,
    digest::b3_of,
    hugging_face::{self, Shown},
    media_chunk::MediaWriter,
    properties,
};

/// How the rows of one stream become Parquet columns: the same for all of its shards.
pub(crate) struct Table {
    /// Name of the stream.
    pub(crate) stream: Arc<str>,
    /// Tells whether two tables have the same columns.
    pub(crate) columns_hash: String,
    /// `episode_index`, then the features of the stream.
    pub(crate) features: Vec<Feature>,
    pub(crate) arrow: SchemaRef,
    pub(crate) root: TypePtr,
    pub(crate) properties: WriterProperties,
    columns: Vec<Column>,
    access: Access,
}

/// How one feature is encoded.
enum Column {
    Plain(Arc<PlainColumn>),
    Media {
        bytes: ColumnDescPtr,
        /// What stands beside the bytes in the struct of encoded media.
        beside: Option<Box<ColumnFactory>>,
    },
}

impl Table {
    pub(crate) fn new(stream: &StreamSchema, created_by: &str, access: Access) -> Result<Self> {
        let mut features = vec![Feature::new(EPISODE_INDEX, DType::Int64, Vec::new())];
        features.extend(stream.features.iter().cloned());
        let arrow = Arc::new(Schema::new(features.iter().map(Feature::arrow_field).collect::<Vec<_>>()));
        let columns = ArrowSchemaConverter::new()
            .with_coerce_types(false)
            .convert(&arrow)
            .map_err(|err| unwritable(stream, err))?;
        let root = columns.root_schema_ptr();
        let mut leaves = columns.columns().iter();
        let of_features = features.iter().map(|it| -> parquet::errors::Result<Column> {
            let leaf = leaves.next().expect("a column per leaf of the same schema");
            let column = Column::new(it, leaf, created_by, access)?;
            if let Column::Media { beside: Some(_), .. } = column {
                leaves.next();
            }
            Ok(column)
        });
        let columns = of_features.collect::<Result<_, _>>().map_err(|err| unwritable(stream, err))?;
        let properties = properties::table(&features, created_by, access);
        let stream = Arc::clone(&stream.name);
        // What the footer says of a feature is in its fields, and so in what `Debug` prints.
        let columns_hash = b3_of(format!("{features:?}").as_bytes());
        Ok(Self { stream, columns_hash, features, arrow, root, properties, columns, access })
    }

    /// What the footer of a shard says beside its columns. Hugging Face readers look for their features in the
    /// metadata of the Arrow schema, and nowhere else once there is one.
    pub(crate) fn footer(&self, shown: &[Option<Shown>], frames: &[Option<MediaShape>]) -> Vec<KeyValue> {
        let features = hugging_face::features_json(&self.features, shown);
        let metadata = HashMap::from([("huggingface".to_owned(), features.clone())]);
        let arrow = self.told(frames).with_metadata(metadata);
        let mut carrier = WriterProperties::default();
        parquet::arrow::add_encoded_arrow_schema_to_metadata(&arrow, &mut carrier);
        let mut entries = carrier.key_value_metadata().cloned().unwrap_or_default();
        entries.push(KeyValue::new("huggingface".to_owned(), features));
        entries
    }

    /// The columns, with what raw frames are where that is known, and which texts are JSON.
    fn told(&self, frames: &[Option<MediaShape>]) -> Schema {
        let with = |(column, field): (usize, &FieldRef)| {
            let frame = frames.get(column).and_then(Option::as_ref);
            let is_json = hugging_face::is_json(&self.features[column]);
            if frame.is_none() && !is_json {
                return Arc::clone(field);
            }
            let mut metadata = field.metadata().clone();
            if let Some(frame) = frame {
                metadata.insert(meta::FRAME_TYPE.to_owned(), frame.dtype.name().to_owned());
                metadata.insert(meta::FRAME_SHAPE.to_owned(), json!(frame.shape).to_string());
            }
            if is_json {
                // `datasets` takes a column for JSON by its Arrow type, whatever its own features say.
                metadata.insert(EXTENSION_TYPE_NAME_KEY.to_owned(), "arrow.json".to_owned());
                metadata.insert(EXTENSION_TYPE_METADATA_KEY.to_owned(), String::new());
            }
            Arc::new(Field::clone(field).with_metadata(metadata))
        };
        Schema::new(self.arrow.fields().iter().enumerate().map(with).collect::<Vec<_>>())
    }

    /// Writers for a new row group, one slot per feature.
    pub(crate) fn open_row_group(&self) -> Result<Vec<Slot>> {
        let slots = self.columns.iter().map(|column| {
            let writers = column.writers(self.access).map_err(encode_error)?;
            Ok(Slot { writers, chunks: Vec::new() })
        });
        slots.collect()
    }
}

impl Column {
    /// `leaf` is the first of its Parquet columns.
    fn new(
        feature: &Feature,
        leaf: &ColumnDescPtr,
        created_by: &str,
        access: Access,
    ) -> parquet::errors::Result<Self> {
        if !properties::is_encoded_media(feature) {
            return Ok(Self::Plain(Arc::new(PlainColumn::new(feature, created_by, access)?)));
        }
        let beside = match feature.storage {
            Storage::EncodedMedia => {
                let properties = properties::media(feature, created_by, access);
                Some(Box::new(ColumnFactory::new(feature, properties)?))
            }
            Storage::Plain | Storage::RawMedia => None,
        };
        Ok(Self::Media { bytes: Arc::clone(leaf), beside })
    }

    /// A writer for each Parquet column.
    fn writers(&self, access: Access) -> parquet::errors::Result<Vec<LeafWriter>> {
        match self {
            Self::Plain(column) => {
                Ok(vec![LeafWriter::Plain(Box::new(PlainWriter::new(Arc::clone(column))?))])
            }
            Self::Media { bytes, beside } => {
                let page_rows = access.page_rows();
                let media = MediaWriter::new(Arc::clone(bytes), page_rows, page_rows, false);
                let mut writers = vec![LeafWriter::Media(Box::new(media))];
                if let Some(beside) = beside {
                    // The first that the crate makes would be that of the bytes.
                    let others = beside.writers()?.into_iter().skip(1);
                    writers.extend(others.map(|it| LeafWriter::Arrow(Box::new(it))));
                }
                Ok(writers)
            }
        }
    }
}

/// The encoders of one column in one row group; once closed, its finished chunks.
pub(crate) struct Slot {
    writers: Vec<LeafWriter>,
    pub(crate) chunks: Vec<Chunk>,
}

enum LeafWriter {
    Plain(Box<PlainWriter>),
    /// What stands beside media.
    Arrow(Box<ArrowColumnWriter>),
    Media(Box<MediaWriter>),
}

impl Slot {
    /// Encodes one more piece of the column.
    pub(crate) fn write(&mut self, field: &arrow_schema::Field, array: &ArrayRef) -> Result<()> {
        for (idx, writer) in self.writers.iter_mut().enumerate() {
            match writer {
                LeafWriter::Plain(writer) => writer.write(array),
                LeafWriter::Media(writer) => writer.write(field, array),
                LeafWriter::Arrow(writer) => {
                    compute_leaves(field, array).and_then(|leaves| writer.write(&leaves[idx]))
                }
            }
            .map_err(encode_error)?;
        }
        Ok(())
    }

    /// Ends the column's chunk.
    pub(crate) fn close(&mut self) -> Result<()> {
        for writer in self.writers.drain(..) {
            let chunk = match writer {
                LeafWriter::Plain(writer) => writer.close(),
                LeafWriter::Arrow(writer) => writer.close().map(|it| Chunk::Arrow(Box::new(it))),
                LeafWriter::Media(writer) => writer.close().map(|it| Chunk::Media(Box::new(it))),
            };
            self.chunks.push(chunk.map_err(encode_error)?);
        }
        Ok(())
    }
}

/// The `episode_index` column of `n_rows` rows of one episode.
pub(crate) fn episode_column(episode: usize, n_rows: usize) -> ArrayRef {
    Arc::new(Int64Array::from_value(episode as i64, n_rows))
}

fn unwritable(stream: &StreamSchema, err: parquet::errors::ParquetError) -> Error {
    Error::new(ErrorKind::Unsupported, format!("Parquet cannot hold the columns of `{}`", stream.name))
        .with_source(err)
}

pub(crate) fn encode_error(err: parquet::errors::ParquetError) -> Error {
    Error::new(ErrorKind::Io, "encoding a Parquet column failed").with_source(err)
}
