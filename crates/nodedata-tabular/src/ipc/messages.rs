use std::{collections::BTreeSet, ops::Range, sync::Arc};

use arrow_ipc::{
    Endianness, Message, MessageHeader, MetadataVersion, RecordBatch, convert::try_fb_to_schema,
};
use arrow_schema::SchemaRef;
use nodedata_arrow::guarded;
use nodedata_core::{Error, ErrorKind, Locus, ReadAt, Result};

/// What stands in front of a message's length since 2019.
pub(super) const CONTINUATION: [u8; 4] = [0xff; 4];
/// The head of a message may have no more: it tells of columns, and there are not that many.
const HEAD_BYTES_MAX: u64 = 256 << 20;

/// A message of a file, by its head.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Where it begins.
    pub(super) at: u64,
    /// Bytes of its head, with what stands in front of it.
    pub(super) n_head: u64,
    pub(super) n_body: u64,
    pub(super) n_rows: u64,
    pub(super) is_packed: bool,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rows,
    Dictionary { id: i64, is_delta: bool },
}

impl Found {
    pub(super) fn byte_range(&self) -> Range<u64> {
        self.at..self.at + self.n_head + self.n_body
    }
}

/// What a file holds, as the heads of its messages tell.
pub(super) struct Messages {
    pub(super) schema: SchemaRef,
    pub(super) version: MetadataVersion,
    pub(super) all: Vec<Found>,
    /// Where dictionaries are among them, and of which ids.
    pub(super) dictionaries: Vec<usize>,
    pub(super) dictionary_ids: BTreeSet<i64>,
    /// Of the nodes of record batches, in order, which have nulls anywhere.
    pub(super) nulls: Vec<bool>,
    /// Dictionaries that have nulls, by their ids.
    pub(super) null_dictionaries: Vec<i64>,
    /// What ended it before its end.
    pub(super) damage: Option<Error>,
    /// Bytes behind the mark of the stream's end.
    pub(super) n_behind: u64,
}

/// The bytes of a message's head, and where they begin; `None` at the end of a stream.
struct Head {
    n_before: u64,
    bytes: bytes::Bytes,
}

fn damaged(message: impl Into<String>, at: u64) -> Error {
    Error::new(ErrorKind::Corrupt, message).at(Locus::byte(at))
}

fn head(file: &dyn ReadAt, at: u64) -> Result<Option<Head>> {
    let left = file.n_bytes().saturating_sub(at);
    if left == 0 {
        return Ok(None);
    }
    let cut = || damaged("the file ends in the middle of a message", at);
    if left < 4 {
        return Err(cut());
    }
    let before = file.peek_at(at..at + left.min(8))?;
    let (n_before, length) = match before.strip_prefix(&CONTINUATION) {
        Some(length) => (8u64, length),
        None => (4, &before[..4]),
    };
    let length: [u8; 4] = length.get(..4).and_then(|it| it.try_into().ok()).ok_or_else(cut)?;
    let length = i32::from_le_bytes(length);
    if length == 0 {
        return Ok(None);
    }
    let n_head = u64::try_from(length).ok().filter(|it| *it <= HEAD_BYTES_MAX);
    let n_head =
        n_head.ok_or_else(|| damaged(format!("a message begins here whose head has {length} bytes"), at))?;
    if left - n_before < n_head {
        return Err(cut());
    }
    let bytes = file.read_at(at + n_before..at + n_before + n_head)?;
    Ok(Some(Head { n_before, bytes }))
}

/// The message whose head is there. The verifier of flatbuffers bounds all that is read of it.
fn message(bytes: &[u8], at: u64) -> Result<Message<'_>> {
    let broken = || damaged("a message begins here whose head is damaged", at);
    guarded(|| arrow_ipc::root_as_message(bytes).ok()).flatten().ok_or_else(broken)
}

impl Messages {
    /// Of a stream, from its schema on.
    ///
    /// # Errors
    /// `Corrupt` without a schema; `Unsupported`. Damage behind it is told.
    pub(super) fn of_stream(file: &dyn ReadAt, start: u64) -> Result<Self> {
        let first = head(file, start)?;
        let Some(first) = first else { return Err(damaged("the stream has no schema", start)) };
        let told = message(&first.bytes, start)?;
        let Some(schema) = told.header_as_schema() else {
            return Err(damaged("the first message is no schema", start));
        };
        let mut messages = Self::new(schema, told.version(), start)?;
        let mut at = start + first.n_before + first.bytes.len() as u64;
        loop {
            let next = head(file, at).and_then(|it| it.map(|it| messages.take(&it, at, file)).transpose());
            match next {
                Ok(None) => break,
                Ok(Some(end)) => at = end,
                Err(err) if err.kind() == ErrorKind::Corrupt => {
                    messages.damage = Some(err);
                    return Ok(messages);
                }
                Err(err) => return Err(err),
            }
        }
        // The mark of the end is eight bytes, or four in streams from before 2019.
        let n_mark = (file.n_bytes() - at).min(8);
        messages.n_behind = file.n_bytes() - at - n_mark;
        Ok(messages)
    }

    /// Of a file, whose footer tells where each message lies.
    ///
    /// # Errors
    /// `Corrupt`; `Unsupported`.
    pub(super) fn of_file(file: &dyn ReadAt) -> Result<Self> {
        let n_bytes = file.n_bytes();
        let no_end = || damaged("the file does not end as an Arrow file does: it is cut", n_bytes);
        let tail = n_bytes.checked_sub(10).ok_or_else(no_end)?;
        let end = file.read_at(tail..n_bytes)?;
        if &end[4..] != b"ARROW1" {
            return Err(no_end());
        }
        let length: [u8; 4] = end[..4].try_into().expect("four bytes are four bytes");
        let start = u64::try_from(i32::from_le_bytes(length)).ok().and_then(|it| tail.checked_sub(it));
        let start = start.ok_or_else(|| damaged("the footer begins before the file", tail))?;
        let bytes = file.read_at(start..tail)?;
        let footer = guarded(|| arrow_ipc::root_as_footer(&bytes).ok()).flatten();
        let footer = footer.ok_or_else(|| damaged("the footer is damaged", start))?;
        let schema = footer.schema().ok_or_else(|| damaged("the footer has no schema", start))?;
        let mut messages = Self::new(schema, footer.version(), start)?;
        let blocks = footer.dictionaries().into_iter().flatten().map(|it| (it, true));
        let blocks = blocks.chain(footer.recordBatches().into_iter().flatten().map(|it| (it, false)));
        for (block, is_dictionary) in blocks {
            let outside = || damaged("the footer points outside of the file", start);
            let at = u64::try_from(block.offset()).ok().filter(|it| *it < n_bytes).ok_or_else(outside)?;
            let head = head(file, at)?.ok_or_else(|| damaged("the footer points at no message", at))?;
            messages.take(&head, at, file)?;
            let found = messages.all.last().map(|it| (it.kind, it.n_head, it.n_body));
            let told = (u64::try_from(block.metaDataLength()).ok(), u64::try_from(block.bodyLength()).ok());
            let is_as_told = found.is_some_and(|(kind, n_head, n_body)| {
                (kind != Kind::Rows) == is_dictionary && told == (Some(n_head), Some(n_body))
            });
            if !is_as_told {
                return Err(damaged("a message is not what the footer says of it", at));
            }
        }
        Ok(messages)
    }

    fn new(schema: arrow_ipc::Schema<'_>, version: MetadataVersion, at: u64) -> Result<Self> {
        if schema.endianness() == Endianness::Big {
            let message = "the file has its numbers in big-endian order, which this build does not read";
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_hint("write it again on a machine that is little-endian, as nearly all are"));
        }
        let schema = match guarded(|| try_fb_to_schema(schema)) {
            Some(Ok(schema)) => schema,
            Some(Err(err)) => return Err(damaged("the schema is damaged", at).with_source(err)),
            None => return Err(damaged("the schema is damaged", at)),
        };
        Ok(Self {
            schema: Arc::new(schema),
            version,
            all: Vec::new(),
            dictionaries: Vec::new(),
            dictionary_ids: BTreeSet::new(),
            nulls: Vec::new(),
            null_dictionaries: Vec::new(),
            damage: None,
            n_behind: 0,
        })
    }

    /// Takes a message in; returns where it ends.
    fn take(&mut self, head: &Head, at: u64, file: &dyn ReadAt) -> Result<u64> {
        let told = message(&head.bytes, at)?;
        let n_head = head.n_before + head.bytes.len() as u64;
        let n_body = u64::try_from(told.bodyLength()).ok();
        let n_body = n_body.ok_or_else(|| damaged("the body of a message has less than no bytes", at))?;
        let left = file.n_bytes() - at - n_head;
        if left < n_body {
            let message = format!(
                "the file ends in the middle of a message: {n_body} bytes of a body, {left} are left"
            );
            return Err(damaged(message, at));
        }
        let (batch, kind) = match told.header_type() {
            MessageHeader::RecordBatch => (told.header_as_record_batch(), Kind::Rows),
            MessageHeader::DictionaryBatch => {
                let dictionary = told.header_as_dictionary_batch();
                let kind = dictionary.map(|it| Kind::Dictionary { id: it.id(), is_delta: it.isDelta() });
                (dictionary.and_then(|it| it.data()), kind.unwrap_or(Kind::Rows))
            }
            other => {
                let name = other.variant_name().unwrap_or("unknown");
                let message = format!("a message of the type {name} begins here, which holds no rows");
                return Err(Error::new(ErrorKind::Unsupported, message).at(Locus::byte(at)));
            }
        };
        let batch = batch.ok_or_else(|| damaged("a message has no record batch", at))?;
        self.note_nulls(&batch, kind, at)?;
        check_places(&batch, n_body, at)?;
        let n_rows = u64::try_from(batch.length()).map_err(|_| damaged("less than no rows", at))?;
        let is_packed = batch.compression().is_some();
        if let Kind::Dictionary { id, .. } = kind {
            self.dictionaries.push(self.all.len());
            self.dictionary_ids.insert(id);
        }
        self.all.push(Found { at, n_head, n_body, n_rows, is_packed, kind });
        Ok(at + n_head + n_body)
    }

    fn note_nulls(&mut self, batch: &RecordBatch<'_>, kind: Kind, at: u64) -> Result<()> {
        let nodes = batch.nodes().into_iter().flatten();
        let mut nulls = Vec::new();
        for node in nodes {
            if node.length() < 0 || node.null_count() < 0 || node.length() < node.null_count() {
                return Err(damaged("a column has less than no values, or more nulls than values", at));
            }
            nulls.push(0 < node.null_count());
        }
        match kind {
            Kind::Dictionary { id, .. } => {
                if nulls.contains(&true) {
                    self.null_dictionaries.push(id);
                }
            }
            Kind::Rows if self.nulls.is_empty() => self.nulls = nulls,
            Kind::Rows if self.nulls.len() == nulls.len() => {
                self.nulls.iter_mut().zip(nulls).for_each(|(all, one)| *all |= one);
            }
            Kind::Rows => return Err(damaged("a record batch has other columns than those before it", at)),
        }
        Ok(())
    }
}

/// The reader takes places outside of a body for a mistake of its caller.
fn check_places(batch: &RecordBatch<'_>, n_body: u64, at: u64) -> Result<()> {
    for buffer in batch.buffers().into_iter().flatten() {
        let start = u64::try_from(buffer.offset()).ok();
        let end = start.zip(u64::try_from(buffer.length()).ok()).and_then(|(it, n)| it.checked_add(n));
        if end.is_none_or(|it| n_body < it) {
            return Err(damaged("a record batch points outside of its body", at));
        }
    }
    Ok(())
}

/// The places of a body's buffers.
///
/// # Errors
/// `Corrupt`.
pub(super) fn buffers(head_bytes: &[u8], at: u64) -> Result<Vec<Range<usize>>> {
    let skipped = if head_bytes.starts_with(&CONTINUATION) { 8 } else { 4 };
    let told = message(head_bytes.get(skipped..).unwrap_or_default(), at)?;
    let batch = match told.header_type() {
        MessageHeader::DictionaryBatch => told.header_as_dictionary_batch().and_then(|it| it.data()),
        _ => told.header_as_record_batch(),
    };
    let batch = batch.ok_or_else(|| damaged("a message has no record batch", at))?;
    let buffers = batch.buffers().into_iter().flatten();
    Ok(buffers.map(|it| it.offset() as usize..(it.offset() + it.length()) as usize).collect())
}
