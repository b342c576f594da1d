use std::{ops::Range, sync::Arc};

use nodedata_core::{ReadAt, Result};

use crate::{
    elements::{Closed, Elements},
    lines::first_line,
    records::{Form, Spot},
};

/// Bytes of a part at least: a file of short stretches has more of them than anybody wants to plan.
pub(crate) const PART_BYTES_MIN: u64 = 4 << 10;

/// A part of a text that is looked at alone.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Of lines, those that begin in it are its. Of elements, one begins at its start, and the next part at its end.
    pub(crate) range: Range<u64>,
    /// Of elements, the place of the first.
    spot: Option<Spot>,
}

/// The parts of a text, one after the other.
pub(crate) struct Parts {
    part_bytes: u64,
    how: How,
}

enum How {
    Lines { at: u64, n_bytes: u64 },
    List { elements: Box<Elements>, next: Option<(u64, Spot)> },
}

impl Parts {
    pub(crate) fn new(
        form: Form,
        text: &Arc<dyn ReadAt>,
        part_bytes: u64,
        record_bytes_max: u64,
    ) -> Result<Self> {
        let how = match form {
            Form::Lines => How::Lines { at: 0, n_bytes: text.n_bytes() },
            Form::List => {
                let elements = Elements::all(Arc::clone(text), record_bytes_max)?;
                How::List { elements: Box::new(elements), next: None }
            }
        };
        Ok(Self { part_bytes: part_bytes.max(PART_BYTES_MIN), how })
    }

    /// The next part. Only a scan tells where elements end: it runs ahead of whoever looks at them.
    pub(crate) fn next_part(&mut self) -> Result<Option<Part>> {
        match &mut self.how {
            How::Lines { at, n_bytes } => {
                let range = *at..(*n_bytes).min(at.saturating_add(self.part_bytes));
                *at = range.end;
                Ok((!range.is_empty()).then_some(Part { range, spot: None }))
            }
            How::List { elements, next } => {
                let mut open = next.take();
                while let Some(element) = elements.next_element()? {
                    let start = element.byte_range.start;
                    let spot = Spot { line: element.line, column: Some(element.column) };
                    match open {
                        None => open = Some((start, spot)),
                        Some((first, first_spot)) if first.saturating_add(self.part_bytes) <= start => {
                            *next = Some((start, spot));
                            return Ok(Some(Part { range: first..start, spot: Some(first_spot) }));
                        }
                        Some(_) => {}
                    }
                }
                let end = elements.at();
                Ok(open.map(|(first, spot)| Part { range: first..end, spot: Some(spot) }))
            }
        }
    }

    /// How a list ended, once there is no part left.
    pub(crate) fn closed(&self) -> Option<Closed> {
        match &self.how {
            How::Lines { .. } => None,
            How::List { elements, .. } => elements.closed(),
        }
    }
}

impl Part {
    /// Where its first record begins, on a line that is counted from the first of the part; `None` where none does.
    pub(crate) fn first(&self, text: &dyn ReadAt) -> Result<Option<(u64, Spot)>> {
        match self.spot {
            Some(spot) => Ok(Some((self.range.start, spot))),
            None => Ok(first_line(text, &self.range)?.map(|at| (at, Spot { line: 1, column: None }))),
        }
    }
}
