//! Columns that grow by rows, and rows without a value.

use nodedata_core::{DType, Error, ErrorKind, Locus, Result};
use nodedata_reader::{Column, Data, Memory, Rows, Tensor};

use crate::Slot;

/// Adds rows behind those that are there.
///
/// # Errors
/// `SchemaMismatch` for other columns, and for values of another type or shape; `Limit` where there is no memory.
pub(super) fn append(rows: &mut Rows, more: Rows) -> Result<()> {
    if rows.columns.len() != more.columns.len() {
        return Err(Error::new(ErrorKind::SchemaMismatch, "rows of one sample have other columns")
            .with_hint("`node-data dataset verify` tells whether the revision is damaged"));
    }
    let (n_rows, n_more) = (rows.n_rows, more.n_rows);
    for (column, more) in rows.columns.iter_mut().zip(more.columns) {
        let name = more.name;
        data(&mut column.data, more.data).map_err(|err| err.at(Locus::feature(&*name)))?;
        column.valid = match (column.valid.take(), more.valid) {
            (None, None) => None,
            (valid, more) => {
                let mut valid = valid.unwrap_or_else(|| vec![true; n_rows]);
                valid.extend(more.unwrap_or_else(|| vec![true; n_more]));
                Some(valid)
            }
        };
    }
    rows.n_rows += n_more;
    Ok(())
}

/// Room for so many rows more, where it is known how much that is.
///
/// # Errors
/// `Limit` where there is none.
pub(super) fn reserve(column: &mut Column, n_rows: usize) -> Result<()> {
    match &mut column.data {
        Data::Tensor(tensor) => {
            let n_bytes = tensor.row_bytes().and_then(|it| it.checked_mul(n_rows));
            let is_there = n_bytes.is_some_and(|it| tensor.bytes.reserve(it));
            if !is_there {
                return Err(no_memory(&column.name));
            }
        }
        Data::Ragged(ragged) => ragged.offsets.reserve(n_rows),
        Data::Text(texts) => texts.reserve(n_rows),
        Data::Bytes(bytes) => bytes.reserve(n_rows),
    }
    Ok(())
}

/// The column of these rows of it: pads, its own rows as they lie there, and pads. Only pads are copied, to memory before and behind it.
///
/// # Errors
/// As [`Column::take`].
pub(super) fn padded(
    mut column: Column,
    n_rows: usize,
    rows: &[usize],
    (mut before, mut behind): (Memory, Memory),
) -> Result<Column> {
    let row_bytes = match &column.data {
        Data::Tensor(tensor) => tensor.row_bytes().unwrap_or(0),
        Data::Ragged(_) | Data::Text(_) | Data::Bytes(_) => 0,
    };
    let n_before = before.len().checked_div(row_bytes).unwrap_or(0);
    let n_behind = behind.len().checked_div(row_bytes).unwrap_or(0);
    let Data::Tensor(tensor) = &mut column.data else { return column.take(rows) };
    // They may be of another size than was told, and have no place there then.
    let fits = n_before + n_rows + n_behind == rows.len() && tensor.bytes.len() == n_rows * row_bytes;
    if row_bytes == 0 || !fits {
        return column.take(rows);
    }
    let own = tensor.bytes.chunks_exact(row_bytes);
    let of_row = |row: &usize| own.clone().nth(*row);
    let (first, last) = rows.split_at(n_before + n_rows);
    for (pads, rows) in [(&mut before, first), (&mut behind, last)] {
        for (pad, row) in pads.chunks_exact_mut(row_bytes).zip(rows) {
            pad.copy_from_slice(of_row(row).ok_or_else(changed)?);
        }
    }
    let whole = Memory::joined(vec![before, std::mem::take(&mut tensor.bytes), behind]);
    tensor.bytes = whole.ok_or_else(|| no_memory(&column.name))?;
    if let Some(valid) = &mut column.valid {
        *valid = rows.iter().map(|row| valid.get(*row).copied().unwrap_or(true)).collect();
    }
    Ok(column)
}

/// Takes the values out of the rows whose slots have none.
///
/// # Errors
/// `Config` for NaN where values are no floats, which the plan has told.
pub(super) fn blank(column: &mut Column, slots: &[Slot]) -> Result<()> {
    let is_blank = |row: usize| slots.get(row).is_some_and(|it| it.step().is_none());
    match &mut column.data {
        Data::Tensor(tensor) => {
            let row_bytes = tensor.row_bytes().unwrap_or(0);
            if row_bytes > 0 {
                let dtype = tensor.dtype;
                for (row, slot) in tensor.bytes.chunks_exact_mut(row_bytes).zip(slots) {
                    match slot {
                        Slot::Step(_) | Slot::Edge(_) => {}
                        Slot::Zero => row.fill(0),
                        Slot::Nan => fill_with_nan(row, dtype)?,
                    }
                }
            }
        }
        Data::Ragged(_) => {
            let kept: Vec<usize> = (0..slots.len()).filter(|row| !is_blank(*row)).collect();
            let whole = Column { name: column.name.clone(), data: column.data.clone(), valid: None };
            let taken = whole.take(&kept)?;
            if let Data::Ragged(mut taken) = taken.data {
                let mut ends = taken.offsets.iter().copied().skip(1);
                let mut end = 0;
                let mut offsets = vec![end];
                for row in 0..slots.len() {
                    if !is_blank(row) {
                        end = ends.next().unwrap_or(end);
                    }
                    offsets.push(end);
                }
                taken.offsets = offsets;
                column.data = Data::Ragged(taken);
            }
        }
        Data::Text(texts) => {
            for (_, text) in texts.iter_mut().enumerate().filter(|(row, _)| is_blank(*row)) {
                text.clear();
            }
        }
        Data::Bytes(bytes) => {
            for (_, bytes) in bytes.iter_mut().enumerate().filter(|(row, _)| is_blank(*row)) {
                bytes.clear();
            }
        }
    }
    if let Some(valid) = &mut column.valid {
        for (_, valid) in valid.iter_mut().enumerate().filter(|(row, _)| is_blank(*row)) {
            *valid = true;
        }
    }
    Ok(())
}

fn fill_with_nan(row: &mut [u8], dtype: DType) -> Result<()> {
    let nan = match dtype {
        // A quiet NaN of half precision.
        DType::Float16 => 0x7e00_u16.to_le_bytes().to_vec(),
        DType::Float32 => f32::NAN.to_le_bytes().to_vec(),
        DType::Float64 => f64::NAN.to_le_bytes().to_vec(),
        other => {
            let message = format!("`pad` is \"nan\", and values are {}", other.name());
            return Err(
                Error::new(ErrorKind::Config, message).with_hint("pad with \"edge\", \"zero\" or \"drop\"")
            );
        }
    };
    for element in row.chunks_exact_mut(nan.len()) {
        element.copy_from_slice(&nan);
    }
    Ok(())
}

fn data(data: &mut Data, more: Data) -> Result<()> {
    match (data, more) {
        (Data::Tensor(tensor), Data::Tensor(more)) => tensors(tensor, more),
        (Data::Ragged(ragged), Data::Ragged(more)) => {
            tensors(&mut ragged.values, more.values)?;
            let n_items = ragged.offsets.last().copied().unwrap_or(0);
            if ragged.offsets.is_empty() {
                ragged.offsets.push(n_items);
            }
            ragged.offsets.extend(more.offsets.iter().skip(1).map(|it| n_items + it));
            Ok(())
        }
        (Data::Text(texts), Data::Text(more)) => {
            texts.extend(more);
            Ok(())
        }
        (Data::Bytes(bytes), Data::Bytes(more)) => {
            bytes.extend(more);
            Ok(())
        }
        (Data::Tensor(_) | Data::Ragged(_) | Data::Text(_) | Data::Bytes(_), _) => Err(changed()),
    }
}

fn tensors(tensor: &mut Tensor, more: Tensor) -> Result<()> {
    if tensor.dtype != more.dtype || tensor.shape != more.shape {
        return Err(changed());
    }
    // What was reserved is there; of ragged values nobody knew how many come.
    if tensor.bytes.append(more.bytes) { Ok(()) } else { Err(no_memory("the sample")) }
}

fn changed() -> Error {
    Error::new(ErrorKind::SchemaMismatch, "values change their type or shape within the episode")
        .with_hint("read steps (`unit=\"step\"`), or resize pictures to one size")
}

fn no_memory(what: &str) -> Error {
    Error::new(ErrorKind::Limit, format!("there is no memory for the rows of {what}"))
        .with_hint("read steps (`unit=\"step\"`), name the fields that are wanted, or resize pictures")
}
