use arrow_array::{Array, cast::AsArray};
use nodedata_core::Nested;

/// How the frames of one feature followed each other in one episode.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frames {
    pub(crate) n_rows: u64,
    /// Rows without a frame.
    pub(crate) n_missing: u64,
    pub(crate) first_missing: Option<u64>,
    /// The longest run of equal frames: how many, and the row of the first.
    pub(crate) longest_run: (u64, u64),
    run: (u64, u64),
    /// One frame, to hold the next against.
    previous: Vec<u8>,
    /// The frame at hand.
    frame: Vec<u8>,
}

impl Frames {
    /// Takes in the rows of a media column. The frames of a list are one: what is seen at the row.
    pub(crate) fn observe(&mut self, column: &dyn Array) {
        let nested = Nested::of(column);
        let Some(bytes) = nested.values.as_binary_opt::<i32>() else { return };
        let valid = nested.items.last().and_then(|it| it.valid.as_ref());
        let mut values = (0..bytes.len()).peekable();
        for idx in 0..column.len() {
            let row = self.n_rows;
            self.n_rows += 1;
            self.frame.clear();
            while let Some(value) = values.next_if(|it| nested.row_of(nested.dims.len(), *it) == idx) {
                if valid.is_none_or(|it| it.is_valid(value)) {
                    self.frame.extend_from_slice(bytes.value(value));
                }
            }
            if self.frame.is_empty() {
                self.n_missing += 1;
                self.first_missing = self.first_missing.or(Some(row));
                continue;
            }
            if self.run.0 > 0 && self.previous == self.frame {
                self.run.0 += 1;
            } else {
                self.run = (1, row);
                std::mem::swap(&mut self.previous, &mut self.frame);
            }
            if self.longest_run.0 < self.run.0 {
                self.longest_run = self.run;
            }
        }
    }
}
