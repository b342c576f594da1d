use std::sync::Arc;

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_reader::{Data, Memory, Tensor};

use crate::engine::sample::{Sample, SampleField};

/// Samples that are delivered together.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The samples in their order. Values of fields that are in [`Self::whole`] are not in them.
    pub samples: Vec<Sample>,
    /// The fields that have numbers of one type and shape in all samples.
    pub whole: Vec<Whole>,
}

/// The values of one field of all samples of a batch, one behind the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Whole {
    /// The field.
    pub name: Arc<str>,
    /// Rows of each sample: those of the window, or the one of the sample.
    pub n_rows: usize,
    /// The values of all rows of all samples. Pictures and frames were decoded to their places there; numbers, and what had no place, were
    /// copied.
    pub values: Tensor,
}

/// What [`crate::Stream::next_batch_within`] has.
#[derive(Debug)]
pub enum PolledBatch {
    /// The next batch, or what is wrong with the next sample.
    Ready(Result<Batch>),
    /// It is not ready yet.
    Waiting,
    /// There are no more in this pass.
    Done,
}

impl Batch {
    /// The batch of some samples. Values are taken out of samples where all of them are steps.
    ///
    /// # Errors
    /// `Limit` where there is no memory for what has to be copied.
    pub(super) fn of(mut samples: Vec<Sample>) -> Result<Self> {
        let n_fields = samples.first().map_or(0, |it| it.fields.len());
        let are_steps = samples.iter().all(|it| it.step.is_some() && it.fields.len() == n_fields);
        let mut whole = Vec::new();
        for idx in (0..n_fields).filter(|_| are_steps) {
            let mut fields: Vec<&mut SampleField> =
                samples.iter_mut().filter_map(|it| it.fields.get_mut(idx)).collect();
            let are_alike = fields.iter().is_sorted_by(|one, other| is_like(one, other));
            if are_alike && let Some(joined) = joined(&mut fields)? {
                whole.push(joined);
            }
        }
        Ok(Self { samples, whole })
    }
}

/// Whether two fields are one and have numbers of one type and shape.
fn is_like(one: &SampleField, other: &SampleField) -> bool {
    let names = (&one.column.name, one.n_rows) == (&other.column.name, other.n_rows);
    let (Data::Tensor(one), Data::Tensor(other)) = (&one.column.data, &other.column.data) else {
        return false;
    };
    names && (one.dtype, &one.shape, one.bytes.len()) == (other.dtype, &other.shape, other.bytes.len())
}

/// Takes the values out of fields that are alike; `None` where they are no numbers.
fn joined(fields: &mut [&mut SampleField]) -> Result<Option<Whole>> {
    let Some(first) = fields.first() else { return Ok(None) };
    let Data::Tensor(Tensor { dtype, shape, .. }) = &first.column.data else { return Ok(None) };
    let (name, n_rows) = (Arc::clone(&first.column.name), first.n_rows);
    let (dtype, shape) = (*dtype, shape.clone());
    let parts = fields.iter_mut().filter_map(|it| match &mut it.column.data {
        Data::Tensor(tensor) => Some(std::mem::take(&mut tensor.bytes)),
        Data::Ragged(_) | Data::Text(_) | Data::Bytes(_) => None,
    });
    let bytes = Memory::joined(parts.collect()).ok_or_else(|| {
        Error::new(ErrorKind::Limit, "there is no memory for the batch").at(Locus::feature(&*name)).with_hint(
            "make batches smaller, name the fields that are wanted (`fields=`), or resize pictures",
        )
    })?;
    Ok(Some(Whole { name, n_rows, values: Tensor { dtype, shape, bytes } }))
}
