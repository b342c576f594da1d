use arrow_array::{Array, cast::AsArray};

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
}

impl Frames {
    /// Takes in the rows of a media column.
    pub(crate) fn observe(&mut self, column: &dyn Array) {
        let bytes = match column.as_struct_opt() {
            Some(media) => media.columns().first().and_then(|it| it.as_binary_opt::<i32>()),
            None => column.as_binary_opt::<i32>(),
        };
        let Some(bytes) = bytes else { return };
        for idx in 0..bytes.len() {
            let row = self.n_rows;
            self.n_rows += 1;
            if !column.is_valid(idx) || !bytes.is_valid(idx) || bytes.value(idx).is_empty() {
                self.n_missing += 1;
                self.first_missing = self.first_missing.or(Some(row));
                continue;
            }
            let frame = bytes.value(idx);
            if self.run.0 > 0 && self.previous == frame {
                self.run.0 += 1;
            } else {
                self.run = (1, row);
                self.previous.clear();
                self.previous.extend_from_slice(frame);
            }
            if self.longest_run.0 < self.run.0 {
                self.longest_run = self.run;
            }
        }
    }
}
