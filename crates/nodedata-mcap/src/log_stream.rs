use std::{path::PathBuf, sync::Arc};

use nodedata_core::{Batch, EpisodeStream, Error, ErrorKind, Locus, Loss, ReadOptions, Result, StreamId};

use crate::{
    chunk::{ChunkDecoder, ZSTD_MAGIC},
    cursor::{Found, MessageCursor},
    fault::SALVAGE_HINT,
    log_plan::Damage,
    routes::Routes,
    rows::{Stamps, StreamRows},
    streams::LogStream,
};

/// The rows of one partition: consecutive units of one file.
pub(crate) struct LogRows {
    cursor: MessageCursor,
    input: usize,
    path: PathBuf,
    routes: Arc<Routes>,
    streams: Arc<[LogStream]>,
    /// By stream; made when its first message comes.
    rows: Vec<Option<StreamRows>>,
    records_read: Vec<(StreamId, u64)>,
    payload_decoder: ChunkDecoder,
    options: ReadOptions,
    /// Streams whose last rows were handed out, once the cursor is at its end.
    n_flushed: Option<usize>,
}

impl LogRows {
    pub(crate) fn new(
        cursor: MessageCursor,
        (input, path): (usize, PathBuf),
        routes: Arc<Routes>,
        streams: Arc<[LogStream]>,
        options: ReadOptions,
        record_bytes_max: u64,
    ) -> Self {
        Self {
            cursor,
            input,
            path,
            routes,
            rows: streams.iter().map(|_| None).collect(),
            records_read: streams.iter().map(|it| (it.schema.id, 0)).collect(),
            payload_decoder: ChunkDecoder::new(record_bytes_max, false),
            streams,
            options,
            n_flushed: None,
        }
    }

    /// Appends one message to its stream's rows.
    fn push(&mut self, found: &Found) -> Result<()> {
        let stream = &self.streams[found.stream];
        self.records_read[found.stream].1 += 1;
        let message = self.cursor.message(found).expect("the cursor just found it");
        let Some(stamps) = Stamps::of(&message) else {
            let error = Error::new(
                ErrorKind::Corrupt,
                format!(
                    "log time is {} ns and publish time {} ns, but the latest is {} ns",
                    message.log_time,
                    message.publish_time,
                    i64::MAX
                ),
            );
            return Err(self.lost(found, error, "time_out_of_range"));
        };
        let payload = if stream.sniffs_zstd && message.data.starts_with(&ZSTD_MAGIC) {
            self.payload_decoder.zstd_payload(message.data)
        } else {
            Ok(message.data)
        };
        let rows = self.rows[found.stream].get_or_insert_with(|| StreamRows::new(stream, self.input));
        let pushed = payload.and_then(|it| rows.push(stream, stamps, it, found));
        pushed.map_err(|err| self.lost(found, err, "undecodable"))
    }

    /// Names one message as lost.
    fn lost(&self, found: &Found, cause: Error, reason: &'static str) -> Error {
        let stream = &self.streams[found.stream].schema;
        let whole = format!("message at byte {} of its chunk cannot be kept", found.place);
        let (message, byte_range) = match found.in_chunk {
            true => (whole, None),
            false => ("message cannot be kept".to_owned(), Some(found.byte_range.clone())),
        };
        let hint = match (cause.hint(), reason) {
            (Some(hint), _) => hint.to_owned(),
            (None, "undecodable") => {
                format!("`--undecoded {}` keeps its messages as bytes, or {SALVAGE_HINT}", stream.name)
            }
            (None, _) => SALVAGE_HINT.to_owned(),
        };
        let loss = Loss { byte_range, records: vec![(stream.id, 1)], uncounted: false, reason };
        let locus = Locus {
            path: Some(self.path.clone()),
            byte_offset: Some(found.byte_range.start),
            topic: Some(stream.name.to_string()),
            ..Locus::default()
        };
        Error::new(cause.kind(), message)
            .at(cause.locus().clone())
            .at(locus)
            .with_hint(hint)
            .with_loss(loss)
            .with_source(cause)
    }

    fn damaged(&mut self, damage: Damage) -> Error {
        let loss = damage.cost.loss(|channel| self.routes.stream_id(channel));
        for (stream, n) in &loss.records {
            self.records_read[stream.0 as usize].1 += n;
        }
        damage.error.at(Locus::path(&self.path)).with_loss(loss)
    }
}

impl EpisodeStream for LogRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        while self.n_flushed.is_none() {
            let found = match self.cursor.advance() {
                Ok(Some(found)) => found,
                Ok(None) => {
                    self.n_flushed = Some(0);
                    break;
                }
                Err(damage) => return Err(self.damaged(*damage)),
            };
            self.push(&found)?;
            if let Some(rows) = &mut self.rows[found.stream]
                && rows.is_full(self.options.batch_bytes_max)
                && let Some(batch) = rows.take()
            {
                return Ok(Some(batch));
            }
        }
        while let Some(stream) = self.n_flushed.filter(|it| *it < self.rows.len()) {
            self.n_flushed = Some(stream + 1);
            // Nothing follows, so the columns are given up with their last rows.
            if let Some(batch) = self.rows[stream].take().and_then(|mut it| it.take()) {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.records_read
    }
}
