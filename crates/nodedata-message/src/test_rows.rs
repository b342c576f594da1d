//! Decodes messages in tests and prints each column's values.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, cast::AsArray, types::*};
use arrow_schema::DataType;
use nodedata_core::{Columns, Feature, Layout, MediaShape, Result};

use crate::{JsonInference, MessageDecoder, MessageSchema, Pixels, Place};

/// One topic: its columns, and a decoder.
pub(crate) struct Topic {
    pub(crate) layout: Arc<Layout>,
    pub(crate) decoder: MessageDecoder,
}

/// Columns by name, each row printed.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<(String, Vec<String>)>,
    pub(crate) pixels: Vec<MediaShape>,
}

impl Topic {
    pub(crate) fn new(compile: impl FnOnce(&mut Layout) -> Result<MessageDecoder>) -> Result<Self> {
        let mut layout = Layout::default();
        let decoder = compile(&mut layout)?;
        Ok(Self { layout: Arc::new(layout), decoder })
    }

    /// A topic of JSON messages with a schema.
    #[track_caller]
    pub(crate) fn json(schema: &str) -> Self {
        Self::encoded("json", schema)
    }

    #[track_caller]
    pub(crate) fn encoded(message_encoding: &str, schema: &str) -> Self {
        let schema = MessageSchema {
            message_encoding,
            schema_encoding: "jsonschema",
            schema_name: "Test",
            schema: schema.as_bytes(),
        };
        Self::new(|layout| MessageDecoder::compile(layout, &schema)).unwrap()
    }

    /// A topic of messages without a schema.
    pub(crate) fn inferred(mut inference: JsonInference, messages: &[impl AsRef<[u8]>]) -> Self {
        for (at, message) in messages.iter().enumerate() {
            // One that is not readable makes bytes of all.
            drop(inference.observe(message.as_ref(), Place { input: 0, at: at as u64 }));
        }
        Self::new(|layout| inference.compile(layout)).unwrap()
    }

    /// `name type`, one per column; a question mark where it may be null.
    pub(crate) fn types(&self) -> Vec<String> {
        self.layout.features().map(describe).collect()
    }

    pub(crate) fn decode(&self, messages: &[impl AsRef<[u8]>]) -> Result<Rows> {
        let mut columns = Columns::new(Arc::clone(&self.layout));
        let mut pixels = Pixels::default();
        for message in messages {
            if let Err(err) = self.decoder.decode(message.as_ref(), &mut columns, &mut pixels) {
                // A failed row leaves nothing behind: what is there can still be finished.
                columns.abort_row();
                columns.finish();
                return Err(err);
            }
            columns.end_row();
        }
        let arrays = columns.finish();
        let mut printed = Vec::new();
        for (array, feature) in arrays.iter().zip(self.layout.features()) {
            assert_eq!(*array.data_type(), feature.arrow_type(), "{}", feature.name);
            assert!(feature.nullable || array.null_count() == 0, "{}", feature.name);
            let values = (0..array.len()).map(|row| print(array, row)).collect();
            printed.push((feature.name.clone(), values));
        }
        Ok(Rows { columns: printed, pixels: pixels.take() })
    }

    /// The printed values of one message's columns, or the error's place and text.
    pub(crate) fn row(&self, message: impl AsRef<[u8]>) -> Result<Vec<String>, String> {
        match self.decode(&[message]) {
            Ok(rows) => Ok(rows.columns.into_iter().map(|(_, mut values)| values.remove(0)).collect()),
            Err(err) => Err(format!("{}: {err}", err.locus())),
        }
    }
}

impl Rows {
    #[track_caller]
    pub(crate) fn column(&self, name: &str) -> &[String] {
        let found = self.columns.iter().find(|it| it.0 == name);
        &found.unwrap_or_else(|| panic!("no column {name}")).1
    }
}

fn describe(feature: &Feature) -> String {
    let dims: String = feature.shape.iter().map(|it| format!("[{}]", it.as_i64())).collect();
    let mark = if feature.nullable { "?" } else { "" };
    let encoding = feature.metadata.get(nodedata_core::meta::ENCODING);
    let encoding = encoding.map(|it| format!(" as {it}")).unwrap_or_default();
    format!("{} {}{dims}{mark}{encoding}", feature.name, feature.dtype)
}

/// One value, with lists in brackets and bytes in hexadecimal.
fn print(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "null".to_owned();
    }
    let list = |items: ArrayRef| {
        let items: Vec<String> = (0..items.len()).map(|it| print(&items, it)).collect();
        format!("[{}]", items.join(","))
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|it| format!("{it:02x}")).collect::<String>();
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).to_string(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).to_string(),
        DataType::Float32 => format!("{:?}", array.as_primitive::<Float32Type>().value(row)),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).to_string(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).to_string(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).to_string(),
        DataType::Float64 => format!("{:?}", array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Binary => hex(array.as_binary::<i32>().value(row)),
        DataType::List(_) => list(array.as_list::<i32>().value(row)),
        DataType::FixedSizeList(..) => list(array.as_fixed_size_list().value(row)),
        DataType::Struct(_) => print(array.as_struct().column(0), row),
        other => panic!("no column is {other}"),
    }
}
