use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use nodedata_core::{Batch, Columns, LeafId, Result, RowSpan, StreamId};
use nodedata_message::{Fit, Pixels};

use crate::{
    Message, MessagePlace,
    streams::{Keeps, LogStream},
};

const LOG_TIME: LeafId = LeafId(0);
const PUBLISH_TIME: LeafId = LeafId(1);
const SEQUENCE: LeafId = LeafId(2);

/// Rows between two looks at how many bytes the columns hold.
const ROWS_PER_SIZE_CHECK: usize = 64;

/// Payload bytes after which the columns are looked at even earlier.
const PAYLOAD_BYTES_PER_SIZE_CHECK: usize = 1 << 20;

/// Rows of one stream under construction.
pub(crate) struct StreamRows {
    stream: StreamId,
    input: usize,
    /// See [`crate::LogFile::in_file_order`].
    in_file_order: bool,
    arrow: SchemaRef,
    columns: Columns,
    spans: Vec<RowSpan>,
    /// Unit and ordinal of the message that would go on with the last span.
    span_next: Option<(usize, u64)>,
    pixels: Pixels,
    n_rows_unchecked: usize,
    n_payload_unchecked: usize,
}

/// What a log says of a message, its times checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamps {
    pub(crate) log_time_ns: i64,
    pub(crate) publish_time_ns: Option<i64>,
    pub(crate) sequence: Option<u32>,
    pub(crate) channel: u32,
}

impl Stamps {
    /// `None` when the log time passes what an i64 of nanoseconds holds. A publish time that does is left out, and returned
    /// beside.
    pub(crate) fn of(message: &Message<'_>) -> Option<(Self, Option<u64>)> {
        let publish_time_ns = message.publish_time.and_then(|it| i64::try_from(it).ok());
        let late = message.publish_time.filter(|_| publish_time_ns.is_none());
        let log_time_ns = i64::try_from(message.log_time).ok()?;
        let Message { sequence, channel, .. } = *message;
        Some((Self { log_time_ns, publish_time_ns, sequence, channel }, late))
    }
}

impl StreamRows {
    pub(crate) fn new(stream: &LogStream, input: usize, in_file_order: bool) -> Self {
        Self {
            stream: stream.schema.id,
            input,
            in_file_order,
            arrow: stream.schema.arrow(),
            columns: Columns::new(stream.layout.clone()),
            spans: Vec::new(),
            span_next: None,
            pixels: Pixels::default(),
            n_rows_unchecked: 0,
            n_payload_unchecked: 0,
        }
    }

    /// Appends a row, or nothing at all when the payload does not decode.
    pub(crate) fn push(
        &mut self,
        stream: &LogStream,
        stamps: Stamps,
        payload: &[u8],
        place: &MessagePlace,
    ) -> Result<Fit> {
        self.push_clock(stream, stamps);
        let fit = match stream.decoder.decode(payload, &mut self.columns, &mut self.pixels) {
            Ok(fit) => fit,
            Err(err) => {
                self.columns.abort_row();
                let Some(respelled) = stream.decoder.respelled(payload) else { return Err(err) };
                self.push_clock(stream, stamps);
                let again = stream.decoder.decode(&respelled, &mut self.columns, &mut self.pixels);
                again.inspect_err(|_| self.columns.abort_row())?
            }
        };
        if let Keeps::In(Some(unknown)) = stream.keeps
            && !stream.decoder.fills(unknown)
        {
            self.columns.push_null(unknown);
        }
        self.end_row(payload.len(), place);
        Ok(fit)
    }

    /// Appends the row of a message that does not fit: its bytes in `unknown` and nothing else.
    pub(crate) fn push_misfit(
        &mut self,
        stream: &LogStream,
        unknown: LeafId,
        stamps: Stamps,
        payload: &[u8],
        place: &MessagePlace,
    ) {
        self.push_clock(stream, stamps);
        self.columns.push_absent_but(unknown);
        self.columns.push_bytes(unknown, payload);
        self.columns.push_valid(unknown);
        self.end_row(payload.len(), place);
    }

    fn push_clock(&mut self, stream: &LogStream, stamps: Stamps) {
        self.columns.push_le(LOG_TIME, &stamps.log_time_ns.to_le_bytes());
        match stamps.publish_time_ns {
            Some(time_ns) => {
                self.columns.push_le(PUBLISH_TIME, &time_ns.to_le_bytes());
                self.columns.push_valid(PUBLISH_TIME);
            }
            None => self.columns.push_null(PUBLISH_TIME),
        }
        match stamps.sequence {
            Some(sequence) => {
                self.columns.push_le(SEQUENCE, &sequence.to_le_bytes());
                self.columns.push_valid(SEQUENCE);
            }
            None => self.columns.push_null(SEQUENCE),
        }
        if let Some(channel) = stream.channel {
            self.columns.push_le(channel, &stamps.channel.to_le_bytes());
        }
    }

    fn end_row(&mut self, n_payload: usize, place: &MessagePlace) {
        self.columns.end_row();
        self.n_rows_unchecked += 1;
        self.n_payload_unchecked += n_payload;
        match self.spans.last_mut() {
            // A message left out between two others ends the span, so that its records have no gap.
            Some(span) if self.in_file_order && self.span_next == Some((place.unit, place.ordinal)) => {
                span.n_rows += 1;
                span.byte_range.end = place.byte_range.end;
            }
            _ => self.spans.push(RowSpan {
                input: self.input + place.part,
                n_rows: 1,
                byte_range: place.byte_range.clone(),
                // Outside chunks the range begins with the record itself.
                first_record: if place.in_chunk.is_some() { place.ordinal } else { 0 },
            }),
        }
        self.span_next = Some((place.unit, place.ordinal + 1));
    }

    /// Whether the rows pass `n_bytes_max`. Looks only now and then: rows are small, or their payload
    /// tells.
    pub(crate) fn is_full(&mut self, n_bytes_max: usize) -> bool {
        if self.n_rows_unchecked < ROWS_PER_SIZE_CHECK
            && self.n_payload_unchecked < PAYLOAD_BYTES_PER_SIZE_CHECK.min(n_bytes_max)
        {
            return false;
        }
        (self.n_rows_unchecked, self.n_payload_unchecked) = (0, 0);
        n_bytes_max <= self.columns.n_bytes()
    }

    /// The rows so far; `None` when there are none.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        if self.columns.n_rows() == 0 {
            return None;
        }
        let columns = self.columns.finish();
        let rows = RecordBatch::try_new(self.arrow.clone(), columns)
            .expect("the schema comes from the layout the columns follow");
        self.span_next = None;
        (self.n_rows_unchecked, self.n_payload_unchecked) = (0, 0);
        let spans = std::mem::take(&mut self.spans);
        Some(Batch { stream: self.stream, rows, spans, pixels: self.pixels.take() })
    }
}
