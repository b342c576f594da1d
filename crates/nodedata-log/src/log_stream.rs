use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{
    Batch, EpisodeStream, Error, ErrorKind, Finding, FindingKind, Findings, InputFile, InputRange, Locus,
    Loss, ReadOptions, Result, StreamId, StreamSchema,
};
use nodedata_message::Fit;

use crate::{
    Compression, Damage, Decompressor, Message, MessageCursor, MessagePlace, Routes, SALVAGE_HINT,
    misfits::{late_publish_time, reason},
    rows::{Stamps, StreamRows},
    streams::{Keeps, LogStream},
};

/// First bytes of a zstd frame.
pub(crate) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The rows of one partition: consecutive units of one file.
pub(crate) struct LogRows {
    cursor: Box<dyn MessageCursor>,
    rows: PartitionRows,
}

/// The rows under construction and what was read for them.
struct PartitionRows {
    /// Position of the first of its inputs.
    input: usize,
    /// The file, and those beside it.
    paths: Vec<PathBuf>,
    /// See [`crate::LogFile::in_file_order`].
    in_file_order: bool,
    routes: Arc<Routes>,
    streams: Arc<[LogStream]>,
    /// By stream; made when its first message comes.
    rows: Vec<Option<StreamRows>>,
    records_read: Vec<(StreamId, u64)>,
    /// Rows that hold their message as it came.
    kept_as_bytes: Findings,
    /// By stream, the messages that stay bytes because of their definition.
    n_unusable: Vec<u64>,
    payloads: Decompressor,
    payload_bytes_max: u64,
    options: ReadOptions,
    /// Streams whose last rows were handed out, once the cursor is at its end.
    n_flushed: Option<usize>,
    looked_at: Vec<InputRange>,
}

impl LogRows {
    pub(crate) fn new(
        cursor: Box<dyn MessageCursor>,
        (input, files): (usize, &[InputFile]),
        in_file_order: bool,
        routes: Arc<Routes>,
        streams: Arc<[LogStream]>,
        options: ReadOptions,
        record_bytes_max: u64,
    ) -> Self {
        let rows = PartitionRows {
            input,
            paths: files.iter().map(|it| it.path.clone()).collect(),
            in_file_order,
            routes,
            rows: streams.iter().map(|_| None).collect(),
            records_read: streams.iter().map(|it| (it.schema.id, 0)).collect(),
            kept_as_bytes: Findings::default(),
            n_unusable: vec![0; streams.len()],
            payloads: Decompressor::default(),
            payload_bytes_max: record_bytes_max,
            streams,
            options,
            n_flushed: None,
            looked_at: Vec::new(),
        };
        Self { cursor, rows }
    }
}

impl PartitionRows {
    /// Appends one message to its stream's rows, and returns these when they are full.
    fn push(&mut self, message: &Message<'_>) -> Result<Option<Batch>> {
        let stream = &self.streams[message.stream];
        self.records_read[message.stream].1 += 1;
        let path = self.paths.get(message.place.part).unwrap_or(&self.paths[0]);
        let place = Place { path, stream: &stream.schema, message: &message.place };
        let Some((stamps, late)) = Stamps::of(message) else {
            return Err(place.lost(time_out_of_range(message), "time_out_of_range"));
        };
        let mut late = late.map(|nanos| Error::new(ErrorKind::Misfit, late_publish_time(nanos)));
        // Without room for it no row is begun.
        if let Some(cause) = late.take_if(|_| !matches!(stream.keeps, Keeps::In(_))) {
            place.told(cause, reason::TIME, stream, &mut self.kept_as_bytes)?;
        }
        if let (Some(finding), Keeps::Never) = (&stream.unusable, stream.keeps) {
            let cause = Error::new(ErrorKind::Misfit, finding.message.clone());
            place.told(cause, reason::SCHEMA, stream, &mut self.kept_as_bytes)?;
        }
        let rows = self.rows[message.stream]
            .get_or_insert_with(|| StreamRows::new(stream, self.input, self.in_file_order));
        let payload = if stream.sniffs_zstd && message.payload.starts_with(&ZSTD_MAGIC) {
            let max = self.payload_bytes_max;
            let decompressed = self.payloads.decompress(Compression::Zstd, message.payload, 0, max);
            decompressed.map(|()| self.payloads.bytes())
        } else {
            Ok(message.payload)
        };
        let bytes = *payload.as_ref().unwrap_or(&message.payload);
        match payload.and_then(|it| rows.push(stream, stamps, it, &message.place)) {
            // A row is told once. What else is wrong with it says more than its time.
            Ok(Fit::Whole) => match late {
                Some(cause) if stream.unusable.is_none() => {
                    place.told(cause, reason::TIME, stream, &mut self.kept_as_bytes)?;
                }
                _ => self.n_unusable[message.stream] += u64::from(stream.unusable.is_some()),
            },
            Ok(Fit::Partly) => {
                let cause = Error::new(ErrorKind::Misfit, "its schema does not allow all of its values");
                place.told(cause, reason::VALUES, stream, &mut self.kept_as_bytes)?;
            }
            Err(cause) => {
                place.told(cause, reason::UNDECODABLE, stream, &mut self.kept_as_bytes)?;
                if let Keeps::In(Some(unknown)) = stream.keeps {
                    rows.push_misfit(stream, unknown, stamps, bytes, &message.place);
                }
            }
        }
        Ok(if rows.is_full(self.options.batch_bytes_max) { rows.take() } else { None })
    }

    /// Tells of streams whose messages all stay bytes, once the last message has been read.
    fn tell_unusable(&mut self) {
        for (n, stream) in self.n_unusable.iter().zip(self.streams.iter()).filter(|it| 0 < *it.0) {
            let Some(finding) = &stream.unusable else { continue };
            let records = [(stream.schema.name.to_string(), *n)].into();
            self.kept_as_bytes.push(Finding { records, ..finding.clone() });
        }
    }

    fn damaged(&mut self, damage: Damage) -> Error {
        let loss = damage.cost.loss(|channel| self.routes.stream_id(channel));
        for (stream, n) in &loss.records {
            self.records_read[stream.0 as usize].1 += n;
        }
        damage.error.at(Locus::path(&self.paths[0])).with_loss(loss)
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

/// Where a message lies, for what is told of it.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a Path,
    stream: &'a StreamSchema,
    message: &'a MessagePlace,
}

impl Place<'_> {
    /// The message is lost.
    fn lost(&self, cause: Error, reason: &'static str) -> Error {
        let hint = cause.hint().unwrap_or(SALVAGE_HINT).to_owned();
        let byte_range = self.message.in_chunk.is_none().then(|| self.message.byte_range.clone());
        let loss = Loss { byte_range, ..self.loss(reason) };
        self.error(cause.kind(), "cannot be kept", cause).with_hint(hint).with_loss(loss)
    }

    /// Notes a message that its row holds as it came.
    ///
    /// # Errors
    /// The same as `Misfit` where the stream cannot hold it.
    fn told(
        &self,
        cause: Error,
        reason: &'static str,
        stream: &LogStream,
        told: &mut Findings,
    ) -> Result<()> {
        let name = &self.stream.name;
        let hint = match stream.keeps {
            Keeps::Never => "without `--on-misfit fail` such a message keeps its row, as bytes".to_owned(),
            Keeps::NotYet | Keeps::In(_) => {
                format!("`--undecoded {name}` keeps all messages of this topic as bytes")
            }
        };
        let error =
            self.error(ErrorKind::Misfit, "does not fit the columns of its topic", cause).with_hint(hint);
        match stream.keeps {
            // Without a loss nobody goes on.
            Keeps::Never => Err(error),
            Keeps::NotYet => Err(error.with_loss(self.loss(reason))),
            Keeps::In(_) => {
                let error = error.with_loss(self.loss(reason));
                told.push(Finding::new(FindingKind::Repair, &error, |_| Some(name.to_string())));
                Ok(())
            }
        }
    }

    fn loss(&self, reason: &'static str) -> Loss {
        Loss { byte_range: None, records: vec![(self.stream.id, 1)], uncounted: false, reason }
    }

    fn error(&self, kind: ErrorKind, what: &str, cause: Error) -> Error {
        let message = match self.message.in_chunk {
            Some(at) => format!("message at byte {at} of its chunk {what}"),
            None => format!("message {what}"),
        };
        let locus = Locus {
            path: Some(self.path.to_owned()),
            byte_offset: Some(self.message.byte_range.start),
            topic: Some(self.stream.name.to_string()),
            ..Locus::default()
        };
        Error::new(kind, message).at(cause.locus().clone()).at(locus).with_source(cause)
    }
}

fn time_out_of_range(message: &Message<'_>) -> Error {
    let latest = i64::MAX;
    let message = format!("log time is {} ns, but the latest is {latest} ns", message.log_time);
    Error::new(ErrorKind::Corrupt, message)
}

impl EpisodeStream for LogRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        let Self { cursor, rows } = self;
        while rows.n_flushed.is_none() {
            match cursor.next_message() {
                Ok(Some(message)) => {
                    if let Some(batch) = rows.push(&message)? {
                        return Ok(Some(batch));
                    }
                }
                Ok(None) => {
                    rows.n_flushed = Some(0);
                    if let end @ 1.. = cursor.read_up_to() {
                        rows.looked_at.push(InputRange { input: rows.input, byte_range: 0..end });
                    }
                    rows.tell_unusable();
                }
                Err(damage) => return Err(rows.damaged(*damage)),
            }
        }
        Ok(rows.flush())
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.rows.records_read
    }

    fn looked_at(&self) -> &[InputRange] {
        &self.rows.looked_at
    }

    fn warnings(&self) -> &[Finding] {
        self.rows.kept_as_bytes.as_slice()
    }
}
