//! The table that Parquet and Arrow files hold.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use arrow_array::{
    ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Float64Array, Int64Array, RecordBatch,
    StringArray,
};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field};
use parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties};

use crate::{bench::noise::Noise, workspace::Result};

/// Rows of a batch, which is a row group of Parquet.
const BATCH_ROWS: u64 = 10_000;
const N_JOINTS: i32 = 7;
const N_EMBEDDED: i32 = 64;

/// Writes batches of rows from `first` on, a row group each, until the file has `n_bytes`. Returns how many rows.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write_parquet(path: &Path, first: u64, n_bytes: u64) -> Result<u64> {
    let failed = |err: &dyn std::fmt::Display| format!("cannot write {}: {err}", path.display());
    let file = File::create(path).map_err(|err| failed(&err))?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let schema = batch(first)?.schema();
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).map_err(|err| failed(&err))?;
    let mut n_rows = 0;
    while (writer.bytes_written() as u64) < n_bytes {
        let written = writer.write(&batch(first + n_rows)?).and_then(|()| writer.flush());
        written.map_err(|err| failed(&err))?;
        n_rows += BATCH_ROWS;
    }
    writer.close().map_err(|err| failed(&err))?;
    Ok(n_rows)
}

/// The same as an Arrow file.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write_ipc(path: &Path, first: u64, n_bytes: u64) -> Result<u64> {
    let failed = |err: &dyn std::fmt::Display| format!("cannot write {}: {err}", path.display());
    let target = Counted { file: File::create(path).map_err(|err| failed(&err))?, n_written: 0 };
    let schema = batch(first)?.schema();
    let mut writer = FileWriter::try_new(target, &schema).map_err(|err| failed(&err))?;
    let mut n_rows = 0;
    while writer.get_ref().n_written < n_bytes {
        writer.write(&batch(first + n_rows)?).map_err(|err| failed(&err))?;
        n_rows += BATCH_ROWS;
    }
    writer.finish().map_err(|err| failed(&err))?;
    Ok(n_rows)
}

/// A file that knows how much was written.
struct Counted {
    file: File,
    n_written: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.n_written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The rows from `first` on: numbers, lists of them, text that repeats.
fn batch(first: u64) -> Result<RecordBatch> {
    let mut noise = Noise::new(first);
    let rows = first..first + BATCH_ROWS;
    let ids = rows.clone().map(|it| it as i64);
    let seconds = rows.clone().map(|it| (it % 300) as f64 / 30.0);
    let tasks = rows.clone().map(|it| format!("pick up cube {}", it / 300 % 11));
    let columns: [(&str, ArrayRef); 6] = [
        ("id", Arc::new(Int64Array::from_iter_values(ids))),
        ("timestamp", Arc::new(Float64Array::from_iter_values(seconds))),
        ("task", Arc::new(StringArray::from_iter_values(tasks))),
        ("done", Arc::new(rows.map(|it| Some(it % 300 == 299)).collect::<BooleanArray>())),
        ("state", lists(&mut noise, N_JOINTS)),
        ("embedding", lists(&mut noise, N_EMBEDDED)),
    ];
    RecordBatch::try_from_iter(columns).map_err(|err| format!("cannot make a table: {err}"))
}

fn lists(noise: &mut Noise, length: i32) -> ArrayRef {
    let n = BATCH_ROWS * u64::from(length.unsigned_abs());
    let values = Float32Array::from_iter_values((0..n).map(|_| noise.signed_unit() as f32));
    let item = Arc::new(Field::new("element", DataType::Float32, false));
    Arc::new(FixedSizeListArray::new(item, length, Arc::new(values), None))
}
