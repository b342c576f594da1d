use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{
    Batch, EpisodeStream, Error, ErrorKind, Locus, Loss, ReadOptions, Result, StreamId, StreamSchema,
};

use crate::{
    Compression, Damage, Decompressor, Message, MessageCursor, MessagePlace, Routes, SALVAGE_HINT,
    rows::{Stamps, StreamRows},
    streams::LogStream,
};

/// First bytes of a zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The rows of one partition: consecutive units of one file.
pub(crate) struct LogRows<C> {
    cursor: C,
    rows: PartitionRows,
}

/// The rows under construction and what was read for them.
struct PartitionRows {
    input: usize,
    path: PathBuf,
    /// See [`crate::LogFile::IN_FILE_ORDER`].
    in_file_order: bool,
    routes: Arc<Routes>,
    streams: Arc<[LogStream]>,
    /// By stream; made when its first message comes.
    rows: Vec<Option<StreamRows>>,
    records_read: Vec<(StreamId, u64)>,
    payloads: Decompressor,
    payload_bytes_max: u64,
    options: ReadOptions,
    /// Streams whose last rows were handed out, once the cursor is at its end.
    n_flushed: Option<usize>,
}

impl<C: MessageCursor> LogRows<C> {
    pub(crate) fn new(
        cursor: C,
        (input, path): (usize, PathBuf),
        in_file_order: bool,
        routes: Arc<Routes>,
        streams: Arc<[LogStream]>,
        options: ReadOptions,
        record_bytes_max: u64,
    ) -> Self {
        let rows = PartitionRows {
            input,
            path,
            in_file_order,
            routes,
            rows: streams.iter().map(|_| None).collect(),
            records_read: streams.iter().map(|it| (it.schema.id, 0)).collect(),
            payloads: Decompressor::default(),
            payload_bytes_max: record_bytes_max,
            streams,
            options,
            n_flushed: None,
        };
        Self { cursor, rows }
    }
}

impl PartitionRows {
    /// Appends one message to its stream's rows, and returns these when they are full.
    fn push(&mut self, message: &Message<'_>) -> Result<Option<Batch>> {
        let stream = &self.streams[message.stream];
        self.records_read[message.stream].1 += 1;
        let lost = |cause, reason| lost(&self.path, &stream.schema, &message.place, cause, reason);
        let Some(stamps) = Stamps::of(message) else {
            return Err(lost(time_out_of_range(message), "time_out_of_range"));
        };
        let payload = if stream.sniffs_zstd && message.payload.starts_with(&ZSTD_MAGIC) {
            let max = self.payload_bytes_max;
            let decompressed = self.payloads.decompress(Compression::Zstd, message.payload, 0, max);
            decompressed.map(|()| self.payloads.bytes())
        } else {
            Ok(message.payload)
        };
        let rows = self.rows[message.stream]
            .get_or_insert_with(|| StreamRows::new(stream, self.input, self.in_file_order));
        let pushed = payload.and_then(|it| rows.push(stream, stamps, it, &message.place));
        pushed.map_err(|err| lost(err, "undecodable"))?;
        Ok(if rows.is_full(self.options.batch_bytes_max) { rows.take() } else { None })
    }

    fn damaged(&mut self, damage: Damage) -> Error {
        let loss = damage.cost.loss(|channel| self.routes.stream_id(channel));
        for (stream, n) in &loss.records {
            self.records_read[stream.0 as usize].1 += n;
        }
        damage.error.at(Locus::path(&self.path)).with_loss(loss)
    }

    /// The last rows of the next stream that has any.
    fn flush(&mut self) -> Option<Batch> {
        while let Some(stream) = self.n_flushed.filter(|it| *it < self.rows.len()) {
            self.n_flushed = Some(stream + 1);
            // Nothing follows, so the columns are given up with their last rows.
            if let Some(batch) = self.rows[stream].take().and_then(|mut it| it.take()) {
                return Some(batch);
            }
        }
        None
    }
}

/// Names one message as lost.
fn lost(
    path: &Path,
    stream: &StreamSchema,
    place: &MessagePlace,
    cause: Error,
    reason: &'static str,
) -> Error {
    let (message, byte_range) = match place.in_chunk {
        Some(at) => (format!("message at byte {at} of its chunk cannot be kept"), None),
        None => ("message cannot be kept".to_owned(), Some(place.byte_range.clone())),
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
        path: Some(path.to_owned()),
        byte_offset: Some(place.byte_range.start),
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

fn time_out_of_range(message: &Message<'_>) -> Error {
    let published = message.publish_time.map(|it| format!(" and publish time {it} ns")).unwrap_or_default();
    let latest = i64::MAX;
    let message = format!("log time is {} ns{published}, but the latest is {latest} ns", message.log_time);
    Error::new(ErrorKind::Corrupt, message)
}

impl<C: MessageCursor> EpisodeStream for LogRows<C> {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        let Self { cursor, rows } = self;
        while rows.n_flushed.is_none() {
            match cursor.next_message() {
                Ok(Some(message)) => {
                    if let Some(batch) = rows.push(&message)? {
                        return Ok(Some(batch));
                    }
                }
                Ok(None) => rows.n_flushed = Some(0),
                Err(damage) => return Err(rows.damaged(*damage)),
            }
        }
        Ok(rows.flush())
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.rows.records_read
    }
}
