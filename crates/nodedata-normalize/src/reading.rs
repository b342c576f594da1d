use std::{collections::VecDeque, sync::Arc};

use nodedata_core::{
    Batch, EpisodeStream, Error, ErrorKind, Fate, Finding, InputRange, Locus, Loss, Partition, Result,
    StreamId,
};

use crate::{
    FarStamps, StepSpec,
    cut::ReadAlone,
    episodes::LeftOut,
    far::FAR,
    mapping::Mapping,
    origin::{FieldOrigin, StepAt},
    piece::{PieceReader, STEPS, counted_id},
    plan::Piece,
    planned::needed,
    recording::Recording,
    store::{Held, Store},
};

/// What the readers of partitions share.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) spec: StepSpec,
    pub(crate) recordings: Vec<Recording>,
    pub(crate) parts: Vec<Part>,
}

/// What a partition is.
pub(crate) enum Part {
    /// Steps, with messages that were read for the cut or for metadata alone.
    Piece(Piece, Vec<ReadAlone>),
    /// A partition of the source none of whose records is read, because its recording is left out, and why.
    LeftOut(usize, &'static str),
    /// A partition of the source handed on.
    Kept(usize),
}

impl Shared {
    /// Reads one piece.
    pub(crate) fn piece(
        &self,
        piece: &Piece,
        read: &[ReadAlone],
        partition: &Partition,
    ) -> Result<PieceRows> {
        let held = self.held(piece)?;
        let made = self.reader(piece, partition, &held).make()?;
        let mut rows = PieceRows::default();
        rows.records_read.push((STEPS, made.n_steps));
        rows.fates = made.fates;
        rows.warnings = made.warnings;
        rows.looked_at = made.looked_at;
        self.account(piece, &held, partition, &mut rows)?;
        for alone in read.iter().filter(|it| it.n_read != 0) {
            let id = counted_id(alone.id);
            rows.count(id, alone.n_read);
            rows.fates.push(Fate { used: alone.n_read - alone.n_far, ..Fate::new(id) });
            if alone.n_far != 0 {
                let name = self.store.source.plan().stream_name(alone.id).map(ToString::to_string);
                self.far(
                    &name.unwrap_or_default(),
                    id,
                    (alone.n_far, alone.farthest_ns),
                    partition,
                    &mut rows,
                )?;
            }
        }
        rows.ready.extend(made.batch.map(Ok));
        Ok(rows)
    }

    /// Counts the records of a partition that is left out, of the streams that steps are made of.
    pub(crate) fn left_out(&self, partition: usize, reason: &'static str) -> Result<LeftOut> {
        let mapping = &self.store.mapping;
        let id = |id: StreamId| mapping.streams.iter().any(|it| it.id == id).then(|| counted_id(id));
        LeftOut::read(self.store.source.as_ref(), partition, reason, id)
    }

    /// The partitions that a piece needs.
    fn held(&self, piece: &Piece) -> Result<Held> {
        let partitions = &self.recordings[piece.recording].survey.partitions;
        needed(piece).map(|it| Ok((partitions[it], self.store.take(partitions[it])?))).collect()
    }

    fn reader<'a>(&'a self, piece: &'a Piece, partition: &'a Partition, held: &'a Held) -> PieceReader<'a> {
        let recording = &self.recordings[piece.recording];
        PieceReader { store: &self.store, spec: &self.spec, recording, piece, partition, held }
    }

    /// See [`crate::AlignedSource::made_of`]; `number` is the position of the partition.
    pub(crate) fn made_of(
        &self,
        number: usize,
        partition: &Partition,
        step: StepAt,
    ) -> Result<Option<Vec<FieldOrigin>>> {
        match self.parts.get(number) {
            Some(Part::Piece(piece, _)) if piece.episode.is_some() && piece.holds(step.time_ns) => {
                let held = self.held(piece)?;
                self.reader(piece, partition, &held).made_of(step)
            }
            Some(Part::Piece(..) | Part::LeftOut(..) | Part::Kept(_)) | None => Ok(None),
        }
    }

    /// Counts the records of the partitions that the piece owns, and reports what they lack.
    ///
    /// # Errors
    /// `Corrupt` for stamps far from log time, where these are refused.
    fn account(&self, piece: &Piece, held: &Held, partition: &Partition, rows: &mut PieceRows) -> Result<()> {
        let mapping = &self.store.mapping;
        let recording = &self.recordings[piece.recording];
        for position in &piece.own {
            let Some(loaded) = held.get(&recording.survey.partitions[*position]) else { continue };
            if !self.spec.keep_streams {
                rows.warnings.extend(loaded.warnings.iter().cloned());
                rows.ready.extend(loaded.damage.iter().map(|it| Err(retold(it, mapping, false))));
            }
            for (idx, (stream, mapped)) in loaded.streams.iter().zip(&mapping.streams).enumerate() {
                let id = counted_id(mapped.id);
                if !self.spec.keep_streams {
                    rows.count(id, stream.n_read);
                }
                let span = recording.survey.lookups[idx].spans[*position];
                let n_strays = stream.strays(span) as u64;
                for (reason, n) in [("no_time", stream.n_timeless), ("beyond_order_bound", n_strays)] {
                    if n == 0 {
                        continue;
                    }
                    if self.spec.keep_streams {
                        // The table has them; only the steps go without.
                        let mut fate = Fate::new(id);
                        fate.superseded.insert(reason, n);
                        rows.fates.push(fate);
                        continue;
                    }
                    rows.ready.push_back(Err(self.unplaced(&mapped.name, id, reason, n, partition)));
                }
                if stream.n_far != 0 {
                    self.far(&mapped.name, id, (stream.n_far, stream.farthest_ns), partition, rows)?;
                }
            }
        }
        Ok(())
    }

    /// Accounts for messages whose stamps are far from log time: how many, and how far the farthest is.
    ///
    /// # Errors
    /// `Corrupt` where such messages are refused.
    fn far(
        &self,
        topic: &str,
        id: StreamId,
        (n, farthest_ns): (u64, Option<i64>),
        partition: &Partition,
        rows: &mut PieceRows,
    ) -> Result<()> {
        let start = &partition.reads[0];
        let path = self.store.source.plan().input_path(start.input);
        let at = Locus { path, topic: Some(topic.to_owned()), ..Locus::default() };
        let are = if n == 1 { "message is" } else { "messages are" };
        let seconds = farthest_ns.unwrap_or(0) as f64 / 1e9;
        let message = format!(
            "{n} {are} stamped far from log time, by up to {seconds:.3} s, which the other messages of the topic are not"
        );
        if self.spec.far_stamps == FarStamps::Fail {
            let err = Error::new(ErrorKind::Corrupt, message).at(at).at(Locus::byte(start.byte_range.start));
            return Err(err.with_hint(format!(
                "`steps.far_stamps: drop` leaves them out and counts them; `time: {{{topic}: log_time}}` places \
                 the topic by when it was recorded"
            )));
        }
        let mut fate = Fate::new(id);
        let of = if self.spec.keep_streams { &mut fate.superseded } else { &mut fate.dropped };
        of.insert(FAR, n);
        rows.fates.push(fate);
        let finding = Finding { reason: FAR.to_owned(), ..Finding::warning(message, at) };
        rows.warnings.push(finding.with_hint(format!(
            "they are left out; `steps.far_stamps: fail` refuses them, `time: {{{topic}: log_time}}` places the topic \
             by when it was recorded"
        )));
        Ok(())
    }

    fn unplaced(
        &self,
        topic: &str,
        id: StreamId,
        reason: &'static str,
        n: u64,
        partition: &Partition,
    ) -> Error {
        let (message, hint) = match reason {
            "no_time" => (
                format!("{n} messages have no stamp (null or 0), so no step can be found for them"),
                format!("`time: {{{topic}: log_time}}` places the topic by when it was recorded"),
            ),
            _ => (
                format!("{n} messages are stamped farther from their log time than the bound allows"),
                "raise `steps.order_bound_ms`, or place the topic by `log_time`".to_owned(),
            ),
        };
        let loss = Loss { byte_range: None, records: vec![(id, n)], uncounted: false, reason };
        let start = &partition.reads[0];
        let path = self.store.source.plan().input_path(start.input);
        Error::new(ErrorKind::Corrupt, message)
            .at(Locus { path, topic: Some(topic.to_owned()), ..Locus::default() })
            .at(Locus::byte(start.byte_range.start))
            .with_hint(hint)
            .with_loss(loss)
    }
}

/// What came of a piece, handed out bit by bit.
#[derive(Default)]
pub(crate) struct PieceRows {
    ready: VecDeque<Result<Batch>>,
    records_read: Vec<(StreamId, u64)>,
    fates: Vec<Fate>,
    /// Of the partitions that the piece owns.
    warnings: Vec<Finding>,
    looked_at: Vec<InputRange>,
}

impl PieceRows {
    fn count(&mut self, id: StreamId, n: u64) {
        match self.records_read.iter_mut().find(|it| it.0 == id) {
            Some(known) => known.1 += n,
            None => self.records_read.push((id, n)),
        }
    }
}

impl EpisodeStream for PieceRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        self.ready.pop_front().transpose()
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.records_read
    }

    fn fates(&self) -> &[Fate] {
        &self.fates
    }

    fn warnings(&self) -> &[Finding] {
        &self.warnings
    }

    fn looked_at(&self) -> &[InputRange] {
        &self.looked_at
    }
}

/// Rows of the source under the numbers of this one.
pub(crate) struct Kept {
    inner: Box<dyn EpisodeStream>,
    shared: Arc<Shared>,
    records_read: Vec<(StreamId, u64)>,
}

impl Kept {
    pub(crate) fn new(inner: Box<dyn EpisodeStream>, shared: Arc<Shared>) -> Self {
        Self { inner, shared, records_read: Vec::new() }
    }
}

impl EpisodeStream for Kept {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        let next = self.inner.next_batch();
        self.records_read = self.inner.records_read().iter().map(|(id, n)| (counted_id(*id), *n)).collect();
        match next {
            Ok(batch) => Ok(batch.map(|it| Batch { stream: counted_id(it.stream), ..it })),
            Err(err) => Err(match err.loss().cloned() {
                Some(loss) => err.with_loss(loss_of(&loss, &self.shared.store.mapping, true)),
                None => err,
            }),
        }
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.records_read
    }

    fn below(&self) -> Option<&dyn EpisodeStream> {
        Some(self.inner.as_ref())
    }

    /// A log has none, and those of other sources would be of other numbers.
    fn fates(&self) -> &[Fate] {
        &[]
    }
}

/// A loss in the numbers of this source. Streams that nobody reads lose nothing.
fn loss_of(loss: &Loss, mapping: &Mapping, keeps: bool) -> Loss {
    let is_read = |id: StreamId| keeps || mapping.streams.iter().any(|it| it.id == id);
    let records = loss.records.iter().filter(|it| is_read(it.0));
    Loss { records: records.map(|(id, n)| (counted_id(*id), *n)).collect(), ..loss.clone() }
}

/// The same error for another reader.
fn retold(err: &Error, mapping: &Mapping, keeps: bool) -> Error {
    match err.loss() {
        Some(loss) => again(err).with_loss(loss_of(loss, mapping, keeps)),
        None => again(err),
    }
}

/// The same error once more, but for its loss.
pub(crate) fn again(err: &Error) -> Error {
    let mut told = Error::new(err.kind(), err.to_string()).at(err.locus().clone());
    if let Some(hint) = err.hint() {
        told = told.with_hint(hint);
    }
    let chain = err.chain();
    match chain.strip_prefix(&format!("{err}: ")) {
        Some(cause) => told.with_source(cause.to_owned()),
        None => told,
    }
}
