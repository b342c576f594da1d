use std::ops::Range;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use nodedata_core::{
    Batch, EpisodeFacts, EpisodeStream, Error, ErrorKind, Finding, Locus, Loss, MediaShape, Result, RowSpan,
    StreamId,
};

use crate::{SALVAGE_HINT, STEPS};

/// Hands out the rows of one piece, in order.
pub trait PieceReader: Send {
    /// The next rows, of which the first is the step `first_step` of the episode; `None` when there are no more.
    ///
    /// # Errors
    /// What cannot be read, with the row among those asked for as its step if one is to blame. Nothing more is
    /// asked for then, unless [`Self::n_lost`] says otherwise.
    fn next_rows(&mut self, first_step: u64) -> Result<Option<StepRows>>;

    /// How many rows the last error cost, where it was not all that were left: the next ones follow them.
    fn n_lost(&self) -> Option<u64> {
        None
    }
}

/// Consecutive rows of a piece.
#[derive(Debug, Clone)]
pub struct StepRows {
    /// How many.
    pub n_rows: usize,
    /// The columns of the table, in its order.
    pub columns: Vec<ArrayRef>,
    /// As [`Batch::spans`].
    pub spans: Vec<RowSpan>,
    /// As [`Batch::pixels`].
    pub pixels: Vec<MediaShape>,
}

/// Part of an episode that is read alone.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Of a batch.
    pub schema: SchemaRef,
    /// Which steps of the episode.
    pub steps: Range<u64>,
    /// The file it lies in and the episode, for errors.
    pub place: Locus,
    /// Its bytes in that file.
    pub byte_range: Range<u64>,
}

/// The rows of one piece as batches. Where they break off, the rest of the piece is lost, and counted.
pub struct PieceStream<R> {
    piece: Piece,
    /// `None` once nothing can be read any more.
    reader: Option<R>,
    /// Steps still to come.
    left: Range<u64>,
    records_read: [(StreamId, u64); 1],
    facts: Option<EpisodeFacts>,
    warnings: Vec<Finding>,
    /// Damage that nothing is read behind.
    damage: Option<Error>,
}

impl<R: PieceReader> PieceStream<R> {
    /// Reads a piece.
    pub fn new(piece: Piece, reader: R) -> Self {
        let left = piece.steps.clone();
        let records_read = [(STEPS, left.end - left.start)];
        Self {
            piece,
            reader: Some(reader),
            left,
            records_read,
            facts: None,
            warnings: Vec::new(),
            damage: None,
        }
    }

    /// A piece of which nothing can be read: its damage, which says what it costs, and no row. Its steps are not counted
    /// as read, since nothing tells how many they are.
    pub fn unreadable(piece: Piece, damage: Error) -> Self {
        let start = piece.steps.start;
        let (left, records_read) = (start..start, [(STEPS, 0)]);
        let (facts, warnings) = (None, Vec::new());
        Self { piece, reader: None, left, records_read, facts, warnings, damage: Some(damage) }
    }

    /// What only reading told of the episode.
    #[must_use]
    pub fn with_facts(self, facts: EpisodeFacts) -> Self {
        Self { facts: Some(facts), ..self }
    }

    /// What reading found that costs nothing.
    #[must_use]
    pub fn with_warnings(self, warnings: Vec<Finding>) -> Self {
        Self { warnings, ..self }
    }

    fn batch(&mut self) -> Result<Batch> {
        let first_step = self.left.start;
        let reader = self.reader.as_mut();
        let next = reader.map_or(Ok(None), |it| it.next_rows(first_step));
        let Some(rows) = next.map_err(|err| shifted(err, first_step))? else {
            return Err(Error::new(ErrorKind::Corrupt, "the rows end before the number that was planned"));
        };
        let StepRows { n_rows, columns, spans, pixels } = rows;
        if self.left.end - first_step < n_rows as u64 {
            let message = "there are more rows than the number that was planned";
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
        let schema = SchemaRef::clone(&self.piece.schema);
        let rows = RecordBatch::try_new_with_options(schema, columns, &options).map_err(|err| {
            Error::new(ErrorKind::Corrupt, "the rows do not have the types of the plan").with_source(err)
        })?;
        Ok(Batch { stream: STEPS, rows, spans, pixels })
    }

    /// The place of an error, and what it costs: the rest of the piece, or the rows that the reader says.
    fn damaged(&mut self, err: Error) -> Error {
        let n_left = self.left.end - self.left.start;
        let n_lost = self.reader.as_ref().and_then(PieceReader::n_lost).filter(|it| *it <= n_left);
        if n_lost.is_none() {
            self.reader = None;
        }
        let n_rows = n_lost.unwrap_or(n_left);
        self.left.start += n_rows;
        // Where single rows are lost, their bytes are among those of others.
        let byte_range = n_lost.is_none().then(|| self.piece.byte_range.clone());
        let records = vec![(STEPS, n_rows)];
        let err = if err.hint().is_some() { err } else { err.with_hint(SALVAGE_HINT) };
        let is_over = n_lost.is_some() && err.kind() == ErrorKind::Limit;
        let reason = if is_over { "over_limit" } else { "undecodable" };
        err.at(self.piece.place.clone()).with_loss(Loss { byte_range, records, uncounted: false, reason })
    }
}

impl<R: PieceReader> EpisodeStream for PieceStream<R> {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        if let Some(damage) = self.damage.take() {
            return Err(damage);
        }
        if self.left.is_empty() {
            return Ok(None);
        }
        match self.batch() {
            Ok(batch) => {
                self.left.start += batch.rows.num_rows() as u64;
                Ok(Some(batch))
            }
            Err(err) => Err(self.damaged(err)),
        }
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.records_read
    }

    fn facts(&self) -> Option<&EpisodeFacts> {
        self.facts.as_ref()
    }

    fn warnings(&self) -> &[Finding] {
        &self.warnings
    }
}

/// Row numbers of a batch become steps of the episode.
fn shifted(err: Error, first_step: u64) -> Error {
    match err.locus().step_idx {
        None => err,
        Some(row) => {
            let place = Locus { step_idx: Some(first_step + row), ..err.locus().clone() };
            let told = Error::new(err.kind(), err.chain()).at(place);
            match err.hint() {
                Some(hint) => told.with_hint(hint),
                None => told,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::Schema;

    use super::*;
    use crate::{step_index, step_indices};

    /// Batches of two rows, until the step at which it fails.
    struct Pairs {
        fails_at: u64,
    }

    impl PieceReader for Pairs {
        fn next_rows(&mut self, first_step: u64) -> Result<Option<StepRows>> {
            let steps = first_step..first_step + 2;
            if steps.contains(&self.fails_at) {
                let row = Locus { step_idx: Some(self.fails_at - first_step), ..Locus::default() };
                return Err(Error::new(ErrorKind::Corrupt, "broken").at(row));
            }
            let columns = vec![step_indices(&steps)];
            Ok(Some(StepRows { n_rows: 2, columns, spans: Vec::new(), pixels: Vec::new() }))
        }
    }

    fn stream(steps: Range<u64>, fails_at: u64) -> PieceStream<Pairs> {
        let schema = Arc::new(Schema::new(vec![step_index().arrow_field()]));
        let place = Locus::path("a.bin");
        PieceStream::new(Piece { schema, steps, place, byte_range: 5..9 }, Pairs { fails_at })
    }

    #[test]
    fn what_cannot_be_read_costs_the_rest_of_the_piece() {
        let mut stream = stream(4..10, 7);
        assert_eq!(stream.records_read(), [(STEPS, 6)]);
        assert_eq!(stream.next_batch().unwrap().unwrap().rows.num_rows(), 2);
        let err = stream.next_batch().unwrap_err();
        assert_eq!(err.locus().to_string(), "a.bin, step 7");
        assert_eq!(err.hint(), Some(SALVAGE_HINT));
        let loss = err.loss().unwrap();
        assert_eq!((&loss.byte_range, &loss.records[..]), (&Some(5..9), &[(STEPS, 4)][..]));
        assert!(stream.next_batch().unwrap().is_none());
    }

    /// A row at a time, of which one is lost.
    struct OneLost {
        at: u64,
        is_lost: bool,
    }

    impl PieceReader for OneLost {
        fn next_rows(&mut self, first_step: u64) -> Result<Option<StepRows>> {
            self.is_lost = first_step == self.at;
            if self.is_lost {
                let row = Locus { step_idx: Some(0), ..Locus::default() };
                return Err(Error::new(ErrorKind::Corrupt, "broken").at(row));
            }
            let columns = vec![step_indices(&(first_step..first_step + 1))];
            Ok(Some(StepRows { n_rows: 1, columns, spans: Vec::new(), pixels: Vec::new() }))
        }

        fn n_lost(&self) -> Option<u64> {
            self.is_lost.then_some(1)
        }
    }

    #[test]
    fn a_row_that_is_lost_alone_is_followed_by_the_others() {
        let Piece { schema, place, byte_range, .. } = stream(0..0, 0).piece;
        let piece = Piece { schema, steps: 0..3, place, byte_range };
        let mut stream = PieceStream::new(piece, OneLost { at: 1, is_lost: false });
        assert!(stream.next_batch().unwrap().is_some());
        let err = stream.next_batch().unwrap_err();
        assert_eq!(err.locus().to_string(), "a.bin, step 1");
        let loss = err.loss().unwrap();
        assert_eq!((&loss.byte_range, &loss.records[..]), (&None, &[(STEPS, 1)][..]));
        assert!(stream.next_batch().unwrap().is_some());
        assert!(stream.next_batch().unwrap().is_none());
        assert_eq!(stream.records_read(), [(STEPS, 3)]);
    }

    #[test]
    fn facts_outlive_damage_and_what_is_unreadable_is_told_once() {
        let facts = EpisodeFacts { task: Some("pick".to_owned()), ..EpisodeFacts::default() };
        let mut told = stream(0..4, 1).with_facts(facts.clone());
        told.next_batch().unwrap_err();
        assert_eq!(told.facts(), Some(&facts));

        let piece = stream(4..10, 100).piece;
        let damage = Error::new(ErrorKind::Corrupt, "broken").with_loss(Loss::default());
        let mut unreadable = PieceStream::<Pairs>::unreadable(piece, damage);
        assert_eq!(unreadable.next_batch().unwrap_err().to_string(), "broken");
        assert!(unreadable.next_batch().unwrap().is_none());
        assert_eq!((unreadable.records_read(), unreadable.facts()), (&[(STEPS, 0)][..], None));
    }

    #[test]
    fn warnings_outlive_damage() {
        let warning = Finding::warning("odd", Locus::default());
        let mut told = stream(0..4, 1).with_warnings(vec![warning.clone()]);
        told.next_batch().unwrap_err();
        assert_eq!(told.warnings(), [warning]);
    }

    #[test]
    fn no_more_rows_come_than_were_planned() {
        let mut stream = stream(0..3, 100);
        assert!(stream.next_batch().unwrap().is_some());
        let err = stream.next_batch().unwrap_err();
        assert_eq!(err.loss().unwrap().records, [(STEPS, 1)]);
        assert!(stream.next_batch().unwrap().is_none());
    }
}
