use std::{collections::HashMap, sync::Arc};

use arrow_array::{ArrayRef, Int64Array};
use arrow_schema::{Field, FieldRef, Schema, SchemaRef};
use nodedata_core::{
    DType, EPISODE_INDEX, Error, ErrorKind, Feature, PixelShape, Result, Storage, StreamSchema, meta,
};
use parquet::{
    arrow::{
        ArrowSchemaConverter,
        arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves},
    },
    file::{
        metadata::KeyValue,
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::{ColumnDescPtr, TypePtr},
};
use serde_json::json;

use crate::{
    digest::b3_of,
    hugging_face,
    media_chunk::{MediaChunk, MediaWriter},
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
    /// The Parquet columns.
    leaves: Vec<ColumnDescPtr>,
    plain: ArrowRowGroupWriterFactory,
    /// For what stands beside media in their columns, where there are any.
    media: Option<ArrowRowGroupWriterFactory>,
}

impl Table {
    pub(crate) fn new(stream: &StreamSchema, created_by: &str) -> Result<Self> {
        let mut features = vec![Feature::new(EPISODE_INDEX, DType::Int64, Vec::new())];
        features.extend(stream.features.iter().cloned());
        let arrow = Arc::new(Schema::new(features.iter().map(Feature::arrow_field).collect::<Vec<_>>()));
        let columns = ArrowSchemaConverter::new()
            .with_coerce_types(false)
            .convert(&arrow)
            .map_err(|err| unwritable(stream, err))?;
        let (root, leaves) = (columns.root_schema_ptr(), columns.columns().to_vec());
        let properties = properties::plain(&features, created_by);
        let plain = factory(&root, &arrow, properties.clone()).map_err(|err| unwritable(stream, err))?;
        let media = features.iter().any(|it| it.storage == Storage::EncodedMedia).then(|| {
            factory(&root, &arrow, properties::media(&features, created_by))
                .map_err(|err| unwritable(stream, err))
        });
        let media = media.transpose()?;
        let stream = Arc::clone(&stream.name);
        // What the footer says of a feature is in its fields, and so in what `Debug` prints.
        let columns_hash = b3_of(format!("{features:?}").as_bytes());
        Ok(Self { stream, columns_hash, features, arrow, root, properties, leaves, plain, media })
    }

    /// What the footer of a shard says beside its columns. Hugging Face readers look for their features in the
    /// metadata of the Arrow schema, and nowhere else once there is one.
    pub(crate) fn footer(&self, images: &[bool], frames: &[Option<PixelShape>]) -> Vec<KeyValue> {
        let features = hugging_face::features_json(&self.features, images);
        let metadata = HashMap::from([("huggingface".to_owned(), features.clone())]);
        let arrow = self.with_frames(frames).with_metadata(metadata);
        let mut carrier = WriterProperties::default();
        parquet::arrow::add_encoded_arrow_schema_to_metadata(&arrow, &mut carrier);
        let mut entries = carrier.key_value_metadata().cloned().unwrap_or_default();
        entries.push(KeyValue::new("huggingface".to_owned(), features));
        entries
    }

    /// The columns, with what raw frames are where that is known.
    fn with_frames(&self, frames: &[Option<PixelShape>]) -> Schema {
        let with = |(column, field): (usize, &FieldRef)| {
            let Some(Some(frame)) = frames.get(column) else { return Arc::clone(field) };
            let mut metadata = field.metadata().clone();
            metadata.insert(meta::FRAME_TYPE.to_owned(), frame.dtype.name().to_owned());
            metadata.insert(meta::FRAME_SHAPE.to_owned(), json!(frame.shape).to_string());
            Arc::new(Field::clone(field).with_metadata(metadata))
        };
        Schema::new(self.arrow.fields().iter().enumerate().map(with).collect::<Vec<_>>())
    }

    /// Writers for a new row group, one slot per feature.
    pub(crate) fn open_row_group(&self) -> Result<Vec<Slot>> {
        let mut plain = self.plain.create_column_writers(0).map_err(encode_error)?.into_iter();
        let media = self.media.as_ref().map(|it| it.create_column_writers(0)).transpose();
        let mut media = media.map_err(encode_error)?.unwrap_or_default().into_iter();
        let mut leaves = self.leaves.iter();
        let mut slots = Vec::with_capacity(self.features.len());
        for feature in &self.features {
            let is_media = properties::is_encoded_media(feature);
            let n_leaves = if feature.storage == Storage::EncodedMedia { 2 } else { 1 };
            let mut writers = Vec::with_capacity(n_leaves);
            for leaf in 0..n_leaves {
                // The factories make the writers of all columns; each column takes one of them.
                let (of_plain, of_media) = (plain.next(), media.next());
                let column = leaves.next().expect("a column per leaf of the same schema");
                writers.push(match is_media {
                    true if leaf == 0 => LeafWriter::Media(Box::new(MediaWriter::new(Arc::clone(column)))),
                    true => {
                        LeafWriter::Arrow(Box::new(of_media.expect("a writer per leaf of the same schema")))
                    }
                    false => {
                        LeafWriter::Arrow(Box::new(of_plain.expect("a writer per leaf of the same schema")))
                    }
                });
            }
            slots.push(Slot { writers, chunks: Vec::new() });
        }
        Ok(slots)
    }
}

fn factory(
    root: &TypePtr,
    arrow: &SchemaRef,
    properties: WriterProperties,
) -> parquet::errors::Result<ArrowRowGroupWriterFactory> {
    let nowhere = SerializedFileWriter::new(std::io::sink(), Arc::clone(root), Arc::new(properties))?;
    Ok(ArrowRowGroupWriterFactory::new(&nowhere, Arc::clone(arrow)))
}

/// The encoders of one column in one row group; once closed, its finished chunks.
pub(crate) struct Slot {
    writers: Vec<LeafWriter>,
    pub(crate) chunks: Vec<Chunk>,
}

enum LeafWriter {
    Arrow(Box<ArrowColumnWriter>),
    Media(Box<MediaWriter>),
}

/// A finished column chunk.
pub(crate) enum Chunk {
    Arrow(Box<ArrowColumnChunk>),
    Media(Box<MediaChunk>),
}

impl Chunk {
    /// Writes the chunk as the next column of a row group.
    ///
    /// # Errors
    /// What the target reports.
    pub(crate) fn append_to_row_group<W: std::io::Write + Send>(
        self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> parquet::errors::Result<()> {
        match self {
            Self::Arrow(chunk) => chunk.append_to_row_group(group),
            Self::Media(chunk) => chunk.append_to_row_group(group),
        }
    }
}

impl Slot {
    /// Encodes one more piece of the column.
    pub(crate) fn write(&mut self, field: &arrow_schema::Field, array: &ArrayRef) -> Result<()> {
        if let [LeafWriter::Media(writer)] = self.writers.as_mut_slice() {
            return writer.write(field, array).map_err(encode_error);
        }
        let leaves = compute_leaves(field, array).map_err(encode_error)?;
        for (writer, leaf) in self.writers.iter_mut().zip(&leaves) {
            match writer {
                LeafWriter::Arrow(writer) => writer.write(leaf),
                LeafWriter::Media(writer) => writer.write(field, array),
            }
            .map_err(encode_error)?;
        }
        Ok(())
    }

    /// Ends the column's chunk.
    pub(crate) fn close(&mut self) -> Result<()> {
        for writer in self.writers.drain(..) {
            let chunk = match writer {
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
